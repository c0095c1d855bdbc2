"""The map: the visible layer with what lies above and below it, and what a person does on it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import xarray as xr

from glaciertoolkit import maps
from glaciertoolkit.apps.content import Content
from glaciertoolkit.apps.following import (
    QUIET,
    Follower,
    equal_scale,
    follow_map,
    only_image_brushed,
)
from glaciertoolkit.apps.line_view import LineView
from glaciertoolkit.apps.selection import Area, Box, polygon_of
from glaciertoolkit.apps.state import NONE, State, same_window
from glaciertoolkit.styles import SELECTED_COLOUR, default_limits, rings, style_of

if TYPE_CHECKING:
    import holoviews as hv

ARROWS = 26
TOOLS = ["hover", "box_select", "lasso_select"]
VEIL = ["#00000000", "#ffffffb8"]

# Which tool is active is known in the browser only.
FOLLOW_MODE = """
const wanted = {line: 'PointDrawTool', glacier: 'PanTool', box: 'BoxSelectTool',
                lasso: 'LassoSelectTool'}[figure.name]
for (const tool of figure.toolbar.tools)
  if (tool.type === wanted) tool.active = true
  else if (['PointDrawTool', 'BoxSelectTool', 'LassoSelectTool', 'PanTool'].includes(tool.type))
    tool.active = false
