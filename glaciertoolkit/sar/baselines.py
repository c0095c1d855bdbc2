"""The distance between two passes, seen from the ground: baselines and what they do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.sar.geocoding import ground_to_image, sensitivities
from glaciertoolkit.sar.geometry import RadarGeometry

Array = npt.NDArray[np.float64]


class Baseline(NamedTuple):
    """Components of the vector from the first to the second pass, metres.

    `perpendicular` is positive where the second pass is displaced along the upward normal to the
    line of sight, `parallel` where it is displaced towards the target.
    """

    perpendicular: Array
    parallel: Array


def baseline(
    first: RadarGeometry, second: RadarGeometry, *, longitude: npt.ArrayLike,
    latitude: npt.ArrayLike, height: npt.ArrayLike,
) -> Baseline:  # fmt: skip
    """Perpendicular and parallel baseline of two passes over points on the ground.

    Parameters
    ----------
    first, second : RadarGeometry
    longitude, latitude, height : array_like
        Degrees, and metres above the ellipsoid; broadcast together.

    Returns
    -------
    Baseline
        Metres.

    Notes
    -----
    Each pass is taken at its own zero-Doppler time over the point. To first order the slant range
    of the second pass is shorter by the parallel baseline, and a target h higher at the same range
    shifts by ``-B_perp h / (R sin(incidence))``.
    """
    from glaciertoolkit.sar import kernels

    lon, lat, h = np.broadcast_arrays(
        *(np.asarray(v, np.float64) for v in (longitude, latitude, height))
    )
    times = [g.time_of(ground_to_image(g, lon, lat, h)[0]).ravel() for g in (first, second)]
    across, along = np.empty((2, lon.size))
    flat = [np.ascontiguousarray(v).ravel() for v in (lon, lat, h)]
    kernels.baseline(
        first.orbit.table, first.orbit.scale, times[0],
        second.orbit.table, second.orbit.scale, times[1], *(*flat, across, along),
    )  # fmt: skip
    return Baseline(across.reshape(lon.shape), along.reshape(lon.shape))


def incidence(
    geometry: RadarGeometry, longitude: npt.ArrayLike, latitude: npt.ArrayLike,
    height: npt.ArrayLike,
) -> Array:  # fmt: skip
    """Angle between the line of sight and the vertical at points on the ground, degrees."""
    sight, _ = sensitivities(geometry, longitude, latitude, height)
    return np.asarray(np.degrees(np.arccos(np.clip(-sight[2], -1.0, 1.0))))


def heading(
    geometry: RadarGeometry, longitude: npt.ArrayLike, latitude: npt.ArrayLike,
    height: npt.ArrayLike,
) -> Array:  # fmt: skip
    """Direction of flight over points on the ground, degrees clockwise from true north."""
    _, track = sensitivities(geometry, longitude, latitude, height)
    return np.asarray(np.degrees(np.arctan2(track[0], track[1])) % 360.0)


def height_of_ambiguity(
    perpendicular: npt.ArrayLike, *, slant_range: npt.ArrayLike, incidence: npt.ArrayLike,
    wavelength: float,
) -> Array:  # fmt: skip
    """Height that shifts the second image by half a wavelength of slant range, metres.

    Parameters
    ----------
    perpendicular : array_like
        Perpendicular baseline, metres.
    slant_range : array_like
        Metres.
    incidence : array_like
        Degrees.
    wavelength : float
        Metres.

    Notes
    -----
    ``h_a = wavelength R sin(incidence) / (2 B_perp)``.

    Examples
    --------
    >>> float(height_of_ambiguity(1056.0, slant_range=920e3, incidence=34.0,
    ...                           wavelength=0.0555).round(1))
    13.5
    """
    sine = np.sin(np.radians(incidence))
    return np.asarray(
        wavelength * np.asarray(slant_range) * sine / (2 * np.asarray(perpendicular, float))
    )
