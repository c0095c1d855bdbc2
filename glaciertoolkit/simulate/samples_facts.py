"""What a sample takes from its entry: dates, names of files, a grid, numbers with holes."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.catalog import Entry

UNKNOWN = "unknown"
FILES = 3
"""Files, or steps of time, of a sample series."""

SHAPE = (12, 15)
"""Rows and columns, where the catalog documents none."""

STEPS: dict[str, tuple[Any, str]] = {
    "30-minute": (np.timedelta64(30, "m"), "%Y%m%d%H%M"),
    "hourly": (np.timedelta64(1, "h"), "%Y%m%d%H"),
    "daily": (np.timedelta64(1, "D"), "%Y%m%d"),
    "8-day": (np.timedelta64(8, "D"), "%Y%j"),
    "10-day": (np.timedelta64(10, "D"), "%Y%m%d"),
    "monthly": (np.timedelta64(1, "M"), "%Y%m"),
    "yearly": (np.timedelta64(12, "M"), "%Y"),
    "5-yearly": (np.timedelta64(60, "M"), "%Y"),
    "irregular": (np.timedelta64(11, "D"), "%Y%m%d"),
}

# Where the numbers of a unit usually lie: middle and spread.
_USUAL = {
    "K": (268.0, 8.0), "degC": (-5.0, 8.0), "cm": (14.0, 4.0), "mm": (40.0, 12.0),
    "m": (5200.0, 300.0), "m yr-1": (20.0, 6.0), "mm yr-1": (-4.0, 2.0), "d": (120.0, 15.0),
    "m3 m-3": (0.2, 0.05), "MJ m-2": (1.5, 0.5), "umol m-2 s-1": (-2.0, 1.0), "m s-1": (4.0, 1.0),
    "km2": (12.0, 4.0), "degree": (18.0, 5.0), "1": (0.5, 0.15),
}  # fmt: skip

GEOGRAPHIC, PROJECTED = "EPSG:4326", "EPSG:32645"


def generator(entry: Entry) -> np.random.Generator:
    """Random numbers of the entry's own, the same on every machine."""
    return np.random.default_rng(zlib.crc32(entry.name.encode()))


def dates(entry: Entry, number: int = FILES) -> npt.NDArray[np.datetime64]:
    """The first dates of the period of an entry, a step apart."""
    start = entry.metadata.get("start", UNKNOWN)
    first = np.datetime64("2015-01-01" if start == UNKNOWN else str(start))
    step, _ = STEPS.get(str(entry.metadata.get("frequency")), STEPS["daily"])
    unit: Any = "M" if np.datetime_data(step.dtype)[0] == "M" else "m"
    moments: Any = first.astype(f"datetime64[{unit}]") + step * np.arange(number)
    return np.asarray(moments.astype("datetime64[ns]"))


def file_names(entry: Entry, target: Path) -> list[tuple[Path, np.datetime64]]:
    """The files of a sample and their dates, named as the catalog says."""
    pattern = entry.metadata.get("file_names")
    if "*" not in target.name and pattern is None:
        return [(target, dates(entry, 1)[0])]
    if pattern is None and entry.reader not in ("series", "ascii_grid", "auto"):
        return [(target.with_name(target.name.replace("*", "sample")), dates(entry, 1)[0])]
    if pattern is None and entry.metadata.get("frequency") == "static":
        return [(target.with_name(target.name.replace("*", "sample")), dates(entry, 1)[0])]
    found = []
    for moment in dates(entry):
        text = moment.astype("datetime64[s]").item()
        if pattern is not None:
            name = text.strftime(pattern)
        else:
            _, form = STEPS.get(str(entry.metadata.get("frequency")), STEPS["daily"])
            name = target.name.replace("*", text.strftime(form))
        found.append((target.with_name(name), moment))
    return found


def crs_of(entry: Entry) -> str:
    """The CRS of a sample: that of the entry; on a map where its files have various ones."""
    crs = entry.metadata.get("crs")
    if crs is not None:
        return str(crs)
    various = str(entry.metadata.get("projection", "")).startswith(("as each", "metric"))
    return PROJECTED if various else GEOGRAPHIC


def axes(entry: Entry, shape: tuple[int, int] = SHAPE) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Centres of rows (falling) and columns of a grid in the Himalaya."""
    from pyproj import CRS, Transformer

    crs = CRS.from_user_input(crs_of(entry))
    if crs.is_geographic:
        west, north, step = 86.0, 29.0, 0.05
    else:
        to_map = Transformer.from_crs(GEOGRAPHIC, crs, always_xy=True)
        west, north = (float(round(v, -3)) for v in to_map.transform(86.9, 28.1))
        step = 120.0 if entry.reader == "itslive" else 12.0
    rows, cols = shape
    return north - step * (np.arange(rows) + 0.5), west + step * (np.arange(cols) + 0.5)


def numbers(entry: Entry, unit: str, shape: tuple[int, ...], rng: Any) -> npt.NDArray[Any]:
    """Numbers such as those of a unit, or codes of the classes, with NaN in a corner."""
    classes = entry.metadata.get("classes")
    if classes:
        values = rng.choice(sorted(classes), size=shape).astype(np.float64)
    else:
        middle, spread = _USUAL.get(unit, (1.0, 0.2))
        values = np.round(rng.normal(middle, spread, shape), 3)
        if unit == "1":
            values = np.clip(values, 0.0, 1.0)
    values[..., :2, :3] = np.nan
    return np.asarray(values)
