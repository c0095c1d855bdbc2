"""Flow lines in fields whose lines are known."""

from __future__ import annotations

import math
from typing import Any

import dask
import numpy as np
import pytest
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import GridError, InputError, MissingVariableError, ParameterError

X0, Y0, POST = 470_000.0, 3_100_000.0, 50.0
NY, NX = 81, 101


def field(u: Any, w: Any, *, up: bool = False, names: tuple[str, str] = ("vx", "vy")) -> xr.Dataset:
    """A field of functions of x and y in metres from the middle of the map."""
    y, x = Y0 - POST * np.arange(NY), X0 + POST * np.arange(NX)
    y = y[::-1] if up else y
    east, north = np.meshgrid(x - x.mean(), y - y.mean())
    values = {name: np.broadcast_to(f(east, north), east.shape) for name, f in
              zip(names, (u, w), strict=True)}  # fmt: skip
    ds = xr.Dataset({k: (("y", "x"), v.astype("float64")) for k, v in values.items()},
                    coords={"y": y, "x": x})  # fmt: skip
    return ds.rio.write_crs(32645)


MIDDLE = X0 + POST * (NX - 1) / 2, Y0 - POST * (NY - 1) / 2


def at(east: float, north: float) -> tuple[float, float]:
    return MIDDLE[0] + east, MIDDLE[1] + north


def local(line: shapely.LineString) -> np.ndarray:
    return shapely.get_coordinates(line) - MIDDLE


@pytest.mark.parametrize("up", [False, True])
def test_uniform_flow_is_straight_from_edge_to_edge(up: bool) -> None:
    ds = field(lambda x, _: 30 + 0 * x, lambda x, _: 40 + 0 * x, up=up)
    line = local(gt.flow_line(ds, *at(0, 0)))
    np.testing.assert_allclose(line[:, 1], 4 / 3 * line[:, 0], atol=1e-6)
    steps = np.diff(line, axis=0)
    assert (steps > 0).all()  # it runs down the flow, whichever way y runs
    np.testing.assert_allclose(np.hypot(*steps.T), POST)
    # 2,000 m from the middle to the northern edge, on a slope of 4 in 5
    assert line[-1, 1] == pytest.approx(2000, abs=0.8 * POST)
    assert line[0, 1] == pytest.approx(-2000, abs=0.8 * POST)
    below = local(gt.flow_line(ds, *at(0, 0), both=False, step=20, max_length=200))
    assert below[0].tolist() == [0, 0]
    np.testing.assert_allclose(below[-1], [120, 160], atol=1e-6)


@pytest.mark.parametrize(("names", "turn"), [(("vx", "vy"), 1), (("dx", "dy"), -1)])
def test_a_circle_closes(names: tuple[str, str], turn: int) -> None:
    ds = field(lambda _, y: -turn * 0.1 * y, lambda x, _: turn * 0.1 * x, names=names)
    line = gt.flow_line(ds, *at(800, 0))
    assert line.is_closed
    radius = np.hypot(*local(line).T)
    np.testing.assert_allclose(radius, 800, rtol=1e-4)
    assert line.length == pytest.approx(2 * math.pi * 800, rel=2e-3)
    # counter-clockwise where it turns to the left
    assert shapely.LinearRing(line.coords).is_ccw == (turn == 1)


def test_convergent_flow_follows_its_hyperbola_and_ends_where_it_is_slow() -> None:
    """u = x, w = -y: along every line x y stays the same."""
    ds = field(lambda x, _: 0.05 * x, lambda _, y: -0.05 * y)
    line = local(gt.flow_line(ds, *at(400, 900)))
    np.testing.assert_allclose(line[:, 0] * line[:, 1], 400 * 900, rtol=2e-3)
    assert line[0, 1] > line[-1, 1]
    slow = local(gt.flow_line(ds, *at(0, 900), slowest=10, both=False))
    # 10 m per year is reached 200 m from the middle
    assert 200 < slow[-1, 1] <= 200 + POST
    np.testing.assert_allclose(slow[:, 0], 0, atol=1e-6)


def test_a_sink_ends_the_line() -> None:
    ds = field(lambda x, _: -0.05 * x, lambda _, y: -0.05 * y)
    line = local(gt.flow_line(ds, *at(300, 400)))
    assert np.hypot(*line[-1]) < 2 * POST
    assert len(line) < 200


def test_slow_ice_ends_it_by_default_where_it_is_twice_its_error() -> None:
    ds = field(lambda x, _: 40 - 0.02 * x, lambda x, _: 0 * x)
    ds["v_error"] = xr.full_like(ds.vx, 5.0)
    assert local(gt.flow_line(ds, *at(0, 0)))[-1, 0] == pytest.approx(1500, abs=POST)
    assert local(gt.flow_line(ds, *at(0, 0), slowest=30))[-1, 0] == pytest.approx(500, abs=POST)
    offsets = ds.rename(vx="dx", vy="dy").drop_vars("v_error")
    offsets["dx_error"] = offsets["dy_error"] = xr.full_like(offsets.dx, 5 / math.sqrt(2))
    assert local(gt.flow_line(offsets, *at(0, 0)))[-1, 0] == pytest.approx(1500, abs=POST)
    with pytest.raises(InputError, match="too slow to have a direction: 2 m/yr, where more than"):
        gt.flow_line(ds, *at(1900, 0))


