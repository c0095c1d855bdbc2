"""Ice that moved far faster for a while: candidates for surges, no verdicts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import InputError, MissingVariableError, ParameterError
from glaciertoolkit.grids import Grid, burn_index, match_raster, read_outlines
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.robust import NMAD_FACTOR
from glaciertoolkit.stats.climate_sampling import glacier_ids
from glaciertoolkit.stats.grouped import summarise
from glaciertoolkit.stats.times import DAY, in_order, years_and_months

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RATIO, INCREASE, SUSTAINED, SHARE = 5.0, 50.0, 60.0, 0.2
"""Of a surge: highest over usual speed; m yr-1 above it; days; share of the tongue."""

SPEED_UP = 2.0
"""Highest over usual speed that is worth a mention though no surge."""

FEWEST_YEARS = 5
"""Years from which the median is the usual speed; of fewer it is the slowest."""

LONGEST_GAP = 3
"""Months without a value over which a fast time is taken to last."""


class _Rule(NamedTuple):
    ratio: float
    increase: float
    min_days: float
    min_share: float


class _Course(NamedTuple):
    """Of each place: usual and highest annual speed, its year, error, fast time, its length."""

    usual: Floats
    highest: Floats
    year: Integers
    error: Floats
    first: npt.NDArray[np.datetime64]
    last: npt.NDArray[np.datetime64]
    days: Floats
    years: Integers


def surge_candidates(
    series: xr.Dataset,
    *,
    outlines: Polygons | None = None,
    dem: str | os.PathLike[str] | Grid | None = None,
    dim: str | None = None,
    ratio: float = RATIO,
    increase: float = INCREASE,
    min_days: float = SUSTAINED,
    min_share: float = SHARE,
) -> pd.DataFrame:
    """Which glaciers may have surged, from two or more maps or from series.

    Parameters
    ----------
    series : xarray.Dataset
        `v` (m yr-1), where there is one also `v_error`, over times and posts (`y`, `x`), over
        times and one more dimension (glaciers, points), or over times alone.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Of maps: the glaciers.
    dem : path or xarray.DataArray, optional
        Of maps: elevation, m. The tongue is then the lower half of each glacier, else all of it.
    dim : str, optional
        The dimension of time: by default `time`, `mid_date` or the only one with datetimes.
    ratio : float
        Highest annual over usual speed, from which a surge is thought of.
    increase : float
        m yr-1 by which the speed must exceed the usual one at least, or three times the error.
    min_days : float
        Days that it must last.
    min_share : float
        Share of the tongue that it must cover.

    Returns
    -------
    pandas.DataFrame
        One row a glacier (`rgi_id`) or place: `v_usual` and `v_peak` (m yr-1), `peak_year`,
        `ratio`, `error`, `start`, `end` and `days` of the fast time, `share` of the tongue
        (maps), `years` with values, `candidate` and `verdict`, a plain sentence. Units in
        ``attrs["units"]``.

    Raises
    ------
    MissingVariableError
        No `v`.
    InputError, DateError
        Fewer than two times; maps without outlines.
    GridError, FileError
        As `read_outlines`.
    ParameterError
        Numbers that are not positive.

    Notes
    -----
    The speed of a year is the median of its values; the usual speed is the median of the years,
    of fewer than five years the slowest: of two maps the median could not show a ratio above 2.
    The fast time are the months around the fastest of the peak year whose median exceeds the
    usual speed by ``max(increase, 3 error)``. Without `v_error` the error is the scatter of
    single values about their year.

    No number parts surges from other speed-ups; these are proposals, to be held against changes
    of elevation and images. A speed-up of at least twice the usual speed that is no candidate is
    named as such.

    References
    ----------
    Guillet, G. et al. (2022), A regionally resolved inventory of High Mountain Asia surge-type
    glaciers, The Cryosphere 16.

    Examples
    --------
    >>> import pandas as pd, xarray as xr
    >>> time = pd.date_range("2012-07-01", periods=8, freq="YS-JUL")
    >>> speed = [20.0, 22, 25, 300, 280, 30, 21, 20]
    >>> found = surge_candidates(xr.Dataset({"v": ("time", speed)}, {"time": time}))
    >>> found["candidate"].item(), int(found["peak_year"].item()), found["v_usual"].item()
    (True, 2015, 23.5)
    """
    for name, value in (("ratio", ratio), ("increase", increase), ("min_days", min_days),
                        ("min_share", min_share)):  # fmt: skip
        if not value > 0:
            raise ParameterError(f"{name} must be above 0; got {value!r}.")
    if "v" not in series:
        validate(series, needs=("v",))
    speed, error = _in_time(series, dim)
    rule = _Rule(ratio, increase, min_days, min_share)
    if {"y", "x"} <= set(speed.dims):
        if outlines is None:
            raise InputError(
                "the series are maps; give the glacier outlines, outlines=..., or choose a place "
                "with sel(x=..., y=..., method='nearest')."
            )
        return _of_maps(speed, error, outlines, dem, rule)
    place = [str(d) for d in speed.dims if d != "time"]
    if len(place) > 1:
        raise InputError(f"v has the dimensions {', '.join(map(str, speed.dims))}; choose one.")
    course = _courses(speed, error, rule)
    name = place[0] if place else "place"
    labels = speed[name].values if place else np.array(["series"])
    return _told({name: labels.astype(str)}, course, None, rule)


def _in_time(series: xr.Dataset, dim: str | None) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Speed and its error over `time`, in order."""
    dims = [str(d) for d in series["v"].dims]
    if dim is None:
        typed = [d for d in dims if d in series.coords and series[d].dtype.kind in "MO"]
        dim = next((d for d in ("time", "mid_date") if d in dims), typed[0] if typed else None)
    if dim is None or dim not in dims:
        raise MissingVariableError(
            f"v has no dimension of time (it has: {', '.join(dims)}); say which with dim=..."
        )
    wanted = [n for n in ("v", "v_error") if n in series and dim in series[n].dims]
    found = {n: series[n] if dim == "time" else series[n].rename({dim: "time"}) for n in wanted}
    joined = xr.concat(
        [found[n].drop_vars([c for c in found[n].coords if dim in found[n][c].dims and c != "time"])
         for n in wanted],
        dim=xr.DataArray(wanted, dims="variable", name="variable"), coords="minimal",
        compat="override",
    )  # fmt: skip
    times = joined["time"]
    if times.to_index().has_duplicates:
        # Pairs may share their middle; each counts.
        joined = joined.assign_coords(time=_apart(times.values))
    joined = in_order(joined)
    if joined.sizes["time"] < 2:
        raise InputError("a surge needs two maps or more, at different times; there is one.")
    error = joined.sel(variable="v_error", drop=True) if "v_error" in wanted else None
    return joined.sel(variable="v", drop=True), error


