"""Removal of azimuth streaks: what the ionosphere does to the azimuth of whole lines."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import describe, validate
from glaciertoolkit.correction.points import require_computed, template_posts
from glaciertoolkit.errors import ParameterError, StableTerrainError
from glaciertoolkit.provenance import recorded
from glaciertoolkit.robust import nmad

Array = npt.NDArray[np.floating[Any]]

COMPONENTS = ("x", "y")
MOST_TURNED, COARSE, FINE = 45.0, 3.0, 0.1
"""Degrees: the largest angle of streaks that is looked for, the first and the last step."""

GAIN = 0.01
"""Share of the scatter that another angle has to take off to be preferred."""

FEWEST = 4
"""Templates of stable ground that a streak needs for a median of its own."""


@recorded
def remove_streaks(
    ds: xr.Dataset, *, stable: Any, components: tuple[str, ...] = ("y",), angle: float | None = None
) -> xr.Dataset:
    """Remove offsets that whole lines of posts have in common.

    Parameters
    ----------
    ds : xarray.Dataset
        Motion with `dx`, `dy`, the deformation and topography removed; in radar geometry the lines
        run along range.
    stable : xarray.DataArray of bool or True
        Non-glacial ground.
    components : tuple of {"x", "y"}
        Which components have streaks; the ionosphere acts on the azimuth.
    angle : float, optional
        Degrees by which the streaks are turned from the direction of x towards that of y; without
        it, the angle at which they explain most of what is left on stable ground.

    Returns
    -------
    xarray.Dataset
        `ds` without the streaks; `dx_streaks`, `dy_streaks` (m), what was removed, and
        `dx_streak_angle`, `dy_streak_angle` (degrees).

    Raises
    ------
    ParameterError
        Components or angle out of range.
    StableTerrainError
        No line holds enough stable ground.
    NotComputedError
        If tracking is still pending.

    Notes
    -----
    The median of the stable posts in a band as wide as half a template, along the direction of the
    streaks; between the middles of the bands it is interpolated linearly. Bands with less than
    four templates of stable ground take the value of their neighbours. The mean of all bands is
    left alone, as it belongs to the global deformation.

    References
    ----------
    The effect: Gray, Mattar and Sofko (2000), Influence of ionospheric electron density
    fluctuations on satellite radar interferometry, Geophys. Res. Lett. 27.
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy", "flag"))
    if not components or not set(components) <= set(COMPONENTS):
        raise ParameterError(f"components must be 'x', 'y' or both; got {components!r}.")
    if angle is not None and not -80 <= angle <= 80:
        raise ParameterError(f"angle must lie between -80 and 80 degrees; got {angle!r}.")
    require_computed(ds)
    ground = np.asarray(as_stable(stable, ds).values, bool)
    out = ds.copy()
    for axis in components:
        name = f"d{axis}"
        values = np.asarray(ds[name].values)
        turn = streak_angle(ds, values, ground) if angle is None else angle
        streaks = streaks_of(ds, values, ground, angle=turn)
        out[f"{name}_streaks"] = (("y", "x"), streaks)
        out[f"{name}_streak_angle"] = ((), turn, {"units": "degree"})
        out[name] = (ds[name] - out[f"{name}_streaks"]).astype(np.float32)
    return describe(out)


def streak_angle(ds: xr.Dataset, values: Array, ground: npt.NDArray[np.bool_]) -> float:
    """The angle (degrees) at which bands of posts have most in common on stable ground.

    Parameters
    ----------
    ds, values, ground
        As in `streaks_of`.
    """
    # A twentieth of the posts says as much about the direction of bands.
    every = {k: max(1, c // 4) for k, c in zip(("y", "x"), template_posts(ds), strict=True)}
    thin = {k: slice(None, None, n) for k, n in every.items()}
    few = ds[["dx"]].isel(thin)
    few.attrs = {
        **ds.attrs,
        "step": [s * n for s, n in zip(_steps(ds), every.values(), strict=True)],
    }
    seen, still = values[thin["y"], thin["x"]], ground[thin["y"], thin["x"]]

    def left(angle: float) -> float:
        try:
            rest = (seen - streaks_of(few, seen, still, angle=angle))[still]
        except StableTerrainError:
            return np.inf
        return nmad(rest[np.isfinite(rest)])

    best, width = 0.0, COARSE
    level = left(best)
    angles = np.arange(-MOST_TURNED, MOST_TURNED + COARSE / 2, COARSE)
    while width >= FINE:
        found = [left(float(a)) for a in angles]
        k = int(np.argmin(found))
        # Noise alone prefers one angle or the other; a streak shows.
        if found[k] < level * (1 - GAIN):
            best, level = float(angles[k]), found[k]
        width /= 4
        angles = best + width * np.arange(-4, 5)
    return best


def _steps(ds: xr.Dataset) -> tuple[int, int]:
    step = np.atleast_1d(ds.attrs.get("step", 1))
    return int(step[0]), int(step[-1])


def streaks_of(
    ds: xr.Dataset, values: Array, ground: npt.NDArray[np.bool_], *, angle: float = 0.0
) -> npt.NDArray[np.float32]:
    """The offset that each band of posts has in common, on all posts.

    Parameters
    ----------
    ds : xarray.Dataset
        The posts, with the attributes of `track`.
    values : numpy.ndarray, (y, x)
        One component of the displacement, metres.
    ground : numpy.ndarray of bool, (y, x)
        Stable ground.
    angle : float
        See `remove_streaks`.
    """
    y, x = (np.asarray(ds[k].values, float) for k in ("y", "x"))
    spacing = abs(y[-1] - y[0]) / max(y.size - 1, 1)
    cells = template_posts(ds)
    place = (y[:, None] - math.tan(math.radians(angle)) * x[None, :]) / spacing
    place -= place.min()
    width = max(cells[0] / 2, 1.0)
    band = (place / width).astype(np.int64)
    good = ground & np.isfinite(values)
    count = int(band.max()) + 1
    order = np.argsort(band[good], kind="stable")
    sorted_band, sorted_value = band[good][order], values[good][order]
    edges = np.searchsorted(sorted_band, np.arange(count + 1))
    least = FEWEST * cells[0] * cells[1] * (width / cells[0])
    middle = np.array(
        [
            np.median(sorted_value[a:b]) if b - a >= least else np.nan
            for a, b in itertools.pairwise(edges)
        ]
    )
    known = np.isfinite(middle)
    if not known.any():
        raise StableTerrainError(
            "no line of posts holds enough stable ground to tell a streak from noise (four "
            "templates are needed); leave the streaks in, or give more stable ground."
        )
    middle -= middle[known].mean()
    at = (np.arange(count) + 0.5) * width
    return np.asarray(np.interp(place, at[known], middle[known]), np.float32)
