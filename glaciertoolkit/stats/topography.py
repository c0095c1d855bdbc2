"""Speed by elevation, slope, aspect and other attributes of the ground."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, VARIABLES, validate
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.grids import Grid, cell_area, is_located, rasterize
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.provenance import recorded
from glaciertoolkit.stats.bins import Bins, compass_bins, equal_bins, quantile_bins, regular_bins
from glaciertoolkit.stats.grouped import (
    circular_means,
    counts,
    error_of_mean,
    independent_posts,
    summarise,
)
from glaciertoolkit.stats.on_ice import OnIce
from glaciertoolkit.terrain import same_posts, terrain_at_posts

SPEED_UNITS = VARIABLES["v"].units
QUANTILES = (0.1, 0.9)
BASIC = ("elevation", "slope", "aspect")
EQUAL_COUNT = ("northness", "eastness", "profile_curvature", "plan_curvature", "relief")
NORMALISED = "normalised_elevation"
COVARIATES = (*BASIC, NORMALISED, *EQUAL_COUNT)


class _Posts(NamedTuple):
    """Values of the posts that count, one entry a post."""

    speed: npt.NDArray[Any]
    error: npt.NDArray[Any] | None
    ground: dict[str, npt.NDArray[Any]]


@recorded
def topography(
    ds: xr.Dataset,
    dem: str | os.PathLike[str] | Grid,
    *,
    outlines: Polygons | None = None,
    by: Sequence[str] | None = None,
    elevation_step: float = 100.0,
    elevation_bins: int | None = None,
    normalised_bins: int = 20,
    slope_step: float = 5.0,
    sectors: int = 8,
    classes: int = 8,
    min_count: int = 10,
    smooth: float | None = None,
) -> xr.Dataset:
    """How fast the ice is by elevation, slope, aspect and other attributes of the ground.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    dem : path, xarray.DataArray or xarray.Dataset
        Elevation, m; or the Dataset of `terrain_at_posts` on the same posts.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Glacier outlines: only posts inside count. Without them all posts do.
    by : sequence of str, optional
        Of "elevation", "slope", "aspect", "normalised_elevation" (between the lowest and the
        highest post of each glacier, which lets glaciers at different heights be pooled),
        "northness", "eastness", "profile_curvature", "plan_curvature" and "relief". By default
        the first three, with outlines the first four.
    elevation_step : float
        Height of an elevation bin, m; bounds are multiples of it.
    elevation_bins : int, optional
        Instead: so many equal bins from the lowest to the highest post.
    normalised_bins : int
        Bins of the normalised elevation.
    slope_step : float
        Width of a slope bin, degrees.
    sectors : int
        Number of aspect sectors; the first one is centred on north.
    classes : int
        Bins, with as many posts each, of what has no natural bounds (`northness` and after).
    min_count : int
        Bins with fewer speeds than this have NaN statistics; their counts stay.
    smooth : float, optional
        As in `terrain_at_posts`.

    Returns
    -------
    xarray.Dataset
        Over `elevation_bin`, `slope_bin`, `aspect_bin` and so on (bin centres; bounds beside
        them), here for elevation: `posts_by_elevation` (posts in the bin), `count_by_elevation`
        (those with a speed), `coverage_by_elevation` (their share), `area_by_elevation` (km2 on
        the ground), and of the speed `v_median_by_elevation`, `v_mean_...`, `v_std_...`,
        `v_p10_...`, `v_p90_...`, `v_error_...` (1-sigma error of the mean), m yr-1; and
        `aspect_by_elevation` with `aspect_r_by_elevation`, the circular mean of the aspect
        and the length of the mean vector (1: all ground of the bin faces one way).

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity, or the terrain given lacks an attribute.
    GridError
        DEM or outlines do not overlap the grid, or no post has an elevation.
    ParameterError
        Steps that are not positive, fewer than one bin or sector, an unknown attribute, or the
        normalised elevation without outlines.

    Notes
    -----
    The error is that of the measurement, not the spread of the ice: the root mean square of
    `v_error` over the square root of the number of independent posts (`effective_size`, range:
    the template). The median's is about 1.25 times as large.

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> found = topography(region.velocity, region.dem, outlines=region.outlines)
    >>> found.v_median_by_elevation.dims, found.v_median_by_elevation.attrs["units"]
    (('elevation_bin',), 'm yr-1')
    """
    validate(ds, needs=("vx", "vy", "v"))
    names = _covariates(by, outlines)
    for name, value in (("elevation_step", elevation_step), ("slope_step", slope_step)):
        if not value > 0:
            raise ParameterError(f"{name} must be positive; got {value!r}.")
    numbers = {
        "elevation_bins": elevation_bins, "sectors": sectors, "classes": classes,
        "normalised_bins": normalised_bins,
    }  # fmt: skip
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ParameterError(f"{name} must be 1 or more; got {number!r}.")
    posts = _posts(ds, _terrain(ds, dem, smooth, names), outlines, names)
    if not np.isfinite(posts.ground["elevation"]).any():
        raise GridError(
            "no post inside the outlines has an elevation; choose a DEM that covers the glaciers."
        )
    ways = {
        "elevation": lambda z: (
            regular_bins(z, elevation_step) if elevation_bins is None
            else equal_bins(z, elevation_bins)
        ),
        "slope": lambda z: regular_bins(z, slope_step),
        "aspect": lambda z: compass_bins(z, sectors),
        NORMALISED: lambda z: equal_bins(z, normalised_bins, limits=(0.0, 1.0)),
    }  # fmt: skip
    out = xr.Dataset()
    for name in names:
        values = posts.ground[name]
        found = ways[name](values) if name in ways else quantile_bins(values, classes)
        out = out.merge(_statistics(posts, found, name, ds, min_count))
    kept = {k: ds.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in ds.coords}
    return out.assign_coords(kept).assign_attrs(ds.attrs)


def _covariates(by: Sequence[str] | None, outlines: Polygons | None) -> tuple[str, ...]:
    if by is None:
        return BASIC if outlines is None else (*BASIC, NORMALISED)
    unknown = [name for name in by if name not in COVARIATES]
    if isinstance(by, str) or unknown or not by:
        raise ParameterError(f"by must be some of {', '.join(COVARIATES)}; got {by!r}.")
    if NORMALISED in by and outlines is None:
        raise ParameterError("the normalised elevation of each glacier needs outlines=.")
    return tuple(dict.fromkeys(by))


def _terrain(ds: xr.Dataset, dem: Any, smooth: float | None, names: Sequence[str]) -> xr.Dataset:
    needed = tuple(dict.fromkeys([*BASIC, *(n for n in names if n in EQUAL_COUNT)]))
    if isinstance(dem, xr.Dataset) and set(BASIC) <= set(dem):
        same_posts(dem, ds)
        validate(dem, needs=needed)
        return dem[list(needed)]
    return terrain_at_posts(ds, dem, smooth=smooth, attributes=needed)


def _posts(
    ds: xr.Dataset, terrain: xr.Dataset, outlines: Polygons | None, names: Sequence[str]
) -> _Posts:
    speeds = ds[[n for n in ("v", "v_error") if n in ds]]
    if outlines is not None and not is_located(ds):
        found = OnIce.of(ds, outlines)
        taken = found.ice.take({**speeds.data_vars, **terrain.data_vars})
        if NORMALISED in names:
            taken[NORMALISED] = found.normalised(taken["elevation"])
    else:
        if NORMALISED in names:
            raise ParameterError("the normalised elevation needs a velocity on a map grid.")
        both = {**speeds.compute().data_vars, **terrain.data_vars}
        taken = {str(k): f.transpose("y", "x").values.ravel() for k, f in both.items()}
        if outlines is not None:
            inside = rasterize(outlines, ds, what="glacier outlines").values.ravel()
            taken = {k: values[inside] for k, values in taken.items()}
    known = np.isfinite(taken["elevation"])
    taken = {k: values if known.all() else values[known] for k, values in taken.items()}
    return _Posts(taken.pop("v"), taken.pop("v_error", None), taken)


def _statistics(posts: _Posts, bins: Bins, name: str, ds: xr.Dataset, min_count: int) -> xr.Dataset:
    size, labels, speed = len(bins.bounds), bins.labels, posts.speed
    found = summarise(speed, labels, size, quantiles=QUANTILES)
    inside = counts(labels, size)
    error = np.full(size, np.nan)
    if posts.error is not None:
        error = error_of_mean(posts.error, speed, labels, independent_posts(found["count"], ds))
    enough = found["count"] >= max(min_count, 1)
    dim, known = f"{name}_bin", VARIABLES[name]
    speeds = {
        "v_median": (found["median"], "median speed"),
        "v_mean": (found["mean"], "mean speed"),
        "v_std": (found["std"], "standard deviation of the speed"),
        "v_p10": (found["q0.1"], "10th percentile of the speed"),
        "v_p90": (found["q0.9"], "90th percentile of the speed"),
        "v_error": (error, "1-sigma error of the mean speed"),
    }
    with np.errstate(invalid="ignore"):
        coverage = found["count"] / np.where(inside > 0, inside, np.nan)
    others = {
        "posts": (inside, "1", "number of posts"),
        "count": (found["count"].astype(np.int64), "1", "number of posts with a speed"),
        "coverage": (coverage, "1", "share of the posts with a speed"),
        "area": (inside * cell_area(ds) / 1e6, "km2", "area"),
    }
    data: dict[str, Any] = {
        f"{key}_by_{name}": (dim, values, {"units": units, "long_name": f"{text} by {name}"})
        for key, (values, units, text) in others.items()
    }
    for key, (values, text) in speeds.items():
        attrs = {"units": SPEED_UNITS, "long_name": f"{text} by {name}"}
        data[f"{key}_by_{name}"] = (dim, np.where(enough, values, np.nan).astype(np.float32), attrs)
    if name != "aspect":
        mean, length = circular_means(posts.ground["aspect"], labels, size)
        text = f"circular mean of the aspect by {name}"
        data[f"aspect_by_{name}"] = (dim, mean, {"units": "degree", "long_name": text})
        text = f"resultant length of the aspect by {name}"
        data[f"aspect_r_by_{name}"] = (dim, length, {"units": "1", "long_name": text})
    bin_attrs = {
        "units": known.units, "long_name": known.long_name, "bounds": f"{dim}_bounds",
    }  # fmt: skip
    coords = {
        dim: (dim, bins.bounds.mean(axis=1), bin_attrs),
        f"{dim}_bounds": ((dim, "bounds"), bins.bounds),
    }
    return xr.Dataset(data, coords=coords)
