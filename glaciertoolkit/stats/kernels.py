"""Reductions by group, and the posts on ice: one pass each, without a loop over groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def totals(values: Any, labels: Any, size: Any) -> Any:
    """Sum and number of the finite values of each label, added up in the order they come."""
    total = np.zeros(size, np.float64)
    count = np.zeros(size, np.int64)
    for i in range(values.size):
        group, value = labels[i], values[i]
        if group >= 0 and np.isfinite(value):
            total[group] += value
            count[group] += 1
    return total, count


@njit(nogil=True, cache=True)
def reduced(values: Any, labels: Any, size: Any, levels: Any) -> Any:
    """Count, mean, standard deviation (of n) and quantiles of the finite values of each label."""
    total, count = totals(values, labels, size)
    start = np.zeros(size + 1, np.int64)
    start[1:] = np.cumsum(count)
    placed = np.empty(start[size], values.dtype)
    ends = start[:-1].copy()
    for i in range(values.size):
        group, value = labels[i], values[i]
        if group >= 0 and np.isfinite(value):
            placed[ends[group]] = value
            ends[group] += 1
    mean, std = np.full(size, np.nan), np.full(size, np.nan)
    quantiles = np.full((levels.size, size), np.nan)
    for group in range(size):
        if not count[group]:
            continue
        inside = placed[start[group] : start[group + 1]]
        mean[group] = total[group] / count[group]
        squares = 0.0
        for value in inside:
            squares += (value - mean[group]) ** 2
        std[group] = np.sqrt(squares / count[group])
        inside.sort()
        for k in range(levels.size):
            place = levels[k] * (count[group] - 1)
            low = int(place)
            high = min(low + 1, count[group] - 1)
            below, above = np.float64(inside[low]), np.float64(inside[high])
            quantiles[k, group] = below + (place - low) * (above - below)
    return count, mean, std, quantiles
