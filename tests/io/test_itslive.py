"""ITS_LIVE read in all its forms, and written so that it reads back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr

from glaciertoolkit import open_itslive, to_itslive, write_samples
from glaciertoolkit.conventions import Flag
from glaciertoolkit.errors import (
    DateError,
    FileError,
    GridError,
    InputError,
    MissingVariableError,
    ParameterError,
)
from glaciertoolkit.io.itslive import parse_date

NAMES = (
    "itslive_granule", "itslive_cube", "itslive_mosaic_v1", "itslive_mosaic_netcdf",
    "itslive_velocity",
)  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    return write_samples(tmp_path, names=NAMES)


@pytest.fixture
def velocity() -> xr.Dataset:
    rng = np.random.default_rng(1)
    shape = (30, 40)
    vx, vy = (rng.normal(m, 8, shape).astype("float32") for m in (12, -30))
    vx[:3] = np.nan
    flag = np.zeros(shape, "uint32")
    flag[10] = int(Flag.FILLED)
    dims = ("y", "x")
    ds = xr.Dataset(
        {
            "vx": (dims, vx), "vy": (dims, vy), "v": (dims, np.hypot(vx, vy)),
            "vx_error": (dims, np.full(shape, 1.25, "float32")),
            "vy_error": (dims, np.full(shape, 1.5, "float32")),
            "v_error": (dims, np.full(shape, 1.4, "float32")),
            "dx_deformation": (dims, np.full(shape, 0.5, "float32")),
            "template_size": (dims, np.full(shape, 48, "float32")),
            "flag": (dims, flag),
        },
        {
            "y": 3.1e6 - 40.0 * np.arange(30),
            "x": 5e5 + 40.0 * np.arange(40),
            "reference_time": np.datetime64("2019-09-03T04:46:59.120", "ns"),
            "secondary_time": np.datetime64("2019-10-02T04:46:58", "ns"),
        },
        {"pixel": [5.0, 5.0], "template": [48, 48]},
    )  # fmt: skip
    return ds.rio.write_crs(32645)


# --- reading -----------------------------------------------------------------------------------


def test_a_granule(places: dict[str, Path]) -> None:
    (path,) = places["itslive_granule"].glob("*.nc")
    ds = open_itslive(path)
    assert ds.vx.dims == ("y", "x")
    assert ds.reference_time.values == np.datetime64("2019-09-03T04:46:59.120")
    assert ds.secondary_time.values == np.datetime64("2019-09-15T04:46:58.500")
    assert float(ds.vx_error) == pytest.approx(3.1)
    assert ds.vx.attrs["units"] == "m yr-1"
    assert ds.vx.dtype == np.float32
    assert ds.vx.chunks is not None
    assert int(ds.vx.isnull().sum()) == 6


def test_a_granule_with_a_time_axis(places: dict[str, Path], tmp_path: Path) -> None:
    """As version 2.1 writes them."""
    (path,) = places["itslive_granule"].glob("*.nc")
    raw = xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False).load()
    fields = [n for n in raw.data_vars if {"y", "x"} <= set(raw[n].dims)]
    day = [np.datetime64("2019-09-09", "ns")]
    timed = raw.assign({n: raw[n].expand_dims(time=day) for n in fields})
    timed.to_netcdf(tmp_path / "timed.nc", engine="h5netcdf")
    plain, other = open_itslive(path), open_itslive(tmp_path / "timed.nc")
    xr.testing.assert_equal(plain.vx, other.vx.drop_vars("time"))
    assert other.mid_date.values == plain.mid_date.values


def test_a_cube(places: dict[str, Path]) -> None:
    cube = open_itslive(places["itslive_cube"])
    assert cube.vx.dims == ("mid_date", "y", "x")
    assert (np.diff(cube.mid_date.values) > np.timedelta64(0)).all()
    middle = cube.reference_time + (cube.secondary_time - cube.reference_time) / 2
    assert (middle.values == cube.mid_date.values).all()
    days = (cube.secondary_time - cube.reference_time) / np.timedelta64(1, "D")
    np.testing.assert_allclose(days, cube.date_dt)
    assert cube.rio.crs.to_epsg() is not None
    assert list(open_itslive(places["itslive_cube"], variables=["vx"]).data_vars) == ["vx"]
    with pytest.raises(InputError, match="none of the variables vr"):
        open_itslive(places["itslive_cube"], variables=["vr"])


def test_a_cube_that_knows_only_intervals(places: dict[str, Path], tmp_path: Path) -> None:
    raw = xr.open_zarr(places["itslive_cube"]).load()
    names = ["acquisition_date_img1", "acquisition_date_img2"]
    bare = raw.drop_vars(names).drop_encoding()
    bare.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    xr.testing.assert_equal(
        open_itslive(tmp_path / "a.nc").reference_time,
        open_itslive(places["itslive_cube"]).reference_time,
    )
    bare.drop_vars("date_dt").to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(DateError, match="says nowhere when the images"):
        open_itslive(tmp_path / "b.nc")


def test_a_cube_with_pairs_in_reverse(places: dict[str, Path], tmp_path: Path) -> None:
    raw = xr.open_zarr(places["itslive_cube"]).load().drop_encoding()
    swapped = raw.assign(acquisition_date_img1=raw.acquisition_date_img2)
    swapped.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(DateError, match=r"in 5 of the 5 pairs .* not later than the first"):
        open_itslive(tmp_path / "a.nc")


def test_mosaics(places: dict[str, Path]) -> None:
    first = open_itslive(places["itslive_mosaic_v1"])
    assert {"vx", "vy", "v", "vx_error", "vy_error"} == set(first.data_vars)
    assert int(first.vx_error.isnull().sum()) == 6
    one = open_itslive(next(places["itslive_mosaic_v1"].glob("*_vx.tif")))
    assert list(one.data_vars) == ["vx"]
    assert set(open_itslive(places["itslive_velocity"]).data_vars) == {"v", "vx", "vy", "v_error"}
    netcdf = places["itslive_mosaic_netcdf"] / "ITS_LIVE_velocity_120m.nc"
    assert open_itslive(netcdf).v.dims == ("y", "x")


def test_layers_that_do_not_fit(places: dict[str, Path]) -> None:
    folder = places["itslive_mosaic_v1"]
    path = folder / "HMA_G0120_vx.tif"
    path.with_name("ALA_G0120_vx.tif").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="has the variable vx twice"):
        open_itslive(folder)
    with rasterio.open(path.with_name("ALA_G0120_vx.tif"), "r+") as file:
        file.transform = rasterio.transform.from_origin(0, 0, 120, 120)
    path.unlink()
    with pytest.raises(InputError, match="are on different grids"):
        open_itslive(folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20150706T15:31:54.422322", "2015-07-06T15:31:54.422322"),
        ("20150706T15:31:54.4", "2015-07-06T15:31:54.4"),
        ("20150706T15:31:54", "2015-07-06T15:31:54"),
        ("20150706", "2015-07-06"),
        (b"20150706", "2015-07-06"),
        (20150706.0, "2015-07-06"),
        ("2015-07-06T15:31:54", "2015-07-06T15:31:54"),
    ],
)
def test_dates_as_itslive_writes_them(text: Any, expected: str) -> None:
    assert parse_date(text, "cube") == np.datetime64(expected, "ns")


def test_what_is_no_itslive_file(tmp_path: Path) -> None:
    with pytest.raises(DateError, match="holds the date 'soon'"):
        parse_date("soon", "cube")
    xr.Dataset({"t": ("x", [1.0])}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(FileError, match=r"holds no velocity \(it has t\)"):
        open_itslive(tmp_path / "a.nc")
    with pytest.raises(FileError, match=r"no file of|does not exist"):
        open_itslive(tmp_path / "none.nc")


# --- writing -----------------------------------------------------------------------------------


def test_the_round_trip(velocity: xr.Dataset, tmp_path: Path) -> None:
    path = velocity.glacier.to_itslive(tmp_path / "pair.nc", mission="S", satellite="1A", step=0.1)
    back = open_itslive(path)
    for name in ("vx", "vy", "v", "v_error"):
        valid = np.isfinite(velocity.vx)
        assert (np.isfinite(back[name]) == valid).all()
        assert float(abs(back[name] - velocity[name]).max()) <= 0.0501
    for name in ("reference_time", "secondary_time"):
        assert back[name].values == velocity[name].values
    assert back.rio.crs == velocity.rio.crs
    assert float(back.vx_error) == 1.25
    np.testing.assert_array_equal(back.x, velocity.x)
    assert back.rio.transform() == velocity.rio.transform()


def test_it_is_the_schema_of_a_granule(velocity: xr.Dataset, tmp_path: Path) -> None:
    to_itslive(velocity, tmp_path / "pair.nc", mission="S", satellite="1A", sensor="C")
    with h5netcdf.File(tmp_path / "pair.nc") as file:
        for name in ("vx", "vy", "v", "v_error"):
            variable = file[name]
            assert variable.dtype == np.int16
            assert variable.attrs["_FillValue"] == -32767
            assert "scale_factor" not in variable.attrs
            assert variable.attrs["units"] == "meter/year"
            assert variable.attrs["grid_mapping"] == "mapping"
        assert file["vx"].attrs["standard_name"] == "land_ice_surface_x_velocity"
        assert file["vx"].attrs["error"] == 1.25
        assert file["vx"].attrs["stable_shift_flag"] == 1
        days = 29 - 1.12 / 86_400
        assert file["vx"].attrs["stable_shift"] == pytest.approx(0.5 * 365.25 / days, abs=1e-3)
        assert file["vy"].attrs["stable_shift_flag"] == 0
        assert file["chip_size_width"].dtype == np.uint16
        assert np.unique(file["chip_size_width"][:]).tolist() == [0, 240]
        assert file["interp_mask"].dtype == np.uint8
        assert int(file["interp_mask"][:].sum()) == 40
        mapping = file["mapping"].attrs
        assert mapping["spatial_epsg"] == 32645
        assert mapping["utm_zone_number"] == 45
        assert mapping["GeoTransform"].split()[1] == "40"
        info = file["img_pair_info"].attrs
        assert info["acquisition_date_img1"] == "20190903T04:46:59.12"
        assert info["acquisition_date_img2"] == "20191002T04:46:58"
        assert info["date_dt"] == pytest.approx(days)
        assert info["mission_img1"] == "S"
        assert info["roi_valid_percentage"] == pytest.approx(90.0)
        assert info["latitude"] == pytest.approx(28.02, abs=0.01)
        assert file.attrs["scene_pair_type"] == "optical"


def test_lazy_and_eager_write_the_same(velocity: xr.Dataset, tmp_path: Path) -> None:
    to_itslive(velocity, tmp_path / "a.nc")
    to_itslive(velocity.chunk(y=7, x=11), tmp_path / "b.nc")
    with h5netcdf.File(tmp_path / "a.nc") as a, h5netcdf.File(tmp_path / "b.nc") as b:
        for name in a.variables:
            np.testing.assert_array_equal(a[name][...], b[name][...])
            assert dict(a[name].attrs).keys() == dict(b[name].attrs).keys()


def test_speeds_beyond_the_format_are_missing(velocity: xr.Dataset, tmp_path: Path) -> None:
    velocity["vx"][20, 20] = 40_000
    to_itslive(velocity, tmp_path / "a.nc")
    back = open_itslive(tmp_path / "a.nc")
    assert np.isnan(back.vx[20, 20])
    assert float(back.vx.max()) < 100


def test_polar_grids_and_others(velocity: xr.Dataset, tmp_path: Path) -> None:
    import pyproj

    lambert = pyproj.CRS.from_user_input("ESRI:102027")
    for crs in (3413, lambert):
        moved = velocity.drop_vars("spatial_ref").rio.write_crs(crs)
        path = tmp_path / f"{pyproj.CRS.from_user_input(crs).name[:3]}.nc"
        to_itslive(moved, path)
        assert open_itslive(path).rio.crs == moved.rio.crs


def test_what_cannot_be_written(velocity: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r"lies on a map"):
        to_itslive(velocity.drop_vars("spatial_ref"), tmp_path / "a.nc")
    with pytest.raises(MissingVariableError, match="lacks v"):
        to_itslive(velocity.drop_vars("v"), tmp_path / "a.nc")
    with pytest.raises(ParameterError, match="step=0"):
        to_itslive(velocity, tmp_path / "a.nc", step=0)
    assert list(tmp_path.iterdir()) == []
    to_itslive(velocity, tmp_path / "a.nc")
    with pytest.raises(FileError, match="overwrite=True"):
        to_itslive(velocity, tmp_path / "a.nc")
    to_itslive(velocity, tmp_path / "a.nc", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]
