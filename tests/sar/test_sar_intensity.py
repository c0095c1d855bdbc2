"""The brightness simulated from a DEM, and the shift of an image that it reveals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from geometries import CASES, radar_geometry
from scipy.ndimage import gaussian_filter

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.sar import shift
from glaciertoolkit.sar.baselines import incidence
from glaciertoolkit.sar.geocoding import DemGrid
from glaciertoolkit.sar.intensity import (
    default_looks,
    estimate_bias,
    estimate_geolocation_bias,
    multilook,
    simulate_intensity,
)
from glaciertoolkit.sar.masks import layover_shadow

LON, LAT = 86.9, 28.0
SECOND = 1 / 3600
"""A 30 m DEM."""


def relief(amplitude, *, seed=0, size=400):
    """Hills on two scales, metres of standard deviation."""
    rng = np.random.default_rng(seed)
    z = gaussian_filter(rng.normal(size=(size, size)), 8)
    z += 3 * gaussian_filter(rng.normal(size=(size, size)), 24)
    west, north = LON - size / 2 * SECOND, LAT + size / 2 * SECOND
    return DemGrid(
        (4500 + amplitude * z / z.std()).astype(np.float32), west, SECOND, north, -SECOND
    )


def scene(**kwargs):
    return radar_geometry(**{"lines": 2400, "samples": 1800, **kwargs})


def speckled(geometry, dem, bias, *, seed=0):
    """A complex image that lies `bias` later and farther than `geometry` says."""
    rng = np.random.default_rng(seed)
    power = simulate_intensity(replace(geometry, bias=bias), dem, looks=(1, 1))
    power = np.nan_to_num(power) + 0.02
    noise = rng.normal(size=(2, *power.shape)).astype(np.float32) * np.sqrt(power / 2)
    return (noise[0] + 1j * noise[1]).astype(np.complex64)


@pytest.fixture(scope="module")
def mountains():
    return relief(200.0)


@pytest.fixture(scope="module")
def image(mountains):
    return speckled(scene(), mountains, (7.3, -11.6))


# --- the shift ----------------------------------------------------------------------------------


def test_a_known_bias_is_found_on_a_rougher_dem(mountains, image):
    """To half a pixel of the full image, with 2 m of noise in the heights that are matched."""
    noise = np.random.default_rng(9).normal(0, 2, mountains.height.shape).astype(np.float32)
    dem = replace(mountains, height=mountains.height + noise)
    bias = estimate_geolocation_bias(image, scene(), dem)
    assert bias.accepted
    assert bias.quality > 15
    assert bias.line == pytest.approx(7.3, abs=0.5)
    assert bias.sample == pytest.approx(-11.6, abs=0.5)


@pytest.mark.parametrize(("direction", "look"), CASES)
def test_the_bias_adds_to_that_of_the_geometry(direction, look, mountains):
    true = (52.4, -83.1)
    geometry = scene(direction=direction, look=look, lines=1800, samples=1500)
    picture = speckled(geometry, mountains, true, seed=3)
    known = replace(geometry, bias=(20.0, 10.0))
    bias = estimate_geolocation_bias(picture, known, mountains, search_metres=400.0)
    assert bias.accepted
    assert bias.applied_to(known).bias == pytest.approx(true, abs=0.3)


def test_peaks_are_drawn_neither_to_whole_pixels_nor_to_no_shift():
    """Smooth, noiseless fields, shifted by fractions of a pixel by the Fourier theorem."""
    rng = np.random.default_rng(1)
    field = gaussian_filter(rng.normal(size=(300, 260)), 2.0, mode="wrap")
    turn = np.fft.fftfreq(300)[:, None], np.fft.fftfreq(260)[None, :]
    for dy, dx in ((5.25, -7.5), (-3.4, 0.2), (11.1, 12.7)):
        ramp = np.exp(-2j * np.pi * (turn[0] * dy + turn[1] * dx))
        moved = np.fft.ifft2(np.fft.fft2(field) * ramp).real
        images = (np.exp(20 * v[30:-30, 30:-30]) for v in (moved, field))
        bias = estimate_bias(*images, looks=(1, 1), search=(20, 20))
        assert bias.accepted
        assert (bias.line, bias.sample) == pytest.approx((dy, dx), abs=0.03)


def test_noise_and_level_ground_are_refused(mountains, image):
    rng = np.random.default_rng(4)
    geometry = scene()
    noise = (rng.normal(size=image.shape) + 1j * rng.normal(size=image.shape)).astype(np.complex64)
    for picture, dem in (
        (noise, mountains),
        (image, relief(200.0, seed=50)),
        (image, relief(0.0)),
        (noise, relief(0.0)),
        (np.full(image.shape, np.nan, np.float32), mountains),
    ):
        bias = estimate_geolocation_bias(picture, geometry, dem)
        assert not bias.accepted
        assert bias.applied_to(geometry) is geometry
        assert bias.quality < 6


def test_texture_of_the_land_is_told_from_relief(mountains, image):
    """Patches of other land, 7 dB brighter or darker, lie on the relief: it is still found."""
    patches = gaussian_filter(np.random.default_rng(5).normal(size=image.shape), 25)
    textured = image * np.exp(0.8 * patches / patches.std()).astype(np.float32)
    bias = estimate_geolocation_bias(textured, scene(), mountains)
    assert bias.accepted
    assert (bias.line, bias.sample) == pytest.approx((7.3, -11.6), abs=0.8)


def test_a_bias_beyond_the_search_is_refused(mountains, image):
    bias = estimate_geolocation_bias(image, scene(), mountains, search_metres=15.0)
    assert not bias.accepted


def test_missing_pixels_do_not_shift_the_peak(mountains, image):
    holed = image.copy()
    holed[:, 1300:] = np.nan
    holed[300:700, 200:600] = np.nan
    bias = estimate_geolocation_bias(holed, scene(), mountains)
    assert bias.accepted
    assert (bias.line, bias.sample) == pytest.approx((7.3, -11.6), abs=0.5)


def test_a_lazy_image_gives_the_same_bias(mountains, image):
    import dask.array as da

    geometry = scene()
    lazy = xr.DataArray(
        da.from_array(image, chunks=(517, 700)), dims=("y", "x"),
        coords={"y": geometry.y, "x": geometry.x},
    )  # fmt: skip
    assert estimate_geolocation_bias(lazy, geometry, mountains) == estimate_geolocation_bias(
        image, geometry, mountains
    )


def test_mistakes_have_one_clear_sentence(mountains, image):
    geometry = scene()
    with pytest.raises(InputError, match="give the whole image"):
        estimate_geolocation_bias(image[:-1], geometry, mountains)
    with pytest.raises(ParameterError, match="search_metres must be positive"):
        estimate_geolocation_bias(image, geometry, mountains, search_metres=0.0)
    with pytest.raises(InputError, match="too small for a search"):
        estimate_bias(np.ones((40, 40)), np.ones((40, 40)), looks=(1, 1), search=(9, 9))
    with pytest.raises(InputError, match="same looks"):
        estimate_bias(np.ones((40, 40)), np.ones((40, 41)), looks=(1, 1), search=(9, 9))
    with pytest.raises(ParameterError, match="looks must be"):
        simulate_intensity(geometry, mountains, looks=(0, 1))
    with pytest.raises(ParameterError, match="looks must be"):
        multilook(image, looks=(4000, 1))


# --- the simulation -----------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [25.0, 45.0])
def test_level_ground_has_the_brightness_of_its_incidence(angle):
    """Area of a pixel on the ground 1/sin(incidence) of that in slant range, times the law."""
    geometry = scene(incidence=angle, lines=900, samples=700)
    level = simulate_intensity(geometry, relief(0.0), looks=(6, 6))
    i = np.radians(incidence(geometry, LON, LAT, 4500.0))
    law = np.cos(i) / (np.sin(i) + 0.1 * np.cos(i)) ** 3
    at45 = np.sqrt(0.5) / (1.1 * np.sqrt(0.5)) ** 3
    # Abeam, the lines lie a percent closer than below the satellite, where their spacing is given.
    assert np.mean(level) == pytest.approx(law / at45 / np.sin(i), rel=0.02)
    assert level.std() / level.mean() < 0.12
    assert level.dtype == np.float32


def test_the_side_towards_the_radar_is_bright_and_shadow_dark():
    """A ridge from north to south, seen from the east (descending, right)."""
    geometry = scene(incidence=45.0)
    size = 400
    x = (np.arange(size) - size / 2) * SECOND * 98_416.0
    row = 4500 + 500 * np.clip(1 - np.abs(x) / 350, 0, None)
    dem = replace(relief(0.0), height=np.broadcast_to(row, (size, size)).astype(np.float32))
    found = simulate_intensity(geometry, dem, looks=(6, 4))
    middle = found[found.shape[0] // 2]
    typical = np.median(found)
    dark, bright = np.flatnonzero(middle < 0.05 * typical), np.flatnonzero(middle > 4 * typical)
    assert dark.size > 10
    assert bright.size > 2
    assert bright.max() < dark.min() + 2
    # Where nothing is lit is the shadow that the masks know of.
    samples = 4 * np.arange(found.shape[1]) + 1.5
    lines = 6 * (found.shape[0] // 2) + 2.5
    masks = layover_shadow(geometry, dem).in_image(lines, samples)
    assert (masks.shadow == (middle < 0.01 * typical)).mean() > 0.98


def test_beyond_the_dem_is_missing(mountains):
    height = mountains.height.copy()
    height[:, :200] = np.nan
    found = simulate_intensity(scene(), replace(mountains, height=height), looks=(6, 4))
    # Seen from the east, the western half is the far one.
    assert np.isnan(found[:, -50:]).all()
    assert np.isfinite(found[:, 20:150]).all()


def test_looks_follow_the_dem(mountains):
    along, across = default_looks(scene(incidence=35.0), mountains)
    geometry = scene(incidence=35.0)
    assert 10 < along * geometry.azimuth_spacing < 20
    assert 10 < across * geometry.range_spacing / np.sin(np.radians(35)) < 20


# --- multilooking -------------------------------------------------------------------------------


def test_multilook_is_the_mean_power_of_what_is_there():
    rng = np.random.default_rng(2)
    z = (rng.normal(size=(23, 31)) + 1j * rng.normal(size=(23, 31))).astype(np.complex64)
    z[3, 4] = np.nan
    z[8:12, 6:9] = np.nan
    found = multilook(z, looks=(4, 3))
    power = np.abs(z[:20, :30]) ** 2
    blocks = power.reshape(5, 4, 10, 3).transpose(0, 2, 1, 3).reshape(5, 10, 12)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=-1)
    expected = np.where(valid, blocks, 0).sum(axis=-1) / np.where(count, count, np.nan)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isnan(found[2, 2])


@pytest.mark.parametrize("chunks", [(5, 7), (23, 31), ((1, 2, 20), (30, 1))])
def test_lazy_multilook_has_the_same_bits_and_coordinates(chunks):
    import dask
    import dask.array as da

    def compute(*_args, **_kwargs):
        raise AssertionError("computed early")

    amplitude = np.random.default_rng(2).normal(size=(23, 31)).astype(np.float32)
    coords = {"y": 2.0 * np.arange(23), "x": 100 + 5.0 * np.arange(31)}
    lazy = xr.DataArray(da.from_array(amplitude, chunks=chunks), dims=("y", "x"), coords=coords)
    with dask.config.set(scheduler=compute):
        found = multilook(lazy, looks=(4, 3))
    assert found.chunks is not None
    eager = multilook(lazy.compute(), looks=(4, 3))
    np.testing.assert_array_equal(found.values, eager.values)
    np.testing.assert_array_equal(eager.values, multilook(amplitude, looks=(4, 3)))
    assert found.y.values[:2] == pytest.approx([3.0, 11.0])
    assert found.x.values[:2] == pytest.approx([105.0, 120.0])


def test_contrast_of_nothing_is_nothing():
    assert not shift.contrast(np.full((5, 5), np.nan)).any()
    assert not shift.contrast(np.zeros((5, 5))).any()
