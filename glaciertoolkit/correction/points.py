"""The points a correction is fitted to: stable, valid, one a template, in spatial folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import NotComputedError, StableTerrainError

Array = npt.NDArray[np.float64]

FOLDS = 4
BLOCK = 2000.0
"""Edge of the spatial blocks of the hold-out, metres (less where the scene is small)."""


@dataclass(frozen=True)
class Points:
    """Independent points: position x, y and elevation h (m), displacement d (n, 2), fold."""

    x: Array
    y: Array
    h: Array
    d: Array
    fold: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return int(self.x.size)

    def where(self, keep: npt.NDArray[np.bool_]) -> Points:
        """The points for which `keep` is true."""
        return Points(self.x[keep], self.y[keep], self.h[keep], self.d[keep], self.fold[keep])


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


def spatial_folds(ds: xr.Dataset, *, folds: int = FOLDS) -> npt.NDArray[np.int8]:
    """Fold number of every post: square blocks, dealt out so that neighbours differ.

    The blocks measure 2 km, less where the scene holds fewer than six of them along its shorter
    side, but never less than two templates.
    """
    cells = template_posts(ds)
    spacing = {}
    for name in ("y", "x"):
        values = np.asarray(ds[name].values, float)
        spacing[name] = abs(values[-1] - values[0]) / max(values.size - 1, 1)
    extent = min(ds.sizes["y"] * spacing["y"], ds.sizes["x"] * spacing["x"])
    least = 2 * max(cells[0] * spacing["y"], cells[1] * spacing["x"])
    block = max(min(BLOCK, extent / 6), least)
    index = {}
    for name in ("y", "x"):
        values = np.asarray(ds[name].values, float)
        index[name] = np.floor((values - values.min()) / block + 1e-9).astype(int)
    across = max(folds // 2, 1)
    return np.asarray((index["x"][None, :] + across * index["y"][:, None]) % folds, np.int8)


def select_points(
    ds: xr.Dataset, *, stable: xr.DataArray, elevation: xr.DataArray | None, folds: int = FOLDS
) -> Points:
    """One valid stable post per template-sized cell, that closest to the cell's centre."""
    dx, dy = np.asarray(ds["dx"].values), np.asarray(ds["dy"].values)
    good = np.asarray(stable.values, bool) & np.isfinite(dx) & np.isfinite(dy)
    h = np.zeros((1, 1)) if elevation is None else np.asarray(elevation.values)
    good &= np.isfinite(h)
    if not good.any():
        total = int(np.asarray(stable.values).sum())
        raise StableTerrainError(
            f"none of the {total} stable posts has a valid displacement; look at "
            f"summary() for the reasons, or give other stable ground."
        )
    r, c = _one_a_cell(good, template_posts(ds))
    h = np.broadcast_to(h, good.shape)
    return Points(
        x=np.asarray(ds["x"].values, float)[c],
        y=np.asarray(ds["y"].values, float)[r],
        h=h[r, c].astype(float),
        d=np.column_stack([dx[r, c], dy[r, c]]).astype(float),
        fold=spatial_folds(ds, folds=folds)[r, c],
    )


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
