"""Climate as it is published - station series, reanalyses, models - in one form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.stats import climate_units as known
from glaciertoolkit.stats.climate_position import (
    ELEVATIONS,
    LATITUDES,
    LONGITUDES,
    compare_pressure,
    ordered,
    overridden,
    placed,
)
from glaciertoolkit.stats.climate_units import Accumulation, Kind
from glaciertoolkit.stats.times import in_order

if TYPE_CHECKING:
    import pandas as pd

Source = Any
"""A path, Dataset, DataArray, DataFrame or Series."""

TIMES = ("time", "valid_time", "times", "date", "datetime", "time_utc", "xtime", "timestamp",
         "date_time", "day", "month")  # fmt: skip


def read_climate(
    source: Source,
    *,
    kind: Kind | None = None,
    variable: str | None = None,
    units: str | None = None,
    accumulation: Accumulation | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    elevation: float | None = None,
    crs: Any = None,
) -> xr.DataArray:
    """Temperature or precipitation of a station, a reanalysis or a model, in one form.

    Parameters
    ----------
    source : path, xarray.Dataset, xarray.DataArray, pandas.DataFrame or pandas.Series
        A netCDF or CSV file, or what was read from one. Stations, regular grids in latitude and
        longitude, projected grids and grids with two-dimensional coordinates; ERA5, ERA5-Land,
        HAR, WRF, CRU and others by their CF attributes or usual short names.
    kind : {"temperature", "precipitation"}, optional
        Needed where a source holds both.
    variable : str, optional
        Which variable or column, where its name is not a usual one.
    units : str, optional
        Instead of those the source states.
    accumulation : {"step", "day", "midnight", "start"}, optional
        What an amount of precipitation is: that of each step; the mean of a day (ECMWF's monthly
        means); the total since midnight (ERA5-Land by the hour); the total since the start of
        the run (WRF). By default recognised by name and course, and told in the attributes.
    latitude, longitude, elevation : float, optional
        Degrees and metres of a station: instead of those of the source, or where it has none.
    crs : optional
        Of a projected grid that does not state it.

    Returns
    -------
    xarray.DataArray
        float64, over `time` (UTC, sorted) and the dimensions of the grid: temperature in degC or
        precipitation in mm of each step. Coordinates `latitude` and `longitude` (scalars of a
        station), or `x`, `y` and the CRS of a projected grid; `elevation`, m, where it is known.
        Lazy when the source is.

    Raises
    ------
    FileError
        The file is missing or is no netCDF or CSV.
    InputError
        The variable or its units are not known, there is no value, or the values are impossible
        in these units.
    DateError
        Times that are missing, unreadable, or hold two different values.
    GridError
        No position of the values is known.

    Warns
    -----
    GlacierToolkitWarning
        The surface pressure of a station belongs to another elevation than it states, or a year
        has hardly possible precipitation.

    Notes
    -----
    Latitudes and longitudes of models on a sphere are taken as those of WGS 84, as their makers
    do. Of a calendar other than the real one, each month is laid over the real month.

    Examples
    --------
    >>> import pandas as pd
    >>> station = pd.DataFrame(
    ...     {"T2": [263.15, 268.15]}, index=pd.date_range("2019-01-01", periods=2)
    ... )
    >>> series = read_climate(station, latitude=30.47, longitude=90.64, elevation=5670)
    >>> series.name, series.attrs["units"], series.values.tolist()
    ('temperature', 'degC', [-10.0, -5.0])
    """
    ds = _with_run_totals(_opened(source, variable))
    name, kind = _which(ds, variable, kind)
    values = ds[name].copy()
    values.name = name
    values = in_order(_with_time(values, ds))
    if not values.chunks and not bool(values.notnull().any()):
        raise InputError(f"{name!r} holds no value at all; is the file damaged, or all masked?")
    values = placed(values, ds, crs)
    place = {"latitude": latitude, "longitude": longitude, "elevation": elevation}
    values = overridden(values, {k: v for k, v in place.items() if v is not None})
    if elevation is None:
        compare_pressure(values, ds)
    if kind == "temperature":
        out = known.in_degrees(values, units)
    else:
        out = known.in_millimetres(values, units, accumulation)
    out.attrs["source_variable"] = name
    return ordered(out.rename(kind))


# --- opening -------------------------------------------------------------------------------------


def _opened(source: Source, variable: str | None) -> xr.Dataset:
    import pandas as pd

    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():
            raise FileError(f"there is no climate file {path}; check the path.")
        source = _read_csv(path) if path.suffix.lower() in {".csv", ".txt"} else _open(path)
    if isinstance(source, xr.Dataset):
        return source
    if isinstance(source, xr.DataArray):
        return source.to_dataset(name=str(source.name or variable or "values"))
    if isinstance(source, pd.Series):
        source = source.to_frame(name=str(source.name or variable or "values"))
    if isinstance(source, pd.DataFrame):
        return _of_table(source)
    raise InputError(
        "climate must be a path, an xarray or a pandas object; got "
        f"{type(source).__name__}; open it with xarray.open_dataset or pandas.read_csv first."
    )


def _open(path: Path) -> xr.Dataset:
    try:
        ds = xr.open_dataset(path, decode_times=False)
        calendars = {str(ds[n].attrs.get("calendar", "standard")) for n in ds.variables}
        real = {"standard", "gregorian", "proleptic_gregorian", "none"}
        # What the calendar of a model needs is done here, without further libraries.
        return ds if calendars - real else xr.decode_cf(ds)
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path.name} cannot be read as netCDF ({error}); if it is a table, save it as CSV."
        ) from error


def _read_csv(path: Path) -> pd.DataFrame:
    import csv

    import pandas as pd

    broken = (UnicodeDecodeError, csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError)
    try:
        return pd.read_csv(path, sep=None, engine="python", comment="#")
    except broken as error:
        raise FileError(f"{path.name} cannot be read as a CSV table: {error}") from error


def _of_table(table: pd.DataFrame) -> xr.Dataset:
    import pandas as pd

    if table.empty:
        raise InputError("the climate table is empty; check the file or the selection.")
    lower = {str(c).lower(): c for c in table.columns}
    written: Any = table.index
    if not isinstance(written, pd.DatetimeIndex):
        column = next((lower[n] for n in TIMES if n in lower), None)
        if column is None:
            raise InputError(
                "the climate table has no column of times (it has: "
                f"{', '.join(map(str, table.columns))}); name it 'time' or make it the index."
            )
        written, table = table[column], table.drop(columns=column)
    try:
        # What has no zone is taken to be in UTC.
        times = pd.DatetimeIndex(pd.to_datetime(written, utc=True)).tz_localize(None)
    except (TypeError, ValueError) as error:
        raise InputError(f"the times of the climate table cannot be read: {error}") from error
    numbers = table.select_dtypes("number")
    ds = xr.Dataset(
        {str(c): ("time", numbers[c].to_numpy(float)) for c in numbers},
        coords={"time": np.asarray(times)},
    )
    # A position that is the same in every row is that of the station.
    for names in (LATITUDES, LONGITUDES, ELEVATIONS):
        for found in [str(n) for n in ds.data_vars if str(n).lower() in names]:
            once = np.unique(ds[found].values)
            ds = ds.drop_vars(found)
            if once.size == 1 and np.isfinite(once[0]):
                ds = ds.assign_coords({found: float(once[0])})
    return ds


def _with_run_totals(ds: xr.Dataset) -> xr.Dataset:
    """WRF counts the rain of its convection scheme apart from that of the grid."""
    if {"RAINC", "RAINNC"} <= set(ds.data_vars):
        total = (ds["RAINC"] + ds["RAINNC"]).assign_attrs(ds["RAINNC"].attrs)
        return ds.drop_vars("RAINC").assign(RAINNC=total)
    return ds


# --- which values, when and where ----------------------------------------------------------------


def _which(ds: xr.Dataset, variable: str | None, kind: Kind | None) -> tuple[str, Kind]:
    candidates = {str(n): dict(v.attrs) for n, v in ds.data_vars.items() if v.dtype.kind in "fiu"}
    if kind is not None and kind not in known.KINDS:
        raise InputError(f"kind must be 'temperature' or 'precipitation'; got {kind!r}.")
    if variable is None and len(candidates) > 1:
        return known.choose(candidates, kind)
    name = variable or next(iter(candidates), "")
    if name not in candidates:
        raise InputError(
            f"the source has no variable {name!r} (it has: {', '.join(candidates) or 'none'})."
        )
    return name, kind or known.kind_of(name, candidates[name])


def _with_time(values: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """The values with their dimension of time named so, and its coordinate."""
    named = [d for d in map(str, values.dims) if d.lower() in TIMES]
    typed = [
        d for d in map(str, values.dims) if d in values.coords and values[d].dtype.kind in "MO"
    ]
    dim = next(iter(named or typed), None)
    if dim is None:
        raise InputError(
            f"{values.name!r} has no dimension of time (it has: "
            f"{', '.join(map(str, values.dims)) or 'none'}); name it 'time'."
        )
    if dim != "time":
        # A scalar left over from GRIB, such as the time of the forecast, makes room.
        values = values.drop_vars("time", errors="ignore").rename({dim: "time"})
    if "time" not in values.coords:
        written = next((n for n in ds.variables if str(n).lower() in TIMES and n != dim), None)
        if written is None:
            raise InputError(f"the times of {values.name!r} are not given; add a coordinate.")
        values = values.assign_coords(time=("time", _wrf_times(ds[written].values)))
    return values


def _wrf_times(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Times as WRF writes them, bytes such as 2005-09-21_00:00:00."""
    if values.dtype.kind not in "SUO":
        return values
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]
    return np.array([t.replace("_", "T") for t in texts], "datetime64[ns]")
