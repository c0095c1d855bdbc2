"""Velocities of another map in the units and along the axes of this one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.grids import crs_of, match_raster

Array = npt.NDArray[np.float64]

PER_YEAR = {
    **dict.fromkeys(("m yr-1", "m/yr", "m/y", "m a-1", "meter/year", "meter/y"), 1.0),
    **dict.fromkeys(("m d-1", "m/d", "m/day", "meter/day"), YEAR_DAYS),
}
"""Factor to metres a year, by the units that products use."""

LATTICE = 65
"""Posts along each side at which the turn is worked out; it is linear between them."""
ROWS = 512
"""Rows of posts that are turned at once."""


def per_year(field: Any, units: str | None = None) -> float:
    """Factor from the unit of a field to metres a year; a field without a unit is taken for them.

    Raises
    ------
    ParameterError
        For a unit that is none of a velocity.
    """
    if units is None:
        units = str(field.attrs.get("units", "")) if isinstance(field, xr.DataArray) else ""
        units = units or "m yr-1"
    if units not in PER_YEAR:
        raise ParameterError(f"units must be one of {', '.join(PER_YEAR)}; got {units!r}.")
    return PER_YEAR[units]


def source_crs(source: Any) -> Any:
    """The CRS of a field, or of a raster file; None where it has none."""
    if isinstance(source, xr.DataArray):
        return crs_of(source)
    import rasterio

    with rasterio.open(source) as opened:
        return opened.crs


def axes_turn(crs: Any, like: xr.Dataset) -> Array:
    """How vectors along the axes of another CRS lie on the posts: the Jacobian, (2, 2, y, x).

    ``(vx, vy) = J (vx_other, vy_other)``: its angle is the grid convergence, its size the ratio
    of the scales, of the two maps at each post.

    Parameters
    ----------
    crs
        Anything that pyproj takes for a projected CRS.
    like : xarray.Dataset
        The posts, with a CRS.

    Raises
    ------
    GridError
        Without a CRS, or where the other one is geographic: degrees are no lengths.
    """
    from pyproj import CRS, Transformer

    here, there = crs_of(like), CRS.from_user_input(crs)
    if here is None:
        raise GridError("the grid has no CRS; set it with rio.write_crs().")
    if there.is_geographic:
        raise GridError(
            "the other product is in geographic coordinates, in which vectors have no length; give "
            "it on a projected grid."
        )
    x, y = np.meshgrid(like["x"].values.astype(float), like["y"].values.astype(float))
    own = CRS.from_wkt(here.to_wkt())
    out = Transformer.from_crs(own, there, always_xy=True)
    back = Transformer.from_crs(there, own, always_xy=True)
    far_x, far_y = out.transform(x, y)
    step = 50.0
    columns = []
    for east, north in ((step, 0.0), (0.0, step)):
        ahead = back.transform(far_x + east, far_y + north)
        # Both neighbours, since one alone would turn with the curvature of the grid lines.
        behind = back.transform(far_x - east, far_y - north)
        columns.append([(p - m) / (2 * step) for p, m in zip(ahead, behind, strict=True)])
    return np.asarray(columns).swapaxes(0, 1)


def turn_vectors(
    vx: xr.DataArray | str | os.PathLike[str],
    vy: xr.DataArray | str | os.PathLike[str],
    like: xr.Dataset,
    *,
    true_lengths: bool = False,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Vector components of another map on the posts, along the posts' own axes.

    Parameters
    ----------
    vx, vy : path or xarray.DataArray
        Components along the axes of their own CRS.
    like : xarray.Dataset
        The posts.
    true_lengths : bool
        The components are metres on the ground, not of their map: they are turned, not scaled.

    Returns
    -------
    vx, vy : xarray.DataArray
        float32, (y, x).
    """
    east, north = match_raster(vx, like), match_raster(vy, like)
    crs = source_crs(vx)
    if crs is None or crs_of(like) is None or crs == crs_of(like):
        return east, north
    return turned(east, north, crs, true_lengths=true_lengths)


def turned(
    vx: xr.DataArray, vy: xr.DataArray, crs: Any, *, true_lengths: bool = False
) -> tuple[xr.DataArray, xr.DataArray]:
    """Components along the axes of `crs`, on posts of another CRS, along the axes of the posts.

    Parameters
    ----------
    vx, vy : xarray.DataArray
        (y, x), on the posts; they are read row by row.
    crs : rasterio.crs.CRS
        Along whose axes they point.
    true_lengths : bool
        They are metres on the ground, not of that map: they are turned, not scaled.

    Returns
    -------
    vx, vy : xarray.DataArray
        float32, (y, x), in memory.
    """
    sizes = [vx.sizes[dim] for dim in ("y", "x")]
    nodes = [np.unique(np.linspace(0, n - 1, min(n, LATTICE)).round().astype(int)) for n in sizes]
    some = vx.isel(y=nodes[0], x=nodes[1]).to_dataset(name="vx")
    jacobian = axes_turn(crs.to_wkt(), some)
    if true_lengths:
        area = jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]
        jacobian = jacobian / np.sqrt(np.abs(area))
    along = _between(jacobian, nodes[1], np.arange(sizes[1]), axis=3)
    out = np.empty((2, *sizes), np.float32)
    for start in range(0, sizes[0], ROWS):
        rows = slice(start, min(start + ROWS, sizes[0]))
        j = _between(along, nodes[0], np.arange(rows.start, rows.stop), axis=2)
        east, north = (v.isel(y=rows).values for v in (vx, vy))
        for k in range(2):
            out[k, rows] = j[k, 0] * east + j[k, 1] * north
    return vx.copy(data=out[0]), vy.copy(data=out[1])


def _between(values: Array, nodes: npt.NDArray[Any], at: npt.NDArray[Any], *, axis: int) -> Array:
    """`values`, known at `nodes` along an axis, linearly between them."""
    if nodes.size == 1:
        return np.repeat(values, at.size, axis=axis)
    place = np.interp(at, nodes, np.arange(nodes.size))
    low = np.minimum(place.astype(int), nodes.size - 2)
    shape = [1] * values.ndim
    shape[axis] = at.size
    share = (place - low).reshape(shape)
    below, above = np.take(values, low, axis=axis), np.take(values, low + 1, axis=axis)
    return np.asarray(below * (1 - share) + above * share)
