"""Removal of the topography-related offset: what relief and a baseline make of stereo parallax."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe, validate
from glaciertoolkit.correction.deformation import subtract
from glaciertoolkit.correction.fit import fit_surface
from glaciertoolkit.correction.points import Points, require_computed, select_points
from glaciertoolkit.correction.surface import ELEVATION
from glaciertoolkit.errors import InputError
from glaciertoolkit.provenance import recorded


@recorded
def remove_topography(ds: xr.Dataset, *, stable: Any, dem: Any) -> xr.Dataset:
    """Fit the dependence of stable terrain's displacement on elevation and subtract it.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets without the global deformation (see `remove_deformation`; `correct` fits both
        together, which is the sounder way where elevation and position are related).
    stable : xarray.DataArray of bool or True
        Non-glacial ground, from `stable_terrain`.
    dem : xarray.DataArray or path-like
        Elevation, any grid and CRS; it is averaged onto the posts.

    Returns
    -------
    xarray.Dataset
        `dx`, `dy` without the offset; `dx_topography`, `dy_topography` (m), what was removed:
        zero at the mean elevation of the stable ground; `topography_coefficient` (m per m) and
        its error; posts without elevation are NaN and flagged.

    Raises
    ------
    InputError
        Without a DEM.
    StableTerrainError
        Without stable ground, or with too little of it.

    Notes
    -----
    Two passes seen from orbits a perpendicular baseline B apart shift a target at height h by
    ``-B h / (R sin(theta))`` in slant range, a displacement in proportion to elevation.
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy", "flag"))
    require_computed(ds)
    ground = as_stable(stable, ds)
    elevation = elevation_at_posts(ds, dem)
    if elevation is None:
        raise InputError("removing the topography-related offset needs a DEM; give dem=.")
    points = select_points(ds, stable=ground, elevation=elevation)
    surface = fit_surface(points, ds, order=None, elevation=elevation)
    if not surface.has_elevation:
        return ds.assign(correction_warnings=((), "\n".join(surface.messages)))
    # The constant belongs to the global deformation; here it only kept the slope unbiased.
    out = subtract(ds, surface.only((ELEVATION,)), elevation=elevation)
    out = flag_extrapolated(out, elevation, points)
    return describe(out.assign(elevation=elevation, stable=ground))


def elevation_at_posts(ds: xr.Dataset, dem: Any) -> xr.DataArray | None:
    """Mean elevation under each template, chunked like `ds`; None for None.

    Tracking measures the mean offset over the template, so its elevation is a mean too.
    """
    from glaciertoolkit.terrain import terrain_at_posts

    if dem is None:
        return None
    elevation = terrain_at_posts(ds, dem)["elevation"]
    chunks = ds["dx"].chunksizes
    return elevation.chunk(chunks) if chunks else elevation


def flag_extrapolated(ds: xr.Dataset, elevation: xr.DataArray, points: Points) -> xr.Dataset:
    """Flag posts outside the 1st to 99th percentile of the stable ground's elevations."""
    low, high = (np.float32(v) for v in np.percentile(points.h, (1, 99)))
    outside = (elevation < low) | (elevation > high)
    flag = ds["flag"] | outside.astype(np.uint32) * np.uint32(Flag.EXTRAPOLATED)
    return ds.assign(flag=flag.assign_attrs(ds["flag"].attrs))
