"""The correction lab as a person sees it: clicks, sliders and drags in a real headless Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
import pytest
from correction_scene import answered, correction_scene

import glaciertoolkit as gt
from glaciertoolkit.apps.correction_lab import CorrectionLab
from glaciertoolkit.apps.correction_serve import serve_correction_lab
from glaciertoolkit.apps.serving import usable_port, wait_for
from glaciertoolkit.robust import nmad

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FIGURES = 7
RAW, DEFORMATION, TOPOGRAPHY, STREAKS, LEFT, ALONG_X, ALONG_Y = range(FIGURES)


@pytest.fixture(scope="module")
def scene() -> dict[str, Any]:
    return correction_scene(72)


@pytest.fixture
def lab(scene: dict[str, Any]) -> CorrectionLab:
    found = gt.correction_lab(scene["offsets"], dem=scene["dem"], outlines=scene["outlines"])
    assert isinstance(found, CorrectionLab)
    return found


def served(view: CorrectionLab) -> str:
    """Serve one lab, so that the test can look at both of its sides."""
    port = usable_port("127.0.0.1")
    origin = f"127.0.0.1:{port}"
    pn.serve(view, port=port, address="127.0.0.1", websocket_origin=origin, threaded=True,
             show=False, verbose=False)  # fmt: skip
    wait_for("127.0.0.1", port)
    return f"http://{origin}/"


def drawn(window: Any, figure: int) -> np.ndarray:
    """The map as it lies in the browser, first row lowest."""
    image = window.images(figure)[0]
    values = [np.nan if v in (None, "NaN") else v for v in image["values"]]
    return np.array(values, np.float32).reshape(image["shape"])


def shows(window: Any, figure: int, values: np.ndarray) -> bool:
    """Whether a map shows just these values; rows go north in the browser."""
    found = drawn(window, figure)
    return found.shape == values.shape and np.array_equal(found, values[::-1], equal_nan=True)


def row(window: Any, name: str, kind: str = "steps") -> list[str]:
    """The cells of a row of a table of the page."""
    walk = """([name, kind]) => {
      const found = []
      const walk = (node) => {
        if (node.shadowRoot) walk(node.shadowRoot)
        if (node.matches?.(`table.${kind} tr`)) found.push(node)
        for (const child of node.children || []) walk(child)
      }
      walk(document.body)
      const row = found.find((r) => r.children[0].textContent === name)
      return row ? Array.from(row.children).slice(1).map((c) => c.textContent) : []
    }"""
    found: list[str] = window.page.evaluate(walk, [name, kind])
    return found


def slide(window: Any, label: str, share: float) -> None:
    """Click a slider of the page at a share of its length."""
    bar = window.page.locator(
        f".bk-input-group:has(.bk-slider-title:has-text('{label}')) .noUi-base"
    ).first
    box = bar.bounding_box()
    window.page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


@pytest.mark.parametrize("width", [1280, 1920])
def test_opens_offline_and_fits_the_screen(
    window: Any, scene: dict[str, Any], width: int, tmp_path: Path
) -> None:
    url = serve_correction_lab(
        scene["offsets"], dem=scene["dem"], outlines=scene["outlines"], threaded=True
    ).url
    window.open(url, FIGURES, width=width, height=900 if width == 1280 else 1080)
    window.until(lambda: row(window, "without noise filter", "leftout"))
    assert window.errors == []
    assert window.outside == []
    figures = window.figures()
    on_map = ("easting (km)", "northing (km)")
    labels = [(f["xlabel"], f["ylabel"]) for f in figures]
    assert labels == [on_map] * 5 + [
        ("residual along easting (m)", "share of the highest bin"),
        ("residual along northing (m)", "share of the highest bin"),
    ]
    seen = [f for k, f in enumerate(figures) if k != STREAKS]
    assert all(f["left"] >= 0 and f["right"] <= width for f in seen)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    maps = [figures[k] for k in (RAW, DEFORMATION, TOPOGRAPHY, LEFT)]
    assert len({(f["w"], f["h"]) for f in maps}) == 1
    assert_one_scale(maps)
    text = window.text()
    assert "2019-09-03 to 2019-10-02" in text
    assert "motion = gt.correct(offsets, stable=stable, dem=terrain)" in text
    assert re.search(r"after noise filter: median -?\d\.\d\d, NMAD \d\.\d\d m",
                     str(legend(window)))  # fmt: skip
    window.screenshot(tmp_path / f"corrections_{width}.png")


def assert_one_scale(maps: list[dict[str, Any]]) -> None:
    """A metre is as long on both axes and on all maps, and they show the same place."""
    scales = [(f[r][1] - f[r][0]) / f[s] for f in maps for r, s in (("xr", "w"), ("yr", "h"))]
    assert scales == pytest.approx([scales[0]] * len(scales), rel=0.02)
    middles = [(sum(f["xr"]) / 2, sum(f["yr"]) / 2) for f in maps]
    assert all(m == pytest.approx(middles[0], abs=60) for m in middles)


def legend(window: Any) -> list[str]:
    """The labels that the legend of the first histogram shows."""
    code = """(i) => {
      const found = []
      const walk = (view) => {
        if (view.model.type === 'Figure') found.push(view.model)
        for (const child of view.child_views || []) walk(child)
      }
      for (const root of Bokeh.index.roots) walk(root)
      const legend = found[i].below.find((part) => part.type === 'Legend')
      return legend.items.filter((item) => item.visible).map((item) => item.label.value)
    }"""
    found: list[str] = window.page.evaluate(code, ALONG_X)
    return found


def test_another_order_is_answered_by_table_and_maps(
    window: Any, lab: CorrectionLab, scene: dict[str, Any]
) -> None:
    window.open(served(lab), FIGURES)
    _, motion = answered(scene)
    window.until(lambda: shows(window, LEFT, motion.dx.values))
    assert shows(window, RAW, scene["offsets"].dx.values)
    assert shows(window, DEFORMATION, motion.dx_deformation.values)
    assert shows(window, TOPOGRAPHY, motion.dx_topography.values)
    window.page.locator("select").nth(0).select_option(label="plane (1)")
    stable, plane = answered(scene, order=1)
    window.until(lambda: shows(window, DEFORMATION, plane.dx_deformation.values))
    window.until(lambda: shows(window, LEFT, plane.dx.values))
    held = [f"{nmad(plane[f'd{a}_holdout'].values):.3f}" for a in ("x", "y")]
    window.until(lambda: row(window, "ground that the fit did not see")[:2] == held)
    left = [plane[k].values[stable.values] for k in ("dx", "dy")]
    assert row(window, "after noise filter")[:2] == [f"{nmad(v):.3f}" for v in left]
    window.until(lambda: "order=1" in window.text())
    window.page.get_by_text("both (magnitude)", exact=True).click()
    size = np.hypot(plane.dx.values, plane.dy.values)
    window.until(lambda: shows(window, LEFT, size))
    assert window.images(LEFT)[0]["low"] == 0
    assert window.errors == []


def test_topography_switched_off_and_streaks_switched_on(
    window: Any, lab: CorrectionLab, scene: dict[str, Any], tmp_path: Path
) -> None:
    window.open(served(lab), FIGURES)
    window.until(lambda: row(window, "without topography", "leftout"))
    foretold = row(window, "without topography", "leftout")
    window.page.locator("select").nth(1).select_option(label="left in place")
    stable, without = answered(scene, topography=False)
    window.until(lambda: shows(window, LEFT, without.dx.values))
    window.until(lambda: window.figures()[TOPOGRAPHY]["title"] == "topography: left in")
    assert drawn(window, TOPOGRAPHY).shape == (2, 2)
    assert row(window, "after topography") == []
    scatter = f"{nmad(without.dx.values[stable.values]):.3f}"
    # What it would cost was said beforehand.
    assert row(window, "after noise filter")[0] == scatter == foretold[0]
    window.page.locator("input[type=checkbox]").nth(3).click()
    _, calm = answered(scene, topography=False, streaks=True)
    window.until(lambda: window.figures()[STREAKS]["w"] > 100)
    window.page.get_by_text("y", exact=True).first.click()
    window.until(lambda: shows(window, STREAKS, calm.dy_streaks.values))
    window.until(lambda: row(window, "without streaks", "leftout"))
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 1280
    shown = window.figures()[:ALONG_X]
    assert len({(f["y"], f["h"]) for f in shown}) == 1  # five maps in a row
    window.until(lambda: abs(window.figures()[STREAKS]["xr"][0] - shown[RAW]["xr"][0]) < 60)
    before = shown[RAW]["xr"]
    box = shown[LEFT]
    window.page.mouse.move(box["x"] + box["w"] / 2, box["y"] + box["h"] / 2)
    window.page.mouse.wheel(0, -300)
    window.until(lambda: np.ptp(window.figures()[RAW]["xr"]) < 0.9 * np.ptp(before))
    assert_one_scale(window.figures()[:ALONG_X])
    window.screenshot(tmp_path / "corrections_streaks.png")
    assert window.errors == []


def test_a_slider_of_the_stable_ground(
    window: Any, lab: CorrectionLab, scene: dict[str, Any]
) -> None:
    window.open(served(lab), FIGURES)
    slide(window, "Buffer about glaciers", 0.4)
    window.until(lambda: lab.buffer > 300)
    stable, motion = answered(scene, ground={"buffer": lab.buffer})
    window.until(lambda: shows(window, LEFT, motion.dx.values))
    window.until(lambda: row(window, "as tracked")[-1:] == [f"{int(stable.sum()):,}"])
    veil = np.array(window.images(RAW)[1]["values"]).reshape(stable.shape)
    np.testing.assert_array_equal(veil[::-1] == 0, stable.values)
    assert f"buffer={lab.buffer!r}" in window.text()
    assert window.errors == []


def test_a_box_shrinks_the_stable_ground_and_thin_support_is_said(
    window: Any, lab: CorrectionLab, scene: dict[str, Any], tmp_path: Path
) -> None:
    window.open(served(lab), FIGURES)
    window.until(lambda: row(window, "without noise filter", "leftout"))
    x, y = scene["offsets"].x.values, scene["offsets"].y.values
    window.drag(RAW, (x[2] - 20, y[-3]), (x[12] + 20, y[2]))
    window.until(lambda: lab.box is not None)
    assert lab.box[0] == pytest.approx(x[2] - 20, abs=45)
    assert lab.box[3] == pytest.approx(y[2], abs=45)
    window.until(lambda: not lab.motion.stable.values[:, 15:].any())
    used = int(lab.motion.stable.sum())
    window.until(lambda: row(window, "as tracked")[-1:] == [f"{used:,}"])
    window.until(lambda: "correction was reduced from" in window.text())
    window.until(lambda: row(window, "without noise filter", "leftout"))
    window.screenshot(tmp_path / "corrections_box.png")
    window.page.get_by_text("Use all stable ground again", exact=True).click()
    _, motion = answered(scene)
    window.until(lambda: shows(window, LEFT, motion.dx.values))
    window.until(lambda: "correction was reduced from" not in window.text())
    assert window.errors == []


def test_bad_input_is_a_sentence_in_the_page(
    window: Any, scene: dict[str, Any], tmp_path: Path
) -> None:
    lab = gt.correction_lab(scene["offsets"], dem="gone.tif")
    window.open(served(lab), FIGURES)
    window.until(lambda: "Nothing says which ground is stable yet" in window.text())
    assert "The elevation model is left out" in window.text()
    x, y = scene["offsets"].x.values, scene["offsets"].y.values
    window.drag(RAW, (x[2], y[-3]), (x[-3], y[2]))
    window.until(lambda: row(window, "after noise filter"))
    window.until(lambda: "Nothing says which ground is stable yet" not in window.text())
    lab.min_correlation = 0.9
    window.until(lambda: "None of the" in window.text())
    window.until(lambda: "The figures show the last result." in window.text())
    assert "Traceback" not in window.text()
    window.screenshot(tmp_path / "corrections_bad.png")
    assert window.errors == []
