"""How the ground bends, and how rough it is: curvature and relief."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import variable_attrs
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import grid_spacing
from glaciertoolkit.terrain.surface import Array, derived

KINDS = ("profile", "plan")


class Derivatives(NamedTuple):
    """First and second derivatives of a surface along x and y."""

    x: Array
    y: Array
    xx: Array
    xy: Array
    yy: Array


def curvature(dem: xr.DataArray, *, kind: str = "profile") -> xr.DataArray:
    """How the ground bends along its slope or across it.

    Parameters
    ----------
    dem : xarray.DataArray
        Elevation, m, dimensions (y, x), coordinates in metres. NumPy or Dask; the result is what
        the input is. Average it first over what shall count (`terrain_at_posts` does).
    kind : {"profile", "plan"}
        "profile": bending of the surface in the direction of its slope; ice speeds up or slows
        down along it. "plan": bending of the contour lines; ice spreads or comes together.

    Returns
    -------
    xarray.DataArray
        float32, m-1. Positive where the ground is convex: steepening downhill, or a rib from which
        water flows apart; negative in hollows. NaN along the outer edge, next to missing
        elevations and where the ground is level.

    Raises
    ------
    GridError
        As for `slope`.
    ParameterError
        Another kind.

    Notes
    -----
    With the derivatives ``p, q`` (first) and ``r, s, t`` (second, along xx, xy, yy) of the
    quadratic fitted to three by three posts:
    profile ``-(p^2 r + 2 p q s + q^2 t) / ((p^2 + q^2) (1 + p^2 + q^2)^1.5)``,
    plan ``-(q^2 r - 2 p q s + p^2 t) / (p^2 + q^2)^1.5``, one over the radius of the contour line.

    References
    ----------
    Evans, I. S. (1980), An integrated system of terrain analysis and slope mapping, Zeitschrift
    fuer Geomorphologie, Supplementband 36.
    Schmidt, J., Evans, I. S. and Brinkmann, J. (2003), Comparison of polynomial models for land
    surface curvature calculation, International Journal of GIS 17(8).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 10.0 * np.arange(-20, 21)
    >>> cone = xr.DataArray(-np.hypot(*np.meshgrid(x, x)), coords={"y": x, "x": x},
    ...                     dims=("y", "x"))
    >>> bend = curvature(cone, kind="plan").sel(x=100.0, y=0.0)   # a contour of radius 100 m
    >>> round(1 / float(bend), 1)
    99.3
    """
    if kind not in KINDS:
        raise ParameterError(f'kind must be "profile" or "plan"; got {kind!r}.')
    formula = profile_curvature if kind == "profile" else plan_curvature
    name = f"{kind}_curvature"
    run = functools.partial(_curvature, formula=formula)
    return derived(dem, run, name, variable_attrs(name))


def relief(dem: xr.DataArray, *, window: float) -> xr.DataArray:
    """Highest minus lowest elevation in a square around each post.

    Parameters
    ----------
    dem : xarray.DataArray
        As for `curvature`.
    window : float
        Edge of the square, m.

    Returns
    -------
    xarray.DataArray
        float32, m. Missing elevations do not count; NaN where the post itself has none.

    Raises
    ------
    GridError
        As for `slope`.
    ParameterError
        A window that is not positive.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 10.0 * np.arange(9)
    >>> dem = xr.DataArray(np.tile(x, (9, 1)), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> float(relief(dem, window=40)[4, 4])
    40.0
    """
    if not (window > 0 and math.isfinite(window)):
        raise ParameterError(f"window must be positive metres; got {window!r}.")
    rows, cols = (max(1, round(window / 2 / step)) for step in grid_spacing(dem))
    run = functools.partial(_relief, reach=(rows, cols))
    return derived(dem, run, "relief", variable_attrs("relief"), depth=max(rows, cols))


def derivatives(z: Array, dx: float, dy: float) -> Derivatives:
    """Derivatives of the quadratic through three by three posts; NaN along the edge."""
    z = z.astype(np.float64)
    out = Derivatives(*(np.full(z.shape, np.nan) for _ in range(5)))
    if min(z.shape) < 3:
        return out
    rows = [z[i : z.shape[0] - 2 + i] for i in range(3)]
    (nw, n, ne), (w, c, e), (sw, s, se) = (
        [row[:, j : row.shape[1] - 2 + j] for j in range(3)] for row in rows
    )
    inner = (slice(1, -1), slice(1, -1))
    out.x[inner] = (ne + e + se - nw - w - sw) / (6 * dx)
    out.y[inner] = (sw + s + se - nw - n - ne) / (6 * dy)
    out.xx[inner] = (nw + w + sw - 2 * (n + c + s) + ne + e + se) / (3 * dx**2)
    out.yy[inner] = (nw + n + ne - 2 * (w + c + e) + sw + s + se) / (3 * dy**2)
    out.xy[inner] = (se + nw - sw - ne) / (4 * dx * dy)
    return out


def profile_curvature(d: Derivatives) -> Array:
    """Bending along the slope, m-1, positive where convex."""
    steep = d.x**2 + d.y**2
    bend = d.x**2 * d.xx + 2 * d.x * d.y * d.xy + d.y**2 * d.yy
    return _over(-bend, steep * (1 + steep) ** 1.5)


def plan_curvature(d: Derivatives) -> Array:
    """Bending of the contour line, m-1, positive where it turns around higher ground."""
    steep = d.x**2 + d.y**2
    bend = d.y**2 * d.xx - 2 * d.x * d.y * d.xy + d.x**2 * d.yy
    return _over(-bend, steep**1.5)


def range_within(z: Array, reach: tuple[int, int]) -> Array:
    """Highest minus lowest value within `reach` posts along y and x, the missing left out."""
    from scipy.ndimage import maximum_filter, minimum_filter

    size = tuple(2 * r + 1 for r in reach)
    missing = np.isnan(z)
    high = maximum_filter(np.where(missing, -np.inf, z), size, mode="nearest")
    low = minimum_filter(np.where(missing, np.inf, z), size, mode="nearest")
    with np.errstate(invalid="ignore"):
        return np.where(missing, np.nan, high - low).astype(np.float32)


def _curvature(z: Array, *, dx: float, dy: float, formula: Callable[[Derivatives], Array]) -> Array:
    return formula(derivatives(z, dx, dy))


def _relief(z: Array, *, dx: float, dy: float, reach: tuple[int, int]) -> Array:  # noqa: ARG001
    return range_within(z, reach)


def _over(upper: Array, lower: Array) -> Array:
    out = np.full(upper.shape, np.nan)
    np.divide(upper, lower, out=out, where=lower > 0)
    return out.astype(np.float32)
