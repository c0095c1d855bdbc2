"""A folder of rasters with dates in their names, as one Dataset over time."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import FileError
from glaciertoolkit.io import conform, raster
from glaciertoolkit.io.raster import CHUNK, Chunks
from glaciertoolkit.io.stacks import (
    Float32,
    Plane,
    check_same_grid,
    dates_of,
    files_in,
    stacked,
)

SUFFIXES = (".tif", ".tiff", ".img", ".vrt")
MOST_CHECKED = 200
"""Files whose pixels are looked for at the door; of longer series the first and the last."""


def open_series(
    source: str | os.PathLike[str] | Sequence[str],
    *,
    pattern: str | None = None,
    dates: Sequence[Any] | None = None,
    variable: str = "value",
    units: str | None = None,
    classes: Mapping[int, str] | None = None,
    nodata: Any = None,
    scale: float | None = None,
    crs: Any = None,
    band: int = 1,
    chunks: Chunks = CHUNK,
    label: str = "series",
) -> xr.Dataset:
    """Open a series of rasters with dates in their names, lazily.

    Parameters
    ----------
    source : path or list of paths
        A folder, a pattern such as ``"snow/SD_*.tif"``, one file, or the files themselves.
    pattern : str, optional
        How a name is made, with the codes of `strptime`: ``"SD_%Y%j.tif"``. By default the date
        is found: ``yyyymmddhh``, ``yyyymmdd``, ``yyyyddd``, ``yyyymm`` or ``yyyy``.
    dates : sequence, optional
        Dates in the order of the file names, instead of those in the names.
    variable, units : str
        Name and unit of what the rasters hold.
    classes : mapping of int to str, optional
        What each code of a map of classes means.
    nodata : number or sequence, optional
        Values that mean "missing", besides what the files say.
    scale : float, optional
        Factor from the numbers in the files to `units`.
    crs : anything that names a CRS
        Where the files name none.
    band : int
        Counted from 1.
    chunks : int, str, dict or None
        Chunks along y and x; each file is a chunk of time. None reads everything now.
    label : str
        What the series is called in messages.

    Returns
    -------
    xarray.Dataset
        `variable` (time, y, x), float32, missing pixels NaN, with its unit, CRS and dates in
        order.

    Raises
    ------
    FileError
        No file, or one that is truncated or not a raster.
    DateError
        A name without a date, or two with the same.
    GridError
        The files have different grids.
    InputError
        A code that is not in `classes` (when it is computed).

    Examples
    --------
    >>> snow = open_series("snow", pattern="SD_%Y%j.tif", units="cm")  # doctest: +SKIP
    >>> snow.value.dims  # doctest: +SKIP
    ('time', 'y', 'x')
    """
    files = files_in(source, SUFFIXES, what=label)
    times = dates_of(files, dates, pattern, what=label)
    planes = [
        _plane(f, band, label, complete=len(files) <= MOST_CHECKED or f in (files[0], files[-1]))
        for f in files
    ]
    check_same_grid(planes, what=label)
    read = functools.partial(_window, band=band, nodata=nodata, scale=scale)
    out = stacked(planes, times, read, chunks=chunks, name=variable, crs=crs)
    if classes:
        out[variable] = conform.coded(out[variable], classes, label=label)
    return conform.with_units(out, None if classes or units is None else {variable: units})


def _plane(path: str, band: int, label: str, *, complete: bool) -> Plane:
    with raster.opened(path) as source:
        raster.check_band(source, band, label=label)
        if complete:
            raster.check_complete(source, band)
        if not source.transform.is_rectilinear or source.transform.b or source.transform.d:
            raise FileError(
                f"the file {path} is rotated against the axes of its map; warp it first, for "
                "example with gdalwarp."
            )
        return Plane(path, source.shape, source.transform, source.crs)


def _window(
    path: str, rows: slice, cols: slice, *, band: int, nodata: Any, scale: float | None
) -> Float32:
    from rasterio.windows import Window

    with raster.opened(path) as source:
        window = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
        pixels = raster.read(source, band, window)
        factor, zero = source.scales[band - 1], source.offsets[band - 1]
    values = pixels.astype(np.float64)
    if nodata is not None:
        values = np.ma.masked_where(np.isin(values.data, np.atleast_1d(nodata)), values)
    values = values * (factor * (scale or 1.0)) + zero * (scale or 1.0)
    return np.ma.filled(values, np.nan).astype(np.float32)
