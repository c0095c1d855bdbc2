"""How often a trend is found where there is none, and whether its interval holds where there is.

    python benchmarks/trends.py [--series 4000] [--out out/bench/trends.json]

Prints a table and writes JSON: for autocorrelated noise of several lengths the share of series
with p < 0.05 under each correction; the share of 95 % intervals that cover a true slope; and the
same for the peer, pymannkendall, where it is installed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import glaciertoolkit as gt

Floats = npt.NDArray[np.float64]

LENGTHS, CORRELATIONS = (30, 50, 100), (0.0, 0.3, 0.5, 0.7)
CORRECTIONS = ("none", "hamed-rao", "prewhiten")
SLOPE = 0.05
PEER_SERIES = 400
"""The peer takes one series at a time."""


def noise(phi: float, length: int, number: int, seed: int) -> Floats:
    """Series (time, series) of unit innovations with lag-1 autocorrelation `phi`."""
    x = np.random.default_rng(seed).normal(size=(length + 200, number))
    for i in range(1, len(x)):
        x[i] += phi * x[i - 1]
    return x[200:]


def found(values: Floats, correction: Any) -> xr.Dataset:
    coords = {"year": np.arange(len(values)), "series": np.arange(values.shape[1])}
    series = xr.DataArray(values, coords, ("year", "series"))
    return gt.trend(series, dim="year", correction=correction)


def peers() -> dict[str, Callable[[Floats], Any]]:
    try:
        import pymannkendall as peer
    except ImportError:
        return {}
    return {
        "pymannkendall hamed-rao": peer.hamed_rao_modification_test,
        "pymannkendall pre-whitening": peer.pre_whitening_modification_test,
        "pymannkendall trend-free": peer.trend_free_pre_whitening_modification_test,
    }


def measure(length: int, phi: float, number: int) -> dict[str, float]:
    seed = 1000 * length + round(100 * phi)
    still = noise(phi, length, number, seed)
    rising = still + SLOPE * np.arange(length)[:, None]
    row: dict[str, float] = {}
    for correction in CORRECTIONS:
        row[f"alarms {correction}"] = float((found(still, correction).p_value < 0.05).mean())
        ds = found(rising, correction)
        row[f"cover {correction}"] = float(
            ((ds.slope_low <= SLOPE) & (ds.slope_high >= SLOPE)).mean()
        )
    for name, test in peers().items():
        few = [test(column).p < 0.05 for column in still.T[:PEER_SERIES]]
        row[f"alarms {name}"] = float(np.mean(few))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("out/bench/trends.json"))
    options = parser.parse_args()
    rows = []
    for length in LENGTHS:
        for phi in CORRELATIONS:
            row = measure(length, phi, options.series)
            rows.append({"length": length, "autocorrelation": phi, **row})
            print(f"n = {length:3d}, r = {phi:.1f}")
            for name, value in row.items():
                print(f"    {name:36s} {value:6.1%}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=2))
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
