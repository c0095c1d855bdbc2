"""Series in Excel files, such as the ice on lakes: one sheet or many, xlsx or the older xls."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from glaciertoolkit.errors import FileError, InputError, ParameterError, reason
from glaciertoolkit.io import conform, frames

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".xlsx", ".xls")
MOST_TITLE_ROWS = 10
"""Rows above the header, for a title and notes."""


def open_excel(
    source: str | os.PathLike[str],
    *,
    sheet: str | None = None,
    time: str | None = None,
    timezone: str = "UTC",
    units: Mapping[str, str] | None = None,
    nodata: Any = (-9999.0, -999.0),
    across: str | None = None,
    variable: str = "value",
    duplicates: str = "raise",
    label: str = "table",
) -> xr.Dataset:
    """Open series in an Excel file.

    Parameters
    ----------
    source : path
        An xlsx file (read with openpyxl) or xls file (read with xlrd). Titles above the header
        are skipped.
    sheet : str, optional
        One sheet. By default all that hold a table; with several the sheets become a dimension
        ``sheet``.
    time : str, optional
        Column of the time; by default found by its name. Dates may be Excel's, text,
        ``yyyymmdd`` or ``yyyyddd``.
    timezone, nodata, duplicates
        As for `open_station`.
    units : mapping of str to str, optional
        By variable; they win over those in the headers.
    across : str, optional
        Where each column is a place, such as a lake: the name of that dimension. The columns
        become one `variable`.
    variable : str
        Name of the variable where `across` is given.
    label : str
        What the file is called in messages.

    Returns
    -------
    xarray.Dataset
        Over ``time`` (UTC, in order), with ``sheet`` or the dimension `across` beside it,
        missing values NaN.

    Raises
    ------
    FileError
        Missing, damaged, or no Excel file.
    InputError, DateError, ParameterError
        As `open_station`; no such sheet.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import open_excel, write_samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_samples(folder, names=["lake_ice_coverage"])
    ...     found = open_excel(files["lake_ice_coverage"] / "sample.xls")
    >>> "time" in found.sizes
    True
    """
    path = Path(source)
    sheets = _sheets(path, label)
    if sheet is not None and sheet not in sheets:
        raise ParameterError(
            f"the {label} {path.name} has no sheet {sheet!r}; it has {', '.join(sheets)}."
        )
    chosen = {sheet: sheets[sheet]} if sheet is not None else sheets
    parts: dict[str, xr.Dataset] = {}
    for name, raw in chosen.items():
        table = _table(raw)
        if table is None:
            continue
        frame, found = table
        series = frames.to_series(
            frame,
            time=time,
            timezone=timezone,
            units={} if across else {**found, **(units or {})},
            nodata=nodata,
            duplicates=duplicates,
            what=f"sheet {name!r} of {path.name}",
        )
        parts[name] = _across(series, across, variable, units) if across else series
    if not parts:
        raise InputError(
            f"the {label} {path.name} holds no table with a header and a column of time; check "
            "the sheet, or name it with sheet=."
        )
    if len(parts) == 1:
        return next(iter(parts.values()))
    joined = xr.concat(list(parts.values()), dim="sheet", join="outer", combine_attrs="override")
    return conform.with_time(joined.assign_coords(sheet=list(parts)))


def _across(ds: xr.Dataset, dim: str, variable: str, units: Mapping[str, str] | None) -> xr.Dataset:
    columns = [str(n) for n in ds.data_vars if ds[n].dtype.kind == "f"]
    wide = ds[columns].to_array(dim, name=variable).transpose("time", dim)
    out = wide.drop_attrs().to_dataset()
    return conform.with_units(conform.with_time(out), units)


def _sheets(path: Path, label: str) -> dict[str, pd.DataFrame]:
    import pandas as pd

    if not path.is_file():
        raise FileError(f"the {label} {path} does not exist; check the path.")
    with path.open("rb") as file:
        start = file.read(4)
    # By content: files of one kind are often named like the other.
    engine: Any = "openpyxl" if start == b"PK\x03\x04" else "xlrd"
    try:
        found = pd.read_excel(path, sheet_name=None, header=None, engine=engine, dtype=object)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, AssertionError) as error:
        raise _damaged(path, label, error) from error
    except Exception as error:
        # xlrd and openpyxl derive their own errors from Exception.
        raise _damaged(path, label, error) from error
    return {str(name): frame for name, frame in found.items()}


def _damaged(path: Path, label: str, error: Exception) -> FileError:
    return FileError(
        f"the {label} {path} cannot be read as an Excel file, it is truncated, encrypted or "
        f"something else ({reason(error)}); open it in a spreadsheet and save it again."
    )


def _table(raw: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """The table on a sheet, below its titles; None where there is none."""
    for row in range(min(MOST_TITLE_ROWS, len(raw))):
        cells = [cell for cell in raw.iloc[row] if isinstance(cell, str) and cell.strip()]
        if len(cells) < 2 or len(cells) < raw.iloc[row].notna().sum():
            continue
        below = raw.iloc[row + 1 :].dropna(how="all")
        kept = [i for i, cell in enumerate(raw.iloc[row]) if isinstance(cell, str) and cell.strip()]
        headers = [frames.split_header(str(raw.iloc[row, i])) for i in kept]
        frame = below.iloc[:, kept].copy()
        frame.columns = [h.name for h in headers]
        if not len(frame):
            return None
        frame = frame.infer_objects()
        return frame, {h.name: h.unit for h in headers if h.unit}
    return None
