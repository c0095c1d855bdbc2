"""From slant range and azimuth to east, north and up, against motion that is known."""

from __future__ import annotations

import numpy as np
import pytest
from geometries import CASES, radar_geometry
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.sar import batches
from glaciertoolkit.sar.geocoding import ground_to_image, image_to_ground, sensitivities
from glaciertoolkit.sar.los import (
    Observation,
    combine_geometries,
    grid_convergence,
    grid_scale,
    rotate_covariance,
    rotate_to_grid,
    solve_displacement,
)

INCIDENCE = 35.0


def view(heading, look="right", incidence=INCIDENCE):
    """Line of sight and track of a level flight, from their definition."""
    b, theta = np.radians(heading), np.radians(incidence)
    side = 1.0 if look == "right" else -1.0
    sight = np.array(
        [side * np.sin(theta) * np.cos(b), -side * np.sin(theta) * np.sin(b), -np.cos(theta)]
    )
    return sight, np.array([np.sin(b), np.cos(b), 0.0])


def plane(slope, aspect):
    """Upward normal of a surface that falls towards `aspect` (degrees)."""
    s, a = np.radians(slope), np.radians(aspect)
    return np.array([np.sin(s) * np.sin(a), np.sin(s) * np.cos(a), np.cos(s) * np.ones_like(a)])


def along(normal, east, north):
    """Motion parallel to a surface, with these horizontal components."""
    return np.array([east, north, -(normal[0] * east + normal[1] * north) / normal[2]])


def solve(d, sight, track, **kwargs):
    return solve_displacement(
        np.einsum("i...,i...", sight, d), np.einsum("i...,i...", track, d), sight, track, **kwargs
    )


@pytest.mark.parametrize("look", ["right", "left"])
@pytest.mark.parametrize("heading", [0, 90, 190, 350])
def test_flat_is_the_rotation_by_the_heading(heading, look):
    """dE = a sin b + g cos b, dN = a cos b - g sin b; the other sign of g on the left."""
    sight, track = view(heading, look)
    rho, a = 1.3, -0.7
    g = rho / np.sin(np.radians(INCIDENCE)) * (1 if look == "right" else -1)
    b = np.radians(heading)
    found = solve_displacement(rho, a, sight, track, mode="flat")
    assert float(found.east) == pytest.approx(a * np.sin(b) + g * np.cos(b), abs=1e-12)
    assert float(found.north) == pytest.approx(a * np.cos(b) - g * np.sin(b), abs=1e-12)
    assert float(found.up) == 0.0
    assert found.covariance is None


@pytest.mark.parametrize("look", ["right", "left"])
@pytest.mark.parametrize("heading", [0, 90, 190, 350])
def test_motion_along_a_known_slope_is_recovered(heading, look):
    rng = np.random.default_rng(1)
    normal = plane(rng.uniform(0, 25, 500), rng.uniform(0, 360, 500))
    d = along(normal, *rng.normal(0, 30, (2, 500)))
    found = solve(d, *view(heading, look), normal=normal)
    assert_allclose([found.east, found.north, found.up], d, atol=1e-6, rtol=0)
    assert not found.singular.any()


@pytest.mark.parametrize(("slope", "ratio"), [(20, 1.43), (-20, 0.45)])
def test_flat_is_wrong_on_slopes_by_the_known_ratio(slope, ratio):
    """Ground falls (rises) away from the radar, motion down (up) it: sin(theta+a)/sin(theta)."""
    sight, track = view(0)  # looks east
    normal = plane(slope, 90.0)
    d = 10 * np.array([np.cos(np.radians(slope)), 0.0, -np.sin(np.radians(slope))])
    flat, true = (
        solve(d, sight, track, normal=normal, mode=m) for m in ("flat", "surface_parallel")
    )
    exact = np.sin(np.radians(INCIDENCE + slope)) / np.sin(np.radians(INCIDENCE))
    assert float(flat.east) / 10 == pytest.approx(exact, abs=1e-9)
    assert float(flat.east) / 10 == pytest.approx(ratio, abs=0.005)
    assert np.hypot(true.east, true.up) == pytest.approx(10.0, abs=1e-9)


