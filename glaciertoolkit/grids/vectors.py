"""Polygons (glacier outlines, rock, lakes) onto the posts of a velocity grid."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import FileError, GridError, InputError
from glaciertoolkit.grids.located import Located, is_located
from glaciertoolkit.grids.posts import (
    Bounds,
    Grid,
    crs_of,
    extent,
    grid_spacing,
    on_posts,
    post_bounds,
    post_transform,
)

if TYPE_CHECKING:
    import geopandas as gpd

Polygons = Any
"""A path, a GeoDataFrame, a GeoSeries, or a shapely geometry in the CRS of the grid."""

LONGEST_EDGE = 1000.0
"""Metres between vertices along an edge that is reprojected: within 2 cm of the true curve."""

WIDEST = 1e6
"""Metres: a wider polygon is cut around the grid, as its far end has no place in the grid's CRS."""

DEGREE = 111_320.0
"""Metres of a degree of latitude, about."""


class _Scene(NamedTuple):
    """Where the posts are: pyproj CRS (or None), and bounds grown by a margin."""

    crs: Any
    bounds: Bounds


class _Near(NamedTuple):
    """Polygons that touch the grid, in its CRS, and the positions of their rows in the source."""

    table: gpd.GeoDataFrame
    rows: npt.NDArray[np.int64]


def read_outlines(
    source: Polygons,
    like: Grid,
    *,
    margin: float = 0.0,
    layer: str | None = None,
    what: str = "outlines",
    allow_empty: bool = False,
) -> gpd.GeoDataFrame:
    """The polygons that touch a grid, whole, in the CRS of the grid.

    Parameters
    ----------
    source : path, GeoDataFrame, GeoSeries or shapely geometry
        Of a file only the part around the grid is read. A bare geometry is taken to be in the
        CRS of the grid.
    like : xarray.Dataset or xarray.DataArray
        The grid.
    margin : float
        Metres around the grid within which polygons are kept.
    layer : str, optional
        Of a file with several layers, which one.
    what : str
        What the polygons are called in messages.
    allow_empty : bool
        Return an empty table instead of an error where no polygon touches the grid.

    Returns
    -------
    geopandas.GeoDataFrame
        One row a polygon, with its columns and its index (of a file: the numbers of its
        features), in the order of the source; geometries are valid and 2-D.

    Raises
    ------
    GridError
        No CRS, or no polygon touches the grid.
    InputError
        Nothing in it, or no polygons.
    FileError
        The file is missing or not a vector file.
    """
    near = _near(source, like, margin=margin, layer=layer, what=what, allow_empty=allow_empty)
    return near.table


def rasterize(
    polygons: Polygons,
    like: Grid,
    *,
    buffer: float = 0.0,
    what: str = "polygons",
    allow_empty: bool = False,
) -> xr.DataArray:
    """Which posts lie inside polygons.

    Parameters
    ----------
    polygons : path, GeoDataFrame, GeoSeries or shapely geometry
        In any CRS.
    like : xarray.Dataset or xarray.DataArray
        The grid of the posts.
    buffer : float
        Metres by which the polygons are grown; shrunk where it is negative. Polygons that touch
        are merged before they shrink, so that no seam opens between them.
    what : str
        What the polygons are called in messages.
    allow_empty : bool
        Return False everywhere, instead of an error, where no polygon touches the grid.

    Returns
    -------
    xarray.DataArray
        bool, (y, x): True where the post itself lies inside.

    Raises
    ------
    GridError, InputError, FileError
        As `read_outlines`.

    Examples
    --------
    >>> import shapely, xarray as xr
    >>> like = xr.Dataset(coords={"y": [30.0, 20.0, 10.0], "x": [10.0, 20.0, 30.0]})
    >>> rasterize(shapely.box(15, 15, 35, 35), like).values.astype(int).tolist()
    [[0, 1, 1], [0, 1, 1], [0, 0, 0]]
    """
    if is_located(like):
        posts = Located.of(like)
        return posts.take(
            rasterize(polygons, posts.grid, buffer=buffer, what=what, allow_empty=allow_empty)
        )
    if buffer:
        grid_spacing(like)  # metres, or an error
    margin = max(buffer, 0.0)
    near = _near(polygons, like, margin=margin, layer=None, what=what, allow_empty=allow_empty)
    shapes: Any = near.table.geometry
    if buffer > 0:
        shapes = shapes.buffer(buffer)
    elif buffer < 0:
        merged = shapes.union_all().buffer(buffer)
        shapes = [] if merged.is_empty else [merged]
    inside = burn([(shape, 1) for shape in shapes], like, fill=0, dtype="uint8")
    return on_posts(inside.astype(bool), like, name=None)


