"""The explorer as a person sees it: served, in a real headless Chromium, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
import pytest
import xarray as xr
from shapely.geometry import LineString
from velocity_scene import elevation_model, outlines_table, velocity_scene

from glaciertoolkit.apps.explorer import Explorer
from glaciertoolkit.apps.serve import serve_explorer, usable_port
from glaciertoolkit.profiles import profile

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
X0, Y0, POST = 480_000.0, 3_100_000.0, 48.0


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


def served(view: Explorer) -> str:
    """Serve one Explorer, so that the test can look at both of its sides."""
    port = usable_port("127.0.0.1")
    origin = f"127.0.0.1:{port}"
    pn.serve(view, port=port, address="127.0.0.1", websocket_origin=origin, threaded=True,
             show=False, verbose=False)  # fmt: skip
    return f"http://{origin}/"


def longest_line(figure: dict[str, Any]) -> np.ndarray:
    lines = [g for g in figure["glyphs"] if g["type"] == "Line"]
    best = max(lines, key=lambda g: len(g["x"]))
    return np.array([best["x"], best["y"]], dtype=float)


def labels(window: Any) -> tuple[str, str, str]:
    """What map, histogram and profile say they show."""
    figures = window.figures()
    return figures[0]["title"], figures[1]["xlabel"], figures[2]["ylabel"]


@pytest.mark.parametrize("width", [1280, 1920])
def test_opens_offline_and_fits_the_screen(
    window: Any, scene: xr.Dataset, width: int, tmp_path: Path
) -> None:
    page = serve_explorer(scene, dem=elevation_model(), outlines=outlines_table(), threaded=True)
    window.open(page.url, 4, width=width)
    assert window.errors == []
    assert window.outside == []
    figures = window.figures()
    labels = [(f["xlabel"], f["ylabel"]) for f in figures]
    assert labels == [
        ("easting (km)", "northing (km)"),
        ("speed (m yr⁻¹)", "share of posts (%)"),
        ("distance along the line (km)", "speed (m yr⁻¹)"),
        ("distance along the line (km)", "elevation (m)"),
    ]
    # nothing hangs over the edge of the window, and nothing lies above something else
    assert all(f["left"] >= 0 and f["right"] <= width for f in figures)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    assert figures[0]["right"] <= figures[2]["left"]
    across = (figures[0]["xr"][1] - figures[0]["xr"][0]) / figures[0]["w"]
    upward = (figures[0]["yr"][1] - figures[0]["yr"][0]) / figures[0]["h"]
    assert across == pytest.approx(upward, rel=0.01)  # a metre is as long on both axes
    text = window.text()
    assert "2019-09-03 to 2019-10-02 (29 days)" in text
    window.screenshot(tmp_path / f"explorer_{width}.png")


def test_a_click_adds_a_vertex_and_the_profile_follows(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene, dem=elevation_model())
    window.open(served(view), 4)
    before = longest_line(window.figures()[2])
    assert len(view.line[0]) == 3
    x, y = X0 + 110 * POST, Y0 - 75 * POST
    window.click_map(x, y)
    window.until(lambda: len(view.line[0]) == 4)
    xs, ys = view.line
    assert xs[-1] == pytest.approx(x, abs=POST)
    assert ys[-1] == pytest.approx(y, abs=POST)
    line = LineString(np.column_stack([xs, ys]))
    expected = profile(scene.assign(elevation=view.content.ds["elevation"]), line)
    window.until(lambda: longest_line(window.figures()[2]).shape[1] > before.shape[1])
    shown = longest_line(window.figures()[2])
    np.testing.assert_allclose(shown[0], expected.distance / 1000, rtol=1e-6)
    np.testing.assert_allclose(shown[1], expected.v, rtol=1e-5)
    window.until(lambda: longest_line(window.figures()[3]).shape[1] == shown.shape[1])
    elevation = longest_line(window.figures()[3])
    np.testing.assert_allclose(elevation[1], expected.elevation, rtol=1e-4)
    # the axis grows with the line
    assert window.figures()[2]["xr"][1] >= float(expected.distance[-1]) / 1000 - 1e-6
    assert window.errors == []


def test_the_layer_selector_changes_map_histogram_and_profile(
    window: Any, scene: xr.Dataset, tmp_path: Path
) -> None:
    view = Explorer(scene, dem=elevation_model(), outlines=outlines_table())
    window.open(served(view), 4)
    for label, name, title in (
        ("velocity along x", "vx", "velocity along x (m yr⁻¹)"),
        ("correlation at the peak", "correlation", "correlation at the peak"),
        ("elevation", "elevation", "elevation (m)"),
    ):
        window.page.locator("select").first.select_option(label=label)
        window.until(lambda title=title: labels(window) == (title, title, title))
        assert view.layer == name
        window.screenshot(tmp_path / f"{name}.png")
    assert view.cmap == "cividis"
    window.page.locator("select").first.select_option(label="why missing or doubtful")
    window.until(lambda: window.figures()[0]["title"] == "why missing or doubtful")
    window.until(lambda: window.figures()[2]["ylabel"] == "speed (m yr⁻¹)")
    window.screenshot(tmp_path / "flag.png")
    window.page.locator("select").first.select_option(label="speed")
    window.until(lambda: window.figures()[0]["title"] == "speed (m yr⁻¹)")
    window.screenshot(tmp_path / "speed_again.png")
    assert window.errors == []


def test_the_buttons_shorten_and_forget_the_line(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene)
    window.open(served(view), 3)
    window.page.get_by_text("Remove last point", exact=True).click()
    window.until(lambda: len(view.line[0]) == 2)
    window.page.get_by_text("New line", exact=True).click()
    window.until(lambda: view.line == ([], []))
    window.until(lambda: "a line needs at least two points" in window.text())
    window.settle()  # the browser has to know that the line is empty before it adds to it
    window.click_map(X0 + 40 * POST, Y0 - 60 * POST)
    window.until(lambda: len(view.line[0]) == 1)
    window.click_map(X0 + 90 * POST, Y0 - 55 * POST)
    window.until(lambda: len(view.line[0]) == 2)
    assert view.line[0] == pytest.approx([X0 + 40 * POST, X0 + 90 * POST], abs=POST)
    window.until(lambda: view.along is not None)
    window.until(lambda: "a line needs at least two points" not in window.text())
    assert window.errors == []


def test_what_is_missing_is_said_in_a_sentence(window: Any, scene: xr.Dataset) -> None:
    bare = scene[["dx", "dy"]]
    window.open(serve_explorer(bare, threaded=True).url, 3)
    text = window.text()
    assert "There is no velocity here, only displacement" in text
    assert "No elevation model was given" in text
    assert "Stable ground is not known" in text
    assert "Traceback" not in text
    assert window.errors == []


def test_a_line_over_missing_ground_says_so(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene)
    window.open(served(view), 3)
    window.page.get_by_text("New line", exact=True).click()
    window.settle()
    window.click_map(X0 + 3 * POST, Y0 - 3 * POST)
    window.until(lambda: len(view.line[0]) == 1)
    window.click_map(X0 + 20 * POST, Y0 - 11 * POST)
    window.until(lambda: len(view.line[0]) == 2)
    window.until(lambda: "No post along this line has a value" in window.text())
    assert view.along is None
    assert window.errors == []
