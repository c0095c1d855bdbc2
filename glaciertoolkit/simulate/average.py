"""The truth as a template sees it: averaged over the box around each post."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from glaciertoolkit import conventions
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.parameters import Parameters

if TYPE_CHECKING:
    from dask.array import Array

Float64 = NDArray[np.float64]

SUMS = {
    "true_dx": "true displacement of the ice along x, mean over the template",
    "true_dy": "true displacement of the ice along y, mean over the template",
    "true_offset_dx": "true offset along x of all causes, mean over the template",
    "true_offset_dy": "true offset along y of all causes, mean over the template",
    "ice_fraction": "share of the template that is ice",
    "contaminated": "share of the template that is an outlier or without coherence",
}


def true_motion(
    scene: xr.Dataset,
    posts: xr.Dataset,
    *,
    template: int | Sequence[int] | Mapping[str, int] | None = None,
) -> xr.Dataset:
    """The truth as templates see it: averaged over the box of pixels around each post.

    Parameters
    ----------
    scene : xarray.Dataset
        What `simulate_pair` returned, or a part of it, or its truth read back from a file.
    posts : xarray.Dataset
        Any Dataset with 1-d coordinates y and x: the geometric centres of templates on the
        scene's grid, as `track` returns them.
    template : int, (rows, columns) or {"y": rows, "x": columns}, optional
        Edge of the template, pixels. Left out: ``posts.attrs["template"]``.

    Returns
    -------
    xarray.Dataset
        Lazy, on the grid of `posts`, in tiles that need little memory. `true_dx`, `true_dy` (ice
        alone, m), `true_offset_dx`, `true_offset_dy` (with deformation and topographic offset:
        what tracking measures, m), `ice_fraction` and `contaminated` (share of the template that
        is an outlier or without coherence).

    Raises
    ------
    GridError
        The posts are not the centres of such templates, or their templates leave the scene.
    ParameterError
        The size of the template is missing or wrong.

    Examples
    --------
    >>> import xarray as xr
    >>> from glaciertoolkit.simulate import simulate_pair
    >>> scene = simulate_pair(size=256)
    >>> posts = xr.Dataset(coords={"y": scene.y[40:200:8], "x": scene.x[40:200:8]})
    >>> float(true_motion(scene, posts, template=1).true_dx[3, 4] - scene.true_dx[64, 72])
    0.0
    """
    p = par.of_scene(scene)
    edges = _template(posts if template is None else None, template)
    rows = _first_pixels(p, posts, "y", edges[0])
    columns = _first_pixels(p, posts, "x", edges[1])
    dims = ("y", "x")
    names = list(SUMS)
    data = _lazy(p, edges, rows, columns)
    out = xr.Dataset(
        {
            name: (dims, data[k], {"units": "m" if k < 4 else "1", "long_name": SUMS[name]})
            for k, name in enumerate(names)
        },
        coords={k: v for k, v in posts.coords.items() if set(v.dims) <= set(dims)},
        attrs={"template": list(edges)},
    )
    return conventions.describe(out)


def _template(posts: xr.Dataset | None, given: Any) -> tuple[int, int]:
    if posts is not None:
        given = posts.attrs.get("template")
        if given is None:
            raise ParameterError(
                "true_motion: the posts do not say how large their template was; "
                "give template= (pixels)."
            )
        if isinstance(given, str):
            given = json.loads(given)
    if isinstance(given, np.ndarray):
        given = given.tolist()
    pair = par.two("template", given, "one edge, or rows and columns, in pixels")
    return par.whole("template", pair[0], 1, 4096), par.whole("template", pair[1], 1, 4096)


def _first_pixels(p: Parameters, posts: xr.Dataset, axis: str, edge: int) -> NDArray[np.int64]:
    """First row (column) of the template around each post."""
    if axis not in posts.coords:
        raise GridError(
            f"true_motion: the posts have no coordinate {axis}; give a tracked Dataset."
        )
    place = posts[axis].values.astype(float)
    if axis == "y":
        centre = (par.NORTH - place) / p.pixel - 0.5
    else:
        centre = (place - par.WEST) / p.pixel - 0.5
    first = centre - (edge - 1) / 2
    found = np.rint(first).astype(np.int64)
    size = p.size[0 if axis == "y" else 1]
    if np.abs(first - found).max(initial=0.0) > 0.01:
        raise GridError(
            f"true_motion: the posts along {axis} are not the centres of templates of {edge} "
            "pixels on the scene's grid; give template= with the size that was tracked."
        )
    if found.size and (found.min() < 0 or found.max() + edge > size):
        raise GridError(
            f"true_motion: templates of {edge} pixels leave the scene along {axis}; "
            "give posts that lie on the scene."
        )
    return found


def _chunks(first: NDArray[np.int64]) -> tuple[int, ...]:
    """Posts per tile, so that the pixels of a tile span about `TILE`."""
    if first.size < 2:
        return (first.size,)
    step = max(1, round(float(np.abs(np.diff(first)).mean())))
    count = max(1, par.TILE // step)
    return tuple(min(count, first.size - k) for k in range(0, first.size, count))


def _lazy(
    p: Parameters, edges: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> Array:
    import dask.array as da

    chunks = ((len(SUMS),), _chunks(rows), _chunks(columns))
    parts = [
        np.split(f, np.cumsum(c)[:-1]) for f, c in zip((rows, columns), chunks[1:], strict=True)
    ]
    tiles: Array = da.map_blocks(
        _tile,
        p,
        edges,
        parts,
        chunks=chunks,
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    return tiles


def _tile(
    p: Parameters,
    edges: tuple[int, int],
    parts: list[list[NDArray[np.int64]]],
    block_id: tuple[int, ...] = (),
) -> NDArray[np.float32]:
    """All averages of one tile of posts: evaluate every pixel it needs once, then sum boxes."""
    from glaciertoolkit.simulate import truth

    rows, columns = parts[0][block_id[1]], parts[1][block_id[2]]
    out = np.empty((len(SUMS), rows.size, columns.size), np.float32)
    if out.size == 0:
        return out
    top, left = int(rows.min()), int(columns.min())
    ys = np.arange(top, rows.max() + edges[0], dtype=float)
    xs = np.arange(left, columns.max() + edges[1], dtype=float)

    def mean(*names: str) -> Float64:
        total = np.zeros((ys.size, xs.size))
        for name in names:
            total += truth.evaluate(p, name, ys, xs)
        return _boxes(total, edges, rows - top, columns - left)

    for k, axis in enumerate(("dx", "dy")):
        out[k] = mean(f"true_{axis}")
        out[2 + k] = out[k] + mean(f"true_deformation_{axis}", f"true_topography_{axis}")
    out[4] = mean("ice")
    wrong = truth.evaluate(p, "outlier", ys, xs) | truth.evaluate(p, "decorrelated", ys, xs)
    out[5] = _boxes(wrong.astype(float), edges, rows - top, columns - left)
    return out


def _boxes(
    values: Float64, edges: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> Float64:
    """Means over the boxes whose first pixels are `rows` x `columns`."""
    for axis, (edge, first) in enumerate(zip(edges, (rows, columns), strict=True)):
        shape = (1, values.shape[1]) if axis == 0 else (values.shape[0], 1)
        sums = np.concatenate([np.zeros(shape), np.cumsum(values, axis=axis)], axis=axis)
        values = (np.take(sums, first + edge, axis) - np.take(sums, first, axis)) / edge
    return values
