"""The geographical detector, against its definition."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from attribution import false_strata, random_map
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import glaciertoolkit as gt
from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.stats.geodetector import interaction_class, published_p
from glaciertoolkit.stats.shuffles import correlation_length, shuffled
from glaciertoolkit.stats.sites import Sites
from glaciertoolkit.stats.strata import natural_breaks, stratify

Y = np.arange(1.0, 8)
ZONE = ["a", "b", "b", "b", "c", "c", "c"]


def test_q_of_the_worked_example():
    assert gt.q_statistic(Y, ZONE) == pytest.approx(1 - 4 / 28, abs=1e-12)
    assert round(gt.q_statistic(Y, ZONE), 6) == 0.857143
    with pytest.warns(GlacierToolkitWarning, match="strata of one value in zone"):
        found = gt.geodetector(
            pd.DataFrame({"y": Y, "zone": ZONE}), response="y", factors=["zone"], permutations=99
        )
    row = found.factors.loc["zone"]
    assert row["q"] == pytest.approx(6 / 7, abs=1e-12)
    assert row["singles"] == pytest.approx(1 / 7)
    assert row["q_adjusted"] == pytest.approx(1 - (1 - 6 / 7) * 6 / 4)


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 4)), min_size=3, max_size=60),
    st.floats(-1000, 1000),
)
def test_q_is_that_of_the_definition_and_takes_no_notice_of_units(rows, shift):
    y, strata = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    q = gt.q_statistic(y, strata)
    if y.std() < 1e-3:
        return
    within = sum(((y[strata == h] - y[strata == h].mean()) ** 2).sum() for h in set(strata))
    assert q == pytest.approx(1 - within / (y.size * y.var()), abs=1e-6)
    assert gt.q_statistic(2 * y + shift, strata) == pytest.approx(q, abs=1e-5)


def test_the_published_p_changes_with_a_constant():
    """The trap: unequal strata, and the same data above another zero."""
    rng = np.random.default_rng(1)
    unequal = np.repeat(range(4), [110, 60, 20, 10])
    equal = np.repeat(range(4), 50)
    y = rng.standard_normal(200)
    y[170:] += 0.5
    one, five, fifty = (published_p(y + c, unequal) for c in (0, 5, 50))
    assert one < 0.9
    assert five > one + 0.1
    assert fifty > 0.999
    same = [published_p(y + c, equal) for c in (0, 5, 50)]
    assert np.ptp(same) < 1e-6
    table = pd.DataFrame({"zone": unequal.astype(str)})
    ours = [
        gt.geodetector(
            table.assign(y=y + c), response="y", factors=["zone"], permutations=99
        ).factors.loc["zone", "p"]
        for c in (0, 50)
    ]  # fmt: skip
    assert ours[0] == ours[1]


def test_published_p_by_the_formula():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2], [10, 20, 30])
    y = rng.standard_normal(60) + strata
    q = gt.q_statistic(y, strata)
    means = np.array([y[strata == h].mean() for h in range(3)])
    count = np.array([10, 20, 30])
    shift = ((means**2).sum() - (np.sqrt(count) @ means) ** 2 / 60) / y.var(ddof=1)
    wanted = stats.ncf.sf(57 / 2 * q / (1 - q), 2, 57, shift)
    assert published_p(y, strata) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("q1", "q2", "q12", "kind"),
    [
        (0.2, 0.3, 0.1, "weaken-nonlinear"), (0.2, 0.3, 0.25, "weaken-uni"),
        (0.2, 0.3, 0.2, "weaken-uni"), (0.2, 0.3, 0.3, "weaken-uni"),
        (0.2, 0.3, 0.4, "enhance-bi"), (0.2, 0.3, 0.5, "independent"),
        (0.2, 0.3, 0.6, "enhance-nonlinear"),
    ],
)  # fmt: skip
def test_interaction_classes(q1, q2, q12, kind):
    assert interaction_class(q1, q2, q12) == kind
    assert interaction_class(q2, q1, q12) == kind


def crossed(formula, n=40):
    """All pairs of two factors of two classes, n times."""
    a, b = (np.tile(v, n) for v in ([0, 0, 1, 1], [0, 1, 0, 1]))
    table = pd.DataFrame({"y": formula(a, b).astype(float), "a": a, "b": b})
    return gt.geodetector(table, response="y", factors=["a", "b"], permutations=99).interactions


def test_interaction_of_factors_that_add_up_is_independent():
    row = crossed(lambda a, b: 2 * a + b).iloc[0]
    assert row["interaction"] == "independent"
    assert (row["q1"], row["q2"], row["q12"]) == pytest.approx((0.8, 0.2, 1.0))


def test_interaction_of_factors_that_only_act_together():
    row = crossed(lambda a, b: a != b).iloc[0]
    assert row["interaction"] == "enhance-nonlinear"
    assert (row["q1"], row["q2"], row["q12"]) == pytest.approx((0, 0, 1.0), abs=1e-12)


def test_interaction_of_a_factor_with_itself_adds_nothing():
    a = np.tile([0.0, 1.0], 30)
    table = pd.DataFrame(
        {"y": a + np.random.default_rng(0).standard_normal(60), "a": a, "b": 3 * a}
    )
    found = gt.geodetector(table, response="y", factors=["a", "b"], permutations=99)
    assert found.interactions.loc[0, "interaction"] == "weaken-uni"


def test_noise_in_many_strata_is_enhanced_only_by_the_published_class():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.standard_normal((150, 3)), columns=["y", "a", "b"])
    found = gt.geodetector(table, response="y", factors=["a", "b"], permutations=199)
    row = found.interactions.iloc[0]
    assert row["interaction"] == "enhance-nonlinear"
    assert row["p"] > 0.05
    assert row["q12_adjusted"] < 0.1


def test_product_strata_of_one_row_are_dropped_and_counted():
    table = pd.DataFrame({"y": np.arange(9.0), "a": list("aaaabbbbb"), "b": list("xxyzxxyyz")})
    found = gt.geodetector(table, response="y", factors=["a", "b"], permutations=99)
    row = found.interactions.iloc[0]
    assert row["dropped"] == pytest.approx(3 / 9)
    keep = table.index[[0, 1, 4, 5, 6, 7]]
    part = table.loc[keep]
    assert row["q12"] == pytest.approx(gt.q_statistic(part.y, part.a + part.b))
    assert row["q1"] == pytest.approx(gt.q_statistic(part.y, part.a))


def test_risk_is_welch_and_shuffled():
    rng = np.random.default_rng(0)
    zone = np.repeat(["a", "b", "c"], [15, 40, 25])
    y = rng.standard_normal(80) * np.where(zone == "a", 3, 1) + (zone == "b")
    found = gt.geodetector(
        pd.DataFrame({"y": y, "zone": zone}), response="y", factors=["zone"]
    ).risk.set_index(["stratum", "other"])  # fmt: skip
    for i, j in (("a", "b"), ("a", "c"), ("b", "c")):
        peer = stats.ttest_ind(y[zone == i], y[zone == j], equal_var=False)
        row = found.loc[(i, j)]
        assert row["t"] == pytest.approx(peer.statistic)
        assert row["df"] == pytest.approx(peer.df)
        assert row["p_welch"] == pytest.approx(peer.pvalue)
    assert found.loc[("b", "c"), "p"] < 0.05


def test_ecological_is_the_ratio_of_what_is_left():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 90))
    table = pd.DataFrame({"y": 3 * a + rng.standard_normal(90), "a": a, "b": b})
    row = gt.geodetector(table, response="y", factors=["a", "b"]).ecological.iloc[0]
    left = [1 - gt.q_statistic(table.y, table[n]) for n in ("a", "b")]
    assert row["F"] == pytest.approx(left[0] / left[1])
    assert row["differ"]
    assert row["p"] == pytest.approx(2 * stats.f.cdf(left[0] / left[1], 89, 89))


def test_p_of_independent_rows_is_that_of_the_analysis_of_variance():
    rng = np.random.default_rng(8)
    zone = np.repeat(range(4), 25).astype(str)
    y = rng.standard_normal(100) + 0.25 * np.repeat(range(4), 25)
    found = gt.geodetector(pd.DataFrame({"y": y, "z": zone}), response="y", factors=["z"])
    peer = stats.f_oneway(*(y[zone == h] for h in "0123")).pvalue
    assert found.factors.loc["z", "p"] == pytest.approx(peer, abs=0.03)


@pytest.mark.slow
def test_strata_of_unrelated_maps_are_rarely_significant():
    found = false_strata(range(80), edge=32, length=2.0, kind="exponential")
    assert found["ours"] < 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / 80)
    assert found["posts shuffled"] > 0.3


def test_blocks_keep_neighbours_together():
    rng = np.random.default_rng(0)
    z = random_map(rng, 30, 3.0, "gaussian")
    cells = np.argwhere(np.ones((30, 30), bool))
    sites = Sites(cells[:, ::-1] * 100.0, cells, (100.0, 100.0))
    assert 300 < correlation_length(z.ravel(), sites) < 1200
    assert correlation_length(rng.standard_normal(900), sites) < 150
    orders = shuffled(z.ravel(), sites=sites, groups=None, number=20, seed=0)
    rough = np.mean([np.abs(np.diff(z.ravel()[o].reshape(30, 30), axis=1)).mean() for o in orders])
    own = np.abs(np.diff(z, axis=1)).mean()
    lost = np.abs(np.diff(rng.permutation(z.ravel()).reshape(30, 30), axis=1)).mean()
    assert own <= rough < 0.5 * (own + lost)
    assert (orders == shuffled(z.ravel(), sites=sites, groups=None, number=20, seed=0)).all()


def test_groups_stay_together():
    glacier = np.repeat(range(5), [3, 8, 2, 6, 4])
    orders = shuffled(np.arange(23.0), sites=None, groups=glacier, number=50, seed=1)
    assert (np.sort(orders, axis=1) == np.arange(23)).all()
    neighbours = np.diff(glacier[orders], axis=1) == 0
    assert neighbours.mean() > 0.75


def test_natural_breaks_are_the_best_of_all():
    x = np.sort(np.random.default_rng(1).lognormal(size=14))
    for k in (2, 3, 5):
        cuts = itertools.combinations(range(1, 14), k - 1)
        best = min(cuts, key=lambda c: sum(((p - p.mean()) ** 2).sum() for p in np.split(x, c)))
        wanted = [x[0], *(x[c - 1] for c in best), x[-1]]
        np.testing.assert_allclose(natural_breaks(x, k), wanted)


@given(
    st.lists(st.floats(-50, 50), min_size=12, max_size=80),
    st.integers(2, 8), st.sampled_from(["quantile", "natural", "equal"]),
)  # fmt: skip
def test_classes_hold_every_value_in_order(x, classes, rule):
    if np.unique(x).size <= classes or np.ptp(x) < 1e-6:
        return
    try:
        label, names = stratify(x, classes=classes, rule=rule)
    except InputError:
        assert rule == "quantile"  # ties that leave one class
        return
    assert set(label) == set(range(len(names)))
    assert len(names) <= classes
    order = np.argsort(x, kind="stable")
    assert (np.diff(label[order]) >= 0).all()


def test_sensitivity_to_the_number_of_classes():
    rng = np.random.default_rng(0)
    x = rng.random(200)
    table = pd.DataFrame({"y": x + 0.1 * rng.standard_normal(200), "x": x})
    found = gt.geodetector(table, response="y", factors=["x"], permutations=99).sensitivity
    assert found.columns.tolist() == [4, 5, 6, 7, 8]
    assert found.loc["x", 8] > found.loc["x", 4]
    wanted = gt.q_statistic(table.y, np.searchsorted(np.quantile(x, [0.25, 0.5, 0.75]), x))
    assert found.loc["x", 4] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({}, {"rule": "jenks"}, ParameterError, "rule must be one of"),
        ({}, {"permutations": 5}, ParameterError, "0 or at least 99"),
        ({}, {"factors": []}, ParameterError, "at least one factor"),
        ({"y": 1.0}, {}, InputError, "nothing to explain"),
        ({"x": [1.0, 2.0] + [np.nan] * 28}, {}, InputError, "2 rows"),
        ({"x": [0.0] * 23 + list(range(7))}, {"classes": 2}, InputError, "are one"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(change, options, error, words):
    table = pd.DataFrame({"y": np.arange(30.0) ** 2, "x": np.arange(30.0)}).assign(**change)
    with pytest.raises(error, match=words):
        gt.geodetector(table, response="y", **{"factors": ["x"], **options})


def test_no_permutations_no_p():
    table = pd.DataFrame({"y": np.arange(30.0) ** 2, "x": np.arange(30.0)})
    found = gt.geodetector(table, response="y", factors=["x"], permutations=0)
    assert found.factors["p"].isna().all()
    assert found.factors["p_ncf"].notna().all()
