"""The chain from an image pair to its products, with progress and a checkpoint after tracking."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.blocks import checkpoint, open_checkpoint
from glaciertoolkit.correction.correct import check_folds, correct
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.surface import polynomial_terms
from glaciertoolkit.errors import FileError, GlacierToolkitError
from glaciertoolkit.io.atomic import atomic_folder
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.io.products import to_products
from glaciertoolkit.motion import velocity
from glaciertoolkit.provenance import history
from glaciertoolkit.settings import EVERYWHERE, Settings, to_yaml
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.terrain import stable_terrain
from glaciertoolkit.tracking.track import track
from glaciertoolkit.uncertainty import Accuracy, accuracy

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINT = "offsets.zarr"
KEY = "checkpoint_key"
PRODUCTS = (
    "Glacier_Motion.tif", "Glacier_Motion.qml", "Glacier_Velocity.tif", "Glacier_Velocity.qml",
    "motion.nc",
)  # fmt: skip
RECORDS = ("accuracy.json", "report.html", "run.yaml")

TRACKING = (
    "template", "search", "step", "method", "mode", "max_displacement", "prefilter",
    "prefilter_sigma", "prefilter_width", "oversample", "min_valid", "false_alarm",
    "min_correlation", "min_peak_ratio",
)  # fmt: skip
FITTING = ("order", "deformation", "topography", "noise", "folds")
FILTERING = (
    "disparity_share", "disparity_reach", "median_threshold", "median_floor", "min_island",
    "max_speed", "smooth",
)  # fmt: skip

Stage = Callable[[str], AbstractContextManager[None]]
"""Called with the name of each stage; its context lasts as long as the stage."""


def silent(_: str) -> AbstractContextManager[None]:
    """No progress at all."""
    return nullcontext()


@dataclass(frozen=True)
class Result:
    """What a run found: offsets, final velocity, accuracy, residuals by step, statistics."""

    offsets: xr.Dataset
    velocity: xr.Dataset
    accuracy: Accuracy
    residuals: dict[str, tuple[np.ndarray, np.ndarray]]
    glaciers: pd.DataFrame | None
    by_elevation: xr.Dataset | None
    files: dict[str, Path]


def run(
    settings: Settings, out: str | os.PathLike[str], *, overwrite: bool = False,
    stage: Stage = silent,
) -> Result:  # fmt: skip
    """Track, correct and assess an image pair and write all products into the folder `out`.

    Parameters
    ----------
    settings : Settings
        What determines the products.
    out : path-like
        Folder of the products; made if need be.
    overwrite : bool
        Replace products of an earlier run.
    stage : callable
        Called with the name of each stage, returns a context manager that lasts as long.

    Returns
    -------
    Result

    Raises
    ------
    GlacierToolkitError
        With one sentence on what is wrong with the input, and the way out.

    Notes
    -----
    Offsets are stored after tracking; a run of the same images with the same tracking parameters
    in the same folder starts from there. Products appear whole or not at all.
    """
    folder = Path(out)
    _check_folder(folder, _product_names(settings), overwrite=overwrite)
    with stage("Opening the images"):
        pair = open_pair(
            settings.reference,
            settings.secondary,
            **settings.group("reference_date", "secondary_date"),
        )
        nested = () if settings.nested is None else (settings.nested,)
        offsets = track(pair, nested=nested, **settings.group(*TRACKING))
        ground = _stable(offsets, settings)
        _check_corrections(offsets, settings)
    with stage("Tracking"):
        offsets = _computed(offsets, settings, folder).load()
    with stage("Correcting"):
        motion = correct(
            offsets, stable=ground, dem=settings.dem, **settings.group(*FITTING, *FILTERING)
        )
    with stage("Assessing"):
        result = _assess(offsets, velocity(motion), settings, folder)
    with stage("Writing the products"):
        _write(result, settings, folder, overwrite=overwrite)
    return result


def _assess(offsets: xr.Dataset, ds: xr.Dataset, settings: Settings, folder: Path) -> Result:
    dem, outlines = settings.dem, settings.outlines
    return Result(
        offsets=offsets,
        velocity=ds,
        accuracy=accuracy(ds),
        residuals=residuals_by_step(offsets, ds),
        glaciers=glaciers(ds, outlines) if outlines else None,
        by_elevation=topography(ds, dem, outlines=outlines) if dem else None,
        files={name: folder / name for name in _product_names(settings)},
    )


def residuals_by_step(
    offsets: xr.Dataset, result: xr.Dataset
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Displacement left on stable ground before and after each correction, x and y, in metres.

    Each step keeps what `correct` removed later, so the figures need no second run.
    """
    ground = np.asarray(result["stable"].values, bool)
    parts = {"deformation": "after deformation", "topography": "after topography"}
    left = [np.asarray(offsets[k].values, float) for k in ("dx", "dy")]
    steps = {"as tracked": left}
    for part, label in parts.items():
        if f"dx_{part}" in result:
            left = [
                value - np.asarray(result[f"{k}_{part}"].values, float)
                for value, k in zip(left, ("dx", "dy"), strict=True)
            ]
            steps[label] = left
    if any(step["step"] == "correct" and step["parameters"]["noise"] for step in history(result)):
        steps["after noise filter"] = [np.asarray(result[k].values, float) for k in ("dx", "dy")]
    out = {}
    for label, (dx, dy) in steps.items():
        keep = ground & np.isfinite(dx) & np.isfinite(dy)
        out[label] = (dx[keep], dy[keep])
    return out


