"""Pixel tracking against its peers on synthetic pairs with exact truth.

    python benchmarks/tracking.py [--quick] [--only CASE ...] [--repeat N] [--out out/bench]

Same pairs, same template, search and step for all, taking turns in one run. Writes
`tracking.json` (everything) and `tracking.md` (one line for each bar, then all figures), and
prints the latter. A bar that is missed is reported, not an error; only a crash is.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import platform
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracking_cases import CASES, QUICK, Plan
from tracking_measure import Figures, to_json

import glaciertoolkit as gt

PACKAGES = (
    "numpy", "numba", "scipy", "xarray", "dask",
    "opencv-python-headless", "OpenPIV", "scikit-image",
)  # fmt: skip
OURS, FINE, FAR = "toolkit", "toolkit, quality", "toolkit, coarse to fine"


@dataclass(frozen=True)
class Bar:
    """A line of the table: figures, the limits that they have to keep, and the stretch.

    A limit is a pair (lowest, highest), one for each figure or one for all.
    """

    what: str
    figures: Callable[[Figures], Sequence[float]]
    limits: Sequence[tuple[float, float]]
    stretch: Sequence[tuple[float, float]] = ()
    digits: int = 4

    def line(self, results: Figures) -> Figures:
        """What was measured and the verdict."""
        try:
            values = [float(v) for v in self.figures(results)]
        except KeyError as missing:
            values, why = [], str(missing.args[0])
            verdict = "not run" if why in CASES else "not available"
        else:
            verdict = "pass" if _kept(values, self.limits) else "miss"
            if verdict == "pass" and self.stretch and _kept(values, self.stretch):
                verdict = "pass, stretch too"
        return {
            "what": self.what,
            "measured": values,
            "text": " / ".join(f"{v:.{self.digits}g}" for v in values),
            "bar": _limits_text(self.limits),
            "stretch": _limits_text(self.stretch),
            "verdict": verdict,
        }


def at_most(*values: float) -> list[tuple[float, float]]:
    return [(-math.inf, v) for v in values]


def at_least(*values: float) -> list[tuple[float, float]]:
    return [(v, math.inf) for v in values]


def _kept(values: Sequence[float], limits: Sequence[tuple[float, float]]) -> bool:
    each = limits if len(limits) == len(values) else list(limits) * len(values)
    return all(low <= v <= high for v, (low, high) in zip(values, each, strict=True))


def _limits_text(limits: Sequence[tuple[float, float]]) -> str:
    words = []
    for low, high in limits:
        if math.isinf(low):
            words.append(f"<= {high:g}")
        else:
            words.append(f">= {low:g}" if math.isinf(high) else f"{low:g} to {high:g}")
    return " / ".join(words)


def faster(case: str, other: str, ours: str = OURS) -> Callable[[Figures], Sequence[float]]:
    """How many times faster than a peer, by the best wall times of the run."""
    return lambda r: [r[case][other]["best_s"] / r[case][ours]["best_s"]]


def figure(case: str, method: str, *keys: str) -> Callable[[Figures], Sequence[float]]:
    """Figures of one method, pairs (right, down) spread."""

    def read(results: Figures) -> list[float]:
        found = results[case][method]
        values = [found[key] for key in keys]
        return [v for value in values for v in (value if isinstance(value, list) else [value])]

    return read


def worse(case: str, method: str, key: str) -> Callable[[Figures], Sequence[float]]:
    """The worse of the figures of the two axes."""
    return lambda r: [max(r[case][method][key])]


def against(case: str, method: str, other: str) -> Callable[[Figures], Sequence[float]]:
    """RMSE over that of a peer, the worse axis."""
    return lambda r: [
        max(a / b for a, b in zip(r[case][method]["rmse"], r[case][other]["rmse"], strict=True))
    ]


def over_whole(name: str) -> Callable[[Figures], Sequence[float]]:
    """RMSE with gaps over that of the whole pair, the worse axis."""
    return lambda r: [
        max(
            a / b
            for a, b in zip(r["gaps"][name]["rmse"], r["gaps"]["optical"]["rmse"], strict=True)
        )
    ]


def spread(results: Figures) -> list[float]:
    """Largest over smallest best time per post over the sizes."""
    times = [f["best_s"] / f["posts"] for f in results["scaling"].values()]
    return [max(times) / min(times)]


def bars() -> list[Bar]:
    """Every bar, in the order of the issue's table."""
    lines = [
        Bar("optical, T=64: times faster than OpenCV", faster("speed_64", "OpenCV"),
            at_least(10), at_least(20)),
        Bar("optical, T=64: times faster than batched FFT", faster("speed_64", "FFT"),
            at_least(10), at_least(20)),
        Bar("optical, T=32: times faster than OpenCV", faster("speed_32", "OpenCV"),
            at_least(4.5), at_least(9)),
        Bar("optical, T=32: times faster than batched FFT", faster("speed_32", "FFT"),
            at_least(5)),
        Bar("optical, T=32: times faster than OpenPIV windef", faster("speed_32", "windef"),
            at_least(20)),
        Bar("wide, T=32, prefilter and outlier filter: times faster than OpenCV's matching",
            faster("wide", "OpenCV"), at_least(3), at_least(6)),
        Bar("wide: peak memory above the images, MB", figure("wide", OURS, "memory_mb"),
            at_most(200)),
        Bar("time per post over the image sizes: largest over smallest", spread, at_most(1.15)),
        Bar("optical rigid, T=32: RMSE, px", worse("optical_rigid", OURS, "rmse"),
            at_most(0.005), at_most(0.003)),
        Bar("optical rigid, T=32: lock, px", worse("optical_rigid", OURS, "lock"),
            at_most(0.003)),
        Bar("optical rigid, T=32: largest mean error, px",
            worse("optical_rigid", OURS, "largest_mean"), at_most(0.006)),
        Bar("optical shear, T=32, fast: RMSE right / down, px",
            figure("optical_shear", OURS, "rmse"), at_most(0.013, 0.023)),
        Bar("optical shear, T=32, quality: RMSE right / down, px",
            figure("optical_shear", FINE, "rmse"), at_most(0.0065, 0.011)),
        Bar("optical shear, T=32, quality: times faster than OpenPIV windef",
            faster("optical_shear", "windef", FINE), at_least(4), at_least(10)),
        Bar("SLC, coherence 0.6, T=64: RMSE, px", worse("slc_rigid", OURS, "rmse"),
            at_most(0.022)),
        Bar("SLC: lock, px", worse("slc_rigid", OURS, "lock"), at_most(0.005)),
        Bar("SLC: posts per second", figure("slc_rigid", OURS, "posts_per_s"),
            at_least(15000), at_least(60000), digits=6),
        Bar("4-look, coherence 0.3, T=64, fast: rigid RMSE, px",
            worse("grd_rigid", OURS, "rmse"), at_most(0.140), at_most(0.135)),
        Bar("4-look, fast: rigid outliers, %", figure("grd_rigid", OURS, "outliers_percent"),
            at_most(0.05)),
        Bar("4-look, quality: shear RMSE over that of OpenPIV windef",
            against("grd_shear", FINE, "windef"), at_most(1.12), at_most(1.05)),
    ]  # fmt: skip
    return lines + calibration_bars() + mask_bars()


