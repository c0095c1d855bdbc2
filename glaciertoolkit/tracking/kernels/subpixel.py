"""The peak of a correlation surface: where, how high, how sharp, how alone.

The surface is sampled at whole pixels but band-limited, so between the samples it is given by
sinc interpolation (Kaiser window), and Newton's method finds the maximum. Fitting a parabola to
the three nearest samples instead pulls the result towards whole pixels (peak locking).

The volume holds the posts of a row side by side, so that scanning the surfaces for their highest
and second-highest peaks runs over many posts at once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba import uint64 as U

Wide = npt.NDArray[np.float64]

FAST = {"contract"}
SUMS = {"contract", "reassoc"}
SUPPORTS = (2, 3, 4, 5, 6, 7)
"""Half widths of the interpolation kernels in samples; near the edge of the search the largest
one that fits is used, and next to it a parabola."""
LARGEST = SUPPORTS[-1]
BETAS = (0.0, 3.2, 4.4, 5.0, 5.5, 6.0)
"""Their Kaiser parameters, which leave the smallest error on textures up to 0.4 cycles a pixel.
Five samples are too few for a windowed sinc; the polynomial through them is better."""
INTERPOLATION_ERROR = (0.04, 0.04, 0.02, 0.008, 0.004, 0.0025, 0.0015, 0.0008)
"""What is left with each half width from 0 (and 1: a parabola) on, pixels."""
TAPS = 16
"""Samples that a kernel spans, padded to a whole vector."""
TABLE_STEPS = 256
"""Samples of the interpolation table per pixel."""
LANES = 16
"""Posts that are looked at together: one cache line of float32."""
SNR_RADIUS = 10

# Planes of the result of find_peaks.
DX, DY, PEAK, SNR, RATIO, HXX, HYY, HXY, SUPPORT, STATUS = range(10)
PLANES = 10

OK, EMPTY, EDGE, CLIPPED = 0, 1, 2, 4
IDENTICAL = np.float32(1 - 3e-6)
"""A correlation that is 1 but for rounding: the windows are the same."""
MISSING = np.float32(-1.5)
"""What lies below it in the volume could not be computed."""


@functools.cache
def interpolation_tables() -> npt.NDArray[np.float32]:
    """Kaiser-windowed sincs with their first and second derivatives.

    Returns
    -------
    numpy.ndarray
        float32, shape (supports, positions, 3, TAPS): for a peak `u` samples from the central one,
        position ``(u + 1) * TABLE_STEPS``, the weights of samples -support .. support; the
        derivatives are those with respect to `u`.
    """
    positions = np.arange(2 * TABLE_STEPS + 2) / TABLE_STEPS - 1.0
    tables = np.zeros((len(SUPPORTS), positions.size, 3, TAPS), np.float32)
    for row, (support, beta) in enumerate(zip(SUPPORTS, BETAS, strict=True)):
        weights = _sinc(positions, support, beta) if beta else _polynomial(positions, support)
        tables[row, :, :, : 2 * support + 1] = weights
    return tables


def _sinc(positions: Wide, support: int, beta: float) -> Wide:
    """Weights (positions, 3, samples) of the Kaiser-windowed sinc and its derivatives."""
    fine = 1.0 / (8 * TABLE_STEPS)

    def kernel(t: Wide) -> Wide:
        inside = np.clip(1 - (t / support) ** 2, 0, None)
        window = np.i0(beta * np.sqrt(inside)) / np.i0(beta)
        return np.asarray(np.where(np.abs(t) <= support, window * np.sinc(t), 0.0))

    t = np.arange(-support, support + 1) - positions[:, None]
    before, at, after = kernel(t + fine), kernel(t), kernel(t - fine)
    # The window ends with a small step, which has no derivative.
    within = np.abs(t) < support - 2 * fine
    first = np.where(within, (after - before) / (2 * fine), 0)
    second = np.where(within, (after - 2 * at + before) / fine**2, 0)
    return np.stack([at, first, second], axis=1)


def _polynomial(positions: Wide, support: int) -> Wide:
    """The same of the polynomial through all samples (Lagrange)."""
    from numpy.polynomial import Polynomial

    nodes = np.arange(-support, support + 1)
    out = np.empty((positions.size, 3, nodes.size))
    for k, node in enumerate(nodes):
        others = np.delete(nodes, k)
        basis = Polynomial.fromroots(others) / float(np.prod(node - others))
        for order in range(3):
            out[:, order, k] = (basis.deriv(order) if order else basis)(positions)
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def _vertex(left: Any, centre: Any, right: Any) -> Any:
    """Position of the maximum of the parabola through three samples, and its curvature."""
    curvature = left - np.float32(2) * centre + right
    if curvature < 0:
        return np.float32(0.5) * (left - right) / curvature, curvature
    return np.float32(0), np.float32(0)


@njit(nogil=True, cache=True, fastmath=FAST)
def _weights(table: Any, u: Any, out: Any) -> Any:
    """Weights of the samples for a peak at `u`, and their derivatives: flat (3, TAPS)."""
    at = (u + np.float32(1)) * np.float32(TABLE_STEPS)
    row = min(max(int(at), 0), 2 * TABLE_STEPS)
    part = at - np.float32(row)
    low = U(row * 3 * TAPS)
    for k in range(3 * TAPS):
        q = low + U(k)
        out[U(k)] = table[q] + part * (table[q + U(3 * TAPS)] - table[q])


@njit(nogil=True, cache=True, fastmath=SUMS)
def _derivatives(w: Any, taps: Any, kx: Any, ky: Any, rows: Any) -> Any:
    """Value, gradient and second derivatives of the interpolated samples `w`."""
    for j in range(3 * TAPS):
        rows[U(j)] = np.float32(0)
    # Four lines of samples at a time: the sums go through memory, and each pass waits for the last.
    for i in range(0, taps, 4):
        o = U(i * TAPS)
        for k in range(3):
            at = k * TAPS + i
            t0, t1, t2, t3 = ky[U(at)], ky[U(at + 1)], ky[U(at + 2)], ky[U(at + 3)]
            out = U(k * TAPS)
            for j in range(TAPS):
                x = U(j)
                q = o + x
                rows[out + x] += (t0 * w[q] + t1 * w[q + U(TAPS)]) + (
                    t2 * w[q + U(2 * TAPS)] + t3 * w[q + U(3 * TAPS)]
                )
    f = fx = fy = fxx = fxy = fyy = np.float32(0)
    for j in range(TAPS):
        x = U(j)
        value, slope, bend = kx[x], kx[U(TAPS) + x], kx[U(2 * TAPS) + x]
        f += rows[x] * value
        fx += rows[x] * slope
        fxx += rows[x] * bend
        fy += rows[U(TAPS) + x] * value
        fxy += rows[U(TAPS) + x] * slope
        fyy += rows[U(2 * TAPS) + x] * value
    return f, fx, fy, fxx, fyy, fxy


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def refine(w: Any, support: Any, table: Any, kx: Any, ky: Any, rows: Any) -> Any:
    """Maximum of the interpolated samples `w`, flat (2 support + 1, TAPS), highest in the middle.

    Returns the position (u, v) from the middle, the height and the second derivatives xx, yy, xy.
    """
    i = support * TAPS + support
    c = w[i]
    u, hxx = _vertex(w[i - 1], c, w[i + 1])
    v, hyy = _vertex(w[i - TAPS], c, w[i + TAPS])
    peak, hxy = c, np.float32(0)
    for _ in range(6):
        _weights(table, u, kx)
        _weights(table, v, ky)
        peak, fx, fy, hxx, hyy, hxy = _derivatives(w, 2 * support + 1, kx, ky, rows)
        det = hxx * hyy - hxy * hxy
        if not (det > 0 and hxx < 0):
            break
        du = -(hyy * fx - hxy * fy) / det
        dv = -(hxx * fy - hxy * fx) / det
        du = min(max(du, np.float32(-0.3)), np.float32(0.3))
        dv = min(max(dv, np.float32(-0.3)), np.float32(0.3))
        u = min(max(u + du, np.float32(-1)), np.float32(1))
        v = min(max(v + dv, np.float32(-1)), np.float32(1))
        if du * du + dv * dv < np.float32(1e-5):
            # Newton squares the error: what remains is below 1e-4 pixels.
            break
    return u, v, peak, hxx, hyy, hxy


@njit(nogil=True, cache=True, fastmath=FAST)
def _border(
    volume: Any, at: Any, index: Any, lanes: Any, best: Any, where: Any, second: Any, low: Any
) -> Any:
    """Let a sample on the border of each surface compete for the highest and the lowest."""
    here = U(at)
    for lane in range(lanes):
        x = U(lane)
        t = volume[here + x]
        higher = t > best[x]
        # What was the highest becomes the other peak, unless that was on the border as well.
        inner = higher & (best[x] > second[x])
        second[x] = best[x] if inner else second[x]
        best[x] = t if higher else best[x]
        where[x] = np.int32(index) if higher else where[x]
        low[x] = t if t < low[x] else low[x]


@njit(nogil=True, cache=True, fastmath=FAST)
def _scan(
    volume: Any, base: Any, rows: Any, columns: Any, lanes: Any, best: Any, where: Any,
    second: Any, low: Any, lines: Any,
) -> Any:  # fmt: skip
    """Highest sample, highest local maximum besides, and a low sample of every surface of a row.

    `volume`: flat (rows, columns, lanes) from `base` on; the other arrays have one value a lane.
    What could not be computed lies together and reaches the surface's border, so that the border
    alone tells in `low` whether there is any. A highest sample on the border is no local maximum.
    """
    for lane in range(lanes):
        x = U(lane)
        best[x] = np.float32(-3)
        where[x] = 0
        second[x] = np.float32(-3)
        low[x] = np.float32(3)
    for y in range(rows):
        for column in range(columns):
            row = base + y * columns * lanes
            here = U(row + column * lanes)
            left = U(row + max(column - 1, 0) * lanes)
            right = U(row + min(column + 1, columns - 1) * lanes)
            three = U(((y % 3) * columns + column) * lanes)
            for lane in range(lanes):
                x = U(lane)
                t, m, n = volume[here + x], volume[left + x], volume[right + x]
                m = n if n > m else m
                lines[three + x] = m if m > t else t
        if y < 2:
            continue
        for column in range(1, columns - 1):
            index = np.int32((y - 1) * columns + column)
            here = U(base + index * lanes)
            up = U((((y - 2) % 3) * columns + column) * lanes)
            middle = U((((y - 1) % 3) * columns + column) * lanes)
            down = U(((y % 3) * columns + column) * lanes)
            for lane in range(lanes):
                x = U(lane)
                m, n, o = lines[middle + x], lines[up + x], lines[down + x]
                m = n if n > m else m
                m = o if o > m else m
                t = volume[here + x]
                t = t if t >= m else np.float32(-3)
                first = best[x]
                lesser = first if first < t else t
                second[x] = lesser if lesser > second[x] else second[x]
                higher = t > first
                best[x] = t if higher else first
                where[x] = index if higher else where[x]
    for column in range(columns):
        for y in (0, rows - 1):
            index = y * columns + column
            _border(volume, base + index * lanes, index, lanes, best, where, second, low)
    for y in range(1, rows - 1):
        for column in (0, columns - 1):
            index = y * columns + column
            _border(volume, base + index * lanes, index, lanes, best, where, second, low)


@njit(nogil=True, cache=True, fastmath=FAST)
def _noise_power(
    volume: Any, base: Any, rows: Any, columns: Any, lanes: Any, start: Any, posts: Any,
    where: Any, y: Any, x: Any, total: Any, count: Any, squared: Any,
) -> Any:  # fmt: skip
    """Mean square of each surface within SNR_RADIUS of its peak, the peak left out, into `total`.

    Of `posts` (up to LANES) posts from `start` on, together: over the union of their squares.
    """
    top, bottom, left, right = rows, 0, columns, 0
    for k in range(LANES):
        at = where[start + min(k, posts - 1)]
        y[k], x[k] = at // columns, at % columns
        top, bottom = min(top, y[k]), max(bottom, y[k])
        left, right = min(left, x[k]), max(right, x[k])
        total[k] = np.float32(0)
        count[k] = np.float32(0)
    r = np.int32(SNR_RADIUS)
    for i in range(max(top - r, 0), min(bottom + r + 1, rows)):
        for j in range(max(left - r, 0), min(right + r + 1, columns)):
            line = U(base + (i * columns + j) * lanes + start)
            dy, dx = np.int32(i), np.int32(j)
            for k in range(LANES):
                n = U(k)
                oy, ox = dy - y[n], dx - x[n]
                near = (oy <= r) & (oy >= -r) & (ox <= r) & (ox >= -r)
                near &= (oy != 0) | (ox != 0)
                t = volume[line + n]
                near &= t > MISSING
                total[n] += (t if squared else t * t) if near else np.float32(0)
                count[n] += np.float32(1) if near else np.float32(0)
    for k in range(LANES):
        total[k] /= max(count[k], np.float32(1))


@njit(nogil=True, cache=True, fastmath=FAST)
def _complete(volume: Any, base: Any, columns: Any, lanes: Any, iy: Any, ix: Any, r: Any) -> Any:
    """Whether every sample within `r` of (iy, ix) could be computed; `base`: that of the post."""
    for y in range(iy - r, iy + r + 1):
        for x in range(ix - r, ix + r + 1):
            if volume[base + (y * columns + x) * lanes] < MISSING:
                return False
    return True


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _measure(
    volume: Any, base: Any, rows: Any, columns: Any, lanes: Any, top: Any, at: Any, other: Any,
    low: Any, power: Any, tables: Any, w: Any, kx: Any, ky: Any, sums: Any, out: Any, squared: Any,
) -> Any:  # fmt: skip
    """Fill `out` (PLANES) for the post at `base`, whose highest sample is `top` at `at`."""
    out[:] = np.float32(np.nan)
    status = CLIPPED if low < MISSING else OK
    if top < MISSING:
        out[STATUS] = np.float32(status | EMPTY)
        return
    iy, ix = at // columns, at % columns
    out[PEAK] = min(top, np.float32(1))
    edge = iy == 0 or ix == 0 or iy == rows - 1 or ix == columns - 1
    if edge or (status & CLIPPED and not _complete(volume, base, columns, lanes, iy, ix, 1)):
        out[STATUS] = np.float32(status | EDGE)
        return
    support = min(iy, ix, rows - 1 - iy, columns - 1 - ix, LARGEST)
    while support > 1 and status & CLIPPED:
        if _complete(volume, base, columns, lanes, iy, ix, support):
            break
        support -= 1
    taps = 2 * support + 1
    for i in range(taps):
        corner = base + ((iy - support + i) * columns + ix - support) * lanes
        for j in range(taps):
            w[i * TAPS + j] = volume[U(corner + j * lanes)]
        for j in range(taps, TAPS):
            w[i * TAPS + j] = np.float32(0)
    if top >= IDENTICAL:
        # No offset between the samples can correlate better than that: the shift is whole.
        i = support * TAPS + support
        u = v = np.float32(0)
        hxx = w[i - 1] + w[i + 1] - np.float32(2) * top
        hyy = w[i - TAPS] + w[i + TAPS] - np.float32(2) * top
        hxy = np.float32(0)
        peak = top
    elif support >= SUPPORTS[0]:
        table = tables[support - SUPPORTS[0]]
        u, v, peak, hxx, hyy, hxy = refine(w, support, table, kx, ky, sums)
    else:
        i = support * TAPS + support
        u, hxx = _vertex(w[i - 1], top, w[i + 1])
        v, hyy = _vertex(w[i - TAPS], top, w[i + TAPS])
        hxy = np.float32(0.25) * (
            w[i + TAPS + 1] - w[i + TAPS - 1] - w[i - TAPS + 1] + w[i - TAPS - 1]
        )
        peak = top
    out[DX] = np.float32(ix) + u
    out[DY] = np.float32(iy) + v
    out[PEAK] = min(peak, np.float32(1))
    out[HXX], out[HYY], out[HXY] = hxx, hyy, hxy
    out[SNR] = (top if squared else top * top) / max(power, np.float32(1e-12))
    out[RATIO] = top / max(other, np.float32(1e-3))
    if squared:
        height = np.sqrt(max(out[PEAK], np.float32(1e-12)))
        out[PEAK] = height
        out[RATIO] = np.sqrt(out[RATIO])
        for plane in (HXX, HYY, HXY):
            out[plane] /= np.float32(2) * height
    out[SUPPORT] = np.float32(support)
    out[STATUS] = np.float32(status)


@njit(nogil=True, cache=True, fastmath=FAST)
def peak_room(columns: Any, lanes: Any) -> Any:
    """Working arrays for `peaks_of_row`, made once."""
    return (
        np.empty(lanes, np.float32), np.empty(lanes, np.int32), np.empty(lanes, np.float32),
        np.empty(lanes, np.float32), np.empty(3 * columns * lanes, np.float32),
        np.empty(LANES, np.int32), np.empty(LANES, np.int32), np.empty(LANES, np.float32),
        np.empty(LANES, np.float32), np.zeros(TAPS * TAPS, np.float32),
        np.empty(3 * TAPS, np.float32), np.empty(3 * TAPS, np.float32),
        np.empty(3 * TAPS, np.float32), np.empty(PLANES, np.float32),
    )  # fmt: skip


@njit(nogil=True, cache=True, fastmath=FAST)
def peaks_of_row(
    volume: Any, base: Any, rows: Any, columns: Any, lanes: Any, posts_x: Any, tables: Any,
    squared: Any, room: Any, result: Any,
) -> Any:  # fmt: skip
    """Peaks of a row of posts into `result` (PLANES, posts_x).

    `volume`: flat (rows, columns, lanes) from `base` on.
    Lanes from `posts_x` on are padding, to a multiple of LANES. Positions are in samples from the
    first offset; STATUS holds the bits EMPTY (nothing to search), EDGE (the highest sample has no
    complete neighbourhood) and CLIPPED (some offsets could not be tried). `squared`: the volume
    holds squares; what is returned is of their roots.
    """
    best, where, second, low, lines, y, x, total, count, w, kx, ky, sums, out = room
    supports, steps = tables.shape[:2]
    table = tables.reshape(supports, steps * 3 * TAPS)
    _scan(volume, base, rows, columns, lanes, best, where, second, low, lines)
    for start in range(0, posts_x, LANES):
        posts = min(LANES, posts_x - start)
        _noise_power(
            volume, base, rows, columns, lanes, start, posts, where, y, x, total, count, squared
        )
        for k in range(posts):
            i = start + k
            _measure(
                volume, base + i, rows, columns, lanes, best[i], where[i], second[i],
                low[i], total[k], table, w, kx, ky, sums, out, squared,
            )  # fmt: skip
            for plane in range(PLANES):
                result[plane, i] = out[plane]


@njit(nogil=True, cache=True, fastmath=FAST)
def find_peaks(volume: Any, posts_x: Any, tables: Any, squared: Any) -> Any:
    """Peaks of all posts of a whole volume (posts_y, rows, columns, lanes): see `peaks_of_row`."""
    posts_y, rows, columns, lanes = volume.shape
    flat = volume.reshape(-1)
    result = np.empty((PLANES, posts_y, posts_x), np.float32)
    room = peak_room(columns, lanes)
    for py in range(posts_y):
        peaks_of_row(
            flat, py * rows * columns * lanes, rows, columns, lanes, posts_x, tables, squared,
            room, result[:, py],
        )  # fmt: skip
    return result
