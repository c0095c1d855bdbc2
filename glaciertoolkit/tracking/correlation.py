"""The correlation volume of some posts of a tile: what is summed, and over which pixels."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.blocks import Tile
from glaciertoolkit.tracking.prepare import Image
from glaciertoolkit.tracking.windows import Windows

RING_BYTES = 400e3
"""What the sums of the cells in flight may take: a good part of a core's cache."""


class Volume(NamedTuple):
    """Correlation of each post at each whole-pixel offset.

    `values`: float32 (posts_y, offsets_y, offsets_x, lanes), the lanes beyond the posts being
    padding; `contrast`: 0 where the template is constant; `share`: of its pixels, the valid ones.
    """

    values: npt.NDArray[np.float32]
    contrast: Image
    share: Image


class _Scratch(threading.local):
    """Large arrays that a thread uses again and again: fresh ones cost more than the sums."""

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


_scratch = _Scratch()


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
    windows: Windows, part: Tile, template: tuple[int, int], offset: tuple[int, int]
) -> Volume:
    """Correlation volume of the posts of `part`.

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
    """
    p = windows.parameters
    (ty, tx), (ky, kx), (sy, sx) = template, p.step, p.search
    y = part.y0 * ky - (ty - p.template[0]) // 2
    x = part.x0 * kx - (tx - p.template[1]) // 2
    ny, nx = part.shape
    rows, cols = (ny - 1) * ky + ty, (nx - 1) * kx + tx
    by, bx = y + offset[0] - sy, x + offset[1] - sx
    spread = (rows + 2 * sy, cols + 2 * sx)
    a, b = windows.reference, windows.secondary
    cut = _Cut(
        a.cut(y, x, rows, cols), a.cut_mask(y, x, rows, cols),
        b.cut(by, bx, *spread), b.cut_mask(by, bx, *spread), b.cut_inside(by, bx, *spread),
        (a.floor, b.floor),
    )  # fmt: skip
    if p.method == "phase":
        return _phase(cut, part, template, windows)
    return _volume(cut, part, template, windows)


