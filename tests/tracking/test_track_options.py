"""Priors, coarse to fine, nested templates, methods, complex images, constant areas."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scenes import flowing_pair, image_pair, slc_pair

from glaciertoolkit import Flag, track
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.tracking.track import parameters_of

SMALL = {"template": 32, "search": 8, "step": 16}


def inner(ds: xr.Dataset) -> xr.Dataset:
    return ds.where((ds.flag == 0).compute())


def rms(values: xr.DataArray) -> float:
    return float(np.sqrt((values**2).mean()))


@pytest.mark.parametrize(
    ("template", "step"), [(33, 8), (30, 7), (24, 24), (20, 32), (32, 3), (29, 1)]
)
def test_templates_that_no_whole_number_of_steps_fills(template: int, step: int) -> None:
    shape = (96, 112) if step > 2 else (48, 56)
    pair = image_pair(shape, shift=(1.3, -0.6))
    offsets = inner(track(pair, template=template, search=4, step=step))
    assert float(offsets.dx.median()) == pytest.approx(-6, abs=0.1)
    assert float(offsets.dy.median()) == pytest.approx(-13, abs=0.1)


@pytest.mark.parametrize("template", [(24, 40), {"y": 40, "x": 17}])
def test_template_and_search_need_not_be_square(template: object) -> None:
    pair = image_pair((128, 144), shift=(0.7, -4.4))
    offsets = inner(track(pair, template=template, search={"y": 3, "x": 9}, step=(8, 12)))
    assert float(offsets.dx.median()) == pytest.approx(-44, abs=0.1)
    assert float(offsets.dy.median()) == pytest.approx(-7, abs=0.1)


def test_a_prior_moves_the_search() -> None:
    pair = image_pair(shift=(21.3, -33.6))
    alone = track(pair, **SMALL)
    assert not np.isfinite(alone.dx).any() or abs(float(alone.dx.median()) + 336) > 100
    offsets = inner(track(pair, prior=(-330.0, -200.0), **SMALL))
    assert float(offsets.dx.median()) == pytest.approx(-336, abs=0.1)
    assert float(offsets.dy.median()) == pytest.approx(-213, abs=0.1)
    again = inner(track(pair, prior=offsets, **SMALL))
    assert float(again.dx.median()) == pytest.approx(-336, abs=0.1)


def test_large_displacements_are_found_coarse_to_fine() -> None:
    pair = image_pair((320, 320), shift=(40.4, -52.7))
    offsets = inner(track(pair, max_displacement=64, **SMALL))
    inside = offsets.isel(y=slice(1, -5), x=slice(5, -1))
    assert float(np.isfinite(inside.dx).mean()) > 0.9
    assert float(abs(inside.dx + 527).quantile(0.99)) < 1
    assert float(abs(inside.dy + 404).quantile(0.99)) < 1


def test_a_prior_and_a_coarse_pass_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match="not both"):
        track(image_pair(), prior=(0.0, 0.0), max_displacement=30, **SMALL)


@pytest.mark.parametrize("chunks", [80, (64, 113)])
def test_prior_and_coarse_pass_have_the_same_bits_lazily(chunks: object) -> None:
    pair = image_pair((192, 192), shift=(12.4, -17.6)).load()
    lazy = pair.chunk(dict(zip(("y", "x"), np.broadcast_to(chunks, 2).tolist(), strict=True)))
    for option in ({"prior": (-170.0, -120.0)}, {"max_displacement": 24}):
        whole = track(pair, template=32, search=6, step=8, **option)
        xr.testing.assert_identical(
            track(lazy, template=32, search=6, step=8, **option).compute(), whole
        )


def test_nested_templates_take_the_smaller_error() -> None:
    steady = track(image_pair(shift=(0.4, 0.2), noise=0.5), nested=(64,), **SMALL)
    middle = steady.isel(y=slice(3, -3), x=slice(3, -3))
    assert set(np.unique(middle.template_size)) == {64}
    pair, truth = flowing_pair(gradient=0.06)
    small = track(pair, **SMALL)
    both = track(pair, nested=(64,), **SMALL)
    assert (both.template_size == 32).mean() > 0.5
    valid = np.isfinite(small.dx) & np.isfinite(both.dx)
    assert bool((both.dx_error <= small.dx_error * 1.3).where(valid, other=True).mean() > 0.9)
    at = truth.interp(y=both.y, x=both.x)
    assert rms(both.dx - at.dx) <= 1.1 * rms(small.dx - at.dx)


def test_nested_sizes_must_share_their_centres() -> None:
    with pytest.raises(ParameterError, match="all even or all odd"):
        track(image_pair(), nested=(49,), **SMALL)


def test_effective_resolution_is_that_of_the_texture() -> None:
    offsets = track(image_pair(shift=(0.4, 0.2)), **SMALL)
    assert float(offsets.effective_resolution.median()) == pytest.approx(320, rel=0.1)
    pair = image_pair(shift=(0.4, 0.2))
    # texture in the left half of each template of one column of posts alone
    pair = pair.where((pair.x - pair.x[0]) < 1280, other=0.01 * pair)
    offsets = track(pair, template=32, search=8, step=16, prefilter="none", min_peak_ratio=1)
    assert float(offsets.effective_resolution[:, 7].median()) == pytest.approx(253, rel=0.1)


@pytest.mark.parametrize("method", ["ncc", "orientation", "phase"])
def test_every_method_finds_the_shift(method: str) -> None:
    pair = image_pair((192, 192), shift=(1.5, -2.25))
    offsets = inner(track(pair, method=method, **SMALL))
    assert float(np.isfinite(offsets.dx).mean()) > 0.6
    assert float(offsets.dx.median()) == pytest.approx(-22.5, abs=0.8)
    assert float(offsets.dy.median()) == pytest.approx(-15.0, abs=0.8)
    noise = pair.assign(secondary=image_pair((192, 192), seed=99).secondary)
    assert float(np.isfinite(inner(track(noise, method=method, **SMALL)).dx).mean()) < 0.1


def test_orientation_does_not_mind_a_change_of_contrast() -> None:
    pair = image_pair((192, 192), shift=(1.0, -2.0))
    bent = pair.assign(secondary=np.exp(2 * pair.secondary))
    offsets = inner(track(bent, method="orientation", **SMALL))
    assert float(offsets.dx.median()) == pytest.approx(-20, abs=0.5)


def test_phase_correlation_says_how_far_it_reaches() -> None:
    with pytest.raises(ParameterError, match="half a template"):
        track(image_pair(), template=32, search=20, method="phase")


def test_complex_images_are_oversampled_before_detection() -> None:
    errors = {}
    for oversample in (1, 2):
        biases = []
        for part in (0.2, 0.4):
            pair = slc_pair(shift=(part, -part), seed=int(10 * part))
            offsets = inner(track(pair, oversample=oversample, **SMALL))
            biases += [offsets.dx + 10 * part, offsets.dy + 10 * part]
        errors[oversample] = np.mean([rms(b) for b in biases]) / 10
    assert errors[2] < 0.05
    assert errors[1] > 1.8 * errors[2]


def test_posts_of_oversampled_images_stay_where_they_are() -> None:
    pair = slc_pair((96, 96))
    plain, fine = (track(pair, oversample=n, **SMALL) for n in (1, 2))
    xr.testing.assert_equal(plain.x, fine.x)
    assert float(fine.template_size.max()) == 32
    assert abs(float(inner(fine).dx.median())) < 0.1


def test_coherent_tracking_is_more_exact_than_speckle() -> None:
    pair = slc_pair(shift=(0.4, -0.3), coherence=0.7)
    coherent, speckle = (inner(track(pair, method=m, **SMALL)) for m in ("coherent", "ncc"))
    assert float(coherent.correlation.median()) == pytest.approx(0.7, abs=0.05)
    assert rms(coherent.dx + 3) < 0.8 * rms(speckle.dx + 3)
    # a phase that turns with the ground belongs to interferometry and is no displacement
    turned = pair.assign(secondary=pair.secondary * np.complex64(np.exp(1j)))
    assert float(abs(inner(track(turned, method="coherent", **SMALL)).dx - coherent.dx).max()) < 0.1


def test_methods_refuse_images_that_do_not_suit() -> None:
    with pytest.raises(InputError, match="needs complex images"):
        track(image_pair(), method="coherent")
    with pytest.raises(InputError, match="amplitude of both"):
        track(slc_pair().assign(reference=abs(slc_pair().reference)))
    with pytest.raises(ParameterError, match="quality"):
        track(image_pair(), method="orientation", mode="quality")


@pytest.mark.parametrize("value", [0.0, 255.0, -9999.0])
def test_frames_and_patches_of_one_value_are_no_ground(value: float) -> None:
    pair = image_pair((256, 256), shift=(0.0, 3.0)).load()
    clean = track(pair, **SMALL)
    for name in ("reference", "secondary"):
        pair[name][:40] = value
        pair[name][120:180, 100:190] = value
    offsets = track(pair, **SMALL)
    rows, cols = 16 * np.arange(offsets.sizes["y"]), 16 * np.arange(offsets.sizes["x"])
    inside = (rows[:, None] + 32 <= 40) | (
        ((rows[:, None] >= 120) & (rows[:, None] + 32 <= 180))
        & ((cols[None, :] >= 100) & (cols[None, :] + 32 <= 190))
    )
    assert inside.any()
    assert not np.isfinite(offsets.dx.values[inside]).any()
    assert ((offsets.flag.values[inside] & int(Flag.LOW_CONTRAST)) > 0).all()
    # what is left is right: no template sticks to the frame, which does not move
    assert float(abs(inner(offsets).dx - 30).max()) < 1.5
    far = (rows[:, None] > 220) & (cols[None, :] >= 0)
    assert np.nanmax(np.abs(offsets.dx.values - clean.dx.values)[far], initial=0) < 0.1


@pytest.mark.parametrize("both", [False, True])
def test_scattered_gaps_cost_little(both: bool) -> None:
    pair = image_pair((256, 256), shift=(0.3, -0.6)).load()
    options = {**SMALL, "step": 8}
    whole = inner(track(pair, **options))
    rng = np.random.default_rng(5)
    for name in ("reference", "secondary")[: 1 + both]:
        pair[name].values[rng.random((256, 256)) < 0.4] = np.nan
    gaps = inner(track(pair, **options))
    assert float(np.isfinite(gaps.dx).mean()) > 0.75
    assert rms(gaps.dx + 6) <= (8 if both else 3) * rms(whole.dx + 6)
    z = ((gaps.dx + 6) / gaps.dx_error).values
    assert 0.6 < 1.4826 * np.nanmedian(np.abs(z)) < 1.6


def test_quality_mode_follows_shear() -> None:
    pair, truth = flowing_pair(gradient=0.03)
    fast, quality = (inner(track(pair, mode=m, **SMALL)) for m in ("fast", "quality"))
    at = truth.interp(y=fast.y, x=fast.x)
    for name in ("dx", "dy"):
        assert rms(quality[name] - at[name]) < 0.5 * rms(fast[name] - at[name])
    # rows run against y: what grows with the rows falls with y
    assert float(quality.dx_dy.median()) == pytest.approx(-0.03, abs=0.001)
    assert float(quality.dy_dx.median()) == pytest.approx(-0.015, abs=0.001)
    assert float(abs(quality.dx_dx).median()) < 0.001
    noisy, _ = flowing_pair(gradient=0.03, noise=0.15)
    quality = inner(track(noisy, mode="quality", **SMALL))
    z = ((quality.dx_dy + 0.03) / quality.dx_dy_error).values
    assert 0.6 < 1.4826 * np.nanmedian(np.abs(z)) < 1.6


def test_errors_are_calibrated_where_the_ground_shears() -> None:
    ratios = []
    for seed in range(3):
        pair, truth = flowing_pair(gradient=0.04, seed=seed)
        offsets = inner(track(pair, **SMALL))
        at = truth.interp(y=offsets.y, x=offsets.x)
        ratios += [
            ((offsets[name] - at[name]) / offsets[f"{name}_error"]).values.ravel()
            for name in ("dx", "dy")
        ]
    z = np.concatenate(ratios)
    z = z[np.isfinite(z)]
    assert 0.7 < 1.4826 * np.median(np.abs(z)) < 1.4
    assert 0.55 < (np.abs(z) < 1).mean() < 0.8


def test_an_integer_shift_is_exact() -> None:
    image = image_pair((160, 160), noise=0).reference
    pair = xr.Dataset({"reference": image, "secondary": image.roll(x=-3, y=2)})
    offsets = inner(track(pair, **SMALL))
    middle = offsets.isel(y=slice(1, -1), x=slice(1, -1))
    assert float(abs(middle.dx + 30).max()) < 1e-3
    assert float(abs(middle.dy + 20).max()) < 1e-3
    assert float(middle.correlation.min()) > 0.9999


@pytest.mark.parametrize("step", [1, 4, 16, 17, 32, 64, 200])
def test_a_tile_needs_little_memory_whatever_the_step(step: int) -> None:
    image = ("y", "x"), np.broadcast_to(np.float32(0), (9000, 9000))
    grid = {"y": -10.0 * np.arange(9000), "x": 10.0 * np.arange(9000)}
    pair = xr.Dataset({"reference": image, "secondary": image}, grid)
    posts = parameters_of(pair, template=64, step=step).tile
    pixels = [(n - 1) * step + 64 for n in posts]
    assert pixels[0] * pixels[1] < 2.6e6 or posts == (8, 8)
    assert step > 16 or posts[0] > 60  # where tiles are small anyway the kernels' lanes are filled
