"""What explains the speed: correlation, regression and strata in one call, and what they carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import InputError, MissingVariableError, ParameterError
from glaciertoolkit.stats.claims import (
    Claim,
    about_contrast,
    about_correlation,
    about_small,
    joined,
    role_of,
)
from glaciertoolkit.stats.correlation import METHODS, check_options, correlation_of
from glaciertoolkit.stats.geodetector import Geodetector, geodetector
from glaciertoolkit.stats.multiplicity import adjust_p
from glaciertoolkit.stats.partial import partial_correlation
from glaciertoolkit.stats.regression import RegressionTable, regression
from glaciertoolkit.stats.samples import Sample, read_sample
from glaciertoolkit.stats.sites import Floats

if TYPE_CHECKING:
    import pandas as pd

RESPONSES = ("v", "v_median", "v_mean")
ROLES = ("topography", "climate", "other")
FASTEST_MADE_SENSE = 1e-3
"""m yr-1: speeds below are raised to it before their logarithm is taken."""
_SEED = 20190903


@dataclass(frozen=True)
class Attribution:
    """What `attribution` found.

    Attributes
    ----------
    correlations : pandas.DataFrame
        One row a factor and method: `r`, `low`, `high`, `p`, `p_adjusted` (over all rows),
        `n_effective`.
    partial : pandas.DataFrame or None
        Spearman's, each factor with the others held.
    regression : RegressionTable or None
    geodetector : Geodetector or None
    claims : list of Claim
        The sentences of the founding data set's abstract, with their verdicts.
    notes : list of str
        What to know before quoting any of it.
    response : str
    """

    correlations: pd.DataFrame
    partial: pd.DataFrame | None
    regression: RegressionTable | None
    geodetector: Geodetector | None
    claims: list[Claim]
    notes: list[str] = field(default_factory=list)
    response: str = "v"

    def sentences(self) -> list[str]:
        """Each sentence of the abstract, its verdict and the numbers."""
        return [str(claim) for claim in self.claims]

    def summary(self) -> str:
        """What may be said of the map, in words."""
        return "\n".join([*self._found(), *self.sentences(), *self.notes])

    def _found(self) -> Iterator[str]:
        rank = self.correlations[self.correlations["method"] == "spearman"]
        yield f"What goes with {self.response} (Spearman's rank correlation):"
        for row in rank.to_dict("records"):
            r, low, high, p = (float(row[k]) for k in ("r", "low", "high", "p_adjusted"))
            if not np.isfinite(p):
                yield f"- {row['factor']}: not tested."
                continue
            relation = f"{'rises' if r > 0 else 'falls'} with it (rho {r:.2f})"
            if p >= 0.05:
                relation = f"no relation that chance would not make (rho {r:.2f})"
            yield (
                f"- {row['factor']}: {relation}, {low:.2f} to {high:.2f}, adjusted p {p:.2g}, "
                f"about {row['n_effective']:.0f} independent values."
            )
        if self.regression is not None:
            yield (
                f"Together the factors explain {self.regression.r2:.0%} of the variance in a "
                f"linear regression ({self.regression.r2_adjusted:.0%} allowing for their number)."
            )

    def __repr__(self) -> str:
        parts = [f"{title}\n{_text(table)}" for title, table in self._tables()]
        return "\n\n".join([*parts, self.summary()])

    def _repr_html_(self) -> str:
        from html import escape

        parts = [f"<h4>{escape(title)}</h4>{_html(table)}" for title, table in self._tables()]
        words = "".join(f"<p>{escape(line)}</p>" for line in self.summary().splitlines())
        return "".join(parts) + words

    def _tables(self) -> Iterator[tuple[str, Any]]:
        yield f"Correlation with {self.response}", self.correlations
        if self.partial is not None:
            yield "Partial correlation (Spearman), the other factors held", self.partial
        if self.regression is not None:
            yield "Multiple regression", self.regression
        if self.geodetector is not None:
            yield "Geographical detector", self.geodetector


def _text(table: Any) -> str:
    if hasattr(table, "to_string"):
        return str(table.to_string(float_format=lambda v: f"{v:.3g}"))
    return repr(table)


def _html(table: Any) -> str:
    if hasattr(table, "to_html"):
        return str(table.to_html(float_format=lambda v: f"{v:.3g}"))
    return str(table._repr_html_())


def attribution(
    data: pd.DataFrame | xr.Dataset,
    *,
    factors: Sequence[str] | Mapping[str, Any] | None = None,
    response: str | None = None,
    roles: Mapping[str, str] | None = None,
    coordinates: Any = None,
    groups: Any = None,
    contrast: Any = None,
    log_response: bool = False,
    classes: int = 5,
    rule: str = "quantile",
    confidence: float = 0.95,
    permutations: int = 999,
    seed: int = _SEED,
) -> Attribution:
    """Test what the speed of glaciers goes with, and what may be said of it.

    Parameters
    ----------
    data : pandas.DataFrame or xarray.Dataset
        One row a glacier (the table of `glaciers` with columns of climate and terrain), or a
        velocity map.
    factors : sequence of str, or mapping of names to columns or maps
        What may explain the speed; a mapping may bring DataArrays on the posts of the map. By
        default all columns or variables whose names tell of topography or climate, and
        `area_km2`. `aspect` becomes `northness` and `eastness`.
    response : str, optional
        By default the first there is of `v`, `v_median` and `v_mean`.
    roles : mapping, optional
        `topography`, `climate` or `other` of factors whose names do not tell.
    coordinates : array_like of shape (n, 2), two column names or False, optional
        Places of the rows of a table: by default `x`, `y` (m), or `cenlon`, `cenlat` and their
        like, or its geometry. False: rows are independent.
    groups : str, array_like, DataArray or polygons, optional
        Glacier of each row or post. Posts in no glacier are left out.
    contrast : array_like or Dataset with `contrast`, optional
        Speed above less speed below the equilibrium line of each glacier, m yr-1. By default
        the column `contrast`, or `v_accumulation` less `v_ablation`; on a map with `elevation`
        and groups, the medians on both sides of the median elevation.
    log_response : bool
        Regress the logarithm of the speed.
    classes, rule, permutations, seed
        As in `geodetector`.
    confidence : float
        Of all intervals.

    Returns
    -------
    Attribution
        `correlations`, `partial`, `regression`, `geodetector`, `claims`; it prints as tables and
        words, ``summary()`` is the words alone.

    Raises
    ------
    InputError, MissingVariableError, ParameterError, GridError
        Too few rows, unknown names, no factor, maps on different posts.

    Notes
    -----
    No test counts posts: see `correlate`, `regression` and `geodetector` for what they count. A
    map with more than 250,000 posts is thinned regularly. p values are adjusted within each
    table after Benjamini and Hochberg.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> slope, noise = np.random.default_rng(3).standard_normal((2, 80))
    >>> table = pd.DataFrame({"v_median": 20 + 5 * slope + noise, "slope": slope})
    >>> found = attribution(table, permutations=99)
    >>> [claim.verdict for claim in found.claims]
    ['supported', 'open', 'open', 'open', 'open']
    """
    check_options("pearson", confidence)
    columns = _columns(data)
    response = _response(columns) if response is None else response
    if factors is None:
        factors = _default_factors(columns, response)
    sample = read_sample(
        data, response=response, factors=factors, coordinates=coordinates, groups=groups
    )
    sample = _without_aspect(sample)
    names = [str(n) for n in sample.table.columns if n != response]
    if not names:
        raise ParameterError("attribution() needs at least one factor to explain the speed with.")
    known = {name: role_of(name) for name in names} | _checked_roles(roles)
    numeric = [n for n in names if sample.table[n].dtype.kind in "fiu"]
    correlations = _correlations(sample, response, numeric, confidence)
    notes = _notes(sample, data)
    partial, fitted = _together(sample, response, numeric, log_response, confidence, notes)
    detected = _strata(
        sample, response, names, notes,
        classes=classes, rule=rule, permutations=permutations, seed=seed,
    )  # fmt: skip
    alpha = 1 - confidence
    pair = [
        about_correlation(correlations, known, role=role, method="spearman", alpha=alpha)
        for role in ("topography", "climate")
    ]
    claims = [
        *pair,
        joined(pair),
        about_contrast(_contrasts(data, sample, contrast), alpha=alpha, seed=seed),
        about_small(*_by_size(data, response), alpha=alpha),
    ]
    return Attribution(correlations, partial, fitted, detected, claims, notes, response)


def _columns(data: Any) -> list[str]:
    if isinstance(data, xr.Dataset):
        return [str(n) for n in data.data_vars]
    if hasattr(data, "columns"):
        return [str(n) for n in data.columns]
    raise InputError(
        f"attribution() needs a pandas table or an xarray Dataset; got {type(data).__name__}."
    )


def _response(columns: Sequence[str]) -> str:
    for name in RESPONSES:
        if name in columns:
            return name
    raise MissingVariableError(
        f"there is no speed here (none of {', '.join(RESPONSES)}); name it with response=. "
        f"There are: {', '.join(columns) or 'none'}."
    )


def _default_factors(columns: Sequence[str], response: str) -> list[str]:
    """Columns that tell of topography, climate or size, less those made from the speed."""
    found = []
    for name in columns:
        of_speed = name == response or name.startswith(("v_", "vx", "vy", "contrast", "dx", "dy"))
        of_error = name.endswith(("_error", "_by", "_count"))
        if not of_speed and not of_error and (role_of(name) != "other" or name == "area_km2"):
            found.append(name)
    if not found:
        raise ParameterError(
            f"no column tells of topography or climate; name the factors. "
            f"There are: {', '.join(columns)}."
        )
    return found


def _checked_roles(roles: Mapping[str, str] | None) -> dict[str, str]:
    for name, role in (roles or {}).items():
        if role not in ROLES:
            raise ParameterError(f"the role of {name} must be one of {', '.join(ROLES)}.")
    return dict(roles or {})


def _without_aspect(sample: Sample) -> Sample:
    """A direction has no order: its cosine and sine have."""
    from dataclasses import replace

    table = sample.table.copy()
    for name in [n for n in table.columns if str(n).lower() in ("aspect", "aspect_deg")]:
        angle = np.radians(table[name].to_numpy(float))
        table = table.drop(columns=name).assign(northness=np.cos(angle), eastness=np.sin(angle))
    return replace(sample, table=table)


def _correlations(
    sample: Sample, response: str, names: Sequence[str], confidence: float
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for name in names:
        part = sample.complete(response, name)
        for method in METHODS:
            row: dict[str, Any] = {"factor": name, "method": method}
            if len(part.table) >= 5:
                found = correlation_of(
                    part.numbers(name), part.numbers(response), part.sites, part.groups,
                    method=method, confidence=confidence,
                )  # fmt: skip
                row |= {k: getattr(found, k) for k in ("r", "low", "high", "p", "n_effective")}
            rows.append(row)
    wanted = ["factor", "method", "r", "low", "high", "p", "n_effective"]
    table = pd.DataFrame(rows).reindex(columns=wanted)
    table.insert(6, "p_adjusted", adjust_p(table["p"].astype(float)))
    return table


def _notes(sample: Sample, data: Any) -> list[str]:
    notes = []
    if sample.stride > 1:
        notes.append(f"One post in {sample.stride} was taken along each side of the map.")
    if sample.groups is not None:
        notes.append(
            f"Values of one glacier count as dependent, {np.unique(sample.groups).size} glaciers "
            f"as independent of each other."
        )
    elif sample.sites is None:
        notes.append(
            "The rows have no places: they were taken as independent, which neighbouring "
            "glaciers are not. Give coordinates= or groups=."
        )
    dated = isinstance(data, xr.Dataset) and {"reference_time", "secondary_time"} <= set(
        data.coords
    )
    if dated:
        notes.append("One map permits correlations in space only; it says nothing about changes.")
    return notes


def _spatial_table(sample: Sample) -> dict[str, Any]:
    """How the tests on this sample's table learn of places and groups."""
    points = False if sample.sites is None else sample.sites.points
    return {"coordinates": points, "groups": sample.groups}


