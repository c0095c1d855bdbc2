"""Removal of the topography-related offset: what relief and a baseline make of stereo parallax."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe, in_radar_geometry, validate
from glaciertoolkit.correction.deformation import estimator_of
from glaciertoolkit.correction.fit import Wanted, fit_surface
from glaciertoolkit.correction.points import Points, require_computed, select_points
from glaciertoolkit.correction.relief import baseline_diagnostics, prepare
from glaciertoolkit.correction.subtract import subtract
from glaciertoolkit.correction.terms import ELEVATION, SLOPES
from glaciertoolkit.errors import InputError
from glaciertoolkit.provenance import recorded


@recorded
def remove_topography(
    ds: xr.Dataset, *, stable: Any, dem: Any = None, method: str | None = None,
    aspect: bool = False, loss: str = "tukey", weighted: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Remove what relief and a baseline make of stereo parallax.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets without the global deformation (see `remove_deformation`; `correct` fits both
        together, which is the sounder way where elevation and position are related).
    stable : xarray.DataArray of bool or True
        Non-glacial ground, from `stable_terrain`.
    dem : xarray.DataArray, path-like or xarray.Dataset
        Elevation, any grid and CRS; it is averaged onto the posts. A Dataset from
        `terrain_at_posts` on the same posts is used as it is. In radar geometry the height found
        by `locate` is used instead.
    method : {"geometric", "baseline", "elevation", "quadratic"}, optional
        "elevation", the default on a map, fits a displacement in proportion to elevation to the
        stable ground; "quadratic" adds its square. In radar geometry "geometric", the default
        there, subtracts what the orbits predict, without a fit, and "baseline" fits the
        perpendicular baseline. See `correct`.
    aspect : bool
        On a map, also fit a displacement in proportion to the tangent of the slope, by aspect: what
        a DEM leaves that does not lie where the images do.
    loss, weighted
        See `remove_deformation`.

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
    ``-B h / (R sin(theta))`` in slant range, a displacement in proportion to elevation. A DEM
    shifted horizontally leaves ``tan(slope) (a sin(aspect) + b cos(aspect))``.

    References
    ----------
    Nuth, C. and Kaeaeb, A. (2011), Co-registration and bias corrections of satellite elevation
    data sets for quantifying glacier thickness change, The Cryosphere 5.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> dx = 0.003 * (2000 + 800 * np.sin(x / 300) * np.cos(y / 250))
    >>> ds = xr.Dataset({"dx": (dims, dx), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> dem = (ds.dx / 0.003).rename("elevation")
    >>> out = remove_topography(ds, stable=True, dem=dem)
    >>> [round(float(k), 4) for k in out.topography_coefficient]
    [0.003, 0.0]
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
    estimator = estimator_of(ds, loss=loss, weighted=weighted)
    out, relief = prepare(ds, dem, method or True, stable=ground, aspect=aspect)
    elevation = relief.elevation
    assert elevation is not None
    if not relief.optional:
        points, targets = select_points(out, stable=ground, terrain=relief.terrain, errors=weighted)
        wanted = Wanted(None, relief.terms, relief.sine, estimator)
        surface = fit_surface(points, targets, out, wanted)
        if not surface.relief:
            return out.assign(correction_warnings=((), "\n".join(surface.messages)))
        # The constant belongs to the global deformation; here it only kept the slope unbiased.
        out = subtract(out, surface.only(surface.relief), terrain=relief.terrain)
        out = flag_extrapolated(out, elevation, points)
        out = out.assign(baseline_diagnostics(relief, surface)[0])
    return describe(out.assign({str(elevation.name): elevation, "stable": ground}))


def at_posts(ds: xr.Dataset, dem: Any, *, slopes: bool = False) -> dict[str, xr.DataArray]:
    """Mean elevation under each template, and its `SLOPES` if wanted, chunked like `ds`.

    Tracking measures the mean offset over the template, so its elevation is a mean too. What
    `terrain_at_posts` found on the same posts is taken as it is.
    """
    from glaciertoolkit.terrain.at_posts import elevation_at_posts, same_posts, terrain_at_posts

    known = isinstance(dem, xr.Dataset) and {ELEVATION, "slope", "aspect"} <= set(dem)
    if known:
        same_posts(dem, ds)
    if not slopes:
        found = {ELEVATION: dem[ELEVATION] if known else elevation_at_posts(ds, dem)}
    else:
        terrain = dem if known else terrain_at_posts(ds, dem)
        found = {ELEVATION: terrain[ELEVATION]}
        # Level ground faces nowhere.
        aspect = np.radians(terrain["aspect"].fillna(0.0))
        steepness = np.tan(np.radians(terrain["slope"]))
        for name, part in zip(SLOPES, (np.sin(aspect), np.cos(aspect)), strict=True):
            found[name] = xr.DataArray(steepness * part).astype(np.float32)
    chunks = ds["dx"].chunksizes
    return {name: value.chunk(chunks) if chunks else value for name, value in found.items()}


def flag_extrapolated(ds: xr.Dataset, elevation: xr.DataArray, points: Points) -> xr.Dataset:
    """Flag posts outside the 1st to 99th percentile of the stable ground's elevations."""
    low, high = (np.float32(v) for v in np.percentile(points.h, (1, 99)))
    outside = (elevation < low) | (elevation > high)
    flag = ds["flag"] | outside.astype(np.uint32) * np.uint32(Flag.EXTRAPOLATED)
    return ds.assign(flag=flag.assign_attrs(ds["flag"].attrs))
