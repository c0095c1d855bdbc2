"""Where the posts of a radar grid lie on the ground."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import Flag, describe, validate
from glaciertoolkit.grids import Grid
from glaciertoolkit.provenance import recorded
from glaciertoolkit.sar.geocoding import DemGrid, ground_to_image, image_to_ground, image_to_terrain
from glaciertoolkit.sar.geometry import RadarGeometry, geometries_of, geometry_of
from glaciertoolkit.sar.heights import Geoid, dem_grid, remembered
from glaciertoolkit.terrain.at_posts import box_mean

Array = npt.NDArray[np.float32]

ROWS = 128
"""Rows of posts that are worked on at once."""


@recorded
def locate(
    ds: xr.Dataset, *, dem: str | os.PathLike[str] | Grid, geoid: Geoid | None = None,
    mask: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Find where the posts of a radar grid lie on the ground.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets in radar geometry, from `track` on a pair of radar products.
    dem : path or xarray.DataArray
        Elevation, metres, any CRS and resolution.
    geoid : optional
        What the elevations are measured from; see `sar.heights.dem_grid`.
    mask : bool
        Make posts in layover and in radar shadow NaN, with their flags.

    Returns
    -------
    xarray.Dataset
        `ds` with the coordinates `longitude` and `latitude` (degrees) of each post's centre and
        the variable `height` (metres above the ellipsoid), the mean under its template. Posts
        beyond the DEM are NaN and flagged.

    Raises
    ------
    InputError
        `ds` is not in radar geometry.
    GridError
        The DEM does not cover the scene.

    Notes
    -----
    The circle of points at a post's time and slant range is followed until it meets the terrain.

    Examples
    --------
    >>> import tempfile, glaciertoolkit as gt
    >>> folder = tempfile.TemporaryDirectory()
    >>> files = gt.write_gf3_pair(gt.simulate_gf3(size=512, seed=3), folder.name)
    >>> dem = files["dem"]
    >>> pair = gt.open_pair(files["reference"], files["secondary"])
    >>> prior = gt.predict_offsets(pair, dem=dem)
    >>> offsets = gt.track(pair, template=64, search=8, step=16, prior=prior).compute()
    >>> offsets = gt.locate(offsets, dem=dem)
    >>> offsets.height.dims, offsets.longitude.attrs["units"]
    (('y', 'x'), 'degrees_east')
    >>> folder.cleanup()
    """
    geometry = geometry_of(ds)
    terrain = dem_grid(dem, geometry, geoid=geoid)
    line, sample = pixels_of(ds, geometry)
    shape = (line.size, sample.size)
    lon, lat, height = np.empty((3, *shape), np.float32)
    for first in range(0, shape[0], ROWS):
        part = slice(first, first + ROWS)
        lon[part], lat[part], height[part] = image_to_terrain(
            geometry, line[part, None], sample[None, :], terrain
        )
    out = ds.assign_coords(longitude=(("y", "x"), lon), latitude=(("y", "x"), lat))
    out = out.assign_attrs(remembered(geoid))
    mean = under_template(height, ds)
    out["height"] = (("y", "x"), np.where(np.isfinite(lon), mean, np.float32(np.nan)))
    if "flag" in out:
        out = _flagged(out, geometry, terrain, mask=mask)
    return describe(out)