def _together(
    sample: Sample,
    response: str,
    names: Sequence[str],
    log_response: bool,
    confidence: float,
    notes: list[str],
) -> tuple[pd.DataFrame | None, RegressionTable | None]:
    """Partial correlations and regression, or a note why there are none."""
    import warnings

    if not names:
        notes.append("No factor is a number: no correlation and no regression.")
        return None, None
    full = sample.complete(response, *names)
    table = full.table.copy()
    where = _spatial_table(full)
    given: dict[str, Any] = {"factors": names, "confidence": confidence, **where}
    try:
        partial = partial_correlation(table, response=response, **given)
    except InputError as error:
        notes.append(f"No partial correlation: {error}")
        partial = None
    target = response
    if log_response:
        target = f"ln_{response}"
        speed = table[response].to_numpy(float)
        table[target] = np.log(np.maximum(speed, FASTEST_MADE_SENSE))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = regression(table, response=target, **given)
        notes.extend(str(w.message) for w in caught)
    except InputError as error:
        notes.append(f"No regression: {error}")
        return partial, None
    return partial, fitted


def _strata(
    sample: Sample, response: str, names: Sequence[str], notes: list[str], **options: Any
) -> Geodetector | None:
    import warnings

    full = sample.complete(response, *names)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = geodetector(
                full.table, response=response, factors=names, **_spatial_table(full), **options
            )
        notes.extend(str(w.message) for w in caught)
        return found
    except ParameterError:
        raise
    except InputError as error:
        notes.append(f"No geographical detector: {error}")
        return None


