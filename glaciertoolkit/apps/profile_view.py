"""One view of the profile inspector: its map beside its curves, laid out for a page."""

from __future__ import annotations

import html
import json
from typing import Any

import panel as pn

from glaciertoolkit.apps.following import WIDE, plain, sentence
from glaciertoolkit.apps.map_view import shaped
from glaciertoolkit.apps.profile_curves import ProfileCurves, label_of
from glaciertoolkit.apps.profile_exports import code_of
from glaciertoolkit.apps.profile_map import ProfileMap
from glaciertoolkit.apps.profile_state import ProfileState

SEEN = """
clearTimeout(window[timer])
const ends = [cb_obj.x0, cb_obj.x1, cb_obj.y0, cb_obj.y1]
window[timer] = setTimeout(() => { seen.value = JSON.stringify(ends) }, 150)
"""
COPY = "navigator.clipboard?.writeText(code.value).catch(() => {})"


class ProfileView:
    """What one page or cell shows of an inspector."""

    def __init__(self, state: ProfileState, number: int) -> None:
        self.state = state
        self.curves = ProfileCurves(state.gathered)
        self.map = ProfileMap(state.gathered.content, self.curves.marker)
        self.curves.link(self.map.figure)
        # Hidden: what is done on the map reaches Python through them, in a notebook as on a
        # server.
        self.drawn, self.picked, self.seen = (
            pn.widgets.TextInput(visible=False, width=0, height=0, margin=0) for _ in range(3)
        )
        self.chart = pn.pane.Bokeh(self.map.figure, sizing_mode="stretch_both")
        told: dict[str, Any] = {"drawn": self.drawn}
        self.chart.jscallback(args=told, name="drawn.value = cb_obj.name")
        tapped: dict[str, Any] = {"picked": self.picked, "draw": self.map.draw}
        self.chart.jscallback(
            args=tapped,
            **{"event:tap": "if (!draw.add) picked.value = "
                            "JSON.stringify([cb_obj.x, cb_obj.y, Date.now()])"},
        )  # fmt: skip
        looked: dict[str, Any] = {"seen": self.seen, "timer": f"glacier_profile_{number}"}
        self.chart.jscallback(args=looked, **{"event:rangesupdate": SEEN})
        self.panes = [pn.pane.Bokeh(figure, **WIDE) for figure in self.curves.figures]
        self.readout = pn.pane.Bokeh(self.curves.readout, **WIDE)
        self.status = plain("")
        self.left_out = plain("")
        self.code = pn.pane.HTML("", **WIDE)
        self.plain_code = pn.widgets.TextAreaInput(visible=False, max_length=10_000_000)
        copy = pn.widgets.Button(label="Copy", width=80)
        copy.js_on_click(args={"code": self.plain_code}, code=COPY)
        self.code_card = pn.Card(
            self.code, copy, self.plain_code, title="The same in code", collapsed=True, margin=5,
            **WIDE,
        )  # fmt: skip
        self.code_card.param.watch(self.show_code, "collapsed")
        self._edited = False
        self.drawn.param.watch(self._draw, "value")
        self.picked.param.watch(self._pick, "value")
        self.seen.param.watch(self._look, "value")
        self.show_layer()
        self.show_lines()
        self.show_mode()
        self.show_answer()
        self.show_sentence()

    @property
    def document(self) -> Any:
        """The Bokeh document that shows this view, if any does."""
        return self.map.figure.document

    # ---- what a person does on the map
    def _draw(self, event: Any) -> None:
        try:
            _, x, y = json.loads(event.new)
        except ValueError:
            return
        if self.state.mode != "draw":
            # A click from before the browser knew that it no longer draws.
            self.show_lines()
            return
        self._edited = True
        try:
            self.state.set_points(x, y)
        finally:
            self._edited = False

    def _pick(self, event: Any) -> None:
        try:
            x, y, _ = json.loads(event.new)
        except ValueError:
            return
        if self.state.mode == "flow":
            self.state.pick(float(x), float(y))

    def _look(self, event: Any) -> None:
        try:
            x0, x1, y0, y1 = (float(end) for end in json.loads(event.new))
        except (ValueError, TypeError):
            return
        if self.map.look_at((x0, x1), (y0, y1)):
            self.show_layer()

    # ---- what is shown
    def show_layer(self) -> None:
        """Draw the layer of the map."""
        self.map.show_layer(self.state.layer, relief=self.state.relief)
        self.state.gathered.content.spool.release()
        self._push(self.chart)

    def show_lines(self) -> None:
        """Draw the lines on the map."""
        state = self.state
        # On a server Bokeh keeps both sides the same; in a notebook Python hears of it here only.
        known = self.document is not None and self.document.session_context is not None
        self.map.show_lines(state.lines, state.active, edited=self._edited and known)
        self._push(self.chart)

    def show_mode(self) -> None:
        """Let the mouse do on the map what is chosen."""
        self.map.show_mode(self.state.mode)
        self._push(self.chart)

    def show_answer(self) -> None:
        """Draw the curves."""
        state = self.state
        if state.answer is None:
            return
        active = state.line.name if state.line is not None else ""
        empty = self.curves.show(state.answer, state.curve, active)
        names = [state.curve, *(panel.variable for panel in self.curves.below)]
        for name, pane in zip(names, self.panes, strict=True):
            pane.visible = name not in empty
        self.left_out.object = sentence(self._left_out(empty), "left-out")
        self.show_code()
        self._push(self.chart, self.readout, *self.panes)

    def show_code(self, _: Any = None) -> None:
        """Write the code, where somebody looks at it."""
        if self.code_card.collapsed or self.state.answer is None:
            return
        code = code_of(self.state.gathered, self.state.answer)
        self.code.object, self.plain_code.value = _code(code), code

    def _left_out(self, empty: list[str]) -> str:
        """What is not shown, and why."""
        if not self.state.answer.curves:
            return "There is no curve yet: draw a line on the map, or pick a flow line."
        if not empty:
            return ""
        labels = ", ".join(label_of(self.state.gathered, name)[0] for name in empty)
        said = f"Not shown, as there is no value along these lines: {labels}."
        if "strain_rate" in empty:
            said += f" A strain rate needs a line longer than {self.state.length:g} m."
        return said

    def show_sentence(self) -> None:
        """Say what is wrong at the moment."""
        self.status.object = sentence(self.state.sentence)

    def _push(self, *panes: Any) -> None:
        """Bokeh models that change in a notebook are not sent of themselves."""
        if self.document is not None and self.document.session_context is None:
            pn.io.push_notebook(*panes)

    # ---- the page
    def left(self) -> pn.Column:
        """The map, the values at the cursor, and the code."""
        map_ = pn.FlexBox(shaped(self.state.gathered.content, self.chart), flex_wrap="wrap", **WIDE)
        hidden = pn.Row(self.drawn, self.picked, self.seen, height=0, margin=0)
        return pn.Column(
            self.status, map_, hidden, self.readout, self.code_card,
            styles={
                "flex": "1 1 400px", "min-width": "340px", "height": "auto",
                # The map and the values stay in sight beside the lowest curve.
                "position": "sticky", "top": "0",
            },
        )  # fmt: skip

    def right(self) -> pn.Column:
        """The curves, one below the other."""
        size = {"flex": "1 1 440px", "min-width": "340px", "height": "auto"}
        return pn.Column(*self.panes, self.left_out, styles=size)


def _code(code: str) -> str:
    style = (
        "font-size:11.5px;background:#f4f4f4;padding:6px;border-radius:4px;white-space:pre-wrap;"
        "overflow-wrap:anywhere;margin:4px 0;max-height:260px;overflow-y:auto"
    )
    return f"<pre class='code' style='{style}'>{html.escape(code)}</pre>"
