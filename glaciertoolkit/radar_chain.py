"""What a pair of radar products needs besides the common chain: geometry before, the map after."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import xarray as xr

from glaciertoolkit.blocks import checkpoint, open_checkpoint
from glaciertoolkit.errors import GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.sar.geometry import GEOMETRIES, geometries_of
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
    """The pair with the constant error of its geolocation, found by matching it with the DEM.

    Both images get the same correction: they come from one processor, and what differs between
    them is a constant offset, which the corrections remove.
    """
    from glaciertoolkit.sar.intensity import default_looks, estimate_geolocation_bias

    if not settings.geolocation:
        return pair
    geometries = geometries_of(pair)
    terrain = dem_grid(settings.dem or "", geometries.reference, geoid=geoid_of(settings))
    try:
        bias = estimate_geolocation_bias(
            pair["reference"], geometries.reference, terrain, exclude=settings.outlines
        )
    except InputError as error:
        return _unrefined(pair, str(error))
    if not bias.accepted:
        return _unrefined(pair, "its brightness could not be matched with the relief of the DEM.")
    looks = default_looks(geometries.reference, terrain)
    found = {"geolocation_bias": [bias.line, bias.sample], "geolocation_quality": bias.quality}
    if abs(bias.line) <= looks[0] and abs(bias.sample) <= looks[1]:
        # Less than the pixels that were matched: nothing is known to be wrong.
        return pair.assign_attrs(found | {"geolocation_bias": [0.0, 0.0]})
    mended = {
        GEOMETRIES[role]: bias.applied_to(geometry).to_json()
        for role, geometry in geometries._asdict().items()
    }
    return pair.assign_attrs(found | mended)


def _unrefined(pair: xr.Dataset, reason: str) -> xr.Dataset:
    warnings.warn(
        f"the geolocation of the reference image stands as its product says, where errors of tens "
        f"of metres are common: {reason}",
        GlacierToolkitWarning,
        stacklevel=4,
    )
    return pair


def tracking_options(pair: xr.Dataset, settings: Settings) -> dict[str, Any]:
    """Template, step and prior for `track`: about what the orbits predict."""
    # The first step that needs the terrain is the one that says what is missing.
    geoid = quietly(settings) if settings.geolocation else geoid_of(settings)
    prior = predict_offsets(pair, dem=settings.dem or "", geoid=geoid)
    return {
        "prior": prior[["dx", "dy"]],
        "template": settings.template,
        "step": settings.step or STEP,
    }


def quietly(settings: Settings) -> Any:
    """The geoid, where what is to be said of a missing one has been said already."""
    found = geoid_of(settings)
    return ELLIPSOIDAL if found is None else found


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
