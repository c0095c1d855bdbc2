"""Plots: what is drawn, with which units, colours and limits; read from the rendered models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from geometries import radar_geometry
from hypothesis import given, settings
from hypothesis import strategies as st
from radar_scene import CRS, make_dem, offsets_of
from velocity_scene import elevation_model, outlines_table, velocity_scene

import glaciertoolkit as gt
from glaciertoolkit import maps, plots, styles
from glaciertoolkit.conventions import DOUBTFUL, RADAR_COORDINATES, Flag
from glaciertoolkit.errors import GridError, InputError, MissingVariableError, ParameterError
from glaciertoolkit.sar.geocoding import image_to_terrain
from glaciertoolkit.sar.heights import dem_grid

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


def rendered(element: Any) -> Any:
    import holoviews as hv

    return hv.render(element, backend="bokeh")


def label(figure: Any) -> tuple[str, str]:
    return figure.xaxis[0].axis_label, figure.yaxis[0].axis_label


def mapper(figure: Any) -> Any:
    from bokeh.models import ColorBar

    return figure.select_one(ColorBar).color_mapper


def test_a_map_has_kilometres_units_and_transparent_gaps(scene: xr.Dataset) -> None:
    figure = rendered(plots.velocity_map(scene, outlines=outlines_table()))
    assert label(figure) == ("easting (km)", "northing (km)")
    assert "/ 1000" in figure.xaxis[0].formatter.code
    assert figure.title.text == "speed (m yr⁻¹)"
    assert mapper(figure).nan_color in ((0, 0, 0, 0), "#00000000", "rgba(0, 0, 0, 0)")
    assert mapper(figure).low == 0
    glyphs = [r.glyph for r in figure.renderers]
    assert [type(g).__name__ for g in glyphs] == ["Image", "MultiLine"]
    lines = figure.renderers[1].data_source.data["xs"]
    assert len(lines) == 2  # the glacier and its hole
    width, height = figure.frame_width, figure.frame_height
    assert width / height == pytest.approx(149 / 119, rel=0.01)
    # posts of the map keep their axes, whatever lies beside them
    far = plots.velocity_map(scene, outlines=outlines_table().scale(3, 3))
    assert rendered(far).x_range.end < 490_000


def test_components_are_centred_on_zero_and_elevation_is_not(scene: xr.Dataset) -> None:
    found = mapper(rendered(plots.velocity_map(scene, "vx")))
    assert found.low == -found.high < 0
    assert found.palette[0] != found.palette[-1]
    middle = found.palette[len(found.palette) // 2].lstrip("#")
    red, green, blue = (int(middle[i : i + 2], 16) for i in (0, 2, 4))
    assert max(red, green, blue) - min(red, green, blue) < 12  # grey, not white: white is missing
    assert red < 235
    elevation = scene.assign(elevation=elevation_model().drop_vars("spatial_ref"))
    assert mapper(rendered(plots.velocity_map(elevation, "elevation"))).low > 4500


def test_given_limits_and_colours_are_used(scene: xr.Dataset) -> None:
    found = mapper(rendered(plots.velocity_map(scene, clim=(10, 20), cmap="magma")))
    assert (found.low, found.high) == (10, 20)
    with pytest.raises(ParameterError, match="20 to 10"):
        plots.velocity_map(scene, clim=(20, 10))


def test_a_missing_variable_is_named(scene: xr.Dataset) -> None:
    with pytest.raises(MissingVariableError, match=r"lacks v .*velocity\(\)"):
        plots.velocity_map(scene[["dx"]])
    with pytest.raises(MissingVariableError, match="flag"):
        plots.flag_map(scene[["v"]])


def test_large_maps_are_thinned_and_say_so(scene: xr.Dataset) -> None:
    figure = rendered(plots.velocity_map(scene, max_cells=2_000))
    sent = figure.renderers[0].data_source.data["image"][0]
    assert sent.size <= 2_000
    assert figure.title.text.endswith("one of 3 by 3 posts shown")
    assert set(sent[np.isfinite(sent)].tolist()) <= set(scene["v"].values.ravel().tolist())
    with pytest.raises(ParameterError, match="max_cells is 0"):
        styles.thin(scene["v"], 0)


@given(rows=st.integers(1, 70), columns=st.integers(1, 70), most=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_thinning_holds_its_bound_with_the_smallest_step(
    rows: int, columns: int, most: int
) -> None:
    field = xr.DataArray(np.zeros((rows, columns)), dims=("y", "x"))
    shown, step = styles.thin(field, most)
    assert 1 <= shown.size <= most
    finer = -(-rows // max(step - 1, 1)) * -(-columns // max(step - 1, 1))
    assert step == 1 or finer > most


def test_relief_lies_below_a_translucent_map(scene: xr.Dataset) -> None:
    shade = elevation_model() * 0 + 0.5
    figure = rendered(plots.velocity_map(scene, hillshade=shade))
    below, above = figure.renderers[:2]
    assert below.glyph.global_alpha == 1
    assert above.glyph.global_alpha < 1


def test_flag_classes_count_each_post_once(scene: xr.Dataset) -> None:
    classes = styles.flag_classes(scene)
    assert sum(classes.shares) == pytest.approx(1)
    assert classes.labels[0] == "measured"
    named = dict(zip(classes.labels, classes.shares, strict=True))
    flag = scene["flag"].values
    assert named["nodata"] == pytest.approx(((flag & Flag.NODATA) > 0).mean())
    # both bits of these posts are set; the lower one is the reason
    assert "small object" not in named
    assert named["outlier median"] == pytest.approx(((flag & Flag.OUTLIER_MEDIAN) > 0).mean())
    removed = (flag & ~np.uint32(int(DOUBTFUL))) != 0
    assert 1 - named["measured"] - named["extrapolated"] == pytest.approx(removed.mean())


def test_a_gap_without_a_reason_is_shown_as_such(scene: xr.Dataset) -> None:
    bare = scene.assign(flag=scene["flag"] * 0)
    classes = styles.flag_classes(bare)
    assert classes.labels == ["measured", "missing"]
    assert classes.shares[1] == pytest.approx(float(scene["v"].isnull().mean()))
    figure = rendered(plots.flag_map(bare))
    from bokeh.models import ColorBar

    words = figure.select_one(ColorBar).major_label_overrides
    assert words[1].startswith("missing ")
    assert all(flag in styles.FLAG_COLOURS for flag in Flag)
    colours = [*styles.FLAG_COLOURS.values(), styles.MEASURED_COLOUR, styles.UNEXPLAINED_COLOUR]
    assert len(set(colours)) == len(colours)


def test_a_histogram_compares_shares_of_stable_ground_and_ice(scene: xr.Dataset) -> None:
    element = plots.histogram(scene, "vx", limits=(-20.0, 150.0))
    shares = {h.label: h.dimension_values("share").sum() for h in element}
    assert shares["stable ground"] == pytest.approx(100, abs=0.5)
    assert shares["ice and other"] == pytest.approx(100, abs=1)
    assert label(rendered(element)) == ("velocity along x (m yr⁻¹)", "share of posts (%)")
    ice = scene.assign(ice=scene["v"] > 20)
    assert [h.label for h in plots.histogram(ice)] == ["stable ground", "glacier ice"]
    alone = plots.histogram(scene[["v"]], "v")
    assert [h.label for h in alone] == ["all posts"]
    with pytest.raises(InputError, match="no value"):
        plots.histogram(scene[["v"]] * np.nan)


def test_the_histogram_says_what_it_leaves_out(scene: xr.Dataset) -> None:
    values = scene["v"].values[np.isfinite(scene["v"].values)]
    outside = 100 * np.mean(values > 50)
    figure = rendered(plots.histogram(scene, limits=(0.0, 50.0)))
    assert f"{outside:.1f} %" in figure.title.text
    assert (figure.x_range.start, figure.x_range.end) == (0, 50)


def test_a_profile_has_a_band_of_one_error() -> None:
    values = np.array([1.0, 2, np.nan, 4, 5, 6])
    along = xr.Dataset(
        {"v": ("distance", values), "v_error": ("distance", 0.5 + 0 * values)},
        {"distance": 500.0 * np.arange(6)},
    )
    element = plots.profile_curve(along)
    band, curve = element
    assert curve.dimension_values("along")[-1] == 2.5  # km
    assert np.isnan(curve.dimension_values("v_along")[2])
    assert band.dimension_values("error")[0] == 0.5
    figure = rendered(element)
    assert label(figure) == ("distance along the line (km)", "speed (m yr⁻¹)")
    assert "± 1 sigma" in figure.title.text
    assert len(plots.profile_curve(along[["v"]])) == 1
    with pytest.raises(MissingVariableError, match="vx"):
        plots.profile_curve(along, "vx")


def test_residual_histograms_show_every_step() -> None:
    rng = np.random.default_rng(0)
    gap = np.r_[rng.normal(0, 0.2, 499), np.nan]
    steps = {
        "raw": (rng.normal(3, 1, 500), rng.normal(size=500)),
        "corrected": (rng.normal(0, 0.2, 500), gap),
    }
    layout = plots.residual_histograms(steps)
    assert len(layout) == 2
    for overlay, name in zip(layout, ("dx", "dy"), strict=True):
        assert [curve.label for curve in overlay] == ["raw", "corrected"]
        assert f"residual of {name}" in rendered(overlay).xaxis[0].axis_label
    with pytest.raises(InputError, match="no step"):
        plots.residual_histograms({})
    with pytest.raises(InputError, match="dy hold no finite value"):
        plots.residual_histograms({"raw": (np.ones(3), np.full(3, np.nan))})


def test_colours_and_units_come_from_the_vocabulary(scene: xr.Dataset) -> None:
    assert styles.style_of(scene["dx_topography"]).centred
    assert styles.style_of(scene["correlation"]).units == "1"
    assert styles.with_units("slope", "degree") == "slope (°)"
    assert styles.with_units("lapse", "degC km-1") == "lapse (°C km⁻¹)"
    assert [styles.pretty_units(u) for u in ("1", "m3 s-1", "%")] == ["", "m³ s⁻¹", "%"]
    unknown = xr.DataArray([1.0], name="ice_depth", attrs={"units": "m"})
    assert styles.style_of(unknown).label == "ice depth"
    assert styles.colour_limits(np.array([np.nan])) == (0, 1)
    assert styles.colour_limits(np.zeros(4), centred=True) == (-1, 1)
    assert styles.colour_limits(np.full(4, 7.0)) == (7, 14)


def test_importing_the_plots_imports_no_plotting_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, glaciertoolkit.plots, glaciertoolkit.report;"
        "print([m for m in ('holoviews', 'panel', 'bokeh', 'matplotlib') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_frame_of_a_map_keeps_the_shape_of_the_scene(scene: xr.Dataset) -> None:
    wide = maps.frame_size(scene["v"].isel(y=slice(0, 30)), 480)
    assert wide["frame_width"] == 480
    assert 120 <= wide["frame_height"] < 130  # never too thin to read


@pytest.fixture(scope="module")
def radar() -> xr.Dataset:
    """Located offsets of a small radar scene, in its own geometry."""
    size = {"lines": 600, "samples": 500}
    pair = radar_geometry(**size), radar_geometry(baseline=1000.0, **size)
    dem = make_dem()
    ds = offsets_of(*pair, dem)
    for axis, attrs in RADAR_COORDINATES.items():
        ds[axis].attrs = attrs
    return gt.locate(ds, dem=dem, geoid="ellipsoidal")


def hovering(figure: Any) -> list[str]:
    from bokeh.models import HoverTool

    return [name for name, _ in figure.select_one(HoverTool).tooltips]


def test_a_radar_scene_is_shown_over_slant_range_and_azimuth(radar: xr.Dataset) -> None:
    figure = rendered(plots.velocity_map(radar, "dx"))
    assert label(figure)[0] == "slant range (km)"
    assert label(figure)[1].startswith("azimuth")
    assert figure.title.text == "displacement along slant range (m)"
    assert hovering(figure) == ["slant range", "azimuth", "displacement along slant range"]
    # along flight is up, and a metre is as long on both axes
    assert figure.y_range.end > figure.y_range.start
    shape = np.ptp(radar["x"].values) / np.ptp(radar["y"].values)
    assert figure.frame_width / figure.frame_height == pytest.approx(shape, rel=0.01)
    flags = rendered(plots.velocity_map(radar, "flag"))
    assert label(flags)[0] == "slant range (km)"
    assert hovering(flags)[:2] == ["slant range", "azimuth"]


def test_a_map_keeps_its_words(scene: xr.Dataset) -> None:
    figure = rendered(plots.velocity_map(scene, "dx"))
    assert figure.title.text == "displacement along x (m)"
    assert hovering(figure) == ["easting", "northing", "displacement along x"]


def test_outlines_are_drawn_where_the_radar_sees_them(radar: xr.Dataset) -> None:
    import geopandas as gpd
    from pyproj import Transformer
    from shapely.geometry import Point

    to_map = Transformer.from_crs(4326, CRS, always_xy=True)
    middle = (float(radar[k].mean()) for k in ("longitude", "latitude"))
    circle = Point(to_map.transform(*middle)).buffer(400.0, quad_segs=16)
    table = gpd.GeoDataFrame(geometry=[circle], crs=CRS)
    figure = rendered(plots.velocity_map(radar, "dx", outlines=table.to_crs(4326)))
    lines = figure.renderers[1].data_source.data
    x, y = (np.asarray(lines[name][0]) for name in ("xs", "ys"))
    geometry = radar_geometry(lines=600, samples=500)
    terrain = dem_grid(make_dem(), geometry, geoid="ellipsoidal")
    lon, lat, height = image_to_terrain(geometry, *geometry.pixel_of(y, x), terrain)
    place = np.column_stack(to_map.transform(lon, lat))
    wanted = np.asarray(circle.exterior.coords)
    # posts are some 22 m apart, and the ground between them rises by some metres
    assert np.abs(place - wanted).max() < 15
    assert np.ptp(height) > 100  # one height for all would have been wrong


def test_outlines_need_the_place_of_the_posts(radar: xr.Dataset) -> None:
    lost = radar.drop_vars(["longitude", "latitude"])
    with pytest.raises(GridError, match="locate"):
        plots.velocity_map(lost, "dx", outlines=outlines_table())
    with pytest.raises(MissingVariableError, match=r"lacks height .*locate"):
        plots.velocity_map(radar.drop_vars("height"), "dx", outlines=outlines_table())
    # far from the scene there is nothing to draw
    assert maps.radar_rings(outlines_table().translate(0, 500_000), radar) == []
