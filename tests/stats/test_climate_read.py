"""Climate as published, brought to one form: names, units, times, positions, damaged input."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from glaciertoolkit.errors import (
    DateError,
    FileError,
    GlacierToolkitWarning,
    GridError,
    InputError,
)
from glaciertoolkit.stats.climate_source import read_climate
from glaciertoolkit.stats.climate_units import amount_of, temperature_offset, tidy

DAYS = pd.date_range("2019-01-01", periods=4)


def station(values, name="t2m", units="degC", time=DAYS, **coords):
    return xr.DataArray(
        np.asarray(values, float), {"time": time, **coords}, "time", name, {"units": units}
    )


def grid(values, name="t2m", units="K", time=DAYS[:1]):
    values = np.asarray(values, float)
    coords = {"time": time, "latitude": [31.0, 30.0], "longitude": [90.0, 91.0, 92.0]}
    return xr.Dataset({name: (("time", "latitude", "longitude"), values, {"units": units})}, coords)


# --- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("kg m**-2 s**-1", "kg m-2 s-1"), ("kg/m^2/s", "kg m-2 s-1"), ("kg m⁻² s⁻¹", "kg m-2 s-1"),
        ("mm / day", "mm day-1"), ("mm per month", "mm month-1"), ("°C", "C"), (" m ", "m"),
    ],
)  # fmt: skip
def test_units_are_read_however_written(written, plain):
    assert tidy(written) == plain


@pytest.mark.parametrize("units", ["K", "k", "kelvin", "degK", "degrees K", "Kelvin"])
def test_kelvin(units):
    assert temperature_offset(units) == -273.15


@pytest.mark.parametrize("units", ["degC", "C", "°C", "degrees Celsius", "celsius", "deg_C"])
def test_degrees(units):
    assert temperature_offset(units) == 0


@pytest.mark.parametrize("units", ["hPa", "", "W m-2", "m", "degF"])
def test_no_temperature(units):
    assert np.isnan(temperature_offset(units))


@pytest.mark.parametrize(
    ("units", "values", "expected"),
    [
        ("mm", [1, 2, 0, 3], [1, 2, 0, 3]),
        ("m", [0.001, 0, 0, 0.002], [1, 0, 0, 2]),
        ("kg m-2", [1, 2, 0, 3], [1, 2, 0, 3]),
        ("mm day-1", [1, 2, 0, 3], [1, 2, 0, 3]),
        ("kg m**-2 s**-1", [1 / 86400, 0, 0, 2 / 86400], [1, 0, 0, 2]),
        ("mm h-1", [0.5, 0, 0, 1], [12, 0, 0, 24]),
        ("m s-1", [1e-8, 0, 0, 0], [0.864, 0, 0, 0]),
        ("mm w.e.", [1, 2, 0, 3], [1, 2, 0, 3]),
    ],
)
def test_precipitation_in_mm_of_a_day(units, values, expected):
    got = read_climate(station(values, "pr", units))
    np.testing.assert_allclose(got.values, expected, rtol=1e-12)
    assert got.name == "precipitation"
    assert got.attrs["units"] == "mm"
    assert got.attrs["source_units"] == units


def test_rates_of_a_month_count_its_own_days():
    months = pd.date_range("2020-01-01", periods=4, freq="MS")
    got = read_climate(station([1 / 86400] * 4, "pr", "kg m-2 s-1", months))
    assert got.values.tolist() == pytest.approx([31, 29, 31, 30])
    cru = read_climate(station([30.0, 10, 0, 5], "pre", "mm/month", months))
    assert cru.values.tolist() == [30, 10, 0, 5]


def test_monthly_means_of_ecmwf_are_metres_a_day():
    months = pd.date_range("2020-01-01", periods=4, freq="MS")
    got = read_climate(station([0.001] * 4, "tp", "m", months))
    assert got.values.tolist() == pytest.approx([31, 29, 31, 30])
    assert got.attrs["accumulation"] == "day"
    # Told otherwise, the totals are those of the months.
    told = read_climate(station([0.031] * 4, "tp", "m", months), accumulation="step")
    assert told.values.tolist() == pytest.approx([31] * 4)


def test_hours_of_era5_land_grow_from_midnight():
    hours = pd.date_range("2019-06-01", periods=73, freq="h")
    rate = np.random.default_rng(0).gamma(0.3, 1, 73)
    total = np.zeros(73)
    running = 0.0
    for k, hour in enumerate(hours):
        running = rate[k] if hour.hour == 1 else running + rate[k]
        total[k] = running
    land = read_climate(station(total / 1000, "tp", "m", hours))
    assert land.attrs["accumulation"] == "midnight"
    np.testing.assert_allclose(land.values[1:], rate[1:], rtol=1e-9, atol=1e-12)
    assert np.isnan(land.values[0])
    # ERA5 itself gives each hour alone, and must be left so.
    plain = read_climate(station(rate / 1000, "tp", "m", hours))
    assert plain.attrs["accumulation"] == "step"
    np.testing.assert_allclose(plain.values, rate, rtol=1e-12)


def test_wrf_counts_from_the_start_of_the_run_in_two_parts():
    times = np.array([b"2005-09-21_00:00:00", b"2005-09-21_01:00:00", b"2005-09-21_02:00:00"])
    shape = (3, 2, 2)
    rain = np.broadcast_to(np.array([0.0, 1.0, 3.0])[:, None, None], shape)
    lat, lon = np.meshgrid([30.0, 30.1], [90.0, 90.1], indexing="ij")
    ds = xr.Dataset(
        {
            "RAINC": (("Time", "south_north", "west_east"), rain, {"units": "mm"}),
            "RAINNC": (("Time", "south_north", "west_east"), 2 * rain, {"units": "mm"}),
            "XLAT": (("south_north", "west_east"), lat),
            "XLONG": (("south_north", "west_east"), lon),
            "Times": ("Time", times),
        }
    )
    got = read_climate(ds)
    assert got.attrs["accumulation"] == "start"
    assert got.dims == ("time", "y", "x")
    assert got.values[1:, 0, 0].tolist() == [3, 6]
    assert got.time.values[1] == np.datetime64("2005-09-21T01:00")


def test_temperature_without_units_is_told_by_its_values():
    kelvin = read_climate(station([263.15] * 4, units=""))
    assert kelvin.values.tolist() == pytest.approx([-10] * 4)
    assert "from the values" in kelvin.attrs["source_units"]
    assert read_climate(station([-10.0] * 4, units="")).values.tolist() == [-10] * 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (station([-9999.0, 1, 2, 3]), "mask the fill values"),
        (station([5.0, 6, 7, 8], units="K"), "really 'K'"),
        (station([300.0] * 4, units="degC"), "really 'degC'"),
        (station([1.0] * 4, units="hPa"), "none of temperature"),
        (station([1.0] * 4, "pr", "furlong"), "none of precipitation"),
        (station([1.0] * 4, "pr", ""), "has no units"),
        (station([-9.0, 1, 1, 1], "pr", "mm"), "as low as -9 mm"),
        (station([np.nan] * 4), "no value at all"),
        (station([], time=DAYS[:0]), "empty"),
        (station([1.0] * 4, "banana", "1"), "temperature or precipitation is not known"),
        (pd.DataFrame(), "is empty"),
        (pd.DataFrame({"a": [1.0]}), "no column of times"),
        (pd.DataFrame({"time": ["yesterday"], "t": [1.0]}), "cannot be read"),
        ("not a source at all.nc", "no climate file"),
        (3.0, "must be a path"),
    ],
)
def test_bad_input_is_told_in_a_sentence(source, message):
    with pytest.raises((InputError, FileError), match=message):
        read_climate(source)


def test_a_year_of_hardly_any_rain_is_doubted():
    year = pd.date_range("2019-01-01", periods=365)
    with pytest.warns(GlacierToolkitWarning, match=r"0.402 mm a year.*really 'mm'"):
        read_climate(station(np.full(365, 0.0011), "pr", "mm", year))
    with pytest.warns(GlacierToolkitWarning, match="hardly possible"):
        read_climate(station(np.full(365, 300.0), "pr", "mm", year))
    assert float(read_climate(station(np.full(365, 0.0011), "pr", "m", year)).sum()) > 400


# --- which variable ------------------------------------------------------------------------------


def test_both_in_one_file_need_a_word():
    ds = grid(np.full((1, 2, 3), 270.0)).merge(grid(np.zeros((1, 2, 3)), "tp", "m"))
    with pytest.raises(InputError, match=r"temperature \(t2m\) and precipitation \(tp\)"):
        read_climate(ds)
    assert read_climate(ds, kind="temperature").name == "temperature"
    with pytest.raises(InputError, match="no variable 'sst'"):
        read_climate(ds, variable="sst")
    with pytest.raises(InputError, match="kind must be"):
        read_climate(ds, kind="wind")


def test_cf_names_before_short_ones():
    ds = xr.Dataset(
        {
            "t": ("time", [1.0, 2, 3, 4], {"units": "K", "standard_name": "soil_temperature"}),
            "abc": ("time", [270.0] * 4, {"units": "K", "standard_name": "air_temperature"}),
        },
        {"time": DAYS},
    )
    assert read_climate(ds).attrs["source_variable"] == "abc"


def test_levels_must_be_chosen():
    values = np.full((1, 2, 2, 3), 250.0)
    ds = xr.Dataset(
        {"t": (("time", "level", "latitude", "longitude"), values, {"units": "K"})},
        {"time": DAYS[:1], "level": [500, 850], "latitude": [1, 0], "longitude": [0, 1, 2]},
    )
    with pytest.raises(InputError, match="level"):
        read_climate(ds)
    assert read_climate(ds.sel(level=500)).dims == ("time", "latitude", "longitude")


# --- times ---------------------------------------------------------------------------------------


def test_zones_order_and_duplicates():
    table = pd.DataFrame(
        {"time": ["2019-01-02T08:00+08:00", "2019-01-01T08:00+08:00"], "T_HMP": [2.0, 1.0]}
    )
    got = read_climate(table)
    assert got.values.tolist() == [1, 2]
    assert got.time.values[0] == np.datetime64("2019-01-01T00:00")
    twice = pd.DataFrame({"time": ["2019-01-01"] * 2 + ["2019-01-02"], "T_HMP": [1.0, 1.0, 2.0]})
    assert read_climate(twice).values.tolist() == [1, 2]
    twice.loc[1, "T_HMP"] = 5.0
    with pytest.raises(DateError, match="two different values at 2019-01-01"):
        read_climate(twice)
    with pytest.raises(DateError, match="are missing"):
        read_climate(station([1.0, 2], time=pd.DatetimeIndex(["2019-01-01", pd.NaT])))
    with pytest.raises(DateError, match="bare numbers"):
        read_climate(station([1.0, 2], time=[0.0, 1.0]))


@pytest.mark.parametrize("calendar", ["360_day", "noleap"])
def test_a_model_calendar_is_laid_over_the_real_one(tmp_path, calendar):
    """Every month keeps its days; February has no 30th."""
    length = 360 if calendar == "360_day" else 365
    ds = xr.Dataset(
        {"tas": ("time", np.full(2 * length, 280.0), {"units": "K"})},
        {"time": ("time", np.arange(2 * length) + 0.5,
                  {"units": "days since 2019-01-01", "calendar": calendar})},
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "model.nc", engine="h5netcdf")
    got = read_climate(tmp_path / "model.nc")
    assert got.time.attrs["original_calendar"] == calendar
    count = got.groupby("time.month").count()
    expected = [60] * 12 if length == 360 else [62, 56, 62, 60, 62, 60, 62, 62, 60, 62, 60, 62]
    assert count.values.tolist() == expected
    assert got.time.values[0] >= np.datetime64("2019-01-01")
    assert got.time.values[-1] < np.datetime64("2021-01-01")


def test_a_calendar_of_objects():
    """As cftime makes them, which is no dependency."""

    class Date:
        calendar, hour, minute, second = "360_day", 0, 0, 0

        def __init__(self, year, month, day):
            self.year, self.month, self.day = year, month, day

        def __lt__(self, other):
            return (self.year, self.month) < (other.year, other.month)

    times = np.empty(2, object)
    times[:] = [Date(2019, 2, 30), Date(2019, 3, 1)]
    got = read_climate(xr.DataArray([1.0, 2.0], {"time": times}, "time", "tas", {"units": "degC"}))
    assert got.time.dt.month.values.tolist() == [2, 3]


# --- positions -----------------------------------------------------------------------------------


def test_positions_of_a_station():
    ds = xr.Dataset(
        {"T2": (("time", "lat", "lon"), np.full((4, 1, 1), 270.0), {"units": "K"}),
         "HGT": (("lat", "lon"), [[5665.0]], {"units": "m"})},
        {"time": DAYS, "lat": [30.47], "lon": [90.64]},
    )  # fmt: skip
    got = read_climate(ds)
    assert got.dims == ("time",)
    assert [float(got[c]) for c in ("latitude", "longitude", "elevation")] == [30.47, 90.64, 5665]
    moved = read_climate(ds, latitude=31, elevation=5000)
    assert [float(moved[c]) for c in ("latitude", "longitude", "elevation")] == [31, 90.64, 5000]
    with pytest.raises(InputError, match="latitude goes beyond"):
        read_climate(ds, latitude=3_400_000)
    with pytest.raises(InputError, match="of one station"):
        read_climate(grid(np.full((1, 2, 3), 270.0)), elevation=5)


def test_a_column_of_positions_is_that_of_the_station(tmp_path):
    path = tmp_path / "station.csv"
    path.write_text("Date;Temp;Lat;Lon;Elevation\n2019-01-01;-3.5;30.5;90.6;5600\n"
                    "2019-01-02;;30.5;90.6;5600\n")  # fmt: skip
    got = read_climate(path)
    assert float(got.elevation) == 5600
    assert np.isnan(got.values[1])


def test_pressure_contradicts_a_wrong_elevation():
    ds = xr.Dataset(
        {"T2": ("time", [270.0] * 4, {"units": "K"}),
         "PRES": ("time", [502.0] * 4, {"units": "hPa"}), "HGT": ((), 4000.0)},
        {"time": DAYS},
    )  # fmt: skip
    with pytest.warns(GlacierToolkitWarning, match=r"states 4000 m.*belongs to about 55\d\d m"):
        read_climate(ds)
    assert float(read_climate(ds, elevation=5670).elevation) == 5670
    read_climate(ds.assign(HGT=5500.0))  # silent


def test_height_above_ground_is_no_elevation():
    ds = xr.Dataset({"tas": ("time", [270.0] * 4, {"units": "K"})}, {"time": DAYS, "height": 2.0})
    assert "elevation" not in read_climate(ds).coords


def test_geopotential_is_an_elevation():
    ds = grid(np.full((1, 2, 3), 270.0))
    ds["z"] = (("latitude", "longitude"), np.full((2, 3), 49033.25), {"units": "m**2 s**-2"})
    np.testing.assert_allclose(read_climate(ds, kind="temperature").elevation, 5000)


def test_a_projected_grid_needs_its_crs():
    ds = xr.Dataset(
        {"t2": (("time", "south_north", "west_east"), np.full((1, 2, 2), 270.0), {"units": "k"})},
        {"time": DAYS[:1], "south_north": [0.0, 3e4], "west_east": [0.0, 3e4]},
    )
    with pytest.raises(GridError, match="neither latitudes"):
        read_climate(ds)
    got = read_climate(ds, crs="+proj=lcc +lat_1=30 +lat_2=35 +lat_0=30 +lon_0=87 +R=6370000")
    assert got.dims == ("time", "y", "x")
    assert got.rio.crs.is_projected


def test_nothing_is_computed_early():
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed early")

    ds = grid(np.full((4, 2, 3), 270.0), time=DAYS).merge(
        grid(np.full((4, 2, 3), 1e-5), "pr", "kg m-2 s-1", DAYS)
    )
    with dask.config.set(scheduler=refuse):
        t = read_climate(ds.chunk({"time": 1}), kind="temperature")
        p = read_climate(ds.chunk({"time": 1}), kind="precipitation")
    xr.testing.assert_identical(t.compute(), read_climate(ds, kind="temperature"))
    xr.testing.assert_identical(p.compute(), read_climate(ds, kind="precipitation"))


def test_files_that_are_none(tmp_path):
    for name, content in (
        ("a.nc", b"not netCDF"),
        ("b.csv", b"\xff\xfe\x00binary\x00"),
        ("c.csv", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises((FileError, InputError)):
            read_climate(tmp_path / name)


def test_amounts_that_are_none():
    assert amount_of("degC") is None
    assert amount_of("mm century-1") is None
