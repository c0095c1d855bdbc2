"""What is selected and what is on the screen, as files."""

from __future__ import annotations

import tempfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.apps.content import Content, Window
from glaciertoolkit.apps.selection import Selection
from glaciertoolkit.apps.state import State
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.grids import crs_of
from glaciertoolkit.report_figures import extent_km, figure, map_height
from glaciertoolkit.styles import (
    SELECTED_COLOUR,
    colour_limits,
    default_limits,
    flag_classes,
    rings,
    style_of,
    with_units,
)

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 1_000_000
"""A longer table is of no use in a spreadsheet or a GIS; then it holds the sample."""

BLOCK = 512
WIDTH = 6.5


class File(NamedTuple):
    """What is saved, and what has to be said of it; mostly nothing."""

    data: BytesIO
    note: str = ""


def selected_posts(content: Content, selection: Selection) -> pd.DataFrame:
    """One row a selected post: x, y and every layer, in the units of the Dataset.

    All posts of the map are looked at, not only the sample that brushes work on, unless more
    than `MOST_ROWS` are selected: then the table holds those of the sample. ``attrs["sample"]``
    says which: 1 for all posts, n for one of n by n.

    Raises
    ------
    InputError
        Where no post is selected.
    """
    import pandas as pd

    pieces, number, step = [], 0, 1
    for start in range(0, content.ds.sizes["y"], BLOCK):
        piece = _rows(content, content.ds.isel(y=slice(start, start + BLOCK)), selection)
        content.spool.release()
        pieces.append(piece)
        number += len(piece)
        if number > MOST_ROWS:
            step = content.sample_step
            pieces = [_rows(content, content.sample, selection)]
            break
    table = pd.concat(pieces, ignore_index=True)
    if table.empty:
        raise InputError("no post is selected: widen a brush, or clear the selection.")
    table.attrs = {"sample": step}
    return table


def _rows(content: Content, part: xr.Dataset, selection: Selection) -> pd.DataFrame:
    import pandas as pd

    row, column = np.nonzero(selection.mask(part))
    columns = {"x": part["x"].values[column], "y": part["y"].values[row]}
    names = list(content.layers.values())
    return pd.DataFrame(columns | {name: part[name].values[row, column] for name in names})


def selection_csv(content: Content, selection: Selection) -> File:
    """The selected posts as a CSV table with one line of column names."""
    text, table = StringIO(), selected_posts(content, selection)
    table.to_csv(text, index=False)
    return File(BytesIO(text.getvalue().encode()), _thinned(table))


def _thinned(table: pd.DataFrame) -> str:
    """What has to be said of a table that holds the sample only."""
    n = table.attrs["sample"]
    if n == 1:
        return ""
    return (
        f"More than {MOST_ROWS:,} posts are selected: the file holds {len(table):,} of them, one "
        f"of {n} by {n}. Select less to have every post; all of them are in the products."
    )


def selection_table(content: Content, selection: Selection) -> gpd.GeoDataFrame:
    """The selected posts as points in the CRS of the map."""
    import geopandas as gpd

    crs = crs_of(content.ds)
    if crs is None:
        raise GridError("a GeoPackage needs a CRS, and this map has none; take the CSV.")
    table = selected_posts(content, selection)
    points = gpd.points_from_xy(table["x"], table["y"])
    made = gpd.GeoDataFrame(table.drop(columns=["x", "y"]), geometry=points, crs=crs)
    made.attrs = dict(table.attrs)
    return made


def selection_gpkg(content: Content, selection: Selection) -> File:
    """The selected posts as a GeoPackage with the layer ``selection``."""
    table = selection_table(content, selection)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "selection.gpkg"
        table.to_file(path, layer="selection", driver="GPKG")
        return File(BytesIO(path.read_bytes()), _thinned(table))


def view_png(state: State) -> File:
    """The map as it is on the screen: layer, colours, part, relief, outlines, selection, line."""
    content, window = state.content, state.window
    view = content.view(window)
    field = view[state.layer]
    width = WIDTH - 1.0
    with figure(WIDTH, map_height(field, width) + 1.2) as (made, png):
        ax = made.add_subplot()
        if state.relief and content.shade is not None:
            grey = view["hillshade"].values
            dark, bright = colour_limits(grey)
            _show(ax, field, grey, cmap="gray", vmin=2 * dark - bright, vmax=bright)
        if state.layer == "flag":
            _flag(ax, view, made, state.opacity)
        else:
            _layer(ax, field, made, state)
        if state.selection:
            veil = np.ones((*field.shape, 4), dtype=np.float32)
            veil[..., 3] = np.where(state.selection.mask(view), 0.0, 0.72)
            _show(ax, field, veil)
        _lines(ax, state)
        left, right, bottom, top = extent_km(field)
        ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="easting (km)")
        ax.set(ylabel="northing (km)")
        ax.ticklabel_format(useOffset=False, style="plain")
        if state.selection:
            ax.set_title(state.selection.words(content.sample), fontsize=8.5, wrap=True)
        return File(BytesIO(png()))


def _show(ax: Axes, field: xr.DataArray, values: Any, **options: Any) -> Any:
    upright = values if field["y"].values[0] > field["y"].values[-1] else values[::-1]
    return ax.imshow(upright, extent=extent_km(field), interpolation="nearest", **options)


def _layer(ax: Axes, field: xr.DataArray, made: Figure, state: State) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    style = style_of(field, state.layer)
    low, high = state.usable_limits or default_limits(field, state.layer)
    _show(ax, field, field.values, cmap=state.cmap, vmin=low, vmax=high, alpha=state.opacity)
    # The relief shines through the map, not through its legend.
    solid = ScalarMappable(Normalize(low, high), cmap=state.cmap)
    label = with_units(style.label, style.units)
    made.colorbar(solid, ax=ax, shrink=0.85, extend="both", label=label)


def _flag(ax: Axes, view: xr.Dataset, made: Figure, opacity: float) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    classes = flag_classes(view)
    cmap = ListedColormap(classes.colours)
    limits = {"vmin": -0.5, "vmax": len(classes.labels) - 0.5}
    _show(ax, view["flag"], classes.codes, cmap=cmap, alpha=opacity, **limits)
    named = zip(classes.labels, classes.shares, classes.colours, strict=True)
    keys = [Patch(color=c, label=f"{label} {100 * share:.1f} %") for label, share, c in named]
    made.legend(handles=keys, loc="outside lower center", ncols=2, fontsize=8)


def _lines(ax: Axes, state: State) -> None:
    if state.glaciers and state.content.outlines is not None:
        for ring in rings(state.content.outlines):
            ax.plot(*(ring.T / 1000), color="#111111", lw=0.8)
    for ring in state.selection.rings():
        ax.plot(*(ring.T / 1000), color=SELECTED_COLOUR, lw=1.2, ls="--")
    xs, ys = (np.asarray(v) / 1000 for v in state.line)
    if len(xs) > 1:
        for colour, thick in (("black", 3.0), ("white", 1.3)):
            ax.plot(xs, ys, color=colour, lw=thick, marker="o", ms=3)


def file_name(state: State, ending: str, window: Window | None = None) -> str:
    """A name that says what is in the file."""
    if ending == "png":
        return f"{state.layer}{'' if window in (None, state.content.whole) else '_part'}.png"
    return f"selection.{ending}" if state.selection else f"posts.{ending}"
