"""The prior: units, signs, holes, edges, and whole-pixel offsets of the parts of a tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import DATES, offset_field

from glaciertoolkit.blocks import Tile
from glaciertoolkit.conventions import YEAR_DAYS
from glaciertoolkit.errors import GridError, InputError, MissingVariableError, ParameterError
from glaciertoolkit.tracking.prior import LEAST_POSTS, prior_in_pixels, split

PIXEL = (-5.0, 10.0)
Y, X = 3_200_000.0 - 40.0 * np.arange(20), 500_000.0 + 80.0 * np.arange(30)


def pair(*, crs: int | None = None, dates: bool = True) -> xr.Dataset:
    ds = xr.Dataset(coords={"y": Y, "x": X, **(DATES if dates else {})})
    return ds if crs is None else ds.rio.write_crs(crs)


def plane(y: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """A displacement in metres that bilinear interpolation reproduces."""
    north, east = np.asarray(y)[:, None] - Y[-1], np.asarray(x)[None, :] - X[0]
    return 3 + 0.02 * east + 0 * north, -7 + 0.05 * north - 0.01 * east


def field(y: Any, x: Any, names: tuple[str, str] = ("dx", "dy"), factor: float = 1) -> xr.Dataset:
    values = plane(y, x)
    return xr.Dataset(
        {n: (("y", "x"), v * factor) for n, v in zip(names, values, strict=True)},
        coords={"y": y, "x": x},
    )


def expected() -> np.ndarray:
    dx, dy = plane(Y, X)
    return np.stack([dx / PIXEL[1], dy / PIXEL[0]])


def at_posts(prior: Any, of: xr.Dataset | None = None) -> np.ndarray:
    return prior_in_pixels(prior, pair=pair() if of is None else of, y=Y, x=X, pixel=PIXEL)


COARSE_Y, COARSE_X = Y[0] + 100 - 130.0 * np.arange(10), X[0] - 50 + 333.0 * np.arange(9)


def test_metres_north_are_pixels_up() -> None:
    out = at_posts((20.0, 30.0))
    assert out.dtype == np.float32
    assert out.shape == (2, 20, 30)
    assert (out[0] == 2).all()
    assert (out[1] == -6).all()


@pytest.mark.parametrize("flip", [1, -1])
def test_a_field_of_any_spacing_is_interpolated(flip: int) -> None:
    out = at_posts(field(COARSE_Y[::flip], COARSE_X[::flip]))
    np.testing.assert_allclose(out, expected(), atol=1e-4)


def test_a_velocity_is_taken_times_the_interval() -> None:
    velocity = field(COARSE_Y, COARSE_X, ("vx", "vy"), YEAR_DAYS / 29)
    np.testing.assert_allclose(at_posts(velocity), expected(), rtol=1e-5, atol=1e-4)
    # The displacement beside it may be that of another interval.
    both = velocity.assign(dx=velocity.vx * 0, dy=velocity.vy * 0)
    np.testing.assert_allclose(at_posts(both), expected(), rtol=1e-5, atol=1e-4)
    assert (at_posts(both, pair(dates=False)) == 0).all()
    with pytest.raises(MissingVariableError, match="reference_date"):
        at_posts(velocity, pair(dates=False))


def test_lazy_and_with_a_dimension_of_one() -> None:
    prior = field(COARSE_Y, COARSE_X)
    np.testing.assert_array_equal(at_posts(prior.chunk(4)), at_posts(prior))
    banded = prior.expand_dims(band=[1]).transpose("x", "band", "y")
    np.testing.assert_array_equal(at_posts(banded), at_posts(prior))


def test_holes_take_the_nearest_valid_value_of_both_components() -> None:
    prior = field(Y, X)
    prior["dx"][3:6, 4:7] = np.nan
    out = at_posts(prior)
    truth = expected()
    rest = np.ones(truth.shape[1:], bool)
    rest[3:6, 4:7] = False
    np.testing.assert_allclose(out[:, rest], truth[:, rest], atol=1e-4)
    # Rows are nearer than columns: 40 m against 80 m.
    np.testing.assert_allclose(out[:, 3, 5], truth[:, 2, 5], atol=1e-4)
    np.testing.assert_allclose(out[:, 5, 5], truth[:, 6, 5], atol=1e-4)


def test_beyond_its_extent_the_edge_goes_on() -> None:
    out = at_posts(field(Y[5:], X[:10]))
    truth = expected()
    np.testing.assert_allclose(out[:, :5, 20], truth[:, [5] * 5, 9], atol=1e-4)


def test_an_earlier_result_on_the_same_posts_is_itself() -> None:
    prior = offset_field((20, 30), spacing=40)
    out = prior_in_pixels(prior, pair=pair(), y=prior.y, x=prior.x, pixel=(-40, 40))
    np.testing.assert_allclose(out[0] * 40, prior.dx, rtol=1e-5)
    np.testing.assert_allclose(out[1] * -40, prior.dy, rtol=1e-5)


@pytest.mark.parametrize("bad", [3.0, (1.0,), (1.0, np.nan), "map.tif", (True, 1), None])
def test_other_kinds_are_refused(bad: Any) -> None:
    with pytest.raises(ParameterError, match="prior must be"):
        at_posts(bad)


def test_unusable_fields_are_refused_with_the_way_out() -> None:
    prior = field(Y, X)
    with pytest.raises(InputError, match="rename"):
        at_posts(prior.rename(dx="east"))
    with pytest.raises(InputError, match="no valid value"):
        at_posts(prior * np.nan)
    with pytest.raises(InputError, match="select one"):
        at_posts(xr.concat([prior, prior], "time"))
    with pytest.raises(GridError, match="sortby"):
        at_posts(prior.isel(x=[0, 2, 1]))
    with pytest.raises(GridError, match="does not reach"):
        at_posts(prior.assign_coords(x=X + 1e6))
    daily = field(Y, X, ("vx", "vy"))
    daily["vx"].attrs["units"] = "m d-1"
    with pytest.raises(InputError, match="m yr-1"):
        at_posts(daily)
    prior["dy"].attrs["units"] = "pixels"
    with pytest.raises(InputError, match="in pixels"):
        at_posts(prior)


def test_another_crs_is_refused() -> None:
    prior = field(Y, X)
    with pytest.raises(GridError, match=r"rio\.reproject"):
        at_posts(prior.rio.write_crs(32645), pair(crs=32646))
    same = at_posts(prior.rio.write_crs(32645), pair(crs=32645))
    np.testing.assert_array_equal(at_posts(prior, pair(crs=32645)), same)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    gradient=st.tuples(*[st.floats(-3, 3)] * 4), slack=st.floats(1, 30), seed=st.integers(0, 9),
)  # fmt: skip
def test_parts_cover_the_tile_and_stay_near_their_offset(
    shape: tuple[int, int], gradient: tuple[float, ...], slack: float, seed: int
) -> None:
    y, x = np.mgrid[: shape[0] + 5, : shape[1] + 3]
    noise = np.random.default_rng(seed).normal(size=(2, *y.shape))
    a, b, c, d = gradient
    prior = (np.stack([a * y + b * x, c * y + d * x]) + noise).astype(np.float32)
    tile = Tile(5, 5 + shape[0], 3, 3 + shape[1])
    seen = np.zeros(y.shape, int)
    for part, (rows, columns) in split(prior, tile, slack):
        seen[part.y0 : part.y1, part.x0 : part.x1] += 1
        values = prior[:, part.y0 : part.y1, part.x0 : part.x1]
        far = np.abs(values - np.reshape([columns, rows], (2, 1, 1))).max()
        small = all(n < 2 * least for n, least in zip(part.shape, LEAST_POSTS, strict=True))
        assert far <= slack + 0.5001 or small
        for n, least, whole in zip(part.shape, LEAST_POSTS, shape, strict=True):
            assert n >= min(least, whole)
    assert (seen[5:, 3:] == 1).all()
    assert seen.sum() == shape[0] * shape[1]


def test_a_uniform_prior_leaves_the_tile_whole() -> None:
    prior = np.full((2, 64, 64), 0.4, np.float32)
    prior[0] += 120
    assert split(prior, Tile(0, 64, 0, 64), 1) == [(Tile(0, 64, 0, 64), (0, 120))]


def test_motion_that_varies_along_y_divides_y_only() -> None:
    prior = np.zeros((2, 64, 64), np.float32)
    prior[0] = 0.5 * np.arange(64)[:, None]
    parts = split(prior, Tile(0, 64, 0, 64), 4)
    assert [part[:2] for part, _ in parts] == [(i, i + 16) for i in range(0, 64, 16)]
    assert [offset for _, offset in parts] == [(0, 4), (0, 12), (0, 20), (0, 28)]
