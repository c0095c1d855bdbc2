"""Sentences about a map, each with the numbers that carry it, or the reason why none do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glaciertoolkit.stats.multiplicity import adjust_p
from glaciertoolkit.stats.sites import Floats

if TYPE_CHECKING:
    import pandas as pd

SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "open"

POSITIVE = "The ice velocity reveals a positive correlation with {}."
FASTER_ABOVE = "The ice is faster in the accumulation area than in the terminal part."
SMALL_ACTIVE = "Some small and medium-sized glaciers have relatively strong activity."

TOPOGRAPHY_WORDS = (
    "slope", "elevation", "height", "zmed", "zmean", "zmax", "zmin", "relief", "curvature",
    "northness", "eastness", "aspect", "driving_stress", "dem",
)  # fmt: skip
CLIMATE_WORDS = (
    "temperature", "temp", "t2m", "t2", "lst", "precipitation", "precip", "tp", "pr", "rain",
    "snow", "snowfall", "pdd", "degree", "radiation", "humidity", "wind", "climate", "melt",
)  # fmt: skip
UNSIGNED = ("northness", "eastness", "curvature")
"""Factors for which more is no direction in which a sentence could be right."""

FEWEST_GLACIERS = 6
"""Paired glaciers below which a signed-rank test can hardly find anything."""
MEDIAN_FACTOR = 1.2533
"""Standard error of a median over that of a mean, for a Gaussian."""
MEDIUM_KM2 = 10.0


class Claim(NamedTuple):
    """One sentence of the founding data set's abstract, held against the map.

    Attributes
    ----------
    sentence : str
    verdict : str
        `supported`, `contradicted` or `open`.
    because : str
        The numbers, or what is missing.
    """

    sentence: str
    verdict: str
    because: str

    def __str__(self) -> str:
        word = {OPEN: "left open"}.get(self.verdict, self.verdict)
        return f"\u201c{self.sentence}\u201d is {word} by this map: {self.because}"


def role_of(name: str) -> str:
    """`topography`, `climate` or `other`, by the name of a factor."""
    words = name.lower().replace("-", "_").split("_")
    joined = name.lower()
    for role, known in (("climate", CLIMATE_WORDS), ("topography", TOPOGRAPHY_WORDS)):
        if any(w in words for w in known) or any(len(w) > 4 and w in joined for w in known):
            return role
    return "other"


def about_correlation(
    correlations: pd.DataFrame, roles: Mapping[str, str], *, role: str, method: str, alpha: float
) -> Claim:
    """Whether the speed rises with the factors of one kind."""
    sentence = POSITIVE.format(role)
    rows = correlations[correlations["method"] == method]
    rows = rows[[roles[f] == role for f in rows["factor"]]]
    signed = rows[[not any(w in f.lower() for w in UNSIGNED) for f in rows["factor"]]]
    if not len(signed):
        return Claim(sentence, OPEN, f"no factor of {role} with a direction was given.")
    tested = signed[np.isfinite(signed["p_adjusted"])]
    if not len(tested):
        return Claim(sentence, OPEN, "no factor varies enough to be tested.")
    passed = tested[tested["p_adjusted"] < alpha]
    up, down = passed[passed["r"] > 0], passed[passed["r"] < 0]
    rest = tested[tested["p_adjusted"] >= alpha]
    parts = []
    if len(up):
        parts.append(f"the speed rises with {_list(up)}")
    if len(down):
        parts.append(
            f"it falls with {_list(down)}" if parts else f"the speed falls with {_list(down)}"
        )
    if len(rest):
        parts.append(f"no relation can be told from chance for {_list(rest)}")
    because = "; ".join(parts)
    if len(up) and not len(down):
        verdict = SUPPORTED
    elif len(down) and not len(up):
        verdict = CONTRADICTED
    else:
        verdict = OPEN
        if len(up):
            because += "; so the sentence holds for some factors and not for others"
    return Claim(sentence, verdict, because + ". A correlation does not say what moves what.")


def _list(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{r['factor']} ({_number(r['r'])}, {_number(r['low'])} to {_number(r['high'])}, "
        f"adjusted p {_p(r['p_adjusted'])}, about {r['n_effective']:.0f} independent values)"
        for r in rows.to_dict("records")
    )


def _number(value: float) -> str:
    return f"{value:.2f}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def about_contrast(contrast: Floats, *, alpha: float, seed: int) -> Claim:
    """Whether glaciers are faster above the equilibrium line: one difference a glacier, m yr-1."""
    from scipy.stats import wilcoxon

    known = contrast[np.isfinite(contrast)]
    n = known.size
    if n < FEWEST_GLACIERS or not known.any():
        return Claim(
            FASTER_ABOVE, OPEN,
            f"{n} glaciers have a speed on both sides of the equilibrium line; "
            f"at least {FEWEST_GLACIERS} are needed.",
        )  # fmt: skip
    above = float((known > 0).mean())
    low, high = _share_interval(known > 0, seed)
    up = float(wilcoxon(known, alternative="greater").pvalue)
    down = float(wilcoxon(known, alternative="less").pvalue)
    because = (
        f"of {n} glaciers {above:.0%} are faster above ({low:.0%} to {high:.0%} by resampling "
        f"glaciers), the median difference is {np.median(known):+.2g} m yr-1, "
        f"signed-rank p {_p(up)} for faster and {_p(down)} for slower"
    )
    if up < alpha and above > 0.5:
        verdict = SUPPORTED
    elif down < alpha and above < 0.5:
        verdict = CONTRADICTED
    else:
        verdict = OPEN
    return Claim(FASTER_ABOVE, verdict, because + ". Glaciers are taken as independent.")


def _share_interval(yes: Any, seed: int) -> tuple[float, float]:
    drawn = np.random.default_rng(seed).choice(yes, (2000, yes.size)).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def about_small(area: Floats | None, speed: Floats, error: Floats | None, *, alpha: float) -> Claim:
    """Whether small and medium-sized glaciers flow faster than large ones usually do."""
    from scipy.stats import norm

    if area is None:
        return Claim(SMALL_ACTIVE, OPEN, "the areas of the glaciers are not known.")
    known = np.isfinite(area) & np.isfinite(speed)
    large, small = known & (area >= MEDIUM_KM2), known & (area < MEDIUM_KM2)
    if not large.any() or not small.any():
        missing = "large" if not large.any() else "small or medium-sized"
        return Claim(SMALL_ACTIVE, OPEN, f"no {missing} glacier has a speed to compare with.")
    usual = float(np.median(speed[large]))
    faster = int((speed[small] > usual).sum())
    text = (
        f"{faster} of {int(small.sum())} glaciers below {MEDIUM_KM2:g} km2 flow faster than "
        f"{usual:.3g} m yr-1, the median of {int(large.sum())} large ones"
    )
    if error is None or not np.isfinite(error[small]).any():
        return Claim(SMALL_ACTIVE, OPEN, text + "; without errors this may be noise.")
    # The median of the large ones is itself a sample's.
    spread = _median_error(speed[large])
    z = (speed[small] - usual) / np.hypot(MEDIAN_FACTOR * error[small], spread)
    sure = int((adjust_p(norm.sf(z)) < alpha).sum())
    slower = int((adjust_p(norm.cdf(z)) < alpha).sum())
    tested = int(np.isfinite(z).sum())
    text += (
        f"; {sure} of them beyond what errors of measurement and the few large ones explain "
        f"(false discovery rate {alpha:g})"
    )
    if sure >= 2:
        return Claim(SMALL_ACTIVE, SUPPORTED, text + ".")
    if tested and slower == tested:
        return Claim(SMALL_ACTIVE, CONTRADICTED, text + "; all of them are surely slower.")
    return Claim(SMALL_ACTIVE, OPEN, text + ".")


def _median_error(values: Floats) -> float:
    """Standard error of the median of a few values; infinite of one."""
    if values.size < 2:
        return math.inf
    low, high = np.quantile(values, [0.25, 0.75])
    return float(MEDIAN_FACTOR * (high - low) / 1.349 / math.sqrt(values.size))


def joined(claims: Sequence[Claim]) -> Claim:
    """The sentence on topography and climate as one: no better than its weaker half."""
    verdicts = {c.verdict for c in claims}
    if CONTRADICTED in verdicts:
        verdict = CONTRADICTED
    else:
        verdict = SUPPORTED if verdicts == {SUPPORTED} else OPEN
    halves = "; ".join(f"for {c.sentence.split()[-1][:-1]} {c.verdict}" for c in claims)
    return Claim(POSITIVE.format("topography and climate"), verdict, halves + ".")
