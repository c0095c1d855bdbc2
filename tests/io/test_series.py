"""Series of rasters and of grids of text: dates, grids, missing values, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from glaciertoolkit import open_ascii_grid, open_series
from glaciertoolkit.errors import DateError, FileError, GridError, InputError, ParameterError
from glaciertoolkit.io.series_dates import series_dates

HEADER = "ncols 4\nnrows 3\nxllcorner 80\nyllcorner 30\ncellsize 0.5\nNODATA_value -1\n"


def write_tif(
    path: Path,
    values: Any,
    *,
    crs: str | None = "EPSG:4326",
    west: float = 80.0,
    step: float = 0.5,
    nodata: float | None = -1,
    **more: Any,
) -> None:
    pixels = np.atleast_2d(np.asarray(values))
    with rasterio.open(
        path, "w", driver="GTiff", height=pixels.shape[0], width=pixels.shape[1], count=1,
        dtype=pixels.dtype, crs=crs, transform=from_origin(west, 31.5, step, step),
        nodata=nodata, **more,
    ) as file:  # fmt: skip
        file.write(pixels, 1)


def write_text(path: Path, body: str, header: str = HEADER) -> None:
    path.write_text(header + body)


@pytest.fixture
def snow(tmp_path: Path) -> Path:
    for day in (245, 247, 246):
        write_tif(
            tmp_path / f"SD_2001{day}.tif", np.full((3, 4), day, "int16") * [1, 1, 1, -1 / day]
        )
    return tmp_path


def test_a_series_in_order_of_time(snow: Path) -> None:
    ds = open_series(snow, variable="snow_depth", units="cm")
    assert ds.snow_depth.dims == ("time", "y", "x")
    assert ds.time.values.astype("datetime64[D]").astype(str).tolist() == [
        "2001-09-02", "2001-09-03", "2001-09-04",
    ]  # fmt: skip
    assert ds.snow_depth.isel(x=0, y=0).values.tolist() == [245, 246, 247]
    assert bool(ds.snow_depth.isel(x=3).isnull().all())
    assert ds.snow_depth.attrs["units"] == "cm"
    assert ds.rio.crs.to_epsg() == 4326
    assert ds.x.attrs["standard_name"] == "longitude"
    assert (float(ds.x[0]), float(ds.y[0])) == (80.25, 31.25)


def test_nothing_is_read_before_it_is_needed_and_chunks_do_not_matter(snow: Path) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=never):
        small = open_series(snow, chunks=2)
        whole = open_series(snow, chunks={"y": 3, "x": 4})
        _ = (small.value * 2).mean("time")
    assert small.value.chunks == ((1, 1, 1), (2, 1), (2, 2))
    assert small.equals(whole)
    assert small.load().identical(open_series(snow, chunks=None))


def test_scale_nodata_and_tags(tmp_path: Path) -> None:
    write_tif(tmp_path / "a_20200101.tif", np.array([[10, 20, -1, 99]], "int16"))
    with rasterio.open(tmp_path / "a_20200101.tif", "r+") as file:
        file.scales, file.offsets = (0.5,), (1.0,)
    ds = open_series(tmp_path / "a_20200101.tif", nodata=99, scale=2.0, chunks=None)
    np.testing.assert_array_equal(ds.value.values[0, 0], [12.0, 22.0, np.nan, np.nan])


def test_classes_and_codes_without_one(tmp_path: Path) -> None:
    classes = {1: "frozen", 2: "thawed ground"}
    write_tif(tmp_path / "f_2015.tif", np.array([[1, 2, 255, 1]], "uint8"), nodata=None)
    ds = open_series(tmp_path, classes=classes, nodata=255)
    assert ds.value.attrs["flag_values"].tolist() == [1, 2]
    assert ds.value.attrs["flag_meanings"] == "frozen thawed_ground"
    assert ds.value.attrs["units"] == "1"
    np.testing.assert_array_equal(ds.value.values[0, 0], [1, 2, np.nan, 1])
    lazy = open_series(tmp_path, classes=classes)
    with pytest.raises(InputError, match="holds the code 255, which is none of 1 frozen, 2 thawed"):
        lazy.load()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_20200131.tif"], "2020-01-31"),
        (["a_2020-01-31.tif"], "2020-01-31"),
        (["SD_2020031.tif"], "2020-01-31"),
        (["x_202001.tif"], "2020-01-01"),
        (["v2_1985.tif"], "1985-01-01"),
        (["T_2016010113.tif"], "2016-01-01T13:00:00"),
        (["T_20160101T1330.tif"], "2016-01-01T13:30:00"),
        (["snow_0.05_20200131_v1.tif"], "2020-01-31"),
    ],
)
def test_dates_in_names(names: list[str], expected: str) -> None:
    assert series_dates(names)[0] == np.datetime64(expected, "ns")


def test_one_rule_for_all_names() -> None:
    # 201501 could be a year and a month, 2015013 only a day of the year
    found = series_dates(["A2015013.tif", "A2015365.tif"])
    assert found.astype("datetime64[D]").astype(str).tolist() == ["2015-01-13", "2015-12-31"]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["a.tif", "b_2015.tif"], {}, "the file a.tif of the series has no date in its name"),
        (["a_2015.tif", "b_2015.tif"], {}, r"a_2015.tif and b_2015.tif .* the same date \(2015"),
        (["A2015400.tif"], {}, "has no date in its name"),
        (["a_20150230.tif"], {"pattern": "a_%Y%m%d.tif"}, "by the pattern 'a_%Y%m%d.tif'"),
    ],
)
def test_names_that_do_not_work(names: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DateError, match=message):
        series_dates(names, **options)


def test_patterns_that_do_not_work() -> None:
    with pytest.raises(ParameterError, match="has the code '%q'"):
        series_dates(["a"], pattern="%Y%q")
    with pytest.raises(ParameterError, match="holds no year"):
        series_dates(["a"], pattern="SD_%j.tif")
    assert series_dates(["x_85_day032.tif"], pattern="*_%y_day%j.tif")[0] == np.datetime64(
        "1985-02-01"
    )


def test_dates_that_are_given(snow: Path) -> None:
    ds = open_series(snow, dates=["2020-03-01", "2020-01-01", "2020-02-01"])
    assert ds.value.isel(x=0, y=0).values.tolist() == [246, 247, 245]
    with pytest.raises(DateError, match="holds 1 dates for the 3 files"):
        open_series(snow, dates=["2020-01-01"])
    with pytest.raises(DateError, match="holds a date twice"):
        open_series(snow, dates=["2020-01-01"] * 3)


@pytest.mark.parametrize(
    "other", [{"west": 81.0}, {"crs": "EPSG:3857"}, {"crs": None}, {"step": 0.25}]
)
def test_mixed_grids(snow: Path, other: dict[str, Any]) -> None:
    write_tif(snow / "SD_2001300.tif", np.zeros((3, 4), "int16"), **other)
    with pytest.raises(GridError, match=r"SD_2001245.tif is .*, SD_2001300.tif is .*one grid"):
        open_series(snow)


def test_mixed_shapes(snow: Path) -> None:
    write_tif(snow / "SD_2001300.tif", np.zeros((2, 4), "int16"))
    with pytest.raises(GridError, match=r"3 x 4 pixels .* 2 x 4 pixels"):
        open_series(snow)


def test_files_that_are_not_there_or_damaged(snow: Path) -> None:
    with pytest.raises(FileError, match="no file of the series is at"):
        open_series(snow / "nowhere" / "*.tif")
    with pytest.raises(FileError, match=r"does not exist"):
        open_series(snow / "SD_1999001.tif")
    (snow / "empty").mkdir()
    with pytest.raises(FileError, match=r"give a folder that holds \.tif"):
        open_series(snow / "empty")
    write_tif(snow / "SD_2001300.tif", np.arange(12, dtype="int16").reshape(3, 4))
    whole = (snow / "SD_2001300.tif").read_bytes()
    (snow / "SD_2001300.tif").write_bytes(whole[:-10])
    with pytest.raises(FileError, match=r"SD_2001300.tif .*truncated"):
        open_series(snow).load()
    (snow / "SD_2001300.tif").write_bytes(b"not a tif")
    with pytest.raises(FileError, match="cannot be opened as an image"):
        open_series(snow)


# --- grids of text -----------------------------------------------------------------------------


def test_a_grid_of_text(tmp_path: Path) -> None:
    write_text(tmp_path / "sd.txt", "1 2 3 4\n5 6 7 8\n9 10 11 -1\n")
    ds = open_ascii_grid(tmp_path / "sd.txt", crs=4326, variable="depth", units="cm")
    assert ds.depth.dims == ("y", "x")
    assert ds.y.values.tolist() == [31.25, 30.75, 30.25]
    assert ds.depth.values[0].tolist() == [1, 2, 3, 4]
    assert np.isnan(ds.depth.values[-1, -1])
    assert ds.rio.crs.to_epsg() == 4326
    assert ds.depth.chunks is not None


@pytest.mark.parametrize(
    "header",
    [
        "NCOLS = 4\nNROWS = 3\nXLL = 80\nYLL = 30\nCELLSIZE = 0.5\nNODATA = -1\n",
        "nrows: 3\nncols: 4\ncellsize: 0.5\nxllcorner: 80.0\nyllcorner: 3e1\nNODATA_value: -1\n",
        "ncols 4\nnrows 3\nxllcenter 80.25\nyllcenter 30.25\ndx 0.5\ndy 0.5\nnodata -1\n",
    ],
)
def test_headers_in_other_words(tmp_path: Path, header: str) -> None:
    body = "1 2 3 4\n5 6 7 8\n9 10 11 -1\n"
    write_text(tmp_path / "a.txt", body)
    write_text(tmp_path / "b.txt", body, header)
    one, other = (open_ascii_grid(tmp_path / f"{n}.txt", chunks=None) for n in "ab")
    assert one.identical(other)


def test_a_series_of_text_on_one_grid(tmp_path: Path) -> None:
    for day, number in ((1, 5), (2, 6)):
        write_text(tmp_path / f"ft_2000{day:03d}.txt", f"{number} " * 12)
    ds = open_ascii_grid(tmp_path)
    assert ds.value.isel(x=0, y=0).values.tolist() == [5, 6]
    write_text(tmp_path / "ft_2000003.txt", "1 " * 12, HEADER.replace("80", "81"))
    with pytest.raises(GridError, match=r"ft_2000001.txt is .*\(80, 31.5\).*\(81, 31.5\)"):
        open_ascii_grid(tmp_path)


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        (HEADER, "1 " * 11, r"holds 11 numbers, its header promises 3 rows of 4 \(12\)"),
        (HEADER, "1 " * 13, "holds 13 numbers"),
        (HEADER, "1 " * 11 + "x", "has text among the numbers"),
        (HEADER, "1,5 " * 12, r"has decimal commas \('1,5'\); write plain numbers with points"),
        (HEADER.replace("0.5", "0,5"), "1 " * 12, "has a decimal comma in its line 5"),
        (HEADER.replace("cellsize 0.5\n", ""), "1 " * 12, "it lacks cellsize"),
        (HEADER.replace("ncols 4\n", ""), "1 " * 12, "it lacks ncols"),
        (HEADER.replace("ncols 4", "ncols 4.5"), "1 " * 12, "are no grid"),
        (HEADER.replace("nrows 3", "nrows -3"), "1 " * 12, "are no grid"),
        (HEADER.replace("cellsize", "gridsize"), "1 " * 12, "names 'gridsize', which is not known"),
        (HEADER.replace("nrows 3", "nrows three"), "1 " * 12, "is not a name and a number"),
        ("", "1 " * 12, "it lacks ncols and nrows"),
        ("", "", "it lacks ncols"),
    ],
)
def test_text_that_is_no_grid(tmp_path: Path, header: str, body: str, message: str) -> None:
    write_text(tmp_path / "a.txt", body, header)
    with pytest.raises(FileError, match=message) as caught:
        open_ascii_grid(tmp_path / "a.txt")
    assert "a.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(128, 256)) * 40)
    with pytest.raises(FileError, match=r"no header|not text"):
        open_ascii_grid(tmp_path / "a.txt")
    with pytest.raises(FileError, match="does not exist"):
        open_ascii_grid(tmp_path / "b.txt")
