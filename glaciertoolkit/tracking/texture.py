"""What the texture inside each template allows: where the match is anchored, how far it smears."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile
from glaciertoolkit.tracking.windows import Windows

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]


class Texture(NamedTuple):
    """Of each template.

    `lever`: float64 (2, 4, posts_y, posts_x), how far the match (x, y) moves, in pixels, for a
    unit of the gradients du/dx, dv/dx, du/dy, dv/dy of the displacement (u, v); `spread`: the
    width, in pixels, of a uniform template that smears as much; `power`: float64 (3, posts_y,
    posts_x), the sums over the template of gx^2, gx gy and gy^2, g being the gradient.
    """

    lever: Wide
    spread: Array
    power: Wide


def _edges(posts: int, step: int, template: int) -> tuple[npt.NDArray[np.int64], int, int]:
    """Cell edges that every template's edges are among; cells a step, and cells a template."""
    whole, rest = divmod(template, step)
    starts = np.arange(posts + whole + 1) * step
    if rest == 0:
        return starts[: posts + whole], 1, whole
    both = np.sort(np.concatenate([starts, starts + rest]))
    return both[: 2 * (posts + whole)], 2, 2 * whole + 1


def _box(
    sums: Wide, counts: tuple[int, int], strides: tuple[int, int], posts: tuple[int, int]
) -> Wide:
    """Sums over `counts` cells from every post's first cell on."""
    for axis in (1, 2):
        total = np.cumsum(sums, axis=axis)
        total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis=axis)
        first = np.arange(posts[axis - 1]) * strides[axis - 1]
        sums = total.take(first + counts[axis - 1], axis) - total.take(first, axis)
    return sums


def texture(windows: Windows, part: Tile, template: tuple[int, int]) -> Texture:
    """Moments of the image gradients over each template of the reference.

    Parameters
    ----------
    windows : Windows
        The prepared images.
    part : Tile
        The posts.
    template : tuple of int
        (y, x), in matched pixels.

    Notes
    -----
    A rigid match of a texture a under a displacement that varies inside the template,
    d(x) = d0 + G (x - c), finds d0 + A^-1 sum g g^T G (x - c), with g the gradient of a and
    A = sum g g^T: the mean of the motion, weighted by the texture.
    """
    from glaciertoolkit.tracking.kernels import moments

    p = windows.parameters
    y, x = windows.first_pixel(part, template)
    (ey, sy, cy), (ex, sx, cx) = (
        _edges(n, s, t) for n, s, t in zip(part.shape, p.step, template, strict=True)
    )
    rows, cols = int(ey[-1]), int(ex[-1])
    layer = windows.reference
    sums = moments.gradient_moments(
        layer.cut(y, x, rows, cols)[0], layer.cut_mask(y, x, rows, cols), ey, ex
    )
    m = _box(np.concatenate([sums, _second(sums, ey, ex)]), (cy, cx), (sy, sx), part.shape)
    centre_y = np.arange(part.shape[0], dtype=float)[:, None] * p.step[0] + (template[0] - 1) / 2
    centre_x = np.arange(part.shape[1], dtype=float)[None, :] * p.step[1] + (template[1] - 1) / 2
    return Texture(_lever(m, centre_y, centre_x), _spread(m), m[:3])


def _lever(m: Wide, centre_y: Wide, centre_x: Wide) -> Wide:
    from glaciertoolkit.tracking.kernels.moments import (
        XX,
        XX_X,
        XX_Y,
        XY,
        XY_X,
        XY_Y,
        YY,
        YY_X,
        YY_Y,
    )

    xx, xy, yy = m[XX], m[XY], m[YY]
    det = xx * yy - xy * xy
    det = np.where(det > 1e-12 * (xx + yy) ** 2, det, np.inf)
    ixx, ixy, iyy = yy / det, -xy / det, xx / det
    out = np.empty((2, 4, *xx.shape))
    for k, (a, b, c, centre) in enumerate(
        ((XX_X, XY_X, YY_X, centre_x), (XX_Y, XY_Y, YY_Y, centre_y))
    ):
        mxx, mxy, myy = m[a] - centre * xx, m[b] - centre * xy, m[c] - centre * yy
        out[0, 2 * k] = ixx * mxx + ixy * mxy
        out[0, 2 * k + 1] = ixx * mxy + ixy * myy
        out[1, 2 * k] = ixy * mxx + iyy * mxy
        out[1, 2 * k + 1] = ixy * mxy + iyy * myy
    return out


def _second(sums: Wide, edges_y: npt.NDArray[np.int64], edges_x: npt.NDArray[np.int64]) -> Wide:
    """Second moments of each cell's gradient energy along x and y, (2, cells_y, cells_x)."""
    from glaciertoolkit.tracking.kernels.moments import XX, XX_X, XX_Y, YY, YY_X, YY_Y

    energy = sums[XX] + sums[YY]
    safe = np.where(energy > 0, energy, 1.0)
    out = np.empty((2, *energy.shape))
    for k, (a, b, size) in enumerate(
        ((XX_X, YY_X, np.diff(edges_x)[None, :]), (XX_Y, YY_Y, np.diff(edges_y)[:, None]))
    ):
        out[k] = (sums[a] + sums[b]) ** 2 / safe + energy * size**2 / 12
    return out


def _spread(m: Wide) -> Array:
    """Root of twelve times the variance of where the gradients are: T if they are uniform."""
    from glaciertoolkit.tracking.kernels.moments import SUMS, XX, XX_X, XX_Y, YY, YY_X, YY_Y

    energy = m[XX] + m[YY]
    safe = np.where(energy > 0, energy, np.nan)
    variance = [
        m[SUMS + k] / safe - ((m[a] + m[b]) / safe) ** 2
        for k, (a, b) in enumerate(((XX_X, YY_X), (XX_Y, YY_Y)))
    ]
    return np.asarray(np.sqrt(np.maximum(6 * (variance[0] + variance[1]), 0)), np.float32)
