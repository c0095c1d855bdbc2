"""Errors of means over areas: correlated errors average out more slowly than independent ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import burn_index, grid_spacing, read_outlines
from glaciertoolkit.uncertainty.variograms import SHAPES, Variogram, residual_variogram

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]

MOST_CELLS = 2**22
"""Cells (zero-padded) up to which all pairs are summed exactly, by a Fourier transform."""


def effective_number(
    weights: npt.ArrayLike, spacing: tuple[float, float], variogram: Variogram
) -> float:
    """How many independent values the values on some posts of a grid are worth.

    Parameters
    ----------
    weights : array_like
        2-D: the 1-sigma error of each post, or a mask; 0, False or NaN where there is none.
    spacing : (float, float)
        Metres between rows and between columns.
    variogram : Variogram
        Of the errors.

    Returns
    -------
    float
        Between 1 and the number of posts; NaN without any.

    Notes
    -----
    ``n_eff = sum_i s_i^2 N / sum_ij rho(d_ij) s_i s_j``, so that the variance of the mean is the
    mean variance over n_eff. The double sum is exact: the autocorrelation of the weights, by a
    Fourier transform, times the correlation at each lag. Areas beyond four million cells are
    first summed over blocks of posts; within a block the correlation is averaged.

    Examples
    --------
    >>> import numpy as np
    >>> from glaciertoolkit.uncertainty.variograms import Structure, Variogram
    >>> white = Variogram((), nugget=1.0)
    >>> round(effective_number(np.ones((10, 20)), (30.0, 30.0), white))
    200
    >>> alike = Variogram((Structure("spherical", 1.0, 180.0),))
    >>> area = np.hypot(*np.mgrid[-66:67, -66:67]) < 66.5  # 2 km2 of posts every 12 m
    >>> 90 < effective_number(area, (12.0, 12.0), alike) < 110
    True
    """
    w = np.nan_to_num(np.asarray(weights, float))
    rows, cols = np.nonzero(w)
    if rows.size == 0:
        return float("nan")
    w = w[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    squares = float((w**2).sum())
    blocks = max(1, math.ceil(math.sqrt(4 * w.size / MOST_CELLS)))
    own = squares
    if blocks > 1:
        w = np.pad(w, [(0, -n % blocks) for n in w.shape])
        ny, nx = (n // blocks for n in w.shape)
        parts = w.reshape(ny, blocks, nx, blocks)
        inner = _block_correlation(blocks, spacing, variogram)
        own = float((parts.sum(axis=(1, 3)) ** 2).sum()) * inner
        # Few posts in a block: the average over all pairs would leave out that each is its own.
        own = max(own, squares)
        w = parts.sum(axis=(1, 3))
    shape = tuple(2 * n for n in w.shape)
    power = np.abs(np.fft.rfft2(w, shape)) ** 2
    pairs = np.fft.irfft2(power, shape)
    step = (spacing[0] * blocks, spacing[1] * blocks)
    dy, dx = (np.abs(np.fft.fftfreq(n, 1 / n)) * s for n, s in zip(shape, step, strict=True))
    rho = variogram.correlation(np.hypot(dy[:, None], dx[None, :]))
    rho[0, 0] = 0.0
    total = own + float((pairs * rho).sum())
    return float(np.clip(squares * rows.size / max(total, 1e-300), 1, rows.size))


def _block_correlation(n: int, spacing: tuple[float, float], variogram: Variogram) -> float:
    """Mean correlation of all pairs of posts in a block of n x n."""
    k = np.arange(-(n - 1), n)
    counts = (n - np.abs(k))[:, None] * (n - np.abs(k))[None, :]
    distance = np.hypot(k[:, None] * spacing[0], k[None, :] * spacing[1])
    return float((counts * variogram.correlation(distance)).sum() / n**4)


def circular_number(count: int, spacing: tuple[float, float], variogram: Variogram) -> float:
    """As `effective_number`, for a disc of the same area: a check, and an upper bound of the error.

    Parameters
    ----------
    count : int
        Number of posts.
    spacing : (float, float)
        Metres between rows and between columns.
    variogram : Variogram
        Of the errors.

    Returns
    -------
    float
        Between 1 and `count`; NaN without any.

    Notes
    -----
    ``1 / n_eff = nugget / (N sill) + 2 / L^2 int_0^L rho(h) h dh`` with ``pi L^2`` the area; for
    one spherical range a < L that is ``a^2 / (5 L^2)``.

    References
    ----------
    Rolstad, C., Haug, T. and Denby, B. (2009), Spatially integrated geodetic glacier mass balance
    and its uncertainty based on geostatistical analysis, Journal of Glaciology 55(192).

    Examples
    --------
    >>> from glaciertoolkit.uncertainty.variograms import Structure, Variogram
    >>> alike = Variogram((Structure("spherical", 1.0, 180.0),))
    >>> round(circular_number(13_889, (12.0, 12.0), alike))
    98
    """
    if count < 1:
        return float("nan")
    if variogram.sill <= 0:
        return float(count)
    radius = math.sqrt(count * spacing[0] * spacing[1] / math.pi)
    # Evenly in the logarithm, so that short ranges in large areas are resolved.
    h = np.concatenate([[0.0], np.geomspace(radius * 1e-6, radius, 4000)])
    share = variogram.nugget / variogram.sill / count
    for s in variogram.structures:
        rho = 1 - SHAPES[s.shape](h, s.reach)
        share += s.sill / variogram.sill * 2 / radius**2 * float(np.trapezoid(rho * h, h))
    return float(np.clip(1 / share, 1, count))


def e_off(residual: npt.ArrayLike, n_effective: float) -> float:
    """Zonal error of practice in High Mountain Asia: ``sqrt(median^2 + std^2 / n_effective)``.

    Parameters
    ----------
    residual : array_like
        Motion of stable ground; NaN is left out.
    n_effective : float
        Number of independent values in it.

    Returns
    -------
    float
        In the unit of the residual: the error of a mean over an area, not of one post.

    Examples
    --------
    >>> round(e_off([1.0, 2.0, 3.0, 4.0], 4), 2)
    2.58
    """
    x = np.asarray(residual, float)
    x = x[np.isfinite(x)]
    if x.size < 2 or not n_effective > 0:
        return float("nan")
    return float(np.hypot(np.median(x), x.std(ddof=1) / math.sqrt(n_effective)))


def mean_error(
    ds: xr.Dataset, areas: Any, *, variable: str = "vx", variogram: Variogram | None = None,
    stable: Any = None,
) -> pd.DataFrame:  # fmt: skip
    """Mean of a variable over areas, with an error that knows how far errors are alike.

    Parameters
    ----------
    ds : xarray.Dataset
        With `variable` and its error ``{variable}_error``.
    areas : path, GeoDataFrame, GeoSeries, shapely geometry or xarray.DataArray
        Polygons; or labels or a mask on the posts (0, False: no area).
    variable : str
        "dx", "dy", "vx", "vy": a component. Errors of a speed do not average to zero.
    variogram : Variogram, optional
        Of the errors over their 1-sigma; by default fitted to the residuals of stable ground.
    stable : xarray.DataArray of bool or True, optional
        Stable ground; by default the `stable` that `correct` left in `ds`.

    Returns
    -------
    pandas.DataFrame
        One row an area, in the order of the polygons or of the labels: `n` posts, `mean`,
        `error` (1-sigma), `n_effective`, `n_effective_circular` (a disc of the same area) and
        `error_naive`, as if all posts were independent.

    Raises
    ------
    MissingVariableError
        If `ds` lacks the variable or its error.
    ParameterError
        If the areas have another shape than the grid, or `variable` is a speed.
    StableTerrainError
        Without a variogram and without stable ground.

    Notes
    -----
    ``s_mean^2 = 1 / N^2 sum_ij rho(d_ij) s_i s_j``, over all pairs of posts.

    References
    ----------
    Hugonnet, R. et al. (2022), Uncertainty analysis of digital elevation models by spatial
    inference from stable terrain, IEEE JSTARS 15.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit.uncertainty.variograms import Structure, Variogram
    >>> grid = {"y": 12.0 * np.arange(50), "x": 12.0 * np.arange(60)}
    >>> dims = ("y", "x")
    >>> ds = xr.Dataset({"vx": (dims, np.full((50, 60), 10.0)),
    ...                  "vx_error": (dims, np.full((50, 60), 2.0))}, coords=grid)
    >>> alike = Variogram((Structure("spherical", 1.0, 180.0),))
    >>> found = mean_error(ds, ds.vx > 0, variogram=alike)
    >>> found.round(2)[["n", "mean", "error", "error_naive"]].to_numpy().tolist()
    [[3000.0, 10.0, 0.4, 0.04]]
    """
    import pandas as pd

    if variable in ("v", "d"):
        raise ParameterError(
            f"{variable} is a magnitude, whose error does not average out; give a component, "
            f"such as vx."
        )
    validate(ds, needs=(variable, f"{variable}_error"))
    labels, names = _labels(ds, areas)
    value = np.asarray(ds[variable].values, float)
    error = np.asarray(ds[f"{variable}_error"].values, float)
    if variogram is None:
        variogram = standard_variogram(ds, variable, stable=stable)
    spacing = grid_spacing(ds)
    rows = []
    for k, name in enumerate(names):
        here = (labels == k) & np.isfinite(value) & np.isfinite(error)
        n = int(here.sum())
        if n == 0:
            rows.append((name, 0, *[np.nan] * 5))
            continue
        rms = float(np.sqrt((error[here] ** 2).mean()))
        independent = effective_number(np.where(here, error, 0.0), spacing, variogram)
        disc = circular_number(n, spacing, variogram)
        rows.append(
            (name, n, value[here].mean(), rms / math.sqrt(independent), independent, disc,
             rms / math.sqrt(n))
        )  # fmt: skip
    columns = [
        "area", "n", "mean", "error", "n_effective", "n_effective_circular", "error_naive",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).set_index("area")


def standard_variogram(ds: xr.Dataset, variable: str, *, stable: Any = None) -> Variogram:
    """Variogram of residual over stated error on stable ground."""
    from glaciertoolkit.terrain import as_stable

    ground = as_stable(ds["stable"] if stable is None and "stable" in ds else stable, ds)
    metres = "d" + variable[1:]
    name = f"{metres}_holdout" if f"{metres}_holdout" in ds else variable
    error = f"{metres}_error" if name != variable and f"{metres}_error" in ds else None
    error = error or f"{variable}_error"
    z = np.asarray(ds[name].values, float) / np.asarray(ds[error].values, float)
    return residual_variogram(np.where(ground.values, z, np.nan), ds)[1]


def _labels(ds: xr.Dataset, areas: Any) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Number of the area of each post (-1: none), and what the areas are called."""
    if isinstance(areas, xr.DataArray):
        if areas.shape != (ds.sizes["y"], ds.sizes["x"]):
            raise ParameterError(
                f"the areas have the shape {areas.shape}, the grid "
                f"{(ds.sizes['y'], ds.sizes['x'])}; bring them onto the posts first."
            )
        values = np.nan_to_num(np.asarray(areas.values, float)).astype(np.int64)
        names, index = np.unique(values, return_inverse=True)
        wanted = names != 0
        number = np.where(wanted, np.cumsum(wanted) - 1, -1)
        return number[index].reshape(values.shape), names[wanted].tolist()
    table = read_outlines(areas, ds, what="areas")
    return burn_index(table, ds).values.astype(np.int64), table.index.tolist()
