"""From radar geometry to the map: displacement on the ground along eastings and northings."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import TIME_COORDS, Flag, describe, validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import Grid
from glaciertoolkit.provenance import recorded
from glaciertoolkit.sar.geometry import RadarPair, geometries_of
from glaciertoolkit.sar.heights import GEOID, Geoid, dem_grid
from glaciertoolkit.sar.los import (
    MODES,
    Mode,
    rotate_covariance,
    rotate_to_grid,
    solve_displacement,
)
from glaciertoolkit.sar.map_grid import map_grid, template_on_ground
from glaciertoolkit.sar.masks import local_incidence
from glaciertoolkit.sar.projection import ROWS, Band, Projector
from glaciertoolkit.sar.resample import Neighbours
from glaciertoolkit.terrain.at_posts import terrain_at_posts

Array = npt.NDArray[Any]

PARTS = ("geometry", "deformation", "topography", "streaks", "holdout")
"""What was removed from dx and dy, and what is left of it: vectors, which turn like dx and dy."""

COMPONENTS = ("both", "range")
MOST_CORRELATED = np.float32(0.99)
ERRORS = ("dx_error", "dy_error", "dxdy_covariance", "range_error", "azimuth_error")


@recorded
def to_map(
    ds: xr.Dataset, *, dem: str | os.PathLike[str] | Grid, crs: Any = None, posting: float = 12.0,
    mode: str = "surface_parallel", components: str = "both", geoid: Geoid | None = None,
    singular: float = 3.0,
) -> xr.Dataset:  # fmt: skip
    """Bring motion from radar geometry onto a map.

    Parameters
    ----------
    ds : xarray.Dataset
        Motion in radar geometry, located and corrected: `dx` along slant range, `dy` along
        azimuth, metres.
    dem : path or xarray.DataArray
        Elevation, metres, any CRS and resolution.
    crs : optional
        A projected CRS in metres; by default the UTM zone of the scene.
    posting : float
        Metres between the posts of the map.
    mode : {"surface_parallel", "flat"}
        The radar sees two components of the motion. The third follows from motion along the
        surface of the DEM, smoothed to the size of a template, or from level motion ("flat", which
        makes ``sin(incidence + slope) / sin(incidence)`` of a distance along a slope).
    components : {"both", "range"}
        "range" leaves the azimuth offsets out, where the ionosphere has spoilt them: the result
        is the part of the motion that points to or from the radar.
    geoid : optional
        What the elevations are measured from; see `sar.heights.dem_grid`. What `locate` was told
        need not be said again.
    singular : float
        Posts are NaN where the direction that the radar does not see lies within so many degrees
        of the surface (steep slopes that face the radar): there an error of the range grows more
        than tenfold. autoRIFT takes 1.

    Returns
    -------
    xarray.Dataset
        On the map: `dx`, `dy` (m, along easting and northing of the grid), `dz` (m, upwards),
        their errors and covariance; `range_offset` and `azimuth_offset` (m), from which they were
        made; `height`, `elevation`, `slope`, `aspect`, `incidence`, `local_incidence`; what the
        corrections removed, as vectors of the map; `flag`, with those of the nearest radar post
        and `SINGULAR` where the geometry does not resolve a motion along the surface.

    Raises
    ------
    GridError
        The CRS is not projected in metres, or nothing of the scene lies on the map.
    ParameterError
        An unknown mode, or a posting that is not positive.
    MissingVariableError
        `ds` has not been located.

    Notes
    -----
    Backward geocoding: each post of the map is projected into the reference image by its height,
    and the measurements around it are interpolated bilinearly. With the rows of the line of sight
    l, the direction of flight t and the surface normal n, ``l . d = dx``, ``t . d = dy`` and
    ``n . d = 0`` give d, whose horizontal part is turned from true to grid north.

    Examples
    --------
    >>> import tempfile, glaciertoolkit as gt
    >>> folder = tempfile.TemporaryDirectory()
    >>> files = gt.write_gf3_pair(gt.simulate_gf3(size=512, seed=3), folder.name)
    >>> dem = files["dem"]
    >>> pair = gt.open_pair(files["reference"], files["secondary"])
    >>> prior = gt.predict_offsets(pair, dem=dem)
    >>> offsets = gt.track(pair, template=64, search=8, step=16, prior=prior).compute()
    >>> motion = gt.to_map(gt.locate(offsets, dem=dem), dem=dem, posting=48)
    >>> motion.rio.crs.to_epsg(), motion.dx.attrs["units"]
    (32645, 'm')
    >>> folder.cleanup()
    """
    validate(ds, needs=("dx", "dy", "flag", "height"))
    if mode not in MODES:
        raise ParameterError(f"mode must be one of {', '.join(MODES)}; got {mode!r}.")
    if components not in COMPONENTS:
        raise ParameterError(
            f"components must be one of {', '.join(COMPONENTS)}; got {components!r}."
        )
    if not (np.isfinite(posting) and posting > 0):
        raise ParameterError(f"posting must be a positive number of metres; got {posting!r}.")
    if not 0 <= singular <= 30:
        raise ParameterError(f"singular must lie between 0 and 30 degrees; got {singular!r}.")
    geoid = ds.attrs.get(GEOID) if geoid is None else geoid
    motion: Mode = "flat" if mode == "flat" else "surface_parallel"
    pair = geometries_of(ds)
    grid = map_grid(ds, crs=crs, posting=posting)
    footprint = template_on_ground(ds, pair)
    surface = terrain_at_posts(grid, dem, smooth=float(np.mean(footprint)))
    projector = Projector(ds, pair, grid, surface, dem_grid(dem, pair.reference, geoid=geoid))
    planes = _filled(ds, _Vectors(ds, pair, motion, components, singular), projector)
    return _dataset(ds, grid, surface, planes, footprint, posting, motion, components)


class _Vectors:
    """What the radar measures as vectors, and their planes on the map.

    Held in memory: each band of the map needs posts from all over the scene.
    """

    def __init__(
        self, ds: xr.Dataset, pair: RadarPair, mode: Mode, components: str, singular: float
    ) -> None:
        self.with_errors = "dx_error" in ds
        names = ["d{}", "d{}_error"] if self.with_errors else ["d{}"]
        self.fields = {n.format(a): ds[n.format(a)].values for n in names for a in "xy"}
        self.covariance = ds["dxdy_covariance"].values if "dxdy_covariance" in ds else None
        self.whole = {k: ds[k].values for k in _OUTSIDE if k in ds}
        self.scale = {
            "x": _ratio(pair, "range_spacing"), "y": _ratio(pair, "azimuth_spacing")
        }  # fmt: skip
        self.mode: Mode = mode
        self.components = components
        self.singular = singular

    def take_part(self, ds: xr.Dataset, part: str) -> None:
        """Hold one of the vectors that the corrections removed in place of the measurement."""
        self.fields = {f"d{a}": ds[f"d{a}_{part}"].values for a in "xy"}

    def fill_part(self, planes: dict[str, Array], part: str, band: Band, take: Neighbours) -> None:
        """One band of the planes of that vector."""
        found = self._solved("d{}", band, take)[1]
        planes[f"dx_{part}"][band.rows], planes[f"dy_{part}"][band.rows] = found

    def release(self) -> None:
        """Forget the fields, which the rest of the map does not need."""
        self.fields.clear()
        self.whole.clear()
        self.covariance = None

    def planes(self, shape: tuple[int, int]) -> dict[str, Array]:
        """Empty planes of the map."""
        names = ["dx", "dy", "dz", "range_offset", "azimuth_offset", "height"]
        names += ["incidence", "local_incidence"]
        names += list(ERRORS) if self.with_errors else []
        planes: dict[str, Array] = {name: np.full(shape, np.nan, np.float32) for name in names}
        return planes | {name: np.zeros(shape, v.dtype) for name, v in self.whole.items()}

    def fill(self, planes: dict[str, Array], band: Band, take: Neighbours) -> None:
        """One band of every plane."""
        rows = band.rows
        covariance = self._errors(take)
        ground, (planes["dx"][rows], planes["dy"][rows]) = self._solved(
            "d{}", band, take, covariance
        )
        planes["dz"][rows] = ground.up
        planes["range_offset"][rows], planes["azimuth_offset"][rows] = self._seen("d{}", take)
        if covariance is not None:
            turned = rotate_covariance(ground.covariance, band.convergence)
            planes["dx_error"][rows] = np.sqrt(np.maximum(turned[0], 0))
            planes["dy_error"][rows] = np.sqrt(np.maximum(turned[2], 0))
            planes["dxdy_covariance"][rows] = turned[1]
            planes["range_error"][rows] = np.sqrt(covariance[0])
            planes["azimuth_error"][rows] = np.sqrt(covariance[2])
        planes["height"][rows] = band.height
        planes["incidence"][rows] = np.degrees(np.arccos(-band.sight[2]))
        planes["local_incidence"][rows] = local_incidence(band.sight, band.normal)
        for name, values in self.whole.items():
            planes[name][rows] = take.nearest(values, fill=_OUTSIDE[name])
        for where, flag in (
            (np.isnan(band.height) & ~take.inside, Flag.NO_DEM), (ground.singular, Flag.SINGULAR)
        ):  # fmt: skip
            planes["flag"][rows] |= np.where(where, np.uint32(flag), np.uint32(0))

    def _seen(self, name: str, take: Neighbours) -> tuple[Array, Array]:
        """A vector of the radar, in the metres of the secondary's own axes."""
        dx, dy = (take.mean(self.fields[name.format(a)]) * self.scale[a] for a in "xy")
        return dx, dy if self.components == "both" else np.where(np.isnan(dy), dy, np.float32(0))

    def _solved(self, name: str, band: Band, take: Neighbours, covariance: Any = None) -> Any:
        """A vector on the ground, and its components along the grid."""
        found = solve_displacement(
            *self._seen(name, take), band.sight, band.track, normal=band.normal, mode=self.mode,
            covariance=covariance, blind=self.singular,
        )  # fmt: skip
        return found, rotate_to_grid(found.east, found.north, band.convergence)

    def _errors(self, take: Neighbours) -> Any:
        """Variances and covariance of dx and dy; None where tracking gave none."""
        if not self.with_errors:
            return None
        x, y = (take.mean(self.fields[f"d{a}_error"]) * self.scale[a] for a in "xy")
        if self.covariance is None:
            return x**2, np.float32(0), y**2
        both = take.mean(self.covariance) * (self.scale["x"] * self.scale["y"])
        # Between posts the mean of two errors may be less than the root of their mean covariance.
        most = MOST_CORRELATED * x * y
        return x**2, np.clip(both, -most, most), y**2


