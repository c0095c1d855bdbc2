"""The tracking lab as a person sees it: clicks and sliders in a real headless Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scenes import image_pair

import glaciertoolkit as gt
from glaciertoolkit.apps.lab import TrackingLab
from glaciertoolkit.apps.lab_serve import serve_tracking_lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FIGURES = 7
MAP, CHIPS, SURFACE, CUTS, TEMPLATE, MATCHED, FIT = range(FIGURES)


@pytest.fixture(scope="module")
def pair() -> xr.Dataset:
    return image_pair((420, 500), (2.3, -3.6), noise=0.3)


def surface_of(window: Any) -> np.ndarray:
    """The correlation surface as it lies in the browser, first row lowest."""
    image = window.drawn(SURFACE, "Image")[0]["image"]
    values = [np.nan if v in (None, "NaN") else v for v in image["values"]]
    return np.array(values, float).reshape(image["shape"])


def template_of(window: Any) -> tuple[float, float, float]:
    """Centre (x, y) and width of the template on the map: of its boxes the smaller one."""
    boxes = [b for b in window.drawn(MAP, "Quad") if b["left"]]
    box = min(boxes, key=lambda b: b["right"][0] - b["left"][0])
    left, right = box["left"][0], box["right"][0]
    return (left + right) / 2, (box["bottom"][0] + box["top"][0]) / 2, right - left


def agrees(window: Any, expected: xr.Dataset) -> bool:
    """Whether what is drawn is this surface: y rises upwards on the screen, and in the array."""
    shown = surface_of(window)
    wanted = expected["surface"].sortby("offset_y").sortby("offset_x").values
    return shown.shape == wanted.shape and np.allclose(shown, wanted, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("width", [1280, 1920])
def test_opens_offline_and_fits_the_screen(
    window: Any, pair: xr.Dataset, width: int, tmp_path: Path
) -> None:
    window.open(serve_tracking_lab(pair, threaded=True).url, FIGURES, width=width)
    window.until(lambda: "offsets around" in window.text())
    assert window.errors == []
    assert window.outside == []
    figures = window.figures()
    assert [(f["xlabel"], f["ylabel"]) for f in figures] == [
        ("easting (km)", "northing (km)"),
        ("easting (km)", "northing (km)"),
        ("offset along easting (m)", "offset along northing (m)"),
        ("offset (m)", "correlation"),
        ("x from the centre (m)", "y from the centre (m)"),
        ("x from the centre (m)", "y from the centre (m)"),
        ("offset x (m)", "offset y (m)"),
    ]
    assert all(f["left"] >= 0 and f["right"] <= width for f in figures)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    for index in (MAP, CHIPS, SURFACE, TEMPLATE, FIT):
        f = figures[index]
        across, upward = ((f[r][1] - f[r][0]) / f[s] for r, s in (("xr", "w"), ("yr", "h")))
        assert across == pytest.approx(upward, rel=0.02)  # a metre is as long on both axes
    text = window.text()
    assert "2019-09-03" in text
    assert "offsets = pair.glacier.track()" in text
    window.screenshot(tmp_path / f"lab_{width}.png")


def test_a_click_moves_the_template_and_the_surface_follows(window: Any, pair: xr.Dataset) -> None:
    lab = TrackingLab(pair)
    window.show(lab, FIGURES)
    before = template_of(window)
    assert agrees(window, gt.correlation_surface(pair, *before[:2]))
    x, y = 501_200.0, 3_197_300.0
    window.click_map(x, y)
    window.until(lambda: template_of(window)[:2] != before[:2])
    at_x, at_y, wide = template_of(window)
    # on the post of `track` that is nearest, with a step of 8 pixels of 10 m
    assert (at_x, at_y) == (pytest.approx(x, abs=45), pytest.approx(y, abs=45))
    assert wide == pytest.approx(640)
    posts = gt.track(pair)
    post = posts.sel(x=at_x, y=at_y, method="nearest")
    assert (float(post.x), float(post.y)) == (at_x, at_y)
    expected = gt.correlation_surface(pair, at_x, at_y)
    window.until(lambda: agrees(window, expected))
    text = window.text()
    assert f"{float(post.dx):.2f} ± {float(post.dx_error):.2f} m" in text
    assert f"{float(post.dy):.2f} ± {float(post.dy_error):.2f} m" in text
    chips = window.drawn(CHIPS, "Image")[0]["image"]
    np.testing.assert_allclose(
        np.reshape(chips["values"], chips["shape"]), expected.reference.values[::-1], rtol=1e-6
    )
    assert window.errors == []


def test_sliders_and_selectors_give_what_the_library_computes(
    window: Any, pair: xr.Dataset, tmp_path: Path
) -> None:
    lab = TrackingLab(pair)
    window.show(lab, FIGURES)
    x, y, _ = template_of(window)
    window.slide("Search radius", 0.08)
    window.until(lambda: lab.search < 10)
    options: dict[str, Any] = {"search": lab.search}
    x, y, _ = template_of(window)
    window.until(lambda: agrees(window, gt.correlation_surface(pair, x, y, **options)))
    assert surface_of(window).shape == (2 * lab.search + 1,) * 2
    window.slide("Template", 0.2)
    window.until(lambda: template_of(window)[2] < 640)
    options["template"] = lab.template
    x, y, wide = template_of(window)
    assert wide == pytest.approx(10 * lab.template)
    window.until(lambda: agrees(window, gt.correlation_surface(pair, x, y, **options)))
    selects = window.page.locator("select")
    selects.nth(0).select_option(label="orientation correlation")
    options["method"] = "orientation"
    window.until(lambda: agrees(window, gt.correlation_surface(pair, x, y, **options)))
    selects.nth(1).select_option(label="Wallis")
    options["prefilter"] = "wallis"
    window.until(lambda: agrees(window, gt.correlation_surface(pair, x, y, **options)))
    window.until(lambda: "Edge of the square" in window.text())
    window.until(lambda: f"template={lab.template}" in window.text())
    window.until(lambda: "method='orientation'" in window.text())
    window.screenshot(tmp_path / "lab_orientation.png")
    assert window.errors == []


def test_why_it_is_nan_is_said_in_words(window: Any, pair: xr.Dataset, tmp_path: Path) -> None:
    lab = TrackingLab(pair)
    window.show(lab, FIGURES)
    window.slide("Search radius", 0.0)
    window.until(lambda: "lies on the edge of what was searched" in window.text())
    window.until(lambda: "No offset here" in window.text())
    window.until(lambda: "search edge" in window.text())
    window.screenshot(tmp_path / "lab_nan.png")
    assert np.isnan(float(lab.found.dx))
    assert window.errors == []


def test_the_images_flicker_without_a_round_trip(window: Any, pair: xr.Dataset) -> None:
    sent: list[Any] = []
    window.page.on("websocket", lambda ws: ws.on("framesent", lambda frame: sent.append(frame)))
    window.open(serve_tracking_lab(pair, threaded=True).url, FIGURES)
    window.until(lambda: "offsets around" in window.text())
    assert window.figures()[CHIPS]["title"] == "reference, 2019-09-03"
    window.page.get_by_text("Flicker between the images", exact=True).click()

    def shown() -> tuple[bool, str]:
        return window.drawn(CHIPS, "Image")[1]["visible"], window.figures()[CHIPS]["title"]

    window.until(lambda: shown() == (True, "secondary, 2019-10-02"))
    window.settle(300)
    before = len(sent)
    for _ in range(2):
        window.until(lambda: shown() == (False, "reference, 2019-09-03"))
        window.until(lambda: shown() == (True, "secondary, 2019-10-02"))
    assert len(sent) == before
    window.page.get_by_text("Flicker between the images", exact=True).click()
    window.until(lambda: shown() == (False, "reference, 2019-09-03"))
    window.slide("Blend", 0.5)
    window.until(lambda: shown()[0] and " and " in shown()[1])
    assert window.errors == []


def test_bad_input_is_a_sentence_in_the_page(window: Any, pair: xr.Dataset, tmp_path: Path) -> None:
    lab = TrackingLab(pair)
    window.show(lab, FIGURES)
    window.page.get_by_text("Place and search centre").click()
    field = window.page.get_by_label("x (m)", exact=True)
    field.fill("100")
    field.press("Enter")
    window.until(lambda: "lies off the images" in window.text())
    window.until(lambda: "The figures show the last place" in window.text())
    window.page.get_by_text("Open another pair").click()
    (tmp_path / "notes.tif").write_text("no image")
    names = ["Reference image (path)", "Secondary image (path)"]
    button = window.page.get_by_role("button", name="Open", exact=True)
    button.click()
    window.until(lambda: "path of the reference image is missing" in window.text())
    window.page.get_by_label(names[0]).fill(str(tmp_path / "notes.tif"))
    button.click()
    window.until(lambda: "path of the secondary image is missing" in window.text())
    window.page.get_by_label(names[1]).fill(str(tmp_path / "gone.tif"))
    button.click()
    window.until(lambda: "These images cannot be" in window.text())
    assert "Traceback" not in window.text()
    assert all(f["w"] > 100 for f in window.figures())
    window.screenshot(tmp_path / "lab_bad.png")
    assert window.errors == []
