"""Names, units, attributes and flags: the one vocabulary that all modules share.

Nothing here computes. What a variable is called, which unit it has and what a flag bit means is
written down once, and every function that returns a variable takes its attributes from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.errors import MissingVariableError

YEAR_DAYS = 365.25
"""Days in the year of `m yr-1`."""

GRID_MAPPING = "spatial_ref"
TIME_COORDS = ("reference_time", "secondary_time", "mid_date")
CF_VERSION = "CF-1.11"

RADAR_GEOMETRY = ("reference_geometry", "secondary_geometry")
"""Attributes of a pair whose grid is slant range and azimuth: how each image was taken."""


class Flag(IntFlag):
    """Why a post is NaN, or doubtful (uint32 bits of the variable `flag`)."""

    NODATA = 1 << 0
    LOW_CONTRAST = 1 << 1
    IMAGE_EDGE = 1 << 2
    SEARCH_EDGE = 1 << 3
    LOW_CORRELATION = 1 << 4
    AMBIGUOUS_PEAK = 1 << 5
    LOW_SNR = 1 << 6
    TOO_FAST = 1 << 7
    OUTLIER_DISPARITY = 1 << 8
    OUTLIER_MEDIAN = 1 << 9
    OUTLIER_DIRECTION = 1 << 10
    SMALL_OBJECT = 1 << 11
    IMPLAUSIBLE_STRAIN = 1 << 12
    NO_DEM = 1 << 13
    LAYOVER = 1 << 14
    SHADOW = 1 << 15
    EXTRAPOLATED = 1 << 16
    FILLED = 1 << 17
    SMOOTHED = 1 << 18
    SINGULAR = 1 << 19


FLAG_MEANINGS: dict[Flag, str] = {
    Flag.NODATA: "too few valid pixels in the template or in every search window",
    Flag.LOW_CONTRAST: "the template is (nearly) constant, nothing can be matched",
    Flag.IMAGE_EDGE: "the search window leaves the secondary image",
    Flag.SEARCH_EDGE: "the best match lies on the edge of the search range; search further",
    Flag.LOW_CORRELATION: "the peak correlation is below the threshold",
    Flag.AMBIGUOUS_PEAK: "a second peak is nearly as high as the first",
    Flag.LOW_SNR: "the signal-to-noise ratio of the peak is below the threshold",
    Flag.TOO_FAST: "the displacement exceeds the largest plausible speed",
    Flag.OUTLIER_DISPARITY: "too few neighbours agree with the displacement (disparity filter)",
    Flag.OUTLIER_MEDIAN: "the displacement differs from its neighbours (normalised median test)",
    Flag.OUTLIER_DIRECTION: "the direction differs from that of the neighbours",
    Flag.SMALL_OBJECT: "an isolated patch smaller than a template",
    Flag.IMPLAUSIBLE_STRAIN: "the displacement gradient is larger than ice allows",
    Flag.NO_DEM: "no elevation here, the topography-related offset is unknown",
    Flag.LAYOVER: "radar layover",
    Flag.SHADOW: "radar shadow",
    Flag.EXTRAPOLATED: "the correction is extrapolated beyond the stable terrain's elevations",
    Flag.FILLED: "filled from the neighbours, not measured",
    Flag.SMOOTHED: "smoothed with the neighbours",
    Flag.SINGULAR: "on this slope the radar sees nothing of a motion along the surface",
}

DOUBTFUL = Flag.IMAGE_EDGE | Flag.EXTRAPOLATED | Flag.FILLED | Flag.SMOOTHED
"""Bits that leave the value in place; every other bit means that the post is NaN."""

FLAG_DTYPE = np.uint32


class Variable(NamedTuple):
    """CF attributes of one variable."""

    units: str
    long_name: str
    standard_name: str | None = None

    def attrs(self) -> dict[str, str]:
        """The attributes as a dictionary, without those that are not set."""
        found = {"units": self.units, "long_name": self.long_name}
        if self.standard_name:
            found["standard_name"] = self.standard_name
        return found


VARIABLES: dict[str, Variable] = {
    "dx": Variable("m", "displacement along x between the two dates"),
    "dy": Variable("m", "displacement along y between the two dates"),
    "dx_error": Variable("m", "1-sigma error of the displacement along x"),
    "dy_error": Variable("m", "1-sigma error of the displacement along y"),
    "dxdy_covariance": Variable("m2", "covariance of the errors of dx and dy"),
    "correlation": Variable("1", "normalised cross-correlation at the peak"),
    "snr": Variable(
        "1", "signal-to-noise ratio: squared peak over the mean square of the correlation around it"
    ),
    "peak_ratio": Variable("1", "highest over second-highest correlation peak"),
    "template_size": Variable("pixel", "edge length of the template that gave the match"),
    "effective_resolution": Variable(
        "m", "width of the uniform template that smears the motion as much as the texture does"
    ),
    "dx_smear": Variable("m", "mean of dx over the template minus its value at the centre"),
    "dy_smear": Variable("m", "mean of dy over the template minus its value at the centre"),
    "dx_dx": Variable("1", "gradient of dx along x"),
    "dx_dy": Variable("1", "gradient of dx along y"),
    "dy_dx": Variable("1", "gradient of dy along x"),
    "dy_dy": Variable("1", "gradient of dy along y"),
    "dx_dx_error": Variable("1", "1-sigma error of the gradient of dx along x"),
    "dx_dy_error": Variable("1", "1-sigma error of the gradient of dx along y"),
    "dy_dx_error": Variable("1", "1-sigma error of the gradient of dy along x"),
    "dy_dy_error": Variable("1", "1-sigma error of the gradient of dy along y"),
    "vx": Variable("m yr-1", "velocity component along x", "land_ice_surface_x_velocity"),
    "vy": Variable("m yr-1", "velocity component along y", "land_ice_surface_y_velocity"),
    "v": Variable("m yr-1", "velocity magnitude"),
    "vx_error": Variable("m yr-1", "1-sigma error of the velocity component along x"),
    "vy_error": Variable("m yr-1", "1-sigma error of the velocity component along y"),
    "v_error": Variable("m yr-1", "1-sigma error of the velocity magnitude"),
    "v_debiased": Variable("m yr-1", "velocity magnitude without what noise adds on average"),
    "direction": Variable("degree", "direction of motion, clockwise from grid north"),
    "direction_error": Variable("degree", "1-sigma error of the direction of motion"),
    "significant": Variable("1", "whether the velocity differs from zero (4.55 % level)"),
    "dx_deformation": Variable("m", "global deformation removed from dx"),
    "dy_deformation": Variable("m", "global deformation removed from dy"),
    "dx_topography": Variable("m", "topography-related offset removed from dx"),
    "dy_topography": Variable("m", "topography-related offset removed from dy"),
    "dx_holdout": Variable("m", "residual of dx on stable ground under the fit without its fold"),
    "dy_holdout": Variable("m", "residual of dy on stable ground under the fit without its fold"),
    "dx_geometry": Variable("m", "offset that the orbits make at the reference height, along x"),
    "dy_geometry": Variable("m", "offset that the orbits make at the reference height, along y"),
    "dx_streaks": Variable("m", "streaks removed from dx"),
    "dy_streaks": Variable("m", "streaks removed from dy"),
    "dx_stripes": Variable("m", "stripes removed from dx"),
    "dy_stripes": Variable("m", "stripes removed from dy"),
    "dz": Variable("m", "vertical displacement, upwards, as the slope of the surface implies"),
    "dh": Variable("m", "elevation change, positive where the surface has risen"),
    "dh_dt": Variable("m yr-1", "rate of elevation change, positive upwards"),
    "dh_dt_error": Variable("m yr-1", "1-sigma error of the rate of elevation change"),
    "range_offset": Variable("m", "corrected offset in slant range, away from the radar"),
    "azimuth_offset": Variable("m", "corrected offset along the track, in the direction of flight"),
    "range_error": Variable("m", "1-sigma error of the offset in slant range"),
    "azimuth_error": Variable("m", "1-sigma error of the offset along the track"),
    "vz": Variable("m yr-1", "vertical velocity, upwards"),
    "vz_error": Variable("m yr-1", "1-sigma error of the vertical velocity"),
    "incidence": Variable("degree", "angle between the line of sight and the vertical"),
    "local_incidence": Variable("degree", "angle between the line of sight and the surface normal"),
    "height": Variable("m", "height above the ellipsoid", "height_above_reference_ellipsoid"),
    "elevation": Variable("m", "elevation", "height_above_geopotential_datum"),
    "slope": Variable("degree", "surface slope"),
    "aspect": Variable("degree", "direction of steepest descent, clockwise from grid north"),
    "northness": Variable("1", "cosine of the aspect: 1 where the ground falls to the north"),
    "eastness": Variable("1", "sine of the aspect: 1 where the ground falls to the east"),
    "profile_curvature": Variable("m-1", "curvature along the slope, positive where convex"),
    "plan_curvature": Variable("m-1", "curvature of the contour lines, positive on ribs"),
    "relief": Variable("m", "highest minus lowest elevation around the post"),
    "normalised_elevation": Variable(
        "1", "elevation between the lowest (0) and the highest (1) post of the glacier"
    ),
    "thickness": Variable("m", "ice thickness", "land_ice_thickness"),
    "surface_slope": Variable("degree", "slope of the ice surface over several ice thicknesses"),
    "slope_length": Variable("m", "edge of the square over which the surface slope is taken"),
    "driving_stress": Variable("kPa", "driving stress: density x gravity x thickness x sin(slope)"),
    "deformation_speed": Variable("m yr-1", "surface speed by internal deformation alone"),
    "v_along": Variable("m yr-1", "velocity along the line, to its end"),
    "v_across": Variable("m yr-1", "velocity across the line, to its left"),
    "v_along_error": Variable("m yr-1", "1-sigma error of the velocity along the line"),
    "v_across_error": Variable("m yr-1", "1-sigma error of the velocity across the line"),
    "strain_rate": Variable("yr-1", "strain rate along the line, positive where it stretches"),
    "strain_rate_error": Variable("yr-1", "1-sigma error of the strain rate along the line"),
}

COORDINATES: dict[str, dict[str, str]] = {
    "x": {
        "units": "m",
        "long_name": "easting",
        "standard_name": "projection_x_coordinate",
        "axis": "X",
    },
    "y": {
        "units": "m",
        "long_name": "northing",
        "standard_name": "projection_y_coordinate",
        "axis": "Y",
    },
    "longitude": {
        "units": "degrees_east",
        "long_name": "longitude",
        "standard_name": "longitude",
    },
    "latitude": {
        "units": "degrees_north",
        "long_name": "latitude",
        "standard_name": "latitude",
    },
    "reference_time": {"long_name": "acquisition time of the reference image"},
    "secondary_time": {"long_name": "acquisition time of the secondary image"},
    "mid_date": {"long_name": "midpoint between the two acquisitions"},
}

RADAR_COORDINATES: dict[str, dict[str, str]] = {
    "x": {"units": "m", "long_name": "slant range", "axis": "X"},
    "y": {"units": "m", "long_name": "azimuth, along flight from the first line", "axis": "Y"},
}

HOW_TO_GET: dict[str, str] = {
    "reference": "open the images with open_pair()",
    "secondary": "open the images with open_pair()",
    "dx": "track the pair first: offsets = pair.glacier.track()",
    "dy": "track the pair first: offsets = pair.glacier.track()",
    "flag": "track the pair first: offsets = pair.glacier.track()",
    "vx": "turn the motion into velocity first: velocity = motion.glacier.velocity()",
    "vy": "turn the motion into velocity first: velocity = motion.glacier.velocity()",
    "v": "turn the motion into velocity first: velocity = motion.glacier.velocity()",
    "surface": "look at one place first: found = pair.glacier.correlation_surface(x, y)",
    "driving_stress": "add it first: ds = driving_stress(ds, thickness=THICKNESS, dem=DEM)",
    "thickness": "add it first: ds = driving_stress(ds, thickness=THICKNESS, dem=DEM)",
    "height": "locate the posts first: offsets = offsets.glacier.locate(dem=DEM)",
    "reference_time": "give the dates to open_pair(reference_date=..., secondary_date=...)",
    "secondary_time": "give the dates to open_pair(reference_date=..., secondary_date=...)",
}


def flag_attrs() -> dict[str, Any]:
    """CF attributes of the variable `flag`."""
    return {
        "long_name": "why a post is missing or doubtful",
        "units": "1",
        "flag_masks": np.array([int(f) for f in Flag], dtype=FLAG_DTYPE),
        "flag_meanings": " ".join(str(f.name).lower() for f in Flag),
    }


def variable_attrs(name: str) -> dict[str, Any]:
    """CF attributes of a variable of this package, with its grid mapping."""
    return flag_attrs() if name == "flag" else dict(VARIABLES[name].attrs())


def in_radar_geometry(ds: xr.Dataset | xr.DataArray) -> bool:
    """Whether x and y of `ds` are slant range and azimuth, not those of a map."""
    if GRID_MAPPING in ds.coords:
        return False
    named = (
        "x" in ds.coords and ds["x"].attrs.get("long_name") == RADAR_COORDINATES["x"]["long_name"]
    )
    return named or RADAR_GEOMETRY[0] in ds.attrs


def coordinate_attrs(ds: xr.Dataset | xr.DataArray) -> dict[str, dict[str, str]]:
    """CF attributes of the coordinates of `ds`, a map or the grid of a radar."""
    return COORDINATES | (RADAR_COORDINATES if in_radar_geometry(ds) else {})


def describe(ds: xr.Dataset) -> xr.Dataset:
    """Set units, names and grid mapping of every known variable and coordinate of `ds`.

    xarray carries attributes through arithmetic, so a velocity computed from a displacement
    arrives with metres. Each function that returns a Dataset passes it through here.
    """
    out = ds.copy()
    for name in map(str, out.data_vars):
        if name == "flag" or name in VARIABLES:
            out[name].attrs = variable_attrs(name)
        if GRID_MAPPING in out.coords and {"y", "x"} <= set(out[name].dims):
            out[name].attrs["grid_mapping"] = GRID_MAPPING
            out[name].encoding.pop("grid_mapping", None)
    for name, attrs in coordinate_attrs(ds).items():
        if name in out.coords:
            out[name].attrs = {**out[name].attrs, **attrs}
    out.attrs.setdefault("Conventions", CF_VERSION)
    return out


def validate(ds: xr.Dataset, *, needs: Iterable[str]) -> None:
    """Raise `MissingVariableError` where `ds` lacks a variable or coordinate that a step needs."""
    missing = [name for name in needs if name not in ds.variables]
    if not missing:
        return
    have = ", ".join(map(str, ds.data_vars)) or "none"
    hint = HOW_TO_GET.get(missing[0], "check that this is the Dataset you meant")
    raise MissingVariableError(f"the Dataset lacks {', '.join(missing)} (it has: {have}); {hint}.")


def interval_days(ds: xr.Dataset) -> float:
    """Days between the two acquisitions of a pair, from its time coordinates."""
    validate(ds, needs=("reference_time", "secondary_time"))
    delta = ds["secondary_time"].values - ds["reference_time"].values
    return float(delta / np.timedelta64(1, "ns")) / 86_400e9
