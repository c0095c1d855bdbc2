"""How quick the explorer is on a large product, measured in a headless Chromium.

    python benchmarks/explorer.py --size 5000

Writes a product of size x size posts (or takes the one in --folder), serves it as
``glaciertoolkit explore`` does, in a process of its own, and prints: the time to the first view of
a warm server, of a colour slider, of a brush on the histogram and on the map, of a zoom (all as
medians, from the event in the browser to the picture painted), and the largest memory of the
server.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe
from glaciertoolkit.io.netcdf import write_netcdf

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
CHUNK = 500
POST = 48.0
PER_YEAR = 365.25 / 29

# What is drawn, as Bokeh's own views know it.
PAGE = """
window.gtFigures = () => {
  const found = []
  const walk = (view) => {
    if (view.model.type === 'Figure') found.push(view)
    for (const child of view.child_views || []) walk(child)
  }
  for (const root of Bokeh.index.roots) walk(root)
  return found
}
window.gtBox = (i) => {
  const view = gtFigures()[i], box = view.el.getBoundingClientRect(), frame = view.frame.bbox
  return [box.x + frame.left, box.y + frame.top, frame.width, frame.height]
}
window.gtGlyphs = (i, type) =>
  gtFigures()[i].model.renderers.filter((r) => r.glyph && r.glyph.type === type)
