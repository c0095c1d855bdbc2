"""Compiled loops of the radar geometry: one point after another, in double precision."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

A = 6378137.0
F = 1 / 298.257223563
B = A * (1 - F)
E2 = F * (2 - F)
EP2 = E2 / (1 - E2)

MOST_STEPS = 30
TIME_TOLERANCE = 1e-11
"""Seconds: 0.1 micrometres along track."""
HEIGHT_TOLERANCE = 1e-6
"""Metres."""
DEM_TOLERANCE = 1e-3
"""Metres between the height of a point and the terrain below it."""


@njit(nogil=True, cache=True, inline="always")
def to_ecef(lon: float, lat: float, h: float) -> tuple[float, float, float]:
    """Longitude and latitude (radians) and ellipsoidal height as X, Y, Z (m)."""
    s, c = math.sin(lat), math.cos(lat)
    n = A / math.sqrt(1 - E2 * s * s)
    return (n + h) * c * math.cos(lon), (n + h) * c * math.sin(lon), (n * (1 - E2) + h) * s


@njit(nogil=True, cache=True, inline="always")
def to_geodetic(x: float, y: float, z: float) -> tuple[float, float, float]:
    """X, Y, Z (m) as longitude, latitude (radians) and ellipsoidal height; Bowring, twice."""
    p = math.sqrt(x * x + y * y)
    beta = math.atan2(z * A, p * B)
    lat = 0.0
    for _ in range(2):
        s, c = math.sin(beta), math.cos(beta)
        lat = math.atan2(z + EP2 * B * s * s * s, p - E2 * A * c * c * c)
        beta = math.atan2((1 - F) * math.sin(lat), math.cos(lat))
    s, c = math.sin(lat), math.cos(lat)
    h = p * c + z * s - A * math.sqrt(1 - E2 * s * s)
    return math.atan2(y, x), lat, h


@njit(nogil=True, cache=True, inline="always")
def orbit_state(
    table: Any, scale: float, t: float
) -> tuple[float, float, float, float, float, float, float, float, float]:
    """Position, velocity and acceleration at `t` by Horner's rule."""
    u = t / scale
    n = table.shape[1]
    x = y = z = vx = vy = vz = ax = ay = az = 0.0
    for k in range(n - 1, -1, -1):
        ax = ax * u + vx
        ay = ay * u + vy
        az = az * u + vz
        vx = vx * u + x
        vy = vy * u + y
        vz = vz * u + z
        x = x * u + table[0, k]
        y = y * u + table[1, k]
        z = z * u + table[2, k]
    a = 2 / (scale * scale)
    return x, y, z, vx / scale, vy / scale, vz / scale, ax * a, ay * a, az * a


@njit(nogil=True, cache=True, inline="always")
def sine_of_squint(doppler: Any, wavelength: float, slant: float, speed: float) -> float:
    """Sine of the angle between the line of sight and the plane across the track."""
    f = 0.0
    for k in range(doppler.shape[0] - 1, 0, -1):
        f = f * (slant - doppler[0]) + doppler[k]
    return 0.5 * wavelength * f / speed


@njit(nogil=True, cache=True)
def seen_at(
    table: Any, scale: float, doppler: Any, wavelength: float, start: float,
    x: float, y: float, z: float,
) -> tuple[float, float]:  # fmt: skip
    """Time (s) and slant range (m) at which X, Y, Z is seen; NaN where Newton does not settle.

    ``doppler`` holds the reference range and the ascending coefficients (Hz) of the Doppler
    centroid; a single entry stands for zero Doppler.
    """
    t = start
    for _ in range(MOST_STEPS):
        sx, sy, sz, vx, vy, vz, ax, ay, az = orbit_state(table, scale, t)
        dx, dy, dz = x - sx, y - sy, z - sz
        speed2 = vx * vx + vy * vy + vz * vz
        f = dx * vx + dy * vy + dz * vz
        if doppler.shape[0] > 1:
            slant = math.sqrt(dx * dx + dy * dy + dz * dz)
            f -= (
                slant
                * math.sqrt(speed2)
                * sine_of_squint(doppler, wavelength, slant, math.sqrt(speed2))
            )
        slope = dx * ax + dy * ay + dz * az - speed2
        step = f / slope
        t -= step
        if abs(step) < TIME_TOLERANCE:
            sx, sy, sz, vx, vy, vz, ax, ay, az = orbit_state(table, scale, t)
            dx, dy, dz = x - sx, y - sy, z - sz
            return t, math.sqrt(dx * dx + dy * dy + dz * dz)
        if not abs(t) < 1e4:
            break
    return math.nan, math.nan


