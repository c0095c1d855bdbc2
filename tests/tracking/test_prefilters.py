"""Prefilters against plain formulations, and what they make of gaps, borders and constants."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from glaciertoolkit.tracking import prefilters
from glaciertoolkit.tracking.parameters import PREFILTERS, TrackParameters
from glaciertoolkit.tracking.prepare import Prepared, prepare

Filter = Callable[[np.ndarray, np.ndarray], np.ndarray]

PLAIN: dict[str, Filter] = {
    "high_pass": lambda image, valid: prefilters.high_pass(image, valid, 1.5),
    "box": lambda image, valid: prefilters.box_high_pass(image, valid, 7),
    "wallis": lambda image, valid: prefilters.wallis(image, valid, 7),
    "sobel": lambda image, valid: prefilters.sobel(image, valid)[0],
    "logarithm": lambda image, valid: prefilters.logarithm(image, valid)[0],
    "cosine": lambda image, valid: prefilters.orientation(image, valid)[0],
    "sine": lambda image, valid: prefilters.orientation(image, valid)[1],
}
REACH = {"high_pass": 6, "box": 3, "wallis": 3, "sobel": 1, "logarithm": 0, "cosine": 1, "sine": 1}


def texture(shape: tuple[int, int] = (60, 83), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.standard_normal(shape), 1)
    return (50 + 10 * image / image.std()).astype(np.float32)


def whole(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def prepared(image: np.ndarray, prefilter: str, sigma: float = 3.0, width: int = 21) -> Prepared:
    """`prepare`, which reads no other parameters than these."""
    names = {"prefilter": prefilter, "prefilter_sigma": sigma, "prefilter_width": width}
    return prepare(image, cast(TrackParameters, SimpleNamespace(**names)))


def local(image: np.ndarray, width: int) -> np.ndarray:
    """Mean over the part of the neighbourhood that lies inside the array."""
    total = ndimage.uniform_filter(image.astype(float), width, mode="constant")
    return total / ndimage.uniform_filter(np.ones(image.shape), width, mode="constant")


@pytest.mark.parametrize("sigma", [0.5, 1.5, 2.3, 3.0, 30.0])
def test_high_pass_is_a_gaussian_normalised_at_the_borders(sigma: float) -> None:
    image = texture()

    def smooth(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, sigma, mode="constant", radius=int(np.ceil(4 * sigma)))

    expected = image - smooth(image.astype(float)) / smooth(np.ones(image.shape))
    got = prefilters.high_pass(image, whole(image), sigma)
    np.testing.assert_allclose(got, expected, atol=2e-5)
    assert got.dtype == np.float32


@pytest.mark.parametrize("width", [3, 7, 21, 201])
def test_box_is_a_mean_over_what_lies_inside(width: int) -> None:
    image = texture()
    got = prefilters.box_high_pass(image, whole(image), width)
    np.testing.assert_allclose(got, image - local(image, width), atol=1e-5)


@pytest.mark.parametrize("width", [5, 21])
def test_wallis_levels_mean_and_contrast(width: int) -> None:
    image = 50 + (texture((120, 130)) - 50) * np.linspace(1, 5, 130, dtype=np.float32)
    mean = local(image, width)
    spread = np.sqrt(local((image - mean.mean()) ** 2.0, width) - (mean - mean.mean()) ** 2)
    expected = (image - mean) / np.hypot(spread, prefilters.WALLIS_FLOOR * np.median(spread))
    got = prefilters.wallis(image, whole(image), width)
    # the typical contrast is the median of a sample
    np.testing.assert_allclose(got, expected, rtol=0.01, atol=0.002)
    left, right = got[:, :40].std(), got[:, -40:].std()
    assert 0.9 < left / right < 1.1
    assert 0.8 < got.std() < 1.05


def test_wallis_leaves_flat_ground_flat() -> None:
    image = texture((100, 160))
    image[:, 80:] = 50 + 0.001 * (image[:, 80:] - 50)
    got = prefilters.wallis(image, whole(image), 11)
    assert got[:, :70].std() > 0.8
    assert got[:, 90:].std() < 0.02
    # without a floor it would be as rough as the rest
    mean = local(image, 11)
    spread = np.sqrt(local((image - mean) ** 2.0, 11))
    assert ((image - mean) / spread)[:, 90:].std() > 0.8


def test_sobel_is_the_length_of_the_gradient() -> None:
    image = texture()
    gradient = [ndimage.sobel(image.astype(float), axis) / 8 for axis in (0, 1)]
    got, valid = prefilters.sobel(image, whole(image))
    inner = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(got[inner], np.hypot(*gradient)[inner], atol=1e-5)
    assert valid[inner].all()
    assert valid.sum() == valid[inner].size
    ramp = 3 * np.arange(10.0) * np.ones((10, 1))
    np.testing.assert_allclose(prefilters.sobel(ramp, whole(ramp))[0][inner], 3)


def test_orientation_is_the_direction_of_the_gradient() -> None:
    image = texture()
    gy, gx = np.gradient(image.astype(float))
    cosine, sine, valid = prefilters.orientation(image, whole(image))
    inner = (slice(1, -1), slice(1, -1))
    # where the gradient is not lost in rounding
    steep = np.hypot(gx, gy)[inner] > 0.01
    np.testing.assert_allclose(
        cosine[inner][steep], (gx / np.hypot(gx, gy))[inner][steep], atol=2e-3
    )
    np.testing.assert_allclose(sine[inner][steep], (gy / np.hypot(gx, gy))[inner][steep], atol=2e-3)
    assert valid[inner].all()
    assert valid.sum() == valid[inner].size


def test_orientation_of_flat_ground_is_none() -> None:
    image = texture()
    image[20:40, 20:40] = 7
    cosine, sine, valid = prefilters.orientation(image, whole(image))
    patch = (slice(21, 39), slice(21, 39))
    assert not cosine[patch].any()
    assert not sine[patch].any()
    assert valid[patch].all()
    np.testing.assert_allclose(np.hypot(cosine, sine)[1:20, 1:-1], 1, atol=1e-6)
    weak = prefilters.orientation(image, whole(image), flat=1e3)
    assert not weak[0].any()


def test_logarithm_knows_no_zero() -> None:
    image = texture()
    image[3, 4], image[5, 6] = 0, -1
    got, valid = prefilters.logarithm(image, whole(image))
    assert np.argwhere(~valid).tolist() == [[3, 4], [5, 6]]
    assert not got[~valid].any()
    np.testing.assert_allclose(got[valid], np.log(image[valid]), rtol=1e-6)


@pytest.mark.parametrize("name", PLAIN)
def test_missing_pixels_and_borders_carry_no_weight(name: str) -> None:
    image = texture()
    valid = np.random.default_rng(1).random(image.shape) > 0.2
    valid[:9, :11] = False
    expected = PLAIN[name](np.where(valid, image, np.nan), valid)
    for fill in (0.0, 1e9, -np.inf):
        got = PLAIN[name](np.where(valid, image, np.float32(fill)), valid)
        np.testing.assert_array_equal(got, expected)
    assert np.isfinite(expected).all()
    assert not expected[~valid].any()
    # An array's border is no different from missing pixels around it.
    around = np.pad(np.where(valid, image, np.nan), 13, constant_values=np.nan)
    inside = np.pad(valid, 13)
    inner = (slice(13, -13), slice(13, -13))
    if name == "wallis":  # its floor is a statistic of the window
        np.testing.assert_allclose(
            PLAIN[name](around, inside)[inner], expected, rtol=0.02, atol=1e-3
        )
    else:
        np.testing.assert_allclose(PLAIN[name](around, inside)[inner], expected, atol=3e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_a_missing_pixel_reaches_no_further_than_the_filter(name: str) -> None:
    image = texture()
    valid = whole(image)
    valid[30, 40] = False
    changed = PLAIN[name](image, valid) != PLAIN[name](image, whole(image))
    if name in ("high_pass", "wallis"):  # another way of rounding; another floor
        difference = abs(PLAIN[name](image, valid) - PLAIN[name](image, whole(image)))
        changed = difference > 0.01 * difference.max()
    y, x = np.nonzero(changed)
    assert y.size
    assert max(abs(y - 30).max(), abs(x - 40).max()) <= REACH[name]


def test_local_mean_over_valid_pixels_only() -> None:
    image = texture((12, 15))
    valid = np.random.default_rng(2).random(image.shape) > 0.5
    box = prefilters.box_high_pass(image, valid, 5)
    gauss = prefilters.high_pass(image, valid, 1.0)
    for y, x in np.argwhere(valid):
        dy, dx = np.ogrid[-y : 12 - y, -x : 15 - x]
        near = valid & (abs(dy) <= 2) & (abs(dx) <= 2)
        assert box[y, x] == pytest.approx(image[y, x] - image[near].mean(dtype=float), abs=2e-5)
        g = np.exp(-0.5 * (dy**2 + dx**2)) * valid * (abs(dy) <= 4) * (abs(dx) <= 4)
        assert gauss[y, x] == pytest.approx(image[y, x] - (image * g).sum() / g.sum(), abs=5e-5)


@given(gain=st.floats(0.01, 100), offset=st.floats(-500, 500))
@settings(max_examples=15, deadline=None)
def test_gain_and_offset(gain: float, offset: float) -> None:
    image = texture().astype(float)
    changed = gain * image + offset
    # what float32 leaves of the larger numbers
    rounding = 4e-7 * (abs(changed).max() / gain + 80)
    for name in ("high_pass", "box"):
        before, after = (PLAIN[name](x, whole(image)) for x in (image, changed))
        np.testing.assert_allclose(after / gain, before, atol=rounding)
    before, after = (PLAIN["wallis"](x, whole(image)) for x in (image, changed))
    np.testing.assert_allclose(after, before, atol=0.01 + rounding)
    gradient = np.hypot(*np.gradient(image))
    for name in ("cosine", "sine"):
        before, after = (PLAIN[name](x, whole(image)) for x in (image, changed))
        assert (abs(after - before) * gradient)[1:-1, 1:-1].max() < 4 * rounding
    before, after = (PLAIN["cosine"](x, whole(image)) for x in (image, -image))
    np.testing.assert_array_equal(after, -before)


@pytest.mark.parametrize("prefilter", PREFILTERS)
@pytest.mark.parametrize("offset", [0.0, 1e6, -3e4])
def test_a_constant_stays_constant_and_texture_texture(prefilter: str, offset: float) -> None:
    if prefilter == "log" and offset < 0:
        offset = 0.0
    image = texture((130, 150))
    image = np.float32(offset) + (image if prefilter != "log" else image**2)
    for value in (offset + 30.0, float(image.max())):
        spoilt = image.copy()
        spoilt[50:110, 60:130] = value
        out = prepared(spoilt, prefilter, sigma=2.0, width=11)
        # the patch less what the filters reach
        assert out.image[58:102, 68:122].std() < 0.2 * out.floor
        spreads = [
            out.image[y : y + 24, x : x + 24].std() for y in (2, 22) for x in range(2, 120, 20)
        ]
        assert min(spreads) > 3 * out.floor
    constant = prepared(np.full((40, 40), offset + 0.1, np.float32), prefilter, width=11)
    assert constant.image.std() < 0.2 * constant.floor


@pytest.mark.parametrize("prefilter", PREFILTERS)
def test_prepared_whatever_the_unit(prefilter: str) -> None:
    image = texture()
    image[10:15, 20:30] = np.nan
    image[40, 50], image[41, 50], image[42, 50] = np.inf, -np.inf, 3e38
    before = image.copy()
    out = prepared(image, prefilter, width=11)
    np.testing.assert_array_equal(image, before)
    assert out.image.dtype == np.float32
    assert not out.valid[10:15, 20:30].any()
    assert not out.valid[40:43, 50].any()
    assert not out.image[~out.valid].any()
    assert 0.1 < out.image[out.valid].std() < 1.5
    # smoothing is not unbiased next to gaps and borders
    assert abs(out.image[out.valid].mean()) < 0.05
    assert 0 < out.floor < 1e-3
    if prefilter != "log":
        image[~np.isfinite(image) | (image > 1e18)] = np.nan
        for power in (-100, 3, 40):
            scaled = prepared(image * np.float32(2.0**power), prefilter, width=11)
            np.testing.assert_array_equal(scaled.image, out.image)


@pytest.mark.parametrize("prefilter", PREFILTERS)
def test_same_bits_from_any_layout_and_from_nothing(prefilter: str) -> None:
    image = texture()
    expected = prepared(image, prefilter)
    spread = np.zeros((120, 166), np.float32)
    spread[::2, ::2] = image
    fixed = image.copy()
    fixed.flags.writeable = False
    for same in (np.asfortranarray(image), spread[::2, ::2], fixed, image.astype(">f4"), image):
        out = prepared(same, prefilter)
        assert out.image.tobytes() == expected.image.tobytes()
        assert out.floor == expected.floor
    empty = prepared(np.full((30, 40), np.nan), prefilter)
    assert not empty.valid.any()
    assert not empty.image.any()
    tiny = prepared(texture() * np.float32(1e-44), prefilter)
    assert np.isfinite(tiny.image).all()


def test_log_takes_a_gain_for_nothing() -> None:
    image = np.exp(texture() / 10)
    shade = np.where(np.arange(83) < 40, 1, 30).astype(np.float32)
    plain, shaded = prepared(image, "log", sigma=1.0), prepared(image * shade, "log", sigma=1.0)
    # up to the common power of two
    ratio = plain.image[:, 60:].std() / shaded.image[:, 60:].std()
    assert np.log2(ratio) == pytest.approx(round(np.log2(ratio)), abs=1e-3)
    np.testing.assert_allclose(shaded.image[:, 60:] * ratio, plain.image[:, 60:], atol=1e-3)


@pytest.mark.parametrize("name", ["high_pass", "box", "sobel", "cosine"])
def test_where_a_window_begins_does_not_matter(name: str) -> None:
    image = texture((90, 140))
    expected = PLAIN[name](image, whole(image))
    part = (slice(17, 81), slice(23, 121))
    got = PLAIN[name](image[part], whole(image[part]))
    inner = (slice(8, -8), slice(8, -8))
    if name == "box":  # running sums
        np.testing.assert_allclose(got[inner], expected[part][inner], atol=4e-6)
    else:
        np.testing.assert_array_equal(got[inner], expected[part][inner])
