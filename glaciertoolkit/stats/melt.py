"""What temperature does to ice and snow: degree days, and which precipitation is snow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.stats.periods import aggregate_climate
from glaciertoolkit.stats.times import as_series, step_days

MONTHLY_SIGMA = 4.5
"""K: spread of the temperature within a month, where only its mean is known."""


def positive_temperature(
    temperature: npt.ArrayLike, *, sigma: float = 0.0, threshold: float = 0.0
) -> npt.NDArray[np.float64]:
    """Mean excess over a threshold of temperatures spread normally about a mean.

    Parameters
    ----------
    temperature : array_like
        Means, degC.
    sigma : float
        Their spread, K; 0 for temperatures that are exact.
    threshold : float
        degC.

    Returns
    -------
    numpy.ndarray
        K: degree days of a day.

    Notes
    -----
    ``s / sqrt(2 pi) exp(-T^2 / 2 s^2) + T / 2 erfc(-T / (sqrt(2) s))`` with T above the threshold.

    References
    ----------
    Calov, R. and Greve, R. (2005), A semi-analytical solution for the positive degree-day model
    with stochastic temperature variations, Journal of Glaciology 51(172).

    Examples
    --------
    >>> positive_temperature([0.0, 5.0], sigma=5.0).round(4).tolist()
    [1.9947, 5.4166]
    """
    from scipy.special import erfc

    if not sigma >= 0:
        raise ParameterError(f"sigma must be a spread in K, 0 or more; got {sigma!r}.")
    excess = np.asarray(temperature, np.float64) - threshold
    if sigma == 0:
        return np.maximum(excess, 0.0)
    bell = sigma / np.sqrt(2 * np.pi) * np.exp(-(excess**2) / (2 * sigma**2))
    return np.asarray(bell + excess / 2 * erfc(-excess / (np.sqrt(2) * sigma)))


def degree_days(
    temperature: xr.DataArray,
    *,
    period: str = "year",
    threshold: float = 0.0,
    sigma: float | None = None,
    min_coverage: float = 0.9,
    start_month: int = 10,
) -> xr.DataArray:
    """Positive degree days of each year, season or month.

    Parameters
    ----------
    temperature : xarray.DataArray
        degC, over `time`: by the hour, day or month.
    period, min_coverage, start_month
        As of `aggregate_climate`.
    threshold : float
        degC above which a temperature counts.
    sigma : float, optional
        Spread of the temperature within a step, K. By default 0 for steps of a day or less, 4.5
        for months. Daily means with frost at night are better served by about 2.5.

    Returns
    -------
    xarray.DataArray
        K d, over `year` (or `time` for months), with `coverage`. Lazy when `temperature` is.

    Raises
    ------
    InputError, DateError, ParameterError
        As `aggregate_climate`; a negative sigma.

    Notes
    -----
    The sum over all steps of their length in days times the mean excess of the temperature over
    the threshold (`positive_temperature`). Hours of warmth inside a day whose mean is below zero
    count with hourly data and not with daily means: compare like with like. Melt is degree days
    times a factor, about 3-5 mm w.e. per K d for snow and 6-9 for ice.

    References
    ----------
    Hock, R. (2003), Temperature index melt modelling in mountain areas, Journal of Hydrology 282.
    Braithwaite, R. J. (1984), Calculation of degree-days for glacier-climate research,
    Zeitschrift fuer Gletscherkunde 20.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2019-07-01", "2019-07-31 23:00", freq="h")
    >>> warm = xr.DataArray(np.full(time.size, 2.0), coords={"time": time}, dims="time")
    >>> round(degree_days(warm, period="month").item(), 6)
    62.0
    """
    temperature = as_series(temperature)
    days = step_days(temperature["time"])
    # Steps of up to a day are taken as they are.
    spread = sigma if sigma is not None else (MONTHLY_SIGMA if np.median(days) > 1.5 else 0.0)
    excess = xr.apply_ufunc(
        positive_temperature,
        temperature,
        kwargs={"sigma": spread, "threshold": threshold},
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    amount = (excess * xr.DataArray(days, dims="time")).rename("degree_days")
    amount.attrs = {"units": "K d", "long_name": "positive degree days"}
    out = aggregate_climate(
        amount, period=period, how="sum", min_coverage=min_coverage, start_month=start_month
    )
    out.attrs |= {"sigma": spread, "threshold": threshold}
    return out


def snow_fraction(
    temperature: xr.DataArray, *, all_snow: float = 0.0, all_rain: float = 2.0
) -> xr.DataArray:
    """Share of the precipitation that falls as snow.

    Parameters
    ----------
    temperature : xarray.DataArray
        degC.
    all_snow, all_rain : float
        degC up to which all of it is snow, and from which all of it is rain; in between the
        share falls in a straight line.

    Returns
    -------
    xarray.DataArray
        Between 0 and 1; NaN where the temperature is. Lazy when `temperature` is.

    Raises
    ------
    ParameterError
        Rain that starts below snow.

    Examples
    --------
    >>> snow_fraction(xr.DataArray([-3.0, 0.5, 2.0, np.nan])).values.tolist()
    [1.0, 0.75, 0.0, nan]
    """
    if not all_rain > all_snow:
        raise ParameterError(
            f"all_rain must lie above all_snow; got {all_rain!r} and {all_snow!r} degC."
        )
    share = ((all_rain - temperature) / (all_rain - all_snow)).clip(0.0, 1.0)
    share = share.rename("snow_fraction")
    share.attrs = {"units": "1", "long_name": "share of the precipitation that falls as snow"}
    return share