def test_left_and_right_mirror_each_other():
    """Two radars on both sides of a meridian see mirrored motion on mirrored slopes alike."""
    right, left = (solve_displacement(
        2.0, 0.5, *view(0, look), normal=plane(12.0, aspect)
    ) for look, aspect in (("right", 60.0), ("left", 300.0)))  # fmt: skip
    assert float(left.east) == pytest.approx(-float(right.east), abs=1e-12)
    assert float(left.north) == pytest.approx(float(right.north), abs=1e-12)


def test_a_surface_along_which_the_radar_is_blind_is_flagged():
    """Across sight and track lies a slope that faces the radar as steeply as it is seen."""
    slopes = np.array([INCIDENCE, 34.1, 35.9, 33.9, 36.1, 0.0])
    found = solve_displacement(
        1.0, 1.0, *view(0), normal=plane(slopes, np.full(6, 270.0)), covariance=(0.1, 0.0, 0.1)
    )
    blind = np.array([True, True, True, False, False, False])
    np.testing.assert_array_equal(found.singular, blind)
    for values in (found.east, found.north, found.up, found.covariance[0]):
        np.testing.assert_array_equal(np.isnan(values), blind)
    # As steep, but turned away from the radar: nothing is lost.
    assert not solve_displacement(1.0, 1.0, *view(0), normal=plane(INCIDENCE, 90.0)).singular


def test_missing_input_is_missing_but_not_singular():
    sight, track = view(0)
    found = solve_displacement([np.nan, 1.0], [1.0, 1.0], sight, track, mode="flat")
    assert np.isnan(found.east[0])
    assert np.isfinite(found.east[1])
    assert not found.singular.any()


def test_the_covariance_is_that_of_many_draws():
    rng = np.random.default_rng(2)
    sight, track = view(190)
    normal = plane(15.0, 40.0)
    given_covariance = np.array([[0.30, 0.08], [0.08, 0.12]])
    d = along(normal, 12.0, -5.0)
    noise = rng.multivariate_normal((0, 0), given_covariance, 200_000).T
    found = solve_displacement(
        sight @ d + noise[0], track @ d + noise[1], sight, track, normal=normal,
        covariance=(0.30, 0.08, 0.12),
    )  # fmt: skip
    drawn = np.cov(found.east, found.north)
    expected = found.covariance[:, 0]
    assert_allclose([drawn[0, 0], drawn[0, 1], drawn[1, 1]], expected, rtol=0.02)


def test_an_uncertain_normal_adds_the_spread_of_many_normals():
    rng = np.random.default_rng(3)
    sight, track = view(350)
    normal = plane(15.0, 60.0)
    d = along(normal, 12.0, -5.0)
    turned = normal[:, None] + np.radians(1.0) * rng.normal(size=(3, 200_000))
    drawn = solve_displacement(sight @ d, track @ d, sight, track, normal=turned)
    cloud = np.cov(drawn.east, drawn.north)
    found = solve(d, sight, track, normal=normal, covariance=(0, 0, 0), normal_error=1.0)
    assert_allclose(found.covariance, [cloud[0, 0], cloud[0, 1], cloud[1, 1]], rtol=0.03)


@settings(max_examples=60, deadline=None)
@given(
    heading=st.floats(0, 360), look=st.sampled_from(["right", "left"]),
    incidence=st.floats(18, 55), slope=st.floats(0, 45), aspect=st.floats(0, 360),
    east=st.floats(-500, 500), north=st.floats(-500, 500),
)  # fmt: skip
def test_forward_then_solve_is_the_identity(heading, look, incidence, slope, aspect, east, north):
    sight, track = view(heading, look, incidence)
    normal = plane(slope, aspect)
    found = solve(d := along(normal, east, north), sight, track, normal=normal)
    assume(not found.singular)
    assert_allclose([found.east, found.north, found.up], d, atol=1e-6, rtol=1e-9)


def test_grids_single_precision_and_batches(monkeypatch):
    """(y, x) grids of single precision: the same values in whatever batches, single precision."""
    rng = np.random.default_rng(4)
    dx, dy = rng.normal(size=(2, 7, 11)).astype(np.float32)
    normal = plane(rng.uniform(0, 20, (7, 11)), rng.uniform(0, 360, (7, 11)))
    sight, track = (np.broadcast_to(v[:, None, None], (3, 7, 11)) for v in view(12))
    whole = solve_displacement(dx, dy, sight, track, normal=normal, covariance=(0.1, 0.0, dx**2))
    assert whole.east.dtype == whole.covariance.dtype == np.float32
    assert whole.covariance.shape == (3, 7, 11)
    for size in (5, 25):
        monkeypatch.setattr(batches, "PART", size)
        parts = solve_displacement(dx, dy, *view(12), normal=normal, covariance=(0.1, 0.0, dx**2))
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one, other)


