"""What all statistics by group share: reductions, and how many posts are independent."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.grids import grid_spacing, template_metres

Floats = npt.NDArray[np.float64]


def summarise(
    values: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    size: int,
    *,
    quantiles: tuple[float, ...] = (),
) -> dict[str, Floats]:
    """Statistics of the finite `values` of each label.

    Parameters
    ----------
    values, labels : numpy.ndarray
        Of one shape; labels from 0 to size - 1, negative ones belong to no group.
    size : int
        Number of groups.
    quantiles : tuple of float
        Between 0 and 1.

    Returns
    -------
    dict of numpy.ndarray
        `count`, `mean`, `median`, `std` (divided by n) and `q0.9` and so on, each of length
        `size`; NaN for a group without a value.

    Examples
    --------
    >>> import numpy as np
    >>> found = summarise(np.array([1.0, 3.0, np.nan, 8.0]), np.array([0, 0, 0, 2]), 3)
    >>> found["count"].tolist(), found["median"].tolist()
    ([2.0, 0.0, 1.0], [2.0, nan, 8.0])
    """
    import pandas as pd

    keep = (labels >= 0) & np.isfinite(values)
    groups = pd.Series(values[keep], dtype=np.float64).groupby(labels[keep])
    everyone = pd.RangeIndex(size)

    def each(series: pd.Series) -> Floats:
        return np.asarray(series.reindex(everyone), np.float64)

    found = {
        "count": np.nan_to_num(each(groups.count())),
        "mean": each(groups.mean()),
        "median": each(groups.median()),
        "std": each(groups.std(ddof=0)),
    }
    return found | {f"q{q:g}": each(groups.quantile(q)) for q in quantiles}


def correlation_range(ds: xr.Dataset) -> float:
    """Distance, m, over which errors are correlated: the template, else the spacing of posts."""
    return template_metres(ds) or float(np.mean(grid_spacing(ds)))


def effective_size(count: Floats, cell: float, reach: float) -> Floats:
    """How many independent values are in `count` neighbouring posts.

    Parameters
    ----------
    count : numpy.ndarray
        Number of posts.
    cell : float
        Area of one, m2.
    reach : float
        Range of the spatial correlation of the errors, m.

    Returns
    -------
    numpy.ndarray
        Between 1 and `count`; NaN where there is none.

    Notes
    -----
    The posts are taken as a disc of their area ``A = pi L^2`` and the correlation as spherical:
    the variance of a mean is that of one value times ``a^2 / (5 L^2)`` for ``L > a``, else times
    ``1 - L/a + L^3 / (5 a^3)``. A narrow or scattered area holds more independent values than a
    disc, so the error of its mean is overestimated rather than underestimated.

    References
    ----------
    Rolstad, C., Haug, T. and Denby, B. (2009), Spatially integrated geodetic glacier mass balance
    and its uncertainty based on geostatistical analysis, Journal of Glaciology 55(192).

    Examples
    --------
    >>> import numpy as np
    >>> effective_size(np.array([13889.0]), 144.0, 180.0).round(0).tolist()
    [98.0]
    """
    radius = np.sqrt(count * cell / math.pi) / reach
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(radius > 1, 1 / (5 * radius**2), 1 - radius + radius**3 / 5)
        return np.where(count > 0, np.clip(1 / share, 1, np.maximum(count, 1)), np.nan)


def error_of_mean(
    error: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    independent: Floats,
) -> Floats:
    """1-sigma error of the mean of each group: its rms error over sqrt(n_effective)."""
    squares = summarise(np.square(error, dtype=np.float64), labels, independent.size)["mean"]
    return np.sqrt(squares / independent)
