"""Quality mode: matches refined by warping the template, with the gradients of the displacement."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.tracking.sampling import fill_gaps, sampled, templates

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Double = npt.NDArray[np.float64]

HALO = 24
"""Pixels around a template's place in b on which its match may depend: reach and support of the
spline, and how far a match may move. Next to the end of a window it depends on where that is."""
STRAIN_SPREAD = 0.002
"""How far the gradient inside a template may lie from that of its neighbourhood."""
STRAIN_ALONE = 0.02
"""The same where no neighbours tell."""
APART = 0.75
"""Pixels; neighbours whose start differs by more are mismatches."""
TILT = 0.05
"""And by so much more per pixel of distance (rows plus columns)."""
STEEPEST = 0.1
"""Largest gradient of motion that is believed of neighbours."""
INTERPOLATION_ERROR = 3e-4
"""Pixels; what the spline's sampling leaves."""


class Status(IntEnum):
    """Why a match was refined or not."""

    OK = 0
    NOT_CONVERGED = 1
    LEFT_IMAGE = 2
    DIVERGED = 3
    SINGULAR = 4
    TOO_FEW = 5
    SKIPPED = 6


class Refined(NamedTuple):
    """Refined matches, each of shape (posts_y, posts_x), in pixels along image axes.

    dy, dx : displacement (rows down, columns right); the start where not refined.
    dx_dx, dx_dy, dy_dx, dy_dy : its gradients, d(displacement) / d(pixel); NaN in mode "shift".
    correlation : zero-mean normalised correlation at the solution.
    dx_variance, dy_variance, covariance : of dx and dy, pixels squared.
    dx_dx_error, dx_dy_error, dy_dx_error, dy_dy_error : 1-sigma of the gradients.
    share : weight of the pixels used over the number of pixels of the template.
    status : `Status` (uint8); where it is not OK all but dy, dx and share are NaN.
    """

    dy: Array
    dx: Array
    dx_dx: Array
    dx_dy: Array
    dy_dx: Array
    dy_dy: Array
    correlation: Array
    dx_variance: Array
    dy_variance: Array
    covariance: Array
    dx_dx_error: Array
    dx_dy_error: Array
    dy_dx_error: Array
    dy_dy_error: Array
    share: Array
    status: npt.NDArray[np.uint8]


def neighbour_gradients(
    dy: Array, dx: Array, rows: npt.ArrayLike, columns: npt.ArrayLike, template: tuple[int, int]
) -> tuple[Double, Double]:
    """Gradients that the starting field itself shows, and how far to trust them.

    Parameters
    ----------
    dy, dx : numpy.ndarray
        Displacement at the posts, pixels.
    rows, columns : array_like
        Positions of the posts, pixels.
    template : tuple of int
        Rows and columns of a template: neighbours are those within half of it.

    Returns
    -------
    gradients : numpy.ndarray
        (posts_y, posts_x, 4): dx_dx, dx_dy, dy_dx, dy_dy; zero where no neighbours agree.
    spread : numpy.ndarray
        Deviation of the gradient inside a template from these, but for such noise of the field as
        neighbours share.
    """
    from glaciertoolkit.tracking.kernels.slopes import plane_slopes

    y, x = np.asarray(rows), np.asarray(columns)
    found = plane_slopes(
        np.asarray(dx, np.float64), np.asarray(dy, np.float64), y, x,
        posts_within(y, template[0] / 2), posts_within(x, template[1] / 2), APART, TILT,
    )  # fmt: skip
    known = np.isfinite(found[..., 0])
    gradients = np.where(known[..., None], np.clip(found[..., :4], -STEEPEST, STEEPEST), 0.0)
    return gradients, np.where(known, np.sqrt(STRAIN_SPREAD**2 + found[..., 4]), STRAIN_ALONE)


def posts_within(positions: npt.NDArray[np.generic], distance: float) -> int:
    """How many posts to either side lie within `distance` pixels (at least one)."""
    if positions.size < 2:
        return 1
    step = abs(float(positions[-1] - positions[0])) / (positions.size - 1)
    return max(1, round(distance / max(step, 1.0)))


def _invert(g: Double) -> Double:
    """Gradients of the inverse of a displacement field with gradients g (..., 4)."""
    a, b, c, d = 1 + g[..., 0], g[..., 1], g[..., 2], 1 + g[..., 3]
    det = a * d - b * c
    return np.stack([d / det - 1, -b / det, -c / det, a / det - 1], -1)


