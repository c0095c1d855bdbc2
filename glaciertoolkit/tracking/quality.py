"""How far a match can be trusted: detection threshold and 1-sigma error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

METHOD_ERROR = {"ncc": 0.0, "coherent": 0.0, "phase": 0.02, "orientation": 0.03}
"""Pixels; phases and directions are no band-limited images, and their peaks are drawn to whole
pixels by about so much."""
SEGMENT = 32
"""Edge of the pieces of which spectra are averaged, pixels."""
SEGMENTS = 32
"""How many of them: the mean of so many is good to a few per cent over a band of frequencies."""
LEAST_SEGMENTS = 8
BEST = 90
"""Percentile of the squared correlations of a tile that is taken for that of still ground."""
LEAST_TORN = 0.2
"""Below this share of the image's power what tears a template can't be told from noise."""
BENT = 0.8
"""Variance of x^2 over an interval about zero, over the square of its mean."""
UNUSUAL = 3.0
"""A piece that lost more than so many times the usual share of its power is not counted."""
FRINGE = 8
"""Pixels around a piece that are needed to move it by a part of a pixel."""


def _taper(edge: int) -> Array:
    window = np.hanning(edge + 2)[1:-1]
    return np.outer(window, window).astype(np.float32)


def _spread_evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` indices below `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _whole_plane(half: Wide) -> Wide:
    """An even function of the frequencies, of which `rfft2` gives half, on all of them."""
    edge = half.shape[0]
    columns = np.arange(half.shape[1], edge)
    mirrored = half[(-np.arange(edge)) % edge][:, edge - columns]
    return np.concatenate([half, mirrored], axis=1)


def mean_periodogram(image: Array, edge: int) -> Wide:
    """Power spectrum of `image`, the mean over pieces of it (Hann taper), with unit sum."""
    edge = min(edge, *image.shape)
    ny, nx = (n // edge for n in image.shape)
    pieces = image[: ny * edge, : nx * edge].reshape(ny, edge, nx, edge).swapaxes(1, 2)
    pieces = pieces.reshape(-1, edge, edge)[_spread_evenly(ny * nx, SEGMENTS)]
    spectrum = np.fft.rfft2(pieces * _taper(edge))
    power = _whole_plane((spectrum.real**2 + spectrum.imag**2).mean(axis=0, dtype=np.float64))
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


def noise_of(product: Wide) -> SurfaceNoise:
    """From the product of the two spectra, each with unit sum, times their number of samples."""
    wy, wx = (2 * np.pi * np.fft.fftfreq(n) for n in product.shape)
    wy, wx = wy[:, None], wx[None, :]
    return SurfaceNoise(
        float(product.sum()),
        float((product * wx * wx).sum()),
        float((product * wy * wy).sum()),
        float((product * wx * wy).sum()),
    )


def surface_noise(a: Array, b: Array) -> SurfaceNoise:
    """What the correlation surface of two unrelated images with these spectra looks like.

    Parameters
    ----------
    a, b : numpy.ndarray
        The two prepared windows.

    Notes
    -----
    The surface of two independent images has the variance ``1 / N sum_r R_a(r) R_b(r)`` and its
    gradient ``1 / N sum_r R_a(r) (-R_b''(r))``, with R the autocorrelations; by Parseval's theorem
    these are ``Nf sum(pa pb) / N`` and ``Nf sum(pa pb w w') / N`` with the power spectra pa, pb
    (unit sums) at Nf angular frequencies w.
    """
    edge = min(SEGMENT, *a.shape, *b.shape)
    pa, pb = mean_periodogram(a, edge), mean_periodogram(b, edge)
    return noise_of(pa * pb * pa.size)


def detection_threshold(
    noise: SurfaceNoise, pixels: Array, *, offsets: int, false_alarm: float, magnitude: bool = False
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
    magnitude : bool
        The surface holds the magnitudes of complex values (Rayleigh instead of Gaussian).

    Notes
    -----
    A sum over many pixels is close to Gaussian, with variance level / N; the samples are taken as
    independent, which errs on the safe side.
    """
    from scipy.special import ndtri

    if magnitude:
        z = float(np.sqrt(-2 * np.log(false_alarm / offsets)))
    else:
        z = -float(ndtri(false_alarm / offsets))
    return np.asarray(z * np.sqrt(noise.level / pixels), np.float32)


class Residual(NamedTuple):
    """What the matched images of a tile do not share, and what it does to a surface.

    `noise`: gradient of a surface between a and the part of b that is not in a; `share`: of the
    power of b that is such.
    """

    noise: SurfaceNoise
    share: float


def residual(
    a: Array, b: Array, at: npt.NDArray[np.int64], start: npt.NDArray[np.int64], shift: Array
) -> Residual | None:
    """Spectra of matched pieces of the images: what is common, and what is not.

    Parameters
    ----------
    a, b : numpy.ndarray
        The two prepared windows.
    at, start : numpy.ndarray
        (n, 2): first pixel (y, x) of each piece in `a`, and of its whole-pixel match in `b`.
    shift : numpy.ndarray
        (n, 2): what is left of the displacement, below a pixel.

    Returns
    -------
    Residual or None
        None if fewer than LEAST_SEGMENTS pieces lie in both windows.

    Notes
    -----
    With the coherence g(k) of the two spectra, the part of b that is no multiple of a has the
    power pb (1 - g^2) at each frequency. Sensor noise is white where the image is not, so that its
    share grows with the frequency, where a peak has its sharpness: one number for all frequencies
    would understate the error of optical images severalfold. Speckle differs most where it is
    bright, and there its gradients are large too; a factor takes account of that. The squared
    coherence of n independent pieces is biased by (1 - g^2) / n, which is taken off.
    """
    edge = min(SEGMENT, min(a.shape) - 2 * FRINGE, min(b.shape) - 2 * FRINGE)
    if edge < 8:
        return None
    limits = (np.array(a.shape) - edge - FRINGE, np.array(b.shape) - edge - FRINGE)
    inside = np.all(
        (at >= 0) & (at <= limits[0]) & (start >= FRINGE) & (start <= limits[1]), axis=1
    )
    at, start, shift = at[inside], start[inside], shift[inside]
    if len(at) < LEAST_SEGMENTS:
        return None
    here = np.stack([a[y : y + edge, x : x + edge] for y, x in at])
    there = _aligned(b, start, shift, edge)
    alike = _alike(here, there)
    here, there = here[alike], there[alike]
    n = len(here)
    taper = _taper(edge)
    fa, fb = np.fft.rfft2(here * taper), np.fft.rfft2(there * taper)
    cross, pa, pb = (
        _whole_plane((f.real * g.real + f.imag * g.imag).mean(axis=0, dtype=np.float64))
        for f, g in ((fa, fb), (fa, fa), (fb, fb))
    )
    if not (pa.sum() > 0 and pb.sum() > 0):
        return None
    raw = cross**2 / np.maximum(pa * pb, 1e-30)
    squared = np.clip((n * raw - 1) / (n - 1), 0, 1)
    pa, pb = pa / pa.sum(), pb / pb.sum()
    left = pb * (1 - squared)
    noise = noise_of(pa * left * pa.size * _concentration(here, there))
    return Residual(noise, float(left.sum()))


def _aligned(b: Array, start: npt.NDArray[np.int64], shift: Array, edge: int) -> Array:
    """Pieces of `b` moved by a part of a pixel, so that they lie on those of the other image.

    A wider piece is tapered outside the part that is kept, so that what the Fourier transform
    moves round its ends stays outside too.
    """
    wide = edge + 2 * FRINGE
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(FRINGE - 1) + 0.5) / (FRINGE - 1))
    flat = np.concatenate([rise, np.ones(edge + 2), rise[::-1]]).astype(np.float32)
    pieces = np.stack(
        [b[y - FRINGE : y + edge + FRINGE, x - FRINGE : x + edge + FRINGE] for y, x in start]
    )
    wy, wx = (2 * np.pi * f for f in (np.fft.fftfreq(wide), np.fft.rfftfreq(wide)))
    # A shift is a product of one along y and one along x.
    turn_y = np.exp(1j * wy * shift[:, 0, None]).astype(np.complex64)[:, :, None]
    turn_x = np.exp(1j * wx * shift[:, 1, None]).astype(np.complex64)[:, None, :]
    spectrum = np.fft.rfft2(pieces * np.outer(flat, flat)) * turn_y * turn_x
    moved = np.fft.irfft2(spectrum, s=(wide, wide))
    inner = slice(FRINGE, FRINGE + edge)
    return np.asarray(moved[:, inner, inner], np.float32)


