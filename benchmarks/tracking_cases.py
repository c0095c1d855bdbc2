"""The cases of the tracking benchmark: which scenes, which trackers, which sizes.

Each case is a function of a `Plan` that returns figures; `CASES` is the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from tracking_measure import (
    PREFILTER_REACH,
    Figures,
    Method,
    NotAvailableError,
    Sizes,
    errors_of,
    measure,
    peak_memory,
    peer,
    rates,
    read_offsets,
    score,
    timed,
    toolkit,
    warm_up,
)
from tracking_peers import Array
from tracking_scenes import (
    Rigid,
    Scene,
    border,
    drift,
    glacier,
    ground_range,
    large,
    optical,
    patch,
    slc,
    with_gaps,
    with_region,
)

from glaciertoolkit.conventions import Flag


@dataclass(frozen=True)
class Plan:
    """How much is run: image sizes in pixels, shifts, pairs, repeats, seconds a method gets."""

    size: int = 1024
    wide: int = 4096
    scaling: tuple[int, ...] = (1024, 2048, 4096, 8192)
    drift: int = 2048
    shifts: int = 11
    pairs: int = 4
    repeat: int = 5
    budget: float = 15.0


QUICK = Plan(
    size=512,
    wide=2048,
    scaling=(512, 1024, 2048),
    drift=1024,
    shifts=5,
    pairs=1,
    repeat=2,
    budget=1.5,
)

ALL = ("OpenCV", "FFT", "windef", "windef quintic", "scikit-image")
WINDEF = ("windef", "windef quintic", "windef from 2 T")

FAST = toolkit()
QUALITY = toolkit("toolkit, quality", mode="quality")
AMPLITUDE = "toolkit, amplitude"


def shifts(count: int) -> list[Rigid]:
    """Sub-pixel shifts from 0 to 1 px, each once to the right and once down, never both alike.

    In an order in which the first few already come from the whole range.
    """
    last, turn = count - 1, (count + 1) // 3
    order = [4 * k % count for k in range(count)] if count % 2 else range(count)
    return [Rigid(k / last, (k + turn) % count / last) for k in order]


def rigid(make: Callable[..., Scene], plan: Plan) -> Iterator[Scene]:
    """One scene for each shift, each with a seed of its own, made when it is needed."""
    for seed, motion in enumerate(shifts(plan.shifts)):
        yield make(plan.size, motion, seed=seed)


def speed_64(plan: Plan) -> Figures:
    """Optical, T = 64: time on one pair."""
    methods = [FAST, QUALITY, *map(peer, ("OpenCV", "FFT", "windef", "scikit-image"))]
    scene = optical(plan.size, Rigid(0.3, 0.7))
    return measure([scene], methods, Sizes(64), repeat=plan.repeat, budget=plan.budget)


def speed_32(plan: Plan) -> Figures:
    """Optical, T = 32: time on one pair."""
    methods = [FAST, QUALITY, *map(peer, ALL)]
    scene = optical(plan.size, Rigid(0.3, 0.7))
    return measure([scene], methods, Sizes(32), repeat=plan.repeat, budget=plan.budget)


def wide(plan: Plan) -> Figures:
    """A wide pair: ours with prefilter and outlier filter, OpenCV's matching alone; memory."""
    methods = [toolkit(filtered=True), peer("OpenCV"), peer("FFT")]
    figures = measure(
        [large(plan.wide)], methods, Sizes(32), repeat=plan.repeat, budget=plan.budget
    )
    for name, found in figures.items():
        if "best_s" in found and (name == FAST.name or plan != QUICK):
            found["memory_mb"] = peak_memory(name, plan.wide, 32)
    return figures


def scaling(plan: Plan) -> Figures:
    """Time per post against the size of the image."""
    figures = {}
    for size in plan.scaling:
        repeat = max(2, plan.repeat - 2 * (size >= 4096))
        found = measure([large(size)], [FAST], Sizes(32), repeat=repeat, budget=3 * plan.budget)
        figures[f"{size}^2"] = found[FAST.name]
    return figures


def optical_rigid(plan: Plan) -> Figures:
    """Optical, T = 32, sub-pixel shifts: accuracy and peak locking."""
    methods = [FAST, QUALITY, *map(peer, ALL)]
    return measure(rigid(optical, plan), methods, Sizes(32), budget=plan.budget)


