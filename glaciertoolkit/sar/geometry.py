"""How a radar image was taken: the timing of its lines and samples, and the orbit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import RADAR_GEOMETRY
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.sar.orbits import Orbit

Array = npt.NDArray[np.float64]

SPEED_OF_LIGHT = 299_792_458.0
LOOKS = ("right", "left")
GEOMETRIES = dict(zip(("reference", "secondary"), RADAR_GEOMETRY, strict=True))
"""Attributes of a pair in radar geometry that hold the geometry of each image, as JSON."""

SINGLE = "geometry"
"""Attribute of a single image in radar geometry."""


@dataclass(frozen=True)
class RadarGeometry:
    """The timing of one image and the orbit it was taken from.

    Line i was taken at ``first_line + i * line_interval`` seconds after the orbit's epoch, sample
    j lies at the slant range ``near_range + j * range_spacing``; both count pixel centres from 0.

    Parameters
    ----------
    orbit : Orbit
    first_line, line_interval : float
        Seconds.
    near_range, range_spacing : float
        Metres of slant range.
    azimuth_spacing : float
        Metres on the ground from line to line.
    lines, samples : int
        Size of the image.
    look : {"right", "left"}
    wavelength : float
        Metres.
    doppler : tuple of float
        Empty for an image in zero-Doppler geometry; else the reference range (m) and the
        ascending coefficients (Hz, Hz/m, ...) of the Doppler centroid.
    bias : tuple of float
        Lines and samples by which the image lies later and farther than orbit and timing say.
    """

    orbit: Orbit
    first_line: float
    line_interval: float
    near_range: float
    range_spacing: float
    azimuth_spacing: float
    lines: int
    samples: int
    look: str
    wavelength: float
    doppler: tuple[float, ...] = ()
    bias: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.look not in LOOKS:
            raise ParameterError(f"look must be 'right' or 'left'; got {self.look!r}.")
        for name in ("line_interval", "range_spacing", "azimuth_spacing", "near_range"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ParameterError(f"{name} must be positive; got {value!r}.")

    @property
    def side(self) -> float:
        """1 for a right-looking, -1 for a left-looking radar."""
        return 1.0 if self.look == "right" else -1.0

    @property
    def duration(self) -> float:
        """Seconds from the first to the last line."""
        return (self.lines - 1) * self.line_interval

    @property
    def far_range(self) -> float:
        """Slant range of the last sample, metres."""
        return self.near_range + (self.samples - 1) * self.range_spacing

    @property
    def centre(self) -> tuple[float, float]:
        """Line and sample of the middle of the image."""
        return (self.lines - 1) / 2, (self.samples - 1) / 2

    @property
    def start(self) -> np.datetime64:
        """Time of the first line, UTC."""
        nanoseconds = round(self.first_line * 1e9)
        return self.orbit.epoch + np.timedelta64(nanoseconds, "ns")

    @property
    def mid_time(self) -> np.datetime64:
        """Time of the middle of the image, UTC, to the microsecond: files would round it."""
        return self.start + np.timedelta64(round(self.duration / 2 * 1e6) * 1000, "ns")

    @property
    def doppler_table(self) -> Array:
        """Reference range and coefficients for the kernels; one entry for zero Doppler."""
        return np.array(self.doppler if len(self.doppler) > 1 else (0.0,), np.float64)

    def time_of(self, line: npt.ArrayLike) -> Array:
        """Seconds after the orbit's epoch at which what is seen on `line` was nearest."""
        return self.first_line + (np.asarray(line, float) - self.bias[0]) * self.line_interval

    def range_of(self, sample: npt.ArrayLike) -> Array:
        """Slant range (m) of what is seen on `sample`."""
        return self.near_range + (np.asarray(sample, float) - self.bias[1]) * self.range_spacing

    def line_of(self, time: npt.ArrayLike) -> Array:
        """Line on which a zero-Doppler time (s after the orbit's epoch) is seen."""
        return (np.asarray(time, float) - self.first_line) / self.line_interval + self.bias[0]

    def sample_of(self, slant: npt.ArrayLike) -> Array:
        """Sample on which a slant range (m) is seen."""
        return (np.asarray(slant, float) - self.near_range) / self.range_spacing + self.bias[1]

    @property
    def y(self) -> Array:
        """Azimuth of the lines: metres along flight from the first line."""
        return np.asarray(np.arange(self.lines) * self.azimuth_spacing, np.float64)

    @property
    def x(self) -> Array:
        """Slant range of the samples, metres."""
        return np.asarray(
            self.near_range + np.arange(self.samples) * self.range_spacing, np.float64
        )

    def pixel_of(self, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[Array, Array]:
        """Line and sample of an azimuth and a slant range as in `y` and `x` (metres)."""
        line = np.asarray(y, float) / self.azimuth_spacing
        return line, (np.asarray(x, float) - self.near_range) / self.range_spacing

    def shifted(self, *, lines: int, samples: int) -> RadarGeometry:
        """The same image with line `lines` and sample `samples` counted as the first."""
        return replace(
            self,
            first_line=self.first_line + lines * self.line_interval,
            near_range=self.near_range + samples * self.range_spacing,
            lines=self.lines - lines,
            samples=self.samples - samples,
        )

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        found: dict[str, Any] = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "orbit"
        }
        return json.dumps({**found, "orbit": self.orbit.to_dict()})

    @classmethod
    def from_json(cls, text: str) -> RadarGeometry:
        """The geometry that `to_json` wrote."""
        found = json.loads(text)
        found["orbit"] = Orbit.from_dict(found["orbit"])
        for name in ("doppler", "bias"):
            found[name] = tuple(found[name])
        return cls(**found)


class RadarPair(NamedTuple):
    """The geometries of both images, their pixels counted alike."""

    reference: RadarGeometry
    secondary: RadarGeometry


def is_radar(ds: xr.Dataset | xr.DataArray) -> bool:
    """Whether the grid of `ds` is slant range and azimuth, not a map."""
    return GEOMETRIES["reference"] in ds.attrs or SINGLE in ds.attrs


def geometry_of(ds: xr.Dataset | xr.DataArray, role: str = "reference") -> RadarGeometry:
    """The geometry of one image of a Dataset in radar geometry.

    Raises
    ------
    InputError
        If the Dataset is not in radar geometry.
    """
    text = ds.attrs.get(GEOMETRIES[role], ds.attrs.get(SINGLE) if role == "reference" else None)
    if text is None:
        raise InputError(
            "the Dataset is not in radar geometry (it lacks the attribute "
            f"'{GEOMETRIES[role]}'); open two products with open_pair()."
        )
    return RadarGeometry.from_json(str(text))


def geometries_of(ds: xr.Dataset) -> RadarPair:
    """Both geometries of a Dataset in radar geometry.

    Raises
    ------
    InputError
        If the Dataset is not in radar geometry.
    """
    return RadarPair(geometry_of(ds, "reference"), geometry_of(ds, "secondary"))
