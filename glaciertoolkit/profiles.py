"""Velocity, elevation and slope along a line on the map."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import (
    COORDINATES,
    FLAG_DTYPE,
    GRID_MAPPING,
    TIME_COORDS,
    Flag,
    describe,
    validate,
)
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.grids import (
    Grid,
    extent,
    grid_spacing,
    match_raster,
    post_bounds,
    post_transform,
    read_line,
)
from glaciertoolkit.grids.lines import Line
from glaciertoolkit.provenance import recorded
from glaciertoolkit.terrain import terrain_at_posts

Floats = npt.NDArray[np.float64]
PIECE = 512
"""Points of a line whose terrain is read at once."""


class _Track(NamedTuple):
    """Points along a line: distance, position, and unit vector of its direction."""

    distance: Floats
    x: Floats
    y: Floats
    east: Floats
    north: Floats


@recorded
def profile(
    ds: xr.Dataset,
    line: Line,
    *,
    spacing: float | None = None,
    width: float | None = None,
    dem: str | os.PathLike[str] | Grid | None = None,
    variables: str | Sequence[str] | None = None,
) -> xr.Dataset:
    """Read a map along a line.

    Parameters
    ----------
    ds : xarray.Dataset
        On posts, in metres; lazy variables are computed only under the line.
    line : LineString, sequence of (x, y), GeoDataFrame, GeoSeries or path
        One line, two vertices or more. Bare coordinates are those of the grid; what has a CRS is
        reprojected.
    spacing : float, optional
        Metres between the points, at most; both ends of the line are points. By default the
        spacing of the posts.
    width : float, optional
        Metres: each value is the mean across a band of that width, centred on the line. By
        default the line itself.
    dem : path or xarray.DataArray, optional
        Elevation, m; adds `elevation` and `slope` (over a template's width, `terrain_at_posts`).
    variables : str or sequence of str, optional
        Which variables of `ds`; by default all on (y, x).

    Returns
    -------
    xarray.Dataset
        Over `distance` (m, from the start of the line), with the coordinates `x` and `y`.
        Numbers are interpolated between the posts (bilinear); flags and masks are those of the
        nearest post. With `vx` and `vy` also `v_along` (along the line, positive towards its
        end) and `v_across` (positive to the left of it), m yr-1, and with the errors of both
        `v_along_error` and `v_across_error`. Outside the map numbers are NaN, masks False and
        `flag` says no data.

    Raises
    ------
    InputError
        No line, more than one, or fewer than two distinct vertices.
    GridError
        The line lies outside the map, or only one of the two has a CRS.
    MissingVariableError
        `ds` lacks one of `variables`.
    ParameterError
        `spacing` or `width` is not positive.

    Notes
    -----
    A missing post never enters a value: its weight is shared among its neighbours; where the
    nearest post is missing, the value is. Errors are averaged like the values across a band, as
    neighbouring posts are not independent. Those of `vx` and `vy` count as independent of each
    other in `v_along_error`, ``sqrt((e s_x)^2 + (n s_y)^2)`` with (e, n) the unit vector along the
    line.

    Examples
    --------
    >>> import xarray as xr
    >>> grid = {"y": [20.0, 10.0, 0.0], "x": [0.0, 10.0, 20.0, 30.0]}
    >>> v = xr.DataArray([[0.0, 10.0, 20.0, 30.0]] * 3, coords=grid, dims=("y", "x"))
    >>> along = profile(xr.Dataset({"v": v}), [(5.0, 5.0), (25.0, 5.0)])
    >>> along.distance.values.tolist(), along.v.values.tolist()
    ([0.0, 10.0, 20.0], [5.0, 15.0, 25.0])
    """
    posts = grid_spacing(ds)
    for name, value in (("spacing", spacing), ("width", width)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ParameterError(f"{name} must be positive metres; got {value!r}.")
    names = _names(ds, variables)
    step = spacing or float(min(posts))
    track = _track(read_line(line, ds), step)
    x, y = _band(track, width, step)
    transform = post_transform(ds)
    rows, cols = (y - ds["y"].values[0]) / transform.e, (x - ds["x"].values[0]) / transform.a
    if not _inside(rows, cols, ds).any():
        ends = (track.x.min(), track.y.min(), track.x.max(), track.y.max())
        raise GridError(
            f"the line lies outside the map: it covers {extent(ends)}, "
            f"the map {extent(post_bounds(ds))}; draw it over the map."
        )
    out = _sampled(ds[names], rows, cols)
    if {"vx", "vy"} <= set(out):
        out = out.assign(_components(out, track))
    if dem is not None:
        out = out.assign(_terrain(ds, dem, rows, cols))
    return _described(out, track, ds)


def _track(line: Any, step: float) -> _Track:
    """Points at equal distances of at most `step`, both ends among them."""
    import shapely

    distance = np.linspace(0.0, line.length, max(1, math.ceil(line.length / step - 1e-9)) + 1)

    def at(where: Floats) -> Floats:
        points = shapely.line_interpolate_point(line, np.clip(where, 0.0, line.length))
        return np.asarray(shapely.get_coordinates(points))

    # Over one step, so that a corner turns the direction half-way.
    half = distance[1] / 2
    chord = at(distance + half) - at(distance - half)
    length = np.hypot(*chord.T)
    # A line that turns back on itself has no direction there.
    direction = np.divide(
        chord, length[:, None], out=np.full_like(chord, np.nan), where=length[:, None] > 0
    )
    x, y = at(distance).T
    return _Track(distance, x, y, direction[:, 0], direction[:, 1])


def _band(track: _Track, width: float | None, step: float) -> tuple[Floats, Floats]:
    """x and y of the points across the line, (distance, across); the line itself is the middle."""
    if width is None:
        return track.x[:, None], track.y[:, None]
    half = max(1, math.ceil(width / 2 / step))
    across = np.linspace(-width / 2, width / 2, 2 * half + 1)
    return (
        track.x[:, None] - track.north[:, None] * across,
        track.y[:, None] + track.east[:, None] * across,
    )


# --- the values --------------------------------------------------------------------------------


def _names(ds: xr.Dataset, variables: str | Sequence[str] | None) -> list[str]:
    if variables is None:
        found = [str(k) for k, v in ds.data_vars.items() if set(v.dims) == {"y", "x"}]
    else:
        found = [variables] if isinstance(variables, str) else list(variables)
        validate(ds, needs=found)
    if not found or any(set(ds[name].dims) != {"y", "x"} for name in found):
        raise InputError("a profile needs variables with the dimensions (y, x).")
    return found


def _inside(rows: Floats, cols: Floats, ds: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Between the outermost posts; rounding aside."""
    slack = 1e-6
    ny, nx = ds.sizes["y"], ds.sizes["x"]
    inside = (rows >= -slack) & (rows <= ny - 1 + slack)
    return np.asarray(inside & (cols >= -slack) & (cols <= nx - 1 + slack))


def _sampled(ds: xr.Dataset, rows: Floats, cols: Floats) -> xr.Dataset:
    """Every variable at fractional rows and columns (distance, across), averaged across."""
    ny, nx = ds.sizes["y"], ds.sizes["x"]
    inside = _inside(rows, cols, ds)
    r, c = (np.clip(np.nan_to_num(v), 0, n - 1) for v, n in ((rows, ny), (cols, nx)))
    top, left = np.minimum(r.astype(int), ny - 2), np.minimum(c.astype(int), nx - 2)
    down, right = r - top, c - left
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    dims = ("distance", "across", "corner")
    at_y = xr.DataArray(np.stack([top + i for i, _ in corners], axis=-1), dims=dims)
    at_x = xr.DataArray(np.stack([left + j for _, j in corners], axis=-1), dims=dims)
    weights = np.stack(
        [(down if i else 1 - down) * (right if j else 1 - right) for i, j in corners], axis=-1
    )
    around = ds.drop_vars([k for k in ds.coords if k not in ("y", "x")])
    around = around.isel(y=at_y, x=at_x).compute()
    nearest = np.argmax(weights, axis=-1)
    middle = rows.shape[1] // 2
    out = {}
    for name, values in around.data_vars.items():
        corner_values = values.transpose(*dims).values
        at_nearest = np.take_along_axis(corner_values, nearest[..., None], axis=-1)[..., 0]
        if np.issubdtype(values.dtype, np.floating):
            mean = _weighted(corner_values, weights, at_nearest, inside)
            out[name] = _across(mean).astype(values.dtype)
        else:
            out[name] = _labelled(str(name), at_nearest[:, middle], inside[:, middle])
    return xr.Dataset({name: ("distance", v, dict(ds[name].attrs)) for name, v in out.items()})


def _weighted(
    values: npt.NDArray[Any], weights: Floats, at_nearest: npt.NDArray[Any], inside: Any
) -> Floats:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0) * weights
    weight = (known * weights).sum(axis=-1)
    mean = np.full(weight.shape, np.nan)
    np.divide(total.sum(axis=-1), weight, out=mean, where=weight > 0)
    mean[~(inside & np.isfinite(at_nearest))] = np.nan
    return mean


