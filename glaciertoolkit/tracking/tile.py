"""One tile of posts: two image windows in, all tracking variables out."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile, Window
from glaciertoolkit.conventions import Flag
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.prepare import Image, Mask, prepare
from glaciertoolkit.tracking.quality import detection_threshold, match_covariance, surface_noise

PLANES = (
    "dx", "dy", "dx_error", "dy_error", "dxdy_covariance", "correlation", "snr", "peak_ratio",
    "flag",
)  # fmt: skip

Kind = TypeVar("Kind", bound=np.generic)


def image_window(parameters: TrackParameters, tile: Tile) -> Window:
    """The pixels that the posts of `tile` need: templates, search and prefilter, clipped."""
    edges = []
    for axis, (first, last) in enumerate(((tile.y0, tile.y1), (tile.x0, tile.x1))):
        step, margin = parameters.step[axis], parameters.search[axis] + parameters.halo
        start = first * step - margin
        stop = (last - 1) * step + parameters.template[axis] + margin
        edges += [max(start, 0), min(stop, parameters.shape[axis])]
    return Window(*edges)


def _cut(data: npt.NDArray[Kind], y: int, x: int, rows: int, cols: int) -> npt.NDArray[Kind]:
    """Rows x cols of `data` from (y, x), zero (False) beyond its edges."""
    out = np.zeros((rows, cols), data.dtype)
    top, left = max(y, 0), max(x, 0)
    part = data[top : max(y + rows, 0), left : max(x + cols, 0)]
    out[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
    return out


class Windows:
    """Reference and secondary of a tile on the lattice of its blocks, cut from prepared windows."""

    def __init__(
        self, reference: npt.NDArray[np.generic], secondary: npt.NDArray[np.generic],
        tile: Tile, window: Window, parameters: TrackParameters,
    ) -> None:  # fmt: skip
        self.parameters, self.tile = parameters, tile
        sy, sx = parameters.search
        rows, cols = (
            (n - 1) * s + t
            for n, s, t in zip(tile.shape, parameters.step, parameters.template, strict=True)
        )
        y = tile.y0 * parameters.step[0] - window.y0
        x = tile.x0 * parameters.step[1] - window.x0
        a, a_valid, a_floor = prepare(reference, parameters)
        b, b_valid, b_floor = prepare(secondary, parameters)
        self.noise = surface_noise(a, b)
        self.floor = (a_floor, b_floor)
        self.a: Image = _cut(a, y, x, rows, cols)
        self.a_valid: Mask = _cut(a_valid, y, x, rows, cols)
        spread = (rows + 2 * sy, cols + 2 * sx)
        self.b: Image = _cut(b, y - sy, x - sx, *spread)
        self.b_valid: Mask = _cut(b_valid, y - sy, x - sx, *spread)
        inside = np.ones(b.shape, bool)
        self.b_inside: Mask = _cut(inside, y - sy, x - sx, *spread)
        self.complete = bool(self.a_valid.all() and (self.b_valid == self.b_inside).all())

    def at_posts(self, values: Image) -> Image:
        """Window values (by first pixel) of the reference at the posts."""
        ky, kx = self.parameters.step
        ny, nx = self.tile.shape
        return values[: (ny - 1) * ky + 1 : ky, : (nx - 1) * kx + 1 : kx]


def _surfaces(w: Windows) -> tuple[npt.NDArray[np.float32], Image, Image]:
    """Correlation surfaces (offsets, posts_y, posts_x), template contrast, valid share."""
    from glaciertoolkit.tracking.kernels import ncc

    p = w.parameters
    g, (ty, tx), (ky, kx) = p.block, p.template, p.step
    ny, nx = w.tile.shape
    noffsets = p.offsets
    a_rows, a_cols = w.a.shape
    b_rows = w.b.shape[0]
    blocks_y, blocks_x = a_rows // g, a_cols // g
    a_lanes = -(-blocks_x // 16) * 16
    b_lanes = a_lanes + (2 * p.search[1]) // g + 2
    everywhere = np.ones(w.a.shape, bool)

    def pack_a(image: Image) -> Image:
        return np.asarray(ncc.deinterleave(image, g, a_lanes))

    def pack_b(image: Image) -> Image:
        return np.asarray(ncc.deinterleave(image, g, b_lanes))

    surface = np.empty((noffsets[0] * noffsets[1], ny, nx), np.float32)
    share = np.ones((ny, nx), np.float32)
    layout = (g, ky, kx, ty, tx, blocks_y, a_rows, b_rows, a_lanes, b_lanes)
    w_lanes = nx + (2 * p.search[1]) // kx + 2
    if w.complete:
        total, inverse = ncc.window_statistics(w.b, w.b_inside, ty, tx, w.floor[1])
        total_a, inverse_a = (
            w.at_posts(v) for v in ncc.window_statistics(w.a, everywhere, ty, tx, w.floor[0])
        )
        mean_a = (total_a / np.float32(ty * tx)).astype(np.float32)
        ncc.correlate(
            pack_a(w.a), pack_b(w.b),
            ncc.deinterleave(total, kx, w_lanes), ncc.deinterleave(inverse, kx, w_lanes),
            mean_a, np.ascontiguousarray(inverse_a),
            *layout, total.shape[0], w_lanes, *noffsets, surface,
        )  # fmt: skip
        return surface, np.asarray(inverse_a, np.float32), share
    ma, mb = w.a_valid.astype(np.float32), w.b_valid.astype(np.float32)
    within = w.b_inside.astype(np.float32)
    inside = ncc.window_statistics(within, w.b_inside, ty, tx, 0.0)[0] == ty * tx
    counts = w.at_posts(ncc.window_statistics(ma, everywhere, ty, tx, 0.0)[0])
    share = (counts / np.float32(ty * tx)).astype(np.float32)
    ncc.correlate_masked(
        pack_a(w.a), pack_a(w.a**2), pack_a(ma), pack_b(w.b), pack_b(w.b**2), pack_b(mb),
        ncc.deinterleave(inside.astype(np.float32), kx, w_lanes),
        np.float32(p.min_valid * ty * tx), np.float32(w.floor[0]), np.float32(w.floor[1]),
        *layout, inside.shape[0], w_lanes, *noffsets, surface,
    )  # fmt: skip
    inverse_a = w.at_posts(ncc.window_statistics(w.a, everywhere, ty, tx, w.floor[0])[1])
    return surface, np.asarray(inverse_a, np.float32), share


def _flags(
    found: npt.NDArray[np.float32],
    contrast: Image,
    share: Image,
    threshold: Image,
    parameters: TrackParameters,
) -> npt.NDArray[np.uint32]:
    """Why each post is missing or doubtful."""
    from glaciertoolkit.tracking.kernels import subpixel

    status = found[subpixel.STATUS].astype(np.uint32)
    empty = (status & subpixel.EMPTY) > 0
    flat = contrast <= 0
    nodata = share < parameters.min_valid
    flag = np.zeros(status.shape, np.uint32)
    flag[nodata | (empty & ~flat)] |= np.uint32(Flag.NODATA)
    flag[flat & ~nodata] |= np.uint32(Flag.LOW_CONTRAST)
    matched = ~(empty | flat | nodata)
    flag[matched & ((status & subpixel.EDGE) > 0)] |= np.uint32(Flag.SEARCH_EDGE)
    flag[matched & ((status & subpixel.CLIPPED) > 0)] |= np.uint32(Flag.IMAGE_EDGE)
    low = found[subpixel.PEAK] < np.maximum(threshold, parameters.min_correlation)
    flag[matched & low] |= np.uint32(Flag.LOW_CORRELATION)
    alone = found[subpixel.RATIO] < parameters.min_peak_ratio
    flag[matched & alone] |= np.uint32(Flag.AMBIGUOUS_PEAK)
    return flag


def track_tile(
    reference: npt.NDArray[np.generic],
    secondary: npt.NDArray[np.generic],
    tile: Tile,
    window: Window,
    *,
    parameters: TrackParameters,
) -> npt.NDArray[np.float32]:
    """Offsets of the posts of one tile: float32 of shape (len(PLANES), rows, columns).

    Displacements in metres along the grid's coordinates; the flag is exact in float32.
    """
    from glaciertoolkit.conventions import DOUBTFUL
    from glaciertoolkit.tracking.kernels import subpixel

    w = Windows(reference, secondary, tile, window, parameters)
    surface, contrast, share = _surfaces(w)
    found = subpixel.find_peaks(surface, *parameters.offsets, subpixel.interpolation_tables())
    pixels = np.maximum(share * np.float32(np.prod(parameters.template)), np.float32(1))
    threshold = detection_threshold(
        w.noise, pixels, offsets=len(surface), false_alarm=parameters.false_alarm
    )
    curvature = (found[subpixel.HXX], found[subpixel.HYY], found[subpixel.HXY])
    cxx, cyy, cxy = match_covariance(found[subpixel.PEAK], curvature, w.noise, pixels)
    flag = _flags(found, contrast, share, threshold, parameters)
    # A ridge or saddle instead of a peak has no position along its length.
    shapeless = np.isfinite(found[subpixel.DX]) & ~np.isfinite(cxx)
    flag[shapeless] |= np.uint32(Flag.AMBIGUOUS_PEAK)
    res_y, res_x = parameters.pixel
    out = np.empty((len(PLANES), *tile.shape), np.float32)
    out[0] = (found[subpixel.DX] - parameters.search[1]) * np.float32(res_x)
    out[1] = (found[subpixel.DY] - parameters.search[0]) * np.float32(res_y)
    out[2] = np.sqrt(cxx) * np.float32(abs(res_x))
    out[3] = np.sqrt(cyy) * np.float32(abs(res_y))
    out[4] = cxy * np.float32(res_x * res_y)
    out[5] = found[subpixel.PEAK]
    out[6] = found[subpixel.SNR]
    out[7] = found[subpixel.RATIO]
    out[8] = flag
    lost = (flag & ~np.uint32(DOUBTFUL)) > 0
    out[:5, lost] = np.nan
    return out
