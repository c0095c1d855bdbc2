"""The grid of a map around a radar scene, and the size of a template on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.grids import utm_zone
from glaciertoolkit.sar.geometry import RadarPair

LARGEST_MAP = 400_000_000
"""Posts of a map above which the posting is surely a slip."""


def map_grid(ds: xr.Dataset, *, crs: Any = None, posting: float = 12.0) -> xr.Dataset:
    """The posts of a map around located radar posts, on whole multiples of the posting.

    Raises
    ------
    GridError
        No post has a place, or the CRS is not in metres.
    """
    import rioxarray  # noqa: F401  (registers .rio)
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError

    lon, lat = (np.asarray(ds[name].values)[::8, ::8] for name in ("longitude", "latitude"))
    known = np.isfinite(lon)
    if not known.any():
        raise GridError("none of the posts has a place on the map; does the DEM cover the scene?")
    lon, lat = lon[known], lat[known]
    try:
        to = CRS.from_user_input(crs) if crs is not None else utm_zone(lon.mean(), lat.mean())
    except CRSError as error:
        raise GridError(f"crs={crs!r} is not a CRS; give an EPSG code such as 32645.") from error
    if not to.is_projected or any(axis.unit_name != "metre" for axis in to.axis_info):
        raise GridError(
            f"the map needs a projected CRS in metres, {to.name} is none; give the UTM zone."
        )
    x, y = Transformer.from_crs("EPSG:4326", to, always_xy=True).transform(lon, lat)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise GridError(f"the scene lies outside the area of {to.name}; choose another CRS.")
    margin = 2 * posting
    first = [np.floor((v.min() - margin) / posting) for v in (x, y)]
    last = [np.ceil((v.max() + margin) / posting) for v in (x, y)]
    nx, ny = (int(b - a) + 1 for a, b in zip(first, last, strict=True))
    if nx * ny > LARGEST_MAP:
        raise ParameterError(
            f"a posting of {posting:g} m makes a map of {nx} x {ny} posts; give a larger one."
        )
    coords = {"y": posting * (last[1] - np.arange(ny)), "x": posting * (first[0] + np.arange(nx))}
    grid: xr.Dataset = xr.Dataset(coords=coords).rio.write_crs(to, grid_mapping_name=GRID_MAPPING)
    return grid


def template_on_ground(ds: xr.Dataset, pair: RadarPair) -> tuple[float, float]:
    """Edges of the template on level ground along azimuth and ground range, metres."""
    from glaciertoolkit.sar.baselines import incidence

    template = np.atleast_1d(np.asarray(ds.attrs.get("template", 1), float))
    middle = {k: ds.sizes[k] // 2 for k in ("y", "x")}
    lon, lat = (float(ds[name].isel(middle)) for name in ("longitude", "latitude"))
    if not np.isfinite(lon):
        lon, lat = (float(np.nanmean(ds[name])) for name in ("longitude", "latitude"))
    angle = float(incidence(pair.reference, lon, lat, float(np.nanmean(ds["height"]))))
    ground = pair.reference.range_spacing / np.sin(np.radians(angle))
    return float(template[0] * pair.reference.azimuth_spacing), float(template[-1] * ground)
