"""Stable terrain: the ground that has not moved, against which all corrections are made."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError, ParameterError, StableTerrainError
from glaciertoolkit.grids import Grid, grid_spacing, on_posts, rasterize
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.terrain.at_posts import terrain_at_posts

OUTLINE_BUFFER = 150.0
"""Metres by which glacier outlines are grown: they are old, and a template is wide."""

FEWEST = 10
"""Stable posts below which there is nothing to fit."""

HOW = (
    "make it with stable = glaciertoolkit.stable_terrain(ds, outlines=GLACIERS, dem=DEM) or "
    "stable_terrain(ds, polygons=ROCK), or give stable=True where every post should count"
)


def stable_terrain(
    ds: Grid,
    *,
    outlines: Polygons | None = None,
    polygons: Polygons | None = None,
    dem: str | os.PathLike[str] | Grid | None = None,
    buffer: float | None = None,
    max_slope: float = 45.0,
    exclude: Polygons | None = None,
    smooth: float | None = None,
    allow_empty: bool = False,
) -> xr.DataArray:
    """Which posts lie on ground that does not move.

    Give the glaciers (all that lies outside is stable) or the stable ground itself, or both
    (then both must hold).

    Parameters
    ----------
    ds : xarray.Dataset or xarray.DataArray
        The grid with the posts, in metres.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Glacier outlines, in any CRS. All glaciers in the scene must be among them.
    polygons : same kinds, optional
        Stable ground, such as rock.
    dem : path, xarray.DataArray or xarray.Dataset, optional
        Elevation: posts steeper than `max_slope`, and posts without an elevation, are not
        stable. A Dataset from `terrain_at_posts` on the same posts is used as it is.
    buffer : float, optional
        Metres to keep away from what moves: outlines are grown by it and polygons shrunk by it.
        By default 150 for outlines, 0 for polygons.
    max_slope : float
        Degrees; of the ground under a template. Only used with `dem`.
    exclude : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        What else is not stable: lakes, rivers, landslides, rock glaciers.
    smooth : float, optional
        Metres over which the DEM is averaged before its slope is taken (`terrain_at_posts`).
    allow_empty : bool
        Accept outlines that do not overlap the grid: a scene without glaciers.

    Returns
    -------
    xarray.DataArray
        bool, (y, x), named "stable"; how it was made, and the number of posts that each
        condition leaves, are in its attributes.

    Raises
    ------
    StableTerrainError
        Neither outlines nor polygons given, or fewer than ten stable posts.
    GridError
        Outlines, polygons or DEM without a CRS, or of another place.
    ParameterError
        A negative buffer, or a slope outside 0 to 90.

    Notes
    -----
    A post counts where it lies itself; its template reaches half its own width beyond. With
    templates wider than twice the buffer, those of the posts nearest to a glacier still see ice.

    Examples
    --------
    >>> import shapely, xarray as xr
    >>> grid = {"y": [400.0, 300.0, 200.0, 100.0], "x": [0.0, 100.0, 200.0, 300.0]}
    >>> stable = stable_terrain(xr.Dataset(coords=grid), outlines=shapely.box(0, 0, 40, 120),
    ...                         buffer=30)
    >>> int(stable.sum()), bool(stable.sel(y=100.0, x=0.0))
    (15, False)
    """
    if outlines is None and polygons is None:
        raise StableTerrainError(
            "stable terrain needs outlines= (glacier outlines: all outside is stable) or "
            "polygons= (stable ground itself); to count every post, give stable=True instead."
        )
    grid_spacing(ds)  # metres, or an error
    if buffer is not None and not (buffer >= 0 and math.isfinite(buffer)):
        raise ParameterError(f"buffer must be metres, 0 or more; got {buffer!r}.")
    if not 0 < max_slope <= 90:
        raise ParameterError(f"max_slope must lie between 0 and 90 degrees; got {max_slope!r}.")
    conditions: dict[str, xr.DataArray] = {}
    if outlines is not None:
        grow = OUTLINE_BUFFER if buffer is None else buffer
        ice = rasterize(outlines, ds, buffer=grow, what="glacier outlines", allow_empty=allow_empty)
        conditions[f"outside the glacier outlines grown by {grow:g} m"] = ~ice
    if polygons is not None:
        shrink = buffer or 0.0
        shrunk = f" shrunk by {shrink:g} m" if shrink else ""
        rock = rasterize(polygons, ds, buffer=-shrink, what="polygons of stable ground")
        conditions[f"inside the polygons of stable ground{shrunk}"] = rock
    if exclude is not None:
        out = rasterize(exclude, ds, what="polygons to exclude", allow_empty=True)
        conditions["outside the excluded polygons"] = ~out
    if dem is not None:
        conditions |= _gentle(ds, dem, max_slope, smooth)
    return _combined(conditions, ds)


def _gentle(ds: Grid, dem: Any, max_slope: float, smooth: float | None) -> dict[str, xr.DataArray]:
    """The condition that the DEM adds, with its name."""
    if isinstance(dem, xr.Dataset) and "slope" in dem:
        terrain = dem
        _check_same_posts(terrain["slope"], ds, "the terrain given as dem")
    else:
        terrain = terrain_at_posts(ds, dem, smooth=smooth)
    over = f" over {terrain.attrs['smooth']:g} m" if "smooth" in terrain.attrs else ""
    return {f"with a slope{over} of at most {max_slope:g} degrees": terrain["slope"] <= max_slope}


def _combined(conditions: dict[str, xr.DataArray], ds: Grid) -> xr.DataArray:
    keep = np.ones((ds.sizes["y"], ds.sizes["x"]), bool)
    counts = []
    for name, condition in conditions.items():
        keep &= condition.values
        counts.append(f"{name}: {int(condition.sum())}")
    found, total = int(keep.sum()), keep.size
    if found < FEWEST:
        raise StableTerrainError(
            f"only {found} of {total} posts are stable terrain, {FEWEST} or more are needed "
            f"(posts {'; '.join(counts)}); use a smaller buffer, a higher max_slope or other "
            "polygons."
        )
    stable = on_posts(keep, ds, name="stable")
    stable.attrs |= {
        "long_name": "stable terrain",
        "comment": "posts " + ", ".join(conditions),
        "counts": "; ".join(counts),
        "stable_posts": found,
        "stable_fraction": found / total,
    }
    return stable


def as_stable(stable: Any, ds: Grid) -> xr.DataArray:
    """What a person gives as `stable`, as a bool mask on the posts of `ds`.

    Parameters
    ----------
    stable : True, xarray.DataArray or numpy.ndarray
        True: every post. A mask: bool, or 0 and 1 (NaN counts as 0), (y, x), on the same posts.
    ds : xarray.Dataset or xarray.DataArray
        The grid with the posts.

    Returns
    -------
    xarray.DataArray
        bool, (y, x), named "stable".

    Raises
    ------
    StableTerrainError
        None, False, no post at all, or something that is no mask.
    GridError
        The mask lies on other posts.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(coords={"y": [20.0, 10.0], "x": [0.0, 10.0, 20.0]})
    >>> int(as_stable(True, ds).sum())
    6
    """
    shape = (ds.sizes["y"], ds.sizes["x"])
    if stable is None:
        raise StableTerrainError(f"this step needs stable terrain; {HOW}.")
    if isinstance(stable, bool | np.bool_):
        if not stable:
            raise StableTerrainError(f"stable=False leaves no stable terrain; {HOW}.")
        out = on_posts(np.ones(shape, bool), ds, name="stable")
        out.attrs |= {
            "long_name": "stable terrain",
            "comment": "every post, on request",
            "stable_posts": out.size,
            "stable_fraction": 1.0,
        }
        return out
    if isinstance(stable, xr.DataArray):
        mask = _check_same_posts(stable, ds, "the stable terrain")
        attrs = dict(stable.attrs)
    elif isinstance(stable, np.ndarray):
        mask, attrs = stable, {"long_name": "stable terrain"}
        if mask.shape != shape:
            raise GridError(
                f"the stable terrain has the shape {mask.shape}, the posts have {shape}; {HOW}."
            )
    else:
        raise StableTerrainError(
            f"stable must be True or a mask on the posts, not {type(stable).__name__}; {HOW}."
        )
    out = on_posts(_as_bool(mask), ds, name="stable")
    if not out.any():
        raise StableTerrainError(f"the stable terrain holds not a single post; {HOW}.")
    out.attrs = {**attrs, **out.attrs}
    return out


def _as_bool(mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if mask.dtype == bool:
        return mask
    if not np.issubdtype(mask.dtype, np.number) or np.iscomplexobj(mask):
        raise StableTerrainError(f"the stable terrain must be bool; its type is {mask.dtype}.")
    one = np.asarray(mask == 1)
    if not np.all(one | (mask == 0) | np.isnan(mask)):
        raise StableTerrainError(
            "the stable terrain holds other values than 0 and 1; compare it first, for example "
            "mask > 0."
        )
    return one


def _check_same_posts(mask: xr.DataArray, ds: Grid, what: str) -> npt.NDArray[Any]:
    """The values of `mask` as (y, x) where its coordinates are exactly those of `ds`."""
    if set(mask.dims) != {"y", "x"}:
        raise GridError(
            f"{what} must have the dimensions (y, x); it has {tuple(map(str, mask.dims))}."
        )
    if {"y", "x"} <= set(mask.coords):
        for dim in ("y", "x"):
            if not np.array_equal(mask[dim].values, ds[dim].values):
                raise GridError(
                    f"{what} lies on other posts than the Dataset: {_axis(mask, dim)}, "
                    f"but {_axis(ds, dim)} there; make it from this Dataset."
                )
    elif any(mask.sizes[dim] != ds.sizes[dim] for dim in ("y", "x")):
        raise GridError(f"{what} has the shape {dict(mask.sizes)}, the posts {dict(ds.sizes)}.")
    return np.asarray(mask.transpose("y", "x").values)


def _axis(grid: Grid, dim: str) -> str:
    values = grid[dim].values
    return f"{dim} {values[0]:.8g} to {values[-1]:.8g} in {values.size} posts"
