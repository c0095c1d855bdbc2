"""The terms of a fit: powers of position, splines, and what the terrain gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glaciertoolkit.errors import ParameterError

COMPONENTS = ("x", "y")
ELEVATION = "elevation"
ELEVATION_SQUARED = "elevation2"
SLOPES = ("slope_east", "slope_north")
"""The tangent of the slope times the sine, and times the cosine, of its aspect."""

BASELINE = ("baseline", "baseline_x", "baseline_y")
"""The parallax of a perpendicular baseline, and its change with x and with y."""

RELIEF = (ELEVATION, ELEVATION_SQUARED, *SLOPES, *BASELINE)
"""Terms that make the topography-related offset."""

SPLINE = "spline"
"""The terms of a thin-plate spline begin so; the number of the centre follows."""

ORDERS = (0, 1, "bilinear", 2, 3)
"""Polynomials, the simplest first."""

TPS = "tps"
AUTO = "auto"
BASES = (*ORDERS, TPS)
Order = int | str
Terrain = Mapping[str, Any]
"""What is known of the ground: "elevation" (m) and, where wanted, `SLOPES`; empty for nothing."""


def check_order(order: Order, *, also: Sequence[str] = (TPS, AUTO)) -> Order:
    """`order` if it names a surface.

    Raises
    ------
    ParameterError
        If it does not.
    """
    known = (*ORDERS, *also)
    if isinstance(order, bool) or order not in known:
        raise ParameterError(
            f"order must be one of {', '.join(map(repr, known))} (degree of the polynomial, "
            f"'tps' a thin-plate spline, 'auto' what cross-validation finds); got {order!r}."
        )
    return order


def polynomial_terms(order: Order) -> tuple[str, ...]:
    """Names of the terms of a polynomial in x and y: ``"1", "x", "y", "x2", "xy", ...``.

    Examples
    --------
    >>> polynomial_terms(2)
    ('1', 'x', 'y', 'x2', 'xy', 'y2')
    >>> polynomial_terms("bilinear")
    ('1', 'x', 'y', 'xy')
    """
    check_order(order, also=())
    if order == "bilinear":
        return (*polynomial_terms(1), "xy")
    degrees = range(int(order) + 1)
    return tuple(_name(degree - j, j) for degree in degrees for j in range(degree + 1))


def basis_of(terms: Sequence[str]) -> Order:
    """Which of `BASES` the terms of position make; 0 where there are none."""
    if any(t.startswith(SPLINE) for t in terms):
        return TPS
    position = tuple(t for t in terms if t not in RELIEF)
    return next((order for order in ORDERS if polynomial_terms(order) == position), 0)


def _name(i: int, j: int) -> str:
    parts = [
        axis + (str(power) if power > 1 else "") for axis, power in (("x", i), ("y", j)) if power
    ]
    return "".join(parts) or "1"


def powers(term: str) -> tuple[int, int]:
    """Exponents of x and y in a polynomial term."""
    powers = {"x": 0, "y": 0}
    for position, character in enumerate(term):
        if character in powers:
            following = term[position + 1 : position + 2]
            powers[character] = int(following) if following.isdigit() else 1
    return powers["x"], powers["y"]
