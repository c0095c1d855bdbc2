"""Acquisition dates: from arguments, tags and file names."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glaciertoolkit.errors import DateError, GlacierToolkitWarning
from glaciertoolkit.io.dates import (
    check_order,
    date_from_name,
    date_from_tags,
    find_date,
    min_text,
    parse_time,
)

NOON = np.datetime64("2016-07-18T12:00:00", "ns")


@pytest.mark.parametrize(
    "value",
    [
        "2016-07-18T12:00:00Z",
        "2016-07-18T20:00:00+08:00",
        "2016:07:18 12:00:00",
        "20160718T120000",
        " 2016-07-18 12:00 ",
        datetime.datetime(2016, 7, 18, 12),
        datetime.datetime(2016, 7, 18, 12, tzinfo=datetime.UTC),
        np.datetime64("2016-07-18T12:00", "m"),
        np.array(NOON),
        pd.Timestamp("2016-07-18T14:00:00+02:00"),
    ],
)
def test_every_form_of_a_time_is_the_same_utc_instant(value):
    parsed = parse_time(value)
    assert parsed == NOON
    assert parsed.dtype == np.dtype("datetime64[ns]")


def test_a_date_is_its_midnight():
    assert parse_time(datetime.date(2016, 7, 18)) == np.datetime64("2016-07-18", "ns")
    assert parse_time("20160718") == np.datetime64("2016-07-18", "ns")


@pytest.mark.parametrize(
    "value", ["soon", "", "2016-13-40", None, 3.5, np.datetime64("NaT"), pd.NaT]
)
def test_what_is_not_a_date_is_an_error_that_shows_the_form(value):
    with pytest.raises(DateError, match="is not a date; give an ISO date such as 2016-07-18"):
        parse_time(value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LC08_063018_20160718_B8.tif", "2016-07-18"),
        ("LC08_L1TP_063018_20160718_20200906_02_T1_B8.TIF", "2016-07-18"),
        ("LC80630182016200LGN00_B8.TIF", "2016-07-18"),
        ("S1A_EW_GRDM_1SDH_20161005T142446_20161005T142546_013353.tif", "2016-10-05T14:24:46"),
        ("S2B_MSIL1C_20200407T045659_N0209_R119_T45RVL_20200408T081500.tif", "2020-04-07T04:56:59"),
        ("GF3_SAY_FSI_023228_W65.3_S18.7_20210107_L2_HHHV_L20005379609.tif", "2021-01-07"),
        ("scene-2019-09-03.tif", "2019-09-03"),
        ("20190903121530.tif", "2019-09-03T12:15:30"),
        ("20190903_a.tif", "2019-09-03"),
    ],
)
def test_dates_in_file_names(name, expected):
    assert date_from_name(name) == np.datetime64(expected, "ns")


@pytest.mark.parametrize(
    "name", ["image.tif", "20191332.tif", "20190231.tif", "12345678901.tif", "063018_b8.tif"]
)
def test_numbers_that_are_no_dates_are_left_alone(name):
    assert date_from_name(name) is None


def test_an_unknown_name_with_two_days_warns_which_one_was_taken():
    with pytest.warns(GlacierToolkitWarning, match=r"several dates, the first \(2019-09-03\)"):
        assert date_from_name("made_20190903_20200105.tif") == np.datetime64("2019-09-03", "ns")


@given(
    st.dates(datetime.date(1960, 1, 1), datetime.date(2099, 12, 31)),
    st.sampled_from(["", "-", "_"]),
)
def test_any_day_in_a_name_is_found(day, separator):
    name = f"scene_{day:%Y}{separator}{day:%m}{separator}{day:%d}_hh.tif"
    assert date_from_name(name) == np.datetime64(day, "ns")


def test_tags_in_any_spelling():
    for key in ("acquisition", "ACQUISITION_TIME", "ACQUISITIONDATETIME", "time_coverage_start"):
        assert date_from_tags({key: "2016-07-18T12:00:00Z"}) == NOON
    landsat = {"DATE_ACQUIRED": "2016-07-18", "SCENE_CENTER_TIME": '"12:00:00.0000000Z"'}
    assert date_from_tags(landsat) == NOON
    assert date_from_tags({"acquisition": "unknown", "START_TIME": "2016-07-18T12:00"}) == NOON
    assert date_from_tags({"note": "2016-07-18"}) is None


def test_the_argument_wins_over_tags_and_tags_over_the_name():
    tags, name = {"acquisition": "2017-01-01"}, "20180101.tif"
    assert find_date("2016-07-18", tags=tags, name=name, role="reference").source == "argument"
    assert find_date(None, tags=tags, name=name, role="reference").source == "tags"
    assert find_date(None, tags={}, name=name, role="reference").source == "file name"


def test_the_tiff_datetime_is_the_last_resort_and_warns():
    tags = {"TIFFTAG_DATETIME": "2016:10:05 20:31:44"}
    named = find_date(None, tags=tags, name="20161004.tif", role="secondary")
    assert named.source == "file name"
    with pytest.warns(GlacierToolkitWarning, match=r"time of processing; give secondary_date="):
        found = find_date(None, tags=tags, name="image.tif", role="secondary")
    assert found.time == np.datetime64("2016-10-05T20:31:44", "ns")


def test_no_date_says_how_to_give_one():
    with pytest.raises(DateError, match=r"reference image a\.tif.*give reference_date="):
        find_date(None, tags={}, name="a.tif", role="reference")


def test_order_of_the_two_dates():
    later = NOON + np.timedelta64(1, "D")
    check_order(NOON, later)
    with pytest.raises(DateError, match="swap the two images"):
        check_order(later, NOON)
    with pytest.raises(DateError, match="both images have the same date"):
        check_order(NOON, NOON)


def test_times_in_words_are_short_and_exact():
    assert min_text(NOON) == "2016-07-18T12:00:00"
    assert min_text(NOON.astype("datetime64[D]")) == "2016-07-18"
    assert min_text(NOON + np.timedelta64(500, "ms")) == "2016-07-18T12:00:00.500"
