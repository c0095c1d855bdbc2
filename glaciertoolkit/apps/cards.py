"""Numbers in words: what is selected, and how good the map is."""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING, Any

import numpy as np

from glaciertoolkit.apps.content import Content, thinned
from glaciertoolkit.apps.following import plain, sentence
from glaciertoolkit.apps.selection import statistics
from glaciertoolkit.apps.state import State
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.styles import pretty_units, style_of

if TYPE_CHECKING:
    from glaciertoolkit.uncertainty import Accuracy

ACCURACY_POSTS = 1_000_000
STATISTICS = {
    "median": "median",
    "nmad": "NMAD",
    "rmse": "RMSE",
    "p95": "95 %",
    "n": "posts",
    "n_effective": "independent",
}
TABLE = (
    "<style>.card table{border-collapse:collapse;font-size:12px}.card td,.card th"
    "{padding:2px 6px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}</style>"
)


def sample_words(content: Content) -> str:
    """Which posts brushes look at, where these are not all."""
    n = content.sample_step
    if n == 1:
        return ""
    shown = content.sample.sizes["y"] * content.sample.sizes["x"]
    every = content.ds.sizes["y"] * content.ds.sizes["x"]
    return f"a sample of {shown:,} of {every:,} posts, one of {n} by {n}"


def selection_html(state: State) -> str:
    """How many posts are selected, by what, and what the visible layer is there."""
    content, name = state.content, state.shown
    sample = content.sample
    style = style_of(sample[name], name)
    every = sample.sizes["y"] * sample.sizes["x"]
    number = every if state.mask is None else int(np.count_nonzero(state.mask))
    found = statistics(state.selected(name))
    note = sample_words(content)
    if state.mask is None:
        head = "<b>All posts</b>: brush the map, the histogram or the scatter to select some"
    else:
        head = (
            f'<b><span class="selected">{number:,}</span> of {every:,} posts selected</b> '
            f"({100 * number / every:.1f} %): {html.escape(state.selection.words(sample))}"
        )
    if note:
        head += f'<br><span style="color:#555">Counted on {html.escape(note)}.</span>'
    if number == 0:
        return f"{head}{sentence('No post meets all brushes: widen one, or clear the selection.')}"
    if not found["count"]:
        return f"{head}{sentence('None of these posts has a value of this layer.')}"
    units = html.escape(pretty_units(style.units))
    numbers = " · ".join(
        f"{label} <b>{found[key]:,.4g}</b>"
        for key, label in (
            ("median", "median"), ("mean", "mean"), ("nmad", "NMAD"), ("p05", "5 %"),
            ("p95", "95 %"),
        )
    )  # fmt: skip
    unit = f" {units}" if units else ""
    return f"{head}<br>{html.escape(style.label)}: {numbers}{unit} ({found['count']:,.0f} values)"


def selection_card(state: State) -> Any:
    """A pane that keeps up with the selection."""
    pane = plain(selection_html(state))

    def refresh(*_: Any) -> None:
        pane.object = selection_html(state)

    state.param.watch(refresh, ["mask", "layer"])
    return pane


def accuracy_html(content: Content) -> str:
    """The statistics of stable ground as a table, or why there are none."""
    from glaciertoolkit.uncertainty import accuracy

    ds = content.ds
    if not {"dx", "dy"} <= set(ds):
        return sentence("No accuracy: it needs the displacements dx and dy.")
    if "stable" not in ds:
        return sentence("No accuracy: stable ground is not known; correct() leaves it in the map.")
    names = [n for n in ("dx", "dy", "dx_holdout", "dy_holdout", "stable") if n in ds]
    part, step = thinned(ds[names], ACCURACY_POSTS, content.spool)
    try:
        found = accuracy(part)
    except GlacierToolkitError as error:
        return sentence(str(error))
    note = "" if step == 1 else f" On one of {step} by {step} posts."
    return (
        f"{TABLE}<b>Motion left on stable ground</b>{accuracy_table(found)}"
        '<p style="color:#555;margin:4px 0">It does not move: what is left is error. “holdout” is '
        f"ground that the corrections did not see.{note}</p>"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def accuracy_table(found: Accuracy) -> str:
    """The statistics that people quote, one row a component and kind of ground."""
    head = "".join(f"<th>{label}</th>" for label in ("ground", "", *STATISTICS.values(), "unit"))
    rows = []
    for ground, variable, unit, numbers in found.rows():
        cells = "".join(f"<td>{_short(numbers[key])}</td>" for key in STATISTICS)
        where = f"<td>{ground}</td><td>{variable}</td>"
        rows.append(f"<tr>{where}{cells}<td>{pretty_units(unit)}</td></tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


class AccuracyCard:
    """The accuracy, worked out beside the event loop when it is first looked at."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.pane = plain('<div class="card">Adding up what is left on stable ground …</div>')
        self._begun = False

    async def show(self) -> None:
        """Fill the card."""
        if self._begun:
            return
        self._begun = True
        text = await asyncio.to_thread(accuracy_html, self.state.content)
        self.pane.object = f'<div class="card">{text}</div>'
