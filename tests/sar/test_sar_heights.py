"""Heights for the radar: what they are measured from, and where they are missing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from geometries import radar_geometry
from radar_scene import make_dem

import glaciertoolkit as gt
from glaciertoolkit.sar.geocoding import image_to_terrain
from glaciertoolkit.sar.heights import dem_grid
from glaciertoolkit.sar.resample import Neighbours
from glaciertoolkit.tracking.track import parameters_of

GEOMETRY = radar_geometry("descending", "right", lines=1600, samples=1200)


@pytest.fixture(scope="module")
def dem():
    return make_dem(spacing=60.0)


def test_a_geoid_raises_the_heights(dem):
    level = dem_grid(dem, GEOMETRY, geoid="ellipsoidal")
    raised = dem_grid(dem, GEOMETRY, geoid=-45.0)
    np.testing.assert_allclose(raised.height, level.height - 45.0, atol=1e-3)
    lat, lon = np.arange(29.0, 27.0, -0.1), np.arange(86.0, 88.0, 0.1)
    undulation = -45 + 3 * (lon[None, :] - 87) + 0 * lat[:, None]
    raster = xr.DataArray(undulation, {"y": lat, "x": lon}, ("y", "x")).rio.write_crs(4326)
    sloping = dem_grid(dem, GEOMETRY, geoid=raster)
    east = sloping.west + sloping.dlon * np.arange(sloping.height.shape[1])
    wanted = level.height + (-45 + 3 * (east[None, :] - 87))
    assert float(np.nanmax(np.abs(sloping.height - wanted))) < 0.01


def test_the_ground_moves_by_the_geoid_over_the_tangent(dem):
    level = dem_grid(dem * 0 + 4800.0, GEOMETRY, geoid="ellipsoidal")
    raised = dem_grid(dem * 0 + 4800.0, GEOMETRY, geoid=-45.0)
    here, there = (image_to_terrain(GEOMETRY, *GEOMETRY.centre, d) for d in (level, raised))
    metres = np.hypot(
        (there[0] - here[0]) * 111_320 * np.cos(np.radians(here[1])), (there[1] - here[1]) * 110_900
    )
    assert metres == pytest.approx(45 / np.tan(np.radians(37)), rel=0.02)


@pytest.mark.parametrize("geoid", [True, 500.0, object()])
def test_what_is_no_geoid_is_said(dem, geoid):
    with pytest.raises(gt.GlacierToolkitError, match="geoid"):
        dem_grid(dem, GEOMETRY, geoid=geoid)


def test_a_model_without_its_grid_is_said(dem):
    level = dem_grid(dem, GEOMETRY, geoid="ellipsoidal")
    said, found = "", level
    try:
        found = dem_grid(dem, GEOMETRY, geoid="egm2008")
    except gt.GlacierToolkitError as error:
        said = str(error)
    undulation = float(np.nanmedian(found.height - level.height))
    assert "not installed" in said or -80 < undulation < -10


def test_a_dem_that_covers_part_of_the_scene_is_said(dem):
    half = dem.isel(x=slice(0, dem.sizes["x"] // 2))
    with pytest.warns(gt.GlacierToolkitWarning, match="covers only"):
        dem_grid(half, GEOMETRY, geoid="ellipsoidal")


def test_templates_are_square_on_the_ground():
    pixels = np.zeros((GEOMETRY.lines, GEOMETRY.samples), np.complex64)
    pair = xr.Dataset(
        {"reference": (("y", "x"), pixels), "secondary": (("y", "x"), pixels)},
        {"y": GEOMETRY.y, "x": GEOMETRY.x},
        {"reference_geometry": GEOMETRY.to_json(), "secondary_geometry": GEOMETRY.to_json()},
    )
    found = parameters_of(pair, template=64, step=4)
    assert (found.template, found.step) == ((64, 48), (4, 3))
    assert parameters_of(pair, template={"y": 64, "x": 64}, step=8).templates == ((64, 64),)
    for size, spacing in ((33, 1), (128, 8), (32, 3)):
        found = parameters_of(pair, template=size, step=spacing, nested=(2 * size + size % 2,))
        for lines, samples in found.templates:
            ground = samples * GEOMETRY.range_spacing / np.sin(np.radians(37))
            assert ground == pytest.approx(lines * GEOMETRY.azimuth_spacing, rel=0.15)
            assert samples % 2 == lines % 2


def test_between_posts_what_is_missing_has_no_weight():
    field = np.array([[0.0, 10.0], [20.0, np.nan]], np.float32)
    row, column = np.array([0.0, 0.4, 0.6, 0.9, 5.0]), np.array([0.5, 0.4, 0.4, 0.9, 0.0])
    found = Neighbours.of(row, column, field).mean(field)
    assert found[0] == pytest.approx(5.0)
    weights = np.array([0.36, 0.24, 0.24])
    assert found[1] == pytest.approx((weights @ [0.0, 10.0, 20.0]) / weights.sum(), rel=1e-5)
    assert np.isfinite(found[2])
    assert np.isnan(found[3]), "the nearest post is missing"
    assert np.isnan(found[4]), "beyond the posts"
    whole = Neighbours.of(row, column, field).nearest(np.array([[1, 2], [3, 4]]), fill=-1)
    assert whole.tolist() == [1, 1, 3, 4, -1]
