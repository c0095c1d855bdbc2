"""Output-driven lazy tiles over images, and checkpoints.

A tile is a block of posts of the output. Its task takes the window of the images that the posts
need, out of whatever chunks hold it; so any halo, any step and any chunking work, and the result
has the same bits as an eager computation. Tiles lie on one global lattice of constant size, which
depends on nothing but the parameters of the operator.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import VARIABLES, describe
from glaciertoolkit.errors import FileError


class Tile(NamedTuple):
    """A block of posts: rows y0..y1, columns x0..x1 of the output (ends excluded)."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Posts in the tile, (rows, columns)."""
        return self.y1 - self.y0, self.x1 - self.x0


class Window(NamedTuple):
    """A block of pixels of an image: rows y0..y1, columns x0..x1 (ends excluded)."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as an index."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


class Lattice(NamedTuple):
    """The posts of an output, and the size of its tiles in posts (an edge, or rows and columns)."""

    posts: tuple[int, int]
    tile: int | tuple[int, int]

    def edges(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """First and last post (excluded) of the tiles along y, and along x."""
        size = (self.tile, self.tile) if isinstance(self.tile, int) else self.tile
        along_y, along_x = (
            [(i, min(i + edge, n)) for i in range(0, n, edge)]
            for n, edge in zip(self.posts, size, strict=True)
        )
        return along_y, along_x

    def rows(self) -> list[list[Tile]]:
        """All tiles, row by row."""
        along_y, along_x = self.edges()
        return [[Tile(*y, *x) for x in along_x] for y in along_y]

    def __iter__(self) -> Iterator[Any]:
        return (tile for row in self.rows() for tile in row)


TileFunction = Callable[..., npt.NDArray[np.float32]]
Report = Callable[[int, int], None]

_reports: ContextVar[tuple[Report, ...]] = ContextVar("reports", default=())


@contextmanager
def progress(report: Report) -> Iterator[None]:
    """Call ``report(done, total)`` after each tile that eager input computes inside this block.

    Lazy input is computed by Dask, whose own progress bars show it.

    Parameters
    ----------
    report : callable
        Called in the thread that asked for the computation.

    Examples
    --------
    >>> from glaciertoolkit.blocks import progress
    >>> with progress(lambda done, total: print(f"{done} of {total} tiles")):
    ...     pass  # pair.glacier.track() of an image in memory
    """
    token = _reports.set((*_reports.get(), report))
    try:
        yield
    finally:
        _reports.reset(token)


def map_tiles(
    function: TileFunction,
    images: Sequence[Any],
    *,
    lattice: Lattice,
    window: Callable[[Tile], Window],
    planes: int,
    name: str,
    arguments: Sequence[Any] = (),
) -> Any:
    """Apply `function` to every tile: an array of shape (planes, posts_y, posts_x), float32.

    Parameters
    ----------
    function
        Called as ``function(*windows, *arguments, tile, window)`` with NumPy arrays, the windows
        contiguous; returns (planes, tile rows, tile columns), float32. It must be importable (it
        is sent to workers) and must not write into what it is given.
    images
        2-D arrays on one grid. If any is a Dask array the result is lazy, one task a tile;
        otherwise the tiles run in a thread pool.
    lattice
        Posts and tile size.
    window
        The pixels a tile needs, already clipped to the image.
    planes
        Number of planes that `function` returns.
    name
        Prefix of the task names.
    arguments
        Small arrays that every tile gets whole. A Dask array makes the result lazy too.

    Returns
    -------
    numpy.ndarray or dask.array.Array
    """
    import dask

    if any(dask.is_dask_collection(array) for array in (*images, *arguments)):
        return _lazy(function, images, lattice, window, planes, name, arguments)
    return _eager(function, images, lattice, window, planes, arguments)


def _eager(
    function: TileFunction,
    images: Sequence[Any],
    lattice: Lattice,
    window: Callable[[Tile], Window],
    planes: int,
    arguments: Sequence[Any],
) -> npt.NDArray[np.float32]:
    from concurrent.futures import ThreadPoolExecutor, as_completed

    import dask

    out = np.empty((planes, *lattice.posts), np.float32)

    def work(tile: Tile) -> None:
        wanted = window(tile)
        blocks = [np.ascontiguousarray(image[wanted.slices]) for image in images]
        part = function(*blocks, *arguments, tile, wanted)
        out[:, tile.y0 : tile.y1, tile.x0 : tile.x1] = part

    pool = ThreadPoolExecutor(dask.config.get("num_workers", None) or os.cpu_count() or 1)
    try:
        futures = [pool.submit(work, tile) for tile in lattice]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            for report in _reports.get():
                report(done, len(futures))
    finally:
        # After an error or Ctrl-C only the tiles that are running are waited for.
        pool.shutdown(wait=True, cancel_futures=True)
    return out


class Part(NamedTuple):
    """How the chunks given to a task cover the window: pixel of the first, chunks a row, chunks."""

    y: int
    x: int
    columns: int
    chunks: int


def _cut(blocks: Sequence[Any], part: Part, window: Window) -> npt.NDArray[Any]:
    """The pixels of `window` from the chunks that it touches (row by row)."""
    first = np.asarray(blocks[0])
    height, width = window.y1 - window.y0, window.x1 - window.x0
    if part.chunks == 1:
        inside = first[window.y0 - part.y :, window.x0 - part.x :][:height, :width]
        return np.ascontiguousarray(inside)
    out = np.empty((height, width), first.dtype)
    y = part.y
    for start in range(0, part.chunks, part.columns):
        x = part.x
        for block in map(np.asarray, blocks[start : start + part.columns]):
            rows, cols = block.shape
            y0, y1 = max(y, window.y0), min(y + rows, window.y1)
            x0, x1 = max(x, window.x0), min(x + cols, window.x1)
            target = out[y0 - window.y0 : y1 - window.y0, x0 - window.x0 : x1 - window.x0]
            target[...] = block[y0 - y : y1 - y, x0 - x : x1 - x]
            x += cols
        y += rows
    return out


def _run_tile(
    function: TileFunction, tile: Tile, window: Window, parts: Sequence[Part], *values: Any
) -> npt.NDArray[np.float32]:
    """The task of a tile: cut the windows from the chunks, then call `function`."""
    windows, at = [], 0
    for part in parts:
        windows.append(_cut(values[at : at + part.chunks], part, window))
        at += part.chunks
    return function(*windows, *values[at:], tile, window)


def _touched(array: Any, window: Window) -> tuple[Part, list[Any]]:
    """The chunks of a 2-D Dask array that `window` touches, and their keys."""
    spans, origin = [], []
    for sizes, first, last in zip(array.chunks, window[::2], window[1::2], strict=True):
        ends = np.cumsum(sizes)
        low = min(int(np.searchsorted(ends, first, side="right")), len(sizes) - 1)
        high = max(int(np.searchsorted(ends, last, side="left")), low)
        spans.append(range(low, high + 1))
        origin.append(int(ends[low]) - int(sizes[low]))
    keys = [(array.name, i, j) for i in spans[0] for j in spans[1]]
    return Part(origin[0], origin[1], len(spans[1]), len(keys)), keys


def _lazy(
    function: TileFunction,
    images: Sequence[Any],
    lattice: Lattice,
    window: Callable[[Tile], Window],
    planes: int,
    name: str,
    arguments: Sequence[Any],
) -> Any:
    """One task a tile, which depends on the very chunks that its windows touch.

    Slicing the images lazily instead would cost several tasks a window: at 20,000 x 20,000 pixels
    most of the graph, and of the time to build it.
    """
    import dask
    import dask.array as da
    from dask._task_spec import Task, TaskRef
    from dask.highlevelgraph import HighLevelGraph

    arrays = [da.asarray(image) for image in images]
    # One chunk each: a tile then depends on one key for each argument.
    extras = [da.asarray(argument).rechunk(-1) for argument in arguments]
    token = dask.base.tokenize(function, [a.name for a in (*arrays, *extras)], lattice, planes)
    layer = f"{name}-{token}"
    shared = [TaskRef((extra.name,) + (0,) * extra.ndim) for extra in extras]
    graph: dict[Any, Task] = {}
    for i, row in enumerate(lattice.rows()):
        for j, tile in enumerate(row):
            wanted = window(tile)
            parts, keys = zip(*(_touched(array, wanted) for array in arrays), strict=True)
            chunks = [TaskRef(key) for group in keys for key in group]
            key = (layer, 0, i, j)
            graph[key] = Task(key, _run_tile, function, tile, wanted, parts, *chunks, *shared)
    along = [tuple(last - first for first, last in edges) for edges in lattice.edges()]
    return da.Array(
        HighLevelGraph.from_collections(layer, graph, dependencies=[*arrays, *extras]),
        layer,
        chunks=((planes,), *along),
        meta=np.empty((0, 0, 0), np.float32),
    )


STORED = 512
"""Posts along an edge of a chunk of a store: a file for each small tile would take long to read."""


WRITTEN = 16_000_000
"""Posts of a band: Dask keeps part of what it made until the last chunk that needs it is stored."""


def is_lazy(ds: xr.Dataset | xr.DataArray) -> bool:
    """Whether any variable of `ds` is a Dask collection."""
    import dask

    return bool(dask.is_dask_collection(ds))


def checkpoint(
    ds: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> xr.Dataset:
    """Compute `ds` once into a Zarr store and return it reopened, lazily.

    Parameters
    ----------
    ds : xarray.Dataset
        Usually the offsets of `track`, before any fit needs them whole.
    path : path-like
        The store (a folder); it appears whole or not at all.
    overwrite : bool
        Replace a store that is already there.

    Returns
    -------
    xarray.Dataset
        The same variables, coordinates and attributes, read lazily from `path`.

    Raises
    ------
    FileError
        If `path` exists and `overwrite` is false, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import simulate_pair, track
    >>> offsets = track(simulate_pair(size=256, seed=1), template=64, search=8, step=32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = checkpoint(offsets, f"{folder}/offsets.zarr")
    ...     same = bool(stored.dx.load().equals(offsets.dx.load()))
    >>> same
    True
    """
    from glaciertoolkit.io.atomic import atomic_path

    target = Path(path)
    if target.exists() and not overwrite:
        raise FileError(
            f"{target} already exists; reopen it with open_checkpoint(), choose another path, "
            f"or give overwrite=True."
        )
    plain = _retyped(_regular(ds), "U", np.dtypes.StringDType())
    for variable in plain.variables.values():
        variable.encoding = {}
    with atomic_path(target, overwrite=overwrite) as temporary:
        _store(plain, temporary)
    return open_checkpoint(target)


def _store(ds: xr.Dataset, path: Path) -> None:
    """Write `ds`; a large lazy one in bands of whole chunks, one after the other."""
    rows = ds.sizes.get("y", 1)
    chunk = max(ds.chunksizes.get("y", (rows,)))
    band = chunk * max(1, WRITTEN // (chunk * ds.sizes.get("x", 1)))
    if not is_lazy(ds) or band >= rows:
        ds.to_zarr(path, mode="w", consolidated=False)
        return
    # What has no rows, and what is in memory, is written here; the rest only laid out.
    small = [name for name, v in ds.variables.items() if "y" not in v.dims and is_lazy(ds[name])]
    ds = ds.assign({name: ds[name].compute() for name in small})
    ds.to_zarr(path, mode="w", consolidated=False, compute=False)
    part = ds[[name for name, v in ds.data_vars.items() if v.chunks and "y" in v.dims]]
    part = part.drop_vars([name for name, v in part.coords.items() if "y" not in v.dims])
    for first in range(0, rows, band):
        here = slice(first, min(first + band, rows))
        part.isel(y=here).drop_vars("y", errors="ignore").to_zarr(
            path, region={"y": here}, consolidated=False
        )


def _retyped(ds: xr.Dataset, kind: str, dtype: Any) -> xr.Dataset:
    """`ds` with its texts of one kind as another: Zarr has no stable type for those of NumPy."""

    def retyped(variable: xr.Variable) -> xr.Variable:
        return xr.Variable(variable.dims, np.array(variable.values.tolist(), dtype), variable.attrs)

    texts = {k: retyped(v) for k, v in ds.variables.items() if v.dtype.kind == kind}
    return ds.assign(texts)


def _regular(ds: xr.Dataset) -> xr.Dataset:
    """`ds` with chunks of one size along each dimension, as a Zarr store needs them.

    Whole tiles, as many as make a chunk worth its file.
    """
    if not is_lazy(ds):
        return ds.copy()
    out = ds.unify_chunks()
    largest = {dim: max(sizes) for dim, sizes in out.chunksizes.items()}
    return out.chunk({dim: n * max(1, STORED // n) for dim, n in largest.items()})


def open_checkpoint(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open what `checkpoint` wrote, lazily.

    Parameters
    ----------
    path : path-like
        The Zarr store.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    FileError
        If there is no readable store at `path`.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import checkpoint, simulate_pair, track
    >>> offsets = track(simulate_pair(size=256, seed=1), template=64, search=8, step=32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = checkpoint(offsets, f"{folder}/offsets.zarr")
    ...     posts = dict(open_checkpoint(f"{folder}/offsets.zarr").sizes)
    >>> posts == dict(offsets.sizes)
    True
    """
    target = Path(path)
    if not target.is_dir():
        raise FileError(
            f"there is no checkpoint at {target}; make one with ds.glacier.checkpoint()."
        )
    try:
        ds = xr.open_zarr(target, consolidated=False, chunks={})
    except Exception as error:
        raise FileError(
            f"the checkpoint {target} cannot be read ({error}); delete it and track again."
        ) from error
    for variable in ds.variables.values():
        variable.encoding = {}
    return describe(_in_order(_retyped(ds, "T", str)))


def _in_order(ds: xr.Dataset) -> xr.Dataset:
    """Variables and coordinates in one order: a store lists them as its file system does."""
    known = list(VARIABLES)

    def rank(name: Hashable) -> tuple[int, str]:
        return (known.index(str(name)) if name in VARIABLES else len(known), str(name))

    return xr.Dataset(
        {name: ds[name].variable for name in sorted(ds.data_vars, key=rank)},
        coords={name: ds[name].variable for name in sorted(ds.coords, key=rank)},
        attrs=ds.attrs,
    )
