"""What the correction lab works on, gathered once; what is missing becomes a sentence."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.apps.spool import Spool, lazy_bytes
from glaciertoolkit.conventions import in_radar_geometry, validate
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.noise import QUALITY
from glaciertoolkit.correction.points import require_computed
from glaciertoolkit.correction.undo import as_tracked, is_corrected
from glaciertoolkit.errors import (
    GlacierToolkitError,
    GlacierToolkitWarning,
    InputError,
    ParameterError,
)
from glaciertoolkit.memory import trim
from glaciertoolkit.styles import rings, thin
from glaciertoolkit.terrain import as_stable, stable_terrain, terrain_at_posts

if TYPE_CHECKING:
    import geopandas as gpd

LIVE_POSTS = 200_000
"""Posts that are corrected live. Of more, a sample is."""

SAMPLE_POSTS = 30_000
"""Posts of that sample, at most: so many are corrected in about the blink of an eye."""

CORRECTING = tuple(
    name
    for name, p in inspect.signature(correct).parameters.items()
    if p.kind is p.KEYWORD_ONLY and name not in ("stable", "dem")
)
STABLE = ("buffer", "max_slope")
FIXED_STABLE = ("polygons", "exclude", "allow_empty")


@dataclass(frozen=True)
class Material:
    """Everything that an answer is made of.

    Attributes
    ----------
    offsets : xarray.Dataset
        All posts as given, lazy where they were.
    terrain : xarray.Dataset or None
        `terrain_at_posts` of all posts.
    sample, ground : xarray.Dataset
        The posts that are corrected live, in memory, and their terrain.
    every : int
        1 where the sample is all posts, else one of how many along each axis.
    outlines : geopandas.GeoDataFrame or None
    ice : numpy.ndarray of bool or None
        Which posts of the sample lie inside the outlines.
    lines : list of numpy.ndarray
        The outlines in the coordinates of the map.
    stable : xarray.DataArray, True or None
        Where the stable ground was given and need not be made.
    fixed : dict
        Options of `stable_terrain` that have no widget.
    notes : tuple of str
        What the lab has to do without, and why.
    opening : tuple of str
        Lines of code that make `offsets`, `dem` and `outlines`.
    spool : Spool or None
        What keeps the terrain of a large map on disk.
    """

    offsets: xr.Dataset
    terrain: xr.Dataset | None
    sample: xr.Dataset
    ground: xr.Dataset | None
    every: int
    outlines: gpd.GeoDataFrame | None
    ice: npt.NDArray[np.bool_] | None
    lines: list[npt.NDArray[Any]]
    stable: Any
    fixed: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    spool: Spool | None = None

    @property
    def radar(self) -> bool:
        """Whether x is slant range and y azimuth."""
        return in_radar_geometry(self.sample)

    @property
    def knows_relief(self) -> bool:
        """Whether the topography-related offset can be removed."""
        return self.terrain is not None or self.radar

    @property
    def first(self) -> int:
        """The first post of the sample along each axis."""
        return self.every // 2

    def thinned(self, ds: Any) -> Any:
        """Of a field on all posts those of the sample."""
        if self.every == 1:
            return ds
        each = slice(self.first, None, self.every)
        return ds.isel(y=each, x=each)


def gather_material(
    offsets: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    stable: Any = None,
    notes: tuple[str, ...] = (),
    opening: tuple[str, ...] = (),
    live_posts: int = LIVE_POSTS,
    **fixed: Any,
) -> Material:
    """Get ready what the lab needs; say in `notes` what it will have to do without."""
    said = list(notes)
    validate(offsets, needs=("dx", "dy", "flag"))
    if min(offsets.sizes.get("y", 0), offsets.sizes.get("x", 0)) < 2:
        raise InputError("the correction lab needs offsets on a grid of at least two by two posts.")
    unknown = sorted(set(fixed) - set(FIXED_STABLE))
    if unknown:
        known = ", ".join(("stable", *STABLE, *FIXED_STABLE, *CORRECTING))
        raise ParameterError(
            f"the correction lab has no option {', '.join(unknown)}; it has {known}."
        )
    require_computed(offsets)
    if is_corrected(offsets):
        offsets, note = as_tracked(offsets)
        said.append(note)
        opening = (
            *opening,
            "from glaciertoolkit.correction.undo import as_tracked",
            "offsets, _ = as_tracked(offsets)",
        )
    if not bool(np.isfinite(thin(offsets["dx"], live_posts)[0]).any()):
        said.append(
            "No post has a displacement, so there is nothing to correct: summary() of these "
            "offsets says why."
        )
    terrain = _terrain(offsets, dem, said)
    table = _outlines(offsets, outlines, said)
    if table is None and stable is None and fixed.get("polygons") is None:
        said.append(
            "Nothing says which ground is stable: give outlines= (glaciers; all else is stable) or "
            "stable=, or drag a box over ground that does not move on the first map."
        )
    every, spool = 1, None
    sample, ground = offsets, terrain
    if offsets.sizes["y"] * offsets.sizes["x"] > live_posts:
        every = thin(offsets["dx"], min(SAMPLE_POSTS, live_posts))[1]
        sample = _sample(offsets, every)
        if terrain is not None:
            ground = _every(terrain, every).copy(deep=True)
            spool = Spool(terrain.nbytes, most=0)
            terrain = _on_disk(terrain, spool)
            trim()
    # Coordinates too: of a file they would be read again with every answer.
    sample = sample.compute()
    ground = None if ground is None else ground.compute()
    if stable is not None and stable is not True:
        stable = as_stable(stable, offsets)
    return Material(
        offsets, terrain, sample, ground, every, table, _ice(sample, table, said),
        _lines(sample, table, said), stable, fixed, tuple(said), opening, spool,
    )  # fmt: skip


def _every(ds: Any, every: int) -> Any:
    each = slice(every // 2, None, every)
    return ds.isel(y=each, x=each)


def _on_disk(terrain: xr.Dataset, spool: Spool) -> xr.Dataset:
    """The same, read where it is needed: only a correction of all posts does."""
    held = {name: spool.hold(field, ours=True) for name, field in terrain.data_vars.items()}
    spool.release()
    return terrain.assign(held)


def _sample(offsets: xr.Dataset, every: int) -> xr.Dataset:
    """Every n-th post, each a template of its own, one variable after the other."""
    spool = Spool(lazy_bytes(offsets))
    grid = [k for k, v in offsets.data_vars.items() if set(v.dims) == {"y", "x"}]
    rest = offsets.drop_vars([k for k in offsets.data_vars if k not in grid])
    out: xr.Dataset = _every(rest, every).copy()
    for name in grid:
        out[name] = out[name].compute().copy(deep=True)
        spool.release()
    step = np.atleast_1d(offsets.attrs.get("step", 1))
    out.attrs["step"] = [every * int(step[0]), every * int(step[-1])]
    return out


def _terrain(offsets: xr.Dataset, dem: Any, notes: list[str]) -> xr.Dataset | None:
    """Elevation, slope and aspect under the templates, where there is any elevation."""
    if dem is None:
        if in_radar_geometry(offsets):
            notes.append("No elevation model was given: stable ground is not limited by slope.")
        else:
            notes.append(
                "No elevation model was given: the topography-related offset stays where it is, "
                "and stable ground is not limited by its slope; give dem=."
            )
        return None
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", GlacierToolkitWarning)
            found = terrain_at_posts(offsets, dem)
    except GlacierToolkitError as error:
        notes.append(f"The elevation model is left out: {error}")
        return None
    notes += [str(w.message) for w in said if issubclass(w.category, GlacierToolkitWarning)]
    return found


def _outlines(offsets: xr.Dataset, outlines: Any, notes: list[str]) -> gpd.GeoDataFrame | None:
    """The outlines near the map in its CRS, where there are any."""
    from glaciertoolkit.grids import Located, is_located, read_outlines

    if outlines is None:
        return None
    try:
        grid = Located.of(offsets).grid if is_located(offsets) else offsets
        # As far around as the widest buffer reaches.
        return read_outlines(outlines, grid, margin=1500.0, what="glacier outlines")
    except GlacierToolkitError as error:
        notes.append(f"The glacier outlines are left out: {error}")
        return None


def _ice(
    sample: xr.Dataset, table: gpd.GeoDataFrame | None, notes: list[str]
) -> npt.NDArray[np.bool_] | None:
    from glaciertoolkit.grids import rasterize

    if table is None:
        notes.append("Without outlines all that is not stable counts as ice.")
        return None
    return np.asarray(rasterize(table, sample, allow_empty=True).values, bool)


def _lines(
    sample: xr.Dataset, table: gpd.GeoDataFrame | None, notes: list[str]
) -> list[npt.NDArray[Any]]:
    if table is None:
        return []
    if not in_radar_geometry(sample):
        return list(rings(table))
    from glaciertoolkit.maps import radar_rings

    try:
        return list(radar_rings(table, sample))
    except GlacierToolkitError as error:
        notes.append(f"The outlines are not drawn: {error}")
        return []


def thresholds_of(ds: xr.Dataset) -> list[str]:
    """The options of quality for which the offsets hold what is judged."""
    return [option for option, (name, _) in QUALITY.items() if name in ds]


def stable_of(
    ds: xr.Dataset, material: Material, terrain: xr.Dataset | None, *, buffer: float | None,
    max_slope: float, box: tuple[float, float, float, float] | None,
) -> Any:  # fmt: skip
    """The stable ground of `ds` under the options of the widgets; raises where there is none.

    `terrain` is that of the same posts; `box` is (left, bottom, right, top) in the coordinates of
    the map.
    """
    inside = None
    if box is not None:
        x0, y0, x1, y1 = box
        inside = (ds.y >= y0) & (ds.y <= y1) & (ds.x >= x0) & (ds.x <= x1)
    if material.stable is not None:
        if material.stable is True:
            return True if inside is None else inside
        given = material.stable if ds is material.offsets else material.thinned(material.stable)
        return given if inside is None else given & inside
    if material.outlines is None and material.fixed.get("polygons") is None:
        if inside is None:
            # The sentence of the library, with the way out that this app has.
            raise InputError(
                "Nothing says which ground is stable yet: drag a box over ground that does not "
                "move on the first map, or give outlines= or stable=."
            )
        return inside if terrain is None else inside & (terrain.slope <= max_slope)
    found = stable_terrain(
        ds, outlines=material.outlines, dem=terrain, buffer=buffer, max_slope=max_slope,
        **material.fixed,
    )  # fmt: skip
    return found if inside is None else found & inside
