"""The catalog: what it reads, what it refuses, and what the built-in one promises."""

import copy
import pickle

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from shapely.geometry import box

from glaciertoolkit.catalog import Catalog, open_catalog
from glaciertoolkit.errors import CatalogError, FileError, InputError, ParameterError

GOOD = """
meta:
  name: test
  roots: [nowhere, data]
dem:
  data_type: RasterDataset
  uri: dem.tif
  driver: {name: rasterio, options: {chunks: {x: 10, y: 20}}}
  metadata: {title: A <small> DEM, units: m, license: CC0-1.0}
outlines:
  data_type: GeoDataFrame
  uri: outlines.gpkg
  driver: pyogrio
cube:
  data_type: RasterDataset
  uri: cube.zarr
  driver: raster_xarray
table:
  data_type: DataFrame
  uri: table.csv
  driver: pandas
absent:
  data_type: RasterDataset
  uri: absent.tif
  driver: rasterio
  metadata: {get: register with the provider and download it.}
far:
  data_type: RasterDataset
  uri: https://example.org/far.tif
  driver: rasterio
"""


@pytest.fixture
def catalog(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    elevation = xr.DataArray(
        np.arange(1200, dtype="int16").reshape(30, 40),
        {"y": 3.1e6 - 12.0 * np.arange(30), "x": 5e5 + 12.0 * np.arange(40)},
        ("y", "x"),
    ).rio.write_crs(32645)
    elevation.rio.write_nodata(0).rio.to_raster(data / "dem.tif")
    frame = gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=32645)
    frame.to_file(data / "outlines.gpkg")
    xr.Dataset({"v": ("t", [1.0, 2.0])}).to_zarr(data / "cube.zarr", consolidated=False)
    pd.DataFrame({"a": [1, 2]}).to_csv(data / "table.csv", index=False)
    (tmp_path / "catalog.yaml").write_text(GOOD)
    return open_catalog(tmp_path / "catalog.yaml")


def refuse(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(CatalogError) as caught:
        open_catalog(tmp_path / "bad.yaml")
    return str(caught.value)


def test_a_catalog_is_a_mapping_with_attributes(catalog):
    assert list(catalog) == ["dem", "outlines", "cube", "table", "absent", "far"]
    assert len(catalog) == 6
    assert "dem" in catalog
    assert "demo" not in catalog
    assert catalog["dem"] is catalog.dem
    assert {"dem", "outlines", "keys", "values"} <= set(dir(catalog))
    assert catalog._ipython_key_completions_() == list(catalog)


def test_what_is_on_disk(catalog):
    on_disk = [name for name, entry in catalog.items() if entry.on_disk]
    assert on_disk == ["dem", "outlines", "cube", "table"]


def test_every_driver_opens_its_kind(catalog):
    dem = catalog.dem.open()
    assert dem.chunks == ((20, 10), (10, 10, 10, 10))
    assert dem.dtype == np.float32
    assert int(np.isnan(dem).sum()) == 1
    assert dem.rio.crs.to_epsg() == 32645
    assert catalog.dem.open(chunks=None).chunks is None
    assert list(catalog.outlines.open().rgi_id) == ["a"]
    assert float(catalog.cube.open(consolidated=False).v.sum()) == 3
    assert list(catalog.table.open(nrows=1).a) == [1]


def test_several_bands_stay_together_unless_one_is_chosen(catalog, tmp_path):
    stack = xr.concat([catalog.dem.open(chunks=None)] * 3, "band")
    stack.rio.to_raster(tmp_path / "data" / "dem.tif")
    assert catalog.dem.open().dims == ("band", "y", "x")
    assert catalog.dem.open(band=2).dims == ("y", "x")
    with pytest.raises(ParameterError, match="band=4 is out of range: the catalog entry 'dem'"):
        catalog.dem.open(band=4)


def test_an_unknown_name_lists_its_neighbours(catalog):
    with pytest.raises(CatalogError, match="has no entry 'outline'; did you mean outlines"):
        catalog["outline"]
    with pytest.raises(AttributeError, match="did you mean dem"):
        catalog.dam  # noqa: B018
    with pytest.raises(CatalogError, match="it has dem, outlines, cube, table, absent, far"):
        catalog["velocity"]
    assert catalog.get("velocity") is None
    assert not hasattr(catalog, "_repr_png_")


def test_what_is_not_there_says_how_to_get_it(catalog, tmp_path):
    with pytest.raises(
        FileError, match=r"'absent': .*absent\.tif is not there; register with .* it\.$"
    ):
        catalog.absent.open()
    (tmp_path / "data" / "outlines.gpkg").write_text("rubbish")
    with pytest.raises(FileError, match=r"'outlines': .* cannot be opened with pyogrio"):
        catalog.outlines.open()


def test_what_it_prints(catalog):
    assert "<Catalog catalog.yaml: 6 entries>" in repr(catalog)
    assert "on disk  A <small> DEM" in repr(catalog)
    assert "units: m" in repr(catalog.dem)
    page = catalog._repr_html_()
    assert "A &lt;small&gt; DEM" in page
    assert page.count("<tr>") == 7


def test_it_can_be_copied_and_pickled(catalog):
    for other in (copy.deepcopy(catalog), pickle.loads(pickle.dumps(catalog))):
        assert dict(other) == dict(catalog)


ENTRY = "a:\n  data_type: RasterDataset\n  uri: a.tif\n  driver: rasterio\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "bad.yaml is not YAML at line"),
        ("- a\n- b", "bad.yaml must be a mapping of names"),
        (ENTRY + ENTRY, "has 'a' twice"),
        (ENTRY + "  uri: b.tif\n", "has 'uri' twice"),
        (ENTRY + "  path: b.tif\n", "'a' has the unknown key 'path'; known are data_type, driver"),
        ("meta: {root: x}\n" + ENTRY, "'meta' of the catalog bad.yaml has the unknown key 'root'"),
        ("meta: {roots: x}\n" + ENTRY, "'roots' of the catalog bad.yaml must be a list"),
        ("a: 3", "'a' must be a mapping of names, not 3"),
        ("a: {uri: a.tif, driver: rasterio}", "'a' lacks 'data_type'; add it"),
        (
            ENTRY.replace("RasterDataset", "Raster"),
            "data_type 'Raster' is not one of RasterDataset",
        ),
        (ENTRY.replace("a.tif", "[]"), "uri must be a path or an address"),
        (ENTRY.replace("rasterio", "pandas"), "driver 'pandas' does not open a RasterDataset; use"),
        (ENTRY.replace("rasterio", "{name: rasterio, kwargs: 1}"), "unknown key 'kwargs'"),
        (ENTRY + "  metadata: text\n", "metadata must be a mapping"),
    ],
)
def test_what_is_malformed_is_refused(tmp_path, text, message):
    assert message in refuse(tmp_path, text)


