"""The posts on ice, row by row: picked out of a field, and how far they lie from the margin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def compressed(index: Any, columns: Any, glaciers: Any) -> Any:
    """Columns and values of the posts of `index` that are not negative; posts in each row."""
    rows, cols = index.shape
    found = np.zeros(rows, np.int64)
    k = 0
    for r in range(rows):
        for c in range(cols):
            if index[r, c] >= 0:
                columns[k] = c
                glaciers[k] = index[r, c]
                k += 1
                found[r] += 1
    return found


@njit(nogil=True, cache=True)
def picked(block: Any, first_column: Any, starts: Any, columns: Any) -> Any:
    """Values of a block at given posts: those of row r are columns[starts[r]:starts[r + 1]]."""
    out = np.empty(starts[-1] - starts[0], block.dtype)
    for r in range(starts.size - 1):
        for k in range(starts[r], starts[r + 1]):
            out[k - starts[0]] = block[r, columns[k] - first_column]
    return out


@njit(nogil=True, cache=True)
def within_columns(starts: Any, columns: Any, first: Any, last: Any) -> Any:
    """Numbers of the posts from column `first` to before `last`, and where each row starts."""
    rows = starts.size - 1
    begins = np.zeros(rows + 1, np.int64)
    for r in range(rows):
        inside = columns[starts[r] : starts[r + 1]]
        begins[r + 1] = begins[r] + np.searchsorted(inside, last) - np.searchsorted(inside, first)
    posts = np.empty(begins[rows], np.int64)
    for r in range(rows):
        low = starts[r] + np.searchsorted(columns[starts[r] : starts[r + 1]], first)
        for k in range(begins[r + 1] - begins[r]):
            posts[begins[r] + k] = low + k
    return begins, posts


@njit(nogil=True, cache=True)
def row_distances(starts: Any, columns: Any, width: Any) -> Any:
    """Columns from each post to the nearest one of its row that is not listed; beyond the grid
    there is none."""
    far = 2 * width
    out = np.empty(columns.size, np.int64)
    for r in range(starts.size - 1):
        low, high = starts[r], starts[r + 1]
        for k in range(low, high):
            if k > low and columns[k - 1] == columns[k] - 1:
                out[k] = out[k - 1] + 1
            else:
                out[k] = 1 if columns[k] > 0 else far
            out[k] = min(out[k], far)
        reach = far
        for k in range(high - 1, low - 1, -1):
            if k < high - 1 and columns[k + 1] == columns[k] + 1:
                reach = min(reach + 1, far)
            else:
                reach = 1 if columns[k] < width - 1 else far
            out[k] = min(out[k], reach)
    return out


@njit(nogil=True, cache=True)
def far_from_margin(
    starts: Any, columns: Any, distances: Any, spacing: Any, reach: Any, wide: Any
) -> Any:
    """Whether a post lies `reach` or more from every post that is not listed.

    The nearest one in each row is known (`distances`), so that only rows have to be looked at.
    """
    rows = starts.size - 1
    sy, sx = spacing
    height = int(np.ceil(reach / sy))
    limit = (reach * (1 - 1e-9)) ** 2
    out = np.empty(columns.size, np.bool_)
    for r in range(rows):
        first, last = max(r - height, 0), min(r + height + 1, rows)
        place = starts[first:last].copy()
        for k in range(starts[r], starts[r + 1]):
            inside = True
            for other in range(first, last):
                apart = ((other - r) * sy) ** 2
                if apart >= limit:
                    continue
                p = place[other - first]
                while p < starts[other + 1] and columns[p] < columns[k]:
                    p += 1
                place[other - first] = p
                across = 0.0
                if p < starts[other + 1] and columns[p] == columns[k]:
                    if distances[p] >= wide:
                        continue
                    across = distances[p] * sx
                if apart + across**2 < limit:
                    inside = False
                    break
            out[k] = inside
    return out