def refine(
    a: Image,
    a_valid: Mask,
    b: Image,
    b_valid: Mask,
    *,
    rows: npt.ArrayLike,
    columns: npt.ArrayLike,
    template: tuple[int, int],
    dy: Array,
    dx: Array,
    origin: tuple[int, int] = (0, 0),
    mode: Literal["affine", "shift"] = "affine",
    iterations: int = 10,
    min_share: float = 0.5,
    swap: bool = False,
) -> Refined:
    """Refine the matches of a grid of posts to a small fraction of a pixel.

    Parameters
    ----------
    a, b : numpy.ndarray
        float32, 2-D: prepared reference and secondary image of a tile; what they hold where they
        are missing does not matter. Pixel (y, x) of a lies at (y + oy, x + ox) of b.
    a_valid, b_valid : numpy.ndarray
        Where they are not missing.
    rows, columns : array_like
        First row and column of the templates in a.
    template : tuple of int
        Rows and columns of a template.
    dy, dx : numpy.ndarray
        (posts_y, posts_x): displacement to start from, pixels; NaN to skip a post.
    origin : tuple of int
        (oy, ox).
    mode : {"affine", "shift"}
        "affine" also fits the gradients of the displacement inside the template.
    iterations : int
        At most; two or three are usual.
    min_share : float
        A post is given up where b lacks more of its template's valid pixels.
    swap : bool
        Take the templates from b and sample a: of use where pixels are missing in b alone. a then
        needs some pixels around the templates. Sign and place of the result stay the same.

    Returns
    -------
    Refined

    Raises
    ------
    ParameterError
        If a template does not lie inside a, or the shapes do not fit.

    Notes
    -----
    The correlation of ``a(c + xi)`` with ``b(c + d + (I + G) xi)`` is maximised over d and G by
    inverse-compositional steps (Baker and Matthews 2004), b being interpolated by septic
    B-splines. The steps divide by the curvature of the correlation itself rather than that of the
    template, without which they are too short where the images share little. The gradients are
    drawn to those of the neighbouring starts with the weight that their noise leaves: it matters
    for weak pairs only.

    The covariance is that of an extremum estimator, ``M^-1 S M^-1``: M is the curvature, S the
    scatter of the score among squares of about an eighth of the template. Residuals may thus be
    correlated over a few pixels, as those of speckle are. It knows nothing of motion that is not
    linear inside the template; `correct_curvature` does.

    A pixel next to a gap of b weighs as much as the pixels around it are valid.

    References
    ----------
    Baker, S. and Matthews, I. (2004), Lucas-Kanade 20 years on: a unifying framework, IJCV 56.
    Pan, B., Li, K. and Tong, W. (2013), Fast, robust and accurate digital image correlation
    calculation without redundant computations, Experimental Mechanics 53.
    """
    y0, x0, start = _checked(a, a_valid, b, b_valid, rows, columns, template, dy, dx, mode)
    prior, spread = np.zeros((*dy.shape, 4)), np.full(dy.shape, STRAIN_ALONE)
    if mode == "affine":
        prior, spread = neighbour_gradients(dy, dx, rows, columns, template)
    a, b = fill_gaps(a, a_valid), fill_gaps(b, b_valid)
    if not swap:
        found, status = _run(
            (a, a_valid), (b, b_valid), y0, x0, template, origin, start, prior, spread,
            mode, iterations, min_share,
        )  # fmt: skip
    else:
        whole = np.where(np.isfinite(start), np.rint(start), 0).astype(np.int64)
        found, status = _run(
            (b, b_valid), (a, a_valid), y0 + origin[0] + whole[0], x0 + origin[1] + whole[1],
            template, (-origin[0], -origin[1]), -start, _invert(prior), spread,
            mode, iterations, min_share,
        )  # fmt: skip
        _swap_back(found, whole, mode)
    return _refined(found, status, start)


def _checked(
    a: Image, a_valid: Mask, b: Image, b_valid: Mask, rows: npt.ArrayLike, columns: npt.ArrayLike,
    template: tuple[int, int], dy: Array, dx: Array, mode: str,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Double]:  # fmt: skip
    """First pixels of the templates as grids, and the start (2, posts_y, posts_x) as (dy, dx)."""
    if mode not in ("affine", "shift"):
        raise ParameterError(f'mode must be "affine" or "shift"; got {mode!r}.')
    y, x = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
    if a.shape != a_valid.shape or b.shape != b_valid.shape:
        raise ParameterError("an image and its mask differ in shape; give one mask a pixel.")
    if dy.shape != (y.size, x.size) or dx.shape != dy.shape:
        raise ParameterError(
            f"dy and dx must have one value a post, {(y.size, x.size)}; they have {dy.shape} and "
            f"{dx.shape}."
        )
    for first, edge, size, axis in (
        (y, template[0], a.shape[0], "y"),
        (x, template[1], a.shape[1], "x"),
    ):
        if first.size and (first.min() < 0 or first.max() + edge > size):
            raise ParameterError(
                f"templates of {edge} pixels from {first.min()} to {first.max()} along {axis} do "
                f"not fit into the {size} pixels of the image; cut it wider."
            )
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    return grid_y, grid_x, np.stack([dy, dx]).astype(np.float64)


