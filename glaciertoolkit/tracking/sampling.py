"""Images made ready to be sampled between their pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NUGGET = 0.01
"""Share of a pixel's variance that its neighbours say nothing about, for filling gaps."""
SWEEPS = 3
"""Times that gaps are filled from their rims inwards."""
WELL_KNOWN = 0.3
"""Share of the pixels of a neighbourhood that must be valid for a prediction to be trusted."""


def fill_gaps(image: Image, valid: Mask) -> Image:
    """Missing pixels predicted from valid ones near by, so that a spline through them is sane.

    Parameters
    ----------
    image : numpy.ndarray
        float32, 2-D; what it holds where it is missing does not matter.
    valid : numpy.ndarray
        Where it is not missing.

    Returns
    -------
    numpy.ndarray
        `image`, its gaps filled from their rims inwards as far as six pixels, 0 beyond.

    Notes
    -----
    Best linear prediction (simple kriging) from the valid pixels of a 5 x 5 neighbourhood, under a
    Gaussian covariance as rough as an image can be that is sampled finely enough. With 40 % of the
    pixels missing at random the error of the others is a sixth of a rough image's own spread.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.cos(np.arange(24) / 4)[:, None] * np.ones((24, 24), "float32")
    >>> valid = np.ones((24, 24), bool)
    >>> valid[11, 12] = False
    >>> filled = fill_gaps(np.where(valid, image, np.nan), valid)
    >>> bool(abs(filled[11, 12] - image[11, 12]) < 0.05)
    True
    """
    from glaciertoolkit.tracking.kernels import spline

    if valid.all():
        return image
    image = np.where(valid, image, np.float32(0)).astype(np.float32)
    for _ in range(SWEEPS):
        image, valid = spline.fill_once(image, valid, spline.gap_covariance(), NUGGET)
    return image


class Sampled(NamedTuple):
    """What sampling an image needs, flat: its spline coefficients and where to trust them, in rows
    of `width`.

    With `kernels.warp.PAD` values before its first pixel and more than that after its last.
    """

    coefficients: Array
    valid: Array
    width: int
    shape: tuple[int, int]


def sampled(image: Image, valid: Mask) -> Sampled:
    """Spline coefficients of an image whose gaps are filled, and where to trust them.

    That is where it was `valid` before the filling, but for the rims of wide gaps: what is filled
    in there is a guess, and the spline carries it over the rim.
    """
    from glaciertoolkit.tracking.kernels import spline, warp

    before, after = warp.PAD, warp.PAD + 2 * warp.LANES
    reach = spline.REACH
    margin = (before + reach, after + reach)
    taps = spline.coefficient_taps()
    wide = np.pad(image, (margin, margin), mode="edge")
    coefficients = spline.along_columns(spline.along_rows(wide, taps), taps)
    weights = np.pad(_trusted(valid).astype(np.float32), ((before, after), (before, after)))
    rows, columns = image.shape
    return Sampled(coefficients.ravel(), weights.ravel(), coefficients.shape[1], (rows, columns))


def _trusted(valid: Mask) -> Mask:
    """Valid pixels with no gap near by whose filling has few valid pixels to go by."""
    from glaciertoolkit.tracking.kernels import spline

    if valid.all():
        return valid
    reach = spline.GAP_REACH

    def neighbours(mask: Mask) -> Array:
        ones = np.ones(2 * reach + 1, np.float32)
        wide = np.pad(mask.astype(np.float32), reach, mode="edge")
        return np.asarray(spline.along_columns(spline.along_rows(wide, ones), ones), np.float32)

    guessed = ~valid & (neighbours(valid) < WELL_KNOWN * (2 * reach + 1) ** 2)
    return np.asarray(valid & (neighbours(guessed) < 0.5))


class Templates(NamedTuple):
    """An image from which templates are taken, flat in rows of `width`: it, its validity, its
    gradients along x and y and their divergence."""

    image: Array
    valid: Array
    gx: Array
    gy: Array
    divergence: Array
    width: int


def templates(image: Image, valid: Mask) -> Templates:
    """Gradients of an image whose gaps are filled, and where it was `valid` before."""
    from glaciertoolkit.tracking.kernels import spline, warp

    once = spline.derivative_taps()
    # What the interpolated image's own derivative does, to first order, to the gradients.
    twice = np.convolve(once, spline.exact_derivative_taps()).astype(np.float32)
    near, far = once.size // 2, twice.size // 2
    wide = np.pad(image, far, mode="edge")
    inner, less = slice(far, -far), slice(far - near, near - far)
    gx = spline.along_rows(np.ascontiguousarray(wide[inner, less]), once)
    gy = spline.along_columns(np.ascontiguousarray(wide[less, inner]), once)
    divergence = spline.along_rows(np.ascontiguousarray(wide[inner]), twice)
    divergence += spline.along_columns(np.ascontiguousarray(wide[:, inner]), twice)

    def flat(values: npt.NDArray[np.generic]) -> Array:
        padded = np.pad(np.asarray(values, np.float32), ((0, 0), (0, warp.LANES)))
        return np.asarray(padded.ravel(), np.float32)

    width = image.shape[1] + warp.LANES
    return Templates(flat(image), flat(valid), flat(gx), flat(gy), flat(divergence), width)
