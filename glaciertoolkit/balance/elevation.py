"""How the surface has risen or sunk between elevation models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.balance.coregister import Shift, coregister
from glaciertoolkit.conventions import FLAG_DTYPE, YEAR_DAYS, Flag, describe
from glaciertoolkit.errors import DateError, InputError, ParameterError, StableTerrainError
from glaciertoolkit.grids import Grid, match_raster, on_posts
from glaciertoolkit.provenance import record
from glaciertoolkit.robust import nmad
from glaciertoolkit.terrain import as_stable

Elevation = str | os.PathLike[str] | xr.DataArray

METHODS = ("nuth_kaab", "vertical", "none")
SMALL_OVERLAP = 0.1
"""Share of posts with a later elevation below which there is a warning."""
FEWEST_STABLE = 30
"""Posts of stable ground that carry a shift."""


def elevation_change(
    before: xr.DataArray,
    after: Elevation,
    *,
    stable: Any = None,
    dates: Sequence[Any] | None = None,
    align: str = "nuth_kaab",
) -> xr.Dataset:
    """Difference of two elevation models, once the later one lies where the earlier one does.

    Parameters
    ----------
    before : xarray.DataArray
        Earlier elevation, m, on (y, x).
    after : path or xarray.DataArray
        Later elevation, m, on any grid.
    stable : xarray.DataArray of bool, True or polygons, optional
        Ground that has not moved, on the posts of `before`. Needed unless ``align="none"``.
    dates : two dates, optional
        Of both models; they give `dh_dt`.
    align : {"nuth_kaab", "vertical", "none"}
        Shift in three dimensions (through xDEM), in height alone, or none.

    Returns
    -------
    xarray.Dataset
        On the posts of `before`: `dh` (m, positive where the surface has risen), with `dates`
        also `dh_dt` (m yr-1); 0-d `shift_x`, `shift_y`, `shift_z` (m, what was added to the later
        model), `stable_median`, `stable_nmad` (m, of `dh` on stable ground), `stable_count`.

    Raises
    ------
    GridError, StableTerrainError, DateError, ParameterError
        Grids without overlap; no stable ground, or fewer than 30 posts of it; reversed dates; an
        unknown method.
    InputError
        ``align="nuth_kaab"`` without xDEM installed.

    Notes
    -----
    A shift by (E, N) makes ``dh / tan(slope) = a cos(b - aspect) + c``; it is solved for until it
    changes no more. A vertical shift is the median of `dh` on stable ground. `stable_nmad` is the
    error of one post, not that of a mean.

    References
    ----------
    Nuth, C. and Kaab, A. (2011), Co-registration and bias corrections of satellite elevation
    data sets for quantifying glacier thickness change, The Cryosphere 5.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 30.0 * np.arange(8)
    >>> dem = xr.DataArray(np.full((8, 8), 5000.0), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> found = elevation_change(dem, dem - 3, align="none", dates=("2000-01-01", "2003-01-01"))
    >>> float(found.dh[0, 0]), round(float(found.dh_dt[0, 0]), 2)
    (-3.0, -1.0)
    """
    if align not in METHODS:
        raise ParameterError(f"align must be one of {', '.join(METHODS)}; got {align!r}.")
    years = None if dates is None else _years_between(dates)
    first = np.asarray(before.transpose("y", "x").values, np.float64)
    second = match_raster(after, before, name="elevation", min_coverage=SMALL_OVERLAP).values
    second = second.astype(np.float64)
    ground = None if stable is None else _ground(stable, before)
    shift = Shift(0.0, 0.0, 0.0)
    if align != "none":
        ground = _enough(ground, first, second)
        if align == "nuth_kaab":
            shift, second = coregister(first, second, ground, before)
        level = float(np.nanmedian((first - second)[ground]))
        shift, second = shift._replace(z=shift.z + level), second + level
    dh = second - first
    data: dict[str, Any] = {"dh": on_posts(dh.astype(np.float32), before, name="dh")}
    if years is not None:
        data["dh_dt"] = on_posts((dh / years).astype(np.float32), before, name="dh_dt")
    out = xr.Dataset(data).assign(_on_stable(dh, ground, shift))
    # Not @recorded: the subject is no Dataset.
    return record(describe(out), "elevation_change", {"align": align, "dates": dates})


def _on_stable(
    dh: npt.NDArray[np.float64], ground: npt.NDArray[np.bool_] | None, shift: Shift
) -> dict[str, Any]:
    on_rock = np.empty(0) if ground is None else dh[ground & np.isfinite(dh)]
    found = {
        "shift_x": shift.x, "shift_y": shift.y, "shift_z": shift.z,
        "stable_median": float(np.median(on_rock)) if on_rock.size else float("nan"),
        "stable_nmad": nmad(on_rock),
    }  # fmt: skip
    return {k: ((), v, {"units": "m"}) for k, v in found.items()} | {
        "stable_count": ((), on_rock.size, {"units": "1"})
    }


def _ground(stable: Any, like: xr.DataArray) -> npt.NDArray[np.bool_]:
    if stable is True or isinstance(stable, xr.DataArray | np.ndarray):
        return np.asarray(as_stable(stable, like).values, bool)
    from glaciertoolkit.grids import rasterize

    return np.asarray(rasterize(stable, like, what="stable ground").values, bool)


def _enough(
    ground: npt.NDArray[np.bool_] | None, first: npt.NDArray[Any], second: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    if ground is None:
        raise StableTerrainError(
            "two elevation models are aligned on ground that has not moved; give stable= (bare "
            "rock), or align='none'."
        )
    known = np.asarray(ground & np.isfinite(first) & np.isfinite(second), bool)
    if known.sum() < FEWEST_STABLE:
        raise StableTerrainError(
            f"{int(known.sum())} posts of stable ground have both elevations; at least "
            f"{FEWEST_STABLE} are needed to align the models."
        )
    return known


def _years_between(dates: Sequence[Any]) -> float:
    days = _days(dates)
    if days.size != 2:
        raise DateError(f"dates must be those of both models; got {len(dates)}.")
    if not days[1] > days[0]:
        raise DateError(f"the later model must be the second; got {dates[0]} and {dates[1]}.")
    return float(days[1] - days[0]) / YEAR_DAYS


def _days(dates: Any) -> npt.NDArray[np.float64]:
    import pandas as pd

    try:
        stamps = pd.DatetimeIndex([pd.Timestamp(d) for d in dates])
    except (TypeError, ValueError) as error:
        raise DateError(f"dates must be dates such as 2011-08-16; got {dates!r}.") from error
    if stamps.hasnans:
        raise DateError("every elevation model needs its date.")
    return np.asarray((stamps - stamps[0]) / np.timedelta64(1, "D"), np.float64)


def elevation_trend(
    models: Sequence[Elevation],
    *,
    dates: Sequence[Any],
    errors: Sequence[float] | None = None,
    like: Grid | None = None,
    min_count: int = 2,
) -> xr.Dataset:
    """Rate of elevation change from three or more elevation models, post by post.

    Parameters
    ----------
    models : sequence of paths or xarray.DataArray
        Elevation, m, aligned to each other (`elevation_change` finds the shifts).
    dates : sequence
        Of the models.
    errors : sequence of float, optional
        1-sigma error of each model, m; they weight it. Without them the residuals give the error,
        which two models do not have.
    like : DataArray or Dataset, optional
        The posts; by default those of the first model.
    min_count : int
        Models that a post must have, 2 or more.

    Returns
    -------
    xarray.Dataset
        `dh_dt` (m yr-1), `dh_dt_error` (1-sigma), `count` (models at the post).

    Raises
    ------
    InputError, DateError, ParameterError
        Fewer than two models; as many dates or errors as models are needed; one date for all.

    Notes
    -----
    Weighted least squares; the error of the rate is ``1 / sqrt(sum w (t - mean t)^2)`` with the
    weights ``w = 1 / error^2``. It holds for one post: neighbours share most of it.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x = 30.0 * np.arange(4)
    >>> dem = xr.DataArray(np.full((4, 4), 5000.0), coords={"y": x, "x": x}, dims=("y", "x"))
    >>> found = elevation_trend([dem, dem - 1, dem - 2], errors=[1, 1, 1],
    ...                         dates=["2000-01-01", "2001-01-01", "2002-01-01"])
    >>> round(float(found.dh_dt[0, 0]), 2), round(float(found.dh_dt_error[0, 0]), 2)
    (-1.0, 0.71)
    """
    models = list(models)
    if len(models) < 2:
        raise InputError(f"a trend needs at least two elevation models; got {len(models)}.")
    if min_count < 2:
        raise ParameterError(f"min_count must be 2 or more; got {min_count!r}.")
    for name, given in (("dates", dates), ("errors", errors)):
        if given is not None and len(given) != len(models):
            raise InputError(f"{len(given)} {name} for {len(models)} elevation models.")
    spread = np.ones(len(models)) if errors is None else np.asarray(errors, np.float64)
    if not (np.isfinite(spread) & (spread > 0)).all():
        raise ParameterError("errors of elevation models must be positive metres.")
    years = _days(dates) / YEAR_DAYS
    if np.ptp(years) == 0:
        raise DateError("all elevation models have the same date; there is no rate.")
    grid = _grid_of(models[0]) if like is None else like
    z = np.stack([match_raster(m, grid, min_coverage=0.0).values for m in models]).astype(float)
    rate, error, count = _weighted_rate(z, years, spread, known=errors is not None)
    good = (count >= min_count) & np.isfinite(rate)
    data = {
        "dh_dt": np.where(good, rate, np.nan).astype(np.float32),
        "dh_dt_error": np.where(good, error, np.nan).astype(np.float32),
        "count": count.astype(np.int32),
    }
    out = xr.Dataset({k: on_posts(v, grid, name=k) for k, v in data.items()})
    out["count"].attrs |= {"units": "1", "long_name": "number of elevation models"}
    return record(describe(out), "elevation_trend", {"dates": list(map(str, dates))})


def _grid_of(model: Elevation) -> xr.DataArray:
    if isinstance(model, xr.DataArray):
        return model
    import rioxarray

    return rioxarray.open_rasterio(model, masked=True).squeeze(drop=True)  # type: ignore[union-attr,return-value]


def _weighted_rate(
    z: npt.NDArray[np.float64],
    years: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
    *,
    known: bool,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    valid = np.isfinite(z)
    weight = valid / spread[:, None, None] ** 2
    filled = np.where(valid, z, 0.0)
    count = valid.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weight.sum(axis=0)
        # Heights less their mean: thousands of metres would cost the digits of the rate.
        time = years[:, None, None] - (weight * years[:, None, None]).sum(axis=0) / total
        height = filled - (weight * filled).sum(axis=0) / total
        square = (weight * time**2).sum(axis=0)
        rate = (weight * time * height).sum(axis=0) / square
        error = 1 / np.sqrt(square)
        if not known:
            rest = (weight * (height - rate * time) ** 2).sum(axis=0)
            error = error * np.sqrt(rest / np.where(count > 2, count - 2, np.nan))
    return np.where(square > 0, rate, np.nan), error, count


def fill_voids(
    change: xr.Dataset,
    *,
    elevation: xr.DataArray,
    glaciers: Any,
    step: float = 50.0,
    min_count: int = 5,
) -> xr.Dataset:
    """Fill the gaps on ice with the mean change of their elevation.

    Parameters
    ----------
    change : xarray.Dataset
        `dh` or `dh_dt`.
    elevation : xarray.DataArray
        m, on the same posts.
    glaciers : xarray.DataArray of bool, or polygons
        The ice.
    step : float
        Height of an elevation bin, m.
    min_count : int
        Posts that make the mean of a bin; a bin with fewer is interpolated between its
        neighbours, and takes the nearest beyond them.

    Returns
    -------
    xarray.Dataset
        `change` with gaps filled on ice, `flag` FILLED there, NODATA where a gap stays.

    Raises
    ------
    InputError, ParameterError
        Neither `dh` nor `dh_dt`; no post on ice with a change and an elevation; a wrong step.

    References
    ----------
    McNabb, R. et al. (2019), Sensitivity of glacier volume change estimation to DEM void
    interpolation, The Cryosphere 13.

    Examples
    --------
    >>> import numpy as np, shapely, xarray as xr
    >>> grid = {"y": 3e6 - 100.0 * np.arange(20), "x": 5e5 + 100.0 * np.arange(20)}
    >>> z = xr.DataArray(np.full((20, 20), 5000.0) + 20 * np.arange(20), grid, ("y", "x"))
    >>> dh = (-0.01 * (z - 5400)).where(z != 5200)
    >>> ice = shapely.box(5e5, 3e6 - 1900, 5e5 + 1900, 3e6)
    >>> filled = fill_voids(xr.Dataset({"dh": dh}), elevation=z, glaciers=ice)
    >>> int(dh.isnull().sum()), int(filled.dh.isnull().sum())
    (20, 0)
    """
    names = [n for n in ("dh", "dh_dt") if n in change]
    if not names:
        raise InputError("fill_voids() needs dh or dh_dt, from elevation_change().")
    if not step > 0:
        raise ParameterError(f"step must be a positive height in metres; got {step!r}.")
    ice = _ground(glaciers, change[names[0]])
    height = match_raster(elevation, change[names[0]], min_coverage=0.0).values
    out = change.copy()
    flag = np.zeros(ice.shape, FLAG_DTYPE)
    if "flag" in change:
        flag = change["flag"].values.astype(FLAG_DTYPE)
    for name in names:
        values = change[name].values.astype(np.float64)
        known = ice & np.isfinite(values) & np.isfinite(height)
        if not known.any():
            raise InputError(f"no post on ice has {name} and an elevation; nothing to fill from.")
        gaps = ice & ~np.isfinite(values) & np.isfinite(height)
        bins = np.floor(height / step)
        mean_of = _by_elevation(bins[known], values[known], min_count)
        values[gaps] = np.interp(bins[gaps], *mean_of)
        out[name] = on_posts(values.astype(np.float32), change[name], name=name)
        flag[gaps] |= FLAG_DTYPE(Flag.FILLED)
        flag[~np.isfinite(values)] |= FLAG_DTYPE(Flag.NODATA)
    out["flag"] = on_posts(flag, change[names[0]], name="flag")
    return record(describe(out), "fill_voids", {"step": step, "min_count": min_count})


def _by_elevation(
    bins: npt.NDArray[np.float64], values: npt.NDArray[np.float64], min_count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Elevation bins with enough posts, and their means."""
    levels, label, count = np.unique(bins, return_inverse=True, return_counts=True)
    means = np.bincount(label, values) / count
    enough = count >= min(min_count, count.max())
    return levels[enough], means[enough]
