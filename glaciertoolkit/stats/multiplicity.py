"""Many tests at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import ParameterError

Floats = npt.NDArray[np.float64]


def adjust_p(p: npt.ArrayLike) -> Floats:
    """p values after Benjamini and Hochberg: the false discovery rate at which each passes.

    Parameters
    ----------
    p : array_like
        p values of all tests that were made, those that failed too. NaN is no test.

    Returns
    -------
    numpy.ndarray
        Of the same shape; NaN where p is.

    Raises
    ------
    ParameterError
        A value outside 0 to 1.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. (1995), Controlling the false discovery rate, Journal of the
    Royal Statistical Society B 57.

    Examples
    --------
    >>> adjust_p([0.01, 0.04, 0.03, float("nan")]).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    from scipy.stats import false_discovery_control

    given = np.asarray(p, np.float64)
    known = np.isfinite(given)
    if ((given[known] < 0) | (given[known] > 1)).any():
        raise ParameterError("p values lie between 0 and 1.")
    out = np.full(given.shape, np.nan)
    if known.any():
        out[known] = false_discovery_control(given[known])
    return out
