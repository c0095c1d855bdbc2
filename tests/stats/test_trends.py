"""Trends: published examples to the printed digit, chance kept at its level, gaps, odd input."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, norm

from glaciertoolkit.errors import (
    DateError,
    GlacierToolkitWarning,
    InputError,
    ParameterError,
)
from glaciertoolkit.stats import kendall
from glaciertoolkit.stats.periods import aggregate_climate
from glaciertoolkit.stats.trends import _trends, seasonal_trend, series_and_years, trend

NORMAL = float(norm.ppf(0.975))
STATISTICS = list(trend(xr.DataArray(np.arange(9.0), {"year": range(9)}, "year"), dim="year"))


def yearly(values, first=1900, **coords):
    years = np.arange(first, first + np.shape(values)[0])
    dims = ("year", *coords)
    return xr.DataArray(values, coords={"year": years, **coords}, dims=dims)


def ar1(phi, length, number, seed):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(length + 100, number))
    for i in range(1, len(noise)):
        noise[i] += phi * noise[i - 1]
    return noise[100:]


# --- published examples --------------------------------------------------------------------------


def test_sodium_of_the_unified_guidance():
    """USEPA (2009), EPA 530/R-09-007, example 17-7, as computed by R's EnvStats (Millard 2013).

    Uneven times; Gilbert's interval between ranks; Conover's intercept.
    """
    years = np.array([89.6, 90.1, 90.8, 91.1, 92.1, 93.1, 94.1, 95.6, 96.1, 96.3])
    sodium = np.array([56.0, 53, 51, 55, 52, 60, 62, 59, 61, 63])
    found = dict(
        zip(STATISTICS, _trends(sodium, years=years, correction="none", normal=NORMAL), strict=True)
    )
    assert found["tau"] == pytest.approx(0.5555556, abs=5e-8)
    assert found["slope"] == pytest.approx(1.3333333, abs=5e-8)
    assert found["intercept"] == pytest.approx(-65.9666667, abs=5e-8)
    assert found["z"] == pytest.approx(2.146625, abs=5e-7)
    assert found["p_value"] == pytest.approx(0.03182313, abs=5e-9)
    assert found["slope_low"] == pytest.approx(0.3992083, abs=5e-8)
    assert found["slope_high"] == pytest.approx(2.3333333, abs=5e-8)


ANALYTE = np.array([
    [1.99, 2.10, 2.12, 2.12, 2.11, 2.15, 2.19, 2.18, 2.16, 2.08, 2.05, 2.08],
    [2.01, 2.10, 2.17, 2.13, 2.13, 2.18, 2.25, 2.24, 2.22, 2.13, 2.08, 2.16],
    [2.15, 2.17, 2.27, 2.23, 2.24, 2.26, 2.31, 2.32, 2.28, 2.22, 2.19, 2.22],
])  # fmt: skip


def test_seasonal_analyte_of_the_unified_guidance():
    """USEPA (2009), example 14-10 (data of 14-8), as computed by R's EnvStats."""
    series = pd.Series(ANALYTE.ravel(), pd.date_range("1983-01-01", periods=36, freq="MS"))
    with pytest.warns(GlacierToolkitWarning, match="too short"):
        found = seasonal_trend(series, correlated=False)
    assert float(found.tau) == pytest.approx(0.9722222, abs=5e-8)
    assert float(found.slope) == pytest.approx(0.06, abs=5e-8)
    assert float(found.z) == pytest.approx(5.1849514, abs=5e-8)
    assert float(found.p_value) == pytest.approx(2.160712e-07, abs=5e-14)
    assert float(found.slope_low) == pytest.approx(0.05786914, abs=5e-9)
    assert float(found.slope_high) == pytest.approx(0.07213086, abs=5e-9)


def test_ten_values_of_rtrend():
    """The example of `mkTrend` in R's rtrend (Kong), printed with all digits."""
    values = [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]
    found = trend(yearly(values), dim="year", correction="none")
    assert float(found.z) == pytest.approx(0.35777087639996635, abs=1e-15)
    assert float(found.p_value) == pytest.approx(0.7205147871362552, abs=1e-15)
    assert float(found.slope) == pytest.approx(0.04, abs=1e-12)


