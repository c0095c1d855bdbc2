"""Speed of each glacier: one row a glacier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import (
    Grid,
    burn_index,
    distance_to,
    grid_spacing,
    match_raster,
    read_outlines,
    template_metres,
)
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.grouped import (
    correlation_range,
    effective_size,
    error_of_mean,
    summarise,
)

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

SMALL, LARGE = 1.0, 10.0
"""km2: a small glacier is smaller, a large one at least as large."""

FEWEST = 5
"""Posts that the inner part of a glacier must keep, else the whole of it counts."""

UNITS = {
    "area_km2": "km2",
    "v_median": "m yr-1",
    "v_mean": "m yr-1",
    "v_std": "m yr-1",
    "v_p90": "m yr-1",
    "v_p95": "m yr-1",
    "v_p99": "m yr-1",
    "v_error": "m yr-1",
    "direction": "degree",
    "zmin_m": "m",
    "zmed_m": "m",
    "zmax_m": "m",
}

_COLUMNS = (
    "rgi_id", "name", "area_km2", "area_class", "posts", "count", "coverage", "v_median",
    "v_mean", "v_std", "v_p90", "v_p95", "v_p99", "v_error", "n_effective", "direction",
    "direction_r", "low_coverage", "eroded", "zmin_m", "zmed_m", "zmax_m",
)  # fmt: skip

_IDS = ("rgi_id", "rgiid")
_NAMES = ("glac_name", "name")
_QUANTILES = {"v_p90": 0.9, "v_p95": 0.95, "v_p99": 0.99}


def glaciers(
    ds: xr.Dataset,
    outlines: Polygons,
    *,
    min_coverage: float = 0.3,
    erode: float | None = None,
    dem: str | os.PathLike[str] | Grid | None = None,
) -> pd.DataFrame:
    """Speed of every glacier that the map reaches.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry
        Glacier outlines. The columns of RGI 5, 6 and 7 are known; of other inventories the row
        labels serve as identifiers. Where outlines overlap, a post belongs to the first.
    min_coverage : float
        Share of a glacier's area with a speed below which it is flagged.
    erode : float, optional
        Metres from the margin of the ice within which posts are left out, because their
        templates see rock too. By default half the template where `ds` records it, else 0. A
        glacier that would keep fewer than five posts is left whole. Divides between glaciers
        are no margin.
    dem : path or xarray.DataArray, optional
        Elevation, m, for `zmin_m`, `zmed_m` and `zmax_m`.

    Returns
    -------
    pandas.DataFrame
        One row a glacier, in the order of the outlines (write it with ``to_csv``):
        `rgi_id`; `name`; `area_km2` (of the inventory, else of the outline); `area_class`
        (small: below 1 km2, large: 10 or more, else medium); `posts` (inside the outline);
        `count` (with a speed, used for the statistics); `coverage` (share of the area with a
        speed); `v_median`, `v_mean`, `v_std`, `v_p90`, `v_p95`, `v_p99` and `v_error` (1-sigma
        error of the mean), m yr-1; `n_effective`; `direction` (circular mean of the flow,
        degrees clockwise from grid north) and `direction_r` (0: in all directions, 1: in one);
        `low_coverage`; `eroded` (whether the margin was left out); `zmin_m`, `zmed_m`, `zmax_m`
        (of the posts inside the outline). Units are in ``attrs["units"]``; the number of
        outlines that lie off the map, and have no row, in ``attrs["outside"]``.

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity.
    GridError, InputError, FileError
        As `read_outlines`; none of the outlines reaches the map.
    ParameterError
        `min_coverage` outside 0 to 1, or a negative `erode`.

    Notes
    -----
    Speed is skewed, so the median tells more than the mean. `v_error` is the error of
    measurement: the root mean square of `v_error` over the square root of `n_effective`, the
    number of independent posts for errors correlated over the template (`effective_size`). That
    of the median is about 1.25 times as large. Noise does not average out of a speed: where the
    ice is slower than about twice its error, the mean and the median are too high.
    """
    validate(ds, needs=("vx", "vy", "v"))
    if not 0 <= min_coverage <= 1:
        raise ParameterError(f"min_coverage must lie between 0 and 1; got {min_coverage!r}.")
    if erode is not None and not erode >= 0:
        raise ParameterError(f"erode must be metres, 0 or more; got {erode!r}.")
    table = read_outlines(outlines, ds, what="glacier outlines")
    index = burn_index(table, ds)
    fields = ds[[n for n in ("v", "vx", "vy", "v_error") if n in ds]].compute()
    speed = fields["v"].values
    labels, eroded = _inner(index, speed, ds, len(table), erode)
    out = _identity(table)
    out = out.assign(**_coverage(index.values, speed, table, ds, min_coverage))
    out = out.assign(**_speeds(fields, labels, ds, len(table)), eroded=eroded)
    if dem is not None:
        out = out.assign(**_elevations(index.values, match_raster(dem, ds).values, len(table)))
    order = [c for c in _COLUMNS if c in out]
    out = out[order].reset_index(drop=True)
    out.attrs = {
        "units": {k: v for k, v in UNITS.items() if k in out},
        "outside": _total(outlines) - len(table),
    }
    return out


def _identity(table: gpd.GeoDataFrame) -> pd.DataFrame:
    """Identifier, name and area, whatever the inventory calls them."""
    import pandas as pd

    lower = {str(c).lower(): c for c in table.columns}
    ids = next((table[lower[k]] for k in _IDS if k in lower), table.index.to_series())
    names = next((table[lower[k]] for k in _NAMES if k in lower), None)
    out = pd.DataFrame(index=table.index)
    out["rgi_id"] = ids.astype(str)
    out["name"] = "" if names is None else names.fillna("").astype(str)
    if "area_km2" in table and "rgi_id" in table:
        area = table["area_km2"]
    elif "Area" in table and "RGIId" in table:
        area = table["Area"]
    else:
        area = pd.Series(_true_area(table), index=table.index)
    out["area_km2"] = area.astype(float)
    small, large = out["area_km2"] < SMALL, out["area_km2"] >= LARGE
    out["area_class"] = np.select([small, large], ["small", "large"], "medium")
    return out


def _true_area(table: gpd.GeoDataFrame) -> npt.NDArray[np.float64]:
    """Area on the ellipsoid, km2: that of a map may be off by a tenth and more."""
    if table.crs is None:
        return np.asarray(table.area, float) / 1e6
    geod = table.crs.get_geod()
    shapes = table.geometry.to_crs(table.crs.geodetic_crs)
    return np.array([abs(geod.geometry_area_perimeter(g)[0]) / 1e6 for g in shapes])


def _inner(
    index: xr.DataArray, speed: npt.NDArray[Any], ds: xr.Dataset, size: int, erode: float | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The glacier of each post that counts, and which glaciers have lost their margin."""
    glacier = index.values.astype(np.int64)
    if erode is None:
        erode = (template_metres(ds) or 0.0) / 2
    if not erode:
        return glacier, np.zeros(size, bool)
    # The margin lies halfway between the last post on ice and the first one beside it.
    half = float(np.mean(grid_spacing(ds))) / 2
    far = distance_to(index < 0).values - half >= erode
    left = np.bincount(glacier[far & (glacier >= 0) & np.isfinite(speed)], minlength=size)
    eroded = left >= FEWEST
    keep = (glacier >= 0) & (far | ~eroded[np.maximum(glacier, 0)])
    return np.where(keep, glacier, -1), eroded


