"""Our velocities as a granule of ITS_LIVE, for tools that read those."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import (
    GRID_MAPPING,
    Flag,
    in_radar_geometry,
    interval_days,
    validate,
)
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.io.atomic import atomic_path
from glaciertoolkit.io.itslive import FILL
from glaciertoolkit.io.products import software

MAPPING = "mapping"
INT16_FILL = np.int16(FILL)
UNKNOWN = "unknown"
_COMPRESSED = {"zlib": True, "complevel": 2, "shuffle": True}
_DESCRIPTIONS = {
    "vx": ("land_ice_surface_x_velocity", "velocity component in x direction"),
    "vy": ("land_ice_surface_y_velocity", "velocity component in y direction"),
    "v": ("land_ice_surface_velocity", "velocity magnitude"),
    "v_error": ("velocity_error", "velocity magnitude error"),
}
_SHIFT_FLAGS = (
    "flag for applying velocity bias correction: 0 = no correction; 1 = correction from stable "
    "surfaces"
)


def to_itslive(
    ds: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    mission: str = UNKNOWN,
    satellite: str = UNKNOWN,
    sensor: str = UNKNOWN,
    step: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Write a velocity as an ITS_LIVE granule (netCDF), whole or not at all.

    Parameters
    ----------
    ds : xarray.Dataset
        What `velocity` returns: ``vx vy v`` (y, x), m yr-1, on a map, with its dates; the errors
        where there are any.
    path : path
        The file to make.
    mission, satellite, sensor : str
        What took the images, such as ``"S"``, ``"1A"``, ``"C"``. ITS_LIVE names no code for GF-3.
    step : float
        Step of the stored whole numbers, m yr-1. ITS_LIVE's is 1; a finer step is written as a
        CF ``scale_factor``, which readers of netCDF apply.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    pathlib.Path
        The file: ``vx vy v v_error`` as int16 with -32767 where nothing was measured,
        ``chip_size_width chip_size_height`` (m, uint16), ``interp_mask`` (uint8), ``mapping``
        and ``img_pair_info``. `open_itslive` reads it back.

    Raises
    ------
    FileError
        The file exists and `overwrite` is false, or its folder cannot be written.
    MissingVariableError
        `ds` lacks a velocity or its dates.
    GridError
        No CRS, or radar geometry.
    ParameterError
        `step` is not positive.

    Notes
    -----
    With the step of ITS_LIVE a velocity is rounded to 1 m yr-1, half of which is the speed of
    much stagnant ice: choose a smaller `step` unless a tool insists. Speeds beyond 32,766 steps
    are written as missing. The median of ``vx_error`` becomes the attribute ``error`` of ``vx``,
    the median of the deformation that was removed its ``stable_shift``.

    References
    ----------
    The names follow granules of version 2 as written by autoRIFT: Lei, Gardner and Agram (2021),
    Remote Sens. 13, 749.

    Examples
    --------
    >>> to_itslive(velocity, "pair.nc", mission="S", satellite="1A")  # doctest: +SKIP
    """
    validate(ds, needs=("vx", "vy", "v", "reference_time", "secondary_time"))
    if not step > 0:
        raise ParameterError(f"step={step!r} must be positive, in metres a year.")
    if in_radar_geometry(ds) or GRID_MAPPING not in ds.coords:
        raise GridError(
            "a granule of ITS_LIVE lies on a map; bring radar geometry there with to_map(), or "
            "name the CRS with rio.write_crs()."
        )
    granule = _granule(ds, step, {"mission": mission, "satellite": satellite, "sensor": sensor})
    encoding = {name: _encoding(granule[name], step) for name in granule.variables}
    with atomic_path(path, overwrite=overwrite) as aside:
        granule.to_netcdf(aside, engine="h5netcdf", encoding=encoding)
    return Path(path)


def _encoding(array: xr.DataArray, step: float) -> dict[str, Any]:
    if array.name in ("vx", "vy", "v", "v_error"):
        scale = {} if step == 1.0 else {"scale_factor": step}
        return {"dtype": "int16", "_FillValue": INT16_FILL, **scale, **_COMPRESSED}
    if array.dtype in (np.uint8, np.uint16):
        return {"_FillValue": array.dtype.type(0), **_COMPRESSED}
    return {"_FillValue": None}


def _granule(ds: xr.Dataset, step: float, source: dict[str, str]) -> xr.Dataset:
    import rioxarray  # noqa: F401  (registers .rio)

    crs = ds.rio.crs
    gone = ds["vx"].isnull() | ds["vy"].isnull()
    variables: dict[str, Any] = {}
    for name, (standard, description) in _DESCRIPTIONS.items():
        if name not in ds:
            continue
        values = ds[name].where(~gone)
        values = values.where(abs(values) <= -(FILL + 1) * step).astype(np.float32)
        attrs: dict[str, Any] = {
            "standard_name": standard,
            "description": description,
            "units": "meter/year",
            "grid_mapping": MAPPING,
        }
        if name in ("vx", "vy"):
            attrs |= _stated(ds, name)
        variables[name] = (("y", "x"), values.data, attrs)
    variables |= _templates(ds, gone)
    variables[MAPPING] = ((), np.int8(0), _mapping(ds, crs))
    variables["img_pair_info"] = ((), np.int8(0), _pair(ds, crs, gone, source))
    coords = {
        dim: (
            dim,
            ds[dim].values.astype(np.float64),
            {
                "standard_name": f"projection_{dim}_coordinate",
                "description": f"{dim} coordinate of projection",
                "units": "m",
            },
        )
        for dim in ("y", "x")
    }
    kind = "radar" if _is_radar(ds) else "optical"
    return xr.Dataset(
        variables,
        coords,
        {
            "GDAL_AREA_OR_POINT": "Area",
            "Conventions": "CF-1.8",
            "title": "surface velocities of an image pair, in the schema of ITS_LIVE granules",
            "scene_pair_type": kind,
            "satellite": source["satellite"],
            "motion_detection_method": "feature",
            "motion_coordinates": "radar" if kind == "radar" else "map",
            "source": software(),
        },
    )


