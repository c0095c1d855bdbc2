"""The arithmetic of the neighbouring studies, to the digits that they state."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import glaciertoolkit as gt
from glaciertoolkit.errors import InputError, ParameterError

YEARS = 14
SUB_BASINS = {"In Nam Co": (-4.408, -0.268), "Out": (-3.610, -0.219)}


def test_in_situ_comparisons_of_zhadang_and_gurenhekou():
    found = gt.compare_insitu(
        [-0.501, -0.267], [-0.59, -0.31], error=[0.166, 0.248], names=["Zhadang", "Gurenhekou"]
    )
    assert found["z"].round(2).to_dict() == {"Zhadang": 0.54, "Gurenhekou": 0.17}
    assert found["agrees"].all()
    assert found.loc["Zhadang", "p"] == pytest.approx(math.erfc(0.53614 / math.sqrt(2)), abs=1e-4)


def test_in_situ_errors_add_up_and_gaps_agree_with_nothing():
    found = gt.compare_insitu(
        pd.Series({"a": 5.0, "b": np.nan, "c": 9.0}), 0.0, error=3.0, measured_error=4.0
    )
    assert found.index.tolist() == ["a", "b", "c"]
    assert found["z"].tolist()[::2] == [1.0, 1.8]
    assert found["agrees"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("given", "options", "error"),
    [
        (([1, 2], [1, 2, 3]), {"error": 1}, InputError),
        (([1, 2], [1, 2]), {"error": 0}, ParameterError),
        (([1, 2], [1, 2]), {"error": -1}, ParameterError),
        (([1, 2], [1, 2]), {"error": 1, "names": ["a"]}, InputError),
        (([1, 2], [1, 2]), {"error": 1, "limit": 0}, ParameterError),
    ],
)
def test_in_situ_comparison_refuses(given, options, error):
    with pytest.raises(error):
        gt.compare_insitu(*given, **options)


@pytest.mark.parametrize(("dh", "stated"), SUB_BASINS.values(), ids=SUB_BASINS)
def test_balances_of_the_sub_basins(dh, stated):
    found = gt.geodetic_balance(dh, years=YEARS)
    assert found.value == pytest.approx(stated, abs=0.0005)


def test_the_stated_total_is_not_what_its_elevation_change_makes():
    """W Nyainqentanglha: the slide says -0.235, its own -3.822 m make -0.232."""
    found = gt.geodetic_balance(-3.822, years=YEARS)
    assert round(found.value, 3) == -0.232
    assert abs(found.value - -0.235) > 0.0025
    assert found.value == pytest.approx(-0.235, abs=0.005)
    inner, outer = (gt.geodetic_balance(dh, years=YEARS) for dh, _ in SUB_BASINS.values())
    shares = np.linspace(0.01, 0.99, 99)
    totals = [gt.total_balance([inner, outer], areas=[s, 1 - s]).value for s in shares]
    # The total lies between its parts, whatever their areas.
    assert min(totals) < found.value < max(totals)


def test_the_stated_errors_need_two_metres_of_penetration():
    """0.037 to 0.039 from elevation and density; 0.126 to 0.129 are stated."""
    missing = [math.sqrt(total**2 - part**2) for total, part in ((0.126, 0.037), (0.129, 0.039))]
    assert np.mean(missing) == pytest.approx(0.122, abs=0.001)
    found = gt.geodetic_balance(-3.822, years=YEARS, penetration_error=2.0)
    assert found.error_penetration == pytest.approx(np.mean(missing), abs=0.001)


def test_error_terms_by_the_formula():
    found = gt.geodetic_balance(-4.0, years=10, dh_error=0.5, penetration_error=1.5)
    assert found.error_elevation == pytest.approx(0.5 * 0.085)
    assert found.error_density == pytest.approx(4 * 0.006)
    assert found.error_penetration == pytest.approx(1.5 * 0.085)
    assert found.error == pytest.approx(math.sqrt(sum(t**2 for t in found[2:])))


def test_error_of_the_balance_by_simulation():
    rng = np.random.default_rng(0)
    dh, density = rng.normal(-4, 0.5, 200_000), rng.normal(850, 60, 200_000)
    found = gt.geodetic_balance(-4.0, years=10, dh_error=0.5)
    assert found.error == pytest.approx((dh * density / 1e4).std(), rel=0.01)


def test_shared_errors_do_not_average_out():
    parts = [gt.geodetic_balance(-4.0, years=10, dh_error=0.5)] * 16
    together = gt.total_balance(parts, areas=[1] * 16)
    assert together.error_density == pytest.approx(parts[0].error_density)
    assert together.error_elevation == pytest.approx(parts[0].error_elevation / 4)
    apart = gt.total_balance(parts, areas=[1] * 16, shared=False)
    assert apart.error == pytest.approx(parts[0].error / 4)
    with pytest.raises(InputError, match="2 areas for 16 balances"):
        gt.total_balance(parts, areas=[1, 2])
    with pytest.raises(InputError, match="must be positive"):
        gt.total_balance(parts[:1], areas=[0])


@pytest.mark.parametrize("options", [{"years": 0}, {"years": 5, "dh_error": -1}])
def test_balances_that_cannot_be_are_refused(options):
    with pytest.raises(ParameterError):
        gt.geodetic_balance(-1.0, **options)


def test_melt_of_a_hundred_square_kilometres():
    found = gt.lake_contribution(-0.268, areas=100.0, years=1, lake_change=1.0)
    assert found.glacier_volume == pytest.approx(0.0268)
    assert found.share == pytest.approx(0.0268)


def test_error_of_the_lake_share_by_simulation():
    rng = np.random.default_rng(0)
    n = 200_000
    given = {
        "areas": [120.0, 60.0], "area_errors": [6.0, 3.0], "balance_errors": [0.06, 0.05],
        "years": 14, "lake_change": 8.0, "lake_error": 0.8,
    }  # fmt: skip
    z = rng.standard_normal(n)
    volume = 0
    for b, sb, a, sa in zip((-0.268, -0.219), (0.06, 0.05), (120, 60), (6, 3), strict=True):
        volume = volume - (b + sb * z) * (a + sa * rng.standard_normal(n)) * 14e-3
    share = volume / (8 + 0.8 * rng.standard_normal(n))
    found = gt.lake_contribution([-0.268, -0.219], **given)
    spread = np.diff(np.quantile(share, [0.1587, 0.8413]))[0] / 2
    assert found.share == pytest.approx(np.median(share), rel=0.01)
    assert found.error == pytest.approx(spread, rel=0.03)
    assert gt.lake_contribution([-0.268, -0.219], shared=False, **given).error < found.error
    assert "%" in str(found)


def test_volume_of_a_lake():
    # A cone's frustum from radius 1 to 2: pi h (1 + 2 + 4) / 3.
    found = gt.lake_volume_change(3.0, area_before=math.pi, area_after=4 * math.pi)
    assert found == pytest.approx(7 * math.pi * 1e-3)
    assert gt.lake_volume_change(-2.0, area_before=1000) == pytest.approx(-2.0)
    flat = gt.lake_volume_change(2.0, area_before=10, area_after=20, shape="trapezoid")
    assert flat == pytest.approx(0.03)
    with pytest.raises(ParameterError, match="frustum or trapezoid"):
        gt.lake_volume_change(1.0, area_before=1, shape="cone")
    with pytest.raises(ParameterError, match="positive"):
        gt.lake_volume_change(1.0, area_before=0)


@pytest.mark.parametrize(
    ("balances", "options", "error"),
    [
        ([-0.2, -0.3], {}, InputError),
        (-0.2, {"lake_change": 0}, ParameterError),
        (-0.2, {"lake_change": math.nan}, ParameterError),
        (-0.2, {"years": 0}, ParameterError),
        (-0.2, {"areas": -1}, ParameterError),
        (-0.2, {"lake_error": -1}, ParameterError),
    ],
)
def test_lakes_that_cannot_be_are_refused(balances, options, error):
    with pytest.raises(error):
        gt.lake_contribution(balances, **{"areas": 10, "years": 1, "lake_change": 1, **options})


def test_velocity_classes_of_rock_glaciers():
    v = np.array([0, 0.009, 0.01, 0.03, 0.1, 0.3, 1.0, 50, np.nan], "float32")
    assert gt.classify_velocity(v).tolist() == [1, 1, 2, 3, 4, 5, 6, 6, -1]
    da = xr.DataArray(v, dims="x", coords={"x": np.arange(9.0)}, attrs={"units": "m yr-1"})
    found = da.glacier.classify_velocity()
    assert found.attrs["units"] == "1"
    assert len(found.attrs["flag_values"]) == len(found.attrs["flag_meanings"].split())
    lazy = gt.classify_velocity(da.chunk(x=4))
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), found)
    # GF-3, 29 days, 0.5 m: 6.3 m a-1, so nothing below the fastest class is seen.
    seen = gt.classify_velocity(da, error=xr.full_like(da, 6.3))
    assert seen.values.tolist() == [0, 0, 0, 0, 0, 0, 0, 6, -1]


def test_velocity_classes_refuse():
    with pytest.raises(ParameterError, match="scheme must be"):
        gt.classify_velocity([1.0], scheme="other")
    with pytest.raises(InputError, match="cannot be negative"):
        gt.classify_velocity([-1.0])
    with pytest.raises(InputError, match="m yr-1"):
        gt.classify_velocity(xr.DataArray([1.0], attrs={"units": "m d-1"}))


@given(st.floats(-1e4, 1e4))
def test_permafrost_is_a_probability(x):
    options = {"coefficients": {"t": 1.0}, "intercept": 0.0}
    p = float(gt.permafrost_probability({"t": [x]}, **options)[0])
    assert 0 <= p <= 1
    if abs(x) < 30:
        assert p == pytest.approx(1 / (1 + math.exp(-x)), abs=1e-12)


def test_permafrost_of_maps():
    t = xr.DataArray([[-5.0, np.nan]], dims=("y", "x"), attrs={"units": "degC"})
    found = gt.permafrost_probability(
        {"t": t, "snow": 0 * t}, coefficients={"t": -1.0, "snow": 2.0}, intercept=-5.0
    )
    assert found.values[0, 0] == 0.5
    assert np.isnan(found.values[0, 1])
    assert found.attrs["units"] == "1"
    with pytest.raises(InputError, match="apart: snow"):
        gt.permafrost_probability({"t": t}, coefficients={"t": 1, "snow": 1}, intercept=0)


def season(n, seed=0):
    """Pairs of dates over five years, with degree days since the onset of each thaw."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.random((n, 2)) * 5, axis=1)
    return t, 1200 * np.clip(np.sin(2 * np.pi * (t - 0.4)), 0, None) ** 2


