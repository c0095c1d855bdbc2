"""Hypsometry, equilibrium lines and the accumulation contrast, where each is known."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import GridError, InputError, ParameterError

UTM = "EPSG:32645"
X0, Y0 = 480_000.0, 3_100_000.0
NY, NX, STEP = 120, 160, 100.0


def elevation():
    """Ground that rises to the north by one in five, from 4,000 m at the lower edge."""
    y = Y0 - STEP * np.arange(NY)
    x = X0 + STEP * np.arange(NX)
    z = 4000 + 0.2 * (y - y[-1])[:, None] + 0 * x
    return xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x")).rio.write_crs(UTM)


def velocity(speed, error=1.0):
    dem = elevation()
    v = np.broadcast_to(np.asarray(speed, "float32"), dem.shape)
    data = {"vx": 0 * v, "vy": -v, "v": v, "v_error": 0 * v + error}
    coords = {"y": dem.y, "x": dem.x}
    return xr.Dataset(
        {k: (("y", "x"), f.copy()) for k, f in data.items()}, coords=coords
    ).rio.write_crs(UTM)


def strips(number=16, width=900.0):
    """Glaciers side by side, each from the lower to the upper edge."""
    bottom = Y0 - STEP * (NY - 1)
    shapes = [
        shapely.box(X0 + 1000 * i - 50, bottom - 50, X0 + 1000 * i - 50 + width, Y0 + 50)
        for i in range(number)
    ]
    return gpd.GeoDataFrame(
        {"RGIId": [f"g{i:02d}" for i in range(number)]}, geometry=shapes, crs=UTM
    )


def up():
    """0 at the lower edge, 1 at the upper one."""
    return np.linspace(1, 0, NY)[:, None]


# --- hypsometry ---


def test_hypsometry_of_an_even_slope():
    got = gt.hypsometry(velocity(10 + 20 * up()), elevation(), outlines=strips(), step=200)
    assert got["elevation_bin"].values.tolist() == [4100 + 200 * i for i in range(12)]
    assert got["rgi_id"].values[3] == "g03"
    # 0.9 km by 1 km in a bin of 200 m of height, five times as long.
    np.testing.assert_allclose(got["area"][:, 1:-1], 0.9, rtol=2e-3)
    np.testing.assert_allclose(got["area"].sum("glacier"), got["region_area"])
    np.testing.assert_array_equal(got["count"].sum("glacier"), got["region_count"])
    slope = got["region_v_median"].diff("elevation_bin")[:-1]
    np.testing.assert_allclose(slope, 20 * 200 / (0.2 * STEP * (NY - 1)), rtol=0.02)
    np.testing.assert_allclose(got["hypsometric_integral"], 0.5, atol=1e-4)
    assert got["area"].attrs["units"] == "km2"
    assert gt.history(got)[-1]["step"] == "hypsometry"
    # Ninety independent posts of error 1 in a bin of a glacier.
    assert float(got["v_error"][0, 3]) == pytest.approx(1 / np.sqrt(90))


def test_normalised_hypsometry_pools_glaciers_at_different_heights():
    low, high = strips(1), strips(2).iloc[1:]
    bottom = Y0 - STEP * (NY - 1)
    low.geometry = [shapely.box(X0 - 50, bottom - 50, X0 + 850, bottom + 5950)]
    high.geometry = [shapely.box(X0 + 950, bottom + 5950, X0 + 1850, Y0 + 50)]
    both = gpd.GeoDataFrame(
        {"RGIId": ["low", "high"]}, geometry=[*low.geometry, *high.geometry], crs=UTM
    )
    got = gt.hypsometry(velocity(30 * up()), elevation(), outlines=both, normalised=True, bins=10)
    np.testing.assert_allclose(got["area"][0], got["area"][1], atol=0.1)
    assert got["elevation_bin"].attrs["units"] == "1"
    assert float((got["v_median"][1] - got["v_median"][0]).mean()) == pytest.approx(15, rel=0.02)


# --- equilibrium lines ---


def test_equilibrium_lines():
    ds, dem, shapes = velocity(1.0), elevation(), strips(3)
    top = 0.2 * STEP * (NY - 1)
    median = gt.equilibrium_line(ds, dem, outlines=shapes)
    assert median.index.tolist() == ["g00", "g01", "g02"]
    np.testing.assert_allclose(median, 4000 + top / 2)
    aar = gt.equilibrium_line(ds, dem, outlines=shapes, ela="aar", aar=0.6)
    np.testing.assert_allclose(aar, 4000 + 0.4 * top)
    given = gt.equilibrium_line(ds, dem, outlines=shapes, ela={"g01": 4321.0})
    assert given.isna().tolist() == [True, False, True]
    assert (gt.equilibrium_line(ds, dem, outlines=shapes, ela=5000) == 5000).all()
    snow = shapely.LineString([(X0 - 500, Y0 - 3000), (X0 + 1500, Y0 - 3000)])
    line = gt.equilibrium_line(ds, dem, outlines=shapes, ela=gpd.GeoSeries([snow], crs=UTM))
    at = 4000 + 0.2 * (STEP * (NY - 1) - 3000)
    np.testing.assert_allclose(line.iloc[:2], at, atol=20)
    assert np.isnan(line.iloc[2])
    with pytest.raises(ParameterError, match="aar"):
        gt.equilibrium_line(ds, dem, outlines=shapes, ela="aar", aar=1.2)
    with pytest.raises(ParameterError, match="ela must be"):
        gt.equilibrium_line(ds, dem, outlines=shapes, ela="mean")
    far = gpd.GeoSeries([shapely.LineString([(0, 0), (1, 1)])], crs=UTM)
    with pytest.raises(GridError, match="no equilibrium line crosses"):
        gt.equilibrium_line(ds, dem, outlines=shapes, ela=far)
    with pytest.raises(InputError, match="as lines"):
        gt.equilibrium_line(ds, dem, outlines=shapes, ela=gpd.GeoSeries([snow.buffer(9)], crs=UTM))


# --- the contrast ---


@pytest.mark.parametrize("sign", [1, -1])
def test_a_known_contrast_of_either_sign(sign):
    rng = np.random.default_rng(5)
    speed = 40 + sign * 10 * np.sign(up() - 0.5) + rng.normal(0, 1, (NY, NX))
    got = gt.accumulation_contrast(velocity(speed), elevation(), outlines=strips(), block=1000)
    np.testing.assert_allclose(got["contrast"], sign * 20, atol=0.5)
    # Medians of 540 posts of error 1 on each side.
    np.testing.assert_allclose(got["contrast_error"], 1.2533 * np.sqrt(2 / 540), rtol=1e-3)
    assert float(got["fraction_faster_above"]) == (sign + 1) / 2
    assert (float(got["p_value"]) < 1e-4) == (sign > 0)
    # All agree: the open end is that of 16 trials, not of zero width.
    low, high = (float(got[f"fraction_faster_above_{k}"]) for k in ("low", "high"))
    expected = 0.025 ** (1 / 16)
    assert (low, high) == pytest.approx((expected, 1) if sign > 0 else (0, 1 - expected))
    assert (float(got["fraction_fastest_in_upper_half"]) == 1) == (sign > 0)
    assert ("does not support" in repr(got)) == (sign < 0)
    assert "RGI" not in got._repr_html_()
    assert "g03" in got._repr_html_()


def test_no_contrast_is_rarely_significant_and_its_interval_holds_half():
    """Glaciers whose contrast has a random sign."""
    rejected = covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        half = np.repeat(rng.normal(0, 5, 16), 10)[None, :]
        ds = velocity(50 + half * np.sign(up() - 0.5))
        got = gt.accumulation_contrast(
            ds, elevation(), outlines=strips(), block=1000, resamples=499
        )
        rejected += float(got["p_value"]) < 0.05
        low, high = (float(got[f"fraction_faster_above_{k}"]) for k in ("low", "high"))
        covered += low <= 0.5 <= high
    assert rejected <= 8
    assert covered >= 51


def test_too_few_glaciers_or_blocks_give_a_reason_and_no_number():
    ds, dem = velocity(10 + up()), elevation()
    few = gt.accumulation_contrast(ds, dem, outlines=strips(3))
    assert np.isnan(few["p_value"])
    assert np.isnan(few["fraction_faster_above"])
    assert "3 glaciers" in few.attrs["reason"]
    assert "No statement" in repr(few)
    close = gt.accumulation_contrast(ds, dem, outlines=strips(16), block=50_000)
    assert float(close["fraction_faster_above"]) == 1
    assert np.isnan(close["fraction_faster_above_low"])
    assert np.isfinite(close["p_value"])
    assert "1 blocks" in close.attrs["reason"]
    nothing = velocity(np.nan)
    none = gt.accumulation_contrast(nothing, dem, outlines=strips(16))
    assert int(none["glaciers_used"]) == 0
    assert np.isnan(none["contrast"]).all()
    same = gt.accumulation_contrast(velocity(5.0), dem, outlines=strips(16), block=1000)
    assert "equally fast" in same.attrs["reason"]
    with pytest.raises(ParameterError, match="block"):
        gt.accumulation_contrast(ds, dem, outlines=strips(3), block=0)
