"""A thin-plate smoothing spline, fitted robustly, its smoothing chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glaciertoolkit.robust import (
    MAX_ITERATIONS,
    near,
    regress,
    relative_sigma,
    residual_scale,
    sandwich_factor,
    weights_of,
)

Array = npt.NDArray[np.float64]

CENTRES = 300
"""Centres of a spline, at most: what varies faster over a scene is no deformation of it."""

POINTS = 10_000
"""Points that a spline is fitted to, at most."""

COST = 1.4
"""What a coefficient costs in generalised cross-validation: with 1 it follows noise too often."""

SEARCHES = 4
"""Rounds of re-weighting in which the smoothing is chosen anew."""

SMOOTHEST, ROUGHEST, STEPS = 1e8, 1e-8, 65
"""The smoothing parameters that are tried, in units that make both sides of the sum alike."""


@dataclass(frozen=True)
class SplineFit:
    """As `robust.Regression`; also the effective number of coefficients, and the smoothing."""

    coefficients: Array
    covariance: Array
    scale: float
    residuals: Array
    effective: float
    smoothing: float


def spread(x: Array, y: Array, most: int) -> npt.NDArray[np.intp]:
    """Indices of at most `most` points that cover the same ground evenly.

    The point nearest to the middle of each square that holds one; the squares are as small as
    the number allows.
    """
    if x.size <= most:
        return np.arange(x.size)
    edge = max(float(np.ptp(x)), float(np.ptp(y)), 1e-9) / np.sqrt(most)
    while True:
        u, v = (x - x.min()) / edge, (y - y.min()) / edge
        cell = np.floor(v).astype(np.int64) * (int(u.max()) + 2) + np.floor(u).astype(np.int64)
        if np.unique(cell).size <= most:
            break
        edge *= 1.05
    off_centre = (u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2
    order = np.lexsort((off_centre, cell))
    first = np.r_[True, np.diff(cell[order]) > 0]
    return np.sort(order[first])


def fit_spline(
    start: Array, plane: Array, radial: Array, bending: Array, centres: Array, response: Array,
    *, loss: str = "tukey", sigma: Array | None = None,
) -> SplineFit:  # fmt: skip
    """Robust penalised fit of one component.

    Parameters
    ----------
    start : numpy.ndarray, (n, s)
        Design of the polynomial from which the weights start.
    plane : numpy.ndarray, (n, 3 + q)
        What is not smoothed: 1, x, y, then terms of the terrain.
    radial : numpy.ndarray, (n, k)
        ``r^2 log(r)`` to the centres.
    bending : numpy.ndarray, (k, k)
        The same among the centres: bending energy is its quadratic form.
    centres : numpy.ndarray, (k, 3)
        1, x, y of the centres; what bends is orthogonal to them.
    response : numpy.ndarray, (n,)
    loss, sigma
        See `robust.regress`.

    Returns
    -------
    SplineFit
        Coefficients in the order: plane (3), radial (k), terms of the terrain (q).
    """
    orthogonal = np.linalg.qr(centres, mode="complete")[0][:, 3:]
    design = np.hstack([plane, radial @ orthogonal])
    fixed = plane.shape[1]
    energy = np.zeros((design.shape[1], design.shape[1]))
    energy[fixed:, fixed:] = orthogonal.T @ bending @ orthogonal
    energy = (energy + energy.T) / 2
    relative = relative_sigma(sigma, response.size)
    b, y = design / relative[:, None], response / relative
    first = regress(start, response, loss=loss, sigma=sigma)
    scale, weights = first.scale, weights_of(first.residuals / relative / first.scale, loss)
    smoothing = None
    for round_ in range(MAX_ITERATIONS):
        # The smoothing hardly changes once the outliers are out.
        tried = None if round_ < SEARCHES else smoothing
        beta, smoothing, effective = _penalised(b, y, weights, energy, tried)
        residual = y - b @ beta
        finer = min(scale, residual_scale(near(residual, scale), int(effective)))
        change = np.abs(weights_of(residual / finer, loss) - weights).max()
        scale, weights = finer, weights_of(residual / finer, loss)
        if change < 0.01:
            break
    assert smoothing is not None
    factor = scale**2 * sandwich_factor(residual / scale, int(effective), loss)
    share = max(float(weights.mean()), 1e-3)
    covariance = factor * np.linalg.inv(_ridged(b.T @ b + smoothing / share * energy))
    # From bending orthogonal to the plane back to one coefficient a centre.
    back = np.zeros((3 + radial.shape[1] + fixed - 3, design.shape[1]))
    back[:3, :3] = np.eye(3)
    back[3 : 3 + radial.shape[1], fixed:] = orthogonal
    back[3 + radial.shape[1] :, 3:fixed] = np.eye(fixed - 3)
    return SplineFit(
        back @ beta, back @ covariance @ back.T, scale, residual * relative, effective, smoothing
    )


def _ridged(matrix: Array) -> Array:
    """Invertible whatever the points."""
    return np.asarray(matrix + 1e-12 * np.trace(matrix) / len(matrix) * np.eye(len(matrix)))


def _penalised(
    design: Array, response: Array, weights: Array, energy: Array, smoothing: float | None
) -> tuple[Array, float, float]:
    """Coefficients, smoothing and effective number of coefficients.

    Without a smoothing that which minimises the score of generalised cross-validation,
    ``n sum(w r^2) / (n - cost * effective)^2``, found over all of them at once in the basis that
    makes both the sum of squares and the bending diagonal (Demmler and Reinsch).
    """
    from scipy.linalg import cho_factor, cho_solve, cholesky, eigh, solve_triangular

    weighted = design * weights[:, None]
    normal, right = _ridged(weighted.T @ design), weighted.T @ response
    if smoothing is not None:
        factor = cho_factor(normal + smoothing * energy)
        effective = float(np.trace(cho_solve(factor, normal)))
        return np.asarray(cho_solve(factor, right)), smoothing, effective
    lower = cholesky(normal, lower=True)
    half = solve_triangular(lower, energy, lower=True)
    bend, vectors = eigh(solve_triangular(lower, half.T, lower=True))
    bend = np.maximum(bend, 0.0)
    z = vectors.T @ solve_triangular(lower, right, lower=True)
    total = float((weights * response**2).sum())
    n = float(weights.sum())
    unit = 1.0 / max(float(np.median(bend[bend > 0])) if (bend > 0).any() else 1.0, 1e-300)
    tried = unit * np.logspace(np.log10(ROUGHEST), np.log10(SMOOTHEST), STEPS)
    kept = 1.0 / (1.0 + tried[:, None] * bend)
    count = kept.sum(axis=1)
    squares = total - ((2 * kept - kept**2) * z**2).sum(axis=1)
    room = n - COST * count
    score = np.where(room > 0, n * np.maximum(squares, 0) / np.maximum(room, 1e-9) ** 2, np.inf)
    best = int(np.argmin(score)) if np.isfinite(score).any() else STEPS - 1
    beta = solve_triangular(lower, vectors @ (kept[best] * z), lower=True, trans="T")
    return np.asarray(beta), float(tried[best]), float(count[best])