def _product_names(settings: Settings) -> list[str]:
    return [*PRODUCTS, *RECORDS, *(["glaciers.csv"] if settings.outlines else [])]


def _check_folder(folder: Path, names: list[str], *, overwrite: bool) -> None:
    """Fail before hours of work, not after."""
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file; give a folder for the products (--out).")
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise FileError(
            f"{folder} already holds {there[0]}; choose another folder, or give --overwrite."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"the folder {folder} cannot be made ({error.strerror}); choose another (--out)."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"the folder {folder} is not writable; choose another (--out).")


def _check_corrections(offsets: xr.Dataset, settings: Settings) -> None:
    """Meet wrong parameters before hours of tracking: nothing here is computed."""
    polynomial_terms(settings.order)
    check_folds(settings.folds)
    filter_noise(offsets, **settings.group(*FILTERING))


def _computed(offsets: xr.Dataset, settings: Settings, folder: Path) -> xr.Dataset:
    """The offsets, from the checkpoint of an earlier run if it is of the same pair."""
    key = _key(settings)
    store = folder / CHECKPOINT
    if store.exists():
        try:
            stored = open_checkpoint(store)
            if stored.attrs.get(KEY) == key:
                return _without_key(stored)
        except GlacierToolkitError:
            pass  # unreadable: track again and replace it
    return _without_key(checkpoint(offsets.assign_attrs({KEY: key}), store, overwrite=True))


def _without_key(ds: xr.Dataset) -> xr.Dataset:
    out = ds.copy()
    out.attrs = {k: v for k, v in ds.attrs.items() if k != KEY}
    return out


def _key(settings: Settings) -> str:
    """Fingerprint of the tracking parameters, the images (path, size, date) and the version."""
    from glaciertoolkit import __version__

    files = []
    for path in (settings.reference, settings.secondary):
        status = Path(path).stat()
        files.append([path, status.st_size, status.st_mtime_ns])
    names = (*TRACKING, "nested", "reference_date", "secondary_date")
    text = json.dumps([__version__, files, settings.group(*names)])
    return hashlib.sha256(text.encode()).hexdigest()


def _stable(offsets: xr.Dataset, settings: Settings) -> Any:
    if settings.stable == EVERYWHERE:
        return True
    return stable_terrain(
        offsets, outlines=settings.outlines, polygons=settings.stable, dem=settings.dem,
        **settings.group("buffer", "max_slope"),
    )  # fmt: skip


def _write(result: Result, settings: Settings, folder: Path, *, overwrite: bool) -> None:
    """Make every product aside; they appear together when the last one is whole."""
    from glaciertoolkit import __version__
    from glaciertoolkit.report import write_report

    ds = result.velocity
    with atomic_folder(folder, result.files, overwrite=overwrite) as aside:
        to_products(ds, aside)
        text = json.dumps(result.accuracy.to_json(), indent=1, allow_nan=False)
        (aside / "accuracy.json").write_text(text + "\n", encoding="utf-8")
        if result.glaciers is not None:
            result.glaciers.to_csv(aside / "glaciers.csv", index=False)
        write_report(
            aside / "report.html",
            velocity=ds,
            raw=result.offsets,
            accuracy=result.accuracy,
            steps=result.residuals,
            topography=result.by_elevation,
            glaciers=result.glaciers,
            history=history(ds),
            title=_title(ds),
            parameters=settings.to_dict(),
            dem=settings.dem,
            outlines=settings.outlines,
        )
        (aside / "run.yaml").write_text(to_yaml(settings, version=__version__), encoding="utf-8")


def _title(ds: xr.Dataset) -> str:
    first, second = (
        np.datetime_as_string(ds[k].values, unit="D") for k in ("reference_time", "secondary_time")
    )
    return f"Glacier motion, {first} to {second}"


@contextmanager
def dask_progress(advance: Callable[[float], None]) -> Iterator[None]:
    """Report the share of finished Dask tasks of whatever is computed inside the block."""
    from dask.callbacks import Callback

    def posttask(*state_of_task: Any) -> None:
        state = state_of_task[3]
        done = len(state["finished"])
        left = sum(len(state[k]) for k in ("ready", "waiting", "running"))
        advance(done / max(done + left, 1))

    with Callback(posttask=posttask):
        yield
