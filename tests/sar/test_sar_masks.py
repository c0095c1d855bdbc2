"""Layover and shadow of ridges whose extents follow from trigonometry."""

from __future__ import annotations

import numpy as np
import pytest
from geometries import CASES, radar_geometry

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.sar.baselines import incidence
from glaciertoolkit.sar.geocoding import (
    DemGrid,
    ground_to_image,
    image_to_ground,
    image_to_terrain,
    sensitivities,
)
from glaciertoolkit.sar.masks import layover_shadow, local_incidence, surface_normals

BASE = 4500.0
LON, LAT = 86.9, 28.0
NORTH, EAST = 110_811.0, 98_416.0
"""Metres of a degree of latitude and longitude there, by the radii of curvature."""


def across(geometry, lon, lat):
    """Metres on the ground from the middle of the scene, away from the radar."""
    sight, _ = sensitivities(geometry, LON, LAT, BASE)
    e, n = sight[:2] / np.hypot(*sight[:2])
    return (np.asarray(lon) - LON) * EAST * e + (np.asarray(lat) - LAT) * NORTH * n


def terrain(geometry, shape, *, spacing=15.0, size=14_000.0):
    """A DEM that depends on the distance across the track alone."""
    n = round(size / spacing)
    west, north = LON - size / 2 / EAST, LAT + size / 2 / NORTH
    dlon, dlat = spacing / EAST, -spacing / NORTH
    lon, lat = west + dlon * np.arange(n), north + dlat * np.arange(n)
    g = across(geometry, lon[None, :], lat[:, None])
    return DemGrid((BASE + shape(g)).astype(np.float32), west, dlon, north, dlat)


def ridge(front, back, height):
    """A ridge with its crest at 0: foot `front` metres before it, `back` metres behind it."""
    return lambda g: height * np.clip(np.minimum(1 + g / front, 1 - g / back), 0, None)


def transect(geometry, reach=3000.0, step=3.0):
    """Distances across the track, and the points at them, through the middle."""
    sight, _ = sensitivities(geometry, LON, LAT, BASE)
    e, n = sight[:2] / np.hypot(*sight[:2])
    g = np.arange(-reach, reach, step)
    return g, LON + g * e / EAST, LAT + g * n / NORTH


def scene(**kwargs):
    return radar_geometry(
        lines=1500, samples=2000, longitude=LON, latitude=LAT, height=BASE, **kwargs
    )


def angle_at_crest(geometry, height):
    return np.radians(incidence(geometry, LON, LAT, BASE + height))


def extent(mask, g):
    """First and last distance at which a mask holds, which must be one stretch."""
    where = np.flatnonzero(mask)
    assert where.size
    assert (np.diff(where) == 1).all()
    return g[where[0]], g[where[-1]]


@pytest.mark.parametrize("angle", [22.0, 35.0, 48.0])
def test_the_shadow_of_a_wall_is_height_times_tangent(angle):
    geometry = scene(incidence=angle)
    height = 500.0
    # The front is gentle, the back falls by 75 degrees.
    dem = terrain(geometry, ridge(2500.0, 134.0, height), spacing=8.0, size=9_000.0)
    g, lon, lat = transect(geometry)
    masks = layover_shadow(geometry, dem).at_ground(lon, lat)
    first, last = extent(masks.shadow, g)
    assert first == pytest.approx(0.0, abs=35)
    assert last == pytest.approx(height * np.tan(angle_at_crest(geometry, height)), abs=25)
    assert not masks.layover.any()


@pytest.mark.parametrize("angle", [22.0, 35.0, 45.0])
def test_the_layover_of_a_ridge(angle):
    """From where the ground is as far as the crest to where it is as far as the foot."""
    geometry = scene(incidence=angle)
    front, back, height = 300.0, 2000.0, 600.0  # 63 degrees in front, 17 behind
    dem = terrain(geometry, ridge(front, back, height))
    g, lon, lat = transect(geometry)
    masks = layover_shadow(geometry, dem).at_ground(lon, lat)
    theta = angle_at_crest(geometry, height / 2)
    begin = -height / np.tan(theta)
    excess = height * np.cos(theta) - front * np.sin(theta)
    end = excess / (np.sin(theta) + height / back * np.cos(theta))
    first, last = extent(masks.layover, g)
    assert first == pytest.approx(begin, abs=30)
    assert last == pytest.approx(end, abs=30)
    assert not masks.shadow.any()


