"""A line drawn on the map, and what lies along it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import xarray as xr

from glaciertoolkit import maps, plots
from glaciertoolkit.apps.following import WIDE, Follower
from glaciertoolkit.apps.state import State

if TYPE_CHECKING:
    import holoviews as hv

HINT = (
    "Click on the map to add a point to the line. Drag a point to move it. Click a point and "
    "press Backspace to remove it."
)
ELEVATION_COLOUR = "#6b4f2a"


class LineView:
    """The drawn line on the map, its buttons, and the curves along it."""

    def __init__(self, state: State) -> None:
        hv = maps.holoviews()
        self.state = state
        xs, ys = state.line
        self._start = hv.streams.Pipe(data={"x": xs, "y": ys})
        self._vertices = hv.DynamicMap(self._points, streams=[self._start])
        self.draw = hv.streams.PointDraw(
            source=self._vertices, data={"x": xs, "y": ys}, tooltip="Add a point to the line"
        )
        self.draw.add_subscriber(self._drawn)

    # ---- changing it
    def new_line(self, _: Any = None) -> None:
        """Forget the line, to draw another one."""
        self.set_line([], [])

    def drop_last(self, _: Any = None) -> None:
        """Remove the last point of the line."""
        xs, ys = self.state.line
        self.set_line(xs[:-1], ys[:-1])

    def set_line(self, xs: list[float], ys: list[float]) -> None:
        """Put another line on the map."""
        self.state.line = (xs, ys)
        self._start.send({"x": xs, "y": ys})
        self.draw.event(data={"x": xs, "y": ys})

    def _drawn(self, data: dict[str, Any] | None = None) -> None:
        if self.state.mode != "line":
            # A click from before the browser knew that it no longer draws.
            xs, ys = self.state.line
            self._start.send({"x": xs, "y": ys})
            return
        found = data or {}
        self.state.line = tuple([float(v) for v in found.get(axis, [])] for axis in ("x", "y"))

    def buttons(self) -> pn.Row:
        """New line, and one point less."""
        new = pn.widgets.Button(label="New line", on_click=self.new_line, width=80)
        drop = pn.widgets.Button(label="Remove last point", on_click=self.drop_last, width=130)
        return pn.Row(new, drop, margin=0)

    # ---- on the map
    def layers(self) -> list[Any]:
        """White on black, to be seen on every colour map; the points that can be dragged on top."""
        hv = maps.holoviews()
        lines = [hv.DynamicMap(line, streams=[self.draw]) for line in (self._halo, self._core)]
        return [*lines, self._vertices]

    def _points(self, data: dict[str, list[float]]) -> hv.Points:
        points = maps.holoviews().Points((data["x"], data["y"]), kdims=["x", "y"])
        return points.opts(
            color="white", line_color="black", size=10, apply_ranges=False, backend="bokeh"
        )

    def _halo(self, data: dict[str, list[float]] | None = None) -> hv.Path:
        return _track(data, "black", 5.0)

    def _core(self, data: dict[str, list[float]] | None = None) -> hv.Path:
        return _track(data, "white", 2.2)

    # ---- along it
    def curves(self) -> pn.Column:
        """The visible layer along the line, and the elevation where it is known."""
        panes = [
            pn.pane.HoloViews(Follower(self.state, ["along"]).layer(["along"], self._curve), **WIDE)
        ]
        if "elevation" in self.state.content.ds:
            below = Follower(self.state, ["along"]).layer(["along"], self._elevation)
            panes.append(pn.pane.HoloViews(below, **WIDE))
        return pn.Column(*panes, **WIDE)

    def _curve(self) -> hv.Overlay:
        name, along = self.state.shown, self.state.along
        if along is None or name not in along:
            along = _empty(name, self.state.content.ds[name].attrs)
        return plots.profile_curve(along, name, width=None, height=230)

    def _elevation(self) -> hv.Overlay:
        along = self.state.along
        if along is None or "elevation" not in along:
            along = _empty("elevation", {})
        return plots.profile_curve(
            along, "elevation", colour=ELEVATION_COLOUR, width=None, height=180
        )


def _empty(name: str, attrs: dict[Any, Any]) -> xr.Dataset:
    none = xr.Dataset({name: ("distance", np.array([]))}, {"distance": np.array([])})
    none[name].attrs = dict(attrs)
    return none


def _track(data: dict[str, list[float]] | None, colour: str, width: float) -> hv.Path:
    xs, ys = (data or {}).get("x", []), (data or {}).get("y", [])
    line = np.column_stack([xs, ys]) if len(xs) > 1 else np.full((2, 2), np.nan)
    path = maps.holoviews().Path([line], kdims=["x", "y"])
    return path.opts(color=colour, line_width=width, apply_ranges=False, backend="bokeh")
