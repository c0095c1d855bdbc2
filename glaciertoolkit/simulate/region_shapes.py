"""Where the glaciers of a simulated region lie, and the ground between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NARROWING = 0.55
"""How much narrower than its head a glacier is at its end, as a share."""
ROUND = 0.08
"""Share of the length over which both ends are rounded."""
CONCAVITY = 0.3
"""The surface is this share steeper than the mean at the head, and gentler at the end."""
WALL = 0.7
"""Slope (rise over run) of the ground beside the ice."""
HIGHEST_WALL = 700.0
HIGHEST_DROP = 2000.0
"""Long glaciers are gentle ones, m."""
APART = 400.0
"""Least ground between two glaciers, m."""
RIDGES = 60.0
"""Standard deviation of the roughness of the rock, m."""
FOOT = 0.12
"""Slope of the valley below the end of a glacier."""
VALLEY = 2000.0
"""Length of that valley, m."""
TRIES = 4000


@dataclass(frozen=True)
class Trough:
    """One glacier and its valley: a bent strip with a concave surface.

    Attributes
    ----------
    head : (x, y)
        Upper end of the centre line, m.
    azimuth : float
        Direction from the upper to the lower end, radians clockwise from north.
    length, half_width, bend : float
        m; the bend is the largest departure of the centre line from a straight line.
    top, drop : float
        Elevation of the upper end and the height of the glacier, m.
    """

    head: tuple[float, float]
    azimuth: float
    length: float
    half_width: float
    bend: float
    top: float
    drop: float

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Along the centre line (0 at the head, 1 at the end) and metres to the right of it."""
        east, north = x - self.head[0], y - self.head[1]
        sin, cos = np.sin(self.azimuth), np.cos(self.azimuth)
        s = (east * sin + north * cos) / self.length
        across = east * cos - north * sin - self.bend * np.sin(np.pi * np.clip(s, 0, 1))
        return s, across

    def outside(self, s: Floats, across: Floats) -> tuple[Floats, Floats]:
        """Metres from the glacier, and the part of them that goes up: not those below its end."""
        beside = np.maximum(np.abs(across) - self._floor(s), 0.0)
        above, below = (np.maximum(d, 0.0) * self.length for d in (-s, s - 1))
        uphill = np.hypot(beside, above)
        return np.hypot(uphill, below), uphill

    def margin(self, s: Floats) -> Floats:
        """Half the width of the ice, m; 0 beyond its ends."""
        from_end = np.clip(np.minimum(s, 1 - s) / ROUND, 0, 1)
        return self._floor(s) * np.sqrt(from_end * (2 - from_end))

    def _floor(self, s: Floats) -> Floats:
        return np.asarray(self.half_width * (1 - NARROWING * np.clip(s, 0, 1)))

    def ice(self, s: Floats, across: Floats) -> NDArray[np.bool_]:
        return np.abs(across) < self.margin(s)

    def surface(self, s: Floats) -> Floats:
        """Elevation of the valley floor, m."""
        on = np.clip(s, 0, 1)
        below = np.minimum(np.maximum(s - 1, 0) * self.length, VALLEY) * FOOT
        return self.top - self.drop * on * (1 + CONCAVITY * (1 - on)) - below

    def downhill(self, s: Floats) -> tuple[Floats, Floats]:
        """Unit vector (east, north) along the centre line, towards the end."""
        sideways = self.bend * np.pi * np.cos(np.pi * s) / self.length
        sin, cos = np.sin(self.azimuth), np.cos(self.azimuth)
        east, north = sin + sideways * cos, cos - sideways * sin
        norm = np.hypot(east, north)
        return east / norm, north / norm

    def outline(self) -> Any:
        """The ice as a polygon."""
        import shapely

        s = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 60))  # closer together at both ends
        width = self.margin(s)
        across = np.concatenate([width, -width[-2:0:-1]])
        along = np.concatenate([s, s[-2:0:-1]])
        across = across + self.bend * np.sin(np.pi * along)
        sin, cos = np.sin(self.azimuth), np.cos(self.azimuth)
        x = self.head[0] + along * self.length * sin + across * cos
        y = self.head[1] + along * self.length * cos - across * sin
        return shapely.make_valid(shapely.Polygon(np.column_stack([x, y])))


def place_troughs(
    rng: np.random.Generator, *, count: int, slopes: Floats, extent: tuple[float, float]
) -> list[Trough]:
    """Glaciers of very different size that do not touch, the longest first.

    `slopes` are their mean slopes in degrees (of long ones less), `extent` the width and height
    of the region, m, whose south-west corner is the origin. Fewer than `count` where there is no
    room.
    """
    import shapely

    lengths = np.sort(np.clip(rng.lognormal(np.log(4000), 0.55, count), 1500, 14000))[::-1]
    found: list[Trough] = []
    taken: list[Any] = []
    room = shapely.box(500, 500, extent[0] - 500, extent[1] - 500)
    for length, slope in zip(lengths, slopes, strict=True):
        drop = min(length * np.tan(np.radians(slope)), HIGHEST_DROP)
        half = 0.5 * 0.9 * length**0.85 * rng.uniform(0.8, 1.2)
        half = min(half, 0.2 * length)
        for _ in range(TRIES // count):
            trough = Trough(
                head=(rng.uniform(0, extent[0]), rng.uniform(0, extent[1])),
                azimuth=rng.uniform(0, 2 * np.pi), length=length, half_width=half,
                bend=rng.uniform(-0.08, 0.08) * length, top=0.0,
                drop=drop,
            )  # fmt: skip
            shape = trough.outline()
            if room.contains(shape) and all(shape.distance(o) > APART for o in taken):
                found.append(trough)
                taken.append(shape)
                break
    return found


def ground(
    troughs: list[Trough], x: Floats, y: Floats, rough: Floats
) -> tuple[Floats, NDArray[np.int32]]:
    """Elevation, m, and which glacier a place belongs to (-1: rock).

    On ice the surface is that of its trough alone; between the troughs it passes smoothly from
    one to the other over ridges.
    """
    total, weights = np.zeros(x.shape), np.zeros(x.shape)
    owner = np.full(x.shape, -1, np.int32)
    nearest = np.full(x.shape, np.inf)
    for number, trough in enumerate(troughs):
        s, across = trough.place(x, y)
        away, uphill = trough.outside(s, across)
        height = trough.surface(s) + np.minimum(WALL * uphill, HIGHEST_WALL)
        weight = (away**2 + 10.0**2) ** -1.5
        total += weight * height
        weights += weight
        nearest = np.minimum(nearest, away)
        owner[trough.ice(s, across)] = number
    return total / weights + RIDGES * rough * np.clip(nearest / 400, 0, 1), owner
