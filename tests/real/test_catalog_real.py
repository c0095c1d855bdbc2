"""Real files through the catalog and its readers: all that the collection holds of their kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import xarray as xr

import glaciertoolkit as gt

DATA = Path(__file__).parents[2].parent / "shared" / "data"
EVEREST, TIBET = DATA / "site_everest_rongbuk", DATA / "series_se_tibet_itslive"
ZHADANG, GRIDS = DATA / "site_zhadang_climate", DATA / "climate_grids_hma"
STATIONS, HOOKER = DATA / "climate_everest_aws", DATA / "dems_hooker_fjl"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the collection of real data is not at {DATA}"
)

CATALOG = gt.open_catalog()
VIMD = "era5_vimd_monthly_DJFMA_2009_2020.nc"
ERA5, FORCING = "zhadang_era5_hourly_20090101_20090110.nc", "zhadang_hourly_2009_2012.nc"

RASTERS = [
    ("srtm_dem", "site_baltoro/dem_srtm_3as.tif", (0, 9000)),
    ("srtm_dem", "site_chhota_shigri/dem_94m.tif", (0, 9000)),
    ("srtm_dem", "site_zhadang_climate/dem_srtm_3as_nyainqentanglha_w.tif", (0, 9000)),
    ("srtm_dem", "pair_yahtse_landsat8/dem_srtm_50m.tif", (-100, 6000)),
    ("aw3d30_dem", "site_everest_rongbuk/dem_aw3d_50m.tif", (4000, 8900)),
    ("hma_dem_8m", "site_everest_rongbuk/dem_hma8m_khumbu.tif", (3000, 8900)),
    (
        "ice_thickness_farinotti2019",
        "site_everest_rongbuk/thickness_consensus_farinotti2019_50m.tif",
        (0, 1000),
    ),
    ("elevation_change_puruogangri", "site_everest_rongbuk/dhdt_50m.tif", (-100, 100)),
]

OUTLINES = [
    ("rgi6_outlines", "site_everest_rongbuk/rgi60_outlines_everest.gpkg", 86),
    ("rgi6_outlines", "site_zhadang_climate/outline_rgi60_13.49754.gpkg", 1),
    ("rgi6_outlines", "site_chhota_shigri/outline_rgi50_14.15990.gpkg", 1),
    ("rgi6_outlines", "offsets_kaskawulsh/glacier_inward600m.gpkg", 1),
    ("rgi7_outlines", "series_se_tibet_itslive/regional_28glaciers_outlines_rgi7.gpkg", 28),
    ("third_pole_inventory", "site_baltoro/outline_baltoro.gpkg", 1),
    ("third_pole_inventory", "site_baltoro/centerlines_baltoro.gpkg", 98),
    ("talus_tp", "offsets_kaskawulsh/static_bedrock.gpkg", 9),
    ("talus_tp", "pair_yahtse_landsat8/outlines_rock_nunataks.gpkg", 42),
    ("mass_balance_hma_hexagons", "tables_hma/shean2020_massbalance_hex55km.gpkg", 793),
]


@pytest.mark.parametrize(("name", "path", "limits"), RASTERS)
def test_a_raster(name: str, path: str, limits: tuple[float, float]) -> None:
    data = CATALOG[name].open(DATA / path)
    assert data.chunks is not None
    assert data.attrs["units"] == "m"
    assert data.rio.crs is not None
    values = data.values
    assert np.isfinite(values).mean() > 0.05
    assert limits[0] <= np.nanmin(values) <= np.nanmax(values) <= limits[1]
    with rasterio.open(DATA / path) as source:
        raw = source.read(1, masked=True).astype("float32").filled(np.nan)
    missing = CATALOG[name].metadata.get("nodata")
    raw = np.where(raw == missing, np.nan, raw) if missing is not None else raw
    np.testing.assert_array_equal(values, raw)


@pytest.mark.parametrize(("name", "path", "count"), OUTLINES)
def test_outlines(name: str, path: str, count: int) -> None:
    frame = CATALOG[name].open(DATA / path)
    assert len(frame) == count
    assert frame.crs is not None
    assert frame.attrs["catalog_entry"] == name
    if "Area" in frame and name.startswith("rgi6"):
        assert frame.attrs["units"]["Area"] == "km2"
        assert frame.Area.gt(0).all()
        if frame.crs.is_geographic:
            metric = frame.to_crs(frame.estimate_utm_crs())
            np.testing.assert_allclose(metric.area.sum() / 1e6, frame.Area.sum(), rtol=0.05)


def test_a_mosaic_of_itslive_in_its_own_projection() -> None:
    ds = CATALOG.itslive_mosaic_v1.open(EVEREST)
    assert ds.rio.crs.to_string() == "ESRI:102027"
    assert {"vx", "vy", "v", "vx_error", "vy_error"} <= set(ds.data_vars)
    rgi = CATALOG.rgi6_outlines.open(EVEREST / "rgi60_outlines_everest.gpkg").to_crs(ds.rio.crs)
    ice = gt.stable_terrain(ds, outlines=rgi, buffer=0.0)
    speed = ds.v.values[~ice.values]
    # the collection's own figures are 2.1 and 24.5 m/yr; they depend on which posts count as ice
    assert np.nanmedian(speed) == pytest.approx(2.1, abs=0.25)
    assert np.nanpercentile(speed, 95) == pytest.approx(24.5, abs=1.5)


def test_a_cube_of_itslive() -> None:
    cube = CATALOG.itslive_cube.open(TIBET / "itslive_pairs_X750000_Y3350000_subset.nc")
    assert cube.sizes["mid_date"] == 5574
    assert cube.vx.chunks is not None
    assert cube.vx.attrs["units"] == "m yr-1"
    assert cube.rio.crs.to_epsg() == 32646
    days = ((cube.secondary_time - cube.reference_time) / np.timedelta64(1, "D")).values
    np.testing.assert_allclose(days, cube.date_dt.values, atol=0.01)
    assert days.min() > 0
    middle = cube.reference_time + (cube.secondary_time - cube.reference_time) / 2
    assert float(abs((middle - cube.mid_date) / np.timedelta64(1, "s")).max()) < 90_000
    part = cube.isel(mid_date=slice(0, 400)).load()
    np.testing.assert_allclose(part.v, np.hypot(part.vx, part.vy))


def test_a_point_series_of_itslive() -> None:
    path = DATA / "series_zangser_kangri_itslive" / "itslive_point_34.3963N_85.9067E.csv"
    ds = CATALOG.itslive_point_series.open(path, longitude=85.9067, latitude=34.3963)
    assert ds.v_m_per_yr.attrs["units"] == "m yr-1"
    assert ds.rio.crs.to_epsg() == 4326
    surge = ds.v_m_per_yr.sel(time=slice("2015", "2017")).median()
    later = ds.v_m_per_yr.sel(time=slice("2021", "2024")).median()
    assert float(surge) > 1.5 * float(later)


def test_a_pair_written_as_a_granule_and_read_again(tmp_path: Path) -> None:
    ds = CATALOG.itslive_mosaic_v1.open(EVEREST)
    dated = ds.assign_coords(
        reference_time=np.datetime64("2015-01-01", "ns"),
        secondary_time=np.datetime64("2016-01-01", "ns"),
    )
    gt.to_itslive(dated, tmp_path / "granule.nc", step=0.01)
    back = CATALOG.itslive_granule.open(tmp_path / "granule.nc")
    assert back.rio.crs == ds.rio.crs
    assert float(abs(back.vx - ds.vx).max()) <= 0.0051


@pytest.mark.parametrize(
    ("name", "path", "variable", "unit", "limits"),
    [
        ("era5_monthly", GRIDS / VIMD, "vimd", "kg m-2", (-1e4, 1e4)),
        ("har_daily", GRIDS / "har_30km_t2_annual_2000.nc", "t2", "K", None),
        ("wrf_output", GRIDS / "wrf_tip_10km_t2_20050921.nc", "T2", "K", (230, 320)),
        ("era5_land_monthly", ZHADANG / ERA5, "T2", "K", (230, 300)),
        ("era5_land_monthly", ZHADANG / FORCING, "T2", "K", (230, 300)),
    ],
)  # fmt: skip
def test_climate(name: str, path: Path, variable: str, unit: str, limits: Any) -> None:
    ds = CATALOG[name].open(path)
    assert ds[variable].attrs["units"] == unit
    assert ds.rio.crs is not None
    assert ds.time.dtype.kind == "M"
    assert (np.diff(ds.time.values) > np.timedelta64(0)).all()
    # the field of HAR in the collection holds no number at all
    if limits is not None:
        values = ds[variable].values
        assert limits[0] < np.nanmin(values) < np.nanmax(values) < limits[1]


def test_projected_climate_lies_where_its_longitudes_say() -> None:
    from pyproj import Transformer

    for name, path, x, y in (
        ("har_daily", GRIDS / "har_30km_t2_annual_2000.nc", "lon", "lat"),
        ("wrf_output", GRIDS / "wrf_tip_10km_t2_20050921.nc", "longitude", "latitude"),
    ):
        ds = CATALOG[name].open(path)
        to_map = Transformer.from_crs("EPSG:4326", ds.rio.crs.to_wkt(), always_xy=True)
        east, north = to_map.transform(ds[x].values, ds[y].values)
        grid = np.meshgrid(ds.west_east.values, ds.south_north.values)
        assert abs(east - grid[0]).max() < 10
        assert abs(north - grid[1]).max() < 10


@pytest.mark.parametrize(
    ("path", "units", "options"),
    [
        ("phortse_3810m_2019_hourly.csv", {"T_HMP": "degC", "PRESS": "hPa"}, {"elevation": 3810}),
        ("camp2_6464m_2019_hourly.csv", {"T_HMP": "degC", "PRESS": "hPa"}, {"elevation": 6464}),
        ("south_col_7945m_2019_hourly.csv", {"T_HMP": "degC", "PRESS": "hPa"}, {"elevation": 7945}),
        (
            "naulek_5350m_daily_2012_2021.csv",
            {"t": "K", "rh": "1"},
            {
                "elevation": 5350,
                "longitude": 86.90,
                "latitude": 27.72,
                "timezone": "Asia/Kathmandu",
            },
        ),
    ],
)
def test_stations(path: str, units: dict[str, str], options: dict[str, Any]) -> None:
    ds = CATALOG.station_record.open(STATIONS / path, units=units, **options)
    for name, unit in units.items():
        assert ds[name].attrs["units"] == unit
    assert float(ds.elevation) == options["elevation"]
    assert (np.diff(ds.time.values) > np.timedelta64(0)).all()
    assert 0.5 < ds.attrs["completeness"] <= 1
    if "longitude" in options:
        # local days begin at 18:15 UTC of the day before
        assert str(ds.time.values[0]).startswith("2012-11-26T18:15")
        assert bool(ds.t.isnull().any())


def test_balances_of_wgms() -> None:
    table = CATALOG.wgms_mass_balance.open(
        DATA / "tables_hma" / "wgms_massbalance_48_hma_glaciers.csv"
    )
    assert table.name.nunique() == 48
    assert table.attrs["units"]["annual_balance"] == "m yr-1"
    gurenhekou = table[table.name == "GURENHEKOU"]
    assert gurenhekou.annual_balance.tolist() == pytest.approx(
        [-0.319, -0.196, 0.497, -0.839, -0.703]
    )
    assert gurenhekou.winter_balance.isna().all()


def test_a_series_of_elevation_models() -> None:
    ds = CATALOG.dem_series.open(HOOKER)
    assert ds.elevation.dims == ("time", "y", "x")
    assert ds.time.values.astype("datetime64[D]").astype(str).tolist() == [
        "2011-08-16", "2012-07-20", "2013-04-18", "2013-04-19", "2014-04-02",
    ]  # fmt: skip
    assert ds.rio.crs.to_epsg() == 32640
    covered = ds.elevation.notnull().mean(("y", "x")).values
    assert covered[1] == pytest.approx(0.32, abs=0.02)  # 2012 covers 32 %


def test_offsets_of_others_as_a_map_of_motion() -> None:
    path = DATA / "offsets_kaskawulsh" / "velo_raw_vxvy_20180304_20180405_60m.tif"
    ds = gt.open_glacier_motion(path, kind="velocity")
    assert ds.vx.attrs["units"] == "m yr-1"
    with rasterio.open(path) as source:
        daily = source.read(1, masked=True).astype("float32").filled(np.nan)
    np.testing.assert_allclose(ds.vx.values, daily * 365.25, rtol=1e-6)
    assert ds.secondary_time.values == np.datetime64("2018-04-05")


def test_tables_of_glaciers_over_time() -> None:
    ds = gt.open_cf(TIBET / "regional_28glaciers_quarterly_velocity.nc")
    assert ds.v.attrs["units"] == "m yr-1"
    assert dict(ds.sizes) == {"rgi_id": 28, "mid_date": 154}
    outlines = CATALOG.rgi7_outlines.open(TIBET / "regional_28glaciers_outlines_rgi7.gpkg")
    assert isinstance(outlines, gpd.GeoDataFrame)
    assert set(outlines.rgi_id) == set(ds.rgi_id.values)
    assert isinstance(ds, xr.Dataset)