def optical_shear(plan: Plan) -> Figures:
    """Optical, T = 32, a sheared flow."""
    methods = [FAST, QUALITY, *map(peer, ALL)]
    scene = optical(plan.size, glacier(plan.size))
    return measure([scene], methods, Sizes(32), repeat=plan.repeat, budget=plan.budget)


def amplitude() -> Method:
    """This toolkit on the amplitude of a complex pair, not oversampled, as the peers get it."""

    def prepare(scene: Scene, sizes: Sizes) -> Callable[[], object]:
        images = np.abs(scene.reference), np.abs(scene.secondary)
        return FAST.prepare(Scene(scene.name, *images, scene.motion), sizes)

    return Method(AMPLITUDE, prepare, read_offsets)


RADAR = Sizes(64, prefilter="none")
"""Speckle has no brightness of its own that a high-pass would have to remove."""


def slc_rigid(plan: Plan) -> Figures:
    """Single-look complex, coherence 0.6, T = 64, sub-pixel shifts."""
    methods = [FAST, amplitude(), *map(peer, ("OpenCV", "windef"))]
    return measure(rigid(slc, plan), methods, RADAR, budget=plan.budget)


def slc_shear(plan: Plan) -> Figures:
    """Single-look complex, coherence 0.6, T = 64, a sheared flow."""
    methods = [FAST, QUALITY, amplitude(), *map(peer, ("OpenCV", "windef"))]
    return measure([slc(plan.size, glacier(plan.size))], methods, RADAR, budget=plan.budget)


def grd_rigid(plan: Plan) -> Figures:
    """4-look amplitude, coherence 0.3, T = 64, sub-pixel shifts."""
    methods = [FAST, QUALITY, *map(peer, ("OpenCV", *WINDEF))]
    return measure(rigid(ground_range, plan), methods, RADAR, budget=plan.budget)


def grd_shear(plan: Plan) -> Figures:
    """4-look amplitude, coherence 0.3, T = 64, a sheared flow; several pairs."""
    methods = [FAST, QUALITY, *map(peer, ("OpenCV", *WINDEF))]
    motion = glacier(plan.size)
    pairs = (ground_range(plan.size, motion, seed=seed) for seed in range(plan.pairs))
    return measure(pairs, methods, RADAR, budget=4 * plan.budget)


def gaps(plan: Plan) -> Figures:
    """40 % of the pixels NaN at random: in both images, 36 % of the products are left."""
    sparse = toolkit(min_valid=0.2)
    whole = optical(plan.size, Rigid(0.3, 0.7))
    figures = {}
    for scene in (
        whole,
        with_gaps(whole, 0.4, both=False),
        with_gaps(whole, 0.4, both=True),
    ):
        figures[scene.name] = measure([scene], [sparse], Sizes(32))[sparse.name]
    return figures


