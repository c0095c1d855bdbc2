"""How the topography-related offset is removed: predicted by the orbits, or fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.correction.surface import KILOMETRE, Surface
from glaciertoolkit.correction.terms import (
    BASELINE,
    COMPONENTS,
    ELEVATION,
    ELEVATION_SQUARED,
    SLOPES,
)
from glaciertoolkit.errors import ParameterError

METHODS = ("geometric", "baseline", "elevation", "quadratic")
"""How the topography-related offset may be removed."""

ON_A_MAP = ("elevation", "quadratic")
TERMS = {
    "geometric": BASELINE[:1], "baseline": BASELINE, "elevation": (ELEVATION,),
    "quadratic": (ELEVATION, ELEVATION_SQUARED),
}  # fmt: skip
SIGNIFICANT = 3.0
"""Standard errors by which the orbits' baseline must be off before it is mended."""

AGREEMENT = (30.0, 0.1)
"""Metres, and share, by which a fitted baseline may differ from that of the orbits."""

Topography = bool | str


@dataclass(frozen=True)
class Relief:
    """What is known of the topographic offset before the fit, and what the fit may use.

    Parameters
    ----------
    method : str or None
        One of `METHODS`; None leaves the offset in place.
    elevation : xarray.DataArray or None
        Height of the posts, metres.
    slopes : dict of xarray.DataArray
        `surface.SLOPES` at the posts, where their terms are wanted.
    terms : tuple of str
        Terms for the fit.
    optional : bool
        Whether a term that is not significant is left out again.
    sine : tuple of float
        See `surface.Frame`.
    orbit_baseline : float or None
        Perpendicular baseline of the orbits at the middle of the scene, metres.
    """

    method: str | None
    elevation: xr.DataArray | None
    terms: tuple[str, ...] = ()
    optional: bool = False
    sine: tuple[float, ...] = ()
    orbit_baseline: float | None = None
    slopes: dict[str, xr.DataArray] = field(default_factory=dict)

    @property
    def terrain(self) -> dict[str, xr.DataArray]:
        """What is known of the terrain at the posts; empty without an elevation."""
        return {} if self.elevation is None else {ELEVATION: self.elevation, **self.slopes}


def method_of(topography: Topography, *, radar: bool) -> str | None:
    """The method that `topography` asks for.

    Raises
    ------
    ParameterError
        If it is unknown, or needs orbits that are not known.
    """
    if topography is False:
        return None
    if topography is True:
        return "geometric" if radar else "elevation"
    if topography not in METHODS:
        raise ParameterError(
            f"topography must be True, False, {', '.join(map(repr, METHODS))}; got {topography!r}."
        )
    if topography not in ON_A_MAP and not radar:
        raise ParameterError(
            f"topography={topography!r} needs the orbits of a pair in radar geometry; for images "
            "on a map give topography='elevation' or 'quadratic'."
        )
    return topography


def check_aspect(aspect: bool, method: str | None, *, radar: bool) -> None:
    """Raise `ParameterError` where the term of slope and aspect cannot be had."""
    if aspect and (radar or method is None):
        raise ParameterError(
            "aspect=True adds a term to the topography-related offset of images on a map; "
            + ("in radar geometry leave it out." if radar else "it needs topography=True.")
        )


def prepare(
    ds: xr.Dataset, dem: Any, topography: Topography, *, stable: xr.DataArray, aspect: bool = False
) -> tuple[xr.Dataset, Relief]:
    """Offsets without what the orbits predict, and what is left to fit.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets on a map, or located ones in radar geometry.
    dem : xarray.DataArray, path-like or None
    topography : bool or str
        See `correct`.
    stable : xarray.DataArray of bool
        The reference height is the mean of this ground's.
    aspect : bool
        Whether the fit has terms of slope and aspect.
    """
    radar = in_radar_geometry(ds)
    method = method_of(topography, radar=radar)
    check_aspect(aspect, method, radar=radar)
    if not radar:
        if method is None or dem is None:
            return ds, Relief(method, None)
        from glaciertoolkit.correction.topography import at_posts

        terrain = at_posts(ds, dem, slopes=aspect)
        relief = Relief(
            method,
            terrain.pop(ELEVATION),
            TERMS[method] + (SLOPES if aspect else ()),
            slopes=terrain,
        )
        return ds, relief
    return _without_prediction(ds, method, stable)


