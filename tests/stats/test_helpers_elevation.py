"""Elevation change between models whose shift and change are known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from scipy.ndimage import gaussian_filter, shift

import glaciertoolkit as gt
from glaciertoolkit.conventions import YEAR_DAYS, Flag
from glaciertoolkit.errors import DateError, InputError, ParameterError, StableTerrainError

STEP = 30.0


def terrain(edge=120, seed=0):
    rng = np.random.default_rng(seed)
    return 5000 + 1500 * gaussian_filter(rng.standard_normal((edge, edge)), 12) * 12


def as_dem(z, crs="EPSG:32645"):
    n = len(z)
    coords = {"y": 3.1e6 - STEP * np.arange(n), "x": 4.7e5 + STEP * np.arange(n)}
    dem = xr.DataArray(z.astype("float32"), coords=coords, dims=("y", "x"), name="elevation")
    dem.attrs["units"] = "m"
    return dem.rio.write_crs(crs) if crs else dem


def thinned_pair(*, east=0.0, north=0.0, up=0.0, change=-12.0):
    """Two models; the later one is shifted, and the ice in its middle has thinned."""
    z = terrain()
    ice = np.zeros(z.shape, bool)
    ice[40:80, 30:90] = True
    later = np.where(ice, z + change, z)
    # A model that lies `east` metres too far east shows at each post what lies west of it.
    later = shift(later, (-north / STEP, east / STEP), order=3, mode="nearest") + up
    before = as_dem(z)
    return before, as_dem(later), before.copy(data=~ice), ice


def test_change_between_aligned_models():
    before, after, stable, ice = thinned_pair()
    found = before.glacier.elevation_change(
        after, stable=stable, align="vertical", dates=("2000-02-16", "2012-02-16")
    )
    assert float(found.dh.values[ice].mean()) == pytest.approx(-12)
    years = 4383 / YEAR_DAYS
    np.testing.assert_allclose(found.dh_dt.values[ice], -12 / years, rtol=1e-4)
    assert found.dh.attrs["units"] == "m"
    assert found.dh_dt.attrs["units"] == "m yr-1"
    assert found.dh.dtype == np.float32
    assert float(found.stable_nmad) == pytest.approx(0, abs=1e-3)
    assert gt.history(found)[-1]["step"] == "elevation_change"


def test_a_shift_in_three_dimensions_is_found_and_undone():
    pytest.importorskip("xdem")
    before, after, stable, ice = thinned_pair(east=21.0, north=-12.0, up=5.0)
    raw = gt.elevation_change(before, after, stable=stable, align="vertical")
    found = gt.elevation_change(before, after, stable=stable)
    assert float(found.shift_x) == pytest.approx(-21, abs=1.5)
    assert float(found.shift_y) == pytest.approx(12, abs=1.5)
    assert float(found.shift_z) == pytest.approx(-5, abs=0.5)
    inner = ice & np.isfinite(found.dh.values)
    inner[:44], inner[76:], inner[:, :34], inner[:, 86:] = False, False, False, False
    assert float(np.median(found.dh.values[inner])) == pytest.approx(-12, abs=0.3)
    # Without the alignment the same ground seems to have moved.
    assert float(found.stable_nmad) < 0.2 * float(raw.stable_nmad)
    assert float(found.stable_median) == pytest.approx(0, abs=0.01)


def test_alignment_without_xdem_says_how_to_get_it(monkeypatch):
    before, after, stable, _ = thinned_pair()
    monkeypatch.setitem(sys.modules, "xdem", None)
    monkeypatch.setitem(sys.modules, "xdem.coreg", None)
    with pytest.raises(InputError, match=r"glaciertoolkit\[dem\]"):
        gt.elevation_change(before, after, stable=stable)


def test_stable_ground_may_be_polygons():
    import geopandas as gpd
    import shapely

    before, after, _, _ = thinned_pair(up=7.0)
    rock = gpd.GeoDataFrame(geometry=[shapely.box(4.7e5, 3.1e6 - 900, 4.74e5, 3.1e6)], crs=32645)
    found = gt.elevation_change(before, after, stable=rock, align="vertical")
    assert float(found.shift_z) == pytest.approx(-7, abs=1e-3)


@pytest.mark.filterwarnings("ignore:the raster elevation has a value at only")
def test_changes_that_cannot_be_are_refused():
    before, after, stable, _ = thinned_pair()
    with pytest.raises(ParameterError, match="align must be"):
        gt.elevation_change(before, after, align="icp")
    with pytest.raises(StableTerrainError, match="align='none'"):
        gt.elevation_change(before, after)
    with pytest.raises(StableTerrainError, match="at least 30"):
        gt.elevation_change(
            before,
            after.where((before.x < 4.70e5 + 40) & (before.y > 3.1e6 - 99)),
            stable=stable,
            align="vertical",
        )
    with pytest.raises(DateError, match="later model must be the second"):
        gt.elevation_change(before, after, align="none", dates=("2012-01-01", "2000-01-01"))
    with pytest.raises(DateError, match="such as"):
        gt.elevation_change(before, after, align="none", dates=("soon", "later"))
    with pytest.raises(DateError, match="both models"):
        gt.elevation_change(before, after, align="none", dates=("2012-01-01",))


def test_trend_is_weighted_least_squares():
    rng = np.random.default_rng(0)
    dates = np.array(["2011-08-16", "2012-07-20", "2013-04-18", "2014-04-02"], "datetime64[ns]")
    years = (dates - dates[0]) / np.timedelta64(1, "D") / YEAR_DAYS
    errors = np.array([0.5, 0.4, 1.0, 0.3])
    z = 5000 - 1.5 * years[:, None, None] + errors[:, None, None] * rng.standard_normal((4, 40, 40))
    z[1, :10] = np.nan
    z[1:, :, :5] = np.nan
    found = gt.elevation_trend([as_dem(v) for v in z], dates=dates, errors=errors)
    rate, covariance = np.polyfit(years, z[:, 20, 20], 1, w=1 / errors, cov="unscaled")
    assert float(found.dh_dt[20, 20]) == pytest.approx(rate[0], abs=2e-3)
    assert float(found.dh_dt_error[20, 20]) == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-4)
    assert found["count"].values[5, 20] == 3
    assert np.isnan(found.dh_dt.values[:, :5]).all()
    score = (found.dh_dt + 1.5) / found.dh_dt_error
    assert 0.64 < float((abs(score) < 1).sum() / score.notnull().sum()) < 0.73
    assert found.dh_dt_error.attrs["units"] == "m yr-1"


def test_trend_without_errors_takes_them_from_the_residuals():
    rng = np.random.default_rng(0)
    dates = [f"20{k:02d}-01-01" for k in range(12)]
    z = [as_dem(4000 + 2 * k + rng.standard_normal((30, 30))) for k in range(12)]
    found = gt.elevation_trend(z, dates=dates)
    assert float(found.dh_dt.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(found.dh_dt_error.mean()) == pytest.approx(float(found.dh_dt.std()), rel=0.1)


@pytest.mark.parametrize(
    ("dates", "options", "error", "words"),
    [
        (["2000-01-01"], {}, InputError, "1 dates for 2"),
        (["2000-01-01"] * 2, {}, DateError, "same date"),
        (["2000-01-01", "2001-01-01"], {"errors": [1, 0]}, ParameterError, "positive"),
        (["2000-01-01", "2001-01-01"], {"min_count": 1}, ParameterError, "2 or more"),
        (["2000-01-01", None], {}, DateError, "date"),
    ],
)
def test_trends_that_cannot_be_are_refused(dates, options, error, words):
    dem = as_dem(terrain(20))
    with pytest.raises(error, match=words):
        gt.elevation_trend([dem, dem], dates=dates, **options)
    with pytest.raises(InputError, match="at least two"):
        gt.elevation_trend([dem], dates=["2000-01-01"])


def test_voids_take_the_mean_of_their_elevation():
    n = 60
    height = np.tile(np.linspace(4500, 6000, n)[:, None], (1, n))
    dh = -20 + 15 * (height - 4500) / 1500
    rng = np.random.default_rng(0)
    holes = rng.random((n, n)) < 0.3
    ice = np.zeros((n, n), bool)
    ice[:, 5:50] = True
    grid = as_dem(height)
    change = xr.Dataset({"dh": grid.copy(data=np.where(holes, np.nan, dh).astype("float32"))})
    found = change.glacier.fill_voids(elevation=grid, glaciers=grid.copy(data=ice))
    filled = holes & ice
    np.testing.assert_allclose(found.dh.values[filled], dh[filled], atol=0.5)
    assert np.isnan(found.dh.values[holes & ~ice]).all()
    assert ((found.flag.values & int(Flag.FILLED)) > 0)[filled].all()
    assert ((found.flag.values & int(Flag.FILLED)) > 0).sum() == filled.sum()
    assert ((found.flag.values & int(Flag.NODATA)) > 0).sum() == (holes & ~ice).sum()
    # What was measured stays as it was.
    kept = ~holes
    np.testing.assert_array_equal(found.dh.values[kept], change.dh.values[kept])
    bare = change.dh.mean().item()
    assert abs(found.dh.values[ice].mean() - dh[ice].mean()) < abs(bare - dh[ice].mean()) + 0.05


def test_voids_that_cannot_be_filled_are_refused():
    grid = as_dem(terrain(20))
    ice = grid.copy(data=np.ones((20, 20), bool))
    change = xr.Dataset({"dh": grid * np.nan})
    with pytest.raises(InputError, match="nothing to fill from"):
        gt.fill_voids(change, elevation=grid, glaciers=ice)
    with pytest.raises(InputError, match="dh or dh_dt"):
        gt.fill_voids(xr.Dataset(), elevation=grid, glaciers=ice)
    with pytest.raises(ParameterError, match="step"):
        gt.fill_voids(change, elevation=grid, glaciers=ice, step=0)
