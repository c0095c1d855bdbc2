"""The range-Doppler equations against an orbit that is known otherwise."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sar.geometries import (
    CASES,
    WAVELENGTH,
    circle,
    ecef,
    enu,
    passage,
    radar_geometry,
    state_vectors,
)

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.sar.baselines import baseline, heading, height_of_ambiguity, incidence
from glaciertoolkit.sar.geocoding import (
    DemGrid,
    ground_to_image,
    image_to_ground,
    image_to_terrain,
    sensitivities,
)
from glaciertoolkit.sar.geometry import RadarGeometry
from glaciertoolkit.sar.orbits import fit_orbit

TARGET = (86.9, 28.0, 4500.0)
EXACT = {case: radar_geometry(*case, rounding=0) for case in CASES}
ROUNDED = radar_geometry("descending", "right")


def no_computation(*_: object, **__: object) -> None:
    raise AssertionError("something was computed early")


def hills(*, relief: float, west: float = 86.5, north: float = 28.4, step: float = 0.002):
    """A smooth DEM of `relief` metres around the scene."""
    lon = west + step * np.arange(401)
    lat = north - step * np.arange(401)
    waves = np.sin(lon[None, :] * 90) * np.cos(lat[:, None] * 110)
    z = 4500.0 + relief / 2 * waves
    return DemGrid(z.astype(np.float32), west, step, north, -step)


@pytest.mark.parametrize("case", CASES)
def test_target_is_seen_in_the_middle(case: tuple[str, str]) -> None:
    g = EXACT[case]
    line, sample = ground_to_image(g, *TARGET)
    assert (line, sample) == pytest.approx(g.centre, abs=1e-4)
    # Positions to half a metre and velocities to a millimetre per second: still a fraction.
    assert ground_to_image(radar_geometry(*case), *TARGET) == pytest.approx(g.centre, abs=0.5)


@pytest.mark.parametrize("case", CASES)
def test_time_and_range_against_the_circle(case: tuple[str, str]) -> None:
    g = EXACT[case]
    argument, node = passage(*case, TARGET, 37.0)
    lon, lat, h = 86.93, 28.04, 5200.0
    line, sample = ground_to_image(g, lon, lat, h)
    # The passage lies in the middle of the image.
    place, speed = circle(g.time_of(line) - g.duration / 2, argument, node)
    sight = ecef(lon, lat, h) - place
    assert abs(sight @ speed) / np.linalg.norm(speed) < 1e-3
    assert np.linalg.norm(sight) == pytest.approx(g.range_of(sample), abs=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_target_lies_on_the_side_of_the_look(case: tuple[str, str]) -> None:
    g, side = EXACT[case], 1 if case[1] == "right" else -1
    assert g.side == side
    place, speed = circle(0.0, *passage(*case, TARGET, 37.0))
    east, north, _ = enu(TARGET[0], TARGET[1]) @ (ecef(*TARGET) - place)
    forward = enu(TARGET[0], TARGET[1]) @ speed
    # Clockwise from flight to the target, in the plane of the map.
    right = east * forward[1] - north * forward[0]
    assert np.sign(right) == side
    far = image_to_ground(g, g.centre[0], g.centre[1] + 1000, 4500.0)
    moved = (far[0] - TARGET[0]) * np.cos(np.radians(28.0)), far[1] - TARGET[1]
    assert np.sign(moved[0] * forward[1] - moved[1] * forward[0]) == side


@pytest.mark.parametrize("case", CASES)
def test_heading_and_incidence(case: tuple[str, str]) -> None:
    _, speed = circle(0.0, *passage(*case, TARGET, 37.0))
    east, north, _ = enu(TARGET[0], TARGET[1]) @ speed
    found = float(heading(EXACT[case], *TARGET))
    assert found == pytest.approx(np.degrees(np.arctan2(east, north)) % 360, abs=1e-5)
    low, high = (344, 350) if case[0] == "ascending" else (190, 196)
    assert low < found < high
    assert float(incidence(EXACT[case], *TARGET)) == pytest.approx(37.0, abs=1e-5)


@pytest.mark.parametrize("angle", [20.0, 35.0, 50.0])
def test_incidence_rises_with_range(angle: float) -> None:
    g = radar_geometry(incidence=angle)
    samples = np.array([0.0, g.samples - 1.0])
    lon, lat = image_to_ground(g, g.centre[0], samples, 4500.0)
    near, far = incidence(g, lon, lat, 4500.0)
    assert near < angle < far


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES),
    line=st.floats(-500, 4500),
    sample=st.floats(-500, 3500),
    height=st.floats(-100, 8800),
)
def test_round_trip_of_pixels(
    case: tuple[str, str], line: float, sample: float, height: float
) -> None:
    lon, lat = image_to_ground(EXACT[case], line, sample, height)
    back = ground_to_image(EXACT[case], lon, lat, height)
    assert back == pytest.approx((line, sample), abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_round_trip_of_the_ground(case: tuple[str, str]) -> None:
    rng = np.random.default_rng(3)
    lon, lat = TARGET[0] + rng.uniform(-0.1, 0.1, 500), TARGET[1] + rng.uniform(-0.1, 0.1, 500)
    h = rng.uniform(0, 8000, 500)
    found = image_to_ground(EXACT[case], *ground_to_image(EXACT[case], lon, lat, h), h)
    # 1e-10 degrees is a hundredth of a millimetre.
    np.testing.assert_allclose(found, (lon, lat), atol=1e-10, rtol=0)


def test_height_ignored_misplaces_a_target() -> None:
    g = radar_geometry(incidence=35.0, height=5000.0)
    pixel = ground_to_image(g, 86.9, 28.0, 5000.0)
    right = ecef(*image_to_ground(g, *pixel, 5000.0), 5000.0)
    wrong = ecef(*image_to_ground(g, *pixel, 0.0), 0.0)
    at = ecef(86.9, 28.0, 5000.0)
    assert np.linalg.norm(right - at) < 1e-3
    # h / tan(incidence), on the map.
    flat = enu(86.9, 28.0)[:2] @ (wrong - at)
    assert np.hypot(*flat) == pytest.approx(5000 / np.tan(np.radians(35.0)), rel=0.02)


def test_bias_moves_the_image() -> None:
    g = replace(ROUNDED, bias=(3.0, -2.0))
    before, after = ground_to_image(ROUNDED, *TARGET), ground_to_image(g, *TARGET)
    assert np.subtract(after, before) == pytest.approx((3.0, -2.0), abs=1e-6)
    assert image_to_ground(g, *after, 4500.0) == pytest.approx(TARGET[:2], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_doppler_centroid(case: tuple[str, str]) -> None:
    table = (915e3, 800.0, 0.01, -1e-7)
    g = radar_geometry(*case, rounding=0, doppler=table)
    line, sample = ground_to_image(g, *TARGET)
    assert abs(line - g.centre[0]) > 500
    place, speed = (f(g.time_of(line)) for f in (g.orbit.position, g.orbit.velocity))
    sight = ecef(*TARGET) - place
    slant = np.linalg.norm(sight)
    off = slant - table[0]
    frequency = table[1] + table[2] * off + table[3] * off**2
    assert 2 * sight @ speed / (WAVELENGTH * slant) == pytest.approx(frequency, abs=0.01)
    assert image_to_ground(g, line, sample, TARGET[2]) == pytest.approx(TARGET[:2], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("length", [-800.0, 1000.0])
def test_perpendicular_baseline(case: tuple[str, str], length: float) -> None:
    second = radar_geometry(*case, baseline=length, rounding=0)
    found = baseline(EXACT[case], second, longitude=86.9, latitude=28.0, height=4500.0)
    assert float(found.perpendicular) == pytest.approx(length, rel=1e-3)
    assert abs(found.parallel) < 0.5
    rounded = baseline(
        radar_geometry(*case), radar_geometry(*case, baseline=length),
        longitude=86.9, latitude=28.0, height=4500.0,
    )  # fmt: skip
    assert float(rounded.perpendicular) == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_parallel_baseline_shortens_the_range(case: tuple[str, str]) -> None:
    second = radar_geometry(*case, parallel=150.0, baseline=200.0, rounding=0)
    found = baseline(EXACT[case], second, longitude=86.9, latitude=28.0, height=4500.0)
    assert float(found.parallel) == pytest.approx(150.0, abs=0.1)
    change = np.diff([g.range_of(ground_to_image(g, *TARGET)[1]) for g in (EXACT[case], second)])
    # To second order in B_perp: 22 mm.
    assert change[0] == pytest.approx(-found.parallel, abs=0.03)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("angle", [25.0, 37.0, 45.0])
def test_offset_of_a_height(case: tuple[str, str], angle: float) -> None:
    given = {"incidence": angle, "height": 0.0, "rounding": 0}
    first, second = radar_geometry(*case, **given), radar_geometry(*case, **given, baseline=1000.0)
    middle, heights = first.centre, np.array([0.0, 1000.0, 2500.0, 4000.0])
    lon, lat = image_to_ground(first, *middle, heights)
    slant = second.range_of(ground_to_image(second, lon, lat, heights)[1])
    exact = slant - slant[0]
    near = -1000.0 * heights / (first.range_of(middle[1]) * np.sin(np.radians(angle)))
    np.testing.assert_allclose(exact[1:], near[1:], rtol=0.02)


def test_height_of_ambiguity_against_ranges() -> None:
    first, second = EXACT["descending", "right"], radar_geometry(baseline=500.0, rounding=0)
    slant = first.range_of(first.centre[1])
    h_a = height_of_ambiguity(500.0, slant_range=slant, incidence=37.0, wavelength=WAVELENGTH)
    heights = np.array([4500.0, 4500.0 + float(h_a)])
    lon, lat = image_to_ground(first, *first.centre, heights)
    there = second.range_of(ground_to_image(second, lon, lat, heights)[1])
    assert there[1] - there[0] == pytest.approx(-WAVELENGTH / 2, rel=0.01)


@pytest.mark.parametrize("case", CASES)
def test_sensitivities_against_differences(case: tuple[str, str]) -> None:
    g = EXACT[case]
    sight, track = sensitivities(g, *TARGET)
    assert np.linalg.norm(sight) == pytest.approx(1.0, abs=1e-12)
    assert sight @ track == pytest.approx(0.0, abs=1e-4)
    base = np.array(ground_to_image(g, *TARGET))
    step = 1e-4
    for axis, (lon, lat, h) in enumerate(((step, 0, 0), (0, step, 0), (0, 0, 10.0))):
        moved = (TARGET[0] + lon, TARGET[1] + lat, TARGET[2] + h)
        metres = enu(TARGET[0], TARGET[1])[axis] @ (ecef(*moved) - ecef(*TARGET))
        line, sample = np.array(ground_to_image(g, *moved)) - base
        assert sample * g.range_spacing / metres == pytest.approx(sight[axis], abs=1e-4)
        assert line * g.azimuth_spacing / metres == pytest.approx(track[axis], abs=1e-4)


@pytest.mark.parametrize("relief", [300.0, 3000.0])
def test_round_trip_on_the_terrain(relief: float) -> None:
    dem = hills(relief=relief)
    line, sample = np.meshgrid(np.linspace(0, 3999, 25), np.linspace(0, 2999, 20))
    lon, lat, h = image_to_terrain(ROUNDED, line, sample, dem)
    assert np.isfinite(h).all()
    np.testing.assert_allclose(dem.sample(lon, lat), h, atol=0.01)
    back = ground_to_image(ROUNDED, lon, lat, h)
    np.testing.assert_allclose(back, (line, sample), atol=0.01)
    assert np.ptp(h) > 0.5 * relief


def test_beyond_the_terrain_is_missing() -> None:
    dem = hills(relief=300.0, west=80.0)
    found = image_to_terrain(ROUNDED, *ROUNDED.centre, dem)
    assert np.isnan(found).all()
    assert np.isnan(dem.sample(TARGET[0], TARGET[1]))


@pytest.mark.parametrize("place", range(3))
def test_missing_in_missing_out(place: int) -> None:
    given = [np.full(3, v) for v in TARGET]
    given[place][1] = np.nan
    line, sample = ground_to_image(ROUNDED, *given)
    assert np.isnan([line[1], sample[1]]).all()
    assert np.isfinite([line[[0, 2]], sample[[0, 2]]]).all()
    pixel = [np.full(3, v) for v in (100.0, 200.0, 4500.0)]
    pixel[place][1] = np.nan
    lon, lat = image_to_ground(ROUNDED, *pixel)
    assert np.isnan([lon[1], lat[1]]).all()
    assert np.isfinite([lon[[0, 2]], lat[[0, 2]]]).all()


def test_range_that_does_not_reach_the_ground_is_missing() -> None:
    lon, _ = image_to_ground(ROUNDED, 100.0, np.array([0.0, -120_000.0]), 4500.0)
    assert np.isfinite(lon[0])
    assert np.isnan(lon[1])


def test_lazy_and_the_same_for_all_chunks() -> None:
    lon = xr.DataArray(np.linspace(86.85, 86.95, 60), dims="x")
    lat = xr.DataArray(np.linspace(28.05, 27.95, 50), dims="y")
    h = xr.DataArray(np.full((50, 60), 4200.0), dims=("y", "x"))
    eager = ground_to_image(ROUNDED, lon, lat, h)
    assert eager[0].dims == ("x", "y")
    dem = hills(relief=1000.0)
    for chunks in ({"y": 50, "x": 60}, {"y": 13, "x": 17}):
        with dask.config.set(scheduler=no_computation):
            line, sample = ground_to_image(
                ROUNDED, lon.chunk(x=chunks["x"]), lat.chunk(y=chunks["y"]), h.chunk(chunks)
            )
            ground = image_to_ground(ROUNDED, line, sample, h.chunk(chunks))
            slopes = image_to_terrain(ROUNDED, line, sample, dem)
        assert line.chunks is not None
        np.testing.assert_allclose(line, eager[0], atol=1e-6)
        np.testing.assert_allclose(sample, eager[1], atol=1e-6)
        np.testing.assert_allclose(ground[0], lon.broadcast_like(ground[0]), atol=1e-9)
        assert np.isfinite(slopes[2].compute()).all()


def test_many_points_in_threads_as_one_by_one() -> None:
    line = np.linspace(0, 3999, 70_000)
    lon, lat = image_to_ground(ROUNDED, line, 100.0, 4500.0)
    some = slice(0, None, 7000)
    single = image_to_ground(ROUNDED, line[some], 100.0, 4500.0)
    np.testing.assert_array_equal(single, (lon[some], lat[some]))


def test_cut_image_sees_the_same_ground() -> None:
    part = ROUNDED.shifted(lines=300, samples=200)
    assert (part.lines, part.samples) == (3700, 2800)
    whole = np.array(ground_to_image(ROUNDED, *TARGET))
    np.testing.assert_allclose(ground_to_image(part, *TARGET), whole - (300, 200), atol=1e-6)


def test_geometry_survives_its_text() -> None:
    g = replace(ROUNDED, doppler=(9e5, 1.5), bias=(0.5, 1.0))
    assert RadarGeometry.from_json(g.to_json()) == g


def test_later_pass_is_later() -> None:
    second = radar_geometry(delay=29.0)
    assert second.start - ROUNDED.start == np.timedelta64(29, "D")
    pixels = ground_to_image(second, *TARGET), ground_to_image(ROUNDED, *TARGET)
    assert pixels[0] == pytest.approx(pixels[1], abs=1e-9)


def test_orbit_between_the_state_vectors() -> None:
    argument, node = passage("descending", "right", TARGET, 37.0)
    g = EXACT["descending", "right"]
    t = np.linspace(0, g.duration, 37)
    place, speed = circle(t - g.duration / 2, argument, node)
    np.testing.assert_allclose(g.orbit.position(t), place, atol=2e-4)
    np.testing.assert_allclose(g.orbit.velocity(t), speed, atol=1e-4)
    assert g.orbit.residual < 1e-3
    # Rounding to half a metre leaves 0.25 m, in three dimensions.
    assert ROUNDED.orbit.residual == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t, p, v: (t[:3], p[:3], v[:3]), "3 state vectors"),
        (lambda t, p, v: (t + np.timedelta64(300, "s"), p, v), "do not cover the scene"),
        (lambda t, p, v: (t, p / 1000, v), "centre of the Earth"),
        (lambda t, p, v: (t, p + np.where(np.arange(len(p)) == 60, 4e3, 0)[:, None], v), "scatter"),
    ],
)
def test_state_vectors_that_cannot_be(damage, words: str) -> None:
    seconds, p, v = state_vectors()
    start = np.datetime64("2020-01-01", "ns")
    t = start + np.round(seconds * 1e9).astype("timedelta64[ns]")
    fit_orbit(t, p, v, epoch=start, duration=2.0)
    t, p, v = damage(t, p, v)
    with pytest.raises(InputError, match=words):
        fit_orbit(t, p, v, epoch=start, duration=2.0)


@pytest.mark.parametrize("change", [{"look": "up"}, {"line_interval": 0.0}, {"near_range": np.nan}])
def test_geometry_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        replace(ROUNDED, **change)
