"""The explorer: a map with linked views of what is selected on it. Widgets and streams only."""

from __future__ import annotations

import asyncio
import html
from typing import Any

import panel as pn
import xarray as xr

from glaciertoolkit import maps as hv_maps
from glaciertoolkit.apps.cards import AccuracyCard, selection_card
from glaciertoolkit.apps.content import Content, gather, subtitle
from glaciertoolkit.apps.controls import controls
from glaciertoolkit.apps.following import FONT, WIDE, plain, sentence
from glaciertoolkit.apps.glacier_view import GlacierView
from glaciertoolkit.apps.line_view import LineView
from glaciertoolkit.apps.linked_views import HistogramView, ScatterView
from glaciertoolkit.apps.map_view import MapView
from glaciertoolkit.apps.state import NONE, State

TITLE = "Glacier surface motion"
PROFILE, GLACIER, ACCURACY, OVERVIEW = range(4)


class Explorer(State, pn.viewable.Viewer):
    """Look at a velocity Dataset: choose a layer, brush posts, pick a glacier, draw a line.

    Parameters
    ----------
    ds : xarray.Dataset or Content
        Result of `velocity`, of a correction or of `track`, dims ``(y, x)``; or what `gather`
        made of one, which several explorers may share.
    **sources
        As for `glaciertoolkit.explore`.
    """

    def __init__(self, ds: xr.Dataset | Content, **sources: Any) -> None:
        hv_maps.holoviews()
        content = ds if isinstance(ds, Content) else gather(ds, **sources)
        super().__init__(content)
        self.line_view = LineView(self)
        self.map_view = MapView(self, self.line_view)
        self.histogram = HistogramView(self)
        self.scatter = ScatterView(self)
        self.glacier = GlacierView(self)
        self.accuracy = AccuracyCard(self)
        self._status = pn.pane.HTML(sentence(self.sentence), margin=(0, 10), **WIDE)
        self._layout = self._build()

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout

    # ---- the page
    def _header(self) -> Any:
        facts = html.escape(subtitle(self.content, self.content.profiled))
        return plain(
            f'<div style="font-family:{FONT}"><span style="font-size:20px;font-weight:600">{TITLE}'
            f'</span><br><span style="color:#555">{facts}</span></div>'
        )

    def _maps(self) -> pn.FlexBox:
        """The map, and the second one where it is asked for."""
        first = self.map_view.pane(self.map_view.element())
        box = pn.FlexBox(first, flex_wrap="wrap", **WIDE)

        def follow(event: Any) -> None:
            if event.new == NONE:
                box[:] = [first]
            elif len(box) == 1:
                box.append(self.map_view.pane(self.map_view.beside()))

        self.param.watch(follow, "beside")
        return box

    def _tabs(self) -> pn.Tabs:
        overview = pn.Column(**WIDE)
        tabs = pn.Tabs(
            ("Profile", self.line_view.curves()),
            ("Glacier", self.glacier.pane),
            ("Accuracy", self.accuracy.pane),
            ("Overview", overview),
            dynamic=True,
            **WIDE,
        )

        async def opened(event: Any) -> None:
            if event.new == ACCURACY:
                await self.accuracy.show()
            elif event.new == OVERVIEW and len(overview) == 0:
                overview[:] = await asyncio.to_thread(self._overview)

        tabs.param.watch(opened, "active")

        def picked(event: Any) -> None:
            if event.new is not None:
                tabs.active = GLACIER

        self.param.watch(picked, "chosen")
        return tabs

    def _overview(self) -> list[Any]:
        from glaciertoolkit.apps.overview import overview_map

        element, legend, notes = overview_map(self.content)
        parts: list[Any] = [plain(legend + "".join(sentence(note) for note in notes))]
        if element is not None:
            parts.insert(0, pn.pane.HoloViews(element, linked_axes=False, **WIDE))
        return parts

    def _build(self) -> pn.viewable.Viewable:
        def say(event: Any) -> None:
            self._status.object = sentence(event.new)

        self.param.watch(say, "sentence")
        left = pn.Column(self._status, self._maps(), selection_card(self), self.histogram.pane())
        right = pn.Column(self.scatter.pane(), self._tabs())
        for column in (left, right):
            column.styles = {"flex": "1 1 420px", "min-width": "340px", "height": "auto"}
        body = pn.FlexBox(controls(self, self.line_view), left, right, flex_wrap="wrap", **WIDE)
        return pn.Column(self._header(), body, **WIDE)
