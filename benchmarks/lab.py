"""How quickly the tracking lab answers, measured in the browser, and what its server takes.

python benchmarks/lab.py [--size 5000] [--answers 15] [--out out/bench/lab.json]

Two simulated images of `size` x `size` pixels are written as GeoTIFFs and served by
``glaciertoolkit lab``; a headless Chromium (variable CHROMIUM) opens the page, clicks places all
over the map and moves the sliders. An answer lasts from the press of the mouse to the frame in
which the new correlation surface is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"

# The figures in the order of the page: the map is the first, the surface the third.
PREPARE = """() => {
  const figures = []
  const walk = (view) => {
    if (view.model.type === 'Figure') figures.push(view)
    for (const child of view.child_views || []) walk(child)
  }
  if (!window.Bokeh) return 0
  for (const root of Bokeh.index.roots) walk(root)
  if (figures.length === 7 && !window.lab) {
    window.lab = {pressed: 0, done: [], map: figures[0]}
    document.addEventListener('pointerdown', () => { lab.pressed = performance.now() }, true)
    const image = figures[2].model.renderers.find((r) => r.glyph?.type === 'Image')
    image.data_source.properties.data.change.connect(() => {
      const from = lab.pressed
      const drawn = () => lab.done.push(performance.now() - from)
      requestAnimationFrame(() => requestAnimationFrame(drawn))
    })
  }
  return figures.length
}"""
FRAME = """() => {
  const box = lab.map.el.getBoundingClientRect(), f = lab.map.frame.bbox
  return [box.x + f.left, box.y + f.top, f.width, f.height]
}"""


def texture(size: int, seed: int) -> np.ndarray:
    """Smooth noise that a template can be found by."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    return gaussian_filter(rng.normal(size=(size, size)).astype(np.float32), 1.2)


