"""One band of one raster file: opened lazily, and examined before anything is computed from it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import FileError, InputError, ParameterError, reason

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

Chunks = int | str | Mapping[str, int | str] | None

CHUNK = 1024
"""Pixels along the edge of a chunk, unless the user says otherwise."""

CACHE_MB = "64"

PROBE = 64  # pixels along the edge of a probe window
PROBES = 8  # probe windows along each axis
MOST_BLOCKS = 20_000  # block offsets to compare with the file size


def is_plain_path(path: str) -> bool:
    """Whether `path` names a file on disk rather than an address or a virtual file of GDAL."""
    return "://" not in path and not path.startswith("/vsi") and ":" not in path[2:]


def base_name(path: str | os.PathLike[str]) -> str:
    """The last part of a path or address."""
    return os.fspath(path).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def limit_gdal() -> None:
    """Keep GDAL's block cache small, unless the user has set ``GDAL_CACHEMAX``.

    GDAL's own default is 5 % of the memory for each process, on top of what Dask holds. It reads
    the variable when it first fills its cache.
    """
    os.environ.setdefault("GDAL_CACHEMAX", CACHE_MB)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """A rasterio dataset; whatever is wrong with the file becomes one `FileError`."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    limit_gdal()
    name = os.fspath(path)
    if is_plain_path(name):
        if not Path(name).exists():
            raise FileError(f"the file {name} does not exist; check the path.")
        if Path(name).is_dir():
            raise FileError(f"{name} is a folder; give the image file inside it.")
        if not os.access(name, os.R_OK):
            raise FileError(f"the file {name} cannot be read; check its permissions.")
    # Said better by open_pair(). Not in catch_warnings(), because Dask opens the file again and
    # again, from threads of its own.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    try:
        source = rasterio.open(name)
    except RasterioError as error:
        if not is_plain_path(name):
            raise FileError(
                f"{name} cannot be opened from its address ({reason(error)}); check the network "
                "and the address, or download the file and give its path."
            ) from error
        raise FileError(
            f"the file {name} cannot be opened as an image: it is damaged, truncated or of a "
            "format that GDAL does not know; get it again, or check it with gdalinfo."
        ) from error
    with source:
        yield source


def read_tags(source: DatasetReader, band: int) -> dict[str, Any]:
    """The tags of a file and of one band of it."""
    return {**source.tags(ns="IMAGERY"), **source.tags(band), **source.tags()}


def check_complete(source: DatasetReader, band: int) -> None:
    """Raise `FileError` for a file that ends before its pixels do.

    The offsets and sizes of the blocks of a TIFF are compared with the size of the file, without
    reading them; of any file the last pixel is read.
    """
    name = source.name
    if source.driver == "GTiff" and is_plain_path(name):
        size = Path(name).stat().st_size
        for row, col in _blocks(source, band):
            where = f"{col}_{row}"
            offset = source.get_tag_item(f"BLOCK_OFFSET_{where}", "TIFF", bidx=band)
            length = source.get_tag_item(f"BLOCK_SIZE_{where}", "TIFF", bidx=band)
            if offset and length and int(offset) + int(length) > size:
                raise FileError(_truncated(name))
    from rasterio.windows import Window

    read(source, band, Window(source.width - 1, source.height - 1, 1, 1))


