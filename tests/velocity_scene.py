"""A small velocity Dataset with known content, for the tests of plots, report and apps."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe

DAYS = 29
YEAR_OVER_DAYS = 365.25 / DAYS


def coordinates(ny: int = 120, nx: int = 150, post: float = 48.0) -> dict[str, np.ndarray]:
    return {
        "y": 3_100_000.0 - post * np.arange(ny),
        "x": 480_000.0 + post * np.arange(nx),
    }


def elevation_model(ny: int = 120, nx: int = 150, post: float = 48.0) -> xr.DataArray:
    """A valley along x between two ridges: 4,800 m at its floor in the east, 6,000 m on top."""
    import rioxarray  # noqa: F401

    coords = coordinates(ny, nx, post)
    across = np.linspace(-1, 1, ny)[:, None]
    along = np.linspace(0, 1, nx)[None, :]
    height = 4800 + 900 * across**2 + 300 * (1 - along) + 25 * np.sin(40 * along) * np.abs(across)
    dem = xr.DataArray(height.astype("float32"), dims=("y", "x"), coords=coords, name="elevation")
    dem.attrs = {"units": "m", "long_name": "elevation"}
    return dem.rio.write_crs(32645)


def glacier_mask(ny: int = 120, nx: int = 150) -> np.ndarray:
    across = np.linspace(-1, 1, ny)[:, None]
    along = np.linspace(0, 1, nx)[None, :]
    return (np.abs(across) < 0.35) & (along > 0.08) & (along < 0.92)


def velocity_scene(ny: int = 120, nx: int = 150, post: float = 48.0) -> xr.Dataset:
    """One glacier that flows east at up to 120 m/yr between rock with 0.2 m of noise."""
    rng = np.random.default_rng(7)
    coords = coordinates(ny, nx, post)
    across = np.linspace(-1, 1, ny)[:, None] * np.ones(nx)
    along = np.linspace(0, 1, nx)[None, :] * np.ones((ny, 1))
    ice = glacier_mask(ny, nx)
    speed = np.where(ice, 120 * (1 - (across / 0.35) ** 2) * np.sin(np.pi * along), 0.0)
    noise = rng.normal(0, 0.2, (2, ny, nx))
    dx = speed / YEAR_OVER_DAYS + noise[0]
    dy = -0.15 * speed / YEAR_OVER_DAYS + noise[1]
    flag = np.zeros((ny, nx), dtype="uint32")
    flag[: ny // 8, : nx // 6] = Flag.NODATA
    flag[(rng.random((ny, nx)) < 0.04) & (flag == 0)] = Flag.LOW_CORRELATION
    flag[(rng.random((ny, nx)) < 0.02) & (flag == 0)] = Flag.OUTLIER_MEDIAN | Flag.SMALL_OBJECT
    flag[-6:, -30:] |= np.uint32(Flag.EXTRAPOLATED)
    missing = (flag & ~np.uint32(Flag.EXTRAPOLATED)) != 0
    dx[missing], dy[missing] = np.nan, np.nan
    vx, vy = dx * YEAR_OVER_DAYS, dy * YEAR_OVER_DAYS
    error = np.where(missing, np.nan, 0.15 + 0.1 * ice)
    fields = {
        "dx": dx,
        "dy": dy,
        "dx_error": error,
        "dy_error": error,
        "vx": vx,
        "vy": vy,
        "v": np.hypot(vx, vy),
        "vx_error": error * YEAR_OVER_DAYS,
        "vy_error": error * YEAR_OVER_DAYS,
        "v_error": error * YEAR_OVER_DAYS,
        "correlation": np.where(missing, np.nan, 0.55 - 0.2 * ice + 0.1 * noise[0]),
        "snr": np.where(missing, np.nan, 9 + noise[1]),
        "peak_ratio": np.where(missing, np.nan, 1.6 + 0.2 * noise[0]),
        "dx_deformation": 2.0 * along - 1.5 * across + 3,
        "dy_deformation": -1.0 * along * across + 1,
        "dx_topography": 1.1e-3 * (900 * across**2 - 400),
        "dy_topography": 0.1e-3 * (900 * across**2 - 400),
        "dx_holdout": np.where(ice | missing, np.nan, dx + 0.02),
        "dy_holdout": np.where(ice | missing, np.nan, dy - 0.02),
    }
    variables = {name: (("y", "x"), value.astype("float32")) for name, value in fields.items()}
    variables["flag"] = (("y", "x"), flag)
    variables["stable"] = (("y", "x"), ~ice & ~missing)
    folds = (np.arange(ny)[:, None] // 20 + np.arange(nx)[None, :] // 20) % 5
    variables["stable_fold"] = (("y", "x"), np.where(ice, -1, folds).astype("int8"))
    times = {
        "reference_time": np.datetime64("2019-09-03T00:00:00", "ns"),
        "secondary_time": np.datetime64("2019-10-02T00:00:00", "ns"),
        "mid_date": np.datetime64("2019-09-17T12:00:00", "ns"),
    }
    import rioxarray  # noqa: F401

    ds = xr.Dataset(variables, coords={**coords, **times}).rio.write_crs(32645)
    return describe(ds)


def outlines_table(ny: int = 120, nx: int = 150, post: float = 48.0):
    """The glacier of the scene as one polygon with a hole."""
    import geopandas as gpd
    from shapely.geometry import Polygon

    x0, y0 = 480_000.0, 3_100_000.0
    width, height = (nx - 1) * post, (ny - 1) * post
    west, east = x0 + 0.08 * width, x0 + 0.92 * width
    north, south = y0 - 0.325 * height, y0 - 0.675 * height
    hole = [(x0 + 0.5 * width + dx, y0 - 0.5 * height + dy)
            for dx, dy in ((0, 0), (300, 0), (300, 200), (0, 200))]  # fmt: skip
    ring = [(west, south), (east, south), (east, north), (west, north)]
    table = {"rgi_id": ["RGI2000-v7.0-G-15-00001"], "name": ["Test Glacier"]}
    return gpd.GeoDataFrame(table, geometry=[Polygon(ring, [hole])], crs=32645)
