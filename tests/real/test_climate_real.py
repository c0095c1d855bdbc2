"""Real stations, climate grids and velocity series, against values found by other ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import rioxarray
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import GlacierToolkitWarning, InputError
from glaciertoolkit.grids import burn_index
from glaciertoolkit.stats.seasonal_fit import EPOCH, OMEGA

DATA = Path(__file__).parents[2].parent / "shared" / "data"
ZHADANG, EVEREST_AWS = DATA / "site_zhadang_climate", DATA / "climate_everest_aws"
GRIDS, EVEREST = DATA / "climate_grids_hma", DATA / "site_everest_rongbuk"
TIBET, ZANGSER = DATA / "series_se_tibet_itslive", DATA / "series_zangser_kangri_itslive"
DAY = np.timedelta64(86_400_000_000_000, "ns")


def needs(folder: Path) -> Any:
    return pytest.mark.skipif(not folder.exists(), reason=f"no real data at shared/{folder.name}")


# --- Zhadang: a station whose file states a wrong place -----------------------------------------


@pytest.fixture(scope="module")
def outline() -> gpd.GeoDataFrame:
    return gpd.read_file(ZHADANG / "outline_rgi60_13.49754.gpkg")


@pytest.fixture(scope="module")
def station() -> xr.DataArray:
    return gt.read_climate(
        ZHADANG / "zhadang_hourly_2009_2012.nc", kind="temperature",
        latitude=30.47, longitude=90.64, elevation=5670,
    )  # fmt: skip


@needs(ZHADANG)
def test_the_wrong_place_of_the_file_is_noticed(outline, station):
    """30.25 N 81.45 E and 4,000 m are placeholders: the pressure and the outline say so."""
    with pytest.warns(
        GlacierToolkitWarning, match=r"4000 m, but its pressure of 503 hPa .* 5534 m"
    ):
        stated = gt.read_climate(ZHADANG / "zhadang_hourly_2009_2012.nc", kind="temperature")
    with pytest.warns(GlacierToolkitWarning, match="882 km from the nearest glacier"):
        gt.sample_climate(stated, outline)
    assert gt.sample_climate(station, outline).elevation.item() == 5670  # silent
    with pytest.warns(GlacierToolkitWarning, match="hardly possible"):
        gt.read_climate(
            ZHADANG / "zhadang_hourly_2009_2012.nc", kind="precipitation", elevation=5670
        )


@needs(ZHADANG)
def test_degree_days_of_zhadang(station):
    """By the hour, against pandas; 2009 and 2012 are not whole and have none."""
    hourly = xr.open_dataset(ZHADANG / "zhadang_hourly_2009_2012.nc")["T2"].squeeze().to_series()
    warm = (hourly - 273.15).clip(lower=0) / 24
    expected = warm.groupby(warm.index.year).sum()
    got = gt.degree_days(station)
    assert got.year.values.tolist() == [2009, 2010, 2011, 2012]
    np.testing.assert_allclose(got.sel(year=[2010, 2011]), expected[[2010, 2011]], rtol=1e-12)
    np.testing.assert_allclose(got.sel(year=[2010, 2011]), [383.1, 303.8], atol=0.1)
    assert got.sel(year=[2009, 2012]).isnull().all()
    # Daily means lose the warm hours of cold days; a spread of 2.5 K brings most of them back.
    daily = station.resample(time="1D").mean()
    lost = gt.degree_days(daily).sel(year=2010).item()
    assert lost < 0.9 * 383.1
    assert abs(gt.degree_days(daily, sigma=2.5).sel(year=2010).item() - 383.1) < 0.5 * (
        383.1 - lost
    )


@needs(ZHADANG)
def test_the_lapse_rate_to_the_glacier(station, outline):
    dem = rioxarray.open_rasterio(ZHADANG / "dem_srtm_3as_nyainqentanglha_w.tif", masked=True)
    utm = dem.squeeze(drop=True).rio.reproject(32646, resolution=90)
    inside = burn_index(outline.to_crs(32646), utm).values >= 0
    height = float(np.nanmedian(utm.values[inside]))
    assert height == pytest.approx(float(outline["Zmed"].iloc[0]), abs=10)
    on_ice = gt.downscale_temperature(station, height)
    difference = float((on_ice - station).mean())
    assert difference == pytest.approx(-6.5e-3 * (height - 5670), abs=1e-9)
    top = gt.downscale_temperature(station, float(outline["Zmax"].iloc[0]))
    ratio = gt.degree_days(top).sel(year=2010).item() / gt.degree_days(on_ice).sel(year=2010).item()
    assert 0.4 < ratio < 0.75
    summer = gt.aggregate_climate(station, period="JJA")
    assert 1 < float(summer.mean()) < 4
    assert 0.6 < float(gt.snow_fraction(station).mean()) < 0.9


# --- Everest: three stations on one slope --------------------------------------------------------


@pytest.fixture(scope="module")
def slope() -> list[xr.DataArray]:
    files = {"phortse_3810m": 3810, "camp2_6464m": 6464, "south_col_7945m": 7945}
    return [
        gt.read_climate(EVEREST_AWS / f"{name}_2019_hourly.csv", kind="temperature", elevation=z)
        for name, z in files.items()
    ]


@needs(EVEREST_AWS)
def test_the_lapse_rate_of_everest(slope):
    found = gt.lapse_rate(slope, by="all")
    table = pd.concat([s.to_series() for s in slope], axis=1, join="inner").dropna()
    by_hand = np.polyfit([3.81, 6.464, 7.945], table.mean(), 1)[0]
    assert int(found["count"]) == len(table) == 4012
    assert float(found.lapse_rate) == pytest.approx(by_hand, rel=1e-9)
    assert float(found.lapse_rate) == pytest.approx(-5.73, abs=0.01)
    monthly = gt.lapse_rate(slope)
    known = monthly.lapse_rate.dropna("month")
    assert known.month.values.tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert ((known > -8) & (known < -4)).all()
    # Moist air of the monsoon cools least with height.
    assert int(known.idxmax()) == 7


@needs(EVEREST_AWS)
def test_the_lapse_rate_foretells_a_fourth_station(slope):
    """Naulek, 5,350 m, 30 km away, had no part in the rate; without it Phortse is 9 K too warm."""
    naulek = gt.read_climate(
        EVEREST_AWS / "naulek_5350m_daily_2012_2021.csv", kind="temperature", elevation=5350
    )
    assert naulek.attrs["source_units"] == "K (from the values)"
    rate = float(gt.lapse_rate(slope, by="all").lapse_rate)
    phortse = slope[0].resample(time="1D").mean()
    moved = gt.downscale_temperature(phortse, 5350.0, lapse_rate=rate, reference_elevation=3810.0)
    mine, theirs = xr.align(moved.dropna("time"), naulek.dropna("time"))
    assert mine.size > 180
    assert abs(float((mine - theirs).mean())) < 1.5
    assert float(np.corrcoef(mine, theirs)[0, 1]) > 0.9
    raw, theirs = xr.align(phortse.dropna("time"), naulek.dropna("time"))
    assert float((raw - theirs).mean()) > 8


@needs(EVEREST_AWS)
def test_a_fault_of_the_gauge_is_told():
    table = EVEREST_AWS / "phortse_3810m_2019_hourly.csv"
    with pytest.raises(InputError, match=r"as low as -49\d"):
        gt.read_climate(table, kind="precipitation", units="mm")
    clean = pd.read_csv(table)
    clean["PRECIP"] = clean["PRECIP"].where(clean["PRECIP"] >= 0)
    rain = gt.read_climate(clean, kind="precipitation", units="mm")
    assert 300 < float(rain.sum()) < 1500


# --- grids ---------------------------------------------------------------------------------------


def everest() -> gpd.GeoDataFrame:
    return gpd.read_file(EVEREST / "rgi60_outlines_everest.gpkg")


@needs(GRIDS)
def test_a_regular_grid_by_hand(outline):
    """ERA5: the four corners around Zhadang, weighted with pencil and paper."""
    path = GRIDS / "era5_vimd_monthly_DJFMA_2009_2020.nc"
    # Moisture divergence is no temperature; here it is but numbers on a grid.
    field = gt.read_climate(path, kind="temperature", variable="vimd", units="degC")
    point = outline.to_crs(4326).representative_point().iloc[0]
    raw = xr.open_dataset(path)["vimd"]
    u, v = (point.y - 30.25) / 0.25, (point.x - 90.5) / 0.25
    corner = {k: raw.sel(latitude=k[0], longitude=k[1]).values.astype(float)
              for k in ((30.25, 90.5), (30.25, 90.75), (30.5, 90.5), (30.5, 90.75))}  # fmt: skip
    expected = (1 - u) * ((1 - v) * corner[30.25, 90.5] + v * corner[30.25, 90.75]) + u * (
        (1 - v) * corner[30.5, 90.5] + v * corner[30.5, 90.75]
    )
    got = gt.sample_climate(field, outline)
    np.testing.assert_allclose(got.values[:, 0], expected, atol=1e-6)
    nearest = gt.sample_climate(field, outline, method="nearest")
    np.testing.assert_allclose(nearest.values[:, 0], corner[30.5, 90.75], atol=1e-6)
    # 86 glaciers about Everest lie in a handful of cells of 0.25 degrees.
    many = gt.sample_climate(field, everest(), method="nearest")
    assert many.attrs["n_glaciers"] == 86
    assert many.attrs["n_cells"] <= 4


@needs(GRIDS)
def test_the_mesh_of_wrf_by_hand(outline):
    """WRF is even in its own Lambert projection on a sphere: interpolated there instead."""
    path = GRIDS / "wrf_tip_10km_t2_20050921.nc"
    field = gt.read_climate(path)
    assert field.time.values[1] == np.datetime64("2005-09-21T01:00")
    raw = xr.open_dataset(path)
    lcc = "+proj=lcc +lat_1=30 +lat_2=35 +lat_0=30 +lon_0=87 +R=6370000"
    mover = pyproj.Transformer.from_crs("+proj=longlat +R=6370000", lcc, always_xy=True)
    x, y = mover.transform(raw.XLONG.values, raw.XLAT.values)
    x, y = x.mean(axis=0), y.mean(axis=1)
    np.testing.assert_allclose(np.diff(x), 10_000, rtol=0.01)
    even = raw.T2.astype(float).assign_coords(south_north=y, west_east=x)
    for outlines in (outline, everest()):
        points = outlines.to_crs(4326).make_valid().representative_point()
        px, py = mover.transform(points.x.to_numpy(), points.y.to_numpy())
        expected = even.interp(west_east=("g", px), south_north=("g", py)).values - 273.15
        got = gt.sample_climate(field, outlines)
        np.testing.assert_allclose(got.values, expected, atol=0.02)
    assert got.attrs["n_cells"] < 20


@needs(GRIDS)
def test_the_grid_of_har(outline):
    """The staged file has a good grid and no values: both are told."""
    path = GRIDS / "har_30km_t2_annual_2000.nc"
    raw = xr.open_dataset(path)
    if not bool(raw.t2.notnull().any()):
        with pytest.raises(InputError, match="'t2' holds no value at all"):
            gt.read_climate(path)
    lcc = "+proj=lcc +lat_1=30 +lat_2=35 +lat_0=30 +lon_0=87 +R=6370000"
    mover = pyproj.Transformer.from_crs("+proj=longlat +R=6370000", lcc, always_xy=True)
    plane = (raw.west_east * 1e-5 + raw.south_north * 1e-5).transpose("south_north", "west_east")
    raw["t2"] = (raw.t2.dims, plane.values[None].astype("float32"), raw.t2.attrs)
    by_mesh = gt.read_climate(raw, units="degC")
    by_plane = gt.read_climate(raw.drop_vars(["lat", "lon"]), units="degC", crs=lcc)
    outlines = gpd.GeoSeries(
        pd.concat([outline.geometry, everest().make_valid().to_crs(outline.crs)]), crs=outline.crs
    )
    points = outlines.to_crs(4326).representative_point()
    px, py = mover.transform(points.x.to_numpy(), points.y.to_numpy())
    expected = 1e-5 * (np.asarray(px) + np.asarray(py))
    got = gt.sample_climate(by_mesh, outlines)
    np.testing.assert_allclose(got.values[0], expected, atol=0.01)
    # On WGS 84 a latitude is another place than on the sphere: up to 20 km, two thirds of a cell.
    shifted = gt.sample_climate(by_plane, outlines)
    assert 0 < np.abs(shifted.values[0] - expected).max() < 0.2


# --- velocity series -----------------------------------------------------------------------------


@needs(TIBET)
def test_trends_of_28_glaciers_with_gaps():
    """Half of them have no velocity; the rest has gaps, and is mostly slowing down."""
    ds = xr.open_dataset(TIBET / "regional_28glaciers_quarterly_velocity.nc")
    found = gt.trend(ds.v, dim="mid_date")
    assert found.sizes["rgi_id"] == 28
    empty = found["count"] == 0
    assert int(empty.sum()) == 14
    assert found.slope.isnull().equals(empty.drop_vars(empty.coords).assign_coords(found.coords))
    seasonal = gt.seasonal_trend(ds.v, dim="mid_date", season="quarter")
    for result in (found, seasonal):
        slopes = result.slope.dropna("rgi_id")
        assert (np.abs(slopes) < 1.5).all()
        assert float((slopes < 0).mean()) > 0.8
        inside = (result.slope_low <= result.slope) & (result.slope <= result.slope_high)
        assert inside.where(~empty, True).all()
    peer = pytest.importorskip("pymannkendall")
    first = ds.v.isel(rgi_id=0)
    plain = gt.trend(first, dim="mid_date", correction="none")
    assert float(plain.z) == pytest.approx(peer.original_test(first.values).z)
    # The join with the inventory, as the attribution takes it.
    table = (
        found[["slope", "p_value"]]
        .to_dataframe()
        .join(ds[["area_km2", "slope_deg"]].to_dataframe())
    )
    assert table["area_km2"].notna().all()


@needs(ZANGSER)
def test_the_peak_of_zangser_kangri():
    """Surge-like, 2015 to 2017: found, and not called a surge, as it is 2.3 times the usual."""
    table = pd.read_csv(ZANGSER / "itslive_point_34.3963N_85.9067E.csv", parse_dates=["mid_date"])
    ds = xr.Dataset(
        {"v": ("mid_date", table["v_m_per_yr"].astype(float))},
        {"mid_date": table["mid_date"].dt.tz_localize(None).to_numpy()},
    )
    got = gt.surge_candidates(ds).iloc[0]
    assert got["peak_year"] == 2016
    assert got["start"].year == 2015
    assert got["end"].year == 2017
    assert 2 < got["ratio"] < 3
    assert not got["candidate"]
    assert got["verdict"].startswith("speed-up, below the mark of a surge")
    assert gt.surge_candidates(ds, ratio=2)["candidate"].item()
    late = gt.surge_candidates(ds.sel(mid_date=slice("2018-06", None))).iloc[0]
    assert late["verdict"].startswith("no sign")
    after = ds.v.sel(mid_date=slice("2017", None)).resample(mid_date="MS").median()
    decline = gt.trend(after, dim="mid_date")
    assert float(decline.slope) < -5
    assert float(decline.p_value) < 0.05


@pytest.fixture(scope="module")
def pairs() -> xr.Dataset:
    ds = xr.open_dataset(TIBET / "itslive_pairs_X750000_Y3350000_subset.nc")
    return ds.sel(mid_date=ds.mid_date.dt.year >= 2015)[
        ["vx", "vy", "vx_error", "vy_error", "acquisition_date_img1", "acquisition_date_img2"]
    ]


@needs(TIBET)
def test_a_season_imposed_on_the_dates_of_real_pairs_comes_back(pairs):
    start, end = ((pairs[f"acquisition_date_img{k}"].values - EPOCH) / DAY / 365.25 for k in (1, 2))
    phase = OMEGA * 200 / 365.25
    mean = np.sin(OMEGA * end - phase) - np.sin(OMEGA * start - phase)
    noise = np.random.default_rng(0).normal(0, pairs.vx_error.values)
    imposed = pairs.drop_vars(["vx", "vy", "vx_error", "vy_error"]).assign(
        v=("mid_date", 60 + 12 * mean / OMEGA / (end - start) + noise), v_error=pairs.vx_error
    )
    back = gt.fit_seasonal(imposed)
    assert float(back.v_mean) == pytest.approx(60, abs=4 * float(back.v_mean_error))
    assert float(back.v_amplitude) == pytest.approx(12, abs=4 * float(back.v_amplitude_error))
    assert float(back.v_amplitude_error) < 1
    assert float(back.peak_day) == pytest.approx(200, abs=10)


@needs(TIBET)
def test_the_season_of_real_pairs_is_that_of_the_images(pairs):
    """Fast and nearly resting ice show the same season: shadows move, not the glacier.

    Some 9 m/yr are a shift of 1.4 m with the season, a tenth of a pixel of Landsat.
    """
    found = gt.fit_seasonal(pairs.isel(y=slice(None, None, 2), x=slice(None, None, 2)))
    speed, amplitude = found.v_mean.values, found.v_amplitude.values
    slow, fast = speed < 5, speed > 15
    assert slow.sum() > 50
    assert fast.sum() > 15
    assert np.median(amplitude[slow]) > 0.7 * np.median(amplitude[fast])
    assert np.median(amplitude[slow]) > 2 * np.median(speed[slow])  # no speed can do that
    peaks = [np.exp(1j * OMEGA * found.peak_day.values[m] / 365.25).mean() for m in (slow, fast)]
    assert abs(np.angle(peaks[0] / peaks[1])) / OMEGA * 365.25 < 60
    # The mean speed is not touched by it.
    median = np.hypot(pairs.vx, pairs.vy).median("mid_date").values[::2, ::2]
    np.testing.assert_allclose(np.median(speed[fast] / median[fast]), 1, atol=0.15)
