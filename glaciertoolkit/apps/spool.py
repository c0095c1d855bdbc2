"""Fields that are too large for memory, kept on disk where any part of them is read at once."""

from __future__ import annotations

import mmap
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import FileError

IN_MEMORY = 400_000_000
"""Bytes of lazy fields that are simply loaded; more of them go to disk."""

ROWS = 512
"""Rows that are in memory at once while a field is written."""


class Spool:
    """Holds fields: loaded where all of them are small, as raw files that are mapped where not.

    Fields that are in memory already stay as they are. The files lie in a temporary folder (set
    ``TMPDIR`` to choose where) and go with the object.

    Parameters
    ----------
    expected : int
        Bytes of all the fields that will come.
    what : str
        The app as its sentences call it.
    most : int
        Bytes up to which they are simply loaded; by default `IN_MEMORY`.
    """

    def __init__(
        self, expected: int, what: str = "the explorer", *, most: int | None = None
    ) -> None:
        self._folder: Path | None = None
        self._maps: list[np.memmap[Any, Any]] = []
        if expected <= (IN_MEMORY if most is None else most):
            return
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free < 1.1 * expected:
            raise FileError(
                f"{what} needs {expected / 1e9:.1f} GB in {tempfile.gettempdir()} for this "
                f"map, {free / 1e9:.1f} GB are free; set TMPDIR to a folder with more room."
            )
        self._folder = Path(tempfile.mkdtemp(prefix="glaciertoolkit-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def hold(self, field: xr.DataArray, *, ours: bool = False) -> xr.DataArray:
        """The same field, quick to read any part of; `ours` where nobody else holds it."""
        name = str(field.name)
        field = field.transpose("y", "x")
        # Of a field read on demand `.values` would load the whole.
        if self._folder is None or (field.variable._in_memory and not ours):
            return field.compute()
        return field.copy(data=self._write(field, self._folder / f"{name}.raw"))

    def derived(self, field: xr.DataArray) -> xr.DataArray:
        """`field` as a lazy one where what is made of it has to go to disk."""
        return field if self._folder is None else field.chunk(y=ROWS, x=-1)

    def _write(self, field: xr.DataArray, path: Path) -> np.ndarray[Any, Any]:
        # Written as a file and mapped afterwards: pages written through a map count as memory.
        with path.open("wb") as file:
            for start in range(0, field.sizes["y"], ROWS):
                rows = field.isel(y=slice(start, start + ROWS)).values
                np.ascontiguousarray(rows).tofile(file)
        made = np.memmap(path, dtype=field.dtype, mode="r", shape=field.shape)
        self._maps.append(made)
        return made

    def release(self) -> None:
        """Give back the memory of what has been read from the files; it can be read again.

        The system would keep it until somebody else needs it, and count it as the server's.
        """
        for each in self._maps:
            pages = each._mmap  # type: ignore[attr-defined]
            if hasattr(pages, "madvise"):
                pages.madvise(mmap.MADV_DONTNEED)


def lazy_bytes(ds: xr.Dataset) -> int:
    """Bytes of the variables of `ds` that are not in memory yet."""
    return sum(v.nbytes for v in ds.data_vars.values() if not v.variable._in_memory)
