"""Slope, aspect and hillshade of an elevation model, lazy where it is lazy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, variable_attrs
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.grids import grid_spacing, post_transform

Array = npt.NDArray[np.float32]


def slope(dem: xr.DataArray) -> xr.DataArray:
    """Angle between the surface and the horizontal.

    Parameters
    ----------
    dem : xarray.DataArray
        Elevation, m, dimensions (y, x), coordinates in metres; y rising or falling. NumPy or
        Dask; the result is what the input is.

    Returns
    -------
    xarray.DataArray
        float32, degrees. NaN along the outer edge and next to missing elevations.

    Raises
    ------
    GridError
        Coordinates missing, uneven, or in degrees; other dimensions than (y, x).

    Notes
    -----
    ``atan(sqrt(zx^2 + zy^2))`` with the gradient of Horn: differences over three by three
    posts, weighted 1-2-1.

    References
    ----------
    Horn, B. K. P. (1981), Hill shading and the reflectance map, Proceedings of the IEEE 69.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 10.0 * np.arange(5)
    >>> dem = xr.DataArray(np.tile(x, (5, 1)), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> round(float(slope(dem)[2, 2]), 4)
    45.0
    """
    return derived(dem, _slope, "slope", variable_attrs("slope"))


def aspect(dem: xr.DataArray) -> xr.DataArray:
    """Direction of steepest descent, clockwise from grid north.

    Parameters
    ----------
    dem : xarray.DataArray
        As for `slope`.

    Returns
    -------
    xarray.DataArray
        float32, degrees from 0 up to 360: 90 where the ground falls towards larger x. NaN where
        it is level, along the outer edge and next to missing elevations.

    Raises
    ------
    GridError
        As for `slope`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 10.0 * np.arange(5)
    >>> dem = xr.DataArray(np.tile(-x, (5, 1)), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> float(aspect(dem)[2, 2])
    90.0
    """
    return derived(dem, _aspect, "aspect", variable_attrs("aspect"))


def hillshade(dem: xr.DataArray, *, azimuth: float = 315.0, altitude: float = 45.0) -> xr.DataArray:
    """How bright the ground looks under a distant light.

    Parameters
    ----------
    dem : xarray.DataArray
        As for `slope`.
    azimuth : float
        Direction the light comes from, degrees clockwise from grid north.
    altitude : float
        Height of the light above the horizon, degrees, 0 to 90.

    Returns
    -------
    xarray.DataArray
        float32, 0 (turned away from the light) to 1 (facing it): the cosine of the angle between
        the light and the surface normal.

    Raises
    ------
    GridError
        As for `slope`.
    ParameterError
        `altitude` is not between 0 and 90.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 10.0 * np.arange(5)
    >>> dem = xr.DataArray(np.tile(-x, (5, 1)), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> round(float(hillshade(dem, azimuth=90, altitude=45)[2, 2]), 6)
    1.0
    """
    if not 0 <= altitude <= 90:
        raise ParameterError(f"altitude must lie between 0 and 90 degrees; got {altitude!r}.")
    towards, up = np.radians(azimuth), np.radians(altitude)
    light = (
        float(np.cos(up) * np.sin(towards)),
        float(np.cos(up) * np.cos(towards)),
        float(np.sin(up)),
    )
    attrs = {"units": "1", "long_name": "hillshade"}
    return derived(dem, functools.partial(_shade, light=light), "hillshade", attrs)


def horn(z: Array, dx: float, dy: float) -> tuple[Array, Array]:
    """Gradient of `z` along x and y, for the signed spacings `dx`, `dy`; NaN along the edge."""
    zx, zy = (np.full(z.shape, np.nan, np.float32) for _ in range(2))
    if min(z.shape) < 3:
        return zx, zy
    right = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
    left = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    zx[1:-1, 1:-1] = (right - left) / np.float32(8 * dx)
    below = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
    above = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    zy[1:-1, 1:-1] = (below - above) / np.float32(8 * dy)
    # The middle post has no weight of its own, but where it is missing nothing is known.
    missing = np.isnan(z)
    zx[missing] = np.nan
    zy[missing] = np.nan
    return zx, zy


def slope_of(zx: Array, zy: Array) -> Array:
    """Slope in degrees from the gradient."""
    return np.degrees(np.arctan(np.hypot(zx, zy))).astype(np.float32)


def aspect_of(zx: Array, zy: Array) -> Array:
    """Direction of steepest descent, degrees clockwise from grid north, from the gradient."""
    angle = np.degrees(np.arctan2(-zx, -zy)).astype(np.float32) % np.float32(360)
    # A tiny negative angle rounds up to a full turn.
    angle[angle >= 360] = 0
    angle[(zx == 0) & (zy == 0)] = np.nan
    return angle


def _slope(z: Array, *, dx: float, dy: float) -> Array:
    return slope_of(*horn(z, dx, dy))


def _aspect(z: Array, *, dx: float, dy: float) -> Array:
    return aspect_of(*horn(z, dx, dy))


def _shade(z: Array, *, dx: float, dy: float, light: tuple[float, float, float]) -> Array:
    zx, zy = horn(z, dx, dy)
    east, north, up = (np.float32(v) for v in light)
    shade = (up - east * zx - north * zy) / np.sqrt(1 + zx * zx + zy * zy)
    return np.maximum(shade, np.float32(0))


def derived(
    dem: xr.DataArray,
    kernel: Callable[..., Array],
    name: str,
    attrs: dict[str, Any],
    *,
    depth: int = 1,
) -> xr.DataArray:
    """`kernel` over the elevations, chunk by chunk with an overlap of `depth` where lazy."""
    if set(dem.dims) != {"y", "x"}:
        raise GridError(
            f"the DEM must have the dimensions (y, x); it has {tuple(map(str, dem.dims))}."
        )
    grid_spacing(dem)
    transform = post_transform(dem)
    dem = dem.transpose("y", "x").astype(np.float32)
    run = functools.partial(kernel, dx=transform.a, dy=transform.e)
    if dem.chunks is None:
        data = run(dem.values)
    else:
        empty = np.empty((0, 0), np.float32)
        data = dem.data.map_overlap(run, depth=depth, boundary="none", dtype=np.float32, meta=empty)
    out = dem.copy(data=data).rename(name)
    mapping = {"grid_mapping": GRID_MAPPING} if GRID_MAPPING in dem.coords else {}
    out.attrs = {**attrs, **mapping}
    out.encoding = {}
    return out
