"""Correlation with as many independent values as the maps hold, not as many as they have posts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.stats.sandwich import clustered
from glaciertoolkit.stats.shuffles import shuffled
from glaciertoolkit.stats.sites import (
    FEWEST_INDEPENDENT,
    Floats,
    Sites,
    sites_from_points,
    sites_of,
)

if TYPE_CHECKING:
    pass

METHODS = ("pearson", "spearman", "kendall")
TESTS = ("effective", "permutation")
_SYMBOLS = {"pearson": "r", "spearman": "rho", "kendall": "tau"}
_SEED = 20190903


@dataclass(frozen=True)
class Correlation:
    """What `correlate` found.

    Attributes
    ----------
    method : str
    r : float
        The coefficient, between -1 and 1.
    p : float
        Two-sided probability of one at least as large without a relation.
    low, high : float
        Confidence interval.
    n_effective : float
        Number of independent values behind it.
    """

    method: str
    r: float
    p: float
    low: float
    high: float
    n_effective: float

    def __repr__(self) -> str:
        return (
            f"{self.method.capitalize()}'s {_SYMBOLS[self.method]} = {self.r:.2f} "
            f"({self.low:.2f} to {self.high:.2f}), p = {self.p:.2g}, "
            f"from about {self.n_effective:.0f} independent values"
        )


def correlate(
    x: Any,
    y: Any,
    *,
    method: str = "pearson",
    test: str = "effective",
    coordinates: Any = None,
    groups: Any = None,
    confidence: float = 0.95,
    permutations: int = 999,
    seed: int = _SEED,
) -> Correlation:
    """Correlation of two maps or two columns, tested as neighbours require.

    Parameters
    ----------
    x, y : xarray.DataArray on (y, x), or array_like of shape (ny, nx) or (n,)
        Two maps on the same posts (an array is one with square posts), or two columns. Pairs
        without both values are left out.
    method : {"pearson", "spearman", "kendall"}
        Product moments, ranks, or concordant pairs (tau-b).
    test : {"effective", "permutation"}
        Student's t with the effective sample size, or the share of shuffled maps that do
        as well: blocks of the map change places; the contributions of groups change their signs.
    coordinates : array_like of shape (n, 2), optional
        x and y of columns, m. Without them, and without groups, rows are taken as independent.
    groups : array_like of shape (n,), optional
        Glacier of each row: values of one glacier may depend on each other in any way, those
        of different glaciers not. Takes the place of the distances.
    confidence : float
        Of the interval.
    permutations, seed : int
        For ``test="permutation"``.

    Returns
    -------
    Correlation
        `r`, `p`, `low`, `high` and `n_effective`; NaN for a constant map.

    Raises
    ------
    ParameterError
        An unknown method or test, a confidence outside 0 to 1.
    GridError, InputError
        Maps on different posts; columns of different lengths; fewer than five pairs.

    Notes
    -----
    Posts of a map are no independent values: two smooth maps that have nothing to do with each
    other correlate, and a test that counts posts calls that significant more often than not. With
    the correlation matrices of both maps, ``S_x`` and ``S_y``, centred by ``B``, the number of
    independent pairs is ``1 + tr(B S_x) tr(B S_y) / tr(B S_x B S_y)``. The matrices come from the
    mean products per class of distance, on a grid from all its lags by Fourier transforms. It
    depends on both maps: a rough one beside a smooth one has many.

    Spearman's and Kendall's coefficients take that of the ranks. The interval is Fisher's, with
    the variances 1/(n - 3), (1 + r^2/2)/(n - 3) and 0.437/(n - 4) of the three coefficients.
    With groups, n is the number that gives the variance which a regression with errors robust
    within groups has (CR2, see `regression`); so are the degrees of freedom.

    References
    ----------
    Clifford, P., Richardson, S. and Hemon, D. (1989), Assessing the significance of the
    correlation between two spatial processes, Biometrics 45.
    Dutilleul, P. (1993), Modifying the t test for assessing the correlation between two spatial
    processes, Biometrics 49.
    Bonett, D. and Wright, T. (2000), Sample size requirements for estimating Pearson, Kendall
    and Spearman correlations, Psychometrika 65.

    Examples
    --------
    >>> import numpy as np
    >>> along = np.linspace(0, 1, 50)
    >>> found = correlate(along, along**2 + 0.1 * np.sin(40 * along))
    >>> round(found.r, 2), found.p < 0.001
    (0.93, True)
    """
    check_options(method, confidence)
    if test not in TESTS:
        raise ParameterError(f"test must be one of {', '.join(TESTS)}; got {test!r}.")
    if test == "permutation" and permutations < 99:
        raise ParameterError(f"permutations must be at least 99; got {permutations!r}.")
    a, b, sites, labels = _pairs(x, y, coordinates, groups)
    found = correlation_of(a, b, sites, labels, method=method, confidence=confidence)
    if test == "effective" or not math.isfinite(found.r):
        return found
    p = _permuted(a, b, sites, labels, method, permutations, seed)
    return Correlation(method, found.r, p, found.low, found.high, found.n_effective)


def check_options(method: str, confidence: float) -> None:
    """Raise `ParameterError` for a method or a confidence that there is not."""
    if method not in METHODS:
        raise ParameterError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence must lie between 0 and 1; got {confidence!r}.")


def _pairs(
    x: Any, y: Any, coordinates: Any, groups: Any
) -> tuple[Floats, Floats, Sites | None, Any]:
    """Both values where there are both, with their sites and groups."""
    sites: Sites | None
    if isinstance(x, xr.DataArray) and isinstance(y, xr.DataArray) and x.ndim == 2:
        if set(x.dims) != {"y", "x"} or set(y.dims) != {"y", "x"}:
            raise GridError("both maps must have the dimensions y and x.")
        for dim in ("y", "x"):
            if not np.array_equal(x[dim].values, y[dim].values):
                raise GridError(
                    "the two maps lie on different posts; bring one onto the other with "
                    "match_raster(one, other)."
                )
        sites = sites_of(x)
        if isinstance(groups, xr.DataArray):
            groups = groups.transpose("y", "x").values
        a, b = (np.asarray(m.transpose("y", "x").values, float).ravel() for m in (x, y))
    else:
        a, b = (np.asarray(v, np.float64) for v in (x, y))
        if a.ndim == 2 and a.shape == b.shape and coordinates is None:
            return _pairs(_unit_grid(a), _unit_grid(b), None, groups)
        if a.ndim != 1 or a.shape != b.shape:
            raise InputError(
                f"correlate() takes two maps on the same posts or two columns of the same length; "
                f"got the shapes {a.shape} and {b.shape}."
            )
        sites = None if coordinates is None else sites_from_points(coordinates, a.size)
    labels = None if groups is None else np.asarray(groups).ravel()
    if labels is not None and labels.size != a.size:
        raise InputError(f"groups has {labels.size} entries for {a.size} values.")
    keep = np.isfinite(a) & np.isfinite(b)
    if sites is not None:
        keep &= np.isfinite(sites.points).all(axis=1)
    if keep.sum() < 5:
        raise InputError(f"{int(keep.sum())} pairs have both values; at least 5 are needed.")
    return (
        a[keep], b[keep],
        None if sites is None else sites.take(keep),
        None if labels is None else labels[keep],
    )  # fmt: skip


def _unit_grid(values: Floats) -> xr.DataArray:
    """An array as a map whose posts are 1 m apart: only the ratio of distances counts."""
    coords = {d: np.arange(n, dtype=float) for d, n in zip(("y", "x"), values.shape, strict=True)}
    return xr.DataArray(values, coords=coords, dims=("y", "x"))


def ranks(values: Floats) -> Floats:
    """Average ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), np.float64)


