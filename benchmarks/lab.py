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
from typing import Any

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


def next_answer(page: Any, act: Any) -> float:
    """Milliseconds from the press that `act` makes to the new surface."""
    before = page.evaluate("lab.done.length")
    act()
    page.wait_for_function(f"() => lab.done.length > {before}", timeout=60_000)
    page.wait_for_timeout(600)  # the offsets around come after the answer; then all is quiet
    return float(page.evaluate("lab.done.at(-1)"))


def clicks(page: Any, count: int) -> list[float]:
    """Answers to clicks all over the map."""
    rng = np.random.default_rng(0)
    times = []
    for across, down in rng.uniform(0.25, 0.75, (count, 2)):
        x, y, w, h = page.evaluate(FRAME)
        at = (x + across * w, y + down * h)
        times.append(next_answer(page, lambda at=at: page.mouse.click(*at)))
    return times


def slides(page: Any, label: str, shares: list[float]) -> list[float]:
    """Answers to clicks on a slider at these shares of its length."""
    bar = page.locator(
        f".bk-input-group:has(.bk-slider-title:has-text('{label}')) .noUi-base"
    ).first
    times = []
    for share in shares:
        box = bar.bounding_box()
        at = (box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        times.append(next_answer(page, lambda at=at: page.mouse.click(*at)))
    return times


def selects(page: Any, index: int, labels: list[str]) -> list[float]:
    """Answers to choices; they begin with the change of the selector, not with a press."""
    times = []
    for label in labels:

        def act(label: str = label) -> None:
            page.evaluate("lab.pressed = performance.now()")
            page.locator("select").nth(index).select_option(label=label)

        times.append(next_answer(page, act))
    return times


def measure(url: str, count: int) -> dict[str, list[float]]:
    """Milliseconds of each kind of answer."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    found: dict[str, list[float]] = {"first view": []}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        for _ in range(3):  # the first warms the server
            page = browser.new_page(viewport={"width": 1280, "height": 1300})
            start = time.perf_counter()
            page.goto(url)
            page.wait_for_function(f"() => ({PREPARE})() === 7", timeout=120_000)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
            found["first view"].append(1000 * (time.perf_counter() - start))
        found["first view"] = found["first view"][1:]
        page.wait_for_timeout(2000)
        clicks(page, 2)
        found["click, template 64, search 16"] = clicks(page, count)
        found["template slider, 16 to 96"] = slides(
            page, "Template", list(np.linspace(0.07, 0.73, count))
        )
        found["search slider, 4 to 32"] = slides(
            page, "Search radius", list(np.linspace(0.04, 0.48, count))
        )
        found["click, template 96, search 32"] = clicks(page, count)
        found["filter"] = selects(
            page, 1, ["Wallis", "high-pass, square", "none", "high-pass, Gaussian"]
        )
        found["method"] = selects(
            page, 0, ["orientation correlation", "normalised cross-correlation"] * 2
        )
        browser.close()
    return found


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
            times = measure(url, given.answers)
            memory = peak_memory(server.pid)
        finally:
            server.terminate()
            server.wait(20)
    report: dict[str, Any] = {
        "size": given.size,
        "server_start_s": round(started, 2),
        "server_memory_gb": round(memory, 2),
        "median_ms": {name: round(statistics.median(t), 1) for name, t in times.items()},
        "slowest_ms": {name: round(max(t), 1) for name, t in times.items()},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{given.size} x {given.size} pixels; server ready after {started:.1f} s, "
          f"{memory:.2f} GB")  # fmt: skip
    for name, values in times.items():
        print(f"{name:34} median {statistics.median(values):6.0f} ms, slowest {max(values):6.0f}")


if __name__ == "__main__":
    main()