def test_mistakes_have_one_clear_sentence():
    sight, track = view(0)
    with pytest.raises(ParameterError, match="needs the normals"):
        solve_displacement(1.0, 1.0, sight, track)
    with pytest.raises(ParameterError, match="'surface_parallel' or 'flat'"):
        solve_displacement(1.0, 1.0, sight, track, mode="level")
    with pytest.raises(InputError, match="different points"):
        solve_displacement(np.ones(3), np.ones(4), sight, track, mode="flat")
    with pytest.raises(InputError, match="nothing to combine"):
        combine_geometries([])


# --- several geometries -------------------------------------------------------------------------


def observe(d, heading, look="right", covariance=None, noise=(0.0, 0.0)):
    sight, track = view(heading, look)
    sight, track = (np.broadcast_to(v[:, None], d.shape) for v in (sight, track))
    return Observation(
        np.einsum("ij,ij->j", sight, d) + noise[0], np.einsum("ij,ij->j", track, d) + noise[1],
        sight, track, covariance,
    )  # fmt: skip


def test_ascending_and_descending_give_three_components():
    d = np.random.default_rng(5).normal(0, 20, (3, 200))
    found = combine_geometries([observe(d, 348), observe(d, 192)])
    assert_allclose([found.east, found.north, found.up], d, atol=1e-9)
    assert (found.condition < 5).all()


def test_the_covariance_of_a_combination_is_that_of_many_draws():
    rng = np.random.default_rng(6)
    d = np.broadcast_to(np.array([[3.0], [-8.0], [1.0]]), (3, 100_000))
    matrices = np.array([[[0.09, 0.02], [0.02, 0.25]], [[0.36, -0.1], [-0.1, 0.16]]])
    seen = [
        observe(d, heading, covariance=(m[0, 0], m[0, 1], m[1, 1]),
                noise=rng.multivariate_normal((0, 0), m, d.shape[1]).T)
        for heading, m in zip((348, 192), matrices, strict=True)
    ]  # fmt: skip
    found = combine_geometries(seen)
    drawn = np.cov([found.east, found.north, found.up])
    expected = [drawn[0, 0], drawn[0, 1], drawn[1, 1], drawn[0, 2], drawn[1, 2], drawn[2, 2]]
    assert_allclose(found.covariance[:, 0], expected, rtol=0.03, atol=2e-3)
    # Weighted by their errors, better than by equal weights.
    equal = combine_geometries([one._replace(covariance=None) for one in seen])
    assert found.up.std() < equal.up.std()


def test_fewer_than_three_components_are_not_enough():
    d = np.ones((3, 4))
    first, second = observe(d, 348), observe(d, 192)
    holes = second._replace(
        dx=np.where([False, True, True, False], np.nan, second.dx),
        dy=np.where([False, False, True, True], np.nan, second.dy),
    )
    found = combine_geometries([first, holes])
    np.testing.assert_array_equal(np.isnan(found.east), [False, False, True, False])
    assert np.isnan(found.covariance[:, 2]).all()
    # A range and two azimuths along one line: three numbers, two directions.
    blind = combine_geometries([observe(d, 0), observe(d, 180)._replace(dx=np.nan)])
    assert np.isnan(blind.up).all()
    assert (blind.condition > 1e3).all()


def test_ranges_alone_suffice_along_a_known_surface():
    normal = plane(np.array([3.0, 12.0, 20.0]), np.array([20.0, 130.0, 300.0]))
    d = along(normal, np.array([4.0, -9.0, 2.0]), np.array([1.0, 3.0, 7.0]))
    ranges = [observe(d, h)._replace(dy=None) for h in (345, 195)]
    assert np.isnan(combine_geometries(ranges).east).all()
    found = combine_geometries(ranges, normal=normal)
    assert_allclose([found.east, found.north, found.up], d, atol=1e-9)


