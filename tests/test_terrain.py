"""Slope, aspect, hillshade and stable ground, against planes, cones and rectangles."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit import terrain
from glaciertoolkit.errors import (
    GlacierToolkitWarning,
    GridError,
    ParameterError,
    StableTerrainError,
)

UTM = "EPSG:32645"
X0, Y0 = 470_000.0, 3_100_000.0


def surface(height, *, step=30.0, n=41, up=False, step_x=None):
    """`height(x, y)` around the origin of its argument, on a grid in UTM."""
    half = n // 2
    y = (np.arange(n) - half) * step * (1 if up else -1)
    x = (np.arange(n) - half) * (step_x or step)
    z = height(x[None, :], y[:, None]) + np.zeros((n, n))
    out = xr.DataArray(z, coords={"y": Y0 + y, "x": X0 + x}, dims=("y", "x"), name="elevation")
    return out.rio.write_crs(UTM)


def posts(step=100.0, ny=30, nx=30, **attrs):
    grid = xr.Dataset(
        coords={
            "y": Y0 + step * (ny // 2) - step * np.arange(ny),
            "x": X0 - step * (nx // 2) + step * np.arange(nx),
        },
        attrs=attrs,
    )
    return grid.rio.write_crs(UTM)


def box(left, bottom, right, top):
    return gpd.GeoDataFrame(
        geometry=[shapely.box(X0 + left, Y0 + bottom, X0 + right, Y0 + top)], crs=UTM
    )


# --- slope, aspect, hillshade ---


@settings(max_examples=40, deadline=None)
@given(
    east=st.floats(-1.5, 1.5), north=st.floats(-1.5, 1.5), up=st.booleans(),
    step_x=st.sampled_from([30.0, 47.0]),
)  # fmt: skip
def test_planes(east, north, up, step_x):
    dem = surface(lambda x, y: 5000 + east * x + north * y, up=up, step_x=step_x, n=9)
    inner = {"y": slice(1, -1), "x": slice(1, -1)}
    angle = np.degrees(np.arctan(np.hypot(east, north)))
    np.testing.assert_allclose(terrain.slope(dem)[inner], angle, atol=0.01)
    if np.hypot(east, north) > 0.05:
        down = np.degrees(np.arctan2(-east, -north))
        off = (terrain.aspect(dem)[inner] - down + 180) % 360 - 180
        np.testing.assert_allclose(off, 0, atol=0.1)
    for azimuth, altitude in ((315, 45), (90, 20)):
        a, h = np.radians([azimuth, altitude])
        light = np.array([np.cos(h) * np.sin(a), np.cos(h) * np.cos(a), np.sin(h)])
        normal = np.array([-east, -north, 1]) / np.sqrt(1 + east**2 + north**2)
        shade = terrain.hillshade(dem, azimuth=azimuth, altitude=altitude)
        np.testing.assert_allclose(shade[inner], max(light @ normal, 0), atol=1e-4)


@pytest.mark.parametrize("up", [False, True])
def test_a_cone_falls_away_from_its_top(up):
    dem = surface(lambda x, y: 6000 - 0.5 * np.hypot(x, y), n=81, up=up)
    x, y = dem.x - X0, dem.y - Y0
    away = np.hypot(x, y) > 300
    off = (terrain.aspect(dem) - np.degrees(np.arctan2(x, y)) + 180) % 360 - 180
    assert float(abs(off.where(away)).max()) < 0.2
    slope = terrain.slope(dem).where(away)
    assert float(abs(slope - np.degrees(np.arctan(0.5))).max()) < 0.2


def test_level_ground_has_no_aspect():
    flat = surface(lambda x, _: 0 * x + 100)
    assert float(terrain.slope(flat)[5, 5]) == 0
    assert np.isnan(terrain.aspect(flat)).all()
    assert float(terrain.hillshade(flat, altitude=30)[5, 5]) == pytest.approx(0.5)


def test_names_units_and_types():
    dem = surface(lambda x, _: x).astype("int16").assign_attrs(units="m", scale_factor=1.0)
    for function, units in (
        (terrain.slope, "degree"),
        (terrain.aspect, "degree"),
        (terrain.hillshade, "1"),
    ):
        out = function(dem)
        assert out.dtype == np.float32
        assert out.attrs["units"] == units
        assert out.attrs["grid_mapping"] == "spatial_ref"
        assert "scale_factor" not in out.attrs
        assert out.name == function.__name__


def test_missing_elevations_spread_by_one_post_only():
    dem = surface(lambda x, _: 0.2 * x)
    dem[20, 20] = np.nan
    lost = np.isnan(terrain.slope(dem))
    assert bool(lost[19:22, 19:22].all())
    lost[19:22, 19:22] = False
    assert not bool(lost[1:-1, 1:-1].any())
    assert bool(lost[0].all())
    assert bool(lost[:, -1].all())


@pytest.mark.parametrize("chunks", [(7, 13), (41, 41), (1, 41)])
def test_lazy_in_lazy_out_with_the_same_bits(chunks):
    rng = np.random.default_rng(0)
    dem = surface(lambda *_: 100 * rng.normal(size=(41, 41)))
    lazy = dem.chunk({"y": chunks[0], "x": chunks[1]})
    for function in (terrain.slope, terrain.aspect, terrain.hillshade):
        got = function(lazy)
        assert got.chunks is not None
        assert got.dtype == np.float32
        xr.testing.assert_identical(got.compute(), function(dem))


def test_bad_elevation_models():
    dem = surface(lambda x, _: x)
    with pytest.raises(GridError, match="degrees"):
        terrain.slope(dem.drop_vars("spatial_ref").rio.write_crs(4326))
    with pytest.raises(GridError, match=r"dimensions \(y, x\)"):
        terrain.aspect(dem.expand_dims("band"))
    with pytest.raises(ParameterError, match="altitude"):
        terrain.hillshade(dem, altitude=100)


# --- the terrain at the posts ---


@pytest.mark.parametrize("step", [12.0, 45.0, 100.0])
@pytest.mark.parametrize("smooth", [0.0, 60.0, 192.0])
def test_a_plane_at_the_posts(step, smooth):
    dem = surface(lambda x, y: 5000 + 0.3 * x + 0.4 * y, n=181)
    like = posts(step=step, ny=20, nx=22)
    out = terrain.terrain_at_posts(like, dem, smooth=smooth)
    truth = 5000 + 0.3 * (like.x - X0) + 0.4 * (like.y - Y0)
    np.testing.assert_allclose(out.elevation, truth.transpose("y", "x"), atol=0.3)
    np.testing.assert_allclose(out.slope, np.degrees(np.arctan(0.5)), atol=0.5)
    np.testing.assert_allclose(out.aspect, np.degrees(np.arctan2(-0.3, -0.4)) % 360, atol=1)
    assert out.elevation.dtype == np.float32
    assert out.slope.attrs["units"] == "degree"
    assert out.attrs["smooth"] == smooth


def test_elevation_is_the_mean_over_the_template():
    """A checkerboard of 30 m: gone under a template of 240 m, there without."""
    rng = np.random.default_rng(3)
    dem = surface(lambda *_: 500 * rng.random((121, 121)), n=121)
    like = posts(step=90.0, ny=9, nx=9)
    rough = terrain.terrain_at_posts(like, dem, smooth=0)
    calm = terrain.terrain_at_posts(like, dem, smooth=270.0)
    centre = dem.sel(x=slice(X0 - 135, X0 + 135), y=slice(Y0 + 135, Y0 - 135))
    assert centre.shape == (9, 9)
    at = calm.sel(x=X0, y=Y0)
    # The working grid's cells (30 m) are the pixels of the DEM here.
    assert float(at.elevation) == pytest.approx(float(centre.mean()), abs=0.1)
    assert float(calm.slope.mean()) < 0.25 * float(rough.slope.mean())


def test_the_footprint_defaults_to_the_template():
    dem = surface(lambda x, _: 50 * np.sin(x / 20), n=121)
    like = posts(step=90.0, ny=9, nx=9, template=[64, 64], pixel=[3.0, 3.0])
    assert terrain.terrain_at_posts(like, dem).attrs["smooth"] == 192
    assert terrain.terrain_at_posts(like.drop_attrs(deep=False), dem).attrs["smooth"] == 90


def test_no_elevation_where_the_dem_ends():
    dem = surface(lambda x, _: 0 * x + 700, n=41)
    dem[:, :10] = np.nan
    like = posts(step=30.0, ny=41, nx=81)
    with pytest.warns(GlacierToolkitWarning, match="of the posts"):
        out = terrain.terrain_at_posts(like, dem, smooth=90)
    known = np.isfinite(out.elevation)
    assert float(out.elevation.mean()) == pytest.approx(700, abs=1e-3)
    assert not known.where(like.x < X0 - 345, False).any()
    assert bool(known.where(like.x > X0 - 300, True).where(like.x < X0 + 600, True).all())


def test_smooth_must_be_metres():
    with pytest.raises(ParameterError, match="smooth must be metres"):
        terrain.terrain_at_posts(posts(), surface(lambda x, _: x, n=201), smooth=-1)


# --- stable terrain ---


def test_outside_the_glaciers_and_their_buffer():
    grid = posts(step=10, ny=100, nx=100)
    ice = box(-105, -105, 105, 105)
    for buffer, side in ((None, 255), (0, 105), (50, 155)):
        stable = terrain.stable_terrain(grid, outlines=ice, buffer=buffer)
        x, y = np.abs(grid.x - X0), np.abs(grid.y - Y0)
        inside = ((x < side) & (y < side)).transpose("y", "x")
        # The corners of a buffer are round.
        corner = ((x > 105) & (y > 105) & inside).transpose("y", "x")
        np.testing.assert_array_equal(stable.where(~corner, False), ~inside & ~corner)
    assert stable.name == "stable"
    assert stable.dtype == bool
    assert stable.attrs["stable_posts"] == int(stable.sum())
    assert "grown by 50 m" in stable.attrs["comment"]


def test_inside_the_rock_and_both():
    grid = posts(step=10, ny=100, nx=100)
    rock, ice = box(-205, -205, 205, 205), box(5, -5000, 5000, 5000)
    assert int(terrain.stable_terrain(grid, polygons=rock).sum()) == 41 * 41
    assert int(terrain.stable_terrain(grid, polygons=rock, buffer=100).sum()) == 21 * 21
    both = terrain.stable_terrain(grid, polygons=rock, outlines=ice, buffer=0)
    assert int(both.sum()) == 21 * 41
    without = terrain.stable_terrain(grid, polygons=rock, exclude=box(-400, -400, 400, 0.5))
    assert int(without.sum()) == 41 * 20


def test_steep_posts_and_posts_without_elevation_are_not_stable():
    grid = posts(step=30, ny=40, nx=40)
    dem = surface(lambda x, _: np.where(x < 0, 2.0 * x, 0.1 * x), n=101)
    dem = dem.where(dem.y < Y0 + 300)
    rock = box(-9000, -9000, 9000, 9000)
    stable = terrain.stable_terrain(grid, polygons=rock, dem=dem, smooth=30)
    assert not stable.sel(x=slice(None, X0 - 90)).any()
    assert not stable.sel(y=slice(None, Y0 + 330)).any()
    assert bool(stable.sel(x=slice(X0 + 90, None), y=slice(Y0 + 240, None)).all())
    steep = terrain.stable_terrain(grid, polygons=rock, dem=dem, smooth=30, max_slope=70)
    assert bool(steep.sel(x=slice(None, X0 - 90), y=slice(Y0 + 240, None)).all())
    at = terrain.terrain_at_posts(grid, dem, smooth=30)
    xr.testing.assert_identical(stable, terrain.stable_terrain(grid, polygons=rock, dem=at))
    with pytest.raises(GridError, match="other posts"):
        terrain.stable_terrain(grid, polygons=rock, dem=at.isel(y=slice(1, None)))


def test_stable_terrain_needs_something_to_go_by():
    with pytest.raises(StableTerrainError, match=r"outlines=.*polygons=.*stable=True"):
        terrain.stable_terrain(posts())


def test_a_grid_in_degrees_has_no_buffer_in_metres():
    degrees = xr.Dataset(coords={"y": [28.0, 27.9], "x": [86.0, 86.1]}).rio.write_crs(4326)
    with pytest.raises(GridError, match="degrees"):
        terrain.stable_terrain(degrees, outlines=shapely.box(86, 27, 87, 28))


def test_too_little_stable_terrain_says_what_took_it():
    everything = box(-9000, -9000, 9000, 9000)
    with pytest.raises(StableTerrainError, match=r"only 0 of 900 posts .* grown by 150 m: 0"):
        terrain.stable_terrain(posts(), outlines=everything)
    with pytest.raises(StableTerrainError, match=r"only 9 of 900 posts"):
        terrain.stable_terrain(posts(), polygons=box(-150, -150, 150, 150))
    assert int(terrain.stable_terrain(posts(), polygons=box(-150, -150, 150, 250)).sum()) == 12


def test_outlines_of_another_place_would_make_everything_stable():
    elsewhere = box(90_000, 0, 91_000, 1000)
    with pytest.raises(GridError, match="glacier outlines do not overlap the grid"):
        terrain.stable_terrain(posts(), outlines=elsewhere)
    assert bool(terrain.stable_terrain(posts(), outlines=elsewhere, allow_empty=True).all())
    # What is excluded may lie elsewhere.
    assert bool(
        terrain.stable_terrain(
            posts(), polygons=box(-9000, -9000, 9000, 9000), exclude=elsewhere
        ).all()
    )


@pytest.mark.parametrize("bad", [{"buffer": -1}, {"buffer": np.nan}, {"max_slope": 0}])
def test_parameters_out_of_range(bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        terrain.stable_terrain(posts(), outlines=box(0, 0, 500, 500), **bad)


# --- what the corrections take ---


def mask_on(grid, dtype=bool):
    mask = np.zeros((grid.sizes["y"], grid.sizes["x"]), dtype)
    mask[3:9, 4:7] = 1
    return xr.DataArray(mask, coords={"y": grid.y, "x": grid.x}, dims=("y", "x"))


def test_masks_of_all_kinds_mean_the_same():
    grid = posts()
    truth = mask_on(grid)
    holes = mask_on(grid, "float32").where(mask_on(grid))
    for given_mask in (
        truth, mask_on(grid, "uint8"), mask_on(grid, "int64"), holes, truth.values,
        truth.transpose("x", "y"), truth.drop_vars(["x", "y"]), truth.chunk({"y": 5}),
        mask_on(grid, "int8").values,
    ):  # fmt: skip
        got = terrain.as_stable(given_mask, grid)
        assert got.dtype == bool
        assert got.dims == ("y", "x")
        np.testing.assert_array_equal(got, truth)
        assert got.name == "stable"
        assert got.rio.crs is not None
    made = terrain.stable_terrain(grid, polygons=box(-900, -900, 0, 0))
    xr.testing.assert_identical(terrain.as_stable(made, grid), made)
    assert bool(terrain.as_stable(True, grid).all())


@pytest.mark.parametrize(
    ("stable", "error", "words"),
    [
        (None, StableTerrainError, r"make it with stable = glaciertoolkit.stable_terrain\(ds"),
        (False, StableTerrainError, "leaves no stable terrain"),
        ("rgi.gpkg", StableTerrainError, "not str; make it with"),
        (np.zeros((30, 30), bool), StableTerrainError, "not a single post"),
        (np.ones((3, 30), bool), GridError, r"shape \(3, 30\), the posts have \(30, 30\)"),
        (np.full((30, 30), 2), StableTerrainError, "other values than 0 and 1"),
        (np.full((30, 30), "a"), StableTerrainError, "must be bool"),
        (mask_on(posts()).isel(x=slice(1, None)), GridError, r"other posts.*29 posts.*30 posts"),
        (mask_on(posts(step=99.0)), GridError, "other posts"),
        (mask_on(posts()).isel(x=0), GridError, r"dimensions \(y, x\)"),
    ],
)
def test_what_is_no_stable_terrain(stable, error, words):
    with pytest.raises(error, match=words):
        terrain.as_stable(stable, posts())
