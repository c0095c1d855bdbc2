"""One tile of posts: two image windows in, all tracking variables out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile
from glaciertoolkit.conventions import DOUBTFUL, Flag
from glaciertoolkit.tracking.correlation import Peaks, correlate, rows_that_fit
from glaciertoolkit.tracking.match import Flags, Match, best
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.quality import (
    METHOD_ERROR,
    Residual,
    SurfaceNoise,
    detection_threshold,
    gradient_covariance,
    match_covariance,
    refuted,
    residual,
    shear_misfit,
    surface_noise,
    texture_pull,
    usual_loss,
)
from glaciertoolkit.tracking.refinement import refined_matches, without_gaps
from glaciertoolkit.tracking.texture import texture
from glaciertoolkit.tracking.windows import Windows, open_windows, surface_images

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

PLANES = (
    "dx", "dy", "dx_error", "dy_error", "dxdy_covariance", "correlation", "snr", "peak_ratio",
    "template_size", "effective_resolution", "dx_smear", "dy_smear", "flag",
)  # fmt: skip
Apply = Callable[..., Iterable[Any]]
PULL = 0.5
"""Pixels; where the texture would shift a match by more, the gradient is a wrong match's."""
EDGE_ERROR = 3.5
"""Pixels, times the square of the template's edge; measured on noise-free textures."""
GRADIENTS = ("dx_dx", "dx_dy", "dy_dx", "dy_dy")
QUALITY_PLANES = (*PLANES, *GRADIENTS, *(f"{name}_error" for name in GRADIENTS))


def planes_of(parameters: TrackParameters) -> tuple[str, ...]:
    """Names of the planes that `track_tile` returns."""
    return QUALITY_PLANES if parameters.mode == "quality" else PLANES


class _Found(NamedTuple):
    """Peaks of a tile and what belongs to them, put together from its parts."""

    peaks: Array
    contrast: Array
    share: Array
    present: Array


def _flags(found: _Found, threshold: Array, p: TrackParameters) -> Flags:
    """Why each post is missing or doubtful."""
    from glaciertoolkit.tracking.kernels import subpixel

    peaks = found.peaks
    status = peaks[subpixel.STATUS].astype(np.uint32)
    empty = (status & subpixel.EMPTY) > 0
    nodata = found.present < p.min_valid
    flat = (found.contrast <= 0) | ((found.share < p.min_valid) & ~nodata)
    flag = np.zeros(status.shape, np.uint32)
    flag[nodata | (empty & ~flat)] |= np.uint32(Flag.NODATA)
    flag[flat & ~nodata] |= np.uint32(Flag.LOW_CONTRAST)
    matched = ~(empty | flat | nodata)
    flag[matched & ((status & subpixel.EDGE) > 0)] |= np.uint32(Flag.SEARCH_EDGE)
    flag[matched & ((status & subpixel.CLIPPED) > 0)] |= np.uint32(Flag.IMAGE_EDGE)
    low = peaks[subpixel.PEAK] < np.maximum(threshold, p.min_correlation)
    flag[matched & low] |= np.uint32(Flag.LOW_CORRELATION)
    alone = peaks[subpixel.RATIO] < p.min_peak_ratio
    flag[matched & alone] |= np.uint32(Flag.AMBIGUOUS_PEAK)
    return flag


