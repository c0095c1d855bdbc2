"""One place in a pair: the template that lies there, and the tile of posts that holds it.

The tile is read, opened and measured by the functions that `track` maps over all tiles.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, Tile, Window
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.tile import Opened, measure_tile, open_tile
from glaciertoolkit.tracking.track import search_start
from glaciertoolkit.tracking.windows import image_window

Array = npt.NDArray[np.float32]

WORKERS = max(min(os.cpu_count() or 1, 4), 1)
LEAST_ROWS = 8
"""Rows of posts that are worth a thread: each begins with the sums of a template's rows."""


class Place(NamedTuple):
    """A template in the images, and the tile of posts with which `track` measures it.

    Where the template does not begin at a multiple of the step, the images get `pad` pixels (y, x)
    of nothing before their first, so that it does; `post` and `tile` count on that lattice, and
    `parameters` are those of the padded images. `corner`: first pixel of the template (y, x).
    """

    corner: tuple[int, int]
    pad: tuple[int, int]
    post: tuple[int, int]
    tile: Tile
    parameters: TrackParameters


class Measured(NamedTuple):
    """A tile as `track` measures it, with what is needed to look into each of its posts.

    `images`: the pixels of `window` (in the padded images) as they are in the pair.
    """

    opened: Opened
    planes: Array
    images: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    window: Window


def place_of(pair: xr.Dataset, x: float, y: float, parameters: TrackParameters) -> Place:
    """The template whose centre lies nearest to (x, y), and its tile.

    Raises
    ------
    ParameterError
        If the place is no number, off the images, or so near their edge that no template fits.
    """
    corner = (_first(pair["y"], y, parameters, 0), _first(pair["x"], x, parameters, 1))
    pad, post = [], []
    for first, step in zip(corner, parameters.step, strict=True):
        pad.append(-first % step)
        post.append((first + pad[-1]) // step)
    rows, columns = (n + p for n, p in zip(parameters.shape, pad, strict=True))
    padded = replace(parameters, shape=(rows, columns))
    # The posts that the padding adds before the image are none of it.
    edges = []
    for axis, spans in enumerate(Lattice(padded.posts, padded.tile).edges()):
        low, high = next(span for span in spans if span[0] <= post[axis] < span[1])
        edges += [max(low, 1 if pad[axis] else 0), high]
    return Place(corner, (pad[0], pad[1]), (post[0], post[1]), Tile(*edges), padded)


def _first(coordinate: xr.DataArray, at: Any, parameters: TrackParameters, axis: int) -> int:
    """First pixel along one axis of the template that is centred at `at`."""
    name = coordinate.name
    values = np.asarray(coordinate.values, float)
    try:
        wanted = float(at)
    except (TypeError, ValueError):
        wanted = math.nan
    if not math.isfinite(wanted):
        raise ParameterError(f"{name} of the place must be a number, in metres; got {at!r:.40}.")
    pixel, edge = parameters.pixel[axis], parameters.template[axis]
    low, high = sorted((values[0], values[-1]))
    half = abs(pixel) / 2
    if not low - half <= wanted <= high + half:
        raise ParameterError(
            f"the place lies off the images: its {name} is {wanted:.10g} m, theirs reach from "
            f"{low:.10g} to {high:.10g} m; choose a place inside."
        )
    first = math.floor((wanted - values[0]) / pixel - (edge - 1) / 2 + 0.5)
    last = values.size - edge
    if first < 0 or first > last:
        inner = sorted(values[[0, last]] + pixel * (edge - 1) / 2)
        raise ParameterError(
            f"the template of {edge} pixels does not fit into the images at {name} = "
            f"{wanted:.10g} m; choose a place with {name} from {inner[0]:.10g} to "
            f"{inner[1]:.10g} m, or a smaller template."
        )
    return int(first)


def start_at(
    pair: xr.Dataset, place: Place, prior: Any, max_displacement: Any
) -> tuple[Any, tuple[int, int]]:
    """Where the posts of the place's tile are searched: see `track.search_start`."""
    if prior is None and max_displacement is None:
        return None, (0, 0)
    p, tile = place.parameters, place.tile
    centres = []
    for k, name in enumerate(("y", "x")):
        first = np.arange(p.posts[k]) * p.step[k] - place.pad[k]
        last = first + p.template[k] - 1
        values = np.asarray(pair[name].values, float)
        ends = [values[0] + p.pixel[k] * at if place.pad[k] else values[at] for at in (first, last)]
        centres.append((ends[0] + ends[1]) / 2)
    # Only the posts of the tile are asked for; a prior for all would take longer than the answer.
    rows, columns = slice(tile.y0, tile.y1), slice(tile.x0, tile.x1)
    part, reach = search_start(
        pair, p, (centres[0][rows], centres[1][columns]), prior, max_displacement
    )
    field = np.zeros((2, *p.posts), np.float32)
    field[:, rows, columns] = np.asarray(part)
    return field, reach


def measure_at(pair: xr.Dataset, place: Place, start: Any, reach: tuple[int, int]) -> Measured:
    """Read, prepare and track the tile of a place."""
    import dask

    p, pad = replace(place.parameters, reach=reach), place.pad
    wide = image_window(p, place.tile)
    window = Window(max(wide.y0, pad[0]), wide.y1, max(wide.x0, pad[1]), wide.x1)
    pixels = tuple(
        pair[name].data[
            window.y0 - pad[0] : window.y1 - pad[0], window.x0 - pad[1] : window.x1 - pad[1]
        ]
        for name in ("reference", "secondary")
    )
    a, b = (np.ascontiguousarray(image) for image in dask.compute(*pixels))
    priors = () if start is None else (start,)
    opened = open_tile(a, b, *priors, place.tile, window, parameters=p)
    with ThreadPoolExecutor(WORKERS) as pool:
        planes = measure_tile(_divided(opened, p), place.tile, p, apply=pool.map)
    return Measured(opened, planes, (a, b), window)


def _divided(opened: Opened, p: TrackParameters) -> Opened:
    """The tile in parts that threads can share, where that changes no bit of the result.

    Correlation with missing pixels takes another way than without, part by part.
    """
    windows = opened.pairs[0]
    whole = windows.reference.valid.all() and windows.secondary.valid.all()
    if p.method == "ncc" and not whole:
        return opened
    parts = []
    for part, offset in opened.parts:
        rows = max(-(-part.shape[0] // WORKERS), LEAST_ROWS)
        starts = range(part.y0, part.y1, rows)
        parts += [(part._replace(y0=y, y1=min(y + rows, part.y1)), offset) for y in starts]
    return opened._replace(parts=parts)
