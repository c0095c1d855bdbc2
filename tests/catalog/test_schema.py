"""The lint of the catalog: the built-in one passes, and each rule can fail."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from glaciertoolkit.catalog import DRIVERS, READERS, Catalog, lint, open_catalog, schema
from glaciertoolkit.simulate.samples import _writer

BUILT_IN = open_catalog()

# Every data set of the listings that has a format of its own.
LISTED = [f"001-{n:02d}" for n in range(1, 51)] + [
    "000-1", "002-1", "003-2", "003-3", "003-4", "003-5", "003-6", "003-7", "003-8", "003-9",
    "003-10", "003-11", "003-12", "004-1", "004-2", "004-3", "004-5", "004-6", "004-8",
]  # fmt: skip

GOOD = {
    "title": "Snow", "provider": "somebody", "variables": {"depth": "cm"}, "license": "unknown",
    "access": "open", "role": "covariate", "frequency": "daily", "format": "GeoTIFF",
    "get": "ask", "crs": "EPSG:4326", "reader": "series",
}  # fmt: skip


def faults(**changes: Any) -> list[str]:
    facts = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return lint(dataclasses.replace(BUILT_IN.snow_depth_tp, name="snow", metadata=facts))


def test_the_built_in_catalog_keeps_its_schema() -> None:
    assert BUILT_IN.check() == []


def test_every_listed_data_set_has_an_entry() -> None:
    there = {str(entry.metadata.get("id")) for entry in BUILT_IN.values()}
    assert sorted(set(LISTED) - there) == []
    assert len(BUILT_IN) >= 95


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_every_entry_has_a_driver_a_reader_and_a_sample(name: str) -> None:
    entry = BUILT_IN[name]
    assert entry.driver in DRIVERS[entry.data_type]
    assert entry.reader in READERS
    assert not entry.uri.startswith("/")
    if entry.metadata["access"] != "made":
        assert callable(_writer(entry))
        assert len(entry.metadata["get"]) > 10


def test_the_base_of_the_tests_below_is_sound() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": None}, "snow lacks 'title'."),
        ({"titel": "x"}, "unknown key 'titel'"),
        ({"title": " "}, "should be text"),
        ({"notes": "one"}, "no list of sentences"),
        ({"license": "free"}, "license 'free', known are"),
        ({"access": "easy"}, "access 'easy'"),
        ({"frequency": "often"}, "frequency 'often'"),
        ({"role": "lake"}, "role 'lake'"),
        ({"role": ["mask", "lake"]}, "role 'lake'"),
        ({"variables": ["depth"]}, "no mapping of names to units"),
        ({"variables": {"depth": "furlong"}}, "'furlong' is not a unit"),
        ({"variables": {"depth": 1}}, "a unit must be text"),
        ({"crs": "EPSG:999999"}, "which PROJ does not know"),
        ({"crs": None}, "neither its crs nor its projection"),
        ({"bbox": [1, 2, 3]}, "west, south, east, north"),
        ({"bbox": [100, 26, 70, 44]}, "is no box"),
        ({"bbox": [70, 44, 100, 26]}, "is no box"),
        ({"bbox": [70, 26, 100, 95]}, "is no box"),
        ({"bbox": [70, 26, 100, 44], "bbox_trusted": False}, "not trusted"),
        ({"start": 2018, "end": 2015}, "starts (2018) after it ends (2015)"),
        ({"start": "2018-03", "end": "2018-01-05"}, "after it ends"),
        ({"start": 12}, "no year, year-month or date"),
        ({"end": "2018-02-30"}, "no year, year-month or date"),
        ({"start": 1500}, "no year, year-month or date"),
        ({"title_year": 2015, "image_year": 2018}, "no contradiction that says so"),
        ({"nodata": "none"}, "nodata 'none'"),
        ({"nodata": True}, "nodata True"),
        ({"scale": "ten"}, "scale 'ten'"),
        ({"classes": {"a": "ice"}}, "whole numbers to words"),
        ({"classes": {1: "ice"}, "nodata": 1}, "both as nodata and as a class"),
        ({"shape": [1, 2, 3]}, "rows and columns"),
        ({"doi": "doi:10.5067/X"}, "should begin with 10."),
        ({"url": "www.example.org"}, "should begin with https://"),
        ({"file_names": "SD_%j.tif"}, "holds no year"),
        ({"reader": None}, "names no reader"),
        ({"reader": "magic"}, "reader 'magic', known are"),
        ({"reader": "excel"}, "does not open a RasterDataset"),
    ],
)
def test_each_rule_can_be_broken(changes: dict[str, Any], message: str) -> None:
    (found,) = faults(**changes)
    assert message in found
    assert found.startswith("snow ")
    assert found.endswith(".")


def test_dates_of_different_precision_are_compared_as_far_as_they_go() -> None:
    assert faults(start="2018-06", end=2018) == []
    assert faults(start="2002-06-20", end="2002-06") == []


def test_what_is_allowed() -> None:
    assert faults(role=["mask", "context"], bbox=[-20, -10, 20, 10], start="unknown") == []
    assert faults(title_year=2015, image_year=2018, contradictions=["both"]) == []


def test_a_catalog_of_ones_own_is_checked_the_same_way() -> None:
    entry = dataclasses.replace(BUILT_IN.snow_depth_tp, name="mine", metadata={})
    found = Catalog({"mine": entry}, source="own").check()
    assert "mine lacks 'title'." in found
    assert "mine names no reader." in found


def test_the_schema_is_documented() -> None:
    text = " ".join((schema.__doc__ or "").split())
    undocumented = [key for key in schema.KEYS if f"`{key}`" not in text]
    assert undocumented == []


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("gf3_velocity_qtp", ("5.85 GB", "26-44 N, 70-100 E", "float32", "12 m", "0.5 m")),
        ("qilian_outlines_2015", ("image_year: 2018", "title_year: 2015", "+-2 m")),
        ("qilian_outlines_2019_first", ("image_year: 2018", "title_year: 2019")),
        ("water_bodies_north_america", ("count: 6500000", "650 million")),
        ("water_bodies_hma", ("76915.9 km2",)),
        ("water_bodies_central_asia", ("count: 66216", "98161.8 km2")),
        ("rock_glaciers_tp", ("count: 132867", "92-186 km3")),
        ("permafrost_seasonal_amplitude", ("bbox_trusted: false", "CC-BY-4.0", "login")),
        ("greenland_melt", ("winter", "255")),
        ("thermokarst_lakes_qtp", ("count: 121758", "1730.34 km2")),
        ("alaska_glaciers_2018", ("count: 27043", "81285 km2", "+-4.3 %")),
        ("lst_china", ("RMSE about 3 K",)),
        ("soil_moisture_china", ("0.053-0.056",)),
        ("snow_depth_tp", ("0.61 cm", "SD_%Y%j.tif")),
        ("freeze_thaw_qtec", ("84.63 %", "77.09 %")),
        ("snow_depth_global", ("25067.53", "586", "1383", "nodata: -1")),
        ("freeze_thaw_sanjiangyuan", ("25067.525", "3: desert", "4: water")),
    ],
)
def test_published_facts(name: str, facts: tuple[str, ...]) -> None:
    text = yaml.safe_dump(BUILT_IN[name].metadata, width=1000)
    for fact in facts:
        assert fact in text, fact