def _phase(cut: _Cut, part: Tile, template: tuple[int, int], windows: Windows) -> Volume:
    """Volume of the phase correlation, row by row."""
    from glaciertoolkit.tracking.kernels import statistics, volume
    from glaciertoolkit.tracking.phase import phase_row

    p = windows.parameters
    (ty, tx), (ky, kx), (sy, sx) = template, p.step, p.search
    ny, nx = part.shape
    out = _scratch.take("volume", (ny, *p.offsets, max(-(-nx // 16) * 16, 16)))
    middle = (slice(sy, cut.b.shape[1] - sy), slice(sx, cut.b.shape[2] - sx))
    b, inside = cut.b[0][middle], cut.b_inside[middle]
    both = cut.a_valid & cut.b_valid[middle]
    share = statistics.window_counts(both, ty, tx)[::ky, ::kx][:ny, :nx] / np.float32(ty * tx)
    whole = statistics.window_counts(inside, ty, tx)[::ky, ::kx][:ny, :nx] == ty * tx
    contrast = statistics.template_statistics(cut.a[0], ty, tx, ky, kx, ny, nx, cut.floor[0])[1]
    for row in range(ny):
        rows = slice(row * ky, row * ky + ty)
        out[row, :, :, :nx] = phase_row(cut.a[0][rows], b[rows], kx, template, p.search, nx)
        out[row][:, :, :nx][:, :, ~whole[row]] = volume.INVALID
    out[..., nx:] = volume.INVALID
    return Volume(out, contrast, share)


class _Cut(NamedTuple):
    a: npt.NDArray[np.float32]
    a_valid: npt.NDArray[np.bool_]
    b: npt.NDArray[np.float32]
    b_valid: npt.NDArray[np.bool_]
    b_inside: npt.NDArray[np.bool_]
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
    if cut.a_valid.all() and np.array_equal(cut.b_valid, cut.b_inside):
        return _Sums([cut.a[0]], [cut.b[0]], [(0, 0, 0)], volume.WHOLE)
    a, b = cut.a[0], cut.b[0]
    terms = [(2, 2, 0), (0, 2, 1), (1, 2, 2), (2, 0, 3), (2, 1, 4), (0, 0, 5)]
    return _Sums([a, a * a, ma], [b, b * b, mb], terms, volume.MASKED)


def _volume(cut: _Cut, part: Tile, template: tuple[int, int], windows: Windows) -> Volume:
    from glaciertoolkit.tracking.kernels import products, statistics, volume

    p = windows.parameters
    (ty, tx), (ky, kx) = template, p.step
    ny, nx = part.shape
    oy, ox = p.offsets
    cells = Cells.of(template, p.step)
    groups = cells.groups(nx)
    sums = _sums(cut, p.method)
    total, inverse = statistics.window_statistics(cut.b[0], cut.b_inside, ty, tx, cut.floor[1])
    if sums.finish != volume.WHOLE:
        inside = statistics.window_counts(cut.b_inside, ty, tx) == ty * tx
        inverse = inside.astype(np.float32)
    mean, scale = statistics.template_statistics(cut.a[0], ty, tx, ky, kx, ny, nx, cut.floor[0])
    share = statistics.window_counts(cut.a_valid, ty, tx)[::ky, ::kx][:ny, :nx] / (ty * tx)
    if sums.finish in (volume.PHASOR, volume.COHERENT):
        contrast = (share > 0).astype(np.float32)
    else:
        contrast = scale
    width = groups * products.LANES
    out = _scratch.take("volume", (ny, oy, ox, max(-(-nx // 16) * 16, 16)))
    out[..., nx:] = volume.INVALID
    a_rows = (ny + cells.slots[0] - 1) * ky
    b_rows = a_rows + oy - 1
    planes_b = products.secondary_planes(kx)
    pa = _pack(sums.a, kx, kx, products.LANES, a_rows, groups, 0, "a")
    w_lanes = nx + (ox - 1) // kx + 2
    packed_total = np.empty(kx * total.shape[0] * w_lanes, np.float32)
    packed_inverse = np.empty_like(packed_total)
    statistics.by_offset(total, kx, w_lanes, packed_total)
    statistics.by_offset(inverse, kx, w_lanes, packed_inverse)
    limits = (np.float32(p.min_valid * ty * tx), *(np.float32(f) for f in cut.floor))
    most = max((products.REACH - 2) * kx // 8 * 8, 8)
    terms = np.array(sums.terms)
    kinds = 4 if any(cells.rest) else 1
    for first in range(0, ox, most):
        last = min(first + most, ox)
        row = (
            sums.different * kinds * cells.slots[0] * products.padded_offsets(last - first) * width
        )
        chunk = min(max(int(RING_BYTES / (4 * row)), 1), oy)
        ring = _scratch.take("ring", (row * chunk,))
        pb = _pack(sums.b, kx, planes_b, products.B_LANES, b_rows, groups, first, "b")
        volume.correlation_volume(
            pa, pb, terms, sums.different, sums.finish,
            (ky, kx, cells.whole[0], cells.rest[0], cells.whole[1], cells.rest[1], planes_b),
            (a_rows, b_rows), groups, mean.ravel(), scale.ravel(), packed_total, packed_inverse,
            (total.shape[0], w_lanes), limits, (first, last), chunk, ring,
            (ny, nx, oy, ox, out.shape[3]), out.reshape(-1),
        )  # fmt: skip
    return Volume(out, contrast, share.astype(np.float32))


def _pack(
    planes: list[Image], step: int, count: int, lanes: int, rows: int, groups: int, first: int,
    name: str,
) -> Any:  # fmt: skip
    """Each plane packed for the kernels, one strip of lanes after the other."""
    from glaciertoolkit.tracking.kernels import products

    size = rows * count * lanes
    out = _scratch.take(name, (len(planes), groups * size))
    for k, plane in enumerate(planes):
        for g in range(groups):
            column = first + g * products.LANES * step
            strip = out[k, g * size : (g + 1) * size]
            done = products.pack(plane, step, count, lanes, column, strip)
            strip[done:] = 0
    return out
