"""What every reader owes its caller: units, CRS, time, names of axes, NaN where data miss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import CF_VERSION, COORDINATES, GRID_MAPPING
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.io.georeference import as_crs
from glaciertoolkit.io.units import canonical_units

TIME_ATTRS = {"long_name": "time", "standard_name": "time", "axis": "T"}


def with_crs(ds: xr.Dataset, crs: Any, *, x: str = "x", y: str = "y") -> xr.Dataset:
    """`ds` with a CRS, and attributes of its axes that go with it.

    Parameters
    ----------
    ds : xarray.Dataset
    crs : anything that names a CRS
    x, y : str
        Names of the axes.
    """
    import rioxarray  # noqa: F401  (registers .rio)

    known = as_crs(crs)
    out = ds.copy()
    kinds = ("longitude", "latitude") if known.is_geographic else ("x", "y")
    for axis, dim, kind in zip("XY", (x, y), kinds, strict=True):
        if dim in out.coords:
            out[dim].attrs = {**out[dim].attrs, **COORDINATES[kind], "axis": axis}
    placed = out.rio.set_spatial_dims(x_dim=x, y_dim=y)
    out = cast("xr.Dataset", placed.rio.write_crs(known, grid_mapping_name=GRID_MAPPING))
    for name in out.data_vars:
        if {x, y} <= set(out[name].dims):
            out[name].attrs["grid_mapping"] = GRID_MAPPING
            out[name].encoding.pop("grid_mapping", None)
    return out


def with_time(ds: xr.Dataset, *, name: str = "time") -> xr.Dataset:
    """`ds` with CF attributes of its time axis, where it has one."""
    if name not in ds.coords:
        return ds
    out = ds.copy()
    out[name].attrs = {**TIME_ATTRS, **out[name].attrs}
    return out


def with_units(ds: xr.Dataset, units: Mapping[str, str] | None = None) -> xr.Dataset:
    """`ds` with the unit of every variable in one spelling.

    What is given wins over what the file says. A unit that is not known here stays as it is.
    """
    out = ds.copy()
    for name in map(str, out.data_vars):
        text = (units or {}).get(name, out[name].attrs.get("units"))
        if text is None:
            continue
        try:
            out[name].attrs["units"] = canonical_units(text)
        except ParameterError:
            out[name].attrs["units"] = str(text)
        out[name].attrs.setdefault("long_name", name.replace("_", " "))
    out.attrs.setdefault("Conventions", CF_VERSION)
    return out


def missing_to_nan(data: xr.DataArray, nodata: Any) -> xr.DataArray:
    """`data` as float, with NaN where it equals `nodata` (a number or several)."""
    if nodata is None:
        return data
    values = np.atleast_1d(np.asarray(nodata, dtype=np.float64))
    if data.dtype.kind != "f":
        data = data.astype(np.float32 if data.dtype.itemsize <= 2 else np.float64)
    values = values[np.isfinite(values)]
    return data.where(~data.isin(values.astype(data.dtype))) if values.size else data


def coded(
    data: xr.DataArray,
    classes: Mapping[int, str],
    *,
    nodata: Any = None,
    label: str = "raster",
) -> xr.DataArray:
    """A map of classes as CF describes it: numbers with ``flag_values`` and ``flag_meanings``.

    Parameters
    ----------
    data : xarray.DataArray
        Codes.
    classes : mapping of int to str
        What each code means.
    nodata : number or sequence, optional
        Codes that mean "missing".
    label : str
        What the data are called in messages.

    Returns
    -------
    xarray.DataArray
        Float32, NaN where missing.

    Raises
    ------
    InputError
        A code that is neither a class nor `nodata`; of lazy data when they are computed.
    """
    known = np.array(sorted(classes), dtype=np.float32)
    out = missing_to_nan(data, nodata).astype(np.float32)

    def check(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        strange = block[np.isfinite(block) & ~np.isin(block, known)]
        if strange.size:
            names = ", ".join(f"{code} {classes[code]}" for code in sorted(classes))
            raise InputError(
                f"the {label} holds the code {strange[0]:g}, which is none of {names}; give "
                "classes= that name it, or nodata= if it means missing."
            )
        return block

    out = cast(
        "xr.DataArray",
        xr.apply_ufunc(check, out, dask="parallelized", output_dtypes=[np.float32]),
    )
    out.attrs = {
        **data.attrs,
        "units": "1",
        "flag_values": known,
        "flag_meanings": " ".join(classes[code].replace(" ", "_") for code in sorted(classes)),
    }
    return out
