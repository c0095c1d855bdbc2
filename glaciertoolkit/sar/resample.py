"""Reading fields of radar posts between the posts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Neighbours:
    """The four posts around each of many places, and their weights.

    A place is known where the nearest of its posts is; the weights of those that are missing are
    shared among the others. `inside` says which places lie on the grid of posts at all.
    """

    shape: tuple[int, ...]
    inside: npt.NDArray[np.bool_]
    corners: tuple[Array, ...]
    weights: tuple[Array, ...]
    closest: Array

    @classmethod
    def of(cls, row: Array, column: Array, known: Array) -> Neighbours:
        """Neighbours of places given by row and column (fractions), NaN where there is none.

        Parameters
        ----------
        row, column : numpy.ndarray
            Of one shape.
        known : numpy.ndarray, (posts_y, posts_x)
            NaN where a post is missing.
        """
        ny, nx = known.shape
        inside = (row >= -0.5) & (row <= ny - 0.5) & (column >= -0.5) & (column <= nx - 0.5)
        r = np.clip(row[inside], 0, ny - 1)
        c = np.clip(column[inside], 0, nx - 1)
        i = np.minimum(r.astype(np.int64), max(ny - 2, 0))
        j = np.minimum(c.astype(np.int64), max(nx - 2, 0))
        a, b = (r - i).astype(np.float32), (c - j).astype(np.float32)
        down, right = min(1, ny - 1), min(1, nx - 1)
        corners = tuple((i + p * down) * nx + j + q * right for p in (0, 1) for q in (0, 1))
        weights = [(a if p else 1 - a) * (b if q else 1 - b) for p in (0, 1) for q in (0, 1)]
        closest = np.rint(r).astype(np.int64) * nx + np.rint(c).astype(np.int64)
        flat = known.reshape(-1)
        weights = [
            np.where(np.isfinite(flat[k]), w, np.float32(0))
            for k, w in zip(corners, weights, strict=True)
        ]
        total = np.asarray(sum(weights), np.float32)
        total[~np.isfinite(flat[closest]) | (total <= 0)] = np.nan
        return cls(row.shape, inside, corners, tuple(w / total for w in weights), closest)

    def mean(self, field: Array) -> npt.NDArray[np.float32]:
        """A field of the posts at the places: weighted by nearness, NaN where it is not known."""
        flat = field.reshape(-1)
        found = np.zeros(self.closest.shape, np.float32)
        for k, weight in zip(self.corners, self.weights, strict=True):
            # A post of no weight may be missing.
            found += np.where(weight > 0, flat[k], np.float32(0)) * weight
        found[np.isnan(self.weights[0])] = np.nan
        out = np.full(self.shape, np.nan, np.float32)
        out[self.inside] = found
        return out

    def nearest(self, field: Array, *, fill: int) -> Array:
        """A field of the posts at the places, of the nearest post; `fill` beyond the grid."""
        out = np.full(self.shape, fill, field.dtype)
        out[self.inside] = field.reshape(-1)[self.closest]
        return out
