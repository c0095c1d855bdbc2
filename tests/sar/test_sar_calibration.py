"""Digital numbers to sigma0, to a millionth."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from glaciertoolkit.errors import InputError, MissingVariableError, ParameterError
from glaciertoolkit.sar.calibration import amplitude_factor, from_decibel, sigma0, to_decibel


def no_computation(*_: object, **__: object) -> None:
    raise AssertionError("something was computed early")


def product(**channels: np.ndarray) -> xr.Dataset:
    return xr.Dataset({name: (("y", "x"), v) for name, v in channels.items()})


@given(
    i=st.integers(-32_768, 32_767),
    q=st.integers(-32_768, 32_767),
    qualify=st.floats(1, 1e5),
    constant=st.floats(-10, 60),
)
def test_sigma0_of_a_complex_product(i: int, q: int, qualify: float, constant: float) -> None:
    factor = amplitude_factor(qualify, constant)
    value = np.array([[i + 1j * q]], np.complex64) * np.float32(factor)
    exact = (i * i + q * q) * (qualify / 32_767) ** 2 / 10 ** (constant / 10)
    assert float(sigma0(product(HH=value))[0, 0]) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("level", ["L1B", "L2"])
def test_sigma0_of_an_amplitude_product(level: str) -> None:
    number, qualify, constant = 12_345, 997.1, 24.46
    value = np.array([[number * amplitude_factor(qualify, constant, level=level)]], np.float32)
    decibel = 10 * np.log10(number**2 * (qualify / 65_535) ** 2) - constant
    found = to_decibel(sigma0(product(HH=value)))
    assert float(found[0, 0]) == pytest.approx(decibel, abs=1e-5)


def test_unit_scale_is_exact() -> None:
    assert amplitude_factor(32_767.0, 0.0) == 1.0
    assert amplitude_factor(65_535.0, None, level="L2") == 1.0
    values = np.arange(-2000, 2000, dtype=np.float32).astype(np.complex64)[None]
    np.testing.assert_array_equal(sigma0(product(VV=values))[0], np.arange(-2000, 2000) ** 2.0)


def test_missing_constant_counts_as_zero_and_is_said() -> None:
    assert amplitude_factor(32.47, None) == amplitude_factor(32.47, 0.0)
    assert amplitude_factor(32.47, 20.0) == pytest.approx(amplitude_factor(32.47, None) / 10)
    ds = product(HH=np.ones((2, 2), np.complex64))
    assert "standard_name" in sigma0(ds).attrs
    ds["HH"].attrs["calibrated"] = 0
    found = sigma0(ds)
    assert "relative" in found.attrs["long_name"]
    assert "standard_name" not in found.attrs


def test_attributes_are_those_of_sigma0() -> None:
    ds = product(HH=np.full((2, 3), 2 + 1j, np.complex64))
    ds["HH"].attrs = {"units": "V", "long_name": "signal"}
    ds["HH"].encoding = {"scale_factor": 0.1}
    found = sigma0(ds)
    assert found.name == "sigma0"
    assert found.dtype == np.float32
    assert found.encoding == {}
    assert found.attrs == {
        "units": "1",
        "long_name": "backscatter coefficient sigma0",
        "standard_name": "surface_backwards_scattering_coefficient_of_radar_wave",
    }
    assert ds["HH"].attrs["units"] == "V"


def test_channel_is_chosen() -> None:
    one = np.ones((1, 1), np.float32)
    ds = product(HV=one, VV=2 * one, VH=3 * one)
    assert sigma0(ds).item() == 4
    assert sigma0(ds, polarisation="VH").item() == 9
    assert sigma0(product(VH=one, HV=2 * one)).item() == 4
    pair = product(secondary=one, reference=3 * one)
    assert sigma0(pair).item() == 9
    assert sigma0(pair, polarisation="secondary").item() == 1


@pytest.mark.parametrize("choice", ["HH", None])
def test_channel_that_is_not_there(choice: str | None) -> None:
    with pytest.raises(MissingVariableError, match=r"no variable HH.*it has: correlation"):
        sigma0(product(correlation=np.ones((1, 1))), polarisation=choice)


@given(st.floats(1e-6, 1e6))
def test_decibels_there_and_back(value: float) -> None:
    linear = xr.DataArray(np.array([value]))
    assert from_decibel(to_decibel(linear)).item() == pytest.approx(value, rel=1e-12)
    single = linear.astype(np.float32)
    assert from_decibel(to_decibel(single)).item() == pytest.approx(value, rel=5e-6)


def test_decibels_of_nothing_are_missing() -> None:
    values = xr.DataArray(np.array([0.0, -1.0, np.nan, 10.0], np.float32))
    found = to_decibel(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [np.nan, np.nan, np.nan, 10.0])
    np.testing.assert_array_equal(to_decibel(xr.DataArray([1, 100, 0])), [0.0, 20.0, np.nan])
    assert to_decibel(xr.DataArray(100.0)).item() == 20.0


def test_units_follow() -> None:
    linear = sigma0(product(HH=np.full((2, 3), 2, np.float32)))
    decibel = to_decibel(linear)
    assert decibel.attrs["units"] == "dB"
    assert "standard_name" not in decibel.attrs
    assert from_decibel(decibel).attrs["units"] == "1"
    assert linear.attrs["units"] == "1"
    with pytest.raises(InputError, match="in decibels already"):
        to_decibel(decibel)
    with pytest.raises(InputError, match="not in decibels"):
        from_decibel(linear)
    with pytest.raises(InputError, match="complex"):
        to_decibel(xr.DataArray(np.ones(2, complex)))


def test_lazy() -> None:
    values = da.ones((8, 8), chunks=3, dtype=np.complex64) * (3 + 4j)
    with dask.config.set(scheduler=no_computation):
        linear = sigma0(xr.Dataset({"HH": (("y", "x"), values)}))
        decibel = to_decibel(linear)
        back = from_decibel(decibel)
    assert linear.chunks == back.chunks == ((3, 3, 2), (3, 3, 2))
    assert linear.dtype == decibel.dtype == back.dtype == np.float32
    np.testing.assert_allclose(linear, 25.0)
    np.testing.assert_allclose(back, 25.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0.0, 1.0, "L1A"), "QualifyValue"),
        ((np.nan, 1.0, "L1A"), "QualifyValue"),
        ((1.0, np.inf, "L1A"), "CalibrationConst"),
        ((1.0, 1.0, "L3"), "level must be one of L1A, L1B, L2"),
    ],
)
def test_values_that_cannot_be(given: tuple[float, float, str], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        amplitude_factor(given[0], given[1], level=given[2])
