"""Reductions by group: one pass over the values each, without a loop over groups or copies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def counted(labels: Any, size: Any) -> Any:
    """Number of entries of each label; negative ones do not count."""
    count = np.zeros(size, np.int64)
    for label in labels:
        if label >= 0:
            count[label] += 1
    return count


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
def directions(x: Any, y: Any, labels: Any, size: Any) -> Any:
    """Sum of the unit vectors along (x, y) of each label, and their number."""
    along_x, along_y = np.zeros(size, np.float64), np.zeros(size, np.float64)
    count = np.zeros(size, np.int64)
    for i in range(x.size):
        length = np.hypot(np.float64(x[i]), np.float64(y[i]))
        if labels[i] >= 0 and length > 0 and np.isfinite(length):
            along_x[labels[i]] += x[i] / length
            along_y[labels[i]] += y[i] / length
            count[labels[i]] += 1
    return along_x, along_y, count


@njit(nogil=True, cache=True)
def squared(errors: Any, values: Any, labels: Any, size: Any) -> Any:
    """Sum of the squares of the errors of the finite values of each label, and their number."""
    total = np.zeros(size, np.float64)
    count = np.zeros(size, np.int64)
    for i in range(values.size):
        error = np.float64(errors[i])
        if labels[i] >= 0 and np.isfinite(values[i]) and np.isfinite(error):
            total[labels[i]] += error * error
            count[labels[i]] += 1
    return total, count


@njit(nogil=True, cache=True)
def exceeding(values: Any, errors: Any, times: Any, labels: Any, size: Any) -> Any:
    """Number of values of each label that reach `times` their error, and of all with one."""
    above, count = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for i in range(values.size):
        if labels[i] >= 0 and np.isfinite(values[i]) and np.isfinite(errors[i]):
            count[labels[i]] += 1
            if values[i] >= times * errors[i]:
                above[labels[i]] += 1
    return above, count


@njit(nogil=True, cache=True)
def select(values: Any, k: Any, low: Any, high: Any) -> None:
    """Reorder values[low:high + 1] so that the k-th is where sorting would put it.

    Hoare's selection; smaller values end up before it and larger ones after it.
    """
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return


@njit(nogil=True, cache=True)
def reduced(values: Any, labels: Any, size: Any, levels: Any) -> Any:
    """Count, mean, standard deviation (of n) and quantiles of the finite values of each label.

    `levels` rise. Quantiles are interpolated linearly between neighbours.
    """
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
        number = count[group]
        if not number:
            continue
        inside = placed[start[group] : start[group + 1]]
        mean[group] = total[group] / number
        squares = 0.0
        for value in inside:
            squares += (value - mean[group]) ** 2
        std[group] = np.sqrt(squares / number)
        first = 0  # what lies before is smaller already
        for k in range(levels.size):
            place = levels[k] * (number - 1)
            low = int(place)
            select(inside, low, first, number - 1)
            below = np.float64(inside[low])
            above = below
            if low + 1 < number:
                select(inside, low + 1, low + 1, number - 1)
                above = np.float64(inside[low + 1])
            first = low
            quantiles[k, group] = below + (place - low) * (above - below)
    return count, mean, std, quantiles
