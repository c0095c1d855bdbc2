"""What the tracking lab computes for one place; no widgets here, so that it can run in a thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.reasons import explain
from glaciertoolkit.tracking.inspect import surface_at
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.place import Measured, measure_at, place_of, start_at
from glaciertoolkit.tracking.track import parameters_of, track

KEPT_TILES = 3
"""Tiles that are kept: a click beside the last one is then answered from what is there."""


HALO = 24
"""Pixels beyond the search that the field around a place is given for its filters."""
POSTS_AROUND = 4
"""Posts on each side of the place in the field around it; they are half a template apart."""


class Answer(NamedTuple):
    """A place as `correlation_surface` returns it, and in words.

    Where the place cannot be matched at all, only the sentence that says why.
    """

    found: xr.Dataset | None
    words: str


class Bench:
    """Answers for one pair; it keeps the tiles that it measured last."""

    def __init__(self, pair: xr.Dataset) -> None:
        self.pair = pair
        self._tiles: OrderedDict[Any, Measured] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, x: float | None, y: float | None, options: dict[str, Any]) -> Answer:
        """Match at the post nearest to (x, y); what goes wrong becomes a sentence."""
        if x is None or y is None:
            return Answer(None, "Give both x and y of the place, in metres.")
        try:
            return self._answer(x, y, options)
        except GlacierToolkitError as error:
            return Answer(None, str(error))
        except Exception as error:  # a file that is gone, a disk that fails: any library's error
            return Answer(None, f"The images cannot be read or matched here: {error}.")

    def _answer(self, x: float, y: float, options: dict[str, Any]) -> Answer:
        parameters = parameters_of(self.pair, **options)
        place_of_post = nearest_post(self.pair, x, y, parameters)
        place = place_of(self.pair, *place_of_post, parameters)
        prior = options.get("prior")
        known = prior if isinstance(prior, tuple) else id(prior)
        key = (place.parameters, place.pad, place.tile, known)
        with self._lock:
            measured = self._tiles.pop(key, None)
        if measured is None:
            start, reach = start_at(self.pair, place, prior, options.get("max_displacement"))
            measured = measure_at(self.pair, place, start, reach)
        with self._lock:
            self._tiles[key] = measured
            while len(self._tiles) > KEPT_TILES:
                self._tiles.popitem(last=False)
        found = surface_at(self.pair, place, measured)
        return Answer(found, str(explain(found)))

    def around(self, found: xr.Dataset, options: dict[str, Any]) -> xr.Dataset | None:
        """Offsets of the posts around a place that was found; None where there are none."""
        try:
            return self._around(found, options)
        except Exception:
            # A picture beside the answer: what is wrong with the images the answer itself says.
            return None

    def _around(self, found: xr.Dataset, options: dict[str, Any]) -> xr.Dataset:
        slices, spacing = {}, {}
        for k, name in enumerate(("y", "x")):
            edge, search = found.attrs["template"][k], found.attrs["search"][k]
            spacing[name] = max(edge // 2, 4)
            reach = POSTS_AROUND * spacing[name]
            first, size = found.attrs["template_first_pixel"][k], self.pair.sizes[name]
            # A whole number of posts before the place, so that it is one of them.
            before = min(reach, first // spacing[name] * spacing[name])
            margin = (search + HALO) // spacing[name] * spacing[name]
            before = min(before + margin, first // spacing[name] * spacing[name])
            slices[name] = slice(first - before, min(first + edge + reach + search + HALO, size))
        near = self.pair[["reference", "secondary"]].isel(slices).compute()
        given = {n: v for n, v in options.items() if n not in ("step", "nested", "mode")}
        out = track(near, **{**given, "template": _as_sizes(found.attrs["template"]),
                             "step": spacing})  # fmt: skip
        keep = {}
        for k, name in enumerate(("y", "x")):
            reach = (POSTS_AROUND + 0.5) * spacing[name] * found.attrs["pixel"][k]
            keep[name] = np.abs(out[name].values - float(found[name])) <= reach
        return out.isel({name: np.flatnonzero(mask) for name, mask in keep.items()})


def _as_sizes(template: list[int]) -> dict[str, int]:
    return {"y": int(template[0]), "x": int(template[1])}


def nearest_post(
    pair: xr.Dataset, x: float, y: float, parameters: TrackParameters
) -> tuple[float, float]:
    """x and y of the post of `track` that is nearest; places off the images stay as they are."""
    out = []
    for name, at, axis in (("x", x, 1), ("y", y, 0)):
        values = np.asarray(pair[name].values, float)
        pixel, edge = parameters.pixel[axis], parameters.template[axis]
        column = (float(at) - values[0]) / pixel
        if not -0.5 <= column <= values.size - 0.5:
            out.append(at)
            continue
        post = round((column - (edge - 1) / 2) / parameters.step[axis])
        first = min(max(post, 0), parameters.posts[axis] - 1) * parameters.step[axis]
        out.append(float(values[first] + values[first + edge - 1]) / 2)
    return out[0], out[1]
