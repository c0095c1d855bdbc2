"""The surfaces that are fitted: a polynomial or spline of position, and terms of the terrain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.correction.nodes import Nodes
from glaciertoolkit.correction.terms import (
    BASELINE,
    COMPONENTS,
    ELEVATION,
    ELEVATION_SQUARED,
    RELIEF,
    SLOPES,
    SPLINE,
    TPS,
    Order,
    Terrain,
    basis_of,
    polynomial_terms,
    powers,
)

Array = npt.NDArray[np.float64]

KILOMETRE = 1000.0
ROWS = 256
"""Rows of posts that are evaluated at once."""

NODES, VARIANCE_NODES = 256, 64
"""Nodes along an edge, at most, where a spline and its variance are evaluated."""


@dataclass(frozen=True)
class Frame:
    """Makes coordinates dimensionless: x and y to [-1, 1] over the grid, elevation to km.

    `elevation` is the height (m) at which the topographic terms are zero. In radar geometry, where
    x is slant range, `sine` holds the ascending coefficients of the sine of the incidence angle in
    the dimensionless x. `centres` (n, 2), x and y in metres, are those of a thin-plate spline.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    elevation: float = 0.0
    sine: tuple[float, ...] = ()
    centres: Array = field(default_factory=lambda: np.empty((0, 2)))

    @classmethod
    def of(cls, ds: xr.Dataset, elevation: float = 0.0, sine: tuple[float, ...] = ()) -> Frame:
        """The frame of the posts of `ds`."""
        spans = []
        for name in ("x", "y"):
            values = np.asarray(ds[name].values, float)
            low, high = float(values.min()), float(values.max())
            spans.append(((low + high) / 2, max((high - low) / 2, 1e-9)))
        return cls(spans[0], spans[1], elevation, sine)

    def terms(self, order: Order) -> tuple[str, ...]:
        """Names of the terms of position."""
        if order != TPS:
            return polynomial_terms(order)
        return (*polynomial_terms(1), *(f"{SPLINE}{k}" for k in range(len(self.centres))))

    def term(self, name: str, x: Any, y: Any, terrain: Terrain) -> Any:
        """One column of the design: the term `name` at x, y (m) on the terrain."""
        if name in (ELEVATION, ELEVATION_SQUARED):
            relative = (terrain[ELEVATION] - self.elevation) / KILOMETRE
            return relative if name == ELEVATION else relative**2
        if name in SLOPES:
            return terrain[name]
        xn, yn = (x - self.x[0]) / self.x[1], (y - self.y[0]) / self.y[1]
        if name in BASELINE:
            # Metres of slant range per kilometre of perpendicular baseline.
            sine = sum(c * xn**k for k, c in enumerate(self.sine))
            parallax = -(terrain[ELEVATION] - self.elevation) / (x * sine) * KILOMETRE
            return parallax * {"baseline": 1.0, "baseline_x": xn, "baseline_y": yn}[name]
        i, j = powers(name)
        return xn**i * yn**j

    def _radial(self, x: Array, y: Array, centres: Array) -> Array:
        """``r^2 log(r)`` (points, centres), alike in all directions: a plate has no axes."""
        unit = max(self.x[1], self.y[1])
        square = ((x[:, None] - centres[:, 0]) / unit) ** 2
        square += ((y[:, None] - centres[:, 1]) / unit) ** 2
        return np.asarray(0.5 * square * np.log(np.maximum(square, 1e-300)))

    def design(self, terms: Sequence[str], x: Array, y: Array, terrain: Terrain) -> Array:
        """The design matrix (points, terms)."""
        out = np.empty((x.size, len(terms)))
        radial = [k for k, name in enumerate(terms) if name.startswith(SPLINE)]
        if radial:
            numbers = [int(terms[k].removeprefix(SPLINE)) for k in radial]
            out[:, radial] = self._radial(x, y, self.centres[numbers])
        for k, name in enumerate(terms):
            if not name.startswith(SPLINE):
                out[:, k] = self.term(name, x, y, terrain)
        return out


@dataclass(frozen=True)
class Estimator:
    """How a surface is fitted: loss (see `robust.regress`), weights, and in how many steps.

    `weighted`: by the errors of tracking. `sequential`: position first, then the terrain.
    """

    loss: str = "tukey"
    weighted: bool = False
    sequential: bool = False


