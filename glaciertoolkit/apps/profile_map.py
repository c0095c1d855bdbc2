"""The map of the profile inspector, on which lines are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.apps.content import Content, Window
from glaciertoolkit.apps.figures import bokeh_figure, kilometres, palette, raster, source
from glaciertoolkit.apps.following import keep_equal_scale
from glaciertoolkit.apps.profile_lines import DrawnLine
from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.maps import map_axes, named_in_own_axes
from glaciertoolkit.styles import colour_limits, default_limits, rings, style_of, with_units

MANY = 40
"""Vertices above which they are drawn small."""

# What the user changed is told; what came from the server itself is not told back.
TELL = """
const {x, y} = source.data, [tx, ty] = source.tags
const same = (one, other) => one.length === other.length &&
  Array.prototype.every.call(one, (v, i) => v === other[i])
if (!same(x, tx) || !same(y, ty))
  figure.name = JSON.stringify([Date.now(), Array.from(x), Array.from(y)])
"""


class ProfileMap:
    """The figure of one view, and the sources that draw on it."""

    def __init__(self, content: Content, marker: Any) -> None:
        self.content = content
        self.window: Window = content.whole
        field = content.ds[content.profiled]
        axes = map_axes(field)
        self.figure = self._empty(axes)
        self.image, self.shade = (source(image=[], x=[], y=[], dw=[], dh=[]) for _ in "12")
        self._pictures()
        self._outlines()
        self.lines = source(xs=[], ys=[], colour=[])
        self.labels = source(x=[], y=[], text=[], colour=[])
        self.vertices = source(x=[], y=[])
        self.vertices.tags = [[], []]
        self._casings()
        self._editing()
        self.figure.scatter("x", "y", source=marker, marker="circle", size=15, fill_color="white",
                            fill_alpha=0.35, line_color="black", line_width=2.5)  # fmt: skip
        keep_equal_scale(self.figure)

    def _empty(self, axes: dict[str, Any]) -> Any:
        from bokeh.models import Range1d

        made = bokeh_figure("", 400, axes["xlabel"], axes["ylabel"])
        kilometres(made, axes)
        ends = {}
        for name in ("x", "y"):
            at = self.content.ds[name].values.astype(float)
            step = abs(at[-1] - at[0]) / (len(at) - 1) / 2
            ends[name] = Range1d(start=float(at.min() - step), end=float(at.max() + step))
        made.update(x_range=ends["x"], y_range=ends["y"], sizing_mode="stretch_both",
                    background_fill_color="#f7f7f7")  # fmt: skip
        made.grid.visible = False
        return made

    def _pictures(self) -> None:
        from bokeh.models import LinearColorMapper
        from bokeh.models.annotations import ColorBar

        clear: dict[str, Any] = {"low": 0, "high": 1, "nan_color": "#00000000"}
        self.mapper = LinearColorMapper(palette=palette("viridis"), **clear)
        place, alpha = ("image", "x", "y", "dw", "dh"), 1.0
        if self.content.shade is not None:
            self.grey = LinearColorMapper(palette=palette("gray"), **clear)
            self.relief = self.figure.image(*place, source=self.shade, color_mapper=self.grey)
            alpha = 0.7
        self.figure.image(*place, source=self.image, color_mapper=self.mapper, global_alpha=alpha)
        self.figure.add_layout(ColorBar(color_mapper=self.mapper, width=10, padding=4), "right")

    def _outlines(self) -> None:
        table = self.content.outlines
        if table is None or in_radar_geometry(self.content.ds):
            return
        lines = rings(table)
        data = source(xs=[r[:, 0] for r in lines], ys=[r[:, 1] for r in lines])
        self.figure.multi_line("xs", "ys", source=data, line_color="#111111", line_width=1.2)

    def _casings(self) -> None:
        """Each line black, white and then in its colour, to be seen on every colour map."""
        for colour, width in (("black", 6), ("white", 4.4), ("colour", 2.6)):
            self.figure.multi_line("xs", "ys", source=self.lines, line_color=colour,
                                   line_width=width, line_join="round")  # fmt: skip
        for colour, width in (("black", 7.5), ("white", 5.6), ("black", 3.4)):
            self.drawn = self.figure.line("x", "y", source=self.vertices, line_color=colour,
                                          line_width=width, line_join="round")  # fmt: skip
        self.figure.text(
            "x", "y", text="text", source=self.labels, text_color="colour", x_offset=8, y_offset=-8,
            text_font_size="11px", text_font_style="bold", background_fill_color="white",
            background_fill_alpha=0.8, padding=2, border_radius=3,
        )  # fmt: skip

    def _editing(self) -> None:
        from bokeh.models import CustomJS, PointDrawTool

        self.handles = self.figure.scatter(
            "x", "y", source=self.vertices, size=10, fill_color="white", line_color="black",
            line_width=1.5, nonselection_fill_alpha=1.0, nonselection_line_alpha=1.0,
        )  # fmt: skip
        self.draw = PointDrawTool(renderers=[self.handles], description="Add a point to the line")
        self.figure.add_tools(self.draw)
        self.figure.toolbar.active_multi = self.draw
        self.figure.toolbar.active_drag = self.draw
        self.figure.toolbar.active_tap = self.draw
        tell = CustomJS(args={"source": self.vertices, "figure": self.figure}, code=TELL)
        self.vertices.js_on_change("data", tell)

    # ---- what is shown
    def show_layer(self, name: str, *, relief: bool) -> None:
        """Draw a layer of the map in the window that is looked at."""
        content = self.content
        field = content.overview[name]
        style = style_of(field, name)
        low, high = default_limits(field, name)
        part = content.view(self.window)
        self.mapper.update(low=low, high=high, palette=palette(style.cmap))
        self.image.data = _picture(part[name])
        note = "" if self.window.step == 1 else (
            f", one of {self.window.step} by {self.window.step} posts shown"
        )  # fmt: skip
        named = named_in_own_axes(style.label, field)
        self.figure.title.text = with_units(named, style.units) + note
        if content.shade is not None:
            dark, bright = colour_limits(content.overview["hillshade"].values)
            self.grey.update(low=2 * dark - bright, high=bright)
            self.shade.data = _picture(part["hillshade"])
            self.relief.visible = relief

    def look_at(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> bool:
        """Turn to a part of the map; whether other posts have to be drawn for it."""
        window = self.content.window(x_range, y_range)
        changed, self.window = window != self.window, window
        return changed

    def show_lines(self, lines: tuple[DrawnLine, ...], active: int, *, edited: bool) -> None:
        """Draw the lines; `edited` where the vertices of the active one come from this map."""
        others = [line for k, line in enumerate(lines) if k != active]
        self.lines.data = {
            "xs": [list(line.x) for line in others],
            "ys": [list(line.y) for line in others],
            "colour": [line.colour for line in others],
        }
        begun = [line for line in lines if line.x]
        self.labels.data = {
            "x": [line.x[0] for line in begun],
            "y": [line.y[0] for line in begun],
            "text": [line.name for line in begun],
            "colour": [line.colour for line in begun],
        }
        line = lines[active] if active < len(lines) else None
        x, y = (list(line.x), list(line.y)) if line else ([], [])
        self.drawn.glyph.line_color = line.colour if line else "black"
        self.handles.glyph.size = 10 if len(x) <= MANY else 5
        self.vertices.tags = [x, y]
        if not edited:
            self.vertices.data = {"x": x, "y": y}

    def show_mode(self, mode: str) -> None:
        """Let clicks and drags change the line, or not."""
        self.draw.update(add=mode == "draw", drag=mode == "draw")


def _picture(field: xr.DataArray) -> dict[str, list[Any]]:
    values = np.asarray(field.values, np.float32)
    return raster(values, field["x"].values, field["y"].values)
