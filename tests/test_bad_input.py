"""A user's mistake is one clear sentence with the way out, and nothing is written."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rioxarray  # noqa: F401  registers `.rio`
import shapely
import xarray as xr
from scenes import texture

from glaciertoolkit import cli

SIZE, PIXEL = 160, 10.0
EAST, NORTH = 500_000.0, 3_200_000.0


def image(
    folder: Path, name: str, *, epsg: int = 32645, pixel: float = PIXEL, east: float = EAST,
    size: int = SIZE, fill: float | None = None, shift: float = 0.0,
) -> Path:  # fmt: skip
    """A small GeoTIFF; `fill` makes it constant."""
    values = texture((size, size), (0, shift)) + 10 if fill is None else np.full((size, size), fill)
    data = xr.DataArray(
        values.astype(np.float32),
        dims=("y", "x"),
        coords={"y": NORTH - pixel * np.arange(size), "x": east + pixel * np.arange(size)},
    )
    path = folder / name
    data.rio.write_crs(epsg).rio.write_nodata(np.nan).rio.to_raster(path)
    return path


def polygons(folder: Path, name: str, *, east: float = EAST, width: float = 800.0) -> Path:
    path = folder / name
    box = shapely.box(east, NORTH - width, east + width, NORTH)
    gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[box], crs=32645).to_file(path)
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    """Arguments of a run that works; each test spoils one of them."""
    return {
        "reference": image(tmp_path, "20190903.tif"),
        "secondary": image(tmp_path, "20191002.tif", shift=1.3),
        "stable": polygons(tmp_path, "stable.gpkg", width=1500.0),
        "template": 32,
        "search": 4,
        "step": 8,
        "order": 0,
        "out": tmp_path / "out",
    }


def run(capsys: pytest.CaptureFixture[str], arguments: dict[str, Any]) -> tuple[int, str]:
    """Exit status and what the command line says."""
    words = [p for k, v in arguments.items() for p in (f"--{k.replace('_', '-')}", str(v))]
    argv, sys.argv = sys.argv, ["glaciertoolkit", "run", *words]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().err
    finally:
        sys.argv = argv
    return 0, capsys.readouterr().err


Spoil = Callable[[dict[str, Any], Path], dict[str, Any]]


def truncated(_: dict[str, Any], folder: Path) -> dict[str, Any]:
    whole = image(folder, "20191002_cut.tif", shift=1.0)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return {"secondary": whole}


def a_file_as_folder(_: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "file").write_text("not a folder")
    return {"out": folder / "file"}


def a_folder_in_a_file(_: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "file").write_text("not a folder")
    return {"out": folder / "file" / "out"}


def outlines_elsewhere(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    del given["stable"]
    return {"outlines": polygons(folder, "far.gpkg", east=EAST + 90_000)}


CASES: dict[str, tuple[Spoil, str]] = {
    "other CRS": (lambda _, f: {"secondary": image(f, "20191003.tif", epsg=32644)}, "CRS"),
    "other pixel size": (
        lambda _, f: {"secondary": image(f, "20191003.tif", pixel=12.0)}, "pixel"),
    "half-pixel shift": (
        lambda _, f: {"secondary": image(f, "20191003.tif", east=EAST + 5)}, "pixel"),
    "no overlap": (
        lambda _, f: {"secondary": image(f, "20191003.tif", east=EAST + 90_000)}, "overlap"),
    "geographic CRS": (
        lambda _, f: {"reference": image(f, "20190901.tif", epsg=4326, pixel=1e-4, east=85.0)},
        "metres|latitude|longitude|degrees"),
    "no date": (lambda _, f: {"secondary": image(f, "later.tif")}, "secondary.date"),
    "reversed dates": (
        lambda _, f: {"secondary": image(f, "20180101.tif")}, "swap|reversed|before"),
    "equal dates": (lambda _, f: {"secondary": image(f, "20190903_b.tif")}, "equal|same"),
    "unreadable date": (lambda _, __: {"reference_date": "soon"}, "soon"),
    "one file twice": (
        lambda given, _: {"secondary": given["reference"], "secondary_date": "2020-01-01"},
        "the same file"),
    "missing file": (lambda _, f: {"reference": f / "20190101.tif"}, "20190101.tif"),
    "truncated file": (truncated, "20191002_cut.tif"),
    "constant image": (lambda _, f: {"reference": image(f, "20190901.tif", fill=7.0)}, "constant"),
    "empty image": (
        lambda _, f: {"reference": image(f, "20190901.tif", fill=np.nan)}, "no valid|empty"),
    "smaller than its template": (lambda _, __: {"template": 400}, "fewer than the template"),
    "template too small": (lambda _, __: {"template": 2}, "use 16 or more"),
    "wrong order": (lambda _, __: {"order": 9}, "order must be one of"),
    "too many folds": (lambda _, __: {"folds": 99}, "folds must be a whole number"),
    "unknown method": (lambda _, __: {"method": "luck"}, "method must be one of"),
    "unknown prefilter": (lambda _, __: {"prefilter": "blur"}, "prefilter must be one of"),
    "negative speed": (lambda _, __: {"max_speed": -1}, "positive speed"),
    "share above one": (lambda _, __: {"disparity_share": 3}, "disparity_share"),
    "a word for a number": (lambda _, __: {"template": "big"}, "template"),
    "polygons elsewhere": (
        lambda _, f: {"stable": polygons(f, "far.gpkg", east=EAST + 90_000)}, "overlap|outside"),
    "outlines elsewhere": (outlines_elsewhere, "overlap|outside"),
    "DEM elsewhere": (
        lambda _, f: {"dem": image(f, "dem.tif", east=EAST + 90_000)}, "overlap|cover"),
    "missing DEM": (lambda _, f: {"dem": f / "dem.tif"}, "dem.tif"),
    "too little stable ground": (
        lambda _, f: {"stable": polygons(f, "tiny.gpkg", east=EAST + 400, width=20.0)},
        "stable"),
    "output is a file": (a_file_as_folder, "is a file"),
    "output cannot be made": (a_folder_in_a_file, "cannot be made.*choose another"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")
@pytest.mark.parametrize("case", list(CASES))
def test_mistakes(
    case: str, inputs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, words = CASES[case]
    change = spoil(inputs, tmp_path)
    arguments = {**inputs, **change}
    status, text = run(capsys, arguments)
    errors = [line for line in text.splitlines() if line.startswith("Error:")]
    assert status in (1, 2), text
    assert len(errors) == 1, text
    assert "Traceback" not in text
    message = " ".join(text[text.index("Error:") :].split())
    assert re.search(words, message), message
    out = arguments["out"]
    assert not out.is_dir() or {p.name for p in out.iterdir()} <= {"offsets.zarr"}


@pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")
def test_the_unspoilt_input_works(
    inputs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = run(capsys, inputs)
    assert status == 0, text
    assert (inputs["out"] / "report.html").exists()


@pytest.mark.parametrize("missing", ["reference", "secondary", "stable", "out"])
def test_what_must_be_given(
    missing: str, inputs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = run(capsys, {k: v for k, v in inputs.items() if k != missing})
    assert status == 1
    assert f"--{missing}" in text


@pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")
def test_everything_stable_on_request(
    inputs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = run(capsys, {**inputs, "stable": "everywhere"})
    assert status == 0, text


@pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")
def test_outlines_over_everything_leave_no_stable_ground(
    inputs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ice = polygons(tmp_path, "ice.gpkg", east=EAST - 2000, width=9000.0)
    given = {**{k: v for k, v in inputs.items() if k != "stable"}, "outlines": ice}
    status, text = run(capsys, given)
    assert status == 1
    assert "stable" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour: red", "unknown setting colour"),
        ("template: sixty", "template must be a whole number"),
        ("noise: 3", "noise must be true or false"),
        ("[1, 2", "not readable YAML"),
        ("just words", "holds no settings"),
    ],
)
def test_a_hand_written_record_is_checked(
    text: str, words: str, inputs: dict[str, Any], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    record = tmp_path / "run.yaml"
    record.write_text(text)
    given = {k: v for k, v in inputs.items() if k not in ("template", "order")}
    status, said = run(capsys, {**given, "config": record})
    assert status == 1
    assert words in said
    assert said.count("Error:") == 1


def test_an_explorer_of_nothing_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, sys.argv = sys.argv, ["glaciertoolkit", "explore", str(tmp_path / "nowhere")]
    try:
        with pytest.raises(SystemExit):
            cli.main()
    finally:
        sys.argv = argv
    assert "nowhere" in capsys.readouterr().err


def test_a_tracking_lab_of_nothing_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, sys.argv = sys.argv, ["glaciertoolkit", "lab", str(tmp_path / "nowhere.tif"), "b.tif"]
    try:
        with pytest.raises(SystemExit):
            cli.main()
    finally:
        sys.argv = argv
    text = capsys.readouterr().err
    assert text.startswith("Error:")
    assert "nowhere.tif" in text


def test_an_unknown_catalog_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    argv, sys.argv = sys.argv, ["glaciertoolkit", "catalog", "nowhere.yaml"]
    try:
        with pytest.raises(SystemExit):
            cli.main()
    finally:
        sys.argv = argv
    text = capsys.readouterr().err
    assert text.startswith("Error:")
    assert "nowhere.yaml" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], r"there is no motion\.nc"),
        (["--covariate", "t2m.tif"], "--covariate needs a name and a file"),
    ],
)
def test_profiles_of_nothing_are_explained(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["glaciertoolkit", "profile", str(tmp_path), *arguments])
    with pytest.raises(SystemExit):
        cli.main()
    assert re.search(words, capsys.readouterr().err)
