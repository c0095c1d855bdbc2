"""Which variable of a climate file is meant, and its values in degC or mm."""

from __future__ import annotations

import re
import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.stats.times import DAY, MONTHLY, days_since_first, step_days

Kind = Literal["temperature", "precipitation"]
Accumulation = Literal["step", "day", "midnight", "start"]

KINDS: tuple[Kind, ...] = ("temperature", "precipitation")

ATTRS: dict[str, dict[str, str]] = {
    "temperature": {
        "units": "degC", "long_name": "air temperature", "standard_name": "air_temperature",
    },
    "precipitation": {
        "units": "mm", "long_name": "precipitation in each step",
        "standard_name": "precipitation_amount",
    },
}  # fmt: skip

_STANDARD = {
    "temperature": {"air_temperature"},
    "precipitation": {
        "precipitation_amount", "precipitation_flux", "lwe_thickness_of_precipitation_amount",
        "lwe_precipitation_rate", "thickness_of_rainfall_amount", "convective_precipitation_flux",
    },
}  # fmt: skip

# Lower case, the more particular ones first.
_NAMES = {
    "temperature": (
        "t2m", "t2", "2m_temperature", "tas", "tmp", "air_temperature", "t2c", "t2m_mean", "tair",
        "t_hmp", "temperature", "temp", "tavg", "t_air", "ta", "t", "var167", "2t",
    ),
    "precipitation": (
        "tp", "total_precipitation", "prcp", "pr", "pre", "precip", "precipitation", "rrr",
        "rain", "prec", "ppt", "var228", "rainfall", "precipitation_amount", "rainnc",
    ),
}  # fmt: skip

_RUN_TOTALS = ("rainnc", "rainc", "acrainlsm")
"""Names of what a WRF run counts from its start."""

_DAILY_MEAN_TOTALS = ("tp", "total_precipitation", "var228")
"""Names that ECMWF's monthly means give in metres a day, although their units say metres."""

COLDEST, WARMEST = -100.0, 70.0
"""degC beyond which an air temperature has other units than it says."""

DRIEST, WETTEST = 5.0, 20_000.0
"""mm a year beyond which precipitation has other units than it says."""

MM = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "kg m-2": 1.0, "in": 25.4, "inch": 25.4}
_PER_DAY = {"s": 86_400.0, "h": 24.0, "hr": 24.0, "hour": 24.0, "d": 1.0, "day": 1.0, "dy": 1.0}
_PER_SPAN = {"month": "month", "mon": "month", "yr": "year", "year": "year", "a": "year"}


class Amount(NamedTuple):
    """Units of precipitation: mm of one unit, and the time it is for (days, or None for a step)."""

    factor: float
    per_day: float | None = None
    span: str | None = None


def tidy(units: str) -> str:
    """Units in one way of writing: `kg m**-2 s**-1`, `kg/m^2/s` and `kg m⁻² s⁻¹` alike.

    Examples
    --------
    >>> tidy("kg m**-2 s**-1"), tidy("kg/m^2/s"), tidy("mm/day"), tidy("W m⁻²")
    ('kg m-2 s-1', 'kg m-2 s-1', 'mm day-1', 'W m-2')
    """
    text = units.strip().translate(str.maketrans("⁻⁰¹²³⁴°", "-01234 ")).replace("·", " ")
    text = text.replace("**", "").replace("^", "").replace(" per ", "/")
    first, *below = re.split(r"\s*/\s*", text)
    for part in below:
        match = re.fullmatch(r"([A-Za-z]+)(\d*)", part.strip())
        first += f" {match[1]}-{match[2] or 1}" if match else f"/{part}"
    return re.sub(r"\s+", " ", first).strip()


def temperature_offset(units: str) -> float:
    """What to add to Kelvin or degC for degC; NaN for units that are no temperature."""
    name = re.sub(r"[\s_]", "", tidy(units).lower())
    if name in {"k", "kelvin", "degk", "degreesk", "degkelvin"}:
        return -273.15
    if name in {"c", "degc", "celsius", "degcelsius", "degreecelsius", "degreescelsius",
                "degreec", "degreesc", "deg", "cdeg"}:  # fmt: skip
        return 0.0
    return float("nan")


