"""What can be done to an image before it is matched, so that its texture counts and not its level.

Plain functions of a window `image` (float32, (y, x)) and its mask `valid`. Missing pixels and what
lies outside the array carry no weight, and what the image holds there changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FLATNESS = 1e-6
"""A window whose standard deviation is below this share of the largest value is constant: that
is what float32 leaves of a constant."""
WALLIS_FLOOR = 0.1
"""Contrast, as a share of the typical one, at which the Wallis filter amplifies by 1/sqrt(2) of
what would level it; what has much less is left weak instead of becoming noise."""


def filled(image: npt.NDArray[np.floating], valid: Mask, missing: float) -> Image:
    """A copy of the image, with this value where it is missing."""
    from glaciertoolkit.tracking.kernels.filters import standardise

    data = np.require(image, np.float32, ["C", "W"])
    known = np.require(valid, np.bool_, ["C", "W"])
    out = np.empty_like(data)
    zero, one = np.float32(0), np.float32(1)
    standardise(data.ravel(), known.ravel(), zero, one, np.float32(missing), out.reshape(-1))
    return out


def _ready(image: npt.NDArray[np.floating], valid: Mask) -> tuple[Image, Mask, bool]:
    """Image with zeros where missing and mask, as kernels want them; is nothing missing?"""
    complete = bool(valid.all())
    data = np.require(image, np.float32, ["C", "W"]) if complete else filled(image, valid, 0)
    return data, np.require(valid, np.bool_, ["C", "W"]), complete


def gaussian_taps(sigma: float) -> Image:
    """Samples of a Gaussian at 0, 1, ... out to four sigma, with unit sum over both sides.

    Zeros follow until there are one and a multiple of four.
    """
    half = int(np.ceil(4 * sigma))
    taps = np.exp(-0.5 * (np.arange(half + 1) / sigma) ** 2)
    taps /= taps[0] + 2 * taps[1:].sum()
    return np.pad(taps, (0, -half % 4)).astype(np.float32)


def _inverse_share(size: int, taps: Image) -> Image:
    """One over the sum of the taps that lie inside an axis of `size` pixels, for each of them."""
    both = np.concatenate([taps[:0:-1], taps]).astype(np.float64)
    share = np.convolve(np.ones(size), both)[taps.size - 1 :][:size]
    return np.asarray(1 / share, np.float32)


def high_pass(image: npt.NDArray[np.floating], valid: Mask, sigma: float) -> Image:
    """Image minus its local mean under a Gaussian.

    Parameters
    ----------
    image : numpy.ndarray
        (y, x), any unit.
    valid : numpy.ndarray
        False where the image is missing.
    sigma : float
        Standard deviation of the Gaussian, pixels; it ends at four of them.

    Returns
    -------
    numpy.ndarray
        float32, in the image's unit; zero where missing.

    Notes
    -----
    Normalised convolution: x - (g * x v) / (g * v), with v one where valid and zero elsewhere.

    References
    ----------
    Knutsson, H. and Westin, C.-F. (1993). Normalized and differential convolution. CVPR, 515-523.
    """
    from glaciertoolkit.tracking.kernels.filters import subtract_smooth, subtract_smooth_masked

    data, known, complete = _ready(image, valid)
    taps = gaussian_taps(sigma)
    if complete:
        shares = (_inverse_share(n, taps) for n in data.shape)
        return np.asarray(subtract_smooth(data, taps, *shares))
    return np.asarray(subtract_smooth_masked(data, known.astype(np.float32), taps))


def box_high_pass(image: npt.NDArray[np.floating], valid: Mask, width: int) -> Image:
    """Image minus its local mean over `width` x `width` pixels (an odd number).

    Returns float32 in the image's unit; zero where missing. The cost does not depend on the width.
    """
    from glaciertoolkit.tracking.kernels.filters import local_statistics

    data, known, _ = _ready(image, valid)
    return np.asarray(local_statistics(data, known, width)[0])


def wallis(
    image: npt.NDArray[np.floating], valid: Mask, width: int, *, least: float | None = None
) -> Image:
    """Image brought to the same local mean (0) and local contrast (about 1) everywhere.

    Parameters
    ----------
    image : numpy.ndarray
        (y, x), any unit.
    valid : numpy.ndarray
        False where the image is missing.
    width : int
        Edge of the neighbourhood, an odd number of pixels.
    least : float, optional
        Contrast (standard deviation) that still is rounding, in the image's unit; by default
        `FLATNESS` of the largest value.

    Returns
    -------
    numpy.ndarray
        float32, without unit; zero where missing.

    Notes
    -----
    (x - m) / sqrt(s**2 + f**2) with the local mean m and standard deviation s over valid pixels.
    The floor f is `WALLIS_FLOOR` of the median contrast of the window, among what is no rounding,
    and at least four times `least`: without it flat ground would be blown up to noise.

    References
    ----------
    Wallis, R. (1976). An approach to the space variant restoration and enhancement of images.
    Gardner, A. S. et al. (2018). Increased West Antarctic and unchanged East Antarctic ice
    discharge over the last 7 years. The Cryosphere, 12, 521-547 (autoRIFT).
    """
    if least is None:
        least = FLATNESS * float(np.abs(image).max(initial=0, where=valid))
    return wallis_and_floor(image, valid, width, least)[0]


def wallis_and_floor(
    image: npt.NDArray[np.floating], valid: Mask, width: int, least: float
) -> tuple[Image, float]:
    """`wallis`, and the output's contrast where that of the image is `least`."""
    from glaciertoolkit.tracking.kernels.filters import local_statistics

    data, known, _ = _ready(image, valid)
    deviation, variance = local_statistics(data, known, width)
    # Neighbours half a width apart know about as much as all pixels.
    apart = max(width // 2, 1)
    sample = variance[apart // 2 :: apart, apart // 2 :: apart]
    textured = sample[sample > least**2]
    typical = float(np.sqrt(np.median(textured))) if textured.size else 0.0
    # A window without any contrast has zeros to divide.
    floor = max(WALLIS_FLOOR * typical, 4 * least) or 1.0
    variance += np.float32(floor**2)
    np.sqrt(variance, out=variance)
    deviation /= variance
    return deviation, least / float(np.hypot(least, floor))


def sobel(image: npt.NDArray[np.floating], valid: Mask) -> tuple[Image, Mask]:
    """Length of the gradient: edges, whichever side is the brighter one.

    Returns float32 in the image's unit per pixel, zero where missing, and where it is valid: a
    pixel is missing where any pixel of its 3 x 3 is, or lies outside the array.
    """
    from glaciertoolkit.tracking.kernels.filters import gradient_magnitude

    data, known, _ = _ready(image, valid)
    out, ok = gradient_magnitude(data, known)
    return out, ok


def logarithm(image: npt.NDArray[np.floating], valid: Mask) -> tuple[Image, Mask]:
    """Natural logarithm: makes the multiplicative noise of radar images additive.

    Returns float32, zero where missing, and where it is valid: zero and less have no logarithm.
    """
    known = valid & (image > 0)
    # The logarithm of one is zero; whole arrays are several times faster than `where=`.
    return np.log(filled(image, known, 1)), known


def orientation(
    image: npt.NDArray[np.floating], valid: Mask, *, flat: float = 0.0
) -> tuple[Image, Image, Mask]:
    """Direction in which the image becomes brighter, as a unit phasor.

    Parameters
    ----------
    image : numpy.ndarray
        (y, x), any unit.
    valid : numpy.ndarray
        False where the image is missing.
    flat : float, optional
        Gradients no longer than this, in the image's unit per pixel, have no direction; what
        float32 leaves of a constant, if the image was filtered before.

    Returns
    -------
    cosine, sine : numpy.ndarray
        float32; parts of the gradient along x (columns) and y (rows), divided by its length. Both
        zero where flat or missing.
    valid : numpy.ndarray
        False where the pixel or one of its four neighbours is missing or outside the array.

    Notes
    -----
    sgn(dA/dx + j dA/dy), sgn(z) = z / abs(z) and 0 for 0, with central differences: neither gain
    nor offset nor slow changes of the light matter.

    References
    ----------
    Fitch, A. J. et al. (2002). Orientation correlation. BMVC, 133-142.
    Heid, T. and Kaab, A. (2012). Evaluation of existing image matching methods for deriving
    glacier surface displacements globally from optical satellite imagery. Remote Sensing of
    Environment, 118, 339-355.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.arange(5.0) * np.ones((5, 1))
    >>> cosine, sine, valid = orientation(ramp, np.ones((5, 5), bool))
    >>> float(cosine[2, 2]), float(sine[2, 2]), int(valid.sum())
    (1.0, 0.0, 9)
    """
    from glaciertoolkit.tracking.kernels.filters import gradient_phasor

    data, known, _ = _ready(image, valid)
    cosine, sine, ok = gradient_phasor(data, known, float(flat))
    return cosine, sine, ok
