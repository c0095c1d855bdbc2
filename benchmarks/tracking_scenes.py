"""Synthetic image pairs whose displacement is known exactly, for the tracking benchmark.

A scene is a band-limited random field f, periodic on a canvas larger than the image and known by
its spectrum. The secondary image is f on the pixels; the reference image is f read at x + d(x), so
that what lies at x in the reference lies at x + d(x) in the secondary: the truth at a post is d at
the centre of its template, with nothing to invert. Rigid motion is applied to the spectrum, which
is exact; other motion by quintic splines on a canvas oversampled twice (below 1e-3 px, as
`tests/tracking/test_benchmark_scenes.py` shows).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Motion = Callable[[Array, Array], tuple[Array, Array]]
"""(rows, columns) of the reference, pixels -> displacement (right, down), pixels."""

PIXEL = 10.0
"""Metres."""

# Chosen so that, T = 32 and rigid shifts, OpenCV with a parabola errs by .028 px (lock .024) and
# whole-pixel sums with a sinc peak by .005 (.004): what they reach on the pairs that the bars come
# from, to 10 %. The modulation at Nyquist is .12, a little below that of Sentinel-2.
SLOPE = 0.7
"""The optical texture's amplitude falls with this power of the frequency."""
BLUR = 0.65
"""Standard deviation of the optical point-spread function, pixels."""
CUT = (0.40, 0.50)
"""The optical spectrum is tapered to zero between these frequencies, cycles per pixel."""

SLC_OVERSAMPLING = 1.25
"""Of the single-look image; the bound of incoherent tracking at coherence .6, T = 64 is .020 px."""
# Matching amplitudes loses 16 % of the posts or more on speckle of coherence .3 alone, whatever
# the oversampling; with this backscatter texture OpenCV loses none and errs by .136 px (T = 64).
GRD_OVERSAMPLING = 1.5
GRD_TEXTURE = 0.26
"""Standard deviation of the logarithm of the backscatter of the multi-look image."""
GRD_CORRELATION = 3.0
"""Its correlation length, pixels."""


@dataclass(frozen=True)
class Scene:
    """Two images on one grid of 10 m and their displacement; `hidden`: pixels that show nothing."""

    name: str
    reference: Array
    secondary: Array
    motion: Motion
    hidden: Mask | None = None

    def truth(self, rows: Array, cols: Array) -> tuple[Array, Array]:
        """Displacement (right, down) in pixels at positions of the reference image."""
        return self.motion(np.asarray(rows, float), np.asarray(cols, float))

    def pair(self) -> xr.Dataset:
        """The images as `track` takes them: x grows with the columns, y falls with the rows."""
        ny, nx = self.reference.shape
        return xr.Dataset(
            {"reference": (("y", "x"), self.reference), "secondary": (("y", "x"), self.secondary)},
            coords={"y": 7e6 - PIXEL * np.arange(ny), "x": 5e5 + PIXEL * np.arange(nx)},
        )


@dataclass(frozen=True)
class Rigid:
    """The same displacement everywhere, pixels."""

    right: float
    down: float

    def __call__(self, rows: Array, cols: Array) -> tuple[Array, Array]:
        shape = np.broadcast_shapes(rows.shape, cols.shape)
        return np.full(shape, self.right), np.full(shape, self.down)


# Amplitude, wavelength and tilt were fixed so that, T = 32, OpenCV with a parabola errs by
# .031 / .036 px (right / down), whole-pixel sums with a sinc peak by .0134 / .0224 and their affine
# refinement by .0060 / .0100: within 8 % of what these reach on the field of the bars.
GLACIER_AMPLITUDE = 4.1
GLACIER_WAVELENGTH = 700.0
GLACIER_TILT = 0.265


def glacier(size: int) -> Motion:
    """Tongues side by side: a sinusoidal transverse profile that speeds up along the flow.

    The flow makes .265 rad with the columns. Displacements reach 5 px, their gradients .05.
    """
    cos, sin = np.cos(GLACIER_TILT), np.sin(GLACIER_TILT)

    def motion(rows: Array, cols: Array) -> tuple[Array, Array]:
        y, x = rows - (size - 1) / 2, cols - (size - 1) / 2
        across, along = cos * x - sin * y, sin * x + cos * y
        speed = GLACIER_AMPLITUDE * np.sin(2 * np.pi * across / GLACIER_WAVELENGTH + 0.3)
        speed = speed * (1 + 0.5 * along / 1024)
        return sin * speed, cos * speed

    return motion


