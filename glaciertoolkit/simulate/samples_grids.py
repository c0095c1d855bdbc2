"""Samples of gridded data: GeoTIFF, text, netCDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.catalog import Entry
from glaciertoolkit.io import wrf
from glaciertoolkit.simulate import samples_facts as facts

_INTEGERS = {"srtm_dem": "int16", "hma_dem_8m": "uint16", "aw3d30_dem": "uint16"}
_LATITUDE = {"units": "degrees_north", "long_name": "latitude"}
_LONGITUDE = {"units": "degrees_east", "long_name": "longitude"}
TRUE_LATITUDES, MIDDLE = (30.0, 35.0), (87.0, 30.0)
"""Of the Lambert projections of HAR and WRF in High Asia: degrees."""


def _first(entry: Entry) -> tuple[str, str]:
    name, unit = next(iter(entry.metadata["variables"].items()))
    return str(name), str(unit)


def write_geotiffs(entry: Entry, target: Path) -> None:
    """One GeoTIFF, or a series of them."""
    import rasterio
    from rasterio.transform import from_origin

    _, unit = _first(entry)
    rng = facts.generator(entry)
    y, x = facts.axes(entry)
    step = float(x[1] - x[0])
    whole = bool(entry.metadata.get("classes"))
    dtype = "uint8" if whole else _INTEGERS.get(entry.name, "float32")
    missing = entry.metadata.get("nodata", 0 if entry.name in _INTEGERS else np.nan)
    profile = {
        "driver": "GTiff",
        "height": y.size,
        "width": x.size,
        "count": 1,
        "dtype": dtype,
        "crs": facts.crs_of(entry),
        "transform": from_origin(x[0] - step / 2, y[0] + step / 2, step, step),
        "nodata": missing,
    }
    for path, _ in facts.file_names(entry, target):
        values = facts.numbers(entry, unit, (y.size, x.size), rng)
        pixels = np.where(np.isnan(values), missing, values).astype(dtype)
        with rasterio.open(path, "w", **profile) as file:
            file.write(pixels, 1)


def write_ascii(entry: Entry, target: Path) -> None:
    """Grids of text with the header that the catalog documents, at their full size."""
    _, unit = _first(entry)
    rng = facts.generator(entry)
    rows, cols = entry.metadata.get("shape", facts.SHAPE)
    cell = float(entry.metadata.get("cellsize", 0.25))
    west, south = (0.0, 0.0) if cell < 1 else (-cols * cell / 2, -rows * cell / 2)
    missing = entry.metadata.get("nodata", -1)
    header = (
        f"ncols {cols}\nnrows {rows}\nxllcorner {west}\nyllcorner {south}\ncellsize {cell}\n"
        f"NODATA_value {missing}\n"
    )
    for path, _ in facts.file_names(entry, target):
        values = facts.numbers(entry, unit, (rows, cols), rng)
        codes = np.where(np.isnan(values), missing, np.round(values)).astype(int)
        lines = (" ".join(map(str, row)) for row in codes.tolist())
        path.write_text(header + "\n".join(lines) + "\n", encoding="ascii")


def write_netcdf(entry: Entry, target: Path) -> None:
    """A field over time: regular in longitude and latitude, or as WRF and HAR write it."""
    path = target.with_name(target.name.replace("*", "sample"))
    name, unit = _first(entry)
    times = facts.dates(entry)
    rng = facts.generator(entry)
    y, x = facts.axes(entry)
    shape = (times.size, y.size, x.size)
    if entry.name.startswith("wrf"):
        ds = _wrf(name, facts.numbers(entry, unit, shape, rng), times)
    elif entry.name.startswith("har"):
        ds = _har(name, facts.numbers(entry, unit, shape, rng), times)
    else:
        data = {
            other: (
                ("time", "latitude", "longitude"),
                facts.numbers(entry, u, shape, rng),
                {"units": u},
            )
            for other, u in entry.metadata["variables"].items()
        }
        coords = {
            "time": times,
            "latitude": ("latitude", y, _LATITUDE),
            "longitude": ("longitude", x, _LONGITUDE),
        }
        ds = xr.Dataset(data, coords, {"Conventions": "CF-1.6"})
    ds.to_netcdf(path, engine="h5netcdf", encoding=_encoding(entry, ds))


def _encoding(entry: Entry, ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in map(str, ds.data_vars):
        if ds[name].dtype.kind != "f":
            continue
        if entry.metadata.get("classes"):
            # The code for missing is a number like the others: no attribute names it.
            missing = entry.metadata["nodata"]
            ds[name] = ds[name].fillna(missing).astype("uint8")
            found[name] = {"dtype": "uint8"}
        else:
            found[name] = {"dtype": "float32", "_FillValue": np.float32(np.nan)}
    return found


def _lambert() -> dict[str, float]:
    return {
        "TRUELAT1": TRUE_LATITUDES[0],
        "TRUELAT2": TRUE_LATITUDES[1],
        "STAND_LON": MIDDLE[0],
        "MOAD_CEN_LAT": MIDDLE[1],
        "CEN_LON": MIDDLE[0],
        "CEN_LAT": MIDDLE[1],
    }


def _lon_lat(crs: Any, step: float, shape: tuple[int, int]) -> tuple[npt.NDArray[Any], ...]:
    """Axes around the middle of a projection, and the longitudes and latitudes of their nodes."""
    from pyproj import Transformer

    y, x = ((np.arange(n) - (n - 1) / 2) * step for n in shape)
    to_degrees = Transformer.from_crs(crs, facts.GEOGRAPHIC, always_xy=True)
    longitude, latitude = to_degrees.transform(*np.meshgrid(x, y))
    return y, x, longitude, latitude


def _wrf(name: str, values: npt.NDArray[Any], times: npt.NDArray[np.datetime64]) -> xr.Dataset:
    attrs = {"TITLE": " OUTPUT FROM WRF", "MAP_PROJ": np.int32(1), "DX": 10_000.0, "DY": 10_000.0}
    ds = xr.Dataset(attrs=attrs | _lambert())
    _, _, longitude, latitude = _lon_lat(wrf.crs_of(ds), 10_000.0, values.shape[1:])
    dims = ("Time", "south_north", "west_east")
    texts = [str(t.astype("datetime64[s]")).replace("T", "_") for t in times]
    ds[name] = (dims, values, {"units": "K", "description": "TEMP at 2 M", "FieldType": 104})
    ds["Times"] = ("Time", np.array(texts, dtype="S19"))
    ds["XLAT"] = (dims[1:], latitude.astype("float32"), {"units": "degree_north"})
    ds["XLONG"] = (dims[1:], longitude.astype("float32"), {"units": "degree_east"})
    return ds


def _har(name: str, values: npt.NDArray[Any], times: npt.NDArray[np.datetime64]) -> xr.Dataset:
    attrs = {
        "TITLE": "High Asia Refined analysis",
        "PROJ_NAME": "Lambert Conformal Conic",
        "PROJ_CENTRAL_LON": f" {MIDDLE[0]}",
        "PROJ_CENTRAL_LAT": f" {MIDDLE[1]}",
        "PROJ_STANDARD_PAR1": f" {TRUE_LATITUDES[0]}",
        "PROJ_STANDARD_PAR2": f" {TRUE_LATITUDES[1]}",
        "PROJ_SEMIMAJOR_AXIS": f" {wrf.RADIUS}",
        "PROJ_SEMIMINOR_AXIS": f" {wrf.RADIUS}",
    }
    crs = wrf.projection(attrs)
    y, x, longitude, latitude = _lon_lat(crs, 30_000.0, values.shape[1:])
    dims = ("south_north", "west_east")
    return xr.Dataset(
        {name: (("time", *dims), values, {"units": "k", "long_name": "temp at 2 m"})},
        {
            "time": times,
            "south_north": ("south_north", y, {"units": "m"}),
            "west_east": ("west_east", x, {"units": "m"}),
            "lon": (dims, longitude, _LONGITUDE),
            "lat": (dims, latitude, _LATITUDE),
        },
        attrs,
    )
