"""The parameters of tracking, checked at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from glaciertoolkit.errors import ParameterError

PREFILTERS = ("highpass", "box", "wallis", "log", "sobel", "none")
METHODS = ("ncc", "orientation", "phase", "coherent")
MODES = ("fast", "quality")

TILE_POSTS = 64
"""Most posts along y of a tile; about half as many is the least along x."""
TILE_STEPS = 1024
"""Most pixels between the first and the last post of a tile along y, where the step is large."""
LEAST_POSTS = 8
SPLINE_MARGIN = 8
"""Pixels of the secondary around the search that the affine refinement interpolates between."""

Size = int | Mapping[str, int] | tuple[int, int]


def both_axes(value: Size, name: str, *, least: int = 1) -> tuple[int, int]:
    """An int or ``{"y": .., "x": ..}`` as (y, x), checked."""
    if isinstance(value, Mapping):
        if set(value) != {"y", "x"}:
            raise ParameterError(
                f'{name} must be an int or {{"y": .., "x": ..}}, got the keys {sorted(value)}.'
            )
        pair: tuple[Any, Any] = (value["y"], value["x"])
    elif isinstance(value, tuple | list):
        if len(value) != 2:
            raise ParameterError(f"{name} must be an int or two of them (y, x), got {value!r}.")
        pair = (value[0], value[1])
    else:
        pair = (value, value)
    for number in pair:
        real = isinstance(number, Real) and not isinstance(number, bool)
        if not real or not float(number).is_integer() or number < least:
            raise ParameterError(f"{name} must be whole pixels, {least} or more; got {value!r}.")
    return int(pair[0]), int(pair[1])


def _fraction(value: float, name: str, low: float, high: float) -> float:
    if not (isinstance(value, int | float) and low <= value <= high):
        raise ParameterError(f"{name} must lie between {low} and {high}; got {value!r}.")
    return float(value)


@dataclass(frozen=True)
class TrackParameters:
    """What a tile needs to know; plain numbers, so that it can be hashed and sent to workers.

    Sizes are (y, x) in pixels; `pixel` is the signed spacing (y, x) of the image in metres;
    `templates` are the sizes tried, from the smallest on, which places the posts; `reach` is how
    far the prior may lie from zero; `oversample` is how many matched pixels an image pixel becomes
    along each axis.
    """

    shape: tuple[int, int]
    pixel: tuple[float, float]
    templates: tuple[tuple[int, int], ...]
    search: tuple[int, int]
    step: tuple[int, int]
    reach: tuple[int, int]
    oversample: int
    method: str
    mode: str
    prefilter: str
    prefilter_sigma: float
    prefilter_width: int
    min_valid: float
    false_alarm: float
    min_correlation: float
    min_peak_ratio: float

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ParameterError(
                f"method must be one of {', '.join(METHODS)}; got {self.method!r}."
            )
        if self.mode not in MODES:
            raise ParameterError(f"mode must be one of {', '.join(MODES)}; got {self.mode!r}.")
        if self.method == "phase" and any(
            2 * s > t for s, t in zip(self.search, self.template, strict=True)
        ):
            raise ParameterError(
                f"phase correlation finds no more than half a template ({min(self.template)} "
                f"pixels); give a smaller search, a larger template, or max_displacement."
            )
        if self.mode == "quality" and self.method not in ("ncc", "phase"):
            raise ParameterError(
                f'mode="quality" compares the images themselves; it needs method="ncc" or "phase", '
                f"not {self.method!r}."
            )
        if self.oversample not in (1, 2):
            raise ParameterError(f"oversample must be 1 or 2; got {self.oversample!r}.")
        if self.prefilter not in PREFILTERS:
            raise ParameterError(
                f"prefilter must be one of {', '.join(PREFILTERS)}; got {self.prefilter!r}."
            )
        if any(
            (a - b) % 2 for size in self.templates for a, b in zip(size, self.template, strict=True)
        ):
            raise ParameterError(
                "nested templates share their centres, so their sizes must be all even or all odd; "
                f"got {[max(t) for t in self.templates]}."
            )
        if min(self.template) < 4:
            raise ParameterError(
                f"a template of {min(self.template)} pixels holds nothing to match; use 16 or more."
            )
        _fraction(self.prefilter_sigma, "prefilter_sigma", 0.5, 100)
        width: Any = self.prefilter_width
        if not (isinstance(width, int) and 3 <= width <= 501 and width % 2 == 1):
            raise ParameterError(
                f"prefilter_width must be an odd number of pixels from 3 to 501; got {width!r}."
            )
        _fraction(self.min_valid, "min_valid", 0.05, 1)
        _fraction(self.false_alarm, "false_alarm", 1e-12, 1)
        _fraction(self.min_correlation, "min_correlation", 0, 1)
        _fraction(self.min_peak_ratio, "min_peak_ratio", 1, 100)
        for size, edge, axis in zip(self.shape, self.template, "yx", strict=True):
            if size < edge:
                raise ParameterError(
                    f"the image has {size} pixels along {axis}, fewer than the template "
                    f"({edge}); use a smaller template or a larger image."
                )

    @property
    def template(self) -> tuple[int, int]:
        """The smallest template, which places the posts."""
        return self.templates[0]

    @property
    def largest(self) -> tuple[int, int]:
        """The largest template along each axis."""
        return max(t[0] for t in self.templates), max(t[1] for t in self.templates)

    @property
    def fine(self) -> TrackParameters:
        """The same in matched pixels, where the images are oversampled."""
        n = self.oversample
        if n == 1:
            return self

        def times(size: tuple[int, int]) -> tuple[int, int]:
            return size[0] * n, size[1] * n

        return replace(
            self,
            shape=times(self.shape),
            pixel=(self.pixel[0] / n, self.pixel[1] / n),
            templates=tuple(times(t) for t in self.templates),
            search=times(self.search),
            step=times(self.step),
            reach=times(self.reach),
            oversample=1,
            prefilter_sigma=self.prefilter_sigma * n,
            prefilter_width=self.prefilter_width * n + 1 - n % 2,
        )

    @property
    def posts(self) -> tuple[int, int]:
        """Number of posts (y, x): one wherever a template fits into the image."""
        ny, nx = (
            (n - t) // s + 1 for n, t, s in zip(self.shape, self.template, self.step, strict=True)
        )
        return ny, nx

    @property
    def offsets(self) -> tuple[int, int]:
        """Number of whole-pixel offsets tried (y, x)."""
        return 2 * self.search[0] + 1, 2 * self.search[1] + 1

    @property
    def halo(self) -> int:
        """Pixels that the filters need around what is matched."""
        margin = 0
        if self.prefilter in ("box", "wallis"):
            margin = self.prefilter_width // 2
        elif self.prefilter == "sobel":
            margin = 1
        elif self.prefilter != "none":
            margin = math.ceil(4 * self.prefilter_sigma)
        if self.oversample > 1:
            from glaciertoolkit.tracking.oversample import HALF_WIDTH

            margin += HALF_WIDTH
        return (
            margin
            + (1 if self.method == "orientation" else 0)
            + SPLINE_MARGIN * (self.mode == "quality")
        )

    @property
    def tile(self) -> tuple[int, int]:
        """Posts (y, x) of a tile: a strip of the kernels' lanes wide."""
        from glaciertoolkit.tracking.correlation import Cells
        from glaciertoolkit.tracking.kernels.products import LANES

        fine = self.fine
        slots = Cells.of(fine.largest, fine.step).slots[1]
        rows, columns = (
            min(most, max(TILE_STEPS // step, LEAST_POSTS))
            for most, step in zip((TILE_POSTS, TILE_POSTS // 2), self.step, strict=True)
        )
        width = -(-(columns + slots) // LANES) * LANES - slots + 1
        # Of few posts that are far apart rather a part of the lanes than a strip of pixels.
        width = min(width, max(2 * TILE_STEPS // self.step[1], LEAST_POSTS))

        # As many tiles as that asks for, but all of one size: no sliver at the end.
        def even(posts: int, most: int) -> int:
            return -(-posts // -(-posts // most))

        return even(self.posts[0], rows), even(self.posts[1], width)
