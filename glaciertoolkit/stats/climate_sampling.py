"""Climate at glaciers: from a station or a grid to the place of each outline."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import (
    FileError,
    GlacierToolkitWarning,
    GridError,
    InputError,
    ParameterError,
)
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats import climate_cells as cells

Method = Literal["bilinear", "nearest", "area"]

FAR = 100.0
"""Kilometres between a station and the glaciers above which its position is doubted."""

_IDS = ("rgi_id", "rgiid", "glims_id", "glacier_id", "glac_id", "id")

EARTH_RADIUS = 6371.0


def sample_climate(
    field: xr.DataArray,
    outlines: Polygons,
    *,
    method: Method = "bilinear",
    max_distance: float = FAR,
) -> xr.DataArray:
    """The climate of each glacier, from a station or from the cells of a grid.

    Parameters
    ----------
    field : xarray.DataArray
        Of `read_climate`.
    outlines : path, GeoDataFrame, GeoSeries
        Glacier outlines in any CRS.
    method : {"bilinear", "nearest", "area"}
        Of a grid: between the four cell centres around a point inside the outline, the cell that
        holds it, or the mean over the outline by the area in each cell. A station is the same
        everywhere.
    max_distance : float
        Kilometres between a station and the nearest glacier above which a warning doubts its
        position.

    Returns
    -------
    xarray.DataArray
        float64, over `time` and `rgi_id` (the identifier of the inventory, else the row):
        units and attributes of `field`. Coordinates `latitude` and `longitude` (a point inside
        the outline), `elevation` (m, of the station or of the cells, where they state it) and
        `cell` (number of the cell with most of the glacier, -1 off the grid). Attributes
        `n_glaciers`, `n_cells` and `note`: how many values are independent.

    Raises
    ------
    GridError
        No outline lies on the grid, or the outlines have no CRS.
    InputError, FileError
        Outlines that are empty, missing or unreadable.
    ParameterError
        An unknown method.

    Warns
    -----
    GlacierToolkitWarning
        The station is far from every glacier, or some outlines lie off the grid (they are NaN).

    Notes
    -----
    A cell larger than a glacier is constant over it: glaciers of one cell share one value, and
    the number of independent values is that of the cells, not of the glaciers.

    Examples
    --------
    >>> import geopandas, pandas as pd, shapely, xarray as xr
    >>> grid = xr.DataArray(
    ...     [[[0.0, 1.0], [2.0, 3.0]]], name="temperature", dims=("time", "latitude", "longitude"),
    ...     coords={"time": pd.DatetimeIndex(["2019-07-01"]), "latitude": [31.0, 30.0],
    ...             "longitude": [90.0, 91.0]})
    >>> outline = geopandas.GeoSeries([shapely.box(90.48, 30.48, 90.52, 30.52)], crs=4326)
    >>> float(sample_climate(grid, outline).round(3).item())
    1.5
    """
    if method not in ("bilinear", "nearest", "area"):
        raise ParameterError(f"method must be 'bilinear', 'nearest' or 'area'; got {method!r}.")
    table = _outlines(outlines)
    shapes = table.geometry.to_crs(4326)
    points = shapes.representative_point()
    lon, lat = points.x.to_numpy(float), points.y.to_numpy(float)
    if field.dims == ("time",):
        values, cell, height = _of_station(field, lon, lat, max_distance)
        note = (
            f"One station for {len(table)} glaciers: their climate differs by elevation alone; "
            "a relation with climate over space cannot be told from it."
        )
        number = 1
    else:
        values, cell, height = _of_grid(field, shapes, lon, lat, method)
        number = int(np.unique(cell[cell >= 0]).size)
        note = (
            f"{_count(len(table), 'glacier')} in {_count(number, 'cell')} of the grid: glaciers of "
            f"one cell share its climate, so at most {number} values are independent."
        )
    return _at_glaciers(
        field,
        values,
        {"rgi_id": glacier_ids(table), "latitude": lat, "longitude": lon, "elevation": height,
         "cell": cell},
        {"n_glaciers": len(table), "n_cells": number, "sampling": method, "note": note},
    )  # fmt: skip


def glacier_ids(table: Any) -> npt.NDArray[np.str_]:
    """The identifiers of an inventory, else the labels of its rows."""
    lower = {str(c).lower(): c for c in getattr(table, "columns", ())}
    named = next((table[lower[k]] for k in _IDS if k in lower), table.index.to_series())
    return np.asarray(named.astype(str).to_list(), dtype=np.str_)


def _outlines(source: Polygons) -> Any:
    import geopandas as gpd

    if isinstance(source, str | os.PathLike):
        from pyogrio.errors import DataSourceError

        try:
            source = gpd.read_file(Path(source), engine="pyogrio")
        except DataSourceError as error:
            raise FileError(f"the glacier outlines cannot be read: {error}") from error
    if isinstance(source, gpd.GeoSeries):
        source = gpd.GeoDataFrame(geometry=source)
    if not isinstance(source, gpd.GeoDataFrame):
        raise InputError(
            "the glacier outlines must be a path to a vector file, a GeoDataFrame or a GeoSeries; "
            f"got {type(source).__name__}."
        )
    source = source[~(source.geometry.isna() | source.geometry.is_empty)]
    if not len(source):
        raise InputError("the glacier outlines hold no geometry at all.")
    if source.crs is None:
        raise GridError('the glacier outlines have no CRS; set it with set_crs("EPSG:...").')
    return source.set_geometry(source.geometry.make_valid())


def _of_station(
    field: xr.DataArray, lon: cells.Floats, lat: cells.Floats, max_distance: float
) -> tuple[cells.Floats, cells.Integers, cells.Floats]:
    doubt_station(field, lon, lat, max_distance)
    series = np.asarray(field.values, np.float64)
    height = float(field["elevation"]) if "elevation" in field.coords else np.nan
    same = np.broadcast_to(series[:, None], (series.size, lon.size)).copy()
    return same, np.zeros(lon.size, np.int64), np.full(lon.size, height)


def doubt_station(
    field: xr.DataArray, lon: cells.Floats, lat: cells.Floats, max_distance: float = FAR
) -> None:
    """Warn where a station is far from the ice."""
    if {"latitude", "longitude"} <= set(field.coords):
        away = kilometres(float(field["longitude"]), float(field["latitude"]), lon, lat)
        if away.min() > max_distance:
            warnings.warn(
                f"the station at {float(field['latitude']):.2f} N, "
                f"{float(field['longitude']):.2f} E is {away.min():.0f} km from the nearest "
                "glacier; if its coordinates are wrong, give the true ones to "
                "read_climate(latitude=..., longitude=..., elevation=...).",
                GlacierToolkitWarning,
                stacklevel=4,
            )


def _of_grid(
    field: xr.DataArray, shapes: Any, lon: cells.Floats, lat: cells.Floats, method: str
) -> tuple[cells.Floats, cells.Integers, cells.Floats]:
    if "station" in field.dims:
        raise InputError(
            "the source holds several stations; choose one with isel(station=...), or estimate a "
            "lapse rate from them with lapse_rate()."
        )
    grid = cells.CellGrid.of(field)
    if method == "area":
        weights = cells.by_area(grid, shapes, lon, lat)
    else:
        find = cells.nearest if method == "nearest" else cells.bilinear
        weights = find(grid, lon, lat)
    off = int((weights.dominant < 0).sum())
    if off == lon.size:
        raise GridError(
            f"none of the glaciers lies on the climate grid, which covers {grid.covers()}; the "
            f"glaciers lie at {lat.min():.1f} to {lat.max():.1f} N, {lon.min():.1f} to "
            f"{lon.max():.1f} E."
        )
    if off:
        warnings.warn(
            f"{off} of {lon.size} glaciers lie off the climate grid and have no climate.",
            GlacierToolkitWarning,
            stacklevel=3,
        )
    height = np.full(lon.size, np.nan)
    if "elevation" in field.coords:
        ground = field["elevation"].drop_vars("time", errors="ignore").expand_dims("time")
        height = cells.values_at(ground, weights, grid)[0]
    return cells.values_at(field, weights, grid), weights.dominant, height


def _at_glaciers(
    field: xr.DataArray,
    values: cells.Floats,
    coords: dict[str, npt.NDArray[Any]],
    attrs: dict[str, Any],
) -> xr.DataArray:
    texts = {
        "rgi_id": {"long_name": "identifier of the glacier"},
        "latitude": {"units": "degrees_north", "long_name": "latitude"},
        "longitude": {"units": "degrees_east", "long_name": "longitude"},
        "elevation": {"units": "m", "long_name": "elevation of the climate"},
        "cell": {"long_name": "cell of the grid with most of the glacier"},
    }
    kept = {k: v for k, v in field.attrs.items() if k != "grid_mapping"}
    named: dict[str, Any] = {k: ("rgi_id", v, texts[k]) for k, v in coords.items()}
    return xr.DataArray(
        values,
        coords={"time": field["time"].variable, **named},
        dims=("time", "rgi_id"),
        name=field.name,
        attrs=kept | attrs,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def kilometres(
    longitude: float, latitude: float, lon: cells.Floats, lat: cells.Floats
) -> cells.Floats:
    """Distance of one place from others on the sphere."""
    phi, other = np.radians(latitude), np.radians(lat)
    half = np.radians(lon - longitude) / 2
    a = np.sin((other - phi) / 2) ** 2 + np.cos(phi) * np.cos(other) * np.sin(half) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(a, 1))))
