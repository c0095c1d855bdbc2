"""What each correction does to the ground that does not move, and what is lost without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.terms import COMPONENTS
from glaciertoolkit.provenance import history
from glaciertoolkit.robust import nmad
from glaciertoolkit.sar.footprint import ground_per_slant
from glaciertoolkit.sar.geometry import geometry_of

Residuals = dict[str, tuple[np.ndarray, np.ndarray]]
"""Displacement (x, y) left on stable ground, metres, from the name of each step."""

RAW = "as tracked"
PARTS = {
    "geometry": "after orbits",
    "deformation": "after deformation",
    "topography": "after topography",
    "streaks": "after streaks",
}
NOISE = "after noise filter"
STEPS = (RAW, *PARTS.values(), NOISE)
"""Every name that a step can have."""

LEAVABLE = ("deformation", "topography", "streaks", "noise")
"""The corrections that can be left out."""


def ground_scale(offsets: xr.Dataset) -> float:
    """Metres on level ground per metre of dx: 1 on a map, more in slant range."""
    if not in_radar_geometry(offsets):
        return 1.0
    return ground_per_slant(geometry_of(offsets), height=float(offsets["height"].mean()))


def residuals_by_step(offsets: xr.Dataset, result: xr.Dataset) -> Residuals:
    """Displacement left on stable ground before and after each correction, x and y, in metres.

    Each step keeps what `correct` removed later, so the figures need no second run. In radar
    geometry x is ground range and y azimuth.

    Parameters
    ----------
    offsets : xarray.Dataset
        What `track` found.
    result : xarray.Dataset
        What `correct` made of it.

    Returns
    -------
    dict
        From the name of each step (`STEPS`) to the residuals along x and y, 1-D, of the posts
        that have both.

    Examples
    --------
    >>> import glaciertoolkit as gt
    >>> pair = gt.simulate_pair(size=512, seed=1)
    >>> offsets = gt.track(pair, template=32, search=12, step=16).compute()
    >>> motion = gt.correct(offsets, stable=True, topography=False, order=1)
    >>> list(residuals_by_step(offsets, motion))
    ['as tracked', 'after deformation', 'after noise filter']
    """
    ground = np.asarray(result["stable"].values, bool)
    parts = dict(PARTS)
    if in_radar_geometry(offsets) and "dx_topography" in result:
        # What the orbits predict of the relief is taken off before the deformation is fitted.
        parts = {k: parts[k] for k in ("geometry", "topography", "deformation", "streaks")}
    left = [np.asarray(offsets[k].values)[ground] for k in ("dx", "dy")]
    steps = {RAW: left}
    for part, label in parts.items():
        removed = [f"{k}_{part}" for k in ("dx", "dy")]
        if set(removed) & set(result.data_vars):
            left = [
                value - np.asarray(result[name].values)[ground] if name in result else value
                for value, name in zip(left, removed, strict=True)
            ]
            steps[label] = left
    if any(step["step"] == "correct" and step["parameters"]["noise"] for step in history(result)):
        steps[NOISE] = [np.asarray(result[k].values)[ground] for k in ("dx", "dy")]
    out = {}
    scale = np.float32(ground_scale(offsets))
    for label, (dx, dy) in steps.items():
        keep = np.isfinite(dx) & np.isfinite(dy)
        out[label] = (dx[keep] * scale, dy[keep])
    return out


def describe_steps(steps: Residuals, *, held_out: xr.Dataset | None = None) -> xr.Dataset:
    """Scatter and median of the residuals of each step.

    Parameters
    ----------
    steps : dict
        From `residuals_by_step`.
    held_out : xarray.Dataset, optional
        With the NMAD on ground that the fit did not see, from `held_out_nmad`.

    Returns
    -------
    xarray.Dataset
        `nmad`, `median` (m) over (step, component) and `posts` over (step); `nmad_holdout` (m)
        over (component).

    Examples
    --------
    >>> import numpy as np
    >>> steps = {"as tracked": (np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0]))}
    >>> describe_steps(steps)["median"].values.tolist()
    [[2.0, 0.0]]
    """

    def each(statistic: Any) -> list[list[float]]:
        return [
            [float(statistic(v)) if v.size else float("nan") for v in pair]
            for pair in steps.values()
        ]

    over = ("step", "component")
    words = {"units": "m", "long_name": "NMAD of the residuals on stable ground"}
    out = xr.Dataset(
        {
            "nmad": (over, each(nmad), words),
            "median": (over, each(np.median), {**words, "long_name": "their median"}),
            "posts": ("step", [pair[0].size for pair in steps.values()], {"units": "1"}),
        },
        coords={"step": list(steps), "component": list(COMPONENTS)},
    )
    return out if held_out is None else out.assign(nmad_holdout=held_out["nmad_holdout"])


def held_out_nmad(offsets: xr.Dataset, result: xr.Dataset) -> xr.Dataset:
    """NMAD (m) of the residuals of each fold of stable ground under the fit without it.

    NaN where nothing was held out. In radar geometry x is ground range.

    Returns
    -------
    xarray.Dataset
        `nmad_holdout` over (component).
    """
    scales = (ground_scale(offsets), 1.0)
    found = [
        scale * nmad(result[f"d{axis}_holdout"].values) if f"d{axis}_holdout" in result else np.nan
        for axis, scale in zip(COMPONENTS, scales, strict=True)
    ]
    words = {"units": "m", "long_name": "NMAD of ground that the fit did not see"}
    return xr.Dataset(
        {"nmad_holdout": ("component", found, words)}, coords={"component": list(COMPONENTS)}
    )


def leave_out(
    offsets: xr.Dataset, result: xr.Dataset, part: str, *, stable: Any,
    ice: npt.NDArray[np.bool_] | None = None, **options: Any,
) -> xr.Dataset:  # fmt: skip
    """What becomes of the corrected offsets if one of the corrections is left out.

    Parameters
    ----------
    offsets : xarray.Dataset
        What `track` found.
    result : xarray.Dataset
        ``correct(offsets, stable=stable, **options)``.
    part : {"deformation", "topography", "streaks", "noise"}
        Which correction to leave out.
    stable : xarray.DataArray of bool or True
        As in `correct`.
    ice : numpy.ndarray of bool, optional
        (y, x): where the ice is; by default all that is not stable.
    **options
        Those of `correct`.

    Returns
    -------
    xarray.Dataset
        Over (component): `nmad` (m) on stable ground; `nmad_holdout` (m) on ground that the fit
        did not see, NaN where nothing was fitted to the ground; `change` (m), the median on ice
        of the displacement without the correction minus that with it; and `posts`, how many of
        the ice it is the median of.

    Raises
    ------
    As `correct`.

    Notes
    -----
    A post counts for the change if it has a displacement in both.

    Examples
    --------
    >>> import glaciertoolkit as gt
    >>> pair = gt.simulate_pair(size=512, seed=1)
    >>> offsets = gt.track(pair, template=32, search=12, step=16).compute()
    >>> options = dict(topography=False, order=1)
    >>> motion = gt.correct(offsets, stable=True, **options)
    >>> bad = leave_out(offsets, motion, "deformation", stable=True, **options)
    >>> bool((bad.nmad > gt.nmad(motion.dx)).all())
    True
    """
    off = {part: False} | ({"aspect": False} if part == "topography" else {})
    without = correct(offsets, stable=stable, **{**options, **off})
    ground = np.asarray(without["stable"].values, bool)
    where = ~ground if ice is None else ice
    both = where & np.isfinite(without["dx"].values) & np.isfinite(result["dx"].values)
    both &= np.isfinite(without["dy"].values) & np.isfinite(result["dy"].values)
    scatter, change = [], []
    for axis, scale in zip(COMPONENTS, (ground_scale(offsets), 1.0), strict=True):
        new, old = (np.asarray(ds[f"d{axis}"].values) for ds in (without, result))
        scatter.append(scale * nmad(new[ground]))
        difference = new[both] - old[both]
        change.append(scale * float(np.median(difference)) if difference.size else np.nan)
    out = held_out_nmad(offsets, without)
    out["nmad"] = "component", scatter, {"units": "m", "long_name": "NMAD on stable ground"}
    out["change"] = (
        "component",
        change,
        {"units": "m", "long_name": "median change of the displacement of the ice"},
    )
    return out.assign(posts=((), int(both.sum()), {"units": "1"}))