def _apart(times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """Times that are equal moved apart by nanoseconds."""
    times = np.asarray(times, "datetime64[ns]")
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    start = np.maximum.accumulate(np.where(first, np.arange(times.size), 0))
    out = times.copy()
    out[order] = ordered + (np.arange(times.size) - start).astype("timedelta64[ns]")
    return out


def _courses(speed: xr.DataArray, error: xr.DataArray | None, rule: _Rule) -> _Course:
    """The course of the speed of each place."""
    values = np.asarray(speed.transpose("time", ...).values, np.float64)
    values = values.reshape(len(values), -1)
    times = speed["time"].values
    year, month = years_and_months(times)
    annual, years = _medians(values, year)
    known = np.isfinite(annual)
    count = known.sum(axis=0)
    some = count > 0
    usual = np.full(values.shape[1], np.nan)
    highest, at = usual.copy(), np.zeros(values.shape[1], np.int64)
    if some.any():
        lows, middles = np.nanmin(annual[:, some], axis=0), np.nanmedian(annual[:, some], axis=0)
        usual[some] = np.where(count[some] >= FEWEST_YEARS, middles, lows)
        at = np.argmax(np.where(known, annual, -np.inf), axis=0)
        highest[some] = annual[at, np.arange(at.size)][some]
    if error is not None:
        spread = np.asarray(error.transpose("time", ...).values, np.float64)
        spread = np.broadcast_to(spread.reshape(len(values), -1), values.shape)
        sigma = _median(spread)
    else:
        scatter = np.abs(values - annual[year - years[0]])
        several = np.isfinite(values).sum(axis=0) > 2 * np.maximum(count, 1)
        sigma = np.where(several, NMAD_FACTOR * _median(scatter), 0.0)
    monthly, axis = _medians(values, year * 12 + month - 1)
    threshold = usual + np.maximum(rule.increase, 3 * np.nan_to_num(sigma))
    inside = axis[:, None] // 12 == years[at]
    peaks = np.argmax(np.where(inside & np.isfinite(monthly), monthly, -np.inf), axis=0)
    each = _stands_for(axis, monthly)
    first, last, days = _fast_times(monthly, axis, threshold, peaks, each)
    return _Course(usual, highest, years[at], sigma, first, last, days, count)


def _medians(values: Floats, label: Integers) -> tuple[Floats, Integers]:
    """Median of the values of each label (label, place), and all labels from first to last."""
    import pandas as pd

    labels = np.arange(label.min(), label.max() + 1)
    table = pd.DataFrame(values).groupby(label).median().reindex(labels)
    return table.to_numpy(np.float64), labels


def _median(values: Floats) -> Floats:
    some = np.isfinite(values).any(axis=0)
    out = np.full(values.shape[1], np.nan)
    if some.any():
        out[some] = np.nanmedian(values[:, some], axis=0)
    return out


def _stands_for(axis: Integers, monthly: Floats) -> int:
    """Months that a value stands for: those between the maps of a sparse series."""
    present = axis[np.isfinite(monthly).any(axis=1)]
    return int(max(1, np.median(np.diff(present)))) if present.size > 1 else 1


def _fast_times(
    monthly: Floats, axis: Integers, threshold: Floats, peaks: Integers, each: int
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.datetime64], Floats]:
    """First and last day, and length, of the time above the threshold around the peaks."""
    size = monthly.shape[1]
    first = np.full(size, np.datetime64("NaT"), "datetime64[D]")
    last, days = first.copy(), np.zeros(size)
    gap = max(LONGEST_GAP, each) + 1
    above = monthly > threshold
    for k in np.flatnonzero(above.any(axis=0)):
        present = np.flatnonzero(np.isfinite(monthly[:, k]))
        at = int(np.searchsorted(present, peaks[k]))
        if not above[present[at], k]:
            continue
        low = high = at
        while low > 0 and _goes_on(above, present, k, low - 1, low, gap):
            low -= 1
        while high + 1 < present.size and _goes_on(above, present, k, high + 1, high, gap):
            high += 1
        start, end = axis[present[low]], axis[present[high]]
        first[k] = np.datetime64(int(start) - 1970 * 12, "M").astype("datetime64[D]")
        after = end + each
        last[k] = np.datetime64(int(after) - 1970 * 12, "M").astype("datetime64[D]") - 1
        days[k] = float((last[k] - first[k]) / DAY) + 1
    return first, last, days


