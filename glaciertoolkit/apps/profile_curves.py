"""The stacked curves of the profile inspector, with a cursor that is the browser's own work."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.apps.figures import bokeh_figure, source
from glaciertoolkit.apps.profile_answer import Answer, Curve
from glaciertoolkit.apps.profile_content import ProfileContent
from glaciertoolkit.apps.profile_state import labelled
from glaciertoolkit.conventions import VARIABLES
from glaciertoolkit.styles import LINE_DASHES, pretty_units, style_of

TALL, LOW = 225, 155

# One cursor for all: a distance along the active line. Moving over a curve gives it directly,
# moving over the map gives the nearest point of the line. The table is legend and readout in one.
# Everything is set without telling the server.
CURSOR = """
const quiet = {sync: false}
const number = (v, error) => {
  if (v === undefined || !Number.isFinite(v)) return '\\u2013'
  const size = Math.abs(Number.isFinite(error) && error > 0 ? error : v)
  const digits = size === 0 ? 0 : Math.min(Math.max(1 - Math.floor(Math.log10(size)), 0), 6)
  const minus = (text) => text.replace('-', '\\u2212')
  return minus(v.toFixed(digits)) +
    (Number.isFinite(error) ? ' ± ' + error.toFixed(digits) : '')
}
const escaped = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`)
const nearest = (xs, d) => {
  if (!xs || xs.length === 0 || d < xs[0] || d > xs[xs.length - 1]) return -1
  let [low, high] = [0, xs.length - 1]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (xs[middle] <= d) low = middle; else high = middle
  }
  return d - xs[low] <= xs[high] - d ? low : high
}
const show = (d) => {
  cursor.__at = d
  const along = track.data
  const known = d !== null && along.distance.length > 1 && d >= 0 &&
    d <= along.distance[along.distance.length - 1]
  const k = known ? nearest(along.distance, d) : -1
  const at = k >= 0 ? {x: [along.x[k]], y: [along.y[k]]} : {x: [], y: []}
  // Only what changes: each of these paints a figure anew.
  if (at.x[0] !== marker.data.x[0] || at.y[0] !== marker.data.y[0]) marker.setv({data: at}, quiet)
  if (d !== null) for (const span of spans) span.setv({location: d, visible: true}, quiet)
  const cell = (text, style = '') => `<td style="padding:1px 4px;${style}">${text}</td>`
  const shown = panels.filter((panel) => panel.name === 'shown')
  const titles = shown.map((panel) => {
    const [name, unit] = panel.tags
    const unit_ = unit ? `<br><span style="white-space:nowrap">(${unit})</span>` : ''
    return cell(name + unit_, 'text-align:right;color:#555')
  })
  const rows = curves.data.line.map((line, i) => {
    const dash = {solid: '', dashed: '7,4', dotted: '2,3', dotdash: '2,3,7,3',
                  dashdot: '7,3,2,3'}[curves.data.dash[i]]
    const key = `<svg width="26" height="8" style="vertical-align:middle"><line x1="0" y1="4"
      x2="26" y2="4" stroke="${curves.data.colour[i]}" stroke-width="3"
      stroke-dasharray="${dash}"/></svg>`
    const values = shown.map((panel) => {
      const j = d === null ? -1 : nearest(panel.data.xs[i], d)
      const text = j < 0 ? '' : number(panel.data.ys[i][j], panel.data.errors[i][j])
      return cell(text, 'text-align:right;white-space:nowrap')
    })
    const date = `<span style="white-space:nowrap">${curves.data.date[i]}</span>`
    const name = escaped(line) + (several ? ', ' + date : '')
    return `<tr>${cell(key + ' ' + name)}${values.join('')}</tr>`
  })
  const where = k >= 0
    ? `at ${along.distance[k].toFixed(3)} km, x ${along.x[k].toFixed(0)} m, ` +
      `y ${along.y[k].toFixed(0)} m`
    : 'Move the mouse over a curve, or along the line on the map.'
  const text = `<div class="readout" style="font-size:12px"><b>${where}</b>
    <table style="border-collapse:collapse;margin-top:3px"><tr style="vertical-align:bottom">
    ${cell('')}${titles.join('')}</tr>${rows.join('')}</table></div>`
  // Into the page itself: another text of the Div would lay out all figures anew.
  if (!readout.__box?.isConnected)
    readout.__box = Bokeh.index.find_one(readout)?.shadow_el.querySelector('.box')
  if (readout.__box) readout.__box.innerHTML = text
}
"""
OVER_A_CURVE = CURSOR + "show(cb_obj.x)"
AGAIN = CURSOR + "show(cursor.__at ?? null)"
OVER_THE_MAP = (
    CURSOR
    + """
const {distance, x, y} = track.data
const scale = (map.x_range.end - map.x_range.start) / map.inner_width
let [best, gap] = [-1, (24 * scale) ** 2]
for (let i = 0; i < x.length; i++) {
  const away = (x[i] - cb_obj.x) ** 2 + (y[i] - cb_obj.y) ** 2
  if (away < gap) { gap = away; best = i }
}
if (best >= 0) show(distance[best])
"""
)


class Panel(NamedTuple):
    """One figure: a variable, the one that holds its error, and how high it is."""

    variable: str
    error: str
    height: int


def panels_of(gathered: ProfileContent) -> list[Panel]:
    """The figures below the first one, in their order."""
    found = []
    if {"v", "vx"} & set(gathered.ds.data_vars):
        found.append(Panel("strain_rate", "strain_rate_error", LOW))
    if gathered.dem is not None:
        found += [Panel("elevation", "", LOW), Panel("slope", "", LOW)]
    if "driving_stress" in gathered.ds:
        found.append(Panel("driving_stress", "", LOW))
    return found + [Panel(name, f"{name}_error", LOW) for name in gathered.covariates]


class ProfileCurves:
    """The figures of one view, and the sources that an answer fills."""

    def __init__(self, gathered: ProfileContent) -> None:
        from bokeh.models import DataRange1d
        from bokeh.models.widgets import Div

        self.gathered = gathered
        self.below = panels_of(gathered)
        self.sources: list[Any] = []
        self.bands: list[Any] = []
        self.spans: list[Any] = []
        self.x_range = DataRange1d(range_padding=0)
        self.curves = source(line=[], date=[], colour=[], dash=[])
        self.track = source(distance=[], x=[], y=[])
        self.marker = source(x=[], y=[])
        self.readout = Div(text="<div class='box'></div>", sizing_mode="stretch_width")
        self.first = self._figure(TALL)
        self.others = {panel.variable: self._figure(panel.height) for panel in self.below}
        for panel, figure in zip(self.below, self.others.values(), strict=True):
            self._name(figure, self.sources[1 + self.below.index(panel)], panel.variable)

    @property
    def figures(self) -> list[Any]:
        """From above to below."""
        return [self.first, *self.others.values()]

    def _figure(self, height: int) -> Any:
        from bokeh.models.annotations import Span

        made = bokeh_figure("", height, "distance along the line (km)", "")
        made.x_range = self.x_range
        made.title.visible = False
        made.yaxis.ticker.desired_num_ticks = 5
        made.yaxis.ticker.num_minor_ticks = 0
        made.yaxis.axis_label_text_font_size = made.xaxis.axis_label_text_font_size = "12px"
        band = source(xs=[], ys=[], colour=[])
        made.patches("xs", "ys", source=band, fill_color="colour", fill_alpha=0.22,
                     line_color=None)  # fmt: skip
        data = source(xs=[], ys=[], errors=[], colour=[], dash=[])
        made.multi_line("xs", "ys", source=data, line_color="colour", line_dash="dash",
                        line_width=2)  # fmt: skip
        span = Span(dimension="height", line_color="#222222", line_width=1, visible=False)
        made.add_layout(span)
        self.sources.append(data)
        self.bands.append(band)
        self.spans.append(span)
        return made

    def _name(self, figure: Any, data: Any, variable: str) -> None:
        """Label the axis and the column of the table."""
        label, units = label_of(self.gathered, variable)
        figure.yaxis.axis_label = labelled(variable, units)
        data.tags = [label, pretty_units(units)]

    def link(self, chart: Any) -> None:
        """Let the mouse on the curves and on a map move one cursor."""
        from bokeh.events import MouseMove
        from bokeh.models import CustomJS

        args = {
            "track": self.track, "marker": self.marker, "spans": self.spans,
            "panels": self.sources, "readout": self.readout, "curves": self.curves,
            "cursor": self.x_range, "several": len(self.gathered.dates) > 1, "map": chart,
        }  # fmt: skip
        over = CustomJS(args=args, code=OVER_A_CURVE)
        for figure in self.figures:
            figure.js_on_event(MouseMove, over)
        chart.js_on_event(MouseMove, CustomJS(args=args, code=OVER_THE_MAP))
        again = CustomJS(args=args, code=AGAIN)
        self.track.js_on_change("data", again)
        # When the page has been laid out: the table is there before anybody moves the mouse.
        self.first.js_on_change("inner_width", again)

    # ---- an answer
    def show(self, answer: Answer, variable: str, active: str) -> list[str]:
        """Draw an answer; returns the variables of which there is no value."""
        dates = [d.label for d in self.gathered.dates if d.label in answer.question.dates]
        dashes = {date: LINE_DASHES[k % len(LINE_DASHES)] for k, date in enumerate(dates)}
        panels = [Panel(variable, f"{variable}_error", TALL), *self.below]
        self._name(self.first, self.sources[0], variable)
        empty = []
        for panel, data, band in zip(panels, self.sources, self.bands, strict=True):
            rows, patches = _columns(answer.curves, panel, dashes)
            data.data, band.data = rows, patches
            some = any(np.isfinite(ys).any() for ys in rows["ys"])
            data.name = "shown" if some else "hidden"
            if not some:
                empty.append(panel.variable)
        self.curves.data = {
            "line": [curve.line.name for curve in answer.curves],
            "date": [curve.date for curve in answer.curves],
            "colour": [curve.line.colour for curve in answer.curves],
            "dash": [dashes[curve.date] for curve in answer.curves],
        }
        self.track.data = _track(answer.curves, active)
        return empty


def label_of(gathered: ProfileContent, variable: str) -> tuple[str, str]:
    """A short label of a variable, and its unit."""
    if variable in gathered.content.ds:
        style = style_of(gathered.content.ds[variable], variable)
        return style.label, style.units
    known = VARIABLES.get(variable)
    units = known.units if known else "1"
    field = xr.DataArray(0.0, attrs={"units": units})
    return style_of(field, variable).label, units


def _columns(
    curves: tuple[Curve, ...], panel: Panel, dashes: dict[str, str]
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The curves of one figure, one row a curve, and their bands of one standard error."""
    names = ("xs", "ys", "errors", "colour", "dash")
    rows: dict[str, list[Any]] = {name: [] for name in names}
    patches: dict[str, list[Any]] = {"xs": [], "ys": [], "colour": []}
    nothing = np.zeros(0)
    for line, date, along in curves:
        x = y = error = nothing
        if panel.variable in along:
            x = along["distance"].values / 1000
            y = along[panel.variable].values.astype(np.float64)
            error = np.full(len(y), np.nan)
            if panel.error in along:
                error = along[panel.error].values.astype(np.float64)
                _add_band(patches, x, y, error, line.colour)
        for name, value in zip(names, (x, y, error, line.colour, dashes[date]), strict=True):
            rows[name].append(value)
    return rows, patches


def _add_band(
    patches: dict[str, list[Any]],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    error: npt.NDArray[Any],
    colour: str,
) -> None:
    """One closed patch for each piece of a curve without a gap."""
    known = np.isfinite(y) & np.isfinite(error)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2):
        part = slice(start, stop)
        low, high = y[part] - error[part], y[part] + error[part]
        patches["xs"].append(np.concatenate([x[part], x[part][::-1]]))
        patches["ys"].append(np.concatenate([low, high[::-1]]))
        patches["colour"].append(colour)


def _track(curves: tuple[Curve, ...], active: str) -> dict[str, Any]:
    """Where the points of the active line lie, for the cursor."""
    for line, _, along in curves:
        if line.name == active:
            return {
                "distance": along["distance"].values / 1000,
                "x": along["x"].values.astype(float),
                "y": along["y"].values.astype(float),
            }
    return {"distance": np.zeros(0), "x": np.zeros(0), "y": np.zeros(0)}
