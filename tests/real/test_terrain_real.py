"""Real elevation models and outlines in several CRSs, onto posts."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rioxarray
import shapely
import xarray as xr

from glaciertoolkit import grids, terrain
from glaciertoolkit.errors import GridError
from glaciertoolkit.profiles import profile
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.topography import topography

DATA = Path(__file__).parents[2].parent / "shared" / "data"
EVEREST, BALTORO = DATA / "site_everest_rongbuk", DATA / "site_baltoro"
YAHTSE = DATA / "pair_yahtse_landsat8"

pytestmark = pytest.mark.skipif(
    not (EVEREST.is_dir() and BALTORO.is_dir() and YAHTSE.is_dir()),
    reason=f"the collection of real data is not at {DATA}",
)


def itslive(name: str) -> xr.DataArray:
    path = EVEREST / f"itslive_HMA_G0120_{name}.tif"
    return rioxarray.open_rasterio(path, masked=True).squeeze(drop=True)


def pointwise(path: Path, like: xr.DataArray | xr.Dataset) -> np.ndarray:
    """The raster at the posts by a way of its own: pyproj and xarray's interpolation."""
    source = rioxarray.open_rasterio(path, masked=True).squeeze(drop=True)
    mover = pyproj.Transformer.from_crs(like.rio.crs.to_wkt(), source.rio.crs, always_xy=True)
    x, y = mover.transform(*np.meshgrid(like.x.values, like.y.values))
    return source.interp(x=(("y", "x"), x), y=(("y", "x"), y)).values


def test_a_dem_in_degrees_lands_on_utm_posts():
    like = xr.Dataset(
        coords={"y": 3_968_000.0 - 45 * np.arange(400), "x": 601_000.0 + 45 * np.arange(500)}
    ).rio.write_crs(32643)
    got = grids.match_raster(BALTORO / "dem_srtm_3as.tif", like)
    assert got.attrs["resampling"] == "bilinear"
    difference = got.values - pointwise(BALTORO / "dem_srtm_3as.tif", like)
    assert np.isfinite(difference).mean() > 0.999
    assert np.nanpercentile(abs(difference), 99.9) < 0.5
    assert abs(np.nanmedian(difference)) < 0.01


def test_a_dem_in_utm_lands_on_a_turned_and_scaled_grid():
    like = itslive("vx")
    got = grids.match_raster(EVEREST / "dem_aw3d_50m.tif", like, method="bilinear")
    difference = got.values - pointwise(EVEREST / "dem_aw3d_50m.tif", like)
    # The grid is turned by five degrees: its corners lie outside the DEM.
    assert 0.8 < np.isfinite(difference).mean() < 0.9
    assert np.nanpercentile(abs(difference), 99.9) < 0.5


def test_two_resolutions_of_one_dem_agree_where_their_cells_are_the_same():
    like = itslive("vx")
    coarse = grids.match_raster(EVEREST / "dem_aw3d_50m.tif", like)
    assert coarse.attrs["resampling"] == "average"
    smooth = terrain.terrain_at_posts(like, EVEREST / "dem_aw3d_50m.tif", smooth=120)
    difference = (coarse - smooth.elevation).values
    assert np.nanmedian(abs(difference)) < 3
    slope = smooth.slope
    assert 20 < float(slope.median()) < 30


def test_aspect_points_where_the_glacier_flows():
    """Fast ice flows downhill: an error of sign or axis would turn the agreement around."""
    vx, vy = itslive("vx"), itslive("vy")
    ground = terrain.terrain_at_posts(vx, EVEREST / "dem_aw3d_50m.tif", smooth=1000)
    fast = (np.hypot(vx, vy) > 15).values
    flow = np.degrees(np.arctan2(vx, vy)).values
    off = (flow - ground.aspect.values + 180) % 360 - 180
    off = off[fast & np.isfinite(off)]
    assert off.size > 300
    assert abs(np.median(off)) < 10
    # On the flat tongue the direction of steepest descent wanders.
    assert np.cos(np.radians(off)).mean() > 0.5


def test_stable_ground_is_slow_and_ice_is_not():
    vx = itslive("vx")
    speed = np.hypot(vx, itslive("vy"))
    outlines = EVEREST / "rgi60_outlines_everest.gpkg"
    ice = grids.rasterize(outlines, vx)
    stable = terrain.stable_terrain(vx, outlines=outlines, dem=EVEREST / "dem_aw3d_50m.tif")
    assert not bool((ice & stable).any())
    assert float(speed.where(ice).median()) > 4 * float(speed.where(stable).median())
    # Growing the outlines takes ground away, never ice.
    wider = terrain.stable_terrain(
        vx, outlines=outlines, dem=EVEREST / "dem_aw3d_50m.tif", buffer=500
    )
    assert not bool((wider & ~stable).any())


def test_index_of_86_glaciers_matches_their_areas():
    like = itslive("vx")
    table = grids.read_outlines(EVEREST / "rgi60_outlines_everest.gpkg", like)
    index = grids.burn_index(table, like)
    inside = table.within(shapely.box(*grids.post_bounds(like)))
    cell = np.prod(grids.grid_spacing(like))
    count = np.bincount(index.values[index.values >= 0], minlength=len(table))
    # A metre of this grid is 1.075 metres on the ground here.
    burned = count * cell / 1e6 * 1.075**2
    large = (inside & (table["Area"] > 2)).to_numpy()
    assert large.sum() >= 3
    np.testing.assert_allclose(burned[large], table["Area"][large], rtol=0.06)


