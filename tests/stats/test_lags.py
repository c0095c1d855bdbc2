"""Lagged correlation and decomposition, on series whose lag and parts are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.stats.decomposition import decompose
from glaciertoolkit.stats.lags import _phase_randomised, lagged_correlation

MONTHS = pd.date_range("2000-01-01", periods=240, freq="MS")


def red(phi, seed, length=240):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=length + 100)
    for i in range(1, x.size):
        x[i] += phi * x[i - 1]
    return x[100:]


def season(amplitude=10.0, shift=0):
    return amplitude * np.cos(2 * np.pi * (np.arange(240) - shift) / 12)


# --- lags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0, 2, 7, 12])
def test_the_lag_is_recovered_under_seasons_gaps_and_noise(lag):
    cause = red(0.4, 1, 252)
    rng = np.random.default_rng(2)
    early = pd.Series(cause[12:] + season(), MONTHS)
    late = pd.Series(2 * cause[12 - lag : 252 - lag] + rng.normal(size=240) + season(30, 4), MONTHS)
    early.iloc[[4, 50, 51, 52]] = np.nan
    late = late.drop(late.index[[17, 100]])
    found = lagged_correlation(early, late)
    assert int(found.best_lag) == lag
    assert float(found.best_correlation) > 0.7
    assert float(found.p_best) == 0.001
    assert found.lag.attrs["units"] == "month"
    assert int(found["count"].sel(lag=lag)) >= 240 - lag - 6


def test_a_common_season_is_no_relation():
    """The negative control: without deseasonalising any two seasons correlate."""
    one, two = (pd.Series(red(0.3, s) + season(), MONTHS) for s in (3, 4))
    raw = lagged_correlation(one, two, deseasonalise=False)
    assert float(raw.best_correlation) > 0.9
    honest = lagged_correlation(one, two)
    assert abs(float(honest.best_correlation)) < 0.3
    assert float(honest.p_best) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_unrelated_series_are_found_related_as_often_as_promised(phi):
    """Autocorrelated noise: the textbook p of Pearson's r fails, that of the surrogates holds."""
    from scipy.stats import pearsonr

    number = 200
    alone, any_lag, textbook = 0, 0, 0
    for seed in range(number):
        x, y = red(phi, 2 * seed + 10), red(phi, 2 * seed + 11)
        found = lagged_correlation(
            pd.Series(x, MONTHS), pd.Series(y, MONTHS), surrogates=199, max_lag=6
        )
        alone += float(found.p_value.sel(lag=0)) < 0.05
        any_lag += float(found.p_best) < 0.05
        textbook += pearsonr(x, y).pvalue < 0.05
    assert 0.01 < alone / number < 0.1
    assert 0.01 < any_lag / number < 0.1
    if phi:
        assert textbook / number > 0.3


def test_surrogates_keep_the_spectrum_and_the_gaps():
    for length in (60, 61):
        x = red(0.7, 5, length)
        x -= x.mean()
        random = _phase_randomised(x, 20, 0)
        np.testing.assert_allclose(
            np.abs(np.fft.rfft(random, axis=1)),
            np.abs(np.fft.rfft(x))[None].repeat(20, 0),
            atol=1e-9,
        )
        x[7] = np.nan
        assert (np.isnan(_phase_randomised(x, 3, 0)) == np.isnan(x)).all()


def test_the_same_seed_gives_the_same_numbers():
    one, two = (pd.Series(red(0.3, s), MONTHS) for s in (3, 4))
    xr.testing.assert_identical(lagged_correlation(one, two), lagged_correlation(one, two))


def test_quarters_count_in_months():
    quarters = pd.date_range("1990-03-31", periods=80, freq="QE")
    x = pd.Series(red(0.2, 6, 80), quarters)
    found = lagged_correlation(x, x.shift(2))
    assert found.lag.values.tolist() == [0, 3, 6, 9, 12]
    assert int(found.best_lag) == 6


def test_two_years_have_no_probabilities():
    x = pd.Series(red(0.2, 7, 24), MONTHS[:24])
    with pytest.warns(GlacierToolkitWarning, match="spatial relations only"):
        found = lagged_correlation(x, x)
    assert float(found.correlation[0]) == pytest.approx(1)
    assert found.p_value.isnull().all()
    assert "too short" in found.attrs["note"]