def amount_of(units: str) -> Amount | None:
    """Units of precipitation, or None where they are none.

    Examples
    --------
    >>> amount_of("kg m**-2 s**-1")
    Amount(factor=1.0, per_day=86400.0, span=None)
    >>> amount_of("mm/month").span
    'month'
    """
    name = tidy(units).lower()
    name = re.sub(r"\s*(w\.?e\.?|of water( equivalent)?|water)(?=\s|$)", "", name)
    if name in MM:
        return Amount(MM[name])
    match = re.fullmatch(r"(.+) ([a-z]+)-1", name)
    if not match or match[1] not in MM:
        return None
    factor, time = MM[match[1]], match[2]
    if time in _PER_DAY:
        return Amount(factor, per_day=_PER_DAY[time])
    return Amount(factor, span=_PER_SPAN[time]) if time in _PER_SPAN else None


# --- which variable ------------------------------------------------------------------------------


def choose(variables: dict[str, dict[str, Any]], kind: Kind | None) -> tuple[str, Kind]:
    """The variable that is meant, of names with their attributes, and its kind.

    Raises
    ------
    InputError
        None fits, or temperature and precipitation do and it is not said which.
    """
    found: dict[Kind, str] = {}
    for one in KINDS if kind is None else (kind,):
        name = _best(variables, one)
        if name is not None:
            found[one] = name
    have = ", ".join(variables) or "none"
    if not found:
        wanted = kind or "temperature or precipitation"
        raise InputError(
            f"none of the variables is known as {wanted} (there are: {have}); "
            "say which one with variable=..."
        )
    if len(found) > 1:
        raise InputError(
            f"the source holds temperature ({found['temperature']}) and precipitation "
            f"({found['precipitation']}); say which with kind=..."
        )
    one, name = next(iter(found.items()))
    return name, one


def _best(variables: dict[str, dict[str, Any]], kind: Kind) -> str | None:
    by_standard = [n for n, a in variables.items() if a.get("standard_name") in _STANDARD[kind]]
    if len(by_standard) == 1:
        return by_standard[0]
    lower = {str(n).lower(): n for n in variables}
    for name in _NAMES[kind]:
        if name in lower:
            return lower[name]
    return by_standard[0] if by_standard else None


def kind_of(name: str, attrs: dict[str, Any]) -> Kind:
    """Temperature or precipitation, by name or units.

    Raises
    ------
    InputError
        Neither.
    """
    for kind in KINDS:
        if attrs.get("standard_name") in _STANDARD[kind] or name.lower() in _NAMES[kind]:
            return kind
    units = str(attrs.get("units", ""))
    if np.isfinite(temperature_offset(units)):
        return "temperature"
    if name.lower() in _RUN_TOTALS or (amount_of(units) and tidy(units) not in {"m", "cm"}):
        return "precipitation"
    raise InputError(
        f"whether {name!r} (units {units or 'not given'}) is temperature or precipitation is not "
        'known; say so with kind="temperature" or kind="precipitation".'
    )


# --- values in our units -------------------------------------------------------------------------


def in_degrees(values: xr.DataArray, units: str | None) -> xr.DataArray:
    """Temperature in degC.

    Without units, values above 150 can only be Kelvin, and others only degC: nowhere is the air
    colder than 150 K or warmer than 70 degC.
    """
    given = units or str(values.attrs.get("units", ""))
    # What is not computed yet is not computed for a check, only for units that are unknown.
    low, high = (-np.inf, np.inf) if values.chunks and given else _extremes(values)
    if given:
        offset = temperature_offset(given)
        if not np.isfinite(offset):
            raise InputError(
                f"the units {given!r} are none of temperature that are known (K, degC); "
                'convert the values, or name their units with units="K".'
            )
    else:
        offset = -273.15 if low > 150 else 0.0
        given = "K (from the values)" if offset else "degC (from the values)"
    low, high = low + offset, high + offset
    if not values.chunks and (low < COLDEST or high > WARMEST):
        raise InputError(
            f"temperatures from {low:.0f} to {high:.0f} degC are not those of air; "
            f"are the units really {given!r}? Give units=... (K or degC), or mask the fill values."
        )
    out = (values + offset if offset else values.copy()).astype(np.float64)
    out.attrs = ATTRS["temperature"] | {"source_units": given}
    return out


