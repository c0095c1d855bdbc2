"""From displacement to velocity."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS, describe, interval_days, validate
from glaciertoolkit.errors import DateError
from glaciertoolkit.provenance import recorded
from glaciertoolkit.vectors import magnitude_error


@recorded
def velocity(ds: xr.Dataset) -> xr.Dataset:
    """Divide the motion by the time between the two images.

    Parameters
    ----------
    ds : xarray.Dataset
        Motion with `dx`, `dy` (m) and the coordinates `reference_time`, `secondary_time`.

    Returns
    -------
    xarray.Dataset
        `ds` with `vx`, `vy`, `v` and, where `dx_error` exists, `vx_error`, `vy_error`, `v_error`
        (m yr-1, 365.25 days), float32; lazy where `ds` is lazy.

    Raises
    ------
    MissingVariableError
        If `ds` has no displacement or no dates.
    DateError
        If the dates are equal or reversed.

    Notes
    -----
    ``s_v^2 = (vx^2 s_x^2 + vy^2 s_y^2 + 2 vx vy s_xy) / v^2``; where v is zero the mean of the
    components' variances stands.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> motion = xr.Dataset(
    ...     {"dx": ("x", np.float32([2.9])), "dy": ("x", np.float32([0.0]))},
    ...     coords={"reference_time": np.datetime64("2020-01-01", "ns"),
    ...             "secondary_time": np.datetime64("2020-01-30", "ns")},
    ... )
    >>> round(float(velocity(motion).v[0]), 3)
    36.525
    """
    validate(ds, needs=("dx", "dy", "reference_time", "secondary_time"))
    days = interval_days(ds)
    if not days > 0:
        raise DateError(
            f"the secondary image was taken {-days:g} days before the reference; swap the two "
            f"images, or give the right dates to open_pair()."
        )
    per_year = np.float32(YEAR_DAYS / days)
    out = ds.copy()
    for axis in ("x", "y"):
        out[f"v{axis}"] = ds[f"d{axis}"] * per_year
    out["v"] = np.hypot(out["vx"], out["vy"])
    if {"dx_error", "dy_error"} <= set(ds.data_vars):
        for axis in ("x", "y"):
            out[f"v{axis}_error"] = ds[f"d{axis}_error"] * per_year
        covariance = ds["dxdy_covariance"] * per_year**2 if "dxdy_covariance" in ds else 0.0
        out["v_error"] = xr.apply_ufunc(
            magnitude_error,
            out["vx"], out["vy"], out["vx_error"], out["vy_error"], covariance,
            dask="parallelized",
            output_dtypes=[np.float32],
        ).astype(np.float32)  # fmt: skip
    return describe(out)
