"""The accuracy of real maps: GLAFT's demonstration pair, and ITS_LIVE at Everest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.grids import rasterize
from glaciertoolkit.uncertainty.densities import flow_strain, static_terrain

DATA = Path(__file__).parents[2].parent / "shared" / "data"
KASKAWULSH = DATA / "offsets_kaskawulsh"
EVEREST = DATA / "site_everest_rongbuk"
DAYS = 32.0


def needs(folder: Path) -> Any:
    return pytest.mark.skipif(not folder.exists(), reason=f"no real data at shared/{folder.name}")


@pytest.fixture(scope="module")
def raw() -> xr.Dataset:
    """Raw Landsat-8 offsets of Kaskawulsh Glacier, as `track` would return them."""
    path = KASKAWULSH / "velo_raw_vxvy_20180304_20180405_60m.tif"
    found = rioxarray.open_rasterio(path, masked=True)
    assert isinstance(found, xr.DataArray)
    per_day = found.astype("float32")
    metres = [per_day.isel(band=k, drop=True) * DAYS for k in range(2)]
    ds = xr.Dataset({"dx": metres[0], "dy": metres[1]})
    ds["flag"] = xr.zeros_like(ds.dx, dtype=np.uint32)
    ds = ds.assign_coords(
        reference_time=np.datetime64("2018-03-04", "ns"),
        secondary_time=np.datetime64("2018-04-05", "ns"),
    )
    attrs = {"template": [32, 32], "search": [16, 16], "step": [4, 4], "pixel": [15.0, 15.0]}
    return ds.assign_attrs(attrs)


@pytest.fixture(scope="module")
def rock(raw: xr.Dataset) -> xr.DataArray:
    return rasterize(KASKAWULSH / "static_bedrock.gpkg", raw)


@needs(KASKAWULSH)
def test_raw_offsets_are_those_of_the_data_note(raw: xr.Dataset, rock: xr.DataArray) -> None:
    for name, median, spread in (("dx", -0.015, 0.043), ("dy", -0.029, 0.054)):
        values = (raw[name].values / DAYS)[rock.values]
        assert np.nanmedian(values) == pytest.approx(median, abs=0.002)
        assert gt.nmad(values) == pytest.approx(spread, rel=0.03)


@pytest.fixture(scope="module")
def steps(raw: xr.Dataset, rock: xr.DataArray) -> dict[str, xr.Dataset]:
    """Velocity of the raw offsets, without the deformation, and filtered too."""
    straight = raw.glacier.remove_deformation(stable=rock, order=1)
    return {
        name: ds.glacier.velocity()
        for name, ds in (
            ("raw", raw), ("straight", straight), ("filtered", straight.glacier.filter_noise())
        )
    }  # fmt: skip


@needs(KASKAWULSH)
def test_static_terrain_before_and_after(steps: dict[str, xr.Dataset], rock: xr.DataArray) -> None:
    found = {name: static_terrain(ds, rock) for name, ds in steps.items()}
    peak = {name: float(np.hypot(*d.peak)) for name, d in found.items()}
    # the correction moves the peak to zero; without the outliers the core is seen sharply
    assert peak["raw"] > 8
    assert peak["straight"] < 0.5 * peak["raw"]
    for k in range(2):
        assert found["filtered"].half_width[k] < 0.55 * found["raw"].half_width[k]


@needs(KASKAWULSH)
def test_strain_of_the_ice_before_and_after(steps: dict[str, xr.Dataset]) -> None:
    ice = rasterize(KASKAWULSH / "glacier_inward600m.gpkg", steps["raw"])
    found = {name: flow_strain(ds, ice) for name, ds in steps.items()}
    # a plane has hardly any strain: only the filter narrows it
    for k in range(2):
        raw_width = found["raw"].half_width[k]
        assert found["straight"].half_width[k] == pytest.approx(raw_width, rel=0.05)
        assert found["filtered"].half_width[k] < raw_width


@needs(KASKAWULSH)
def test_neighbouring_posts_of_rock_are_not_independent(
    steps: dict[str, xr.Dataset], rock: xr.DataArray
) -> None:
    report = steps["filtered"].glacier.accuracy_report(stable=rock)
    n = float(report.fit_dx_n)
    assert n > 40_000
    assert 10 < float(report.fit_dx_n_effective) < n / 20
    assert "static terrain (GLAFT)" in repr(report)


@pytest.fixture(scope="module")
def everest() -> xr.Dataset:
    """Posts every 100 m at Rongbuk Glacier, UTM 45N."""
    dem = rioxarray.open_rasterio(EVEREST / "dem_aw3d_50m.tif", masked=True)
    assert isinstance(dem, xr.DataArray)
    posts = dem.isel(band=0, drop=True)[::2, ::2] * 0.0
    return xr.Dataset({"vx": posts, "vy": posts})


@needs(EVEREST)
@pytest.mark.parametrize("true_lengths", [True, False])
def test_itslive_vectors_turn_by_the_grid_convergence(
    everest: xr.Dataset, true_lengths: bool
) -> None:
    files = {name: EVEREST / f"itslive_HMA_G0120_{name}.tif" for name in ("vx", "vy")}
    outlines = EVEREST / "rgi60_outlines_everest.gpkg"
    found = gt.compare(everest, files, ice=outlines, true_lengths=true_lengths)
    assert abs(float(found.grid_convergence)) == pytest.approx(5.4, abs=0.1)
    assert float(found.scale) == pytest.approx(1.075, abs=0.001)
    stretched = 1.0 if true_lengths else float(found.scale)
    speed = found.speed.sel(map="other") / stretched
    for ground, median, p95 in (("ice", 2.1, 24.5), ("off_ice", 0.38, 5.9)):
        at = speed.sel(ground=ground)
        assert float(at.sel(speed_statistic="median")) == pytest.approx(median, rel=0.03)
        assert float(at.sel(speed_statistic="p95")) == pytest.approx(p95, rel=0.03)