def calibration_bars() -> list[Bar]:
    """Stated errors against true ones, in each case that has them."""
    cases = {
        "optical_rigid": (OURS, FINE), "optical_shear": (OURS, FINE),
        "slc_rigid": (OURS,), "slc_shear": (OURS, FINE),
        "grd_rigid": (OURS, FINE), "grd_shear": (OURS, FINE),
    }  # fmt: skip
    found = []
    for case, methods in cases.items():
        for method in methods:
            name = f"stated errors, {case.replace('_', ' ')}, {method}"
            found += [
                Bar(f"{name}: NMAD of error / stated, right / down",
                    figure(case, method, "calibration"), [(0.8, 1.25)], [(0.9, 1.1)], 3),
                Bar(f"{name}: share within 1 sigma, right / down",
                    figure(case, method, "within"), [(0.60, 0.76)], digits=3),
            ]  # fmt: skip
    return found


def mask_bars() -> list[Bar]:
    """Gaps, border, patch; then fast motion."""
    found = [
        Bar("40 % NaN in one image: RMSE over that of the whole pair",
            over_whole("40% NaN in one image"), at_most(3), at_most(2)),
        Bar("40 % NaN in both images: RMSE over that of the whole pair",
            over_whole("40% NaN in both images"), at_most(8), at_most(5)),
    ]  # fmt: skip
    for name in ("border of NaN", "border of zeros", "constant patch"):
        found += [
            Bar(f"{name}: RMSE of posts that do not see it, over theirs without it",
                figure("regions", name, "rmse_ratio"), at_most(1.05)),
            Bar(f"{name}: posts that see nothing else, NaN with the right flag, %",
                figure("regions", name, "blind_flagged_percent"), at_least(100)),
            Bar(f"{name}: posts that see some of it: values wrong by 1 px or more, %",
                figure("regions", name, "partly_wrong_percent"), at_most(0)),
        ]  # fmt: skip
    return [
        *found,
        Bar("displacements to 150 px: posts within 0.1 px, %",
            figure("drift", FAR, "within_tenth_percent"), at_least(99)),
        Bar("displacements to 150 px: time over that of the pair without them",
            figure("drift", FAR, "time_ratio"), at_most(2)),
    ]  # fmt: skip


