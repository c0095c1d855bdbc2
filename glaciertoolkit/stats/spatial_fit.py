"""Linear regression whose errors are correlated over distance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from glaciertoolkit.stats.sites import Floats


class SpatialFit(NamedTuple):
    """Coefficients (p,), covariance (p, p), range of the correlation (m) and share of noise."""

    coefficients: Floats
    covariance: Floats
    reach: float
    noise: float
    degrees: float


def fit_spatial(x: Floats, y: Floats, points: Floats) -> SpatialFit:
    """Generalised least squares with an exponential correlation and uncorrelated noise.

    Parameters
    ----------
    x : numpy.ndarray, shape (n, p)
    y : numpy.ndarray, shape (n,)
    points : numpy.ndarray, shape (n, 2)
        m.

    Returns
    -------
    SpatialFit

    Notes
    -----
    The correlation of two errors at distance d is ``(1 - noise) exp(-d / reach)``. Both
    parameters maximise the restricted likelihood. The covariance of the coefficients is enlarged
    for what is not known about the parameters: it is averaged over their posterior on a grid,
    with even odds on errors without any correlation, and a flat prior on the logarithm of the
    reach and on the noise; so is the estimate.

    References
    ----------
    Diggle, P. and Ribeiro, P. (2007), Model-based Geostatistics, Springer, chapters 5 and 7.
    """
    from scipy.spatial.distance import pdist, squareform

    n, p = x.shape
    distance = squareform(pdist(points))
    between = distance[np.triu_indices(n, 1)]
    far = float(between.max()) if between.size else 1.0
    near = max(float(np.quantile(between, 2 / max(n, 3))), 1e-6 * far, 1e-9)
    reaches = np.geomspace(near / 3, max(far, near), 12)
    noises = np.array([0.0, 0.1, 0.25, 0.45, 0.7])
    found = [(_profile(x, y, np.eye(n)), 0.0, 1.0)]
    for reach in reaches:
        decay = np.exp(-distance / reach)
        for noise in noises:
            v = (1 - noise) * decay
            np.fill_diagonal(v, 1 + 1e-8)
            found.append((_profile(x, y, v), float(reach), float(noise)))
    best = max(found, key=lambda f: f[0][0])
    top = best[0][0]
    weight = np.array([math.exp(f[0][0] - top) for f in found])
    weight[0] *= len(found) - 1
    weight /= weight.sum()
    betas = np.array([f[0][1] for f in found])
    mean = weight @ betas
    inner = sum(w * f[0][2] for w, f in zip(weight, found, strict=True))
    apart = betas - mean
    covariance = np.asarray(inner + (apart * weight[:, None]).T @ apart)
    return SpatialFit(np.asarray(mean), covariance, float(best[1]), float(best[2]), float(n - p))


def _profile(x: Floats, y: Floats, v: Floats) -> tuple[float, Floats, Floats]:
    """Restricted log-likelihood (variance profiled out), coefficients and their covariance."""
    from scipy.linalg import cholesky, solve_triangular

    n, p = x.shape
    lower = cholesky(v, lower=True, check_finite=False)
    white = solve_triangular(lower, np.column_stack([x, y]), lower=True, check_finite=False)
    q, r = np.linalg.qr(white[:, :p])
    beta = np.linalg.solve(r, q.T @ white[:, p])
    rest = white[:, p] - white[:, :p] @ beta
    variance = float(rest @ rest) / (n - p)
    inverse = np.linalg.inv(r)
    logs = 2 * np.log(np.diag(lower)).sum() + 2 * np.log(np.abs(np.diag(r))).sum()
    likelihood = -0.5 * (logs + (n - p) * math.log(max(variance, 1e-300)))
    return likelihood, np.asarray(beta), np.asarray(variance * inverse @ inverse.T)
