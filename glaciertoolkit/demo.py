"""The demonstration: a simulated pair through the whole chain, judged by its own truth."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.pipeline import Result, Stage, run, silent
from glaciertoolkit.robust import nmad
from glaciertoolkit.settings import Settings
from glaciertoolkit.simulate import simulate_pair, true_motion, write_pair

SIZES = {"small": 1024, "medium": 1792, "large": 3328}
"""Pixels along an edge; 3 m each."""


@dataclass(frozen=True)
class Demonstration:
    """The result of the chain and the table that compares it with the truth."""

    result: Result
    table: list[tuple[str, str]]


def demonstrate(
    out: str | os.PathLike[str], *, size: str = "large", seed: int = 7, overwrite: bool = False,
    stage: Stage = silent,
) -> Demonstration:  # fmt: skip
    """Simulate a pair of radar images, run the chain on it and compare with the truth.

    Parameters
    ----------
    out : path-like
        Folder of the products; the simulated input goes to its folder `input`.
    size : {"small", "medium", "large"}
        1024, 1792 or 3328 pixels of 3 m; "large" is a scene of 10 km.
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
        If `size` is unknown.
    """
    if size not in SIZES:
        raise ParameterError(f"size must be one of {', '.join(SIZES)}; got {size!r}.")
    folder = Path(out)
    edge = SIZES[size]
    with stage("Simulating the images"):
        scene = simulate_pair(size=(edge, edge), pixel=3.0, seed=seed)
        files = write_pair(scene, folder / "input")
    settings = Settings.of(
        reference=files["reference"],
        secondary=files["secondary"],
        dem=files["dem"],
        outlines=files["outlines"],
        template=64,
        search=16,
        step=4,
    )
    result = run(settings, folder, overwrite=overwrite, stage=stage)
    with stage("Comparing with the truth"):
        table = truth_table(scene, result)
    return Demonstration(result, table)


def truth_table(scene: xr.Dataset, result: Result) -> list[tuple[str, str]]:
    """Lines of (what, figure): posts, coverage, stable ground by step, error on ice."""
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
    truth = true_motion(scene, ds).compute()
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
