"""From the ground to the image and back: the range-Doppler equations, in both directions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.sar.geometry import RadarGeometry

Array = npt.NDArray[np.float64]

PART = 1 << 16
"""Points that one thread takes at a time."""


@dataclass(frozen=True)
class DemGrid:
    """Ellipsoidal heights (m) on longitudes and latitudes (degrees), for the search of the ground.

    Node (i, j) lies at longitude ``west + j * dlon`` and latitude ``north + i * dlat``; `dlat` is
    negative where rows run southwards. Missing heights are NaN.
    """

    height: npt.NDArray[np.float32]
    west: float
    dlon: float
    north: float
    dlat: float

    @property
    def grid(self) -> Array:
        """Origin and spacing for the kernels."""
        return np.array([self.west, self.dlon, self.north, self.dlat])

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest height, a metre beyond."""
        return float(np.nanmin(self.height)) - 1.0, float(np.nanmax(self.height)) + 1.0

    def sample(self, longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> Array:
        """Height at points, bilinear; NaN outside."""
        from scipy.ndimage import map_coordinates

        lon, lat = np.broadcast_arrays(np.asarray(longitude, float), np.asarray(latitude, float))
        rows = (lat - self.north) / self.dlat
        columns = (lon - self.west) / self.dlon
        # Bilinear interpolation beside the last row would ask for one more.
        found = map_coordinates(
            self.height, [rows.ravel(), columns.ravel()], np.float64, order=1, cval=np.nan
        )
        return np.asarray(found).reshape(lon.shape)


def ground_to_image(
    geometry: RadarGeometry, longitude: Any, latitude: Any, height: Any
) -> tuple[Any, Any]:
    """Where points on the ground are seen in a radar image.

    Parameters
    ----------
    geometry : RadarGeometry
    longitude, latitude : array_like or xarray.DataArray
        Degrees, WGS84.
    height : array_like or xarray.DataArray
        Metres above the ellipsoid (not above sea level), broadcast with the two.

    Returns
    -------
    line, sample : numpy.ndarray or xarray.DataArray
        Pixel centres counted from 0; beyond the image where the point lies beyond it; NaN where
        an input is. Lazy where the input is.

    Notes
    -----
    Newton's method on ``V(t) . (T - S(t)) = |T - S| |V| sin(squint)``, zero for an image in
    zero-Doppler geometry; then ``R = |T - S(t)|``.

    Examples
    --------
    >>> line, sample = ground_to_image(geometry, 87.1, 28.2, 5000.0)  # doctest: +SKIP
    """

    def find(lon: Array, lat: Array, h: Array) -> tuple[Array, Array]:
        from glaciertoolkit.sar import kernels

        seen = pointwise(kernels.backward, *_orbit(geometry), _middle(geometry), results=2)
        time, slant = seen(lon, lat, h)
        return geometry.line_of(time), geometry.sample_of(slant)

    first, second = apply(find, (longitude, latitude, height), 2)
    return first, second


def image_to_ground(
    geometry: RadarGeometry, line: Any, sample: Any, height: Any
) -> tuple[Any, Any]:
    """Where on the ground a pixel lies, if its height is known.

    Parameters
    ----------
    geometry : RadarGeometry
    line, sample : array_like or xarray.DataArray
        Pixel centres counted from 0; fractions and places beyond the image are allowed.
    height : array_like or xarray.DataArray
        Metres above the ellipsoid.

    Returns
    -------
    longitude, latitude : numpy.ndarray or xarray.DataArray
        Degrees, WGS84; NaN where the circle of this range does not reach the height.

    Notes
    -----
    The points at one zero-Doppler time and range form a circle across the track; the one at the
    wanted height, on the side to which the radar looks, is found by Newton's method.
    """

    def find(lines: Array, samples: Array, h: Array) -> tuple[Array, ...]:
        from glaciertoolkit.sar import kernels

        ground = pointwise(kernels.forward, *_orbit(geometry), geometry.side, results=2)
        return ground(geometry.time_of(lines), geometry.range_of(samples), h)

    first, second = apply(find, (line, sample, height), 2)
    return first, second


def image_to_terrain(
    geometry: RadarGeometry, line: Any, sample: Any, dem: DemGrid
) -> tuple[Any, Any, Any]:
    """Where on the terrain a pixel lies.

    Parameters
    ----------
    geometry : RadarGeometry
    line, sample : array_like or xarray.DataArray
        Pixel centres counted from 0.
    dem : DemGrid
        Heights above the ellipsoid.

    Returns
    -------
    longitude, latitude, height : numpy.ndarray or xarray.DataArray
        Degrees, WGS84, and metres above the ellipsoid; NaN beyond the DEM. In layover a pixel has
        several grounds, and one of them is returned.
    """
    low, high = dem.limits
    orbit = _orbit(geometry)

    def find(lines: Array, samples: Array) -> tuple[Array, Array, Array]:
        from glaciertoolkit.sar import kernels

        lon, lat, h = by_parts(
            lambda time, slant, *found: kernels.forward_terrain(
                *orbit, geometry.side, time, slant, dem.height, dem.grid, low, high, *found
            ),
            (geometry.time_of(lines), geometry.range_of(samples)),
            results=3,
        )
        return lon, lat, h

    longitude, latitude, height = apply(find, (line, sample), 3)
    return longitude, latitude, height


def sensitivities(
    geometry: RadarGeometry, longitude: npt.ArrayLike, latitude: npt.ArrayLike,
    height: npt.ArrayLike,
) -> tuple[Array, Array]:  # fmt: skip
    """What a small displacement on the ground does to slant range and azimuth.

    Parameters
    ----------
    geometry : RadarGeometry
    longitude, latitude, height : array_like
        Degrees, and metres above the ellipsoid; broadcast together.

    Returns
    -------
    sight, track : numpy.ndarray
        Arrays (3, ...) over east, north and up. ``sight . d`` is the change of slant range, metres:
        `sight` is the unit vector from the satellite to the target. ``track . d`` is the change of
        azimuth in the metres of the image's own axis (`azimuth_spacing` a line): its direction is
        that of flight.

    Notes
    -----
    From the derivative of ``V . (T - S) = 0``: ``dt = V . dT / (|V|^2 - A . (T - S))``.
    """
    from glaciertoolkit.sar import kernels

    lon, lat, h = np.broadcast_arrays(
        *(np.asarray(v, np.float64) for v in (longitude, latitude, height))
    )
    line, _ = ground_to_image(geometry, lon, lat, h)
    flat = [np.ascontiguousarray(v).ravel() for v in (geometry.time_of(line), lon, lat, h)]
    sight, track = np.empty((2, 3, lon.size))
    kernels.view(geometry.orbit.table, geometry.orbit.scale, *(*flat, sight, track))
    metres = geometry.azimuth_spacing / geometry.line_interval
    return sight.reshape(3, *lon.shape), track.reshape(3, *lon.shape) * metres


def _orbit(geometry: RadarGeometry) -> tuple[Array, float, Array, float]:
    orbit = geometry.orbit
    return orbit.table, orbit.scale, geometry.doppler_table, geometry.wavelength


def _middle(geometry: RadarGeometry) -> float:
    return float(geometry.time_of(geometry.centre[0]))


def apply(function: Callable[..., Any], given: tuple[Any, ...], results: int) -> Any:
    """`function` on arrays or DataArrays, block by block where they are lazy."""
    if not any(isinstance(v, xr.DataArray) for v in given):
        arrays = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in given))
        found = function(*arrays)
        return tuple(np.asarray(v)[()] for v in found)
    return xr.apply_ufunc(
        lambda *arrays: function(*np.broadcast_arrays(*(np.asarray(a, float) for a in arrays))),
        *given,
        output_core_dims=[[]] * results,
        dask="parallelized",
        output_dtypes=[np.float64] * results,
        keep_attrs=False,
    )


def pointwise(
    kernel: Callable[..., None], *fixed: Any, results: int
) -> Callable[..., tuple[Array, ...]]:
    """A function of arrays that runs `kernel`, whose first arguments are `fixed`, over them."""

    def over(*given: Array) -> tuple[Array, ...]:
        return tuple(by_parts(lambda *arrays: kernel(*fixed, *arrays), given, results=results))

    return over


def by_parts(kernel: Callable[..., None], given: tuple[Array, ...], *, results: int) -> list[Array]:
    """Run a kernel over flat arrays, in threads where they are long."""
    from concurrent.futures import ThreadPoolExecutor

    flat = [np.ascontiguousarray(v, np.float64).ravel() for v in given]
    size = flat[0].size
    out = [np.empty(size) for _ in range(results)]

    def part(first: int) -> None:
        here = slice(first, first + PART)
        kernel(*(v[here] for v in flat), *(v[here] for v in out))

    starts = range(0, size, PART)
    if size <= PART:
        part(0)
    else:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(part, starts))
    return [v.reshape(given[0].shape) for v in out]
