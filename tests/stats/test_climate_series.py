"""Downscaling, degree days, aggregates and anomalies, against closed forms."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.stats.climate_source import read_climate
from glaciertoolkit.stats.downscaling import (
    downscale_precipitation,
    downscale_temperature,
    lapse_rate,
)
from glaciertoolkit.stats.melt import degree_days, positive_temperature, snow_fraction
from glaciertoolkit.stats.periods import aggregate_climate, standardised_anomaly
from glaciertoolkit.stats.times import places, step_days


def series(values, start="2019-01-01", freq="D", units="degC", **coords):
    values = np.asarray(values, float)
    time = pd.date_range(start, periods=len(values), freq=freq)
    return xr.DataArray(values, {"time": time, **coords}, "time", attrs={"units": units})


# --- degree days ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.floats(-20, 20), st.floats(0.2, 8), st.floats(-3, 3))
def test_the_formula_is_the_integral_it_stands_for(mean, sigma, threshold):
    expected, _ = quad(
        lambda t: (t - threshold) * norm.pdf(t, mean, sigma),
        threshold, max(threshold, mean) + 12 * sigma,
    )  # fmt: skip
    got = positive_temperature(mean, sigma=sigma, threshold=threshold)
    assert float(got) == pytest.approx(expected, abs=1e-7)


def test_degree_days_of_a_sine_are_those_of_its_integral():
    """T = A sin over a year: the sum over the warm half is A * 365 / pi."""
    hours = np.arange(365 * 24)
    warm = series(8 * np.sin(2 * np.pi * (hours + 0.5) / hours.size), freq="h")
    assert degree_days(warm).item() == pytest.approx(8 * 365 / np.pi, rel=1e-5)


def test_a_daily_cycle_counts_in_hours_and_not_in_daily_means():
    """T = A sin over a day around 0: A / pi a day by the hour, nothing by daily means."""
    hours = series(5 * np.sin(2 * np.pi * np.arange(0.5, 365 * 24) / 24), freq="h")
    assert degree_days(hours).item() == pytest.approx(365 * 5 / np.pi, rel=4e-3)
    daily = hours.resample(time="1D").mean()
    assert degree_days(daily).item() == pytest.approx(0, abs=1e-9)
    # The spread of the day brings back what the means lose: sigma of a sine is A / sqrt(2).
    spread = degree_days(daily, sigma=5 / np.sqrt(2)).item()
    assert spread == pytest.approx(365 * 5 / np.sqrt(2) / np.sqrt(2 * np.pi), rel=1e-9)


def test_months_use_the_spread_of_a_month():
    rng = np.random.default_rng(0)
    days = series(-2 + 4.5 * rng.normal(size=365 * 30 + 8), start="1990-01-01")
    by_day = degree_days(days).mean().item()
    by_month = degree_days(aggregate_climate(days, period="month"))
    assert by_month.attrs["sigma"] == 4.5
    assert by_month.mean().item() == pytest.approx(by_day, rel=0.04)
    naive = degree_days(aggregate_climate(days, period="month"), sigma=0).mean().item()
    assert naive < 0.2 * by_day  # the negative control
    with pytest.raises(ParameterError, match="sigma"):
        degree_days(days, sigma=-1)


def test_gaps_are_made_up_for_or_refused():
    warm = series(np.full(365, 2.0))
    short = warm.where(warm.time.dt.dayofyear > 20)
    found = degree_days(short)
    assert found.item() == pytest.approx(730)
    assert found.coverage.item() == pytest.approx(345 / 365)
    assert np.isnan(degree_days(short, min_coverage=0.99).item())
    assert np.isnan(degree_days(warm.isel(time=slice(0, 200))).item())


# --- snow ----------------------------------------------------------------------------------------


def test_snow_fraction():
    got = snow_fraction(series([-5, 0, 1, 1.5, 2, 9]))
    assert got.values.tolist() == [1, 1, 0.5, 0.25, 0, 0]
    with pytest.raises(ParameterError, match="all_rain"):
        snow_fraction(series([1]), all_snow=2, all_rain=2)


# --- lapse rates ---------------------------------------------------------------------------------


def stations(rate=-0.0065, heights=(3810.0, 5350.0, 6464.0), length=730, seed=0):
    rng = np.random.default_rng(seed)
    weather = rng.normal(0, 3, length) + 8 * np.sin(2 * np.pi * np.arange(length) / 365)
    return [series(25 + rate * z + weather, elevation=z) for z in heights]


def test_a_lapse_rate_is_found_in_every_month():
    found = lapse_rate(stations())
    np.testing.assert_allclose(found.lapse_rate, -6.5, atol=1e-9)
    assert found["count"].values.sum() == 730
    np.testing.assert_allclose(found.r2, 1)
    assert lapse_rate(stations(), by="all").lapse_rate.item() == pytest.approx(-6.5)


def test_a_season_of_the_lapse_rate():
    time = pd.date_range("2018-01-01", "2019-12-31")
    rate = -6 - 1.5 * np.cos(2 * np.pi * (time.month.to_numpy() - 1) / 12)
    levels = np.array([4000.0, 5000.0, 6500.0])
    values = 10 + rate[:, None] * levels / 1000
    data = xr.DataArray(
        values, {"time": time, "level": [600, 500, 400], "elevation": ("level", levels)},
        ("time", "level"),
    )  # fmt: skip
    found = lapse_rate(data)
    expected = -6 - 1.5 * np.cos(2 * np.pi * np.arange(12) / 12)
    np.testing.assert_allclose(found.lapse_rate, expected, atol=1e-9)
    moving = data.drop_vars("elevation")
    height = xr.DataArray(np.broadcast_to(levels, values.shape), moving.coords, moving.dims)
    np.testing.assert_allclose(lapse_rate(moving, elevation=height).lapse_rate, expected, atol=1e-9)


def test_a_gap_at_one_station_is_no_gradient():
    """The high station misses all winter: means of what each has would say -13 K/km."""
    low, middle, high = stations()
    holed = high.where((high.time.dt.month > 4) & (high.time.dt.month < 10))
    naive = np.polyfit([3810, 5350, 6464], [float(s.mean()) for s in (low, middle, holed)], 1)[0]
    assert abs(naive * 1000 + 6.5) > 0.5
    found = lapse_rate([low, middle, holed])
    summer = found.lapse_rate.sel(month=[5, 6, 7, 8, 9])
    np.testing.assert_allclose(summer, -6.5, atol=1e-9)
    assert np.isnan(found.lapse_rate.sel(month=1).item())


def test_lapse_rates_that_cannot_be():
    low, middle, high = stations()
    with pytest.raises(InputError, match="two stations or more"):
        lapse_rate([low])
    with pytest.raises(InputError, match="no elevation"):
        lapse_rate([low, middle.drop_vars("elevation")])
    with pytest.raises(InputError, match="differ by at least"):
        lapse_rate([low, middle.assign_coords(elevation=3820.0)])
    with pytest.raises(InputError, match="no time in common"):
        lapse_rate([low, middle.assign_coords(time=middle.time + np.timedelta64(9999, "D"))])
    with pytest.raises(InputError, match="no time at which all"):
        lapse_rate([low, middle * np.nan])
    with pytest.raises(ParameterError, match="by must"):
        lapse_rate([low, high], by="week")


def test_downscaling_by_one_rate_and_by_months():
    low = series(np.zeros(365), elevation=4000.0)
    assert downscale_temperature(low, 5000.0).values == pytest.approx(np.full(365, -6.5))
    monthly = xr.DataArray(-np.arange(1.0, 13), {"month": np.arange(1, 13)}, "month")
    got = downscale_temperature(low, 5000.0, lapse_rate=monthly)
    np.testing.assert_allclose(got, -low.time.dt.month)
    glacier = xr.DataArray([4500.0, 6000.0], {"rgi_id": ["a", "b"]}, "rgi_id")
    assert downscale_temperature(low, glacier).isel(time=0).values.tolist() == [-3.25, -13]
    there = downscale_temperature(low, 5000.0)
    assert float(there.elevation) == 5000
    np.testing.assert_allclose(downscale_temperature(there, 4000.0), low, atol=1e-12)


def test_downscaling_that_cannot_be():
    low = series(np.zeros(40))
    with pytest.raises(InputError, match="elevation of the"):
        downscale_temperature(low, 5000.0)
    with pytest.raises(ParameterError, match="K km-1"):
        downscale_temperature(low, 5000.0, reference_elevation=4000.0, lapse_rate=-65.0)
    partial = xr.DataArray([-5.0], {"month": [1]}, "month")
    with pytest.raises(InputError, match="month 2 has no lapse rate"):
        downscale_temperature(low, 5e3, reference_elevation=4e3, lapse_rate=partial)


def test_precipitation_gradient():
    rain = series([10.0, 0.0], units="mm", elevation=5000.0)
    assert downscale_precipitation(rain, 5200.0, gradient=5).values.tolist() == [11, 0]
    assert downscale_precipitation(rain, 2000.0, gradient=5).values.tolist() == [0, 0]


# --- months, seasons, years ----------------------------------------------------------------------


def test_seasons_bear_the_year_in_which_they_end():
    daily = series(np.arange(365 * 3 + 1), start="2018-01-01")
    winter = aggregate_climate(daily, period="DJF")
    assert winter.year.values.tolist() == [2018, 2019, 2020, 2021]
    assert np.isnan(winter.values[[0, 3]]).all()  # December 2017 and January 2021 are missing
    pick = daily.sel(time=slice("2018-12-01", "2019-02-28"))
    assert winter.sel(year=2019).item() == pytest.approx(pick.mean().item())
    summer = aggregate_climate(daily, period="JJA")
    assert summer.year.values.tolist() == [2018, 2019, 2020]
    assert summer.sel(year=2020).item() == pytest.approx(
        daily.sel(time=slice("2020-06-01", "2020-08-31")).mean().item()
    )


def test_hydrological_years():
    daily = series(np.ones(365 * 3 + 1), start="2018-01-01", units="mm")
    got = aggregate_climate(daily, period="hydrological_year")
    assert got.year.values.tolist() == [2018, 2019, 2020, 2021]
    assert got.sel(year=[2019, 2020]).values.tolist() == [365, 366]
    assert np.isnan(got.sel(year=[2018, 2021]).values).all()
    april = aggregate_climate(daily, period="hydrological_year", start_month=4)
    assert april.sel(year=2019).item() == 365
    assert got.attrs["units"] == "mm"


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 500), st.integers(40, 900),
    st.sampled_from(["month", "year", "hydrological_year", "DJF", "JJA", "NDJFMA"]),
    st.integers(1, 12),
)  # fmt: skip
def test_against_pandas(offset, length, period, start_month):
    values = np.random.default_rng(offset).normal(size=length)
    values[::7] = np.nan
    daily = series(values, start=pd.Timestamp("2015-01-01") + pd.Timedelta(offset, "D"))
    try:
        got = aggregate_climate(daily, period=period, min_coverage=1e-9, start_month=start_month)
    except InputError:
        return
    table = daily.to_series()
    month, year = table.index.month, table.index.year
    seasons = {"DJF": (12, 1, 2), "JJA": (6, 7, 8), "NDJFMA": (11, 12, 1, 2, 3, 4)}
    wanted = seasons.get(period, range(1, 13))
    first = {"DJF": 12, "NDJFMA": 11, "hydrological_year": start_month}.get(period, 1)
    label = year + ((month >= first) & (first > 1))
    if period == "month":
        label = year * 12 + month - 1
    expected = table[np.isin(month, wanted)].groupby(label[np.isin(month, wanted)]).mean()
    labels = got.year.values if period != "month" else (
        got.time.dt.year.values * 12 + got.time.dt.month.values - 1)  # fmt: skip
    np.testing.assert_allclose(got.values, expected.reindex(labels).to_numpy(), atol=1e-12)


def test_months_weigh_by_their_length():
    monthly = series(np.arange(12.0), freq="MS")
    weights = monthly.time.dt.days_in_month
    expected = float((monthly * weights).sum() / weights.sum())
    assert aggregate_climate(monthly).item() == pytest.approx(expected)
    assert aggregate_climate(monthly, how="max").item() == 11
    assert aggregate_climate(monthly, how="min").item() == 0
    assert aggregate_climate(monthly, how="sum").item() == 66


def test_a_year_of_a_model_calendar_is_a_year(tmp_path):
    """360 days of 2 degree days laid over 365 days."""
    ds = xr.Dataset(
        {"tas": ("time", np.full(720, 2.0), {"units": "degC"})},
        {"time": ("time", np.arange(720.0) + 0.5,
                  {"units": "days since 2018-01-01", "calendar": "360_day"})},
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "model.nc", engine="h5netcdf")
    got = degree_days(read_climate(tmp_path / "model.nc"))
    assert got.values == pytest.approx([730, 730], rel=1e-3)
    assert aggregate_climate(read_climate(tmp_path / "model.nc")).values.tolist() == [2, 2]


def test_lazy_gives_the_same_bits():
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed early")

    time = pd.date_range("2018-01-01", "2019-12-31")
    values = np.random.default_rng(0).normal(size=(time.size, 3, 4))
    field = xr.DataArray(values, {"time": time, "elevation": 4000.0}, ("time", "y", "x"))
    eager = degree_days(downscale_temperature(field, 4100.0))
    for chunks in ({"y": 1}, {"time": 100, "x": 2}):
        with dask.config.set(scheduler=refuse):
            lazy = degree_days(downscale_temperature(field.chunk(chunks), 4100.0))
        xr.testing.assert_identical(lazy.compute(), eager)


def test_periods_that_are_none():
    daily = series(np.ones(31))
    for period in ("fortnight", "JJJ", "J"):
        with pytest.raises(ParameterError, match="period must be"):
            aggregate_climate(daily, period=period)
    with pytest.raises(InputError, match="no value in JJA"):
        aggregate_climate(daily, period="JJA")
    with pytest.raises(ParameterError, match="min_coverage"):
        aggregate_climate(daily, min_coverage=0)
    with pytest.raises(ParameterError, match="how must"):
        aggregate_climate(daily, how="mode")
    with pytest.raises(ParameterError, match="start_month"):
        aggregate_climate(daily, period="hydrological_year", start_month=13)
    with pytest.raises(InputError, match="one time alone"):
        aggregate_climate(daily.isel(time=[0]))


# --- anomalies -----------------------------------------------------------------------------------


def test_anomalies_of_years_and_of_months():
    year = np.arange(1981, 2021)
    annual = xr.DataArray(np.arange(40.0) ** 1.5, {"year": year}, "year", attrs={"units": "degC"})
    got = standardised_anomaly(annual, base=(1991, 2020))
    base = got.sel(year=slice(1991, 2020))
    assert float(base.mean()) == pytest.approx(0, abs=1e-12)
    assert float(base.std(ddof=1)) == pytest.approx(1)
    assert got.attrs["units"] == "1"
    assert got.attrs["base_years"] == 30
    time = pd.date_range("1981-01-01", "2020-12-01", freq="MS")
    rng = np.random.default_rng(0)
    monthly = xr.DataArray(10 * time.month + rng.normal(size=480), {"time": time}, "time")
    got = standardised_anomaly(monthly, base=(1981, 2010))
    july = got[got.time.dt.month == 7].sel(time=slice("1981", "2010"))
    assert float(july.mean()) == pytest.approx(0, abs=1e-12)
    assert (got.time.values == time.values).all()


def test_anomalies_that_cannot_be():
    annual = xr.DataArray(np.arange(20.0), {"year": np.arange(2001, 2021)}, "year")
    assert standardised_anomaly(annual, base=(2012, 2020)).isnull().all()
    assert standardised_anomaly(annual * 0, base=(2001, 2020)).isnull().all()
    with pytest.raises(InputError, match="no value lies in the base period"):
        standardised_anomaly(annual, base=(1961, 1990))
    with pytest.raises(ParameterError, match="ends before"):
        standardised_anomaly(annual, base=(2020, 2001))


# --- time axes -----------------------------------------------------------------------------------


def test_steps():
    assert step_days(series(np.ones(5), freq="h").time).tolist() == [1 / 24] * 5
    assert step_days(series(np.ones(3), "2019-12-01", "MS").time).tolist() == [31, 31, 29]
    assert step_days(series(np.ones(3), "2019-01-01", "YS").time).tolist() == [365, 366, 365]
    gappy = series(np.ones(10)).isel(time=[0, 1, 2, 5, 6, 9])
    assert step_days(gappy.time).tolist() == [1] * 6


@given(st.lists(st.integers(1, 9), min_size=3, max_size=30))
def test_places_keep_the_gaps_of_an_even_axis(gaps):
    gaps = [1, 1, *gaps, 1, 1] + [1] * len(gaps)
    days = 30.4 * np.cumsum([0, *gaps])
    assert places(days).tolist() == np.cumsum([0, *gaps]).tolist()
