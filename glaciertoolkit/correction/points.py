"""The points a correction is fitted to: stable, valid, one a template, in spatial folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.correction.terms import COMPONENTS, ELEVATION, Terrain
from glaciertoolkit.errors import NotComputedError, StableTerrainError

Array = npt.NDArray[np.float64]

FOLDS = 4
BLOCK = 2000.0
"""Edge of the spatial blocks of the hold-out, metres (less where the scene is small)."""

TARGETS = 64
"""Posts along an edge at which the leverage of a fit is looked at."""

BAND = 512
"""Rows of posts that are read at once, or a multiple: those of a tile of the noise filter."""

TOGETHER = 12_000_000
"""Posts that are read at once, at most; of fewer bands fewer tiles are needed twice."""


SAMPLE = 4_000_000
"""Posts that are enough for the statistics of a scene."""


@dataclass(frozen=True)
class Points:
    """Independent points: position x, y (m), what is known of the terrain, displacement d (n, 2).

    `error` (n, 2): errors of tracking, NaN where there are none; `fold`, `block`: spatial fold,
    and the block of ground that it is made of.
    """

    x: Array
    y: Array
    terrain: dict[str, Array]
    d: Array
    error: Array
    fold: npt.NDArray[np.int8]
    block: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.x.size)

    @property
    def h(self) -> Array:
        """Elevation, m; zero where none was given."""
        return self.terrain.get(ELEVATION, np.zeros(self.x.size))

    def where(self, keep: npt.NDArray[Any]) -> Points:
        """The points for which `keep` is true, or those with these indices."""
        return Points(
            self.x[keep], self.y[keep], {k: v[keep] for k, v in self.terrain.items()},
            self.d[keep], self.error[keep], self.fold[keep], self.block[keep],
        )  # fmt: skip


@dataclass(frozen=True)
class Targets:
    """A few thousand posts over the scene that have a displacement to correct."""

    x: Array
    y: Array
    terrain: dict[str, Array]


def require_computed(ds: xr.Dataset) -> None:
    """Raise `NotComputedError` where `ds` still carries the graph of `track`."""
    import dask

    if not dask.is_dask_collection(ds):
        return
    layers = ds.__dask_graph__().layers
    if any(str(name).startswith("track-") for name in layers):
        raise NotComputedError(
            "the offsets are not computed yet, and a fit would track the pair a second time; "
            'store them first: offsets = offsets.glacier.checkpoint("offsets.zarr") '
            "(or offsets.compute() for a small pair)."
        )


def template_posts(ds: xr.Dataset) -> tuple[int, int]:
    """Edge of the template in posts (y, x): posts closer than that share pixels."""
    template = np.atleast_1d(ds.attrs.get("template", 1))
    step = np.atleast_1d(ds.attrs.get("step", 1))
    ty, tx = (int(template[0]), int(template[-1]))
    sy, sx = (int(step[0]), int(step[-1]))
    return max(1, -(-ty // sy)), max(1, -(-tx // sx))


def spatial_blocks(
    ds: xr.Dataset,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Block of ground of every row and of every column of posts.

    The blocks measure 2 km, less where the scene holds fewer than six of them along its shorter
    side, but never less than two templates.
    """
    cells = template_posts(ds)
    places = {name: np.asarray(ds[name].values, float) for name in ("y", "x")}
    spacing = {k: abs(v[-1] - v[0]) / max(v.size - 1, 1) for k, v in places.items()}
    extent = min(ds.sizes["y"] * spacing["y"], ds.sizes["x"] * spacing["x"])
    least = 2 * max(cells[0] * spacing["y"], cells[1] * spacing["x"])
    block = max(min(BLOCK, extent / 6), least)
    y, x = (np.floor((v - v.min()) / block + 1e-9).astype(np.int32) for v in places.values())
    return y, x


def spatial_folds(ds: xr.Dataset, *, folds: int = FOLDS) -> npt.NDArray[np.int8]:
    """Fold number of every post: square blocks, dealt out so that neighbours differ."""
    y, x = spatial_blocks(ds)
    along, down = _dealt(y, x, folds)
    return np.asarray((along[None, :] + down[:, None]) % np.int8(folds), np.int8)


