"""Velocity against topography and glaciers on real maps: Everest north side, south-east Tibet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rioxarray
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.grids import rasterize
from glaciertoolkit.stats.equilibrium import equilibrium_line

DATA = Path(__file__).parents[2].parent / "shared" / "data"
EVEREST, TIBET = DATA / "site_everest_rongbuk", DATA / "series_se_tibet_itslive"
RGI = EVEREST / "rgi60_outlines_everest.gpkg"
DEM = EVEREST / "dem_aw3d_50m.tif"
THICKNESS = EVEREST / "thickness_consensus_farinotti2019_50m.tif"
RONGBUK = "RGI60-15.09991"

everest = pytest.mark.skipif(not EVEREST.is_dir(), reason=f"no real data at {EVEREST}")
tibet = pytest.mark.skipif(not TIBET.is_dir(), reason=f"no real data at {TIBET}")


@pytest.fixture(scope="module")
def velocity() -> xr.Dataset:
    """The ITS_LIVE mosaic; the error of the speed from those of its components."""

    def band(name: str) -> xr.DataArray:
        path = EVEREST / f"itslive_HMA_G0120_{name}.tif"
        return rioxarray.open_rasterio(path, masked=True).squeeze(drop=True)

    vx, vy, vx_error, vy_error = (band(n) for n in ("vx", "vy", "vx_err", "vy_err"))
    v = np.hypot(vx, vy)
    return xr.Dataset(
        {
            "vx": vx, "vy": vy, "v": v, "vx_error": vx_error, "vy_error": vy_error,
            "v_error": np.hypot(vx * vx_error, vy * vy_error) / v,
        }
    )  # fmt: skip


@everest
def test_speed_on_ice_is_that_of_the_collection(velocity):
    ice = rasterize(RGI, velocity).values
    median, p95 = np.nanpercentile(velocity.v.values[ice], [50, 95])
    assert (median, p95) == (pytest.approx(2.1, rel=0.1), pytest.approx(24.5, rel=0.1))


@everest
def test_the_table_of_glaciers(velocity, tmp_path):
    table = gt.glaciers(velocity, RGI, dem=DEM, geometry=True)
    assert len(table) == 55
    row = table.set_index("rgi_id").loc[RONGBUK]
    assert row["significant"]
    # The formal errors of the mosaic are small: noise adds next to nothing.
    assert 0 < row["v_mean"] - row["v_debiased"] < 0.01 * row["v_mean"]
    assert 0 < row["v_error"] < 0.05
    # The inventory's own aspect and slope of this glacier, in true north and by another DEM.
    inventory = gt.read_inventory(RGI).set_index("rgi_id").loc[RONGBUK]
    assert abs((row["aspect_deg"] - inventory["aspect_deg"] + 180) % 360 - 180) < 25
    assert row["slope_deg"] == pytest.approx(inventory["slope_deg"], abs=5)
    assert row["zmed_m"] == pytest.approx(inventory["zmed_m"], abs=60)
    partly = table[table["coverage"] < 0.3]
    assert partly["note"].str.contains("less than 30%").all()
    gt.write_table(table, tmp_path / "everest.gpkg")


@everest
def test_area_and_speed_by_elevation(velocity):
    got = gt.hypsometry(velocity, DEM, outlines=RGI)
    table = gt.glaciers(velocity, RGI).set_index("rgi_id")
    area = got["area"].sum("elevation_bin").to_series().set_axis(got["rgi_id"].values)
    # On the ground: this map stretches lengths by 1.075.
    assert area[RONGBUK] == pytest.approx(table.loc[RONGBUK, "area_km2"], rel=0.02)
    profile = got["region_v_median"]
    assert float(profile.sel(elevation_bin=5650)) > 5 * float(profile.sel(elevation_bin=6550))
    known = profile.notnull()
    assert bool((got["region_v_error"].where(known, drop=True) > 0).all())
    topography = gt.topography(velocity, DEM, outlines=RGI)
    peak = int(np.nanargmax(topography["v_median_by_normalised_elevation"].values))
    assert float(topography["normalised_elevation_bin"][peak]) < 0.5


@everest
def test_the_accumulation_areas_here_are_slower(velocity):
    """Against the general statement, and so for every way of drawing the line."""
    for options in ({}, {"ela": "aar"}, {"ela": 6000.0}):
        got = gt.accumulation_contrast(velocity, DEM, outlines=RGI, block=3000, **options)
        assert int(got["glaciers_used"]) >= 10
        assert float(got["p_value"]) > 0.05
        low, share, high = (
            float(got[f"fraction_faster_above{k}"]) for k in ("_low", "", "_high")
        )  # fmt: skip
        assert 0 <= low <= share <= high < 0.6
        assert "does not support" in repr(got)
    line = equilibrium_line(velocity, DEM, outlines=RGI)
    inventory = gt.read_inventory(RGI).set_index("rgi_id")["zmed_m"]
    whole = gt.glaciers(velocity, RGI).set_index("rgi_id")["coverage"] > 0.95
    assert float((line - inventory.loc[line.index])[whole].abs().median()) < 60


@everest
def test_driving_stress_and_the_shallow_ice_relation(velocity):
    got = gt.driving_stress(velocity, thickness=THICKNESS, dem=DEM)
    stress = got["driving_stress"].values
    thick = got["thickness"].values > 50
    # Valley glaciers flow under one to two bars.
    assert 80 < np.nanmedian(stress[thick]) < 250
    law = gt.shallow_ice(got, outlines=RGI)
    p, q = (law.sel(term=f"ln {k}") for k in ("driving_stress", "thickness"))
    # Thick ice is fast; at this resolution speed does not follow the cube of the stress.
    assert float(q["low"]) > 0
    assert float(p["high"]) < 3
    assert 200 < float(law["correlation_length"]) < 5000
    assert float(law["dof"]) < 300 < float(law["n"])


@tibet
def test_size_and_slope_of_28_glaciers():
    series = xr.open_dataset(TIBET / "regional_28glaciers_quarterly_velocity.nc")
    bare = series.drop_vars(["area_km2", "slope_deg"])
    joined = gt.join_inventory(bare, TIBET / "regional_28glaciers_outlines_rgi7.gpkg")
    np.testing.assert_allclose(joined["area_km2"], series["area_km2"])
    table = joined.median("mid_date")[["v"]].to_dataframe().reset_index()
    law = gt.speed_scaling(table, speed="v")
    area = law.sel(term="ln area_km2")
    assert float(area["low"]) > 0  # large glaciers are faster
    slope = law.sel(term="ln sin slope_deg")
    assert float(slope["low"]) < 0 < float(slope["high"])  # these few do not tell
    assert 10 <= int(law["n"]) <= 28
    assert float(law["share_left_out"]) == pytest.approx(1 - int(law["n"]) / 28)
