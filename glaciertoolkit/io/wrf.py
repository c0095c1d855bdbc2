"""What output of WRF, and HAR made from it, says in its own ways: projection, axes, times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import FileError
from glaciertoolkit.io.dates import parse_time

RADIUS = 6_370_000.0
"""Metres: WRF computes on a sphere."""

_PROJECTIONS = {1: "lcc", 2: "stere", 3: "merc", 6: "latlong"}


def is_wrf(ds: xr.Dataset) -> bool:
    """Whether `ds` is output of WRF as WRF writes it."""
    return {"MAP_PROJ", "DX"} <= set(ds.attrs) and {"south_north", "west_east"} <= set(ds.dims)


def has_projection(ds: xr.Dataset) -> bool:
    """Whether the attributes of `ds` name a projection the way HAR does."""
    return {"PROJ_NAME", "PROJ_CENTRAL_LON"} <= set(ds.attrs)


def crs_of(ds: xr.Dataset) -> Any:
    """The CRS of output of WRF, as a `pyproj.CRS`.

    Raises
    ------
    FileError
        A projection that WRF has no number for, or rotated coordinates.
    """
    from pyproj import CRS

    attrs = ds.attrs
    kind = _PROJECTIONS.get(int(attrs["MAP_PROJ"]))
    sphere = {"R": RADIUS, "units": "m"}
    middle = float(attrs.get("STAND_LON", attrs.get("CEN_LON", 0.0)))
    first, second = float(attrs.get("TRUELAT1", 0.0)), float(attrs.get("TRUELAT2", 0.0))
    origin = float(attrs.get("MOAD_CEN_LAT", attrs.get("CEN_LAT", 0.0)))
    if kind == "lcc":
        shape = {"lat_1": first, "lat_2": second, "lat_0": origin, "lon_0": middle}
    elif kind == "stere":
        shape = {"lat_0": float(np.copysign(90.0, first)), "lat_ts": first, "lon_0": middle}
    elif kind == "merc":
        shape = {"lat_ts": first, "lon_0": middle}
    else:
        raise FileError(
            f"the output of WRF is in the projection MAP_PROJ={attrs['MAP_PROJ']}, which is not "
            "known here; use its two-dimensional longitudes and latitudes."
        )
    return CRS.from_dict({"proj": kind, **shape, **sphere})


def with_axes(ds: xr.Dataset) -> xr.Dataset:
    """`ds` with projected axes, times, and CF names of its longitudes and latitudes."""
    from pyproj import Transformer

    out = ds.copy()
    if "Times" in out.variables:
        texts = [bytes(t).decode() if isinstance(t, bytes) else str(t) for t in out["Times"].values]
        times = [parse_time(text.replace("_", "T")) for text in texts]
        out = out.drop_vars("Times").assign_coords(Time=np.array(times)).rename(Time="time")
    to_map = Transformer.from_crs("EPSG:4326", crs_of(ds), always_xy=True)
    x, y = to_map.transform(float(ds.attrs["CEN_LON"]), float(ds.attrs["CEN_LAT"]))
    for dim, middle, step in (("west_east", x, "DX"), ("south_north", y, "DY")):
        size = out.sizes[dim]
        # An array cut out of the domain has no place of its own but its longitudes.
        offsets = (np.arange(size) - (size - 1) / 2) * float(ds.attrs[step])
        out = out.assign_coords({dim: middle + offsets})
    for old, new in (("XLAT", "latitude"), ("XLONG", "longitude")):
        if old in out.variables:
            out = out.rename({old: new}).set_coords(new)
            out[new].attrs = {"units": f"degrees_{'north' if new == 'latitude' else 'east'}"}
            out[new].attrs["standard_name"] = new
    return _checked(out, to_map)


def _checked(ds: xr.Dataset, to_map: Any) -> xr.Dataset:
    """Shift the axes to where the longitudes say they are (a cut-out keeps CEN_LON)."""
    if "longitude" not in ds.coords or "latitude" not in ds.coords:
        return ds
    corner = dict.fromkeys(ds["longitude"].dims, 0)
    x, y = to_map.transform(float(ds["longitude"][corner]), float(ds["latitude"][corner]))
    return ds.assign_coords(
        west_east=ds["west_east"].values + (x - float(ds["west_east"][0])),
        south_north=ds["south_north"].values + (y - float(ds["south_north"][0])),
    )


def projection(attrs: Mapping[str, Any]) -> Any:
    """The CRS that HAR's attributes name, as a `pyproj.CRS`, or None."""
    from pyproj import CRS

    if "lambert" not in str(attrs["PROJ_NAME"]).lower():
        return None
    number = {key: float(value) for key, value in attrs.items() if _is_number(value)}
    return CRS.from_dict(
        {
            "proj": "lcc",
            "lat_1": number["PROJ_STANDARD_PAR1"],
            "lat_2": number["PROJ_STANDARD_PAR2"],
            "lat_0": number["PROJ_CENTRAL_LAT"],
            "lon_0": number["PROJ_CENTRAL_LON"],
            "x_0": number.get("PROJ_FALSE_EASTING", 0.0),
            "y_0": number.get("PROJ_FALSE_NORTHING", 0.0),
            "a": number.get("PROJ_SEMIMAJOR_AXIS", RADIUS),
            "b": number.get("PROJ_SEMIMINOR_AXIS", RADIUS),
            "units": "m",
        }
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
