"""Fitting the surface: robustly, jointly, and only as richly as the stable ground supports."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from glaciertoolkit.correction.points import Points, Targets
from glaciertoolkit.correction.spline import CENTRES, POINTS, SplineFit, fit_spline, spread
from glaciertoolkit.correction.surface import Estimator, Frame, Surface
from glaciertoolkit.correction.terms import (
    BASELINE,
    ELEVATION,
    ELEVATION_SQUARED,
    RELIEF,
    SLOPES,
    SPLINE,
    TPS,
    Order,
    basis_of,
    polynomial_terms,
)
from glaciertoolkit.errors import GlacierToolkitWarning, StableTerrainError
from glaciertoolkit.robust import TUKEY_C, Regression, nmad, regress

_ONE_FIT = threading.RLock()
POINTS_PER_TERM = 10
LEVERAGE_LIMIT = 1.0
"""Largest standard error of the surface, in units of the scatter of one point."""
LEAST_RELIEF = 150.0
LARGEST_R2 = 0.9
INSEPARABLE_R2 = 0.995


LADDERS: dict[Order, tuple[Order, ...]] = {
    TPS: (TPS, 2, 1, 0), 3: (3, 2, 1, 0), 2: (2, 1, 0), "bilinear": ("bilinear", 1, 0),
    1: (1, 0), 0: (0,),
}  # fmt: skip
"""What takes the place of a surface that the stable ground does not support."""


@dataclass(frozen=True)
class Wanted:
    """The surface that was asked for: order (None: a constant for the relief only), and terms."""

    order: Order | None
    relief: tuple[str, ...] = (ELEVATION,)
    sine: tuple[float, ...] = ()
    estimator: Estimator = field(default_factory=Estimator)

    def frame(self, points: Points, targets: Targets, ds: xr.Dataset) -> Frame:
        """The frame of the posts, with centres where a spline is wanted.

        Centres lie over the whole scene: without some where there are no points, the spline would
        not know there how little it knows.
        """
        frame = Frame.of(ds, float(points.h.mean()), self.sine)
        if self.order != TPS:
            return frame
        x, y = np.concatenate([points.x, targets.x]), np.concatenate([points.y, targets.y])
        k = spread(x, y, CENTRES)
        return replace(frame, centres=np.column_stack([x[k], y[k]]))


def fit_terms(
    points: Points, terms: tuple[str, ...], frame: Frame, estimator: Estimator
) -> Surface:
    """Robust fit of both components to the given terms."""
    from threadpoolctl import threadpool_limits

    # Small matrices: threads of BLAS wait for each other, and how many there are changes the bits.
    # That number is one for the whole process: of two fits at once the first to end would set it
    # back under the other.
    with _ONE_FIT, threadpool_limits(limits=1, user_api="blas"):
        return _fit_terms(points, terms, frame, estimator)


def _fit_terms(
    points: Points, terms: tuple[str, ...], frame: Frame, estimator: Estimator
) -> Surface:
    relief = tuple(t for t in terms if t in RELIEF)
    position = tuple(t for t in terms if t not in RELIEF)
    if estimator.sequential and relief and position != ("1",):
        return _in_turn(points, position, relief, frame, replace(estimator, sequential=False))
    if basis_of(terms) == TPS:
        return _fit_spline(points, terms, frame, estimator)
    design = frame.design(terms, points.x, points.y, points.terrain)
    fits = [
        regress(design, points.d[:, k], loss=estimator.loss, sigma=_sigma(points, k, estimator))
        for k in range(2)
    ]
    return _surface(points, terms, frame, estimator, fits)


def _sigma(points: Points, component: int, estimator: Estimator) -> np.ndarray | None:
    """Errors for the weights; where tracking states none, the median of the others."""
    if not estimator.weighted:
        return None
    error = points.error[:, component]
    known = np.isfinite(error) & (error > 0)
    return np.where(known, error, np.median(error[known])) if known.any() else None


def _surface(
    points: Points, terms: tuple[str, ...], frame: Frame, estimator: Estimator,
    fits: Sequence[Regression | SplineFit],
) -> Surface:  # fmt: skip
    inside = [np.abs(f.residuals) < TUKEY_C * f.scale for f in fits]
    return Surface(
        terms=terms,
        frame=frame,
        coefficients=np.stack([f.coefficients for f in fits]),
        covariance=np.stack([f.covariance for f in fits]),
        scale=np.array([f.scale for f in fits]),
        points=len(points),
        inliers=np.array([i.mean() for i in inside]),
        rms=np.array(
            [np.sqrt((f.residuals[i] ** 2).mean()) for f, i in zip(fits, inside, strict=True)]
        ),
        nmad=np.array([nmad(f.residuals) for f in fits]),
        estimator=estimator,
    )


def _fit_spline(
    points: Points, terms: tuple[str, ...], frame: Frame, estimator: Estimator
) -> Surface:
    relief = tuple(t for t in terms if t in RELIEF)
    few = points.where(spread(points.x, points.y, POINTS))
    cx, cy = frame.centres.T
    radial = frame.terms(TPS)[3:]
    start = frame.design((*_start(few, relief), *relief), few.x, few.y, few.terrain)
    fits = [
        fit_spline(
            start,
            frame.design((*polynomial_terms(1), *relief), few.x, few.y, few.terrain),
            frame.design(radial, few.x, few.y, {}),
            frame.design(radial, cx, cy, {}),
            frame.design(polynomial_terms(1), cx, cy, {}),
            few.d[:, k],
            loss=estimator.loss,
            sigma=_sigma(few, k, estimator),
        )
        for k in range(2)
    ]
    return replace(
        _surface(few, terms, frame, estimator, fits),
        effective=np.array([f.effective for f in fits]),
        smoothing=np.array([f.smoothing for f in fits]),
    )


def _start(points: Points, relief: tuple[str, ...], *, most: int = 3) -> tuple[str, ...]:
    """The richest polynomial, up to degree `most`, that there are points enough for."""
    for order in range(most, 0, -1):
        terms = polynomial_terms(order)
        if len(points) >= POINTS_PER_TERM * (len(terms) + len(relief)):
            return terms
    return ("1",)


def _in_turn(
    points: Points, position: tuple[str, ...], relief: tuple[str, ...], frame: Frame,
    estimator: Estimator,
) -> Surface:  # fmt: skip
    """Position first, then the terrain in what is left: the order its authors describe.

    The constant of the second fit joins the first; the covariance of the two is not known.
    """
    first = fit_terms(points, position, frame, estimator)
    left = points.d - first.at(points)
    second = fit_terms(replace(points, d=left), ("1", *relief), frame, estimator)
    n, q = len(position), len(relief)
    coefficients = np.hstack([first.coefficients, second.coefficients[:, 1:]])
    coefficients[:, 0] += second.coefficients[:, 0]
    covariance = np.zeros((2, n + q, n + q))
    covariance[:, :n, :n] = first.covariance
    covariance[:, n:, n:] = second.covariance[:, 1:, 1:]
    covariance[:, 0, 0] += second.covariance[:, 0, 0]
    return replace(
        second,
        terms=(*position, *relief),
        coefficients=coefficients,
        covariance=covariance,
        estimator=replace(estimator, sequential=True),
        effective=first.effective,
        smoothing=first.smoothing,
    )


def fit_surface(points: Points, targets: Targets, ds: xr.Dataset, wanted: Wanted) -> Surface:
    """The richest surface up to what is wanted that the points support.

    Parameters
    ----------
    points : Points
        Independent stable points.
    targets : Targets
        Posts over the scene, where the surface will be applied.
    ds : xarray.Dataset
        The posts.
    wanted : Wanted

    Returns
    -------
    Surface
        Its `messages` say what was reduced and why; each was also given as a warning.

    Raises
    ------
    StableTerrainError
        With fewer than three points.
    """
    require_points(points)
    frame = wanted.frame(points, targets, ds)
    messages = list(_elevation_messages(points, frame, wanted)) if wanted.relief else []
    full = (*frame.terms(wanted.order or 0), *wanted.relief)
    reason = ""
    for terms in _candidates(frame, wanted):
        reason_now, surface = judged(points, targets, terms, frame, wanted.estimator)
        if reason_now is None or terms == ("1",):
            if terms != full:
                messages.append(_reduction(full, terms, reason))
            if reason_now is not None:
                messages.append(f"even a constant offset is poorly known: {reason_now}.")
            break
        reason = reason or reason_now
    for message in messages:
        warnings.warn(message, GlacierToolkitWarning, stacklevel=3)
    surface = surface or fit_terms(points, terms, frame, wanted.estimator)
    extra = _identifiability(points, frame, surface) if surface.relief else {}
    return replace(surface, messages=tuple(messages), extra=extra)


def require_points(points: Points) -> None:
    """Raise `StableTerrainError` where there are too few for anything."""
    if len(points) < 3:
        raise StableTerrainError(
            f"only {len(points)} independent stable points (one a template) are left, at least 3 "
            f"are needed for a constant; give more stable ground or a smaller template."
        )


def _candidates(frame: Frame, wanted: Wanted) -> Iterator[tuple[str, ...]]:
    """What is tried in turn: simpler surfaces with the relief, then without it."""
    ladder = LADDERS[wanted.order or 0]
    relief = wanted.relief
    for terms in ((relief, relief[:1]) if len(relief) > 1 else (relief,)) if relief else ():
        for order in ladder:
            # A constant alone would leave all of a ramp to the elevation.
            if order != 0 or ladder == (0,):
                yield (*frame.terms(order), *terms)
    for order in ladder:
        yield frame.terms(order)


def _reduction(wanted: tuple[str, ...], terms: tuple[str, ...], reason: str) -> str:
    return f"the correction was reduced from {in_words(wanted)} to {in_words(terms)}: {reason}."


def in_words(terms: tuple[str, ...]) -> str:
    """What a list of terms is called."""
    basis = basis_of(terms)
    surface = {"bilinear": "a bilinear surface", TPS: "a thin-plate spline"}.get(
        str(basis), f"order {basis}"
    )
    relief = [t for t in terms if t in RELIEF]
    if not relief:
        return f"{surface} without topography"
    kinds = [
        word
        for term, word in (
            (BASELINE[1], "a baseline that varies"),
            (BASELINE[0], "a constant baseline"),
            (ELEVATION_SQUARED, "quadratic topography"),
            (ELEVATION, "topography"),
        )
        if term in relief
    ][:1] or ["topography"]
    return f"{surface} with {kinds[0]}{' and slope' if SLOPES[0] in relief else ''}"


def judged(
    points: Points, targets: Targets, terms: tuple[str, ...], frame: Frame, estimator: Estimator
) -> tuple[str | None, Surface | None]:
    """Why the points do not support these terms, or None; and the fit where it took one to say."""
    doubt = _undetermined(points, terms, frame)
    if doubt:
        return doubt, None
    at = frame.design(terms, targets.x, targets.y, targets.terrain)
    if basis_of(terms) != TPS:
        design = frame.design(terms, points.x, points.y, points.terrain)
        return _overreach(_leverage(np.linalg.pinv(design.T @ design), at)), None
    # How far a spline reaches depends on how much it was smoothed. Its error counts all that it
    # might do between the points; what else could be had there is the misfit of a polynomial.
    fitted = fit_terms(points, terms, frame, estimator)
    relief = tuple(t for t in terms if t in RELIEF)
    plain = fit_terms(points, (*_start(points, relief, most=2), *relief), frame, estimator)
    limit = np.maximum(fitted.scale, plain.scale)
    worst = [_leverage(c / m**2, at) for c, m in zip(fitted.covariance, limit, strict=True)]
    return _overreach(max(worst)), fitted


def _undetermined(points: Points, terms: tuple[str, ...], frame: Frame) -> str | None:
    """Whether the points fix every coefficient that nothing else holds."""
    # A spline bends only as far as its points pay for.
    free = tuple(t for t in terms if not t.startswith(SPLINE))
    needed = POINTS_PER_TERM * len(free)
    if len(points) < needed:
        return (
            f"{len(points)} independent stable points are fewer than the {needed} that "
            f"{len(free)} coefficients need"
        )
    position = tuple(t for t in free if t not in RELIEF)
    if len(position) < len(free) and _explained(points, frame, position) > INSEPARABLE_R2:
        return "on the stable ground elevation is a function of position"
    design = frame.design(free, points.x, points.y, points.terrain)
    if np.linalg.matrix_rank(design) < len(free):
        return "the stable points do not determine all coefficients"
    return None


def _overreach(worst: float) -> str | None:
    """Whether the surface is less certain over the scene than a single point is."""
    if worst <= LEVERAGE_LIMIT:
        return None
    return (
        f"over the scene the surface would be up to {worst:.1f} times less certain than one "
        f"point, because the stable ground covers too little of it"
    )


def _leverage(inverse: np.ndarray, targets: np.ndarray) -> float:
    """95th percentile over the targets of the surface's standard error per unit scatter."""
    if targets.size == 0:
        return 0.0
    variance = np.einsum("ij,ij->i", targets @ inverse, targets)
    return float(np.sqrt(np.percentile(np.maximum(variance, 0), 95)))


