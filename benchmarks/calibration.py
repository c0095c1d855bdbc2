"""Whether stated errors are those that are made, over simulated scenes of many kinds.

    python benchmarks/calibration.py [--scenes 20] [--size 1280] [--out out/bench/calibration.json]

Each scene has its own seed, coherence (0.5 to 0.9 on rock, 0.5 or more on ice), looks, relief,
baseline, deformation, texture, share of wrong matches, template and mode; every fifth is optical.
The whole chain runs on it: track, correct, velocity. On held-out stable ground the residuals are
compared with the stated errors; on ice the errors themselves, against the true motion averaged
over the template, as that is what a template measures. A negative control does the same with the
errors as tracking states them.

It holds where the match itself succeeds: coherence of 0.5 or more (or images that differ by noise
as little), templates of 32 to 64 pixels, fifty or more held-out residuals on ground that is at
rest. Ground that creeps within the stable mask, or a stable mask of one small patch, is outside.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import glaciertoolkit as gt

Array = npt.NDArray[np.float64]

LIMITS = {
    "within_one": (0.64, 0.72),
    "within_two": (0.92, 0.97),
    "ice_nmad": (0.8, 1.25),
}
TEMPLATES = (32, 48, 64)
COMPONENTS = ("dx", "dy")


def options_of(number: int, size: int = 1280) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `simulate_pair` and of `track` for a scene."""
    rng = np.random.default_rng(20_000 + number)
    rock = float(rng.uniform(0.5, 0.9))
    scene: dict[str, Any] = {
        "size": (size, size),
        "seed": 500 + number,
        "relief": float(rng.choice([600.0, 900.0, 1200.0])),
        "coherence_rock": rock,
        "coherence_ice": float(rng.uniform(0.5, rock)),
        "baseline": float(rng.choice([0.0, 400.0, 900.0])),
        "deformation": float(rng.uniform(0, 4)),
        "outliers": float(rng.choice([0.0, 0.03])),
        "decorrelated": float(rng.choice([0.0, 0.02])),
        "texture": float(rng.uniform(0.2, 0.5)),
        "looks": int(rng.choice([1, 2])),
        "kind": "optical" if number % 5 == 4 else "sar",
    }
    tracking = {
        "template": TEMPLATES[number % 3],
        "search": 16,
        "step": 8,
        "mode": "quality" if number % 7 == 6 else "fast",
    }
    return scene, tracking


def standardised(
    motion: xr.Dataset, truth: xr.Dataset, errors: xr.Dataset
) -> tuple[list[Array], list[Array]]:
    """Residuals on held-out ground and errors on ice, over `errors`; of each component."""
    ice = (truth["ice_fraction"].values > 0.99) & (truth["contaminated"].values == 0)
    ground = motion["stable"].values
    rock, moving = [], []
    for name in COMPONENTS:
        stated = np.asarray(errors[f"{name}_error"].values, float)
        held = np.asarray(motion[f"{name}_holdout"].values, float) / stated
        wrong = np.asarray((motion[name] - truth[f"true_{name}"]).values, float) / stated
        rock.append(held[ground & np.isfinite(held)])
        moving.append(wrong[ice & np.isfinite(wrong)])
    return rock, moving


def figures(rock: Sequence[Array], ice: Sequence[Array]) -> dict[str, float]:
    """Shares within one and two stated errors, NMAD on ice; all components and scenes together."""
    held, moving = np.abs(np.concatenate(rock)), np.concatenate(ice)
    return {
        "within_one": float((held <= 1).mean()),
        "within_two": float((held <= 2).mean()),
        "ice_nmad": gt.nmad(moving),
        "ice_within_one": float((np.abs(moving) <= 1).mean()),
        "ice_within_two": float((np.abs(moving) <= 2).mean()),
    }


def run(
    scene: dict[str, Any], tracking: dict[str, Any]
) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Offsets, corrected motion and truth of a simulated pair; rock is stable ground."""
    pair = gt.simulate_pair(**scene).compute()
    offsets = pair[["reference", "secondary"]].glacier.track(**tracking).compute()
    truth = gt.true_motion(pair, offsets).compute()
    stable = (truth["ice_fraction"] == 0).drop_attrs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
        motion = offsets.glacier.correct(stable=stable, dem=pair["elevation"])
    return offsets, motion, truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--size", type=int, default=1280, help="pixels of 3 m along an edge")
    parser.add_argument("--out", type=Path, default=Path("out/bench/calibration.json"))
    given = parser.parse_args()
    parts: dict[str, tuple[list[Array], list[Array]]] = {
        "calibrated": ([], []),
        "as tracked": ([], []),
    }
    rows = []
    print("scene kind    T mode    coherence   | within 1, 2 of rock   NMAD on ice")
    for number in range(given.scenes):
        scene, tracking = options_of(number, given.size)
        offsets, motion, truth = run(scene, tracking)
        for name, errors in (("calibrated", motion), ("as tracked", offsets)):
            rock, ice = standardised(motion, truth, errors)
            parts[name][0].extend(rock)
            parts[name][1].extend(ice)
            if name == "calibrated":
                found = figures(rock, ice)
                rows.append({**scene, **tracking, **found})
        print(
            f"{number:5d} {scene['kind']:7} {tracking['template']:2d} {tracking['mode']:7} "
            f"{scene['coherence_rock']:.2f} {scene['coherence_ice']:.2f}   | "
            f"{found['within_one']:.3f} {found['within_two']:.3f}          {found['ice_nmad']:.2f}"
        )
    pooled = {name: figures(*both) for name, both in parts.items()}
    for name, found in pooled.items():
        kept = all(low <= found[k] <= high for k, (low, high) in LIMITS.items())
        print(f"{name}: {found} {'within' if kept else 'outside'} the limits {LIMITS}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"pooled": pooled, "scenes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
