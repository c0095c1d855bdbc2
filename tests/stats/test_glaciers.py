"""One row a glacier, on rectangles whose posts can be counted."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.errors import GridError, MissingVariableError, ParameterError
from glaciertoolkit.stats.glaciers import glaciers

UTM = "EPSG:32645"
X0, Y0 = 470_000.0, 3_100_000.0


def box(left, bottom, right, top):
    return shapely.box(X0 + left, Y0 + bottom, X0 + right, Y0 + top)


def rgi6(*shapes):
    return gpd.GeoDataFrame(
        {
            "RGIId": [f"RGI60-15.{i:05d}" for i in range(len(shapes))],
            "Name": [f"No {i}" if i else None for i in range(len(shapes))],
            "Area": [s.area / 1e6 for s in shapes],
        },
        geometry=list(shapes), crs=UTM,
    )  # fmt: skip


def velocity(vx=3.0, vy=4.0, *, ny=60, nx=80, step=100.0, **attrs):
    grid = {"y": Y0 - step * np.arange(ny), "x": X0 + step * np.arange(nx)}
    vx, vy = (np.broadcast_to(np.asarray(v, "float32"), (ny, nx)).copy() for v in (vx, vy))
    data = {"vx": vx, "vy": vy, "v": np.hypot(vx, vy), "v_error": np.full((ny, nx), 2, "float32")}
    ds = xr.Dataset({k: (("y", "x"), v) for k, v in data.items()}, coords=grid, attrs=attrs)
    return ds.rio.write_crs(UTM)


SMALL, MEDIUM, LARGE = (
    box(150, -550, 850, -50),
    box(1050, -2050, 3050, -50),
    box(3450, -5950, 7450, -50),
)


def test_counts_areas_and_classes():
    got = glaciers(velocity(), rgi6(SMALL, MEDIUM, LARGE, box(50_000, 0, 51_000, 500)))
    assert got["rgi_id"].tolist() == ["RGI60-15.00000", "RGI60-15.00001", "RGI60-15.00002"]
    assert got["name"].tolist() == ["", "No 1", "No 2"]
    assert got["area_class"].tolist() == ["small", "medium", "large"]
    assert got["posts"].tolist() == [35, 400, 40 * 59]
    assert got["count"].tolist() == got["posts"].tolist()
    np.testing.assert_allclose(got["coverage"], 1)
    assert not got["low_coverage"].any()
    np.testing.assert_allclose(got["area_km2"], [0.35, 4, 23.6])
    assert got.attrs["outside"] == 1
    assert got.attrs["units"]["v_median"] == "m yr-1"


def test_statistics_match_numpy():
    rng = np.random.default_rng(1)
    vx, vy = rng.normal(10, 8, (2, 60, 80))
    ds = velocity(vx, vy)
    ds["v"][5:9, 12:18] = np.nan
    row = glaciers(ds, rgi6(MEDIUM)).iloc[0]
    inside = ds.sel(x=slice(X0 + 1050, X0 + 3050), y=slice(Y0 - 50, Y0 - 2050)).v.values
    known = inside[np.isfinite(inside)].astype(float)
    assert row["count"] == known.size < row["posts"]
    for name, value in {
        "v_median": np.median(known), "v_mean": known.mean(), "v_std": known.std(),
        "v_p90": np.quantile(known, 0.9), "v_p95": np.quantile(known, 0.95),
        "v_p99": np.quantile(known, 0.99),
    }.items():  # fmt: skip
        assert row[name] == pytest.approx(value, rel=1e-6), name
    assert row["coverage"] == pytest.approx(known.size / 400)


@settings(max_examples=25, deadline=None)
@given(direction=st.floats(0, 359.9), spread=st.sampled_from([0.0, 40.0]))
def test_direction_is_a_circular_mean(direction, spread):
    """Also across north, where the mean of 350 and 10 degrees is 0 and not 180."""
    angles = np.radians(direction + np.where(np.arange(80) % 2, spread, -spread))
    row = glaciers(velocity(5 * np.sin(angles), 5 * np.cos(angles)), rgi6(MEDIUM)).iloc[0]
    assert abs((row["direction"] - direction + 180) % 360 - 180) < 1e-3
    assert row["direction_r"] == pytest.approx(np.cos(np.radians(spread)), abs=1e-4)


def test_low_coverage_counts_the_part_off_the_map():
    ds = velocity()
    ds["v"][:, 10:27] = np.nan
    got = glaciers(ds, rgi6(MEDIUM, box(6950, -2050, 10_950, -50)))
    assert got["coverage"].tolist() == pytest.approx([4 * 20 / 400, 10 * 20 / 800])
    assert got["low_coverage"].all()
    assert not glaciers(ds, rgi6(MEDIUM), min_coverage=0.1)["low_coverage"].any()


def test_a_post_is_counted_once():
    overlap = box(2050, -2050, 4050, -50)
    got = glaciers(velocity(), rgi6(MEDIUM, overlap))
    assert got["posts"].tolist() == [400, 200]


def test_the_margin_is_left_out_where_there_is_enough_inside():
    """Rock is still, ice moves: posts at the margin are mixed."""
    x, y = X0 + 100.0 * np.arange(80), Y0 - 100.0 * np.arange(60)
    shapes = [MEDIUM, box(3050, -2050, 5050, -50), box(6050, -250, 6350, -50)]
    inside = np.zeros((60, 80))
    for shape in shapes:
        inside[shapely.contains_xy(shape.buffer(-290), *np.meshgrid(x, y))] = 50.0
    ds = velocity(inside, 0.0, template=[64, 64], pixel=[10.0, 10.0])
    got = glaciers(ds, rgi6(*shapes))
    assert got["eroded"].tolist() == [True, True, False]
    # Half a template is 320 m: three rows of posts at the margin, none along the divide.
    assert got["count"].tolist() == [14 * 17, 14 * 17, 6]
    assert got["posts"].tolist() == [400, 400, 6]
    np.testing.assert_allclose(got["coverage"], 1)
    whole = glaciers(ds, rgi6(*shapes), erode=0)
    assert whole["count"].tolist() == [400, 400, 6]
    assert not whole["eroded"].any()
    assert whole["v_mean"].iloc[0] < got["v_mean"].iloc[0]


def test_error_knows_of_overlapping_templates():
    ds = velocity(template=[64, 64], pixel=[10.0, 10.0])
    row = glaciers(ds, rgi6(LARGE), erode=0).iloc[0]
    assert row["n_effective"] == pytest.approx(5 * 23.6e6 / (np.pi * 640**2), rel=1e-6)
    assert row["v_error"] == pytest.approx(2 / np.sqrt(row["n_effective"]))
    assert np.isnan(glaciers(ds.drop_vars("v_error"), rgi6(LARGE))["v_error"].iloc[0])


def test_elevations_of_the_dem():
    ds = velocity()
    dem = (4000 + 0.1 * (ds.x - X0) + 0 * ds.y).transpose("y", "x").rename("elevation")
    row = glaciers(ds, rgi6(MEDIUM), dem=dem.rio.write_crs(UTM)).iloc[0]
    assert (row["zmin_m"], row["zmax_m"]) == pytest.approx((4110, 4300))
    assert row["zmed_m"] == pytest.approx(4205)
    assert "zmin_m" not in glaciers(ds, rgi6(MEDIUM))


def test_a_glacier_between_the_posts_has_a_row_without_numbers():
    got = glaciers(velocity(), rgi6(MEDIUM, box(10, -60, 60, -10)))
    assert got["posts"].tolist() == [400, 0]
    assert np.isnan(got["v_median"].iloc[1])
    assert got["low_coverage"].tolist() == [False, True]


def test_inventories_and_their_names(tmp_path):
    six = rgi6(MEDIUM, LARGE)
    seven = six.rename(columns={"RGIId": "rgi_id", "Name": "glac_name", "Area": "area_km2"})
    other = six.drop(columns=["RGIId", "Area"]).rename(columns={"Name": "name"})
    ds = velocity()
    expected = glaciers(ds, six)
    pd.testing.assert_frame_equal(glaciers(ds, seven), expected)
    got = glaciers(ds, other)
    assert got["rgi_id"].tolist() == ["0", "1"]
    assert got["name"].tolist() == expected["name"].tolist()
    # Area on the ellipsoid; the UTM scale is within 0.1 %.
    np.testing.assert_allclose(got["area_km2"], expected["area_km2"], rtol=2e-3)
    assert not np.allclose(got["area_km2"], expected["area_km2"], rtol=1e-6)
    six.to_crs(4326).to_file(tmp_path / "rgi.gpkg")
    from_file = glaciers(ds, tmp_path / "rgi.gpkg")
    assert from_file["posts"].tolist() == expected["posts"].tolist()
    path = tmp_path / "glaciers.csv"
    from_file.to_csv(path, index=False)
    assert pd.read_csv(path)["rgi_id"].tolist() == expected["rgi_id"].tolist()


def test_the_area_does_not_follow_the_scale_of_the_map():
    """Web Mercator stretches areas by 1.28 at 28 degrees north."""
    shape = box(1050, -2050, 3050, -50)
    table = gpd.GeoDataFrame(geometry=[shape], crs=UTM).to_crs(3857)
    x, y = table.total_bounds[0], table.total_bounds[3]
    grid = {"y": y + 500 - 50.0 * np.arange(80), "x": x - 500 + 50.0 * np.arange(80)}
    ds = velocity(ny=80, nx=80).drop_vars("spatial_ref").assign_coords(grid).rio.write_crs(3857)
    row = glaciers(ds, table).iloc[0]
    assert row["area_km2"] == pytest.approx(4, rel=2e-3)
    assert row["posts"] == pytest.approx(1600 * 1.28, rel=0.05)
    assert row["coverage"] == pytest.approx(1, abs=0.05)


def test_many_glaciers_at_once():
    """A thousand outlines: the statistics are one grouped reduction."""
    rng = np.random.default_rng(5)
    shapes = [
        box(200 * i - 50, -200 * j - 150, 200 * i + 150, -200 * j + 50)
        for j in range(25) for i in range(40)
    ]  # fmt: skip
    vx = rng.gamma(2, 5, (60, 80))
    got = glaciers(velocity(vx, 0.0), rgi6(*shapes))
    assert len(got) == 1000
    assert got["posts"].eq(4).all()
    medians = np.median(
        vx[:50].reshape(25, 2, 40, 2).transpose(0, 2, 1, 3).reshape(1000, 4), axis=1
    )
    np.testing.assert_allclose(got["v_median"], medians, rtol=1e-5)


def test_input_that_does_not_fit():
    ds = velocity()
    with pytest.raises(MissingVariableError, match=r"lacks vx.*velocity\(\)"):
        glaciers(ds.drop_vars("vx"), rgi6(MEDIUM))
    with pytest.raises(GridError, match="glacier outlines do not overlap"):
        glaciers(ds, rgi6(box(50_000, 0, 51_000, 500)))
    with pytest.raises(ParameterError, match="min_coverage"):
        glaciers(ds, rgi6(MEDIUM), min_coverage=2)
    with pytest.raises(ParameterError, match="erode"):
        glaciers(ds, rgi6(MEDIUM), erode=-1)
