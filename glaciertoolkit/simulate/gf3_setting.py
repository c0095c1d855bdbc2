"""Where a simulated GF-3 pair lies, and how it was taken: the landscape below it and two passes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.sar.baselines import baseline, heading
from glaciertoolkit.sar.geocoding import ground_to_image
from glaciertoolkit.sar.geometry import SPEED_OF_LIGHT, RadarGeometry
from glaciertoolkit.sar.orbits import fit_orbit
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3_orbits import (
    Passage,
    StateVectors,
    displaced,
    ecef,
    passage_over,
)
from glaciertoolkit.simulate.gf3_parameters import (
    LARGEST_RELIEF,
    WAVELENGTH,
    Gf3Parameters,
    named,
)
from glaciertoolkit.simulate.model import Model, model_of

Float64 = NDArray[np.float64]

PIXEL = 10.0
"""Metres: the unit of the landscape's pixel coordinates."""

MARGIN = 5300.0
"""Metres of landscape beyond what the images show at any height."""

ROAM = 1500.0
"""Metres within which a small scene looks for a place with both ice and rock."""

ICE_SHARE = 0.4
GROUND_SPEED = 6760.0
"""Metres per second, for the size of the landscape only."""

TIMING, ORBIT, ERROR = range(3)
"""Streams of random numbers."""


class Pass(NamedTuple):
    """How one image was taken: as its header says, and in truth."""

    header: RadarGeometry
    true: RadarGeometry
    vectors: StateVectors


@dataclass(frozen=True)
class Setting:
    """The landscape (in `PIXEL` metres on the map), the middle of the scene, and both passes.

    `centre` holds longitude, latitude (degrees) and ellipsoidal height (m).
    """

    landscape: par.Parameters
    centre: tuple[float, float, float]
    reference: Pass
    secondary: Pass


_settings: dict[Gf3Parameters, Setting] = {}
_lock = threading.Lock()


def setting_of(p: Gf3Parameters) -> Setting:
    """The setting of a pair: made once in each process, the last few are kept."""
    with _lock:
        if p not in _settings:
            while len(_settings) >= 8:
                _settings.pop(next(iter(_settings)))
            with named():
                _settings[p] = _build(p)
        return _settings[p]


@lru_cache
def _transformers(crs: int | str, thread: int) -> tuple[Any, Any]:  # noqa: ARG001 (one for each thread)
    from pyproj import Transformer

    there = Transformer.from_crs(crs, 4326, always_xy=True)
    return there, Transformer.from_crs(4326, crs, always_xy=True)


def to_geographic(crs: int | str, x: Any, y: Any) -> tuple[Any, Any]:
    """Map coordinates as longitude and latitude, degrees."""
    lon, lat = _transformers(crs, threading.get_ident())[0].transform(x, y)
    return lon, lat


def to_map(crs: int | str, longitude: Any, latitude: Any) -> tuple[Any, Any]:
    """Longitude and latitude (degrees) as map coordinates."""
    x, y = _transformers(crs, threading.get_ident())[1].transform(longitude, latitude)
    return x, y


def _build(p: Gf3Parameters) -> Setting:
    half = _footprint(p)
    landscape = _landscape(p, half)
    model = model_of(landscape)
    x, y, height = _place(p, model, half)
    lon, lat = to_geographic(p.epsg, x, y)
    centre = (float(lon), float(lat), height)
    orbit = passage_over(
        *centre, direction=p.direction, look=p.look, incidence=p.incidence
    )  # fmt: skip
    first = _reference(p, orbit, centre)
    return Setting(landscape, centre, first, _secondary(p, orbit, centre, first.header))


def _shift(p: Gf3Parameters) -> tuple[float, float]:
    """Most lines and samples by which the two images are apart."""
    return min(0.06 * p.size[0], 400.0), min(0.03 * p.size[1], 120.0)


