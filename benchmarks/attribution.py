"""Whether the intervals and tests of `attribution` hold what they say, on simulated regions.

Each line is a share over many seeds: of intervals that hold the true coefficient, and of
unrelated maps that are called related. What counts posts instead stands beside it.

python benchmarks/attribution.py [--seeds 1000] [--out out/bench/attribution.json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.fft import irfft2, rfft2

from glaciertoolkit.stats.correlation import correlation_of
from glaciertoolkit.stats.geodetector import _Shuffles
from glaciertoolkit.stats.regression import regression
from glaciertoolkit.stats.samples import Sample
from glaciertoolkit.stats.sites import Sites
from glaciertoolkit.stats.strata import stratify

SLOPE, WARMTH = 0.8, -1.5
"""m yr-1 per degree and per kelvin: the true coefficients of every region."""

KM = 1e3


# Maps


def random_map(rng: np.random.Generator, edge: int, length: float, kind: str) -> np.ndarray:
    """A Gaussian random map: Gaussian or exponential correlation, `length` posts long."""
    if length <= 0:
        return rng.standard_normal((edge, edge))
    wide = int(edge + 8 * length)
    f2 = np.fft.fftfreq(wide)[:, None] ** 2 + np.fft.rfftfreq(wide)[None] ** 2
    if kind == "gaussian":
        power = np.exp(-((np.pi * length) ** 2) * f2)
    else:
        power = (1 + (2 * np.pi * length) ** 2 * f2) ** -1.5
    z = irfft2(rfft2(rng.standard_normal((wide, wide))) * np.sqrt(power), (wide, wide))
    return z[:edge, :edge] / z.std()


def holes(rng: np.random.Generator, edge: int, share: float) -> np.ndarray:
    """Posts with a value: all but the peaks of a smooth map."""
    field = random_map(rng, edge, edge / 10, "gaussian")
    return field <= np.quantile(field, 1 - share)


def sites_of_mask(mask: np.ndarray) -> Sites:
    cells = np.argwhere(mask)
    return Sites(cells[:, ::-1] * 100.0, cells, (100.0, 100.0))


def false_positives(
    seeds: range, *, edge: int, length: float, kind: str, missing: float, method: str = "pearson"
) -> dict[str, float]:
    """Share of pairs of unrelated maps with p < 0.05: ours, and that of a count of posts."""
    ours, naive = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        mask = holes(rng, edge, missing) if missing else np.ones((edge, edge), bool)
        x, y = (random_map(rng, edge, length, kind)[mask] for _ in range(2))
        found = correlation_of(x, y, sites_of_mask(mask), None, method=method, confidence=0.95)
        n = x.size
        t = found.r * np.sqrt((n - 2) / (1 - found.r**2))
        ours.append(found.p < 0.05)
        naive.append(2 * stats.t.sf(abs(t), n - 2) < 0.05)
    return {"ours": float(np.mean(ours)), "naive": float(np.mean(naive))}


def false_strata(
    seeds: range, *, edge: int, length: float, kind: str, permutations: int = 99
) -> dict[str, float]:
    """Share of maps that strata of an unrelated map seem to explain: q with p <= 0.05."""
    ours, shuffle = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        x, y = (random_map(rng, edge, length, kind).ravel() for _ in range(2))
        sites = sites_of_mask(np.ones((edge, edge), bool))
        label, names = stratify(x, classes=5, rule="quantile")
        table = pd.DataFrame({"y": y})
        for out, where in ((ours, sites), (shuffle, None)):
            draw = _Shuffles.of(y, Sample(table, where, None), permutations, seed)
            out.append(draw.p(label, len(names)) <= 0.05)
    return {"ours": float(np.mean(ours)), "posts shuffled": float(np.mean(shuffle))}


# Regions


def smooth(rng: np.random.Generator, points: np.ndarray, length: float, noise: float) -> np.ndarray:
    """Values on scattered points, exponentially correlated over `length`, with a nugget."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    matrix = (1 - noise) * np.exp(-distance / length)
    np.fill_diagonal(matrix, 1 + 1e-9)
    return np.linalg.cholesky(matrix) @ rng.standard_normal(len(points))


def region_of_glaciers(seed: int, *, glaciers: int, length: float, noise: float) -> pd.DataFrame:
    """One row a glacier: slope nearly by chance, temperature and what is not explained smooth."""
    rng = np.random.default_rng(seed)
    points = rng.random((glaciers, 2)) * 60 * KM
    slope = 18 + 5 * smooth(rng, points, 3 * KM, 0.5)
    warmth = -6 + 2 * smooth(rng, points, 30 * KM, 0.1)
    error = smooth(rng, points, length, noise) if length else rng.standard_normal(glaciers)
    v = 30 + SLOPE * slope + WARMTH * warmth + 4 * error
    return pd.DataFrame(
        {"v_median": v, "slope": slope, "temperature": warmth, "x": points[:, 0], "y": points[:, 1]}
    )


