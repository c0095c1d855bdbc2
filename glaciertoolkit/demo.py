"""The demonstration: a simulated pair through the whole chain, judged by its own truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.pipeline import Result, Stage, run, silent
from glaciertoolkit.robust import nmad
from glaciertoolkit.sar.heights import ELLIPSOIDAL
from glaciertoolkit.settings import Settings
from glaciertoolkit.simulate import (
    simulate_gf3,
    simulate_pair,
    true_map_motion,
    true_motion,
    write_gf3_pair,
    write_pair,
)

SCENES = ("gf3", "map")
SIZES = {"gf3": {"small": 896, "medium": 1792, "large": 3072},
         "map": {"small": 1024, "medium": 1792, "large": 3328}}  # fmt: skip
"""Pixels along an edge: those of GF-3 measure 2.2 m in slant range and 2.7 m in azimuth, those of
the map 3 m."""


@dataclass(frozen=True)
class Demonstration:
    """The result of the chain and the table that compares it with the truth."""

    result: Result
    table: list[tuple[str, str]]


def demonstrate(
    out: str | os.PathLike[str], *, scene: str = "gf3", size: str = "large", seed: int = 7,
    overwrite: bool = False, stage: Stage = silent,
) -> Demonstration:  # fmt: skip
    """Simulate a pair of radar images, run the chain on it and compare with the truth.

    Parameters
    ----------
    out : path-like
        Folder of the products; the simulated input goes to its folder `input`.
    scene : {"gf3", "map"}
        Two GF-3 products in radar geometry, from orbits 1 km apart, or two images on a map.
    size : {"small", "medium", "large"}
        "large" is a scene of 8 by 11 km ("gf3") or 10 by 10 km ("map").
    seed : int
        Another seed is another landscape.
    overwrite : bool
        Replace an earlier demonstration.
    stage : callable
        See `pipeline.run`.

    Returns
    -------
    Demonstration

    Raises
    ------
    ParameterError
        If `scene` or `size` is unknown.
    """
    if scene not in SCENES:
        raise ParameterError(f"scene must be one of {', '.join(SCENES)}; got {scene!r}.")
    if size not in SIZES[scene]:
        raise ParameterError(f"size must be one of {', '.join(SIZES[scene])}; got {size!r}.")
    folder = Path(out)
    edge = SIZES[scene][size]
    with stage("Simulating the images"):
        make = _gf3 if scene == "gf3" else _map
        options, truth = make(edge, seed, folder / "input")
    result = run(Settings.of(**options), folder, overwrite=overwrite, stage=stage)
    with stage("Comparing with the truth"):
        table = truth_table(result, truth(result.velocity))
    return Demonstration(result, table)


Truth = Callable[[xr.Dataset], xr.Dataset]


def _gf3(edge: int, seed: int, folder: Path) -> tuple[dict[str, Any], Truth]:
    """Two GF-3 products, the settings of a run on them, and the truth on its map."""
    scene = simulate_gf3(size=(edge, edge), seed=seed)
    files = write_gf3_pair(scene, folder)
    options: dict[str, Any] = {name: files[name] for name in ("dem", "outlines")}
    for role in ("reference", "secondary"):
        # One name for all sizes and seeds, so that the catalog can tell where they lie.
        shutil.rmtree(folder / role, ignore_errors=True)
        options[role] = files[role].rename(folder / role)
    options |= {"geoid": ELLIPSOIDAL, "template": 64, "search": 16, "step": 4}
    return options, lambda ds: true_map_motion(scene, ds)


def _map(edge: int, seed: int, folder: Path) -> tuple[dict[str, Any], Truth]:
    """Two images on a map, the settings of a run on them, and the truth on its posts."""
    scene = simulate_pair(size=(edge, edge), pixel=3.0, seed=seed)
    files = write_pair(scene, folder)
    options: dict[str, Any] = {
        name: files[name] for name in ("reference", "secondary", "dem", "outlines")
    }
    options |= {"template": 64, "search": 16, "step": 4}
    return options, lambda ds: true_motion(scene, ds)


def truth_table(result: Result, truth: xr.Dataset) -> list[tuple[str, str]]:
    """Lines of (what, figure): posts, coverage, stable ground by step, baseline, error on ice."""
    ds = result.velocity
    valid = np.isfinite(ds["dx"].values)
    rows, cols = valid.shape
    lines = [
        ("posts", f"{rows} x {cols}, every {abs(float(ds.x[1] - ds.x[0])):g} m"),
        ("coverage", f"{valid.mean():.1%}"),
    ]
    for label, (dx, dy) in result.residuals.items():
        lines.append((f"stable ground NMAD, {label}", f"x {nmad(dx):.3f} m   y {nmad(dy):.3f} m"))
    if "holdout_dx_nmad" in result.accuracy:
        x, y = (float(result.accuracy[f"holdout_{k}_nmad"]) for k in ("dx", "dy"))
        lines.append(("stable ground NMAD, held out", f"x {x:.3f} m   y {y:.3f} m"))
    if "baseline_orbit" in ds:
        lines.append(("perpendicular baseline", f"{float(ds['baseline_orbit']):.0f} m"))
    truth = truth.compute()
    ice = np.asarray(truth["ice_fraction"].values) > 0.99
    per_year = ds["vx"] / ds["dx"]
    for axis in ("x", "y"):
        error = (ds[f"v{axis}"] - truth[f"true_d{axis}"] * per_year).values[ice & valid]
        error = error[np.isfinite(error)]
        lines.append(
            (
                f"velocity error on ice, {axis}",
                f"median {np.median(error):+.2f} m/yr   NMAD {nmad(error):.2f} m/yr",
            )
        )
    return lines
