"""A Dataset as one netCDF file: the same bytes for the same Dataset, in little memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.blocks import is_lazy
from glaciertoolkit.provenance import plain

BLOCK = 256  # pixels along the edge of a chunk in the file
STAGE = 512  # pixels along the edge of a chunk of the intermediate store
STRIPE = 512  # rows that are in memory at a time
TIME_UNITS = "microseconds since 1970-01-01"


def staged(ds: xr.Dataset, store: Path) -> xr.Dataset:
    """`ds` with every lazy variable computed into a Zarr store, and read from there in pieces.

    All variables are computed together, so what they share is computed once, with whatever
    scheduler is active; nothing has to fit into memory. Without lazy variables it is `ds` itself.
    """
    if not is_lazy(ds):
        return ds
    lazy = [name for name, v in ds.variables.items() if v.chunks is not None]
    # Without coordinates and attributes: those are not computed, and need not suit Zarr.
    bare = xr.Dataset({name: (ds[name].dims, ds[name].data) for name in lazy})
    bare = bare.chunk({dim: STAGE if dim in ("y", "x") else -1 for dim in bare.dims})
    bare.to_zarr(store, mode="w", consolidated=False, zarr_format=3)
    computed = xr.open_dataset(store, engine="zarr", chunks=None, consolidated=False)
    variables = {name: computed[name].variable for name in lazy}
    for name, variable in variables.items():
        variable.attrs = dict(ds[name].attrs)
    coords = {name: v for name, v in variables.items() if name in ds.coords}
    return ds.assign({n: v for n, v in variables.items() if n not in coords}).assign_coords(coords)


def write_netcdf(ds: xr.Dataset, path: Path) -> None:
    """Write `ds`, stripe by stripe in a fixed order.

    xarray would let Dask decide the order in which chunks reach the file, which then differs
    from run to run; here the structure is written by xarray and the pixels are put in afterwards.

    Parameters
    ----------
    ds : xarray.Dataset
        In memory, or read from a store in pieces (see `staged`).
    path : pathlib.Path
        The file to make.
    """
    import dask.array as da
    import h5netcdf

    large = [name for name, v in ds.data_vars.items() if {"y", "x"} <= set(v.dims)]
    frame = storable(ds)
    for name in large:
        hollow = da.zeros(ds[name].shape, dtype=ds[name].dtype)
        frame[name] = frame[name].copy(data=hollow)
    encoding = {str(n): _encoding(ds[n]) for n in ds.variables}
    frame.to_netcdf(path, engine="h5netcdf", encoding=encoding, compute=False)
    with h5netcdf.File(path, "a") as file:
        for name in large:
            target = file[str(name)]
            for place in stripes(ds[name]):
                target[place] = np.asarray(ds[name][place].values).astype(target.dtype)


def stripes(array: xr.DataArray) -> Iterator[tuple[slice | int, ...]]:
    """Indices that cover `array` in stripes of a few rows, in order."""
    others = [
        [slice(None)]
        if dim == "x"
        else [slice(r, min(r + STRIPE, size)) for r in range(0, size, STRIPE)]
        if dim == "y"
        else list(range(size))
        for dim, size in array.sizes.items()
    ]
    yield from itertools.product(*others)


def storable(ds: xr.Dataset) -> xr.Dataset:
    """`ds` with attributes that netCDF can hold and without what it was last read from."""
    out = ds.copy()
    out.attrs = _attrs(ds.attrs)
    out.encoding = {}
    for name in out.variables:
        out[name].attrs = _attrs(ds[name].attrs)
        out[name].encoding = {}
    return out


def _attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in attrs.items():
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            kept[str(key)] = value
            continue
        simple = plain(value)
        if isinstance(simple, bool):
            simple = int(simple)
        elif _numbers(simple):
            simple = np.asarray(simple)
        elif isinstance(simple, dict | list):
            simple = json.dumps(simple)
        kept[str(key)] = simple
    return kept


def _numbers(value: Any) -> bool:
    """Whether `value` is a list that netCDF can hold as it is."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)


def _encoding(array: xr.DataArray) -> dict[str, Any]:
    encoding: dict[str, Any] = {}
    if array.dtype.kind == "M":
        return {"units": TIME_UNITS, "calendar": "proleptic_gregorian", "dtype": "int64"}
    if array.dtype.kind == "f":
        # Coordinates have no gaps, and CF forbids a fill value there.
        encoding["_FillValue"] = None if array.name in array.dims else np.nan
    if {"y", "x"} <= set(array.dims):
        sizes = [min(BLOCK, n) if d in ("y", "x") else 1 for d, n in array.sizes.items()]
        encoding |= {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": tuple(sizes)}
    return encoding
