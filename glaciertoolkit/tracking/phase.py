"""Phase correlation: the volume from the phases of the spectra alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glaciertoolkit.tracking.quality import SurfaceNoise, noise_of

Array = npt.NDArray[np.float32]

SOFTNESS = 0.8
"""Width of the peak, pixels: the highest frequencies are weighed down so that it can be
interpolated between whole pixels."""


def _weights(template: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Weight of each frequency, with unit sum."""
    wy, wx = (2 * np.pi * np.fft.fftfreq(n) for n in template)
    weight = np.exp(-0.5 * SOFTNESS**2 * (wy[:, None] ** 2 + wx[None, :] ** 2))
    return np.asarray(weight / weight.sum())


def phase_noise(template: tuple[int, int]) -> SurfaceNoise:
    """What a surface of random phases looks like.

    The taper ties each frequency to its neighbours: of the Hann window's along each axis two in
    three are independent.
    """
    return noise_of(_weights(template) ** 2 * (template[0] * template[1] * 1.5**2))


def phase_row(
    a: Array, b: Array, step: int, template: tuple[int, int], search: tuple[int, int], posts: int
) -> Array:
    """Phase correlation of the posts of one row: float32 (offsets_y, offsets_x, posts).

    Parameters
    ----------
    a : numpy.ndarray
        The template's rows of the reference, zero where missing.
    b : numpy.ndarray
        The same rows of the secondary (no displacement).
    step : int
        Pixels between posts along x.
    template, search : tuple of int
        (y, x), pixels.
    posts : int
        Number of posts.

    Notes
    -----
    ``P = conj(A) B / |A B|`` of windows with a Hann taper; its inverse transform, weighed to the
    lower frequencies, peaks at the displacement. A frequency without power has no phase.
    """
    from scipy.fft import fft2, ifft2

    ty, tx = template
    taper = np.outer(np.hanning(ty + 2)[1:-1], np.hanning(tx + 2)[1:-1]).astype(np.float32)
    fa, fb = (
        fft2(
            np.stack([image[:ty, k * step : k * step + tx] for k in range(posts)]) * taper,
            workers=1,
        )
        for image in (a, b)
    )
    cross = np.conj(fa) * fb
    size = np.abs(cross)
    unit = np.divide(cross, size, out=np.zeros_like(cross), where=size > 0)
    surface = ifft2(unit * (_weights(template) * (ty * tx)).astype(np.float32), workers=1).real
    iy, ix = (np.arange(-s, s + 1) for s in search)
    return np.asarray(surface[:, iy[:, None], ix[None, :]].transpose(1, 2, 0), np.float32)
