"""What goes with the speed, said no louder than the numbers allow."""

from __future__ import annotations

import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import (
    GlacierToolkitWarning,
    GridError,
    InputError,
    MissingVariableError,
    ParameterError,
)
from glaciertoolkit.stats.claims import about_contrast, about_small, role_of

TOPOGRAPHY, CLIMATE, BOTH, ABOVE, SMALL = range(5)


def region(n=80, *, seed=0, slope=0.8, warmth=-1.5, noise=2.0, above=3.0):
    """One row a glacier, with known effects of slope and temperature."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "rgi_id": [f"RGI60-13.{k:05d}" for k in range(n)],
            "area_km2": rng.lognormal(1.0, 1.2, n),
            "slope": rng.normal(18, 5, n),
            "temperature": rng.normal(-6, 2, n),
            "cenlon": 90 + rng.random(n), "cenlat": 30 + rng.random(n),
            "contrast": rng.normal(above, 4, n),
            "v_error": 0.5,
        }
    )  # fmt: skip
    table["v_median"] = 30 + slope * table.slope + warmth * table.temperature
    table["v_median"] += noise * rng.standard_normal(n)
    return table


def verdicts(found):
    return [claim.verdict for claim in found.claims]


def attribute(data, **options):
    return gt.attribution(data, permutations=99, **options)


def test_a_region_with_known_effects():
    found = attribute(region())
    table = found.regression.table
    assert table.loc["slope", "low"] < 0.8 < table.loc["slope", "high"]
    assert table.loc["temperature", "low"] < -1.5 < table.loc["temperature", "high"]
    assert table["share"].sum() == pytest.approx(found.regression.r2)
    assert verdicts(found)[:4] == ["supported", "contradicted", "contradicted", "supported"]
    assert set(found.correlations["factor"]) == {"slope", "temperature", "area_km2"}
    assert (found.correlations["p_adjusted"] >= found.correlations["p"]).all()


def test_the_sentences_turn_with_the_data():
    warm = attribute(region(slope=-0.8, warmth=1.5, above=-3.0))
    assert verdicts(warm)[:4] == ["contradicted", "supported", "contradicted", "contradicted"]
    good = attribute(region(warmth=1.5))
    assert verdicts(good)[:3] == ["supported"] * 3


def test_noise_leaves_every_sentence_open():
    table = region(slope=0, warmth=0, above=0.0, seed=3)
    found = attribute(table)
    assert verdicts(found)[:4] == ["open"] * 4
    assert "no relation" in found.summary()
    assert "left open" in found.sentences()[BOTH]


def test_words_carry_numbers_and_never_the_number_of_posts():
    found = attribute(velocity_map())
    text = found.summary()
    posts = 60 * 60
    assert str(posts) not in text
    assert str(posts) not in repr(found)
    assert "independent values" in text
    assert "does not say what moves what" in text
    assert "correlations in space only" in text


def test_prints_as_tables():
    found = attribute(region())
    for title in ("Correlation with v_median", "Multiple regression", "Geographical detector"):
        assert title in repr(found)
        assert title in found._repr_html_()
    assert (
        "<script"
        not in attribute(region().rename(columns={"slope": "slope<script>"}))._repr_html_()
    )


def velocity_map(edge=60, *, seed=1, step=100.0):
    """A smooth map that rises with slope and has nothing to do with temperature."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)

    def field(sigma):
        z = gaussian_filter(rng.standard_normal((edge, edge)), sigma)
        return z / z.std()

    slope, warmth, noise = field(2), field(6), field(2)
    coords = {
        "y": 3.1e6 - step * np.arange(edge), "x": 4.7e5 + step * np.arange(edge),
        "reference_time": np.datetime64("2019-09-03", "ns"),
        "secondary_time": np.datetime64("2020-01-05", "ns"),
    }  # fmt: skip
    data = {
        "v": 20 + 5 * slope + 2 * noise, "slope": 20 + 5 * slope, "temperature": -6 + 2 * warmth,
    }  # fmt: skip
    ds = xr.Dataset({k: (("y", "x"), v.astype("float32")) for k, v in data.items()}, coords=coords)
    ds["v"] = ds.v.where(ds.x > ds.x[3])
    ds.v.attrs["units"] = "m yr-1"
    return ds.rio.write_crs("EPSG:32645")


