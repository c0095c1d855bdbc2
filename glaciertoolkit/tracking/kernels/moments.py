"""Where in a template the gradients of the image are: cell by cell, for errors and resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

FAST = {"contract"}

XX, XY, YY, XX_X, XY_X, YY_X, XX_Y, XY_Y, YY_Y = range(9)
SUMS = 9
REACH = 3


@njit(nogil=True, cache=True, fastmath=FAST)
def gradient_moments(image: Any, valid: Any, edges_y: Any, edges_x: Any) -> Any:
    """Sums over cells of the products of the image's gradients, and of those times x and y.

    `edges_y`, `edges_x`: first pixel of each cell, and the end of the last. Returns float64
    (SUMS, cells_y, cells_x); x and y count from the first pixel of the image. A pixel with a
    missing neighbour has no gradient. Every row counts: gradients down the columns differ from
    one row to the next, and with every second one the texture would seem to lie twice as unevenly.
    """
    rows, cols = image.shape
    ny, nx = edges_y.size - 1, edges_x.size - 1
    out = np.zeros((SUMS, ny, nx))
    line = np.zeros((6, cols), np.float32)
    # The third-order central difference: the plain one is blind to the finest texture.
    c1, c2, c3 = np.float32(0.75), np.float32(-0.15), np.float32(1 / 60)
    for cell in range(ny):
        line[:] = np.float32(0)
        first, last = edges_y[cell], edges_y[cell + 1]
        for y in range(max(first, REACH), min(last, rows - REACH)):
            part = np.float32(y - first)
            here, ok = image[y], valid[y]
            up, up2, up3 = image[y - 1], image[y - 2], image[y - 3]
            down, down2, down3 = image[y + 1], image[y + 2], image[y + 3]
            ok_up, ok_up3, ok_down, ok_down3 = (
                valid[y - 1], valid[y - 3], valid[y + 1], valid[y + 3],
            )  # fmt: skip
            for column in range(REACH, cols - REACH):
                x = U(column)
                good = ok[x - U(1)] & ok[x + U(1)] & ok[x - U(3)] & ok[x + U(3)]
                good &= ok_up[x] & ok_down[x] & ok_up3[x] & ok_down3[x]
                gx = (
                    c1 * (here[x + U(1)] - here[x - U(1)])
                    + c2 * (here[x + U(2)] - here[x - U(2)])
                    + c3 * (here[x + U(3)] - here[x - U(3)])
                )
                gy = c1 * (down[x] - up[x]) + c2 * (down2[x] - up2[x]) + c3 * (down3[x] - up3[x])
                gx = gx if good else np.float32(0)
                gy = gy if good else np.float32(0)
                xx, xy, yy = gx * gx, gx * gy, gy * gy
                line[0, x] += xx
                line[1, x] += xy
                line[2, x] += yy
                line[3, x] += xx * part
                line[4, x] += xy * part
                line[5, x] += yy * part
        for c in range(nx):
            for k in range(3):
                total = along_x = along_y = 0.0
                for i in range(edges_x[c], edges_x[c + 1]):
                    total += line[k, i]
                    along_x += line[k, i] * i
                    along_y += line[k + 3, i]
                out[k, cell, c] = total
                out[k + 3, cell, c] = along_x
                out[k + 6, cell, c] = along_y + total * first
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def _median(a: Any, b: Any, c: Any) -> Any:
    """Median of three values, of those that are not NaN; NaN if none is."""
    if np.isnan(a):
        a, c = c, a
    if np.isnan(b):
        b, c = c, b
    if np.isnan(a):
        a, b = b, a
    if np.isnan(b):
        return a
    if np.isnan(c):
        return np.float32(0.5) * (a + b)
    return max(min(a, b), min(max(a, b), c))


@njit(nogil=True, cache=True, fastmath=FAST)
def neighbour_gradients(values: Any, hy: Any, hx: Any) -> Any:
    """Gradient of a field per post along x and y: (2, rows, columns), 0 where it is unknown.

    Each is the median of three differences over `2 h` posts, so that a single outlier does not
    count; at the edges of the field the differences are one-sided.
    """
    rows, cols = values.shape
    out = np.zeros((2, rows, cols), np.float32)
    part = np.empty(3, np.float32)
    for y in range(rows):
        up, down = max(y - hy, 0), min(y + hy, rows - 1)
        for x in range(cols):
            left, right = max(x - hx, 0), min(x + hx, cols - 1)
            if right > left:
                for k in range(3):
                    row = min(max(y + (k - 1) * hy, 0), rows - 1)
                    part[k] = (values[row, right] - values[row, left]) / np.float32(right - left)
                slope = _median(part[0], part[1], part[2])
                out[0, y, x] = np.float32(0) if np.isnan(slope) else slope
            if down > up:
                for k in range(3):
                    column = min(max(x + (k - 1) * hx, 0), cols - 1)
                    part[k] = (values[down, column] - values[up, column]) / np.float32(down - up)
                slope = _median(part[0], part[1], part[2])
                out[1, y, x] = np.float32(0) if np.isnan(slope) else slope
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def neighbour_bends(values: Any, hy: Any, hx: Any) -> Any:
    """Second derivatives of a field per post squared, along x and y: (2, rows, columns).

    Each is the median of three second differences over `2 h` posts, 0 where it is unknown; at the
    edges of the field that of the nearest post which has neighbours.
    """
    rows, cols = values.shape
    out = np.zeros((2, rows, cols), np.float32)
    part = np.empty(3, np.float32)
    two = np.float32(2)
    for y in range(rows):
        row = min(max(y, hy), rows - 1 - hy)
        for x in range(cols):
            column = min(max(x, hx), cols - 1 - hx)
            if column >= hx:
                for k in range(3):
                    i = min(max(y + (k - 1) * hy, 0), rows - 1)
                    ends = values[i, column - hx] + values[i, column + hx]
                    part[k] = (ends - two * values[i, column]) / np.float32(hx * hx)
                bend = _median(part[0], part[1], part[2])
                out[0, y, x] = np.float32(0) if np.isnan(bend) else bend
            if row >= hy:
                for k in range(3):
                    j = min(max(x + (k - 1) * hx, 0), cols - 1)
                    ends = values[row - hy, j] + values[row + hy, j]
                    part[k] = (ends - two * values[row, j]) / np.float32(hy * hy)
                bend = _median(part[0], part[1], part[2])
                out[1, y, x] = np.float32(0) if np.isnan(bend) else bend
    return out
