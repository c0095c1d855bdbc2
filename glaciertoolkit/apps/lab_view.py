"""One view of the tracking lab: its figures beside words and numbers, laid out for a page."""

from __future__ import annotations

import html
import itertools
from typing import Any

import numpy as np
import panel as pn
import xarray as xr

from glaciertoolkit.apps.following import WIDE, code_block
from glaciertoolkit.apps.lab_answer import Answer
from glaciertoolkit.apps.lab_figures import MATCH, SEARCH, TEMPLATE, LabFigures
from glaciertoolkit.apps.lab_images import Overview
from glaciertoolkit.conventions import DOUBTFUL, Flag

GOOD, BAD = "#e6f4ee", "#fff4e0"
MARKS = (
    "<span class='marks' style='font-size:12px'>✕ highest peak, ○ second peak; dotted "
    "lines: no offset. Grey: could not be compared.</span>"
)
_counter = itertools.count()


class LabView:
    """What one page or cell shows of a lab."""

    def __init__(self, overview: Overview, names: tuple[str, str]) -> None:
        number = next(_counter)
        self.overview = overview
        self.figures = LabFigures(overview, names, f"glacier_lab_flicker_{number}")
        # Hidden: what is clicked reaches Python through it, in a notebook as on a server.
        self.clicked = pn.widgets.TextInput(visible=False, width=0, height=0, margin=0)
        self.map = pn.pane.Bokeh(self.figures.map, **WIDE)
        self.map.jscallback(
            args={"clicked": self.clicked},
            **{"event:tap": "clicked.value = [cb_obj.x, cb_obj.y, Date.now()].join(' ')"},
        )
        self.others = {
            name: pn.pane.Bokeh(getattr(self.figures, name), **WIDE)
            for name in ("chips", "surface", "cuts", "patch", "matched", "fit", "flicker")
        }
        self.verdict = pn.pane.HTML("", margin=(0, 5), **WIDE)
        self.numbers = pn.pane.HTML("", **WIDE)
        self.caption = pn.pane.HTML("", margin=(0, 10), **WIDE)
        self.key = pn.pane.HTML("", margin=(0, 10), **WIDE)
        self.code = pn.pane.HTML("", **WIDE)

    @property
    def document(self) -> Any:
        """The Bokeh document that shows this view, if any does."""
        return self.figures.map.document

    def show(self, answer: Answer, code: str) -> None:
        """Draw an answer; without one the sentence that says why, beside the last answer."""
        self.verdict.object = verdict(answer)
        self.code.object = f"<b>The same in code</b>{code_block(code)}"
        if answer.found is None:
            return
        self.figures.show(answer.found)
        self.numbers.object = numbers(answer.found)
        self.caption.object = caption(answer.found, self.overview.block)
        self._push()

    def show_around(self, around: xr.Dataset | None) -> None:
        """Draw the offsets around the place; None: none."""
        scale = self.figures.show_vectors(around)
        times = "at true length" if scale == 1 else f"drawn {scale:g} times as long"
        self.key.object = "" if around is None else f"<span>○— offsets around, {times}</span>"
        self._push()

    def _push(self) -> None:
        """Bokeh models that change in a notebook are not sent of themselves."""
        if self.document is not None and self.document.session_context is None:
            pn.io.push_notebook(self.map, *self.others.values())

    def figures_in_a_flow(self) -> pn.FlexBox:
        """Large figures and small ones, as many beside each other as the page is wide."""

        def cell(part: Any, least: int) -> pn.Column:
            size = {
                "flex": f"1 1 {least}px", "min-width": f"{min(least, 300)}px", "height": "auto",
                "max-width": f"{least + 250}px",
            }  # fmt: skip
            return pn.Column(part, styles=size, margin=0)

        others = self.others
        return pn.FlexBox(
            cell(pn.Column(self.map, self.caption, self.key, self.clicked, **WIDE), 400),
            cell(others["chips"], 400),
            cell(pn.Column(others["surface"], pn.pane.HTML(MARKS, margin=(0, 10), **WIDE)), 400),
            cell(others["cuts"], 400),
            *(cell(others[name], 250) for name in ("patch", "matched", "fit")),
            flex_wrap="wrap", align_items="flex-start", **WIDE,
        )  # fmt: skip