@njit(nogil=True, cache=True)
def backward(
    table: Any, scale: float, doppler: Any, wavelength: float, start: float,
    lon: Any, lat: Any, h: Any, time: Any, slant: Any,
) -> None:  # fmt: skip
    """Time and slant range of points given by longitude, latitude (degrees) and height."""
    for i in range(lon.shape[0]):
        x, y, z = to_ecef(math.radians(lon[i]), math.radians(lat[i]), h[i])
        if not math.isfinite(x + y + z):
            time[i] = slant[i] = math.nan
            continue
        # Always from the same first guess, so that a point does not depend on its neighbours.
        time[i], slant[i] = seen_at(table, scale, doppler, wavelength, start, x, y, z)


@njit(nogil=True, cache=True, inline="always")
def circle(
    table: Any, scale: float, doppler: Any, wavelength: float, side: float, t: float, slant: float
) -> tuple[
    float, float, float, float, float, float, float, float, float, float, float, float
]:  # fmt: skip
    """Points at `slant` from the satellite: centre, then the vectors down, and across (to `side`).

    A point is ``centre + cos(angle) down + sin(angle) across``.
    """
    sx, sy, sz, vx, vy, vz, _, _, _ = orbit_state(table, scale, t)
    speed = math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx / speed, vy / speed, vz / speed
    squint = 0.0
    if doppler.shape[0] > 1:
        squint = sine_of_squint(doppler, wavelength, slant, speed)
    # Down: towards the centre of the Earth, across the track.
    along = sx * vx + sy * vy + sz * vz
    dx, dy, dz = along * vx - sx, along * vy - sy, along * vz - sz
    size = math.sqrt(dx * dx + dy * dy + dz * dz)
    radius = slant * math.sqrt(1 - squint * squint)
    dx, dy, dz = dx / size, dy / size, dz / size
    # Right of the track is down x velocity.
    cx = side * (dy * vz - dz * vy)
    cy = side * (dz * vx - dx * vz)
    cz = side * (dx * vy - dy * vx)
    a = slant * squint
    return (
        sx + a * vx, sy + a * vy, sz + a * vz,
        radius * dx, radius * dy, radius * dz,
        radius * cx, radius * cy, radius * cz,
        vx, vy, vz,
    )  # fmt: skip


@njit(nogil=True, cache=True)
def at_height(ring: Any, h: float, angle: float) -> tuple[float, float, float, float]:
    """Look angle, longitude, latitude (radians) and height of the point of a circle at `h`."""
    ox, oy, oz, dx, dy, dz, cx, cy, cz, _, _, _ = ring
    lon = lat = height = math.nan
    for _ in range(MOST_STEPS):
        c, s = math.cos(angle), math.sin(angle)
        x, y, z = ox + c * dx + s * cx, oy + c * dy + s * cy, oz + c * dz + s * cz
        lon, lat, height = to_geodetic(x, y, z)
        if abs(height - h) < HEIGHT_TOLERANCE:
            return angle, lon, lat, height
        ux, uy, uz = math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
        rise = (c * cx - s * dx) * ux + (c * cy - s * dy) * uy + (c * cz - s * dz) * uz
        if not rise > 0:
            break
        step = (h - height) / rise
        # Close to the nadir the circle is flat: no more than a tenth of a radian at once.
        angle += max(-0.1, min(0.1, step))
    return math.nan, math.nan, math.nan, math.nan


