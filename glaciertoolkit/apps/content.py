"""What an explorer can show of a Dataset, gathered once; what is missing becomes a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import VARIABLES, interval_days
from glaciertoolkit.errors import GlacierToolkitError, InputError
from glaciertoolkit.styles import SHORT_LABELS

if TYPE_CHECKING:
    import geopandas as gpd

LAYERS = (
    "v",
    "vx",
    "vy",
    "direction",
    "dx",
    "dy",
    "v_error",
    "vx_error",
    "vy_error",
    "dx_error",
    "dy_error",
    "correlation",
    "snr",
    "peak_ratio",
    "flag",
    "dx_deformation",
    "dy_deformation",
    "dx_topography",
    "dy_topography",
    "dx_holdout",
    "dy_holdout",
)
"""In the order of the selector; of these, those that the Dataset has."""


@dataclass(frozen=True)
class Content:
    """A Dataset in memory with what lies beside it, ready to be shown."""

    ds: xr.Dataset
    layers: dict[str, str]
    shade: xr.DataArray | None
    outlines: gpd.GeoDataFrame | None
    notes: tuple[str, ...]

    @property
    def default_layer(self) -> str:
        """The layer to begin with: the speed, where there is one."""
        names = list(self.layers.values())
        return "v" if "v" in names else names[0]

    @property
    def profiled(self) -> str:
        """What the profile shows where the visible layer cannot be drawn as a curve."""
        return next(n for n in (self.default_layer, *self.layers.values()) if n != "flag")


def _elevation(ds: xr.Dataset, dem: Any, notes: list[str]) -> xr.DataArray | None:
    """The elevation at the posts of `ds`, where there is any."""
    from glaciertoolkit.grids import match_raster

    if dem is None and "elevation" in ds:
        dem = ds["elevation"]
    if dem is None:
        notes.append("No elevation model was given: elevation and shaded relief are left out.")
        return None
    try:
        found = match_raster(dem, ds, name="elevation", min_coverage=0.0).compute()
    except GlacierToolkitError as error:
        notes.append(f"The elevation model is left out: {error}")
        return None
    share = float(np.isfinite(found.values).mean())
    if share < 0.99:
        notes.append(f"The elevation model covers {100 * share:.0f} % of the map.")
    found.attrs |= VARIABLES["elevation"].attrs()
    return found


def _outlines(ds: xr.Dataset, outlines: Any, notes: list[str]) -> gpd.GeoDataFrame | None:
    """The outlines near the map in its CRS, where there are any."""
    from glaciertoolkit.grids import read_outlines

    if outlines is None:
        notes.append("No glacier outlines were given.")
        return None
    try:
        return read_outlines(outlines, ds)
    except GlacierToolkitError as error:
        notes.append(f"The glacier outlines are left out: {error}")
        return None


def gather(
    ds: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
) -> Content:
    """Load what the explorer needs of `ds` and say in `notes` what it will have to do without."""
    from glaciertoolkit.grids import rasterize
    from glaciertoolkit.terrain import hillshade

    missing_dims = {"y", "x"} - set(ds.dims)
    if missing_dims:
        raise InputError(
            "the explorer needs a map with the dimensions y and x, this Dataset has "
            f"{', '.join(map(str, ds.dims)) or 'none'}; give it the result "
            "of velocity() or of track()."
        )
    present = [name for name in LAYERS if name in ds and set(ds[name].dims) == {"y", "x"}]
    if not set(present) - {"flag"}:
        raise InputError(
            "the Dataset holds nothing that the explorer can show; give it the result of "
            "velocity(), of a correction or of track()."
        )
    kept = [*present, *(n for n in ("stable", "elevation") if n in ds)]
    shown = ds[kept].transpose("y", "x").compute()
    notes: list[str] = []
    if "v" not in shown:
        notes.append(
            "There is no velocity here, only displacement: ds.glacier.velocity() turns it into one."
        )
    if "stable" not in shown:
        notes.append("Stable ground is not known: the histogram shows all posts together.")
    elevation, shade = _elevation(shown, dem, notes), None
    shown = shown.drop_vars("elevation", errors="ignore")
    if elevation is not None:
        shown, shade = shown.assign(elevation=elevation), hillshade(elevation)
        present.append("elevation")
    table = _outlines(shown, outlines, notes)
    if table is not None:
        shown = shown.assign(ice=rasterize(table, shown))
    if not np.isfinite(shown[present[0]].values.astype("float64")).any():
        notes.append("No post has a value: the layer 'why missing or doubtful' shows the reasons.")
    layers = {SHORT_LABELS.get(name, name): name for name in present}
    return Content(shown, layers, shade, table, tuple(notes))


def first_line(ds: xr.Dataset, name: str) -> tuple[list[float], list[float]]:
    """A line to begin with: through the fastest part of the map, along its motion.

    Without motion components it crosses the middle of the map from west to east.
    """
    x, y = ds["x"].values.astype(float), ds["y"].values.astype(float)
    reach = 0.2 * min(abs(x[-1] - x[0]), abs(y[-1] - y[0]))
    centre, direction = (float(x.mean()), float(y.mean())), (1.0, 0.0)
    across, along = ("vx", "vy") if "vx" in ds else ("dx", "dy")
    values = np.abs(np.asarray(ds[name].values, dtype=np.float64))
    finite = np.isfinite(values)
    if across in ds and along in ds and finite.any():
        fast = finite & (values >= np.percentile(values[finite], 98))
        row, column = np.nonzero(fast)
        u = float(np.nanmedian(ds[across].values[fast]))
        w = float(np.nanmedian(ds[along].values[fast]))
        norm = float(np.hypot(u, w))
        if norm > 0:
            # The fast post nearest to the middle of all: the middle itself may lie on a nunatak.
            away = (row - np.median(row)) ** 2 + (column - np.median(column)) ** 2
            nearest = int(np.argmin(away))
            centre = float(x[column[nearest]]), float(y[row[nearest]])
            direction = u / norm, w / norm
    steps = np.array([-1.0, 0.0, 1.0]) * reach
    xs = np.clip(centre[0] + steps * direction[0], x.min(), x.max())
    ys = np.clip(centre[1] + steps * direction[1], y.min(), y.max())
    return xs.tolist(), ys.tolist()


def subtitle(ds: xr.Dataset, name: str) -> str:
    """The pair in words: dates, days between them, posts, share of posts with a value."""
    parts = []
    if {"reference_time", "secondary_time"} <= set(ds.coords):
        dates = [str(ds[c].values.astype("datetime64[D]")) for c in
                 ("reference_time", "secondary_time")]  # fmt: skip
        parts.append(f"{dates[0]} to {dates[1]} ({interval_days(ds):g} days)")
    values: np.ndarray[Any, Any] = ds[name].values
    spacing = abs(float(ds["x"][1] - ds["x"][0])) if ds.sizes["x"] > 1 else 0.0
    parts.append(f"{values.size:,} posts, one every {spacing:g} m")
    parts.append(f"{100 * np.isfinite(values).mean():.0f} % with a value")
    return " · ".join(parts)
