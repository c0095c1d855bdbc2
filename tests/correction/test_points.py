"""Large scenes are read in bands: what is found does not depend on where they end."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scenes import offset_field

import glaciertoolkit as gt
from glaciertoolkit.correction import points
from glaciertoolkit.errors import GridError
from glaciertoolkit.terrain import at_posts


def scene() -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    ds = offset_field((230, 110), template=28, step=4)
    rng = np.random.default_rng(0)
    holes = xr.DataArray(rng.random(ds.dx.shape) < 0.3, dims=("y", "x"))
    ds["dx"] = ds.dx.where(~holes)
    stable = xr.DataArray(rng.random(ds.dx.shape) < 0.2, ds.dx.coords, ("y", "x"))
    elevation = (ds.dx * 0 + 4000 + 10 * ds.y - 3_200_000).fillna(4000).astype(np.float32)
    return ds, stable, elevation


@pytest.mark.parametrize(("band", "lazy"), [(16, False), (50, True), (64, True)])
def test_bands_of_any_height_give_the_same_points(
    band: int, lazy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, stable, elevation = scene()
    terrain = {"elevation": elevation}
    whole, targets = points.select_points(ds, stable=stable, terrain=terrain, errors=True)
    monkeypatch.setattr(points, "BAND", band)
    monkeypatch.setattr(points, "TOGETHER", 0)
    given = ds.chunk({"y": 33, "x": 70}) if lazy else ds
    part, others = points.select_points(given, stable=stable, terrain=terrain, errors=True)
    for name in ("x", "y", "d", "error", "fold", "block", "h"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))
    for name in ("x", "y"):
        np.testing.assert_array_equal(getattr(others, name), getattr(targets, name))
    assert len(whole) > 200
    # one a template of seven posts, each of them stable and valid
    cells = {(round(y) // 84, round(x) // 84) for y, x in zip(
        3_200_000 - whole.y, whole.x - 500_000, strict=True
    )}  # fmt: skip
    assert len(cells) == len(whole)


def test_a_sample_of_a_large_scene_is_spread_over_it() -> None:
    values = np.arange(1600 * 2100, dtype=np.float32).reshape(1600, 2100)
    ds = xr.Dataset({"a": (("y", "x"), values), "b": (("y", "x"), -values)})
    some = points.sample(ds, ["a", "b"], most=500_000)
    assert 250_000 < some["a"].size < 1_000_000
    assert np.unique(some["a"]).size == some["a"].size
    np.testing.assert_array_equal(some["b"], -some["a"])
    assert some["a"].min() < 0.25 * values.size < 0.75 * values.size < some["a"].max()
    lazy = points.sample(ds.chunk(300), ["a"], most=500_000)
    np.testing.assert_array_equal(lazy["a"], some["a"])
    assert points.sample(ds, ["a"])["a"].size == values.size


def test_terrain_in_bands_is_the_terrain(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = offset_field((150, 90))
    rng = np.random.default_rng(1)
    y, x = 3_200_600.0 - 30 * np.arange(120), 499_700.0 + 30 * np.arange(90)
    z = (4000 + np.cumsum(rng.normal(0, 8, (120, 90)), 0)).astype(np.float32)
    dem = xr.DataArray(z, {"y": y, "x": x}, ("y", "x")).rio.write_crs(32645)
    whole = at_posts.terrain_at_posts(ds, dem)
    assert float(np.isfinite(whole.elevation).mean()) > 0.99
    monkeypatch.setattr(at_posts, "BAND", 1)
    xr.testing.assert_allclose(at_posts.terrain_at_posts(ds, dem), whole, rtol=1e-6)
    xr.testing.assert_allclose(at_posts.elevation_at_posts(ds, dem), whole.elevation, rtol=1e-6)
    # A band without a DEM is not the end; no band with one is.
    north = dem.isel(y=slice(0, 60))
    with pytest.warns(gt.GlacierToolkitWarning, match="only 66% of the posts"):
        part = at_posts.terrain_at_posts(ds, north, min_coverage=0.9)
    assert np.isnan(part.elevation[-20:]).all()
    assert np.isfinite(part.elevation[:60]).all()
    away = dem.assign_coords(x=dem.x + 1e6)
    with pytest.raises(GridError, match="does not overlap"):
        at_posts.terrain_at_posts(ds, away)