def _run(
    a: tuple[Image, Mask], b: tuple[Image, Mask], y0: npt.NDArray[np.int64],
    x0: npt.NDArray[np.int64], template: tuple[int, int], origin: tuple[int, int], start: Double,
    prior: Double, spread: Double, mode: str, iterations: int, min_share: float,
) -> tuple[Double, npt.NDArray[np.uint8]]:  # fmt: skip
    """Templates of `a` matched with `b`: the kernel's columns and status by post."""
    from glaciertoolkit.tracking.kernels import affine

    source, target = templates(*a), sampled(*b)
    edge_y, edge_x = template
    inside = (y0 >= 0) & (x0 >= 0)
    inside &= (y0 + edge_y <= a[0].shape[0]) & (x0 + edge_x <= a[0].shape[1])
    begin_y, begin_x = (np.where(inside, z, 0).ravel() for z in (y0, x0))
    start_y, start_x = (np.where(inside, z, np.nan).ravel() for z in start)
    out = np.empty((y0.size, affine.COLUMNS))
    status = np.empty(y0.size, np.uint8)
    affine.refine_posts(
        (*source[:5], target.coefficients, target.valid), source.width, target.width, target.shape,
        not b[1].all(), begin_y, begin_x, origin, edge_y, edge_x, start_y, start_x,
        np.ascontiguousarray(prior.reshape(-1, 4)), spread.ravel(),
        2 if mode == "shift" else 6, iterations, min_share, out, status,
    )  # fmt: skip
    status[~inside.ravel()] = Status.LEFT_IMAGE
    out = out.reshape(*y0.shape, -1)
    if mode == "shift":
        out[..., affine.GRADIENT : affine.GRADIENT + 4] = np.nan
    return out, status.reshape(y0.shape)


def _swap_back(found: Double, whole: npt.NDArray[np.int64], mode: str) -> None:
    """Matches b -> a of templates moved by `whole` pixels, turned into a -> b at the posts."""
    from glaciertoolkit.tracking.kernels import affine

    dx, dy = -found[..., affine.MOVE], -found[..., affine.MOVE + 1]
    # The ground that was matched lies off the post by what rounding the start left.
    off_x, off_y = whole[1] - dx, whole[0] - dy
    if mode == "affine":
        g = _invert(found[..., affine.GRADIENT : affine.GRADIENT + 4])
        found[..., affine.GRADIENT : affine.GRADIENT + 4] = g
        dx, dy = (
            dx - g[..., 0] * off_x - g[..., 1] * off_y,
            dy - g[..., 2] * off_x - g[..., 3] * off_y,
        )
    found[..., affine.MOVE], found[..., affine.MOVE + 1] = dx, dy


def _refined(found: Double, status: npt.NDArray[np.uint8], start: Double) -> Refined:
    from glaciertoolkit.tracking.kernels import affine

    good = status == Status.OK
    planes = np.where(good[..., None], found, np.nan).astype(np.float32)
    m, g, c = affine.MOVE, affine.GRADIENT, affine.COVARIANCE
    floor = np.float32(INTERPOLATION_ERROR**2)
    return Refined(
        dy=np.where(good, found[..., m + 1], start[0]).astype(np.float32),
        dx=np.where(good, found[..., m], start[1]).astype(np.float32),
        dx_dx=planes[..., g], dx_dy=planes[..., g + 1],
        dy_dx=planes[..., g + 2], dy_dy=planes[..., g + 3],
        correlation=planes[..., affine.CORRELATION],
        dx_variance=planes[..., c] + floor, dy_variance=planes[..., c + 1] + floor,
        covariance=planes[..., c + 2],
        dx_dx_error=np.sqrt(planes[..., c + 3]), dx_dy_error=np.sqrt(planes[..., c + 4]),
        dy_dx_error=np.sqrt(planes[..., c + 5]), dy_dy_error=np.sqrt(planes[..., c + 6]),
        share=np.nan_to_num(found[..., affine.SHARE]).astype(np.float32),
        status=status,
    )  # fmt: skip
