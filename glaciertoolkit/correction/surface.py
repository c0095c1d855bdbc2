"""The surface that is not ice motion: a polynomial of position plus a term of elevation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import ParameterError

Array = npt.NDArray[np.float64]

COMPONENTS = ("x", "y")
ELEVATION = "elevation"
BASELINE = ("baseline", "baseline_x", "baseline_y")
"""The parallax of a perpendicular baseline, and its change with x and with y."""

RELIEF = (ELEVATION, *BASELINE)
"""Terms that make the topography-related offset."""

ORDERS = (0, 1, 2, 3)
KILOMETRE = 1000.0
ROWS = 256
"""Rows of posts that are evaluated at once."""


def polynomial_terms(order: int) -> tuple[str, ...]:
    """Names of the terms of a full polynomial in x and y: ``"1", "x", "y", "x2", "xy", ...``.

    Examples
    --------
    >>> polynomial_terms(2)
    ('1', 'x', 'y', 'x2', 'xy', 'y2')
    """
    if isinstance(order, bool) or order not in ORDERS:
        raise ParameterError(
            f"order must be one of {', '.join(map(str, ORDERS))} (degree of the polynomial); "
            f"got {order!r}."
        )
    return tuple(_name(degree - j, j) for degree in range(order + 1) for j in range(degree + 1))


def _name(i: int, j: int) -> str:
    parts = [
        axis + (str(power) if power > 1 else "") for axis, power in (("x", i), ("y", j)) if power
    ]
    return "".join(parts) or "1"


def _powers(term: str) -> tuple[int, int]:
    """Exponents of x and y in a polynomial term."""
    powers = {"x": 0, "y": 0}
    for position, character in enumerate(term):
        if character in powers:
            following = term[position + 1 : position + 2]
            powers[character] = int(following) if following.isdigit() else 1
    return powers["x"], powers["y"]


@dataclass(frozen=True)
class Frame:
    """Makes coordinates dimensionless: x and y to [-1, 1] over the grid, elevation to km.

    `elevation` is the height (m) at which the topographic terms are zero. In radar geometry, where
    x is slant range, `sine` holds the ascending coefficients of the sine of the incidence angle in
    the dimensionless x.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    elevation: float = 0.0
    sine: tuple[float, ...] = ()

    @classmethod
    def of(cls, ds: xr.Dataset, elevation: float = 0.0, sine: tuple[float, ...] = ()) -> Frame:
        """The frame of the posts of `ds`."""
        spans = []
        for name in ("x", "y"):
            values = np.asarray(ds[name].values, float)
            low, high = float(values.min()), float(values.max())
            spans.append(((low + high) / 2, max((high - low) / 2, 1e-9)))
        return cls(spans[0], spans[1], elevation, sine)

    def term(self, name: str, x: Any, y: Any, h: Any) -> Any:
        """One column of the design: the term `name` at x, y (m) and elevation h (m)."""
        if name == ELEVATION:
            return (h - self.elevation) / KILOMETRE
        xn, yn = (x - self.x[0]) / self.x[1], (y - self.y[0]) / self.y[1]
        if name in BASELINE:
            # Metres of slant range per kilometre of perpendicular baseline.
            sine = sum(c * xn**k for k, c in enumerate(self.sine))
            parallax = -(h - self.elevation) / (x * sine) * KILOMETRE
            return parallax * {"baseline": 1.0, "baseline_x": xn, "baseline_y": yn}[name]
        i, j = _powers(name)
        return xn**i * yn**j

    def design(self, terms: Sequence[str], x: Array, y: Array, h: Array) -> Array:
        """The design matrix (points, terms)."""
        ones = np.ones(np.broadcast_shapes(x.shape, y.shape))
        return np.column_stack([ones * self.term(name, x, y, h) for name in terms])