def coefficient(x: Floats, y: Floats, method: str) -> float:
    """The coefficient itself; NaN where one of them is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    if method == "kendall":
        from scipy.stats import kendalltau

        return float(kendalltau(x, y).statistic)
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))


def correlation_of(
    x: Floats,
    y: Floats,
    sites: Sites | None,
    groups: npt.NDArray[Any] | None,
    *,
    method: str,
    confidence: float,
    controlled: int = 0,
) -> Correlation:
    """`correlate` of finite values; `controlled` variables have been removed from both."""
    a, b = (x, y) if method == "pearson" else (ranks(x), ranks(y))
    r = coefficient(a, b, method)
    if not math.isfinite(r):
        nan = float("nan")
        return Correlation(method, nan, nan, nan, nan, nan)
    size, free = independent_values(a, b, sites, groups)
    p = probability(r, size - controlled, free, method)
    low, high = interval(r, size - controlled, free, method, confidence)
    return Correlation(method, r, p, low, high, size)


def independent_values(
    x: Floats, y: Floats, sites: Sites | None, groups: npt.NDArray[Any] | None
) -> tuple[float, float]:
    """Effective number of pairs, and the degrees of freedom beyond which a test has none."""
    if groups is not None:
        return _of_groups(x, y, groups)
    if sites is not None:
        return sites.effective_size(x, y), math.inf
    return float(x.size), math.inf


def _of_groups(x: Floats, y: Floats, groups: npt.NDArray[Any]) -> tuple[float, float]:
    """Independent values and degrees of freedom of a correlation of values in groups.

    The test of a correlation is that of the slope of either variable on the other, whose
    variances and degrees of freedom differ a little: their mean.
    """
    number = int(np.unique(groups).size)
    if number < 3:
        raise InputError(
            f"the values belong to {number} groups; at least 3 are needed to judge a correlation."
        )
    zx, zy = ((v - v.mean()) / v.std() for v in (x, y))
    r = float((zx * zy).mean())
    found = []
    for a, b in ((zx, zy), (zy, zx)):
        covariance, degrees = clustered(np.column_stack([np.ones(a.size), a]), b - r * a, groups)
        free = float(degrees[1])
        size = 2 + (1 - r**2) / max(float(covariance[1, 1]), 1e-300)
        found.append((min(max(size, FEWEST_INDEPENDENT), x.size), free))
    size, free = np.mean(found, axis=0)
    return float(size), float(free)


def probability(r: float, size: float, free: float, method: str) -> float:
    """Two-sided p of a coefficient from `size` independent pairs."""
    from scipy import stats

    degrees = max(min(size - 2, free), 1.0)
    if method == "kendall":
        n = max(size, 3.0)
        t = r / math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
    else:
        t = r * math.sqrt(max(size - 2, 1.0) / max(1 - r**2, 1e-15))
    return float(2 * stats.t.sf(abs(t), degrees))


def interval(
    r: float, size: float, free: float, method: str, confidence: float
) -> tuple[float, float]:
    """Fisher's interval of a coefficient from `size` independent pairs."""
    from scipy import stats

    if size <= 4:
        return -1.0, 1.0
    variance = {
        "pearson": 1 / (size - 3),
        "spearman": (1 + r**2 / 2) / (size - 3),
        "kendall": 0.437 / (size - 4),
    }[method]
    quantile = stats.norm.ppf((1 + confidence) / 2)
    if math.isfinite(free):
        quantile = stats.t.ppf((1 + confidence) / 2, free)
    middle = math.atanh(min(max(r, -1 + 1e-15), 1 - 1e-15))
    half = float(quantile) * math.sqrt(variance)
    return math.tanh(middle - half), math.tanh(middle + half)


