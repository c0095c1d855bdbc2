"""An estimate beside what was measured on the ground, and several estimates made one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError, ParameterError

if TYPE_CHECKING:
    import pandas as pd


def compare_insitu(
    estimate: Any,
    measured: Any,
    *,
    error: Any,
    measured_error: Any = 0.0,
    names: Any = None,
    limit: float = 1.96,
) -> pd.DataFrame:
    """Whether estimates agree with measurements within their errors.

    Parameters
    ----------
    estimate, measured : float or array_like
        Of the same quantity in the same units.
    error, measured_error : float or array_like
        1-sigma.
    names : sequence of str, optional
        Of the sites; by default those of `estimate`, if it is a Series.
    limit : float
        Largest ``|z|`` that agrees.

    Returns
    -------
    pandas.DataFrame
        One row a site: `estimate`, `error`, `measured`, `measured_error`, `difference`
        (estimate less measured), `z` (difference over its error), `p` (two-sided), `agrees`
        (False where there is no z).

    Raises
    ------
    InputError, ParameterError
        Lengths that differ; a negative error, or no error at all; a limit that is not positive.

    Examples
    --------
    >>> found = compare_insitu([-0.501, -0.267], [-0.59, -0.31], error=[0.166, 0.248],
    ...                        names=["Zhadang", "Gurenhekou"])
    >>> found["z"].round(2).tolist(), found["agrees"].tolist()
    ([0.54, 0.17], [True, True])
    """
    import pandas as pd
    from scipy.stats import norm

    if not limit > 0:
        raise ParameterError(f"limit must be positive; got {limit!r}.")
    if names is None and isinstance(estimate, pd.Series):
        names = estimate.index
    given = [
        np.atleast_1d(np.asarray(v, float)) for v in (estimate, measured, error, measured_error)
    ]
    try:
        ours, theirs, ours_error, theirs_error = np.broadcast_arrays(*given)
    except ValueError as problem:
        raise InputError("estimates, measurements and errors differ in number.") from problem
    if ours.ndim != 1 or (names is not None and len(names) != ours.size):
        raise InputError(f"{ours.size} estimates need as many names, in one row.")
    if (ours_error < 0).any() or (theirs_error < 0).any():
        raise ParameterError("errors must be 0 or more.")
    both = np.hypot(ours_error, theirs_error)
    if (both == 0).any():
        raise ParameterError("without an error of either, nothing agrees or disagrees.")
    z = (ours - theirs) / both
    return pd.DataFrame(
        {
            "estimate": ours, "error": ours_error, "measured": theirs,
            "measured_error": theirs_error, "difference": ours - theirs, "z": z,
            "p": 2 * norm.sf(np.abs(z)), "agrees": np.abs(z) <= limit,
        },
        index=pd.Index(range(ours.size) if names is None else list(names), name="site"),
    )  # fmt: skip


class Merged(NamedTuple):
    """One estimate from several.

    Attributes
    ----------
    value, error : numpy.ndarray
        And its 1-sigma error; NaN where no estimate is known.
    chi2 : numpy.ndarray
        Sum of squared normalised departures over the degrees of freedom: about 1 where the errors
        are honest and the estimates are of the same thing. NaN where there is one estimate.
    """

    value: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    chi2: npt.NDArray[np.float64]


def merge_estimates(values: npt.ArrayLike, *, errors: npt.ArrayLike) -> Merged:
    """Mean of independent estimates, weighted by their inverse variances.

    Parameters
    ----------
    values : array_like, shape (k, ...)
        k estimates of the same field; NaN where one has none.
    errors : array_like
        1-sigma, of the shape of `values` or (k,).

    Returns
    -------
    Merged

    Raises
    ------
    InputError, ParameterError
        Shapes that do not fit; errors that are not positive.

    Notes
    -----
    The same as a scalar Kalman filter that takes the estimates one after the other: ``x + K (y -
    x)``, ``K = P / (P + R)``, ``P <- (1 - K) P``.

    Examples
    --------
    >>> found = merge_estimates([10.0, 14.0], errors=[1.0, 1.0])
    >>> float(found.value), round(float(found.error), 3), float(found.chi2)
    (12.0, 0.707, 8.0)
    """
    x, s = np.asarray(values, np.float64), np.asarray(errors, np.float64)
    if x.ndim < 1 or (s.shape != x.shape and s.shape != x.shape[:1]):
        raise InputError(f"errors of shape {s.shape} do not fit values of shape {x.shape}.")
    s = np.broadcast_to(s.reshape(s.shape + (1,) * (x.ndim - s.ndim)), x.shape)
    known = np.isfinite(x) & np.isfinite(s)
    if (s[known] <= 0).any():
        raise ParameterError("errors must be positive.")
    weight = np.where(known, 1 / np.where(known, s, 1.0) ** 2, 0.0)
    filled = np.where(known, x, 0.0)
    count, total = known.sum(axis=0), weight.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(count > 0, (weight * filled).sum(axis=0) / total, np.nan)
        error = np.where(count > 0, 1 / np.sqrt(total), np.nan)
        departures = (weight * (filled - value) ** 2).sum(axis=0)
        chi2 = np.where(count > 1, departures / (count - 1), np.nan)
    return Merged(np.asarray(value), np.asarray(error), np.asarray(chi2))
