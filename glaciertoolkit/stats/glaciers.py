"""Speed of each glacier, or of each zone of it: one row a glacier."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import Grid, grid_spacing
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.grouped import (
    circular_means,
    counts,
    error_of_mean,
    flow_directions,
    independent_posts,
    means,
    shares,
    summarise,
    summed,
)
from glaciertoolkit.stats.on_ice import OnIce, count_outlines
from glaciertoolkit.stats.rice import debiased, stillness
from glaciertoolkit.stats.zones import Zones, zones_of

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT = 2.0
"""Standard deviations: a motion is significant from there on."""

UNITS = {
    "area_km2": "km2",
    "zone_area_km2": "km2",
    "v_median": "m yr-1",
    "v_mean": "m yr-1",
    "v_debiased": "m yr-1",
    "v_std": "m yr-1",
    "v_p90": "m yr-1",
    "v_p95": "m yr-1",
    "v_p99": "m yr-1",
    "v_error": "m yr-1",
    "direction": "degree",
    "zmin_m": "m",
    "zmed_m": "m",
    "zmax_m": "m",
    "slope_deg": "degree",
    "aspect_deg": "degree",
}

_COLUMNS = (
    "rgi_id", "name", "zone", "area_km2", "area_class", "zone_area_km2", "posts", "count",
    "coverage", "v_median", "v_mean", "v_debiased", "v_std", "v_p90", "v_p95", "v_p99", "v_error",
    "n_effective", "significant", "significant_share", "direction", "direction_r", "low_coverage",
    "eroded", "zmin_m", "zmed_m", "zmax_m", "slope_deg", "aspect_deg", "aspect_r", "note",
)  # fmt: skip

_QUANTILES = {"v_p90": 0.9, "v_p95": 0.95, "v_p99": 0.99}


def glaciers(
    ds: xr.Dataset,
    outlines: Polygons,
    *,
    min_coverage: float = 0.3,
    erode: float | None = None,
    dem: str | os.PathLike[str] | Grid | None = None,
    area_limits: Sequence[float] = (1.0, 10.0),
    zones: str | xr.DataArray | Mapping[str, xr.DataArray] | None = None,
    ela: Any = "median",
    aar: float = 0.6,
    geometry: bool = False,
) -> pd.DataFrame:
    """Speed of every glacier that the map reaches.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there are also `v_error`, `vx_error` and
        `vy_error`. Of lazy variables only what lies on ice is kept.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry
        Glacier outlines. The columns of the inventories that `read_inventory` knows are
        understood; of others the row labels serve as identifiers. Where outlines overlap, a post
        belongs to the first.
    min_coverage : float
        Share of a glacier's area with a speed below which it is flagged.
    erode : float, optional
        Metres from the margin of the ice within which posts are left out, because their
        templates see rock too. By default half the template where `ds` records it, else 0. A
        glacier that would keep fewer than five posts is left whole. Divides between glaciers
        are no margin.
    dem : path, xarray.DataArray or xarray.Dataset, optional
        Elevation, m, for the columns on elevation, slope and aspect, and for `zones`; or the
        Dataset of `terrain_at_posts`.
    area_limits : pair of float
        km2: a small glacier is smaller than the first, a large one at least as large as the
        second.
    zones : "ela", "thirds", xarray.DataArray or mapping, optional
        One row for each glacier and zone: "ela" (ablation and accumulation area, divided at
        `ela`) and "thirds" (lower, middle and upper third of the range of elevations) need `dem`;
        a map of integers, whose attributes `flag_values` and `flag_meanings` may name them (-1:
        no zone); or names with masks (True inside; the first one that holds a post has it).
    ela, aar : optional
        The equilibrium line for ``zones="ela"``, as in `equilibrium_line`.
    geometry : bool
        Return a GeoDataFrame with the outlines, in the CRS of the map.

    Returns
    -------
    pandas.DataFrame
        One row a glacier, or a glacier and zone, in the order of the outlines (`write_table`
        exports it): `rgi_id`; `name`; with zones `zone` and `zone_area_km2`; `area_km2` (of the
        inventory, else of the outline); `area_class` (small, medium, large); `posts` (inside the
        outline); `count` (with a speed, used for the statistics); `coverage` (share of the area
        with a speed; of a zone: of its posts); `v_median`, `v_mean`, `v_std`, `v_p90`, `v_p95`,
        `v_p99` and `v_error` (1-sigma error of the mean), m yr-1; `v_debiased` (the mean without
        what noise adds to it); `n_effective`; `significant` (whether the mean is more than noise
        alone would make) and `significant_share` (of the posts, faster than twice their error);
        `direction` (circular mean of the flow, degrees clockwise from grid north) and
        `direction_r` (0: in all directions, 1: in one); `low_coverage`; `eroded` (whether the
        margin was left out); with `dem` `zmin_m`, `zmed_m`, `zmax_m`, the mean `slope_deg`, and
        the circular mean `aspect_deg` with its resultant length `aspect_r`, of the posts inside
        the outline; `note` (why a row has no numbers, or few). Units are in ``attrs["units"]``;
        the number of outlines that lie off the map, and have no row, in ``attrs["outside"]``.

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity, or the terrain given lacks an attribute.
    GridError, InputError, FileError
        As `read_outlines`; none of the outlines reaches the map; the zones lie on other posts.
    ParameterError
        `min_coverage` outside 0 to 1, a negative `erode`, limits that do not rise, or `zones`
        without the `dem` they need.

    Notes
    -----
    Speed is skewed, so the median tells more than the mean. `v_error` is the error of
    measurement: the root mean square of `v_error` over the square root of `n_effective`, the
    number of independent posts for errors correlated over the template (`effective_size`). That
    of the median is about 1.25 times as large.

    Noise does not average out of a speed: where nothing moves, the mean is 1.25 times the error s
    of a component. `v_debiased` is the speed whose mean under such noise is `v_mean` (Rice
    distribution), and `significant` says whether `v_mean` exceeds ``1.25 s`` by more than two
    standard deviations, ``2 x 0.66 s / sqrt(n_effective)``. s is the root mean square of
    `vx_error` and `vy_error`, else of `v_error`; without errors `v_debiased` is NaN and nothing
    is significant. What is common to a whole glacier, such as a ramp left by the correction, is
    not in these errors: see `accuracy`.

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> table = glaciers(region.velocity, region.outlines, dem=region.dem)
    >>> len(table), bool((table["v_p99"] >= table["v_median"]).all())
    (12, True)
    """
    validate(ds, needs=("vx", "vy", "v"))
    _check(min_coverage, erode, area_limits)
    found = OnIce.of(ds, outlines)
    strata = zones_of(found, zones, dem=dem, ela=ela, aar=aar)
    labels, eroded = found.inner(erode)
    out = _identity(found, area_limits)
    out = out.loc[out.index.repeat(len(strata.names) or 1)].reset_index(drop=True)
    out = out.assign(**_coverage(found, strata, min_coverage))
    out = out.assign(**_speeds(found, strata.split(labels), strata.groups(found.number)))
    out["eroded"] = np.repeat(eroded, len(strata.names) or 1)
    if dem is not None:
        out = out.assign(**_ground(found, strata, dem))
    if strata.names:
        out["zone"] = list(strata.names) * found.number
    out["note"] = _notes(out, min_coverage)
    out = out[[c for c in _COLUMNS if c in out]]
    if geometry:
        import geopandas as gpd

        shapes = found.outlines.geometry.repeat(len(strata.names) or 1)
        out = gpd.GeoDataFrame(out, geometry=shapes.to_numpy(), crs=found.outlines.crs)
    out.attrs = {
        "units": {k: v for k, v in UNITS.items() if k in out},
        "outside": count_outlines(outlines) - found.number,
        "area_limits": [float(limit) for limit in area_limits],
    }
    return out


def _check(min_coverage: float, erode: float | None, limits: Sequence[float]) -> None:
    if not 0 <= min_coverage <= 1:
        raise ParameterError(f"min_coverage must lie between 0 and 1; got {min_coverage!r}.")
    if erode is not None and not erode >= 0:
        raise ParameterError(f"erode must be metres, 0 or more; got {erode!r}.")
    if len(limits) != 2 or not 0 <= limits[0] <= limits[1]:
        raise ParameterError(f"area_limits must be two rising areas in km2; got {limits!r}.")


def _identity(found: OnIce, limits: Sequence[float]) -> pd.DataFrame:
    """Identifier, name, area and its class."""
    import pandas as pd

    out = pd.DataFrame(found.inventory[["rgi_id", "name", "area_km2"]])
    out.attrs = {}
    small, large = out["area_km2"] < limits[0], out["area_km2"] >= limits[1]
    out["area_class"] = np.select([small, large], ["small", "large"], "medium")
    return out.reset_index(drop=True)


def _coverage(found: OnIce, strata: Zones, least: float) -> dict[str, Any]:
    size = strata.groups(found.number)
    label = strata.split(found.ice.glacier)
    posts = counts(label, size)
    valid = summed(found.fields["v"], label, size)[1]
    if strata.names:
        with np.errstate(invalid="ignore"):
            coverage = valid / np.where(posts > 0, posts, np.nan)
        extra = {"zone_area_km2": posts * found.area}
    else:
        dy, dx = grid_spacing(found.ds)
        # The whole outline counts, also the part off the map; both areas are those of the map.
        whole = np.asarray(found.outlines.area, float)
        coverage, extra = np.minimum(valid * dy * dx / whole, 1.0), {}
    low = ~(coverage >= least)
    return {"posts": posts, "coverage": coverage, "low_coverage": low, **extra}


def _speeds(found: OnIce, label: npt.NDArray[Any], size: int) -> dict[str, Any]:
    fields, speed = found.fields, found.fields["v"]
    of = summarise(speed, label, size, quantiles=tuple(_QUANTILES.values()))
    independent = independent_posts(of["count"], found.ds)
    direction, length = flow_directions(fields["vx"], fields["vy"], label, size)
    return {
        "count": of["count"].astype(np.int64),
        "v_median": of["median"],
        "v_mean": of["mean"],
        "v_std": of["std"],
        **{name: of[f"q{q:g}"] for name, q in _QUANTILES.items()},
        "n_effective": independent,
        **_noise(found, label, of["mean"], independent),
        "direction": direction,
        "direction_r": length,
    }


def _noise(
    found: OnIce, label: npt.NDArray[Any], mean: npt.NDArray[Any], independent: npt.NDArray[Any]
) -> dict[str, Any]:
    """What the errors of the speeds say of their mean."""
    size, speed = mean.size, found.fields["v"]
    component, error = found.component_error(label, size), found.error
    nothing = np.full(size, np.nan)
    out: dict[str, Any] = {
        "v_error": nothing, "v_debiased": nothing, "significant": np.zeros(size, bool),
        "significant_share": nothing,
    }  # fmt: skip
    if component is not None:
        out["v_debiased"] = debiased(mean, component)
        out["significant"] = stillness(mean, component, independent) > SIGNIFICANT
    if error is not None:
        out["v_error"] = error_of_mean(error, speed, label, independent)
        out["significant_share"] = shares(speed, error, label, size, times=SIGNIFICANT)
    elif component is not None:
        out["v_error"] = component / np.sqrt(independent)
    return out


def _ground(found: OnIce, strata: Zones, dem: Any) -> dict[str, Any]:
    size, label = strata.groups(found.number), strata.split(found.ice.glacier)
    ground = found.terrain(dem, ("elevation", "slope", "aspect"))
    z = summarise(ground["elevation"], label, size, quantiles=(0.0, 1.0))
    aspect, length = circular_means(ground["aspect"], label, size)
    return {
        "zmin_m": z["q0"],
        "zmed_m": z["median"],
        "zmax_m": z["q1"],
        "slope_deg": means(ground["slope"], label, size),
        "aspect_deg": aspect,
        "aspect_r": length,
    }


def _notes(table: pd.DataFrame, least: float) -> npt.NDArray[Any]:
    """Why a row has no numbers, or few."""
    conditions = [table["posts"] == 0, table["count"] == 0, table["low_coverage"]]
    words = [
        "no post inside", "no speed inside", f"less than {least:.0%} of the area has a speed",
    ]  # fmt: skip
    return np.select(conditions, words, "")