def _contrasts(data: Any, sample: Sample, given: Any) -> Floats:
    """Speed above less speed below the equilibrium line, one a glacier."""
    if given is not None:
        values = given["contrast"] if isinstance(given, xr.Dataset) else given
        return np.asarray(values, np.float64).ravel()
    columns = _columns(data)
    if not isinstance(data, xr.Dataset):
        if "contrast" in columns:
            return np.asarray(data["contrast"], np.float64)
        if {"v_accumulation", "v_ablation"} <= set(columns):
            return np.asarray(data["v_accumulation"] - data["v_ablation"], np.float64)
        return np.empty(0)
    if sample.groups is None or "elevation" not in sample.table or "v" not in sample.table:
        return np.empty(0)
    part = sample.complete("v", "elevation")
    table = part.table.assign(group=part.groups)
    middle = table.groupby("group")["elevation"].transform("median")
    speeds = table.assign(above=table["elevation"] > middle).groupby(["group", "above"])["v"]
    both = speeds.median().where(speeds.count() >= FEWEST_POSTS).unstack()
    if both.shape[1] < 2:
        return np.empty(0)
    return np.asarray(both[True] - both[False], np.float64)


FEWEST_POSTS = 5
"""Posts on each side of the equilibrium line that make a median."""


def _by_size(data: Any, response: str) -> tuple[Floats | None, Floats, Floats | None]:
    """Area, speed and its error of each glacier of a table."""
    if isinstance(data, xr.Dataset) or "area_km2" not in data:
        return None, np.empty(0), None
    error = data["v_error"].to_numpy(np.float64) if "v_error" in data else None
    speed = data[response].to_numpy(np.float64)
    return data["area_km2"].to_numpy(np.float64), speed, error