def burn_index(polygons: gpd.GeoDataFrame | gpd.GeoSeries, like: Grid) -> xr.DataArray:
    """Which polygon each post lies in.

    Parameters
    ----------
    polygons : geopandas.GeoDataFrame or geopandas.GeoSeries
        In any CRS. Where polygons overlap, the first row wins: a post is counted once.
    like : xarray.Dataset or xarray.DataArray
        The grid of the posts.

    Returns
    -------
    xarray.DataArray
        int32, (y, x): the position of the polygon's row, from 0; -1 outside all of them.

    Raises
    ------
    GridError, InputError
        As `read_outlines`.
    """
    if is_located(like):
        posts = Located.of(like)
        return posts.take(burn_index(polygons, posts.grid))
    near = _near(polygons, like, margin=0.0, layer=None, what="polygons", allow_empty=False)
    pairs = zip(near.table.geometry, near.rows.tolist(), strict=True)
    # The last one burned stays.
    return on_posts(burn(list(pairs)[::-1], like, fill=-1, dtype="int32"), like, name="polygon")


# --- the polygons near a grid, in its CRS ------------------------------------------------------


def _near(
    source: Polygons, like: Grid, *, margin: float, layer: str | None, what: str, allow_empty: bool
) -> _Near:
    import shapely

    left, bottom, right, top = post_bounds(like)
    grown = (left - margin, bottom - margin, right + margin, top + margin)
    scene = _Scene(_pyproj(crs_of(like)), grown)
    table, covers = _load(source, scene, layer=layer, what=what)
    box = _bounds_in(table.crs, scene)
    rows = np.flatnonzero(_reach(table.geometry.to_numpy(), box))
    near = table.iloc[rows]
    near = near.set_geometry(_valid_areas(near.geometry, what))
    near = _projected(near, scene, box)
    inside = np.isfinite(shapely.bounds(near.geometry.to_numpy())).all(axis=1)
    inside[inside] = shapely.intersects(
        near.geometry.to_numpy()[inside], shapely.box(*scene.bounds)
    )
    if not inside.any() and not allow_empty:
        here = "" if box is None else f", the grid {extent(box)}"
        raise GridError(
            f"the {what} do not overlap the grid: they cover {extent(covers)}{here} "
            f"({_crs_name(table.crs)}); choose {what} of the same place."
        )
    return _Near(near[inside], rows[inside])


def _load(
    source: Polygons, scene: _Scene, *, layer: str | None, what: str
) -> tuple[gpd.GeoDataFrame, Bounds]:
    """The table, of a file only the part around the grid, and the bounds of the whole."""
    import geopandas as gpd
    import shapely

    if isinstance(source, str | os.PathLike):
        table, covers = _read(Path(source), scene, layer=layer, what=what)
    else:
        if isinstance(source, gpd.GeoDataFrame):
            table = source
        elif isinstance(source, gpd.GeoSeries):
            table = gpd.GeoDataFrame(geometry=source)
        elif isinstance(source, shapely.Geometry):
            table = gpd.GeoDataFrame(geometry=[source], crs=scene.crs)
        else:
            raise InputError(
                f"the {what} must be a path to a vector file, a GeoDataFrame, a GeoSeries or a "
                f"shapely geometry; got {type(source).__name__}."
            )
        if table.geometry.isna().all() or table.geometry.is_empty.all():
            raise InputError(f"the {what} hold no geometry at all.")
        west, south, east, north = map(float, table.total_bounds)
        covers = (west, south, east, north)
    if (table.crs is None) != (scene.crs is None):
        lacking, other = (what, "grid has") if table.crs is None else ("grid", f"{what} have")
        raise GridError(
            f"no CRS is known for the {lacking}, but the {other} one; set it with "
            'set_crs("EPSG:...") of geopandas or rio.write_crs("EPSG:...") of rioxarray.'
        )
    return table, covers


