"""Climate at another elevation: lapse rates of temperature, gradients of precipitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.stats.times import as_series, years_and_months

Floats = npt.NDArray[np.float64]

LAPSE_RATE = -6.5
"""K km-1: that of the standard atmosphere."""

STEEPEST = 20.0
"""K km-1: a stronger mean gradient of the air is a mistake of sign or units."""

FEWEST_TIMES = 5
"""Common times of a month below which it has no lapse rate."""

_SPREAD = 50.0
"""Metres that the elevations must span."""


def lapse_rate(
    temperature: xr.DataArray | Sequence[xr.DataArray],
    *,
    elevation: xr.DataArray | None = None,
    by: Literal["month", "all"] = "month",
) -> xr.Dataset:
    """How the temperature changes with elevation, from stations or levels of a reanalysis.

    Parameters
    ----------
    temperature : xarray.DataArray or sequence of xarray.DataArray
        degC, over `time` and one more dimension (stations, levels); or one series a station, as
        of `read_climate`, each with its `elevation`.
    elevation : xarray.DataArray, optional
        m, over that dimension, and over `time` where levels move. By default the coordinate
        `elevation`.
    by : {"month", "all"}
        One rate for each calendar month, or one for all times.

    Returns
    -------
    xarray.Dataset
        Over `month` (1 to 12) or without dimension: `lapse_rate` (K km-1, negative where it is
        colder above), `lapse_rate_error` (1 sigma of the line through the elevations; NaN for
        two), `intercept` (degC at sea level), `r2`, `count` (times that all elevations have).
        NaN for months with fewer than five of them.

    Raises
    ------
    InputError
        Fewer than two elevations or elevations that hardly differ, no common time, or another
        shape.
    DateError
        As `read_climate`.

    Notes
    -----
    Only times at which every elevation has a value count: a gap at one of them would pass its
    season on as a gradient. The line is fitted by least squares to the means over those times.
    Where levels move, the elevations are averaged as the temperatures are.

    References
    ----------
    Petersen, L. and Pellicciotti, F. (2011), Spatial and temporal variability of air temperature
    on a melting glacier, Journal of Geophysical Research 116.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2019-07-01", periods=10)
    >>> def station(z):
    ...     return xr.DataArray(25 - 0.006 * z + np.arange(10.0), dims="time",
    ...                         coords={"time": time, "elevation": z})
    >>> found = lapse_rate([station(3810.0), station(5350.0), station(6464.0)], by="all")
    >>> round(found.lapse_rate.item(), 6), int(found["count"])
    (-6.0, 10)
    """
    if by not in ("month", "all"):
        raise ParameterError(f"by must be 'month' or 'all'; got {by!r}.")
    joined = _joined(temperature)
    values, heights = _together(joined, elevation)
    complete = np.isfinite(values).all(axis=1) & np.isfinite(heights).all(axis=1)
    if not complete.any():
        raise InputError(
            "there is no time at which all elevations have a value; leave out the one with the "
            "gap, or choose a period that all cover."
        )
    month = years_and_months(joined["time"].values)[1]
    groups = [complete & (month == m) for m in range(1, 13)] if by == "month" else [complete]
    rows = np.array([_line(values[g], heights[g]) for g in groups])
    texts = {
        "lapse_rate": ("K km-1", "change of temperature with elevation"),
        "lapse_rate_error": ("K km-1", "1-sigma error of the lapse rate"),
        "intercept": ("degC", "temperature at sea level"),
        "r2": ("1", "share of the variance between elevations that the line explains"),
        "count": ("1", "times that all elevations have"),
    }
    dims = ("month",) if by == "month" else ()
    out = xr.Dataset(coords={"month": np.arange(1, 13)} if by == "month" else {})
    for number, (name, (units, text)) in enumerate(texts.items()):
        column = rows[:, number] if by == "month" else rows[0, number]
        column = column.astype(np.int64) if name == "count" else column
        out[name] = (dims, column, {"units": units, "long_name": text})
    out.attrs = {"elevations": values.shape[1], "by": by}
    return out


def _together(joined: xr.DataArray, elevation: xr.DataArray | None) -> tuple[Floats, Floats]:
    """Temperature and elevation, both (time, place)."""
    other = [d for d in joined.dims if d != "time"]
    if len(other) != 1:
        raise InputError(
            "a lapse rate needs temperatures over time and one more dimension (stations or "
            f"levels); got {', '.join(map(str, joined.dims))}."
        )
    heights = joined.coords.get("elevation") if elevation is None else elevation
    if heights is None:
        raise InputError("the elevations of the temperatures are not known; give elevation=...")
    heights = heights.broadcast_like(joined).transpose("time", other[0])
    z = np.asarray(heights.values, np.float64)
    mean = np.nanmean(z, axis=0)
    if mean.size < 2 or np.ptp(mean) < _SPREAD:
        raise InputError(
            "a lapse rate needs two elevations or more that differ by at least "
            f"{_SPREAD:g} m; got {', '.join(f'{v:.0f} m' for v in mean)}."
        )
    return np.asarray(joined.transpose("time", other[0]).values, np.float64), z


def _joined(temperature: Any) -> xr.DataArray:
    if isinstance(temperature, xr.DataArray):
        return as_series(temperature)
    series = [as_series(s) for s in temperature]
    if len(series) < 2:
        raise InputError(f"a lapse rate needs two stations or more; got {len(series)}.")
    lacking = [i for i, s in enumerate(series) if "elevation" not in s.coords]
    if lacking:
        raise InputError(
            f"station {lacking[0]} has no elevation; give it to read_climate(elevation=...)."
        )
    heights = [float(s["elevation"]) for s in series]
    bare = [s.drop_vars([c for c in s.coords if c != "time"]) for s in series]
    joined = xr.concat(bare, dim="station", join="inner", combine_attrs="drop")
    if not joined.sizes["time"]:
        raise InputError(
            "the stations have no time in common; average them to the same steps first, for "
            'example with resample(time="1D").mean().'
        )
    return joined.assign_coords(elevation=("station", heights)).transpose("time", "station")


def _line(values: Floats, heights: Floats) -> tuple[float, float, float, float, float]:
    """Rate (K km-1), its error, intercept, r2 and the number of times."""
    count = float(len(values))
    if len(values) < FEWEST_TIMES:
        return (np.nan, np.nan, np.nan, np.nan, count)
    t, z = values.mean(axis=0), heights.mean(axis=0) / 1000
    slope, intercept = np.polyfit(z, t, 1)
    residual = t - (intercept + slope * z)
    spread = ((z - z.mean()) ** 2).sum()
    error = np.sqrt((residual**2).sum() / (t.size - 2) / spread) if t.size > 2 else np.nan
    total = ((t - t.mean()) ** 2).sum()
    r2 = 1 - (residual**2).sum() / total if total else np.nan
    return float(slope), float(error), float(intercept), float(r2), count


def downscale_temperature(
    temperature: xr.DataArray,
    elevation: float | xr.DataArray,
    *,
    lapse_rate: float | xr.DataArray = LAPSE_RATE,
    reference_elevation: float | xr.DataArray | None = None,
) -> xr.DataArray:
    """Temperature at another elevation.

    Parameters
    ----------
    temperature : xarray.DataArray
        degC, over `time` and any other dimensions.
    elevation : float or xarray.DataArray
        m, of the place that is wanted.
    lapse_rate : float or xarray.DataArray
        K km-1, negative where it is colder above: one rate, or one a month over `month`, as of
        `lapse_rate`.
    reference_elevation : float or xarray.DataArray, optional
        m, of the temperature; by default its coordinate `elevation`.

    Returns
    -------
    xarray.DataArray
        degC, with the coordinate `elevation` of the place. Lazy when `temperature` is.

    Raises
    ------
    InputError
        The elevation of the temperature is not known, or a month has no lapse rate.
    ParameterError
        A lapse rate beyond 20 K km-1, which is one in other units.

    Notes
    -----
    ``T(z) = T_ref + lapse_rate (z - z_ref) / 1000``.

    Examples
    --------
    >>> import pandas as pd
    >>> series = xr.DataArray([10.0, 12.0], dims="time", coords={
    ...     "time": pd.date_range("2019-07-01", periods=2), "elevation": 3810.0})
    >>> downscale_temperature(series, 5810.0).values.tolist()
    [-3.0, -1.0]
    """
    reference = _reference(temperature, reference_elevation)
    rate: Any = lapse_rate
    if np.nanmax(np.abs(np.asarray(rate, float))) > STEEPEST:
        raise ParameterError(
            f"a lapse rate of {np.nanmax(np.abs(np.asarray(rate, float))):g} K km-1 is not one of "
            "the air; give it in K km-1, such as -6.5."
        )
    if isinstance(rate, xr.DataArray) and "month" in rate.dims:
        rate = _by_month(rate, temperature)
    target = xr.DataArray(elevation)
    bare = temperature.drop_vars("elevation", errors="ignore")
    out: xr.DataArray = bare + rate * (_bare(target) - _bare(reference)) / 1000
    out = out.transpose("time", ...) if "time" in out.dims else out
    out = out.assign_coords(elevation=_bare(target)).rename(temperature.name)
    out.attrs = dict(temperature.attrs)
    if np.ndim(lapse_rate) == 0:
        out.attrs["lapse_rate"] = f"{float(rate):g} K km-1"
    else:
        out.attrs["lapse_rate"] = "monthly"
    return out


def _reference(series: xr.DataArray, given: float | xr.DataArray | None) -> xr.DataArray:
    """Elevation that the values of a series are for."""
    found = xr.DataArray(given) if given is not None else series.coords.get("elevation")
    if found is None or not bool(found.notnull().any()):
        raise InputError(
            f"the elevation of the {series.name or 'series'} is not known; give "
            "reference_elevation=..., or elevation=... to read_climate()."
        )
    return found


def _bare(values: xr.DataArray) -> xr.DataArray:
    """Values with the coordinates of their own dimensions alone."""
    return values.drop_vars([c for c in values.coords if c not in values.dims]).rename(None)


def _by_month(rate: xr.DataArray, series: xr.DataArray) -> xr.DataArray:
    month = years_and_months(series["time"].values)[1]
    missing = sorted({int(m) for m in month} - set(rate["month"].values.tolist()))
    picked = rate.reindex(month=np.arange(1, 13)).values[..., month - 1]
    if missing or not np.isfinite(picked).all():
        lacking = sorted({int(m) for m in month[~np.isfinite(picked)]} | set(missing))
        raise InputError(
            f"month {', '.join(map(str, lacking))} has no lapse rate; estimate it by='all', or "
            "fill those months."
        )
    return xr.DataArray(picked, coords={"time": series["time"]}, dims="time")


def downscale_precipitation(
    precipitation: xr.DataArray,
    elevation: float | xr.DataArray,
    *,
    gradient: float,
    reference_elevation: float | xr.DataArray | None = None,
) -> xr.DataArray:
    """Precipitation at another elevation.

    Parameters
    ----------
    precipitation : xarray.DataArray
        mm.
    elevation : float or xarray.DataArray
        m, of the place that is wanted.
    gradient : float
        Per cent of the precipitation at the reference, for each 100 m upwards.
    reference_elevation : float or xarray.DataArray, optional
        m; by default the coordinate `elevation`.

    Returns
    -------
    xarray.DataArray
        mm, not below 0. Lazy when `precipitation` is.

    Raises
    ------
    InputError
        The elevation of the precipitation is not known.

    Notes
    -----
    ``P(z) = P_ref (1 + gradient / 100 * (z - z_ref) / 100)``: a straight line, which far above
    the reference promises too much.

    Examples
    --------
    >>> import pandas as pd
    >>> series = xr.DataArray([10.0], dims="time", coords={
    ...     "time": pd.DatetimeIndex(["2019-07-01"]), "elevation": 5000.0})
    >>> downscale_precipitation(series, 5500.0, gradient=5.0).values.tolist()
    [12.5]
    """
    reference = _reference(precipitation, reference_elevation)
    target = xr.DataArray(elevation)
    factor = (1 + gradient / 100 * (_bare(target) - _bare(reference)) / 100).clip(min=0.0)
    bare = precipitation.drop_vars("elevation", errors="ignore")
    out: xr.DataArray = bare * factor
    out = out.assign_coords(elevation=_bare(target)).rename(precipitation.name)
    out.attrs = precipitation.attrs | {"gradient": f"{gradient:g} % per 100 m"}
    return out
