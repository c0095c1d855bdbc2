"""What drives the ice: the stress of its own weight, and how fast it deforms under it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS, describe
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.grids import (
    Grid,
    grid_spacing,
    ground_scale,
    match_raster,
    on_posts,
    post_transform,
    rasterize,
)
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.provenance import recorded
from glaciertoolkit.terrain import same_posts

Array = npt.NDArray[np.float64]

DENSITY = 900.0
"""kg m-3, of ice with some firn."""

GRAVITY = 9.81
"""m s-2."""

RATE_FACTOR = 2.4e-24
"""Pa-3 s-1, of temperate ice; cold ice deforms ten to a hundred times more slowly."""

EXPONENT = 3.0
"""Of Glen's flow law."""

LENGTHS = (4.0, 10.0)
"""Ice thicknesses over which longitudinal stresses even out."""

RATIO = math.sqrt(2)
"""Between the sizes of windows that are tried."""

SECONDS = YEAR_DAYS * 86_400
STRIPE = 1 << 22
FEWEST = 6
"""Posts on ice that a plane is fitted through."""


def stress_of(
    thickness: npt.ArrayLike,
    slope: npt.ArrayLike,
    *,
    density: float = DENSITY,
    gravity: float = GRAVITY,
) -> Array:
    """Driving stress, kPa, of ice of a thickness (m) on a surface slope (degrees).

    Examples
    --------
    >>> stress_of([100.0, 150.0, 300.0], [10.0, 10.0, 3.0]).round().tolist()
    [153.0, 230.0, 139.0]
    """
    alpha = np.radians(np.asarray(slope, float))
    stress = density * gravity * np.asarray(thickness, float) * np.sin(alpha) / 1e3
    return np.asarray(stress)


def deformation_of(
    stress: npt.ArrayLike,
    thickness: npt.ArrayLike,
    *,
    rate_factor: float = RATE_FACTOR,
    exponent: float = EXPONENT,
) -> Array:
    """Surface speed, m yr-1, of ice that only deforms, from stress (kPa) and thickness (m).

    Examples
    --------
    >>> h = [100.0, 150.0, 300.0]
    >>> deformation_of(stress_of(h, [10.0, 10.0, 3.0]), h).round(1).tolist()
    [13.6, 69.1, 30.3]
    """
    pascals = np.asarray(stress, float) * 1e3
    rate = 2 * rate_factor / (exponent + 1) * pascals**exponent
    return np.asarray(rate * np.asarray(thickness, float) * SECONDS)


@recorded
def driving_stress(
    ds: xr.Dataset,
    *,
    thickness: str | os.PathLike[str] | Grid,
    dem: str | os.PathLike[str] | Grid,
    outlines: Polygons | None = None,
    length: float = math.sqrt(LENGTHS[0] * LENGTHS[1]),
    density: float = DENSITY,
    gravity: float = GRAVITY,
    rate_factor: float = RATE_FACTOR,
    exponent: float = EXPONENT,
) -> xr.Dataset:
    """Driving stress of the ice, and the speed at which it would deform under it.

    Parameters
    ----------
    ds : xarray.Dataset
        Velocity, or anything else on the posts.
    thickness : path or xarray.DataArray
        Ice thickness, m; 0 and less count as no ice.
    dem : path or xarray.DataArray
        Elevation of the ice surface, m.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Count only ice inside; by default all with a thickness.
    length : float
        Edge of the square over which the slope is taken, in ice thicknesses: 4 to 10.
    density, gravity : float
        kg m-3 and m s-2.
    rate_factor, exponent : float
        Of Glen's flow law, Pa-n s-1 and n. The default is that of temperate ice.

    Returns
    -------
    xarray.Dataset
        `ds` with `thickness` (m), `surface_slope` (degrees), `slope_length` (m),
        `driving_stress` (kPa) and `deformation_speed` (m yr-1), float32; NaN off the ice, where
        there is no elevation and where fewer than six posts of ice lie in the square.

    Raises
    ------
    GridError
        Thickness, DEM or outlines do not overlap the grid; nowhere is ice.
    ParameterError
        Numbers that are not positive, or a `length` outside 4 to 10.

    Notes
    -----
    ``tau = density gravity H sin(alpha)``; ``u = 2 A / (n + 1) tau^n H``, the shallow-ice
    approximation without sliding. The slope is that of a plane fitted to the elevations of the
    ice within the square, rock left out; the edge is `length` times the thickness to within a
    factor of 1.19, as far as the posts resolve it (three posts or more). Distances are those on
    the ground, not those of a map that stretches.

    `deformation_speed` of temperate ice is an upper bound where the ice is cold. Where the
    measured speed exceeds it by far, the glacier slides, or thickness and slope are wrong: an
    error of 20 % in thickness changes the speed by a factor of two.

    References
    ----------
    Cuffey, K. M. and Paterson, W. S. B. (2010), The Physics of Glaciers, chapters 8 and 11.

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> ds = driving_stress(region.velocity, thickness=region.thickness, dem=region.dem)
    >>> ds.driving_stress.attrs["units"], float(ds.driving_stress.median()) > 20
    ('kPa', True)
    """
    numbers = {
        "density": density, "gravity": gravity, "rate_factor": rate_factor, "exponent": exponent,
    }  # fmt: skip
    for name, value in numbers.items():
        if not (value > 0 and math.isfinite(value)):
            raise ParameterError(f"{name} must be positive; got {value!r}.")
    if not LENGTHS[0] <= length <= LENGTHS[1]:
        raise ParameterError(f"length must be 4 to 10 ice thicknesses; got {length!r}.")
    depth = _matched(thickness, ds, "thickness")
    if outlines is not None:
        depth[~rasterize(outlines, ds, what="glacier outlines").values] = np.nan
    depth[~(depth > 0)] = np.nan
    if not np.isfinite(depth).any():
        raise GridError("no post has ice; choose a thickness of the same glaciers.")
    z = _matched(dem, ds, "elevation").astype(np.float64)
    z[np.isnan(depth)] = np.nan
    slope, edge = _slopes(z, depth, ds, length)
    stress = stress_of(depth, slope, density=density, gravity=gravity)
    speed = deformation_of(stress, depth, rate_factor=rate_factor, exponent=exponent)
    values: dict[str, npt.NDArray[Any]] = {
        "thickness": depth, "surface_slope": slope, "slope_length": edge,
        "driving_stress": stress, "deformation_speed": speed,
    }  # fmt: skip
    fields = {k: on_posts(v.astype(np.float32), ds, name=k) for k, v in values.items()}
    return describe(ds.assign(fields))


