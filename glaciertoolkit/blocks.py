"""Output-driven lazy tiles over images, and checkpoints.

A tile is a block of posts of the output. Its task takes the window of the images that the posts
need, by lazy slicing, whatever the chunks of the images; so any halo, any step and any chunking
work, and the result has the same bits as an eager computation. Tiles lie on one global lattice of
constant size, which depends on nothing but the parameters of the operator.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
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
    """The posts of an output, and the size of its tiles in posts."""

    posts: tuple[int, int]
    tile: int

    def rows(self) -> list[list[Tile]]:
        """All tiles, row by row."""

        def edges(n: int) -> list[tuple[int, int]]:
            return [(i, min(i + self.tile, n)) for i in range(0, n, self.tile)]

        return [[Tile(*y, *x) for x in edges(self.posts[1])] for y in edges(self.posts[0])]

    def __iter__(self) -> Iterator[Any]:
        return (tile for row in self.rows() for tile in row)


TileFunction = Callable[..., npt.NDArray[np.float32]]


def map_tiles(
    function: TileFunction,
    images: Sequence[Any],
    *,
    lattice: Lattice,
    window: Callable[[Tile], Window],
    planes: int,
    name: str,
) -> Any:
    """Apply `function` to every tile: an array of shape (planes, posts_y, posts_x), float32.

    Parameters
    ----------
    function
        Called as ``function(*windows, tile, window)`` with NumPy arrays; returns
        (planes, tile rows, tile columns), float32. It must be importable (it is sent to workers).
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

    Returns
    -------
    numpy.ndarray or dask.array.Array
    """
    import dask

    if any(dask.is_dask_collection(image) for image in images):
        return _lazy(function, images, lattice, window, planes, name)
    return _eager(function, images, lattice, window, planes)


def _eager(
    function: TileFunction,
    images: Sequence[Any],
    lattice: Lattice,
    window: Callable[[Tile], Window],
    planes: int,
) -> npt.NDArray[np.float32]:
    from concurrent.futures import ThreadPoolExecutor

    import dask

    out = np.empty((planes, *lattice.posts), np.float32)

    def work(tile: Tile) -> None:
        wanted = window(tile)
        blocks = [np.asarray(image[wanted.slices]) for image in images]
        out[:, tile.y0 : tile.y1, tile.x0 : tile.x1] = function(*blocks, tile, wanted)

    workers = dask.config.get("num_workers", None) or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, lattice))
    return out


def _lazy(
    function: TileFunction,
    images: Sequence[Any],
    lattice: Lattice,
    window: Callable[[Tile], Window],
    planes: int,
    name: str,
) -> Any:
    import dask
    import dask.array as da

    arrays = [da.asarray(image) for image in images]
    token = dask.base.tokenize(function, [a.name for a in arrays], lattice, planes)
    task = dask.delayed(function, pure=False)
    grid = []
    for row in lattice.rows():
        line = []
        for tile in row:
            wanted = window(tile)
            # One NumPy array a window, whatever the chunks it is cut from.
            blocks = [array[wanted.slices].rechunk(-1) for array in arrays]
            key = f"{name}-{token}-{tile.y0}-{tile.x0}"
            value = task(*blocks, tile, wanted, dask_key_name=key)
            line.append(da.from_delayed(value, (planes, *tile.shape), np.float32))
        grid.append(line)
    return da.block(grid)


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
    """
    from glaciertoolkit.io.atomic import atomic_path

    target = Path(path)
    if target.exists() and not overwrite:
        raise FileError(
            f"{target} already exists; reopen it with open_checkpoint(), choose another path, "
            f"or give overwrite=True."
        )
    plain = _regular(ds)
    for variable in plain.variables.values():
        variable.encoding = {}
    with atomic_path(target, overwrite=overwrite) as temporary:
        plain.to_zarr(temporary, mode="w", consolidated=False)
    return open_checkpoint(target)


def _regular(ds: xr.Dataset) -> xr.Dataset:
    """`ds` with chunks of one size along each dimension, as a Zarr store needs them."""
    if not is_lazy(ds):
        return ds.copy()
    out = ds.unify_chunks()
    return out.chunk({dim: max(sizes) for dim, sizes in out.chunksizes.items()})


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
    return describe(_in_order(ds))


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
