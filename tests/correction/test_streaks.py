"""Azimuth streaks are found on stable ground and taken off everywhere."""

from __future__ import annotations

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
