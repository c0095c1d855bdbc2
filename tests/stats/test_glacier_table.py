"""The table of glaciers beyond its means: zones, noise, lazy maps, hostile outlines, files."""

from __future__ import annotations

import dask.array as da
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

import glaciertoolkit as gt
from glaciertoolkit.errors import FileError, GridError, InputError, ParameterError
from glaciertoolkit.grids import IcePosts, burn_index, read_outlines
from glaciertoolkit.stats.grouped import summarise
from glaciertoolkit.stats.rice import debiased, rice_mean

UTM = "EPSG:32645"
X0, Y0 = 470_000.0, 3_100_000.0


def box(left, bottom, right, top):
    return shapely.box(X0 + left, Y0 + bottom, X0 + right, Y0 + top)


def outlines(*shapes):
    names = [f"RGI60-15.{i:05d}" for i in range(len(shapes))]
    return gpd.GeoDataFrame({"RGIId": names}, geometry=list(shapes), crs=UTM)


def velocity(vx, vy=0.0, *, ny=60, nx=80, error=1.0, **attrs):
    grid = {"y": Y0 - 100.0 * np.arange(ny), "x": X0 + 100.0 * np.arange(nx)}
    vx, vy, error = (np.broadcast_to(np.asarray(f, "float32"), (ny, nx)) for f in (vx, vy, error))
    data = {
        "vx": vx, "vy": vy, "v": np.hypot(vx, vy), "v_error": error, "vx_error": error,
        "vy_error": error,
    }  # fmt: skip
    ds = xr.Dataset({k: (("y", "x"), v.copy()) for k, v in data.items()}, coords=grid, attrs=attrs)
    return ds.rio.write_crs(UTM)


def eastward_ramp():
    """Ground that rises to the east by one in four, from 4,000 m."""
    x, y = X0 - 2000 + 40 * np.arange(320), Y0 + 2000 - 40 * np.arange(260)
    z = 4000 + 0.25 * (x - X0) + 0 * y[:, None]
    return xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x")).rio.write_crs(UTM)


ONE, TWO = box(150, -2050, 2150, -50), box(3050, -2050, 7050, -50)


# --- zones ---


def test_zones_by_the_equilibrium_line_and_thirds():
    """Speed grows with x, and so does the elevation: the upper zone is the faster one."""
    ds = velocity(np.arange(80)[None, :])
    got = gt.glaciers(ds, outlines(ONE, TWO), dem=eastward_ramp(), zones="ela")
    assert got["rgi_id"].tolist() == ["RGI60-15.00000"] * 2 + ["RGI60-15.00001"] * 2
    assert got["zone"].tolist() == ["ablation", "accumulation"] * 2
    assert got["posts"].tolist() == [200, 200, 400, 400]
    np.testing.assert_allclose(got["v_median"], [6.5, 16.5, 40.5, 60.5])
    np.testing.assert_allclose(got["zone_area_km2"], [2, 2, 4, 4], rtol=2e-3)
    np.testing.assert_allclose(got["slope_deg"], np.degrees(np.arctan(0.25)), rtol=1e-4)
    np.testing.assert_allclose(got["aspect_deg"], 270)
    np.testing.assert_allclose(got["aspect_r"], 1)
    thirds = gt.glaciers(ds, outlines(ONE), dem=eastward_ramp(), zones="thirds")
    assert thirds["zone"].tolist() == ["lower", "middle", "upper"]
    assert thirds["posts"].sum() == 400
    assert thirds["v_median"].is_monotonic_increasing
    high = gt.glaciers(ds, outlines(ONE, TWO), dem=eastward_ramp(), zones="ela", ela=4540.0)
    assert high["posts"].tolist() == [400, 0, 0, 800]
    assert high["note"].tolist() == ["", "no post inside", "no post inside", ""]
    aar = gt.glaciers(ds, outlines(TWO), dem=eastward_ramp(), zones="ela", ela="aar", aar=0.7)
    assert aar["posts"].tolist() == [240, 560]


def test_zones_that_a_user_draws():
    ds = velocity(np.arange(80)[None, :])
    code = xr.DataArray(
        np.where(np.arange(80) < 12, 7, np.where(np.arange(80) < 40, 3, -1)) + 0 * ds.v.values,
        coords={"y": ds.y, "x": ds.x}, dims=("y", "x"),
        attrs={"flag_values": [3, 7], "flag_meanings": "debris clean"},
    )  # fmt: skip
    by_map = gt.glaciers(ds, outlines(ONE), zones=code)
    assert by_map["zone"].tolist() == ["debris", "clean"]
    assert by_map["posts"].tolist() == [200, 200]
    masks = {"clean": code == 7, "rest": code != 7}
    by_mask = gt.glaciers(ds, outlines(ONE), zones=masks)
    assert by_mask["posts"].tolist() == [200, 200]
    assert by_mask["v_median"].tolist() == by_map["v_median"].tolist()[::-1]
    with pytest.raises(GridError, match="other posts"):
        gt.glaciers(ds, outlines(ONE), zones=code.isel(x=slice(1, None)))
    with pytest.raises(ParameterError, match=r'"thirds".*needs the elevation'):
        gt.glaciers(ds, outlines(ONE), zones="thirds")
    with pytest.raises(ParameterError, match="zones must be"):
        gt.glaciers(ds, outlines(ONE), zones="halves")