def _without_prediction(
    ds: xr.Dataset, method: str | None, stable: xr.DataArray
) -> tuple[xr.Dataset, Relief]:
    from glaciertoolkit.sar.posts import predicted

    height = ds["height"]
    ground = np.asarray(stable.values, bool) & np.isfinite(height.values)
    reference = float(height.values[ground].mean()) if ground.any() else float(height.mean())
    flat = predicted(ds, reference)
    out = ds.copy()
    for axis, part in zip(COMPONENTS, flat, strict=True):
        out[f"d{axis}_geometry"] = (("y", "x"), part)
        out[f"d{axis}"] = (ds[f"d{axis}"] - out[f"d{axis}_geometry"]).astype(np.float32)
    if method == "geometric":
        for axis, whole, part in zip(COMPONENTS, predicted(ds, height.values), flat, strict=True):
            out[f"d{axis}_topography"] = (("y", "x"), whole - part)
            out[f"d{axis}"] = (out[f"d{axis}"] - out[f"d{axis}_topography"]).astype(np.float32)
    sine, orbit_baseline = _geometry(ds, reference)
    relief = Relief(
        method=method,
        elevation=height if method else None,
        terms=TERMS[method] if method else (),
        optional=method == "geometric",
        sine=sine,
        orbit_baseline=orbit_baseline,
    )
    return out, relief


def _geometry(ds: xr.Dataset, height: float) -> tuple[tuple[float, ...], float]:
    """Sine of the incidence angle over the dimensionless x, and the baseline in the middle."""
    from glaciertoolkit.sar.baselines import baseline, incidence
    from glaciertoolkit.sar.geocoding import image_to_ground
    from glaciertoolkit.sar.geometry import geometries_of

    pair = geometries_of(ds)
    x = np.linspace(float(ds["x"][0]), float(ds["x"][-1]), 9)
    middle = np.full(9, float(ds["y"].mean()))
    lon, lat = image_to_ground(pair.reference, *pair.reference.pixel_of(middle, x), height)
    sine = np.sin(np.radians(incidence(pair.reference, lon, lat, height)))
    coefficients = np.polynomial.polynomial.polyfit(np.linspace(-1, 1, 9), sine, 2)
    found = baseline(*pair, longitude=lon[4], latitude=lat[4], height=height)
    return tuple(map(float, coefficients)), float(found.perpendicular)


def significant(surface: Surface) -> bool:
    """Whether a term of relief differs from zero in either component."""
    for term in surface.relief:
        value, error = surface.coefficient(term)
        if (np.abs(value) > SIGNIFICANT * error).any():
            return True
    return False


def baseline_diagnostics(relief: Relief, surface: Surface | None) -> tuple[dict[str, Any], str]:
    """Variables that say which baseline was removed, and a warning where it contradicts the orbits.

    Parameters
    ----------
    relief : Relief
    surface : Surface or None
        What was fitted.

    Returns
    -------
    variables : dict
    message : str
        Empty where both agree.
    """
    known = relief.orbit_baseline
    if known is None:
        return {}, ""
    found: dict[str, Any] = {
        "baseline_orbit": (
            (),
            known,
            {"units": "m", "long_name": "perpendicular baseline of the orbits, middle of scene"},
        )
    }
    if surface is None or BASELINE[0] not in surface.terms:
        return found, ""
    value, error = (float(v[0]) * KILOMETRE for v in surface.coefficient(BASELINE[0]))
    fitted = value + (known if relief.method == "geometric" else 0.0)
    found["baseline_perpendicular"] = (
        (),
        fitted,
        {"units": "m", "long_name": "perpendicular baseline that explains the stable ground"},
    )
    found["baseline_perpendicular_error"] = (
        (),
        error,
        {"units": "m", "long_name": "1-sigma error of the perpendicular baseline"},
    )
    limit = max(AGREEMENT[0], AGREEMENT[1] * abs(known))
    if relief.method == "baseline" and error > limit:
        return found, (
            f"the stable ground fixes the perpendicular baseline only to {error:.0f} m "
            f"({fitted:.0f} m, the orbits say {known:.0f} m): it spans too little relief, and what "
            "the orbits predict (topography='geometric') is the sounder correction."
        )
    if abs(fitted - known) <= limit + SIGNIFICANT * error:
        return found, ""
    return found, (
        f"the topography-related offset of the stable ground asks for a perpendicular baseline of "
        f"{fitted:.0f} m, but the orbits say {known:.0f} m; the orbits, the DEM or the stable "
        "ground are wrong."
    )