def test_the_image_of_a_ridge():
    """In the image: two grounds from the range of the crest to that of the foot; a dark gap."""
    geometry = scene(incidence=35.0)
    front, back, height = 250.0, 50.0, 600.0
    dem = terrain(geometry, ridge(front, back, height))
    found = layover_shadow(geometry, dem)
    samples = np.arange(geometry.samples)
    masks = found.in_image(geometry.centre[0], samples)
    g, lon, lat = transect(geometry)
    crest = ground_to_image(geometry, LON, LAT, BASE + height)[1]
    at = lambda d: ground_to_image(geometry, np.interp(d, g, lon), np.interp(d, g, lat), BASE)[1]  # noqa: E731
    first, last = extent(masks.layover, samples)
    assert first == pytest.approx(crest, abs=12)
    assert last == pytest.approx(at(-front), abs=12)
    # Laid over is the foot; the shadow starts at the crest's range but for what lies over it.
    relit = at(height * np.tan(angle_at_crest(geometry, height)))
    first, last = extent(masks.shadow, samples)
    assert first == pytest.approx(at(-front), abs=12)
    assert last == pytest.approx(relit, abs=12)


@pytest.mark.parametrize(("direction", "look"), CASES)
def test_the_sides_swap_with_the_look(direction, look):
    """A ridge from north to south, steep on both sides: its shadow falls away from the radar."""
    geometry = scene(direction=direction, look=look, incidence=45.0)
    east = (direction == "ascending") == (look == "right")
    n, spacing, height = 700, 20.0, 600.0
    x = (np.arange(n) - n / 2) * spacing
    row = BASE + height * np.clip(1 - np.abs(x) / 400.0, 0, None)
    dem = DemGrid(
        np.broadcast_to(row, (n, n)).astype(np.float32),
        LON - n / 2 * spacing / EAST, spacing / EAST, LAT + n / 2 * spacing / NORTH,
        -spacing / NORTH,
    )  # fmt: skip
    masks = layover_shadow(geometry, dem).on_dem(dem)
    assert masks.shadow.shape == dem.height.shape
    lit, dark = (x < -60, x > 60) if east else (x > 60, x < -60)
    assert masks.shadow[:, dark].any()
    assert not masks.shadow[:, lit].any()
    # Laid over is what faces the radar, and the valley in front of it.
    assert masks.layover[:, lit].sum() > 10 * masks.layover[:, dark].sum()


def test_level_ground_has_neither_and_a_missing_dem_is_not_marked():
    geometry = scene(incidence=30.0)
    dem = terrain(geometry, lambda g: 0 * g, spacing=40.0)
    found = layover_shadow(geometry, dem)
    assert not any(v.any() for v in (*found.ground, *found.image))
    dem.height[100:200, 150:220] = np.nan
    found = layover_shadow(geometry, dem)
    assert not any(v.any() for v in (*found.ground, *found.image, *found.on_dem(dem)))


def test_ground_in_layover_is_seen_where_other_ground_is():
    """Over rough relief the mask of the ground is the fold found by projecting all of it."""
    rng = np.random.default_rng(3)
    geometry = scene(incidence=25.0)
    a, b = rng.uniform(0, 6, (2, 3))

    def shape(g):
        return sum(
            350 / k * np.sin(k * g / 700 + p + q) for k, p, q in zip((1, 2, 3), a, b, strict=True)
        )

    dem = terrain(geometry, shape)
    found = layover_shadow(geometry, dem, spacing=10.0)
    # Over more ground than is compared: what lies over it comes from as far as 2 km.
    _, lon, lat = transect(geometry, reach=5000.0, step=2.0)
    h = dem.sample(lon, lat)
    line, sample = ground_to_image(geometry, lon, lat, h)
    lit = ~found.at_ground(lon, lat).shadow
    order = np.maximum.accumulate(np.where(lit, sample, -np.inf))
    behind = np.minimum.accumulate(np.where(lit, sample, np.inf)[::-1])[::-1]
    expected = lit & ((sample < order) | (sample > behind))
    mask = found.at_ground(lon, lat).layover
    inner = slice(1250, -1250)
    assert 0.05 < expected[inner].mean() < 0.95
    assert (mask != expected)[inner].mean() < 0.03
    # And in the image, at the pixels where that ground is seen.
    there = found.in_image(line, sample).layover
    assert (there & lit)[inner].sum() == pytest.approx((expected & lit)[inner].sum(), rel=0.05)