def _permuted(
    x: Floats,
    y: Floats,
    sites: Sites | None,
    groups: npt.NDArray[Any] | None,
    method: str,
    number: int,
    seed: int,
) -> float:
    """Share of shuffled samples, this one included, whose coefficient is at least as large."""
    if groups is not None:
        a, b = (x, y) if method == "pearson" else (ranks(x), ranks(y))
        za, zb = a - a.mean(), b - b.mean()
        _, label = np.unique(groups, return_inverse=True)
        parts = np.bincount(label, za * zb)
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (number, parts.size))
        sums, own = np.abs(signs @ parts), abs(float(parts.sum()))
        return float((1 + (sums >= own * (1 - 1e-12)).sum()) / (number + 1))
    orders = shuffled(y, sites=sites, groups=None, number=number, seed=seed)
    own = abs(coefficient(x, y, method))
    if method == "kendall":
        drawn = np.array([coefficient(x, y[order], method) for order in orders])
    else:
        a, b = (x, y) if method == "pearson" else (ranks(x), ranks(y))
        drawn = _rows_against(a, b, orders)
    return float((1 + (np.abs(np.nan_to_num(drawn)) >= own * (1 - 1e-12)).sum()) / (number + 1))


def _rows_against(x: Floats, y: Floats, orders: npt.NDArray[np.intp]) -> Floats:
    """Correlation of x with y in each order: blocks take values twice, so each has its own std."""
    z = (x - x.mean()) / x.std()
    out = np.empty(len(orders))
    for k, order in enumerate(orders):
        drawn = y[order]
        spread = drawn.std()
        out[k] = float(z @ drawn) / (z.size * spread) if spread > 0 else 0.0
    return out
