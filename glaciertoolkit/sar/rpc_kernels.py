"""Compiled loops of the rational functions: one point after another, in double precision."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from glaciertoolkit.sar.kernels import DEM_TOLERANCE, terrain

MOST_STEPS = 30
PIXEL_TOLERANCE = 1e-8
"""Pixels of misfit at which the search of the ground stops."""
FARTHEST = 20.0
"""Scales from the middle of the model, beyond which the search has gone astray."""

LINE, SAMPLE, LATITUDE, LONGITUDE, HEIGHT = range(5)
"""Rows of the table of offsets and scales."""


@njit(nogil=True, cache=True, inline="always")
def polynomial(c: Any, p: float, q: float, h: float) -> float:
    """Cubic over latitude `p`, longitude `q` and height `h`, terms in the order of RPC00B."""
    return float(
        c[0] + c[1] * q + c[2] * p + c[3] * h + c[4] * q * p + c[5] * q * h + c[6] * p * h
        + c[7] * q * q + c[8] * p * p + c[9] * h * h + c[10] * p * q * h + c[11] * q * q * q
        + c[12] * q * p * p + c[13] * q * h * h + c[14] * q * q * p + c[15] * p * p * p
        + c[16] * p * h * h + c[17] * q * q * h + c[18] * p * p * h + c[19] * h * h * h
    )  # fmt: skip


@njit(nogil=True, cache=True, inline="always")
def slope_p(c: Any, p: float, q: float, h: float) -> float:
    """Derivative of `polynomial` along latitude."""
    return float(
        c[2] + c[4] * q + c[6] * h + 2 * c[8] * p + c[10] * q * h + 2 * c[12] * q * p
        + c[14] * q * q + 3 * c[15] * p * p + c[16] * h * h + 2 * c[18] * p * h
    )  # fmt: skip


@njit(nogil=True, cache=True, inline="always")
def slope_q(c: Any, p: float, q: float, h: float) -> float:
    """Derivative of `polynomial` along longitude."""
    return float(
        c[1] + c[4] * p + c[5] * h + 2 * c[7] * q + c[10] * p * h + 3 * c[11] * q * q
        + c[12] * p * p + c[13] * h * h + 2 * c[14] * q * p + 2 * c[17] * q * h
    )  # fmt: skip


@njit(nogil=True, cache=True, inline="always")
def ratio(c: Any, k: int, p: float, q: float, h: float) -> tuple[float, float, float]:
    """Quotient of the polynomials `k` and `k + 1`, and its derivatives along `p` and `q`."""
    below = polynomial(c[k + 1], p, q, h)
    value = polynomial(c[k], p, q, h) / below
    return (
        value,
        (slope_p(c[k], p, q, h) - value * slope_p(c[k + 1], p, q, h)) / below,
        (slope_q(c[k], p, q, h) - value * slope_q(c[k + 1], p, q, h)) / below,
    )


@njit(nogil=True, cache=True)
def project(c: Any, frame: Any, lon: Any, lat: Any, h: Any, line: Any, sample: Any) -> None:
    """Line and sample of points given by longitude, latitude (degrees) and height.

    `c` holds the four polynomials (line, sample: numerator, denominator), `frame` an offset and a
    scale in each row.
    """
    for i in range(lon.shape[0]):
        # Seen across the date line, a longitude is a full turn away from the offset.
        east = lon[i] - frame[LONGITUDE, 0]
        east -= 360.0 * math.floor((east + 180.0) / 360.0)
        p = (lat[i] - frame[LATITUDE, 0]) / frame[LATITUDE, 1]
        q = east / frame[LONGITUDE, 1]
        k = (h[i] - frame[HEIGHT, 0]) / frame[HEIGHT, 1]
        down = polynomial(c[0], p, q, k) / polynomial(c[1], p, q, k)
        right = polynomial(c[2], p, q, k) / polynomial(c[3], p, q, k)
        line[i] = frame[LINE, 0] + frame[LINE, 1] * down
        sample[i] = frame[SAMPLE, 0] + frame[SAMPLE, 1] * right


@njit(nogil=True, cache=True)
def ground(
    c: Any, frame: Any, line: float, sample: float, h: float, p: float, q: float
) -> tuple[float, float]:
    """Normalised latitude and longitude of a pixel at a height, from a first guess; else NaN."""
    down = (line - frame[LINE, 0]) / frame[LINE, 1]
    right = (sample - frame[SAMPLE, 0]) / frame[SAMPLE, 1]
    k = (h - frame[HEIGHT, 0]) / frame[HEIGHT, 1]
    small = PIXEL_TOLERANCE / max(abs(frame[LINE, 1]), abs(frame[SAMPLE, 1]))
    for _ in range(MOST_STEPS):
        y, y_p, y_q = ratio(c, 0, p, q, k)
        x, x_p, x_q = ratio(c, 2, p, q, k)
        dy, dx = down - y, right - x
        if max(abs(dy), abs(dx)) <= small:
            return p, q
        size = y_p * x_q - y_q * x_p
        p += (dy * x_q - dx * y_q) / size
        q += (dx * y_p - dy * x_p) / size
        if not max(abs(p), abs(q)) < FARTHEST:
            break
    return math.nan, math.nan


@njit(nogil=True, cache=True, inline="always")
def in_degrees(frame: Any, p: float, q: float) -> tuple[float, float]:
    """Longitude (-180 to 180) and latitude from their normalised values."""
    lon = frame[LONGITUDE, 0] + frame[LONGITUDE, 1] * q
    lon -= 360.0 * math.floor((lon + 180.0) / 360.0)
    return lon, frame[LATITUDE, 0] + frame[LATITUDE, 1] * p


@njit(nogil=True, cache=True)
def locate(c: Any, frame: Any, line: Any, sample: Any, h: Any, lon: Any, lat: Any) -> None:
    """Longitude and latitude (degrees) of pixels at known heights."""
    for i in range(line.shape[0]):
        p, q = ground(c, frame, line[i], sample[i], h[i], 0.0, 0.0)
        lon[i], lat[i] = in_degrees(frame, p, q)


@njit(nogil=True, cache=True)
def locate_terrain(
    c: Any, frame: Any, z: Any, grid: Any, low: float, high: float,
    line: Any, sample: Any, lon: Any, lat: Any, h: Any,
) -> None:  # fmt: skip
    """Longitude, latitude (degrees) and height at which pixels meet a DEM."""
    for i in range(line.shape[0]):
        lon[i], lat[i], h[i] = on_terrain(c, frame, z, grid, low, high, line[i], sample[i])


@njit(nogil=True, cache=True)
def on_terrain(
    c: Any, frame: Any, z: Any, grid: Any, low: float, high: float, line: float, sample: float
) -> tuple[float, float, float]:
    """Where one pixel meets the terrain.

    The height above the terrain changes sign between the lowest and the highest ground; the
    Illinois method closes in on it. Taking the DEM's height where the last one led would run away
    on slopes that face the radar.
    """
    half = 0.5 * (high - low)
    p, q = ground(c, frame, line, sample, low, 0.0, 0.0)
    lon, lat = in_degrees(frame, p, q)
    # Beyond the DEM only the sign is known: no ground is below the lowest or above the highest.
    f = low - terrain(z, grid, lon, lat)
    a, fa = low, f if math.isfinite(f) else -half
    p, q = ground(c, frame, line, sample, high, p, q)
    lon, lat = in_degrees(frame, p, q)
    f = high - terrain(z, grid, lon, lat)
    b, fb = high, f if math.isfinite(f) else half
    for _ in range(60):
        h = (a * fb - b * fa) / (fb - fa) if fb != fa else a
        p, q = ground(c, frame, line, sample, h, p, q)
        lon, lat = in_degrees(frame, p, q)
        f = h - terrain(z, grid, lon, lat)
        if not math.isfinite(f):
            break
        if abs(f) < DEM_TOLERANCE or b - a < DEM_TOLERANCE:
            return lon, lat, h
        if f > 0:
            b, fb = h, f
            fa *= 0.5
        else:
            a, fa = h, f
            fb *= 0.5
    return math.nan, math.nan, math.nan