def test_contaminant_of_the_wisconsin_code():
    """Wisconsin Administrative Code, table A of its Mann-Kendall appendix: S = -5, with a tie."""
    found = trend(yearly([100.0, 50, 85, 75, 50]), dim="year", correction="none")
    assert float(found.s) == -5


def test_ties_of_gilbert():
    """Gilbert (1987), section 16.4.1: groups of 2, 3 and 3 alike among 9 values."""
    values = np.array([[23.0, 24, 29, 6, 29, 24, 24, 29, 23]]).T
    expected = (9 * 8 * 23 - 2 * 1 * 9 - 3 * 2 * 11 - 3 * 2 * 11) / 18
    assert kendall.kendall(values).variance.item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("seed", [0, 1])
def test_against_pymannkendall(seed):
    peer = pytest.importorskip("pymannkendall")
    rng = np.random.default_rng(seed)
    values = np.round(ar1(0.4, 80, 1, seed)[:, 0] + 0.01 * np.arange(80), 1)  # with ties
    plain, theirs = trend(yearly(values), dim="year", correction="none"), peer.original_test(values)
    assert float(plain.s) == theirs.s
    assert float(plain.s_variance) == pytest.approx(theirs.var_s)
    assert float(plain.z) == pytest.approx(theirs.z)
    assert float(plain.slope) == pytest.approx(theirs.slope)
    assert float(plain.intercept) == pytest.approx(theirs.intercept)
    ours = trend(yearly(values), dim="year", correction="hamed-rao")
    theirs = peer.hamed_rao_modification_test(values)
    assert float(ours.s_variance) == pytest.approx(theirs.var_s, rel=1e-9)
    assert float(ours.p_value) == pytest.approx(theirs.p, rel=1e-9)
    monthly = rng.normal(size=240) + np.repeat(0.03 * np.arange(20), 12)
    series = pd.Series(monthly, pd.date_range("2000-01-01", periods=240, freq="MS"))
    one, two = seasonal_trend(series, correlated=False), seasonal_trend(series)
    assert float(one.z) == pytest.approx(peer.seasonal_test(monthly, period=12).z)
    theirs = peer.correlated_seasonal_test(monthly, period=12)
    assert float(two.s_variance) == pytest.approx(theirs.var_s)
    assert float(two.slope) == pytest.approx(theirs.slope)


def test_hamed_rao_on_the_nile():
    """The annual flow of the Nile 1871-1970: tau, S and slope that several packages print."""
    nile = pytest.importorskip("statsmodels.datasets").nile.load_pandas().data.volume.to_numpy()
    found = trend(yearly(nile, 1871), dim="year", correction="hamed-rao")
    assert float(found.s) == -1387
    assert float(found.slope) == pytest.approx(-2.6)
    # Autocorrelation halves what a hundred years are worth, and the trend stays significant.
    assert 40 < float(found.n_effective) < 55
    assert 0.001 < float(found.p_value) < 0.01


# --- chance --------------------------------------------------------------------------------------


def false_alarms(values, correction):
    return float((trend(yearly(values, site=range(values.shape[1])), dim="year",
                        correction=correction).p_value < 0.05).mean())  # fmt: skip


def test_white_noise_is_significant_as_often_as_promised():
    noise = ar1(0.0, 40, 1500, 5)
    assert 0.035 < false_alarms(noise, "none") < 0.065
    assert 0.035 < false_alarms(noise, "prewhiten") < 0.075


@pytest.mark.parametrize(("phi", "naive", "allowed"), [(0.5, 0.2, 0.095), (0.7, 0.33, 0.12)])
def test_autocorrelation_needs_the_correction(phi, naive, allowed):
    """The negative control: without correction every third to fifth noise has a "trend"."""
    noise = ar1(phi, 50, 1500, 6)
    without = false_alarms(noise, "none")
    assert without > naive
    assert false_alarms(noise, "prewhiten") < allowed
    # Hamed and Rao's helps, but far less in series as short as these.
    assert allowed < false_alarms(noise, "hamed-rao") < without


