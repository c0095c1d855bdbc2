"""Kendall's statistic and Theil and Sen's slope of many series at once (time, series), with NaN."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PAIRS_AT_ONCE = 20_000_000
"""Slopes that are held in memory together."""


class Kendall(NamedTuple):
    """Of each series: S, its variance without autocorrelation, and the number of values."""

    s: Floats
    variance: Floats
    n: Floats

    @property
    def tau(self) -> Floats:
        """S over the number of pairs."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.n > 1, self.s / (self.n * (self.n - 1) / 2), np.nan)


def kendall(values: Floats) -> Kendall:
    """S of Mann and Kendall and its variance, ties taken into account.

    Examples
    --------
    >>> found = kendall(np.array([[10.0], [15.0], [14.0], [20.0]]))
    >>> found.s.item(), round(found.variance.item(), 3)
    (4.0, 8.667)
    """
    length, series = values.shape
    s = np.zeros(series)
    alike = np.ones(values.shape)
    for i in range(length - 1):
        step = values[i + 1 :] - values[i]
        s += (step > 0).sum(axis=0) - (step < 0).sum(axis=0)
        equal = step == 0
        alike[i] += equal.sum(axis=0)
        alike[i + 1 :] += equal
    valid = np.isfinite(values)
    n = valid.sum(axis=0).astype(np.float64)
    # Summed over the values, t (t - 1) (2 t + 5) of a tied group is (t - 1) (2 t + 5) for each.
    ties = np.where(valid, (alike - 1) * (2 * alike + 5), 0).sum(axis=0)
    return Kendall(s, (n * (n - 1) * (2 * n + 5) - ties) / 18, n)


def standard_score(s: Floats, variance: Floats) -> Floats:
    """Z with the correction for continuity; 0 where S is 0, NaN without a variance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (s - np.sign(s)) / np.sqrt(variance)
    return np.where(variance > 0, score, np.nan)


def sorted_slopes(years: Floats, values: Floats) -> Floats:
    """The slopes between all pairs of values at different times, sorted, NaN last."""
    first, second = np.triu_indices(years.size, 1)
    apart = years[second] - years[first]
    keep = apart > 0
    first, second, apart = first[keep], second[keep], apart[keep]
    slopes = (values[second] - values[first]) / apart[:, None]
    return np.sort(slopes, axis=0)


def slope_of(slopes: Floats, variance: Floats, normal: float) -> tuple[Floats, Floats, Floats]:
    """Median and rank interval of sorted slopes (pairs, series).

    Parameters
    ----------
    slopes : numpy.ndarray
        As of `sorted_slopes`.
    variance : numpy.ndarray
        Of S, of each series.
    normal : float
        The two-sided quantile of the normal distribution, 1.96 for 95 %.

    Notes
    -----
    The limits are the slopes of ranks ``(N - C) / 2`` and ``(N + C) / 2 + 1`` with
    ``C = normal * sqrt(variance)``, interpolated between ranks and NaN where they leave 1 to N.
    """
    count = np.isfinite(slopes).sum(axis=0)
    reach = normal * np.sqrt(np.maximum(variance, 0))
    middle = _at_rank(slopes, (count + 1) / 2, count)
    low = _at_rank(slopes, (count - reach) / 2, count)
    high = _at_rank(slopes, (count + reach) / 2 + 1, count)
    return middle, low, high


def _at_rank(ordered: Floats, rank: Floats, count: Integers) -> Floats:
    """The value of a rank from 1, between two ranks in proportion."""
    columns = np.arange(ordered.shape[1])
    inside = (count > 0) & (rank >= 1) & (rank <= count)
    rank = np.where(inside, rank, 1)
    below = np.floor(rank).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count, 1))
    if not ordered.shape[0]:
        return np.full(ordered.shape[1], np.nan)
    low, high = ordered[below - 1, columns], ordered[above - 1, columns]
    return np.where(inside, low + (rank - below) * (high - low), np.nan)


# --- autocorrelation ---------------------------------------------------------------------------


def _total(values: Floats) -> Floats:
    """Sum of each series; of the same bits whatever series stand beside it."""
    return np.asarray(np.ascontiguousarray(values.T).sum(axis=1))


def _centred(values: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Departures from the mean, 0 in the gaps, and where there are values."""
    valid = np.isfinite(values)
    n = valid.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _total(np.where(valid, values, 0.0)) / n
    return np.where(valid, values - mean, 0.0), valid


