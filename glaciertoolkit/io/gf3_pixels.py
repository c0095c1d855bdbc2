"""The pixels of one GF-3 image: read window by window, scaled to the root of sigma nought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import FileError, GridError, ParameterError
from glaciertoolkit.io import lattice, raster
from glaciertoolkit.io.lattice import Lattice
from glaciertoolkit.io.raster import Chunks

if TYPE_CHECKING:
    import dask.array
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

COMPLEX_TOP = 32767
DETECTED_TOP = 65535
"""Numbers that stand for the largest amplitude, in complex and in detected products."""


@dataclass(frozen=True)
class Pixels:
    """An image on disk that is read when it is indexed.

    Parameters
    ----------
    path : str
    shape : tuple of int
        Lines and samples of the part that is used.
    scale : float
        Amplitude that one count stands for.
    complex : bool
        Complex pixels, in two bands or one; else detected amplitude.
    state : tuple of int
        Size and time of the file, to tell it from another of its name.
    origin : tuple of int
        Line and sample of the file at which the part begins.
    """

    path: str
    shape: tuple[int, int]
    scale: float
    complex: bool
    state: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """complex64 or float32."""
        return np.dtype(np.complex64 if self.complex else np.float32)

    @property
    def ndim(self) -> int:
        """Two."""
        return 2

    def part(self, rows: slice, columns: slice) -> Pixels:
        """A rectangle of the image, `rows` and `columns` with a start and a stop."""
        return replace(
            self,
            origin=(self.origin[0] + rows.start, self.origin[1] + columns.start),
            shape=(rows.stop - rows.start, columns.stop - columns.start),
        )

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[Any]:
        from rasterio.windows import Window

        starts, stops, steps = zip(
            *(k.indices(n) for k, n in zip(key, self.shape, strict=True)), strict=True
        )
        if min(steps) < 1:
            # Backwards, which only an unusual index asks for: what it spans is turned afterwards.
            return self[:, :][key]
        window = Window(
            self.origin[1] + starts[1],
            self.origin[0] + starts[0],
            max(0, stops[1] - starts[1]),
            max(0, stops[0] - starts[0]),
        )
        if not (window.width and window.height):
            return np.empty((window.height, window.width), self.dtype)
        return self._read(window)[:: steps[0], :: steps[1]]

    def _read(self, window: Window) -> npt.NDArray[Any]:
        import rasterio
        from rasterio.errors import RasterioError

        if _state(Path(self.path)) != self.state:
            raise FileError(
                f"the file {self.path} was removed or changed since it was opened; open the "
                "product again."
            )
        # Without it GDAL reads whole strips, each as wide as the scene, for every chunk.
        with rasterio.Env(GTIFF_DIRECT_IO="YES"), raster.opened(self.path) as source:
            try:
                found = source.read(window=window)
            except RasterioError as error:
                raise FileError(
                    f"the file {self.path} is damaged or truncated: some of its pixels cannot be "
                    "read; copy or download it again."
                ) from error
        return _scaled(found, np.float32(self.scale), self.dtype)


def _scaled(found: npt.NDArray[Any], scale: np.float32, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Counts as amplitudes, NaN where they are zero."""
    if dtype.kind == "f":
        amplitude = found[0] * scale
        amplitude[found[0] == 0] = np.nan
        return np.asarray(amplitude, np.float32)
    out = np.empty(found.shape[1:], np.complex64)
    real, imaginary = (found[0], found[1]) if len(found) == 2 else (found[0].real, found[0].imag)
    np.multiply(real, scale, out=out.real, casting="unsafe")
    np.multiply(imaginary, scale, out=out.imag, casting="unsafe")
    out[(real == 0) & (imaginary == 0)] = complex(np.nan, np.nan)
    return out


def open_pixels(path: Path, *, scale: float, complex: bool, label: str) -> Pixels:
    """Examine an image: its kind, whether it is complete and has any content.

    Parameters
    ----------
    path : Path
    scale : float
        Amplitude (root of sigma nought) that one count stands for.
    complex : bool
        Whether the product is single-look complex.
    label : str
        What the image is called in messages.

    Raises
    ------
    FileError
        The file is damaged, truncated, or its bands are not those of such a product.
    InputError
        The image is constant or has no valid pixel.
    """
    from rasterio.enums import Interleaving

    with raster.opened(path) as source:
        _check_kind(source, complex=complex)
        raster.check_complete(source, 1)
        if source.count > 1 and source.interleaving is Interleaving.band:
            raster.check_complete(source, source.count)
        raster.check_content(source, 1, label=label, nodata=0)
        shape = (source.height, source.width)
    return Pixels(str(path), shape, scale, complex, _state(path))


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, zeros where it is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


def _check_kind(source: DatasetReader, *, complex: bool) -> None:
    kinds = tuple(source.dtypes)
    if complex:
        fits = kinds == ("int16", "int16") or (len(kinds) == 1 and "complex" in kinds[0])
        wanted = "two bands of int16 (real and imaginary part)"
    else:
        fits = kinds in (("uint16",), ("float32",))
        wanted = "one band of uint16 (amplitude)"
    if not fits:
        raise FileError(
            f"the file {source.name} has {len(kinds)} band{'s' if len(kinds) != 1 else ''} of "
            f"{', '.join(sorted(set(kinds))) or 'no kind'}, but an image of this product has "
            f"{wanted}; unpack the product again."
        )


def open_grid(path: Path, *, label: str) -> tuple[Lattice, Any]:
    """The map grid of a geocoded image and its CRS.

    Raises
    ------
    GridError
        The image has none.
    """
    with raster.opened(path) as source:
        if source.crs is None or source.transform.is_identity:
            raise GridError(
                f"the {label} has no map grid, so its pixels cannot be placed on the ground; take "
                "the product at level L1A (slant range) or L2 (map)."
            )
        grid = lattice.from_transform(source.transform, source.width, source.height, label=label)
        return grid, source.crs


def lazy(pixels: Pixels, chunks: Chunks) -> dask.array.Array | npt.NDArray[Any]:
    """The pixels as a Dask array in chunks, or read now if `chunks` is None."""
    if chunks is None:
        return pixels[:, :]
    import dask.array
    from dask.array.core import normalize_chunks
    from dask.base import tokenize

    asked = raster.plane_chunks(chunks)
    if set(asked) - {"y", "x"}:
        raise ParameterError(f"chunks={chunks!r} names dimensions other than y and x.")
    try:
        sizes = normalize_chunks(
            (asked.get("y", "auto"), asked.get("x", "auto")), pixels.shape, dtype=pixels.dtype
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise ParameterError(
            f"chunks={chunks!r} is not a size of chunks; give pixels, one number or "
            "{'y': .., 'x': ..}."
        ) from error
    array: dask.array.Array = dask.array.from_array(
        pixels,
        chunks=sizes,
        name=f"gf3-{tokenize(pixels)}",
        meta=np.empty((0, 0), pixels.dtype),
        asarray=False,
        fancy=False,
    )
    return array
