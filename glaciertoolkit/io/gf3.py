"""One GF-3 product as a Dataset: calibrated, lazy, in the geometry that it was taken in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, RADAR_COORDINATES, describe, variable_attrs
from glaciertoolkit.errors import FileError, GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.io import gf3_pixels
from glaciertoolkit.io.gf3_files import POLARISATIONS, Product, find_product
from glaciertoolkit.io.gf3_metadata import Metadata, radar_geometry, read_metadata
from glaciertoolkit.io.gf3_pixels import Pixels
from glaciertoolkit.io.gf3_xml import Document
from glaciertoolkit.io.raster import CHUNK, Chunks
from glaciertoolkit.provenance import record
from glaciertoolkit.sar.geometry import SINGLE, RadarGeometry

COMPLEX_LEVEL = "L1A"

EARTH_RADIUS = 6_371_000.0

POLAR_SPEED = 500.0
"""Metres per second along the axis of the Earth, below which an orbit turns."""


@dataclass(frozen=True, eq=False)
class Scene:
    """An opened product.

    Parameters
    ----------
    product : Product
    metadata : Metadata
    images : dict of str to Pixels
        By polarisation.
    geometry : RadarGeometry or None
        None for a geocoded product.
    """

    product: Product
    metadata: Metadata
    images: dict[str, Pixels]
    geometry: RadarGeometry | None

    @property
    def name(self) -> str:
        """The name of the product."""
        return str(self.product.name)

    @property
    def mean_height(self) -> float:
        """Mean height of the scene, metres; 0 where the product does not say it."""
        return self.metadata.mean_height or 0.0


def open_gf3(
    product: str | os.PathLike[str],
    *,
    polarisations: str | Iterable[str] | None = None,
    chunks: Chunks = CHUNK,
) -> xr.Dataset:
    """Open a GF-3 product, calibrated to sigma nought.

    Parameters
    ----------
    product : str or path
        A folder, a ``.tar.gz``, ``.tgz``, ``.tar`` or ``.zip``, or the ``.meta.xml`` of a product
        of GF3, GF3B or GF3C, level L1A, L1B (if it has a map grid) or L2. An archive is unpacked
        into a folder of its name beside it, once, or into a temporary one.
    polarisations : str or iterable of str, optional
        ``"HH"``, ``"HV"``, ``"VH"``, ``"VV"``; without it all that the product has.
    chunks : int, str, dict or None
        Chunks in pixels; ``None`` reads the images now.

    Returns
    -------
    xarray.Dataset
        One variable (y, x) for each polarisation. L1A: complex64 amplitude whose squared modulus
        is sigma nought (linear), NaN + NaN j where there is nothing, over ``y`` (azimuth, metres
        along flight from the first line) and ``x`` (slant range, metres), with the attribute
        ``geometry`` that `glaciertoolkit.sar.geometry.geometry_of` reads, and ``incidence`` (x,
        degrees) where the product has it. L2: float32 amplitude, the root of sigma nought, on the
        map grid of the product with its ``spatial_ref``. The coordinate ``time`` is that of the
        middle of the scene.

    Raises
    ------
    FileError
        A file of the product is missing, damaged, truncated or hostile.
    InputError
        An element of the metadata is missing, ``NULL``, implausible, or contradicts another or
        the images; the message names file and element.
    GridError
        A detected product without a map grid.
    ParameterError
        A polarisation that GF-3 does not have, or chunks that are none.

    Warns
    -----
    GlacierToolkitWarning
        No calibration constant (sigma nought is then relative, and the attribute ``calibrated``
        of the variable 0), or a ground velocity that is not that of the orbit.

    Notes
    -----
    L1A: ``amplitude = (I + jQ) QualifyValue / 32767 / sqrt(10 ** (CalibrationConst / 10))``;
    L1B and L2: ``DN QualifyValue / 65535`` over the same root.

    Examples
    --------
    >>> scene = open_gf3("GF3_KAS_FSI_..._L1A_HHHV_L10002332082.tar.gz")  # doctest: +SKIP
    >>> sigma0 = abs(scene.HH) ** 2  # doctest: +SKIP
    """
    scene = open_scene(product, polarisations=polarisations)
    found = _with_geometry(scene, chunks) if scene.geometry else _on_map(scene, chunks)
    found.attrs |= scene_attrs(scene)
    return record(
        found,
        "open_gf3",
        {"product": scene.name, "polarisations": list(scene.images), "level": scene.metadata.level},
    )


def open_scene(
    product: str | os.PathLike[str], *, polarisations: str | Iterable[str] | None = None
) -> Scene:
    """Find, read and check everything of a product but its pixels.

    Parameters and errors as of `open_gf3`.
    """
    files = find_product(product)
    metadata = read_metadata(files.metadata, name=files.name)
    wanted = _wanted(files, metadata, polarisations)
    images = {p: _open_channel(files, metadata, p) for p in wanted}
    shape = _common_shape(files, metadata, images)
    if metadata.level != COMPLEX_LEVEL:
        return Scene(files, metadata, images, None)
    geometry = radar_geometry(metadata, lines=shape[0], samples=shape[1])
    _check_place(metadata, geometry)
    return Scene(files, metadata, images, geometry)


def scene_attrs(scene: Scene) -> dict[str, Any]:
    """What is known of a product, as plain attributes."""
    metadata = scene.metadata
    known = {
        "source": scene.name,
        "satellite": metadata.satellite,
        "imaging_mode": metadata.mode,
        "station": metadata.station,
        "product_level": metadata.level,
        "orbit_direction": metadata.direction,
        "look_direction": metadata.look,
        "polarisations": " ".join(scene.images),
        "mean_height": metadata.mean_height,
        "incidence_near": metadata.incidence_near,
        "incidence_far": metadata.incidence_far,
    }
    return {name: value for name, value in known.items() if value is not None}


def channel_attrs(scene: Scene, polarisation: str) -> dict[str, Any]:
    """Attributes of the variable of one polarisation."""
    complex_ = scene.metadata.level == COMPLEX_LEVEL
    constant = scene.metadata.calibration[polarisation]
    kind = "complex amplitude" if complex_ else "amplitude"
    return {
        "units": "1",
        "long_name": f"{kind} of the {polarisation} channel, root of sigma nought",
        "polarisation": polarisation,
        "calibrated": int(constant is not None),  # a netCDF file holds no booleans
        "calibration_constant_db": 0.0 if constant is None else constant,
        "qualify_value": scene.metadata.qualify[polarisation],
        "source": scene.images[polarisation].path,
    }


def _with_geometry(scene: Scene, chunks: Chunks) -> xr.Dataset:
    assert scene.geometry is not None
    out = xr.Dataset(
        {p: (("y", "x"), gf3_pixels.lazy(v, chunks)) for p, v in scene.images.items()},
        coords={
            "y": ("y", scene.geometry.y, RADAR_COORDINATES["y"]),
            "x": ("x", scene.geometry.x, RADAR_COORDINATES["x"]),
            "time": ((), scene.geometry.mid_time, {"long_name": "time of the middle of the scene"}),
        },
        attrs={SINGLE: scene.geometry.to_json()},
    )
    for name in scene.images:
        out[name].attrs = channel_attrs(scene, name)
    if scene.product.incidence is not None:
        angles = _incidence(Document(scene.product.incidence), scene.geometry.samples)
        out["incidence"] = ("x", angles, variable_attrs("incidence"))
    return out


def _on_map(scene: Scene, chunks: Chunks) -> xr.Dataset:
    import rioxarray  # noqa: F401  (registers .rio)

    path = scene.product.images[next(iter(scene.images))]
    grid, crs = gf3_pixels.open_grid(path, label=f"{scene.metadata.level} image {path}")
    out = xr.Dataset(
        {p: (("y", "x"), gf3_pixels.lazy(v, chunks)) for p, v in scene.images.items()},
        coords=grid.coords(),
    )
    out = out.assign_coords(time=scene.metadata.mid_time)
    out = out.rio.write_crs(crs, grid_mapping_name=GRID_MAPPING)
    out = describe(out.rio.write_transform(grid.transform))
    for name, pixels in scene.images.items():
        out[name].attrs = channel_attrs(scene, name) | {"grid_mapping": GRID_MAPPING}
        out[name].encoding["source"] = pixels.path
    return out


def _wanted(
    files: Product, metadata: Metadata, given: str | Iterable[str] | None
) -> tuple[str, ...]:
    """The polarisations to open."""
    if given is None:
        lost = [
            p for p in POLARISATIONS if metadata.qualify[p] is not None and p not in files.images
        ]
        if lost:
            raise FileError(
                f"the element imageinfo/QualifyValue in {metadata.path} announces the channel "
                f"{lost[0]}, but there is no TIFF of it; unpack the whole product, or open what is "
                f"there with polarisations={sorted(files.images)}."
            )
        return tuple(p for p in POLARISATIONS if p in files.images)
    wanted = tuple([given] if isinstance(given, str) else given)
    unknown = [p for p in wanted if p not in POLARISATIONS]
    if unknown or not wanted:
        raise ParameterError(
            f"polarisations={given!r} must be among {', '.join(POLARISATIONS)} (upper case)."
        )
    for polarisation in wanted:
        if polarisation not in files.images:
            raise InputError(
                f"the product {files.name} has no {polarisation} channel, only "
                f"{', '.join(sorted(files.images))}; choose one of these as polarisation."
            )
    return tuple(dict.fromkeys(wanted))


def _open_channel(files: Product, metadata: Metadata, polarisation: str) -> Pixels:
    path = files.images[polarisation]
    quality = metadata.qualify[polarisation]
    if quality is None:
        raise metadata.wrong(
            f"imageinfo/QualifyValue/{polarisation}",
            f"is missing or NULL, so the pixels of {path.name} cannot be scaled",
        )
    constant = metadata.calibration[polarisation]
    if constant is None:
        warnings.warn(
            f"the element processinfo/CalibrationConst/{polarisation} in {metadata.path} is "
            "missing or NULL: sigma nought of this channel is relative.",
            GlacierToolkitWarning,
            stacklevel=5,
        )
    complex_ = metadata.level == COMPLEX_LEVEL
    top = gf3_pixels.COMPLEX_TOP if complex_ else gf3_pixels.DETECTED_TOP
    return gf3_pixels.open_pixels(
        path,
        scale=quality / top / 10 ** ((constant or 0.0) / 20),
        complex=complex_,
        label=f"{polarisation} image {path}",
    )


def _common_shape(files: Product, metadata: Metadata, images: dict[str, Pixels]) -> tuple[int, int]:
    """Size of the images, which must be one, and that of the metadata."""
    (one, first), *others = images.items()
    for other, pixels in others:
        if pixels.shape != first.shape:
            raise InputError(
                f"the images {files.images[one].name} and {files.images[other].name} in "
                f"{files.folder} have {first.shape} and {pixels.shape} lines and samples; one of "
                "them is of another product, unpack the product again."
            )
    for element, stated, there in (
        ("height", metadata.height, first.shape[0]),
        ("width", metadata.width, first.shape[1]),
    ):
        if stated is not None and stated != there:
            raise metadata.wrong(
                f"imageinfo/{element}",
                f"is {stated}, but {files.images[one].name} has {there}",
                "the image is cut, or of another product: unpack the product again",
            )
    return first.shape


def _check_place(metadata: Metadata, geometry: RadarGeometry) -> None:
    """The centre must lie where orbit, times and look direction put it."""
    from glaciertoolkit.sar.geocoding import image_to_ground

    north = geometry.orbit.velocity(geometry.time_of(geometry.centre[0]))[2]
    if abs(north) > POLAR_SPEED and (north > 0) != (metadata.direction == "ascending"):
        raise metadata.wrong(
            "Direction",
            f"says {metadata.direction}, but the state vectors (GPS) move "
            f"{'northwards' if north > 0 else 'southwards'}",
        )
    if metadata.centre is None:
        return
    height = metadata.mean_height or 0.0
    corners = [(0.0, 0.0), geometry.centre, (geometry.lines - 1.0, geometry.samples - 1.0)]
    lines, samples = np.transpose(corners)
    lon, lat = image_to_ground(geometry, lines, samples, height)
    half = distance(lon[1], lat[1], lon[0], lat[0])
    off = distance(lon[1], lat[1], *metadata.centre)
    if not off <= half + 10e3:
        raise metadata.wrong(
            "imageinfo/center",
            f"lies {off / 1e3:.0f} km from where orbit (GPS), imagingTime, nearRange and "
            "lookDirection put the middle of the image",
            "one of them is damaged or of another product, take it from its provider again",
        )


def distance(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """Distance on the sphere between two points in degrees, metres."""
    a, b, c, d = np.radians([lon, lat, other_lon, other_lat])
    chord = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return float(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0))))


def _incidence(xml: Document, samples: int) -> npt.NDArray[np.float32]:
    """Incidence of every sample from ``.incidence.xml``, degrees."""
    text = [(node.text or "").strip() for node in xml.root.iter("incidenceValue")]
    values = np.array([xml.as_number(t, "incidenceValue") for t in text], np.float64)
    step = xml.number("stepSize") or 1.0
    stated = xml.number("numberofIncidenceValue")
    if stated is not None and stated != values.size:
        raise xml.wrong(
            "numberofIncidenceValue", f"is {stated:g}, but there are {values.size} incidenceValue"
        )
    if values.size < 1 or not (values.size - 1) * step >= samples - 1 - step:
        raise xml.wrong(
            "incidenceValue",
            f"stands there {values.size} times with a stepSize of {step:g}, too few for "
            f"{samples} samples",
        )
    if not ((values > 0) & (values < 90)).all():
        raise xml.wrong("incidenceValue", "is not always between 0 and 90 degrees")
    nodes = step * np.arange(values.size)
    return np.interp(np.arange(samples), nodes, values).astype(np.float32)