@njit(nogil=True, cache=True, inline="always")
def first_angle(ring: Any, slant: float) -> float:
    """Look angle of the sphere with the Earth's mean radius: a first guess."""
    sx, sy, sz = ring[0], ring[1], ring[2]
    orbit = math.sqrt(sx * sx + sy * sy + sz * sz)
    cosine = (orbit * orbit + slant * slant - 6.371e6**2) / (2 * orbit * slant)
    return math.acos(max(-1.0, min(1.0, cosine)))


@njit(nogil=True, cache=True)
def forward(
    table: Any, scale: float, doppler: Any, wavelength: float, side: float,
    time: Any, slant: Any, h: Any, lon: Any, lat: Any,
) -> None:  # fmt: skip
    """Longitude and latitude (degrees) of what is seen at a time and range, at height `h`."""
    for i in range(time.shape[0]):
        lon[i] = lat[i] = math.nan
        if not math.isfinite(time[i] + slant[i] + h[i]):
            continue
        ring = circle(table, scale, doppler, wavelength, side, time[i], slant[i])
        _, east, north, _ = at_height(ring, h[i], first_angle(ring, slant[i]))
        lon[i], lat[i] = math.degrees(east), math.degrees(north)


@njit(nogil=True, cache=True, inline="always")
def terrain(z: Any, grid: Any, lon: float, lat: float) -> float:
    """Height of a DEM at a point (degrees), bilinear; NaN outside.

    `grid` holds the first longitude, its spacing, the first latitude and its spacing.
    """
    column = (lon - grid[0]) / grid[1]
    row = (lat - grid[2]) / grid[3]
    if not (0 <= column <= z.shape[1] - 1 and 0 <= row <= z.shape[0] - 1):
        return math.nan
    j = min(int(column), z.shape[1] - 2)
    i = min(int(row), z.shape[0] - 2)
    a, b = column - j, row - i
    top = z[i, j] * (1 - a) + z[i, j + 1] * a
    bottom = z[i + 1, j] * (1 - a) + z[i + 1, j + 1] * a
    return float(top * (1 - b) + bottom * b)


@njit(nogil=True, cache=True, inline="always")
def above(ring: Any, angle: float, z: Any, grid: Any) -> tuple[float, float, float, float]:
    """Longitude, latitude (degrees) and height of a point of a circle, and height over the DEM."""
    c, s = math.cos(angle), math.sin(angle)
    lon, lat, h = to_geodetic(
        ring[0] + c * ring[3] + s * ring[6],
        ring[1] + c * ring[4] + s * ring[7],
        ring[2] + c * ring[5] + s * ring[8],
    )
    lon, lat = math.degrees(lon), math.degrees(lat)
    return lon, lat, h, h - terrain(z, grid, lon, lat)


@njit(nogil=True, cache=True)
def on_terrain(ring: Any, slant: float, z: Any, grid: Any, low: float, high: float) -> Any:
    """Longitude, latitude (degrees) and height where a circle meets the terrain.

    The height above the terrain changes sign between the lowest and the highest ground; the
    Illinois method closes in on it. In layover that is one of several crossings.
    """
    a, lon, lat, _ = at_height(ring, low, first_angle(ring, slant))
    b, _, _, _ = at_height(ring, high, a)
    lon, lat, h, fa = above(ring, a, z, grid)
    _, _, _, fb = above(ring, b, z, grid)
    # Beyond the DEM only the sign is known: no ground is below the lowest or above the highest.
    fa = fa if math.isfinite(fa) else 0.5 * (low - high)
    fb = fb if math.isfinite(fb) else 0.5 * (high - low)
    if not math.isfinite(a + b):
        return math.nan, math.nan, math.nan
    side = 0
    for _ in range(60):
        angle = (a * fb - b * fa) / (fb - fa) if fb != fa else a
        lon, lat, h, f = above(ring, angle, z, grid)
        if not math.isfinite(f):
            return math.nan, math.nan, math.nan
        if abs(f) < DEM_TOLERANCE:
            break
        # The end that stays twice counts half, or the method would creep towards it.
        if f > 0:
            b, fb = angle, f
            fa = 0.5 * fa if side == 1 else fa
            side = 1
        else:
            a, fa = angle, f
            fb = 0.5 * fb if side == -1 else fb
            side = -1
    return lon, lat, h


