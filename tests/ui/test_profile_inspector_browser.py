"""The profile inspector as a person sees it: clicks and drags in a real headless Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely.geometry import LineString
from velocity_scene import elevation_model, outlines_table, velocity_scene

import glaciertoolkit as gt
from glaciertoolkit.apps.profile_content import ProfileContent, gather_profile
from glaciertoolkit.apps.profile_exports import code_of
from glaciertoolkit.apps.profile_inspector import ProfileInspector

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
X0, Y0, POST = 480_000.0, 3_100_000.0, 48.0
MAP, SPEED, STRAIN, ELEVATION, SLOPE, STRESS, TEMPERATURE = range(7)
PANELS = {
    SPEED: "v", STRAIN: "strain_rate", ELEVATION: "elevation", SLOPE: "slope",
    STRESS: "driving_stress", TEMPERATURE: "temperature",
}  # fmt: skip
SPANS = """() => {
  const found = []
  const walk = (view) => {
    if (view.model.type === 'Figure') found.push(view.model)
    for (const child of view.child_views || []) walk(child)
  }
  for (const root of Bokeh.index.roots) walk(root)
  return found.flatMap((figure) => figure.center.filter((part) => part.type === 'Span'))
    .map((span) => span.visible ? span.location : null)
}"""


def at(*posts: tuple[float, float]) -> list[tuple[float, float]]:
    """Vertices by column and row of posts."""
    return [(X0 + POST * column, Y0 - POST * row) for column, row in posts]


LINE = at((30, 60), (80, 62), (118, 66))


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


@pytest.fixture(scope="module")
def full(scene: xr.Dataset) -> ProfileContent:
    """A map with all that can lie beside it."""
    dem = elevation_model()
    thickness = xr.where(scene.stable, 0, 0 * dem + 150).rename("thickness")
    temperature = (10 - 0.0065 * (dem - 4000)).rename("temperature")
    temperature.attrs = {"units": "degC"}
    later = scene.assign_coords(mid_date=np.datetime64("2020-09-17", "ns"))
    later = later.assign(v=1.2 * scene.v, vx=1.2 * scene.vx, vy=1.2 * scene.vy)
    return gather_profile(
        scene, dem=dem, outlines=outlines_table(), thickness=thickness.rio.write_crs(32645),
        covariates={"temperature": temperature.rio.write_crs(32645)}, maps=[later],
    )  # fmt: skip


def curves(window: Any, figure: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The curves of a figure as they lie in the browser."""
    glyph = window.drawn(figure, "MultiLine")[0]
    return [(np.array(x, float), np.array(y, float))
            for x, y in zip(glyph["xs"], glyph["ys"], strict=True)]  # fmt: skip


def agrees(window: Any, figure: int, row: int, along: xr.Dataset, variable: str) -> bool:
    """Whether a curve is this variable of this profile, number by number."""
    found = curves(window, figure)
    if len(found) <= row or len(found[row][0]) != along.sizes["distance"]:
        return False
    x, y = found[row]
    same_x = np.array_equal(x, along.distance.values / 1000)
    return same_x and np.array_equal(y, along[variable].values.astype(float), equal_nan=True)


def read(view: ProfileInspector, **options: Any) -> xr.Dataset:
    """What the library returns along the active line."""
    gathered = view.gathered
    line = LineString(view.line.points)
    along = gt.profile(gathered.ds, line, dem=gathered.dem, **options)
    return gt.strain_rate(along, length=view.length)


@pytest.mark.parametrize("width", [1280, 1920])
def test_opens_offline_and_fits_the_screen(
    window: Any, full: ProfileContent, width: int, tmp_path: Path
) -> None:
    across = LineString(at((75, 35), (75, 85)))
    view = ProfileInspector(full, lines={"trunk": LineString(LINE), "across": across})
    window.show(view, 7, width=width, height=900 if width == 1280 else 1080)
    window.until(lambda: "2020-09-17" in window.text())
    figures = window.figures()
    assert [(f["xlabel"], f["ylabel"]) for f in figures] == [
        ("easting (km)", "northing (km)"),
        *(("distance along the line (km)", label) for label in (
            "speed (m yr⁻¹)", "strain rate (yr⁻¹)", "elevation (m)", "surface slope (°)",
            "driving stress (kPa)", "temperature (°C)",
        )),
    ]  # fmt: skip
    assert all(f["left"] >= 0 and f["right"] <= width for f in figures)
    assert figures[MAP]["right"] <= figures[SPEED]["left"]
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    across_, upward = (
        (figures[MAP][r][1] - figures[MAP][r][0]) / figures[MAP][s]
        for r, s in (("xr", "w"), ("yr", "h"))
    )
    assert across_ == pytest.approx(upward, rel=0.01)  # a metre is as long on both axes
    assert len({tuple(f["xr"]) for f in figures[1:]}) == 1  # one distance axis
    for row, curve in enumerate(view.answer.curves):
        for figure, variable in PANELS.items():
            if variable in curve.along:
                assert agrees(window, figure, row, curve.along, variable)
    glyph = window.drawn(SPEED, "MultiLine")[0]
    assert glyph["colour"] == ["#0072B2"] * 2 + ["#D55E00"] * 2
    assert glyph["dash"] == ["solid", "dashed"] * 2
    for words in ("2019-09-03 to 2019-10-02", "trunk", "across", "2019-09-17", "2020-09-17"):
        assert words in window.text()
    window.screenshot(tmp_path / f"profile_{width}.png")
    assert window.errors == []
    assert window.outside == []


