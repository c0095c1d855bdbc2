"""Sums of products over cells of step x step pixels, at eight offsets together.

The innermost loops of tracking. An image arrives packed in rows of planes: plane ``p`` of a row
holds its pixels ``p, p + s, p + 2 s, ...`` (s: the step along x), so that neighbouring cells are
neighbouring lanes and each loop runs over contiguous memory. One function serves 8 (4, 2, 1)
planes of a cell at eight neighbouring offsets: 8 x 8 products from 8 + 15 loads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

# Indices are unsigned: a signed one is checked for wrap-around, which keeps loops scalar.
# Contraction to fused multiply-adds only: NaN and infinity keep their meaning.
FAST = {"contract"}

LANES = 128
"""Cells across one strip; a constant, so that the compiler sees that no two streams overlap."""
REACH = 32
"""Further lanes of the secondary, for the offsets."""
B_LANES = LANES + REACH
TOGETHER = 8
"""Offsets along x that share their loads."""


def secondary_planes(step: int) -> int:
    """Planes of a row of the secondary: a cell's own, and those that eight offsets reach."""
    return step + 2 * TOGETHER - 2


@njit(nogil=True, cache=True, fastmath=FAST)
def pack(image: Any, step: Any, planes: Any, lanes: Any, first: Any, out: Any) -> Any:
    """Rows of `image` from column `first` as flat (row, plane, lane); zero beyond the image.

    Returns how much of `out` was filled: it may have room for more rows than the image has.
    """
    rows, cols = image.shape
    rows = min(rows, out.size // (planes * lanes))
    for y in range(rows):
        for p in range(planes):
            o = U((y * planes + p) * lanes)
            start = first + p
            n = max(min(lanes, (cols - start + step - 1) // step), 0)
            for k in range(n):
                out[o + U(k)] = image[y, start + k * step]
            for k in range(n, lanes):
                out[o + U(k)] = np.float32(0)
    return rows * planes * lanes


# fmt: off
@njit(nogil=True, cache=True, fastmath=FAST)
def add_8_planes(
    pa: Any, ia: Any, sa: Any, pb: Any, ib: Any, sb: Any, rows: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:
    """acc[d, lane] += sum over `rows` rows and 8 planes p of a[p, lane] b[p + d, lane]."""
    o = U(at)
    for r in range(rows):
        a = U(ia + r * sa)
        b = U(ib + r * sb)
        for lane in range(lanes):
            x = U(lane)
            i, j = a + x, b + x
            a0, a1 = pa[i], pa[i + U(LANES)]
            a2, a3 = pa[i + U(2 * LANES)], pa[i + U(3 * LANES)]
            a4, a5 = pa[i + U(4 * LANES)], pa[i + U(5 * LANES)]
            a6, a7 = pa[i + U(6 * LANES)], pa[i + U(7 * LANES)]
            b0, b1, b2 = pb[j], pb[j + U(B_LANES)], pb[j + U(2 * B_LANES)]
            b3, b4, b5 = pb[j + U(3 * B_LANES)], pb[j + U(4 * B_LANES)], pb[j + U(5 * B_LANES)]
            b6, b7, b8 = pb[j + U(6 * B_LANES)], pb[j + U(7 * B_LANES)], pb[j + U(8 * B_LANES)]
            b9, b10 = pb[j + U(9 * B_LANES)], pb[j + U(10 * B_LANES)]
            b11, b12 = pb[j + U(11 * B_LANES)], pb[j + U(12 * B_LANES)]
            b13, b14 = pb[j + U(13 * B_LANES)], pb[j + U(14 * B_LANES)]
            acc[o + x] += a0*b0 + a1*b1 + a2*b2 + a3*b3 + a4*b4 + a5*b5 + a6*b6 + a7*b7
            acc[o + x + U(LANES)] += (
                a0*b1 + a1*b2 + a2*b3 + a3*b4 + a4*b5 + a5*b6 + a6*b7 + a7*b8)
            acc[o + x + U(2 * LANES)] += (
                a0*b2 + a1*b3 + a2*b4 + a3*b5 + a4*b6 + a5*b7 + a6*b8 + a7*b9)
            acc[o + x + U(3 * LANES)] += (
                a0*b3 + a1*b4 + a2*b5 + a3*b6 + a4*b7 + a5*b8 + a6*b9 + a7*b10)
            acc[o + x + U(4 * LANES)] += (
                a0*b4 + a1*b5 + a2*b6 + a3*b7 + a4*b8 + a5*b9 + a6*b10 + a7*b11)
            acc[o + x + U(5 * LANES)] += (
                a0*b5 + a1*b6 + a2*b7 + a3*b8 + a4*b9 + a5*b10 + a6*b11 + a7*b12)
            acc[o + x + U(6 * LANES)] += (
                a0*b6 + a1*b7 + a2*b8 + a3*b9 + a4*b10 + a5*b11 + a6*b12 + a7*b13)
            acc[o + x + U(7 * LANES)] += (
                a0*b7 + a1*b8 + a2*b9 + a3*b10 + a4*b11 + a5*b12 + a6*b13 + a7*b14)


@njit(nogil=True, cache=True, fastmath=FAST)
def add_4_planes(
    pa: Any, ia: Any, sa: Any, pb: Any, ib: Any, sb: Any, rows: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:
    """The same over 4 planes."""
    o = U(at)
    for r in range(rows):
        a = U(ia + r * sa)
        b = U(ib + r * sb)
        for lane in range(lanes):
            x = U(lane)
            i, j = a + x, b + x
            a0, a1 = pa[i], pa[i + U(LANES)]
            a2, a3 = pa[i + U(2 * LANES)], pa[i + U(3 * LANES)]
            b0, b1, b2 = pb[j], pb[j + U(B_LANES)], pb[j + U(2 * B_LANES)]
            b3, b4, b5 = pb[j + U(3 * B_LANES)], pb[j + U(4 * B_LANES)], pb[j + U(5 * B_LANES)]
            b6, b7, b8 = pb[j + U(6 * B_LANES)], pb[j + U(7 * B_LANES)], pb[j + U(8 * B_LANES)]
            b9, b10 = pb[j + U(9 * B_LANES)], pb[j + U(10 * B_LANES)]
            acc[o + x] += a0*b0 + a1*b1 + a2*b2 + a3*b3
            acc[o + x + U(LANES)] += a0*b1 + a1*b2 + a2*b3 + a3*b4
            acc[o + x + U(2 * LANES)] += a0*b2 + a1*b3 + a2*b4 + a3*b5
            acc[o + x + U(3 * LANES)] += a0*b3 + a1*b4 + a2*b5 + a3*b6
            acc[o + x + U(4 * LANES)] += a0*b4 + a1*b5 + a2*b6 + a3*b7
            acc[o + x + U(5 * LANES)] += a0*b5 + a1*b6 + a2*b7 + a3*b8
            acc[o + x + U(6 * LANES)] += a0*b6 + a1*b7 + a2*b8 + a3*b9
            acc[o + x + U(7 * LANES)] += a0*b7 + a1*b8 + a2*b9 + a3*b10


@njit(nogil=True, cache=True, fastmath=FAST)
def add_1_plane(
    pa: Any, ia: Any, sa: Any, pb: Any, ib: Any, sb: Any, rows: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:
    """The same over one plane."""
    o = U(at)
    for r in range(rows):
        a = U(ia + r * sa)
        b = U(ib + r * sb)
        for lane in range(lanes):
            x = U(lane)
            j = b + x
            a0 = pa[a + x]
            acc[o + x] += a0 * pb[j]
            acc[o + x + U(LANES)] += a0 * pb[j + U(B_LANES)]
            acc[o + x + U(2 * LANES)] += a0 * pb[j + U(2 * B_LANES)]
            acc[o + x + U(3 * LANES)] += a0 * pb[j + U(3 * B_LANES)]
            acc[o + x + U(4 * LANES)] += a0 * pb[j + U(4 * B_LANES)]
            acc[o + x + U(5 * LANES)] += a0 * pb[j + U(5 * B_LANES)]
            acc[o + x + U(6 * LANES)] += a0 * pb[j + U(6 * B_LANES)]
            acc[o + x + U(7 * LANES)] += a0 * pb[j + U(7 * B_LANES)]


@njit(nogil=True, cache=True, fastmath=FAST)
def add_8_once(
    pa: Any, ia: Any, sa: Any, pb: Any, ib: Any, sb: Any, rows: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:
    """acc[lane] += sum over rows and 8 planes of a[p, lane] b[p, lane]: a single offset."""
    o = U(at)
    for r in range(rows):
        a = U(ia + r * sa)
        b = U(ib + r * sb)
        for lane in range(lanes):
            x = U(lane)
            i, j = a + x, b + x
            acc[o + x] += (
                (pa[i]*pb[j] + pa[i + U(LANES)]*pb[j + U(B_LANES)])
                + (pa[i + U(2 * LANES)]*pb[j + U(2 * B_LANES)]
                   + pa[i + U(3 * LANES)]*pb[j + U(3 * B_LANES)])
            ) + (
                (pa[i + U(4 * LANES)]*pb[j + U(4 * B_LANES)]
                 + pa[i + U(5 * LANES)]*pb[j + U(5 * B_LANES)])
                + (pa[i + U(6 * LANES)]*pb[j + U(6 * B_LANES)]
                   + pa[i + U(7 * LANES)]*pb[j + U(7 * B_LANES)])
            )


@njit(nogil=True, cache=True, fastmath=FAST)
def add_1_once(
    pa: Any, ia: Any, sa: Any, pb: Any, ib: Any, sb: Any, rows: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:
    """The same over one plane."""
    o = U(at)
    for r in range(rows):
        a = U(ia + r * sa)
        b = U(ib + r * sb)
        for lane in range(lanes):
            x = U(lane)
            acc[o + x] += pa[a + x] * pb[b + x]
# fmt: on


@njit(nogil=True, cache=True, fastmath=FAST)
def _some_planes(
    pa: Any, pb: Any, planes_a: Any, planes_b: Any, row_a: Any, row_b: Any, rows: Any,
    first: Any, count: Any, offset: Any, single: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:  # fmt: skip
    """Add the products of `count` planes from `first` on, at eight offsets or a `single` one."""
    sa, sb = planes_a * LANES, planes_b * B_LANES
    p = first
    left = count
    while left > 0:
        column = p + offset
        ia = row_a * sa + p * LANES
        ib = row_b * sb + (column % planes_a) * B_LANES + column // planes_a
        if single and left >= 8:
            n = 8
            add_8_once(pa, ia, sa, pb, ib, sb, rows, acc, at, lanes)
        elif single:
            n = 1
            add_1_once(pa, ia, sa, pb, ib, sb, rows, acc, at, lanes)
        elif left >= 8:
            n = 8
            add_8_planes(pa, ia, sa, pb, ib, sb, rows, acc, at, lanes)
        elif left >= 4:
            n = 4
            add_4_planes(pa, ia, sa, pb, ib, sb, rows, acc, at, lanes)
        else:
            n = 1
            add_1_plane(pa, ia, sa, pb, ib, sb, rows, acc, at, lanes)
        p += n
        left -= n


@njit(nogil=True, cache=True)
def padded_offsets(offsets: Any) -> Any:
    """Room for the sums of so many offsets: eight at a time, but one or two at the end singly."""
    rest = offsets % TOGETHER
    return offsets if rest < 3 else offsets + TOGETHER - rest


@njit(nogil=True, cache=True, fastmath=FAST)
def cell_products(
    pa: Any, pb: Any, planes_a: Any, planes_b: Any, row_a: Any, row_b: Any, rows: Any,
    first: Any, count: Any, offsets: Any, acc: Any, at: Any,
    lanes: Any,
) -> Any:  # fmt: skip
    """acc[at + d * LANES + lane] += the products of some planes and rows at offset d, for all d.

    Only the first `lanes` lanes are summed. Two rows at a time go through all offsets: so much
    stays in the nearest cache.
    """
    for r in range(0, rows, 2):
        n = min(2, rows - r)
        d = 0
        while d < offsets:
            single = offsets - d < 3
            _some_planes(
                pa, pb, planes_a, planes_b, row_a + r, row_b + r, n, first, count, d, single,
                acc, at + d * LANES, lanes,
            )  # fmt: skip
            d += 1 if single else TOGETHER


@njit(nogil=True, cache=True, fastmath=FAST)
def sum_rows(
    src: Any, at: Any, stride: Any, first: Any, ring: Any, count: Any, out: Any, o: Any,
    width: Any,
) -> Any:  # fmt: skip
    """out[o + x] = sum over q < count of src[at + ((first + q) % ring) * stride + x], x < width.

    The order of the sum does not depend on where in the ring it begins.
    """
    w = U(o)
    q = 0
    if count == 8:
        i0 = U(at + (first % ring) * stride)
        i1 = U(at + ((first + 1) % ring) * stride)
        i2 = U(at + ((first + 2) % ring) * stride)
        i3 = U(at + ((first + 3) % ring) * stride)
        i4 = U(at + ((first + 4) % ring) * stride)
        i5 = U(at + ((first + 5) % ring) * stride)
        i6 = U(at + ((first + 6) % ring) * stride)
        i7 = U(at + ((first + 7) % ring) * stride)
        for lane in range(width):
            x = U(lane)
            out[w + x] = ((src[i0 + x] + src[i1 + x]) + (src[i2 + x] + src[i3 + x])) + (
                (src[i4 + x] + src[i5 + x]) + (src[i6 + x] + src[i7 + x])
            )
        return
    if count < 4:
        for lane in range(width):
            out[w + U(lane)] = np.float32(0)
    while count - q >= 4:
        i0 = U(at + ((first + q) % ring) * stride)
        i1 = U(at + ((first + q + 1) % ring) * stride)
        i2 = U(at + ((first + q + 2) % ring) * stride)
        i3 = U(at + ((first + q + 3) % ring) * stride)
        if q == 0:
            for lane in range(width):
                x = U(lane)
                out[w + x] = (src[i0 + x] + src[i1 + x]) + (src[i2 + x] + src[i3 + x])
        else:
            for lane in range(width):
                x = U(lane)
                out[w + x] += (src[i0 + x] + src[i1 + x]) + (src[i2 + x] + src[i3 + x])
        q += 4
    while q < count:
        i0 = U(at + ((first + q) % ring) * stride)
        for lane in range(width):
            out[w + U(lane)] += src[i0 + U(lane)]
        q += 1
