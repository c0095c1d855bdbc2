"""The landscape of a scene on its design grid: terrain shaped by glaciers, and their motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate.glaciers import IceFields, grow_trees, ice_fields, no_ice
from glaciertoolkit.simulate.noise import smooth_periodic
from glaciertoolkit.simulate.parameters import Parameters
from glaciertoolkit.simulate.terrain import Grid, Relief, bare_relief, coarse_grid

Float64 = NDArray[np.float64]

LOWEST = 3900.0
"""Elevation of the lowest ground of every scene, metres."""

MOST_ICE = 0.42
"""Largest share of a scene that is ice."""


@dataclass(frozen=True)
class Landscape:
    """Elevation (m) and ice on the design grid."""

    grid: Grid
    elevation: Float64
    ice: IceFields


def landscape(p: Parameters) -> Landscape:
    """Build terrain and glaciers from the seed."""
    extent = max(p.size) * p.pixel
    grid = coarse_grid(p, float(np.clip(extent / 220, min(12.0, extent / 50), 30.0)))
    if p.relief == 0:
        return Landscape(grid, np.full(grid.shape, LOWEST), no_ice(grid))
    cell = grid.step * p.pixel
    relief = bare_relief(p)
    ground = _rough_ground(p, relief, grid)
    trees = grow_trees(p, relief) if p.glaciers else None
    if trees is None:
        ice = no_ice(grid)
    else:
        ice = ice_fields(p, relief, trees, grid, most=MOST_ICE)
        ground = _filled(ground, ice, max(0.35 * float(trees.half_width.max()), 2 * cell))
    elevation = _scaled(p, grid, ground)
    for _ in range(12):
        elevation = _scaled(p, grid, _worn(elevation, cell))
    return Landscape(grid, elevation, ice)


def _rough_ground(p: Parameters, relief: Relief, grid: Grid) -> Float64:
    """The coarse relief on the design grid, with fractal roughness."""
    from scipy.ndimage import map_coordinates

    axes = (
        (first + np.arange(n) * grid.step - first_coarse) / relief.grid.step
        for first, first_coarse, n in (
            (grid.row0, relief.grid.row0, grid.shape[0]),
            (grid.column0, relief.grid.column0, grid.shape[1]),
        )
    )
    places = np.meshgrid(*axes, indexing="ij")
    smooth = map_coordinates(relief.elevation, places, order=3, mode="nearest")
    rng = np.random.default_rng(np.random.SeedSequence((p.seed, 3)))
    rough = smooth_periodic(rng, grid.shape, 2.8)
    return np.asarray(smooth + 0.012 * float(np.ptp(relief.elevation)) * rough)


def _filled(ground: Float64, ice: IceFields, width: float) -> Float64:
    """`ground` with the surface of the ice in its valleys: trough walls over `width` metres."""
    from scipy.ndimage import gaussian_filter

    share = _blend(0.35 + ice.level_set / width)
    return np.asarray(ground + share * (gaussian_filter(ice.surface, 1.5) - ground))


def _worn(elevation: Float64, cell: float) -> Float64:
    """`elevation` with its steepest slopes worn down, as rock falls do."""
    from scipy.ndimage import gaussian_filter

    slope = np.degrees(np.arctan(np.hypot(*np.gradient(elevation, cell))))
    share = _blend((gaussian_filter(slope, 1.0) - 32.0) / 20.0)
    return np.asarray(elevation + share * (gaussian_filter(elevation, 1.5) - elevation))


def _scaled(p: Parameters, grid: Grid, ground: Float64) -> Float64:
    """`ground` in metres: a range of `relief` over the scene, the lowest at `LOWEST`."""
    scene = ground[grid.scene]
    low, high = float(scene.min()), float(scene.max())
    return np.asarray(LOWEST + (ground - low) * p.relief / max(high - low, 1e-12))


def _blend(x: Float64) -> Float64:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(x, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))
