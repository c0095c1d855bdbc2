"""Speckle filters: what they smooth, what they keep, and that blocks leave no trace."""

from __future__ import annotations

import warnings

import dask
import numpy as np
import pytest
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, GridError, ParameterError
from glaciertoolkit.sar.speckle import filter_speckle, smoothing
from glaciertoolkit.sar.speckle_kernels import LOG_2, unlikeness

SMALL = {"search": 9, "patch": 5}
"""A cheaper PPB filter, for what does not depend on its size."""


def no_computation(*_: object, **__: object) -> None:
    raise AssertionError("something was computed early")


def speckled(
    reflectivity: np.ndarray, *, looks: int = 1, seed: int = 0, dtype: type = np.float32
) -> xr.DataArray:
    """Amplitude of fully developed speckle over an intensity."""
    rng = np.random.default_rng(seed)
    intensity = reflectivity * rng.gamma(looks, 1 / looks, reflectivity.shape)
    return xr.DataArray(np.sqrt(intensity).astype(dtype), dims=("y", "x"))


def filtered(image: xr.DataArray, **options: object) -> xr.DataArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlacierToolkitWarning)
        return filter_speckle(image, **options)


def equivalent_looks(amplitude: xr.DataArray) -> float:
    intensity = amplitude.values[20:-20, 20:-20].astype(float) ** 2
    return float(intensity.mean() ** 2 / intensity.var())


def mean_intensity(amplitude: xr.DataArray) -> float:
    return float((amplitude.astype(float) ** 2).mean())


STEP = np.where(np.arange(128) < 64, 1.0, 9.0) * np.ones((128, 1))


@pytest.mark.parametrize("looks", [1, 4])
@pytest.mark.parametrize(("method", "gain"), [("lee", 20), ("ppb", 20)])
def test_smooths_homogeneous_ground_and_keeps_its_mean(
    method: str, gain: float, looks: int
) -> None:
    image = speckled(np.full((128, 128), 5.0), looks=looks)
    out = filtered(image, method=method, looks=looks)
    assert equivalent_looks(image) == pytest.approx(looks, rel=0.1)
    assert equivalent_looks(out) > gain * looks
    assert mean_intensity(out) == pytest.approx(mean_intensity(image), rel=0.01)


@pytest.mark.parametrize(
    ("options", "blur"),
    [
        ({"method": "lee"}, 0.3),
        ({"method": "ppb"}, 0.25),
        ({"method": "ppb", "iterations": 1}, 0.1),
    ],
)
def test_keeps_an_edge(options: dict[str, object], blur: float) -> None:
    profile = (filtered(speckled(STEP), **options).astype(float) ** 2).mean("y").values
    plain = np.convolve(STEP[0], np.ones(21) / 21, "same")
    # What spills over to the dark side, beside what a plain mean spills.
    spilt = (profile[50:64] - 1).sum() / (plain[50:64] - 1).sum()
    assert spilt < blur
    assert profile[45] == pytest.approx(1.0, rel=0.1)
    assert profile[75] == pytest.approx(9.0, rel=0.1)


def test_lee_against_its_formula() -> None:
    image = speckled(STEP[:40, 50:90])
    out = filtered(image, window=5, looks=2.0).values
    for i, j in ((20, 20), (0, 0), (39, 12), (3, 15)):
        inside = image.values[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3].astype(float) ** 2
        mean, spread = inside.mean(), inside.var(ddof=1)
        k = max(0.0, spread - mean**2 / 2) / (1.5 * spread)
        expected = mean + k * (float(image[i, j]) ** 2 - mean)
        assert out[i, j] ** 2 == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("iterations", [0, 1])
def test_ppb_against_its_formula(iterations: int) -> None:
    image = speckled(STEP[:24, 52:76], seed=3)
    out = filtered(image, method="ppb", looks=2.0, iterations=iterations, **SMALL).values
    a, h = image.values.astype(float), smoothing(2.0, 5, 0.92)
    before = a**2 if iterations == 0 else filtered(image, method="ppb", looks=2.0, **SMALL) ** 2
    before = np.asarray(before, float)
    i, j = 12, 11
    total = weights = 0.0
    for di in range(-4, 5):
        for dj in range(-4, 5):
            here = np.s_[i - 2 : i + 3, j - 2 : j + 3]
            there = np.s_[i + di - 2 : i + di + 3, j + dj - 2 : j + dj + 3]
            unlike = np.log((a[here] / a[there] + a[there] / a[here]) / 2).sum() / h
            if iterations:
                gap = (before[here] - before[there]) ** 2 / (before[here] * before[there])
                unlike += 2.0 / (0.2 * 25) * gap.sum()
            total += np.exp(-unlike) * a[i + di, j + dj] ** 2
            weights += np.exp(-unlike)
    assert out[i, j] ** 2 == pytest.approx(total / weights, rel=1e-5)


@pytest.mark.parametrize("looks", [1, 3])
def test_decay_against_simulation(looks: int) -> None:
    rng = np.random.default_rng(0)
    a, b = np.sqrt(rng.gamma(looks, size=(2, 20_000, 49)))
    sums = np.log((a / b + b / a) / 2).sum(axis=1)
    excess = np.quantile(sums, 0.92) - sums.mean()
    assert smoothing(looks, 7, 0.92) == pytest.approx(excess, rel=0.06)


