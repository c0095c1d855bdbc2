"""Lengths of vectors and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def magnitude_error(
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    x_error: npt.NDArray[Any],
    y_error: npt.NDArray[Any],
    covariance: npt.NDArray[Any] | float = 0.0,
) -> npt.NDArray[Any]:
    """1-sigma error of the length of a vector, from those of its components.

    Notes
    -----
    To first order, with r the length,

        s_r^2 = (x^2 s_x^2 + y^2 s_y^2 + 2 x y s_xy) / r^2

    For a vector of length zero the direction is arbitrary; the mean over all of them is taken.
    """
    square = x * x + y * y
    along = x * x * x_error**2 + y * y * y_error**2 + 2 * x * y * covariance
    nowhere = square == 0
    variance = np.where(
        nowhere, (x_error**2 + y_error**2) / 2, along / np.where(nowhere, 1.0, square)
    )
    # Rounding may leave a strongly correlated pair just below zero.
    error: npt.NDArray[Any] = np.sqrt(np.maximum(variance, 0.0))
    return error
