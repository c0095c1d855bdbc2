"""Seasonal heave and settlement of the active layer, and the trend beneath it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError, ParameterError

LATENT_HEAT = 3.34e5
"""J kg-1, of fusion."""
DAY = 86_400.0


def thaw_depth(
    degree_days: npt.ArrayLike,
    *,
    conductivity: float = 1.5,
    n_factor: float = 1.0,
    dry_density: float = 1500.0,
    water_content: float = 0.2,
) -> npt.NDArray[np.float64]:
    """Depth to which the ground thaws, after Stefan.

    Parameters
    ----------
    degree_days : array_like
        Thawing degree days of the air or the surface, K d.
    conductivity : float
        Of thawed ground, W m-1 K-1.
    n_factor : float
        Surface over air degree days.
    dry_density : float
        kg m-3.
    water_content : float
        kg of water per kg of dry soil.

    Returns
    -------
    numpy.ndarray
        ``sqrt(2 lambda n ADDT 86400 / (rho_d w L))``, m.

    Raises
    ------
    ParameterError
        Negative degree days, or a property that is not positive.

    Examples
    --------
    >>> round(float(thaw_depth(1200.0)), 2)
    1.76
    """
    days = np.asarray(degree_days, np.float64)
    if (days < 0).any():
        raise ParameterError("thawing degree days cannot be negative.")
    if not min(conductivity, n_factor, dry_density, water_content) > 0:
        raise ParameterError("conductivity, n_factor, density and water content must be positive.")
    heat = 2 * conductivity * n_factor * DAY / (dry_density * water_content * LATENT_HEAT)
    return np.asarray(np.sqrt(heat * days))


class StefanFit(NamedTuple):
    """Trend and seasonal amplitude of the ground.

    Attributes
    ----------
    trend, trend_error : numpy.ndarray
        m yr-1, positive down (settlement).
    seasonal, seasonal_error : numpy.ndarray
        m per square root of a degree day: settlement is this times sqrt(ADDT).
    """

    trend: npt.NDArray[np.float64]
    trend_error: npt.NDArray[np.float64]
    seasonal: npt.NDArray[np.float64]
    seasonal_error: npt.NDArray[np.float64]


def fit_stefan(
    settlement: npt.ArrayLike,
    *,
    years: npt.ArrayLike,
    degree_days: npt.ArrayLike,
) -> StefanFit:
    """Trend and seasonal amplitude from settlement between pairs of dates.

    Parameters
    ----------
    settlement : array_like, shape (pairs, ...)
        Of each pair of dates, m, positive down; NaN where a pair has none.
    years : array_like, shape (pairs, 2)
        Dates of each pair, in years.
    degree_days : array_like, shape (pairs, 2)
        Thawing degree days since the onset of thaw at both dates, K d.

    Returns
    -------
    StefanFit
        Arrays of the shape that follows `pairs`; NaN where fewer than three pairs are known.

    Raises
    ------
    InputError
        Shapes that do not fit; pairs that cannot tell the trend from the season.

    Notes
    -----
    ``d = V (t2 - t1) + E (sqrt(A2) - sqrt(A1))`` by least squares.

    References
    ----------
    Liu, L., Zhang, T. and Wahr, J. (2010), InSAR measurements of surface deformation over
    permafrost on the North Slope of Alaska, Journal of Geophysical Research 115.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.array([[0.0, 0.2], [0.2, 1.0], [1.0, 1.3], [0.0, 1.3]])
    >>> a = np.array([[0.0, 900.0], [900.0, 0.0], [0.0, 1200.0], [0.0, 1200.0]])
    >>> d = 0.01 * np.diff(t)[:, 0] + 0.00055 * np.diff(np.sqrt(a))[:, 0]
    >>> found = fit_stefan(d, years=t, degree_days=a)
    >>> round(float(found.trend), 5), round(float(found.seasonal), 6)
    (0.01, 0.00055)
    """
    d = np.asarray(settlement, np.float64)
    t, a = np.asarray(years, np.float64), np.asarray(degree_days, np.float64)
    if d.ndim < 1 or t.shape != (len(d), 2) or a.shape != (len(d), 2):
        raise InputError("years and degree_days need two values for each pair of dates.")
    if (a < 0).any() or not (np.isfinite(t) & np.isfinite(a)).all():
        raise InputError("dates and degree days must be known, degree days not negative.")
    design = np.column_stack([t[:, 1] - t[:, 0], np.sqrt(a[:, 1]) - np.sqrt(a[:, 0])])
    scale = np.abs(design).max(axis=0)
    if not scale.all() or np.linalg.cond(design / scale) > 1e6:
        raise InputError(
            "the pairs cannot tell the trend from the season; add pairs of other lengths, or of "
            "the same season of different years."
        )
    return _solve(design, d.reshape(len(d), -1), d.shape[1:])


def _solve(
    design: npt.NDArray[np.float64], d: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> StefanFit:
    """Normal equations of all posts at once, each with the pairs that it has."""
    known = np.isfinite(d).astype(float)
    filled = np.where(known > 0, d, 0.0)
    x, z = design.T
    xx, xz, zz = (known.T @ p for p in (x * x, x * z, z * z))
    xd, zd = filled.T @ x, filled.T @ z
    count = known.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        det = xx * zz - xz**2
        good = (count >= 3) & (det > 1e-10 * xx * zz)
        det = np.where(good, det, np.nan)
        trend, season = (zz * xd - xz * zd) / det, (xx * zd - xz * xd) / det
        rest = known * (filled - np.outer(x, trend) - np.outer(z, season))
        variance = np.nansum(rest**2, axis=0) / np.maximum(count - 2, 1)
        errors = np.sqrt(variance * zz / det), np.sqrt(variance * xx / det)
    parts: list[Any] = [trend, errors[0], season, errors[1]]
    return StefanFit(*(np.asarray(p).reshape(shape) for p in parts))
