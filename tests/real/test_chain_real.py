"""The chain on real pairs: published offsets and physics as independent witnesses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray
import xarray as xr

import glaciertoolkit as gt

DATA = Path(__file__).parents[2].parent / "shared" / "data"
YAHTSE = DATA / "pair_yahtse_landsat8"
ARCTIC = DATA / "pair_arctic_s1_20161005"
DAYS = 16.0000347


def needs(folder: Path) -> Any:
    return pytest.mark.skipif(not folder.exists(), reason=f"no real data at shared/{folder.name}")


@pytest.fixture(scope="module")
def yahtse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("yahtse") / "out"
    words = {
        "reference": YAHTSE / "LC08_063018_20160718_B8.tif",
        "secondary": YAHTSE / "LC08_063018_20160803_B8.tif",
        "dem": YAHTSE / "dem_srtm_50m.tif",
        "stable": YAHTSE / "outlines_rock_nunataks.gpkg",
        "template": 64,
        "out": out,
    }
    given = [part for k, v in words.items() for part in (f"--{k}", str(v))]
    command = [sys.executable, "-m", "glaciertoolkit.cli", "run", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # few nunataks: a quadratic surface would be extrapolated, and the run says so
    assert "reduced from order 2" in done.stderr
    return out


@needs(YAHTSE)
@pytest.mark.slow
def test_residual_on_rock(yahtse: Path) -> None:
    accuracy = json.loads((yahtse / "accuracy.json").read_text())
    for ground in ("fit", "holdout"):
        for name in ("dx", "dy"):
            assert accuracy[ground][name]["nmad"] / DAYS <= 0.06
            assert abs(accuracy[ground][name]["median"]) / DAYS <= 0.05
    motion = gt.open_products(yahtse).load()
    assert float(np.isfinite(motion.dx.where(motion.stable, drop=True)).sum()) >= (
        0.8 * float(motion.stable.sum())
    )


@needs(YAHTSE)
@pytest.mark.slow
def test_agreement_with_independent_offsets(yahtse: Path) -> None:
    motion = gt.open_products(yahtse).load()
    path = YAHTSE / "carst_ampcor_raw_vxvy_snr_120m.tif"
    carst = rioxarray.open_rasterio(path, masked=True)
    assert isinstance(carst, xr.DataArray)
    carst = carst.interp(x=motion.x, y=motion.y, method="nearest")
    x = ((motion.x - motion.x.mean()) / 1e4).broadcast_like(motion.dx).values.ravel()
    y = ((motion.y - motion.y.mean()) / 1e4).broadcast_like(motion.dx).values.ravel()
    plane = np.column_stack([np.ones_like(x), x, y])
    # its own signal-to-noise ratio: the better half of its posts
    trusted = (carst[2] >= carst[2].quantile(0.4)).values.ravel()
    for band, name in ((0, "dx"), (1, "dy")):
        theirs = carst[band].values.ravel()
        difference = motion[name].values.ravel() / DAYS - theirs
        use = np.isfinite(difference) & trusted
        assert use.sum() >= 0.5 * np.isfinite(theirs).sum()
        fit = gt.robust.regress(plane[use], difference[use])
        assert gt.nmad(difference[use] - plane[use] @ fit.coefficients) <= 0.12


@needs(ARCTIC)
@pytest.mark.slow
def test_drifting_ice_turns_like_a_rigid_body() -> None:
    pair = gt.open_pair(
        ARCTIC / "S1B_20161005T101835_sigma0_HV_dB_EPSG3413_40m.tif",
        ARCTIC / "S1A_20161005T142446_sigma0_HV_dB_EPSG3413_40m.tif",
    )
    offsets = pair.glacier.track(template=64).compute()
    left = offsets.glacier.remove_deformation(stable=True, order=1)
    for name in ("dx", "dy"):
        assert gt.nmad(left[name]) <= 5
    coefficients = left.deformation_coefficients
    half = {k: np.ptp(left[k].values) / 2 for k in ("x", "y")}
    turn_x = float(coefficients.sel(component="x", term="y")) / half["y"]
    turn_y = -float(coefficients.sel(component="y", term="x")) / half["x"]
    assert turn_x == pytest.approx(2.57e-3, rel=0.05)
    assert turn_y == pytest.approx(2.57e-3, rel=0.05)


@needs(DATA / "pair_djglacier_s1_shifted")
def test_an_integer_shift_of_a_real_image_is_exact() -> None:
    folder = DATA / "pair_djglacier_s1_shifted"
    pair = gt.open_pair(
        folder / "DJ_before.tif",
        folder / "DJ_after.tif",
        reference_date="2020-01-01",
        secondary_date="2020-01-13",
        pixel={"y": 9.62, "x": 10.08},
    )
    offsets = pair.glacier.track(template=64, search=12, step=32).compute()
    assert float(offsets.dx.median()) == pytest.approx(8 * 10.08, abs=0.05)
    assert float(offsets.dy.median()) == pytest.approx(-3 * 9.62, abs=0.05)
