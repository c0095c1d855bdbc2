"""The correlation volume of some posts of a tile: what is summed, and over which pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile
from glaciertoolkit.tracking.prepare import Image
from glaciertoolkit.tracking.windows import Windows

RING_BYTES = 64e6
"""What the sums of the cells in flight may take, if peaks are found row by row."""
VOLUME_BYTES = 48e6
"""What a whole correlation volume may take; a part with more is done some rows at a time."""
CHUNK_BYTES = 400e3
"""What the sums in flight should take else: a good part of a core's cache."""
_NONE = np.empty((0, 0, 0, 0), np.float32)


class Peaks(NamedTuple):
    """What correlating some posts gave.

    `peaks`: float32 (planes of `kernels.subpixel`, posts_y, posts_x), positions in samples from
    the first offset; `volume`: the correlation at each offset (posts_y, offsets_y, offsets_x,
    lanes), the lanes beyond the posts being padding, where that was asked for instead; `contrast`:
    0 where the template is constant; `share`: of its pixels, the valid ones; `present`: those that
    hold a value, be it in a constant area.
    """

    peaks: npt.NDArray[np.float32]
    volume: npt.NDArray[np.float32]
    contrast: Image
    share: Image
    present: Image


class Scratch:
    """Large arrays that are used again and again: fresh ones cost more than the sums in them."""

    def __init__(self) -> None:
        self.kept: dict[str, npt.NDArray[np.float32]] = {}

    def take(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """An uninitialised array that begins on a cache line."""
        size = int(np.prod(shape))
        held = self.kept.get(name)
        if held is None or held.size < size + 16:
            held = np.empty(size + 16, np.float32)
            self.kept[name] = held
        first = (-held.ctypes.data % 64) // 4
        return held[first : first + size].reshape(shape)


_idle: list[Scratch] = []
"""What no tile is using at the moment; as many as ever ran at once."""


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Working memory for one tile at a time (a list's pop and append are atomic)."""
    try:
        own = _idle.pop()
    except IndexError:
        own = Scratch()
    try:
        yield own
    finally:
        _idle.append(own)


def release_scratch() -> None:
    """Drop the working memory that tiles have left for the next ones."""
    _idle.clear()


class Cells(NamedTuple):
    """How templates divide into cells of step x step pixels: whole ones and a remainder."""

    step: tuple[int, int]
    whole: tuple[int, int]
    rest: tuple[int, int]

    @classmethod
    def of(cls, template: tuple[int, int], step: tuple[int, int]) -> Cells:
        """The division of one template size."""
        (my, ry), (mx, rx) = (divmod(t, s) for t, s in zip(template, step, strict=True))
        return cls(step, (my, mx), (ry, rx))

    @property
    def slots(self) -> tuple[int, int]:
        """Cells that a template touches along y and x."""
        ny, nx = (m + (r > 0) for m, r in zip(self.whole, self.rest, strict=True))
        return ny, nx

    def groups(self, posts_x: int) -> int:
        """Strips of lanes that a row of posts takes."""
        from glaciertoolkit.tracking.kernels.products import LANES

        return -(-(posts_x + self.slots[1] - 1) // LANES)


def correlate(
    windows: Windows,
    part: Tile,
    template: tuple[int, int],
    offset: tuple[int, int],
    *,
    whole_volume: bool = False,
) -> Peaks:
    """Correlate the posts of `part` at all offsets, and find the peaks (or keep the volume).

    Parameters
    ----------
    windows : Windows
        The prepared images.
    part : Tile
        The posts.
    template : tuple of int
        (y, x), in matched pixels; centred on the posts' own (first) template.
    offset : tuple of int
        Whole pixels (y, x) about which is searched.
    whole_volume : bool
        Return the volume instead of its peaks.
    """
    p = windows.parameters
    (ty, tx), (ky, kx), (sy, sx) = template, p.step, p.search
    y, x = windows.first_pixel(part, template)
    ny, nx = part.shape
    rows, cols = (ny - 1) * ky + ty, (nx - 1) * kx + tx
    by, bx = y + offset[0] - sy, x + offset[1] - sx
    spread = (rows + 2 * sy, cols + 2 * sx)
    a, b = windows.reference, windows.secondary
    cut = _Cut(
        a.cut(y, x, rows, cols), a.cut_mask(y, x, rows, cols), a.cut_present(y, x, rows, cols),
        b.cut(by, bx, *spread), b.cut_mask(by, bx, *spread), b.bounds(by, bx, *spread),
        (a.floor, b.floor),
    )  # fmt: skip
    sums = None if p.method == "phase" else _sums(cut, p.method)
    at_once = sums is not None and not whole_volume and _fits(sums, part, template, windows)
    if not (at_once or whole_volume) and part.shape[0] > (n := rows_that_fit(windows, part)):
        pieces = [
            Tile(first, min(first + n, part.y1), part.x0, part.x1)
            for first in range(part.y0, part.y1, n)
        ]
        return _stacked([correlate(windows, piece, template, offset) for piece in pieces])
    # A volume that is handed out must not be used again.
    with nullcontext(Scratch()) if whole_volume else scratch() as room:
        if sums is None:
            found = _phase(cut, part, template, windows, room)
        else:
            found = _correlate(cut, sums, part, template, windows, room, at_once=at_once)
        if at_once or whole_volume:
            return found
        return _peaks_of(found, part, p.method == "coherent")


def rows_that_fit(windows: Windows, part: Tile) -> int:
    """How many rows of posts have a volume that memory allows."""
    offsets = windows.parameters.offsets
    row = 4 * offsets[0] * offsets[1] * max(-(-part.shape[1] // 16) * 16, 16)
    return max(int(VOLUME_BYTES / row), 1)


def _stacked(found: list[Peaks]) -> Peaks:
    """Parts of a part, put together along y."""
    peaks = np.concatenate([f.peaks for f in found], axis=1)
    planes = (np.concatenate([f[k] for f in found]) for k in range(2, 5))
    return Peaks(peaks, _NONE, *planes)


def _span(step: int) -> int:
    """Offsets along x that one packing of the secondary serves."""
    from glaciertoolkit.tracking.kernels.products import REACH

    return max((REACH - 2) * step // 8 * 8, 8)


def _fits(sums: _Sums, part: Tile, template: tuple[int, int], windows: Windows) -> bool:
    """Whether all offsets of a row of posts can be in flight together."""
    oy, ox = windows.parameters.offsets
    row = _ring_row(sums, part, template, windows, ox)
    return ox <= _span(windows.parameters.step[1]) and 4 * row * oy <= RING_BYTES


def _ring_row(
    sums: _Sums, part: Tile, template: tuple[int, int], windows: Windows, offsets: int
) -> int:
    """Values in flight for one offset along y."""
    from glaciertoolkit.tracking.kernels import products

    cells = Cells.of(template, windows.parameters.step)
    kinds = 4 if any(cells.rest) else 1
    width = cells.groups(part.shape[1]) * products.LANES
    each = int(products.padded_offsets(offsets))
    return sums.different * kinds * cells.slots[0] * each * width


def _peaks_of(found: Peaks, part: Tile, squared: bool) -> Peaks:
    """The peaks of a volume."""
    from glaciertoolkit.tracking.kernels import subpixel

    peaks = subpixel.find_peaks(
        found.volume,
        part.shape[1],
        subpixel.interpolation_tables(),
        squared,
    )
    return found._replace(peaks=peaks)


def _phase(
    cut: _Cut, part: Tile, template: tuple[int, int], windows: Windows, room: Scratch
) -> Peaks:
    """Volume of the phase correlation, row by row."""
    from glaciertoolkit.tracking.kernels import statistics, volume
    from glaciertoolkit.tracking.phase import phase_row

    p = windows.parameters
    (ty, tx), (ky, kx), (sy, sx) = template, p.step, p.search
    ny, nx = part.shape
    out = room.take("volume", (ny, *p.offsets, max(-(-nx // 16) * 16, 16)))
    middle = (slice(sy, cut.b.shape[1] - sy), slice(sx, cut.b.shape[2] - sx))
    b = cut.b[0][middle]
    both = cut.a_valid & cut.b_valid[middle]
    share = _share(both, part, template, p.step)
    y0, y1, x0, x1 = cut.b_bounds
    down, right = np.arange(ny) * ky + sy, np.arange(nx) * kx + sx
    whole = ((down >= y0) & (down + ty <= y1))[:, None] & ((right >= x0) & (right + tx <= x1))
    contrast = statistics.template_statistics(cut.a[0], ty, tx, ky, kx, ny, nx, cut.floor[0])[1]
    for row in range(ny):
        rows = slice(row * ky, row * ky + ty)
        out[row, :, :, :nx] = phase_row(cut.a[0][rows], b[rows], kx, template, p.search, nx)
        out[row][:, :, :nx][:, :, ~whole[row]] = volume.INVALID
    out[..., nx:] = volume.INVALID
    present = _share(cut.a_present, part, template, p.step)
    return Peaks(_NONE, out, contrast, share, present)


def _share(
    mask: npt.NDArray[np.bool_], part: Tile, template: tuple[int, int], step: tuple[int, int]
) -> Image:
    """Share of the pixels of each template that are true."""
    from glaciertoolkit.tracking.kernels import statistics

    (ty, tx), (ny, nx) = template, part.shape
    if mask.all():
        return np.ones((ny, nx), np.float32)
    counts = statistics.window_counts(mask, ty, tx)[:: step[0], :: step[1]][:ny, :nx]
    return np.asarray(counts / np.float32(ty * tx), np.float32)


class _Cut(NamedTuple):
    a: npt.NDArray[np.float32]
    a_valid: npt.NDArray[np.bool_]
    a_present: npt.NDArray[np.bool_]
    b: npt.NDArray[np.float32]
    b_valid: npt.NDArray[np.bool_]
    b_bounds: tuple[int, int, int, int]
    floor: tuple[float, float]


class _Sums(NamedTuple):
    """Which products are summed: planes of a and of b, and rows of (plane, plane, sum)."""

    a: list[Image]
    b: list[Image]
    terms: list[tuple[int, int, int]]
    finish: int

    @property
    def different(self) -> int:
        """How many different sums."""
        return 1 + max(t[2] for t in self.terms)


def _sums(cut: _Cut, method: str) -> _Sums:
    from glaciertoolkit.tracking.kernels import volume

    y0, y1, x0, x1 = cut.b_bounds
    if method == "ncc" and cut.a_valid.all() and cut.b_valid[y0:y1, x0:x1].all():
        return _Sums([cut.a[0]], [cut.b[0]], [(0, 0, 0)], volume.WHOLE)
    ma, mb = cut.a_valid.astype(np.float32), cut.b_valid.astype(np.float32)
    if method == "orientation":
        terms = [(0, 0, 0), (1, 1, 0), (2, 2, 1)]
        return _Sums([*cut.a, ma], [*cut.b, mb], terms, volume.PHASOR)
    if method == "coherent":
        (are, aim), (bre, bim) = cut.a, cut.b
        terms = [(0, 0, 0), (1, 1, 0), (1, 0, 1), (2, 1, 1), (3, 3, 2), (4, 2, 3), (4, 3, 4)]
        return _Sums(
            [are, aim, -are, are**2 + aim**2, ma], [bre, bim, bre**2 + bim**2, mb], terms,
            volume.COHERENT,
        )  # fmt: skip
    a, b = cut.a[0], cut.b[0]
    terms = [(2, 2, 0), (0, 2, 1), (1, 2, 2), (2, 0, 3), (2, 1, 4), (0, 0, 5)]
    return _Sums([a, a * a, ma], [b, b * b, mb], terms, volume.MASKED)


def _correlate(
    cut: _Cut, sums: _Sums, part: Tile, template: tuple[int, int], windows: Windows,
    room: Scratch, *, at_once: bool,
) -> Peaks:  # fmt: skip
    """Peaks of the posts, row by row (`at_once`), or their whole volume."""
    from glaciertoolkit.tracking.kernels import products, statistics, subpixel, volume

    p = windows.parameters
    (ty, tx), (ky, kx) = template, p.step
    ny, nx = part.shape
    oy, ox = p.offsets
    cells = Cells.of(template, p.step)
    groups = cells.groups(nx)
    floor_a, floor_b = cut.floor
    total, inverse = statistics.window_statistics(
        cut.b[0], cut.b_bounds, ty, tx, floor_b if sums.finish == volume.WHOLE else -1.0
    )
    mean, scale = statistics.template_statistics(cut.a[0], ty, tx, ky, kx, ny, nx, floor_a)
    share = _share(cut.a_valid, part, template, p.step)
    plain = sums.finish in (volume.WHOLE, volume.MASKED)
    contrast = scale if plain else (share > 0).astype(np.float32)
    lanes = max(-(-nx // 16) * 16, 16)
    out = room.take("volume", (1 if at_once else ny, oy, ox, lanes))
    out[..., nx:] = volume.INVALID
    a_rows = (ny + cells.slots[0] - 1) * ky
    b_rows = a_rows + oy - 1
    planes_b = products.secondary_planes(kx)
    pa = _pack(room, sums.a, kx, kx, products.LANES, a_rows, groups, 0, "a")
    w_lanes = nx + (ox - 1) // kx + 2
    packed_total = room.take("total", (kx * total.shape[0] * w_lanes,))
    packed_inverse = room.take("inverse", packed_total.shape)
    statistics.by_offset(total, kx, w_lanes, packed_total)
    statistics.by_offset(inverse, kx, w_lanes, packed_inverse)
    limits = (np.float32(p.min_valid * ty * tx), np.float32(floor_a), np.float32(floor_b))
    found = np.empty((subpixel.PLANES if at_once else 0, ny, nx), np.float32)
    terms = np.array(sums.terms)
    for first in range(0, ox, _span(kx)):
        last = min(first + _span(kx), ox)
        row = _ring_row(sums, part, template, windows, last - first)
        chunk = oy if at_once else min(max(int(CHUNK_BYTES / (4 * row)), 1), oy)
        ring = room.take("ring", (row * chunk,))
        pb = _pack(room, sums.b, kx, planes_b, products.B_LANES, b_rows, groups, first, "b")
        volume.correlation_volume(
            pa, pb, terms, sums.different, sums.finish,
            (ky, kx, cells.whole[0], cells.rest[0], cells.whole[1], cells.rest[1], planes_b),
            (a_rows, b_rows), groups, mean.ravel(), scale.ravel(), packed_total, packed_inverse,
            (total.shape[0], w_lanes), limits, (first, last), chunk, ring,
            (ny, nx, oy, ox, lanes), subpixel.interpolation_tables(),
            found, out.reshape(-1),
        )  # fmt: skip
    present = _share(cut.a_present, part, template, p.step)
    return Peaks(found, _NONE if at_once else out, contrast, share, present)


def _pack(
    room: Scratch,
    planes: list[Image], step: int, count: int, lanes: int, rows: int, groups: int, first: int,
    name: str,
) -> Any:  # fmt: skip
    """Each plane packed for the kernels, one strip of lanes after the other."""
    from glaciertoolkit.tracking.kernels import products

    size = rows * count * lanes
    out = room.take(name, (len(planes), groups * size))
    for k, plane in enumerate(planes):
        for g in range(groups):
            column = first + g * products.LANES * step
            strip = out[k, g * size : (g + 1) * size]
            done = products.pack(plane, step, count, lanes, column, strip)
            strip[done:] = 0
    return out
