"""Horizontal and vertical shift between two elevation models, through xDEM."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.grids import crs_of, post_transform

_SEED = 20190903


class Shift(NamedTuple):
    """What was added to the coordinates and heights of the later model, m."""

    x: float
    y: float
    z: float


def coregister(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    stable: npt.NDArray[np.bool_],
    like: xr.DataArray,
) -> tuple[Shift, npt.NDArray[np.float64]]:
    """Shift `second` onto `first` by the method of Nuth and Kaab; both on the posts of `like`."""
    import warnings

    try:
        from xdem.coreg import NuthKaab
    except ImportError as error:
        raise InputError(
            "aligning elevation models in three dimensions needs xDEM; install it with "
            "pip install 'glaciertoolkit[dem]', or take align='vertical'."
        ) from error
    crs = crs_of(like)
    if crs is None:
        raise GridError("the elevation models have no CRS; set it with rio.write_crs().")
    place: dict[str, Any] = {"transform": post_transform(like), "crs": crs}
    method = NuthKaab()
    try:
        with warnings.catch_warnings():
            # What xDEM has to say about its own dependencies is not the user's concern.
            warnings.simplefilter("ignore")
            method.fit(first, second, inlier_mask=stable, random_state=_SEED, **place)
            moved, _ = method.apply(second, resample=True, **place)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise InputError(
            f"the elevation models cannot be aligned ({error}); stable ground needs slopes "
            f"that face in all directions. Take align='vertical' on flat ground."
        ) from error
    found = method.meta["outputs"]["affine"]
    shift = Shift(*(float(found[f"shift_{axis}"]) for axis in "xyz"))
    return shift, np.asarray(np.ma.filled(moved, np.nan), np.float64)
