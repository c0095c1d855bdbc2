"""The parameters of a simulated scene: checked once, hashable, and written into its attributes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError

KINDS = ("sar", "optical")
ATTRIBUTE = "simulation"
TILE = 512
"""Edge of the tiles of a scene, pixels: the fixed lattice on which everything is computed."""

WEST, NORTH = 450_000.0, 3_120_000.0
"""Upper left corner of every scene, metres."""

RANGE_SINE = 515_000.0
"""R sin(incidence) of GF-3, metres (METHODS C.2)."""

Ramp = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Parameters:
    """Everything that determines a scene. Pixels and metres as in `simulate_pair`."""

    size: tuple[int, int]
    pixel: float
    kind: str
    seed: int
    relief: float
    days: float
    epsg: int
    looks: int
    coherence_rock: float
    coherence_ice: float
    noise_db: float
    deformation: Ramp
    baseline: float
    incidence: float
    outliers: float
    decorrelated: float
    patch_width: tuple[float, float]
    nodata_border: int
    glaciers: bool
    max_speed: float | None
    texture: float
    reference_time: str
    complex_images: bool

    @property
    def topographic_factor(self) -> float:
        """Pixels of offset along x per metre of elevation."""
        ground = math.sin(math.radians(self.incidence))
        return -self.baseline / (RANGE_SINE * ground * self.pixel)

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Parameters:
        """The parameters that `to_json` wrote."""
        found = json.loads(text)
        for name in ("size", "patch_width"):
            found[name] = tuple(found[name])
        found["deformation"] = tuple(tuple(terms) for terms in found["deformation"])
        return Parameters(**found)


def of_scene(scene: xr.Dataset) -> Parameters:
    """The parameters with which `scene` was simulated."""
    text = scene.attrs.get(ATTRIBUTE)
    if text is None:
        raise InputError(
            "the Dataset is no simulated scene (it lacks the attribute 'simulation'); "
            "make one with simulate_pair()."
        )
    return Parameters.from_json(text)


def relief_of(size: tuple[int, int], pixel: float) -> float:
    """Relief for which slopes stay those of real mountains: 1200 m over 6-12 km, 2500 over 25."""
    extent = max(size) * pixel
    return round(min(0.2 * extent, max(1200.0, 0.1 * extent), 4000.0), 1)


def require(fine: bool, name: str, value: object, wanted: str) -> None:
    """Raise `ParameterError` unless `fine`."""
    if not fine:
        raise ParameterError(f"simulate_pair: {name} is {value!r}, it must be {wanted}.")


@contextmanager
def _readable(name: str, value: object, wanted: str) -> Iterator[None]:
    """Turn the TypeError or ValueError of a conversion into a `ParameterError`."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(f"simulate_pair: {name} is {value!r}, it must be {wanted}.") from error


def number(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float between `low` and `high`."""
    wanted = f"a number from {low:g} to {high:g}"
    with _readable(name, value, wanted):
        found = float(value)
        require(math.isfinite(found) and low <= found <= high, name, value, wanted)
    return found


def whole(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an integer between `low` and `high`."""
    wanted = f"a whole number from {low} to {high}"
    with _readable(name, value, wanted):
        found = int(value)
        require(found == value and low <= found <= high, name, value, wanted)
    return found


def two(name: str, value: Any, wanted: str) -> tuple[Any, Any]:
    """`value` as two values; one value stands for both."""
    if isinstance(value, Mapping):
        require(set(value) == {"y", "x"}, name, value, wanted)
        return value["y"], value["x"]
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        require(len(value) == 2, name, value, wanted)
        return value[0], value[1]
    return value, value


def metric_crs(value: Any) -> int:
    """`value` as the EPSG code of a projected coordinate system in metres."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    code = whole("epsg", value, 1024, 32767)
    wanted = "the EPSG code of a projected coordinate system in metres, such as 32645"
    try:
        crs = CRS.from_epsg(code)
    except CRSError as error:
        raise ParameterError(f"simulate_pair: epsg is {value!r}, it must be {wanted}.") from error
    in_metres = all(axis.unit_name == "metre" for axis in crs.axis_info)
    require(crs.is_projected and in_metres, "epsg", value, wanted)
    return code


def moment(value: Any) -> str:
    """`value` as an ISO date and time."""
    wanted = "a date such as '2019-09-03T00:00'"
    with _readable("reference_time", value, wanted):
        found = np.datetime64(value, "s")
        require(not np.isnat(found), "reference_time", value, wanted)
    return str(found)


def ramp(value: Any, seed: int) -> Ramp:
    """Coefficients of the deformation, pixels: for x, then for y (positive north).

    A number is the largest absolute value that each component reaches in the scene; its
    coefficients are drawn from the seed.
    """
    wanted = "a number of pixels, or six coefficients (1, u, v, u2, uv, v2) for each of x and y"
    if isinstance(value, Mapping):
        require(set(value) == {"x", "y"}, "deformation", value, wanted)
        value = [value["x"], value["y"]]
    with _readable("deformation", value, wanted):
        given = np.asarray(value, dtype=float)
        require(given.shape in ((), (2, 6)), "deformation", value, wanted)
        require(bool(np.isfinite(given).all()), "deformation", value, wanted)
    if given.shape == ():
        require(0 <= float(given) <= 50, "deformation", value, "from 0 to 50 pixels")
        given = _drawn(float(given), seed)
    require(float(np.abs(given).sum(axis=1).max()) <= 200, "deformation", value, wanted)
    rows = [tuple(float(c) for c in row) for row in given]
    return rows[0], rows[1]


def _drawn(amplitude: float, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(np.random.SeedSequence((seed, 7)))
    terms = rng.normal(size=(2, 6)) * np.array([0.6, 1.0, 1.0, 0.7, 0.7, 0.7])
    u = np.linspace(-1, 1, 33)[None, :]
    v = np.linspace(-1, 1, 33)[:, None]
    basis = np.stack(np.broadcast_arrays(u * 0 + v * 0 + 1, u, v, u * u, u * v, v * v))
    peak = np.abs(np.tensordot(terms, basis, axes=1)).max(axis=(1, 2))
    return np.asarray(amplitude * terms / peak[:, None])
