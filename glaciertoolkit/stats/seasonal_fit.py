"""The season of a glacier's speed, from displacements between pairs of dates."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

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

AT_ONCE = 16_000_000
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
        of one season only, 3 not determined (all pairs span whole years).

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
    speeds = _speeds(pairs, dim, dates)
    space = [str(d) for d in speeds["value"].dims if d != dim]
    # Single places are columns too.
    ordered = {k: v.transpose(dim, ...).broadcast_like(speeds["value"]) for k, v in speeds.items()}
    arrays = {k: v.transpose(dim, *space) for k, v in ordered.items()}
    columns = {
        k: np.asarray(v.values, np.float64).reshape(len(dates.start), -1) for k, v in arrays.items()
    }
    many = max(1, AT_ONCE // max(1, len(dates.start)))
    size = columns["value"].shape[1]
    blocks = [
        _fit({k: v[:, i : i + many] for k, v in columns.items()}, dates, acceleration, robust,
             min_pairs)
        for i in range(0, size, many)
    ]  # fmt: skip
    shape = [pairs.sizes[d] for d in space]
    out = xr.Dataset(attrs={k: v for k, v in pairs.attrs.items() if k == "processing"})
    for name, (units, text) in _OUTPUTS.items():
        if name.startswith("acceleration") and not acceleration:
            continue
        data = np.concatenate([b[name] for b in blocks]).reshape(shape)
        data = data.astype(np.int64 if name == "pairs" else np.float32)
        out[name] = (space, data, {"units": units, "long_name": text})
    status = np.concatenate([b["status"] for b in blocks]).reshape(shape).astype(np.uint8)
    out["status"] = (space, status, {
        "units": "1", "long_name": "why there is no season",
        "flag_values": np.array([int(s) for s in Status], np.uint8),
        "flag_meanings": " ".join(s.name.lower() for s in Status),
    })  # fmt: skip
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


def _speeds(pairs: xr.Dataset, dim: str, dates: _Pairs) -> dict[str, xr.DataArray]:
    """Mean speed of each pair along the flow (`value`), and its error, as far as it is known."""
    span = xr.DataArray(dates.end - dates.start, dims=dim)
    if {"vx", "vy"} <= set(pairs):
        x, y = pairs["vx"], pairs["vy"]
        errors = [pairs.get("vx_error"), pairs.get("vy_error")]
    elif "v" in pairs:
        error = pairs.get("v_error")
        return {"value": pairs["v"], "error": _error(error, span)}
    elif {"dx", "dy"} <= set(pairs):
        x, y = pairs["dx"] / span, pairs["dy"] / span
        errors = [None if (e := pairs.get(n)) is None else e / span
                  for n in ("dx_error", "dy_error")]  # fmt: skip
    else:
        raise MissingVariableError(
            "the pairs hold no velocities (vx and vy, or v, or dx and dy); "
            f"they have: {', '.join(map(str, pairs.data_vars)) or 'nothing'}."
        )
    east, north = x.median(dim), y.median(dim)
    length: xr.DataArray = xr.apply_ufunc(np.hypot, east, north, dask="allowed")
    east, north = east / length, north / length
    value = x * east + y * north
    if errors[0] is None or errors[1] is None:
        return {"value": value, "error": _error(None, span)}
    error = ((errors[0] * east) ** 2 + (errors[1] * north) ** 2) ** 0.5
    return {"value": value, "error": error.where(length.notnull())}


def _error(error: xr.DataArray | None, span: xr.DataArray) -> xr.DataArray:
    # Of equally exact displacements the speeds are the less exact the shorter their span.
    return 1 / span if error is None else error


# --- the fit -------------------------------------------------------------------------------------


def _design(dates: _Pairs, acceleration: bool) -> Floats:
    span = dates.end - dates.start
    sine = (np.sin(OMEGA * dates.end) - np.sin(OMEGA * dates.start)) / (OMEGA * span)
    cosine = -(np.cos(OMEGA * dates.end) - np.cos(OMEGA * dates.start)) / (OMEGA * span)
    middle = (dates.start + dates.end) / 2
    columns = [np.ones_like(span), sine, cosine]
    if acceleration:
        columns.append(middle - middle.mean())
    return np.stack(columns, axis=1)


def _fit(
    columns: dict[str, Floats], dates: _Pairs, acceleration: bool, robust: bool, min_pairs: int
) -> dict[str, npt.NDArray[Any]]:
    """Weighted least squares of many places at once, weights repeated until they settle."""
    design = _design(dates, acceleration)
    value, error = columns["value"], columns["error"]
    valid = np.isfinite(value) & (error > 0) & np.isfinite(error)
    status = _checked(valid, dates, min_pairs)
    value = np.where(valid, value, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        base = np.where(valid, 1 / error**2, 0.0)
    good = status == Status.FITTED
    base = np.where(good, base, 0.0)
    # The scale of the errors does not matter, only their ratios.
    base = base / np.maximum(base.max(axis=0), 1e-300)
    weight = base
    beta, normal = _solve(design, value, weight)
    for _ in range(MAX_ITERATIONS if robust else 0):
        residual = (value - design @ beta) * np.sqrt(base)
        scale = NMAD_FACTOR * _median(np.abs(residual), valid & good)
        z = residual / np.maximum(scale, 1e-12 * (1 + np.abs(residual).max(axis=0)))
        weight = base * np.where(np.abs(z) < TUKEY_C, (1 - (z / TUKEY_C) ** 2) ** 2, 0.0)
        updated, normal = _solve(design, value, weight)
        settled = np.abs(updated - beta).max(initial=0) < 1e-9 * (1 + np.abs(beta).max(initial=0))
        beta = updated
        if settled:
            break
    return _results(design, value, weight, beta, normal, status, acceleration)


def _checked(valid: npt.NDArray[np.bool_], dates: _Pairs, min_pairs: int) -> npt.NDArray[np.int64]:
    seasons = sum(valid[dates.quarter == q].any(axis=0).astype(np.int64) for q in range(4))
    status = np.where(seasons < MIN_SEASONS, int(Status.TOO_FEW_SEASONS), int(Status.FITTED))
    return np.where(valid.sum(axis=0) < min_pairs, int(Status.TOO_FEW_PAIRS), status)


def _solve(design: Floats, value: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Coefficients (p, place) and normal matrices (place, p, p)."""
    size = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    normal = (products.T @ weight).T.reshape(-1, size, size)
    right = (design.T @ (weight * value)).T
    return (np.linalg.pinv(normal, hermitian=True) @ right[..., None])[..., 0].T, normal


