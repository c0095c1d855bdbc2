"""Patches of a scene where matching goes wrong: known outliers, lost coherence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate.parameters import Parameters

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Patch:
    """A blob around (`row`, `column`), pixels; outliers carry an extra displacement."""

    row: float
    column: float
    radius: float
    shape: tuple[float, float, float, float]
    extra_row: float = 0.0
    extra_column: float = 0.0

    @property
    def reach(self) -> float:
        """No pixel of the patch is farther from its centre."""
        return 1.5 * self.radius

    def covers(self, rows: Float64, columns: Float64) -> NDArray[np.bool_]:
        """Whether positions (pixels) lie in the patch."""
        dy, dx = rows - self.row, columns - self.column
        angle = np.arctan2(dy, dx)
        a, b, c, d = self.shape
        edge = 1.0 + a * np.cos(2 * angle + b) + c * np.cos(3 * angle + d)
        return np.asarray(np.hypot(dy, dx) < self.radius * edge)


def draw_patches(p: Parameters, kind: str) -> tuple[Patch, ...]:
    """Patches that cover the wanted share of the scene, apart from each other where possible."""
    share = p.outliers if kind == "outliers" else p.decorrelated
    if share == 0.0:
        return ()
    rng = np.random.default_rng(np.random.SeedSequence((p.seed, 4 if kind == "outliers" else 5)))
    wanted = share * p.size[0] * p.size[1]
    found: list[Patch] = []
    covered = 0.0
    while covered < wanted:
        radius = float(rng.uniform(*p.patch_width)) / 2
        # The last patch is as large as is still wanted, so that small scenes keep their share.
        radius = max(min(radius, float(np.sqrt((wanted - covered) / np.pi))), 2.0)
        row, column = _place(rng, p, radius, found)
        shape = (0.2, float(rng.uniform(0, 6.3)), 0.12, float(rng.uniform(0, 6.3)))
        extra = rng.uniform(4.0, 10.0, 2) * rng.choice([-1.0, 1.0], 2)
        if kind != "outliers":
            extra[:] = 0.0
        found.append(Patch(row, column, radius, shape, float(extra[0]), float(extra[1])))
        covered += np.pi * radius**2 * 1.03
    return tuple(found)


def _place(
    rng: np.random.Generator, p: Parameters, radius: float, others: list[Patch]
) -> tuple[float, float]:
    row = column = 0.0
    for _ in range(30):
        row, column = float(rng.uniform(0, p.size[0])), float(rng.uniform(0, p.size[1]))
        if all(
            np.hypot(row - o.row, column - o.column) > 1.3 * (radius + o.radius) for o in others
        ):
            break
    return row, column


def mask(
    patches: tuple[Patch, ...], rows: Float64, columns: Float64, *, moved: bool = False
) -> NDArray[np.bool_]:
    """The patches on the grid `rows` x `columns` (pixels, ascending).

    `moved`: also the ground whose content is shown in a patch, that is the patch less its
    extra displacement.
    """
    out = np.zeros((rows.size, columns.size), bool)
    for patch in patches:
        places = [(0.0, 0.0)]
        if moved:
            places.append((patch.extra_row, patch.extra_column))
        for dr, dc in places:
            i0, i1 = np.searchsorted(rows + dr, [patch.row - patch.reach, patch.row + patch.reach])
            j0, j1 = np.searchsorted(
                columns + dc, [patch.column - patch.reach, patch.column + patch.reach]
            )
            if i0 < i1 and j0 < j1:
                out[i0:i1, j0:j1] |= patch.covers(rows[i0:i1, None] + dr, columns[None, j0:j1] + dc)
    return out
