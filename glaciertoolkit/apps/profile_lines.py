"""The lines of the profile inspector: their points, names, colours, and where they come from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import GridError
from glaciertoolkit.grids import post_bounds, read_lines
from glaciertoolkit.styles import LINE_COLOURS

ENDINGS = (".geojson", ".json", ".gpkg", ".kml", ".kmz", ".gpx", ".fgb", ".zip")
"""Of files with lines that a browser can send."""


@dataclass(frozen=True)
class DrawnLine:
    """A line on the map.

    Attributes
    ----------
    name, colour : str
    x, y : tuple of float
        The vertices, in the coordinates of the map.
    origin : tuple of float or None
        The place from which it follows the flow, as long as nobody changes it.
    """

    name: str
    colour: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    origin: tuple[float, float] | None = None

    @property
    def points(self) -> list[tuple[float, float]]:
        """The vertices as pairs."""
        return list(zip(self.x, self.y, strict=True))

    @property
    def distinct(self) -> int:
        """How many vertices there are, those left out that repeat the one before."""
        return sum(1 for k, p in enumerate(self.points) if k == 0 or p != self.points[k - 1])

    def through(self, x: Iterable[float], y: Iterable[float]) -> DrawnLine:
        """The same line through other vertices; it then follows no flow."""
        return replace(self, x=tuple(map(float, x)), y=tuple(map(float, y)), origin=None)


def colour_for(lines: Iterable[DrawnLine]) -> str | None:
    """The first colour that no line has; None where all are taken."""
    taken = {line.colour for line in lines}
    return next((colour for colour in LINE_COLOURS if colour not in taken), None)


def name_for(lines: Iterable[DrawnLine], word: str = "Line") -> str:
    """A name that no line has."""
    taken = {line.name for line in lines}
    number = 1
    while f"{word} {number}" in taken:
        number += 1
    return f"{word} {number}"


def placed(given: Any, ds: xr.Dataset) -> dict[str, Any]:
    """The lines of a file, a table, a mapping or a list that reach the map, by name.

    Raises
    ------
    InputError, GridError, FileError
        Where there is no line, or none that reaches the map.
    """
    import shapely

    found = read_lines(given, ds)
    box = shapely.box(*post_bounds(ds))
    near = {name: line for name, line in found.items() if line.intersects(box)}
    if not near:
        what = "The line lies" if len(found) == 1 else f"All {len(found)} lines lie"
        raise GridError(f"{what} outside the map; choose lines of the same place.")
    return near


def uploaded(data: bytes, name: str, ds: xr.Dataset) -> dict[str, Any]:
    """The lines of a file that a browser has sent."""
    from glaciertoolkit.errors import FileError

    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise FileError(
            f"{name} is not one of the files that are understood here: {', '.join(ENDINGS)} "
            "(a shapefile as .zip)."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(data)
        return placed(path, ds)


def vertices(line: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """x and y of a shapely line."""
    x, y = np.asarray(line.coords, float)[:, :2].T
    return tuple(x.tolist()), tuple(y.tolist())
