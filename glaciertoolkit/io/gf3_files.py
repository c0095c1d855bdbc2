"""The files of a GF-3 product: which there are, and what their names say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.io import archives, raster

POLARISATIONS = ("HH", "HV", "VH", "VV")

META = ".meta.xml"
INCIDENCE = ".incidence.xml"
_IMAGES = (".tif", ".tiff")
_RATIONALS = (".rpc", ".rpb")

_NAME = re.compile(
    r"(?P<satellite>GF3[BC]?)_(?P<station>[A-Z0-9]{2,4})_(?P<mode>[A-Z]+)_(?P<orbit>\d{6})"
    r"_(?P<longitude>[EW][\d.]+)_(?P<latitude>[NS][\d.]+)_(?P<date>\d{8})"
    r"_(?P<level>L1A|L1B|L2)_(?P<polarisation>[A-Z]+)_(?P<identifier>L\d+)"
)
# Single channels of the modes with two apertures are named after the aperture.
_CHANNELS = {p: p for p in POLARISATIONS} | {"DH": "HH", "DV": "VV"}


class ProductName(NamedTuple):
    """What the name of a product says; longitude and latitude as in ``E116.3`` and ``N39.8``."""

    satellite: str
    station: str
    mode: str
    orbit: str
    longitude: str
    latitude: str
    date: str
    level: str
    polarisation: str
    identifier: str

    def __str__(self) -> str:
        return "_".join(self)


@dataclass(frozen=True)
class Product:
    """The files of one product.

    Parameters
    ----------
    name : ProductName
    folder, metadata : Path
    images, rationals : mapping of str to Path
        TIFF and rational polynomials (``.rpc`` or ``.rpb``) of each polarisation.
    incidence : Path or None
        ``.incidence.xml``.
    """

    name: ProductName
    folder: Path
    metadata: Path
    images: Mapping[str, Path]
    rationals: Mapping[str, Path]
    incidence: Path | None


def parse_name(name: str) -> ProductName | None:
    """The parts of a product's name, without any suffix; None for another name.

    Examples
    --------
    >>> parse_name("GF3_KAS_FSI_003770_E116.3_N39.8_20170428_L1A_HHHV_L10002332082").level
    'L1A'
    """
    match = _NAME.fullmatch(name)
    return ProductName(**match.groupdict()) if match else None


def is_product(image: object) -> bool:
    """Whether `image` is the path of what may be a GF-3 product, not of a single image."""
    if not isinstance(image, str | os.PathLike):
        return False
    text = os.fspath(image)
    if not raster.is_plain_path(text):
        return False
    name = raster.base_name(text)
    if name.lower().endswith(META) or archives.is_archive(name) or parse_name(name):
        return True
    return Path(text).is_dir() and bool(_metadata_files(Path(text)))


def find_product(product: str | os.PathLike[str]) -> Product:
    """Find the files of a product, unpacking its archive where it is one.

    Parameters
    ----------
    product : str or path
        A folder, a ``.tar.gz``, ``.tgz``, ``.tar`` or ``.zip``, or the ``.meta.xml``.

    Returns
    -------
    Product

    Raises
    ------
    FileError
        Nothing is there, the archive is damaged or hostile, or a file of the product is missing.
    InputError
        Several products in one folder, or a name unlike those of GF-3 products.
    """
    path = Path(product)
    if archives.is_archive(path.name) and not path.is_dir():
        path = archives.unpacked(path)
    if not path.exists():
        raise FileError(f"the GF-3 product {path} does not exist; check the path.")
    if path.is_dir():
        path = _only_metadata(path)
    elif not path.name.lower().endswith(META):
        raise FileError(
            f"{path} is not a GF-3 product; give its folder, its archive or its {META}."
        )
    base = path.name[: -len(META)]
    name = parse_name(base)
    if name is None:
        raise InputError(
            f"the file {path} is not named as GF-3 products are (GF3_<station>_<mode>_<orbit>_"
            "<longitude>_<latitude>_<date>_<level>_<polarisation>_<number>); give it back the "
            "name that it was delivered with."
        )
    images, rationals = _channels(path.parent, name)
    angles = (base + INCIDENCE).lower()
    incidence = next((f for f in _files(path.parent) if f.name.lower() == angles), None)
    return Product(name, path.parent, path, images, rationals, incidence)


def _files(folder: Path) -> list[Path]:
    """The visible files of a folder, sorted."""
    try:
        return sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))
    except OSError as error:
        raise FileError(
            f"the folder {folder} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _metadata_files(folder: Path) -> list[Path]:
    """Metadata files in a folder, or else in the folders in it."""
    for place in ([folder], sorted(p for p in folder.iterdir() if p.is_dir())):
        found = [f for p in place for f in _files(p) if f.name.lower().endswith(META)]
        if found:
            return found
    return []


def _only_metadata(folder: Path) -> Path:
    found = _metadata_files(folder)
    if not found:
        raise FileError(
            f"the folder {folder} holds no {META} and so is no GF-3 product; check the path, or "
            "unpack the product again."
        )
    if len(found) > 1:
        names = ", ".join(f.name for f in found[:3])
        raise InputError(
            f"the folder {folder} holds {len(found)} products ({names}); give the {META} of the "
            "one you mean."
        )
    return found[0]


def _channels(folder: Path, name: ProductName) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and rational polynomials by polarisation."""
    images: dict[str, Path] = {}
    rationals: dict[str, Path] = {}
    for file in _files(folder):
        suffix = file.suffix.lower()
        parts = parse_name(file.stem)
        if suffix not in _IMAGES + _RATIONALS or parts is None or not _same(parts, name):
            continue
        channel = _CHANNELS.get(parts.polarisation)
        if channel is None:
            if suffix in _IMAGES:
                raise InputError(
                    f"the name of {file} does not say which polarisation it is "
                    f"('{parts.polarisation}'); give it the name that it was delivered with."
                )
            continue
        found = images if suffix in _IMAGES else rationals
        if channel in images and suffix in _IMAGES:
            raise InputError(
                f"{images[channel]} and {file.name} are both the {channel} channel of one "
                "product; move one of them away."
            )
        found[channel] = file
    if not images:
        raise FileError(
            f"the folder {folder} holds no image ({name._replace(polarisation='HH')}.tiff or of "
            "another polarisation); unpack the whole product."
        )
    return images, rationals


def _same(one: ProductName, other: ProductName) -> bool:
    return one._replace(polarisation="") == other._replace(polarisation="")
