"""Seconds that `import glaciertoolkit` takes in a fresh process: the median of five.

python benchmarks/startup.py [--out out/bench/startup.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5


def seconds(module: str) -> float:
    """Median wall time of importing `module`, the start of Python taken off."""

    def once(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    once(f"import {module}")
    bare = statistics.median(once("pass") for _ in range(RUNS))
    return statistics.median(once(f"import {module}") for _ in range(RUNS)) - bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/startup.json"))
    given = parser.parse_args()
    found = {name: round(seconds(name), 3) for name in ("numpy", "xarray", "glaciertoolkit")}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, value in found.items():
        print(f"import {name:16} {value:.3f} s")


if __name__ == "__main__":
    main()
