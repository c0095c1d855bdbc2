"""The figures of the report: fields to PNG, with Matplotlib's object interface only.

No pyplot and no settings of the user take part, so that equal input gives equal bytes and a
notebook's own figures stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.robust import nmad
from glaciertoolkit.styles import (
    OTHER_COLOUR,
    STABLE_COLOUR,
    FlagClasses,
    block_motion,
    colour_limits,
    default_limits,
    rings,
    style_of,
    thin,
    with_units,
)

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Residuals = Mapping[str, tuple[Array, Array]]

DPI = 200
WIDTH = 5.6
MAP_CELLS = 1_000_000
ARROWS = 26
LINEAR = 0.5
"""Metres around zero within which the axis of residuals is linear; beyond, it is compressed."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "legend.frameon": False,
}


@contextmanager
def figure(width: float, height: float) -> Iterator[tuple[Figure, Callable[[], bytes]]]:
    """An empty figure in inches, and a function that returns its PNG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        made = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(made)

        def png() -> bytes:
            buffer = BytesIO()
            # The name of the software is all that Matplotlib would add to the picture.
            made.savefig(
                buffer,
                format="png",
                bbox_inches="tight",
                pad_inches=0.05,
                metadata={"Software": None},
            )
            return buffer.getvalue()

        yield made, png


def extent_km(field: xr.DataArray) -> tuple[float, float, float, float]:
    """Outer edges (left, right, bottom, top) of the posts, in kilometres."""
    x, y = field["x"].values.astype(float), field["y"].values.astype(float)
    half_x = abs(x[1] - x[0]) / 2 if x.size > 1 else 0.5
    half_y = abs(y[1] - y[0]) / 2 if y.size > 1 else 0.5
    edges = (x.min() - half_x, x.max() + half_x, y.min() - half_y, y.max() + half_y)
    return tuple(float(e) / 1000 for e in edges)  # type: ignore[return-value]


def _draw(ax: Axes, field: xr.DataArray, values: Array, **options: Any) -> Any:
    """A field with north up, whatever the order of its rows and columns."""
    upright = values if field["y"].values[0] > field["y"].values[-1] else values[::-1]
    upright = upright if field["x"].values[0] < field["x"].values[-1] else upright[:, ::-1]
    return ax.imshow(upright, extent=extent_km(field), interpolation="nearest", **options)


def map_height(field: xr.DataArray, width: float, *, least: float = 2.0) -> float:
    """Height in inches of a map of this width; very long scenes stay within a page."""
    left, right, bottom, top = extent_km(field)
    return float(np.clip(width * (top - bottom) / max(right - left, 1e-9), least, 2.2 * width))


def _axes_in_km(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("easting (km)")
    ax.set_ylabel("northing (km)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.tick_params(labelsize=9)


def _scale_bar(ax: Axes, field: xr.DataArray) -> None:
    left, right, bottom, top = extent_km(field)
    aim = (right - left) / 5
    power = 10 ** np.floor(np.log10(aim))
    length = float(max(m * power for m in (1, 2, 5) if m * power <= aim))
    x, y = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    label = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    for colour, thick in (("white", 6), ("black", 2.5)):
        ax.plot([x, x + length], [y, y], color=colour, lw=thick, solid_capstyle="butt")
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    ax.annotate(label, (x + length / 2, y), (0, 5), textcoords="offset points", ha="center",
                fontsize=8.5, bbox=box)  # fmt: skip


def _arrows(ax: Axes, ds: xr.Dataset) -> None:
    """Mean motion of blocks of posts, where it is larger than three times its error."""
    found = block_motion(ds, ARROWS)
    if found is None:
        return
    (x, y), (vx, vy) = found[0].T / 1000, found[1].T
    step = max(1, -(-max(ds.sizes["y"], ds.sizes["x"]) // ARROWS))
    spacing = step * abs(float(ds["x"][1] - ds["x"][0])) / 1000
    longest = float(np.percentile(np.hypot(vx, vy), 95))
    ax.quiver(x, y, vx, vy,
              angles="xy", scale_units="xy", scale=longest / (1.7 * spacing), width=0.0032,
              color="white", edgecolor="black", linewidth=0.35)  # fmt: skip


def velocity_figure(
    ds: xr.Dataset, *, shade: xr.DataArray | None, outlines: gpd.GeoDataFrame | None
) -> bytes:
    """The speed over shaded relief, with arrows, outlines and a scale bar."""
    field, _ = thin(ds["v"], MAP_CELLS)
    style = style_of(ds["v"])
    low, high = default_limits(field, "v")
    above = bool((field > high).any())
    with figure(WIDTH, map_height(field, WIDTH - 0.7) + 1.1) as (made, png):
        ax = made.add_subplot()
        if shade is not None:
            grey, _ = thin(shade, MAP_CELLS)
            dark, bright = colour_limits(grey.values)
            _draw(ax, grey, grey.values, cmap="gray", vmin=2 * dark - bright, vmax=bright)
        picture = _draw(
            ax, field, field.values, cmap=style.cmap, vmin=low, vmax=high,
            alpha=0.75 if shade is not None else 1.0,
        )  # fmt: skip
        for ring in [] if outlines is None else rings(outlines):
            ax.plot(ring[:, 0] / 1000, ring[:, 1] / 1000, color="black", lw=0.7)
        _arrows(ax, ds)
        left, right, bottom, top = extent_km(field)
        ax.set(xlim=(left, right), ylim=(bottom, top), facecolor="white")
        _scale_bar(ax, field)
        _axes_in_km(ax)
        bar = made.colorbar(
            picture, ax=ax, orientation="horizontal", aspect=40, pad=0.02, shrink=0.9,
            extend="max" if above else "neither", label=with_units(style.label, style.units),
        )  # fmt: skip
        if bar.solids is not None:
            bar.solids.set_alpha(1)  # the relief shines through the map, not through its legend
        return png()


def flag_figure(ds: xr.Dataset, classes: FlagClasses) -> bytes:
    """Why posts are missing or doubtful; the legend is text beside it."""
    from matplotlib.colors import ListedColormap

    codes = xr.DataArray(classes.codes, dims=("y", "x"), coords={"y": ds["y"], "x": ds["x"]})
    field, _ = thin(codes, MAP_CELLS)
    with figure(WIDTH, map_height(field, WIDTH - 0.7) + 0.5) as (made, png):
        ax = made.add_subplot()
        _draw(ax, field, field.values, cmap=ListedColormap(classes.colours),
              vmin=-0.5, vmax=len(classes.colours) - 0.5)  # fmt: skip
        _scale_bar(ax, field)
        _axes_in_km(ax)
        return png()


def removed_figure(ds: xr.Dataset, kind: str) -> bytes | None:
    """The two components of a removed field side by side; None where there is none."""
    names = [f"{axis}_{kind}" for axis in ("dx", "dy") if f"{axis}_{kind}" in ds]
    if not names:
        return None
    field, _ = thin(ds[names[0]], MAP_CELLS // 4)
    with figure(WIDTH, map_height(field, 2.6, least=1.6) + 1.2) as (made, png):
        for number, name in enumerate(names):
            shown, _ = thin(ds[name], MAP_CELLS // 4)
            low, high = colour_limits(shown.values)
            ax = made.add_subplot(1, len(names), number + 1)
            picture = _draw(ax, shown, shown.values, cmap="cividis", vmin=low, vmax=high)
            ax.set_title(f"removed from {name[:2]}")
            ax.set(xticks=[], yticks=[])
            bar = made.colorbar(picture, ax=ax, orientation="horizontal", aspect=25, pad=0.02)
            bar.ax.locator_params(nbins=5)
            bar.set_label("m")
        return png()


def _residual_ticks(reach: float) -> list[float]:
    steps = [m * 10.0**p for p in range(-1, 5) for m in (1, 2, 5)]
    ticks = [t for t in steps if LINEAR <= t <= reach]
    thinned = ticks[:: max(1, -(-len(ticks) // 4))]
    return [-t for t in reversed(thinned)] + [0.0] + thinned


def _note(ax: Axes, values: Array) -> None:
    """Median and NMAD, on the side where the histogram is not."""
    middle = float(np.median(values))
    text = f"median {signed(middle, 2)} m\nNMAD {nmad(values):.2f} m"
    x, side = (0.0, "left") if middle > 0 else (1.0, "right")
    ax.text(x, 0.95, text, transform=ax.transAxes, ha=side, va="top", fontsize=8.5)


def signed(value: float, digits: int) -> str:
    """A number with its sign, and zero without one."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0.0:.{digits}f}"