def _footprint(p: Gf3Parameters) -> tuple[float, float]:
    """Half the width and height on the map of what both images show, at any height (m)."""
    mode, apart = p.sampling, _shift(p)
    pad = 96.0  # pixels: misregistration, motion and the tails of the point-spread function
    theta = np.radians(p.incidence)
    along = (p.size[0] / 2 + apart[0] + pad) * GROUND_SPEED / mode.prf
    slant = (p.size[1] / 2 + apart[1] + pad) * SPEED_OF_LIGHT / (2e6 * mode.range_rate)
    relief = LARGEST_RELIEF if p.relief is None else p.relief
    across = slant / np.sin(theta) + 0.5 * relief / np.tan(theta)
    corner = (par.WEST, par.NORTH)
    lon, lat = to_geographic(p.epsg, *corner)
    orbit = passage_over(
        lon, lat, 4500.0, direction=p.direction, look=p.look, incidence=p.incidence
    )  # fmt: skip
    header = _reference(p, orbit, (lon, lat, 4500.0)).header
    b = np.radians(float(heading(header, lon, lat, 4500.0)))
    return (
        float(along * abs(np.sin(b)) + across * abs(np.cos(b))),
        float(along * abs(np.cos(b)) + across * abs(np.sin(b))),
    )


def _roam(half: tuple[float, float]) -> float:
    return ROAM if max(half) < 6000 else 0.0


def _landscape(p: Gf3Parameters, half: tuple[float, float]) -> par.Parameters:
    """Parameters of terrain and ice around the scene."""
    columns, rows = (int(np.ceil(2 * (h + MARGIN + _roam(half)) / PIXEL)) for h in half)
    size = (rows, columns)
    relief = min(par.relief_of(size, PIXEL), LARGEST_RELIEF) if p.relief is None else p.relief
    still = (0.0,) * 6
    return par.Parameters(
        size=size,
        pixel=PIXEL,
        kind="sar",
        seed=p.seed,
        relief=relief,
        days=p.days,
        epsg=p.epsg,
        looks=1,
        coherence_rock=p.coherence_rock,
        coherence_ice=p.coherence_ice,
        noise_db=p.noise_db,
        deformation=(still, still),
        baseline=0.0,
        incidence=p.incidence,
        outliers=0.0,
        decorrelated=0.0,
        patch_width=(40.0, 100.0),
        nodata_border=0,
        glaciers=p.glaciers,
        max_speed=p.max_speed,
        texture=p.texture,
        reference_time=p.reference_time,
        complex_images=True,
    )


def _place(p: Gf3Parameters, model: Model, half: tuple[float, float]) -> tuple[float, float, float]:
    """Map coordinates and mean height of the middle of the scene.

    A small scene is moved to where the share of ice is nearest to `ICE_SHARE`.
    """
    rows, columns = model.parameters.size
    step = 10
    ys, xs = np.arange(0.0, rows, step), np.arange(0.0, columns, step)
    height = model.field(model.elevation, ys, xs)
    ice = model.field(model.level_set, ys, xs) > 0
    roam = int(_roam(half) / PIXEL / step) if p.glaciers and ice.any() else 0
    best, found = np.inf, (0, 0, 0.0)
    # What is seen, without the room for heights.
    fore = 0.5 * (LARGEST_RELIEF if p.relief is None else p.relief)
    width, length = (max(h - fore, 0.4 * h) / PIXEL / step for h in half)
    for i in range(-roam, roam + 1, 3):
        for j in range(-roam, roam + 1, 3):
            y, x = ys.size // 2 + i, xs.size // 2 + j
            part = (
                slice(int(y - length), int(y + length) + 1),
                slice(int(x - width), int(x + width) + 1),
            )
            away = abs(float(ice[part].mean()) - ICE_SHARE) + 1e-6 * (i * i + j * j)
            if away < best:
                best, found = away, (y, x, float(height[part].mean()))
    return (
        float(par.WEST + (xs[found[1]] + 0.5) * PIXEL),
        float(par.NORTH - (ys[found[0]] + 0.5) * PIXEL),
        round(found[2], 2),
    )


