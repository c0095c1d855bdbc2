"""From what the radar measures to what the ground did: range and azimuth to east, north and up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.sar import batches

if TYPE_CHECKING:
    from pyproj import Proj

Array = npt.NDArray[Any]
Mode = Literal["surface_parallel", "flat"]
Covariance = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
"""Variance of dx, covariance of dx and dy, variance of dy (m2)."""

MODES = ("surface_parallel", "flat")
SINGULAR = 1.0
"""Degrees to the surface within which the direction that the radar does not see is held to lie in
it."""

LARGEST_CONDITION = 50.0
"""Ratio of the best to the worst seen direction above which a combination is not trusted."""


class Ground(NamedTuple):
    """Displacement on the ground, metres.

    `east` and `north` are true, not grid, directions. `covariance` holds the variance of east, the
    covariance and the variance of north (m2), or None where no errors were given. `singular` is
    True where the geometry does not resolve the motion, which is NaN there.
    """

    east: Array
    north: Array
    up: Array
    covariance: Array | None
    singular: npt.NDArray[np.bool_]


class Observation(NamedTuple):
    """What one pair of images says about a displacement.

    `dx` and `dy` are metres of slant range and of azimuth, NaN where missing; `dy` is None for a
    pair of which only the range is used. `covariance` as in `Covariance`; None stands for an
    error of a metre in each.
    """

    dx: npt.ArrayLike
    dy: npt.ArrayLike | None
    sight: Array
    track: Array
    covariance: Covariance | None = None


class Combined(NamedTuple):
    """Displacement (m) from several geometries.

    `covariance` holds east-east, east-north, north-north, east-up, north-up and up-up (m2).
    `condition` is the ratio of the best to the worst seen direction; infinite where fewer
    independent components were measured than there are unknowns.
    """

    east: Array
    north: Array
    up: Array
    covariance: Array
    condition: Array


def solve_displacement(
    dx: npt.ArrayLike, dy: npt.ArrayLike, sight: Array, track: Array, *,
    normal: Array | None = None, mode: Mode = "surface_parallel",
    covariance: Covariance | None = None, normal_error: float = 0.0, blind: float = SINGULAR,
) -> Ground:  # fmt: skip
    """Displacement on the ground from its slant-range and azimuth components.

    A radar sees two components of a motion that has three; the third is assumed: the motion runs
    parallel to the surface, or it is horizontal.

    Parameters
    ----------
    dx, dy : array_like
        Metres of slant range (positive away from the radar) and of azimuth (positive along
        flight), broadcast together.
    sight, track : numpy.ndarray, (3, ...)
        Sensitivities over east, north and up, as `geocoding.sensitivities` returns them.
    normal : numpy.ndarray, (3, ...), optional
        Upward normal of the surface over true east, north and up, of any length. Smooth the DEM
        to the size of the template first. Needed for ``mode="surface_parallel"``.
    mode : {"surface_parallel", "flat"}
    covariance : tuple of three array_like, optional
        Variance of dx, covariance, variance of dy (m2).
    normal_error : float
        Standard deviation of the direction of the normal, degrees; adds to `covariance`.
    blind : float
        Degrees to the surface within which the direction that the radar does not see is held to
        lie in it.

    Returns
    -------
    Ground
        East, north and up in metres, in single precision where both `dx` and `dy` are. NaN where
        an input is, and where the direction that the radar does not see (across sight and track)
        lies within `blind` degrees of the surface.

    Raises
    ------
    ParameterError
        An unknown mode, or no normal where one is needed.

    Notes
    -----
    With the rows sight, track and normal in ``M``, ``M d = (dx, dy, 0)``; ``flat`` takes the
    vertical as the normal, which gives ``dx / sin(incidence)`` in ground range for a level track.

    On a slope `flat` is wrong: of the distance along a surface that falls by `slope` away from the
    radar it makes ``sin(incidence + slope) / sin(incidence)``: 1.43 at 35 degrees of incidence and
    20 of slope, and 0.45 where the surface rises by as much (of its horizontal part, which is what
    a velocity map holds, ``1 / cos(slope)`` more).

    References
    ----------
    Lei, Gardner and Agram (2021), Autonomous Repeat Image Feature Tracking (autoRIFT) and its
    application for tracking ice displacement, Remote Sensing 13:749.

    Examples
    --------
    >>> import numpy as np
    >>> sight = np.array([0.6, 0.0, -0.8])  # looking east, 37 degrees off the vertical
    >>> track = np.array([0.0, 1.0, 0.0])
    >>> found = solve_displacement(3.0, 1.0, sight, track, mode="flat")
    >>> [round(float(v), 6) for v in (found.east, found.north, found.up)]
    [5.0, 1.0, 0.0]
    """
    from glaciertoolkit.sar import los_kernels

    if mode not in MODES:
        raise ParameterError(f"mode must be 'surface_parallel' or 'flat'; got {mode!r}.")
    if mode == "surface_parallel" and normal is None:
        raise ParameterError(
            "mode='surface_parallel' needs the normals of the surface; give a DEM, or take "
            "mode='flat' where the ground is level."
        )
    if mode == "flat" or normal is None:
        normal = np.array([0.0, 0.0, 1.0])
    x, y = np.asarray(dx), np.asarray(dy)
    measured = (x, y, *(covariance or ()))
    shape = batches.common_shape(measured, (sight, track, normal))
    points = [batches.spread(v, shape) for v in measured]
    vectors = [batches.spread(v, shape, vector=True) for v in (sight, track, normal)]
    ground = np.empty((3, *points[0].shape), batches.precision(x, y))
    errors = None if covariance is None else np.empty_like(ground)
    singular = np.empty(points[0].shape, np.bool_)
    least, tilt = float(np.sin(np.radians(blind))), float(np.radians(normal_error))
    for part in batches.parts(singular.shape):
        here = singular[part].shape
        rho, azimuth, *noise = (batches.points(v, part) for v in points)
        found, lost = np.empty((3, rho.size)), np.empty(rho.size, np.bool_)
        variance = np.array(noise) if noise else np.empty((3, 0))
        spread = np.empty_like(variance)
        away, along, upward = (batches.vectors(v, part) for v in vectors)
        los_kernels.on_plane(
            rho, azimuth, away, along, upward, variance, tilt, least, found, spread, lost
        )
        singular[part] = lost.reshape(here)
        ground[(slice(None), *part)] = found.reshape(3, *here)
        if errors is not None:
            errors[(slice(None), *part)] = spread.reshape(3, *here)
    east, north, up = (v.reshape(shape) for v in ground)
    joint = None if errors is None else errors.reshape(3, *shape)
    return Ground(east, north, up, joint, singular.reshape(shape))


def combine_geometries(
    observations: Sequence[Observation], *, normal: Array | None = None,
    largest_condition: float = LARGEST_CONDITION,
) -> Combined:  # fmt: skip
    """Displacement from several geometries: ascending and descending, right- and left-looking.

    Parameters
    ----------
    observations : sequence of Observation
        On the same points and over the same time, or scaled to it. Components may be missing.
    normal : numpy.ndarray, (3, ...), optional
        Upward normal of the surface; where given, the motion is held parallel to it and two
        components suffice (the ranges of an ascending and of a descending pair, say).
    largest_condition : float
        The result is NaN where the best seen direction is better than the worst by more than this.

    Returns
    -------
    Combined
        NaN where fewer than three independent components are measured (two with `normal`).

    Raises
    ------
    InputError
        Without observations.

    Notes
    -----
    Weighted least squares with the inverse of each covariance as its weight:
    ``(A' W A) d = A' W m``; the covariance of d is ``(A' W A)^-1``. Motion along a surface is
    solved in two unknowns within the plane.

    References
    ----------
    Wright, Parsons and Lu (2004), Toward mapping surface deformation in three dimensions using
    InSAR, Geophysical Research Letters 31:L01607.

    Examples
    --------
    >>> import numpy as np
    >>> north = np.array([0.0, 1.0, 0.0])
    >>> seen = [
    ...     Observation(-1.0, 2.0, np.array([0.6, 0.0, -0.8]), north),  # looking east
    ...     Observation(-7.0, -2.0, np.array([-0.6, 0.0, -0.8]), -north),  # looking west
    ... ]
    >>> found = combine_geometries(seen)
    >>> [round(float(v), 6) for v in (found.east, found.north, found.up)]
    [5.0, 2.0, 5.0]
    """
    from glaciertoolkit.sar import los_kernels

    if not observations:
        raise InputError("there is nothing to combine; give the observation of one pair at least.")
    planes = () if normal is None else (normal,)
    given = [_observed(v) for v in observations]
    directions = [(v.sight, v.track) for v in observations]
    shape = batches.common_shape(
        [v for one in given for v in one], [v for both in directions for v in both] + [*planes]
    )
    points = [[batches.spread(v, shape) for v in one] for one in given]
    vectors = [[batches.spread(v, shape, vector=True) for v in both] for both in directions]
    surface = [batches.spread(v, shape, vector=True) for v in planes]
    across = points[0][0].shape
    dtype = batches.precision(*(v for one in given for v in one[:2]))
    ground, errors = np.empty((3, *across), dtype), np.empty((6, *across), dtype)
    condition = np.empty(across, np.float32)
    for part in batches.parts(across):
        here = condition[part].shape
        size = condition[part].size
        matrix, right = np.zeros((6, size)), np.zeros((3, size))
        for measured, both in zip(points, vectors, strict=True):
            rho, azimuth, *noise = (batches.points(v, part) for v in measured)
            away, along = (batches.vectors(v, part) for v in both)
            los_kernels.accumulate(rho, azimuth, away, along, np.array(noise), matrix, right)
        results = np.empty((3, size)), np.empty((6, size)), np.empty(size)
        if surface:
            plane = batches.vectors(surface[0], part)
            los_kernels.along_surface(matrix, right, plane, largest_condition, *results)
        else:
            los_kernels.in_space(matrix, right, largest_condition, *results)
        ground[(slice(None), *part)] = results[0].reshape(3, *here)
        errors[(slice(None), *part)] = results[1].reshape(6, *here)
        condition[part] = results[2].reshape(here)
    east, north, up = (v.reshape(shape) for v in ground)
    return Combined(east, north, up, errors.reshape(6, *shape), condition.reshape(shape))


def rotate_to_grid(
    east: npt.ArrayLike, north: npt.ArrayLike, convergence: npt.ArrayLike
) -> tuple[Any, Any]:
    """Components along a grid from components along true east and north.

    Parameters
    ----------
    east, north : array_like
        Metres.
    convergence : array_like
        Degrees from `grid_convergence`: positive where grid north lies clockwise of true north
        (east of the central meridian on the northern hemisphere).

    Returns
    -------
    x, y : numpy.ndarray
        Metres of true ground along the axes of the grid.

    Notes
    -----
    ``x = east cos(c) - north sin(c)``, ``y = east sin(c) + north cos(c)``. The scale of the
    projection (0.9996 to 1.001 in UTM, far below the error of any offset) is left out on purpose:
    lengths and speeds are those on the ground, not those on the map.

    Examples
    --------
    >>> x, y = rotate_to_grid(0.0, 10.0, 90.0)  # grid north lies in the true east
    >>> round(float(x), 6), round(float(y), 6)
    (-10.0, 0.0)
    """
    angle = np.radians(np.asarray(convergence))
    c, s = np.cos(angle), np.sin(angle)
    e, n = np.asarray(east), np.asarray(north)
    return (e * c - n * s).astype(e.dtype), (e * s + n * c).astype(n.dtype)


def rotate_covariance(covariance: Array, convergence: npt.ArrayLike) -> Array:
    """Covariance along a grid from covariance along true east and north.

    Parameters
    ----------
    covariance : numpy.ndarray, (3, ...)
        Variance of east, covariance, variance of north, as `solve_displacement` returns them.
    convergence : array_like
        Degrees, as in `rotate_to_grid`.

    Returns
    -------
    numpy.ndarray, (3, ...)
        Variance of x, covariance, variance of y.
    """
    angle = np.radians(np.asarray(convergence))
    c, s = np.cos(angle), np.sin(angle)
    ee, en, nn = covariance[:3]
    x = ee * c * c - 2 * en * c * s + nn * s * s
    y = ee * s * s + 2 * en * c * s + nn * c * c
    return np.stack([x, (ee - nn) * c * s + en * (c * c - s * s), y]).astype(covariance.dtype)


def grid_convergence(crs: Any, longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> Array:
    """Angle from true north to the north of a grid, degrees clockwise.

    Parameters
    ----------
    crs : pyproj.CRS or what makes one
        Projected.
    longitude, latitude : array_like
        Degrees, WGS84.

    Returns
    -------
    numpy.ndarray
        Degrees; ``(longitude - central meridian) sin(latitude)`` to first order in UTM.

    Raises
    ------
    GridError
        If the CRS is not projected.

    Notes
    -----
    In a projection that does not keep angles (equal-area, equidistant) the true east is not
    square to the true north on the map; the angle is that of the north.
    """
    return _factors(crs, longitude, latitude, "meridian_convergence")


def grid_scale(crs: Any, longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> Array:
    """Metres of the grid per metre on the ground: the square root of the scale of areas.

    Parameters
    ----------
    crs, longitude, latitude
        As in `grid_convergence`.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    GridError
        If the CRS is not projected.
    """
    return np.asarray(np.sqrt(_factors(crs, longitude, latitude, "areal_scale")))


def _factors(crs: Any, longitude: npt.ArrayLike, latitude: npt.ArrayLike, name: str) -> Array:
    lon, lat = np.broadcast_arrays(np.asarray(longitude, float), np.asarray(latitude, float))
    found = np.full(lon.size, np.nan)
    inside = np.isfinite(lon + lat).ravel()
    factors = _projection(crs).get_factors(lon.ravel()[inside], lat.ravel()[inside])
    found[inside] = getattr(factors, name)
    return found.reshape(lon.shape)


def _projection(crs: Any) -> Proj:
    from pyproj import CRS, Proj

    system = CRS.from_user_input(crs)
    if not system.is_projected:
        raise GridError(
            f"the CRS '{system.name}' is not projected, its axes are not metres; choose a "
            "projected one, such as the UTM zone of the scene."
        )
    return Proj(system)


def _observed(given: Observation) -> tuple[Array, ...]:
    """dx, dy and the three entries of their covariance, as arrays."""
    dx = np.asarray(given.dx)
    dy = np.asarray(np.nan, dx.dtype) if given.dy is None else np.asarray(given.dy)
    noise = (1.0, 0.0, 1.0) if given.covariance is None else given.covariance
    return dx, dy, *(np.asarray(v) for v in noise)
