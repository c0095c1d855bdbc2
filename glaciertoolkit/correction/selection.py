"""Which surface: the simplest of those that predict ground they have not seen equally well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.correction.fit import Wanted, fit_surface, fit_terms, judged, require_points
from glaciertoolkit.correction.points import FOLDS, Points, Targets
from glaciertoolkit.correction.spline import spread
from glaciertoolkit.correction.surface import Frame, Surface
from glaciertoolkit.correction.terms import AUTO, BASES, TPS
from glaciertoolkit.robust import NMAD_FACTOR, TUKEY_C

Array = npt.NDArray[np.float64]

MOST_POINTS = 3000
"""Points that cross-validation uses, at most: enough to tell surfaces apart."""


@dataclass(frozen=True)
class Candidate:
    """A surface that may be chosen, and how far it is from the ground that it did not see."""

    wanted: Wanted
    frame: Frame
    residual: Array

    @property
    def terms(self) -> tuple[str, ...]:
        """Its terms."""
        return (*self.frame.terms(self.wanted.order or 0), *self.wanted.relief)

    @property
    def name(self) -> str:
        """What it is called in `deformation_cv`."""
        return f"{self.wanted.order}{' + topography' if self.wanted.relief else ''}"


def fit_wanted(points: Points, targets: Targets, ds: xr.Dataset, wanted: Wanted) -> Surface:
    """As `fit.fit_surface`, where the order may be left to cross-validation ("auto")."""
    if wanted.order != AUTO:
        return fit_surface(points, targets, ds, wanted)
    chosen, scores = choose(points, targets, ds, wanted)
    surface = fit_surface(points, targets, ds, chosen)
    return replace(surface, extra={**surface.extra, **scores})


def choose(
    points: Points, targets: Targets, ds: xr.Dataset, wanted: Wanted
) -> tuple[Wanted, dict[str, Any]]:
    """The surface that cross-validation finds, with and without the terms of relief in `wanted`.

    Parameters
    ----------
    points, targets, ds, wanted
        See `fit.fit_surface`; the order is what is looked for.

    Returns
    -------
    wanted : Wanted
    variables : dict
        The scores, ready for `Dataset.assign`.

    Notes
    -----
    Each fold of stable ground is predicted by the fit to the others. The loss is the squared
    residual in units of the scatter, bounded where Tukey's bisquare is, and left out at points
    that contradict every surface. The surface with the fewest terms is taken whose mean loss
    exceeds the least by no more than one standard error of the difference, which is estimated
    between blocks of ground: within a block residuals depend on each other. Surfaces that the
    coverage of the ground does not support (`fit.judged`) take no part.

    References
    ----------
    Roberts et al. (2017), Cross-validation strategies for data with temporal, spatial,
    hierarchical, or phylogenetic structure, Ecography 40. Breiman et al. (1984), Classification
    and Regression Trees, on the rule of one standard error.
    """
    require_points(points)
    few = points.where(spread(points.x, points.y, MOST_POINTS))
    if np.unique(few.fold).size < 2:
        few = replace(few, fold=(few.block % FOLDS).astype(np.int8))
    candidates = [c for c in _supported(few, targets, ds, wanted) if np.isfinite(c.residual).all()]
    if not candidates:
        return replace(wanted, order=0, relief=()), {}
    loss, scale = _losses(candidates)
    mean = loss.mean(axis=1)
    best = int(np.argmin(mean))
    errors = np.array([_standard_error(one - loss[best], few.block) for one in loss])
    chosen = int(np.flatnonzero(mean <= mean[best] + errors)[0])
    metres = float(np.sqrt((scale**2).mean()))
    variables = {
        "cv_model": ("cv_model", [c.name for c in candidates]),
        "deformation_cv": (
            "cv_model",
            metres * np.sqrt(mean),
            {"units": "m", "long_name": "bounded rms residual of ground the surface did not see"},
        ),
        "deformation_cv_excess": (
            "cv_model",
            mean - mean[best],
            {"units": "1", "long_name": "mean loss above that of the best surface"},
        ),
        "deformation_cv_excess_error": (
            "cv_model",
            errors,
            {"units": "1", "long_name": "1-sigma error of the excess, between blocks of ground"},
        ),
    }
    return candidates[chosen].wanted, variables


def _supported(points: Points, targets: Targets, ds: xr.Dataset, wanted: Wanted) -> list[Candidate]:
    """What the ground supports, the simplest first, each with its residuals on unseen ground."""
    found = []
    for order in BASES:
        for relief in ((), wanted.relief) if wanted.relief else ((),):
            one = replace(wanted, order=order, relief=relief)
            frame = one.frame(points, targets, ds)
            candidate = Candidate(one, frame, np.full(points.d.shape, np.nan))
            doubt, _ = judged(points, targets, candidate.terms, frame, one.estimator)
            if doubt is None or candidate.terms == ("1",):
                found.append(replace(candidate, residual=_unseen(points, candidate)))
    return sorted(found, key=lambda c: (c.wanted.order == TPS, len(c.terms)))


def _unseen(points: Points, candidate: Candidate) -> Array:
    """Residuals of each fold under the fit to the others; NaN where those are too few."""
    out = np.full(points.d.shape, np.nan)
    smooth = candidate.wanted.order == TPS
    needed = 2 * (3 + len(candidate.wanted.relief) if smooth else len(candidate.terms))
    for fold in np.unique(points.fold):
        here = points.fold == fold
        rest = points.where(~here)
        if len(rest) >= needed:
            seen = fit_terms(rest, candidate.terms, candidate.frame, candidate.wanted.estimator)
            out[here] = points.d[here] - seen.at(points.where(here))
    return out


def _losses(candidates: list[Candidate]) -> tuple[Array, Array]:
    """Loss (candidate, point), and the scatter of the best fit in each component."""
    residual = np.stack([c.residual for c in candidates])
    scale = NMAD_FACTOR * np.median(np.abs(residual), axis=1).min(axis=0)
    square = np.minimum((residual / np.maximum(scale, 1e-12)) ** 2, TUKEY_C**2)
    # Wrong under every surface: noise, which says nothing about any of them.
    informative = (square < TUKEY_C**2).any(axis=0)
    square = np.where(informative, square, 0.0)
    return square.mean(axis=2) * informative.size / max(informative.sum(), 1), scale


def _standard_error(difference: Array, block: npt.NDArray[np.int32]) -> float:
    """Of the mean of a difference that is alike within blocks."""
    _, index = np.unique(block, return_inverse=True)
    blocks = int(index.max()) + 1
    if blocks < 2:
        return 0.0
    total = np.bincount(index, difference - difference.mean())
    return float(np.sqrt((total**2).sum() * blocks / (blocks - 1)) / difference.size)
