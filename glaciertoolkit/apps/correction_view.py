"""One view of the correction lab: its figures beside sentences and tables, laid out for a page."""

from __future__ import annotations

from typing import Any

import panel as pn

from glaciertoolkit.apps.correction_answer import Answer
from glaciertoolkit.apps.correction_content import Material
from glaciertoolkit.apps.correction_figures import AXIS, MARGIN, CorrectionFigures
from glaciertoolkit.apps.correction_tables import (
    axis_words,
    facts,
    left_out_table,
    notes,
    sentences,
    steps_table,
)
from glaciertoolkit.apps.following import WIDE, code_block
from glaciertoolkit.maps import axis_names, frame_size

# Only the end of a drag; the time makes the same box a change.
SELECTED = (
    "if (cb_obj.final && cb_obj.geometry.type === 'rect') { const g = cb_obj.geometry; "
    "chosen.value = [g.x0, g.y0, g.x1, g.y1, Date.now()].join(' ') }"
)
COPY = "navigator.clipboard?.writeText(code.value)"
BUSY = (
    "<span class='busy' style='background:#0072B2;color:white;padding:3px 10px;border-radius:4px'>"
    "computing …</span>"
)


class CorrectionView:
    """What one page or cell shows of a lab."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.figures = CorrectionFigures(material)
        self._words = axis_words(axis_names(material.sample["dx"]), radar=material.radar)
        # Hidden: what is dragged reaches Python through it, in a notebook as on a server.
        self.chosen = pn.widgets.TextInput(visible=False, width=0, height=0, margin=0)
        self.maps = {name: self._map(name) for name in self.figures.maps}
        self.histograms = {
            axis: pn.pane.Bokeh(figure, **WIDE) for axis, figure in self.figures.histograms.items()
        }
        self.busy = pn.pane.HTML("", width=120, height=26, margin=(4, 5))
        self.said = pn.pane.HTML("", margin=(0, 5), **WIDE)
        self.steps = pn.pane.HTML("", margin=(0, 10), **WIDE)
        self.left_out = pn.pane.HTML("", margin=(0, 10), **WIDE)
        self.facts = pn.pane.HTML("", margin=(0, 10), **WIDE)
        self.code = pn.pane.HTML("", margin=(0, 10), **WIDE)
        self._plain_code = pn.widgets.TextAreaInput(visible=False, width=0, height=0, margin=0)
        self._last: Answer | None = None

    @property
    def document(self) -> Any:
        """The Bokeh document that shows this view, if any does."""
        return self.figures.maps["raw"].document

    def _map(self, name: str) -> pn.pane.Bokeh:
        pane = pn.pane.Bokeh(self.figures.maps[name], sizing_mode="stretch_both", margin=0)
        if name == "raw":
            pane.jscallback(args={"chosen": self.chosen}, **{"event:selectiongeometry": SELECTED})
        return pane

    # ---- an answer
    def show(self, answer: Answer, **look: Any) -> None:
        """Draw an answer; without one the sentence that says why, beside the last answer."""
        self.said.object = sentences(answer, self._last is not None)
        if answer.motion is None and self._last is not None and self._last.left_out is None:
            self.show_tables(self._last._replace(left_out={}))  # nobody computes them any more
        if answer.motion is not None:
            self.figures.show(answer, **look)
            for name in ("geometry", "streaks"):
                if name in self._cells:
                    shown = any(f"d{a}_{name}" in answer.motion for a in ("x", "y"))
                    self._cells[name].visible = shown
            self.show_tables(answer)
        self._push()

    def show_tables(self, answer: Answer) -> None:
        """The tables of an answer: of some of them the figures come later."""
        if answer.motion is not None:
            self._last = answer
            self.steps.object = steps_table(answer, self._words)
            self.left_out.object = left_out_table(answer, self._words)
            self.facts.object = facts(answer, self._words)

    def show_code(self, code: str) -> None:
        """The calls that give what is shown."""
        self.code.object = f"<b>The same in code</b>{code_block(code)}"
        self._plain_code.value = code

    def show_box(self, box: tuple[float, float, float, float] | None) -> None:
        """The part of stable ground that is used."""
        self.figures.show_box(box)
        self._push()

    def show_busy(self, busy: bool) -> None:
        """A sign while an answer is on its way."""
        self.busy.object = BUSY if busy else ""

    def _push(self) -> None:
        """Bokeh models that change in a notebook are not sent of themselves."""
        if self.document is not None and self.document.session_context is None:
            pn.io.push_notebook(*self.maps.values(), *self.histograms.values())

    # ---- the page
    def _code_column(self) -> pn.Column:
        """The code, and a button that puts it where it can be pasted from."""
        button = pn.widgets.Button(label="Copy as code", margin=(2, 10), width=130)
        button.js_on_click(args={"code": self._plain_code}, code=COPY)
        return pn.Column(self.code, button, self._plain_code, margin=0, **WIDE)

    def body(self) -> pn.Column:
        """Maps above histograms above tables, as many beside each other as the page is wide."""
        frame = frame_size(self.material.sample["dx"], 200)
        wide, high = frame["frame_width"] + 2 * MARGIN + AXIS, frame["frame_height"] + 105
        self._cells = {}
        for name, pane in self.maps.items():
            first = name == "raw"
            style = {
                "flex": f"1 1 {150 + AXIS * first}px", "min-width": "150px",
                "min-height": "260px", "align-self": "stretch", "height": "auto",
                "max-width": f"{420 + AXIS * first}px",
            }  # fmt: skip
            if first:
                # The others are stretched to its height, so that they are alike.
                style["aspect-ratio"] = f"{wide} / {high}"
            self._cells[name] = pn.Column(pane, styles=style, margin=0)
        for name in ("geometry", "streaks"):
            if name in self._cells:
                self._cells[name].visible = False
        hint = pn.pane.HTML(
            "<span style='font-size:12px;color:#444'>Metres along the axis of the map. Pale: not "
            "used as stable ground. Drag on the first map to use only a part of the stable "
            "ground; the wheel zooms all maps.</span>", margin=(0, 10), **WIDE,
        )  # fmt: skip
        return pn.Column(
            self.said,
            _flow(*self._cells.values(), align="stretch"),
            pn.Row(hint, self.chosen, **WIDE),
            _flow(*(_half(pane) for pane in self.histograms.values())),
            _flow(_half(self.steps), _half(self.left_out)),
            _flow(
                _half(pn.Column(self.facts, notes_pane(self.material), margin=0, **WIDE)),
                _half(self._code_column()),
            ),
            styles={"flex": "1 1 640px", "min-width": "340px", "height": "auto"},
        )


def notes_pane(material: Material) -> pn.pane.HTML:
    """What the lab has to do without."""
    text = notes(material.notes)
    return pn.pane.HTML(f"<b>Notes</b>{text}" if text else "", margin=(0, 10), **WIDE)


def _flow(*parts: Any, align: str = "flex-start") -> pn.FlexBox:
    return pn.FlexBox(*parts, flex_wrap="wrap", align_items=align, **WIDE)


def _half(part: Any) -> pn.Column:
    style = {"flex": "1 1 430px", "min-width": "320px", "height": "auto"}
    return pn.Column(part, styles=style, margin=0)