@njit(nogil=True, cache=True)
def forward_terrain(
    table: Any, scale: float, doppler: Any, wavelength: float, side: float,
    time: Any, slant: Any, z: Any, grid: Any, low: float, high: float,
    lon: Any, lat: Any, h: Any,
) -> None:  # fmt: skip
    """Longitude, latitude (degrees) and height of what is seen at a time and range, on a DEM."""
    for i in range(time.shape[0]):
        lon[i] = lat[i] = h[i] = math.nan
        if math.isfinite(time[i] + slant[i]):
            ring = circle(table, scale, doppler, wavelength, side, time[i], slant[i])
            lon[i], lat[i], h[i] = on_terrain(ring, slant[i], z, grid, low, high)


@njit(nogil=True, cache=True)
def view(
    table: Any, scale: float, time: Any, lon: Any, lat: Any, h: Any, sight: Any, track: Any
) -> None:
    """Sensitivities of range and time to a displacement, in local east, north and up.

    ``sight[:, i]`` is the unit vector from the satellite to the target: metres of slant range per
    metre. ``track[:, i]`` is seconds of zero-Doppler time per metre.
    """
    for i in range(time.shape[0]):
        east, north = math.radians(lon[i]), math.radians(lat[i])
        x, y, z = to_ecef(east, north, h[i])
        sx, sy, sz, vx, vy, vz, ax, ay, az = orbit_state(table, scale, time[i])
        dx, dy, dz = x - sx, y - sy, z - sz
        slant = math.sqrt(dx * dx + dy * dy + dz * dz)
        rate = vx * vx + vy * vy + vz * vz - (dx * ax + dy * ay + dz * az)
        sl, cl, sp, cp = math.sin(east), math.cos(east), math.sin(north), math.cos(north)
        for out, ux, uy, uz, size in (
            (sight, dx, dy, dz, slant), (track, vx, vy, vz, rate)
        ):  # fmt: skip
            out[0, i] = (-sl * ux + cl * uy) / size
            out[1, i] = (-sp * cl * ux - sp * sl * uy + cp * uz) / size
            out[2, i] = (cp * cl * ux + cp * sl * uy + sp * uz) / size


@njit(nogil=True, cache=True)
def baseline(
    table1: Any, scale1: float, time1: Any, table2: Any, scale2: float, time2: Any,
    lon: Any, lat: Any, h: Any, across: Any, along: Any,
) -> None:  # fmt: skip
    """Perpendicular and parallel baseline (m) of two passes over points.

    Perpendicular is positive where the second pass is displaced along the upward normal to the
    line of sight, parallel where it is displaced along the line of sight (towards the target).
    """
    for i in range(time1.shape[0]):
        x, y, z = to_ecef(math.radians(lon[i]), math.radians(lat[i]), h[i])
        sx, sy, sz, vx, vy, vz, _, _, _ = orbit_state(table1, scale1, time1[i])
        qx, qy, qz, _, _, _, _, _, _ = orbit_state(table2, scale2, time2[i])
        dx, dy, dz = x - sx, y - sy, z - sz
        slant = math.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx / slant, dy / slant, dz / slant
        speed = math.sqrt(vx * vx + vy * vy + vz * vz)
        vx, vy, vz = vx / speed, vy / speed, vz / speed
        nx, ny, nz = dy * vz - dz * vy, dz * vx - dx * vz, dx * vy - dy * vx
        if nx * sx + ny * sy + nz * sz < 0:
            nx, ny, nz = -nx, -ny, -nz
        bx, by, bz = qx - sx, qy - sy, qz - sz
        across[i] = bx * nx + by * ny + bz * nz
        along[i] = bx * dx + by * dy + bz * dz
