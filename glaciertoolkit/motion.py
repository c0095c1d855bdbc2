"""From displacement to velocity."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS, describe, interval_days, validate
from glaciertoolkit.errors import DateError
from glaciertoolkit.provenance import recorded
from glaciertoolkit.vectors import (
    debiased_magnitude,
    direction_error,
    is_significant,
    magnitude_error,
)

DERIVED = {
    "v_error": magnitude_error,
    "v_debiased": debiased_magnitude,
    "direction_error": direction_error,
    "significant": is_significant,
}
"""What follows from the components of the velocity and their errors."""


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
        `ds` with `vx`, `vy`, `v` (m yr-1, 365.25 days) and `direction` (degrees clockwise from
        grid north); where `dx_error` exists also `vx_error`, `vy_error`, `v_error`,
        `direction_error`, `v_debiased` (the length without what noise adds to it on average; `v`
        stays the measured one) and `significant` (the vector differs from zero as clearly as two
        standard deviations of one number). float32; lazy where `ds` is lazy.

    Raises
    ------
    MissingVariableError
        If `ds` has no displacement or no dates.
    DateError
        If the dates are equal or reversed.

    Notes
    -----
    ``s_v^2 = (vx^2 s_x^2 + vy^2 s_y^2 + 2 vx vy s_xy) / v^2``; where v is zero the mean of the
    components' variances stands. ``direction = atan2(vx, vy)``, its error ``s_p / v`` with s_p
    the error across the direction (at most 104 degrees), ``v_debiased = sqrt(v^2 - s_p^2)``.
    `significant` where ``(vx, vy) S^-1 (vx, vy)^T > 6.18``, with S the covariance: what noise
    alone exceeds in 4.55 % of cases.

    References
    ----------
    Gudbjartsson, H. and Patz, S. (1995), The Rician distribution of noisy MRI data, Magn. Reson.
    Med. 34.

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
    out["direction"] = np.degrees(np.arctan2(out["vx"], out["vy"])) % np.float32(360)
    if {"dx_error", "dy_error"} <= set(ds.data_vars):
        for axis in ("x", "y"):
            out[f"v{axis}_error"] = ds[f"d{axis}_error"] * per_year
        covariance = ds["dxdy_covariance"] * per_year**2 if "dxdy_covariance" in ds else 0.0
        vector = (out["vx"], out["vy"], out["vx_error"], out["vy_error"], covariance)
        for name, function in DERIVED.items():
            kind = bool if name == "significant" else np.float32
            out[name] = xr.apply_ufunc(
                function, *vector, dask="parallelized", output_dtypes=[kind]
            ).astype(kind)
    return describe(out)