def _filled(ds: xr.Dataset, vectors: _Vectors, projector: Projector) -> dict[str, Array]:
    """All planes of the map, band by band."""
    known = vectors.fields["dx"]
    planes = vectors.planes(projector.shape)
    row, column = np.empty((2, *projector.shape), np.float32)
    for band in projector.bands():
        row[band.rows], column[band.rows] = band.row, band.column
        vectors.fill(planes, band, Neighbours.of(band.row, band.column, known))
    vectors.release()
    # From here on one at a time: what is stored need not be in memory all at once.
    for part in (p for p in PARTS if f"dx_{p}" in ds):
        vectors.take_part(ds, part)
        planes |= {f"d{a}_{part}": np.full(projector.shape, np.nan, np.float32) for a in "xy"}
        for band in projector.bands():
            vectors.fill_part(planes, part, band, Neighbours.of(band.row, band.column, known))
    vectors.release()
    for name in _scalars(ds):
        values = ds[name].values
        planes[name] = np.full(projector.shape, np.nan, np.float32)
        for first in range(0, projector.shape[0], ROWS):
            rows = slice(first, first + ROWS)
            planes[name][rows] = Neighbours.of(row[rows], column[rows], known).mean(values)
    return planes


_OUTSIDE = {"flag": int(Flag.NODATA), "stable": 0, "stable_fold": -1}
"""Values beyond the image."""


