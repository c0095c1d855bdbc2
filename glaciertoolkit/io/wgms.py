"""Mass balances of the World Glacier Monitoring Service, one row a glacier and year."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glaciertoolkit.errors import FileError, InputError, reason
from glaciertoolkit.io import frames
from glaciertoolkit.io.units import convert_units

if TYPE_CHECKING:
    import pandas as pd

WHOLE_GLACIER = 9999
"""Bounds of an elevation band that stand for the glacier as a whole."""

# Ours, and what the tables of one release or another call it.
_NAMES = {
    "wgms_id": ("WGMS_ID", "glacier_id"),
    "name": ("NAME", "glacier_name"),
    "rgi_id": ("RGI60_ID", "RGI_ID", "RGIId", "rgi60_ids"),
    "year": ("YEAR", "year"),
    "longitude": ("lon", "LONGITUDE", "longitude"),
    "latitude": ("lat", "LATITUDE", "latitude"),
    "area_km2": ("AREA", "area"),
    "winter_balance": ("WINTER_BALANCE", "winter_balance"),
    "summer_balance": ("SUMMER_BALANCE", "summer_balance"),
    "annual_balance": ("ANNUAL_BALANCE", "annual_balance"),
    "lower_bound": ("LOWER_BOUND", "lower_bound"),
}
_BALANCES = ("winter_balance", "summer_balance", "annual_balance")
UNITS = {
    "longitude": "degrees_east",
    "latitude": "degrees_north",
    "area_km2": "km2",
    "winter_balance": "m",
    "summer_balance": "m",
    "annual_balance": "m yr-1",
}


def open_wgms(
    source: str | os.PathLike[str], *, units: str = "mm", label: str = "WGMS table"
) -> pd.DataFrame:
    """Open a table of mass balances of the World Glacier Monitoring Service.

    Parameters
    ----------
    source : path
        A CSV file with the columns of the Fluctuations of Glaciers database.
    units : str
        Unit of the balances, as a depth of water: mm w.e. in most releases, m w.e. in some.
    label : str
        What the table is called in messages.

    Returns
    -------
    pandas.DataFrame
        `wgms_id`, `name`, `rgi_id`, `year`, `longitude`, `latitude`, `area_km2`,
        `winter_balance`, `summer_balance`, `annual_balance` (metres of water), as far as the
        table has them, missing values NaN, one row a glacier and year, in their order. Rows of
        elevation bands are left out. ``attrs["units"]`` holds the units.

    Raises
    ------
    FileError, InputError, reason
        Missing, no table, or without year and balance; a glacier that has a year twice.
    ParameterError
        `units` is no depth.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import open_wgms, write_samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_samples(folder, names=["wgms_mass_balance"])
    ...     found = open_wgms(files["wgms_mass_balance"] / "mass_balance.csv")
    >>> list(found.columns)[:3]
    ['wgms_id', 'name', 'year']
    """
    import pandas as pd

    factor = convert_units(1.0, units, "m")
    path = Path(source)
    if not path.is_file():
        raise FileError(f"the {label} {path} does not exist; check the path.")
    try:
        raw = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise FileError(
            f"the {label} {path} is no table ({reason(error)}); download it again."
        ) from error
    out = pd.DataFrame()
    for name, others in _NAMES.items():
        column = next((c for c in others if c in raw.columns), None)
        if column is not None:
            out[name] = raw[column]
    lacking = {"year", "annual_balance"} - set(out.columns)
    if lacking or not ({"wgms_id", "name"} & set(out.columns)):
        raise InputError(
            f"the {label} {path.name} lacks {' and '.join(sorted(lacking)) or 'a glacier id'} "
            f"(it has {', '.join(raw.columns[:12])}); give the table of mass balances."
        )
    return _whole(out, factor, f"{label} {path.name}")


def _whole(out: pd.DataFrame, factor: float, what: str) -> pd.DataFrame:
    """One row a glacier and year, in metres of water."""
    if "lower_bound" in out:
        bounds: Any = out["lower_bound"]
        out = out[bounds.isna() | (bounds == WHOLE_GLACIER)].drop(columns="lower_bound")
    for name in (*_BALANCES, "area_km2", "longitude", "latitude"):
        if name in out:
            out[name] = frames.to_numbers(out[name], nodata=None, what=what)
    for name in _BALANCES:
        if name in out:
            out[name] = out[name] * factor
    key = "wgms_id" if "wgms_id" in out else "name"
    twice = out.duplicated([key, "year"])
    if twice.any():
        glacier, year = (out.loc[twice, column].iloc[0] for column in (key, "year"))
        raise InputError(
            f"the {what} has the glacier {glacier} in {year} twice; keep one row a year."
        )
    out = out.sort_values([key, "year"], kind="stable").reset_index(drop=True)
    out.attrs["units"] = {name: unit for name, unit in UNITS.items() if name in out}
    return out
