"""The two image windows of a tile, prepared once and cut wherever posts need them."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile, Window
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.prepare import Image, Mask, prepare

Kind = TypeVar("Kind", bound=np.generic)


class Layer(NamedTuple):
    """One prepared image window: planes of values (most often one), where they are valid.

    `planes`: float32 (planes, rows, columns), zero where missing; `floor`: the standard deviation
    below which a template counts as constant; (`y`, `x`): its first pixel in the whole image.
    """

    planes: npt.NDArray[np.float32]
    valid: Mask
    floor: float
    y: int
    x: int

    def cut(self, y: int, x: int, rows: int, cols: int) -> npt.NDArray[np.float32]:
        """All planes of rows x cols pixels from (y, x) of the whole image on; zero beyond."""
        return np.stack([_cut(p, y - self.y, x - self.x, rows, cols) for p in self.planes])

    def cut_mask(self, y: int, x: int, rows: int, cols: int) -> Mask:
        """Where the same pixels are valid."""
        return _cut(self.valid, y - self.y, x - self.x, rows, cols)

    def cut_inside(self, y: int, x: int, rows: int, cols: int) -> Mask:
        """Which of the same pixels lie in the window at all."""
        inside = np.zeros((rows, cols), bool)
        top, left = y - self.y, x - self.x
        height, width = self.valid.shape
        inside[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)] = True
        return inside


def _cut(data: npt.NDArray[Kind], y: int, x: int, rows: int, cols: int) -> npt.NDArray[Kind]:
    """Rows x cols of `data` from (y, x), zero (False) beyond its edges; a view where it can be."""
    top, left = max(y, 0), max(x, 0)
    part = data[top : max(y + rows, 0), left : max(x + cols, 0)]
    if part.shape == (rows, cols):
        return part
    out = np.zeros((rows, cols), data.dtype)
    if part.size:
        out[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
    return out


def image_window(parameters: TrackParameters, tile: Tile) -> Window:
    """The pixels that the posts of `tile` need: templates, search, prior and prefilter, clipped."""
    edges = []
    for axis, (first, last) in enumerate(((tile.y0, tile.y1), (tile.x0, tile.x1))):
        step = parameters.step[axis]
        wider = (parameters.largest[axis] - parameters.template[axis]) // 2
        margin = parameters.search[axis] + parameters.reach[axis] + parameters.halo + wider
        start = first * step - margin
        stop = (last - 1) * step + parameters.template[axis] + margin
        edges += [max(start, 0), min(stop, parameters.shape[axis])]
    return Window(*edges)


class Windows(NamedTuple):
    """Both layers of a tile, in the pixels that are matched (oversampled ones, if so)."""

    reference: Layer
    secondary: Layer
    parameters: TrackParameters


def open_windows(
    reference: npt.NDArray[np.generic],
    secondary: npt.NDArray[np.generic],
    window: Window,
    parameters: TrackParameters,
) -> Windows:
    """Oversample, detect and filter the two windows of a tile.

    Parameters
    ----------
    reference, secondary : numpy.ndarray
        The pixels of `window`, of the two images.
    window : Window
        Where they lie in the whole image.
    parameters : TrackParameters
        What was asked for, in pixels of the image.
    """
    fine = parameters.fine
    layers = []
    images = _oversampled(reference, secondary, parameters)
    scale = parameters.oversample
    for image in images:
        planes, valid, floor = _planes(image, fine)
        layers.append(Layer(planes, valid, floor, window.y0 * scale, window.x0 * scale))
    return Windows(layers[0], layers[1], fine)


def _oversampled(
    reference: npt.NDArray[np.generic],
    secondary: npt.NDArray[np.generic],
    parameters: TrackParameters,
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    """The windows on the pixels that are matched."""
    if parameters.oversample == 1:
        return reference, secondary
    from glaciertoolkit.tracking.oversample import carrier, double

    out = []
    for image in (reference, secondary):
        centre = carrier(image) if np.iscomplexobj(image) else (0.0, 0.0)
        values, valid = double(image, centre)
        out.append(np.where(valid, values, values.dtype.type(np.nan)))
    return out[0], out[1]


def _planes(
    image: npt.NDArray[np.generic], parameters: TrackParameters
) -> tuple[npt.NDArray[np.float32], Mask, float]:
    """What is correlated: the filtered image; the cosine and sine of its gradient; re and im."""
    if parameters.method == "coherent":
        return _complex_planes(image)
    prepared = prepare(np.abs(image) if np.iscomplexobj(image) else image, parameters)
    if parameters.method == "orientation":
        from glaciertoolkit.tracking.prefilters import orientation

        cosine, sine, valid = orientation(prepared.image, prepared.valid, flat=prepared.floor)
        return np.stack([cosine, sine]), valid, prepared.floor
    return prepared.image[None], prepared.valid, prepared.floor


def _complex_planes(
    image: npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.float32], Mask, float]:
    """Real and imaginary part, zero where missing, scaled by a power of two to a spread near 1."""
    data = np.asarray(image, np.complex64)
    valid: Mask = np.isfinite(data) & (data != 0)
    data = np.where(valid, data, np.complex64(0))
    power = float((data.real.astype(np.float64) ** 2 + data.imag.astype(np.float64) ** 2).mean())
    scale = np.float32(2.0 ** -round(np.log2(power) / 2)) if power > 0 else np.float32(1)
    return np.stack([data.real * scale, data.imag * scale]).astype(np.float32), valid, 0.0


def surface_images(windows: Windows) -> tuple[Image, Image]:
    """A plane of each image whose spectra tell what a surface of noise looks like."""
    return windows.reference.planes[0], windows.secondary.planes[0]