def _blocks(source: DatasetReader, band: int) -> Iterator[tuple[int, int]]:
    height, width = source.block_shapes[band - 1]
    rows, cols = -(-source.height // height), -(-source.width // width)
    # Files are written from top to bottom, so what is cut off is at the bottom.
    first = max(0, rows - max(1, MOST_BLOCKS // cols))
    for row in range(first, rows):
        for col in range(cols):
            yield row, col


def _truncated(name: str) -> str:
    return (
        f"the file {name} is damaged or truncated: some of its pixels cannot be read; "
        "copy or download it again."
    )


def read(source: DatasetReader, band: int, window: Window) -> np.ma.MaskedArray[Any, Any]:
    """Pixels of a window, missing ones masked."""
    from rasterio.errors import RasterioError

    try:
        pixels = source.read(band, window=window, masked=True)
    except RasterioError as error:
        raise FileError(_truncated(source.name)) from error
    return np.ma.masked_invalid(pixels)


def check_content(
    source: DatasetReader, band: int, *, label: str, nodata: float | None = None
) -> None:
    """Raise `InputError` for an image without two different valid values.

    The search starts in small windows all over the image and ends with the first contrast it
    meets, so an image with content costs one window; only an image that looks empty is read
    whole, block by block.
    """
    found: float | None = None
    for window in _probe_windows(source, band):
        valid = read(source, band, window).compressed()
        valid = abs(valid) if valid.dtype.kind == "c" else valid
        if nodata is not None:
            valid = valid[valid != nodata]
        if not valid.size:
            continue
        found = valid[0] if found is None else found
        if np.any(valid != found):
            return
    raise InputError(empty_image(label, found))


def empty_image(label: str, value: Any) -> str:
    """The message for an image without content; `value` is its only value, or None."""
    if value is None:
        return f"the {label} has no valid pixel at all; check its nodata value and its band."
    return (
        f"the {label} is constant (every valid pixel is {value:g}), so nothing can be tracked; "
        "check that this is the right file and band."
    )


def _probe_windows(source: DatasetReader, band: int) -> Iterator[Window]:
    from rasterio.windows import Window

    height, width = source.height, source.width
    for row in np.linspace(0, max(0, height - PROBE), PROBES, dtype=int):
        for col in np.linspace(0, max(0, width - PROBE), PROBES, dtype=int):
            yield Window(int(col), int(row), min(PROBE, width), min(PROBE, height))
    yield from (window for _, window in source.block_windows(band))


def check_band(source: DatasetReader, band: int, *, label: str) -> None:
    """Raise `ParameterError` for a band that the file does not have."""
    if source.count == 0:
        raise FileError(
            f"the {label} holds several datasets; name one of them, as gdalinfo lists them."
        )
    if isinstance(band, bool) or not isinstance(band, int) or not 1 <= band <= source.count:
        raise ParameterError(
            f"band={band!r} is out of range: the {label} has "
            f"{source.count} band{'s' if source.count > 1 else ''}, counted from 1."
        )


def open_band(
    path: str | os.PathLike[str],
    *,
    band: int = 1,
    chunks: Chunks = CHUNK,
    nodata: float | None = None,
    amplitude: bool = False,
    label: str = "raster",
) -> xr.DataArray:
    """One band as a float32 DataArray over ``y`` and ``x``, missing pixels NaN.

    Parameters
    ----------
    path : str or path
        Anything GDAL reads.
    band : int
        Counted from 1.
    chunks : int, str, dict or None
        Chunk sizes for Dask, ``None`` to read the band now.
    nodata : float, optional
        A value that means "missing" where the file does not say so itself.
    amplitude : bool
        Take the modulus of complex pixels.
    label : str
        What the image is called in messages.

    Returns
    -------
    xarray.DataArray
        Coordinates as rioxarray sets them from the georeference of the file.
    """
    with opened(path) as source:
        check_band(source, band, label=label)
        is_complex = "complex" in source.dtypes[band - 1]
    if is_complex and not amplitude:
        raise ParameterError(f"the {label} is complex; give amplitude=True to track its amplitude.")
    stack = _open_stack(path, chunks=chunks, masked=not is_complex, label=label)
    data = stack.isel({stack.dims[0]: band - 1}, drop=True)
    data = finite(abs(data) if is_complex else data, nodata=nodata)
    return data.load() if chunks is None else data


def open_raster(
    path: str | os.PathLike[str],
    *,
    band: int | None = None,
    chunks: Chunks = CHUNK,
    nodata: float | None = None,
    label: str = "raster",
) -> xr.DataArray:
    """A raster such as a DEM or a velocity map, with its CRS.

    Parameters
    ----------
    path : str or path
        Anything GDAL reads.
    band : int, optional
        Counted from 1; without it all bands, or the only one.
    chunks : int, str, dict or None
        Chunk sizes for Dask, ``None`` to read it now.
    nodata : float, optional
        A value that means "missing" where the file does not say so itself.
    label : str
        What the raster is called in messages.

    Returns
    -------
    xarray.DataArray
        Float32, missing pixels NaN; (y, x), or (band, y, x) where there are several.

    Raises
    ------
    FileError
        The file is missing, truncated or not a raster.
    ParameterError
        There is no such band.
    """
    with opened(path) as source:
        check_band(source, band or 1, label=label)
        count = source.count
        check_complete(source, band or 1)
    if band is not None or count == 1:
        return open_band(path, band=band or 1, chunks=chunks, nodata=nodata, label=label)
    stack = _open_stack(path, chunks=chunks, masked=True, label=label)
    out = finite(stack, nodata=nodata)
    return out.load() if chunks is None else out


def _open_stack(
    path: str | os.PathLike[str], *, chunks: Chunks, masked: bool, label: str
) -> xr.DataArray:
    import rioxarray
    from rasterio.errors import RasterioError

    sizes = None if chunks is None else {"band": 1, **plane_chunks(chunks)}
    try:
        stack = rioxarray.open_rasterio(
            os.fspath(path), chunks=sizes, masked=masked, lock=False, cache=False
        )
    except (RasterioError, ValueError) as error:
        raise FileError(
            f"the {label} cannot be opened as one stack of bands ({error}); extract the band "
            "first, for example with gdal_translate -b."
        ) from error
    if not isinstance(stack, xr.DataArray):
        raise FileError(
            f"the {label} holds several datasets; name one of them, as gdalinfo lists them."
        )
    return stack


def plane_chunks(chunks: int | str | Mapping[str, int | str]) -> dict[str, Any]:
    """Chunk sizes along y and x from one size for both, or from a mapping."""
    return dict(chunks) if isinstance(chunks, Mapping) else {"y": chunks, "x": chunks}


def finite(data: xr.DataArray, *, nodata: float | None = None) -> xr.DataArray:
    """`data` as float32, with NaN for everything that is not a number or equals `nodata`."""
    out = data.astype(np.float32)
    if nodata is not None:
        out = out.where(data != nodata)
    if data.dtype.kind == "f":
        # The logarithm of an empty radar pixel is minus infinity.
        out = out.where(abs(data) < np.inf)
    return out
