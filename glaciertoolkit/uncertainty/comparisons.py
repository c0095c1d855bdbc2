"""The map against another product, whatever its grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import describe, validate
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.grids import crs_of, grid_spacing, match_raster, rasterize
from glaciertoolkit.robust import nmad
from glaciertoolkit.uncertainty.areas import effective_number
from glaciertoolkit.uncertainty.turning import axes_turn, per_year, source_crs, turn_vectors
from glaciertoolkit.uncertainty.variograms import residual_variogram

Array = npt.NDArray[np.float64]

STATISTICS = ("n", "bias", "median", "std", "nmad", "rmse", "p95", "n_effective", "bias_error")
SPEEDS = ("median", "p95")
FEWEST = 200


def compare(
    ds: xr.Dataset,
    other: xr.Dataset | Mapping[str, Any],
    *,
    ice: Any = None,
    units: str | None = None,
    true_lengths: bool = False,
) -> xr.Dataset:
    """Difference from another velocity product, whatever its CRS and resolution.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, where there are any also their errors.
    other : xarray.Dataset or mapping
        Another Dataset with `vx`, `vy`, or paths (or DataArrays) by name: ``{"vx": "vx.tif",
        "vy": "vy.tif"}``; `vx_error`, `vy_error` too where there are any. Components along the
        axes of its own CRS, as those of ITS_LIVE are.
    ice : path, GeoDataFrame, shapely geometry or xarray.DataArray, optional
        Glacier outlines, or a mask on the posts: statistics on ice and off it.
    units : str, optional
        "m yr-1" or "m d-1"; by default the attribute of `other`, else m yr-1.
    true_lengths : bool
        The other components are metres on the ground; by default they are metres of its map.

    Returns
    -------
    xarray.Dataset
        On the posts of `ds`: `vx_other`, `vy_other`, `v_other` along its axes, `vx_difference`
        and so on (ours minus the other's, m yr-1), `vx_z`, `vy_z` (difference over both errors)
        where errors are known; over the dimensions `ground` ("all", "ice", "off_ice"),
        `component` (vx, vy, v) and `statistic` the `statistics` of the differences; `speed`, the
        median and 95th percentile of both maps; `grid_convergence` (degrees, how far the vectors
        were turned, anticlockwise) and `scale`.

    Raises
    ------
    MissingVariableError, InputError
        Where a component is missing.
    GridError
        Without a CRS, or without an overlap.
    ParameterError
        For unknown units.

    Notes
    -----
    Both maps resolve what their templates let them; a difference of resolution shows at margins.
    `bias_error` is the error of the mean difference: its scatter over the root of `n_effective`,
    the number of independent differences by their own variogram.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> grid = {"y": 100.0 * np.arange(40), "x": 100.0 * np.arange(40)}
    >>> dims = ("y", "x")
    >>> ours = xr.Dataset({"vx": (dims, np.full((40, 40), 11.0)),
    ...                    "vy": (dims, np.zeros((40, 40)))}, coords=grid)
    >>> found = compare(ours, ours - 1.0)
    >>> float(found.statistics.sel(ground="all", component="vx", statistic="bias"))
    1.0
    """
    validate(ds, needs=("vx", "vy"))
    missing = [name for name in ("vx", "vy") if name not in other]
    if missing:
        raise InputError(
            f"the other product lacks {', '.join(missing)}; give a Dataset with vx and vy, or "
            f'their files as {{"vx": "vx.tif", "vy": "vy.tif"}}.'
        )
    factor = per_year(other["vx"], units)
    east, north = turn_vectors(
        other["vx"], other["vy"], ds[["vx", "vy"]], true_lengths=true_lengths
    )
    out = xr.Dataset(coords={k: v for k, v in ds.coords.items() if set(v.dims) <= {"y", "x"}})
    theirs = {"vx": east * np.float32(factor), "vy": north * np.float32(factor)}
    theirs["v"] = xr.DataArray(np.hypot(theirs["vx"], theirs["vy"]))
    ours = {k: ds[k].compute() for k in ("vx", "vy")}
    ours["v"] = xr.DataArray(np.hypot(ours["vx"], ours["vy"]))
    attrs = {"units": "m yr-1"}
    for name, value in theirs.items():
        values = value.values.astype(np.float32)
        out[f"{name}_other"] = (("y", "x"), values, {**attrs, "long_name": f"{name} of the other"})
        out[f"{name}_difference"] = (
            ("y", "x"),
            (ours[name].values - values).astype(np.float32),
            {**attrs, "long_name": f"{name} minus that of the other product"},
        )
    for name in ("vx", "vy"):
        error = f"{name}_error"
        if error in ds:
            variance = np.asarray(ds[error].values, float) ** 2
            if error in other:
                variance = variance + (match_raster(other[error], ds).values * factor) ** 2
            known = np.where(variance > 0, variance, np.nan)
            z = out[f"{name}_difference"].values / np.sqrt(known)
            out[f"{name}_z"] = (("y", "x"), z.astype(np.float32), {"units": "1"})
    grounds = _grounds(ds, ice)
    out = out.assign(_tables(out, ours, grounds, ds))
    return describe(out.assign(_turn(other["vx"], ds)))


def _grounds(ds: xr.Dataset, ice: Any) -> dict[str, npt.NDArray[np.bool_]]:
    everywhere = np.ones((ds.sizes["y"], ds.sizes["x"]), bool)
    if ice is None:
        return {"all": everywhere}
    if isinstance(ice, xr.DataArray):
        mask = np.asarray(ice.values, bool)
        if mask.shape != everywhere.shape:
            raise GridError(
                f"the mask of the ice has the shape {mask.shape}, the grid {everywhere.shape}."
            )
    else:
        mask = np.asarray(rasterize(ice, ds).values, bool)
    return {"all": everywhere, "ice": mask, "off_ice": ~mask}


def _tables(
    out: xr.Dataset,
    ours: Mapping[str, xr.DataArray],
    grounds: Mapping[str, npt.NDArray[np.bool_]],
    ds: xr.Dataset,
) -> dict[str, Any]:
    """Statistics of the differences, and the speeds of both maps, by ground."""
    components = ("vx", "vy", "v")
    table = np.full((len(grounds), len(components), len(STATISTICS)), np.nan)
    speeds = np.full((len(grounds), 2, len(SPEEDS)), np.nan)
    for i, mask in enumerate(grounds.values()):
        for j, name in enumerate(components):
            table[i, j] = _difference_statistics(
                np.where(mask, out[f"{name}_difference"].values, np.nan), ds
            )
        both = mask & np.isfinite(out["v_difference"].values)
        for k, speed in enumerate((ours["v"].values, out["v_other"].values)):
            # Where only one map has a value it still counts for its own speed.
            chosen = speed[both if both.any() else mask & np.isfinite(speed)]
            if chosen.size:
                speeds[i, k] = np.median(chosen), np.percentile(chosen, 95)
    return {
        "statistics": (
            ("ground", "component", "statistic"), table,
            {"long_name": "statistics of the differences, m yr-1 (n and n_effective: numbers)"},
        ),
        "speed": (("ground", "map", "speed_statistic"), speeds, {"units": "m yr-1"}),
        "ground": ("ground", list(grounds)),
        "component": ("component", list(components)),
        "statistic": ("statistic", list(STATISTICS)),
        "map": ("map", ["ours", "other"]),
        "speed_statistic": ("speed_statistic", list(SPEEDS)),
    }  # fmt: skip


def _difference_statistics(difference: Array, ds: xr.Dataset) -> list[float]:
    x = difference[np.isfinite(difference)].astype(float)
    if x.size < 2:
        return [float(x.size), *[np.nan] * (len(STATISTICS) - 1)]
    independent = float(x.size)
    if x.size >= FEWEST:
        _, model = residual_variogram(difference, ds)
        independent = effective_number(np.isfinite(difference), grid_spacing(ds), model)
    spread = float(x.std(ddof=1))
    return [
        float(x.size), float(x.mean()), float(np.median(x)), spread, nmad(x),
        float(np.sqrt((x**2).mean())), float(np.percentile(np.abs(x), 95)), independent,
        spread / math.sqrt(independent),
    ]  # fmt: skip


def _turn(source: Any, ds: xr.Dataset) -> dict[str, Any]:
    crs = source_crs(source)
    angle, scale = 0.0, 1.0
    if crs is not None and crs_of(ds) is not None and crs != crs_of(ds):
        some = {k: slice(None, None, max(1, ds.sizes[k] // 20)) for k in ("y", "x")}
        j = axes_turn(crs.to_wkt(), ds.isel(some))
        angle = float(np.degrees(np.arctan2(j[1, 0] - j[0, 1], j[0, 0] + j[1, 1]).mean()))
        scale = float(np.sqrt(j[0, 0] * j[1, 1] - j[0, 1] * j[1, 0]).mean())
    return {
        "grid_convergence": ((), angle, {"units": "degree"}),
        "scale": ((), scale, {"units": "1", "long_name": "length here over length there"}),
    }
