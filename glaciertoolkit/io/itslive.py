"""ITS_LIVE: granules of one pair, cubes of many, mosaics; versions 1 and 2."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import VARIABLES, describe
from glaciertoolkit.errors import DateError, FileError, InputError
from glaciertoolkit.io import conform, raster
from glaciertoolkit.io.cf import is_store, open_cf
from glaciertoolkit.io.raster import CHUNK, Chunks, is_plain_path
from glaciertoolkit.io.stacks import files_in
from glaciertoolkit.provenance import plain

FILL = -32767.0
"""ITS_LIVE's "no data" of velocities; of errors in version 1 it is 0."""

PAIR_DIM = "mid_date"

_LAYER = re.compile(r"_(v|vx|vy|v_err|vx_err|vy_err|v_error|vx_error|vy_error|count)\.tif$", re.I)
_DATES = ("reference_time", "secondary_time")
_DATE_NAMES = {
    "reference_time": ("acquisition_date_img1", "acquisition_img1", "aquisition_date_img1"),
    "secondary_time": ("acquisition_date_img2", "acquisition_img2", "aquisition_date_img2"),
}
_OURS = {"v_err": "v_error", "vx_err": "vx_error", "vy_err": "vy_error"}
_YEAR = re.compile(r"_(\d{4})_v\d\d_", re.I)


def open_itslive(
    source: str | os.PathLike[str] | Sequence[str],
    *,
    variables: Sequence[str] | None = None,
    crs: Any = None,
    chunks: Chunks = CHUNK,
    label: str = "ITS_LIVE dataset",
) -> xr.Dataset:
    """Open velocities of ITS_LIVE, lazily: one pair, a cube of pairs, or a mosaic.

    Parameters
    ----------
    source : path, address or list of paths
        A granule (``.nc``), a cube (``.zarr`` or ``.nc``, also on S3), a mosaic (``.nc``), or
        the GeoTIFFs of a mosaic, one a variable: a folder, a pattern, or one of them.
    variables : sequence of str, optional
        Keep these only, by the names below; dates and CRS stay.
    crs : anything that names a CRS
        Where the file names none.
    chunks : int, str, dict or None
        Chunks along y and x for Dask; None reads pieces on demand without it.
    label : str
        What the data are called in messages.

    Returns
    -------
    xarray.Dataset
        `vx`, `vy`, `v` and `vx_error`, `vy_error`, `v_error`, m yr-1, as far as they are there,
        and whatever else the file holds, missing pixels NaN.

        Of a cube (mid_date, y, x): in order of `mid_date`, with `reference_time` and
        `secondary_time` for each pair. Of a granule (y, x): with scalar `reference_time`,
        `secondary_time` and `mid_date`; errors that the file states once for all pixels are
        0-d. Of a mosaic (y, x), or (time, y, x) where there are years.

    Raises
    ------
    FileError
        Missing, damaged, not to be reached, or no ITS_LIVE file.
    DateError
        Pairs whose dates cannot be read.
    InputError
        None of `variables` is there.

    Notes
    -----
    Components lie along the axes of the file's own CRS; turn them before they are compared with
    another grid. A cube may hold pairs with the same `mid_date`.

    References
    ----------
    Gardner et al., ITS_LIVE Regional Glacier and Ice Sheet Surface Velocities, NSIDC,
    doi:10.5067/6II6VW8LLWJ7; Lei, Gardner and Agram (2022), Earth Syst. Sci. Data 14, 5111-5137.

    Examples
    --------
    >>> cube = open_itslive("ITS_LIVE_vel_EPSG32645_G0120_X450000_Y3050000.zarr")  # doctest: +SKIP
    >>> cube.sel(mid_date="2019").vx.median("mid_date")  # doctest: +SKIP
    """
    files = _layers(source)
    ds = _from_layers(files, chunks, label) if files else _from_file(source, crs, chunks, label)
    ds = ds.rename({old: new for old, new in _OURS.items() if old in ds.variables})
    if not {"v", "vx", "vy"} & set(ds.data_vars):
        raise FileError(
            f"the {label} {source} holds no velocity (it has "
            f"{', '.join(map(str, ds.data_vars)) or 'nothing'}); give a granule, cube or mosaic "
            "of ITS_LIVE."
        )
    ds = _with_magnitude(_dated(ds, label))
    if variables is not None:
        ds = _only(ds, variables, label)
    return conform.with_units(conform.with_time(_named(ds)))


