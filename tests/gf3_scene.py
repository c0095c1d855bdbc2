"""Simulated GF-3 products on disk for the tests of the chain, and the truth on its map."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.sar.los import grid_convergence, rotate_to_grid
from glaciertoolkit.settings import Settings
from glaciertoolkit.simulate.gf3 import Gf3Scene

TEMPLATE, STEP = {"y": 64, "x": 48}, {"y": 8, "x": 6}
"""About square on the ground with FSI products."""

GROUND = {"template": 64, "step": 8, "geoid": "ellipsoidal"}
"""The same as settings of a run."""


@dataclass(frozen=True)
class Written:
    """A simulated pair on disk: the scene, its files and their folder."""

    scene: Gf3Scene
    files: dict[str, Path]
    folder: Path

    def settings(self, **given: Any) -> Settings:
        """Settings of a run on these files."""
        paths = {k: self.files[k] for k in ("reference", "secondary", "dem", "outlines")}
        return Settings.of(**{**paths, **GROUND, **given})

    def arguments(self, **given: Any) -> list[str]:
        """The same on the command line."""
        chosen = {
            k: self.files[k] for k in ("reference", "secondary", "dem", "outlines")
        } | GROUND | given  # fmt: skip
        pairs = ((f"--{k.replace('_', '-')}", str(v)) for k, v in chosen.items() if v is not None)
        return [part for pair in pairs for part in pair]

    def pair(self) -> xr.Dataset:
        """Both products, opened."""
        return gt.open_pair(self.files["reference"], self.files["secondary"])

    def offsets(self, pair: xr.Dataset | None = None) -> xr.Dataset:
        """Tracked about the prediction of the orbits and located, as a notebook does it."""
        pair = self.pair() if pair is None else pair
        ground = {"dem": self.files["dem"], "geoid": "ellipsoidal"}
        prior = gt.predict_offsets(pair, **ground)
        tracked = gt.track(pair, prior=prior[["dx", "dy"]], template=TEMPLATE, step=STEP)
        return gt.locate(tracked.compute(), **ground)

    def stable(self, offsets: xr.Dataset) -> xr.DataArray:
        """Stable ground at the posts."""
        return gt.stable_terrain(offsets, outlines=self.files["outlines"], dem=self.files["dem"])

    def corrected(self, offsets: xr.Dataset, **options: Any) -> xr.Dataset:
        """Motion in radar geometry; what the fit has to warn of is for other tests."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
            return gt.correct(offsets, stable=self.stable(offsets), **options)

    def mapped(self, motion: xr.Dataset, **options: Any) -> xr.Dataset:
        """Motion on a coarse map, with the truth under the templates as `true_x`, `true_y`."""
        truth = gt.true_gf3_motion(self.scene, motion)
        carried = ("true_east", "true_north", "ice_fraction")
        full = motion.assign({name: truth[name] for name in carried})
        given = {"dem": self.files["dem"], "geoid": "ellipsoidal", "posting": 24.0, **options}
        found = gt.to_map(full, **given)
        from pyproj import Transformer

        to = Transformer.from_crs(found.rio.crs, 4326, always_xy=True)
        lon, lat = to.transform(*np.meshgrid(found["x"].values, found["y"].values))
        turn = grid_convergence(found.rio.crs, lon, lat)
        x, y = rotate_to_grid(found["true_east"].values, found["true_north"].values, turn)
        return found.assign(true_x=(("y", "x"), x), true_y=(("y", "x"), y))


def write_scene(folder: Path, *, archive: str | None = None, **scene: Any) -> Written:
    """Simulate a pair and write it."""
    made = gt.simulate_gf3(**scene)
    return Written(made, gt.write_gf3_pair(made, folder, archive=archive, truth=False), folder)


def left_on_ground(ds: xr.Dataset) -> tuple[float, float]:
    """NMAD and absolute median on held-out stable ground, the worse component, m."""
    found = gt.accuracy(ds)
    return tuple(
        max(abs(float(found[f"holdout_{k}_{name}"])) for k in ("dx", "dy"))
        for name in ("nmad", "median")
    )


def along_flow(mapped: xr.Dataset, where: Any = True, *, slowest: float = 2.0) -> float:
    """Found over true motion along the true flow, on ice."""
    found, true = (
        np.stack([mapped[k].values.astype(float) for k in names])
        for names in (("dx", "dy"), ("true_x", "true_y"))
    )
    speed = np.hypot(*true)
    ice = (mapped["ice_fraction"].values > 0.99) & np.isfinite(found[0]) & (speed > slowest) & where
    assert ice.sum() > 300
    return float(((found * true).sum(axis=0)[ice] / speed[ice]).sum() / speed[ice].sum())


def flow_error(mapped: xr.Dataset, where: Any = True) -> float:
    """Median length of the error of the motion on ice, m."""
    away = np.hypot(mapped["dx"] - mapped["true_x"], mapped["dy"] - mapped["true_y"]).values
    ice = (mapped["ice_fraction"].values > 0.99) & np.isfinite(away) & where
    assert ice.sum() > 300
    return float(np.median(away[ice]))


class Scheduler:
    """A Dask scheduler that nothing may call."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("something was computed early")


@contextmanager
def nothing_computed() -> Any:
    """Fail where Dask computes."""
    import dask

    with dask.config.set(scheduler=Scheduler()):
        yield
