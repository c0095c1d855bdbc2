"""Stretching and squeezing along a profile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import describe, validate
from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.grids import template_metres
from glaciertoolkit.provenance import recorded

Floats = npt.NDArray[np.float64]

SPACINGS = 12
"""Spacings of the points that stand for a template where none is recorded."""


@recorded
def strain_rate(along: xr.Dataset, *, length: float | None = None) -> xr.Dataset:
    """Strain rate along a profile: how fast the ice is stretched or squeezed.

    Parameters
    ----------
    along : xarray.Dataset
        Result of `profile`: `v_along`, or else `v`, over `distance` (m, evenly spaced).
    length : float, optional
        Metres between the two values whose difference is taken. By default the diagonal of the
        template that `along` records: then the templates of both values share no pixel, whichever
        way the line runs. Where no template is recorded, twelve spacings of the points.

    Returns
    -------
    xarray.Dataset
        `along` with `strain_rate` (yr-1, positive where the ice is stretched) and
        `strain_rate_error` (1 sigma), float32; their attribute `length` holds the metres. NaN
        within half a `length` of the ends and where one of the two values is missing; the error
        is NaN where `along` states no error of the speed.

    Raises
    ------
    MissingVariableError
        `along` has neither `v_along` nor `v`.
    InputError
        `along` is not what `profile` returns.
    ParameterError
        `length` is not positive.

    Notes
    -----
    ``(v(s + length / 2) - v(s - length / 2)) / length``, with the values between the points
    interpolated. The error is the root of the sum of the squares of both errors over `length`, as
    if the two were independent; with a `length` shorter than a template they share pixels, and
    the error is too large. The errors are those of `v_along`, or else `v_error`.

    Only on a flow line is this the strain rate along the flow; elsewhere it is that along the
    line, and where the line bends `v_along` changes with its direction alone. Strain in the other
    directions does not show.

    References
    ----------
    Cuffey, K. M. and Paterson, W. S. B. (2010), The Physics of Glaciers, section 7.1.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> s = 100.0 * np.arange(11)
    >>> v = {"v_along": ("distance", 20 + 0.02 * s), "v_error": ("distance", 0 * s + 3)}
    >>> strained = strain_rate(xr.Dataset(v, coords={"distance": s}), length=600)
    >>> [f"{rate:.3f}" for rate in strained.strain_rate.values[2:6]]
    ['nan', '0.020', '0.020', '0.020']
    >>> round(float(strained.strain_rate_error[5]), 4)  # the root of 3^2 + 3^2, over 600 m
    0.0071
    """
    if length is not None and not (length > 0 and math.isfinite(length)):
        raise ParameterError(f"length must be positive metres; got {length!r}.")
    name = "v_along" if "v_along" in along else "v"
    validate(along, needs=(name,))
    spacing = _spacing(along, name)
    length = strain_length(along) if length is None else float(length)
    half = length / 2 / spacing
    below, above = (_shifted(along[name].values, k) for k in (half, -half))
    values = {"strain_rate": (below - above) / length}
    stated = next((k for k in (f"{name}_error", "v_error") if k in along), None)
    if stated is not None:
        below, above = (_shifted(along[stated].values, k) for k in (half, -half))
        error = np.hypot(below, above) / length
    else:
        error = np.full(values["strain_rate"].shape, np.nan)
    values["strain_rate_error"] = np.where(np.isfinite(values["strain_rate"]), error, np.nan)
    out = along.assign({k: ("distance", v.astype(np.float32)) for k, v in values.items()})
    out = describe(out)
    for k in values:
        out[k].attrs["length"] = length
    return out


def strain_length(along: xr.Dataset) -> float:
    """The `length` that `strain_rate` takes by default, m.

    Examples
    --------
    >>> import xarray as xr
    >>> made = {"template": [48, 48], "pixel": [8.0, 8.0]}
    >>> round(strain_length(xr.Dataset(coords={"distance": [0.0, 64.0]}, attrs=made)))
    543
    """
    edge = template_metres(along)
    if edge is not None:
        return math.sqrt(2) * edge
    return SPACINGS * _spacing(along)


def _spacing(along: xr.Dataset, name: str | None = None) -> float:
    """Metres between the points."""
    distance = np.asarray(along["distance"].values, float) if "distance" in along.coords else None
    if distance is None or distance.ndim != 1 or (name and along[name].dims != ("distance",)):
        raise InputError(
            "a strain rate is taken along a line: give the result of profile(), over distance."
        )
    steps = np.diff(distance)
    if not steps.size or not steps.min() > 0 or steps.max() - steps.min() > 1e-3 * steps.mean():
        raise InputError(
            "the points of the line must be evenly spaced, two or more; give the result of "
            "profile(), whole."
        )
    return float(steps.mean())


def _shifted(values: npt.NDArray[Any], by: float) -> Floats:
    """Values `by` points further on, interpolated; NaN beyond the ends and beside missing ones."""
    at = np.arange(len(values)) + by
    # A value that lies on a point, rounding aside, needs no neighbour.
    at = np.where(np.abs(at - np.rint(at)) < 1e-6, np.rint(at), at)
    first = np.floor(at)
    share = at - first
    inside = (first >= 0) & (np.ceil(at) <= len(values) - 1)
    known = np.asarray(values, float)
    one = known[np.clip(first, 0, len(values) - 1).astype(int)]
    other = known[np.clip(first + 1, 0, len(values) - 1).astype(int)]
    between = np.where(share > 0, (1 - share) * one + share * other, one)
    return np.where(inside, between, np.nan)
