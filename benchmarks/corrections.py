"""All corrections of a large field of posts, on disk from end to end: seconds and peak memory.

    python benchmarks/corrections.py [--size 10000] [--order 2] [--out out/bench/corrections.json]
    python benchmarks/corrections.py --study        # which order to take where nobody says

The field has noise, an order-2 surface, an offset by elevation, outliers and a glacier; it is
written as the checkpoint of a tracking run would be. Then, as a person would: terrain at the
posts, stable ground, `correct`, `velocity`, and the result to another store. The child process
that does it reports its own peak of resident memory.

The study fits simulated scenes whose surface is known with each order, and prints by how much
what is removed is wrong over the whole scene.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.memory import return_freed_arrays
from glaciertoolkit.terrain.at_posts import terrain_at_posts

POST, PIXEL, TEMPLATE = 12.0, 3.0, 64
NOISE, OUTLIERS, SPEED = 0.15, 0.05, 9.0
COEFFICIENT = 0.003
"""Metres of offset per metre of elevation along x."""

DAYS = 29
LIMIT_MB = 2048


def normalised(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """x and y of the posts scaled to [-1, 1]."""
    x, y = ((ds[k] - ds[k].mean()) / (np.ptp(ds[k].values) / 2) for k in ("x", "y"))
    return x, y


def surface(x: Any, y: Any) -> Any:
    """An order-2 surface, metres."""
    return 4 + 6 * x - 5 * y + 2 * x**2 - 3 * x * y + y**2


def elevation(x: Any, y: Any) -> Any:
    """Valleys that position does not explain, metres."""
    return 4500 + 600 * np.sin(9 * x + 1) * np.cos(7 * y) + 300 * np.sin(23 * y)


def moving(x: Any, y: Any) -> Any:
    """A glacier across the scene."""
    return (abs(x - 0.3 * np.sin(3 * y)) < 0.15) & (abs(y) < 0.8)


def _block(y: np.ndarray, x: np.ndarray, block_id: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Planes dx, dy, correlation of a block of posts; x and y run from -1 to 1."""
    rng = np.random.default_rng([7, *block_id])
    y, x = y[:, None], x[None, :]
    shape = (y.size, x.size)
    dx = surface(x, y) + COEFFICIENT * (elevation(x, y) - 4500) + SPEED * moving(x, y)
    dy = -0.5 * surface(x, y) + 0.0 * y + 0.5 * SPEED * moving(x, y)
    bad = rng.random(shape) < OUTLIERS
    planes = [
        np.where(bad, rng.uniform(-48, 48, shape), d + rng.normal(0, NOISE, shape))
        for d in (dx, dy)
    ]
    return np.stack([*planes, rng.uniform(0.2, 0.9, shape)]).astype(np.float32)


def write_field(folder: Path, size: int, chunk: int = 1024) -> None:
    """The offsets and a DEM of five posts a cell."""
    where = np.linspace(-1, 1, size)
    chunks = tuple(np.diff([*range(0, size, chunk), size]).tolist())
    y, x = (da.from_array(where, chunks=(chunks,)) for _ in range(2))
    blocks = [
        [
            da.from_delayed(
                dask.delayed(_block)(where[i : i + chunk], where[j : j + chunk], (i, j)),
                (3, min(chunk, size - i), min(chunk, size - j)),
                np.float32,
            )
            for j in range(0, size, chunk)
        ]
        for i in range(0, size, chunk)
    ]
    planes = da.block(blocks)
    ones = da.ones((size, size), chunks=(y.chunks[0], x.chunks[0]), dtype=np.float32)
    dims = ("y", "x")
    ds = xr.Dataset(
        {
            "dx": (dims, planes[0]),
            "dy": (dims, planes[1]),
            "dx_error": (dims, NOISE * ones),
            "dy_error": (dims, NOISE * ones),
            "dxdy_covariance": (dims, 0 * ones),
            "correlation": (dims, planes[2]),
            "flag": (dims, (0 * ones).astype(np.uint32)),
        },
        coords={
            "y": 3_500_000.0 - POST * np.arange(size),
            "x": 400_000.0 + POST * np.arange(size),
            "reference_time": np.datetime64("2019-09-03", "ns"),
            "secondary_time": np.datetime64("2019-10-02", "ns"),
        },
        attrs={
            "template": [TEMPLATE] * 2, "search": [16, 16],
            "step": [int(POST / PIXEL)] * 2, "pixel": [PIXEL] * 2,
        },
    ).rio.write_crs(32645)  # fmt: skip
    ds.glacier.checkpoint(folder / "offsets.zarr")
    cells = size // 2 + 20
    dem_y = 3_500_000.0 + 20 * POST - 2 * POST * np.arange(cells)
    dem_x = 400_000.0 - 20 * POST + 2 * POST * np.arange(cells)
    half = POST * (size - 1) / 2
    scaled_y, scaled_x = (dem_y - 3_500_000.0 + half) / -half, (dem_x - 400_000.0 - half) / half
    z = elevation(scaled_x[None, :], scaled_y[:, None]).astype(np.float32)
    dem = xr.DataArray(z, dims=dims, coords={"y": dem_y, "x": dem_x}).rio.write_crs(32645)
    dem.rio.to_raster(folder / "dem.tif", tiled=True)


