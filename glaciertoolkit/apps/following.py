"""Small things that every view of the explorer needs."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn
import xarray as xr

from glaciertoolkit import maps
from glaciertoolkit.apps.state import State
from glaciertoolkit.styles import NO_LOGO

FONT = "system-ui, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"
WARNING = "color:#7a4100;background:#fff4e0;padding:6px 10px;border-radius:4px"
QUIET: dict[str, Any] = {
    "fontsize": {"title": "10.5pt", "labels": "9.5pt", "ticks": "8.5pt", "legend": "9pt"},
    **NO_LOGO,
}
"""Options of every figure: letters that leave room for the tools."""

WIDE: dict[str, Any] = {"sizing_mode": "stretch_width"}

# HoloViews fixes the ranges on the server, where the width of the browser is not known. In the
# browser a metre is made as long on both axes: until somebody moves the map the whole of it fits,
# and from then on changes of the window keep what is in the middle.
EQUAL_SCALE = """
const {x_range: x, y_range: y, inner_width: w, inner_height: h} = figure
if (w > 0 && h > 0) {
  const now = () => [x.start, x.end, y.start, y.end]
  figure.__home ??= now()
  const untouched = !figure.__set || now().every((v, i) => v === figure.__set[i])
  const [x0, x1, y0, y1] = untouched ? figure.__home : now()
  const [sx, sy] = [(x1 - x0) / w, stretch * (y1 - y0) / h]
  const scale = untouched ? Math.max(sx, sy) : Math.sqrt(sx * sy)
  const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2]
  x.setv({start: cx - scale * w / 2, end: cx + scale * w / 2})
  y.setv({start: cy - scale / stretch * h / 2, end: cy + scale / stretch * h / 2})
  figure.__set = now()
}
"""


def keep_equal_scale(figure: Any, stretch: float = 1.0) -> None:
    """Make a metre as long on both axes of a map, now and whenever its size changes.

    `stretch` is how many units along x are as long as one along y: more than 1 in degrees.
    """
    from bokeh.models import BoxZoomTool, CustomJS, WheelZoomTool

    if "equal_scale" in figure.tags:
        return
    figure.tags.append("equal_scale")
    rescale = CustomJS(args={"figure": figure, "stretch": stretch}, code=EQUAL_SCALE)
    for size in ("inner_width", "inner_height"):
        figure.js_on_change(size, rescale)
    for wheel in figure.select(type=WheelZoomTool):
        wheel.zoom_on_axis = False
    for box in figure.select(type=BoxZoomTool):
        box.match_aspect = stretch == 1


def equal_scale(stretch: float = 1.0) -> Callable[[Any, Any], None]:
    """`keep_equal_scale` as a hook of HoloViews."""

    def hook(plot: Any, _: Any) -> None:
        keep_equal_scale(plot.state, stretch)

    return hook


# Two maps of one place, of frames that may differ: the middle and the scale are shared.
FOLLOW_MAP = """
if (!lead.__follows && lead.inner_width > 0 && figure.inner_width > 0) {
  figure.__follows = true
  for (const [range, size] of [['x_range', 'inner_width'], ['y_range', 'inner_height']]) {
    const {start, end} = lead[range]
    const half = (end - start) / lead[size] * figure[size] / 2
    figure[range].setv({start: (start + end) / 2 - half, end: (start + end) / 2 + half})
  }
  figure.__follows = false
}
"""


def follow_map(first: Any, second: Any) -> None:
    """Move one Bokeh figure with another, and that with it."""
    from bokeh.models import CustomJS

    if "follow_map" in second.tags:
        return
    second.tags.append("follow_map")
    for lead, figure in ((first, second), (second, first)):
        move = CustomJS(args={"lead": lead, "figure": figure}, code=FOLLOW_MAP)
        for axis in (lead.x_range, lead.y_range):
            axis.js_on_change("end", move)
    for size in ("inner_width", "inner_height"):
        second.js_on_change(size, CustomJS(args={"lead": first, "figure": second}, code=FOLLOW_MAP))


class Follower:
    """Draws the layers of one figure from the state, each only when what it shows has changed.

    All layers of a figure share one stream, so that a change is one refresh of the figure; and
    HoloViews sends an element to the browser again only where it is another object.

    Parameters
    ----------
    state : State
    names : list of str
        The parameters of the state that any layer of the figure depends on.
    """

    def __init__(self, state: State, names: list[str]) -> None:
        self.state = state
        self._stream = maps.holoviews().streams.Params(state, names)

    def layer(self, names: list[str], draw: Callable[[], Any]) -> Any:
        """What `draw` draws, again whenever one of these parameters has changed."""
        last: list[Any] = []

        def drawn(**_: Any) -> Any:
            values = [getattr(self.state, name) for name in names]
            if not last or not all(map(_same, last[0], values)):
                last[:] = [values, draw()]
            return last[1]

        return maps.holoviews().DynamicMap(drawn, streams=[self._stream])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray | xr.Dataset) or isinstance(other, np.ndarray | xr.Dataset):
        return one is other  # neither a mask nor a profile is changed in place
    return bool(one == other)


def sentence(text: str, kind: str = "status") -> str:
    """A sentence that says what is wrong or missing, as HTML; nothing where it is empty."""
    return f'<div class="{kind}" style="{WARNING}">{html.escape(text)}</div>' if text else ""


def code_block(code: str) -> str:
    """Code as it is read and copied, as HTML."""
    style = (
        "font-size:11.5px;background:#f4f4f4;padding:6px;border-radius:4px;white-space:pre-wrap;"
        "overflow-wrap:anywhere;margin:4px 0"
    )
    return f"<pre class='code' style='{style}'>{html.escape(code)}</pre>"


def plain(text: str) -> Any:
    """A pane of HTML over the whole width."""
    return pn.pane.HTML(text, margin=(0, 10), **WIDE)


def only_image_brushed(plot: Any, _: Any) -> None:
    """A hook: brushes give their outline only; no glyph of the figure changes its look by them."""
    from bokeh.models import BoxSelectTool, LassoSelectTool

    if "only_image_brushed" in plot.state.tags:
        return
    plot.state.tags.append("only_image_brushed")
    for tool in plot.state.toolbar.tools:
        if isinstance(tool, BoxSelectTool | LassoSelectTool):
            tool.renderers = []
