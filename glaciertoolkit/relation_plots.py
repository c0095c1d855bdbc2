"""Velocity against topography as HoloViews elements: bins, hypsometry, contrast, power laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import VARIABLES, validate
from glaciertoolkit.errors import InputError
from glaciertoolkit.maps import holoviews
from glaciertoolkit.styles import (
    OTHER_COLOUR,
    SHORT_LABELS,
    STABLE_COLOUR,
    plot_size,
    pretty_units,
    with_units,
)

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

WIDTH, HEIGHT = 480, 320
SPEED = with_units("speed", VARIABLES["v"].units)
LINE_COLOUR = "#b2182b"
MOST_POINTS = 4000
AXES = {"show_grid": True, "shared_axes": False}
"""Plots on one page have axes of their own, though all of them show speeds."""


def _size(width: int | None, height: int) -> dict[str, Any]:
    return {**plot_size(width, height), **AXES}


def speed_by(
    statistics: xr.Dataset,
    by: str = "elevation",
    *,
    width: int | None = WIDTH,
    height: int = HEIGHT,
) -> hv.Overlay:
    """Median speed in bins of an attribute of the ground, with its spread and its error.

    The band reaches from the 10th to the 90th percentile of the ice; the bars are one standard
    error of the median.

    Parameters
    ----------
    statistics : xarray.Dataset
        As `topography` returns it.
    by : str
        Which of its attributes: "elevation", "slope", "aspect", ...
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Returns
    -------
    holoviews.Overlay

    Raises
    ------
    MissingVariableError
        The statistics were not made by that attribute.
    InputError
        No bin has a speed.
    """
    hv = holoviews()
    names = [f"v_{part}_by_{by}" for part in ("median", "p10", "p90", "error")]
    validate(statistics, needs=(f"{by}_bin", *names))
    median, low, high, error = (statistics[n].values.astype(float) for n in names)
    known = np.isfinite(median)
    if not known.any():
        raise InputError(f"no bin of {by} has enough speeds to show.")
    centres = statistics[f"{by}_bin"].values[known]
    style = VARIABLES[by]
    label = SHORT_LABELS.get(by, style.long_name)
    kdim = hv.Dimension(f"{by}_bin", label=with_units(label, style.units))
    vdim = hv.Dimension(f"v_by_{by}", label=SPEED)
    median, low, high = median[known], low[known], high[known]
    error = 1.2533 * np.nan_to_num(error[known])
    spread = hv.Area((centres, low, high), kdim, [vdim, "high"], label="10 to 90 % of the ice")
    curve = hv.Curve((centres, median), kdim, vdim, label="median")
    bars = hv.ErrorBars((centres, median, error), kdim, [vdim, "error"])
    layers = [
        spread.opts(color=OTHER_COLOUR, alpha=0.2, line_color=None, framewise=True),
        curve.opts(color=OTHER_COLOUR, line_width=2, framewise=True, tools=["hover"]),
        bars.opts(line_color=OTHER_COLOUR, framewise=True),
    ]
    top = 1.1 * float(np.nanmax([high, median + error]))
    return hv.Overlay(layers).opts(
        title=f"speed by {label}", legend_position="top_right", ylim=(0, top),
        **_size(width, height),
    )  # fmt: skip


def hypsometry_plot(
    statistics: xr.Dataset,
    glacier: str | None = None,
    *,
    width: int | None = WIDTH,
    height: int = HEIGHT,
) -> hv.Layout:
    """Area and median speed by elevation side by side, of one glacier or of the region.

    Parameters
    ----------
    statistics : xarray.Dataset
        As `hypsometry` returns it.
    glacier : str, optional
        Identifier of a glacier; by default all of them together.
    width, height : int
        Size of each plot in screen pixels.

    Returns
    -------
    holoviews.Layout

    Raises
    ------
    InputError
        No glacier of that identifier.
    """
    hv = holoviews()
    validate(statistics, needs=("elevation_bin", "area", "region_area"))
    if glacier is None:
        names, one, title = ("region_area", "region_v_median", "region_v_error"), statistics, ""
    else:
        match = np.flatnonzero(statistics["rgi_id"].values == glacier)
        if not match.size:
            raise InputError(f"no glacier {glacier!r} among these; see the coordinate rgi_id.")
        one, title = statistics.isel(glacier=int(match[0])), f" of {glacier}"
        names = ("area", "v_median", "v_error")
    area, median, error = (one[n].values.astype(float) for n in names)
    axis = one["elevation_bin"]
    z, step = axis.values, float(np.diff(one["elevation_bin_bounds"].values[0])[0])
    relative = axis.attrs.get("units") == "1"
    up = hv.Dimension(
        "elevation_bin", label="normalised elevation" if relative else "elevation (m)"
    )
    wide = hv.Dimension("area_of_bin", label="area (km²)")
    fast = hv.Dimension("speed_of_bin", label=SPEED)
    edges = np.append(z - step / 2, z[-1] + step / 2)
    bars = hv.Histogram((edges, area), kdims=[up], vdims=[wide]).opts(
        invert_axes=True, color=STABLE_COLOUR, line_color="white", title=f"area{title}",
        **_size(width, height),
    )  # fmt: skip
    known = np.isfinite(median)
    curve = hv.Curve((z[known], median[known]), up, fast).opts(
        color=OTHER_COLOUR, line_width=2, invert_axes=True, tools=["hover"]
    )
    band = hv.ErrorBars(
        (z[known], median[known], 1.2533 * np.nan_to_num(error[known])), up, [fast, "error"]
    ).opts(line_color=OTHER_COLOUR, invert_axes=True)
    speeds = hv.Overlay([curve, band]).opts(title=f"median speed{title}", **_size(width, height))
    return hv.Layout([bars, speeds]).opts(shared_axes=False, backend="bokeh")


def contrast_plot(
    contrast: xr.Dataset, *, width: int | None = 400, height: int = 400
) -> hv.Overlay:
    """Speed of the accumulation area over that of the ablation area, one point a glacier.

    Points above the diagonal are glaciers that are faster above their equilibrium line.

    Parameters
    ----------
    contrast : xarray.Dataset
        As `accumulation_contrast` returns it.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Returns
    -------
    holoviews.Overlay

    Raises
    ------
    InputError
        No glacier has both speeds.
    """
    hv = holoviews()
    validate(contrast, needs=("v_ablation", "v_accumulation"))
    below, above = (contrast[n].values.astype(float) for n in ("v_ablation", "v_accumulation"))
    known = (below > 0) & (above > 0)
    if not known.any():
        raise InputError("no glacier has speeds on both sides of its equilibrium line.")
    names = contrast["rgi_id"].values[known]
    unit = pretty_units(VARIABLES["v"].units)
    x = hv.Dimension("ablation", label=f"ablation area ({unit})")
    y = hv.Dimension("accumulation", label=f"accumulation area ({unit})")
    points = hv.Scatter((below[known], above[known], names), x, [y, "glacier"]).opts(
        color=OTHER_COLOUR, size=7, alpha=0.7, tools=["hover"]
    )
    both = np.concatenate([below[known], above[known]])
    span = np.array([both.min() / 1.5, both.max() * 1.5])
    line = hv.Curve((span, span), x, y).opts(color="grey", line_dash="dashed")
    return hv.Overlay([line, points]).opts(
        logx=True, logy=True, title="median speed of each glacier", **_size(width, height)
    )


def stress_plot(
    ds: xr.Dataset, law: xr.Dataset | None = None, *, width: int | None = WIDTH, height: int = 360
) -> hv.Overlay:
    """Speed over driving stress, post by post, with the speed of deformation alone.

    Parameters
    ----------
    ds : xarray.Dataset
        Velocity with the variables of `driving_stress`.
    law : xarray.Dataset, optional
        The fit of `shallow_ice`, drawn at the median thickness.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Returns
    -------
    holoviews.Overlay

    Raises
    ------
    InputError
        No post has a speed and a stress.
    """
    hv = holoviews()
    validate(ds, needs=("v", "driving_stress", "thickness", "deformation_speed"))
    speed, stress, depth, deformation = (
        ds[n].values.astype(float).ravel()
        for n in ("v", "driving_stress", "thickness", "deformation_speed")
    )
    known = np.flatnonzero((speed > 0) & (stress > 0))
    if not known.size:
        raise InputError("no post has a speed and a driving stress.")
    known = known[:: -(-known.size // MOST_POINTS)]
    x = hv.Dimension("stress", label="driving stress (kPa)")
    y = hv.Dimension("speed", label=SPEED)
    measured = hv.Scatter((stress[known], speed[known]), x, y, label="measured")
    alone = hv.Scatter((stress[known], deformation[known]), x, y, label="deformation alone")
    layers = [
        alone.opts(color=STABLE_COLOUR, size=2, alpha=0.4),
        measured.opts(color=OTHER_COLOUR, size=3, alpha=0.5, tools=["hover"]),
    ]
    if law is not None:
        c, p, q = law["estimate"].values
        low, high = np.percentile(stress[known], [1, 99])
        span = np.geomspace(low, high, 50)
        fitted = np.exp(c + p * np.log(span) + q * np.log(np.nanmedian(depth[known])))
        text = f"fit: exponent {p:.2f} ± {float(law['error'][1]):.2f}"
        layers.append(hv.Curve((span, fitted), x, y, label=text).opts(color=LINE_COLOUR))
    (left, right), (low, high) = (np.percentile(f[known], [0.5, 99.9]) for f in (stress, speed))
    return hv.Overlay(layers).opts(
        logx=True, logy=True, xlim=(left / 1.2, right * 1.2), ylim=(low / 2, high * 4),
        legend_position="bottom_right", title="speed and driving stress", **_size(width, height),
    )  # fmt: skip


def scaling_plot(
    table: pd.DataFrame,
    x: str = "area_km2",
    *,
    speed: str = "v_median",
    width: int | None = 420,
    height: int = HEIGHT,
) -> hv.Scatter:
    """Speed of glaciers over one of their properties, on logarithmic axes.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a glacier.
    x, speed : str
        Its columns.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Returns
    -------
    holoviews.Scatter

    Raises
    ------
    InputError
        A column is missing, or no row has both above 0.
    """
    hv = holoviews()
    missing = [c for c in (x, speed) if c not in table]
    if missing:
        raise InputError(f"the table lacks {', '.join(missing)}.")
    good = table[(table[x] > 0) & (table[speed] > 0)]
    if not len(good):
        raise InputError(f"no row has {x} and {speed} above 0.")
    units = {"area_km2": "area (km²)", "slope_deg": "mean slope (°)", "zmed_m": "median height (m)"}
    names = good["rgi_id"] if "rgi_id" in good else good.index.astype(str)
    points = hv.Scatter(
        (good[x].to_numpy(), good[speed].to_numpy(), np.asarray(names, str)),
        hv.Dimension(f"{x}_of_glacier", label=units.get(x, x)),
        [hv.Dimension(f"{speed}_of_glacier", label=SPEED), "glacier"],
    )
    return points.opts(
        color=OTHER_COLOUR, size=7, alpha=0.7, tools=["hover"], logx=True, logy=True,
        title="one point a glacier", **_size(width, height),
    )  # fmt: skip
