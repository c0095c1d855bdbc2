"""Robust location, scale and regression, shared by everything that fits.

A regression here starts from least trimmed squares, which withstands nearly half of the data
being wrong, and ends with Tukey's bisquare, which is nearly as precise as least squares where the
data are right, or with Huber's function, which only bounds what an outlier can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TUKEY_C = 4.685
"""Tuning constant of Tukey's bisquare: 95 % efficiency for Gaussian errors."""
HUBER_K = 1.345
"""Tuning constant of Huber's function: 95 % efficiency for Gaussian errors."""
LOSSES = ("tukey", "huber")
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
    """Result of `regress`: coefficients (p,), their covariance (p, p), weights (n,), scale.

    `residuals` (n,) are those of the fit, in units of the response.
    """

    coefficients: Array
    covariance: Array
    weights: Array
    scale: float
    residuals: Array

    @property
    def inliers(self) -> npt.NDArray[np.bool_]:
        """Observations that the fit explains to within the reach of Tukey's bisquare."""
        return np.asarray(np.abs(self.residuals) < TUKEY_C * self.scale)


def regress(
    design: npt.ArrayLike,
    response: npt.ArrayLike,
    *,
    loss: str = "tukey",
    sigma: npt.ArrayLike | None = None,
) -> Regression:
    """Linear regression that up to about 45 % of wrong observations do not disturb.

    Parameters
    ----------
    design : array_like, shape (n, p)
        One row an observation.
    response : array_like, shape (n,)
    loss : {"tukey", "huber"}
        How the residuals are weighed after the robust start: Tukey's bisquare takes all weight
        from an outlier; Huber's function bounds its pull, and is the safer where nothing is wrong.
    sigma : array_like, shape (n,), optional
        Relative standard error of each observation; by default all are equally good.

    Returns
    -------
    Regression
        `weights` are those of the loss; `scale` is the scatter of an observation of median sigma.

    Raises
    ------
    ValueError
        If there are fewer observations than coefficients, a sigma that is not positive, or an
        unknown loss.

    Notes
    -----
    Least trimmed squares from random subsets with concentration steps (fixed seed: the same data
    give the same bits), then iteratively re-weighted least squares with Tukey's bisquare,
    c = 4.685 times the scale, or Huber's function, k = 1.345. The covariance is the sandwich of
    the M-estimator, ``s^2 mean(psi^2) / mean(psi')^2 (X'X)^-1``.

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
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    relative = relative_sigma(sigma, n)
    x, y = x / relative[:, None], y / relative
    start = _trimmed_start(x, y) if n > 2 * p else np.linalg.lstsq(x, y, rcond=None)[0]
    beta = np.asarray(start, float)
    scale = residual_scale(y - x @ beta, p)
    weights = np.ones(n)
    for _ in range(MAX_ITERATIONS):
        weights = weights_of((y - x @ beta) / scale, loss)
        root = np.sqrt(weights)
        updated = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
        change = np.abs(x @ (updated - beta)).max()
        beta = updated
        if change < 1e-6 * scale:
            break
        scale = min(scale, residual_scale(near(y - x @ beta, scale), p))
    residual = y - x @ beta
    z = np.asarray(residual / scale)
    covariance = scale**2 * sandwich_factor(z, p, loss) * np.linalg.pinv(x.T @ x)
    weights = weights_of(z, loss)
    return Regression(beta, np.asarray(covariance), weights, scale, np.asarray(residual * relative))


def relative_sigma(sigma: npt.ArrayLike | None, n: int) -> Array:
    """Standard errors in units of their median; ones where none are given."""
    if sigma is None:
        return np.ones(n)
    given = np.asarray(sigma, float)
    if not (given > 0).all() or not np.isfinite(given).all():
        raise ValueError("every sigma must be positive and finite")
    return np.asarray(given / np.median(given))


def near(residual: Array, scale: float) -> Array:
    """The residuals within the reach of Tukey's bisquare, all if there is none."""
    close = residual[np.abs(residual) < TUKEY_C * scale]
    return close if close.size else residual


def weights_of(z: Array, loss: str = "tukey") -> Array:
    """Weights of residuals that are given in units of the scale."""
    if loss == "huber":
        return np.asarray(HUBER_K / np.maximum(np.abs(z), HUBER_K))
    return np.asarray(np.where(np.abs(z) < TUKEY_C, (1 - (z / TUKEY_C) ** 2) ** 2, 0.0))


def residual_scale(residual: Array, p: int) -> float:
    """NMAD about zero, corrected for the p fitted coefficients, never exactly zero."""
    n = residual.size
    scale = NMAD_FACTOR * float(np.median(np.abs(residual)))
    corrected = scale * float(np.sqrt(n / max(n - p, 1)))
    return max(corrected, 1e-9 * (1 + float(np.abs(residual).max())))


def sandwich_factor(z: Array, p: int, loss: str = "tukey") -> float:
    """What the variance of an M-estimator is, in units of that of least squares at this scale.

    Parameters
    ----------
    z : numpy.ndarray
        Residuals in units of the scale.
    p : int
        Fitted coefficients.
    loss : {"tukey", "huber"}
    """
    inside = np.abs(z) < (TUKEY_C if loss == "tukey" else HUBER_K)
    psi = z * weights_of(z, loss)
    u = (z / TUKEY_C) ** 2
    slope = np.where(inside, (1 - u) * (1 - 5 * u) if loss == "tukey" else 1.0, 0.0)
    return float((psi**2).sum() / max(z.size - p, 1) / max(slope.mean(), 1e-3) ** 2)


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
            closest = np.argpartition(squares, inner - 1)[:inner]
            beta = np.linalg.lstsq(xs[closest], ys[closest], rcond=None)[0]
            objective = float(squares[closest].sum())
        if best is None or objective < best[0]:
            best = (objective, beta)
    assert best is not None
    beta = best[1]
    for _ in range(10):
        best_kept = np.argpartition((y - x @ beta) ** 2, kept - 1)[:kept]
        beta = np.linalg.lstsq(x[best_kept], y[best_kept], rcond=None)[0]
    return np.asarray(beta)