def _coverage(
    glacier: npt.NDArray[Any],
    speed: npt.NDArray[Any],
    table: gpd.GeoDataFrame,
    ds: xr.Dataset,
    least: float,
) -> dict[str, Any]:
    posts = np.bincount(glacier[glacier >= 0], minlength=len(table))
    valid = np.bincount(glacier[(glacier >= 0) & np.isfinite(speed)], minlength=len(table))
    dy, dx = grid_spacing(ds)
    # The whole outline counts, also the part off the map; both areas are those of the map.
    coverage = np.minimum(valid * dy * dx / np.asarray(table.area, float), 1.0)
    return {"posts": posts, "coverage": coverage, "low_coverage": coverage < least}


def _speeds(
    fields: xr.Dataset, labels: npt.NDArray[np.int64], ds: xr.Dataset, size: int
) -> dict[str, Any]:
    label, speed = labels.ravel(), fields["v"].values.ravel()
    found = summarise(speed, label, size, quantiles=tuple(_QUANTILES.values()))
    dy, dx = grid_spacing(ds)
    independent = effective_size(found["count"], dy * dx, correlation_range(ds))
    error = np.full(size, np.nan)
    if "v_error" in fields:
        values = np.where(np.isfinite(speed), fields["v_error"].values.ravel(), np.nan)
        error = error_of_mean(values, label, independent)
    moving = np.where(speed > 0, speed, np.nan)
    east, north = (
        summarise(fields[k].values.ravel() / moving, label, size)["mean"] for k in ("vx", "vy")
    )
    return {
        "count": found["count"].astype(np.int64),
        "v_median": found["median"],
        "v_mean": found["mean"],
        "v_std": found["std"],
        **{name: found[f"q{q:g}"] for name, q in _QUANTILES.items()},
        "v_error": error,
        "n_effective": independent,
        "direction": np.degrees(np.arctan2(east, north)) % 360,
        "direction_r": np.hypot(east, north),
    }


def _elevations(
    glacier: npt.NDArray[Any], elevation: npt.NDArray[Any], size: int
) -> dict[str, Any]:
    found = summarise(elevation.ravel(), glacier.ravel(), size, quantiles=(0.0, 1.0))
    return {"zmin_m": found["q0"], "zmed_m": found["median"], "zmax_m": found["q1"]}


def _total(outlines: Polygons) -> int:
    """Number of outlines given, on the map or not."""
    if isinstance(outlines, str | os.PathLike):
        import pyogrio

        return int(pyogrio.read_info(Path(outlines), force_feature_count=True)["features"])
    return len(outlines) if hasattr(outlines, "__len__") else 1
