"""Offsets of a radar pair made from the geometry alone: the truth for corrections and mapping."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag
from glaciertoolkit.sar.geocoding import ground_to_image, image_to_terrain
from glaciertoolkit.sar.geometry import GEOMETRIES
from glaciertoolkit.sar.heights import dem_grid

CRS = 32645


def relief(x, y):
    """Heights over eastings and northings: ridges and valleys 450 m above and below their mean."""
    return 4800 + 450 * np.sin(x / 1000.0) * np.cos(y / 900.0) + 0.02 * (y - y.mean())


def make_dem(longitude=86.9, latitude=28.0, *, half=16e3, spacing=30.0, height=relief):
    """A DEM (ellipsoidal heights) around a place, UTM."""
    import rioxarray  # noqa: F401
    from pyproj import Transformer

    x0, y0 = Transformer.from_crs(4326, CRS, always_xy=True).transform(longitude, latitude)
    x = x0 + spacing * np.arange(-int(half / spacing), int(half / spacing) + 1)
    y = y0 - spacing * np.arange(-int(half / spacing), int(half / spacing) + 1)
    z = height(x[None, :], y[:, None]).astype(np.float32)
    dem = xr.DataArray(z, {"y": y, "x": x}, ("y", "x"), name="elevation")
    return dem.rio.write_crs(CRS)


def offsets_of(reference, secondary, dem, *, step=(8, 6), template=(64, 48), moved=None, noise=0.0):
    """Offsets as `track` measures them, of ground that moved by `moved(lon, lat, h)` (E, N, U)."""
    terrain = dem_grid(dem, reference, geoid="ellipsoidal")
    lines = np.arange(0, reference.lines - template[0] + 1, step[0]) + (template[0] - 1) / 2
    samples = np.arange(0, reference.samples - template[1] + 1, step[1]) + (template[1] - 1) / 2
    line, sample = np.meshgrid(lines, samples, indexing="ij")
    lon, lat, h = image_to_terrain(reference, line, sample, terrain)
    there = ground_to_image(secondary, *displaced(lon, lat, h, moved))
    rng = np.random.default_rng(5)
    dx = (there[1] - sample) * reference.range_spacing + noise * rng.normal(size=line.shape)
    dy = (there[0] - line) * reference.azimuth_spacing + noise * rng.normal(size=line.shape)
    ds = xr.Dataset(
        {
            "dx": (("y", "x"), dx.astype(np.float32)),
            "dy": (("y", "x"), dy.astype(np.float32)),
            "dx_error": (("y", "x"), np.full(line.shape, max(noise, 0.01), np.float32)),
            "dy_error": (("y", "x"), np.full(line.shape, max(noise, 0.01), np.float32)),
            "dxdy_covariance": (("y", "x"), np.zeros(line.shape, np.float32)),
            "correlation": (("y", "x"), np.full(line.shape, 0.5, np.float32)),
            "flag": (("y", "x"), np.where(np.isnan(dx), int(Flag.NODATA), 0).astype(np.uint32)),
        },
        coords={
            "y": lines * reference.azimuth_spacing,
            "x": reference.near_range + samples * reference.range_spacing,
            "reference_time": reference.mid_time,
            "secondary_time": reference.mid_time + np.timedelta64(29, "D"),
        },
    )
    ds.attrs = {
        GEOMETRIES["reference"]: reference.to_json(),
        GEOMETRIES["secondary"]: secondary.to_json(),
        "template": list(template), "step": list(step), "search": [16, 16],
        "pixel": [reference.azimuth_spacing, reference.range_spacing],
    }  # fmt: skip
    return ds


def displaced(lon, lat, h, moved):
    """Points moved by metres of east, north and up."""
    if moved is None:
        return lon, lat, h
    east, north, up = moved(lon, lat, h)
    e2 = 1 / 298.257223563 * (2 - 1 / 298.257223563)
    s = np.sin(np.radians(lat))
    n = 6378137.0 / np.sqrt(1 - e2 * s**2)
    m = n * (1 - e2) / (1 - e2 * s**2)
    dlon = np.degrees(east / ((n + h) * np.cos(np.radians(lat))))
    return lon + dlon, lat + np.degrees(north / (m + h)), h + up