def _alike(here: Array, there: Array) -> npt.NDArray[np.bool_]:
    """Pieces that share as much as is usual: what was matched wrongly, or half so, is no noise.

    Where the correlation is high a single wrong piece would make most of the residual.
    """
    a = here - here.mean(axis=(1, 2), keepdims=True)
    b = there - there.mean(axis=(1, 2), keepdims=True)
    power = (a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2))
    common = np.maximum((a * b).sum(axis=(1, 2)), 0) ** 2
    lost = 1 - common / np.maximum(power, np.float32(1e-30))
    alike = lost <= UNUSUAL * np.median(lost)
    return np.asarray(alike)


def _concentration(here: Array, there: Array) -> float:
    """How much more of the residual's power lies where the gradients of a are than on average."""
    power = float((here * here).sum())
    rest = there - (float((here * there).sum()) / power if power > 0 else 0.0) * here
    gy, gx = (np.asarray(np.gradient(here, axis=k)) for k in (1, 2))
    slope, rest = (gx * gx + gy * gy)[:, 2:-2, 2:-2], (rest * rest)[:, 2:-2, 2:-2]
    together = float(slope.mean()) * float(rest.mean())
    return float((slope * rest).mean()) / together if together > 0 else 1.0


def _lost(rho: Wide, misfit: Array | float) -> Wide:
    """1 - rho^2 without most of what motion inside the template takes from rho."""
    lost = 1 - rho**2
    return np.asarray(np.maximum(lost - 0.7 * misfit, 0.3 * lost))


