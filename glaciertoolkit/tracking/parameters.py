"""The parameters of tracking, checked at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from glaciertoolkit.errors import ParameterError

PREFILTERS = ("highpass", "log", "none")
METHODS = ("ncc",)

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

    Sizes are (y, x) in pixels; `pixel` is the signed spacing (y, x) of the image in metres.
    """

    shape: tuple[int, int]
    pixel: tuple[float, float]
    template: tuple[int, int]
    search: tuple[int, int]
    step: tuple[int, int]
    method: str
    prefilter: str
    prefilter_sigma: float
    min_valid: float
    false_alarm: float
    min_correlation: float
    min_peak_ratio: float

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ParameterError(
                f"method must be one of {', '.join(METHODS)}; got {self.method!r}."
            )
        if self.prefilter not in PREFILTERS:
            raise ParameterError(
                f"prefilter must be one of {', '.join(PREFILTERS)}; got {self.prefilter!r}."
            )
        if min(self.template) < 4:
            raise ParameterError(
                f"a template of {min(self.template)} pixels holds nothing to match; use 16 or more."
            )
        _fraction(self.prefilter_sigma, "prefilter_sigma", 0.5, 100)
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
    def posts(self) -> tuple[int, int]:
        """Number of posts (y, x): one wherever a template fits into the image."""
        ny, nx = (
            (n - t) // s + 1 for n, t, s in zip(self.shape, self.template, self.step, strict=True)
        )
        return ny, nx

    @property
    def block(self) -> int:
        """Edge of the blocks whose product sums are shared by all templates."""
        return math.gcd(*self.template, *self.step)

    @property
    def offsets(self) -> tuple[int, int]:
        """Number of whole-pixel offsets tried (y, x)."""
        return 2 * self.search[0] + 1, 2 * self.search[1] + 1

    @property
    def halo(self) -> int:
        """Pixels that the prefilter needs around what is matched."""
        return 0 if self.prefilter == "none" else math.ceil(4 * self.prefilter_sigma)
