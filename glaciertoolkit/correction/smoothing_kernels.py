"""Smoothing and filling of displacement fields. NaN posts take no part, and stay NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from glaciertoolkit.correction.kernels import median_of


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
            out[y, x] = median_of(values, n)
    return out


@njit(nogil=True, cache=True)
def gaussian_smooth(u: Any, radius: Any) -> Any:
    """Mean of the valid posts, weighed by a Gaussian of half the radius that ends there."""
    rows, cols = u.shape
    out = np.full((rows, cols), np.nan, np.float32)
    weight = np.exp(-2.0 * (np.arange(-radius, radius + 1) / radius) ** 2)
    for y in range(rows):
        for x in range(cols):
            if np.isnan(u[y, x]):
                continue
            total, known = 0.0, 0.0
            for j in range(max(-radius, -y), min(radius, rows - 1 - y) + 1):
                for i in range(max(-radius, -x), min(radius, cols - 1 - x) + 1):
                    value = u[y + j, x + i]
                    if not np.isnan(value):
                        w = weight[j + radius] * weight[i + radius]
                        total += w * value
                        known += w
            out[y, x] = total / known
    return out


@njit(nogil=True, cache=True)
def _unlike(u: Any, v: Any, y: Any, x: Any, yy: Any, xx: Any) -> Any:
    """Mean squared distance, per component, of the 3 x 3 vectors around two posts."""
    rows, cols = u.shape
    total, n = 0.0, 0
    for j in range(-1, 2):
        for i in range(-1, 2):
            ya, xa, yb, xb = y + j, x + i, yy + j, xx + i
            if not (0 <= ya < rows and 0 <= xa < cols and 0 <= yb < rows and 0 <= xb < cols):
                continue
            du, dv = u[ya, xa] - u[yb, xb], v[ya, xa] - v[yb, xb]
            if not (np.isnan(du) or np.isnan(dv)):
                total += 0.5 * (du * du + dv * dv)
                n += 1
    return total / n


@njit(nogil=True, cache=True)
def nonlocal_smooth(u: Any, v: Any, radius: Any, noise: Any) -> Any:
    """Mean of the valid vectors in the window, weighed by how alike their surroundings are.

    Surroundings that differ by no more than noise does (a variance of 2 noise^2) weigh 1; beyond,
    the weight falls exponentially with the squared distance over noise^2. An edge stays an edge.
    """
    rows, cols = u.shape
    out = np.full((2, rows, cols), np.nan, np.float32)
    variance = noise * noise
    for y in range(rows):
        for x in range(cols):
            if np.isnan(u[y, x]) or np.isnan(v[y, x]):
                continue
            total_u, total_v, known = 0.0, 0.0, 0.0
            for yy in range(max(y - radius, 0), min(y + radius + 1, rows)):
                for xx in range(max(x - radius, 0), min(x + radius + 1, cols)):
                    if np.isnan(u[yy, xx]) or np.isnan(v[yy, xx]):
                        continue
                    excess = _unlike(u, v, y, x, yy, xx) - 2.0 * variance
                    w = 1.0 if excess <= 0 else np.exp(-excess / variance)
                    total_u += w * u[yy, xx]
                    total_v += w * v[yy, xx]
                    known += w
            out[0, y, x], out[1, y, x] = total_u / known, total_v / known
    return out


@njit(nogil=True, cache=True)
def small_holes(missing: Any, largest: Any, first: Any, last: Any) -> Any:
    """Number (from 1) of each 4-connected group of at most `largest` missing posts; else 0.

    `first` and `last`: whether the first row and column, and the last, are the edge of the field,
    where a group is no hole.
    """
    rows, cols = missing.shape
    label = np.zeros((rows, cols), np.int32)
    seen = np.zeros((rows, cols), np.bool_)
    stack = np.empty((rows * cols, 2), np.int32)
    found = 0
    for y in range(rows):
        for x in range(cols):
            if seen[y, x] or not missing[y, x]:
                continue
            top, done, open_ended = 1, 0, False
            stack[0, 0], stack[0, 1] = y, x
            seen[y, x] = True
            while done < top:
                cy, cx = stack[done]
                done += 1
                open_ended |= (cy == 0 and first[0]) or (cx == 0 and first[1])
                open_ended |= (cy == rows - 1 and last[0]) or (cx == cols - 1 and last[1])
                for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    yy, xx = cy + dy, cx + dx
                    if 0 <= yy < rows and 0 <= xx < cols and missing[yy, xx] and not seen[yy, xx]:
                        seen[yy, xx] = True
                        stack[top, 0], stack[top, 1] = yy, xx
                        top += 1
            if top <= largest and not open_ended:
                found += 1
                for k in range(top):
                    label[stack[k, 0], stack[k, 1]] = found
    return label


@njit(nogil=True, cache=True)
def fill_from_rim(u: Any, variance: Any, label: Any, reach: Any) -> Any:
    """Values of holes from the plane through their rims, and the variances of those values.

    The rim: the valid posts that touch the hole. The variance is the mean of theirs and the mean
    square of their distance from the plane.
    """
    rows, cols = u.shape
    out, spread = u.copy(), variance.copy()
    rim = np.empty(((2 * reach + 3) ** 2, 2), np.int32)
    used = np.zeros((rows, cols), np.int32)
    done = 0
    for y in range(rows):
        for x in range(cols):
            hole = label[y, x]
            # Holes are numbered in the order in which their first posts are met.
            if hole <= done:
                continue
            done = hole
            n = 0
            for yy in range(max(y - reach, 0), min(y + reach + 1, rows)):
                for xx in range(max(x - reach, 0), min(x + reach + 1, cols)):
                    if label[yy, xx] != hole:
                        continue
                    for yr in range(max(yy - 1, 0), min(yy + 2, rows)):
                        for xr in range(max(xx - 1, 0), min(xx + 2, cols)):
                            if used[yr, xr] != hole and not np.isnan(u[yr, xr]):
                                used[yr, xr] = hole
                                rim[n, 0], rim[n, 1] = yr, xr
                                n += 1
            mean, along, down, mean_y, mean_x = _plane(u, rim, n)
            squares, own, known = 0.0, 0.0, 0
            for k in range(n):
                yr, xr = rim[k]
                flat = mean + down * (yr - mean_y) + along * (xr - mean_x)
                squares += (u[yr, xr] - flat) ** 2
                if not np.isnan(variance[yr, xr]):
                    own += variance[yr, xr]
                    known += 1
            for yy in range(max(y - reach, 0), min(y + reach + 1, rows)):
                for xx in range(max(x - reach, 0), min(x + reach + 1, cols)):
                    if label[yy, xx] == hole:
                        out[yy, xx] = mean + down * (yy - mean_y) + along * (xx - mean_x)
                        spread[yy, xx] = squares / n + own / max(known, 1)
    return out, spread


@njit(nogil=True, cache=True)
def _plane(u: Any, rim: Any, n: Any) -> Any:
    """Least-squares plane: mean, slope along x, slope along y, and the place of the mean."""
    mean_y, mean_x, mean = 0.0, 0.0, 0.0
    for k in range(n):
        mean_y += rim[k, 0] / n
        mean_x += rim[k, 1] / n
        mean += u[rim[k, 0], rim[k, 1]] / n
    xx, yy, xy, xu, yu = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        y, x = rim[k, 0] - mean_y, rim[k, 1] - mean_x
        d = u[rim[k, 0], rim[k, 1]] - mean
        xx += x * x
        yy += y * y
        xy += x * y
        xu += x * d
        yu += y * d
    determinant = xx * yy - xy * xy
    if determinant < 1e-9:
        return mean, 0.0, 0.0, mean_y, mean_x
    along, down = (yy * xu - xy * yu) / determinant, (xx * yu - xy * xu) / determinant
    return mean, along, down, mean_y, mean_x
