"""Figures of a radar run against the truth of its simulation.

The truth is averaged over the template in the image, as a template sees it, and carried to the
map post by post with the measurements; there its horizontal part is turned to the axes of the map.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import glaciertoolkit as gt
from glaciertoolkit.sar.los import grid_convergence, rotate_to_grid
from glaciertoolkit.simulate.gf3 import Gf3Scene
from glaciertoolkit.simulate.gf3_parameters import Gf3Parameters

Figures = dict[str, Any]
Mask = NDArray[np.bool_]

CARRIED = ("true_east", "true_north", "true_up", "ice_fraction")
SLOPES = ((0, 5), (5, 10), (10, 15), (15, 20), (20, 30))
"""Degrees; the bar is on the slopes up to 20."""

STEEPEST = 20.0
SLOWEST = 3.0
"""Metres: slower ice says little about a ratio."""

FEWEST = 200
FALSE_MATCH = 1.0
"""A delivered offset further than this many pixels from the truth is a false match."""

CONTROLS: dict[str, dict[str, Any]] = {
    "without topography": {"topography": False},
    "without deformation": {"deformation": False},
    "without noise filter": {"noise": False},
}


def scene_of(truth: Path) -> Gf3Scene:
    """The scene that `write_gf3_pair` left in `truth.nc`."""
    with xr.open_dataset(truth, engine="h5netcdf") as ds:
        return Gf3Scene(Gf3Parameters.from_json(ds.attrs["simulation"]))


def judge(files: Mapping[str, Path], out: Path) -> Figures:
    """All figures of a run of `glaciertoolkit run` and of its negative controls."""
    scene = scene_of(files["truth"])
    offsets = gt.open_checkpoint(out / "offsets.zarr").load()
    truth = gt.true_gf3_motion(scene, offsets)
    stable = gt.stable_terrain(offsets, outlines=files["outlines"], dem=files["dem"])

    def corrected(**options: Any) -> xr.Dataset:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
            return gt.correct(offsets, stable=stable, **options)

    motion = corrected()
    mapped = on_map(motion, truth, files)
    found = {
        "posts": int(offsets["dx"].size),
        "relief_m": float(np.ptp(truth["elevation"].values)),
        "chain": ground(gt.open_products(out)),
        "radar": in_image(motion, truth),
        "ice": on_ice(mapped),
        "flat": on_ice(on_map(motion, truth, files, mode="flat")),
        "stated_errors": stated(mapped),
        "coverage": coverage(motion, truth),
        "geometry": _geometry(motion, scene),
        "baseline": _baseline(corrected(topography="baseline"), scene),
    }
    # Exact offsets through the same way to the map: what is left is the way's own.
    exact = motion.assign({k: truth[f"true_{k}"].where(motion[k].notnull()) for k in ("dx", "dy")})
    found["exact"] = on_ice(on_map(exact, truth, files))
    found["exact flat"] = on_ice(on_map(exact, truth, files, mode="flat"))
    found["controls"] = {}
    for name, options in CONTROLS.items():
        other = corrected(**options)
        moved = on_map(other, truth, files)
        found["controls"][name] = {
            **ground(moved), "ice": on_ice(moved), "radar": in_image(other, truth)
        }  # fmt: skip
    return found


def on_map(
    motion: xr.Dataset, truth: xr.Dataset, files: Mapping[str, Path], **options: Any
) -> xr.Dataset:
    """Motion on the map, with `true_x` and `true_y` (m, along its axes) and `ice_fraction`."""
    from pyproj import Transformer

    full = motion.assign({name: truth[name] for name in CARRIED})
    mapped = gt.to_map(full, dem=files["dem"], geoid="ellipsoidal", **options)
    to = Transformer.from_crs(mapped.rio.crs, 4326, always_xy=True)
    lon, lat = to.transform(*np.meshgrid(mapped["x"].values, mapped["y"].values))
    turn = grid_convergence(mapped.rio.crs, lon, lat)
    x, y = rotate_to_grid(mapped["true_east"].values, mapped["true_north"].values, turn)
    return mapped.assign(true_x=(("y", "x"), x), true_y=(("y", "x"), y))


def ground(ds: xr.Dataset) -> Figures:
    """The worse component on stable ground, m: held out where the fit left some out."""
    found = gt.accuracy(ds)
    which = "holdout" if "holdout_dx_nmad" in found else "fit"
    figures: Figures = {"ground": which}
    for name in ("nmad", "median", "p95"):
        each = [float(found[f"{which}_{k}_{name}"]) for k in ("dx", "dy")]
        figures[name] = max(map(abs, each))
        figures[f"{name}_each"] = each
    return figures


def in_image(motion: xr.Dataset, truth: xr.Dataset) -> Figures:
    """Errors in the image, in metres of slant range and azimuth, and the share of false matches."""
    error = {k: np.asarray((motion[k] - truth[f"true_{k}"]).values, float) for k in ("dx", "dy")}
    pixel = [float(v) for v in motion.attrs["pixel"]]
    away = np.hypot(error["dx"] / pixel[-1], error["dy"] / pixel[0])
    valid = np.isfinite(away)
    figures: Figures = {"false": float((away[valid] > FALSE_MATCH).mean())}
    for name, share in masks(truth, valid).items():
        for k, e in error.items():
            figures[f"{name}_{k}"] = _spread(e[share])
    ice = masks(truth, valid)["ice"]
    for k in ("dx", "dy"):
        true = np.asarray(truth[f"true_{k}"].values, float)[ice]
        found = np.asarray(motion[k].values, float)[ice]
        figures[f"gain_{k}"] = float((found * true).sum() / (true**2).sum())
    return figures


def masks(ds: xr.Dataset, valid: Mask) -> dict[str, Mask]:
    """Posts that see only ice, and only ground."""
    share = np.asarray(ds["ice_fraction"].values)
    return {"ice": valid & (share > 0.99), "rock": valid & (share < 0.01)}


def on_ice(mapped: xr.Dataset) -> Figures:
    """Errors and the ratio of found to true motion along the true flow, whole and by slope."""
    found, true = _vectors(mapped)
    error, speed = found - true, np.hypot(*true)
    ice = masks(mapped, np.isfinite(speed) & np.isfinite(found[0]))["ice"]
    slope = mapped["slope"].values
    bins = {f"{a}-{b}": ice & (slope >= a) & (slope < b) for a, b in SLOPES}
    figures: Figures = {}
    for name, where in {"to 20": ice & (slope <= STEEPEST), **bins}.items():
        fast = where & (speed > SLOWEST)
        if int(fast.sum()) < FEWEST:
            continue
        along = (found * true).sum(axis=0)[fast] / speed[fast]
        figures[name] = {
            "posts": int(where.sum()),
            "speed": float(np.median(speed[fast])),
            "ratio": float(along.sum() / speed[fast].sum()),
            "median_ratio": float(np.median(along / speed[fast])),
            "error": _spread(np.hypot(*error[:, where])),
            "x": _spread(error[0][where]),
            "y": _spread(error[1][where]),
        }
    return figures


def stated(mapped: xr.Dataset) -> Figures:
    """Spread of true errors over stated errors on the map: 1 where those are right."""
    found, true = _vectors(mapped)
    error = np.stack([mapped[f"{k}_error"].values for k in ("dx", "dy")])
    z = (found - true) / np.where(error > 0, error, np.nan)
    return {
        name: [gt.nmad(v[where]) for v in z]
        for name, where in masks(mapped, np.isfinite(z).all(axis=0)).items()
    }


def coverage(motion: xr.Dataset, truth: xr.Dataset) -> Figures:
    """Share of posts with a result, of all and of those that are neither layover nor shadow."""
    valid = np.isfinite(motion["dx"].values)
    hidden = (motion["flag"].values & int(gt.Flag.LAYOVER | gt.Flag.SHADOW)) != 0
    seen = masks(truth, ~hidden)
    return {
        "all": float(valid.mean()),
        "hidden": float(hidden.mean()),
        **{name: float(valid[where].mean()) for name, where in seen.items()},
    }


def _geometry(motion: xr.Dataset, scene: Gf3Scene) -> Figures:
    bias = motion.attrs.get("geolocation_bias")
    return {
        "geolocation_bias": None if bias is None else [float(v) for v in np.ravel(bias)],
        "true_bias": list(scene.parameters.geolocation_bias),
        "template": [int(v) for v in motion.attrs["template"]],
        "step": [int(v) for v in motion.attrs["step"]],
    }


def _baseline(fitted: xr.Dataset, scene: Gf3Scene) -> Figures:
    true = scene.parameters.baseline
    found = float(fitted["baseline_perpendicular"])
    return {
        "found": found,
        "error": float(fitted["baseline_perpendicular_error"]),
        "orbits": float(fitted["baseline_orbit"]),
        "true": true,
        "off": abs(found / true - 1),
    }


def _vectors(mapped: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Found and true motion, each (2, y, x)."""
    found, true = (
        np.stack([np.asarray(mapped[k].values, float) for k in names])
        for names in (("dx", "dy"), ("true_x", "true_y"))
    )
    return found, true


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    if not values.size:
        return {"mean": np.nan, "median": np.nan, "nmad": np.nan}
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "nmad": float(gt.nmad(values)),
    }