def outlines(ds: xr.Dataset) -> Any:
    """The glacier of `moving` as a polygon."""
    import geopandas as gpd
    from shapely.geometry import Polygon

    t = np.linspace(-0.8, 0.8, 200)
    left, right = 0.3 * np.sin(3 * t) - 0.15, 0.3 * np.sin(3 * t) + 0.15
    half = {k: np.ptp(ds[k].values) / 2 for k in ("y", "x")}
    middle = {k: float(ds[k].mean()) for k in ("y", "x")}
    # Rows run down: y = -1 is the first row, in the north.
    x = middle["x"] + half["x"] * np.r_[left, right[::-1]]
    y = middle["y"] - half["y"] * np.r_[t, t[::-1]]
    return gpd.GeoDataFrame(geometry=[Polygon(np.column_stack([x, y]))], crs=32645)


def peak_mb() -> float:
    """Peak of resident memory of this process so far, MB; unlike ru_maxrss of no other before."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def correct_field(folder: Path, order: Any) -> dict[str, Any]:
    """Terrain, stable ground, all corrections and velocity, from store to store."""
    return_freed_arrays()
    stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        stages[name] = {
            "seconds": round(time.perf_counter() - wall, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_mb": round(peak_mb()),
        }

    offsets = gt.open_checkpoint(folder / "offsets.zarr")
    with stage("stable ground"):
        terrain = terrain_at_posts(offsets, folder / "dem.tif")
        stable = gt.stable_terrain(offsets, outlines=outlines(offsets), dem=terrain)
        del terrain
    with stage("correct (the fit)"):
        motion = offsets.glacier.correct(stable=stable, dem=folder / "dem.tif", order=order)
    with stage("velocity, written"):
        velocity = motion.glacier.velocity()
        assert dask.is_dask_collection(velocity)
        done = velocity.glacier.checkpoint(folder / "velocity.zarr", overwrite=True)
    return {"stages": stages, "peak_mb": round(peak_mb()), **judge(done, offsets)}


def judge(done: xr.Dataset, offsets: xr.Dataset) -> dict[str, float]:
    """Errors of what was delivered, on a strip of rows through the middle."""
    part = {"y": slice(done.sizes["y"] // 2, done.sizes["y"] // 2 + 64)}
    x, y = (k.astype(np.float32) for k in normalised(offsets))
    y = -y
    strip = done[["dx", "dx_deformation"]].isel(part).load()
    ice = moving(x, y.isel(part)).transpose("y", "x")
    return {
        "surface_rms_m": float(np.sqrt(((_removed(strip, x, y.isel(part))) ** 2).mean())),
        "ice_bias_m": float((strip.dx.where(ice) - SPEED).median()),
        "rock_nmad_m": gt.nmad(strip.dx.where(~ice)),
        "coefficient": float(done.topography_coefficient.sel(component="x")),
        "kept": float(np.isfinite(strip.dx).mean()),
    }


def _removed(strip: xr.Dataset, x: Any, y: Any) -> xr.DataArray:
    error = strip.dx_deformation - surface(x, y)
    # The constant depends on the height that counts as zero.
    return error - error.mean()


TRUTHS = {
    "plane": lambda x, y: 3 + 4 * x - 3 * y,
    "order 2": lambda x, y: 3 + 4 * x - 3 * y + 2 * x**2 - 3 * x * y + y**2,
    "order 3": lambda x, y: 3 + 4 * x - 3 * y + 2 * x**2 - 3 * x * y + 2 * x**3 - 1.5 * x * y**2,
    "bent": lambda x, y: 3 * np.sin(2.5 * x + 1) * np.cos(2 * y),
}
COVERS = {
    "wide": lambda x, y: (abs(x) < 0.25) & (abs(y) < 0.8),
    "half": lambda x, y: (abs(x) < 0.6) & (abs(y) < 0.7),
    "nunataks": lambda x, y: np.sin(7 * x) * np.cos(6 * y) < 0.72,
}
STUDY_ORDERS = (1, "bilinear", 2, 3, "tps", "auto")


def study(seeds: int = 4, size: int = 160) -> list[dict[str, Any]]:
    """Rms error (m) of what each order removes, over the whole scene; noise of 0.3 m."""
    rows = []
    for truth, surface_of in TRUTHS.items():
        for cover, ice_of in COVERS.items():
            found: dict[Any, list[float]] = {order: [] for order in STUDY_ORDERS}
            for seed in range(seeds):
                ds, ice, true = _study_scene(surface_of, ice_of, size, seed)
                for order in STUDY_ORDERS:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
                        out = gt.remove_deformation(ds, stable=~ice, order=order)
                    error = np.sqrt(float(((out.dx_deformation - true) ** 2).mean()))
                    found[order].append(error)
            rows.append(
                {"truth": truth, "ice": cover}
                | {str(k): float(np.median(v)) for k, v in found.items()}
            )
    return rows


def _study_scene(
    surface_of: Any, ice_of: Any, size: int, seed: int
) -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    where = xr.DataArray(np.linspace(-1, 1, size), dims="x")
    x, y = where, where.rename(x="y")
    ice = ice_of(x, y).transpose("y", "x")
    true = surface_of(x, y).transpose("y", "x")
    ds = xr.Dataset(
        coords={"y": -48.0 * np.arange(size), "x": 48.0 * np.arange(size)},
        attrs={"template": [64, 64], "step": [16, 16], "pixel": [3.0, 3.0], "search": [16, 16]},
    )
    bad = rng.random(ice.shape) < 0.1
    for name in ("dx", "dy"):
        # Neighbouring templates share ground, and what decorrelates it.
        smooth = _blurred(rng.normal(size=ice.shape), 3) * 0.3
        value = true + 9 * ice + smooth + rng.normal(0, 0.2, ice.shape)
        ds[name] = (("y", "x"), np.where(bad, rng.uniform(-48, 48, ice.shape), value).astype("f4"))
    ds["flag"] = xr.zeros_like(ds.dx, dtype=np.uint32)
    coords = {"y": ds.y, "x": ds.x}
    return ds, ice.assign_coords(coords), true.assign_coords(coords)


def _blurred(field: np.ndarray, width: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    out = gaussian_filter(field, width, mode="wrap")
    return np.asarray(out / out.std())


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000, help="posts along an edge")
    parser.add_argument("--order", default="2")
    parser.add_argument("--study", action="store_true")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("out/bench/corrections.json"))
    given = parser.parse_args()
    if given.study:
        print(table(study(given.seeds)))
        return
    order = int(given.order) if given.order.isdigit() else given.order
    if given.child:
        print(json.dumps(correct_field(given.child, order)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_field(Path(folder), given.size)
        command = [sys.executable, __file__, "--child", folder, "--order", given.order]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    result = {"posts": given.size**2, "order": order, **json.loads(done.stdout.splitlines()[-1])}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table([{"stage": k, **v} for k, v in result["stages"].items()]))
    print({k: v for k, v in result.items() if k != "stages"})
    verdict = "within" if result["peak_mb"] <= LIMIT_MB else "ABOVE"
    print(f"peak memory {result['peak_mb']} MB, {verdict} the limit of {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
