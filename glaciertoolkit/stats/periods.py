"""Means and sums of months, seasons and years, and how unusual they are."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.stats.times import as_series, month_days, step_days, years_and_months

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
How = Literal["mean", "sum", "min", "max"]

_YEAR_ROUND = "JFMAMJJASONDJFMAMJJASOND"

FEWEST_YEARS = 10
"""Years of a base period below which its spread is not known well enough."""


class Periods(NamedTuple):
    """The period of each value (-1 for none), their labels and their lengths in days."""

    of: Integers
    labels: Integers
    days: Floats


def aggregate_climate(
    series: xr.DataArray,
    *,
    period: str = "year",
    how: How | None = None,
    min_coverage: float = 0.9,
    start_month: int = 10,
) -> xr.DataArray:
    """Means or sums of months, seasons or years.

    Parameters
    ----------
    series : xarray.DataArray
        Over `time`, evenly spaced but for gaps.
    period : str
        "month"; "year"; "hydrological_year"; or a season by the initials of its months, such as
        "JJA", "DJF" or "MJJAS".
    how : {"mean", "sum", "min", "max"}, optional
        By default the sum of precipitation (units mm) and the mean of all else.
    min_coverage : float
        Share of a period that must have values, else it is NaN.
    start_month : int
        First month of the hydrological year.

    Returns
    -------
    xarray.DataArray
        Over `year` (over `time`, the first of the month, for months), with the coordinate
        `coverage`. A season or hydrological year that spans New Year bears the year in which it
        ends. Lazy when `series` is.

    Raises
    ------
    InputError, DateError
        No times, or an empty series.
    ParameterError
        An unknown period or way, or numbers out of range.

    Notes
    -----
    Each value counts by the days it stands for. A sum is the sum of what is there over the
    coverage, so that a short gap does not make a dry year; the largest and the smallest value
    are those of what is there.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2018-12-01", "2020-02-01", freq="MS")
    >>> rain = xr.DataArray(np.ones(15), coords={"time": time}, dims="time", attrs={"units": "mm"})
    >>> winter = aggregate_climate(rain, period="DJF")
    >>> winter.year.values.tolist(), winter.values.tolist()
    ([2019, 2020], [3.0, 3.0])
    """
    if not 0 < min_coverage <= 1:
        raise ParameterError(f"min_coverage must lie above 0 and up to 1; got {min_coverage!r}.")
    if how not in (None, "mean", "sum", "min", "max"):
        raise ParameterError(f"how must be 'mean', 'sum', 'min' or 'max'; got {how!r}.")
    series = as_series(series)
    how = how or ("sum" if series.attrs.get("units") == "mm" else "mean")
    periods = periods_of(series["time"], period, start_month)
    weight = step_days(series["time"])
    dim = "time" if period == "month" else "year"
    labels: Any = periods.labels
    if period == "month":
        labels = (periods.labels - 1970 * 12).astype("datetime64[M]").astype("datetime64[ns]")
    found = xr.apply_ufunc(
        reduce_periods,
        series.rename({"time": "step"}).drop_vars("step"),
        input_core_dims=[["step"]],
        output_core_dims=[["statistic", dim]],
        kwargs={"periods": periods, "weight": weight, "how": how},
        dask="parallelized",
        dask_gufunc_kwargs={
            "output_sizes": {"statistic": 2, dim: periods.labels.size},
            "allow_rechunk": True,
        },
        output_dtypes=[np.float64],
    ).assign_coords({dim: labels})
    values, coverage = found.isel(statistic=0), found.isel(statistic=1)
    out: xr.DataArray = (
        values.where(coverage >= min_coverage).transpose(dim, ...).rename(series.name)
    )
    out = out.assign_coords(coverage=coverage.transpose(dim, ...))
    out["coverage"].attrs = {"units": "1", "long_name": "share of the period with values"}
    out[dim].attrs = {"long_name": "year" if dim == "year" else "month"}
    text = str(series.attrs.get("long_name", series.name or "values")).removesuffix(" in each step")
    out.attrs = series.attrs | {"long_name": f"{text}, {how} of {period}", "period": period}
    return out


def mean_of_years(
    series: xr.DataArray, *, period: str = "year", min_coverage: float = 0.9
) -> xr.DataArray:
    """Mean over the complete years, or seasons of years; NaN where there is none.

    A series of one value, as of an annual mean, is that value for the year and NaN for a season.
    """
    one = series.isel(time=0, drop=True)
    if series.sizes["time"] == 1:
        return one if period == "year" else xr.full_like(one, np.nan)
    try:
        found = aggregate_climate(series, period=period, min_coverage=min_coverage)
    except ParameterError:
        raise
    except InputError:  # no value in these months
        return xr.full_like(one, np.nan)
    return found.drop_vars("coverage").mean("year")


def periods_of(times: xr.DataArray, period: str, start_month: int = 10) -> Periods:
    """To which month, season or year each time belongs.

    Raises
    ------
    ParameterError
        An unknown period, or a month that is none.
    """
    year, month = years_and_months(times.values)
    if period == "month":
        index = year * 12 + month - 1
        labels = np.arange(index[0], index[-1] + 1)
        return Periods(index - index[0], labels, month_days(labels // 12, labels % 12 + 1))
    first, length = _months(period, start_month)
    # Months since the first of the season; the year is that in which the season ends.
    since = (month - first) % 12
    ends = year + ((month + (length - 1 - since)) - 1) // 12
    inside = since < length
    if not inside.any():
        raise InputError(f"the series has no value in {period}.")
    low, high = int(ends[inside].min()), int(ends[inside].max())
    labels = np.arange(low, high + 1)
    last = first + length - 1
    of_season = np.arange(first, last + 1)
    years = labels[:, None] + (of_season - 1) // 12 - (last - 1) // 12
    days = month_days(years.ravel(), np.tile((of_season - 1) % 12 + 1, labels.size))
    return Periods(np.where(inside, ends - low, -1), labels, days.reshape(years.shape).sum(axis=1))


def _months(period: str, start_month: int) -> tuple[int, int]:
    """First month and number of months of a period within a year."""
    if not 1 <= start_month <= 12:
        raise ParameterError(f"start_month must be a month, 1 to 12; got {start_month!r}.")
    if period == "year":
        return 1, 12
    if period == "hydrological_year":
        return start_month, 12
    at = _YEAR_ROUND.find(period.upper())
    if at < 0 or not 2 <= len(period) <= 11:
        raise ParameterError(
            "period must be 'month', 'year', 'hydrological_year' or the initials of two to "
            f"eleven months in a row, such as 'JJA'; got {period!r}."
        )
    return at + 1, len(period)


def reduce_periods(
    values: npt.NDArray[np.floating], *, periods: Periods, weight: Floats, how: str
) -> Floats:
    """(..., time) to (..., 2, period): statistic and coverage."""
    size = periods.labels.size
    rows = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    chosen = np.flatnonzero(periods.of >= 0)
    index, weight = periods.of[chosen], weight[chosen]
    rows = rows[:, chosen]
    # The times are in order, so the values of a period stand side by side.
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    valid = np.isfinite(rows)
    days = np.zeros((len(rows), size))
    days[:, index[starts]] = np.add.reduceat(valid * weight, starts, axis=1)
    coverage = np.minimum(days / periods.days, 1.0)
    out = np.full((len(rows), size), np.nan)
    if how in ("min", "max"):
        ufunc, filler = (np.minimum, np.inf) if how == "min" else (np.maximum, -np.inf)
        out[:, index[starts]] = ufunc.reduceat(np.where(valid, rows, filler), starts, axis=1)
        out = np.where(np.isfinite(out), out, np.nan)
    else:
        by = weight if how == "mean" else np.ones_like(weight)
        total = np.zeros((len(rows), size))
        total[:, index[starts]] = np.add.reduceat(np.where(valid, rows, 0) * by, starts, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            out = total / (days if how == "mean" else coverage)
    out = np.where(days > 0, out, np.nan)
    return np.stack([out, coverage], axis=1).reshape(*values.shape[:-1], 2, size)


def standardised_anomaly(
    series: xr.DataArray,
    *,
    base: tuple[int, int],
    dim: str | None = None,
) -> xr.DataArray:
    """How many standard deviations a value departs from that of a base period.

    Parameters
    ----------
    series : xarray.DataArray
        Over `year`, as of `aggregate_climate`; or over `time`, where each month is compared with
        the same month of the base period.
    base : tuple of int
        First and last year of the base period, both included.
    dim : str, optional
        `year` or `time`; by default whichever the series has.

    Returns
    -------
    xarray.DataArray
        Without units; NaN where the base has fewer than ten values or no spread. Attributes
        `base_period` and `base_years`.

    Raises
    ------
    InputError
        No years and no times, or none in the base period.
    ParameterError
        A base period that ends before it starts.

    Notes
    -----
    ``(x - mean) / std`` with mean and standard deviation (n - 1) over the base period.

    Examples
    --------
    >>> year = np.arange(1991, 2022)
    >>> series = xr.DataArray(np.arange(31.0), coords={"year": year}, dims="year")
    >>> standardised_anomaly(series, base=(1991, 2020)).sel(year=2021).round(3).item()
    1.761
    """
    first, last = base
    if last < first:
        raise ParameterError(f"the base period ends before it starts: {first} to {last}.")
    dim = dim or next((d for d in ("year", "time") if d in series.dims), "time")
    if dim == "year":
        group = xr.zeros_like(series["year"], dtype=np.int64)
        year = series["year"].values
    else:
        series = as_series(series, dim)
        year, month = years_and_months(series[dim].values)
        group = xr.DataArray(month, dims=dim)
    inside = (year >= first) & (year <= last)
    if not inside.any():
        raise InputError(
            f"no value lies in the base period {first} to {last}; the series covers "
            f"{int(year.min())} to {int(year.max())}."
        )
    out = xr.full_like(series, np.nan, dtype=np.float64)
    parts = []
    for number in np.unique(group.values):
        here = np.flatnonzero(group.values == number)
        those = series.isel({dim: np.flatnonzero((group.values == number) & inside)})
        count, spread = those.count(dim), those.std(dim, ddof=1)
        good = (count >= FEWEST_YEARS) & (spread > 0)
        part = (series.isel({dim: here}) - those.mean(dim)) / spread
        parts.append(part.where(good))
    out = xr.concat(parts, dim=dim).sortby(dim).transpose(*series.dims).rename(series.name)
    text = str(series.attrs.get("long_name", series.name or "value"))
    out.attrs = {
        "units": "1",
        "long_name": f"standardised anomaly of {text}",
        "base_period": f"{first}-{last}",
        "base_years": int(np.unique(year[inside]).size),
    }
    return out
