"""How much of what a lake has gained came from glaciers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glaciertoolkit.errors import InputError, ParameterError


class LakeContribution(NamedTuple):
    """Share of glacier melt in the change of a lake's volume.

    Attributes
    ----------
    share, error : float
        And its 1-sigma error; 0.1 is a tenth.
    glacier_volume, glacier_volume_error : float
        Water from the glaciers, km3.
    """

    share: float
    error: float
    glacier_volume: float
    glacier_volume_error: float

    def __str__(self) -> str:
        return f"{self.share:.2%} +- {self.error:.2%}"


def lake_volume_change(
    level_change: float, *, area_before: float, area_after: float | None = None,
    shape: str = "frustum",
) -> float:  # fmt: skip
    """Volume that a change of level adds to a lake.

    Parameters
    ----------
    level_change : float
        m, positive where the lake has risen.
    area_before, area_after : float
        km2; the same unless given.
    shape : {"frustum", "trapezoid"}
        ``dh (A1 + A2 + sqrt(A1 A2)) / 3``, or ``dh (A1 + A2) / 2``.

    Returns
    -------
    float
        km3.

    Raises
    ------
    ParameterError
        An area that is not positive, an unknown shape.

    Examples
    --------
    >>> round(lake_volume_change(3.0, area_before=1900.0, area_after=2000.0), 3)
    5.849
    """
    last = area_before if area_after is None else area_after
    if not (area_before > 0 and last > 0):
        raise ParameterError("the areas of a lake must be positive km2.")
    means = {
        "frustum": (area_before + last + math.sqrt(area_before * last)) / 3,
        "trapezoid": (area_before + last) / 2,
    }
    if shape not in means:
        raise ParameterError(f"shape must be frustum or trapezoid; got {shape!r}.")
    return level_change / 1000 * means[shape]


def lake_contribution(
    balances: Sequence[float] | float,
    *,
    areas: Sequence[float] | float,
    years: float,
    lake_change: float,
    balance_errors: Sequence[float] | float = 0.0,
    area_errors: Sequence[float] | float = 0.0,
    lake_error: float = 0.0,
    shared: bool = True,
) -> LakeContribution:
    """Share of a lake's gain that the glaciers of its basin have lost.

    Parameters
    ----------
    balances : float or sequence of float
        Specific mass balance of each glacier or part of the basin, m w.e. yr-1.
    areas : float or sequence of float
        Their areas, km2.
    years : float
        Of the period.
    lake_change : float
        Change of the lake's volume over it, km3 (`lake_volume_change`).
    balance_errors, area_errors, lake_error : float
        1-sigma.
    shared : bool
        The errors of the balances are those of one density and one penetration depth, and add
        up. False: they are independent.

    Returns
    -------
    LakeContribution

    Raises
    ------
    InputError, ParameterError
        Lengths that differ; a lake that has not changed; years or areas that are not positive.

    Notes
    -----
    ``f = -sum(B A) t / dV``, with the errors of balances, areas and volume propagated. Nothing
    evaporates or seeps away on its way: f is what the melt would make up, not what is found in
    the lake.

    Examples
    --------
    >>> found = lake_contribution(-0.268, areas=100.0, years=1, lake_change=0.268)
    >>> round(found.glacier_volume, 4), str(found)
    (0.0268, '10.00% +- 0.00%')
    """
    b, a = np.atleast_1d(np.asarray(balances, float)), np.atleast_1d(np.asarray(areas, float))
    if b.shape != a.shape or b.ndim != 1 or not b.size:
        raise InputError(f"{b.size} balances for {a.size} areas.")
    if not (a > 0).all() or not years > 0:
        raise ParameterError("areas and years must be positive.")
    if not lake_change or not math.isfinite(lake_change):
        raise ParameterError("the lake's volume must have changed; there is no share of nothing.")
    sb, sa = (np.broadcast_to(np.asarray(e, float), b.shape) for e in (balance_errors, area_errors))
    if (sb < 0).any() or (sa < 0).any() or lake_error < 0:
        raise ParameterError("errors must be 0 or more.")
    # m times km2 is 1e-3 km3; what ice loses the lake gains.
    volume = -float(b @ a) * years * 1e-3
    of_balance = float(sb @ a) if shared else math.hypot(*(sb * a))
    volume_error = math.hypot(of_balance, *(sa * b)) * years * 1e-3
    share = volume / lake_change
    error = math.hypot(volume_error / lake_change, share * lake_error / lake_change)
    return LakeContribution(share, error, volume, volume_error)
