"""Station records: CSV with units in the headers or given, any separator, any time zone."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from glaciertoolkit.errors import FileError, InputError, ParameterError, reason
from glaciertoolkit.io import frames
from glaciertoolkit.io.units import canonical_units

if TYPE_CHECKING:
    import pandas as pd

_ENCODINGS = ("utf-8-sig", "gbk", "latin-1")
_SEPARATORS = ",;\t"
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
TOA5 = "TOA5"
"""First word of the tables of Campbell's loggers; names and units follow in lines 2 and 3."""


def open_station(
    source: str | os.PathLike[str],
    *,
    time: str | None = None,
    timezone: str = "UTC",
    units: Mapping[str, str] | None = None,
    nodata: Any = (-9999.0, -999.0),
    longitude: float | None = None,
    latitude: float | None = None,
    elevation: float | None = None,
    duplicates: str = "raise",
    regular: bool = False,
    label: str = "station record",
) -> xr.Dataset:
    """Open the record of a station.

    Parameters
    ----------
    source : path
        A CSV file: comma, semicolon or tabulator; decimal commas where the separator is none;
        units in the headers (``T [degC]``), in a line below them, or not at all; tables of
        Campbell's loggers (TOA5).
    time : str, optional
        Column of the time; by default found by its name.
    timezone : str
        Of times that name none, such as ``"Asia/Kathmandu"``.
    units : mapping of str to str, optional
        By column; they win over those in the file.
    nodata : number or sequence
        What means missing, besides empty cells and NaN.
    longitude, latitude, elevation : float, optional
        Where the station is: degrees (EPSG:4326) and metres.
    duplicates : str
        Where a time occurs twice: ``"raise"``, ``"first"`` or ``"mean"``.
    regular : bool
        Insert the missing times, with NaN, so that the steps are even.
    label : str
        What the record is called in messages.

    Returns
    -------
    xarray.Dataset
        One variable a column over ``time`` (UTC, in order), missing values NaN; attributes say
        the step and how complete the record is.

    Raises
    ------
    FileError
        The file is missing, empty or no table.
    InputError, DateError
        No column of time, text among numbers, times that are none or occur twice.
    ParameterError
        An unknown time zone, column or unit.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "aws.csv"
    ...     _ = file.write_text("date;T [degC]\\n2019-05-02;-1,5\\n2019-05-01;\\n")
    ...     record = open_station(file)
    >>> record["T"].values, record["T"].attrs["units"]
    (array([ nan, -1.5]), 'degC')
    """
    path = Path(source)
    frame, found = _read(path, label)
    wanted = {**found, **(units or {})}
    strange = [name for name in (units or {}) if name not in frame.columns]
    if strange:
        raise ParameterError(
            f"units= names the column {strange[0]!r}, which the {label} {path.name} does not "
            f"have (it has {', '.join(map(str, frame.columns))})."
        )
    for text in (units or {}).values():
        canonical_units(text)
    out = frames.to_series(
        frame,
        time=time,
        timezone=timezone,
        units=wanted,
        nodata=nodata,
        duplicates=duplicates,
        what=f"{label} {path.name}",
    )
    out = out.assign_attrs(frames.gaps(out))
    if regular:
        out = _regular(out)
    return frames.place(out, longitude=longitude, latitude=latitude, elevation=elevation)


def _regular(ds: xr.Dataset) -> xr.Dataset:
    import pandas as pd

    step = ds.attrs.get("time_step_seconds")
    if not step:
        return ds
    times = pd.date_range(ds.time.values[0], ds.time.values[-1], freq=pd.Timedelta(seconds=step))
    kept = [n for n in ds.data_vars if ds[n].dtype.kind == "f"]
    return ds[kept].reindex(time=times.union(pd.DatetimeIndex(ds.time.values)))


def _read(path: Path, label: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table with plain column names, and the units that the file names."""
    import pandas as pd

    text = _text(path, label)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise FileError(f"the {label} {path} holds no table: a header and rows; check the file.")
    logger = lines[0].lstrip('"').startswith(TOA5)
    skip = 1 if logger else 0
    separator = _separator(lines[skip])
    decimal = "," if separator != "," and _decimal_comma(lines[skip + 1 :], separator) else "."
    try:
        frame = pd.read_csv(
            io.StringIO("\n".join(lines[skip:])),
            sep=separator,
            decimal=decimal,
            na_values=list(frames.MISSING[1:8]),
            skipinitialspace=True,
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise FileError(
            f"the {label} {path} is not a table of one number of columns "
            f"({reason(error)}); check where it breaks off."
        ) from error
    units: dict[str, str] = {}
    if logger and len(frame) >= 2:
        units = _units_line(frame)
        frame = _again(lines[1:2] + lines[4:], separator)
    elif len(frame) and _is_units_line(frame.iloc[0]):
        units = _units_line(frame)
        frame = _again([lines[skip], *lines[skip + 2 :]], separator, decimal)
    names: dict[str, str] = {}
    for column in frame.columns:
        name, unit = frames.split_header(str(column))
        names[column] = name
        if unit is not None:
            units[name] = unit
    if len(set(names.values())) < len(names):
        names = {column: str(column).strip() for column in frame.columns}
    return frame.rename(columns=names), units


def _again(lines: list[str], separator: str, decimal: str = ".") -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=separator,
        decimal=decimal,
        na_values=list(frames.MISSING[1:8]),
        skipinitialspace=True,
    )


def _text(path: Path, label: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"the {label} {path} does not exist; check the path.") from None
    except OSError as error:
        raise FileError(f"the {label} {path} cannot be read ({error.strerror}).") from error
    if b"\x00" in data[:4096]:
        raise FileError(f"the {label} {path} is not text; give a CSV file.")
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FileError(f"the {label} {path} is not text; give a CSV file.")


def _separator(header: str) -> str:
    counts = {s: len(next(csv.reader([header], delimiter=s))) for s in _SEPARATORS}
    best = max(counts, key=lambda s: counts[s])
    if counts[best] < 2:
        raise InputError(
            f"the line {header[:60]!r} is no header of a table: it has one column; separate the "
            "columns with commas, semicolons or tabulators."
        )
    return best


def _decimal_comma(lines: list[str], separator: str) -> bool:
    """Whether the first rows hold numbers such as ``-1,5``."""
    cells = (cell.strip(' "') for line in lines[:50] for cell in line.split(separator))
    return any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)


def _is_units_line(row: Any) -> bool:
    """Whether the first row below the header holds units, not data."""
    words = [str(v).strip() for v in row if str(v).strip().lower() not in frames.MISSING]
    known = 0
    for word in words:
        if word == "1":
            continue  # a unit, and a number
        if word[:1].isdigit() and word != "1":
            return False
        try:
            canonical_units(word)
            known += 1
        except ParameterError:
            continue
    return known >= 1 and known >= len(words) / 2


def _units_line(frame: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in frame.columns:
        try:
            found[str(column)] = canonical_units(str(frame[column].iloc[0]))
        except ParameterError:
            continue
    return found