def test_a_trend_is_still_found_and_its_interval_holds():
    slope = 0.08
    noise = ar1(0.5, 50, 600, 7)
    series = yearly(noise + slope * np.arange(50)[:, None], site=range(600))
    found = trend(series, dim="year")
    assert float((found.p_value < 0.05).mean()) > 0.8
    assert float(found.slope.median()) == pytest.approx(slope, rel=0.03)
    covered = ((found.slope_low <= slope) & (found.slope_high >= slope)).mean()
    assert 0.88 < float(covered) < 0.98
    plain = trend(series, dim="year", correction="none")
    missed = ((plain.slope_low <= slope) & (plain.slope_high >= slope)).mean()
    assert float(missed) < 0.8


def test_seasons_that_resemble_each_other_need_the_covariance():
    rng = np.random.default_rng(8)
    time = pd.date_range("2000-01-01", periods=240, freq="MS")
    year = np.repeat(rng.normal(size=(20, 300)), 12, axis=0) + 0.3 * rng.normal(size=(240, 300))
    series = xr.DataArray(year, {"time": time, "site": range(300)}, ("time", "site"))
    naive = float((seasonal_trend(series, correlated=False).p_value < 0.05).mean())
    honest = float((seasonal_trend(series).p_value < 0.05).mean())
    assert naive > 0.4
    assert honest < 0.11


# --- properties ----------------------------------------------------------------------------------

numbers = st.lists(st.integers(-50, 50), min_size=4, max_size=25)


@settings(max_examples=60, deadline=None)
@given(numbers)
def test_s_is_that_of_scipy(values):
    series = np.array(values, float)
    found = kendall.kendall(series[:, None])
    tau = kendalltau(np.arange(series.size), series, variant="b").statistic
    if np.ptp(series):
        # tau-b = S / sqrt(pairs * pairs without those tied in the values)
        pairs = series.size * (series.size - 1) / 2
        count = np.unique(series, return_counts=True)[1]
        untied = pairs - (count * (count - 1) / 2).sum()
        assert found.s.item() == pytest.approx(tau * np.sqrt(pairs * untied), abs=1e-9)
    else:
        assert found.s.item() == 0
        assert found.variance.item() == 0


@settings(max_examples=40, deadline=None)
@given(numbers, st.floats(-5, 5), st.floats(0.5, 4))
def test_a_line_added_shifts_the_slope_alone(values, added, scale):
    series = np.array(values, float) * scale
    years = np.arange(series.size)
    one = trend(yearly(series), dim="year", correction="none")
    two = trend(yearly(series + added * years), dim="year", correction="none")
    assert float(two.slope) == pytest.approx(float(one.slope) + added, abs=1e-9)
    back = trend(yearly(series[::-1].copy()), dim="year", correction="none")
    assert float(back.s) == -float(one.s)


# --- gaps, order, calendars ----------------------------------------------------------------------


def test_gaps_change_nothing_but_the_count():
    time = pd.date_range("1990-01-01", periods=30, freq="YS")
    values = 2.0 * (np.arange(30) % 7) + np.arange(30)
    holed = values.copy()
    holed[[3, 9, 10, 20]] = np.nan
    series = xr.DataArray(holed, {"time": time}, "time", attrs={"units": "m yr-1"})
    for correction in ("none", "hamed-rao", "prewhiten"):
        with_nan = trend(series, correction=correction)
        dropped = trend(series.dropna("time"), correction=correction)
        xr.testing.assert_allclose(with_nan, dropped)
    assert int(with_nan["count"]) == 26
    assert with_nan.slope.attrs["units"] == "m yr-1 yr-1"
    shuffled = series.isel(time=np.random.default_rng(0).permutation(30))
    xr.testing.assert_identical(trend(shuffled, correction="prewhiten"), with_nan)


