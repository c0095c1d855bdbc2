"""The season of the speed from pairs: recovered where it is, missed by the naive fit."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.errors import DateError, MissingVariableError, ParameterError
from glaciertoolkit.stats.seasonal_fit import EPOCH, OMEGA, Status, fit_seasonal

DAY = np.timedelta64(86_400_000_000_000, "ns")


def pairs(start_days, spans, *, v0=100.0, amplitude=20.0, peak=200.0, acceleration=0.0, **noise):
    """Mean speeds of pairs under ``v0 + amplitude cos(2 pi (day - peak) / year)``, exact."""
    start_days, spans = np.broadcast_arrays(np.asarray(start_days, float), np.asarray(spans, float))
    start = np.datetime64("2015-01-01", "ns") + (start_days * 86_400e9).astype("timedelta64[ns]")
    end = start + (spans * 86_400e9).astype("timedelta64[ns]")
    t1, t2 = ((t - EPOCH) / DAY / 365.25 for t in (start, end))
    phase = OMEGA * peak / 365.25
    wave = amplitude * (np.sin(OMEGA * t2 - phase) - np.sin(OMEGA * t1 - phase)) / OMEGA
    mean = v0 + wave / (t2 - t1) + acceleration * ((t1 + t2) / 2 - ((t1 + t2) / 2).mean())
    if noise:
        mean = mean + noise["sigma"] / (t2 - t1) * np.random.default_rng(noise["seed"]).normal(
            size=mean.size
        )
    return xr.Dataset(
        {"v": ("pair", mean)},
        coords={"reference_time": ("pair", start), "secondary_time": ("pair", end)},
    )


def many(seed=0, number=80, longest=200):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 2000, number), rng.uniform(10, longest, number)


@settings(max_examples=40, deadline=None)
@given(st.floats(1, 60), st.floats(0, 365), st.floats(-300, 300), st.integers(0, 100))
def test_exact_pairs_give_the_season_back(amplitude, peak, v0, seed):
    found = fit_seasonal(pairs(*many(seed), v0=v0, amplitude=amplitude, peak=peak))
    assert float(found.v_mean) == pytest.approx(v0, abs=1e-4)
    assert float(found.v_amplitude) == pytest.approx(amplitude, rel=1e-4)
    off = (float(found.peak_day) - peak + 182.6) % 365.25 - 182.6
    assert off == pytest.approx(0, abs=0.01)
    assert int(found.status) == Status.FITTED


@pytest.mark.parametrize(("span", "kept"), [(58, 0.96), (180, 0.65)])
def test_a_sine_through_mid_dates_is_too_small(span, kept):
    """The negative control of METHODS F.3: attenuation by sinc(pi dt / 365)."""
    ds = pairs(np.arange(0, 1461, 20), span)
    middle = ds.reference_time + (ds.secondary_time - ds.reference_time) / 2
    t = (middle.values - EPOCH) / DAY / 365.25
    design = np.stack([np.ones_like(t), np.cos(OMEGA * t), np.sin(OMEGA * t)], axis=1)
    _, a, b = np.linalg.lstsq(design, ds.v.values, rcond=None)[0]
    assert np.hypot(a, b) / 20 == pytest.approx(kept, abs=0.005)
    assert float(fit_seasonal(ds).v_amplitude) == pytest.approx(20, rel=1e-4)


@pytest.mark.slow
def test_errors_cover_the_truth_and_noise_is_not_significant():
    inside, alarms = 0, 0
    for seed in range(150):
        ds = pairs(*many(seed), sigma=2.0, seed=seed)
        found = fit_seasonal(ds, robust=False)
        inside += abs(float(found.v_amplitude) - 20) < 1.96 * float(found.v_amplitude_error)
        still = fit_seasonal(pairs(*many(seed), amplitude=0.0, sigma=2.0, seed=seed), robust=False)
        alarms += float(still.p_value) < 0.05
    assert 133 <= inside <= 150
    assert alarms <= 17


def test_outliers_are_given_no_weight():
    ds = pairs(*many(3), sigma=0.5, seed=3)
    ds["v"][::6] = 3000.0
    assert float(fit_seasonal(ds).v_amplitude) == pytest.approx(20, abs=3)
    assert float(fit_seasonal(ds).v_mean) == pytest.approx(100, abs=2)
    assert abs(float(fit_seasonal(ds, robust=False).v_mean) - 100) > 50


def test_components_are_taken_along_the_flow():
    """Noise enlarges a speed; along the flow it averages out."""
    rng = np.random.default_rng(4)
    true = pairs(*many(4, 400), v0=5.0, amplitude=2.0)
    vx, vy = (f * true.v.values + rng.normal(0, 8, 400) for f in (0.6, -0.8))
    ds = true.assign(vx=("pair", vx), vy=("pair", vy)).drop_vars("v")
    ds["vx_error"] = ds["vy_error"] = xr.full_like(ds.vx, 8.0)
    found = fit_seasonal(ds)
    assert float(found.v_mean) == pytest.approx(5, abs=1.2)
    speed = fit_seasonal(true.assign(v=("pair", np.hypot(vx, vy)),
                                     v_error=("pair", np.full(400, 8.0))))  # fmt: skip
    assert float(speed.v_mean) > 8


def test_displacements_are_pairs_too():
    ds = pairs(*many(5))
    span = (ds.secondary_time - ds.reference_time) / DAY / 365.25
    moved = xr.Dataset({"dx": 0.8 * ds.v * span, "dy": 0.6 * ds.v * span}, ds.coords)
    found = fit_seasonal(moved)
    assert float(found.v_amplitude) == pytest.approx(20, rel=1e-4)


def test_acceleration():
    ds = pairs(*many(6), acceleration=-4.0)
    found = fit_seasonal(ds, acceleration=True)
    assert float(found.acceleration) == pytest.approx(-4, abs=1e-3)
    assert float(found.v_amplitude) == pytest.approx(20, rel=1e-3)
    assert "acceleration" not in fit_seasonal(ds)


def test_maps_with_holes_equal_single_places():
    ds = pairs(*many(7), sigma=1.0, seed=7)
    cube = ds.v * xr.DataArray(np.array([[1.0, 2.0], [0.5, -1.0]]), dims=("y", "x"))
    cube[5:30, 0, 1] = np.nan
    cube[4:, 1, 0] = np.nan
    cube = cube.assign_coords(y=[1.0, 0.0], x=[0.0, 1.0])
    found = fit_seasonal(cube.to_dataset(name="v"))
    assert found.v_mean.dims == ("y", "x")
    for y in (1.0, 0.0):
        for x in (0.0, 1.0):
            alone = fit_seasonal(cube.sel(y=y, x=x).to_dataset(name="v"))
            for name in ("v_mean", "v_amplitude", "v_amplitude_error", "peak_day"):
                np.testing.assert_allclose(
                    found[name].sel(y=y, x=x), alone[name], rtol=2e-3, err_msg=name
                )
    assert found.status.values.tolist() == [[0, 0], [Status.TOO_FEW_PAIRS, 0]]
    assert np.isnan(found.v_mean.values[1, 0])
    assert found.v_mean.dtype == np.float32
    assert found.status.attrs["flag_meanings"].startswith("fitted too_few_pairs")


def test_what_is_not_determined_says_why():
    summers = np.concatenate([np.arange(180, 200, 4) + 365.25 * k for k in range(4)])
    assert int(fit_seasonal(pairs(summers, 12)).status) == Status.TOO_FEW_SEASONS
    whole = fit_seasonal(pairs(np.arange(0, 800, 40), 365.25))
    assert int(whole.status) == Status.UNDETERMINED
    assert np.isnan(float(whole.v_amplitude))
    few = fit_seasonal(pairs(np.arange(0, 400, 100), 30))
    assert int(few.status) == Status.TOO_FEW_PAIRS


def test_dates_as_itslive_names_them():
    ds = pairs(*many(8))
    theirs = ds.rename(
        reference_time="acquisition_date_img1", secondary_time="acquisition_date_img2"
    )
    xr.testing.assert_allclose(fit_seasonal(theirs), fit_seasonal(ds))
    span = (ds.secondary_time - ds.reference_time) / DAY
    middle = ds.reference_time + (ds.secondary_time - ds.reference_time) / 2
    bare = xr.Dataset({"v": ("mid_date", ds.v.values), "date_dt": ("mid_date", span.values)},
                      {"mid_date": middle.values})  # fmt: skip
    assert float(fit_seasonal(bare).v_amplitude) == pytest.approx(20, rel=1e-3)


def test_pairs_that_cannot_be():
    ds = pairs(*many(9))
    with pytest.raises(MissingVariableError, match="no velocities"):
        fit_seasonal(ds.drop_vars("v"))
    with pytest.raises(MissingVariableError, match="dates of the pairs"):
        fit_seasonal(ds.drop_vars("secondary_time"))
    turned = ds.assign_coords(secondary_time=ds.reference_time - np.timedelta64(1, "D"))
    with pytest.raises(DateError, match="80 pairs end before they start"):
        fit_seasonal(turned)
    ds.secondary_time.values[3] = np.datetime64("NaT")
    with pytest.raises(DateError, match="no dates"):
        fit_seasonal(ds)
    with pytest.raises(ParameterError, match="min_pairs"):
        fit_seasonal(ds, min_pairs=3)


def test_lazy_gives_the_same_bits_whatever_the_chunks():
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed early")

    ds = pairs(*many(10), sigma=1.0, seed=10)
    rng = np.random.default_rng(10)
    cube = ds.v * xr.DataArray(rng.normal(1, 0.3, (5, 7)), dims=("y", "x"))
    cube = cube + xr.DataArray(rng.normal(0, 3, (80, 5, 7)), dims=("pair", "y", "x"))
    cube = cube.where(xr.DataArray(rng.random((80, 5, 7)) > 0.2, dims=("pair", "y", "x")))
    whole = xr.Dataset({"vx": cube, "vy": -0.3 * cube + 1})
    eager = fit_seasonal(whole, acceleration=True)
    for chunks in ({"y": 1}, {"pair": 9, "x": 3}):
        chunked = whole.chunk(chunks).assign_coords(ds.coords)  # the dates must be known
        with dask.config.set(scheduler=refuse):
            lazy = fit_seasonal(chunked, acceleration=True)
        xr.testing.assert_identical(lazy.compute(), eager)
