"""The stated error of a right match does not know of a wrong one beside it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scenes import flowing_pair, image_pair
from scipy.ndimage import correlate1d

from glaciertoolkit.robust import nmad
from glaciertoolkit.tracking.kernels import moments
from glaciertoolkit.tracking.quality import _alike, refuted
from glaciertoolkit.tracking.track import track

OPTIONS = {"template": 32, "search": 16, "step": 8}


def with_wrong_patches(pair: xr.Dataset, seed: int = 0) -> tuple[xr.Dataset, np.ndarray]:
    """The secondary with patches whose content comes from 8 pixels beside, and where they are."""
    rng = np.random.default_rng(seed)
    image = pair.secondary.values
    spoiled, wrong = image.copy(), np.zeros(image.shape, bool)
    for y, x in rng.integers(20, np.array(image.shape) - 80, (6, 2)):
        spoiled[y : y + 40, x : x + 40] = image[y : y + 40, x + 8 : x + 48]
        wrong[y : y + 40, x : x + 40] = True
    return pair.assign(secondary=(("y", "x"), spoiled)), wrong


def share_wrong(offsets: xr.Dataset, wrong: np.ndarray) -> np.ndarray:
    """Share of each template that such a patch has spoiled."""
    rows, cols = (np.arange(offsets.sizes[k]) * 8 for k in ("y", "x"))
    return np.array([[wrong[r : r + 32, c : c + 32].mean() for c in cols] for r in rows])


@pytest.fixture(scope="module")
def beside() -> tuple[xr.Dataset, xr.Dataset, np.ndarray]:
    pair = image_pair((512, 512), (0.3, -0.4), noise=0.05)
    clean = track(pair, **OPTIONS)
    spoiled, wrong = with_wrong_patches(pair)
    offsets = track(spoiled, **OPTIONS)
    return clean, offsets, share_wrong(offsets, wrong)


def test_right_matches_keep_their_error(
    beside: tuple[xr.Dataset, xr.Dataset, np.ndarray],
) -> None:
    clean, offsets, share = beside
    untouched = (share == 0) & np.isfinite(offsets.dx.values)
    assert untouched.sum() > 1000
    ratio = (offsets.dx_error / clean.dx_error).values[untouched]
    # where neighbours are believed whatever they say, the median is 2.9 and this 97
    assert np.percentile(ratio, 95) < 3
    assert np.median(ratio) == pytest.approx(1, abs=0.15)


def test_what_is_stated_is_what_is_made(
    beside: tuple[xr.Dataset, xr.Dataset, np.ndarray],
) -> None:
    _, offsets, share = beside
    for name, truth in (("dx", -4.0), ("dy", -3.0)):
        z = ((offsets[name] - truth) / offsets[f"{name}_error"]).values[share == 0]
        assert 0.7 < nmad(z) < 1.3


def test_true_shear_is_believed() -> None:
    pair, _ = flowing_pair((320, 320), gradient=0.02)
    still, _ = flowing_pair((320, 320), gradient=0.0)
    sheared, plain = track(pair, **OPTIONS), track(still, **OPTIONS)
    assert float(sheared.dx_error.median()) > 3 * float(plain.dx_error.median())


def test_smear_is_zero_where_the_flow_is_straight_and_part_of_the_error_where_it_bends() -> None:
    pair = image_pair((320, 320), noise=0.02)
    assert float(np.abs(track(pair, **OPTIONS).dx_smear).median()) < 0.05
    # two ways of bending the same field: the second image is resampled along a parabola
    rows = np.arange(320.0)
    bend = 3 * ((rows - 160) / 160) ** 2
    spectrum = np.fft.fft(pair.reference.values, axis=1)
    phase = np.exp(-2j * np.pi * np.fft.fftfreq(320)[None, :] * bend[:, None])
    bent = np.fft.ifft(spectrum * phase, axis=1).real.astype(np.float32)
    offsets = track(pair.assign(secondary=(("y", "x"), bent)), **OPTIONS)
    # T^2 / 24 times the second derivative, in metres of 10 a pixel
    wanted = 32**2 / 24 * (6 / 160**2) * 10
    assert float(offsets.dx_smear.median()) == pytest.approx(wanted, rel=0.1)
    assert float(np.abs(offsets.dy_smear).median()) < 0.05
    assert bool((offsets.dx_error >= 0.9 * wanted).mean() > 0.9)
    assert offsets.dx_smear.attrs["units"] == "m"


def test_pieces_that_share_nothing_are_left_out() -> None:
    rng = np.random.default_rng(0)
    here = rng.normal(size=(20, 32, 32)).astype(np.float32)
    there = here + 0.1 * rng.normal(size=here.shape).astype(np.float32)
    there[3], there[11] = rng.normal(size=(2, 32, 32))
    found = _alike(here, there)
    assert np.flatnonzero(~found).tolist() == [3, 11]
    # where all share little, all count
    noise = rng.normal(size=here.shape).astype(np.float32)
    assert _alike(here, 0.5 * here + noise).all()


def test_without_a_match_nothing_is_refuted() -> None:
    zero = np.zeros((4, 4), np.float32)
    none = refuted(
        np.ones((3, 4, 4)), (np.zeros((2, 4, 4)), np.zeros((2, 4, 4))), (zero, zero),
        zero + 1, (32, 32), zero, np.zeros((4, 4), bool),
    )  # fmt: skip
    assert not none.any()


def test_what_texture_makes_of_a_straight_shear_is_no_curvature() -> None:
    """Second differences of the matches alone would give two fifths of their error."""
    pair, truth = flowing_pair((320, 320), gradient=0.03)
    offsets = track(pair, **OPTIONS)
    at = truth.interp(y=offsets.y, x=offsets.x)
    inside = {"y": slice(4, -4), "x": slice(4, -4)}
    for name in ("dx", "dy"):
        error = float(np.sqrt(((offsets[name] - at[name]).isel(inside) ** 2).mean()))
        smear = float(np.sqrt((offsets[f"{name}_smear"].isel(inside) ** 2).mean()))
        assert smear < 0.2 * error


def test_gradient_moments_are_the_sums_over_every_pixel() -> None:
    image = np.random.default_rng(0).normal(size=(40, 52)).astype(np.float32)
    valid = np.ones(image.shape, bool)
    edges_y, edges_x = np.array([4, 12, 21, 36]), np.array([5, 13, 30, 48])
    found = moments.gradient_moments(image, valid, edges_y, edges_x)
    weights = np.array([-1 / 60, 0.15, -0.75, 0, 0.75, -0.15, 1 / 60])
    gy, gx = (correlate1d(image.astype(float), weights, axis=k) for k in (0, 1))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    products = [gx * gx, gx * gy, gy * gy]
    wanted = [f * p for f in (1.0, x, y) for p in products]
    for k, values in enumerate(wanted):
        for i in range(3):
            for j in range(3):
                cell = values[edges_y[i] : edges_y[i + 1], edges_x[j] : edges_x[j + 1]]
                assert found[k, i, j] == pytest.approx(cell.sum(), rel=2e-4, abs=1e-2)