def test_what_cannot_have_a_trend_is_nan():
    time = pd.date_range("1990-01-01", periods=10, freq="YS")
    values = np.full((10, 4), np.nan)
    values[:3, 1] = [1, 2, 3]
    values[:, 2] = 5.0
    values[:, 3] = np.arange(10)
    values[2, 3] = np.inf
    found = trend(xr.DataArray(values, {"time": time}, ("time", "site")))
    assert found["count"].values.tolist() == [0, 3, 10, 9]
    assert np.isnan(found.slope.values[:2]).all()
    assert found.slope.values[2] == 0
    assert np.isnan(found.p_value.values[2])
    assert found.slope.values[3] == pytest.approx(1, rel=0.01)


def test_zones_duplicates_and_nonsense():
    time = pd.date_range("2000-01-01", periods=40, freq="QS", tz="Asia/Shanghai")
    values = pd.Series(np.arange(40.0), time)
    assert float(trend(values, correction="none").slope) == pytest.approx(4, rel=0.01)
    naive = pd.Series(np.arange(40.0), time.tz_localize(None))
    again = pd.concat([naive, naive.iloc[[7]]])
    assert int(trend(again)["count"]) == 40
    again.iloc[-1] = 99.0
    with pytest.raises(DateError, match="two different values at 2001-10-01"):
        trend(again)
    with pytest.raises(InputError, match="empty"):
        trend(naive.iloc[:0])
    with pytest.raises(InputError, match="no dimension 'time'"):
        trend(yearly([1.0, 2, 3]))
    with pytest.raises(InputError, match="index of the series"):
        trend(pd.Series([1.0, 2.0]))
    with pytest.raises(InputError, match="choose one variable"):
        trend(xr.Dataset())
    with pytest.raises(InputError, match="a year twice"):
        trend(xr.DataArray([1.0, 2], {"year": [1999, 1999]}, "year"), dim="year")
    with pytest.raises(ParameterError, match="correction"):
        trend(naive, correction="bonferroni")
    with pytest.raises(ParameterError, match="confidence"):
        trend(naive, confidence=95)
    with pytest.raises(ParameterError, match="season"):
        seasonal_trend(naive, season="week")


def test_two_years_are_said_to_be_too_few():
    time = pd.date_range("2019-01-01", "2020-12-31", freq="MS")
    with pytest.warns(GlacierToolkitWarning, match="permit spatial relations only"):
        found = trend(pd.Series(np.arange(24.0), time))
    assert "too short" in found.attrs["note"]


def test_years_are_counted_by_the_calendar():
    time = pd.to_datetime(["2000-01-01", "2000-07-01", "2004-01-01"])
    _, years = series_and_years(pd.Series([1.0, 2, 3], time), "time")
    assert years[-1] == 4.0


# --- laziness ------------------------------------------------------------------------------------


def _no_compute(*_args, **_kwargs):
    raise AssertionError("computed early")


def test_lazy_gives_the_same_bits_whatever_the_chunks():
    time = pd.date_range("1990-01-01", periods=25, freq="YS")
    values = ar1(0.3, 25, 12, 9)
    values[3, 4] = np.nan
    series = xr.DataArray(values.reshape(25, 3, 4), {"time": time}, ("time", "y", "x"))
    eager = trend(series)
    for chunks in ({"y": 1, "x": 4}, {"time": 5, "y": 3, "x": 1}):
        with dask.config.set(scheduler=_no_compute):
            lazy = trend(series.chunk(chunks))
        xr.testing.assert_identical(lazy.compute(scheduler="threads"), eager)


def test_many_series_go_through_in_blocks(monkeypatch):
    values = yearly(ar1(0.2, 30, 50, 10), site=range(50))
    whole = trend(values, dim="year")
    monkeypatch.setattr(kendall, "PAIRS_AT_ONCE", 30 * 30 // 2 * 7)
    xr.testing.assert_identical(trend(values, dim="year"), whole)


def test_years_of_a_climate_series_have_a_trend():
    time = pd.date_range("1990-01-01", "2019-12-31")
    warm = pd.Series(0.05 * (time.year - 1990) + 5.0 * (time.month > 6), time)
    annual = aggregate_climate(warm)
    found = trend(annual, dim="year")
    assert float(found.slope) == pytest.approx(0.05, rel=0.01)
    with pytest.raises(InputError, match="choose one variable"):
        aggregate_climate(annual.to_dataset(name="t"))
