"""Orbits of a simulated radar satellite: circles in inertial space, from the turning Earth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glaciertoolkit.errors import ParameterError

Float64 = NDArray[np.float64]

SEMI_MAJOR = 6_378_137.0
FLATTENING = 1 / 298.257223563
RADIUS = SEMI_MAJOR + 755_000.0
INCLINATION = np.radians(98.4)
EARTH_RATE = 7.292115e-5
MOTION = float(np.sqrt(3.986004418e14 / RADIUS**3))
"""Radians per second along the orbit."""

AROUND = 90
"""Seconds of state vectors before and after the scene."""

DIRECTIONS = ("descending", "ascending")


class StateVectors(NamedTuple):
    """UTC, positions (m) and velocities (m/s), (n, 3), Earth-centred and Earth-fixed."""

    times: NDArray[np.datetime64]
    positions: Float64
    velocities: Float64


def ecef(longitude: float, latitude: float, height: float) -> Float64:
    """Longitude and latitude (degrees) and ellipsoidal height as X, Y, Z (m)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    e2 = FLATTENING * (2 - FLATTENING)
    n = SEMI_MAJOR / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    across = (n + height) * np.cos(lat)
    return np.array(
        [across * np.cos(lon), across * np.sin(lon), (n * (1 - e2) + height) * np.sin(lat)]
    )


@dataclass(frozen=True)
class Passage:
    """One pass of the satellite; time 0 is when it is abeam of the middle of the scene.

    Parameters
    ----------
    argument, node : float
        Argument of latitude and longitude of the ascending node at time 0, radians.
    radial, cross, cross_rate : float
        Displacement from the circle: metres upwards and to the right of the flight, and the change
        of the latter (m/s), which makes two passes converge.
    """

    argument: float
    node: float
    radial: float = 0.0
    cross: float = 0.0
    cross_rate: float = 0.0

    def position(self, time: ArrayLike) -> Float64:
        """Position (m, Earth-fixed) at `time` (s), with a last axis of three."""
        t = np.asarray(time, float)
        place, speed = self._circle(t)
        up = place / np.linalg.norm(place, axis=-1, keepdims=True)
        right = np.cross(speed, place)
        right /= np.linalg.norm(right, axis=-1, keepdims=True)
        aside = self.cross + self.cross_rate * t[..., None]
        return np.asarray(place + self.radial * up + aside * right)

    def velocity(self, time: ArrayLike) -> Float64:
        """Velocity (m/s, Earth-fixed) at `time`."""
        t = np.asarray(time, float)
        step = 0.02
        # The displacement changes by less than a millimetre a second each second.
        bare = replace(self, radial=0.0, cross=0.0, cross_rate=0.0)
        moved = (
            self.position(t + step) - bare.position(t + step)
            - self.position(t - step) + bare.position(t - step)
        )  # fmt: skip
        return np.asarray(self._circle(t)[1] + moved / (2 * step))

    def state_vectors(self, middle: np.datetime64, duration: float) -> StateVectors:
        """State vectors at 1 Hz from `AROUND` s before to as long after a scene.

        `middle` (UTC) is time 0, `duration` that of the scene in seconds. As in real products the
        stamps lie a microsecond before the whole second.
        """
        whole = middle.astype("datetime64[s]")
        half = int(np.ceil(duration / 2)) + AROUND
        stamps = (whole + np.arange(-half, half + 1)).astype("datetime64[us]") - 1
        seconds = (stamps - middle.astype("datetime64[us]")).astype(float) / 1e6
        return StateVectors(
            stamps.astype("datetime64[ns]"), self.position(seconds), self.velocity(seconds)
        )

    def _circle(self, t: Float64) -> tuple[Float64, Float64]:
        u, turn = self.argument + MOTION * t, self.node - EARTH_RATE * t
        ci, si = np.cos(INCLINATION), np.sin(INCLINATION)
        along, across, up = np.cos(u), np.sin(u) * ci, np.sin(u) * si
        c, s = np.cos(turn), np.sin(turn)
        place = np.stack([c * along - s * across, s * along + c * across, up], axis=-1)
        d_along, d_across, d_up = -np.sin(u), np.cos(u) * ci, np.cos(u) * si
        speed = MOTION * np.stack(
            [c * d_along - s * d_across, s * d_along + c * d_across, d_up], axis=-1
        )
        speed[..., 0] += EARTH_RATE * place[..., 1]
        speed[..., 1] -= EARTH_RATE * place[..., 0]
        return RADIUS * place, RADIUS * speed


def passage_over(
    longitude: float, latitude: float, height: float, *, direction: str, look: str,
    incidence: float,
) -> Passage:  # fmt: skip
    """The pass that sees a point abeam, on the side `look`, at an incidence angle (degrees).

    Raises
    ------
    ParameterError
        No such pass: the point lies too far north or south.
    """
    from scipy.optimize import fsolve

    lat, lon = np.radians(latitude), np.radians(longitude)
    point = ecef(longitude, latitude, height)
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    side = 1.0 if look == "right" else -1.0

    def misfit(unknown: Float64) -> list[float]:
        place, speed = Passage(*unknown)._circle(np.asarray(0.0))
        sight = point - place
        distance = np.linalg.norm(sight)
        right = side * np.sign(sight @ np.cross(speed, place))
        angle = right * np.arccos(np.clip(-(sight @ up) / distance, -1, 1))
        return [float(sight @ speed / distance / 7.5e3), float(angle - np.radians(incidence))]

    sine = np.sin(lat) / np.sin(INCLINATION)
    argument = np.arcsin(np.clip(sine, -0.999, 0.999))
    east = -side
    if direction == "descending":
        argument, east = np.pi - argument, side
    # The satellite is some degrees to the side from which the point is seen.
    aside = east * np.radians(4.0) / np.cos(lat)
    below = np.arctan2(np.sin(argument) * np.cos(INCLINATION), np.cos(argument))
    found, _, state, _ = fsolve(misfit, [argument, lon + aside - below], xtol=1e-14, full_output=1)
    if np.abs(misfit(found)).max() > 1e-9:
        raise ParameterError(
            f"simulate_gf3: no {direction} pass looks {look} at latitude {latitude:.1f} with an "
            f"incidence angle of {incidence:g} degrees (solver state {state}); choose a place "
            "nearer to the equator."
        )
    return Passage(float(found[0]), float(found[1]))


def displaced(
    first: Passage, target: Float64, *, perpendicular: float, parallel: float, convergence: float
) -> Passage:
    """A pass beside another one.

    Parameters
    ----------
    first : Passage
    target : ndarray
        X, Y, Z of the middle of the scene (m), abeam of `first` at time 0.
    perpendicular, parallel : float
        Metres along the upward normal to the line of sight, and along it towards the target.
    convergence : float
        Angle between both tracks, radians.
    """
    place, speed = first.position(0.0), first.velocity(0.0)
    up = place / np.linalg.norm(place)
    right = np.cross(speed, place)
    right /= np.linalg.norm(right)
    sight = target - place
    sight /= np.linalg.norm(sight)
    down, out = float(sight @ up), float(sight @ right)
    normal = np.array([abs(out), -down * np.sign(out)])
    radial, cross = perpendicular * normal + parallel * np.array([down, out])
    return replace(
        first,
        radial=float(radial),
        cross=float(cross),
        cross_rate=convergence * float(np.linalg.norm(speed)),
    )
