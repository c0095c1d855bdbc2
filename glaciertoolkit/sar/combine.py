"""Three components of the velocity from passes that look from different directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import (
    GRID_MAPPING,
    YEAR_DAYS,
    Flag,
    describe,
    interval_days,
    validate,
)
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.provenance import record
from glaciertoolkit.sar.geocoding import sensitivities
from glaciertoolkit.sar.geometry import geometry_of
from glaciertoolkit.sar.los import (
    LARGEST_CONDITION,
    Observation,
    combine_geometries,
    grid_convergence,
    rotate_covariance,
    rotate_to_grid,
)

ROWS = 128
NEEDED = ("range_offset", "azimuth_offset", "range_error", "azimuth_error", "height")


def combine_passes(maps: Sequence[xr.Dataset]) -> xr.Dataset:
    """Velocity east, north and up from pairs of different geometries, such as both directions.

    Parameters
    ----------
    maps : sequence of xarray.Dataset
        What `to_map` made of two or more pairs, in one CRS and with one posting. A pair mapped
        with ``components="range"`` contributes its range only.

    Returns
    -------
    xarray.Dataset
        On the posts that all maps share: `vx`, `vy`, `vz`, `v` (m yr-1; along easting, northing
        and upwards; `v` is horizontal) and their errors; `condition`, the ratio of the best to the
        worst resolved direction; `flag`. NaN where a direction is not resolved.

    Raises
    ------
    InputError
        Fewer than two maps, or one that did not come out of `to_map`.
    GridError
        Different CRSs or postings, or no common posts.

    Notes
    -----
    Weighted least squares of ``[l1; t1; l2; t2; ...] v = rates``, each pair's offsets divided by
    its own interval: no assumption is made on the direction of the motion, but that it is the same
    over all intervals.

    Examples
    --------
    >>> ascending, descending = (motion.glacier.velocity() for motion in maps)  # doctest: +SKIP
    >>> both = combine_passes([ascending, descending])  # doctest: +SKIP
    >>> both.vz.attrs["units"]  # doctest: +SKIP
    'm yr-1'
    """
    given = list(maps)
    if len(given) < 2:
        raise InputError("combining needs two maps or more, such as ascending and descending.")
    for ds in given:
        validate(ds, needs=(*NEEDED, "reference_time", "secondary_time"))
    parts = _common(given)
    first = parts[0]
    shape = (first.sizes["y"], first.sizes["x"])
    names = ("vx", "vy", "vz", "vx_error", "vy_error", "vz_error", "condition")
    planes = {name: np.full(shape, np.nan, np.float32) for name in names}
    for start in range(0, shape[0], ROWS):
        _solve([ds.isel(y=slice(start, start + ROWS)) for ds in parts], planes, start)
    out = first[[]].assign({name: (("y", "x"), values) for name, values in planes.items()})
    out["v"] = np.hypot(out["vx"], out["vy"])
    out["condition"].attrs = {"units": "1", "long_name": "best over worst resolved direction"}
    out["flag"] = (("y", "x"), _flags(parts, planes["vx"]))
    out.attrs = {"pixel": first.attrs["pixel"], "template": first.attrs["template"], "step": [1, 1]}
    times = [ds[k].values for ds in given for k in ("reference_time", "secondary_time")]
    earliest, latest = min(times), max(times)
    out = out.drop_vars([k for k in ("mid_date",) if k in out.coords]).assign_coords(
        reference_time=earliest, secondary_time=latest
    )
    directions = [str(geometry_of(ds).look) for ds in given]
    return describe(record(out, "combine_passes", {"maps": len(given), "looks": directions}))


def _common(maps: list[xr.Dataset]) -> list[xr.Dataset]:
    """The maps cut to their common posts."""
    crs = {ds[GRID_MAPPING].attrs.get("crs_wkt") for ds in maps}
    if len(crs) > 1:
        raise GridError(
            "the maps are in different CRSs; give to_map the same crs= for all of them."
        )
    shared = {k: maps[0][k].values for k in ("y", "x")}
    for ds in maps[1:]:
        shared = {k: v[np.isin(v, ds[k].values)] for k, v in shared.items()}
    if min(v.size for v in shared.values()) < 2:
        raise GridError(
            "the maps have no posts in common; give to_map the same posting= and check that the "
            "scenes overlap."
        )
    return [ds.sel(shared) for ds in maps]


def _solve(parts: list[xr.Dataset], planes: dict[str, Any], start: int) -> None:
    """One band of rows."""
    from pyproj import CRS, Transformer

    first = parts[0]
    crs = CRS.from_wkt(first[GRID_MAPPING].attrs["crs_wkt"])
    x, y = np.meshgrid(first["x"].values, first["y"].values)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    observations = []
    for ds in parts:
        per_year = YEAR_DAYS / interval_days(ds)
        sight, track = sensitivities(geometry_of(ds, "secondary"), lon, lat, ds["height"].values)
        alone = ds.attrs.get("components") == "range"
        variance = [(ds[k].values * per_year) ** 2 for k in ("range_error", "azimuth_error")]
        observations.append(
            Observation(
                dx=ds["range_offset"].values * per_year,
                dy=None if alone else ds["azimuth_offset"].values * per_year,
                sight=sight,
                track=track,
                covariance=(variance[0], 0.0, variance[1]),
            )
        )
    found = combine_geometries(observations)
    angle = _convergence(crs, lon, lat)
    rows = slice(start, start + y.shape[0])
    good = found.condition <= LARGEST_CONDITION
    vx, vy = rotate_to_grid(found.east, found.north, angle)
    error = rotate_covariance(found.covariance, angle)
    for name, values in (
        ("vx", vx), ("vy", vy), ("vz", found.up), ("vx_error", np.sqrt(error[0])),
        ("vy_error", np.sqrt(error[2])), ("vz_error", np.sqrt(found.covariance[5])),
    ):  # fmt: skip
        planes[name][rows] = np.where(good, values, np.nan)
    planes["condition"][rows] = found.condition


def _convergence(crs: Any, lon: Any, lat: Any) -> Any:
    """Grid convergence over a band, from its ends: it is linear across some tens of kilometres."""
    middle, right = lon.shape[0] // 2, lon.shape[1] - 1
    ends = grid_convergence(crs, lon[middle, [0, right]], lat[middle, [0, right]])
    return np.linspace(ends[0], ends[1], lon.shape[1])[None, :]


def _flags(parts: list[xr.Dataset], vx: Any) -> Any:
    """Where nothing came out: the reasons of the maps, or that the geometries do not resolve it."""
    reasons = np.zeros(vx.shape, np.uint32)
    for ds in parts:
        lost = np.isnan(ds["range_offset"].values)
        reasons |= np.where(lost, ds["flag"].values, np.uint32(0)).astype(np.uint32)
    missing = np.isnan(vx)
    unresolved = missing & (reasons == 0)
    return np.where(missing, reasons, 0).astype(np.uint32) | np.where(
        unresolved, np.uint32(Flag.SINGULAR), np.uint32(0)
    )
