"""What a profile inspector shows, as parameters: views draw it, clicks and widgets change it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import panel as pn
import param

from glaciertoolkit.apps.asking import Asking
from glaciertoolkit.apps.content import first_line
from glaciertoolkit.apps.profile_answer import Answer, Question, Reader, default_length
from glaciertoolkit.apps.profile_content import ProfileContent
from glaciertoolkit.apps.profile_lines import (
    DrawnLine,
    colour_for,
    name_for,
    placed,
    uploaded,
    vertices,
)
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.flow_lines import flow_line
from glaciertoolkit.styles import LINE_COLOURS, LINE_DASHES, SHORT_LABELS, with_units

MODES = {"Draw the line": "draw", "Pick a flow line": "flow"}
ALONG = ("v", "v_along", "v_across")
FULL = f"There are {len(LINE_COLOURS)} lines, as many as there are colours: delete one first."


class ProfileState(Asking, pn.viewable.Viewer):
    """The state of one inspector: lines, dates, band width, and the curves that follow of them.

    Everything in it can be read and set from another cell of the notebook.
    """

    layer: Any = param.Selector(objects=["v"], label="Map")
    relief = param.Boolean(default=True, label="Shaded relief below the map")
    mode: Any = param.Selector(default="draw", objects=MODES, label="On the map")
    lines: Any = param.Parameter(default=(), precedence=-1, doc="the lines, each a DrawnLine")
    active = param.Integer(default=0, bounds=(0, None), precedence=-1, doc="number of the line")
    curve: Any = param.Selector(objects=["v"], label="First curve")
    dates: Any = param.ListSelector(default=[], objects=[], label="Dates")
    width = param.Number(default=0.0, bounds=(0.0, None), label="Band width (m), 0: the line")
    length = param.Number(
        default=1.0, bounds=(0.0, None), inclusive_bounds=(False, True),
        label="Strain rate over (m)",
    )  # fmt: skip
    answer: Any = param.ClassSelector(class_=Answer, precedence=-1, doc="what is shown")
    sentence = param.String(default="", precedence=-1, doc="what is wrong at the moment, in words")

    def __init__(self, gathered: ProfileContent, lines: Any = None) -> None:
        self.gathered = gathered
        self.reader = Reader(gathered)
        self._remark = ""
        given = placed(lines, gathered.content.ds) if lines is not None else None
        super().__init__()  # type: ignore[no-untyped-call]
        content = gathered.content
        self.param.layer.objects = {k: n for k, n in content.layers.items() if n != "flag"}
        self.param.curve.objects = curve_choices(gathered)
        labels = [dated.label for dated in gathered.dates]
        self.param.dates.objects = labels
        with param.parameterized.discard_events(self):
            self.layer = content.default_layer
            self.curve = next(iter(self.param.curve.objects.values()))
            self.dates = labels[: len(LINE_DASHES)]
            self.length = float(10 * math.ceil(default_length(gathered) / 10))
            if given is None:
                x, y = first_line(content.overview, content.profiled)
                self.lines = (DrawnLine("Line 1", LINE_COLOURS[0], tuple(x), tuple(y)),)
            else:
                self.lines = self._coloured((), given)
        # At once: a page opens with its curves.
        self._answered(self.reader.answer(self.question))
        self._prepare_asking("profile-inspector")

    # ---- the answer
    @property
    def question(self) -> Question:
        """All that the curves depend on."""
        labels = [d.label for d in self.gathered.dates if d.label in self.dates]
        return Question(self.lines, tuple(labels), float(self.width), float(self.length))

    @param.depends("lines", "dates", "width", "length", watch=True)
    def _ask(self) -> None:
        self._ask_anew()

    def _question(self) -> Callable[[], Answer]:
        return functools.partial(self.reader.answer, self.question)

    def _answered(self, answer: Answer) -> None:
        said = " ".join(text for text in (self._remark, answer.sentence) if text)
        self._remark = ""
        self.param.update(answer=answer, sentence=said)

    @property
    def along(self) -> Any:
        """The profile of the active line on the first date, as `profile` returns it; or None."""
        if self.answer is None or self.line is None:
            return None
        found = [c for c in self.answer.curves if c.line.name == self.line.name]
        return found[0].along if found else None

    # ---- the lines
    @property
    def line(self) -> DrawnLine | None:
        """The active line."""
        return self.lines[self.active] if self.active < len(self.lines) else None

    def _change(self, change: Callable[[DrawnLine], DrawnLine]) -> None:
        """Change the active line."""
        if self.line is not None:
            lines = list(self.lines)
            lines[self.active] = change(self.line)
            self.lines = tuple(lines)

    def set_points(self, x: Any, y: Any) -> None:
        """Lead the active line through other vertices."""
        if self.line is None:
            self.new_line()
        self._change(lambda line: line.through(x, y))

    def new_line(self, _: Any = None) -> None:
        """Begin another line, unless the active one has no point yet."""
        if self.line is not None and not self.line.x:
            return
        self._add(DrawnLine(name_for(self.lines), ""))

    def _add(self, line: DrawnLine) -> None:
        """Add a line in a colour of its own, or fill the empty one, and make it active."""
        lines = list(self.lines)
        if self.line is not None and not self.line.x:
            lines[self.active] = replace(line, colour=self.line.colour)
            self.lines = tuple(lines)
            return
        colour = colour_for(self.lines)
        if colour is None:
            self.sentence = FULL
            return
        self.param.update(lines=(*lines, replace(line, colour=colour)), active=len(lines))

    def drop_last(self, _: Any = None) -> None:
        """Remove the last point of the active line."""
        self._change(lambda line: line.through(line.x[:-1], line.y[:-1]))

    def reverse(self, _: Any = None) -> None:
        """Turn the active line round."""
        self._change(lambda line: line.through(line.x[::-1], line.y[::-1]))

    def delete(self, _: Any = None) -> None:
        """Remove the active line."""
        if self.line is None:
            return
        lines = tuple(line for k, line in enumerate(self.lines) if k != self.active)
        if not lines:
            lines = (DrawnLine("Line 1", LINE_COLOURS[0]),)
        self.param.update(lines=lines, active=min(self.active, len(lines) - 1))

    def pick(self, x: float, y: float) -> None:
        """Make the flow line through a place the next line."""

        def follow() -> Any:
            try:
                return flow_line(self.gathered.ds, x, y, gap=self.gathered.flow_gap)
            except GlacierToolkitError as error:
                return str(error)

        self._loop.run(follow, functools.partial(self._receive_flow, (x, y)))

    def _receive_flow(self, place: tuple[float, float], found: Any) -> None:
        if isinstance(found, str):
            self.sentence = found[:1].upper() + found[1:]
            return
        x, y = vertices(found)
        self._add(DrawnLine(name_for(self.lines, "Flow line"), "", x, y, place))

    def load(self, data: bytes, name: str) -> None:
        """Add the lines of a file; what is wrong with it is said."""
        try:
            given = uploaded(data, name, self.gathered.content.ds)
        except GlacierToolkitError as error:
            self.sentence = f"{name} cannot be used: {error}"
            return
        except Exception as error:  # whatever a library makes of a strange file
            self.sentence = f"{name} cannot be read: {error}."
            return
        kept = tuple(line for line in self.lines if line.x)
        added = self._coloured(kept, given)
        if not added:
            self.sentence = FULL
            return
        if len(added) < len(given):
            self._remark = f"Only {len(added)} of the {len(given)} lines are shown. {FULL}"
        self.param.update(lines=(*kept, *added), active=len(kept))

    @staticmethod
    def _coloured(others: tuple[DrawnLine, ...], given: dict[str, Any]) -> tuple[DrawnLine, ...]:
        """Lines as they are drawn, as many as there are colours."""
        made: list[DrawnLine] = []
        for name, shape in given.items():
            before = (*others, *made)
            colour = colour_for(before)
            if colour is None:
                break
            taken = {line.name for line in before}
            label = name if name not in taken else name_for(before)
            made.append(DrawnLine(label, colour, *vertices(shape)))
        return tuple(made)


def curve_choices(gathered: ProfileContent) -> dict[str, str]:
    """What the first curve can be, by its label: the speed and its parts before all other."""
    names = set(gathered.ds.data_vars)
    found = [n for n in ALONG if n in names or (n != "v" and {"vx", "vy"} <= names)]
    others = [n for n in gathered.content.layers.values() if n in names and n not in found]
    below = {"flag", "driving_stress", *gathered.covariates}
    labels = {name: label for label, name in gathered.content.layers.items()}
    found += [name for name in others if name not in below]
    if not found:
        found = [name for name in others if name != "flag"]
    return {labels.get(n, SHORT_LABELS.get(n, n)): n for n in found}


def labelled(name: str, units: str) -> str:
    """The label of an axis of curves."""
    return with_units(SHORT_LABELS.get(name, name.replace("_", " ")), units)
