"""Slopes of the displacement field from its neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

FAST = {"contract"}
FEWEST = 0.25
"""Share of the neighbours that must agree with a post for its slopes to mean anything."""


@njit(nogil=True, cache=True, fastmath=FAST)
def plane_slopes(
    first: Any, second: Any, y: Any, x: Any, half_y: Any, half_x: Any, apart: Any, steepest: Any
) -> Any:
    """Slopes of two fields by planes through each post's neighbours.

    Returns (posts_y, posts_x, 5): d first/dx, d first/dy, d second/dx, d second/dy and the variance
    of these as the scatter about the planes has it (one for all); NaN where too few neighbours
    agree. A neighbour at distance r (rows plus columns) agrees where neither field
    differs by more than ``apart + steepest r``: a mismatch must not tilt the plane. `y`, `x`:
    positions of the rows and columns of posts; neighbours: up to `half_y`, `half_x` posts away.
    """
    ny, nx = first.shape
    out = np.full((ny, nx, 5), np.nan)
    fewest = max(4.0, FEWEST * (2 * half_y + 1) * (2 * half_x + 1))
    for r in range(ny):
        for c in range(nx):
            f0, g0 = first[r, c], second[r, c]
            if not (math.isfinite(f0) and math.isfinite(g0)):
                continue
            n, sx, sy, sxx, sxy, syy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            sf, sxf, syf, sg, sxg, syg, square = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(max(r - half_y, 0), min(r + half_y + 1, ny)):
                v = float(y[i] - y[r])
                for j in range(max(c - half_x, 0), min(c + half_x + 1, nx)):
                    u = float(x[j] - x[c])
                    f, g = first[i, j] - f0, second[i, j] - g0
                    limit = apart + steepest * (abs(u) + abs(v))
                    # Written so that NaN fails it.
                    if not (abs(f) <= limit and abs(g) <= limit):
                        continue
                    n += 1
                    sx += u
                    sy += v
                    sxx += u * u
                    sxy += u * v
                    syy += v * v
                    sf += f
                    sxf += u * f
                    syf += v * f
                    sg += g
                    sxg += u * g
                    syg += v * g
                    square += f * f + g * g
            if n < fewest:
                continue
            sxx -= sx * sx / n
            sxy -= sx * sy / n
            syy -= sy * sy / n
            det = sxx * syy - sxy * sxy
            if not det > 1e-6 * sxx * syy:
                continue
            sxf, syf = sxf - sx * sf / n, syf - sy * sf / n
            sxg, syg = sxg - sx * sg / n, syg - sy * sg / n
            fx, fy = (syy * sxf - sxy * syf) / det, (sxx * syf - sxy * sxf) / det
            gx, gy = (syy * sxg - sxy * syg) / det, (sxx * syg - sxy * sxg) / det
            rest = square - (sf * sf + sg * sg) / n - fx * sxf - fy * syf - gx * sxg - gy * syg
            out[r, c, 0], out[r, c, 1], out[r, c, 2], out[r, c, 3] = fx, fy, gx, gy
            out[r, c, 4] = max(rest, 0.0) / max(2 * n - 6, 1) * 0.5 * (sxx + syy) / det
    return out
