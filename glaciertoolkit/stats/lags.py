"""Whether one series follows another some months later."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.stats.times import as_series, days_since_first, years_and_months
from glaciertoolkit.stats.trends import SHORT, SHORT_NOTE

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEWEST = 10
"""Pairs of values below which a lag has no correlation."""

STEPS = (1, 3, 12)
"""Months between the values of series that can be compared."""


def lagged_correlation(
    leader: xr.DataArray | pd.Series,
    follower: xr.DataArray | pd.Series,
    *,
    max_lag: int = 12,
    deseasonalise: bool = True,
    surrogates: int = 999,
    seed: int = 0,
) -> xr.Dataset:
    """Correlation of two series for each lag, and whether it is more than chance.

    Parameters
    ----------
    leader, follower : xarray.DataArray or pandas.Series
        Of one place, by the month, quarter or year; gaps may be NaN or left out.
    max_lag : int
        Months (of quarterly and annual series: as many steps as fit) by which `follower` may
        come later.
    deseasonalise : bool
        Subtract from every value the mean of its calendar month first. Two series with a season
        are always correlated at some lag.
    surrogates : int
        Number of series with the spectrum of `leader` and random phases, by which chance is
        judged.
    seed : int
        Of the random phases.

    Returns
    -------
    xarray.Dataset
        Over `lag` (months): `correlation` of ``leader(t)`` with ``follower(t + lag)``, `p_value`
        of each lag alone, `count` of pairs. Without dimension: `best_lag`, `best_correlation`
        and `p_best`, the probability that chance gives as high a correlation at any of the
        lags. Series of less than three years in common have no probabilities, and `note` says
        why.

    Raises
    ------
    InputError
        Other steps than months, quarters or years, different steps, or no times in common.
    ParameterError
        A negative lag, or fewer than 19 surrogates.

    Warns
    -----
    GlacierToolkitWarning
        Less than three years in common.

    Notes
    -----
    Both series lose their linear trend. The surrogates keep the autocorrelation of `leader`, so
    that few independent values count as few. Gaps are zero in its spectrum and gaps again in the
    surrogates. Probabilities are ``(1 + number at least as extreme) / (1 + surrogates)``.

    References
    ----------
    Ebisuzaki, W. (1997), A method to estimate the statistical significance of a correlation when
    the data are serially correlated, Journal of Climate 10.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> months = pd.date_range("2000-01-01", periods=240, freq="MS")
    >>> cause = pd.Series(np.random.default_rng(1).normal(size=240), months)
    >>> found = lagged_correlation(cause, cause.shift(3))
    >>> int(found.best_lag), round(float(found.best_correlation), 2), float(found.p_best)
    (3, 1.0, 0.001)
    """
    if max_lag < 0:
        raise ParameterError(f"max_lag must be 0 or more months; got {max_lag!r}.")
    if surrogates < 19:
        raise ParameterError(f"at least 19 surrogates are needed for 5 %; got {surrogates!r}.")
    x, y, month, step = _aligned(as_series(leader, "time"), as_series(follower, "time"))
    x, y = (_anomalies(v, month if deseasonalise else None) for v in (x, y))
    lags = np.arange(0, max_lag // step + 1)
    observed = _correlations(x[None, :], y, lags)
    count = [int((np.isfinite(x[: x.size - k]) & np.isfinite(y[k:])).sum()) for k in lags]
    span = x.size * step / 12
    attrs: dict[str, str | int] = {"surrogates": surrogates, "seed": seed}
    p, p_best = np.full(lags.size, np.nan), np.nan
    if span >= SHORT:
        random = _correlations(_phase_randomised(x, surrogates, seed), y, lags)
        p = _share_beyond(np.abs(random), np.abs(observed[0]))
        p_best = float(
            _share_beyond(_largest(random)[:, None], np.array([_largest(observed)[0]]))[0]
        )
    else:
        attrs["note"] = SHORT_NOTE.format(years=span)
        warnings.warn(str(attrs["note"]), GlacierToolkitWarning, stacklevel=2)
    found = np.isfinite(observed[0])
    best = int(np.argmax(np.where(found, np.abs(observed[0]), -1)))
    known = bool(found.any())
    return xr.Dataset(
        {
            "correlation": ("lag", observed[0], _attrs("correlation with the later series")),
            "p_value": ("lag", p, _attrs("probability of as high a correlation by chance")),
            "count": ("lag", count, _attrs("pairs of values")),
            "best_lag": ((), lags[best] * step if known else -1,
                         {"units": "month", "long_name": "lag of the highest correlation"}),
            "best_correlation": ((), observed[0, best], _attrs("highest correlation")),
            "p_best": ((), p_best if known else np.nan,
                       _attrs("probability of as high a correlation at any lag by chance")),
        },
        coords={"lag": ("lag", lags * step, {"units": "month", "long_name": "lag"})},
        attrs=attrs,
    )  # fmt: skip


def _attrs(text: str) -> dict[str, str]:
    return {"units": "1", "long_name": text}


def _aligned(
    first: xr.DataArray, second: xr.DataArray
) -> tuple[Floats, Floats, npt.NDArray[np.int64], int]:
    """Both series on the months they share, gaps NaN; month of the year; months of a step."""
    axes, steps = [], []
    for series in (first, second):
        if series.ndim != 1:
            raise InputError(
                "the series must be of one place; got the dimensions "
                f"{', '.join(map(str, series.dims))}; choose one with sel() or isel()."
            )
        year, month = years_and_months(series["time"].values)
        axes.append(year * 12 + month - 1)
        steps.append(_step(series))
    if steps[0] != steps[1]:
        raise InputError(
            f"the series have steps of {steps[0]} and {steps[1]} months; bring both to the same, "
            'for example with aggregate_climate(period="month").'
        )
    step = steps[0]
    low, high = max(a[0] for a in axes), min(a[-1] for a in axes)
    if high < low or (axes[0][0] - axes[1][0]) % step:
        raise InputError("the series have no times in common.")
    months = np.arange(low, high + 1, step)
    out = []
    for series, axis in zip((first, second), axes, strict=True):
        full = np.full(months.size, np.nan)
        inside = (axis >= low) & (axis <= high)
        full[(axis[inside] - low) // step] = np.asarray(series.values, float)[inside]
        out.append(full)
    return out[0], out[1], months % 12, step


def _step(series: xr.DataArray) -> int:
    """Months between the values of a series."""
    days = np.diff(days_since_first(series["time"].values))
    middle = float(np.median(days)) / 30.44 if days.size else 0.0
    step = next((s for s in STEPS if abs(middle - s) < 0.15 * s), None)
    if step is None:
        raise InputError(
            "lags are counted in months, quarters or years; bring the series to one of them, for "
            'example with aggregate_climate(period="month").'
        )
    return step


def _anomalies(values: Floats, month: npt.NDArray[np.int64] | None) -> Floats:
    """Departures from the mean of each calendar month and from a linear trend."""
    x = np.where(np.isfinite(values), values, np.nan)
    if month is not None:
        for m in np.unique(month):
            here = month == m
            if np.isfinite(x[here]).any():
                x[here] -= np.nanmean(x[here])
    known = np.isfinite(x)
    if known.sum() > 2:
        t = np.arange(x.size, dtype=np.float64)
        slope, level = np.polyfit(t[known], x[known], 1)
        x = x - (slope * t + level)
    return x


def _phase_randomised(x: Floats, number: int, seed: int) -> Floats:
    """Series (number, time) with the spectrum of `x` and random phases, with its gaps."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(np.nan_to_num(x))
    phases = rng.uniform(0, 2 * np.pi, (number, spectrum.size))
    phases[:, 0] = 0.0
    if x.size % 2 == 0:
        # The highest frequency of an even number of values has no phase, only a sign.
        phases[:, -1] = np.where(phases[:, -1] < np.pi, 0.0, np.pi)
    out = np.fft.irfft(np.abs(spectrum) * np.exp(1j * phases), n=x.size, axis=1)
    return np.where(np.isfinite(x), out, np.nan)


def _correlations(x: Floats, y: Floats, lags: npt.NDArray[np.int64]) -> Floats:
    """Pearson's r (series, lag) of many series with a later one."""
    out = np.full((len(x), lags.size), np.nan)
    for number, lag in enumerate(lags):
        early, late = x[:, : x.shape[1] - lag], y[lag:]
        both = np.isfinite(early[0]) & np.isfinite(late)
        if both.sum() < FEWEST:
            continue
        a, b = early[:, both], late[both]
        a, b = a - a.mean(axis=1, keepdims=True), b - b.mean()
        power = np.sqrt((a**2).sum(axis=1) * (b**2).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            out[:, number] = np.where(power > 0, a @ b / power, np.nan)
    return out


def _largest(r: Floats) -> Floats:
    """Largest absolute correlation of each series over the lags that have one."""
    return np.asarray(np.max(np.where(np.isfinite(r), np.abs(r), -1.0), axis=1))


def _share_beyond(random: Floats, observed: Floats) -> Floats:
    # Rounding must not part the observed series from a surrogate equal to it.
    beyond = (random >= observed - 1e-12).sum(axis=0)
    return np.where(np.isfinite(observed), (1 + beyond) / (1 + len(random)), np.nan)
