"""Climate grids of every geometry at glaciers: against interpolation done another way."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.errors import (
    FileError,
    GlacierToolkitWarning,
    GridError,
    InputError,
    ParameterError,
)
from glaciertoolkit.stats.climate_cells import CellGrid, bilinear, nearest
from glaciertoolkit.stats.climate_sampling import kilometres, sample_climate
from glaciertoolkit.stats.climate_source import read_climate

TIME = pd.DatetimeIndex(["2019-07-01", "2019-07-02"])
LCC = "+proj=lcc +lat_1=30 +lat_2=35 +lat_0=30 +lon_0=87 +datum=WGS84"


def box(lon, lat, size=0.02):
    return shapely.box(lon - size / 2, lat - size / 2, lon + size / 2, lat + size / 2)


def glaciers_at(*places, size=0.02):
    return gpd.GeoDataFrame(
        {"rgi_id": [f"G{i}" for i in range(len(places))]},
        geometry=[box(lon, lat, size) for lon, lat in places], crs=4326,
    )  # fmt: skip


def regular(values, lat, lon):
    data = np.stack([values, values + 10])
    ds = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), data, {"units": "degC"})},
        {"time": TIME, "lat": lat, "lon": lon},
    )
    return read_climate(ds)


def smooth(lat, lon):
    """A plane in degrees, which bilinear interpolation gives back exactly."""
    return 0.5 * (np.asarray(lat) - 30) + 0.25 * (np.asarray(lon) - 90)


def curvilinear(step=10e3, size=60):
    """Cells even in a Lambert projection, known by their latitudes and longitudes alone."""
    axis = step * (np.arange(size) - size // 2)
    x, y = np.meshgrid(axis + 3e5, axis)
    lon, lat = pyproj.Transformer.from_crs(LCC, 4326, always_xy=True).transform(x, y)
    values = 1e-5 * x + 2e-5 * y
    ds = xr.Dataset(
        {"T2": (("Time", "south_north", "west_east"), np.stack([values] * 2), {"units": "degC"}),
         "XLAT": (("south_north", "west_east"), lat), "XLONG": (("south_north", "west_east"), lon)},
        {"Time": TIME},
    )  # fmt: skip
    return read_climate(ds.rename(Time="time")), x, y


PLACES = [(90.13, 30.41), (91.77, 31.02), (90.5, 30.5)]


@pytest.mark.parametrize("flip_lat", [False, True])
@pytest.mark.parametrize("turn", [0, 360])
def test_a_regular_grid_whatever_its_order(flip_lat, turn):
    lat, lon = np.arange(29, 33.1, 0.25), np.arange(88, 93.1, 0.25)
    if flip_lat:
        lat = lat[::-1]
    field = regular(smooth(lat[:, None], lon[None, :]), lat, lon - turn)
    got = sample_climate(field, glaciers_at(*PLACES))
    expected = [smooth(lat, lon) for lon, lat in PLACES]
    np.testing.assert_allclose(got.values[0], expected, atol=1e-6)
    np.testing.assert_allclose(got.values[1], np.add(expected, 10), atol=1e-6)
    assert got.rgi_id.values.tolist() == ["G0", "G1", "G2"]
    assert got.attrs["units"] == "degC"


@settings(max_examples=40, deadline=None)
@given(st.floats(-180, 539.9), st.floats(-80, 80))
def test_a_global_grid_goes_round(lon, lat):
    axis = np.arange(0, 360, 2.5)
    grid = CellGrid(("latitude", "longitude"), (73, 144), np.linspace(90, -90, 73), axis)
    assert grid.is_global
    at = np.array([lon]), np.array([lat])
    weights = bilinear(grid, *at)
    np.testing.assert_allclose(weights.weights.sum(), 1)
    columns = weights.cells % 144
    back = (weights.weights * np.exp(1j * np.radians(axis[columns]))).sum()
    # The chord between two centres is a little inside of the circle.
    assert np.degrees(np.angle(back * np.exp(-1j * np.radians(lon)))) == pytest.approx(0, abs=0.01)
    off = (axis[nearest(grid, *at).cells[0, 0] % 144] - lon + 180) % 360 - 180
    assert abs(off) <= 1.25 + 1e-9


def test_a_projected_grid():
    axis = 30e3 * np.arange(-10, 11)
    x, y = np.meshgrid(axis + 3e5, axis[::-1])
    ds = xr.Dataset(
        {"t2": (("time", "south_north", "west_east"), np.stack([1e-5 * x + y * 2e-5] * 2),
                {"units": "degC"})},
        {"time": TIME, "south_north": axis[::-1], "west_east": axis + 3e5},
    )  # fmt: skip
    field = read_climate(ds, crs=LCC)
    outlines = glaciers_at(*PLACES)
    centre = outlines.representative_point()
    px, py = pyproj.Transformer.from_crs(4326, LCC, always_xy=True).transform(centre.x, centre.y)
    expected = 1e-5 * px + 2e-5 * py
    np.testing.assert_allclose(sample_climate(field, outlines).values[0], expected, atol=1e-9)
    # Outlines in another CRS are the same places.
    moved = sample_climate(field, outlines.to_crs(32646))
    np.testing.assert_allclose(moved.values[0], expected, atol=1e-4)


def test_a_grid_with_two_dimensional_coordinates():
    field, x, y = curvilinear()
    outlines = glaciers_at(*PLACES)
    centre = outlines.representative_point()
    px, py = pyproj.Transformer.from_crs(4326, LCC, always_xy=True).transform(centre.x, centre.y)
    got = sample_climate(field, outlines)
    np.testing.assert_allclose(got.values[0], 1e-5 * px + 2e-5 * py, atol=2e-5)
    near = sample_climate(field, outlines, method="nearest")
    for k, cell in enumerate(near.cell.values):
        assert abs(x.ravel()[cell] - px[k]) <= 5050
        assert abs(y.ravel()[cell] - py[k]) <= 5050


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 58.9), st.floats(0, 58.9))
def test_places_in_a_mesh_are_found_again(row, column):
    field, _, _ = curvilinear()
    grid = CellGrid.of(field)
    axis = 10e3 * (np.arange(60) - 30)
    x = np.interp(column, np.arange(60), axis + 3e5)
    y = np.interp(row, np.arange(60), axis)
    lon, lat = pyproj.Transformer.from_crs(LCC, 4326, always_xy=True).transform([x], [y])
    found = grid.find(np.array(lon), np.array(lat))
    np.testing.assert_allclose([f[0] for f in found], [row, column], atol=2e-3)


def test_a_mesh_across_the_date_line_and_over_the_pole():
    for centre in ("+proj=laea +lat_0=66 +lon_0=180", "+proj=stere +lat_0=90"):
        axis = 20e3 * np.arange(-10, 11)
        x, y = np.meshgrid(axis, axis)
        mover = pyproj.Transformer.from_crs(4326, centre + " +datum=WGS84", always_xy=True)
        lon, lat = mover.transform(x, y, direction="INVERSE")
        grid = CellGrid(("y", "x"), (21, 21), latitude=lat, longitude=lon)
        at = mover.transform([12e3, -71e3], [-33e3, 90e3], direction="INVERSE")
        row, column = grid.find(*(np.array(v) for v in at))
        np.testing.assert_allclose(row, [10 - 1.65, 10 + 4.5], atol=0.01)
        np.testing.assert_allclose(column, [10 + 0.6, 10 - 3.55], atol=0.01)


def test_area_weights_are_the_shares_of_the_outline():
    """An outline over four cells, three quarters of it in the north and a quarter in the west."""
    lat, lon = np.array([31.0, 30.0]), np.array([90.0, 91.0])
    field = regular(np.array([[1.0, 2.0], [3.0, 4.0]]), lat, lon)
    outline = gpd.GeoSeries([shapely.box(90.4, 30.4, 90.8, 30.8)], crs=4326)
    got = sample_climate(field, outline, method="area")
    west, north = 0.25, 0.75
    # A degree of longitude is shorter in the north: by a part in two hundred here.
    expected = north * (west * 1 + (1 - west) * 2) + (1 - north) * (west * 3 + (1 - west) * 4)
    assert got.values[0, 0] == pytest.approx(expected, abs=3e-3)
    assert got.cell.values.tolist() == [1]


def test_area_means_of_a_mesh_and_of_a_grid_agree():
    field, _, _ = curvilinear()
    outline = glaciers_at((90.5, 30.5), size=0.6)
    centre = outline.to_crs(LCC).centroid
    got = sample_climate(field, outline, method="area")
    # A plane has over an area its value at the centroid.
    expected = 1e-5 * float(centre.x.iloc[0]) + 2e-5 * float(centre.y.iloc[0])
    assert got.values[0, 0] == pytest.approx(expected, abs=1e-2)


def test_glaciers_of_one_cell_are_one_value():
    field = regular(np.arange(4.0).reshape(2, 2), np.array([31.0, 30.0]), np.array([90.0, 91.0]))
    places = [(90.0 + 0.02 * k, 30.05) for k in range(20)] + [(90.95, 30.9)]
    for method in ("nearest", "area"):
        got = sample_climate(field, glaciers_at(*places), method=method)
        assert got.attrs["n_glaciers"] == 21
        assert got.attrs["n_cells"] == 2
        assert "21 glaciers in 2 cells" in got.attrs["note"]
        assert np.unique(got.values[0]).size == 2


def test_cells_without_values_do_not_count_and_gaps_stay():
    values = np.array([[np.nan, 2.0], [3.0, 4.0]])
    field = regular(values, np.array([31.0, 30.0]), np.array([90.0, 91.0]))
    got = sample_climate(field, glaciers_at((90.5, 30.5)))
    assert got.values[0, 0] == pytest.approx(3.0)  # the mean of three
    alone = sample_climate(field, glaciers_at((90.1, 30.9)))
    assert np.isnan(alone.values).all()  # nearly all of it lies in the empty cell
    field[1] = np.nan
    field[1, 1, 1] = 5.0
    got = sample_climate(field, glaciers_at((90.5, 30.5)))
    assert np.isfinite(got.values[0, 0])
    assert np.isnan(got.values[1, 0])


def test_elevation_comes_along():
    field = regular(np.zeros((2, 2)), np.array([31.0, 30.0]), np.array([90.0, 91.0]))
    field = field.assign_coords(
        elevation=(("latitude", "longitude"), [[4000.0, 5000], [4000, 5000]])
    )
    assert sample_climate(field, glaciers_at((90.5, 30.5))).elevation.item() == pytest.approx(4500)


# --- stations ------------------------------------------------------------------------------------


def station(lat, lon):
    table = pd.DataFrame({"t2m": [1.0, 2.0]}, index=TIME)
    return read_climate(table, latitude=lat, longitude=lon, elevation=5000)


def test_a_station_is_everywhere_the_same_and_says_so():
    got = sample_climate(station(30.5, 90.5), glaciers_at(*PLACES))
    assert got.values.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert got.attrs["n_cells"] == 1
    assert "cannot be told" in got.attrs["note"]
    assert got.elevation.values.tolist() == [5000] * 3


def test_a_station_far_away_is_doubted():
    with pytest.warns(GlacierToolkitWarning, match=r"30.25 N, 81.45 E is 8\d\d km .* true ones"):
        sample_climate(station(30.25, 81.45), glaciers_at((90.64, 30.47)))


def test_distances():
    assert kilometres(0, 0, np.array([90.0]), np.array([0.0]))[0] == pytest.approx(10007.5, abs=0.1)
    assert kilometres(179.5, 0, np.array([-179.5]), np.array([0.0]))[0] == pytest.approx(
        111.2, abs=0.1
    )


# --- bad input -----------------------------------------------------------------------------------


def test_off_the_grid():
    field = regular(np.zeros((2, 2)), np.array([31.0, 30.0]), np.array([90.0, 91.0]))
    with pytest.raises(GridError, match=r"none of the glaciers.*29.5 to 31.5 N, 89.5 to 91.5 E"):
        sample_climate(field, glaciers_at((10.0, 46.0)))
    with pytest.warns(GlacierToolkitWarning, match="1 of 2 glaciers lie off"):
        got = sample_climate(field, glaciers_at((10.0, 46.0), (90.5, 30.5)))
    assert np.isnan(got.values[0, 0])
    assert got.cell.values[0] == -1
    # Half a cell beyond the centres still belongs to it.
    assert np.isfinite(sample_climate(field, glaciers_at((89.6, 30.0))).values).all()


def test_outlines_that_are_none(tmp_path):
    field = regular(np.zeros((2, 2)), np.array([31.0, 30.0]), np.array([90.0, 91.0]))
    with pytest.raises(FileError, match="cannot be read"):
        sample_climate(field, tmp_path / "none.gpkg")
    with pytest.raises(InputError, match="no geometry"):
        sample_climate(field, gpd.GeoSeries([None], crs=4326))
    with pytest.raises(GridError, match="no CRS"):
        sample_climate(field, gpd.GeoSeries([box(90.5, 30.5)]))
    with pytest.raises(InputError, match="must be a path"):
        sample_climate(field, 5)
    with pytest.raises(ParameterError, match="method"):
        sample_climate(field, glaciers_at((90.5, 30.5)), method="kriging")


def test_grids_that_are_none():
    field = regular(np.zeros((2, 3)), np.array([31.0, 30.0]), np.array([90.0, 92.0, 91.0]))
    with pytest.raises(GridError, match="rise or fall"):
        sample_climate(field, glaciers_at((90.5, 30.5)))
    row = regular(np.zeros((2, 3)), np.array([31.0, 30.0]), np.array([90.0, 91.0, 92.0]))
    with pytest.raises(GridError, match="single row"):
        sample_climate(row.isel(latitude=[0]), glaciers_at((90.5, 30.5)))
