"""Numba kernels of the GF-3 simulation: the landscape at points, lattices, scatterers to pixels.

As in `kernels`, nothing uses fast-math and every value is computed alike wherever its tile lies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from glaciertoolkit.simulate.kernels import (
    _cell,
    _cubic,
    _cubic_slope,
    _value,
    blend_grid,
    fill_taps,
    ice_displacement,
)

LINE_TAPS = 16
"""Lines over which the point-spread function reaches."""

SAMPLE_TAPS = 32
"""Scatterers across range, half a sample apart, over which it reaches."""

_TOLERANCE = 1e-5
_ITERATIONS = 40


@njit(nogil=True, cache=True)
def landscape_points(
    grid: Any, elevation: Any, motion: Any, rows: Any, columns: Any,
    slope_row: Any, slope_column: Any, level: Any, move_row: Any, move_column: Any,
) -> None:  # fmt: skip
    """Slopes of the terrain, level set and displacement of the ice at points, in pixels."""
    ny, nx = elevation.shape
    for k in range(rows.size):
        i, v = _cell((rows[k] - grid[0]) / grid[2], ny)
        j, u = _cell((columns[k] - grid[1]) / grid[2], nx)
        wy, wx = _cubic(v), _cubic(u)
        slope_row[k] = _value(elevation, i, j, _cubic_slope(v), wx) / grid[2]
        slope_column[k] = _value(elevation, i, j, wy, _cubic_slope(u)) / grid[2]
        level[k] = _value(motion[0], i, j, wy, wx)
        move_row[k], move_column[k] = ice_displacement(grid, motion, rows[k], columns[k])


@njit(nogil=True, cache=True)
def elevation_points(grid: Any, elevation: Any, rows: Any, columns: Any, out: Any) -> None:
    """Elevation at points given in pixels."""
    ny, nx = elevation.shape
    for k in range(rows.size):
        i, v = _cell((rows[k] - grid[0]) / grid[2], ny)
        j, u = _cell((columns[k] - grid[1]) / grid[2], nx)
        out[k] = _value(elevation, i, j, _cubic(v), _cubic(u))


@njit(nogil=True, cache=True)
def _through(t: float) -> tuple[float, float, float, float]:
    """Weights of the four nodes around a point: the cubic that passes through its nodes."""
    return (
        t * (-0.5 + t * (1.0 - 0.5 * t)),
        1.0 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    )


@njit(nogil=True, cache=True)
def _lattice_weights(places: Any, nodes: int) -> tuple[Any, Any]:
    """First of the four nodes around each place, and their weights."""
    first, weights = np.empty(places.size, np.int64), np.empty((places.size, 4))
    for j in range(places.size):
        first[j], t = _cell(places[j], nodes)
        w = _through(t)
        for k in range(4):
            weights[j, k] = w[k]
    return first, weights


@njit(nogil=True, cache=True)
def lattice_grid(field: Any, ys: Any, xs: Any, out: Any) -> None:
    """A field on the nodes of a lattice at `ys` x `xs` (in nodes), into `out`."""
    top, wy = _lattice_weights(ys, field.shape[0])
    left, wx = _lattice_weights(xs, field.shape[1])
    blend_grid(field, top, wy, left, wx, out)


@njit(nogil=True, cache=True)
def lattice_points(field: Any, ys: Any, xs: Any, out: Any) -> None:
    """A field on the nodes of a lattice at points (in nodes)."""
    for k in range(ys.size):
        i, v = _cell(ys[k], field.shape[0])
        j, u = _cell(xs[k], field.shape[1])
        out[k] = _value(field, i, j, _through(v), _through(u))


@njit(nogil=True, cache=True)
def places_before(
    line_offset: Any, sample_offset: Any, lattice: Any, lines: Any, samples: Any,
    out_line: Any, out_sample: Any,
) -> None:  # fmt: skip
    """Where in the reference lies what is seen at `lines` x `samples` of the secondary.

    Solves ``p + d(p) = q`` by fixed-point iteration, with what the neighbours found as first
    guess. In layover over moving ice there may be no answer; the last guess then stands.
    """
    line0, sample0, line_step, sample_step = lattice
    ny, nx = line_offset.shape
    for i in range(lines.size):
        dl, ds = line_offset[ny // 2, nx // 2], sample_offset[ny // 2, nx // 2]
        for j in range(samples.size):
            for _ in range(_ITERATIONS):
                top, v = _cell((lines[i] - dl - line0) / line_step, ny)
                left, u = _cell((samples[j] - ds - sample0) / sample_step, nx)
                wy, wx = _through(v), _through(u)
                new_line = _value(line_offset, top, left, wy, wx)
                new_sample = _value(sample_offset, top, left, wy, wx)
                change = abs(new_line - dl) + abs(new_sample - ds)
                dl, ds = new_line, new_sample
                if change < _TOLERANCE:
                    break
            out_line[i, j], out_sample[i, j] = lines[i] - dl, samples[j] - ds


@njit(nogil=True, cache=True)
def scatter(
    common: Any, own: Any, log_amplitude: Any, gamma: Any, noise: float, phase: Any
) -> None:
    """Combine what both images share with what one has alone, into `common`.

    Two scatterers a sample along range; real and imaginary parts are neighbours. `log_amplitude`
    and `gamma` hold a value a sample, `phase` (radians) one a scatterer, or is empty.
    """
    with_phase = phase.size > 0
    for i in range(log_amplitude.shape[0]):
        for j in range(log_amplitude.shape[1]):
            power = math.exp(2.0 * log_amplitude[i, j])
            shared = min(max(gamma[i, j], 0.0), 1.0)
            twice = np.float32(math.sqrt(0.5 * power * shared))
            once = np.float32(math.sqrt(0.5 * (power * (1.0 - shared) + noise)))
            for k in range(2 * j, 2 * j + 2):
                real, imaginary = twice * common[i, 2 * k], twice * common[i, 2 * k + 1]
                if with_phase:
                    c, s = np.float32(math.cos(phase[i, k])), np.float32(math.sin(phase[i, k]))
                    real, imaginary = real * c - imaginary * s, real * s + imaginary * c
                common[i, 2 * k] = real + once * own[i, 2 * k]
                common[i, 2 * k + 1] = imaginary + once * own[i, 2 * k + 1]


@njit(nogil=True, cache=True)
def gather(
    field: Any, lines: Any, samples: Any, line_table: Any, sample_table: Any, out: Any
) -> None:
    """Sum of the point-spread functions of scatterers at arbitrary positions.

    `field` holds real and imaginary parts interleaved, two scatterers a sample; positions are in
    lines and samples from its first scatterer.
    """
    across = np.empty(LINE_TAPS, np.float32)
    along = np.empty(SAMPLE_TAPS, np.float32)
    sums = np.empty(2 * SAMPLE_TAPS, np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            top = fill_taps(lines[i, j], line_table, across)
            left = fill_taps(2.0 * samples[i, j], sample_table, along)
            sums[:] = np.float32(0)
            for k in range(LINE_TAPS):
                weight = across[k]
                line = field[top + k, 2 * left : 2 * (left + SAMPLE_TAPS)]
                for m in range(2 * SAMPLE_TAPS):
                    sums[m] += weight * line[m]
            real = np.float32(0)
            imaginary = np.float32(0)
            for m in range(SAMPLE_TAPS):
                real += along[m] * sums[2 * m]
                imaginary += along[m] * sums[2 * m + 1]
            out[i, j] = real + 1j * imaginary