def test_lags_that_cannot_be():
    x = pd.Series(red(0.2, 8), MONTHS)
    with pytest.raises(InputError, match="no times in common"):
        lagged_correlation(x, x.set_axis(MONTHS + pd.DateOffset(years=50)))
    with pytest.raises(InputError, match="months, quarters or years"):
        lagged_correlation(x, pd.Series(red(0.2, 8), pd.date_range("2000", periods=240)))
    with pytest.raises(InputError, match="steps of 1 and 12 months"):
        lagged_correlation(
            x, pd.Series(np.arange(20.0), pd.date_range("2000", periods=20, freq="YS"))
        )
    with pytest.raises(InputError, match="of one place"):
        lagged_correlation(x, xr.DataArray(np.zeros((240, 2)), {"time": MONTHS}, ("time", "x")))
    with pytest.raises(ParameterError, match="max_lag"):
        lagged_correlation(x, x, max_lag=-1)
    with pytest.raises(ParameterError, match="19 surrogates"):
        lagged_correlation(x, x, surrogates=5)
    empty = lagged_correlation(x, x * np.nan)
    assert np.isnan(float(empty.p_best))
    assert int(empty.best_lag) == -1


# --- decomposition -------------------------------------------------------------------------------


def parts(seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    trend = 20 + 0.05 * np.arange(240)
    return trend, season(6, 6), noise * rng.normal(size=240)


def test_stl_gives_the_parts_back_through_outliers_and_gaps():
    trend, wave, noise = parts()
    values = pd.Series(trend + wave + noise, MONTHS, name="v")
    values.iloc[[30, 90]] += 40
    holed = values.drop(values.index[[10, 11, 12, 60, 200]])
    found = decompose(holed)
    assert found.attrs["filled"] == 0  # the gaps are not in the series
    keep = values.index.isin(holed.index)
    inner = slice(12, -12)
    np.testing.assert_allclose(found.trend.values[inner], trend[keep][inner], atol=0.7)
    np.testing.assert_allclose(found.seasonal.values[inner], wave[keep][inner], atol=0.9)
    total = found.trend + found.seasonal + found.residual
    np.testing.assert_allclose(total.values, holed.to_numpy(), atol=1e-9)
    assert np.nanmax(found.residual.values) > 38
    with_nan = decompose(values.where(keep))
    assert with_nan.attrs["filled"] == 5
    np.testing.assert_allclose(with_nan.trend.values[keep], found.trend.values, atol=1e-9)
    assert np.isnan(with_nan.seasonal.values[~keep]).all()


def test_harmonics_at_uneven_times_with_honest_errors():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(60):
        days = np.sort(np.random.default_rng(seed).choice(3650, 150, replace=False))
        time = np.datetime64("2010-01-01", "ns") + days * np.timedelta64(86_400_000_000_000, "ns")
        day = (time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D")
        wave = 8 * np.cos(2 * np.pi * (day - 200) / 365.25)
        values = 50 - 1.5 * days / 365.25 + wave + 2 * rng.normal(size=150)
        found = decompose(xr.DataArray(values, {"time": time}, "time"), method="harmonic")
        inside += abs(float(found.amplitude) - 8) < 2 * float(found.amplitude_error)
        assert float(found.slope) == pytest.approx(-1.5, abs=5 * float(found.slope_error))
        assert float(found.peak_day) == pytest.approx(200, abs=6)
    assert 51 <= inside <= 60


def test_many_series_at_once_and_units():
    trend, wave, noise = parts()
    data = np.stack([trend + wave + noise, np.full(240, np.nan), trend + 0.1 * noise])
    series = xr.DataArray(
        data, {"rgi_id": list("abc"), "time": MONTHS}, ("rgi_id", "time"), attrs={"units": "m yr-1"}
    )
    for method in ("stl", "harmonic"):
        found = decompose(series, method=method)
        assert found.trend.dims == ("rgi_id", "time")
        assert found.trend.attrs["units"] == "m yr-1"
        assert np.isnan(found.trend.values[1]).all()
        np.testing.assert_allclose(found.trend.values[2, 24:-24], trend[24:-24], atol=0.1)
    assert found.slope.attrs["units"] == "m yr-1 yr-1"
    assert found.amplitude.dims == ("rgi_id",)


def test_decompositions_that_cannot_be():
    x = pd.Series(red(0.2, 8), MONTHS)
    with pytest.raises(InputError, match="two whole years"):
        decompose(x.iloc[:20])
    with pytest.raises(InputError, match="how many values make a year"):
        decompose(pd.Series(red(0.2, 8), pd.date_range("2000", periods=240)))
    with pytest.raises(InputError, match="even time axis"):
        decompose(x.iloc[np.sort(np.random.default_rng(0).choice(240, 90, False)) ** 2 % 240])
    with pytest.raises(ParameterError, match="method"):
        decompose(x, method="x11")
    with pytest.raises(ParameterError, match="harmonics"):
        decompose(x, harmonics=0)
    assert decompose(x.where(np.arange(240) % 2 == 0)).trend.isnull().all()
