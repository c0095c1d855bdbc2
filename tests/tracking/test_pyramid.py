"""Coarse to fine: displacements far beyond the search, found; never a gap, never computed early."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import DATES, image_pair, texture
from scipy.ndimage import map_coordinates

from glaciertoolkit.errors import InputError
from glaciertoolkit.tracking.pyramid import (
    _tidy,
    block_mean,
    choose_level,
    coarse_offsets,
    prior_field,
    reduce_pair,
)
from glaciertoolkit.tracking.track import track

PIXEL = 10.0
REACH = 150
SIZE, MARGIN = 768, 176


def moved_pair(displacement: tuple[Any, Any], *, noise: float = 0.03, seed: int = 3) -> xr.Dataset:
    """reference(p) = secondary(p + displacement(p)), in pixels to the right and down."""
    rng = np.random.default_rng(seed)
    wide = texture((SIZE + 2 * MARGIN,) * 2, seed=seed, width=0.1)
    rows, cols = np.mgrid[MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE].astype(np.float32)
    reference = map_coordinates(wide, [rows + displacement[1], cols + displacement[0]], order=3)
    secondary = wide[MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
    images = {
        k: (("y", "x"), (v + noise * rng.normal(size=v.shape)).astype(np.float32))
        for k, v in {"reference": reference, "secondary": secondary}.items()
    }
    at = np.arange(SIZE)
    return xr.Dataset(images, {"y": 3.2e6 - PIXEL * at, "x": 5e5 + PIXEL * at, **DATES})


def smooth_field() -> tuple[np.ndarray, np.ndarray]:
    """To 150 pixels to the right and 100 up, with strains of .02."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    length = 900.0
    wave = 0.02 * length / (2 * np.pi)
    dx = 146 + wave * np.sin(2 * np.pi * y / length) - 0.01 * (x - SIZE / 2)
    return dx, -95 + wave * np.cos(2 * np.pi * x / length)


@pytest.fixture(scope="module")
def pair() -> xr.Dataset:
    return moved_pair(smooth_field())


