"""The explorer without a browser: what it gathers, what it says, what it refuses."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from velocity_scene import elevation_model, outlines_table, velocity_scene

from glaciertoolkit import explore
from glaciertoolkit.apps import content as content_module
from glaciertoolkit.apps import exports, spool
from glaciertoolkit.apps.cards import sample_words, selection_html
from glaciertoolkit.apps.content import first_line, gather, subtitle
from glaciertoolkit.apps.explorer import Explorer
from glaciertoolkit.apps.exports import selected_posts, selection_csv, selection_gpkg, view_png
from glaciertoolkit.apps.glacier_facts import glacier_facts
from glaciertoolkit.apps.glacier_view import row_html
from glaciertoolkit.apps.linked_views import binned
from glaciertoolkit.apps.other import other_layers
from glaciertoolkit.apps.overview import gathered, overview_map
from glaciertoolkit.apps.selection import (
    Area,
    Between,
    Box,
    Cloud,
    Selection,
    polygon_of,
    statistics,
)
from glaciertoolkit.apps.serve import outlines_of, serve_explorer
from glaciertoolkit.apps.state import same_window
from glaciertoolkit.errors import (
    FileError,
    GridError,
    InputError,
    MissingVariableError,
    ParameterError,
)
from glaciertoolkit.io.products import to_products
from glaciertoolkit.stats.glaciers import glaciers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


def test_the_layers_are_those_of_the_dataset(scene: xr.Dataset) -> None:
    view = explore(scene, dem=elevation_model(), outlines=outlines_table())
    assert isinstance(view, Explorer)
    layers = view.content.layers
    assert layers["speed"] == "v"
    assert layers["why missing or doubtful"] == "flag"
    assert layers["elevation"] == "elevation"
    assert "stable_fold" not in layers.values()
    assert view.content.notes == ()
    for name in layers.values():
        view.layer = name  # every layer can be shown
        assert view.map_view._picture() is not None
        assert view.scatter._selected() is not None
    with pytest.raises(ValueError, match="nonsense"):
        view.layer = "nonsense"


def test_a_layer_brings_its_own_colours_and_limits(scene: xr.Dataset) -> None:
    view = Explorer(scene)
    assert view.cmap == "viridis"
    assert view.limits[0] == 0
    assert 100 < view.limits[1] < 140
    view.layer = "vy"
    assert view.cmap == "coolwarm"
    assert view.limits[0] == -view.limits[1]
    view.layer = "correlation"
    assert view.limits == (0, 1)


def test_the_first_line_follows_the_fastest_ice(scene: xr.Dataset) -> None:
    xs, ys = first_line(scene, "v")
    direction = (ys[2] - ys[0]) / (xs[2] - xs[0])
    assert direction == pytest.approx(-0.15, abs=0.02)  # the flow of the scene
    middle = scene["v"].sel(x=xs[1], y=ys[1], method="nearest")
    assert float(middle) > 100
    still = scene[["correlation"]].where(False)
    xs, ys = first_line(still, "correlation")
    assert ys[0] == ys[1] == ys[2] == pytest.approx(float(scene.y.mean()))
    assert float(scene.x.min()) < xs[0] < xs[2] < float(scene.x.max())


def test_the_subtitle_names_the_pair(scene: xr.Dataset) -> None:
    text = subtitle(gather(scene), "v")
    assert "2019-09-03 to 2019-10-02 (29 days)" in text
    assert "18,000 posts, one every 48 m" in text
    assert "days" not in subtitle(gather(scene.drop_vars("reference_time")), "v")


def test_what_cannot_be_used_becomes_a_note(scene: xr.Dataset) -> None:
    far_dem = elevation_model().assign_coords(x=lambda d: d.x + 1e6)
    far_outlines = outlines_table().translate(1e6)
    content = gather(scene, dem=far_dem, outlines=far_outlines)
    assert content.shade is None
    assert content.outlines is None
    assert any("elevation model is left out" in note for note in content.notes)
    assert any("outlines are left out" in note for note in content.notes)
    half = elevation_model().isel(x=slice(0, 75))
    assert any("covers 50 %" in note for note in gather(scene, dem=half).notes)
    nothing = scene.assign(v=scene.v * np.nan)[["v", "flag"]]
    assert any("No post has a value" in note for note in gather(nothing).notes)


def test_an_all_nan_map_opens_and_says_so(scene: xr.Dataset) -> None:
    view = Explorer((scene[["v", "dx", "dy", "v_error"]] * np.nan).assign(flag=scene["flag"]))
    assert view.along is None
    assert "No post along this line" in view.sentence
    assert "None of these posts has a value" in selection_html(view)
    assert view.histogram.shares(None)[1] == 0
    view.layer = "flag"
    assert view._layout.get_root() is not None


def test_sentences_from_data_are_escaped(scene: xr.Dataset) -> None:
    view = Explorer(scene)
    view.sentence = "<script>alert(1)</script>"
    assert "<script>" not in view._status.object


def test_refuses_what_is_no_map(scene: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"dimensions y and x.*velocity\(\)"):
        gather(scene.isel(y=0))
    with pytest.raises(InputError, match="nothing that the explorer can show"):
        gather(scene[["stable", "flag"]])


def test_lazy_input_is_computed_once(scene: xr.Dataset) -> None:
    content = gather(scene.chunk(y=40, x=50))
    assert content.ds.chunks == {}
    xr.testing.assert_equal(content.ds["v"], scene["v"])


def test_serving_needs_the_folder_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no motion\.nc.*glaciertoolkit run"):
        serve_explorer(tmp_path, threaded=True)
    (tmp_path / "motion.nc").write_bytes(b"not netCDF")
    with pytest.raises(FileError, match="cannot be read as netCDF"):
        serve_explorer(tmp_path, threaded=True)
    with pytest.raises(ParameterError, match=r"cannot listen on 192\.0\.2\.1.*127\.0\.0\.1"):
        serve_explorer(velocity_scene(), address="192.0.2.1", threaded=True)


def test_a_port_in_use_is_said_in_a_sentence(scene: xr.Dataset) -> None:
    first = serve_explorer(scene, threaded=True)
    port = int(first.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(
        ParameterError, match=f"cannot listen on port {port} of .*give another port"
    ):
        serve_explorer(scene, port=port, threaded=True)
    with pytest.raises(ParameterError, match="port 99999"):
        serve_explorer(scene, port=99_999, threaded=True)


def test_the_folder_of_a_run_knows_its_outlines(scene: xr.Dataset, tmp_path: Path) -> None:
    from urllib.request import urlopen

    to_products(scene, tmp_path)
    assert outlines_of(tmp_path) is None
    table = tmp_path / "outlines.gpkg"
    outlines_table().to_file(table)
    (tmp_path / "run.yaml").write_text(f"outlines: {table}\n")
    assert outlines_of(tmp_path) == str(table)
    assert outlines_of(tmp_path / "motion.nc") == str(table)
    served = serve_explorer(tmp_path, threaded=True)
    with urlopen(served.url, timeout=30) as answer:
        assert "Glacier surface motion" in answer.read().decode()


# ---- what is selected


def test_every_criterion_is_what_numpy_says(scene: xr.Dataset) -> None:
    ds = gather(scene, dem=elevation_model()).ds
    x, y = np.meshgrid(ds["x"].values, ds["y"].values)
    v, z = ds["v"].values, ds["elevation"].values
    box = Box(480_500, 3_095_000, 484_000, 3_098_000)
    inside = (x >= 480_500) & (x <= 484_000) & (y >= 3_095_000) & (y <= 3_098_000)
    np.testing.assert_array_equal(box.holds(ds), inside)
    triangle = shapely.Polygon([(480_510, 3_095_010), (480_510, 3_099_010), (485_010, 3_095_010)])
    expected = shapely.contains_xy(triangle, x, y)
    np.testing.assert_array_equal(Area(triangle).holds(ds), expected)
    np.testing.assert_array_equal(Between("v", 20, 60).holds(ds), (v >= 20) & (v <= 60))
    cloud = shapely.Polygon([(4800, 10), (5000, 110), (5200, 10)])
    np.testing.assert_array_equal(
        Cloud("elevation", "v", cloud).holds(ds), shapely.contains_xy(cloud, z, v)
    )
    both = Selection().with_brush("map", box).with_brush("histogram", Between("v", 20, 60))
    np.testing.assert_array_equal(both.mask(ds), inside & (v >= 20) & (v <= 60))
    assert both.words(ds) == "in a box of 3.5 by 3 km; speed 20 to 60 m yr⁻¹"
    assert not both.with_brush("map").with_brush("histogram")
    assert Selection().mask(ds).all()


def test_an_area_is_the_same_on_rising_and_falling_axes(scene: xr.Dataset) -> None:
    ring = [(480_510, 3_095_010), (480_510, 3_099_010), (485_010, 3_095_010)]
    area = Area(shapely.Polygon(ring))
    upright = area.holds(scene)
    np.testing.assert_array_equal(area.holds(scene.isel(y=slice(None, None, -1))), upright[::-1])


@pytest.mark.parametrize(
    "corners", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (2, 2)], [(0, 0), (1, np.nan), (2, 0)]]
)
def test_a_ring_without_area_selects_nothing(corners: list[tuple[float, float]]) -> None:
    assert polygon_of(corners) is None


def test_a_ring_that_crosses_itself_is_its_largest_part() -> None:
    found = polygon_of([(0, 0), (10, 0), (10, 10), (9, 11), (11, 9), (0, 10)])
    assert found is not None
    assert found.is_valid
    assert found.area > 80


@given(
    st.lists(st.floats(-50, 50) | st.just(float("nan")), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_bins_count_as_numpy_does(values: list[float], number: int) -> None:
    array = np.array(values)
    edges = np.linspace(-20, 20, number + 1)
    expected = np.histogram(array[np.isfinite(array)], edges)[0]
    np.testing.assert_array_equal(binned([array], (edges,)).counts(), expected)
    mask = np.arange(array.size) % 2 == 0
    half = array[mask]
    np.testing.assert_array_equal(
        binned([array], (edges,)).counts(mask), np.histogram(half[np.isfinite(half)], edges)[0]
    )


def test_statistics_leave_out_what_is_missing() -> None:
    found = statistics(np.array([1.0, np.nan, 3.0, 2.0, np.inf]))
    assert (found["count"], found["median"], found["mean"]) == (3, 2, 2)
    assert statistics(np.array([np.nan])) == {"count": 0}


# ---- large maps


def test_a_large_map_goes_to_disk_and_gives_the_same(
    scene: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = gather(scene, dem=elevation_model(), outlines=outlines_table())
    monkeypatch.setattr(spool, "IN_MEMORY", 0)
    monkeypatch.setattr(content_module, "VIEW_POSTS", 5000)
    monkeypatch.setattr(content_module, "SAMPLE_POSTS", 2000)
    large = gather(scene.chunk(y=50, x=70), dem=elevation_model(), outlines=outlines_table())
    folder = large.spool._folder
    assert folder is not None
    assert (folder / "v.raw").stat().st_size == 4 * 18_000
    for name in small.layers.values():
        np.testing.assert_array_equal(large.ds[name].values, small.ds[name].values)
    assert large.sample["v"].size <= 2000
    np.testing.assert_array_equal(
        large.sample["v"], scene["v"][:: large.sample_step, :: large.sample_step]
    )
    assert "a sample of" in sample_words(large)
    assert sample_words(small) == ""
    large.spool.release()
    np.testing.assert_array_equal(large.ds["v"].values, scene["v"].values)
    del large
    gc.collect()
    assert not folder.exists()


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FileError, match=r"needs 1\.0 GB .* set TMPDIR"):
        spool.Spool(1_000_000_000)


def test_a_window_has_no_more_posts_than_the_screen() -> None:
    content = gather(velocity_scene(1100, 1300, 12.0)[["v", "vx", "vy"]])
    assert content.overview_step == 2
    whole = content.window((480_000, 500_000), (3_000_000, 3_100_000))
    assert whole == content.whole
    near = content.window((481_000, 483_000), (3_095_000, 3_097_000))
    assert near.step == 1
    view = content.view(near)
    assert view["x"].values.min() <= 481_000
    assert view["x"].values.max() >= 483_000
    assert view["v"].size < 40_000
    assert content.window((0, 1), (0, 1)) == content.whole  # beside the map
    assert same_window(content, None, (0, 1)) == content.whole
    assert same_window(content, (np.nan, 1), (0, 1)) == content.whole


# ---- other products, other dates, other layers


def test_vectors_of_another_crs_are_turned(scene: xr.Dataset) -> None:
    """A field that flows along the x axis of UTM 45, given in UTM 46 from its own components."""
    from pyproj import Transformer

    there = Transformer.from_crs(32645, 32646, always_xy=True)
    back = Transformer.from_crs(32646, 32645, always_xy=True)
    x0, y0 = there.transform(480_000 + 75 * 48, 3_100_000 - 60 * 48)
    x, y = x0 + 100.0 * np.arange(-90, 91), y0 - 100.0 * np.arange(-90, 91)
    at = back.transform(*np.meshgrid(x, y))
    here = there.transform(at[0], at[1])
    ahead = there.transform(at[0] + 10.0, at[1])
    vx, vy = (50 * (a - h) / 10 for a, h in zip(ahead, here, strict=True))
    assert abs(vy).min() > 2  # the grids are turned by some three degrees
    other = xr.Dataset(
        {"vx": (("y", "x"), vx), "vy": (("y", "x"), vy), "v": (("y", "x"), np.hypot(vx, vy))},
        {"y": y, "x": x},
    ).rio.write_crs(32646)
    layers = {f.name: f for f in other_layers(other, scene, lambda field: field)}
    np.testing.assert_allclose(layers["other_vx"], 50, rtol=5e-3)
    np.testing.assert_allclose(layers["other_vy"], 0, atol=0.05)
    difference = layers["vx_difference"].values
    np.testing.assert_allclose(difference, scene["vx"].values - layers["other_vx"].values)
    assert layers["vx_difference"].attrs["units"] == "m yr-1"


def test_another_product_may_be_in_metres_a_day(scene: xr.Dataset) -> None:
    names = ["v", "vx", "vy"]
    daily = scene[names] / np.float32(365.25)
    for name in names:
        daily[name].attrs["units"] = "m d-1"
    layers = {f.name: f for f in other_layers(daily, scene, lambda field: field)}
    np.testing.assert_allclose(layers["other_v"], scene["v"], rtol=1e-5)
    daily["v"].attrs["units"] = "furlong week-1"
    notes = gather(scene, other=daily).notes
    assert any("left out: units must be one of m yr-1" in note for note in notes)


def test_wrong_sources_become_sentences(scene: xr.Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nc"
    broken.write_bytes(b"nothing of the kind")
    content = gather(
        scene, other=broken, maps=[broken, scene.drop_vars("mid_date")], dem=broken,
        covariates={"temperature": tmp_path / "absent.tif"}, outlines=broken,
    )  # fmt: skip
    text = " ".join(content.notes)
    for said in (
        "The other product is left out: broken.nc cannot be read as a velocity map",
        "broken.nc of another date is left out",
        "A map of another date is left out: it lacks v, vx, vy or mid_date",
        "The elevation model is left out",
        "temperature is left out",
        "The glacier outlines are left out",
    ):
        assert said in text
    absent = gather(scene, other=tmp_path / "absent.nc", maps=[tmp_path])
    assert "there is no" in " ".join(absent.notes)
    assert "holds none of v, vx and vy" in " ".join(gather(scene, other=scene[["dx"]]).notes)


def test_covariates_and_unknown_variables_are_layers(scene: xr.Dataset) -> None:
    warm = (30 - 0.0065 * elevation_model()).assign_attrs(units="degC", long_name="temperature")
    odd = scene.assign(strain=scene["v"] * 0.01)
    content = gather(odd, dem=elevation_model(), covariates={"temperature": warm})
    assert {"strain", "temperature", "slope", "aspect"} <= set(content.layers.values())
    assert list(content.against.values())[:4] == ["elevation", "slope", "aspect", "temperature"]
    assert content.ds["temperature"].attrs["units"] == "degC"


# ---- glaciers


def test_the_facts_of_a_glacier_are_those_of_the_table(scene: xr.Dataset) -> None:
    import geopandas as gpd

    west, south = 480_000 + 15 * 48, 3_100_000 - 80 * 48
    shapes = [shapely.box(west + i * 1500, south, west + 1500 * (i + 1), south + 1800)
              for i in range(3)]  # fmt: skip
    shapes.append(shapely.box(west + 700, south + 900, west + 3200, south + 2500))  # overlaps
    table = gpd.GeoDataFrame({"name": list("abcd")}, geometry=shapes, crs=32645)
    tracked = scene.assign_attrs(template=[16, 16], pixel=[12.0, 12.0])
    content = gather(tracked, dem=elevation_model(), outlines=table)
    expected = glaciers(tracked, table, dem=elevation_model())
    assert expected["eroded"].any()
    for number in range(4):
        facts = glacier_facts(content.ds, content.outlines, number, (tracked,))
        found, wanted = facts.row.to_dict(), expected.iloc[number].to_dict()
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            if isinstance(value, str):
                assert found[key] == value
            else:
                assert found[key] == pytest.approx(value, rel=1e-6, nan_ok=True), key
        assert len(facts.history) == 2
        area = float(facts.by_elevation["area_by_elevation"].sum())
        assert area == pytest.approx(shapes[number].area / 1e6, rel=0.05)
        assert "low_coverage" in facts.row
    bare = gather(scene[["dx", "dy", "flag"]], outlines=table)
    with pytest.raises(MissingVariableError):
        glacier_facts(bare.ds, bare.outlines, 0)


def test_without_elevation_or_other_dates_a_glacier_has_its_row(scene: xr.Dataset) -> None:
    content = gather(scene, outlines=outlines_table())
    facts = glacier_facts(content.ds, content.outlines, 0)
    assert facts.by_elevation is None
    assert facts.history is None
    assert "No history" in " ".join(facts.sentences)
    assert "Test Glacier" in row_html(facts)


# ---- files


def test_a_map_in_degrees_is_refused_with_the_way_out(scene: xr.Dataset) -> None:
    degrees = {
        "y": 28 - 1e-4 * np.arange(scene.sizes["y"]),
        "x": 86 + 1e-4 * np.arange(scene.sizes["x"]),
    }
    with pytest.raises(GridError, match="projected CRS first"):
        gather(scene.assign_coords(degrees).rio.write_crs(4326))


def test_long_selections_are_saved_as_the_sample(
    scene: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "SAMPLE_POSTS", 2000)
    content = gather(scene)
    assert selected_posts(content, Selection()).attrs["sample"] == 1
    assert selection_csv(content, Selection()).note == ""
    monkeypatch.setattr(exports, "MOST_ROWS", 1000)
    table = selected_posts(content, Selection())
    assert table.attrs["sample"] == content.sample_step > 1
    assert len(table) == content.sample["v"].size
    for file in (selection_csv(content, Selection()), selection_gpkg(content, Selection())):
        assert f"holds {len(table):,} of them" in file.note
    with pytest.raises(InputError, match="no post is selected"):
        selected_posts(content, Selection().with_brush("map", Box(0, 0, 1, 1)))


def test_a_map_without_a_crs_gives_a_table_but_no_geopackage(scene: xr.Dataset) -> None:
    content = gather(scene.drop_vars("spatial_ref"))
    assert len(selection_csv(content, Selection()).data.getvalue()) > 100_000
    with pytest.raises(GridError, match="take the CSV"):
        selection_gpkg(content, Selection())


@pytest.mark.parametrize("layer", ["v", "vx", "flag"])
def test_the_picture_shows_layer_and_selection(scene: xr.Dataset, layer: str) -> None:
    view = Explorer(scene, dem=elevation_model(), outlines=outlines_table())
    view.layer = layer
    plain = np.asarray(Image.open(view_png(view).data).convert("RGB"), dtype=float)
    view.brush("map", Box(480_500, 3_095_000, 482_000, 3_098_000))
    veiled = np.asarray(Image.open(view_png(view).data).convert("RGB"), dtype=float)
    assert veiled.mean() > plain.mean() + 5  # white lies over what is not selected


# ---- the overview


def test_the_overview_mixes_coordinate_systems(scene: xr.Dataset, tmp_path: Path) -> None:
    import rioxarray  # noqa: F401

    elevation_model().rio.to_raster(tmp_path / "dem.tif")
    (tmp_path / "catalog.yaml").write_text(
        """
meta: {name: test, version: "1", hydromt_version: ">=1.0a,<2"}
dem:
  data_type: RasterDataset
  uri: dem.tif
  driver: {name: rasterio}
  metadata: {title: Elevation}
absent:
  data_type: RasterDataset
  uri: absent.tif
  driver: {name: rasterio}
  metadata: {title: Nowhere}
"""
    )
    content = gather(
        scene, outlines=outlines_table(), catalog=tmp_path / "catalog.yaml",
        stations=tmp_path / "absent.gpkg",
    )  # fmt: skip
    found, notes = gathered(content)
    (edge, _), (entry, name) = found["this map"][0], found["catalogue entries"][0]
    assert name == "dem"
    np.testing.assert_allclose(edge.mean(axis=0), (86.833, 27.999), atol=0.01)
    np.testing.assert_allclose(entry, edge, atol=1e-6)
    assert found["glacier outlines"]
    assert any("absent" in note for note in notes)
    assert any("stations are left out" in note for note in notes)
    element, legend, _ = overview_map(content)
    assert element is not None
    assert "catalogue entries" in legend
    lost = gather(scene.drop_vars("spatial_ref"))
    element, legend, notes = overview_map(lost)
    assert element is None
    assert any("no CRS" in note for note in notes)