def autocorrelation(values: Floats) -> Floats:
    """Autocorrelation (lag, series) of series on an even axis, NaN in the gaps.

    Notes
    -----
    The mean product of the pairs that exist, times ``(n - lag) / n``, over the variance: for a
    series without gaps the usual estimate.
    """
    centred, valid = _centred(values)
    length = values.shape[0]

    def products(x: Floats) -> Floats:
        rows = np.ascontiguousarray(x.T)
        full = [np.correlate(row, row, "full")[length - 1 :] for row in rows]
        return np.array(full).reshape(-1, length).T

    pairs = products(valid.astype(np.float64))
    expected = valid.sum(axis=0) * (1 - np.arange(length) / length)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(pairs > 0, products(centred) * expected / pairs, 0.0)
        return np.asarray(scaled / _total(centred**2))


def hamed_rao_factor(residual: Floats, normal: float) -> Floats:
    """By how much autocorrelation inflates the variance of S.

    Parameters
    ----------
    residual : numpy.ndarray
        (time, series): without trend, on an even axis, NaN in the gaps.
    normal : float
        Quantile of the normal distribution beyond which a lag is significant.

    References
    ----------
    Hamed, K. H. and Rao, A. R. (1998), A modified Mann-Kendall trend test for autocorrelated
    data, Journal of Hydrology 204.
    """
    from scipy.stats import rankdata

    valid = np.isfinite(residual)
    ranks = rankdata(np.where(valid, residual, np.inf), axis=0)
    ranks = np.where(valid, ranks, np.nan)
    rho = autocorrelation(ranks)[1:]
    n = valid.sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        beyond = np.abs(rho) > normal / np.sqrt(n)
    lag = np.arange(1, rho.shape[0] + 1)[:, None]
    left = np.maximum(n - lag, 0) * np.maximum(n - lag - 1, 0) * np.maximum(n - lag - 2, 0)
    total = _total(np.where(beyond & np.isfinite(rho), left * rho, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = 1 + 2 * total / (n * (n - 1) * (n - 2))
    # Negative correlations of a short series can take more than there is.
    return np.where(factor > 0, factor, 1.0)


def lag_one(residual: Floats) -> Floats:
    """Lag-1 autocorrelation of residuals about a trend, its bias removed, 0 if insignificant.

    Notes
    -----
    A fitted line takes autocorrelation with it; ``(n r + 2) / (n - 4)`` puts it back.

    References
    ----------
    Hamed, K. H. (2009), Enhancing the effectiveness of prewhitening in trend analysis of
    hydrologic data, Journal of Hydrology 368.
    """
    centred, valid = _centred(residual)
    n, length = valid.sum(axis=0).astype(np.float64), residual.shape[0]
    pairs = (valid[1:] & valid[:-1]).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = n * (1 - 1 / length) / np.where(pairs > 0, pairs, np.nan)
        raw = _total(centred[1:] * centred[:-1]) * expected / _total(centred**2)
        corrected = np.clip((n * raw + 2) / (n - 4), -0.99, 0.99)
        significant = np.abs(corrected) > 1.645 / np.sqrt(n)
    return np.where((n > 4) & significant & np.isfinite(corrected), corrected, 0.0)


def prewhitened(values: Floats, rho: Floats) -> Floats:
    """``(x_t - rho x_(t-1)) / (1 - rho)``: white noise about the same trend, one value fewer."""
    return np.where(rho == 0, values[1:], (values[1:] - rho * values[:-1]) / (1 - rho))


def ar1_factor(n: Floats, rho: Floats) -> Floats:
    """By how much lag-1 autocorrelation inflates the variance of S.

    References
    ----------
    Yue, S. and Wang, C. (2004), The Mann-Kendall test modified by effective sample size,
    Water Resources Management 18.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        total = (rho ** (n + 1) - n * rho**2 + (n - 1) * rho) / (n * (rho - 1) ** 2)
    return np.where(n > 0, 1 + 2 * total, np.nan)


# --- seasons -----------------------------------------------------------------------------------


def covariance_of_seasons(table: Floats) -> float:
    """Sum of the covariances of S between all pairs of seasons; `table` is (year, season).

    References
    ----------
    Hirsch, R. M. and Slack, J. R. (1984), A nonparametric trend test for seasonal data with
    serial dependence, Water Resources Research 20; with missing values Dietz, E. J. and
    Killeen, T. J. (1981), JASA 76.
    """
    years = table.shape[0]
    sign = np.sign(np.nan_to_num(table[:, None, :] - table[None, :, :]))
    valid = np.isfinite(table)
    sign *= valid[:, None, :] & valid[None, :, :]
    count = valid.sum(axis=0).astype(np.float64)
    rank = (count + 1 + sign.sum(axis=1)) / 2
    upper = np.triu_indices(years, 1)
    moves = sign[upper]
    both = moves.T @ moves + 4 * rank.T @ rank - years * np.outer(count + 1, count + 1)
    return float((both.sum() - np.trace(both)) / 3)
