"""Robust estimators against known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.robust import nmad, regress


def test_nmad_of_a_gaussian_is_its_standard_deviation() -> None:
    x = np.random.default_rng(0).normal(3, 2.5, 200_000)
    assert nmad(x) == pytest.approx(2.5, rel=0.01)
    assert np.isnan(nmad([np.nan, np.nan]))


@given(shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_nmad_is_equivariant(shift: float, scale: float) -> None:
    x = np.random.default_rng(1).normal(size=101)
    assert nmad(scale * x + shift) == pytest.approx(scale * nmad(x), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.4])
def test_outliers_do_not_move_the_regression(share: float) -> None:
    rng = np.random.default_rng(2)
    n = 600
    x = np.column_stack([np.ones(n), rng.uniform(-1, 1, (n, 2))])
    truth = np.array([1.0, -2.0, 0.5])
    y = x @ truth + rng.normal(0, 0.1, n)
    bad = rng.random(n) < share
    y[bad] = rng.uniform(5, 20, bad.sum())
    fit = regress(x, y)
    assert np.abs(fit.coefficients - truth).max() < 0.03
    assert fit.scale == pytest.approx(0.1, rel=0.25)
    ordinary = np.linalg.lstsq(x, y, rcond=None)[0]
    if share:
        assert np.abs(ordinary - truth).max() > 1


def test_covariance_is_that_of_many_repeats() -> None:
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(80), np.linspace(-1, 1, 80)])
    fits = [regress(x, x @ [1, 2] + rng.normal(0, 0.3, 80)) for _ in range(150)]
    spread = np.std([f.coefficients for f in fits], axis=0)
    stated = np.sqrt(np.mean([np.diag(f.covariance) for f in fits], axis=0))
    assert stated == pytest.approx(spread, rel=0.25)


def test_exact_data_are_fitted_exactly_and_repeats_agree() -> None:
    x = np.column_stack([np.ones(30), np.arange(30.0)])
    a, b = regress(x, x @ [1, 2]), regress(x, x @ [1, 2])
    assert a.coefficients == pytest.approx([1, 2])
    assert np.array_equal(a.coefficients, b.coefficients)
    with pytest.raises(ValueError, match="cannot determine"):
        regress(x[:1], [1.0])
