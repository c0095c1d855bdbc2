"""All corrections in one step: outliers, joint deformation and topography, refit, noise."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import describe, in_radar_geometry, validate
from glaciertoolkit.correction.calibration import calibrate_errors
from glaciertoolkit.correction.deformation import estimator_of
from glaciertoolkit.correction.fit import fit_terms
from glaciertoolkit.correction.joint import JointFit
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.points import (
    FOLDS,
    Points,
    require_computed,
    spatial_folds,
)
from glaciertoolkit.correction.relief import (
    Relief,
    Topography,
    baseline_diagnostics,
    check_aspect,
    method_of,
    prepare,
)
from glaciertoolkit.correction.streaks import remove_streaks, streaks_of
from glaciertoolkit.correction.surface import Surface
from glaciertoolkit.correction.terms import COMPONENTS, Order, Terrain, check_order
from glaciertoolkit.correction.topography import flag_extrapolated
from glaciertoolkit.errors import GlacierToolkitWarning, ParameterError
from glaciertoolkit.provenance import recorded

MOST_FOLDS = 16


@recorded
def correct(
    ds: xr.Dataset,
    *,
    stable: Any,
    dem: Any = None,
    order: Order = 2,
    deformation: bool = True,
    topography: Topography = True,
    aspect: bool = False,
    sequential: bool = False,
    loss: str = "tukey",
    weighted: bool = False,
    noise: bool = True,
    streaks: bool = False,
    folds: int = FOLDS,
    disparity_share: float = 8 / 25,
    disparity_reach: float = 0.2,
    median_threshold: float = 3.0,
    median_floor: float = 0.1,
    min_island: float = 1.0,
    max_speed: float | None = None,
    min_correlation: float = 0.0,
    min_snr: float = 0.0,
    min_peak_ratio: float = 0.0,
    max_turn: float | None = None,
    max_strain: float | None = None,
    fill: int = 0,
    smooth: int = 0,
    smoothing: str = "median",
) -> xr.Dataset:
    """Remove everything that is not ice motion: the documented path from offsets to motion.

    Outliers are rejected; the global deformation and the topography-related offset are fitted
    together on stable terrain, and once more without the outliers that the first fit brings to
    light; the noise filters then act on the corrected field.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets from `track`; computed or checkpointed, not a pending tracking graph. In radar
        geometry their posts have been located (`locate`).
    stable : xarray.DataArray of bool or True
        Non-glacial ground, from `stable_terrain`; True takes every post (drifting ice, tests).
    dem : xarray.DataArray, path-like or xarray.Dataset, optional
        Elevation, any grid and CRS. A Dataset from `terrain_at_posts` on the same posts is used
        as it is, which saves time where many corrections are tried. Without it the
        topography-related offset stays. In radar geometry the height found by `locate` is used,
        and nothing need be given.
    order : {0, 1, "bilinear", 2, 3, "tps", "auto"}
        The surface of the global deformation: the degree of a polynomial, a thin-plate spline, or
        what cross-validation finds (then also whether the topographic terms pay); see
        `remove_deformation`.
    deformation, noise : bool
        False leaves a step out (to see what it does).
    topography : bool or {"geometric", "baseline", "elevation", "quadratic"}
        How the topography-related offset is removed; False leaves it in place. "elevation" fits a
        displacement in proportion to elevation, and is what True means on a map; "quadratic" adds
        its square. In radar geometry
        the orbits are known: "geometric", the default there, subtracts what they predict on the
        DEM, and mends their baseline where the stable ground says with certainty that it is
        wrong; "baseline" fits the perpendicular baseline and its change over the scene.
    aspect : bool
        On a map, also fit what a DEM leaves that does not lie where the images do; see
        `remove_topography`.
    sequential : bool
        Fit the deformation first, and the topographic terms to what it leaves, instead of both
        together. Where elevation and position are related on the stable ground, the first then
        takes part of the second.
    loss, weighted
        See `remove_deformation`.
    streaks : bool
        Remove azimuth streaks from dy (`remove_streaks`), where the ionosphere has left them.
    folds : int
        Spatial folds of the hold-out; 0 for none.
    disparity_share, disparity_reach, median_threshold, median_floor, min_island, max_speed
        See `filter_noise`.
    min_correlation, min_snr, min_peak_ratio, max_turn, max_strain, fill, smooth, smoothing
        See `filter_noise`; the fit uses the thresholds of quality, but neither turn nor strain,
        which only the motion of ice has, and nothing that was filled or smoothed.

    Returns
    -------
    xarray.Dataset
        `dx`, `dy`: motion of the ice; `dx_deformation`, `dx_topography` and so on: what was
        removed; `dx_error`, `dy_error`: tracking, scaled so that it explains the hold-out
        residuals, and the fit; `dx_holdout`, `dy_holdout`: residuals on stable ground under the
        fit without the post's own fold; `stable`, `stable_fold` (-1: not stable); coefficients,
        covariances and warnings of the fit, its points, scatter and share of inliers;
        `topography_height_spread` (m) and `topography_r2`, which say how well elevation can be
        told from position. In radar geometry also `dx_geometry`, `dy_geometry`,
        what the orbits make at the mean height of the stable ground, `baseline_orbit` and
        `baseline_perpendicular` with its error (m).

    Raises
    ------
    StableTerrainError
        Without stable ground, or with too little of it.
    NotComputedError
        If tracking is still pending.
    ParameterError
        If a parameter is out of range.

    Notes
    -----
    ``d = sum c_ij x^i y^j + k (h - h0) + motion + noise`` for each component, fitted robustly on
    one stable post a template. In radar geometry ``k = -B / (R sin(incidence))``, with B the
    perpendicular baseline, positive where the second pass lies above the line of sight.

    Examples
    --------
    >>> import glaciertoolkit as gt
    >>> pair = gt.simulate_pair(size=512, seed=1, relief=1500)
    >>> dem, outlines = gt.simulate_dem(pair), gt.simulate_outlines(pair)
    >>> offsets = gt.track(pair, template=32, search=12, step=8).compute()
    >>> stable = gt.stable_terrain(offsets, outlines=outlines, dem=dem)
    >>> motion = gt.correct(offsets, stable=stable, dem=dem, order=1)
    >>> before, after = (gt.nmad(d.dx.where(stable)) for d in (offsets, motion))
    >>> before > 4 > 1 > after
    True
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy", "flag"))
    check_order(order)
    check_folds(folds)
    estimator = estimator_of(ds, loss=loss, weighted=weighted, sequential=sequential)
    dealt = max(folds, 1)
    require_computed(ds)
    ground = _chunked(as_stable(stable, ds), ds)
    filters: dict[str, Any] = {
        "disparity_share": disparity_share,
        "disparity_reach": disparity_reach,
        "median_threshold": median_threshold,
        "median_floor": median_floor,
        "min_island": min_island,
        "min_correlation": min_correlation,
        "min_snr": min_snr,
        "min_peak_ratio": min_peak_ratio,
    }
    last: dict[str, Any] = {
        "max_speed": max_speed,
        "max_turn": max_turn,
        "max_strain": max_strain,
        "fill": fill,
        "smooth": smooth,
        "smoothing": smoothing,
    }
    _check_ready(ds, dem, topography, aspect)
    predicted, relief = prepare(ds, dem, topography, stable=ground, aspect=aspect)
    elevation = relief.elevation
    fit = JointFit(ground, relief, order, deformation, noise, filters, dealt, estimator)
    out, surface, points = fit.remove(predicted)
    if streaks:
        out, surface, points = fit.remove_again(predicted, remove_streaks(out, stable=ground))
    if elevation is not None:
        out = out.assign({str(elevation.name): elevation})
        # What the orbits predict holds at any height; what was fitted, at those of its points.
        if surface is not None and points is not None and (surface.relief or not relief.optional):
            out = flag_extrapolated(out, elevation, points)
    out = _with_baseline(out, relief, surface)
    fold = ground.copy(data=_chunked(ground.copy(data=spatial_folds(ds, folds=dealt)), ds).data)
    fold = fold.where(ground, np.int8(-1))
    out = out.assign(stable=ground, stable_fold=fold.drop_attrs())
    if surface is not None and points is not None and deformation and folds > 1:
        out = _hold_out(out, surface, points, relief.terrain)
    if noise:
        out = filter_noise(out, **filters, **last)
    out = calibrate_errors(out)
    return describe(out)


