"""The profile inspector: draw lines on a map, read what lies along them. Widgets and streams."""

from __future__ import annotations

import asyncio
import html
import itertools
from collections.abc import Callable
from io import BytesIO
from typing import Any

import panel as pn
import xarray as xr

from glaciertoolkit import maps as hv_maps
from glaciertoolkit.apps.content import subtitle
from glaciertoolkit.apps.controls import notes_list
from glaciertoolkit.apps.following import FONT, WIDE, plain
from glaciertoolkit.apps.profile_content import ProfileContent, gather_profile
from glaciertoolkit.apps.profile_exports import lines_geojson, profile_csv
from glaciertoolkit.apps.profile_lines import ENDINGS
from glaciertoolkit.apps.profile_state import ProfileState
from glaciertoolkit.apps.profile_view import ProfileView
from glaciertoolkit.errors import GlacierToolkitError

TITLE = "Profile inspector"
HELP = {
    "draw": "Click on the map to add a point to the line. Drag a point to move it. Click a point "
            "and press Backspace to remove it.",
    "flow": "Click on moving ice: the line that follows its motion, up and down the flow, becomes "
            "a line.",
}  # fmt: skip
_counter = itertools.count()


class ProfileInspector(ProfileState):
    """Read velocity, terrain, stress and climate along lines that are drawn on a map.

    Parameters
    ----------
    ds : xarray.Dataset or ProfileContent
        Result of `velocity`, of a correction or of `track`, dims ``(y, x)``; or what
        `gather_profile` made of one, which several inspectors may share.
    lines : optional
        Lines to begin with, as for `read_lines`.
    **sources
        As for `glaciertoolkit.inspect_profile`.
    """

    def __init__(
        self, ds: xr.Dataset | ProfileContent, *, lines: Any = None, **sources: Any
    ) -> None:
        hv_maps.holoviews()  # in a notebook: Bokeh's scripts come with the page, without a network
        gathered = ds if isinstance(ds, ProfileContent) else gather_profile(ds, **sources)
        super().__init__(gathered, lines)
        watched: dict[str, Callable[[ProfileView], None]] = {
            "layer relief": ProfileView.show_layer,
            "lines active": ProfileView.show_lines,
            "mode": ProfileView.show_mode,
            "answer curve active": ProfileView.show_answer,
            "sentence": ProfileView.show_sentence,
        }
        for names, draw in watched.items():
            self.param.watch(lambda *_, draw=draw: self._views.draw(draw), names.split())

    # ---- the page
    def __panel__(self) -> pn.viewable.Viewable:
        view = self._views.add(ProfileView(self, next(_counter)))
        content = self.gathered.content
        facts = html.escape(subtitle(content, content.profiled))
        header = plain(
            f'<div style="font-family:{FONT}"><span style="font-size:20px;font-weight:600">{TITLE}'
            f'</span><br><span style="color:#555">{facts}</span></div>'
        )
        body = pn.FlexBox(
            self._controls(), view.left(), view.right(),
            flex_wrap="wrap", align_items="flex-start", **WIDE,
        )  # fmt: skip
        return pn.Column(header, body, **WIDE)

    def _controls(self) -> pn.Column:
        p, w = self.param, pn.widgets
        spacing = self.gathered.spacing
        parts: list[Any] = [w.Select.from_param(p.layer, **WIDE)]
        if self.gathered.content.shade is not None:
            parts.append(w.Checkbox.from_param(p.relief))
        parts += [
            *self._mode(),
            *self._lines(),
            w.Select.from_param(p.curve, **WIDE),
            w.FloatSlider.from_param(
                p.width, start=0, end=40 * spacing, step=spacing / 2, format="0[.]0", **WIDE
            ),
        ]
        if {"v", "vx"} & set(self.gathered.ds.data_vars):
            end = max(4 * self.length, 20 * spacing)
            parts.append(
                w.FloatSlider.from_param(p.length, start=10, end=end, step=10, format="0", **WIDE)
            )
        if len(self.gathered.dates) > 1:
            parts += [
                pn.pane.HTML("<b>Dates</b>", margin=(5, 10, 0, 10)),
                w.CheckBoxGroup.from_param(p.dates, **WIDE),
            ]
        parts += [pn.pane.HTML("<b>Save</b>", margin=(5, 10, 0, 10)), self._exports()]
        return pn.Column(*parts, *notes_list(self.gathered.notes), width=250)

    def _mode(self) -> list[Any]:
        choice = pn.widgets.RadioBoxGroup.from_param(self.param.mode, inline=False, **WIDE)
        help_ = pn.pane.HTML(_help(self.mode), **WIDE)

        def refresh(event: Any) -> None:
            help_.object = _help(event.new)

        self.param.watch(refresh, "mode")
        if not ({"vx", "vy"} <= set(self.gathered.ds) or {"dx", "dy"} <= set(self.gathered.ds)):
            return [help_]
        return [pn.pane.HTML("<b>On the map</b>", margin=(5, 10, 0, 10)), choice, help_]

    def _lines(self) -> list[Any]:
        select = pn.widgets.Select(label="Line", **WIDE)

        def follow(*_: Any) -> None:
            options = {line.name: k for k, line in enumerate(self.lines)}
            select.param.update(options=options, value=self.active)

        def chosen(event: Any) -> None:
            if event.new is not None and event.new != self.active:
                self.active = event.new

        follow()
        self.param.watch(follow, ["lines", "active"])
        select.param.watch(chosen, "value")

        def button(label: str, press: Any, width: int) -> pn.widgets.Button:
            return pn.widgets.Button(label=label, on_click=press, width=width, margin=(3, 3))

        file = pn.widgets.FileInput(accept=",".join(ENDINGS), margin=(0, 10), **WIDE)

        async def sent(event: Any) -> None:
            if event.new:
                self.load(event.new, str(file.filename or "file"))

        file.param.watch(sent, "value")
        return [
            select,
            pn.Row(button("New line", self.new_line, 105),
                   button("Remove last point", self.drop_last, 125), margin=(0, 5)),
            pn.Row(button("Reverse", self.reverse, 105),
                   button("Delete line", self.delete, 125), margin=(0, 5)),
            pn.pane.HTML("Load lines from a file", margin=(5, 10, 0, 10)),
            file,
        ]  # fmt: skip

    def _exports(self) -> pn.Row:
        def button(label: str, filename: str, make: Callable[..., BytesIO]) -> Any:
            async def callback() -> BytesIO:
                made.filename = filename
                try:
                    return await asyncio.to_thread(make, self.gathered, self.answer)
                except GlacierToolkitError as error:
                    said = str(error)
                    self.sentence = said[:1].upper() + said[1:]
                    made.filename = "why_there_is_no_file.txt"
                    return BytesIO(f"{error}\n".encode())

            made = pn.widgets.FileDownload(
                callback=callback, filename=filename, label=label, embed=False, auto=True,
            )  # fmt: skip
            return made

        return pn.Row(
            button("CSV", "profiles.csv", profile_csv),
            button("GeoJSON", "lines.geojson", lines_geojson), **WIDE,
        )  # fmt: skip


def _help(mode: str) -> str:
    return f'<span style="color:#444">{html.escape(HELP[mode])}</span>'
