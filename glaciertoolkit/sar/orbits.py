"""The path of the satellite: a polynomial through its state vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError

Array = npt.NDArray[np.float64]

DEGREE = 7
WINDOW = 60.0
"""Seconds of state vectors used on both sides of a scene."""

FEWEST = 4
POSITION_ERROR = 0.3
VELOCITY_ERROR = 0.1
"""Metres and metres per second, to weigh one against the other: positions are rounded to half a
metre; velocities are off by some millimetres per second for minutes, so that they only count where
the positions are sparse."""

LARGEST_MISFIT = 10.0
"""Metres of scatter about the polynomial above which the state vectors contradict each other."""

PLAUSIBLE_RADIUS = (6.5e6, 8.5e6)
"""Metres from the centre of the Earth of a satellite in low orbit."""


def in_nanoseconds(time: Any) -> np.datetime64:
    """`time` as a datetime64 in nanoseconds."""
    found: np.datetime64 = np.asarray(time, "datetime64[ns]")[()]  # type: ignore[assignment]
    return found


@dataclass(frozen=True)
class Orbit:
    """Position over time, Earth-centred and Earth-fixed (WGS84).

    Parameters
    ----------
    epoch : numpy.datetime64
        Time zero, UTC, in nanoseconds.
    scale : float
        Seconds; the polynomials take time over `scale`.
    coefficients : tuple of three tuples of float
        Ascending coefficients of X, Y and Z, metres.
    residual : float
        Root mean square of the positions' misfit, metres.
    span : tuple of float
        First and last state vector used, seconds after `epoch`.
    """

    epoch: np.datetime64
    scale: float
    coefficients: tuple[tuple[float, ...], ...]
    residual: float
    span: tuple[float, float]

    def __post_init__(self) -> None:
        # One unit, so that equal orbits compare and hash alike.
        object.__setattr__(self, "epoch", in_nanoseconds(self.epoch))

    @property
    def table(self) -> Array:
        """The coefficients as an array (3, degree + 1)."""
        return np.array(self.coefficients, dtype=np.float64)

    def position(self, time: npt.ArrayLike) -> Array:
        """Position at `time` (s after `epoch`), metres, with a last axis of three."""
        return self._derivative(time, 0)

    def velocity(self, time: npt.ArrayLike) -> Array:
        """Velocity at `time`, metres per second, with a last axis of three."""
        return self._derivative(time, 1)

    def acceleration(self, time: npt.ArrayLike) -> Array:
        """Acceleration at `time`, metres per second squared, with a last axis of three."""
        return self._derivative(time, 2)

    def _derivative(self, time: npt.ArrayLike, order: int) -> Array:
        from numpy.polynomial import polynomial

        u = np.asarray(time, np.float64) / self.scale
        table = polynomial.polyder(self.table.T, order, axis=0) / self.scale**order
        return np.asarray(np.moveaxis(polynomial.polyval(u, table), 0, -1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "epoch": str(self.epoch),
            "scale": self.scale,
            "coefficients": [list(c) for c in self.coefficients],
            "residual": self.residual,
            "span": list(self.span),
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Orbit:
        """What `to_dict` made."""
        return cls(
            epoch=np.datetime64(str(found["epoch"]), "ns"),
            scale=float(found["scale"]),
            coefficients=tuple(tuple(map(float, c)) for c in found["coefficients"]),
            residual=float(found["residual"]),
            span=(float(found["span"][0]), float(found["span"][1])),
        )


def fit_orbit(
    times: npt.NDArray[np.datetime64],
    positions: npt.ArrayLike,
    velocities: npt.ArrayLike,
    *,
    epoch: np.datetime64,
    duration: float = 0.0,
    degree: int = DEGREE,
    window: float = WINDOW,
) -> Orbit:
    """Fit an orbit to state vectors around a scene.

    Parameters
    ----------
    times : array of datetime64
        UTC, in any order.
    positions, velocities : array_like, (n, 3)
        Earth-centred and Earth-fixed, metres and metres per second.
    epoch : datetime64
        Time of the first line, which becomes time zero.
    duration : float
        Seconds from the first to the last line.
    degree : int
        Of the polynomials; lower where there are few state vectors.
    window : float
        Seconds of state vectors used before the first and after the last line.

    Returns
    -------
    Orbit

    Raises
    ------
    InputError
        Fewer than four state vectors, none around the scene, or vectors that contradict each
        other.

    Notes
    -----
    Weighted least squares of the positions and of the velocities, the derivative of the same
    polynomials.
    """
    order = np.argsort(np.asarray(times))
    seconds = (np.asarray(times, "datetime64[ns]")[order] - in_nanoseconds(epoch)).astype(
        np.float64
    ) / 1e9
    place = np.asarray(positions, np.float64)[order]
    speed = np.asarray(velocities, np.float64)[order]
    if seconds.size < FEWEST:
        raise InputError(
            f"there are {seconds.size} state vectors, at least {FEWEST} are needed; take the "
            f"product from its provider again."
        )
    if seconds[0] > 0 or seconds[-1] < duration:
        raise InputError(
            f"the state vectors run from {seconds[0]:.1f} s to {seconds[-1]:.1f} s after the first "
            f"line and do not cover the scene (0 to {duration:.1f} s); the product is incomplete, "
            "or its times are wrong."
        )
    radius = np.linalg.norm(place, axis=1)
    if not ((radius > PLAUSIBLE_RADIUS[0]) & (radius < PLAUSIBLE_RADIUS[1])).all():
        raise InputError(
            f"the state vectors lie {radius.min() / 1e3:.0f} to {radius.max() / 1e3:.0f} km from "
            "the centre of the Earth; a radar satellite flies at about 7130 km."
        )
    return _fit(seconds, place, speed, in_nanoseconds(epoch), duration, degree, window)


def _fit(
    seconds: Array, place: Array, speed: Array, epoch: np.datetime64, duration: float,
    degree: int, window: float,
) -> Orbit:  # fmt: skip
    """The polynomials through the state vectors within `window` seconds of the scene."""
    keep = (seconds >= -window) & (seconds <= duration + window)
    # Sparse vectors: some more on both sides, so that the polynomial is held there.
    first = max(int(np.searchsorted(seconds, 0.0, "right")) - FEWEST, 0)
    last = int(np.searchsorted(seconds, duration)) + FEWEST
    keep[first:last] = True
    seconds, place, speed = seconds[keep], place[keep], speed[keep]
    degree = min(degree, 2 * seconds.size - 3)
    scale = float(np.abs(seconds).max())
    u = seconds / scale
    powers = np.arange(degree + 1)
    value = u[:, None] ** powers
    slope = np.zeros_like(value)
    slope[:, 1:] = powers[1:] * u[:, None] ** (powers[1:] - 1) / scale
    design = np.concatenate([value / POSITION_ERROR, slope / VELOCITY_ERROR])
    seen = np.concatenate([place / POSITION_ERROR, speed / VELOCITY_ERROR])
    coefficients = np.linalg.lstsq(design, seen, rcond=None)[0]
    left = float(np.sqrt(((value @ coefficients - place) ** 2).sum(axis=1).mean()))
    if not left < LARGEST_MISFIT:
        raise InputError(
            f"the state vectors contradict each other: they scatter by {left:.3g} m about a smooth "
            "orbit; positions or velocities are damaged, or not Earth-fixed."
        )
    return Orbit(
        epoch=epoch,
        scale=scale,
        coefficients=tuple(tuple(map(float, c)) for c in coefficients.T),
        residual=left,
        span=(float(seconds[0]), float(seconds[-1])),
    )
