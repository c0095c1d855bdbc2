"""Glaciers in the valleys of a simulated terrain: where they lie, how high and how fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.simulate.noise import smooth_periodic
from glaciertoolkit.simulate.parameters import Parameters
from glaciertoolkit.simulate.terrain import Grid, Relief

Float64 = NDArray[np.float64]

SMALLEST_BASIN = 14.0
"""Cells of the relief that must drain through a node before ice gathers there."""


@dataclass(frozen=True)
class Trees:
    """Centre lines as trees of nodes, each with its glacier, downstream and upstream neighbour.

    Positions and widths are in metres from the first node of the relief's grid; `below` and
    `above` are -1 at a terminus and at a head; `along` is the distance to the terminus.
    """

    y: Float64
    x: Float64
    below: NDArray[np.int64]
    above: NDArray[np.int64]
    glacier: NDArray[np.int64]
    along: Float64
    area: Float64
    half_width: Float64
    level: Float64
    speed: Float64


def _smooth(values: Float64, below: NDArray[np.int64], above: NDArray[np.int64], n: int) -> Float64:
    """Average along the centre lines, `n` times over three nodes."""
    here = np.arange(values.size)
    down = np.where(below >= 0, below, here)
    up = np.where(above >= 0, above, here)
    for _ in range(n):
        values = 0.5 * values + 0.25 * values[down] + 0.25 * values[up]
    return values


def _nodes(relief: Relief) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Cells with a glacier, the number of their glacier, their distance to its terminus (cells).

    Ice gathers where enough ground drains through a cell that lies high enough; the more
    drains, the lower it reaches.
    """
    z = relief.elevation.ravel()
    low, high = np.quantile(z, [0.02, 0.98])
    reach = np.log10(relief.area / SMALLEST_BASIN)
    inside = relief.area >= SMALLEST_BASIN
    inside &= z > low + (high - low) * (0.42 - 0.14 * reach)
    nx = relief.grid.shape[1]
    glacier = np.full(z.size, -1, np.int64)
    along = np.zeros(z.size)
    count = 0
    for cell in relief.order[inside[relief.order]]:
        below = relief.receiver[cell]
        if below != cell and inside[below]:
            glacier[cell] = glacier[below]
            diagonal = cell // nx != below // nx and cell % nx != below % nx
            along[cell] = along[below] + (np.sqrt(2.0) if diagonal else 1.0)
        else:
            glacier[cell] = count
            count += 1
    return np.flatnonzero(inside), glacier, along


def _kept(
    relief: Relief, cells: NDArray[np.int64], glacier: NDArray[np.int64], along: Float64
) -> NDArray[np.int64]:
    """Numbers of the glaciers that are long enough, the longest first."""
    if cells.size == 0:
        return np.empty(0, np.int64)
    length, most = np.zeros((2, int(glacier.max()) + 1))
    np.maximum.at(length, glacier[cells], along[cells])
    np.maximum.at(most, glacier[cells], relief.area[cells])
    ranked = np.argsort(-length, kind="stable")
    least = np.maximum(max(6.0, 0.12 * length.max()), 4.0 * _width(1.0, most))
    return ranked[(length >= least)[ranked]]


def _width(cell: float, area: Float64) -> Float64:
    """Half-width of a glacier where `area` cells drain through it."""
    return np.minimum(4.6 * cell * (area / 600.0) ** 0.34, 1000.0)


