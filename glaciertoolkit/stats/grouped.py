"""What all statistics by group share: reductions, and how many posts are independent."""

from __future__ import annotations

import math
from typing import Any

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
    from glaciertoolkit.stats.kernels import reduced

    levels = np.unique(np.asarray((0.5, *quantiles), np.float64))
    flat = _floats(values)
    count, mean, std, rows = reduced(flat, labels.ravel(), size, levels)
    at = {float(level): row for level, row in zip(levels, rows, strict=True)}
    out = {"count": count.astype(np.float64), "mean": mean, "median": at[0.5], "std": std}
    return out | {f"q{q:g}": at[float(q)] for q in quantiles}


def means(values: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], size: int) -> Floats:
    """Mean of the finite `values` of each label from 0 to size - 1; NaN for an empty group.

    Examples
    --------
    >>> import numpy as np
    >>> means(np.array([1.0, 3.0, np.nan]), np.array([0, 0, 1]), 2).tolist()
    [2.0, nan]
    """
    return _ratio(*summed(values, labels, size))


def summed(
    values: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], size: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Sum and number of the finite `values` of each label."""
    from glaciertoolkit.stats.kernels import totals

    total, count = totals(_floats(values), labels.ravel(), size)
    return np.asarray(total), np.asarray(count)


def shares(
    values: npt.NDArray[np.floating],
    errors: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    size: int,
    *,
    times: float,
) -> Floats:
    """Share of the values of each label that are at least `times` their error."""
    from glaciertoolkit.stats.kernels import exceeding

    above, count = exceeding(_floats(values), _floats(errors), times, labels.ravel(), size)
    return _ratio(above, count)


def flow_directions(
    x: npt.NDArray[np.floating],
    y: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    size: int,
) -> tuple[Floats, Floats]:
    """Circular mean and resultant length of the directions of vectors, as `circular_means`."""
    from glaciertoolkit.stats.kernels import directions

    east, north, count = directions(_floats(x), _floats(y), labels.ravel(), size)
    return mean_direction(_ratio(east, count), _ratio(north, count))


def counts(labels: npt.NDArray[np.integer], size: int) -> npt.NDArray[np.int64]:
    """Number of entries of each label; negative labels do not count."""
    from glaciertoolkit.stats.kernels import counted

    return np.asarray(counted(labels.ravel(), size))


def circular_means(
    degrees: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], size: int
) -> tuple[Floats, Floats]:
    """Circular mean and resultant length of the directions of each label.

    Parameters
    ----------
    degrees : numpy.ndarray
        Directions, clockwise from north; NaN for none.
    labels : numpy.ndarray
        As in `summarise`.
    size : int
        Number of groups.

    Returns
    -------
    mean, resultant : numpy.ndarray
        Degrees from 0 to 360, and the length R of the mean unit vector: 1 where all point the same
        way, 0 where they cancel. NaN for an empty group; the mean also where R is 0.

    Notes
    -----
    ``atan2(mean eastness, mean northness)`` with the eastness ``sin a`` and the northness
    ``cos a``: the mean of 350 and 10 degrees is 0, not 180.

    References
    ----------
    Mardia, K. V. and Jupp, P. E. (2000), Directional Statistics, Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> mean, resultant = circular_means(np.array([350.0, 10.0]), np.array([0, 0]), 1)
    >>> round(float(mean[0]) % 360, 6), round(float(resultant[0]), 4)
    (0.0, 0.9848)
    """
    angle = np.radians(np.asarray(degrees, np.float64))
    return mean_direction(means(np.sin(angle), labels, size), means(np.cos(angle), labels, size))


def mean_direction(east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Direction, degrees clockwise from north, and length of mean unit vectors."""
    length = np.hypot(east, north)
    # Opposite directions cancel up to rounding.
    known = length > 1e-12
    return np.where(known, np.degrees(np.arctan2(east, north)) % 360, np.nan), length


def correlation_range(ds: xr.Dataset) -> float:
    """Distance, m, over which errors are correlated: the template, else the spacing of posts."""
    return template_metres(ds) or float(np.mean(grid_spacing(ds)))


def independent_posts(count: Floats, ds: xr.Dataset) -> Floats:
    """How many independent values are in `count` neighbouring posts of a velocity map.

    Every error of a mean in these statistics comes through here: what is known of the spatial
    correlation of the errors has one place.
    """
    dy, dx = grid_spacing(ds)
    return effective_size(count, dy * dx, correlation_range(ds))


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
    values: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    independent: Floats,
) -> Floats:
    """1-sigma error of the mean of each group: the rms error of its values over
    sqrt(n_effective)."""
    return np.sqrt(mean_square(error, values, labels, independent.size) / independent)


def mean_square(
    error: npt.NDArray[np.floating],
    values: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    size: int,
) -> Floats:
    """Mean square of the errors of the finite values of each group."""
    from glaciertoolkit.stats.kernels import squared

    total, count = squared(_floats(error), _floats(values), labels.ravel(), size)
    return _ratio(total, count)


def _ratio(total: npt.NDArray[Any], count: npt.NDArray[np.int64]) -> Floats:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _floats(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = np.ravel(values)
    return flat if flat.dtype.kind == "f" else flat.astype(np.float64)
