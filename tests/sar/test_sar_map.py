"""Radar posts on the ground: located, corrected by their geometry, and brought to the map."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from geometries import CASES, radar_geometry
from radar_scene import CRS, make_dem, offsets_of

import glaciertoolkit as gt
from glaciertoolkit.conventions import Flag, in_radar_geometry
from glaciertoolkit.sar.geocoding import ground_to_image
from glaciertoolkit.sar.map_grid import map_grid

SIZE = {"lines": 1600, "samples": 1200}


@pytest.fixture(scope="module")
def dem():
    return make_dem()


def pair_of(direction="descending", look="right", *, baseline=1000.0):
    first = radar_geometry(direction, look, **SIZE)
    return first, radar_geometry(direction, look, baseline=baseline, **SIZE)


@pytest.mark.parametrize(("direction", "look"), CASES)
def test_posts_are_where_the_terrain_says(dem, direction, look):
    reference, secondary = pair_of(direction, look)
    ds = gt.locate(offsets_of(reference, secondary, dem), dem=dem, geoid="ellipsoidal")
    lon, lat = (ds[k].values.astype(float) for k in ("longitude", "latitude"))
    inside = np.isfinite(lon)
    assert inside.mean() > 0.95
    h = gt.match_raster(dem, ds).values
    line, sample = ground_to_image(reference, lon, lat, h)
    at_line, at_sample = reference.pixel_of(ds["y"].values[:, None], ds["x"].values[None, :])
    # Single precision of the coordinates is half a metre.
    assert np.nanpercentile(np.abs(line - at_line), 99) < 0.5
    assert np.nanpercentile(np.abs(sample - at_sample), 99) < 1.0


def test_the_orbits_explain_what_does_not_move(dem):
    reference, secondary = pair_of()
    offsets = offsets_of(reference, secondary, dem)
    ds = gt.locate(offsets, dem=dem, geoid="ellipsoidal")
    assert float(offsets["dx"].std()) > 1.0
    left = gt.correct(ds, stable=True, deformation=False, noise=False)
    # What is left is the relief inside the template, which the mean height cannot follow.
    assert gt.nmad(left["dx"].values[np.isfinite(left["dx"].values)]) < 0.03
    assert abs(float(left["dx"].median())) < 0.02
    assert abs(float(left["dy"].median())) < 0.02


@pytest.mark.parametrize("baseline", [1000.0, -340.0])
def test_the_baseline_is_recovered(dem, baseline):
    reference, secondary = pair_of(baseline=baseline)
    ds = gt.locate(offsets_of(reference, secondary, dem, noise=0.1), dem=dem, geoid="ellipsoidal")
    fitted = gt.correct(ds, stable=True, topography="baseline", noise=False)
    assert float(fitted["baseline_orbit"]) == pytest.approx(baseline, rel=0.005)
    error = float(fitted["baseline_perpendicular_error"])
    assert abs(float(fitted["baseline_perpendicular"]) - baseline) < 3 * error < 90
    exact = gt.locate(offsets_of(reference, secondary, dem), dem=dem, geoid="ellipsoidal")
    fitted = gt.correct(exact, stable=True, topography="baseline", noise=False)
    assert float(fitted["baseline_perpendicular"]) == pytest.approx(baseline, rel=0.01)
    for method in ("baseline", "geometric", "elevation"):
        done = gt.correct(ds, stable=True, topography=method, noise=False)
        assert gt.nmad(done["dx"].values) < 0.115, method
    without = gt.correct(ds, stable=True, topography=False, noise=False)
    assert gt.nmad(without["dx"].values) > 0.115


def test_orbits_that_are_wrong_are_mended(dem):
    reference, secondary = pair_of()
    offsets = offsets_of(reference, secondary, dem, noise=0.1)
    _, wrong = pair_of(baseline=900.0)
    offsets.attrs["secondary_geometry"] = wrong.to_json()
    ds = gt.locate(offsets, dem=dem, geoid="ellipsoidal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
        done = gt.correct(ds, stable=True, noise=False)
    assert float(done["baseline_orbit"]) == pytest.approx(900, rel=0.01)
    assert float(done["baseline_perpendicular"]) == pytest.approx(1000, rel=0.06)
    assert gt.nmad(done["dx"].values) < 0.13


def test_a_baseline_that_contradicts_the_orbits_is_said(dem):
    reference, secondary = pair_of()
    offsets = offsets_of(reference, secondary, dem, noise=0.1)
    _, wrong = pair_of(baseline=400.0)
    offsets.attrs["secondary_geometry"] = wrong.to_json()
    ds = gt.locate(offsets, dem=dem, geoid="ellipsoidal")
    with pytest.warns(gt.GlacierToolkitWarning, match="but the orbits say 400 m"):
        gt.correct(ds, stable=True, noise=False)


def along_surface(dem, speed):
    """Motion along the surface of the DEM: `speed` = (E, N) metres on the grid."""
    import xarray as xr
    from pyproj import Transformer

    z = dem.values.astype(float)
    gy, gx = np.gradient(z, dem["y"].values, dem["x"].values)
    up = speed[0] * gx + speed[1] * gy
    field = xr.DataArray(up, {"y": dem["y"], "x": dem["x"]}, ("y", "x"))
    to = Transformer.from_crs(4326, CRS, always_xy=True)

    def moved(lon, lat, _):
        x, y = to.transform(lon, lat)
        rise = field.interp(
            x=xr.DataArray(x.ravel(), dims="n"), y=xr.DataArray(y.ravel(), dims="n")
        ).values.reshape(lon.shape)
        # True east and north differ from those of the grid by a few tenths of a degree here.
        from glaciertoolkit.sar.los import grid_convergence

        c = np.radians(grid_convergence(CRS, lon, lat))
        east = speed[0] * np.cos(c) + speed[1] * np.sin(c)
        north = -speed[0] * np.sin(c) + speed[1] * np.cos(c)
        return east, north, rise

    return moved


@pytest.mark.parametrize(("direction", "look"), CASES)
def test_motion_along_the_surface_comes_out_right_on_the_map(dem, direction, look):
    reference, secondary = pair_of(direction, look, baseline=500.0)
    offsets = offsets_of(reference, secondary, dem, moved=along_surface(dem, (12.0, -7.0)))
    ds = gt.locate(offsets, dem=dem, geoid="ellipsoidal")
    motion = gt.remove_topography(ds, stable=True)
    on_map = gt.to_map(motion, dem=dem, geoid="ellipsoidal", crs=CRS, posting=24.0)
    assert not in_radar_geometry(on_map)
    gentle = (on_map["slope"].values < 20) & np.isfinite(on_map["dx"].values)
    assert gentle.sum() > 5000
    for name, wanted in (("dx", 12.0), ("dy", -7.0)):
        found = on_map[name].values[gentle]
        assert np.median(found) == pytest.approx(wanted, rel=0.02)
        assert gt.nmad(found) < 0.5
    flat = gt.to_map(motion, dem=dem, geoid="ellipsoidal", crs=CRS, posting=24.0, mode="flat")
    spread = np.hypot(*(gt.nmad(flat[k].values[gentle]) for k in ("dx", "dy")))
    assert spread > 1.0, "level motion has its known error on slopes"


def test_the_map_keeps_what_was_removed(dem):
    reference, secondary = pair_of()
    ds = gt.locate(offsets_of(reference, secondary, dem, noise=0.1), dem=dem, geoid="ellipsoidal")
    motion = gt.correct(ds, stable=True)
    on_map = gt.to_map(motion, dem=dem, geoid="ellipsoidal", posting=24.0)
    for name in ("dx_geometry", "dx_topography", "dx_deformation", "dx_holdout", "dx_error"):
        assert np.isfinite(on_map[name].values).mean() > 0.5, name
    assert on_map["stable"].dtype == bool
    assert on_map["flag"].dtype == np.uint32
    velocity = on_map.glacier.velocity()
    assert set(np.unique(on_map["stable_fold"])) == {-1, 0, 1, 2, 3}
    assert float(velocity.glacier.accuracy()["holdout_dx_nmad"]) < 0.5
    outside = on_map["flag"].values[0, 0]
    assert outside & (Flag.NODATA | Flag.NO_DEM)
    assert np.isnan(on_map["dx"].values[0, 0])


def test_errors_on_the_map_are_those_of_the_ground(dem):
    reference, secondary = pair_of()
    quiet = gt.locate(offsets_of(reference, secondary, dem), dem=dem, geoid="ellipsoidal")
    noisy = gt.locate(
        offsets_of(reference, secondary, dem, noise=0.2), dem=dem, geoid="ellipsoidal"
    )
    maps = [
        gt.to_map(
            gt.correct(ds, stable=True, deformation=False, noise=False, folds=0),
            dem=dem, geoid="ellipsoidal", posting=24.0,
        )
        for ds in (quiet, noisy)
    ]  # fmt: skip
    for name in ("dx", "dy"):
        z = ((maps[1][name] - maps[0][name]) / maps[1][f"{name}_error"]).values
        # Interpolation between posts averages some of the noise away.
        assert 0.4 < gt.nmad(z[np.isfinite(z)]) < 1.05


def test_only_the_range_where_the_azimuth_is_spoilt(dem):
    reference, secondary = pair_of()
    ds = gt.locate(offsets_of(reference, secondary, dem), dem=dem, geoid="ellipsoidal")
    ds["dy"] = ds["dy"] + 30.0
    motion = gt.correct(ds, stable=True, deformation=False, noise=False)
    both, alone = (
        gt.to_map(motion, dem=dem, geoid="ellipsoidal", posting=24.0, components=c)
        for c in ("both", "range")
    )
    assert float(np.hypot(both["dx"], both["dy"]).median()) > 29
    assert float(np.hypot(alone["dx"], alone["dy"]).median()) < 0.5


def test_without_height_a_target_at_5000_metres_is_kilometres_away():
    geometry = radar_geometry("descending", "right", **SIZE)
    from glaciertoolkit.sar.geocoding import image_to_ground

    line, sample = geometry.centre
    lon, lat = image_to_ground(geometry, line, sample, 5000.0)
    assert np.allclose(ground_to_image(geometry, lon, lat, 5000.0), (line, sample), atol=1e-3)
    wrong = image_to_ground(geometry, line, sample, 0.0)
    metres = np.hypot((wrong[0] - lon) * 111e3 * np.cos(np.radians(lat)), (wrong[1] - lat) * 111e3)
    assert 6000 < metres < 7500


def test_geometry_that_is_missing_is_said(dem):
    reference, secondary = pair_of()
    offsets = offsets_of(reference, secondary, dem)
    with pytest.raises(gt.GlacierToolkitError, match="locate"):
        gt.stable_terrain(offsets, polygons=None, outlines="x.gpkg", dem=dem)
    with pytest.raises(gt.GlacierToolkitError, match="locate"):
        gt.correct(offsets, stable=True)
    with pytest.raises(gt.GlacierToolkitError, match="geoid"):
        gt.locate(offsets, dem=dem, geoid=4000.0)
    with pytest.warns(gt.GlacierToolkitWarning, match="above the geoid"):
        gt.locate(offsets, dem=dem)
    far = make_dem(longitude=80.0, latitude=30.0)
    with pytest.raises(gt.GlacierToolkitError, match=r"DEM|elevation"):
        gt.locate(offsets, dem=far, geoid="ellipsoidal")


def test_a_map_needs_metres(dem):
    reference, secondary = pair_of()
    ds = gt.locate(offsets_of(reference, secondary, dem), dem=dem, geoid="ellipsoidal")
    for crs, said in ((4326, "projected"), ("nonsense", "not a CRS")):
        with pytest.raises(gt.GlacierToolkitError, match=said):
            map_grid(ds, crs=crs)
    with pytest.raises(gt.GlacierToolkitError, match="posting"):
        gt.to_map(ds, dem=dem, posting=0.0)
    with pytest.raises(gt.GlacierToolkitError, match="mode"):
        gt.to_map(ds, dem=dem, mode="steep")


def test_a_bias_of_the_geolocation_moves_the_map():
    reference, _ = pair_of()
    moved = replace(reference, bias=(4.0, 10.0))
    lon, lat = 86.9, 28.0
    plain, shifted = (ground_to_image(g, lon, lat, 4800.0) for g in (reference, moved))
    assert np.allclose(np.subtract(shifted, plain), (4.0, 10.0))


def test_both_directions_make_three_components(dem):
    def moved(lon, _lat, _h):
        return 10.0 + 0 * lon, -6.0 + 0 * lon, -4.0 + 0 * lon

    maps = []
    for direction in ("descending", "ascending"):
        pair = pair_of(direction, "right", baseline=300.0)
        offsets = offsets_of(*pair, dem, moved=moved)
        ds = gt.remove_topography(gt.locate(offsets, dem=dem, geoid="ellipsoidal"), stable=True)
        maps.append(gt.to_map(ds, dem=dem, geoid="ellipsoidal", crs=CRS, posting=24.0))
    found = gt.combine_passes(maps)
    per_year = 365.25 / 29
    valid = np.isfinite(found["vx"].values)
    assert valid.mean() > 0.5
    for name, metres in (("vx", 10.0), ("vy", -6.0), ("vz", -4.0)):
        values = found[name].values[valid] / per_year
        assert np.median(values) == pytest.approx(metres, abs=0.15), name
    assert not np.allclose(maps[0]["dx"].median(), 10.0, atol=1.0), "one pass alone is blind"
    with pytest.raises(gt.GlacierToolkitError, match="two maps"):
        gt.combine_passes(maps[:1])
    coarse = gt.to_map(ds, dem=dem, geoid="ellipsoidal", crs=CRS, posting=50.0)
    shifted = coarse.assign_coords(x=coarse["x"] + 1.0)
    with pytest.raises(gt.GlacierToolkitError, match="no posts in common"):
        gt.combine_passes([maps[0], shifted])


def test_what_the_heights_are_measured_from_is_said_once(dem, tmp_path):
    reference, secondary = pair_of()
    offsets = offsets_of(reference, secondary, dem)
    ds = gt.locate(offsets, dem=dem, geoid=-40.0)
    assert ds.attrs["geoid"] == -40.0
    on_map = gt.to_map(ds, dem=dem, posting=48.0)
    known = np.isfinite(on_map["height"].values)
    undulation = (on_map["height"] - gt.match_raster(dem, on_map)).values[known]
    assert np.median(undulation) == pytest.approx(-40.0, abs=1.0)
    file = tmp_path / "dem.tif"
    dem.rio.to_raster(file, tags={"VERTICAL_DATUM": "WGS84 ellipsoidal heights"})
    gt.locate(offsets, dem=file)  # no warning


def test_slopes_that_face_the_radar_are_left_out_as_asked(dem):
    reference, secondary = pair_of()
    ds = gt.locate(offsets_of(reference, secondary, dem), dem=dem, geoid="ellipsoidal")
    lost = []
    for degrees in (1.0, 3.0, 15.0):
        found = gt.to_map(ds, dem=dem, posting=24.0, singular=degrees)
        flagged = (found["flag"].values & Flag.SINGULAR) > 0
        assert np.isnan(found["dx"].values[flagged]).all()
        lost.append(int(flagged.sum()))
    assert lost[0] <= lost[1] < lost[2]
    with pytest.raises(gt.GlacierToolkitError, match="singular"):
        gt.to_map(ds, dem=dem, singular=90.0)


def test_too_little_relief_for_a_baseline_is_said():
    level = make_dem(height=lambda x, y: 4800 + 20 * np.sin(x / 1000.0) + 0 * y)
    reference, secondary = pair_of()
    offsets = offsets_of(reference, secondary, level, noise=0.2)
    ds = gt.locate(offsets, dem=level, geoid="ellipsoidal")
    with pytest.warns(gt.GlacierToolkitWarning) as said:
        gt.correct(ds, stable=True, topography="baseline", noise=False)
    assert any("sounder correction" in str(w.message) or "little" in str(w.message) for w in said)


def test_what_orbits_predict_is_not_extrapolated_and_what_is_fitted_is(dem):
    reference, secondary = pair_of()
    ds = gt.locate(offsets_of(reference, secondary, dem, noise=0.1), dem=dem, geoid="ellipsoidal")
    low = ds["height"] < float(ds["height"].quantile(0.7))
    flagged = {
        method: ((done["flag"] & Flag.EXTRAPOLATED) > 0).values
        for method in ("geometric", "elevation")
        for done in [gt.correct(ds, stable=low, topography=method, noise=False, order=1)]
    }
    assert not flagged["geometric"].any()
    assert flagged["elevation"][~low.values & np.isfinite(ds["height"].values)].mean() > 0.9
