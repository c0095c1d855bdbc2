"""Offsets with everything that corrections remove, and the ground that they lie on, for tests."""

from __future__ import annotations

import warnings
from typing import Any

import geopandas as gpd
import numpy as np
import xarray as xr
from scenes import normalised, offset_field
from shapely import box

import glaciertoolkit as gt


def correction_scene(posts: int = 96, *, wrong: float = 0.05) -> dict[str, Any]:
    """Offsets, DEM and outlines: a quadratic deformation, 4 m per 1000 m of height, moving ice.

    Posts lie 40 m apart, four in a template; a share of the matches is wrong.
    """
    ds = offset_field((posts, posts), spacing=40.0, pixel=10.0)
    rng = np.random.default_rng(1)
    x, y = normalised(ds)
    dem = (4000 + 350 * np.sin(5 * x) * np.cos(4 * y)).transpose("y", "x").astype(np.float32)
    surface = 8 * (0.3 + 0.5 * x - 0.4 * y + 0.2 * x**2 - 0.3 * x * y + 0.1 * y**2)
    ice = (abs(x) < 0.4) & (abs(y) < 0.5)
    bad = xr.DataArray(rng.random(ds.dx.shape) < wrong, dims=("y", "x"))
    parts = {"dx": surface + 0.004 * (dem - 4000), "dy": -0.5 * surface}
    for name, part in parts.items():
        value = ds[name] + part + 6.0 * ice
        value = xr.where(bad, rng.uniform(-40, 40, ds.dx.shape), value)
        ds[name] = value.transpose("y", "x").astype(np.float32)
    ds["correlation"] = xr.where(bad, 0.2, 0.7).astype(np.float32)
    edges = [float(ds[k].mean()) for k in ("x", "y")]
    half = [f * np.ptp(ds[k].values) / 2 for k, f in (("x", 0.4), ("y", 0.5))]
    shape = box(edges[0] - half[0], edges[1] - half[1], edges[0] + half[0], edges[1] + half[1])
    outlines = gpd.GeoDataFrame({"rgi_id": ["one"]}, geometry=[shape], crs=32645)
    attrs = ds.attrs
    ds = ds.rio.write_crs(32645).assign_attrs(attrs)
    return {"offsets": ds, "dem": dem.rio.write_crs(32645), "outlines": outlines}


def answered(scene: dict[str, Any], *, ground: dict[str, Any] | None = None, **options: Any) -> Any:
    """The stable ground of a scene, and what `correct` makes of it, as a person would call it."""
    offsets, dem = scene["offsets"], scene["dem"]
    stable = gt.stable_terrain(offsets, outlines=scene["outlines"], dem=dem, **(ground or {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
        return stable, gt.correct(offsets, stable=stable, dem=dem, **options)
