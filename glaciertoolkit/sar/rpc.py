"""Rational polynomial coefficients: the geometry of an image without its orbit."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.sar.geocoding import DemGrid, apply, image_to_ground, pointwise
from glaciertoolkit.sar.geometry import RadarGeometry
from glaciertoolkit.sar.rpc_text import TERMS, Rpc, read_rpc

__all__ = [
    "Misfit",
    "Rpc",
    "fit_rpc",
    "read_rpc",
    "rpc_misfit",
    "rpc_to_ground",
    "rpc_to_image",
    "rpc_to_terrain",
]

Array = npt.NDArray[np.float64]

NODES = (15, 15, 9)
"""Lines, samples and heights of the grid to which the functions are fitted."""

DAMPING = 1e-10
"""Weight of the coefficients' size in the fit, against one row of the normalised equations. The
terms are nearly dependent: what the points leave open had better be small."""

REWEIGHTINGS = 3
LARGEST_MISFIT = 0.1
"""Pixels of misfit of a fitted model above which a warning says so."""


def fit_rpc(
    geometry: RadarGeometry, *, low: float, high: float, nodes: tuple[int, int, int] = NODES
) -> Rpc:
    """Rational functions that stand for a range-Doppler geometry.

    Parameters
    ----------
    geometry : RadarGeometry
    low, high : float
        Heights above the ellipsoid (m) between which the functions shall hold.
    nodes : tuple of int
        Lines, samples and heights of the grid of points that they are fitted to.

    Returns
    -------
    Rpc
        Its `err_rand` is the root mean square of what is left, in metres of slant range and
        azimuth; `rpc_misfit` gives it in pixels.

    Raises
    ------
    ParameterError
        If `high` is not above `low`, or there are fewer than four nodes along an axis.
    InputError
        If a part of the image sees no ground at these heights.

    Notes
    -----
    Least squares of ``N - y D = 0`` with D(0) = 1, repeated with the weights 1 / D, so that pixels
    are what is minimised; the coefficients are slightly damped, because they are nearly dependent.

    References
    ----------
    Tao, C. V. and Hu, Y. (2001), A comprehensive study of the rational function model for
    photogrammetric processing, Photogramm. Eng. Remote Sens. 67(12), 1347-1357.
    """
    if not (np.isfinite([low, high]).all() and high > low):
        raise ParameterError(f"high must be above low; got low={low!r}, high={high!r}.")
    if len(nodes) != 3 or min(nodes) < 4:
        raise ParameterError(f"nodes must be three numbers, at least 4 each; got {nodes!r}.")
    line, sample, h, lon, lat = _lattice(geometry, low, high, nodes)
    spans = [(v.min(), v.max()) for v in (line, sample, lat, lon, h)]
    middles = [float(a + b) / 2 for a, b in spans]
    scales = [float(b - a) / 2 for a, b in spans]
    names = ("line", "sample", "latitude", "longitude", "height")
    y, x, p, q, k = ((v - m) / s for v, m, s in zip(
        (line, sample, lat, lon, h), middles, scales, strict=True
    ))  # fmt: skip
    terms = _terms(p, q, k)
    values: dict[str, Any] = {f"{n}_offset": m for n, m in zip(names, middles, strict=True)}
    values |= {f"{n}_scale": s for n, s in zip(names, scales, strict=True)}
    values["line_num"], values["line_den"] = _fit_ratio(terms, y)
    values["sample_num"], values["sample_den"] = _fit_ratio(terms, x)
    # In the turn of longitudes that other software writes.
    values["longitude_offset"] = (values["longitude_offset"] + 180.0) % 360.0 - 180.0
    rpc = Rpc(**values)
    left = rpc_misfit(rpc, geometry, low=low, high=high)
    if left.largest > LARGEST_MISFIT:
        warnings.warn(
            f"the rational functions miss the geometry by up to {left.largest:.2g} pixels; use "
            "the range-Doppler geometry itself, or fit a smaller range of heights.",
            GlacierToolkitWarning,
            stacklevel=2,
        )
    metres = (left.line * geometry.azimuth_spacing, left.sample * geometry.range_spacing)
    return replace(rpc, err_bias=0.0, err_rand=float(np.hypot(*metres)))


class Misfit(NamedTuple):
    """Difference of two geometries in pixels: root mean squares, and the largest distance."""

    line: float
    sample: float
    largest: float


def rpc_misfit(
    rpc: Rpc, geometry: RadarGeometry, *, low: float, high: float,
    nodes: tuple[int, int, int] = (23, 23, 14),
) -> Misfit:  # fmt: skip
    """How far rational functions lie from a range-Doppler geometry over the relief.

    Parameters
    ----------
    rpc : Rpc
    geometry : RadarGeometry
    low, high : float
        Heights above the ellipsoid, metres.
    nodes : tuple of int
        Lines, samples and heights at which they are compared.

    Returns
    -------
    Misfit
        Pixels.

    Raises
    ------
    InputError
        If a part of the image sees no ground at these heights.
    """
    line, sample, h, lon, lat = _lattice(geometry, low, high, nodes)
    here = rpc_to_image(rpc, lon, lat, h)
    down, right = here[0] - line, here[1] - sample
    return Misfit(
        float(np.sqrt(np.mean(down**2))),
        float(np.sqrt(np.mean(right**2))),
        float(np.hypot(down, right).max()),
    )


def rpc_to_image(rpc: Rpc, longitude: Any, latitude: Any, height: Any) -> tuple[Any, Any]:
    """Where points on the ground are seen in an image.

    Parameters
    ----------
    rpc : Rpc
    longitude, latitude : array_like or xarray.DataArray
        Degrees, WGS84.
    height : array_like or xarray.DataArray
        Metres above the ellipsoid (not above sea level), broadcast with the two. A height left
        at 0 puts a target at 5000 m about 7 km away.

    Returns
    -------
    line, sample : numpy.ndarray or xarray.DataArray
        Pixel centres counted from 0; NaN where an input is. Lazy where the input is.
    """
    from glaciertoolkit.sar import rpc_kernels

    find = pointwise(rpc_kernels.project, rpc.table, rpc.frame, results=2)
    line, sample = apply(find, (longitude, latitude, height), 2)
    return line, sample


def rpc_to_ground(rpc: Rpc, line: Any, sample: Any, height: Any) -> tuple[Any, Any]:
    """Where on the ground a pixel lies, if its height is known.

    Parameters
    ----------
    rpc : Rpc
    line, sample : array_like or xarray.DataArray
        Pixel centres counted from 0.
    height : array_like or xarray.DataArray
        Metres above the ellipsoid.

    Returns
    -------
    longitude, latitude : numpy.ndarray or xarray.DataArray
        Degrees, WGS84; NaN where the functions do not reach the pixel.

    Notes
    -----
    Newton's method with the exact derivatives, until line and sample agree to 1e-8 pixels.
    """
    from glaciertoolkit.sar import rpc_kernels

    find = pointwise(rpc_kernels.locate, rpc.table, rpc.frame, results=2)
    longitude, latitude = apply(find, (line, sample, height), 2)
    return longitude, latitude


def rpc_to_terrain(rpc: Rpc, line: Any, sample: Any, dem: DemGrid) -> tuple[Any, Any, Any]:
    """Where on the terrain a pixel lies.

    Parameters
    ----------
    rpc : Rpc
    line, sample : array_like or xarray.DataArray
        Pixel centres counted from 0.
    dem : DemGrid
        Heights above the ellipsoid.

    Returns
    -------
    longitude, latitude, height : numpy.ndarray or xarray.DataArray
        Degrees, WGS84, and metres above the ellipsoid; NaN beyond the DEM. In layover a pixel has
        several grounds, and one of them is returned.
    """
    from glaciertoolkit.sar import rpc_kernels

    fixed = (rpc.table, rpc.frame, dem.height, dem.grid, *dem.limits)
    find = pointwise(rpc_kernels.locate_terrain, *fixed, results=3)
    longitude, latitude, height = apply(find, (line, sample), 3)
    return longitude, latitude, height


def _lattice(
    geometry: RadarGeometry, low: float, high: float, nodes: tuple[int, int, int]
) -> tuple[Array, ...]:
    """Lines, samples, heights, longitudes and latitudes of points throughout the image."""
    axes = (
        np.linspace(0.0, geometry.lines - 1.0, nodes[0]),
        np.linspace(0.0, geometry.samples - 1.0, nodes[1]),
        np.linspace(low, high, nodes[2]),
    )
    line, sample, h = (v.ravel() for v in np.meshgrid(*axes, indexing="ij"))
    lon, lat = image_to_ground(geometry, line, sample, h)
    if not np.isfinite(lon).all():
        raise InputError(
            f"parts of the image see no ground between {low:.0f} and {high:.0f} m; give heights "
            "above the ellipsoid that occur in the scene."
        )
    # Without a jump where the scene crosses the date line.
    lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0
    return line, sample, h, lon, lat


def _terms(p: Array, q: Array, h: Array) -> Array:
    """The terms (n, 20) of the polynomials over latitude `p`, longitude `q` and height `h`."""
    one = np.ones_like(p)
    return np.stack(
        [
            one, q, p, h, q * p, q * h, p * h, q * q, p * p, h * h,
            p * q * h, q**3, q * p * p, q * h * h, q * q * p, p**3, p * h * h, q * q * h,
            p * p * h, h**3,
        ],
        axis=1,
    )  # fmt: skip


def _fit_ratio(terms: Array, seen: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numerator and denominator whose quotient is `seen`."""
    design = np.concatenate([terms, -seen[:, None] * terms[:, 1:]], axis=1)
    damping = np.sqrt(DAMPING) * np.eye(design.shape[1])
    weight = np.ones(seen.size)
    solution = np.zeros(design.shape[1])
    for _ in range(REWEIGHTINGS):
        rows = np.concatenate([design * weight[:, None], damping])
        right = np.concatenate([seen * weight, np.zeros(design.shape[1])])
        solution = np.linalg.lstsq(rows, right, rcond=None)[0]
        weight = 1 / (1 + terms[:, 1:] @ solution[TERMS:])
    return (
        tuple(map(float, solution[:TERMS])),
        (1.0, *map(float, solution[TERMS:])),
    )
