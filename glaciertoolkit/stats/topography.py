"""Speed by elevation, slope and aspect."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, VARIABLES, validate
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.grids import Grid, grid_spacing, rasterize
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.provenance import recorded
from glaciertoolkit.stats.grouped import (
    correlation_range,
    effective_size,
    error_of_mean,
    summarise,
)
from glaciertoolkit.terrain import terrain_at_posts

SPEED_UNITS = VARIABLES["v"].units
QUANTILES = (0.1, 0.9)


class _Bins(NamedTuple):
    """Bins of one covariate: bounds (n, 2), and the bin of each post (-1 for none)."""

    bounds: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


@recorded
def topography(
    ds: xr.Dataset,
    dem: str | os.PathLike[str] | Grid,
    *,
    outlines: Polygons | None = None,
    elevation_step: float = 100.0,
    elevation_bins: int | None = None,
    slope_step: float = 5.0,
    sectors: int = 8,
    min_count: int = 10,
    smooth: float | None = None,
) -> xr.Dataset:
    """How fast the ice is by elevation, slope and aspect.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    dem : path, xarray.DataArray or xarray.Dataset
        Elevation, m; or the Dataset of `terrain_at_posts` on the same posts.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Glacier outlines: only posts inside count. Without them all posts do.
    elevation_step : float
        Height of an elevation bin, m; bounds are multiples of it.
    elevation_bins : int, optional
        Instead: so many equal bins from the lowest to the highest post.
    slope_step : float
        Width of a slope bin, degrees.
    sectors : int
        Number of aspect sectors; the first one is centred on north.
    min_count : int
        Bins with fewer speeds than this have NaN statistics; their counts stay.
    smooth : float, optional
        As in `terrain_at_posts`.

    Returns
    -------
    xarray.Dataset
        Over `elevation_bin`, `slope_bin` and `aspect_bin` (bin centres; bounds beside them), for
        each of the three, here for elevation: `posts_by_elevation` (posts in the bin),
        `count_by_elevation` (those with a speed), `coverage_by_elevation` (their share),
        `area_by_elevation` (km2), and of the speed `v_median_by_elevation`, `v_mean_...`,
        `v_std_...`, `v_p10_...`, `v_p90_...`, `v_error_...` (1-sigma error of the mean), m yr-1.

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity.
    GridError
        DEM or outlines do not overlap the grid, or no post has an elevation.
    ParameterError
        Steps that are not positive, or fewer than one bin or sector.

    Notes
    -----
    The error is that of the measurement, not the spread of the ice: the root mean square of
    `v_error` over the square root of the number of independent posts (`effective_size`, range:
    the template). The median's is about 1.25 times as large.
    """
    validate(ds, needs=("vx", "vy", "v"))
    for name, value in (("elevation_step", elevation_step), ("slope_step", slope_step)):
        if not value > 0:
            raise ParameterError(f"{name} must be positive; got {value!r}.")
    for name, number in (("elevation_bins", elevation_bins), ("sectors", sectors)):
        if number is not None and number < 1:
            raise ParameterError(f"{name} must be 1 or more; got {number!r}.")
    terrain = _terrain(ds, dem, smooth)
    wanted = np.isfinite(terrain["elevation"].values)
    if outlines is not None:
        wanted &= rasterize(outlines, ds, what="glacier outlines").values
    if not wanted.any():
        raise GridError(
            "no post inside the outlines has an elevation; choose a DEM that covers the glaciers."
        )
    bins = {
        "elevation": _elevation_bins(
            terrain["elevation"].values, wanted, elevation_step, elevation_bins
        ),
        "slope": _regular_bins(terrain["slope"].values, wanted, slope_step),
        "aspect": _sectors(terrain["aspect"].values, wanted, sectors),
    }
    fields = ds[[n for n in ("v", "v_error") if n in ds]].compute()
    out = xr.Dataset()
    for name, found in bins.items():
        out = out.merge(_statistics(fields, found, name, ds, min_count))
    kept = {k: ds.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in ds.coords}
    return out.assign_coords(kept).assign_attrs(ds.attrs)


def _terrain(ds: xr.Dataset, dem: Any, smooth: float | None) -> xr.Dataset:
    if isinstance(dem, xr.Dataset) and {"elevation", "slope", "aspect"} <= set(dem):
        for dim in ("y", "x"):
            if not np.array_equal(dem[dim].values, ds[dim].values):
                raise GridError(
                    "the terrain lies on other posts than the velocity; "
                    "make it with terrain_at_posts(velocity, dem)."
                )
        return dem
    return terrain_at_posts(ds, dem, smooth=smooth)


def _elevation_bins(
    z: npt.NDArray[Any], wanted: npt.NDArray[np.bool_], step: float, number: int | None
) -> _Bins:
    if number is None:
        return _regular_bins(z, wanted, step)
    low, high = float(z[wanted].min()), float(z[wanted].max())
    edges = np.linspace(low, high if high > low else low + 1, number + 1)
    return _binned(z, wanted, edges)


def _regular_bins(z: npt.NDArray[Any], wanted: npt.NDArray[np.bool_], step: float) -> _Bins:
    """Bins whose bounds are multiples of `step`, from the lowest to the highest value."""
    known = z[wanted & np.isfinite(z)]
    if not known.size:
        return _binned(z, wanted, np.array([0.0, step]))
    first, last = np.floor(known.min() / step), np.floor(known.max() / step) + 1
    return _binned(z, wanted, step * np.arange(first, last + 1))


def _binned(
    z: npt.NDArray[Any], wanted: npt.NDArray[np.bool_], edges: npt.NDArray[np.float64]
) -> _Bins:
    known = wanted & np.isfinite(z)
    # The last bin holds its upper bound too.
    labels = np.minimum(np.searchsorted(edges, z, side="right") - 1, edges.size - 2)
    return _Bins(np.column_stack([edges[:-1], edges[1:]]), np.where(known, labels, -1))


def _sectors(aspect: npt.NDArray[Any], wanted: npt.NDArray[np.bool_], number: int) -> _Bins:
    width = 360.0 / number
    centres = width * np.arange(number)
    known = wanted & np.isfinite(aspect)
    nearest = np.rint(np.where(known, aspect, 0) / width).astype(np.int64) % number
    bounds = np.column_stack([centres - width / 2, centres + width / 2])
    return _Bins(bounds, np.where(known, nearest, -1))


def _statistics(
    fields: xr.Dataset, bins: _Bins, name: str, ds: xr.Dataset, min_count: int
) -> xr.Dataset:
    size, labels = len(bins.bounds), bins.labels.ravel()
    speed = fields["v"].values.ravel()
    found = summarise(speed, labels, size, quantiles=QUANTILES)
    posts = np.bincount(labels[labels >= 0], minlength=size)
    dy, dx = grid_spacing(ds)
    independent = effective_size(found["count"], dy * dx, correlation_range(ds))
    error = np.full(size, np.nan)
    if "v_error" in fields:
        values = np.where(np.isfinite(speed), fields["v_error"].values.ravel(), np.nan)
        error = error_of_mean(values, labels, independent)
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
        coverage = found["count"] / np.where(posts > 0, posts, np.nan)
    others = {
        "posts": (posts, "1", "number of posts"),
        "count": (found["count"].astype(np.int64), "1", "number of posts with a speed"),
        "coverage": (coverage, "1", "share of the posts with a speed"),
        "area": (posts * dy * dx / 1e6, "km2", "area"),
    }
    data: dict[str, Any] = {
        f"{key}_by_{name}": (dim, values, {"units": units, "long_name": f"{text} by {name}"})
        for key, (values, units, text) in others.items()
    }
    for key, (values, text) in speeds.items():
        attrs = {"units": SPEED_UNITS, "long_name": f"{text} by {name}"}
        data[f"{key}_by_{name}"] = (dim, np.where(enough, values, np.nan).astype(np.float32), attrs)
    bin_attrs = {
        "units": known.units, "long_name": known.long_name, "bounds": f"{dim}_bounds",
    }  # fmt: skip
    coords = {
        dim: (dim, bins.bounds.mean(axis=1), bin_attrs),
        f"{dim}_bounds": ((dim, "bounds"), bins.bounds),
    }
    return xr.Dataset(data, coords=coords)
