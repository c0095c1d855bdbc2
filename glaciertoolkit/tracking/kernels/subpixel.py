"""The peak of a correlation surface: where, how high, how sharp, how alone.

The surface is sampled at whole pixels but band-limited, so between the samples it is given by
sinc interpolation (Kaiser window), and Newton's method finds the maximum. Fitting a parabola to
the three nearest samples instead pulls the result towards whole pixels (peak locking).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

FAST = {"contract"}
SUPPORTS = (2, 3, 4)
"""Half widths of the interpolation kernels in samples; near the edge of the search the largest
one that fits is used, and next to it a parabola."""
LARGEST = SUPPORTS[-1]
TABLE_STEPS = 512
"""Samples of the interpolation table per pixel."""
LANES = 16
"""Posts whose surfaces are gathered together: one cache line of float32."""

# Planes of the result of find_peaks.
DX, DY, PEAK, SNR, RATIO, HXX, HYY, HXY, STATUS = range(9)
PLANES = 9

OK, EMPTY, EDGE, CLIPPED = 0, 1, 2, 4


def interpolation_tables(steps: int = TABLE_STEPS) -> np.ndarray:
    """Kaiser-windowed sincs with their first and second derivatives, one row a support.

    Returns
    -------
    numpy.ndarray
        float32, shape (supports, 3, n), sampled `steps` times a pixel from -support on;
        derivatives per pixel and per pixel squared.
    """
    tables = np.zeros((len(SUPPORTS), 3, 2 * LARGEST * steps + 2), np.float32)
    for row, support in enumerate(SUPPORTS):
        beta = 2.0 * math.sqrt(support) + 1.0
        u = np.arange(-support * steps - 2, support * steps + 3) / steps
        window = np.i0(beta * np.sqrt(np.clip(1 - (u / support) ** 2, 0, None))) / np.i0(beta)
        value = np.where(np.abs(u) <= support, window * np.sinc(u), 0.0)
        first = np.gradient(value, 1 / steps)
        second = np.gradient(first, 1 / steps)
        tables[row, :, : u.size - 4] = np.stack([value, first, second])[:, 2:-2]
    return tables


@njit(nogil=True, cache=True, fastmath=FAST)
def _vertex(left: Any, centre: Any, right: Any) -> Any:
    """Position of the maximum of the parabola through three samples, and its curvature."""
    curvature = left - np.float32(2) * centre + right
    if curvature < 0:
        return np.float32(0.5) * (left - right) / curvature, curvature
    return np.float32(0), np.float32(0)


@njit(nogil=True, cache=True, fastmath=FAST)
def refine(
    w: Any, columns: Any, iy: Any, ix: Any, support: Any, table: Any, kx: Any, ky: Any
) -> Any:
    """Maximum of the interpolated surface near sample (iy, ix) of the flat surface `w`.

    Returns u (along x), v (along y), the peak and its second derivatives xx, yy, xy.
    """
    c = w[iy * columns + ix]
    u, cxx = _vertex(w[iy * columns + ix - 1], c, w[iy * columns + ix + 1])
    v, cyy = _vertex(w[(iy - 1) * columns + ix], c, w[(iy + 1) * columns + ix])
    peak, hxx, hyy, hxy = c, cxx, cyy, np.float32(0)
    for _ in range(6):
        for q in range(2 * support + 1):
            at_x = (np.float32(q) - u) * np.float32(TABLE_STEPS)
            at_y = (np.float32(q) - v) * np.float32(TABLE_STEPS)
            jx, jy = math.floor(at_x), math.floor(at_y)
            fx, fy = at_x - np.float32(jx), at_y - np.float32(jy)
            ok_x = 0 <= jx < 2 * support * TABLE_STEPS
            ok_y = 0 <= jy < 2 * support * TABLE_STEPS
            for k in range(3):
                kx[k, q] = (
                    table[k, jx] + fx * (table[k, jx + 1] - table[k, jx]) if ok_x else np.float32(0)
                )
                ky[k, q] = (
                    table[k, jy] + fy * (table[k, jy + 1] - table[k, jy]) if ok_y else np.float32(0)
                )
        f = fx_ = fy_ = hxx = hyy = hxy = np.float32(0)
        for i in range(2 * support + 1):
            o = (iy + i - support) * columns + ix - support
            s0 = s1 = s2 = np.float32(0)
            for j in range(2 * support + 1):
                t = w[o + j]
                s0 += t * kx[0, j]
                s1 += t * kx[1, j]
                s2 += t * kx[2, j]
            # d/du of k(j - u) is -k'(j - u)
            f += s0 * ky[0, i]
            fx_ -= s1 * ky[0, i]
            fy_ -= s0 * ky[1, i]
            hxx += s2 * ky[0, i]
            hyy += s0 * ky[2, i]
            hxy += s1 * ky[1, i]
        peak = f
        det = hxx * hyy - hxy * hxy
        if not (det > 0 and hxx < 0):
            break
        du = -(hyy * fx_ - hxy * fy_) / det
        dv = -(hxx * fy_ - hxy * fx_) / det
        du = min(max(du, np.float32(-0.3)), np.float32(0.3))
        dv = min(max(dv, np.float32(-0.3)), np.float32(0.3))
        u = min(max(u + du, np.float32(-1)), np.float32(1))
        v = min(max(v + dv, np.float32(-1)), np.float32(1))
        if du * du + dv * dv < np.float32(1e-8):
            break
    return u, v, peak, hxx, hyy, hxy


@njit(nogil=True, cache=True, fastmath=FAST)
def _second_peak(w: Any, rows: Any, columns: Any, best: Any, lowest: Any) -> Any:
    """Height of the highest local maximum other than the sample `best`, at least `lowest`."""
    second = lowest
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            i = y * columns + x
            t = w[i]
            if (
                t > second
                and i != best
                and t >= max(w[i - 1], w[i + 1], w[i - columns], w[i + columns])
                and t >= max(w[i - columns - 1], w[i - columns + 1])
                and t >= max(w[i + columns - 1], w[i + columns + 1])
            ):
                second = t
    return second


@njit(nogil=True, cache=True, fastmath=FAST)
def _noise_power(w: Any, rows: Any, columns: Any, iy: Any, ix: Any, radius: Any) -> Any:
    """Mean square of the surface within `radius` of the peak, the peak itself left out."""
    total = np.float32(0)
    count = 0
    for y in range(max(iy - radius, 0), min(iy + radius + 1, rows)):
        for x in range(max(ix - radius, 0), min(ix + radius + 1, columns)):
            t = w[y * columns + x]
            if t > np.float32(-1.5) and not (y == iy and x == ix):
                total += t * t
                count += 1
    return total / np.float32(max(count, 1))


@njit(nogil=True, cache=True, fastmath=FAST)
def _complete(w: Any, columns: Any, iy: Any, ix: Any, radius: Any) -> Any:
    """Whether every sample within `radius` of (iy, ix) could be computed."""
    for y in range(iy - radius, iy + radius + 1):
        for x in range(ix - radius, ix + radius + 1):
            if w[y * columns + x] < np.float32(-1.5):
                return False
    return True


@njit(nogil=True, cache=True, fastmath=FAST)
def _measure(w: Any, rows: Any, columns: Any, tables: Any, kx: Any, ky: Any, out: Any) -> Any:
    """Fill `out` (PLANES) from the flat surface `w` of one post."""
    best = 0
    top = np.float32(-2)
    low = np.float32(2)
    for i in range(rows * columns):
        t = w[i]
        if t > top:
            top = t
            best = i
        low = min(low, t)
    out[:] = np.float32(np.nan)
    status = OK
    if low < np.float32(-1.5):
        status |= CLIPPED
    if top < np.float32(-1.5):
        out[STATUS] = np.float32(status | EMPTY)
        return
    iy, ix = best // columns, best % columns
    out[PEAK] = min(top, np.float32(1))
    edge = iy == 0 or ix == 0 or iy == rows - 1 or ix == columns - 1
    if edge or not _complete(w, columns, iy, ix, 1):
        out[STATUS] = np.float32(status | EDGE)
        return
    support = min(iy, ix, rows - 1 - iy, columns - 1 - ix, LARGEST)
    while support > 1 and status & CLIPPED and not _complete(w, columns, iy, ix, support):
        support -= 1
    if support >= SUPPORTS[0]:
        table = tables[support - SUPPORTS[0]]
        u, v, peak, hxx, hyy, hxy = refine(w, columns, iy, ix, support, table, kx, ky)
    else:
        u, hxx = _vertex(w[best - 1], top, w[best + 1])
        v, hyy = _vertex(w[best - columns], top, w[best + columns])
        hxy = np.float32(0.25) * (
            w[best + columns + 1]
            - w[best + columns - 1]
            - w[best - columns + 1]
            + w[best - columns - 1]
        )
        peak = top
    out[DX] = np.float32(ix) + u
    out[DY] = np.float32(iy) + v
    out[PEAK] = min(peak, np.float32(1))
    out[HXX], out[HYY], out[HXY] = hxx, hyy, hxy
    out[SNR] = top * top / max(_noise_power(w, rows, columns, iy, ix, 10), np.float32(1e-12))
    second = _second_peak(w, rows, columns, best, np.float32(1e-3))
    out[RATIO] = top / second
    out[STATUS] = np.float32(status)


@njit(nogil=True, cache=True, fastmath=FAST)
def find_peaks(surface: Any, rows: Any, columns: Any, tables: Any) -> Any:
    """Peak of every post: surface (rows * columns, posts_y, posts_x) -> (PLANES, posts_y, posts_x).

    Positions are in samples from the first offset; STATUS holds the bits EMPTY (nothing to
    search), EDGE (the highest sample has no complete neighbourhood) and CLIPPED (some offsets
    could not be tried).
    """
    offsets, posts_y, posts_x = surface.shape
    result = np.empty((PLANES, posts_y, posts_x), np.float32)
    gathered = np.empty((LANES, offsets), np.float32)
    kx = np.empty((3, 2 * LARGEST + 1), np.float32)
    ky = np.empty((3, 2 * LARGEST + 1), np.float32)
    out = np.empty(PLANES, np.float32)
    for py in range(posts_y):
        for first in range(0, posts_x, LANES):
            n = min(LANES, posts_x - first)
            for d in range(offsets):
                for k in range(n):
                    gathered[k, d] = surface[d, py, first + k]
            for k in range(n):
                _measure(gathered[k], rows, columns, tables, kx, ky, out)
                for plane in range(PLANES):
                    result[plane, py, first + k] = out[plane]
    return result
