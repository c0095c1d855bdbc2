"""Where in the world: footprints, outlines, stations and catalogue entries on one map.

GeoViews, since here coordinate systems mix. Nothing is drawn that would come from a network.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.apps.following import QUIET, equal_scale
from glaciertoolkit.catalog import Catalog, open_catalog
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.grids import crs_of, post_bounds

if TYPE_CHECKING:
    from glaciertoolkit.catalog import Entry

Ring = npt.NDArray[np.float64]

OKABE_ITO = {
    "this map": "#d55e00",
    "other dates": "#e69f00",
    "glacier outlines": "#0072b2",
    "catalogue entries": "#009e73",
    "stations": "#cc79a7",
}
EDGE_POINTS = 21
SIMPLEST = 0.0005
"""Degrees, some fifty metres: finer outlines cannot be seen here."""


def footprint(ds: xr.Dataset) -> Ring | None:
    """The edge of a map in longitude and latitude; None where it has no CRS."""
    crs = crs_of(ds)
    if crs is None and {"longitude", "latitude"} <= set(ds.coords):
        lon, lat = ds["longitude"].values, ds["latitude"].values
        edges = [(lon[0], lat[0]), (lon[:, -1], lat[:, -1]), (lon[-1, ::-1], lat[-1, ::-1]),
                 (lon[::-1, 0], lat[::-1, 0])]  # fmt: skip
        ring = np.concatenate([np.column_stack(edge) for edge in edges])
        return np.asarray(ring[np.isfinite(ring).all(axis=1)])
    return None if crs is None else box_ring(post_bounds(ds), crs)


def box_ring(bounds: tuple[float, float, float, float], crs: Any) -> Ring:
    """The edge of a box in any CRS in longitude and latitude, bent where it is."""
    from pyproj import Transformer

    left, bottom, right, top = bounds
    t = np.linspace(0, 1, EDGE_POINTS)
    x = np.concatenate([left + (right - left) * t, np.full(t.size, right),
                        right - (right - left) * t, np.full(t.size, left)])  # fmt: skip
    y = np.concatenate([np.full(t.size, bottom), bottom + (top - bottom) * t,
                        np.full(t.size, top), top - (top - bottom) * t])  # fmt: skip
    ring = np.column_stack(Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y))
    return np.asarray(ring[np.isfinite(ring).all(axis=1)])


def entry_box(entry: Entry) -> Ring | None:
    """Where a catalogue entry lies: what it says of itself, else the bounds of its file."""
    import pyogrio
    import rasterio

    said = entry.metadata.get("bbox")
    if isinstance(said, list | tuple) and len(said) == 4:
        return box_ring(tuple(map(float, said)), "EPSG:4326")  # type: ignore[arg-type]
    if not entry.on_disk:
        return None
    try:
        if entry.driver == "pyogrio":
            info = pyogrio.read_info(entry.location, force_total_bounds=True)
            return box_ring(info["total_bounds"], info["crs"]) if info["crs"] else None
        if entry.driver == "rasterio":
            with rasterio.open(entry.location) as file:
                return box_ring(tuple(file.bounds), file.crs) if file.crs else None
    except Exception:
        # A damaged file has no place on this map; opening it will say what is wrong with it.
        return None
    return None


def station_points(stations: Any) -> tuple[Ring, list[str]]:
    """Longitude and latitude of stations, and their names.

    Raises
    ------
    GlacierToolkitError
        Where they cannot be read as points.
    """
    import geopandas as gpd

    from glaciertoolkit.errors import FileError, InputError

    if isinstance(stations, str | os.PathLike):
        try:
            stations = gpd.read_file(stations)
        except Exception as error:
            raise FileError(f"the stations cannot be read ({error}).") from error
    if not isinstance(stations, gpd.GeoDataFrame) or stations.crs is None:
        raise InputError("stations need a GeoDataFrame of points with a CRS, or a file of one.")
    table = stations.to_crs(4326)
    points = table.geometry.representative_point()
    lower = {str(c).lower(): c for c in table.columns}
    column = next((lower[k] for k in ("name", "station", "id") if k in lower), None)
    names = [str(v) for v in (table.index if column is None else table[column])]
    return np.column_stack([points.x, points.y]), names


def gathered(content: Any) -> tuple[dict[str, list[tuple[Ring, str]]], list[str]]:
    """The lines and points of each kind with their names, and what is left out, in sentences."""
    from glaciertoolkit.styles import rings

    found: dict[str, list[tuple[Ring, str]]] = {kind: [] for kind in OKABE_ITO}
    notes = []
    for kind, maps in (("this map", [content.ds]), ("other dates", content.maps)):
        for ds in maps:
            edge = footprint(ds)
            date = str(ds["mid_date"].values.astype("datetime64[D]")) if "mid_date" in ds else ""
            if edge is not None and len(edge):
                found[kind].append((edge, date or kind))
    if not found["this map"]:
        notes.append("This map has no CRS: where it lies is not known.")
    if content.outlines is not None and content.outlines.crs is not None:
        table = content.outlines.to_crs(4326)
        table = table.set_geometry(table.geometry.simplify(SIMPLEST))
        found["glacier outlines"] = [(ring, "glacier") for ring in rings(table)]
    catalog, stations = content.places["catalog"], content.places["stations"]
    if catalog is not None:
        try:
            entries = catalog if isinstance(catalog, Catalog) else open_catalog(catalog)
            boxes = {name: entry_box(entry) for name, entry in entries.items()}
            found["catalogue entries"] = [(b, n) for n, b in boxes.items() if b is not None]
            unknown = [n for n, b in boxes.items() if b is None]
            if unknown:
                notes.append(f"Not on disk and without a bbox: {', '.join(unknown)}.")
        except GlacierToolkitError as error:
            notes.append(f"The catalogue is left out: {error}")
    if stations is not None:
        try:
            points, names = station_points(stations)
            found["stations"] = [(p[None], n) for p, n in zip(points, names, strict=True)]
        except GlacierToolkitError as error:
            notes.append(f"The stations are left out: {error}")
    return found, notes


def overview_map(content: Any, *, height: int = 340) -> tuple[Any, str, list[str]]:
    """The overview as a GeoViews element, its legend, and what is left out, in sentences.

    The element is None where there is nothing to show.
    """
    import geoviews as gv

    from glaciertoolkit.maps import holoviews

    hv = holoviews()
    found, notes = gathered(content)
    degrees = gv.util.ccrs.PlateCarree()
    layers = []
    for kind, shapes in found.items():
        if not shapes:
            continue
        colour = OKABE_ITO[kind]
        if kind == "stations":
            points = np.concatenate([p for p, _ in shapes])
            rows = [(*p, n) for p, (_, n) in zip(points, shapes, strict=True)]
            made = gv.Points(rows, ["Longitude", "Latitude"], ["name"], crs=degrees)
            layers.append(made.opts(color=colour, size=9, marker="triangle", tools=["hover"]))
            continue
        data = [{"Longitude": r[:, 0], "Latitude": r[:, 1], "name": n} for r, n in shapes]
        made = gv.Path(data, ["Longitude", "Latitude"], ["name"], crs=degrees)
        width = 1.0 if kind == "glacier outlines" else 2.5
        layers.append(made.opts(color=colour, line_width=width, tools=["hover"]))
    if not layers:
        return None, "", notes
    edges = np.concatenate([ring for shapes in found.values() for ring, _ in shapes])
    latitude = np.radians(float(np.median(edges[:, 1])))
    options = hv.opts.Overlay(
        projection=degrees, responsive=True, height=height, toolbar="above", padding=0.1,
        active_tools=["pan", "wheel_zoom"], xlabel="longitude (°)", ylabel="latitude (°)",
        show_grid=True, hooks=[equal_scale(1 / max(float(np.cos(latitude)), 0.01))],
        backend="bokeh", **QUIET,
    )  # fmt: skip
    kinds = [kind for kind, shapes in found.items() if shapes]
    return hv.Overlay(layers).opts(options), legend(kinds), notes


def legend(kinds: list[str]) -> str:
    """What each colour is, as HTML: lines have no legend of their own."""
    keys = "".join(
        f'<span style="margin-right:16px"><span style="color:{OKABE_ITO[kind]}">'
        f"{'▲' if kind == 'stations' else '▬'}</span> {kind}</span>"
        for kind in kinds
    )
    return f'<div class="legend">{keys}</div>'
