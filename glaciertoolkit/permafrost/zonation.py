"""Probability of permafrost from climate and terrain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import InputError


def permafrost_probability(
    predictors: Mapping[str, Any], *, coefficients: Mapping[str, float], intercept: float
) -> Any:
    """Logistic model of the occurrence of permafrost.

    Parameters
    ----------
    predictors : mapping of names to DataArrays or array_like
        In the units in which the model was fitted.
    coefficients : mapping
        One for each predictor.
    intercept : float

    Returns
    -------
    xarray.DataArray or numpy.ndarray
        ``P = 1 / (1 + exp(-(b0 + sum b x)))``, 0 to 1; NaN where a predictor is.

    Raises
    ------
    InputError
        Predictors without a coefficient, or coefficients without a predictor.

    Examples
    --------
    >>> float(permafrost_probability({"t": [-2.0]}, coefficients={"t": -1.5}, intercept=-3.0)[0])
    0.5
    """
    if not coefficients or set(predictors) != set(coefficients):
        apart = ", ".join(sorted(set(predictors) ^ set(coefficients))) or "none given"
        raise InputError(f"predictors and coefficients must have the same names; apart: {apart}.")
    score: Any = intercept
    for name, value in predictors.items():
        x = value if isinstance(value, xr.DataArray) else np.asarray(value, np.float64)
        score = score + coefficients[name] * x
    # Overflows neither way, unlike 1 / (1 + exp(-x)).
    probability = 0.5 * (1 + np.tanh(score / 2))
    if isinstance(probability, xr.DataArray):
        probability.attrs = {"long_name": "probability of permafrost", "units": "1"}
        return probability.rename("permafrost_probability")
    return probability
