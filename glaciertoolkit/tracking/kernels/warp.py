"""Sums over a template and over the image that an affine warp lays upon it.

The two-dimensional spline is applied along rows, then along columns (two passes of 8 taps instead
of 64). Columns of a template are taken in strips of `LANES` pixels: a warp close to the identity
keeps the whole-pixel part of the position constant across a strip, so every load is contiguous;
where the fraction slightly leaves [0, 1) inside a strip the polynomials are continued, which a
spline with six continuous derivatives forgives. All sums are kept by column of a strip, so that
no loop over pixels ends in a sum across a vector, and those of the gradient also by rows of blocks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

FAST = {"contract", "reassoc"}
LANES = 16
BLOCK = 4
"""Rows and columns of the blocks whose sums show the scatter of the gradient."""
BEFORE, AFTER = 3, 4
"""Coefficients that a sample needs before and after its position."""
PAD = 8
"""Coefficients before the image's first pixel; after its last come `PAD + 2 LANES`."""
STEEPEST = 0.125
"""Largest gradient of the displacement that the strips can follow."""

# Planes of a packed template: weight w, and w times the image, its gradients and their divergence.
W, WA, WX, WY, WL = range(5)
PLANES = 5
# Sums of a template by column; eta: rows from its centre, d: one of the pairs xx, xy, yy.
# Those before FIRST are used as they are, those before SECOND also times xi, the rest also xi^2.
N, A, AA, L, EX, EY, EXA, EYA, EED = 0, 1, 2, 3, 4, 5, 6, 7, 8
X, Y, XA, YA, ED = 11, 12, 13, 14, 15
D = 18
FIRST, SECOND, SUMS = 11, 18, 21
# Sums with the sampled image b by column.
B, BB, AB, EXB, EYB, LB = range(6)
XB, YB = 6, 7
CROSS_FIRST, CROSS = 6, 8
# Sums of the gradient's products by rows of blocks: x, y, x a, y a; x b, y b.
BLOCK_SUMS, BLOCK_CROSS = 4, 2

F = np.float32
# Pieces of the septic B-spline about the middle of their interval, t: tap k of the first four has
# the weight EVEN[k](t^2) - t ODD[k](t^2), its mirror image the sum.
EVEN = (
    (F(1 / 645120), F(1 / 7680), F(1 / 1152), F(1 / 1440)),
    (F(2179 / 645120), F(47 / 1536), F(19 / 1152), F(-1 / 288)),
    (F(20219 / 215040), F(403 / 2560), F(-7 / 128), F(1 / 160)),
    (F(259723 / 645120), F(-289 / 1536), F(43 / 1152), F(-1 / 288)),
)
ODD = (
    (F(1 / 46080), F(1 / 2304), F(1 / 960), F(1 / 5040)),
    (F(721 / 46080), F(73 / 2304), F(1 / 960), F(-1 / 720)),
    (F(9821 / 46080), F(5 / 2304), F(-19 / 960), F(1 / 240)),
    (F(289 / 1024), F(-43 / 256), F(3 / 64), F(-1 / 144)),
)


@njit(nogil=True, cache=True, fastmath=FAST)
def polynomial(c: Any, s: Any) -> Any:
    """c[0] + c[1] s + c[2] s^2 + c[3] s^3."""
    return c[0] + s * (c[1] + s * (c[2] + s * c[3]))


@njit(nogil=True, cache=True, fastmath=FAST)
def septic(t: Any, c0: Any, c1: Any, c2: Any, c3: Any, c4: Any, c5: Any, c6: Any, c7: Any) -> Any:
    """Septic B-spline `t` pixels from the middle between c3 and c4."""
    s = t * t
    even = (
        polynomial(EVEN[0], s) * (c0 + c7)
        + polynomial(EVEN[1], s) * (c1 + c6)
        + (polynomial(EVEN[2], s) * (c2 + c5) + polynomial(EVEN[3], s) * (c3 + c4))
    )
    odd = (
        polynomial(ODD[0], s) * (c7 - c0)
        + polynomial(ODD[1], s) * (c6 - c1)
        + (polynomial(ODD[2], s) * (c5 - c2) + polynomial(ODD[3], s) * (c4 - c3))
    )
    return even + t * odd


