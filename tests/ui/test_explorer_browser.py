"""The explorer as a person sees it: served, in a real headless Chromium, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image
from shapely.geometry import LineString
from velocity_scene import elevation_model, outlines_table, velocity_scene

from glaciertoolkit.apps.explorer import Explorer
from glaciertoolkit.apps.serve import serve_explorer
from glaciertoolkit.profiles import profile
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.uncertainty import accuracy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
X0, Y0, POST = 480_000.0, 3_100_000.0, 48.0


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


def longest_line(figure: dict[str, Any]) -> np.ndarray:
    lines = [g for g in figure["glyphs"] if g["type"] == "Line"]
    best = max(lines, key=lambda g: len(g["x"]))
    return np.array([best["x"], best["y"]], dtype=float)


def labels(window: Any) -> tuple[str, str, str, str]:
    """What map, histogram, scatter and profile say they show."""
    figures = window.figures()
    names = figures[0]["title"], figures[1]["xlabel"], figures[2]["ylabel"], figures[3]["ylabel"]
    return names


def mode(window: Any, label: str) -> None:
    """Choose what the mouse does on the map, and wait until the browser knows."""
    window.page.get_by_text(label, exact=True).click()
    wanted = {"Pick a glacier": "PanTool", "Select a box": "BoxSelectTool",
              "Select freely": "LassoSelectTool"}[label]  # fmt: skip
    script = """(wanted) => {
      const walk = (view) => view.model.type === 'Figure' ? view
        : (view.child_views || []).map(walk).find((found) => found)
      const figure = Bokeh.index.roots.map(walk).find((found) => found).model
      return figure.toolbar.tools.some((tool) => tool.type === wanted && tool.active)
    }"""
    window.until(lambda: window.page.evaluate(script, wanted))


@pytest.mark.parametrize("width", [1280, 1920])
def test_opens_offline_and_fits_the_screen(
    window: Any, scene: xr.Dataset, width: int, tmp_path: Path
) -> None:
    page = serve_explorer(scene, dem=elevation_model(), outlines=outlines_table(), threaded=True)
    window.open(page.url, 5, width=width)
    assert window.errors == []
    assert window.outside == []
    figures = window.figures()
    labels = [(f["xlabel"], f["ylabel"]) for f in figures]
    assert labels == [
        ("easting (km)", "northing (km)"),
        ("speed (m yr⁻¹)", "share of posts (%)"),
        ("elevation (m)", "speed (m yr⁻¹)"),
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
    window.show(view, 5)
    before = longest_line(window.figures()[3])
    assert len(view.line[0]) == 3
    x, y = X0 + 110 * POST, Y0 - 75 * POST
    window.click_map(x, y)
    window.until(lambda: len(view.line[0]) == 4)
    xs, ys = view.line
    assert xs[-1] == pytest.approx(x, abs=POST)
    assert ys[-1] == pytest.approx(y, abs=POST)
    line = LineString(np.column_stack([xs, ys]))
    expected = profile(scene.assign(elevation=view.content.ds["elevation"]), line)
    window.until(lambda: longest_line(window.figures()[3]).shape[1] > before.shape[1])
    shown = longest_line(window.figures()[3])
    np.testing.assert_allclose(shown[0], expected.distance / 1000, rtol=1e-6)
    np.testing.assert_allclose(shown[1], expected.v, rtol=1e-5)
    window.until(lambda: longest_line(window.figures()[4]).shape[1] == shown.shape[1])
    elevation = longest_line(window.figures()[4])
    np.testing.assert_allclose(elevation[1], expected.elevation, rtol=1e-4)
    # the axis grows with the line
    assert window.figures()[3]["xr"][1] >= float(expected.distance[-1]) / 1000 - 1e-6
    assert window.errors == []


def test_the_layer_selector_changes_map_histogram_and_profile(
    window: Any, scene: xr.Dataset, tmp_path: Path
) -> None:
    view = Explorer(scene, dem=elevation_model(), outlines=outlines_table())
    window.show(view, 5)
    for label, name, title in (
        ("velocity along x", "vx", "velocity along x (m yr⁻¹)"),
        ("correlation at the peak", "correlation", "correlation at the peak"),
        ("elevation", "elevation", "elevation (m)"),
    ):
        window.page.locator("select").first.select_option(label=label)
        window.until(lambda title=title: labels(window) == (title,) * 4)
        assert view.layer == name
        window.screenshot(tmp_path / f"{name}.png")
    assert view.cmap == "cividis"
    window.page.locator("select").first.select_option(label="why missing or doubtful")
    window.until(lambda: window.figures()[0]["title"] == "why missing or doubtful")
    window.until(lambda: window.figures()[3]["ylabel"] == "speed (m yr⁻¹)")
    window.screenshot(tmp_path / "flag.png")
    window.page.locator("select").first.select_option(label="speed")
    window.until(lambda: window.figures()[0]["title"] == "speed (m yr⁻¹)")
    window.screenshot(tmp_path / "speed_again.png")
    assert window.errors == []


def test_the_buttons_shorten_and_forget_the_line(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene)
    window.show(view, 4)
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
    window.open(serve_explorer(bare, threaded=True).url, 4)
    text = window.text()
    assert "There is no velocity here, only displacement" in text
    assert "No elevation model was given" in text
    assert "Stable ground is not known" in text
    assert "Traceback" not in text
    assert window.errors == []


def test_a_line_over_missing_ground_says_so(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene)
    window.show(view, 4)
    window.page.get_by_text("New line", exact=True).click()
    window.settle()
    window.click_map(X0 + 3 * POST, Y0 - 3 * POST)
    window.until(lambda: len(view.line[0]) == 1)
    window.click_map(X0 + 20 * POST, Y0 - 11 * POST)
    window.until(lambda: len(view.line[0]) == 2)
    window.until(lambda: "No post along this line has a value" in window.text())
    assert view.along is None
    assert window.errors == []


def test_a_brush_in_one_view_selects_in_all(window: Any, scene: xr.Dataset, tmp_path: Path) -> None:
    view = Explorer(scene, dem=elevation_model(), outlines=outlines_table())
    window.show(view, 5)
    ds = view.content.ds
    v, z = ds["v"].values, ds["elevation"].values
    x, y = np.meshgrid(ds["x"].values, ds["y"].values)
    expected = np.ones(v.shape, dtype=bool)

    def agrees() -> None:
        """Histogram, scatter, map and words show what NumPy finds with the same mask."""
        np.testing.assert_array_equal(view.mask, expected)
        number = int(expected.sum())
        window.until(lambda: f"{number:,} of 18,000 posts selected" in window.text())
        selected = v[expected & np.isfinite(v)]
        window.until(lambda: f"median {np.median(selected):,.4g} " in window.text())
        edges = np.linspace(*view.limits, 61)
        share = 100 * np.histogram(selected, edges)[0] / selected.size
        window.until(lambda: np.allclose(window.bars(1)[-1]["top"], share, atol=1e-6))
        assert window.bars(1)[-1]["visible"]
        across, upward = view.scatter.bins().edges
        both = expected & np.isfinite(v) & np.isfinite(z)
        cells = np.histogram2d(z[both], v[both], bins=(across, upward))[0].T

        def counted() -> bool:
            dots = window.images(2)[-1]
            shown = np.nan_to_num(np.array(dots["values"], dtype=float)).reshape(dots["shape"])
            return bool(np.array_equal(shown, cells))

        window.until(counted)
        veil = window.images(0)[-1]
        hidden = np.array(veil["values"]).reshape(veil["shape"])
        np.testing.assert_array_equal(hidden[::-1].astype(bool), ~expected)  # from south to north

    mode(window, "Select a box")
    window.drag(0, (X0 + 20 * POST, Y0 - 90 * POST), (X0 + 100 * POST, Y0 - 30 * POST))
    window.until(lambda: view.mask is not None)
    box = next(iter(view.selection))
    expected &= (x >= box.left) & (x <= box.right) & (y >= box.bottom) & (y <= box.top)
    assert box.left == pytest.approx(X0 + 20 * POST, abs=2 * POST)
    agrees()

    window.drag(1, (20.0, 5.0), (90.0, 6.0))
    window.until(lambda: "histogram" in view.selection.views)
    band = view.selection.views["histogram"][0]
    assert (band.low, band.high) == pytest.approx((20, 90), abs=1.0)
    expected &= (v >= band.low) & (v <= band.high)
    agrees()

    window.drag(2, (4850.0, 15.0), (5050.0, 100.0))
    window.until(lambda: "scatter" in view.selection.views)
    across, upward = view.selection.views["scatter"]
    assert (across.low, across.high) == pytest.approx((4850, 5050), abs=10.0)
    expected &= (z >= across.low) & (z <= across.high) & (v >= upward.low) & (v <= upward.high)
    agrees()
    window.screenshot(tmp_path / "brushed.png")

    window.page.get_by_text("Clear the selection", exact=True).click()
    window.until(lambda: view.mask is None)
    window.until(lambda: "All posts : brush the map" in window.text())
    assert window.errors == []
    assert window.outside == []


def test_an_area_can_be_drawn_freely(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene)
    window.show(view, 4)
    mode(window, "Select freely")
    west, east, south, north = X0 + 30 * POST, X0 + 90 * POST, Y0 - 80 * POST, Y0 - 40 * POST
    window.drag(0, (west, south), (west, north), (east, south))
    window.until(lambda: view.mask is not None)
    x, y = np.meshgrid(scene["x"].values, scene["y"].values)
    below = (y - south) / (north - south) + (x - west) / (east - west) < 1
    expected = (x > west) & (y > south) & below
    assert np.mean(view.mask != expected) < 0.01  # but for posts under the drawn line
    window.until(lambda: "in a drawn area" in window.text())
    window.drag(1, (200.0, 5.0), (201.0, 6.0))  # beyond the axis: Bokeh ends at its edge
    window.settle()
    assert window.errors == []


def test_an_empty_selection_is_said_and_cannot_be_saved(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene, dem=elevation_model())
    window.show(view, 5)
    mode(window, "Select a box")
    window.drag(0, (X0 + 1 * POST, Y0 - 2 * POST), (X0 + 20 * POST, Y0 - 12 * POST))
    window.until(lambda: view.mask is not None)
    window.until(lambda: "None of these posts has a value" in window.text())
    window.drag(1, (60.0, 5.0), (90.0, 6.0))
    window.until(lambda: "No post meets all brushes" in window.text())
    assert "Traceback" not in window.text()
    buttons = [window.page.get_by_text(name, exact=True) for name in ("CSV", "GeoPackage")]
    window.until(lambda: all(button.evaluate(DISABLED) for button in buttons))
    assert window.errors == []


def test_a_click_on_an_outline_shows_the_row_of_the_glacier(
    window: Any, scene: xr.Dataset, tmp_path: Path
) -> None:
    earlier = scene.assign(v=0.8 * scene["v"]).assign_coords(
        mid_date=scene["mid_date"] - np.timedelta64(60, "D")
    )
    view = Explorer(scene, dem=elevation_model(), outlines=outlines_table(), maps=[earlier])
    window.show(view, 5)
    mode(window, "Pick a glacier")
    line = view.line
    window.click_map(X0 + 40 * POST, Y0 - 60 * POST)
    window.until(lambda: view.glacier.facts is not None)
    row = glaciers(scene, outlines_table(), dem=elevation_model()).iloc[0]
    assert view.glacier.facts.row.to_dict() == row.to_dict()
    window.until(lambda: "Test Glacier · RGI2000-v7.0-G-15-00001" in window.text())
    text = window.text()
    for key in ("v_median", "v_p95", "area_km2", "zmax_m"):
        assert f"{row[key]:,.4g}" in text
    window.until(lambda: len(window.figures()) == 6)  # area, speed by elevation, and history
    area, speed, past = window.figures()[3:]
    assert (area["xlabel"], area["ylabel"]) == ("area (km²)", "elevation (m)")
    assert (speed["xlabel"], speed["ylabel"]) == ("speed (m yr⁻¹)", "elevation (m)")
    assert past["ylabel"] == "median speed (m yr⁻¹)"
    shown = longest_line(past)
    np.testing.assert_allclose(shown[1], [0.8 * row["v_median"], row["v_median"]], rtol=1e-5)
    assert view.line == line  # the click has drawn nothing
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 1280
    window.screenshot(tmp_path / "glacier.png")
    window.click_map(X0 + 70 * POST, Y0 - 5 * POST)
    window.until(lambda: "There is no glacier outline here" in window.text())
    assert window.errors == []


def test_files_hold_what_the_screen_shows(window: Any, scene: xr.Dataset, tmp_path: Path) -> None:
    view = Explorer(scene, dem=elevation_model(), outlines=outlines_table())
    window.show(view, 5)
    mode(window, "Select a box")
    window.drag(0, (X0 + 20 * POST, Y0 - 90 * POST), (X0 + 100 * POST, Y0 - 30 * POST))
    window.drag(1, (30.0, 5.0), (80.0, 6.0))
    window.until(lambda: len(view.selection.views) == 2)
    number = int(view.mask.sum())
    table = pd.read_csv(window.saved("CSV", tmp_path))
    assert len(table) == number
    window.until(lambda: f"{number:,} of 18,000" in window.text())
    rows, columns = np.nonzero(view.mask)
    for name in ("v", "vx", "elevation", "slope", "correlation"):
        expected = view.content.ds[name].values[rows, columns]
        np.testing.assert_allclose(table[name], expected, rtol=1e-6)
    np.testing.assert_allclose(table["x"], scene["x"].values[columns])
    np.testing.assert_allclose(table["y"], scene["y"].values[rows])
    points = gpd.read_file(window.saved("GeoPackage", tmp_path))
    assert points.crs == 32645
    np.testing.assert_allclose(points["v"], table["v"], rtol=1e-6)
    np.testing.assert_allclose(points.geometry.x, table["x"])
    picture = window.saved("PNG", tmp_path)
    with Image.open(picture) as image:
        assert image.width > 800
    assert window.errors == []


def test_the_sliders_change_the_picture_alone(window: Any, scene: xr.Dataset) -> None:
    view = Explorer(scene, dem=elevation_model())
    window.show(view, 5)
    before = window.images(0)[1]
    assert (before["low"], before["high"]) == pytest.approx(view.limits)
    handles = window.page.locator(".noUi-handle")
    handles.nth(1).focus()
    for _ in range(5):
        window.page.keyboard.press("ArrowLeft")
    window.until(lambda: window.images(0)[1]["high"] < 0.99 * before["high"])
    window.until(lambda: window.images(0)[1]["high"] == pytest.approx(view.limits[1]))
    edges = np.linspace(*view.limits, 61)
    window.until(lambda: np.allclose(window.bars(1)[0]["left"], edges[:-1]))
    handles.nth(2).focus()
    window.page.keyboard.press("ArrowLeft")
    window.until(lambda: view.opacity == pytest.approx(0.65))
    window.until(lambda: window.images(0)[1]["alpha"] == pytest.approx(0.65))
    assert window.images(0)[1]["values"][5000] == before["values"][5000]
    window.page.locator("input[type=checkbox]").first.click()
    window.until(lambda: view.relief is False)
    window.page.locator("input[type=checkbox]").nth(1).click()
    window.until(lambda: view.arrows)
    assert window.errors == []


def test_another_product_lies_beside_this_one(
    window: Any, scene: xr.Dataset, tmp_path: Path
) -> None:
    other = scene[["v", "vx", "vy"]] + 5.0
    view = Explorer(scene, dem=elevation_model(), other=other, outlines=outlines_table())
    window.show(view, 5, width=1920, height=1000)
    window.page.locator("select").first.select_option(label="speed, this minus the other")
    window.until(lambda: window.figures()[0]["title"] == "speed, this minus the other (m yr⁻¹)")
    shown = np.array(window.images(0)[1]["values"], dtype=float)
    np.testing.assert_allclose(shown[np.isfinite(shown)], -5.0, atol=1e-3)
    beside = window.page.locator("select").nth(3)
    beside.select_option(label="speed, other product")
    window.until(lambda: len(window.figures()) == 6)
    window.settle()
    first, second = window.figures()[:2]
    assert second["title"] == "speed, other product (m yr⁻¹)"
    assert second["left"] >= first["right"]
    window.screenshot(tmp_path / "beside.png")
    middle = first["x"] + first["w"] / 2, first["y"] + first["h"] / 2
    window.page.mouse.move(*middle)
    window.page.mouse.wheel(0, -400)
    window.until(lambda: window.figures()[0]["xr"] != first["xr"])
    window.settle()
    first, second = window.figures()[:2]
    assert np.mean(second["xr"]) == pytest.approx(np.mean(first["xr"]), abs=POST)
    per_pixel = [np.ptp(f["xr"]) / f["w"] for f in (first, second)]
    assert per_pixel[0] == pytest.approx(per_pixel[1], rel=0.01)
    beside.select_option(label="none")
    window.until(lambda: len(window.figures()) == 5)
    assert window.errors == []


@pytest.mark.parametrize("width", [1280, 1920])
def test_accuracy_and_overview_have_their_tabs(
    window: Any, scene: xr.Dataset, width: int, tmp_path: Path
) -> None:
    stations = gpd.GeoDataFrame(
        {"name": ["upper station"]}, geometry=gpd.points_from_xy([86.82], [28.0]), crs=4326
    )
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    view = Explorer(
        scene, dem=elevation_model(), outlines=outlines_table(), stations=stations, catalog=catalog
    )
    window.show(view, 5, width=width)
    window.page.get_by_text("Accuracy", exact=True).click()
    found = accuracy(scene)
    window.until(lambda: "Motion left on stable ground" in window.text())
    window.until(lambda: f"{float(found['fit_dx_nmad']):.3g}" in window.text())
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    window.screenshot(tmp_path / f"accuracy_{width}.png")
    window.page.get_by_text("Overview", exact=True).click()
    window.until(lambda: len(window.figures()) == 4)
    window.settle()
    overview = window.figures()[3]
    assert (overview["xlabel"], overview["ylabel"]) == ("longitude (°)", "latitude (°)")
    (west, east), (south, north) = overview["xr"], overview["yr"]
    assert west < 86.7 < 86.9 < east  # the entry of the catalogue, and the map beside it
    assert south < 27.9 < 28.03 < north
    for words in ("this map", "glacier outlines", "catalogue entries", "stations"):
        assert words in window.text()
    window.until(lambda: "without a bbox: nowhere" in window.text())
    window.screenshot(tmp_path / f"overview_{width}.png")
    assert window.errors == []
    assert window.outside == []


def test_a_large_map_is_read_in_parts(window: Any, tmp_path: Path) -> None:
    large = velocity_scene(1100, 1300, 12.0)
    view = Explorer(large)
    assert view.content.sample_step > 1
    window.show(view, 4)
    assert "posts shown" in window.figures()[0]["title"]
    window.until(lambda: "Counted on a sample of" in window.text())
    frame = window.figures()[0]
    window.page.mouse.move(frame["x"] + frame["w"] / 2, frame["y"] + frame["h"] / 2)
    for _ in range(6):
        window.page.mouse.wheel(0, -400)
        window.settle(150)
    window.until(lambda: view.window.step == 1)
    window.until(lambda: "posts shown" not in window.figures()[0]["title"])
    top, bottom, left, right, _ = view.window
    part = large["v"].values[top:bottom, left:right]
    window.until(lambda: window.images(0)[0]["shape"] == list(part.shape))
    shown = np.array(window.images(0)[0]["values"], dtype=float).reshape(part.shape)
    np.testing.assert_allclose(shown[::-1], part, rtol=1e-6)
    window.screenshot(tmp_path / "zoomed.png")
    assert window.errors == []


DISABLED = """(e) => {
  for (; e; e = e.parentElement ?? e.getRootNode().host)
    if (e.disabled || e.classList.contains('bk-disabled')) return true
  return false
}"""
CATALOG = """
meta: {name: test, version: "1", hydromt_version: ">=1.0a,<2"}
scene:
  data_type: RasterDataset
  uri: scene.tif
  driver: {name: rasterio}
  metadata: {title: A scene, bbox: [86.7, 27.9, 86.85, 28.0]}
nowhere:
  data_type: RasterDataset
  uri: nowhere.tif
  driver: {name: rasterio}
  metadata: {title: Without a place}
"""
