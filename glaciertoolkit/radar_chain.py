"""What a pair of radar products needs besides the common chain: geometry before, the map after."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.blocks import checkpoint, open_checkpoint
from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.sar.baselines import incidence
from glaciertoolkit.sar.geocoding import image_to_ground
from glaciertoolkit.sar.geometry import GEOMETRIES, RadarGeometry, geometries_of
from glaciertoolkit.sar.heights import ELLIPSOIDAL, MODELS, dem_grid
from glaciertoolkit.sar.mapping import to_map
from glaciertoolkit.sar.posts import predict_offsets
from glaciertoolkit.settings import Settings

MOTION = "radar_motion.zarr"
"""Corrected motion in radar geometry, in the folder of the products."""

CORRECTED = ("dx", "dy", "dx_error", "dy_error", "dxdy_covariance", "flag", "height")
"""What the corrections read; the rest of the offsets stays on disk until it goes to the map."""

STEP = 4
"""Lines between posts: with FSI products 11 m, and 12 m is the posting of the map."""


def check_settings(settings: Settings) -> None:
    """What a radar pair cannot do without.

    Raises
    ------
    ParameterError
        Without a DEM.
    """
    if not settings.dem:
        raise ParameterError(
            "products in radar geometry need a DEM to come onto the map; give --dem FILE."
        )


def geoid_of(settings: Settings) -> Any:
    """The setting `geoid` as what `dem_grid` takes: a word, a number or a file."""
    text = settings.geoid
    if text is None or text in (ELLIPSOIDAL, *MODELS):
        return text
    try:
        return float(text)
    except ValueError:
        return os.path.abspath(text)  # noqa: PTH100  keeps links


def refined_geometry(pair: xr.Dataset, settings: Settings) -> xr.Dataset:
    """The pair with the constant error of its geolocation, found by matching it with the DEM."""
    from glaciertoolkit.sar.intensity import estimate_geolocation_bias

    if not settings.geolocation:
        return pair
    reference = geometries_of(pair).reference
    terrain = dem_grid(settings.dem or "", reference, geoid=geoid_of(settings))
    try:
        bias = estimate_geolocation_bias(
            pair["reference"], reference, terrain, exclude=settings.outlines
        )
    except InputError as error:
        reason = str(error)
    else:
        if bias.accepted:
            mended = bias.applied_to(reference)
            found = {"geolocation_bias": list(mended.bias), "geolocation_quality": bias.quality}
            return pair.assign_attrs({**found, GEOMETRIES["reference"]: mended.to_json()})
        reason = "its brightness could not be matched with the relief of the DEM."
    warnings.warn(
        f"the geolocation of the reference image stands as its product says, where errors of tens "
        f"of metres are common: {reason}",
        GlacierToolkitWarning,
        stacklevel=3,
    )
    return pair


def tracking_options(pair: xr.Dataset, settings: Settings) -> dict[str, Any]:
    """Template, step and prior for `track`: square on the ground, about the orbits' prediction."""
    reference = geometries_of(pair).reference
    prior = predict_offsets(pair, dem=settings.dem or "", geoid=quietly(settings))
    template, step = square_on_ground(
        reference, height=float(prior["height"].mean()), template=settings.template,
        step=settings.step or STEP,
    )  # fmt: skip
    return {"prior": prior[["dx", "dy"]], "template": template, "step": step}


def quietly(settings: Settings) -> Any:
    """The geoid, where what is to be said of a missing one has been said already."""
    found = geoid_of(settings)
    return ELLIPSOIDAL if found is None else found


def square_on_ground(
    geometry: RadarGeometry, *, height: float, template: int, step: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Template and step, each {"y", "x"} in pixels, that are about square on the ground.

    Parameters
    ----------
    geometry : RadarGeometry
    height : float
        Of the ground, metres.
    template, step : int
        Lines.

    Examples
    --------
    With FSI products a template of 64 lines becomes 48 samples wide, and a step of 4 lines 3.
    """
    lon, lat = image_to_ground(geometry, *geometry.centre, height)
    sine = float(np.sin(np.radians(incidence(geometry, lon, lat, height))))
    ratio = geometry.azimuth_spacing / (geometry.range_spacing / sine)
    across = max(1, round(step * ratio))
    # Whole steps keep the tracker's blocks large; even like the lines, whose middle it shares.
    unit = across if across % 2 == template % 2 == 0 else 2 * across
    width = max(unit, unit * round(template * ratio / unit))
    if template % 2:
        width += 1 - width % 2
    return {"y": template, "x": max(width, 8)}, {"y": step, "x": across}


def on_ground(ds: xr.Dataset) -> float:
    """Metres of ground range per metre of slant range in the middle of a scene, level ground."""
    geometry = geometries_of(ds).reference
    height = float(ds["height"].mean())
    lon, lat = image_to_ground(geometry, *geometry.centre, height)
    return float(1 / np.sin(np.radians(incidence(geometry, lon, lat, height))))


def loaded(offsets: xr.Dataset) -> xr.Dataset:
    """Stored offsets, with what the corrections need in memory."""
    return offsets.assign({name: offsets[name].load() for name in CORRECTED if name in offsets})


def stored(motion: xr.Dataset, folder: Path) -> xr.Dataset:
    """Corrected motion on disk, so that it need not be in memory together with the map."""
    checkpoint(motion, folder / MOTION, overwrite=True)
    return open_checkpoint(folder / MOTION)


def onto_map(motion: xr.Dataset, settings: Settings) -> xr.Dataset:
    """Motion in radar geometry, on the map."""
    return to_map(
        motion, dem=settings.dem or "", crs=settings.crs, posting=settings.posting,
        mode=settings.motion, components=settings.components, geoid=quietly(settings),
    )  # fmt: skip
