"""Driving stress of known slabs, and power laws whose errors know of neighbours."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr
from scipy.ndimage import gaussian_filter

import glaciertoolkit as gt
from glaciertoolkit.errors import GridError, InputError, MissingVariableError, ParameterError
from glaciertoolkit.stats.scaling import fit, residual_correlation
from glaciertoolkit.stats.stress import deformation_of, stress_of

UTM = "EPSG:32645"
SCALE = 0.9996


def slab(alpha=10.0, depth=150.0, *, n=60, step=100.0, valley=False):
    """A slab of ice on an even slope, in a valley with steep walls where asked."""
    y, x = 3_100_000.0 - step * np.arange(n), 500_000.0 + step * (np.arange(n) - n / 2)
    across, along = np.meshgrid(x - 500_000, y - y[-1])
    ice = (np.abs(across) < 1000) if valley else np.ones((n, n), bool)
    z = 5000 + np.tan(np.radians(alpha)) * along / SCALE
    z = np.where(ice, z, z + 2 * (np.abs(across) - 1000)) if valley else z
    coords = {"y": y, "x": x}
    surface = xr.DataArray(z, coords=coords, dims=("y", "x")).rio.write_crs(UTM)
    thickness = xr.DataArray(np.where(ice, depth, 0.0), coords=coords, dims=("y", "x"))
    ds = xr.Dataset({"v": (("y", "x"), np.full((n, n), 20, "float32"))}, coords=coords)
    return ds.rio.write_crs(UTM), surface, thickness.rio.write_crs(UTM)


@pytest.mark.parametrize(
    ("depth", "alpha", "stress", "speed"),
    [(100, 10, 153, 13.7), (150, 10, 230, 69.1), (300, 3, 139, 30.3)],
)
def test_the_published_check_values(depth, alpha, stress, speed):
    tau = float(stress_of(depth, alpha))
    assert round(tau) == stress
    # The first one is 13.65: rounded twice where it was published.
    assert float(deformation_of(tau, depth)) == pytest.approx(speed, abs=0.055)


@pytest.mark.parametrize("valley", [False, True])
def test_a_slab_has_the_stress_of_its_slope(valley):
    """Also in a valley: its walls are no ice, and do not count."""
    ds, dem, thickness = slab(valley=valley)
    got = gt.driving_stress(ds, thickness=thickness, dem=dem)
    ice = np.isfinite(got["driving_stress"].values)
    assert ice.sum() == (19 * 60 if valley else 60 * 60)
    np.testing.assert_allclose(got["surface_slope"].values[ice], 10, rtol=1e-4)
    np.testing.assert_allclose(got["driving_stress"].values[ice], 229.97, rtol=1e-4)
    np.testing.assert_allclose(got["deformation_speed"].values[ice], 69.09, rtol=1e-3)
    edge = got["slope_length"].values[ice]
    assert (edge >= 4 * 150).all()
    assert (edge <= 10 * 150).all()
    assert got["driving_stress"].attrs["units"] == "kPa"
    assert got["driving_stress"].dtype == np.float32
    assert np.isnan(got["driving_stress"].values[~ice]).all()
    assert gt.history(got)[-1]["step"] == "driving_stress"


def test_the_stretch_of_the_map_does_not_count():
    """The same slab on Web Mercator, stretched by 1.13 at 28 degrees north."""
    _, dem, thickness = slab()
    like = dem.rio.reproject("EPSG:3857", resolution=110.0)
    ds3 = xr.Dataset(coords={"y": like.y, "x": like.x}).rio.write_crs(3857)
    got = gt.driving_stress(ds3, thickness=thickness, dem=dem)
    inner = got["surface_slope"].values[12:-12, 12:-12]
    np.testing.assert_allclose(np.nanmedian(inner), 10, rtol=5e-3)


def test_what_does_not_fit():
    ds, dem, thickness = slab()
    with pytest.raises(ParameterError, match="length"):
        gt.driving_stress(ds, thickness=thickness, dem=dem, length=2)
    with pytest.raises(ParameterError, match="density"):
        gt.driving_stress(ds, thickness=thickness, dem=dem, density=-1)
    with pytest.raises(GridError, match="no post has ice"):
        gt.driving_stress(ds, thickness=0 * thickness, dem=dem)
    with pytest.raises(MissingVariableError, match="driving_stress"):
        gt.shallow_ice(ds)
    few = gpd.GeoSeries([shapely.box(499_950, 3_099_850, 500_150, 3_100_050)], crs=UTM)
    stressed = gt.driving_stress(ds, thickness=thickness, dem=dem)
    with pytest.raises(InputError, match="30 are needed"):
        gt.shallow_ice(stressed, outlines=few)
    with pytest.raises(InputError, match="do not vary"):
        gt.shallow_ice(stressed)


# --- the shallow-ice relation ---


def fields(rng, n, smooth, number):
    noise = rng.normal(size=(number, n + 40, n + 40))
    made = np.array([gaussian_filter(f, smooth)[20:-20, 20:-20] for f in noise])
    return made * 2 * np.sqrt(np.pi) * smooth


def stressed(rng, *, n=40, smooth=3.0, exponents=(3.0, 1.0), scatter=0.3):
    a, b, noise = fields(rng, n, smooth, 3)
    tau, depth = np.exp(5 + 0.3 * a), np.exp(5 + 0.3 * b)
    rough = 0.1 * rng.normal(size=(n, n))
    log = -14 + exponents[0] * np.log(tau) + exponents[1] * np.log(depth) + scatter * noise + rough
    grid = {"y": 3.1e6 - 100.0 * np.arange(n), "x": 5e5 + 100.0 * np.arange(n)}
    data = {"v": np.exp(log), "driving_stress": tau, "thickness": depth}
    return xr.Dataset({k: (("y", "x"), f) for k, f in data.items()}, coords=grid).rio.write_crs(UTM)


def test_exact_exponents_without_scatter():
    got = gt.shallow_ice(stressed(np.random.default_rng(0), scatter=0).assign())
    np.testing.assert_allclose(got["estimate"].values[1:], [3, 1], atol=0.06)
    assert got["term"].values.tolist() == ["constant", "ln driving_stress", "ln thickness"]
    assert float(got["r2"]) > 0.98
    assert "p ln driving_stress" in repr(got)
    assert "<table>" in got._repr_html_()


def test_intervals_hold_the_truth_where_residuals_are_correlated():
    """And those of independent posts do not: the negative control."""
    covered = naive = 0
    seeds = 60
    for seed in range(seeds):
        ds = stressed(np.random.default_rng(seed))
        got = gt.shallow_ice(ds, samples=400).sel(term="ln driving_stress")
        covered += float(got["low"]) <= 3 <= float(got["high"])
        logs = {k: np.log(ds[k].values.ravel()) for k in ds}
        plain = fit(
            logs["v"], {k: logs[k] for k in ("driving_stress", "thickness")}
        ).sel(term="driving_stress")  # fmt: skip
        naive += float(plain["low"]) <= 3 <= float(plain["high"])
    assert covered >= 0.85 * seeds
    assert naive <= 0.5 * seeds


def test_glaciers_as_clusters_where_there_are_many():
    rng = np.random.default_rng(1)
    ds = stressed(rng, n=60)
    corners = [(5e5 + 1000 * i - 50, 3.1e6 - 1000 * j + 50) for i in range(6) for j in range(2)]
    boxes = [shapely.box(x, y - 900, x + 900, y) for x, y in corners]
    shapes = gpd.GeoSeries(boxes, crs=UTM)
    got = gt.shallow_ice(ds, outlines=shapes)
    assert got.attrs["errors"] == "errors of 12 glaciers as clusters"
    assert float(got["dof"]) == 11
    one = gt.shallow_ice(ds, outlines=shapes.iloc[:1])
    assert "correlated over" in one.attrs["errors"]


def test_slow_posts_are_left_out_and_counted():
    ds = stressed(np.random.default_rng(2))
    limit = float(ds["v"].quantile(0.25))
    got = gt.shallow_ice(ds.assign(v_error=0 * ds["v"] + limit / 2))
    assert float(got["share_left_out"]) == pytest.approx(0.25, abs=0.01)


def test_the_range_of_residuals():
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 10_000, (800, 2))
    white = residual_correlation(rng.normal(size=800), points)
    assert white.share * np.exp(-300 / white.length) < 0.2
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    smooth = np.linalg.cholesky(np.exp(-distance / 800) + 1e-9 * np.eye(800)) @ rng.normal(size=800)
    found = residual_correlation(smooth, points)
    assert 300 < found.length < 1600


# --- size and slope ---


def test_scaling_of_glaciers():
    rng = np.random.default_rng(6)
    area, slope = np.exp(rng.normal(0, 1.5, 200)), rng.uniform(8, 35, 200)
    speed = np.exp(1 + 0.4 * np.log(area) - 0.7 * np.log(np.sin(np.radians(slope))))
    table = pd.DataFrame({"area_km2": area, "slope_deg": slope})
    table["v_median"] = speed * np.exp(rng.normal(0, 0.2, 200))
    table.loc[0, "v_median"] = np.nan
    table.loc[1, "area_km2"] = 0
    got = gt.speed_scaling(table)
    assert got["term"].values.tolist() == ["constant", "ln area_km2", "ln sin slope_deg"]
    for value, low, high in zip([1, 0.4, -0.7], got["low"], got["high"], strict=True):
        assert low <= value <= high
    assert float(got["share_left_out"]) == pytest.approx(0.01)
    with pytest.raises(InputError, match="lacks zmed"):
        gt.speed_scaling(table, by=["zmed"])
    with pytest.raises(InputError, match="6 are needed"):
        gt.speed_scaling(table.iloc[:6])
    with pytest.raises(InputError, match="do not vary"):
        gt.speed_scaling(table.assign(slope_deg=20.0))
