"""One line (a profile, a centreline) in the coordinates of a velocity grid."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import FileError, GridError, InputError
from glaciertoolkit.grids.posts import Grid, crs_of
from glaciertoolkit.grids.vectors import DEGREE, LONGEST_EDGE

Line = Any
"""A shapely LineString, pairs of (x, y), a GeoDataFrame or GeoSeries of one line, or a path."""


def read_line(line: Line, like: Grid) -> Any:
    """One line in the coordinates of a grid, without repeated vertices.

    Parameters
    ----------
    line : LineString, sequence of (x, y), GeoDataFrame, GeoSeries or path
        Bare coordinates are those of the grid; what has a CRS is reprojected.
    like : xarray.Dataset or xarray.DataArray
        The grid.

    Returns
    -------
    shapely.LineString
        2-D, with two distinct vertices or more.

    Raises
    ------
    InputError
        No line, more than one, fewer than two distinct vertices, or one that is not finite.
    GridError
        Only one of the line and the grid has a CRS.
    FileError
        The file is missing or not a vector file.

    Examples
    --------
    >>> import xarray as xr
    >>> grid = xr.Dataset(coords={"y": [10.0, 0.0], "x": [0.0, 10.0]})
    >>> read_line([(0, 0), (3, 4), (3, 4)], grid).length
    5.0
    """
    import geopandas as gpd
    import shapely

    if isinstance(line, str | os.PathLike):
        line = _read(Path(line))
    if isinstance(line, gpd.GeoDataFrame | gpd.GeoSeries):
        shape = _projected(line.geometry, like)
    elif isinstance(line, shapely.Geometry):
        shape = line
    else:
        shape = _from_pairs(line)
    if shape.geom_type == "MultiLineString":
        shape = shapely.line_merge(shape)
    if shape.geom_type != "LineString":
        raise InputError(f"a profile needs one line without gaps; this is a {shape.geom_type}.")
    points = shapely.get_coordinates(shape)
    _check_finite(points)
    distinct = np.ones(len(points), bool)
    distinct[1:] = np.any(np.diff(points, axis=0) != 0, axis=1)
    if distinct.sum() < 2:
        raise InputError("a profile needs a line with two distinct vertices or more.")
    return shapely.LineString(points[distinct])


def _read(path: Path) -> Any:
    import geopandas as gpd
    from pyogrio.errors import DataSourceError

    try:
        return gpd.read_file(path, engine="pyogrio")
    except DataSourceError as error:
        raise FileError(f"the line cannot be read: {error}") from error


def _projected(lines: Any, like: Grid) -> Any:
    import shapely
    from pyproj import CRS

    lines = lines[~(lines.isna() | lines.is_empty)]
    if len(lines) != 1:
        raise InputError(f"a profile needs one line, this holds {len(lines)}; choose one row.")
    crs = crs_of(like)
    if (lines.crs is None) != (crs is None):
        lacking, other = ("line", "grid") if lines.crs is None else ("grid", "line")
        raise GridError(
            f"no CRS is known for the {lacking}, but the {other} has one; set it with "
            'set_crs("EPSG:...") of geopandas or rio.write_crs("EPSG:...") of rioxarray.'
        )
    if crs is None or lines.crs == CRS.from_wkt(crs.to_wkt()):
        return lines.iloc[0]
    edge = LONGEST_EDGE / (DEGREE if lines.crs.is_geographic else 1.0)
    dense = type(lines)(shapely.segmentize(lines.to_numpy(), edge), crs=lines.crs)
    return dense.to_crs(CRS.from_wkt(crs.to_wkt())).iloc[0]


def _from_pairs(pairs: Any) -> Any:
    import shapely

    try:
        points = np.asarray(pairs, float)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise InputError(
            "the line must be a LineString, pairs of (x, y), a GeoDataFrame with one line or a "
            f"path; got {type(pairs).__name__}."
        )
    if len(points) < 2:
        raise InputError("a profile needs a line with two distinct vertices or more.")
    _check_finite(points)
    return shapely.LineString(points[:, :2])


def _check_finite(points: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(points).all():
        raise InputError("the line has a vertex that is not a finite number; remove it.")
