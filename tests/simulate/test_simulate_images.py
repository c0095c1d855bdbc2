"""The images: sub-pixel motion, speckle, coherence, spectrum, patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from glaciertoolkit.simulate import images, kernels, simulate_pair
from glaciertoolkit.simulate.model import model_of
from glaciertoolkit.simulate.parameters import of_scene

EXACT: dict[str, Any] = {
    "coherence_rock": 1,
    "coherence_ice": 1,
    "noise_db": -np.inf,
    "outliers": 0,
    "decorrelated": 0,
}
FLAT: dict[str, Any] = {
    "size": 512,
    "relief": 0,
    "texture": 0,
    "outliers": 0,
    "decorrelated": 0,
    "displacement": (0, 0),
}


def shift_between(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[float, float]:
    """Rows and columns by which `b` is shifted against `a` (equal square windows).

    The whole pixels come from the peak of the cross-correlation, the rest from the slope of the
    phase of the cross-spectrum.
    """
    n = len(a)
    window = np.hanning(n)[:, None] * np.hanning(n)[None, :]
    first, second = ((z - z.mean()) * window for z in (a, b))
    cross = np.conj(np.fft.fft2(first)) * np.fft.fft2(second)
    peak = np.unravel_index(np.argmax(np.fft.ifft2(cross).real), cross.shape)
    shift = np.array([(k + n // 2) % n - n // 2 for k in peak], dtype=float)
    fy, fx = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), indexing="ij")
    kept = np.maximum(abs(fy), abs(fx)) < 0.3
    slopes = 2 * np.pi * np.stack([fy[kept], fx[kept]], axis=1)
    weight = np.abs(cross[kept])[:, None]
    for _ in range(6):
        turned = np.angle(cross[kept] * np.exp(1j * slopes @ shift))
        shift -= np.linalg.solve((slopes * weight).T @ slopes, (slopes * weight).T @ turned)
    return float(shift[0]), float(shift[1])


def _taper(n: int, shift: float) -> NDArray[np.float64]:
    place = 2 * (np.arange(n) - shift) / n - 1
    return np.where(np.abs(place) < 0.9, np.cos(np.pi / 2 * place / 0.9) ** 4, 0.0)


def _shift_error(a: Any, b: Any, dx: float, dy: float) -> float:
    """Relative rms of `b` against `a` shifted by its Fourier phases (samples)."""
    rows, columns = a.shape
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :]
    here = _taper(rows, 0)[:, None] * _taper(columns, 0)
    there = _taper(rows, -dy)[:, None] * _taper(columns, dx)
    moved = np.fft.ifft2(
        np.fft.fft2((a - a.mean()) * here) * np.exp(-2j * np.pi * (fx * dx - fy * dy))
    )
    wanted = (b - a.mean()) * there
    return float(np.sqrt((np.abs(moved - wanted) ** 2).sum() / (np.abs(wanted) ** 2).sum()))


@pytest.mark.parametrize(("dx", "dy"), [(0.5, 0.0), (0.37, -1.23), (-3.1, 2.6)])
def test_the_field_before_detection_is_shifted_exactly(dx: float, dy: float) -> None:
    scene = simulate_pair(size=256, displacement=(dx, dy), **EXACT)
    model = model_of(of_scene(scene))
    places = np.arange(512) / 2  # twice oversampled, as it is detected
    first, second = (images.field(model, k, places, places) for k in (0, 1))
    assert _shift_error(first, second, 2 * dx, 2 * dy) < 1e-3
    assert _shift_error(first, second, 2 * dx + 0.1, 2 * dy) > 0.05  # the measure can fail


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"complex_images": True}, 0.005),  # what the stop band of the point spread lets through
        ({}, 0.04),  # detection at twice the rate
        ({"looks": 4}, 0.006),
        ({"kind": "optical"}, 0.001),
    ],
)
def test_images_are_shifted_by_fractions_of_a_pixel(options: dict[str, Any], limit: float) -> None:
    scene = simulate_pair(size=320, displacement=(0.37, -1.23), **EXACT, **options).compute()
    assert _shift_error(scene.reference.values, scene.secondary.values, 0.37, -1.23) < limit


def test_whole_pixels_move_bit_for_bit_to_the_east_and_to_the_north() -> None:
    scene = simulate_pair(size=300, displacement=(5, 3), **EXACT).compute()
    first, second = scene.reference.values, scene.secondary.values
    np.testing.assert_allclose(second[:-3, 5:], first[3:, :-5], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scene.true_deformation_dx, 15.0)
    np.testing.assert_allclose(scene.true_deformation_dy, 9.0)
    # A bright spot of the reference lies farther east and north (smaller rows) in the secondary.
    row, column = np.unravel_index(np.argmax(first[50:-50, 50:-50]), (200, 200))
    y, x = scene.y.values[row + 50], scene.x.values[column + 50]
    found = scene.secondary.sel(y=slice(y + 30, y - 30), x=slice(x - 30, x + 30))
    spot = found.where(found == found.max(), drop=True)
    assert float(spot.x[0]) == pytest.approx(x + 15)
    assert float(spot.y[0]) == pytest.approx(y + 9)


def test_the_images_show_the_true_offset_on_rock_and_on_ice(coherent: xr.Dataset) -> None:
    offset_x = coherent.true_dx + coherent.true_deformation_dx + coherent.true_topography_dx
    offset_y = coherent.true_dy + coherent.true_deformation_dy + coherent.true_topography_dy
    wrong = (coherent.outlier | coherent.decorrelated).values
    errors = {True: [], False: []}
    for row in range(20, 900 - 84, 32):
        for column in range(20, 900 - 84, 32):
            part = (slice(row, row + 64), slice(column, column + 64))
            ice = coherent.ice.values[part].mean()
            if wrong[part].any() or 0 < ice < 1:
                continue
            weight = np.hanning(64)[:, None] * np.hanning(64)
            # The taper favours the middle, and both windows stay where they are.
            dx = float((offset_x.values[part] * weight).sum() / weight.sum()) / 3
            dy = float((offset_y.values[part] * weight).sum() / weight.sum()) / 3
            a = coherent.reference.values[part]
            moved = (slice(part[0].start - round(dy), part[0].stop - round(dy)),
                     slice(part[1].start + round(dx), part[1].stop + round(dx)))  # fmt: skip
            down, right = shift_between(a, coherent.secondary.values[moved])
            errors[bool(ice)].append((right + round(dx) - dx, -down + round(dy) - dy))
    for ice, found in errors.items():
        assert len(found) > (10 if ice else 60)
        assert np.abs(np.median(found, axis=0)).max() < 0.03
        assert np.median(np.abs(found)) < (0.15 if ice else 0.05)


def test_the_inverse_displacement_is_exact(computed: xr.Dataset) -> None:
    model = model_of(of_scene(computed))
    places = np.arange(0.0, 600.0, 7.3)
    rows, columns = np.empty((2, places.size, places.size))
    truth = (model.grid.index, model.motion, model.terrain, model.ramp)
    kernels.material_grid(*truth, places, places, rows, columns)
    moved = np.array(
        [
            [kernels.total_displacement(*truth, r, c) for r, c in zip(*line, strict=True)]
            for line in zip(rows, columns, strict=True)
        ]
    )
    assert np.abs(rows + moved[..., 0] - places[:, None]).max() < 1e-4
    assert np.abs(columns + moved[..., 1] - places[None, :]).max() < 1e-4


@pytest.mark.parametrize("coherence", [0.0, 0.35, 0.8])
def test_complex_images_are_gaussian_with_the_coherence_asked_for(coherence: float) -> None:
    scene = simulate_pair(
        coherence_rock=coherence, complex_images=True, noise_db=-np.inf, **FLAT
    ).compute()
    assert scene.reference.dtype == np.complex64
    a, b = scene.reference.values, scene.secondary.values
    power_a, power_b = (np.abs(z) ** 2 for z in (a, b))
    found = np.abs((a * b.conj()).mean()) / np.sqrt(power_a.mean() * power_b.mean())
    assert found == pytest.approx(coherence, abs=0.01)
    assert power_a.std() / power_a.mean() == pytest.approx(1.0, abs=0.02)
    assert np.abs((a * a).mean()) / power_a.mean() < 0.01  # circular
    assert power_a.mean() == pytest.approx(1e4, rel=0.02)


def test_thermal_noise_has_the_power_asked_for() -> None:
    quiet, noisy = (
        simulate_pair(coherence_rock=1, complex_images=True, noise_db=db, **FLAT).compute()
        for db in (-np.inf, -3.0)
    )
    added = np.abs(noisy.reference - quiet.reference) ** 2
    ratio = float(added.mean() / (np.abs(quiet.reference) ** 2).mean())
    assert 10 * np.log10(ratio) == pytest.approx(-3.0, abs=0.2)
    one, two = (getattr(noisy, k) - getattr(quiet, k) for k in ("reference", "secondary"))
    assert abs(complex((one * two.conj()).mean())) / float(added.mean()) < 0.02


def test_amplitude_is_stationary_and_does_not_alias() -> None:
    scene = simulate_pair(**FLAT)
    amplitude = scene.reference.values
    assert amplitude.min() >= 0
    # The low-pass behind the detector averages a little: below the 0.523 of Rayleigh's law.
    assert 0.38 < amplitude.std() / amplitude.mean() < 0.45
    window = np.hanning(512)[:, None] * np.hanning(512)
    power = np.abs(np.fft.fft2((amplitude - amplitude.mean()) * window)) ** 2
    frequency = np.abs(np.fft.fftfreq(512))
    highest = np.maximum(frequency[:, None], frequency[None, :])
    assert power[highest > 0.48].sum() / power.sum() < 1e-3
    assert power[(highest > 0.3) & (highest < 0.4)].mean() > 0.2 * power[highest < 0.1].mean()


def test_looks_reduce_the_contrast_of_speckle() -> None:
    contrast = {}
    for looks in (1, 4):
        power = simulate_pair(looks=looks, **FLAT).reference.values.astype(float) ** 2
        contrast[looks] = power.std() / power.mean()
    # Neighbouring samples are correlated less than the looks, hence a little below one half.
    assert contrast[4] / contrast[1] == pytest.approx(0.5, abs=0.06)


def test_tiles_join_without_a_seam() -> None:
    scene = simulate_pair(size=(128, 640), **{k: v for k, v in FLAT.items() if k != "size"})
    amplitude = scene.secondary.values
    steps = np.diff(amplitude, axis=1)
    at_seam = np.sqrt((steps[:, 511] ** 2).mean())
    assert at_seam == pytest.approx(np.sqrt((steps**2).mean()), rel=0.3)


def test_outlier_patches_correlate_at_another_offset() -> None:
    options = {**EXACT, "outliers": 0.2, "patch_width": (110, 130)}
    scene = simulate_pair(size=700, seed=1, **options).compute()
    right = (scene.true_dx + scene.true_deformation_dx + scene.true_topography_dx).values / 3
    down = -(scene.true_dy + scene.true_deformation_dy).values / 3
    checked = 0
    for patch in model_of(of_scene(scene)).outliers:
        row, column = round(patch.row) - 24, round(patch.column) - 24
        if patch.radius < 55 or not (30 < row < 700 - 80 and 30 < column < 700 - 80):
            continue
        part = (slice(row, row + 48), slice(column, column + 48))
        assert scene.outlier.values[part].all()
        assert 4 <= abs(patch.extra_row) <= 10
        assert 4 <= abs(patch.extra_column) <= 10
        # Where the reference shows what the secondary shows here: whole pixels, and the rest.
        offset = np.array(
            [patch.extra_row + down[part].mean(), patch.extra_column + right[part].mean()]
        )
        i, j = np.array([row, column]) - np.rint(offset).astype(int)
        a = scene.reference.values[i : i + 48, j : j + 48]
        found = shift_between(a, scene.secondary.values[part])
        np.testing.assert_allclose(found, offset - np.rint(offset), atol=0.25)
        checked += 1
    assert checked >= 2


def test_decorrelated_patches_have_nothing_in_common() -> None:
    scene = simulate_pair(
        size=512,
        displacement=(0, 0),
        coherence_rock=1,
        coherence_ice=1,
        outliers=0,
        decorrelated=0.1,
    ).compute()
    lost = scene.decorrelated.values
    assert lost.mean() == pytest.approx(0.1, abs=0.04)
    a, b = scene.reference.values, scene.secondary.values
    detail_a, detail_b = (
        z - xr.DataArray(z).rolling(dim_0=9, dim_1=9, center=True, min_periods=1).mean().values
        for z in (a, b)
    )
    assert abs(np.corrcoef(detail_a[lost], detail_b[lost])[0, 1]) < 0.1
    assert np.corrcoef(detail_a[~lost], detail_b[~lost])[0, 1] > 0.8


def test_optical_pair_has_texture_on_every_scale_and_a_dark_side() -> None:
    scene = simulate_pair(size=512, kind="optical", seed=2)
    image = scene.reference.values
    assert image.dtype == np.float32
    assert 500 < image.mean() < 2000
    assert image.min() > -100
    power = (
        np.abs(np.fft.fft2((image - image.mean()) * np.hanning(512) * np.hanning(512)[:, None]))
        ** 2
    )
    frequency = np.abs(np.fft.fftfreq(512))
    highest = np.maximum(frequency[:, None], frequency[None, :])
    bands = [power[(highest > f) & (highest <= 2 * f)].mean() for f in (0.01, 0.04, 0.16)]
    assert bands[0] > 5 * bands[1] > 25 * bands[2] > 0
    assert power[highest > 0.49].mean() < 0.05 * bands[2]
