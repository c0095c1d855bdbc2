"""Fitting the surface: robustly, jointly, and only as richly as the stable ground supports."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

from glaciertoolkit.correction.points import Points
from glaciertoolkit.correction.surface import (
    BASELINE,
    ELEVATION,
    RELIEF,
    Frame,
    Surface,
    polynomial_terms,
)
from glaciertoolkit.errors import GlacierToolkitWarning, StableTerrainError
from glaciertoolkit.robust import regress

POINTS_PER_TERM = 10
LEVERAGE_LIMIT = 1.0
"""Largest standard error of the surface, in units of the scatter of one point."""
LEAST_RELIEF = 150.0
LARGEST_R2 = 0.9
INSEPARABLE_R2 = 0.995


def fit_terms(points: Points, terms: tuple[str, ...], frame: Frame) -> Surface:
    """Robust fit of both components to the given terms."""
    design = frame.design(terms, points.x, points.y, points.h)
    fits = [regress(design, points.d[:, k]) for k in range(2)]
    return Surface(
        terms=terms,
        frame=frame,
        coefficients=np.stack([f.coefficients for f in fits]),
        covariance=np.stack([f.covariance for f in fits]),
        scale=np.array([f.scale for f in fits]),
        points=len(points),
        inliers=np.array([f.inliers.mean() for f in fits]),
    )


def fit_surface(
    points: Points,
    ds: xr.Dataset,
    *,
    order: int | None,
    elevation: xr.DataArray | None,
    relief: tuple[str, ...] = (ELEVATION,),
    sine: tuple[float, ...] = (),
) -> Surface:
    """The richest surface up to `order` (and a term of elevation) that the points support.

    Parameters
    ----------
    points : Points
        Independent stable points.
    ds : xarray.Dataset
        The posts where the surface will be applied.
    order : int or None
        Wanted degree of the polynomial; None for a constant that serves the elevation term only.
    elevation : xarray.DataArray or None
        Elevation at the posts; None leaves the topographic terms out.
    relief : tuple of str
        The topographic terms: "elevation", or those of a baseline.
    sine : tuple of float
        See `Frame`; needed for the terms of a baseline.

    Returns
    -------
    Surface
        Its `messages` say what was reduced and why; each was also given as a warning.

    Raises
    ------
    StableTerrainError
        With fewer than three points.
    """
    if len(points) < 3:
        raise StableTerrainError(
            f"only {len(points)} independent stable points (one a template) are left, at least 3 "
            f"are needed for a constant; give more stable ground or a smaller template."
        )
    frame = Frame.of(ds, float(points.h.mean()), sine)
    relief = relief if elevation is not None else ()
    messages = list(_elevation_messages(points, frame, order)) if relief else []
    wanted = polynomial_terms(order or 0) + relief
    reason = ""
    for terms in _candidates(order or 0, relief):
        reason_now = _objection(points, terms, frame, ds, elevation)
        if reason_now is None or terms == ("1",):
            if terms != wanted:
                messages.append(_reduction(wanted, terms, reason))
            if reason_now is not None:
                messages.append(f"even a constant offset is poorly known: {reason_now}.")
            break
        reason = reason or reason_now
    for message in messages:
        warnings.warn(message, GlacierToolkitWarning, stacklevel=3)
    return replace(fit_terms(points, terms, frame), messages=tuple(messages))


def _candidates(order: int, relief: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for terms in ((relief, relief[:1]) if len(relief) > 1 else (relief,)) if relief else ():
        for degree in range(order, min(order, 1) - 1, -1):
            yield (*polynomial_terms(degree), *terms)
    for degree in range(order, -1, -1):
        yield polynomial_terms(degree)


def _reduction(wanted: tuple[str, ...], terms: tuple[str, ...], reason: str) -> str:
    def words(found: tuple[str, ...]) -> str:
        relief = [t for t in found if t in RELIEF]
        degree = {1: 0, 3: 1, 6: 2, 10: 3}[len(found) - len(relief)]
        if len(relief) == 1 and relief[0] == BASELINE[0]:
            return f"order {degree} with a constant baseline"
        return f"order {degree} {'with' if relief else 'without'} topography"

    return f"the correction was reduced from {words(wanted)} to {words(terms)}: {reason}."


def _objection(
    points: Points,
    terms: tuple[str, ...],
    frame: Frame,
    ds: xr.Dataset,
    elevation: xr.DataArray | None,
) -> str | None:
    """Why the points do not support these terms, or None."""
    needed = POINTS_PER_TERM * len(terms)
    if len(points) < needed:
        return (
            f"{len(points)} independent stable points are fewer than the {needed} that "
            f"{len(terms)} coefficients need"
        )
    design = frame.design(terms, points.x, points.y, points.h)
    position = tuple(t for t in terms if t not in RELIEF)
    if len(position) < len(terms) and _explained(points, frame, position) > INSEPARABLE_R2:
        return "on the stable ground elevation is a function of position"
    if np.linalg.matrix_rank(design) < len(terms):
        return "the stable points do not determine all coefficients"
    worst = _leverage(design, _targets(ds, terms, frame, elevation))
    if worst > LEVERAGE_LIMIT:
        return (
            f"over the scene the surface would be up to {worst:.1f} times less certain than one "
            f"point, because the stable ground covers too little of it"
        )
    return None


def _targets(
    ds: xr.Dataset, terms: tuple[str, ...], frame: Frame, elevation: xr.DataArray | None
) -> np.ndarray:
    """Design rows of a few thousand posts over the scene that have a displacement to correct."""
    every = {k: max(1, ds.sizes[k] // 64) for k in ("y", "x")}
    pick = {k: slice(n // 2, None, n) for k, n in every.items()}
    part = ds["dx"].isel(pick)
    y, x = np.meshgrid(part["y"].values, part["x"].values, indexing="ij")
    valid = np.isfinite(part.values)
    h = np.zeros(valid.shape)
    if elevation is not None:
        h = np.asarray(elevation.isel(pick).values, float)
        valid &= np.isfinite(h)
    return frame.design(terms, x[valid], y[valid], h[valid])


def _leverage(design: np.ndarray, targets: np.ndarray) -> float:
    """95th percentile over the targets of the surface's standard error per unit scatter."""
    if targets.size == 0:
        return 0.0
    inverse = np.linalg.pinv(design.T @ design)
    variance = np.einsum("ij,jk,ik->i", targets, inverse, targets)
    return float(np.sqrt(np.percentile(variance, 95)))


def _elevation_messages(points: Points, frame: Frame, order: int | None) -> Iterator[str]:
    """Warnings about how well the topographic term can be told from the polynomial."""
    spread = float(points.h.std())
    if spread < LEAST_RELIEF:
        yield (
            f"the stable ground spans little elevation (standard deviation {spread:.0f} m, "
            f"{LEAST_RELIEF:.0f} m or more make a sound topographic term)"
        )
    r2 = _explained(points, frame, polynomial_terms(order or 0))
    if r2 > LARGEST_R2:
        yield (
            f"elevation and position are hard to tell apart on the stable ground "
            f"(R2 = {r2:.2f}): the topographic and the global term share their signal"
        )


def _explained(points: Points, frame: Frame, terms: tuple[str, ...]) -> float:
    """Share of the variance of the points' elevation that the polynomial explains."""
    spread = float(points.h.std())
    if spread == 0:
        return 1.0
    if len(points) <= len(terms):
        return 0.0
    design = frame.design(terms, points.x, points.y, points.h)
    left = points.h - design @ np.linalg.lstsq(design, points.h, rcond=None)[0]
    return 1 - float(left.var()) / spread**2
