"""What sampling an image between its pixels needs: spline coefficients, gradients, filled gaps.

All filters are short and local, so that a value does not depend on where a window ends, apart from
a rim of `REACH` pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

FAST = {"contract"}
REACH = 18
"""Half length of the filter that turns pixels into spline coefficients."""
GAP_REACH = 2
"""A missing pixel is predicted from the valid ones within so many pixels, along each axis."""
FEWEST = 3
"""Valid pixels that a prediction needs."""


def coefficient_taps(reach: int = REACH) -> np.ndarray:
    """Filter from pixels to coefficients of the septic B-spline through them (float32).

    The exact inverse of the spline's samples (2416, 1191, 120, 1) / 5040 decays by 0.54 a pixel, so
    that what is cut off is a hundred-thousandth.
    """
    w = 2 * np.pi * np.arange(256) / 256
    samples = 2416 + 2382 * np.cos(w) + 240 * np.cos(2 * w) + 2 * np.cos(3 * w)
    inverse = np.fft.ifft(5040 / samples).real
    taps = np.concatenate([inverse[-reach:], inverse[: reach + 1]])
    return np.asarray(taps / taps.sum(), np.float32)


def derivative_taps() -> np.ndarray:
    """Central difference of sixth order (float32), to be correlated with the image."""
    return np.asarray(np.array([-1, 9, -45, 0, 45, -9, 1]) / 60, np.float32)


def exact_derivative_taps() -> np.ndarray:
    """Central difference of eighth order (float32), to be correlated with the image."""
    return np.asarray(np.array([3, -32, 168, -672, 0, 672, -168, 32, -3]) / 840, np.float32)


def gap_covariance(width: float = 0.25) -> np.ndarray:
    """Covariance of pixels by squared distance, for filling gaps.

    Gaussian, with a spectrum (amplitude) of 1/e at `width` cycles per pixel: as rough as images
    that can be interpolated at all. A model that is too smooth would trust its neighbours too far.
    """
    largest = 2 * (2 * GAP_REACH) ** 2
    return np.asarray(np.exp(-0.5 * (np.pi * width) ** 2 * np.arange(largest + 1)), np.float64)


@njit(nogil=True, cache=True, fastmath=FAST)
def along_rows(image: Any, taps: Any) -> Any:
    """Correlate each row with `taps`; the result is shorter by their number less one."""
    rows, cols = image.shape
    n = cols - taps.size + 1
    out = np.zeros((rows, n), np.float32)
    for y in range(rows):
        line, source = out[y], image[y]
        for k in range(taps.size):
            t = taps[k]
            for i in range(n):
                x = U(i)
                line[x] += t * source[x + U(k)]
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def along_columns(image: Any, taps: Any) -> Any:
    """Correlate each column with `taps`; the result is lower by their number less one."""
    rows, cols = image.shape
    n = rows - taps.size + 1
    out = np.zeros((n, cols), np.float32)
    for y in range(n):
        line = out[y]
        for k in range(taps.size):
            t, source = taps[k], image[y + k]
            for i in range(cols):
                x = U(i)
                line[x] += t * source[x]
    return out


@njit(nogil=True, cache=True, fastmath=FAST)
def _predict(matrix: Any, right: Any, values: Any, n: Any) -> Any:
    """values^T matrix^-1 right, by Cholesky's factor L: (L^-1 values)^T (L^-1 right).

    All three are used up.
    """
    result = 0.0
    for i in range(n):
        r, v = right[i], values[i]
        square = matrix[i, i]
        for j in range(i):
            s = matrix[i, j]
            for k in range(j):
                s -= matrix[i, k] * matrix[j, k]
            # The diagonal holds reciprocals: a division a row, not one an element.
            s *= matrix[j, j]
            matrix[i, j] = s
            square -= s * s
            r -= s * right[j]
            v -= s * values[j]
        inverse = 1 / math.sqrt(square)
        matrix[i, i] = inverse
        right[i] = r * inverse
        values[i] = v * inverse
        result += right[i] * values[i]
    return result


@njit(nogil=True, cache=True, fastmath=FAST)
def fill_once(image: Any, valid: Any, covariance: Any, nugget: Any) -> Any:
    """`image` with missing pixels predicted from valid neighbours, and where it is now filled.

    Each prediction is the mean of the neighbours plus the best linear prediction of the departure
    from it, under `covariance` and uncorrelated noise of variance `nugget`.
    """
    rows, cols = image.shape
    out, known = image.copy(), valid.copy()
    size = (2 * GAP_REACH + 1) ** 2
    py, px = np.empty(size, np.int64), np.empty(size, np.int64)
    values, right = np.empty(size), np.empty(size)
    matrix = np.empty((size, size))
    for y in range(rows):
        for x in range(cols):
            if valid[y, x]:
                continue
            n = 0
            mean = 0.0
            for v in range(max(y - GAP_REACH, 0), min(y + GAP_REACH + 1, rows)):
                for u in range(max(x - GAP_REACH, 0), min(x + GAP_REACH + 1, cols)):
                    if valid[v, u]:
                        py[n], px[n], values[n] = v, u, image[v, u]
                        mean += values[n]
                        n += 1
            if n < FEWEST:
                continue
            mean /= n
            for i in range(n):
                values[i] -= mean
                right[i] = covariance[(py[i] - y) ** 2 + (px[i] - x) ** 2]
                for j in range(i + 1):
                    matrix[i, j] = covariance[(py[i] - py[j]) ** 2 + (px[i] - px[j]) ** 2]
                matrix[i, i] += nugget
            out[y, x] = mean + _predict(matrix, right, values, n)
            known[y, x] = True
    return out, known
