"""The Dataset: structure, laziness, same bits, terrain and glaciers, bad parameters."""

from __future__ import annotations

import json
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import glaciertoolkit.simulate
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.simulate import model, simulate_outlines, simulate_pair
from glaciertoolkit.simulate.parameters import Parameters, of_scene

IMAGES = ["reference", "secondary"]


def _never(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed")


def test_all_names_are_there() -> None:
    for name in glaciertoolkit.simulate.__all__:
        assert getattr(glaciertoolkit.simulate, name).__doc__


def test_grid_dates_and_attributes(computed: xr.Dataset) -> None:
    assert dict(computed.sizes) == {"y": 600, "x": 640}
    assert computed.rio.crs.to_epsg() == 32645
    assert computed.rio.resolution() == (3.0, -3.0)
    # Pixel centres: the corner of the grid is half a pixel outside.
    assert computed.rio.transform().c == pytest.approx(float(computed.x[0]) - 1.5)
    assert computed.rio.transform().f == pytest.approx(float(computed.y[0]) + 1.5)
    days = (computed.secondary_time - computed.reference_time) / np.timedelta64(1, "D")
    assert float(days) == 29.0
    assert computed.mid_date.values == np.datetime64("2019-09-17T12:00")
    assert computed.reference_time.dtype == "datetime64[ns]"
    for name, variable in computed.data_vars.items():
        assert {"units", "long_name"} <= set(variable.attrs), name
        assert variable.dtype == (
            bool if name in ("ice", "outlier", "decorrelated") else np.float32
        )
        assert variable.attrs["grid_mapping"] == "spatial_ref"


def test_every_parameter_is_recorded_and_rebuilds_the_scene(scene: xr.Dataset) -> None:
    recorded = json.loads(scene.attrs["simulation"])
    assert recorded["seed"] == 4
    assert recorded["size"] == [600, 640]
    assert Parameters.from_json(scene.attrs["simulation"]) == of_scene(scene)
    with pytest.raises(InputError, match="simulate_pair"):
        of_scene(xr.Dataset())


def test_nothing_is_computed_early() -> None:
    with dask.config.set(scheduler=_never):
        scene = simulate_pair(size=1100)
        assert all(v.chunks == ((512, 512, 76),) * 2 for v in scene.data_vars.values())
        scene.reference.isel(x=slice(3, 9)) + 1
    with pytest.raises(AssertionError, match="computed"), dask.config.set(scheduler=_never):
        scene.reference.compute()


def test_the_same_seed_gives_the_same_bits(computed: xr.Dataset) -> None:
    again = simulate_pair(size=(600, 640), seed=4)
    xr.testing.assert_identical(again.compute(), computed)
    other = simulate_pair(size=(600, 640), seed=5)
    part = {"y": slice(0, 20), "x": slice(0, 20)}
    assert not np.array_equal(other.reference[part].values, computed.reference[part].values)
    assert not np.array_equal(other.elevation[part].values, computed.elevation[part].values)


def test_any_part_and_any_chunks_give_the_same_bits(
    scene: xr.Dataset, computed: xr.Dataset
) -> None:
    part = {"y": slice(490, 530), "x": slice(505, 640)}
    with dask.config.set(scheduler="synchronous"):
        for name in scene.data_vars:
            np.testing.assert_array_equal(scene[name][part].values, computed[name][part].values)
        rechunked = scene[IMAGES].chunk({"y": 100, "x": 333})
        xr.testing.assert_equal(rechunked.compute(), computed[IMAGES])
    model._models.clear()  # as in a new process
    with dask.config.set(scheduler="threads", num_workers=3):
        backwards = scene.secondary[::-1].compute()
    np.testing.assert_array_equal(backwards.values[::-1], computed.secondary.values)


def test_the_largest_offset_is_known(computed: xr.Dataset) -> None:
    for axis in ("dx", "dy"):
        total = sum(computed[f"true_{k}{axis}"] for k in ("", "deformation_", "topography_"))
        assert float(np.abs(total).max()) <= computed.attrs["max_offset_px"] * 3.0 * 1.02
    assert computed.attrs["max_offset_px"] < 12


def test_deformation_has_the_amplitude_or_the_coefficients_given() -> None:
    scene = simulate_pair(size=400, deformation=2.5, glaciers=False)
    for axis in ("dx", "dy"):
        assert float(np.abs(scene[f"true_deformation_{axis}"]).max()) == pytest.approx(
            7.5, rel=0.01
        )
    given = {"x": [1, 0, 0, 0, 0, 0], "y": [0, 0.5, 0, 0, 0, -2]}
    scene = simulate_pair(size=400, deformation=given)
    np.testing.assert_allclose(scene.true_deformation_dx, 3.0)
    u = (2 * np.arange(400) - 399) / 400
    wanted = 3 * (0.5 * u[None, :] - 2 * u[:, None] ** 2)  # v = -u over the rows
    np.testing.assert_allclose(scene.true_deformation_dy, wanted, atol=1e-5)


def test_the_topographic_offset_follows_the_baseline(computed: xr.Dataset) -> None:
    height = (computed.elevation - float(computed.elevation.mean())).values
    sine = np.sin(np.radians(37.0))
    wanted = -900.0 * height / 515_000.0 / sine
    np.testing.assert_allclose(computed.true_topography_dx.values, wanted, atol=0.02)
    assert not computed.true_topography_dy.any()
    none = simulate_pair(size=128, baseline=0.0)
    assert not none.true_topography_dx.any()


def test_ice_moves_and_rock_does_not(computed: xr.Dataset) -> None:
    moved = np.hypot(computed.true_dx, computed.true_dy).values
    ice = computed.ice.values
    assert (moved[~ice] == 0).all()
    assert moved[ice].max() > 2.0
    # Slow towards the margin: the fastest ice lies well inside.
    row, column = np.unravel_index(np.argmax(moved), moved.shape)
    part = ice[max(row - 10, 0) : row + 11, max(column - 10, 0) : column + 11]
    assert part.all()


def test_ice_flows_down_its_valleys(computed: xr.Dataset) -> None:
    dz_dy, dz_dx = np.gradient(computed.elevation.values, -3.0, 3.0)
    downhill = -(dz_dx * computed.true_dx + dz_dy * computed.true_dy).values
    fast = np.hypot(computed.true_dx, computed.true_dy).values > 1.0
    assert (downhill[fast] > 0).mean() > 0.85


def test_the_peak_speed_is_the_one_given() -> None:
    fast = simulate_pair(size=600, seed=4, max_speed=0.5, days=10)
    slow = simulate_pair(size=600, seed=4, max_speed=0.25, days=10)
    a, b = (np.hypot(s.true_dx, s.true_dy).values for s in (fast, slow))
    np.testing.assert_allclose(a, 2 * b, atol=1e-5)
    assert 2.5 < a.max() <= 5.0
    still = simulate_pair(size=600, seed=4, max_speed=0.0)
    assert bool(still.ice.any())
    assert not still.true_dx.any()


@pytest.mark.parametrize(
    ("size", "pixel", "seed"),
    [(1024, 3.0, 0), (1024, 3.0, 1), (2048, 3.0, 0), (700, 12.0, 3), ((800, 1500), 5.0, 2)],
)
def test_the_landscape_is_one_of_real_mountains(size: Any, pixel: float, seed: int) -> None:
    scene = simulate_pair(size=size, pixel=pixel, seed=seed)
    coarse = (
        scene[["elevation", "ice"]].isel(y=slice(None, None, 4), x=slice(None, None, 4)).compute()
    )
    height, ice = coarse.elevation.values, coarse.ice.values
    relief = json.loads(scene.attrs["simulation"])["relief"]
    assert np.ptp(height) == pytest.approx(relief, rel=0.05)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(height, 4 * pixel))))
    assert 20 < np.percentile(slope, 95) < 50
    assert slope[~ice].mean() > slope[ice].mean() + 5
    assert 0.05 < ice.mean() <= 0.45
    # Stable ground at all heights, without which the topographic offset cannot be told.
    stable = np.percentile(height[~ice], [2, 98])
    assert np.ptp(stable) > 0.5 * relief
    areas = simulate_outlines(scene).area_km2
    assert len(areas) >= 3
    assert areas.iloc[0] > 2 * areas.iloc[2]


