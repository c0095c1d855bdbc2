"""Radar geometries over the Himalaya with a known orbit: the truth that the tests of `sar` share.

The orbit is a circle in inertial space, seen from the turning Earth; nothing here uses the
package but for `fit_orbit` and `RadarGeometry`, so that both sides of a test are independent.
"""

from __future__ import annotations

import numpy as np

from glaciertoolkit.sar.geometry import RadarGeometry
from glaciertoolkit.sar.orbits import fit_orbit

RADIUS = 6_378_137.0 + 755_000.0
INCLINATION = np.radians(98.4)
EARTH_RATE = 7.2921150e-5
MOTION = np.sqrt(3.986004418e14 / RADIUS**3)
PRF = 2508.504
RANGE_RATE = 66.667e6
WAVELENGTH = 0.0555
START = np.datetime64("2019-09-03T00:12:31.250000", "ns")
CASES = [(d, look) for d in ("ascending", "descending") for look in ("right", "left")]


def ecef(longitude, latitude, height):
    """Longitude, latitude (degrees) and ellipsoidal height as X, Y, Z on the last axis."""
    lon, lat, h = np.broadcast_arrays(np.radians(longitude), np.radians(latitude), height)
    e2 = 1 / 298.257223563 * (2 - 1 / 298.257223563)
    n = 6_378_137.0 / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    return np.stack(
        [
            (n + h) * np.cos(lat) * np.cos(lon),
            (n + h) * np.cos(lat) * np.sin(lon),
            (n * (1 - e2) + h) * np.sin(lat),
        ],
        axis=-1,
    )