window.gtParts = () => {
  const image = (r) => r.data_source.data.image[0]
  const images = gtGlyphs(0, 'Image'), quads = gtGlyphs(1, 'Quad'), dots = gtGlyphs(2, 'Image')
  return {veil: image(images.at(-1)), layer: image(images.at(-2)), bars:
          quads.at(-1).data_source.data.top, cloud: image(dots.at(-1)),
          high: images.at(-2).glyph.color_mapper.high}
}
window.gtAnswer = (names, event) => {
  const before = gtParts()
  window.gtElapsed = new Promise((done) => {
    document.addEventListener(event, (e) => {
      const begun = e.timeStamp
      const look = () => {
        const now = gtParts()
        if (names.every((name) => now[name] !== before[name]))
          requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)))
        else requestAnimationFrame(look)
      }
      look()
    }, {once: true, capture: true})
  })
}
null
"""


def product(size: int, folder: Path) -> None:
    """A map of many glaciers between rock, all variables of a run, written block by block."""
    import dask.array as da
    import geopandas as gpd
    import rioxarray  # noqa: F401
    from shapely import Point

    y = da.arange(size, chunks=CHUNK, dtype="float32")[:, None] * np.float32(2 * np.pi / 700)
    x = da.arange(size, chunks=CHUNK, dtype="float32")[None, :] * np.float32(2 * np.pi / 900)
    rng = da.random.default_rng(3)

    def noise(scale: float) -> Any:
        return rng.normal(0, scale, (size, size), chunks=CHUNK).astype("float32")

    ridge = da.sin(y) * da.sin(x)
    ice = ridge > 0.5
    speed = da.where(ice, 400 * (ridge - 0.5), 0).astype("float32")
    missing = rng.random((size, size), chunks=CHUNK) < 0.06
    flag = da.where(missing, np.uint32(Flag.LOW_CORRELATION), np.uint32(0))
    vx, vy = speed * 0.8 + noise(2), speed * -0.6 + noise(2)
    error = da.where(ice, 2.5, 2.0).astype("float32")
    fields = {
        "vx": vx, "vy": vy, "v": da.hypot(vx, vy), "vx_error": error, "vy_error": error,
        "v_error": error, "dx": vx / PER_YEAR, "dy": vy / PER_YEAR, "dx_error": error / PER_YEAR,
        "dy_error": error / PER_YEAR, "correlation": 0.5 + noise(0.1), "snr": 9 + noise(1),
        "peak_ratio": 1.6 + noise(0.1), "dx_deformation": y / 40 + x / 60,
        "dy_deformation": x / 50 - y / 70, "dx_topography": ridge, "dy_topography": ridge / 2,
        "elevation": 5200 - 700 * ridge + noise(1),
    }  # fmt: skip
    kept = ("elevation", "dx_deformation", "dy_deformation", "dx_topography", "dy_topography")
    variables = {
        k: (("y", "x"), (v if k in kept else da.where(missing, np.nan, v)).astype("float32"))
        for k, v in fields.items()
    }
    variables["flag"] = (("y", "x"), flag)
    variables["stable"] = (("y", "x"), ~ice & ~missing)
    coords = {
        "y": 3_100_000.0 - POST * np.arange(size),
        "x": 480_000.0 + POST * np.arange(size),
        "reference_time": np.datetime64("2019-09-03", "ns"),
        "secondary_time": np.datetime64("2019-10-02", "ns"),
        "mid_date": np.datetime64("2019-09-17T12", "ns"),
    }
    ds = describe(xr.Dataset(variables, coords=coords).rio.write_crs(32645))
    write_netcdf(ds, folder / "motion.nc")
    tops = [(i, j) for i in np.arange(175, size, 700) for j in np.arange(225, size, 900)]
    shapes = [Point(480_000 + POST * j, 3_100_000 - POST * i).buffer(130 * POST) for i, j in tops]
    table = {"rgi_id": [f"G{i:04d}" for i in range(len(tops))]}
    gpd.GeoDataFrame(table, geometry=shapes, crs=32645).to_file(folder / "outlines.gpkg")
    (folder / "run.yaml").write_text(f"outlines: {folder / 'outlines.gpkg'}\n")


def serve(folder: Path) -> tuple[subprocess.Popen[str], str, float]:
    """The server in a process of its own, its address, and the seconds until it was there."""
    command = [sys.executable, "-m", "glaciertoolkit.cli", "explore", str(folder)]
    return reached([*command, "--port", "0", "--no-show"])


def reached(command: list[str]) -> tuple[subprocess.Popen[str], str, float]:
    """The server that a command starts, its address, and the seconds until it was there."""
    begun = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    if "http" not in line:
        raise SystemExit("the server did not start")
    return server, line.split(" at ")[1].split(" ")[0], time.perf_counter() - begun


def memory(pid: int, field: str = "VmHWM") -> float:
    """GB of memory of a process: the most it had, or what it has now (VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1e6


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def opened(page: Any, url: str, figures: int = 5) -> float:
    """Seconds from asking for the page to its figures painted."""
    begun = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => window.Bokeh && Bokeh.index && Bokeh.index.roots.length")
    page.evaluate(PAGE)
    page.wait_for_function(
        "(n) => gtFigures().length >= n && gtFigures().every((f) => f.is_idle ?? f.has_finished())",
        arg=figures,
        timeout=120_000,
    )
    page.evaluate("() => new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))")
    return time.perf_counter() - begun


def answer(page: Any, names: list[str], event: str, act: Any) -> float:
    """Milliseconds from an event in the browser to these parts of the page changed and painted."""
    page.evaluate("([names, event]) => gtAnswer(names, event)", [names, event])
    act()
    found = float(page.evaluate("() => window.gtElapsed"))
    page.wait_for_timeout(400)
    return found


def drag(page: Any, figure: int, begin: tuple[float, float], end: tuple[float, float]) -> Any:
    """Drag over a figure, between points given as shares of its frame."""

    def act() -> None:
        x, y, w, h = page.evaluate("(i) => gtBox(i)", figure)
        page.mouse.move(x + begin[0] * w, y + begin[1] * h)
        page.mouse.down()
        page.mouse.move(x + end[0] * w, y + end[1] * h, steps=4)
        page.mouse.up()

    return act


def measure(page: Any, url: str, repeats: int, pid: int) -> dict[str, list[float]]:
    """Every figure, several times; besides, the processor time of the server for each."""
    used = [cpu(pid)]
    found: dict[str, list[float]] = {"first view (s)": []}
    opened(page, url)  # now the server and the browser's cache are warm
    for _ in range(max(repeats // 3, 3)):
        found["first view (s)"].append(opened(page, url))
    used.append(cpu(pid))
    page.wait_for_timeout(1500)
    handle = page.locator(".noUi-handle").nth(1)
    handle.focus()
    parts = {"slider (ms)": [], "brush on the histogram (ms)": [], "brush on the map (ms)": []}
    linked = ["veil", "bars", "cloud"]
    for _ in range(repeats):
        parts["slider (ms)"].append(
            answer(page, ["high"], "keydown", lambda: page.keyboard.press("ArrowLeft"))
        )
    used.append(cpu(pid))
    for i in range(repeats):
        act = drag(page, 1, (0.1 + 0.02 * i, 0.5), (0.5 + 0.02 * i, 0.6))
        parts["brush on the histogram (ms)"].append(answer(page, linked, "pointerup", act))
    used.append(cpu(pid))
    page.get_by_text("Select a box").click()
    page.wait_for_timeout(1500)
    for i in range(repeats):
        act = drag(page, 0, (0.2 + 0.01 * i, 0.2), (0.7 + 0.01 * i, 0.8))
        parts["brush on the map (ms)"].append(answer(page, linked, "pointerup", act))
    x, y, w, h = page.evaluate("(i) => gtBox(i)", 0)
    page.mouse.move(x + w / 2, y + h / 2)
    zooms = [
        answer(page, ["layer"], "wheel", lambda step=step: page.mouse.wheel(0, step))
        for step in (-300, -300, 300, 300)
    ]
    each = np.diff(used) / [1 + max(repeats // 3, 3), repeats, repeats]
    for name, seconds in zip(("first view", "slider", "brush"), each, strict=True):
        parts[f"server's processor, {name} (ms)"] = [1000 * float(seconds)]
    return found | parts | {"zoom (ms)": zooms}


def report(
    size: int, start: float, figures: dict[str, list[float]], gigabytes: tuple[float, float]
) -> None:
    """Print the medians, and the memory of the server now and at most."""
    print(f"{size} x {size} posts; the server was there after {start:.1f} s")
    for name, values in figures.items():
        digits = 2 if "(s)" in name else 0
        spread = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
        middle = statistics.median(values)
        print(f"{name:36} median {middle:.{digits}f}  ({spread}, n = {len(values)})")
    now, peak = gigabytes
    print(f"{'memory of the server (GB)':36} {now:.2f} now, {peak:.2f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="keep the product here, or take it from here")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "motion.nc").exists():
            product(options.size, folder)
        server, url, start = serve(folder)
        try:
            with sync_playwright() as play:
                flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
                browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                figures = measure(page, url, options.repeats, server.pid)
                browser.close()
            peak, now = memory(server.pid), memory(server.pid, "VmRSS")
        finally:
            server.terminate()
            server.wait(20)
    report(options.size, start, figures, (now, peak))
    if options.json:
        options.json.write_text(json.dumps({**figures, "memory": peak, "start": start}, indent=1))


if __name__ == "__main__":
    main()