def test_beyond_the_scene_nothing_is_marked():
    geometry = scene(incidence=22.0)
    found = layover_shadow(geometry, terrain(geometry, ridge(300.0, 30.0, 500.0)))
    for masks in (found.at_ground([LON + 1, np.nan], [LAT, LAT]), found.in_image([-50, 9e5], 10.0)):
        assert not np.any(masks)
    # The last pixels belong to it.
    masks = found.in_image(geometry.lines - 1.0, np.arange(geometry.samples))
    assert masks.layover.any()


def test_mistakes_have_one_clear_sentence():
    geometry = scene()
    dem = terrain(geometry, lambda g: 0 * g, spacing=100.0)
    with pytest.raises(ParameterError, match="spacing must be positive"):
        layover_shadow(geometry, dem, spacing=0.0)
    with pytest.raises(InputError, match="does not reach the scene"):
        layover_shadow(geometry, DemGrid(dem.height, 10.0, dem.dlon, 45.0, dem.dlat))
    with pytest.raises(InputError, match="holds no height"):
        layover_shadow(geometry, DemGrid(dem.height * np.nan, 10.0, dem.dlon, 45.0, dem.dlat))


def test_normals_of_a_tilted_plane():
    """A plane that falls by 20 degrees towards an azimuth of 130."""
    slope, azimuth = np.radians(20.0), np.radians(130.0)
    n, d = 60, 1 / 3600
    lon, lat = LON + d * np.arange(n), LAT - d * np.arange(n)
    fall = np.tan(slope) * (
        (lon[None, :] - LON) * EAST * np.sin(azimuth)
        + (lat[:, None] - LAT) * NORTH * np.cos(azimuth)
    )
    dem = DemGrid((5000 - fall).astype(np.float32), LON, d, LAT, -d)
    normal = np.array(
        [np.sin(slope) * np.sin(azimuth), np.sin(slope) * np.cos(azimuth), np.cos(slope)]
    )
    for smoothing in (0.0, 100.0):
        inner = surface_normals(dem, smoothing=smoothing)[:, 20:-20, 20:-20]
        assert np.abs(inner - normal[:, None, None]).max() < 2e-3
    # A hole stays a hole, and the window does not spread it.
    dem.height[30, 30] = np.nan
    holes = np.isnan(surface_normals(dem, smoothing=200.0)[0])
    assert 1 <= holes.sum() <= 5


def test_smoothing_averages_over_the_window():
    rng = np.random.default_rng(0)
    d = 1 / 3600
    dem = DemGrid(rng.normal(0, 10, (200, 200)).astype(np.float32), LON, d, LAT, -d)
    rough, smooth = (surface_normals(dem, smoothing=v)[0].std() for v in (0.0, 300.0))
    assert smooth < rough / 10


def test_local_incidence():
    geometry = scene(incidence=35.0)
    sight, _ = sensitivities(geometry, LON, LAT, BASE)
    level = local_incidence(sight, np.array([0.0, 0.0, 1.0]))
    assert float(level) == pytest.approx(35.0, abs=0.02)
    assert float(local_incidence(sight, -sight)) == pytest.approx(0.0, abs=1e-5)
    away = np.array([sight[0], sight[1], 0.0])
    assert float(local_incidence(sight, 3 * away)) > 90


def test_the_other_grounds_of_a_pixel_are_masked():
    """image_to_terrain finds one ground of several; the mask knows of it."""
    geometry = scene(incidence=25.0)
    dem = terrain(geometry, ridge(200.0, 1500.0, 500.0))
    found = layover_shadow(geometry, dem)
    samples = np.arange(0, geometry.samples, 5.0)
    masks = found.in_image(geometry.centre[0], samples)
    lon, lat, _ = image_to_terrain(geometry, geometry.centre[0], samples, dem)
    on_ground = found.at_ground(lon, lat).layover
    assert masks.layover.any()
    assert (on_ground == masks.layover).mean() > 0.97
    back = image_to_ground(geometry, geometry.centre[0], samples, BASE)
    assert np.isfinite(back[0]).all()
