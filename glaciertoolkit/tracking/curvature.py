"""What motion that bends inside the template adds to an affine match, taken out again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.tracking.refine import STEEPEST, Refined, posts_within

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

NEAR, WIDE = 1, 2
"""Windows in which slopes of the gradients are sought, half templates to either side."""
SLOPE_NOISE = 2.25
"""Variance of a slope of gradients over its nominal one where neighbouring gradients share their
noise, at most (measured)."""
DIFFERENT = 2 * SLOPE_NOISE
"""Square of the difference of two windows over the nominal variance of the near one, above which
the field bends too fast for the wide one."""
SIGNIFICANT = 2.25 * SLOPE_NOISE
"""Square of a correction over its nominal variance below which it is not made."""
NEAR_NOISE, NEAR_SHARED = 1.0, 0.65
"""Deviation of a correction's noise over the nominal one, and its correlation with that of the
match (measured, where it matters: on good pairs); their difference is noisier than either."""
WIDE_NOISE, WIDE_SHARED = 0.6, 0.45
"""The same for the wide window, in which more posts share the noise."""
ALIKE = 0.9
"""Share of the scatter among blocks made by curvature that is alike in all of them, and so goes
with the correction (measured)."""


LEFT = 0.25
"""Least share of a variance that is left when that scatter is taken out."""


class _Bend(NamedTuple):
    """Second derivatives of one component, what they add to a match, and its nominal variance.

    `near`: where they are from the near window.
    """

    xx: Double
    xy: Double
    yy: Double
    shift: Double
    noise: Double
    near: npt.NDArray[np.bool_]


def _bend(
    refined: Refined, name: str, y: Double, x: Double, template: tuple[int, int], reach: int
) -> _Bend:
    """From the gradients at the posts within `reach` half templates."""
    from glaciertoolkit.tracking.kernels.slopes import plane_slopes

    ty, tx = template
    slopes = plane_slopes(
        getattr(refined, f"{name}_dx").astype(np.float64),
        getattr(refined, f"{name}_dy").astype(np.float64),
        y, x, posts_within(y, reach * ty / 2), posts_within(x, reach * tx / 2), STEEPEST, 0.0,
    )  # fmt: skip
    weight_y, weight_x = (ty**2 - 1) / 24, (tx**2 - 1) / 24
    # As of the slope between two gradients with their errors, at the two ends of the window.
    noise = 2 * (
        (weight_x / (reach * tx) * getattr(refined, f"{name}_dx_error")) ** 2
        + (weight_y / (reach * ty) * getattr(refined, f"{name}_dy_error")) ** 2
    )
    xx, yy = slopes[..., 0], slopes[..., 3]
    xy = 0.5 * (slopes[..., 1] + slopes[..., 2])
    shift = weight_x * xx + weight_y * yy
    near = np.full(shift.shape, reach == NEAR)
    return _Bend(xx, xy, yy, shift, np.asarray(noise, np.float64), near)


def _extrapolated(near: _Bend, wide: _Bend) -> _Bend:
    """The wide estimate; where the near one differs, both extrapolated to a window of no width.

    The error of a slope over a window grows with the square of its width.
    """
    with np.errstate(invalid="ignore"):
        differs = (near.shift - wide.shift) ** 2 > DIFFERENT * near.noise

    def choose(n: Double, w: Double) -> Double:
        return np.where(differs, (4 * n - w) / 3, w)

    return _Bend(
        choose(near.xx, wide.xx),
        choose(near.xy, wide.xy),
        choose(near.yy, wide.yy),
        choose(near.shift, wide.shift),
        np.where(differs, 16 / 9 * near.noise, wide.noise),
        differs,
    )


def _corrected(
    refined: Refined, name: str, y: Double, x: Double, template: tuple[int, int]
) -> tuple[Array, Array]:
    """Displacement and variance of one component."""
    from glaciertoolkit.tracking.kernels import affine, warp

    ty, tx = template
    near, wide = (_bend(refined, name, y, x, template, reach) for reach in (NEAR, WIDE))
    bend = _extrapolated(near, wide)
    with np.errstate(invalid="ignore", divide="ignore"):
        trust = np.nan_to_num(np.clip(1 - SIGNIFICANT * bend.noise / bend.shift**2, 0, None))
    shift, noise = np.nan_to_num(bend.shift), np.nan_to_num(bend.noise)
    variance = getattr(refined, f"{name}_variance").astype(np.float64)
    # Mean square of the quadratic part of the motion over the template.
    square = (tx**4 * bend.xx**2 + ty**4 * bend.yy**2) / 720 + (tx * ty * bend.xy) ** 2 / 144
    pixels = (affine.joined_blocks(ty, tx) * warp.BLOCK) ** 2
    scatter = np.nan_to_num(ALIKE * trust * square * pixels / (tx * ty))
    variance = np.maximum(variance - scatter, LEFT * variance)
    made = trust * np.sqrt(noise) * np.where(bend.near, NEAR_NOISE, WIDE_NOISE)
    shared = np.where(bend.near, NEAR_SHARED, WIDE_SHARED)
    variance += made**2 + 2 * shared * made * np.sqrt(variance)
    variance += ((1 - trust) * shift) ** 2
    moved = getattr(refined, name) - trust * shift
    return moved.astype(np.float32), variance.astype(np.float32)


def correct_curvature(
    refined: Refined, rows: npt.ArrayLike, columns: npt.ArrayLike, template: tuple[int, int]
) -> Refined:
    """Take out of affine matches what motion that bends inside the template adds to them.

    Parameters
    ----------
    refined : Refined
        From `refine` in mode "affine".
    rows, columns : array_like
        Positions of the posts, pixels.
    template : tuple of int
        Rows and columns of a template.

    Returns
    -------
    Refined
        With `dy`, `dx` corrected where their curvature is significant, and their variances.

    Notes
    -----
    An affine warp takes the mean over its template, so where the displacement is quadratic,
    ``d + d_xx xi^2 / 2 + ...``, it reports ``d + d_xx (Tx^2 - 1) / 24 + d_yy (Ty^2 - 1) / 24``
    (Tx columns, Ty rows). The second derivatives are slopes of the gradients at the posts within
    one template, and within half of one where the field bends too fast for that. A correction c
    with the nominal standard error s is multiplied by ``1 - (2.25 s / c)^2``, or 0 if that is
    negative: what is mostly noise would only add to the noise.

    The variance grows by that of the correction, whose noise is not independent of the match's,
    and by the square of what was left uncorrected; it shrinks by that part of the scatter among
    the template's blocks which the curvature made and the correction took away.
    """
    y, x = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
    dx, dx_variance = _corrected(refined, "dx", y, x, template)
    dy, dy_variance = _corrected(refined, "dy", y, x, template)
    return refined._replace(dx=dx, dy=dy, dx_variance=dx_variance, dy_variance=dy_variance)
