"""The chain from an image pair to its products, with progress and a checkpoint after tracking."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit import radar_chain
from glaciertoolkit.blocks import checkpoint, open_checkpoint
from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.correction.correct import check_folds, correct
from glaciertoolkit.correction.deformation import estimator_of
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.relief import check_aspect, method_of
from glaciertoolkit.correction.steps import Residuals, residuals_by_step
from glaciertoolkit.correction.terms import check_order
from glaciertoolkit.errors import FileError, GlacierToolkitError
from glaciertoolkit.io.atomic import atomic_folder
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.io.products import open_products, to_products
from glaciertoolkit.memory import return_freed_arrays, trim
from glaciertoolkit.motion import velocity
from glaciertoolkit.provenance import history
from glaciertoolkit.sar.posts import locate
from glaciertoolkit.settings import EVERYWHERE, Settings, to_yaml
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.terrain import stable_terrain
from glaciertoolkit.tracking.correlation import release_scratch
from glaciertoolkit.tracking.track import track
from glaciertoolkit.uncertainty import AccuracyReport, accuracy_report

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
    "search", "method", "mode", "max_displacement", "prefilter",
    "prefilter_sigma", "prefilter_width", "oversample", "min_valid", "false_alarm",
    "min_correlation", "min_peak_ratio",
)  # fmt: skip
FITTING = (
    "order", "deformation", "aspect", "sequential", "loss", "weighted", "noise", "streaks", "folds",
)  # fmt: skip
STEP = 8
"""Pixels between posts on a map, where the settings do not say."""

RADAR = ("polarisation", "geoid", "geolocation")
"""What the offsets of a radar pair depend on besides the tracking."""

FILTERING = (
    "disparity_share", "disparity_reach", "median_threshold", "median_floor", "min_island",
    "max_speed", "min_snr", "max_turn", "max_strain", "fill", "smooth", "smoothing",
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
    accuracy: AccuracyReport
    residuals: Residuals
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
    return_freed_arrays()
    with stage("Opening the images"):
        pair = open_pair(
            settings.reference,
            settings.secondary,
            **settings.group("reference_date", "secondary_date", "polarisation"),
        )
    radar = in_radar_geometry(pair)
    offsets = _radar_offsets(pair, settings, stage) if radar else _map_offsets(pair, settings)
    ground = _stable(offsets, settings)
    _check_corrections(offsets, settings, radar=radar)
    with stage("Tracking"):
        offsets = _computed(offsets, settings, folder)
        release_scratch()
        trim()
    with stage("Correcting"):
        motion = correct(
            radar_chain.loaded(offsets) if radar else offsets.load(),
            stable=ground, dem=settings.dem, topography=settings.relief,
            **settings.group(*FITTING, *FILTERING),
        )  # fmt: skip
        if radar:
            # From here on on disk: a scene in radar geometry and its map do not fit side by side.
            motion = radar_chain.stored(motion, folder)
    del ground
    trim()
    with _final(motion, settings, folder, stage) as ds:
        with stage("Assessing"):
            result = _assess(offsets, motion, ds, settings, folder)
        with stage("Writing the products"):
            _write(result, settings, folder, overwrite=overwrite)
    # What lay aside is gone; the products hold the same.
    return replace(result, velocity=open_products(folder)) if radar else result


@contextmanager
def _final(
    motion: xr.Dataset, settings: Settings, folder: Path, stage: Stage
) -> Iterator[xr.Dataset]:
    """Velocity on the map; of a radar pair it lies on disk as long as the context lasts."""
    if not in_radar_geometry(motion):
        yield velocity(motion)
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".map-") as aside:
        with stage("Going to the map"):
            store = Path(aside) / "map.zarr"
            ds = checkpoint(velocity(radar_chain.onto_map(motion, settings)), store)
            trim()
        yield ds


def _map_offsets(pair: xr.Dataset, settings: Settings) -> xr.Dataset:
    """Tracking of two images on a map, not computed yet."""
    return _tracked(pair, settings, template=settings.template, step=settings.step or STEP)


def _radar_offsets(pair: xr.Dataset, settings: Settings, stage: Stage) -> xr.Dataset:
    """Tracking of two images in radar geometry, not computed yet, its posts on the ground."""
    radar_chain.check_settings(settings)
    with stage("Finding the geometry"):
        pair = radar_chain.refined_geometry(pair, settings)
        offsets = _tracked(pair, settings, **radar_chain.tracking_options(pair, settings))
        return locate(offsets, dem=settings.dem or "", geoid=radar_chain.quietly(settings))


def _tracked(pair: xr.Dataset, settings: Settings, **options: Any) -> xr.Dataset:
    nested = () if settings.nested is None else (settings.nested,)
    return track(pair, nested=nested, **settings.group(*TRACKING), **options)


def _assess(
    offsets: xr.Dataset, motion: xr.Dataset, ds: xr.Dataset, settings: Settings, folder: Path
) -> Result:
    dem, outlines = settings.dem, settings.outlines
    return Result(
        offsets=offsets,
        velocity=ds,
        accuracy=accuracy_report(ds, ice=outlines, dem=dem),
        residuals=residuals_by_step(offsets, motion),
        glaciers=glaciers(ds, outlines) if outlines else None,
        by_elevation=topography(ds, dem, outlines=outlines) if dem else None,
        files={name: folder / name for name in _product_names(settings)},
    )


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


def _check_corrections(offsets: xr.Dataset, settings: Settings, *, radar: bool) -> None:
    """Meet wrong parameters before hours of tracking: nothing here is computed."""
    check_aspect(settings.aspect, method_of(settings.relief, radar=radar), radar=radar)
    check_order(settings.order)
    estimator_of(offsets, **settings.group("loss", "weighted"))
    check_folds(settings.folds)
    filter_noise(offsets, **settings.group(*FILTERING))


def _computed(offsets: xr.Dataset, settings: Settings, folder: Path) -> xr.Dataset:
    """The offsets, from the checkpoint of an earlier run if it is of the same pair."""
    key = _key(settings, radar=in_radar_geometry(offsets))
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


def _key(settings: Settings, *, radar: bool) -> str:
    """Fingerprint of the tracking parameters, the files (path, size, date) and the version."""
    from glaciertoolkit import __version__

    files = []
    for path in (settings.reference, settings.secondary, *([settings.dem] if radar else [])):
        status = Path(str(path)).stat()
        files.append([path, status.st_size, status.st_mtime_ns])
    names = (*TRACKING, "template", "step", "nested", "reference_date", "secondary_date")
    chosen = names + (RADAR if radar else ())
    text = json.dumps([__version__, files, settings.group(*chosen)])
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