def _layers(source: Any) -> dict[str, str]:
    """The GeoTIFFs of a mosaic by variable; empty where `source` is something else."""
    if not isinstance(source, list | tuple):
        text = os.fspath(source)
        if not is_plain_path(text) or is_store(text):
            return {}
        path = Path(text)
        if path.is_dir() and not any(_LAYER.search(p.name) for p in path.iterdir()):
            return {}
        if path.is_file() and not _LAYER.search(path.name):
            return {}
    found: dict[str, str] = {}
    for file in files_in(source, (".tif",), what="mosaic"):
        match = _LAYER.search(Path(file).name)
        if match is None:
            continue
        name = _OURS.get(match[1].lower(), match[1].lower())
        if name in found:
            raise InputError(
                f"the mosaic has the variable {name} twice ({Path(found[name]).name} and "
                f"{Path(file).name}); give the files of one region and year."
            )
        found[name] = file
    return found


def _from_layers(files: Mapping[str, str], chunks: Chunks, label: str) -> xr.Dataset:
    arrays: dict[str, xr.DataArray] = {}
    for name, file in files.items():
        # Version 1 marks missing errors with 0; a velocity of exactly 0 is a measurement.
        nodata = 0.0 if name.endswith("_error") else FILL
        arrays[name] = raster.open_raster(file, band=1, chunks=chunks, nodata=nodata, label=label)
    first = next(iter(arrays.values()))
    for name, array in arrays.items():
        same = array.shape == first.shape and array.rio.transform() == first.rio.transform()
        if not same or array.rio.crs != first.rio.crs:
            raise InputError(
                f"the files of the {label} are on different grids ({Path(files[name]).name}); "
                "give those of one region."
            )
    # attributes that describe the numbers of one file
    ds = xr.Dataset({name: array.drop_attrs() for name, array in arrays.items()})
    ds = conform.with_crs(ds.drop_vars("spatial_ref", errors="ignore"), first.rio.crs)
    years = {match[1] for f in files.values() if (match := _YEAR.search(Path(f).name))}
    if len(years) == 1 and (year := years.pop()) != "0000":
        ds = ds.assign_coords(time=np.datetime64(f"{year}-07-02", "ns"))
    return ds


def _from_file(source: Any, crs: Any, chunks: Chunks, label: str) -> xr.Dataset:
    sizes: Any = chunks
    if isinstance(chunks, int):
        sizes = {"y": chunks, "x": chunks}
    ds = open_cf(source, crs=crs, chunks=sizes, label=label)
    # Version 2.1 gives a granule a time axis of one step.
    if ds.sizes.get("time") == 1 and ("img_pair_info" in ds or PAIR_DIM not in ds.dims):
        ds = ds.squeeze("time")
    for name in ("v", "vx", "vy"):
        if name in ds:
            ds[name] = conform.missing_to_nan(ds[name], FILL)
    return ds


def _dated(ds: xr.Dataset, label: str) -> xr.Dataset:
    """`ds` with `reference_time`, `secondary_time` and `mid_date` where it is made of pairs."""
    if PAIR_DIM in ds.dims:
        return _dated_cube(ds, label)
    info = ds["img_pair_info"].attrs if "img_pair_info" in ds.variables else {}
    if not info:
        return ds
    moments: dict[str, np.datetime64] = {}
    for name, others in _DATE_NAMES.items():
        text = next((info[key] for key in others if key in info), None)
        if text is None:
            raise DateError(
                f"the {label} does not say when its images were taken (it lacks {others[0]} in "
                "img_pair_info); get the granule again."
            )
        moments[name] = parse_date(text, label)
    _check_order(np.array([moments[_DATES[0]]]), np.array([moments[_DATES[1]]]), label)
    out = ds.drop_vars("img_pair_info").assign_coords(moments)
    # as text, so that it can be written again
    out.attrs["img_pair_info"] = json.dumps(plain(info))
    for name in ("vx", "vy"):
        error = ds[name].attrs.get("error") if name in ds else None
        if error is not None and f"{name}_error" not in out:
            value = float(np.asarray(error).ravel()[0])
            out[f"{name}_error"] = ((), np.float32(value), {"units": "m yr-1"})
    middle = moments[_DATES[0]] + (moments[_DATES[1]] - moments[_DATES[0]]) / 2
    return out.assign_coords(mid_date=middle)


