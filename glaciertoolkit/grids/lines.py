"""Lines (a profile, centrelines) in the coordinates of a velocity grid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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


def read_lines(lines: Any, like: Grid) -> dict[str, Any]:
    """Every line that is given, by its name, in the coordinates of a grid.

    Parameters
    ----------
    lines : mapping of str to line, or sequence of lines, or a line, GeoDataFrame or path
        Each line as for `read_line`. Of a table or file every row is one; its name is that in
        the column ``name``, where there is one; of several, those that are too far away for the
        CRS of the grid are left out.
    like : xarray.Dataset or xarray.DataArray
        The grid.

    Returns
    -------
    dict of str to shapely.LineString
        Names are made where there are none, and made different where they are the same.

    Raises
    ------
    InputError
        Nothing that is a line.
    GridError, FileError
        As `read_line`.

    Examples
    --------
    >>> import geopandas, shapely, xarray as xr
    >>> grid = xr.Dataset(coords={"y": [10.0, 0.0], "x": [0.0, 10.0]})
    >>> shapes = [shapely.LineString([(0, 0), (3, 4)]), shapely.LineString([(0, 0), (0, 2)])]
    >>> table = geopandas.GeoDataFrame({"name": ["trunk", ""]}, geometry=shapes)
    >>> {name: line.length for name, line in read_lines(table, grid).items()}
    {'trunk': 5.0, 'Line 2': 2.0}
    """
    import geopandas as gpd

    if isinstance(lines, str | os.PathLike):
        lines = _read(Path(lines))
    if isinstance(lines, gpd.GeoSeries):
        lines = gpd.GeoDataFrame(geometry=lines)
    if isinstance(lines, gpd.GeoDataFrame):
        given = _rows(lines)
    elif isinstance(lines, Mapping):
        given = [(str(name), line) for name, line in lines.items()]
    else:
        given = [("", line) for line in (lines if _several(lines) else [lines])]
    found: dict[str, Any] = {}
    failed: GridError | None = None
    for number, (name, line) in enumerate(given, 1):
        name = name.strip() or f"Line {number}"
        while name in found:
            name += "'"
        try:
            found[name] = read_line(line, like)
        except GridError as error:
            failed = error
    if failed is not None and not found:
        raise failed
    return found


def _several(lines: Any) -> bool:
    """Whether this is a sequence of lines, and not one of points."""
    import geopandas as gpd
    import shapely

    kinds = (shapely.Geometry, gpd.GeoSeries, gpd.GeoDataFrame, str, os.PathLike)
    if isinstance(lines, shapely.Geometry) or not isinstance(lines, Sequence) or not len(lines):
        return False
    if isinstance(lines[0], kinds):
        return True
    return np.ndim(lines[0]) == 2


def _rows(table: Any) -> list[tuple[str, Any]]:
    """Name and line of each row that holds one."""
    kinds = ("LineString", "MultiLineString")
    lines = table[table.geometry.geom_type.isin(kinds) & ~table.geometry.is_empty]
    if not len(lines):
        held = sorted({str(kind) for kind in table.geometry.geom_type.dropna()}) or ["nothing"]
        raise InputError(f"there is no line in it, only {', '.join(held)}; draw and save one.")
    column = next((c for c in lines.columns if str(c).lower() == "name"), None)
    names = [""] * len(lines) if column is None else lines[column].fillna("").astype(str)
    return [(name, lines.iloc[[i]].geometry) for i, name in enumerate(names)]


def _read(path: Path) -> Any:
    import geopandas as gpd
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        found = gpd.read_file(path, engine="pyogrio")
    except (DataSourceError, DataLayerError, UnicodeError, ValueError) as error:
        what = "damaged, or no file with lines" if path.exists() else "missing"
        raise FileError(f"the line cannot be read: {path.name} is {what}.") from error
    if not isinstance(found, gpd.GeoDataFrame):
        raise FileError(f"the line cannot be read: {path.name} is a table without any geometry.")
    return found


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
    moved = dense.to_crs(CRS.from_wkt(crs.to_wkt())).iloc[0]
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise GridError(
            "the line lies outside the map, so far that it has no coordinates in its CRS; choose "
            "one of the same place."
        )
    return moved


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