def residual_figure(steps: Residuals) -> bytes:
    """Histograms of the motion left on stable ground, one row a step, one column a component.

    The axis is compressed away from zero (inverse hyperbolic sine), so that tens of metres before
    and centimetres after the corrections can be seen on one scale.
    """
    everything = np.concatenate([np.ravel(v) for pair in steps.values() for v in pair])
    everything = np.abs(everything[np.isfinite(everything)])
    reach = float(np.percentile(everything, 99.5)) if everything.size else 1.0
    reach = max(1.1 * reach, 4 * LINEAR)
    edges = LINEAR * np.sinh(np.linspace(-1, 1, 121) * np.arcsinh(reach / LINEAR))
    with figure(WIDTH - 0.4, 1.2 * len(steps) + 0.7) as (made, png):
        axes = made.subplots(len(steps), 2, sharex=True, squeeze=False)
        for row, (label, pair) in enumerate(steps.items()):
            for column, name in enumerate(("dx", "dy")):
                ax = axes[row, column]
                values = np.asarray(pair[column], dtype=np.float64)
                values = values[np.isfinite(values)]
                counts, _ = np.histogram(values, bins=edges)
                colour = STABLE_COLOUR if row == 0 else OTHER_COLOUR
                ax.stairs(counts / max(values.size, 1), edges, fill=True, color=colour, alpha=0.75)
                ax.axvline(0, color="black", lw=0.8)
                ax.set_xscale("asinh", linear_width=LINEAR)
                ticks = _residual_ticks(reach)
                ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
                ax.set_xticks([], minor=True)
                ax.tick_params(labelsize=9)
                ax.set(yticks=[], xlim=(-reach, reach))
                ax.spines["left"].set_visible(False)
                ax.set_title(f"{name}, {label}", loc="left", fontsize=9.5)
                if values.size:
                    _note(ax, values)
        for ax in axes[-1]:
            ax.set_xlabel("residual (m)")
        return png()


def elevation_figure(table: Mapping[str, Array]) -> bytes:
    """Median speed over elevation with its 10th to 90th percentile band."""
    with figure(WIDTH - 0.4, 3.4) as (made, png):
        ax = made.add_subplot()
        height = table["elevation"]
        if "p10" in table and "p90" in table:
            ax.fill_betweenx(height, table["p10"], table["p90"], color=OTHER_COLOUR, alpha=0.25,
                             lw=0, label="10th to 90th percentile")  # fmt: skip
        ax.plot(table["median"], height, color=OTHER_COLOUR, lw=2, marker="o", ms=3.5,
                label="median")  # fmt: skip
        ax.set(xlabel="speed (m yr⁻¹)", ylabel="elevation (m)", xlim=(0, None))
        ax.grid(color="#dddddd", lw=0.6)
        ax.legend(fontsize=9, loc="best")
        return png()
