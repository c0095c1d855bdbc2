"""Quality mode: affine refinement of matches, against images whose motion is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.tracking.curvature import correct_curvature
from glaciertoolkit.tracking.refine import HALO, Refined, Status, neighbour_gradients, refine
from glaciertoolkit.tracking.sampling import fill_gaps

Motion = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
MARGIN = 32
GRADIENTS = ("dx_dx", "dx_dy", "dy_dx", "dy_dy")


class Texture:
    """A sum of cosines with wave numbers to 0.35 cycles a pixel: known at every position."""

    def __init__(self, seed: int = 0, waves: int = 250) -> None:
        rng = np.random.default_rng(seed)
        f = rng.normal(0, 0.11, (2 * waves, 2))
        self.f = 2 * np.pi * f[np.hypot(*f.T) < 0.35][:waves]
        self.phase = rng.uniform(0, 2 * np.pi, len(self.f))

    def __call__(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        out = np.zeros(np.broadcast(y, x).shape)
        for (fy, fx), phase in zip(self.f, self.phase, strict=True):
            out += np.cos(fy * y + fx * x + phase)
        return out * np.sqrt(2 / len(self.f))


def affine_motion(
    d: tuple[float, float], g: tuple[float, float, float, float] = (0, 0, 0, 0), centre: float = 90
) -> tuple[Motion, Motion]:
    """Displacement (dy, dx) at a place of a, and from where in a a place of b came.

    `g`: dx_dx, dx_dy, dy_dx, dy_dy.
    """
    matrix = np.eye(2) + np.array([[g[3], g[2]], [g[1], g[0]]])
    inverse = np.linalg.inv(matrix)

    def forward(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        v, u = y - centre, x - centre
        return d[0] + g[3] * v + g[2] * u, d[1] + g[1] * v + g[0] * u

    def backward(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        v, u = y - centre - d[0], x - centre - d[1]
        return (
            centre + inverse[0, 0] * v + inverse[0, 1] * u,
            centre + inverse[1, 0] * v + inverse[1, 1] * u,
        )

    return forward, backward


def wavy_motion(amplitude: float = 2, length: float = 250) -> tuple[Motion, Motion]:
    """Motion along x that varies along y, so that it can be inverted by hand."""
    k = 2 * np.pi / length

    def forward(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 0 * x, amplitude * np.sin(k * y)

    def backward(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return y, x - amplitude * np.sin(k * y)

    return forward, backward


class Case:
    """A pair of images and a grid of posts, with starts that are off by a given deviation."""

    def __init__(
        self, motion: tuple[Motion, Motion], *, size: int = 180, step: int = 16,
        template: tuple[int, int] = (32, 32), noise: float = 0.0, blur: int = 1, off: float = 0.15,
        seed: int = 0,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(seed + 100)
        texture = Texture(seed)
        y, x = np.mgrid[:size, :size].astype(float)
        self.a, self.b = (
            (values + noise * _blurred(rng, size, blur)).astype(np.float32)
            for values in (texture(y, x), texture(*motion[1](y, x)))
        )
        self.valid = np.ones((size, size), bool)
        self.template = template
        self.rows, self.columns = (np.arange(MARGIN, size - t - MARGIN, step) for t in template)
        cy, cx = np.meshgrid(
            self.rows + (template[0] - 1) / 2, self.columns + (template[1] - 1) / 2, indexing="ij"
        )
        self.dy, self.dx = (np.broadcast_to(v, cy.shape) for v in motion[0](cy, cx))
        self.start = {
            "dy": (self.dy + off * rng.normal(size=cy.shape)).astype(np.float32),
            "dx": (self.dx + off * rng.normal(size=cy.shape)).astype(np.float32),
        }

    def refine(self, **changes: Any) -> Refined:
        arguments: dict[str, Any] = {
            "a": self.a, "a_valid": self.valid, "b": self.b, "b_valid": self.valid,
            "rows": self.rows, "columns": self.columns, "template": self.template, **self.start,
        }  # fmt: skip
        arguments |= changes
        return refine(**arguments)

    def rmse(self, found: Refined) -> float:
        good = found.status == Status.OK
        square = (found.dx - self.dx) ** 2 + (found.dy - self.dy) ** 2
        return float(np.sqrt(square[good].mean() / 2))


def _blurred(rng: np.random.Generator, size: int, blur: int) -> np.ndarray:
    """Noise of unit variance, correlated over `blur` pixels."""
    noise = rng.normal(size=(size + blur - 1, size + blur - 1))
    windows = np.lib.stride_tricks.sliding_window_view(noise, (blur, blur))
    return windows.mean(axis=(2, 3)) * blur


@pytest.mark.parametrize("mode", ["shift", "affine"])
@pytest.mark.parametrize("shift", [(0, 0), (0.25, 0.5), (-0.73, 0.4), (3.4, -5.6)])
def test_a_shift_without_noise_is_found_to_a_thousandth(
    mode: Any, shift: tuple[float, float]
) -> None:
    case = Case(affine_motion(shift))
    found = case.refine(mode=mode)
    assert (found.status == Status.OK).all()
    assert case.rmse(found) < 1.5e-3
    assert np.nanmin(found.correlation) > 0.999
    for name in GRADIENTS:
        values = getattr(found, name)
        assert np.isnan(values).all() if mode == "shift" else np.abs(values).max() < 2e-4


@pytest.mark.parametrize("template", [(32, 32), (24, 40), (21, 18)])
def test_displacement_and_gradients_of_an_affine_motion(template: tuple[int, int]) -> None:
    g = (0.012, -0.02, 0.008, -0.015)
    case = Case(affine_motion((0.3, -0.6), g), template=template)
    found = case.refine()
    assert (found.status == Status.OK).all()
    assert case.rmse(found) < 2e-3
    for name, truth in zip(GRADIENTS, g, strict=True):
        np.testing.assert_allclose(getattr(found, name), truth, atol=4e-4)
    # Without the warp the same templates lose their correlation and their place.
    shifted = case.refine(mode="shift")
    assert case.rmse(shifted) > 3 * case.rmse(found)
    assert np.nanmedian(shifted.correlation) < np.nanmedian(found.correlation) - 0.005


def test_a_rotation_of_three_degrees() -> None:
    angle = np.radians(3)
    g = (np.cos(angle) - 1, -np.sin(angle), np.sin(angle), np.cos(angle) - 1)
    case = Case(affine_motion((1.3, 0.4), g), off=0.05)
    found = case.refine()
    assert (found.status == Status.OK).mean() > 0.95
    assert case.rmse(found) < 3e-3
    assert np.nanmedian(found.dy_dx) == pytest.approx(np.sin(angle), abs=2e-4)


def test_a_start_half_a_pixel_off_converges() -> None:
    case = Case(affine_motion((0.2, 0.1)))
    off = {"dy": case.dy.astype(np.float32) - 0.5, "dx": case.dx.astype(np.float32) + 0.5}
    for mode in ("shift", "affine"):
        found = case.refine(mode=mode, **off)
        assert (found.status == Status.OK).all()
        assert case.rmse(found) < 2e-3


@pytest.mark.parametrize(("noise", "blur"), [(0.05, 1), (0.5, 1), (0.5, 3)])
def test_stated_errors_are_those_made(noise: float, blur: int) -> None:
    """Also where noise is correlated from pixel to pixel, which a count of pixels overlooks."""
    scores: dict[str, list[np.ndarray]] = {k: [] for k in ("dx", "dy", *GRADIENTS)}
    for seed in range(2):
        case = Case(affine_motion((0.3, 0.4)), size=260, noise=noise, blur=blur, seed=seed)
        found = case.refine()
        good = found.status == Status.OK
        assert good.mean() > 0.99
        for name in ("dx", "dy"):
            error = getattr(found, name) - getattr(case, name)
            scores[name].append((error / np.sqrt(getattr(found, f"{name}_variance")))[good])
        for name in GRADIENTS:
            scores[name].append((getattr(found, name) / getattr(found, f"{name}_error"))[good])
    for name, values in scores.items():
        z = np.concatenate(values)
        assert 0.75 < np.sqrt(np.mean(z**2)) < 1.3, name
        assert 0.55 < np.mean(np.abs(z) < 1) < 0.82, name


def test_noise_that_is_correlated_makes_the_stated_error_larger() -> None:
    white, blurred = (
        Case(affine_motion((0.3, 0.4)), noise=0.5, blur=blur).refine() for blur in (1, 3)
    )
    assert np.nanmedian(blurred.dx_variance) > 1.5 * np.nanmedian(white.dx_variance)


def test_gain_and_offset_change_nothing() -> None:
    case = Case(affine_motion((0.3, 0.4), (0.01, 0, 0, -0.01)), noise=0.05)
    plain = case.refine()
    scaled = case.refine(b=(3.5 * case.b + 40).astype(np.float32))
    for name in ("dx", "dy", "dx_dx", "correlation"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(plain, name), atol=2e-5)
    np.testing.assert_allclose(scaled.dx_variance, plain.dx_variance, rtol=1e-2)


def test_exchanging_the_images_turns_the_sign() -> None:
    case = Case(affine_motion((0.3, -0.4)), noise=0.02)
    there = case.refine()
    back = case.refine(a=case.b, b=case.a, dy=-case.start["dy"], dx=-case.start["dx"])
    np.testing.assert_allclose(back.dx, -there.dx, atol=6e-3)
    np.testing.assert_allclose(back.dy, -there.dy, atol=6e-3)


def test_an_origin_moves_the_second_image_only() -> None:
    case = Case(affine_motion((0.3, -0.4)))
    plain = case.refine()
    cut = case.refine(
        b=np.ascontiguousarray(case.b[5:, 3:]), b_valid=case.valid[5:, 3:], origin=(-5, -3)
    )
    np.testing.assert_allclose(cut.dx, plain.dx, atol=1e-5)


class TestMissingPixels:
    def holes(self, case: Case, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).random(case.a.shape) > 0.4

    @pytest.mark.parametrize("shift", [(0.5, 0.5), (0.3, -2.4)])
    def test_forty_per_cent_at_random(self, shift: tuple[float, float]) -> None:
        case = Case(affine_motion(shift), size=240, noise=0.03, step=8)
        one, two = self.holes(case, 1), self.holes(case, 2)
        whole = case.rmse(case.refine(mode="shift"))
        in_a = case.refine(mode="shift", a_valid=one)
        in_b = case.refine(mode="shift", b_valid=two)
        swapped = case.refine(mode="shift", b_valid=two, swap=True)
        both = case.refine(mode="shift", a_valid=one, b_valid=two)
        for found, factor in ((in_a, 1.6), (in_b, 3), (swapped, 1.6), (both, 4)):
            assert (found.status == Status.OK).all()
            assert case.rmse(found) < factor * whole
            z = (found.dx - case.dx) / np.sqrt(found.dx_variance)
            assert 0.7 < np.sqrt(np.mean(z**2)) < 1.4

    def test_what_missing_pixels_hold_does_not_matter(self) -> None:
        case = Case(affine_motion((0.3, 0.4)), noise=0.03)
        one, two = self.holes(case, 1), self.holes(case, 2)
        clean = case.refine(a_valid=one, b_valid=two)
        dirty = case.refine(
            a=np.where(one, case.a, np.nan).astype(np.float32), a_valid=one,
            b=np.where(two, case.b, 1e6).astype(np.float32), b_valid=two,
        )  # fmt: skip
        for first, second in zip(clean, dirty, strict=True):
            np.testing.assert_array_equal(first, second)

    def test_swapping_keeps_sign_place_and_gradients(self) -> None:
        g = (0.01, -0.02, 0.015, 0.005)
        case = Case(affine_motion((2.3, -3.6), g))
        found = case.refine(swap=True)
        assert (found.status == Status.OK).all()
        assert case.rmse(found) < 2e-3
        for name, truth in zip(GRADIENTS, g, strict=True):
            np.testing.assert_allclose(getattr(found, name), truth, atol=4e-4)

    def test_a_gap_costs_only_the_templates_that_it_fills(self) -> None:
        case = Case(affine_motion((0.3, 0.4)), noise=0.02)
        valid = case.valid.copy()
        valid[:, 100:] = False
        found = case.refine(b_valid=valid)
        beyond = case.columns >= 100
        whole = case.columns + 32 + 4 < 100
        assert (found.status[:, beyond] == Status.TOO_FEW).all()
        assert (found.status[:, whole] == Status.OK).all()
        np.testing.assert_allclose(found.dx[:, whole], case.refine().dx[:, whole], atol=2e-3)
        partial = (found.status == Status.OK) & ~whole
        assert partial.any()
        assert np.abs(found.dx - case.dx)[partial].max() < 0.01
        assert found.share[partial].min() < 0.7

    def test_gaps_are_filled_near_valid_pixels_only(self) -> None:
        case = Case(affine_motion((0, 0)))
        valid = self.holes(case, 3)
        valid[60:100, 60:100] = False
        filled = fill_gaps(np.where(valid, case.a, np.nan).astype(np.float32), valid)
        np.testing.assert_array_equal(filled[valid], case.a[valid])
        gaps = ~valid
        gaps[58:102, 58:102] = False
        assert np.std((filled - case.a)[gaps]) < 0.3 * case.a.std()
        assert (filled[70:90, 70:90] == 0).all()


class TestStatus:
    def test_where_it_fails_the_start_stays(self) -> None:
        case = Case(affine_motion((0.3, 0.4)))
        start = {k: v.copy() for k, v in case.start.items()}
        start["dx"][0, 0] = np.nan
        start["dx"][0, 1] = 400
        valid = case.valid.copy()
        valid[case.rows[2] - 4 : case.rows[2] + 40, : case.columns[0] + 40] = False
        found = case.refine(b_valid=valid, **start)
        assert found.status[0, 0] == Status.SKIPPED
        assert found.status[0, 1] == Status.LEFT_IMAGE
        assert found.status[2, 0] == Status.TOO_FEW
        bad = found.status != Status.OK
        np.testing.assert_array_equal(found.dx[bad], start["dx"][bad])
        np.testing.assert_array_equal(found.dy[bad], start["dy"][bad])
        for name in (*GRADIENTS, "correlation", "dx_variance", "dy_dy_error"):
            assert np.isnan(getattr(found, name)[bad]).all()
            assert np.isfinite(getattr(found, name)[~bad]).all()

    def test_constant_images(self) -> None:
        case = Case(affine_motion((0, 0)))
        flat = np.full_like(case.a, 7)
        for images in ({"a": flat}, {"b": flat}, {"a": flat, "b": flat}):
            assert (case.refine(**images).status == Status.SINGULAR).all()

    def test_unrelated_images_never_throw_a_match_far(self) -> None:
        case, other = Case(affine_motion((0, 0))), Case(affine_motion((0, 0)), seed=9)
        for mode in ("shift", "affine"):
            found = case.refine(b=other.b, mode=mode)
            for name in ("dx", "dy"):
                assert np.abs(getattr(found, name) - case.start[name]).max() <= 1
            good = found.status == Status.OK
            assert np.nanmax(found.correlation[good], initial=0) < 0.8

    def test_one_pass_from_far_away_is_not_called_converged(self) -> None:
        case = Case(affine_motion((0.4, 0.4)))
        zero = np.zeros(case.dx.shape, np.float32)
        found = case.refine(dy=zero, dx=zero, iterations=1)
        assert (found.status == Status.NOT_CONVERGED).all()
        np.testing.assert_array_equal(found.dx, zero)


class TestCurvature:
    def test_bending_motion_is_corrected(self) -> None:
        case = Case(wavy_motion(), size=340, noise=0.02, step=8)
        found = case.refine()
        corrected = correct_curvature(found, case.rows, case.columns, case.template)
        assert case.rmse(found) > 3 * case.rmse(corrected)
        assert case.rmse(corrected) < 5e-3
        z = (corrected.dx - case.dx) / np.sqrt(corrected.dx_variance)
        assert 0.6 < np.sqrt(np.mean(z**2)) < 1.4
        # The truth lies between: what is found is the mean over the template.
        bent = np.abs(case.dx) > 1
        assert (np.abs(found.dx) < np.abs(case.dx))[bent].all()

    def test_straight_motion_is_left_alone(self) -> None:
        case = Case(affine_motion((0.3, 0.4), (0.01, 0.02, 0, 0)), size=240, noise=0.1, step=8)
        found = case.refine()
        corrected = correct_curvature(found, case.rows, case.columns, case.template)
        assert case.rmse(corrected) < 1.1 * case.rmse(found)
        assert (corrected.dx == found.dx).mean() > 0.8


class TestNeighbours:
    def test_slopes_of_a_field_with_mismatches(self) -> None:
        y, x = np.mgrid[:20, :20] * 8.0
        dx, dy = 0.01 * x - 0.02 * y, 0.005 * x + 0.015 * y
        dx[5, 5] += 4
        dy[12, 3] = np.nan
        rows = columns = np.arange(20) * 8
        gradients, spread = neighbour_gradients(
            dy.astype(np.float32), dx.astype(np.float32), rows, columns, (32, 32)
        )
        known = np.ones((20, 20), bool)
        known[5, 5] = known[12, 3] = False
        expected = np.broadcast_to([0.01, -0.02, 0.005, 0.015], (20, 20, 4))
        np.testing.assert_allclose(gradients[known], expected[known], atol=1e-5)
        assert (gradients[~known] == 0).all()
        assert (spread[~known] > 5 * spread[known].max()).all()

    def test_a_single_post_has_no_neighbours(self) -> None:
        case = Case(affine_motion((0.3, 0.4), (0.01, 0, 0, 0)))
        found = case.refine(
            rows=case.rows[2:3], columns=case.columns[2:3],
            dy=case.start["dy"][2:3, 2:3], dx=case.start["dx"][2:3, 2:3],
        )  # fmt: skip
        assert found.dx[0, 0] == pytest.approx(case.dx[2, 2], abs=3e-3)
        assert found.dx_dx[0, 0] == pytest.approx(0.01, abs=3e-4)

    def test_weak_pairs_borrow_their_gradients(self) -> None:
        """Where the template alone cannot tell its gradient, its neighbourhood does."""
        case = Case(affine_motion((0.3, 0.4)), noise=1.2, size=240, off=0.05)
        together = case.refine()
        rms = [float(np.sqrt(np.nanmean(getattr(together, k) ** 2))) for k in GRADIENTS]
        alone = [
            case.refine(rows=[r], columns=[c], dy=case.start["dy"][i : i + 1, j : j + 1],
                        dx=case.start["dx"][i : i + 1, j : j + 1]).dx_dx[0, 0]
            for i, r in enumerate(case.rows[:4]) for j, c in enumerate(case.columns[:4])
        ]  # fmt: skip
        assert max(rms) < 0.6 * float(np.sqrt(np.nanmean(np.square(alone))))


def test_same_bits_again_and_in_a_smaller_window() -> None:
    case = Case(affine_motion((0.3, 0.4), (0.01, 0, 0.01, 0)), size=260, noise=0.05)
    first, second = case.refine(), case.refine()
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)
    # Neighbours give the gradients to start from, so keep the posts and cut the image.
    top, left = case.rows[0] - HALO - 2, case.columns[0] - HALO - 2
    bottom, right = case.rows[-1] + 32 + HALO + 2, case.columns[-1] + 32 + HALO + 2
    window = (slice(top, bottom), slice(left, right))
    cut = case.refine(
        a=np.ascontiguousarray(case.a[window]), a_valid=case.valid[window],
        b=np.ascontiguousarray(case.b[window]), b_valid=case.valid[window],
        rows=case.rows - top, columns=case.columns - left,
    )  # fmt: skip
    for one, two in zip(first, cut, strict=True):
        np.testing.assert_array_equal(one, two)


def test_bad_input_has_one_clear_sentence() -> None:
    case = Case(affine_motion((0, 0)), size=120)
    with pytest.raises(ParameterError, match="mode must be"):
        case.refine(mode="rigid")
    with pytest.raises(ParameterError, match="one value a post"):
        case.refine(dy=np.zeros((1, 1), np.float32))
    with pytest.raises(ParameterError, match="cut it wider"):
        case.refine(rows=case.rows + 60)
    with pytest.raises(ParameterError, match="differ in shape"):
        case.refine(a_valid=case.valid[1:])
