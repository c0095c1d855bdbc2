"""Parts of glaciers: the accumulation and the ablation area, thirds, or zones that a user draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.stats.equilibrium import line_elevations
from glaciertoolkit.stats.on_ice import OnIce
from glaciertoolkit.terrain import same_posts

ELA_ZONES = ("ablation", "accumulation")
THIRDS = ("lower", "middle", "upper")


@dataclass(frozen=True)
class Zones:
    """The zone of each post on ice (-1 for none), and what the zones are called."""

    names: tuple[str, ...] = ()
    zone: npt.NDArray[np.int64] | None = None

    def groups(self, glaciers: int) -> int:
        """Number of rows for so many glaciers."""
        return glaciers * (len(self.names) or 1)

    def split(self, glacier: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The row of each post, of the glacier it lies in; -1 for none."""
        if self.zone is None:
            return glacier
        inside = (glacier >= 0) & (self.zone >= 0)
        return np.where(inside, glacier.astype(np.int64) * len(self.names) + self.zone, -1)


def zones_of(
    found: OnIce,
    zones: str | xr.DataArray | Mapping[str, xr.DataArray] | None,
    *,
    dem: Any = None,
    ela: Any = "median",
    aar: float = 0.6,
) -> Zones:
    """Zones as a person gives them, at the posts on ice; see `glaciers`."""
    if zones is None:
        return Zones()
    if isinstance(zones, str):
        if zones not in ("ela", "thirds"):
            raise ParameterError(
                f'zones must be "ela", "thirds", a map of zones or masks with names; got {zones!r}.'
            )
        if dem is None:
            raise ParameterError(f'zones="{zones}" needs the elevation: give dem=.')
        z = found.elevation(dem)
        if zones == "ela":
            return ela_zones(found, z, line_elevations(found, z, ela=ela, aar=aar))
        part = found.normalised(z)
        known = np.isfinite(part)
        third = np.minimum((np.where(known, part, 0) * 3).astype(np.int64), 2)
        return Zones(THIRDS, np.where(known, third, -1))
    if isinstance(zones, Mapping):
        return _from_masks(found, zones)
    return _from_map(found, zones)


def ela_zones(found: OnIce, z: npt.NDArray[Any], line: npt.NDArray[np.float64]) -> Zones:
    """Above (1) and up to (0) the equilibrium line of each glacier."""
    height = line[found.ice.glacier]
    known = np.isfinite(z) & np.isfinite(height)
    return Zones(ELA_ZONES, np.where(known, (z > height).astype(np.int64), -1))


def _from_masks(found: OnIce, masks: Mapping[str, xr.DataArray]) -> Zones:
    if not masks:
        raise ParameterError("zones holds no mask; give names with masks on the posts.")
    for mask in masks.values():
        same_posts(mask, found.ds, what="a zone")
    inside = found.ice.take({str(name): mask.astype(bool) for name, mask in masks.items()})
    zone = np.full(found.ice.size, -1, np.int64)
    for number, name in reversed(list(enumerate(inside))):
        zone[inside[name]] = number
    return Zones(tuple(inside), zone)


def _from_map(found: OnIce, zones: xr.DataArray) -> Zones:
    same_posts(zones, found.ds, what="the map of zones")
    values = found.ice.take({"zone": zones})["zone"]
    codes = np.where(np.isfinite(values), values, -1).astype(np.int64)
    flags = zones.attrs.get("flag_values")
    numbers = np.unique(codes[codes >= 0]) if flags is None else np.atleast_1d(flags).astype(int)
    if not numbers.size:
        raise ParameterError("the map of zones has no zone on ice; zones are numbers from 0 on.")
    names = str(zones.attrs.get("flag_meanings", "")).split() or [str(n) for n in numbers]
    if len(names) != numbers.size:
        raise ParameterError(
            f"the map of zones has {numbers.size} flag_values and {len(names)} flag_meanings."
        )
    order = np.argsort(numbers)
    place = np.searchsorted(numbers[order], codes)
    place = np.minimum(place, numbers.size - 1)
    match = numbers[order][place] == codes
    return Zones(tuple(names), np.where(match, order[place], -1))
