"""Velocity and accuracy: units, signs, propagation."""

from __future__ import annotations

import json

import dask
import numpy as np
import pytest
from scenes import DATES, offset_field

from glaciertoolkit.correction.correct import correct
from glaciertoolkit.errors import (
    DateError,
    GlacierToolkitWarning,
    MissingVariableError,
    StableTerrainError,
)
from glaciertoolkit.motion import velocity
from glaciertoolkit.robust import nmad
from glaciertoolkit.uncertainty import accuracy
from glaciertoolkit.vectors import magnitude_error
from glaciertoolkit.words import summary


def test_velocity_is_displacement_per_year_of_365_25_days() -> None:
    ds = offset_field((5, 5)).assign_attrs(note="kept")
    out = velocity(ds)
    assert out.vx.values == pytest.approx(ds.dx.values * 365.25 / 29, rel=1e-6)
    assert out.v.values == pytest.approx(np.hypot(out.vx, out.vy).values)
    for name in ("vx", "vy", "v", "vx_error", "v_error"):
        assert out[name].attrs["units"] == "m yr-1"
        assert out[name].dtype == np.float32
    assert out.vx.attrs["standard_name"] == "land_ice_surface_x_velocity"
    assert out.dx.attrs["units"] == "m"
    assert out.attrs["note"] == "kept"


def test_velocity_is_lazy() -> None:
    assert dask.is_dask_collection(velocity(offset_field((8, 8)).chunk(4)).v.data)


def test_magnitude_error_against_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    x, y = 3 + 0.2 * rng.normal(size=200_000), 4 + 0.1 * rng.normal(size=200_000)
    arrays = [np.array(v) for v in (3.0, 4.0, 0.2, 0.1)]
    assert float(magnitude_error(*arrays)) == pytest.approx(np.hypot(x, y).std(), rel=0.02)
    at_rest = [np.array(v) for v in (0.0, 0.0, 0.3, 0.4)]
    assert float(magnitude_error(*at_rest)) == pytest.approx(np.sqrt((0.09 + 0.16) / 2))


@pytest.mark.parametrize("dates", [("2020-01-02", "2020-01-01"), ("2020-01-01", "2020-01-01")])
def test_reversed_or_equal_dates(dates: tuple[str, str]) -> None:
    ds = offset_field((4, 4)).assign_coords(
        reference_time=np.datetime64(dates[0], "ns"), secondary_time=np.datetime64(dates[1], "ns")
    )
    with pytest.raises(DateError, match="swap"):
        velocity(ds)


def test_missing_dates() -> None:
    with pytest.raises(MissingVariableError, match="reference_date"):
        velocity(offset_field((4, 4)).drop_vars(list(DATES)))


@pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")
def test_accuracy_against_numpy() -> None:
    out = velocity(correct(offset_field(noise=0.3), stable=True))
    found = accuracy(out)
    x = out.dx.values[np.isfinite(out.dx.values)]
    assert float(found.fit_dx_nmad) == pytest.approx(nmad(x), rel=1e-6)
    assert float(found.fit_dx_bias) == pytest.approx(x.mean(), abs=1e-6)
    assert float(found.fit_dx_median) == pytest.approx(np.median(x), abs=1e-6)
    assert float(found.fit_dx_p95) == pytest.approx(np.percentile(abs(x), 95), rel=1e-6)
    assert float(found.fit_vx_nmad) == pytest.approx(nmad(x) * 365.25 / 29, rel=1e-6)
    assert float(found.fit_d_median) == pytest.approx(1.177 * 0.3, rel=0.03)
    assert int(found.fit_dx_n) == x.size
    # white noise: the variogram is a nugget, and every post counts
    assert 0.9 * x.size < int(found.fit_dx_n_effective) <= x.size
    assert found.fit_dx_nmad.attrs["units"] == "m"
    assert "holdout" in repr(found)
    assert found.fit_dx_nmad.dims == ()
    nested = json.loads(json.dumps(found.to_json()))
    assert set(nested) == {"fit", "holdout"}
    wanted = {"bias", "median", "std", "rmse", "nmad", "p95", "n", "n_effective", "unit"}
    for variable, unit in (("dx", "m"), ("dy", "m"), ("v", "m yr-1"), ("vx", "m yr-1")):
        assert wanted <= set(nested["holdout"][variable])
        assert nested["fit"][variable]["unit"] == unit


def test_accuracy_needs_stable_ground() -> None:
    ds = offset_field((20, 20))
    with pytest.raises(StableTerrainError, match="stable_terrain"):
        accuracy(ds)
    with pytest.raises(StableTerrainError, match="valid displacement"):
        accuracy(ds.assign(dx=ds.dx * np.nan), stable=True)


def test_summary_says_in_words_what_is_wrong() -> None:
    with pytest.warns(GlacierToolkitWarning):
        out = velocity(correct(offset_field(), stable=True))
    text = summary(out)
    assert "29 days" in text
    assert "Velocity: 200 x 200 posts every 12 m" in text
    assert "Stable ground that the fit did not see" in text
    assert "topography-related offset is not removed" in text or "Steps: correct" in text
