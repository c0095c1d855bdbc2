"""How the variables look: labels, units, colours, limits and flag classes.

Shared by the interactive plots and the printed report, so that a colour means the same in both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import (
    DOUBTFUL,
    FLAG_DTYPE,
    FLAG_MEANINGS,
    VARIABLES,
    Flag,
    validate,
)
from glaciertoolkit.errors import ParameterError

if TYPE_CHECKING:
    import geopandas as gpd

    FloatArray = np.ndarray[Any, np.dtype[np.float64]]

MAX_CELLS = 1024 * 1024
"""More cells than a screen has pixels only make the page heavy."""

SEQUENTIAL = "viridis"
DIVERGING = "coolwarm"  # its centre is grey: zero motion stays distinct from a missing post
STABLE_COLOUR, OTHER_COLOUR, SELECTED_COLOUR = "#8c6d31", "#1f6fb4", "#d55e00"

LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
"""Okabe and Ito's colours, which all can tell apart, without the yellow that white swallows."""

LINE_DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
"""Of curves in one colour, as many as can be told apart."""

SHORT_LABELS = {
    "v": "speed",
    "vx": "velocity along x",
    "vy": "velocity along y",
    "v_error": "error of the speed",
    "vx_error": "error of the velocity along x",
    "vy_error": "error of the velocity along y",
    "dx": "displacement along x",
    "dy": "displacement along y",
    "dx_error": "error of the displacement along x",
    "dy_error": "error of the displacement along y",
    "correlation": "correlation at the peak",
    "snr": "signal-to-noise ratio",
    "peak_ratio": "first over second peak",
    "direction": "direction of motion",
    "flag": "why missing or doubtful",
    "dx_deformation": "removed deformation, x",
    "dy_deformation": "removed deformation, y",
    "dx_topography": "removed topographic offset, x",
    "dy_topography": "removed topographic offset, y",
    "dx_holdout": "hold-out residual, x",
    "dy_holdout": "hold-out residual, y",
    "elevation": "elevation",
    "hillshade": "shaded relief",
    "slope": "surface slope",
    "aspect": "aspect",
    "dx_streaks": "removed streaks, x",
    "dy_streaks": "removed streaks, y",
    "dx_geometry": "offset of the orbits, x",
    "dy_geometry": "offset of the orbits, y",
    "normalised_elevation": "normalised elevation",
    "profile_curvature": "profile curvature",
    "plan_curvature": "plan curvature",
    "relief": "relief",
    "surface_slope": "slope of the ice",
    "driving_stress": "driving stress",
    "deformation_speed": "deformation speed",
    "v_along": "velocity along the line",
    "v_across": "velocity across the line",
    "strain_rate": "strain rate",
    "thickness": "ice thickness",
    "v_debiased": "speed without what noise adds",
    "direction_error": "error of the direction",
    "dxdy_covariance": "covariance of the errors of dx and dy",
    "dz": "vertical displacement along the surface",
    "height": "height above the ellipsoid",
}
CENTRED = frozenset(
    f"{axis}{kind}"
    for axis in ("dx", "dy")
    for kind in ("", "_deformation", "_topography", "_holdout", "_streaks", "_geometry")
) | {
    "vx",
    "vy",
    "v_along",
    "v_across",
    "strain_rate",
    "other_vx",
    "other_vy",
    "v_difference",
    "vx_difference",
    "vy_difference",
}
CYCLIC = frozenset({"direction", "aspect"})


class Style(NamedTuple):
    """How one variable is drawn."""

    label: str
    units: str
    cmap: str
    centred: bool


class FlagClasses(NamedTuple):
    """One class a post, for a map and its legend; shares add up to one."""

    codes: np.ndarray[Any, np.dtype[np.int16]]
    labels: list[str]
    meanings: list[str]
    colours: list[str]
    shares: list[float]


