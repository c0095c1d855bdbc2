"""Small systems of an affine match: normal matrix, step, and the scatter of the score.

Parameters are ordered u, v, du/dx, du/dy, dv/dx, dv/dy, with u along x (columns) and v along y
(rows). Everything here is float64 and a few numbers a template.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba import uint64 as U

from glaciertoolkit.tracking.kernels import warp

EXACT = {"contract"}


@njit(nogil=True, cache=True, fastmath=EXACT)
def assemble(moments: Any, matrix: Any) -> Any:
    """6 x 6 matrix from the moments (1, xi, eta, xi^2, xi eta, eta^2) of the pairs xx, xy, yy."""
    for pair in range(3):
        m = moments[pair]
        square = ((m[0], m[1], m[2]), (m[1], m[3], m[4]), (m[2], m[4], m[5]))
        for i in range(3):
            for j in range(3):
                # u, du/dx, du/dy are 0, 2, 3; v, dv/dx, dv/dy are 1, 4, 5.
                ui, uj = (0 if i == 0 else i + 1), (0 if j == 0 else j + 1)
                vi, vj = (1 if i == 0 else i + 3), (1 if j == 0 else j + 3)
                if pair == 0:
                    matrix[ui, uj] = square[i][j]
                elif pair == 1:
                    matrix[ui, vj] = square[i][j]
                    matrix[vj, ui] = square[i][j]
                else:
                    matrix[vi, vj] = square[i][j]


@njit(nogil=True, cache=True, fastmath=EXACT)
def factor(matrix: Any, n: Any, lower: Any) -> Any:
    """Cholesky factor of the leading n x n block; False where it is not safely positive."""
    for i in range(n):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            if i == j:
                if not s > 1e-6 * matrix[i, i]:
                    return False
                lower[i, i] = math.sqrt(s)
            else:
                lower[i, j] = s / lower[j, j]
    return True


@njit(nogil=True, cache=True, fastmath=EXACT)
def solve(lower: Any, n: Any, x: Any) -> Any:
    """Replace x by the solution of (lower lower^T) y = x."""
    for i in range(n):
        s = x[i]
        for k in range(i):
            s -= lower[i, k] * x[k]
        x[i] = s / lower[i, i]
    for i in range(n - 1, -1, -1):
        s = x[i]
        for k in range(i + 1, n):
            s -= lower[k, i] * x[k]
        x[i] = s / lower[i, i]


@njit(nogil=True, cache=True, fastmath=EXACT)
def normal_matrix(t: Any, moments: Any, ones: Any, own: Any, hessian: Any) -> Any:
    """Normal matrix of a template of unit norm; returns its mean and squared norm before that.

    `t`: folded sums. A constant and a factor on the image are fitted
    with the warp, so what of the gradients they explain is taken out. `ones` and `own` get the
    products of the steepest-descent images with 1 and with the template.
    """
    weight = t[0, 0]
    mean = t[warp.A, 0] / weight
    norm = t[warp.AA, 0] - weight * mean * mean
    ones[0], ones[1], ones[2] = t[warp.X, 0], t[warp.Y, 0], t[warp.X, 1]
    ones[3], ones[4], ones[5] = t[warp.EX, 0], t[warp.Y, 1], t[warp.EY, 0]
    own[0], own[1], own[2] = t[warp.XA, 0], t[warp.YA, 0], t[warp.XA, 1]
    own[3], own[4], own[5] = t[warp.EXA, 0], t[warp.YA, 1], t[warp.EYA, 0]
    for k in range(3):
        plain, linear = t[warp.D + k], t[warp.ED + k]
        moments[k, 0], moments[k, 1], moments[k, 3] = plain[0], plain[1], plain[2]
        moments[k, 2], moments[k, 4], moments[k, 5] = linear[0], linear[1], t[warp.EED + k, 0]
    assemble(moments, hessian)
    if not norm > 0:
        return mean, 0.0
    for i in range(6):
        own[i] -= mean * ones[i]
    for i in range(6):
        for j in range(6):
            hessian[i, j] -= ones[i] * ones[j] / weight + own[i] * own[j] / norm
            hessian[i, j] /= norm
    return mean, norm


@njit(nogil=True, cache=True, fastmath=EXACT)
def compare(
    t: Any, weight: Any, mean: Any, norm: Any, ones: Any, own: Any, hessian: Any,
    divergence: Any, least: Any, score: Any,
) -> Any:  # fmt: skip
    """Correlation, its curvature over that of the template, mean and scale of b.

    `t`: folded sums with the sampled image; a sum of squares below `least` is none. `score` gets
    the products of the steepest-descent images with the residual of the regression of b on a (both
    of unit norm).
    """
    mb = t[warp.B, 0] / weight
    vb = t[warp.BB, 0] - weight * mb * mb
    if not vb > max(least, 1e-12 * t[warp.BB, 0]):
        return 0.0, 0.0, mb, 0.0
    scale = 1 / math.sqrt(vb * norm)
    rho = (t[warp.AB, 0] - weight * mean * mb) * scale
    score[0], score[1], score[2] = t[warp.XB, 0], t[warp.YB, 0], t[warp.XB, 1]
    score[3], score[4], score[5] = t[warp.EXB, 0], t[warp.YB, 1], t[warp.EYB, 0]
    for i in range(6):
        score[i] = (score[i] - mb * ones[i]) * scale - rho * own[i] / norm
    # sum grad a . grad b = - sum (div grad a) b, up to the template's rim
    kappa = -(t[warp.LB, 0] - mb * divergence) * scale / (hessian[0, 0] + hessian[1, 1])
    return rho, min(max(kappa, 0.25 * rho), 1.25 * rho), mb, scale


@njit(nogil=True, cache=True, fastmath=EXACT)
def newton_step(
    hessian: Any, score: Any, kappa: Any, pull: Any, g: Any, prior: Any, n: Any,
    damped: Any, lower: Any, step: Any,
) -> Any:  # fmt: skip
    """Step of the template's warp, the gradients held near `prior` with weight `pull`.

    kappa: curvature of the correlation over that of the template's own; where the images share
    little, plain Gauss-Newton steps would be too short by this factor. False where singular.
    """
    for i in range(n):
        step[i] = score[i] / kappa
        for j in range(n):
            damped[i, j] = hessian[i, j]
    for i in range(2, n):
        damped[i, i] += pull
        step[i] += pull * (g[i - 2] - prior[i - 2])
    if not factor(damped, n, lower):
        return False
    solve(lower, n, step)
    return True


@njit(nogil=True, cache=True, fastmath=EXACT)
def block_sum(values: Any, i: Any) -> Any:
    """Sum of the warp.BLOCK columns of a block."""
    return np.float64((values[i] + values[i + U(1)]) + (values[i + U(2)] + values[i + U(3)]))


@njit(nogil=True, cache=True, fastmath=EXACT)
def block_scores(
    blocks: Any, cross: Any, strips: Any, block_rows: Any, mean: Any, norm: Any, mb: Any,
    scale: Any, rho: Any, out: Any,
) -> Any:  # fmt: skip
    """Score of u and v of each block of BLOCK x BLOCK pixels: out (2, block rows, columns)."""
    lanes = warp.LANES
    for group in range(strips * block_rows):
        row, column = group % block_rows, (group // block_rows) * (lanes // warp.BLOCK)
        for k in range(lanes // warp.BLOCK):
            p = U(group * warp.BLOCK_SUMS * lanes + k * warp.BLOCK)
            q = U(group * warp.BLOCK_CROSS * lanes + k * warp.BLOCK)
            x, y = block_sum(blocks, p), block_sum(blocks, p + U(lanes))
            xa = block_sum(blocks, p + U(2 * lanes)) - mean * x
            ya = block_sum(blocks, p + U(3 * lanes)) - mean * y
            xb = block_sum(cross, q) - mb * x
            yb = block_sum(cross, q + U(lanes)) - mb * y
            out[0, row, column + k] = xb * scale - xa * rho / norm
            out[1, row, column + k] = yb * scale - ya * rho / norm


@njit(nogil=True, cache=True, fastmath=EXACT)
def scatter(scores: Any, joined: Any, hy: Any, hx: Any, moments: Any, matrix: Any) -> Any:
    """Covariance of the score, from its scatter among squares of joined x joined blocks (6 x 6).

    A sum over squares of the outer product of their scores: right also where neighbouring
    residuals are correlated, as long as squares hardly are.
    """
    moments[:] = 0
    _, rows, columns = scores.shape
    middle = 0.5 * (joined * warp.BLOCK - 1)
    for row in range(0, rows, joined):
        eta = row * warp.BLOCK + middle - hy
        s0, s1, s2 = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        for column in range(0, columns, joined):
            xi = column * warp.BLOCK + middle - hx
            ex, ey = 0.0, 0.0
            for i in range(row, min(row + joined, rows)):
                for j in range(column, min(column + joined, columns)):
                    ex += scores[0, i, j]
                    ey += scores[1, i, j]
            xx, xy, yy = ex * ex, ex * ey, ey * ey
            s0 = (s0[0] + xx, s0[1] + xy, s0[2] + yy)
            s1 = (s1[0] + xi * xx, s1[1] + xi * xy, s1[2] + xi * yy)
            s2 = (s2[0] + xi * xi * xx, s2[1] + xi * xi * xy, s2[2] + xi * xi * yy)
        for k in range(3):
            moments[k, 0] += s0[k]
            moments[k, 1] += s1[k]
            moments[k, 2] += eta * s0[k]
            moments[k, 3] += s2[k]
            moments[k, 4] += eta * s1[k]
            moments[k, 5] += eta * eta * s0[k]
    assemble(moments, matrix)


@njit(nogil=True, cache=True, fastmath=EXACT)
def covariances(
    lower: Any, n: Any, meat: Any, weight: Any, anchor: Any, inverse: Any, out: Any
) -> Any:
    """Sandwich: variances of u and v, their covariance, variances of the gradients, into `out`.

    The covariance of the score is `weight` times `meat`, plus that of the prior (`anchor`^2).
    """
    for i in range(n):
        for k in range(n):
            inverse[i, k] = 1.0 if i == k else 0.0
        solve(lower, n, inverse[i])
    for i in range(n):
        covariance, variance = 0.0, 0.0
        for p in range(n):
            product = 0.0
            for q in range(n):
                product += meat[p, q] * inverse[i, q]
            product *= weight
            if p >= 2:
                product += anchor * anchor * inverse[i, p]
            variance += inverse[i, p] * product
            covariance += inverse[1, p] * product
        out[i if i < 2 else i + 1] = variance
        if i == 0:
            out[2] = covariance
