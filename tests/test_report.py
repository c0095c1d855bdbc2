"""The report: what it says and shows, from input whose numbers are known."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from velocity_scene import elevation_model, outlines_table, velocity_scene

from glaciertoolkit import __version__
from glaciertoolkit import report_words as words
from glaciertoolkit.conventions import Flag
from glaciertoolkit.errors import FileError, MissingVariableError
from glaciertoolkit.report import write_report
from glaciertoolkit.uncertainty import accuracy


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene(ny=60, nx=75, post=96.0)


def residuals(ds: xr.Dataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    stable = ds["stable"].values
    dx, dy = ds["dx"].values[stable], ds["dy"].values[stable]
    return {"as tracked": (dx + 3, dy - 2), "after deformation": (dx, dy)}


def everything(ds: xr.Dataset) -> dict[str, Any]:
    heights = np.array([4850.0, 4950.0, 5050.0])
    by_elevation = {
        "v_median_by_elevation": [10.0, np.nan, 30.0],
        "v_p10_by_elevation": [5.0, np.nan, 20.0],
        "v_p90_by_elevation": [15.0, np.nan, 40.0],
        "count_by_elevation": [1200, 0, 900],
        "area_by_elevation": [2.5, 0.0, 1.5],
    }
    columns = {name: ("elevation_bin", values) for name, values in by_elevation.items()}
    glaciers = pd.DataFrame(
        {
            "rgi_id": [f"G{i:03}" for i in range(20)],
            "name": [None, *["x"] * 17, "<script>alert(1)</script>", "y"],
            "area_km2": np.linspace(1, 5, 20),
            "coverage": np.full(20, 0.5),
            "v_median": np.arange(20.0),
        }
    )
    return {
        "velocity": ds.assign(elevation=(("y", "x"), elevation_model(60, 75, 96.0).values)),
        "raw": ds,
        "accuracy": accuracy(ds),
        "steps": residuals(ds),
        "topography": xr.Dataset(columns, {"elevation_bin": heights}),
        "glaciers": glaciers,
        "history": [
            {"step": "track", "parameters": {"template": 64}},
            {"step": "correct", "parameters": {"noise": True, "note": "<b>&"}},
        ],
        "title": "A & B <test>",
        "parameters": {"reference": "A.tif", "dem": None},
        "outlines": outlines_table(60, 75, 96.0),
    }


@pytest.fixture(scope="module")
def html(scene: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(path, **everything(scene)) == path
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects the tags, checks that they close, and keeps the text without style sheets."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_whole_and_needs_nothing_else(html: str) -> None:
    reader = Reader(html)
    assert reader.open == []
    names = {tag for tag, _ in reader.tags}
    assert not names & {"script", "link", "iframe", "object"}
    sources = [a["src"] for tag, a in reader.tags if tag == "img"]
    assert len(sources) == 6
    for source in sources:
        assert source.startswith("data:image/png;base64,")
        assert base64.b64decode(source.split(",")[1]).startswith(b"\x89PNG")
    assert not re.findall(r"https?://", html)
    assert all(a.get("alt") for tag, a in reader.tags if tag == "img")
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        reader.tags
    )
    assert "@media print" in html


def test_the_headline_says_it_in_words(html: str, scene: xr.Dataset) -> None:
    text = Reader(html).text
    assert "between 3 September 2019 and 2 October 2019, 29 days later" in text
    share = 100 * float(scene["v"].notnull().mean())
    assert f"{share:.1f} % of 4,500 posts have a velocity, one post every 96 m" in text
    found = accuracy(scene)
    x, y = float(found["holdout_dx_nmad"]), float(found["holdout_dy_nmad"])
    assert f"the fit did not see, the displacement scatters by {x:.2f} m along x" in text
    assert f"and {y:.2f} m along y (NMAD)" in text
    assert "Removed: the global deformation, the topography-related offset and the" in text
    assert f"glaciertoolkit {__version__}" in text
    assert "EPSG:32645" in text


def test_text_from_outside_is_escaped(html: str) -> None:
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<title>A &amp; B &lt;test&gt;</title>" in html
    assert "note=&lt;b&gt;&amp;" in html


def test_flags_are_told_in_words_with_their_shares(html: str, scene: xr.Dataset) -> None:
    share = 100 * float(((scene["flag"].values & Flag.LOW_CORRELATION) > 0).mean())
    text = Reader(html).text
    assert f"low correlation {share:.1f} % the peak correlation is below the threshold" in text


def test_fit_and_hold_out_stand_apart(html: str, scene: xr.Dataset) -> None:
    text = Reader(html).text
    assert text.index("Held-out stable ground") < text.index("Stable ground used by the fit")
    rows = {t.caption: {r[0]: r for r in t.rows} for t in words.accuracy_tables(accuracy(scene))}
    held = rows["Held-out stable ground"]
    assert list(held) == ["dx", "dy", "d", "v", "vx", "vy"]
    assert held["dx"][-1] == "m"
    assert held["vx"][-1] == "m yr⁻¹"
    # the scene adds 2 cm to the held-out residuals
    column = 2  # median
    fit = rows["Stable ground used by the fit"]
    assert float(held["dx"][column]) == pytest.approx(float(fit["dx"][column]) + 0.02, abs=2e-3)


def test_every_step_has_its_numbers() -> None:
    rng = np.random.default_rng(1)
    steps = {
        "raw": (rng.normal(5, 1, 4000), np.full(10, np.nan)),
        "done": (rng.normal(0, 0.2, 4000), np.zeros(4)),
    }
    raw, done = words.step_table(steps).rows
    assert raw[0] == "raw"
    assert float(raw[2]) == pytest.approx(5, abs=0.1)
    assert float(raw[3]) == pytest.approx(1, abs=0.05)
    assert raw[5:] == ["0", words.NONE, words.NONE, words.NONE]
    assert float(done[3]) == pytest.approx(0.2, abs=0.01)
    assert done[6] == "0.000"  # and not -0.000


def test_elevation_bands_run_from_top_to_bottom_without_empty_ones(html: str) -> None:
    text = Reader(html).text
    assert "5,050 1.50 900 20.0 30.0 40.0 4,850 2.50 1,200 5.0 10.0 15.0" in text
    assert "4,950" not in text


def test_the_fastest_glaciers_come_first_and_the_rest_is_counted(html: str) -> None:
    text = Reader(html).text
    assert text.index("G019") < text.index("G018") < text.index("G005")
    assert "G004" not in text
    assert "The 15 fastest of 20 glaciers" in text


def test_equal_input_gives_equal_bytes(scene: xr.Dataset, tmp_path: Path) -> None:
    import matplotlib as mpl

    given = {"velocity": scene, "steps": residuals(scene), "accuracy": accuracy(scene)}
    first = write_report(tmp_path / "a.html", **given).read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        second = write_report(tmp_path / "b.html", **given).read_bytes()
        assert mpl.rcParams["font.size"] == 30  # and the settings of the user stay
    assert first == second


def test_a_bare_velocity_is_enough(scene: xr.Dataset, tmp_path: Path) -> None:
    bare = scene[["v"]].drop_vars(["reference_time", "secondary_time", "mid_date"])
    text = Reader(write_report(tmp_path / "r.html", velocity=bare).read_text()).text
    assert "There is no stable ground to judge the accuracy by." in text
    assert "No correction was applied." in text
    assert "No step is recorded." in text
    assert "days later" not in text


def test_an_empty_map_says_so(scene: xr.Dataset, tmp_path: Path) -> None:
    nothing = scene.assign(v=scene["v"] * np.nan, vx=scene["vx"] * np.nan)
    text = Reader(write_report(tmp_path / "r.html", velocity=nothing).read_text()).text
    assert "No post has a speed; the next section says why." in text
    assert "0.0 % of 4,500 posts" in text


def test_lazy_input_gives_the_same_page_and_stays_lazy(scene: xr.Dataset, tmp_path: Path) -> None:
    lazy = scene.chunk(y=20)
    write_report(tmp_path / "lazy.html", velocity=lazy)
    write_report(tmp_path / "eager.html", velocity=scene)
    assert lazy["v"].chunks is not None
    assert (tmp_path / "lazy.html").read_bytes() == (tmp_path / "eager.html").read_bytes()


def test_south_up_and_west_going_grids_are_drawn_north_up(
    scene: xr.Dataset, tmp_path: Path
) -> None:
    turned = scene.isel(y=slice(None, None, -1), x=slice(None, None, -1))
    sources = []
    for name, ds in (("a.html", scene[["v"]]), ("b.html", turned[["v"]])):
        reader = Reader(write_report(tmp_path / name, velocity=ds).read_text())
        sources.append(next(a["src"] for tag, a in reader.tags if tag == "img"))
    assert sources[0] == sources[1]
    mirrored = scene[["v"]].isel(y=slice(None, None, -1)).assign_coords(y=scene["y"])
    reader = Reader(write_report(tmp_path / "c.html", velocity=mirrored).read_text())
    assert next(a["src"] for tag, a in reader.tags if tag == "img") != sources[0]


def test_refuses_to_overwrite_and_to_write_nowhere(scene: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileError, match=r"report\.html"):
        write_report(path, velocity=scene[["v"]])
    assert path.read_text() == "mine"
    write_report(path, velocity=scene[["v"]], overwrite=True)
    assert path.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(MissingVariableError, match=r"lacks v .*velocity\(\)"):
        write_report(tmp_path / "x.html", velocity=scene[["dx"]])
    assert not (tmp_path / "x.html").exists()
