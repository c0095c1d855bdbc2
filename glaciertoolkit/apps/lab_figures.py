"""The figures of the tracking lab, in Bokeh itself: an answer is a patch of data, and flicker is
the browser's own work."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.apps.figures import (
    bokeh_figure,
    empty_raster,
    follow,
    kilometres,
    palette,
    raster,
    source,
)
from glaciertoolkit.apps.lab_images import Overview, grey_limits
from glaciertoolkit.conventions import DOUBTFUL
from glaciertoolkit.maps import axis_names, map_axes

Array = npt.NDArray[np.float32]

TEMPLATE, SEARCH, MATCH, SECOND = "#E69F00", "#56B4E9", "#009E73", "#D55E00"
ALONG_X, ALONG_Y = "#0072B2", "#D55E00"
"""Okabe and Ito's colours, which all can tell apart."""

# `visible` and `global_alpha` are changed without telling the server: a frame costs no round trip.
FLICKER = """
const shown = (second) => {
  const share = second === null ? blend.value : (second ? 1 : 0)
  for (const layer of layers) {
    layer.setv({visible: share > 0}, {sync: false})
    layer.glyph.setv({global_alpha: Math.max(share, 0.01)}, {sync: false})
  }
  const name = share === 0 ? names[0] : share === 1 ? names[1] : names.join(' and ')
  title.setv({text: name}, {sync: false})
}
clearInterval(window[timer])
if (toggle.active) {
  let second = false
  const step = () => { second = !second; shown(second) }
  step()
  window[timer] = setInterval(step, 1000 * period.value)
} else shown(null)
"""