def test_a_catalog_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError, match=r"none\.yaml cannot be read .*; check the path"):
        open_catalog(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match=r"binary\.yaml cannot be read"):
        open_catalog(tmp_path / "binary.yaml")


def test_an_empty_catalog(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert len(open_catalog(tmp_path / "empty.yaml")) == 0


def test_the_built_in_catalog_is_relative_to_where_one_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog = open_catalog()
    assert isinstance(catalog, Catalog)
    assert catalog.demo_dem.location == str(tmp_path / "out/demo/input/dem.tif")
    with pytest.raises(FileError, match="run `glaciertoolkit demo --out out/demo`"):
        catalog.demo_dem.open()


def test_an_entry_is_pointed_at_a_file_a_folder_or_a_pattern(catalog, tmp_path):
    data = tmp_path / "data"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (data / "dem.tif").rename(elsewhere / "dem.tif")
    assert not catalog.dem.on_disk
    for place in (elsewhere, elsewhere / "dem.tif", str(elsewhere / "d*.tif")):
        assert catalog.dem.open(place, chunks=None).shape == (30, 40)
        assert catalog.dem.at(place).on_disk
        assert catalog.point("dem", place).dem.open().shape == (30, 40)
    assert not catalog.dem.on_disk  # an entry is never changed
    # another name in the folder: found by its kind
    (elsewhere / "dem.tif").rename(elsewhere / "n28e086.tif")
    assert catalog.dem.open(elsewhere).shape == (30, 40)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"'dem': the folder .* holds no file like dem\.tif"):
        catalog.dem.open(tmp_path / "empty")
    with pytest.raises(FileError, match=r"'dem': .*gone\.tif is not there"):
        catalog.dem.open(tmp_path / "gone.tif")


def test_several_files_for_one_are_refused(catalog, tmp_path):
    (tmp_path / "data" / "other.tif").write_bytes((tmp_path / "data" / "dem.tif").read_bytes())
    with pytest.raises(FileError, match=r"2 files are there .* give it with open\(path=\.\.\.\)"):
        catalog.dem.open(str(tmp_path / "data" / "*.tif"))


