"""The map against another product, whatever its grid."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS, describe, validate
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.grids import crs_of, grid_spacing, match_raster, rasterize
from glaciertoolkit.robust import nmad
from glaciertoolkit.uncertainty.areas import effective_number
from glaciertoolkit.uncertainty.variograms import residual_variogram

Array = npt.NDArray[np.float64]

PER_YEAR = {
    **dict.fromkeys(("m yr-1", "m/yr", "m/y", "m a-1", "meter/year", "meter/y"), 1.0),
    **dict.fromkeys(("m d-1", "m/d", "m/day", "meter/day"), YEAR_DAYS),
}
"""Factor to metres a year, by the units that products use."""
STATISTICS = ("n", "bias", "median", "std", "nmad", "rmse", "p95", "n_effective", "bias_error")
SPEEDS = ("median", "p95")
FEWEST = 200


def axes_turn(crs: Any, like: xr.Dataset) -> Array:
    """How vectors along the axes of another CRS lie on the posts: the Jacobian, (2, 2, y, x).

    ``(vx, vy) = J (vx_other, vy_other)``: its angle is the grid convergence, its size the ratio
    of the scales, of the two maps at each post.

    Parameters
    ----------
    crs
        Anything that pyproj takes for a projected CRS.
    like : xarray.Dataset
        The posts, with a CRS.

    Raises
    ------
    GridError
        Without a CRS, or where the other one is geographic: degrees are no lengths.
    """
    from pyproj import CRS, Transformer

    here, there = crs_of(like), CRS.from_user_input(crs)
    if here is None:
        raise GridError("the grid has no CRS; set it with rio.write_crs().")
    if there.is_geographic:
        raise GridError(
            "the other product is in geographic coordinates, in which vectors have no length; give "
            "it on a projected grid."
        )
    x, y = np.meshgrid(like["x"].values.astype(float), like["y"].values.astype(float))
    own = CRS.from_wkt(here.to_wkt())
    out = Transformer.from_crs(own, there, always_xy=True)
    back = Transformer.from_crs(there, own, always_xy=True)
    far_x, far_y = out.transform(x, y)
    step = 50.0
    columns = []
    for east, north in ((step, 0.0), (0.0, step)):
        ahead = back.transform(far_x + east, far_y + north)
        behind = back.transform(far_x - east, far_y - north)
        columns.append([(p - m) / (2 * step) for p, m in zip(ahead, behind, strict=True)])
    return np.asarray(columns).swapaxes(0, 1)


def turn_vectors(
    vx: xr.DataArray | str | os.PathLike[str],
    vy: xr.DataArray | str | os.PathLike[str],
    like: xr.Dataset,
    *,
    true_lengths: bool = False,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Vector components of another map on the posts, along the posts' own axes.

    Parameters
    ----------
    vx, vy : path or xarray.DataArray
        Components along the axes of their own CRS.
    like : xarray.Dataset
        The posts.
    true_lengths : bool
        The components are metres on the ground, not of their map: they are turned, not scaled.

    Returns
    -------
    vx, vy : xarray.DataArray
        float32, (y, x).
    """
    east, north = match_raster(vx, like), match_raster(vy, like)
    crs = _source_crs(vx)
    if crs is None or crs_of(like) is None or crs == crs_of(like):
        return east, north
    jacobian = axes_turn(crs.to_wkt(), like)
    if true_lengths:
        area = jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]
        jacobian = jacobian / np.sqrt(np.abs(area))
    e, n = east.values, north.values
    turned = [jacobian[k, 0] * e + jacobian[k, 1] * n for k in range(2)]
    return (
        east.copy(data=turned[0].astype(np.float32)),
        north.copy(data=turned[1].astype(np.float32)),
    )


def _source_crs(source: Any) -> Any:
    if isinstance(source, xr.DataArray):
        return crs_of(source)
    import rasterio

    with rasterio.open(source) as opened:
        return opened.crs


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
    factor = _per_year(other, units)
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


def _per_year(other: Any, units: str | None) -> float:
    if units is None:
        found = other["vx"]
        units = str(found.attrs.get("units", "")) if isinstance(found, xr.DataArray) else ""
        units = units or "m yr-1"
    if units not in PER_YEAR:
        raise ParameterError(f"units must be one of {', '.join(PER_YEAR)}; got {units!r}.")
    return PER_YEAR[units]


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
    crs = _source_crs(source)
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
