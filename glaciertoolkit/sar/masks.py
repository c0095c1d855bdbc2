"""What a side-looking radar cannot tell apart, or cannot see: layover and shadow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.sar.geocoding import DemGrid, ground_to_image, image_to_ground
from glaciertoolkit.sar.geometry import RadarGeometry

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SEMI_MAJOR = 6_378_137.0
ECCENTRICITY2 = 0.00669437999014
ROWS = 64
"""Image lines, or rows of a DEM, that one thread takes at a time."""


class Masks(NamedTuple):
    """Where the ground is laid over, and where it lies in shadow. False where that is unknown."""

    layover: Mask
    shadow: Mask


@dataclass(frozen=True, eq=False)
class Visibility:
    """Layover and shadow of a scene, to be asked for on the ground or in the image.

    Parameters
    ----------
    geometry : RadarGeometry
    height : float
        Height (m) at which the points of the ground are laid out.
    line_step, sample_step : int
        Lines and samples from row to row and from column to column.
    slants : numpy.ndarray, (points,)
        Slant range that each point of the ground has at `height`, rising.
    ground : Masks, (rows, points)
        Of the points of the ground, by image line and ground range.
    image : Masks, (rows, columns)
        Of the pixels of the image.
    """

    geometry: RadarGeometry
    height: float
    line_step: int
    sample_step: int
    slants: Array
    ground: Masks
    image: Masks

    def at_ground(self, longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> Masks:
        """Whether points on the terrain are laid over, and whether they lie in shadow.

        Parameters
        ----------
        longitude, latitude : array_like
            Degrees, broadcast together.

        Returns
        -------
        Masks
            False beyond the scene.
        """
        line, sample = ground_to_image(self.geometry, longitude, latitude, self.height)
        points = np.arange(self.slants.size)
        column = np.interp(
            self.geometry.range_of(sample), self.slants, points, left=-9.0, right=-9.0
        )
        return _look_up(self.ground, np.asarray(line) / self.line_step, column)

    def in_image(self, line: npt.ArrayLike, sample: npt.ArrayLike) -> Masks:
        """Whether pixels hold ground that is laid over, and whether they hold nothing but shadow.

        Parameters
        ----------
        line, sample : array_like
            Pixel centres counted from 0, broadcast together.

        Returns
        -------
        Masks
            False beyond the image.
        """
        rows, columns = np.asarray(line) / self.line_step, np.asarray(sample) / self.sample_step
        return _look_up(self.image, *np.broadcast_arrays(rows, columns))

    def on_dem(self, dem: DemGrid) -> Masks:
        """The masks on the nodes of a DEM; False beyond the scene."""
        found = Masks(np.zeros(dem.height.shape, bool), np.zeros(dem.height.shape, bool))
        longitude = dem.west + dem.dlon * np.arange(dem.height.shape[1])
        for first in range(0, dem.height.shape[0], ROWS):
            rows = np.arange(first, min(first + ROWS, dem.height.shape[0]))
            part = self.at_ground(longitude[None, :], (dem.north + dem.dlat * rows)[:, None])
            known = np.isfinite(dem.height[rows])
            for mask, here in zip(found, part, strict=True):
                mask[rows] = here & known
        return found


def layover_shadow(
    geometry: RadarGeometry, dem: DemGrid, *, spacing: float | None = None
) -> Visibility:
    """Find layover and shadow in a radar image.

    Parameters
    ----------
    geometry : RadarGeometry
    dem : DemGrid
        Ellipsoidal heights. It should reach beyond the image by the relief over the tangent of the
        incidence angle, so that what lies over the image, or shades it, from outside is found.
    spacing : float, optional
        Metres on the ground from point to point and from line to line; that of the DEM by default.

    Returns
    -------
    Visibility
        Asked by `at_ground`, `in_image` and `on_dem`.

    Raises
    ------
    InputError
        If the DEM does not reach the scene.
    ParameterError
        If the spacing is not positive.

    Notes
    -----
    At the time of each line the ground is walked across the track away from the radar. Shadow is
    where the look angle is less than it was before; layover where the slant range is not more than
    that of any lit ground before, or not less than that of any lit ground behind (active and
    passive layover). Ground in shadow is seen nowhere, so it is not laid over, nor laid over other.

    References
    ----------
    Kropatsch and Strobl (1990), The generation of SAR layover and shadow maps from digital
    elevation models, IEEE Transactions on Geoscience and Remote Sensing 28:98-107.
    """
    if not np.isfinite(dem.height).any():
        raise InputError("the DEM holds no height; check its file and its nodata value.")
    spacing = dem_spacing(dem) if spacing is None else spacing
    if not spacing > 0:
        raise ParameterError(f"spacing must be positive; got {spacing!r} m.")
    low, high = dem.limits
    height = 0.5 * (low + high)
    slants, sine = _across(geometry, low, high, spacing)
    line_step = max(round(spacing / geometry.azimuth_spacing), 1)
    sample_step = max(round(spacing * sine / geometry.range_spacing), 1)
    rows = -(-geometry.lines // line_step)
    columns = -(-geometry.samples // sample_step)
    ground = Masks(*np.zeros((2, rows, slants.size), np.bool_))
    image = Masks(*np.zeros((2, rows, columns), np.bool_))
    times = geometry.time_of(np.arange(rows) * line_step)
    first, step = float(geometry.range_of(0)), sample_step * geometry.range_spacing
    seen = _walk(geometry, dem, times, slants, height, (first, step), ground, image)
    if not seen:
        raise InputError(
            "the DEM does not reach the scene; give one that covers the image and its surroundings."
        )
    return Visibility(geometry, height, line_step, sample_step, slants, ground, image)


def local_incidence(sight: npt.NDArray[Any], normal: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Angle between the line of sight and the normal of the surface, degrees.

    Parameters
    ----------
    sight : numpy.ndarray, (3, ...)
        From the radar to the ground, over east, north and up, as `geocoding.sensitivities`
        returns it.
    normal : numpy.ndarray, (3, ...)
        Upward normal over true east, north and up, of any length.

    Returns
    -------
    numpy.ndarray
        0 where the surface faces the radar, more than 90 where it is turned away.

    Examples
    --------
    >>> import numpy as np
    >>> float(local_incidence(np.array([0.6, 0.0, -0.8]), np.array([0.0, 0.0, 1.0])).round(2))
    36.87
    """
    cosine = sum(-sight[k] * normal[k] for k in range(3))
    length = np.sqrt(sum(normal[k] ** 2 for k in range(3)) * sum(sight[k] ** 2 for k in range(3)))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine / length, -1.0, 1.0))))