def _goes_on(
    above: npt.NDArray[np.bool_], present: Integers, k: Any, to: int, since: int, gap: int
) -> bool:
    return bool(above[present[to], k]) and abs(int(present[to] - present[since])) <= gap


def _of_maps(
    speed: xr.DataArray, error: xr.DataArray | None, outlines: Polygons, dem: Any, rule: _Rule
) -> pd.DataFrame:
    """Posts are judged one by one, and their share counted over each tongue."""
    import pandas as pd

    table = read_outlines(outlines, speed, what="glacier outlines")
    index = burn_index(table, speed).values.ravel()
    size = len(table)
    tongue = index.copy()
    if dem is not None:
        height = match_raster(dem, speed).values.ravel().astype(np.float64)
        middle = summarise(height, index, size)["median"]
        with np.errstate(invalid="ignore"):
            lower = height <= middle[np.maximum(index, 0)]
        tongue = np.where(lower, index, -1)
    chosen = np.flatnonzero(tongue >= 0)
    flat = speed.stack(post=("y", "x")).isel(post=chosen)
    spread = error
    if spread is not None and {"y", "x"} <= set(spread.dims):
        spread = spread.stack(post=("y", "x")).isel(post=chosen)
    posts = _courses(flat, spread, rule)
    label = tongue[chosen]
    good = _is_surge(posts, rule)
    known = np.isfinite(posts.usual)
    counts = np.bincount(label[known], minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.bincount(label[good], minlength=size) / np.where(counts > 0, counts, np.nan)
    middles = pd.DataFrame(flat.transpose("post", "time").values).groupby(label).median()
    whole = xr.DataArray(
        middles.reindex(range(size)).to_numpy(np.float64),
        coords={"time": flat["time"].variable}, dims=("rgi_id", "time"),
    )  # fmt: skip
    level = None
    if error is not None:
        values = summarise(posts.error, label, size)["median"]
        level = xr.zeros_like(whole) + xr.DataArray(values, dims="rgi_id")
    return _told({"rgi_id": glacier_ids(table)}, _courses(whole, level, rule), share, rule)


def _is_surge(course: _Course, rule: _Rule) -> npt.NDArray[np.bool_]:
    with np.errstate(invalid="ignore", divide="ignore"):
        high = course.highest / course.usual >= rule.ratio
    risen = course.highest - course.usual > np.maximum(rule.increase, 3 * course.error)
    return high & risen & (course.days >= rule.min_days)


def _told(
    names: dict[str, npt.NDArray[Any]], course: _Course, share: Floats | None, rule: _Rule
) -> pd.DataFrame:
    import pandas as pd

    with np.errstate(invalid="ignore", divide="ignore"):
        times = course.highest / course.usual
    known = np.isfinite(course.usual)
    wide = np.ones(known.size, bool) if share is None else share >= rule.min_share
    risen = _is_surge(course, rule) if share is None else known & wide
    out = pd.DataFrame(
        {
            **names,
            "v_usual": course.usual,
            "v_peak": course.highest,
            "peak_year": pd.array(np.where(known, course.year, 0), dtype="Int64"),
            "ratio": times,
            "error": course.error,
            "start": pd.to_datetime(course.first),
            "end": pd.to_datetime(course.last),
            "days": course.days,
            "years": course.years,
        }
    )
    out.loc[~known, "peak_year"] = pd.NA
    if share is not None:
        out["share"] = share
    out["candidate"] = risen & wide & (course.years >= 2)
    out["verdict"] = [_surged(row, rule) for row in out.to_dict("records")]
    speeds = ("v_usual", "v_peak", "error")
    out.attrs = {"units": dict.fromkeys(speeds, "m yr-1") | {"days": "day", "ratio": "1"}}
    return out


def _surged(row: dict[Any, Any], rule: _Rule) -> str:
    if not np.isfinite(row["v_usual"]) or row["years"] < 2:
        return "unknown: fewer than two years have a speed"
    when = ""
    if row["days"] > 0:
        when = f", {row['start']:%Y-%m} to {row['end']:%Y-%m}"
    rise = f"{row['v_peak']:.0f} m/yr in {row['peak_year']}, usually {row['v_usual']:.0f} m/yr"
    if row["candidate"]:
        part = f" on {row['share']:.0%} of the tongue" if "share" in row else ""
        return f"candidate for a surge: {rise}{part}{when}; look for a change of elevation"
    if row["days"] >= rule.min_days and row["ratio"] >= SPEED_UP:
        return f"speed-up, below the mark of a surge ({rule.ratio:g} times): {rise}{when}"
    return f"no sign of a surge: at most {rise}"
