"""Correlation with one factor while the others are held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.stats.correlation import (
    check_options,
    coefficient,
    independent_values,
    interval,
    probability,
    ranks,
)
from glaciertoolkit.stats.multiplicity import adjust_p
from glaciertoolkit.stats.samples import read_sample
from glaciertoolkit.stats.sites import Floats

if TYPE_CHECKING:
    import pandas as pd


def partial_correlation(
    data: pd.DataFrame | xr.Dataset,
    *,
    response: str,
    factors: Sequence[str],
    method: str = "spearman",
    coordinates: Any = None,
    groups: Any = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Correlation of a response with each factor when the other factors are held.

    Parameters
    ----------
    data : pandas.DataFrame or xarray.Dataset
        One row a glacier, or a map.
    response : str
        What is to be explained.
    factors : sequence of str
        At least one.
    method : {"pearson", "spearman"}
        Of the values, or of their ranks.
    coordinates, groups : optional
        As in `attribution`.
    confidence : float
        Of the interval.

    Returns
    -------
    pandas.DataFrame
        One row a factor: `r`, `low`, `high`, `p`, `p_adjusted` (over all rows), `n_effective`.

    Raises
    ------
    ParameterError, InputError, MissingVariableError
        An unknown method; too few rows; an unknown column.

    Notes
    -----
    ``r_ij = -P_ij / sqrt(P_ii P_jj)`` with P the inverse of the correlation matrix, of the ranks
    for Spearman's. `n_effective` is that of the two residuals after the other factors, and each
    held factor costs a degree of freedom. A factor that the others determine has NaN.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> a, b = np.random.default_rng(1).standard_normal((2, 200))
    >>> table = pd.DataFrame({"v": a, "slope": a + b, "height": b})
    >>> partial_correlation(table, response="v", factors=["slope", "height"],
    ...                     method="pearson")["r"].round(2).tolist()
    [1.0, -1.0]
    """
    import pandas as pd

    check_options(method, confidence)
    if method == "kendall":
        raise ParameterError("partial correlation is Pearson's or Spearman's; got 'kendall'.")
    names = list(factors)
    sample = read_sample(
        data, response=response, factors=names, coordinates=coordinates, groups=groups
    ).complete(response, *names)
    columns = np.column_stack([sample.numbers(n) for n in (response, *names)])
    if len(columns) < len(names) + 4:
        raise InputError(f"{len(columns)} complete rows are too few for {len(names)} factors.")
    if method == "spearman":
        columns = np.column_stack([ranks(c) for c in columns.T])
    rows = []
    for k, name in enumerate(names, start=1):
        r, left, right = _partial(columns, k)
        nan = float("nan")
        row = {"factor": name, "r": r, "low": nan, "high": nan, "p": nan, "n_effective": nan}
        if math.isfinite(r):
            size, free = independent_values(left, right, sample.sites, sample.groups)
            less = size - (len(names) - 1)
            low, high = interval(r, less, free, method, confidence)
            p = probability(r, less, free, method)
            row |= {"low": low, "high": high, "p": p, "n_effective": size}
        rows.append(row)
    table = pd.DataFrame(rows).set_index("factor")
    table.insert(4, "p_adjusted", adjust_p(table["p"]))
    return table


def _partial(columns: Floats, k: int) -> tuple[float, Floats, Floats]:
    """Partial correlation of the first column with the k-th, and the two residuals."""
    spread = columns.std(axis=0)
    if spread[0] == 0 or spread[k] == 0:
        return float("nan"), columns[:, 0], columns[:, k]
    others = [j for j in range(1, columns.shape[1]) if j != k and spread[j] > 0]
    design = np.column_stack([np.ones(len(columns)), columns[:, others]])
    design[:, 1:] = (design[:, 1:] - design[:, 1:].mean(axis=0)) / spread[others]
    pair = columns[:, [0, k]]
    left, right = (pair - design @ np.linalg.lstsq(design, pair, rcond=None)[0]).T
    # The same as from the inverse matrix, and sound where that is singular.
    if left.std() < 1e-9 * spread[0] or right.std() < 1e-9 * spread[k]:
        return float("nan"), left, right
    return coefficient(left, right, "pearson"), left, right
