"""Matches refined by an affine warp of the template (inverse-compositional Newton steps).

A template of image a, with pixels at xi from its centre c, is compared with image b sampled at
``c + d + (I + G) xi``. The displacement d and its gradients G maximise the zero-mean normalised
correlation. Parameters are ordered u, v, du/dx, du/dy, dv/dx, dv/dy, with u along x (columns) and
v along y (rows).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from glaciertoolkit.tracking.kernels import normal, warp

EXACT = {"contract"}
TOLERANCE = 1e-3
"""Pixels; what the next step may still move a corner of the template when iteration stops."""
LARGEST_STEP = 0.5
"""Pixels at a corner; longer steps are shortened."""
SMALL = 0.05
"""Pixels at a corner; a shorter last step is good enough when there may be no more."""
FARTHEST = 1.0
"""Pixels from the start; a solution beyond has gone astray."""
MARGIN = 2.0
"""Pixels by which a template may leave the image; what lies outside counts as missing."""
FLAT = 1e-10
"""Variance below which an image is constant, over the square of its level (float32 rounding)."""
LEAST = 0.01
"""Correlation below which there is nothing to climb."""
WHOLE = 32
"""Pixels of template for each whole number of blocks that are joined to show the scatter: 64
squares or more are enough, and the larger they are the less they are correlated."""
CORRELATED = 1.5
"""Variance of a sum of residuals over that of independent ones, for weighing the prior only."""
SLOPES = 1.6
"""Variance of the slopes of the starting field over that of a match, times the template's area
(measured)."""

OK, NOT_CONVERGED, LEFT_IMAGE, DIVERGED, SINGULAR, TOO_FEW, SKIPPED = range(7)

# Columns of the result; from COVARIANCE on: variance of u and v, their covariance, variances of
# the four gradients.
MOVE, GRADIENT, CORRELATION, SHARE, PASSES, COVARIANCE = 0, 2, 6, 7, 8, 9
COLUMNS = 16


@njit(nogil=True, cache=True, fastmath=EXACT)
def leaves(x: Any, y: Any, g: Any, hy: Any, hx: Any, shape: Any) -> Any:
    """Whether a corner of the warped template (centre (x, y)) is farther out than MARGIN."""
    reach_x = (1 + g[0]) * hx + abs(g[1]) * hy
    reach_y = (1 + g[3]) * hy + abs(g[2]) * hx
    return not (
        x - reach_x > -MARGIN
        and x + reach_x < shape[1] - 1 + MARGIN
        and y - reach_y > -MARGIN
        and y + reach_y < shape[0] - 1 + MARGIN
    )


@njit(nogil=True, cache=True, fastmath=EXACT)
def overlay(
    coefficients: Any, width: Any, origin: Any, move: Any, g: Any, ty: Any, hy: Any, hx: Any,
    strips: Any, lane: Any, shift: Any, buffer: Any, packed: Any, cross: Any, blocks: Any,
) -> Any:  # fmt: skip
    """Sums with the image sampled under a warp.

    `origin`: index of the coefficient that the template's first pixel would meet without motion.
    Positions count from there, so that their rounding does not depend on where a window begins.
    """
    n = ty * warp.LANES
    block_rows = (ty + warp.BLOCK - 1) // warp.BLOCK
    x, y = hx + move[0], hy + move[1]
    # Along a row of b (fixed Y), X = x + along xi + drift (Y - y).
    drift = g[1] / (1 + g[3])
    along = 1 + g[0] - drift * g[2]
    warp.clear(cross)
    warp.clear(blocks)
    for s in range(strips):
        xi = s * warp.LANES + 0.5 * (warp.LANES - 1) - hx
        top = y + g[2] * xi - (1 + g[3]) * hy
        first = math.floor(top) - warp.BEFORE
        count = math.floor(top + (1 + g[3]) * (ty - 1)) + warp.AFTER + 1 - first
        left = x + along * xi + drift * (first - y) - 0.5 * (warp.LANES - 1)
        warp.sample_rows(
            coefficients, origin + first * width, width, count, left, drift, along - 1, lane, buffer
        )
        warp.sample_columns(
            buffer, top - first, 1 + g[3], g[2], lane, shift, ty,
            packed, s * warp.PLANES * n, cross, s * warp.CROSS * warp.LANES,
            blocks, s * block_rows * warp.BLOCK_CROSS * warp.LANES,
        )  # fmt: skip


@njit(nogil=True, cache=True, fastmath=EXACT)
def compose(move: Any, g: Any, step: Any, n: Any) -> Any:
    """Apply the inverse of the template's `step` before the present warp."""
    if n == 2:
        move[0] -= step[0]
        move[1] -= step[1]
        return
    s00, s01, s10, s11 = 1 + step[2], step[3], step[4], 1 + step[5]
    det = s00 * s11 - s01 * s10
    i00, i01, i10, i11 = s11 / det, -s01 / det, -s10 / det, s00 / det
    a00, a01, a10, a11 = 1 + g[0], g[1], g[2], 1 + g[3]
    n00, n01 = a00 * i00 + a01 * i10, a00 * i01 + a01 * i11
    n10, n11 = a10 * i00 + a11 * i10, a10 * i01 + a11 * i11
    move[0] -= n00 * step[0] + n01 * step[1]
    move[1] -= n10 * step[0] + n11 * step[1]
    g[0], g[1], g[2], g[3] = n00 - 1, n01, n10, n11 - 1