def machine() -> Figures:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "processor": model[1].strip() if model else platform.machine(),
        "cores": usable,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "glaciertoolkit": gt.__version__,
        "versions": versions,
    }


COLUMNS = {
    "best_s": "best s", "median_s": "median s", "posts_per_s": "posts/s",
    "posts_per_core_s": "posts/core-s", "rmse": "RMSE px", "lock": "lock px",
    "largest_mean": "largest mean px", "outliers_percent": "outliers %",
    "valid_percent": "valid %", "calibration": "NMAD(error/stated)", "within": "within 1 sigma",
    "memory_mb": "memory MB",
}  # fmt: skip


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " / ".join(_cell(v) for v in value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(report: Figures) -> str:
    """The bars, then every figure, as Markdown tables."""
    info = report["machine"]
    lines = [
        f"{info['processor']}, {info['cores']} cores, Python {info['python']}, "
        + ", ".join(f"{k} {v}" for k, v in info["versions"].items()),
        "",
        f"Inliers are posts with an error below 1 px along both axes; sizes: {report['plan']}."
        + (" A quick run: the bars are those of the full one." if report["quick"] else ""),
        "",
        "| bar | measured | bar | stretch | |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {b['what']} | {b['text']} | {b['bar']} | {b['stretch']} | {b['verdict']} |"
        for b in report["bars"]
    ]
    lines += ["", "| case | tracker | " + " | ".join(COLUMNS.values()) + " |"]
    lines += ["|---" * (len(COLUMNS) + 2) + "|"]
    for case, methods in report["cases"].items():
        for name, found in methods.items():
            cells = [_cell(found.get(k)) for k in COLUMNS]
            for key in {"not_available", "crashed"} & set(found):
                cells[0] = f"{key.replace('_', ' ')}: {found[key]}"
            lines.append(f"| {case} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(plan: Plan, names: Sequence[str]) -> Figures:
    """All figures of the cases; a case that crashes is reported as such, the others go on."""
    report: Figures = {
        "machine": machine(), "plan": repr(plan), "quick": plan.size < Plan.size,
        "cases": {}, "crashed": {},
    }  # fmt: skip
    seconds: dict[str, float] = {}
    for name in names:
        start = time.perf_counter()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report["cases"][name] = CASES[name](plan)
        except Exception as error:
            report["crashed"][name] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        for method, found in report["cases"].get(name, {}).items():
            if "crashed" in found:
                report["crashed"][f"{name}, {method}"] = found["crashed"]
        seconds[name] = time.perf_counter() - start
        print(f"{seconds[name]:.0f} s", file=sys.stderr, flush=True)
    report["seconds"] = seconds
    report["bars"] = [bar.line(report["cases"]) for bar in bars()]
    return report


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller images, fewer shifts")
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="CASE", default=None,
                        help=f"some of: {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--repeat", type=int, help="runs of each tracker on a pair")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder to write to")
    given = parser.parse_args()
    plan = QUICK if given.quick else Plan()
    if given.repeat:
        plan = replace(plan, repeat=given.repeat)
    report = run(plan, given.only or list(CASES))
    given.out.mkdir(parents=True, exist_ok=True)
    for name, text in (("json", to_json(report)), ("md", markdown(report))):
        (given.out / f"tracking.{name}").write_text(text, encoding="utf-8")
    print(markdown(report))
    return 1 if report["crashed"] else 0


if __name__ == "__main__":
    sys.exit(main())
