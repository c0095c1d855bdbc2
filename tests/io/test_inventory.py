"""Inventories: shapefiles whole, zipped, in parts and damaged; RGI; several files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from shapely import Point

from glaciertoolkit import open_inventory
from glaciertoolkit.errors import FileError, GridError, InputError, ParameterError


def frame(**columns: Any) -> gpd.GeoDataFrame:
    shapes = [Point(86.0 + n, 28.0).buffer(0.1) for n in range(3)]
    return gpd.GeoDataFrame(columns or {"ID": [1, 2, 3]}, geometry=shapes, crs=4326)


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def shapefile(tmp_path: Path) -> Path:
    folder = tmp_path / "shp"
    folder.mkdir()
    values = {"RGIId": ["a", "b", "c"], "Zmed": [5100, -999, 5300], "Lmax": [900, -9, 1200]}
    frame(**values, CenLon=[-9.0, 86.0, 87.0]).to_file(folder / "13_rgi60.shp")
    return folder / "13_rgi60.shp"


def test_rgi_has_units_and_nan(shapefile: Path) -> None:
    rgi = open_inventory(shapefile)
    assert rgi.attrs["units"] == {"Zmed": "m", "Lmax": "m", "CenLon": "degrees_east"}
    np.testing.assert_array_equal(rgi.Zmed, [5100, np.nan, 5300])
    np.testing.assert_array_equal(rgi.Lmax, [900, np.nan, 1200])
    assert rgi.CenLon[0] == -9.0  # a longitude
    assert rgi.crs.to_epsg() == 4326


def test_what_is_given_for_other_inventories(tmp_path: Path) -> None:
    frame(area=[1.0, -1.0, 3.0]).to_file(tmp_path / "a.gpkg")
    found = open_inventory(tmp_path / "a.gpkg", units={"area": "km^2", "none": "m"}, nodata=-1)
    assert found.attrs["units"] == {"area": "km2"}
    assert np.isnan(found["area"][1])
    near = open_inventory(tmp_path / "a.gpkg", bbox=(85.5, 27.5, 86.5, 28.5))
    assert len(near) == 1


def test_a_zipped_shapefile(shapefile: Path, tmp_path: Path) -> None:
    files = {f"13_rgi60/{p.name}": p.read_bytes() for p in shapefile.parent.iterdir()}
    archive = zipped(tmp_path / "13_rgi60.zip", files)
    assert open_inventory(archive).equals(open_inventory(shapefile))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["13_rgi60.zip", "shp"]  # none unpacked


@pytest.mark.parametrize("name", ["../../evil.shp", "/etc/evil.shp", "C:" + "\\evil.shp"])
def test_members_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", {name: b"x"})
    with pytest.raises(FileError, match="leads outside its folder"):
        open_inventory(archive)


def test_archives_that_do_not_work(shapefile: Path, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", {"a.shp": b"x", "b.shp": b"y"}).read_bytes()
    with pytest.raises(FileError, match=r"holds 2 vector files \(a.shp, b.shp\), one is expected"):
        open_inventory(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(whole[:60])
    with pytest.raises(FileError, match="damaged, truncated or not an archive"):
        open_inventory(tmp_path / "a.zip")
    zipped(tmp_path / "b.zip", {"readme.txt": b"x"})
    with pytest.raises(FileError, match=r"holds 0 vector files \(none\)"):
        open_inventory(tmp_path / "b.zip")
    zipped(tmp_path / "c.zip", {"a.shp": shapefile.read_bytes()[:50]})
    with pytest.raises(FileError, match="cannot be read, it is truncated, damaged"):
        open_inventory(tmp_path / "c.zip")


def test_parts_that_are_missing(shapefile: Path) -> None:
    shapefile.with_suffix(".prj").unlink()
    with pytest.raises(GridError, match=r"names no CRS .*give crs="):
        open_inventory(shapefile)
    assert open_inventory(shapefile, crs=4326).crs.to_epsg() == 4326
    shapefile.with_suffix(".dbf").unlink()
    with pytest.raises(FileError, match=r"lacks its \.dbf file"):
        open_inventory(shapefile)
    with pytest.raises(FileError, match="does not exist"):
        open_inventory(shapefile.with_name("none.shp"))


def test_damaged_files(shapefile: Path, tmp_path: Path) -> None:
    shapefile.write_bytes(b"\x00" * 20)
    with pytest.raises(FileError, match="truncated, damaged or no vector file"):
        open_inventory(shapefile)
    (tmp_path / "a.gpkg").write_text("rubbish")
    with pytest.raises(FileError, match="truncated, damaged or no vector file"):
        open_inventory(tmp_path / "a.gpkg")
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(InputError, match="holds no geometries"):
        open_inventory(tmp_path / "a.geojson")


def test_several_files_below_one_another(tmp_path: Path) -> None:
    for year in (1980, 1985):
        frame().to_file(tmp_path / f"qilian_{year}.shp")
    both = open_inventory(tmp_path)
    assert len(both) == 6
    assert sorted(set(both.file)) == ["qilian_1980.shp", "qilian_1985.shp"]
    frame().to_crs(32645).to_file(tmp_path / "qilian_1990.shp")
    with pytest.raises(GridError, match=r"different CRSs \(qilian_1980.shp and qilian_1990.shp\)"):
        open_inventory(tmp_path)


def test_layers(tmp_path: Path) -> None:
    for layer in ("lakes", "glaciers"):
        frame().to_file(tmp_path / "a.gpkg", layer=layer)
    with pytest.raises(ParameterError, match=r"several layers \(.*lakes.*\); name one with layer="):
        open_inventory(tmp_path / "a.gpkg")
    assert len(open_inventory(tmp_path / "a.gpkg", layer="lakes")) == 3
    with pytest.raises(ParameterError, match="has no layer 'rivers'"):
        open_inventory(tmp_path / "a.gpkg", layer="rivers")


def test_words_in_chinese(tmp_path: Path) -> None:
    frame(name=["七一冰川", "b", "c"]).to_file(tmp_path / "a.shp", encoding="GBK")
    (tmp_path / "a.cpg").unlink()
    assert open_inventory(tmp_path / "a.shp", encoding="GBK").name.tolist()[0] == "七一冰川"
