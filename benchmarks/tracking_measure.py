"""How a tracker is measured: time, processor time, errors against the truth, peak memory.

Trackers that are compared take turns on the same pair, so that what else the machine does hits
all alike. Accuracy is that of the posts whose template and search window lie inside the image;
an inlier is a post whose error is below `INLIER` along both axes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tracking_peers import PEERS, Array, Match, high_pass, installed
from tracking_scenes import PIXEL, Scene

import glaciertoolkit as gt
from glaciertoolkit.errors import InputError

INLIER = 1.0
"""Pixels."""
PREFILTER_REACH = 12
"""Pixels by which the Gaussian of 3 px sees further than the windows."""
Figures = dict[str, Any]


class NotAvailableError(Exception):
    """The tracker cannot do this here: a peer that is not installed, an option that is missing."""


@dataclass(frozen=True)
class Sizes:
    """What all trackers of a case share, in pixels."""

    template: int
    search: int = 16
    step: int = 8
    prefilter: str = "highpass"

    @property
    def margin(self) -> float:
        """Centres that are further from the image's edge have their windows inside."""
        return self.template / 2 + self.search


@dataclass(frozen=True)
class Method:
    """A tracker: `prepare` makes, outside the time, the call that is timed; `read` its result."""

    name: str
    prepare: Callable[[Scene, Sizes], Callable[[], Any]]
    read: Callable[[Any, Scene], Match] = field(default=lambda found, _: found)


def toolkit(name: str = "toolkit", *, filtered: bool = False, **options: Any) -> Method:
    """This toolkit through its public call, `filtered` by its outlier filter as well."""

    def prepare(scene: Scene, sizes: Sizes) -> Callable[[], xr.Dataset]:
        pair = scene.pair()
        given = {
            "template": sizes.template,
            "search": sizes.search,
            "step": sizes.step,
            "prefilter": sizes.prefilter,
            **options,
        }

        def call() -> xr.Dataset:
            offsets: xr.Dataset = pair.glacier.track(**given).compute()
            return offsets.glacier.filter_noise().compute() if filtered else offsets

        return call

    return Method(name, prepare, read_offsets)


def read_offsets(offsets: xr.Dataset, scene: Scene) -> Match:
    """Offsets in metres along the grid as pixels of the image, to the right and down."""
    grid = scene.pair()
    cols = (offsets.x.values - float(grid.x[0])) / PIXEL
    rows = (float(grid.y[0]) - offsets.y.values) / PIXEL
    right, down, *errors = (
        np.asarray(offsets[name].values, float) / PIXEL
        for name in ("dx", "dy", "dx_error", "dy_error")
    )
    return Match(rows[:, None], cols[None, :], right, -down, *errors)


def peer(name: str) -> Method:
    """A peer on the high-passed images; complex ones as amplitudes."""

    def prepare(scene: Scene, sizes: Sizes) -> Callable[[], Match]:
        if not installed(name):
            raise NotAvailableError("not installed")
        images = [
            np.abs(image) if np.iscomplexobj(image) else image
            for image in (scene.reference, scene.secondary)
        ]
        if sizes.prefilter == "highpass":
            images = [high_pass(image) for image in images]
        track = PEERS[name][1]
        return lambda: track(*images, template=sizes.template, search=sizes.search, step=sizes.step)

    return Method(name, prepare)


BRIEF = 1.0
"""Seconds; longer runs warm up by themselves."""


