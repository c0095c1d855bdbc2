"""Outliers, small objects, holes and smoothing: each test with its own bit."""

from __future__ import annotations

import itertools

import dask
import numpy as np
import pytest
import xarray as xr
from scenes import offset_field

import glaciertoolkit as gt
from glaciertoolkit.conventions import Flag

STEEP = 20.0
"""Metres over the width of a margin."""


def never(*_args: object, **_kwargs: object) -> None:
    raise AssertionError("computed early")


def has(out: xr.Dataset, bit: Flag) -> np.ndarray:
    return (out.flag.values & np.uint32(bit)) > 0


def margin_scene(seed: int, angle: float) -> tuple[xr.Dataset, xr.Dataset, np.ndarray, np.ndarray]:
    """A glacier between margins of 1 m per post of 12 m, 10 % and 5 % (5 x 5) outliers."""
    ds = offset_field((160, 160), step=4, template=32, spacing=12.0, seed=seed)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:160, :160] - 80.0
    across = np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y
    glacier = np.clip(30 - np.abs(across), 0, STEEP)
    for name, part in (("dx", np.sin), ("dy", np.cos)):
        ds[name] = (ds[name] + glacier * np.abs(part(np.radians(angle + 60)))).astype(np.float32)
    truth = ds.copy(deep=True)
    bad = rng.random((160, 160)) < 0.10
    for y0, x0 in rng.integers(0, 155, (51, 2)):
        bad[y0 : y0 + 5, x0 : x0 + 5] = True
    for name in ("dx", "dy"):
        wrong = rng.uniform(-60, 60, bad.shape).astype(np.float32)
        ds[name] = ds[name].where(~xr.DataArray(bad, dims=("y", "x")), wrong)
    return ds, truth, bad, (glacier > 0) & (glacier < STEEP)


def judged(
    out: xr.Dataset, ds: xr.Dataset, truth: xr.Dataset, bad: np.ndarray, margin: np.ndarray
) -> tuple[float, float, float]:
    """Recall of outliers, share of good posts lost, bias in the margins."""
    lost = np.isnan(out.dx.values)
    # A wrong match that hits the truth to a pixel is no outlier.
    far = np.hypot(*(ds[k].values - truth[k].values for k in ("dx", "dy"))) > 3
    kept = margin & ~lost
    error = [(out[k].values - truth[k].values)[kept] for k in ("dx", "dy")]
    bias = max(abs(float(e.mean())) for e in error) if kept.any() else np.nan
    return float(lost[bad & far].mean()), float(lost[~bad].mean()), bias


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0])
@pytest.mark.parametrize("seed", range(4))
def test_outliers_are_found_and_margins_kept(seed: int, angle: float) -> None:
    scene = margin_scene(seed, angle)
    recall, lost, bias = judged(gt.filter_noise(scene[0]), *scene)
    assert recall > 0.95
    assert lost < 0.03
    assert bias < 0.05
    # what fails: no filter; and one that is too strict for a margin
    off = gt.filter_noise(scene[0], disparity_share=0, median_threshold=np.inf, min_island=0)
    assert judged(off, *scene)[0] == 0
    strict = gt.filter_noise(
        scene[0], disparity_reach=0.02, median_threshold=1.0, median_floor=0.02
    )
    assert judged(strict, *scene)[1] > 0.1


def calm(**variables: np.ndarray) -> xr.Dataset:
    """A field that moves by 9 m everywhere, hardly noisy."""
    ds = offset_field((60, 80), noise=0.02)
    ds["dx"] = (ds.dx + 9).astype(np.float32)
    shape = ds.dx.shape
    for name in ("correlation", "snr", "peak_ratio"):
        ds[name] = (("y", "x"), np.full(shape, 5.0, np.float32))
    return ds.assign({k: (("y", "x"), v) for k, v in variables.items()})


OFF = {"disparity_share": 0, "median_threshold": np.inf, "min_island": 0}


@pytest.mark.parametrize(
    ("option", "variable", "bit"),
    [
        ("min_correlation", "correlation", Flag.LOW_CORRELATION),
        ("min_snr", "snr", Flag.LOW_SNR),
        ("min_peak_ratio", "peak_ratio", Flag.AMBIGUOUS_PEAK),
    ],
)
def test_a_threshold_takes_what_lies_below_it(option: str, variable: str, bit: Flag) -> None:
    ds = calm()
    ds[variable][10:14, 20:30] = 1.0
    ds["dx"][12, 20:25] = np.nan
    out = gt.filter_noise(ds, **OFF, **{option: 2.0})
    want = np.zeros(ds.dx.shape, bool)
    want[10:14, 20:30] = True
    want[12, 20:25] = False
    np.testing.assert_array_equal(has(out, bit), want)
    assert np.isnan(out.dx.values[want]).all()
    lazy = gt.filter_noise(ds.chunk({"y": 17, "x": 31}), **OFF, **{option: 2.0})
    xr.testing.assert_identical(lazy.compute(), out)
    with pytest.raises(gt.GlacierToolkitError, match=variable):
        gt.filter_noise(ds.drop_vars(variable), **{option: 2.0})


