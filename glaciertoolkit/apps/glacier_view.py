"""The glacier that was picked on the map: its numbers, and speed and area by elevation."""

from __future__ import annotations

import asyncio
import html
from typing import Any

import panel as pn

from glaciertoolkit import plots
from glaciertoolkit.apps.following import WIDE, plain, sentence
from glaciertoolkit.apps.glacier_facts import GlacierFacts, glacier_facts
from glaciertoolkit.apps.state import State
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.styles import with_units

ROWS = {
    "area_km2": "area",
    "area_class": "size",
    "posts": "posts inside",
    "count": "posts that count",
    "coverage": "area with a speed",
    "v_median": "median speed",
    "v_mean": "mean speed",
    "v_std": "standard deviation",
    "v_p90": "90th percentile",
    "v_p95": "95th percentile",
    "v_p99": "99th percentile",
    "v_error": "error of the mean",
    "n_effective": "independent posts",
    "direction": "direction of flow",
    "direction_r": "agreement (0 to 1)",
    "zmin_m": "lowest post",
    "zmed_m": "median elevation",
    "zmax_m": "highest post",
}
HOW = "Choose “Pick a glacier” on the left, then click inside an outline on the map."
COLUMNS = "display:flex;flex-wrap:wrap;gap:0 24px;align-items:flex-start"
STYLE = "border-collapse:collapse;font-size:12.5px"


class GlacierView:
    """Follows the chosen glacier; its numbers are worked out beside the event loop."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.facts: GlacierFacts | None = None
        self._table = plain(f"<p>{html.escape(HOW)}</p>")
        self._plots = pn.Column(**WIDE)
        self.pane = pn.Column(self._table, self._plots, **WIDE)
        state.param.watch(self._follow, "chosen")

    async def _follow(self, event: Any) -> None:
        number, content = event.new, self.state.content
        if number is None or content.outlines is None:
            self._show(None, f"<p>{html.escape(HOW)}</p>")
            return
        self._table.object = "<p>Adding up the posts of this glacier …</p>"
        try:
            facts = await asyncio.to_thread(
                glacier_facts, content.ds, content.outlines, number, content.maps
            )
        except GlacierToolkitError as error:
            self._show(None, sentence(str(error)))
            return
        content.spool.release()
        if number == self.state.chosen:  # else another one has been picked meanwhile
            self._show(facts, row_html(facts))

    def _show(self, facts: GlacierFacts | None, text: str) -> None:
        self.facts = facts
        self._table.object = text
        found: list[Any] = []
        if facts is not None and facts.by_elevation is not None:
            found.append(pn.Row(*map(_pane, plots.area_and_speed(facts.by_elevation)), **WIDE))
        if facts is not None and facts.history is not None:
            found.append(_pane(plots.history(facts.history)))
        self._plots[:] = found


def _pane(element: Any) -> Any:
    return pn.pane.HoloViews(element, linked_axes=False, **WIDE)


def row_html(facts: GlacierFacts) -> str:
    """The row of a glacier as an upright table, in two columns."""
    row = facts.row
    title = html.escape(" · ".join(str(row[k]) for k in ("name", "rgi_id") if str(row[k])))
    cells = [_cell(key, label, facts) for key, label in ROWS.items() if key in row]
    half = -(-len(cells) // 2)
    columns = "".join(
        f'<table style="{STYLE}">{"".join(part)}</table>' for part in (cells[:half], cells[half:])
    )
    warned = (
        sentence("Less than a third of this glacier has a speed.") if row["low_coverage"] else ""
    )
    notes = "".join(
        f'<p style="color:#555;margin:4px 0">{html.escape(s)}</p>' for s in facts.sentences
    )
    return (
        f'<div class="glacier"><b>{title}</b>{warned}'
        f'<div style="{COLUMNS}">{columns}</div>{notes}</div>'
    )


def _cell(key: str, label: str, facts: GlacierFacts) -> str:
    value = facts.row[key]
    if isinstance(value, str):
        shown = value
    elif key == "coverage":
        shown = f"{100 * value:.1f} %"
    elif key in ("posts", "count"):
        shown = f"{value:,}"
    else:
        shown = f"{value:,.4g}"
    unit = facts.units.get(key, "")
    named = with_units(label, unit) if unit else label
    pad = "padding:1px 8px 1px 0"
    return (
        f'<tr data-key="{key}"><td style="{pad};color:#444">{html.escape(named)}</td>'
        f'<td style="text-align:right">{html.escape(shown)}</td></tr>'
    )
