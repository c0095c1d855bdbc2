"""Climate as it is published - station series, reanalyses, models - in one form."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING
from glaciertoolkit.errors import FileError, GlacierToolkitWarning, GridError, InputError
from glaciertoolkit.stats import climate_units as known
from glaciertoolkit.stats.climate_units import Accumulation, Kind
from glaciertoolkit.stats.times import in_order

if TYPE_CHECKING:
    import pandas as pd

Source = Any
"""A path, Dataset, DataArray, DataFrame or Series."""

TIMES = ("time", "valid_time", "times", "date", "datetime", "time_utc", "xtime", "timestamp",
         "date_time", "day", "month")  # fmt: skip
LATITUDES = ("latitude", "lat", "xlat", "nav_lat", "lats")
LONGITUDES = ("longitude", "lon", "xlong", "long", "nav_lon", "lons")
# Not `height`, which in model output is that of the instrument above the ground.
ELEVATIONS = ("elevation", "altitude", "hgt", "orog", "alt", "surface_altitude", "ter")
GEOPOTENTIALS = ("geopotential", "z", "orography")
PRESSURES = ("pres", "sp", "surface_pressure", "ps", "press", "psfc")

GRAVITY = 9.80665

PRESSURE_TOLERANCE = 500.0
"""Metres between a stated elevation and that of the pressure, above which one must be wrong."""


def read_climate(
    source: Source,
    *,
    kind: Kind | None = None,
    variable: str | None = None,
    units: str | None = None,
    accumulation: Accumulation | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    elevation: float | None = None,
    crs: Any = None,
) -> xr.DataArray:
    """Temperature or precipitation of a station, a reanalysis or a model, in one form.

    Parameters
    ----------
    source : path, xarray.Dataset, xarray.DataArray, pandas.DataFrame or pandas.Series
        A netCDF or CSV file, or what was read from one. Stations, regular grids in latitude and
        longitude, projected grids and grids with two-dimensional coordinates; ERA5, ERA5-Land,
        HAR, WRF, CRU and others by their CF attributes or usual short names.
    kind : {"temperature", "precipitation"}, optional
        Needed where a source holds both.
    variable : str, optional
        Which variable or column, where its name is not a usual one.
    units : str, optional
        Instead of those the source states.
    accumulation : {"step", "day", "midnight", "start"}, optional
        What an amount of precipitation is: that of each step; the mean of a day (ECMWF's monthly
        means); the total since midnight (ERA5-Land by the hour); the total since the start of
        the run (WRF). By default recognised by name and course, and told in the attributes.
    latitude, longitude, elevation : float, optional
        Degrees and metres of a station: instead of those of the source, or where it has none.
    crs : optional
        Of a projected grid that does not state it.

    Returns
    -------
    xarray.DataArray
        float64, over `time` (UTC, sorted) and the dimensions of the grid: temperature in degC or
        precipitation in mm of each step. Coordinates `latitude` and `longitude` (scalars of a
        station), or `x`, `y` and the CRS of a projected grid; `elevation`, m, where it is known.
        Lazy when the source is.

    Raises
    ------
    FileError
        The file is missing or is no netCDF or CSV.
    InputError
        The variable or its units are not known, there is no value, or the values are impossible
        in these units.
    DateError
        Times that are missing, unreadable, or hold two different values.
    GridError
        No position of the values is known.

    Warns
    -----
    GlacierToolkitWarning
        The surface pressure of a station belongs to another elevation than it states.

    Notes
    -----
    Latitudes and longitudes of models on a sphere are taken as those of WGS 84, as their makers
    do. Of a calendar other than the real one, each month is laid over the real month.

    Examples
    --------
    >>> import pandas as pd
    >>> station = pd.DataFrame(
    ...     {"T2": [263.15, 268.15]}, index=pd.date_range("2019-01-01", periods=2)
    ... )
    >>> series = read_climate(station, latitude=30.47, longitude=90.64, elevation=5670)
    >>> series.name, series.attrs["units"], series.values.tolist()
    ('temperature', 'degC', [-10.0, -5.0])
    """
    ds = _with_run_totals(_opened(source, variable))
    name, kind = _which(ds, variable, kind)
    values = ds[name].copy()
    values.name = name
    values = in_order(_with_time(values, ds))
    if not values.chunks and not bool(values.notnull().any()):
        raise InputError(f"{name!r} holds no value at all; is the file damaged, or all masked?")
    values = _placed(values, ds, crs)
    place = {"latitude": latitude, "longitude": longitude, "elevation": elevation}
    values = _overridden(values, {k: v for k, v in place.items() if v is not None})
    if elevation is None:
        _compare_pressure(values, ds)
    if kind == "temperature":
        out = known.in_degrees(values, units)
    else:
        out = known.in_millimetres(values, units, accumulation)
    out.attrs["source_variable"] = name
    return _ordered(out.rename(kind))


# --- opening -------------------------------------------------------------------------------------


def _opened(source: Source, variable: str | None) -> xr.Dataset:
    import pandas as pd

    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():
            raise FileError(f"there is no climate file {path}; check the path.")
        source = _read_csv(path) if path.suffix.lower() in {".csv", ".txt"} else _open(path)
    if isinstance(source, xr.Dataset):
        return source
    if isinstance(source, xr.DataArray):
        return source.to_dataset(name=str(source.name or variable or "values"))
    if isinstance(source, pd.Series):
        source = source.to_frame(name=str(source.name or variable or "values"))
    if isinstance(source, pd.DataFrame):
        return _of_table(source)
    raise InputError(
        "climate must be a path, an xarray or a pandas object; got "
        f"{type(source).__name__}; open it with xarray.open_dataset or pandas.read_csv first."
    )


def _open(path: Path) -> xr.Dataset:
    try:
        ds = xr.open_dataset(path, decode_times=False)
        calendars = {str(ds[n].attrs.get("calendar", "standard")) for n in ds.variables}
        real = {"standard", "gregorian", "proleptic_gregorian", "none"}
        # What the calendar of a model needs is done here, without further libraries.
        return ds if calendars - real else xr.decode_cf(ds)
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path.name} cannot be read as netCDF ({error}); if it is a table, save it as CSV."
        ) from error


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=None, engine="python", comment="#")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileError(f"{path.name} cannot be read as a CSV table: {error}") from error
    return table


def _of_table(table: pd.DataFrame) -> xr.Dataset:
    import pandas as pd

    if table.empty:
        raise InputError("the climate table is empty; check the file or the selection.")
    lower = {str(c).lower(): c for c in table.columns}
    if not isinstance(table.index, pd.DatetimeIndex):
        column = next((lower[n] for n in TIMES if n in lower), None)
        if column is None:
            raise InputError(
                "the climate table has no column of times (it has: "
                f"{', '.join(map(str, table.columns))}); name it 'time' or make it the index."
            )
        try:
            index = pd.DatetimeIndex(pd.to_datetime(table[column]))
        except (TypeError, ValueError) as error:
            raise InputError(f"the column {column!r} holds no times: {error}") from error
        table = table.drop(columns=column).set_axis(index, axis=0)
    index = table.index
    if index.tz is not None:
        table = table.set_axis(index.tz_convert("UTC").tz_localize(None), axis=0)
    numbers = table.select_dtypes("number")
    ds = xr.Dataset(
        {str(c): ("time", numbers[c].to_numpy(float)) for c in numbers},
        coords={"time": np.asarray(table.index)},
    )
    # A position that is the same in every row is that of the station.
    for names in (LATITUDES, LONGITUDES, ELEVATIONS):
        for found in [n for n in ds.data_vars if str(n).lower() in names]:
            once = np.unique(ds[found].values)
            ds = ds.drop_vars(found)
            if once.size == 1 and np.isfinite(once[0]):
                ds = ds.assign_coords({found: float(once[0])})
    return ds


def _with_run_totals(ds: xr.Dataset) -> xr.Dataset:
    """WRF counts the rain of its convection scheme apart from that of the grid."""
    if {"RAINC", "RAINNC"} <= set(ds.data_vars):
        total = (ds["RAINC"] + ds["RAINNC"]).assign_attrs(ds["RAINNC"].attrs)
        return ds.drop_vars("RAINC").assign(RAINNC=total)
    return ds


# --- which values, when and where ----------------------------------------------------------------


def _which(ds: xr.Dataset, variable: str | None, kind: Kind | None) -> tuple[str, Kind]:
    candidates = {str(n): dict(v.attrs) for n, v in ds.data_vars.items() if v.dtype.kind in "fiu"}
    if kind is not None and kind not in known.KINDS:
        raise InputError(f"kind must be 'temperature' or 'precipitation'; got {kind!r}.")
    if variable is None and len(candidates) > 1:
        return known.choose(candidates, kind)
    name = variable or next(iter(candidates), "")
    if name not in candidates:
        raise InputError(
            f"the source has no variable {name!r} (it has: {', '.join(candidates) or 'none'})."
        )
    return name, kind or known.kind_of(name, candidates[name])


def _with_time(values: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """The values with their dimension of time named so, and its coordinate."""
    named = [d for d in map(str, values.dims) if d.lower() in TIMES]
    typed = [
        d for d in map(str, values.dims) if d in values.coords and values[d].dtype.kind in "MO"
    ]
    dim = next(iter(named or typed), None)
    if dim is None:
        raise InputError(
            f"{values.name!r} has no dimension of time (it has: "
            f"{', '.join(map(str, values.dims)) or 'none'}); name it 'time'."
        )
    if dim != "time":
        # A scalar left over from GRIB, such as the time of the forecast, makes room.
        values = values.drop_vars("time", errors="ignore").rename({dim: "time"})
    if "time" not in values.coords:
        written = next((n for n in ds.variables if str(n).lower() in TIMES and n != dim), None)
        if written is None:
            raise InputError(f"the times of {values.name!r} are not given; add a coordinate.")
        values = values.assign_coords(time=("time", _wrf_times(ds[written].values)))
    return values


def _wrf_times(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Times as WRF writes them, bytes such as 2005-09-21_00:00:00."""
    if values.dtype.kind not in "SUO":
        return values
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]
    return np.array([t.replace("_", "T") for t in texts], "datetime64[ns]")


