"""How much of a map its strata explain: the geographical detector."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.stats.multiplicity import adjust_p
from glaciertoolkit.stats.samples import Sample, read_sample
from glaciertoolkit.stats.shuffles import Index, shuffled
from glaciertoolkit.stats.sites import Floats, Ints
from glaciertoolkit.stats.strata import stratify

if TYPE_CHECKING:
    import pandas as pd

MOST_SHUFFLED = 4000
"""Rows that are shuffled; of more, a random part stands for all."""
SENSITIVITY = (4, 5, 6, 7, 8)
_SEED = 20190903
_EQUAL = 1e-9


@dataclass(frozen=True)
class Geodetector:
    """What `geodetector` found; each attribute is a pandas.DataFrame.

    Attributes
    ----------
    factors
        One row a factor: `q`, `q_adjusted`, `strata`, `p`, `p_adjusted`, `p_ncf`, `singles`.
    interactions
        One row a pair of factors: `q1`, `q2`, `q12`, `q12_adjusted`, `interaction`,
        `interaction_adjusted` (of the adjusted q), `p`, `dropped`.
    risk
        One row a pair of strata of a factor: `difference` of their means, `t`, `df`,
        `p_welch`, `p`, `p_adjusted`.
    ecological
        One row a pair of factors: `F`, `p`, `differ`.
    sensitivity
        q of each factor (row) for each number of classes (column).
    """

    factors: pd.DataFrame
    interactions: pd.DataFrame
    risk: pd.DataFrame
    ecological: pd.DataFrame
    sensitivity: pd.DataFrame

    def __repr__(self) -> str:
        return "\n\n".join(
            f"{title}\n{table.to_string(float_format=lambda v: f'{v:.3g}')}"
            for title, table in self._parts()
        )

    def _repr_html_(self) -> str:
        return "".join(
            f"<p>{title}</p>{table.to_html(float_format=lambda v: f'{v:.3g}')}"
            for title, table in self._parts()
        )

    def _parts(self) -> list[tuple[str, pd.DataFrame]]:
        parts = [
            ("Share of the variance that each factor explains", self.factors),
            ("Two factors together", self.interactions),
            ("Whether the factors explain differently much", self.ecological),
            ("q for other numbers of classes", self.sensitivity),
        ]
        return [(title, table) for title, table in parts if len(table)]


def q_statistic(y: npt.ArrayLike, strata: npt.ArrayLike) -> float:
    """Share of the variance of `y` that lies between strata.

    Parameters
    ----------
    y : array_like, shape (n,)
        Finite.
    strata : array_like, shape (n,)
        Stratum of each value, of any kind.

    Returns
    -------
    float
        ``q = 1 - SSW / SST``, 0 to 1; NaN for a constant `y`.

    Examples
    --------
    >>> round(q_statistic([1, 2, 3, 4, 5, 6, 7], [1, 2, 2, 2, 3, 3, 3]), 6)
    0.857143
    """
    values = np.asarray(y, np.float64)
    _, label = np.unique(np.asarray(strata), return_inverse=True)
    if label.shape != values.shape:
        raise InputError(f"{values.size} values but {label.size} strata.")
    within, total = _squares(values, label)
    return 1 - within / total if total > 0 else float("nan")


def geodetector(
    data: pd.DataFrame | xr.Dataset,
    *,
    response: str,
    factors: Sequence[str],
    classes: int = 5,
    rule: str = "quantile",
    coordinates: Any = None,
    groups: Any = None,
    permutations: int = 999,
    seed: int = _SEED,
) -> Geodetector:
    """Factor, interaction, risk and ecological detector.

    Parameters
    ----------
    data : pandas.DataFrame or xarray.Dataset
        One row a glacier, or a map.
    response : str
        What is to be explained.
    factors : sequence of str
        Numbers are cut into classes; texts, booleans and numbers of few different values
        are strata as they are.
    classes : int
        Number of classes, 4 to 8 as a rule.
    rule : {"quantile", "natural", "equal"}
        Equally full, with the least variance within, or equally wide.
    coordinates, groups : optional
        As in `attribution`.
    permutations, seed : int
        Shuffles of the response behind `p`; 0 for none.

    Returns
    -------
    Geodetector

    Raises
    ------
    InputError, ParameterError, MissingVariableError
        Too few rows, a constant response, options that there are not, an unknown column.

    Warns
    -----
    GlacierToolkitWarning
        Strata of one value: they explain it for sure, and q is too high.

    Notes
    -----
    ``q = 1 - SSW / SST``. More strata explain more, of noise too: `q_adjusted` is
    ``1 - (1 - q)(N - 1)/(N - L)``. `p` is the share of shuffled maps whose q is as large:
    blocks of the map change places, so that neighbours stay neighbours. `p_ncf` is the published
    one, a noncentral F with the noncentrality ``[sum m_h^2 - (sum sqrt(N_h) m_h)^2 / N] / s^2`` of
    the means m_h of the strata; with unequal strata it changes when a constant is added
    to the response, and it counts every post: do not rest anything on it.

    `interaction` compares q of the product strata with those of the two factors, all on the
    same rows; product strata of one row are dropped (`dropped`: their share). q12 can hardly be
    below either of them, whatever the factors are; `interaction_adjusted` compares adjusted q.
    `p` of the risk detector is from the same shuffles, `p_welch` is the published one. The
    ecological F is ``SSW1 / SSW2`` with the effective number of rows.

    References
    ----------
    Wang, J.-F. et al. (2010), Geographical detectors-based health risk assessment and its
    application in the neural tube defects study of the Heshun Region, China, International
    Journal of Geographical Information Science 24.
    Wang, J.-F., Zhang, T.-L. and Fu, B.-J. (2016), A measure of spatial stratified
    heterogeneity, Ecological Indicators 67.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"y": [1, 2, 3, 4, 5, 6, 7], "zone": list("abbbccc")})
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     found = geodetector(table, response="y", factors=["zone"], permutations=99)
    >>> round(float(found.factors.loc["zone", "q"]), 6)
    0.857143
    """
    import pandas as pd

    names = list(factors)
    if not names:
        raise ParameterError("geodetector() needs at least one factor.")
    if permutations and permutations < 99:
        raise ParameterError(f"permutations must be 0 or at least 99; got {permutations!r}.")
    sample = read_sample(
        data, response=response, factors=names, coordinates=coordinates, groups=groups
    ).complete(response, *names)
    if len(sample.table) < 5:
        raise InputError(f"{len(sample.table)} rows have {response} and all factors; 5 are needed.")
    y = sample.numbers(response)
    if np.ptp(y) == 0:
        raise InputError(f"{response} is the same in all rows; there is nothing to explain.")
    found = {name: stratify(sample.table[name], classes=classes, rule=rule) for name in names}
    strata = {name: labels for name, (labels, _) in found.items()}
    _warn_singles(strata)
    draw = _Shuffles.of(y, sample, permutations, seed)
    table = pd.DataFrame([_factor(name, y, strata[name], draw) for name in names])
    table["p_adjusted"] = adjust_p(table["p"])
    pairs = list(itertools.combinations(names, 2))
    size = _independent(y, sample)
    return Geodetector(
        factors=table.set_index("factor")[list(_FACTOR_COLUMNS)],
        interactions=pd.DataFrame([_interaction(a, b, y, strata, draw) for a, b in pairs]),
        risk=_risk(y, found, draw),
        ecological=pd.DataFrame([_ecological(a, b, y, strata, size) for a, b in pairs]),
        sensitivity=_sensitivity(y, sample, names, rule),
    )


_FACTOR_COLUMNS = ("q", "q_adjusted", "strata", "p", "p_adjusted", "p_ncf", "singles")


class _Shuffles(NamedTuple):
    """Shuffled responses (number, m) of the rows `which`, and their own (m,)."""

    which: npt.NDArray[np.intp]
    own: Floats
    drawn: Floats

    @classmethod
    def of(cls, y: Floats, sample: Sample, number: int, seed: int) -> _Shuffles:
        which = np.arange(y.size)
        if y.size > MOST_SHUFFLED:
            rng = np.random.default_rng(seed)
            which = np.sort(rng.choice(y.size, MOST_SHUFFLED, replace=False))
        part = sample.take(which)
        orders: Index = np.empty((0, which.size), np.intp)
        if number:
            orders = shuffled(
                y[which], sites=part.sites, groups=part.groups, number=number, seed=seed
            )
        own = y[which] - y.mean()
        return cls(which, own, own[orders])

    def means(self, label: Ints, size: int) -> tuple[Floats, Floats]:
        """Means of the strata, of the sample (L,) and of each shuffle (number, L)."""
        member = np.eye(size)[label[self.which]]
        count = np.maximum(member.sum(axis=0), 1)
        return self.own @ member / count, self.drawn @ member / count

    def p(self, label: Ints, size: int) -> float:
        """Share of the shuffles whose q is at least that of the sample."""
        if not len(self.drawn):
            return float("nan")
        own, drawn = self.means(label, size)
        count = np.bincount(label[self.which], minlength=size)

        def explained(values: Floats, means: Floats) -> Floats:
            middle = values.mean(axis=-1)
            between = (means**2 @ count) - values.shape[-1] * middle**2
            total = ((values - middle[..., None]) ** 2).sum(axis=-1)
            return np.asarray(np.divide(between, total, out=np.zeros_like(total), where=total > 0))

        q, shuffled_q = explained(self.own[None], own[None])[0], explained(self.drawn, drawn)
        return float((1 + (shuffled_q >= q - 1e-12).sum()) / (len(self.drawn) + 1))


def _squares(y: Floats, label: Ints) -> tuple[float, float]:
    """Sum of squares within the strata, and in all."""
    z = y - y.mean()
    count = np.bincount(label)
    means = np.bincount(label, z) / np.maximum(count, 1)
    return float(((z - means[label]) ** 2).sum()), float((z**2).sum())


def _q(y: Floats, label: Ints) -> float:
    within, total = _squares(y, label)
    return 1 - within / total if total > 0 else float("nan")


def _adjusted(q: float, n: int, size: int) -> float:
    """q less what as many strata would explain of noise."""
    return 1 - (1 - q) * (n - 1) / (n - size) if n > size else math.nan


def _warn_singles(strata: dict[str, Ints]) -> None:
    named = [name for name, label in strata.items() if (np.bincount(label) == 1).any()]
    if named:
        warnings.warn(
            f"strata of one value in {', '.join(named)}: they explain it for sure, so q is too "
            f"high. Take fewer classes, or join them to others.",
            GlacierToolkitWarning,
            stacklevel=3,
        )


def _factor(name: str, y: Floats, label: Ints, draw: _Shuffles) -> dict[str, Any]:
    n, size = y.size, int(label.max()) + 1
    q = _q(y, label)
    count = np.bincount(label)
    return {
        "factor": name,
        "q": q,
        "q_adjusted": _adjusted(q, n, size),
        "strata": size,
        "p": draw.p(label, size),
        "p_ncf": published_p(y, label),
        "singles": float((count == 1).sum() / n),
    }


def published_p(y: npt.ArrayLike, strata: npt.ArrayLike) -> float:
    """p of q by the noncentral F distribution, as published: see the Notes of `geodetector`.

    Parameters
    ----------
    y, strata : array_like, shape (n,)

    Returns
    -------
    float
        NaN where the strata are one or as many as the values.
    """
    from scipy import stats

    values = np.asarray(y, np.float64)
    _, label = np.unique(np.asarray(strata), return_inverse=True)
    n, size = values.size, int(label.max()) + 1
    within, total = _squares(values, label)
    if size < 2 or n <= size or within <= 0:
        return float("nan")
    count = np.bincount(label)
    means = np.bincount(label, values) / count
    spread = (means**2).sum() - (np.sqrt(count) * means).sum() ** 2 / n
    q = 1 - within / total
    f = (n - size) / (size - 1) * q / (1 - q)
    # The variance of the reference implementation is that of a sample.
    shift = max(float(spread) / values.var(ddof=1), 0.0)
    return float(stats.ncf.sf(f, size - 1, n - size, shift))


def interaction_class(q1: float, q2: float, q12: float) -> str:
    """What two factors together explain, beside what each explains.

    Parameters
    ----------
    q1, q2, q12 : float
        Of either factor and of both.

    Returns
    -------
    str
        `weaken-nonlinear` (less than either), `weaken-uni` (between them), `enhance-bi` (more
        than either), `independent` (their sum), `enhance-nonlinear` (more than their sum).

    Examples
    --------
    >>> interaction_class(0.2, 0.3, 0.6), interaction_class(0.2, 0.3, 0.4)
    ('enhance-nonlinear', 'enhance-bi')
    """
    if abs(q12 - q1 - q2) <= _EQUAL:
        return "independent"
    if q12 > q1 + q2:
        return "enhance-nonlinear"
    if q12 > max(q1, q2) + _EQUAL:
        return "enhance-bi"
    return "weaken-uni" if q12 >= min(q1, q2) - _EQUAL else "weaken-nonlinear"


def _interaction(
    first: str, second: str, y: Floats, strata: dict[str, Ints], draw: _Shuffles
) -> dict[str, Any]:
    a, b = strata[first], strata[second]
    _, both = np.unique(a * (int(b.max()) + 1) + b, return_inverse=True)
    keep = np.bincount(both)[both] > 1
    out: dict[str, Any] = {
        "factor": first, "other": second, "q1": math.nan, "q2": math.nan, "q12": math.nan,
        "q12_adjusted": math.nan, "interaction": "too few",
        "interaction_adjusted": "too few", "p": math.nan,
        "dropped": float(1 - keep.mean()),
    }  # fmt: skip
    if keep.sum() < 3 or np.ptp(y[keep]) == 0:
        return out
    _, product = np.unique(both[keep], return_inverse=True)
    q1, q2, q12 = (_q(y[keep], label) for label in (a[keep], b[keep], product))
    n, size = int(keep.sum()), int(product.max()) + 1
    adjusted = _adjusted(q12, n, size)
    fair1, fair2 = (_adjusted(q, n, np.unique(s[keep]).size) for q, s in ((q1, a), (q2, b)))
    kind = interaction_class(q1, q2, q12)
    fair = interaction_class(fair1, fair2, adjusted) if math.isfinite(adjusted) else "too few"
    p = draw.p(both, int(both.max()) + 1)
    return out | {
        "q1": q1, "q2": q2, "q12": q12, "q12_adjusted": adjusted, "interaction": kind,
        "interaction_adjusted": fair, "p": p,
    }  # fmt: skip


def _risk(y: Floats, found: dict[str, tuple[Ints, list[str]]], draw: _Shuffles) -> pd.DataFrame:
    """Differences between the means of all pairs of strata of each factor."""
    import pandas as pd
    from scipy import stats

    rows = []
    for name, (label, names) in found.items():
        count = np.bincount(label)
        mean = np.bincount(label, y) / count
        squares = np.bincount(label, (y - mean[label]) ** 2)
        own, drawn = draw.means(label, len(names))
        for i, j in itertools.combinations(range(len(names)), 2):
            row: dict[str, Any] = {
                "factor": name, "stratum": names[i], "other": names[j],
                "difference": mean[i] - mean[j], "t": math.nan, "df": math.nan,
                "p_welch": math.nan, "p": math.nan,
            }  # fmt: skip
            if min(count[i], count[j]) > 1 and squares[i] + squares[j] > 0:
                a, b = (squares[k] / (count[k] - 1) / count[k] for k in (i, j))
                t = row["difference"] / math.sqrt(a + b)
                free = (a + b) ** 2 / (a**2 / (count[i] - 1) + b**2 / (count[j] - 1))
                row |= {"t": t, "df": free, "p_welch": float(2 * stats.t.sf(abs(t), free))}
            if len(drawn):
                far = np.abs(drawn[:, i] - drawn[:, j]) >= abs(own[i] - own[j]) - 1e-12
                row["p"] = float((1 + far.sum()) / (len(drawn) + 1))
            rows.append(row)
    table = pd.DataFrame(rows)
    if len(table):
        table["p_adjusted"] = adjust_p(table["p"])
    return table


def _independent(y: Floats, sample: Sample) -> float:
    """How many independent values the response holds."""
    if sample.sites is not None:
        return sample.sites.effective_size(y, y)
    if sample.groups is not None:
        return float(np.unique(sample.groups).size)
    return float(y.size)


def _ecological(
    first: str, second: str, y: Floats, strata: dict[str, Ints], size: float
) -> dict[str, Any]:
    from scipy import stats

    a, b = (_squares(y, strata[name])[0] for name in (first, second))
    f = a / b if b > 0 else math.nan
    free = max(size - 1, 1.0)
    p = 2 * min(stats.f.sf(f, free, free), stats.f.cdf(f, free, free)) if b > 0 else math.nan
    return {"factor": first, "other": second, "F": f, "p": float(p), "differ": bool(p < 0.05)}


def _sensitivity(y: Floats, sample: Sample, names: Sequence[str], rule: str) -> pd.DataFrame:
    import pandas as pd

    rows = {}
    for name in names:
        values = sample.table[name]
        rows[name] = {
            k: _q(y, stratify(values, classes=k, rule=rule)[0])
            for k in SENSITIVITY
            if 2 * k <= y.size
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("factor")
