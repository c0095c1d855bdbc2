"""Tables of measurements over time: columns with units, UTC times in order, NaN in the gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import COORDINATES
from glaciertoolkit.errors import DateError, InputError, ParameterError, reason
from glaciertoolkit.io import conform
from glaciertoolkit.io.dates import min_text
from glaciertoolkit.io.units import canonical_units

if TYPE_CHECKING:
    import pandas as pd

TIME_NAMES = (
    "time_utc", "time", "datetime", "timestamp", "date_time", "date", "mid_date", "tmstamp", "day",
    "yyyymmdd", "year",
)  # fmt: skip
MISSING = ("", "na", "nan", "n/a", "null", "none", "--", "-", "-9999", "-9999.0", "-999", "-999.0")
_UNIT_IN_NAME = re.compile(r"^(?P<name>.*?)\s*[\[(](?P<unit>[^\])]*)[\])]\s*$")
_SHARE_OF_NUMBERS = 0.5
"""Of a column of measurements at least this share must be numbers."""

# Serial days of Excel between 1954 and 2091; the day 60 of Excel never was.
_EXCEL = (20_000, 70_000)
_EXCEL_ORIGIN = "1899-12-30"


class Header(NamedTuple):
    """A column name and the unit that it holds, if it does."""

    name: str
    unit: str | None


def split_header(text: str) -> Header:
    """The name and the unit in a header such as ``T (degC)`` or ``WS [m/s]``.

    Examples
    --------
    >>> split_header("Wind speed [m/s]")
    Header(name='Wind speed', unit='m s-1')
    >>> split_header("T (2 m)")
    Header(name='T (2 m)', unit=None)
    """
    match = _UNIT_IN_NAME.match(text.strip())
    if match is None:
        return Header(text.strip(), None)
    inside = match["unit"].strip()
    # "(2 m)" says how high, not in what.
    if re.match(r"\d", inside) and inside != "1":
        return Header(text.strip(), None)
    try:
        return Header(match["name"].strip(), canonical_units(inside))
    except ParameterError:
        return Header(text.strip(), None)


def find_time(columns: Sequence[str], *, what: str) -> str:
    """The column that holds the time, by its usual names.

    Raises
    ------
    InputError
        None does.
    """
    folded = {re.sub(r"[^a-z_]", "", str(c).lower().replace(" ", "_")): c for c in columns}
    for name in TIME_NAMES:
        if name in folded:
            return folded[name]
    raise InputError(
        f"the {what} has no column that is known to hold the time (it has "
        f"{', '.join(map(str, columns))}); name it with time=."
    )


def parse_times(values: pd.Series[Any], *, timezone: str, what: str) -> pd.DatetimeIndex:
    """UTC times from text, datetimes, ``yyyymmdd``, ``yyyyddd``, years or Excel's serial days.

    Raises
    ------
    DateError
        Something is no date, or the time zone has no such hour.
    ParameterError
        The time zone is unknown.
    """
    import pandas as pd

    found = _datetimes(values, what)
    index = pd.DatetimeIndex(found)
    if index.tz is None:
        try:
            index = index.tz_localize(timezone, ambiguous="raise", nonexistent="raise")
        except (KeyError, LookupError, OSError) as error:
            raise ParameterError(
                f"timezone={timezone!r} is not a time zone; give one such as 'Asia/Kathmandu', "
                "'UTC' or 'Etc/GMT-8'."
            ) from error
        except Exception as error:
            # pytz, which older pandas use, has errors of its own.
            raise DateError(
                f"the times of the {what} do not exist, or exist twice, in {timezone} (a change "
                f"to summer time: {reason(error)}); give the zone without it, such as 'Etc/GMT-1'."
            ) from error
    return index.tz_convert("UTC").tz_localize(None)


def _datetimes(values: pd.Series[Any], what: str) -> Any:
    import pandas as pd

    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    numbers: Any = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        whole = numbers.astype("int64").astype(str)
        low, high = numbers.min(), numbers.max()
        if 1e13 > low >= 18_000_101 and high <= 21_001_231:
            return _by(whole, "%Y%m%d", values, what)
        if low >= 1_800_001 and high <= 2_100_366:
            return _by(whole, "%Y%j", values, what)
        if _EXCEL[0] <= low and high <= _EXCEL[1]:
            return pd.to_datetime(numbers, unit="D", origin=_EXCEL_ORIGIN)
        if low >= 1800 and high <= 2100:
            return _by(whole, "%Y", values, what)
    text = values.astype(str).str.strip()
    for form in ("ISO8601", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d"):
        try:
            return pd.to_datetime(text, format=form, utc=_has_zone(text))
        except ValueError:
            continue
    wrong = next((v for v in text if not _is_date(v)), text.iloc[0] if len(text) else "")
    raise DateError(
        f"the {what} has the time {wrong!r}, which is not a date in one known form (2019-05-15 "
        "13:00, 20190515, 2019135); write the times like that."
    )


def _by(whole: Any, form: str, values: Any, what: str) -> Any:
    import pandas as pd

    found: Any = pd.to_datetime(whole, format=form, errors="coerce")
    if found.isna().any():
        wrong = values[found.isna()].iloc[0]
        raise DateError(f"the {what} has the time {wrong!r}, which is not a date; correct it.")
    return found


def _has_zone(text: Any) -> bool:
    return bool(text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).any())


def _is_date(text: str) -> bool:
    import pandas as pd

    try:
        pd.to_datetime(text, format="ISO8601")
    except ValueError:
        return False
    return True


def to_numbers(column: pd.Series[Any], *, nodata: Any, what: str) -> Any:
    """A column as float64, NaN where it is empty or holds `nodata`.

    Raises
    ------
    InputError
        Text among the numbers.
    """
    import pandas as pd

    if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        text = column.astype("string").str.strip()
        empty = text.isna() | text.str.lower().isin(MISSING[:8])
        numbers: Any = pd.to_numeric(text.where(~empty), errors="coerce")
        wrong = numbers.isna() & ~empty
        if wrong.any():
            raise InputError(
                f"the column {column.name!r} of the {what} holds {text[wrong].iloc[0]!r} where "
                "a number should be; correct it, or name what means missing with nodata=."
            )
    else:
        numbers = pd.to_numeric(column)
    numbers = numbers.astype("float64").replace([np.inf, -np.inf], np.nan)
    gone = [] if nodata is None else list(np.atleast_1d(nodata))
    return numbers.mask(numbers.isin(gone)) if gone else numbers


def is_numeric(column: pd.Series[Any]) -> bool:
    """Whether a column holds measurements rather than words."""
    import pandas as pd

    filled = column.dropna()
    if not len(filled):
        return True
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        text = filled.astype("string").str.strip()
        filled = filled[~text.str.lower().isin(MISSING[:8])]
        if not len(filled):
            return True
    numbers = pd.to_numeric(filled, errors="coerce")
    return bool(numbers.notna().mean() >= _SHARE_OF_NUMBERS)


def to_series(
    frame: pd.DataFrame,
    *,
    time: str | None,
    timezone: str,
    units: Mapping[str, str],
    nodata: Any,
    duplicates: str,
    what: str,
) -> xr.Dataset:
    """A table as a Dataset over ``time``, in order, in UTC, missing values NaN.

    Parameters
    ----------
    frame : pandas.DataFrame
    time : str or None
        Column of the time; found by its usual names where None.
    timezone : str
        Of times without one.
    units : mapping of str to str
        By column.
    nodata : number, sequence or None
    duplicates : str
        ``"raise"``, ``"first"`` or ``"mean"``: what to do where a time occurs twice.
    what : str
        What the table is called in messages.
    """
    column = find_time(list(frame.columns), what=what) if time is None else time
    if column not in frame.columns:
        raise InputError(
            f"the {what} has no column {column!r} (it has {', '.join(map(str, frame.columns))}); "
            "name the column of the time with time=."
        )
    frame = frame.dropna(subset=[column])
    if not len(frame):
        raise InputError(f"the {what} has no row with a time; check the file.")
    index = parse_times(frame[column], timezone=timezone, what=what)
    data: dict[str, Any] = {}
    for name in frame.columns:
        if name == column:
            continue
        if is_numeric(frame[name]):
            data[str(name)] = to_numbers(frame[name], nodata=nodata, what=what).to_numpy()
        else:
            data[str(name)] = frame[name].astype(str).to_numpy()
    ordered = _unique(_frame(data, index), duplicates, what)
    out = xr.Dataset(
        {name: ("time", ordered[name].to_numpy()) for name in data},
        {"time": ("time", ordered.index.to_numpy().astype("datetime64[ns]"))},
    )
    return conform.with_units(conform.with_time(out), units)


def with_given_units(ds: xr.Dataset, units: Mapping[str, str]) -> xr.Dataset:
    """`ds` with units for those variables that have none; names that it lacks are ignored."""
    lacking = {
        name: unit for name, unit in units.items() if name in ds and "units" not in ds[name].attrs
    }
    return conform.with_units(ds, lacking) if lacking else ds


def _frame(data: dict[str, Any], index: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(data, index=index).sort_index(kind="stable")


def _unique(frame: Any, duplicates: str, what: str) -> Any:
    if duplicates not in ("raise", "first", "mean"):
        raise ParameterError(
            f"duplicates={duplicates!r} is not one of 'raise', 'first' and 'mean'."
        )
    twice = frame.index.duplicated()
    if not twice.any():
        return frame
    if duplicates == "raise":
        moment = min_text(np.datetime64(frame.index[twice][0], "ns"))
        raise DateError(
            f"the {what} has the time {moment} twice ({int(twice.sum())} repeated in all); give "
            "duplicates='first' or 'mean' if that is right."
        )
    if duplicates == "first":
        return frame[~twice]
    numbers = frame.select_dtypes("number").groupby(level=0).mean()
    words = frame.select_dtypes(exclude="number").groupby(level=0).first()
    return numbers.join(words)[list(frame.columns)]


def gaps(ds: xr.Dataset) -> dict[str, Any]:
    """Step and completeness of a series, as attributes; nothing where it has no even step."""
    times = ds["time"].values
    if times.size < 3:
        return {}
    values, counts = np.unique(np.diff(times), return_counts=True)
    step = values[counts.argmax()]
    if counts.max() <= counts.sum() / 2:
        return {}
    expected = int((times[-1] - times[0]) / step) + 1
    return {
        "time_step_seconds": float(step / np.timedelta64(1, "s")),
        "missing_times": max(0, expected - times.size),
        "completeness": min(1.0, times.size / expected),
    }


def place(
    ds: xr.Dataset,
    *,
    longitude: float | None,
    latitude: float | None,
    elevation: float | None,
) -> xr.Dataset:
    """`ds` with where it was measured, as scalar coordinates in EPSG:4326 and metres.

    Raises
    ------
    ParameterError
        A longitude or latitude that is none.
    """
    limits = {"longitude": 360.0, "latitude": 90.0}
    out = ds
    for name, value in (("longitude", longitude), ("latitude", latitude)):
        if value is None:
            continue
        if not abs(value) <= limits[name]:
            raise ParameterError(f"{name}={value!r} is not a {name}; give degrees.")
        out = out.assign_coords({name: ((), float(value), COORDINATES[name])})
    if elevation is not None:
        attrs = {"units": "m", "long_name": "elevation of the station", "positive": "up"}
        out = out.assign_coords(elevation=((), float(elevation), attrs))
    if longitude is not None and latitude is not None:
        import rioxarray  # noqa: F401  (registers .rio)

        out = out.rio.write_crs("EPSG:4326")
    return out
