"""Errors that depend on where they are made: on slope, elevation, correlation, signal to noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.robust import NMAD_FACTOR

Array = npt.NDArray[np.float64]
Trend = Literal["rising", "falling", "free"]

LEAST_IN_BIN = 30
MOST_BINS = 12
ROUNDS = 3

TRENDS: dict[str, Trend] = {
    "slope": "rising",
    "elevation": "free",
    "correlation": "falling",
    "snr": "falling",
    "peak_ratio": "falling",
    "local_incidence": "free",
}
"""What physics says of the error: more of it on steep ground, less where the match is better."""


@dataclass(frozen=True)
class ErrorCurve:
    """Error as a function of one covariate.

    `centre`, `error`, `count`: of the bins, ``error`` the scatter found there (NMAD about zero);
    `fitted`: the same made monotone, where `trend` says so.
    """

    name: str
    trend: Trend
    centre: Array
    error: Array
    count: npt.NDArray[np.int64]
    fitted: Array

    def __call__(self, covariate: npt.ArrayLike) -> Array:
        """The error at values of the covariate: monotone cubic, constant beyond the bins."""
        from scipy.interpolate import PchipInterpolator

        c = np.clip(np.asarray(covariate, float), self.centre[0], self.centre[-1])
        if self.centre.size == 1:
            return np.where(np.isnan(c), np.nan, self.fitted[0])
        return np.asarray(PchipInterpolator(self.centre, self.fitted)(c))


def error_curve(
    residual: npt.ArrayLike, covariate: npt.ArrayLike, *, name: str = "covariate",
    trend: Trend | None = None, bins: int = MOST_BINS,
) -> ErrorCurve | None:  # fmt: skip
    """Scatter of residuals in bins of a covariate, interpolated.

    Parameters
    ----------
    residual, covariate : array_like
        Of one shape; pairs with a NaN are left out.
    name : str
        Of the covariate; known ones have a trend of their own.
    trend : {"rising", "falling", "free"}, optional
        What the error must do where the covariate grows.
    bins : int
        Most bins; each holds as many residuals, and at least 30.

    Returns
    -------
    ErrorCurve or None
        None for fewer than 60 residuals, or a covariate that is constant.

    Raises
    ------
    ParameterError
        For an unknown trend.

    Notes
    -----
    The scatter of a bin is 1.4826 times the median absolute residual. Monotone: isotonic
    regression of its logarithm, weighted by the number of residuals.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> slope = rng.uniform(0, 40, 20_000)
    >>> curve = error_curve(rng.normal(scale=0.1 + 0.01 * slope), slope, name="slope")
    >>> [round(float(v), 1) for v in curve([10, 20, 30])]
    [0.2, 0.3, 0.4]
    """
    from scipy.optimize import isotonic_regression

    trend = trend or TRENDS.get(name, "free")
    if trend not in ("rising", "falling", "free"):
        raise ParameterError(f"trend must be rising, falling or free; got {trend!r}.")
    r, c = np.ravel(np.asarray(residual, float)), np.ravel(np.asarray(covariate, float))
    good = np.isfinite(r) & np.isfinite(c)
    r, c = np.abs(r[good]), c[good]
    number = min(bins, r.size // LEAST_IN_BIN)
    if number < 2 or np.ptp(c) == 0:
        return None
    edges = np.unique(np.quantile(c, np.linspace(0, 1, number + 1)))
    index = np.clip(np.searchsorted(edges, c, side="right") - 1, 0, edges.size - 2)
    found = []
    for k in range(edges.size - 1):
        here = index == k
        if here.sum() >= LEAST_IN_BIN:
            found.append((np.median(c[here]), NMAD_FACTOR * np.median(r[here]), here.sum()))
    if len(found) < 2:
        return None
    centre, error, count = (np.asarray(column) for column in zip(*found, strict=True))
    fitted = error.astype(float)
    if trend != "free":
        log = np.log(np.maximum(error, 1e-12))
        fitted = np.exp(
            isotonic_regression(log, weights=count.astype(float), increasing=trend == "rising").x
        )
    return ErrorCurve(
        name, trend, centre.astype(float), error.astype(float), count.astype(np.int64), fitted
    )


@dataclass(frozen=True)
class ErrorModel:
    """Error as the product of a level and one factor a covariate."""

    level: float
    curves: tuple[ErrorCurve, ...]

    def __call__(self, covariates: Mapping[str, npt.ArrayLike]) -> Array:
        """The error at values of all covariates, in the unit of the residuals."""
        total: Array = np.asarray(self.level)
        for curve in self.curves:
            total = total * curve(covariates[curve.name])
        return total


def error_model(residual: npt.ArrayLike, covariates: Mapping[str, npt.ArrayLike]) -> ErrorModel:
    """Error as a function of several covariates at once.

    Parameters
    ----------
    residual : array_like
    covariates : mapping
        From the name of a covariate to its values at the residuals.

    Returns
    -------
    ErrorModel
        Residuals over the error that it gives have unit scatter, whatever the covariates are.

    Notes
    -----
    The curve of one covariate is fitted to the residuals over the product of the others', in
    turn, three times; so what two related covariates share is not counted twice.
    """
    r = np.asarray(residual, float)
    values = {k: np.asarray(v, float) for k, v in covariates.items()}
    curves: dict[str, ErrorCurve] = {}

    def product(without: str) -> Array:
        total: Array = np.ones_like(r)
        for name, curve in curves.items():
            if name != without:
                total = total * curve(values[name])
        return total

    level = _scatter(r)
    for _ in range(ROUNDS):
        for name in values:
            z = r / product(name) / (level if level > 0 else 1.0)
            curve = error_curve(z, values[name], name=name)
            if curve is not None:
                curves[name] = curve
        level *= _scatter(r / product("") / (level if level > 0 else 1.0))
    return ErrorModel(level, tuple(curves.values()))


def _scatter(r: Array) -> float:
    known = np.abs(r[np.isfinite(r)])
    return NMAD_FACTOR * float(np.median(known)) if known.size else 0.0
