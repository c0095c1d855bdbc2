"""Areas of one and the same value: frames, stripes and patches that show no ground."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

FAST = {"contract"}


@njit(nogil=True, cache=True, fastmath=FAST)
def has_runs(image: Any, edge: Any) -> Any:
    """Whether some row in `edge` has `edge` equal values side by side: without, no square has."""
    rows, cols = image.shape
    for y in range(0, rows, edge):
        run = 1
        for x in range(1, cols):
            run = run + 1 if image[y, x] == image[y, x - 1] else 1
            if run >= edge:
                return True
    return False


@njit(nogil=True, cache=True, fastmath=FAST)
def constant_squares(image: Any, edge: Any) -> Any:
    """Pixels that lie in a square of edge x edge pixels, or more, of exactly the same value.

    NaN is equal to nothing. The largest such square that ends at each pixel follows from those
    that end at its three neighbours.
    """
    rows, cols = image.shape
    size = np.zeros((rows, cols), np.int32)
    for y in range(rows):
        for x in range(cols):
            value = image[y, x]
            if value != value:
                continue
            size[y, x] = 1
            if y > 0 and x > 0:
                up, left, corner = image[y - 1, x], image[y, x - 1], image[y - 1, x - 1]
                if value == up and value == left and value == corner:
                    size[y, x] += min(size[y - 1, x], size[y, x - 1], size[y - 1, x - 1])
    # Backwards: how far the square that a pixel belongs to goes on, up and to the left.
    out = np.zeros((rows, cols), np.bool_)
    below = np.zeros(cols + 1, np.int32)
    here = np.zeros(cols + 1, np.int32)
    for y in range(rows - 1, -1, -1):
        here[cols] = 0
        for x in range(cols - 1, -1, -1):
            own = size[y, x] if size[y, x] >= edge else 0
            reach = max(own, below[x] - 1, here[x + 1] - 1, below[x + 1] - 1)
            here[x] = reach
            out[y, x] = reach > 0
        below, here = here, below
    return out