def _ensemble(
    pairs: Sequence[Windows], ratios: Sequence[float], part: Tile, template: tuple[int, int],
    offset: tuple[int, int],
) -> Peaks:  # fmt: skip
    """Peaks of the mean correlation volume of several pairs."""
    from glaciertoolkit.tracking.kernels import resample, subpixel, volume

    p = pairs[0].parameters
    ny, nx = part.shape
    total = np.zeros((ny, *p.offsets, -(-nx // 16) * 16), np.float32)
    counts = np.zeros((ny, total.shape[3]), np.float32)
    contrast, share, present = (np.zeros(part.shape, np.float32) for _ in range(3))
    for windows, ratio in zip(pairs, ratios, strict=True):
        wider = [math.ceil(s * ratio) + (0 if ratio == 1.0 else 2) for s in p.search]
        own = windows._replace(parameters=replace(p, search=(wider[0], wider[1])))
        found = correlate(own, part, template, offset, whole_volume=True)
        used = np.zeros(counts.shape, bool)
        used[:, :nx] = (found.contrast > 0) & (found.share >= p.min_valid)
        used &= (found.volume > volume.INVALID + 0.5).any(axis=(1, 2))
        resample.add_volume(found.volume, ratio, used, total)
        counts += used
        contrast = np.maximum(contrast, found.contrast)
        share = np.maximum(share, found.share)
        present = np.maximum(present, found.present)
    total /= np.maximum(counts, 1)[:, None, None, :]
    total[(total < -1.5) | (counts[:, None, None, :] == 0)] = volume.INVALID
    peaks = subpixel.find_peaks(total, nx, subpixel.interpolation_tables(), p.method == "coherent")
    return Peaks(peaks, total, contrast, share, present)


def _pixels(share: Array, template: tuple[int, int]) -> Array:
    """How many pixels of each template are valid."""
    pixels = np.maximum(share * np.float32(template[0] * template[1]), np.float32(1))
    return np.asarray(pixels, np.float32)


def rejection_threshold(
    noise: SurfaceNoise, share: Array, template: tuple[int, int], p: TrackParameters
) -> Array:
    """Correlation that unrelated images would reach, of templates with this share of pixels."""
    return detection_threshold(
        noise, _pixels(share, template), offsets=p.offsets[0] * p.offsets[1],
        false_alarm=p.false_alarm, magnitude=p.method == "coherent",
    )  # fmt: skip


def _search(
    pairs: Sequence[Windows], ratios: Sequence[float], tile: Tile, template: tuple[int, int],
    parts: list[tuple[Tile, tuple[int, int]]], apply: Apply,
) -> _Found:  # fmt: skip
    """Peaks of all posts of a tile, each part of it about its own whole-pixel prior."""
    from glaciertoolkit.tracking.kernels import subpixel

    p = pairs[0].parameters
    if len(pairs) > 1:
        n = rows_that_fit(pairs[0], tile)
        parts = [
            (Tile(first, min(first + n, tile.y1), tile.x0, tile.x1), (0, 0))
            for first in range(tile.y0, tile.y1, n)
        ]
    peaks = np.empty((subpixel.PLANES, *tile.shape), np.float32)
    contrast, share, present = (np.empty(tile.shape, np.float32) for _ in range(3))

    def fill(one: tuple[Tile, tuple[int, int]]) -> None:
        part, offset = one
        inside = (
            slice(part.y0 - tile.y0, part.y1 - tile.y0),
            slice(part.x0 - tile.x0, part.x1 - tile.x0),
        )
        if len(pairs) == 1:
            found = correlate(pairs[0], part, template, offset)
        else:
            found = _ensemble(pairs, ratios, part, template, offset)
        here = (slice(None), *inside)
        peaks[here] = found.peaks
        peaks[here][subpixel.DX] += np.float32(offset[1] - p.search[1])
        peaks[here][subpixel.DY] += np.float32(offset[0] - p.search[0])
        contrast[inside], share[inside] = found.contrast, found.share
        present[inside] = found.present

    for _ in apply(fill, parts):
        pass
    return _Found(peaks, contrast, share, present)


def _residual(windows: Windows, tile: Tile, dx: Array, dy: Array) -> Residual | None:
    """What matched pieces of the two images do not share, from posts spread over the tile."""
    from glaciertoolkit.tracking.quality import SEGMENT, SEGMENTS

    p = windows.parameters
    good = np.flatnonzero(np.isfinite(dx) & np.isfinite(dy))
    if good.size == 0:
        return None
    chosen = good[np.unique(np.linspace(0, good.size - 1, SEGMENTS).astype(np.int64))]
    row, column = np.unravel_index(chosen, dx.shape)
    a, b = windows.reference, windows.secondary
    first = np.stack(
        [
            (tile.y0 + row) * p.step[0] + (p.template[0] - SEGMENT) // 2,
            (tile.x0 + column) * p.step[1] + (p.template[1] - SEGMENT) // 2,
        ],
        axis=1,
    )
    moved = np.stack([dy.flat[chosen], dx.flat[chosen]], axis=1)
    whole = np.round(moved).astype(np.int64)
    images = surface_images(windows)
    return residual(
        *images, first - (a.y, a.x), first + whole - (b.y, b.x),
        (moved - whole).astype(np.float32),
    )  # fmt: skip


class _Flow(NamedTuple):
    """How the displacement varies among the neighbours of each post.

    `near`: how many posts (y, x) away they are; `gradients`: of dx and of dy, per pixel, each
    (2, rows, columns) along x and y; `smear`: how much the mean of dx and of dy over a template
    differs from the values at its centre, pixels.
    """

    near: tuple[int, int]
    gradients: tuple[Array, Array]
    smear: tuple[Array, Array]

    def without(self, where: npt.NDArray[np.bool_]) -> _Flow:
        """The flow with what is no motion set to zero."""
        zero = np.float32(0)
        u, v = (np.where(where, zero, g) for g in self.gradients)
        a, b = (np.where(where, zero, s) for s in self.smear)
        return _Flow(self.near, (u, v), (a, b))


def _flow(template: tuple[int, int], step: tuple[int, int], dx: Array, dy: Array) -> _Flow:
    from glaciertoolkit.tracking.kernels.moments import neighbour_gradients

    ny, nx = near = _near(template, step)
    scale = np.array([step[1], step[0]], np.float32)[:, None, None]
    u, v = (neighbour_gradients(d, ny, nx) / scale for d in (dx, dy))
    return _Flow(near, (u, v), (_smear(template, step, dx), _smear(template, step, dy)))


def _near(template: tuple[int, int], step: tuple[int, int]) -> tuple[int, int]:
    """Posts (y, x) to half a template away, at least one."""
    ny, nx = (max(round(n / (2 * s)), 1) for n, s in zip(template, step, strict=True))
    return ny, nx


def _smear(template: tuple[int, int], step: tuple[int, int], d: Array) -> Array:
    """The mean of x^2 / 2 over a template of edge T, T^2 / 24, times the second derivatives."""
    from glaciertoolkit.tracking.kernels.moments import neighbour_bends

    weight = [(n / s) ** 2 / 24 for n, s in zip(template[::-1], step[::-1], strict=True)]
    bends = neighbour_bends(d, *_near(template, step))
    return np.asarray((bends * np.array(weight)[:, None, None]).sum(axis=0), np.float32)


def _unpulled(
    flow: _Flow, lever: Wide, template: tuple[int, int], step: tuple[int, int],
    dx: Array, dy: Array, torn: npt.NDArray[np.bool_],
) -> _Flow:  # fmt: skip
    """The flow without what the texture makes of it, and without what is no motion.

    Its pull on each match would count as curvature, twice as much as there is in a smooth flow.
    """
    sound = flow.without(torn)
    pulls = texture_pull(lever, sound.gradients)
    smear = []
    for d, pull in zip((dx, dy), pulls, strict=True):
        still = np.where(np.abs(pull) <= PULL, pull, 0)
        bent = _smear(template, step, (d - still).astype(np.float32))
        smear.append(np.where(torn, np.float32(0), bent))
    return sound._replace(smear=(smear[0], smear[1]))


def _noise(
    pairs: Sequence[Windows], ratios: Sequence[float], tile: Tile, template: tuple[int, int],
    dx: Array, dy: Array,
) -> Residual:  # fmt: skip
    """What the matched images do not share: the mean over the pairs, for their mean surface."""
    if pairs[0].parameters.method == "phase":
        return Residual(_chance(pairs, template), 1.0)
    found = []
    for windows, ratio in zip(pairs, ratios, strict=True):
        left = _residual(windows, tile, dx * np.float32(ratio), dy * np.float32(ratio))
        found.append(left or Residual(surface_noise(*surface_images(windows)), 1.0))
    return Residual(_of_mean([f.noise for f in found]), sum(f.share for f in found) / len(found))


def _interpolation_error(position: Array, support: npt.NDArray[np.int64], edge: int) -> Array:
    """What interpolation leaves of a peak at `position`, pixels.

    A surface is not symmetric about its peak: the template's edges see to that, the less the
    larger it is. A derivative from samples at whole pixels is blind to the finest of it where the
    peak lies on a sample, and sees it half-way between two.
    """
    from glaciertoolkit.tracking.kernels import subpixel

    kernel = np.take(subpixel.INTERPOLATION_ERROR, support)
    edges = EDGE_ERROR / edge**2 * np.cos(np.pi * (position - np.rint(position)))
    return np.asarray(np.hypot(kernel, np.nan_to_num(edges)), np.float32)


def _match(
    pairs: Sequence[Windows], ratios: Sequence[float], tile: Tile, template: tuple[int, int],
    noise: SurfaceNoise, parts: list[tuple[Tile, tuple[int, int]]], apply: Apply,
) -> Match:  # fmt: skip
    """Displacement, error and flag of every post with one template size."""
    from glaciertoolkit.tracking.kernels import subpixel

    p = pairs[0].parameters
    found = _search(pairs, ratios, tile, template, parts, apply)
    peaks = found.peaks
    pixels = _pixels(found.share, template)
    threshold = rejection_threshold(noise, found.share, template, p)
    flag = _flags(found, threshold, p)
    sure = np.where((flag & ~np.uint32(DOUBTFUL)) > 0, np.float32(np.nan), np.float32(0))
    dx, dy = peaks[subpixel.DX], peaks[subpixel.DY]
    left = _noise(pairs, ratios, tile, template, dx + sure, dy + sure)
    t = texture(pairs[0], tile, template)
    flow = _flow(template, p.step, dx + sure, dy + sure)
    support = np.nan_to_num(peaks[subpixel.SUPPORT]).astype(int)
    floors = [
        np.maximum(_interpolation_error(peaks[k], support, edge), METHOD_ERROR[p.method])
        for k, edge in ((subpixel.DX, template[1]), (subpixel.DY, template[0]))
    ]
    torn = refuted(
        t.power, flow.gradients, flow.smear, found.contrast, template,
        peaks[subpixel.PEAK], sure == 0,
    )  # fmt: skip
    flow = _unpulled(flow, t.lever, template, p.step, dx + sure, dy + sure, torn)
    misfit = shear_misfit(t.power, flow.gradients, found.contrast, template)
    xx, yy, xy = match_covariance(
        peaks[subpixel.PEAK],
        (peaks[subpixel.HXX], peaks[subpixel.HYY], peaks[subpixel.HXY]),
        left.noise,
        pixels,
        usual=usual_loss(peaks[subpixel.PEAK], misfit, sure == 0) if left.share < 1 else None,
        floor=(floors[0], floors[1]),
        misfit=misfit,
    )
    # A ridge or saddle instead of a peak has no position along its length.
    flag[np.isfinite(dx) & ~np.isfinite(xx)] |= np.uint32(Flag.AMBIGUOUS_PEAK)
    gxx, gyy, gxy = gradient_covariance(t.lever, flow.gradients, flow.near, flow.smear)
    return Match(
        dx, dy, xx + gxx, yy + gyy, xy + gxy,
        peaks[subpixel.PEAK], peaks[subpixel.SNR], peaks[subpixel.RATIO],
        np.full(dx.shape, max(template), np.float32), t.spread, *flow.smear, found.share, flag,
    )  # fmt: skip


def _parts(
    prior: Array | None, tile: Tile, parameters: TrackParameters
) -> list[tuple[Tile, tuple[int, int]]]:
    """Parts of the tile, and the whole image pixels about which each is searched."""
    if prior is None:
        return [(tile, (0, 0))]
    from glaciertoolkit.tracking.prior import split

    return split(prior, tile, min(parameters.search) / 2)


class Opened(NamedTuple):
    """A tile made ready for tracking.

    `pairs`: its prepared images; `parts`: of its posts, and the matched pixels (y, x) about which
    each is searched; `noise`: what surfaces of unrelated images with its spectra look like.
    """

    pairs: list[Windows]
    parts: list[tuple[Tile, tuple[int, int]]]
    noise: SurfaceNoise


def open_tile(
    *blocks: Any, parameters: TrackParameters, ratios: tuple[float, ...] = (1.0,)
) -> Opened:
    """Prepare what `measure_tile` works on; called like `track_tile`."""
    tile, window = blocks[-2:]
    images, priors = blocks[: 2 * len(ratios)], blocks[2 * len(ratios) : -2]
    prior = np.asarray(priors[0], np.float32) if priors else None
    parts = _parts(prior, tile, parameters)
    offsets = [offset for _, offset in parts]
    pairs = [
        open_windows(images[2 * k], images[2 * k + 1], tile, window, offsets, parameters)
        for k in range(len(ratios))
    ]
    n = parameters.oversample
    parts = [(part, (n * y, n * x)) for part, (y, x) in parts]
    return Opened(pairs, parts, _chance(pairs, parameters.fine.template))


def measure_tile(
    opened: Opened, tile: Tile, parameters: TrackParameters, ratios: tuple[float, ...] = (1.0,),
    apply: Apply = map,
) -> Array:  # fmt: skip
    """Offsets of the posts of a tile that has been opened: see `track_tile`.

    `apply`: how its parts are worked off, ``map`` or that of a pool of threads.
    """
    pairs, parts, noise = opened
    match = best(
        [_match(pairs, ratios, tile, t, noise, parts, apply) for t in parameters.fine.templates]
    )
    if parameters.mode == "fast":
        if len(pairs) == 1 and parameters.method == "ncc":
            match = without_gaps(match, pairs[0], tile)
        return _planes(match, parameters)
    refined, gradients = refined_matches(match, pairs[0], tile)
    planes = _planes(refined, parameters)
    return np.concatenate([planes, _gradient_planes(gradients, refined.lost, parameters)])


def track_tile(
    *blocks: Any, parameters: TrackParameters, ratios: tuple[float, ...] = (1.0,)
) -> Array:
    """Offsets of the posts of one tile: float32 of shape (planes, rows, columns).

    Called with the windows of reference and secondary (of each pair in turn, with its interval
    over the mean one in `ratios`), the prior on all posts if there is one, the tile and its
    window. Displacements are in metres along the grid's coordinates; the flag is exact in float32.
    """
    opened = open_tile(*blocks, parameters=parameters, ratios=ratios)
    return measure_tile(opened, blocks[-2], parameters, ratios)


def _chance(pairs: Sequence[Windows], template: tuple[int, int]) -> SurfaceNoise:
    """What the (mean) surface of unrelated images looks like."""
    if pairs[0].parameters.method == "phase":
        from glaciertoolkit.tracking.phase import phase_noise

        return phase_noise(template)
    return _of_mean([surface_noise(*surface_images(windows)) for windows in pairs])


def _of_mean(noises: Sequence[SurfaceNoise]) -> SurfaceNoise:
    """Noise of the mean of independent surfaces."""
    n = len(noises)
    return SurfaceNoise(*(sum(values) / n**2 for values in zip(*noises, strict=True)))


def _gradient_planes(
    gradients: Array, lost: npt.NDArray[np.bool_], parameters: TrackParameters
) -> Array:
    """Gradients of the displacement and their errors along the grid's coordinates."""
    res_y, res_x = parameters.fine.pixel
    turn = np.array([1, res_x / res_y, res_y / res_x, 1], np.float32)[:, None, None]
    out = np.concatenate([gradients[:4] * turn, gradients[4:] * np.abs(turn)])
    out[:, lost] = np.nan
    return np.asarray(out, np.float32)


def _planes(match: Match, parameters: TrackParameters) -> Array:
    """The match in metres along the grid's coordinates, NaN where it is lost."""
    res_y, res_x = parameters.fine.pixel
    n = np.float32(parameters.oversample)
    out = np.empty((len(PLANES), *match.dx.shape), np.float32)
    out[0] = match.dx * np.float32(res_x)
    out[1] = match.dy * np.float32(res_y)
    out[2] = np.sqrt(match.xx) * np.float32(abs(res_x))
    out[3] = np.sqrt(match.yy) * np.float32(abs(res_y))
    out[4] = match.xy * np.float32(res_x * res_y)
    out[5], out[6], out[7] = match.correlation, match.snr, match.ratio
    out[8] = match.size / n
    out[9] = match.spread * np.float32(np.sqrt(abs(res_x * res_y)))
    out[10] = match.smear_x * np.float32(res_x)
    out[11] = match.smear_y * np.float32(res_y)
    out[12] = match.flag
    out[:5, match.lost] = np.nan
    out[9:12, match.lost] = np.nan
    return out