def usual_loss(peak: Array, misfit: Array | float, good: npt.NDArray[np.bool_]) -> float | None:
    """Median of 1 - rho^2 over the good posts of a tile (None if there are none)."""
    if not good.any():
        return None
    rho = np.clip(np.asarray(peak, np.float64), 0, 1)
    return float(np.median(_lost(rho, misfit)[good]))


def match_covariance(
    peak: Array,
    curvature: tuple[Array, Array, Array],
    noise: SurfaceNoise,
    pixels: Array | float,
    *,
    usual: float | None = None,
    floor: tuple[Array | float, Array | float] = (0.0, 0.0),
    misfit: Array | float = 0.0,
) -> tuple[Array, Array, Array]:
    """Covariance of a match in pixels squared.

    Parameters
    ----------
    peak : numpy.ndarray
        Correlation at the peak.
    curvature : tuple of numpy.ndarray
        Second derivatives xx, yy, xy of the correlation at the peak (negative definite).
    noise : SurfaceNoise
        From `surface_noise`, or of the `residual`.
    pixels : numpy.ndarray or float
        Valid pixels in the template.
    usual : float or None
        1 - rho^2 of the posts for which `noise` stands: that of the `residual` of a tile belongs
        to its typical post. None: `noise` stands for all of b's power.
    floor : tuple
        Error of the interpolation between the samples along x and y, pixels.
    misfit : numpy.ndarray or float
        What of 1 - rho^2 is no noise, from `shear_misfit`.

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
    scale = _lost(rho, misfit) / (1.0 if usual is None else max(usual, 1e-6)) / pixels
    xx = ixx * ixx * qxx + 2 * ixx * ixy * qxy + ixy * ixy * qyy
    yy = ixy * ixy * qxx + 2 * ixy * iyy * qxy + iyy * iyy * qyy
    xy = ixx * ixy * qxx + (ixx * iyy + ixy * ixy) * qxy + ixy * iyy * qyy
    least_x, least_y = (np.asarray(error, np.float64) ** 2 for error in floor)
    return (
        (scale * xx + least_x).astype(np.float32),
        (scale * yy + least_y).astype(np.float32),
        (scale * xy).astype(np.float32),
    )


def shear_misfit(
    power: Wide, gradients: tuple[Array, Array], contrast: Array, template: tuple[int, int]
) -> Array:
    """What of 1 - rho^2 comes from motion that varies inside the template.

    Parameters
    ----------
    power : numpy.ndarray
        Sums of gx^2, gx gy, gy^2 over the template, (3, posts_y, posts_x).
    gradients : tuple of numpy.ndarray
        As for `gradient_covariance`.
    contrast : numpy.ndarray
        1 / sqrt(sum of squared deviations) of the template.
    template : tuple of int
        (y, x), pixels.

    Notes
    -----
    Pixels x away from the centre are displaced by G x too much, and differ by g G x: the mean
    square over the template, with the variance T^2 / 12 of x, over that of the image.
    """
    return np.asarray(1 - np.exp(-_torn(power, gradients, contrast, template)), np.float32)


def refuted(
    power: Wide, gradients: tuple[Array, Array], smear: tuple[Array, Array], contrast: Array,
    template: tuple[int, int], peak: Array, good: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Posts whose correlation speaks against the motion that their neighbours suggest.

    Parameters
    ----------
    power, gradients, contrast, template
        As for `shear_misfit`.
    smear : tuple of numpy.ndarray
        As for `gradient_covariance`.
    peak : numpy.ndarray
        Correlation at the peak.
    good : numpy.ndarray of bool
        Posts that have a match.

    Notes
    -----
    Differences between neighbours are motion of the ground, or a wrong match next to a right one.
    A template that is torn as a wrong one says, so that its pixels differ by the mean square q of
    the image's, would not correlate better than ``rho_best^2 / (1 + q)``, with rho_best that of
    the best posts of the tile (for a Gaussian peak and displacements spread as one).
    """
    if not good.any():
        return np.zeros(peak.shape, bool)
    torn = _torn(power, gradients, contrast, template)
    torn += _mean_square(power, smear[0], smear[1], contrast) * BENT
    square = np.clip(peak, 0, 1).astype(np.float64) ** 2
    return np.asarray(square * (1 + torn) > (1 + LEAST_TORN) * np.percentile(square[good], BEST))