def region_of_posts(seed: int, *, glaciers: int, alike: float, uneven: float) -> pd.DataFrame:
    """Posts along glaciers of very different length: each with an effect of its own, errors that
    neighbours share, slope from post to post, temperature from glacier to glacier."""
    rng = np.random.default_rng(seed)
    sizes = np.clip(rng.lognormal(np.log(25), uneven, glaciers), 4, 400).astype(int)
    glacier = np.repeat(np.arange(glaciers), sizes)
    n = sizes.sum()

    def along(decay: float) -> np.ndarray:
        """A chain along each glacier in which each post remembers the one before."""
        z = rng.standard_normal(n)
        first = np.r_[True, glacier[1:] != glacier[:-1]]
        for k in np.flatnonzero(~first):
            z[k] = decay * z[k - 1] + np.sqrt(1 - decay**2) * z[k]
        return z

    slope = 18 + 4 * rng.standard_normal(glaciers)[glacier] + 5 * along(0.8)
    warmth = (-6 + 2 * rng.standard_normal(glaciers))[glacier]
    own = rng.standard_normal(glaciers)[glacier]
    error = np.sqrt(alike) * own + np.sqrt(1 - alike) * along(0.8)
    v = 30 + SLOPE * slope + WARMTH * warmth + 4 * error
    return pd.DataFrame({"v": v, "slope": slope, "temperature": warmth, "glacier": glacier})


def coverage(
    seeds: range, make: Callable[..., pd.DataFrame], *, groups: str | None = None, **setting: Any
) -> dict[str, float]:
    """Share of 95 % intervals that hold the true coefficient, and of those that count rows."""
    hits: list[list[bool]] = []
    naive: list[list[bool]] = []
    truth = np.array([SLOPE, WARMTH])
    for seed in seeds:
        table = make(seed, **setting)
        response = "v" if "v" in table else "v_median"
        given: dict[str, Any] = {"response": response, "factors": ["slope", "temperature"]}
        for out, how in (
            (hits, {"groups": groups}), (naive, {"errors": "hc3", "coordinates": False}),
        ):  # fmt: skip
            found = regression(table, **given, **how).table.iloc[1:]
            out.append(list((found["low"] <= truth) & (truth <= found["high"])))
    ours, rows = np.mean(hits, axis=0), np.mean(naive, axis=0)
    return {
        "slope": float(ours[0]), "temperature": float(ours[1]),
        "slope, rows counted": float(rows[0]), "temperature, rows counted": float(rows[1]),
    }  # fmt: skip


def cases(seeds: range) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    for edge, length, kind, missing in (
        (32, 0.0, "gaussian", 0.0), (32, 2.0, "exponential", 0.3), (32, 4.0, "gaussian", 0.0),
        (64, 3.0, "exponential", 0.0), (64, 6.0, "gaussian", 0.4), (64, 8.0, "exponential", 0.3),
        (128, 5.0, "gaussian", 0.3), (128, 12.0, "exponential", 0.0),
    ):  # fmt: skip
        setting = {"edge": edge, "length": length, "kind": kind, "missing": missing}
        name = f"false positives, {edge} x {edge}, {kind} {length:g}, {missing:.0%} missing"
        yield name, lambda s=setting: false_positives(seeds, **s)
    for method in ("spearman", "kendall"):
        setting = {"edge": 48, "length": 4.0, "kind": "exponential", "missing": 0.3}
        yield (
            f"false positives, {method}, 48 x 48, exponential 4, 30% missing",
            lambda s=setting, m=method: false_positives(seeds, method=m, **s),
        )
    for length in (0.0, 5 * KM, 20 * KM):
        setting = {"glaciers": 90, "length": length, "noise": 0.3}
        yield (
            f"coverage, 90 glaciers, errors over {length / KM:g} km",
            lambda s=setting: coverage(seeds, region_of_glaciers, **s),
        )
    for glaciers, alike, uneven in ((30, 0.3, 0.8), (60, 0.0, 1.0), (60, 0.5, 1.0), (25, 0.5, 0.8)):
        setting = {"glaciers": glaciers, "alike": alike, "uneven": uneven}
        yield (
            f"coverage, posts on {glaciers} glaciers, {alike:g} alike, sizes e^{uneven:g}",
            lambda s=setting: coverage(seeds, region_of_posts, groups="glacier", **s),
        )
    few = range(seeds.start, seeds.start + max(len(seeds) // 5, 20))
    for length, kind in ((0.0, "gaussian"), (2.0, "exponential"), (4.0, "gaussian")):
        setting = {"edge": 40, "length": length, "kind": kind}
        yield (
            f"false strata ({len(few)} seeds), 40 x 40, {kind} {length:g}",
            lambda s=setting: false_strata(few, **s),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("out/bench/attribution.json"))
    given = parser.parse_args()
    found = {}
    for name, measure in cases(range(given.seeds)):
        start = time.process_time()
        found[name] = measure()
        numbers = "  ".join(f"{k} {v:.3f}" for k, v in found[name].items())
        print(f"{name:66} {numbers}  ({time.process_time() - start:.0f} s)", flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
