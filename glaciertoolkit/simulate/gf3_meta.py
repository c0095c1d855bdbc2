"""The ``.meta.xml`` of a simulated product, with the elements and habits of real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from glaciertoolkit.io.gf3_files import POLARISATIONS
from glaciertoolkit.sar.geometry import SPEED_OF_LIGHT
from glaciertoolkit.simulate.gf3_header import ProductHeader
from glaciertoolkit.simulate.gf3_text import NULL, Tree, fixed, stamp, to_xml

DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n'

_ATTITUDE_DELAY = np.timedelta64(2_945_050_000, "ns")
_ATTITUDE_STEP = np.timedelta64(500_000_000, "ns")


def metadata_xml(
    header: ProductHeader,
    *,
    quality: Mapping[str, float],
    calibration: Mapping[str, float | None],
) -> str:
    """The text of the ``.meta.xml``.

    Parameters
    ----------
    header : ProductHeader
    quality : mapping of str to float
        Largest amplitude of each polarisation there is.
    calibration : mapping of str to float or None
        Constants, dB.
    """
    channels = tuple(p for p in POLARISATIONS if p in quality)
    tree: Tree = [
        ("segmentID", header.product_number // 17),
        ("sceneID", header.product_number + 3_181_577),
        ("satellite", header.satellite),
        ("orbitID", header.orbit_number),
        ("orbitType", "ELLIPSE"),
        ("attiType", "STAR"),
        ("Direction", header.direction),
        ("productID", header.product_number),
        ("DocumentIdentifier", "1.0"),
        ("ReceiveTime", NULL),
        ("IsZeroDopplerSteering", 1),
        ("Station", header.station),
        ("sensor", _sensor(header, channels)),
        ("platform", _platform(header)),
        ("GPS", list(_state_vectors(header))),
        ("ATTI", list(_attitude(header))),
        ("productinfo", _product_info(header, channels)),
        ("imageinfo", _image_info(header, quality)),
        ("processinfo", _process_info(header, calibration)),
    ]
    return DECLARATION + to_xml("product", tree)


def incidence_xml(header: ProductHeader) -> str:
    """The text of the ``.incidence.xml``: an angle for every sample."""
    angles = header.angles(np.arange(header.geometry.samples)).incidence
    tree: Tree = [("numberofIncidenceValue", angles.size), ("stepSize", 1)]
    tree += [("incidenceValue", fixed(a)) for a in angles]
    return DECLARATION + to_xml("incidence", tree)


def _bandwidths(header: ProductHeader) -> tuple[float, float]:
    """In range and in azimuth, Hz."""
    sampling = SPEED_OF_LIGHT / (2 * header.geometry.range_spacing)
    rate = 1 / header.geometry.line_interval
    return (
        0.9 * sampling if header.range_bandwidth is None else header.range_bandwidth,
        0.59 * rate if header.azimuth_bandwidth is None else header.azimuth_bandwidth,
    )


def _sensor(header: ProductHeader, channels: tuple[str, ...]) -> Tree:
    g = header.geometry
    across, along = _bandwidths(header)
    sampling = SPEED_OF_LIGHT / (2 * g.range_spacing)
    spotlight: Tree = [
        ("prfCounter", 0),
        ("transmitBeamNum", 0),
        ("receiveBeamNum", 0),
        ("scanNum", 0),
        ("squintAngle", fixed(0)),
    ]
    wave: Tree = [
        ("waveCode", 169),
        ("centerLookAngle", fixed(header.angles(g.centre[1]).look)),
        ("prf", fixed(1 / g.line_interval)),
        ("proBandwidth", fixed(along)),
        ("sampleRate", fixed(sampling / 1e6)),
        ("sampleDelay", fixed(42.540001)),
        ("bandWidth", fixed(across / 1e6)),
        ("pulseWidth", fixed(30)),
        ("frameLength", g.samples + 2512),
        ("compression", "BAQ8:4"),
        ("baqBlock", 1024),
        ("valueMGC", [(p, 38 if p in ("HH", "VV") else 27) for p in POLARISATIONS]),
        ("groundVelocity", fixed(g.azimuth_spacing / g.line_interval)),
        ("averageAltitude", fixed(header.mean_height)),
    ]
    return [
        ("sensorID", "SAR"),
        ("imagingMode", header.mode),
        ("lamda", fixed(g.wavelength)),
        ("RadarCenterFrequency", fixed(SPEED_OF_LIGHT / g.wavelength / 1e9)),
        ('waveParams num="1"', [("wave", wave)]),
        (
            "spotlightPara",
            [
                *[(when, spotlight) for when in ("start", "center", "end")],
                ("scanStep", fixed(0)),
                ("scanSwichNum", 0),
                ("startScanAngle", fixed(0)),
            ],
        ),
        ("lookDirection", "R" if g.look == "right" else "L"),
        ("antennaMode", "S"),
        ("agcMode", "MGC"),
        (
            f'polarParams num="{len(channels)}"',
            [("polar", [("polarMode", header.polarisation_tag(channels))])],
        ),
    ]


def _platform(header: ProductHeader) -> Tree:
    g = header.geometry
    # Half of the lines after the first, as in real products: half a line past the middle.
    time = float(g.time_of(g.lines / 2))
    place, speed = g.orbit.position(time), g.orbit.velocity(time)
    return [
        ("CenterTime", stamp(g.orbit.epoch + np.timedelta64(round(time * 1e9), "ns"))),
        ("Rs", fixed(np.linalg.norm(place))),
        ("satVelocity", fixed(np.linalg.norm(speed))),
        ("RollAngle", fixed(0.007)),
        ("PitchAngle", fixed(-0.04815)),
        ("YawAngle", fixed(3.668408)),
        *[(f"{axis}s", fixed(v)) for axis, v in zip("XYZ", place, strict=True)],
        *[(f"V{axis}s", fixed(v)) for axis, v in zip("xyz", speed, strict=True)],
    ]


def _state_vectors(header: ProductHeader) -> Iterator[tuple[str, Any]]:
    times, positions, velocities = header.state_vectors
    # Positions in single precision, a quarter or a half metre; velocities in centimetres too.
    place = np.asarray(positions, np.float32)
    speed = np.round(np.asarray(velocities, float), 2).astype(np.float32)
    for time, p, v in zip(times, place, speed, strict=True):
        vector: Tree = [("TimeStamp", stamp(time))]
        vector += [(f"{a}Position", fixed(c)) for a, c in zip("xyz", p, strict=True)]
        vector += [(f"{a}Velocity", fixed(c)) for a, c in zip("xyz", v, strict=True)]
        yield "GPSParam", vector


def _attitude(header: ProductHeader) -> Iterator[tuple[str, Any]]:
    times = np.asarray(header.state_vectors[0], "datetime64[ns]")
    for time in np.arange(times[0] + _ATTITUDE_DELAY, times[-1], _ATTITUDE_STEP):
        angles: Tree = [("TimeStamp", stamp(time))]
        angles += [
            (f"{what}Angle", fixed(a))
            for what, a in (("yaw", 3.668), ("roll", 0.007), ("pitch", -0.048))
        ]
        yield "ATTIParam", angles


def _product_info(header: ProductHeader, channels: tuple[str, ...]) -> Tree:
    g = header.geometry
    angle = float(header.angles(g.centre[1]).incidence)
    swath = g.samples * g.range_spacing / np.sin(np.radians(angle))
    made = g.start + np.timedelta64(28, "h")
    return [
        ("NominalResolution", f"{max(1.0, round(g.azimuth_spacing * 1.85)):.1f}"),
        ("WidthInMeters", fixed(swath)),
        ("productLevel", 1),
        ("productType", "SLC"),
        ("productFormat", "GEOTIFF"),
        ("productGentime", stamp(made)[:19]),
        ("productPolar", header.polarisation_tag(channels)),
    ]


def _image_info(header: ProductHeader, quality: Mapping[str, float]) -> Tree:
    g = header.geometry
    end = g.start + np.timedelta64(round(g.duration * 1e9), "ns")

    def place(name: str) -> Tree:
        lon, lat = header.places[name]
        return [("latitude", fixed(lat)), ("longitude", fixed(lon))]

    return [
        ("imagingTime", [("start", stamp(g.start)), ("end", stamp(end))]),
        ("nearRange", fixed(g.near_range)),
        ("refRange", fixed(g.near_range + g.samples / 2 * g.range_spacing)),
        ("eqvFs", fixed(SPEED_OF_LIGHT / (2 * g.range_spacing) / 1e6)),
        ("eqvPRF", fixed(1 / g.line_interval)),
        ("center", place("center")),
        ("corner", [(name, place(name)) for name in header.places if name != "center"]),
        ("width", g.samples),
        ("height", g.lines),
        ("widthspace", fixed(g.range_spacing)),
        ("heightspace", fixed(g.azimuth_spacing)),
        ("sceneShift", fixed(0)),
        ("imagebit", "16bit"),
        ("QualifyValue", _by_channel(quality)),
        ("echoSaturation", _by_channel(dict.fromkeys(quality, 0.0))),
    ]


def _process_info(header: ProductHeader, calibration: Mapping[str, float | None]) -> Tree:
    g = header.geometry
    across, along = _bandwidths(header)
    middle = g.near_range + g.samples / 2 * g.range_spacing
    delay = middle / SPEED_OF_LIGHT * 1e6
    speed = np.linalg.norm(g.orbit.velocity(g.time_of(g.centre[0])))
    # Rate of the Doppler frequency over the range, and its expansion about the middle.
    rate = 2 * speed * g.azimuth_spacing / g.line_interval / (g.wavelength * middle)
    near, far = header.angles([0.0, g.samples - 1.0]).incidence
    return [
        ("EphemerisData", "RT"),
        ("AttitudeData", "RT"),
        ("algorithm", "CS"),
        ("CalibrationConst", _by_channel(calibration)),
        ("AzFdc0", fixed(0)),
        ("AzFdc1", fixed(0)),
        ("MultilookRange", 1),
        ("MultilookAzimuth", 1),
        ("DoIQComp", 0),
        ("DoChaComp", 1),
        ("DoFPInnerImbalanceComp", NULL),
        ("DoFPCalibration", NULL),
        ("DoFdcEst", 0),
        ("DoFrEst", 0),
        ("RangeWeightType", 1),
        ("RangeWeightPara", "-26.000000,0.000000"),
        ("AzimuthWeightType", 1),
        ("AzimuthWeightPara", "-25.000000,0.000000"),
        ("Sidelobe_Suppress_Flag", 0),
        ("Speckle_Suppress_Flag", 0),
        ("EarthModel", "WGS84"),
        ("ProjectModel", "UTM"),
        ("DEMModel", 0),
        ("QualifyModel", 0),
        ("RadiometricModel", 0),
        ("incidenceAngleNearRange", fixed(near)),
        ("incidenceAngleFarRange", fixed(far)),
        ("InnerCalibration", NULL),
        ("DifferentBetweenDifferentChannel", NULL),
        *[(f"NumberOfPole{p}MissingLines", 0) for p in POLARISATIONS],
        ("ReceiverSettableGain", 1),
        ("ProcessorGainCorrection", 1),
        ("ElevationPatternCorrection", 0),
        ("AmuthPatternCorrection", 0),
        ("RangeLookBandWidth", fixed(across / 1e6)),
        ("AzimuthLookBandWidth", fixed(along)),
        ("TotalProcessedAzimuthBandWidth", fixed(along)),
        ("DopplerParametersReferenceTime", fixed(delay)),
        ("DopplerCentroidCoefficients", [(f"d{i}", fixed(0)) for i in range(5)]),
        (
            "DopplerRateValuesCoefficients",
            [(f"r{i}", fixed(rate * (-1 / delay) ** i)) for i in range(5)],
        ),
        ("DEM", fixed(header.mean_height)),
    ]


def _by_channel(values: Mapping[str, float | None]) -> Tree:
    found = {p: values.get(p) for p in POLARISATIONS}
    return [(p, NULL if v is None else fixed(v)) for p, v in found.items()]
