"""What an explorer shows, as parameters: the views draw it, widgets and brushes change it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import param
import xarray as xr

from glaciertoolkit.apps.content import Content, Window, first_line
from glaciertoolkit.apps.selection import Criterion, Selection
from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.styles import default_limits, style_of

CMAPS = ["viridis", "cividis", "magma", "plasma", "coolwarm", "RdBu_r", "gray", "twilight"]
NONE = "none"
MODES = {
    "Draw a line": "line",
    "Pick a glacier": "glacier",
    "Select a box": "box",
    "Select freely": "lasso",
}


class State(param.Parameterized):
    """The state of one explorer: layer, colours, line, selection, glacier.

    Everything in it can be read and set from another cell of the notebook.
    """

    layer: Any = param.Selector(objects=["v"], label="Layer")
    limits = param.Range(default=(0.0, 1.0), label="Colour limits")
    cmap: Any = param.Selector(default="viridis", objects=CMAPS, label="Colour map")
    opacity = param.Number(default=0.8, bounds=(0.0, 1.0), step=0.05, label="Opacity of the layer")
    relief = param.Boolean(default=True, label="Shaded relief below the map")
    glaciers = param.Boolean(default=True, label="Glacier outlines")
    arrows = param.Boolean(default=False, label="Arrows along the motion")
    against: Any = param.Selector(objects=["v"], label="Scatter against")
    beside: Any = param.Selector(default=NONE, objects=[NONE], label="Second map beside")
    mode: Any = param.Selector(default="line", objects=MODES, label="On the map")
    window: Any = param.Parameter(precedence=-1, doc="the posts that the map shows")
    line: Any = param.Parameter(default=([], []), precedence=-1, doc="x and y of the vertices")
    along = param.ClassSelector(class_=xr.Dataset, precedence=-1, doc="the profile that is shown")
    selection: Any = param.ClassSelector(class_=Selection, default=Selection(), precedence=-1)
    mask: Any = param.Parameter(
        precedence=-1, doc="which posts of the sample are selected; None without a brush"
    )
    chosen: Any = param.Integer(
        default=None, allow_None=True, precedence=-1, doc="row of the glacier in the outlines"
    )
    sentence = param.String(default="", precedence=-1, doc="what is wrong at the moment, in words")

    def __init__(self, content: Content) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.content = content
        self.param.layer.objects = content.layers
        self.param.against.objects = content.against
        self.param.beside.objects = {NONE: NONE, **content.layers}
        with param.parameterized.discard_events(self):
            self.layer = content.default_layer
            self.against = next(
                (name for name in content.against.values() if name != content.default_layer),
                content.default_layer,
            )
            self.window = content.whole
            self.line = first_line(content.overview, content.profiled)
            self.opacity = 0.7 if content.shade is not None else 1.0
        self._follow_layer()

    # ---- the layer
    @property
    def shown(self) -> str:
        """The variable in profile and scatter: the visible layer, where it is a quantity."""
        return self.content.profiled if self.layer == "flag" else str(self.layer)

    @property
    def usable_limits(self) -> tuple[float, float] | None:
        """The colour limits, or None where both ends of the slider lie on each other."""
        low, high = self.limits
        return (float(low), float(high)) if low < high else None

    @param.depends("layer", watch=True)
    def _follow_layer(self) -> None:
        field = self.content.overview[self.shown]
        limits = default_limits(field, self.shown)
        # At once: in between, the map would be drawn with the limits of the layer before.
        self.param.update(
            limits=limits, cmap=style_of(field, self.shown).cmap, along=self._profile()
        )

    def ends(self) -> tuple[float, float]:
        """The smallest and largest value of the visible layer, or its limits where it has none."""
        values = self.content.overview[self.shown].values
        finite = values[np.isfinite(values)]
        low, high = self.limits
        if finite.size == 0:
            return float(low), float(high)
        return min(float(low), float(finite.min())), max(float(high), float(finite.max()))

    # ---- the line
    @param.depends("line", watch=True)
    def _follow_line(self) -> None:
        self.along = self._profile()

    def _profile(self) -> xr.Dataset | None:
        """The visible layer with its error along the drawn line; None where it cannot be had."""
        from shapely.geometry import LineString

        from glaciertoolkit.profiles import profile

        xs, ys = self.line
        if len(xs) < 2:
            self.sentence = "Click on the map: a line needs at least two points."
            return None
        name, ds = self.shown, self.content.ds
        wanted = dict.fromkeys((name, f"{name}_error", "elevation"))
        try:
            found = profile(
                ds[[n for n in wanted if n in ds]], LineString(np.column_stack([xs, ys]))
            )
        except GlacierToolkitError as error:
            self.sentence = str(error)
            return None
        if not np.isfinite(found[name].values).any():
            self.sentence = "No post along this line has a value: draw it over the coloured map."
            return None
        self.sentence = ""
        return found

    # ---- the selection
    def brush(self, view: str, *criteria: Criterion) -> None:
        """Select what was brushed in one view, within what the other views have selected."""
        self.selection = self.selection.with_brush(view, *criteria)

    def clear(self, _: Any = None) -> None:
        """Select nothing."""
        self.selection = Selection()

    @param.depends("selection", watch=True)
    def _follow_selection(self) -> None:
        self.mask = self.selection.mask(self.content.sample) if self.selection else None

    def selected(self, name: str) -> npt.NDArray[Any]:
        """The values of a variable at the selected posts of the sample, 1-D."""
        values = self.content.sample[name].values
        return values.ravel() if self.mask is None else values[self.mask]

    # ---- the glacier
    def choose_at(self, x: float, y: float) -> None:
        """Choose the glacier at a place on the map, or none."""
        from shapely import Point

        table = self.content.outlines
        if table is None:
            self.sentence = "No glacier outlines were given: there is no glacier to pick."
            return
        if in_radar_geometry(self.content.ds):
            self.sentence = (
                "Glaciers are picked on a map, and this is radar geometry: bring it onto a map "
                "with to_map() first."
            )
            return
        inside = np.flatnonzero(table.geometry.contains(Point(x, y)).values)
        self.sentence = "" if inside.size else "There is no glacier outline here."
        # Where outlines overlap the first counts, as in the table of glaciers.
        self.chosen = int(inside[0]) if inside.size else None


def same_window(content: Content, x_range: Any, y_range: Any) -> Window:
    """The window of a map whose axes show these ranges; the whole where they are not known."""
    if not x_range or not y_range or not np.isfinite([*x_range, *y_range]).all():
        return content.whole
    return content.window(tuple(x_range), tuple(y_range))