def _ratio(pair: RadarPair, spacing: str) -> np.float32:
    """Metres of the secondary per metre of the reference: offsets are counted in pixels."""
    return np.float32(getattr(pair.secondary, spacing) / getattr(pair.reference, spacing))


def _scalars(ds: xr.Dataset) -> list[str]:
    """Variables of the posts that are carried over as they are."""
    # What starts with dx or dy belongs to the axes of the radar, and has to be turned.
    return [
        name
        for name, variable in ((str(k), v) for k, v in ds.data_vars.items())
        if variable.dims == ("y", "x")
        and variable.dtype.kind in "fu"
        and not name.startswith(("dx", "dy"))
        and name not in ("height", "flag")
    ]


def _dataset(
    ds: xr.Dataset, grid: xr.Dataset, surface: xr.Dataset, planes: dict[str, Array],
    footprint: tuple[float, float], posting: float, mode: Mode, components: str,
) -> xr.Dataset:  # fmt: skip
    """The planes on the map, with what describes the whole scene."""
    out = grid.assign({name: (("y", "x"), values) for name, values in planes.items()})
    out = out.assign({k: surface[k] for k in ("elevation", "slope", "aspect")})
    small = {k: v.compute() for k, v in ds.variables.items() if not {"y", "x"} & set(v.dims)}
    out = out.assign({k: v for k, v in small.items() if k in ds.data_vars})
    out = out.assign_coords(
        {k: v for k, v in small.items() if k in (*TIME_COORDS, "component", "term")}
    )
    for name in planes:
        out[name].attrs = dict(ds[name].attrs) if name in ds else {}
    radar = {f"radar_{k}": ds.attrs[k] for k in ("template", "step", "pixel") if k in ds.attrs}
    out.attrs = {
        **ds.attrs, **radar,
        "template": [max(1, round(edge / posting)) for edge in footprint],
        "step": [1, 1],
        "pixel": [posting, posting],
        "motion": mode,
        "components": components,
    }  # fmt: skip
    return describe(out)
