"""Tiles of the truth: what moved where, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate import patches
from glaciertoolkit.simulate.model import Model, model_of
from glaciertoolkit.simulate.parameters import Parameters

Float64 = NDArray[np.float64]

ATTRS: dict[str, dict[str, str]] = {
    "true_dx": {"units": "m", "long_name": "true displacement of the ice along x"},
    "true_dy": {"units": "m", "long_name": "true displacement of the ice along y"},
    "true_deformation_dx": {"units": "m", "long_name": "true global deformation along x"},
    "true_deformation_dy": {"units": "m", "long_name": "true global deformation along y"},
    "true_topography_dx": {"units": "m", "long_name": "true topography-related offset along x"},
    "true_topography_dy": {"units": "m", "long_name": "true topography-related offset along y"},
    "elevation": {"units": "m", "long_name": "elevation"},
    "ice": {"units": "1", "long_name": "glacier ice, with its slow margin"},
    "decorrelated": {"units": "1", "long_name": "ground without any coherence"},
    "outlier": {
        "units": "1",
        "long_name": "ground that a displaced patch of the secondary hides or shows elsewhere",
    },
}


def _ice(model: Model, rows: Float64, columns: Float64) -> tuple[Float64, Float64]:
    from glaciertoolkit.simulate import kernels

    down, right = np.empty((2, rows.size, columns.size))
    kernels.ice_grid(model.grid.index, model.motion, rows, columns, down, right)
    return down, right


def _deformation(model: Model, rows: Float64, columns: Float64, axis: int) -> Float64:
    ny, nx = model.parameters.size
    u = (2 * columns - (nx - 1))[None, :] / nx
    v = -(2 * rows - (ny - 1))[:, None] / ny
    c = model.parameters.deformation[axis]
    return c[0] + c[1] * u + c[2] * v + c[3] * u * u + c[4] * u * v + c[5] * v * v


def _topography(model: Model, rows: Float64, columns: Float64) -> Float64:
    height = model.field(model.elevation, rows, columns) - model.mean_elevation
    return model.parameters.topographic_factor * height


Tile = Callable[[Model, Float64, Float64], NDArray[Any]]

_PIXELS: dict[str, Tile] = {
    "true_dx": lambda m, r, c: _ice(m, r, c)[1],
    "true_dy": lambda m, r, c: -_ice(m, r, c)[0],
    "true_deformation_dx": lambda m, r, c: _deformation(m, r, c, 0),
    "true_deformation_dy": lambda m, r, c: _deformation(m, r, c, 1),
    "true_topography_dx": _topography,
    "true_topography_dy": lambda _, r, c: np.zeros((r.size, c.size)),
}
_OTHERS: dict[str, Tile] = {
    "elevation": lambda m, r, c: m.field(m.elevation, r, c),
    "ice": lambda m, r, c: m.field(m.level_set, r, c) > 0,
    "decorrelated": lambda m, r, c: patches.mask(m.decorrelated, r, c),
    "outlier": lambda m, r, c: patches.mask(m.outliers, r, c, moved=True),
}

NAMES = (*_PIXELS, *_OTHERS)
MASKS = ("ice", "decorrelated", "outlier")


def evaluate(p: Parameters, name: str, rows: Float64, columns: Float64) -> NDArray[Any]:
    """One truth variable at pixel positions `rows` x `columns`: float32 metres, or bool."""
    model = model_of(p)
    if name in MASKS:
        return _OTHERS[name](model, rows, columns)
    if name in _OTHERS:
        return _OTHERS[name](model, rows, columns).astype(np.float32)
    return np.asarray(_PIXELS[name](model, rows, columns) * p.pixel, dtype=np.float32)
