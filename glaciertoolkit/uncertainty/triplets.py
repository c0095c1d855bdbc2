"""Three pairs of three images: what two of them say against the third."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import DateError, GridError
from glaciertoolkit.robust import nmad


def closure(d12: xr.Dataset, d23: xr.Dataset, d13: xr.Dataset) -> xr.Dataset:
    """Closure of three pairs: what the first two say together, minus what the third says.

    Parameters
    ----------
    d12, d23, d13 : xarray.Dataset
        Displacements `dx`, `dy` on the same posts: from the first image to the second, from the
        second to the third, from the first to the third.

    Returns
    -------
    xarray.Dataset
        `dx_closure`, `dy_closure` (m); where errors are known also `dx_closure_error` and
        `dx_closure_z`; 0-d `dx_closure_median`, `dx_closure_nmad` and `n`.

    Raises
    ------
    GridError
        If the posts differ.
    DateError
        If the dates do not form a chain.

    Notes
    -----
    ``d12 + d23 - d13`` is zero for true displacements, whatever they are. An error that belongs
    to one image (its geometry) cancels; one that belongs to a pair (a wrong match, noise) does
    not. The three displacements are taken at the same posts: ice that moved by a good part of a
    template between the first and second image is measured elsewhere by the second pair.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> grid = {"y": [20.0, 10.0], "x": [0.0, 10.0]}
    >>> one = xr.Dataset({k: (("y", "x"), np.ones((2, 2))) for k in ("dx", "dy")}, coords=grid)
    >>> float(closure(one, one, 2 * one).dx_closure_median)
    0.0
    """
    parts = (d12, d23, d13)
    for part in parts:
        validate(part, needs=("dx", "dy"))
    for part in parts[1:]:
        for axis in ("y", "x"):
            if not np.array_equal(part[axis].values, d12[axis].values):
                raise GridError(
                    "the three pairs have different posts; track them with the same template and "
                    "step on one grid."
                )
    _check_chain(d12, d23, d13)
    out = xr.Dataset(coords={k: v for k, v in d12.coords.items() if set(v.dims) <= {"y", "x"}})
    out = out.drop_vars([k for k in ("reference_time", "secondary_time", "mid_date") if k in out])
    for name in ("dx", "dy"):
        left = (d12[name] + d23[name] - d13[name]).astype(np.float32)
        left.attrs = {"units": "m", "long_name": f"closure of {name}: 12 + 23 - 13"}
        out[f"{name}_closure"] = left
        if all(f"{name}_error" in part for part in parts):
            squares = (d12[f"{name}_error"] ** 2) + d23[f"{name}_error"] ** 2
            squares = squares + d13[f"{name}_error"] ** 2
            error = xr.DataArray(np.sqrt(squares)).astype(np.float32)
            error.attrs = {"units": "m", "long_name": f"1-sigma error of the closure of {name}"}
            out[f"{name}_closure_error"] = error
            out[f"{name}_closure_z"] = (left / error).assign_attrs({"units": "1"})
        values = np.asarray(left.values, float)
        known = values[np.isfinite(values)]
        middle = float(np.median(known)) if known.size else np.nan
        out[f"{name}_closure_median"] = ((), middle, {"units": "m"})
        out[f"{name}_closure_nmad"] = ((), nmad(known), {"units": "m"})
        out["n"] = ((), known.size, {"units": "1"})
    return out


def _check_chain(d12: xr.Dataset, d23: xr.Dataset, d13: xr.Dataset) -> None:
    names = ("reference_time", "secondary_time")
    if not all(name in part.coords for part in (d12, d23, d13) for name in names):
        return
    starts, ends = ([part[name].values for part in (d12, d23, d13)] for name in names)
    chain = ends[0] == starts[1] and starts[0] == starts[2] and ends[1] == ends[2]
    if not chain:
        said = ", ".join(
            f"{np.datetime_as_string(a, unit='D')} to {np.datetime_as_string(b, unit='D')}"
            for a, b in zip(starts, ends, strict=True)
        )
        raise DateError(
            f"the pairs do not form a chain 1-2, 2-3, 1-3 ({said}); give them in that order."
        )
