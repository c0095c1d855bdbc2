"""Rasters and polygons onto the posts, against planes and rectangles whose values are known."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from glaciertoolkit import grids
from glaciertoolkit.errors import (
    FileError,
    GlacierToolkitWarning,
    GridError,
    InputError,
    ParameterError,
)

UTM = "EPSG:32645"
X0, Y0 = 470_000.0, 3_100_000.0


def posts(step=100.0, ny=20, nx=30, *, x0=X0, y0=Y0, crs=UTM, up=False):
    """A grid of posts whose first one is at (x0, y0)."""
    y = y0 - step * np.arange(ny)
    x = x0 + step * np.arange(nx)
    grid = xr.Dataset(coords={"y": y[::-1] if up else y, "x": x})
    return grid.rio.write_crs(crs) if crs else grid


def plane(x, y):
    return 0.3 * (x - X0) - 0.2 * (y - Y0) + 4000.0


def dem(step=50.0, margin=1000.0, *, crs=UTM, up=False, size=5000.0):
    """A tilted plane around the posts."""
    x = np.arange(X0 - margin, X0 + size, step)
    y = np.arange(Y0 + margin, Y0 - size, -step)
    y = y[::-1] if up else y
    z = plane(x[None, :], y[:, None]).astype("float32")
    out = xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x"), name="elevation")
    return out.rio.write_crs(crs) if crs else out


def write(path: Path, data: np.ndarray, *, left, top, step, crs=UTM, **profile) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=data.shape[-2], width=data.shape[-1],
        count=1 if data.ndim == 2 else data.shape[0], dtype=data.dtype, crs=crs,
        transform=from_origin(left, top, step, step), **profile,
    ) as file:  # fmt: skip
        file.write(data if data.ndim == 3 else data[None])
    return path


# --- the posts ---


def test_spacing_transform_and_bounds_follow_the_coordinates():
    for up in (False, True):
        grid = posts(step=40, ny=5, nx=7, up=up)
        assert grids.grid_spacing(grid) == (40, 40)
        assert grids.post_bounds(grid) == (X0 - 20, Y0 - 180, X0 + 260, Y0 + 20)
        x, y = grids.posts.apply_transform(grids.post_transform(grid), 0.5, 0.5)
        assert (x, y) == (grid.x[0], grid.y[0])


@pytest.mark.parametrize(
    ("coords", "words"),
    [
        ({"y": [0.0, 1.0, 3.0], "x": [0.0, 1.0]}, "not evenly spaced along y"),
        ({"y": [0.0, 0.0], "x": [0.0, 1.0]}, "not evenly spaced along y"),
        ({"y": [0.0], "x": [0.0, 1.0]}, "two posts or more along y"),
        ({"x": [0.0, 1.0]}, "no coordinate 'y'"),
    ],
)
def test_a_grid_that_is_no_grid_says_so(coords, words):
    with pytest.raises(GridError, match=words):
        grids.grid_spacing(xr.Dataset(coords=coords))


def test_degrees_are_not_metres():
    grid = posts(step=0.001, x0=86.0, y0=28.0, crs="EPSG:4326")
    with pytest.raises(GridError, match=r"degrees.*reproject"):
        grids.grid_spacing(grid)


def test_distance_is_in_metres_and_infinite_from_nothing():
    grid = xr.Dataset(coords={"y": [0.0, -30.0, -60.0], "x": [0.0, 10.0]})
    mask = xr.DataArray(np.zeros((3, 2), bool), coords=grid.coords, dims=("y", "x"))
    assert np.isinf(grids.distance_to(mask)).all()
    mask[0, 0] = True
    np.testing.assert_allclose(grids.distance_to(mask)[2], [60, np.hypot(60, 10)], rtol=1e-6)


# --- rasters ---


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average", None])
@pytest.mark.parametrize("step", [20.0, 50.0, 150.0])
@pytest.mark.parametrize(("up", "dem_up"), [(False, False), (True, False), (False, True)])
def test_a_plane_stays_a_plane(method, step, up, dem_up):
    like = posts(step=step, up=up)
    got = grids.match_raster(dem(up=dem_up), like, method=method)
    truth = plane(like.x.values[None, :], like.y.values[:, None])
    # Within a pixel GDAL's average takes the source as constant.
    tolerance = 10.0 if method == "average" and step < 50 else 0.01
    np.testing.assert_allclose(got, truth, atol=tolerance)
    assert got.dtype == np.float32
    assert got.attrs["units"] == "m"
    assert got.rio.crs == rasterio.crs.CRS.from_string(UTM)
    assert got.x.identical(grids.on_posts(got.values, like, name=None).x)


def test_default_method_follows_the_spacing():
    assert grids.match_raster(dem(step=50), posts(step=100)).attrs["resampling"] == "average"
    assert grids.match_raster(dem(step=50), posts(step=70)).attrs["resampling"] == "bilinear"
    assert grids.match_raster(dem(step=50), posts(step=20)).attrs["resampling"] == "bilinear"


def test_average_is_the_mean_over_the_cell():
    rng = np.random.default_rng(1)
    fine = dem(step=10)
    fine = fine.copy(data=rng.normal(size=fine.shape).astype("float32"))
    like = posts(step=100, x0=X0 + 45, y0=Y0 - 45, ny=4, nx=4)
    cell = fine.sel(y=slice(Y0, Y0 - 90), x=slice(X0 + 100, X0 + 190))
    assert cell.shape == (10, 10)
    assert float(grids.match_raster(fine, like)[0, 1]) == pytest.approx(
        float(cell.mean()), abs=1e-5
    )


def test_another_crs_lands_on_the_right_place():
    """A field given by a formula in longitude and latitude, on posts in a turned projection."""
    lon, lat = np.arange(86.5, 87.2, 0.001), np.arange(28.3, 27.7, -0.001)
    field = 1000 * np.sin(lon[None, :] * 60) * np.cos(lat[:, None] * 50)
    source = xr.DataArray(
        field.astype("float32"), coords={"lat": lat, "lon": lon}, dims=("lat", "lon")
    )
    for crs in (UTM, "ESRI:102027"):
        mover = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
        x0, y0 = mover.transform(86.85, 28.05, direction="INVERSE")
        like = posts(step=90.0, x0=x0, y0=y0, crs=crs)
        plon, plat = mover.transform(*np.meshgrid(like.x.values, like.y.values))
        exact = source.interp(lon=(("y", "x"), plon), lat=(("y", "x"), plat))
        got = grids.match_raster(source, like, method="bilinear")
        # 0.2 of a field whose slope is 60 per pixel: 0.3 % of a pixel.
        np.testing.assert_allclose(got, exact, atol=0.2)


def test_missing_pixels_never_enter_a_value():
    hole = dem().copy()
    hole[30:45, 40:60] = np.nan
    full = dem()
    for method in ("nearest", "bilinear", "cubic", "average"):
        for step in (20.0, 130.0):
            like = posts(step=step, ny=int(2400 / step), nx=int(3500 / step))
            got = grids.match_raster(hole, like, method=method)
            nearest = hole.sel(y=like.y, x=like.x, method="nearest")
            if method != "average":
                np.testing.assert_array_equal(np.isnan(got.values), np.isnan(nearest.values))
            whole = grids.match_raster(full, like, method=method)
            assert float(abs(got - whole).max()) < 0.5 * (0.3 + 0.2) * max(step, 50)
            assert 0 < int(np.isnan(got).sum()) < got.size / 2


@pytest.mark.parametrize("nodata", [-9999.0, 0.0])
def test_nodata_of_a_file_and_of_an_array(tmp_path, nodata):
    like = posts()
    z = dem().values.copy()
    z[30:45, 40:60] = nodata
    path = write(tmp_path / "dem.tif", z, left=X0 - 1025, top=Y0 + 1025, step=50, nodata=nodata)
    from_file = grids.match_raster(path, like, name="elevation")
    marked = dem().copy(data=z).rio.write_nodata(nodata)
    from_array = grids.match_raster(marked, like)
    xr.testing.assert_equal(from_file, from_array)
    truth = plane(like.x.values[None, :], like.y.values[:, None])
    assert np.isnan(from_file).any()
    assert float(abs(from_file - truth).max()) < 20


def test_scale_offset_mask_and_band_of_a_file(tmp_path):
    like = posts(step=50, ny=10, nx=10)
    data = np.stack([np.full((60, 60), 10), np.full((60, 60), 20)]).astype("int16")
    path = write(tmp_path / "t.tif", data, left=X0 - 525, top=Y0 + 525, step=50)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.1, 0.1), (273.0, 0.0)
        file.units = ("K", "K")
    first = grids.match_raster(path, like, name="t")
    np.testing.assert_allclose(first, 274.0, rtol=1e-6)
    assert first.attrs["units"] == "K"
    assert first.name == "t"
    np.testing.assert_allclose(grids.match_raster(path, like, band=2), 2.0, rtol=1e-6)
    with pytest.raises(ParameterError, match="no band 3"):
        grids.match_raster(path, like, band=3)


def test_only_the_part_over_the_posts_is_computed():
    """A lazy source whose far chunks raise when they are computed."""
    import dask.array as da

    near = dem(size=6000)
    lazy = da.from_array(near.values, chunks=(20, 20))

    def guard(block, block_info=None):
        (top, _), (left, _) = block_info[0]["array-location"]
        assert top < 90, "computed a chunk far below the posts"
        assert left < 90, "computed a chunk far right of the posts"
        return block

    guarded = near.copy(data=lazy.map_blocks(guard, dtype="float32", meta=np.empty((0, 0), "f4")))
    like = posts()
    xr.testing.assert_identical(grids.match_raster(guarded, like), grids.match_raster(near, like))


def test_tiles_do_not_show(monkeypatch):
    like, source = (
        posts(step=15.0, ny=60, nx=70, crs="EPSG:32646", x0=-116_000.0, y0=3_115_000.0),
        dem(),
    )
    whole = {
        m: grids.match_raster(source, like, method=m, min_coverage=0) for m in grids.match.METHODS
    }
    monkeypatch.setattr(grids.match, "WINDOW", 7)
    for method, expected in whole.items():
        got = grids.match_raster(source, like, method=method, min_coverage=0)
        np.testing.assert_allclose(got, expected, atol=0.01 if method != "nearest" else 0)


def test_longitudes_that_run_from_0_to_360():
    lon, lat = np.arange(0, 360, 0.5), np.arange(70, 30, -0.5)
    field = np.cos(np.radians(lon))[None, :] * np.ones((lat.size, 1))
    source = xr.DataArray(
        field, coords={"latitude": lat, "longitude": lon}, dims=("latitude", "longitude")
    )
    # Across Greenwich (both ends of the source), and in the west.
    for crs, x0 in (("EPSG:32631", 150_000.0), ("EPSG:32607", 400_000.0)):
        like = posts(step=5000.0, x0=x0, y0=5_000_000.0, crs=crs)
        x, _ = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(
            *np.meshgrid(like.x, like.y)
        )
        np.testing.assert_allclose(
            grids.match_raster(source, like), np.cos(np.radians(x)), atol=3e-3
        )


def test_little_coverage_warns_with_the_figure():
    source = dem().isel(x=slice(0, 30))
    with pytest.warns(GlacierToolkitWarning, match=r"only 17% of the posts"):
        got = grids.match_raster(source, posts())
    assert 0.1 < float(np.isfinite(got).mean()) < 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("error", GlacierToolkitWarning)
        grids.match_raster(source, posts(), min_coverage=0.1)


def test_neither_has_a_crs():
    like = posts(crs=None)
    got = grids.match_raster(dem(crs=None), like)
    assert "spatial_ref" not in got.coords
    np.testing.assert_allclose(got, plane(like.x.values[None], like.y.values[:, None]), atol=0.01)


@pytest.mark.parametrize(
    ("source", "like", "words"),
    [
        (lambda: dem(crs=None), posts, "raster elevation has no CRS but the grid has one"),
        (dem, lambda: posts(crs=None), "grid has no CRS but the raster elevation"),
        (
            dem,
            lambda: posts(x0=X0 + 1e5),
            r"does not overlap the grid: it covers x 468975 to 474975",
        ),
        (lambda: dem() * np.nan, posts, "no valid value at any post"),
        (lambda: dem().expand_dims(t=2), posts, r"dimensions \(y, x\).*choose one layer"),
        (lambda: dem().isel(x=[0, 1, 3, 50, 70]), posts, "not evenly spaced along x"),
    ],
)
def test_rasters_that_do_not_fit(source, like, words):
    with pytest.raises(GridError, match=words):
        grids.match_raster(source(), like())


def test_things_that_are_no_raster(tmp_path):
    text = tmp_path / "dem.txt"
    text.write_text("no raster")
    with pytest.raises(FileError, match=r"raster dem.txt cannot be read"):
        grids.match_raster(text, posts())
    with pytest.raises(FileError, match=r"raster none.tif cannot be read"):
        grids.match_raster(tmp_path / "none.tif", posts())
    local = write(tmp_path / "local.tif", np.ones((5, 5)), left=9, top=9, step=1, crs=None)
    with pytest.raises(GridError, match=r"raster local\.tif has no CRS but the grid has one"):
        grids.match_raster(local, posts())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        bare = tmp_path / "bare.tif"
        with rasterio.open(bare, "w", "GTiff", 5, 5, 1, dtype="uint8") as file:
            file.write(np.ones((1, 5, 5), "uint8"))
    with pytest.raises(GridError, match=r"raster bare\.tif has no georeference"):
        grids.match_raster(bare, posts())
    with pytest.raises(InputError, match="got int"):
        grids.match_raster(3, posts())
    with pytest.raises(InputError, match="one variable of the Dataset"):
        grids.match_raster(xr.Dataset({"a": dem(), "b": dem()}), posts())
    with pytest.raises(ParameterError, match="method must be one of"):
        grids.match_raster(dem(), posts(), method="linear")


def test_a_truncated_file_is_an_error(tmp_path):
    rng = np.random.default_rng(0)
    path = write(
        tmp_path / "dem.tif", rng.normal(size=(120, 120)).astype("float32"),
        left=X0 - 1025, top=Y0 + 1025, step=50,
    )  # fmt: skip
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(FileError, match=r"dem.tif (is damaged|cannot be read)"):
        grids.match_raster(path, posts())


@settings(max_examples=20, deadline=None)
@given(dx=st.integers(-3000, 3000), dy=st.integers(-3000, 3000))
def test_moving_everything_changes_nothing(dx, dy):
    source, like = dem(step=70), posts(step=110, ny=8, nx=9)
    source = source + np.sin(source.x / 300) * 50
    expected = grids.match_raster(source.rename("z"), like)
    moved = grids.match_raster(
        source.rename("z").assign_coords(x=source.x + 32.0 * dx, y=source.y + 32.0 * dy),
        like.assign_coords(x=like.x + 32.0 * dx, y=like.y + 32.0 * dy),
    )
    np.testing.assert_allclose(moved, expected, atol=2e-3)


# --- polygons ---


def outlines(*shapes, crs=UTM, **columns):
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def box(left, bottom, right, top):
    """A rectangle in metres from the first post."""
    return shapely.box(X0 + left, Y0 + bottom, X0 + right, Y0 + top)


@pytest.mark.parametrize("up", [False, True])
def test_posts_whose_centre_lies_inside(up):
    like = posts(up=up)
    shape = shapely.Polygon([(X0 + 250, Y0 - 130), (X0 + 2330, Y0 - 440), (X0 + 930, Y0 - 1770)])
    inside = grids.rasterize(outlines(shape), like)
    x, y = np.meshgrid(like.x, like.y)
    np.testing.assert_array_equal(inside, shapely.contains_xy(shape, x, y))
    assert inside.dtype == bool
    assert inside.any()


def test_polygons_grow_and_shrink_by_metres():
    like = posts(step=10, ny=60, nx=60)
    square = outlines(box(195, -405, 405, -195))
    count = {b: int(grids.rasterize(square, like, buffer=b).sum()) for b in (-50, 0, 50)}
    assert count[0] == 21 * 21
    assert count[-50] == 11 * 11
    assert 31 * 31 - 40 < count[50] < 31 * 31
    # Two halves of the same square: no seam opens.
    halves = outlines(box(195, -405, 300, -195), box(300, -405, 405, -195))
    assert int(grids.rasterize(halves, like, buffer=-50).sum()) == count[-50]
    assert int(grids.rasterize(square, like, buffer=-500).sum()) == 0


def test_a_polygon_outside_grows_into_the_grid():
    like = posts()
    outside = outlines(box(-300, -500, -100, -300))
    with pytest.raises(GridError, match="do not overlap"):
        grids.rasterize(outside, like)
    assert int(grids.rasterize(outside, like, buffer=120).sum()) == 3


def test_polygons_in_degrees_with_long_edges():
    """The parallel 28 N is a curve in UTM; two corners alone would miss it by 180 m."""
    like = posts(step=50, ny=60, nx=800, x0=480_000.0, y0=3_098_500.0)
    lower = outlines(shapely.box(80, 20, 95, 28.0), crs="EPSG:4326")
    inside = grids.rasterize(lower, like)
    _, lat = pyproj.Transformer.from_crs(UTM, 4326, always_xy=True).transform(
        *np.meshgrid(like.x, like.y)
    )
    np.testing.assert_array_equal(inside, lat < 28.0)
    assert 0.1 < float(inside.mean()) < 0.9


def test_a_polygon_around_the_world_covers_the_grid():
    world = outlines(shapely.box(-180, -90, 180, 90), crs="EPSG:4326")
    assert bool(grids.rasterize(world, posts()).all())


def test_index_of_polygons_and_who_wins():
    like = posts()
    table = outlines(
        box(-50, -250, 250, 50), box(1e6, 1e6, 2e6, 2e6), box(150, -450, 650, 50), crs=UTM
    ).set_index(np.array([7, 8, 9]))
    index = grids.burn_index(table, like)
    assert index.dtype == np.int32
    assert set(np.unique(index)) == {-1, 0, 2}
    # (200, -100) lies in both: the first row has it.
    assert int(index.sel(x=X0 + 200, y=Y0 - 100)) == 0
    assert int(index.sel(x=X0 + 300, y=Y0 - 100)) == 2
    assert int((index == 0).sum()) == 9


def test_outlines_come_whole_and_in_the_crs_of_the_grid(tmp_path):
    like = posts()
    table = outlines(
        box(2000, -500, 9000, -300), box(50_000, 0, 60_000, 9000), name=["near", "far"]
    ).to_crs(4326)
    table.to_file(tmp_path / "rgi.gpkg")
    for source in (tmp_path / "rgi.gpkg", str(tmp_path / "rgi.gpkg"), table):
        got = grids.read_outlines(source, like)
        assert list(got["name"]) == ["near"]
        assert got.crs == UTM
        assert got.area.iloc[0] == pytest.approx(7000 * 200, rel=1e-4)
    wide = grids.read_outlines(table, like, margin=60_000)
    assert list(wide["name"]) == ["near", "far"]


def test_broken_polygons_are_repaired():
    bow_tie = shapely.Polygon([(0, 0), (400, -400), (400, 0), (0, -400)])
    shape = shapely.transform(bow_tie, lambda p: p + np.array([X0 + 10, Y0 - 10]))
    mixed = shapely.GeometryCollection([box(1000, -300, 1200, -100), shapely.Point(X0, Y0)])
    inside = grids.rasterize(outlines(shape, mixed, None, shapely.Polygon()), posts())
    assert not bool(inside[0, 0])
    assert bool(inside.sel(x=X0 + 1100, y=Y0 - 200))
    assert bool(inside.sel(x=X0 + 100, y=Y0 - 200))


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (outlines(box(0, -500, 500, 0), crs=None), GridError, "no CRS is known for the polygons"),
        (outlines(), InputError, "hold no geometry"),
        (outlines(shapely.Polygon()), InputError, "hold no geometry"),
        (
            outlines(shapely.LineString([(X0, Y0), (X0 + 500, Y0 - 100)])),
            InputError,
            "must be polygons; they are LineString",
        ),
        (outlines(box(90_000, 0, 91_000, 100)), GridError, r"do not overlap the grid: they cover"),
        (outlines(shapely.box(7, 46, 8, 47), crs=4326), GridError, r"\(EPSG:4326\)"),
        (3, InputError, "got int"),
    ],
)
def test_polygons_that_do_not_fit(source, error, words):
    with pytest.raises(error, match=words):
        grids.rasterize(source, posts())


def test_the_grid_without_a_crs():
    with pytest.raises(GridError, match="no CRS is known for the grid"):
        grids.rasterize(outlines(box(0, -500, 500, 0)), posts(crs=None))
    inside = grids.rasterize(outlines(box(-50, -550, 550, 50), crs=None), posts(crs=None))
    assert int(inside.sum()) == 36


def test_files_that_are_no_outlines(tmp_path):
    like = posts()
    with pytest.raises(FileError, match=r"outlines cannot be read.*none.gpkg"):
        grids.read_outlines(tmp_path / "none.gpkg", like)
    (tmp_path / "a.gpkg").write_text("no")
    with pytest.raises(FileError, match="cannot be read"):
        grids.read_outlines(tmp_path / "a.gpkg", like)
    table = outlines(box(0, -500, 500, 0))
    table.to_file(tmp_path / "two.gpkg", layer="one")
    table.to_file(tmp_path / "two.gpkg", layer="two")
    with pytest.raises(InputError, match=r"2 layers with geometries \(one, two\)"):
        grids.read_outlines(tmp_path / "two.gpkg", like)
    assert len(grids.read_outlines(tmp_path / "two.gpkg", like, layer="two")) == 1
    far = outlines(box(90_000, 0, 91_000, 100))
    far.to_file(tmp_path / "far.gpkg")
    with pytest.raises(GridError, match=r"they cover x 560000 to 561000"):
        grids.read_outlines(tmp_path / "far.gpkg", like)
    assert grids.read_outlines(tmp_path / "far.gpkg", like, allow_empty=True).empty
