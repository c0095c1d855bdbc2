"""Histogram and scatter of the sample: each shows what all brushes select, and takes a brush."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import panel as pn

from glaciertoolkit import maps, plots
from glaciertoolkit.apps.following import QUIET, WIDE, Follower, only_image_brushed
from glaciertoolkit.apps.selection import Between, Cloud, polygon_of
from glaciertoolkit.apps.state import State
from glaciertoolkit.styles import (
    OTHER_COLOUR,
    SELECTED_COLOUR,
    STABLE_COLOUR,
    style_of,
    with_units,
)

if TYPE_CHECKING:
    import holoviews as hv

    Floats = npt.NDArray[np.float64]

BINS = 60
CELLS = (150, 100)
GROUPS = ("all posts", "stable ground", "glacier ice", "ice and other")
COLOURS = {"stable ground": STABLE_COLOUR}
HEIGHT = 230
GREYS = ["#e3e3e3", "#d6d6d6", "#c9c9c9", "#bcbcbc", "#afafaf", "#a2a2a2"]


class Binned(NamedTuple):
    """Posts sorted into bins once, to be counted anew at every brush.

    `where` is the bin of each post of the sample, flat; `size` for those in none.
    """

    where: npt.NDArray[np.int32]
    edges: tuple[Floats, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins along each variable."""
        return tuple(len(edges) - 1 for edges in self.edges)

    @property
    def size(self) -> int:
        """Number of bins."""
        return int(np.prod(self.shape))

    def counts(self, mask: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
        """Posts in each bin, of all or of those in `mask`."""
        where = self.where if mask is None else self.where[mask.ravel()]
        return np.bincount(where, minlength=self.size + 1)[:-1].reshape(self.shape)


def binned(fields: list[npt.NDArray[Any]], edges: tuple[Floats, ...]) -> Binned:
    """Sort posts into equal bins of one variable or two, both ends of the outer bins included."""
    flat = np.zeros(fields[0].size, dtype=np.int64)
    outside = np.zeros(fields[0].size, dtype=bool)
    for field, sides in zip(fields, edges, strict=True):
        values = np.asarray(field, dtype=np.float64).ravel()
        known = (values >= sides[0]) & (values <= sides[-1])
        position = np.zeros(values.size, dtype=np.int64)
        position[known] = np.minimum(
            np.searchsorted(sides, values[known], side="right") - 1, len(sides) - 2
        )
        outside |= ~known
        flat = flat * (len(sides) - 1) + position
    size = int(np.prod([len(sides) - 1 for sides in edges]))
    return Binned(np.where(outside, size, flat).astype(np.int32), edges)


def span(values: npt.NDArray[Any]) -> tuple[float, float]:
    """The range of nearly all values: a thousandth at each end may lie outside."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(q) for q in np.percentile(finite, (0.1, 99.9)))
    return (low, high) if low < high else (low - 0.5, high + 0.5)


class HistogramView:
    """How often each value of the visible layer occurs, in groups, and among what is selected."""

    def __init__(self, state: State) -> None:
        self.state = state
        hv = maps.holoviews()
        self._kept: tuple[Any, Binned | None] = (None, None)
        names = ["layer", "limits"]
        self.groups = [
            n for n in GROUPS if n in plots.value_groups(state.content.sample, state.shown)
        ]
        figure = Follower(state, [*names, "mask"])
        layers = [figure.layer(names, functools.partial(self._group, n)) for n in self.groups]
        layers.append(figure.layer([*names, "mask"], self._selected))
        hv.streams.BoundsX(source=layers[0]).add_subscriber(self._brushed)
        overlay = layers[0]
        for other in layers[1:]:
            overlay = overlay * other
        self.element = overlay.opts(
            hv.opts.Overlay(
                responsive=True, height=HEIGHT, toolbar="above", legend_position="top_right",
                active_tools=["xbox_select"], hooks=[only_image_brushed], **QUIET,
            )
        )  # fmt: skip

    def _brushed(self, boundsx: tuple[float, float] | None = None) -> None:
        if boundsx:
            low, high = sorted(map(float, boundsx))
            self.state.brush("histogram", Between(self.state.shown, low, high))

    def bins(self) -> Binned:
        """The posts of the sample in bins between the colour limits."""
        state = self.state
        key = (state.shown, state.limits)
        if self._kept[1] is None or self._kept[0] != key:
            low, high = state.usable_limits or (state.limits[0] - 0.5, state.limits[0] + 0.5)
            edges = np.linspace(low, high, BINS + 1)
            self._kept = (key, binned([state.content.sample[state.shown].values], (edges,)))
        found = self._kept[1]
        assert found is not None
        return found

    def shares(self, mask: npt.NDArray[np.bool_] | None) -> tuple[Floats, int]:
        """Percent of the posts of `mask` that have a value in each bin, and how many have one."""
        values = self.state.content.sample[self.state.shown].values
        finite = np.isfinite(values)
        number = int(np.count_nonzero(finite if mask is None else finite & mask))
        return 100 * self.bins().counts(mask) / max(number, 1), number

    def _bars(self, shares: Floats, label: str) -> hv.Histogram:
        hv = maps.holoviews()
        return hv.Histogram(
            (self.bins().edges[0], shares), kdims=["value"], vdims=["share"], label=label
        )

    def _options(self) -> dict[str, Any]:
        state = self.state
        style = style_of(state.content.sample[state.shown], state.shown)
        low, high = self.bins().edges[0][[0, -1]]
        values = state.content.sample[state.shown].values
        finite = values[np.isfinite(values)]
        outside = 100 * float(np.mean((finite < low) | (finite > high))) if finite.size else 0.0
        return {
            "xlabel": with_units(style.label, style.units),
            "ylabel": "share of posts (%)",
            "title": f"histogram ({outside:.1f} % outside)",
            "xlim": (low, high),
            "framewise": True,
            "tools": ["xbox_select"],
            "default_tools": ["save"],
            "backend": "bokeh",
        }

    def _group(self, name: str) -> hv.Histogram:
        sample = self.state.content.sample
        stable = sample["stable"].values.astype(bool) if "stable" in sample else None
        masks = {
            "stable ground": stable,
            "glacier ice": sample["ice"].values if "ice" in sample else None,
            "ice and other": None if stable is None else ~stable,
        }
        shares, _ = self.shares(masks.get(name))
        colour = COLOURS.get(name, OTHER_COLOUR)
        return self._bars(shares, name).opts(
            color=colour, alpha=0.5, line_color=None, **self._options()
        )

    def _selected(self) -> hv.Histogram:
        state = self.state
        shares = np.zeros(BINS) if state.mask is None else self.shares(state.mask)[0]
        return self._bars(shares, "selected").opts(
            fill_alpha=0.0, line_color=SELECTED_COLOUR, line_width=1.8,
            visible=state.mask is not None, **self._options(),
        )  # fmt: skip

    def pane(self) -> pn.Column:
        """The histogram; of the flag the shares of its classes; a sentence where nothing is."""
        holder = pn.Column(**WIDE)
        kept = pn.pane.HoloViews(self.element, linked_axes=False, **WIDE)

        def show(_: Any = None) -> None:
            wanted: Any = kept
            if self.state.layer == "flag":
                bars = plots.flag_bars(self.state.content.overview, width=None, height=HEIGHT)
                wanted = pn.pane.HoloViews(bars, linked_axes=False, **WIDE)
            if len(holder) == 0 or holder[0] is not wanted:
                holder[:] = [wanted]

        self.state.param.watch(show, "layer")
        show()
        return holder


class ScatterView:
    """The visible layer over another one, as a density; what is selected in colour."""

    def __init__(self, state: State) -> None:
        self.state = state
        hv = maps.holoviews()
        self._kept: tuple[Any, Binned | None] = (None, None)
        names = ["layer", "against"]
        figure = Follower(state, [*names, "mask"])
        every = figure.layer(names, self._every)
        hv.streams.BoundsXY(source=every).add_subscriber(self._boxed)
        hv.streams.Lasso(source=every).add_subscriber(self._lassoed)
        overlay = every * figure.layer([*names, "mask"], self._selected)
        self.element = overlay.opts(
            hv.opts.Overlay(
                responsive=True, height=HEIGHT, toolbar="above", hooks=[only_image_brushed],
                active_tools=["box_select"], **QUIET,
            )
        )  # fmt: skip

    @property
    def names(self) -> tuple[str, str]:
        """The variables across and upward."""
        return str(self.state.against), self.state.shown

    def _boxed(self, bounds: tuple[float, float, float, float] | None = None) -> None:
        if bounds:
            left, low, right, high = map(float, bounds)
            across, upward = self.names
            self.state.brush("scatter", Between(across, left, right), Between(upward, low, high))

    def _lassoed(self, geometry: Any = None) -> None:
        polygon = polygon_of(geometry) if geometry is not None else None
        if polygon is not None:
            self.state.brush("scatter", Cloud(*self.names, polygon))

    def bins(self) -> Binned:
        """The posts of the sample in cells of both variables."""
        if self._kept[1] is None or self._kept[0] != self.names:
            sample = self.state.content.sample
            fields = [sample[name].values for name in self.names]
            edges = [np.linspace(*span(f), n + 1) for f, n in zip(fields, CELLS, strict=True)]
            self._kept = (self.names, binned(fields, (edges[0], edges[1])))
        found = self._kept[1]
        assert found is not None
        return found

    def _density(self, counts: npt.NDArray[np.int64], vdim: str) -> hv.Image:
        (left, right), (low, high) = (edges[[0, -1]] for edges in self.bins().edges)
        values = np.where(counts > 0, counts, np.nan).T[::-1]
        bounds = (left, low, right, high)
        hv = maps.holoviews()
        number = hv.Dimension(vdim, range=(1, self._top()))  # there may be no post at all
        return hv.Image(values, ["across", "upward"], [number], bounds=bounds)

    def _options(self) -> dict[str, Any]:
        sample = self.state.content.sample
        across, upward = (with_units(*style_of(sample[name], name)[:2]) for name in self.names)
        (left, right), (low, high) = (edges[[0, -1]] for edges in self.bins().edges)
        inside = self.bins().where < self.bins().size
        both = np.isfinite(sample[self.names[0]].values) & np.isfinite(sample[self.names[1]].values)
        outside = 100 * (1 - int(np.count_nonzero(inside)) / max(int(np.count_nonzero(both)), 1))
        return {
            "xlabel": across, "ylabel": upward, "xlim": (left, right), "ylim": (low, high),
            "title": f"scatter ({outside:.1f} % outside)",
            "clipping_colors": {"NaN": "#00000000"}, "cnorm": "log", "framewise": True,
            "tools": ["box_select", "lasso_select"], "default_tools": ["save"],
            "backend": "bokeh",
        }  # fmt: skip

    def _top(self) -> float:
        return max(float(self.bins().counts().max()), 2.0)

    def _every(self) -> hv.Image:
        return self._density(self.bins().counts(), "posts").opts(
            cmap=GREYS, clim=(1, self._top()), colorbar=False, **self._options()
        )

    def _selected(self) -> hv.Image:
        counts = self.bins().counts(self.state.mask)
        return self._density(counts, "selected").opts(
            cmap="viridis", clim=(1, self._top()), colorbar=True, clabel="posts in a cell",
            **self._options(),
        )  # fmt: skip

    def pane(self) -> Any:
        """The scatter."""
        return pn.pane.HoloViews(self.element, linked_axes=False, **WIDE)
