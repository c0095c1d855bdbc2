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
from glaciertoolkit.vectors import (
    UNKNOWN_DIRECTION,
    debiased_magnitude,
    direction_error,
    is_significant,
    magnitude_error,
)
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


def noisy(speed: float, errors: tuple[float, float], rho: float = 0.0) -> list[np.ndarray]:
    """Measured vectors of one true vector along x, their errors and covariance."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 400_000))
    x = speed + errors[0] * a
    y = errors[1] * (rho * a + np.sqrt(1 - rho**2) * b)
    return [x, y, *(np.full(x.shape, e) for e in (*errors, rho * errors[0] * errors[1]))]


@pytest.mark.parametrize("errors", [(1.0, 1.0), (1.0, 0.5), (0.5, 1.0)])
@pytest.mark.parametrize("speed", [2.0, 2.5, 4.0])
def test_debiased_length_is_unbiased_from_two_sigma_on(
    speed: float, errors: tuple[float, float]
) -> None:
    vectors = noisy(speed, errors)
    assert debiased_magnitude(*vectors).mean() == pytest.approx(speed, rel=0.02)
    # the negative controls: as measured, and without the variance of both components
    length = np.hypot(*vectors[:2])
    if errors == (1.0, 1.0) and speed == 2.0:
        assert length.mean() > 1.1 * speed
        both = np.sqrt(np.maximum(length**2 - 2, 0))
        assert both.mean() < 0.9 * speed


def test_the_rayleigh_trap() -> None:
    at_rest = noisy(0.0, (1.0, 1.0))
    length = np.hypot(*at_rest[:2])
    assert length.mean() == pytest.approx(1.2533, rel=0.005)
    assert np.median(length) == pytest.approx(1.1774, rel=0.005)
    assert np.sqrt((length**2).mean()) == pytest.approx(1.4142, rel=0.005)
    assert nmad(at_rest[0]) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_noise_alone_is_significant_as_rarely_as_two_sigma(rho: float) -> None:
    at_rest = noisy(0.0, (1.0, 3.0), rho)
    assert is_significant(*at_rest).mean() == pytest.approx(0.0455, abs=0.002)
    assert is_significant(*noisy(12.0, (1.0, 3.0), rho)).mean() > 0.99
    # two sigma of a length are exceeded three times as often
    assert (np.hypot(*noisy(0.0, (1.0, 1.0))[:2]) > 2).mean() > 0.13
    missing = np.full(3, np.nan)
    assert not is_significant(missing, missing, missing, missing).any()
    assert not is_significant(*(np.zeros(2) for _ in range(4))).any()


def test_direction_and_its_error() -> None:
    vectors = noisy(10.0, (1.0, 2.0), 0.5)
    turned = np.degrees(np.arctan2(vectors[1], vectors[0]))
    stated = direction_error(
        *(v[:1] * 0 + t for v, t in zip(vectors, (10, 0, 1, 2, 1), strict=True))
    )
    assert turned.std() == pytest.approx(float(stated[0]), rel=0.05)
    still = direction_error(*(np.zeros(1) + v for v in (0.0, 0.0, 1.0, 1.0)))
    assert still[0] == pytest.approx(UNKNOWN_DIRECTION)
    assert np.isnan(direction_error(*(np.full(1, np.nan) for _ in range(4)))[0])


@pytest.mark.parametrize(
    ("dx", "dy", "bearing"), [(0, 1, 0), (1, 0, 90), (0, -1, 180), (-1, 0, 270), (1, 1, 45)]
)
def test_direction_is_clockwise_from_grid_north(dx: int, dy: int, bearing: float) -> None:
    ds = offset_field((3, 3), noise=0.0)
    ds = ds.assign(dx=ds.dx + np.float32(dx), dy=ds.dy + np.float32(dy))
    ds = ds.assign(dx_error=ds.dx_error + np.float32(0.1), dy_error=ds.dy_error + np.float32(0.1))
    out = velocity(ds)
    assert out.direction.values == pytest.approx(bearing, abs=1e-3)
    assert out.significant.dtype == bool
    assert bool(out.significant.all())
    assert out.direction.attrs["units"] == out.direction_error.attrs["units"] == "degree"
    assert bool((out.v_debiased < out.v).all())


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
