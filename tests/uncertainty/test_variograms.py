"""Variograms and effective numbers of noise fields whose spatial correlation is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import offset_field

import glaciertoolkit as gt
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.uncertainty.areas import circular_number, e_off, effective_number
from glaciertoolkit.uncertainty.variograms import (
    SHAPES,
    Lags,
    Structure,
    Variogram,
    empirical_variogram,
    fit_variogram,
    residual_variogram,
)

SPACING = (12.0, 12.0)
MODELS = {
    "one range": Variogram((Structure("spherical", 1.0, 180.0),)),
    "a longer one": Variogram((Structure("exponential", 2.0, 300.0),)),
    "nested": Variogram((Structure("gaussian", 0.8, 150.0), Structure("spherical", 0.2, 900.0))),
    "nested, with a nugget": Variogram(
        (Structure("spherical", 0.7, 200.0), Structure("spherical", 0.2, 1200.0)), 0.1
    ),
}
DISC = np.hypot(*np.mgrid[-66:67, -66:67]) < 66.5


def field(model: Variogram, seed: int, shape: tuple[int, int] = (420, 420)) -> np.ndarray:
    """Gaussian noise with this variogram, by the spectrum of its covariance (periodic)."""
    ny, nx = (2 * n for n in shape)
    dy, dx = (np.abs(np.fft.fftfreq(n, 1 / n)) * 12.0 for n in (ny, nx))
    covariance = model.sill - model(np.hypot(dy[:, None], dx[None, :]))
    spectrum = np.maximum(np.fft.fft2(covariance).real, 0)
    rng = np.random.default_rng(seed)
    white = rng.normal(size=(ny, nx)) + 1j * rng.normal(size=(ny, nx))
    return np.fft.fft2(np.sqrt(spectrum / (ny * nx)) * white).real[: shape[0], : shape[1]]


@pytest.mark.parametrize("name", list(MODELS))
def test_effective_number_of_a_noise_field_within_20_percent(name: str) -> None:
    model = MODELS[name]
    known = effective_number(DISC, SPACING, model)
    found = []
    for seed in range(4):
        z = field(model, seed)
        fitted = fit_variogram(empirical_variogram(z, SPACING), variance=z.var())
        assert fitted.sill == pytest.approx(model.sill, rel=0.2)
        found.append(effective_number(DISC, SPACING, fitted))
    assert np.mean(found) == pytest.approx(known, rel=0.2)
    # the negative control: posts are not independent, by far
    assert DISC.sum() > 50 * known


def test_the_variance_of_means_is_what_the_effective_number_says() -> None:
    model = MODELS["nested"]
    means = [field(model, seed, (150, 150))[:133, :133][DISC].mean() for seed in range(300)]
    said = model.sill / effective_number(DISC, SPACING, model)
    # a standard deviation from 300 values is good to 4 %
    assert np.std(means) == pytest.approx(math.sqrt(said), rel=0.13)
    assert np.std(means) > 8 * math.sqrt(model.sill / DISC.sum())


def test_white_noise_is_a_nugget_and_every_post_counts() -> None:
    z = np.random.default_rng(0).normal(size=(200, 200))
    fitted = fit_variogram(empirical_variogram(z, SPACING), variance=z.var())
    assert fitted.structures == ()
    assert fitted.nugget == pytest.approx(1, rel=0.05)
    assert effective_number(DISC, SPACING, fitted) == pytest.approx(DISC.sum())


def test_outliers_do_not_disturb_it() -> None:
    model = MODELS["one range"]
    z = field(model, 5)
    wrong = np.random.default_rng(1).random(z.shape) < 0.05
    spoiled = np.where(wrong, 50.0, z)
    robust = fit_variogram(empirical_variogram(spoiled, SPACING), variance=1.0)
    assert robust.sill == pytest.approx(1, rel=0.35)
    assert spoiled.var() > 50


def test_models_agree_with_scikit_gstat() -> None:
    from skgstat import estimators, models

    h = np.array([1.0, 50.0, 120.0, 180.0, 400.0])
    for name, ours in SHAPES.items():
        theirs = getattr(models, name)(h, 180.0, 1.0)
        assert ours(h, 180.0) == pytest.approx(theirs)
    z = field(MODELS["one range"], 0)
    lags = empirical_variogram(z, SPACING)
    pairs = np.abs(z[:, 5:] - z[:, :-5]).ravel()
    at = int(np.argmin(np.abs(lags.distance - 60)))
    assert lags.semivariance[at] == pytest.approx(estimators.dowd(pairs), rel=0.15)


def test_direction_spacing_and_gaps_do_not_matter() -> None:
    z = field(MODELS["one range"], 1)
    turned = empirical_variogram(z.T[::-1], SPACING)
    as_is = empirical_variogram(z, SPACING)
    assert turned.semivariance == pytest.approx(as_is.semivariance, rel=0.15)
    gaps = np.where(np.random.default_rng(2).random(z.shape) < 0.7, np.nan, z)
    assert empirical_variogram(gaps, SPACING).semivariance == pytest.approx(
        as_is.semivariance, rel=0.15
    )
    again = empirical_variogram(z, SPACING)
    assert np.array_equal(again.semivariance, as_is.semivariance)


def test_quantised_displacements_are_no_worse() -> None:
    z = field(MODELS["one range"], 3)
    coarse = empirical_variogram(np.round(z / 0.8) * 0.8, SPACING)
    fine = empirical_variogram(z, SPACING)
    far = fine.distance > 60
    assert coarse.semivariance[far] == pytest.approx(fine.semivariance[far], rel=0.2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 2), (3, 500)])
def test_fields_of_any_shape(shape: tuple[int, int]) -> None:
    z = np.random.default_rng(0).normal(size=shape)
    model = fit_variogram(empirical_variogram(z, SPACING), variance=z.var())
    assert model.sill >= 0
    assert 1 <= effective_number(np.ones(shape), SPACING, model) <= z.size


def test_nothing_comes_of_nothing() -> None:
    assert empirical_variogram(np.full((9, 9), np.nan), SPACING).distance.size == 0
    constant = fit_variogram(empirical_variogram(np.ones((50, 50)), SPACING), variance=0.0)
    assert constant.sill == 0
    assert effective_number(np.ones((5, 5)), SPACING, constant) == 25
    assert np.isnan(effective_number(np.zeros((5, 5)), SPACING, constant))
    assert np.isnan(circular_number(0, SPACING, constant))
    assert np.isnan(e_off([1.0], 1.0))
    assert str(constant).startswith("nugget")
    with pytest.raises(ParameterError, match="spherical"):
        fit_variogram(Lags(np.ones(5), np.ones(5), np.ones(5, int)), variance=1, shapes=("odd",))


@settings(max_examples=25, deadline=None)
@given(
    reach=st.floats(20, 800),
    share=st.floats(0, 1),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
)
def test_transform_and_plain_double_sum_agree(
    reach: float, share: float, height: int, width: int
) -> None:
    model = Variogram((Structure("spherical", 1 - share, reach),), share)
    rng = np.random.default_rng(height * 100 + width)
    weights = rng.uniform(0.5, 2, (height, width)) * (rng.random((height, width)) < 0.5)
    if not weights.any():
        return
    rows, cols = np.nonzero(weights)
    s = weights[rows, cols]
    apart = np.hypot((rows[:, None] - rows) * 12.0, (cols[:, None] - cols) * 12.0)
    total = (s[:, None] * s * model.correlation(apart)).sum()
    plain = min(max((s**2).sum() * s.size / total, 1), s.size)
    assert effective_number(weights, SPACING, model) == pytest.approx(plain, rel=1e-6)


def test_large_areas_are_summed_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for model in (*MODELS.values(), Variogram((), 1.0)):
        exact = effective_number(DISC, SPACING, model)
        with monkeypatch.context() as context:
            context.setattr("glaciertoolkit.uncertainty.areas.MOST_CELLS", DISC.size)
            assert effective_number(DISC, SPACING, model) == pytest.approx(exact, rel=0.1)


def test_a_disc_is_a_check_and_a_bound() -> None:
    for model in MODELS.values():
        exact = effective_number(DISC, SPACING, model)
        # only distances from the middle count, so it errs on the safe side
        assert 0.7 * exact < circular_number(int(DISC.sum()), SPACING, model) < 1.02 * exact
    ribbon = np.ones((4, 3000))
    model = MODELS["one range"]
    exact = effective_number(ribbon, SPACING, model)
    assert circular_number(ribbon.size, SPACING, model) < 0.5 * exact


def correlated(model: Variogram, seed: int = 0) -> xr.Dataset:
    """Offsets whose errors have this variogram, with a sigma of 0.1 m."""
    ds = offset_field((420, 420))
    values = 0.1 * field(model, seed) / np.sqrt(model.sill)
    return ds.assign(dx=(("y", "x"), values.astype(np.float32)))


def test_accuracy_counts_what_is_independent() -> None:
    model = MODELS["one range"]
    found = gt.accuracy(correlated(model), stable=True)
    known = effective_number(np.ones((420, 420)), SPACING, model)
    assert float(found.fit_dx_n_effective) == pytest.approx(known, rel=0.2)
    assert float(found.fit_dy_n_effective) == pytest.approx(420 * 420)
    assert float(found.fit_d_n_effective) == float(found.fit_dx_n_effective)


def test_error_of_the_mean_over_polygons_and_labels() -> None:
    import shapely

    ds = correlated(MODELS["one range"])
    disc = shapely.Point(float(ds.x[200]), float(ds.y[200])).buffer(66.5 * 12)
    by_polygon = gt.mean_error(ds, disc, variable="dx", stable=True)
    labels = xr.DataArray(np.zeros((420, 420), int), dims=("y", "x"))
    labels[134:267, 134:267] = np.where(DISC, 7, 0)
    by_label = gt.mean_error(ds, labels, variable="dx", stable=True)
    assert by_label.index.tolist() == [7]
    for table in (by_polygon, by_label):
        row = table.iloc[0]
        known = effective_number(DISC, SPACING, MODELS["one range"])
        assert row.n_effective == pytest.approx(known, rel=0.2)
        assert row.error == pytest.approx(0.1 / math.sqrt(known), rel=0.12)
        assert row.error_naive < 0.1 * row.error
        assert abs(row["mean"]) < 4 * row.error


def test_errors_that_differ_weigh_in_the_mean() -> None:
    ds = correlated(MODELS["one range"])
    ds["dx_error"] = ds.dx_error.where(ds.x < ds.x[200], 0.5)
    area = xr.ones_like(ds.dx, dtype=bool)
    found = gt.mean_error(ds, area, variable="dx", variogram=MODELS["one range"]).iloc[0]
    errors = ds.dx_error.values.astype(float)
    assert found.error_naive == pytest.approx(np.sqrt((errors**2).mean()) / 420)


def test_bad_input_to_the_error_of_a_mean() -> None:
    ds = offset_field((30, 30))
    with pytest.raises(ParameterError, match="component"):
        gt.mean_error(ds, ds.dx > 0, variable="d")
    with pytest.raises(gt.GlacierToolkitError, match="shape"):
        gt.mean_error(ds, ds.dx[:5] > 0, variable="dx", stable=True)
    with pytest.raises(gt.GlacierToolkitError, match="stable"):
        gt.mean_error(ds, ds.dx > 0, variable="dx")
    empty = gt.mean_error(
        ds.assign(dx=ds.dx * np.nan), ds.dx > 0, variable="dx", variogram=Variogram((), 1.0)
    )
    assert empty.n.tolist() == [0]
    assert np.isnan(empty.error.iloc[0])


def test_residual_variogram_takes_its_spacing_from_the_grid() -> None:
    ds = correlated(MODELS["one range"])
    _, model = residual_variogram(ds.dx.values, ds)
    assert model.reach == pytest.approx(180, rel=0.25)
