"""Corrections against known surfaces, each with a negative control of its own."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from scenes import image_pair, normalised, offset_field

from glaciertoolkit.conventions import Flag
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.deformation import remove_deformation
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.topography import remove_topography
from glaciertoolkit.errors import (
    GlacierToolkitWarning,
    InputError,
    NotComputedError,
    ParameterError,
    StableTerrainError,
)
from glaciertoolkit.robust import nmad
from glaciertoolkit.tracking.track import track


def hills(ds: xr.Dataset, relief: float = 800.0) -> xr.DataArray:
    """Elevation that position does not explain."""
    x, y = normalised(ds)
    z = 4000 + relief / 2 * np.sin(7 * x) * np.cos(6 * y)
    return z.transpose("y", "x").astype(np.float32).rio.write_crs(32645)


def quadratic(ds: xr.Dataset, amplitude: float) -> xr.DataArray:
    x, y = normalised(ds)
    return amplitude * (0.3 + 0.5 * x - 0.4 * y + 0.2 * x**2 - 0.3 * x * y + 0.1 * y**2)


def ice_block(ds: xr.Dataset) -> xr.DataArray:
    x, y = normalised(ds)
    return ((abs(x) < 0.7) & (abs(y) < 0.85)).transpose("y", "x")


@pytest.fixture
def scene() -> dict[str, xr.DataArray | xr.Dataset]:
    """Noise plus an order-2 surface, a topographic offset, 25 % outliers and a moving block."""
    ds = offset_field()
    rng = np.random.default_rng(1)
    dem, ice = hills(ds), ice_block(ds)
    surface = quadratic(ds, 15.0)
    ds["dx"] = (ds.dx + surface + 0.004 * (dem - 4000)).astype(np.float32)
    ds["dy"] = (ds.dy - 0.5 * surface).astype(np.float32)
    bad = xr.DataArray(rng.random(ds.dx.shape) < 0.25, dims=("y", "x"))
    for name in ("dx", "dy"):
        wrong = rng.uniform(-60, 60, ds.dx.shape)
        ds[name] = xr.where(bad, wrong, ds[name] + 9.0 * ice).astype(np.float32)
    return {
        "ds": ds.assign_attrs(ds.attrs).rio.write_crs(32645),
        "dem": dem,
        "ice": ice,
        "bad": bad,
        "surface": surface,
    }


def test_surface_is_recovered_under_outliers_and_moving_ice(scene: dict) -> None:
    out = remove_deformation(scene["ds"], stable=~scene["ice"], order=2)
    # y has no topographic term; the surface is right to 0.03 pixels of 3 m
    error = out.dy_deformation - (-0.5 * scene["surface"])
    assert float(np.sqrt((error**2).mean())) < 0.09
    guard = remove_deformation(scene["ds"], stable=True, order=2)
    error = guard.dy_deformation - (-0.5 * scene["surface"])
    assert float(np.sqrt((error**2).mean())) > 0.09


def test_joint_fit_recovers_topography_and_ice(scene: dict) -> None:
    out = correct(scene["ds"], stable=~scene["ice"], dem=scene["dem"])
    coefficient = out.topography_coefficient.sel(component="x")
    assert float(coefficient) == pytest.approx(0.004, rel=0.03)
    error = out.topography_coefficient_error.sel(component="x")
    assert abs(float(coefficient) - 0.004) < 4 * float(error)
    ice = scene["ice"] & ~scene["bad"]
    assert float(out.dx.where(ice).median()) == pytest.approx(9, abs=0.05)
    assert float(out.dy.where(ice).median()) == pytest.approx(9, abs=0.05)
    total = out.dx + out.dx_deformation + out.dx_topography
    kept = np.isfinite(out.dx)
    xr.testing.assert_allclose(total.where(kept), scene["ds"].dx.where(kept), atol=1e-4)


@pytest.mark.parametrize("left_out", ["deformation", "topography", "noise"])
def test_each_step_matters(scene: dict, left_out: str) -> None:
    def figures(ds: xr.Dataset) -> tuple[float, float]:
        residual = ds.dx.where(ds.stable).values
        residual = residual[np.isfinite(residual)]
        return nmad(residual), float(np.percentile(np.abs(residual), 95))

    whole = figures(correct(scene["ds"], stable=~scene["ice"], dem=scene["dem"]))
    assert whole[0] < 0.15
    assert whole[1] < 0.5
    options = {left_out: False}
    part = figures(correct(scene["ds"], stable=~scene["ice"], dem=scene["dem"], **options))
    which = 1 if left_out == "noise" else 0
    assert part[which] > 2 * whole[which]


def test_outliers_are_found_and_margins_kept() -> None:
    ds = offset_field((160, 160), step=4, template=32, spacing=12.0)
    rng = np.random.default_rng(5)
    x = xr.DataArray(np.arange(160.0), dims="x")
    glacier = np.clip(30 - abs(x - 80), 0, 20)
    ds["dx"] = (ds.dx + glacier).transpose("y", "x").astype(np.float32)
    truth = ds.dx.copy(deep=True)
    bad = rng.random((160, 160)) < 0.10
    for y0, x0 in rng.integers(0, 155, (50, 2)):
        bad[y0 : y0 + 5, x0 : x0 + 5] = True
    wrong = rng.uniform(-60, 60, bad.shape).astype(np.float32)
    ds["dx"] = ds.dx.where(~bad, wrong)
    ds["dy"] = ds.dy.where(~bad, wrong[::-1])
    out = filter_noise(ds)
    lost = np.isnan(out.dx.values)
    really = bad & (np.abs(ds.dx - truth).values > 3)
    assert lost[really].mean() > 0.95
    assert lost[~bad].mean() < 0.03
    margin = (glacier > 0) & (glacier < 20)
    bias = (out.dx - truth).where(margin & ~xr.DataArray(bad, dims=("y", "x")))
    assert abs(float(bias.mean())) < 0.05
    assert (out.flag.values[lost] > 0).all()


def test_holdout_is_larger_than_fit_and_folds_are_spatial(scene: dict) -> None:
    out = correct(scene["ds"], stable=~scene["ice"], dem=scene["dem"])
    assert set(np.unique(out.stable_fold)) == {-1, 0, 1, 2, 3}
    assert bool(((out.stable_fold >= 0) == out.stable).all())
    stable = out.stable & np.isfinite(out.dx)
    assert bool((np.isfinite(out.dx_holdout) == stable).all())
    fit, held = (nmad(out[k].where(stable)) for k in ("dx", "dx_holdout"))
    assert held >= 0.98 * fit
    assert held != fit


@pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")
@pytest.mark.parametrize("folds", [2, 3, 4, 5])
def test_a_fold_is_judged_by_a_fit_that_never_saw_it(folds: int) -> None:
    ds = offset_field()
    options = {"stable": True, "order": 1, "noise": False, "folds": folds}
    before = correct(ds, **options)
    first = before.stable_fold == 0
    after = correct(ds.assign(dx=(ds.dx + 5 * first).astype(np.float32)), **options)
    moved = (after.dx_holdout - before.dx_holdout).where(first)
    assert float(abs(moved - 5).max()) < 1e-4


def test_errors_explain_the_holdout_residuals(scene: dict) -> None:
    ds = scene["ds"].assign(dx_error=scene["ds"].dx_error / 3)
    out = correct(ds, stable=~scene["ice"], dem=scene["dem"])
    assert nmad(out.dx_holdout / out.dx_error) == pytest.approx(1, abs=0.05)
    assert float(out.error_scale.sel(component="x")) == pytest.approx(3, rel=0.15)


def test_too_little_ground_lowers_the_order_and_says_so() -> None:
    ds = offset_field()
    stable = xr.zeros_like(ds.dx, dtype=bool)
    stable[:24, :24] = True
    with pytest.warns(GlacierToolkitWarning, match="reduced from order 2 .* independent stable"):
        out = remove_deformation(ds, stable=stable, order=2)
    assert int(out.deformation_order) < 2
    assert "reduced" in str(out.correction_warnings.item())


def test_ground_in_one_corner_is_not_extrapolated_over_the_scene() -> None:
    ds = offset_field()
    stable = xr.zeros_like(ds.dx, dtype=bool)
    stable[:48, :48] = True
    with pytest.warns(GlacierToolkitWarning, match="covers too little"):
        out = remove_deformation(ds, stable=stable, order=2)
    assert int(out.deformation_order) == 0


def test_unidentifiable_topography_is_dropped_with_a_warning() -> None:
    ds = offset_field()
    x, y = normalised(ds)
    ramp = (4000 + 500 * x + 0 * y).transpose("y", "x").astype(np.float32).rio.write_crs(32645)
    with pytest.warns(GlacierToolkitWarning) as caught:
        out = correct(ds, stable=True, dem=ramp)
    words = " ".join(str(w.message) for w in caught)
    assert "hard to tell apart" in words
    assert "without topography" in words
    assert "dx_topography" not in out


def test_extrapolation_beyond_the_stable_heights_is_flagged() -> None:
    ds = offset_field()
    dem = hills(ds)
    low = dem < 4200
    out = correct(ds, stable=low, dem=dem)
    high = (out.flag & np.uint32(Flag.EXTRAPOLATED)) > 0
    assert bool(high.where(out.elevation > 4200, True).all())
    assert np.isfinite(out.dx.where(high)).any()


def test_posts_without_elevation_are_nan_and_flagged() -> None:
    ds = offset_field()
    dem = hills(ds).isel(x=slice(0, 150))
    out = correct(ds, stable=True, dem=dem)
    outside = out.isel(x=slice(160, None))
    assert np.isnan(outside.dx).all()
    assert ((outside.flag & np.uint32(Flag.NO_DEM)) > 0).all()


def test_single_steps_agree_with_the_joint_fit_where_terms_are_independent(scene: dict) -> None:
    stable = ~scene["ice"]
    steps = remove_deformation(scene["ds"], stable=stable, order=2)
    steps = remove_topography(steps, stable=stable, dem=scene["dem"])
    joint = correct(scene["ds"], stable=stable, dem=scene["dem"])
    assert float(abs(steps.dx - joint.dx).median()) < 0.1
    assert {"dx_deformation", "dx_topography", "topography_coefficient"} <= set(steps)
    assert "deformation_coefficients" in steps


def test_corrections_are_lazy_on_computed_offsets(scene: dict) -> None:
    ds = scene["ds"]
    lazy = ds.chunk({"y": 77, "x": 63})
    out = correct(lazy, stable=~scene["ice"], dem=scene["dem"])
    eager = correct(ds, stable=~scene["ice"], dem=scene["dem"])
    assert dask.is_dask_collection(out.dx.data)
    for name in ("dx", "dy", "flag", "dx_holdout", "dx_topography"):
        xr.testing.assert_identical(out[name].compute(), eager[name])


def test_pending_tracking_is_refused_with_the_way_out() -> None:
    offsets = track(image_pair().chunk(128), template=32, search=4, step=16)
    with pytest.raises(NotComputedError, match="checkpoint"):
        remove_deformation(offsets, stable=True, order=0)
    assert remove_deformation(offsets.compute(), stable=True, order=0)


def test_bad_input_is_explained() -> None:
    ds = offset_field((40, 40))
    with pytest.raises(StableTerrainError, match="stable_terrain"):
        remove_deformation(ds, stable=None)
    with pytest.raises(ParameterError, match="order must be one of"):
        remove_deformation(ds, stable=True, order=7)
    with pytest.raises(ParameterError, match="folds must be"):
        correct(ds, stable=True, folds=-1)
    with pytest.raises(InputError, match="needs a DEM"):
        remove_topography(ds, stable=True, dem=None)
    with pytest.raises(StableTerrainError, match="valid displacement"):
        remove_deformation(ds.where(False, other=np.nan).assign(flag=ds.flag), stable=True)
    with pytest.warns(GlacierToolkitWarning, match="no DEM was given"):
        correct(ds, stable=True)


def test_units_of_what_was_removed(scene: dict) -> None:
    out = correct(scene["ds"], stable=~scene["ice"], dem=scene["dem"])
    for name in ("dx", "dx_deformation", "dy_topography", "dx_holdout"):
        assert out[name].attrs["units"] == "m", name
        assert out[name].dtype == np.float32, name
    assert out.flag.dtype == np.uint32
    assert out.deformation_coefficients.dims == ("component", "term")
