"""Tracking of real pairs: neighbours agree, drift is found from a cold start, ensembles help."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.errors
import rioxarray
import xarray as xr
from scipy.ndimage import generic_filter

import glaciertoolkit as gt

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PERITO = DATA / "stack_perito_moreno_s2"
DRIFT = DATA / "pair_arctic_s1_20200301"
YAHTSE = DATA / "pair_yahtse_landsat8"
DAYS = 16.0000347


def needs(folder: Path) -> Any:
    return pytest.mark.skipif(not folder.exists(), reason=f"no real data at shared/{folder.name}")


def perito(first: str, second: str) -> xr.Dataset:
    """Two dates (MMDD of 2020) of the stack, 10 m pixels assumed."""
    images, dates = [], []
    for day in (first, second):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(PERITO / f"2020{day}.jpg") as file:
                images.append(file.read().astype(np.float32).mean(axis=0))
        dates.append(np.datetime64(f"2020-{day[:2]}-{day[2:]}", "ns"))
    ny, nx = images[0].shape
    return xr.Dataset(
        {k: (("y", "x"), v) for k, v in zip(("reference", "secondary"), images, strict=True)},
        coords={
            "y": -10.0 * np.arange(ny), "x": 10.0 * np.arange(nx),
            "reference_time": dates[0], "secondary_time": dates[1],
        },
    )  # fmt: skip


def agreement(ds: xr.Dataset) -> tuple[float, float]:
    """Share of the posts within half a pixel of the local median; of the valid ones, of all."""

    def median(values: np.ndarray) -> float:
        good = values[np.isfinite(values)]
        return float(np.median(good)) if good.size else np.nan

    parts = [ds[k].values / 10 for k in ("dx", "dy")]
    local = [generic_filter(part, median, size=5, mode="nearest") for part in parts]
    valid = np.isfinite(parts[0])
    close = np.hypot(parts[0] - local[0], parts[1] - local[1]) <= 0.5
    return float(close[valid].mean()), float((close & valid).mean())


RAW = {"search": 16, "step": 16, "false_alarm": 1.0, "min_peak_ratio": 1.0}
"""Nothing is rejected: what the correlation alone finds."""


@needs(PERITO)
@pytest.mark.slow
@pytest.mark.parametrize("dates", [("0207", "0210"), ("0220", "0222")])
def test_good_pairs_agree_with_their_neighbours(dates: tuple[str, str]) -> None:
    share, _ = agreement(gt.track(perito(*dates), **{**RAW, "template": 64, "step": 8}))
    assert share >= 0.99


@needs(PERITO)
@pytest.mark.slow
@pytest.mark.parametrize("dates", [("0123", "0227"), ("0126", "0222"), ("0227", "0328")])
def test_weak_pairs_agree_with_their_neighbours(dates: tuple[str, str]) -> None:
    share, _ = agreement(gt.track(perito(*dates), **{**RAW, "template": 32, "step": 8}))
    assert share >= 0.77


@needs(PERITO)
@pytest.mark.slow
def test_an_ensemble_of_five_beats_each_of_its_pairs() -> None:
    dates = [("0131", "0207"), ("0207", "0220"), ("0210", "0222"), ("0121", "0205"),
             ("0126", "0210")]  # fmt: skip
    pairs = [perito(*pair) for pair in dates]
    options = {"template": 32, "search": 12, "step": 16}
    together = agreement(gt.track_ensemble(pairs, **options))
    alone = [agreement(gt.track(pair, **options)) for pair in pairs]
    assert together[0] >= max(share for share, _ in alone) - 0.005
    assert together[1] > max(share for _, share in alone)


@needs(DRIFT)
@pytest.mark.slow
def test_fast_drift_is_found_from_a_cold_start() -> None:
    pair = gt.open_pair(
        DRIFT / "S1B_20200301T083237_EW_HH_dB_100m.tif",
        DRIFT / "S1B_20200302T073529_EW_HH_dB_100m.tif",
    ).load()
    coarse_to_fine = gt.track(pair, template=64, max_displacement=60)
    exhaustive = gt.track(pair, template=64, search=48)
    for ds in (coarse_to_fine, exhaustive):
        assert float(np.isfinite(ds.dx).mean()) > 0.9
        low, high = ds.dx.quantile([0.01, 0.99])
        assert -3200 < float(low) < float(high) < -2300
        low, high = ds.dy.quantile([0.01, 0.99])
        assert -4350 < float(low) < float(high) < -3400
    same = np.hypot(coarse_to_fine.dx - exhaustive.dx, coarse_to_fine.dy - exhaustive.dy) < 10
    both = np.isfinite(coarse_to_fine.dx) & np.isfinite(exhaustive.dx)
    assert float(same.where(both, drop=True).sum() / both.sum()) > 0.98


@needs(YAHTSE)
@pytest.mark.slow
def test_more_posts_than_the_published_field_at_equal_precision() -> None:
    pair = gt.open_pair(
        YAHTSE / "LC08_063018_20160718_B8.tif", YAHTSE / "LC08_063018_20160803_B8.tif"
    )
    # The published field keeps whatever is not hopeless; at its own scatter ours keeps more.
    offsets = pair.glacier.track(template=64, false_alarm=0.2, min_peak_ratio=1.05).compute()
    rock = gt.stable_terrain(offsets, polygons=YAHTSE / "outlines_rock_nunataks.gpkg")
    carst = rioxarray.open_rasterio(YAHTSE / "carst_ampcor_raw_vxvy_snr_120m.tif", masked=True)
    assert isinstance(carst, xr.DataArray)
    carst = carst.interp(x=offsets.x, y=offsets.y, method="nearest")
    ours, theirs = [], []
    for band, name in ((0, "dx"), (1, "dy")):
        ours.append(gt.nmad(offsets[name].where(rock) / DAYS))
        theirs.append(gt.nmad(carst[band].where(rock)))
    for mine, published in zip(ours, theirs, strict=True):
        assert mine <= published
    assert float(np.isfinite(offsets.dx).sum()) > float(np.isfinite(carst[0]).sum())
