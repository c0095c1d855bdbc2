"""Azimuth streaks are found on stable ground and taken off everywhere."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import glaciertoolkit as gt


def scene(*, amplitude=1.5, noise=0.2, seed=3, ice_speed=6.0, angle=0.0):
    """Posts with ice in the middle and streaks along azimuth."""
    rng = np.random.default_rng(seed)
    y, x = 10.0 * np.arange(240), 10.0 * np.arange(200)
    turned = y[:, None] - np.tan(np.radians(angle)) * x[None, :]
    streaks = amplitude * np.sin(turned / 260.0) * np.cos(turned / 90.0 + 1.0)
    ice = np.zeros((240, 200), bool)
    ice[60:180, 70:140] = True
    dy = streaks + noise * rng.normal(size=ice.shape) + ice_speed * ice
    ds = xr.Dataset(
        {
            "dx": (("y", "x"), (noise * rng.normal(size=ice.shape)).astype(np.float32)),
            "dy": (("y", "x"), dy.astype(np.float32)),
            "flag": (("y", "x"), np.zeros(ice.shape, np.uint32)),
        },
        {"y": y, "x": x},
        {"template": [16, 16], "step": [4, 4], "pixel": [2.5, 2.5], "search": [16, 16]},
    )
    stable = xr.DataArray(~ice, {"y": y, "x": x}, ("y", "x"))
    return ds, stable, streaks, ice


@pytest.mark.parametrize("angle", [0.0, 10.0, -30.0])
@pytest.mark.parametrize("known", [True, False])
def test_streaks_go_and_the_ice_stays(angle, known):
    ds, stable, streaks, ice = scene(angle=angle)
    done = gt.remove_streaks(ds, stable=stable, angle=angle if known else None)
    assert float(done["dy_streak_angle"]) == pytest.approx(angle, abs=1.0)
    left = done["dy"].values
    assert gt.nmad(left[~ice]) < 0.25 < gt.nmad(ds["dy"].values[~ice])
    assert np.median(left[ice]) == pytest.approx(6.0, abs=0.1)
    removed = done["dy_streaks"].values
    assert np.sqrt(((removed - (streaks - streaks.mean())) ** 2).mean()) < 0.2
    np.testing.assert_array_equal(done["dx"].values, ds["dx"].values)


def test_without_streaks_nothing_is_made_up():
    ds, stable, *_ = scene(amplitude=0.0)
    done = gt.remove_streaks(ds, stable=stable)
    assert float(np.abs(done["dy_streaks"]).max()) < 0.1


def test_the_held_out_ground_does_not_see_its_own_streaks():
    ds, stable, *_ = scene()
    plain = gt.correct(ds, stable=stable, topography=False, order=1)
    done = gt.correct(ds, stable=stable, topography=False, order=1, streaks=True)
    assert gt.nmad(done["dy_holdout"].values[stable.values]) < 0.3
    assert gt.nmad(plain["dy_holdout"].values[stable.values]) > 0.5


def test_bad_options_are_said():
    ds, stable, *_ = scene()
    with pytest.raises(gt.GlacierToolkitError, match="components"):
        gt.remove_streaks(ds, stable=stable, components=("z",))
    with pytest.raises(gt.GlacierToolkitError, match="angle"):
        gt.remove_streaks(ds, stable=stable, angle=89.0)
    with pytest.raises(gt.GlacierToolkitError, match="stable ground"):
        gt.remove_streaks(ds, stable=stable & (stable.x < 30))


def stripes(ds, *, along, angle=0.0, amplitude=1.0):
    """A jagged profile across stripes that run along an axis, or nearly."""
    slope = np.tan(np.radians(angle))
    x, y = np.meshgrid((ds.x - ds.x.mean()).values, (ds.y - ds.y.mean()).values)
    across = y - slope * x if along == "x" else x - slope * y
    return amplitude * (np.sin(across / 60.0) + 0.5 * np.sign(np.sin(across / 150.0)))


@pytest.mark.parametrize("along", ["x", "y"])
@pytest.mark.parametrize(("angle", "given"), [(0.0, 0.0), (12.0, 12.0), (-20.0, None)])
def test_stripes_go_from_both_components_and_the_ice_stays(along, angle, given):
    ds, stable, _, ice = scene(amplitude=0.0)
    extra = stripes(ds, along=along, angle=angle).astype(np.float32)
    ds = ds.assign(dx=ds["dx"] + extra, dy=ds["dy"] - 2 * extra)
    done = gt.remove_stripes(ds, stable=stable, along=along, angle=given)
    for name, factor in (("dx", 1.0), ("dy", -2.0)):
        assert float(done[f"{name}_stripe_angle"]) == pytest.approx(angle, abs=1.0)
        left = done[f"{name}_stripes"].values - factor * (extra - extra.mean())
        assert np.sqrt((left**2).mean()) < 0.2 * abs(factor)
        assert gt.nmad(done[name].values[~ice]) < 0.45 * gt.nmad(ds[name].values[~ice])
    assert np.median(done["dy"].values[ice]) == pytest.approx(6.0, abs=0.15)
    assert done["dx_stripes"].attrs["units"] == "m"
    # what fails: stripes looked for across themselves
    other = "y" if along == "x" else "x"
    across = gt.remove_stripes(ds, stable=stable, along=other)
    assert gt.nmad(across["dx"].values[~ice]) > 0.8 * gt.nmad(ds["dx"].values[~ice])


def test_a_wave_is_known_where_no_ground_is_stable():
    ds, stable, _, _ice = scene(amplitude=0.0)
    wave = (0.8 * np.sin(2 * np.pi * ds.y / 700.0 + 0.7)).astype(np.float32)
    ds = ds.assign(dx=(ds["dx"] + wave).astype(np.float32))
    some = stable & ((ds.y < 900) | (ds.y > 1500))
    done = gt.remove_stripes(ds, stable=some, along="x", components=("x",), wave=True)
    assert float(done["dx_stripe_period"]) == pytest.approx(700.0, rel=0.02)
    gap = (done["dx_stripes"] - wave).where((ds.y > 950) & (ds.y < 1450))
    assert float(abs(gap - gap.mean()).max()) < 0.1
    profile = gt.remove_stripes(ds, stable=some, along="x", components=("x",))
    missed = (profile["dx_stripes"] - wave).where((ds.y > 950) & (ds.y < 1450))
    assert float(abs(missed - missed.mean()).max()) > 0.3


def test_where_no_wave_stands_out_none_is_removed():
    ds, stable, *_ = scene(amplitude=0.0)
    done = gt.remove_stripes(ds, stable=stable, components=("x",), wave=True)
    assert float(abs(done["dx_stripes"]).max()) < 0.05


@pytest.mark.parametrize("wave", [False, True])
def test_stripes_have_the_same_bits_for_any_chunks_and_stay_lazy(wave):
    ds, stable, *_ = scene()
    options = {"stable": stable, "along": "x", "angle": 5.0, "wave": wave}
    whole = gt.remove_stripes(ds, **options)
    for chunks, scheduler in (({"y": 31, "x": 77}, "threads"), ({"y": 240, "x": 9}, "synchronous")):
        lazy = gt.remove_stripes(ds.chunk(chunks), **options)
        assert dask.is_dask_collection(lazy["dx"].data)
        with dask.config.set(scheduler=scheduler):
            xr.testing.assert_identical(lazy.compute(), whole)

    def never(*_args, **_kwargs):
        raise AssertionError("computed early")

    with dask.config.set(scheduler=never), pytest.raises(AssertionError, match="early"):
        lazy["dx"].compute()


def test_bad_options_of_stripes_are_said():
    ds, stable, *_ = scene()
    with pytest.raises(gt.GlacierToolkitError, match="along"):
        gt.remove_stripes(ds, stable=stable, along="z")
    with pytest.raises(gt.GlacierToolkitError, match="components"):
        gt.remove_stripes(ds, stable=stable, components=())