def at_posts(template: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of the posts (step 8), the true (dx, dy) there, and which stay inside the image."""
    at = 8 * np.arange((SIZE - template) // 8 + 1) + (template - 1) / 2
    rows, cols = np.meshgrid(at, at, indexing="ij")
    true = np.stack([map_coordinates(v, [rows, cols], order=1) for v in smooth_field()])
    inside = np.ones(rows.shape, bool)
    for centre, moved in ((rows, true[1]), (cols, true[0])):
        inside &= np.abs(centre + moved - (SIZE - 1) / 2) < (SIZE - template) / 2 - 4
    return at, true, inside


def test_the_coarse_field_is_near_enough_for_the_fine_search(pair: xr.Dataset) -> None:
    coarse = coarse_offsets(pair, reach=REACH, track=track)
    at, true, inside = at_posts(32)
    field = prior_field(coarse, y=3.2e6 - PIXEL * at, x=5e5 + PIXEL * at, pixel=(-PIXEL, PIXEL))
    assert field.dtype == np.float32
    assert field.shape == true.shape
    error = np.abs(field - true)[:, inside]
    assert np.median(error) < 1
    assert error.max() < 6
    assert np.isfinite(field).all()
    assert coarse.dx.attrs["units"] == "m"


def test_tracking_finds_what_lies_far_beyond_its_search(pair: xr.Dataset) -> None:
    offsets = track(pair, template=32, search=16, step=8, max_displacement=REACH)
    _, true, inside = at_posts(32)
    error = np.stack([offsets.dx / PIXEL, -offsets.dy / PIXEL]) - true
    good = (np.abs(error) < 0.1).all(axis=0)
    assert good[inside].mean() > 0.99
    near = track(pair, template=32, search=16, step=8)
    assert np.isfinite(near.dx.values).mean() < 0.05


def test_lazy_is_not_computed_early_and_has_the_same_bits(pair: xr.Dataset) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("computed while the graph was built")

    lazy = pair.chunk({"y": (300, 1, 467), "x": 200})
    at, _, _ = at_posts(32)
    y, x = 3.2e6 - PIXEL * at, 5e5 + PIXEL * at
    with dask.config.set(scheduler=refuse):
        coarse = coarse_offsets(lazy, reach=REACH, track=track)
        field = prior_field(coarse, y=y, x=x, pixel=(-PIXEL, PIXEL))
    assert field.numblocks == (1, 1, 1)
    want = coarse_offsets(pair, reach=REACH, track=track)
    xr.testing.assert_identical(coarse.compute(scheduler="threads"), want)
    eager = prior_field(want, y=y, x=x, pixel=(-PIXEL, PIXEL))
    np.testing.assert_array_equal(field.compute(scheduler="synchronous"), eager)


def test_the_coarse_pass_keeps_no_chunk_of_the_images() -> None:
    lazy = image_pair((256, 256)).chunk(64)
    small = reduce_pair(lazy, 4)
    keys = set(lazy.reference.data.dask.keys()) & set(small.reference.data.dask.keys())
    assert not keys
    xr.testing.assert_identical(small.compute(), reduce_pair(image_pair((256, 256)), 4))
    again = reduce_pair(lazy, 4)
    assert again.reference.data.name == small.reference.data.name


def test_reduced_pixels_lie_at_the_middle_of_theirs() -> None:
    small = reduce_pair(image_pair((130, 98), pixel=PIXEL), 4)
    assert small.sizes == {"y": 32, "x": 24}
    assert float(small.x[0]) == 500_000 + 1.5 * PIXEL
    assert float(small.y[1]) == 3_200_000 - 5.5 * PIXEL
    assert "reference_time" in small.coords


@settings(max_examples=40, deadline=None)
@given(
    factor=st.sampled_from([2, 4, 8]), seed=st.integers(0, 99), missing=st.floats(0, 0.9),
    shape=st.tuples(st.integers(8, 40), st.integers(8, 40)),
)  # fmt: skip
def test_block_mean_is_the_mean_of_the_valid_pixels(
    factor: int, seed: int, missing: float, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    ny, nx = (n // factor for n in shape)
    image = rng.normal(1000, 10, (ny * factor, nx * factor))
    lost = rng.random(image.shape) < missing
    image[lost] = rng.choice([np.nan, np.inf, -1e30], lost.sum())
    squares = np.where(lost, np.nan, image).reshape(ny, factor, nx, factor).swapaxes(1, 2)
    squares = squares.reshape(ny, nx, -1)
    known = np.isfinite(squares).sum(axis=-1)
    want = np.nansum(squares, axis=-1) / np.maximum(known, 1)
    want[known < factor * factor / 2] = np.nan
    np.testing.assert_allclose(block_mean(image, factor), want, rtol=1e-5)


def test_block_mean_of_complex_images_is_that_of_their_amplitude() -> None:
    rng = np.random.default_rng(0)
    image = (rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8))).astype(np.complex64)
    np.testing.assert_allclose(block_mean(image, 4), block_mean(abs(image), 4))
    assert block_mean(np.arange(16, dtype=np.uint16).reshape(4, 4), 4) == 7.5


def test_the_factor_grows_with_the_reach() -> None:
    factors = [
        choose_level((4096, 4096), (reach, reach), (32, 32)).factor for reach in (20, 60, 150, 500)
    ]
    assert factors == [2, 4, 4, 8]
    level = choose_level((4096, 2048), (150, 20), (512, 32))
    assert level.template == (128, 64)
    assert level.search == (40, 7)
    with pytest.raises(InputError, match="too small"):
        choose_level((100, 4096), (150, 150), (32, 32))


def noisy_field(share: float) -> tuple[np.ndarray, np.ndarray]:
    """A plane in metres with outliers at random, and the plane itself."""
    rng = np.random.default_rng(5)
    rows, cols = np.mgrid[:15, :57]
    true = 40.0 * np.stack([20 - 0.3 * rows + 0.05 * cols, -10 + 0.4 * rows]).astype(np.float32)
    wrong = rng.random(rows.shape) < share
    field = true + 4 * rng.normal(size=true.shape).astype(np.float32)
    field[:, wrong] = 40 * rng.uniform(-38, 38, (2, wrong.sum()))
    field[:, 4:9, 20:35] = np.nan
    return field, true


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_outliers_go_and_gaps_are_filled(share: float) -> None:
    field, true = noisy_field(share)
    out = _tidy(field, pixel=(-40.0, 40.0), template=(64, 64), step=(32, 8))
    assert np.isfinite(out).all()
    assert np.abs(out - true).max() < 2 * 40
    kept = np.isfinite(field).all(axis=0)
    if not share:
        np.testing.assert_allclose(out[:, kept], field[:, kept], rtol=1e-5)


def test_nothing_found_means_no_prior() -> None:
    empty = np.full((2, 5, 9), np.nan, np.float32)
    assert (_tidy(empty, pixel=(-40, 40), template=(64, 64), step=(32, 8)) == 0).all()
    lone = empty.copy()
    lone[:, 2, 2] = 1000
    assert (_tidy(lone, pixel=(-40, 40), template=(64, 64), step=(32, 8)) == 0).all()


def test_unrelated_images_stay_without_a_match(pair: xr.Dataset) -> None:
    other = moved_pair((0.0, 0.0), seed=9)
    mixed = pair.assign(secondary=other.secondary)
    coarse = coarse_offsets(mixed, reach=REACH, track=track)
    assert np.isfinite(coarse.dx.values).all()
    offsets = track(mixed, template=32, search=16, step=16, max_displacement=REACH)
    assert np.isfinite(offsets.dx.values).mean() < 0.05


def test_gaps_in_the_images_are_bridged(pair: xr.Dataset) -> None:
    holed = pair.copy(deep=True)
    holed.reference[300:420, 250:400] = np.nan
    holed.secondary[:, :60] = np.nan
    coarse = coarse_offsets(holed, reach=REACH, track=track)
    at, true, inside = at_posts(32)
    field = prior_field(coarse, y=3.2e6 - PIXEL * at, x=5e5 + PIXEL * at, pixel=(-PIXEL, PIXEL))
    assert np.abs(field - true)[:, inside].max() < 8


def test_a_persisted_image_can_be_read_again() -> None:
    pair = image_pair((256, 256)).chunk(100).persist(scheduler="threads")
    assert isinstance(pair.reference.data, da.Array)
    small = reduce_pair(pair, 2)
    xr.testing.assert_identical(small.compute(), reduce_pair(pair.compute(), 2))
