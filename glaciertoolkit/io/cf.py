"""Gridded fields in netCDF and Zarr: opened lazily, with units, CRS and time as CF wants them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import DateError, FileError, GridError, InputError, reason
from glaciertoolkit.io import conform, wrf
from glaciertoolkit.io.cloud import check_reachable, opening_far
from glaciertoolkit.io.dates import min_text
from glaciertoolkit.io.raster import Chunks, is_plain_path
from glaciertoolkit.io.series_dates import series_dates
from glaciertoolkit.io.stacks import files_in

SUFFIXES = (".nc", ".nc4", ".zarr")
_HDF5, _CLASSIC = b"\x89HDF", b"CDF"
_LONGITUDES = ("longitude", "lon", "x", "XLONG")
_LATITUDES = ("latitude", "lat", "y", "XLAT")
_EASTINGS, _NORTHINGS = ("x", "easting", "west_east"), ("y", "northing", "south_north")


def open_cf(
    source: str | os.PathLike[str] | Sequence[str],
    *,
    variables: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    classes: Mapping[int, str] | None = None,
    nodata: Any = None,
    crs: Any = None,
    pattern: str | None = None,
    chunks: Chunks = "auto",
    label: str = "dataset",
) -> xr.Dataset:
    """Open gridded fields in netCDF (3 or 4) or Zarr, lazily.

    Parameters
    ----------
    source : path, address or list of paths
        A file, a store, a folder of files, or a pattern such as ``"era5/*.nc"``. Several files
        are joined along time.
    variables : sequence of str, optional
        Keep these only.
    units : mapping of str to str, optional
        Units of variables whose attributes lack them, or have them wrong.
    classes : mapping of int to str, optional
        What each code of a map of classes means; for every variable, or for `variables`.
    nodata : number or sequence, optional
        Values that mean "missing", besides what the file says.
    crs : anything that names a CRS
        Where the file names none.
    pattern : str, optional
        Where the dates are in the names of the files: ``"melt_%Y%j.nc"``.
    chunks : int, str, dict or None
        Chunks for Dask; None reads pieces on demand without it.
    label : str
        What the data are called in messages.

    Returns
    -------
    xarray.Dataset
        As in the file, with units in one spelling, ``spatial_ref``, dates in order and NaN.
        Output of WRF and of HAR gets its projected axes and its times.

    Raises
    ------
    FileError
        Missing, truncated, neither netCDF nor Zarr, or not to be reached.
    InputError
        None of `variables` is there; a code without a class (when it is computed).
    GridError, DateError
        Files that do not fit together, or overlap in time.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import open_cf, write_samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_samples(folder, names=["greenland_melt"])
    ...     found = open_cf(files["greenland_melt"]).load()
    >>> sorted(found.sizes)
    ['latitude', 'longitude', 'time']
    """
    files = [str(source)] if _is_one(source) else files_in(source, SUFFIXES, what=label)
    parts = [_open_one(f, chunks=chunks, label=label) for f in files]
    if len(parts) > 1:
        ds = _joined(parts, files, pattern, label)
    elif pattern is not None and "time" not in parts[0].dims:
        dates = series_dates([Path(files[0]).name], pattern=pattern, what=label)
        ds = parts[0].expand_dims(time=dates)
    else:
        ds = parts[0]
    ds = _chosen(ds, variables, label)
    for name in map(str, ds.data_vars):
        if ds[name].dtype.kind not in "fiub" or _is_mapping(ds[name]):
            continue
        missing = conform.missing_to_nan(ds[name], nodata)
        if classes and (variables is None or name in variables):
            missing = conform.coded(missing, classes, label=f"variable {name} of the {label}")
        ds[name] = missing
    return conform.with_units(conform.with_time(_located(ds, crs)), None if classes else units)


def _is_one(source: Any) -> bool:
    if isinstance(source, list | tuple):
        return False
    text = os.fspath(source)
    return not is_plain_path(text) or is_store(text) or ("*" not in text and Path(text).is_file())


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a Zarr store."""
    folder = Path(path)
    names = ("zarr.json", ".zgroup", ".zmetadata")
    return folder.suffix == ".zarr" or any((folder / name).is_file() for name in names)


def _open_one(path: str, *, chunks: Chunks, label: str) -> xr.Dataset:
    settings: dict[str, Any] = {"chunks": chunks, "decode_coords": "all"}
    if not is_plain_path(path):
        return _open_far(path, settings, label)
    if not Path(path).exists():
        raise FileError(f"the file {path} does not exist; check the path.")
    engine = "zarr" if is_store(path) else _engine(path, label)
    if engine == "zarr":
        settings["consolidated"] = None if (Path(path) / ".zmetadata").is_file() else False
    try:
        return xr.open_dataset(path, engine=engine, decode_timedelta=False, **settings)
    except Exception as error:
        # h5netcdf, zarr and xarray's decoding have errors of a dozen classes of their own.
        raise FileError(
            f"{path} cannot be read as {'Zarr' if engine == 'zarr' else 'netCDF'}, it is "
            f"truncated, damaged or does not follow CF ({reason(error)}); get it again."
        ) from error