def _read(
    path: Path, scene: _Scene, *, layer: str | None, what: str
) -> tuple[gpd.GeoDataFrame, Bounds]:
    import geopandas as gpd
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyproj import CRS

    try:
        spatial = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is None and len(spatial) != 1:
            raise InputError(
                f"{path.name} has {len(spatial)} layers with geometries "
                f"({', '.join(spatial) or 'none'}); read the one you mean with "
                f"geopandas.read_file(path, layer=...) and give that as the {what}."
            )
        layer = layer or spatial[0]
        info = pyogrio.read_info(path, layer=layer, force_total_bounds=True)
        if not info["features"] or info["total_bounds"] is None:
            raise InputError(f"the {what} in {path.name} hold no geometry at all.")
        box = _bounds_in(CRS.from_user_input(info["crs"]) if info["crs"] else None, scene)
        table = gpd.read_file(path, layer=layer, bbox=box, engine="pyogrio", fid_as_index=True)
    except (DataSourceError, DataLayerError) as error:
        raise FileError(f"the {what} cannot be read: {error}") from error
    # A spatial index returns the rows in an order of its own.
    return table.sort_index(), info["total_bounds"]


def _bounds_in(crs: Any, scene: _Scene) -> Bounds | None:
    """The scene's bounds in another CRS; None where they cannot be told."""
    from pyproj import Transformer

    if crs is None or scene.crs is None or crs == scene.crs:
        return scene.bounds
    mover = Transformer.from_crs(scene.crs, crs, always_xy=True)
    left, bottom, right, top = box = mover.transform_bounds(*scene.bounds, densify_pts=21)
    # Left of right: the grid lies across the antimeridian.
    return box if np.all(np.isfinite(box)) and left < right and bottom < top else None


def _reach(geometry: npt.NDArray[Any], box: Bounds | None) -> npt.NDArray[np.bool_]:
    """Whose bounding rectangle touches `box`."""
    import shapely

    west, south, east, north = shapely.bounds(geometry).T
    if box is None:
        return np.asarray(np.isfinite(west))
    left, bottom, right, top = box
    touches = (west <= right) & (east >= left) & (south <= top) & (north >= bottom)
    return np.asarray(touches)


def _valid_areas(geometry: gpd.GeoSeries, what: str) -> gpd.GeoSeries:
    """2-D and valid; where repairing leaves lines or points too, only the areas."""
    import geopandas as gpd
    import shapely

    shapes = np.array(shapely.force_2d(geometry.to_numpy()))
    if shapes.size and not (shapely.get_dimensions(shapes) == 2).any():
        kinds = ", ".join(sorted(set(geometry.geom_type)))
        raise InputError(f"the {what} must be polygons; they are {kinds}.")
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    areal = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    for i in np.flatnonzero(~np.isin(shapely.get_type_id(shapes), areal)):
        parts = shapely.get_parts(shapes[i])
        shapes[i] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    return gpd.GeoSeries(shapes, index=geometry.index, crs=geometry.crs)


def _projected(table: gpd.GeoDataFrame, scene: _Scene, box: Bounds | None) -> gpd.GeoDataFrame:
    """The table in the grid's CRS, with vertices enough along its edges."""
    import geopandas as gpd
    import shapely

    if table.crs == scene.crs:
        return table
    unit = DEGREE if table.crs.is_geographic else 1.0
    shapes = np.array(table.geometry.to_numpy())
    if box is not None:
        west, south, east, north = shapely.bounds(shapes).T
        wide = np.maximum(east - west, north - south) * unit > WIDEST
        reach = max(box[2] - box[0], box[3] - box[1])
        around = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
        shapes[wide] = shapely.clip_by_rect(shapes[wide], *around)
    dense = shapely.segmentize(shapes, LONGEST_EDGE / unit)
    return table.set_geometry(gpd.GeoSeries(dense, index=table.index, crs=table.crs)).to_crs(
        scene.crs
    )


def burn(shapes: list[tuple[Any, int]], like: Grid, *, fill: int, dtype: str) -> npt.NDArray[Any]:
    """Pairs of a geometry and its value, burned where the posts themselves lie inside."""
    from rasterio.features import rasterize

    shape = (like.sizes["y"], like.sizes["x"])
    shapes = [(geometry, value) for geometry, value in shapes if not geometry.is_empty]
    if not shapes:
        return np.full(shape, fill, dtype)
    burned = rasterize(
        shapes, out_shape=shape, transform=post_transform(like), fill=fill, dtype=dtype
    )
    return np.asarray(burned)


def _pyproj(crs: Any) -> Any:
    """A rasterio CRS as geopandas knows it."""
    from pyproj import CRS

    return None if crs is None else CRS.from_wkt(crs.to_wkt())


def _crs_name(crs: Any) -> str:
    if crs is None:
        return "no CRS"
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.name)