def test_direction_is_judged_only_where_something_moves() -> None:
    ds = calm()
    ds["dx"][30, 40], ds["dy"][30, 40] = 0.0, 9.0
    # Slow ice: noise turns it anywhere.
    rng = np.random.default_rng(0)
    for name in ("dx", "dy"):
        ds[name][:, 60:] = rng.normal(0, 0.2, (60, 20))
    out = gt.filter_noise(ds, **OFF, max_turn=45)
    want = np.zeros(ds.dx.shape, bool)
    want[30, 40] = True
    np.testing.assert_array_equal(has(out, Flag.OUTLIER_DIRECTION), want)
    assert not has(gt.filter_noise(ds, **OFF, max_turn=100), Flag.OUTLIER_DIRECTION).any()
    assert not has(gt.filter_noise(ds, **OFF), Flag.OUTLIER_DIRECTION).any()


def test_strain_beyond_what_ice_allows() -> None:
    ds = calm()
    days = 29 / 365.25
    ramp = 12.0 * days * xr.DataArray(np.arange(80), dims="x")  # a gradient of 1 per year
    steeper = xr.DataArray(np.where(np.arange(60) < 40, 1.0, 4.0), dims="y")
    ds["dx"] = (ds.dx + steeper * ramp).astype(np.float32)
    out = gt.filter_noise(ds, **OFF, max_strain=2.0)
    found = has(out, Flag.IMPLAUSIBLE_STRAIN)
    assert not found[:36].any()
    assert found[44:, 4:-4].all()
    # One wrong post is an outlier, no strain.
    ds = calm()
    ds["dx"][30, 40] = 40.0
    alone = has(gt.filter_noise(ds, **OFF, max_strain=0.5), Flag.IMPLAUSIBLE_STRAIN)
    assert not alone.any()


def test_small_holes_are_filled_from_their_rims() -> None:
    ds = calm(dx_error=np.full((60, 80), 0.5, np.float32))
    ds["dx"] = (ds.dx + np.arange(80) * 0.8 - np.arange(60)[:, None] * 0.3).astype(np.float32)
    truth = ds.dx.copy(deep=True)
    holes = {"one": (20, 20), "three": (30, slice(40, 43)), "large": (slice(40, 43), 10)}
    edge = (0, 50)
    for where in (*holes.values(), edge):
        for name in ("dx", "dy"):
            ds[name][where] = np.nan
        ds["flag"][where] = Flag.LOW_SNR
    ds["dx_error"] = ds.dx_error.where(np.isfinite(ds.dx))
    ds["dx"][43, 10] = ds["dy"][43, 10] = np.nan
    out = gt.filter_noise(ds, **OFF, fill=3)
    filled = has(out, Flag.FILLED)
    assert filled.sum() == 4
    for name in ("one", "three"):
        assert filled[holes[name]].all()
        # The bit that says why it was missing stays, and the slope goes on through the hole.
        assert has(out, Flag.LOW_SNR)[holes[name]].all()
        gap = np.abs(out.dx.values - truth.values)[holes[name]]
        assert gap.max() < 0.08
        assert (out.dx_error.values[holes[name]] >= 0.5).all()
        assert (out.dx_error.values[holes[name]] < 0.52).all()
    assert np.isnan(out.dx.values[edge])
    assert np.isnan(out.dx.values[holes["large"]]).all()
    assert not has(gt.filter_noise(ds, **OFF), Flag.FILLED).any()


