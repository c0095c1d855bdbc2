"""Tiles: each once, same bits for any chunks. Checkpoints: whole, and the same Dataset back."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import image_pair, offset_field

from glaciertoolkit.blocks import (
    Lattice,
    Tile,
    Window,
    checkpoint,
    map_tiles,
    open_checkpoint,
    progress,
)
from glaciertoolkit.errors import FileError
from glaciertoolkit.tracking.track import track

SHAPE, HALO = (90, 70), 7
LATTICE = Lattice(SHAPE, (16, 25))
EXTRA = np.arange(6, dtype=np.float32)


def around(tile: Tile) -> Window:
    return Window(
        max(tile.y0 - HALO, 0),
        min(tile.y1 + HALO, SHAPE[0]),
        max(tile.x0 - HALO, 0),
        min(tile.x1 + HALO, SHAPE[1]),
    )


def weighted(a: Any, b: Any, extra: Any, tile: Tile, window: Window) -> np.ndarray:
    """Sums whose last bits depend on the window, and the pixels themselves."""
    assert a.shape == b.shape == (window.y1 - window.y0, window.x1 - window.x0)
    assert a.flags.c_contiguous
    assert b.flags.c_contiguous
    total = np.sum(a, dtype=np.float32) + extra.sum()
    core = (
        slice(tile.y0 - window.y0, tile.y1 - window.y0),
        slice(tile.x0 - window.x0, tile.x1 - window.x0),
    )
    return np.stack([np.full(tile.shape, total, np.float32), b[core]])


def run(*images: Any, extra: Any = EXTRA, lattice: Lattice = LATTICE) -> Any:
    return map_tiles(
        weighted, images, lattice=lattice, window=around, planes=2, name="w", arguments=(extra,)
    )


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    return a, b


@pytest.mark.parametrize("tile", [64, (16, 100), (200, 9)])
def test_tiles_cover_every_post_once(tile: int | tuple[int, int]) -> None:
    seen = np.zeros((130, 70), int)
    for block in Lattice((130, 70), tile):
        seen[block.y0 : block.y1, block.x0 : block.x1] += 1
    assert (seen == 1).all()


def test_eager_tiles_see_their_windows() -> None:
    a, b = images()
    out = run(a, b)
    np.testing.assert_array_equal(out[1], b)
    assert len(np.unique(out[0])) == sum(1 for _ in LATTICE)


def cuts(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Any way to divide `n` pixels into chunks."""
    ends = st.sets(st.integers(1, n - 1), max_size=5).map(lambda found: [0, *sorted(found), n])
    return ends.map(lambda e: tuple(int(d) for d in np.diff(e)))


@settings(max_examples=25, deadline=None)
@given(
    y=cuts(SHAPE[0]), x=cuts(SHAPE[1]), eager=st.booleans(), fuse=st.sampled_from([None, False]),
    scheduler=st.sampled_from(["threads", "synchronous"]),
)  # fmt: skip
def test_any_chunks_give_the_bits_of_the_eager_result(
    y: tuple[int, ...], x: tuple[int, ...], eager: bool, fuse: bool | None, scheduler: str
) -> None:
    a, b = images()
    other = b if eager else da.from_array(b, chunks=((x[-1], SHAPE[0] - x[-1]), 33))
    lazy = run(da.from_array(a, chunks=(y, x)) * 1, other, extra=da.from_array(EXTRA, chunks=2))
    assert lazy.chunks == ((2,), (16,) * 5 + (10,), (25, 25, 20))
    with dask.config.set({"scheduler": scheduler, "optimization.fuse.active": fuse}):
        np.testing.assert_array_equal(lazy.compute(), run(a, b))
        np.testing.assert_array_equal(lazy[1].compute(), b)


def test_one_task_a_tile_that_needs_only_the_chunks_it_touches() -> None:
    a, b = (da.from_array(v, chunks=30) for v in images())
    lazy = run(a, b, extra=da.from_array(EXTRA, chunks=2))
    layer = lazy.dask.layers[lazy.name]
    assert len(layer) == sum(1 for _ in LATTICE) == 18
    inner = {key for key in layer[lazy.name, 0, 0, 0].dependencies if key[0] in (a.name, b.name)}
    assert inner == {(v.name, 0, j) for v in (a, b) for j in (0, 1)}
    # The extra array arrives through one key, not through its chunks.
    assert len(layer[lazy.name, 0, 0, 0].dependencies) == len(inner) + 1


