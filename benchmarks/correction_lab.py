"""How quickly the correction lab answers, measured in the browser, and what its server takes.

python benchmarks/correction_lab.py [--size 5000] [--answers 15] [--out out/bench/corrections.json]

The folder of a run with `size` x `size` posts (checkpoint, record, DEM, outlines) is written and
served by ``glaciertoolkit corrections``; a headless Chromium (variable CHROMIUM) opens the page and
turns the options. An answer lasts from the press of the mouse to the frame in which the map of
what is left is drawn. Beside that: how far the fit to the sample is from the fit to all posts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from lab import CHROMIUM, Times, Visitor, free_port, peak_memory, selects, slides, wait_for

POST, TEMPLATE, STEP, CHUNK = 80.0, 64, 8, 500
MAPS = 5

# The maps come first: as tracked, deformation, topography, streaks, what is left.
PREPARE = """(maps) => {
  const figures = []
  const walk = (view) => {
    if (view.model.type === 'Figure') figures.push(view)
    for (const child of view.child_views || []) walk(child)
  }
  if (!window.Bokeh) return 0
  for (const root of Bokeh.index.roots) walk(root)
  if (figures.length === maps + 2 && !window.lab) {
    window.lab = {pressed: 0, done: [], map: figures[0]}
    document.addEventListener('pointerdown', () => { lab.pressed = performance.now() }, true)
    const left = figures[maps - 1].model.renderers.find((r) => r.glyph?.type === 'Image')
    left.data_source.properties.data.change.connect(() => {
      const from = lab.pressed
      const drawn = () => lab.done.push(performance.now() - from)
      requestAnimationFrame(() => requestAnimationFrame(drawn))
    })
  }
  return figures.length
}"""


def write_run(folder: Path, size: int) -> None:
    """Offsets with a deformation, an offset by elevation, moving ice and 4 % wrong matches."""
    import warnings

    import dask.array as da
    import geopandas as gpd
    import rasterio
    from rasterio.transform import from_origin
    from shapely import Point

    from glaciertoolkit.blocks import checkpoint
    from glaciertoolkit.conventions import describe

    warnings.simplefilter("ignore", da.PerformanceWarning)
    rows, columns = (da.arange(size, chunks=CHUNK, dtype="float32") for _ in range(2))
    y, x = rows[:, None], columns[None, :]
    rng = da.random.default_rng(3)

    def noise(scale: float) -> Any:
        return rng.normal(0, scale, (size, size), chunks=CHUNK).astype("float32")

    def wave(down: float, along: float) -> Any:
        return da.sin(y * np.float32(2 * np.pi / down)) * da.sin(x * np.float32(2 * np.pi / along))

    ridge = wave(700, 900)
    relief = 600 * wave(40, 60) - 700 * ridge  # steep enough for the slope to matter
    speed = da.where(ridge > 0.5, 30 * (ridge - 0.5), 0)
    u, v = 2 * x / size - 1, 2 * y / size - 1
    dx = 3 + 2 * u - v + u * v + 0.003 * relief + 0.8 * speed + noise(0.3)
    dy = 1 - u + 0.5 * v * v - 0.6 * speed + noise(0.3)
    wrong = rng.random((size, size), chunks=CHUNK) < 0.04
    fields = {
        "dx": da.where(wrong, 80 * noise(0.4), dx), "dy": da.where(wrong, 80 * noise(0.4), dy),
        "dx_error": 0.3 + 0 * noise(0.1), "dy_error": 0.3 + 0 * noise(0.1),
        "correlation": 0.5 + noise(0.1), "snr": 9 + noise(1), "peak_ratio": 1.6 + noise(0.1),
    }  # fmt: skip
    variables = {k: (("y", "x"), field.astype("float32")) for k, field in fields.items()}
    variables["flag"] = (("y", "x"), da.zeros((size, size), chunks=CHUNK, dtype="uint32"))
    coords = {
        "y": 3_400_000.0 - POST * np.arange(size), "x": 480_000.0 + POST * np.arange(size),
        "reference_time": np.datetime64("2019-09-03", "ns"),
        "secondary_time": np.datetime64("2019-10-02", "ns"),
    }  # fmt: skip
    attrs = {"template": [TEMPLATE] * 2, "step": [STEP] * 2, "pixel": [POST / STEP] * 2,
             "search": [16, 16]}  # fmt: skip
    import rioxarray  # noqa: F401

    ds = describe(xr.Dataset(variables, coords=coords, attrs=attrs).rio.write_crs(32645))
    checkpoint(ds, folder / "offsets.zarr")
    height = (5200 + relief).astype("float32").compute()
    with rasterio.open(
        folder / "dem.tif", "w", driver="GTiff", width=size, height=size, count=1, dtype="float32",
        crs="EPSG:32645", transform=from_origin(479_960, 3_400_040, POST, POST),
    ) as file:  # fmt: skip
        file.write(height, 1)
    tops = [(i, j) for i in np.arange(175, size, 350) for j in np.arange(225, size, 450)]
    spread = np.random.default_rng(5).uniform(0.7, 1.3, len(tops))  # no two rings alike
    shapes = [
        Point(480_000 + POST * j * s**0.1, 3_400_000 - POST * i * s**0.1).buffer(130 * POST * s)
        for (i, j), s in zip(tops, spread, strict=True)
    ]
    table = {"rgi_id": [f"G{i:04d}" for i in range(len(tops))]}
    gpd.GeoDataFrame(table, geometry=shapes, crs=32645).to_file(folder / "outlines.gpkg")
    record = [
        f"{name}: {folder / name}{end}" for name, end in (("dem", ".tif"), ("outlines", ".gpkg"))
    ]
    (folder / "run.yaml").write_text("\n".join(record) + "\n", encoding="utf-8")


def presses(visitor: Visitor, places: list[Any]) -> list[Times]:
    """Answers to ticks and buttons."""
    return [visitor.answer(place.first.click) for place in places]


def boxes(visitor: Visitor, count: int) -> list[Times]:
    """Answers to boxes dragged over the first map, from the release of the mouse."""
    page, times = visitor.page, []
    rng = np.random.default_rng(1)
    for low, high in zip(
        rng.uniform(0.05, 0.3, (count, 2)), rng.uniform(0.6, 0.95, (count, 2)), strict=True
    ):
        box = page.evaluate(
            "() => { const b = lab.map.el.getBoundingClientRect(), f = lab.map.frame.bbox;"
            " return [b.x + f.left, b.y + f.top, f.width, f.height] }"
        )
        ends = [(box[0] + s[0] * box[2], box[1] + s[1] * box[3]) for s in (low, high)]

        def act(ends: list[tuple[float, float]] = ends) -> None:
            page.mouse.move(*ends[0])
            page.mouse.down()
            page.mouse.move(*ends[1], steps=4)
            page.evaluate("lab.pressed = performance.now()")
            page.mouse.up()

        times.append(visitor.answer(act))
    return times


def measure(url: str, server: int, count: int) -> tuple[list[float], dict[str, list[Times]], float]:
    """ms of the first view of a warm server and of each kind of answer; s for all posts."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    orders = ["plane (1)", "cubic (3)", "quadratic (2)"]
    reliefs = ["elevation and its square", "left in place", "in proportion to elevation"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        views = []
        for _ in range(4):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            begun = time.perf_counter()
            page.goto(url, wait_until="commit")
            page.wait_for_function(f"() => ({PREPARE})({MAPS}) === {MAPS + 2}", timeout=120_000)
            page.evaluate(
                "new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))"
            )
            views.append(1000 * (time.perf_counter() - begun))
            page.wait_for_timeout(6000)
        visitor = Visitor(page, server)
        tick = page.locator("input[type=checkbox]")
        ways = [page.get_by_text(k, exact=True) for k in ("one after the other", "together")]
        found = {
            "buffer slider": slides(
                visitor, "Buffer about glaciers", list(np.linspace(0.2, 0.9, count))
            ),
            "slope slider": slides(
                visitor, "Steepest stable slope", list(np.linspace(0.2, 0.48, count))
            ),
            "order": selects(visitor, 0, orders * (count // 3)),
            "topography": selects(visitor, 1, reliefs * (count // 3)),
            "deformation on or off": presses(visitor, [tick] * (count // 2 * 2)),
            "together or in turn": presses(visitor, ways * (count // 2)),
            "box on the map": boxes(visitor, count),
        }
        begun = time.perf_counter()
        button = page.get_by_text("Correct all posts", exact=True)
        visitor.answer(button.first.click, seconds=600)
        whole = time.perf_counter() - begun - 1
        browser.close()
    return views[1:], found, whole


def agreement(folder: Path) -> dict[str, float]:
    """How far the fit to the sample is from the fit to all posts, m: largest over the scene."""
    from glaciertoolkit.apps.correction_answer import Workbench
    from glaciertoolkit.apps.correction_lab import CorrectionLab, prepared
    from glaciertoolkit.apps.correction_serve import offsets_of

    offsets, given = offsets_of(folder)
    material, start = prepared(offsets, **given)
    lab = CorrectionLab(material, **start)
    whole = Workbench(material).all_posts(lab.question).motion
    found = {}
    for part in ("deformation", "topography"):
        far = [abs(lab.motion[f"d{a}_{part}"] - whole[f"d{a}_{part}"]).max() for a in ("x", "y")]
        found[part] = round(float(max(far)), 4)
    found["points_sample"] = int(lab.motion["fit_points"])
    found["points_all"] = int(whole["fit_points"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=5000, help="posts along an edge")
    parser.add_argument("--answers", type=int, default=15, help="of each kind")
    parser.add_argument("--out", type=Path, default=Path("out/bench/correction_lab.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_run(folder, given.size)
        port = free_port()
        command = [sys.executable, "-m", "glaciertoolkit.cli", "corrections", name,
                   "--port", str(port), "--no-show"]  # fmt: skip
        start = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for(url, server)
            started = time.perf_counter() - start
            views, times, whole = measure(url, server.pid, given.answers)
            memory = peak_memory(server.pid)
        finally:
            server.terminate()
            server.wait(20)
        fits = agreement(folder)
    medians = {
        kind: Times(*(round(statistics.median(t), 1) for t in zip(*answers, strict=True)))
        for kind, answers in times.items()
    }
    report: dict[str, Any] = {
        "size": given.size,
        "server_start_s": round(started, 2),
        "server_memory_gb": round(memory, 2),
        "first_view_ms": [round(t, 1) for t in views],
        "median_ms": {kind: t._asdict() for kind, t in medians.items()},
        "all_posts_s": round(whole, 1),
        "sample_against_all_m": fits,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{given.size} x {given.size} posts; server ready after {started:.1f} s, "
          f"at most {memory:.2f} GB; first view {min(views) / 1000:.1f} s; "
          f"all posts {whole:.0f} s")  # fmt: skip
    print(f"fit to the sample against the fit to all, at most: {fits}")
    print(f"{'median of each answer, ms':32} {'clock':>7} {'server':>7} {'page':>7}")
    for kind, t in medians.items():
        print(f"{kind:32} {t.clock:7.0f} {t.server:7.0f} {t.page:7.0f}")


if __name__ == "__main__":
    main()
