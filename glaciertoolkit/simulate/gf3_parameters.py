"""The parameters of a simulated GF-3 pair: checked once, hashable, and written as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3_orbits import DIRECTIONS

LOOKS = ("right", "left")
POLARISATIONS = ("HH", "HV", "VH", "VV")
WAVELENGTH = 0.055517
CROSS_DB = -7.0
"""Backscatter of the cross-polarised channels against the co-polarised ones."""

LARGEST_RELIEF = 2500.0


class Mode(NamedTuple):
    """Sampling and bandwidth: range in MHz, azimuth in Hz."""

    range_rate: float
    prf: float
    range_bandwidth: float
    azimuth_bandwidth: float


MODES = {
    "FSI": Mode(66.666667, 2508.503906, 60.0, 1488.105656),
    "UFS": Mode(133.333333, 3896.090332, 120.0, 2476.973284),
    "FSII": Mode(33.333333, 1655.25, 30.0, 905.0),
    "QPSI": Mode(44.444444, 1801.5, 40.0, 1050.0),
}
"""FSI and UFS as in two real products, the others of the mode's nominal resolution."""


@dataclass(frozen=True)
class Gf3Parameters:
    """Everything that determines a pair, as in `simulate_gf3`."""

    size: tuple[int, int]
    mode: str
    direction: str
    look: str
    incidence: float
    baseline: float
    days: float
    reference_time: str
    relief: float | None
    coherence_rock: float
    coherence_ice: float
    noise_db: float
    misregistration: par.Ramp
    max_speed: float | None
    glaciers: bool
    polarisations: tuple[str, ...]
    texture: float
    nodata_border: int
    seed: int
    epsg: int
    orbit_error: float
    geolocation_bias: tuple[float, float]
    azimuth_streaks: float
    fringes: bool

    @property
    def sampling(self) -> Mode:
        """Sampling and bandwidth of the mode."""
        return MODES[self.mode]

    def generator(self, stream: int) -> np.random.Generator:
        """Random numbers of one purpose."""
        return np.random.default_rng(np.random.SeedSequence((self.seed, 50 + stream)))

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Gf3Parameters:
        """The parameters that `to_json` wrote."""
        found = json.loads(text)
        for name in ("size", "polarisations", "geolocation_bias"):
            found[name] = tuple(found[name])
        found["misregistration"] = tuple(tuple(terms) for terms in found["misregistration"])
        return Gf3Parameters(**found)


def checked(**given: Any) -> Gf3Parameters:
    """The parameters of `simulate_gf3`, each in its range."""
    with named():
        return _checked(given)


@contextmanager
def named() -> Iterator[None]:
    """Let the errors of the landscape's parameters speak of `simulate_gf3`."""
    try:
        yield
    except ParameterError as error:
        text = str(error).replace("simulate_pair", "simulate_gf3")
        raise ParameterError(text.replace("deformation", "misregistration")) from error


def _checked(given: Mapping[str, Any]) -> Gf3Parameters:
    size = par.two("size", given["size"], "one edge, or lines and samples")
    lines, samples = (par.whole("size", n, 128, 50_000) for n in size)
    for name, allowed in (("mode", tuple(MODES)), ("direction", DIRECTIONS), ("look", LOOKS)):
        par.require(given[name] in allowed, name, given[name], "one of " + ", ".join(allowed))
    seed = par.whole("seed", given["seed"], 0, 2**31)
    relief, speed, noise = given["relief"], given["max_speed"], given["noise_db"]
    bias = par.two("geolocation_bias", given["geolocation_bias"], "pixels, (lines, samples)")
    return Gf3Parameters(
        size=(lines, samples),
        mode=given["mode"],
        direction=given["direction"],
        look=given["look"],
        incidence=par.number("incidence", given["incidence"], 15, 60),
        baseline=par.number("baseline", given["baseline"], -10_000, 10_000),
        days=par.number("days", given["days"], 0.01, 10_000),
        reference_time=par.moment(given["reference_time"]),
        relief=None if relief is None else par.number("relief", relief, 0, 5000),
        coherence_rock=par.number("coherence_rock", given["coherence_rock"], 0, 1),
        coherence_ice=par.number("coherence_ice", given["coherence_ice"], 0, 1),
        noise_db=-math.inf if noise == -math.inf else par.number("noise_db", noise, -200, 20),
        misregistration=par.ramp(_as_xy(given["misregistration"]), seed),
        max_speed=None if speed is None else par.number("max_speed", speed, 0, 1000),
        glaciers=bool(given["glaciers"]),
        polarisations=_channels(given["polarisations"]),
        texture=par.number("texture", given["texture"], 0, 2),
        nodata_border=par.whole(
            "nodata_border", given["nodata_border"], 0, min(lines, samples) // 2 - 1
        ),
        seed=seed,
        epsg=par.metric_crs(given["epsg"]),
        orbit_error=par.number("orbit_error", given["orbit_error"], 0, 1000),
        geolocation_bias=(
            par.number("geolocation_bias", bias[0], -500, 500),
            par.number("geolocation_bias", bias[1], -500, 500),
        ),
        azimuth_streaks=par.number("azimuth_streaks", given["azimuth_streaks"], 0, 50),
        fringes=bool(given["fringes"]),
    )


def _as_xy(value: Any) -> Any:
    """Coefficients for "range" and "azimuth" as those for "x" and "y"."""
    if isinstance(value, Mapping) and set(value) == {"range", "azimuth"}:
        return {"x": value["range"], "y": value["azimuth"]}
    return value


def _channels(value: Any) -> tuple[str, ...]:
    wanted = "one or more of " + ", ".join(POLARISATIONS)
    found = (value,) if isinstance(value, str) else value
    known = isinstance(found, Sequence) and bool(found) and all(c in POLARISATIONS for c in found)
    par.require(known and len(set(found)) == len(found), "polarisations", value, wanted)
    return tuple(found)
