"""Compiled loops of the speckle filters.

Each pixel's sums run over its own window in a fixed order, never on from its neighbour's: so its
value does not depend on where a block begins.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

STRIP = 32
"""Rows that are filtered together, so that what they need stays in the cache."""

LOG_2 = math.log(2.0)
LARGEST = 1e6
"""Ratio of amplitudes above which one patch is as unlike another as it can be; zeros end here."""


@njit(nogil=True, cache=True)
def lee(amplitude: Any, half: int, noise: float, out: Any) -> None:
    """Lee's filter on the squares of `amplitude`; `noise` is the squared variation of speckle."""
    rows, columns = amplitude.shape
    first, second, count = np.empty((3, columns))
    for i in range(rows):
        first[:] = 0.0
        second[:] = 0.0
        count[:] = 0.0
        for k in range(max(i - half, 0), min(i + half + 1, rows)):
            for j in range(columns):
                a = float(amplitude[k, j])
                if not math.isnan(a):
                    first[j] += a * a
                    second[j] += a * a * a * a
                    count[j] += 1.0
        for j in range(columns):
            a = float(amplitude[i, j])
            if math.isnan(a):
                out[i, j] = math.nan
                continue
            s = q = n = 0.0
            for k in range(max(j - half, 0), min(j + half + 1, columns)):
                s += first[k]
                q += second[k]
                n += count[k]
            mean = s / n
            spread = max((q - s * mean) / max(n - 1.0, 1.0), 0.0)
            signal = (spread - noise * mean * mean) / (1.0 + noise)
            weight = min(signal / spread, 1.0) if signal > 0 else 0.0
            out[i, j] = math.sqrt(max(mean + weight * (a * a - mean), 0.0))


@njit(nogil=True, cache=True, inline="always")
def unlikeness(a: float, b: float) -> float:
    """Logarithm of (a/b + b/a) / 2: 0 for equal amplitudes."""
    above, below = a * a + b * b, a * b
    if above == 0.0:
        return 0.0
    if above >= LARGEST * below:
        return math.log(LARGEST) - LOG_2
    return math.log(above / below) - LOG_2


@njit(nogil=True, cache=True)
def patch_rows(
    amplitude: Any, before: Any, top: int, height: int, dy: int, dx: int, half: int, prior: float,
    single: Any, likeness: Any, count: Any,
) -> None:  # fmt: skip
    """Unlikeness of pixels to those `dy`, `dx` away, summed along rows of `2 half + 1` pixels.

    Row 0 of the results is row `top` of the image. With a `prior` above 0, what the estimate
    `before` (an intensity) says is added, weighted by it.
    """
    rows, columns = amplitude.shape
    for r in range(height):
        i = top + r
        for j in range(columns):
            single[j] = math.nan
        if 0 <= i < rows and 0 <= i + dy < rows:
            for j in range(max(0, -dx), min(columns, columns - dx)):
                a, b = float(amplitude[i, j]), float(amplitude[i + dy, j + dx])
                if math.isnan(a) or math.isnan(b):
                    continue
                value = unlikeness(a, b)
                if prior > 0.0:
                    x, y = float(before[i, j]), float(before[i + dy, j + dx])
                    if x * y > 0.0:
                        value += prior * (x - y) * (x - y) / (x * y)
                single[j] = value
        for j in range(columns):
            s = n = 0.0
            for k in range(max(j - half, 0), min(j + half + 1, columns)):
                if not math.isnan(single[k]):
                    s += single[k]
                    n += 1.0
            likeness[r, j] = s
            count[r, j] = n


@njit(nogil=True, cache=True)
def ppb(
    amplitude: Any, before: Any, reach: int, half: int, scale: float, prior: float, out: Any
) -> None:
    """Intensity averaged over a window, each pixel weighted by how alike the patches are.

    The weight is ``exp(-scale * sum)`` of the unlikeness over patches of `2 half + 1` pixels; half
    the search window is `reach`. Pixels that are missing in either patch are left out, and a
    patch with more than three quarters of them counts for nothing.
    """
    rows, columns = amplitude.shape
    size = (2 * half + 1) ** 2
    single = np.empty(columns)
    along = np.empty((STRIP + 2 * half, columns))
    count = np.empty((STRIP + 2 * half, columns))
    total, weights = np.empty((2, STRIP, columns))
    for top in range(0, rows, STRIP):
        height = min(STRIP, rows - top)
        total[:] = 0.0
        weights[:] = 0.0
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                patch_rows(
                    amplitude, before, top - half, height + 2 * half, dy, dx, half, prior,
                    single, along, count,
                )  # fmt: skip
                for r in range(height):
                    i = top + r
                    if not 0 <= i + dy < rows:
                        continue
                    for j in range(max(0, -dx), min(columns, columns - dx)):
                        b = float(amplitude[i + dy, j + dx])
                        if math.isnan(b):
                            continue
                        s = n = 0.0
                        for k in range(2 * half + 1):
                            s += along[r + k, j]
                            n += count[r + k, j]
                        if 4 * n < size and (dy != 0 or dx != 0):
                            continue
                        weight = math.exp(-scale * s * size / n) if n > 0 else 0.0
                        total[r, j] += weight * b * b
                        weights[r, j] += weight
        for r in range(height):
            for j in range(columns):
                missing = math.isnan(float(amplitude[top + r, j]))
                out[top + r, j] = math.nan if missing else total[r, j] / weights[r, j]
