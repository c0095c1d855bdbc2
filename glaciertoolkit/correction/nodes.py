"""A smooth field from a lattice of nodes: evaluated there once, interpolated at any posts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Nodes:
    """Values (ny, nx) on a regular lattice; `y` and `x` are its first node and spacing, metres.

    One row and column of nodes lie beyond the posts on each side, extrapolated, so that every
    post has two neighbours each way.
    """

    values: Array
    y: tuple[float, float]
    x: tuple[float, float]

    @classmethod
    def of(cls, ds: xr.Dataset, most: int, function: Callable[[Array, Array], Array]) -> Nodes:
        """The lattice over the posts of `ds`, at most `most` nodes along an edge.

        Parameters
        ----------
        ds : xarray.Dataset
            The posts.
        most : int
        function : callable
            Called with x and y (m) of the nodes of a row; returns their values.
        """
        lines: dict[str, Array] = {}
        starts: dict[str, tuple[float, float]] = {}
        for name in ("y", "x"):
            posts = np.asarray(ds[name].values, float)
            first, last = float(posts[0]), float(posts[-1])
            count = max(min(posts.size, most), 4)
            spacing = (last - first) / (count - 1) or 1.0
            lines[name] = np.asarray(first + spacing * np.arange(count))
            starts[name] = (first - spacing, spacing)
        x = lines["x"]
        rows = [function(x, np.full_like(x, y)) for y in lines["y"]]
        return cls(_bordered(np.array(rows)), starts["y"], starts["x"])

    def at(self, y: Array, x: Array) -> Array:
        """The field at all combinations of y and x (m).

        Notes
        -----
        Cubic convolution (Keys 1981), a = -1/2: it passes through the nodes and reproduces
        parabolas. Each post is computed alone, so no chunk changes it.
        """
        row, wy = self._taps(y, *self.y, self.values.shape[0])
        column, wx = self._taps(x, *self.x, self.values.shape[1])
        low, high = int(row.min()), int(row.max()) + 4
        across = wx[0] * self.values[low:high, column]
        for k in range(1, 4):
            across += wx[k] * self.values[low:high, column + k]
        out = wy[0][:, None] * across[row - low]
        for k in range(1, 4):
            out += wy[k][:, None] * across[row - low + k]
        return np.asarray(out)

    @staticmethod
    def _taps(
        places: Array, first: float, spacing: float, count: int
    ) -> tuple[npt.NDArray[np.int64], tuple[Array, ...]]:
        """First of the four nodes around each place, and their weights."""
        position = (places - first) / spacing
        cell = np.clip(np.floor(position).astype(np.int64), 1, count - 3)
        t = position - cell
        weights = (
            ((-0.5 * t + 1.0) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1.0,
            ((-1.5 * t + 2.0) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        )
        return cell - 1, weights


def _bordered(values: Array) -> Array:
    """With one more node on each side, on the parabola through the three before it."""
    for axis in (0, 1):
        v = np.moveaxis(values, axis, 0)
        before = 3 * v[0] - 3 * v[1] + v[2]
        after = 3 * v[-1] - 3 * v[-2] + v[-3]
        values = np.moveaxis(np.concatenate([before[None], v, after[None]]), 0, axis)
    return values
