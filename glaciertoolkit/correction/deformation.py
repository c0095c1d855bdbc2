"""Removal of the global deformation: a smooth misregistration of the whole scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe, validate
from glaciertoolkit.correction.fit import fit_surface
from glaciertoolkit.correction.points import require_computed, select_points
from glaciertoolkit.correction.surface import COMPONENTS, Surface, polynomial_terms
from glaciertoolkit.provenance import recorded


@recorded
def remove_deformation(ds: xr.Dataset, *, stable: Any, order: int = 2) -> xr.Dataset:
    """Fit a polynomial to the displacement of stable terrain and subtract it everywhere.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets with `dx`, `dy`, `flag`; computed or checkpointed, not a pending tracking graph.
    stable : xarray.DataArray of bool or True
        Non-glacial ground, from `stable_terrain`; True takes every post (drifting ice, tests).
    order : {0, 1, 2, 3}
        Degree of the polynomial in x and y; both components are fitted independently. Where the
        stable ground supports less, a lower order is used, with a warning that says why.

    Returns
    -------
    xarray.Dataset
        `dx`, `dy` without the deformation; `dx_deformation`, `dy_deformation` (m), what was
        removed; its coefficients, covariance, order and the scatter of the fit.

    Raises
    ------
    StableTerrainError
        Without stable ground, or with too little of it.
    NotComputedError
        If tracking is still pending.

    Notes
    -----
    ``d = sum c_ij x^i y^j``, i + j <= order, x and y scaled to [-1, 1] over the posts. One post a
    template is used; least trimmed squares, then Tukey's bisquare (`robust.regress`).
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy", "flag"))
    polynomial_terms(order)
    require_computed(ds)
    ground = as_stable(stable, ds)
    points = select_points(ds, stable=ground, elevation=None)
    surface = fit_surface(points, ds, order=order, elevation=None)
    return subtract(ds, surface, elevation=None).assign(stable=ground)


def subtract(ds: xr.Dataset, surface: Surface, *, elevation: xr.DataArray | None) -> xr.Dataset:
    """Subtract a fitted surface; keep its parts, its coefficients and its variance."""
    out = ds.copy()
    for k, axis in enumerate(COMPONENTS):
        name = f"d{axis}"
        value = ds[name]
        if surface.polynomial:
            part = surface.evaluate(ds, k, surface.polynomial, elevation)
            out[f"{name}_deformation"] = part
            value = value - part
        if surface.relief:
            part = surface.evaluate(ds, k, surface.relief, elevation)
            value = value - part
            # The orbits may have predicted most of it already.
            known = ds.get(f"{name}_topography")
            out[f"{name}_topography"] = part if known is None else known + part
        out[name] = value.astype(np.float32)
        if f"{name}_error" in ds:
            total = ds[f"{name}_error"] ** 2 + surface.variance(ds, k, elevation)
            out[f"{name}_error"] = np.sqrt(total).astype(np.float32)
    if surface.relief and elevation is not None:
        without = np.isnan(elevation)
        out["flag"] = out["flag"] | without.astype(np.uint32) * np.uint32(Flag.NO_DEM)
    if surface.polynomial:
        out = out.drop_dims([d for d in ("term", "term_2") if d in out.dims])
    out = out.assign(surface.diagnostics())
    if surface.messages:
        earlier = [str(out["correction_warnings"].item())] if "correction_warnings" in out else []
        out["correction_warnings"] = ((), "\n".join([*earlier, *surface.messages]))
    return describe(out)
