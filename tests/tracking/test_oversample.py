"""Oversampling against band-limited fields whose values between the pixels are known exactly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.errors import InputError
from glaciertoolkit.tracking.oversample import HALF_WIDTH, carrier, double, quarter_taps

SHAPE = (84, 104)
INNER = (slice(2 * HALF_WIDTH, -2 * HALF_WIDTH),) * 2


class Field(NamedTuple):
    image: np.ndarray
    fine: np.ndarray


def field(
    bandwidth: float = 0.9,
    centre: tuple[float, float] = (0.0, 0.0),
    shape: tuple[int, int] = SHAPE,
    seed: int = 0,
) -> Field:
    """Periodic complex speckle, at the pixels and, from its Fourier series, a quarter off them."""
    rng = np.random.default_rng(seed)
    spectrum = np.zeros(shape, complex)
    frequencies = []
    keep = np.ones(shape, bool)
    for axis, (n, f0) in enumerate(zip(shape, centre, strict=True)):
        # the alias of each frequency that lies around the centre
        f = np.fft.fftfreq(n)
        f = f - np.round(f - f0)
        keep &= np.expand_dims(abs(f - f0) <= bandwidth / 2, 1 - axis)
        frequencies.append(f)
    spectrum[keep] = (rng.standard_normal((2, keep.sum())) * [[1], [1j]]).sum(0)
    spectrum *= np.sqrt(spectrum.size / (2 * keep.sum())) * np.sqrt(spectrum.size)
    fine = np.empty((2 * shape[0], 2 * shape[1]), complex)
    for y in (0, 1):
        for x in (0, 1):
            turn_y, turn_x = (
                np.exp(2j * np.pi * f * (k / 2 - 0.25))
                for f, k in zip(frequencies, (y, x), strict=True)
            )
            fine[y::2, x::2] = np.fft.ifft2(spectrum * turn_y[:, None] * turn_x)
    return Field(np.fft.ifft2(spectrum).astype(np.complex64), fine)


def error(got: np.ndarray, truth: Field) -> float:
    """Root mean square away from the border, relative to that of the field."""
    difference = abs(got - truth.fine)[INNER]
    return float(np.sqrt((difference**2).mean() / (abs(truth.fine[INNER]) ** 2).mean()))


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.3, 0.0), (-0.12, 0.3), (0.5, -0.45)])
def test_a_band_limited_field_is_reproduced_between_its_pixels(centre: tuple[float, float]) -> None:
    for bandwidth, bound in ((0.6, 0.008), (0.8, 0.007), (0.9, 0.0055), (1 / 1.1, 0.009)):
        truth = field(bandwidth, centre)
        fine, valid = double(truth.image, centre)
        assert fine.dtype == np.complex64
        assert fine.shape == valid.shape == (2 * SHAPE[0], 2 * SHAPE[1])
        assert valid.all()
        assert error(fine, truth) < bound, bandwidth


def test_the_carrier_matters() -> None:
    truth = field(0.9, (0.3, 0.0))
    assert error(double(truth.image)[0], truth) > 0.2
    # and how well it is known does not, much
    assert error(double(truth.image, (0.31, 0.01))[0], truth) < 0.05


@given(fy=st.floats(-0.49, 0.49), fx=st.floats(-0.49, 0.49))
@settings(max_examples=10, deadline=None)
def test_carrier_is_the_centre_of_the_spectrum(fy: float, fx: float) -> None:
    image = field(0.8, (fy, fx)).image
    image[20:30, 40:60] = np.nan
    for got, centre in zip(carrier(image), (fy, fx), strict=True):
        assert abs((got - centre + 0.5) % 1 - 0.5) < 0.03


def test_the_standard_error_of_the_carrier() -> None:
    errors = [carrier(field(0.8, (0.1, -0.2), seed=seed).image) for seed in range(30)]
    n, r = SHAPE[0] * SHAPE[1], np.sinc(0.8)
    expected = np.sqrt((1 - r**2) / (2 * n)) / (2 * np.pi * r)
    spread = np.sqrt(np.mean((np.array(errors) - [0.1, -0.2]) ** 2, axis=0))
    assert (spread < 1.5 * expected).all()
    assert (spread > 0.5 * expected).all()


def test_carrier_of_nothing_is_zero() -> None:
    assert carrier(np.full((8, 9), np.nan, complex)) == (0.0, 0.0)
    assert carrier(np.zeros((8, 9), complex)) == (0.0, 0.0)


@pytest.mark.parametrize("real", [True, False])
def test_samples_lie_a_quarter_before_and_after_each_pixel(real: bool) -> None:
    y, x = np.arange(60.0)[:, None], np.arange(70.0)
    fine_y, fine_x = np.arange(120)[:, None] / 2 - 0.25, np.arange(140) / 2 - 0.25

    def wave(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        if real:
            return np.cos(0.3 * y + 0.5) * np.sin(0.2 * x)
        return np.exp(1j * (0.3 * y + 0.2 * x))

    got, _ = double(wave(y, x))
    assert got.dtype == (np.float32 if real else np.complex64)
    np.testing.assert_allclose(got[INNER], wave(fine_y, fine_x)[INNER], atol=0.01)
    # a quarter of a pixel is many times that
    assert abs(wave(fine_y, fine_x + 0.25) - wave(fine_y, fine_x)).max() > 0.045
    # neither end comes first
    turned, _ = double(wave(y, x)[::-1, ::-1])
    np.testing.assert_allclose(turned[::-1, ::-1], got, atol=1e-6)


def test_the_intensity_is_not_aliased() -> None:
    fine, _ = double(field(0.8, (0.2, -0.1)).image, (0.2, -0.1))

    def share_beyond(intensity: np.ndarray, low: float, high: float) -> float:
        """Power between these frequencies along x, in all but the mean."""
        contrast = (intensity - intensity.mean()) * np.hanning(intensity.shape[1])
        power = (abs(np.fft.fft(contrast, axis=1)) ** 2).sum(0)
        f = abs(np.fft.fftfreq(power.size))
        return float(power[(f >= low) & (f < high)].sum() / power.sum())

    intensity = abs(fine[INNER]) ** 2.0
    # of twice 0.8 cycles a pixel, 0.4 on each side a fine sample, nothing is folded back ...
    assert share_beyond(intensity, 0.42, 0.51) < 1e-4
    # ... though there is much that the pixels themselves could not hold
    assert share_beyond(intensity, 0.25, 0.4) > 0.08


@pytest.mark.parametrize("bad", [np.nan, np.inf, complex(1, np.nan), complex(-np.inf, 0), 1e30])
def test_missing_pixels_are_contained(bad: complex) -> None:
    truth = field(0.9)
    spoilt = truth.image.copy()
    spoilt[40, 50] = bad
    fine, valid = double(spoilt)
    assert np.argwhere(~valid).tolist() == [[y, x] for y in range(79, 83) for x in range(99, 103)]
    assert np.isfinite(fine).all()
    assert not fine[~valid].any()
    clean, _ = double(truth.image)
    y, x = np.nonzero(fine != clean)
    assert abs(y - 80.5).max() < 2 * HALF_WIDTH + 1
    assert abs(x - 100.5).max() < 2 * HALF_WIDTH + 1
    # a zero instead would be the same to all others
    spoilt[40, 50] = 0
    zero, _ = double(spoilt)
    np.testing.assert_array_equal(zero[valid], fine[valid])


def test_gaps_and_borders_of_a_real_image_make_no_steps() -> None:
    rng = np.random.default_rng(0)
    image = 1000 + rng.standard_normal((50, 60)).astype(np.float32)
    image[20:25, 30:] = np.nan
    fine, valid = double(image)
    assert abs(fine[valid] - 1000).max() < 8
    assert not fine[~valid].any()
    assert not valid[39:51, 59:].any()
    assert valid.sum() == valid.size - 12 * 61


def test_where_a_window_begins_does_not_matter() -> None:
    centre = (0.2, -0.3)
    truth = field(0.9, centre)
    whole, _ = double(truth.image, centre)
    part, _ = double(truth.image[11:71, 7:90], centre)
    inside = whole[22:142, 14:180]
    np.testing.assert_allclose(part[INNER], inside[INNER], atol=3e-6)
    still, _ = double(truth.image)
    part, _ = double(truth.image[11:71, 7:90])
    np.testing.assert_array_equal(part[INNER], still[22:142, 14:180][INNER])


def test_the_taps_keep_a_constant_and_what_their_notes_say() -> None:
    taps = quarter_taps().astype(float)
    assert np.count_nonzero(taps) == 24
    f = np.linspace(0, 0.5, 1001)
    response = np.exp(2j * np.pi * np.outer(f, np.arange(-HALF_WIDTH, HALF_WIDTH + 1))) @ taps
    off = abs(response - np.exp(-0.5j * np.pi * f))
    assert off[0] < 1e-6
    for band, bound in ((0.9, 0.0033), (1 / 1.1, 0.0047)):
        assert np.sqrt((off[f <= band / 2] ** 2).mean()) < bound
    assert off[f <= 0.5 / 1.1].max() < 0.045
    assert off[f <= 0.4].max() < 0.006


def test_wrong_input_is_explained() -> None:
    with pytest.raises(InputError, match="leave out the carrier"):
        double(np.ones((4, 4)), (0.1, 0.0))
    with pytest.raises(InputError, match="2-D"):
        double(np.ones(4))
    with pytest.raises(InputError, match="complex"):
        carrier(np.ones((4, 4)))