def drift(size: int, farthest: float = 150.0) -> Motion:
    """Fast drift with a rotation, a stretch and a jet: up to `farthest` px, gradients below .02."""
    scale = (size - 1) / 2

    def motion(rows: Array, cols: Array) -> tuple[Array, Array]:
        y, x = (rows - scale) / scale, (cols - scale) / scale
        turn, stretch = 0.008 * scale, 0.004 * scale
        jet = 0.002 * scale * np.sin(np.pi * (x + 0.5 * y))
        fast = turn + stretch - farthest
        return fast + turn * y - stretch * x + jet, 0.6 * farthest - turn * x + stretch * y - jet

    return motion


def _canvas(size: int, margin: int) -> int:
    from scipy.fft import next_fast_len

    length = int(next_fast_len(size + 2 * margin))
    return length + length % 2


def _frequencies(size: int) -> tuple[Array, Array]:
    f = np.fft.fftfreq(size)
    return f[:, None], f[None, :]


def optical_spectrum(size: int, rng: np.random.Generator) -> Array:
    """Spectrum of a texture of unit variance: a power law, a point-spread function, a taper."""
    from scipy import fft

    fy, fx = _frequencies(size)
    radius = np.hypot(fy, fx)
    gain = np.where(radius > 0, np.maximum(radius, 1 / size) ** -SLOPE, 0)
    gain *= np.exp(-2 * (np.pi * BLUR * radius) ** 2)
    taper = np.clip((CUT[1] - radius) / (CUT[1] - CUT[0]), 0, 1)
    spectrum = fft.fft2(rng.standard_normal((size, size)), workers=2)
    return _unit(spectrum * gain * (0.5 - 0.5 * np.cos(np.pi * taper)))


def speckle_spectrum(size: int, rng: np.random.Generator, oversampling: float) -> Array:
    """Spectrum of complex circular Gaussian noise of unit power, white within its band."""
    fy, fx = _frequencies(size)
    band = (np.abs(fy) < 0.5 / oversampling) & (np.abs(fx) < 0.5 / oversampling)
    white = rng.standard_normal((2, size, size))
    return _unit(np.where(band, white[0] + 1j * white[1], 0))


def texture_spectrum(size: int, rng: np.random.Generator) -> Array:
    """Spectrum of the logarithm of the backscatter of the multi-look image."""
    from scipy import fft

    fy, fx = _frequencies(size)
    gain = np.exp(-((np.pi * GRD_CORRELATION) ** 2) * (fy**2 + fx**2))
    return GRD_TEXTURE * _unit(fft.fft2(rng.standard_normal((size, size)), workers=2) * gain)


def _unit(spectrum: Array) -> Array:
    """Scaled to a mean square of one (Parseval)."""
    scaled: Array = spectrum * (spectrum.size / np.sqrt(np.sum(np.abs(spectrum) ** 2)))
    return scaled


def image_of(spectrum: Array, size: int, margin: int, motion: Motion | None = None) -> Array:
    """The field at x + d(x) for the pixels x of the image that lies `margin` inside the canvas."""
    from scipy import fft

    inner = slice(margin, margin + size)
    if motion is None:
        motion = Rigid(0, 0)
    if not isinstance(motion, Rigid):
        return _warped(spectrum, size, margin, motion)
    fy, fx = _frequencies(spectrum.shape[0])
    phase = np.exp(2j * np.pi * fx * motion.right) * np.exp(2j * np.pi * fy * motion.down)
    field: Array = fft.ifft2(spectrum * phase, workers=2)[inner, inner]
    return field


def _warped(spectrum: Array, size: int, margin: int, motion: Motion) -> Array:
    """`image_of` for motion that varies: quintic splines on a canvas oversampled twice."""
    from scipy import fft
    from scipy.ndimage import map_coordinates, spline_filter

    canvas = spectrum.shape[0]
    padded = np.zeros((2 * canvas, 2 * canvas), complex)
    middle = slice(canvas // 2, canvas // 2 + canvas)
    padded[middle, middle] = fft.fftshift(spectrum)
    fine = 4 * fft.ifft2(fft.ifftshift(padded), workers=2, overwrite_x=True)
    del padded
    rows, cols = np.mgrid[:size, :size].astype(float)
    right, down = motion(rows, cols)
    where = 2 * np.stack([rows + down + margin, cols + right + margin])
    parts = []
    # A real field has an imaginary part of rounding errors only.
    for part in (fine.real, fine.imag) if np.abs(fine.imag).max() > 1e-6 else (fine.real,):
        knots = spline_filter(part, order=5, mode="grid-wrap")
        parts.append(map_coordinates(knots, where, order=5, mode="grid-wrap", prefilter=False))
    return parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]