def warm_up(method: Method, scene: Scene, sizes: Sizes) -> None:
    """Runs a tracker once on a corner of the scene: imports and compilation are no one's time.

    Raises
    ------
    NotAvailableError
        If the tracker lacks the option, or what it needs is not installed.
    """
    edge = min(scene.reference.shape[0], 384)
    corner = Scene(
        "warm-up", scene.reference[:edge, :edge], scene.secondary[:edge, :edge], scene.motion
    )
    try:
        method.prepare(corner, sizes)()
    except InputError as error:
        raise NotAvailableError(str(error)) from error
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise NotAvailableError(str(error)) from error


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, wall and processor seconds of one call."""
    start, busy = time.perf_counter(), time.process_time()
    found = call()
    return found, time.perf_counter() - start, time.process_time() - busy


def measure(
    scenes: Iterator[Scene] | Sequence[Scene],
    methods: Sequence[Method],
    sizes: Sizes,
    *,
    repeat: int = 1,
    budget: float = 20.0,
) -> dict[str, Figures]:
    """Figures of each method over the scenes, all taking turns.

    Where runs are repeated, each timed one directly follows an untimed one (unless it takes BRIEF
    seconds or more): after another tracker the first run finds cold caches and a sleeping core.
    A method that has used up its `budget` of seconds sits out the remaining turns, but not before
    its first; its figures say how many scenes and runs they rest on. One that crashes when it is
    warmed up is named as such, and the others go on.
    """
    seconds: dict[str, list[float]] = {m.name: [] for m in methods}
    busy: dict[str, list[float]] = {m.name: [] for m in methods}
    errors: dict[str, list[Errors]] = {m.name: [] for m in methods}
    posts: dict[str, int] = {}
    out: dict[str, Figures] = {}
    for scene in scenes:
        calls = {}
        for method in methods:
            if method.name in out or sum(seconds[method.name]) > budget:
                continue
            try:
                if not seconds[method.name]:
                    warm_up(method, scene, sizes)
            except NotAvailableError as error:
                out[method.name] = {"not_available": str(error)}
            except Exception as error:
                traceback.print_exc()
                out[method.name] = {"crashed": f"{type(error).__name__}: {error}"}
            else:
                calls[method] = method.prepare(scene, sizes)
        for turn in range(repeat):
            for method, call in calls.items():
                name = method.name
                if turn and sum(seconds[name]) > budget:
                    continue
                if repeat > 1 and (not seconds[name] or seconds[name][-1] < BRIEF):
                    call()
                found, wall, cpu = timed(call)
                seconds[name].append(wall)
                busy[name].append(cpu)
                if turn == 0:
                    match = method.read(found, scene)
                    posts[name] = match.right.size
                    errors[name].append(errors_of(match, scene, sizes))
    return {
        m.name: out[m.name]
        if m.name in out
        else {**rates(posts[m.name], seconds[m.name], busy[m.name]), **score(errors[m.name])}
        for m in methods
    }


def rates(posts: int, seconds: Sequence[float], busy: Sequence[float]) -> Figures:
    """Times of some runs and what they make per second."""
    return {
        "posts": posts,
        "runs": len(seconds),
        "best_s": min(seconds),
        "median_s": statistics.median(seconds),
        "cpu_s": min(busy),
        "posts_per_s": posts / min(seconds),
        "posts_per_core_s": posts / max(min(busy), 1e-9),
    }


@dataclass(frozen=True)
class Errors:
    """Errors (axis, post) in pixels at the posts inside one scene, and the stated ones."""

    error: Array
    stated: Array | None

    @property
    def inlier(self) -> Array:
        """Posts found within `INLIER`; one that was not found (NaN) is none."""
        return np.asarray((np.abs(self.error) < INLIER).all(0))


def errors_of(match: Match, scene: Scene, sizes: Sizes, where: Array | None = None) -> Errors:
    """Errors at the posts whose windows lie inside the image and, if given, `where`."""
    rows, cols = np.broadcast_arrays(match.rows, match.cols)
    ny, nx = scene.reference.shape
    margin = sizes.margin
    inside = (rows >= margin) & (rows <= ny - 1 - margin)
    inside &= (cols >= margin) & (cols <= nx - 1 - margin)
    if where is not None:
        inside &= where
    truth = scene.truth(rows[inside], cols[inside])
    error = np.stack([match.right[inside] - truth[0], match.down[inside] - truth[1]])
    stated = None
    if match.right_error is not None and match.down_error is not None:
        stated = np.stack([match.right_error[inside], match.down_error[inside]])
    return Errors(error, stated)


def score(scenes: Sequence[Errors]) -> Figures:
    """Accuracy over the scenes; pairs of numbers are (right, down), pixels.

    `lock` is the rms over the scenes of the mean error. `calibration` is the NMAD of error / stated
    error, `within` the share of errors below the stated one.
    """
    inlier = [scene.error[:, scene.inlier] for scene in scenes]
    every = np.concatenate(inlier, 1)
    means = np.array([e.mean(1) for e in inlier if e.size] or [[np.nan, np.nan]])
    posts = sum(scene.error.shape[1] for scene in scenes)
    found = sum(int(np.isfinite(scene.error).all(0).sum()) for scene in scenes)
    figures: Figures = {
        "scenes": len(scenes),
        "rmse": _pair(np.sqrt(np.mean(every**2, 1)) if every.size else [np.nan, np.nan]),
        "lock": _pair(np.sqrt(np.mean(means**2, 0))),
        "largest_mean": _pair(np.abs(means).max(0)),
        "outliers_percent": 100 * (found - every.shape[1]) / max(found, 1),
        "valid_percent": 100 * found / max(posts, 1),
    }
    stated = [s.stated[:, s.inlier] for s in scenes if s.stated is not None]
    if stated and every.size:
        ratio = every / np.concatenate(stated, 1)
        figures["calibration"] = _pair([gt.nmad(r[np.isfinite(r)]) for r in ratio])
        figures["within"] = _pair(np.mean(np.abs(ratio) <= 1, 1))
    return figures


def _pair(values: Any) -> list[float]:
    return [float(v) for v in values]


def peak_memory(name: str, size: int, template: int) -> float:
    """Megabytes above the two images that a tracker needs, measured in a process of its own."""
    code = (
        "import tracking_measure as m\n"
        f"print('peak', m.own_peak_memory({name!r}, {size}, {template}))"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^peak (\S+)$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the memory of {name} could not be measured: {done.stderr[-2000:]}")
    return float(found[1])


def own_peak_memory(name: str, size: int, template: int) -> float:
    """Megabytes by which this process grows beyond the images when it tracks them."""
    from tracking_scenes import large

    sizes = Sizes(template)
    method = toolkit(filtered=True) if name == "toolkit" else peer(name)
    warm_up(method, large(512), sizes)
    call = method.prepare(large(size), sizes)
    # Reset the high-water mark, which still knows of the warm-up.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    found = call()
    return _memory("VmHWM") - before if found is not None else 0.0


def _memory(key: str) -> float:
    """Resident megabytes: now (VmRSS) or at most (VmHWM) of this process.

    `ru_maxrss` is only the way out where there is no /proc: a process inherits it from the one
    that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = re.search(rf"^{key}:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if line is not None:
            return int(line[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def to_json(figures: Mapping[str, Any]) -> str:
    """Figures as JSON, floats with six digits, NaN as null."""

    def tidy(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: tidy(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [tidy(v) for v in value]
        if isinstance(value, float | np.floating):
            return float(f"{value:.6g}") if np.isfinite(value) else None
        return value.item() if isinstance(value, np.generic) else value

    return json.dumps(tidy(figures), indent=1) + "\n"