def _extremes(values: xr.DataArray) -> tuple[float, float]:
    few = values.isel(time=slice(None, None, max(1, values.sizes["time"] // 24)))
    seen = few if values.chunks else values
    return float(seen.min(skipna=True)), float(seen.max(skipna=True))


def in_millimetres(
    values: xr.DataArray, units: str | None, accumulation: Accumulation | None
) -> xr.DataArray:
    """Precipitation in mm of each step.

    Parameters
    ----------
    values : xarray.DataArray
        With the dimension `time`, in order.
    units : str, optional
        Instead of those of the attributes.
    accumulation : {"step", "day", "midnight", "start"}, optional
        What a total stands for; by default as recognised.
    """
    given = units or str(values.attrs.get("units", ""))
    amount = amount_of(given)
    if amount is None:
        raise InputError(
            f"the units {given!r} are none of precipitation that are known (mm, m, kg m-2, "
            'mm day-1, kg m-2 s-1, ...); name them with units="mm".'
            if given
            else "the precipitation has no units; name them with units=, for example "
            'units="mm" for the amount in each step or units="kg m-2 s-1" for a rate.'
        )
    totals = amount.per_day is None and amount.span is None
    meant = accumulation or (recognised(values, amount) if totals else "step")
    if meant not in ("step", "day", "midnight", "start"):
        raise ParameterError(
            f"accumulation must be 'step', 'day', 'midnight' or 'start'; got {meant!r}."
        )
    out = values.astype(np.float64) * amount.factor
    if meant in ("midnight", "start"):
        out = _differences(out, daily=meant == "midnight")
    days: float | xr.DataArray = 1.0
    if not totals or meant == "day":
        days = xr.DataArray(step_days(values["time"]), dims="time")
        if amount.span:
            days = days / (365.25 / 12 if amount.span == "month" else 365.25)
            days = _whole_spans(days)
        out = out * days * (amount.per_day or 1.0)
    if not out.chunks and (lowest := float(out.min(skipna=True))) < -1.0:
        raise InputError(
            f"precipitation is as low as {lowest:.4g} mm in a step; mask such values first, or "
            "choose another variable."
        )
    # Packing leaves small negative amounts.
    out = out.clip(min=0.0)
    _doubt_rainfall(out, given)
    out.attrs = ATTRS["precipitation"] | {"source_units": given, "accumulation": meant}
    return out


def _doubt_rainfall(millimetres: xr.DataArray, units: str) -> None:
    """Warn where a year has so little or so much that the units must be others."""
    days = step_days(millimetres["time"]) if millimetres.sizes["time"] > 1 else np.zeros(1)
    if millimetres.chunks or days.sum() < 365:
        return
    yearly = float(millimetres.mean(skipna=True)) / float(days.mean()) * 365.25
    if not DRIEST <= yearly <= WETTEST:
        warnings.warn(
            f"the precipitation makes {yearly:.3g} mm a year, which is hardly possible; are its "
            f"units really {units!r}? Give units=...",
            GlacierToolkitWarning,
            stacklevel=4,
        )


def _whole_spans(spans: xr.DataArray) -> xr.DataArray:
    """Amounts of a month or year that come once in each are for the whole of it."""
    whole = spans.round()
    return spans.where(abs(spans - whole) >= 0.1 * whole, whole)


def recognised(values: xr.DataArray, amount: Amount) -> Accumulation:
    """What a total stands for, by the name of the variable and the shape of the series."""
    name = str(values.name or "").lower()
    if name in _RUN_TOTALS:
        return "start"
    days = days_since_first(values["time"].values)
    step = float(np.median(np.diff(days))) if days.size > 1 else 0.0
    ecmwf = name in _DAILY_MEAN_TOTALS and amount.factor == MM["m"]
    if ecmwf and MONTHLY[0] <= step <= MONTHLY[1]:
        return "day"
    if ecmwf and 0 < step < 1 and _grows_from_midnight(values):
        return "midnight"
    return "step"


def _grows_from_midnight(values: xr.DataArray) -> bool:
    """Whether totals of the hours grow through each day: they fall only after midnight."""
    times = values["time"].values
    # Some hundred steps tell; a whole archive need not be read.
    few = values.isel(time=slice(0, 240))
    fall = np.diff(np.asarray(few.transpose("time", ...).values, np.float64), axis=0) < 0
    falls = fall.reshape(len(fall), -1).any(axis=1)
    if not falls.any():
        return False
    return bool(_first_of_day(times[1:240])[falls].all())


def _first_of_day(times: Any) -> Any:
    """Whether a time is the first after a midnight, at which the last total of a day stands."""
    step = np.median(np.diff(times)) if times.size > 1 else DAY
    since = times - times.astype("datetime64[D]")
    return (since > np.timedelta64(0, "ns")) & (since <= step)


def _differences(totals: xr.DataArray, *, daily: bool) -> xr.DataArray:
    """The amount of each step of a total that grows; NaN for the first of a run."""
    steps = totals.diff("time").reindex(time=totals["time"])
    if daily:
        fresh = xr.DataArray(
            _first_of_day(totals["time"].values), coords={"time": totals["time"]}, dims="time"
        )
        return steps.where(~fresh, totals)
    # A total that falls was counted anew from there.
    return steps.where(~(steps < 0), totals)