def _dealt(y: Any, x: Any, folds: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """What column and row of blocks add to the number of the fold; small, for large scenes."""
    across = max(folds // 2, 1)
    return (x % folds).astype(np.int8), (across * y % folds).astype(np.int8)


def select_points(
    ds: xr.Dataset, *, stable: xr.DataArray, terrain: Terrain, folds: int = FOLDS,
    errors: bool = False,
) -> tuple[Points, Targets]:  # fmt: skip
    """One valid stable post per template-sized cell, that closest to the cell's centre.

    Also posts over the whole scene that have a displacement. The scene is read once, some rows at
    a time; the errors of tracking only where they are wanted.
    """
    names = ("dx", "dy", *(("dx_error", "dy_error") if errors else ()))
    cell = template_posts(ds)
    every = {k: max(1, ds.sizes[k] // TARGETS) for k in ("y", "x")}
    columns = np.arange(ds.sizes["x"])[every["x"] // 2 :: every["x"]]
    chosen: list[tuple[npt.NDArray[Any], ...]] = []
    targets: list[tuple[npt.NDArray[Any], ...]] = []
    for first, band in _bands(ds, names, stable, terrain, cell[0]):
        valid = np.isfinite(band["dx"]) & np.isfinite(band["dy"])
        for name in terrain:
            valid &= np.isfinite(band[name])
        r, c = _one_a_cell(valid & band["stable"], cell)
        chosen.append((first + r, c, *(band[k][r, c] for k in band if k != "stable")))
        r = np.arange(valid.shape[0])
        r = r[(first + r) % every["y"] == every["y"] // 2]
        i, j = np.nonzero(valid[np.ix_(r, columns)])
        i, j = r[i], columns[j]
        targets.append((first + i, j, *(band[k][i, j] for k in terrain)))
    r, c, *values = (np.concatenate(part) for part in zip(*chosen, strict=True))
    if r.size == 0:
        total = int(np.asarray(stable.values).sum())
        raise StableTerrainError(
            f"none of the {total} stable posts has a valid displacement; look at "
            f"summary() for the reasons, or give other stable ground."
        )
    found = dict(zip((k for k in band if k != "stable"), values, strict=True))
    block_y, block_x = spatial_blocks(ds)
    along, down = _dealt(block_y, block_x, folds)
    lost = np.full(r.size, np.nan)
    points = Points(
        x=np.asarray(ds["x"].values, float)[c],
        y=np.asarray(ds["y"].values, float)[r],
        terrain={k: found[k].astype(float) for k in terrain},
        d=np.column_stack([found[f"d{k}"] for k in COMPONENTS]).astype(float),
        error=np.column_stack([found.get(f"d{k}_error", lost) for k in COMPONENTS]).astype(float),
        fold=((along[c] + down[r]) % np.int8(folds)).astype(np.int8),
        block=block_y[r] * (block_x.max() + 1) + block_x[c],
    )
    i, j, *heights = (np.concatenate(part) for part in zip(*targets, strict=True))
    x, y = np.asarray(ds["x"].values, float)[j], np.asarray(ds["y"].values, float)[i]
    known = {k: v.astype(float) for k, v in zip(terrain, heights, strict=True)}
    return points, Targets(x, y, known)


def _bands(
    ds: xr.Dataset, names: Sequence[str], stable: xr.DataArray, terrain: Terrain, cell: int
) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
    """The fields in bands of whole cells: first row, and rows of each field.

    Rows are read as the noise filter makes them, so that no tile is computed twice.
    """
    import dask

    rows, first = ds.sizes["y"], 0
    band = BAND * max(1, TOGETHER // (BAND * ds.sizes["x"]))
    kept: dict[str, npt.NDArray[Any]] = {}
    for start in range(0, rows, band):
        part = {"y": slice(start, start + band)}
        lazy = [ds[k].isel(part).data for k in names]
        lazy += [value.isel(part).data for value in (*terrain.values(), stable)]
        read = dict(zip((*names, *terrain, "stable"), dask.compute(*lazy), strict=True))
        kept = {k: np.concatenate([kept[k], v]) if kept else np.asarray(v) for k, v in read.items()}
        ready = len(kept["dx"])
        whole = ready if start + band >= rows else ready // cell * cell
        if whole:
            yield first, {k: v[:whole] for k, v in kept.items()}
            first += whole
            kept = {k: v[whole:] for k, v in kept.items()}


def sample(ds: xr.Dataset, names: Sequence[str], *, most: int = SAMPLE) -> dict[str, Any]:
    """Values of some fields at the same posts, flat: of all posts, or of about `most` of many.

    Of a large scene whole tiles of the noise filter are taken, evenly over it: every post of a
    lazy field that depends on a tile costs as much as the tile.
    """
    import dask

    rows, columns = (range(0, ds.sizes[k], BAND) for k in ("y", "x"))
    every = max(1, ds.sizes["y"] * ds.sizes["x"] // most)
    # Neighbouring rows of tiles start elsewhere, so that no column of tiles is left out.
    tiles = [
        (i, j)
        for k, i in enumerate(rows)
        for m, j in enumerate(columns)
        if (m + k * (every // 2 + 1)) % every == 0
    ]
    parts = [
        ds[name].isel(y=slice(i, i + BAND), x=slice(j, j + BAND)).data
        for i, j in tiles
        for name in names
    ]
    computed = dask.compute(*parts)
    return {
        name: np.concatenate([np.ravel(v) for v in computed[k :: len(names)]])
        for k, name in enumerate(names)
    }


def _one_a_cell(
    good: npt.NDArray[np.bool_], cell: tuple[int, int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the good post closest to the middle of each cell that has one."""
    cy, cx = cell
    ny, nx = (-(-n // c) for n, c in zip(good.shape, cell, strict=True))
    whole = np.zeros((ny * cy, nx * cx), bool)
    whole[: good.shape[0], : good.shape[1]] = good
    row, column = np.divmod(np.arange(cy * cx), cx)
    off_centre = (row - (cy - 1) / 2) ** 2 + (column - (cx - 1) / 2) ** 2
    nearest_first = np.argsort(off_centre, kind="stable")
    posts = whole.reshape(ny, cy, nx, cx).transpose(0, 2, 1, 3).reshape(ny * nx, cy * cx)
    posts = posts[:, nearest_first]
    filled = np.flatnonzero(posts.any(axis=1))
    best = nearest_first[posts[filled].argmax(axis=1)]
    return filled // nx * cy + row[best], filled % nx * cx + column[best]
