"""Tiles of the two single-look complex images: scatterers through a point-spread function."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate.gf3_model import Gf3Model, gf3_model_of
from glaciertoolkit.simulate.gf3_parameters import (
    CROSS_DB,
    POLARISATIONS,
    WAVELENGTH,
    Gf3Parameters,
)
from glaciertoolkit.simulate.noise import Region, normals

Complex64 = NDArray[np.complex64]
Float64 = NDArray[np.float64]

SHARED, ALONE, TEXTURE = 110, 111, 113
"""Streams of random numbers: what both images share, what each has alone (two), texture."""

GRAIN = 30.0
"""Correlation length of the backscatter's texture, metres on the ground."""

OCTAVES = ((0.6, 0.6), (1.0, 1.0), (1.7, 0.6), (7.3, 0.5))
"""Spacing against that of `GRAIN`, and weight, of each scale of the texture."""

SPLINE_NORM = np.float32(0.4793)
"""Mean over a cell of the sum of the squared weights of one axis of a cubic B-spline."""

HALF = 8.0
"""Half the length of the point-spread function, pixels."""

ENTRIES = 512


def tile(p: Gf3Parameters, image: int, channel: int, part: Region) -> Complex64:
    """A part of the reference (0) or the secondary (1); its mean square is sigma0."""
    model = gf3_model_of(p)
    out = _reference(model, channel, part) if image == 0 else _secondary(model, channel, part)
    return _without_border(p, part, image, out)


def _without_border(p: Gf3Parameters, part: Region, image: int, out: Complex64) -> Complex64:
    from glaciertoolkit.simulate.gf3_setting import setting_of

    if p.nodata_border:
        setting = setting_of(p)
        header = (setting.reference, setting.secondary)[image].header
        for axis, size in enumerate((header.lines, header.samples)):
            place = part[axis] + np.arange(part[2 + axis])
            outside = (place < p.nodata_border) | (place >= size - p.nodata_border)
            out[outside if axis == 0 else (slice(None), outside)] = 0
    return out


