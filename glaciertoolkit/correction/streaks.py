"""Removal of streaks and stripes: what whole lines of posts have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import describe, validate
from glaciertoolkit.correction.bands import Array, best_angle, profile_of
from glaciertoolkit.correction.points import require_computed
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.provenance import recorded

COMPONENTS = ("x", "y")


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

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> dx = 0 * x
    >>> ds = xr.Dataset({"dx": (dims, dx), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> ds["dy"] = ds.dy + 0.5 * np.sin(ds.y / 300).astype("float32")
    >>> out = remove_streaks(ds, stable=True, angle=0.0)
    >>> float(ds.dy.std()) > 0.3, float(out.dy.std()) < 0.05
    (True, True)
    """
    from glaciertoolkit.terrain import as_stable

    _check(components, angle)
    validate(ds, needs=("dx", "dy", "flag"))
    require_computed(ds)
    ground = np.asarray(as_stable(stable, ds).values, bool)
    out = ds.copy()
    for axis in components:
        name = f"d{axis}"
        values = np.asarray(ds[name].values)
        turn = best_angle(ds, values, ground) if angle is None else angle
        out[f"{name}_streaks"] = profile_of(ds, values, ground, angle=turn).on(ds)
        out[f"{name}_streak_angle"] = ((), turn, {"units": "degree"})
        out[name] = (ds[name] - out[f"{name}_streaks"]).astype(np.float32)
    return describe(out)


@recorded
def remove_stripes(
    ds: xr.Dataset, *, stable: Any, components: tuple[str, ...] = ("x", "y"), along: str = "y",
    angle: float | None = 0.0, wave: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Remove the stripes of optical images: offsets that columns or rows of posts share.

    The detectors of a push-broom camera leave stripes along the track, its jitter leaves waves
    across it.

    Parameters
    ----------
    ds : xarray.Dataset
        Motion with `dx`, `dy`, the deformation and topography removed.
    stable : xarray.DataArray of bool or True
        Non-glacial ground.
    components : tuple of {"x", "y"}
        Which components have stripes.
    along : {"y", "x"}
        Whether the stripes are columns ("y") or rows ("x").
    angle : float or None
        Degrees by which they are turned from that direction towards the other axis, -80 to 80, as
        the track is on a map; None for the angle at which they explain most of what is left on
        stable ground.
    wave : bool
        Remove the sinusoid that explains most of the profile across the stripes, in place of the
        profile itself: jitter is one, and a sinusoid is known also where no ground is stable.

    Returns
    -------
    xarray.Dataset
        `ds` without the stripes; `dx_stripes`, `dy_stripes` (m), what was removed, and
        `dx_stripe_angle`, `dy_stripe_angle` (degrees); of a wave also `dx_stripe_period`,
        `dy_stripe_period` (m; NaN where none stands out). Lazy where `ds` is lazy; the profile is
        computed at once.

    Raises
    ------
    ParameterError
        Components, direction or angle out of range.
    StableTerrainError
        No stripe holds enough stable ground.
    NotComputedError
        If tracking is still pending.

    Notes
    -----
    As `remove_streaks`: medians of the stable posts in bands of half a template. A wave is fitted
    to the medians by least squares, at the frequency that leaves least, and kept where its
    amplitude exceeds three standard errors.

    References
    ----------
    Leprince, Barbot, Ayoub and Avouac (2007), Automatic and precise orthorectification,
    coregistration, and subpixel correlation of satellite images, IEEE Trans. Geosci. Remote
    Sens. 45.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> dx = 0.4 * np.sin(x / 300)
    >>> ds = xr.Dataset({"dx": (dims, dx), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> out = remove_stripes(ds, stable=True)
    >>> float(ds.dx.std()) > 0.25, float(out.dx.std()) < 0.05
    (True, True)
    """
    from glaciertoolkit.terrain import as_stable

    _check(components, angle)
    if along not in COMPONENTS:
        raise ParameterError(f"along must be 'y' (columns) or 'x' (rows); got {along!r}.")
    validate(ds, needs=("dx", "dy", "flag"))
    require_computed(ds)
    ground = np.asarray(as_stable(stable, ds).values, bool)
    out = ds.copy()
    for axis in components:
        name = f"d{axis}"
        values = np.asarray(ds[name].values)
        turn = best_angle(ds, values, ground, along=along) if angle is None else angle
        profile = profile_of(ds, values, ground, angle=turn, along=along)
        if wave:
            profile, posts = profile.as_wave()
            period = posts * profile.bands.spacing
            out[f"{name}_stripe_period"] = ((), period, {"units": "m"})
        out[f"{name}_stripes"] = profile.on(ds)
        out[f"{name}_stripe_angle"] = ((), turn, {"units": "degree"})
        out[name] = (ds[name] - out[f"{name}_stripes"]).astype(np.float32)
    return describe(out)


def _check(components: tuple[str, ...], angle: float | None) -> None:
    if not components or not set(components) <= set(COMPONENTS):
        raise ParameterError(f"components must be 'x', 'y' or both; got {components!r}.")
    if angle is not None and not -80 <= angle <= 80:
        raise ParameterError(f"angle must lie between -80 and 80 degrees; got {angle!r}.")


def streaks_of(
    ds: xr.Dataset, values: Array, ground: npt.NDArray[np.bool_], *, angle: float = 0.0
) -> npt.NDArray[np.float32]:
    """The offset that each band of posts has in common, on all posts; see `bands.profile_of`."""
    return np.asarray(profile_of(ds, values, ground, angle=angle).on(ds).values)