def enu(longitude, latitude):
    """Unit vectors east, north and up (rows) at a point, Earth-fixed."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.array(
        [
            [-np.sin(lon), np.cos(lon), 0.0],
            [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
            [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
        ]
    )


def circle(time, argument, node):
    """Earth-fixed position and velocity on the circular orbit `time` seconds after its passage."""
    t = np.asarray(time, float)[..., None]
    u, turn = argument + MOTION * t, node - EARTH_RATE * t
    along = np.cos(u)
    across = np.sin(u) * np.cos(INCLINATION)
    up = np.sin(u) * np.sin(INCLINATION)
    d_along, d_across, d_up = (
        MOTION * np.array(v, dtype=object)
        for v in (-np.sin(u), np.cos(u) * np.cos(INCLINATION), np.cos(u) * np.sin(INCLINATION))
    )
    c, s = np.cos(turn), np.sin(turn)
    place = np.concatenate([c * along - s * across, s * along + c * across, up], axis=-1)
    speed = np.concatenate(
        [
            c * d_along - s * d_across + EARTH_RATE * place[..., 1:2],
            s * d_along + c * d_across - EARTH_RATE * place[..., 0:1],
            d_up,
        ],
        axis=-1,
    )
    return RADIUS * place.astype(float), RADIUS * speed.astype(float)


def passage(direction, look, target, incidence):
    """Argument of latitude and node of the orbit that sees `target` (lon, lat, h) abeam."""
    from scipy.optimize import fsolve

    lon, lat, h = target
    point, up = ecef(lon, lat, h), enu(lon, lat)[2]
    side = 1.0 if look == "right" else -1.0

    def misfit(unknown):
        place, speed = circle(0.0, *unknown)
        sight = point - place
        distance = np.linalg.norm(sight)
        right = np.cross(speed, place)
        cosine = -(sight @ up) / distance
        angle = np.degrees(np.arccos(cosine)) * np.sign(sight @ right) * side
        return [sight @ speed / (distance * np.linalg.norm(speed)) * 1e2, angle - incidence]

    argument = np.arcsin(np.sin(np.radians(lat)) / np.sin(INCLINATION))
    if direction == "descending":
        argument = np.pi - argument
    # About five degrees of longitude to the side from which the target is seen.
    east = -side if direction == "ascending" else side
    under = np.arctan2(np.sin(argument) * np.cos(INCLINATION), np.cos(argument))
    guess = [argument, np.radians(lon + 5.0 * east) - under]
    found, _, state, message = fsolve(misfit, guess, xtol=1e-13, full_output=True)
    if state != 1 and np.abs(misfit(found)).max() > 1e-8:
        raise RuntimeError(message)
    return found


def displaced(time, argument, node, perpendicular, parallel, target):
    """Position of a pass beside the circle: constant radial and cross-track displacement.

    At time 0 the displacement is `perpendicular` along the upward normal to the line of sight and
    `parallel` along it, towards the target.
    """

    def frame(t):
        place, speed = circle(t, argument, node)
        up = place / np.linalg.norm(place, axis=-1, keepdims=True)
        right = np.cross(speed, place)
        return place, up, right / np.linalg.norm(right, axis=-1, keepdims=True)

    place, up, right = frame(0.0)
    sight = ecef(*target) - place
    sight /= np.linalg.norm(sight)
    # Within the plane of `up` and `right`, which the line of sight at time 0 lies in.
    down, out = sight @ up, sight @ right
    normal = np.array([abs(out), -down * np.sign(out)])
    radial, cross = perpendicular * normal + parallel * np.array([down, out])
    place, up, right = frame(time)
    return place + radial * up + cross * right


def state_vectors(
    direction="descending", look="right", *, incidence=37.0, target=(86.9, 28.0, 4500.0),
    baseline=0.0, parallel=0.0, before=60, after=60, rounding=0.5,
):  # fmt: skip
    """Seconds about the passage of the target, positions and velocities at 1 Hz, as delivered."""
    argument, node = passage(direction, look, target, incidence)
    seconds = np.arange(-before, after + 1.0) + 0.137999

    def place(t):
        return displaced(t, argument, node, baseline, parallel, target)

    positions = place(seconds)
    velocities = (place(seconds + 0.05) - place(seconds - 0.05)) / 0.1
    if rounding:
        positions = np.round(positions / rounding) * rounding
        velocities = np.round(velocities, 3)
    return seconds, positions, velocities


def radar_geometry(
    direction="descending", look="right", *, incidence=37.0, lines=4000, samples=3000,
    longitude=86.9, latitude=28.0, height=4500.0, baseline=0.0, parallel=0.0, delay=0.0,
    timing=0.0, near=0.0, rounding=0.5, doppler=(),
):  # fmt: skip
    """Geometry of an FSI-like image whose middle lies at `longitude`, `latitude` and `height`.

    Parameters
    ----------
    direction : {"descending", "ascending"}
    look : {"right", "left"}
    incidence : float
        Degrees, at the middle.
    lines, samples : int
    longitude, latitude, height : float
        Degrees, and metres above the ellipsoid.
    baseline, parallel : float
        Displacement of the orbit (m) from that of the default call: along the upward normal to
        the line of sight, and along the line of sight towards the target. The image keeps the
        timing and the ranges of the undisplaced orbit, as the second image of a pair does.
    delay : float
        Days by which everything is later.
    timing, near : float
        Seconds and metres by which the first line and the first sample are later and farther.
    rounding : float
        Metres to which positions are rounded (velocities to mm/s); 0 for exact state vectors.
    doppler : tuple of float
        As in `RadarGeometry`.
    """
    target = (longitude, latitude, height)
    seconds, positions, velocities = state_vectors(
        direction, look, incidence=incidence, target=target, baseline=baseline, parallel=parallel,
        rounding=rounding,
    )  # fmt: skip
    interval = 1 / PRF
    duration = (lines - 1) * interval
    start = START + np.timedelta64(round(delay * 86_400e9), "ns")
    # The passage of the target, time 0 of the state vectors, is the middle of the image.
    stamps = start + np.round((seconds + duration / 2) * 1e9).astype("timedelta64[ns]")
    orbit = fit_orbit(stamps, positions, velocities, epoch=start, duration=duration)
    place, speed = circle(0.0, *passage(direction, look, target, incidence))
    spacing = 299_792_458.0 / (2 * RANGE_RATE)
    middle = np.linalg.norm(ecef(*target) - place)
    # The speed of the point below the satellite, as the products give it.
    ground = np.linalg.norm(speed) * np.linalg.norm(ecef(*target)) / RADIUS
    return RadarGeometry(
        orbit=orbit,
        first_line=timing,
        line_interval=interval,
        near_range=middle - (samples - 1) / 2 * spacing + near,
        range_spacing=spacing,
        azimuth_spacing=ground * interval,
        lines=lines,
        samples=samples,
        look=look,
        wavelength=WAVELENGTH,
        doppler=tuple(doppler),
    )