def _reference(model: Gf3Model, channel: int, part: Region) -> Complex64:
    """The regular case: a separable filter."""
    from glaciertoolkit.simulate import gf3_kernels, kernels

    line, sample, lines, samples = part
    reach = int(HALF)
    region = (line - reach + 1, sample - reach, lines + 2 * reach, samples + 2 * reach)
    seen = _scatterers(model, 0, channel, region).view(np.complex64)
    line_table, sample_table = tables(model.parameters)
    taps = np.broadcast_to(line_table[0], (lines, gf3_kernels.LINE_TAPS))
    half = np.empty((lines, seen.shape[1]), np.complex64)
    kernels.filter_rows(seen, taps, np.arange(lines), half)
    taps = np.broadcast_to(sample_table[0], (samples, gf3_kernels.SAMPLE_TAPS))
    starts = 2 * (np.arange(samples) + reach) - (gf3_kernels.SAMPLE_TAPS // 2 - 1)
    out = np.empty((samples, lines), np.complex64)
    kernels.filter_rows(np.ascontiguousarray(half.T), taps, starts, out)
    return np.ascontiguousarray(out.T)


def _secondary(model: Gf3Model, channel: int, part: Region) -> Complex64:
    """What moved: sampled where it lay in the reference."""
    from glaciertoolkit.simulate import gf3_kernels

    line, sample, lines, samples = part
    places = np.empty((2, lines, samples))
    gf3_kernels.places_before(
        model.line_offset, model.sample_offset, model.lattice,
        line + np.arange(float(lines)), sample + np.arange(float(samples)), *places,
    )  # fmt: skip
    low = np.floor(places.min(axis=(1, 2))).astype(int) - int(HALF)
    high = np.floor(places.max(axis=(1, 2))).astype(int) + int(HALF) + 2
    region = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    seen = _scatterers(model, 1, channel, region)
    out = np.empty((lines, samples), np.complex64)
    gf3_kernels.gather(
        seen, places[0] - low[0], places[1] - low[1], *tables(model.parameters), out
    )  # fmt: skip
    return out


def _scatterers(model: Gf3Model, image: int, channel: int, region: Region) -> NDArray[np.float32]:
    """Scatterers of one image on the lattice of the reference, two a sample, interleaved."""
    from glaciertoolkit.simulate import gf3_kernels

    p = model.parameters
    line, sample, lines, samples = region
    ys = line + np.arange(float(lines))
    xs = sample + np.arange(float(samples))
    name = p.polarisations[channel]
    cross = CROSS_DB if name[0] != name[1] else 0.0
    log = model.on_grid(model.log_amplitude, ys, xs) + cross / 20 * np.log(10)
    log += _texture(p, region)
    gamma = model.on_grid(model.gamma, ys, xs)
    phase = np.empty((0, 0))
    if image == 1 and p.fringes:
        half = sample + np.arange(2.0 * samples) / 2
        phase = model.on_grid(model.delay, ys, half)
        phase *= -4 * np.pi / WAVELENGTH
    stream = POLARISATIONS.index(name)
    twice = (line, 2 * sample, lines, 2 * samples)
    shared = normals((p.seed, SHARED, stream), twice, 2)
    alone = normals((p.seed, ALONE + image, stream), twice, 2)
    noise = 0.0 if p.noise_db == -np.inf else 10 ** (p.noise_db / 10)
    gf3_kernels.scatter(shared, alone, log, gamma, noise, phase)
    return shared


def _texture(p: Gf3Parameters, region: Region) -> NDArray[np.float32]:
    """Log-normal texture, tied to the ground as the reference sees it; mean square 1."""
    from glaciertoolkit.simulate.gf3_setting import setting_of

    header = setting_of(p).reference.header
    steps = (
        GRAIN / 1.2 / header.azimuth_spacing,
        GRAIN / 1.2 * np.sin(np.radians(p.incidence)) / header.range_spacing,
    )
    norm = np.sqrt(sum(weight**2 for _, weight in OCTAVES))
    total = np.full((region[2], region[3]), -np.float32(p.texture**2))
    for number, (scale, weight) in enumerate(OCTAVES):
        key = (p.seed, TEXTURE, number)
        field = _smooth_normals(key, region, (scale * steps[0], scale * steps[1]))
        total += np.float32(p.texture * weight / norm) * field
    return total


def _smooth_normals(
    key: tuple[int, ...], region: Region, steps: tuple[float, float]
) -> NDArray[np.float32]:
    """As `noise.smooth_normals`, with another spacing along each axis."""
    from glaciertoolkit.simulate import kernels

    first = [int(np.floor(region[k] / steps[k])) - 2 for k in (0, 1)]
    count = [int(np.ceil((region[k] + region[k + 2]) / steps[k])) + 3 - first[k] for k in (0, 1)]
    coarse = normals(key, (first[0], first[1], count[0], count[1]))
    ys, xs = (np.arange(region[k], region[k] + region[k + 2]) / steps[k] - first[k] for k in (0, 1))
    out = np.empty((region[2], region[3]), np.float32)
    kernels.spline_grid(coarse, ys, xs, False, False, out)
    out /= SPLINE_NORM
    return out


def tables(p: Gf3Parameters) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights of the scatterers around a position, along lines and along samples."""
    mode = p.sampling
    return (
        _table(mode.azimuth_bandwidth / mode.prf, 1),
        _table(mode.range_bandwidth / mode.range_rate, 2),
    )


@lru_cache
def _table(band: float, scatterers: int) -> NDArray[np.float32]:
    """Point-spread function of a two-sided band (cycles a pixel), for 513 fractions.

    A windowed sinc of unit energy; `scatterers` lie in a pixel.
    """
    taps = int(2 * HALF) * scatterers
    fraction = np.linspace(0, 1, ENTRIES + 1)[:, None]
    t = (fraction + taps // 2 - 1 - np.arange(taps)[None, :]) / scatterers
    window = np.i0(5.0 * np.sqrt(np.maximum(1 - (t / HALF) ** 2, 0))) - 1
    weights = np.sinc(band * t) * window
    weights /= np.sqrt((weights[:-1] ** 2).sum(axis=1).mean())
    return np.asarray(weights, np.float32)