def _dated_cube(ds: xr.Dataset, label: str) -> xr.Dataset:
    out = ds
    for name, others in _DATE_NAMES.items():
        if name in ds.variables:
            continue
        found = next((key for key in others if key in ds.variables), None)
        if found is not None:
            values = ds[found].values
            if values.dtype.kind != "M":
                values = np.array([parse_date(v, label) for v in values])
            out = out.drop_vars(found).assign_coords({name: (PAIR_DIM, values)})
    missing = [name for name in _DATES if name not in out.coords]
    if missing and "date_dt" in out:
        half = (out["date_dt"].values * (86_400e9 / 2)).astype("timedelta64[ns]")
        middle = out[PAIR_DIM].values
        out = out.assign_coords(
            reference_time=(PAIR_DIM, middle - half), secondary_time=(PAIR_DIM, middle + half)
        )
        missing = []
    if missing:
        raise DateError(
            f"the {label} says nowhere when the images of its pairs were taken; get the cube "
            "with acquisition_date_img1 and acquisition_date_img2."
        )
    for name in _DATES:
        out = out.assign_coords({name: (PAIR_DIM, out[name].values.astype("datetime64[ns]"))})
    _check_order(out[_DATES[0]].values, out[_DATES[1]].values, label)
    return out.sortby(PAIR_DIM)


def parse_date(value: Any, label: str) -> np.datetime64:
    """A date as ITS_LIVE writes it: ``20200407T04:46:59.123`` or ``20200407``."""
    from glaciertoolkit.io.dates import parse_time

    if isinstance(value, np.datetime64):
        return parse_time(value)
    text = value.decode() if isinstance(value, bytes) else str(value)
    text = text.strip().removesuffix(".0")
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(?:[T ]?(\d\d:\d\d:\d\d)(\.\d+)?)?", text)
    if match:
        text = "-".join(match.groups()[:3])
        if match[4]:
            # Zeros at the end are left away in the files.
            text += f"T{match[4]}" + (f"{match[5]:0<7}"[:7] if match[5] else "")
    try:
        return parse_time(text)
    except DateError:
        raise DateError(
            f"the {label} holds the date {value!r}, which cannot be read; get the file again."
        ) from None


def _check_order(
    first: npt.NDArray[np.datetime64], second: npt.NDArray[np.datetime64], label: str
) -> None:
    wrong = ~(second > first)
    if wrong.any():
        raise DateError(
            f"in {int(wrong.sum())} of the {wrong.size} pairs of the {label} the second image is "
            "not later than the first; leave those out, or get the data again."
        )


def _with_magnitude(ds: xr.Dataset) -> xr.Dataset:
    if "v" in ds or not {"vx", "vy"} <= set(ds.data_vars):
        return ds
    return ds.assign(v=np.hypot(ds["vx"], ds["vy"]))


def _only(ds: xr.Dataset, variables: Sequence[str], label: str) -> xr.Dataset:
    there = [name for name in variables if name in ds.data_vars]
    if not there:
        raise InputError(
            f"the {label} has none of the variables {', '.join(variables)} (it has "
            f"{', '.join(map(str, ds.data_vars))}); name those that it has."
        )
    return ds[there]


def _named(ds: xr.Dataset) -> xr.Dataset:
    """`ds` with our names and units of what both vocabularies share."""
    out = ds
    for name in ("v", "vx", "vy", "v_error", "vx_error", "vy_error"):
        if name in out and out[name].dtype != np.float32:
            out[name] = out[name].astype(np.float32)
    shared = [name for name in map(str, out.data_vars) if name in VARIABLES]
    if shared and {"y", "x"} <= set(out.dims):
        out = describe(out)
    return out
