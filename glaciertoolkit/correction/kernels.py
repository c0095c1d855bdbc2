"""Neighbourhood tests on displacement fields. NaN posts take no part; beyond the field is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def _median(values: Any, n: Any) -> Any:
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
def disparity_test(
    u: Any, v: Any, radius: Any, stride_y: Any, stride_x: Any, reach: Any, least_share: Any
) -> Any:
    """True where too few neighbours lie within `reach` of the post, in both components.

    Neighbours: the (2 radius + 1)^2 - 1 posts at multiples of the strides; those beyond the field
    or NaN do not agree, but the share is taken of the neighbours inside the field.
    """
    rows, cols = u.shape
    rejected = np.zeros((rows, cols), np.bool_)
    for y in range(rows):
        for x in range(cols):
            if np.isnan(u[y, x]):
                continue
            agree = 0
            total = 0
            for j in range(-radius, radius + 1):
                yy = y + j * stride_y
                if yy < 0 or yy >= rows:
                    continue
                for i in range(-radius, radius + 1):
                    xx = x + i * stride_x
                    if xx < 0 or xx >= cols or (i == 0 and j == 0):
                        continue
                    total += 1
                    if abs(u[yy, xx] - u[y, x]) <= reach and abs(v[yy, xx] - v[y, x]) <= reach:
                        agree += 1
            rejected[y, x] = agree < least_share * total
    return rejected


@njit(nogil=True, cache=True)
def median_test(
    u: Any, v: Any, radius: Any, stride_y: Any, stride_x: Any, threshold: Any, floor: Any
) -> Any:
    """True where the normalised distance from the neighbours' median exceeds `threshold`."""
    rows, cols = u.shape
    rejected = np.zeros((rows, cols), np.bool_)
    size = (2 * radius + 1) ** 2
    nu, nv = np.empty(size, np.float32), np.empty(size, np.float32)
    # Within this of the median in both components, no spread of the neighbours rejects a post.
    harmless = threshold * floor * np.float32(0.7)
    for y in range(rows):
        for x in range(cols):
            if np.isnan(u[y, x]):
                continue
            n = 0
            near_u = 0
            near_v = 0
            for j in range(-radius, radius + 1):
                yy = y + j * stride_y
                if yy < 0 or yy >= rows:
                    continue
                for i in range(-radius, radius + 1):
                    xx = x + i * stride_x
                    if xx < 0 or xx >= cols or (i == 0 and j == 0) or np.isnan(u[yy, xx]):
                        continue
                    nu[n] = u[yy, xx]
                    nv[n] = v[yy, xx]
                    near_u += abs(nu[n] - u[y, x]) <= harmless
                    near_v += abs(nv[n] - v[y, x]) <= harmless
                    n += 1
            # Where most neighbours are that near, so is their median: nothing to sort.
            if n < 3 or (2 * near_u > n and 2 * near_v > n):
                continue
            mu, mv = _median(nu, n), _median(nv, n)
            for k in range(n):
                nu[k] = abs(nu[k] - mu)
                nv[k] = abs(nv[k] - mv)
            ru = abs(u[y, x] - mu) / (_median(nu, n) + floor)
            rv = abs(v[y, x] - mv) / (_median(nv, n) + floor)
            rejected[y, x] = ru * ru + rv * rv > threshold * threshold
    return rejected


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
def median_smooth(u: Any, radius: Any) -> Any:
    """Median of the valid posts in the (2 radius + 1)^2 window; NaN stays NaN."""
    rows, cols = u.shape
    out = np.full((rows, cols), np.nan, np.float32)
    values = np.empty((2 * radius + 1) ** 2, np.float32)
    for y in range(rows):
        for x in range(cols):
            if np.isnan(u[y, x]):
                continue
            n = 0
            for yy in range(max(y - radius, 0), min(y + radius + 1, rows)):
                for xx in range(max(x - radius, 0), min(x + radius + 1, cols)):
                    if not np.isnan(u[yy, xx]):
                        values[n] = u[yy, xx]
                        n += 1
            out[y, x] = _median(values, n)
    return out