def _engine(path: str, label: str) -> Any:
    with Path(path).open("rb") as file:
        start = file.read(4)
    if start.startswith(_HDF5):
        return "h5netcdf"
    if start.startswith(_CLASSIC):
        return "scipy"
    raise FileError(f"the {label} {path} is no netCDF file; check it, or download it again.")


def _open_far(path: str, settings: dict[str, Any], label: str) -> xr.Dataset:
    """A store behind an address."""
    check_reachable(path, label=label)
    options = {"anon": True} if path.startswith("s3://") else None
    engine: Any = "zarr" if path.rstrip("/").endswith(".zarr") else "h5netcdf"
    with opening_far(path, label=label):
        return xr.open_dataset(path, engine=engine, storage_options=options, **settings)


def _joined(
    parts: list[xr.Dataset], files: Sequence[str], pattern: str | None, label: str
) -> xr.Dataset:
    if any("time" not in part.dims for part in parts):
        dates = series_dates([Path(f).name for f in files], pattern=pattern, what=label)
        parts = [
            part.expand_dims(time=[date]) if "time" not in part.dims else part
            for part, date in zip(parts, dates, strict=True)
        ]
    try:
        out = xr.concat(
            parts,
            "time",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="drop_conflicts",
        )
    except ValueError as error:
        raise GridError(
            f"the files of the {label} do not fit together ({reason(error)}); give those of one "
            "grid and of the same variables."
        ) from error
    out = out.sortby("time")
    times = out["time"].values
    twice = times[1:][times[1:] == times[:-1]]
    if twice.size:
        raise DateError(
            f"the files of the {label} overlap in time: {min_text(twice[0])} occurs twice; keep "
            "one file of each period."
        )
    return out


def _chosen(ds: xr.Dataset, variables: Sequence[str] | None, label: str) -> xr.Dataset:
    if variables is None:
        return ds.copy()
    there = [name for name in variables if name in ds.variables]
    if not there:
        raise InputError(
            f"the {label} has none of the variables {', '.join(variables)} (it has "
            f"{', '.join(map(str, ds.data_vars)) or 'none'}); name those that it has."
        )
    mappings = [str(name) for name in ds.data_vars if _is_mapping(ds[name])]
    return ds[[*there, *(name for name in mappings if name not in there)]]


def _is_mapping(variable: xr.DataArray) -> bool:
    return any(key in variable.attrs for key in ("grid_mapping_name", "crs_wkt", "spatial_ref"))


def _located(ds: xr.Dataset, crs: Any) -> xr.Dataset:
    """`ds` with a CRS, as the file names it, else as given."""
    if wrf.is_wrf(ds):
        ds = wrf.with_axes(ds)
        return conform.with_crs(ds, wrf.crs_of(ds), x="west_east", y="south_north")
    x, y = _axes(ds)
    if x is None or y is None:
        return ds
    mappings = [str(n) for n in ds.variables if _is_mapping(ds[n])]
    found: Any = None
    for name in mappings:
        attrs = ds[name].attrs
        found = found or attrs.get("crs_wkt") or attrs.get("spatial_ref") or _from_cf(attrs)
    ds = ds.drop_vars(mappings)
    if found is None and wrf.has_projection(ds):
        found = wrf.projection(ds.attrs)
    if found is None and _is_geographic(ds, x, y):
        found = "EPSG:4326"
    found = found or crs
    return ds if found is None else conform.with_crs(ds, found, x=x, y=y)


def _from_cf(attrs: Mapping[str, Any]) -> Any:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_cf(dict(attrs))
    except (CRSError, KeyError):
        return None


def _axes(ds: xr.Dataset) -> tuple[str | None, str | None]:
    """The names of the two axes of the grid, by CF attributes, else by usual names."""

    def axis(letter: str, standard: tuple[str, ...], usual: tuple[str, ...]) -> str | None:
        one = [str(n) for n in ds.dims if n in ds.coords]
        for name in one:
            attrs = ds[name].attrs
            if attrs.get("axis") == letter or attrs.get("standard_name") in standard:
                return name
        return next((name for name in usual if name in one), None)

    x = axis("X", ("projection_x_coordinate", "longitude"), _LONGITUDES + _EASTINGS)
    y = axis("Y", ("projection_y_coordinate", "latitude"), _LATITUDES + _NORTHINGS)
    return x, y


def _is_geographic(ds: xr.Dataset, x: str, y: str) -> bool:
    named = x.lower().startswith("lon") and y.lower().startswith("lat")
    unit = str(ds[x].attrs.get("units", "")).lower()
    size = max(float(np.abs(ds[name]).max()) for name in (x, y)) if ds[x].size else 0.0
    return (named or unit.startswith("degree")) and size <= 360.0
