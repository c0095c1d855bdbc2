"""What the profile inspector reads along its lines, gathered once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.apps.content import TERRAIN, Content, gather, maps_of
from glaciertoolkit.apps.spool import Spool
from glaciertoolkit.conventions import describe, in_radar_geometry
from glaciertoolkit.errors import GlacierToolkitError, GlacierToolkitWarning
from glaciertoolkit.grids import grid_spacing

WHAT = "the profile inspector"
STRESS = ("thickness", "surface_slope", "driving_stress", "deformation_speed")
BAND_POSTS = 1_500_000
"""Posts of a map whose driving stress is worked out at once."""

THICKEST = 600.0
"""Metres; of thicker ice the slope is taken over less beside the edge of a band of rows."""

OF_A_DATE = ("v", "vx", "vy", "v_error", "vx_error", "vy_error")
"""What is read of the maps of other dates."""


class Dated(NamedTuple):
    """A map with what it is called: its date."""

    label: str
    ds: xr.Dataset


@dataclass(frozen=True)
class ProfileContent:
    """A map to draw on, and all that is read along a line.

    Attributes
    ----------
    content : Content
        The map as it is shown.
    dates : tuple of Dated
        The map itself, and those of other dates, with the variables that are read.
    dem : path or xarray.DataArray or None
        Elevation, as `profile` takes it.
    covariates : tuple of str
        Variables that were given beside the map, such as the temperature.
    setup : tuple of str
        Lines of code that make the Dataset that is read from the one that was given.
    notes : tuple of str
        What the inspector has to do without, and why.
    """

    content: Content
    dates: tuple[Dated, ...]
    dem: Any
    dem_code: str
    covariates: tuple[str, ...]
    setup: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ds(self) -> xr.Dataset:
        """The map itself, with what is read of it."""
        return self.dates[0].ds

    @property
    def flow_gap(self) -> float:
        """Metres of missing values that a flow line crosses: a few posts that a filter took."""
        return 3 * self.spacing

    @property
    def spacing(self) -> float:
        """Metres between the posts."""
        return float(min(grid_spacing(self.content.ds)))


def gather_profile(
    ds: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    thickness: Any = None,
    covariates: Any = None,
    maps: Iterable[Any] = (),
) -> ProfileContent:
    """Get ready what the profile inspector needs; say in `notes` what it has to do without."""
    notes: list[str] = []
    setup: list[str] = []
    stressed = _with_stress(ds, thickness, dem, outlines, notes)
    if stressed is not ds:
        given = ", outlines=outlines" if outlines is not None else ""
        code = "dem" if dem is not None else "velocity.elevation"
        setup.append(
            f"velocity = gt.driving_stress(velocity, thickness=thickness, dem={code}{given})"
        )
    content = gather(
        stressed, dem=dem, outlines=outlines, covariates=covariates, what=WHAT, brushes=False
    )
    shown = content.ds
    names = [name for name in content.layers.values() if name not in TERRAIN]
    covered = tuple(str(name) for name in dict(covariates or {}) if str(name) in names)
    setup += [
        f'velocity["{name}"] = gt.match_raster({name}, velocity, name="{name}", min_coverage=0)'
        for name in covered
    ]
    with_dem = "elevation" in shown
    used = (dem if dem is not None else shown["elevation"]) if with_dem else None
    given_maps = _held(maps_of(maps, notes), content.spool)
    notes = [*content.notes, *notes, *_missing(shown, covered, given_maps)]
    if thickness is None and "driving_stress" not in shown:
        notes.append("No ice thickness was given: there is no driving stress (thickness=...).")
    return ProfileContent(
        content,
        _dated([shown[names], *given_maps]),
        used,
        ("dem" if dem is not None else "velocity.elevation") if with_dem else "",
        covered,
        tuple(setup),
        tuple(notes),
    )


def _missing(
    shown: xr.Dataset, covariates: tuple[str, ...], maps: tuple[xr.Dataset, ...]
) -> list[str]:
    """What was not given, and how it is given."""
    notes = []
    if in_radar_geometry(shown):
        notes.append(
            "This is radar geometry: distances are those over slant range and azimuth, and lines "
            "have no longitude and latitude; to_map() brings it onto a map."
        )
    if not covariates:
        notes.append("No climate was given: there is no curve of it (covariates={...}).")
    if not maps:
        notes.append("One map only: give those of other dates to compare them (maps=[...]).")
    return notes


def _dated(maps: list[xr.Dataset]) -> tuple[Dated, ...]:
    """Each map with its middle date, or its number where that is not known."""
    found: list[Dated] = []
    for number, ds in enumerate(maps, 1):
        date = ds.coords.get("mid_date")
        if date is None and {"reference_time", "secondary_time"} <= set(ds.coords):
            first, second = ds["reference_time"], ds["secondary_time"]
            date = first + (second - first) / 2
        label = f"map {number}"
        if date is not None and date.ndim == 0 and not np.isnat(date.values):
            label = str(date.values.astype("datetime64[D]"))
        while label in {one.label for one in found}:
            label += "'"
        found.append(Dated(label, ds))
    return tuple(found)


def _held(maps: tuple[xr.Dataset, ...], spool: Spool) -> tuple[xr.Dataset, ...]:
    """The velocities of other maps where any part of them is read at once."""
    found = []
    for number, ds in enumerate(maps):
        fields = {}
        for name in OF_A_DATE:
            if name in ds and set(ds[name].dims) == {"y", "x"}:
                field = ds[name].rename(f"date_{number}_{name}")
                fields[name] = spool.hold(field).rename(name)
        coords = {k: c.compute() for k, c in ds.coords.items() if c.ndim == 0}
        found.append(ds.drop_vars(ds.data_vars).assign(fields).assign_coords(coords))
    return tuple(found)


# --- driving stress ----------------------------------------------------------------------------


def _with_stress(
    ds: xr.Dataset, thickness: Any, dem: Any, outlines: Any, notes: list[str]
) -> xr.Dataset:
    """`ds` with the driving stress, where there are a thickness and an elevation."""
    if thickness is None or not {"y", "x"} <= set(ds.dims):
        return ds
    dem = ds["elevation"] if dem is None and "elevation" in ds else dem
    if dem is None:
        notes.append("The driving stress is left out: it needs an elevation model too (dem=...).")
        return ds
    try:
        with warnings.catch_warnings():
            # That a thickness is known on the ice only is as it should be.
            warnings.simplefilter("ignore", GlacierToolkitWarning)
            return ds.assign(_stress(ds, thickness, dem, outlines))
    except GlacierToolkitError as error:
        notes.append(f"The driving stress is left out: {error}")
        return ds


def _stress(ds: xr.Dataset, thickness: Any, dem: Any, outlines: Any) -> dict[str, xr.DataArray]:
    """Thickness, slope, stress and deformation of the ice; large maps band by band."""
    from glaciertoolkit.stats.stress import driving_stress

    posts = xr.Dataset(coords=ds.coords, attrs=ds.attrs)
    given: dict[str, Any] = {"thickness": thickness, "dem": dem, "outlines": outlines}
    ny, nx = ds.sizes["y"], ds.sizes["x"]
    if ny * nx <= BAND_POSTS:
        found = driving_stress(posts, **given)
        return {name: found[name] for name in STRESS}
    margin = math.ceil(6 * THICKEST / grid_spacing(posts)[0])
    rows = max(BAND_POSTS // nx, margin, 1)
    fields = {name: np.full((ny, nx), np.nan, np.float32) for name in STRESS}
    failed: GlacierToolkitError | None = None
    for first in range(0, ny, rows):
        stop, start = min(first + rows, ny), max(first - margin, 0)
        band = posts.isel(y=slice(start, min(stop + margin, ny)))
        try:
            found = driving_stress(band, **given)
        except GlacierToolkitError as error:  # no ice in this band; maybe in another
            failed = error
            continue
        for name, field in fields.items():
            field[first:stop] = found[name].values[first - start : stop - start]
    if failed is not None and not np.isfinite(fields["driving_stress"]).any():
        raise failed
    spool = Spool(4 * len(STRESS) * ny * nx, WHAT)
    made = describe(posts.assign({name: (("y", "x"), field) for name, field in fields.items()}))
    fields.clear()
    return {name: spool.hold(made[name], ours=True) for name in STRESS}
