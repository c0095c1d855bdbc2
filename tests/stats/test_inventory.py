"""Inventories of several makers, one schema."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from glaciertoolkit import join_inventory, read_inventory
from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.grids.inventory import SCHEMA

UTM = "EPSG:32646"
SHAPES = [shapely.box(5e5, 3.3e6, 5e5 + 1000, 3.3e6 + 2000), shapely.box(6e5, 3.3e6, 601e3, 3301e3)]


def table(**columns):
    return gpd.GeoDataFrame(columns, geometry=SHAPES, crs=UTM)


RGI6 = {
    "RGIId": ["RGI60-15.00001", "RGI60-15.00002"], "Area": [2.0, 1.0], "Zmin": [5100, -999],
    "Zmax": [6100, -999], "Zmed": [5600, -999], "Slope": [20.5, -9], "Aspect": [350, -9],
    "Lmax": [2500, -9], "TermType": [2, 9], "Surging": [3, 9],
    "BgnDate": ["20001030", "20009999"], "Name": ["Rongbuk", None],
}  # fmt: skip
RGI7 = {
    "rgi_id": ["RGI2000-v7.0-G-15-00001", "RGI2000-v7.0-G-15-00002"], "area_km2": [2.0, 1.0],
    "zmin_m": [5100.0, np.nan], "zmax_m": [6100.0, np.nan], "zmed_m": [5600.0, np.nan],
    "zmean_m": [5590.0, np.nan], "slope_deg": [20.5, np.nan], "aspect_deg": [350.0, np.nan],
    "lmax_m": [2500.0, np.nan], "term_type": [2, 9], "surge_type": [3, 9],
    "src_date": ["2000-10-30T00:00:00", "2000-01-01"], "glac_name": ["Rongbuk", None],
    "is_rgi6": [0, 1],
}  # fmt: skip
CGI2 = {
    "FCGI_ID": ["5O193B0142", "5O193B0143"], "GLIMS_ID": ["G086932E27925N", "G086933E27926N"],
    "Drng_Code": ["5O193B", "5O193B"], "Glc_Name": ["Rongbuk", ""], "Glc_Area": [2.0, 1.0],
    "Min_Elev": [5100, 0], "Max_Elev": [6100, 0], "MA_Elev": [5600, 0], "Mean_Elev": [5590, 0],
    "Mean_Slp": [20.5, 0.0], "Mean_Asp": [350.0, 0.0], "Rep_Date": [20001030, 2000],
}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "source", "name"), [(RGI6, "RGI 6", "RGI60"), (RGI7, "RGI 7", "RGI2000"),
                                    (CGI2, "CGI", "5O193B")],
)  # fmt: skip
def test_the_same_glacier_in_three_inventories(columns, source, name):
    got = read_inventory(table(**columns))
    assert got.attrs["inventory"] == source
    assert list(got.columns) == [*SCHEMA, "geometry"]
    row = got.iloc[0]
    assert row["rgi_id"].startswith(name)
    assert row["name"] == "Rongbuk"
    assert row[["area_km2", "zmin_m", "zmed_m", "zmax_m"]].tolist() == [2, 5100, 5600, 6100]
    assert row[["slope_deg", "aspect_deg"]].tolist() == [20.5, 350]
    assert row["src_date"] == pd.Timestamp("2000-10-30")
    assert got["src_date"].iloc[1] == pd.Timestamp("2000-01-01")
    assert got["name"].iloc[1] == ""
    if source != "CGI":
        assert (row["surge_type"], row["term_type"]) == ("observed", "lake")
        assert got["surge_type"].iloc[1] == got["term_type"].iloc[1] == ""
        assert np.isnan(got["zmed_m"].iloc[1])
        assert np.isnan(got["lmax_m"].iloc[1])


def test_upper_and_lower_case_and_square_metres():
    got = read_inventory(table(GLC_CODE=["a", "b"], GLC_AREA=[2.0e6, 1.0e6]))
    assert got["rgi_id"].tolist() == ["a", "b"]
    np.testing.assert_allclose(got["area_km2"], [2, 1])


def test_polygons_without_columns_have_their_own_area_and_row():
    got = read_inventory(table())
    assert got["rgi_id"].tolist() == ["0", "1"]
    np.testing.assert_allclose(got["area_km2"], [2, 1], rtol=2e-3)
    assert got["src_date"].isna().all()
    assert got["surge_type"].tolist() == ["", ""]
    empty = read_inventory(table().iloc[:0])
    assert len(empty) == 0
    assert list(empty.columns) == [*SCHEMA, "geometry"]


def test_hostile_columns():
    got = read_inventory(
        table(
            RGIId=["x", None], Area=["2.0", "n/a"], Zmin=["5100", ""], Slope=[-9.0, np.inf],
            BgnDate=["nonsense", "20001345"],
        )
    )  # fmt: skip
    assert got["rgi_id"].tolist() == ["x", "1"]
    np.testing.assert_allclose(got["area_km2"], [2, 1], rtol=2e-3)
    assert pd.isna(got["src_date"].iloc[0])
    assert got["src_date"].iloc[1] == pd.Timestamp("2000-01-01")
    with pytest.raises(InputError, match="GeoDataFrame"):
        read_inventory(pd.DataFrame(RGI6))


def test_files(tmp_path):
    path = tmp_path / "cgi.shp"
    table(**CGI2).to_file(path, encoding="utf-8")
    got = read_inventory(path)
    assert got["zmed_m"].iloc[0] == 5600
    with pytest.raises(FileError, match="cannot be read"):
        read_inventory(tmp_path / "absent.shp")
    two = tmp_path / "two.gpkg"
    table(**RGI6).to_file(two, layer="a")
    table(**RGI7).to_file(two, layer="b")
    with pytest.raises(InputError, match="layer="):
        read_inventory(two)
    assert read_inventory(two, layer="b").attrs["inventory"] == "RGI 7"


def test_an_impossible_date_is_missing():
    got = read_inventory(table(rgi_id=["a", "b"], src_date=["2001-02-30", "1999"]))
    assert pd.isna(got["src_date"].iloc[0])
    assert got["src_date"].iloc[1] == pd.Timestamp("1999-01-01")


def test_join_a_table_and_a_series():
    import xarray as xr

    inventory = table(**RGI6)
    got = join_inventory(
        pd.DataFrame({"rgi_id": ["RGI60-15.00002", "new"], "v": [1, 2]}), inventory
    )
    assert got["v"].tolist() == [1, 2]
    assert got["area_km2"].iloc[0] == 1
    assert np.isnan(got["area_km2"].iloc[1])
    series = xr.Dataset(
        {"v": (("rgi_id", "time"), np.ones((2, 3)))}, coords={"rgi_id": RGI6["RGIId"][::-1]}
    )
    joined = join_inventory(series, inventory)
    assert joined["area_km2"].values.tolist() == [1, 2]
    assert joined["name"].values.tolist() == ["", "Rongbuk"]
    with pytest.raises(InputError, match="none of the glaciers"):
        join_inventory(pd.DataFrame({"rgi_id": ["RGI2000-v7.0-G-15-00001"]}), inventory)
    with pytest.raises(InputError, match="more than once"):
        join_inventory(pd.DataFrame({"rgi_id": ["a"]}), table(RGIId=["a", "a"]))
    with pytest.raises(InputError, match="no column rgi_id"):
        join_inventory(pd.DataFrame({"v": [1]}), inventory)