# --- noise ---


def test_still_ice_is_not_significant_and_its_speed_is_debiased():
    rng = np.random.default_rng(3)
    s, false, means, left = 5.0, 0, [], []
    shapes = outlines(*[box(400 * i - 50, -1950, 400 * i + 350, 50) for i in range(20)])
    for _ in range(20):
        got = gt.glaciers(velocity(*rng.normal(0, s, (2, 60, 80)), error=s), shapes)
        false += got["significant"].sum()
        means.append(got["v_mean"].mean())
        left.append(got["v_debiased"].mean())
    # One-sided, two standard deviations: 2.3 %.
    assert 1 <= false <= 20
    assert np.mean(means) == pytest.approx(1.2533 * s, rel=0.01)
    assert np.mean(left) < 0.35 * np.mean(means)
    moving = gt.glaciers(
        velocity(8 + rng.normal(0, s, (60, 80)), rng.normal(0, s, (60, 80)), error=s), shapes
    )
    assert moving["significant"].all()
    assert moving["v_debiased"].mean() == pytest.approx(8, rel=0.05)
    assert moving["v_mean"].mean() > 9.3
    assert moving["significant_share"].between(0.2, 0.6).all()
    unknown = velocity(3.0).drop_vars(["v_error", "vx_error", "vy_error"])
    row = gt.glaciers(unknown, shapes).iloc[0]
    assert np.isnan(row["v_debiased"])
    assert not row["significant"]


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 50), st.floats(0.1, 10))
def test_debiasing_inverts_the_rice_mean(speed, sigma):
    assert float(debiased(rice_mean(speed, sigma), sigma)) == pytest.approx(speed, abs=0.02 * sigma)


def test_the_rice_mean_is_that_of_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2, (2, 400_000))
    for speed in (0.0, 1.0, 3.0, 20.0):
        simulated = np.hypot(speed + noise[0], noise[1]).mean()
        assert float(rice_mean(speed, 2.0)) == pytest.approx(simulated, rel=4e-3)


def test_the_limits_of_the_area_classes():
    got = gt.glaciers(velocity(1.0), outlines(ONE, TWO), area_limits=(5, 6))
    assert got["area_class"].tolist() == ["small", "large"]
    with pytest.raises(ParameterError, match="area_limits"):
        gt.glaciers(velocity(1.0), outlines(ONE), area_limits=(10, 1))


# --- lazy maps ---


@pytest.mark.parametrize("chunks", [(60, 80), (7, 80), (60, 9), (13, 17)])
def test_lazy_is_eager_bit_for_bit(chunks):
    rng = np.random.default_rng(4)
    ds = velocity(*rng.normal(0, 20, (2, 60, 80)), template=[64, 64], pixel=[10.0, 10.0])
    ds["v"][3:30, 20:40] = np.nan
    shapes = outlines(ONE, TWO, box(150, -5000, 5000, -2500))
    lazy = ds.chunk({"y": chunks[0], "x": chunks[1]})
    for options in ({}, {"zones": "thirds", "dem": eastward_ramp()}):
        pd.testing.assert_frame_equal(
            gt.glaciers(lazy, shapes, **options),
            gt.glaciers(ds, shapes, **options),
            check_exact=True,
        )


def test_chunks_off_the_ice_are_not_computed():
    ds = velocity(1.0)
    seen = []

    def look(block, block_info=None):
        if block_info:
            seen.append(tuple(block_info[0]["chunk-location"]))
        return block

    v = da.from_array(ds.v.values, chunks=(20, 20)).map_blocks(look, dtype="float32")
    seen.clear()  # what dask asked to learn the type
    gt.glaciers(ds.assign(v=(("y", "x"), v)), outlines(ONE))
    assert sorted(seen) == [(0, 0), (0, 1), (1, 0), (1, 1)]


# --- the posts on ice ---


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 90.0, 210.0, 350.0]))
def test_the_inner_ice_is_that_of_a_distance_transform(seed, distance):
    rng = np.random.default_rng(seed)
    ice = rng.random((30, 40)) < rng.choice([0.5, 0.9, 0.98])
    starts = np.concatenate([[0], np.cumsum(ice.sum(axis=1))])
    column = np.nonzero(ice)[1].astype(np.int32)
    posts = IcePosts(ice.shape, (100.0, 60.0), starts, column, np.zeros(column.size, np.int32))
    far = posts.unravel(posts.far_from_margin(distance), fill=False)
    if ice.all():
        assert far.all()
        return
    exact = distance_transform_edt(ice, sampling=(100.0, 60.0)) - 40 >= distance - 1e-6
    np.testing.assert_array_equal(far, ice & exact)


