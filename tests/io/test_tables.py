"""Stations, Excel and WGMS: headers, units, time zones, gaps, duplicates, damage."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from glaciertoolkit import open_excel, open_station, open_wgms
from glaciertoolkit.errors import DateError, FileError, InputError, ParameterError
from glaciertoolkit.io.frames import split_header
from glaciertoolkit.simulate.samples_tables import biff

HOURLY = "time,T [degC],RH (%),note\n" + "".join(
    f"2019-05-01 {hour:02d}:00,{hour - 3.5},{80 + hour},ok\n" for hour in (0, 1, 2, 4, 5)
)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def moments(ds: Any) -> list[str]:
    return ds.time.values.astype("datetime64[m]").astype(str).tolist()


def test_units_in_the_headers(tmp_path: Path) -> None:
    ds = open_station(
        write(tmp_path / "a.csv", HOURLY), longitude=86.9, latitude=27.7, elevation=5350
    )
    assert ds["T"].attrs["units"] == "degC"
    assert ds["RH"].attrs["units"] == "%"
    assert ds["T"].values[0] == -3.5
    assert ds.note.values.tolist() == ["ok"] * 5
    assert float(ds.elevation) == 5350
    assert ds.rio.crs.to_epsg() == 4326
    assert ds.attrs["missing_times"] == 1
    assert ds.attrs["completeness"] == pytest.approx(5 / 6)
    even = open_station(tmp_path / "a.csv", regular=True)
    assert even.sizes["time"] == 6
    assert np.isnan(even["T"].values[3])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("date;T\n2019-05-01;-1,5\n2019-05-02;2,25\n", {"units": {"T": "°C"}}),
        ("date\tT [°C]\n2019-05-01\t-1.5\n2019-05-02\t2.25\n", {}),
        ("# a remark\ndate,T\nyyyy-mm-dd,degC\n2019-05-01,-1.5\n2019-05-02,2.25\n", {}),
        ('"date","T (degC)"\n"2019/05/01","-1.5"\n"2019/05/02","2.25"\n', {}),
        ("yyyymmdd,T [degC]\n20190501,-1.5\n20190502,2.25\n", {}),
        ("day,T [degC]\n2019121,-1.5\n2019122,2.25\n", {}),
        ("day,T [degC]\n43586,-1.5\n43587,2.25\n", {}),
        (
            '"TOA5","AWS","CR1000"\n"TIMESTAMP","T"\n"TS","degC"\n"","Avg"\n'
            '"2019-05-01 00:00:00",-1.5\n"2019-05-02 00:00:00",2.25\n',
            {},
        ),
    ],
)
def test_one_table_in_many_dresses(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    ds = open_station(write(tmp_path / "a.csv", text), **options)
    assert ds["T"].values.tolist() == [-1.5, 2.25]
    assert ds["T"].attrs["units"] == "degC"
    assert moments(ds) == ["2019-05-01T00:00", "2019-05-02T00:00"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk"])
def test_names_in_chinese(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", "time,气温 [degC]\n2019-05-01,1\n2019-05-02,2\n", encoding)
    assert open_station(path)["气温"].attrs["units"] == "degC"


def test_time_zones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,T\n2019-05-01 05:45,1\n2019-05-01 06:45,2\n")
    assert moments(open_station(path, timezone="Asia/Kathmandu"))[0] == "2019-05-01T00:00"
    assert moments(open_station(path, timezone="Etc/GMT-8"))[0] == "2019-04-30T21:45"
    rows = "2019-05-01T08:00:00+08:00,1\n2019-05-02T08:00:00+08:00,2\n"
    path = write(tmp_path / "b.csv", "time,T\n" + rows)
    assert moments(open_station(path, timezone="Asia/Kathmandu"))[0] == "2019-05-01T00:00"
    path = write(tmp_path / "c.csv", "time,T\n2019-05-01,1\n2019-05-02,2\n")
    with pytest.raises(ParameterError, match="'Mars/Olympus' is not a time zone"):
        open_station(path, timezone="Mars/Olympus")
    path = write(tmp_path / "d.csv", "time,T\n2019-03-31 02:30,1\n2019-04-01,2\n")
    with pytest.raises(DateError, match="do not exist, or exist twice, in Europe/Berlin"):
        open_station(path, timezone="Europe/Berlin")


def test_missing_numbers(tmp_path: Path) -> None:
    cells = ("1", "", "NaN", "-9999", "NA", "7777")
    rows = "".join(f"2019-05-0{n + 1},{cell}\n" for n, cell in enumerate(cells))
    path = write(tmp_path / "a.csv", "date,T\n" + rows)
    assert np.isnan(open_station(path)["T"].values).tolist() == [False, *[True] * 4, False]
    assert np.isnan(open_station(path, nodata=7777)["T"].values)[-1]


def test_times_in_disorder_and_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "date,T,who\n2019-05-02,2,b\n2019-05-01,1,a\n2019-05-02,4,c\n")
    with pytest.raises(DateError, match=r"the time 2019-05-02 twice \(1 repeated in all\)"):
        open_station(path)
    assert open_station(path, duplicates="first")["T"].values.tolist() == [1, 2]
    mean = open_station(path, duplicates="mean")
    assert mean["T"].values.tolist() == [1, 3]
    assert mean.who.values.tolist() == ["a", "b"]
    with pytest.raises(ParameterError, match="duplicates='last'"):
        open_station(path, duplicates="last")


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, FileError, "holds no table"),
        ("date,T\n", {}, FileError, "holds no table"),
        ("hello\nworld\n", {}, InputError, "it has one column"),
        ("a,b\n1,2\n3,4\n", {}, InputError, "no column that is known to hold the time"),
        ("date,T\n2019-05-01,1\n", {"time": "when"}, InputError, "has no column 'when'"),
        ("date,T\nMay,1\nJune,2\n", {}, DateError, "has the time 'May', which is not a date"),
        ("date,T\n2019-13-01,1\n", {}, DateError, "2019-13-01"),
        ("yyyymmdd,T\n20190230,1\n", {}, DateError, "20190230"),
        ("date,T\n2019-05-01,1\n2019-05-02,2\n2019-05-03,x2\n", {}, InputError, "holds 'x2' where"),
        ("date,T\n2019-05-01,1\n2019-05-02,2,3,4\n", {}, FileError, "not a table of one number"),
        ("date,T\n2019-05-01,1\n", {"units": {"U": "m"}}, ParameterError, "names the column 'U'"),
        ("date,T\n2019-05-01,1\n", {"units": {"T": "furlong"}}, ParameterError, "'furlong' is not"),
        ("date,T\n2019-05-01,1\n", {"latitude": 91.0}, ParameterError, "latitude=91.0 is not"),
        ("date,T\n,1\n", {}, InputError, "has no row with a time"),
    ],
)
def test_tables_that_are_none(
    tmp_path: Path, text: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        open_station(write(tmp_path / "a.csv", text), **options)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        open_station(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"\x00\x01\x02")
    with pytest.raises(FileError, match="is not text"):
        open_station(tmp_path / "a.csv")
    with pytest.raises(FileError, match="cannot be read"):
        open_station(tmp_path)


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("T [degC]", "T", "degC"),
        ("Wind speed (m/s)", "Wind speed", "m s-1"),
        ("T (2 m)", "T (2 m)", None),
        ("Temperature (mean)", "Temperature (mean)", None),
        ("ratio (1)", "ratio", "1"),
    ],
)
def test_headers(header: str, name: str, unit: str | None) -> None:
    assert split_header(header) == (name, unit)


# --- Excel -------------------------------------------------------------------------------------


def book(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    made = Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


DAYS = [datetime.datetime(2019, 1, day) for day in (1, 2, 4)]


def test_a_sheet_for_each_lake(tmp_path: Path) -> None:
    rows = [["Ice of a lake"], ["Date", "thickness (m)"], *([d, 0.5] for d in DAYS)]
    other = [["Date", "thickness (m)"], [DAYS[1], None], [DAYS[2], 0.7]]
    path = book(tmp_path / "a.xlsx", {"Nam Co": rows, "Yamdrok": other, "read me": [["words"]]})
    ds = open_excel(path)
    assert ds.thickness.dims == ("sheet", "time")
    assert ds.sheet.values.tolist() == ["Nam Co", "Yamdrok"]
    assert ds.thickness.attrs["units"] == "m"
    np.testing.assert_array_equal(ds.thickness.sel(sheet="Yamdrok"), [np.nan, np.nan, 0.7])
    one = open_excel(path, sheet="Yamdrok", units={"thickness": "cm"})
    assert one.thickness.dims == ("time",)
    assert one.thickness.attrs["units"] == "cm"
    with pytest.raises(ParameterError, match="no sheet 'Nam'; it has Nam Co, Yamdrok, read me"):
        open_excel(path, sheet="Nam")


def test_both_formats_read_the_same_whatever_they_are_called(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["date", "A", "B"], ["2019-01-01", 0.1, ""], ["2019-01-02", 0.3, 0.4]]
    (tmp_path / "a.xls").write_bytes(biff(rows))
    blank = [[None if cell == "" else cell for cell in row] for row in rows]
    book(tmp_path / "a.xlsx", {"Sheet 1": blank})
    (tmp_path / "b.xlsx").write_bytes((tmp_path / "a.xls").read_bytes())
    found = [
        open_excel(tmp_path / name, across="lake", variable="ice", units={"ice": "1"})
        for name in ("a.xls", "a.xlsx", "b.xlsx")
    ]
    assert found[0].ice.dims == ("time", "lake")
    assert found[0].ice.attrs["units"] == "1"
    assert np.isnan(found[0].ice.sel(lake="B").values[0])
    assert found[0].identical(found[1])
    assert found[0].identical(found[2])


def test_excel_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        open_excel(tmp_path / "a.xlsx")
    (tmp_path / "a.xlsx").write_text("date,T\n")
    with pytest.raises(FileError, match="cannot be read as an Excel file"):
        open_excel(tmp_path / "a.xlsx")
    whole = book(tmp_path / "b.xlsx", {"A": [["Date", "T"], [DAYS[0], 1]]}).read_bytes()
    (tmp_path / "b.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="cannot be read as an Excel file"):
        open_excel(tmp_path / "b.xlsx")
    with zipfile.ZipFile(tmp_path / "c.xlsx", "w") as file:
        file.writestr("hello.txt", "hello")
    with pytest.raises(FileError, match="cannot be read as an Excel file"):
        open_excel(tmp_path / "c.xlsx")
    book(tmp_path / "d.xlsx", {"A": [["only", "words", "here"]]})
    with pytest.raises(InputError, match="holds no table"):
        open_excel(tmp_path / "d.xlsx")
    book(tmp_path / "e.xlsx", {"A": [["Date", "T"], [DAYS[0], 1], [DAYS[0], 2]]})
    with pytest.raises(DateError, match=r"sheet 'A' of e\.xlsx has the time 2019-01-01 twice"):
        open_excel(tmp_path / "e.xlsx")


# --- WGMS --------------------------------------------------------------------------------------


def test_balances_in_metres_of_water(tmp_path: Path) -> None:
    text = (
        "NAME,WGMS_ID,YEAR,LOWER_BOUND,UPPER_BOUND,WINTER_BALANCE,ANNUAL_BALANCE\n"
        "A,1,2011,9999,9999,400,-500\nA,1,2011,5400,5500,300,-800\nA,1,2010,9999,9999,,-620\n"
    )
    table = open_wgms(write(tmp_path / "a.csv", text))
    assert table.year.tolist() == [2010, 2011]
    assert table.annual_balance.tolist() == [-0.62, -0.5]
    assert np.isnan(table.winter_balance[0])
    assert table.attrs["units"]["annual_balance"] == "m yr-1"
    assert open_wgms(tmp_path / "a.csv", units="m").annual_balance.tolist() == [-620, -500]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\n1,2\n", InputError, "lacks annual_balance and year"),
        ("YEAR,ANNUAL_BALANCE\n2010,1\n", InputError, "lacks a glacier id"),
        ("WGMS_ID,YEAR,ANNUAL_BALANCE\n1,2010,1\n1,2010,2\n", InputError, "1 in 2010 twice"),
        ("WGMS_ID,YEAR,ANNUAL_BALANCE\n1,2010,x\n", InputError, "holds 'x'"),
        ("", FileError, "is no table"),
    ],
)
def test_tables_of_balances_that_are_none(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_wgms(write(tmp_path / "a.csv", text))
    with pytest.raises(ParameterError, match="measure different things"):
        open_wgms(tmp_path / "a.csv", units="kg")


def test_pandas_frames_keep_their_units(tmp_path: Path) -> None:
    table = open_wgms(write(tmp_path / "a.csv", "WGMS_ID,YEAR,ANNUAL_BALANCE\n1,2010,1\n"))
    assert isinstance(table, pd.DataFrame)
    assert table.attrs["units"] == {"annual_balance": "m yr-1"}
