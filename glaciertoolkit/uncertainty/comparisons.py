"""The map against others: another product, a chain of pairs, and points on the ice."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS, describe, interval_days, validate
from glaciertoolkit.errors import DateError, GridError, InputError, ParameterError
from glaciertoolkit.grids import crs_of, grid_spacing, match_raster, rasterize
from glaciertoolkit.robust import nmad
from glaciertoolkit.uncertainty.areas import effective_number
from glaciertoolkit.uncertainty.variograms import residual_variogram

if TYPE_CHECKING:
    import pandas as pd

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


def closure(d12: xr.Dataset, d23: xr.Dataset, d13: xr.Dataset) -> xr.Dataset:
    """Closure of three pairs: what the first two say together, minus what the third says.

    Parameters
    ----------
    d12, d23, d13 : xarray.Dataset
        Displacements `dx`, `dy` on the same posts: from the first image to the second, from the
        second to the third, from the first to the third.

    Returns
    -------
    xarray.Dataset
        `dx_closure`, `dy_closure` (m); where errors are known also `dx_closure_error` and
        `dx_closure_z`; 0-d `dx_closure_median`, `dx_closure_nmad` and `n`.

    Raises
    ------
    GridError
        If the posts differ.
    DateError
        If the dates do not form a chain.

    Notes
    -----
    ``d12 + d23 - d13`` is zero for true displacements, whatever they are. An error that belongs
    to one image (its geometry) cancels; one that belongs to a pair (a wrong match, noise) does
    not. The three displacements are taken at the same posts: ice that moved by a good part of a
    template between the first and second image is measured elsewhere by the second pair.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> grid = {"y": [20.0, 10.0], "x": [0.0, 10.0]}
    >>> one = xr.Dataset({k: (("y", "x"), np.ones((2, 2))) for k in ("dx", "dy")}, coords=grid)
    >>> float(closure(one, one, 2 * one).dx_closure_median)
    0.0
    """
    parts = (d12, d23, d13)
    for part in parts:
        validate(part, needs=("dx", "dy"))
    for part in parts[1:]:
        for axis in ("y", "x"):
            if not np.array_equal(part[axis].values, d12[axis].values):
                raise GridError(
                    "the three pairs have different posts; track them with the same template and "
                    "step on one grid."
                )
    _check_chain(d12, d23, d13)
    out = xr.Dataset(coords={k: v for k, v in d12.coords.items() if set(v.dims) <= {"y", "x"}})
    out = out.drop_vars([k for k in ("reference_time", "secondary_time", "mid_date") if k in out])
    for name in ("dx", "dy"):
        left = (d12[name] + d23[name] - d13[name]).astype(np.float32)
        left.attrs = {"units": "m", "long_name": f"closure of {name}: 12 + 23 - 13"}
        out[f"{name}_closure"] = left
        if all(f"{name}_error" in part for part in parts):
            squares = (d12[f"{name}_error"] ** 2) + d23[f"{name}_error"] ** 2
            squares = squares + d13[f"{name}_error"] ** 2
            error = xr.DataArray(np.sqrt(squares)).astype(np.float32)
            error.attrs = {"units": "m", "long_name": f"1-sigma error of the closure of {name}"}
            out[f"{name}_closure_error"] = error
            out[f"{name}_closure_z"] = (left / error).assign_attrs({"units": "1"})
        values = np.asarray(left.values, float)
        known = values[np.isfinite(values)]
        middle = float(np.median(known)) if known.size else np.nan
        out[f"{name}_closure_median"] = ((), middle, {"units": "m"})
        out[f"{name}_closure_nmad"] = ((), nmad(known), {"units": "m"})
        out["n"] = ((), known.size, {"units": "1"})
    return out


def _check_chain(d12: xr.Dataset, d23: xr.Dataset, d13: xr.Dataset) -> None:
    names = ("reference_time", "secondary_time")
    if not all(name in part.coords for part in (d12, d23, d13) for name in names):
        return
    starts, ends = ([part[name].values for part in (d12, d23, d13)] for name in names)
    chain = ends[0] == starts[1] and starts[0] == starts[2] and ends[1] == ends[2]
    if not chain:
        said = ", ".join(
            f"{np.datetime_as_string(a, unit='D')} to {np.datetime_as_string(b, unit='D')}"
            for a, b in zip(starts, ends, strict=True)
        )
        raise DateError(
            f"the pairs do not form a chain 1-2, 2-3, 1-3 ({said}); give them in that order."
        )


def compare_points(ds: xr.Dataset, points: pd.DataFrame) -> pd.DataFrame:
    """The map at points where the velocity is known: stakes, GNSS, a published table.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset with a CRS: `vx`, `vy`, `v`, where there are any their errors.
    points : pandas.DataFrame
        One row a point: `lon`, `lat` (degrees), or `x`, `y` in the grid's CRS; a speed `v`, or
        components `v_east`, `v_north` (true east and north), m yr-1; where known `error` (1-sigma
        of each), `date` or `start`, `end`.

    Returns
    -------
    pandas.DataFrame
        The table with `v_map`, `v_error_map`, `difference` (map minus point), `z` (over both
        errors) and, with components, `vx_point`, `vy_point` along the grid's axes, `vx_map`,
        `vy_map` and `direction_difference` (degrees); `days_apart` between the middle of the
        pair and that of the point's interval; `status`: "matched", "off the map" or "no value".

    Raises
    ------
    InputError
        If a column that is needed is missing, or there is no point.
    GridError
        If the grid has no CRS, and the points have longitude and latitude.

    Notes
    -----
    Bilinear between the four posts around a point; where one of them has no value, the nearest
    of the others within one post. True north is turned to grid north by the grid convergence,
    lengths are scaled by the map's scale.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> grid = {"y": [20.0, 10.0, 0.0], "x": [0.0, 10.0, 20.0]}
    >>> full = (("y", "x"), np.full((3, 3), 5.0))
    >>> ds = xr.Dataset({"vx": full, "vy": full, "v": full, "v_error": full}, coords=grid)
    >>> found = compare_points(ds, pd.DataFrame({"x": [5.0], "y": [5.0], "v": [8.0]}))
    >>> found[["v_map", "difference", "z"]].to_numpy().round(2).tolist()
    [[5.0, -3.0, -0.6]]
    """
    validate(ds, needs=("vx", "vy", "v"))
    if len(points) == 0:
        raise InputError("the table of points is empty.")
    vectors = {"v_east", "v_north"} <= set(points.columns)
    if not vectors and "v" not in points.columns:
        raise InputError("the points need a column v (speed), or v_east and v_north, in m yr-1.")
    x, y = _positions(ds, points)
    out = points.copy()
    field = {k: _sample(ds, k, x, y) for k in ("vx", "vy", "v", "v_error") if k in ds}
    known = np.isfinite(field["v"])
    off = ~_on_map(ds, x, y)
    out["status"] = np.select([off, ~known], ["off the map", "no value"], "matched")
    out["v_map"] = field["v"]
    out["v_error_map"] = field.get("v_error", np.full(x.shape, np.nan))
    if vectors:
        vx, vy = _from_true_north(
            ds, points["v_east"].to_numpy(float), points["v_north"].to_numpy(float), x, y
        )
        out["vx_point"], out["vy_point"] = vx, vy
        out["vx_map"], out["vy_map"] = field["vx"], field["vy"]
        turn = np.degrees(np.arctan2(field["vx"], field["vy"]) - np.arctan2(vx, vy))
        out["direction_difference"] = (turn + 180) % 360 - 180
        speed = np.hypot(vx, vy)
    else:
        speed = points["v"].to_numpy(float)
    out["difference"] = out["v_map"] - speed
    error = points["error"].to_numpy(float) if "error" in points.columns else 0.0
    out["z"] = out["difference"] / np.hypot(np.nan_to_num(error), out["v_error_map"])
    days = _days_apart(ds, points)
    if days is not None:
        out["days_apart"] = days
    return out


def _positions(ds: xr.Dataset, points: pd.DataFrame) -> tuple[Array, Array]:
    if {"x", "y"} <= set(points.columns):
        return points["x"].to_numpy(float), points["y"].to_numpy(float)
    if not {"lon", "lat"} <= set(points.columns):
        raise InputError("the points need the columns lon and lat (degrees), or x and y.")
    from pyproj import CRS, Transformer

    crs = crs_of(ds)
    if crs is None:
        raise GridError("the grid has no CRS, so lon and lat have no place on it; give x and y.")
    mover = Transformer.from_crs("EPSG:4326", CRS.from_wkt(crs.to_wkt()), always_xy=True)
    x, y = mover.transform(points["lon"].to_numpy(float), points["lat"].to_numpy(float))
    return np.asarray(x), np.asarray(y)


def _indices(ds: xr.Dataset, x: Array, y: Array) -> tuple[Array, Array]:
    """Fractional row and column of positions."""
    ys, xs = ds["y"].values.astype(float), ds["x"].values.astype(float)
    return (y - ys[0]) / (ys[1] - ys[0]), (x - xs[0]) / (xs[1] - xs[0])


def _on_map(ds: xr.Dataset, x: Array, y: Array) -> npt.NDArray[np.bool_]:
    row, col = _indices(ds, x, y)
    ny, nx = ds.sizes["y"], ds.sizes["x"]
    return np.asarray((row >= -0.5) & (row <= ny - 0.5) & (col >= -0.5) & (col <= nx - 0.5))


def _sample(ds: xr.Dataset, name: str, x: Array, y: Array) -> Array:
    """Bilinear; where a corner is missing the nearest of those that are not."""
    row, col = _indices(ds, x, y)
    inside = _on_map(ds, x, y) & np.isfinite(row) & np.isfinite(col)
    out = np.full(x.shape, np.nan)
    values = np.asarray(ds[name].values, float)
    ny, nx = values.shape
    r, c = np.clip(row[inside], 0, ny - 1), np.clip(col[inside], 0, nx - 1)
    i, j = np.minimum(r.astype(int), ny - 2), np.minimum(c.astype(int), nx - 2)
    fr, fc = r - i, c - j
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    found = np.stack([values[i + a, j + b] for a, b in corners])
    weights = np.stack([(fr if a else 1 - fr) * (fc if b else 1 - fc) for a, b in corners])
    bilinear = np.where(weights > 0, found, 0.0) * weights
    whole = (np.isfinite(found) | (weights == 0)).all(axis=0)
    nearest = np.where(np.isfinite(found), weights, -1.0).argmax(axis=0)
    alone = np.take_along_axis(found, nearest[None], 0)[0]
    out[inside] = np.where(whole, np.nan_to_num(bilinear).sum(axis=0), alone)
    return out


def _from_true_north(
    ds: xr.Dataset, east: Array, north: Array, x: Array, y: Array
) -> tuple[Array, Array]:
    """Components along the grid's axes from those along true east and north."""
    crs = crs_of(ds)
    if crs is None:
        return east, north
    from pyproj import CRS, Transformer

    own = CRS.from_wkt(crs.to_wkt())
    back = Transformer.from_crs(own, own.geodetic_crs, always_xy=True)
    out = Transformer.from_crs(own.geodetic_crs, own, always_xy=True)
    lon, lat = back.transform(x, y)
    geod = own.get_geod()
    assert geod is not None  # a CRS of a map has an ellipsoid
    step = np.full(np.shape(lon), 50.0)
    columns = []
    for bearing in (90.0, 0.0):
        ends = [
            out.transform(*geod.fwd(lon, lat, np.full(step.shape, b), step)[:2])
            for b in (bearing, bearing + 180)
        ]
        columns.append([(p - m) / (2 * step) for p, m in zip(*ends, strict=True)])
    (east_x, east_y), (north_x, north_y) = columns
    return east_x * east + north_x * north, east_y * east + north_y * north


def _days_apart(ds: xr.Dataset, points: pd.DataFrame) -> Array | None:
    import pandas as pd

    if not {"reference_time", "secondary_time"} <= set(ds.coords):
        return None
    middle = pd.Timestamp(
        ds["reference_time"].values.astype("datetime64[ns]").item()
    ) + pd.Timedelta(days=interval_days(ds) / 2)
    if {"start", "end"} <= set(points.columns):
        start, end = (pd.to_datetime(points[k]) for k in ("start", "end"))
        when = start + (end - start) / 2
    elif "date" in points.columns:
        when = pd.to_datetime(points["date"])
    else:
        return None
    return np.asarray((when - middle).dt.total_seconds() / 86_400, float)