def test_the_name_says_what_is_computed() -> None:
    a, b = (da.from_array(v, chunks=30) for v in images())
    assert run(a, b).name == run(a, b).name
    assert run(a, b).name != run(a, b, extra=EXTRA + 1).name
    assert run(a, b).name != run(a, b, lattice=Lattice(SHAPE, 16)).name


def test_a_lazy_argument_makes_the_result_lazy() -> None:
    a, b = images()
    lazy = run(a, b, extra=da.from_array(EXTRA))
    assert dask.is_dask_collection(lazy)
    np.testing.assert_array_equal(lazy.compute(), run(a, b))


def test_progress_counts_the_tiles_of_eager_input() -> None:
    seen: list[tuple[int, int]] = []
    with progress(lambda done, total: seen.append((done, total))):
        run(*images())
    assert seen == [(i, 18) for i in range(1, 19)]
    run(*images())
    assert len(seen) == 18


def test_interrupt_drops_the_tiles_that_have_not_begun() -> None:
    started: list[Tile] = []
    interrupted = threading.Event()

    def slow(_: Any, tile: Tile, __: Window) -> np.ndarray:
        started.append(tile)
        if len(started) > 1:
            interrupted.wait(30)
            time.sleep(0.02)
        return np.zeros((1, *tile.shape), np.float32)

    def stop(*_: int) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    with dask.config.set(num_workers=1), progress(stop), pytest.raises(KeyboardInterrupt):
        map_tiles(
            slow, images()[:1], lattice=Lattice(SHAPE, 4), window=around, planes=1, name="slow"
        )
    assert len(started) < 200 < sum(1 for _ in Lattice(SHAPE, 4))


def test_an_error_in_a_tile_ends_the_run() -> None:
    def fail(_: Any, tile: Tile, __: Window) -> np.ndarray:
        raise RuntimeError(f"tile {tile}")

    with pytest.raises(RuntimeError, match="tile"):
        map_tiles(fail, images()[:1], lattice=LATTICE, window=around, planes=1, name="fail")


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


def test_texts_survive_a_checkpoint_without_a_warning(tmp_path):
    ds = xr.Dataset(
        {"a": (("t",), [1.0, 2.0]), "said": ((), "one\ntwo")}, coords={"t": ["x", "xy"]}
    )
    back = checkpoint(ds, tmp_path / "texts.zarr").load()
    assert back["t"].dtype.kind == "U"
    assert back["t"].values.tolist() == ["x", "xy"]
    assert str(back["said"].item()) == "one\ntwo"
    again = checkpoint(back, tmp_path / "again.zarr")
    assert again.load().identical(back)


def test_a_large_dataset_is_stored_in_bands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = offset_field((130, 70)).chunk({"y": 16, "x": 30})
    ds["kept"] = ("y", np.arange(130.0))
    ds["both"] = (("component", "y", "x"), da.zeros((2, 130, 70), chunks=(1, 16, 30)) + ds.dx.data)
    ds["lazy_scalar"] = ((), da.asarray(3.0))
    ds["only_x"] = ("x", da.arange(70, chunks=30))
    whole = checkpoint(ds, tmp_path / "whole.zarr").load()
    monkeypatch.setattr("glaciertoolkit.blocks.STORED", 16)
    monkeypatch.setattr("glaciertoolkit.blocks.WRITTEN", 32 * 70)
    calls = []
    write = xr.Dataset.to_zarr
    monkeypatch.setattr(
        xr.Dataset, "to_zarr", lambda self, *a, **k: (calls.append(k), write(self, *a, **k))[1]
    )
    banded = checkpoint(ds, tmp_path / "bands.zarr").load()
    assert len(calls) == 1 + 5
    xr.testing.assert_identical(banded, whole)
