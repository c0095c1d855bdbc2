"""Surfaces of the global deformation: each order against truth, and the choice among them."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from scenes import normalised, offset_field

import glaciertoolkit as gt
from glaciertoolkit.correction.nodes import Nodes
from glaciertoolkit.correction.spline import fit_spline, spread

PIXEL = 3.0
TRUTHS = {
    1: lambda x, y: 3 + 4 * x - 3 * y,
    2: lambda x, y: 3 + 4 * x - 3 * y + 3 * x**2 - 3 * x * y + 2 * y**2,
    3: lambda x, y: 3 + 4 * x - 3 * y + 3 * x**2 + 3 * x**3 - 3 * x * y**2,
    "tps": lambda x, y: 4 * np.sin(3 * x + 1) * np.cos(2.5 * y),
}
BLOCKS = {
    "in the middle": lambda x, y: (abs(x) < 0.55) & (abs(y) < 0.7),
    "in a corner": lambda x, y: (x > 0.0) & (y < 0.2),
    "across": lambda x, y: abs(x - 0.5 * y) < 0.35,
}


def never(*_args: object, **_kwargs: object) -> None:
    raise AssertionError("computed early")


def field(surface, block="in the middle", *, seed=0, outliers=0.25, posts=(160, 160), noise=0.3):
    """Noise of 0.1 pixel, a surface, outliers of +-20 pixels and a block that moves by 3."""
    ds = offset_field(posts, noise=noise, seed=seed)
    rng = np.random.default_rng(100 + seed)
    x, y = normalised(ds)
    true = surface(x, y).transpose("y", "x")
    ice = BLOCKS[block](x, y).transpose("y", "x")
    bad = xr.DataArray(rng.random(posts) < outliers, dims=("y", "x"))
    for name, factor in (("dx", 1.0), ("dy", -0.5)):
        wrong = rng.uniform(-60, 60, posts)
        moved = ds[name] + factor * true + 3 * PIXEL * ice
        ds[name] = xr.where(bad, wrong, moved).astype(np.float32).transpose("y", "x")
    return ds.rio.write_crs(32645), true, ice


def rms(error: xr.DataArray) -> float:
    return float(np.sqrt((error**2).mean()))


def quadric(seed: int):
    """An order-2 surface of 5 pixels amplitude, another one for each seed."""
    c = np.random.default_rng(seed).uniform(-1, 1, 6)
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))

    def shape(x, y):
        return c[0] + c[1] * x + c[2] * y + c[3] * x**2 + c[4] * x * y + c[5] * y**2

    size = 5 * PIXEL / np.abs(shape(x, y)).max()
    return lambda x, y: size * shape(x, y)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("seed", range(3))
def test_an_order_2_surface_is_recovered_over_the_whole_scene(seed: int, block: str) -> None:
    ds, true, ice = field(quadric(seed), block, seed=seed, posts=(240, 240))
    out = gt.remove_deformation(ds, stable=~ice, order=2)
    assert rms(out.dx_deformation - true) < 0.03 * PIXEL
    assert rms(out.dy_deformation + 0.5 * true) < 0.03 * PIXEL
    # what fails: too simple a surface, and least squares
    plane = gt.remove_deformation(ds, stable=~ice, order=1)
    assert rms(plane.dx_deformation - true) > 0.03 * PIXEL
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(-1, 1, 240), np.linspace(1, -1, 240)))
    design = np.column_stack([x**0, x, y, x**2, x * y, y**2])
    rock = ~ice.values.ravel()
    beta = np.linalg.lstsq(design[rock], ds.dx.values.ravel()[rock], rcond=None)[0]
    assert np.sqrt(((design @ beta - true.values.ravel()) ** 2).mean()) > 0.03 * PIXEL


@pytest.mark.slow
@pytest.mark.parametrize("block", ["in the middle", "across"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_spline_follows_what_no_polynomial_does(seed: int, block: str) -> None:
    ds, true, ice = field(TRUTHS["tps"], block, seed=seed)
    out = gt.remove_deformation(ds, stable=~ice, order="tps")
    rock = rms((out.dx_deformation - true).where(~ice))
    assert rock < 0.04 * PIXEL
    assert out.deformation_basis.item() == "tps"
    cubic = gt.remove_deformation(ds, stable=~ice, order=3)
    assert rms((cubic.dx_deformation - true).where(~ice)) > 4 * rock
    assert rms(cubic.dx_deformation - true) > 2 * rms(out.dx_deformation - true)
    # it knows less where it has seen nothing
    variance = out.dx_error.astype(float) ** 2 - 0.3**2
    assert float(variance.where(ice).max()) > 4 * float(variance.where(~ice).median())


def test_a_spline_where_a_plane_would_do_is_nearly_one() -> None:
    ds, true, ice = field(TRUTHS[1])
    out = gt.remove_deformation(ds, stable=~ice, order="tps")
    assert float(out.deformation_effective_terms.max()) < 12
    assert rms(out.dx_deformation - true) < 0.06 * PIXEL


@pytest.mark.slow
@pytest.mark.parametrize("truth", [1, 2, 3, "tps"])
def test_cross_validation_finds_the_order(truth) -> None:
    ds, true, ice = field(TRUTHS[truth], "across", seed=1)
    out = gt.remove_deformation(ds, stable=~ice, order="auto")
    assert out.deformation_basis.item() == str(truth)
    scores = out.deformation_cv.to_series()
    assert scores.index[0] == "0"
    assert scores["0"] > 2 * scores[str(truth)]
    assert out.deformation_cv.attrs["units"] == "m"
    assert rms((out.dx_deformation - true).where(~ice)) < 0.05 * PIXEL


@pytest.mark.slow
def test_cross_validation_says_whether_elevation_pays() -> None:
    ds, _, ice = field(TRUTHS[1], outliers=0.05, posts=(120, 120))
    x, y = normalised(ds)
    z = (4000 + 400 * np.sin(7 * x) * np.cos(6 * y)).transpose("y", "x").astype(np.float32)
    dem = z.rio.write_crs(32645)
    without = gt.correct(ds, stable=~ice, dem=dem, order="auto")
    assert "dx_topography" not in without
    assert "1 + topography" in without.cv_model.values
    shifted = ds.assign(dx=(ds.dx + 0.002 * (dem - 4000)).astype(np.float32))
    with_it = gt.correct(shifted, stable=~ice, dem=dem, order="auto")
    assert float(with_it.topography_coefficient.sel(component="x")) == pytest.approx(
        0.002, rel=0.05
    )
    assert with_it.deformation_basis.item() == "1"


def test_a_bilinear_surface_has_four_terms() -> None:
    ds, true, ice = field(lambda x, y: 3 + 2 * x - y + 4 * x * y)
    out = gt.remove_deformation(ds, stable=~ice, order="bilinear")
    assert out.term.values.tolist() == ["1", "x", "y", "xy"]
    assert rms(out.dx_deformation - true) < 0.03 * PIXEL
    assert rms(gt.remove_deformation(ds, stable=~ice, order=1).dx_deformation - true) > 0.3 * PIXEL


def test_too_little_ground_takes_a_spline_down_to_a_polynomial() -> None:
    ds, _, _ = field(TRUTHS[1], outliers=0.0)
    stable = xr.zeros_like(ds.dx, dtype=bool)
    stable[:56, :56] = True
    with pytest.warns(gt.GlacierToolkitWarning, match=r"from a thin-plate spline .* covers too"):
        out = gt.remove_deformation(ds, stable=stable, order="tps")
    assert out.deformation_basis.item() in ("0", "1")
    tiny = xr.zeros_like(stable)
    tiny[:24, :24] = True
    with pytest.warns(gt.GlacierToolkitWarning, match="from a bilinear surface .* independent"):
        gt.remove_deformation(ds, stable=tiny, order="bilinear")


def test_weights_favour_the_better_half() -> None:
    ds, true, ice = field(TRUTHS[1], outliers=0.0)
    rng = np.random.default_rng(0)
    noisy = xr.DataArray(rng.random(ds.dx.shape) < 0.6, dims=("y", "x"))
    ds["dx"] = (ds.dx + noisy * rng.normal(0, 4, ds.dx.shape)).astype(np.float32)
    ds["dx_error"] = xr.where(noisy, 4.0, 0.3).astype(np.float32)
    errors = [
        rms(gt.remove_deformation(ds, stable=~ice, order=3, weighted=w).dx_deformation - true)
        for w in (True, False)
    ]
    assert errors[0] < errors[1]
    with pytest.raises(gt.GlacierToolkitError, match="dx_error"):
        gt.remove_deformation(ds.drop_vars("dx_error"), stable=~ice, weighted=True)


def test_huber_bounds_and_tukey_forgets() -> None:
    ds, true, ice = field(TRUTHS[1], outliers=0.25)
    ds["dx"] = ds.dx.where(ds.dx > -30, 60)  # one-sided: what only bounds is drawn
    error = {
        loss: abs(float((gt.remove_deformation(ds, stable=~ice, order=1, loss=loss).dx_deformation
                         - true).mean()))
        for loss in ("tukey", "huber")
    }  # fmt: skip
    assert error["tukey"] < 0.03 * PIXEL
    assert error["tukey"] < error["huber"] < PIXEL


def test_the_fit_describes_itself() -> None:
    ds, _, ice = field(TRUTHS[2])
    out = gt.remove_deformation(ds, stable=~ice)
    assert 0.6 < float(out.fit_inlier_fraction.sel(component="x")) < 0.85
    for name in ("fit_rms", "fit_scale"):
        assert float(out[name].sel(component="x")) == pytest.approx(0.3, rel=0.25), name
    assert float(out.fit_nmad.sel(component="x")) > 0.3
    assert out.fit_nmad.attrs["units"] == "m"
    assert out.deformation_covariance.shape == (2, 6, 6)


CHUNKS = [{"y": 77, "x": 63}, {"y": 160, "x": 11}]


@pytest.mark.parametrize("order", ["bilinear", "tps"])
def test_the_same_bits_for_any_chunks_and_nothing_early(order: str) -> None:
    ds, _, ice = field(TRUTHS["tps"], posts=(160, 120))
    eager = gt.remove_deformation(ds, stable=~ice, order=order)
    for chunks, scheduler in zip(CHUNKS, ("threads", "synchronous"), strict=True):
        lazy = gt.remove_deformation(ds.chunk(chunks), stable=~ice, order=order)
        assert dask.is_dask_collection(lazy.dx.data)
        with dask.config.set(scheduler=scheduler):
            for name in ("dx", "dy", "dx_error", "dx_deformation"):
                xr.testing.assert_identical(lazy[name].compute(), eager[name])
        with dask.config.set(scheduler=never), pytest.raises(AssertionError, match="early"):
            lazy.dx.compute()


def test_a_lattice_of_nodes_stands_for_the_field() -> None:
    ds = offset_field((300, 200))

    def exact(x, y):
        u, v = (x - 500_000) / 2400, (y - 3_200_000) / 3600
        return np.sin(2 * u) * np.cos(3 * v)

    nodes = Nodes.of(ds, 64, exact)
    assert nodes.values.shape == (66, 66)
    found = nodes.at(ds.y.values, ds.x.values)
    truth = exact(*np.meshgrid(ds.x.values, ds.y.values))
    assert np.abs(found - truth).max() < 2e-5
    parts = [nodes.at(ds.y.values[i : i + 7], ds.x.values) for i in range(0, 300, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), found)


def test_points_are_spread_evenly_and_few_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5000))
    few = spread(x, y, 300)
    assert 150 < few.size <= 300
    assert np.ptp(x[few]) > 0.8 * np.ptp(x)
    assert spread(x[:50], y[:50], 300).tolist() == list(range(50))


def test_a_spline_bends_without_force_or_torque_from_outside() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (2, 400))

    def radial(a, b, c, d):
        square = (a[:, None] - c) ** 2 + (b[:, None] - d) ** 2
        return 0.5 * square * np.log(np.maximum(square, 1e-300))

    plane = np.column_stack([np.ones(400), x, y])
    k = spread(x, y, 60)
    true = np.sin(2 * x) + y**2
    response = true + rng.normal(0, 0.05, 400)
    response[::5] += rng.uniform(-5, 5, 80)
    fit = fit_spline(
        plane, plane, radial(x, y, x[k], y[k]), radial(x[k], y[k], x[k], y[k]), plane[k], response
    )
    assert np.sqrt(((response - fit.residuals - true) ** 2).mean()) < 0.03
    assert fit.scale == pytest.approx(0.05, rel=0.3)
    weights = fit.coefficients[3:]
    assert np.abs(plane[k].T @ weights).max() < 1e-9 * np.abs(weights).sum()


@pytest.mark.parametrize("order", [True, 4, "cubic", None, -1])
def test_unknown_surfaces_are_refused(order: object) -> None:
    ds, _, ice = field(TRUTHS[1], posts=(40, 40))
    with pytest.raises(gt.GlacierToolkitError, match="order must be one of"):
        gt.remove_deformation(ds, stable=~ice, order=order)
    with pytest.raises(gt.GlacierToolkitError, match="loss must be one of"):
        gt.remove_deformation(ds, stable=~ice, loss="l1")