def test_a_map_is_tested_with_its_independent_values():
    ds = velocity_map()
    found = ds.glacier.stats.attribution(permutations=99)
    rows = found.correlations.set_index(["factor", "method"])
    assert rows.loc[("slope", "pearson"), "p"] < 1e-6
    assert rows.loc[("slope", "pearson"), "n_effective"] < 600
    assert rows.loc[("temperature", "pearson"), "p_adjusted"] > 0.05
    assert found.regression.errors == "blocks"
    assert verdicts(found)[:3] == ["supported", "open", "open"]


def test_a_lazy_map_gives_the_same_numbers():
    ds = velocity_map()
    eager, lazy = attribute(ds), attribute(ds.chunk(17))
    pd.testing.assert_frame_equal(eager.correlations, lazy.correlations)
    pd.testing.assert_frame_equal(eager.geodetector.factors, lazy.geodetector.factors)


def test_a_map_by_glacier_with_factors_from_elsewhere():
    ds = velocity_map()
    west, south, edge = 4.7e5 - 50, 3.1e6 - 6000, 1500
    boxes = [
        shapely.box(
            west + i * edge, south + j * edge, west + (i + 1) * edge, south + (j + 1) * edge
        )
        for i in range(4)
        for j in range(4)
    ]
    outlines = gpd.GeoDataFrame(geometry=boxes[:-1], crs="EPSG:32645")
    elevation = (5000 + 300 * (ds.slope - 20) / 5).rename("elevation")
    found = attribute(
        ds[["v"]], factors={"elevation": elevation, "temperature": ds.temperature}, groups=outlines
    )
    assert found.regression.errors == "groups"
    assert found.regression.units == 15
    # Speed rises with elevation here, so the ice above each median elevation is faster.
    assert found.claims[ABOVE].verdict == "supported"
    assert "15 glaciers" in found.claims[ABOVE].because


def test_aspect_becomes_two_components():
    table = region().assign(aspect=np.linspace(0, 359, 80))
    found = attribute(table, factors=["aspect", "slope"])
    assert {"northness", "eastness"} <= set(found.correlations["factor"])
    assert "aspect" not in set(found.correlations["factor"])


def test_classes_are_strata_and_no_number():
    table = region().assign(surge_type=np.where(np.arange(80) % 3, "no", "yes"))
    found = attribute(table, factors=["slope", "surge_type"])
    assert set(found.correlations["factor"]) == {"slope"}
    assert found.geodetector.factors.loc["surge_type", "strata"] == 2


def test_log_of_the_response():
    table = region()
    table["v_median"] = np.exp(0.1 * table.slope)
    found = attribute(table, factors=["slope"], log_response=True)
    assert found.regression.table.loc["slope", "coefficient"] == pytest.approx(0.1)
    assert found.regression.response == "ln_v_median"


def test_alike_factors_are_named_in_the_notes():
    table = region()
    table["elevation"] = 6000 - 150 * table.temperature + np.random.default_rng(0).normal(0, 20, 80)
    found = attribute(table)
    assert any("too alike" in note for note in found.notes)
    table["height"] = 2 * table["elevation"]
    assert any("determine each other" in note for note in attribute(table).notes)


