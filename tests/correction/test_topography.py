"""The topography-related offset: what a baseline makes of relief, and how well it is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scenes import normalised, offset_field

import glaciertoolkit as gt
from glaciertoolkit.errors import GridError
from glaciertoolkit.terrain.at_posts import terrain_at_posts

BASELINE, RANGE_SINE = 800.0, 515_000.0
COEFFICIENT = BASELINE / RANGE_SINE
"""Metres of slant range per metre of elevation, of a GF-3 pair with that baseline."""

SPEED = 9.0


def valleys(seed: int, ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Ridges and valleys of 2,500 m of relief, and the ice on the floors of the valleys."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(1000 + seed)
    rough = sum(gaussian_filter(rng.normal(size=ds.dx.shape), w) * w for w in (5, 10, 20))
    z = (rough - rough.min()) / np.ptp(rough) * 2500 + 3500
    ice = z < gaussian_filter(z, 12) - 60
    coords = {"y": ds.y, "x": ds.x}
    dem = xr.DataArray(z.astype(np.float32), coords, ("y", "x")).rio.write_crs(32645)
    return dem, xr.DataArray(ice, coords, ("y", "x"))


def scene(seed: int, *, tilt: float = 0.0) -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    """Offsets of ice and rock under an order-2 surface and the parallax of the baseline."""
    ds = offset_field((240, 240), noise=0.3, seed=seed)
    x, y = normalised(ds)
    dem, ice = valleys(seed, ds)
    dem = (dem + tilt * x).transpose("y", "x").astype(np.float32).rio.write_crs(32645)
    # What a template sees: the mean over it.
    h = terrain_at_posts(ds, dem).elevation
    surface = 4 + 6 * x - 3 * y + 2 * x**2 - x * y
    ds["dx"] = (ds.dx + surface - COEFFICIENT * (h - 4000) + SPEED * ice).transpose("y", "x")
    ds["dy"] = (ds.dy - 0.5 * surface + 0 * h).transpose("y", "x")
    bad = np.random.default_rng(seed + 50).random(ds.dx.shape) < 0.1
    for name in ("dx", "dy"):
        wrong = np.random.default_rng(seed + 60).uniform(-48, 48, ds.dx.shape)
        ds[name] = ds[name].where(~xr.DataArray(bad, dims=("y", "x")), wrong).astype(np.float32)
    return ds.rio.write_crs(32645), dem, ice


def on_ice(out: xr.Dataset, dem: xr.DataArray, ice: xr.DataArray) -> np.ndarray:
    """Bias of the motion of ice: of all of it, of its lowest and of its highest quarter."""
    low, high = np.percentile(dem.values[ice.values], (25, 75))
    parts = [ice, ice & (dem < low), ice & (dem > high)]
    return np.array([float(out.dx.where(p).median()) - SPEED for p in parts])


@pytest.mark.parametrize("seed", range(3))
def test_a_baseline_of_800_m_over_2500_m_of_relief(seed: int) -> None:
    ds, dem, ice = scene(seed)
    out = gt.correct(ds, stable=~ice, dem=dem)
    found = out.topography_coefficient.sel(component="x")
    assert float(found) == pytest.approx(-COEFFICIENT, rel=0.03)
    error = float(out.topography_coefficient_error.sel(component="x"))
    assert abs(float(found) + COEFFICIENT) < 4 * error
    bias = np.abs(on_ice(out, dem, ice))
    assert bias[0] < 0.05
    assert bias.max() < 0.1
    # left in place, it spoils the ice by more than the accuracy that is claimed
    left = gt.correct(ds, stable=~ice, dem=dem, topography=False)
    assert np.abs(on_ice(left, dem, ice)).max() > 0.5


def test_identifiability_is_stated_and_low_relief_warned_of() -> None:
    ds, dem, ice = scene(0)
    out = gt.correct(ds, stable=~ice, dem=dem)
    spread = float(dem.where(~ice).std())
    assert float(out.topography_height_spread) == pytest.approx(spread, rel=0.1)
    assert 0 <= float(out.topography_r2) < 0.5
    assert out.topography_height_spread.attrs["units"] == "m"
    flat = (4000 + (dem - 4000) * 0.05).astype(np.float32).rio.write_crs(32645)
    with pytest.warns(gt.GlacierToolkitWarning, match="little elevation"):
        low = gt.correct(ds, stable=~ice, dem=flat)
    assert float(low.topography_height_spread) < 20


def test_one_after_the_other_loses_what_elevation_and_position_share() -> None:
    ds, dem, ice = scene(1, tilt=600.0)
    joint = gt.correct(ds, stable=~ice, dem=dem)
    turns = gt.correct(ds, stable=~ice, dem=dem, sequential=True)
    assert float(joint.topography_r2) > 0.5
    error = {
        name: abs(float(out.topography_coefficient.sel(component="x")) + COEFFICIENT)
        for name, out in (("joint", joint), ("in turn", turns))
    }
    assert error["joint"] < 0.03 * COEFFICIENT
    assert error["in turn"] > 0.3 * COEFFICIENT
    # both remove what they fitted, and hold ground out in the same way
    for out in (joint, turns):
        rock = out.dx.where(out.stable)
        assert gt.nmad(out.dx_holdout) >= 0.98 * gt.nmad(rock)
    steps = gt.remove_topography(
        gt.remove_deformation(gt.filter_noise(ds), stable=~ice), stable=~ice, dem=dem
    )
    found = steps.topography_coefficient.sel(component="x")
    assert float(found) == pytest.approx(
        float(turns.topography_coefficient.sel(component="x")), rel=0.1
    )


def test_a_quadratic_dependence_on_elevation() -> None:
    ds, dem, ice = scene(2)
    h = terrain_at_posts(ds, dem).elevation
    ds["dx"] = (ds.dx + 2e-6 * (h - 4700) ** 2).astype(np.float32)
    out = gt.correct(ds, stable=~ice, dem=dem, topography="quadratic")
    found = out.topography_quadratic.sel(component="x")
    error = float(out.topography_quadratic_error.sel(component="x"))
    assert abs(float(found) - 2e-6) < 4 * error
    assert error < 0.2e-6
    assert out.topography_quadratic.attrs["units"] == "m-1"
    bent = 2e-6 * (h - 4700) ** 2
    linear = gt.correct(ds, stable=~ice, dem=dem)
    rock = ~ice & np.isfinite(bent)
    assert gt.nmad(linear.dx.where(rock)) > 1.03 * gt.nmad(out.dx.where(rock))


def test_slope_and_aspect_of_a_shifted_dem() -> None:
    ds, dem, ice = scene(0)
    ground = terrain_at_posts(ds, dem)
    facing = np.radians(ground.aspect.fillna(0))
    steep = np.tan(np.radians(ground.slope))
    extra = steep * (0.8 * np.sin(facing) - 0.5 * np.cos(facing))
    ds["dx"] = (ds.dx + extra).astype(np.float32)
    out = gt.correct(ds, stable=~ice, dem=dem, aspect=True)
    for name, true in (("east", 0.8), ("north", -0.5)):
        value = float(out[f"topography_slope_{name}"].sel(component="x"))
        error = float(out[f"topography_slope_{name}_error"].sel(component="x"))
        assert abs(value - true) < 4 * error
        assert error < 0.15
    without = gt.correct(ds, stable=~ice, dem=dem)
    left = [gt.nmad(o.dx.where(~ice)) for o in (out, without)]
    assert left[0] < 0.95 * left[1]
    lazy = gt.correct(ds.chunk({"y": 90, "x": 50}), stable=~ice, dem=dem, aspect=True)
    xr.testing.assert_identical(lazy.dx.compute(), out.dx)


def test_terrain_at_the_posts_is_used_as_it_is() -> None:
    ds, dem, ice = scene(0)
    stable = ~ice
    terrain = gt.terrain_at_posts(ds, dem)
    for options in ({}, {"aspect": True}, {"topography": "quadratic"}):
        one, other = (gt.correct(ds, stable=stable, dem=d, **options) for d in (dem, terrain))
        for name in ("dx", "dy", "dx_topography", "dx_error", "elevation"):
            np.testing.assert_array_equal(one[name].values, other[name].values)
    elsewhere = terrain.assign_coords(x=terrain.x + 1)
    with pytest.raises(GridError, match="on other posts"):
        gt.correct(ds, stable=stable, dem=elsewhere)


def test_what_needs_a_map_or_orbits_is_said() -> None:
    ds, dem, ice = scene(0)
    with pytest.raises(gt.GlacierToolkitError, match="aspect=True"):
        gt.correct(ds, stable=~ice, dem=dem, topography=False, aspect=True)
    with pytest.raises(gt.GlacierToolkitError, match="'elevation' or 'quadratic'"):
        gt.correct(ds, stable=~ice, dem=dem, topography="baseline")