@dataclass(frozen=True)
class Surface:
    """A fitted surface of both components.

    `coefficients` (2, terms) in metres per unit of the dimensionless term, `covariance`
    (2, terms, terms), `scale` (2,): robust scatter of one point about the surface, m.
    """

    terms: tuple[str, ...]
    frame: Frame
    coefficients: Array
    covariance: Array
    scale: Array
    points: int
    inliers: Array
    messages: tuple[str, ...] = field(default=())

    @property
    def polynomial(self) -> tuple[str, ...]:
        """The terms of position."""
        return tuple(t for t in self.terms if t not in RELIEF)

    @property
    def relief(self) -> tuple[str, ...]:
        """The terms of elevation."""
        return tuple(t for t in self.terms if t in RELIEF)

    @property
    def order(self) -> int:
        """Degree of the polynomial."""
        return max((sum(_powers(t)) for t in self.polynomial), default=0)

    def coefficient(self, term: str) -> tuple[Array, Array]:
        """Coefficient of a term in both components, and its 1-sigma error."""
        k = self.terms.index(term)
        return self.coefficients[:, k], np.sqrt(self.covariance[:, k, k])

    def only(self, terms: tuple[str, ...]) -> Surface:
        """The part of the surface that the given terms make."""
        k = [self.terms.index(t) for t in terms]
        return replace(
            self,
            terms=terms,
            coefficients=self.coefficients[:, k],
            covariance=self.covariance[:, k][:, :, k],
        )

    def evaluate(
        self, ds: xr.Dataset, component: int, terms: Sequence[str], elevation: xr.DataArray | None
    ) -> xr.DataArray:
        """Sum of some of the terms at the posts of `ds`, float32, lazy where `ds` is lazy."""

        def total(ds: xr.Dataset, elevation: xr.DataArray | None) -> xr.DataArray:
            x, y = _positions(ds)
            out = xr.zeros_like(ds["dx"], dtype=np.float64)
            for name in terms:
                k = self.terms.index(name)
                value = self.frame.term(name, x, y, elevation)
                out = out + self.coefficients[component, k] * value
            return out

        return _by_rows(total, ds, elevation)

    def variance(
        self, ds: xr.Dataset, component: int, elevation: xr.DataArray | None
    ) -> xr.DataArray:
        """Variance of the fitted surface at the posts (m2), float32, lazy where `ds` is lazy."""

        def total(ds: xr.Dataset, elevation: xr.DataArray | None) -> xr.DataArray:
            x, y = _positions(ds)
            columns = [self.frame.term(name, x, y, elevation) for name in self.terms]
            out = xr.zeros_like(ds["dx"], dtype=np.float64)
            for i, left in enumerate(columns):
                for j, right in enumerate(columns[: i + 1]):
                    factor = self.covariance[component, i, j] * (1 if i == j else 2)
                    out = out + factor * (left * right)
            return out.clip(0)

        return _by_rows(total, ds, elevation)

    def diagnostics(self) -> Mapping[str, Any]:
        """Small variables that describe the fit, ready for `Dataset.assign`."""
        position = [self.terms.index(t) for t in self.polynomial]
        dims = ("component", "term")
        found: dict[str, Any] = {
            "component": ("component", list(COMPONENTS)),
            "fit_points": ((), self.points, {"long_name": "independent points of the fit"}),
            "fit_inlier_fraction": ("component", self.inliers, {"units": "1"}),
            "fit_scale": (
                "component",
                self.scale,
                {"units": "m", "long_name": "robust scatter of one point about the fit"},
            ),
        }
        if position:
            found |= {
                "term": ("term", list(self.polynomial)),
                "deformation_order": ((), self.order, {"long_name": "degree of the polynomial"}),
                "deformation_coefficients": (
                    dims,
                    self.coefficients[:, position],
                    {
                        "units": "m",
                        "long_name": "coefficients of the global deformation; x and y run from "
                        "-1 to 1 over the posts",
                    },
                ),
                "deformation_covariance": (
                    ("component", "term", "term_2"),
                    self.covariance[:, position][:, :, position],
                    {"units": "m2", "long_name": "covariance of the coefficients"},
                ),
            }
        if ELEVATION in self.terms:
            value, error = self.coefficient(ELEVATION)
            found |= {
                "topography_coefficient": (
                    "component",
                    value / KILOMETRE,
                    {"units": "1", "long_name": "topography-related offset per metre of elevation"},
                ),
                "topography_coefficient_error": (
                    "component",
                    error / KILOMETRE,
                    {"units": "1", "long_name": "1-sigma error of the coefficient"},
                ),
            }
        return found


Field = Callable[[xr.Dataset, xr.DataArray | None], xr.DataArray]


def _by_rows(function: Field, ds: xr.Dataset, elevation: xr.DataArray | None) -> xr.DataArray:
    """A field over the posts in single precision; in memory some rows at a time.

    In double precision the terms of a large scene would take gigabytes.
    """
    if ds["dx"].chunks is not None:
        return function(ds, elevation).transpose("y", "x").astype(np.float32).drop_attrs()
    posts = ds[["dx"]]
    out = np.empty((ds.sizes["y"], ds.sizes["x"]), np.float32)
    for first in range(0, ds.sizes["y"], ROWS):
        part = {"y": slice(first, first + ROWS)}
        here = None if elevation is None else elevation.isel(part)
        out[part["y"]] = function(posts.isel(part), here).transpose("y", "x").values
    return ds["dx"].copy(data=out).drop_attrs()


def _positions(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """x and y of the posts, chunked like `ds` so that what is made of them stays lazy."""
    import dask.array as da

    found = []
    for name in ("x", "y"):
        values: Any = np.asarray(ds[name].values, float)
        chunks = ds["dx"].chunksizes.get(name)
        if chunks:
            values = da.from_array(values, chunks=(chunks,))
        found.append(xr.DataArray(values, dims=name))
    return found[0], found[1]
