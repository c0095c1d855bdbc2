"""Removal of the topography-related offset: what relief and a baseline make of stereo parallax."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe, in_radar_geometry, validate
from glaciertoolkit.correction.deformation import subtract
from glaciertoolkit.correction.fit import fit_surface
from glaciertoolkit.correction.points import Points, require_computed, select_points
from glaciertoolkit.correction.relief import baseline_diagnostics, prepare
from glaciertoolkit.errors import InputError
from glaciertoolkit.provenance import recorded


@recorded
def remove_topography(
    ds: xr.Dataset, *, stable: Any, dem: Any = None, method: str | None = None
) -> xr.Dataset:
    """Remove what relief and a baseline make of stereo parallax.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets without the global deformation (see `remove_deformation`; `correct` fits both
        together, which is the sounder way where elevation and position are related).
    stable : xarray.DataArray of bool or True
        Non-glacial ground, from `stable_terrain`.
    dem : xarray.DataArray or path-like
        Elevation, any grid and CRS; it is averaged onto the posts. In radar geometry the height
        found by `locate` is used instead.
    method : {"geometric", "baseline", "elevation"}, optional
        "elevation", the default on a map, fits a displacement in proportion to elevation to the
        stable ground. In radar geometry "geometric", the default there, subtracts what the orbits
        predict, without a fit, and "baseline" fits the perpendicular baseline. See `correct`.

    Returns
    -------
    xarray.Dataset
        `dx`, `dy` without the offset; `dx_topography`, `dy_topography` (m), what was removed:
        zero at the mean elevation of the stable ground; `topography_coefficient` (m per m) and
        its error, or `baseline_perpendicular` (m) and its error; posts without elevation are NaN
        and flagged. In radar geometry also `dx_geometry`, `dy_geometry`, what the orbits make at
        that mean elevation, which is removed too.

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
    radar = in_radar_geometry(ds)
    if radar:
        validate(ds, needs=("height",))
    elif dem is None:
        raise InputError("removing the topography-related offset needs a DEM; give dem=.")
    out, relief = prepare(ds, dem, method or True, stable=ground)
    elevation = relief.elevation
    assert elevation is not None
    if not relief.optional:
        points = select_points(out, stable=ground, elevation=elevation)
        surface = fit_surface(
            points, out, order=None, elevation=elevation, relief=relief.terms, sine=relief.sine
        )
        if not surface.relief:
            return out.assign(correction_warnings=((), "\n".join(surface.messages)))
        # The constant belongs to the global deformation; here it only kept the slope unbiased.
        out = subtract(out, surface.only(surface.relief), elevation=elevation)
        out = flag_extrapolated(out, elevation, points)
        out = out.assign(baseline_diagnostics(relief, surface)[0])
    return describe(out.assign({str(elevation.name): elevation, "stable": ground}))


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
