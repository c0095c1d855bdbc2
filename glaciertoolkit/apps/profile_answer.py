"""What lies along the lines of the profile inspector; no widgets: it can run in a thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.apps.profile_content import Dated, ProfileContent
from glaciertoolkit.apps.profile_lines import DrawnLine
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.grids import crs_of
from glaciertoolkit.profiles import profile
from glaciertoolkit.strain import strain_length, strain_rate

KEPT = 48
"""Profiles that are kept, to be shown again when another line moves."""

SHORT = "Click on the map: a line needs at least two points."


class Curve(NamedTuple):
    """One line on one date: what `profile` and `strain_rate` return."""

    line: DrawnLine
    date: str
    along: xr.Dataset


class Question(NamedTuple):
    """All that an answer depends on."""

    lines: tuple[DrawnLine, ...]
    dates: tuple[str, ...]
    width: float
    length: float | None


class Answer(NamedTuple):
    """The curves to a question, and in words what is missing of them."""

    question: Question
    curves: tuple[Curve, ...]
    sentence: str


class Reader:
    """Reads the maps of one inspector along lines; it keeps what it read last."""

    def __init__(self, content: ProfileContent) -> None:
        self.content = content
        self._kept: OrderedDict[Any, xr.Dataset] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, question: Question) -> Answer:
        """The curves of all lines and dates; what goes wrong becomes a sentence."""
        curves, said = [], []
        for line in question.lines:
            words = f"{line.name}: " if len(question.lines) > 1 else ""
            if line.distinct < 2:
                said.append(words + SHORT)
                continue
            for dated in self.content.dates:
                if dated.label not in question.dates:
                    continue
                prefix = words + (f"{dated.label}: " if len(question.dates) > 1 else "")
                try:
                    along = self._along(line, dated, question)
                except GlacierToolkitError as error:
                    said.append(prefix + str(error))
                    continue
                except Exception as error:  # a file that is gone, a disk that fails
                    said.append(f"{prefix}The map cannot be read here: {error}.")
                    continue
                if not _has_values(along):
                    said.append(
                        f"{prefix}No post along this line has a value: draw it over the coloured "
                        "map."
                    )
                curves.append(Curve(line, dated.label, along))
        self.content.content.spool.release()
        return Answer(question, tuple(curves), " ".join(s[:1].upper() + s[1:] for s in said))

    def _along(self, line: DrawnLine, dated: Dated, question: Question) -> xr.Dataset:
        key = (line.x, line.y, dated.label, question.width)
        with self._lock:
            found = self._kept.pop(key, None)
        if found is None:
            found = self._read(line, dated, question.width)
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if not {"v_along", "v"} & set(found):
            return found
        return strain_rate(found, length=question.length)

    def _read(self, line: DrawnLine, dated: Dated, width: float) -> xr.Dataset:
        shape: Any = line.points
        own = dated.ds is self.content.ds
        if not own and crs_of(dated.ds) != crs_of(self.content.ds):
            import geopandas as gpd
            from shapely import LineString

            shape = gpd.GeoSeries([LineString(shape)], crs=crs_of(self.content.ds))
        # The ground is the same on every date.
        dem = self.content.dem if own else None
        try:
            return profile(dated.ds, shape, width=width or None, dem=dem)
        except GlacierToolkitError:
            if dem is None:
                raise
            # The velocity may be there where the elevation model is not.
            return profile(dated.ds, shape, width=width or None)


def _has_values(along: xr.Dataset) -> bool:
    name = next((n for n in ("v", "vx", "dx", *along.data_vars) if n in along), None)
    return name is not None and bool(np.isfinite(along[name].values.astype(float)).any())


def default_length(content: ProfileContent) -> float:
    """Metres over which a strain rate is taken unless somebody says otherwise."""
    posts = xr.Dataset(coords={"distance": [0.0, content.spacing]}, attrs=content.ds.attrs)
    return strain_length(posts)
