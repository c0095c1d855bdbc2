"""The explorer: a map, a profile along a drawn line, and a histogram. Widgets and streams only."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import param
import xarray as xr

from glaciertoolkit import maps, plots
from glaciertoolkit.apps.content import Content, first_line, gather, subtitle
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.styles import default_limits, style_of, with_units

if TYPE_CHECKING:
    import holoviews as hv

CMAPS = ["viridis", "cividis", "magma", "plasma", "coolwarm", "RdBu_r", "gray", "twilight"]
FONT = "system-ui, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"
HINT = (
    "Click on the map to add a point to the line. Drag a point to move it. Click a point and "
    "press Backspace to remove it."
)
WARNING = "color:#7a4100;background:#fff4e0;padding:6px 10px;border-radius:4px"

# HoloViews fixes the ranges on the server, where the width of the browser is not known. In the
# browser a metre is made as long on both axes: the whole map fits at first, and later changes of
# the window keep what is in the middle.
EQUAL_SCALE = """
const {x_range: x, y_range: y, inner_width: w, inner_height: h} = figure
if (w > 0 && h > 0) {
  const [sx, sy] = [(x.end - x.start) / w, (y.end - y.start) / h]
  const scale = figure.__fitted ? Math.sqrt(sx * sy) : Math.max(sx, sy)
  figure.__fitted = true
  const [cx, cy] = [(x.start + x.end) / 2, (y.start + y.end) / 2]
  x.setv({start: cx - scale * w / 2, end: cx + scale * w / 2})
  y.setv({start: cy - scale * h / 2, end: cy + scale * h / 2})
}
"""


def _equal_scale(plot: Any, _: Any) -> None:
    from bokeh.models import BoxZoomTool, CustomJS, WheelZoomTool

    figure = plot.state
    if "equal_scale" in figure.tags:
        return
    figure.tags.append("equal_scale")
    follow = CustomJS(args={"figure": figure}, code=EQUAL_SCALE)
    for size in ("inner_width", "inner_height"):
        figure.js_on_change(size, follow)
    for wheel in figure.select(type=WheelZoomTool):
        wheel.zoom_on_axis = False
    for box in figure.select(type=BoxZoomTool):
        box.match_aspect = True


class Explorer(pn.viewable.Viewer):
    """Look at a velocity Dataset: choose a layer, draw a line, read values with their errors.

    Parameters
    ----------
    ds : xarray.Dataset
        Result of `velocity`, of a correction or of `track`, dims ``(y, x)``. It is loaded into
        memory; `checkpoint` a tracking graph first, to compute it only once.
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid, for the shaded relief and the elevation profile.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS.
    """

    layer: Any = param.Selector(objects=["v"], label="Layer")
    limits = param.Range(default=(0.0, 1.0), label="Colour limits")
    cmap: Any = param.Selector(default="viridis", objects=CMAPS, label="Colour map")
    relief = param.Boolean(default=True, label="Shaded relief below the map")
    glaciers = param.Boolean(default=True, label="Glacier outlines")
    along = param.ClassSelector(class_=xr.Dataset, precedence=-1, doc="the profile that is shown")

    def __init__(
        self,
        ds: xr.Dataset,
        *,
        dem: Any = None,
        outlines: Any = None,
    ) -> None:
        self.content: Content = gather(ds, dem=dem, outlines=outlines)
        self.param.layer.objects = self.content.layers
        pn.viewable.Viewer.__init__(self, layer=self.content.default_layer)
        self._hv = maps.holoviews()
        xs, ys = first_line(self.content.ds, self.content.profiled)
        self._start = self._hv.streams.Pipe(data={"x": xs, "y": ys})
        self._vertices = self._hv.DynamicMap(self._points, streams=[self._start])
        self.draw = self._hv.streams.PointDraw(
            source=self._vertices, data={"x": xs, "y": ys}, tooltip="Add a point to the line"
        )
        self._status = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 10))
        self._slider = pn.widgets.RangeSlider(
            label="Colour limits", sizing_mode="stretch_width", format="0[.]00"
        )
        self._slider.link(self, value="limits")
        self._follow_layer()
        self.draw.add_subscriber(self._follow_line)
        self._layout = self._build()

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout

    # ---- the line
    @property
    def line(self) -> tuple[list[float], list[float]]:
        """The vertices of the drawn line, in the coordinates of the grid."""
        data = self.draw.data or {}
        return [float(v) for v in data.get("x", [])], [float(v) for v in data.get("y", [])]

    def new_line(self, _: Any = None) -> None:
        """Forget the line, to draw another one."""
        self._set_line([], [])

    def drop_last(self, _: Any = None) -> None:
        """Remove the last point of the line."""
        xs, ys = self.line
        self._set_line(xs[:-1], ys[:-1])

    def _set_line(self, xs: list[float], ys: list[float]) -> None:
        self._start.send({"x": xs, "y": ys})
        self.draw.event(data={"x": xs, "y": ys})

    def _follow_line(self, **_: Any) -> None:
        self.along = self._profile()

    def _profile(self) -> xr.Dataset | None:
        """The visible layer with its error along the drawn line; None where it cannot be had."""
        from shapely.geometry import LineString

        from glaciertoolkit.profiles import profile

        xs, ys = self.line
        if len(xs) < 2:
            self._say("Click on the map: a line needs at least two points.")
            return None
        name = self.shown
        wanted = dict.fromkeys((name, f"{name}_error", "elevation"))
        shown = self.content.ds[[n for n in wanted if n in self.content.ds]]
        try:
            found = profile(shown, LineString(np.column_stack([xs, ys])))
        except GlacierToolkitError as error:
            self._say(str(error))
            return None
        if not np.isfinite(found[name].values).any():
            self._say("No post along this line has a value: draw it over the coloured map.")
            return None
        self._say("")
        return found

    def _say(self, sentence: str) -> None:
        text = f'<div class="status" style="{WARNING}">{html.escape(sentence)}</div>'
        self._status.object = text if sentence else ""

    # ---- the layer
    @property
    def shown(self) -> str:
        """The variable in the profile: the visible layer, where it is a quantity."""
        return self.content.profiled if self.layer == "flag" else str(self.layer)

    @param.depends("layer", watch=True)
    def _follow_layer(self) -> None:
        field = self.content.ds[self.shown]
        finite = field.values[np.isfinite(field.values)]
        low, high = default_limits(field, self.shown)
        ends = (float(finite.min()), float(finite.max())) if finite.size else (low, high)
        start, end = min(low, ends[0]), max(high, ends[1])
        style = style_of(field, self.shown)
        # At once: in between, the map would be drawn with the limits of the layer before.
        with param.parameterized.batch_call_watchers(self):
            self._slider.param.update(
                label=with_units("Colour limits", style.units),
                start=start,
                end=end,
                step=(end - start) / 200,
                value=(low, high),
                disabled=self.layer == "flag",
            )
            self.param.update(limits=(low, high), cmap=style.cmap, along=self._profile())

    # ---- what is drawn
    @param.depends("layer", "limits", "cmap", "relief")
    def _image(self) -> hv.Image:
        if self.layer == "flag":
            return maps.flag_image(self.content.ds, legend=False)[0]
        field = self.content.ds[self.layer]
        low, high = self.limits
        return maps.image(
            field,
            clim=(low, high) if low < high else None,
            cmap=self.cmap,
            alpha=0.7 if self.relief and self.content.shade is not None else 1.0,
            name=self.layer,
        )

    @param.depends("relief")
    def _shade(self) -> hv.Image:
        assert self.content.shade is not None
        return maps.hillshade_image(self.content.shade).opts(visible=self.relief)

    @param.depends("glaciers")
    def _outlines(self) -> hv.Path:
        paths = maps.outline_paths(self.content.outlines, self.content.ds)
        return paths.opts(visible=self.glaciers)

    def _points(self, data: dict[str, list[float]]) -> hv.Points:
        points = self._hv.Points((data["x"], data["y"]), kdims=["x", "y"])
        return points.opts(
            color="white", line_color="black", size=10, apply_ranges=False, backend="bokeh"
        )

    def _track(self, data: dict[str, list[float]] | None, colour: str, width: float) -> hv.Path:
        xs, ys = (data or {}).get("x", []), (data or {}).get("y", [])
        line = np.column_stack([xs, ys]) if len(xs) > 1 else np.full((2, 2), np.nan)
        path = self._hv.Path([line], kdims=["x", "y"])
        return path.opts(color=colour, line_width=width, apply_ranges=False, backend="bokeh")

    def _halo(self, data: dict[str, list[float]] | None = None) -> hv.Path:
        return self._track(data, "black", 5.0)

    def _core(self, data: dict[str, list[float]] | None = None) -> hv.Path:
        return self._track(data, "white", 2.2)

    @param.depends("along")
    def _curve(self) -> hv.Overlay:
        name = self.shown
        if self.along is None or name not in self.along:
            empty = xr.Dataset({name: ("distance", np.array([]))}, {"distance": np.array([])})
            empty[name].attrs = dict(self.content.ds[name].attrs)
            return plots.profile_curve(empty, name, width=None, height=250)
        return plots.profile_curve(self.along, name, width=None, height=250)

    @param.depends("along")
    def _elevation(self) -> hv.Overlay:
        along = self.along
        if along is None or "elevation" not in along:
            nothing = {"distance": np.array([])}
            along = xr.Dataset({"elevation": ("distance", np.array([]))}, nothing)
        return plots.profile_curve(along, "elevation", colour="#6b4f2a", width=None, height=190)

    @param.depends("layer", "limits")
    def _histogram(self) -> Any:
        size: dict[str, Any] = {"width": None, "height": 250}
        if self.layer == "flag":
            return plots.flag_bars(self.content.ds, **size)
        low, high = self.limits
        limits = (low, high) if low < high else None
        try:
            return plots.histogram(self.content.ds, self.layer, limits=limits, **size)
        except GlacierToolkitError as error:
            return pn.pane.HTML(f'<div style="{WARNING}">{html.escape(str(error))}</div>')

    # ---- the page
    @property
    def _field(self) -> xr.DataArray:
        return self.content.ds[self.content.profiled]

    def _map(self) -> Any:
        hv = self._hv
        layers = [hv.DynamicMap(self._image)]
        if self.content.shade is not None:
            layers.insert(0, hv.DynamicMap(self._shade))
        if self.content.outlines is not None:
            layers.append(hv.DynamicMap(self._outlines))
        # White on black: to be seen on every colour map.
        layers += [hv.DynamicMap(line, streams=[self.draw]) for line in (self._halo, self._core)]
        layers.append(self._vertices)
        overlay = layers[0]
        for other in layers[1:]:
            overlay = overlay * other
        return overlay.opts(
            hv.opts.Overlay(
                **maps.map_axes(self._field), responsive=True, hooks=[_equal_scale],
                active_tools=["point_draw", "wheel_zoom"], toolbar="above",
            )
        )  # fmt: skip

    def _controls(self) -> pn.Column:
        content, wide = self.content, {"sizing_mode": "stretch_width"}
        new = pn.widgets.Button(label="New line", on_click=self.new_line, **wide)
        drop = pn.widgets.Button(label="Remove last point", on_click=self.drop_last, **wide)
        parts: list[Any] = [
            pn.widgets.Select.from_param(self.param.layer, **wide),
            self._slider,
            pn.widgets.Select.from_param(self.param.cmap, **wide),
        ]
        if content.shade is not None:
            parts.append(pn.widgets.Checkbox.from_param(self.param.relief))
        if content.outlines is not None:
            parts.append(pn.widgets.Checkbox.from_param(self.param.glaciers))
        parts += [pn.pane.HTML(f"<b>Line</b><br>{HINT}", **wide), pn.Row(new, drop, **wide)]
        if content.notes:
            items = "".join(f"<li>{html.escape(note)}</li>" for note in content.notes)
            parts.append(
                pn.pane.HTML(f'<div class="notes"><b>Notes</b><ul>{items}</ul></div>', **wide)
            )
        return pn.Column(*parts, width=250)

    def _build(self) -> pn.viewable.Viewable:
        hv, wide = self._hv, {"sizing_mode": "stretch_width"}
        frame = maps.frame_size(self._field, 480)
        # Axes, title and colour bar take about 120 by 90 pixels. The container and not the plot
        # holds the shape: HoloViews forgets the aspect of a plot when its elements change.
        ratio = f"{frame['frame_width'] + 120} / {frame['frame_height'] + 90}"
        picture = pn.pane.HoloViews(self._map(), linked_axes=False, sizing_mode="stretch_both")
        left = [
            pn.Column(picture, styles={"aspect-ratio": ratio, "flex": "none", "height": "auto"}),
            pn.panel(self._histogram, linked_axes=False, **wide),
        ]
        right = [self._status, pn.pane.HoloViews(hv.DynamicMap(self._curve), **wide)]
        if self.content.shade is not None:
            right.append(pn.pane.HoloViews(hv.DynamicMap(self._elevation), **wide))
        grow = {"styles": {"flex": "1 1 420px", "min-width": "340px", "height": "auto"}}
        body = pn.FlexBox(
            self._controls(), pn.Column(*left, **grow), pn.Column(*right, **grow),
            flex_wrap="wrap", **wide,
        )  # fmt: skip
        title = "Glacier surface motion"
        facts = html.escape(subtitle(self.content.ds, self.content.profiled))
        header = pn.pane.HTML(
            f'<div style="font-family:{FONT}"><span style="font-size:20px;font-weight:600">{title}'
            f'</span><br><span style="color:#555">{facts}</span></div>',
            **wide,
        )
        return pn.Column(header, body, **wide)


def explorer(
    ds: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
) -> Explorer:
    """The explorer of a velocity Dataset, for a notebook cell or a Panel server.

    Parameters
    ----------
    ds : xarray.Dataset
        Result of `velocity`, of a correction or of `track`, dims ``(y, x)``.
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid, for the shaded relief and the elevation profile.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS.

    Returns
    -------
    Explorer
        Displays itself in a notebook; ``.servable()`` under ``panel serve``.

    Raises
    ------
    InputError
        Where the Dataset is no map, or holds nothing that can be shown.
    """
    return Explorer(ds, dem=dem, outlines=outlines)
