"""Offsets as they were tracked, from motion that has been corrected."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe, validate
from glaciertoolkit.correction.terms import COMPONENTS
from glaciertoolkit.errors import InputError

PARTS = ("geometry", "deformation", "topography", "streaks", "stripes")
"""What the corrections leave in a Dataset of what they removed."""

OURS = Flag.NO_DEM | Flag.EXTRAPOLATED
"""Bits that tell of a correction, not of the tracking."""

REJECTED = (
    Flag.TOO_FAST | Flag.OUTLIER_DISPARITY | Flag.OUTLIER_MEDIAN | Flag.OUTLIER_DIRECTION
    | Flag.SMALL_OBJECT | Flag.IMPLAUSIBLE_STRAIN
)  # fmt: skip
"""Bits of posts whose offsets the noise filters have thrown away."""


def is_corrected(ds: xr.Dataset) -> bool:
    """Whether something has been removed from the offsets of `ds`, and is still known.

    Examples
    --------
    >>> import xarray as xr
    >>> is_corrected(xr.Dataset({"dx": ("x", [1.0]), "dx_deformation": ("x", [0.5])}))
    True
    """
    return bool(_removed(ds))


def _removed(ds: xr.Dataset) -> list[str]:
    return [f"d{a}_{p}" for a in COMPONENTS for p in PARTS if f"d{a}_{p}" in ds.data_vars]


def as_tracked(ds: xr.Dataset) -> tuple[xr.Dataset, str]:
    """The offsets before the corrections: what was removed, added again.

    Parameters
    ----------
    ds : xarray.Dataset
        From `correct` or its single steps, or the products of a run.

    Returns
    -------
    offsets : xarray.Dataset
        With `dx`, `dy`, `flag`, what tracking says of its matches, and nothing of the
        corrections; lazy where `ds` is lazy.
    note : str
        What could not be brought back, in a sentence.

    Raises
    ------
    InputError
        Nothing that was removed is known.
    MissingVariableError
        There is no displacement.

    Notes
    -----
    Equal to what was tracked within the rounding of float32. Posts that were rejected, or lie
    where the DEM knows no elevation, stay missing; what was filled or smoothed stays so; the
    errors stay those after the corrections.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> ds = xr.Dataset({"dx": (dims, 0.002 * x), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> from glaciertoolkit import remove_deformation
    >>> again, _ = as_tracked(remove_deformation(ds, stable=True, order=1))
    >>> bool(np.allclose(again.dx, ds.dx, atol=1e-5))
    True
    """
    validate(ds, needs=("dx", "dy", "flag"))
    removed = _removed(ds)
    if not removed:
        raise InputError("the Dataset holds none of the fields that corrections remove.")
    kept = ("dx_error", "dy_error", "dxdy_covariance", "correlation", "snr", "peak_ratio",
            "template_size", "height")  # fmt: skip
    out = ds[["dx", "dy", "flag", *(name for name in kept if name in ds)]]
    for axis in COMPONENTS:
        name = f"d{axis}"
        parts = [ds[part] for part in removed if part.startswith(f"{name}_")]
        value = ds[name]
        for part in parts:
            value = value + part
        out = out.assign({name: value.astype(np.float32)})
    flag = ds["flag"] & np.uint32(~np.uint32(OURS))
    return describe(out.assign(flag=flag)), (
        "These offsets had been corrected; what was removed has been added again. Posts that the "
        "noise filters had rejected could not be brought back, and the errors are those after "
        "the corrections."
    )
