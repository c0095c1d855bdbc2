"""Another product (ITS_LIVE, an earlier run) on the posts of this one, beside it and subtracted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import VARIABLES
from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.grids import crs_of, match_raster
from glaciertoolkit.io.products import open_products
from glaciertoolkit.styles import SHORT_LABELS
from glaciertoolkit.uncertainty.turning import per_year, turned

Hold = Callable[[xr.DataArray], xr.DataArray]


def open_other(other: Any) -> xr.Dataset:
    """A product as a Dataset: one already, the folder of a run, or a netCDF or Zarr file."""
    if isinstance(other, xr.Dataset):
        return other
    path = Path(os.fspath(other))
    if not path.exists():
        raise FileError(f"there is no {path}; give the folder of a run or a netCDF file.")
    if path.is_dir() and path.suffix != ".zarr":
        return open_products(path, chunks=None)
    import rioxarray  # noqa: F401

    try:
        found = xr.open_dataset(path, decode_coords="all")
    except Exception as error:
        # Whatever a foreign file does to its reader, the way out is the same.
        raise FileError(f"{path.name} cannot be read as a velocity map ({error}).") from error
    if found.rio.crs is None and "mapping" in found:  # ITS_LIVE's name of its grid mapping
        found = found.rio.write_crs(found["mapping"].attrs.get("crs_wkt"))
    return found


def other_layers(other: Any, ds: xr.Dataset, hold: Hold) -> Iterator[xr.DataArray]:
    """The speed and components of `other` on the posts of `ds`, and what `ds` has more of them.

    Vectors are turned from the axes of the other grid into those of this one, speeds are brought
    to metres a year. Each field is passed through `hold` before the next is made.
    """
    found = open_other(other)
    have = [name for name in ("v", "vx", "vy") if name in found]
    if not have:
        raise InputError("it holds none of v, vx and vy.")
    crs = found.rio.crs if "spatial_ref" in found.coords else crs_of(found)
    matched = {}
    for name in have:
        factor = per_year(found[name])
        field = found[name].squeeze(drop=True)
        if field.rio.crs is None and crs is not None:
            field = field.rio.write_crs(crs)
        on_posts = match_raster(field, ds, name=f"other_{name}", min_coverage=0.0)
        matched[name] = hold(on_posts if factor == 1 else on_posts * np.float32(factor))
    if {"vx", "vy"} <= set(matched) and crs is not None and crs != crs_of(ds):
        for name, field in zip(
            ("vx", "vy"), turned(matched["vx"], matched["vy"], crs, true_lengths=True), strict=True
        ):
            matched[name] = hold(field)
    for name, field in matched.items():
        label, units = SHORT_LABELS[name], VARIABLES[name].units
        field.attrs |= {"units": units, "long_name": f"{label}, other product"}
        yield field
        if name in ds:
            less = (ds[name] - field).rename(f"{name}_difference").astype("float32")
            less.attrs = {"units": units, "long_name": f"{label}, this minus the other"}
            yield hold(less)
