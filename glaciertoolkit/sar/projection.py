"""A map, band by band: where each of its posts is seen in the radar image, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING
from glaciertoolkit.sar.geocoding import DemGrid, ground_to_image, sensitivities
from glaciertoolkit.sar.geometry import RadarPair
from glaciertoolkit.sar.los import grid_convergence

Array = npt.NDArray[Any]

ROWS = 128
"""Rows of the map that are worked on at once."""


@dataclass(frozen=True)
class Band:
    """Some rows of the map.

    `row` and `column` are places among the radar posts, fractions included; `sight` and `track`
    those of the secondary image; `normal` is the upward normal of the smoothed surface over true
    east, north and up; `convergence` in degrees.
    """

    rows: slice
    height: Array
    row: Array
    column: Array
    sight: Array
    track: Array
    normal: Array
    convergence: Array


@dataclass(frozen=True)
class Projector:
    """Projects a map into the radar image.

    Parameters
    ----------
    posts : xarray.Dataset
        With the coordinates of the radar posts.
    pair : RadarPair
    grid : xarray.Dataset
        The posts of the map.
    surface : xarray.Dataset
        `slope` and `aspect` there, degrees.
    terrain : DemGrid
    """

    posts: xr.Dataset
    pair: RadarPair
    grid: xr.Dataset
    surface: xr.Dataset
    terrain: DemGrid

    @cached_property
    def to_degrees(self) -> Any:
        """Transformer from the map to longitude and latitude."""
        from pyproj import CRS, Transformer

        crs = CRS.from_wkt(self.grid[GRID_MAPPING].attrs["crs_wkt"])
        return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    @cached_property
    def convergence(self) -> Any:
        """Grid convergence (degrees) over the map: smooth, so that a few nodes carry it."""
        from scipy.interpolate import RectBivariateSpline

        ends = ((float(v.min()), float(v.max())) for v in (self.grid["y"], self.grid["x"]))
        y, x = (np.linspace(*span, 9) for span in ends)
        lon, lat = self.to_degrees.transform(*np.meshgrid(x, y))
        return RectBivariateSpline(y, x, grid_convergence(self.to_degrees.source_crs, lon, lat))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return self.grid.sizes["y"], self.grid.sizes["x"]

    def bands(self) -> Iterator[Band]:
        """All bands, from the first row on."""
        for first in range(0, self.shape[0], ROWS):
            yield self.band(slice(first, min(first + ROWS, self.shape[0])))

    def band(self, rows: slice) -> Band:
        """One band."""
        x, y = np.meshgrid(self.grid["x"].values, self.grid["y"].values[rows])
        lon, lat = self.to_degrees.transform(x, y)
        height = self.terrain.sample(lon, lat)
        reference = self.pair.reference
        line, sample = ground_to_image(reference, lon, lat, height)
        azimuth = line * reference.azimuth_spacing
        slant = reference.near_range + sample * reference.range_spacing
        sight, track = sensitivities(self.pair.secondary, lon, lat, height)
        turn = self.convergence.ev(y, x)
        return Band(
            rows=rows,
            height=height,
            row=self._index(azimuth, "y"),
            column=self._index(slant, "x"),
            sight=sight,
            track=track,
            normal=self._normal(rows, turn),
            convergence=turn,
        )

    def _index(self, metres: Array, dim: str) -> Array:
        """Place among the posts along one axis."""
        first, last = (float(self.posts[dim][k]) for k in (0, -1))
        return (metres - first) / ((last - first) / (self.posts.sizes[dim] - 1))

    def _normal(self, rows: slice, convergence: Array) -> Array:
        slope = np.tan(np.radians(self.surface["slope"].values[rows]))
        # On level ground there is no aspect, and none is needed.
        aspect = np.nan_to_num(self.surface["aspect"].values[rows])
        fall = np.radians(aspect + convergence)
        return np.stack([slope * np.sin(fall), slope * np.cos(fall), np.ones(slope.shape)])
