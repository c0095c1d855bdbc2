"""Statistics of 5,000 glaciers on a velocity map of 10,000 x 10,000 posts, in one pass, against
exactextract and rasterstats.

    python benchmarks/zonal.py [--glaciers 5000] [--size 10000] [--out out/bench/zonal.json]

Each tool runs in a process of its own, on the same files: a tiled GeoTIFF of the speed (and of
its components, which only glaciertoolkit reads: it gives the direction and the errors too) and
a GeoPackage. Statistics that all have: count, mean, standard deviation, median and the 90th
and 99th percentile. rasterstats runs on every 10th outline; its time is multiplied by ten and
labelled so. exactextract weights posts at the margin by the part of them inside; with
"centre" it is told to count whole posts, as the others do. Prints seconds (CPU of the process and
wall), peak memory, and how far the medians of each tool are from ours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STEP = 12.0
CRS = "EPSG:32645"
LEFT, TOP = 400_000.0, 3_200_000.0
SUBSET = 10


def scene(folder: Path, size: int, glaciers: int, seed: int = 1) -> None:
    """Write the map and the outlines: lobed glaciers of 0.05 to some 30 km2, most of them small."""
    import geopandas as gpd
    import rasterio
    import shapely
    from rasterio.transform import from_origin
    from rasterio.windows import Window

    rng = np.random.default_rng(seed)
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "width": size, "height": size,
        "crs": CRS, "transform": from_origin(LEFT, TOP, STEP, STEP), "nodata": np.nan,
        "tiled": True, "blockxsize": 512, "blockysize": 512,
    }  # fmt: skip
    files = {k: rasterio.open(folder / f"{k}.tif", "w", **profile) for k in FIELDS}
    for first in range(0, size, 512):
        rows = min(512, size - first)
        window = Window(0, first, size, rows)
        speed = rng.gamma(2, 10, (rows, size)).astype("float32")
        speed[rng.random((rows, size), dtype="float32") < 0.1] = np.nan
        angle = np.linspace(0, 6, size, dtype="float32")[None, :] + first / size
        values = (speed, speed * np.sin(angle), speed * np.cos(angle), 0 * speed + 3)
        for file, field in zip(files.values(), values, strict=True):
            file.write(field, 1, window=window)
    for file in files.values():
        file.close()
    area = np.clip(rng.lognormal(-1.2, 1.3, glaciers), 0.05, 30) * (size / 10_000) ** 2
    radius = np.sort(np.sqrt(area * 1e6 / np.pi))[::-1]
    turn = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    shapes = []
    for r, (x, y) in zip(radius, apart(1.4 * radius, size * STEP, rng), strict=True):
        lobes = 1 + 0.3 * np.sin(3 * turn + rng.uniform(0, 6)) + 0.1 * np.sin(11 * turn)
        ring = x + r * lobes * np.cos(turn), y + r * lobes * np.sin(turn)
        shapes.append(shapely.Polygon(np.column_stack(ring)))
    names = [f"RGI60-15.{i:05d}" for i in range(glaciers)]
    table = gpd.GeoDataFrame(
        {"RGIId": names, "Area": np.pi * radius**2 / 1e6}, geometry=shapes, crs=CRS
    )
    table.to_file(folder / "outlines.gpkg")


def apart(radius: Any, edge: float, rng: np.random.Generator) -> Any:
    """Random centres of circles that do not overlap, the largest one first."""
    centres = np.empty((0, 2))
    for i, r in enumerate(radius):
        while True:
            place = np.array([LEFT, TOP - edge]) + rng.uniform(0, edge, 2)
            gap = np.hypot(*(centres - place).T) - radius[:i] - r
            if np.all(gap > 0):
                break
        centres = np.vstack([centres, place])
    return centres


FIELDS = ("v", "vx", "vy", "v_error")


def ours(folder: Path) -> Any:
    """All the columns of `glaciers`, from four lazy fields."""
    import rioxarray
    import xarray as xr

    import glaciertoolkit as gt

    def opened(name: str) -> Any:
        chunks = {"x": 2048, "y": 2048}
        field = rioxarray.open_rasterio(folder / f"{name}.tif", chunks=chunks, lock=False)
        return field.squeeze("band", drop=True)

    ds = xr.Dataset({name: opened(name) for name in FIELDS})
    return gt.glaciers(ds, folder / "outlines.gpkg")["v_median"].to_numpy()


def in_memory(folder: Path) -> Any:
    """The same from arrays that are already there: 1.6 GB before anything starts."""
    import rioxarray
    import xarray as xr

    import glaciertoolkit as gt

    fields = {
        k: rioxarray.open_rasterio(folder / f"{k}.tif").squeeze("band", drop=True).load()
        for k in FIELDS
    }
    return gt.glaciers(xr.Dataset(fields), folder / "outlines.gpkg")["v_median"].to_numpy()


def by_exactextract(folder: Path, weight: str = "fraction") -> Any:
    import geopandas as gpd
    import rasterio
    from exactextract import exact_extract

    option = "" if weight == "fraction" else "coverage_weight=none"
    whole = f"({option})" if option else ""
    names = [f"{name}{whole}" for name in ("count", "mean", "stdev", "median")]
    names += [f"quantile(q={q}{',' if option else ''}{option})" for q in (0.9, 0.99)]
    table = gpd.read_file(folder / "outlines.gpkg")
    with rasterio.open(folder / "v.tif") as speed:
        found = exact_extract(speed, table, names, output="pandas", max_cells_in_memory=100_000_000)
    return found.iloc[:, 3].to_numpy(dtype=float)


def by_rasterstats(folder: Path) -> Any:
    import geopandas as gpd
    from rasterstats import zonal_stats

    table = gpd.read_file(folder / "outlines.gpkg").iloc[::SUBSET]
    stats = ["count", "mean", "std", "median", "percentile_90", "percentile_99"]
    found = zonal_stats(table, str(folder / "v.tif"), stats=stats, nodata=np.nan)
    return np.array([row["median"] for row in found], dtype=float)


TOOLS: dict[str, Callable[[Path], Any]] = {
    "glaciertoolkit": ours,
    "glaciertoolkit, in memory": in_memory,
    "exactextract": by_exactextract,
    "exactextract, no weights": lambda folder: by_exactextract(folder, "none"),
    "rasterstats": by_rasterstats,
}


def measured(tool: str, folder: Path) -> dict[str, Any]:
    """Seconds and memory of one tool in this process; imports and compiled code come before."""
    function = TOOLS[tool]
    warm = folder / "warm"
    function(warm)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    medians = function(folder)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    factor = SUBSET if tool == "rasterstats" else 1
    return {
        "cpu_s": factor * cpu,
        "wall_s": factor * wall,
        "peak_mb": after.ru_maxrss / 1024,
        "medians": medians.tolist(),
    }


def in_own_process(tool: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--tool", tool, "--folder", str(folder)]
    # GDAL would keep a twentieth of the machine's memory, whoever reads through it.
    limited = {**os.environ, "GDAL_CACHEMAX": "128"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=limited)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| tool | CPU s | wall s | peak MB | medians that differ by more than 1 % |",
        "|---|---|---|---|---|",
    ]
    reference = np.array(results["glaciertoolkit"]["medians"])
    for tool, found in results.items():
        theirs = np.array(found["medians"])
        mine = reference[::SUBSET] if tool == "rasterstats" else reference
        differ = np.mean(np.abs(theirs - mine) > 0.01 * mine)
        label = f"{tool} (1 in {SUBSET} outlines, extrapolated)" if tool == "rasterstats" else tool
        lines.append(
            f"| {label} | {found['cpu_s']:.1f} | {found['wall_s']:.1f} "
            f"| {found['peak_mb']:.0f} | {differ:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--glaciers", type=int, default=5000)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest one counts")
    parser.add_argument("--out", type=Path, default=Path("out/bench/zonal.json"))
    parser.add_argument("--tool", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tool:
        print(json.dumps(measured(given.tool, given.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "warm").mkdir()
        scene(folder / "warm", 1024, 40)
        scene(folder, given.size, given.glaciers)
        results: dict[str, dict[str, Any]] = {}
        for _ in range(given.repeats):
            for tool in TOOLS:
                found = in_own_process(tool, folder)
                if tool not in results or found["cpu_s"] < results[tool]["cpu_s"]:
                    results[tool] = found
    print(table(results))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    kept = {t: {k: v for k, v in f.items() if k != "medians"} for t, f in results.items()}
    given.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