@pytest.mark.parametrize("smoothing", ["median", "gaussian", "nonlocal"])
def test_smoothing_takes_noise_from_the_components(smoothing: str) -> None:
    ds = offset_field((80, 80), noise=0.25)
    step = np.where(np.arange(80) < 40, 0.0, 9.0)
    truth = ds.copy(deep=True)
    truth["dx"] = truth.dx * 0 + step
    ds["dx"] = (ds.dx + step).astype(np.float32)
    ds["dx"][5:7, 5:9] = np.nan
    ds["dy"][5:7, 5:9] = np.nan
    out = gt.filter_noise(ds, **OFF, smooth=2, smoothing=smoothing)
    inside = (slice(10, 70), slice(4, 34))
    noise = [np.std((d.dx - truth.dx).values[inside]) for d in (ds, out)]
    assert noise[1] < 0.5 * noise[0]
    assert np.isnan(out.dx.values[5:7, 5:9]).all()
    np.testing.assert_array_equal(has(out, Flag.SMOOTHED), np.isfinite(ds.dx.values))
    edge = np.abs((out.dx - truth.dx).values[10:70, 39:41]).mean()
    assert edge > 1 if smoothing == "gaussian" else edge < 0.3
    # The mean of the speed would grow with the noise; that of the components does not.
    still = offset_field((80, 80), noise=0.25)
    calmer = gt.filter_noise(still, **OFF, smooth=3, smoothing=smoothing)
    assert abs(float(calmer.dx.mean() - still.dx.mean())) < 0.01
    assert float(np.hypot(calmer.dx, calmer.dy).mean()) < 0.5 * float(
        np.hypot(still.dx, still.dy).mean()
    )


EVERYTHING = {
    "max_speed": 2.0, "min_snr": 2.0, "max_turn": 40.0, "max_strain": 8.0, "fill": 4, "smooth": 1,
}  # fmt: skip


@pytest.mark.parametrize("smoothing", ["median", "gaussian", "nonlocal"])
def test_the_same_bits_for_any_chunks_and_nothing_early(
    smoothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small tiles, so that their seams are there to be seen.
    monkeypatch.setattr("glaciertoolkit.correction.noise.TILE_POSTS", 40)
    ds, *_ = margin_scene(3, 37.0)
    ds["snr"] = (("y", "x"), np.random.default_rng(0).uniform(1.9, 9, (160, 160)).astype("f4"))
    whole = gt.filter_noise(ds, **EVERYTHING, smoothing=smoothing)
    for bit in (Flag.LOW_SNR, Flag.TOO_FAST, Flag.OUTLIER_MEDIAN, Flag.FILLED, Flag.SMOOTHED):
        assert has(whole, bit).any(), bit
    for chunks, scheduler in itertools.product(
        ({"y": 160, "x": 160}, {"y": 33, "x": 71}), ("threads", "synchronous")
    ):
        lazy = gt.filter_noise(ds.chunk(chunks), **EVERYTHING, smoothing=smoothing)
        assert dask.is_dask_collection(lazy.dx.data)
        with dask.config.set(scheduler=scheduler):
            xr.testing.assert_identical(lazy.compute(), whole)
        with dask.config.set(scheduler=never), pytest.raises(AssertionError, match="early"):
            lazy.dx.compute()
    # One tile for all: no seam shows.
    monkeypatch.setattr("glaciertoolkit.correction.noise.TILE_POSTS", 512)
    seamless = gt.filter_noise(ds, **EVERYTHING, smoothing=smoothing)
    xr.testing.assert_allclose(seamless, whole, atol=1e-4)
    np.testing.assert_array_equal(seamless.flag, whole.flag)


def test_missing_posts_get_no_new_bits() -> None:
    ds, *_ = margin_scene(1, 0.0)
    gone = np.random.default_rng(1).random(ds.dx.shape) < 0.1
    for name in ("dx", "dy"):
        ds[name] = ds[name].where(~xr.DataArray(gone, dims=("y", "x")))
    ds["flag"] = (("y", "x"), np.where(gone, np.uint32(Flag.SEARCH_EDGE), np.uint32(0)))
    options = {k: v for k, v in EVERYTHING.items() if k not in ("fill", "min_snr")}
    out = gt.filter_noise(ds, **options)
    assert (out.flag.values[gone] == np.uint32(Flag.SEARCH_EDGE)).all()
    assert (out.flag.values[~gone] & np.uint32(Flag.SEARCH_EDGE) == 0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_turn": 0}, "max_turn must lie"),
        ({"max_strain": -1.0}, "max_strain must be a positive"),
        ({"fill": 99}, "fill must lie"),
        ({"fill": None}, "fill must lie"),
        ({"max_turn": "30"}, "max_turn must lie"),
        ({"fill": 1.5}, "fill must be a whole number"),
        ({"smoothing": "bilateral"}, "smoothing must be one of"),
        ({"smooth": 1, "smoothing": "nonlocal", "median_floor": 0}, "noise level"),
        ({"min_snr": -1}, "min_snr must be 0 or more"),
        ({"min_snr": np.nan}, "min_snr must be 0 or more"),
    ],
)
def test_bad_options_are_said(options: dict, words: str) -> None:
    with pytest.raises(gt.GlacierToolkitError, match=words):
        gt.filter_noise(calm(), **options)
