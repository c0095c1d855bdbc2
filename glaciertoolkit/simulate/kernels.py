"""Numba kernels of the simulation: splines, displacement and its inverse, resampling, erosion.

No kernel uses fast-math: every sample is computed with the same operations in the same order,
wherever its tile lies, so that the bits of a scene depend on its parameters alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from glaciertoolkit.simulate.optics import TAPS

_TOLERANCE = 1e-4
_ITERATIONS = 60


Weights = tuple[float, float, float, float]


@njit(nogil=True, cache=True)
def _cubic(t: float) -> Weights:
    """Weights of the four coefficients around a point at fraction `t` of its cell."""
    r = 1.0 - t
    return (
        r * r * r / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * r * r * r - 6.0 * r * r + 4.0) / 6.0,
        t * t * t / 6.0,
    )


@njit(nogil=True, cache=True)
def _cubic_slope(t: float) -> Weights:
    """Derivatives of `_cubic` with respect to `t`."""
    r = 1.0 - t
    return -r * r / 2.0, (3.0 * t * t - 4.0 * t) / 2.0, (4.0 * r - 3.0 * r * r) / 2.0, t * t / 2.0


@njit(nogil=True, cache=True)
def _cell(position: float, size: int) -> tuple[int, float]:
    """First of the four coefficients and fraction of the cell; constant outside the grid."""
    position = min(max(position, 1.0), size - 2.000001)
    whole = int(position)
    return whole - 1, position - whole


@njit(nogil=True, cache=True)
def _line(coefficients: Any, i: int, j: int, w: Weights) -> Any:
    line = coefficients[i]
    return w[0] * line[j] + w[1] * line[j + 1] + w[2] * line[j + 2] + w[3] * line[j + 3]


@njit(nogil=True, cache=True)
def _value(coefficients: Any, i: int, j: int, wy: Weights, wx: Weights) -> Any:
    """Uniform bicubic B-spline in the cell whose first coefficient is (i, j)."""
    return (
        wy[0] * _line(coefficients, i, j, wx)
        + wy[1] * _line(coefficients, i + 1, j, wx)
        + wy[2] * _line(coefficients, i + 2, j, wx)
        + wy[3] * _line(coefficients, i + 3, j, wx)
    )


@njit(nogil=True, cache=True)
def blend_grid(field: Any, top: Any, wy: Any, left: Any, wx: Any, out: Any) -> None:
    """Weighted means of four by four nodes of `field`, from (`top`, `left`) on, into `out`.

    The places are a grid: `wy` (rows, 4) and `wx` (columns, 4), ascending.
    """
    line = np.empty(field.shape[1])
    for i in range(top.size):
        k, w = top[i], wy[i]
        for j in range(left[0], left[left.size - 1] + 4):
            line[j] = (
                w[0] * field[k, j]
                + w[1] * field[k + 1, j]
                + w[2] * field[k + 2, j]
                + w[3] * field[k + 3, j]
            )
        for j in range(left.size):
            k, w = left[j], wx[j]
            out[i, j] = (
                w[0] * line[k] + w[1] * line[k + 1] + w[2] * line[k + 2] + w[3] * line[k + 3]
            )


@njit(nogil=True, cache=True)
def _spline_weights(places: Any, nodes: int, derivative: bool) -> tuple[Any, Any]:
    """First of the four nodes around each place, and their weights."""
    first, weights = np.empty(places.size, np.int64), np.empty((places.size, 4))
    for j in range(places.size):
        first[j], t = _cell(places[j], nodes)
        w = _cubic_slope(t) if derivative else _cubic(t)
        for k in range(4):
            weights[j, k] = w[k]
    return first, weights


@njit(nogil=True, cache=True)
def spline_grid(
    coefficients: Any, ys: Any, xs: Any, derivative_y: bool, derivative_x: bool, out: Any
) -> None:
    """The spline (or a first derivative, per index) on the grid `ys` x `xs`, into `out`."""
    top, wy = _spline_weights(ys, coefficients.shape[0], derivative_y)
    left, wx = _spline_weights(xs, coefficients.shape[1], derivative_x)
    blend_grid(coefficients, top, wy, left, wx, out)


@njit(nogil=True, cache=True)
def margin_factor(level: float, width: float) -> float:
    """0 outside the ice, 1 from `width` inside it on, twice continuously differentiable."""
    t = level / width
    if t <= 0.0:
        return 0.0
    if t >= 1.0:
        return 1.0
    return t * t * t * (t * (6.0 * t - 15.0) + 10.0)


@njit(nogil=True, cache=True)
def polynomial(terms: Any, u: float, v: float) -> Any:
    """Order-2 polynomial with the terms 1, u, v, u^2, u v, v^2."""
    return (
        terms[0]
        + terms[1] * u
        + terms[2] * v
        + terms[3] * u * u
        + terms[4] * u * v
        + terms[5] * v * v
    )


@njit(nogil=True, cache=True)
def _ice(motion: Any, i: int, j: int, wy: Weights, wx: Weights) -> tuple[float, float]:
    level, rows, columns, width = motion
    factor = margin_factor(_value(level, i, j, wy, wx), width)
    if factor == 0.0:
        return 0.0, 0.0
    return factor * _value(rows, i, j, wy, wx), factor * _value(columns, i, j, wy, wx)


@njit(nogil=True, cache=True)
def ice_displacement(grid: Any, motion: Any, row: float, column: float) -> tuple[float, float]:
    """Displacement of the ice at a position, pixels along rows and columns."""
    i, v = _cell((row - grid[0]) / grid[2], motion[0].shape[0])
    j, u = _cell((column - grid[1]) / grid[2], motion[0].shape[1])
    return _ice(motion, i, j, _cubic(v), _cubic(u))


@njit(nogil=True, cache=True)
def total_displacement(
    grid: Any, motion: Any, terrain: Any, ramp: Any, row: float, column: float
) -> tuple[float, float]:
    """Ice, deformation and topographic offset together, pixels along rows and columns."""
    i, v = _cell((row - grid[0]) / grid[2], motion[0].shape[0])
    j, u = _cell((column - grid[1]) / grid[2], motion[0].shape[1])
    wy, wx = _cubic(v), _cubic(u)
    dr, dc = _ice(motion, i, j, wy, wx)
    elevation, reference, factor = terrain
    if factor != 0.0:
        dc += factor * (_value(elevation, i, j, wy, wx) - reference)
    terms, ny, nx = ramp
    u = (2.0 * column - (nx - 1.0)) / nx
    v = -(2.0 * row - (ny - 1.0)) / ny
    dc += polynomial(terms[0], u, v)
    dr -= polynomial(terms[1], u, v)
    return dr, dc


@njit(nogil=True, cache=True)
def ice_grid(
    grid: Any, motion: Any, rows: Any, columns: Any, out_row: Any, out_column: Any
) -> None:
    """Ice displacement on the grid `rows` x `columns`, pixels."""
    for i in range(rows.size):
        for j in range(columns.size):
            out_row[i, j], out_column[i, j] = ice_displacement(grid, motion, rows[i], columns[j])


@njit(nogil=True, cache=True)
def total_grid(
    grid: Any,
    motion: Any,
    terrain: Any,
    ramp: Any,
    rows: Any,
    columns: Any,
    out_row: Any,
    out_column: Any,
) -> None:
    """Total displacement on the grid `rows` x `columns`, pixels."""
    for i in range(rows.size):
        for j in range(columns.size):
            out_row[i, j], out_column[i, j] = total_displacement(
                grid, motion, terrain, ramp, rows[i], columns[j]
            )


@njit(nogil=True, cache=True)
def material_grid(
    grid: Any,
    motion: Any,
    terrain: Any,
    ramp: Any,
    rows: Any,
    columns: Any,
    out_row: Any,
    out_column: Any,
) -> None:
    """Where the things seen at `rows` x `columns` of the secondary were in the reference.

    Solves ``p + d(p) = q`` for p by fixed-point iteration, from the displacement of the
    neighbours on. The displacement changes by far less than one pixel a pixel, so that each step
    divides the error by ten or more: the last change bounds it.
    """
    for i in range(rows.size):
        dr, dc, before_r, before_c = 0.0, 0.0, 0.0, 0.0
        for j in range(columns.size):
            guess_r, guess_c = dr, dc
            if j > 1:
                guess_r, guess_c = 2.0 * dr - before_r, 2.0 * dc - before_c
            before_r, before_c = dr, dc
            for _ in range(_ITERATIONS):
                dr, dc = total_displacement(
                    grid, motion, terrain, ramp, rows[i] - guess_r, columns[j] - guess_c
                )
                change = abs(dr - guess_r) + abs(dc - guess_c)
                guess_r, guess_c = dr, dc
                if change < _TOLERANCE:
                    break
            out_row[i, j], out_column[i, j] = rows[i] - dr, columns[j] - dc


@njit(nogil=True, cache=True)
def fill_taps(position: float, table: Any, weights: Any) -> Any:
    """Fill the taps of one axis by linear interpolation in `table`; return the first sample."""
    first = int(np.floor(position))
    place = (position - first) * (table.shape[0] - 1)
    entry = int(place)
    part = np.float32(place - entry)
    for k in range(weights.size):
        weights[k] = table[entry, k] + part * (table[entry + 1, k] - table[entry, k])
    return first - weights.size // 2 + 1


@njit(nogil=True, cache=True)
def gather_complex(field: Any, rows: Any, columns: Any, table: Any, out: Any) -> None:
    """Sum of the point-spread functions of complex scatterers at arbitrary positions.

    `field` holds real and imaginary parts interleaved along its columns: the 32 values that one
    line of taps needs are neighbours then, which the compiler turns into two vector operations.
    """
    weights_row = np.empty(TAPS, np.float32)
    weights_column = np.empty(TAPS, np.float32)
    sums = np.empty(2 * TAPS, np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            first_row = fill_taps(rows[i, j], table, weights_row)
            first_column = fill_taps(columns[i, j], table, weights_column)
            sums[:] = np.float32(0)
            for k in range(TAPS):
                weight = weights_row[k]
                line = field[first_row + k, 2 * first_column : 2 * (first_column + TAPS)]
                for m in range(2 * TAPS):
                    sums[m] += weight * line[m]
            real = np.float32(0)
            imaginary = np.float32(0)
            for m in range(TAPS):
                real += weights_column[m] * sums[2 * m]
                imaginary += weights_column[m] * sums[2 * m + 1]
            out[i, j] = real + 1j * imaginary


@njit(nogil=True, cache=True)
def gather_real(field: Any, rows: Any, columns: Any, table: Any, out: Any) -> None:
    """As `gather_complex`, for real reflectivity."""
    weights_row = np.empty(TAPS, np.float32)
    weights_column = np.empty(TAPS, np.float32)
    sums = np.empty(TAPS, np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            first_row = fill_taps(rows[i, j], table, weights_row)
            first_column = fill_taps(columns[i, j], table, weights_column)
            sums[:] = np.float32(0)
            for k in range(TAPS):
                weight = weights_row[k]
                line = field[first_row + k, first_column : first_column + TAPS]
                for m in range(TAPS):
                    sums[m] += weight * line[m]
            total = np.float32(0)
            for m in range(TAPS):
                total += weights_column[m] * sums[m]
            out[i, j] = total


@njit(nogil=True, cache=True)
def filter_rows(field: Any, taps: Any, starts: Any, out: Any) -> None:
    """``out[i] = sum_k taps[i, k] field[starts[i] + k]``: one axis of a separable filter."""
    for i in range(out.shape[0]):
        line = out[i]
        line[:] = np.float32(0)
        for k in range(taps.shape[1]):
            weight = taps[i, k]
            source = field[starts[i] + k]
            for j in range(line.size):
                line[j] += weight * source[j]


@njit(nogil=True, cache=True)
def receivers(elevation: Any, open_border: Any, out: Any) -> None:
    """Index of the steepest lower neighbour of each cell (itself: a pit or an open border)."""
    ny, nx = elevation.shape
    for i in range(ny):
        for j in range(nx):
            best, target = 0.0, i * nx + j
            if not open_border[i, j]:
                for di in range(-1, 2):
                    for dj in range(-1, 2):
                        a, b = i + di, j + dj
                        if (di == 0 and dj == 0) or a < 0 or b < 0 or a >= ny or b >= nx:
                            continue
                        drop = elevation[i, j] - elevation[a, b]
                        if di != 0 and dj != 0:
                            drop *= 0.7071067811865476
                        if drop > best:
                            best, target = drop, a * nx + b
            out[i * nx + j] = target


@njit(nogil=True, cache=True)
def drained_cells(order: Any, target: Any, out: Any) -> None:
    """Cells that drain through each cell, itself included; `order` is from low to high."""
    out[:] = 1.0
    for k in range(order.size - 1, -1, -1):
        cell = order[k]
        if target[cell] != cell:
            out[target[cell]] += out[cell]


@njit(nogil=True, cache=True)
def incise(elevation: Any, order: Any, target: Any, area: Any, strength: Any) -> None:
    """One implicit step of stream-power erosion (Braun and Willett 2013), in place, flat index."""
    for k in range(order.size):
        cell = order[k]
        if target[cell] != cell:
            factor = strength[cell] * np.sqrt(area[cell])
            elevation[cell] = (elevation[cell] + factor * elevation[target[cell]]) / (1.0 + factor)