FLAG_COLOURS: dict[Flag, str] = {
    Flag.NODATA: "#d9d9d9",
    Flag.LOW_CONTRAST: "#8c564b",
    Flag.IMAGE_EDGE: "#c7e9b4",
    Flag.SEARCH_EDGE: "#e377c2",
    Flag.LOW_CORRELATION: "#d95f02",
    Flag.AMBIGUOUS_PEAK: "#7570b3",
    Flag.LOW_SNR: "#fdb462",
    Flag.TOO_FAST: "#e31a1c",
    Flag.OUTLIER_DISPARITY: "#1f78b4",
    Flag.OUTLIER_MEDIAN: "#6baed6",
    Flag.OUTLIER_DIRECTION: "#08519c",
    Flag.SMALL_OBJECT: "#54278f",
    Flag.IMPLAUSIBLE_STRAIN: "#b10026",
    Flag.NO_DEM: "#737373",
    Flag.LAYOVER: "#000000",
    Flag.SHADOW: "#404040",
    Flag.EXTRAPOLATED: "#a1d99b",
    Flag.FILLED: "#ffe25e",
    Flag.SMOOTHED: "#c6dbef",
    Flag.SINGULAR: "#5f8a8b",
}
MEASURED_COLOUR, UNEXPLAINED_COLOUR = "#41ab5d", "#ff00ff"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def pretty_units(units: str) -> str:
    """`units` as people write them: ``m yr-1`` becomes ``m yr⁻¹``; a bare number has none."""
    names = {"1": "", "degree": "°", "pixel": "px"}
    if units in names:
        return names[units]
    raised = re.sub(r"(?<=[A-Za-z])-?\d\b", lambda power: power.group().translate(_RAISED), units)
    return re.sub(r"\bdegC\b", "°C", raised)


def with_units(label: str, units: str) -> str:
    """An axis label: ``speed (m yr⁻¹)``."""
    unit = pretty_units(units)
    return f"{label} ({unit})" if unit else label


def style_of(field: xr.DataArray, name: str | None = None) -> Style:
    """Label, unit and colour map of a variable, from the vocabulary or from its own attributes."""
    name = str(name or field.name or "value")
    known = VARIABLES.get(name)
    units = str(field.attrs.get("units", known.units if known else "1"))
    fallback = known.long_name if known else field.attrs.get("long_name", name.replace("_", " "))
    label = SHORT_LABELS.get(name, str(fallback))
    if name in CENTRED:
        return Style(label, units, DIVERGING, True)
    if name in CYCLIC:
        return Style(label, units, "twilight", False)
    if name in ("elevation", "hillshade"):
        return Style(label, units, "cividis" if name == "elevation" else "gray", False)
    plain = ("v", "other_v", "correlation")
    return Style(label, units, SEQUENTIAL if name in plain else "cividis", False)