def write_images(folder: Path, size: int) -> list[Path]:
    """A pair that moved by (3, -2) pixels, with noise of its own in each image."""
    import rasterio
    from rasterio.transform import from_origin

    ground = texture(size, 1)
    spread = float(ground.std())
    paths = []
    for k, date in enumerate(("20200101", "20200201")):
        image = np.roll(ground, (3 * k, -2 * k), (0, 1))
        image += (0.3 * spread) * texture(size, 2 + k) / spread
        path = folder / f"image_{date}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=size, height=size, count=1, dtype="float32",
            crs="EPSG:32645", transform=from_origin(5e5, 3.3e6, 10, 10), tiled=True,
            blockxsize=512, blockysize=512,
        ) as file:  # fmt: skip
            file.write((100 + 10 * image / spread).astype("float32"), 1)
        paths.append(path)
    return paths


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with status {server.returncode}")
        try:
            urllib.request.urlopen(url, timeout=60).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def peak_memory(process: int) -> float:
    """Most memory that a process held, GB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1e6
    return float("nan")


class Times(NamedTuple):
    """Of one answer, ms: by the clock, and of the processors in the server and on the page."""

    clock: float
    server: float
    page: float


class Visitor:
    """A page that is measured, and the server that answers it."""

    def __init__(self, page: Any, server: int) -> None:
        self.page, self.server = page, server
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def used(self) -> tuple[float, float]:
        """Processor time so far, ms: of the server, of the page's main thread."""
        words = Path(f"/proc/{self.server}/stat").read_text().rsplit(")", 1)[1].split()
        server = 1000 * (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        metrics = self.devtools.send("Performance.getMetrics")["metrics"]
        return server, 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def answer(self, act: Any, *, seconds: float = 60) -> Times:
        """What the press that `act` makes takes until the new surface is drawn."""
        before, used = self.page.evaluate("lab.done.length"), self.used()
        act()
        self.page.wait_for_function(f"() => lab.done.length > {before}", timeout=1000 * seconds)
        now = self.used()
        # The offsets around come after the answer; then all is quiet.
        self.page.wait_for_timeout(1000)
        clock = float(self.page.evaluate("lab.done.at(-1)"))
        return Times(clock, now[0] - used[0], now[1] - used[1])


def clicks(visitor: Visitor, count: int) -> list[Times]:
    """Answers to clicks all over the map."""
    rng = np.random.default_rng(0)
    page, times = visitor.page, []
    for across, down in rng.uniform(0.25, 0.75, (count, 2)):
        x, y, w, h = page.evaluate(FRAME)
        at = (x + across * w, y + down * h)
        times.append(visitor.answer(lambda at=at: page.mouse.click(*at)))
    return times


def slides(visitor: Visitor, label: str, shares: list[float]) -> list[Times]:
    """Answers to clicks on a slider at these shares of its length.

    Every second one first: a click so near to the last one hits the handle and moves nothing.
    """
    page = visitor.page
    bar = page.locator(
        f".bk-input-group:has(.bk-slider-title:has-text('{label}')) .noUi-base"
    ).first
    times = []
    for share in shares[::2] + shares[1::2]:
        box = bar.bounding_box()
        at = (box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        times.append(visitor.answer(lambda at=at: page.mouse.click(*at)))
    return times


def selects(visitor: Visitor, index: int, labels: list[str]) -> list[Times]:
    """Answers to choices; they begin with the change of the selector, not with a press."""
    page, times = visitor.page, []
    for label in labels:

        def act(label: str = label) -> None:
            page.evaluate("lab.pressed = performance.now()")
            page.locator("select").nth(index).select_option(label=label)

        times.append(visitor.answer(act))
    return times


def measure(url: str, server: int, count: int) -> tuple[list[float], dict[str, list[Times]]]:
    """Milliseconds of the first view once the server is warm, and of each kind of answer."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    views = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        for _ in range(3):  # the first warms the server
            page = browser.new_page(viewport={"width": 1280, "height": 1300})
            start = time.perf_counter()
            page.goto(url)
            page.wait_for_function(f"() => ({PREPARE})() === 7", timeout=120_000)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
            views.append(1000 * (time.perf_counter() - start))
        page.wait_for_timeout(2000)
        visitor = Visitor(page, server)
        clicks(visitor, 2)
        filters = ["Wallis", "high-pass, square", "none", "high-pass, Gaussian"]
        methods = ["orientation correlation", "normalised cross-correlation"] * 2
        found = {
            "click, template 64, search 16": clicks(visitor, count),
            "template slider, 16 to 96": slides(
                visitor, "Template", list(np.linspace(0.07, 0.73, count))
            ),
            "search slider, 4 to 32": slides(
                visitor, "Search radius", list(np.linspace(0.04, 0.48, count))
            ),
            "click, template 96, search 32": clicks(visitor, count),
            "filter, template 96, search 32": selects(visitor, 1, filters),
            "method, template 96, search 32": selects(visitor, 0, methods),
        }
        browser.close()
    return views[1:], found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=5000, help="pixels along an edge")
    parser.add_argument("--answers", type=int, default=15, help="of each kind")
    parser.add_argument("--out", type=Path, default=Path("out/bench/lab.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, second = write_images(Path(folder), given.size)
        port = free_port()
        command = [sys.executable, "-m", "glaciertoolkit.cli", "lab", str(first), str(second),
                   "--port", str(port), "--no-show"]  # fmt: skip
        start = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for(url, server)
            started = time.perf_counter() - start
            views, times = measure(url, server.pid, given.answers)
            memory = peak_memory(server.pid)
        finally:
            server.terminate()
            server.wait(20)
    medians = {
        name: Times(*(round(statistics.median(t), 1) for t in zip(*answers, strict=True)))
        for name, answers in times.items()
    }
    report: dict[str, Any] = {
        "size": given.size,
        "server_start_s": round(started, 2),
        "server_memory_gb": round(memory, 2),
        "first_view_ms": [round(t, 1) for t in views],
        "median_ms": {name: t._asdict() for name, t in medians.items()},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{given.size} x {given.size} pixels; server ready after {started:.1f} s, "
          f"at most {memory:.2f} GB; first view {min(views) / 1000:.1f} s")  # fmt: skip
    print(f"{'median of each answer, ms':32} {'clock':>7} {'server':>7} {'page':>7}")
    for name, t in medians.items():
        print(f"{name:32} {t.clock:7.0f} {t.server:7.0f} {t.page:7.0f}")


if __name__ == "__main__":
    main()
