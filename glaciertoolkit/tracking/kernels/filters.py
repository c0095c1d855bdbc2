"""Separable smoothing in float32, faster than the general filters for tiles of a few 100 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"contract"})
def smooth(image: Any, taps: Any) -> Any:
    """Convolve rows and columns of `image` with the symmetric `taps` (odd length), zero outside."""
    rows, cols = image.shape
    half = taps.size // 2
    vertical = np.zeros((rows, cols), np.float32)
    for y in range(rows):
        for k in range(max(-half, -y), min(half, rows - 1 - y) + 1):
            t = taps[k + half]
            for x in range(cols):
                vertical[y, x] += t * image[y + k, x]
    out = np.zeros((rows, cols), np.float32)
    for y in range(rows):
        for k in range(-half, half + 1):
            t = taps[k + half]
            first, last = max(0, -k), min(cols, cols - k)
            for x in range(first, last):
                out[y, x] += t * vertical[y, x + k]
    return out