def _identifiability(points: Points, frame: Frame, surface: Surface) -> dict[str, object]:
    """How well the topographic term can be told from the terms of position."""
    position = surface.polynomial
    if surface.basis == TPS:
        # As far as a spline can bend: what elevation shares with that is shared with it.
        position = polynomial_terms(3)
    return {
        "topography_height_spread": (
            (),
            float(points.h.std()),
            {"units": "m", "long_name": "standard deviation of elevation over the stable points"},
        ),
        "topography_r2": (
            (),
            _explained(points, frame, position),
            {"units": "1", "long_name": "share of their elevation that position explains"},
        ),
    }


def _elevation_messages(points: Points, frame: Frame, wanted: Wanted) -> Iterator[str]:
    """Warnings about how well the topographic term can be told from the polynomial."""
    spread = float(points.h.std())
    if spread < LEAST_RELIEF:
        yield (
            f"the stable ground spans little elevation (standard deviation {spread:.0f} m, "
            f"{LEAST_RELIEF:.0f} m or more make a sound topographic term)"
        )
    order = wanted.order or 0
    r2 = _explained(points, frame, polynomial_terms(3 if order == TPS else order))
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
    design = frame.design(terms, points.x, points.y, points.terrain)
    left = points.h - design @ np.linalg.lstsq(design, points.h, rcond=None)[0]
    return 1 - float(left.var()) / spread**2
