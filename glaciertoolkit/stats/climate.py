"""Speed against temperature and precipitation: one row a glacier, or a map of posts."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, validate
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.grids import Grid, read_outlines
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.provenance import recorded
from glaciertoolkit.stats import climate_posts
from glaciertoolkit.stats.climate_sampling import Method, sample_climate
from glaciertoolkit.stats.climate_source import Source, read_climate
from glaciertoolkit.stats.climate_units import KINDS, Kind
from glaciertoolkit.stats.downscaling import (
    LAPSE_RATE,
    downscale_precipitation,
    downscale_temperature,
)
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.melt import degree_days, snow_fraction
from glaciertoolkit.stats.periods import aggregate_climate, mean_of_years
from glaciertoolkit.stats.times import step_days

Floats = npt.NDArray[np.float64]

FEWEST_CELLS = 5
"""Independent values below which there is no correlation."""

SPATIAL_NOTE = (
    "One map of velocity: what is said of climate is over space, glacier against glacier; of "
    "change in time one map says nothing."
)

CELLS_NOTE = (
    "Correlations are of means over the cells of the climate grid, as all ice of a cell shares "
    "one climate. Neighbouring cells resemble each other too, so n_cells is an upper limit."
)

FACTORS: dict[str, tuple[str, str]] = {
    "temperature_mean": ("degC", "mean annual air temperature"),
    "temperature_summer": ("degC", "mean summer air temperature"),
    "degree_days": ("K d", "positive degree days of a year"),
    "precipitation_annual": ("mm", "precipitation of a year"),
    "snow_fraction": ("1", "share of the precipitation that falls as snow"),
}
_SPEEDS = {
    "v_median": ("m yr-1", "median speed"),
    "v_p90": ("m yr-1", "90th percentile of the speed"),
    "v_error": ("m yr-1", "1-sigma error of the mean speed"),
    "area_km2": ("km2", "area"),
    "coverage": ("1", "share of the area with a speed"),
    "zmed_m": ("m", "median elevation"),
}


@recorded
def climate(
    ds: xr.Dataset,
    *,
    temperature: Source = None,
    precipitation: Source = None,
    outlines: Polygons | None = None,
    dem: str | os.PathLike[str] | Grid | None = None,
    lapse_rate: float | xr.DataArray = LAPSE_RATE,
    gradient: float = 0.0,
    method: Method = "bilinear",
    summer: str = "JJA",
    min_coverage: float = 0.9,
) -> xr.Dataset:
    """Climate of the ice, and how the speed goes with it from place to place.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    temperature, precipitation : path, xarray, pandas object or the result of `read_climate`
        One or both. Stations with wrong coordinates, unusual names or units: call
        `read_climate` first.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Glacier outlines: one row a glacier. Without them a map of the posts.
    dem : path or xarray.DataArray, optional
        Elevation, m. The temperature is brought to the median elevation of each glacier, or to
        the posts, where that of the climate is known too.
    lapse_rate : float or xarray.DataArray
        K km-1, as of `downscale_temperature`.
    gradient : float
        Of precipitation, per cent in 100 m, as of `downscale_precipitation`.
    method : {"bilinear", "nearest", "area"}
        As of `sample_climate`; "area" needs outlines.
    summer : str
        Months of the melt season, by their initials.
    min_coverage : float
        Share of a year or season that must have values.

    Returns
    -------
    xarray.Dataset
        Over `rgi_id`, or `y` and `x`: `temperature_mean`, `temperature_summer` (degC),
        `degree_days` (K d of a year), `precipitation_annual` (mm), `snow_fraction`, means over
        the complete years; with outlines also `v_median`, `v_p90`, `v_error`, `area_km2`,
        `coverage`, with a DEM `zmed_m` (``drop_dims("factor").to_dataframe()`` makes a table).
        Over `factor`, for each of those: `correlation` (Spearman's) with the speed, `p_value`,
        `n_cells` (the number of values it rests on) and `reason` where there is none. Attribute
        `note`.

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity.
    InputError, FileError, DateError
        As `read_climate`; neither temperature nor precipitation is given.
    GridError
        The glaciers or the map lie off the climate grid.
    ParameterError
        An unknown method, or "area" without outlines.

    Warns
    -----
    GlacierToolkitWarning
        As `sample_climate` and `read_climate`.

    Notes
    -----
    A climate cell is larger than most glaciers. Ice in one cell shares its climate, whatever the
    number of posts or glaciers, so the speed is averaged over each cell before it is compared:
    N is the number of cells. A temperature that was brought to the elevation of the ice varies
    within a cell, but only as the elevation does, which `topography` tells better.

    Examples
    --------
    >>> import pandas as pd
    >>> import rioxarray
    >>> grid = {"y": 3.37e6 - 500.0 * np.arange(20), "x": 2.74e5 + 500.0 * np.arange(20)}
    >>> ds = xr.Dataset({n: (("y", "x"), np.full((20, 20), 3.0)) for n in ("vx", "vy", "v")}, grid)
    >>> time = pd.date_range("2018-01-01", "2019-12-31")
    >>> station = xr.DataArray(-5.0 + np.zeros(time.size), dims="time", name="t2m",
    ...     coords={"time": time, "latitude": 30.4, "longitude": 90.7}, attrs={"units": "degC"})
    >>> found = climate(ds.rio.write_crs(32646), temperature=station)
    >>> float(found.temperature_mean[0, 0]), found.reason.sel(factor="temperature_mean").item()
    (-5.0, 'one station: its climate is the same everywhere')
    """
    validate(ds, needs=("vx", "vy", "v"))
    if temperature is None and precipitation is None:
        raise InputError("give temperature=..., precipitation=... or both.")
    if outlines is None and method == "area":
        raise ParameterError('method="area" needs outlines=...; of posts it is "bilinear".')
    fields = {
        kind: _field(source, kind)
        for kind, source in zip(KINDS, (temperature, precipitation), strict=True)
        if source is not None
    }
    options: dict[str, Any] = {"summer": summer, "min_coverage": min_coverage}
    if outlines is None:
        out = climate_posts.of_posts(
            ds, fields, dem, lapse_rate=lapse_rate, gradient=gradient, method=method, **options
        )
    else:
        out = _of_glaciers(ds, fields, outlines, dem, (lapse_rate, gradient), method, options)
    out = _described(out)
    out = out.merge(_correlations(out, fields))
    notes = [SPATIAL_NOTE, CELLS_NOTE, str(out.attrs.get("note", ""))]
    for kind, field in fields.items():
        if field.sizes["time"] == 1:
            notes.append(f"The {kind} has one value, taken as that of a year.")
    kept = {k: ds.coords[k] for k in TIME_COORDS if k in ds.coords}
    out = out.assign_coords(kept).assign_attrs(ds.attrs)
    return out.assign_attrs(note=" ".join(n for n in notes if n))


def _field(source: Source, kind: Kind) -> xr.DataArray:
    """What `read_climate` makes of the source, if it has not been there yet."""
    if isinstance(source, xr.DataArray) and source.name == kind and "source_units" in source.attrs:
        return source
    return read_climate(source, kind=kind)


# --- glacier by glacier --------------------------------------------------------------------------


def _of_glaciers(
    ds: xr.Dataset,
    fields: dict[Kind, xr.DataArray],
    outlines: Polygons,
    dem: Any,
    rates: tuple[Any, float],
    method: Method,
    options: dict[str, Any],
) -> xr.Dataset:
    near = read_outlines(outlines, ds, what="glacier outlines")
    table = glaciers(ds, near, dem=dem)
    out = xr.Dataset(coords={"rgi_id": ("rgi_id", table["rgi_id"].to_numpy(str))})
    for name in _SPEEDS:
        if name in table:
            out[name] = ("rgi_id", table[name].to_numpy(float))
    notes = []
    series = {}
    for kind, field in fields.items():
        at = sample_climate(field, near, method=method)
        at = at.assign_coords(rgi_id=out["rgi_id"].values)
        out[f"cell_{kind}"] = ("rgi_id", at["cell"].values)
        notes.append(f"{kind.capitalize()}: {at.attrs['note']}")
        if "zmed_m" in out and bool(at["elevation"].notnull().any()):
            at = _moved(at, out["zmed_m"], rates)
        elif dem is not None:
            notes.append(f"The elevation of the {kind} is not known: it was left as it is.")
        series[kind] = at
    out = out.merge(_factors(series, **options))
    return out.assign_attrs(note=" ".join(notes))


def _moved(at: xr.DataArray, height: xr.DataArray, rates: tuple[Any, float]) -> xr.DataArray:
    if at.name == "temperature":
        return downscale_temperature(at, height, lapse_rate=rates[0])
    return downscale_precipitation(at, height, gradient=rates[1])


def _factors(series: dict[Kind, xr.DataArray], *, summer: str, min_coverage: float) -> xr.Dataset:
    """Means over the complete years of what the series make."""
    series = {k: v.reset_coords(drop=True) for k, v in series.items()}
    out = xr.Dataset()
    if "temperature" in series:
        t = series["temperature"]
        out["temperature_mean"] = mean_of_years(t, min_coverage=min_coverage)
        out["temperature_summer"] = mean_of_years(t, period=summer, min_coverage=min_coverage)
        if t.sizes["time"] > 1:
            days = degree_days(t, min_coverage=min_coverage)
            out["degree_days"] = days.drop_vars("coverage").mean("year")
    if "precipitation" in series:
        p = series["precipitation"]
        out["precipitation_annual"] = mean_of_years(p, min_coverage=min_coverage)
    if len(series) == 2 and all(v.sizes["time"] > 1 for v in series.values()):
        out["snow_fraction"] = snow_share(series["temperature"], series["precipitation"])
    return out


def snow_share(temperature: xr.DataArray, precipitation: xr.DataArray) -> xr.DataArray:
    """Share of all precipitation that falls as snow, by the temperature of its step or month."""
    steps = [float(np.median(step_days(s["time"]))) for s in (temperature, precipitation)]
    if abs(steps[0] - steps[1]) > 0.1 * min(steps):
        temperature = aggregate_climate(temperature, period="month")
        precipitation = aggregate_climate(precipitation, period="month")
    t, p = xr.align(temperature, precipitation, join="inner")
    p = p.where(t.notnull())
    total = p.sum("time")
    return ((snow_fraction(t) * p).sum("time") / total).where(total > 0)


# --- correlation ---------------------------------------------------------------------------------


def _described(out: xr.Dataset) -> xr.Dataset:
    for name, (units, text) in (FACTORS | _SPEEDS).items():
        if name in out:
            out[name].attrs = {"units": units, "long_name": text}
            if GRID_MAPPING in out.coords:
                out[name].attrs["grid_mapping"] = GRID_MAPPING
    for kind in KINDS:
        if f"cell_{kind}" in out:
            out[f"cell_{kind}"].attrs = {"units": "1", "long_name": f"cell of the {kind}"}
    if "rgi_id" in out.coords:
        out["rgi_id"].attrs["long_name"] = "identifier of the glacier"
    return out


def _correlations(out: xr.Dataset, fields: dict[Kind, xr.DataArray]) -> xr.Dataset:
    names = [n for n in FACTORS if n in out]
    speed = "v_median" if "v_median" in out else "v"
    rows = []
    for name in names:
        kind: Kind = "temperature" if name[0] in "td" else "precipitation"
        if fields[kind].ndim == 1:
            reason = "one station: its climate is the same everywhere"
            rows.append((np.nan, np.nan, 1, reason))
            continue
        rows.append(_correlation(*(out[n].values.ravel() for n in (speed, name, f"cell_{kind}"))))
    r, p, count, reason_of = zip(*rows, strict=True)
    return xr.Dataset(
        {
            "correlation": ("factor", np.array(r),
                            {"units": "1", "long_name": "Spearman's correlation with the speed"}),
            "p_value": ("factor", np.array(p),
                        {"units": "1", "long_name": "two-sided probability without a relation"}),
            "n_cells": ("factor", np.array(count, np.int64),
                        {"units": "1", "long_name": "cells that the correlation rests on"}),
            "reason": ("factor", np.array(reason_of, np.str_),
                       {"long_name": "why there is no correlation"}),
        },
        coords={"factor": ("factor", np.array(names, np.str_), {"long_name": "factor"})},
    )  # fmt: skip


def _correlation(
    speed: npt.NDArray[Any], factor: npt.NDArray[Any], cell: npt.NDArray[Any]
) -> tuple[float, float, int, str]:
    """Of means over the cells; with the reason where there is none."""
    from scipy.stats import spearmanr

    known = np.isfinite(speed) & np.isfinite(factor) & (cell >= 0)
    if not known.any():
        reason = "no place has both a speed and a value"
        if not np.isfinite(factor).any():
            reason = "no complete year or season of values"
        return np.nan, np.nan, 0, reason
    _, index = np.unique(cell[known], return_inverse=True)
    count = np.bincount(index)
    x, y = (np.bincount(index, v[known].astype(float)) / count for v in (speed, factor))
    if count.size < FEWEST_CELLS:
        return (
            np.nan, np.nan, int(count.size),
            f"{count.size} cells are too few: at least {FEWEST_CELLS} are needed",
        )  # fmt: skip
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, int(count.size), "no variation between the cells"
    found = spearmanr(x, y)
    return float(found.statistic), float(found.pvalue), int(count.size), ""
