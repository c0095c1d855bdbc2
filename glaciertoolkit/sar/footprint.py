"""Pixels of a radar image on the ground: how many make a square."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.sar.baselines import incidence
from glaciertoolkit.sar.geocoding import image_to_ground
from glaciertoolkit.sar.geometry import RadarGeometry, geometry_of

LEAST = 8
"""Samples of the narrowest template."""


def ground_per_slant(geometry: RadarGeometry, *, height: float) -> float:
    """Metres of ground range per metre of slant range in the middle of an image, level ground."""
    lon, lat = image_to_ground(geometry, *geometry.centre, height)
    return float(1 / np.sin(np.radians(incidence(geometry, lon, lat, height))))


def lines_per_sample(ds: xr.Dataset) -> float:
    """Ground range of a sample over the azimuth of a line, in the middle of a pair."""
    geometry = geometry_of(ds)
    height = float(ds["height"].mean()) if "height" in ds else float(ds.attrs.get("mean_height", 0))
    ground = geometry.range_spacing * ground_per_slant(geometry, height=height)
    return ground / geometry.azimuth_spacing


def square_step(lines: int, ratio: float) -> dict[str, int]:
    """A step of `lines` that is about square on the ground, in pixels.

    Parameters
    ----------
    lines : int
    ratio : float
        From `lines_per_sample`.

    Examples
    --------
    >>> square_step(4, 1.385)
    {'y': 4, 'x': 3}
    """
    return {"y": lines, "x": max(1, round(lines / ratio))}


def square_template(lines: int, ratio: float, *, step: int) -> dict[str, int]:
    """A template of `lines` that is about square on the ground, in pixels.

    Its width is a whole number of steps, which keeps the blocks of the tracker large, and even or
    odd as its height is.

    Examples
    --------
    >>> square_template(64, 1.385, step=3)
    {'y': 64, 'x': 48}
    """
    unit = step if step % 2 == lines % 2 == 0 else 2 * step
    width = max(unit, unit * round(lines / ratio / unit))
    if lines % 2:
        width += 1 - width % 2
    return {"y": lines, "x": max(width, LEAST + lines % 2)}
