"""Compiled walk over the ground across the track: what hides, and what folds over."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from glaciertoolkit.sar.kernels import at_height, circle, first_angle, orbit_state, terrain, to_ecef


@njit(nogil=True, cache=True)
def profile(
    table: Any, scale: float, doppler: Any, wavelength: float, side: float, t: float,
    slants: Any, h0: float, z: Any, grid: Any, distance: Any, look: Any,
) -> None:  # fmt: skip
    """Slant range and look angle of the terrain above the points at `slants` and height `h0`.

    NaN where there is no terrain. The look angle is measured across the track, from the vertical
    below the satellite.
    """
    sx, sy, sz, _, _, _, _, _, _ = orbit_state(table, scale, t)
    angle = math.nan
    for k in range(slants.shape[0]):
        distance[k] = look[k] = math.nan
        ring = circle(table, scale, doppler, wavelength, side, t, slants[k])
        # The last point is a good first guess for its neighbour.
        guess = angle if math.isfinite(angle) else first_angle(ring, slants[k])
        angle, lon, lat, _ = at_height(ring, h0, guess)
        h = terrain(z, grid, math.degrees(lon), math.degrees(lat))
        if not math.isfinite(h):
            continue
        x, y, w = to_ecef(lon, lat, h)
        x, y, w = x - sx, y - sy, w - sz
        distance[k] = math.sqrt(x * x + y * y + w * w)
        down = x * ring[3] + y * ring[4] + w * ring[5]
        across = x * ring[6] + y * ring[7] + w * ring[8]
        look[k] = math.atan2(across, down)


@njit(nogil=True, cache=True)
def hidden_and_folded(distance: Any, look: Any, shadow: Any, layover: Any) -> None:
    """Mark the shadow and the layover along one profile of growing ground range.

    In shadow the look angle is less than that of ground before. Laid over is lit ground that is no
    farther than lit ground before it, or no nearer than lit ground behind it.
    """
    steepest = farthest = -math.inf
    for k in range(distance.shape[0]):
        shadow[k] = layover[k] = False
        if not math.isfinite(distance[k]):
            continue
        if look[k] < steepest:
            shadow[k] = True
            continue
        steepest = look[k]
        layover[k] = distance[k] <= farthest
        farthest = max(farthest, distance[k])
    nearest = math.inf
    for k in range(distance.shape[0] - 1, -1, -1):
        if math.isfinite(distance[k]) and not shadow[k]:
            layover[k] = layover[k] or distance[k] >= nearest
            nearest = min(nearest, distance[k])


@njit(nogil=True, cache=True)
def in_range(
    distance: Any, hidden: Any, first: float, step: float, lit: Any, covered: Any,
    shadow: Any, layover: Any,
) -> None:  # fmt: skip
    """Mark in one row of the image what no lit ground, and what several, are seen at.

    `lit` and `covered` are working arrays, one longer than the row.
    """
    n = shadow.shape[0]
    lit[:] = 0
    covered[:] = 0
    for k in range(distance.shape[0] - 1):
        if not math.isfinite(distance[k] + distance[k + 1]):
            continue
        near, far = min(distance[k], distance[k + 1]), max(distance[k], distance[k + 1])
        # Centres of pixels within (near, far]: what is shared by two stretches counts once.
        a = min(max(math.floor((near - first) / step) + 1, 0), n)
        b = min(max(math.floor((far - first) / step) + 1, 0), n)
        covered[a] += 1
        covered[b] -= 1
        if not (hidden[k] or hidden[k + 1]):
            lit[a] += 1
            lit[b] -= 1
    for k in range(1, n):
        lit[k] += lit[k - 1]
        covered[k] += covered[k - 1]
    for k in range(n):
        shadow[k] = covered[k] > 0 and lit[k] == 0
        layover[k] = lit[k] > 1
