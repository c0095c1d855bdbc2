"""The column of widgets beside the map."""

from __future__ import annotations

import asyncio
import html
from io import BytesIO
from typing import Any

import numpy as np
import panel as pn

from glaciertoolkit.apps.exports import File, file_name, selection_csv, selection_gpkg, view_png
from glaciertoolkit.apps.following import WIDE
from glaciertoolkit.apps.line_view import HINT, LineView
from glaciertoolkit.apps.state import State
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.styles import style_of, with_units

HELP = {
    "line": HINT,
    "glacier": "Click inside an outline: its numbers appear on the right. Drag to move the map.",
    "box": "Drag a rectangle on the map. Histogram and scatter can be brushed at any time.",
    "lasso": "Draw around an area on the map. Histogram and scatter can be brushed at any time.",
}


def colour_slider(state: State) -> pn.widgets.RangeSlider:
    """The slider of the colour limits: its ends and its unit follow the layer."""
    slider = pn.widgets.RangeSlider(label="Colour limits", format="0[.]00", **WIDE)

    def follow_layer(*_: Any) -> None:
        low, high = state.limits
        start, end = state.ends()
        end = end if end > start else start + 1.0
        units = style_of(state.content.overview[state.shown], state.shown).units
        slider.param.update(
            label=with_units("Colour limits", units), start=start, end=end,
            step=(end - start) / 200, value=(low, high), disabled=state.layer == "flag",
        )  # fmt: skip

    def follow_limits(*_: Any) -> None:
        if tuple(slider.value) != tuple(state.limits):
            slider.value = state.limits

    def moved(event: Any) -> None:
        state.limits = tuple(event.new)

    follow_layer()
    state.param.watch(follow_layer, "layer")
    state.param.watch(follow_limits, "limits")
    slider.param.watch(moved, "value")
    return slider


def export_buttons(state: State) -> pn.Row:
    """Files of the selection and of the map; what goes wrong is said in the sentence."""

    def button(label: str, ending: str, make: Any) -> pn.widgets.FileDownload:
        async def callback() -> BytesIO:
            made.filename = file_name(state, ending, state.window)
            try:
                found: File = await asyncio.to_thread(make)
            except GlacierToolkitError as error:
                state.sentence = str(error)
                made.filename = "why_there_is_no_file.txt"
                return BytesIO(f"{error}\n".encode())
            state.sentence = found.note
            return found.data

        made = pn.widgets.FileDownload(
            callback=callback, filename=f"selection.{ending}", label=label, embed=False, auto=True,
        )  # fmt: skip
        return made

    content = state.content
    tables = [
        button("CSV", "csv", lambda: selection_csv(content, state.selection)),
        button("GeoPackage", "gpkg", lambda: selection_gpkg(content, state.selection)),
    ]
    picture = button("PNG", "png", lambda: view_png(state))

    def allow(*_: Any) -> None:
        empty = state.mask is not None and not np.any(state.mask)
        for one in tables:
            one.disabled = empty

    state.param.watch(allow, "mask")
    return pn.Row(*tables, picture, **WIDE)


def mode_buttons(state: State) -> pn.Column:
    """What the mouse does on the map, with how it is done."""
    choice = pn.widgets.RadioBoxGroup.from_param(state.param.mode, inline=False, **WIDE)
    help_ = pn.pane.HTML(_help(state.mode), **WIDE)

    def refresh(event: Any) -> None:
        help_.object = _help(event.new)

    state.param.watch(refresh, "mode")
    return pn.Column(
        pn.pane.HTML("<b>On the map</b>", margin=(5, 10, 0, 10)), choice, help_, **WIDE
    )


def _help(mode: str) -> str:
    return f'<span style="color:#444">{html.escape(HELP[mode])}</span>'


def notes_list(notes: tuple[str, ...]) -> list[Any]:
    """What an app has to do without, as a list on its page; nothing where there is none."""
    if not notes:
        return []
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    listed = f'<div class="notes"><b>Notes</b><ul style="padding-left:18px">{items}</ul></div>'
    return [pn.pane.HTML(listed, **WIDE)]


def controls(state: State, line: LineView) -> pn.Column:
    """All widgets, in the order of use."""
    content = state.content
    parts: list[Any] = [
        pn.widgets.Select.from_param(state.param.layer, **WIDE),
        colour_slider(state),
        pn.widgets.Select.from_param(state.param.cmap, **WIDE),
        pn.widgets.FloatSlider.from_param(state.param.opacity, **WIDE),
    ]
    if content.shade is not None:
        parts.append(pn.widgets.Checkbox.from_param(state.param.relief))
    if content.outlines is not None:
        parts.append(pn.widgets.Checkbox.from_param(state.param.glaciers))
    if {"vx", "vy"} <= set(content.ds):
        parts.append(pn.widgets.Checkbox.from_param(state.param.arrows))
    parts += [
        mode_buttons(state),
        line.buttons(),
        pn.widgets.Button(label="Clear the selection", on_click=state.clear, **WIDE),
        pn.widgets.Select.from_param(state.param.against, **WIDE),
        pn.widgets.Select.from_param(state.param.beside, **WIDE),
        pn.pane.HTML("<b>Save</b> the selected posts, or the map", margin=(5, 10, 0, 10)),
        export_buttons(state),
    ]
    parts += notes_list(content.notes)
    return pn.Column(*parts, width=250)
