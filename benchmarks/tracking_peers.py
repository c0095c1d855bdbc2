"""What others would use to track the same pair: peers of the tracking benchmark.

Each peer takes two float32 images, already high-passed, and the sizes in pixels, and returns a
`Match` on the posts that our tracker uses: the first template starts at pixel 0, the next `step`
pixels on. What a peer did not find (no peak inside the search range) is NaN.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WORKERS = 2
"""Threads of the peers that can use more than one."""
BATCH_BYTES = 2e6
"""Of the windows of one batch of FFTs; more leave the caches and are slower."""
SUBSET = 400
"""Posts on which scikit-image is measured; it takes milliseconds for each."""


@dataclass(frozen=True)
class Match:
    """Displacements in pixels (right, down) at the positions `rows`, `cols` of the reference."""

    rows: Array
    cols: Array
    right: Array
    down: Array
    right_error: Array | None = None
    down_error: Array | None = None


class Peer(Protocol):
    """A tracker: two images and the sizes in pixels."""

    def __call__(
        self, reference: Array, secondary: Array, *, template: int, search: int, step: int
    ) -> Match: ...


def high_pass(image: Array, sigma: float = 3.0) -> Array:
    """Image minus its Gaussian mean: the prefilter of all peers, outside their time."""
    from scipy.ndimage import gaussian_filter

    image = np.asarray(image, np.float32)
    filtered: Array = image - gaussian_filter(image, sigma, mode="nearest")
    return filtered


def corners(length: int, template: int, step: int) -> Array:
    """First pixels of the templates along one axis."""
    return np.arange((length - template) // step + 1) * step


def parabola(surfaces: Array) -> tuple[Array, Array]:
    """Peaks of correlation surfaces (n, offsets, offsets): highest sample and 3-point parabola.

    Returns the positions (column, row) from the centre, NaN where the peak is on the edge.
    """
    n, edge = len(surfaces), surfaces.shape[-1]
    row, col = np.divmod(surfaces.reshape(n, -1).argmax(1), edge)
    inside = (row > 0) & (row < edge - 1) & (col > 0) & (col < edge - 1)
    i, j, k = np.arange(n), np.clip(row, 1, edge - 2), np.clip(col, 1, edge - 2)
    top = surfaces[i, j, k].astype(float)
    part = []
    for before, after in (
        (surfaces[i, j, k - 1], surfaces[i, j, k + 1]),
        (surfaces[i, j - 1, k], surfaces[i, j + 1, k]),
    ):
        bend = before - 2 * top + after
        part.append(np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1), 0))
    centre = edge // 2
    return (
        np.where(inside, col - centre + part[0], np.nan),
        np.where(inside, row - centre + part[1], np.nan),
    )


def _match(
    rows: list[tuple[Array, Array]], shape: tuple[int, ...], template: int, step: int
) -> Match:
    """Rows of posts put together, at the centres of their templates."""
    y, x = (corners(n, template, step) + (template - 1) / 2 for n in shape)
    right, down = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
    grid = (y.size, x.size)
    return Match(y[:, None], x[None, :], right.reshape(grid), down.reshape(grid))


def opencv(reference: Array, secondary: Array, *, template: int, search: int, step: int) -> Match:
    """`cv2.matchTemplate` (TM_CCOEFF_NORMED) for every post, rows of posts in two threads."""
    cv2 = importlib.import_module("cv2")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    padded = np.pad(secondary, search, mode="reflect")
    x = corners(reference.shape[1], template, step)
    window, offsets = template + 2 * search, 2 * search + 1

    def one_row(y: int) -> tuple[Array, Array]:
        surfaces = np.empty((x.size, offsets, offsets), np.float32)
        chips, strip = reference[y : y + template], padded[y : y + window]
        for surface, left in zip(surfaces, x, strict=True):
            cv2.matchTemplate(
                strip[:, left : left + window],
                chips[:, left : left + template],
                cv2.TM_CCOEFF_NORMED,
                surface,
            )
        return parabola(surfaces)

    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            rows = list(pool.map(one_row, corners(reference.shape[0], template, step)))
    finally:
        cv2.setNumThreads(threads)
    return _match(rows, reference.shape, template, step)


def fft_ncc(reference: Array, secondary: Array, *, template: int, search: int, step: int) -> Match:
    """Zero-mean NCC by batches of `scipy.fft` in two threads, local sums by summed-area tables."""
    from numpy.lib.stride_tricks import sliding_window_view
    from scipy import fft

    window, offsets = template + 2 * search, 2 * search + 1
    padded = np.pad(secondary, search, mode="reflect")
    inverse = _inverse_spread(padded, template)
    chips = sliding_window_view(reference, (template, template))[::step, ::step]
    windows = sliding_window_view(padded, (window, window))[::step, ::step]
    scales = sliding_window_view(inverse, (offsets, offsets))[::step, ::step]
    size = fft.next_fast_len(window, real=True)
    batch = max(1, int(BATCH_BYTES / (4 * size * size)))

    def some(job: tuple[int, int]) -> tuple[Array, Array]:
        row, part = job[0], slice(job[1], job[1] + batch)
        chip = chips[row, part]
        chip = chip - chip.mean((1, 2), keepdims=True)
        product = np.conj(fft.rfft2(chip, (size, size)))
        product *= fft.rfft2(windows[row, part], (size, size))
        surfaces = fft.irfft2(product, (size, size), overwrite_x=True)
        return parabola(surfaces[:, :offsets, :offsets] * scales[row, part])

    jobs = [(i, j) for i in range(len(chips)) for j in range(0, chips.shape[1], batch)]
    with ThreadPoolExecutor(WORKERS) as pool:
        rows = list(pool.map(some, jobs))
    return _match(rows, reference.shape, template, step)


def _inverse_spread(image: Array, template: int) -> Array:
    """1 / standard deviation of every template-sized window, 0 where it is flat."""
    sums = []
    for values in (image, image.astype(float) ** 2):
        table = np.zeros(tuple(n + 1 for n in image.shape))
        np.cumsum(np.cumsum(values, 0, dtype=float), 1, out=table[1:, 1:])
        rows = table[template:] - table[:-template]
        sums.append(rows[:, template:] - rows[:, :-template])
    variance = sums[1] / template**2 - (sums[0] / template**2) ** 2
    flat = variance <= 1e-12 * variance.max()
    return np.where(flat, 0, 1 / np.sqrt(np.where(flat, 1, variance))).astype(np.float32)


def windef(
    reference: Array,
    secondary: Array,
    *,
    template: int,
    search: int,
    step: int,
    first: float | None = None,
    deformation: str = "symmetric",
    order: int = 3,
) -> Match:
    """OpenPIV's window deformation in two passes, with its defaults otherwise.

    The windows of the first pass are four times the search radius (the quarter rule of particle
    image velocimetry; FFT correlation of equal windows finds no more), or `first` templates; those
    of the second are the templates. A third pass costs half the speed, and is better in sheared
    flow only. Its validation replaces what neighbours contradict; replaced vectors count as found.
    The S/N test is off: it takes longer than the match and rejects nothing at its default. Its
    vectors stand at T/2, not (T-1)/2, pixels after the first pixel of the window, and those of a
    symmetric deformation half way between the two images: that is where they are judged.
    """
    piv = importlib.import_module("openpiv.windef")
    coarse = max(4 * search, template) if first is None else round(first * template)
    sizes = (coarse, template)
    settings = importlib.import_module("openpiv.settings").PIVSettings(
        windowsizes=sizes,
        overlap=(coarse // 2, template - step),
        num_iterations=len(sizes),
        min_max_u_disp=(-search, search),
        min_max_v_disp=(-search, search),
        sig2noise_validate=False,
        deformation_method=deformation,
        interpolation_order=order,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        _, _, right, up, _ = piv.simple_multipass(reference, secondary, settings)
    right, down = np.asarray(right), -np.asarray(up)
    y, x = (corners(n, template, step) + template / 2 for n in reference.shape)
    share = 0.5 if deformation == "symmetric" else 0.0
    return Match(y[:, None] - share * down, x[None, :] - share * right, right, down)


def phase_correlation(
    reference: Array,
    secondary: Array,
    *,
    template: int,
    search: int,  # noqa: ARG001  the window is the template; what it can find is T/2
    step: int,
    upsample: int = 30,
) -> Match:
    """scikit-image's `phase_cross_correlation` on some `SUBSET` posts spread over the image.

    A finer `upsample` changes its errors little, and makes its matrix products so large that BLAS
    shares them between threads, which then wait for each other.
    """
    register = importlib.import_module("skimage.registration").phase_cross_correlation
    every = [corners(n, template, step) for n in reference.shape]
    thin = max(1, round(float(np.sqrt(every[0].size * every[1].size / SUBSET))))
    y, x = (axis[thin // 2 :: thin] for axis in every)
    found = np.empty((2, y.size, x.size))
    for i, top in enumerate(y):
        for j, left in enumerate(x):
            cell = slice(top, top + template), slice(left, left + template)
            shift, *_ = register(
                reference[cell], secondary[cell], upsample_factor=upsample, normalization=None
            )
            found[:, i, j] = -shift
    half = (template - 1) / 2
    return Match(y[:, None] + half, x[None, :] + half, found[1], found[0])


PEERS: dict[str, tuple[str, Peer]] = {
    "OpenCV": ("cv2", opencv),
    "FFT": ("scipy", fft_ncc),
    "windef": ("openpiv", windef),
    "windef quintic": ("openpiv", partial(windef, deformation="second image", order=5)),
    "windef from 2 T": ("openpiv", partial(windef, first=2)),
    "scikit-image": ("skimage", phase_correlation),
}
"""Name -> the module that it needs, the function."""


def installed(name: str) -> bool:
    """Whether the module that the peer needs is there."""
    return importlib.util.find_spec(PEERS[name][0]) is not None
