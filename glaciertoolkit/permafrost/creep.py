"""Classes of velocity, for rock glaciers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError

RGIK = (0.01, 0.03, 0.1, 0.3, 1.0)
"""m yr-1: upper bounds of the classes of moving areas, the last class has none."""
RGIK_NAMES = ("<1", "1-3", "3-10", "10-30", "30-100", ">100")
SCHEMES = {"rgik": (RGIK, RGIK_NAMES, "cm yr-1")}
UNDETECTED, MISSING = 0, -1


def classify_velocity(v: Any, *, scheme: str = "rgik", error: Any = None) -> Any:
    """Velocity class of a moving area.

    Parameters
    ----------
    v : xarray.DataArray or array_like
        Speed, m yr-1.
    scheme : {"rgik"}
        Classes of the rock glacier inventories: below 1, 1 to 3, 3 to 10, 10 to 30, 30 to 100
        and above 100 cm yr-1, numbered from 1. A speed on a bound belongs to the faster class.
    error : like `v`, optional
        1-sigma, m yr-1. A speed below twice its error is not told from rest: class 0.

    Returns
    -------
    xarray.DataArray or numpy.ndarray of int8
        1 to 6; 0 where the motion is below what can be detected; -1 where there is no speed. A
        DataArray has CF `flag_values` and `flag_meanings`.

    Raises
    ------
    ParameterError, InputError
        An unknown scheme; a negative speed, or one in other units than m yr-1.

    Notes
    -----
    Tracking of metre-sized pixels over months sees the two or three fastest classes; the slower
    ones need interferometry.

    Examples
    --------
    >>> classify_velocity([0.005, 0.5, 2.0, float("nan")]).tolist()
    [1, 5, 6, -1]
    >>> classify_velocity([0.5, 2.0], error=0.5).tolist()
    [0, 6]
    """
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme must be one of {', '.join(SCHEMES)}; got {scheme!r}.")
    bounds, names, units = SCHEMES[scheme]
    if isinstance(v, xr.DataArray):
        if v.attrs.get("units", "m yr-1") != "m yr-1":
            raise InputError(f"the speed must be in m yr-1; it is in {v.attrs['units']}.")
        given = [v] if error is None else [v, error]
        out = xr.apply_ufunc(
            _classes,
            *given,
            kwargs={"bounds": bounds},
            dask="parallelized",
            output_dtypes=[np.int8],
        )
        meanings = ["missing", "undetected", *(f"{n}_{units}".replace(" ", "_") for n in names)]
        out.attrs = {
            "long_name": f"velocity class ({scheme.upper()}, {units})",
            "units": "1",
            "flag_values": np.arange(MISSING, len(names) + 1, dtype=np.int8),
            "flag_meanings": " ".join(meanings),
        }
        return out.rename("velocity_class")
    values = np.asarray(v, np.float64)
    return _classes(values, *([] if error is None else [np.asarray(error, float)]), bounds=bounds)


def _classes(
    v: npt.NDArray[Any], error: npt.NDArray[Any] | None = None, *, bounds: tuple[float, ...]
) -> npt.NDArray[np.int8]:
    if (v < 0).any():
        raise InputError("a speed cannot be negative; classify the magnitude of the velocity.")
    # float32 holds no decimal bound exactly: 0.1 m yr-1 must not fall below its own class.
    v = np.round(v.astype(np.float64), 7)
    found = np.digitize(v, bounds) + 1
    if error is not None:
        found = np.where(v < 2 * error, UNDETECTED, found)
        found = np.where(np.isfinite(error), found, MISSING)
    return np.where(np.isfinite(v), found, MISSING).astype(np.int8)
