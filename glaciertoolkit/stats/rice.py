"""What noise does to a speed: it cannot be negative, so noise does not average out of it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STILL = math.sqrt(math.pi / 2)
"""Mean speed that noise alone makes, over the error of a component."""

STILL_SPREAD = math.sqrt(2 - math.pi / 2)
"""Standard deviation of that speed, over the error of a component."""

HALVINGS = 60


def rice_mean(speed: npt.ArrayLike, sigma: npt.ArrayLike) -> Floats:
    """Mean of the measured magnitude of a vector with Gaussian noise in both components.

    Parameters
    ----------
    speed : array_like
        True magnitude.
    sigma : array_like
        Standard deviation of the noise of each component, in the same unit.

    Returns
    -------
    numpy.ndarray

    Notes
    -----
    ``sigma sqrt(pi/2) ((1 + 2k) I0(k) + 2k I1(k)) exp(-k)`` with ``k = (speed / 2 sigma)^2``: 1.25
    sigma where nothing moves, ``speed + sigma^2 / (2 speed)`` where the ice is fast.

    References
    ----------
    Rice, S. O. (1945), Mathematical analysis of random noise, Bell System Technical Journal 24.

    Examples
    --------
    >>> rice_mean([0.0, 100.0], 5.0).round(3).tolist()
    [6.267, 100.125]
    """
    from scipy.special import i0e, i1e

    speed, sigma = np.asarray(speed, float), np.asarray(sigma, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (speed / (2 * sigma)) ** 2
        mean = sigma * STILL * ((1 + 2 * k) * i0e(k) + 2 * k * i1e(k))
    return np.where(sigma > 0, mean, speed)


def debiased(mean: npt.ArrayLike, sigma: npt.ArrayLike) -> Floats:
    """The speed whose mean, measured with noise, is `mean`; 0 where noise alone explains it.

    Parameters
    ----------
    mean : array_like
        Mean of measured speeds.
    sigma : array_like
        Standard deviation of the noise of a component.

    Returns
    -------
    numpy.ndarray
        NaN where `mean` or `sigma` is.

    Notes
    -----
    The inverse of `rice_mean`. It is exact where the speed is the same at all posts, and leaves a
    little of the bias where it is not.

    References
    ----------
    Koay, C. G. and Basser, P. J. (2006), Analytically exact correction scheme for signal
    extraction from noisy magnitude MR signals, Journal of Magnetic Resonance 179.

    Examples
    --------
    >>> debiased([6.0, 6.267, 100.125], 5.0).round(1).tolist()
    [0.0, 0.1, 100.0]
    """
    mean, sigma = np.broadcast_arrays(np.asarray(mean, float), np.asarray(sigma, float))
    low, high = np.zeros(mean.shape), np.where(np.isfinite(mean), mean, 0.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = rice_mean(middle, sigma) > mean
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    known = np.isfinite(mean) & np.isfinite(sigma)
    return np.where(known, np.where(mean > STILL * sigma, (low + high) / 2, 0.0), np.nan)


def stillness(mean: npt.ArrayLike, sigma: npt.ArrayLike, independent: npt.ArrayLike) -> Floats:
    """How many standard deviations a mean speed lies above what noise alone would make.

    Parameters
    ----------
    mean : array_like
        Mean of measured speeds.
    sigma : array_like
        Standard deviation of the noise of a component.
    independent : array_like
        Number of independent posts in the mean.

    Returns
    -------
    numpy.ndarray

    Notes
    -----
    Where nothing moves, the measured speed is Rayleigh distributed: its mean is 1.25 sigma and its
    standard deviation 0.66 sigma.

    Examples
    --------
    >>> stillness(6.27, 5.0, 100).round(1).tolist(), stillness(7.5, 5.0, 100).round(1).tolist()
    (0.0, 3.8)
    """
    mean, sigma = np.asarray(mean, float), np.asarray(sigma, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (mean - STILL * sigma) / (STILL_SPREAD * sigma) * np.sqrt(independent)
