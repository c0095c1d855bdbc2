"""Posts that lie askew on the map: a radar grid whose posts know their longitude and latitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.errors import GridError
from glaciertoolkit.grids.posts import Grid

PLACE = ("longitude", "latitude")
ROWS = 256
"""Rows of posts that are projected at once."""


def is_located(grid: Grid) -> bool:
    """Whether each post of `grid` has a longitude and a latitude of its own.

    Raises
    ------
    GridError
        For posts in radar geometry that have not been located yet.
    """
    if all(name in grid.coords and grid.coords[name].dims == ("y", "x") for name in PLACE):
        return True
    if in_radar_geometry(grid):
        raise GridError(
            "the posts are in radar geometry and have no place on the map yet; locate them first: "
            "offsets = offsets.glacier.locate(dem=DEM)."
        )
    return False


@dataclass(frozen=True)
class Located:
    """The posts of a grid on a map: a regular map grid around them, and where each one lies.

    `rows` and `columns` are those of the map grid, fractions included; NaN for posts without a
    place.
    """

    posts: Grid
    grid: xr.Dataset
    rows: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]

    @classmethod
    def of(cls, posts: Grid, *, spacing: float | None = None) -> Located:
        """Place the posts of a grid on a map in the UTM zone they lie in.

        Parameters
        ----------
        posts : xarray.Dataset or xarray.DataArray
            With the coordinates `longitude` and `latitude` (y, x), degrees.
        spacing : float, optional
            Of the map grid, metres; by default about that of the posts.
        """
        from pyproj import Transformer

        lon, lat = (np.asarray(posts.coords[name].values) for name in PLACE)
        known = np.isfinite(lon) & np.isfinite(lat)
        if not known.any():
            raise GridError(
                "none of the posts has a place on the map; the DEM does not cover the scene."
            )
        crs = utm_zone(float(np.median(lon[known])), float(np.median(lat[known])))
        to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        x, y = np.empty((2, *lon.shape))
        for first in range(0, lon.shape[0], ROWS):
            part = slice(first, first + ROWS)
            x[part], y[part] = to_map.transform(lon[part], lat[part])
        x[~known] = y[~known] = np.nan
        if spacing is None:
            spacing = _spacing_of(x, y)
        left, top = (np.floor(np.nanmin(x) / spacing) - 1) * spacing, np.nanmax(y) + spacing
        nx = int(np.ceil((np.nanmax(x) - left) / spacing)) + 2
        ny = int(np.ceil((top - np.nanmin(y)) / spacing)) + 2
        coords = {"y": top - spacing * np.arange(ny), "x": left + spacing * np.arange(nx)}
        import rioxarray  # noqa: F401  (registers .rio)

        grid = xr.Dataset(coords=coords).rio.write_crs(crs)
        rows = ((top - y) / spacing).astype(np.float32)
        return cls(posts, grid, rows, ((x - left) / spacing).astype(np.float32))

    def take(self, field: xr.DataArray) -> xr.DataArray:
        """A field on the map grid, at the posts: the nearest of a mask or of numbers of polygons,
        else bilinear."""
        from scipy.ndimage import map_coordinates

        values = np.asarray(field.values)
        whole = values.dtype.kind in "biu"
        known = np.isfinite(self.rows)
        if whole:
            r, c = (
                np.rint(np.where(known, v, 0)).astype(np.intp) for v in (self.rows, self.columns)
            )
            found: Any = values[r, c]
            found[~known] = np.asarray(-1).astype(values.dtype) if values.dtype.kind == "i" else 0
        else:
            found = map_coordinates(
                values, [self.rows, self.columns], np.float32, order=1, cval=np.nan, mode="constant"
            )
            found[~known] = np.nan
        coords = {name: self.posts.coords[name] for name in ("y", "x", *PLACE)}
        attrs = {k: v for k, v in field.attrs.items() if k != "grid_mapping"}
        return xr.DataArray(found, coords, ("y", "x"), name=field.name, attrs=attrs)


def utm_zone(longitude: float, latitude: float) -> Any:
    """The UTM zone (WGS84) of a place, as a pyproj CRS; polar stereographic beyond 84 N and 80 S.

    Examples
    --------
    >>> utm_zone(86.9, 28.0).to_epsg()
    32645
    """
    from pyproj import CRS

    if latitude > 84:
        return CRS.from_epsg(3413)
    if latitude < -80:
        return CRS.from_epsg(3031)
    zone = int((longitude + 180) // 6) % 60 + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def _spacing_of(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Typical distance between neighbouring posts, metres."""
    steps = [np.hypot(np.diff(x, axis=axis), np.diff(y, axis=axis)) for axis in (0, 1)]
    return float(max(np.nanmedian(step) for step in steps))
