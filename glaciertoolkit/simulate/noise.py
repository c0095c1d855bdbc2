"""Random numbers on fixed lattices: every tile draws the same values, in whatever order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
_OFFSET = 1 << 20  # seeds are not negative, block numbers may be

Region = tuple[int, int, int, int]
"""First row, first column, number of rows, number of columns of a part of a lattice."""

COMMON, REFERENCE, SECONDARY, REDRAWN, SURFACE = range(100, 105)
"""Streams: what both images share, what each has alone, texture before and after it is lost."""


def normals(key: tuple[int, ...], region: Region, values: int = 1) -> NDArray[np.float32]:
    """Standard normal numbers of a region of an unbounded lattice.

    Parameters
    ----------
    key : tuple of int
        Seed and stream; the lattice of each key is independent of all others.
    region : tuple of int
        First row, first column (both may be negative), rows, columns.
    values : int
        Numbers a node; they become neighbouring columns.

    Returns
    -------
    ndarray of float32
        Rows by `values` times columns.
    """
    row, column, rows, columns = region
    out = np.empty((rows, columns * values), np.float32)
    for by in range(row // BLOCK, (row + rows - 1) // BLOCK + 1):
        top, bottom = max(row, by * BLOCK), min(row + rows, (by + 1) * BLOCK)
        for bx in range(column // BLOCK, (column + columns - 1) // BLOCK + 1):
            left, right = max(column, bx * BLOCK), min(column + columns, (bx + 1) * BLOCK)
            seed = np.random.SeedSequence((*key, by + _OFFSET, bx + _OFFSET))
            generator = np.random.Generator(np.random.SFC64(seed))
            block = generator.standard_normal((BLOCK, BLOCK * values), dtype=np.float32)
            out[top - row : bottom - row, (left - column) * values : (right - column) * values] = (
                block[
                    top - by * BLOCK : bottom - by * BLOCK,
                    (left - bx * BLOCK) * values : (right - bx * BLOCK) * values,
                ]
            )
    return out


def smooth_normals(key: tuple[int, ...], region: Region, step: float) -> NDArray[np.float32]:
    """A stationary Gaussian field of unit variance, smooth at the scale of `step` nodes.

    White noise on a lattice of spacing `step` is the coefficients of a cubic B-spline; the
    correlation falls to 1/e at about 1.2 steps. Below two nodes it is white noise itself.
    """
    if step < 2:
        return normals(key, region)
    from glaciertoolkit.simulate import kernels

    row, column, rows, columns = region
    first_row = int(np.floor(row / step)) - 2
    first_column = int(np.floor(column / step)) - 2
    count_row = int(np.ceil((row + rows) / step)) + 3 - first_row
    count_column = int(np.ceil((column + columns) / step)) + 3 - first_column
    coarse = normals(key, (first_row, first_column, count_row, count_column))
    ys = np.arange(row, row + rows) / step - first_row
    xs = np.arange(column, column + columns) / step - first_column
    out = np.empty((rows, columns), np.float32)
    kernels.spline_grid(coarse, ys, xs, False, False, out)
    # 0.4793 is the mean over a cell of the sum of the squared weights of one axis.
    out /= np.float32(0.4793)
    return out


def smooth_periodic(rng: np.random.Generator, shape: tuple[int, int], slope: float) -> Any:
    """Fractal noise of unit standard deviation, power spectrum ~ frequency ** -slope."""
    spectrum = np.fft.rfft2(rng.standard_normal(shape))
    fy = np.fft.fftfreq(shape[0])[:, None] * shape[0]
    fx = np.fft.rfftfreq(shape[1])[None, :] * shape[1]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    spectrum *= frequency ** (-slope / 2)
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=shape)
    return field / field.std()
