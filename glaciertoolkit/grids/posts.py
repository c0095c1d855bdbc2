"""The posts: spacing, bounds and CRS of a velocity grid, and distances on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, coordinate_attrs
from glaciertoolkit.errors import GridError

if TYPE_CHECKING:
    from affine import Affine

Grid = xr.Dataset | xr.DataArray
"""Anything with the coordinates ``y`` and ``x`` of the posts."""

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top."""

TOLERANCE = 0.01
"""Posts by which a coordinate may depart from even spacing."""


def post_transform(grid: Grid) -> Affine:
    """The affine transform of the posts: from column and row to the outer corner of a cell.

    Parameters
    ----------
    grid : xarray.Dataset or xarray.DataArray
        With evenly spaced coordinates ``y`` and ``x``, each rising or falling. A post is the
        centre of its cell, at column + 0.5 and row + 0.5.

    Returns
    -------
    affine.Affine
        In the units of the coordinates.

    Raises
    ------
    GridError
        A coordinate is missing or not evenly spaced.

    Examples
    --------
    >>> import xarray as xr
    >>> grid = xr.Dataset(coords={"y": [300.0, 200.0, 100.0], "x": [50.0, 150.0]})
    >>> tuple(post_transform(grid))[:6]
    (100.0, 0.0, 0.0, 0.0, -100.0, 350.0)
    """
    from affine import Affine

    y0, dy = _first_and_step(grid, "y")
    x0, dx = _first_and_step(grid, "x")
    return Affine(dx, 0.0, x0 - dx / 2, 0.0, dy, y0 - dy / 2)