def _find(ds: xr.Dataset, names: tuple[str, ...], standard: str) -> xr.DataArray | None:
    lower = {str(n).lower(): str(n) for n in ds.variables}
    for name, variable in ds.variables.items():
        if variable.attrs.get("standard_name") == standard:
            return ds[name]
    found = next((lower[n] for n in names if n in lower), None)
    return None if found is None else ds[found]


def _placed(values: xr.DataArray, ds: xr.Dataset, crs: Any) -> xr.DataArray:
    """The values on named dimensions with their position; a grid of one cell is a point."""
    single = [d for d in values.dims if d != "time" and values.sizes[d] == 1]
    values = values.squeeze(single)
    space = [str(d) for d in values.dims if d != "time"]
    if len(space) > 2:
        raise InputError(
            f"{values.name!r} has the dimensions {', '.join(space)} beside time; select a level or "
            "member first, so that two of space are left."
        )
    lat, lon = (
        _still(_find(ds, names, standard), values)
        for names, standard in ((LATITUDES, "latitude"), (LONGITUDES, "longitude"))
    )
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
    units = known.tidy(str(found.attrs.get("units", "")))
    if units == "m2 s-2":
        return found / GRAVITY
    return found if units in {"m", "gpm"} else None


def _crs(ds: xr.Dataset) -> Any:
    import rioxarray  # noqa: F401  (registers .rio)

    if ds.rio.crs is not None:
        return ds.rio.crs.to_wkt()
    text = str(ds.attrs.get("pyproj_srs", ds.attrs.get("crs", "")))
    return text or None


def _overridden(values: xr.DataArray, place: dict[str, float]) -> xr.DataArray:
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


def _compare_pressure(values: xr.DataArray, ds: xr.Dataset) -> None:
    """Warn where the surface pressure of a station contradicts its elevation."""
    pressure = _find(ds, PRESSURES, "surface_air_pressure")
    if len(values.dims) > 1 or "elevation" not in values.coords or pressure is None:
        return
    units = known.tidy(str(pressure.attrs.get("units", "")))
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


def _ordered(values: xr.DataArray) -> xr.DataArray:
    """Time first, then rows and columns."""
    for rows, columns in (("latitude", "longitude"), ("y", "x")):
        if rows in values.dims:
            values = values.transpose("time", rows, columns)
    if GRID_MAPPING in values.coords:
        values.attrs["grid_mapping"] = GRID_MAPPING
    return values
