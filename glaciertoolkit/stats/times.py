"""Time axes of climate and velocity series: order, steps and seasons, whatever the calendar.

All times are datetime64 in UTC. The months of a model's calendar (360 days, no leap years) are
laid over the real ones, so that seasons and years mean the same in every series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS
from glaciertoolkit.errors import DateError, InputError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

DAY = np.timedelta64(86_400_000_000_000, "ns")

MONTHLY = (27.0, 32.0)
"""Days between the values of a monthly series."""

YEARLY = (359.0, 367.0)
"""Days between the values of an annual series."""

GRID_TOLERANCE = 0.25
"""Share of a step by which the time between two values may depart from whole steps."""

LAID_OVER = "original_calendar"
"""Attribute of times whose months were laid over the real ones: the calendar they had."""

_DAYS_BEFORE = {
    "noleap": np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]),
    "all_leap": np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]),
    "360_day": np.arange(13) * 30,
}
_ALIASES = {"365_day": "noleap", "366_day": "all_leap"}


# --- reading times -----------------------------------------------------------------------------


def as_series(series: xr.DataArray | pd.Series, dim: str = "time") -> xr.DataArray:
    """The series as a DataArray, in order of time."""
    import pandas as pd

    if isinstance(series, pd.Series):
        name = None if series.name is None else str(series.name)
        index = series.index
        if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
            index = index.tz_convert("UTC").tz_localize(None)
        if not isinstance(index, pd.DatetimeIndex):
            raise InputError("the index of the series must be its times; make it datetimes.")
        series = xr.DataArray(series.to_numpy(float), coords={dim: index}, dims=dim, name=name)
    if isinstance(series, xr.DataArray):
        if dim in series.dims and dim not in series.coords:
            raise InputError(f"the series has no coordinate along {dim!r}; give its times.")
        return in_order(series, dim)
    raise InputError(
        f"a series must be an xarray.DataArray or a pandas.Series; got {type(series).__name__}; "
        "of a Dataset choose one variable."
    )


def in_order(series: xr.DataArray, dim: str = "time") -> xr.DataArray:
    """The series with its times sorted, in UTC without a zone, and each time once.

    Raises
    ------
    InputError
        No such dimension, or nothing along it.
    DateError
        Times that cannot be read or are missing, or two different values at one time.
    """
    if dim not in series.dims:
        raise InputError(
            f"the series has no dimension {dim!r} (it has: {', '.join(map(str, series.dims))}); "
            "rename the one that holds its times."
        )
    if not series.sizes[dim]:
        raise InputError("the series is empty; check the dates that were selected.")
    times, attrs = _read_times(series[dim])
    series = series.assign_coords({dim: (dim, times, attrs)})
    order = np.argsort(times, kind="stable")
    if not np.array_equal(order, np.arange(order.size)):
        series = series.isel({dim: order})
        times = times[order]
    again = times[1:] == times[:-1]
    return _without_repeats(series, times, again, dim) if again.any() else series


def _read_times(coordinate: xr.DataArray) -> tuple[Times, dict[str, Any]]:
    import pandas as pd

    values = coordinate.values
    attrs = {k: v for k, v in coordinate.attrs.items() if k not in ("units", "calendar")}
    if values.dtype.kind in "iuf":
        return _decode_model(values, coordinate), attrs | {
            LAID_OVER: str(coordinate.attrs["calendar"])
        }
    if values.dtype.kind == "O" and hasattr(values[0], "calendar"):
        return _from_cftime(values), attrs | {LAID_OVER: str(values[0].calendar)}
    try:
        index = pd.DatetimeIndex(pd.to_datetime(values))
    except (TypeError, ValueError) as error:
        raise DateError(
            f"the times of the series cannot be read ({error}); give them as datetime64, for "
            "example with pandas.to_datetime(times, utc=True)."
        ) from error
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    if index.hasnans:
        raise DateError(
            f"{int(np.sum(index.isna()))} times of the series are missing; drop those values first."
        )
    return np.asarray(index.values, "datetime64[ns]"), attrs


def _decode_model(values: npt.NDArray[Any], coordinate: xr.DataArray) -> Times:
    """Times of a model's calendar that are still numbers, such as "days since 1850-01-01"."""
    calendar = str(coordinate.attrs.get("calendar", ""))
    calendar = _ALIASES.get(calendar, calendar)
    words = str(coordinate.attrs.get("units", "")).split()
    per_day = {"days": 1.0, "day": 1.0, "hours": 24.0, "hour": 24.0, "h": 24.0, "minutes": 1440.0,
               "seconds": 86_400.0}  # fmt: skip
    if calendar not in _DAYS_BEFORE or len(words) < 3 or words[0].lower() not in per_day:
        raise DateError(
            "the times of the series are bare numbers; give them as datetime64, for example with "
            "xarray.decode_cf(dataset)."
        )
    year, month, day = (int(v) for v in words[2].split("T")[0].split("-"))
    before, length = _DAYS_BEFORE[calendar], int(_DAYS_BEFORE[calendar][-1])
    since = year * length + before[month - 1] + day - 1
    total = since + np.asarray(values, np.float64) / per_day[words[0].lower()]
    years = np.floor(total / length)
    rest = total - years * length
    months = np.searchsorted(before, rest, side="right") - 1
    share = (rest - before[months]) / np.diff(before)[months]
    return _lay_over(years.astype(np.int64), months + 1, share)


