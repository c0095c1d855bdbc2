"""Plots as HoloViews elements: maps, histograms, profiles. No Panel, no state, no science."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.accuracy_plots import (
    calibration_curve,
    density_image,
    error_curves,
    variogram_plot,
)
from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import InputError
from glaciertoolkit.maps import flag_map, holoviews, load, velocity_map
from glaciertoolkit.relation_plots import (
    contrast_plot,
    hypsometry_plot,
    scaling_plot,
    speed_by,
    stress_plot,
)
from glaciertoolkit.styles import (
    OTHER_COLOUR,
    STABLE_COLOUR,
    colour_limits,
    default_limits,
    flag_classes,
    plot_size,
    style_of,
    with_units,
)

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

LINE_PLOT_WIDTH = 560
SMALL_TITLE = {"title": "10pt"}

__all__ = [
    "area_and_speed",
    "calibration_curve",
    "contrast_plot",
    "density_image",
    "error_curves",
    "flag_bars",
    "flag_map",
    "histogram",
    "history",
    "hypsometry_plot",
    "load",
    "profile_curve",
    "residual_histograms",
    "scaling_plot",
    "speed_by",
    "stress_plot",
    "variogram_plot",
    "velocity_map",
]


def value_groups(ds: xr.Dataset, variable: str) -> dict[str, np.ndarray[Any, Any]]:
    """The finite values of a variable: on stable ground and on ice, where `ds` knows them.

    Stable ground is the bool variable `stable`, ice the bool variable `ice`, or else all that is
    not stable.
    """
    validate(ds, needs=(variable,))
    values = np.asarray(ds[variable].values, dtype=np.float64)
    finite = np.isfinite(values)
    masks = {
        name: np.asarray(ds[name].values, dtype=bool) for name in ("stable", "ice") if name in ds
    }
    if not masks:
        return {"all posts": values[finite]}
    groups = {}
    if "stable" in masks:
        groups["stable ground"] = values[finite & masks["stable"]]
    if "ice" in masks:
        groups["glacier ice"] = values[finite & masks["ice"]]
    else:
        groups["ice and other"] = values[finite & ~masks["stable"]]
    return groups


def histogram(
    ds: xr.Dataset,
    variable: str = "v",
    *,
    bins: int = 60,
    limits: tuple[float, float] | None = None,
    width: int | None = LINE_PLOT_WIDTH,
    height: int = 280,
) -> hv.Overlay:
    """Histogram of one variable, for stable ground and the rest apart where `stable` is known.

    Each group is scaled to its own number of posts, so that a small patch of stable ground can be
    compared with a large glacier.

    Parameters
    ----------
    ds : xarray.Dataset
        Dataset with dims ``(y, x)``, with the bool variable `stable` or without.
    variable : str
        The variable to count.
    bins : int
        Number of bins between the limits.
    limits : tuple of float, optional
        Range of the axis in the variable's unit; default its 1st to 99th percentile. The title
        says which share of the posts lies outside.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Raises
    ------
    MissingVariableError
        Where the Dataset lacks `variable`.
    InputError
        Where the variable has no finite value.
    """
    hv = holoviews()
    groups = value_groups(ds, variable)
    everything = np.concatenate(list(groups.values()))
    if everything.size == 0:
        raise InputError(f"{variable} has no value at any of these posts; the flag map shows why.")
    style = style_of(ds[variable], variable)
    low, high = limits or default_limits(ds[variable], variable)
    outside = 100 * float(np.mean((everything < low) | (everything > high)))
    colours = {"stable ground": STABLE_COLOUR}
    x = hv.Dimension(f"{variable}_value", label=with_units(style.label, style.units))
    share = hv.Dimension("share", label="share of posts (%)")
    layers = []
    for label, values in groups.items():
        if values.size:
            counts, edges = np.histogram(values, bins=bins, range=(low, high))
            bars = hv.Histogram(
                (edges, 100 * counts / values.size), kdims=[x], vdims=[share], label=label
            )
            colour = colours.get(label, OTHER_COLOUR)
            style_opts = {"color": colour, "alpha": 0.55, "line_color": None, "xlim": (low, high)}
            layers.append(bars.opts(**style_opts, framewise=True, backend="bokeh"))
    return hv.Overlay(layers).opts(
        title=f"histogram ({outside:.1f} % lie outside this range)",
        legend_position="top_right",
        xlim=(low, high),
        **plot_size(width, height),
    )


def profile_curve(
    profile: xr.Dataset,
    variable: str = "v",
    *,
    colour: str = OTHER_COLOUR,
    width: int | None = LINE_PLOT_WIDTH,
    height: int = 280,
) -> hv.Overlay:
    """A variable along a line, with a band of one standard error where its error is known.

    Parameters
    ----------
    profile : xarray.Dataset
        Dataset over `distance` in metres, as `profile` returns it.
    variable : str
        The variable to show; the band takes ``<variable>_error``.
    colour : str
        Colour of line and band.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Raises
    ------
    MissingVariableError
        Where the profile lacks `variable` or `distance`.
    """
    hv = holoviews()
    validate(profile, needs=("distance", variable))
    style = style_of(profile[variable], variable)
    distance = profile["distance"].values / 1000
    values = np.asarray(profile[variable].values, dtype=np.float64)
    kdim = hv.Dimension("along", label="distance along the line (km)")
    vdim = hv.Dimension(f"{variable}_along", label=with_units(style.label, style.units))
    # framewise must sit on the elements themselves: on an Overlay alone the axes never move.
    curve = hv.Curve((distance, values), kdim, vdim, label=style.label)
    layers = [curve.opts(color=colour, line_width=2, framewise=True, tools=["hover"])]
    error = profile.get(f"{variable}_error")
    if error is not None:
        band = hv.Spread((distance, values, error.values), kdim, [vdim, "error"], label="± 1 sigma")
        layers.insert(0, band.opts(color=colour, alpha=0.25, line_color=None, framewise=True))
    return hv.Overlay(layers).opts(
        title=f"profile: {style.label}" + (" ± 1 sigma" if error is not None else ""),
        show_grid=True,
        show_legend=False,
        **plot_size(width, height),
    )


def residual_histograms(
    steps: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]], *, bins: int = 120
) -> hv.Layout:
    """Motion left on stable ground after each correction, one plot a component.

    Parameters
    ----------
    steps : mapping
        From the name of a step to the residuals ``(dx, dy)`` in metres on stable ground, in the
        order of the processing.
    bins : int
        Number of bins.

    Raises
    ------
    InputError
        Where there is no step, or no finite residual.
    """
    hv = holoviews()
    if not steps:
        raise InputError("there is no step to show; give at least one pair of residuals.")
    plots = []
    for axis, name in enumerate(("dx", "dy")):
        arrays = {label: np.asarray(pair[axis], dtype=np.float64) for label, pair in steps.items()}
        arrays = {label: values[np.isfinite(values)] for label, values in arrays.items()}
        if not any(values.size for values in arrays.values()):
            raise InputError(f"the residuals of {name} hold no finite value.")
        limits = colour_limits(np.concatenate(list(arrays.values())))
        kdim = hv.Dimension(f"{name}_residual", label=f"residual of {name} on stable ground (m)")
        layers = []
        for label, values in arrays.items():
            counts, edges = np.histogram(values, bins=bins, range=limits)
            share = 100 * counts / max(values.size, 1)
            centres = (edges[:-1] + edges[1:]) / 2
            curve = hv.Curve((centres, share), kdim, ("share", "share of posts (%)"), label=label)
            layers.append(curve.opts(interpolation="steps-mid", line_width=2, backend="bokeh"))
        plots.append(hv.Overlay(layers).opts(legend_position="top_right", **plot_size(480, 300)))
    return hv.Layout(plots).opts(shared_axes=False, backend="bokeh")


def flag_bars(ds: xr.Dataset, *, width: int | None = LINE_PLOT_WIDTH, height: int = 280) -> hv.Bars:
    """The share of posts in each class of the flag map, in the colours of that map.

    Parameters
    ----------
    ds : xarray.Dataset
        Dataset with the variable `flag`.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Raises
    ------
    MissingVariableError
        Where the Dataset has no `flag`.
    """
    hv = holoviews()
    classes = flag_classes(ds)
    named = [f"{n} {100 * s:.1f} %" for n, s in zip(classes.labels, classes.shares, strict=True)]
    rows = list(zip(named, (100 * s for s in classes.shares), classes.colours, strict=True))
    bars = hv.Bars(rows[::-1], kdims=["class"], vdims=[("percent", "share of posts (%)"), "colour"])
    return bars.opts(
        color="colour",
        invert_axes=True,
        xlabel="",
        tools=["hover"],
        line_color=None,
        title="why posts are missing or doubtful",
        **plot_size(width, height),
    )


def area_and_speed(by_elevation: xr.Dataset, *, height: int = 300) -> hv.Layout:
    """Area and speed by elevation, side by side over the same heights.

    Parameters
    ----------
    by_elevation : xarray.Dataset
        Result of `stats.topography`: its variables by elevation.
    height : int
        Height in screen pixels; the width fills the page.

    Raises
    ------
    MissingVariableError
        Where it lacks the area or the speed by elevation.
    """
    hv = holoviews()
    names = [f"v_{kind}_by_elevation" for kind in ("median", "p10", "p90")]
    validate(by_elevation, needs=("elevation_bin", "area_by_elevation", *names))
    bins = by_elevation["elevation_bin"].values
    half = (bins[1] - bins[0]) / 2 if len(bins) > 1 else 50.0
    edges = np.append(bins - half, bins[-1] + half)
    z = hv.Dimension("bin", label="elevation (m)")
    area = hv.Histogram(
        (edges, by_elevation["area_by_elevation"].values), kdims=[z], vdims=[("area", "area (km²)")]
    )
    median, low, high = (by_elevation[n].values for n in names)
    speed = hv.Dimension("speed", label="speed (m yr⁻¹)")
    band = hv.Area((bins, low, high), z, [speed, "above"], label="10 to 90 %")
    curve = hv.Curve((bins, median), z, speed, label="median")
    left = area.opts(
        color=OTHER_COLOUR, alpha=0.6, line_color="white", invert_axes=True, title="area",
        xlim=(edges[0], edges[-1]), fontsize=SMALL_TITLE, **plot_size(None, height),
    )  # fmt: skip
    right = hv.Overlay(
        [
            band.opts(color=OTHER_COLOUR, alpha=0.25, line_color=None, invert_axes=True),
            curve.opts(color=OTHER_COLOUR, line_width=2, tools=["hover"], invert_axes=True),
        ]
    ).opts(
        title="median, 10 to 90 %", show_legend=False, show_grid=True, invert_axes=True,
        xlim=(edges[0], edges[-1]), fontsize=SMALL_TITLE, **plot_size(None, height),
    )  # fmt: skip
    return hv.Layout([left, right]).opts(shared_axes=False, backend="bokeh")


def history(table: pd.DataFrame, *, height: int = 230) -> hv.Overlay:
    """Median speed of a glacier at several dates, with one standard error of the median.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `mid_date`, `v_median` and `v_error` (of the mean), m yr-1.
    height : int
        Height in screen pixels; the width fills the page.
    """
    hv = holoviews()
    dates, speed = table["mid_date"].to_numpy(), table["v_median"].to_numpy()
    # The error of a median is about 1.25 times that of a mean.
    error = 1.25 * np.nan_to_num(table["v_error"].to_numpy(dtype=float))
    when = hv.Dimension("date", label="middle date of the pair")
    v = hv.Dimension("median", label="median speed (m yr⁻¹)")
    curve = hv.Curve((dates, speed), when, v).opts(color=OTHER_COLOUR, line_width=1.5)
    bars = hv.ErrorBars((dates, speed, error), when, [v, "error"]).opts(color=OTHER_COLOUR)
    points = hv.Scatter((dates, speed), when, v).opts(color=OTHER_COLOUR, size=8, tools=["hover"])
    return hv.Overlay([curve, bars, points]).opts(
        title="history: median speed ± 1 sigma", show_grid=True, padding=0.15,
        **plot_size(None, height),
    )  # fmt: skip