def _chunked(field: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """A field in memory, in the chunks of `ds`, so that what is made of it stays lazy."""
    chunks = ds["dx"].chunksizes
    return field.chunk(chunks) if chunks else field


def check_folds(folds: int) -> None:
    """Raise `ParameterError` unless `folds` is a number of folds."""
    if folds not in range(MOST_FOLDS + 1):
        raise ParameterError(f"folds must be a whole number from 0 to {MOST_FOLDS}; got {folds!r}.")


def _check_ready(ds: xr.Dataset, dem: Any, topography: Topography, aspect: bool) -> None:
    """Whether what the topography-related offset depends on is known."""
    radar = in_radar_geometry(ds)
    wanted = method_of(topography, radar=radar)
    check_aspect(aspect, wanted, radar=radar)
    if radar:
        validate(ds, needs=("height",))
    elif dem is None and wanted:
        warnings.warn(
            "no DEM was given, so the topography-related offset is not removed; give dem=.",
            GlacierToolkitWarning,
            stacklevel=4,
        )


def _with_baseline(ds: xr.Dataset, relief: Relief, surface: Surface | None) -> xr.Dataset:
    """Which baseline was removed, and a warning where it contradicts the orbits."""
    variables, message = baseline_diagnostics(relief, surface)
    out = ds.assign(variables)
    if message:
        warnings.warn(message, GlacierToolkitWarning, stacklevel=4)
        earlier = [str(ds["correction_warnings"].item())] if "correction_warnings" in ds else []
        out["correction_warnings"] = ((), "\n".join([*earlier, message]))
    return out


def _hold_out(ds: xr.Dataset, surface: Surface, points: Points, terrain: Terrain) -> xr.Dataset:
    """Residuals of stable posts under the fit without their own fold.

    What the delivered fit removed is put back, and the other fit subtracted; both have the same
    terms, so what differs is only which ground they know. So with streaks.
    """
    out = ds.copy()
    streaks = {
        k: (ds[f"d{axis}_streaks"], float(ds[f"d{axis}_streak_angle"]))
        for k, axis in enumerate(COMPONENTS)
        if f"d{axis}_streaks" in ds
    }
    whole = {
        k: ds[f"d{axis}"] + surface.evaluate(ds, k, surface.terms, terrain)
        for k, axis in enumerate(COMPONENTS)
    }
    held = {k: xr.full_like(value, np.nan) for k, value in whole.items()}
    for fold in sorted({int(f) for f in points.fold}):
        rest = points.where(points.fold != fold)
        if len(rest) < 2 * len(surface.unsmoothed):
            continue
        other = fit_terms(rest, surface.terms, surface.frame, surface.estimator)
        here = ds["stable_fold"] == fold
        for k, value in whole.items():
            left = value - other.evaluate(ds, k, surface.terms, terrain)
            if k in streaks:
                removed, angle = streaks[k]
                left = left + removed
                ground = np.asarray(ds["stable"].values, bool) & ~np.asarray(here.values)
                left = left - streaks_of(ds, np.asarray(left.values), ground, angle=angle)
            held[k] = xr.where(here, left, held[k])
    for k, axis in enumerate(COMPONENTS):
        out[f"d{axis}_holdout"] = held[k].astype(np.float32)
    return out
