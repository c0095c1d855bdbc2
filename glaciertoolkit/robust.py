"""Robust location, scale and regression, shared by everything that fits.

A regression here starts from least trimmed squares, which withstands nearly half of the data
being wrong, and ends with Tukey's bisquare, which is nearly as precise as least squares where the
data are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TUKEY_C = 4.685
"""Tuning constant of Tukey's bisquare: 95 % efficiency for Gaussian errors."""
NMAD_FACTOR = 1.4826
"""Makes the median absolute deviation of a Gaussian its standard deviation."""
MAX_ITERATIONS = 20
_STARTS = 100
_POOL = 500
_SEED = 20190903


def nmad(values: npt.ArrayLike) -> float:
    """Normalised median absolute deviation, NaN left out.

    Parameters
    ----------
    values : array_like
        Any shape.

    Returns
    -------
    float
        NaN where there is no value.

    Notes
    -----
    ``1.4826 * median(|x - median(x)|)``; for a Gaussian, its standard deviation.

    References
    ----------
    Hoehle, J. and Hoehle, M. (2009), Accuracy assessment of digital elevation models by means of
    robust statistical methods, ISPRS Journal 64.

    Examples
    --------
    >>> round(nmad([1.0, 2.0, 3.0, 4.0, 100.0]), 4)
    1.4826
    """
    x = np.asarray(values, float)
    x = x[np.isfinite(x)]
    if x.size == 0:
        return float("nan")
    return NMAD_FACTOR * float(np.median(np.abs(x - np.median(x))))


@dataclass(frozen=True)
class Regression:
    """Result of `regress`: coefficients (p,), their covariance (p, p), weights (n,), scale."""

    coefficients: Array
    covariance: Array
    weights: Array
    scale: float

    @property
    def inliers(self) -> npt.NDArray[np.bool_]:
        """Observations that carry weight."""
        return self.weights > 0


def regress(design: npt.ArrayLike, response: npt.ArrayLike) -> Regression:
    """Linear regression that up to about 45 % of wrong observations do not disturb.

    Parameters
    ----------
    design : array_like, shape (n, p)
        One row an observation.
    response : array_like, shape (n,)

    Returns
    -------
    Regression

    Raises
    ------
    ValueError
        If there are fewer observations than coefficients.

    Notes
    -----
    Least trimmed squares from random subsets with concentration steps (fixed seed: the same data
    give the same bits), then iteratively re-weighted least squares with Tukey's bisquare,
    c = 4.685 times the scale. The covariance is the sandwich of the M-estimator,
    ``s^2 mean(psi^2) / mean(psi')^2 (X'X)^-1``.

    References
    ----------
    Rousseeuw, P. and Van Driessen, K. (2006), Computing LTS regression for large data sets.
    Huber, P. and Ronchetti, E. (2009), Robust Statistics, chapter 7.

    Examples
    --------
    >>> x = np.linspace(0, 1, 50)
    >>> y = 2 + 3 * x
    >>> y[::4] += 100
    >>> fit = regress(np.column_stack([np.ones(50), x]), y)
    >>> [float(c) for c in np.round(fit.coefficients, 6)]
    [2.0, 3.0]
    """
    x = np.asarray(design, float)
    y = np.asarray(response, float)
    n, p = x.shape
    if n < p:
        raise ValueError(f"{n} observations cannot determine {p} coefficients")
    beta = _trimmed_start(x, y) if n > 2 * p else np.linalg.lstsq(x, y, rcond=None)[0]
    scale = _residual_scale(y - x @ beta, p)
    weights = np.ones(n)
    for _ in range(MAX_ITERATIONS):
        weights = _bisquare((y - x @ beta) / scale)
        root = np.sqrt(weights)
        updated = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
        change = np.abs(x @ (updated - beta)).max()
        beta = updated
        if change < 1e-6 * scale:
            break
        scale = min(scale, _residual_scale((y - x @ beta)[weights > 0], p))
    residual = (y - x @ beta) / scale
    return Regression(beta, _covariance(x, residual, scale), _bisquare(residual), scale)


def _bisquare(z: Array) -> Array:
    return np.asarray(np.where(np.abs(z) < TUKEY_C, (1 - (z / TUKEY_C) ** 2) ** 2, 0.0))


def _residual_scale(residual: Array, p: int) -> float:
    """NMAD about zero, corrected for the p fitted coefficients, never exactly zero."""
    n = residual.size
    scale = NMAD_FACTOR * float(np.median(np.abs(residual)))
    corrected = scale * float(np.sqrt(n / max(n - p, 1)))
    return max(corrected, 1e-9 * (1 + float(np.abs(residual).max())))


def _covariance(x: Array, z: Array, scale: float) -> Array:
    inside = np.abs(z) < TUKEY_C
    u = (z / TUKEY_C) ** 2
    psi = np.where(inside, z * (1 - u) ** 2, 0.0)
    slope = np.where(inside, (1 - u) * (1 - 5 * u), 0.0)
    n, p = x.shape
    factor = (psi**2).sum() / max(n - p, 1) / max(slope.mean(), 1e-3) ** 2
    return np.asarray(scale**2 * factor * np.linalg.pinv(x.T @ x))


def _trimmed_start(x: Array, y: Array) -> Array:
    """Least trimmed squares over the better 55 % of the observations."""
    n, p = x.shape
    kept = max(int(0.55 * n), (n + p + 1) // 2)
    rng = np.random.default_rng(_SEED)
    pool = rng.choice(n, _POOL, replace=False) if n > _POOL else np.arange(n)
    xs, ys = x[pool], y[pool]
    inner = min(kept, pool.size)
    best: tuple[float, Array] | None = None
    for _ in range(_STARTS):
        pick = rng.choice(pool.size, p, replace=False)
        beta: Any = np.linalg.lstsq(xs[pick], ys[pick], rcond=None)[0]
        objective = np.inf
        for _ in range(3):
            squares = (ys - xs @ beta) ** 2
            near = np.argpartition(squares, inner - 1)[:inner]
            beta = np.linalg.lstsq(xs[near], ys[near], rcond=None)[0]
            objective = float(squares[near].sum())
        if best is None or objective < best[0]:
            best = (objective, beta)
    assert best is not None
    beta = best[1]
    for _ in range(10):
        near = np.argpartition((y - x @ beta) ** 2, kept - 1)[:kept]
        beta = np.linalg.lstsq(x[near], y[near], rcond=None)[0]
    return np.asarray(beta)
