"""The season of a glacier's speed, from displacements between pairs of dates."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, YEAR_DAYS
from glaciertoolkit.errors import DateError, MissingVariableError, ParameterError
from glaciertoolkit.robust import MAX_ITERATIONS, NMAD_FACTOR, TUKEY_C
from glaciertoolkit.stats.times import years_and_months

Floats = npt.NDArray[np.float64]

OMEGA = 2 * np.pi
"""Angular frequency of a year, per year of 365.25 days."""

EPOCH = np.datetime64("2000-01-01", "ns")
"""A first of January from which the phase is counted."""

MIN_PAIRS, MIN_SEASONS = 6, 2

WORST_CONDITION = 1e6
"""Condition of the normal equations beyond which the season cannot be told from the mean."""

SETTLED = 1e-7
"""Share by which a coefficient may still change when its weights have settled."""

AT_ONCE = 4_000_000
"""Numbers (pairs times posts) that are held in memory together."""

_STARTS = ("reference_time", "acquisition_date_img1", "date1")
_ENDS = ("secondary_time", "acquisition_date_img2", "date2")


class Status(IntEnum):
    """Why a place has no season."""

    FITTED = 0
    TOO_FEW_PAIRS = 1
    TOO_FEW_SEASONS = 2
    UNDETERMINED = 3


class _Pairs(NamedTuple):
    """Start and end in years from the epoch, and the quarter of the year of the middle."""

    start: Floats
    end: Floats
    quarter: npt.NDArray[np.int64]


_OUTPUTS = {
    "v_mean": ("m yr-1", "mean speed along the flow"),
    "v_mean_error": ("m yr-1", "1-sigma error of the mean speed"),
    "v_amplitude": ("m yr-1", "amplitude of the season of the speed"),
    "v_amplitude_error": ("m yr-1", "1-sigma error of the amplitude"),
    "peak_day": ("day", "day of the year of the highest speed, 1 January being 0"),
    "peak_day_error": ("day", "1-sigma error of the day of the highest speed"),
    "acceleration": ("m yr-2", "change of the mean speed"),
    "acceleration_error": ("m yr-2", "1-sigma error of the change of the mean speed"),
    "p_value": ("1", "probability of such an amplitude without a season"),
    "rms": ("m yr-1", "scatter of the pairs about the fit"),
    "pairs": ("1", "pairs that carry weight"),
}


def fit_seasonal(
    pairs: xr.Dataset,
    *,
    dim: str | None = None,
    acceleration: bool = False,
    robust: bool = True,
    min_pairs: int = MIN_PAIRS,
) -> xr.Dataset:
    """Mean speed, and amplitude and phase of its season, from many pairs of images.

    Parameters
    ----------
    pairs : xarray.Dataset
        Over `dim` and any others (posts): mean velocities `vx` and `vy`, or `v` alone (m yr-1),
        or displacements `dx` and `dy` (m); where there are some also their errors. Dates in
        `reference_time` and `secondary_time` (or as ITS_LIVE calls them, or `mid_date` and
        `date_dt` in days).
    dim : str, optional
        The dimension of the pairs; by default that of the dates.
    acceleration : bool
        Let the mean speed change in a straight line; advisable over many years.
    robust : bool
        Give pairs that do not fit little or no weight.
    min_pairs : int
        Pairs below which a place is NaN.

    Returns
    -------
    xarray.Dataset
        Without `dim`: `v_mean` (of the time in the middle of the pairs with `acceleration`),
        `v_amplitude` (half the range of the season), `peak_day`, `rms`, `p_value`, `pairs`, with
        `acceleration` that too, all with errors; and `status`: 0 fitted, 1 too few pairs, 2 pairs
        of one season only, 3 not determined (all pairs span whole years). Lazy when `pairs` is.

    Raises
    ------
    MissingVariableError
        No velocities, or no dates.
    DateError
        A pair that ends before it starts.
    ParameterError
        Fewer than six pairs asked for.

    Notes
    -----
    A pair measures the mean of the speed over its span, and the season is fitted as its integral:
    ``d = v0 dt + a / w (sin w t2 - sin w t1) - b / w (cos w t2 - cos w t1)``, w = 2 pi per year,
    ``amplitude = hypot(a, b)``. A sine through speeds at mid-dates would be too small by
    ``sin(pi dt) / (pi dt)``, dt in years: 0.65 for pairs of half a year. Pairs of near a year
    and more say little of the season, and weigh little in it.

    With both components the speed is that along the median direction of each place, which noise
    does not enlarge. Without errors all displacements are taken to be equally exact. Pairs that
    share an image are not independent: the errors are lower limits.

    What shifts an image with the season, such as shadows and snow, cannot be told from a season
    of the speed: a shift of s metres looks like an amplitude of ``2 pi s`` m yr-1, a tenth of a
    pixel of 15 m like 9 m yr-1. Hold the amplitude against that of ground at rest.

    References
    ----------
    Greene, C. A., Gardner, A. S. and Andrews, L. C. (2020), Detecting seasonal ice dynamics in
    satellite images, The Cryosphere 14, 4365-4378.

    Examples
    --------
    >>> start = np.datetime64("2018-01-01", "ns") + 40 * np.arange(30) * np.timedelta64(1, "D")
    >>> end = start + np.timedelta64(60, "D")
    >>> t1, t2 = ((t - EPOCH) / np.timedelta64(1, "D") / 365.25 for t in (start, end))
    >>> mean = 100 + 20 * (np.sin(OMEGA * t2) - np.sin(OMEGA * t1)) / OMEGA / (t2 - t1)
    >>> ds = xr.Dataset({"v": ("pair", mean)}, coords={
    ...     "reference_time": ("pair", start), "secondary_time": ("pair", end)})
    >>> found = fit_seasonal(ds)
    >>> found.v_mean.round(3).item(), found.v_amplitude.round(3).item()
    (100.0, 20.0)
    """
    if min_pairs < MIN_PAIRS:
        raise ParameterError(f"min_pairs must be {MIN_PAIRS} or more; got {min_pairs!r}.")
    dim, dates = _dates(pairs, dim)
    inputs = _inputs(pairs, dim, dates)
    names = [n for n in _OUTPUTS if acceleration or not n.startswith("acceleration")]
    found = xr.apply_ufunc(
        _block,
        *inputs,
        input_core_dims=[[dim]] * len(inputs),
        output_core_dims=[["statistic"]],
        kwargs={"dates": dates, "names": names, "robust": robust, "min_pairs": min_pairs},
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"statistic": len(names) + 1}, "allow_rechunk": True},
        output_dtypes=[np.float64],
    )
    out = xr.Dataset(attrs={k: v for k, v in pairs.attrs.items() if k == "processing"})
    for number, name in enumerate(names):
        kind = np.int64 if name == "pairs" else np.float32
        out[name] = found.isel(statistic=number).astype(kind)
        out[name].attrs = dict(zip(("units", "long_name"), _OUTPUTS[name], strict=True))
    out["status"] = found.isel(statistic=-1).astype(np.uint8)
    out["status"].attrs = {
        "units": "1", "long_name": "why there is no season",
        "flag_values": np.array([int(s) for s in Status], np.uint8),
        "flag_meanings": " ".join(s.name.lower() for s in Status),
    }  # fmt: skip
    kept = {str(c): pairs.coords[c] for c in pairs.coords if dim not in pairs[c].dims}
    out = out.assign_coords(kept)
    if GRID_MAPPING in out.coords:
        for name in map(str, out.data_vars):
            out[name].attrs["grid_mapping"] = GRID_MAPPING
    return out


# --- what the pairs hold -------------------------------------------------------------------------


def _dates(pairs: xr.Dataset, dim: str | None) -> tuple[str, _Pairs]:
    start = next((pairs[n] for n in _STARTS if n in pairs.variables and pairs[n].ndim), None)
    end = next((pairs[n] for n in _ENDS if n in pairs.variables and pairs[n].ndim), None)
    if start is None or end is None:
        if not {"mid_date", "date_dt"} <= set(pairs.variables):
            raise MissingVariableError(
                "the dates of the pairs are not given; add reference_time and secondary_time "
                "along the dimension of the pairs."
            )
        half = (pairs["date_dt"] * 86_400e9 / 2).astype("timedelta64[ns]")
        start, end = pairs["mid_date"] - half, pairs["mid_date"] + half
    dim = dim or str(start.dims[0])
    first, last = (np.asarray(v.values, "datetime64[ns]").ravel() for v in (start, end))
    if np.isnat(first).any() or np.isnat(last).any():
        raise DateError("some pairs have no dates; drop them first.")
    if (last <= first).any():
        raise DateError(
            f"{int((last <= first).sum())} pairs end before they start; exchange their dates."
        )
    day = np.timedelta64(1, "D").astype("timedelta64[ns]")
    middle = first + (last - first) // 2
    quarter = years_and_months(middle)[1] % 12 // 3
    years = [(v - EPOCH) / day / YEAR_DAYS for v in (first, last)]
    return dim, _Pairs(np.asarray(years[0]), np.asarray(years[1]), quarter)


def _inputs(pairs: xr.Dataset, dim: str, dates: _Pairs) -> list[xr.DataArray]:
    """Speeds and their errors; or both components, and the errors of both."""
    span = xr.DataArray(dates.end - dates.start, dims=dim)
    # Of equally exact displacements the speeds are the less exact the shorter their span.
    equal = 1 / span
    if {"vx", "vy"} <= set(pairs):
        known = {"vx_error", "vy_error"} <= set(pairs)
        errors = [pairs[n] if known else equal for n in ("vx_error", "vy_error")]
        return _bare(pairs["vx"], pairs["vy"], *errors)
    if "v" in pairs:
        return _bare(pairs["v"], pairs.get("v_error", equal))
    if {"dx", "dy"} <= set(pairs):
        known = {"dx_error", "dy_error"} <= set(pairs)
        errors = [pairs[n] / span if known else equal for n in ("dx_error", "dy_error")]
        return _bare(pairs["dx"] / span, pairs["dy"] / span, *errors)
    raise MissingVariableError(
        "the pairs hold no velocities (vx and vy, or v, or dx and dy); "
        f"they have: {', '.join(map(str, pairs.data_vars)) or 'nothing'}."
    )


def _bare(*arrays: xr.DataArray) -> list[xr.DataArray]:
    """Without coordinates that only some of them have."""
    return [a.reset_coords(drop=True) for a in arrays]


# --- the fit -------------------------------------------------------------------------------------


def _block(
    *inputs: npt.NDArray[np.floating],
    dates: _Pairs,
    names: list[str],
    robust: bool,
    min_pairs: int,
) -> Floats:
    """(..., pair) to (..., statistic); as many places at once as memory allows."""
    arrays = [np.asarray(a, np.float64) for a in np.broadcast_arrays(*inputs)]
    shape, length = arrays[0].shape[:-1], arrays[0].shape[-1]
    rows = [a.reshape(-1, length) for a in arrays]
    size, many = len(rows[0]), max(1, AT_ONCE // max(1, length))
    out = np.full((size, len(names) + 1), np.nan)
    for start in range(0, size, many):
        part = slice(start, start + many)
        value, error = _along_flow([r[part] for r in rows])
        out[part] = _fit(value, error, dates, names, robust, min_pairs)
    return out.reshape(*shape, len(names) + 1)


def _along_flow(rows: list[Floats]) -> tuple[Floats, Floats]:
    """Speed along the median direction of each place, and its error."""
    if len(rows) == 2:
        return rows[0], rows[1]
    x, y, x_error, y_error = rows
    east, north = _median(x)[:, None], _median(y)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.hypot(east, north)
        east, north = east / length, north / length
    return x * east + y * north, np.hypot(x_error * east, y_error * north)


def _median(rows: Floats) -> Floats:
    """Median of the finite values of each row, NaN without one; of the same bits in any company."""
    ordered = np.sort(np.where(np.isfinite(rows), rows, np.inf), axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    at = np.arange(len(rows))
    low, high = np.maximum((count - 1) // 2, 0), np.maximum(count // 2, 0)
    high = np.minimum(high, rows.shape[1] - 1)
    return np.where(count > 0, (ordered[at, low] + ordered[at, high]) / 2, np.nan)


def _design(dates: _Pairs, acceleration: bool) -> list[Floats]:
    span = dates.end - dates.start
    sine = (np.sin(OMEGA * dates.end) - np.sin(OMEGA * dates.start)) / (OMEGA * span)
    cosine = -(np.cos(OMEGA * dates.end) - np.cos(OMEGA * dates.start)) / (OMEGA * span)
    middle = (dates.start + dates.end) / 2
    columns = [np.ones_like(span), sine, cosine]
    return [*columns, middle - middle.mean()] if acceleration else columns


def _fit(
    value: Floats, error: Floats, dates: _Pairs, names: list[str], robust: bool, min_pairs: int
) -> Floats:
    """Weighted least squares of each row, weights repeated until they settle."""
    design = _design(dates, "acceleration" in names)
    valid = np.isfinite(value) & np.isfinite(error) & (error > 0)
    status = _checked(valid, dates, min_pairs)
    out = np.full((len(value), len(names) + 1), np.nan)
    out[:, names.index("pairs")] = 0
    todo = np.flatnonzero(status == Status.FITTED)
    if todo.size:
        valid = valid[todo]
        with np.errstate(divide="ignore", invalid="ignore"):
            base = np.where(valid, 1 / error[todo] ** 2, 0.0)
        # The scale of the errors does not matter, only their ratios.
        base /= base.max(axis=1, keepdims=True)
        value = np.where(valid, value[todo], 0.0)
        weight = _robust_weights(design, value, base) if robust else base
        found, status[todo] = _results(design, value, weight)
        out[todo, :-1] = np.stack([found[n] for n in names], axis=1)
    out[:, -1] = status
    return out


def _checked(valid: npt.NDArray[np.bool_], dates: _Pairs, min_pairs: int) -> npt.NDArray[np.int64]:
    seasons = sum(valid[:, dates.quarter == q].any(axis=1).astype(np.int64) for q in range(4))
    status = np.where(seasons < MIN_SEASONS, int(Status.TOO_FEW_SEASONS), int(Status.FITTED))
    return np.where(valid.sum(axis=1) < min_pairs, int(Status.TOO_FEW_PAIRS), status)


def _robust_weights(design: list[Floats], value: Floats, base: Floats) -> Floats:
    """Tukey's weights; a row that has settled is left alone, whatever the others do."""
    weight = base.copy()
    beta = _solve(design, value, weight)[0]
    active = np.arange(len(value))
    for _ in range(MAX_ITERATIONS):
        inside = base[active] > 0
        residual = (value[active] - _model(design, beta[active])) * np.sqrt(base[active])
        scale = NMAD_FACTOR * _median(np.where(inside, np.abs(residual), np.nan))
        least = 1e-12 * (1 + np.abs(residual).max(axis=1))
        z = residual / np.maximum(scale, least)[:, None]
        weight[active] = base[active] * np.where(
            np.abs(z) < TUKEY_C, (1 - (z / TUKEY_C) ** 2) ** 2, 0.0
        )
        updated = _solve(design, value[active], weight[active])[0]
        change = np.abs(updated - beta[active]).max(axis=1)
        beta[active] = updated
        active = active[change > SETTLED * (1 + np.abs(updated).max(axis=1))]
        if not active.size:
            break
    return weight


