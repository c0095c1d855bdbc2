"""Checkpoints: whole or not at all, and the same Dataset back."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from scenes import image_pair, offset_field

from glaciertoolkit.blocks import Lattice, checkpoint, open_checkpoint
from glaciertoolkit.errors import FileError
from glaciertoolkit.tracking.track import track


def test_tiles_cover_every_post_once() -> None:
    seen = np.zeros((130, 70), int)
    for tile in Lattice((130, 70), 64):
        seen[tile.y0 : tile.y1, tile.x0 : tile.x1] += 1
    assert (seen == 1).all()


def test_checkpoint_returns_the_same_dataset_lazily(tmp_path: Path) -> None:
    lazy = track(image_pair().chunk(100), template=32, search=4, step=8)
    stored = checkpoint(lazy, tmp_path / "offsets.zarr")
    assert dask.is_dask_collection(stored)
    xr.testing.assert_identical(stored.compute(), lazy.compute())
    assert not any("track-" in str(k) for k in dict(stored.__dask_graph__()))
    assert [p.name for p in tmp_path.iterdir()] == ["offsets.zarr"]


def test_irregular_chunks_are_stored_all_the_same(tmp_path: Path) -> None:
    ds = offset_field((30, 30))
    stored = checkpoint(ds.chunk({"y": (3, 20, 7), "x": (30,)}), tmp_path / "a.zarr")
    xr.testing.assert_equal(stored.compute(), ds)


def test_checkpoint_does_not_overwrite_unasked(tmp_path: Path) -> None:
    ds = offset_field((10, 10))
    checkpoint(ds, tmp_path / "a.zarr")
    with pytest.raises(FileError, match="overwrite=True"):
        checkpoint(ds, tmp_path / "a.zarr")
    again = checkpoint(ds * 2, tmp_path / "a.zarr", overwrite=True)
    assert float(again.dx[0, 0]) == 2 * float(ds.dx[0, 0])


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError(f"no {block.shape}")

    ds = offset_field((10, 10)).chunk(5)
    broken = ds.assign(
        dx=ds.dx.copy(data=ds.dx.data.map_blocks(fail, dtype=np.float32, meta=np.empty((0, 0))))
    )
    with pytest.raises(RuntimeError, match="no"), dask.config.set(scheduler="synchronous"):
        checkpoint(broken, tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_missing_and_damaged_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no checkpoint"):
        open_checkpoint(tmp_path / "none.zarr")
    (tmp_path / "bad.zarr").mkdir()
    with pytest.raises(FileError, match="track again"):
        open_checkpoint(tmp_path / "bad.zarr")
