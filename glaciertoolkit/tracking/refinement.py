"""Matches of a tile refined by warping the template: quality mode, and posts with gaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile
from glaciertoolkit.tracking.curvature import correct_curvature
from glaciertoolkit.tracking.match import Array, Match
from glaciertoolkit.tracking.refine import Refined, Status, refine
from glaciertoolkit.tracking.windows import Windows

GAPS = 0.98
"""Matches of which fewer pixels are valid are refined in fast mode too: each offset is correlated
over other pixels, which makes the surface rough."""

Posts = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def refined_matches(match: Match, windows: Windows, tile: Tile) -> tuple[Match, Array]:
    """Affine refinement of all matches, each with the template that found it.

    Parameters
    ----------
    match : Match
        Of the posts of `tile`.
    windows : Windows
        The prepared images.
    tile : Tile
        The posts.

    Returns
    -------
    match : Match
        Where the refinement converged with its displacement, covariance and correlation;
        elsewhere as it was.
    gradients : numpy.ndarray
        (8, posts_y, posts_x): dx_dx, dx_dy, dy_dx, dy_dy along the image's axes, then their
        errors; NaN where the refinement did not converge.
    """
    gradients = np.full((8, *match.dx.shape), np.nan, np.float32)
    for template, wanted in _by_template(match, windows):
        posts, rows, columns = _inside(windows, tile, template)
        found = _refine(match, wanted, windows, posts, rows, columns, template, "affine")
        found = correct_curvature(found, rows, columns, template)
        match = _merged(match, found, posts)
        good = found.status == Status.OK
        block = np.stack(
            [
                found.dx_dx, found.dx_dy, found.dy_dx, found.dy_dy,
                found.dx_dx_error, found.dx_dy_error, found.dy_dx_error, found.dy_dy_error,
            ]
        )  # fmt: skip
        for plane, values in zip(gradients, block, strict=True):
            inner = np.ix_(*posts)
            plane[inner] = np.where(good, values, plane[inner])
    return match, gradients


def without_gaps(match: Match, windows: Windows, tile: Tile) -> Match:
    """Matches with missing pixels refined (translation alone), the others as they are."""
    if windows.reference.valid.all() and windows.secondary.valid.all():
        return match
    for template, wanted in _by_template(match, windows):
        posts, rows, columns = _inside(windows, tile, template)
        chosen = np.zeros(wanted.shape, bool)
        inner = np.ix_(*posts)
        shares = (
            match.share[inner],
            _matched_share(match, windows, posts, rows, columns, template),
        )
        chosen[inner] = wanted[inner] & (np.minimum(*shares) < GAPS)
        if chosen.any():
            found = _refine(match, chosen, windows, posts, rows, columns, template, "shift")
            match = _merged(match, found, posts)
    return match


def _matched_share(
    match: Match, windows: Windows, posts: Posts, rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64], template: tuple[int, int],
) -> Array:  # fmt: skip
    """Share of the secondary's pixels that are valid where each template was found."""
    from glaciertoolkit.tracking.kernels.statistics import window_counts

    a, b = windows.reference, windows.secondary
    inner = np.ix_(*posts)
    if b.valid.all():
        return np.ones(match.dx[inner].shape, np.float32)
    counts = window_counts(b.valid, *template)
    down, right = (
        np.rint(np.nan_to_num(moved[inner])).astype(np.int64) for moved in (match.dy, match.dx)
    )
    y = np.clip(rows[:, None] + a.y - b.y + down, 0, counts.shape[0] - 1)
    x = np.clip(columns[None, :] + a.x - b.x + right, 0, counts.shape[1] - 1)
    return np.asarray(counts[y, x] / np.float32(template[0] * template[1]), np.float32)


def _by_template(
    match: Match, windows: Windows
) -> Iterator[tuple[tuple[int, int], npt.NDArray[np.bool_]]]:
    """Each template size, and the posts that have a match with it."""
    for template in windows.parameters.templates:
        wanted = (match.size == max(template)) & ~match.lost
        if wanted.any():
            yield template, wanted


def _inside(
    windows: Windows, tile: Tile, template: tuple[int, int]
) -> tuple[Posts, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of posts whose template lies in the window, and its first pixels there."""
    p, layer = windows.parameters, windows.reference
    kept, starts = [], []
    corner = windows.first_pixel(tile, template)
    for count, origin, axis in ((tile.shape[0], layer.y, 0), (tile.shape[1], layer.x, 1)):
        start = corner[axis] + np.arange(count) * p.step[axis] - origin
        good = (start >= 0) & (start + template[axis] <= layer.valid.shape[axis])
        kept.append(np.flatnonzero(good))
        starts.append(start[good])
    return (kept[0], kept[1]), starts[0], starts[1]


def _refine(
    match: Match, wanted: npt.NDArray[np.bool_], windows: Windows, posts: Posts,
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], template: tuple[int, int],
    mode: Literal["affine", "shift"],
) -> Refined:  # fmt: skip
    a, b = windows.reference, windows.secondary
    inner = np.ix_(*posts)
    skip = ~wanted[inner]
    # Holes cost least in the image from which the templates come.
    swap = mode == "shift" and a.valid.mean() > b.valid.mean()
    return refine(
        a.planes[0], a.valid, b.planes[0], b.valid,
        rows=rows, columns=columns, template=template,
        dy=np.where(skip, np.float32(np.nan), match.dy[inner]),
        dx=np.where(skip, np.float32(np.nan), match.dx[inner]),
        origin=(a.y - b.y, a.x - b.x), mode=mode, swap=swap,
        min_share=windows.parameters.min_valid,
    )  # fmt: skip


def _merged(match: Match, found: Refined, posts: Posts) -> Match:
    """The match with what was refined put in its place."""
    inner = np.ix_(*posts)
    good = found.status == Status.OK
    none = np.zeros_like(found.dx)
    fields = {
        "dx": found.dx, "dy": found.dy, "xx": found.dx_variance, "yy": found.dy_variance,
        "xy": found.covariance, "correlation": np.minimum(found.correlation, np.float32(1)),
        "smear_x": none, "smear_y": none,
    }  # fmt: skip
    changed = {}
    for name, values in fields.items():
        plane = getattr(match, name).copy()
        plane[inner] = np.where(good, values, plane[inner])
        changed[name] = plane
    return match._replace(**changed)
