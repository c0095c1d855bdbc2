"""Neighbourhood tests on displacement fields. NaN posts take no part; beyond the field is NaN."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba import uint64 as U

LANES = 32
"""Posts whose neighbours are sorted together."""


@njit(nogil=True, cache=True)
def median_of(values: Any, n: Any) -> Any:
    """Median of the first n entries, which are sorted in place (n is small)."""
    for i in range(1, n):
        v = values[i]
        j = i - 1
        while j >= 0 and values[j] > v:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = v
    if n % 2:
        return values[n // 2]
    return np.float32(0.5) * (values[n // 2 - 1] + values[n // 2])


@njit(nogil=True, cache=True)
def _padded(u: Any, depth_y: Any, depth_x: Any) -> Any:
    """`u` with NaN around it, flat, and the length of its rows."""
    rows, cols = u.shape
    width = cols + 2 * depth_x
    out = np.full((rows + 2 * depth_y) * width, np.nan, np.float32)
    for y in range(rows):
        start = U((y + depth_y) * width + depth_x)
        for x in range(cols):
            out[start + U(x)] = u[y, x]
    return out, width


@njit(nogil=True, cache=True)
def _neighbours(n: Any, radius: Any, stride: Any) -> Any:
    """For each of n posts in a line, how many of 2 radius + 1 at multiples of `stride` exist."""
    count = np.zeros(n, np.int32)
    for k in range(n):
        for i in range(-radius, radius + 1):
            count[k] += 0 <= k + i * stride < n
    return count


@njit(nogil=True, cache=True)
def disparity_test(
    u: Any, v: Any, radius: Any, stride_y: Any, stride_x: Any, reach: Any, least_share: Any
) -> Any:
    """True where too few neighbours lie within `reach` of the post, in both components.

    Neighbours: the (2 radius + 1)^2 - 1 posts at multiples of the strides; those beyond the field
    or NaN do not agree, but the share is taken of the neighbours inside the field.
    """
    rows, cols = u.shape
    rejected = np.zeros((rows, cols), np.bool_)
    pu, width = _padded(u, radius * stride_y, radius * stride_x)
    pv, width = _padded(v, radius * stride_y, radius * stride_x)
    across, down = _neighbours(cols, radius, stride_x), _neighbours(rows, radius, stride_y)
    agree = np.empty(cols, np.int32)
    for y in range(rows):
        agree[:] = 0
        here = U((y + radius * stride_y) * width + radius * stride_x)
        for j in range(2 * radius + 1):
            for i in range(2 * radius + 1):
                if i == radius and j == radius:
                    continue
                there = U((y + j * stride_y) * width + i * stride_x)
                for x in range(cols):
                    k = U(x)
                    near_u = abs(pu[there + k] - pu[here + k]) <= reach
                    near_v = abs(pv[there + k] - pv[here + k]) <= reach
                    agree[k] += near_u & near_v
        for x in range(cols):
            total = across[x] * down[y] - 1
            rejected[y, x] = agree[x] < least_share * total and not np.isnan(u[y, x])
    return rejected


@njit(nogil=True, cache=True)
def median_test(
    u: Any, v: Any, radius: Any, stride_y: Any, stride_x: Any, threshold: Any, floor: Any,
    network: Any,
) -> Any:  # fmt: skip
    """True where the normalised distance from the neighbours' median exceeds `threshold`.

    `network`: the comparisons that sort (2 radius + 1)^2 - 1 values, from `sorting_network`.
    """
    rows, cols = u.shape
    rejected = np.zeros((rows, cols), np.bool_)
    pu, width = _padded(u, radius * stride_y, radius * stride_x)
    pv, width = _padded(v, radius * stride_y, radius * stride_x)
    # Within this of the median in both components, no spread of the neighbours rejects a post.
    harmless = threshold * floor * np.float32(0.7)
    count, near_u = np.empty(cols, np.int32), np.empty(cols, np.int32)
    near_v = np.empty(cols, np.int32)
    columns = np.empty(cols, np.int64)
    for y in range(rows):
        count[:], near_u[:], near_v[:] = 0, 0, 0
        first = y * width
        here = U(first + radius * stride_y * width + radius * stride_x)
        for j in range(2 * radius + 1):
            for i in range(2 * radius + 1):
                if i == radius and j == radius:
                    continue
                there = U(first + j * stride_y * width + i * stride_x)
                for x in range(cols):
                    k = U(x)
                    count[k] += pu[there + k] == pu[there + k]
                    near_u[k] += abs(pu[there + k] - pu[here + k]) <= harmless
                    near_v[k] += abs(pv[there + k] - pv[here + k]) <= harmless
        doubtful = 0
        for x in range(cols):
            # Where most neighbours are that near, so is their median: nothing to sort.
            calm = 2 * near_u[x] > count[x] and 2 * near_v[x] > count[x]
            if not (np.isnan(u[y, x]) or count[x] < 3 or calm):
                columns[doubtful] = x
                doubtful += 1
        for start in range(0, doubtful, LANES):
            some = columns[start : min(start + LANES, doubtful)]
            distance = _distances(
                pu, some, count, first, width, radius, stride_y, stride_x, floor, network
            )
            distance += _distances(
                pv, some, count, first, width, radius, stride_y, stride_x, floor, network
            )
            for lane in range(some.size):
                rejected[y, some[lane]] = distance[lane] > threshold * threshold
    return rejected


@njit(nogil=True, cache=True)
def _distances(
    padded: Any, columns: Any, count: Any, first: Any, width: Any, radius: Any, stride_y: Any,
    stride_x: Any, floor: Any, network: Any,
) -> Any:  # fmt: skip
    """Squared normalised distance of some posts of a row from the median of their neighbours."""
    size = (2 * radius + 1) ** 2 - 1
    values = np.full(size * LANES, np.inf, np.float32)
    middle, out = np.empty(LANES, np.float32), np.zeros(LANES, np.float32)
    m = 0
    for j in range(2 * radius + 1):
        for i in range(2 * radius + 1):
            if i == radius and j == radius:
                continue
            there = first + j * stride_y * width + i * stride_x
            for k in range(columns.size):
                value = padded[U(there + columns[k])]
                # The missing go last.
                values[U(m * LANES + k)] = value if value == value else np.float32(np.inf)
            m += 1
    _sort(values, network)
    _medians(values, columns, count, middle)
    for m in range(size):
        for k in range(LANES):
            values[U(m * LANES + k)] = abs(values[U(m * LANES + k)] - middle[U(k)])
    _sort(values, network)
    _medians(values, columns, count, out)
    here = first + radius * stride_y * width + radius * stride_x
    for k in range(columns.size):
        ratio = abs(padded[here + columns[k]] - middle[k]) / (out[k] + floor)
        out[k] = ratio * ratio
    return out


@njit(nogil=True, cache=True)
def _sort(values: Any, network: Any) -> None:
    """Sort the values of each lane, all lanes together: the same comparisons for all."""
    for c in range(network.shape[0]):
        low, high = U(network[c, 0] * LANES), U(network[c, 1] * LANES)
        for k in range(LANES):
            a, b = values[low + U(k)], values[high + U(k)]
            values[low + U(k)] = a if a < b else b
            values[high + U(k)] = b if a < b else a


@njit(nogil=True, cache=True)
def _medians(values: Any, columns: Any, count: Any, out: Any) -> None:
    """Median of the first `count` of the sorted values of each lane."""
    out[:] = 0
    for k in range(columns.size):
        n = count[columns[k]]
        middle = values[(n // 2) * LANES + k]
        if n % 2 == 0:
            middle = np.float32(0.5) * (values[(n // 2 - 1) * LANES + k] + middle)
        out[k] = middle


@functools.cache
def sorting_network(size: int) -> npt.NDArray[np.int64]:
    """Pairs (low, high) whose comparison and exchange, in this order, sort `size` values.

    Notes
    -----
    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).

    Examples
    --------
    >>> sorting_network(3).tolist()
    [[0, 2], [0, 1], [1, 2]]
    """
    pairs = []
    top = 1 << max((size - 1).bit_length() - 1, 0)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(size - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return np.array(pairs, np.int64).reshape(-1, 2)


@njit(nogil=True, cache=True)
def small_islands(valid: Any, height: Any, width: Any) -> Any:
    """True for posts of 4-connected groups that are less than `height` by `width` posts in extent.

    A group counts as small only if it is so in both directions.
    """
    rows, cols = valid.shape
    seen = np.zeros((rows, cols), np.bool_)
    small = np.zeros((rows, cols), np.bool_)
    stack = np.empty((rows * cols, 2), np.int32)
    for y in range(rows):
        for x in range(cols):
            if seen[y, x] or not valid[y, x]:
                continue
            # The stack is never shrunk: its first `top` entries are the members of the group.
            top, done = 1, 0
            stack[0, 0], stack[0, 1] = y, x
            seen[y, x] = True
            y0, y1, x0, x1 = y, y, x, x
            while done < top:
                cy, cx = stack[done]
                done += 1
                y0, y1, x0, x1 = min(y0, cy), max(y1, cy), min(x0, cx), max(x1, cx)
                for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    yy, xx = cy + dy, cx + dx
                    if 0 <= yy < rows and 0 <= xx < cols and valid[yy, xx] and not seen[yy, xx]:
                        seen[yy, xx] = True
                        stack[top, 0], stack[top, 1] = yy, xx
                        top += 1
            if y1 - y0 + 1 < height and x1 - x0 + 1 < width:
                for k in range(top):
                    small[stack[k, 0], stack[k, 1]] = True
    return small


@njit(nogil=True, cache=True)
def direction_test(
    u: Any, v: Any, slow: Any, radius: Any, stride_y: Any, stride_x: Any, least_cosine: Any
) -> Any:
    """True where a post moves another way than most of its neighbours do.

    Only posts faster than `slow` are judged, and only by neighbours that are. A post is rejected
    if more than half of them, and at least five are needed, differ in direction by an angle whose
    cosine is less than `least_cosine`: it is then also that far from their circular median.
    """
    rows, cols = u.shape
    rejected = np.zeros((rows, cols), np.bool_)
    speed = np.sqrt(u * u + v * v)
    for y in range(rows):
        for x in range(cols):
            if not speed[y, x] > slow[y, x]:
                continue
            moving, astray = 0, 0
            for j in range(-radius, radius + 1):
                for i in range(-radius, radius + 1):
                    yy, xx = y + j * stride_y, x + i * stride_x
                    if (j == 0 and i == 0) or not (0 <= yy < rows and 0 <= xx < cols):
                        continue
                    if speed[yy, xx] > slow[yy, xx]:
                        moving += 1
                        product = u[y, x] * u[yy, xx] + v[y, x] * v[yy, xx]
                        astray += product < least_cosine * speed[y, x] * speed[yy, xx]
            rejected[y, x] = moving >= 5 and 2 * astray > moving
    return rejected


@njit(nogil=True, cache=True)
def _gradient(u: Any, y: Any, x: Any, radius: Any, along_y: Any, along_x: Any, across_y: Any,
              across_x: Any, values: Any) -> Any:  # fmt: skip
    """Median difference across a post, per stride along one axis; NaN from fewer than five pairs.

    Pairs lie symmetrically about the lines beside the post, at up to `radius` strides.
    """
    rows, cols = u.shape
    n = 0
    for beside in range(-radius, radius + 1):
        for far in range(1, radius + 1):
            ya = y + beside * across_y + far * along_y
            xa = x + beside * across_x + far * along_x
            yb = y + beside * across_y - far * along_y
            xb = x + beside * across_x - far * along_x
            inside = min(ya, yb) >= 0 and max(ya, yb) < rows
            if inside and min(xa, xb) >= 0 and max(xa, xb) < cols:
                difference = u[ya, xa] - u[yb, xb]
                if not np.isnan(difference):
                    values[n] = difference / np.float32(2 * far)
                    n += 1
    return median_of(values, n) if n >= 5 else np.float32(np.nan)


@njit(nogil=True, cache=True)
def strain_test(
    u: Any, v: Any, radius: Any, stride_y: Any, stride_x: Any, metres_y: Any, metres_x: Any,
    limit: Any,
) -> Any:  # fmt: skip
    """True where the gradient of the displacement, all four parts together, exceeds `limit`.

    Each part is a median, so that one wrong neighbour makes no gradient. `metres_y`, `metres_x`:
    length of a stride; `limit` is without unit, metres of displacement per metre.
    """
    rows, cols = u.shape
    rejected = np.zeros((rows, cols), np.bool_)
    values = np.empty(radius * (2 * radius + 1), np.float32)
    for y in range(rows):
        for x in range(cols):
            if np.isnan(u[y, x]) or np.isnan(v[y, x]):
                continue
            square = np.float32(0)
            for d in (u, v):
                down = _gradient(d, y, x, radius, stride_y, 0, 0, stride_x, values) / metres_y
                along = _gradient(d, y, x, radius, 0, stride_x, stride_y, 0, values) / metres_x
                # What too few neighbours know is not held against the post.
                square += (0 if np.isnan(down) else down * down) + (
                    0 if np.isnan(along) else along * along
                )
            rejected[y, x] = square > limit * limit
    return rejected
