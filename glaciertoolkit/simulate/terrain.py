"""High-mountain terrain: ridges and valleys cut by stream-power erosion, on a coarse grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate.noise import smooth_periodic
from glaciertoolkit.simulate.parameters import Parameters

Float64 = NDArray[np.float64]

STEPS = 150
"""Steps of uplift and erosion; the rivers are then close to their equilibrium."""

UPSTREAM_SIDE = 0.35
"""Height of one side of the range over the highest ground: moves the main divide off centre."""


@dataclass(frozen=True)
class Grid:
    """A coarse grid around the scene: node (i, j) lies at row `row0` + i `step`, and so on.

    All in pixels of the scene, whose first pixel has its centre at (0, 0).
    """

    row0: float
    column0: float
    step: float
    shape: tuple[int, int]

    @property
    def index(self) -> tuple[float, float, float]:
        """First row, first column and step, for the kernels."""
        return self.row0, self.column0, self.step

    @property
    def scene(self) -> tuple[slice, slice]:
        """The nodes over the scene, without the margin."""
        i, j = (round(-first / self.step) for first in (self.row0, self.column0))
        return slice(i, self.shape[0] - i), slice(j, self.shape[1] - j)


@dataclass(frozen=True)
class Relief:
    """Bare terrain (heights without a unit) and where its water flows.

    `receiver` and `area` (cells that drain through a cell, itself included) are flat; `order`
    lists the cells from low to high; `cell` is the spacing in metres.
    """

    grid: Grid
    cell: float
    elevation: Float64
    receiver: NDArray[np.int64]
    order: NDArray[np.int64]
    area: Float64


def margin_of(p: Parameters) -> float:
    """Terrain beyond the edges of the scene, metres: for the DEM and for motion across them."""
    return min(480.0, 0.25 * min(p.size) * p.pixel)


def coarse_grid(p: Parameters, cell: float) -> Grid:
    """A grid of spacing `cell` (metres) over the scene and its margin."""
    step = cell / p.pixel
    margin = int(np.ceil(margin_of(p) / cell)) + 3
    rows, columns = (int(np.ceil(n / step)) + 2 * margin + 1 for n in p.size)
    return Grid(-margin * step, -margin * step, step, (rows, columns))


def bare_relief(p: Parameters) -> Relief:
    """Terrain without ice.

    A mountain range rises between two low sides while rivers cut into it and its slopes creep:
    that grows a branching net of valleys and the ridges between them. Small scenes get smaller
    valleys, so that several fit in.

    References
    ----------
    Braun, J. and Willett, S. D. (2013), Geomorphology 180-181, 170-179 (implicit stream power).
    """
    from scipy.ndimage import gaussian_filter

    from glaciertoolkit.simulate import kernels

    extent = max(p.size) * p.pixel
    grid = coarse_grid(p, extent / float(np.clip(extent / 90.0, 50.0, 220.0)))
    rng = np.random.default_rng(np.random.SeedSequence((p.seed, 1)))
    turns = int(rng.integers(4))
    shape = grid.shape if turns % 2 == 0 else grid.shape[::-1]
    low_side = np.zeros(shape, bool)
    low_side[[0, -1], :] = True
    strength = np.exp(0.25 * smooth_periodic(rng, shape, 2.0)).ravel()
    uplift = np.exp(0.3 * smooth_periodic(rng, shape, 3.0))
    z = 3.0 * smooth_periodic(rng, shape, 2.5)
    for _ in range(STEPS):
        z[low_side] = 0.0
        z[0] = UPSTREAM_SIDE * z.max()
        target, order, area = _flow(z, low_side)
        z += uplift
        kernels.incise(z.reshape(-1), order, target, area, 0.35 * strength)
        z = gaussian_filter(z, 0.6, mode="nearest")
    z = np.ascontiguousarray(np.rot90(z, turns))
    target, order, area = _flow(z, np.ascontiguousarray(np.rot90(low_side, turns)))
    return Relief(grid, grid.step * p.pixel, z, target, order, area)


def _flow(
    z: Float64, low_side: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Receiver of each cell, cells from low to high, cells that drain through each."""
    from glaciertoolkit.simulate import kernels

    target = np.empty(z.size, np.int64)
    area = np.empty(z.size)
    kernels.receivers(z, low_side, target)
    order = np.argsort(z, axis=None, kind="stable")
    kernels.drained_cells(order, target, area)
    return target, order, area
