"""From digital numbers to the backscatter coefficient."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import InputError, MissingVariableError, ParameterError

FULL_SCALE = {"L1A": 32_767.0, "L1B": 65_535.0, "L2": 65_535.0}
"""Digital number of the strongest amplitude of the scene, by processing level."""

CHANNELS = ("HH", "VV", "reference", "HV", "VH", "secondary")
"""Variables that hold backscatter; what ice and rock return most of comes first."""

SIGMA0 = {
    "units": "1",
    "long_name": "backscatter coefficient sigma0",
    "standard_name": "surface_backwards_scattering_coefficient_of_radar_wave",
}
RELATIVE = {"units": "1", "long_name": "backscatter, relative (no calibration constant)"}
DECIBEL = "dB"


def amplitude_factor(qualify: float, constant_db: float | None, *, level: str = "L1A") -> float:
    """Factor from digital numbers to the square root of sigma0.

    Parameters
    ----------
    qualify : float
        `QualifyValue` of the channel: the largest amplitude of the scene before quantisation.
    constant_db : float or None
        `CalibrationConst` of the channel, dB; None where the product has none (``NULL``), which
        leaves a sigma0 that is only relative.
    level : {"L1A", "L1B", "L2"}
        L1A holds complex numbers in 16 bits with a sign, L1B and L2 amplitudes in 16 bits without.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If `qualify` is not a positive number, `constant_db` not a number, or `level` unknown.

    Notes
    -----
    ``sigma0 = |DN|^2 (Q / 32767)^2 / 10^(K / 10)``, with 65535 for L1B and L2; the factor is the
    square root of all but ``|DN|^2``. No sine of the incidence angle enters.

    Examples
    --------
    >>> amplitude_factor(32767.0, 0.0)
    1.0
    >>> round(amplitude_factor(997.1, 24.46, level="L2") * 1e4, 4)
    9.1047
    """
    if level not in FULL_SCALE:
        raise ParameterError(f"level must be one of {', '.join(FULL_SCALE)}; got {level!r}.")
    if not (np.isfinite(qualify) and qualify > 0):
        raise ParameterError(f"the QualifyValue must be a positive number; got {qualify!r}.")
    constant = 0.0 if constant_db is None else constant_db
    if not np.isfinite(constant):
        raise ParameterError(f"the CalibrationConst must be a number or None; got {constant!r}.")
    return float(qualify / FULL_SCALE[level] / 10 ** (constant / 20))


def sigma0(ds: xr.Dataset, *, polarisation: str | None = None) -> xr.DataArray:
    """Backscatter coefficient of one channel, linear.

    Parameters
    ----------
    ds : xarray.Dataset
        A product, or a pair of them, as opened: complex or amplitude variables in units of the
        square root of sigma0.
    polarisation : str, optional
        The variable to take, such as ``"HV"`` or ``"secondary"``. By default HH or VV where there
        is one, the reference image of a pair, or what there is.

    Returns
    -------
    xarray.DataArray
        float32, lazy where `ds` is. Where the attribute `calibrated` of the variable or of the
        Dataset is false, the name says that values are only relative.

    Raises
    ------
    MissingVariableError
        If there is no such variable.

    Examples
    --------
    >>> ds = xr.Dataset({"HH": ("x", np.array([3 + 4j], np.complex64))})
    >>> float(sigma0(ds)[0])
    25.0
    """
    name = polarisation or next((c for c in CHANNELS if c in ds.data_vars), None)
    if name is None or name not in ds.data_vars:
        have = ", ".join(map(str, ds.data_vars)) or "none"
        raise MissingVariableError(
            f"the Dataset has no variable {name or 'HH, VV, HV, VH or reference'} (it has: {have});"
            " choose one with polarisation=, of a product opened with open_gf3() or open_pair()."
        )
    channel = ds[name]
    out = _mapped(channel, _squared, np.dtype(np.float32))
    calibrated = channel.attrs.get("calibrated", ds.attrs.get("calibrated", True))
    out.attrs = dict(SIGMA0 if calibrated not in (False, 0, "false") else RELATIVE)
    return out.rename("sigma0")


def to_decibel(da: xr.DataArray) -> xr.DataArray:
    """Linear values in decibels: ``10 log10``.

    Parameters
    ----------
    da : xarray.DataArray
        Such as sigma0.

    Returns
    -------
    xarray.DataArray
        Lazy where `da` is; NaN where it is 0 or negative.

    Raises
    ------
    InputError
        If `da` is complex, or in decibels already.

    Examples
    --------
    >>> to_decibel(xr.DataArray([100.0, 0.0])).values
    array([20., nan])
    """
    if da.attrs.get("units") == DECIBEL:
        raise InputError(f"{da.name or 'the DataArray'} is in decibels already.")
    out = _mapped(da, _to_decibel, _real(da))
    # The standard name asks for a unit without a logarithm.
    kept = {k: v for k, v in da.attrs.items() if k != "standard_name"}
    out.attrs = {**kept, "units": DECIBEL}
    return out


def from_decibel(da: xr.DataArray) -> xr.DataArray:
    """Decibels as linear values: ``10^(dB / 10)``.

    Parameters
    ----------
    da : xarray.DataArray
        Decibels.

    Returns
    -------
    xarray.DataArray
        Lazy where `da` is.

    Raises
    ------
    InputError
        If `da` is complex, or its units say that it is linear.

    Examples
    --------
    >>> from_decibel(xr.DataArray([20.0, np.nan])).values
    array([100.,  nan])
    """
    if da.attrs.get("units", DECIBEL) != DECIBEL:
        raise InputError(
            f"{da.name or 'the DataArray'} is not in decibels (its units are "
            f"{da.attrs['units']!r}); there is nothing to convert."
        )
    out = _mapped(da, _from_decibel, _real(da))
    out.attrs = {**da.attrs, "units": "1"}
    return out


def _real(da: xr.DataArray) -> np.dtype[Any]:
    """Type of the result for real values: their own, or float32 for integers."""
    if np.issubdtype(da.dtype, np.complexfloating):
        raise InputError(
            f"{da.name or 'the DataArray'} is complex; take sigma0() first, decibels are for "
            "its values."
        )
    return da.dtype if np.issubdtype(da.dtype, np.floating) else np.dtype(np.float32)


def _mapped(da: xr.DataArray, function: Any, dtype: np.dtype[Any]) -> xr.DataArray:
    """`function` of the values, block by block where they are lazy; without attributes."""
    run = functools.partial(function, dtype=dtype)
    if da.chunks is None:
        data = run(da.values)
    else:
        data = da.data.map_blocks(run, dtype=dtype, meta=np.empty((0,) * da.ndim, dtype))
    found = da.copy(data=data)
    found.attrs = {}
    # A packing in the file of what was given says nothing about what was made of it.
    found.encoding = {}
    return found


def _squared(values: Any, dtype: np.dtype[Any]) -> Any:
    if np.iscomplexobj(values):
        return (values.real**2 + values.imag**2).astype(dtype)
    return values.astype(dtype) ** 2


def _to_decibel(values: Any, dtype: np.dtype[Any]) -> Any:
    linear = np.asarray(values, np.float64)
    out = np.full(linear.shape, np.nan)
    np.log10(linear, out=out, where=linear > 0)
    return (10 * out).astype(dtype)


def _from_decibel(values: Any, dtype: np.dtype[Any]) -> Any:
    return np.power(10.0, np.asarray(values, np.float64) / 10).astype(dtype)
