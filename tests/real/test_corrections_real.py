"""The corrections on real offsets: a third party's raw field under a plane, few nunataks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray
import xarray as xr

import glaciertoolkit as gt

YAHTSE = Path(__file__).parents[2].parent / "shared" / "data" / "pair_yahtse_landsat8"
ROCK = YAHTSE / "outlines_rock_nunataks.gpkg"
DAYS = 16.0000347

TRUSTED = 0.4
"""Share of the published posts that is left out, by their own signal-to-noise ratio: 5.0 of ampcor,
below which its authors' field is mostly false matches."""

needs_yahtse = pytest.mark.skipif(
    not YAHTSE.exists(), reason="no real data at shared/pair_yahtse_landsat8"
)


@pytest.fixture(scope="module")
def carst() -> xr.Dataset:
    """The published offsets as `track` would return them: 32-pixel windows every 8 pixels."""
    raster = rioxarray.open_rasterio(YAHTSE / "carst_ampcor_raw_vxvy_snr_120m.tif", masked=True)
    assert isinstance(raster, xr.DataArray)
    dims = ("y", "x")
    ds = xr.Dataset(
        {
            "dx": (dims, (raster[0].values * DAYS).astype(np.float32)),
            "dy": (dims, (raster[1].values * DAYS).astype(np.float32)),
            "snr": (dims, raster[2].values.astype(np.float32)),
            "flag": (dims, np.zeros(raster[0].shape, np.uint32)),
        },
        coords={
            "y": raster.y.values,
            "x": raster.x.values,
            "reference_time": np.datetime64("2016-07-18T20:37:06", "ns"),
            "secondary_time": np.datetime64("2016-08-03T20:37:09", "ns"),
        },
        attrs={"template": [32, 32], "step": [8, 8], "pixel": [15.0, 15.0], "search": [16, 16]},
    )
    return ds.rio.write_crs(raster.rio.crs)


@pytest.fixture(scope="module")
def ours(carst: xr.Dataset) -> xr.Dataset:
    """Our motion of the same pair, at the published posts."""
    pair = gt.open_pair(
        YAHTSE / "LC08_063018_20160718_B8.tif", YAHTSE / "LC08_063018_20160803_B8.tif"
    )
    offsets = pair.glacier.track(template=64, search=16, step=8).compute()
    stable = gt.stable_terrain(offsets, polygons=ROCK, dem=YAHTSE / "dem_srtm_50m.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
        motion = offsets.glacier.correct(stable=stable, dem=YAHTSE / "dem_srtm_50m.tif")
    return motion[["dx", "dy"]].interp(x=carst.x, y=carst.y, method="nearest")


def difference(theirs: xr.Dataset, ours: xr.Dataset, where: Any) -> np.ndarray:
    """NMAD of the difference in x and y, m per day."""
    return np.array([gt.nmad(((theirs[k] - ours[k]) / DAYS).where(where)) for k in ("dx", "dy")])


@needs_yahtse
@pytest.mark.slow
def test_a_plane_on_rock_alone_takes_the_ramp_of_a_published_field(
    carst: xr.Dataset, ours: xr.Dataset
) -> None:
    rock = gt.stable_terrain(carst, polygons=ROCK)
    assert 0.03 < float(rock.mean()) < 0.08
    trusted = carst.snr >= carst.snr.quantile(TRUSTED)
    raw = difference(carst, ours, trusted)
    assert raw[0] > 0.25
    assert raw[1] > 0.4

    chosen = gt.remove_deformation(carst, stable=rock, order="auto")
    # Cross-validation and the coverage of the rock say plane, without being told.
    assert chosen.deformation_basis.item() == "1"
    left = difference(chosen, ours, trusted)
    assert (left <= 0.12).all()
    # all posts, false matches among them
    assert (difference(chosen, ours, True) <= 0.15).all()
    # and away from the rock that it was fitted to
    assert (difference(chosen, ours, trusted & ~rock) <= 0.125).all()

    plane = gt.remove_deformation(carst, stable=rock, order=1)
    xr.testing.assert_identical(plane.dx_deformation, chosen.dx_deformation)
    with pytest.warns(gt.GlacierToolkitWarning, match="reduced from order 2"):
        reduced = gt.remove_deformation(carst, stable=rock, order=2)
    xr.testing.assert_identical(reduced.dx_deformation, plane.dx_deformation)


@needs_yahtse
@pytest.mark.slow
@pytest.mark.parametrize("order", [2, 3])
def test_a_richer_surface_would_have_been_worse(
    carst: xr.Dataset, ours: xr.Dataset, order: int
) -> None:
    """What the checks keep from being applied: fitted to the same rock by robust regression."""
    rock = gt.stable_terrain(carst, polygons=ROCK)
    x, y = np.meshgrid(*(np.linspace(-1, 1, carst.sizes[k]) for k in ("x", "y")))
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    use = rock.values & np.isfinite(carst.dx.values)
    out = carst.copy()
    for name in ("dx", "dy"):
        design = np.column_stack([(x**i * y**j).ravel() for i, j in powers])
        fit = gt.robust.regress(design[use.ravel()], carst[name].values[use])
        surface = (design @ fit.coefficients).reshape(x.shape)
        out[name] = carst[name] - surface
    trusted = carst.snr >= carst.snr.quantile(TRUSTED)
    plane = gt.remove_deformation(carst, stable=rock, order="auto")
    worse, best = (difference(ds, ours, trusted) for ds in (out, plane))
    assert (worse > 1.08 * best).all()
    assert worse.max() > (1.1 if order == 2 else 1.3) * best.max()


@needs_yahtse
@pytest.mark.slow
def test_the_whole_path_on_a_published_field(carst: xr.Dataset, ours: xr.Dataset) -> None:
    rock = gt.stable_terrain(carst, polygons=ROCK)
    out = gt.correct(carst, stable=rock, dem=YAHTSE / "dem_srtm_50m.tif", order="auto", min_snr=3.4)
    assert out.deformation_basis.item() == "1"
    assert float(np.isfinite(out.dx).mean()) > 0.55
    assert (difference(out, ours, True) <= [0.12, 0.10]).all()
    flagged = (out.flag & np.uint32(gt.Flag.LOW_SNR)) > 0
    assert 0.15 < float(flagged.mean()) < 0.3


@needs_yahtse
@pytest.mark.slow
def test_no_plane_comes_much_closer(carst: xr.Dataset, ours: xr.Dataset) -> None:
    """What is left after the plane on rock is what is left after the best plane over all posts."""
    rock = gt.stable_terrain(carst, polygons=ROCK)
    trusted = carst.snr >= carst.snr.quantile(TRUSTED)
    plane = gt.remove_deformation(carst, stable=rock, order="auto")
    apart = carst.assign(
        {k: (carst[k] - ours[k]).where(trusted).astype(np.float32) for k in ("dx", "dy")}
    )
    best = gt.remove_deformation(apart, stable=True, order=1)
    floor = np.array([gt.nmad(best[k] / DAYS) for k in ("dx", "dy")])
    assert (difference(plane, ours, trusted) <= 1.05 * floor).all()