"""


def _follow_mode(plot: Any, _: Any) -> None:
    from bokeh.models import CustomJS

    figure = plot.state
    if "follow_mode" not in figure.tags:
        figure.tags.append("follow_mode")
        figure.js_on_change("name", CustomJS(args={"figure": figure}, code=FOLLOW_MODE))


def _paths(lines: list[Any]) -> hv.Path:
    """Lines that do not stretch the axes; HoloViews loses the glyph of an empty element."""
    found = maps.holoviews().Path(lines or [np.full((2, 2), np.nan)], kdims=["x", "y"])
    return found.opts(apply_ranges=False, backend="bokeh")


class MapView:
    """The map of the visible layer, and a second one beside it."""

    def __init__(self, state: State, line: LineView) -> None:
        self.state, self.line = state, line
        self._pictures: dict[str, tuple[Any, Any]] = {}
        self._figure: Any = None
        hv = maps.holoviews()
        names = ["layer", "limits", "cmap", "opacity", "window"]
        others = ["relief", "glaciers", "arrows", "selection", "chosen", "mode"]
        self._first = Follower(state, [*names, *others])
        self._beside = Follower(state, [*names, "beside", "relief", "glaciers", "chosen"])
        self.picture = self._first.layer(names, self._picture)
        hv.streams.RangeXY(source=self.picture).add_subscriber(self._moved)
        hv.streams.Tap(source=self.picture).add_subscriber(self._tapped)
        hv.streams.BoundsXY(source=self.picture).add_subscriber(self._boxed)
        hv.streams.Lasso(source=self.picture).add_subscriber(self._lassoed)

    # ---- what a person does
    def _moved(self, x_range: Any = None, y_range: Any = None) -> None:
        window = same_window(self.state.content, x_range, y_range)
        if window != self.state.window:
            self.state.content.spool.release()
            self.state.window = window

    def _tapped(self, x: float | None = None, y: float | None = None) -> None:
        if self.state.mode == "glacier" and x is not None and y is not None:
            self.state.choose_at(float(x), float(y))

    def _boxed(self, bounds: tuple[float, float, float, float] | None = None) -> None:
        if bounds:
            self.state.brush("map", Box(*map(float, bounds)))

    def _lassoed(self, geometry: Any = None) -> None:
        polygon = polygon_of(geometry) if geometry is not None else None
        if polygon is not None:
            self.state.brush("map", Area(polygon))

    # ---- what is drawn
    def _view(self) -> xr.Dataset:
        return self.state.content.view(self.state.window)

    def _raster(self, name: str) -> hv.Image:
        """The values of a layer in the window; the same object as long as both stay the same."""
        window = self.state.window
        kept = self._pictures.get(name)
        if kept is None or kept[0] != window:
            # HoloViews sends an element again only where it is another one.
            self._pictures[name] = kept = (window, maps.raster(self._view()[name]))
        return kept[1]

    def _picture(self) -> hv.Image:
        state = self.state
        if state.layer == "flag":
            picture = maps.flag_image(self._view(), legend=False)[0]
            return picture.opts(alpha=state.opacity, tools=TOOLS)
        limits = state.usable_limits
        field = self._view()[state.layer]
        options = maps.image_options(
            field, clim=limits or default_limits(field, state.layer), cmap=state.cmap,
            alpha=state.opacity, name=state.layer, step=state.window.step,
        )  # fmt: skip
        return self._raster(state.layer).opts(**options | {"tools": TOOLS})

    def _second(self) -> hv.Image:
        state, name = self.state, self.state.beside
        name = state.layer if name == NONE else name
        if name == "flag":
            return maps.flag_image(self._view(), legend=False)[0]
        field = state.content.overview[name]
        limits, cmap = default_limits(field, name), style_of(field, name).cmap
        if style_of(field, name).units == style_of(field, state.shown).units and (
            name.removeprefix("other_") == state.shown.removeprefix("other_")
        ):
            # The same quantity in the same colours: only so can they be compared.
            limits, cmap = state.usable_limits or limits, state.cmap
        return self._raster(name).opts(
            **maps.image_options(
                field, clim=limits, cmap=cmap, alpha=state.opacity, name=name,
                step=state.window.step,
            )
        )  # fmt: skip

    def _shade(self) -> hv.Image:
        shade = self._view()["hillshade"]
        return maps.hillshade_image(shade).opts(visible=self.state.relief)

    def _veil(self) -> hv.Image:
        """White over what is not selected."""
        view = self._view()
        y, x = view["y"].values, view["x"].values
        if self.state.selection:
            hidden = ~self.state.selection.mask(view)
        else:
            y, x, hidden = y[[0, -1]], x[[0, -1]], np.zeros((2, 2), dtype=bool)
        field = xr.DataArray(hidden, dims=("y", "x"), coords={"y": y, "x": x})
        return maps.raster(field, "uint8", "veil").opts(
            cmap=VEIL, clim=(0, 1), colorbar=False, apply_ranges=False, backend="bokeh"
        )

    def _region(self) -> hv.Path:
        lines = self.state.selection.rings()
        return _paths(lines).opts(color=SELECTED_COLOUR, line_width=2, line_dash="dashed")

    def _outlines(self) -> hv.Path:
        paths = maps.outline_paths(self.state.content.outlines, self.state.content.ds)
        return paths.opts(visible=self.state.glaciers)

    def _chosen(self) -> hv.Path:
        table, row = self.state.content.outlines, self.state.chosen
        lines = [] if table is None or row is None else rings(table.iloc[[row]])
        return _paths(lines).opts(color=SELECTED_COLOUR, line_width=3, hooks=[self._tell_mode])

    def _tell_mode(self, plot: Any, _: Any) -> None:
        """Name the figure after what the mouse does on it: its script follows the name."""
        if plot.state.name != self.state.mode:
            plot.state.name = self.state.mode

    def _arrows(self, colour: str, width: float) -> hv.Path:
        lines = maps.arrows(self._view(), ARROWS) if self.state.arrows else []
        return _paths(lines).opts(color=colour, line_width=width)

    # ---- the whole
    def _lead(self, plot: Any, _: Any) -> None:
        self._figure = plot.state

    def _follow_map(self, plot: Any, _: Any) -> None:
        """Move the second map with the first and the first with the second."""
        if self._figure is not None:
            follow_map(self._figure, plot.state)

    def _overlay(self, layers: list[Any], active: list[str], hooks: list[Any]) -> Any:
        content = self.state.content
        overlay = layers[0]
        for other in layers[1:]:
            overlay = overlay * other
        options = maps.holoviews().opts.Overlay(
            **maps.map_axes(content.ds[content.profiled]), responsive=True, toolbar="above",
            hooks=hooks, active_tools=active,
            **QUIET,
        )  # fmt: skip
        return overlay.opts(options)

    def _below(self, figure: Follower) -> list[Any]:
        shade = self.state.content.shade is not None
        return [figure.layer(["relief", "window"], self._shade)] if shade else []

    def _above(self, figure: Follower) -> list[Any]:
        layers = []
        if self.state.content.outlines is not None:
            layers.append(figure.layer(["glaciers"], self._outlines))
        return [*layers, figure.layer(["chosen", "mode"], self._chosen)]

    def element(self) -> Any:
        """The map with all that lies on it."""
        figure = self._first
        layers = [*self._below(figure), self.picture]
        layers.append(figure.layer(["selection", "window"], self._veil))
        if {"vx", "vy"} <= set(self.state.content.ds):
            for colour, width in (("black", 4.0), ("white", 1.6)):
                draw = functools.partial(self._arrows, colour, width)
                layers.append(figure.layer(["arrows", "window"], draw))
        layers += [*self._above(figure), figure.layer(["selection"], self._region)]
        layers += self.line.layers()
        hooks = [equal_scale(), _follow_mode, only_image_brushed, self._lead]
        return self._overlay(layers, ["point_draw", "wheel_zoom"], hooks)

    def beside(self) -> Any:
        """A second map of the same place."""
        figure, names = self._beside, ["beside", "layer", "limits", "cmap", "opacity", "window"]
        layers = [*self._below(figure), figure.layer(names, self._second), *self._above(figure)]
        return self._overlay(layers, ["pan", "wheel_zoom"], [equal_scale(), self._follow_map])

    def pane(self, element: Any) -> pn.Column:
        """An element in a container of the shape of the map."""
        picture = pn.pane.HoloViews(element, linked_axes=False, sizing_mode="stretch_both")
        return shaped(self.state.content, picture)


def shaped(content: Content, picture: Any) -> pn.Column:
    """A picture of the map in a container of the shape of the map, for a FlexBox."""
    frame = maps.frame_size(content.ds[content.profiled], 480)
    # Axes, title and colour bar take about 120 by 90 pixels. The container and not the plot
    # holds the shape: HoloViews forgets the aspect of a plot when its elements change.
    ratio = f"{frame['frame_width'] + 120} / {frame['frame_height'] + 90}"
    shape = {"aspect-ratio": ratio, "flex": "1 1 340px", "height": "auto", "min-width": "0"}
    return pn.Column(picture, styles=shape)
