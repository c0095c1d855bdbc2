"""Tests that count independent values: they hold on maps, and those that count posts do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from attribution import coverage, false_positives, random_map, region_of_glaciers, region_of_posts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import glaciertoolkit as gt
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.stats.sites import Sites, sites_of


def within(share, expected, seeds):
    """Whether a share over `seeds` agrees with what is expected, by 3.3 standard errors."""
    return abs(share - expected) <= 3.3 * np.sqrt(expected * (1 - expected) / seeds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edge", "length", "kind", "missing"),
    [(32, 2, "exponential", 0.3), (48, 5, "gaussian", 0.4), (64, 6, "exponential", 0.0)],
)
def test_false_positives_are_as_many_as_they_should_be(edge, length, kind, missing):
    found = false_positives(range(300), edge=edge, length=length, kind=kind, missing=missing)
    assert within(found["ours"], 0.05, 300)
    assert found["naive"] > 0.3


def test_independent_posts_all_count():
    found = false_positives(range(200), edge=24, length=0, kind="gaussian", missing=0.2)
    assert within(found["ours"], 0.05, 200)
    assert within(found["naive"], 0.05, 200)


@pytest.mark.slow
@pytest.mark.parametrize("length", [0.0, 20e3])
def test_intervals_of_a_table_of_glaciers_hold_the_truth(length):
    found = coverage(range(120), region_of_glaciers, glaciers=60, length=length, noise=0.3)
    assert within(found["slope"], 0.95, 120)
    assert within(found["temperature"], 0.95, 120)
    if length:
        assert found["temperature, rows counted"] < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("glaciers", "alike"), [(30, 0.3), (50, 0.6)])
def test_intervals_of_posts_on_glaciers_hold_the_truth(glaciers, alike):
    found = coverage(
        range(150), region_of_posts, groups="glacier", glaciers=glaciers, alike=alike, uneven=0.9
    )
    assert within(found["slope"], 0.95, 150)
    assert within(found["temperature"], 0.95, 150)
    assert found["slope, rows counted"] < 0.8
    assert found["temperature, rows counted"] < 0.6


def two_maps(edge=40, length=3.0, seed=0, share=0.0):
    rng = np.random.default_rng(seed)
    a, b = (random_map(rng, edge, length, "gaussian") for _ in range(2))
    coords = {"y": 100.0 * np.arange(edge)[::-1], "x": 100.0 * np.arange(edge)}
    return tuple(xr.DataArray(v, coords=coords, dims=("y", "x")) for v in (a, share * a + b))


@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
def test_coefficients_are_those_of_scipy(method):
    x, y = two_maps(share=1.0)
    found = gt.correlate(x, y, method=method)
    peer = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}
    assert found.r == pytest.approx(peer[method](x.values.ravel(), y.values.ravel())[0])
    assert found.low < found.r < found.high
    assert found.n_effective < 0.2 * x.size


@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
def test_independent_rows_have_the_textbook_test(method):
    x, y = np.random.default_rng(4).standard_normal((2, 60))
    found = gt.correlate(x, y, method=method)
    peer = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}
    assert found.n_effective == 60
    assert found.p == pytest.approx(peer[method](x, y)[1], rel=0.05)


def test_the_grid_and_its_scattered_posts_agree():
    x, y = two_maps(edge=24, length=2.0)
    grid = sites_of(x)
    loose = Sites(grid.points)
    a, b = x.values.ravel(), y.values.ravel()
    assert loose.effective_size(a, b) == pytest.approx(grid.effective_size(a, b), rel=0.15)


def test_known_effective_size():
    """A map of blocks of k x k equal posts holds as many independent values as blocks."""
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(20):
        a, b = (np.kron(rng.standard_normal((16, 16)), np.ones((4, 4))) for _ in range(2))
        grid = sites_of(xr.DataArray(a, coords={"y": np.arange(64.0), "x": np.arange(64.0)},
                                     dims=("y", "x")))  # fmt: skip
        sizes.append(grid.effective_size(a.ravel(), b.ravel()))
    # Over all pairs of blocks the mean squared correlation is 1 / 256 only for whole blocks;
    # at a given distance some pairs share a block and some do not.
    assert 256 < np.mean(sizes) < 2.5 * 256


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), scale=st.floats(0.01, 1e4), shift=st.floats(-1e4, 1e4),
    method=st.sampled_from(["pearson", "spearman", "kendall"]),
)  # fmt: skip
def test_units_do_not_matter(seed, scale, shift, method):
    x, y = two_maps(edge=12, length=1.5, seed=seed)
    one, other = (
        gt.correlate(x, y, method=method),
        gt.correlate(scale * x + shift, y, method=method),
    )
    assert other.r == pytest.approx(one.r, abs=1e-6)
    assert other.n_effective == pytest.approx(one.n_effective, rel=1e-4)
    swapped = gt.correlate(y, x, method=method)
    assert swapped.p == pytest.approx(one.p, rel=1e-6)
    assert gt.correlate(x, -y, method=method).r == pytest.approx(-one.r)


def test_holes_and_order_of_dimensions_do_not_matter():
    x, y = two_maps(share=0.5)
    holed = x.where((x.x - 2000) ** 2 + (x.y - 2000) ** 2 > 500**2)
    found = gt.correlate(holed, y.transpose("x", "y"))
    assert np.isfinite(found.p)
    assert found.r == pytest.approx(gt.correlate(x, y).r, abs=0.1)


def test_plain_arrays_are_maps_too():
    x, y = two_maps(share=0.5)
    found, plain = gt.correlate(x, y), gt.correlate(x.values[::-1], y.values[::-1])
    assert plain.p == pytest.approx(found.p)
    assert plain.n_effective == pytest.approx(found.n_effective)


def test_permutation_agrees_with_the_effective_size():
    for share, related in ((1.5, True), (0.0, False)):
        x, y = two_maps(edge=24, length=2.0, share=share, seed=5)
        p = [gt.correlate(x, y, test=t, permutations=199).p for t in ("effective", "permutation")]
        assert all((v < 0.05) == related for v in p)
    again = gt.correlate(x, y, test="permutation", permutations=199)
    assert again.p == p[1]


def test_groups_count_as_one_value_each():
    """Posts of a glacier all alike: the test is that of the glaciers."""
    rng = np.random.default_rng(0)
    wrong = {"groups": 0, "flips": 0, "rows": 0}
    for _ in range(150):
        glacier = np.repeat(np.arange(25), rng.integers(5, 40, 25))
        x, y = (rng.standard_normal(25)[glacier] for _ in range(2))
        wrong["groups"] += gt.correlate(x, y, groups=glacier).p < 0.05
        wrong["flips"] += (
            gt.correlate(x, y, groups=glacier, test="permutation", permutations=199).p <= 0.05
        )
        wrong["rows"] += gt.correlate(x, y).p < 0.05
    assert wrong["groups"] / 150 < 0.09
    assert wrong["flips"] / 150 < 0.11
    assert wrong["rows"] / 150 > 0.4


def test_constant_maps_have_no_correlation():
    x, y = two_maps()
    found = gt.correlate(x, y * 0)
    assert np.isnan([found.r, found.p, found.low, found.n_effective]).all()


def test_the_result_reads_as_a_sentence():
    x, y = two_maps(share=1.0)
    text = repr(gt.correlate(x, y, method="spearman"))
    assert text.startswith("Spearman's rho = 0.")
    assert "independent values" in text
    assert "1600" not in text


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "words"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], {}, InputError, "4 pairs"),
        ([1, 2, 3, 4, 5], [1, 2, 3], {}, InputError, "same length"),
        (range(9), range(9), {"method": "r"}, ParameterError, "method must be one of"),
        (range(9), range(9), {"test": "z"}, ParameterError, "test must be one of"),
        (range(9), range(9), {"confidence": 2}, ParameterError, "confidence"),
        (range(9), range(9), {"coordinates": [1, 2]}, InputError, "9 rows and two columns"),
        (range(9), range(9), {"groups": [1]}, InputError, "1 entries for 9"),
        (range(9), range(9), {"groups": [1] * 9}, InputError, "at least 3"),
        (range(9), range(9), {"test": "permutation", "permutations": 9}, ParameterError, "99"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(x, y, options, error, words):
    with pytest.raises(error, match=words):
        gt.correlate(np.array(list(x), float), np.array(list(y), float), **options)


def test_maps_on_different_posts_are_refused():
    x, y = two_maps()
    with pytest.raises(GridError, match="different posts"):
        gt.correlate(x, y.isel(x=slice(1, None)))


def test_partial_correlation_is_that_of_the_inverse_matrix():
    rng = np.random.default_rng(2)
    a, b, c, d = rng.standard_normal((4, 100))
    table = pd.DataFrame({"v": a + b + d, "slope": a + 0.5 * c, "t": b - c, "z": c + d})
    names = ["slope", "t", "z"]
    for method in ("pearson", "spearman"):
        found = gt.partial_correlation(table, response="v", factors=names, method=method)
        inverse = np.linalg.inv(table[["v", *names]].corr(method=method))
        wanted = [-inverse[0, k] / np.sqrt(inverse[0, 0] * inverse[k, k]) for k in (1, 2, 3)]
        np.testing.assert_allclose(found["r"], wanted, atol=1e-10)
        peer = [
            2 * stats.t.sf(abs(r) * np.sqrt((100 - 2 - 2) / (1 - r**2)), 96) for r in wanted
        ]  # fmt: skip
        np.testing.assert_allclose(found["p"], peer, rtol=1e-8)


def test_partial_correlation_of_what_others_determine_is_missing():
    table = pd.DataFrame({"v": np.random.default_rng(0).standard_normal(40), "a": np.arange(40.0)})
    table["b"] = 2 * table["a"]
    assert gt.partial_correlation(table, response="v", factors=["a", "b"])["r"].isna().all()
    with pytest.raises(ParameterError, match="Pearson's or Spearman's"):
        gt.partial_correlation(table, response="v", factors=["a"], method="kendall")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_is_that_of_statsmodels(p):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    np.testing.assert_allclose(gt.adjust_p(p), multitest.multipletests(p, method="fdr_bh")[1])


def test_benjamini_hochberg_refuses_what_is_no_probability():
    with pytest.raises(ParameterError, match="between 0 and 1"):
        gt.adjust_p([0.1, 1.2])
    assert np.isnan(gt.adjust_p([np.nan])).all()


def test_regression_is_least_squares_with_hc3():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 80))
    table = pd.DataFrame({"v": 3 + 2 * a - b + rng.standard_normal(80) * np.exp(a), "a": a, "b": b})
    found = gt.regression(table, response="v", factors=["a", "b"])
    peer = sm.OLS(table.v, sm.add_constant(table[["a", "b"]])).fit(cov_type="HC3", use_t=True)
    np.testing.assert_allclose(found.table["coefficient"], peer.params)
    np.testing.assert_allclose(found.table["error"], peer.bse)
    np.testing.assert_allclose(found.table[["low", "high"]], peer.conf_int())
    assert found.r2 == pytest.approx(peer.rsquared)
    assert found.r2_adjusted == pytest.approx(peer.rsquared_adj)
    standardised = peer.params.iloc[1:] * table[["a", "b"]].std() / table.v.std()
    np.testing.assert_allclose(found.table["standardised"].iloc[1:], standardised)


def test_variance_inflation_and_shares():
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 200))
    table = pd.DataFrame({"v": a + b + c, "a": a, "b": a + b, "c": c})
    names = ["a", "b", "c"]
    found = gt.regression(table, response="v", factors=names).table.iloc[1:]
    design = np.column_stack([np.ones(200), table[names]])
    peer = [variance_inflation_factor(design, k) for k in (1, 2, 3)]
    np.testing.assert_allclose(found["vif"], peer)
    assert found["share"].sum() == pytest.approx(1)
    # Two factors: the mean of what each explains alone and of what it adds to the other.
    pair = gt.regression(table, response="v", factors=["a", "b"])
    alone = [table["v"].corr(table[n]) ** 2 for n in ("a", "b")]
    both = pair.r2
    wanted = [(alone[0] + both - alone[1]) / 2, (alone[1] + both - alone[0]) / 2]
    np.testing.assert_allclose(pair.table["share"].iloc[1:], wanted)


def test_cluster_errors_are_those_of_the_definition():
    """CR2 and its degrees of freedom from n x n matrices, against the p x p way."""
    from glaciertoolkit.stats.sandwich import clustered

    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), [3, 5, 8, 2, 4, 7])
    n = groups.size
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    y = rng.standard_normal(n) + rng.standard_normal(6)[groups]
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    covariance, degrees = clustered(x, residual, groups)
    bread = np.linalg.inv(x.T @ x)
    hat = np.eye(n) - x @ bread @ x.T
    middle = np.zeros((3, 3))
    columns = []
    for g in range(6):
        rows = groups == g
        values, vectors = np.linalg.eigh(hat[np.ix_(rows, rows)])
        root = vectors / np.sqrt(values) @ vectors.T
        score = x[rows].T @ root @ residual[rows]
        middle += np.outer(score, score)
        columns.append(hat[:, rows] @ root @ x[rows] @ bread)
    np.testing.assert_allclose(covariance, bread @ middle @ bread)
    same = groups[:, None] == groups
    pairs = same & ~np.eye(n, dtype=bool)
    rho = np.clip((np.outer(residual, residual) * pairs).sum() / pairs.sum()
                  / (residual**2).mean(), 0, 1)  # fmt: skip
    omega = np.where(same, rho, 0) + (1 - rho) * np.eye(n)
    for k in range(3):
        p = np.column_stack([c[:, k] for c in columns])
        matrix = p.T @ omega @ p
        wanted = np.trace(matrix) ** 2 / (matrix**2).sum()
        assert degrees[k] == pytest.approx(np.clip(wanted, 1, 5))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"factors": []}, ParameterError, "at least one factor"),
        ({"factors": ["a", "same"]}, InputError, "same is the same in all rows"),
        ({"factors": ["a", "twice"]}, InputError, "determine each other"),
        ({"factors": ["a"], "errors": "groups"}, ParameterError, "needs groups"),
        ({"factors": ["a"], "errors": "spatial"}, ParameterError, "needs coordinates"),
        ({"factors": ["a"], "errors": "naive"}, ParameterError, "errors must be one of"),
        ({"factors": ["a"], "groups": "pair"}, InputError, "2 glaciers"),
        ({"factors": ["word"]}, InputError, "not a number"),
        ({"factors": ["rare"]}, InputError, "3 rows"),
    ],
)  # fmt: skip
def test_regressions_that_cannot_be_are_refused(options, error, words):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"v": rng.standard_normal(30), "a": rng.standard_normal(30)})
    table = table.assign(same=1.0, twice=2 * table.a, pair=np.arange(30) % 2, word="ice")
    table["rare"] = np.where(np.arange(30) < 3, table.a, np.nan)
    with pytest.raises(error, match=words):
        gt.regression(table, response="v", **options)


def test_missing_integers_and_masked_columns():
    table = pd.DataFrame({"v": pd.array([1, 2, None, 4, 5, 6, 7, 9], dtype="Int64")})
    table["a"] = pd.array([1, 2, 3, 4, 5, 6, None, 8], dtype="Float64")
    found = gt.regression(table, response="v", factors=["a"])
    assert found.table.loc["a", "coefficient"] == pytest.approx(1, abs=0.2)
