"""High-frequency noise: matches that their neighbours contradict, and what smoothing remains."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, Tile, Window, map_tiles
from glaciertoolkit.conventions import Flag, describe, interval_days, validate
from glaciertoolkit.correction.points import template_posts
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.provenance import recorded

Array = npt.NDArray[np.float32]

TILE_POSTS = 512
RADIUS = 2
PASSES = 3


@dataclass(frozen=True)
class NoiseParameters:
    """Thresholds of the tests; lengths of displacement in metres along x."""

    strides: tuple[tuple[int, int], ...]
    reach: float
    least_share: float
    threshold: float
    floor: float
    island: tuple[int, int]
    largest: float
    smooth: int

    @property
    def halo(self) -> int:
        """Posts around a tile that can change what happens inside it."""
        # Two tests a stride, each looking RADIUS strides far, one after the other.
        reach = 2 * RADIUS * PASSES * sum(max(s) for s in self.strides)
        return reach + max(self.island) + self.smooth


def _window(tile: Tile, *, posts: tuple[int, int], halo: int) -> Window:
    return Window(
        max(tile.y0 - halo, 0),
        min(tile.y1 + halo, posts[0]),
        max(tile.x0 - halo, 0),
        min(tile.x1 + halo, posts[1]),
    )


def noise_tile(
    dx: Array, dy: Array, tile: Tile, window: Window, *, parameters: NoiseParameters
) -> Array:
    """Planes (dx, dy, new flag bits) of one tile of posts."""
    from glaciertoolkit.correction import kernels

    u, v = np.array(dx, np.float32), np.array(dy, np.float32)
    p = parameters
    flag = np.zeros(u.shape, np.uint32)

    def reject(where: npt.NDArray[np.bool_], why: Flag) -> bool:
        if not where.any():
            return False
        u[where], v[where] = np.nan, np.nan
        flag[where] |= np.uint32(why)
        return True

    if np.isfinite(p.largest):
        reject(np.hypot(u, v) > p.largest, Flag.TOO_FAST)
    network = kernels.sorting_network((2 * RADIUS + 1) ** 2 - 1)
    for _ in range(PASSES):
        changed = False
        for stride in p.strides:
            if p.least_share > 0:
                bad = kernels.disparity_test(
                    u, v, RADIUS, *stride, np.float32(p.reach), p.least_share
                )
                changed |= reject(bad, Flag.OUTLIER_DISPARITY)
            if np.isfinite(p.threshold):
                bad = kernels.median_test(
                    u, v, RADIUS, *stride, np.float32(p.threshold), np.float32(p.floor), network
                )
                changed |= reject(bad, Flag.OUTLIER_MEDIAN)
        if not changed:
            break
    if min(p.island) > 1:
        reject(kernels.small_islands(np.isfinite(u), *p.island), Flag.SMALL_OBJECT)
    if p.smooth:
        u, v = kernels.median_smooth(u, p.smooth), kernels.median_smooth(v, p.smooth)
        flag[np.isfinite(u)] |= np.uint32(Flag.SMOOTHED)
    core = (
        slice(tile.y0 - window.y0, tile.y1 - window.y0),
        slice(tile.x0 - window.x0, tile.x1 - window.x0),
    )
    return np.stack([u[core], v[core], flag[core].astype(np.float32)])


@recorded
def filter_noise(
    ds: xr.Dataset,
    *,
    disparity_share: float = 8 / 25,
    disparity_reach: float = 0.2,
    median_threshold: float = 3.0,
    median_floor: float = 0.1,
    min_island: float = 1.0,
    max_speed: float | None = None,
    smooth: int = 0,
) -> xr.Dataset:
    """Reject displacements that their neighbours contradict; smooth only if asked to.

    Two tests, each with the 5 x 5 neighbours next to the post and again with neighbours half a
    template apart (posts closer than a template share pixels, and so share their mistakes),
    repeated three times; then what is left of isolated groups goes.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets or corrected motion with `dx`, `dy`, `flag` (and the attributes of `track`).
    disparity_share : float
        Disparity test: at least this share of the neighbours must agree; 0 switches it off.
    disparity_reach : float
        They agree within this share of the search radius.
    median_threshold : float
        Normalised median test: largest distance from the neighbours' median, in units of their
        median absolute deviation plus `median_floor`; infinity switches it off.
    median_floor : float
        Pixels.
    min_island : float
        Connected groups of posts that measure less than this many template edges are removed:
        in one template there is no second measurement that could confirm the first. 0 keeps all.
    max_speed : float, optional
        Largest plausible speed, m per day; faster posts are removed.
    smooth : int
        Radius of a median filter on the components, posts; 0 (default) leaves values as measured.

    Returns
    -------
    xarray.Dataset
        Rejected posts are NaN, each test sets its bit in `flag`; lazy where `ds` is lazy.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    MissingVariableError
        If `ds` holds no displacement.

    Notes
    -----
    Smoothing acts on components, never on the speed, whose mean noise biases.

    References
    ----------
    Disparity test: Gardner et al., autoRIFT (Lei, Gardner and Agram 2021, Remote Sensing 13,
    749). Normalised median: Westerweel, J. and Scarano, F. (2005), Universal outlier detection
    for PIV data, Experiments in Fluids 39.
    """
    validate(ds, needs=("dx", "dy", "flag"))
    parameters = _parameters(
        ds, disparity_share, disparity_reach, median_threshold, median_floor, min_island,
        max_speed, smooth,
    )  # fmt: skip
    posts = (ds.sizes["y"], ds.sizes["x"])
    planes = map_tiles(
        functools.partial(noise_tile, parameters=parameters),
        (ds["dx"].data, ds["dy"].data),
        lattice=Lattice(posts, TILE_POSTS),
        window=functools.partial(_window, posts=posts, halo=parameters.halo),
        planes=3,
        name="noise",
    )
    out = ds.copy()
    out["dx"] = ds["dx"].copy(data=planes[0])
    out["dy"] = ds["dy"].copy(data=planes[1])
    out["flag"] = ds["flag"].copy(data=ds["flag"].data | planes[2].astype(np.uint32))
    return describe(blank_errors(out))


def blank_errors(ds: xr.Dataset) -> xr.Dataset:
    """Errors and hold-out residuals are NaN wherever the displacement is."""
    out = ds.copy()
    missing = np.isnan(ds["dx"])
    for name in ("dx_error", "dy_error", "dxdy_covariance", "dx_holdout", "dy_holdout"):
        if name in ds:
            out[name] = ds[name].where(~missing)
    return out


def _parameters(
    ds: xr.Dataset, share: float, reach: float, threshold: float, floor: float, min_island: float,
    max_speed: float | None, smooth: int,
) -> NoiseParameters:  # fmt: skip
    for name, value, low, high in (
        ("disparity_share", share, 0, 1),
        ("disparity_reach", reach, 0, 1),
        ("median_threshold", threshold, 1, np.inf),
        ("median_floor", floor, 0, 10),
        ("min_island", min_island, 0, 4),
        ("smooth", smooth, 0, 10),
    ):
        if not low <= value <= high:
            raise ParameterError(f"{name} must lie between {low} and {high}; got {value!r}.")
    if max_speed is not None and not max_speed > 0:
        raise ParameterError(f"max_speed must be a positive speed in m per day; got {max_speed!r}.")
    pixel: Any = np.atleast_1d(ds.attrs.get("pixel", 1.0))
    search: Any = np.atleast_1d(ds.attrs.get("search", 16))
    metres = float(np.max(pixel))
    cy, cx = template_posts(ds)
    apart = (max(1, cy // 2), max(1, cx // 2))
    strides = ((1, 1), apart) if apart != (1, 1) else ((1, 1),)
    return NoiseParameters(
        strides=strides,
        reach=reach * float(np.max(search)) * metres,
        least_share=share,
        threshold=threshold,
        floor=floor * metres,
        island=(math.ceil(min_island * cy), math.ceil(min_island * cx)),
        largest=np.inf if max_speed is None else max_speed * interval_days(ds),
        smooth=smooth,
    )