class LabFigures:
    """All figures of one view, and the sources that an answer fills."""

    def __init__(self, view: Overview, names: tuple[str, str], timer: str) -> None:
        self.sources: dict[str, Any] = {
            "template": source(left=[], right=[], bottom=[], top=[]),
            "search": source(left=[], right=[], bottom=[], top=[]),
            "match": source(left=[], right=[], bottom=[], top=[]),
            "place": source(x=[], y=[]),
            "vectors": source(x0=[], y0=[], x1=[], y1=[]),
            "peak": source(x=[], y=[]),
            "second": source(x=[], y=[]),
            "samples_x": source(offset=[], value=[]),
            "samples_y": source(offset=[], value=[]),
            "fit_x": source(offset=[], value=[]),
            "fit_y": source(offset=[], value=[]),
            "threshold": source(x=[], y=[]),
            "nodes": source(x=[], y=[]),
        }
        for name in ("reference", "secondary", "patch", "matched", "surface", "fit"):
            self.sources[name] = source(**empty_raster())
        self.mappers: dict[str, Any] = {}
        self._like = view.reference
        self._turns = False
        self.map = self._map(view)
        self.chips = self._chips()
        self.surface = self._surface()
        self.cuts = self._cuts()
        self.patch = self._small("patch", "template, filtered")
        self.matched = self._small("matched", "best match in the secondary")
        self.fit = self._fit()
        self.flicker = self._flicker(names, timer)

    # ---- the figures
    def _map(self, view: Overview) -> Any:
        axes = map_axes(view.reference)
        figure = bokeh_figure(
            "Click to choose a place", 400, axes["xlabel"], axes["ylabel"], aspect=True
        )
        kilometres(figure, axes)
        layers = []
        for image in (view.reference, view.secondary):
            data = source(**raster(image.values, image["x"].values, image["y"].values))
            layers.append(self._grey(figure, data, grey_limits(image.values)))
        self._layers = [layers[1]]
        follow(figure, layers[:1])
        self._windows(figure)
        vectors = {"x0": "x0", "y0": "y0", "x1": "x1", "y1": "y1"}
        figure.segment(**vectors, source=self.sources["vectors"], color="black", line_width=2.4)
        figure.segment(**vectors, source=self.sources["vectors"], color="white", line_width=1.2)
        figure.scatter(
            "x0", "y0", source=self.sources["vectors"], size=3.5, color="white", line_color="black"
        )
        figure.scatter(
            "x", "y", source=self.sources["place"], marker="cross", size=16, line_width=2,
            color=TEMPLATE,
        )  # fmt: skip
        return figure

    def _chips(self) -> Any:
        axes = map_axes(self._like)
        figure = bokeh_figure("reference", 400, axes["xlabel"], axes["ylabel"], aspect=True)
        kilometres(figure, axes)
        layers = [
            self._grey(figure, self.sources[name], (0, 1), name)
            for name in ("reference", "secondary")
        ]
        self._layers.append(layers[1])
        follow(figure, layers[:1])
        self._windows(figure)
        figure.quad(
            "left", "right", "bottom", "top", source=self.sources["match"], fill_alpha=0,
            line_color=MATCH, line_width=2.5, line_dash="dashed",
        )  # fmt: skip
        return figure

    def _grey(
        self, figure: Any, data: Any, limits: tuple[float, float], name: str | None = None
    ) -> Any:
        from bokeh.models import LinearColorMapper
        from bokeh.palettes import Greys256

        mapper = LinearColorMapper(
            palette=list(Greys256), low=limits[0], high=limits[1], nan_color="#f3e9d8"
        )
        if name:
            self.mappers[name] = mapper
        return figure.image("image", "x", "y", "dw", "dh", source=data, color_mapper=mapper)

    def _windows(self, figure: Any) -> None:
        for name, colour, dash in (("search", SEARCH, "dotted"), ("template", TEMPLATE, "solid")):
            figure.quad(
                "left", "right", "bottom", "top", source=self.sources[name], fill_alpha=0,
                line_color=colour, line_width=2.5, line_dash=dash,
            )  # fmt: skip

    def _coloured(self, figure: Any, name: str, mapper: str, palette: Any) -> Any:
        from bokeh.models import LinearColorMapper

        if mapper not in self.mappers:
            self.mappers[mapper] = LinearColorMapper(
                palette=list(palette), low=0, high=1, nan_color="#d9d9d9"
            )
        drawn = figure.image(
            "image", "x", "y", "dw", "dh", source=self.sources[name],
            color_mapper=self.mappers[mapper],
        )  # fmt: skip
        follow(figure, [drawn])
        return drawn

    def _surface(self) -> Any:
        from bokeh.models.annotations import ColorBar, Span
        from bokeh.models.tools import HoverTool
        from bokeh.palettes import Viridis256

        names = axis_names(self._like)
        figure = bokeh_figure(
            "correlation at each offset", 360, f"offset along {names['x']} (m)",
            f"offset along {names['y']} (m)", aspect=True,
        )  # fmt: skip
        drawn = self._coloured(figure, "surface", "surface", Viridis256)
        for dimension in ("width", "height"):
            figure.add_layout(Span(location=0, dimension=dimension, line_color="white",
                                   line_dash="dotted", line_width=1))  # fmt: skip
        bar = ColorBar(color_mapper=self.mappers["surface"], width=10, padding=4)
        figure.add_layout(bar, "right")
        self._marks(figure)
        figure.add_tools(
            HoverTool(
                renderers=[drawn],
                tooltips=[("offset", "$x{0.0} m, $y{0.0} m"), ("correlation", "@image{0.000}")],
            )
        )
        return figure

    def _marks(self, figure: Any) -> None:
        peak, second = self.sources["peak"], self.sources["second"]
        figure.scatter("x", "y", source=second, marker="circle", size=13, fill_alpha=0,
                       line_color="white", line_width=2)  # fmt: skip
        for width, colour in ((5, "black"), (2, "white")):
            figure.scatter("x", "y", source=peak, marker="x", size=15, line_width=width,
                           line_color=colour)  # fmt: skip

    def _fit(self) -> Any:
        from bokeh.palettes import Viridis256

        figure = bokeh_figure(
            "peak between the pixels", 270, "offset x (m)", "offset y (m)", aspect=True
        )
        self._coloured(figure, "fit", "fit", Viridis256)
        figure.scatter("x", "y", source=self.sources["nodes"], size=6, color="white",
                       line_color="black")  # fmt: skip
        self._marks(figure)
        return figure

    def _small(self, name: str, title: str) -> Any:
        from bokeh.palettes import Greys256

        x, y = (f"{axis} from the centre (m)" for axis in "xy")
        figure = bokeh_figure(title, 270, x, y, aspect=True)
        self._coloured(figure, name, "patch", Greys256)
        return figure

    def _cuts(self) -> Any:
        names = axis_names(self._like)
        figure = bokeh_figure("cuts through the peak", 360, "offset (m)", "correlation")
        for axis, colour, marker in (("x", ALONG_X, "circle"), ("y", ALONG_Y, "square")):
            label = names[axis]
            samples, fit = self.sources[f"samples_{axis}"], self.sources[f"fit_{axis}"]
            figure.line("offset", "value", source=samples, color=colour, line_alpha=0.35)
            figure.scatter("offset", "value", source=samples, marker=marker, size=5, color=colour,
                           legend_label=f"{label}: whole pixels")  # fmt: skip
            figure.line("offset", "value", source=fit, color=colour, line_width=3,
                        legend_label=f"{label}: fitted")  # fmt: skip
        figure.line("x", "y", source=self.sources["threshold"], color="black", line_dash="dashed",
                    line_width=1.5, legend_label="needed")  # fmt: skip
        figure.legend.update(
            label_text_font_size="11px", background_fill_alpha=0.6, padding=4, spacing=0,
            location="top_left", glyph_height=14, label_height=14, click_policy="hide",
        )  # fmt: skip
        figure.add_layout(figure.legend[0], "below")
        figure.legend.update(ncols=2, border_line_alpha=0, label_width=118, label_standoff=4)
        return figure

    def _flicker(self, names: tuple[str, str], timer: str) -> Any:
        from bokeh.layouts import column
        from bokeh.models.callbacks import CustomJS
        from bokeh.models.widgets import Slider, Toggle

        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        toggle = Toggle(label="Flicker between the images", **wide)
        blend = Slider(start=0, end=1, value=0, step=0.05, title="Blend: reference to secondary",
                       **wide)  # fmt: skip
        period = Slider(start=0.2, end=1.5, value=0.5, step=0.1, title="Seconds an image", **wide)
        follow = CustomJS(
            args={"toggle": toggle, "blend": blend, "period": period, "layers": self._layers,
                  "names": list(names), "title": self.chips.title, "timer": timer},
            code=FLICKER,
        )  # fmt: skip
        toggle.js_on_change("active", follow)
        for slider in (blend, period):
            slider.js_on_change("value", follow)
        for layer in self._layers:
            layer.visible = False
        self.chips.title.text = names[0]
        return column(toggle, blend, period, sizing_mode="stretch_width")

    # ---- an answer
    def show(self, found: xr.Dataset) -> None:
        """Draw an answer."""
        self._show_windows(found)
        for name in ("reference", "secondary"):
            chip = found[name].values
            low, high = grey_limits(chip)
            self.mappers[name].update(low=low, high=high)
            self._put(name, raster(chip, found["chip_x"].values, found["chip_y"].values))
        self._show_patches(found)
        self._show_surface(found)
        self._show_cuts(found)
        lost = bool(int(found["flag"]) & ~int(DOUBTFUL))
        peak = f"peak {float(found['peak_correlation']):.2f}, {'rejected' if lost else 'accepted'}"
        self.surface.title.text = f"correlation at each offset; {peak}"

    def _put(self, name: str, data: dict[str, Any]) -> None:
        self.sources[name].data = data

    def _show_windows(self, found: xr.Dataset) -> None:
        x, y = float(found["x"]), float(found["y"])
        (ty, tx), (py, px) = found.attrs["template"], found.attrs["pixel"]
        half = (tx * px / 2, ty * py / 2)
        self._put("template", _box(x, y, half))
        self._put("place", {"x": [x], "y": [y]})
        span = [found[f"offset_{n}"].values for n in ("x", "y")]
        middle = [float(s[0] + s[-1]) / 2 for s in span]
        reach = [abs(float(s[-1] - s[0])) / 2 for s in span]
        self._put(
            "search",
            _box(x + middle[0], y + middle[1], (half[0] + reach[0], half[1] + reach[1])),
        )
        dx, dy = float(found["peak_dx"]), float(found["peak_dy"])
        self._put("match", _box(x + dx, y + dy, half))

    def _show_patches(self, found: xr.Dataset) -> None:
        x, y = found["template_x"].values, found["template_y"].values
        turns = found["template"].attrs["units"] == "degree"
        low, high = (-180.0, 180.0) if turns else grey_limits(found["template"].values)
        mapper = self.mappers["patch"]
        mapper.update(low=low, high=high)
        if turns != self._turns:  # colours take long to be checked and sent
            self._turns = turns
            mapper.palette = palette("twilight" if turns else "gray")
            what = "directions of its gradient" if turns else "filtered"
            self.patch.title.text = f"template, {what}"
        for name, variable in (("patch", "template"), ("matched", "matched")):
            self._put(name, raster(found[variable].values, x, y))

    def _show_surface(self, found: xr.Dataset) -> None:
        surface = found["surface"].values
        finite = surface[np.isfinite(surface)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        self.mappers["surface"].update(low=low, high=high if high > low else low + 1)
        self._put("surface", raster(surface, found["offset_x"].values, found["offset_y"].values))
        for name, kind in (("peak", "peak"), ("second", "second")):
            at = {n: [float(found[f"{kind}_d{n}"])] for n in ("x", "y")}
            self._put(name, at)
        fit = found["fit"].values
        if np.isfinite(fit).any():
            self.mappers["fit"].update(low=float(np.nanmin(fit)), high=float(np.nanmax(fit)))
        self._put("fit", raster(fit, found["fit_x"].values, found["fit_y"].values))
        near = [found[f"fit_{n}"].values[[0, fit.shape[0] // 2, -1]] for n in ("x", "y")]
        nodes = np.meshgrid(*near)
        self._put("nodes", {"x": nodes[0].ravel(), "y": nodes[1].ravel()})

    def _show_cuts(self, found: xr.Dataset) -> None:
        near = {f"offset_{n}": found[f"fit_{n}"].values[found.sizes["fit_x"] // 2] for n in "xy"}
        ends = []
        for axis, other in (("x", "y"), ("y", "x")):
            name = f"offset_{other}"
            cut = found["surface"].sel({name: near[name]}, method="nearest")
            offset = found[f"offset_{axis}"].values
            ends += [float(offset[0]), float(offset[-1])]
            self._put(f"samples_{axis}", {"offset": offset, "value": cut.values})
            fit = found[f"fit_along_{axis}"]
            self._put(f"fit_{axis}", {"offset": found[f"fit_{axis}"].values, "value": fit.values})
        needed = max(float(found["threshold"]), float(found.attrs["min_correlation"]))
        self._put("threshold", {"x": [min(ends), max(ends)], "y": [needed, needed]})

    def show_vectors(self, around: xr.Dataset | None) -> float:
        """Draw the offsets around the place; returns how many times as long as true."""
        if around is None:
            self._put("vectors", {"x0": [], "y0": [], "x1": [], "y1": []})
            return 1.0
        dx, dy = around["dx"].values, around["dy"].values
        good = np.isfinite(dx)
        x, y = np.meshgrid(around["x"].values, around["y"].values)
        scale = 1.0
        if good.any() and min(around.sizes.values()) > 1:
            spacing = abs(float(around["x"][1] - around["x"][0]))
            long = float(np.percentile(np.hypot(dx, dy)[good], 90))
            scale = _round_number(0.9 * spacing / long) if long > 0 else 1.0
        ends = {"x1": (x + scale * dx)[good], "y1": (y + scale * dy)[good]}
        self._put("vectors", {"x0": x[good], "y0": y[good], **ends})
        return scale


def _round_number(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * max(n for n in (1, 2, 5) if n * power <= value * (1 + 1e-9)))


def _box(x: float, y: float, half: tuple[float, float]) -> dict[str, list[float]]:
    return {
        "left": [x - half[0]], "right": [x + half[0]],
        "bottom": [y - half[1]], "top": [y + half[1]],
    }  # fmt: skip
