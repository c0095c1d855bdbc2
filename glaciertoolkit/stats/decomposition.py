"""A series parted into trend, season and rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.stats.times import as_series, days_since_first, places

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

MOST_GAPS = 1 / 3
"""Share of a series that may be missing for STL, which needs the gaps filled."""

_PARTS = ("trend", "seasonal", "residual")
_NUMBERS = ("slope", "slope_error", "amplitude", "amplitude_error", "peak_day")


def decompose(
    series: xr.DataArray | pd.Series,
    *,
    method: Literal["stl", "harmonic"] = "stl",
    period: int | None = None,
    harmonics: int = 2,
    robust: bool = True,
) -> xr.Dataset:
    """Trend, season and residual of a series.

    Parameters
    ----------
    series : xarray.DataArray or pandas.Series
        Over `time`; other dimensions are treated one by one.
    method : {"stl", "harmonic"}
        "stl": smooth trend and a season that may change, by local regression, on an even time
        axis. "harmonic": a straight line and sine waves of a year and its fractions, at any
        times.
    period : int, optional
        Of STL, values in a year; by default 12 of a monthly and 4 of a quarterly series.
    harmonics : int
        Number of sine waves of "harmonic": a year, half a year, ...
    robust : bool
        Of STL: give outliers little weight.

    Returns
    -------
    xarray.Dataset
        `trend`, `seasonal` and `residual` over `time`, in the units of the series; they sum to
        it. NaN where the series is. With "harmonic" also `slope` (per year) and `amplitude` (of
        the wave of a year, half its range) with errors that allow for autocorrelation, and
        `peak_day`, the day of the year of its maximum, 1 January being 0. Attribute `filled`:
        values that STL had to fill.

    Raises
    ------
    InputError
        Fewer than two years, uneven times or more than a third missing (STL).
    ParameterError
        An unknown method, or numbers out of range.

    Notes
    -----
    STL fills a gap with the mean of its season plus what lies between its neighbours' departures.
    The errors of "harmonic" are Newey and West's with ``4 (n / 100)^(2/9)`` lags.

    References
    ----------
    Cleveland, R. B. et al. (1990), STL: a seasonal-trend decomposition procedure based on loess,
    Journal of Official Statistics 6; implementation of statsmodels.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2010-01-01", periods=120, freq="MS")
    >>> wave = 3 * np.cos(2 * np.pi * (time.dayofyear - 1) / 365.25)
    >>> found = decompose(pd.Series(wave, time), method="harmonic", harmonics=1)
    >>> found.amplitude.round(2).item(), abs(found.peak_day.round(0).item()) % 365
    (3.0, 0.0)
    """
    if method not in ("stl", "harmonic"):
        raise ParameterError(f"method must be 'stl' or 'harmonic'; got {method!r}.")
    if harmonics < 1:
        raise ParameterError(f"harmonics must be 1 or more; got {harmonics!r}.")
    values = as_series(series, "time").astype(np.float64).compute()
    times = values["time"].values
    days = days_since_first(times)
    attrs: dict[str, Any] = {"method": method}
    numbers: Floats | None = None
    rows = values.transpose(..., "time").values.reshape(-1, times.size)
    if method == "stl":
        place = _even_places(days)
        period = period or _period(days, place)
        if period < 2 or place[-1] + 1 < 2 * period:
            raise InputError(
                f"STL needs two whole years; the series has {place[-1] + 1} steps of "
                f"{period} in a year."
            )
        parts = np.stack([_stl(row, place, period, robust) for row in rows])
        attrs |= {"period": period, "filled": int(np.isnan(parts[:, 2]).sum())}
    else:
        day = days + float((times[0] - times[0].astype("datetime64[Y]")) / np.timedelta64(1, "D"))
        found = [_harmonic(row, days / YEAR_DAYS, day, harmonics) for row in rows]
        parts = np.stack([p for p, _ in found])
        numbers = np.stack([n for _, n in found])
        attrs |= {"harmonics": harmonics}
    return _named(values, parts, numbers, attrs)


def _named(
    values: xr.DataArray, parts: Floats, numbers: Floats | None, attrs: dict[str, Any]
) -> xr.Dataset:
    like = values.transpose(..., "time")
    units = str(values.attrs.get("units", "1"))
    out = xr.Dataset(attrs=attrs)
    for number, name in enumerate(_PARTS):
        out[name] = like.copy(data=parts[:, number].reshape(like.shape))
        out[name].attrs = {"units": units, "long_name": f"{name} part"}
    if numbers is not None:
        one = like.isel(time=0, drop=True)
        unit = {"slope": f"{units} yr-1", "slope_error": f"{units} yr-1", "peak_day": "day"}
        for number, name in enumerate(_NUMBERS):
            out[name] = one.copy(data=numbers[:, number].reshape(one.shape))
            text = name.replace("_error", ", 1-sigma error").replace("_", " ")
            out[name].attrs = {"units": unit.get(name, units), "long_name": text}
    return out


def _even_places(days: Floats) -> npt.NDArray[np.int64]:
    place = places(days)
    gaps = np.diff(days)
    if gaps.size and np.allclose(place, np.arange(place.size)) and gaps.max() > 1.5 * gaps.min():
        raise InputError(
            'STL needs an even time axis; aggregate the series first, or use method="harmonic".'
        )
    return place


def _period(days: Floats, place: npt.NDArray[np.int64]) -> int:
    step = days[-1] / place[-1] if place[-1] else 0.0
    for period in (12, 4):
        if step and abs(YEAR_DAYS / step - period) < 0.1 * period:
            return period
    raise InputError(
        "how many values make a year is not known of this series; give period=..., or use "
        'method="harmonic".'
    )


def _stl(row: Floats, place: npt.NDArray[np.int64], period: int, robust: bool) -> Floats:
    from statsmodels.tsa.seasonal import STL

    full = np.full(int(place[-1]) + 1, np.nan)
    full[place] = row
    known = np.isfinite(full)
    if (~known).mean() > MOST_GAPS:
        return np.full((3, row.size), np.nan)
    found = STL(_filled(full, period), period=period, robust=robust).fit()
    parts = np.stack([found.trend, found.seasonal, full - found.trend - found.seasonal])[:, place]
    return np.where(np.isfinite(row), parts, np.nan)


def _filled(full: Floats, period: int) -> Floats:
    """Gaps closed with the mean of their season and the departures of their neighbours."""
    known = np.isfinite(full)
    season = np.arange(full.size) % period
    means = np.array([full[known & (season == s)].mean() if (known & (season == s)).any()
                      else full[known].mean() for s in range(period)])[season]  # fmt: skip
    at = np.arange(full.size)
    departure = np.interp(at, at[known], (full - means)[known])
    return np.where(known, full, means + departure)


def _harmonic(row: Floats, years: Floats, day: Floats, harmonics: int) -> tuple[Floats, Floats]:
    import statsmodels.api as sm

    known = np.isfinite(row)
    columns = [np.ones_like(years), years - years.mean()]
    angle = 2 * np.pi * day / YEAR_DAYS
    for k in range(1, harmonics + 1):
        columns += [np.cos(k * angle), np.sin(k * angle)]
    design = np.stack(columns, axis=1)
    spanned = np.ptp(years[known]) if known.any() else 0.0
    if known.sum() <= design.shape[1] + 1 or spanned < 1:
        return np.full((3, row.size), np.nan), np.full(len(_NUMBERS), np.nan)
    lags = int(4 * (known.sum() / 100) ** (2 / 9))
    fit = sm.OLS(row[known], design[known]).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    beta, covariance = np.asarray(fit.params), np.asarray(fit.cov_params())
    trend = design[:, :2] @ beta[:2]
    seasonal = design[:, 2:] @ beta[2:]
    a, b = beta[2:4]
    amplitude = float(np.hypot(a, b))
    gradient = np.array([a, b]) / amplitude if amplitude else np.zeros(2)
    error = float(np.sqrt(gradient @ covariance[2:4, 2:4] @ gradient))
    peak = float(np.degrees(np.arctan2(b, a)) % 360 / 360 * YEAR_DAYS)
    parts = np.where(known, np.stack([trend, seasonal, row - trend - seasonal]), np.nan)
    return parts, np.array([beta[1], np.sqrt(covariance[1, 1]), amplitude, error, peak])