@njit(nogil=True, cache=True, fastmath=EXACT)
def prepare(
    images: Any, a_width: Any, start: Any, b_width: Any, b_start: Any, fy: Any, fx: Any,
    partly: Any, ty: Any, tx: Any, strips: Any, n: Any, share: Any, work: Any, small: Any,
) -> Any:  # fmt: skip
    """Everything about a template that does not change with the warp.

    `partly`: whether pixels of b may be missing. Returns a status, the sum of the weights, mean and
    squared norm of the template, the sum of the gradient's divergence and a level to subtract from
    b.
    """
    a, valid, gx, gy, divergence, coefficients, b_valid = images
    packed, _, sums, blocks, _, _, xi, _ = work
    ones, own, hessian, moments, t = small[0], small[1], small[2], small[7], small[10]
    if partly:
        weight, valid_a, total = warp.weigh_both(
            a, valid, a_width, start, strips, tx, ty, packed, b_valid, b_width, b_start, fy, fx
        )
    else:
        weight, valid_a, total = warp.weigh(a, valid, a_width, start, strips, tx, ty, packed)
    if weight < share * valid_a or weight < 8 * n:
        return TOO_FEW, weight, 0.0, 0.0, 0.0, np.float32(0)
    shift = warp.rough_level(coefficients, b_width, b_start, strips, ty)
    warp.clear(sums)
    warp.clear(blocks)
    block_rows = (ty + warp.BLOCK - 1) // warp.BLOCK
    for s in range(strips):
        warp.pack(
            a, gx, gy, divergence, a_width, start + s * warp.LANES, ty, total / weight,
            packed, s * warp.PLANES * ty * warp.LANES, sums, s * warp.SUMS * warp.LANES,
            blocks, s * block_rows * warp.BLOCK_SUMS * warp.LANES,
        )  # fmt: skip
    warp.fold(sums, strips, warp.SUMS, warp.FIRST, warp.SECOND, xi, t)
    mean, norm = normal.normal_matrix(t, moments, ones, own, hessian)
    contrast = norm > FLAT * weight * (total / weight) ** 2
    return OK if contrast else SINGULAR, weight, mean, norm, t[warp.L, 0], shift


@njit(nogil=True, cache=True, fastmath=EXACT)
def length(step: Any, n: Any, hy: Any, hx: Any) -> Any:
    """How far a step moves the corners of a template (root of the sum of squares)."""
    square = step[0] ** 2 + step[1] ** 2
    for k in range(2, n):
        square += (step[k] * (hy if k % 2 else hx)) ** 2
    return math.sqrt(square)


