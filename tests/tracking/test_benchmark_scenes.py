"""The tracking benchmark judges by truth: that truth, its scores and its verdicts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tracking_cases as cases
import tracking_measure as measure
import tracking_peers as peers
import tracking_scenes as scenes
from tracking_scenes import Rigid

from glaciertoolkit.conventions import Flag

SIZE = 256


def varying(right: float, down: float) -> scenes.Motion:
    """A uniform motion that takes the way of those that vary."""
    return lambda rows, cols: (right + 0 * (rows + cols), down + 0 * (rows + cols))


def error_in_pixels(image: np.ndarray, truth: np.ndarray, slope: np.ndarray) -> float:
    """Displacement to which an error of brightness amounts: rms error over rms gradient."""
    return float(np.sqrt(np.mean(np.abs(image - truth) ** 2) / np.mean(np.abs(slope) ** 2)))


def gradient(spectrum: np.ndarray) -> np.ndarray:
    f = np.fft.fftfreq(spectrum.shape[0])
    return np.asarray(np.fft.ifft2(2j * np.pi * f[None, :] * spectrum))


def test_whole_pixel_motion_moves_features_right_and_down() -> None:
    scene = scenes.optical(SIZE, Rigid(3, 2), noise=0)
    np.testing.assert_allclose(scene.secondary[2:, 3:], scene.reference[:-2, :-3], atol=1e-4)
    right, down = scene.truth(np.array([10.0]), np.array([20.0]))
    assert (right[0], down[0]) == (3, 2)


def test_rigid_motion_is_a_phase_ramp() -> None:
    spectrum = scenes.optical_spectrum(SIZE, np.random.default_rng(0))
    moved, still = (
        np.fft.fft2(scenes.image_of(spectrum, SIZE, 0, m).real) for m in (Rigid(0.3, 0.7), None)
    )
    f = np.fft.fftfreq(SIZE)
    strong = np.abs(still) > 1e-3 * np.abs(still).max()
    ramp = np.exp(2j * np.pi * (0.3 * f[None, :] + 0.7 * f[:, None]))
    np.testing.assert_allclose(moved[strong] / still[strong], ramp[strong], atol=1e-8)
    assert np.abs(f[None, :])[:, strong.any(0)].max() > 0.4  # energy near Nyquist


@pytest.mark.parametrize("kind", ["optical", "speckle"])
def test_resampling_errs_by_less_than_a_thousandth_of_a_pixel(kind: str) -> None:
    rng = np.random.default_rng(1)
    spectrum = (
        scenes.optical_spectrum(SIZE, rng)
        if kind == "optical"
        else scenes.speckle_spectrum(SIZE, rng, scenes.SLC_OVERSAMPLING)
    )
    exact = scenes.image_of(spectrum, SIZE, 0, Rigid(0.37, 0.61))
    found = scenes.image_of(spectrum, SIZE, 0, varying(0.37, 0.61))
    assert error_in_pixels(found, exact, gradient(spectrum)) < 1e-3
    unmoved = scenes.image_of(spectrum, SIZE, 0)
    assert error_in_pixels(unmoved, exact, gradient(spectrum)) > 0.1


def test_sheared_images_are_those_of_the_formula() -> None:
    # a few waves, some of them short, whose value at any place is a sum of cosines
    margin, canvas = 28, SIZE + 56
    waves = [(5, 3), (40, -22), (97, 31), (12, 118), (90, 85)]
    spectrum = np.zeros((canvas, canvas), complex)
    for ky, kx in waves:
        spectrum[ky, kx] = spectrum[-ky, -kx] = canvas**2 / 2
    motion = scenes.glacier(SIZE)
    rows, cols = np.mgrid[:SIZE, :SIZE].astype(float)
    right, down = motion(rows, cols)
    y, x = rows + down + margin, cols + right + margin
    exact = sum(np.cos(2 * np.pi * (ky * y + kx * x) / canvas) for ky, kx in waves)
    found = scenes.image_of(spectrum, SIZE, margin, motion).real
    slope = gradient(spectrum).real
    assert np.abs(found - exact).max() < 1e-3 * slope.std()


def test_glacier_and_drift_stay_within_what_they_say() -> None:
    rows, cols = np.mgrid[:1024, :1024].astype(float)
    for motion, reach, strain in (
        (scenes.glacier(1024), (1, 6), 0.05),
        (scenes.drift(1024), (145, 150.1), 0.02),
    ):
        fields = motion(rows, cols)
        largest = max(np.abs(field).max() for field in fields)
        assert reach[0] < largest < reach[1]
        assert max(np.abs(g).max() for field in fields for g in np.gradient(field)) < strain


def test_noise_is_three_percent_and_differs_between_the_images() -> None:
    scene = scenes.optical(512, Rigid(0, 0))
    difference = (scene.secondary - scene.reference).std()
    assert difference / scene.reference.std() == pytest.approx(0.03 * np.sqrt(2), rel=0.05)


def test_slc_pair_has_the_stated_coherence_and_band() -> None:
    scene = scenes.slc(512, Rigid(0, 0), coherence=0.6)
    a, b = scene.reference.astype(complex), scene.secondary.astype(complex)
    coherence = np.abs(np.vdot(a, b)) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)
    assert coherence == pytest.approx(0.6, abs=0.01)
    power = np.abs(a) ** 2
    assert power.mean() ** 2 / power.var() == pytest.approx(1, abs=0.05)  # single look
    window = np.outer(np.hanning(512), np.hanning(512))
    energy = np.abs(np.fft.fft2(a * window)) ** 2
    f = np.abs(np.fft.fftfreq(512))
    outside = energy[f > 0.5 / scenes.SLC_OVERSAMPLING + 0.01].sum() / energy.sum()
    assert outside < 1e-4
    # the same speckle half a pixel away: the autocorrelation of its band
    moved = scenes.slc(512, Rigid(0.5, 0), coherence=0.6).reference.astype(complex)
    left = np.abs(np.vdot(moved, b)) / np.abs(np.vdot(a, b))
    assert left == pytest.approx(np.sinc(0.5 / scenes.SLC_OVERSAMPLING), abs=0.02)


def test_multilook_pair_has_four_looks_and_the_stated_coherence() -> None:
    scene = scenes.ground_range(512, Rigid(0, 0), texture=False)
    a, b = (image.astype(float) ** 2 for image in (scene.reference, scene.secondary))
    assert a.mean() ** 2 / a.var() == pytest.approx(4, rel=0.05)
    # intensities of looks of coherence g correlate by g^2
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] == pytest.approx(0.09, abs=0.015)
    textured = scenes.ground_range(512, Rigid(0, 0))
    c, d = (image.astype(float) ** 2 for image in (textured.reference, textured.secondary))
    assert np.corrcoef(c.ravel(), d.ravel())[0, 1] > 0.2


def test_large_scenes_move_by_their_truth() -> None:
    scene = scenes.large(300, tile=128, noise=0)
    assert scene.reference.shape == scene.secondary.shape == (300, 300)
    a, b = (np.fft.fft2(image[:128, 128:256]) for image in (scene.reference, scene.secondary))
    f = np.fft.fftfreq(128)
    strong = np.abs(b) > 1e-2 * np.abs(b).max()
    ramp = np.exp(2j * np.pi * (0.3 * f[None, :] + 0.7 * f[:, None]))
    np.testing.assert_allclose(a[strong] / b[strong], ramp[strong], atol=1e-3)


def test_shifts_cover_a_pixel_once_along_each_axis() -> None:
    for count in (5, 11):
        found = cases.shifts(count)
        steps = np.arange(count) / (count - 1)
        np.testing.assert_allclose(sorted(m.right for m in found), steps)
        np.testing.assert_allclose(sorted(m.down for m in found), steps)
        assert all(m.right != m.down for m in found)


def test_gaps_and_regions_hide_what_they_say() -> None:
    whole = scenes.optical(SIZE, Rigid(0.3, 0.7))
    one = scenes.with_gaps(whole, 0.4, both=False)
    assert np.isnan(one.reference).mean() == pytest.approx(0.4, abs=0.01)
    assert np.isfinite(one.secondary).all()
    both = scenes.with_gaps(whole, 0.4, both=True)
    left = np.isfinite(both.reference) & np.isfinite(both.secondary)
    assert left.mean() == pytest.approx(0.36, abs=0.01)
    square = scenes.with_region(whole, "square", scenes.patch(SIZE, 64), 8.0)
    assert (square.reference == 8).sum() == 64**2
    assert np.isfinite(whole.reference).all()


def test_posts_know_whether_they_see_what_is_hidden() -> None:
    whole = scenes.optical(SIZE, Rigid(0, 0))
    scene = scenes.with_region(whole, "square", scenes.patch(SIZE, 64), 8.0)  # 96 to 159
    sizes = measure.Sizes(32, search=16)
    centres = 15.5 + 8 * np.arange((SIZE - 32) // 8 + 1)
    clear, blind = cases._seen(scene, centres[:, None], centres[None, :], sizes)
    # a template from 96 to 127 lies in the square, one from 88 does not
    assert blind[12, 12]
    assert not blind[11, 12]
    reach = 16 + measure.PREFILTER_REACH
    middle = 14
    for k, centre in enumerate(centres):
        sees = centre - 15.5 - reach <= 159 and centre + 15.5 + reach >= 96
        assert clear[k, middle] == (not sees)


def test_scores_are_those_of_the_definitions() -> None:
    rng = np.random.default_rng(2)
    error = rng.normal(0.05, 0.1, (2, 20000))
    error[:, :200] += 5  # 1 % false
    error[:, 200:600] = np.nan
    stated = np.full(error.shape, 0.1)
    found = measure.score([measure.Errors(error, stated)] * 3)
    assert found["rmse"] == pytest.approx([np.hypot(0.05, 0.1)] * 2, rel=0.03)
    assert found["lock"] == pytest.approx([0.05] * 2, rel=0.05)
    assert found["outliers_percent"] == pytest.approx(100 * 200 / 19600)
    assert found["valid_percent"] == pytest.approx(98)
    assert found["calibration"] == pytest.approx([1, 1], rel=0.03)
    assert found["within"] == pytest.approx([0.6247] * 2, abs=0.015)


def test_toolkit_offsets_are_read_in_pixels_to_the_right_and_down() -> None:
    scene = scenes.optical(SIZE, Rigid(2, 1), noise=0)
    sizes = measure.Sizes(32, search=8, step=16)
    match = measure.toolkit().read(measure.toolkit().prepare(scene, sizes)(), scene)
    errors = measure.errors_of(match, scene, sizes)
    assert np.abs(errors.error).max() < 0.05
    assert match.rows[0, 0] == match.cols[0, 0] == 15.5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(peers.PEERS))
def test_peers_recover_the_shear_field(name: str) -> None:
    if not peers.installed(name):
        pytest.skip(f"{peers.PEERS[name][0]} is not installed")
    scene = scenes.optical(SIZE, scenes.glacier(SIZE))
    sizes = measure.Sizes(32, search=8, step=16)
    found = measure.peer(name).prepare(scene, sizes)()
    errors = measure.errors_of(found, scene, sizes)
    truth = measure.errors_of(
        peers.Match(found.rows, found.cols, 0 * found.right, 0 * found.down), scene, sizes
    )
    assert errors.inlier.all()
    assert np.sqrt(np.mean(errors.error**2)) < 0.15
    assert np.sqrt(np.mean(truth.error**2)) > 1  # a tracker that says zero fails


def entry_point() -> ModuleType:
    """`benchmarks/tracking.py`; by its path, because tests/tracking has the same name."""
    path = Path(scenes.__file__).with_name("tracking.py")
    spec = importlib.util.spec_from_file_location("tracking_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_bar_reports_a_verdict_whatever_was_run() -> None:
    tracking = entry_point()
    bar = tracking.Bar(
        "x", tracking.figure("speed_32", "toolkit", "rmse"), tracking.at_most(1.0),
        tracking.at_most(0.5),
    )  # fmt: skip
    expected: dict[str, Any] = {
        "pass": [0.6, 0.9], "pass, stretch too": [0.1, 0.2], "miss": [0.1, 1.1],
    }  # fmt: skip
    for verdict, rmse in expected.items():
        assert bar.line({"speed_32": {"toolkit": {"rmse": rmse}}})["verdict"] == verdict
    assert bar.line({"speed_32": {"toolkit": {"rmse": [np.nan, 0.1]}}})["verdict"] == "miss"
    refused = {"speed_32": {"toolkit": {"not_available": "no such option"}}}
    assert bar.line(refused)["verdict"] == "not available"
    assert {b.line({})["verdict"] for b in tracking.bars()} == {"not run"}


def test_a_blind_post_may_only_be_flagged() -> None:
    plan = cases.Plan(size=SIZE, repeat=1)
    found = cases.regions(plan)["border of NaN"]
    assert found["blind_posts"] > 0
    assert found["blind_flagged_percent"] == 100
    assert Flag.NODATA in cases.REGIONS["border of NaN"][2]
