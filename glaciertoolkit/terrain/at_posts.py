"""Elevation, slope and aspect of the ground under the templates."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import describe
from glaciertoolkit.errors import GlacierToolkitWarning, GridError, ParameterError
from glaciertoolkit.grids import (
    Grid,
    Located,
    crs_of,
    grid_spacing,
    is_located,
    match_raster,
    on_posts,
    pixel_size,
    post_transform,
    template_metres,
)
from glaciertoolkit.terrain.curvature import (
    Derivatives,
    derivatives,
    plan_curvature,
    profile_curvature,
    range_within,
)
from glaciertoolkit.terrain.surface import Array, aspect_of, horn, slope_of

ATTRIBUTES = (
    "elevation", "slope", "aspect", "northness", "eastness", "profile_curvature",
    "plan_curvature", "relief",
)  # fmt: skip

FOOTPRINT_CELLS = 8
"""Cells of the working grid across a footprint, where the DEM has that many."""

NAMES = ("elevation", "slope", "aspect")

BAND = 1 << 22
"""Posts that are brought to the working grid at once: a whole scene would take gigabytes there."""

KNOWN = 0.5
"""Least share of a footprint with an elevation."""


def terrain_at_posts(
    like: Grid,
    dem: str | os.PathLike[str] | Grid,
    *,
    smooth: float | None = None,
    min_coverage: float = 0.5,
    attributes: Sequence[str] = ("elevation", "slope", "aspect"),
) -> xr.Dataset:
    """Elevation, slope and aspect at the posts, of the ground that a template sees.

    Parameters
    ----------
    like : xarray.Dataset or xarray.DataArray
        The grid with the posts, in metres.
    dem : path or xarray.DataArray
        Elevation, m, in any CRS and resolution.
    smooth : float, optional
        Edge, m, of the square over which elevations are averaged first; 0 for none. By default
        the template of `like` where it records one, else the spacing of the posts.
    min_coverage : float
        As in `match_raster`.
    attributes : sequence of str
        What to return: "elevation", "slope", "aspect", "northness", "eastness",
        "profile_curvature", "plan_curvature", "relief".

    Returns
    -------
    xarray.Dataset
        `elevation` (m), `slope` and `aspect` (degrees; aspect is the direction of steepest
        descent, clockwise from grid north); on request `northness` and `eastness` (cosine and
        sine of the aspect, which average where angles do not), `profile_curvature` and
        `plan_curvature` (m-1, positive where convex, see `curvature`), of the averaged ground,
        and `relief` (highest minus lowest elevation in the square, m); float32, (y, x). NaN where
        the DEM covers less than half of the square. Computed at once.

    Raises
    ------
    GridError
        As `match_raster`, or a grid in degrees.
    ParameterError
        `smooth` is negative, or an unknown attribute.

    Notes
    -----
    The DEM is brought to a grid that contains the posts and resolves the square, averaged over
    it, and differentiated there (`slope`).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 10.0 * np.arange(40)
    >>> dem = xr.DataArray(np.tile(x, (40, 1)), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> posts = xr.Dataset(coords={"y": [150.0, 200.0], "x": [150.0, 200.0]})
    >>> terrain_at_posts(posts, dem, smooth=60).slope.values.round(3).tolist()
    [[45.0, 45.0], [45.0, 45.0]]
    """
    unknown = [name for name in attributes if name not in ATTRIBUTES]
    if unknown or not attributes:
        raise ParameterError(
            f"attributes must be some of {', '.join(ATTRIBUTES)}; got {list(attributes)!r}."
        )
    return _terrain(like, dem, tuple(attributes), smooth=smooth, min_coverage=min_coverage)


def elevation_at_posts(like: Grid, dem: str | os.PathLike[str] | Grid) -> xr.DataArray:
    """The elevation of `terrain_at_posts` alone: a third of the memory."""
    return _terrain(like, dem, ("elevation",), smooth=None, min_coverage=0.5)["elevation"]


def _terrain(
    like: Grid, dem: Any, names: tuple[str, ...], *, smooth: float | None, min_coverage: float
) -> xr.Dataset:
    if is_located(like):
        return _at_located(like, dem, smooth, min_coverage, names)
    posts = grid_spacing(like)
    if smooth is None:
        smooth = template_metres(like) or float(np.mean(posts))
    if not smooth >= 0 or not math.isfinite(smooth):
        raise ParameterError(f"smooth must be metres, 0 or more; got {smooth!r}.")
    resolved = max(min(pixel_size(dem, like)), smooth / FOOTPRINT_CELLS)
    parts = tuple(max(1, math.ceil(p / resolved - 1e-6)) for p in posts)
    cells = tuple(p / n for p, n in zip(posts, parts, strict=True))
    margins = tuple(math.ceil(smooth / 2 / cell) + 1 for cell in cells)
    fine = _fine_grid(like, parts, margins)
    values = {
        name: np.full((like.sizes["y"], like.sizes["x"]), np.nan, np.float32) for name in names
    }
    outside: GridError | None = None
    bands = _bands(like)
    for rows in bands:
        (n, _), (m, _) = parts, margins
        part = fine.isel(y=slice(rows.start * n, (rows.stop - 1) * n + 2 * m + 1))
        try:
            # One band says what is missing of it; of several, all together.
            z = match_raster(dem, part, min_coverage=min_coverage if len(bands) == 1 else 0.0)
        except GridError as error:
            if len(bands) == 1:
                raise
            outside = error
            continue
        take = tuple(
            slice(margin, margin + (count - 1) * each + 1, each)
            for count, margin, each in zip(
                (rows.stop - rows.start, like.sizes["x"]), margins, parts, strict=True
            )
        )
        transform, widths = post_transform(part), tuple(smooth / cell for cell in cells)
        mean = box_mean(z.values, widths)
        ground = Ground(z.values, mean, transform.a, transform.e, widths)
        for name, field in values.items():
            field[rows] = ground.attribute(name)[take]
    if len(bands) > 1:
        known = next(iter(values.values()))
        _check_known(values.get("elevation", known), min_coverage, outside)
    out = xr.Dataset({name: on_posts(v, like, name=name) for name, v in values.items()})
    out.attrs["smooth"] = float(smooth)
    return describe(out)


@dataclass(frozen=True)
class Ground:
    """Elevations as they are and averaged, signed spacings, edges of the square in cells."""

    heights: Array
    z: Array
    dx: float
    dy: float
    widths: tuple[float, ...]

    @cached_property
    def gradient(self) -> tuple[Array, Array]:
        """Of the averaged elevations, along x and y."""
        return horn(self.z, self.dx, self.dy)

    @cached_property
    def derivatives(self) -> Derivatives:
        """Of the averaged elevations, first and second."""
        return derivatives(self.z, self.dx, self.dy)

    def attribute(self, name: str) -> Array:
        """One of the attributes of `terrain_at_posts`."""
        if name == "elevation":
            return self.z
        if name == "slope":
            return slope_of(*self.gradient)
        if name == "aspect":
            return aspect_of(*self.gradient)
        if name in ("northness", "eastness"):
            angle = np.radians(aspect_of(*self.gradient))
            return np.cos(angle) if name == "northness" else np.sin(angle)
        if name == "profile_curvature":
            return profile_curvature(self.derivatives)
        if name == "plan_curvature":
            return plan_curvature(self.derivatives)
        rows, cols = (max(1, round(width / 2)) for width in self.widths)
        return np.where(
            np.isnan(self.z), np.float32(np.nan), range_within(self.heights, (rows, cols))
        )


def same_posts(field: Grid, ds: Grid, *, what: str = "the terrain given as dem") -> None:
    """Raise `GridError` where `field` lies on other posts than the velocity `ds`."""
    for dim in ("y", "x"):
        if dim not in field.coords or not np.array_equal(field[dim].values, ds[dim].values):
            raise GridError(
                f"{what} lies on other posts than the velocity; make terrain with "
                "terrain_at_posts(velocity, dem), masks and maps with match_raster or rasterize."
            )


def _bands(like: Grid) -> list[slice]:
    """Rows of posts that are worked on together."""
    rows = max(64, BAND // like.sizes["x"])
    return [
        slice(first, min(first + rows, like.sizes["y"]))
        for first in range(0, like.sizes["y"], rows)
    ]


def _check_known(
    elevation: npt.NDArray[np.float32], least: float, outside: GridError | None
) -> None:
    """What `match_raster` says of a grid, said of all bands together."""
    share = float(np.isfinite(elevation).mean())
    if not share and outside is not None:
        raise outside
    if share < least:
        warnings.warn(
            f"the elevation model has a value at only {share:.0%} of the posts.",
            GlacierToolkitWarning,
            stacklevel=3,
        )


def _at_located(
    like: Grid,
    dem: Any,
    smooth: float | None,
    min_coverage: float,
    attributes: Sequence[str],
) -> xr.Dataset:
    """The terrain of posts that lie askew on the map, by way of a map grid around them."""
    smooth = smooth if smooth is not None else template_metres(like)
    spacing = None if not smooth else smooth / FOOTPRINT_CELLS
    posts = Located.of(like, spacing=spacing)
    terrain = terrain_at_posts(
        posts.grid, dem, smooth=smooth, min_coverage=min_coverage, attributes=attributes
    )
    out = xr.Dataset({name: _taken(posts, terrain[name]) for name in attributes})
    out.attrs["smooth"] = terrain.attrs["smooth"]
    return describe(out)


def _taken(posts: Located, field: xr.DataArray) -> xr.DataArray:
    if field.name != "aspect":
        return posts.take(field)
    # Directions do not average.
    aspect = posts.take(field.fillna(-1).round().astype(np.int16))
    return aspect.where(aspect >= 0).astype(np.float32)


def _fine_grid(like: Grid, parts: tuple[int, ...], margins: tuple[int, ...]) -> xr.Dataset:
    """Each cell of the posts in `parts`, with `margins` of the parts around; holds every post."""
    coords = {}
    for dim, n, m in zip(("y", "x"), parts, margins, strict=True):
        posts = np.asarray(like[dim].values, float)
        step = (posts[-1] - posts[0]) / (posts.size - 1) / n
        coords[dim] = posts[0] + step * np.arange(-m, (posts.size - 1) * n + m + 1)
    fine = xr.Dataset(coords=coords)
    crs = crs_of(like)
    return fine if crs is None else fine.rio.write_crs(crs)


def box_mean(z: Array, widths: tuple[float, ...]) -> Array:
    """Mean over a rectangle, the missing left out; NaN where less than half of it is known.

    `widths` are its edges along each axis in cells, fractions allowed.
    """
    from scipy.ndimage import convolve1d

    known = np.isfinite(z)
    total, weight = np.where(known, z, np.float32(0)), known.astype(np.float32)
    for axis, width in enumerate(widths):
        kernel = _box(width)
        total = convolve1d(total, kernel, axis=axis, mode="constant")
        weight = convolve1d(weight, kernel, axis=axis, mode="constant")
    mean = np.full(z.shape, np.nan, np.float32)
    np.divide(total, weight, out=mean, where=weight > KNOWN - 1e-6)
    return mean


def _box(cells: float) -> npt.NDArray[np.float64]:
    """Weights of a window `cells` wide, the cells at its ends counted in part."""
    half = max(0, math.ceil((cells - 1) / 2))
    overlap = (cells + 1) / 2 - np.abs(np.arange(-half, half + 1))
    kernel = np.clip(overlap, 0.0, 1.0)
    return np.asarray(kernel / kernel.sum())
