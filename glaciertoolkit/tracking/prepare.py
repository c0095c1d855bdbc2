"""Prefilters: what is done to a window of an image before it is matched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glaciertoolkit.tracking.parameters import TrackParameters

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def gaussian_taps(sigma: float) -> npt.NDArray[np.float32]:
    """Samples of a Gaussian out to four sigma, with unit sum."""
    half = int(np.ceil(4 * sigma))
    k = np.arange(-half, half + 1)
    taps = np.exp(-0.5 * (k / sigma) ** 2)
    return np.asarray(taps / taps.sum(), np.float32)


def high_pass(image: Image, valid: Mask, sigma: float) -> Image:
    """Image minus its local mean (Gaussian), the mean taken over valid pixels only; 0 elsewhere."""
    from glaciertoolkit.tracking.kernels.filters import smooth

    taps = gaussian_taps(sigma)
    filled = np.where(valid, image, np.float32(0))
    weight = smooth(valid.astype(np.float32), taps) if not valid.all() else _edge(image.shape, taps)
    mean = smooth(filled, taps) / np.maximum(weight, np.float32(1e-6))
    return np.where(valid, filled - mean, np.float32(0))


def _edge(shape: tuple[int, ...], taps: npt.NDArray[np.float32]) -> Image:
    """Smoothed mask of an array that is valid everywhere: a product of two one-dimensional ones."""
    rows, cols = (
        np.convolve(np.ones(n, np.float32), taps)[taps.size // 2 :][:n] for n in shape[:2]
    )
    return np.outer(rows, cols).astype(np.float32)


def prepare(image: npt.NDArray[np.floating], parameters: TrackParameters) -> tuple[Image, Mask]:
    """A window of an image made ready for matching.

    Parameters
    ----------
    image : numpy.ndarray
        2-D, NaN or infinite where there is no data.
    parameters : TrackParameters
        Says which prefilter.

    Returns
    -------
    image, valid : numpy.ndarray
        float32 with zeros where not valid and a mean close to zero (so that float32 sums of
        products keep their digits), and where it is valid.
    """
    data = np.asarray(image, np.float32)
    valid = np.isfinite(data)
    if parameters.prefilter == "log":
        positive = data > 0
        valid &= positive
        data = np.log(np.where(positive, data, np.float32(1)))
    mean = data.mean(where=valid, dtype=np.float64) if valid.any() else 0.0
    data = np.where(valid, data - np.float32(mean), np.float32(0))
    if parameters.prefilter != "none":
        data = high_pass(data, valid, parameters.prefilter_sigma)
    return data, valid
