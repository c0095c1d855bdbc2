"""Dense zero-mean normalised cross-correlation by shared block sums.

Where posts lie on a regular grid, neighbouring templates overlap, and the product sum of a small
block of pixels at one offset serves every template that contains the block. With blocks of
``g = gcd(step, template)`` pixels a template is ``m = template / g`` blocks, and one post costs
about ``step**2`` multiply-adds an offset, whatever the size of its template.

Images arrive "de-interleaved": plane ``p`` of a row holds the pixels ``p, p + g, p + 2 g, ...``,
so that neighbouring blocks are neighbouring lanes and every inner loop runs over contiguous
memory. Sums of ``m`` blocks are made by doubling (1, 2, 4, ... blocks), not by running sums: their
rounding then does not depend on where a tile begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

# Indices are unsigned: a signed one is checked for wrap-around, which keeps loops scalar.
# Contraction to fused multiply-adds only: NaN and infinity keep their meaning.
FAST = {"contract"}
INVALID = np.float32(-2.0)


@njit(nogil=True, cache=True, fastmath=FAST)
def deinterleave(image: Any, g: Any, lanes: Any) -> Any:
    """Rows of `image` split by column modulo `g`: float32, flat (g, rows, lanes), zero padded."""
    rows, cols = image.shape
    out = np.zeros(g * rows * lanes, np.float32)
    for p in range(g):
        n = min(lanes, (cols - p + g - 1) // g)
        for y in range(rows):
            o = (p * rows + y) * lanes
            for k in range(n):
                out[o + k] = image[y, p + k * g]
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def block_products(
    a: Any,
    b: Any,
    out: Any,
    g: Any,
    blocks: Any,
    a_rows: Any,
    b_rows: Any,
    a_lanes: Any,
    b_lanes: Any,
    dy: Any,
    dx: Any,
) -> Any:
    """Sum of a(x) b(x + d) over each block of g x g pixels, for one offset d = (dy, dx)."""
    for block in range(blocks):
        o = U(block * a_lanes)
        for lane in range(a_lanes):
            out[o + U(lane)] = np.float32(0)
        for r in range(g):
            row = block * g + r
            p = 0
            # Four planes at a time: one pass over `out` serves four products.
            while p + 4 <= g:
                a0 = U((p * a_rows + row) * a_lanes)
                a1 = U(((p + 1) * a_rows + row) * a_lanes)
                a2 = U(((p + 2) * a_rows + row) * a_lanes)
                a3 = U(((p + 3) * a_rows + row) * a_lanes)
                s = p + dx
                b0 = U(((s % g) * b_rows + row + dy) * b_lanes + s // g)
                b1 = U((((s + 1) % g) * b_rows + row + dy) * b_lanes + (s + 1) // g)
                b2 = U((((s + 2) % g) * b_rows + row + dy) * b_lanes + (s + 2) // g)
                b3 = U((((s + 3) % g) * b_rows + row + dy) * b_lanes + (s + 3) // g)
                for lane in range(a_lanes):
                    x = U(lane)
                    out[o + x] += (
                        a[a0 + x] * b[b0 + x]
                        + a[a1 + x] * b[b1 + x]
                        + (a[a2 + x] * b[b2 + x] + a[a3 + x] * b[b3 + x])
                    )
                p += 4
            while p < g:
                a0 = U((p * a_rows + row) * a_lanes)
                b0 = U((((p + dx) % g) * b_rows + row + dy) * b_lanes + (p + dx) // g)
                for lane in range(a_lanes):
                    x = U(lane)
                    out[o + x] += a[a0 + x] * b[b0 + x]
                p += 1


@njit(nogil=True, cache=True, fastmath=FAST)
def sum_of_neighbours(values: Any, out: Any, count: Any, stride: Any, length: Any) -> Any:
    """out[i] = sum of values[i + k * stride], k < count; `values` is used up."""
    first = True
    done = 0
    width = 1
    left = count
    while left > 0:
        if left & 1:
            shift = U(done * stride)
            if first:
                for k in range(length - done * stride):
                    out[U(k)] = values[U(k) + shift]
                first = False
            else:
                for k in range(length - done * stride):
                    out[U(k)] += values[U(k) + shift]
            done += width
        left >>= 1
        if left:
            shift = U(width * stride)
            for k in range(length - width * stride):
                values[U(k)] += values[U(k) + shift]
            width *= 2


@njit(nogil=True, cache=True, fastmath=FAST)
def template_products(
    a: Any,
    b: Any,
    blocks: Any,
    sums: Any,
    g: Any,
    nby: Any,
    ty: Any,
    tx: Any,
    a_rows: Any,
    b_rows: Any,
    a_lanes: Any,
    b_lanes: Any,
    dy: Any,
    dx: Any,
) -> Any:
    """Sum of a(x) b(x + d) over the template that begins at each block, left in `blocks`."""
    length = nby * a_lanes
    block_products(a, b, blocks, g, nby, a_rows, b_rows, a_lanes, b_lanes, dy, dx)
    sum_of_neighbours(blocks, sums, ty // g, a_lanes, length)
    sum_of_neighbours(sums, blocks, tx // g, 1, length)


@njit(nogil=True, cache=True, fastmath=FAST)
def window_statistics(image: Any, valid: Any, ty: Any, tx: Any, floor: Any) -> Any:
    """Sum and 1/sqrt(sum of squared deviations) of every ty x tx window, by its first pixel.

    A window that leaves the image (`valid` false anywhere), or with no more contrast than
    `floor` (standard deviation), gets 0 as its second value.
    """
    rows, cols = image.shape
    ny, nx = rows - ty + 1, cols - tx + 1
    total = np.zeros((ny, nx), np.float32)
    inverse = np.zeros((ny, nx), np.float32)
    n = ty * tx
    c1 = np.zeros(cols)
    c2 = np.zeros(cols)
    c0 = np.zeros(cols, np.int64)
    for y in range(ty - 1):
        for x in range(cols):
            v = np.float64(image[y, x])
            c1[x] += v
            c2[x] += v * v
            c0[x] += valid[y, x]
    for y in range(ny):
        for x in range(cols):
            v = np.float64(image[y + ty - 1, x])
            c1[x] += v
            c2[x] += v * v
            c0[x] += valid[y + ty - 1, x]
        s1 = 0.0
        s2 = 0.0
        s0 = 0
        for x in range(tx - 1):
            s1 += c1[x]
            s2 += c2[x]
            s0 += c0[x]
        for x in range(nx):
            s1 += c1[x + tx - 1]
            s2 += c2[x + tx - 1]
            s0 += c0[x + tx - 1]
            spread = s2 - s1 * s1 / n
            total[y, x] = s1
            if s0 == n and spread > floor * floor * n:
                inverse[y, x] = 1.0 / np.sqrt(spread)
            s1 -= c1[x]
            s2 -= c2[x]
            s0 -= c0[x]
        for x in range(cols):
            v = np.float64(image[y, x])
            c1[x] -= v
            c2[x] -= v * v
            c0[x] -= valid[y, x]
    return total, inverse


@njit(nogil=True, cache=True, fastmath=FAST)
def correlate(
    a: Any,
    b: Any,
    total: Any,
    inverse: Any,
    mean_a: Any,
    inverse_a: Any,
    g: Any,
    step_y: Any,
    step_x: Any,
    ty: Any,
    tx: Any,
    nby: Any,
    a_rows: Any,
    b_rows: Any,
    a_lanes: Any,
    b_lanes: Any,
    w_rows: Any,
    w_lanes: Any,
    offsets_y: Any,
    offsets_x: Any,
    surface: Any,
) -> Any:
    """Correlation surfaces of whole images: surface (offsets_y * offsets_x, posts_y, posts_x).

    `total`, `inverse`: window statistics of b, de-interleaved by `step_x`; `mean_a`, `inverse_a`:
    those of the templates.
    """
    posts_y, posts_x = mean_a.shape
    blocks = np.empty(nby * a_lanes, np.float32)
    sums = np.empty(nby * a_lanes, np.float32)
    qy, qx = step_y // g, step_x // g
    for dy in range(offsets_y):
        for dx in range(offsets_x):
            template_products(
                a, b, blocks, sums, g, nby, ty, tx, a_rows, b_rows, a_lanes, b_lanes, dy, dx
            )
            d = dy * offsets_x + dx
            for py in range(posts_y):
                o = U(py * qy * a_lanes)
                w = U(((dx % step_x) * w_rows + py * step_y + dy) * w_lanes + dx // step_x)
                mean, scale, line = mean_a[py], inverse_a[py], surface[d, py]
                for column in range(posts_x):
                    px = U(column)
                    s = inverse[w + px]
                    c = (blocks[o + px * U(qx)] - mean[px] * total[w + px]) * s
                    line[px] = c * scale[px] if s > 0 else INVALID


@njit(nogil=True, cache=True, fastmath=FAST)
def correlate_masked(
    a: Any,
    a2: Any,
    ma: Any,
    b: Any,
    b2: Any,
    mb: Any,
    inside: Any,
    needed: Any,
    floor_a: Any,
    floor_b: Any,
    g: Any,
    step_y: Any,
    step_x: Any,
    ty: Any,
    tx: Any,
    nby: Any,
    a_rows: Any,
    b_rows: Any,
    a_lanes: Any,
    b_lanes: Any,
    w_rows: Any,
    w_lanes: Any,
    offsets_y: Any,
    offsets_x: Any,
    surface: Any,
) -> Any:
    """The same where pixels are missing: each sum runs over the pixels valid in both images.

    `a2`, `b2` are the squares, `ma`, `mb` the masks (0 or 1), all zero where a pixel is missing;
    `inside` (de-interleaved by `step_x`) is 1 for windows inside the image.
    """
    posts_y, posts_x = surface.shape[1:]
    length = nby * a_lanes
    sums = np.empty(length, np.float32)
    n, sa, saa = np.empty_like(sums), np.empty_like(sums), np.empty_like(sums)
    sb, sbb, sab = np.empty_like(sums), np.empty_like(sums), np.empty_like(sums)
    qy, qx = step_y // g, step_x // g
    for dy in range(offsets_y):
        for dx in range(offsets_x):
            for pa, pb, out in (
                (ma, mb, n), (a, mb, sa), (a2, mb, saa), (ma, b, sb), (ma, b2, sbb), (a, b, sab),
            ):  # fmt: skip
                template_products(
                    pa, pb, out, sums, g, nby, ty, tx, a_rows, b_rows, a_lanes, b_lanes, dy, dx
                )
            d = dy * offsets_x + dx
            for py in range(posts_y):
                w = ((dx % step_x) * w_rows + py * step_y + dy) * w_lanes + dx // step_x
                for px in range(posts_x):
                    i = py * qy * a_lanes + px * qx
                    count = n[i]
                    value = INVALID
                    if inside[w + px] > 0 and count >= needed:
                        va = saa[i] - sa[i] * sa[i] / count
                        vb = sbb[i] - sb[i] * sb[i] / count
                        if va > floor_a * floor_a * count and vb > floor_b * floor_b * count:
                            value = (sab[i] - sa[i] * sb[i] / count) / np.sqrt(va * vb)
                    surface[d, py, px] = value