def test_clicks_drags_and_the_band_give_what_profile_returns(
    window: Any, full: ProfileContent, tmp_path: Path
) -> None:
    view = ProfileInspector(full, lines=LineString(LINE))
    view.dates = ["2019-09-17"]
    window.show(view, 7)
    assert agrees(window, SPEED, 0, read(view), "v")
    end = at((130, 75))[0]
    window.click_map(*end)
    window.until(lambda: len(view.line.x) == 4)
    np.testing.assert_allclose(view.line.points[-1], end, atol=POST)
    window.until(lambda: agrees(window, SPEED, 0, read(view), "v"))
    # a band of one sigma lies around it
    low = np.concatenate([ys[: len(ys) // 2] for ys in window.drawn(SPEED, "Patches")[0]["ys"]])
    known = read(view).dropna("distance", subset=["v"])
    np.testing.assert_allclose(low, known.v.astype(float) - known.v_error, rtol=1e-6)
    for figure, variable in PANELS.items():
        assert agrees(window, figure, 0, read(view), variable)
    before = view.line.points
    window.drag(MAP, before[1], at((85, 52))[0])
    window.until(lambda: view.line.points != before)
    np.testing.assert_allclose(view.line.points[1], at((85, 52))[0], atol=POST)
    assert view.line.points[0] == before[0]
    for figure, variable in PANELS.items():
        window.until(lambda f=figure, v=variable: agrees(window, f, 0, read(view), v))
    window.slide("Band width", 0.25)
    window.until(lambda: view.width > 200)
    band = read(view, width=view.width)
    assert not np.array_equal(band.v, read(view).v)
    for figure, variable in PANELS.items():
        window.until(lambda f=figure, v=variable: agrees(window, f, 0, band, v))
    window.page.get_by_text("The same in code").click()
    window.until(lambda: f"width={view.width:g}, dem=dem)" in window.text())
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.page.get_by_text("Copy", exact=True).click()
    copied = "() => navigator.clipboard.readText()"
    window.until(lambda: window.page.evaluate(copied) == code_of(full, view.answer))
    window.slide("Strain rate over", 0.8)
    window.until(lambda: view.length > 1000)
    rate = gt.strain_rate(gt.profile(full.ds, view.line.points, width=view.width),
                          length=view.length)  # fmt: skip
    window.until(lambda: agrees(window, STRAIN, 0, rate, "strain_rate"))
    window.page.locator("select").nth(1).select_option(label="Line 1")
    window.page.locator("select").nth(2).select_option(label="velocity across the line")
    window.until(lambda: "velocity across" in window.figures()[SPEED]["ylabel"])
    window.until(lambda: agrees(window, SPEED, 0, band, "v_across"))
    window.screenshot(tmp_path / "profile_band.png")
    assert window.errors == []


def test_several_lines_and_a_flow_line(window: Any, scene: xr.Dataset, tmp_path: Path) -> None:
    view = ProfileInspector(scene, dem=elevation_model(), lines=LineString(LINE))
    window.show(view, 5)
    page = window.page
    page.get_by_text("New line", exact=True).click()
    window.until(lambda: "Line 2: Click on the map" in window.text())
    for number, place in enumerate(at((70, 40), (72, 84)), 1):
        window.click_map(*place)
        window.until(lambda n=number: len(view.line.x) == n)
    window.until(lambda: len(curves(window, SPEED)) == 2)
    assert agrees(window, SPEED, 0, view.answer.curves[0].along, "v")
    assert agrees(window, SPEED, 1, read(view), "v")
    page.get_by_text("Reverse", exact=True).click()
    window.until(lambda: agrees(window, ELEVATION, 1, read(view), "elevation"))
    assert view.line.y[0] < view.line.y[1]
    page.get_by_text("Remove last point", exact=True).click()
    window.until(lambda: len(curves(window, SPEED)) == 1)
    page.get_by_text("Delete line", exact=True).click()
    window.until(lambda: len(view.lines) == 1)
    page.get_by_text("Pick a flow line", exact=True).click()
    window.until(lambda: view.mode == "flow")
    window.until(lambda: "follows its motion" in window.text())
    window.settle()
    x, y = at((60.5, 55.5))[0]
    window.click_map(x, y)
    window.until(lambda: view.line.name == "Flow line 1")
    assert view.line.points == list(gt.flow_line(scene, *view.line.origin, gap=3 * POST).coords)
    np.testing.assert_allclose(view.line.origin, (x, y), atol=POST)
    window.until(lambda: agrees(window, SPEED, 1, read(view), "v"))
    assert len(view.lines[0].x) == 3  # the click has added no point
    window.click_map(*at((40, 5))[0])
    window.until(lambda: "too slow to have a direction" in window.text())
    page.get_by_text("Draw the line", exact=True).click()
    window.until(lambda: view.mode == "draw")
    page.locator("select").nth(1).select_option(label="Line 1")
    window.until(lambda: view.active == 0)
    drawn = window.drawn(MAP, "Scatter")[0]
    window.until(lambda: window.drawn(MAP, "Scatter")[0]["x"] == list(view.lines[0].x))
    assert len(drawn["x"]) in (3, len(view.lines[1].x))
    window.click_map(*LINE[1])  # chooses the point that is there
    assert len(view.lines[0].x) == 3
    page.keyboard.press("Backspace")
    window.until(lambda: view.lines[0].points == [LINE[0], LINE[2]])
    window.screenshot(tmp_path / "profile_lines.png")
    assert window.errors == []


def test_zooming_in_shows_posts_that_were_left_out(
    window: Any, scene: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glaciertoolkit.apps.content.VIEW_POSTS", 3000)
    window.show(ProfileInspector(scene, lines=LineString(LINE)), 3)
    assert window.figures()[MAP]["title"] == "speed (m yr⁻¹), one of 3 by 3 posts shown"
    frame = window.figures()[MAP]
    window.page.mouse.move(frame["x"] + frame["w"] / 2, frame["y"] + frame["h"] / 2)
    for _ in range(3):
        window.page.mouse.wheel(0, -300)
    window.until(lambda: window.figures()[MAP]["title"] == "speed (m yr⁻¹)")

    def fits() -> bool:
        """The picture holds all posts that are in sight, and hardly another."""
        shape, frame = window.images(MAP)[-1]["shape"], window.figures()[MAP]
        seen = [abs(frame[axis][1] - frame[axis][0]) / POST for axis in ("yr", "xr")]
        return all(0 <= n - k <= 5 for n, k in zip(shape, seen, strict=True))

    window.until(fits)
    assert window.errors == []


def test_one_cursor_runs_on_curves_and_map_without_the_server(
    window: Any, full: ProfileContent, tmp_path: Path
) -> None:
    sent: list[Any] = []
    window.page.on("websocket", lambda ws: ws.on("framesent", lambda frame: sent.append(frame)))
    view = ProfileInspector(full, lines=LineString(LINE))
    window.show(view, 7)
    window.until(lambda: "Move the mouse" in window.text())
    assert window.page.evaluate(SPANS) == [None] * 6
    window.settle()
    before = len(sent)

    def point(figure: int, x: float, y: float) -> None:
        f = window.figures()[figure]
        share = (x - f["xr"][0]) / (f["xr"][1] - f["xr"][0])
        up = (y - f["yr"][0]) / (f["yr"][1] - f["yr"][0])
        window.page.mouse.move(f["x"] + share * f["w"], f["y"] + (1 - up) * f["h"], steps=3)

    def marker() -> list[float]:
        found = window.drawn(MAP, "Scatter")[1]
        return [*found["x"], *found["y"]]

    elevation = window.figures()[ELEVATION]["yr"]
    point(ELEVATION, 2.0, sum(elevation) / 2)
    window.until(lambda: len(marker()) == 2)
    spans = window.page.evaluate(SPANS)
    assert len(set(spans)) == 1
    assert spans[0] == pytest.approx(2.0, abs=0.02)
    along = view.along
    here = along.sel(distance=1000 * spans[0], method="nearest")
    assert marker() == [float(here.x), float(here.y)]
    text = window.text()
    assert f"at {float(here.distance) / 1000:.3f} km" in text
    assert f"{float(here.v):.1f} ± {float(here.v_error):.1f}" in text
    assert f"{float(here.elevation):.0f}" in text
    window.screenshot(tmp_path / "profile_cursor.png")
    # the other way round: beside the line on the map
    there = along.isel(distance=20)
    point(MAP, float(there.x) + 15, float(there.y) + 60)
    window.until(lambda: f"at {float(there.distance) / 1000:.3f} km" in window.text())
    assert marker() == [float(there.x), float(there.y)]
    assert window.page.evaluate(SPANS) == [pytest.approx(float(there.distance) / 1000)] * 6
    point(MAP, *at((20, 20))[0])  # far from the line nothing moves
    window.settle(300)
    assert marker() == [float(there.x), float(there.y)]
    assert len(sent) == before
    assert window.errors == []


def test_files_are_saved_and_loaded(window: Any, scene: xr.Dataset, tmp_path: Path) -> None:
    view = ProfileInspector(scene, dem=elevation_model(), lines=LineString(LINE))
    window.show(view, 5)
    table = gpd.GeoDataFrame({"name": ["across"]}, geometry=[LineString(at((75, 35), (75, 85)))],
                             crs=32645)  # fmt: skip
    table.to_crs(4326).to_file(tmp_path / "across.geojson")
    window.page.locator("input[type=file]").set_input_files(tmp_path / "across.geojson")
    window.until(lambda: view.line.name == "across")
    window.until(lambda: len(curves(window, SPEED)) == 2)
    # the points of the file, brought into the CRS of the map
    loaded = gt.profile(scene, gpd.read_file(tmp_path / "across.geojson"))
    np.testing.assert_allclose(curves(window, SPEED)[1][1], loaded.v.astype(float), rtol=1e-5)
    window.until(lambda: "across" in window.text())
    rows = pd.read_csv(window.saved("CSV", tmp_path), comment="#", float_precision="round_trip")
    for row, (line, part) in enumerate(rows.groupby("line", sort=False)):
        assert line == ("Line 1", "across")[row]
        expected = gt.profile(scene, LineString(view.lines[row].points), dem=elevation_model())
        for name in ("distance", "v", "v_error", "v_along", "elevation", "slope", "flag"):
            np.testing.assert_array_equal(part[name].to_numpy(expected[name].dtype), expected[name])
        np.testing.assert_allclose(part.distance / 1000, curves(window, SPEED)[row][0])
        np.testing.assert_allclose(part.v, curves(window, SPEED)[row][1], rtol=1e-6)
    saved = window.saved("GeoJSON", tmp_path)
    features = json.loads(saved.read_text())["features"]
    assert [f["properties"]["name"] for f in features] == ["Line 1", "across"]
    back = gpd.read_file(saved).to_crs(32645)
    np.testing.assert_allclose(back.geometry.iloc[0].coords, LINE, atol=1e-3)
    (tmp_path / "notes.kml").write_text("no line")
    window.page.locator("input[type=file]").set_input_files(tmp_path / "notes.kml")
    window.until(lambda: "notes.kml cannot be used: the line cannot be read" in window.text())
    assert len(view.lines) == 2
    assert window.errors == []


def test_bad_input_is_a_sentence_in_the_page(
    window: Any, scene: xr.Dataset, tmp_path: Path
) -> None:
    view = ProfileInspector(scene, thickness="gone.tif", lines=LineString(LINE))
    window.show(view, 3)
    for words in ("No elevation model was given", "No climate was given", "One map only",
                  "The driving stress is left out"):  # fmt: skip
        assert words in window.text()
    page = window.page
    for _ in range(2):
        page.get_by_text("Remove last point", exact=True).click()
    window.until(lambda: "a line needs at least two points" in window.text())
    page.get_by_text("Delete line", exact=True).click()
    window.until(lambda: view.line.x == ())
    for number, place in enumerate(at((2, 2), (4, 8)), 1):  # where nothing has a value
        window.click_map(*place)
        window.until(lambda n=number: len(view.line.x) == n)
    window.until(lambda: "No post along this line has a value" in window.text())
    window.until(lambda: "Not shown, as there is no value along these lines: speed, strain rate"
                 in window.text())  # fmt: skip
    for button in ("CSV", "GeoJSON"):
        assert window.saved(button, tmp_path).stat().st_size > 0
    page.get_by_text("Delete line", exact=True).click()
    window.until(lambda: view.line.x == ())
    window.until(lambda: "There is no curve yet" in window.text())
    assert window.saved("CSV", tmp_path).name == "why_there_is_no_file.txt"
    window.until(lambda: "There is no curve to save" in window.text())
    assert "Traceback" not in window.text()
    window.screenshot(tmp_path / "profile_bad.png")
    assert window.errors == []