def grow_trees(p: Parameters, relief: Relief) -> Trees | None:
    """Centre lines with width, ice level and speed (metres, m/day), or None without ice."""
    cells, glacier, along = _nodes(relief)
    kept = _kept(relief, cells, glacier, along)
    if kept.size == 0:
        return None
    rank = np.full(int(glacier.max()) + 2, -1, np.int64)
    rank[kept] = np.arange(kept.size)
    cells = cells[rank[glacier[cells]] >= 0]
    number = np.full(relief.elevation.size, -1, np.int64)
    number[cells] = np.arange(cells.size)
    below = number[relief.receiver[cells]]
    below[below == np.arange(cells.size)] = -1
    area = relief.area[cells]
    above = np.full(cells.size, -1, np.int64)
    for k in np.argsort(area, kind="stable"):
        if below[k] >= 0:
            above[below[k]] = k
    nx = relief.grid.shape[1]
    y = _smooth((cells // nx).astype(float) * relief.cell, below, above, 8)
    x = _smooth((cells % nx).astype(float) * relief.cell, below, above, 8)
    along_m = along[cells] * relief.cell
    half_width = _half_widths(relief.cell, area, along_m, below, above)
    level = _levels(relief, y, x, half_width, below, above, along_m)
    speed = _speeds(p, rank[glacier[cells]], area, along_m, half_width, below, above)
    return Trees(y, x, below, above, rank[glacier[cells]], along_m, area, half_width, level, speed)


def _half_widths(
    cell: float,
    area: Float64,
    along: Float64,
    below: NDArray[np.int64],
    above: NDArray[np.int64],
) -> Float64:
    """Half-widths that grow with the basin and close at the terminus, metres."""
    width = _smooth(_width(cell, area), below, above, 10)
    return np.asarray(width * np.sqrt(np.clip((along + 0.25 * width) / (2.5 * width), 0.0, 1.0)))


def _levels(
    relief: Relief,
    y: Float64,
    x: Float64,
    half_width: Float64,
    below: NDArray[np.int64],
    above: NDArray[np.int64],
    along: Float64,
) -> Float64:
    """Surface of the ice at each node, from the ground around it, falling along the flow."""
    from scipy.ndimage import map_coordinates

    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)[:, None]
    rows = (y + 0.8 * half_width * np.sin(angles)) / relief.cell
    columns = (x + 0.8 * half_width * np.cos(angles)) / relief.cell
    ring = map_coordinates(relief.elevation, [rows, columns], order=1, mode="nearest")
    level = _smooth(np.quantile(ring, 0.35, axis=0), below, above, 15)
    for k in np.argsort(along, kind="stable"):
        if below[k] >= 0:
            level[k] = max(level[k], level[below[k]])
    return _smooth(level, below, above, 15)


def _speeds(
    p: Parameters,
    glacier: NDArray[np.int64],
    area: Float64,
    along: Float64,
    half_width: Float64,
    below: NDArray[np.int64],
    above: NDArray[np.int64],
) -> Float64:
    """Speed on the centre line: fast trunks, slow tributaries, termini and heads."""
    count = int(glacier.max()) + 1
    length, most, widest = np.zeros(count), np.zeros(count), np.zeros(count)
    np.maximum.at(length, glacier, along)
    np.maximum.at(most, glacier, area)
    np.maximum.at(widest, glacier, half_width)
    share = along / length[glacier]
    profile = np.minimum(share / 0.4, 1.0) ** 0.8 * (1.0 - 0.6 * np.clip((share - 0.5) / 0.5, 0, 1))
    speed = widest[glacier] * (area / most[glacier]) ** 0.3 * profile
    speed = _smooth(speed, below, above, 12)
    careful = min(0.4, 0.03 * float(widest.max()) / p.days)
    peak = careful if p.max_speed is None else p.max_speed
    fastest = 0.15 * float(widest.max()) / p.days
    if peak > fastest:  # faster ice would fold over its margins
        raise ParameterError(
            f"simulate_pair: max_speed is {peak:g} m/day, which in {p.days:g} days tears glaciers "
            f"of this size apart; give at most {fastest:.3g}, or fewer days."
        )
    return np.asarray(speed / speed.max() * peak)


@dataclass(frozen=True)
class IceFields:
    """Fields on the design grid: coefficients of smooth splines.

    `level_set` (m) is positive on ice, about the distance to its margin; `surface` is its height
    (as the relief); the velocity (m/day) points down the rows and along the columns; `along` is
    the distance to the terminus (m), `relative` 0 on the centre line and 1 at the margin.
    """

    level_set: Float64
    surface: Float64
    velocity_y: Float64
    velocity_x: Float64
    along: Float64
    relative: Float64


def no_ice(grid: Grid) -> IceFields:
    """Fields of a scene without glaciers."""
    nothing = np.zeros(grid.shape)
    return IceFields(nothing - 1e3, nothing, nothing, nothing, nothing, nothing + 1)


def ice_fields(
    p: Parameters, relief: Relief, trees: Trees, grid: Grid, *, most: float
) -> IceFields:
    """Spread the centre lines over the design grid; at most the share `most` becomes ice.

    The margin is the outline of discs around the nodes; the cross profile of the speed is
    1 - r^3, with r = 0 on the centre line and 1 at the margin, as of ice held by its walls.
    """
    level_set, (width, surface, velocity_y, velocity_x, along) = _spread(p, relief, trees, grid)
    rng = np.random.default_rng(np.random.SeedSequence((p.seed, 2)))
    wiggle = 0.08 * width * smooth_periodic(rng, grid.shape, 3.0)
    level_set = np.where(level_set > -900, level_set + wiggle, level_set)
    level_set -= max(0.0, float(np.quantile(level_set[grid.scene], 1.0 - most)))
    cell = grid.step * p.pixel
    relative = np.clip(1.0 - level_set / np.maximum(width, cell), 0.0, 1.0)
    profile = 1.0 - relative**3
    return IceFields(
        level_set, surface, velocity_y * profile, velocity_x * profile, along, relative
    )


def _spread(p: Parameters, relief: Relief, trees: Trees, grid: Grid) -> tuple[Float64, Float64]:
    """Distance into the ice, and what the nodes around have, averaged (5 fields)."""
    cell = grid.step * p.pixel
    ny, nx = grid.shape
    ys = trees.y + (relief.grid.row0 - grid.row0) * p.pixel
    xs = trees.x + (relief.grid.column0 - grid.column0) * p.pixel
    level_set = np.full(grid.shape, -1e3)
    sums = np.zeros((6, ny, nx))
    flow_y, flow_x = _directions(trees)
    values = np.stack(
        [
            np.ones(ys.size),
            trees.half_width,
            trees.level,
            trees.speed * flow_y,
            trees.speed * flow_x,
            trees.along,
        ]
    )
    for k in range(ys.size):
        y, x, w = ys[k], xs[k], trees.half_width[k]
        reach = 2.5 * w + 3 * cell
        i0, i1 = max(0, int((y - reach) / cell)), min(ny, int((y + reach) / cell) + 2)
        j0, j1 = max(0, int((x - reach) / cell)), min(nx, int((x + reach) / cell) + 2)
        if i0 >= i1 or j0 >= j1:
            continue
        dy, dx = np.arange(i0, i1)[:, None] * cell - y, np.arange(j0, j1)[None, :] * cell - x
        distance = np.hypot(dy, dx)
        part = level_set[i0:i1, j0:j1]
        np.maximum(part, w - distance, out=part)
        weight = np.exp(-0.5 * (distance / (0.6 * w)) ** 2) * w
        sums[:, i0:i1, j0:j1] += weight * values[:, k, None, None]
    return level_set, sums[1:] / np.maximum(sums[0], 1e-12)


def _directions(trees: Trees) -> tuple[Float64, Float64]:
    """Unit vectors along the flow at each node, down the rows and along the columns."""
    here = np.arange(trees.y.size)
    down = np.where(trees.below >= 0, trees.below, here)
    up = np.where(trees.above >= 0, trees.above, here)
    dy, dx = trees.y[down] - trees.y[up], trees.x[down] - trees.x[up]
    dy = _smooth(dy, trees.below, trees.above, 6)
    dx = _smooth(dx, trees.below, trees.above, 6)
    length = np.maximum(np.hypot(dy, dx), 1e-9)
    return dy / length, dx / length
