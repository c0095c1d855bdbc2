"""Speed against climate: honest numbers of cells, downscaled means, posts and glaciers."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import (
    GlacierToolkitWarning,
    GridError,
    InputError,
    MissingVariableError,
    ParameterError,
)
from glaciertoolkit.stats.climate import climate
from glaciertoolkit.stats.melt import degree_days

UTM = 32646
X0, Y0 = 300_000.0, 3_400_000.0
DAYS = pd.date_range("2018-01-01", "2019-12-31")
MONTHS = pd.date_range("2015-01-01", "2019-12-01", freq="MS")


def scene(speed=None, ny=60, nx=90, step=1000.0):
    """60 x 90 km of ice, its speed a plane unless given."""
    x, y = X0 + step * np.arange(nx), Y0 - step * np.arange(ny)
    if speed is None:
        speed = 5 + 40 * np.linspace(0, 1, nx)[None, :] * np.ones((ny, 1))
    v = np.asarray(speed, "float32")
    ds = xr.Dataset({n: (("y", "x"), f * v) for n, f in (("vx", 0.6), ("vy", 0.8), ("v", 1.0))},
                    {"y": y, "x": x})  # fmt: skip
    return ds.rio.write_crs(UTM)


def elevation(ds):
    z = 5000 + 10 * np.arange(ds.sizes["y"])[::-1, None] * np.ones((1, ds.sizes["x"]))
    return xr.DataArray(z, ds.coords, ("y", "x"), "elevation", {"units": "m"}).rio.write_crs(UTM)


def lonlat(ds):
    return pyproj.Transformer.from_crs(UTM, 4326, always_xy=True).transform(
        *np.meshgrid(ds.x.values, ds.y.values)
    )


def grid(ds, values, *, time=DAYS, step=0.1, name="t2m", units="degC", height=None):
    """A climate grid about the scene: `values(lat, lon, time)`."""
    lon, lat = lonlat(ds)
    lat = np.arange(np.floor(lat.min()) - 0.5, lat.max() + 0.7, step)
    lon = np.arange(np.floor(lon.min()) - 0.5, lon.max() + 0.7, step)
    doy = (np.arange(time.size) if time is DAYS else time.dayofyear.to_numpy())[:, None, None]
    data = np.broadcast_to(
        values(lat[None, :, None], lon[None, None, :], doy), (time.size, lat.size, lon.size)
    )
    out = xr.Dataset({name: (("time", "latitude", "longitude"), data, {"units": units})},
                     {"time": time, "latitude": lat, "longitude": lon})  # fmt: skip
    if height is not None:
        out["orog"] = (("latitude", "longitude"), np.full((lat.size, lon.size), height))
    return out


def plane(lat, lon, doy):
    return -8 + 3 * (lon - 91) - 2 * (lat - 30.5) + 10 * np.sin(2 * np.pi * (doy - 105) / 365)


def glaciers_of(ds, number=40, seed=0, size=2400.0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(ds.x.min() + 3000, ds.x.max() - 3000, number)
    y = rng.uniform(ds.y.min() + 3000, ds.y.max() - 3000, number)
    shapes = [shapely.box(a - size / 2, b - size / 2, a + size / 2, b + size / 2)
              for a, b in zip(x, y, strict=True)]  # fmt: skip
    return gpd.GeoDataFrame({"rgi_id": [f"G{k}" for k in range(number)]}, geometry=shapes, crs=UTM)


# --- glaciers ------------------------------------------------------------------------------------


def test_means_at_glaciers_are_those_of_the_field():
    ds = scene()
    table = glaciers_of(ds)
    got = climate(ds, temperature=grid(ds, plane), outlines=table)
    centre = table.representative_point().to_crs(4326)
    year = np.mean(10 * np.sin(2 * np.pi * (np.arange(730) - 105) / 365))
    expected = -8 + 3 * (centre.x - 91) - 2 * (centre.y - 30.5) + year
    np.testing.assert_allclose(got.temperature_mean, expected, atol=1e-6)
    assert got["rgi_id"].values.tolist() == table["rgi_id"].tolist()
    assert (got.temperature_summer > got.temperature_mean).all()
    assert got.temperature_mean.attrs["units"] == "degC"
    frame = got[["v_median", "temperature_mean", "degree_days", "area_km2"]].to_dataframe()
    assert frame.loc["G0", "area_km2"] == pytest.approx(5.76, rel=0.01)


def test_a_dem_brings_the_climate_to_the_ice():
    ds = scene()
    table = glaciers_of(ds, 10)
    field = grid(ds, plane, height=4000.0)
    plain = climate(ds, temperature=field, outlines=table)
    moved = climate(ds, temperature=field, outlines=table, dem=elevation(ds), lapse_rate=-5.0)
    difference = moved.temperature_mean - plain.temperature_mean
    np.testing.assert_allclose(difference, -5e-3 * (moved.zmed_m - 4000), atol=1e-9)
    assert (moved.degree_days < plain.degree_days).all()
    rain = grid(ds, lambda *_: 2.0, name="tp", units="mm", height=4000.0)
    wet = climate(ds, precipitation=rain, outlines=table, dem=elevation(ds), gradient=5.0)
    np.testing.assert_allclose(
        wet.precipitation_annual, 730 * (1 + 5e-4 * (wet.zmed_m - 4000)), rtol=1e-9
    )


def test_snow_by_step_and_by_month():
    ds = scene()
    table = glaciers_of(ds, 5)
    cold_half = grid(ds, lambda _lat, _lon, doy: np.where(doy % 365 < 181, -5.0, 8.0))
    rain = grid(ds, lambda *_: 1.0, name="tp", units="mm")
    got = climate(ds, temperature=cold_half, precipitation=rain, outlines=table)
    np.testing.assert_allclose(got.snow_fraction, 181 / 365, atol=1e-9)
    np.testing.assert_allclose(got.precipitation_annual, 365)
    monthly = grid(ds, lambda *_: 30.0, time=pd.date_range("2018-01-01", periods=24, freq="MS"),
                   name="pre", units="mm/month")  # fmt: skip
    got = climate(ds, temperature=cold_half, precipitation=monthly, outlines=table)
    np.testing.assert_allclose(got.snow_fraction, 6 / 12, atol=0.02)


def test_n_is_the_number_of_cells():
    """Forty glaciers in few cells are few values, and 40 of them must not say otherwise."""
    ds = scene()
    table = glaciers_of(ds)
    fine = climate(ds, temperature=grid(ds, plane), outlines=table, method="nearest")
    coarse = climate(ds, temperature=grid(ds, plane, step=0.5), outlines=table, method="nearest")
    assert int(fine.n_cells[0]) > int(coarse.n_cells[0]) >= 1
    assert int(coarse.n_cells[0]) == np.unique(coarse.cell_temperature).size
    assert float(fine.correlation.sel(factor="temperature_mean")) > 0.9
    assert "in time one map says nothing" in fine.attrs["note"]
    assert "n_cells is an upper limit" in fine.attrs["note"]
    one = climate(ds, temperature=grid(ds, plane, step=1.2), outlines=table, method="nearest")
    assert one.correlation.isnull().all()
    assert "too few" in one.reason.values[0]


@pytest.mark.slow
def test_glaciers_of_a_cell_do_not_feign_significance():
    """The negative control: climate by cell and speed by cell, unrelated; glaciers as N lie."""
    from scipy.stats import spearmanr

    ds = scene()
    lon, lat = lonlat(ds)
    table = glaciers_of(ds, 150, seed=1, size=1500.0)
    honest, naive = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cells = rng.normal(size=(60, 60))
        field = grid(ds, lambda la, lo, _d, c=cells: np.zeros(1) + c[:la.size, :lo.size][None],
                     step=0.25)  # fmt: skip
        row = np.rint((lat - field.latitude.values[0]) / 0.25).astype(int)
        column = np.rint((lon - field.longitude.values[0]) / 0.25).astype(int)
        speed = 30 + 5 * rng.normal(size=(60, 60))[row, column] + rng.normal(size=lat.shape)
        got = climate(scene(speed), temperature=field.isel(time=slice(0, 365)), outlines=table,
                      method="nearest")  # fmt: skip
        honest += float(got.p_value.sel(factor="temperature_mean")) < 0.05
        known = got.v_median.notnull()  # where others overlap it, a glacier may have no post
        naive += spearmanr(got.v_median[known], got.temperature_mean[known]).pvalue < 0.05
    assert honest <= 8
    assert naive >= 25


def test_a_station_cannot_tell_a_relation_over_space():
    ds = scene()
    table = pd.DataFrame({"t2m": np.full(730, -4.0)}, index=DAYS)
    station = gt.read_climate(table, latitude=30.5, longitude=91.0, elevation=5000)
    got = climate(ds, temperature=station, outlines=glaciers_of(ds, 12), dem=elevation(ds))
    assert float(got.temperature_mean.std()) > 0.1  # by elevation
    assert got.correlation.isnull().all()
    assert got.reason.values[0] == "one station: its climate is the same everywhere"
    assert int(got.n_cells[0]) == 1


def test_short_series_have_no_years():
    ds = scene()
    got = climate(ds, temperature=grid(ds, plane, time=DAYS[:60]), outlines=glaciers_of(ds, 6))
    assert got.temperature_mean.isnull().all()
    assert got.temperature_summer.isnull().all()
    assert got.reason.values[0] == "no complete year or season of values"


# --- posts ---------------------------------------------------------------------------------------


def test_posts_have_the_field_and_the_lapse_rate():
    ds = scene()
    lon, lat = lonlat(ds)
    got = climate(ds, temperature=grid(ds, plane, height=4500.0), dem=elevation(ds))
    year = np.mean(10 * np.sin(2 * np.pi * (np.arange(730) - 105) / 365))
    expected = -8 + 3 * (lon - 91) - 2 * (lat - 30.5) + year
    expected = expected - 6.5e-3 * (elevation(ds).values - 4500)
    np.testing.assert_allclose(got.temperature_mean, expected, atol=2e-5)
    assert got.temperature_mean.dtype == np.float32
    assert got.temperature_mean.attrs["grid_mapping"] == "spatial_ref"
    assert got.rio.crs.to_epsg() == UTM
    # Degree days between the rungs are those of the series itself.
    series = xr.DataArray(
        expected[20, 30] - year + 10 * np.sin(2 * np.pi * (np.arange(730) - 105) / 365),
        {"time": DAYS}, "time",
    )  # fmt: skip
    exact = float(degree_days(series).mean())
    assert float(got.degree_days[20, 30]) == pytest.approx(exact, rel=0.01)
    assert "cell_temperature" in got
    assert gt.history(got)[-1]["step"] == "climate"


def test_posts_in_blocks_are_the_same(monkeypatch):
    from glaciertoolkit.stats import climate_posts

    ds = scene()
    field = grid(ds, plane, height=4500.0)
    whole = climate(ds, temperature=field, dem=elevation(ds))
    monkeypatch.setattr(climate_posts, "ROWS_AT_ONCE", 500)
    xr.testing.assert_identical(climate(ds, temperature=field, dem=elevation(ds)), whole)


def test_posts_count_cells_too():
    ds = scene()
    got = ds.glacier.stats.climate(temperature=grid(ds, plane, step=0.2))
    assert int(got.n_cells.sel(factor="temperature_mean")) < 60 < ds.v.size
    assert float(got.correlation.sel(factor="temperature_mean")) > 0.8
    rain = grid(ds, lambda lat, _lon, _d: 1 + 0 * lat, name="tp", units="mm")
    flat = ds.glacier.stats.climate(precipitation=rain)
    assert "no variation" in flat.reason.sel(factor="precipitation_annual").item()


def test_a_lazy_global_grid_is_read_around_the_map_alone():
    ds = scene()
    time = pd.date_range("2019-01-01", "2019-12-01", freq="MS")
    lat, lon = np.linspace(90, -90, 181), np.arange(360.0)
    seen = []

    def block(part):
        seen.append(part.size)
        return part

    import dask.array as da

    data = da.zeros((12, 181, 360), chunks=(12, 10, 10)).map_blocks(
        block, dtype=float, meta=np.zeros((0, 0, 0))
    )
    field = xr.Dataset({"t2m": (("time", "latitude", "longitude"), data, {"units": "degC"})},
                       {"time": time, "latitude": lat, "longitude": lon})  # fmt: skip
    got = climate(ds, temperature=field, outlines=glaciers_of(ds, 5))
    assert got.temperature_mean.values.tolist() == [0] * 5
    assert len(seen) < 20  # of 684 blocks


# --- bad input -----------------------------------------------------------------------------------


def test_climate_that_cannot_be():
    ds = scene()
    with pytest.raises(InputError, match="give temperature"):
        climate(ds)
    with pytest.raises(ParameterError, match="needs outlines"):
        climate(ds, temperature=grid(ds, plane), method="area")
    with pytest.raises(MissingVariableError, match="lacks"):
        climate(ds.drop_vars("v"), temperature=grid(ds, plane))
    away = grid(ds, plane)
    away = away.assign_coords(longitude=away.longitude - 40)
    with pytest.raises(GridError, match="off the climate grid"):
        climate(ds, temperature=away)
    with pytest.raises(GridError, match="none of the glaciers"):
        climate(ds, temperature=away, outlines=glaciers_of(ds, 3))
    with pytest.raises(ParameterError, match="period must be"):
        climate(ds, temperature=grid(ds, plane), outlines=glaciers_of(ds, 3), summer="XYZ")
    with pytest.raises(GridError, match="no CRS"):
        climate(ds.drop_vars("spatial_ref"), temperature=grid(ds, plane))


def test_one_annual_mean_is_a_year():
    """As HAR's files by the year: no season and no degree days can be had from it."""
    ds = scene()
    field = grid(ds, lambda lat, lon, _d: lon - 95 + 0 * lat, time=DAYS[:1], height=4500.0)
    table = glaciers_of(ds, 8)
    got = climate(ds, temperature=field, outlines=table, dem=elevation(ds))
    assert got.temperature_mean.notnull().all()
    assert got.temperature_summer.isnull().all()
    assert "degree_days" not in got
    assert "one value, taken as that of a year" in got.attrs["note"]
    posts = climate(ds, temperature=field, dem=elevation(ds))
    assert posts.temperature_mean.notnull().all()


def test_outlines_of_one_name_stay_apart():
    ds = scene()
    table = glaciers_of(ds, 6)
    table["rgi_id"] = ["A", "A", "B", "B", "C", "C"]
    got = climate(ds, temperature=grid(ds, plane, height=4e3), outlines=table, dem=elevation(ds))
    assert got["rgi_id"].values.tolist() == table["rgi_id"].tolist()
    assert np.unique(got.temperature_mean).size == 6


def test_a_station_of_another_place_is_doubted_on_posts_too():
    ds = scene()
    table = pd.DataFrame({"t2m": np.full(730, -4.0)}, index=DAYS)
    station = gt.read_climate(table, latitude=30.25, longitude=81.45, elevation=5000)
    with pytest.warns(GlacierToolkitWarning, match="9\\d\\d km from the nearest"):
        climate(ds, temperature=station)
