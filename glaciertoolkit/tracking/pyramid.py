"""Coarse to fine: large displacements, found in reduced images, become the prior of tracking."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, Tile, Window, map_tiles
from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, describe
from glaciertoolkit.errors import InputError
from glaciertoolkit.tracking.parameters import Size, both_axes
from glaciertoolkit.tracking.prepare import ABSURD
from glaciertoolkit.tracking.prior import Field, bilinear, fill_nearest

TILE_PIXELS = 256
"""Edge of the tiles in which images are reduced, reduced pixels."""
TEMPLATE = 64
"""Edge of the template in the reduced images: speckle is white, so half a reduced pixel of misfit
costs more than half of its correlation, and only many pixels make up for that."""
LEAST_TEMPLATE = 16
STEP = 8
NARROW = 512
"""Below this width the posts are STEP / 2 apart along x: the kernels take whole strips of them."""
WORK = 600
"""Multiplications a pixel that the coarse pass may cost; the fine one with search 16 costs 1089."""
MARGIN = 2
"""Reduced pixels tried beyond the reach."""
RADIUS = 2
POSITION = 0.75
STRAIN = 0.03
"""Neighbours agree within POSITION reduced pixels and STRAIN times their distance."""
SHARE, LEAST = 0.15, 3
"""Of the valid neighbours so many must agree, and no fewer than that (where there are so many)."""
FALSE_ALARM = 0.5
"""Lenient, because the neighbours judge better than the height of the peak."""
ROUNDS = 10

Track = Callable[..., xr.Dataset]


class Level(NamedTuple):
    """How images are reduced and searched: the factor, and (y, x) in reduced pixels."""

    factor: int
    template: tuple[int, int]
    search: tuple[int, int]
    step: tuple[int, int]


def coarse_offsets(
    pair: xr.Dataset, *, reach: Size, track: Track, template: Size = TEMPLATE
) -> xr.Dataset:
    """Find large displacements in images reduced by an integer factor.

    Parameters
    ----------
    pair : xarray.Dataset
        `reference` and `secondary`, dimensions (y, x), on one regular grid; of complex images
        the amplitude is reduced.
    reach : int or {"y": int, "x": int}
        Largest displacement sought, pixels of the full images.
    track : callable
        The tracking function (`glaciertoolkit.track`).
    template : int or {"y": int, "x": int}
        Template of the fine tracking, pixels of the full images; the coarse one is no smaller.

    Returns
    -------
    xarray.Dataset
        `dx`, `dy` (m) on the coarse posts, without gaps: posts that their neighbours contradict
        and posts without a match are filled from those around them (zero where there are none at
        all). Lazy where `pair` is lazy.

    Raises
    ------
    InputError
        If the images are too small for the reach.

    Notes
    -----
    The images are averaged over squares of f x f valid pixels, and the work per pixel goes as
    ``4 reach^2 / f^4``. f is the smallest power of two with which that stays well below the work
    of the fine pass: texture and speckle are kept as far as that allows.

    Lazy images are read twice, once for this pass: were the chunks shared, they would all have
    to stay in memory until the coarse pass is done.
    """
    size = (pair.sizes["y"], pair.sizes["x"])
    level = choose_level(size, both_axes(reach, "reach"), both_axes(template, "template"))
    small = reduce_pair(pair, level.factor)
    sizes = [dict(zip("yx", size, strict=True)) for size in level[1:]]
    offsets = track(
        small, template=sizes[0], search=sizes[1], step=sizes[2], prefilter="highpass",
        false_alarm=FALSE_ALARM, min_peak_ratio=1.0,
    )  # fmt: skip
    pixel = float(small["y"][1] - small["y"][0]), float(small["x"][1] - small["x"][0])
    tidy = functools.partial(_tidy, pixel=pixel, template=level.template, step=level.step)
    planes = _at_once(tidy, (offsets["dx"], offsets["dy"]), offsets["dx"].shape)
    out = offsets[["dx", "dy"]]
    for k, name in enumerate(("dx", "dy")):
        out[name] = (("y", "x"), planes[k])
    out.attrs["factor"] = level.factor
    return describe(out)


def prior_field(
    coarse: xr.Dataset, *, y: npt.ArrayLike, x: npt.ArrayLike, pixel: tuple[float, float]
) -> Any:
    """Coarse offsets as the prior of fine posts, in pixels of the full images.

    Parameters
    ----------
    coarse : xarray.Dataset
        From `coarse_offsets`.
    y, x : array_like
        Coordinates of the fine posts, metres.
    pixel : (float, float)
        Signed spacing (y, x) of the full images, metres.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        float32, (2, posts_y, posts_x): pixels to the right, pixels down. A Dask array of a single
        chunk where `coarse` is lazy.
    """
    at_y, at_x = np.asarray(y, float), np.asarray(x, float)
    place = functools.partial(
        _place, pixel=pixel, at_y=at_y, at_x=at_x,
        y=coarse["y"].values.astype(float), x=coarse["x"].values.astype(float),
    )  # fmt: skip
    return _at_once(place, (coarse["dx"], coarse["dy"]), (at_y.size, at_x.size))


def choose_level(
    shape: tuple[int, int], reach: tuple[int, int], template: tuple[int, int]
) -> Level:
    """The factor, template and search for images of `shape` pixels."""
    factor = 2
    while math.prod(2 * math.ceil(r / factor) + 1 for r in reach) > WORK * factor**2:
        factor *= 2
    small = [n // factor for n in shape]
    if min(small) < 2 * LEAST_TEMPLATE:
        raise InputError(
            f"images of {shape[0]} x {shape[1]} pixels are too small to seek displacements of "
            f"{max(reach)} pixels in; give a smaller reach, or a prior."
        )
    edges = [
        max(
            min(-(-max(TEMPLATE, t // factor) // STEP) * STEP, n // 3 // STEP * STEP),
            LEAST_TEMPLATE,
        )
        for t, n in zip(template, small, strict=True)
    ]
    search = [math.ceil(r / factor) + MARGIN for r in reach]
    step = edges[0] // 2, STEP // 2 if small[1] < NARROW else STEP
    return Level(factor, (edges[0], edges[1]), (search[0], search[1]), step)


def reduce_pair(pair: xr.Dataset, factor: int) -> xr.Dataset:
    """Both images averaged over squares of `factor` x `factor` valid pixels (amplitudes).

    A square of which less than half is valid is NaN; rows and columns that fill no square are
    left out. Lazy where `pair` is lazy, one task for both images a tile.
    """
    posts = (pair.sizes["y"] // factor, pair.sizes["x"] // factor)
    planes = map_tiles(
        functools.partial(_reduce_tile, factor=factor),
        [_read_again(pair[name].data) for name in ("reference", "secondary")],
        lattice=Lattice(posts, TILE_PIXELS),
        window=functools.partial(_times, factor=factor),
        planes=2,
        name="reduce",
    )
    coords: dict[str, Any] = {}
    for dim, n in zip(("y", "x"), posts, strict=True):
        values = np.asarray(pair[dim].values, float)[: n * factor]
        coords[dim] = (dim, (values[::factor] + values[factor - 1 :: factor]) / 2)
    coords |= {k: pair.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in pair.coords}
    images = {name: (("y", "x"), planes[k]) for k, name in enumerate(("reference", "secondary"))}
    return xr.Dataset(images, coords=coords)


def _read_again(image: Any) -> Any:
    """`image`, under other names if it is lazy: what is computed for it is not kept for others."""
    import dask
    from dask.graph_manipulation import clone

    return clone(image, seed="reduce") if dask.is_dask_collection(image) else image


def _times(tile: Tile, *, factor: int) -> Window:
    return Window(*(edge * factor for edge in tile))


def _reduce_tile(*images: Any, factor: int) -> npt.NDArray[np.float32]:
    return np.stack([block_mean(image, factor) for image in images[:2]])


def block_mean(image: npt.NDArray[Any], factor: int) -> npt.NDArray[np.float32]:
    """Mean over the valid pixels of squares; NaN where less than half of a square is valid.

    Examples
    --------
    >>> import numpy as np
    >>> block_mean(np.array([[1.0, 3.0, np.nan, np.nan], [5.0, 7.0, np.nan, 2.0]]), 2).tolist()
    [[4.0, nan]]
    """
    with np.errstate(over="ignore"):
        data = np.asarray(np.abs(image) if np.iscomplexobj(image) else image, np.float32)
    valid = np.abs(data) < ABSURD
    if valid.all():
        return _block_sum(data, factor) / np.float32(factor * factor)
    count = _block_sum(valid.astype(np.float32), factor)
    total = _block_sum(np.where(valid, data, np.float32(0)), factor)
    enough = count >= factor * factor / 2
    return np.where(enough, total / np.maximum(count, np.float32(1)), np.float32(np.nan))


def _block_sum(data: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    # Rows first: they are contiguous, and leave a fraction of the columns' work.
    rows = functools.reduce(np.add, (data[k::factor] for k in range(factor)))
    return np.asarray(functools.reduce(np.add, (rows[:, k::factor] for k in range(factor))))


def _at_once(function: Callable[..., Field], fields: Any, posts: tuple[int, ...]) -> Any:
    """`function` of the stacked fields: at once, or as one task if they are lazy."""
    import dask
    import dask.array as da

    data = [field.data for field in fields]
    if not any(map(dask.is_dask_collection, data)):
        return function(np.stack(data))
    whole = da.stack(data).rechunk(-1)
    chunks = ((len(data),), *((n,) for n in posts))
    return whole.map_blocks(
        function, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )


def _tidy(
    metres: Field, *, pixel: tuple[float, float], template: tuple[int, int], step: tuple[int, int]
) -> Field:
    """(dx, dy) without the posts that their neighbours contradict, and without gaps."""
    scale = np.reshape([pixel[1], pixel[0]], (2, 1, 1)).astype(np.float32)
    field = metres / scale
    for _ in range(2):
        field = np.where(_supported(field, template, step), field, np.float32(np.nan))
    known = np.isfinite(field).all(axis=0)
    if not known.any():
        return np.zeros_like(metres)
    rows, cols = (np.arange(n, dtype=float) * s for n, s in zip(known.shape, step, strict=True))
    filled = fill_nearest(field, rows, cols)
    for _ in range(ROUNDS):
        filled = np.where(known, filled, _neighbour_mean(filled))
    return np.asarray(filled * scale, np.float32)


def _supported(
    field: Field, template: tuple[int, int], step: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Where enough of the neighbours, half a template apart, have nearly the same displacement.

    Posts closer than that share pixels, and with them their mistakes.
    """
    ny, nx = field.shape[1:]
    apart = [max(1, t // (2 * s)) for t, s in zip(template, step, strict=True)]
    depth = [(RADIUS * stride, RADIUS * stride) for stride in apart]
    around = np.pad(field, ((0, 0), *depth), constant_values=np.nan)
    within = np.pad(np.ones((ny, nx), bool), depth)
    agree, valid, inside = (np.zeros((ny, nx), np.int16) for _ in range(3))
    for j in range(0, 2 * RADIUS + 1):
        for i in range(0, 2 * RADIUS + 1):
            if i == j == RADIUS:
                continue
            y, x = j * apart[0], i * apart[1]
            other = around[:, y : y + ny, x : x + nx]
            distance = math.hypot((y - depth[0][0]) * step[0], (x - depth[1][0]) * step[1])
            near = np.abs(other - field) <= POSITION + STRAIN * distance
            agree += near.all(axis=0)
            valid += np.isfinite(other).all(axis=0)
            inside += within[y : y + ny, x : x + nx]
    least = np.maximum(np.minimum(inside, LEAST), np.ceil(SHARE * valid))
    return np.asarray(np.isfinite(field).all(axis=0) & (agree >= least))


def _neighbour_mean(field: Field) -> Field:
    ny, nx = field.shape[1:]
    padded = np.pad(field, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :ny] + padded[:, 1 : ny + 1] + padded[:, 2:]
    return np.asarray((rows[:, :, :nx] + rows[:, :, 1 : nx + 1] + rows[:, :, 2:]) / np.float32(9))


def _place(
    metres: Field, *, pixel: tuple[float, float], y: npt.NDArray[Any], x: npt.NDArray[Any],
    at_y: npt.NDArray[Any], at_x: npt.NDArray[Any],
) -> Field:  # fmt: skip
    """Coarse (dx, dy) in metres as pixels (right, down) at the fine posts."""
    scale = np.reshape([pixel[1], pixel[0]], (2, 1, 1))
    rows, cols = np.argsort(y), np.argsort(x)
    rising = (metres / scale)[:, rows][:, :, cols]
    return bilinear(rising, y[rows], x[cols], at_y, at_x).astype(np.float32)
