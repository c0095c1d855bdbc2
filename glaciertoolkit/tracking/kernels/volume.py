"""The correlation volume of a tile: every post at every whole-pixel offset.

Where posts lie on a regular grid, neighbouring templates overlap, and the product sum of one cell
(step x step pixels) at one offset serves every template that contains the cell. A template is
``m`` whole cells and a remainder of ``r`` pixels along each axis (``T = m * step + r``), so one
post costs ``step**2`` multiply-adds an offset, whatever the size of its template.

Several products can be summed at once (`terms`): those of several planes of an image, or the six
sums of the zero-mean correlation of images with missing pixels. Sums are formed in an order that
does not depend on where a tile begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

from glaciertoolkit.tracking.kernels.products import (
    FAST,
    LANES,
    cell_products,
    padded_offsets,
    sum_rows,
)
from glaciertoolkit.tracking.kernels.subpixel import peak_room, peaks_of_row

INVALID = np.float32(-2.0)
"""What stands in the volume where nothing could be correlated."""

# How the sums of a post and offset become a correlation.
WHOLE, MASKED, PHASOR, COHERENT = range(4)


@njit(nogil=True, cache=True, fastmath=FAST)
def _zero(out: Any, at: Any, count: Any) -> Any:
    o = U(at)
    for k in range(count):
        out[o + U(k)] = np.float32(0)


@njit(nogil=True, cache=True, fastmath=FAST)
def _combine(acc: Any, part: Any, ring: Any, at: Any, size: Any, stride: Any, offsets: Any) -> Any:
    """Put sums by (rows before the remainder's end, planes before it) into the rings of each kind.

    Kinds: whole cells, their first planes, their first rows, the first planes of the first rows.
    """
    for d in range(offsets):
        i = U(d * LANES)
        o = U(at + d * stride)
        p, q = U(part), U(size)
        for lane in range(LANES):
            x = U(lane)
            hh, ht = acc[i + x], acc[p + i + x]
            th, tt = acc[U(2) * p + i + x], acc[U(3) * p + i + x]
            ring[o + x] = (hh + ht) + (th + tt)
            ring[q + o + x] = hh + th
            ring[U(2) * q + o + x] = hh + ht
            ring[U(3) * q + o + x] = hh


@njit(nogil=True, cache=True, fastmath=FAST)
def _cell_row(
    pa: Any, pb: Any, terms: Any, ring: Any, acc: Any, cell: Any, slot: Any, dy0: Any, dys: Any,
    layout: Any,
) -> Any:  # fmt: skip
    """Sums of one row of cells at the offsets of a chunk, into slot `slot` of the rings."""
    step_y, step_x, my, ry, mx, rx, planes_b, a_rows, b_rows, groups, offsets, sums = layout[:12]
    padded, size, kinds, lanes = layout[12:]
    width = groups * LANES
    part = padded * LANES
    direct = kinds == 1 and groups == 1
    for i in range(dys):
        at = (slot * dys + i) * padded * width
        for s in range(sums):
            for g in range(groups):
                target = ring if direct else acc
                o = s * size + at if direct else 0
                _zero(target, o, part if direct else 4 * part)
                for t in range(terms.shape[0]):
                    if terms[t, 2] != s:
                        continue
                    a, b = pa[terms[t, 0]], pb[terms[t, 1]]
                    ra, rb = g * a_rows + cell * step_y, g * b_rows + cell * step_y + dy0 + i
                    for tail in range(2):
                        if my == 0 and tail == 1:
                            continue
                        y, rows = (ry, step_y - ry) if tail else (0, ry)
                        if rows == 0:
                            continue
                        if rx > 0:
                            cell_products(
                                a, b, step_x, planes_b, ra + y, rb + y, rows, 0, rx, offsets,
                                target, o + 2 * tail * part, lanes,
                            )  # fmt: skip
                        if mx > 0:
                            cell_products(
                                a, b, step_x, planes_b, ra + y, rb + y, rows, rx, step_x - rx,
                                offsets, target, o + (0 if direct else (2 * tail + 1) * part),
                                lanes,
                            )  # fmt: skip
                if not direct:
                    first = kinds * s * size + at + g * LANES
                    if kinds == 1:
                        for d in range(offsets):
                            for lane in range(LANES):
                                ring[first + d * width + lane] = acc[3 * part + d * LANES + lane]
                    else:
                        _combine(acc, part, ring, first, size, width, offsets)


@njit(nogil=True, cache=True, fastmath=FAST)
def _template_sum(
    ring: Any, at: Any, first: Any, slots: Any, stride: Any, inner: Any, column: Any,
    lines: Any, o: Any,
) -> Any:  # fmt: skip
    """Sum over each template of one post row at one offset, from the rings of one sum."""
    my, ry, mx, rx, width, posts_x, size = inner
    last = U(at + ((first + my) % slots) * stride)
    q, w = U(size), U(o)
    sum_rows(ring, at, stride, first, slots, my, column, 0, width)
    if ry > 0:
        for lane in range(width):
            column[U(lane)] += ring[U(2) * q + last + U(lane)]
    sum_rows(column, 0, 1, 0, mx + 1, mx, lines, o, posts_x)
    if rx > 0:
        sum_rows(ring, at + size, stride, first, slots, my, column, width, width)
        if ry > 0:
            for lane in range(width):
                column[U(width) + U(lane)] += ring[U(3) * q + last + U(lane)]
        shift = U(width + mx)
        for lane in range(posts_x):
            lines[w + U(lane)] += column[U(lane) + shift]


@njit(nogil=True, cache=True, fastmath=FAST)
def _eight_whole(
    column: Any, mean: Any, scale: Any, post: Any, total: Any, inverse: Any, at: Any, out: Any,
    first: Any, n: Any,
) -> Any:  # fmt: skip
    """`_whole` of templates of eight cells, straight from the sums of the columns."""
    w, o, p = U(at), U(first), U(post)
    for lane in range(n):
        x = U(lane)
        product = ((column[x] + column[x + U(1)]) + (column[x + U(2)] + column[x + U(3)])) + (
            (column[x + U(4)] + column[x + U(5)]) + (column[x + U(6)] + column[x + U(7)])
        )
        s = inverse[w + x]
        c = (product - mean[p + x] * total[w + x]) * (s * scale[p + x])
        out[o + x] = c if s > 0 else INVALID


@njit(nogil=True, cache=True, fastmath=FAST)
def _four_whole(
    column: Any, mean: Any, scale: Any, post: Any, total: Any, inverse: Any, at: Any, out: Any,
    first: Any, n: Any,
) -> Any:  # fmt: skip
    """The same of templates of four cells."""
    w, o, p = U(at), U(first), U(post)
    for lane in range(n):
        x = U(lane)
        product = (column[x] + column[x + U(1)]) + (column[x + U(2)] + column[x + U(3)])
        s = inverse[w + x]
        c = (product - mean[p + x] * total[w + x]) * (s * scale[p + x])
        out[o + x] = c if s > 0 else INVALID


@njit(nogil=True, cache=True, fastmath=FAST)
def _whole(
    sums: Any, mean: Any, scale: Any, post: Any, total: Any, inverse: Any, at: Any, out: Any,
    first: Any, n: Any,
) -> Any:  # fmt: skip
    """Zero-mean normalised correlation where no pixel is missing."""
    w, o, p = U(at), U(first), U(post)
    for lane in range(n):
        x = U(lane)
        s = inverse[w + x]
        c = (sums[x] - mean[p + x] * total[w + x]) * (s * scale[p + x])
        out[o + x] = c if s > 0 else INVALID


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _masked(sums: Any, inside: Any, at: Any, limits: Any, out: Any, first: Any, posts: Any) -> Any:
    """The same over the pixels valid in both images: sums of 1, a, a2, b, b2, a b over them."""
    needed, floor_a, floor_b = limits
    w, o, k = U(at), U(first), U(posts)
    for lane in range(posts):
        x = U(lane)
        n, sa, saa = sums[x], sums[k + x], sums[U(2) * k + x]
        sb, sbb, sab = sums[U(3) * k + x], sums[U(4) * k + x], sums[U(5) * k + x]
        count = n if n > np.float32(1) else np.float32(1)
        va = saa - sa * sa / count
        vb = sbb - sb * sb / count
        good = (inside[w + x] > 0) & (n >= needed)
        good &= (va > floor_a * floor_a * count) & (vb > floor_b * floor_b * count)
        spread = va * vb if good else np.float32(1)
        c = (sab - sa * sb / count) / np.sqrt(spread)
        out[o + x] = c if good else INVALID


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _phasor(sums: Any, inside: Any, at: Any, needed: Any, out: Any, first: Any, posts: Any) -> Any:
    """Mean of the products of unit phasors: their sum, and the count of those in both images."""
    w, o, k = U(at), U(first), U(posts)
    for lane in range(posts):
        x = U(lane)
        n = sums[k + x]
        good = (inside[w + x] > 0) & (n >= needed)
        c = sums[x] / (n if n > np.float32(1) else np.float32(1))
        out[o + x] = c if good else INVALID


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _coherent(
    sums: Any, inside: Any, at: Any, needed: Any, out: Any, first: Any, posts: Any
) -> Any:
    """Squared magnitude of the complex correlation: sums of re, im, |a|2, |b|2 and the count.

    Squared, because that is band-limited; the magnitude has kinks where it touches zero.
    """
    w, o, k = U(at), U(first), U(posts)
    for lane in range(posts):
        x = U(lane)
        re, im = sums[x], sums[k + x]
        power = sums[U(2) * k + x] * sums[U(3) * k + x]
        good = (inside[w + x] > 0) & (sums[U(4) * k + x] >= needed) & (power > 0)
        c = (re * re + im * im) / (power if good else np.float32(1))
        out[o + x] = c if good else INVALID


@njit(nogil=True, cache=True, fastmath=FAST)
def correlation_volume(
    pa: Any, pb: Any, terms: Any, sums: Any, finish: Any, geometry: Any, rows: Any, groups: Any,
    mean: Any, scale: Any, total: Any, inverse: Any, windows: Any, limits: Any, span: Any,
    chunk: Any, ring: Any, shape: Any, tables: Any, found: Any, out: Any,
) -> Any:  # fmt: skip
    """Correlate every post at every offset of `span` along x, and find the peaks at once.

    `pa`, `pb`: packed images, one row a plane of values; `terms`: rows of (plane of a, plane of b,
    sum to which their product belongs); `finish`: how sums become correlations; `geometry`:
    (step_y, step_x, my, ry, mx, rx, planes of a row of b); `rows`: of a and b; `mean`, `scale`: of
    the templates, flat; `total`, `inverse`: of the windows of b, packed by offset modulo step
    (`windows`: rows and lanes of that); `limits`: least count and the floors of a and b; `span`:
    first and last offset along x, `pb` beginning at the first; `chunk`: offsets along y together;
    `ring`: room for the cells in flight; `shape`: (posts_y, posts_x, offsets_y, offsets_x, lanes);
    `tables`: for the peaks.

    With room in `found` (planes, posts_y, posts_x) the peaks of each row of posts are put there
    while its surfaces are in the cache, and `out` is the one row (offsets_y, offsets_x, lanes)
    that all use in turn. Without, `out` gets the whole volume (posts_y, offsets_y, ...). Both flat.
    """
    step_y, step_x, my, ry, mx, rx, planes_b = geometry
    posts_y, posts_x, offsets_y, offsets_x, lanes = shape
    offsets = span[1] - span[0]
    w_rows, w_lanes = windows
    slots = my + (1 if ry > 0 else 0)
    width = groups * LANES
    kinds = 4 if ry > 0 or rx > 0 else 1
    padded = padded_offsets(offsets)
    size = slots * chunk * padded * width
    acc = np.zeros(4 * padded * LANES, np.float32)
    column = np.empty(2 * width, np.float32)
    lines = np.empty(sums * posts_x, np.float32)
    # Lanes beyond the cells of the posts hold nothing: a narrow tile costs less.
    cells_x = posts_x + mx + (1 if rx > 0 else 0)
    used = min((cells_x + 15) // 16 * 16, LANES) if groups == 1 else LANES
    inner = (my, ry, mx, rx, width, posts_x, size)
    layout = (
        step_y, step_x, my, ry, mx, rx, planes_b, rows[0], rows[1], groups, offsets, sums,
        padded, size, kinds, used,
    )  # fmt: skip
    at_once = found.shape[0] > 0
    # Eight or four whole cells and nothing missing: one pass less over each line.
    usual = kinds == 1 and finish == WHOLE and (mx == 8 or mx == 4)
    room = peak_room(offsets_x, lanes)
    for dy0 in range(0, offsets_y, chunk):
        dys = min(chunk, offsets_y - dy0)
        stride = dys * padded * width
        for cell in range(posts_y + slots - 1):
            _cell_row(pa, pb, terms, ring, acc, cell, cell % slots, dy0, dys, layout)
            py = cell - slots + 1
            if py < 0:
                continue
            first = 0 if at_once else py * offsets_y * offsets_x * lanes
            for i in range(dys):
                dy = dy0 + i
                for k in range(offsets):
                    at = (i * padded + k) * width
                    if usual:
                        sum_rows(ring, at, stride, py % slots, slots, my, column, 0, used)
                        dx = span[0] + k
                        w = ((dx % step_x) * w_rows + py * step_y + dy) * w_lanes + dx // step_x
                        o = first + (dy * offsets_x + dx) * lanes
                        if mx == 8:
                            _eight_whole(
                                column, mean, scale, py * posts_x, total, inverse, w, out, o,
                                posts_x,
                            )  # fmt: skip
                        else:
                            _four_whole(
                                column, mean, scale, py * posts_x, total, inverse, w, out, o,
                                posts_x,
                            )  # fmt: skip
                        continue
                    for s in range(sums):
                        _template_sum(
                            ring, kinds * s * size + at, py % slots, slots, stride, inner, column,
                            lines, s * posts_x,
                        )  # fmt: skip
                    dx = span[0] + k
                    w = ((dx % step_x) * w_rows + py * step_y + dy) * w_lanes + dx // step_x
                    o = first + (dy * offsets_x + dx) * lanes
                    if finish == WHOLE:
                        _whole(lines, mean, scale, py * posts_x, total, inverse, w, out, o, posts_x)
                    elif finish == MASKED:
                        _masked(lines, inverse, w, limits, out, o, posts_x)
                    elif finish == PHASOR:
                        _phasor(lines, inverse, w, limits[0], out, o, posts_x)
                    else:
                        _coherent(lines, inverse, w, limits[0], out, o, posts_x)
            if at_once:
                peaks_of_row(
                    out, 0, offsets_y, offsets_x, lanes, posts_x, tables, finish == COHERENT,
                    room, found[:, py],
                )  # fmt: skip