def test_paths_follow_the_folder_that_the_catalog_is_put_at(catalog, tmp_path):
    moved = catalog.at(tmp_path / "data")
    assert moved.table.open(nrows=1).a.tolist() == [1]
    assert not catalog.at(tmp_path).table.on_disk
    with pytest.raises(CatalogError, match="has no entry 'nope'"):
        catalog.point("nope", tmp_path)


def test_searching(tmp_path):
    catalog = open_catalog().at(tmp_path)
    lakes = catalog.search(role="mask", text="Lakes bhutan")
    assert list(lakes) == ["glacial_lakes_bhutan"]
    assert "water_bodies_hma" in catalog.search(role="mask")
    assert set(catalog.search(family="snow")) < set(catalog.search(role="covariate"))
    assert {e.metadata["access"] for e in catalog.search(access="login").values()} == {"login"}
    assert len(catalog.search(on_disk=True)) == 0
    assert len(catalog.search(text="no such words")) == 0
    assert len(catalog.search()) == len(catalog)
    with pytest.raises(ParameterError, match="role='lake' is not one of image, dem"):
        catalog.search(role="lake")
    with pytest.raises(ParameterError, match="access='free' is not one of open"):
        catalog.search(access="free")


def test_the_catalog_as_a_table():
    frame = open_catalog().to_frame()
    assert frame.loc["glacial_lakes_bhutan", "role"] == "mask, covariate"
    assert frame.loc["rgi7_outlines", "doi"] == "10.5067/F6JMOVY5NAVZ"
    assert not frame.on_disk.any()


def test_an_entry_shows_itself():
    entry = open_catalog().greenland_melt
    assert "classes: 0 (no_melt), 1 (melt)" in repr(entry)
    assert "<th style='text-align:left'>variables</th>" in entry._repr_html_()
    assert "<Entry copernicus_dem_online: RasterDataset, online>" in repr(
        open_catalog().copernicus_dem_online
    )


def test_a_reader_that_does_not_exist(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "own.yaml").write_text(ENTRY + "  metadata: {reader: magic}\n")
    with pytest.raises(CatalogError, match="reader 'magic' is not one of raster, series"):
        open_catalog(tmp_path / "own.yaml")["a"].open()


def test_the_command_line_filters_and_shows_one(monkeypatch, capsys, tmp_path):
    from glaciertoolkit import cli

    def run(*words):
        monkeypatch.setattr("sys.argv", ["glaciertoolkit", "catalog", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    code, shown = run("--role", "outline", "--folder", str(tmp_path))
    assert code == 0
    assert "qilian_outlines_2015" in shown.out
    assert "snow_depth_tp" not in shown.out
    code, shown = run("--entry", "qilian_outlines_2015")
    assert "The title says 2015, the images that were used are of 2018." in shown.out
    code, shown = run("--text", "zzz")
    assert "No entry fits" in shown.out
    code, shown = run("--entry", "qilian")
    assert code == 1
    assert "has no entry 'qilian'; did you mean" in shown.err


def test_an_option_that_a_reader_does_not_take(tmp_path):
    from glaciertoolkit.simulate import write_samples

    write_samples(tmp_path, names=["snow_depth_tp", "station_record"])
    catalog = open_catalog().at(tmp_path)
    with pytest.raises(ParameterError, match=r"reader series does not take that option .*'colour'"):
        catalog.snow_depth_tp.open(colour="red")
    assert catalog.station_record.open(elevation=5000.0).elevation == 5000


def test_the_only_field_of_a_file_takes_the_name_in_the_catalog(tmp_path):
    grid = xr.Dataset(
        {"Band1": (("lat", "lon"), np.array([[0, 1, 255]], "uint8"))},
        {"lat": [70.0], "lon": [-50.0, -49.0, -48.0]},
    )
    grid.to_netcdf(tmp_path / "melt_1985182.nc", engine="h5netcdf")
    melt = open_catalog().greenland_melt.open(tmp_path, pattern="melt_%Y%j.nc").melt
    assert melt.attrs["flag_meanings"] == "no_melt melt"
    np.testing.assert_array_equal(melt.values, [[[0, 1, np.nan]]])
    assert str(melt.time.values[0]).startswith("1985-07-01")
    with pytest.raises(InputError, match="variable melt of the catalog entry 'greenland_melt'"):
        open_catalog().greenland_melt.open(tmp_path / "melt_1985182.nc", nodata=None).load()
