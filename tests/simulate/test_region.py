"""A simulated region holds what it says: speeds, thickness, climate and histories."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import rasterize
from glaciertoolkit.simulate.region import MEAN_SLOPE, MEAN_SPEED, MEAN_TEMPERATURE, Region

SMALL = {"glaciers": 15, "extent": (24_000.0, 18_000.0)}


@pytest.fixture(scope="module")
def exact() -> Region:
    """Without errors, holes and what nothing explains."""
    return gt.simulate_region(
        **SMALL, noise=0, missing=0, unexplained=0, thickness_error=0, stagnant=1, seed=4
    )


@pytest.fixture(scope="module")
def usual() -> Region:
    return gt.simulate_region(**SMALL, seed=4)


def test_the_speed_of_each_glacier_is_the_one_promised(exact):
    truth = exact.truth
    promised = (
        MEAN_SPEED + 1.5 * (truth["slope"] - MEAN_SLOPE)
        + 3.0 * (truth["temperature"] - MEAN_TEMPERATURE)
    ).clip(lower=3.0)  # fmt: skip
    moving = ~truth["stagnant"]
    np.testing.assert_allclose(truth["speed"][moving], promised[moving])
    assert truth["speed"][truth["stagnant"]].tolist() == [0.5]
    table = gt.glaciers(exact.velocity, exact.outlines)
    found = (table["v_median"] / truth["speed"])[table["area_km2"] > 1]
    assert found.between(0.93, 1.07).all()


def test_ice_flows_downhill_and_only_on_glaciers(exact):
    ice = rasterize(exact.outlines, exact.velocity).values
    speed = exact.velocity.v.values
    assert np.mean(speed[~ice] == 0) > 0.98  # a post on the margin may belong to either
    assert np.mean(speed[ice] > 0) > 0.95
    uphill = -exact.dem.differentiate("x") * exact.velocity.vx
    uphill = uphill - exact.dem.differentiate("y") * exact.velocity.vy
    assert float((uphill.values[ice & (speed > 1)] > 0).mean()) > 0.9


def test_thickness_is_that_of_ice_which_deforms(exact):
    stressed = gt.driving_stress(
        exact.velocity, thickness=exact.thickness, dem=exact.dem, outlines=exact.outlines
    )
    law = gt.shallow_ice(stressed, outlines=exact.outlines)
    np.testing.assert_allclose(law["estimate"].values[1:], [3, 1], atol=0.05)
    assert float((exact.thickness.where(exact.thickness > 0)).median()) > 30


def test_where_ice_is_fastest_is_settable():
    low = gt.simulate_region(**SMALL, fastest_at=0.2, noise=0.5, seed=1)
    high = gt.simulate_region(**SMALL, fastest_at=0.8, noise=0.5, seed=1)
    for region, sign in ((low, -1), (high, 1)):
        found = gt.accumulation_contrast(region.velocity, region.dem, outlines=region.outlines)
        assert sign * float(found["contrast_median"]) > 3


def test_errors_are_those_stated(usual):
    rock = usual.velocity.where(usual.velocity.stable)
    for name in ("vx", "vy"):
        assert float(rock[name].std()) == pytest.approx(3.0, rel=0.1)
        assert abs(float(rock[name].mean())) < 0.3
    assert float(usual.velocity.v.isnull().mean()) == pytest.approx(0.05, abs=0.002)
    assert bool((usual.velocity.v.isnull() == (usual.velocity.flag != 0)).all())
    assert usual.velocity.v.dtype == np.float32


def test_climate_is_the_one_of_the_truth(usual):
    grid = gt.read_climate(usual.climate.t2m)
    heights = usual.outlines.set_index("rgi_id")["zmed_m"].to_xarray()
    there = gt.downscale_temperature(gt.sample_climate(grid, usual.outlines), heights)
    truth = usual.truth.set_index("rgi_id")["temperature"].to_xarray()
    assert float(abs(there.mean("time") - truth).median()) < 1.0
    rate = gt.lapse_rate(usual.stations.temperature, by="all")
    assert float(rate["lapse_rate"]) == pytest.approx(-6.5, abs=0.1)
    assert 0 < float(usual.stations.temperature.isnull().mean()) < 0.2
    rain = gt.aggregate_climate(gt.read_climate(usual.climate.precipitation), period="year")
    assert 200 < float(rain.mean()) < 1500


def test_warming_is_that_of_the_truth():
    years = []
    for seed in range(6):
        region = gt.simulate_region(**SMALL, seed=seed)
        mean = region.climate.t2m.mean(("latitude", "longitude"))
        annual = mean.groupby("time.year").mean()
        years.append(np.polyfit(annual["year"], annual, 1)[0])
    assert np.mean(years) == pytest.approx(0.03, abs=0.012)


def test_histories_end_at_the_map_and_hold_the_surge(usual):
    last = usual.history.v.isel(time=-1).values
    near = np.abs(last - usual.truth["speed"]) / usual.truth["speed"]
    assert near.median() < 0.15
    found = gt.surge_candidates(usual.history)
    surged = usual.truth.loc[usual.truth["surge_year"] > 0, "rgi_id"].tolist()
    assert found.loc[found["candidate"], "rgi_id"].tolist() == surged
    slope = gt.trend(usual.history.v).slope.values
    assert np.corrcoef(slope, usual.truth["trend"])[0, 1] > 0.5


def test_the_same_seed_gives_the_same_region(usual):
    again = gt.simulate_region(**SMALL, seed=4)
    xr.testing.assert_identical(again.velocity, usual.velocity)
    xr.testing.assert_identical(again.climate, usual.climate)
    assert again.truth.equals(usual.truth)
    other = gt.simulate_region(**SMALL, seed=5)
    assert not other.truth.equals(usual.truth)


def test_glaciers_do_not_touch(usual):
    shapes = usual.outlines.geometry
    assert shapes.is_valid.all()
    assert min(a.distance(b) for k, a in enumerate(shapes) for b in shapes[k + 1 :]) > 300


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"glaciers": 2}, "glaciers is 2"),
        ({"post": 5}, "post is 5"),
        ({"missing": 0.9}, "missing is 0.9"),
        ({"noise": -1}, "noise is -1"),
        ({"fastest_at": float("nan")}, "fastest_at"),
        ({"extent": (1_000.0, 40_000.0)}, "extent"),
        ({"glaciers": 10, "stagnant": 400, "extent": (9_000.0, 9_000.0)}, "widen extent"),
    ],
)
def test_parameters_out_of_range_are_said(options, word):
    with pytest.raises(ParameterError, match=word):
        gt.simulate_region(**options)
