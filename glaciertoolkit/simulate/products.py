"""What goes with a scene: a DEM on its own grid, glacier outlines."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from glaciertoolkit import conventions
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.terrain import margin_of

if TYPE_CHECKING:
    import geopandas as gpd

    from glaciertoolkit.simulate.model import Model

Float64 = NDArray[np.float64]


def simulate_dem(scene: xr.Dataset, *, resolution: float = 30.0) -> xr.DataArray:
    """The elevation of a scene on a coarser grid of its own.

    Parameters
    ----------
    scene : xarray.Dataset
        What `simulate_pair` returned, or a part of it.
    resolution : float
        Spacing of the DEM, metres, from the scene's pixel to 200.

    Returns
    -------
    xarray.DataArray
        `elevation` (m, float32) at the cell centres. The grid's edges are multiples of
        `resolution`; it reaches beyond the scene by up to ten cells.

    Raises
    ------
    ParameterError
        `resolution` is out of its range.

    Examples
    --------
    >>> from glaciertoolkit.simulate import simulate_pair
    >>> dem = simulate_dem(simulate_pair(size=512))
    >>> dem.name, dem.attrs["units"], dem.rio.resolution()
    ('elevation', 'm', (30.0, -30.0))
    """
    import rioxarray  # noqa: F401

    from glaciertoolkit.simulate.model import model_of

    p = par.of_scene(scene)
    if not p.pixel <= resolution <= max(200.0, p.pixel):
        raise ParameterError(
            f"simulate_dem: resolution is {resolution!r}, it must be from {p.pixel:g} "
            "(the scene's pixel) to 200 metres."
        )
    pad = int(min(10.0, margin_of(p) // resolution))

    def centres(place: Float64) -> Float64:
        first = np.floor((place.min() - p.pixel / 2) / resolution) - pad
        last = np.ceil((place.max() + p.pixel / 2) / resolution) + pad
        return np.asarray((np.arange(first, last) + 0.5) * resolution)

    y, x = centres(scene["y"].values)[::-1], centres(scene["x"].values)
    model = model_of(p)
    rows, columns = (par.NORTH - y) / p.pixel - 0.5, (x - par.WEST) / p.pixel - 0.5
    elevation = model.field(model.elevation, rows, columns).astype(np.float32)
    dem = xr.Dataset({"elevation": (("y", "x"), elevation)}, {"y": y, "x": x})
    return conventions.describe(dem.rio.write_crs(p.epsg).rio.write_transform())["elevation"]


def simulate_outlines(scene: xr.Dataset) -> gpd.GeoDataFrame:
    """Outlines of the glaciers of a scene, cut at its edges.

    Parameters
    ----------
    scene : xarray.Dataset
        What `simulate_pair` returned, or a part of it.

    Returns
    -------
    geopandas.GeoDataFrame
        One row a glacier, the largest first, in the scene's CRS, with columns as in the Randolph
        Glacier Inventory 7: `rgi_id`, `glac_name`, `area_km2`, `zmin_m`, `zmax_m`, `zmed_m`,
        `slope_deg` (mean), `aspect_deg` (of the mean downslope direction, clockwise from north).
        Empty where there is no ice.

    Examples
    --------
    >>> from glaciertoolkit.simulate import simulate_pair
    >>> outlines = simulate_outlines(simulate_pair(size=1024))
    >>> outlines.rgi_id[0], len(outlines) >= 3
    ('SIM-00001', True)
    """
    import geopandas as gpd

    from glaciertoolkit.simulate.model import model_of

    p = par.of_scene(scene)
    model = model_of(p)
    step = max(1.0, model.grid.step / 3)  # finer brings nothing: the margin is a smooth spline
    rows = _samples((par.NORTH - scene["y"].values) / p.pixel - 0.5, step)
    columns = _samples((scene["x"].values - par.WEST) / p.pixel - 0.5, step)
    shapes = _polygons(model, rows, columns)
    shapes.sort(key=lambda shape: -shape.area)
    table: dict[str, list[Any]] = {
        "rgi_id": [f"SIM-{k:05d}" for k in range(1, len(shapes) + 1)],
        "glac_name": [f"Simulated Glacier {k}" for k in range(1, len(shapes) + 1)],
        "area_km2": [shape.area / 1e6 for shape in shapes],
        **_statistics(model, rows, columns, shapes),
    }
    return gpd.GeoDataFrame(table, geometry=shapes, crs=p.epsg)


def _samples(places: Float64, step: float) -> Float64:
    """Sample positions from the outer edge of the first pixel to that of the last."""
    first, last = float(places.min()) - 0.5, float(places.max()) + 0.5
    return np.linspace(first, last, int(np.ceil((last - first) / step)) + 1)


def _polygons(model: Model, rows: Float64, columns: Float64) -> list[Any]:
    """Polygons (in metres) where the level set is positive."""
    import contourpy
    import shapely

    p = model.parameters
    level = model.field(model.level_set, rows, columns)
    contours = contourpy.contour_generator(
        par.WEST + (columns + 0.5) * p.pixel,
        par.NORTH - (rows + 0.5) * p.pixel,
        level,
        fill_type=contourpy.FillType.OuterOffset,
    )
    found = []
    # Each polygon: the points of all its rings, and where each ring starts; the outer one first.
    filled: Any = contours.filled(0.0, np.inf)
    for points, starts in zip(*filled, strict=True):
        rings = [points[a:b] for a, b in itertools.pairwise(starts)]
        shape = shapely.make_valid(shapely.Polygon(rings[0], rings[1:]))
        if shape.area > 0:
            found.append(shape)
    return found


def _statistics(
    model: Model, rows: Float64, columns: Float64, shapes: list[Any]
) -> dict[str, list[float]]:
    """Elevation, slope and aspect of each polygon, from samples inside it."""
    import shapely

    p = model.parameters
    x = par.WEST + (columns + 0.5) * p.pixel
    y = par.NORTH - (rows + 0.5) * p.pixel
    height = model.field(model.elevation, rows, columns)
    east = model.field(model.elevation, rows, columns, derivative="x") / p.pixel
    north = -model.field(model.elevation, rows, columns, derivative="y") / p.pixel
    slope = np.degrees(np.arctan(np.hypot(east, north)))
    names = ("zmin_m", "zmax_m", "zmed_m", "slope_deg", "aspect_deg")
    found: dict[str, list[float]] = {name: [] for name in names}
    for shape in shapes:
        west, south, east_edge, north_edge = shape.bounds
        j0, j1 = np.searchsorted(x, [west, east_edge]) + np.array([-1, 1])
        i0, i1 = np.searchsorted(-y, [-north_edge, -south]) + np.array([-1, 1])
        part = (slice(max(i0, 0), i1), slice(max(j0, 0), j1))
        inside = shapely.contains_xy(shape, *np.meshgrid(x[part[1]], y[part[0]]))
        if not inside.any():  # a sliver at the edge: its nearest sample
            inside.flat[0] = True
        z = height[part][inside]
        downslope = np.arctan2(-east[part][inside].mean(), -north[part][inside].mean())
        values = (
            z.min(), z.max(), np.median(z), slope[part][inside].mean(), np.degrees(downslope) % 360
        )  # fmt: skip
        for name, value in zip(names, values, strict=True):
            found[name].append(float(value))
    return found