def test_rock_of_the_yahtse_scene():
    like = rioxarray.open_rasterio(YAHTSE / "carst_ampcor_raw_vxvy_snr_120m.tif").isel(band=0)
    rock = YAHTSE / "outlines_rock_nunataks.gpkg"
    stable = terrain.stable_terrain(like, polygons=rock)
    cell = np.prod(grids.grid_spacing(like)) / 1e6
    assert stable.attrs["stable_posts"] * cell == pytest.approx(21, abs=3)
    gentle = terrain.stable_terrain(like, polygons=rock, dem=YAHTSE / "dem_srtm_50m.tif")
    assert 0.8 < gentle.attrs["stable_posts"] / stable.attrs["stable_posts"] < 1
    with pytest.raises(GridError, match="do not overlap"):
        terrain.stable_terrain(like, outlines=EVEREST / "rgi60_outlines_everest.gpkg")


# --- statistics and profiles of the ITS_LIVE mosaic ---


def velocity() -> xr.Dataset:
    vx, vy = itslive("vx"), itslive("vy")
    error = np.hypot(itslive("vx_err"), itslive("vy_err"))
    return xr.Dataset({"vx": vx, "vy": vy, "v": np.hypot(vx, vy), "v_error": error})


def test_speeds_on_and_off_the_ice_are_those_of_the_collection():
    """Median and 95th percentile on ice: about 2.1 and 24.5 m/yr; median beside it: 0.38."""
    ds = velocity()
    ice = grids.rasterize(EVEREST / "rgi60_outlines_everest.gpkg", ds).values
    on, off = (np.nanpercentile(ds.v.values[mask], [50, 95]) for mask in (ice, ~ice))
    np.testing.assert_allclose(on, [2.1, 24.5], rtol=0.1)
    assert off[0] == pytest.approx(0.38, rel=0.1)


def test_glaciers_of_the_everest_scene():
    ds = velocity()
    got = glaciers(ds, EVEREST / "rgi60_outlines_everest.gpkg", dem=EVEREST / "dem_aw3d_50m.tif")
    assert 30 < len(got) < 86
    assert len(got) + got.attrs["outside"] == 86
    rongbuk = got.set_index("rgi_id").loc["RGI60-15.09991"]
    assert rongbuk["name"] == "CN5O193B0142 Rongbuk Glacier"
    assert rongbuk["area_class"] == "large"
    assert rongbuk["coverage"] > 0.95
    # It flows north; the grid's north is 5.4 degrees west of that of UTM.
    assert abs((rongbuk["direction"] + 180) % 360 - 180) < 40
    assert rongbuk["v_median"] < rongbuk["v_mean"] < rongbuk["v_p90"] < rongbuk["v_p99"]
    # The DEM reaches 8,700 m; the tongue ends near 5,150 m.
    assert 5100 < rongbuk["zmin_m"] < 5250
    assert 6500 < rongbuk["zmax_m"] < 8849
    covered = got[got["coverage"] > 0.9]
    own = glaciers(
        ds, grids.read_outlines(EVEREST / "rgi60_outlines_everest.gpkg", ds)[["geometry"]]
    )
    ratio = own["area_km2"].loc[covered.index] / covered["area_km2"]
    np.testing.assert_allclose(ratio, 1, rtol=0.02)


def test_speed_by_elevation_adds_up():
    ds = velocity()
    outlines = EVEREST / "rgi60_outlines_everest.gpkg"
    got = topography(ds, EVEREST / "dem_aw3d_50m.tif", outlines=outlines)
    posts = int(got.posts_by_elevation.sum())
    # At the edge of the DEM there is an elevation and no slope.
    assert 0.98 * posts < int(got.posts_by_slope.sum()) <= posts
    assert int(got.posts_by_aspect.sum()) <= int(got.posts_by_slope.sum())
    # Ice is faster where it is gentle than on the headwalls.
    by_slope = got.v_median_by_slope
    assert float(by_slope.sel(slope_bin=7.5)) > 2 * float(by_slope.sel(slope_bin=47.5))


def test_profile_down_a_glacier_and_along_a_centreline():
    ds = velocity()
    tongue = shapely.LineString([(86.8946, 28.0147), (86.8847, 28.0337), (86.8765, 28.0611)])
    line = gpd.GeoSeries([tongue], crs=4326)
    got = profile(ds, line, dem=EVEREST / "dem_aw3d_50m.tif", width=300)
    flowing = got.where(got.v > 10, drop=True)
    assert flowing.sizes["distance"] > 20
    assert float((flowing.v_along > 0).mean()) > 0.95
    assert float(got.elevation[0]) - float(got.elevation[-1]) > 300
    dem = rioxarray.open_rasterio(BALTORO / "dem_srtm_3as.tif", masked=True).squeeze(drop=True)
    utm = dem.rio.reproject(32643, resolution=90).to_dataset(name="dem")
    lines = gpd.read_file(BALTORO / "centerlines_baltoro.gpkg")
    down = profile(utm, lines.loc[[lines.to_crs(32643).length.idxmax()]])
    drop = float(down.dem[0] - down.dem[-1])
    assert abs(drop) > 1000
    # A centreline goes down all the way, up to the roughness of the DEM.
    assert float((np.sign(drop) * down.dem.diff("distance") < 15).mean()) > 0.9
