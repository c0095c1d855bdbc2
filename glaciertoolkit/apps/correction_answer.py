"""What the correction lab computes; no widgets here, so that it can run in a thread."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import xarray as xr

from glaciertoolkit.apps.asking import Quietly
from glaciertoolkit.apps.correction_content import Material, stable_of
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.noise import QUALITY
from glaciertoolkit.correction.steps import (
    LEAVABLE,
    Residuals,
    describe_steps,
    held_out_nmad,
    leave_out,
    residuals_by_step,
)
from glaciertoolkit.correction.terms import AUTO
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.memory import trim
from glaciertoolkit.terrain import stable_terrain

DEFAULTS = {n: p.default for n, p in inspect.signature(correct).parameters.items()}
MAX_SLOPE = inspect.signature(stable_terrain).parameters["max_slope"].default
WITH_NEIGHBOURS: dict[str, Any] = {
    "disparity_share": 0.0, "median_threshold": math.inf, "min_island": 0.0, "max_turn": None,
    "max_strain": None, "fill": 0, "smooth": 0,
}  # fmt: skip
"""What of the noise filters looks at neighbours, switched off: a sample has none."""


@dataclass(frozen=True)
class Question:
    """Options of `correct`, and of the stable ground (see `stable_of`)."""

    correcting: dict[str, Any]
    ground: dict[str, Any]


class Answer(NamedTuple):
    """The corrected offsets with what they say of the stable ground.

    `motion` is None where `problem` says why there is none. `held` and `left_out` come later.
    `whole`: corrected on all posts, and not on the sample alone.
    """

    motion: xr.Dataset | None
    steps: Residuals
    table: xr.Dataset | None
    problem: str = ""
    whole: bool = False
    held: xr.Dataset | None = None
    left_out: dict[str, xr.Dataset] | None = None

    @property
    def warnings(self) -> list[str]:
        """What the fit has to say about itself, in sentences."""
        if self.motion is None or "correction_warnings" not in self.motion:
            return []
        return str(self.motion["correction_warnings"].item()).splitlines()


@dataclass
class Workbench:
    """Answers for one set of offsets."""

    material: Material
    _kept: dict[str, Any] = field(default_factory=dict)

    # ---- live
    def live(self, correcting: dict[str, Any]) -> dict[str, Any]:
        """The options of `correct` for the posts that are corrected live.

        In a sample neighbouring posts are far apart: what looks at neighbours is left out.
        """
        found = dict(correcting)
        if not self.material.knows_relief:
            found["topography"] = found["aspect"] = False
        if self.material.every > 1 and found["noise"]:
            thresholds = [found[name] for name in QUALITY] + [found["max_speed"] or 0]
            found["noise"] = any(thresholds)
            if found["noise"]:
                found |= WITH_NEIGHBOURS
        return found

    def answer(self, question: Question) -> Answer:
        """Correct the live posts; what goes wrong becomes a sentence."""
        try:
            with Quietly():  # warnings are in the result, and are shown from there
                return self._answer(question)
        except GlacierToolkitError as error:
            return Answer(None, {}, None, str(error))
        except Exception as error:  # a disk that fails, memory that ends: any library's error
            return Answer(None, {}, None, f"The offsets cannot be corrected: {error}.")

    def _answer(self, question: Question) -> Answer:
        options = self.live(question.correcting)
        if options["order"] != AUTO:
            options["folds"] = 0  # the hold-out takes as long again, and comes afterwards
        sample = needed(self.material.sample, options)
        stable = self._stable(question)
        motion = correct(sample, stable=stable, dem=self._dem(sample), **options)
        if not options["folds"]:
            motion = motion.drop_vars("stable_fold")  # nothing has been held out yet
        steps = residuals_by_step(sample, motion)
        return Answer(motion, steps, describe_steps(steps))

    def judge(
        self, question: Question, answer: Answer, obsolete: Callable[[], bool] = lambda: False
    ) -> Answer:
        """The same with the hold-out, and with what is lost if a correction is left out.

        It is given up as soon as it is `obsolete`: somebody asks something else.
        """
        if answer.motion is None or answer.whole:
            return answer
        try:
            with Quietly():
                return self._judge(question, answer, obsolete)
        except Exception:
            # Figures beside the answer: what is wrong with the offsets the answer itself says.
            return answer._replace(left_out={})

    def _judge(self, question: Question, answer: Answer, obsolete: Callable[[], bool]) -> Answer:
        options = self.live(question.correcting)
        sample = needed(self.material.sample, options)
        given: dict[str, Any] = {"stable": self._stable(question), "dem": self._dem(sample)}
        motion = correct(sample, **given, **options)
        held = held_out_nmad(sample, motion)
        left_out = {}
        for part in LEAVABLE:
            if obsolete():
                return answer
            if options[part]:
                ice = self.material.ice
                left_out[part] = leave_out(sample, motion, part, ice=ice, **given, **options)
        table = describe_steps(answer.steps, held_out=held)
        return answer._replace(motion=motion, table=table, held=held, left_out=left_out)

    # ---- all posts
    def all_posts(self, question: Question) -> Answer:
        """Correct every post, noise filters and all; what is shown of it is the sample."""
        try:
            with Quietly():
                return self._all_posts(question)
        except GlacierToolkitError as error:
            return Answer(None, {}, None, str(error), whole=True)
        except Exception as error:
            return Answer(None, {}, None, f"The offsets cannot be corrected: {error}.", whole=True)

    def _all_posts(self, question: Question) -> Answer:
        m = self.material
        options = dict(question.correcting)
        if not m.knows_relief:
            options["topography"] = options["aspect"] = False
        offsets = needed(m.offsets, options)
        stable = stable_of(offsets, m, m.terrain, **question.ground)
        motion = correct(offsets, stable=stable, dem=self._dem(offsets), **options)
        over = [k for k, v in motion.data_vars.items() if set(v.dims) == {"y", "x"}]
        shown = [k for k in over if k not in ("dx_error", "dy_error", "dxdy_covariance")]
        motion = motion[[*shown, *(k for k in motion.data_vars if k not in over)]]
        motion = m.thinned(motion).compute()
        if m.spool is not None:
            m.spool.release()
        trim()
        steps = residuals_by_step(m.sample, motion)
        held = held_out_nmad(m.sample, motion)
        table = describe_steps(steps, held_out=held)
        return Answer(motion, steps, table, whole=True, held=held)

    # ---- ground
    def _dem(self, ds: xr.Dataset) -> Any:
        m = self.material
        if m.radar:
            return None
        return m.ground if ds.sizes == m.sample.sizes else m.terrain

    def _stable(self, question: Question) -> Any:
        """The stable ground of the live posts; the last one is kept."""
        key = tuple(question.ground.items())
        if self._kept.get("key") != key:
            m = self.material
            self._kept = {"key": key, "stable": stable_of(m.sample, m, m.ground, **question.ground)}
        return self._kept["stable"]


def needed(ds: xr.Dataset, options: dict[str, Any]) -> xr.Dataset:
    """Of the offsets what the displacement depends on; errors are not shown, and take long."""
    names = ["dx", "dy", "flag"]
    if options["weighted"] or options["max_turn"] is not None or options["fill"]:
        names += [name for name in ("dx_error", "dy_error") if name in ds]
    names += [name for option, (name, _) in QUALITY.items() if options[option] and name in ds]
    if "height" in ds:
        names.append("height")
    return ds[names]


def code_of(material: Material, question: Question, bench: Workbench, *, whole: bool) -> str:
    """The calls that give exactly what is shown, from `offsets`, `dem` and `outlines`."""
    lines = ["import glaciertoolkit as gt", *material.opening, ""]
    ground: dict[str, str] = {}
    sample = material.every > 1 and not whole
    if material.terrain is not None:
        lines.append("terrain = gt.terrain_at_posts(offsets, dem)")
        ground["dem"] = "terrain"
    if sample:
        every, step = material.every, material.sample.attrs["step"]
        lines += [
            f"# what is shown: one of {every} by {every} posts",
            f"each = dict(y=slice({material.first}, None, {every}), "
            f"x=slice({material.first}, None, {every}))",
            f"offsets = offsets.isel(each).assign_attrs(step={step}).compute()",
        ]
        if material.terrain is not None:
            lines.append("terrain = terrain.isel(each)")
        if material.stable is not None and material.stable is not True:
            lines.append("stable = stable.isel(each)")
    lines += _stable_lines(material, question, ground)
    options = bench.live(question.correcting) if not whole else dict(question.correcting)
    if material.radar:
        ground = {}
    words = [f"{k}={v}" for k, v in ground.items()]
    words += [f"{k}={_word(v)}" for k, v in options.items() if v != DEFAULTS[k]]
    lines.append(_call("motion = gt.correct", ["offsets", "stable=stable", *words]))
    return "\n".join(lines)


def _stable_lines(material: Material, question: Question, ground: dict[str, str]) -> list[str]:
    box = question.ground["box"]
    inside = ""
    if box is not None:
        x0, y0, x1, y1 = box
        inside = (
            f"(offsets.y >= {y0!r}) & (offsets.y <= {y1!r}) & "
            f"(offsets.x >= {x0!r}) & (offsets.x <= {x1!r})"
        )
    if material.stable is not None:
        if material.stable is True:
            return [f"stable = {inside or 'True'}"]
        return [f"stable = stable & {inside}"] if inside else []
    if material.outlines is None and material.fixed.get("polygons") is None:
        steep = f" & (terrain.slope <= {question.ground['max_slope']!r})" if ground else ""
        return [f"stable = {inside}{steep}"] if inside else ["# no stable ground yet"]
    words = ["outlines=outlines"] if material.outlines is not None else []
    words += [f"{k}={k}" for k in material.fixed]
    words += [f"{k}={v}" for k, v in ground.items()]
    buffer, max_slope = question.ground["buffer"], question.ground["max_slope"]
    words += [] if buffer is None else [f"buffer={buffer!r}"]
    words += [f"max_slope={max_slope!r}"] if ground and max_slope != MAX_SLOPE else []
    lines = [_call("stable = gt.stable_terrain", ["offsets", *words])]
    return lines + ([f"stable = stable & {inside}"] if inside else [])


def _call(begin: str, words: list[str]) -> str:
    line = f"{begin}({', '.join(words)})"
    return line if len(line) <= 88 else f"{begin}(\n    " + ",\n    ".join(words) + ",\n)"


def _word(value: Any) -> str:
    return "float('inf')" if value == math.inf else repr(value)