def test_what_is_missing_is_left_out_or_said():
    table = region()
    table.loc[:20, "temperature"] = np.nan
    table["snow"] = np.nan
    found = attribute(table, factors=["slope", "temperature", "snow"])
    assert found.regression is None
    assert any("No regression" in note for note in found.notes)
    rows = found.correlations.set_index(["factor", "method"])
    assert np.isnan(rows.loc[("snow", "pearson"), "r"])
    assert np.isfinite(rows.loc[("temperature", "pearson"), "p"])
    bare = attribute(table[["v_median", "slope"]])
    assert verdicts(bare)[CLIMATE:] == ["open"] * 4
    assert any("no places" in note for note in bare.notes)


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({}, {"factors": ["nothing"]}, MissingVariableError, "there is no nothing here"),
        ({}, {"factors": []}, ParameterError, "at least one factor"),
        ({}, {"response": "speed"}, MissingVariableError, "there is no speed here"),
        ({}, {"roles": {"slope": "weather"}}, ParameterError, "role of slope"),
        ({}, {"confidence": 95}, ParameterError, "between 0 and 1"),
        ({}, {"coordinates": np.zeros((3, 2))}, InputError, "80 rows"),
        ({}, {"groups": np.zeros(3)}, InputError, "each of the 80 rows"),
        ({"v_median": np.nan}, {}, InputError, "has 0 values"),
        ({}, {"classes": 1}, ParameterError, "classes must be 2 or more"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(change, options, error, words):
    with pytest.raises(error, match=words):
        attribute(region().assign(**change), **options)


def test_maps_on_other_posts_are_refused():
    ds = velocity_map()
    with pytest.raises(GridError, match="lies on other posts"):
        attribute(ds[["v"]], factors={"slope": ds.slope.isel(x=slice(1, None))})
    with pytest.raises(InputError, match="pandas table or an xarray Dataset"):
        attribute([1, 2, 3])
    with pytest.raises(MissingVariableError, match="no speed here"):
        attribute(ds[["slope"]])
    with pytest.raises(ParameterError, match="name the factors"):
        attribute(ds[["v"]])


def test_a_large_map_is_thinned(monkeypatch):
    monkeypatch.setattr("glaciertoolkit.stats.samples.MOST_POSTS", 900)
    found = attribute(velocity_map())
    assert any("One post in 2" in note for note in found.notes)
    assert found.claims[TOPOGRAPHY].verdict == "supported"


def test_contrast_needs_enough_glaciers():
    assert about_contrast(np.array([1.0, 2, 3]), alpha=0.05, seed=0).verdict == "open"
    assert about_contrast(np.full(9, np.nan), alpha=0.05, seed=0).verdict == "open"
    assert about_contrast(np.arange(1.0, 12), alpha=0.05, seed=0).verdict == "supported"
    assert about_contrast(-np.arange(1.0, 12), alpha=0.05, seed=0).verdict == "contradicted"


def test_small_glaciers_must_be_faster_than_their_errors():
    area = np.r_[np.full(10, 2.0), np.full(10, 30.0)]
    speed = np.r_[np.full(10, 40.0), np.linspace(18, 22, 10)]
    sure = about_small(area, speed, np.full(20, 1.0), alpha=0.05)
    assert sure.verdict == "supported"
    assert "10 of 10" in sure.because
    assert about_small(area, speed, np.full(20, 50.0), alpha=0.05).verdict == "open"
    assert about_small(area, speed, None, alpha=0.05).verdict == "open"
    slow = np.r_[np.full(10, 2.0), speed[10:]]
    assert about_small(area, slow, np.full(20, 0.5), alpha=0.05).verdict == "contradicted"
    assert about_small(None, speed, None, alpha=0.05).verdict == "open"
    assert about_small(area[:10], speed[:10], np.ones(10), alpha=0.05).verdict == "open"


def test_noise_does_not_make_small_glaciers_active():
    """All glaciers equally fast: some are measured faster, none is called so."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        area = np.r_[np.full(60, 2.0), np.full(15, 30.0)]
        speed = 20 + rng.standard_normal(75)
        claim = about_small(area, speed, np.full(75, 1 / 1.2533), alpha=0.05)
        found += claim.verdict == "supported"
    assert found <= 5


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("slope", "topography"), ("slope_deg", "topography"), ("zmed_m", "topography"),
        ("temperature", "climate"), ("t2m", "climate"), ("snow_fraction", "climate"),
        ("precipitation_jja", "climate"), ("area_km2", "other"), ("template", "other"),
        ("coverage", "other"), ("pr", "climate"), ("spread", "other"),
    ],
)  # fmt: skip
def test_roles_by_name(name, role):
    assert role_of(name) == role


def test_regression_warns_of_alike_factors():
    table = region()
    table["elevation"] = 6000 - 150 * table.temperature + np.random.default_rng(0).normal(0, 20, 80)
    with pytest.warns(GlacierToolkitWarning, match="too alike"):
        gt.regression(table, response="v_median", factors=["temperature", "elevation"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gt.regression(table, response="v_median", factors=["temperature", "slope"])