def surface_normals(dem: DemGrid, *, smoothing: float = 0.0) -> npt.NDArray[np.float32]:
    """Upward unit normals of a DEM over true east, north and up.

    Parameters
    ----------
    dem : DemGrid
        Ellipsoidal heights.
    smoothing : float
        Width (m) of the window over which the heights are averaged first; that of the template for
        the motion of an offset. It is met by a Gaussian of the same variance.

    Returns
    -------
    numpy.ndarray, (3, rows, columns)
        Single precision; NaN where a neighbour is missing.

    Notes
    -----
    Central differences over the metres of a degree on the ellipsoid.
    """
    height = dem.height
    latitude = dem.north + dem.dlat * np.arange(height.shape[0])
    north, east = metres_per_degree(latitude)
    if smoothing > 0:
        middle = height.shape[0] // 2
        widths = smoothing / abs(dem.dlat * north[middle]), smoothing / abs(dem.dlon * east[middle])
        height = _smoothed(height, tuple(float(w) / np.sqrt(12.0) for w in widths))
    down, across = np.gradient(height.astype(np.float32))
    found = np.empty((3, *height.shape), np.float32)
    found[0] = -across / (dem.dlon * east)[:, None]
    found[1] = -down / (dem.dlat * north)[:, None]
    found[2] = 1.0
    found /= np.sqrt((found * found).sum(axis=0))
    return found


def metres_per_degree(latitude: npt.ArrayLike) -> tuple[Array, Array]:
    """Metres of a degree of latitude and of a degree of longitude, on the ellipsoid."""
    phi = np.radians(np.asarray(latitude, np.float64))
    w = 1 - ECCENTRICITY2 * np.sin(phi) ** 2
    across = SEMI_MAJOR / np.sqrt(w)
    north = np.radians(across * (1 - ECCENTRICITY2) / w)
    return np.asarray(north), np.asarray(np.radians(across * np.cos(phi)))


def dem_spacing(dem: DemGrid) -> float:
    """The smaller of the two distances between nodes in the middle of a DEM, metres."""
    north, east = metres_per_degree(dem.north + dem.dlat * dem.height.shape[0] / 2)
    return float(min(abs(dem.dlat) * north, abs(dem.dlon) * east))


