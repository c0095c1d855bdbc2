"""DEM, outlines and the files of a scene."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rioxarray
import shapely
import xarray as xr

from glaciertoolkit.errors import FileError, InputError, ParameterError
from glaciertoolkit.simulate import simulate_dem, simulate_outlines, simulate_pair, write_pair


def test_the_dem_is_the_elevation_of_the_scene(computed: xr.Dataset) -> None:
    dem = simulate_dem(computed, resolution=20.0)
    assert dem.dtype == np.float32
    assert dem.rio.crs == computed.rio.crs
    assert dem.rio.resolution() == (20.0, -20.0)
    inside, outside = computed.rio.bounds(), dem.rio.bounds()
    assert all(a + 60 <= b for a, b in zip(outside[:2], inside[:2], strict=True))
    assert all(a - 60 >= b for a, b in zip(outside[2:], inside[2:], strict=True))
    assert all(edge % 20 == 0 for edge in outside)
    there = dem.interp(y=computed.y[::9], x=computed.x[::9], method="linear")
    error = (there - computed.elevation[::9, ::9]).values
    assert np.sqrt((error**2).mean()) < 1.0  # linear interpolation over 20 m
    with pytest.raises(ParameterError, match="resolution"):
        simulate_dem(computed, resolution=1.0)


def test_a_part_of_a_scene_has_its_own_dem(computed: xr.Dataset) -> None:
    part = computed.isel(y=slice(100, 300), x=slice(200, 500))
    dem = simulate_dem(part)
    whole = simulate_dem(computed)
    assert dem.sizes["x"] < whole.sizes["x"]
    xr.testing.assert_equal(dem, whole.sel(y=dem.y, x=dem.x))


def test_outlines_are_the_ice_mask(computed: xr.Dataset) -> None:
    outlines = simulate_outlines(computed)
    assert outlines.crs == computed.rio.crs
    ice = computed.ice.values
    covered = np.zeros(ice.shape, bool)
    x, y = np.meshgrid(computed.x, computed.y)
    for shape in outlines.geometry:
        assert shape.is_valid
        covered |= shapely.contains_xy(shape, x, y)
    assert (covered != ice).mean() < 0.002
    assert outlines.area_km2.sum() == pytest.approx(ice.sum() * 9e-6, rel=0.01)
    assert list(outlines.rgi_id) == [f"SIM-{k:05d}" for k in range(1, len(outlines) + 1)]
    assert outlines.area_km2.is_monotonic_decreasing
    largest = outlines.iloc[0]
    inside = shapely.contains_xy(largest.geometry, x, y)
    height = computed.elevation.values[inside]
    assert largest.zmin_m == pytest.approx(height.min(), abs=5)
    assert largest.zmax_m == pytest.approx(height.max(), abs=5)
    assert largest.zmed_m == pytest.approx(np.median(height), abs=5)
    assert 0 < largest.slope_deg < 45
    down = np.arctan2(
        -np.gradient(computed.elevation.values, 3.0, axis=1)[inside].mean(),
        np.gradient(computed.elevation.values, 3.0, axis=0)[inside].mean(),
    )
    difference = (largest.aspect_deg - np.degrees(down) + 180) % 360 - 180
    assert abs(difference) < 3


def test_without_ice_there_are_no_outlines() -> None:
    outlines = simulate_outlines(simulate_pair(size=100, glaciers=False))
    assert len(outlines) == 0
    assert outlines.crs is not None
    assert "zmed_m" in outlines.columns


def test_files_hold_the_scene(scene: xr.Dataset, computed: xr.Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "scene"
    paths = write_pair(scene, folder)
    assert {k: p.name for k, p in paths.items()} == {
        "reference": "20190903.tif",
        "secondary": "20191002.tif",
        "dem": "dem.tif",
        "outlines": "outlines.gpkg",
        "truth": "truth.nc",
    }
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in paths.values())
    for name, stamp in (("reference", "2019-09-03T00:00:00"), ("secondary", "2019-10-02T00:00:00")):
        with rioxarray.open_rasterio(paths[name], masked=True) as image:
            assert image.rio.crs == computed.rio.crs
            assert image.attrs["ACQUISITION_TIME"] == stamp
            assert image.attrs["TIFFTAG_DATETIME"] == stamp.replace("-", ":").replace("T", " ")
            np.testing.assert_array_equal(image.values[0], computed[name].values)
            np.testing.assert_allclose(image.x, computed.x)
            np.testing.assert_allclose(image.y, computed.y)
            assert image.encoding["dtype"] == "float32"
            assert np.isnan(image.encoding["_FillValue"])
    with xr.open_dataset(paths["truth"]) as truth:
        for name in ("true_dx", "true_topography_dx", "elevation", "ice", "outlier"):
            np.testing.assert_array_equal(truth[name].values, computed[name].values)
        assert truth.attrs["simulation"] == computed.attrs["simulation"]
        assert truth.reference_time.values == computed.reference_time.values
    with rioxarray.open_rasterio(paths["dem"]) as dem:
        np.testing.assert_array_equal(dem.values[0], simulate_dem(scene).values)
    back = gpd.read_file(paths["outlines"])
    assert back.crs == computed.rio.crs
    assert back.area.sum() == pytest.approx(simulate_outlines(scene).area.sum())


def test_the_truth_read_back_serves_as_the_scene(scene: xr.Dataset, tmp_path: Path) -> None:
    paths = write_pair(scene.isel(x=slice(0, 300)), tmp_path)
    with xr.open_dataset(paths["truth"], decode_coords="all") as truth:
        assert (
            simulate_dem(truth).sizes["x"] == simulate_dem(scene.isel(x=slice(0, 300))).sizes["x"]
        )


def test_two_images_of_one_day_get_two_names(tmp_path: Path) -> None:
    scene = simulate_pair(size=100, days=0.25, glaciers=False, nodata_border=3)
    paths = write_pair(scene, tmp_path, truth=False)
    assert paths["reference"].name == "20190903T000000.tif"
    assert paths["secondary"].name == "20190903T060000.tif"
    assert set(paths) == {"reference", "secondary", "dem"}
    with rioxarray.open_rasterio(paths["reference"], masked=True) as image:
        assert int(np.isnan(image).sum()) == 100**2 - 94**2


def test_nothing_is_left_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = simulate_pair(size=100, glaciers=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"cannot write to the folder.*choose another"):
        write_pair(scene, tmp_path / "file")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("glaciertoolkit.simulate.write._write_truth", full)
    with pytest.raises(FileError, match="No space left"):
        write_pair(scene, tmp_path / "full")
    assert list((tmp_path / "full").iterdir()) == []
    with pytest.raises(InputError, match="simulate_pair"):
        write_pair(xr.Dataset(), tmp_path)
