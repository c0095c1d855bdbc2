"""The published GF-3 maps and our own products: bands, units, dates, doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr
from rasterio.transform import from_origin

import glaciertoolkit as gt
from glaciertoolkit import open_glacier_motion
from glaciertoolkit.errors import FileError, GlacierToolkitWarning, InputError, ParameterError


def write(path: Path, bands: int = 1, descriptions: tuple[str, ...] = (), **more: Any) -> Path:
    pixels = np.stack([np.full((3, 4), n + 1.0, "float32") for n in range(bands)])
    pixels[:, 0, 0] = np.nan
    tags = more.pop("tags", {})
    units = more.pop("units", ())
    pixels[:, 0, 1] = more.pop("odd", pixels[:, 0, 1])
    with rasterio.open(
        path, "w", driver="GTiff", height=3, width=4, count=bands, dtype="float32",
        crs="EPSG:32645", transform=from_origin(5e5, 3.1e6, 12, 12), nodata=np.nan,
    ) as file:  # fmt: skip
        file.write(pixels)
        file.update_tags(**tags)
        for number, text in enumerate(descriptions, 1):
            file.set_band_description(number, text)
        for number, text in enumerate(units, 1):
            file.set_band_unit(number, text)
    return path


def test_a_motion_of_one_band(tmp_path: Path) -> None:
    ds = open_glacier_motion(write(tmp_path / "Glacier_Motion.tif"))
    assert list(ds.data_vars) == ["d"]
    assert ds.d.attrs["units"] == "m"
    assert ds.d.dtype == np.float32
    assert ds.d.chunks is not None
    assert np.isnan(ds.d.values[0, 0])
    assert ds.rio.crs.to_epsg() == 32645
    assert ds.rio.resolution() == (12, -12)
    assert "reference_time" not in ds.coords


def test_a_velocity_without_a_unit_is_a_guess_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "Glacier_Velocity.tif")
    with pytest.warns(GlacierToolkitWarning, match="metres a year are assumed"):
        assert open_glacier_motion(path).v.attrs["units"] == "m yr-1"
    daily = open_glacier_motion(path, units="m d-1")
    assert daily.v.attrs["units"] == "m yr-1"
    assert float(daily.v[1, 1]) == pytest.approx(365.25)
    stated = write(tmp_path / "velocity_b.tif", units=("cm/d",))
    assert float(open_glacier_motion(stated).v[1, 1]) == pytest.approx(3.6525)
    tagged = write(tmp_path / "velocity_c.tif", tags={"units": "m/yr"})
    assert float(open_glacier_motion(tagged).v[1, 1]) == 1


def test_bands_are_told_apart_by_what_they_say(tmp_path: Path) -> None:
    texts = ("error of the speed", "vy", "vx", "velocity magnitude")
    path = write(tmp_path / "Glacier_Velocity.tif", 4, texts, units=("m yr-1",) * 4)
    ds = open_glacier_motion(path)
    assert {n: float(ds[n][1, 1]) for n in ds.data_vars} == {"v_error": 1, "vy": 2, "vx": 3, "v": 4}
    assert ds.vx.attrs["long_name"] == "velocity component along x"


def test_bands_that_say_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "Glacier_Motion.tif", 2)
    with pytest.raises(InputError, match=r"has 2 bands whose descriptions \(None, None\)"):
        open_glacier_motion(path)
    path = write(tmp_path / "Glacier_Motion_b.tif", 2, ("motion a", "motion b"))
    with pytest.raises(InputError, match="do not say which"):
        open_glacier_motion(path)


def test_our_own_products(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    grid = {"y": 3.1e6 - 12.0 * np.arange(20), "x": 5e5 + 12.0 * np.arange(30)}
    field = {n: (("y", "x"), rng.normal(2, 1, (20, 30)).astype("float32")) for n in ("dx", "dy")}
    times = {
        "reference_time": np.datetime64("2019-09-03", "ns"),
        "secondary_time": np.datetime64("2019-10-02", "ns"),
    }
    velocity = gt.velocity(xr.Dataset(field, grid | times).rio.write_crs(32645))
    gt.to_products(velocity, tmp_path / "out")
    ds = open_glacier_motion(tmp_path / "out" / "Glacier_Motion.tif")
    assert {"d", "dx", "dy", "d_error"} == set(ds.data_vars)
    np.testing.assert_allclose(ds.dx.values, velocity.dx.values)
    assert ds.reference_time.values == velocity.reference_time.values
    speed = open_glacier_motion(tmp_path / "out" / "Glacier_Velocity.tif")
    np.testing.assert_allclose(speed.v.values, velocity.v.values)


def test_dates_in_the_name_and_undeclared_nodata(tmp_path: Path) -> None:
    path = write(tmp_path / "Motion_20190903_20200105.tif", odd=np.float32(-3.4e38))
    ds = open_glacier_motion(path)
    assert ds.reference_time.values == np.datetime64("2019-09-03")
    assert ds.secondary_time.values == np.datetime64("2020-01-05")
    assert np.isnan(ds.d.values[0, 1])
    assert float(open_glacier_motion(path, nodata=1.0).d.isnull().mean()) == 1.0


def test_what_does_not_work(tmp_path: Path) -> None:
    path = write(tmp_path / "map.tif")
    with pytest.raises(ParameterError, match="does not say whether it is a motion or a velocity"):
        open_glacier_motion(path)
    with pytest.raises(ParameterError, match="kind='speed'"):
        open_glacier_motion(path, kind="speed")
    assert "d" in open_glacier_motion(path, kind="motion")
    with pytest.raises(FileError, match="does not exist"):
        open_glacier_motion(tmp_path / "Motion.tif")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileError, match=r"damaged|truncated"):
        open_glacier_motion(path, kind="motion")