def _across(values: Floats) -> Floats:
    """Mean over the band, of what is known."""
    known = np.isfinite(values)
    mean = np.full(len(values), np.nan)
    count = known.sum(axis=1)
    np.divide(np.where(known, values, 0.0).sum(axis=1), count, out=mean, where=count > 0)
    return mean


def _labelled(name: str, values: npt.NDArray[Any], inside: npt.NDArray[np.bool_]) -> Any:
    """Flags, masks and whole numbers at the nearest post."""
    if name == "flag":
        return np.where(inside, values, FLAG_DTYPE(Flag.NODATA)).astype(FLAG_DTYPE)
    if values.dtype == bool:
        return values & inside
    return np.where(inside, values, np.nan).astype(np.float32)


def _components(out: xr.Dataset, track: _Track) -> dict[str, Any]:
    vx, vy = (out[k].values.astype(float) for k in ("vx", "vy"))
    found = {
        "v_along": vx * track.east + vy * track.north,
        "v_across": vy * track.east - vx * track.north,
    }
    if {"vx_error", "vy_error"} <= set(out):
        sx, sy = (out[f"{k}_error"].values.astype(float) for k in ("vx", "vy"))
        found["v_along_error"] = np.hypot(sx * track.east, sy * track.north)
        found["v_across_error"] = np.hypot(sy * track.east, sx * track.north)
    return {name: ("distance", values.astype(np.float32)) for name, values in found.items()}


