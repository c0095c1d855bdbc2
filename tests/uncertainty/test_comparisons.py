"""The map against another map, a chain of pairs and points: signs, axes, dates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr
from pyproj import Geod, Transformer
from scenes import DATES, offset_field

import glaciertoolkit as gt
from glaciertoolkit.errors import DateError, GridError, InputError, ParameterError
from glaciertoolkit.uncertainty.turning import axes_turn

LAMBERT = "ESRI:102027"


def velocities(vx: float = 30.0, vy: float = 40.0, posts: int = 60) -> xr.Dataset:
    """A uniform flow near Everest, EPSG:32645."""
    ds = offset_field((posts, posts), spacing=100.0, noise=0.0)
    factor = 29 / 365.25
    ds["dx"] = ds.dx + np.float32(vx * factor)
    ds["dy"] = ds.dy + np.float32(vy * factor)
    return ds.glacier.velocity()


def elsewhere(like: xr.Dataset, crs: str, vx: float, vy: float) -> xr.Dataset:
    """A uniform field around the posts in another CRS."""
    mover = Transformer.from_crs(like.rio.crs.to_wkt(), crs, always_xy=True)
    x, y = mover.transform(*np.meshgrid(like.x.values, like.y.values))
    coords = {
        "y": np.arange(y.max() + 500, y.min() - 500, -120.0),
        "x": np.arange(x.min() - 500, x.max() + 500, 120.0),
    }
    shape = (coords["y"].size, coords["x"].size)
    fields = {k: (("y", "x"), np.full(shape, v)) for k, v in (("vx", vx), ("vy", vy))}
    return xr.Dataset(fields, coords=coords).rio.write_crs(crs)


def test_vectors_turn_with_the_axes_they_lie_along() -> None:
    ours = velocities()
    found = gt.compare(ours, elsewhere(ours, LAMBERT, 10.0, 0.0))
    middle = found.isel(x=30, y=30)
    # two points ten metres apart along the other's x say where its x points
    there = Transformer.from_crs(32645, LAMBERT, always_xy=True)
    back = Transformer.from_crs(LAMBERT, 32645, always_xy=True)
    x, y = there.transform(float(middle.x), float(middle.y))
    ahead, behind = back.transform(x + 5, y), back.transform(x - 5, y)
    step = [a - b for a, b in zip(ahead, behind, strict=True)]
    assert float(middle.vx_other) == pytest.approx(step[0], rel=1e-4)
    assert float(middle.vy_other) == pytest.approx(step[1], rel=1e-4)
    angle = math.degrees(math.atan2(step[1], step[0]))
    assert float(found.grid_convergence) == pytest.approx(angle, abs=0.1)
    # the negative control: positions alone would leave the vector along x
    assert abs(float(middle.vy_other)) > 0.05 * float(middle.vx_other)


def test_a_map_of_the_same_motion_agrees_whatever_its_projection() -> None:
    ours = velocities(vx=-12.0, vy=25.0)
    jacobian = axes_turn(LAMBERT, ours)
    inverse = np.linalg.inv(np.moveaxis(jacobian, (0, 1), (2, 3)).mean(axis=(0, 1)))
    theirs = elsewhere(ours, LAMBERT, *(inverse @ [-12.0, 25.0]))
    found = gt.compare(ours, theirs)
    for name in ("vx", "vy", "v"):
        assert np.abs(found[f"{name}_difference"]).max() < 0.05
    table = found.statistics.sel(ground="all", statistic="rmse")
    assert float(table.max()) < 0.05


def test_true_lengths_are_turned_and_not_scaled() -> None:
    ours = velocities()
    theirs = elsewhere(ours, LAMBERT, 3.0, 4.0)
    scaled = gt.compare(ours, theirs)
    true = gt.compare(ours, theirs, true_lengths=True)
    assert true.v_other.values == pytest.approx(5.0, rel=2e-3)
    assert scaled.v_other.values == pytest.approx(5 * float(scaled.scale), rel=5e-3)
    assert float(scaled.scale) == pytest.approx(1.05, abs=0.06)


def test_statistics_on_and_off_the_ice() -> None:
    rng = np.random.default_rng(0)
    ours = velocities()
    ice = (ours.x > ours.x[29]) & (ours.y < np.inf)
    noise = xr.DataArray(rng.normal(size=(60, 60)), dims=("y", "x"))
    theirs = xr.Dataset({"vx": ours.vx - 2 * ice + noise, "vy": ours.vy})
    found = gt.compare(ours, theirs, ice=ice.transpose("y", "x"))
    table = found.statistics.sel(component="vx")
    assert float(table.sel(ground="ice", statistic="bias")) == pytest.approx(2, abs=0.1)
    assert float(table.sel(ground="off_ice", statistic="bias")) == pytest.approx(0, abs=0.1)
    assert float(table.sel(ground="off_ice", statistic="nmad")) == pytest.approx(1, rel=0.1)
    assert float(table.sel(ground="ice", statistic="n")) == 60 * 30
    error = float(table.sel(ground="ice", statistic="bias_error"))
    assert error == pytest.approx(1 / math.sqrt(1800), rel=0.2)


def test_z_takes_the_errors_of_both() -> None:
    ours = velocities()
    errors = {"vx_error": xr.full_like(ours.vx, 3), "vy_error": xr.full_like(ours.vy, 3)}
    theirs = xr.Dataset(
        {"vx": ours.vx + 10, "vy": ours.vy, **{k: v * 4 / 3 for k, v in errors.items()}}
    )
    found = gt.compare(ours.assign(errors), theirs)
    assert found.vx_z.values == pytest.approx(-2, rel=1e-3)
    alone = gt.compare(ours.assign(errors), theirs[["vx", "vy"]])
    assert alone.vx_z.values == pytest.approx(-10 / 3, rel=1e-3)


def test_units_and_files(tmp_path: Path) -> None:
    ours = velocities()
    paths = {}
    for name in ("vx", "vy"):
        paths[name] = tmp_path / f"{name}.tif"
        (ours[name] / 365.25).rio.to_raster(paths[name])
    found = gt.compare(ours, paths, units="m d-1")
    assert np.abs(found.v_difference).max() < 1e-3
    assert float(gt.compare(ours, paths).v_other.max()) < 1
    with pytest.raises(ParameterError, match="units"):
        gt.compare(ours, paths, units="furlongs")
    with pytest.raises(InputError, match="lacks vy"):
        gt.compare(ours, {"vx": paths["vx"]})


def test_maps_that_cannot_be_compared() -> None:
    ours = velocities()
    far = elsewhere(ours, LAMBERT, 1.0, 1.0)
    with pytest.raises(GridError):
        gt.compare(ours, far.assign_coords(x=far.x + 1e6))
    degrees = ours.assign_coords(x=np.linspace(86, 87, 60), y=np.linspace(28, 27, 60))
    with pytest.raises(GridError, match="geographic"):
        axes_turn("EPSG:4326", ours)
    assert degrees.sizes["x"] == 60
    with pytest.raises(GridError, match="shape"):
        gt.compare(ours, ours, ice=ours.vx[:5] > 0)


def chain_of_pairs(geometry: float = 0.0) -> tuple[xr.Dataset, ...]:
    """Three pairs of one motion; `geometry` is an error of the second image."""
    times = np.array(["2020-01-01", "2020-01-30", "2020-02-28"], "datetime64[ns]")
    shift = {0: 0.0, 1: 2.0 + geometry, 2: 5.0}
    pairs = []
    for seed, (a, b) in enumerate(((0, 1), (1, 2), (0, 2))):
        ds = offset_field((50, 50), seed=seed).drop_vars(list(DATES))
        ds = ds.assign_coords(reference_time=times[a], secondary_time=times[b])
        pairs.append(ds.assign(dx=ds.dx + np.float32(shift[b] - shift[a])))
    return tuple(pairs)


def test_closure_is_noise_of_three_pairs() -> None:
    found = gt.closure(*chain_of_pairs())
    assert float(found.dx_closure_nmad) == pytest.approx(0.1 * math.sqrt(3), rel=0.06)
    assert float(found.dx_closure_median) == pytest.approx(0, abs=0.02)
    assert found.dx_closure_error.values == pytest.approx(0.1 * math.sqrt(3), rel=1e-5)
    assert gt.nmad(found.dx_closure_z) == pytest.approx(1, rel=0.06)
    assert int(found.n) == 2500
    # an error of one image belongs to two pairs, and cancels
    assert float(gt.closure(*chain_of_pairs(3.0)).dx_closure_median) == pytest.approx(0, abs=0.02)


def test_closure_finds_what_one_pair_alone_has_wrong() -> None:
    one, two, three = chain_of_pairs()
    found = gt.closure(one, two.assign(dx=two.dx + 1), three)
    assert float(found.dx_closure_median) == pytest.approx(1, abs=0.02)


def test_a_chain_has_an_order_and_one_grid() -> None:
    one, two, three = chain_of_pairs()
    with pytest.raises(DateError, match="chain"):
        gt.closure(two, one, three)
    with pytest.raises(GridError, match="posts"):
        gt.closure(one, two.isel(x=slice(1, None)), three)


def test_points_by_longitude_and_latitude() -> None:
    ours = velocities()
    ours["v_error"] = xr.full_like(ours.v, 3.0)
    back = Transformer.from_crs(32645, 4326, always_xy=True)
    lon, lat = back.transform(float(ours.x[20]), float(ours.y[31]))
    table = pd.DataFrame(
        {"lon": [lon, lon + 5], "lat": [lat, lat], "v": [46.0, 46.0], "error": [4.0, 4.0],
         "date": ["2019-09-18", "2019-09-18"]}
    )  # fmt: skip
    found = gt.compare_points(ours, table)
    assert found.status.tolist() == ["matched", "off the map"]
    assert found.v_map[0] == pytest.approx(50, rel=1e-4)
    assert found.z[0] == pytest.approx(4 / 5, rel=1e-3)
    assert np.isnan(found.z[1])
    assert found.days_apart[0] == pytest.approx(0.5, abs=0.01)


def test_true_north_is_turned_to_grid_north() -> None:
    ours = velocities()
    # far from the central meridian, where the two differ
    ours = ours.assign_coords(x=ours.x + 280_000.0)
    x, y = float(ours.x[30]), float(ours.y[30])
    back = Transformer.from_crs(32645, 4326, always_xy=True)
    lon, lat = back.transform(x, y)
    bearing = 63.0
    far = Geod(ellps="WGS84").fwd(lon, lat, bearing, 100.0)
    ahead = Transformer.from_crs(4326, 32645, always_xy=True).transform(far[0], far[1])
    angle = math.radians(bearing)
    table = pd.DataFrame(
        {"x": [x], "y": [y], "v_east": [100 * math.sin(angle)], "v_north": [100 * math.cos(angle)]}
    )
    found = gt.compare_points(ours, table)
    assert found.vx_point[0] == pytest.approx(ahead[0] - x, abs=0.01)
    assert found.vy_point[0] == pytest.approx(ahead[1] - y, abs=0.01)
    # the negative control: true east is not the grid's
    assert abs(found.vx_point[0] - table.v_east[0]) > 0.3


def test_points_beside_gaps_take_the_nearest_post() -> None:
    ours = velocities()
    ours["v"][9:12, 9:12] = np.nan
    x, y = (float(ours[k][10]) for k in ("x", "y"))
    found = gt.compare_points(
        ours, pd.DataFrame({"x": [x, x + 160.0], "y": [y, y], "v": [50.0, 50.0]})
    )
    assert found.status.tolist() == ["no value", "matched"]
    assert found.v_map[1] == pytest.approx(50, rel=1e-4)


def test_points_that_say_too_little() -> None:
    ours = velocities(posts=10)
    with pytest.raises(InputError, match="lon and lat"):
        gt.compare_points(ours, pd.DataFrame({"v": [1.0]}))
    with pytest.raises(InputError, match="v_east"):
        gt.compare_points(ours, pd.DataFrame({"x": [1.0], "y": [1.0]}))
    with pytest.raises(InputError, match="empty"):
        gt.compare_points(ours, pd.DataFrame({"x": [], "y": [], "v": []}))


def test_the_table_of_published_balances() -> None:
    """Zhadang and Gurenhekou: estimates and in-situ values that agree, by their z."""
    grid = {"y": [10.0, 0.0], "x": [0.0, 10.0]}
    for estimate, error, known, z in ((-0.501, 0.166, -0.59, 0.54), (-0.267, 0.248, -0.31, 0.17)):
        full = (("y", "x"), np.full((2, 2), estimate))
        ds = xr.Dataset({"vx": full, "vy": full, "v": full}, coords=grid)
        ds["v_error"] = xr.full_like(ds.v, error)
        found = gt.compare_points(ds, pd.DataFrame({"x": [5.0], "y": [5.0], "v": [known]}))
        assert found.z[0] == pytest.approx(z, abs=0.006)
