"""Multiple regression of speed on what may explain it, with errors that neighbours allow."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.stats.samples import Sample, read_sample
from glaciertoolkit.stats.sandwich import fit_grouped
from glaciertoolkit.stats.shuffles import correlation_length
from glaciertoolkit.stats.sites import Floats, Sites
from glaciertoolkit.stats.spatial_fit import fit_spatial

if TYPE_CHECKING:
    import pandas as pd

ERRORS = ("auto", "hc3", "groups", "spatial", "blocks")
HIGH_VIF = 5.0
"""Variance inflation above which a coefficient says little."""
MOST_FITTED = 1500
"""Rows whose pairs are all modelled; a map with more is divided into blocks."""
MOST_SHARED = 12
"""Factors among which the explained variance is divided (2^p fits)."""
BLOCK_LENGTHS = 2.0

_KINDS = {
    "hc3": "HC3, rows independent",
    "groups": "robust within glaciers",
    "spatial": "errors correlated over distance",
    "blocks": "robust within blocks of the map",
}


@dataclass(frozen=True)
class RegressionTable:
    """What `regression` found.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a coefficient, the constant first: `coefficient`, `error`, `low`, `high`, `p`,
        `df` (degrees of freedom), `standardised`, `vif`, `share` (of the variance of the
        response).
    r2, r2_adjusted : float
        Share of the variance that all factors explain; corrected for the number of factors.
    errors : str
        Which kind: `hc3`, `groups`, `spatial` or `blocks`.
    units : int
        Independent units: rows, glaciers, blocks, or the effective number of rows.
    response : str
    """

    table: pd.DataFrame
    r2: float
    r2_adjusted: float
    errors: str
    units: int
    response: str

    def __repr__(self) -> str:
        what = {"groups": "glaciers", "blocks": "blocks", "spatial": "independent values"}
        head = (
            f"{self.response}: R2 = {self.r2:.2f} (adjusted {self.r2_adjusted:.2f}), "
            f"{_KINDS[self.errors]}, "
            f"{self.units} {what.get(self.errors, 'rows')}"
        )
        return head + "\n" + self.table.to_string(float_format=lambda v: f"{v:.3g}")

    def _repr_html_(self) -> str:
        head = repr(self).splitlines()[0]
        return f"<p>{head}</p>{self.table.to_html(float_format=lambda v: f'{v:.3g}')}"


def regression(
    data: pd.DataFrame | xr.Dataset,
    *,
    response: str,
    factors: Sequence[str],
    errors: str = "auto",
    coordinates: Any = None,
    groups: Any = None,
    confidence: float = 0.95,
) -> RegressionTable:
    """Linear regression with confidence intervals that dependent rows do not narrow.

    Parameters
    ----------
    data : pandas.DataFrame or xarray.Dataset
        One row a glacier, or a map.
    response : str
        What is to be explained.
    factors : sequence of str
        At least one.
    errors : {"auto", "groups", "spatial", "blocks", "hc3"}
        `groups`: rows of one glacier depend on each other in any way. `spatial`: errors are
        correlated over distance. `blocks`: as groups, with square blocks of the map two
        correlation lengths wide. `hc3`: rows are independent, their variances differ. By
        default `groups` where there are groups, else `spatial` where there are coordinates
        (`blocks` for more than 1500 rows), else `hc3`.
    coordinates, groups : optional
        As in `attribution`.
    confidence : float
        Of the intervals.

    Returns
    -------
    RegressionTable

    Raises
    ------
    InputError
        Too few rows or groups; factors that determine each other exactly, or are constant.
    ParameterError, MissingVariableError
        Options that there are not; an unknown column.

    Warns
    -----
    GlacierToolkitWarning
        A variance inflation above 5: the factors are too alike to be told apart.

    Notes
    -----
    `coefficient` is per unit of the factor, `standardised` in standard deviations of both.
    ``vif = 1 / (1 - R2)`` of each factor on the others. `share` divides R2 among the factors: the
    gain of each, averaged over all orders in which they may enter (Lindeman, Merenda and Gold;
    the same as general dominance). With groups the rows are weighted by one correlation within
    groups and the errors are CR2 with Satterthwaite's degrees of freedom; `spatial` is
    restricted maximum likelihood with an exponential correlation, averaged over its uncertainty.
    Neighbours across the edge of a block still depend on each other: on simulated maps the 95 %
    intervals of `blocks` hold the truth in 91 to 94 %, those of `groups` and `spatial` in 93 to 96.

    References
    ----------
    Long, J. and Ervin, L. (2000), Using heteroscedasticity consistent standard errors in the
    linear regression model, The American Statistician 54.
    Imbens, G. and Kolesar, M. (2016), Robust standard errors in small samples: some practical
    advice, Review of Economics and Statistics 98.
    Groemping, U. (2007), Estimators of relative importance in linear regression based on variance
    decomposition, The American Statistician 61.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> slope, warmth, noise = np.random.default_rng(1).standard_normal((3, 300))
    >>> table = pd.DataFrame({"v": 20 + 3 * slope + warmth + noise, "slope": slope, "t": warmth})
    >>> found = regression(table, response="v", factors=["slope", "t"])
    >>> found.table["coefficient"].round(1).tolist(), round(found.r2, 1)
    ([19.9, 2.9, 1.0], 0.9)
    """
    import pandas as pd
    from scipy import stats

    if errors not in ERRORS:
        raise ParameterError(f"errors must be one of {', '.join(ERRORS)}; got {errors!r}.")
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence must lie between 0 and 1; got {confidence!r}.")
    names = list(factors)
    sample = read_sample(
        data, response=response, factors=names, coordinates=coordinates, groups=groups
    ).complete(response, *names)
    y = sample.numbers(response)
    x = np.column_stack([sample.numbers(n) for n in names]) if names else np.empty((y.size, 0))
    _check_factors(x, y, names, response)
    kind = _kind(errors, sample)
    # Centred and scaled: elevations beside curvatures would cost half the digits.
    middle, spread = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([np.ones(y.size), (x - middle) / spread])
    beta, covariance, degrees, units = _fit(design, y, sample, kind)
    back = np.diag(np.concatenate([[1.0], 1 / spread]))
    back[0, 1:] = -middle / spread
    error = np.sqrt(np.diag(back @ covariance @ back.T))
    # The constant is that of the data's middle plus the way to zero: the fewest decide.
    free = degrees.copy()
    free[0] = degrees.min()
    values = back @ beta
    half = stats.t.ppf((1 + confidence) / 2, free) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(values / error), free)
    shares, r2 = importance(x, y)
    vif = _inflation(x)
    _warn_alike(names, vif)
    nan = [float("nan")]
    table = pd.DataFrame(
        {
            "coefficient": values, "error": error, "low": values - half, "high": values + half,
            "p": p, "df": free, "standardised": [*nan, *(beta[1:] / y.std())],
            "vif": [*nan, *vif], "share": [*nan, *shares],
        },
        index=pd.Index(["constant", *names], name="factor"),
    )  # fmt: skip
    left = units - 1 - len(names)
    adjusted = 1 - (1 - r2) * (units - 1) / left if left > 0 else float("nan")
    return RegressionTable(table, r2, adjusted, kind, units, response)


def _check_factors(x: Floats, y: Floats, names: list[str], response: str) -> None:
    if not names:
        raise ParameterError("a regression needs at least one factor.")
    if len(x) < len(names) + 4:
        raise InputError(
            f"{len(x)} rows have {response} and all of {', '.join(names)}; "
            f"{len(names)} factors need at least {len(names) + 4}."
        )
    if np.ptp(y) == 0:
        raise InputError(f"{response} is the same in all rows; there is nothing to explain.")
    for name, column in zip(names, x.T, strict=True):
        if np.ptp(column) <= 1e-12 * np.abs(column).max():
            raise InputError(f"{name} is the same in all rows; leave it out.")
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    if values[0] < 1e-10:
        alike = [n for n, w in zip(names, vectors[:, 0], strict=True) if abs(w) > 0.05]
        raise InputError(f"{' and '.join(alike)} determine each other exactly; leave one out.")


def _kind(errors: str, sample: Sample) -> str:
    rows = len(sample.table)
    kind = errors
    if errors == "auto":
        kind = "hc3"
        if sample.sites is not None:
            kind = "spatial" if rows <= MOST_FITTED else "blocks"
        if sample.groups is not None:
            kind = "groups"
    if kind == "groups" and sample.groups is None:
        raise ParameterError("errors='groups' needs groups, the glacier of each row.")
    if kind in ("spatial", "blocks") and sample.sites is None:
        raise ParameterError(f"errors={kind!r} needs coordinates of the rows.")
    if kind == "spatial" and rows > MOST_FITTED:
        raise ParameterError(
            f"errors='spatial' looks at every pair of rows and takes at most {MOST_FITTED}; "
            f"there are {rows}. Take errors='blocks'."
        )
    return kind


def _fit(
    design: Floats, y: Floats, sample: Sample, kind: str
) -> tuple[Floats, Floats, Floats, int]:
    """Coefficients, covariance, degrees of freedom and the number of independent units."""
    n, p = design.shape
    if kind == "spatial":
        assert sample.sites is not None
        found = fit_spatial(design, y, sample.sites.points)
        residual = y - design @ found.coefficients
        units = round(sample.sites.effective_size(residual, residual))
        return found.coefficients, found.covariance, np.full(p, found.degrees), units
    if kind == "hc3":
        import statsmodels.api as sm

        fit = sm.OLS(y, design).fit(cov_type="HC3", use_t=True)
        return np.asarray(fit.params), np.asarray(fit.cov_params()), np.full(p, float(n - p)), n
    groups = sample.groups
    if kind == "blocks":
        assert sample.sites is not None
        residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        groups = blocks_of(sample.sites, BLOCK_LENGTHS * correlation_length(residual, sample.sites))
    assert groups is not None
    units = int(np.unique(groups).size)
    if units < p + 1:
        what = "glaciers" if kind == "groups" else "blocks two correlation lengths wide"
        raise InputError(f"{units} {what} cannot carry {p} coefficients; take fewer factors.")
    return *fit_grouped(design, y, groups), units


def blocks_of(sites: Sites, size: float) -> Any:
    """Square block of each site; each its own where `size` is 0."""
    if size <= 0:
        return np.arange(len(sites))
    cell = np.floor((sites.points - sites.points.min(axis=0)) / size).astype(np.int64)
    return cell[:, 0] * (int(cell[:, 1].max()) + 1) + cell[:, 1]


def _inflation(x: Floats) -> list[float]:
    if x.shape[1] == 1:
        return [1.0]
    return [float(v) for v in np.diag(np.linalg.inv(np.corrcoef(x.T)))]


def _warn_alike(names: Sequence[str], vif: Sequence[float]) -> None:
    high = [f"{n} ({v:.0f})" for n, v in zip(names, vif, strict=True) if v > HIGH_VIF]
    if high:
        warnings.warn(
            f"the factors are too alike to be told apart (variance inflation above "
            f"{HIGH_VIF:.0f}): {', '.join(high)}. Leave one out, or read their coefficients "
            f"together.",
            GlacierToolkitWarning,
            stacklevel=3,
        )


def importance(x: Floats, y: Floats) -> tuple[list[float], float]:
    """Share of the variance of y for each column of x, and the sum of them, R2."""
    p = x.shape[1]
    both = np.asarray(np.corrcoef(np.column_stack([x, y]).T), np.float64)
    inner, outer = both[:-1, :-1], both[:-1, -1]

    def explained(chosen: tuple[int, ...]) -> float:
        if not chosen:
            return 0.0
        some = list(chosen)
        solved = np.linalg.lstsq(inner[np.ix_(some, some)], outer[some], rcond=None)[0]
        return float(outer[some] @ solved)

    total = explained(tuple(range(p)))
    if p > MOST_SHARED:
        return [float("nan")] * p, total
    r2 = {s: explained(s) for k in range(p + 1) for s in itertools.combinations(range(p), k)}
    shares = []
    for j in range(p):
        others = [i for i in range(p) if i != j]
        gain = 0.0
        for k in range(p):
            weight = 1 / (p * math.comb(p - 1, k))
            for s in itertools.combinations(others, k):
                gain += weight * (r2[tuple(sorted((*s, j)))] - r2[s])
        shares.append(gain)
    return shares, total