def verdict(answer: Answer) -> str:
    """The words of an answer, on green where there is a value."""
    words = answer.words[:1].upper() + answer.words[1:]
    lines = [html.escape(line) for line in words.split("\n")]
    if answer.found is None:
        lines.append("The figures show the last place that could be matched.")
    good = answer.found is not None and not _lost(answer.found)
    mark = "\u2713" if good else "\u26a0"
    first = lines[0] if good else f"<b>{lines[0]}</b>"
    body = "".join(f"<div style='margin-top:3px'>{line}</div>" for line in lines[1:])
    return (
        f'<div class="verdict" style="background:{GOOD if good else BAD};padding:7px 12px;'
        f'border-radius:4px;font-size:14px;line-height:1.35">{mark} {first}{body}</div>'
    )


def _lost(found: xr.Dataset) -> bool:
    return bool(int(found["flag"]) & ~int(DOUBTFUL))


def numbers(found: xr.Dataset) -> str:
    """What was measured, with units and with what it is compared."""
    attrs = found.attrs
    needed = max(float(found["threshold"]), float(attrs["min_correlation"]))

    def moved(name: str) -> str:
        value, error = float(found[name]), float(found[f"{name}_error"])
        if np.isfinite(value):
            return f"{value:.2f} ± {error:.2f} m"
        return f"none; peak {float(found[f'peak_{name}']):.2f} m"

    def number(name: str, form: str = ".3f") -> str:
        value = float(found[name])
        return format(value, form) if np.isfinite(value) else "none"

    bits = [str(f.name).lower().replace("_", " ") for f in Flag if int(found["flag"]) & f]
    rows = [
        ("place x", f"{float(found['x']):.1f} m"),
        ("place y", f"{float(found['y']):.1f} m"),
        ("dx", moved("dx")),
        ("dy", moved("dy")),
        ("correlation", f"{number('peak_correlation')} (needs {needed:.3f})"),
        ("snr", number("snr", ".1f")),
        ("peak ratio", f"{number('peak_ratio', '.2f')} (needs {attrs['min_peak_ratio']:.2f})"),
        ("flag", ", ".join(bits) or "none: no doubt"),
    ]
    cells = "".join(
        f"<tr><td style='color:#555;padding-right:8px;vertical-align:top'>{name}</td>"
        f"<td>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<b>Answer</b><table class='numbers' style='font-size:12.5px'>{cells}</table>"


def caption(found: xr.Dataset, block: tuple[int, int]) -> str:
    """The legend of the two image figures."""
    (ty, tx), (py, px) = found.attrs["template"], found.attrs["pixel"]

    def key(colour: str, line: str, text: str) -> str:
        box = (
            f"display:inline-block;width:13px;height:9px;border:2.5px {line} {colour};"
            "margin:0 4px 0 0"
        )
        outer = "white-space:nowrap;margin-right:12px"
        return f"<span style='{outer}'><span style='{box}'></span>{text}</span>"

    size = f"{tx} x {ty} pixels, {tx * px:.4g} x {ty * py:.4g} m"
    parts = [
        key(TEMPLATE, "solid", f"template ({size})"),
        key(SEARCH, "dotted", "all that is searched"),
        key(MATCH, "dashed", "where it fits best"),
    ]
    if max(block) > 1:
        parts.append(
            f"<span>The map shows means over {block[1]} x {block[0]} pixels; all else is at full "
            "resolution.</span>"
        )
    return f"<div class='caption' style='font-size:12px;line-height:1.5'>{' '.join(parts)}</div>"