@njit(nogil=True, cache=True, fastmath=EXACT)
def joined_blocks(ty: Any, tx: Any) -> Any:
    """Blocks along a side of the squares whose scores show the scatter."""
    return max(1, min(ty, tx) // WHOLE)


@njit(nogil=True, cache=True, fastmath=EXACT)
def errors(
    ty: Any, tx: Any, weight: Any, factor: Any, anchor: Any, n: Any, small: Any, row: Any
) -> Any:
    """Fill the covariances of `row` from the blocks' scores and the factor of the last step.

    The scores' covariance counts `factor` times, and the prior pulls with the deviation `anchor`.
    """
    _, _, _, _, lower, _, _, moments, meat, inverse, _, scores = small
    joined = joined_blocks(ty, tx)
    normal.scatter(scores, joined, 0.5 * (ty - 1), 0.5 * (tx - 1), moments, meat)
    count = 2 * weight / (joined * warp.BLOCK) ** 2
    factor *= count / max(count - n - 2, 1)
    normal.covariances(lower, n, meat, factor, anchor, inverse, row[COVARIANCE:])


@njit(nogil=True, cache=True, fastmath=EXACT)
def iterate(
    coefficients: Any, b_width: Any, shape: Any, x0: Any, y0: Any, ty: Any, tx: Any,
    strips: Any, n: Any, passes: Any, prior: Any, spread: Any, fixed: Any, work: Any, small: Any,
    move: Any, g: Any, row: Any,
) -> Any:  # fmt: skip
    """Newton steps from (move, g) until the next would not matter; fills `row`, returns a status.

    (x0, y0): first pixel of the template in b without motion. `fixed`: what `prepare` returned.
    """
    _, weight, mean, norm, divergence, shift = fixed
    hy, hx = 0.5 * (ty - 1), 0.5 * (tx - 1)
    packed, buffer, _, blocks, cross, cross_blocks, xi, lane = work
    ones, own, hessian, damped, lower, step, score, _, _, _, t, scores = small
    block_rows = (ty + warp.BLOCK - 1) // warp.BLOCK
    origin = (y0 + warp.PAD) * b_width + x0 + warp.PAD
    u0, v0, at_start, previous = move[0], move[1], 1.0, 1.0
    for done in range(1, passes + 1):
        if leaves(x0 + hx + move[0], y0 + hy + move[1], g, hy, hx, shape):
            return LEFT_IMAGE
        overlay(
            coefficients, b_width, origin, move, g, ty, hy, hx, strips, lane, shift, buffer,
            packed, cross, cross_blocks,
        )  # fmt: skip
        warp.fold(cross, strips, warp.CROSS, warp.CROSS_FIRST, warp.CROSS, xi, t)
        rho, kappa, mb, scale = normal.compare(
            t, weight, mean, norm, ones, own, hessian, divergence, FLAT * weight * shift**2, score
        )
        if not rho > LEAST:
            return SINGULAR
        at_start = rho if done == 1 else at_start
        if rho < at_start - 0.1 * (1 - at_start) - 1e-3:
            return DIVERGED
        # Share of b's variance that a does not explain; not less than float32 can tell.
        alien = max(1 - rho * rho, 1e-6)
        noise = alien / (weight * kappa * kappa)
        # The prior's slopes are as uncertain as the starting field over the length of a template.
        start = SLOPES * CORRELATED * noise / (hessian[0, 0] * ty * tx)
        wide = spread * spread + start
        pull = CORRELATED * noise / wide if n == 6 else 0.0
        if not normal.newton_step(hessian, score, kappa, pull, g, prior, n, damped, lower, step):
            return SINGULAR
        size = length(step, n, hy, hx)
        gain = 0.0
        for k in range(n):
            gain += kappa * score[k] * step[k]
            step[k] *= min(1.0, LARGEST_STEP / max(size, TOLERANCE))
        gain = min(max(gain, 0.0), max(1 - rho * rho, 0.0))
        compose(move, g, step, n)
        # Written so that NaN fails it.
        if not (abs(move[0] - u0) <= FARTHEST and abs(move[1] - v0) <= FARTHEST):
            return DIVERGED
        for k in range(4):
            if not abs(g[k]) <= warp.STEEPEST:
                return DIVERGED
        # Steps shrink at least as fast as the last did; at first by about their own length.
        rate = min(1.0, size / previous if done > 1 else size + 0.5 * (1 - rho))
        previous = max(size, 1e-9)
        enough = max(TOLERANCE, 0.05 * math.sqrt(noise / hessian[0, 0]))
        settled = size * rate < enough and gain < 0.2 * alien
        if settled or done == passes:
            row[CORRELATION], row[PASSES] = math.sqrt(rho * rho + gain), done
            normal.block_scores(
                blocks, cross_blocks, strips, block_rows, mean, norm, mb, scale, rho, scores
            )
            # The last step took its gain from the residual.
            errors(
                ty, tx, weight, (1 - gain / alien) / kappa**2, pull * math.sqrt(wide), n, small, row
            )
            return OK if settled or size < SMALL else NOT_CONVERGED
    return NOT_CONVERGED


@njit(nogil=True, cache=True, fastmath=EXACT)
def workspace(ty: Any, tx: Any, strips: Any) -> Any:
    """Scratch arrays: large ones in float32, small ones in float64."""
    block_rows = (ty + warp.BLOCK - 1) // warp.BLOCK
    xi = (np.arange(strips * warp.LANES) - 0.5 * (tx - 1)).astype(np.float32)
    lane = (np.arange(warp.LANES) - 0.5 * (warp.LANES - 1)).astype(np.float32)
    work = (
        np.empty(warp.PLANES * strips * ty * warp.LANES, np.float32),
        np.empty((int((1 + warp.STEEPEST) * ty) + 12) * warp.LANES, np.float32),
        np.empty(strips * warp.SUMS * warp.LANES, np.float32),
        np.empty(strips * block_rows * warp.BLOCK_SUMS * warp.LANES, np.float32),
        np.empty(strips * warp.CROSS * warp.LANES, np.float32),
        np.empty(strips * block_rows * warp.BLOCK_CROSS * warp.LANES, np.float32),
        xi,
        lane,
    )
    small = (
        np.empty(6), np.empty(6), np.empty((6, 6)), np.empty((6, 6)), np.empty((6, 6)),
        np.empty(6), np.empty(6), np.empty((3, 6)), np.empty((6, 6)), np.empty((6, 6)),
        np.empty((warp.SUMS, 3)), np.empty((2, block_rows, strips * warp.LANES // warp.BLOCK)),
    )  # fmt: skip
    return work, small


@njit(nogil=True, cache=True, fastmath=EXACT)
def refine_posts(
    images: Any, a_width: Any, b_width: Any, shape: Any, masked: Any, y0: Any, x0: Any,
    origin: Any, ty: Any, tx: Any, dy: Any, dx: Any, prior: Any, spread: Any, n: Any, passes: Any,
    share: Any, out: Any, status: Any,
) -> Any:  # fmt: skip
    """Refine the matches of posts: fills `out` (posts, COLUMNS) and `status` (posts).

    `images`, flat: a, its validity, gradients along x and y and their divergence, padded to rows
    of `a_width` = columns + LANES; coefficients of b and its validity, with PAD before and PAD +
    2 LANES after an image of `shape`, in rows of `b_width`. `masked`: whether b lacks pixels.
    `y0`, `x0`: first pixel of each template in a; `origin`: what is added to find it in b.
    `prior` (posts, 4), `spread` (posts): gradients that are expected, and their deviation.
    n: 6 (affine) or 2 (shift); `share`: of a template's valid pixels that b must have.
    """
    strips = (tx + warp.LANES - 1) // warp.LANES
    work, small = workspace(ty, tx, strips)
    hy, hx = 0.5 * (ty - 1), 0.5 * (tx - 1)
    move, g, still = np.empty(2), np.empty(4), np.zeros(4)
    for post in range(y0.size):
        row = out[post]
        row[:] = np.nan
        if not (math.isfinite(dy[post]) and math.isfinite(dx[post])):
            status[post] = SKIPPED
            continue
        move[0], move[1] = dx[post], dy[post]
        for k in range(4):
            g[k] = prior[post, k] if n == 6 else 0.0
        yb, xb = y0[post] + origin[0], x0[post] + origin[1]
        xc, yc = xb + hx + move[0], yb + hy + move[1]
        if leaves(xc, yc, g, hy, hx, shape) or leaves(xc, yc, still, hy, hx, shape):
            status[post] = LEFT_IMAGE
            continue
        iy, ix = math.floor(move[1]), math.floor(move[0])
        outside = yb + iy < 0 or xb + ix < 0 or yb + iy + ty >= shape[0] or xb + ix + tx >= shape[1]
        fixed = prepare(
            images, a_width, y0[post] * a_width + x0[post], b_width,
            (yb + iy + warp.PAD) * b_width + xb + ix + warp.PAD, move[1] - iy, move[0] - ix,
            masked or outside, ty, tx, strips, n, share, work, small,
        )  # fmt: skip
        row[SHARE] = fixed[1] / (ty * tx)
        status[post] = fixed[0]
        if fixed[0] == OK:
            status[post] = iterate(
                images[5], b_width, shape, xb, yb, ty, tx, strips, n, passes,
                prior[post], spread[post], fixed, work, small, move, g, row,
            )  # fmt: skip
        if status[post] == OK:
            row[MOVE], row[MOVE + 1] = move[0], move[1]
            row[GRADIENT : GRADIENT + 4] = g
