"""What a simulated GF-3 pair shows, pixel by pixel: ground, motion, brightness, coherence.

Everything is kept on the nodes of a lattice of the reference image, some ten metres apart, and is
smooth between them. The tiles of both images and the truth are made from the same numbers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.sar.geocoding import (
    DemGrid,
    ground_to_image,
    image_to_ground,
    image_to_terrain,
    sensitivities,
)
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3_orbits import FLATTENING, SEMI_MAJOR
from glaciertoolkit.simulate.gf3_parameters import WAVELENGTH, Gf3Parameters
from glaciertoolkit.simulate.gf3_setting import PIXEL, Setting, setting_of, to_geographic, to_map
from glaciertoolkit.simulate.model import Model, model_of

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

TERRAIN_STEP = 12.0
"""Metres between the heights from which the images are made."""

NODE = 20.0
"""Metres of azimuth between the nodes; half of it in slant range."""

PAD = 48
"""Pixels of the lattice around what both images show."""

ROCK_DB, ICE_DB = -6.0, -9.0
"""Backscatter sigma0 of flat ground, co-polarised."""

LARGEST_GAIN = 0.08
"""Least sine between the ground and the line of sight across it: where layover begins."""

STREAKS = 4
"""Stream of random numbers."""


@dataclass(frozen=True)
class Gf3Model:
    """Fields on the nodes: node (i, j) lies at line ``lattice[0] + i lattice[2]``, and so on.

    Parameters
    ----------
    lattice : tuple of float
        First line, first sample, lines and samples from node to node.
    line_offset, sample_offset : ndarray
        Line and sample in the secondary less those in the reference: all causes.
    ice_line, ice_sample : ndarray
        Part of it that is due to the motion of the ice.
    east, north, up : ndarray
        Motion of the ice, metres on the ground (true east and north).
    ice : ndarray
        1 on ice, 0 on rock.
    height : ndarray
        Metres above the ellipsoid.
    delay : ndarray
        Slant range in the secondary less that in the reference, metres, without the ice's motion.
    log_amplitude : ndarray
        Natural logarithm of the co-polarised amplitude, without texture; -inf in shadow.
    gamma : ndarray
        Coherence of the scatterers.
    """

    parameters: Gf3Parameters
    lattice: tuple[float, float, float, float]
    line_offset: Float64
    sample_offset: Float64
    ice_line: Float64
    ice_sample: Float64
    east: Float64
    north: Float64
    up: Float64
    ice: Float64
    height: Float64
    delay: Float64
    log_amplitude: Float32
    gamma: Float32

    def on_grid(self, field: NDArray[Any], lines: Float64, samples: Float64) -> Float64:
        """A field at `lines` x `samples` of the reference."""
        from glaciertoolkit.simulate import gf3_kernels

        out = np.empty((lines.size, samples.size))
        gf3_kernels.lattice_grid(field, *self.nodes(lines, samples), out)
        return out

    def at_points(self, field: NDArray[Any], line: Any, sample: Any) -> Float64:
        """A field at points of the reference."""
        from glaciertoolkit.simulate import gf3_kernels

        lines, samples = np.broadcast_arrays(np.asarray(line, float), np.asarray(sample, float))
        out = np.empty(lines.size)
        gf3_kernels.lattice_points(field, *self.nodes(lines.ravel(), samples.ravel()), out)
        return out.reshape(lines.shape)

    def nodes(self, lines: Float64, samples: Float64) -> tuple[Float64, Float64]:
        """Lines and samples counted in nodes."""
        line0, sample0, line_step, sample_step = self.lattice
        return (lines - line0) / line_step, (samples - sample0) / sample_step


_models: dict[Gf3Parameters, Gf3Model] = {}
_lock = threading.Lock()


def gf3_model_of(p: Gf3Parameters) -> Gf3Model:
    """The model of a pair: built once in each process, the last few are kept."""
    with _lock:
        if p not in _models:
            while len(_models) >= 3:
                _models.pop(next(iter(_models)))
            _models[p] = _build(p)
        return _models[p]


def _build(p: Gf3Parameters) -> Gf3Model:
    setting = setting_of(p)
    ground = model_of(setting.landscape)
    lattice, lines, samples = _lattice(setting)
    shape = (lines.size, samples.size)
    fields = {
        name: np.empty(shape)
        for name in (
            "line_offset", "sample_offset", "ice_line", "ice_sample", "east", "north", "up", "ice",
            "height", "delay",
        )
    }  # fmt: skip
    log_amplitude = np.empty(shape, np.float32)
    terrain = _terrain(ground)
    strip = max(1, (1 << 18) // samples.size)
    for first in range(0, lines.size, strip):
        part = slice(first, first + strip)
        line, sample = (a.ravel() for a in np.meshgrid(lines[part], samples, indexing="ij"))
        found = _nodes(p, setting, ground, terrain, line, sample)
        count = lines[part].size
        log_amplitude[part] = found.pop("log_amplitude").reshape(count, -1)
        for name, values in found.items():
            fields[name][part] = values.reshape(count, -1)
    gamma = _coherence(p, fields["delay"], fields["ice"], lattice)
    return Gf3Model(p, lattice, **fields, log_amplitude=log_amplitude, gamma=gamma)


def _lattice(setting: Setting) -> tuple[tuple[float, float, float, float], Float64, Float64]:
    """Lattice over what both images show, in the pixels of the reference."""
    first, second = setting.reference.true, setting.secondary.true
    step = (
        max(2, round(NODE / first.azimuth_spacing)),
        max(2, round(0.5 * NODE / first.range_spacing)),
    )
    edges = [(0.0, 0.0), (first.lines - 1.0, first.samples - 1.0)]
    heights = setting.centre[2] + 0.5 * setting.landscape.relief * np.array([-1.0, 1.0])
    corner = (
        np.array([0.0, second.lines - 1.0])[:, None, None],
        np.array([0.0, second.samples - 1.0])[:, None],
        heights,
    )
    lon, lat = image_to_ground(second, *corner)
    seen = ground_to_image(first, lon, lat, np.broadcast_to(heights, lon.shape))
    edges += [(seen[0].min(), seen[1].min()), (seen[0].max(), seen[1].max())]
    low, high = np.min(edges, axis=0) - PAD, np.max(edges, axis=0) + PAD
    count = np.ceil((high - low) / step).astype(int) + 1
    origin = np.floor(low)
    lattice = (float(origin[0]), float(origin[1]), float(step[0]), float(step[1]))
    lines, samples = (origin[k] + step[k] * np.arange(count[k], dtype=float) for k in (0, 1))
    return lattice, lines, samples


def _terrain(ground: Model) -> DemGrid:
    """The landscape on longitudes and latitudes."""
    from scipy.interpolate import RectBivariateSpline

    from glaciertoolkit.simulate import gf3_kernels

    p = ground.parameters
    part = np.linspace(0, 1, 9) * PIXEL
    x, y = np.meshgrid(par.WEST + part * p.size[1], par.NORTH - part * p.size[0])
    lon, lat = to_geographic(p.epsg, x, y)
    dlat = TERRAIN_STEP / 111_000
    dlon = dlat / np.cos(np.radians(lat.mean()))
    longitude = np.arange(lon.min(), lon.max(), dlon)
    latitude = np.arange(lat.min(), lat.max(), dlat)
    # The map coordinates bend by millimetres between the nodes of a coarse grid.
    v, u = (np.linspace(axis[0], axis[-1], 17) for axis in (latitude, longitude))
    east, north = (RectBivariateSpline(v, u, place) for place in to_map(p.epsg, *np.meshgrid(u, v)))
    height = np.empty((latitude.size, longitude.size), np.float32)
    line = np.empty(longitude.size)
    for i, here in enumerate(latitude):
        rows, columns = _pixels(north(here, longitude)[0], east(here, longitude)[0])
        gf3_kernels.elevation_points(ground.grid.index, ground.elevation, rows, columns, line)
        height[i] = line
    return DemGrid(height, float(longitude[0]), dlon, float(latitude[0]), dlat)


def _pixels(y: Float64, x: Float64) -> tuple[Float64, Float64]:
    """Map coordinates as rows and columns of the landscape."""
    return (par.NORTH - y) / PIXEL - 0.5, (x - par.WEST) / PIXEL - 0.5


def _nodes(
    p: Gf3Parameters, setting: Setting, ground: Model, terrain: DemGrid, line: Float64,
    sample: Float64,
) -> dict[str, Any]:  # fmt: skip
    """All fields at some nodes but the coherence."""
    from glaciertoolkit.simulate import gf3_kernels

    first, second = setting.reference.true, setting.secondary.true
    lon, lat, height = image_to_terrain(first, line, sample, terrain)
    x, y = to_map(p.epsg, lon, lat)
    rows, columns = _pixels(y, x)
    slope_y, slope_x, level, move_y, move_x = np.empty((5, line.size))
    gf3_kernels.landscape_points(
        ground.grid.index, ground.elevation, ground.motion, rows, columns,
        slope_y, slope_x, level, move_y, move_x,
    )  # fmt: skip
    # From pixels to metres; rows count southwards.
    slope_x, slope_y = slope_x / PIXEL, -slope_y / PIXEL
    move_x, move_y = move_x * PIXEL, -move_y * PIXEL
    up = move_x * slope_x + move_y * slope_y
    still_line, still_sample = ground_to_image(second, lon, lat, height)
    ice_line, ice_sample, east, north = np.zeros((4, line.size))
    moving = np.flatnonzero((move_x != 0) | (move_y != 0))
    if moving.size:
        there = to_geographic(p.epsg, x[moving] + move_x[moving], y[moving] + move_y[moving])
        seen = ground_to_image(second, *there, height[moving] + up[moving])
        ice_line[moving] = seen[0] - still_line[moving]
        ice_sample[moving] = seen[1] - still_sample[moving]
        east[moving], north[moving] = _metres(lon[moving], lat[moving], height[moving], *there)
    wrong_line, wrong_sample = misregistration(p, line, sample)
    return {
        "line_offset": still_line - line + ice_line + wrong_line,
        "sample_offset": still_sample - sample + ice_sample + wrong_sample,
        "ice_line": ice_line, "ice_sample": ice_sample, "east": east, "north": north, "up": up,
        "ice": (level > 0).astype(float), "height": height,
        "delay": second.range_of(still_sample) - first.range_of(sample),
        "log_amplitude": _brightness(setting, lon, lat, height, slope_x, slope_y, level),
    }  # fmt: skip


def misregistration(p: Gf3Parameters, line: Any, sample: Any) -> tuple[Any, Any]:
    """Lines and samples by which the secondary is off for reasons other than geometry.

    The order-2 polynomials, and the streaks of the ionosphere along azimuth.
    """
    from glaciertoolkit.simulate import kernels

    lines, samples = p.size
    u = (2.0 * sample - (samples - 1.0)) / samples
    v = (2.0 * line - (lines - 1.0)) / lines
    terms = np.array(p.misregistration)
    across, along = (kernels.polynomial(t, u, v) for t in terms)
    if p.azimuth_streaks:
        rng = p.generator(STREAKS)
        # Bands some kilometres long, slightly oblique, two to six a scene of 2048 lines.
        waves = rng.uniform(1 / 1200, 1 / 300, 8), rng.uniform(0, 2 * np.pi, 8)
        tilt = float(rng.uniform(-0.15, 0.15))
        bands = sum(
            np.cos(2 * np.pi * f * (line + tilt * sample) + phase)
            for f, phase in zip(*waves, strict=True)
        )
        along = along + p.azimuth_streaks * bands / 2.0 * (1 + 0.2 * u)
    return along, across


def _metres(
    lon: Float64, lat: Float64, height: Float64, to_lon: Float64, to_lat: Float64
) -> tuple[Float64, Float64]:
    """Metres to the true east and north between points close to each other."""
    e2 = FLATTENING * (2 - FLATTENING)
    sine = np.sin(np.radians(lat))
    across = SEMI_MAJOR / np.sqrt(1 - e2 * sine**2)
    along = across * (1 - e2) / (1 - e2 * sine**2)
    east = np.radians(to_lon - lon) * (across + height) * np.cos(np.radians(0.5 * (lat + to_lat)))
    return east, np.radians(to_lat - lat) * (along + height)


def _brightness(
    setting: Setting, lon: Float64, lat: Float64, height: Float64, slope_x: Float64,
    slope_y: Float64, level: Float64,
) -> Float32:  # fmt: skip
    """Log amplitude: scattering by the local incidence, and how much ground a pixel holds."""
    sight, track = sensitivities(setting.reference.true, lon, lat, height)
    track /= np.linalg.norm(track, axis=0)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)])
    normal /= np.linalg.norm(normal, axis=0)
    facing = -(sight * normal).sum(axis=0)
    # The image is a projection onto the plane of range and azimuth.
    plane = np.cross(sight, track, axis=0)
    seen = np.maximum(np.abs((plane * normal).sum(axis=0)), LARGEST_GAIN)
    flat = np.abs(plane[2]) / np.maximum(-sight[2], 1e-3)
    decibels = ROCK_DB + (ICE_DB - ROCK_DB) * (0.5 + 0.5 * np.tanh(level / 1.5))
    with np.errstate(divide="ignore"):
        log = 0.5 * np.log(np.maximum(facing, 0.0) / seen * flat)
    # Shadow: far below the noise, but finite for the interpolation.
    return np.asarray(np.maximum(log, -8.0) + decibels / 20 * np.log(10), np.float32)


def _coherence(
    p: Gf3Parameters, delay: Float64, ice: Float64, lattice: tuple[float, ...]
) -> Float32:
    """Coherence of the scatterers so that that of the images is what was asked for.

    The images take the spectrum of the ground from places that the fringe rate shifts apart: of
    the bandwidth only ``1 - |rate| / bandwidth`` is common (Gatelli et al. 1994).
    """
    wanted = np.where(ice > 0.5, p.coherence_ice, p.coherence_rock)
    if not p.fringes:
        return wanted.astype(np.float32)
    mode = p.sampling
    common = np.ones_like(delay)
    for axis, used in (
        (0, mode.azimuth_bandwidth / mode.prf), (1, mode.range_bandwidth / mode.range_rate)
    ):  # fmt: skip
        rate = 2 / WAVELENGTH * np.gradient(delay, lattice[2 + axis], axis=axis)
        common *= np.maximum(1 - np.abs(rate) / used, 0.0)
    found = np.minimum(wanted / np.maximum(common, 1e-3), 1.0)
    return np.asarray(np.where(common > 0, found, 0.0), np.float32)