def test_the_posts_are_those_of_the_burned_index():
    ds = velocity(1.0)
    rng = np.random.default_rng(7)
    shapes = outlines(*[
        shapely.Point(X0 + x, Y0 - y).buffer(r)
        for x, y, r in zip(*rng.uniform(0, 6000, (2, 60)), rng.uniform(50, 900, 60), strict=True)
    ])  # fmt: skip
    table = read_outlines(shapes, ds)
    ice = IcePosts.of(table, ds)
    np.testing.assert_array_equal(ice.unravel(ice.glacier, fill=-1), burn_index(table, ds).values)
    np.testing.assert_array_equal(ice.take({"v": ds.v})["v"], ds.v.values[ice.row(), ice.column])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 1000]))
def test_quantiles_are_those_of_numpy(seed, distinct):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, distinct, 300).astype("float32") * 1.7
    values[rng.random(300) < 0.1] = np.nan
    labels = rng.integers(-1, 4, 300)
    found = summarise(values, labels, 4, quantiles=(0.99, 0.0, 1.0, 0.37))
    for group in range(4):
        inside = values[(labels == group) & np.isfinite(values)].astype(float)
        for q in (0.99, 0.0, 1.0, 0.37):
            expected = np.quantile(inside, q) if inside.size else np.nan
            np.testing.assert_allclose(found[f"q{q:g}"][group], expected, rtol=1e-12)


# --- hostile outlines ---


def test_hostile_outlines():
    """Invalid, empty, overlapping, a single post, no speed at all, and in another CRS."""
    bow = shapely.Polygon(
        [(X0 + x, Y0 + y) for x, y in ((50, -50), (950, -950), (950, -50), (50, -950))]
    )
    shapes = [
        bow, shapely.Polygon(), ONE, box(1050, -1050, 2950, -250), box(4960, -4040, 5040, -3960),
        box(6050, -5950, 7950, -4050), None, box(6050, -3950, 6051, -3949),
    ]  # fmt: skip
    ds = velocity(3.0)
    ds["v"][41:, 61:] = np.nan
    got = gt.glaciers(ds, outlines(*shapes)).set_index("rgi_id")
    assert got.index.str[-1].tolist() == ["0", "2", "3", "4", "5", "7"]
    assert got.attrs["outside"] == 2
    bad, whole, overlap, post, still, between = (row for _, row in got.iterrows())
    assert 30 < bad["posts"] < 50
    assert whole["posts"] + bad["posts"] >= 400
    assert overlap["posts"] < 19 * 8
    assert (post["posts"], post["v_median"], post["n_effective"]) == (1, 3, 1)
    assert post["v_p99"] == 3
    assert still["note"] == "no speed inside"
    assert np.isnan(still["v_median"])
    assert still["coverage"] == 0
    assert between["note"] == "no post inside"
    again = gt.glaciers(ds, outlines(*shapes).to_crs(4326)).set_index("rgi_id")
    np.testing.assert_allclose(again["posts"], got["posts"], atol=1)
    with pytest.raises(InputError, match="no geometry"):
        gt.glaciers(ds, outlines(shapely.Polygon()))


# --- files ---


def test_the_table_as_files(tmp_path):
    table = gt.glaciers(velocity(3.0), outlines(ONE, shapely.MultiPolygon([TWO])), geometry=True)
    for name in ("glaciers.csv", "glaciers.gpkg", "glaciers.parquet"):
        gt.write_table(table, tmp_path / name)
    csv = pd.read_csv(tmp_path / "glaciers.csv")
    assert "geometry" not in csv
    assert csv["v_median"].tolist() == [3, 3]
    for back in (
        gpd.read_file(tmp_path / "glaciers.gpkg"), gpd.read_parquet(tmp_path / "glaciers.parquet")
    ):  # fmt: skip
        assert back.crs == UTM
        assert back["rgi_id"].tolist() == table["rgi_id"].tolist()
        assert back["significant"].tolist() == [True, True]
        np.testing.assert_allclose(back.area, table.area)
    plain = gt.glaciers(velocity(3.0), outlines(ONE))
    gt.write_table(plain, tmp_path / "plain.parquet")
    assert pd.read_parquet(tmp_path / "plain.parquet").attrs["units"]["v_median"] == "m yr-1"
    with pytest.raises(FileError, match=r"exists|already"):
        gt.write_table(plain, tmp_path / "glaciers.csv")
    gt.write_table(plain, tmp_path / "glaciers.csv", overwrite=True)
    assert len(pd.read_csv(tmp_path / "glaciers.csv")) == 1
    with pytest.raises(InputError, match="geometry=True"):
        gt.write_table(plain, tmp_path / "other.gpkg")
    with pytest.raises(InputError, match=r"\.parquet"):
        gt.write_table(plain, tmp_path / "glaciers.xlsx")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "glaciers.csv", "glaciers.gpkg", "glaciers.parquet", "plain.parquet"
    ]  # fmt: skip


def test_files_keep_the_order_of_their_rows(tmp_path):
    rng = np.random.default_rng(2)
    places = rng.permutation(50)
    shapes = outlines(*[box(150 * i, -300, 150 * i + 120, -50) for i in places])
    shapes.to_file(tmp_path / "rgi.gpkg")
    got = gt.glaciers(velocity(1.0), tmp_path / "rgi.gpkg")
    assert got["rgi_id"].tolist() == shapes["RGIId"].tolist()
