"""Speed by elevation, slope and aspect, on a scene where each is a formula."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr

from glaciertoolkit.errors import GridError, MissingVariableError, ParameterError
from glaciertoolkit.grids import true_area
from glaciertoolkit.provenance import history
from glaciertoolkit.stats.grouped import effective_size, error_of_mean, summarise
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.terrain import terrain_at_posts

UTM = "EPSG:32645"
X0, Y0 = 470_000.0, 3_100_000.0


def ramp(n=260, step=40.0):
    """Ground that rises to the east by one in four, from 4,000 m."""
    x = X0 - 1000 + step * np.arange(n)
    y = Y0 + 1000 - step * np.arange(n)
    z = 4000 + 0.25 * (x - X0) + 0 * y[:, None]
    dem = xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x"), name="elevation")
    return dem.rio.write_crs(UTM)


def velocity(ny=60, nx=80, step=100.0, **fields):
    grid = {"y": Y0 - step * np.arange(ny), "x": X0 + step * np.arange(nx)}
    east = np.broadcast_to(grid["x"] - X0, (ny, nx)).astype("float32")
    data = {"vx": 0.01 * east, "vy": 0 * east, "v": 0.01 * east, "v_error": 0 * east + 2} | fields
    ds = xr.Dataset({k: (("y", "x"), np.array(v)) for k, v in data.items()}, coords=grid)
    return ds.rio.write_crs(UTM)


def test_the_ramp():
    """Speed grows by 1 m/yr every 100 m to the east, elevation by 25 m: 4 m/yr a bin."""
    got = topography(velocity(), ramp(), smooth=0)
    assert got.elevation_bin.values.tolist() == [4050 + 100 * i for i in range(20)]
    np.testing.assert_array_equal(got.elevation_bin_bounds[3], [4300, 4400])
    np.testing.assert_allclose(got.v_median_by_elevation, 1.5 + 4 * np.arange(20), atol=0.51)
    np.testing.assert_allclose(got.v_mean_by_elevation.diff("elevation_bin")[:-1], 4, atol=0.6)
    assert int(got.posts_by_elevation.sum()) == 60 * 80
    # On the ground, where UTM is 0.04 % short near its central meridian.
    scene = gpd.GeoSeries([shapely.box(X0 - 50, Y0 - 5950, X0 + 7950, Y0 + 50)], crs=UTM)
    np.testing.assert_allclose(got.area_by_elevation.sum(), true_area(scene)[0], rtol=1e-5)
    np.testing.assert_array_equal(got.coverage_by_elevation, 1)
    # One slope, one aspect: the ground falls to the west.
    assert got.slope_bin.values.tolist() == [12.5]
    assert int(got.count_by_aspect.sel(aspect_bin=270)) == 4800
    assert int(got.count_by_aspect.sum()) == 4800
    assert np.isnan(got.v_median_by_aspect.sel(aspect_bin=90))
    assert float(got.v_median_by_aspect.sel(aspect_bin=270)) == pytest.approx(39.5)


def test_units_bounds_and_history():
    got = topography(velocity(), ramp())
    assert got.v_median_by_elevation.attrs["units"] == "m yr-1"
    assert got.area_by_slope.attrs["units"] == "km2"
    assert got.elevation_bin.attrs["units"] == "m"
    assert got.slope_bin.attrs["bounds"] == "slope_bin_bounds"
    assert got.v_p90_by_aspect.dtype == np.float32
    assert got.count_by_aspect.dtype == np.int64
    np.testing.assert_array_equal(got.aspect_bin_bounds[0], [-22.5, 22.5])
    assert history(got)[-1]["step"] == "topography"


def test_percentiles_and_missing_speeds():
    rng = np.random.default_rng(0)
    speed = rng.gamma(2, 10, (60, 80)).astype("float32")
    speed[:, ::2] = np.nan
    ds = velocity(v=speed)
    got = topography(ds, ramp(), smooth=0, elevation_bins=1)
    known = speed[np.isfinite(speed)]
    one = got.isel(elevation_bin=0)
    assert int(one.count_by_elevation) == known.size
    assert float(one.coverage_by_elevation) == pytest.approx(0.5)
    for name, value in {
        "median": np.median(known), "mean": known.mean(), "std": known.std(),
        "p10": np.quantile(known, 0.1), "p90": np.quantile(known, 0.9),
    }.items():  # fmt: skip
        assert float(one[f"v_{name}_by_elevation"]) == pytest.approx(float(value), rel=1e-5)


def test_only_ice_counts():
    outlines = gpd.GeoDataFrame(
        geometry=[shapely.box(X0 + 1950, Y0 - 9e3, X0 + 3950, Y0 + 9e3)], crs=UTM
    )
    got = topography(velocity(), ramp(), outlines=outlines, smooth=0)
    assert int(got.posts_by_elevation.sum()) == 20 * 60
    assert (got.elevation_bin[0], got.elevation_bin[-1]) == (4550, 4950)


def test_too_few_posts_have_a_count_and_no_statistics():
    speed = np.full((60, 80), np.nan, "float32")
    speed[0, :30] = 5
    got = topography(velocity(v=speed), ramp(), smooth=0, min_count=4)
    enough = got.count_by_elevation >= 4
    np.testing.assert_array_equal(np.isfinite(got.v_median_by_elevation), enough)
    assert 3 < int(enough.sum()) < got.sizes["elevation_bin"]
    assert int((got.count_by_elevation > 0).sum()) > int(enough.sum())


def test_an_elevation_step_and_a_number_of_bins():
    ds, dem = velocity(), ramp()
    fine = topography(ds, dem, elevation_step=50, smooth=0)
    assert fine.sizes["elevation_bin"] == 40
    twenty = topography(ds, dem, elevation_bins=20, smooth=0)
    assert twenty.sizes["elevation_bin"] == 20
    assert int(twenty.posts_by_elevation.sum()) == 4800
    assert topography(ds, dem, sectors=4).sizes["aspect_bin"] == 4


def test_terrain_made_before_gives_the_same():
    ds, dem = velocity(), ramp()
    ground = terrain_at_posts(ds, dem, smooth=200)
    xr.testing.assert_equal(topography(ds, ground), topography(ds, dem, smooth=200))
    with pytest.raises(GridError, match="other posts"):
        topography(ds, ground.isel(x=slice(1, None)))


def test_lazy_velocity_is_computed_once():
    import dask.array as da

    computed = []

    def count(block):
        if block.size:
            computed.append(1)
        return block

    ds = velocity()
    source = da.from_array(ds.v.values, chunks=(30, 40)).map_blocks(
        count, dtype="float32", meta=np.empty((0, 0), "float32")
    )
    lazy = ds.assign(v=(("y", "x"), source))
    xr.testing.assert_equal(topography(lazy, ramp()), topography(ds, ramp()))
    assert len(computed) == 4


def test_the_error_shrinks_with_independent_posts_only():
    ds = velocity()
    got = topography(ds.assign_attrs(template=[64, 64], pixel=[10.0, 10.0]), ramp(), smooth=0)
    # 240 posts of 100 m in a bin, templates of 640 m: A = 2.4 km2, 5 A / (pi a^2) = 9.3.
    expected = 2 / np.sqrt(5 * 240 * 1e4 / (np.pi * 640**2))
    assert float(got.v_error_by_elevation[5]) == pytest.approx(expected, rel=1e-5)
    without = topography(ds.drop_vars("v_error"), ramp())
    assert bool(np.isnan(without.v_error_by_elevation).all())


@pytest.mark.parametrize("bad", [
    {"elevation_step": 0}, {"slope_step": -5}, {"sectors": 0}, {"elevation_bins": 0},
])  # fmt: skip
def test_parameters_out_of_range(bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        topography(velocity(), ramp(), **bad)


def test_input_that_does_not_fit():
    with pytest.raises(MissingVariableError, match=r"lacks v.*velocity\(\)"):
        topography(velocity().drop_vars("v"), ramp())
    with pytest.raises(GridError, match="does not overlap"):
        topography(velocity(), ramp().assign_coords(x=ramp().x + 1e6))
    nowhere = gpd.GeoDataFrame(geometry=[shapely.box(X0 + 1, Y0 - 9, X0 + 9, Y0 - 1)], crs=UTM)
    with pytest.raises(GridError, match="no post inside the outlines"):
        topography(velocity(), ramp(), outlines=nowhere)


# --- what the statistics share ---


def test_reductions_match_numpy():
    rng = np.random.default_rng(2)
    values, labels = rng.normal(size=500), rng.integers(-1, 6, 500)
    values[::7] = np.nan
    labels[labels == 4] = -1
    found = summarise(values, labels, 6, quantiles=(0.25,))
    for group in range(6):
        inside = values[(labels == group) & np.isfinite(values)]
        assert found["count"][group] == inside.size
        if group == 4:
            assert np.isnan(found["mean"][group])
            continue
        assert found["mean"][group] == pytest.approx(inside.mean())
        assert found["median"][group] == pytest.approx(np.median(inside))
        assert found["std"][group] == pytest.approx(inside.std())
        assert found["q0.25"][group] == pytest.approx(np.quantile(inside, 0.25))
    empty = summarise(values * np.nan, labels, 6)
    assert empty["count"].sum() == 0
    assert np.isnan(empty["median"]).all()


def test_independent_posts():
    reach, cell = 180.0, 144.0
    count = np.array([0.0, 1, 100, 700, 710, 13889])
    found = effective_size(count, cell, reach)
    assert np.isnan(found[0])
    assert found[1] == 1
    assert found[-1] == pytest.approx(5 * 13889 * 144 / (np.pi * 180**2))
    assert np.all(np.diff(found[1:]) > 0)
    # Both branches meet where the disc has the radius of the range: five independent posts.
    assert found[3] == pytest.approx(5, rel=0.02)
    # Uncorrelated posts are all independent, and never more than there are.
    np.testing.assert_array_equal(effective_size(count[1:], cell, 1.0), count[1:])


def test_the_error_of_a_mean_by_simulation():
    """Errors correlated over 8 posts in each direction, as moving templates give them."""
    from scipy.ndimage import uniform_filter

    rng = np.random.default_rng(4)
    means, sigma = [], []
    for _ in range(300):
        noise = uniform_filter(rng.normal(size=(72, 72)), 8, mode="wrap")[:40, :40]
        means.append(noise.mean())
        sigma.append(noise.std())
    n = effective_size(np.array([1600.0]), 1.0, 8.0)
    flat = np.full((40, 40), np.mean(sigma))
    claimed = error_of_mean(flat, flat, np.zeros((40, 40), int), n)
    assert np.std(means) == pytest.approx(float(claimed[0]), rel=0.35)
    # The naive error is several times too small.
    assert np.std(means) > 4 * np.mean(sigma) / np.sqrt(1600)