def _terrain(ds: xr.Dataset, dem: Any, rows: Floats, cols: Floats) -> xr.Dataset:
    """Elevation and slope, piece by piece, so that only the DEM around the line is read."""
    known, missing = [], None
    for first in range(0, len(rows), PIECE):
        piece = slice(first, first + PIECE)
        try:
            known.append(_terrain_piece(ds, dem, rows[piece], cols[piece]))
        except GridError as error:
            # The line may leave the DEM, but not lie outside it altogether.
            nothing = ("distance", np.full(len(rows[piece]), np.nan, np.float32))
            known.append(xr.Dataset({"elevation": nothing, "slope": nothing}))
            missing = error
    out = xr.concat(known, dim="distance")
    if missing is not None and not np.isfinite(out["elevation"].values).any():
        raise missing
    return out


def _terrain_piece(ds: xr.Dataset, dem: Any, rows: Floats, cols: Floats) -> xr.Dataset:
    window, origin = {}, {}
    for dim, where in (("y", rows), ("x", cols)):
        last = ds.sizes[dim] - 1
        first = int(np.clip(np.nanmin(where) - 1, 0, last - 1))
        stop = int(np.clip(np.nanmax(where) + 2, first + 1, last))
        window[dim], origin[dim] = slice(first, stop + 1), first
    near = xr.Dataset(coords=ds.coords, attrs=ds.attrs).isel(window)
    ground = xr.Dataset(
        {
            "elevation": match_raster(dem, near, name="elevation", min_coverage=0.0),
            "slope": terrain_at_posts(near, dem, min_coverage=0.0)["slope"],
        }
    )
    return _sampled(ground, rows - origin["y"], cols - origin["x"])


def _described(out: xr.Dataset, track: _Track, ds: xr.Dataset) -> xr.Dataset:
    kept = {k: ds.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in ds.coords}
    along: dict[str, Any] = {
        "distance": (track.distance, {"units": "m", "long_name": "distance along the line"}),
        "x": (track.x, COORDINATES["x"]),
        "y": (track.y, COORDINATES["y"]),
    }
    along = {name: ("distance", *found) for name, found in along.items()}
    out = out.assign_coords({**along, **kept})
    for name in out.data_vars:
        out[name].attrs.pop("grid_mapping", None)
    return describe(out.assign_attrs(ds.attrs))
