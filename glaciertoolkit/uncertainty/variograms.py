"""How far errors are alike: empirical variograms, and the models that describe them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import grid_spacing
from glaciertoolkit.robust import NMAD_FACTOR

Array = npt.NDArray[np.float64]

LAGS = 24
PAIRS = 10_000
"""Pairs of posts a lag, whose semivariance is then good to about 2 %."""
LEAST_PAIRS = 50
TRIES = 4
"""Pairs that are drawn for one that is wanted: both ends must have a value."""
SEED = 20190903
MIDDLE = 0.6934
"""Mean of the middle half of the absolute values of a standard Gaussian."""
RELATIVE_ERROR = 2.0
"""Of a semivariance of Gaussian differences, times the root of their number."""
LEAST_GAIN = 10.0
"""By how much a further structure must lower the information criterion (BIC) to be believed."""


def _spherical(h: Array, reach: float) -> Array:
    u = np.minimum(h / reach, 1.0)
    return np.asarray(1.5 * u - 0.5 * u**3)


def _gaussian(h: Array, reach: float) -> Array:
    return np.asarray(1 - np.exp(-4 * (h / reach) ** 2))


def _exponential(h: Array, reach: float) -> Array:
    return np.asarray(1 - np.exp(-3 * h / reach))


SHAPES: dict[str, Callable[[Array, float], Array]] = {
    "spherical": _spherical,
    "gaussian": _gaussian,
    "exponential": _exponential,
}
"""Rise from 0 to 1; at the range a spherical one has reached 1, a Gaussian 0.98, an exponential
one 0.95."""


class Structure(NamedTuple):
    """One part of a variogram: its shape, its sill (variance) and its range, m."""

    shape: str
    sill: float
    reach: float


@dataclass(frozen=True)
class Variogram:
    """A model of how errors differ with distance: a nugget and up to two structures.

    `nugget` and the sills are variances, in the squared unit of the errors.
    """

    structures: tuple[Structure, ...]
    nugget: float = 0.0

    @property
    def sill(self) -> float:
        """Variance of one value."""
        return self.nugget + sum(s.sill for s in self.structures)

    @property
    def reach(self) -> float:
        """The longest range, m; 0 for errors that are all independent."""
        return max((s.reach for s in self.structures), default=0.0)

    def __call__(self, distance: npt.ArrayLike) -> Array:
        """Semivariance at a distance, m."""
        h = np.asarray(distance, float)
        total = np.where(h > 0, self.nugget, 0.0)
        for s in self.structures:
            total = total + s.sill * SHAPES[s.shape](h, s.reach)
        return np.asarray(total)

    def correlation(self, distance: npt.ArrayLike) -> Array:
        """Correlation of two values at a distance, m: 1 at zero, falling to 0."""
        if self.sill <= 0:
            return np.asarray(np.equal(distance, 0), float)
        return np.asarray(1 - self(distance) / self.sill)

    def __str__(self) -> str:
        parts = [f"{s.shape} {s.sill:.3g} over {s.reach:.0f} m" for s in self.structures]
        nugget = [f"nugget {self.nugget:.3g}"] if self.nugget > 0 or not parts else []
        return " + ".join([*nugget, *parts])


class Lags(NamedTuple):
    """An empirical variogram: mean distance (m), semivariance and number of pairs of each lag."""

    distance: Array
    semivariance: Array
    pairs: npt.NDArray[np.int64]


def empirical_variogram(
    values: npt.ArrayLike, spacing: tuple[float, float], *, lags: int = LAGS, pairs: int = PAIRS,
    longest: float | None = None,
) -> Lags:  # fmt: skip
    """Robust semivariance of a field on a regular grid, all directions together.

    Parameters
    ----------
    values : array_like
        2-D; NaN where there is no value.
    spacing : (float, float)
        Metres between rows and between columns.
    lags : int
        Classes of distance, evenly spaced in its logarithm.
    pairs : int
        Pairs of posts drawn for each.
    longest : float, optional
        Longest distance, m; by default half the diagonal of the box around the values.

    Returns
    -------
    Lags
        Of those classes for which at least 50 pairs were found.

    Notes
    -----
    ``2 gamma = (m / 0.6934)^2``, with m the mean of the middle half of the absolute differences:
    as Dowd's estimator, ``2 gamma = 2.198 median(|dz|)^2``, but smooth where displacements are
    quantised, as those of many trackers are. A quarter of the differences may be wrong. The pairs
    are drawn with a fixed seed: a random direction, a distance within the class, a random first
    post. Every class has as many pairs, the shortest too, however large the field.

    References
    ----------
    Dowd, P. A. (1984), The variogram and kriging: robust and resistant estimators.
    """
    z = np.asarray(values, float)
    rows, cols = np.nonzero(np.isfinite(z))
    if rows.size < 2:
        return Lags(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    sy, sx = spacing
    tall, wide = np.ptp(rows) * sy, np.ptp(cols) * sx
    longest = float(np.hypot(tall, wide)) / 2 if longest is None else longest
    shortest = min(sy, sx) * 0.999
    edges = np.geomspace(shortest, max(longest, 2 * shortest), lags + 1)
    rng = np.random.default_rng(SEED)
    found = []
    for low, high in itertools.pairwise(edges):
        n = TRIES * pairs
        distance, angle = rng.uniform(low, high, n), rng.uniform(0, np.pi, n)
        first = rng.integers(rows.size, size=n)
        down = np.rint(distance * np.sin(angle) / sy).astype(np.int64)
        right = np.rint(distance * np.cos(angle) / sx).astype(np.int64)
        true = np.hypot(down * sy, right * sx)
        y, x = rows[first] + down, cols[first] + right
        inside = (y >= 0) & (y < z.shape[0]) & (x >= 0) & (x < z.shape[1])
        inside &= (true >= low) & (true < high)
        there = z[y[inside], x[inside]]
        difference = np.abs(there - z[rows[first[inside]], cols[first[inside]]])
        known = np.flatnonzero(np.isfinite(difference))[:pairs]
        if known.size >= LEAST_PAIRS:
            gamma = _semivariance(difference[known])
            found.append((float(true[inside][known].mean()), gamma, known.size))
    if not found:
        return Lags(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    d, g, n_pairs = (np.asarray(column) for column in zip(*found, strict=True))
    return Lags(d.astype(float), g.astype(float), n_pairs.astype(np.int64))


def _semivariance(difference: Array) -> float:
    """Half the variance of differences, from the mean of the middle half of their sizes."""
    ordered = np.sort(difference)
    quarter = ordered.size // 4
    middle = float(ordered[quarter : ordered.size - quarter].mean())
    return (middle / MIDDLE) ** 2 / 2


def fit_variogram(
    lags: Lags, *, variance: float, shapes: tuple[str, ...] = tuple(SHAPES),
    structures: int = 2, shortest: float = 0.0,
) -> Variogram:  # fmt: skip
    """The nested model that describes an empirical variogram best.

    Parameters
    ----------
    lags : Lags
        From `empirical_variogram`.
    variance : float
        Robust variance of the field; with fewer than four lags the model is this nugget alone.
    shapes : tuple of str
        Of "spherical", "gaussian", "exponential": those that are tried.
    structures : {1, 2}
        Most structures; a second is taken only where the data ask for it (BIC).
    shortest : float
        Shortest range, m: what the spacing of the posts can tell from a nugget.

    Returns
    -------
    Variogram

    Notes
    -----
    Least squares of ``log gamma`` (all lags have about as many pairs and so the same relative
    error), with positive nugget, sills and ranges. A range beyond the longest lag would only be
    a guess and is held there.

    Raises
    ------
    ParameterError
        For an unknown shape.
    """
    unknown = set(shapes) - set(SHAPES)
    if unknown or not shapes:
        raise ParameterError(f"shapes must be of {', '.join(SHAPES)}; got {shapes!r}.")
    good = lags.semivariance > 0
    h, gamma = lags.distance[good], lags.semivariance[good]
    if h.size < 4:
        return Variogram((), max(float(variance), 0.0))
    # What a semivariance of so many differences is uncertain by: no fit is better than that.
    noise = float(np.mean(RELATIVE_ERROR**2 / lags.pairs[good]))
    chosen: tuple[float, float, Variogram] | None = None
    for count in range(structures + 1):
        if chosen is not None and chosen[1] < 2 * noise:
            break
        leader: tuple[float, float, Variogram] | None = None
        for kinds in _nestings(shapes, count):
            for model, misfit in _fits(h, gamma, kinds, max(shortest, 1e-6 * h[-1])):
                terms = (1 + 2 * count) * np.log(h.size)
                score = float(h.size * np.log(max(misfit, noise)) + terms)
                if leader is None or score < leader[0]:
                    leader = (score, misfit, model)
        if leader is not None and (chosen is None or leader[0] < chosen[0] - LEAST_GAIN):
            chosen = leader
    assert chosen is not None
    return chosen[2]


def _nestings(shapes: tuple[str, ...], count: int) -> Iterator[tuple[str, ...]]:
    """Shapes of each structure, the shortest range first.

    Of two, the longer is of the first shape: there the data say little about the form.
    """
    if count < 2:
        yield from itertools.product(shapes, repeat=count)
        return
    yield from ((*first, shapes[0]) for first in itertools.product(shapes, repeat=count - 1))


def _fits(
    h: Array, gamma: Array, kinds: tuple[str, ...], shortest: float
) -> Iterator[tuple[Variogram, float]]:
    """Models of these kinds with their mean square of log misfit, from several starts."""
    from scipy.optimize import least_squares

    level = float(np.median(gamma[h > np.median(h)]))
    longest = float(h[-1])
    floor = 1e-6 * level

    def model(parameters: Array) -> Variogram:
        p = np.exp(parameters)
        parts = [Structure(k, p[1 + 2 * i], p[2 + 2 * i]) for i, k in enumerate(kinds)]
        return Variogram(tuple(sorted(parts, key=lambda s: s.reach)), p[0])

    def misfit(parameters: Array) -> Array:
        return np.asarray(np.log(model(parameters)(h)) - np.log(gamma))

    low = np.log([floor] + [floor, shortest] * len(kinds))
    high = np.log([4 * gamma.max()] + [4 * gamma.max(), max(longest, 1.01 * shortest)] * len(kinds))
    quantiles: dict[int, list[tuple[float, ...]]] = {
        0: [()],
        1: [(0.2,), (0.5,), (0.8,)],
        2: [(0.2, 0.6), (0.35, 0.9)],
    }
    for start in quantiles[len(kinds)]:
        reaches = [float(np.quantile(h, q)) for q in start]
        first = [level / 20]
        for reach in reaches:
            first += [level / len(kinds), reach]
        x0 = np.clip(np.log(first), low + 1e-6, high - 1e-6)
        done = least_squares(misfit, x0, bounds=(low, high), loss="soft_l1", f_scale=0.2)
        residual = misfit(done.x)
        found = model(done.x)
        nugget = found.nugget if found.nugget > 1e-3 * found.sill else 0.0
        kept = tuple(s for s in found.structures if s.sill > 1e-3 * found.sill)
        yield Variogram(kept, nugget), float(np.mean(residual**2))


def residual_variogram(
    values: npt.ArrayLike, grid: xr.Dataset | xr.DataArray, **options: Any
) -> tuple[Lags, Variogram]:
    """Empirical and fitted variogram of a field on the posts of `grid`; NaN is left out."""
    z = np.asarray(values, float)
    known = z[np.isfinite(z)]
    spacing = grid_spacing(grid)
    lags = empirical_variogram(z, spacing)
    variance = 0.0
    if known.size:
        variance = (NMAD_FACTOR * float(np.median(np.abs(known - np.median(known))))) ** 2
    model = fit_variogram(lags, variance=variance, shortest=min(spacing), **options)
    return lags, model
