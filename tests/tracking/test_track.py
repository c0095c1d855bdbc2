"""Tracking against exact truth: sub-pixel shifts, signs, coordinates, flags, laziness."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import image_pair

from glaciertoolkit import track
from glaciertoolkit.conventions import DOUBTFUL, Flag
from glaciertoolkit.errors import GridError, InputError, MissingVariableError, ParameterError

SMALL = {"template": 32, "search": 8, "step": 16}


def inner(ds: xr.Dataset) -> xr.Dataset:
    return ds.where((ds.flag == 0).compute())


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -2.6), (-0.5, 0.25), (4.0, -3.0)])
def test_recovers_subpixel_shifts_in_metres_along_the_axes(shift: tuple[float, float]) -> None:
    offsets = inner(track(image_pair(shift=shift), **SMALL))
    # x grows with columns, y falls with rows
    assert float(offsets.dx.median()) == pytest.approx(10 * shift[1], abs=0.05)
    assert float(offsets.dy.median()) == pytest.approx(-10 * shift[0], abs=0.05)
    assert float(offsets.dx.std()) < 0.08
    assert float(offsets.dy.std()) < 0.08


def test_no_peak_locking() -> None:
    biases = []
    for part in np.arange(0, 1.01, 0.125):
        offsets = inner(track(image_pair(shift=(part, -part)), **SMALL))
        biases.append(float(offsets.dx.mean()) / 10 + part)
    assert np.sqrt(np.mean(np.square(biases))) < 0.003
    assert np.max(np.abs(biases)) < 0.006


def test_posts_are_the_geometric_centres_of_their_templates() -> None:
    pair = image_pair((100, 140))
    offsets = track(pair, template={"y": 32, "x": 24}, search=4, step={"y": 8, "x": 12})
    assert offsets.sizes == {"y": (100 - 32) // 8 + 1, "x": (140 - 24) // 12 + 1}
    assert float(offsets.x[0]) == float(pair.x[0]) + 10 * 11.5
    assert float(offsets.y[0]) == float(pair.y[0]) - 10 * 15.5
    assert float(offsets.x[1] - offsets.x[0]) == 120
    assert float(offsets.y[1] - offsets.y[0]) == -80
    assert offsets.attrs["template"] == [32, 24]


@pytest.mark.parametrize(("template", "step"), [(32, 16), (33, 7), (32, 5), (24, 12), (20, 40)])
def test_any_step_and_template(template: int, step: int) -> None:
    offsets = inner(track(image_pair(shift=(0.7, 1.2)), template=template, search=5, step=step))
    assert float(offsets.dx.median()) == pytest.approx(12, abs=0.1)
    assert float(offsets.dy.median()) == pytest.approx(-7, abs=0.1)


def test_same_scores_as_the_definition_of_zncc() -> None:
    pair = image_pair((64, 64), shift=(1.0, 2.0), noise=0.5)
    offsets = track(pair, template=32, search=4, step=16, prefilter="none")
    a = pair.reference.values[16:48, 16:48].astype(float)
    b = pair.secondary.values[17:49, 18:50].astype(float)
    expected = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    # the interpolated peak is a little higher than its highest sample
    assert float(offsets.correlation[1, 1]) == pytest.approx(expected, abs=0.01)


def test_missing_pixels_carry_no_weight() -> None:
    pair = image_pair(shift=(0.4, -1.3))
    rng = np.random.default_rng(3)
    holes = xr.DataArray(rng.random(pair.reference.shape) < 0.3, dims=("y", "x"))
    spoilt = pair.assign(reference=pair.reference.where(~holes))
    offsets = inner(track(spoilt, **SMALL))
    whole = inner(track(pair, **SMALL))
    error = np.sqrt(float(((offsets.dx + 13) ** 2).mean()))
    assert error < 3 * max(np.sqrt(float(((whole.dx + 13) ** 2).mean())), 0.05)
    assert float(offsets.dx.notnull().mean()) > 0.5


def test_flags_say_why() -> None:
    pair = image_pair((320, 320), shift=(0.0, 1.0)).load()
    pair.reference[:100, :100] = np.nan
    pair.reference[200:, 200:] = 7.0
    offsets = track(pair, template=32, search=6, step=16)
    corner = {"y": slice(0, 3), "x": slice(0, 3)}
    assert (offsets.flag.isel(corner) & int(Flag.NODATA)).all()
    flat = {"y": slice(-5, None), "x": slice(-5, None)}
    assert (offsets.flag.isel(flat) & int(Flag.LOW_CONTRAST)).all()
    assert np.isnan(offsets.dx.isel(corner)).all()
    assert np.isnan(offsets.dx.isel(flat)).all()
    good = offsets.isel(y=slice(8, 11), x=slice(2, 8))
    assert float(abs(good.dx - 10).max()) < 0.1


def test_value_is_nan_exactly_where_a_flag_forbids_it() -> None:
    pair = image_pair(noise=2.0)
    offsets = track(pair, **SMALL)
    forbidden = (offsets.flag & np.uint32(~np.uint32(DOUBTFUL))) > 0
    assert bool(forbidden.any())
    for name in ("dx", "dy", "dx_error", "dy_error"):
        assert bool((np.isnan(offsets[name]) == forbidden).all()), name


def test_displacement_beyond_the_search_is_flagged_not_invented() -> None:
    offsets = track(image_pair(shift=(0.0, 20.0)), **SMALL)
    assert float(offsets.dx.notnull().mean()) < 0.1


def test_constant_and_empty_images_give_flags_not_exceptions() -> None:
    pair = image_pair((64, 64))
    for value, flag in ((5.0, Flag.LOW_CONTRAST), (np.nan, Flag.NODATA)):
        offsets = track(pair.assign(reference=xr.full_like(pair.reference, value)), **SMALL)
        assert np.isnan(offsets.dx).all()
        assert ((offsets.flag & int(flag)) > 0).all()


def test_units_types_and_grid_mapping() -> None:
    pair = image_pair((64, 64)).rio.write_crs(32645)
    offsets = track(pair, **SMALL)
    assert offsets.dx.attrs["units"] == "m"
    assert offsets.dxdy_covariance.attrs["units"] == "m2"
    assert offsets.dx.dtype == np.float32
    assert offsets.flag.dtype == np.uint32
    assert offsets.rio.crs.to_epsg() == 32645
    assert offsets.reference_time == pair.reference_time
    meanings = offsets.flag.attrs["flag_meanings"].split()
    assert len(meanings) == len(offsets.flag.attrs["flag_masks"])


def test_error_estimate_is_calibrated_on_noisy_pairs() -> None:
    ratios = []
    for seed in range(3):
        pair = image_pair((512, 512), shift=(0.3, -0.6), noise=1.0, seed=10 * seed)
        offsets = inner(track(pair, template=32, search=6, step=32))
        for name, truth in (("dx", -6.0), ("dy", -3.0)):
            ratios.append(((offsets[name] - truth) / offsets[f"{name}_error"]).values.ravel())
    z = np.concatenate(ratios)
    z = z[np.isfinite(z)]
    assert 0.8 < 1.4826 * np.median(np.abs(z)) < 1.25
    assert 0.60 < (np.abs(z) < 1).mean() < 0.76


@given(gain=st.floats(0.01, 1000), bias=st.floats(-1000, 1000))
@settings(max_examples=10, deadline=None)
def test_gain_and_bias_of_one_image_change_nothing(gain: float, bias: float) -> None:
    pair = image_pair((96, 96), shift=(0.3, 0.8))
    before = track(pair, **SMALL)
    after = track(pair.assign(secondary=(pair.secondary * gain + bias * gain)), **SMALL)
    xr.testing.assert_allclose(before.dx, after.dx, atol=0.05)


def test_swapping_the_images_turns_the_sign() -> None:
    pair = image_pair(shift=(0.6, 1.4))
    there = inner(track(pair, **SMALL))
    back = inner(track(pair.rename(reference="secondary", secondary="reference"), **SMALL))
    assert float(there.dx.median() + back.dx.median()) == pytest.approx(0, abs=0.05)
    assert float(there.dy.median() + back.dy.median()) == pytest.approx(0, abs=0.05)


def test_a_nan_spreads_no_further_than_its_windows() -> None:
    pair = image_pair((256, 256), shift=(0.2, 0.3)).load()
    spoilt = pair.copy(deep=True)
    spoilt.secondary[120:124, 120:124] = np.nan
    kwargs = {**SMALL, "prefilter": "none"}
    a, b = track(pair, **kwargs), track(spoilt, **kwargs)
    reach = 10 * (16 + 8 + 4)
    far = (abs(a.x - pair.x[122]) > reach) | (abs(a.y - pair.y[122]) > reach)
    difference = abs(a.dx - b.dx).where(far)
    assert float(difference.max()) < 0.02


@pytest.mark.parametrize("chunks", [(64, 64), (100, 131), (37, 50), (256, 7), (301, 415)])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_same_bits_for_every_chunking_and_scheduler(
    chunks: tuple[int, int], scheduler: str
) -> None:
    pair = image_pair((256, 256), shift=(1.2, -0.4)).load()
    pair.secondary[30:60, 40:80] = np.nan
    eager = track(pair, template=32, search=4, step=2)
    lazy = track(pair.chunk({"y": chunks[0], "x": chunks[1]}), template=32, search=4, step=2)
    assert dask.is_dask_collection(lazy)
    with dask.config.set(scheduler=scheduler):
        xr.testing.assert_identical(lazy.compute(), eager)


class Raises:
    """A scheduler that proves that nothing was computed."""

    def __call__(self, *_args: object, **_kwargs: object) -> None:
        raise RuntimeError("computed too early")


def test_building_the_graph_computes_nothing() -> None:
    with dask.config.set(scheduler=Raises()):
        lazy = track(image_pair().chunk(64), **SMALL)
    assert dask.is_dask_collection(lazy)
    with dask.config.set(scheduler=Raises()), pytest.raises(RuntimeError, match="too early"):
        lazy.compute()


def test_input_is_left_alone() -> None:
    pair = image_pair((64, 64))
    before = pair.copy(deep=True)
    track(pair, **SMALL)
    xr.testing.assert_identical(pair, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": 300}, "fewer than the template"),
        ({"template": 2}, "holds nothing to match"),
        ({"template": 31.5}, "whole pixels"),
        ({"search": 0}, "1 or more"),
        ({"step": {"y": 4}}, "int or"),
        ({"method": "magic"}, "method must be one of"),
        ({"prefilter": "sharpen"}, "prefilter must be one of"),
        ({"false_alarm": 0}, "false_alarm must lie between"),
        ({"min_valid": 0}, "min_valid must lie between"),
        ({"min_peak_ratio": 0.5}, "min_peak_ratio must lie between"),
        ({"mode": "best"}, "mode must be one of"),
        ({"nested": 64}, "sequence of template sizes"),
        ({"oversample": 3}, "oversample must be 1 or 2"),
        ({"prefilter_width": 8}, "odd number of pixels"),
        ({"prefilter_width": "wide"}, "odd number of pixels"),
        ({"max_displacement": -3}, "max_displacement must be whole pixels"),
        ({"prior": 5}, "prior"),
    ],
)
def test_parameters_out_of_range(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        track(image_pair(), **{**SMALL, **change})


def test_wrong_input_is_explained() -> None:
    pair = image_pair((64, 64))
    with pytest.raises(MissingVariableError, match="open_pair"):
        track(pair[["reference"]], **SMALL)
    with pytest.raises(InputError, match="amplitude"):
        track(pair.assign(reference=pair.reference.astype(complex)), **SMALL)
    with pytest.raises(GridError, match="evenly spaced"):
        track(pair.assign_coords(x=np.arange(64.0) ** 1.5), **SMALL)
    with pytest.raises(InputError, match="dimensions"):
        track(pair.expand_dims("time"), **SMALL)