def pixels_of(
    ds: xr.Dataset, geometry: RadarGeometry
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Line of each row of posts, and sample of each column."""
    return geometry.pixel_of(ds["y"].values, ds["x"].values)


def under_template(values: Array, ds: xr.Dataset) -> Array:
    """Mean over the template of each post of a field on the posts, what is missing left out."""
    template = np.atleast_1d(ds.attrs.get("template", 1))
    step = np.atleast_1d(ds.attrs.get("step", 1))
    return box_mean(values, tuple(int(t) / int(s) for t, s in zip(template, step, strict=True)))


def predicted(
    ds: xr.Dataset, height: npt.NDArray[Any] | float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Offsets of ground that does not move, as orbits and timing predict them.

    Parameters
    ----------
    ds : xarray.Dataset
        In radar geometry.
    height : array_like, (y, x), or float
        Metres above the ellipsoid of what each post shows.

    Returns
    -------
    dx, dy : numpy.ndarray
        Metres of slant range and azimuth in the pixels of the reference, as `track` measures them.
    """
    pair = geometries_of(ds)
    line, sample = pixels_of(ds, pair.reference)
    heights = np.broadcast_to(np.asarray(height, np.float32), (line.size, sample.size))
    dx, dy = np.empty((2, line.size, sample.size), np.float32)
    for first in range(0, line.size, ROWS):
        part = slice(first, first + ROWS)
        rows, columns = np.broadcast_arrays(line[part, None], sample[None, :])
        lon, lat = image_to_ground(pair.reference, rows, columns, heights[part])
        there = ground_to_image(pair.secondary, lon, lat, heights[part])
        dy[part] = (there[0] - rows) * pair.reference.azimuth_spacing
        dx[part] = (there[1] - columns) * pair.reference.range_spacing
    return dx, dy


def predict_offsets(
    pair: xr.Dataset, *, dem: str | os.PathLike[str] | Grid, geoid: Geoid | None = None,
    spacing: int = 32,
) -> xr.Dataset:  # fmt: skip
    """Offsets that both orbits and the terrain predict: where tracking should search.

    Parameters
    ----------
    pair : xarray.Dataset
        A pair in radar geometry, from `open_pair` on two radar products.
    dem : path or xarray.DataArray
        Elevation, metres.
    geoid : optional
        What the elevations are measured from; see `sar.heights.dem_grid`.
    spacing : int
        Pixels between the posts of the prediction.

    Returns
    -------
    xarray.Dataset
        `dx` (slant range) and `dy` (azimuth), metres, and `height` (metres above the ellipsoid) on
        a coarse grid; the `prior` of `track`.

    Raises
    ------
    InputError
        `pair` is not in radar geometry.
    GridError
        The DEM does not cover the scene.

    Examples
    --------
    >>> prior = predict_offsets(pair, dem="dem.tif")  # doctest: +SKIP
    >>> offsets = pair.glacier.track(prior=prior)  # doctest: +SKIP
    """
    validate(pair, needs=("reference", "secondary"))
    geometry = geometry_of(pair)
    terrain = dem_grid(dem, geometry, geoid=geoid)
    take = {k: slice(min(spacing, pair.sizes[k]) // 2, None, spacing) for k in ("y", "x")}
    out = xr.Dataset(coords={k: pair[k][take[k]] for k in ("y", "x")})
    out.attrs = {k: v for k, v in pair.attrs.items() if k.endswith("_geometry")}
    line, sample = pixels_of(out, geometry)
    height = np.asarray(image_to_terrain(geometry, line[:, None], sample[None, :], terrain)[2])
    # The prior is where to search, so that beyond the DEM a guess is better than nothing.
    height = np.where(np.isfinite(height), height, np.nanmedian(height))
    dx, dy = predicted(out, height)
    for name, values in (("dx", dx), ("dy", dy), ("height", height.astype(np.float32))):
        out[name] = (("y", "x"), values)
    return describe(out)


def _flagged(
    ds: xr.Dataset, geometry: RadarGeometry, terrain: DemGrid, *, mask: bool
) -> xr.Dataset:
    """Flags for posts without ground, in layover and in shadow."""
    from glaciertoolkit.sar.masks import layover_shadow

    line, sample = pixels_of(ds, geometry)
    seen = layover_shadow(geometry, terrain)
    bits = np.where(np.isnan(ds["height"].values), np.uint32(Flag.NO_DEM), np.uint32(0))
    for first in range(0, line.size, ROWS):
        part = slice(first, first + ROWS)
        layover, shadow = seen.in_image(line[part, None], sample[None, :])
        bits[part][layover] |= np.uint32(Flag.LAYOVER)
        bits[part][shadow] |= np.uint32(Flag.SHADOW)
    out = ds.copy()
    out["flag"] = ds["flag"] | xr.DataArray(bits, dims=("y", "x"))
    if mask:
        keep = xr.DataArray(bits == 0, dims=("y", "x"))
        for name in ("dx", "dy", "dx_error", "dy_error", "dxdy_covariance"):
            if name in out:
                out[name] = out[name].where(keep)
    return out
