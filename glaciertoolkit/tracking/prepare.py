"""A window of an image made ready for matching."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.tracking import prefilters
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.prefilters import FLATNESS
from glaciertoolkit.tracking.prefilters import Image as Image
from glaciertoolkit.tracking.prefilters import Mask as Mask

ABSURD = 1e18
"""Larger values are no measurement but an undeclared "no data"; they count as missing."""
SOBEL_OF_NOISE = 0.28
"""Standard deviation of the gradient's length in white noise of standard deviation 1."""


class Prepared(NamedTuple):
    """A window ready for matching.

    `image`: float32, zero where missing, with a mean close to zero and a spread close to one, so
    that float32 sums of products keep their digits. `valid`: where it is not missing. `floor`:
    standard deviation, in the units of `image`, below which a window is constant.
    """

    image: Image
    valid: Mask
    floor: float


class _Standard(NamedTuple):
    """A window on a common scale; `largest` magnitude as it was, times `scale`."""

    image: Image
    valid: Mask
    largest: float
    scale: float


def _standardise(data: Image) -> _Standard:
    """Mean close to 0, spread close to 1, zero where missing; `data` is used up."""
    from glaciertoolkit.tracking.kernels import filters

    valid = np.empty(data.shape, np.bool_)
    flat, flat_valid = data.reshape(-1), valid.reshape(-1)
    limit = np.float32(ABSURD).view(np.int32)
    _, bits, mean, spread = filters.survey(flat, flat.view(np.int32), limit, flat_valid)
    largest = float(np.int32(bits).view(np.float32))
    # A power of two changes no digit of the data, whatever their unit.
    scale = 2.0 ** -round(math.log2(min(max(spread, 2.0**-100), 2.0**100))) if spread > 0 else 1.0
    zero = np.float32(0)
    filters.standardise(flat, flat_valid, np.float32(mean), np.float32(scale), zero, flat)
    return _Standard(data, valid, largest * scale, scale)


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
        data = np.array(image, np.float32, order="C")
    kind = parameters.prefilter
    if kind == "log":
        data = prefilters.filled(*prefilters.logarithm(data, data < ABSURD), np.nan)
    data, valid, largest, scale = _standardise(data)
    if kind == "log":
        # What float32 rounds of a value is a share of it, so of its logarithm a share of one.
        largest = max(largest, scale)
    floor = FLATNESS * max(largest, 1e-3)
    if kind in ("highpass", "log"):
        data = prefilters.high_pass(data, valid, parameters.prefilter_sigma)
    elif kind == "box":
        data = prefilters.box_high_pass(data, valid, parameters.prefilter_width)
    elif kind == "wallis":
        data, floor = prefilters.wallis_and_floor(data, valid, parameters.prefilter_width, floor)
    elif kind == "sobel":
        return _edges(data, valid, floor)
    return Prepared(data, valid, floor)


def _edges(data: Image, valid: Mask, floor: float) -> Prepared:
    """The gradient's length, on a common scale again."""
    out = _standardise(prefilters.filled(*prefilters.sobel(data, valid), np.nan))
    return Prepared(
        out.image, out.valid, max(SOBEL_OF_NOISE * floor * out.scale, FLATNESS * out.largest)
    )
