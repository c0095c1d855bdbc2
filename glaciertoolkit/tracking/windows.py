"""The two image windows of a tile, prepared once and cut wherever posts need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile, Window
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.prepare import Image, Mask, prepare

Kind = TypeVar("Kind", bound=np.generic)

CONSTANT_EDGE = 16
"""Squares of so many equal pixels are no ground; saturated and shaded spots are smaller."""


class Layer(NamedTuple):
    """One prepared image window: planes of values (most often one), where they are valid.

    `planes`: float32 (planes, rows, columns), zero where missing; `constant`: which of the missing
    pixels hold a value, but the same over a whole area (None: there is no such area); `floor`: the
    standard deviation below which a template counts as constant; (`y`, `x`): its first pixel in
    the whole image.
    """

    planes: npt.NDArray[np.float32]
    valid: Mask
    constant: Mask | None
    floor: float
    y: int
    x: int

    def cut(self, y: int, x: int, rows: int, cols: int) -> npt.NDArray[np.float32]:
        """All planes of rows x cols pixels from (y, x) of the whole image on; zero beyond.

        A view of a single plane where that lies inside.
        """
        parts = [_cut(p, y - self.y, x - self.x, rows, cols) for p in self.planes]
        return parts[0][None] if len(parts) == 1 else np.stack(parts)

    def cut_mask(self, y: int, x: int, rows: int, cols: int) -> Mask:
        """Where the same pixels are valid."""
        return _cut(self.valid, y - self.y, x - self.x, rows, cols)

    def cut_present(self, y: int, x: int, rows: int, cols: int) -> Mask:
        """Where they hold a value, be it the same over a whole area."""
        present = self.valid if self.constant is None else self.valid | self.constant
        return _cut(present, y - self.y, x - self.x, rows, cols)

    def bounds(self, y: int, x: int, rows: int, cols: int) -> tuple[int, int, int, int]:
        """First and last (excluded) of the same rows, and columns, that lie in the window."""
        top, left = y - self.y, x - self.x
        height, width = self.valid.shape
        return max(-top, 0), min(height - top, rows), max(-left, 0), min(width - left, cols)


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
    reach = parameters.reach
    return _around(parameters, tile, [(-reach[0], -reach[1]), reach], parameters.search)


def _around(
    p: TrackParameters, tile: Tile, offsets: Sequence[tuple[int, int]], search: tuple[int, int]
) -> Window:
    """The pixels of all templates of `tile`, moved by `offsets` and searched about them."""
    edges = []
    for axis, (first, last) in enumerate(((tile.y0, tile.y1), (tile.x0, tile.x1))):
        margin = search[axis] + p.halo + (p.largest[axis] - p.template[axis]) // 2
        moved = [offset[axis] for offset in offsets]
        start = first * p.step[axis] - margin + min(moved)
        stop = (last - 1) * p.step[axis] + p.template[axis] + margin + max(moved)
        edges += [max(start, 0), min(stop, p.shape[axis])]
    return Window(*edges)


class Windows(NamedTuple):
    """Both layers of a tile, in the pixels that are matched (oversampled ones, if so)."""

    reference: Layer
    secondary: Layer
    parameters: TrackParameters

    def first_pixel(self, part: Tile, template: tuple[int, int]) -> tuple[int, int]:
        """First pixel (y, x) of the first template of `part`, about the posts' own centres."""
        p = self.parameters
        y, x = (
            first * step - (edge - own) // 2
            for first, step, edge, own in zip(
                (part.y0, part.x0), p.step, template, p.template, strict=True
            )
        )
        return y, x


def open_windows(
    reference: npt.NDArray[np.generic],
    secondary: npt.NDArray[np.generic],
    tile: Tile,
    window: Window,
    offsets: Sequence[tuple[int, int]],
    parameters: TrackParameters,
) -> Windows:
    """Oversample, detect and filter what the posts of a tile need of the two images.

    Parameters
    ----------
    reference, secondary : numpy.ndarray
        The pixels of `window`, of the two images.
    tile : Tile
        The posts.
    window : Window
        Where they lie in the whole image.
    offsets : sequence of (int, int)
        Whole pixels (y, x) about which parts of the tile are searched.
    parameters : TrackParameters
        What was asked for, in pixels of the image.
    """
    needs = (
        _around(parameters, tile, [(0, 0)], (0, 0)),
        _around(parameters, tile, offsets, parameters.search),
    )
    reference_layer, secondary_layer = (
        _layer(image, window, need, parameters)
        for image, need in zip((reference, secondary), needs, strict=True)
    )
    return Windows(reference_layer, secondary_layer, parameters.fine)


def _layer(
    image: npt.NDArray[np.generic], window: Window, need: Window, parameters: TrackParameters
) -> Layer:
    """What of an image window is needed, prepared."""
    y = min(max(need.y0, window.y0), window.y1 - 1)
    x = min(max(need.x0, window.x0), window.x1 - 1)
    rows = slice(y - window.y0, max(need.y1, y + 1) - window.y0)
    columns = slice(x - window.x0, max(need.x1, x + 1) - window.x0)
    shown, constant = without_constant_areas(image[rows, columns])
    planes, valid, floor = _planes(_oversampled(shown, parameters), parameters.fine)
    n = parameters.oversample
    if constant is not None and n > 1:
        constant = constant.repeat(n, axis=0).repeat(n, axis=1)
    return Layer(planes, valid, constant, floor, y * n, x * n)


def without_constant_areas(
    image: npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.generic], Mask | None]:
    """The image with NaN where it shows nothing but one value, and where that is (None: nowhere).

    Frames and stripes do not move with the ground, and their edges are the strongest there are:
    a template that holds one would match it instead of the surface.
    """
    from glaciertoolkit.tracking.kernels import constant

    values = np.ascontiguousarray(image.real if np.iscomplexobj(image) else image)
    if not constant.has_runs(values, CONSTANT_EDGE):
        return image, None
    found: Mask = constant.constant_squares(values, CONSTANT_EDGE)
    if np.iscomplexobj(image):
        found &= constant.constant_squares(np.ascontiguousarray(image.imag), CONSTANT_EDGE)
    if not found.any():
        return image, None
    kind = np.complex64 if np.iscomplexobj(image) else np.float32
    with np.errstate(over="ignore"):
        shown = image.astype(kind)
    shown[found] = np.nan
    return shown, found


def _oversampled(
    image: npt.NDArray[np.generic], parameters: TrackParameters
) -> npt.NDArray[np.generic]:
    """The window on the pixels that are matched."""
    if parameters.oversample == 1:
        return image
    from glaciertoolkit.tracking.oversample import carrier, double

    centre = carrier(image) if np.iscomplexobj(image) else (0.0, 0.0)
    values, valid = double(image, centre)
    return np.asarray(np.where(valid, values, values.dtype.type(np.nan)))


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
