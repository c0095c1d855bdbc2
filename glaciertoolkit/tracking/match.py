"""What one template size found at the posts of a tile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.conventions import DOUBTFUL

Array = npt.NDArray[np.float32]
Flags = npt.NDArray[np.uint32]


class Match(NamedTuple):
    """What one template size found at the posts of a tile, in matched pixels: dx right, dy down.

    `smear_x`, `smear_y`: by how much the mean over the template differs from the value at its
    centre; its mean square over the neighbours is part of `xx`, `yy`, `xy`.
    """

    dx: Array
    dy: Array
    xx: Array
    yy: Array
    xy: Array
    correlation: Array
    snr: Array
    ratio: Array
    size: Array
    spread: Array
    smear_x: Array
    smear_y: Array
    share: Array
    flag: Flags

    @property
    def lost(self) -> npt.NDArray[np.bool_]:
        """Posts without a value."""
        return (self.flag & ~np.uint32(DOUBTFUL)) > 0


def best(matches: list[Match]) -> Match:
    """Of nested templates, the one with the smallest stated error at each post.

    Where none has a value, what the smallest says.
    """
    found = matches[0]
    for other in matches[1:]:
        mine = np.where(found.lost, np.inf, found.xx + found.yy)
        theirs = np.where(other.lost, np.inf, other.xx + other.yy)
        better = theirs < mine
        found = Match(*(np.where(better, o, b) for o, b in zip(other, found, strict=True)))
    return found
