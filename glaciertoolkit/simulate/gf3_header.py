"""What a simulated GF-3 product says of itself, and what follows from its geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.io.gf3_files import POLARISATIONS, parse_name
from glaciertoolkit.sar.geometry import RadarGeometry

Array = npt.NDArray[np.float64]

_TAGS = {
    ("HH", "HV"): "HHHV",
    ("VH", "VV"): "VVVH",
    POLARISATIONS: "AHV",
}


class Angles(NamedTuple):
    """Incidence from the geocentric vertical and look from the nadir, degrees."""

    incidence: Array
    look: Array


@dataclass(frozen=True, eq=False)
class ProductHeader:
    """What a simulated product says of itself.

    Parameters
    ----------
    geometry : RadarGeometry
        Of the image, in zero-Doppler geometry.
    state_vectors : tuple of arrays
        Times (datetime64, UTC, n), positions and velocities (n, 3; Earth-fixed, m and m/s), 1 Hz.
    mean_height : float
        Metres above the ellipsoid, at which corners, centre and incidence are given.
    relief : float
        Metres about `mean_height` over which the rational polynomials hold.
    satellite, station, mode : str
        As in names of products.
    orbit_number, product_number : int
    range_bandwidth : float, optional
        Hz; 0.9 of the range sampling unless it is given.
    azimuth_bandwidth : float, optional
        Hz; 0.59 of the line rate unless it is given.
    tag : str, optional
        The tag of the polarisations in place of the usual one (``DH`` for a single HH channel of
        two apertures).
    """

    geometry: RadarGeometry
    state_vectors: tuple[npt.NDArray[np.datetime64], Array, Array]
    mean_height: float = 0.0
    relief: float = 1500.0
    satellite: str = "GF3"
    station: str = "KAS"
    mode: str = "FSI"
    orbit_number: int = 16023
    product_number: int = 4301187
    range_bandwidth: float | None = None
    azimuth_bandwidth: float | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        if len(self.geometry.doppler) > 1:
            raise ParameterError(
                "a GF-3 product is in zero-Doppler geometry; give a geometry without doppler."
            )
        if parse_name(self.name(("HH",))) is None:
            raise ParameterError(
                f"{self.name(('HH',))!r} is no name of a GF-3 product; check satellite, station, "
                "mode and numbers."
            )

    def name(self, channels: tuple[str, ...], *, channel: str | None = None) -> str:
        """The name of the product, or of the files of one `channel`."""
        lon, lat = (round(float(v), 1) for v in self.places["center"])
        return "_".join(
            [
                self.satellite,
                self.station,
                self.mode,
                f"{self.orbit_number:06d}",
                f"{'E' if lon >= 0 else 'W'}{abs(lon):.1f}",
                f"{'N' if lat >= 0 else 'S'}{abs(lat):.1f}",
                str(self.geometry.start.astype("datetime64[D]")).replace("-", ""),
                "L1A",
                channel or self.polarisation_tag(channels),
                f"L1{self.product_number:010d}",
            ]
        )

    def polarisation_tag(self, channels: tuple[str, ...]) -> str:
        """The tag of the polarisations, such as ``HHHV``."""
        return self.tag or _TAGS.get(channels, "".join(channels))

    @property
    def direction(self) -> str:
        """``ASC`` or ``DEC``."""
        velocity = self.geometry.orbit.velocity(self.geometry.time_of(self.geometry.centre[0]))
        return "ASC" if velocity[2] > 0 else "DEC"

    @cached_property
    def places(self) -> dict[str, tuple[float, float]]:
        """Longitude and latitude of the centre and of the corners, named as on a map."""
        from glaciertoolkit.sar.geocoding import image_to_ground

        g = self.geometry
        last, far = g.lines - 1.0, g.samples - 1.0
        rows = {"top": 0.0, "bottom": last}
        if self.direction == "ASC":
            rows = {"top": last, "bottom": 0.0}
        # The far side is in the west where one looks to the right flying south.
        far_west = (self.direction == "DEC") == (g.look == "right")
        columns = {"Left": far, "Right": 0.0} if far_west else {"Left": 0.0, "Right": far}
        pixels = {"center": g.centre} | {
            row + column: (rows[row], columns[column]) for row in rows for column in columns
        }
        line, sample = np.transpose(list(pixels.values()))
        lon, lat = image_to_ground(g, line, sample, self.mean_height)
        turned = (np.asarray(lon) + 180.0) % 360.0 - 180.0
        return dict(zip(pixels, zip(turned, lat, strict=True), strict=True))

    def angles(self, sample: npt.ArrayLike) -> Angles:
        """Angles of samples on the middle line, at the mean height."""
        from glaciertoolkit.sar.geocoding import image_to_ground

        g = self.geometry
        columns = np.asarray(sample, np.float64)
        line = np.full(columns.shape, g.centre[0])
        ground = _ecef(*image_to_ground(g, line, columns, self.mean_height), self.mean_height)
        satellite = g.orbit.position(g.time_of(g.centre[0]))
        sight = ground - satellite
        sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
        up = ground / np.linalg.norm(ground, axis=-1, keepdims=True)
        nadir = -satellite / np.linalg.norm(satellite)
        incidence = np.degrees(np.arccos(-(sight * up).sum(-1)))
        return Angles(incidence, np.degrees(np.arccos(sight @ nadir)))


def _ecef(longitude: Any, latitude: Any, height: float) -> Array:
    from pyproj import Transformer

    to_earth = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    lon, lat = np.asarray(longitude, float), np.asarray(latitude, float)
    return np.stack(to_earth.transform(lon, lat, np.full(lon.shape, height)), axis=-1)