def _matched(source: Any, ds: xr.Dataset, name: str) -> npt.NDArray[np.float32]:
    """A raster, or the variable of that name of a Dataset on the same posts, at the posts."""
    if isinstance(source, xr.Dataset):
        same_posts(source, ds, what=f"the Dataset with the {name}")
        return np.array(source[name].values, np.float32)
    return np.array(match_raster(source, ds, name=name).values, np.float32)


def _slopes(
    z: Array, depth: npt.NDArray[np.float32], ds: xr.Dataset, length: float
) -> tuple[Array, Array]:
    """Slope of the ice, degrees, and the edge of the square of each post, m on the ground."""
    stretch = ground_scale(ds)
    sy, sx = (step / stretch for step in grid_spacing(ds))
    transform = post_transform(ds)
    signs = math.copysign(1, transform.e), math.copysign(1, transform.a)
    step = max(sy, sx)
    slope, edge = np.full((2, *z.shape), np.nan)
    for half in _windows(depth, length, step):
        rows, cols = max(1, round(half * step / sy)), max(1, round(half * step / sx))
        wanted = _nearest_window(depth, length, step) == half
        for near, part, inner in _stripes(z.shape, rows):
            if not wanted[part].any():
                continue
            zx, zy = _plane(z[near], (rows, cols), (signs[0] * sy, signs[1] * sx))
            found = np.degrees(np.arctan(np.hypot(zx, zy)))[inner]
            slope[part] = np.where(wanted[part], found, slope[part])
        edge[wanted] = (2 * half + 1) * step
    edge[np.isnan(slope)] = np.nan
    return slope, edge


def _nearest_window(depth: npt.NDArray[np.float32], length: float, step: float) -> Array:
    """Half the window of each post in steps, from the sizes that are tried; 0 off the ice."""
    wanted = np.maximum((length * depth.astype(np.float64) / step - 1) / 2, 1.0)
    level = np.rint(np.log(wanted) / math.log(RATIO))
    return np.where(np.isfinite(wanted), np.rint(RATIO**level), 0.0)


def _windows(depth: npt.NDArray[np.float32], length: float, step: float) -> list[int]:
    halves = np.unique(_nearest_window(depth, length, step))
    return [int(half) for half in halves if half > 0]


def _stripes(shape: tuple[int, ...], margin: int) -> Iterator[tuple[slice, slice, slice]]:
    """Rows with a margin around them, the rows, and the rows within the margin."""
    rows = max(4 * margin, STRIPE // shape[1], 1)
    for first in range(0, shape[0], rows):
        last = min(first + rows, shape[0])
        start = max(first - margin, 0)
        near = slice(start, min(last + margin, shape[0]))
        yield near, slice(first, last), slice(first - start, last - start)


def _plane(z: Array, half: tuple[int, int], spacing: tuple[float, float]) -> tuple[Array, Array]:
    """Gradient along x and y of planes fitted to the known elevations in a window."""
    from scipy.ndimage import correlate1d

    known = np.isfinite(z)
    level = float(z[known].mean()) if known.any() else 0.0
    weight = known.astype(np.float64)
    height = np.where(known, z - level, 0.0)
    offsets = [np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True)]

    def moment(field: Array, py: int, px: int) -> Array:
        along_y = correlate1d(field, offsets[0] ** py, axis=0, mode="constant")
        return np.asarray(correlate1d(along_y, offsets[1] ** px, axis=1, mode="constant"))

    n, x, y = moment(weight, 0, 0), moment(weight, 0, 1), moment(weight, 1, 0)
    xx, xy, yy = moment(weight, 0, 2), moment(weight, 1, 1), moment(weight, 2, 0)
    s, sx, sy = moment(height, 0, 0), moment(height, 0, 1), moment(height, 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # About the centre of the posts that count.
        xx, xy, yy = xx - x * x / n, xy - x * y / n, yy - y * y / n
        sx, sy = sx - x * s / n, sy - y * s / n
        determinant = xx * yy - xy * xy
        # Posts in a line leave the slope across it open.
        solid = (n >= FEWEST - 0.5) & (determinant > 1e-3 * xx * yy)
        zx = np.where(solid, (yy * sx - xy * sy) / determinant, np.nan)
        zy = np.where(solid, (xx * sy - xy * sx) / determinant, np.nan)
    return zx, zy
