"""Five elevation models of Hooker Island against the published rate of elevation change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rioxarray
import xarray as xr

import glaciertoolkit as gt

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "dems_hooker_fjl"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the collection of real data is not at {DATA}"
)


def table() -> pd.DataFrame:
    found = pd.read_csv(DATA / "dem_dates_uncertainty.csv", parse_dates=["date"])
    return found.assign(path=[DATA / f"dem_{d:%Y%m%d}_30m.tif" for d in found["date"]])


def first_grid() -> xr.DataArray:
    path = table()["path"][0]
    return rioxarray.open_rasterio(path, masked=True).squeeze(drop=True)


def reference(like: xr.DataArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Published rate, number of models behind it, and bare rock, on the 30 m posts."""
    rate, count, rock = (
        gt.match_raster(DATA / f"ref_{name}_10m.tif", like, method=method).values
        for name, method in (
            ("carst_dhdt", "average"), ("carst_dhdt_count", "nearest"), ("area_mask", "average"),
        )
    )  # fmt: skip
    return rate, count, rock > 0.9


def test_the_rate_agrees_with_the_published_one_within_its_error() -> None:
    models, like = table(), first_grid()
    found = gt.elevation_trend(
        list(models["path"]), dates=models["date"], errors=models["uncertainty"]
    )
    rate, count, _ = reference(like)
    # The published fit leaves out outliers: compare where both rest on the same models.
    same = np.isfinite(rate) & (found["count"].values == count) & (count >= 3)
    assert same.sum() > 20_000
    difference = (found.dh_dt.values - rate)[same]
    error = found.dh_dt_error.values[same]
    assert 0.2 < np.median(error) < 0.3
    assert abs(np.median(difference)) < 0.01
    assert gt.nmad(difference) < 0.06
    assert (np.abs(difference) < error).mean() > 0.83
    assert np.corrcoef(found.dh_dt.values[same], rate[same])[0, 1] > 0.7


def test_dates_in_the_wrong_order_do_not_agree() -> None:
    """The control: the comparison fails when it should."""
    models, like = table(), first_grid()
    found = gt.elevation_trend(
        list(models["path"]), dates=models["date"][::-1].to_list(), errors=models["uncertainty"]
    )
    rate, count, _ = reference(like)
    same = np.isfinite(rate) & (found["count"].values == count) & (count >= 3)
    difference = (found.dh_dt.values - rate)[same]
    assert abs(np.median(difference)) > 0.2
    assert (np.abs(difference) < found.dh_dt_error.values[same]).mean() < 0.5


def test_aligned_models_agree_better_on_bare_rock() -> None:
    pytest.importorskip("xdem")
    models, before = table(), first_grid()
    _, _, rock = reference(before)
    stable = before.copy(data=rock)
    left = []
    for later in models["path"][1:]:
        raw = gt.elevation_change(before, later, align="vertical", stable=stable)
        found = gt.elevation_change(before, later, stable=stable)
        assert float(found.stable_count) > 5000
        assert abs(float(found.stable_median)) < 0.02
        assert 0.5 < np.hypot(float(found.shift_x), float(found.shift_y)) < 15
        left.append((float(raw.stable_nmad), float(found.stable_nmad)))
    before_after = np.array(left)
    assert (before_after[:, 1] < before_after[:, 0]).all()
    # What is left of two models is about what their stated errors of 0.4 to 0.5 m make.
    errors = models["uncertainty"].to_numpy()
    stated = np.hypot(errors[0], errors[1:])
    assert (before_after[:, 1] < 1.4 * stated).all()
