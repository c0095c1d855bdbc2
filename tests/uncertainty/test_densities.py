"""GLAFT's two measures against distributions and flow fields that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy.special import erf

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.uncertainty.densities import (
    flow_strain,
    kernel_density,
    static_terrain,
    strain_along_flow,
)


def grid(ny: int = 120, nx: int = 100, step: float = 50.0, *, north_up: bool = True) -> xr.Dataset:
    y = 1000.0 + step * np.arange(ny)
    return xr.Dataset(coords={"y": y[::-1] if north_up else y, "x": step * np.arange(nx)})


def plane(along: np.ndarray) -> tuple[tuple[str, str], np.ndarray]:
    return ("y", "x"), along


@pytest.mark.parametrize("sigmas", [1.0, 2.0, 2.5])
def test_half_widths_of_a_gaussian(sigmas: float) -> None:
    rng = np.random.default_rng(0)
    n, sx, sy = 200_000, 2.0, 1.5
    found = kernel_density(3 + sx * rng.normal(size=n), sy * rng.normal(size=n), sigmas=sigmas)
    # the kernel adds a sixth of its squared bandwidth to each variance
    blur = found.bandwidth**2 / 6
    wanted = [sigmas * math.hypot(s, math.sqrt(blur)) for s in (sx, sy)]
    assert found.half_width == pytest.approx(wanted, rel=0.06)
    assert found.peak == pytest.approx((3, 0), abs=0.4)
    cell = (found.x[1] - found.x[0]) * (found.y[1] - found.y[0])
    # the grid ends a standard deviation beyond the region
    assert erf((sigmas + 1) / 2**0.5) ** 2 - 0.01 < found.density.sum() * cell < 1.001


def test_the_gridded_density_is_the_sum_over_the_points() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=400), rng.normal(size=400)
    found = kernel_density(x, y)
    h = found.bandwidth
    iy, ix = 30, 45
    apart = ((found.x[ix] - x) ** 2 + (found.y[iy] - y) ** 2) / h**2
    exact = np.maximum(1 - apart, 0).sum() * 2 / (math.pi * h**2) / 400
    assert found.density[iy, ix] == pytest.approx(exact, rel=0.05)


def test_outliers_show_as_their_share() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 50_000))
    clean = kernel_density(x, y)
    x[:5000] += rng.choice([-1, 1], 5000) * rng.uniform(15, 25, 5000)
    spoiled = kernel_density(x, y)
    assert spoiled.outlier_share == pytest.approx(clean.outlier_share + 0.1, abs=0.06)
    assert spoiled.peak == pytest.approx((0, 0), abs=0.5)


def test_a_million_points_cost_no_more_than_their_grid() -> None:
    rng = np.random.default_rng(3)
    found = kernel_density(*rng.normal(size=(2, 1_000_000)).astype(np.float32))
    assert found.half_width == pytest.approx((2, 2), rel=0.05)
    assert found.density.size < 2**23


def test_bad_input() -> None:
    with pytest.raises(InputError, match="30 points"):
        kernel_density(np.arange(10), np.arange(10))
    with pytest.raises(InputError, match="no density"):
        kernel_density(np.ones(100), np.ones(100))
    with pytest.raises(ParameterError, match="positive"):
        kernel_density(np.arange(100), np.arange(100), sigmas=0)


@pytest.mark.parametrize("north_up", [True, False])
@pytest.mark.parametrize("heading", [0.0, 30.0, 120.0])
def test_strain_of_a_flow_in_any_direction(heading: float, north_up: bool) -> None:
    """Speeds up by 0.02 and shears by 0.1 m yr-1 a metre, along and across the flow."""
    ds = grid(north_up=north_up)
    x, y = np.meshgrid(ds.x.values - 2500, ds.y.values - 4000)
    angle = math.radians(heading)
    east, north = math.sin(angle), math.cos(angle)
    along, left = x * east + y * north, -x * north + y * east
    speed = 5000 + 0.02 * along + 0.1 * left
    ds["vx"], ds["vy"] = plane(speed * east), plane(speed * north)
    normal, shear = strain_along_flow(ds)
    inside = np.s_[1:-1, 1:-1]
    assert normal[inside] == pytest.approx(0.02, rel=1e-3)
    assert shear[inside] == pytest.approx(0.05, rel=1e-3)
    assert np.isnan(normal[0]).all()


def test_strain_is_a_true_gradient_not_eight_times_one() -> None:
    ds = grid()
    ds["vx"] = plane(100 + 0.01 * np.broadcast_to(ds.x.values, (120, 100)))
    ds["vy"] = plane(np.zeros((120, 100)))
    assert np.nanmedian(strain_along_flow(ds)[0]) == pytest.approx(0.01)


def test_noise_widens_the_strain_and_gaps_stay_gaps() -> None:
    rng = np.random.default_rng(0)
    ds = grid()
    noise = rng.normal(size=(2, 120, 100))
    ds["vx"], ds["vy"] = plane(200 + 5 * noise[0]), plane(5 * noise[1])
    ice = np.ones((120, 100), bool)
    coarse = flow_strain(ds, ice)
    fine = flow_strain(ds.assign(vx=200 + 0.2 * (ds.vx - 200), vy=0.2 * ds.vy), ice)
    ratio = np.array(coarse.half_width) / np.array(fine.half_width)
    assert ratio == pytest.approx(5, rel=0.01)
    # Sobel: variance of 12 s^2 / (8 step)^2 along, and half as much of each for the shear
    sigma = 5 * math.sqrt(12) / (8 * 50)
    assert coarse.half_width[0] == pytest.approx(2 * sigma, rel=0.25)
    ds["vx"][50, 50] = np.nan
    normal, _ = strain_along_flow(ds)
    assert np.isnan(normal[49:52, 49:52]).sum() == 9


def test_static_terrain_looks_at_the_ground_alone() -> None:
    rng = np.random.default_rng(0)
    ds = grid()
    ground = np.zeros((120, 100), bool)
    ground[:, :50] = True
    for name, sigma in (("vx", 2.0), ("vy", 3.0)):
        ds[name] = plane(np.where(ground, sigma * rng.normal(size=ground.shape), 400.0))
    found = static_terrain(ds, ground)
    assert found.points == ground.sum()
    assert found.half_width == pytest.approx((4, 6), rel=0.2)
    assert static_terrain(ds, ~ground | ground).half_width[0] > 10
