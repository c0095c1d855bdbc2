"""Area and speed by elevation, of each glacier and of the region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, VARIABLES, validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.provenance import recorded
from glaciertoolkit.stats.bins import Bins, equal_bins, regular_bins
from glaciertoolkit.stats.grouped import counts, error_of_mean, independent_posts, means, summarise
from glaciertoolkit.stats.on_ice import Elevation, OnIce

Array = npt.NDArray[Any]


@recorded
def hypsometry(
    ds: xr.Dataset,
    dem: Elevation,
    *,
    outlines: Polygons,
    step: float = 100.0,
    normalised: bool = False,
    bins: int = 20,
    min_count: int = 5,
) -> xr.Dataset:
    """Area and speed by elevation, of each glacier and of all of them together.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    dem : path, xarray.DataArray or xarray.Dataset
        Elevation, m; or the Dataset of `terrain_at_posts`.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry
        Glacier outlines.
    step : float
        Height of an elevation bin, m; bounds are multiples of it.
    normalised : bool
        Bin the elevation between the lowest (0) and the highest (1) post of each glacier instead:
        glaciers at different heights become comparable.
    bins : int
        Number of normalised bins.
    min_count : int
        Bins with fewer speeds than this have NaN statistics; their areas and counts stay.

    Returns
    -------
    xarray.Dataset
        Over `glacier` (with the coordinates `rgi_id` and `name`) and `elevation_bin` (centres,
        m or normalised; bounds beside them): `area` (km2 on the ground), `posts`, `count` (posts
        with a speed), `coverage`, `v_median`, `v_mean`, `v_p90` and `v_error` (1-sigma error of
        the mean), m yr-1; the same of the region, over `elevation_bin`, as `region_area` and so
        on; and over `glacier` the `hypsometric_integral`, (mean - lowest) / (highest - lowest)
        elevation: low where much of the area lies in the tongue.

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity.
    GridError
        DEM or outlines do not overlap the grid, or no post on ice has an elevation.
    ParameterError
        A step or a number of bins that is not positive.

    References
    ----------
    Jiskoot, H., Curran, C. J., Tessler, D. L. and Shenton, L. R. (2009), Changes in Clemenceau
    Icefield and Chaba Group glaciers, Canada, related to hypsometry, Annals of Glaciology 50(53).

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> found = hypsometry(region.velocity, region.dem, outlines=region.outlines)
    >>> found.area.dims, found.sizes["glacier"]
    (('glacier', 'elevation_bin'), 12)
    """
    validate(ds, needs=("vx", "vy", "v"))
    if not (step > 0 and np.isfinite(step)):
        raise ParameterError(f"step must be positive metres; got {step!r}.")
    if bins < 1:
        raise ParameterError(f"bins must be 1 or more; got {bins!r}.")
    found = OnIce.of(ds, outlines)
    z = found.elevation(dem)
    relative = found.normalised(z)
    axis = equal_bins(relative, bins, limits=(0.0, 1.0)) if normalised else regular_bins(z, step)
    out = _tables(found, axis, min_count)
    integral = means(relative, found.ice.glacier, found.number)
    out["hypsometric_integral"] = (
        "glacier", integral,
        {"units": "1", "long_name": "(mean - lowest) / (highest - lowest) elevation"},
    )  # fmt: skip
    kind = VARIABLES["normalised_elevation" if normalised else "elevation"]
    attrs = {"units": kind.units, "long_name": kind.long_name, "bounds": "elevation_bin_bounds"}
    kept: dict[str, Any] = {k: ds.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in ds.coords}
    return out.assign_coords(
        elevation_bin=("elevation_bin", axis.bounds.mean(axis=1), attrs),
        elevation_bin_bounds=(("elevation_bin", "bounds"), axis.bounds),
        rgi_id=("glacier", found.inventory["rgi_id"].to_numpy(dtype=str)),
        name=("glacier", found.inventory["name"].to_numpy(dtype=str)),
        **kept,
    ).assign_attrs(ds.attrs)


def _tables(found: OnIce, axis: Bins, min_count: int) -> xr.Dataset:
    levels = len(axis.bounds)
    glacier = found.ice.glacier.astype(np.int64)
    each = np.where(axis.labels >= 0, glacier * levels + axis.labels, -1)
    shape = (found.number, levels)
    columns = _columns(found, each, found.number * levels, min_count)
    region = _columns(found, axis.labels, levels, min_count)
    out = xr.Dataset()
    for name, (values, units, text) in columns.items():
        attrs = {"units": units, "long_name": text}
        out[name] = (("glacier", "elevation_bin"), values.reshape(shape), attrs)
        attrs = {"units": units, "long_name": f"{text}, all glaciers"}
        out[f"region_{name}"] = ("elevation_bin", region[name][0], attrs)
    return out


def _columns(
    found: OnIce, label: Array, size: int, min_count: int
) -> dict[str, tuple[Array, str, str]]:
    speed = found.fields["v"]
    of = summarise(speed, label, size, quantiles=(0.9,))
    posts = counts(label, size)
    error = np.full(size, np.nan)
    if found.error is not None:
        error = error_of_mean(found.error, speed, label, independent_posts(of["count"], found.ds))
    with np.errstate(invalid="ignore"):
        coverage = of["count"] / np.where(posts > 0, posts, np.nan)
    enough = of["count"] >= max(min_count, 1)
    unit = VARIABLES["v"].units

    def known(values: Array) -> Array:
        return np.where(enough, values, np.nan).astype(np.float32)

    return {
        "area": (posts * found.area, "km2", "area"),
        "posts": (posts, "1", "number of posts"),
        "count": (of["count"].astype(np.int64), "1", "number of posts with a speed"),
        "coverage": (coverage, "1", "share of the posts with a speed"),
        "v_median": (known(of["median"]), unit, "median speed"),
        "v_mean": (known(of["mean"]), unit, "mean speed"),
        "v_p90": (known(of["q0.9"]), unit, "90th percentile of the speed"),
        "v_error": (known(error), unit, "1-sigma error of the mean speed"),
    }