@njit(nogil=True, cache=True, fastmath=FAST)
def sample_rows(
    coefficients: Any, start: Any, width: Any, count: Any, x: Any, drift: Any, stretch: Any,
    lane: Any, out: Any,
) -> Any:  # fmt: skip
    """Sample `count` rows of flat `coefficients` (from index `start`) at LANES positions each.

    Column j of the strip lies at x + j + stretch lane in the first row, moving by `drift` a row;
    `lane` counts from the middle of the strip.
    """
    for v in range(count):
        at = x + drift * v
        k = math.floor(at)
        f = F(at - k - 0.5)
        p = U(start + v * width + int(k) - BEFORE)
        q = U(v * LANES)
        for j in range(LANES):
            i = U(j)
            out[q + i] = septic(
                f + F(stretch) * lane[i],
                coefficients[p + i], coefficients[p + i + U(1)], coefficients[p + i + U(2)],
                coefficients[p + i + U(3)], coefficients[p + i + U(4)], coefficients[p + i + U(5)],
                coefficients[p + i + U(6)], coefficients[p + i + U(7)],
            )  # fmt: skip


@njit(nogil=True, cache=True, fastmath=FAST)
def sample_columns(
    rows: Any, y: Any, slope: Any, tilt: Any, lane: Any, shift: Any, ty: Any,
    packed: Any, base: Any, cross: Any, first: Any, blocks: Any, first_block: Any,
) -> Any:  # fmt: skip
    """Sample `rows` at y + slope i + tilt lane (i: row of the template) and sum its products.

    `shift` is subtracted from the image; `base`, `first`, `first_block` are where the strip's
    packed template and sums begin.
    """
    o, half = U(first), F(0.5) * F(ty - 1)
    for i in range(ty):
        at = y + slope * i
        k = math.floor(at)
        f = F(at - k - 0.5)
        q = U((int(k) - BEFORE) * LANES)
        p = U(base + i * PLANES * LANES)
        eta = F(i) - half
        ob = U(first_block + (i // BLOCK) * BLOCK_CROSS * LANES)
        for j in range(LANES):
            c = U(j)
            b = septic(
                f + F(tilt) * lane[c],
                rows[q + c], rows[q + c + U(LANES)], rows[q + c + U(2 * LANES)],
                rows[q + c + U(3 * LANES)], rows[q + c + U(4 * LANES)], rows[q + c + U(5 * LANES)],
                rows[q + c + U(6 * LANES)], rows[q + c + U(7 * LANES)],
            ) - shift  # fmt: skip
            wb = packed[p + c] * b
            xb = packed[p + c + U(WX * LANES)] * b
            yb = packed[p + c + U(WY * LANES)] * b
            cross[o + c] += wb
            cross[o + c + U(BB * LANES)] += wb * b
            cross[o + c + U(AB * LANES)] += packed[p + c + U(WA * LANES)] * b
            cross[o + c + U(EXB * LANES)] += eta * xb
            cross[o + c + U(EYB * LANES)] += eta * yb
            cross[o + c + U(LB * LANES)] += packed[p + c + U(WL * LANES)] * b
            cross[o + c + U(XB * LANES)] += xb
            cross[o + c + U(YB * LANES)] += yb
            blocks[ob + c] += xb
            blocks[ob + c + U(LANES)] += yb


@njit(nogil=True, cache=True, fastmath=FAST)
def weigh(
    a: Any, valid: Any, width: Any, start: Any, strips: Any, tx: Any, ty: Any, packed: Any
) -> Any:
    """Fill the weights of `packed` from a's validity.

    Returns their sum, the sum of a's validity and the weighted sum of the image.
    """
    total, weight = F(0), F(0)
    for s in range(strips):
        last = tx - s * LANES
        for i in range(ty):
            q = U((s * ty + i) * PLANES * LANES)
            p = U(start + i * width + s * LANES)
            for j in range(LANES):
                c = U(j)
                w = valid[p + c] if j < last else F(0)
                packed[q + c] = w
                weight += w
                total += w * a[p + c]
    return weight, weight, total


@njit(nogil=True, cache=True, fastmath=FAST)
def weigh_both(
    a: Any, valid: Any, width: Any, start: Any, strips: Any, tx: Any, ty: Any, packed: Any,
    b_valid: Any, b_width: Any, b_start: Any, fy: Any, fx: Any,
) -> Any:  # fmt: skip
    """The same, each weight times b's validity at the displacement.

    That is interpolated linearly between pixels to the fraction (fy, fx).
    """
    total, weight, valid_a = F(0), F(0), F(0)
    w00, w01 = F((1 - fy) * (1 - fx)), F((1 - fy) * fx)
    w10, w11 = F(fy * (1 - fx)), F(fy * fx)
    for s in range(strips):
        last = tx - s * LANES
        for i in range(ty):
            q = U((s * ty + i) * PLANES * LANES)
            p = U(start + i * width + s * LANES)
            r0 = U(b_start + i * b_width + s * LANES)
            r1 = U(b_start + (i + 1) * b_width + s * LANES)
            for j in range(LANES):
                c = U(j)
                w = valid[p + c] if j < last else F(0)
                valid_a += w
                w *= (
                    w00 * b_valid[r0 + c]
                    + w01 * b_valid[r0 + c + U(1)]
                    + w10 * b_valid[r1 + c]
                    + w11 * b_valid[r1 + c + U(1)]
                )
                packed[q + c] = w
                weight += w
                total += w * a[p + c]
    return weight, valid_a, total


@njit(nogil=True, cache=True, fastmath=FAST)
def rough_level(image: Any, width: Any, start: Any, strips: Any, ty: Any) -> Any:
    """Mean of every fourth row of a template: subtracted so that float32 sums keep their digits."""
    total, rows = F(0), 0
    for i in range(0, ty, 4):
        p = U(start + i * width)
        rows += 1
        for j in range(strips * LANES):
            total += image[p + U(j)]
    return total / F(rows * strips * LANES)


@njit(nogil=True, cache=True, fastmath=FAST)
def pack(
    a: Any, gx: Any, gy: Any, divergence: Any, width: Any, start: Any, ty: Any, mean: Any,
    packed: Any, base: Any, sums: Any, first: Any, blocks: Any, first_block: Any,
) -> Any:  # fmt: skip
    """Pack one strip of a template, its weights given, and sum what does not depend on b."""
    o, half = U(first), F(0.5) * F(ty - 1)
    for i in range(ty):
        p, q = U(start + i * width), U(base + i * PLANES * LANES)
        eta = F(i) - half
        eta2 = eta * eta
        ob = U(first_block + (i // BLOCK) * BLOCK_SUMS * LANES)
        for j in range(LANES):
            c = U(j)
            w, v, x, y = packed[q + c], a[p + c] - mean, gx[p + c], gy[p + c]
            wv, wx, wy, wl = w * v, w * x, w * y, w * divergence[p + c]
            packed[q + c + U(WA * LANES)] = wv
            packed[q + c + U(WX * LANES)] = wx
            packed[q + c + U(WY * LANES)] = wy
            packed[q + c + U(WL * LANES)] = wl
            xa, ya, xx, xy, yy = wx * v, wy * v, wx * x, wx * y, wy * y
            sums[o + c] += w
            sums[o + c + U(A * LANES)] += wv
            sums[o + c + U(AA * LANES)] += wv * v
            sums[o + c + U(L * LANES)] += wl
            sums[o + c + U(EX * LANES)] += eta * wx
            sums[o + c + U(EY * LANES)] += eta * wy
            sums[o + c + U(EXA * LANES)] += eta * xa
            sums[o + c + U(EYA * LANES)] += eta * ya
            sums[o + c + U(EED * LANES)] += eta2 * xx
            sums[o + c + U((EED + 1) * LANES)] += eta2 * xy
            sums[o + c + U((EED + 2) * LANES)] += eta2 * yy
            sums[o + c + U(X * LANES)] += wx
            sums[o + c + U(Y * LANES)] += wy
            sums[o + c + U(XA * LANES)] += xa
            sums[o + c + U(YA * LANES)] += ya
            sums[o + c + U(ED * LANES)] += eta * xx
            sums[o + c + U((ED + 1) * LANES)] += eta * xy
            sums[o + c + U((ED + 2) * LANES)] += eta * yy
            sums[o + c + U(D * LANES)] += xx
            sums[o + c + U((D + 1) * LANES)] += xy
            sums[o + c + U((D + 2) * LANES)] += yy
            blocks[ob + c] += wx
            blocks[ob + c + U(LANES)] += wy
            blocks[ob + c + U(2 * LANES)] += xa
            blocks[ob + c + U(3 * LANES)] += ya


@njit(nogil=True, cache=True, fastmath=FAST)
def clear(values: Any) -> Any:
    """Set all values to zero."""
    for i in range(values.size):
        values[U(i)] = 0


@njit(nogil=True, cache=True, fastmath=FAST)
def fold(sums: Any, strips: Any, planes: Any, first: Any, second: Any, xi: Any, out: Any) -> Any:
    """Add up sums by column: out[k] holds the sum, from `first` on also the sum times xi, from
    `second` on also times xi^2, with xi each column's distance from the centre."""
    for k in range(planes):
        s0, s1, s2 = F(0), F(0), F(0)
        for s in range(strips):
            p, q = U((s * planes + k) * LANES), U(s * LANES)
            if k < first:
                for j in range(LANES):
                    s0 += sums[p + U(j)]
            elif k < second:
                for j in range(LANES):
                    v = sums[p + U(j)]
                    s0 += v
                    s1 += v * xi[q + U(j)]
            else:
                for j in range(LANES):
                    v, x = sums[p + U(j)], xi[q + U(j)]
                    s0 += v
                    s1 += v * x
                    s2 += v * x * x
        out[k, 0], out[k, 1], out[k, 2] = s0, s1, s2
