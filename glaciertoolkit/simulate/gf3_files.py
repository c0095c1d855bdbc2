"""Write a GF-3 level 1A product: metadata, images and all, as its ground segment delivers them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.io.atomic import atomic_folder
from glaciertoolkit.io.gf3_files import INCIDENCE, META, POLARISATIONS
from glaciertoolkit.io.gf3_pixels import COMPLEX_TOP
from glaciertoolkit.simulate.gf3_header import ProductHeader as ProductHeader
from glaciertoolkit.simulate.gf3_meta import incidence_xml, metadata_xml

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

Complex64 = npt.NDArray[np.complex64]
Image = Any  # a NumPy array, a Dask array or a DataArray (y, x)

ROWS = 512
"""Lines written at a time, where the image does not say how many."""

CALIBRATION = 24.46  # dB

ARCHIVES = {"tar.gz": ".tar.gz", "zip": ".zip"}


def write_product(
    folder: str | os.PathLike[str],
    header: ProductHeader,
    images: Mapping[str, Image],
    *,
    calibration: Mapping[str, float | None] | None = None,
    archive: str | None = None,
    rpc: bool = True,
    peak: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write images as a product of level L1A.

    Parameters
    ----------
    folder : path
        Where the folder (or the archive) of the product is put; made if it does not exist.
    header : ProductHeader
    images : mapping of str to array
        Complex amplitudes (y, x), roots of sigma nought, by polarisation; NaN and 0 are no data.
        Lazy ones are computed once, strip by strip.
    calibration : mapping of str to float or None, optional
        Calibration constants in dB; 24.46 unless given, ``NULL`` where None.
    archive : {"tar.gz", "zip"}, optional
        Pack the folder.
    rpc : bool
        Write rational polynomials.
    peak : mapping of str to float, optional
        Amplitude that the largest number stands for; what is beyond is cut off. Without it the
        largest amplitude of the image, for which a lazy image is kept on disk in between.
    overwrite : bool
        Replace a product of the same name.

    Returns
    -------
    Path
        The folder of the product, or its archive.

    Raises
    ------
    ParameterError
        No image, an unknown polarisation or archive.
    InputError
        An image of another size than the geometry, or without a valid pixel.
    FileError
        The product exists, or cannot be written.

    Notes
    -----
    Times are rounded to microseconds, positions to single precision (up to half a metre),
    velocities to a centimetre per second, as in real products. The amplitudes are rounded to
    1/32767 of the largest; a valid pixel that would become 0 + 0 j, no data, becomes 1 + 0 j.
    """
    channels = tuple(p for p in POLARISATIONS if p in images)
    _check(header, images, archive)
    constants: dict[str, float | None] = dict.fromkeys(channels, CALIBRATION)
    constants |= calibration or {}
    name = header.name(channels)
    final = name + (ARCHIVES[archive] if archive else "")
    with atomic_folder(folder, [final], overwrite=overwrite) as aside:
        product = aside / name
        product.mkdir()
        quality: dict[str, float] = {}
        for channel in channels:
            stem = header.name(channels, channel=channel)
            quality[channel] = _write_image(
                product / f"{stem}.tiff",
                images[channel],
                gain=10 ** ((constants[channel] or 0.0) / 20),
                peak=(peak or {}).get(channel),
                scratch=aside / ".amplitude",
            )
            if rpc:
                (product / f"{stem}.rpc").write_text(_rational(header))
        meta = metadata_xml(header, quality=quality, calibration=constants)
        (product / f"{name}{META}").write_text(meta)
        (product / f"{name}{INCIDENCE}").write_text(incidence_xml(header))
        if archive:
            _pack(product, aside / final, header)
    return Path(folder) / final


def _check(header: ProductHeader, images: Mapping[str, Image], archive: str | None) -> None:
    unknown = sorted(set(images) - set(POLARISATIONS))
    if unknown or not images:
        raise ParameterError(
            f"images must be given for some of {', '.join(POLARISATIONS)}; got "
            f"{', '.join(unknown) or 'none'}."
        )
    if archive is not None and archive not in ARCHIVES:
        raise ParameterError(f"archive={archive!r} must be one of {', '.join(ARCHIVES)}.")
    size = (header.geometry.lines, header.geometry.samples)
    for channel, image in images.items():
        if tuple(image.shape) != size:
            raise InputError(
                f"the {channel} image has the shape {tuple(image.shape)}, but the geometry of the "
                f"header {size} (lines, samples)."
            )


def _rational(header: ProductHeader) -> str:
    from glaciertoolkit.sar.rpc import fit_rpc

    low, high = header.mean_height - header.relief, header.mean_height + header.relief
    return fit_rpc(header.geometry, low=low, high=high).to_text()


