"""Candidates for stagnation and surges, on glaciers whose course is known."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr

from glaciertoolkit.errors import DateError, InputError, MissingVariableError, ParameterError
from glaciertoolkit.stats.slow_ice import stagnation
from glaciertoolkit.stats.surges import surge_candidates

X0, Y0 = 470_000.0, 3_100_000.0
YEARS = pd.date_range("2012-07-01", periods=10, freq="YS-JUL")


def outlines(number=4):
    boxes = [shapely.box(X0 + 2000 * k - 50, Y0 - 1950, X0 + 2000 * k + 1450, Y0 + 50)
             for k in range(number)]  # fmt: skip
    ids = [f"RGI60-13.{k:05d}" for k in range(number)]
    return gpd.GeoDataFrame({"RGIId": ids}, geometry=boxes, crs=32645)


def one_map(speeds, error=None):
    """Glaciers side by side, each of one speed."""
    x, y = X0 + 100.0 * np.arange(80), Y0 - 100.0 * np.arange(25)
    which = np.minimum(((x - X0 + 50) // 2000).astype(int), len(speeds) - 1)
    v = np.broadcast_to(np.asarray(speeds, "float32")[which], (25, 80)).copy()
    data = {"vx": v * 0.6, "vy": v * 0.8, "v": v}
    if error is not None:
        data["v_error"] = np.full_like(v, error)
    ds = xr.Dataset({k: (("y", "x"), d) for k, d in data.items()}, {"y": y, "x": x})
    return ds.rio.write_crs(32645)


# --- stagnation ----------------------------------------------------------------------------------


def test_slow_ice_is_a_candidate_and_no_more():
    got = stagnation(one_map([1.0, 4.9, 5.1, 40.0], error=1.0), outlines())
    assert got["candidate"].tolist() == [True, True, False, False]
    assert got["threshold"].tolist() == [5, 5, 5, 5]
    assert got["verdict"].iloc[0].startswith("candidate for stagnation")
    assert got["verdict"].iloc[3].startswith("moving")
    assert got.attrs["units"]["v_p90"] == "m yr-1"


def test_a_coarse_map_cannot_tell_slow_from_still():
    got = stagnation(one_map([1.0, 11.0, 13.0, 40.0], error=6.0), outlines())
    assert got["threshold"].tolist() == [12] * 4
    assert got["candidate"].tolist() == [True, True, False, False]
    assert "cannot be told from none" in got["verdict"].iloc[0]
    given = stagnation(one_map([1.0, 11.0, 13.0, 40.0], error=6.0), outlines(), error=1.0)
    assert given["candidate"].tolist() == [True, False, False, False]


def test_unknown_errors_and_empty_glaciers_are_told():
    ds = one_map([1.0, 2.0, 30.0, 40.0])
    ds["v"][:, 20:40] = np.nan
    got = stagnation(ds, outlines())
    assert "error of the speeds is not known" in got["verdict"].iloc[0]
    assert got["verdict"].iloc[1].startswith("unknown")
    assert not got["candidate"].iloc[1]
    assert ds.glacier.stats.stagnation(outlines()).equals(got)
    with pytest.raises(ParameterError, match="limit"):
        stagnation(ds, outlines(), limit=0)
    with pytest.raises(MissingVariableError):
        stagnation(ds.drop_vars("v"), outlines())


# --- surges of series ----------------------------------------------------------------------------


def course(*speeds, time=YEARS, **more):
    return xr.Dataset({"v": ("time", np.asarray(speeds, float)), **more}, {"time": time})


def test_a_surge_a_speed_up_and_steady_ice():
    surge = surge_candidates(course(20, 22, 25, 300, 280, 30, 21, 20, 19, 22)).iloc[0]
    assert surge["candidate"]
    assert surge["peak_year"] == 2015
    assert surge["v_usual"] == 22
    assert surge["ratio"] == pytest.approx(300 / 22)
    assert (str(surge["start"])[:7], str(surge["end"])[:7]) == ("2015-07", "2017-06")
    assert "candidate for a surge" in surge["verdict"]
    faster = surge_candidates(course(90, 95, 100, 300, 280, 110, 90, 92, 89, 95)).iloc[0]
    assert not faster["candidate"]
    assert faster["verdict"].startswith("speed-up, below the mark of a surge")
    steady = surge_candidates(course(*(100 + 10 * np.sin(np.arange(10))))).iloc[0]
    assert steady["verdict"].startswith("no sign of a surge")
    assert steady["days"] == 0


def test_five_times_slow_is_still_slow():
    """From 2 to 12 m/yr is six times, and may be noise: the rise must exceed 50 m/yr."""
    assert not surge_candidates(course(2, 2, 2, 12, 2, 2, 2, 2, 2, 2))["candidate"].item()


def test_noise_is_no_surge():
    error = ("time", np.full(10, 40.0))
    values = (20, 22, 25, 130, 20, 30, 21, 20, 19, 22)
    assert surge_candidates(course(*values))["candidate"].item()
    assert not surge_candidates(course(*values, v_error=error))["candidate"].item()


def test_a_week_is_not_sustained():
    time = pd.date_range("2015-01-03", periods=40 * 12, freq="7D")
    v = np.full(480, 20.0)
    year = time.year == time.year[200]
    v[year] = 120.0  # ordinary for that year, with one month far above
    v[200:204] = 900.0
    got = surge_candidates(course(*v, time=time), increase=500)
    assert got["days"].item() < 60
    assert not got["candidate"].item()


def test_two_maps_have_no_median():
    """The median of two cannot show a ratio above 2: of few years the slowest is the usual."""
    two = course(20, 300, time=YEARS[[0, 5]])
    assert surge_candidates(two)["candidate"].item()
    assert not surge_candidates(course(300, 290, time=YEARS[[0, 5]]))["candidate"].item()


def test_pairs_with_one_middle_both_count():
    time = YEARS.repeat(2)
    got = surge_candidates(
        course(*np.repeat([20, 22, 25, 300, 280, 30, 21, 20, 19, 22], 2), time=time)
    )
    assert got["candidate"].item()


def test_several_places_gaps_and_order():
    values = np.full((10, 3), 20.0)
    values[4:6, 0] = 400
    values[:, 1] = np.nan
    values[1:, 2] = np.nan
    ds = xr.Dataset({"v": (("mid_date", "rgi_id"), values)},
                    {"mid_date": YEARS, "rgi_id": ["a", "b", "c"]})  # fmt: skip
    got = surge_candidates(ds.isel(mid_date=slice(None, None, -1)))
    assert got["rgi_id"].tolist() == ["a", "b", "c"]
    assert got["candidate"].tolist() == [True, False, False]
    assert got["verdict"].str.startswith("unknown").tolist() == [False, True, True]
    assert got["years"].tolist() == [10, 0, 1]
    assert got["peak_year"].isna().tolist() == [False, True, False]


# --- surges of maps ------------------------------------------------------------------------------


def stack(share=1.0, error=None):
    """Ten maps; the first glacier surges on the lower `share` of its rows, the second does not."""
    maps = [one_map([20.0, 30.0, 200.0, 5.0], error) for _ in YEARS]
    rows = round(20 * share)
    for k in (3, 4):
        maps[k]["v"][20 - rows : 20, :15] = 400.0
    time = xr.DataArray(YEARS, dims="time", name="time")
    return xr.concat(maps, dim=time)


def height(ds):
    z = 4000 + (ds.y - ds.y.min()) + 0 * ds.x
    return z.rename("elevation").rio.write_crs(32645)


def test_the_share_of_the_tongue_decides():
    ds = stack(1.0)
    got = surge_candidates(ds, outlines=outlines())
    assert got["candidate"].tolist() == [True, False, False, False]
    assert got["share"].tolist() == [1, 0, 0, 0]
    assert "100% of the tongue" in got["verdict"].iloc[0]
    small = surge_candidates(stack(0.15), outlines=outlines())
    assert small["share"].iloc[0] == pytest.approx(0.15)
    assert not small["candidate"].any()
    # Of the lower half it is a larger part.
    tongue = surge_candidates(stack(0.15), outlines=outlines(), dem=height(ds))
    assert tongue["share"].iloc[0] == pytest.approx(0.3)
    assert tongue["candidate"].tolist() == [True, False, False, False]


def test_errors_of_maps():
    assert surge_candidates(stack(error=10.0), outlines=outlines())["candidate"].iloc[0]
    assert not surge_candidates(stack(error=200.0), outlines=outlines())["candidate"].any()


def test_surges_that_cannot_be():
    with pytest.raises(InputError, match="outlines"):
        surge_candidates(stack())
    with pytest.raises(InputError, match="there is one"):
        surge_candidates(course(1.0, time=YEARS[:1]))
    with pytest.raises(MissingVariableError, match="lacks v"):
        surge_candidates(xr.Dataset())
    with pytest.raises(MissingVariableError, match="no dimension of time"):
        surge_candidates(xr.Dataset({"v": ("pair", [1.0, 2.0])}))
    with pytest.raises(ParameterError, match="ratio"):
        surge_candidates(course(1, 2, time=YEARS[:2]), ratio=0)
    with pytest.raises(DateError, match="missing"):
        surge_candidates(course(1, 2, time=pd.DatetimeIndex([YEARS[0], pd.NaT])))
