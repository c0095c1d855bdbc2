"""Bins of a covariate: regular, so many, of equal count, or sectors of the compass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Bins(NamedTuple):
    """Bounds (n, 2), and the bin of each value (-1 for none)."""

    bounds: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


def regular_bins(z: Array, step: float) -> Bins:
    """Bins whose bounds are multiples of `step`, from the lowest to the highest value."""
    known = z[np.isfinite(z)]
    if not known.size:
        return between(z, np.array([0.0, step]))
    first, last = np.floor(known.min() / step), np.floor(known.max() / step) + 1
    return between(z, step * np.arange(first, last + 1))


def equal_bins(z: Array, number: int, *, limits: tuple[float, float] | None = None) -> Bins:
    """So many bins of one width between limits, by default the lowest and the highest value."""
    known = z[np.isfinite(z)]
    if limits is None:
        limits = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low, high = limits
    return between(z, np.linspace(low, high if high > low else low + 1, number + 1))


def quantile_bins(z: Array, number: int) -> Bins:
    """Bins that hold as many values each; fewer where values repeat."""
    known = z[np.isfinite(z)]
    if not known.size:
        return between(z, np.array([0.0, 1.0]))
    edges = np.unique(np.quantile(known.astype(np.float64), np.linspace(0, 1, number + 1)))
    return between(z, edges if edges.size > 1 else np.array([edges[0], edges[0] + 1]))


def between(z: Array, edges: npt.NDArray[np.float64]) -> Bins:
    """Bins between rising edges; the last one holds its upper bound too."""
    inside = np.isfinite(z) & (z >= edges[0]) & (z <= edges[-1])
    labels = np.minimum(np.searchsorted(edges, z, side="right") - 1, edges.size - 2)
    return Bins(np.column_stack([edges[:-1], edges[1:]]), np.where(inside, labels, -1))


def compass_bins(aspect: Array, number: int) -> Bins:
    """Sectors of the compass; the first one is centred on north."""
    width = 360.0 / number
    centres = width * np.arange(number)
    known = np.isfinite(aspect)
    nearest = np.rint(np.where(known, aspect, 0) / width).astype(np.int64) % number
    bounds = np.column_stack([centres - width / 2, centres + width / 2])
    return Bins(bounds, np.where(known, nearest, -1))