def _strips(image: Image) -> Iterator[tuple[int, Complex64]]:
    """First line and amplitudes of strips from top to bottom, each computed once."""
    data = image.data if isinstance(image, xr.DataArray) else image
    chunks = getattr(data, "chunks", None)
    heights = chunks[0] if chunks else (ROWS,) * math.ceil(data.shape[0] / ROWS)
    first = 0
    for height in heights:
        part = data[first : first + height]
        computed = part.compute() if hasattr(part, "compute") else part
        yield first, np.ascontiguousarray(computed, np.complex64)
        first += height


def _stored(file: IO[bytes], shape: tuple[int, int]) -> Iterator[tuple[int, Complex64]]:
    """The strips of an image that lies on disk as it does in memory."""
    file.seek(0)
    for first in range(0, shape[0], ROWS):
        rows = min(ROWS, shape[0] - first)
        part = np.frombuffer(file.read(rows * shape[1] * 8), np.complex64)
        yield first, part.reshape(rows, shape[1])


def _write_image(
    path: Path, image: Image, *, gain: float, peak: float | None, scratch: Path
) -> float:
    """Write the image of one channel; the amplitude, times `gain`, of its largest number."""
    shape = (int(image.shape[0]), int(image.shape[1]))
    if peak is not None:
        top = _top(peak * gain, path)
        _write_strips(path, shape, _strips(image), top / gain / COMPLEX_TOP)
        return top
    data = image.data if isinstance(image, xr.DataArray) else image
    if isinstance(data, np.ndarray):
        largest = max(_largest(strip) for _, strip in _strips(data))
        top = _top(largest * gain, path)
        _write_strips(path, shape, _strips(data), top / gain / COMPLEX_TOP)
        return top
    with scratch.open("w+b") as file:
        largest = 0.0
        for _, strip in _strips(data):
            largest = max(largest, _largest(strip))
            file.write(strip.tobytes())
        top = _top(largest * gain, path)
        _write_strips(path, shape, _stored(file, shape), top / gain / COMPLEX_TOP)
    scratch.unlink()
    return top


def _largest(strip: Complex64) -> float:
    size = np.abs(strip)
    return float(size.max(initial=0.0, where=np.isfinite(size)))


def _top(largest: float, path: Path) -> float:
    """The largest amplitude as it stands in the metadata, with six decimals."""
    if not (math.isfinite(largest) and largest > 0):
        raise InputError(f"the image {path.name} has no valid pixel; nothing is written.")
    return math.ceil(largest * 1e6) / 1e6


def _write_strips(
    path: Path, shape: tuple[int, int], strips: Iterator[tuple[int, Complex64]], step: float
) -> None:
    """Write a TIFF of two bands; `step` is the amplitude of one count."""
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.windows import Window

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        target: DatasetWriter = rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=2,
            dtype="int16",
            height=shape[0],
            width=shape[1],
            interleave="pixel",
            BIGTIFF="IF_SAFER",
        )
    with target:
        for first, strip in strips:
            counts = _counts(strip, step)
            target.write(counts, window=Window(0, first, shape[1], counts.shape[1]))


def _counts(strip: Complex64, step: float) -> npt.NDArray[np.int16]:
    """Real and imaginary part as whole numbers."""
    valid = np.isfinite(strip) & (strip != 0)
    parts = np.stack([strip.real, strip.imag])
    parts /= np.float32(step)
    np.rint(parts, out=parts)
    parts[:, ~valid] = 0
    parts[0, valid & (parts == 0).all(axis=0)] = 1
    return np.clip(parts, -COMPLEX_TOP, COMPLEX_TOP).astype(np.int16)


def _pack(product: Path, target: Path, header: ProductHeader) -> None:
    """Pack a folder; equal folders make equal archives."""
    import gzip
    import tarfile
    import zipfile

    made = int(header.geometry.start.astype("datetime64[s]").astype(np.int64))
    files = sorted(product.iterdir())
    if target.suffix == ".zip":
        date = header.geometry.start.astype("datetime64[s]").astype(object)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
            for file in files:
                info = zipfile.ZipInfo(f"{product.name}/{file.name}", date.timetuple()[:6])
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o100644 << 16
                info.file_size = file.stat().st_size
                with file.open("rb") as source, out.open(info, "w") as entry:
                    _copy(source, entry)
        return
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, mtime=made) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file in files:
            member = tarfile.TarInfo(f"{product.name}/{file.name}")
            member.size, member.mtime, member.mode = file.stat().st_size, made, 0o644
            with file.open("rb") as source:
                tar.addfile(member, source)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    import shutil

    shutil.copyfileobj(source, target, 1 << 20)