REGIONS: dict[str, tuple[Callable[[int], Array], float, Flag]] = {
    "border of NaN": (lambda n: border(n, n // 8), float("nan"), Flag.NODATA),
    "border of zeros": (lambda n: border(n, n // 8), 0.0, Flag.NODATA | Flag.LOW_CONTRAST),
    "constant patch": (lambda n: patch(n, n // 4), 8.0, Flag.LOW_CONTRAST),
}
"""Name -> which pixels, their value in both images, the flags that tell of it."""


def regions(plan: Plan) -> Figures:
    """A border without data, black or NaN, and a constant patch, in both images.

    `clear` posts are those whose windows (and the prefilter's reach) see none of it, `blind` ones
    those whose template lies in it: NaN with the right flag is all that they may be. What the
    posts between them deliver has to be right. The texture
    is that of a bright image (mean 5, standard deviation 1), so that both have hard edges.
    """
    whole = optical(plan.size, Rigid(0.3, 0.7))
    bright = Scene("whole", whole.reference + 5, whole.secondary + 5, whole.motion)
    sizes = Sizes(32)
    base = FAST.read(FAST.prepare(bright, sizes)(), bright)
    figures = {}
    for name, (hidden, value, flag) in REGIONS.items():
        scene = with_region(bright, name, hidden(plan.size), value)
        offsets = FAST.prepare(scene, sizes)()
        match = FAST.read(offsets, scene)
        clear, blind = _seen(scene, match.rows, match.cols, sizes)
        unlike = score([errors_of(match, scene, sizes, clear)])
        like = score([errors_of(base, scene, sizes, clear)])
        flagged = np.isnan(match.right) & ((offsets.flag.values & int(flag)) != 0)
        partly = errors_of(match, scene, sizes, ~clear & ~blind)
        delivered = np.isfinite(partly.error).all(0)
        figures[name] = {
            **unlike,
            "rmse_ratio": max(a / b for a, b in zip(unlike["rmse"], like["rmse"], strict=True)),
            "blind_posts": int(blind.sum()),
            "blind_delivered": int(np.isfinite(match.right[blind]).sum()),
            "blind_flagged_percent": 100 * float(flagged[blind].mean()),
            "partly_posts": int(delivered.size),
            "partly_delivered": int(delivered.sum()),
            "partly_wrong_percent": 100
            * float((delivered & ~partly.inlier).sum() / max(delivered.sum(), 1)),
        }
    return figures


def _seen(scene: Scene, rows: Array, cols: Array, sizes: Sizes) -> tuple[Array, Array]:
    """Which posts see nothing of what is hidden, and which have nothing else in their template."""
    hidden = np.asarray(scene.hidden)
    table = np.zeros(tuple(n + 1 for n in hidden.shape), np.int64)
    table[1:, 1:] = hidden.cumsum(0).cumsum(1)

    def share(half: float) -> Array:
        edges = []
        for centre, length in ((rows, hidden.shape[0]), (cols, hidden.shape[1])):
            first = np.clip(np.ceil(centre - half), 0, length).astype(int)
            edges.append((first, np.clip(np.floor(centre + half) + 1, 0, length).astype(int)))
        (top, bottom), (left, right) = edges
        total = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        return np.asarray(total / ((bottom - top) * (right - left)))

    half = (sizes.template - 1) / 2
    return share(half + sizes.search + PREFILTER_REACH) == 0, share(half) == 1


def drifting(plan: Plan) -> Figures:
    """Displacements to 150 px, coarse to fine; the time against the same pair without them."""
    sizes = Sizes(32)
    moved = optical(plan.drift, drift(plan.drift), margin=180)
    still = optical(plan.drift, Rigid(0.3, 0.7), margin=180)
    far = toolkit("toolkit, coarse to fine", max_displacement=150)
    try:
        warm_up(far, moved, sizes)
    except NotAvailableError as error:
        return {far.name: {"not_available": str(error)}}
    calls = {far.name: far.prepare(moved, sizes), "without": FAST.prepare(still, sizes)}
    turns = [{name: timed(call) for name, call in calls.items()} for _ in range(plan.repeat)]
    runs = {name: [turn[name] for turn in turns] for name in calls}
    match = far.read(runs[far.name][0][0], moved)
    rows, cols = np.broadcast_arrays(match.rows, match.cols)
    right, down = moved.truth(rows, cols)
    last, room = plan.drift - 1, sizes.margin
    reached = (np.abs(cols + right - last / 2) <= last / 2 - room) & (
        np.abs(rows + down - last / 2) <= last / 2 - room
    )
    errors = errors_of(match, moved, sizes, reached)
    figures = {
        name: rates(match.right.size, [r[1] for r in done], [r[2] for r in done])
        for name, done in runs.items()
    }
    figures[far.name] |= score([errors])
    figures[far.name]["within_tenth_percent"] = 100 * float(
        (np.abs(errors.error) < 0.1).all(0).mean()
    )
    figures[far.name]["time_ratio"] = figures[far.name]["best_s"] / figures["without"]["best_s"]
    return figures


CASES: dict[str, Callable[[Plan], Figures]] = {
    "speed_64": speed_64,
    "speed_32": speed_32,
    "wide": wide,
    "scaling": scaling,
    "optical_rigid": optical_rigid,
    "optical_shear": optical_shear,
    "slc_rigid": slc_rigid,
    "slc_shear": slc_shear,
    "grd_rigid": grd_rigid,
    "grd_shear": grd_shear,
    "gaps": gaps,
    "regions": regions,
    "drift": drifting,
}