def test_a_hole_ends_it_and_a_single_missing_post_beside_it_does_not() -> None:
    ds = field(lambda x, _: 50 + 0 * x, lambda x, _: 0 * x)
    east, north = ds.x - MIDDLE[0], ds.y - MIDDLE[1]
    hole = (east > 490) & (east < 710) & (abs(north) < 210)
    line = local(gt.flow_line(ds.where(~hole), *at(0, 0)))
    assert 400 < line[-1, 0] <= 500 - POST / 2
    beside = local(gt.flow_line(ds.where(~((east == 500) & (north == 0))), *at(0, 30)))
    assert beside[-1, 0] > 2400


def test_a_gap_is_crossed_straight_on_if_it_is_not_too_wide() -> None:
    ds = field(lambda _, y: -0.1 * y, lambda x, _: 0.1 * x)
    rng = np.random.default_rng(4)
    scattered = ds.where(xr.DataArray(rng.random((NY, NX)) > 0.05, dims=("y", "x")))
    broken = gt.flow_line(scattered, *at(800, 30))
    whole = gt.flow_line(scattered, *at(800, 30), gap=3 * POST)
    assert broken.length < 0.7 * whole.length
    assert whole.is_closed
    np.testing.assert_allclose(np.hypot(*local(whole).T), 800, rtol=0.05)
    east = field(lambda x, _: 50 + 0 * x, lambda x, _: 0 * x)
    hole = east.where(abs(east.x - MIDDLE[0] - 600) > 110)  # five posts, 250 m from end to end
    for gap, end in ((0, 450), (150, 450), (300, 2450)):
        reached = local(gt.flow_line(hole, *at(0, 0), gap=gap))[-1, 0]
        assert reached == pytest.approx(end, abs=POST)
    with pytest.raises(ParameterError, match="gap must be metres"):
        gt.flow_line(ds, *at(800, 0), gap=-1)


def test_a_profile_takes_it_and_flows_along_it() -> None:
    ds = field(lambda x, _: 50 + 0.01 * x, lambda x, _: 10 + 0 * x)
    ds["v"] = np.hypot(ds.vx, ds.vy)
    along = ds.glacier.profile(ds.glacier.flow_line(*at(0, 0)))
    np.testing.assert_allclose(along.v_along, along.v, rtol=1e-4)
    np.testing.assert_allclose(along.v_across, 0, atol=0.1)


def test_lazy_fields_are_read_only_near_the_line() -> None:
    ny, nx = 600, 4000
    y, x = Y0 - POST * np.arange(ny), X0 + POST * np.arange(nx)
    read: list[Any] = []

    def block(block_info: Any = None) -> np.ndarray:
        read.append(block_info[None]["chunk-location"])
        return np.full((100, 100), 30.0)

    east = dask.array.map_blocks(block, chunks=((100,) * 6, (100,) * 40), dtype=float,
                                 meta=np.empty((0, 0)))  # fmt: skip
    ds = xr.Dataset({"vx": (("y", "x"), east), "vy": (("y", "x"), 0 * east)}, {"y": y, "x": x})
    line = gt.flow_line(ds, float(x[2000]), float(y[50]), max_length=5000)
    assert line.length == pytest.approx(10_000)
    assert {row for row, _ in read} <= {0, 1, 2}
    assert {column for _, column in read} <= set(range(17, 24))
    assert line.equals(gt.flow_line(ds.compute(), float(x[2000]), float(y[50]), max_length=5000))


@pytest.mark.parametrize(
    ("place", "options", "error", "words"),
    [
        ((1e7, 0), {}, GridError, "lies off the map"),
        ((0, 1e6), {}, GridError, "lies off the map"),
        ((-2000, 0), {}, InputError, "there is no value at"),
        ((0, 0), {"step": 0}, ParameterError, "step must be positive metres"),
        ((0, 0), {"max_length": -1}, ParameterError, "max_length must be positive"),
        ((0, 0), {"slowest": -1}, ParameterError, "slowest must be a speed"),
        ((math.nan, 0), {}, ParameterError, "x and y of the place must be metres"),
        ((0, 0), {"slowest": 50}, InputError, "is too slow"),
        ((0, 0), {"step": 1e5}, InputError, "leads nowhere"),
    ],
)
def test_what_cannot_be_is_said(place: Any, options: Any, error: type, words: str) -> None:
    ds = field(lambda x, _: 30 + 0 * x, lambda x, _: 0 * x)
    ds = ds.where(ds.x > MIDDLE[0] - 1000)
    with pytest.raises(error, match=words) as raised:
        gt.flow_line(ds, *at(*place), **options)
    assert "\n" not in str(raised.value)


def test_without_components_it_says_how_to_get_them() -> None:
    ds = field(lambda x, _: x, lambda x, _: x).rename(vx="a", vy="b")
    with pytest.raises(MissingVariableError, match="velocity"):
        gt.flow_line(ds, *at(0, 0))
