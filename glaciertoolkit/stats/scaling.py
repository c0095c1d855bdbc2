"""Power laws between speed and what drives it, with errors that know of neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.on_ice import OnIce

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEWEST_CLUSTERS = 10
"""Glaciers from which their number carries the error; with fewer the distance of posts does."""

LEVEL = 0.95
SIGNIFICANT = 2.0
_LAGS = 24
_RANGES = 80
_FAR = 0.05
"""Correlation from which on residuals count as independent."""
_SEED = 20190903


class Correlation(NamedTuple):
    """Of residuals: ``share * exp(-distance / length)``, and 1 of each with itself."""

    share: float
    length: float

    def matrix(self, points: Floats) -> Floats:
        """Between all pairs of points (n, 2)."""
        from scipy.spatial.distance import pdist, squareform

        found = squareform(self.share * np.exp(-pdist(points) / self.length))
        np.fill_diagonal(found, 1.0)
        return np.asarray(found)


class PowerLaw(xr.Dataset):
    """A Dataset over `term` with the exponents of a power law; prints as a table."""

    __slots__ = ()

    def rows(self) -> Iterator[tuple[str, dict[str, float]]]:
        """(term, numbers) of each line of the table."""
        for i, term in enumerate(self["term"].values):
            yield str(term), {k: float(self[k][i]) for k in COLUMNS}

    def __repr__(self) -> str:
        head = f"{'':22} " + " ".join(f"{c:>10}" for c in COLUMNS)
        lines = [self.attrs["formula"], head]
        for term, numbers in self.rows():
            lines.append(f"{term:22} " + " ".join(f"{numbers[c]:>10.3g}" for c in COLUMNS))
        return "\n".join([*lines, self._foot()])

    def _foot(self) -> str:
        return (
            f"r2 {float(self['r2']):.2f}, {int(self['n'])} values, "
            f"{float(self['dof']):.0f} degrees of freedom; {self.attrs['errors']}"
        )

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{c}</th>" for c in ("", *COLUMNS))
        body = "".join(
            f"<tr><td>{escape(term)}</td>" + "".join(f"<td>{n[c]:.3g}</td>" for c in COLUMNS)
            + "</tr>"
            for term, n in self.rows()
        )  # fmt: skip
        return (
            f"<p>{escape(self.attrs['formula'])}</p><table><tr>{head}</tr>{body}</table>"
            f"<p>{escape(self._foot())}</p>"
        )


COLUMNS = ("estimate", "error", "low", "high", "p_value")


def shallow_ice(
    ds: xr.Dataset,
    *,
    outlines: Polygons | None = None,
    samples: int = 1500,
) -> PowerLaw:
    """How speed follows driving stress and thickness, against the shallow-ice approximation.

    Parameters
    ----------
    ds : xarray.Dataset
        Velocity with the variables of `driving_stress`; where there is a `v_error`, only posts
        faster than twice their error count.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Glacier outlines: only ice inside counts, and with ten glaciers or more the errors are
        those of glaciers as clusters.
    samples : int
        Posts, drawn at random, that the fit uses at most: neighbours say nothing new.

    Returns
    -------
    PowerLaw
        A Dataset that prints as a table, over `term` ("constant", "ln driving_stress",
        "ln thickness"): `estimate`, `error` (1-sigma), `low` and `high` (95 % interval), `p_value`
        (against 0); `r2`, `n`, `dof`, `posts` (that could have been used), `share_left_out` (of
        the posts with a speed and a stress, because they are not significantly fast) and
        `correlation_length` (m, of the residuals; NaN with glaciers as clusters).

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity or no driving stress.
    InputError
        Fewer than 30 posts to fit, or posts that do not vary.
    ParameterError
        `samples` below 30.

    Notes
    -----
    ``ln v = c + p ln tau + q ln H`` by least squares. Ice that only deforms has p = n = 3 and
    q = 1. Errors of thickness and slope draw both exponents towards zero, leaving out slow posts
    does too, and sliding changes them: an exponent other than 3 is no measurement of n.

    The errors are those of least squares under residuals that are correlated over space: a
    nugget and an exponential whose range comes from the residuals (``(X'X)^-1 X'SX (X'X)^-1``),
    with the degrees of freedom ``n^2 / sum(s_ij^2)``; or, for ten glaciers and more, the
    cluster-robust errors of glaciers, with one degree of freedom less than glaciers. Errors that
    take posts as independent are several times too small.

    References
    ----------
    Dehecq, A. et al. (2019), Twenty-first century glacier slowdown driven by mass loss in High
    Mountain Asia, Nature Geoscience 12.
    Cressie, N. (1993), Statistics for Spatial Data, Wiley.

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> from glaciertoolkit import driving_stress
    >>> ds = driving_stress(region.velocity, thickness=region.thickness, dem=region.dem)
    >>> law = shallow_ice(ds, outlines=region.outlines)
    >>> bool(0.5 < float(law.estimate[1]) < 4)
    True
    """
    validate(ds, needs=("v", "driving_stress", "thickness"))
    if samples < 30:
        raise ParameterError(f"samples must be 30 or more; got {samples!r}.")
    names = [k for k in ("v", "v_error", "driving_stress", "thickness") if k in ds]
    if outlines is None:
        fields = ds[names].compute()
        values = {k: fields[k].transpose("y", "x").values.ravel() for k in names}
        place: Any = np.indices((ds.sizes["y"], ds.sizes["x"])).reshape(2, -1)
        glacier = np.zeros(place[0].size, np.int32)
    else:
        found = OnIce.of(ds, outlines)
        values = found.ice.take({k: ds[k] for k in names})
        place, glacier = (found.ice.row(), found.ice.column), found.ice.glacier
    with np.errstate(invalid="ignore"):
        known = (values["v"] > 0) & (values["driving_stress"] > 0) & (values["thickness"] > 0)
        fast = known & ~(values["v"] < SIGNIFICANT * values.get("v_error", 0))
    chosen = _sampled(np.flatnonzero(fast), samples)
    if chosen.size < 30:
        raise InputError(
            f"{chosen.size} posts have a significant speed and a driving stress; 30 are needed."
        )
    logs = {k: np.log(values[k][chosen].astype(float)) for k in names if k != "v_error"}
    x, y = ds["x"].values[place[1][chosen]], ds["y"].values[place[0][chosen]]
    points = np.column_stack([x, y]).astype(float)
    design = {f"ln {k}": logs[k] for k in ("driving_stress", "thickness")}
    many = np.unique(glacier[chosen]).size >= FEWEST_CLUSTERS
    out = fit(logs["v"], design, points=points, clusters=glacier[chosen] if many else None)
    out["posts"] = ((), int(fast.sum()), {"units": "1"})
    left = 1 - fast.sum() / known.sum()
    out["share_left_out"] = ((), float(left), {"units": "1"})
    out.attrs["formula"] = "ln v = c + p ln driving_stress + q ln thickness (m yr-1, kPa, m)"
    return out


def speed_scaling(
    table: pd.DataFrame,
    *,
    speed: str = "v_median",
    by: Sequence[str] = ("area_km2", "slope_deg"),
) -> PowerLaw:
    """How the speed of glaciers scales with their size, slope or another column.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a glacier, such as `glaciers` returns, joined with an inventory.
    speed : str
        Column with the speed.
    by : sequence of str
        Columns to explain it; of one that ends with ``slope_deg`` the sine counts.

    Returns
    -------
    PowerLaw
        As `shallow_ice` returns it, one term a column. Rows with a missing value, or one that is
        not positive, are left out; `share_left_out` tells how many.

    Raises
    ------
    InputError
        A column is missing, or fewer rows than three more than coefficients.

    Notes
    -----
    ``ln v = c + a ln area + b ln sin(slope)`` by least squares, with errors that allow the
    scatter to differ from glacier to glacier (HC3), and the t distribution.

    References
    ----------
    MacKinnon, J. G. and White, H. (1985), Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties, Journal of Econometrics 29(3).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> area = np.array([0.5, 1, 2, 4, 8, 16, 32])
    >>> table = pd.DataFrame({"area_km2": area, "v_median": 3 * area**0.5})
    >>> speed_scaling(table, by=["area_km2"])["estimate"].values.round(3).tolist()
    [1.099, 0.5]
    """
    missing = [c for c in (speed, *by) if c not in table]
    if missing or not by or isinstance(by, str):
        raise InputError(
            f"the table lacks {', '.join(missing) or 'columns to explain the speed'}; it has "
            f"{', '.join(map(str, table.columns))}."
        )
    numbers = {c: np.asarray(table[c], float) for c in (speed, *by)}
    names = {c: f"ln {c}" for c in by}
    for column in by:
        if column.endswith("slope_deg"):
            numbers[column] = np.sin(np.radians(numbers[column]))
            names[column] = f"ln sin {column}"
    good = np.all([np.isfinite(v) & (v > 0) for v in numbers.values()], axis=0)
    if good.sum() < len(by) + 4:
        raise InputError(
            f"{int(good.sum())} rows have all of {', '.join(numbers)} above 0; "
            f"{len(by) + 4} are needed."
        )
    out = fit(
        np.log(numbers[speed][good]), {names[c]: np.log(numbers[c][good]) for c in by},
    )  # fmt: skip
    out["share_left_out"] = ((), float(1 - good.mean()), {"units": "1"})
    terms = " + ".join(f"a{i} {name}" for i, name in enumerate(names.values(), 1))
    out.attrs["formula"] = f"ln {speed} = c + {terms}"
    return out


def fit(
    response: Floats,
    covariates: dict[str, Floats],
    *,
    points: Floats | None = None,
    clusters: npt.NDArray[Any] | None = None,
) -> PowerLaw:
    """Least squares of a response on covariates, all of them logarithms.

    The errors are those of `clusters` where given, else of residuals correlated between `points`
    (x, y in metres) where given, else HC3.
    """
    from scipy.stats import t as student

    x = np.column_stack([np.ones_like(response), *covariates.values()])
    n, p = x.shape
    if np.linalg.matrix_rank((x[:, 1:] - x[:, 1:].mean(0)) / _scale(x[:, 1:])) < p - 1:
        raise InputError(
            f"{', '.join(covariates)} do not vary, or not independently of each other; "
            "leave one out."
        )
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ response
    residual = response - x @ beta
    length = float("nan")
    if clusters is not None:
        covariance, dof = _clustered(x, residual, bread, clusters)
        words = f"errors of {int(dof) + 1} glaciers as clusters"
    elif points is not None:
        covariance, dof, length = _correlated(x, residual, bread, points)
        words = f"errors for residuals correlated over {length:.0f} m"
    else:
        leverage = np.einsum("ij,jk,ik->i", x, bread, x)
        scores = x * (residual / np.maximum(1 - leverage, 1e-6))[:, None]
        covariance, dof = bread @ scores.T @ scores @ bread, float(n - p)
        words = "HC3 errors"
    error = np.sqrt(np.diag(covariance))
    reach = student.ppf((1 + LEVEL) / 2, dof) * error
    with np.errstate(divide="ignore"):
        p_value = 2 * student.sf(np.abs(beta) / error, dof)
    total = float(((response - response.mean()) ** 2).sum())
    columns = {
        "estimate": beta, "error": error, "low": beta - reach, "high": beta + reach,
        "p_value": p_value,
    }  # fmt: skip
    numbers = {
        "r2": 1 - float(residual @ residual) / total if total else float("nan"),
        "n": n, "dof": dof,
    }  # fmt: skip
    out: dict[str, Any] = {k: ("term", v, {"units": "1"}) for k, v in columns.items()}
    out |= {k: ((), v, {"units": "1"}) for k, v in numbers.items()}
    out["correlation_length"] = ((), length, {"units": "m"})
    return PowerLaw(out, coords={"term": ["constant", *covariates]}, attrs={"errors": words})


def _scale(x: Floats) -> Floats:
    spread = x.std(axis=0)
    return np.where(spread > 1e-12 * (1 + np.abs(x.mean(axis=0))), spread, np.inf)


def _clustered(
    x: Floats, residual: Floats, bread: Floats, clusters: npt.NDArray[Any]
) -> tuple[Floats, float]:
    group = np.unique(clusters, return_inverse=True)[1]
    number = int(group.max()) + 1
    n, p = x.shape
    scores = np.zeros((number, p))
    np.add.at(scores, group, x * residual[:, None])
    factor = number / (number - 1) * (n - 1) / (n - p)
    return factor * bread @ scores.T @ scores @ bread, float(number - 1)


def _correlated(
    x: Floats, residual: Floats, bread: Floats, points: Floats
) -> tuple[Floats, float, float]:
    n, p = x.shape
    correlation = residual_correlation(residual, points)
    s = correlation.matrix(points)
    # The fit has taken some of the residuals' variance, more so where they are correlated.
    left = n - float(np.einsum("ij,jk,ki->", x.T @ s, x, bread))
    variance = float(residual @ residual) / max(left, 1.0)
    dof = max(n**2 / float((s**2).sum()) - p, 1.0)
    return variance * bread @ (x.T @ s @ x) @ bread, dof, correlation.length


def residual_correlation(residual: Floats, points: Floats) -> Correlation:
    """Nugget and range of residuals at points, from their correlogram.

    Lags reach to where the correlation falls below 0.05, at most a third of the extent.
    """
    from scipy.spatial.distance import pdist

    z = residual / residual.std() if residual.std() else residual
    distance = pdist(points)
    product = _pairs(z)
    extent = float(np.hypot(*np.ptp(points, axis=0)))
    edges = np.linspace(0, extent / 3, _LAGS + 1)
    lag = np.searchsorted(edges, distance, side="right") - 1
    near = lag < _LAGS
    count = np.bincount(lag[near], minlength=_LAGS)
    mean = np.bincount(lag[near], weights=product[near], minlength=_LAGS) / np.maximum(count, 1)
    middle = np.bincount(lag[near], weights=distance[near], minlength=_LAGS) / np.maximum(count, 1)
    filled = count >= 10
    mean, middle = mean[filled], middle[filled]
    if not mean.size:
        return Correlation(0.0, extent or 1.0)
    far = np.flatnonzero(mean < _FAR)
    last = max(int(far[0]) if far.size else mean.size, min(2, mean.size))
    h, c = middle[:last], mean[:last]
    lengths = np.geomspace(max(h[0], 1e-6) / 2, max(extent, h[0]), _RANGES)
    shape = np.exp(-h[None, :] / lengths[:, None])
    share = np.clip((shape @ c) / (shape**2).sum(axis=1), 0.0, 1.0)
    misfit = ((c - share[:, None] * shape) ** 2).sum(axis=1)
    best = int(np.argmin(misfit))
    return Correlation(float(share[best]), float(lengths[best]))


def _pairs(z: Floats) -> Floats:
    """Products of all pairs, in the order of `pdist`."""
    rows, columns = np.triu_indices(z.size, 1)
    return np.asarray(z[rows] * z[columns])


def _sampled(where: npt.NDArray[np.intp], number: int) -> npt.NDArray[np.intp]:
    if where.size <= number:
        return where
    return np.sort(np.random.default_rng(_SEED).choice(where, number, replace=False))