def test_stefan_recovers_trend_and_season_to_a_percent():
    t, a = season(120)
    rng = np.random.default_rng(1)
    trend = np.linspace(0.005, 0.02, 50)
    seasonal = np.full(50, 0.00055)
    d = np.diff(t) * trend + np.diff(np.sqrt(a)) * seasonal
    exact = gt.fit_stefan(d, years=t, degree_days=a)
    np.testing.assert_allclose(exact.trend, trend, rtol=1e-9)
    np.testing.assert_allclose(exact.seasonal, seasonal, rtol=1e-9)
    noisy = gt.fit_stefan(d + 0.001 * rng.standard_normal(d.shape), years=t, degree_days=a)
    assert noisy.trend.mean() == pytest.approx(trend.mean(), rel=0.01)
    assert noisy.seasonal.mean() == pytest.approx(0.00055, rel=0.01)
    z = (noisy.trend - trend) / noisy.trend_error
    assert 0.7 < z.std() < 1.35


def test_stefan_with_gaps_and_without_a_season():
    t, a = season(30)
    d = np.tile((np.diff(t) * 0.01 + np.diff(np.sqrt(a)) * 5e-4), (1, 3))
    d[::2, 1] = np.nan
    d[2:, 2] = np.nan
    found = gt.fit_stefan(d, years=t, degree_days=a)
    np.testing.assert_allclose(found.trend[:2], 0.01)
    assert np.isnan(found.trend[2])
    with pytest.raises(InputError, match="cannot tell the trend from the season"):
        gt.fit_stefan(d, years=t, degree_days=0 * a)
    with pytest.raises(InputError, match="two values"):
        gt.fit_stefan(d, years=t[:, 0], degree_days=a)