def optical(
    size: int, motion: Motion, *, seed: int = 0, noise: float = 0.03, margin: int = 28
) -> Scene:
    """An optical pair; `noise` is a share of the texture's standard deviation, in both images."""
    rng = np.random.default_rng(seed)
    spectrum = optical_spectrum(_canvas(size, margin), rng)
    reference, secondary = (
        image_of(spectrum, size, margin, moved).real + noise * rng.standard_normal((size, size))
        for moved in (motion, None)
    )
    return Scene("optical", reference.astype(np.float32), secondary.astype(np.float32), motion)


def _looks(
    size: int, motion: Motion, rng: np.random.Generator, coherence: float, oversampling: float
) -> tuple[Array, Array]:
    """A complex pair of the given coherence."""
    margin = 28
    canvas = _canvas(size, margin)
    common, other = (speckle_spectrum(canvas, rng, oversampling) for _ in range(2))
    later = coherence * common + np.sqrt(1 - coherence**2) * other
    return image_of(common, size, margin, motion), image_of(later, size, margin)


def slc(size: int, motion: Motion, *, seed: int = 0, coherence: float = 0.6) -> Scene:
    """A single-look complex pair of homogeneous ground."""
    rng = np.random.default_rng(seed)
    reference, secondary = _looks(size, motion, rng, coherence, SLC_OVERSAMPLING)
    return Scene("slc", reference.astype(np.complex64), secondary.astype(np.complex64), motion)


def ground_range(
    size: int,
    motion: Motion,
    *,
    seed: int = 0,
    coherence: float = 0.3,
    looks: int = 4,
    texture: bool = True,
) -> Scene:
    """Amplitude of a multi-look pair: the mean intensity of independent looks on one grid."""
    rng = np.random.default_rng(seed)
    power = [np.zeros((size, size)), np.zeros((size, size))]
    for _ in range(looks):
        pair = _looks(size, motion, rng, coherence, GRD_OVERSAMPLING)
        for total, look in zip(power, pair, strict=True):
            total += np.abs(look) ** 2 / looks
    if texture:
        margin = 28
        spectrum = texture_spectrum(_canvas(size, margin), rng)
        for total, moved in zip(power, (motion, None), strict=True):
            total *= np.exp(image_of(spectrum, size, margin, moved).real)
    reference, secondary = (np.sqrt(total).astype(np.float32) for total in power)
    return Scene("grd", reference, secondary, motion)


def with_gaps(scene: Scene, share: float, *, both: bool, seed: int = 0) -> Scene:
    """`share` of the pixels NaN at random, in the reference or, independently, in both images."""
    rng = np.random.default_rng(seed)
    images = [scene.reference.copy(), scene.secondary.copy()]
    for image in images if both else images[:1]:
        image[rng.random(image.shape, dtype=np.float32) < share] = np.nan
    name = f"{share:.0%} NaN in {'both images' if both else 'one image'}"
    return replace(scene, name=name, reference=images[0], secondary=images[1])


def with_region(scene: Scene, name: str, hidden: Mask, value: float) -> Scene:
    """The pixels `hidden` replaced by one value in both images, as a fixed mask or frame does."""
    reference, secondary = (
        np.where(hidden, np.float32(value), image) for image in (scene.reference, scene.secondary)
    )
    return replace(scene, name=name, reference=reference, secondary=secondary, hidden=hidden)


def border(size: int, width: int) -> Mask:
    """A frame of `width` pixels at the top and the left, a slanted edge at the right."""
    rows, cols = np.mgrid[:size, :size]
    frame: Mask = (rows < width) | (cols < width) | (cols > size - width - rows // 8)
    return frame


def patch(size: int, edge: int) -> Mask:
    """A square of `edge` pixels in the middle."""
    first = (size - edge) // 2
    inside = np.zeros((size, size), bool)
    inside[first : first + edge, first : first + edge] = True
    return inside


def large(size: int, *, seed: int = 0, noise: float = 0.03, tile: int = 1024) -> Scene:
    """A wide optical pair moved by (0.3, 0.7) px: one periodic texture tiled, noise of its own.

    Made in strips, so that hardly more than the images themselves is in memory.
    """
    rng = np.random.default_rng(seed)
    spectrum = optical_spectrum(tile, rng)
    motion = Rigid(0.3, 0.7)
    images = []
    for moved in (motion, None):
        texture = image_of(spectrum, tile, 0, moved).real.astype(np.float32)
        image = np.empty((size, size), np.float32)
        for top in range(0, size, tile):
            strip = image[top : top + tile]
            rng.standard_normal(dtype=np.float32, out=strip)
            strip *= np.float32(noise)
            for left in range(0, size, tile):
                cell = strip[:, left : left + tile]
                cell += texture[: cell.shape[0], : cell.shape[1]]
        images.append(image)
    return Scene(f"{size}^2", images[0], images[1], motion)
