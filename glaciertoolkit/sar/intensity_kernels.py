"""Compiled loops of the simulated brightness: facets of the terrain scattered into the image."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

MOST_PIECES = 128
FINENESS = 4.0
"""Pieces of a facet per pixel that it spans."""


@njit(nogil=True, cache=True)
def backscatter(cosine: float) -> float:
    """Muhleman's law for the cosine of the local incidence; 1 at 45 degrees, 0 beyond 90."""
    if not cosine > 0:
        return 0.0
    sine = math.sqrt(max(1.0 - cosine * cosine, 0.0))
    reference = 0.7071067811865476 / (1.1 * 0.7071067811865476) ** 3
    return cosine / (sine + 0.1 * cosine) ** 3 / reference


@njit(nogil=True, cache=True)
def scatter(
    row: Any, column: Any, height: Any, dark: Any, east: Any, north: float, sight: Any,
    first: Any, power: Any, covered: Any,
) -> None:  # fmt: skip
    """Add the power of every facet of some rows of a DEM to the pixels in which it is seen.

    Parameters
    ----------
    row, column : (rows, columns)
        Place of the nodes in the image, in its (multilooked) pixels.
    height, dark : (rows, columns)
        Metres; whether a node lies in shadow.
    east : (rows,)
        Metres from column to column, negative where columns run westwards.
    north : float
        Metres from row to row, negative where rows run southwards.
    sight : (3, m, n)
        Lines of sight on a coarse lattice over the whole DEM.
    first : (4,)
        Place of node (0, 0) in that lattice, rows and columns, and its nodes from row to row and
        from column to column.
    power, covered : (lines, samples)
        Added to; `covered` also by what lies in shadow.
    """
    lines, samples = power.shape
    for i in range(row.shape[0] - 1):
        p = first[0] + (i + 0.5) * first[2]
        pi = min(max(int(p), 0), sight.shape[1] - 2)
        p -= pi
        area = abs(east[i] * north)
        for j in range(row.shape[1] - 1):
            u0, u1, u2, u3 = row[i, j], row[i, j + 1], row[i + 1, j], row[i + 1, j + 1]
            v0, v1, v2, v3 = (
                column[i, j], column[i, j + 1], column[i + 1, j], column[i + 1, j + 1]
            )  # fmt: skip
            if not math.isfinite(u0 + u1 + u2 + u3 + v0 + v1 + v2 + v3):
                continue
            low, high = min(u0, u1, u2, u3), max(u0, u1, u2, u3)
            near, far = min(v0, v1, v2, v3), max(v0, v1, v2, v3)
            if high < -1 or low > lines or far < -1 or near > samples:
                continue
            z0, z1, z2, z3 = height[i, j], height[i, j + 1], height[i + 1, j], height[i + 1, j + 1]
            ne, nn = -0.5 * (z1 - z0 + z3 - z2) / east[i], -0.5 * (z2 - z0 + z3 - z1) / north
            length = math.sqrt(1 + ne * ne + nn * nn)
            q = first[1] + (j + 0.5) * first[3]
            qj = min(max(int(q), 0), sight.shape[2] - 2)
            q -= qj
            cosine = 0.0
            for k in range(3):
                top = sight[k, pi, qj] * (1 - q) + sight[k, pi, qj + 1] * q
                bottom = sight[k, pi + 1, qj] * (1 - q) + sight[k, pi + 1, qj + 1] * q
                along = top * (1 - p) + bottom * p
                cosine -= along * (ne if k == 0 else (nn if k == 1 else 1.0)) / length
            hidden = 0.0
            for one in (dark[i, j], dark[i, j + 1], dark[i + 1, j], dark[i + 1, j + 1]):
                hidden += 0.25 if one else 0.0
            n = math.ceil(FINENESS * max(high - low, far - near))
            n = min(max(n, 1), MOST_PIECES)
            share = 1.0 / (n * n)
            bright = (1 - hidden) * area * length * backscatter(cosine) * share
            for a in range(n):
                s = (a + 0.5) / n
                ua, ub = u0 * (1 - s) + u2 * s, u1 * (1 - s) + u3 * s
                va, vb = v0 * (1 - s) + v2 * s, v1 * (1 - s) + v3 * s
                for b in range(n):
                    t = (b + 0.5) / n
                    u, v = ua * (1 - t) + ub * t, va * (1 - t) + vb * t
                    # To one pixel, not to the four around: multilooking does not smear either.
                    y, x = math.floor(u + 0.5), math.floor(v + 0.5)
                    if 0 <= y < lines and 0 <= x < samples:
                        power[y, x] += bright
                        covered[y, x] = True


@njit(nogil=True, cache=True)
def mean_power(image: Any, along: int, across: int, out: Any) -> None:
    """Mean squared modulus over blocks of pixels, without those that are NaN.

    `out` has ``rows // along`` by ``columns // across`` entries; NaN where a block has no pixel.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total, count = 0.0, 0
            for y in range(i * along, (i + 1) * along):
                for x in range(j * across, (j + 1) * across):
                    value = image[y, x]
                    p = float(value.real) ** 2 + float(value.imag) ** 2
                    if math.isfinite(p):
                        total += p
                        count += 1
            out[i, j] = total / count if count else math.nan
