"""Mass balance from elevation change, with each term of its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glaciertoolkit.errors import InputError, ParameterError

ICE_DENSITY, ICE_DENSITY_ERROR = 850.0, 60.0
"""kg m-3: what a volume of glacier weighs over five years or more (Huss 2013)."""
WATER_DENSITY = 1000.0


class Balance(NamedTuple):
    """Specific mass balance.

    Attributes
    ----------
    value : float
        m w.e. yr-1.
    error : float
        1-sigma, all terms.
    error_elevation, error_density, error_penetration : float
        Its terms, m w.e. yr-1.
    """

    value: float
    error: float
    error_elevation: float
    error_density: float
    error_penetration: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} +- {self.error:.3f} m w.e. yr-1"


def geodetic_balance(
    dh: float,
    *,
    years: float,
    dh_error: float = 0.0,
    penetration_error: float = 0.0,
    density: float = ICE_DENSITY,
    density_error: float = ICE_DENSITY_ERROR,
) -> Balance:
    """Specific mass balance of a glacier whose surface has changed by `dh` on average.

    Parameters
    ----------
    dh : float
        Mean elevation change, m, positive up.
    years : float
        Over which it happened.
    dh_error : float
        1-sigma error of the mean, m: of as many independent posts as there are.
    penetration_error : float
        1-sigma error of the depth from which radar saw the surface, m.
    density, density_error : float
        kg m-3.

    Returns
    -------
    Balance

    Raises
    ------
    ParameterError
        Years or a density that are not positive, a negative error.

    Notes
    -----
    ``B = dh rho / t`` and ``s_B^2 = (s_dh rho / t)^2 + (dh s_rho / t)^2 + (s_pen rho / t)^2``.

    References
    ----------
    Huss, M. (2013), Density assumptions for converting geodetic glacier volume change to mass
    change, The Cryosphere 7.

    Examples
    --------
    >>> print(geodetic_balance(-4.408, years=14, penetration_error=2.0))
    -0.268 +- 0.123 m w.e. yr-1
    """
    if not years > 0 or not density > 0:
        raise ParameterError("years and density must be positive.")
    for name, value in (
        ("dh_error", dh_error), ("penetration_error", penetration_error),
        ("density_error", density_error),
    ):  # fmt: skip
        if not value >= 0:
            raise ParameterError(f"{name} must be 0 or more; got {value!r}.")
    per_metre = density / WATER_DENSITY / years
    terms = (
        dh_error * per_metre,
        abs(dh) * density_error / WATER_DENSITY / years,
        penetration_error * per_metre,
    )
    return Balance(dh * per_metre, math.hypot(*terms), *terms)


def total_balance(
    balances: Sequence[Balance], *, areas: Sequence[float], shared: bool = True
) -> Balance:
    """Balance of several glaciers or basins together, weighted by area.

    Parameters
    ----------
    balances : sequence of Balance
    areas : sequence of float
        Of the glaciers, in one unit.
    shared : bool
        Density and penetration are wrong in the same way everywhere. False: independently.

    Returns
    -------
    Balance

    Raises
    ------
    InputError
        No balance, as many areas as balances are needed, an area that is not positive.

    Examples
    --------
    >>> inner, outer = (geodetic_balance(dh, years=14) for dh in (-4.408, -3.610))
    >>> print(total_balance([inner, outer], areas=[1, 1]))
    -0.243 +- 0.017 m w.e. yr-1
    """
    weight = np.asarray(areas, np.float64)
    if not len(balances) or weight.shape != (len(balances),):
        raise InputError(f"{weight.size} areas for {len(balances)} balances.")
    if not (weight > 0).all():
        raise InputError("areas must be positive.")
    weight = weight / weight.sum()
    value = float(weight @ [b.value for b in balances])
    elevation = math.hypot(*(weight * [b.error_elevation for b in balances]))
    common = [b.error_density for b in balances], [b.error_penetration for b in balances]
    terms = [float(weight @ e) if shared else math.hypot(*(weight * e)) for e in common]
    return Balance(value, math.hypot(elevation, *terms), elevation, *terms)
