"""Rasters from files and from memory, read window by window as float32 with NaN."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import FileError, GridError, InputError, ParameterError
from glaciertoolkit.grids.posts import crs_of, post_transform

if TYPE_CHECKING:
    from affine import Affine

_GEOGRAPHIC_DIMS = (("lat", "lon"), ("latitude", "longitude"))


class Raster(NamedTuple):
    """A raster that can be read window by window, as float32 with NaN for what is missing."""

    label: str
    name: str | None
    attrs: dict[str, Any]
    crs: Any
    transform: Affine
    shape: tuple[int, int]
    read: Callable[[slice, slice], npt.NDArray[np.float32]]


@contextmanager
def opened(source: Any, band: int) -> Iterator[Raster]:
    if isinstance(source, str | os.PathLike):
        with _file_source(os.fspath(source), band) as raster:
            yield raster
    elif isinstance(source, xr.Dataset) and len(source.data_vars) == 1:
        yield _array_source(next(iter(source.data_vars.values())))
    elif isinstance(source, xr.DataArray):
        yield _array_source(source)
    elif isinstance(source, xr.Dataset):
        names = ", ".join(map(str, source.data_vars)) or "none"
        raise InputError(f"give one variable of the Dataset as the raster (it has: {names}).")
    else:
        raise InputError(
            f"a raster must be a path or a DataArray with a CRS; got {type(source).__name__}."
        )


@contextmanager
def _file_source(path: str, band: int) -> Iterator[Raster]:
    from rasterio.errors import RasterioIOError
    from rasterio.windows import Window

    label = f"raster {Path(path).name}"
    with _open_file(path, label) as file:
        if not 1 <= band <= file.count:
            raise ParameterError(f"the {label} has {file.count} bands; there is no band {band}.")
        if file.transform.is_identity and file.crs is None:
            raise GridError(f"the {label} has no georeference; warp it to a map grid first.")
        scale, offset = file.scales[band - 1], file.offsets[band - 1]

        def read(rows: slice, cols: slice) -> npt.NDArray[np.float32]:
            try:
                found = file.read(band, window=Window.from_slices(rows, cols), masked=True)
            except RasterioIOError as error:
                raise FileError(f"the {label} is damaged: {error}") from error
            values = found.astype(np.float32) * np.float32(scale) + np.float32(offset)
            return _finite(values.filled(np.nan))

        attrs = {"units": file.units[band - 1]} if file.units[band - 1] else {}
        shape = (file.height, file.width)
        yield Raster(label, None, attrs, file.crs or None, file.transform, shape, read)


def _open_file(path: str, label: str) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    try:
        with warnings.catch_warnings():
            # Said as an error by the caller, in words.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioIOError as error:
        raise FileError(f"the {label} cannot be read: {error}") from error


def _array_source(data: xr.DataArray) -> Raster:
    crs = crs_of(data)
    data = data.squeeze(drop=True)
    for y, x in _GEOGRAPHIC_DIMS:
        if {y, x} <= set(data.dims):
            data = data.rename({y: "y", x: "x"})
            if crs is None:
                from rasterio.crs import CRS

                crs = CRS.from_epsg(4326)
    label = f"raster {data.name}" if data.name is not None else "raster"
    if set(data.dims) != {"y", "x"}:
        raise GridError(
            f"the {label} must have the dimensions (y, x); it has {tuple(map(str, data.dims))}: "
            "choose one layer of it, with isel or a mean."
        )
    if np.issubdtype(data.dtype, np.complexfloating):
        raise InputError(f"the {label} is complex; take its amplitude first.")
    data = data.transpose("y", "x")
    nodata = data.rio.nodata
    scale = np.float32(data.attrs.get("scale_factor", 1.0))
    offset = np.float32(data.attrs.get("add_offset", 0.0))

    def read(rows: slice, cols: slice) -> npt.NDArray[np.float32]:
        raw = data.isel(y=rows, x=cols).values
        values = raw.astype(np.float32) * scale + offset
        if nodata is not None and np.isfinite(nodata):
            values[raw == nodata] = np.nan
        return _finite(values)

    name = None if data.name is None else str(data.name)
    return Raster(
        label, name, data.attrs, crs, post_transform(data), (data.sizes["y"], data.sizes["x"]), read
    )


def _finite(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    values[~np.isfinite(values)] = np.nan
    return values
