"""Lengths and directions of vectors, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

UNKNOWN_DIRECTION = 180 / 3**0.5
SIGNIFICANT = 6.18


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


def perpendicular_variance(
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    x_error: npt.NDArray[Any],
    y_error: npt.NDArray[Any],
    covariance: npt.NDArray[Any] | float = 0.0,
) -> npt.NDArray[Any]:
    """Variance of a vector across its own direction.

    Notes
    -----
    ``s_p^2 = (x^2 s_y^2 + y^2 s_x^2 - 2 x y s_xy) / r^2``; for a vector of length zero the mean
    over all directions.
    """
    square = x * x + y * y
    across = x * x * y_error**2 + y * y * x_error**2 - 2 * x * y * covariance
    nowhere = square == 0
    variance: npt.NDArray[Any] = np.where(
        nowhere, (x_error**2 + y_error**2) / 2, across / np.where(nowhere, 1.0, square)
    )
    return np.asarray(np.maximum(variance, 0.0))


def debiased_magnitude(
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    x_error: npt.NDArray[Any],
    y_error: npt.NDArray[Any],
    covariance: npt.NDArray[Any] | float = 0.0,
) -> npt.NDArray[Any]:
    """Length of a vector without what noise adds to it.

    Notes
    -----
    Noise along a vector averages out of its length, noise across it does not: the mean length is
    larger by ``s_p^2 / (2 r)``, to first order (Rice distribution). ``sqrt(r^2 - s_p^2)`` is
    unbiased within 2 % where the length is twice the error or more; subtracting the variance of
    both components, as is often done, leaves it 16 % too small there. Shorter vectors keep a
    positive bias: no estimate from one measured vector is without.

    References
    ----------
    Gudbjartsson, H. and Patz, S. (1995), The Rician distribution of noisy MRI data, Magn. Reson.
    Med. 34.
    """
    square = x * x + y * y
    across = perpendicular_variance(x, y, x_error, y_error, covariance)
    length: npt.NDArray[Any] = np.sqrt(np.maximum(square - across, 0.0))
    return length


def direction_error(
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    x_error: npt.NDArray[Any],
    y_error: npt.NDArray[Any],
    covariance: npt.NDArray[Any] | float = 0.0,
) -> npt.NDArray[Any]:
    """1-sigma error of the direction of a vector, degrees.

    Notes
    -----
    ``s_p / r``, at most that of a direction of which nothing is known, 180 / sqrt(3).
    """
    across = np.sqrt(perpendicular_variance(x, y, x_error, y_error, covariance))
    length = np.hypot(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(length > 0, across / length, np.where(np.isnan(length), np.nan, np.inf))
    angle: npt.NDArray[Any] = np.minimum(np.degrees(error), UNKNOWN_DIRECTION)
    return angle


def is_significant(
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    x_error: npt.NDArray[Any],
    y_error: npt.NDArray[Any],
    covariance: npt.NDArray[Any] | float = 0.0,
) -> npt.NDArray[np.bool_]:
    """Whether a vector differs from zero as clearly as two standard deviations of one number.

    Notes
    -----
    The squared Mahalanobis length of noise follows a chi-square distribution with two degrees of
    freedom, which exceeds ``-2 log(0.0455) = 6.18`` in 4.55 % of cases: 2.49 sigma of each
    component, not 2. NaN is not significant.
    """
    determinant = x_error**2 * y_error**2 - covariance**2
    square = x * x * y_error**2 + y * y * x_error**2 - 2 * x * y * covariance
    moves = x * x + y * y > 0
    return np.asarray(moves & (square > SIGNIFICANT * determinant))