def _across(
    geometry: RadarGeometry, low: float, high: float, spacing: float
) -> tuple[Array, float]:
    """Slant ranges at mid height of points `spacing` metres apart; the sine of the incidence.

    They reach from the lowest ground in near range to the highest in far range, and towards the
    radar by as much as the highest ground there can shade.
    """
    middle, height = geometry.centre[0], 0.5 * (low + high)
    lon, lat = image_to_ground(geometry, middle, geometry.centre[1], height)
    phi = np.radians(lat)
    w = np.sqrt(1 - ECCENTRICITY2 * np.sin(phi) ** 2)
    radius = SEMI_MAJOR * np.hypot(np.cos(phi), (1 - ECCENTRICITY2) * np.sin(phi)) / w
    if not np.isfinite(lon):
        raise InputError(
            f"no ground at {height:.0f} m is seen in the middle of the image; the heights of the "
            "DEM or the ranges of the image are wrong."
        )
    orbit = float(np.linalg.norm(geometry.orbit.position(float(geometry.time_of(middle)))))

    def centre_angle(slant: float, h: float) -> float:
        b = radius + h
        cosine = (orbit**2 + b**2 - slant**2) / (2 * orbit * b)
        return float(np.arccos(np.clip(cosine, -1.0, 1.0)))

    near, far = (float(v) for v in geometry.range_of([0, geometry.samples - 1]))
    b = radius + height
    first, last = centre_angle(near, low), centre_angle(far, high)
    # tan(incidence) by which high ground shades low ground, at the far end of its shade.
    sine = orbit * np.sin(centre_angle(far, height)) / far
    first -= (high - low) * sine / np.sqrt(1 - sine * sine) / b
    # The Earth is no sphere: a little more on both sides.
    margin = 0.01 * (last - first) + 2 * spacing / b
    angles = np.arange(max(first - margin, 0.0), last + margin, spacing / b)
    slants = np.sqrt(orbit**2 + b**2 - 2 * orbit * b * np.cos(angles))
    return slants, float(
        orbit * np.sin(centre_angle(0.5 * (near + far), height)) * 2 / (near + far)
    )


def _walk(
    geometry: RadarGeometry, dem: DemGrid, times: Array, slants: Array, height: float,
    bins: tuple[float, float], ground: Masks, image: Masks,
) -> bool:  # fmt: skip
    """Fill the masks, one profile after another; whether any of the terrain was met."""
    from concurrent.futures import ThreadPoolExecutor

    from glaciertoolkit.sar import masks_kernels as kernels

    orbit = geometry.orbit
    z = np.ascontiguousarray(dem.height, np.float32)

    def some(first: int) -> bool:
        distance, look = np.empty((2, slants.size))
        lit, covered = np.empty((2, image.layover.shape[1] + 1), np.int32)
        met = False
        for row in range(first, min(first + ROWS, times.size)):
            kernels.profile(
                orbit.table, orbit.scale, geometry.doppler_table, geometry.wavelength,
                geometry.side, times[row], slants, height, z, dem.grid, distance, look,
            )  # fmt: skip
            kernels.hidden_and_folded(distance, look, ground.shadow[row], ground.layover[row])
            kernels.in_range(
                distance, ground.shadow[row], *bins, lit, covered, image.shadow[row],
                image.layover[row],
            )  # fmt: skip
            met = met or bool(np.isfinite(distance).any())
        return met

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return any(list(pool.map(some, range(0, times.size, ROWS))))


def _look_up(masks: Masks, row: npt.NDArray[Any], column: npt.NDArray[Any]) -> Masks:
    """The nearest entries; False beyond the masks."""
    rows, columns = masks.layover.shape
    inside = (row > -0.5) & (row < rows) & (column > -0.5) & (column < columns)
    i = np.where(inside, np.rint(np.where(inside, row, 0)), 0).astype(np.intp).clip(0, rows - 1)
    j = np.where(inside, np.rint(np.where(inside, column, 0)), 0).astype(np.intp)
    j = j.clip(0, columns - 1)
    return Masks(masks.layover[i, j] & inside, masks.shadow[i, j] & inside)


def _smoothed(height: npt.NDArray[Any], sigma: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Weighted mean of the heights that are there; missing ones stay missing."""
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(height)
    total = gaussian_filter(np.where(known, height, 0).astype(np.float32), sigma, mode="nearest")
    if not known.all():
        weight = gaussian_filter(known.astype(np.float32), sigma, mode="nearest")
        total = np.where(known, total / np.where(known, weight, 1), np.nan)
    return np.asarray(total, np.float32)
