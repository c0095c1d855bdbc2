"""The figures of the correction lab: maps of what is removed, and histograms of stable ground."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.apps.correction_answer import Answer
from glaciertoolkit.apps.correction_content import Material
from glaciertoolkit.apps.correction_tables import metres
from glaciertoolkit.apps.figures import (
    bokeh_figure,
    empty_raster,
    kilometres,
    palette,
    raster,
    source,
)
from glaciertoolkit.apps.following import follow_map, keep_equal_scale
from glaciertoolkit.correction.steps import NOISE, PARTS, RAW, STEPS
from glaciertoolkit.maps import axis_names, map_axes
from glaciertoolkit.styles import DIVERGING, SEQUENTIAL

Array = npt.NDArray[np.float32]

TITLES = {
    "raw": "as tracked", "geometry": "removed: orbits", "deformation": "removed: deformation",
    "topography": "removed: topography", "streaks": "removed: streaks", "result": "what is left",
}  # fmt: skip
MAGNITUDE = "magnitude"
BOX_COLOUR = "#D55E00"
VEIL = ["#00000000", "#ffffffa8"]

# Okabe and Ito's colours, which all can tell apart; the last step is the strongest line.
STEP_STYLES: dict[str, tuple[str, str]] = {
    RAW: ("#888888", "solid"),
    PARTS["geometry"]: ("#CC79A7", "dashed"),
    PARTS["deformation"]: ("#E69F00", "solid"),
    PARTS["topography"]: ("#009E73", "dashed"),
    PARTS["streaks"]: ("#56B4E9", "dashed"),
    NOISE: ("#0072B2", "solid"),
}
MARGIN, AXIS = 13, 58
"""Pixels beside each map, and those of the axis of the first, which the others share."""

REACH, BINS = 5.0, 50
"""A histogram reaches so many NMADs about its median, in so many bins."""

SHARE = 97.0
"""Per cent of the values that a colour scale holds: wild matches do not stretch it."""


def part_of(answer: xr.Dataset, raw: xr.Dataset, name: str, component: str) -> Array | None:
    """One of the maps, metres: a component or the magnitude; None where nothing was removed."""

    def along(axis: str) -> Array | None:
        if name == "raw":
            return np.asarray(raw[f"d{axis}"].values, np.float32)
        known = f"d{axis}" if name == "result" else f"d{axis}_{name}"
        return np.asarray(answer[known].values, np.float32) if known in answer else None

    if component != MAGNITUDE:
        return along(component)
    parts = [p for p in (along("x"), along("y")) if p is not None]
    return np.hypot(*parts) if len(parts) == 2 else np.abs(parts[0]) if parts else None


def rounded_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5, 7 times a power of ten: a scale that rarely changes.

    Examples
    --------
    >>> rounded_up(0.23), rounded_up(8.0)
    (0.3, 10.0)
    """
    if not (math.isfinite(value) and value > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    least = next(n for n in (1, 1.5, 2, 3, 5, 7, 10) if n * power >= value * (1 - 1e-9))
    return float(f"{least * power:.6g}")


def reach_of(*fields: Array | None) -> float:
    """Largest value of a colour scale for these fields."""
    sizes = [np.abs(f[np.isfinite(f)]) for f in fields if f is not None]
    tops = [float(np.percentile(s, SHARE)) for s in sizes if s.size]
    return rounded_up(max(tops, default=1.0))


class CorrectionFigures:
    """All figures of one view, and the sources that an answer fills."""

    def __init__(self, material: Material) -> None:
        self.material = material
        names = [n for n in TITLES if n != "geometry" or material.radar]
        self.sources: dict[str, Any] = {name: source(**empty_raster()) for name in names}
        self.sources["veil"] = source(**empty_raster())
        self.sources["box"] = source(left=[], right=[], bottom=[], top=[])
        lines = material.lines
        self.sources["outlines"] = source(
            xs=[line[:, 0] for line in lines], ys=[line[:, 1] for line in lines]
        )
        self.mappers: dict[str, Any] = {}
        self._colours = ""
        self._drawn: dict[str, Any] = {}
        self._veil: Any = None
        self.maps = {name: self._map(name, first=k == 0) for k, name in enumerate(names)}
        keep_equal_scale(self.maps["raw"])
        for name in names[1:]:
            follow_map(self.maps["raw"], self.maps[name])
        self.histograms: dict[str, Any] = {}
        self._bars: dict[str, Any] = {}
        for axis in ("x", "y"):
            self.histograms[axis] = self._histogram(axis)

    # ---- the figures
    def _whole(self) -> dict[str, Any]:
        from bokeh.models import Range1d

        found = {}
        for axis in ("x", "y"):
            at = np.asarray(self.material.sample[axis].values, float)
            half = abs(at[-1] - at[0]) / max(at.size - 1, 1) / 2
            low, high = float(at.min() - half), float(at.max() + half)
            found[f"{axis}_range"] = Range1d(start=low, end=high)
        return found

    def _map(self, name: str, *, first: bool) -> Any:
        from bokeh.models import BoxSelectTool, HoverTool, LinearColorMapper
        from bokeh.models.annotations import ColorBar

        like = self.material.sample["dx"]
        axes, words = map_axes(like), axis_names(like)
        figure = bokeh_figure(
            TITLES[name], 300, axes["xlabel"], axes["ylabel"], toolbar="above", **self._whole()
        )
        kilometres(figure, axes)
        mapper = LinearColorMapper(palette=["#ffffff"], low=-1, high=1, nan_color="#ffffff")
        self.mappers[name] = mapper
        drawn = figure.image(
            "image", "x", "y", "dw", "dh", source=self.sources[name], color_mapper=mapper
        )
        if name == "raw":
            veil = LinearColorMapper(palette=VEIL, low=0, high=1)
            self._veil = figure.image(
                "image", "x", "y", "dw", "dh", source=self.sources["veil"], color_mapper=veil
            )
            box = BoxSelectTool(renderers=[], description="Use only this part of stable ground")
            figure.add_tools(box)
            figure.toolbar.active_drag = box
        figure.multi_line("xs", "ys", source=self.sources["outlines"], color="#111111",
                          line_width=0.9)  # fmt: skip
        figure.quad("left", "right", "bottom", "top", source=self.sources["box"], fill_alpha=0,
                    line_color=BOX_COLOUR, line_width=2.5, line_dash="dashed")  # fmt: skip
        where = "$x{0,0} m, $y{0,0} m"
        place = f"{words['x']}, {words['y']}"
        figure.add_tools(
            HoverTool(renderers=[drawn], tooltips=[(place, where), ("", "@image{0.000} m")])
        )
        bar = ColorBar(
            color_mapper=mapper, height=9, width="auto", padding=2, margin=0,
            title="displacement (m)", title_text_font_style="normal", title_text_font_size="10px",
            major_label_text_font_size="11px", title_standoff=1,
            orientation="horizontal",
        )  # fmt: skip
        figure.add_layout(bar, "below")
        figure.sizing_mode = "stretch_both"  # the page holds the shape
        figure.grid.visible = False
        figure.yaxis.visible = first
        figure.min_border_left = MARGIN + (AXIS if first else 0)
        figure.min_border_right = MARGIN
        return figure

    def _histogram(self, axis: str) -> Any:
        from bokeh.models import Range1d
        from bokeh.models.annotations import Legend, LegendItem, Span

        name = axis_names(self.material.sample["dx"])[axis]
        if self.material.radar and axis == "x":
            name = "ground range"
        figure = bokeh_figure(
            f"stable ground, residual along {name}", 330, f"residual along {name} (m)",
            "share of the highest bin", x_range=Range1d(start=-1, end=1),
            y_range=Range1d(start=0, end=1.06),
            toolbar="above",
        )  # fmt: skip
        figure.add_layout(Span(location=0, dimension="height", line_color="black",
                               line_dash="dotted", line_width=1))  # fmt: skip
        items = []
        for step in STEPS:
            colour, dash = STEP_STYLES[step]
            data = self.sources[f"{axis} {step}"] = source(x=[], y=[])
            line = figure.line("x", "y", source=data, color=colour, line_dash=dash,
                               line_width=3 if step == NOISE else 2)  # fmt: skip
            items.append(LegendItem(label=step, renderers=[line], visible=False))
        legend = Legend(
            items=items, border_line_alpha=0, spacing=0, location="center", glyph_height=14,
            label_height=15, label_text_font_size="12px", margin=2,
        )  # fmt: skip
        figure.add_layout(legend, "below")
        self._bars[axis] = dict(zip(STEPS, items, strict=True))
        return figure

    # ---- an answer
    def show(
        self, answer: Answer, component: str, *, one_scale: bool, veil: bool, close_up: bool
    ) -> None:
        """Draw an answer."""
        if answer.motion is None:
            return
        self._colour_for(component)
        sample = self.material.sample
        x, y = sample["x"].values, sample["y"].values
        fields = {n: part_of(answer.motion, sample, n, component) for n in self.maps}
        reaches = self._reaches(fields, one_scale=one_scale)
        for name, values in fields.items():
            low = 0.0 if component == MAGNITUDE else -reaches[name]
            self.mappers[name].update(low=low, high=reaches[name])
            missing = values is None
            shown = np.full((2, 2), np.nan, np.float32) if values is None else values
            at = (x[[0, -1]], y[[0, -1]]) if missing else (x, y)
            self._put(name, shown, *at)
            left = name in ("deformation", "topography") and missing
            self.maps[name].title.text = f"{name}: left in" if left else TITLES[name]
        self._veil.visible = veil
        stable = np.asarray(answer.motion["stable"].values, bool)
        self._put("veil", (~stable).astype(np.float32), x, y)
        self._show_histograms(answer, close_up=close_up)

    def _put(self, name: str, values: Array, x: Any, y: Any) -> None:
        """Send an image to the browser, unless it is there already."""
        before = self._drawn.get(name)
        if before is None or not np.array_equal(before, values, equal_nan=True):
            self._drawn[name] = values
            self.sources[name].data = raster(values, x, y)

    def _reaches(self, fields: dict[str, Array | None], *, one_scale: bool) -> dict[str, float]:
        left = {"result"} if not one_scale else set()
        together = reach_of(*(f for name, f in fields.items() if name not in left))
        return {n: reach_of(f) if n in left else together for n, f in fields.items()}

    def _colour_for(self, component: str) -> None:
        wanted = SEQUENTIAL if component == MAGNITUDE else DIVERGING
        if wanted != self._colours:  # colours take long to be checked and sent
            self._colours = wanted
            for mapper in self.mappers.values():
                mapper.palette = palette(wanted)

    def show_box(self, box: tuple[float, float, float, float] | None) -> None:
        """Draw the part of stable ground that is used; None: all of it."""
        x0, y0, x1, y1 = ([v] for v in box) if box else ([], [], [], [])
        self.sources["box"].data = {"left": x0, "right": x1, "bottom": y0, "top": y1}

    def _show_histograms(self, answer: Answer, *, close_up: bool) -> None:
        assert answer.table is not None
        for k, (axis, figure) in enumerate(self.histograms.items()):
            ends = []
            for step in STEPS:
                item = self._bars[axis][step]
                values = answer.steps[step][k] if step in answer.steps else np.empty(0)
                item.visible = bool(values.size)
                data: dict[str, Any] = {"x": [], "y": []}
                if values.size:
                    middle, spread = (
                        float(answer.table[name].sel(step=step)[k]) for name in ("median", "nmad")
                    )
                    data = outline(values, middle, spread)
                    text = f"{step}: median {metres(middle, '.2f')}, NMAD {spread:.2f} m"
                    item.label = {"value": text}
                    ends.append((float(data["x"][0]), float(data["x"][-1])))
                self.sources[f"{axis} {step}"].data = data
            if ends:
                shown = ends[-1:] if close_up else ends
                figure.x_range.update(start=min(e[0] for e in shown), end=max(e[1] for e in shown))


def outline(values: npt.NDArray[Any], middle: float, spread: float) -> dict[str, Any]:
    """The outline of a histogram about its median, the highest bin 1.

    Examples
    --------
    >>> line = outline(np.array([0.0, 0.1, 0.1, 0.2]), 0.1, 0.1)
    >>> float(line["y"].max()), len(line["x"]) == len(line["y"])
    (1.0, True)
    """
    reach = REACH * max(spread, 1e-3)
    counts, edges = np.histogram(values, bins=BINS, range=(middle - reach, middle + reach))
    share = counts / max(counts.max(), 1)
    return {"x": np.repeat(edges, 2), "y": np.concatenate([[0], np.repeat(share, 2), [0]])}