def test_flat_ground_has_no_relief_and_no_ice() -> None:
    scene = simulate_pair(size=100, relief=0, seed=3)
    assert np.ptp(scene.elevation.values) == 0
    assert not scene.ice.any()
    assert not scene.true_topography_dx.any()


def test_the_border_is_missing() -> None:
    scene = simulate_pair(size=(100, 140), nodata_border=7).compute()
    for name in IMAGES:
        missing = np.isnan(scene[name].values)
        assert not missing[7:-7, 7:-7].any()
        assert missing.sum() == 100 * 140 - 86 * 126
    assert not np.isnan(scene.true_dx.values).any()


def test_patches_cover_the_share_asked_for() -> None:
    scene = simulate_pair(size=1500, outliers=0.05, decorrelated=0.04, glaciers=False)
    assert float(scene.decorrelated.mean()) == pytest.approx(0.04, rel=0.25)
    # An outlier takes its own place and leaves another.
    assert 0.045 < float(scene.outlier.mean()) < 0.08
    none = simulate_pair(size=300, outliers=0, decorrelated=0)
    assert not none.outlier.any()
    assert not none.decorrelated.any()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": 10}, "size is 10"),
        ({"size": (1, 2, 3)}, "rows and columns"),
        ({"size": 100.5}, "whole number"),
        ({"pixel": 0}, "pixel is 0"),
        ({"pixel": "wide"}, "pixel is 'wide'"),
        ({"kind": "lidar"}, "'sar' or 'optical'"),
        ({"seed": -1}, "seed is -1"),
        ({"relief": -5}, "relief"),
        ({"days": 0}, "days"),
        ({"days": float("nan")}, "days"),
        ({"epsg": "utm"}, "epsg"),
        ({"epsg": 4326}, "metres"),
        ({"epsg": 1025}, "epsg is 1025"),
        ({"looks": 0}, "looks"),
        ({"coherence_rock": 1.2}, "coherence_rock"),
        ({"coherence_ice": -0.1}, "coherence_ice"),
        ({"noise_db": 90}, "noise_db"),
        ({"noise_db": "low"}, "noise_db"),
        ({"deformation": -1}, "deformation"),
        ({"deformation": [1, 2, 3]}, "six coefficients"),
        ({"deformation": {"x": [0] * 6}}, "six coefficients"),
        ({"displacement": (1, 2, 3)}, "displacement"),
        ({"displacement": ("far", 0)}, "displacement"),
        ({"baseline": None}, "baseline"),
        ({"incidence": 0}, "incidence"),
        ({"outliers": 0.9}, "outliers"),
        ({"decorrelated": -0.1}, "decorrelated"),
        ({"patch_width": (50, 20)}, "patch_width"),
        ({"nodata_border": 600}, "nodata_border"),
        ({"max_speed": -1}, "max_speed"),
        ({"max_speed": 50}, "max_speed"),
        ({"texture": 5}, "texture"),
        ({"reference_time": "soon"}, "reference_time"),
        ({"kind": "optical", "complex_images": True}, "complex_images"),
        ({"looks": 4, "complex_images": True}, "complex_images"),
        ({"seed": float("inf")}, "seed"),
    ],
)
def test_parameters_out_of_range_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        simulate_pair(**given)
    assert str(caught.value).startswith("simulate_pair: ")
    assert "\n" not in str(caught.value)
