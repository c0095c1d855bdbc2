"""The ground truth of a scene as smooth functions that any tile can evaluate alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate.parameters import Parameters
from glaciertoolkit.simulate.patches import Patch, draw_patches
from glaciertoolkit.simulate.terrain import Grid

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """Everything that the tiles of one scene share.

    All grids are coefficients of uniform bicubic B-splines on `grid`; elevations in metres,
    level set and ice displacement in pixels (rows, columns).
    """

    parameters: Parameters
    grid: Grid
    elevation: Float64
    mean_elevation: float
    level_set: Float64
    ice_rows: Float64
    ice_columns: Float64
    along: Float64
    relative: Float64
    outliers: tuple[Patch, ...]
    decorrelated: tuple[Patch, ...]
    max_offset: float

    @property
    def motion(self) -> tuple[Any, ...]:
        """Arguments of the kernels for the motion of the ice."""
        width = max(2.0, 1.5 * self.grid.step)
        return self.level_set, self.ice_rows, self.ice_columns, width

    @property
    def terrain(self) -> tuple[Any, ...]:
        """Arguments of the kernels for the topographic offset."""
        return self.elevation, self.mean_elevation, self.parameters.topographic_factor

    @property
    def ramp(self) -> tuple[Any, ...]:
        """Arguments of the kernels for the deformation."""
        ny, nx = self.parameters.size
        return (np.array(self.parameters.deformation), float(ny), float(nx))

    def field(
        self, coefficients: Any, rows: Float64, columns: Float64, *, derivative: str = ""
    ) -> NDArray[np.float64]:
        """A spline at `rows` x `columns` (pixels); `derivative` "y" or "x": per pixel."""
        from glaciertoolkit.simulate import kernels

        grid = self.grid
        out = np.empty((rows.size, columns.size))
        ys, xs = (rows - grid.row0) / grid.step, (columns - grid.column0) / grid.step
        kernels.spline_grid(coefficients, ys, xs, derivative == "y", derivative == "x", out)
        return out / grid.step if derivative else out


_models: dict[Parameters, Model] = {}
_lock = threading.Lock()


def model_of(p: Parameters) -> Model:
    """The model of a scene: built once in each process, the last few are kept."""
    with _lock:
        if p not in _models:
            while len(_models) >= 4:
                _models.pop(next(iter(_models)))
            _models[p] = _build(p)
        return _models[p]


def _build(p: Parameters) -> Model:
    from glaciertoolkit.simulate import kernels
    from glaciertoolkit.simulate.landscape import landscape

    built = landscape(p)
    ice = built.ice
    to_pixels = p.days / p.pixel
    first = Model(
        parameters=p,
        grid=built.grid,
        elevation=built.elevation,
        mean_elevation=0.0,
        level_set=ice.level_set / p.pixel,
        ice_rows=ice.velocity_y * to_pixels,
        ice_columns=ice.velocity_x * to_pixels,
        along=ice.along,
        relative=ice.relative,
        outliers=draw_patches(p, "outliers"),
        decorrelated=draw_patches(p, "decorrelated"),
        max_offset=0.0,
    )
    rows, columns = (np.linspace(0.0, n - 1.0, min(n, 256)) for n in p.size)
    mean = float(first.field(first.elevation, rows, columns).mean())
    model = replace(first, mean_elevation=mean)
    offsets = np.empty((2, rows.size, columns.size))
    kernels.total_grid(
        model.grid.index, model.motion, model.terrain, model.ramp, rows, columns, *offsets
    )
    return replace(model, max_offset=float(np.abs(offsets).max()))
