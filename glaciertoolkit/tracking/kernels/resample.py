"""Correlation volumes of pairs with different intervals, brought onto one axis and added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

FAST = {"contract"}
MISSING = np.float32(-1.5)


@njit(nogil=True, cache=True, fastmath=FAST)
def cubic_weights(at: Any, out: Any) -> Any:
    """Weights of cubic convolution for the four samples about `at`; returns the first sample."""
    first = int(np.floor(at)) - 1
    t = np.float32(at - np.floor(at))
    half = np.float32(0.5)
    one, two, three = np.float32(1), np.float32(2), np.float32(3)
    out[0] = half * t * (-one + t * (two - t))
    out[1] = half * (two + t * t * (three * t - np.float32(5)))
    out[2] = half * t * (one + t * (np.float32(4) - three * t))
    out[3] = half * t * t * (t - one)
    return first


@njit(nogil=True, cache=True, fastmath=FAST)
def add_volume(volume: Any, ratio: Any, used: Any, total: Any) -> Any:
    """Add `volume`, sampled at `ratio` times each offset, to `total`.

    Both are (posts_y, rows, columns, lanes) with the zero offset in the middle. `used` (posts_y,
    lanes) says which posts the pair counts for. Where a sample is missing, so is the sum, for good.
    """
    posts_y, rows, columns, lanes = volume.shape
    ny, nx = total.shape[1], total.shape[2]
    wy, wx = np.empty(4, np.float32), np.empty(4, np.float32)
    line = np.empty(lanes, np.float32)
    broken = np.empty(lanes, np.bool_)
    exact = ratio == 1.0
    for y in range(ny):
        top = cubic_weights(rows // 2 + (y - ny // 2) * ratio, wy)
        for x in range(nx):
            left = cubic_weights(columns // 2 + (x - nx // 2) * ratio, wx)
            for py in range(posts_y):
                for k in range(lanes):
                    line[k] = np.float32(0)
                    broken[k] = False
                for i in range(4):
                    for j in range(4):
                        w = wy[i] * wx[j]
                        if exact and (i != 1 or j != 1):
                            continue
                        if w == 0:
                            continue
                        r, c = top + i, left + j
                        if r < 0 or c < 0 or r >= rows or c >= columns:
                            for k in range(lanes):
                                broken[k] = True
                            continue
                        source = volume[py, r, c]
                        for k in range(lanes):
                            n = U(k)
                            line[n] += w * source[n]
                            broken[n] |= source[n] < MISSING
                target = total[py, y, x]
                for k in range(lanes):
                    if used[py, k]:
                        if broken[k] or target[k] < MISSING:
                            target[k] = np.float32(-1e6)
                        else:
                            target[k] += line[k]