def _mean_square(power: Wide, u: Array, v: Array, contrast: Array) -> Wide:
    """By how much the pixels differ where (u, v) displaces all, over the image's mean square."""
    xx, xy, yy = power
    return np.asarray(
        (xx * u**2 + yy * v**2 + 2 * xy * (u * v)) * np.asarray(contrast, np.float64) ** 2
    )


def _torn(
    power: Wide, gradients: tuple[Array, Array], contrast: Array, template: tuple[int, int]
) -> Wide:
    """The mean square by which gradients of the displacement make the pixels differ."""
    (ux, uy), (vx, vy) = gradients
    ty, tx = (n * n / 12 for n in template)
    return np.asarray(
        _mean_square(power, ux, vx, contrast) * tx + _mean_square(power, uy, vy, contrast) * ty
    )


def texture_pull(lever: Wide, gradients: tuple[Array, Array]) -> tuple[Wide, Wide]:
    """By how much the texture shifts dx and dy where the motion varies inside a template, pixels.

    Parameters
    ----------
    lever : numpy.ndarray
        From `texture`.
    gradients : tuple of numpy.ndarray
        As for `gradient_covariance`.
    """
    u, v = gradients
    field = np.stack([u[0], v[0], u[1], v[1]]).astype(np.float64)
    return (lever[0] * field).sum(axis=0), (lever[1] * field).sum(axis=0)


def gradient_covariance(
    lever: Wide,
    gradients: tuple[Array, Array],
    radius: tuple[int, int],
    smear: tuple[Array, Array],
) -> tuple[Array, Array, Array]:
    """Covariance that motion which varies inside the template adds, pixels squared.

    Parameters
    ----------
    lever : numpy.ndarray
        From `texture`.
    gradients : tuple of numpy.ndarray
        Gradient per pixel along x and y, (2, posts_y, posts_x), of the displacements u and v.
    radius : tuple of int
        Posts (y, x) over which the square is averaged: about a template.
    smear : tuple of numpy.ndarray
        By how much the mean displacement over the template differs from that at its centre.

    Returns
    -------
    xx, yy, xy : numpy.ndarray
        float32.

    Notes
    -----
    The texture shifts the point for which the match stands, by an amount that is as random as the
    texture; its mean square over the neighbourhood, times the gradients, is the variance. Where
    the flow is curved the mean over the template is no longer the value at its centre: T^2 / 24
    times the second derivatives, which is added.
    """
    from scipy.ndimage import uniform_filter

    ex, ey = texture_pull(lever, gradients)
    sx, sy = smear
    size = (2 * radius[0] + 1, 2 * radius[1] + 1)
    # The texture knows nothing of the flow: the two parts are independent.
    xx, yy, xy = (
        uniform_filter(product, size, mode="nearest")
        for product in (ex * ex + sx * sx, ey * ey + sy * sy, ex * ey + sx * sy)
    )
    return xx.astype(np.float32), yy.astype(np.float32), xy.astype(np.float32)
