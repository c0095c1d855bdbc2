"""Maps as HoloViews elements. No Panel, no state, no science.

HoloViews (and not GeoViews) on purpose: everything shown lies on one projected grid, so that no
reprojection and no network is needed, and the axes keep their coordinates in kilometres. Radar
geometry is shown as it is, over slant range and azimuth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import in_radar_geometry, validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.styles import (
    MAX_CELLS,
    NO_LOGO,
    SHORT_LABELS,
    FlagClasses,
    block_motion,
    colour_limits,
    default_limits,
    flag_classes,
    pretty_units,
    rings,
    style_of,
    thin,
    with_units,
)

if TYPE_CHECKING:
    import holoviews as hv

    FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def load() -> None:
    """Make plots and apps work in this notebook page, without a network.

    The first plot does so by itself. Call it in a cell of its own to have the scripts (some
    megabytes) there, and again after reloading the page in the browser.
    """
    import holoviews as hv
    import panel as pn
    from holoviews.core.dimension import LabelledData

    # Inline: scripts and style sheets come with the cell, not from a content delivery network.
    pn.config.inline = True  # type: ignore[misc]  # it can be set, by way of __setattr__
    hv.extension("bokeh", logo=False, inline=True)
    hv.Store.set_display_hook("html+js", LabelledData, _displayed)


def _displayed(element: Any) -> Any:
    """What a notebook shows of an element: by Panel, since HoloViews fetches its style sheets."""
    import holoviews as hv
    import panel as pn

    if hv.Store.current_backend != "bokeh":
        from holoviews.ipython.display_hooks import pprint_display

        return pprint_display(element)
    return pn.pane.HoloViews(element)._repr_mimebundle_()


def holoviews() -> Any:
    """HoloViews with its Bokeh backend loaded, wherever this runs."""
    import holoviews as hv

    if "bokeh" not in hv.Store.renderers:
        load()
    return hv


def axis_names(field: xr.DataArray) -> dict[str, str]:
    """What x and y of a field are, in a word or two: easting and northing, or those of a radar."""
    fallback = {"x": "easting", "y": "northing"}
    names = {axis: str(field[axis].attrs.get("long_name", word)) for axis, word in fallback.items()}
    return {axis: name.split(",")[0] for axis, name in names.items()}


def named_in_own_axes(label: str, field: xr.DataArray) -> str:
    """A label that speaks of x or y, in radar geometry of slant range or azimuth."""
    if not in_radar_geometry(field):
        return label
    names = axis_names(field)
    return re.sub(r"\b[xy]$", lambda found: names[found.group()], label)


def map_axes(field: xr.DataArray) -> dict[str, Any]:
    """Labels and tick formatters of the map axes: kilometres where the grid is in metres."""
    from bokeh.models import CustomJSTickFormatter

    options: dict[str, Any] = {}
    for axis, fallback in (("x", "easting"), ("y", "northing")):
        attrs = field[axis].attrs
        label, units = str(attrs.get("long_name", fallback)), str(attrs.get("units", "m"))
        if units in ("m", "metre", "meter"):
            units = "km"
            code = "return parseFloat((tick / 1000).toFixed(3)).toString()"
            options[f"{axis}formatter"] = CustomJSTickFormatter(code=code)
        options[f"{axis}label"] = with_units(label, units)
    return options


def _in_step(
    name: str, units: str, axes: dict[str, str], words: list[str] | None = None, *,
    bar_visible: bool = True,
) -> Any:  # fmt: skip
    """A hook that keeps colour bar and hover text in step when a plot's element changes.

    HoloViews sets both once and for all, whatever later elements of the same plot hold.
    """

    def hook(plot: Any, _: Any) -> None:
        from bokeh.models import BasicTicker, CustomJSHover, FixedTicker

        bar, hover = plot.handles.get("colorbar"), plot.handles.get("hover")
        if bar is not None:
            bar.visible = bar_visible
        if bar is not None and (words is None or not bar_visible):
            # A page keeps words that it once had: a bar that is not shown never gets any.
            bar.update(title=None, ticker=BasicTicker(), major_label_overrides={})
        elif bar is not None and words is not None:
            ticker = FixedTicker(ticks=list(range(len(words))))
            bar.update(title=None, ticker=ticker, major_label_overrides=dict(enumerate(words)))
        if hover is not None:
            where = [(axes["x"], "$x{0,0} m"), (axes["y"], "$y{0,0} m")]
            value = f"@image{{0.000}} {pretty_units(units)}"
            hover.formatters = {}
            if words is not None:
                value = "@image{custom}"
                code = "return words[value] ?? ''"
                hover.formatters = {"@image": CustomJSHover(args={"words": words}, code=code)}
            hover.tooltips = [*where, (name, value)]

    return hook


def image(
    field: xr.DataArray,
    *,
    clim: tuple[float, float] | None = None,
    cmap: str | None = None,
    alpha: float = 1.0,
    max_cells: int = MAX_CELLS,
    name: str | None = None,
) -> hv.Image:
    """One field as a HoloViews Image with units, colour bar and hover text; NaN is transparent."""
    shown, step = thin(field, max_cells)
    limits = default_limits(shown, name) if clim is None else clim
    return raster(shown).opts(
        **image_options(field, clim=limits, cmap=cmap, alpha=alpha, name=name, step=step)
    )


def raster(field: xr.DataArray, kind: str = "float32", value: str = "value") -> hv.Image:
    """The values of a field, as they are, as a bare HoloViews Image."""
    hv = holoviews()
    values = field.values.astype(kind, copy=False)
    x, y = field["x"].values, field["y"].values
    # Colour limits are always given; a range saves HoloViews from looking for one, where there
    # may be no value at all.
    return hv.Image((x, y, values), kdims=["x", "y"], vdims=[hv.Dimension(value, range=(0, 1))])


def image_options(
    field: xr.DataArray,
    *,
    clim: tuple[float, float],
    cmap: str | None = None,
    alpha: float = 1.0,
    name: str | None = None,
    step: int = 1,
    title: bool = True,
) -> dict[str, Any]:
    """How `raster` shows a field, of which every `step`-th post is in the picture."""
    style = style_of(field, name)
    if not clim[0] < clim[1]:
        raise ParameterError(
            f"the colour limits are {clim[0]} to {clim[1]}; give a low and a higher one."
        )
    named = named_in_own_axes(style.label, field)
    label = with_units(named, style.units)
    note = "" if step == 1 else f", one of {step} by {step} posts shown"
    return {
        "cmap": cmap or style.cmap,
        "clim": clim,
        "colorbar": True,
        "alpha": alpha,
        "clipping_colors": {"NaN": "#00000000"},
        "tools": ["hover"],
        "title": f"{label}{note}" if title else "",
        "hooks": [_in_step(named, style.units, axis_names(field))],
        "backend": "bokeh",
        **map_axes(field),
    }


def frame_size(field: xr.DataArray, size: int) -> dict[str, int]:
    """Width and height of the plot frame, so that a metre is as long on both axes."""
    width = abs(float(field["x"][-1] - field["x"][0])) or 1.0
    height = abs(float(field["y"][-1] - field["y"][0])) or 1.0
    scale = size / max(width, height)
    return {
        "frame_width": max(int(width * scale), 120),
        "frame_height": max(int(height * scale), 120),
    }


def hillshade_image(shade: xr.DataArray, *, max_cells: int = MAX_CELLS) -> hv.Image:
    """Shaded relief in grey, to lie under a map."""
    shown, _ = thin(shade, max_cells)
    low, high = colour_limits(shown.values)
    # From middle grey on: black shadows would swallow the colours above them.
    limits = (low - (high - low), high)
    return raster(shown, value="shade").opts(
        cmap="gray", clim=limits, colorbar=False, clipping_colors={"NaN": "#00000000"},
        backend="bokeh",
    )  # fmt: skip


def radar_rings(outlines: Any, like: xr.Dataset) -> list[FloatArray]:
    """Glacier outlines, of any CRS, over the slant range and azimuth of located posts.

    Each point of a line takes the height of the post that is nearest on the ground.
    """
    from pyproj import Transformer
    from scipy.spatial import KDTree

    from glaciertoolkit.grids import read_outlines
    from glaciertoolkit.grids.located import Located, is_located
    from glaciertoolkit.sar.geocoding import ground_to_image
    from glaciertoolkit.sar.geometry import geometry_of

    is_located(like)
    validate(like, needs=("height",))
    around, geometry = Located.of(like), geometry_of(like)
    x, y = (around.grid[axis].values for axis in ("x", "y"))
    heights = like["height"].values
    known = np.isfinite(heights) & np.isfinite(around.rows)
    posts = [x[0] + (x[1] - x[0]) * around.columns, y[0] + (y[1] - y[0]) * around.rows]
    tree = KDTree(np.column_stack([v[known] for v in posts]))
    to_degrees = Transformer.from_crs(around.grid.rio.crs, "EPSG:4326", always_xy=True)
    found = []
    for ring in rings(read_outlines(outlines, around.grid, allow_empty=True)):
        height = heights[known][tree.query(ring)[1]]
        line, sample = ground_to_image(geometry, *to_degrees.transform(*ring.T), height)
        slant = geometry.near_range + sample * geometry.range_spacing
        found.append(np.column_stack([slant, line * geometry.azimuth_spacing]))
    return found


def outline_paths(outlines: Any, like: xr.Dataset) -> hv.Path:
    """Glacier outlines, of any CRS, as thin lines in the coordinates of `like`."""
    from glaciertoolkit.grids import read_outlines

    hv = holoviews()
    if in_radar_geometry(like):
        lines = radar_rings(outlines, like)
    else:
        lines = rings(read_outlines(outlines, like, allow_empty=True))
    paths = hv.Path(lines, kdims=["x", "y"])
    # A glacier that leaves the map must not stretch its axes.
    return paths.opts(color="#111111", line_width=1.2, apply_ranges=False, backend="bokeh")


def arrows(ds: xr.Dataset, most: int = 26) -> list[FloatArray]:
    """Arrows along the motion of blocks of posts, as lines; the tail is in the middle of a block.

    The fastest are 1.7 blocks long, the others in proportion.
    """
    found = block_motion(ds, most)
    if found is None:
        return []
    tails, vectors = found
    step = max(1, -(-max(ds.sizes["y"], ds.sizes["x"]) // most))
    longest = float(np.percentile(np.hypot(*vectors.T), 95))
    shafts = vectors * (1.7 * step * abs(float(ds["x"][1] - ds["x"][0])) / longest)
    tips = tails + shafts
    sideways = np.column_stack([-shafts[:, 1], shafts[:, 0]])
    left, right = (tips - 0.35 * shafts + side * 0.2 * sideways for side in (1, -1))
    return list(np.stack([tails, tips, left, tips, right], axis=1))


def velocity_map(
    ds: xr.Dataset,
    variable: str = "v",
    *,
    clim: tuple[float, float] | None = None,
    cmap: str | None = None,
    hillshade: xr.DataArray | None = None,
    outlines: Any = None,
    max_cells: int = MAX_CELLS,
    size: int = 480,
) -> hv.Overlay:
    """Map of one variable of a velocity Dataset, in its own coordinates.

    Parameters
    ----------
    ds : xarray.Dataset
        Dataset with dims ``(y, x)``; in radar geometry it is shown over slant range and azimuth:
        the direction of flight is up, what lies farther from the radar to the right.
    variable : str
        The variable to show, for example ``"v"``, ``"dx"`` or ``"correlation"``.
    clim : tuple of float, optional
        Colour limits in the variable's unit; default the 1st to 99th percentile, symmetric about
        zero for components.
    cmap : str, optional
        Name of a colour map; default viridis or cividis for magnitudes, coolwarm for components.
    hillshade : xarray.DataArray, optional
        Shaded relief to lie under the map, on any grid of the same CRS.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS, drawn on top. In radar geometry `ds` must have been located.
    max_cells : int
        Larger maps are thinned to every n-th post, and their title says so.
    size : int
        Length of the longer side of the map, in screen pixels.

    Returns
    -------
    holoviews.Overlay

    Raises
    ------
    MissingVariableError
        Where the Dataset lacks `variable`.
    GridError
        Where outlines are to be drawn over radar posts that have not been located.
    ParameterError
        Where the colour limits are reversed or equal.
    """
    hv = holoviews()
    if variable == "flag":
        return flag_map(ds, max_cells=max_cells, size=size)
    validate(ds, needs=(variable,))
    alpha = 1.0 if hillshade is None else 0.7
    layers = [image(ds[variable], clim=clim, cmap=cmap, alpha=alpha, max_cells=max_cells)]
    if hillshade is not None:
        layers.insert(0, hillshade_image(hillshade, max_cells=max_cells))
    if outlines is not None:
        layers.append(outline_paths(outlines, ds))
    frame = frame_size(ds[variable], size)
    axes = map_axes(ds[variable])
    return hv.Overlay(layers).opts(**frame, **axes, **NO_LOGO, toolbar="above", backend="bokeh")


def flag_image(
    ds: xr.Dataset, *, max_cells: int = MAX_CELLS, legend: bool = True
) -> tuple[hv.Image, FlagClasses]:
    """The flag classes as an Image, with the words beside its colour bar or without the bar."""
    hv = holoviews()
    classes = flag_classes(ds)
    codes = xr.DataArray(classes.codes, dims=("y", "x"), coords={"y": ds["y"], "x": ds["x"]})
    shown, step = thin(codes, max_cells)
    note = "" if step == 1 else f", one of {step} by {step} posts shown"
    values = shown.values.astype("float32")

    words = [
        f"{label} {100 * share:.1f} %"
        for label, share in zip(classes.labels, classes.shares, strict=True)
    ]
    picture = hv.Image((shown["x"].values, shown["y"].values, values), ["x", "y"], ["value"]).opts(
        cmap=classes.colours,
        clim=(-0.5, len(classes.labels) - 0.5),
        colorbar=True,
        clipping_colors={"NaN": "#00000000"},
        title=f"{SHORT_LABELS['flag']}{note}",
        tools=["hover"],
        alpha=1.0,
        hooks=[_in_step("post", "", axis_names(ds["flag"]), words, bar_visible=legend)],
        backend="bokeh",
        **map_axes(ds["flag"]),
    )
    return picture, classes


def flag_map(ds: xr.Dataset, *, max_cells: int = MAX_CELLS, size: int = 480) -> hv.Overlay:
    """Map of why posts are missing or doubtful, with the shares of all posts in the legend.

    Parameters
    ----------
    ds : xarray.Dataset
        Dataset with the variable `flag`.
    max_cells : int
        Larger maps are thinned to every n-th post; the shares count all of them.
    size : int
        Length of the longer side of the map, in screen pixels.

    Raises
    ------
    MissingVariableError
        Where the Dataset has no `flag`.
    """
    hv = holoviews()
    picture, _ = flag_image(ds, max_cells=max_cells)
    frame = frame_size(ds["flag"], size)
    axes = map_axes(ds["flag"])
    return hv.Overlay([picture]).opts(**frame, **axes, **NO_LOGO, toolbar="above", backend="bokeh")
