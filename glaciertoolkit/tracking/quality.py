"""The 1-sigma error of a match, from the peak's curvature and the images' spectra."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

ERROR_FLOOR = 0.005
"""Pixels; what interpolation of the surface leaves even without noise."""


def mean_periodogram(image: Array, edge: int) -> npt.NDArray[np.float64]:
    """Power spectrum of `image`, averaged over segments of `edge` pixels (Hann), with unit sum."""
    edge = min(edge, *image.shape)
    ny, nx = (n // edge for n in image.shape)
    segments = image[: ny * edge, : nx * edge].reshape(ny, edge, nx, edge).swapaxes(1, 2)
    taper = np.hanning(edge + 2)[1:-1].astype(np.float32)
    spectrum = np.fft.fft2(segments * taper * taper[:, None])
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=(0, 1), dtype=np.float64)
    total = power.sum()
    return np.asarray(power / total if total > 0 else power)


class SurfaceNoise(NamedTuple):
    """Variances of a correlation surface made of noise alone, times the number of pixels.

    `level`: of its values; `xx`, `yy`, `xy`: of its gradient, per pixel squared.
    """

    level: float
    xx: float
    yy: float
    xy: float


def surface_noise(a: Array, b: Array, edge: int = 32) -> SurfaceNoise:
    """What the correlation surface of two unrelated images with these spectra looks like.

    Parameters
    ----------
    a, b : numpy.ndarray
        The two prepared windows.
    edge : int
        Segment length for the spectra, pixels.

    Notes
    -----
    Let b = rho a + sqrt(1 - rho^2) w with w independent of a. The part of the surface that w makes
    has the variance (1 - rho^2) / N sum_k R_a(k) R_w(k), and its gradient (1 - rho^2) / N
    sum_k R_a(k) (-R_w''(k)); by Parseval's theorem these are ``Nf sum(pa pb)`` and
    ``Nf sum(pa pb w w')`` with the normalised power spectra pa, pb at Nf angular frequencies w.
    """
    edge = min(edge, *a.shape, *b.shape)
    pa, pb = mean_periodogram(a, edge), mean_periodogram(b, edge)
    omega = 2 * np.pi * np.fft.fftfreq(edge)
    wy, wx = omega[:, None], omega[None, :]
    product = pa * pb * pa.size
    return SurfaceNoise(
        float(product.sum()),
        float((product * wx * wx).sum()),
        float((product * wy * wy).sum()),
        float((product * wx * wy).sum()),
    )


def detection_threshold(
    noise: SurfaceNoise, pixels: Array, *, offsets: int, false_alarm: float
) -> Array:
    """Correlation that the highest of `offsets` samples of noise exceeds with this probability.

    Parameters
    ----------
    noise : SurfaceNoise
        Of the tile.
    pixels : numpy.ndarray
        Valid pixels of each template.
    offsets : int
        Samples of the surface.
    false_alarm : float
        Between 0 and 1.

    Notes
    -----
    A sum over many pixels is close to Gaussian, with variance level / N; the samples are taken as
    independent, which errs on the safe side.
    """
    from scipy.special import ndtri

    z = -float(ndtri(false_alarm / offsets))
    return np.asarray(z * np.sqrt(noise.level / pixels), np.float32)


def match_covariance(
    peak: Array,
    curvature: tuple[Array, Array, Array],
    noise: SurfaceNoise,
    pixels: Array | float,
) -> tuple[Array, Array, Array]:
    """Covariance of a match in pixels squared.

    Parameters
    ----------
    peak : numpy.ndarray
        Correlation at the peak.
    curvature : tuple of numpy.ndarray
        Second derivatives xx, yy, xy of the correlation at the peak (negative definite).
    noise : SurfaceNoise
        From `surface_noise`.
    pixels : numpy.ndarray or float
        Valid pixels in the template.

    Returns
    -------
    xx, yy, xy : numpy.ndarray
        float32; NaN where the peak has no proper maximum.

    Notes
    -----
    To first order the peak moves by H^-1 g, with g the gradient that noise adds (covariance
    (1 - rho^2) Q / N) and H the curvature; so the covariance is (1 - rho^2) / N * H^-1 Q H^-1.
    For white images and rho = coherence this is the Cramer-Rao bound of a shift.
    """
    hxx, hyy, hxy = (np.asarray(h, np.float64) for h in curvature)
    _, qxx, qyy, qxy = noise
    det = hxx * hyy - hxy * hxy
    det = np.where(det > 0, det, np.nan)
    ixx, iyy, ixy = hyy / det, hxx / det, -hxy / det
    rho = np.clip(np.asarray(peak, np.float64), 0, 1)
    scale = (1 - rho**2) / pixels
    xx = ixx * ixx * qxx + 2 * ixx * ixy * qxy + ixy * ixy * qyy
    yy = ixy * ixy * qxx + 2 * ixy * iyy * qxy + iyy * iyy * qyy
    xy = ixx * ixy * qxx + (ixx * iyy + ixy * ixy) * qxy + ixy * iyy * qyy
    floor = ERROR_FLOOR**2
    return (
        (scale * xx + floor).astype(np.float32),
        (scale * yy + floor).astype(np.float32),
        (scale * xy).astype(np.float32),
    )