def test_unlikeness_of_extremes() -> None:
    assert unlikeness(0.0, 0.0) == unlikeness(3.0, 3.0) == 0.0
    assert unlikeness(0.0, 1.0) == unlikeness(1e-9, 1.0) == pytest.approx(np.log(1e6) - LOG_2)
    assert unlikeness(1.0, 2.0) == unlikeness(2.0, 1.0) == pytest.approx(np.log(1.25))


OPTIONS = [
    {"method": "lee"},
    {"method": "lee", "window": 3},
    {"method": "ppb", **SMALL},
    {"method": "ppb", "iterations": 2, **SMALL},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_same_bits_for_all_chunks_and_lazy(options: dict[str, object]) -> None:
    image = speckled(STEP[:70, 30:113])
    image[20:30, 40:48] = np.nan
    whole = filtered(image, **options)
    for chunks in ({"y": 70, "x": 83}, {"y": 33, "x": 20}, {"y": 3, "x": 40}):
        with dask.config.set(scheduler=no_computation):
            lazy = filtered(image.chunk(chunks), **options)
        assert lazy.chunks is not None
        assert lazy.dtype == np.float32
        np.testing.assert_array_equal(lazy.values, whole.values)


def test_image_in_memory_is_filtered_in_blocks() -> None:
    image = speckled(np.ones((600, 530)))
    whole = filtered(image.chunk(y=600, x=530))
    np.testing.assert_array_equal(filtered(image).values, whole.values)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 5)])
def test_small_images(options: dict[str, object], shape: tuple[int, int]) -> None:
    image = speckled(np.ones(shape))
    out = filtered(image, **options)
    assert out.shape == shape
    assert np.isfinite(out).all()
    assert float(out.max()) <= float(image.max()) * (1 + 1e-6)


@pytest.mark.parametrize("options", OPTIONS)
def test_missing_stays_missing_and_spreads_nowhere(options: dict[str, object]) -> None:
    image = speckled(np.full((60, 60), 2.0))
    image[:, :25] = np.nan
    image[40, 40] = np.nan
    out = filtered(image, **options)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(image))
    assert mean_intensity(out) == pytest.approx(mean_intensity(image), rel=0.05)
    other = image.copy()
    other[:, 0] = 1e6
    # What lies beyond the gap, farther than the windows reach, does not matter.
    np.testing.assert_array_equal(filtered(other, **options)[:, 25:], out[:, 25:])


@pytest.mark.parametrize("options", OPTIONS)
def test_complex_input_is_taken_by_its_modulus(options: dict[str, object]) -> None:
    image = speckled(np.ones((40, 40)))
    phase = np.exp(2j * np.pi * np.random.default_rng(1).random((40, 40)))
    signal = (image * phase).astype(np.complex64)
    signal[5, 6] = 0
    out = filtered(signal, **options)
    np.testing.assert_array_equal(filtered(signal.chunk(y=17, x=40), **options), out)
    assert out.dtype == np.float32
    assert np.isnan(out[5, 6])
    image[5, 6] = np.nan
    np.testing.assert_allclose(out, filtered(image, **options), rtol=1e-4)


@pytest.mark.parametrize("options", OPTIONS)
def test_gain_passes_through(options: dict[str, object]) -> None:
    image = speckled(STEP[:40, 40:90])
    scaled = filtered(image * np.float32(1024), **options)
    np.testing.assert_allclose(scaled, filtered(image, **options) * 1024, rtol=1e-6)


def test_constant_and_zero_images() -> None:
    for value in (0.0, 3.0):
        image = xr.DataArray(np.full((20, 20), value, np.float32), dims=("y", "x"))
        for options in OPTIONS:
            np.testing.assert_allclose(filtered(image, **options), value, rtol=1e-6)


def test_ppb_warns_and_lee_does_not() -> None:
    image = speckled(np.ones((12, 12)))
    filter_speckle(image)
    with pytest.warns(GlacierToolkitWarning, match="do not use it before speckle tracking"):
        filter_speckle(image, method="ppb", **SMALL)


def test_coordinates_stay_and_attributes_are_new() -> None:
    image = speckled(np.ones((10, 12))).assign_coords(y=np.arange(10.0), x=np.arange(12.0))
    image.attrs = {"units": "1", "standard_name": "something_else"}
    out = filtered(image.transpose("x", "y"))
    assert out.dims == ("y", "x")
    assert out.attrs == {"units": "1", "long_name": "amplitude, LEE speckle filter"}
    xr.testing.assert_identical(out.coords.to_dataset(), image.coords.to_dataset())
    assert image.attrs["standard_name"] == "something_else"


@pytest.mark.parametrize(
    "options",
    [
        {"method": "frost"},
        {"window": 4},
        {"window": 1},
        {"looks": 0.0},
        {"looks": np.nan},
        {"search": 20},
        {"patch": 6},
        {"quantile": 0.4},
        {"iterations": -1},
        {"iterations": 0.5},
    ],
)
def test_parameters_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=str(next(iter(options)))):
        filter_speckle(speckled(np.ones((9, 9))), **options)


def test_dimensions_that_do_not_fit() -> None:
    with pytest.raises(GridError, match="dimensions"):
        filter_speckle(speckled(np.ones((9, 9))).rename(y="line"))
