"""Classes of a factor: as many as asked, by one of three rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.stats.sites import Floats, Ints

RULES = ("quantile", "natural", "equal")
_MOST_BREAKS = 400


def stratify(values: Any, *, classes: int, rule: str) -> tuple[Ints, list[str]]:
    """Stratum of each value, numbered from 0, and the name of each stratum.

    Numbers of more than `classes` different values are cut into classes; all else (texts,
    booleans, few numbers) is taken as it is.

    Examples
    --------
    >>> labels, names = stratify([1.0, 2.0, 3.0, 10.0], classes=2, rule="natural")
    >>> labels.tolist(), names
    ([0, 0, 0, 1], ['1 to 3', '3 to 10'])
    """
    import pandas as pd

    if rule not in RULES:
        raise ParameterError(f"rule must be one of {', '.join(RULES)}; got {rule!r}.")
    if classes < 2:
        raise ParameterError(f"classes must be 2 or more; got {classes!r}.")
    column = pd.Series(values)
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if not number or column.nunique() <= classes:
        codes, uniques = pd.factorize(column, sort=True)
        return np.asarray(codes, np.int64), [f"{u:g}" if number else str(u) for u in uniques]
    x = column.to_numpy(np.float64)
    edges = np.unique(_edges(x, classes, rule))
    if edges.size < 3:
        raise InputError(f"{rule} classes of this factor are one; take another rule.")
    # A value on an inner bound belongs to the class below it, as everywhere in the literature.
    labels = np.clip(np.searchsorted(edges, x, side="left") - 1, 0, edges.size - 2)
    used, labels = np.unique(labels, return_inverse=True)
    names = [f"{edges[k]:.4g} to {edges[k + 1]:.4g}" for k in used]
    return labels.astype(np.int64), names


def _edges(x: Floats, classes: int, rule: str) -> Floats:
    if rule == "quantile":
        return np.quantile(x, np.linspace(0, 1, classes + 1))
    if rule == "equal":
        return np.linspace(x.min(), x.max(), classes + 1)
    return natural_breaks(x, classes)


def natural_breaks(x: npt.ArrayLike, classes: int) -> Floats:
    """Bounds of the classes with the least sum of squares within them.

    Parameters
    ----------
    x : array_like
        Finite; of more than 400 values, 400 quantiles stand for all.
    classes : int

    Returns
    -------
    numpy.ndarray, shape (classes + 1,)
        From the smallest to the largest value.

    Notes
    -----
    Fisher's exact optimum by dynamic programming; Jenks's classes.

    References
    ----------
    Fisher, W. (1958), On grouping for maximum homogeneity, Journal of the American Statistical
    Association 53.

    Examples
    --------
    >>> natural_breaks([1, 2, 3, 10, 11, 30], 3).tolist()
    [1.0, 3.0, 11.0, 30.0]
    """
    z = np.sort(np.asarray(x, np.float64))
    if z.size > _MOST_BREAKS:
        z = np.quantile(z, np.linspace(0, 1, _MOST_BREAKS))
    n = z.size
    classes = min(classes, n)
    centred = z - z.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    first, end = np.meshgrid(np.arange(n), np.arange(1, n + 1), indexing="ij")
    length = end - first
    with np.errstate(divide="ignore", invalid="ignore"):
        within = squares[end] - squares[first] - (sums[end] - sums[first]) ** 2 / length
    # cost[i, j]: sum of squares of the values i to j, both included.
    cost = np.where(length > 0, within, np.inf)
    best = cost[0]
    starts = []
    for _ in range(1, classes):
        # The last class starts at i, so the classes before it end at i - 1.
        total = np.concatenate([[np.inf], best[:-1]])[:, None] + cost
        starts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    bounds = [n - 1]
    for start in reversed(starts):
        bounds.append(int(start[bounds[-1]]) - 1)
    return np.concatenate([[z[0]], z[bounds[::-1]]])
