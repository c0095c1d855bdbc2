"""GLAFT's two measures of a velocity map: static terrain and strain along the flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.grids import grid_spacing

Array = npt.NDArray[np.float64]

BANDWIDTH = 2.1991
"""Rule of thumb for the Epanechnikov kernel in two dimensions, times sigma n^(-1/6)."""
CELLS = 8
"""Cells of the grid along a bandwidth."""
MOST_CELLS = 2048
FLOW_KERNEL = 1500.0
"""Edge, m, of the median filter that finds the direction of flow."""
WIDEST_KERNEL = 35
"""Posts: no wider than that."""
LEAST_POINTS = 30


@dataclass(frozen=True)
class Density:
    """Density of points in a plane, and how wide its core is.

    `x`, `y`: centres of the cells; `density` (y, x), with unit integral over the whole plane;
    `half_width` (x, y) and `peak` (x, y) in the unit of the points; `outlier_share`: of the points
    outside the rectangle around the core; `points`, their number; `bandwidth`.
    """

    x: Array
    y: Array
    density: Array
    half_width: tuple[float, float]
    peak: tuple[float, float]
    outlier_share: float
    points: int
    bandwidth: float
    threshold: float


def kernel_density(x: npt.ArrayLike, y: npt.ArrayLike, *, sigmas: float = 2.0) -> Density:
    """Epanechnikov density of points, and the region where it exceeds peak / exp(sigmas^2 / 2).

    Parameters
    ----------
    x, y : array_like
        Coordinates of the points in one unit; pairs with a NaN are left out.
    sigmas : float
        For a Gaussian the region reaches so many standard deviations.

    Returns
    -------
    Density

    Raises
    ------
    InputError
        With fewer than 30 points, or all of them in one place.
    ParameterError
        If `sigmas` is not positive.

    Notes
    -----
    The bandwidth is ``2.1991 sigma n^(-1/6)``, sigma the geometric mean of the two standard
    deviations, as in GLAFT. Points are counted on a grid of an eighth of it (less where they
    are spread widely), each shared among four cells, and the counts convolved with the kernel: a
    million points cost as much as the transform of the grid. The kernel widens the region: for n
    Gaussian points the half width is about ``sigmas * sigma * sqrt(1 + 0.8 n^(-1/3))``.

    References
    ----------
    Zheng, W. et al. (2023), Glacier geometry and flow from feature tracking: GLAFT, The
    Cryosphere 17.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> found = kernel_density(rng.normal(size=100_000), rng.normal(scale=0.5, size=100_000))
    >>> [round(w, 1) for w in found.half_width]
    [2.0, 1.0]
    """
    if not sigmas > 0:
        raise ParameterError(f"sigmas must be positive; got {sigmas!r}.")
    a, b = np.ravel(np.asarray(x, float)), np.ravel(np.asarray(y, float))
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    if a.size < LEAST_POINTS:
        raise InputError(f"a density needs {LEAST_POINTS} points or more; there are {a.size}.")
    sigma = float(np.sqrt(a.std(ddof=1) * b.std(ddof=1)))
    if not sigma > 0:
        raise InputError("all points have one and the same coordinate; there is no density.")
    bandwidth = BANDWIDTH * sigma * a.size ** (-1 / 6)
    middle = (float(np.median(a)), float(np.median(b)))
    # As GLAFT: about the median, a sigma beyond the region; widened where it does not fit.
    reach = (sigmas + 1) * max(float(a.std(ddof=1)), float(b.std(ddof=1))) + bandwidth
    for _ in range(4):
        found = _density(a, b, middle, reach, bandwidth, sigmas)
        edge = found[2] >= found[3]
        if not (edge[0].any() or edge[-1].any() or edge[:, 0].any() or edge[:, -1].any()):
            break
        reach *= 1.5
    gx, gy, density, threshold = found
    inside = density >= threshold
    cols, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    low, high = (gx[cols[0]], gy[rows[0]]), (gx[cols[-1]], gy[rows[-1]])
    out = (a < low[0]) | (a > high[0]) | (b < low[1]) | (b > high[1])
    top = np.unravel_index(int(density.argmax()), density.shape)
    return Density(
        gx, gy, density,
        (float(high[0] - low[0]) / 2, float(high[1] - low[1]) / 2),
        (float(gx[top[1]]), float(gy[top[0]])),
        float(out.mean()), int(a.size), bandwidth, threshold,
    )  # fmt: skip


def _density(
    a: Array, b: Array, middle: tuple[float, float], reach: float, bandwidth: float, sigmas: float
) -> tuple[Array, Array, Array, float]:
    """Cell centres along x and y, the density on them, and the threshold of its core."""
    from scipy.signal import fftconvolve

    cell = max(bandwidth / CELLS, 2 * reach / MOST_CELLS)
    n = int(np.ceil(reach / cell))
    offset = np.arange(-n, n + 1, dtype=np.float64) * cell
    counts = _shared_counts((a - middle[0]) / cell + n, (b - middle[1]) / cell + n, 2 * n + 1)
    half = int(np.ceil(bandwidth / cell))
    k = np.arange(-half, half + 1) * cell / bandwidth
    kernel = np.maximum(1 - k[:, None] ** 2 - k[None, :] ** 2, 0)
    kernel /= kernel.sum()
    smooth = np.asarray(fftconvolve(counts, kernel, mode="same"), float)
    density = np.maximum(smooth, 0) / (a.size * cell**2)
    threshold = float(density.max() * np.exp(-(sigmas**2) / 2))
    x, y = (np.asarray(m + offset, np.float64) for m in middle)
    return x, y, density, threshold


def _shared_counts(x: Array, y: Array, size: int) -> Array:
    """Points counted on a grid, each shared linearly among the four cells around it."""
    inside = (x >= 0) & (x < size - 1) & (y >= 0) & (y < size - 1)
    x, y = x[inside], y[inside]
    i, j = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    fy, fx = y - i, x - j
    out = np.zeros(size * size)
    for di, wy in ((0, 1 - fy), (1, fy)):
        for dj, wx in ((0, 1 - fx), (1, fx)):
            out += np.bincount((i + di) * size + j + dj, weights=wy * wx, minlength=size * size)
    return out.reshape(size, size)


def static_terrain(ds: xr.Dataset, ground: npt.ArrayLike, *, sigmas: float = 2.0) -> Density:
    """GLAFT's first measure: the spread of the velocity of ground that does not move, m yr-1.

    Parameters
    ----------
    ds : xarray.Dataset
        With `vx`, `vy`.
    ground : array_like of bool
        Stable ground on the posts.
    sigmas : float
        See `kernel_density`.

    Returns
    -------
    Density
    """
    validate(ds, needs=("vx", "vy"))
    where = np.asarray(ground, bool)
    return kernel_density(
        np.asarray(ds["vx"].values)[where], np.asarray(ds["vy"].values)[where], sigmas=sigmas
    )


def strain_along_flow(ds: xr.Dataset) -> tuple[Array, Array]:
    """Strain rates turned into the direction of flow: normal and shear, yr-1, on the posts.

    Parameters
    ----------
    ds : xarray.Dataset
        With `vx`, `vy` (m yr-1) on a regular grid.

    Returns
    -------
    normal, shear : numpy.ndarray
        ``e_x'x'`` and ``e_x'y'``; NaN where the post or a neighbour is missing.

    Notes
    -----
    True gradients by Sobel's operator over 8 times the spacing (GLAFT leaves out the 8, so that
    its values are eight times as large). With n the unit vector of the flow, from the components'
    medians over about 1500 m, at most 35 posts: ``e_x'x' = n E n``, ``e_x'y' = n E m``, m to the
    left of n, E the symmetric part of the gradient.
    """
    from scipy.ndimage import median_filter

    validate(ds, needs=("vx", "vy"))
    sy, sx = grid_spacing(ds)
    up = -1.0 if float(ds["y"][1] - ds["y"][0]) < 0 else 1.0
    right = -1.0 if float(ds["x"][1] - ds["x"][0]) < 0 else 1.0
    u, v = (np.asarray(ds[k].values, float) for k in ("vx", "vy"))
    ux, uy = _gradient(u, sx * right, sy * up)
    vx, vy = _gradient(v, sx * right, sy * up)
    size = [min(int(FLOW_KERNEL / s) | 1, WIDEST_KERNEL) for s in (sy, sx)]
    known = np.isfinite(u) & np.isfinite(v)
    east, north = (
        median_filter(np.where(known, c, 0.0), size=size, mode="nearest") for c in (u, v)
    )
    length = np.hypot(east, north)
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.stack([east, north]) / np.where(length > 0, length, np.nan)
    shear = (uy + vx) / 2
    along = n[0] ** 2 * ux + 2 * n[0] * n[1] * shear + n[1] ** 2 * vy
    across = n[0] * n[1] * (vy - ux) + (n[0] ** 2 - n[1] ** 2) * shear
    return np.where(known, along, np.nan), np.where(known, across, np.nan)


def _gradient(field: Array, step_x: float, step_y: float) -> tuple[Array, Array]:
    """Gradient along x and y; NaN where a neighbour is missing, and along the edge."""
    out = np.full((2, *field.shape), np.nan)
    if min(field.shape) >= 3:
        f = field
        a, b, c = f[:-2, :-2], f[:-2, 1:-1], f[:-2, 2:]
        d, e = f[1:-1, :-2], f[1:-1, 2:]
        g, h, i = f[2:, :-2], f[2:, 1:-1], f[2:, 2:]
        out[0, 1:-1, 1:-1] = ((c - a) + 2 * (e - d) + (i - g)) / (8 * step_x)
        out[1, 1:-1, 1:-1] = ((g - a) + 2 * (h - b) + (i - c)) / (8 * step_y)
    return out[0], out[1]


def flow_strain(ds: xr.Dataset, ice: npt.ArrayLike, *, sigmas: float = 2.0) -> Density:
    """GLAFT's second measure: the spread of the strain rate along the flow of the ice, yr-1.

    Parameters
    ----------
    ds : xarray.Dataset
        With `vx`, `vy`.
    ice : array_like of bool
        Glacier ice on the posts.
    sigmas : float
        See `kernel_density`.

    Returns
    -------
    Density
        x is the normal strain rate along the flow, y the shear strain rate.
    """
    along, across = strain_along_flow(ds)
    where = np.asarray(ice, bool)
    return kernel_density(along[where], across[where], sigmas=sigmas)


def density_dataset(density: Density, prefix: str, units: str, axes: tuple[str, str]) -> xr.Dataset:
    """A density and its measures as variables ``{prefix}_...`` of a Dataset."""
    names: dict[str, Any] = {}
    for k, axis in enumerate(axes):
        names[f"{prefix}_half_width_{axis}"] = ((), density.half_width[k], {"units": units})
        names[f"{prefix}_peak_{axis}"] = ((), density.peak[k], {"units": units})
    names[f"{prefix}_outlier_share"] = ((), density.outlier_share, {"units": "1"})
    names[f"{prefix}_points"] = ((), density.points, {"units": "1"})
    # What is drawn needs no more than that.
    every = max(1, density.x.size // 200)
    y, x = f"{prefix}_y", f"{prefix}_x"
    names[f"{prefix}_density"] = (
        (y, x), density.density[::every, ::every].astype(np.float32), {"units": f"({units})-2"},
    )  # fmt: skip
    coords = {x: (x, density.x[::every]), y: (y, density.y[::every])}
    for axis, name in zip((x, y), axes, strict=True):
        coords[axis] = (*coords[axis], {"units": units, "long_name": name})  # type: ignore[assignment]
    return xr.Dataset(names, coords=coords)
