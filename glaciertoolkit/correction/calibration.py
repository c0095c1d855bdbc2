"""Honest errors: those of tracking, brought to the scale of the residuals on stable ground."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, Tile, Window, map_tiles
from glaciertoolkit.correction.points import template_posts
from glaciertoolkit.correction.terms import COMPONENTS
from glaciertoolkit.robust import NMAD_FACTOR

Floats = npt.NDArray[Any]

TILE_POSTS = 512
MOST_POSTS = 1 << 22
"""Posts whose residuals are looked at; of a larger scene, tiles that hold about so many."""
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
        `ds` with new errors, `dxdy_covariance`, and the factors as `error_scale`, without the
        smear, which the errors no longer hold. Without a hold-out, or with fewer than 50
        residuals, the factors are 1.

    Notes
    -----
    Tracking states the error of the displacement at the centre of a template, with what curved
    flow adds: the mean over the template is not the value at its centre. What is measured, and
    what a residual on stable ground can judge, is the mean; so this part is taken out first, the
    mean square of the smear over the neighbours, as tracking put it in. Then

        s^2 = (a s_tracking)^2 + f^2

    f is what residuals share with those two or three templates away, where no two posts have a
    pixel in common: misfit of the surface, interpolation that errs alike where offsets are alike.
    It is the same on ice, where the rest is larger; to scale that by it would spoil the errors of
    the ice. The factor a is such that 68.3 % of the residuals lie within one error, or larger if
    95.4 % within two ask for it (real residuals have longer tails than a Gaussian).

    One pair a and f serves the whole scene: what rock and ice do not share (coherence, shear,
    texture) is in the stated error of each post.
    """
    if not {"dx_error", "dy_error"} <= set(ds.data_vars):
        return ds
    out = _of_the_mean(ds)
    if "dx_holdout" not in ds:
        return out
    scales, floors = [], []
    windows = list(_windows(out))
    for axis in COMPONENTS:
        residuals = [w[f"d{axis}_holdout"].values for w in windows]
        residual, error = (
            np.concatenate([w[f"d{axis}_{kind}"].values.ravel() for w in windows]).astype(float)
            for kind in ("holdout", "error")
        )
        shared = shared_error(residuals, template_posts(ds))
        scales.append(error_scale(residual, error, shared))
        floors.append(shared if np.isfinite(residual / error).sum() >= LEAST_FOR_SCALE else 0.0)
        scaled = (out[f"d{axis}_error"] * np.float32(scales[-1])) ** 2 + np.float32(shared**2)
        out[f"d{axis}_error"] = np.sqrt(scaled).astype(np.float32)
    if "dxdy_covariance" in ds:
        out["dxdy_covariance"] = out["dxdy_covariance"] * np.float32(scales[0] * scales[1])
    words = {
        "error_scale": ("1", "factor applied to the errors of tracking and fit"),
        "error_floor": ("m", "error that posts far apart share, added in quadrature"),
    }
    for (name, (units, text)), values in zip(words.items(), (scales, floors), strict=True):
        attrs = {"units": units, "long_name": text}
        out[name] = ("component", np.array(values), attrs)
    return out


def _windows(ds: xr.Dataset) -> Iterator[xr.Dataset]:
    """Residuals and errors in memory: of all posts, of a large scene in tiles spread over it."""
    names = [f"d{axis}_{kind}" for axis in COMPONENTS for kind in ("holdout", "error")]
    posts = (ds.sizes["y"], ds.sizes["x"])
    edge = TILE_POSTS if posts[0] * posts[1] > MOST_POSTS else max(posts)
    corners = [(y, x) for y in range(0, posts[0], edge) for x in range(0, posts[1], edge)]
    every = max(1, round(len(corners) * edge**2 / MOST_POSTS)) if len(corners) > 1 else 1
    for y, x in corners[every // 2 :: every]:
        yield ds[names].isel(y=slice(y, y + edge), x=slice(x, x + edge)).compute()


def shared_error(residuals: Sequence[Floats], template: tuple[int, int]) -> float:
    """What residuals have in common with those two to three templates away, 1-sigma.

    Parameters
    ----------
    residuals : sequence of numpy.ndarray
        On the posts of one or more windows, NaN where there is none.
    template : tuple of int
        Edge of the template in posts (y, x).

    Notes
    -----
    The root of the covariance, from medians: ``s^2 - d^2 / 2``, with s the scatter of the
    residuals about zero and d that of their differences. 0 where that is negative.
    """
    size = np.concatenate([np.abs(r[np.isfinite(r)]) for r in residuals])
    if size.size < LEAST_FOR_SCALE:
        return 0.0
    differences = []
    for times in (2.0, 2.5, 3.0):
        dy, dx = (round(times * n) for n in template)
        for down, right in ((dy, 0), (0, dx), (dy, dx)):
            for residual in residuals:
                moved, still = residual[down:, right:], residual[: -down or None, : -right or None]
                found = np.abs(moved - still).ravel()
                differences.append(found[np.isfinite(found)])
    apart = np.concatenate(differences)
    if apart.size < LEAST_FOR_SCALE:
        return 0.0
    square = np.median(size) ** 2 - np.median(apart) ** 2 / 2
    return NMAD_FACTOR * float(np.sqrt(max(square, 0.0)))


def error_scale(residual: npt.ArrayLike, error: npt.ArrayLike, floor: float = 0.0) -> float:
    """Factor for stated errors under which residuals have the shares of a Gaussian.

    Parameters
    ----------
    residual, error : array_like
        Of one shape; pairs with a NaN are left out.
    floor : float
        What is added in quadrature to the scaled errors.

    Returns
    -------
    float
        1 where there are fewer than 50 pairs, or all residuals are zero.

    Examples
    --------
    >>> import numpy as np
    >>> error = np.full(20_000, 0.1)
    >>> round(error_scale(np.random.default_rng(0).normal(scale=0.3, size=20_000), error), 1)
    3.0
    """
    r, s = np.abs(np.asarray(residual, float)), np.asarray(error, float)
    good = np.isfinite(r) & np.isfinite(s) & (s > 0)
    if good.sum() < LEAST_FOR_SCALE:
        return 1.0
    r, s = r[good], s[good]
    # |r| <= n sqrt(a^2 s^2 + f^2) where a is at least this:
    needed = [np.sqrt(np.maximum((r / n) ** 2 - floor**2, 0)) / s for _, n in SHARES]
    one, two = (float(np.quantile(a, share)) for a, (share, _) in zip(needed, SHARES, strict=True))
    scale = max(one, (2 * one + two) / 3)
    return scale if scale > 0 else 1.0


def _of_the_mean(ds: xr.Dataset) -> xr.Dataset:
    """Errors without the smear of curved flow, lazy where `ds` is lazy.

    The smear goes with it: taken out of the errors, it must not be taken out a second time.
    """
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
    out = ds.drop_vars(["dx_smear", "dy_smear"])
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
