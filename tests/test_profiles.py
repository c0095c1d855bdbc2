"""Profiles against fields whose value at every point is known."""

from __future__ import annotations

import warnings

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.conventions import Flag, describe
from glaciertoolkit.errors import (
    FileError,
    GridError,
    InputError,
    MissingVariableError,
    ParameterError,
)
from glaciertoolkit.profiles import profile
from glaciertoolkit.provenance import history

UTM = "EPSG:32645"
X0, Y0 = 470_000.0, 3_100_000.0
STEP, NY, NX = 50.0, 60, 80


def scene(*, up=False, crs=UTM, waves=True):
    """Velocities that vary smoothly, a flag and a mask, on 60 x 80 posts."""
    y, x = Y0 - STEP * np.arange(NY), X0 + STEP * np.arange(NX)
    y = y[::-1] if up else y
    east, north = np.meshgrid(x - X0, y - Y0)
    k = 1 if waves else 0
    vx = 20 + 0.01 * east + 5 * k * np.sin(north / 400)
    vy = -10 + 0.005 * north + 3 * k * np.cos(east / 300)
    fields = {"vx": vx, "vy": vy, "v": np.hypot(vx, vy), "v_error": 1 + 0 * vx}
    ds = xr.Dataset(
        {name: (("y", "x"), values.astype("float32")) for name, values in fields.items()},
        coords={"y": y, "x": x, "reference_time": np.datetime64("2019-09-03", "ns")},
    )
    ds["flag"] = (("y", "x"), (east > 1010).astype("uint32") * np.uint32(Flag.FILLED))
    ds["stable"] = (("y", "x"), north < -1010)
    ds["template_size"] = (("y", "x"), np.full(vx.shape, 64, "uint16"))
    ds = describe(ds)
    return ds.rio.write_crs(crs) if crs else ds


def at(*points):
    """Vertices in metres from the first post."""
    return [(X0 + px, Y0 + py) for px, py in points]


LINE = at((120, -80), (1830, -900), (3300, -2610))


@pytest.mark.parametrize("up", [False, True])
def test_values_are_those_of_xarray(up):
    ds = scene(up=up)
    got = profile(ds, LINE)
    for name in ("vx", "vy", "v"):
        exact = ds[name].interp(x=got.x, y=got.y)
        np.testing.assert_allclose(got[name], exact, atol=1e-4)
        assert got[name].dtype == np.float32
    length = shapely.LineString(LINE).length
    assert float(got.distance[0]) == 0
    assert float(got.distance[-1]) == pytest.approx(length)
    steps = np.diff(got.distance)
    np.testing.assert_allclose(steps, steps[0])
    assert 0.95 * STEP < steps[0] <= STEP
    assert (float(got.x[0]), float(got.y[0])) == LINE[0]
    assert (float(got.x[-1]), float(got.y[-1])) == LINE[-1]


def test_names_units_and_history():
    got = profile(scene(), LINE)
    assert got.distance.attrs["units"] == "m"
    assert got.vx.attrs["units"] == got.v_along.attrs["units"] == "m yr-1"
    assert "grid_mapping" not in got.vx.attrs
    assert got.rio.crs.to_epsg() == 32645
    assert got.reference_time == np.datetime64("2019-09-03")
    assert history(got)[-1]["step"] == "profile"


def test_flags_and_masks_are_those_of_the_nearest_post():
    ds = scene()
    got = profile(ds, LINE)
    for name in ("flag", "stable"):
        nearest = ds[name].sel(x=got.x, y=got.y, method="nearest")
        np.testing.assert_array_equal(got[name], nearest)
        assert got[name].dtype == ds[name].dtype
    assert set(np.unique(got.template_size)) == {64}


@pytest.mark.parametrize(("end", "along", "across"), [
    ((1000, 0), 3.0, 4.0), ((-1000, 0), -3.0, -4.0), ((0, 1000), 4.0, -3.0), ((600, 800), 5.0, 0.0),
])  # fmt: skip
def test_along_is_towards_the_end_and_across_to_the_left(end, along, across):
    ds = scene()
    ds["vx"], ds["vy"] = xr.full_like(ds.vx, 3.0), xr.full_like(ds.vy, 4.0)
    got = profile(ds, at((1500, -1500), (1500 + end[0], -1500 + end[1])))
    np.testing.assert_allclose(got.v_along, along, atol=1e-5)
    np.testing.assert_allclose(got.v_across, across, atol=1e-5)


def test_errors_of_the_components_turn_with_the_line():
    ds = scene()
    ds["vx_error"], ds["vy_error"] = xr.full_like(ds.vx, 3.0), xr.full_like(ds.vx, 1.0)
    east = profile(ds, at((500, -1500), (2500, -1500)))
    np.testing.assert_allclose(east.v_along_error, 3, rtol=1e-6)
    np.testing.assert_allclose(east.v_across_error, 1, rtol=1e-6)
    slant = profile(ds, at((500, -2500), (2000, -500)))  # 3 to the east, 4 to the north
    np.testing.assert_allclose(slant.v_along_error, np.hypot(0.6 * 3, 0.8 * 1), rtol=1e-6)
    np.testing.assert_allclose(slant.v_across_error, np.hypot(0.8 * 3, 0.6 * 1), rtol=1e-6)
    assert slant.v_along_error.attrs["units"] == "m yr-1"


