"""What the ground looks like to the sensors: texture, illumination, coherence.

Everything here is a function of the material position, so that it moves with the ground.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate import patches
from glaciertoolkit.simulate.model import Model
from glaciertoolkit.simulate.noise import (
    COMMON,
    REDRAWN,
    REFERENCE,
    SECONDARY,
    SURFACE,
    Region,
    normals,
    smooth_normals,
)

Float32 = NDArray[np.float32]

BRIGHTNESS = 100.0
"""Root mean square amplitude of flat rock, digital numbers."""

Octaves = tuple[tuple[float, float], ...]
"""Spacing of the coefficients (pixels) and weight of each scale of a texture."""

GRAIN = 30.0
"""Correlation length of the backscatter texture, metres."""

OPTICAL_LEVEL = 1000.0
"""Digital numbers of flat, sunlit rock in optical images."""

ICE_DB = -4.0
"""Backscatter of ice against rock."""


def _axes(region: Region) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row, column, rows, columns = region
    return np.arange(row, row + rows, dtype=float), np.arange(column, column + columns, dtype=float)


def _soft_ice(model: Model, region: Region) -> Float32:
    """1 on ice, 0 on rock, with an edge of a few pixels."""
    level = model.field(model.level_set, *_axes(region))
    return np.asarray(0.5 + 0.5 * np.tanh(level / 4.0), dtype=np.float32)


def _bands(model: Model, region: Region) -> Float32:
    """Crevasses across the flow, in fields, and a dark line of debris along it; ice only."""
    axes = _axes(region)
    p = model.parameters
    along = model.field(model.along, *axes)
    relative = model.field(model.relative, *axes)
    fields = smooth_normals((p.seed, SURFACE, 8), region, 140.0 / p.pixel)
    bent = smooth_normals((p.seed, SURFACE, 9), region, 50.0 / p.pixel)
    crevasses = np.sin(2 * np.pi * along / 60.0 + 2.0 * bent) * np.clip(fields - 0.3, 0, 1.5)
    debris = np.exp(-0.5 * ((relative - 0.3 - 0.05 * bent) / 0.07) ** 2)
    debris *= np.clip(1.2 - along / 2500.0, 0.2, 1.0)
    bands = 0.5 * crevasses - 0.8 * debris
    return np.asarray(bands, dtype=np.float32) * _soft_ice(model, region)


def _octaves(key: tuple[int, ...], region: Region, octaves: Octaves) -> Float32:
    """A Gaussian field of unit variance, the sum of fields of several scales."""
    norm = np.sqrt(sum(weight**2 for _, weight in octaves))
    total = np.zeros((region[2], region[3]), np.float32)
    for number, (step, weight) in enumerate(octaves):
        total += np.float32(weight / norm) * smooth_normals((*key, number), region, step)
    return total


def _textured(model: Model, region: Region, image: int, octaves: Octaves) -> Float32:
    """Texture of the ground; the secondary shows another one where coherence is lost."""
    p = model.parameters
    texture = _octaves((p.seed, SURFACE), region, octaves)
    if image == 1:
        lost = patches.mask(model.decorrelated, *_axes(region))
        if lost.any():
            texture[lost] = _octaves((p.seed, REDRAWN), region, octaves)[lost]
    return texture


def backscatter(model: Model, region: Region, image: int) -> Float32:
    """Amplitude of the backscatter; its mean square is 1 on flat rock."""
    p = model.parameters
    step = GRAIN / 1.2 / p.pixel
    octaves = ((0.6 * step, 0.6), (step, 1.0), (1.7 * step, 0.6), (7.3 * step, 0.5))
    # The mean of exp(2 x) is exp(2 s^2).
    log = np.float32(p.texture) * _textured(model, region, image, octaves)
    log -= np.float32(p.texture**2)
    if p.relief > 0:
        if p.glaciers:
            log += np.float32(ICE_DB / 20 * np.log(10)) * _soft_ice(model, region)
            log += np.float32(p.texture) * _bands(model, region)
        log += _radar_illumination(model, region)
    return np.asarray(np.exp(log), dtype=np.float32)


def _radar_illumination(model: Model, region: Region) -> Float32:
    """Log amplitude by the slope: the radar looks along +x, slopes that face it are bright."""
    p = model.parameters
    axes = _axes(region)
    zx = model.field(model.elevation, *axes, derivative="x") / p.pixel
    zy = model.field(model.elevation, *axes, derivative="y") / p.pixel
    angle = np.radians(p.incidence)
    facing = (zx * np.sin(angle) + np.cos(angle)) / np.sqrt(1 + zx**2 + zy**2) / np.cos(angle)
    return np.asarray(1.2 * np.log(np.clip(facing, 0.25, 2.5)), dtype=np.float32)


def coherence(model: Model, region: Region) -> Float32:
    """Coherence between the two images."""
    p = model.parameters
    axes = _axes(region)
    found = np.full((region[2], region[3]), p.coherence_rock, np.float32)
    if p.glaciers and p.relief > 0:
        found[model.field(model.level_set, *axes) > 0] = p.coherence_ice
    found[patches.mask(model.decorrelated, *axes)] = 0.0
    return found


def scatterers(
    model: Model, region: Region, image: int, look: int, amplitude: Float32, gamma: Float32
) -> Float32:
    """Complex reflectivity of one image, real and imaginary parts interleaved.

    The thermal noise is white like the speckle of this image alone, and is drawn with it.
    """
    p = model.parameters
    common = normals((p.seed, COMMON, look), region, 2)
    own = normals((p.seed, (REFERENCE, SECONDARY)[image], look), region, 2)
    noise = np.float32(BRIGHTNESS**2 * 10 ** (p.noise_db / 10))
    half = np.float32(0.5)  # of the power in each of the two parts
    seen_twice = amplitude * np.sqrt(half * gamma)
    seen_once = np.sqrt(half * (amplitude**2 * (1 - gamma) + noise))
    common *= np.repeat(seen_twice, 2, axis=1)
    own *= np.repeat(seen_once, 2, axis=1)
    common += own
    return common


def reflectance(model: Model, region: Region, image: int) -> Float32:
    """Reflectivity of an optical image, digital numbers; its mean is about 1000."""
    p = model.parameters
    octaves = ((1.0, 1.0), (2.7, 0.7), (7.9, 0.6), (23.0, 0.5), (71.0, 0.4))
    log = np.float32(0.8 * p.texture) * _textured(model, region, image, octaves)
    log -= np.float32(0.32 * p.texture**2)
    if p.relief > 0:
        if p.glaciers:
            log += np.float32(0.6) * _soft_ice(model, region)
            log += np.float32(0.35) * _bands(model, region)
        log += _sun(model, region)
    return np.asarray(OPTICAL_LEVEL * np.exp(log), dtype=np.float32)


def _sun(model: Model, region: Region) -> Float32:
    """Log brightness under a sun in the south-east, 40 degrees high."""
    p = model.parameters
    axes = _axes(region)
    zx = model.field(model.elevation, *axes, derivative="x") / p.pixel
    zy = -model.field(model.elevation, *axes, derivative="y") / p.pixel
    azimuth, height = np.radians(140.0), np.radians(40.0)
    toward = np.cos(height) * (np.sin(azimuth) * zx + np.cos(azimuth) * zy)
    facing = (np.sin(height) - toward) / np.sqrt(1 + zx**2 + zy**2) / np.sin(height)
    return np.asarray(np.log(0.15 + 0.85 * np.clip(facing, 0.0, 2.0)), dtype=np.float32)
