"""The whole chain on a simulated radar pair, judged by its own truth.

    python benchmarks/chain.py [--size 8333] [--relief 2500] [--out out/bench/chain.json]

Prints a table and writes JSON: accuracy on held-out stable ground and on ice, the negative
controls (the same with one correction left out), seconds per stage and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import glaciertoolkit as gt

FALSE_MATCH = 1.0
"""A delivered displacement further than this many pixels from the truth is a false match."""

LIMITS = {"nmad": 0.3, "median": 0.1, "p95": 1.0, "false": 0.01, "ice_bias": 0.2}
"""Metres, metres, metres, share, metres."""

CONTROLS: dict[str, dict[str, Any]] = {
    "whole chain": {},
    "without deformation": {"deformation": False},
    "without topography": {"topography": False},
    "without noise filter": {"noise": False},
}


class Stopwatch:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)


def judge(motion: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Figures of one result: the worse of the two components, in metres."""
    found = motion.glacier.velocity().glacier.accuracy()
    ground = "holdout" if "holdout_dx_nmad" in found else "fit"
    error = [np.asarray((motion[k] - truth[f"true_{k}"]).values, float) for k in ("dx", "dy")]
    valid = np.isfinite(error[0])
    pixel = float(motion.attrs["pixel"][0])
    ice = (truth["ice_fraction"].values > 0.99) & (truth["contaminated"].values == 0) & valid
    worse = {
        k: max(abs(float(found[f"{ground}_{v}_{k}"])) for v in ("dx", "dy"))
        for k in ("nmad", "median", "p95")
    }
    return {
        **worse,
        "false": float((np.hypot(*error)[valid] > FALSE_MATCH * pixel).mean()),
        "ice_bias": max(abs(float(e[ice].mean())) for e in error),
        "ice_nmad": max(gt.nmad(e[ice]) for e in error),
        "coverage": float(valid.mean()),
        "ice_z": max(
            gt.nmad((e / motion[f"{k}_error"].values)[ice])
            for e, k in zip(error, ("dx", "dy"), strict=True)
        ),
    }


def evaluate(folder: Path, *, watch: Stopwatch | None = None, **scene: Any) -> dict[str, Any]:
    """Simulate, write, open, track and correct a pair; figures of the chain and its controls."""
    watch = watch or Stopwatch()
    with watch("simulate"):
        pair = gt.simulate_pair(**scene)
        files = gt.write_pair(pair, folder)
    with watch("track"):
        opened = gt.open_pair(files["reference"], files["secondary"])
        offsets = opened.glacier.track(template=64, search=16, step=4)
        offsets = offsets.glacier.checkpoint(folder / "offsets.zarr").load()
    with watch("truth"):
        truth = gt.true_motion(pair, offsets).compute()
    with watch("stable terrain"):
        stable = gt.stable_terrain(offsets, outlines=files["outlines"], dem=files["dem"])
    figures = {}
    for name, options in CONTROLS.items():
        with watch(name), warnings.catch_warnings():
            warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
            motion = offsets.glacier.correct(stable=stable, dem=files["dem"], **options)
            figures[name] = judge(motion, truth)
    return {"posts": int(offsets["dx"].size), "figures": figures, "seconds": watch.seconds}


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    names = list(next(iter(result["figures"].values())))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {case} | " + " | ".join(f"{figures[k]:.4g}" for k in names) + " |"
        for case, figures in result["figures"].items()
    ]
    limits = [f"{LIMITS[k]:g}" if k in LIMITS else "" for k in names]
    lines.append("| limit | " + " | ".join(limits) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8333, help="pixels of 3 m along an edge")
    parser.add_argument("--relief", type=float, default=2500.0)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("out/bench/chain.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = evaluate(
            Path(folder),
            size=(given.size, given.size),
            relief=given.relief,
            seed=given.seed,
            baseline=900.0,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["peak_memory_mb"] = round(peak)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{result['posts']:,} posts; seconds {result['seconds']}; peak memory {peak:.0f} MB\n")
    print(table(result))


if __name__ == "__main__":
    main()
