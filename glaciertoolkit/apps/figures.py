"""What the figures of all apps have in common that are drawn in Bokeh itself."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def source(**columns: Any) -> Any:
    """A Bokeh data source."""
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(data={name: list(values) for name, values in columns.items()})


def raster(image: Array, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> dict[str, list[Any]]:
    """An image with its outer edges, as Bokeh's glyph wants it: first row lowest, x rising."""
    values = np.asarray(image, np.float32)
    values = values[:, ::-1] if x[-1] < x[0] else values
    values = values[::-1] if y[-1] < y[0] else values
    out: dict[str, list[Any]] = {"image": [np.ascontiguousarray(values)]}
    for name, size, at in (("x", "dw", x), ("y", "dh", y)):
        step = abs(float(at[-1] - at[0])) / (len(at) - 1) if len(at) > 1 else 1.0
        low, high = sorted((float(at[0]), float(at[-1])))
        out[name], out[size] = [low - step / 2], [high - low + step]
    return out


def empty_raster() -> dict[str, list[Any]]:
    """What an image source holds before there is an image."""
    return raster(np.full((2, 2), np.nan, np.float32), np.arange(2.0), np.arange(2.0))


@functools.cache
def palette(name: str) -> list[str]:
    """The 256 colours of a colour map, as Bokeh wants them."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps[name](np.linspace(0, 1, 256))]


def bokeh_figure(
    title: str, height: int, xlabel: str, ylabel: str, *, aspect: bool = False,
    toolbar: Any = "right", **options: Any,
) -> Any:  # fmt: skip
    """A figure as wide as its place; `aspect` for maps, where both axes have one scale."""
    from bokeh.plotting import figure

    tools: dict[str, Any] = {"tools": "pan,wheel_zoom,reset,save", "active_scroll": "wheel_zoom"}
    made: Any = figure(
        title=title, height=height, sizing_mode="stretch_width", toolbar_location=toolbar,
        match_aspect=aspect, min_border_right=8, **tools, **options,
    )  # fmt: skip
    made.xaxis.axis_label, made.yaxis.axis_label = xlabel, ylabel
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.title.text_font_size = "13px"
    for axis in (*made.xaxis, *made.yaxis):
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_standoff = 4
    made.xaxis.ticker.desired_num_ticks = 4
    if aspect:
        made.grid.visible = False
        made.background_fill_color = "#f7f7f7"
    return made


def kilometres(figure: Any, axes: dict[str, Any]) -> None:
    """Ticks in kilometres where `map_axes` says so."""
    for axis, name in ((figure.xaxis, "xformatter"), (figure.yaxis, "yformatter")):
        if name in axes:
            axis.formatter = axes[name]


def follow(figure: Any, renderers: list[Any]) -> None:
    """Ranges that show these renderers, and nothing that reaches beyond them."""
    for each in (figure.x_range, figure.y_range):
        each.renderers = renderers
        each.range_padding = 0