def _model(design: list[Floats], beta: Floats) -> Floats:
    return np.asarray(sum(beta[:, [k]] * column for k, column in enumerate(design)))


def _solve(design: list[Floats], value: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Coefficients (place, p) and normal matrices (place, p, p), row by row."""
    size = len(design)
    normal = np.empty((len(value), size, size))
    right = np.empty((len(value), size))
    for i in range(size):
        right[:, i] = (weight * value * design[i]).sum(axis=1)
        for j in range(i, size):
            normal[:, i, j] = normal[:, j, i] = (weight * (design[i] * design[j])).sum(axis=1)
    inverse = np.linalg.pinv(normal, hermitian=True)
    return (inverse * right[:, None, :]).sum(axis=2), normal


def _results(
    design: list[Floats], value: Floats, weight: Floats
) -> tuple[dict[str, Floats], npt.NDArray[np.int64]]:
    """Every number of `_OUTPUTS`, NaN where the season is not determined, and the status."""
    beta, normal = _solve(design, value, weight)
    condition = np.array([np.linalg.cond(n) for n in normal])
    good = condition < WORST_CONDITION
    used = (weight > 0).sum(axis=1)
    squares = (weight * (value - _model(design, beta)) ** 2).sum(axis=1)
    variance = squares / np.maximum(used - len(design), 1)
    covariance = np.linalg.pinv(normal, hermitian=True) * variance[:, None, None]
    a, b = beta[:, 1], beta[:, 2]
    caa, cbb, cab = covariance[:, 1, 1], covariance[:, 2, 2], covariance[:, 1, 2]
    amplitude = np.hypot(a, b)
    day = YEAR_DAYS / OMEGA
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.sqrt(a**2 * caa + b**2 * cbb + 2 * a * b * cab) / amplitude
        across = np.sqrt(b**2 * caa + a**2 * cbb - 2 * a * b * cab) / amplitude
        wald = (a**2 * cbb + b**2 * caa - 2 * a * b * cab) / (caa * cbb - cab**2)
        found = {
            "v_mean": beta[:, 0], "v_mean_error": np.sqrt(covariance[:, 0, 0]),
            "v_amplitude": amplitude, "v_amplitude_error": along,
            "peak_day": np.arctan2(b, a) % OMEGA * day,
            "peak_day_error": np.minimum(across / amplitude * day, YEAR_DAYS / 2),
            "p_value": np.exp(-wald / 2),
            "rms": np.sqrt(squares / weight.sum(axis=1)),
        }  # fmt: skip
    if len(design) > 3:
        found["acceleration"] = beta[:, 3]
        found["acceleration_error"] = np.sqrt(covariance[:, 3, 3])
    out = {name: np.where(good, v, np.nan) for name, v in found.items()}
    out["pairs"] = np.where(good, used, 0).astype(np.float64)
    return out, np.where(good, int(Status.FITTED), int(Status.UNDETERMINED))