def _from_cftime(values: npt.NDArray[Any]) -> Times:
    calendar = _ALIASES.get(values[0].calendar, values[0].calendar)
    year = np.array([v.year for v in values])
    month = np.array([v.month for v in values])
    part = np.array([v.hour / 24 + v.minute / 1440 + v.second / 86_400 for v in values])
    day = np.array([v.day - 1 for v in values]) + part
    if calendar in _DAYS_BEFORE:
        return _lay_over(year, month, day / np.diff(_DAYS_BEFORE[calendar])[month - 1])
    return _lay_over(year, month, day / month_days(year, month))


def _lay_over(year: Integers, month: Integers, share: Floats) -> Times:
    """The time at a share of a real month."""
    start = _month_start(year, month)
    return np.asarray(
        start + (share * month_days(year, month) * 86_400e9).astype("timedelta64[ns]")
    )


def _without_repeats(
    series: xr.DataArray, times: Times, again: npt.NDArray[np.bool_], dim: str
) -> xr.DataArray:
    values = series.transpose(dim, ...).values
    late, early = values[1:][again], values[:-1][again]
    same = (late == early) | (np.isnan(late) & np.isnan(early))
    alike = same.reshape(len(same), -1).all(axis=1)
    if not alike.all():
        when = str(times[1:][again][~alike][0])[:19]
        raise DateError(
            f"the series has two different values at {when}; keep one of them, for example with "
            f'series.drop_duplicates("{dim}"), or average them first.'
        )
    return series.isel({dim: np.flatnonzero(np.concatenate([[True], ~again]))})


# --- what a time axis says ---------------------------------------------------------------------


def years_and_months(times: Times) -> tuple[Integers, Integers]:
    """Calendar year, and month from 1 to 12, of each time."""
    months = times.astype("datetime64[M]").astype(np.int64)
    return months // 12 + 1970, months % 12 + 1


def _month_start(year: Integers, month: Integers) -> Times:
    index = (np.asarray(year, np.int64) - 1970) * 12 + np.asarray(month, np.int64) - 1
    return np.asarray(index.astype("datetime64[M]").astype("datetime64[ns]"))


def month_days(year: Integers, month: Integers) -> Floats:
    """Length of months, days.

    Examples
    --------
    >>> month_days(np.array([2019, 2020]), np.array([2, 2])).tolist()
    [28.0, 29.0]
    """
    year, month = np.asarray(year, np.int64), np.asarray(month, np.int64)
    start, end = _month_start(year, month), _month_start(year + month // 12, month % 12 + 1)
    return np.asarray((end - start) / DAY, np.float64)


def days_since_first(times: Times) -> Floats:
    """Days from the first time on."""
    return np.asarray((times - times[0]) / DAY, np.float64)


def years_since_first(times: Times) -> Floats:
    """Years of 365.25 days from the first time on."""
    return days_since_first(times) / YEAR_DAYS


def step_days(times: xr.DataArray) -> Floats:
    """Days that each value stands for; in a monthly series the length of its month.

    Raises
    ------
    InputError
        One time alone, so that the step is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> axis = xr.DataArray(pd.date_range("2020-01-01", periods=3, freq="MS"), dims="time")
    >>> step_days(axis).tolist()
    [31.0, 29.0, 31.0]
    """
    values = times.values
    if values.size < 2:
        raise InputError(
            "one time alone does not say how long its value stands; two or more are needed."
        )
    year, month = years_and_months(values)
    gaps = np.diff(days_since_first(values))
    step = float(np.median(gaps))
    if MONTHLY[0] <= step <= MONTHLY[1]:
        return month_days(year, month)
    if YEARLY[0] <= step <= YEARLY[1]:
        return 337.0 + month_days(year, np.full_like(year, 2))
    if LAID_OVER in times.attrs:
        # A model's day is longer where its month was laid over one of 31 days.
        lengths = month_days(year, month)
        return lengths * float(np.median(gaps / lengths[:-1]))
    return np.full(values.size, step)


def places(days: Floats) -> Integers:
    """The place of each value on an even time axis, gaps left open; its index if there is none.

    Examples
    --------
    >>> places(np.array([0.0, 31.0, 59.0, 120.0])).tolist()
    [0, 1, 2, 4]
    >>> places(np.array([0.0, 1.0, 2.5, 9.2])).tolist()
    [0, 1, 2, 3]
    """
    if days.size < 2:
        return np.arange(days.size)
    gaps = np.diff(days)
    steps = gaps / np.median(gaps)
    whole = np.rint(steps)
    if (whole < 1).any() or (np.abs(steps - whole) > GRID_TOLERANCE * whole).any():
        return np.arange(days.size)
    return np.concatenate([[0], np.cumsum(whole)]).astype(np.int64)
