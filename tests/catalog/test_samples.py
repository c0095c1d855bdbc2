"""Every entry of the catalog opens a file in its format: units, CRS, time, NaN."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.catalog import Entry, open_catalog
from glaciertoolkit.errors import GlacierToolkitWarning, ParameterError
from glaciertoolkit.io.units import canonical_units, parse_units

NAMES = [n for n, e in open_catalog().items() if e.metadata["access"] != "made"]
UNKNOWN = "unknown"
PAIR_ENTRIES = ("itslive_granule", "itslive_cube", "itslive_cube_online")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def places(folder: Path) -> dict[str, Path]:
    return gt.write_samples(folder)


def opened(name: str, folder: Path, places: dict[str, Path]) -> tuple[Entry, Any]:
    entry = open_catalog().at(folder)[name]
    # the publication of this one does not state its unit, and the reader says so
    silent = name == "gf3_velocity_qtp"
    with pytest.warns(GlacierToolkitWarning) if silent else contextlib.nullcontext():
        data = entry.open(places[name]) if entry.is_online else entry.open()
    return entry, data


def static(entry: Entry) -> bool:
    return str(entry.metadata["frequency"]) == "static"


def check_grid(entry: Entry, ds: xr.Dataset) -> None:
    assert ds.rio.crs is not None
    if "crs" in entry.metadata:
        assert ds.rio.crs == entry.metadata["crs"]
    for name, unit in entry.metadata["variables"].items():
        array = ds[name]
        assert array.chunks is not None, "not lazy"
        assert array.attrs["units"] == canonical_units(unit)
        assert array.dtype.kind == "f"
        values = array.values
        if array.ndim:
            assert np.isnan(values).any()
            assert np.isfinite(values).mean() > 0.5
            assert {ds.rio.x_dim, ds.rio.y_dim} <= set(array.dims)
        if "classes" in entry.metadata:
            codes = sorted(entry.metadata["classes"])
            assert array.attrs["flag_values"].tolist() == codes
            assert array.attrs["flag_meanings"].split()[0] == entry.metadata["classes"][codes[0]]
            assert set(np.unique(values[np.isfinite(values)])) <= set(codes)
        if (nodata := entry.metadata.get("nodata")) is not None:
            assert not (values == nodata).any()
    if entry.name in PAIR_ENTRIES:
        assert (ds.secondary_time > ds.reference_time).all()
        assert "mid_date" in ds.coords
    elif not static(entry):
        assert ds.time.dtype.kind == "M"
        assert (np.diff(ds.time.values) > np.timedelta64(0)).all()
        assert ds.time.attrs["standard_name"] == "time"


def check_table(entry: Entry, data: Any) -> None:
    frame = data.drop(columns="geometry", errors="ignore")
    for name, unit in entry.metadata["variables"].items():
        assert frame.attrs["units"][name] == canonical_units(unit)
    numbers = frame.select_dtypes("number")
    assert numbers.isna().any().any()
    assert numbers.notna().any().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_opens_its_sample(name: str, folder: Path, places: dict[str, Path]) -> None:
    entry, data = opened(name, folder, places)
    assert data.attrs["catalog_entry"] == name
    assert data.attrs["title"]
    for key in ("start", "end"):
        known = entry.metadata.get(key, UNKNOWN)
        if known != UNKNOWN:
            assert data.attrs[f"time_coverage_{key}"] == str(known)
    if isinstance(data, gpd.GeoDataFrame):
        assert data.crs is not None
        assert data.geometry.notna().all()
        check_table(entry, data)
    elif isinstance(data, pd.DataFrame):
        assert "year" in data
        check_table(entry, data)
    elif entry.data_type == "DataFrame":
        assert data.time.dtype.kind == "M"
        for variable, unit in entry.metadata["variables"].items():
            assert data[variable].attrs["units"] == canonical_units(unit)
        first = data[next(iter(entry.metadata["variables"]))]
        assert bool(first.isnull().any())
        assert bool(first.notnull().any())
    else:
        check_grid(entry, data.to_dataset() if isinstance(data, xr.DataArray) else data)


def test_the_same_samples_every_time(tmp_path: Path) -> None:
    names = ["snow_depth_tp", "lake_ice_coverage", "freeze_thaw_sanjiangyuan", "station_record"]
    found = []
    for run in ("a", "b"):
        gt.write_samples(tmp_path / run, names=names)
        files = sorted(p for p in (tmp_path / run).rglob("*") if p.is_file())
        found.append({str(p.relative_to(tmp_path / run)): p.read_bytes() for p in files})
    assert found[0] == found[1]
    assert "data/snow_depth_tp/SD_2000245.tif" in found[0]


@pytest.mark.usefixtures("places")
def test_documented_headers(folder: Path) -> None:
    catalog = open_catalog().at(folder)
    world = catalog.snow_depth_global.open()
    assert world.snow_depth.shape[1:] == (586, 1383)
    # the global cylindrical EASE-Grid reaches round the world
    edge = float(world.x[-1]) + 25_067.53 / 2
    assert edge == pytest.approx(17_334_193.54, rel=1e-5)
    region = catalog.freeze_thaw_sanjiangyuan.open()
    assert region.freeze_thaw.shape[1:] == (28, 52)
    assert catalog.snow_depth_eurasia.open().snow_depth.shape[1:] == (332, 720)


def test_a_grid_of_another_shape_than_documented_is_noticed(tmp_path: Path) -> None:
    text = "ncols 3\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 25067.53\nNODATA -1\n"
    (tmp_path / "sd_19800101.txt").write_text(text + "1 2 3 4 5 6\n")
    with pytest.warns(GlacierToolkitWarning, match="has 2 rows and 3 columns, documented are 586"):
        open_catalog().snow_depth_global.open(tmp_path)


def test_any_format_opens_where_none_is_documented(places: dict[str, Path]) -> None:
    catalog = open_catalog()
    auto = catalog.soil_moisture_global
    assert auto.reader == "auto"
    assert "soil_moisture" in auto.open(places["rsssm"])
    assert "t2m" in auto.open(places["era5_monthly"])
    assert dict(auto.open(places["snow_depth_eurasia"]).sizes)["x"] == 720
    assert isinstance(auto.open(places["rgi6_outlines"]), gpd.GeoDataFrame)
    assert "time" in auto.open(places["station_record"]).dims
    assert "sheet" in auto.open(places["lake_ice_altimetry"]).dims
    single = auto.open(places["permafrost_qilian"])
    assert isinstance(single, xr.DataArray)


def test_an_entry_without_a_sample_says_so(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no sample for the entry 'demo_reference'"):
        gt.write_samples(tmp_path, names=["demo_reference"])


def test_every_unit_of_the_catalog_has_a_dimension() -> None:
    for entry in open_catalog().values():
        for unit in entry.metadata["variables"].values():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert parse_units(unit).factor > 0
