"""Another product (ITS_LIVE, an earlier run) on the posts of this one, beside it and subtracted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import VARIABLES
from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.grids import crs_of, match_raster
from glaciertoolkit.io.products import open_products
from glaciertoolkit.styles import SHORT_LABELS

LATTICE = 33
"""Points along each side at which the angle between two grids is worked out."""

ROWS = 512
"""Rows of posts that are turned at once."""

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

    Vectors are turned from the axes of the other grid into those of this one. Each field is
    passed through `hold` before the next is made.
    """
    found = open_other(other)
    have = [name for name in ("v", "vx", "vy") if name in found]
    if not have:
        raise InputError("it holds none of v, vx and vy.")
    crs = found.rio.crs if "spatial_ref" in found.coords else crs_of(found)
    matched = {}
    for name in have:
        field = found[name].squeeze(drop=True)
        if field.rio.crs is None and crs is not None:
            field = field.rio.write_crs(crs)
        matched[name] = hold(match_raster(field, ds, name=f"other_{name}", min_coverage=0.0))
    if {"vx", "vy"} <= set(matched) and crs is not None and crs != crs_of(ds):
        for name, turned in _turned(matched["vx"], matched["vy"], crs, crs_of(ds)).items():
            matched[name] = hold(turned)
    for name, field in matched.items():
        label, units = SHORT_LABELS[name], VARIABLES[name].units
        field.attrs |= {"units": units, "long_name": f"{label}, other product"}
        yield field
        if name in ds:
            less = (ds[name] - field).rename(f"{name}_difference").astype("float32")
            less.attrs = {"units": units, "long_name": f"{label}, this minus the other"}
            yield hold(less)


def _turned(vx: xr.DataArray, vy: xr.DataArray, crs: Any, to: Any) -> dict[str, xr.DataArray]:
    """Components along the axes of `crs` as those along the axes of `to`, on posts in `to`."""
    from scipy.interpolate import RectBivariateSpline

    x, y = vx["x"].values.astype(float), vx["y"].values.astype(float)
    xs, ys = (np.linspace(v.min(), v.max(), LATTICE) for v in (x, y))
    angle = RectBivariateSpline(ys, xs, _angle(xs, ys, crs, to), kx=1, ky=1)
    out = {"vx": np.empty(vx.shape, "float32"), "vy": np.empty(vx.shape, "float32")}
    for start in range(0, y.size, ROWS):
        rows = slice(start, start + ROWS)
        rising, leftward = np.argsort(y[rows]), np.argsort(x)
        turn = np.empty((y[rows].size, x.size))
        turn[np.ix_(rising, leftward)] = angle(y[rows][rising], x[leftward])
        cos, sin = np.cos(turn), np.sin(turn)
        east, north = vx.isel(y=rows).values, vy.isel(y=rows).values
        out["vx"][rows] = cos * east - sin * north
        out["vy"][rows] = sin * east + cos * north
    return {name: vx.copy(data=values).rename(f"other_{name}") for name, values in out.items()}


def _angle(
    xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], crs: Any, to: Any
) -> npt.NDArray[np.float64]:
    """Angle, counter-clockwise, from the x axis of `to` to that of `crs`, on a lattice in `to`."""
    from pyproj import Transformer

    x, y = np.meshgrid(xs, ys)
    there = Transformer.from_crs(to, crs, always_xy=True).transform(x, y)
    step = 100.0 if not crs.is_geographic else 1e-3
    back = Transformer.from_crs(crs, to, always_xy=True).transform(there[0] + step, there[1])
    # Both neighbours, since one alone would turn with the curvature of the grid lines.
    behind = Transformer.from_crs(crs, to, always_xy=True).transform(there[0] - step, there[1])
    angle = np.arctan2(back[1] - behind[1], back[0] - behind[0])
    return np.asarray(np.unwrap(np.unwrap(angle, axis=0), axis=1))
