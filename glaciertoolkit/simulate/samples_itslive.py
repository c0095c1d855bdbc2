"""Samples of ITS_LIVE: layers of a mosaic, a mosaic, a granule, a cube, in its own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.catalog import Entry
from glaciertoolkit.simulate import samples_facts as facts

FILL = -32767
PAIRS = 5
_UNITS = "meter/year"


def write(entry: Entry, target: Path) -> None:
    """The sample of an entry of ITS_LIVE, by its suffix and name."""
    if target.suffix == ".tif":
        _write_layers(entry, target)
    elif target.suffix == ".zarr":
        _cube(entry).to_zarr(target, mode="w", zarr_format=2, consolidated=True)
    elif "mosaic" in entry.name:
        ds = xr.Dataset(_fields(entry, ("y", "x")), _axes(entry)).assign(mapping=_mapping(entry))
        ds.to_netcdf(target, engine="h5netcdf", encoding=_packed(ds))
    else:
        ds = _granule(entry)
        path = target.with_name(target.name.replace("*_G", "scene1_X_scene2_G").replace("*", "054"))
        ds.to_netcdf(path, engine="h5netcdf", encoding=_packed(ds))


def _axes(entry: Entry) -> dict[str, Any]:
    y, x = facts.axes(entry)
    return {
        "y": ("y", y, {"standard_name": "projection_y_coordinate", "units": "m"}),
        "x": ("x", x, {"standard_name": "projection_x_coordinate", "units": "m"}),
    }


def _mapping(entry: Entry) -> tuple[tuple[()], Any, dict[str, Any]]:
    from pyproj import CRS

    crs = CRS.from_user_input(facts.crs_of(entry))
    attrs = {
        "grid_mapping_name": "universal_transverse_mercator",
        "crs_wkt": crs.to_wkt(),
        "spatial_ref": crs.to_wkt("WKT1_GDAL"),
        "spatial_epsg": crs.to_epsg() or 0,
    }
    return ((), np.int8(0), attrs)


def _values(entry: Entry, shape: tuple[int, ...]) -> dict[str, npt.NDArray[Any]]:
    rng = facts.generator(entry)
    vx, vy = rng.normal(12, 4, shape), rng.normal(-7, 4, shape)
    for field in (vx, vy):
        field[..., :2, :3] = np.nan
    error = np.where(np.isnan(vx), np.nan, 3.0)
    return {"vx": vx, "vy": vy, "v": np.hypot(vx, vy), "v_error": error}


def _fields(entry: Entry, dims: tuple[str, ...], number: int = 0) -> dict[str, Any]:
    shape = (number, *facts.SHAPE) if number else facts.SHAPE
    return {
        name: (dims, np.round(values), {"units": _UNITS, "grid_mapping": "mapping"})
        for name, values in _values(entry, shape).items()
    }


def _packed(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    """int16 with -32767, as ITS_LIVE stores velocities."""
    return {
        str(name): {"dtype": "int16", "_FillValue": np.int16(FILL)}
        for name in ds.data_vars
        if ds[name].dtype.kind == "f" and {"y", "x"} <= set(ds[name].dims)
    }


def _granule(entry: Entry) -> xr.Dataset:
    ds = xr.Dataset(_fields(entry, ("y", "x")), _axes(entry)).assign(mapping=_mapping(entry))
    for name in ("vx", "vy"):
        ds[name].attrs |= {"error": 3.1, "stable_shift": 0.4, "stable_shift_flag": 1}
    info = {
        "standard_name": "image_pair_information",
        "acquisition_date_img1": "20190903T04:46:59.12",
        "acquisition_date_img2": "20190915T04:46:58.5",
        "date_center": "20190909T04:46:58.81",
        "date_dt": 11.99999,
        "mission_img1": "S",
        "mission_img2": "S",
        "satellite_img1": "1A",
        "satellite_img2": "1A",
        "sensor_img1": "C",
        "sensor_img2": "C",
        "time_standard_img1": "UTC",
        "time_standard_img2": "UTC",
        "roi_valid_percentage": 54.2,
    }
    ds["img_pair_info"] = ((), np.int8(0), info)
    meanings = {"flag_meanings": "measured interpolated"}
    ds["interp_mask"] = (("y", "x"), np.zeros(facts.SHAPE, "uint8"), meanings)
    return ds.assign_attrs(Conventions="CF-1.8", scene_pair_type="radar")


def _cube(entry: Entry) -> xr.Dataset:
    rng = facts.generator(entry)
    first = np.datetime64("2018-01-07T04:00:00", "ns") + rng.permutation(PAIRS) * np.timedelta64(
        40, "D"
    )
    second = first + np.array([12, 24, 16, 48, 32]) * np.timedelta64(1, "D")
    middle = first + (second - first) / 2
    fields = _fields(entry, ("mid_date", "y", "x"), PAIRS)
    fields["vx_error"] = ("mid_date", np.full(PAIRS, 3.1), {"units": _UNITS})
    fields["vy_error"] = ("mid_date", np.full(PAIRS, 2.9), {"units": _UNITS})
    fields["date_dt"] = ("mid_date", (second - first) / np.timedelta64(1, "D"), {"units": "days"})
    fields["acquisition_date_img1"] = ("mid_date", first)
    fields["acquisition_date_img2"] = ("mid_date", second)
    fields["mission_img1"] = ("mid_date", np.array(["S"] * PAIRS))
    fields["satellite_img1"] = ("mid_date", np.array(["1A"] * PAIRS))
    ds = xr.Dataset(fields, {**_axes(entry), "mid_date": middle}).assign(mapping=_mapping(entry))
    for name, encoding in _packed(ds).items():
        ds[name].encoding = encoding
    return ds


def _write_layers(entry: Entry, target: Path) -> None:
    import rasterio
    from rasterio.transform import from_origin

    y, x = facts.axes(entry)
    fields = _values(entry, facts.SHAPE)
    stem = target.name
    if "v1" in entry.name:
        layers = {"vx": "vx", "vy": "vy", "vx_err": "v_error", "vy_err": "v_error", "v": "v"}
        names = {layer: stem.replace("*", layer) for layer in layers}
    else:
        layers = {"v": "v", "vx": "vx", "vy": "vy", "v_error": "v_error"}
        region = "RGI14A_0000_v02"
        names = {n: stem.replace("*_v", f"{region}_{n}") for n in layers}
    step = float(x[1] - x[0])
    for layer, name in names.items():
        missing = 0 if layer.endswith("err") else FILL
        values = fields[layers[layer]]
        with rasterio.open(
            target.with_name(name), "w", driver="GTiff", height=y.size, width=x.size, count=1,
            dtype="float32", crs=facts.crs_of(entry), nodata=missing,
            transform=from_origin(x[0] - step / 2, y[0] + step / 2, step, step),
        ) as file:  # fmt: skip
            file.write(np.where(np.isnan(values), missing, values).astype("float32"), 1)
