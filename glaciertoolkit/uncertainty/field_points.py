"""The map at points where the velocity is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import interval_days, validate
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.grids import crs_of

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]


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