def test_one_pair_on_a_surface_is_the_single_solution():
    normal = plane(np.array([12.0, 17.0]), np.array([100.0, 210.0]))
    d = along(normal, np.array([4.0, -9.0]), np.array([1.0, 3.0]))
    covariance = (0.2, 0.05, 0.1)
    one = observe(d, 192, covariance=covariance)
    combined = combine_geometries([one], normal=normal)
    single = solve_displacement(one.dx, one.dy, one.sight, one.track, normal=normal,
                                covariance=covariance)  # fmt: skip
    assert_allclose(combined.covariance[:3], single.covariance, rtol=1e-9)
    assert_allclose([combined.east, combined.north, combined.up], d, atol=1e-9)


# --- with orbits --------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "look"), CASES)
def test_a_target_moved_on_the_ground_is_moved_back_from_the_image(direction, look):
    """A point displaced by metres, its pixels by range-Doppler: the displacement comes out."""
    geometry = radar_geometry(direction, look)
    lon, lat = image_to_ground(geometry, 1800.0, 1400.0, 4500.0)
    normal = plane(14.0, 75.0)
    d = along(normal, 21.0, -13.0)
    # Metres to degrees by the radii of curvature.
    e2, a, s = 0.00669437999014, 6_378_137.0, np.sin(np.radians(lat))
    across = a / np.sqrt(1 - e2 * s * s)
    meridian = across * (1 - e2) / (1 - e2 * s * s)
    moved = (
        lon + np.degrees(d[0] / ((across + 4500) * np.cos(np.radians(lat)))),
        lat + np.degrees(d[1] / (meridian + 4500)),
        4500 + d[2],
    )
    line, sample = ground_to_image(geometry, *moved)
    sight, track = sensitivities(geometry, lon, lat, 4500.0)
    found = solve_displacement(
        (sample - 1400.0) * geometry.range_spacing, (line - 1800.0) * geometry.azimuth_spacing,
        sight, track, normal=normal,
    )  # fmt: skip
    assert_allclose([found.east, found.north, found.up], d, atol=3e-3)


# --- grid north ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [("EPSG:32645", 90.0, 35.0), ("EPSG:32645", 84.0, 28.0), ("EPSG:32745", 90.0, -40.0),
     ("EPSG:3413", 20.0, 78.0), ("EPSG:3031", 110.0, -70.0)],
)  # fmt: skip
def test_a_displacement_is_turned_as_the_projection_turns_it(crs, lon, lat):
    from pyproj import Geod, Transformer

    to_grid = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    geod = Geod(ellps="WGS84")
    gamma = grid_convergence(crs, lon, lat)
    scale = float(grid_scale(crs, lon, lat))
    for east, north in ((0.0, 1.0), (1.0, 0.0), (0.6, -0.8)):
        azimuth = np.degrees(np.arctan2(east, north))
        ends = [geod.fwd(lon, lat, azimuth, sign * 5.0)[:2] for sign in (1, -1)]
        (x1, y1), (x0, y0) = (to_grid.transform(*end) for end in ends)
        x, y = rotate_to_grid(east, north, gamma)
        turned = np.arctan2(x1 - x0, y1 - y0) - np.arctan2(x, y)
        assert abs((turned + np.pi) % (2 * np.pi) - np.pi) < 1e-6
        # Lengths are those of the ground: the map's differ by the scale.
        assert np.hypot(x, y) == pytest.approx(1.0, abs=1e-12)
        assert np.hypot(x1 - x0, y1 - y0) / 10 == pytest.approx(scale, abs=1e-5)


def test_convergence_in_utm_is_that_of_the_textbook():
    gamma = grid_convergence("EPSG:32645", [90.0, 87.0, np.nan], 35.0)
    assert gamma[0] == pytest.approx(3 * np.sin(np.radians(35)), abs=0.01)
    assert gamma[1] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(gamma[2])
    with pytest.raises(GridError, match="not projected"):
        grid_convergence("EPSG:4326", 87.0, 28.0)


def test_the_covariance_turns_with_the_components():
    covariance = np.array([0.3, 0.1, 0.2])
    turn = np.array([rotate_to_grid(1.0, 0.0, 17.0), rotate_to_grid(0.0, 1.0, 17.0)]).T
    expected = turn @ np.array([[0.3, 0.1], [0.1, 0.2]]) @ turn.T
    found = rotate_covariance(covariance, 17.0)
    assert_allclose(found, [expected[0, 0], expected[0, 1], expected[1, 1]], atol=1e-12)


def test_single_precision_survives_the_rotation():
    x, y = rotate_to_grid(np.ones(3, np.float32), np.ones(3, np.float32), np.full(3, 1.5))
    assert x.dtype == y.dtype == np.float32
