"""Samples of tables and inventories: shapefile, GeoPackage, Excel in both kinds, CSV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glaciertoolkit.catalog import Entry
from glaciertoolkit.simulate import samples_facts as facts

FEATURES = 4
LAKES = ("Nam Co", "Selin Co", "Qinghai Lake")
RGI_MISSING = -999


def write_inventory(entry: Entry, target: Path) -> None:
    """Polygons with the columns that the catalog names, an unknown number among them."""
    import geopandas as gpd
    from pyproj import CRS
    from shapely import Point

    rng = facts.generator(entry)
    crs = CRS.from_user_input(facts.crs_of(entry))
    y, x = facts.axes(entry)
    width = abs(float(y[1] - y[0]))
    names = list(entry.metadata["variables"]) or ["Area"]
    key = "rgi_id" if "area_km2" in names else "RGIId" if "Zmed" in names else "ID"
    columns: dict[str, Any] = {key: [f"G{n:05d}" for n in range(FEATURES)]}
    for name in names:
        values = np.round(rng.normal(50.0, 9.0, FEATURES), 2)
        values[-1] = RGI_MISSING if name in ("Zmed", "zmed_m") else values[-1]
        columns[name] = values
    columns[names[0]][0] = np.nan
    shapes = [
        Point(x[2 * n + 1], y[n + 1]).buffer(width * 0.8, quad_segs=4) for n in range(FEATURES)
    ]
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)
    for path, _ in facts.file_names(entry, target):
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_file(path, engine="pyogrio")


def write_station(entry: Entry, target: Path) -> None:
    """A CSV with the unit in each header, a gap and an empty cell."""
    path = target.with_name(target.name.replace("*", "sample"))
    rng = facts.generator(entry)
    variables = entry.metadata["variables"]
    if entry.name.startswith("itslive"):
        lines = ["mid_date,v_m_per_yr,satellite,dt_days"]
        lines += [
            f"{np.datetime_as_string(t, unit='ms')}Z,{v},Landsat 8,{16 * n + 16}"
            for n, (t, v) in enumerate(
                zip(facts.dates(entry, 6), (20, 31, "", 24, 28, 22), strict=True)
            )
        ]
    else:
        lines = ["time," + ",".join(f"{name} [{unit}]" for name, unit in variables.items())]
        for n, moment in enumerate(facts.dates(entry, 9)):
            if n == 5:
                continue
            values = [f"{v:.3f}" for v in rng.normal(3.0, 1.0, len(variables))]
            if n == 2:
                values[0] = ""
            lines.append(",".join([np.datetime_as_string(moment, unit="s"), *values]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_wgms(entry: Entry, target: Path) -> None:
    """The columns of the Fluctuations of Glaciers, with a row of an elevation band."""
    del entry
    rows = [
        "POLITICAL_UNIT,NAME,WGMS_ID,YEAR,LOWER_BOUND,UPPER_BOUND,AREA,WINTER_BALANCE,"
        "SUMMER_BALANCE,ANNUAL_BALANCE",
        "CN,SAMPLE GLACIER,9001,2011,9999,9999,2.1,410,-910,-500",
        "CN,SAMPLE GLACIER,9001,2010,9999,9999,2.1,,,-620",
        "CN,SAMPLE GLACIER,9001,2011,5400,5500,0.3,300,-1100,-800",
        "NP,OTHER GLACIER,9002,2011,9999,9999,,350,-650,-300",
    ]
    path = target.with_name(target.name.replace("*", "mass_balance"))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_xlsx(entry: Entry, target: Path) -> None:
    """A sheet for each of two lakes, a title above the header, dates of Excel."""
    from openpyxl import Workbook

    rng = facts.generator(entry)
    book = Workbook()
    book.remove(book.active)
    for lake in LAKES[:2]:
        sheet = book.create_sheet(lake)
        sheet.append([f"Ice on {lake}, from altimetry"])
        sheet.append(["Date", *(f"{n} ({u})" for n, u in entry.metadata["variables"].items())])
        for n, moment in enumerate(facts.dates(entry, 5)):
            drawn = rng.normal(0.6, 0.1, len(entry.metadata["variables"]))
            numbers: list[Any] = np.round(drawn, 3).tolist()
            if n == 1:
                numbers[0] = None
            sheet.append([moment.astype("datetime64[s]").item(), *numbers])
    book.save(target.with_name(target.name.replace("*", "sample")))


def write_xls(entry: Entry, target: Path) -> None:
    """A day a row, a lake a column, in the older format of Excel."""
    rng = facts.generator(entry)
    rows: list[list[Any]] = [["date", *LAKES]]
    for n, moment in enumerate(facts.dates(entry, 6)):
        ratios: list[Any] = np.round(np.clip(rng.normal(0.5, 0.2, len(LAKES)), 0, 1), 2).tolist()
        if n == 3:
            ratios[1] = ""
        rows.append([str(moment.astype("datetime64[D]")), *ratios])
    path = target.with_name(target.name.replace("*", "sample"))
    path.write_bytes(biff(rows))


def biff(rows: Sequence[Sequence[Any]]) -> bytes:
    """A sheet of text and numbers as Excel 2 stored it, the smallest file that is an xls.

    No library in this package writes xls; five kinds of record are all it takes.
    """
    cell = b"\x00\x00\x00"  # no format

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    begin, western = struct.pack("<HH", 2, 0x0010), struct.pack("<H", 0x8001)
    parts = [record(0x0009, begin), record(0x0042, western)]
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            at = struct.pack("<HH", row, column) + cell
            if isinstance(value, str):
                data = value.encode("ascii")
                if data:
                    parts.append(record(0x0004, at + bytes([len(data)]) + data))
            else:
                parts.append(record(0x0003, at + struct.pack("<d", value)))
    return b"".join([*parts, record(0x000A, b"")])
