"""netCDF and Zarr: classes, CRS, several files, WRF and HAR, damage, far away."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from glaciertoolkit import open_cf, write_samples
from glaciertoolkit.catalog import open_catalog
from glaciertoolkit.errors import DateError, FileError, GridError, InputError
from glaciertoolkit.io import cloud


def field(first: str = "2000-01-01", *, west: float = 80.0, name: str = "melt") -> xr.Dataset:
    values = np.array([0, 1, 255, 1], "uint8")
    return xr.Dataset(
        {name: (("time", "lat", "lon"), np.broadcast_to(values, (2, 3, 4)).copy())},
        {
            "time": np.datetime64(first, "ns") + np.arange(2) * np.timedelta64(1, "D"),
            "lat": [60.0, 59.0, 58.0],
            "lon": west + np.arange(4.0),
        },
    )


def test_classes_become_cf_flags_and_255_becomes_nan(tmp_path: Path) -> None:
    field().to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    ds = open_cf(tmp_path / "a.nc", classes={0: "no_melt", 1: "melt"}, nodata=255)
    assert ds.melt.attrs["flag_meanings"] == "no_melt melt"
    assert ds.melt.attrs["flag_values"].dtype == ds.melt.dtype
    np.testing.assert_array_equal(ds.melt.values[0, 0], [0, 1, np.nan, 1])
    assert ds.rio.crs.to_epsg() == 4326
    assert ds.lat.attrs["standard_name"] == "latitude"
    with pytest.raises(InputError, match="holds the code 255"):
        open_cf(tmp_path / "a.nc", classes={0: "no_melt", 1: "melt"}).load()


def test_the_older_netcdf_and_zarr_read_the_same(tmp_path: Path) -> None:
    ds = field().astype("float64")
    ds.to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    ds.to_netcdf(tmp_path / "old.nc", engine="scipy", format="NETCDF3_64BIT")
    ds.to_zarr(tmp_path / "a.zarr", consolidated=False)
    new = open_cf(tmp_path / "new.nc").load()
    for other in ("old.nc", "a.zarr"):
        xr.testing.assert_equal(new, open_cf(tmp_path / other).load())


def test_several_files_are_joined_in_order(tmp_path: Path) -> None:
    field("2000-03-01").to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    field("2000-01-01").to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    ds = open_cf(tmp_path)
    assert ds.sizes["time"] == 4
    assert (np.diff(ds.time.values) > np.timedelta64(0)).all()
    field("2000-01-02").to_netcdf(tmp_path / "d.nc", engine="h5netcdf")
    with pytest.raises(DateError, match="2000-01-02 occurs twice"):
        open_cf(tmp_path)


def test_files_without_a_time_take_it_from_their_names(tmp_path: Path) -> None:
    for year in (2000, 2001):
        ds = field().isel(time=0, drop=True)
        ds.to_netcdf(tmp_path / f"melt_{year}.nc", engine="h5netcdf")
    assert open_cf(tmp_path).time.dt.year.values.tolist() == [2000, 2001]
    one = open_cf(tmp_path / "melt_2000.nc", pattern="melt_%Y.nc")
    assert one.melt.dims == ("time", "lat", "lon")


def test_files_on_different_grids(tmp_path: Path) -> None:
    field("2000-01-01").to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    field("2001-01-01", west=81.0).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(GridError, match="do not fit together"):
        open_cf(tmp_path)


def test_a_crs_in_the_file_wins_over_the_one_given(tmp_path: Path) -> None:
    import rioxarray  # noqa: F401

    ds = xr.Dataset(
        {"z": (("y", "x"), np.ones((3, 4)))}, {"y": [3.0, 2.0, 1.0], "x": [1.0, 2.0, 3.0, 4.0]}
    )
    ds.rio.write_crs(32645).to_netcdf(tmp_path / "with.nc", engine="h5netcdf")
    ds.to_netcdf(tmp_path / "without.nc", engine="h5netcdf")
    assert open_cf(tmp_path / "with.nc", crs=3413).rio.crs.to_epsg() == 32645
    assert open_cf(tmp_path / "without.nc", crs=3413).rio.crs.to_epsg() == 3413
    assert open_cf(tmp_path / "without.nc").rio.crs is None


@pytest.mark.parametrize("name", ["har_daily", "wrf_output"])
def test_projected_axes_agree_with_longitude_and_latitude(tmp_path: Path, name: str) -> None:
    from pyproj import Transformer

    write_samples(tmp_path, names=[name])
    ds = open_catalog().at(tmp_path)[name].open()
    to_map = Transformer.from_crs("EPSG:4326", ds.rio.crs.to_wkt(), always_xy=True)
    longitude = ds["longitude"] if "longitude" in ds.coords else ds["lon"]
    latitude = ds["latitude"] if "latitude" in ds.coords else ds["lat"]
    x, y = to_map.transform(longitude.values, latitude.values)
    grid_x, grid_y = np.meshgrid(ds.west_east, ds.south_north)
    assert abs(x - grid_x).max() < 2.0  # metres; longitudes are float32
    assert abs(y - grid_y).max() < 2.0


def test_a_cut_out_of_wrf_lies_where_its_longitudes_say(tmp_path: Path) -> None:
    write_samples(tmp_path, names=["wrf_output"])
    path = next((tmp_path / "data" / "wrf").glob("*.nc"))
    part = xr.open_dataset(path, engine="h5netcdf").isel(west_east=slice(4, 9)).load()
    part.to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    whole, cut = open_cf(path), open_cf(tmp_path / "part.nc")
    np.testing.assert_allclose(cut.west_east, whole.west_east[4:9], atol=2.0)


def test_variables_and_units(tmp_path: Path) -> None:
    ds = field().assign(t=field().melt.astype("float32").assign_attrs(units="k"))
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    found = open_cf(tmp_path / "a.nc", variables=["t", "nope"], units={"t": "degC"})
    assert list(found.data_vars) == ["t"]
    assert found["t"].attrs["units"] == "degC"
    assert open_cf(tmp_path / "a.nc")["t"].attrs["units"] == "K"
    with pytest.raises(InputError, match=r"none of the variables nope \(it has melt, t\)"):
        open_cf(tmp_path / "a.nc", variables=["nope"])


def test_damage(tmp_path: Path) -> None:
    field().to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    whole = (tmp_path / "a.nc").read_bytes()
    (tmp_path / "short.nc").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "text.nc").write_text("hello")
    (tmp_path / "empty.nc").write_bytes(b"")
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("{")
    for name, message in (
        ("short.nc", "truncated, damaged"),
        ("text.nc", "is no netCDF file"),
        ("empty.nc", "is no netCDF file"),
        ("bad.zarr", "cannot be read as Zarr"),
        ("none.nc", r"no such file|does not exist|no file of"),
    ):
        with pytest.raises(FileError, match=message) as caught:
            open_cf(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_time_that_cannot_be_decoded(tmp_path: Path) -> None:
    ds = field()
    ds["time"] = ("time", [1.0, 2.0], {"units": "fortnights since yesterday"})
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(FileError, match="does not follow CF"):
        open_cf(tmp_path / "a.nc")


# --- far away ----------------------------------------------------------------------------------


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name in ("s3fs", "aiohttp") else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    entry = open_catalog().itslive_cube_online
    assert entry.is_online
    assert not entry.on_disk
    with pytest.raises(FileError, match=r"needs the package s3fs; .*glaciertoolkit\[cloud\]"):
        entry.open()
    with pytest.raises(FileError, match="needs the package aiohttp"):
        open_cf("https://example.invalid/a.nc")


def test_a_missing_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "PACKAGES", {})

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Could not connect\nto the endpoint")

    monkeypatch.setattr(xr, "open_dataset", unreachable)
    with pytest.raises(FileError, match=r"cannot be reached \(Could not connect to the endpoint\)"):
        open_catalog().itslive_cube_online.open()


def test_an_image_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    import rasterio
    from rasterio.errors import RasterioIOError

    def unreachable(*_: Any, **__: Any) -> None:
        raise RasterioIOError("CURL error: Could not resolve host")

    monkeypatch.setattr(rasterio, "open", unreachable)
    with pytest.raises(FileError, match=r"from its address \(CURL error.*check the network"):
        open_catalog().copernicus_dem_online.open()
