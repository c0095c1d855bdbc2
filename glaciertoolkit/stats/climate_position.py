"""Where the values of a climate source lie: station, grid, elevation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING
from glaciertoolkit.errors import GlacierToolkitWarning, GridError, InputError
from glaciertoolkit.stats.climate_units import tidy

LATITUDES = ("latitude", "lat", "xlat", "nav_lat", "lats")
LONGITUDES = ("longitude", "lon", "xlong", "long", "nav_lon", "lons")
# Not `height`, which in model output is that of the instrument above the ground.
ELEVATIONS = ("elevation", "altitude", "hgt", "orog", "alt", "surface_altitude", "ter")
GEOPOTENTIALS = ("geopotential", "z", "orography")
PRESSURES = ("pres", "sp", "surface_pressure", "ps", "press", "psfc")

GRAVITY = 9.80665

PRESSURE_TOLERANCE = 500.0
"""Metres between a stated elevation and that of the pressure, above which one must be wrong."""


def placed(values: xr.DataArray, ds: xr.Dataset, crs: Any) -> xr.DataArray:
    """The values on named dimensions with their position; a grid of one cell is a point."""
    lat, lon = (
        _find(ds, names, standard)
        for names, standard in ((LATITUDES, "latitude"), (LONGITUDES, "longitude"))
    )
    values = values.squeeze(_single(values, lat, lon))
    space = [str(d) for d in values.dims if d != "time"]
    if len(space) > 2:
        raise InputError(
            f"{values.name!r} has the dimensions {', '.join(space)} beside time; select a level or "
            "member first, so that two of space are left."
        )
    lat, lon = _still(lat, values), _still(lon, values)
    height = _still(_elevation(ds), values)
    axes = {d: values[d].values for d in space if d in values.coords}
    bare = values.drop_vars([c for c in values.coords if c != "time"])
    if len(space) == 2:
        bare, names = _on_grid(bare, space, lat, lon, axes, crs if crs is not None else _crs(ds))
    else:
        names = dict.fromkeys(space, "station") if space else {}
        bare = bare.rename(names)
        if space and space[0] in axes:
            bare = bare.assign_coords(station=axes[space[0]])
        bare = _with_position(bare, {"latitude": lat, "longitude": lon}, names)
    return _with_position(bare, {"elevation": height}, names)


def _single(values: xr.DataArray, lat: xr.DataArray | None, lon: xr.DataArray | None) -> list[Any]:
    """Dimensions of length one; but a row or column of a grid is not a set of stations."""
    single = [d for d in values.dims if d != "time" and values.sizes[d] == 1]
    axes = {d for axis in (lat, lon) if axis is not None and axis.ndim == 1 for d in axis.dims}
    if len(axes) == 2 and not axes <= set(single):
        return [d for d in single if d not in axes]
    return single


def _on_grid(
    bare: xr.DataArray,
    space: list[str],
    lat: xr.DataArray | None,
    lon: xr.DataArray | None,
    axes: dict[str, npt.NDArray[Any]],
    crs: Any,
) -> tuple[xr.DataArray, dict[str, str]]:
    """A regular grid over `latitude` and `longitude`, any other over `y` and `x`."""
    if lat is not None and lon is not None and lat.ndim == lon.ndim == 1:
        names = {str(lat.dims[0]): "latitude", str(lon.dims[0]): "longitude"}
        bare = bare.rename(names).assign_coords(
            latitude=np.asarray(lat.values, float), longitude=np.asarray(lon.values, float)
        )
        return bare, names
    if lat is not None and lon is not None and lat.ndim == lon.ndim == 2:
        names = {str(lat.dims[0]): "y", str(lat.dims[1]): "x"}
        bare = _with_position(bare.rename(names), {"latitude": lat, "longitude": lon}, names)
        return bare, names
    names = dict(zip(space, ("y", "x"), strict=True))
    if crs is None or len(axes) < 2:
        raise GridError(
            f"where the cells of {bare.name!r} lie is not known: the source has neither latitudes "
            'and longitudes nor x, y and a CRS; give crs="EPSG:..." or add the coordinates.'
        )
    from pyproj import CRS

    crs = CRS.from_user_input(crs)
    if crs.is_geographic:
        names = dict(zip(space, ("latitude", "longitude"), strict=True))
    bare = bare.rename(names).assign_coords({names[d]: v for d, v in axes.items()})
    if not crs.is_geographic:
        import rioxarray  # noqa: F401  (registers .rio)

        bare = bare.rio.write_crs(crs)
        bare.encoding.pop("grid_mapping", None)
    return bare, names


def _with_position(
    values: xr.DataArray, found: dict[str, xr.DataArray | None], names: dict[str, str]
) -> xr.DataArray:
    units = {"latitude": "degrees_north", "longitude": "degrees_east", "elevation": "m"}
    for name, coordinate in found.items():
        if coordinate is not None:
            dims = [names[str(d)] for d in coordinate.dims]
            attrs = {"units": units[name], "long_name": name}
            data = np.asarray(coordinate.values, float)
            values = values.assign_coords({name: (dims, data, attrs)})
    return values


def _still(found: xr.DataArray | None, values: xr.DataArray) -> xr.DataArray | None:
    """A coordinate over the dimensions of space that `values` still has."""
    if found is None:
        return None
    moving = [d for d in found.dims if d not in values.dims or d == "time"]
    return found.isel(dict.fromkeys(moving, 0))


def _find(ds: xr.Dataset, names: tuple[str, ...], standard: str) -> xr.DataArray | None:
    for name, variable in ds.variables.items():
        if variable.attrs.get("standard_name") == standard:
            return ds[name]
    lower = {str(n).lower(): n for n in ds.variables}
    found = next((lower[n] for n in names if n in lower), None)
    return None if found is None else ds[found]


def _elevation(ds: xr.Dataset) -> xr.DataArray | None:
    """Height of the ground, m, if need be from the geopotential."""
    found = _find(ds, ELEVATIONS, "surface_altitude")
    if found is not None:
        return found
    found = _find(ds, GEOPOTENTIALS, "surface_geopotential")
    if found is None:
        return None
    units = tidy(str(found.attrs.get("units", "")))
    if units == "m2 s-2":
        return found / GRAVITY
    return found if units in {"m", "gpm"} else None


def _crs(ds: xr.Dataset) -> Any:
    import rioxarray  # noqa: F401  (registers .rio)

    if ds.rio.crs is not None:
        return ds.rio.crs.to_wkt()
    text = str(ds.attrs.get("pyproj_srs", ds.attrs.get("crs", "")))
    return text or None


def overridden(values: xr.DataArray, place: dict[str, float]) -> xr.DataArray:
    if place and len(values.dims) > 1:
        raise InputError(
            f"{', '.join(place)} is of one station; the source has "
            f"{', '.join(str(d) for d in values.dims if d != 'time')}."
        )
    for name, value in place.items():
        values = _with_position(values, {name: xr.DataArray(float(value))}, {})
    lat, lon = values.coords.get("latitude"), values.coords.get("longitude")
    for name, found, limit in (("latitude", lat, 90.0), ("longitude", lon, 360.0)):
        if found is not None and not (np.abs(found.values) <= limit).all():
            raise InputError(f"{name} goes beyond {limit:g} degrees; are they swapped with metres?")
    return values


def compare_pressure(values: xr.DataArray, ds: xr.Dataset) -> None:
    """Warn where the surface pressure of a station contradicts its elevation."""
    pressure = _find(ds, PRESSURES, "surface_air_pressure")
    if len(values.dims) > 1 or "elevation" not in values.coords or pressure is None:
        return
    units = tidy(str(pressure.attrs.get("units", "")))
    factor = {"hPa": 1.0, "mbar": 1.0, "mb": 1.0, "Pa": 0.01, "kPa": 10.0}.get(units)
    if factor is None:
        return
    hectopascal = float(pressure.mean(skipna=True)) * factor
    stated = float(values["elevation"])
    from_pressure = 44_330.8 * (1 - (hectopascal / 1013.25) ** 0.190263)
    if abs(from_pressure - stated) > PRESSURE_TOLERANCE:
        warnings.warn(
            f"the station states {stated:.0f} m, but its pressure of {hectopascal:.0f} hPa belongs "
            f"to about {from_pressure:.0f} m; give its true elevation=...",
            GlacierToolkitWarning,
            stacklevel=3,
        )


def ordered(values: xr.DataArray) -> xr.DataArray:
    """Time first, then rows and columns."""
    for rows, columns in (("latitude", "longitude"), ("y", "x")):
        if rows in values.dims:
            values = values.transpose("time", rows, columns)
    if GRID_MAPPING in values.coords:
        values.attrs["grid_mapping"] = GRID_MAPPING
    return values
