"""How quick the profile inspector is on a large product, measured in a headless Chromium.

    python benchmarks/profile_inspector.py --size 5000

Writes a product of size x size posts (or takes the one in --folder), serves it as
``glaciertoolkit profile`` does, in a process of its own, with a line of --kilometres in its
middle, zooms in on that, and prints: the time to the first view of a warm server; of a click that
adds a point, of a drag that moves one, of the slider of the band width, each until the curves are
painted; and of the mouse on a curve until the cursor is (all as medians, from the event in the
browser), the points of the line, and the largest memory of the server. `--thickness` adds an ice
thickness, and so the driving stress, and `--maps` a second date.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from explorer import CHROMIUM, memory, opened, product, reached, report

# The curves of the first figure below the map, and the cursor's line in it.
ANSWERS = """
window.gtCurves = () => gtGlyphs(1, 'MultiLine')[0].data_source.data.ys
window.gtSpan = () => gtFigures()[1].model.center.find((part) => part.type === 'Span').location
window.gtAnswer = (what, event) => {
  const read = {curves: gtCurves, cursor: gtSpan}[what], before = read()
  window.gtElapsed = new Promise((done, failed) => {
    setTimeout(() => failed(`no answer to ${event} of ${what}`), 30000)
    document.addEventListener(event, (e) => {
      const begun = e.timeStamp
      const look = () => {
        if (read() !== before)
          requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)))
        else requestAnimationFrame(look)
      }
      look()
    }, {once: true, capture: true})
  })
}
null
"""


def thickness(size: int, folder: Path) -> Path:
    """Ice up to 250 m thick where the product is fast, as a GeoTIFF of every fourth post."""
    import rasterio
    from rasterio.transform import from_origin

    post, step = 48.0, 4
    row, column = (step * np.arange(size // step) + 1.5 for _ in "yx")
    ridge = np.sin(row * 2 * np.pi / 700)[:, None] * np.sin(column * 2 * np.pi / 900)[None, :]
    path = folder / "thickness.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=size // step, height=size // step, count=1,
        dtype="float32", crs="EPSG:32645", tiled=True,
        transform=from_origin(480_000 - post / 2, 3_100_000 + post / 2, step * post, step * post),
    ) as file:  # fmt: skip
        file.write(np.where(ridge > 0.5, 500 * (ridge - 0.5), 0).astype("float32"), 1)
    return path


def line(size: int, kilometres: float, folder: Path) -> Path:
    """A line of three points in the middle of the map, as a file."""
    import geopandas as gpd
    from shapely import LineString

    half, reach = 48.0 * size / 2, 500 * kilometres
    ends = [(k * 0.8 * reach, -k * 0.6 * reach) for k in (-1, 0, 1)]
    shape = LineString([(480_000 + half + x, 3_100_000 - half + y) for x, y in ends])
    path = folder / "line.geojson"
    gpd.GeoDataFrame(geometry=[shape], crs=32645).to_crs(4326).to_file(path)
    return path


def serve(folder: Path, options: list[str]) -> tuple[subprocess.Popen[str], str, float]:
    """The server in a process of its own, its address, and the seconds until it was there."""
    return reached([sys.executable, "-m", "glaciertoolkit.cli", "profile", str(folder),
                    "--port", "0", "--no-show", *options])  # fmt: skip


def answer(page: Any, what: str, event: str, act: Any) -> float:
    """Milliseconds from an event in the browser to the curves or the cursor changed and painted."""
    page.evaluate("([what, event]) => gtAnswer(what, event)", [what, event])
    act()
    return float(page.evaluate("() => gtElapsed"))


def at(page: Any, figure: int, across: float, down: float) -> tuple[float, float]:
    """Where a place in a frame, given as shares of it, is on the page."""
    x, y, w, h = page.evaluate("(i) => gtBox(i)", figure)
    return x + across * w, y + down * h


def measure(page: Any, url: str, repeats: int, figures: int) -> dict[str, list[float]]:
    """Every figure, several times."""
    found: dict[str, list[float]] = {"first view (s)": []}
    opened(page, url, figures)  # now the server and the browser's cache are warm
    for _ in range(max(repeats // 3, 3)):
        found["first view (s)"].append(opened(page, url, figures))
    page.evaluate(ANSWERS)
    page.wait_for_timeout(1500)
    parts: dict[str, list[float]] = {
        name: [] for name in ("click adds a point (ms)", "drag moves a point (ms)",
                              "band width (ms)", "cursor (ms)")
    }  # fmt: skip
    click, drag, band, cursor = parts.values()
    page.mouse.move(*at(page, 0, 0.5, 0.5))
    for _ in range(3):  # each halves what is in sight
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(700)
    # Apart from each other, and from where the line is: a click on a point only chooses it.
    shares = np.linspace(0, 1, repeats)
    places = np.column_stack([0.6 + 0.3 * shares, 0.1 + 0.15 * shares])
    for place in places:
        where = at(page, 0, *place)
        page.mouse.move(*where)
        click.append(answer(page, "curves", "pointerup", lambda at=where: page.mouse.click(*at)))
        page.wait_for_timeout(300)
    last = at(page, 0, *places[-1])
    for place in np.column_stack([0.9 - 0.3 * shares, 0.3 + 0.05 * shares]):
        page.mouse.move(*last)
        page.mouse.down()
        last = at(page, 0, *place)
        page.mouse.move(*last, steps=4)
        drag.append(answer(page, "curves", "pointerup", page.mouse.up))
        page.wait_for_timeout(300)
    page.locator(".noUi-handle").first.focus()
    for _ in range(repeats):
        press = "keydown", lambda: page.keyboard.press("ArrowRight")
        band.append(answer(page, "curves", *press))
        page.wait_for_timeout(300)
    for share in np.linspace(0.1, 0.9, repeats):
        where = at(page, 1, float(share), 0.5)
        move = "pointermove", lambda at=where: page.mouse.move(*at)
        cursor.append(answer(page, "cursor", *move))
    points = float(page.evaluate("() => gtCurves()[0].length"))
    return found | parts | {"points of the line": [points]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="keep the product here, or take it from here")
    parser.add_argument("--kilometres", type=float, default=20.0, help="length of the line")
    parser.add_argument("--thickness", action="store_true", help="with ice thickness and stress")
    parser.add_argument("--maps", action="store_true", help="with a second date")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "motion.nc").exists():
            product(options.size, folder)
        given = ["--line", str(line(options.size, options.kilometres, Path(temporary)))]
        if options.thickness:
            given += ["--thickness", str(thickness(options.size, Path(temporary)))]
        if options.maps:
            given += ["--other-date", str(folder)]
        server, url, start = serve(folder, given)
        try:
            with sync_playwright() as play:
                flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
                browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
                page = browser.new_page(viewport={"width": 1280, "height": 1100})
                figures = measure(page, url, options.repeats, 6 if options.thickness else 5)
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