coordinate = st.tuples(st.integers(100, 3800), st.integers(-2800, -100))


@settings(max_examples=30, deadline=None)
@given(points=st.lists(coordinate, min_size=2, max_size=5, unique=True), width=st.booleans())
def test_the_other_way_round(points, width):
    ds = scene()
    options = {"width": 130.0 if width else None, "variables": ["vx", "vy", "v"]}
    there, back = (profile(ds, at(*p), **options) for p in (points, points[::-1]))
    assert there.sizes == back.sizes
    for name, sign in (("v", 1), ("vx", 1), ("x", 1), ("v_along", -1), ("v_across", -1)):
        np.testing.assert_allclose(there[name], sign * back[name][::-1], atol=2e-3, err_msg=name)
    speed = np.hypot(there.v_along, there.v_across)
    np.testing.assert_allclose(speed, np.hypot(there.vx, there.vy), rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(dx=st.integers(-4000, 4000), dy=st.integers(-4000, 4000))
def test_moving_everything_changes_nothing(dx, dy):
    ds, line = scene(), np.array(LINE)
    shift = np.array([8.0 * dx, 8.0 * dy])
    moved = profile(ds.assign_coords(x=ds.x + shift[0], y=ds.y + shift[1]), line + shift)
    np.testing.assert_allclose(moved.v, profile(ds, line).v, rtol=1e-5)


def test_a_band_is_the_mean_across():
    """Straight across a parabola the mean of a band is known; along a plane it is the line's."""
    ds = scene(waves=False)
    north = (ds.y - Y0 + 1500).astype("float32")
    ds["v"] = (north**2 + 0 * ds.vx).transpose("y", "x")
    line = at((500, -1500), (3000, -1500))
    got = profile(ds, line, width=400.0)
    across = np.linspace(-200, 200, 9)
    np.testing.assert_allclose(got.v, np.mean(across**2), rtol=1e-5)
    assert float(abs(profile(ds, line).v).max()) < 1e-6
    np.testing.assert_allclose(got.vx, profile(ds, line).vx, atol=1e-4)
    ds["v"][:28] = np.nan
    half = profile(ds, line, width=400.0)
    assert bool(np.isfinite(half.v).all())


def test_a_missing_post_never_enters_a_value():
    ds = scene(waves=False)
    ds["v"] = xr.full_like(ds.v, 7.0)
    ds["v"][20:30, 30:50] = np.nan
    got = profile(ds, at((100, -1260), (3900, -1210)), spacing=10)
    nearest = ds.v.sel(x=got.x, y=got.y, method="nearest")
    np.testing.assert_array_equal(np.isnan(got.v), np.isnan(nearest))
    assert 60 < int(np.isnan(got.v).sum()) < got.sizes["distance"]
    np.testing.assert_allclose(got.v.where(np.isfinite(got.v), 7.0), 7.0)


def test_beyond_the_map():
    ds = scene()
    ds["stable"][:] = True
    got = profile(ds, at((-500, -1000), (5000, -1000)))
    outside = (got.x < X0) | (got.x > X0 + STEP * (NX - 1))
    assert 0 < int(outside.sum()) < got.sizes["distance"]
    for name in ("v", "v_along", "template_size"):
        np.testing.assert_array_equal(np.isnan(got[name]), outside)
    np.testing.assert_array_equal(got.stable, ~outside)
    np.testing.assert_array_equal(got.flag.where(outside, Flag.NODATA) == Flag.NODATA, True)
    assert not bool((got.flag.where(~outside, 0) == Flag.NODATA).any())
    # The outermost posts themselves belong to the map.
    edge = profile(ds, at((0, 0), (STEP * (NX - 1), 0)))
    assert bool(np.isfinite(edge.v).all())


def test_lines_of_all_kinds(tmp_path):
    ds = scene()
    straight = at((200, -200), (3500, -2500))
    line = shapely.LineString(straight)
    table = gpd.GeoDataFrame({"id": [1]}, geometry=[line], crs=UTM)
    table.to_crs(4326).to_file(tmp_path / "line.gpkg")
    expected = profile(ds, straight)
    pieces = shapely.MultiLineString(
        [at((200, -200), (1850, -1350)), at((1850, -1350), (3500, -2500))]
    )
    for other in (
        line, np.array(straight), table, table.geometry, table.to_crs(4326),
        tmp_path / "line.gpkg", shapely.LineString([(px, py, 5.0) for px, py in straight]), pieces,
        [straight[0], straight[0], straight[1]],
    ):  # fmt: skip
        got = profile(ds, other)
        # A straight line in degrees is not quite straight on the map.
        np.testing.assert_allclose(got.x, expected.x, atol=0.2)
        np.testing.assert_allclose(got.v, expected.v, atol=0.01)


def test_a_long_line_in_degrees_follows_the_parallel():
    ds = scene()
    to_map = pyproj.Transformer.from_crs(4326, UTM, always_xy=True)
    lon, lat = to_map.transform(X0 + 1000, Y0 - 1500, direction="INVERSE")
    line = gpd.GeoSeries([shapely.LineString([(lon - 1, lat), (lon + 1, lat)])], crs=4326)
    got = profile(ds, line, variables="v")
    _, there = to_map.transform(got.x, got.y, direction="INVERSE")
    # 1 km chords stay within 2 cm of the parallel; one chord would be 460 m off.
    np.testing.assert_allclose(there, lat, atol=1e-6)


def test_only_what_lies_under_the_line_is_computed():
    import dask.array as da

    ds = scene()

    def guard(block, block_info=None):
        (top, _), _ = block_info[0]["array-location"]
        assert top < 30, "computed a chunk that the line does not touch"
        return block

    lazy = da.from_array(ds.v.values, chunks=(10, 10)).map_blocks(
        guard, dtype="float32", meta=np.empty((0, 0), "float32")
    )
    got = profile(ds.assign(v=(("y", "x"), lazy)), LINE[:2])
    np.testing.assert_array_equal(got.v, profile(ds, LINE[:2]).v)


def test_elevation_and_slope_come_from_the_dem_around_the_line():
    ds = scene()
    x, y = np.arange(-1000, 6000, 30.0), np.arange(1000, -5000, -30.0)
    z = 5000 + 0.3 * x[None, :] + 0.4 * y[:, None]
    dem = xr.DataArray(
        z.astype("float32"), coords={"y": Y0 + y, "x": X0 + x}, dims=("y", "x"), name="z"
    ).rio.write_crs(UTM)
    got = profile(ds, LINE, dem=dem)
    np.testing.assert_allclose(
        got.elevation, 5000 + 0.3 * (got.x - X0) + 0.4 * (got.y - Y0), atol=0.05
    )
    np.testing.assert_allclose(got.slope, np.degrees(np.arctan(0.5)), atol=0.05)
    assert got.elevation.attrs["units"] == "m"
    short = profile(ds, at((0, 0), (1, 0)), dem=dem, variables="v")
    assert bool(np.isfinite(short.elevation).all())
    # A DEM under part of the line: no value elsewhere, and no warning.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = profile(ds, LINE, dem=dem.isel(x=slice(0, 60)))
    assert 0 < float(np.isfinite(part.elevation).mean()) < 0.5


def test_the_pieces_of_a_line_do_not_show(monkeypatch):
    from glaciertoolkit import profiles

    rng = np.random.default_rng(0)
    ds = scene()
    x, y = X0 + np.arange(-1000, 3000, 40.0), Y0 + np.arange(1000, -5000, -40.0)
    z = 4000 + 100 * rng.normal(size=(y.size, x.size))
    dem = xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x")).rio.write_crs(UTM)
    whole = profile(ds, LINE, dem=dem)
    monkeypatch.setattr(profiles, "PIECE", 9)
    pieces = profile(ds, LINE, dem=dem)
    for name in ("elevation", "slope"):
        np.testing.assert_allclose(pieces[name], whole[name], atol=0.01)
    assert 0.5 < float(np.isfinite(pieces.elevation).mean()) < 1
    with pytest.raises(GridError, match="does not overlap"):
        profile(ds, LINE, dem=dem.assign_coords(x=dem.x + 1e5))


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (at((9000, 0), (9500, 0)), GridError, r"outside the map: it covers x 479000 to 479500"),
        (at((100, -100)), InputError, "two distinct vertices"),
        (at((100, -100), (100, -100)), InputError, "two distinct vertices"),
        (at((100, -100), (np.nan, -100)), InputError, "not a finite number"),
        ([1, 2, 3], InputError, "got list"),
        ("none.gpkg", FileError, r"line cannot be read.*none.gpkg"),
        (shapely.box(0, 0, 1, 1), InputError, "is a Polygon"),
        (
            shapely.MultiLineString([at((0, 0), (9, 9)), at((50, 0), (99, 9))]),
            InputError,
            "is a MultiLineString",
        ),
        (gpd.GeoSeries([shapely.LineString(LINE)] * 2, crs=UTM), InputError, "holds 2; choose"),
        (gpd.GeoSeries([], crs=UTM), InputError, "holds 0"),
        (gpd.GeoSeries([shapely.LineString(LINE)]), GridError, "no CRS is known for the line"),
    ],
)
def test_what_is_no_line(line, error, words):
    with pytest.raises(error, match=words):
        profile(scene(), line)


def test_parameters_and_variables_that_do_not_fit():
    ds = scene()
    for name in ("spacing", "width"):
        for value in (0, -5, np.nan, np.inf):
            with pytest.raises(ParameterError, match=f"{name} must be positive metres"):
                profile(ds, LINE, **{name: value})
    with pytest.raises(MissingVariableError, match="lacks vz"):
        profile(ds, LINE, variables=["v", "vz"])
    with pytest.raises(InputError, match="variables with the dimensions"):
        profile(xr.Dataset(coords=ds.coords), LINE)
    assert set(profile(ds, LINE, variables="v").data_vars) == {"v"}
