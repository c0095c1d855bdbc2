"""Prefilters: what is done to a window of an image before it is matched."""

from __future__ import annotations

import math
from typing import NamedTuple

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


FLATNESS = 1e-6
"""A window whose standard deviation is below this share of the largest value is constant: that
is what float32 leaves of a constant."""
ABSURD = 1e18
"""Larger values are no measurement but an undeclared "no data"; they count as missing."""


class Prepared(NamedTuple):
    """A window ready for matching.

    `image`: float32, zero where missing, with a mean close to zero and a spread close to one, so
    that float32 sums of products keep their digits. `valid`: where it is not missing. `floor`:
    standard deviation, in the units of `image`, below which a window is constant.
    """

    image: Image
    valid: Mask
    floor: float


def prepare(image: npt.NDArray[np.generic], parameters: TrackParameters) -> Prepared:
    """A window of an image made ready for matching.

    Parameters
    ----------
    image : numpy.ndarray
        2-D; NaN, infinite or absurdly large where there is no data.
    parameters : TrackParameters
        Says which prefilter.

    Returns
    -------
    Prepared
    """
    with np.errstate(over="ignore"):
        data = np.asarray(image, np.float32)
    valid = np.isfinite(data) & (np.abs(data) < ABSURD)
    if parameters.prefilter == "log":
        valid &= data > 0
        data = np.log(np.where(valid, data, np.float32(1)))
    data = np.where(valid, data, np.float32(0))
    largest = float(np.abs(data).max(initial=0))
    count = max(int(valid.sum()), 1)
    mean = data.sum(dtype=np.float64) / count
    data = np.where(valid, data - np.float32(mean), np.float32(0))
    spread = math.sqrt(float((data.astype(np.float64) ** 2).sum()) / count)
    # A power of two changes no digit of the data, whatever their unit.
    scale = 2.0 ** -round(math.log2(spread)) if spread > 0 else 1.0
    data *= np.float32(scale)
    if parameters.prefilter != "none":
        data = high_pass(data, valid, parameters.prefilter_sigma)
    return Prepared(data, valid, FLATNESS * max(largest * scale, 1e-3))