def _median(values: Floats, valid: npt.NDArray[np.bool_]) -> Floats:
    some = valid.any(axis=0)
    out = np.ones(values.shape[1])
    if some.any():
        out[some] = np.nanmedian(np.where(valid, values, np.nan)[:, some], axis=0)
    return out


def _results(
    design: Floats,
    value: Floats,
    weight: Floats,
    beta: Floats,
    normal: Floats,
    status: npt.NDArray[np.int64],
    acceleration: bool,
) -> dict[str, npt.NDArray[Any]]:
    condition = np.array([np.linalg.cond(n) if s == 0 else 0.0
                          for n, s in zip(normal, status, strict=True)])  # fmt: skip
    status = np.where(
        (status == 0) & ~(condition < WORST_CONDITION), int(Status.UNDETERMINED), status
    )
    good = status == Status.FITTED
    used = (weight > 0).sum(axis=0)
    residual = value - design @ beta
    freedom = np.maximum(used - design.shape[1], 1)
    chi2 = (weight * residual**2).sum(axis=0) / freedom
    covariance = np.linalg.pinv(normal, hermitian=True) * chi2[:, None, None]
    total = np.maximum(weight.sum(axis=0), 1e-300)
    a, b = beta[1], beta[2]
    amplitude = np.hypot(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.stack([a, b], axis=1) / amplitude[:, None]
        across = np.stack([-b, a], axis=1) / amplitude[:, None]
        season = covariance[:, 1:3, 1:3]
        sigma, sigma_across = (
            np.sqrt(np.einsum("pi,pij,pj->p", v, season, v)) for v in (along, across)
        )
        wald = np.einsum("ip,pij,jp->p", beta[1:3], np.linalg.pinv(season), beta[1:3])
    day = YEAR_DAYS / OMEGA
    found = {
        "v_mean": beta[0], "v_mean_error": np.sqrt(covariance[:, 0, 0]),
        "v_amplitude": amplitude, "v_amplitude_error": sigma,
        "peak_day": np.arctan2(b, a) % OMEGA * day,
        "peak_day_error": np.minimum(sigma_across / np.maximum(amplitude, 1e-300) * day,
                                     YEAR_DAYS / 2),
        "p_value": np.exp(-wald / 2),
        "rms": np.sqrt((weight * residual**2).sum(axis=0) / total),
    }  # fmt: skip
    if acceleration:
        found["acceleration"] = beta[3]
        found["acceleration_error"] = np.sqrt(covariance[:, 3, 3])
    out: dict[str, npt.NDArray[Any]] = {k: np.where(good, v, np.nan) for k, v in found.items()}
    return out | {"pairs": np.where(good, used, 0), "status": status}
