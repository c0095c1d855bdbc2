"""A served app in a real headless Chromium: what the tests of all apps share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"

# Bokeh's own views know what is drawn, whatever the shadow DOM around them looks like.
FIGURES = """() => {
  const found = []
  const walk = (view) => {
    if (view.model.type === 'Figure') found.push(view)
    for (const child of view.child_views || []) walk(child)
  }
  const label = (side) => side.map((part) => part.axis_label).find((text) => text) ?? ''
  if (!window.Bokeh) return found
  for (const root of Bokeh.index.roots) walk(root)
  return found.map((view) => {
    const box = view.el.getBoundingClientRect(), frame = view.frame.bbox, model = view.model
    return {
      x: box.x + frame.left, y: box.y + frame.top, w: frame.width, h: frame.height,
      left: box.x, right: box.x + box.width,
      xr: [model.x_range.start, model.x_range.end], yr: [model.y_range.start, model.y_range.end],
      title: model.title.text, xlabel: label(model.below), ylabel: label(model.left),
      glyphs: model.renderers.filter((r) => r.glyph).map((r) => ({
        type: r.glyph.type, visible: r.visible,
        x: Array.from(r.data_source.data[r.glyph.x?.field] ?? []),
        y: Array.from(r.data_source.data[r.glyph.y?.field] ?? []),
      })),
    }
  })
}"""

# The pictures of a figure from below to above, and the bars, by the label of their legend.
IMAGES = """(i) => {
  const found = []
  const walk = (view) => {
    if (view.model.type === 'Figure') found.push(view.model)
    for (const child of view.child_views || []) walk(child)
  }
  for (const root of Bokeh.index.roots) walk(root)
  return found[i].renderers.filter((r) => r.glyph?.type === 'Image').map((r) => {
    const image = r.data_source.data.image[0], mapper = r.glyph.color_mapper
    return {values: Array.from(image), shape: image.shape, low: mapper.low, high: mapper.high,
            alpha: r.glyph.global_alpha?.value ?? 1}
  })
}"""
BARS = """(i) => {
  const found = []
  const walk = (view) => {
    if (view.model.type === 'Figure') found.push(view.model)
    for (const child of view.child_views || []) walk(child)
  }
  for (const root of Bokeh.index.roots) walk(root)
  return found[i].renderers.filter((r) => r.glyph?.type === 'Quad').map((r) => ({
    visible: r.visible, colour: r.glyph.line_color?.value,
    top: Array.from(r.data_source.data.top), left: Array.from(r.data_source.data.left),
    right: Array.from(r.data_source.data.right),
  }))
}"""

# All that the glyphs of a figure have been given to draw.
DRAWN = """(index) => {
  const found = []
  const walk = (view) => {
    if (view.model.type === 'Figure') found.push(view)
    for (const child of view.child_views || []) walk(child)
  }
  for (const root of Bokeh.index.roots) walk(root)
  const plain = (v) => ArrayBuffer.isView(v) ? Array.from(v) : v
  return found[index].model.renderers.filter((r) => r.glyph).map((r) => {
    const data = r.data_source.data, out = {type: r.glyph.type, visible: r.visible}
    for (const name of Object.keys(data)) {
      const values = Array.from(data[name])
      out[name] = name === 'image'
        ? {shape: values[0].shape, values: Array.from(values[0])} : values.map(plain)
    }
    return out
  })
}"""


@dataclass
class Window:
    """A page that shows an app, with what went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, url: str, figures: int, *, width: int = 1280, height: int = 900) -> None:
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(url)
        self.page.wait_for_function(f"() => ({FIGURES})().length === {figures}", timeout=60_000)
        self.settle()

    def show(self, view: Any, figures: int, *, width: int = 1280, height: int = 900) -> None:
        """Serve one app and open it, so that a test can look at both of its sides."""
        import panel as pn

        from glaciertoolkit.apps.serving import usable_port, wait_for

        port = usable_port("127.0.0.1")
        origin = f"127.0.0.1:{port}"
        pn.serve(view, port=port, address="127.0.0.1", websocket_origin=origin, threaded=True,
                 show=False, verbose=False)  # fmt: skip
        wait_for("127.0.0.1", port)
        self.open(f"http://{origin}/", figures, width=width, height=height)

    def settle(self, milliseconds: int = 700) -> None:
        self.page.wait_for_timeout(milliseconds)

    def until(self, true: Callable[[], Any], *, seconds: float = 30.0) -> None:
        """Wait until `true()` is: how long an answer takes depends on what else runs."""
        for _ in range(int(seconds * 10)):
            if true():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"still not so after {seconds:g} s")

    def figures(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(FIGURES)
        return found

    def click_map(self, x: float, y: float) -> None:
        """Click the first figure at these data coordinates."""
        frame = self.figures()[0]
        px = frame["x"] + (x - frame["xr"][0]) / (frame["xr"][1] - frame["xr"][0]) * frame["w"]
        py = frame["y"] + (frame["yr"][1] - y) / (frame["yr"][1] - frame["yr"][0]) * frame["h"]
        self.page.mouse.move(px, py, steps=4)
        self.page.mouse.click(px, py)
        self.settle()

    def drag(
        self, figure: int, begin: tuple[float, float], end: tuple[float, float], *corners: Any
    ) -> None:
        """Drag over a figure from one place to another, in data coordinates."""
        frame = self.figures()[figure]

        def pixel(x: float, y: float) -> tuple[float, float]:
            (x0, x1), (y0, y1) = frame["xr"], frame["yr"]
            return (
                frame["x"] + (x - x0) / (x1 - x0) * frame["w"],
                frame["y"] + (y1 - y) / (y1 - y0) * frame["h"],
            )

        self.page.mouse.move(*pixel(*begin), steps=2)
        self.page.mouse.down()
        for corner in (*corners, end):
            self.page.mouse.move(*pixel(*corner), steps=5)
        self.page.mouse.up()

    def slide(self, label: str, share: float) -> None:
        """Click a slider of the page at a share of its length."""
        bar = self.page.locator(
            f".bk-input-group:has(.bk-slider-title:has-text('{label}')) .noUi-base"
        ).first
        box = bar.bounding_box()
        self.page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)

    def drawn(self, figure: int, kind: str) -> list[dict[str, Any]]:
        """The glyphs of one type in a figure, with all their columns."""
        found: list[dict[str, Any]] = self.page.evaluate(DRAWN, figure)
        return [glyph for glyph in found if glyph["type"] == kind]

    def images(self, figure: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(IMAGES, figure)
        return found

    def bars(self, figure: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(BARS, figure)
        return found

    def saved(self, button: str, folder: Path) -> Path:
        """Press a button that saves a file, and give the file."""
        with self.page.expect_download() as waiting:
            self.page.get_by_text(button, exact=True).click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def text(self) -> str:
        """All that can be read on the page, inside the shadow roots too."""
        walk = """() => { const out = []; const walk = (node) => {
          if (node.shadowRoot) walk(node.shadowRoot)
          for (const c of node.childNodes) {
            if (c.nodeType === 3) out.push(c.textContent)
            else if (!['STYLE', 'SCRIPT'].includes(c.nodeName)) walk(c)
          } }; walk(document.body); return out.join(' ') }"""
        return " ".join(str(self.page.evaluate(walk)).split())

    def screenshot(self, path: Path) -> Path:
        self.page.screenshot(path=path, full_page=True)
        assert path.stat().st_size > 10_000
        return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set the variable CHROMIUM to its path")
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Any) -> Iterator[Window]:
    context = chromium.new_context()
    found = Window(context.new_page())

    def requested(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            found.outside.append(request.url)

    def said(message: Any) -> None:
        if message.type == "error":
            found.errors.append(message.text)

    found.page.on("request", requested)
    found.page.on("console", said)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    yield found
    context.close()


@pytest.fixture(autouse=True)
def _stop_servers() -> Iterator[None]:
    """A served thread would keep pytest alive for ever after its last test."""
    yield
    import panel as pn
    from bokeh.io import doc

    pn.state.kill_all_servers()
    pn.state._thread_id_.clear()
    # A handler in whose midst its server was stopped would leave its document the current one.
    doc._PATCHED_CURDOCS.clear()
