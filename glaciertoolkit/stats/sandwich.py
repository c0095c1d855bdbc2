"""Errors of regression coefficients that hold when rows of one glacier depend on each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.stats.sites import Floats

_SMALLEST = 1e-8
_MOST_ALIKE = 0.95


def fit_grouped(x: Floats, y: Floats, groups: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Regression of rows that belong to glaciers, each with an effect of its own.

    Parameters
    ----------
    x : numpy.ndarray, shape (n, p)
        Design, of full rank.
    y : numpy.ndarray, shape (n,)
    groups : array_like, shape (n,)

    Returns
    -------
    coefficients, covariance, degrees : numpy.ndarray
        As `clustered` has them.

    Notes
    -----
    Least squares weighted by one correlation within all groups, taken from the residuals
    (rows less a share of the mean of their group), so that a large glacier does not decide alone.
    The errors are those of `clustered`: they hold whatever the correlation really is.
    """
    _, label = np.unique(groups, return_inverse=True)
    sizes = np.bincount(label).astype(float)
    both = np.column_stack([x, y])
    means = np.column_stack([np.bincount(label, c) / sizes for c in both.T])
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    xs, ys = x, y
    for _ in range(2):
        rho = min(_within(y - x @ beta, label, sizes), _MOST_ALIKE)
        share = 1 - np.sqrt((1 - rho) / (1 - rho + sizes * rho))
        less = both - share[label, None] * means[label]
        xs, ys = less[:, :-1], less[:, -1]
        beta = np.linalg.lstsq(xs, ys, rcond=None)[0]
    covariance, degrees = clustered(xs, ys - xs @ beta, label)
    return np.asarray(beta), covariance, degrees


def clustered(x: Floats, residual: Floats, groups: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Covariance of least-squares coefficients, and degrees of freedom of each.

    Parameters
    ----------
    x : numpy.ndarray, shape (n, p)
        Design, of full rank.
    residual : numpy.ndarray, shape (n,)
    groups : array_like, shape (n,)
        Rows of different groups are independent; those of one depend in any way.

    Returns
    -------
    covariance : numpy.ndarray, shape (p, p)
    degrees : numpy.ndarray, shape (p,)
        For the quantile of Student's t; between 1 and the number of groups less one.

    Notes
    -----
    The bias-reduced estimator CR2, ``M (sum X_g' A_g e_g e_g' A_g X_g) M`` with
    ``A_g = (I - X_g M X_g')^(-1/2)`` and ``M = (X'X)^-1``, is unbiased where rows are independent
    and nearly so elsewhere. The degrees of freedom are Satterthwaite's, for rows that have the
    correlation within a group which the residuals show: a factor that one large glacier decides
    has few. All work is on p x p and groups x groups matrices.

    References
    ----------
    Bell, R. and McCaffrey, D. (2002), Bias reduction in standard errors for linear regression
    with multi-stage samples, Survey Methodology 28.
    Imbens, G. and Kolesar, M. (2016), Robust standard errors in small samples: some practical
    advice, Review of Economics and Statistics 98.
    """
    _, label = np.unique(groups, return_inverse=True)
    order = np.argsort(label, kind="stable")
    bounds = np.flatnonzero(np.diff(label[order], prepend=-1, append=label.max() + 1))
    parts = [order[a:b] for a, b in itertools.pairwise(bounds)]
    root = _inverse_root(x.T @ x)
    bread = root @ root
    leverage = x @ root
    number, p = len(parts), x.shape[1]
    scores = np.empty((number, p))
    weights = np.empty((number, p, p))
    sums, own, total = np.empty((number, p)), np.empty((number, p, p)), np.empty((number, p))
    for g, rows in enumerate(parts):
        xg, q = x[rows], leverage[rows]
        adjust = _adjustment(q)
        # A_g X = X + Q K (Q'X): only the p directions that the fit has bent are scaled.
        ax = xg + q @ (adjust @ (q.T @ xg))
        scores[g] = ax.T @ residual[rows]
        vectors = ax @ bread
        own[g] = vectors.T @ vectors
        total[g] = vectors.sum(axis=0)
        weights[g] = xg.T @ vectors
        sums[g] = xg.sum(axis=0)
    middle = scores.T @ scores
    sizes = np.array([rows.size for rows in parts], float)
    rho = _within(residual, label, sizes)
    degrees = np.array([_degrees(k, own, total, weights, sums, bread, rho) for k in range(p)])
    return bread @ middle @ bread, np.clip(degrees, 1.0, max(number - 1.0, 1.0))


def _inverse_root(a: Floats) -> Floats:
    values, vectors = np.linalg.eigh(a)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _adjustment(q: Floats) -> Floats:
    """K with (I - Q Q')^(-1/2) = I + Q K Q'."""
    values, vectors = np.linalg.eigh(q.T @ q)
    values = np.clip(values, 0, 1)
    # A direction that one group alone decides leaves no residual to scale.
    free = 1 - values > _SMALLEST
    left = np.where(free, 1 - values, 1.0)
    # ((1 - s)^(-1/2) - 1) / s without the cancellation at s = 0.
    gain = np.where(free, 1 / (np.sqrt(left) * (1 + np.sqrt(left))), 0.0)
    return np.asarray((vectors * gain) @ vectors.T)


def _within(residual: Floats, label: npt.NDArray[Any], sizes: Floats) -> float:
    """Correlation of two rows of one group."""
    sums = np.bincount(label, residual)
    pairs = float((sizes * (sizes - 1)).sum())
    variance = float((residual**2).mean())
    if not pairs or not variance:
        return 0.0
    products = float((sums**2).sum()) - float((residual**2).sum())
    return float(np.clip(products / pairs / variance, 0.0, 1.0))


def _degrees(
    k: int,
    own: Floats,
    total: Floats,
    weights: Floats,
    sums: Floats,
    bread: Floats,
    rho: float,
) -> float:
    """Satterthwaite's degrees of freedom of the variance of coefficient k."""
    # The estimate is the sum over groups of (p_g' e)^2 with p_g = (I - H)_g' A_g X_g M.
    w = weights[:, :, k]
    products = np.diag(own[:, k, k]) - w @ bread @ w.T
    along = -(sums @ bread @ w.T) + np.diag(total[:, k])
    # Row: the group that is summed over; column: p_g.
    matrix = (1 - rho) * products + rho * along.T @ along
    square = float((matrix**2).sum())
    return float(np.trace(matrix)) ** 2 / square if square > 0 else 1.0
