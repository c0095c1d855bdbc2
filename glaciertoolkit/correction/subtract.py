"""Subtracting a fitted surface from a field of displacements."""

from __future__ import annotations

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import Flag, describe
from glaciertoolkit.correction.surface import Surface
from glaciertoolkit.correction.terms import COMPONENTS, ELEVATION, Terrain


def subtract(ds: xr.Dataset, surface: Surface, *, terrain: Terrain) -> xr.Dataset:
    """Subtract a fitted surface; keep its parts, its coefficients and its variance."""
    out = ds.copy()
    for k, axis in enumerate(COMPONENTS):
        name = f"d{axis}"
        value = ds[name]
        if surface.polynomial:
            part = surface.evaluate(ds, k, surface.polynomial, terrain)
            out[f"{name}_deformation"] = part
            value = value - part
        if surface.relief:
            part = surface.evaluate(ds, k, surface.relief, terrain)
            value = value - part
            # The orbits may have predicted most of it already.
            known = ds.get(f"{name}_topography")
            out[f"{name}_topography"] = part if known is None else known + part
        out[name] = value.astype(np.float32)
        if f"{name}_error" in ds:
            total = ds[f"{name}_error"] ** 2 + surface.variance(ds, k, terrain)
            out[f"{name}_error"] = np.sqrt(total).astype(np.float32)
    if surface.relief and terrain:
        without = np.isnan(terrain[ELEVATION])
        out["flag"] = out["flag"] | without.astype(np.uint32) * np.uint32(Flag.NO_DEM)
    if surface.polynomial:
        stale = ("term", "term_2", "centre", "cv_model")
        out = out.drop_dims([d for d in stale if d in out.dims])
    out = out.assign(surface.diagnostics())
    if surface.messages:
        earlier = [str(out["correction_warnings"].item())] if "correction_warnings" in out else []
        out["correction_warnings"] = ((), "\n".join([*earlier, *surface.messages]))
    return describe(out)
