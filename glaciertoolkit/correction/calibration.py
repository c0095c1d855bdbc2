"""Honest errors: those of tracking, brought to the scale of the residuals on stable ground."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, Tile, Window, map_tiles
from glaciertoolkit.correction.points import template_posts
from glaciertoolkit.correction.surface import COMPONENTS

TILE_POSTS = 512
LEAST_FOR_SCALE = 50
"""Hold-out residuals needed before they may rescale the errors of tracking."""
SHARES = ((0.6827, 1.0), (0.9545, 2.0))
"""Share of Gaussian errors within so many standard deviations."""
LEAST_LEFT = 0.09
"""Share of the variance of a match that the smear of the flow leaves at least."""


def calibrate_errors(ds: xr.Dataset) -> xr.Dataset:
    """Errors of the mean motion over each template, scaled to explain the hold-out residuals.

    Parameters
    ----------
    ds : xarray.Dataset
        Motion with `dx_error`, `dy_error` (tracking and fit) and, where there is hold-out ground,
        `dx_holdout`, `dy_holdout`; with `dx_smear`, `dy_smear` where tracking left them.

    Returns
    -------
    xarray.Dataset
        `ds` with new errors, `dxdy_covariance`, and the factors as `error_scale`. Without a
        hold-out, or with fewer than 50 residuals, the factors are 1.

    Notes
    -----
    Tracking states the error of the displacement at the centre of a template, with what curved
    flow adds: the mean over the template is not the value at its centre. What is measured, and
    what a residual on stable ground can judge, is the mean; so this part is taken out first, the
    mean square of the smear over the neighbours, as tracking put it in. The factor is the larger
    of two: that for which 68.3 % of the residuals lie within one error, and the mean of it and of
    the one for which 95.4 % lie within two (real residuals have longer tails than a Gaussian).

    One factor serves the whole scene. It mends what rock and ice share: how the images' spectra
    and the interpolation enter the stated error. What differs between them (coherence, shear,
    texture) is in the stated error of each post.
    """
    if not {"dx_error", "dy_error"} <= set(ds.data_vars):
        return ds
    out = _of_the_mean(ds)
    if "dx_holdout" not in ds:
        return out
    scales = []
    for axis in COMPONENTS:
        residual = np.asarray(ds[f"d{axis}_holdout"].values, float)
        error = np.asarray(out[f"d{axis}_error"].values, float)
        scales.append(error_scale(residual / error))
        out[f"d{axis}_error"] = (out[f"d{axis}_error"] * np.float32(scales[-1])).astype(np.float32)
    if "dxdy_covariance" in ds:
        factor = np.float32(scales[0] * scales[1])
        out["dxdy_covariance"] = out["dxdy_covariance"] * factor
    out["error_scale"] = (
        "component",
        np.array(scales),
        {"units": "1", "long_name": "factor applied to the errors of tracking and fit"},
    )
    return out


def error_scale(z: npt.ArrayLike) -> float:
    """Factor for stated errors under which standardised residuals have the right shares.

    Parameters
    ----------
    z : array_like
        Residual over stated error; NaN is left out.

    Returns
    -------
    float
        1 where there are fewer than 50 values, or where they are all zero.

    Examples
    --------
    >>> import numpy as np
    >>> round(error_scale(3 * np.random.default_rng(0).normal(size=20_000)), 1)
    3.0
    """
    size = np.abs(np.asarray(z, float))
    size = size[np.isfinite(size)]
    if size.size < LEAST_FOR_SCALE:
        return 1.0
    one, two = (float(np.quantile(size, share)) / sigmas for share, sigmas in SHARES)
    scale = max(one, (one + two) / 2)
    return scale if scale > 0 else 1.0


def _of_the_mean(ds: xr.Dataset) -> xr.Dataset:
    """Errors without the smear of curved flow, lazy where `ds` is lazy."""
    if not {"dx_smear", "dy_smear"} <= set(ds.data_vars):
        return ds.copy()
    posts = (ds.sizes["y"], ds.sizes["x"])
    cy, cx = template_posts(ds)
    reach = (max(cy // 2, 1), max(cx // 2, 1))
    names = ["dx_error", "dy_error", "dxdy_covariance"]
    names = [name for name in names if name in ds]
    planes = map_tiles(
        functools.partial(mean_errors, reach=reach),
        [ds[name].data for name in ("dx_smear", "dy_smear", *names)],
        lattice=Lattice(posts, TILE_POSTS),
        window=functools.partial(_window, posts=posts, reach=reach),
        planes=len(names),
        name="smear",
    )
    out = ds.copy()
    for name, plane in zip(names, planes, strict=True):
        out[name] = ds[name].copy(data=plane)
    return out


def _window(tile: Tile, *, posts: tuple[int, int], reach: tuple[int, int]) -> Window:
    return Window(
        max(tile.y0 - reach[0], 0),
        min(tile.y1 + reach[0], posts[0]),
        max(tile.x0 - reach[1], 0),
        min(tile.x1 + reach[1], posts[1]),
    )


def mean_errors(*blocks: Any, reach: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Planes dx_error, dy_error and, if given, dxdy_covariance of a tile, without the smear.

    Called with windows of dx_smear, dy_smear and of what is returned, the tile and its window.
    """
    from scipy.ndimage import uniform_filter

    *planes, tile, window = blocks
    core = (
        slice(tile.y0 - window.y0, tile.y1 - window.y0),
        slice(tile.x0 - window.x0, tile.x1 - window.x0),
    )
    x, y = (np.nan_to_num(p).astype(np.float64) for p in planes[:2])
    size = [2 * n + 1 for n in reach]
    xx, yy, xy = (uniform_filter(p, size, mode="nearest")[core] for p in (x * x, y * y, x * y))
    given = [np.asarray(p, np.float64)[core] for p in planes[2:]]
    left = [
        np.sqrt(np.maximum(error**2 - smear, LEAST_LEFT * error**2))
        for error, smear in zip(given[:2], (xx, yy), strict=True)
    ]
    if len(given) == 3:
        most = 0.99 * left[0] * left[1]
        left.append(np.clip(given[2] - xy, -most, most))
    return np.stack(left).astype(np.float32)
