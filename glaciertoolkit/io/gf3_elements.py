"""Single elements of a GF-3 ``.meta.xml``: what they mean, and what they cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError
from glaciertoolkit.io.gf3_files import ProductName
from glaciertoolkit.io.gf3_xml import Document
from glaciertoolkit.sar.geometry import SPEED_OF_LIGHT

Array = npt.NDArray[np.float64]

LOOKS = {"R": "right", "L": "left"}
DIRECTIONS = {"ASC": "ascending", "DEC": "descending"}

# What no GF-3 product is beyond.
RANGE = (7.4e5, 1.4e6)  # m
SAMPLING = (1.0, 1000.0)  # MHz
PRF = (100.0, 50_000.0)  # Hz
WAVELENGTH = (0.05, 0.06)  # m
FREQUENCY = (5.0, 6.0)  # GHz
DURATION = (0.01, 900.0)  # s


class StateVectors(NamedTuple):
    """Orbit state vectors.

    `times` (n) are datetime64[ns], UTC; `positions` and `velocities` (n, 3) are Earth-centred and
    Earth-fixed, metres and metres per second.
    """

    times: npt.NDArray[np.datetime64]
    positions: Array
    velocities: Array


class Place(NamedTuple):
    """Longitude and latitude, degrees WGS84."""

    longitude: float
    latitude: float


def check_times(xml: Document, start: np.datetime64, end: np.datetime64, name: ProductName) -> None:
    """Raise `InputError` for times that no scene has, or that contradict the name."""
    seconds = float((end - start) / np.timedelta64(1, "ns")) / 1e9
    if not DURATION[0] <= seconds <= DURATION[1]:
        raise xml.wrong("imageinfo/imagingTime", f"runs from {start} to {end}, which no scene does")
    try:
        day = np.datetime64(f"{name.date[:4]}-{name.date[4:6]}-{name.date[6:]}", "D")
    except ValueError as error:
        raise InputError(
            f"the name of {xml.path} says {name.date}, which is not a date; give it back the name "
            "that it was delivered with."
        ) from error
    # Stations may name a product after the local day.
    if abs((start.astype("datetime64[D]") - day) / np.timedelta64(1, "D")) > 1:
        raise xml.wrong(
            "imageinfo/imagingTime/start",
            f"is {start}, but the name of the file says {day}",
            "the file belongs to another product, or was renamed",
        )


def satellite(xml: Document, name: ProductName) -> str:
    """The satellite, which must be that of the name."""
    found = xml.text("satellite") or name.satellite
    if found.upper().replace("-", "") != name.satellite:
        raise xml.wrong(
            "satellite",
            f"is {found[:40]!r}, but the name of the file says {name.satellite}",
            "the file belongs to another product, or was renamed",
        )
    return name.satellite


def level(xml: Document, name: ProductName) -> str:
    """The level, which must be that of the name."""
    stated = xml.text("productinfo/productLevel")
    if stated is not None and not name.level[1:].startswith(stated.upper().removeprefix("L")):
        raise xml.wrong(
            "productinfo/productLevel",
            f"is {stated[:40]!r}, but the name of the file says {name.level}",
            "the file belongs to another product, or was renamed",
        )
    return name.level


def wavelength(xml: Document) -> float:
    """Metres, from the wavelength or else from the frequency."""
    if xml.text("sensor/lamda") is not None:
        return xml.needed_number("sensor/lamda", *WAVELENGTH, "m")
    if xml.text("sensor/RadarCenterFrequency") is None:
        xml.needed("sensor/lamda")
    frequency = xml.needed_number("sensor/RadarCenterFrequency", *FREQUENCY, "GHz")
    return SPEED_OF_LIGHT / (frequency * 1e9)


def mean_height(xml: Document) -> float | None:
    """Mean height of the scene, metres."""
    found = xml.number("processinfo/DEM")
    return xml.number("sensor/waveParams/wave/averageAltitude") if found is None else found


def one_of(xml: Document, element: str, known: Mapping[str, str]) -> str:
    """An element that must be there and one of the `known`, as the word for it."""
    found = xml.needed(element)
    if found.upper() not in known:
        raise xml.wrong(element, f"is {found[:40]!r}, not {' or '.join(known)}")
    return known[found.upper()]


def per_channel(xml: Document, element: str) -> float | None:
    """The number of one polarisation; a quality value must be positive."""
    value = xml.number(element)
    if value is not None and element.startswith("imageinfo/QualifyValue") and value <= 0:
        raise xml.wrong(element, f"is {value:g}, not a positive amplitude")
    return value


def place(xml: Document, element: str) -> Place | None:
    """A point on the Earth, or None."""
    found = [xml.number(f"{element}/{k}") for k in ("longitude", "latitude")]
    longitude, latitude = found
    if longitude is None or latitude is None:
        return None
    if not (abs(longitude) <= 360 and abs(latitude) <= 90):
        raise xml.wrong(element, f"is at {latitude:g}, {longitude:g}, which is not on the Earth")
    return Place(longitude, latitude)


def whole(xml: Document, element: str) -> int | None:
    """A number of pixels, or None."""
    value = xml.number(element)
    if value is not None and (value < 1 or value != round(value)):
        raise xml.wrong(element, f"is {value:g}, not a number of pixels")
    return None if value is None else int(value)


def in_hertz(megahertz: float | None) -> float | None:
    """MHz as Hz."""
    return None if megahertz is None else megahertz * 1e6


def state_vectors(xml: Document) -> StateVectors:
    """All state vectors, none where there are none."""
    times, numbers = [], []
    keys = [f"{axis}{kind}" for kind in ("Position", "Velocity") for axis in "xyz"]
    for count, node in enumerate(xml.root.iterfind("GPS/GPSParam"), 1):
        here = f"GPS/GPSParam[{count}]"
        found = {child.tag: (child.text or "").strip() for child in node}
        for key in ("TimeStamp", *keys):
            if not re.search(r"\d", found.get(key, "")):
                raise xml.wrong(f"{here}/{key}", "is missing, empty or NULL")
        times.append(xml.as_time(found["TimeStamp"], f"{here}/TimeStamp"))
        numbers.append([xml.as_number(found[key], f"{here}/{key}") for key in keys])
    table = np.array(numbers, np.float64).reshape(-1, 6)
    return StateVectors(np.array(times, "datetime64[ns]"), table[:, :3], table[:, 3:])
