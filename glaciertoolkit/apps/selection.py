"""What is selected: criteria from the brushes of several views, all of which a post has to meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.grids import post_transform
from glaciertoolkit.robust import nmad
from glaciertoolkit.styles import pretty_units, style_of

if TYPE_CHECKING:
    from shapely import Polygon

    Mask = npt.NDArray[np.bool_]


class Criterion(Protocol):
    """One condition on posts."""

    def holds(self, ds: xr.Dataset) -> Mask:
        """Which posts (y, x) of `ds` meet it."""
        ...

    def words(self, ds: xr.Dataset) -> str:
        """The condition as people say it."""
        ...


@dataclass(frozen=True)
class Box:
    """Posts inside a rectangle on the map, its edges among them."""

    left: float
    bottom: float
    right: float
    top: float

    def holds(self, ds: xr.Dataset) -> Mask:
        x, y = ds["x"].values, ds["y"].values
        return np.logical_and.outer(
            (y >= self.bottom) & (y <= self.top), (x >= self.left) & (x <= self.right)
        )

    def words(self, ds: xr.Dataset) -> str:  # noqa: ARG002
        width, height = (self.right - self.left) / 1000, (self.top - self.bottom) / 1000
        return f"in a box of {width:.3g} by {height:.3g} km"

    def ring(self) -> npt.NDArray[np.float64]:
        """Its corners, for drawing."""
        left, bottom, right, top = self.left, self.bottom, self.right, self.top
        corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        return np.array(corners)


@dataclass(frozen=True)
class Area:
    """Posts inside a polygon on the map."""

    polygon: Polygon
    what: str = "in a drawn area"

    def holds(self, ds: xr.Dataset) -> Mask:
        from rasterio.features import rasterize

        shape = (ds.sizes["y"], ds.sizes["x"])
        burnt = rasterize([self.polygon], shape, transform=post_transform(ds), dtype="uint8")
        return np.asarray(burnt, dtype=bool)

    def words(self, ds: xr.Dataset) -> str:  # noqa: ARG002
        return self.what

    def ring(self) -> npt.NDArray[np.float64]:
        """Its corners, for drawing."""
        return np.asarray(self.polygon.exterior.coords)[:, :2]


@dataclass(frozen=True)
class Between:
    """Posts at which a variable lies in a range, its ends among them."""

    name: str
    low: float
    high: float

    def holds(self, ds: xr.Dataset) -> Mask:
        values = ds[self.name].values
        return np.asarray((values >= self.low) & (values <= self.high))

    def words(self, ds: xr.Dataset) -> str:
        style = style_of(ds[self.name], self.name)
        units = pretty_units(style.units)
        return f"{style.label} {self.low:,.4g} to {self.high:,.4g} {units}".rstrip()


@dataclass(frozen=True)
class Cloud:
    """Posts whose values of two variables lie inside a polygon, drawn over their scatter."""

    across: str
    upward: str
    polygon: Polygon

    def holds(self, ds: xr.Dataset) -> Mask:
        import shapely

        across, upward = ds[self.across].values, ds[self.upward].values
        left, low, right, high = self.polygon.bounds
        # A polygon is slow to look up: only what lies in its bounds.
        near = (across >= left) & (across <= right) & (upward >= low) & (upward <= high)
        found = np.zeros(across.shape, dtype=bool)
        shapely.prepare(self.polygon)
        found[near] = shapely.contains_xy(self.polygon, across[near], upward[near])
        return found

    def words(self, ds: xr.Dataset) -> str:
        names = (style_of(ds[n], n).label for n in (self.upward, self.across))
        return "in a drawn cloud of {} over {}".format(*names)


@dataclass(frozen=True)
class Selection:
    """The brushes of all views together: a post is selected where every criterion holds."""

    views: dict[str, tuple[Criterion, ...]] = field(default_factory=dict)

    def with_brush(self, view: str, *criteria: Criterion) -> Selection:
        """The selection after a brush in `view`, which takes the place of the one before it."""
        others = {name: found for name, found in self.views.items() if name != view}
        return Selection({**others, view: criteria} if criteria else others)

    def __bool__(self) -> bool:
        return bool(self.views)

    def __iter__(self) -> Iterator[Criterion]:
        return (criterion for found in self.views.values() for criterion in found)

    def mask(self, ds: xr.Dataset) -> Mask:
        """Which posts (y, x) of `ds` are selected; without a brush all of them."""
        found = np.ones((ds.sizes["y"], ds.sizes["x"]), dtype=bool)
        for criterion in self:
            found &= criterion.holds(ds)
        return found

    def words(self, ds: xr.Dataset) -> str:
        """All criteria in one line."""
        return "; ".join(criterion.words(ds) for criterion in self)

    def rings(self) -> list[npt.NDArray[np.float64]]:
        """The areas on the map, for drawing."""
        return [criterion.ring() for criterion in self if isinstance(criterion, Box | Area)]


def polygon_of(corners: Any) -> Polygon | None:
    """A drawn ring as a valid polygon; None where it has no area."""
    import shapely

    ring = np.asarray(corners, dtype=float)
    if ring.ndim != 2 or len(ring) < 3 or not np.isfinite(ring).all():
        return None
    valid = shapely.make_valid(shapely.Polygon(ring))
    # Twice: what crosses itself may become a collection with several polygons inside.
    parts = [p for p in shapely.get_parts(shapely.get_parts(valid)) if p.geom_type == "Polygon"]
    # A loop that crosses itself: its largest part is what was meant.
    best = max(parts, key=lambda part: part.area, default=None)
    return best if best is not None and best.area > 0 else None


def statistics(values: npt.NDArray[Any]) -> dict[str, float]:
    """Number, median, mean, NMAD and the 5th and 95th percentile of the finite values."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return {"count": 0.0}
    low, middle, high = (float(q) for q in np.percentile(finite, (5, 50, 95)))
    return {
        "count": float(finite.size),
        "median": middle,
        "mean": float(finite.mean()),
        "nmad": float(nmad(finite)),
        "p05": low,
        "p95": high,
    }