@dataclass(frozen=True)
class Surface:
    """A fitted surface of both components.

    `coefficients` (2, terms) in metres per unit of the dimensionless term, `covariance`
    (2, terms, terms), `scale` (2,): robust scatter of one point about the surface, m; `rms` of
    the inliers and `nmad` of all points. Of a spline also its `effective` number of coefficients
    and the `smoothing` parameter. `extra`: further variables that describe the choice.
    """

    terms: tuple[str, ...]
    frame: Frame
    coefficients: Array
    covariance: Array
    scale: Array
    points: int
    inliers: Array
    rms: Array
    nmad: Array
    estimator: Estimator = field(default_factory=Estimator)
    effective: Array | None = None
    smoothing: Array | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
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
    def unsmoothed(self) -> tuple[str, ...]:
        """The terms whose coefficients nothing but the points holds."""
        return tuple(t for t in self.terms if not t.startswith(SPLINE))

    @property
    def basis(self) -> Order:
        """Which of `BASES` the terms of position are."""
        return basis_of(self.terms)

    @property
    def order(self) -> int:
        """Degree of the polynomial; of a spline that of what it does not smooth."""
        basis = self.basis
        return basis if isinstance(basis, int) else 1

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

    def at(self, points: Any) -> Array:
        """Both components at points with `x`, `y` and `terrain`, (n, 2), metres."""
        design = self.frame.design(self.terms, points.x, points.y, points.terrain)
        return np.asarray(design @ self.coefficients.T)

    def evaluate(
        self, ds: xr.Dataset, component: int, terms: Sequence[str], terrain: Terrain
    ) -> xr.DataArray:
        """Sum of some of the terms at the posts of `ds`, float32, lazy where `ds` is lazy."""
        nodes, rest = None, tuple(terms)
        if basis_of(terms) == TPS:
            rest = tuple(t for t in terms if t in RELIEF)
            position = tuple(t for t in terms if t not in RELIEF)
            k = [self.terms.index(t) for t in position]
            nodes = Nodes.of(
                ds,
                NODES,
                lambda x, y: (
                    self.frame.design(position, x, y, {}) @ self.coefficients[component, k]
                ),
            )

        def total(y: Array, x: Array, terrain: Terrain) -> Array:
            out = np.zeros((y.size, x.size)) if nodes is None else nodes.at(y[:, 0], x[0])
            for name in rest:
                k = self.terms.index(name)
                out += self.coefficients[component, k] * self.frame.term(name, x, y, terrain)
            return out

        return _on_posts(total, ds, terrain)

    def variance(self, ds: xr.Dataset, component: int, terrain: Terrain) -> xr.DataArray:
        """Variance of the fitted surface at the posts (m2), float32, lazy where `ds` is lazy."""
        if self.basis == TPS:
            return self._spline_variance(ds, component, terrain)

        def total(y: Array, x: Array, terrain: Terrain) -> Array:
            columns = [self.frame.term(name, x, y, terrain) for name in self.terms]
            out = np.zeros((y.size, x.size))
            for i, left in enumerate(columns):
                for j, right in enumerate(columns[: i + 1]):
                    factor = self.covariance[component, i, j] * (1 if i == j else 2)
                    out += factor * (left * right)
            return np.asarray(out.clip(0))

        return _on_posts(total, ds, terrain)

    def _spline_variance(self, ds: xr.Dataset, component: int, terrain: Terrain) -> xr.DataArray:
        """Variance where the terms of position are too many to go through post by post.

        Their own variance, and their covariance with each term of the terrain, are smooth fields.
        """
        covariance = self.covariance[component]
        p = [self.terms.index(t) for t in self.polynomial]

        def own(x: Array, y: Array) -> Array:
            design = self.frame.design(self.polynomial, x, y, {})
            return np.asarray(np.einsum("ij,ij->i", design @ covariance[np.ix_(p, p)], design))

        def shared(term: str) -> Callable[[Array, Array], Array]:
            row = covariance[p, self.terms.index(term)]
            return lambda x, y: np.asarray(self.frame.design(self.polynomial, x, y, {}) @ row)

        fields = {"": Nodes.of(ds, VARIANCE_NODES, own)} | {
            t: Nodes.of(ds, VARIANCE_NODES, shared(t)) for t in self.relief
        }

        def total(y: Array, x: Array, terrain: Terrain) -> Array:
            out = fields[""].at(y[:, 0], x[0])
            columns = {t: self.frame.term(t, x, y, terrain) for t in self.relief}
            for t, column in columns.items():
                out += 2 * column * fields[t].at(y[:, 0], x[0])
                for other, value in columns.items():
                    factor = covariance[self.terms.index(t), self.terms.index(other)]
                    out += factor * (column * value)
            return np.asarray(out.clip(0))

        return _on_posts(total, ds, terrain)

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
            "fit_rms": (
                "component",
                self.rms,
                {"units": "m", "long_name": "root mean square residual of the inliers"},
            ),
            "fit_nmad": (
                "component",
                self.nmad,
                {"units": "m", "long_name": "NMAD of the residuals of all points"},
            ),
            **self.extra,
        }
        if position:
            found |= {
                "term": ("term", list(self.polynomial)),
                "deformation_order": ((), self.order, {"long_name": "degree of the polynomial"}),
                "deformation_basis": (
                    (),
                    str(self.basis),
                    {"long_name": "the surface: degree of a polynomial, bilinear, or tps"},
                ),
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
        if self.basis == TPS and self.effective is not None and self.smoothing is not None:
            found |= {
                "deformation_centres": (
                    ("centre", "component"),
                    self.frame.centres,
                    {"units": "m", "long_name": "centres of the thin-plate spline"},
                ),
                "deformation_effective_terms": (
                    "component",
                    self.effective,
                    {"units": "1", "long_name": "effective number of coefficients of the spline"},
                ),
                "deformation_smoothing": (
                    "component",
                    self.smoothing,
                    {"units": "1", "long_name": "smoothing parameter, by cross-validation"},
                ),
            }
        return found | self._terrain_diagnostics()

    def _terrain_diagnostics(self) -> dict[str, Any]:
        """Coefficients of the terms of the terrain, per metre of elevation or unit of slope."""
        found: dict[str, Any] = {}
        names = {
            ELEVATION: ("topography_coefficient", KILOMETRE, "1",
                        "topography-related offset per metre of elevation"),
            ELEVATION_SQUARED: ("topography_quadratic", KILOMETRE**2, "m-1",
                                "topography-related offset per squared metre of elevation"),
            SLOPES[0]: ("topography_slope_east", 1.0, "m",
                        "offset per tangent of the slope where it faces grid east"),
            SLOPES[1]: ("topography_slope_north", 1.0, "m",
                        "offset per tangent of the slope where it faces grid north"),
        }  # fmt: skip
        for term, (name, unit, units, words) in names.items():
            if term not in self.terms:
                continue
            value, error = (v / unit for v in self.coefficient(term))
            found[name] = ("component", value, {"units": units, "long_name": words})
            about = {"units": units, "long_name": "1-sigma error of the coefficient"}
            found[f"{name}_error"] = ("component", error, about)
        return found


Field = Callable[[Array, Array, Terrain], Array]
"""Called with y (n, 1) and x (1, m) in metres and the terrain there; returns (n, m)."""


def _on_posts(function: Field, ds: xr.Dataset, terrain: Terrain) -> xr.DataArray:
    """A field over the posts in single precision, lazy where `ds` is lazy.

    It is computed some rows at a time: in double precision the terms of a large scene, or of a
    large chunk in each of many threads, would take gigabytes.
    """
    names = tuple(terrain)

    def block(y: Array, x: Array, *values: Any) -> npt.NDArray[np.float32]:
        out = np.empty((y.size, x.size), np.float32)
        for first in range(0, y.size, ROWS):
            rows = slice(first, first + ROWS)
            here = dict(zip(names, (value[rows] for value in values), strict=True))
            out[rows] = function(y[rows, None], x[None, :], here)
        return out

    lines = [np.asarray(ds[k].values, float) for k in ("y", "x")]
    ground = [terrain[name].transpose("y", "x") for name in names]
    chunks = ds["dx"].chunksizes
    if not chunks:
        data: Any = block(*lines, *(g.values for g in ground))
    else:
        import dask.array as da

        y, x = (da.from_array(v, chunks=(chunks[k],)) for v, k in zip(lines, "yx", strict=True))
        given = [part for g in ground for part in (g.chunk(chunks).data, "yx")]
        data = da.blockwise(block, "yx", y, "y", x, "x", *given, dtype=np.float32)
    coords = {k: ds.coords[k] for k in ds["dx"].coords}
    return xr.DataArray(data, coords, ("y", "x"), name=ds["dx"].name)
