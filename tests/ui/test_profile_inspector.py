"""The profile inspector without a browser: what it reads, what it says, what it writes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely.geometry import LineString, Point
from velocity_scene import elevation_model, outlines_table, velocity_scene

import glaciertoolkit as gt
from glaciertoolkit.apps.profile_content import gather_profile
from glaciertoolkit.apps.profile_exports import code_of, lines_geojson, profile_csv
from glaciertoolkit.apps.profile_inspector import ProfileInspector
from glaciertoolkit.apps.profile_serve import serve_profile_inspector
from glaciertoolkit.conventions import RADAR_COORDINATES
from glaciertoolkit.errors import FileError, GridError, InputError, ParameterError
from glaciertoolkit.styles import LINE_COLOURS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
X0, Y0, POST = 480_000.0, 3_100_000.0, 48.0


def at(*posts: tuple[float, float]) -> list[tuple[float, float]]:
    """Vertices by column and row of posts."""
    return [(X0 + POST * column, Y0 - POST * row) for column, row in posts]


LINE, ACROSS = at((30, 60), (80, 62), (120, 66)), at((75, 35), (75, 85))


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


@pytest.fixture(scope="module")
def beside(scene: xr.Dataset) -> dict[str, Any]:
    """All that can be given beside a map: its DEM, outlines, thickness, climate, another date."""
    dem = elevation_model()
    thickness = xr.where(scene.stable, 0, 0 * dem + 150).rename("thickness")
    temperature = (10 - 0.0065 * (dem - 4000)).rename("temperature")
    temperature.attrs = {"units": "degC"}
    later = scene.assign_coords(mid_date=np.datetime64("2020-09-17", "ns"))
    later = later.assign(v=1.2 * scene.v, vx=1.2 * scene.vx, vy=1.2 * scene.vy)
    return {
        "dem": dem, "outlines": outlines_table(), "thickness": thickness.rio.write_crs(32645),
        "covariates": {"temperature": temperature.rio.write_crs(32645)}, "maps": [later],
    }  # fmt: skip


def notes(view: ProfileInspector) -> str:
    return " ".join(view.gathered.notes)


def assert_same(along: xr.Dataset, expected: xr.Dataset) -> None:
    for name in expected.variables:
        np.testing.assert_array_equal(along[name].values, expected[name].values, err_msg=str(name))


def test_shows_what_profile_and_strain_rate_return(scene: xr.Dataset) -> None:
    dem = elevation_model()
    view = scene.glacier.inspect_profile(dem=dem, lines=LINE)
    assert isinstance(view, ProfileInspector)
    names = list(view.gathered.ds.data_vars)
    for width in (0, 240):
        view.width = width
        expected = gt.profile(scene, LINE, width=width or None, dem=dem, variables=names)
        assert_same(view.along, gt.strain_rate(expected, length=view.length))
    view.length = 300
    assert view.along.strain_rate.attrs["length"] == 300
    assert view.sentence == ""
    view.set_points(*zip(*ACROSS, strict=True))
    assert_same(view.along, gt.profile(scene, ACROSS, width=240, dem=dem, variables=names))


def test_reads_what_is_given_beside_the_map(scene: xr.Dataset, beside: dict[str, Any]) -> None:
    view = ProfileInspector(scene, lines={"trunk": LINE, "across": ACROSS}, **beside)
    assert view.gathered.notes == ()
    assert [line.name for line in view.lines] == ["trunk", "across"]
    assert [(c.line.name, c.date) for c in view.answer.curves] == [
        ("trunk", "2019-09-17"), ("trunk", "2020-09-17"),
        ("across", "2019-09-17"), ("across", "2020-09-17"),
    ]  # fmt: skip
    first, second = view.answer.curves[:2]
    stressed = gt.driving_stress(scene, **{k: beside[k] for k in ("thickness", "dem", "outlines")})
    expected = gt.profile(stressed, LINE, dem=beside["dem"])
    np.testing.assert_array_equal(first.along.driving_stress, expected.driving_stress)
    climate = gt.match_raster(beside["covariates"]["temperature"], scene, name="temperature")
    warm = gt.profile(scene.assign(temperature=climate), LINE)
    np.testing.assert_array_equal(first.along.temperature, warm.temperature)
    later = gt.profile(beside["maps"][0], LINE, variables=["v", "vx", "vy", "v_error"])
    np.testing.assert_array_equal(second.along.v, later.v)
    assert "elevation" not in second.along  # the ground is drawn once
    view.dates = ["2020-09-17"]
    assert {c.date for c in view.answer.curves} == {"2020-09-17"}


def test_large_maps_take_their_stress_band_by_band(
    scene: xr.Dataset, beside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from glaciertoolkit.apps import profile_content

    given = {k: beside[k] for k in ("thickness", "dem", "outlines")}
    whole = gather_profile(scene, **given).ds.driving_stress.values
    monkeypatch.setattr(profile_content, "BAND_POSTS", 1000)
    monkeypatch.setattr(profile_content, "THICKEST", 200.0)
    banded = gather_profile(scene, **given).ds.driving_stress.values
    np.testing.assert_allclose(banded, whole, rtol=1e-3)  # of each band its own scale of the map


def test_another_date_in_another_crs_is_read_on_the_same_line(scene: xr.Dataset) -> None:
    import pyproj
    import rioxarray  # noqa: F401

    to = pyproj.Transformer.from_crs(32645, 32646, always_xy=True)
    x, y = to.transform(*at((75, 60))[0])
    grid = {"y": y + 48.0 * np.arange(120)[::-1] - 60 * 48, "x": x + 48.0 * np.arange(-75, 75)}
    posts = xr.Dataset(coords=grid).rio.write_crs(32646)
    fields = {n: gt.match_raster(scene[n], posts, name=n, min_coverage=0) for n in ("v", "vx")}
    fields["vy"] = fields["vx"]
    other = posts.assign(fields).assign_coords(mid_date=np.datetime64("2021-01-01", "ns"))
    view = ProfileInspector(scene, maps=[other], lines=ACROSS)
    own, there = (curve.along for curve in view.answer.curves)
    assert there.distance[-1] == pytest.approx(float(own.distance[-1]), rel=0.01)
    middle = [float(c.v.sel(distance=c.distance[-1] / 2, method="nearest")) for c in (own, there)]
    assert middle[1] == pytest.approx(middle[0], rel=0.1)
    table = pd.read_csv(
        profile_csv(view.gathered, view.answer), comment="#", float_precision="round_trip"
    )
    last = table.groupby("date").last()
    np.testing.assert_allclose(last.x, ACROSS[1][0], atol=0.01)  # both in the CRS of the map
    np.testing.assert_allclose(last.latitude, last.latitude.iloc[0], atol=1e-7)
    assert "crs=velocity.rio.crs" in code_of(view.gathered, view.answer)


def test_lines_are_added_turned_and_deleted(scene: xr.Dataset) -> None:
    view = ProfileInspector(scene, lines=LINE)
    view.new_line()
    assert (view.active, view.line.name, view.line.colour) == (1, "Line 2", LINE_COLOURS[1])
    view.new_line()  # the empty one is not left behind
    assert len(view.lines) == 2
    assert "Line 2: Click on the map: a line needs at least two points." in view.sentence
    assert [c.line.name for c in view.answer.curves] == ["Line 1"]
    view.set_points(*zip(*ACROSS, strict=True))
    assert view.sentence == ""
    before = view.along
    view.reverse()
    np.testing.assert_allclose(view.along.v_along, -before.v_along[::-1], rtol=1e-5)
    view.drop_last()
    assert len(view.line.x) == 1
    view.delete()
    assert [line.name for line in view.lines] == ["Line 1"]
    view.delete()
    assert view.lines[0].x == ()
    assert view.sentence == "Click on the map: a line needs at least two points."
    for _ in range(len(LINE_COLOURS)):
        view.set_points(*zip(*LINE, strict=True))
        view.new_line()
    assert len(view.lines) == len(LINE_COLOURS) == len({line.colour for line in view.lines})
    assert "delete one first" in view.sentence


def test_a_flow_line_becomes_a_line(scene: xr.Dataset) -> None:
    view = ProfileInspector(scene, lines=LINE)
    x, y = at((70.5, 58.5))[0]
    view.pick(x, y)
    assert view.line.name == "Flow line 1"
    assert view.line.points == list(gt.flow_line(scene, x, y, gap=144).coords)
    view.pick(*at((75, 3))[0])
    assert view.sentence.startswith("The ice at x 483600, y 3099856 is too slow")
    view.pick(0, 0)
    assert "lies off the map" in view.sentence
    assert len(view.lines) == 2


@pytest.mark.parametrize("ending", ["geojson", "gpkg", "kml"])
def test_lines_are_loaded_from_a_file_in_any_crs(
    scene: xr.Dataset, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"lines.{ending}"
    table = gpd.GeoDataFrame(
        {"Name": ["trunk", "far away", ""]},
        geometry=[LineString(LINE), LineString([(0, 0), (9, 9)]), LineString(ACROSS)], crs=32645,
    )  # fmt: skip
    table.to_crs(4326).to_file(path, driver="KML" if ending == "kml" else None)
    view = ProfileInspector(scene, lines=LINE)
    view.load(path.read_bytes(), path.name)
    assert [line.name for line in view.lines] == ["Line 1", "trunk", "Line 3"]
    assert view.active == 1
    expected = gt.profile(scene, table.to_crs(4326).iloc[[0]])
    np.testing.assert_allclose(view.along.v, expected.v, rtol=1e-4)
    again = gt.inspect_profile(scene, lines=path)
    assert [line.name for line in again.lines] == ["trunk", "Line 3"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"no line", "not one of the files"),
        ("lines.geojson", b"no line", "the line cannot be read"),
        ("lines.gpkg", b"", "the line cannot be read"),
        ("lines.kml", b"<kml", "the line cannot be read"),
    ],
)
def test_a_wrong_file_is_a_sentence(
    scene: xr.Dataset, name: str, content: bytes, words: str
) -> None:
    view = ProfileInspector(scene, lines=LINE)
    view.load(content, name)
    assert view.sentence.startswith(f"{name} cannot be")
    assert words in view.sentence
    assert "/tmp" not in view.sentence
    assert len(view.lines) == 1


def test_files_without_a_line_of_the_map_are_sentences(scene: xr.Dataset, tmp_path: Path) -> None:
    view = ProfileInspector(scene, lines=LINE)
    points = gpd.GeoDataFrame(geometry=[Point(X0, Y0)], crs=32645)
    far = gpd.GeoDataFrame(geometry=[LineString([(0, 0), (1, 1)])], crs=4326)
    for table, words in ((points, "there is no line in it, only Point"), (far, "outside the map")):
        path = tmp_path / "made.geojson"
        table.to_file(path)
        view.load(path.read_bytes(), path.name)
        assert words in view.sentence
    with pytest.raises(GridError, match="outside the map"):
        gt.inspect_profile(scene, lines=far)
    with pytest.raises(FileError, match="cannot be read"):
        gt.inspect_profile(scene, lines=tmp_path / "gone.geojson")


def test_what_is_missing_is_said(scene: xr.Dataset) -> None:
    view = ProfileInspector(scene, lines=LINE)
    for words in ("No elevation model was given", "No ice thickness", "No climate", "One map only"):
        assert words in notes(view)
    assert "brush" not in notes(view)
    far = xr.DataArray(np.ones((3, 3)), {"y": [2.0, 1.0, 0.0], "x": [0.0, 1.0, 2.0]}, ("y", "x"))
    bad = ProfileInspector(
        scene, dem=far.rio.write_crs(32645), thickness="gone.tif", maps=["gone.nc"], lines=LINE,
        covariates={"temperature": "gone.tif"},
    )  # fmt: skip
    for words in ("The elevation model is left out", "temperature is left out", "gone.nc of"):
        assert words in notes(bad)
    assert "The driving stress is left out: it needs an elevation model too" in notes(
        ProfileInspector(scene, thickness=far, lines=LINE)
    )
    assert "The driving stress is left out: the raster gone.tif" in notes(
        ProfileInspector(scene, dem=elevation_model(), thickness="gone.tif", lines=LINE)
    )
    np.testing.assert_array_equal(bad.along.v, view.along.v)


def test_lines_where_nothing_is_are_sentences(scene: xr.Dataset) -> None:
    view = ProfileInspector(scene, dem=elevation_model(), lines=LINE)
    view.set_points([0, 100], [0, 100])
    assert view.sentence.startswith("The line lies outside the map")
    view.set_points(*zip(*at((2, 2), (20, 10)), strict=True))
    assert view.sentence.startswith("No post along this line has a value")
    assert np.isfinite(view.along.elevation).all()
    view.set_points([X0 + 100] * 3, [Y0 - 100] * 3)
    assert "at least two points" in view.sentence
    view.set_points(*zip(*LINE, strict=True))
    assert view.sentence == ""


def test_offsets_without_a_velocity_can_be_read_too(scene: xr.Dataset) -> None:
    offsets = scene[["dx", "dy", "dx_error", "dy_error", "correlation", "flag"]]
    view = ProfileInspector(offsets, lines=LINE)
    assert "There is no velocity here" in notes(view)
    assert view.curve == "dx"
    assert "strain_rate" not in view.along
    np.testing.assert_array_equal(view.along.dx, gt.profile(offsets, LINE).dx)
    view.__panel__()
    view.pick(*at((70.5, 58.5))[0])
    assert view.line.name == "Flow line 1"


def test_radar_geometry_is_read_and_explained(scene: xr.Dataset) -> None:
    radar = scene[["dx", "dy"]].drop_vars("spatial_ref")
    for name in ("x", "y"):
        radar[name].attrs = dict(RADAR_COORDINATES[name])
    view = ProfileInspector(radar, lines=LINE, outlines=outlines_table(), dem=elevation_model())
    view.__panel__()
    assert "This is radar geometry" in notes(view)
    assert "is left out" in notes(view)  # the elevation model: it lies on a map
    table = pd.read_csv(
        profile_csv(view.gathered, view.answer), comment="#", float_precision="round_trip"
    )
    assert "longitude" not in table
    with pytest.raises(GridError, match="no CRS; take the CSV"):
        lines_geojson(view.gathered, view.answer)


@pytest.mark.parametrize("ds", [xr.Dataset(), xr.Dataset({"v": ("time", [1.0])})])
def test_what_is_no_map_is_refused(ds: xr.Dataset) -> None:
    with pytest.raises(InputError, match="the profile inspector needs a map"):
        gt.inspect_profile(ds, thickness="h.tif", dem="dem.tif")


def test_csv_and_geojson_hold_what_is_shown(scene: xr.Dataset, beside: dict[str, Any]) -> None:
    view = ProfileInspector(scene, lines={"trunk": LINE, "across": ACROSS}, **beside)
    view.width = 96
    text = profile_csv(view.gathered, view.answer).getvalue().decode()
    head = text.splitlines()[:3]
    assert head[0] == "# Profiles: means over a band 96 m wide; strain rate over 580 m."
    assert head[1].startswith("# Units: distance m; x m; y m; longitude degrees_east;")
    assert "v m yr-1" in head[1]
    assert head[2].startswith("line,date,distance,x,y,longitude,latitude,")
    table = pd.read_csv(io.StringIO(text), comment="#", float_precision="round_trip")
    for curve in view.answer.curves:
        rows = table[(table.line == curve.line.name) & (table.date == curve.date)]
        assert len(rows) == curve.along.sizes["distance"]
        for name in ("distance", "x", "y", *curve.along.data_vars):
            kind = curve.along[name].dtype
            np.testing.assert_array_equal(
                rows[name].to_numpy(kind), curve.along[name].values, err_msg=name
            )
    found = json.loads(lines_geojson(view.gathered, view.answer).getvalue())
    assert "crs" not in found
    lines = gpd.GeoDataFrame.from_features(found, crs=4326).to_crs(32645)
    for line, row in zip(view.lines, lines.itertuples(), strict=True):
        np.testing.assert_allclose(row.geometry.coords, line.points, atol=1e-3)
        assert (row.name, row.colour) == (line.name, line.colour)
    properties = found["features"][0]["properties"]
    trunk = view.answer.curves[0].along
    assert properties["length_m"] == pytest.approx(LineString(LINE).length)
    assert properties["v_mean_m_yr-1 2019-09-17"] == pytest.approx(float(trunk.v.mean()))
    view.delete()
    view.delete()
    for write in (profile_csv, lines_geojson):
        with pytest.raises(InputError, match="to save"):
            write(view.gathered, view.answer)


def test_the_code_gives_the_same(scene: xr.Dataset, beside: dict[str, Any]) -> None:
    view = ProfileInspector(scene, lines={"trunk": LINE}, **beside)
    view.pick(*at((70.5, 58.5))[0])
    view.width = 96
    code = code_of(view.gathered, view.answer)
    assert "velocity.glacier.flow_line(483384.0, 3097192.0, gap=144)" in code
    given = {**beside, "velocity": scene, "temperature": beside["covariates"]["temperature"]}
    exec(code, given)
    for name, curve in zip(("along_1", "along_1_2", "along_2"), view.answer.curves, strict=False):
        for variable in curve.along.data_vars:
            np.testing.assert_array_equal(given[name][variable], curve.along[variable])


def test_it_is_served_from_a_folder(scene: xr.Dataset, tmp_path: Path) -> None:
    gt.to_products(scene.drop_vars("stable_fold"), tmp_path)
    lines = tmp_path / "lines.geojson"
    gpd.GeoDataFrame(geometry=[LineString(LINE)], crs=32645).to_crs(4326).to_file(lines)
    served = serve_profile_inspector(tmp_path, maps=[tmp_path], lines=lines, threaded=True)
    with urlopen(served.url) as page:
        assert b"Profile inspector" in page.read()
    with pytest.raises(FileError, match=r"there is no motion\.nc"):
        serve_profile_inspector(tmp_path / "gone", threaded=True)
    with pytest.raises(ParameterError, match="the profile inspector cannot listen"):
        serve_profile_inspector(scene, port=99_999, threaded=True)