def test_thaw_depth_is_stefans():
    # 19 mm of settlement for 1200 degree days: E = 0.00055 m per root of a degree day.
    assert 0.019 / math.sqrt(1200) == pytest.approx(0.00055, abs=5e-6)
    depth = gt.thaw_depth([0, 300, 1200])
    assert depth[2] == pytest.approx(2 * depth[1])
    assert depth[0] == 0
    heat = 1500 * 0.2 * 3.34e5 * depth[2]
    assert 2 * 1.5 * 1200 * 86400 / depth[2] == pytest.approx(heat)
    with pytest.raises(ParameterError, match="negative"):
        gt.thaw_depth(-1)
    with pytest.raises(ParameterError, match="positive"):
        gt.thaw_depth(1, water_content=0)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.1, 20)), min_size=2, max_size=8))
def test_merging_is_a_kalman_filter(rows):
    x, s = np.array(rows).T
    value, variance = x[0], s[0] ** 2
    for y, r in zip(x[1:], s[1:] ** 2, strict=True):
        gain = variance / (variance + r)
        value, variance = value + gain * (y - value), (1 - gain) * variance
    found = gt.merge_estimates(x, errors=s)
    assert float(found.value) == pytest.approx(value, abs=1e-8)
    assert float(found.error) == pytest.approx(math.sqrt(variance))


def test_merging_leaves_out_what_is_missing():
    x = np.array([[10.0, np.nan, np.nan], [14.0, 6.0, np.nan]])
    found = gt.merge_estimates(x, errors=[0.2, 0.5])
    assert found.value[1] == 6
    assert found.error[1] == 0.5
    assert np.isnan(found.value[2])
    assert np.isnan(found.chi2[1])
    with pytest.raises(InputError, match="do not fit"):
        gt.merge_estimates(x, errors=[1, 2, 3, 4])
    with pytest.raises(ParameterError, match="positive"):
        gt.merge_estimates(x, errors=[0, 1])
