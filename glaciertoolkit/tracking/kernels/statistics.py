"""Sums, spreads and counts over windows, for the denominators of the correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

FAST = {"contract"}


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def window_statistics(image: Any, inside: Any, ty: Any, tx: Any, floor: Any) -> Any:
    """Sum and 1/sqrt(sum of squared deviations) of every ty x tx window, by its first pixel.

    A window that leaves `inside` (first and last row and column, the last excluded), or with no
    more contrast than `floor` (standard deviation), gets 0 as its second value.
    """
    rows, cols = image.shape
    ny, nx = rows - ty + 1, cols - tx + 1
    total = np.zeros((ny, nx), np.float32)
    inverse = np.zeros((ny, nx), np.float32)
    n = ty * tx
    c1, c2 = np.zeros(cols), np.zeros(cols)
    squares = np.empty(nx)
    least = floor * abs(floor) * n
    share = 1.0 / n
    for y in range(rows):
        for column in range(cols):
            x = U(column)
            v = np.float64(image[y, x])
            c1[x] += v
            c2[x] += v * v
        top = y - ty + 1
        if top < 0:
            continue
        s1 = s2 = 0.0
        for k in range(tx):
            s1 += c1[k]
            s2 += c2[k]
        # One addition a step on the critical path: what comes in and goes out is summed first.
        total[top, 0] = s1
        squares[0] = s2 - s1 * s1 * share
        for k in range(1, nx):
            s1 += c1[k + tx - 1] - c1[k - 1]
            s2 += c2[k + tx - 1] - c2[k - 1]
            total[top, k] = s1
            squares[k] = s2 - s1 * s1 * share
        if top >= inside[0] and top + ty <= inside[1]:
            for column in range(max(inside[2], 0), min(inside[3] - tx + 1, nx)):
                x = U(column)
                spread = squares[x]
                good = spread > least
                inverse[top, x] = np.sqrt(1.0 / (spread if spread > 0 else 1.0)) if good else 0.0
        for column in range(cols):
            x = U(column)
            v = np.float64(image[top, x])
            c1[x] -= v
            c2[x] -= v * v
    return total, inverse


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def template_statistics(
    image: Any, ty: Any, tx: Any, ky: Any, kx: Any, ny: Any, nx: Any, floor: Any
) -> Any:
    """Mean and 1/sqrt(sum of squared deviations), 0 if constant, of the template of each post."""
    mean = np.zeros((ny, nx), np.float32)
    inverse = np.zeros((ny, nx), np.float32)
    cols = image.shape[1]
    c1, c2 = np.zeros(cols), np.zeros(cols)
    n = ty * tx
    done = 0
    for py in range(ny):
        first = py * ky
        if done <= first:
            c1[:] = 0
            c2[:] = 0
            done = first
        for y in range(done, first + ty):
            for column in range(cols):
                x = U(column)
                v = np.float64(image[y, x])
                c1[x] += v
                c2[x] += v * v
        done = first + ty
        for px in range(nx):
            s1 = s2 = 0.0
            for k in range(px * kx, px * kx + tx):
                s1 += c1[k]
                s2 += c2[k]
            mean[py, px] = s1 / n
            spread = s2 - s1 * s1 / n
            if spread > floor * floor * n:
                inverse[py, px] = 1.0 / np.sqrt(spread)
        for y in range(first, min(first + ky, first + ty)):
            for column in range(cols):
                x = U(column)
                v = np.float64(image[y, x])
                c1[x] -= v
                c2[x] -= v * v
    return mean, inverse


@njit(nogil=True, cache=True, fastmath=FAST)
def window_counts(mask: Any, ty: Any, tx: Any) -> Any:
    """How many pixels of every ty x tx window are true: float32, exact."""
    rows, cols = mask.shape
    ny, nx = rows - ty + 1, cols - tx + 1
    out = np.zeros((ny, nx), np.float32)
    column = np.zeros(cols, np.int64)
    for y in range(rows):
        for x in range(cols):
            column[x] += mask[y, x]
        top = y - ty + 1
        if top < 0:
            continue
        count = 0
        for x in range(tx - 1):
            count += column[x]
        for x in range(nx):
            count += column[x + tx - 1]
            out[top, x] = count
            count -= column[x]
        for x in range(cols):
            column[x] -= mask[top, x]
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def by_offset(image: Any, step: Any, lanes: Any, out: Any) -> Any:
    """Rows of `image` split by column modulo `step`: flat (step, rows, lanes), zero padded."""
    rows, cols = image.shape
    for p in range(step):
        n = max(min(lanes, (cols - p + step - 1) // step), 0)
        for y in range(rows):
            o = U((p * rows + y) * lanes)
            for k in range(n):
                out[o + U(k)] = image[y, p + k * step]
            for k in range(n, lanes):
                out[o + U(k)] = np.float32(0)
