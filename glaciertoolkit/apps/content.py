"""What an explorer can show of a Dataset, gathered once; what is missing becomes a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.apps.other import open_other, other_layers
from glaciertoolkit.apps.spool import Spool, lazy_bytes
from glaciertoolkit.conventions import VARIABLES, interval_days
from glaciertoolkit.errors import GlacierToolkitError, InputError
from glaciertoolkit.grids import grid_spacing
from glaciertoolkit.styles import SHORT_LABELS, style_of, thin

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
    "dx_streaks",
    "dy_streaks",
    "dx_geometry",
    "dy_geometry",
    "dx_holdout",
    "dy_holdout",
)
"""In the order of the selector; of these, those that the Dataset has. Others come after them."""

TERRAIN = ("elevation", "slope", "aspect", "hillshade")

VIEW_POSTS = 400_000
"""Posts of a map on the screen: about as many as the map has pixels there."""

SAMPLE_POSTS = 200_000
"""Posts that a brush looks at. Of larger maps every n-th along both axes, and the app says so."""


class Window(NamedTuple):
    """A part of the posts: rows and columns from, to, and every how many-th."""

    top: int
    bottom: int
    left: int
    right: int
    step: int


@dataclass(frozen=True)
class Content:
    """A Dataset with what lies beside it, ready to be shown in parts.

    Attributes
    ----------
    ds : xarray.Dataset
        Every layer over ``(y, x)``, and `stable`, `ice` and `hillshade` where they are known. Of
        large files it is mapped from disk: take parts of it.
    layers : dict
        From the label of a layer to its variable.
    sample : xarray.Dataset
        The posts that brushes look at, in memory.
    sample_step : int
        1 where the sample is all posts.
    overview : xarray.Dataset
        The posts that a view of the whole map shows, in memory.
    outlines : geopandas.GeoDataFrame or None
    maps : tuple of xarray.Dataset
        Other dates of the same glaciers.
    places : dict
        What the overview map shows besides: ``stations``, ``catalog``.
    notes : tuple of str
        What the explorer has to do without, and why.
    """

    ds: xr.Dataset
    layers: dict[str, str]
    sample: xr.Dataset
    sample_step: int
    overview: xr.Dataset
    overview_step: int
    outlines: gpd.GeoDataFrame | None
    maps: tuple[xr.Dataset, ...]
    places: dict[str, Any]
    notes: tuple[str, ...]
    spool: Spool

    @property
    def default_layer(self) -> str:
        """The layer to begin with: the speed, where there is one."""
        names = list(self.layers.values())
        return "v" if "v" in names else names[0]

    @property
    def profiled(self) -> str:
        """What the profile shows where the visible layer cannot be drawn as a curve."""
        return next(n for n in (self.default_layer, *self.layers.values()) if n != "flag")

    @property
    def against(self) -> dict[str, str]:
        """What the scatter can have along its axis, elevation and the like before the rest."""
        wanted = [n for n in self.layers.values() if n != "flag"]
        first = {"elevation", "slope", "aspect", "temperature", "precipitation"}
        ordered = sorted(wanted, key=lambda n: n not in first)  # keeps the order within both
        labels = {name: label for label, name in self.layers.items()}
        return {labels[name]: name for name in ordered}

    @property
    def shade(self) -> xr.DataArray | None:
        """Shaded relief, where there is an elevation."""
        return self.ds.get("hillshade")

    @property
    def whole(self) -> Window:
        """The window that holds all posts."""
        return Window(0, self.ds.sizes["y"], 0, self.ds.sizes["x"], self.overview_step)

    def window(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> Window:
        """The posts to draw for this part of the map: no more of them than a screen shows."""
        left, right = _within(self.ds["x"].values, x_range)
        top, bottom = _within(self.ds["y"].values, y_range)
        step = 1
        while -(-(bottom - top) // step) * -(-(right - left) // step) > VIEW_POSTS:
            step += 1
        if step >= self.overview_step:
            return self.whole
        # On the lattice of the step, so that a post does not appear and vanish while one pans.
        top, left = top - top % step, left - left % step
        return Window(top, bottom, left, right, step)

    def view(self, window: Window) -> xr.Dataset:
        """The posts of a window."""
        if window == self.whole:
            return self.overview
        top, bottom, left, right, step = window
        return self.ds.isel(y=slice(top, bottom, step), x=slice(left, right, step))


def _within(axis: np.ndarray[Any, Any], ends: tuple[float, float]) -> tuple[int, int]:
    """First and one-past-last position of the coordinates between `ends`, with one beyond each."""
    inside = np.flatnonzero((axis >= min(ends)) & (axis <= max(ends)))
    if inside.size == 0:
        return 0, axis.size
    return max(int(inside[0]) - 1, 0), min(int(inside[-1]) + 2, axis.size)


def _terrain(ds: xr.Dataset, dem: Any, spool: Spool, notes: list[str]) -> dict[str, xr.DataArray]:
    """Elevation at the posts of `ds`, slope, aspect and relief, where there is any elevation."""
    from glaciertoolkit.grids import match_raster
    from glaciertoolkit.terrain import aspect, hillshade, slope

    if dem is None and "elevation" in ds:
        dem = ds["elevation"]
    if dem is None:
        notes.append(
            "No elevation model was given: elevation, slope, aspect and shaded relief are left out."
        )
        return {}
    try:
        found = match_raster(dem, ds, name="elevation", min_coverage=0.0).compute()
    except GlacierToolkitError as error:
        notes.append(f"The elevation model is left out: {error}")
        return {}
    share = float(np.isfinite(found.values).mean())
    if share < 0.99:
        notes.append(f"The elevation model covers {100 * share:.0f} % of the map.")
    found.attrs |= VARIABLES["elevation"].attrs()
    held = spool.hold(found, ours=True)
    source = spool.derived(held)
    try:
        made = {"slope": slope(source), "aspect": aspect(source), "hillshade": hillshade(source)}
    except GlacierToolkitError as error:
        notes.append(f"Slope, aspect and shaded relief are left out: {error}")
        return {"elevation": held}
    return {"elevation": held, **{k: spool.hold(v, ours=True) for k, v in made.items()}}


def _covariates(
    ds: xr.Dataset, covariates: Any, spool: Spool, notes: list[str]
) -> dict[str, xr.DataArray]:
    """Fields such as temperature and precipitation on the posts of `ds`."""
    from glaciertoolkit.grids import match_raster

    found = {}
    for name, source in dict(covariates or {}).items():
        try:
            field = match_raster(source, ds, name=str(name), min_coverage=0.0)
        except GlacierToolkitError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        field.attrs.setdefault("long_name", str(name).replace("_", " "))
        found[str(name)] = spool.hold(field, ours=True)
    return found


def _others(ds: xr.Dataset, other: Any, spool: Spool, notes: list[str]) -> dict[str, xr.DataArray]:
    """The layers of another product, and this one minus it."""
    if other is None:
        return {}
    try:
        layers = other_layers(other, ds, lambda field: spool.hold(field, ours=True))
        return {str(field.name): field for field in layers}
    except GlacierToolkitError as error:
        notes.append(f"The other product is left out: {error}")
        return {}


def _outlines(ds: xr.Dataset, outlines: Any, notes: list[str]) -> gpd.GeoDataFrame | None:
    """The outlines near the map in its CRS, where there are any."""
    from glaciertoolkit.grids import read_outlines

    if outlines is None:
        notes.append("No glacier outlines were given: there is no glacier to click on.")
        return None
    try:
        return read_outlines(outlines, ds, what="glacier outlines")
    except GlacierToolkitError as error:
        notes.append(f"The glacier outlines are left out: {error}")
        return None


def maps_of(maps: Iterable[Any], notes: list[str]) -> tuple[xr.Dataset, ...]:
    """Maps of other dates, oldest first."""
    found = []
    given = [maps] if isinstance(maps, xr.Dataset | str | os.PathLike) else maps
    for one in given:
        try:
            ds = open_other(one)
            if not {"v", "vx", "vy", "mid_date"} <= set(ds.variables):
                raise InputError("it lacks v, vx, vy or mid_date.")
            found.append(ds)
        except GlacierToolkitError as error:
            name = "A map" if isinstance(one, xr.Dataset) else Path(os.fspath(one)).name
            notes.append(f"{name} of another date is left out: {error}")
    return tuple(sorted(found, key=lambda ds: ds["mid_date"].values))


def _shown(ds: xr.Dataset) -> list[str]:
    """The variables of `ds` that are layers, in the order of the selector."""
    over_map = [str(k) for k, v in ds.data_vars.items() if set(v.dims) == {"y", "x"}]
    known = [name for name in LAYERS if name in over_map]
    others = [
        name for name in over_map
        if name not in (*LAYERS, *TERRAIN) and np.issubdtype(ds[name].dtype, np.floating)
    ]  # fmt: skip
    return [*known, *others]


def gather(
    ds: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    covariates: Mapping[str, Any] | xr.Dataset | None = None,
    other: Any = None,
    maps: Iterable[Any] = (),
    stations: Any = None,
    catalog: Any = None,
    what: str = "the explorer",
    brushes: bool = True,
) -> Content:
    """Get ready what an app needs of `ds`; say in `notes` what it will have to do without.

    `what` is the app as its sentences call it; without `brushes` nothing is selected in it, and
    nobody misses outlines or stable ground.
    """
    missing_dims = {"y", "x"} - set(ds.dims)
    if missing_dims:
        raise InputError(
            f"{what} needs a map with the dimensions y and x, this Dataset has "
            f"{', '.join(map(str, ds.dims)) or 'none'}; give it the result "
            "of velocity() or of track()."
        )
    if min(ds.sizes["y"], ds.sizes["x"]) < 2:
        raise InputError(f"{what} needs a map of at least two by two posts.")
    grid_spacing(ds)  # axes, lines and slopes are in metres; a grid in degrees ends here
    present = _shown(ds)
    if not set(present) - {"flag"}:
        raise InputError(
            f"the Dataset holds nothing that {what} can show; give it the result of "
            "velocity(), of a correction or of track()."
        )
    kept = [*present, *(n for n in ("stable", "elevation") if n in ds)]
    lazy = lazy_bytes(ds[kept])
    # What is made of the elevation comes on top.
    spool = Spool(lazy + 16 * ds.sizes["y"] * ds.sizes["x"] * (lazy > 0), what)
    # Dates and the like, which every profile takes along, would be read from the file each time.
    shown = ds[kept].assign_coords({k: c.compute() for k, c in ds.coords.items() if c.ndim == 0})
    shown = shown.assign({name: spool.hold(shown[name]) for name in kept})
    notes: list[str] = []
    if "v" not in shown:
        notes.append(
            "There is no velocity here, only displacement: ds.glacier.velocity() turns it into one."
        )
    if "stable" not in shown and brushes:
        notes.append("Stable ground is not known: the histogram shows all posts together.")
    added = _terrain(shown, dem, spool, notes)
    shown = shown.drop_vars("elevation", errors="ignore")
    added |= _covariates(shown, covariates, spool, notes)
    added |= _others(shown, other, spool, notes)
    shown = shown.assign(added)
    present += [name for name in added if name != "hillshade"]
    table = _outlines(shown, outlines, notes) if brushes or outlines is not None else None
    if table is not None and brushes:
        from glaciertoolkit.grids import rasterize

        shown = shown.assign(ice=rasterize(table, shown))
    overview, overview_step = thinned(shown, VIEW_POSTS, spool)
    sample, sample_step = (
        thinned(shown, SAMPLE_POSTS, spool) if brushes else (overview, overview_step)
    )
    if not np.isfinite(overview[present[0]].values.astype("float64")).any():
        notes.append("No post has a value: the layer 'why missing or doubtful' shows the reasons.")
    labels = {name: SHORT_LABELS.get(name) or style_of(shown[name], name).label for name in present}
    layers = {labels[name]: name for name in present}
    places = {"stations": stations, "catalog": catalog}
    return Content(
        shown, layers, sample, sample_step, overview, overview_step, table, maps_of(maps, notes),
        places, tuple(notes), spool,
    )  # fmt: skip


def thinned(ds: xr.Dataset, most: int, spool: Spool) -> tuple[xr.Dataset, int]:
    """Every n-th post of a map along both axes, at most so many, and that n; in memory."""
    step = thin(next(iter(ds.data_vars.values())), most)[1]
    if step == 1:
        return ds, 1
    every = slice(None, None, step)
    found = ds.drop_vars(ds.data_vars).isel(y=every, x=every)
    for name, field in ds.data_vars.items():
        found[name] = field.isel(y=every, x=every).copy(deep=True)
        spool.release()
    return found, step


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


def subtitle(content: Content, name: str) -> str:
    """The pair in words, with the share of posts with a value."""
    share = np.isfinite(content.overview[name].values).mean()
    return f"{pair_words(content.ds)} · {100 * share:.0f} % with a value"


def pair_words(ds: xr.Dataset) -> str:
    """A pair in words: its dates, the days between them, its posts."""
    parts = []
    if {"reference_time", "secondary_time"} <= set(ds.coords):
        dates = [str(ds[c].values.astype("datetime64[D]")) for c in
                 ("reference_time", "secondary_time")]  # fmt: skip
        parts.append(f"{dates[0]} to {dates[1]} ({interval_days(ds):g} days)")
    spacing = abs(float(ds["x"][1] - ds["x"][0]))
    parts.append(f"{ds.sizes['y'] * ds.sizes['x']:,} posts, one every {spacing:.4g} m")
    return " · ".join(parts)
