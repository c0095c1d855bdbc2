"""Strain rates along profiles whose speed is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import InputError, MissingVariableError, ParameterError


def along(speed: np.ndarray, *, error: float | None = 3.0, spacing: float = 64.0) -> xr.Dataset:
    distance = spacing * np.arange(len(speed))
    ds = xr.Dataset({"v_along": ("distance", speed)}, coords={"distance": distance})
    if error is not None:
        ds["v_error"] = xr.full_like(ds.v_along, error)
    return ds


def test_a_difference_over_the_length_with_its_error() -> None:
    s = 64.0 * np.arange(60)
    found = gt.strain_rate(along(40 + 30 * np.sin(s / 900)), length=500)
    inner = (s >= 250) & (s <= s[-1] - 250)
    # the centred difference of a sine, up to what lies between the points
    exact = 30 * np.cos(s / 900) * 2 * np.sin(250 / 900) / 500
    np.testing.assert_allclose(found.strain_rate[inner], exact[inner], atol=5e-5)
    np.testing.assert_allclose(found.strain_rate_error[inner], np.hypot(3, 3) / 500, rtol=1e-6)
    assert np.isnan(found.strain_rate[~inner]).all()
    assert np.isnan(found.strain_rate_error[~inner]).all()
    assert found.strain_rate.attrs["units"] == found.strain_rate_error.attrs["units"] == "yr-1"
    assert found.strain_rate.attrs["length"] == 500
    assert found.strain_rate.dtype == np.float32
    assert gt.history(found)[-1]["step"] == "strain_rate"


def test_stretching_is_positive_and_a_line_walked_back_says_the_same() -> None:
    faster = along(np.linspace(10, 60, 41), spacing=50)
    assert (gt.strain_rate(faster, length=300).strain_rate.dropna("distance") > 0).all()
    # up the flow v_along is negative, and rises again towards the end of the line
    back = along(-faster.v_along.values[::-1], spacing=50)
    np.testing.assert_allclose(
        gt.strain_rate(back, length=300).strain_rate.values[::-1],
        gt.strain_rate(faster, length=300).strain_rate.values, rtol=1e-5,
    )  # fmt: skip


def test_missing_values_are_missing_where_they_are_needed_only() -> None:
    speed = np.linspace(10, 50, 41)
    speed[20] = np.nan
    found = gt.strain_rate(along(speed, spacing=50), length=200).strain_rate
    missing = np.flatnonzero(np.isnan(found.values))
    assert missing.tolist() == [0, 1, 18, 22, 39, 40]
    between = gt.strain_rate(along(speed, spacing=50), length=250).strain_rate
    assert np.isnan(between[[17, 18, 22, 23]]).all()
    assert np.isfinite(between[[19, 20, 21]]).all()


def test_two_templates_share_no_pixel_by_default() -> None:
    ds = along(np.linspace(0, 60, 61))
    ds.attrs |= {"template": [48, 48], "pixel": [8.0, 8.0]}
    length = gt.strain_rate(ds).strain_rate.attrs["length"]
    assert length == pytest.approx(2**0.5 * 384)
    assert length / 2**0.5 >= 384  # on a diagonal both are a template apart in x and in y
    ds.attrs.clear()
    assert gt.strain_rate(ds).strain_rate.attrs["length"] == pytest.approx(12 * 64)


def test_errors_of_noise_are_as_stated() -> None:
    rng = np.random.default_rng(0)
    strain = [
        gt.strain_rate(along(30 + rng.normal(0, 3, 41), spacing=50), length=400).strain_rate
        for _ in range(300)
    ]
    spread = float(np.nanstd(np.stack(strain)))
    assert spread == pytest.approx(np.hypot(3, 3) / 400, rel=0.05)


def test_of_a_profile_with_speed_only_and_without_errors() -> None:
    grid = {"y": [20.0, 10.0, 0.0], "x": 10.0 * np.arange(30)}
    v = xr.DataArray(np.tile(np.arange(30.0), (3, 1)), coords=grid, dims=("y", "x"))
    found = xr.Dataset({"v": v}).glacier.profile([(0, 10), (290, 10)]).glacier.strain_rate()
    np.testing.assert_allclose(found.strain_rate.dropna("distance"), 0.1, rtol=1e-5)
    assert np.isnan(found.strain_rate_error).all()


@pytest.mark.parametrize("length", [0, -5, np.nan, np.inf])
def test_a_length_that_is_none(length: float) -> None:
    with pytest.raises(ParameterError, match="length must be positive metres"):
        gt.strain_rate(along(np.ones(20)), length=length)


def test_what_is_no_profile() -> None:
    with pytest.raises(MissingVariableError, match="velocity"):
        gt.strain_rate(along(np.ones(20)).rename(v_along="speed"))
    with pytest.raises(InputError, match="evenly spaced"):
        gt.strain_rate(along(np.ones(20)).isel(distance=[0, 1, 4, 5]))
    with pytest.raises(InputError, match="evenly spaced"):
        gt.strain_rate(along(np.ones(1)))
    flat = xr.Dataset({"v": (("y", "x"), np.ones((3, 3)))})
    with pytest.raises(InputError, match="along a line"):
        gt.strain_rate(flat)
