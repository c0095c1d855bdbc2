"""Grids as text, with a header like that of ESRI's ASCII grids."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.errors import DateError, FileError, reason
from glaciertoolkit.io import conform
from glaciertoolkit.io.raster import Chunks
from glaciertoolkit.io.stacks import (
    Float32,
    Plane,
    check_same_grid,
    dates_of,
    files_in,
    stacked,
)

SUFFIXES = (".txt", ".asc")
MOST_LINES = 12
"""Lines in which the header must end."""

_LINE = re.compile(r"^\s*([A-Za-z][A-Za-z_ ]*?)\s*[:=\s]\s*([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*$")
_ENCODINGS = ("utf-8-sig", "gbk")

# What the parts of a header are called in one file or another.
_NAMES = {
    "ncols": "ncols", "nrows": "nrows", "columns": "ncols", "rows": "nrows",
    "xllcorner": "xll", "xll": "xll", "xllcenter": "xllcentre", "xllcentre": "xllcentre",
    "yllcorner": "yll", "yll": "yll", "yllcenter": "yllcentre", "yllcentre": "yllcentre",
    "cellsize": "cellsize", "dx": "dx", "dy": "dy",
    "nodatavalue": "nodata", "nodata": "nodata",
}  # fmt: skip


class Header(NamedTuple):
    """The header of a grid of text."""

    shape: tuple[int, int]
    west: float
    south: float
    step: tuple[float, float]  # y, x
    nodata: float | None
    lines: int
    encoding: str


def open_ascii_grid(
    source: str | os.PathLike[str] | Sequence[str],
    *,
    crs: Any = None,
    pattern: str | None = None,
    dates: Sequence[Any] | None = None,
    variable: str = "value",
    units: str | None = None,
    classes: Mapping[int, str] | None = None,
    nodata: Any = None,
    scale: float | None = None,
    chunks: Chunks = -1,
    label: str = "grid",
) -> xr.Dataset:
    """Open grids of text, such as ESRI's ASCII grids or those on the EASE-Grid, lazily.

    Parameters
    ----------
    source : path or list of paths
        A file, a folder, a pattern such as ``"snow/*.txt"``, or the files themselves.
    crs : anything that names a CRS
        Such a file names none. Without it the result has none.
    pattern, dates
        As for `open_series`. A single file needs no date.
    variable, units : str
        Name and unit of what the grids hold.
    classes : mapping of int to str, optional
        What each code of a map of classes means.
    nodata : number or sequence, optional
        Values that mean "missing", besides what the header says.
    scale : float, optional
        Factor from the numbers in the files to `units`.
    chunks : int, str, dict or None
        Chunks along y and x; a chunk reads the whole file, so -1 is best. None reads now.
    label : str
        What the grid is called in messages.

    Returns
    -------
    xarray.Dataset
        `variable` (time, y, x), or (y, x) for a single file without a date, float32, missing
        cells NaN; coordinates are the centres of the cells, the first row is the northernmost.

    Raises
    ------
    FileError
        No file; a header that lacks a part, or has decimal commas; more or fewer numbers than
        the header says; text that is no number.
    DateError, GridError, InputError
        As `open_series`.

    Notes
    -----
    Header lines are ``name value`` or ``name = value``, in any order and case: ``ncols nrows``,
    ``xllcorner`` (``xll``) or ``xllcenter``, the same for y, ``cellsize`` (or ``dx dy``),
    ``NODATA_value`` (``NODATA``).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "depth.txt"
    ...     header = "ncols 2\\nnrows 1\\nxll 0\\nyll 0\\ncellsize 0.25\\nNODATA -1\\n"
    ...     _ = file.write_text(header + "-1 7\\n")
    ...     depth = open_ascii_grid(file, crs=4326, units="cm", chunks=None)
    >>> depth.value.values
    array([[nan,  7.]], dtype=float32)
    """
    files = files_in(source, SUFFIXES, what=label)
    headers = [read_header(f) for f in files]
    planes = [_plane(f, h) for f, h in zip(files, headers, strict=True)]
    check_same_grid(planes, what=label)
    times = _times(files, dates, pattern, label)
    for file, header in {(files[0], headers[0]), (files[-1], headers[-1])}:
        _numbers(file, header)
    read = functools.partial(_window, nodata=nodata, scale=scale)
    out = stacked(planes, times, read, chunks=chunks, name=variable, crs=crs)
    if classes:
        out[variable] = conform.coded(out[variable], classes, label=label)
    return conform.with_units(out, None if classes or units is None else {variable: units})


def _times(files: list[str], dates: Any, pattern: str | None, label: str) -> Any:
    try:
        return dates_of(files, dates, pattern, what=label)
    except DateError:
        if len(files) > 1 or pattern is not None or dates is not None:
            raise
        return None


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a grid of text.

    Raises
    ------
    FileError
        The file is missing, or its header lacks a part or cannot be read.
    """
    lines, encoding = _first_lines(path)
    found: dict[str, float] = {}
    count = 0
    for number, line in enumerate(lines, 1):
        if not re.match(r"\s*[A-Za-z]", line) or re.match(r"\s*(nan|inf)\b", line, re.IGNORECASE):
            break
        match = _LINE.match(line)
        if match is None:
            raise _bad(
                path, f"its line {number} ({line.strip()[:60]!r}) is not a name and a number"
            )
        key = _NAMES.get(re.sub(r"[_ ]", "", match[1].lower()))
        if key is None:
            raise _bad(path, f"its line {number} names {match[1]!r}, which is not known")
        if "," in match[2]:
            raise FileError(
                f"the header of {path} has a decimal comma in its line {number} "
                f"({line.strip()[:60]!r}); write the numbers with points, in the header and below."
            )
        found[key] = float(match[2])
        count = number
    step_x, step_y = (found.get(k, found.get("cellsize", np.nan)) for k in ("dx", "dy"))
    west = found.get("xll", found.get("xllcentre", np.nan) - step_x / 2)
    south = found.get("yll", found.get("yllcentre", np.nan) - step_y / 2)
    parts = {
        "ncols": found.get("ncols"),
        "nrows": found.get("nrows"),
        "cellsize": step_x if np.isfinite([step_x, step_y]).all() else None,
        "xllcorner": west if np.isfinite(west) else None,
        "yllcorner": south if np.isfinite(south) else None,
    }
    missing = [name for name, value in parts.items() if value is None]
    if missing:
        raise _bad(path, f"it lacks {' and '.join(missing)}")
    shape = (found["nrows"], found["ncols"])
    if min(*shape, step_x, step_y) <= 0 or any(n != int(n) for n in shape):
        raise _bad(path, f"{shape[0]:g} rows and {shape[1]:g} columns of {step_x:g} are no grid")
    rows, cols = int(shape[0]), int(shape[1])
    nodata = found.get("nodata")
    return Header((rows, cols), west, south, (step_y, step_x), nodata, count, encoding)