def _reference(p: Gf3Parameters, orbit: Passage, centre: tuple[float, float, float]) -> Pass:
    start = np.datetime64(p.reference_time, "us")
    return _pass(p, orbit, orbit, centre, start, p.sampling.prf, p.size, (0.0, 0.0))


def _secondary(
    p: Gf3Parameters, first: Passage, centre: tuple[float, float, float], reference: RadarGeometry
) -> Pass:
    """The second pass: beside the first, with a timing of its own."""
    rng = p.generator(TIMING)
    apart = rng.uniform(0.5, 1.0, 2) * rng.choice([-1.0, 1.0], 2) * _shift(p)
    prf = round(p.sampling.prf * (1 + 1e-3 * float(rng.uniform(-1, 1))), 6)
    size = (p.size[0] + 16, p.size[1])
    later = round(p.days * 86_400e6) + round(2e6 * float(rng.uniform(-1, 1)))
    start = np.datetime64(p.reference_time, "us") + np.timedelta64(later, "us")
    rng = p.generator(ORBIT)
    parallel = float(rng.uniform(-0.15, 0.15)) * p.baseline
    convergence = float(rng.uniform(0.3, 1.2) * rng.choice([-1.0, 1.0])) * 1e-4
    across = p.baseline
    for _ in range(3):
        orbit = displaced(
            first, ecef(*centre), perpendicular=across, parallel=parallel, convergence=convergence
        )  # fmt: skip
        found = _pass(p, orbit, orbit, centre, start, prf, size, tuple(apart))
        lon, lat, h = centre
        seen = baseline(reference, found.header, longitude=lon, latitude=lat, height=h)
        across += p.baseline - float(seen.perpendicular)
    angle = float(p.generator(ERROR).uniform(0, 2 * np.pi))
    wrong = replace(
        orbit,
        radial=orbit.radial + p.orbit_error * np.cos(angle),
        cross=orbit.cross + p.orbit_error * np.sin(angle),
    )
    return _pass(p, orbit, wrong, centre, start, prf, size, tuple(apart))


def _pass(
    p: Gf3Parameters, orbit: Passage, written: Passage, centre: tuple[float, float, float],
    start: np.datetime64, prf: float, size: tuple[int, int], apart: tuple[float, ...],
) -> Pass:  # fmt: skip
    """An image whose middle is `apart` lines and samples from where it shows the centre.

    It is taken from `orbit`, about `start`; its header gives the state vectors of `written`.
    """
    duration = (size[0] - 1) / prf
    middle = start + np.timedelta64(round(duration / 2 * 1e6), "us")
    target = ecef(*centre)
    place, speed = orbit.position(0.0), orbit.velocity(0.0)
    spacing = SPEED_OF_LIGHT / (2e6 * p.sampling.range_rate)
    # The speed of the point below the satellite, as the products give it.
    ground = round(float(np.linalg.norm(speed) * np.linalg.norm(target) / np.linalg.norm(place)), 6)
    near = float(np.linalg.norm(target - place)) - (size[1] - 1) / 2 * spacing
    geometries = []
    for _ in range(2):
        geometries = [
            RadarGeometry(
                orbit=fit_orbit(
                    *o.state_vectors(middle, duration), epoch=start, duration=duration
                ),
                first_line=0.0,
                line_interval=1 / prf,
                near_range=near,
                range_spacing=spacing,
                azimuth_spacing=ground / prf,
                lines=size[0],
                samples=size[1],
                look=p.look,
                wavelength=WAVELENGTH,
            )
            for o in (orbit, written)
        ]  # fmt: skip
        line, sample = ground_to_image(geometries[0], *centre)
        # Times have microseconds and ranges millimetres in the files.
        lines = float(line) - ((size[0] - 1) / 2 + apart[0])
        start = start + np.timedelta64(round(lines / prf * 1e6), "us")
        near = round(near + (float(sample) - ((size[1] - 1) / 2 + apart[1])) * spacing, 3)
    true = replace(geometries[0], bias=p.geolocation_bias)
    return Pass(geometries[1], true, written.state_vectors(middle, duration))
