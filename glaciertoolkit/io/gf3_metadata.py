"""What the ``.meta.xml`` of a GF-3 product says, and the radar geometry that follows from it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glaciertoolkit.errors import GlacierToolkitWarning, InputError
from glaciertoolkit.io import gf3_elements as elements
from glaciertoolkit.io.gf3_elements import Place, StateVectors
from glaciertoolkit.io.gf3_files import META, POLARISATIONS, ProductName, parse_name
from glaciertoolkit.io.gf3_xml import Document
from glaciertoolkit.sar.geometry import SPEED_OF_LIGHT, RadarGeometry
from glaciertoolkit.sar.orbits import Orbit, fit_orbit, in_nanoseconds

_SPEED_TOLERANCE = 0.03

_SIDES = ("topLeft", "topRight", "bottomLeft", "bottomRight")


@dataclass(frozen=True, eq=False)
class Metadata:
    """The metadata of a GF-3 product; None where an element is missing or ``NULL``.

    Parameters
    ----------
    path : Path
        The file.
    name : ProductName
    satellite, mode, station : str
    product_id : str or None
    direction : {"ascending", "descending"}
    look : {"right", "left"}
    polarisations : str
        The tag, such as ``HHHV``; the channels there are follow from the images.
    wavelength : float
        Metres.
    start, end : numpy.datetime64
        Times of the first and the last line, UTC.
    near_range : float
        Slant range of the first sample, metres.
    ref_range : float or None
        Slant range of the middle, metres.
    range_sampling : float
        ``eqvFs``, Hz.
    line_rate : float
        ``eqvPRF``, Hz.
    ground_velocity, orbit_velocity : float or None
        Metres per second.
    centre : Place or None
    corners : mapping of str to Place
        ``topLeft`` and so on, as far as they are there.
    width, height : int or None
        Pixels.
    width_spacing, height_spacing : float or None
        Metres.
    level : str
        ``L1A``, ``L1B`` or ``L2``.
    product_type : str or None
    nominal_resolution : float or None
        Metres.
    qualify, calibration : mapping of str to float or None
        By polarisation: amplitude that the largest number stands for, and constant in dB.
    incidence_near, incidence_far : float or None
        Degrees from the geocentric vertical.
    mean_height : float or None
        Of the scene above the ellipsoid, metres.
    range_bandwidth, azimuth_bandwidth : float or None
        Hz.
    doppler : tuple of float
        Coefficients of the Doppler centroid before processing, Hz over powers of microseconds.
    doppler_reference : float or None
        One-way travel time at which `doppler` is expanded, microseconds.
    zero_doppler_steering : bool or None
    state_vectors : StateVectors
        Empty where there are none.
    """

    path: Path
    name: ProductName
    satellite: str
    mode: str
    station: str
    product_id: str | None
    direction: str
    look: str
    polarisations: str
    wavelength: float
    start: np.datetime64
    end: np.datetime64
    near_range: float
    ref_range: float | None
    range_sampling: float
    line_rate: float
    ground_velocity: float | None
    orbit_velocity: float | None
    centre: Place | None
    corners: Mapping[str, Place]
    width: int | None
    height: int | None
    width_spacing: float | None
    height_spacing: float | None
    level: str
    product_type: str | None
    nominal_resolution: float | None
    qualify: Mapping[str, float | None]
    calibration: Mapping[str, float | None]
    incidence_near: float | None
    incidence_far: float | None
    mean_height: float | None
    range_bandwidth: float | None
    azimuth_bandwidth: float | None
    doppler: tuple[float, ...]
    doppler_reference: float | None
    zero_doppler_steering: bool | None
    state_vectors: StateVectors

    @property
    def duration(self) -> float:
        """Seconds from the first to the last line."""
        return float((self.end - self.start) / np.timedelta64(1, "ns")) / 1e9

    @property
    def lines(self) -> int:
        """Number of lines that the times and the line rate imply."""
        return round(self.duration * self.line_rate) + 1

    @property
    def mid_time(self) -> np.datetime64:
        """Time of the middle, UTC, to the microsecond: finer, and files would round it."""
        middle = self.start + (self.end - self.start) // 2
        return in_nanoseconds(middle.astype("datetime64[us]"))

    def wrong(self, element: str, what: str, way_out: str = "") -> InputError:
        """The error about an element of this file."""
        tail = way_out or "the product is damaged, take it from its provider again"
        return InputError(f"the element {element} in {self.path} {what}; {tail}.")


def read_metadata(path: Path, *, name: ProductName | None = None) -> Metadata:
    """Read the ``.meta.xml`` of a product.

    Parameters
    ----------
    path : Path
    name : ProductName, optional
        Without it, taken from the name of the file.

    Returns
    -------
    Metadata

    Raises
    ------
    FileError
        The file is missing or not the XML of a product.
    InputError
        An element that is needed is missing, ``NULL`` or implausible, or elements contradict each
        other or the name.
    """
    name = name or parse_name(path.name.removesuffix(META))
    if name is None:
        raise InputError(f"the file {path} is not named as GF-3 products are.")
    xml = Document(path, root="product")
    start, end = (xml.time(f"imageinfo/imagingTime/{k}") for k in ("start", "end"))
    elements.check_times(xml, start, end, name)
    channels = {
        key: {p: elements.per_channel(xml, f"{element}/{p}") for p in POLARISATIONS}
        for key, element in (
            ("qualify", "imageinfo/QualifyValue"),
            ("calibration", "processinfo/CalibrationConst"),
        )
    }
    places = {side: elements.place(xml, f"imageinfo/corner/{side}") for side in _SIDES}
    coefficients = [xml.number(f"processinfo/DopplerCentroidCoefficients/d{i}") for i in range(5)]
    steering = xml.number("IsZeroDopplerSteering")
    return Metadata(
        path=path,
        name=name,
        satellite=elements.satellite(xml, name),
        mode=xml.text("sensor/imagingMode") or name.mode,
        station=xml.text("Station") or name.station,
        product_id=xml.text("productID"),
        direction=elements.one_of(xml, "Direction", elements.DIRECTIONS),
        look=elements.one_of(xml, "sensor/lookDirection", elements.LOOKS),
        polarisations=xml.text("productinfo/productPolar") or name.polarisation,
        wavelength=elements.wavelength(xml),
        start=start,
        end=end,
        near_range=xml.needed_number("imageinfo/nearRange", *elements.RANGE, "m"),
        ref_range=xml.number("imageinfo/refRange"),
        range_sampling=xml.needed_number("imageinfo/eqvFs", *elements.SAMPLING, "MHz") * 1e6,
        line_rate=xml.needed_number("imageinfo/eqvPRF", *elements.PRF, "Hz"),
        ground_velocity=xml.number("sensor/waveParams/wave/groundVelocity"),
        orbit_velocity=xml.number("platform/satVelocity"),
        centre=elements.place(xml, "imageinfo/center"),
        corners={side: place for side, place in places.items() if place is not None},
        width=elements.whole(xml, "imageinfo/width"),
        height=elements.whole(xml, "imageinfo/height"),
        width_spacing=xml.number("imageinfo/widthspace"),
        height_spacing=xml.number("imageinfo/heightspace"),
        level=elements.level(xml, name),
        product_type=xml.text("productinfo/productType"),
        nominal_resolution=xml.number("productinfo/NominalResolution"),
        qualify=channels["qualify"],
        calibration=channels["calibration"],
        incidence_near=xml.number("processinfo/incidenceAngleNearRange"),
        incidence_far=xml.number("processinfo/incidenceAngleFarRange"),
        mean_height=elements.mean_height(xml),
        range_bandwidth=elements.in_hertz(xml.number("processinfo/RangeLookBandWidth")),
        azimuth_bandwidth=xml.number("processinfo/AzimuthLookBandWidth"),
        doppler=tuple(c for c in coefficients if c is not None),
        doppler_reference=xml.number("processinfo/DopplerParametersReferenceTime"),
        zero_doppler_steering=None if steering is None else bool(steering),
        state_vectors=elements.state_vectors(xml),
    )


def radar_geometry(metadata: Metadata, *, lines: int, samples: int) -> RadarGeometry:
    """The geometry of an image in slant range.

    Parameters
    ----------
    metadata : Metadata
    lines, samples : int
        Size of the image.

    Returns
    -------
    RadarGeometry
        In zero-Doppler geometry; the orbit's epoch is the time of the first line.

    Raises
    ------
    InputError
        The state vectors are too few, do not cover the scene or contradict each other, or the
        number of lines contradicts the times.

    Warns
    -----
    GlacierToolkitWarning
        The ground velocity is not that of the orbit, which is taken instead.

    Notes
    -----
    Line i lies at ``start + i / eqvPRF``, sample j at ``nearRange + j c / (2 eqvFs)``. The spacing
    of the lines on the ground is the velocity of the footprint over the line rate, not that of the
    satellite, which is 12 % more.
    """
    if abs(lines - metadata.lines) > max(5, 1e-3 * metadata.lines):
        raise metadata.wrong(
            "imageinfo/imagingTime",
            f"and eqvPRF make {metadata.lines} lines, but the image has {lines}",
            "the files are of different products, or the image was cut",
        )
    vectors = metadata.state_vectors
    try:
        orbit = fit_orbit(*vectors, epoch=metadata.start, duration=metadata.duration)
    except InputError as error:
        raise InputError(f"in the element GPS/GPSParam of {metadata.path}, {error}") from error
    return RadarGeometry(
        orbit=orbit,
        first_line=0.0,
        line_interval=1 / metadata.line_rate,
        near_range=metadata.near_range,
        range_spacing=SPEED_OF_LIGHT / (2 * metadata.range_sampling),
        azimuth_spacing=_ground_velocity(metadata, orbit) / metadata.line_rate,
        lines=lines,
        samples=samples,
        look=metadata.look,
        wavelength=metadata.wavelength,
    )


def _ground_velocity(metadata: Metadata, orbit: Orbit) -> float:
    """Speed of the footprint: as stated, or that of the orbit scaled to the ground."""
    middle = metadata.duration / 2
    radius = np.linalg.norm(orbit.position(middle))
    speed = np.linalg.norm(orbit.velocity(middle))
    # Geocentric radius of the ellipsoid under the satellite, and the height of the terrain.
    sine = orbit.position(middle)[2] / radius
    ground = 6_378_137.0 * (1 - sine**2 / 298.257223563) + (metadata.mean_height or 0.0)
    expected = float(speed * ground / radius)
    stated = metadata.ground_velocity
    if stated is None:
        return expected
    if abs(stated / expected - 1) > _SPEED_TOLERANCE:
        warnings.warn(
            f"the element sensor/waveParams/wave/groundVelocity in {metadata.path} is "
            f"{stated:.0f} m/s, but the orbit moves over the ground at {expected:.0f} m/s, which "
            "is taken instead.",
            GlacierToolkitWarning,
            stacklevel=4,
        )
        return expected
    return stated