def _first_lines(path: str | os.PathLike[str]) -> tuple[list[str], str]:
    for encoding in _ENCODINGS:
        try:
            with Path(path).open(encoding=encoding) as file:
                # A grid of one row is one long line; of that the start is enough.
                return [file.readline(500) for _ in range(MOST_LINES)], encoding
        except FileNotFoundError:
            raise FileError(f"the file {path} does not exist; check the path.") from None
        except UnicodeDecodeError:
            continue
        except OSError as error:
            raise FileError(f"the file {path} cannot be read ({error.strerror}).") from error
    raise _bad(path, "it is not text")


def _bad(path: str | os.PathLike[str], what: str) -> FileError:
    return FileError(
        f"{path} has no header of an ASCII grid: {what}; it should begin with ncols, nrows, "
        "xllcorner, yllcorner, cellsize and NODATA_value, one a line."
    )


def _plane(path: str, header: Header) -> Plane:
    from affine import Affine

    step_y, step_x = header.step
    north = header.south + header.shape[0] * step_y
    return Plane(path, header.shape, Affine(step_x, 0, header.west, 0, -step_y, north), None)


def _numbers(path: str, header: Header) -> Float32:
    with Path(path).open(encoding=header.encoding) as file:
        words = "".join(itertools.islice(file, header.lines, None)).split()
    rows, cols = header.shape
    if len(words) != rows * cols:
        raise FileError(
            f"{path} holds {len(words)} numbers, its header promises {rows} rows of {cols} "
            f"({rows * cols}); it is truncated, or the header is that of another grid."
        )
    try:
        return np.array(words, dtype=np.float32).reshape(rows, cols)
    except ValueError as error:
        comma = next((w for w in words if "," in w), None)
        what = (
            f"decimal commas ({comma!r})" if comma else f"text among the numbers ({reason(error)})"
        )
        raise FileError(f"{path} has {what}; write plain numbers with points.") from error


def _window(path: str, rows: slice, cols: slice, *, nodata: Any, scale: float | None) -> Float32:
    header = read_header(path)
    values = _numbers(path, header)
    missing = [
        v
        for v in (header.nodata, *np.atleast_1d([] if nodata is None else nodata))
        if v is not None
    ]
    values = np.where(np.isin(values, np.asarray(missing, dtype=np.float32)), np.nan, values)
    return (values * np.float32(scale or 1.0)).astype(np.float32)[rows, cols]