def _is_radar(ds: xr.Dataset) -> bool:
    return any(name in ds for name in ("range_offset", "incidence", "local_incidence"))


def _median(array: xr.DataArray) -> float:
    return float(array.astype(np.float64).quantile(0.5, skipna=True).compute())


def _stated(ds: xr.Dataset, name: str) -> dict[str, Any]:
    """The error and the shift that ITS_LIVE states once for a component."""
    found: dict[str, Any] = {
        "stable_shift": 0.0,
        "stable_shift_flag": 0,
        "stable_shift_flag_description": _SHIFT_FLAGS,
    }
    if f"{name}_error" in ds:
        error = ds[f"{name}_error"].chunk(-1) if ds[f"{name}_error"].chunks else ds[f"{name}_error"]
        found["error"] = round(_median(error), 3)
        found["error_description"] = f"median of the 1-sigma errors of {name}, post by post"
    removed = f"d{name[1]}_deformation"
    if removed in ds:
        field = ds[removed].chunk(-1) if ds[removed].chunks else ds[removed]
        found["stable_shift"] = round(_median(field) * 365.25 / interval_days(ds), 3)
        found["stable_shift_flag"] = 1
    return found


def _templates(ds: xr.Dataset, gone: xr.DataArray) -> dict[str, Any]:
    """The sizes of the templates in metres, and which posts were filled in."""
    found: dict[str, Any] = {}
    if "template_size" in ds and "pixel" in ds.attrs:
        pixel = np.broadcast_to(np.asarray(ds.attrs["pixel"], float), 2)
        for name, size, axis in (
            ("chip_size_height", pixel[0], "height"),
            ("chip_size_width", pixel[1], "width"),
        ):
            metres = (ds["template_size"] * float(size)).where(~gone, 0.0).fillna(0.0)
            metres = metres.round().clip(0, 65535).astype(np.uint16)
            chip = {
                "standard_name": name,
                "description": f"{axis} of search template (chip)",
                "units": "m",
                "grid_mapping": MAPPING,
            }
            found[name] = (("y", "x"), metres.data, chip)
    if "flag" in ds:
        filled = (ds["flag"] & int(Flag.FILLED)) != 0
        attrs: dict[str, Any] = {
            "standard_name": "interpolated_value_mask",
            "description": "true where values have been interpolated",
            "flag_values": np.array([0, 1], dtype=np.uint8),
            "flag_meanings": "measured interpolated",
            "grid_mapping": MAPPING,
        }
        found["interp_mask"] = (("y", "x"), (filled & ~gone).astype(np.uint8).data, attrs)
    return found


def _mapping(ds: xr.Dataset, crs: Any) -> dict[str, Any]:
    from pyproj import CRS

    known = CRS.from_user_input(crs)
    attrs = {k: v for k, v in known.to_cf().items() if v is not None}
    zone = known.utm_zone
    if zone is not None:
        # What GDAL's CF calls transverse_mercator; ITS_LIVE keeps the name and adds the zone.
        attrs |= {
            "grid_mapping_name": "universal_transverse_mercator",
            "utm_zone_number": int(zone[:-1]),
        }
    transform = ds.rio.transform()
    attrs |= {
        "spatial_ref": known.to_wkt("WKT1_GDAL"),
        "proj4text": crs.to_proj4() if hasattr(crs, "to_proj4") else "",
        "GeoTransform": " ".join(f"{v:.12g}" for v in transform.to_gdal()),
    }
    if (code := known.to_epsg()) is not None:
        attrs["spatial_epsg"] = code
    return attrs


def _pair(ds: xr.Dataset, crs: Any, gone: xr.DataArray, source: dict[str, str]) -> dict[str, Any]:
    from pyproj import Transformer

    first, second = (
        ds[n].values.astype("datetime64[us]") for n in ("reference_time", "secondary_time")
    )
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    x, y = (float((ds[d].values[0] + ds[d].values[-1]) / 2) for d in ("x", "y"))
    longitude, latitude = to_degrees.transform(x, y)
    info: dict[str, Any] = {
        "standard_name": "image_pair_information",
        "acquisition_date_img1": _date(first),
        "acquisition_date_img2": _date(second),
        "date_center": _date(first + (second - first) // 2),
        "date_dt": interval_days(ds),
        "time_standard_img1": "UTC",
        "time_standard_img2": "UTC",
        "latitude": round(float(latitude), 2),
        "longitude": round(float(longitude), 2),
        "roi_valid_percentage": round(100.0 * float((~gone).mean().compute()), 1),
    }
    for key, value in source.items():
        info[f"{key}_img1"] = info[f"{key}_img2"] = value
    return info


def _date(time: Any) -> str:
    """As ITS_LIVE writes a time: ``20150706T15:31:54.422322``, zeros at the end left away."""
    moment: datetime.datetime = time.astype("datetime64[us]").item()
    return moment.strftime("%Y%m%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
