"""The glaciers of a map and the posts on them: what the statistics by glacier start from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError, MissingVariableError
from glaciertoolkit.grids import (
    Grid,
    IcePosts,
    cell_area,
    match_raster,
    read_outlines,
    template_metres,
    to_schema,
)
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.grouped import counts, mean_square, summarise
from glaciertoolkit.terrain import same_posts, terrain_at_posts

if TYPE_CHECKING:
    import geopandas as gpd

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Elevation = str | os.PathLike[str] | Grid
"""Elevation, m, of any CRS and resolution; or the Dataset of `terrain_at_posts`."""

FEWEST = 5
"""Posts that the inner part of a glacier must keep, else the whole of it counts."""

SPEEDS = ("v", "vx", "vy", "v_error", "vx_error", "vy_error")


@dataclass(frozen=True)
class OnIce:
    """Outlines that reach a map (in its CRS, one schema) and the posts inside them."""

    ds: xr.Dataset
    outlines: gpd.GeoDataFrame
    inventory: gpd.GeoDataFrame
    ice: IcePosts

    @classmethod
    def of(cls, ds: xr.Dataset, outlines: Polygons) -> OnIce:
        """Read the outlines around a map and burn them on its posts."""
        table = read_outlines(outlines, ds, what="glacier outlines")
        return cls(ds, table, to_schema(table), IcePosts.of(table, ds))

    @property
    def number(self) -> int:
        """Number of glaciers."""
        return len(self.outlines)

    @cached_property
    def fields(self) -> dict[str, Array]:
        """Speed, components and errors at the posts, those that the map has."""
        return self.ice.take({k: self.ds[k] for k in SPEEDS if k in self.ds})

    @cached_property
    def area(self) -> float:
        """Area on the ground of a post, km2."""
        return cell_area(self.ds) / 1e6

    @property
    def error(self) -> Array | None:
        """1-sigma error of the speed at the posts; None where it is not known."""
        return self.fields.get("v_error")

    def component_error(self, labels: Array, size: int) -> Floats | None:
        """Root mean square error of a velocity component of each group; None where unknown."""
        found, speed = self.fields, self.fields["v"]
        names = ("vx_error", "vy_error") if {"vx_error", "vy_error"} <= set(found) else ("v_error",)
        if not set(names) <= set(found):
            return None
        squares = [mean_square(found[name], speed, labels, size) for name in names]
        return np.asarray(np.sqrt(np.mean(squares, axis=0)))

    def terrain(self, dem: Elevation, names: tuple[str, ...]) -> dict[str, Array]:
        """Attributes of the ground at the posts; the elevation of a raster is not smoothed."""
        if isinstance(dem, xr.Dataset) and "elevation" in dem:
            missing = [name for name in names if name not in dem]
            if missing:
                raise MissingVariableError(
                    f"the terrain given as dem lacks {', '.join(missing)}; make it with "
                    f"terrain_at_posts(velocity, dem, attributes={names!r})."
                )
            same_posts(dem, self.ds)
            return self.ice.take({name: dem[name] for name in names})
        fields: dict[str, xr.DataArray] = {}
        shape = tuple(name for name in names if name != "elevation")
        if "elevation" in names:
            fields["elevation"] = match_raster(dem, self.ds)
        if shape:
            ground = terrain_at_posts(self.ds, dem, attributes=shape)
            fields |= {name: ground[name] for name in shape}
        return self.ice.take(fields)

    def elevation(self, dem: Elevation) -> Array:
        """Elevation at the posts, m.

        Raises
        ------
        GridError
            No post inside the outlines has an elevation.
        """
        z = self.terrain(dem, ("elevation",))["elevation"]
        if not np.isfinite(z).any():
            raise GridError(
                "no post inside the outlines has an elevation; choose a DEM that covers the "
                "glaciers."
            )
        return z

    def normalised(self, z: Array) -> Array:
        """Elevation of each post between the lowest (0) and the highest (1) of its glacier."""
        found = summarise(z, self.ice.glacier, self.number, quantiles=(0.0, 1.0))
        low, high = (found[k][self.ice.glacier] for k in ("q0", "q1"))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(high > low, (z - low) / (high - low), np.nan)

    def inner(self, erode: float | None) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """The glacier of each post that counts (-1: none), and which glaciers lost their margin.

        Templates of posts nearer than `erode` metres to the margin see rock too; by default that
        is half the template.
        """
        glacier = self.ice.glacier
        if erode is None:
            erode = (template_metres(self.ds) or 0.0) / 2
        if not erode:
            return glacier, np.zeros(self.number, bool)
        far = self.ice.far_from_margin(erode)
        inside = np.where(far & np.isfinite(self.fields["v"]), glacier, np.int32(-1))
        eroded = counts(inside, self.number) >= FEWEST
        return np.where(far | ~eroded[glacier], glacier, np.int32(-1)), eroded


def count_outlines(outlines: Polygons) -> int:
    """Number of outlines given, on the map or not."""
    if isinstance(outlines, str | os.PathLike):
        import pyogrio

        return int(pyogrio.read_info(Path(outlines), force_feature_count=True)["features"])
    return len(outlines) if hasattr(outlines, "__len__") else 1
