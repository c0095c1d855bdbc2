"""Many files of one grid as one lazy array over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import DateError, FileError, GridError
from glaciertoolkit.io import conform
from glaciertoolkit.io.dates import parse_time
from glaciertoolkit.io.georeference import crs_name, same_crs
from glaciertoolkit.io.raster import Chunks, plane_chunks
from glaciertoolkit.io.series_dates import series_dates

Float32 = npt.NDArray[np.float32]


class Plane(NamedTuple):
    """The grid of one file."""

    path: str
    shape: tuple[int, int]
    transform: Any  # affine.Affine, pixel corners
    crs: Any  # rasterio.crs.CRS or None


ReadWindow = Callable[[str, slice, slice], Float32]


def files_in(source: Any, suffixes: Sequence[str], *, what: str) -> list[str]:
    """The files that `source` names: a list, a file, a folder or a pattern with ``*``.

    Raises
    ------
    FileError
        There is none.
    """
    if isinstance(source, list | tuple):
        found = [str(item) for item in source]
    else:
        path = Path(source)
        if path.is_dir():
            found = [str(p) for p in path.iterdir() if p.name.lower().endswith(tuple(suffixes))]
        elif "*" in path.name:
            found = [str(p) for p in path.parent.glob(path.name)]
        else:
            found = [str(path)]
    if not found:
        raise FileError(
            f"no file of the {what} is at {source}; give a folder that holds "
            f"{' or '.join(suffixes)} files, or a pattern such as 'folder/SD_*.tif'."
        )
    return sorted(found, key=lambda name: Path(name).name)


def dates_of(
    files: Sequence[str], dates: Any, pattern: str | None, *, what: str
) -> npt.NDArray[np.datetime64]:
    """The dates of the files: as given, else from their names."""
    if dates is None:
        return series_dates([Path(f).name for f in files], pattern=pattern, what=what)
    given = np.array([parse_time(date) for date in dates])
    if len(given) != len(files):
        raise DateError(
            f"dates= holds {len(given)} dates for the {len(files)} files of the {what}; give one "
            "for each file, in the order of their names."
        )
    if len(set(given.tolist())) != len(given):
        raise DateError(f"dates= of the {what} holds a date twice; give one for each file.")
    return given


def check_same_grid(planes: Sequence[Plane], *, what: str) -> None:
    """Raise `GridError` unless all files have one grid."""
    first = planes[0]
    for other in planes[1:]:
        same = other.shape == first.shape and _close(first, other)
        if same and _same_crs(first.crs, other.crs):
            continue
        raise GridError(
            f"the files of the {what} are on different grids: {Path(first.path).name} is "
            f"{_described(first)}, {Path(other.path).name} is {_described(other)}; bring them to "
            "one grid, or open each group with a pattern of its own."
        )


def _close(first: Plane, other: Plane) -> bool:
    pixel = abs(first.transform.a)
    return bool(
        np.allclose(
            tuple(first.transform)[:6], tuple(other.transform)[:6], rtol=0, atol=1e-3 * pixel
        )
    )


def _same_crs(first: Any, other: Any) -> bool:
    if first is None or other is None:
        return first is other
    return same_crs(first, other)


def _described(plane: Plane) -> str:
    height, width = plane.shape
    crs = crs_name(plane.crs) if plane.crs else "no CRS"
    step = f"{abs(plane.transform.a):.6g}"
    corner = f"{plane.transform.c:.6g}, {plane.transform.f:.6g}"
    return f"{height} x {width} pixels of {step} from ({corner}) in {crs}"


def stacked(
    planes: Sequence[Plane],
    times: npt.NDArray[np.datetime64] | None,
    read: ReadWindow,
    *,
    chunks: Chunks,
    name: str,
    crs: Any,
) -> xr.Dataset:
    """The files as a Dataset with one variable, (time, y, x) or (y, x).

    Parameters
    ----------
    planes : sequence of Plane
        Of one grid.
    times : array of datetime64 or None
        One for each file; None for a single file without a date.
    read : function
        Reads a window of a file: path, rows, columns.
    chunks : int, str, dict or None
        Along y and x; along time every file is a chunk of its own. None reads all now.
    name : str
        Name of the variable.
    crs : anything that names a CRS, or None
        Where the files name none.
    """
    from dask.array.core import normalize_chunks

    order = np.arange(len(planes)) if times is None else np.argsort(times)
    ordered = [planes[i] for i in order]
    height, width = ordered[0].shape
    wanted = plane_chunks("auto" if chunks is None else chunks)
    sizes = [wanted.get("y", "auto"), wanted.get("x", "auto")]
    rows, cols = normalize_chunks(
        tuple(
            min(s, n) if isinstance(s, int) and s > 0 else s
            for s, n in zip(sizes, (height, width), strict=True)
        ),
        shape=(height, width),
        dtype=np.float32,
    )
    data: Any = _lazy([plane.path for plane in ordered], rows, cols, read)
    if chunks is None:
        data = data.compute()
    a = ordered[0].transform
    coords: dict[str, Any] = {
        "y": a.f + (np.arange(height) + 0.5) * a.e,
        "x": a.c + (np.arange(width) + 0.5) * a.a,
    }
    if times is None:
        out = xr.Dataset({name: (("y", "x"), data[0])}, coords)
    else:
        coords["time"] = np.asarray(times)[order]
        out = xr.Dataset({name: (("time", "y", "x"), data)}, coords)
    found = ordered[0].crs or crs
    out = conform.with_time(out)
    return out if found is None else conform.with_crs(out, found)


def _lazy(
    paths: Sequence[str], rows: tuple[int, ...], cols: tuple[int, ...], read: ReadWindow
) -> Any:
    """The windows of the files as one Dask array; each task holds the path of its own file only."""
    import dask.array as da
    from dask.base import tokenize

    stamps = [Path(path).stat().st_mtime_ns for path in paths]
    name = f"read-{tokenize(paths, stamps, rows, cols, read)}"
    tasks = {
        (name, number, i, j): (_block, read, path, top, left)
        for number, path in enumerate(paths)
        for i, top in enumerate(_slices(rows))
        for j, left in enumerate(_slices(cols))
    }
    chunks = ((1,) * len(paths), rows, cols)
    meta = np.empty((0, 0, 0), dtype=np.float32)
    return da.Array(tasks, name, chunks, meta=meta)


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]


def _block(read: ReadWindow, path: str, rows: slice, cols: slice) -> Float32:
    return read(path, rows, cols)[np.newaxis]