def thin(field: xr.DataArray, max_cells: int = MAX_CELLS) -> tuple[xr.DataArray, int]:
    """Every n-th post of a map, so that at most `max_cells` remain, and that n.

    Values stay those of real posts (no averaging), so that hovering shows what is in the data.
    """
    if max_cells < 1:
        raise ParameterError(f"max_cells is {max_cells}; give at least 1.")
    step = 1
    while -(-field.sizes["y"] // step) * -(-field.sizes["x"] // step) > max_cells:
        step += 1
    return field.isel(y=slice(None, None, step), x=slice(None, None, step)), step


def colour_limits(
    values: np.ndarray[Any, Any], *, centred: bool = False, from_zero: bool = False
) -> tuple[float, float]:
    """Robust limits of a colour scale: the 1st to 99th percentile, symmetric where `centred`."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return (-1.0, 1.0) if centred else (0.0, 1.0)
    low, high = (float(q) for q in np.percentile(finite, (1, 99)))
    if centred:
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    if from_zero and low >= 0:
        low = 0.0
    if high <= low:
        high = low + (abs(low) or 1.0)
    return low, high


def default_limits(field: xr.DataArray, name: str | None = None) -> tuple[float, float]:
    """The colour limits with which a variable is first shown."""
    name = str(name or field.name)
    if name in CYCLIC:
        return 0.0, 360.0
    if name in ("correlation", "hillshade"):
        return 0.0, 1.0
    from_zero = name in ("v", "other_v") or name.endswith("_error") or name in ("snr", "slope")
    return colour_limits(field.values, centred=name in CENTRED, from_zero=from_zero)


def block_motion(ds: xr.Dataset, most: int) -> tuple[FloatArray, FloatArray] | None:
    """Where blocks of posts move, and how: points (n, 2) and vectors (n, 2), for arrows.

    The median motion of at most `most` blocks along the longer side, where it is larger than
    three times its error and a twentieth of the fastest; not on stable ground. None where no
    block moves, or no components are known.
    """
    if not {"vx", "vy"} <= set(ds):
        return None
    step = max(1, -(-max(ds.sizes["y"], ds.sizes["x"]) // most))
    shown = ["vx", "vy", *(["v_error"] if "v_error" in ds else [])]
    coarse = ds[shown].coarsen(y=step, x=step, boundary="trim").median()
    speed = np.hypot(coarse["vx"].values, coarse["vy"].values)
    least = 3 * coarse["v_error"].values if "v_error" in ds else 0.0
    lengths = ds["v"].values if "v" in ds else np.hypot(ds["vx"].values, ds["vy"].values)
    high = colour_limits(lengths)[1]
    keep = np.isfinite(speed) & (speed > np.maximum(least, 0.05 * high))
    if "stable" in ds:
        stable = ds["stable"].astype("float32").coarsen(y=step, x=step, boundary="trim").mean()
        keep &= stable.values < 0.5
    if not keep.any():
        return None
    x, y = np.meshgrid(coarse["x"].values, coarse["y"].values)
    points = np.column_stack([x[keep], y[keep]]).astype(float)
    vectors = np.column_stack([coarse["vx"].values[keep], coarse["vy"].values[keep]])
    return points, vectors.astype(float)


def flag_classes(ds: xr.Dataset) -> FlagClasses:
    """The first reason why each post is missing or doubtful, with its share of all posts.

    A post may carry several bits. It is counted once: under its lowest bit that removed the value,
    else under its lowest doubtful bit, else as measured.
    """
    validate(ds, needs=("flag",))
    flag = ds["flag"].values.astype(FLAG_DTYPE)
    codes = np.zeros(flag.shape, dtype=np.int16)
    order = [f for f in Flag if f in DOUBTFUL], [f for f in Flag if f not in DOUBTFUL]
    table = list(Flag)
    for group in order:
        for bit in reversed(group):
            codes[(flag & FLAG_DTYPE(int(bit))) != 0] = table.index(bit) + 1
    unexplained = len(table) + 1
    value = next((name for name in ("v", "dx") if name in ds), None)
    if value is not None:
        codes[(flag == 0) & np.isnan(ds[value].values)] = unexplained
    present = np.unique(codes)
    labels, meanings, colours = [], [], []
    for code in present:
        if code == 0:
            row = ("measured", "a value without any doubt", MEASURED_COLOUR)
        elif code == unexplained:
            row = ("missing", "no value, and no reason is recorded", UNEXPLAINED_COLOUR)
        else:
            bit = table[code - 1]
            row = (
                str(bit.name).lower().replace("_", " "),
                FLAG_MEANINGS[bit],
                FLAG_COLOURS[bit],
            )
        labels.append(row[0])
        meanings.append(row[1])
        colours.append(row[2])
    compact = np.searchsorted(present, codes).astype(np.int16)
    counts = np.bincount(compact.ravel(), minlength=len(present))
    shares = [float(c) / codes.size for c in counts]
    return FlagClasses(compact, labels, meanings, colours, shares)


def rings(outlines: gpd.GeoDataFrame) -> list[FloatArray]:
    """The outlines as closed rings of coordinates, holes included, for drawing."""
    found = []
    for shape in outlines.geometry:
        for part in getattr(shape, "geoms", [shape]):
            found += [np.asarray(r.coords)[:, :2] for r in (part.exterior, *part.interiors)]
    return found


NO_LOGO: dict[str, Any] = {"backend_opts": {"toolbar.logo": None}}
"""The toolbar of a figure without the mark of its maker."""


def plot_size(width: int | None, height: int) -> dict[str, Any]:
    """Size options of a plot: a width in screen pixels, or as wide as the page where it is None."""
    wide = {"responsive": True} if width is None else {"width": width}
    return {**wide, **NO_LOGO, "height": height, "toolbar": "above", "backend": "bokeh"}