def apply_transform(
    transform: Affine, columns: npt.ArrayLike, rows: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """x and y of columns and rows; the operators for it differ between versions of affine."""
    a, b, c, d, e, f = tuple(transform)[:6]
    columns, rows = np.asarray(columns, float), np.asarray(rows, float)
    return a * columns + b * rows + c, d * columns + e * rows + f


def shift_transform(transform: Affine, *, column: float, row: float) -> Affine:
    """`transform` with its origin moved to another cell."""
    from affine import Affine

    x, y = apply_transform(transform, column, row)
    a, b, _, d, e, _ = tuple(transform)[:6]
    return Affine(a, b, float(x), d, e, float(y))


def grid_spacing(grid: Grid) -> tuple[float, float]:
    """Distance between the posts along y and along x, both positive, in metres.

    Raises
    ------
    GridError
        A coordinate is missing or not evenly spaced, or the grid is in degrees.

    Examples
    --------
    >>> import xarray as xr
    >>> grid_spacing(xr.Dataset(coords={"y": [300.0, 200.0, 100.0], "x": [50.0, 75.0]}))
    (100.0, 25.0)
    """
    transform = post_transform(grid)
    crs = crs_of(grid)
    if crs is not None and crs.is_geographic:
        raise GridError(
            "the grid is in geographic coordinates (degrees), metres are needed here; "
            "bring it into a projected CRS first, for example with rio.reproject()."
        )
    return abs(transform.e), abs(transform.a)


def ground_scale(grid: Grid) -> float:
    """Lengths on this grid over lengths on the ground, in the middle of the grid.

    Maps stretch: Web Mercator by 1 / cos(latitude), a conic projection of all High Mountain Asia
    by several percent, UTM by less than 0.1 %. 1 where the grid has no CRS or lies in radar
    geometry.

    Examples
    --------
    >>> import xarray as xr
    >>> grid = xr.Dataset(coords={"y": [0.0, 100.0], "x": [500000.0, 500100.0]})
    >>> round(ground_scale(grid.rio.write_crs(32645)), 4)
    0.9996
    """
    crs = crs_of(grid)
    if crs is None or not crs.is_projected:
        return 1.0
    from pyproj import CRS, Proj

    left, bottom, right, top = post_bounds(grid)
    place = Proj(CRS.from_wkt(crs.to_wkt()))
    longitude, latitude = place((left + right) / 2, (bottom + top) / 2, inverse=True)
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return 1.0
    areal = place.get_factors(longitude, latitude, errcheck=False).areal_scale
    return math.sqrt(areal) if math.isfinite(areal) and areal > 0 else 1.0


def cell_area(grid: Grid) -> float:
    """Area on the ground that one post stands for, m2.

    Examples
    --------
    >>> import xarray as xr
    >>> cell_area(xr.Dataset(coords={"y": [300.0, 200.0, 100.0], "x": [50.0, 75.0]}))
    2500.0
    """
    dy, dx = grid_spacing(grid)
    return dy * dx / ground_scale(grid) ** 2


def post_bounds(grid: Grid) -> Bounds:
    """Left, bottom, right and top of the outer edges of the posts' cells."""
    transform = post_transform(grid)
    ny, nx = grid.sizes["y"], grid.sizes["x"]
    x, y = apply_transform(transform, np.array([0, nx]), np.array([0, ny]))
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def template_metres(grid: Grid) -> float | None:
    """Edge of the tracking template in metres, where the Dataset records it, else None."""
    template, pixel = grid.attrs.get("template"), grid.attrs.get("pixel")
    if template is None or pixel is None:
        return None
    edges = np.atleast_1d(np.asarray(template, float)) * np.atleast_1d(np.asarray(pixel, float))
    return float(edges.mean())


def crs_of(grid: Grid) -> Any:
    """The CRS of a Dataset or DataArray as a `rasterio.crs.CRS`, or None."""
    import rioxarray  # noqa: F401  (registers .rio)

    return grid.rio.crs


def on_posts(values: npt.NDArray[Any], grid: Grid, *, name: str | None) -> xr.DataArray:
    """`values` (y, x) as a DataArray on the posts of `grid`, with its CRS."""
    attrs = coordinate_attrs(grid)
    coords: dict[str, Any] = {dim: (dim, grid[dim].values, attrs[dim]) for dim in ("y", "x")}
    coords |= {k: grid.coords[k] for k in ("longitude", "latitude") if k in grid.coords}
    out = xr.DataArray(values, coords=coords, dims=("y", "x"), name=name)
    if GRID_MAPPING in grid.coords:
        out = out.assign_coords({GRID_MAPPING: grid.coords[GRID_MAPPING]})
        out.attrs["grid_mapping"] = GRID_MAPPING
    elif (crs := crs_of(grid)) is not None:
        out = out.rio.write_crs(crs)
        out.attrs["grid_mapping"] = GRID_MAPPING
        out.encoding.pop("grid_mapping", None)
    return out


def extent(bounds: Bounds) -> str:
    """Left, bottom, right and top in words."""
    left, bottom, right, top = bounds
    return f"x {left:.6g} to {right:.6g}, y {bottom:.7g} to {top:.7g}"


def distance_to(mask: xr.DataArray) -> xr.DataArray:
    """Distance of each post from the nearest post where `mask` is True.

    Parameters
    ----------
    mask : xarray.DataArray
        bool, (y, x), coordinates in metres.

    Returns
    -------
    xarray.DataArray
        float32, m; 0 on the mask, infinite where the mask is nowhere True.

    Examples
    --------
    >>> import xarray as xr
    >>> mask = xr.DataArray([[True, False, False]] * 2,
    ...                     coords={"y": [10.0, 0.0], "x": [0.0, 20.0, 40.0]}, dims=("y", "x"))
    >>> distance_to(mask).values[0].tolist()
    [0.0, 20.0, 40.0]
    """
    from scipy.ndimage import distance_transform_edt

    spacing = grid_spacing(mask)
    on = np.asarray(mask.values, bool)
    if on.any():
        distance = np.asarray(distance_transform_edt(~on, sampling=spacing), np.float32)
    else:
        distance = np.full(on.shape, np.inf, np.float32)
    out = on_posts(distance, mask, name="distance")
    out.attrs |= {"units": "m", "long_name": f"distance to {mask.name or 'the mask'}"}
    return out


def _first_and_step(grid: Grid, dim: str) -> tuple[float, float]:
    if dim not in grid.coords:
        raise GridError(f"the grid has no coordinate {dim!r}; give it post centres in metres.")
    values = np.asarray(grid[dim].values, float)
    if values.ndim != 1 or values.size < 2:
        raise GridError(f"the grid needs two posts or more along {dim}; it has {values.size}.")
    step = (values[-1] - values[0]) / (values.size - 1)
    even = values[0] + step * np.arange(values.size)
    if not step or not np.all(np.abs(values - even) <= TOLERANCE * abs(step)):
        raise GridError(
            f"the grid is not evenly spaced along {dim}; resample it to a regular grid first."
        )
    return float(values[0]), float(step)
