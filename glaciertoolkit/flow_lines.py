"""Lines that follow the motion of the ice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.grids import extent, grid_spacing, post_bounds, post_transform

if TYPE_CHECKING:
    import shapely

Place = tuple[float, float]
Motion = tuple[float, float, float]
"""Along x, along y, and the error of the length of both."""

BLOCK = 256
"""Posts along an edge of what is read at once."""

MOST_POINTS = 100_000
SIGNIFICANT = 2.0
"""Errors by which ice must be faster than nothing, to have a direction."""


def flow_line(
    ds: xr.Dataset,
    x: float,
    y: float,
    *,
    step: float | None = None,
    slowest: float | None = None,
    both: bool = True,
    max_length: float | None = None,
    gap: float = 0.0,
) -> shapely.LineString:
    """Follow the motion from a place, down and up the flow.

    Parameters
    ----------
    ds : xarray.Dataset
        `vx` and `vy`, or else `dx` and `dy`, dims ``(y, x)``, in metres. Lazy variables are read
        in blocks around the line.
    x, y : float
        The place, in the coordinates of the posts, m.
    step : float, optional
        Metres between the points of the line; by default the spacing of the posts.
    slowest : float, optional
        The line ends where the ice is not faster, in the units of the components. By default
        twice `v_error`, where there is one (of displacements, that of `dx` and `dy` together):
        slower ice has no direction that can be trusted. Else 0.
    both : bool
        Go up the flow too; False begins the line at the place.
    max_length : float, optional
        Metres from the place, each way, at most.
    gap : float
        Metres of missing values that the line crosses, straight on in its last direction. By
        default it ends at the first one.

    Returns
    -------
    shapely.LineString
        In the coordinates of `ds`; its points run down the flow. It goes into `profile` as it is.

    Raises
    ------
    MissingVariableError
        `ds` has neither `vx` and `vy` nor `dx` and `dy`.
    GridError
        The place lies off the map, or the grid is in degrees.
    InputError
        The place has no value, or the ice there is too slow.
    ParameterError
        A number out of its range.

    Notes
    -----
    ``dx/ds = vx / |v|, dy/ds = vy / |v|``, integrated by Runge and Kutta's fourth-order method
    over components that are interpolated between the posts (bilinear). A missing post takes no
    part; where the nearest post is missing there is no value, as in `profile`. A line ends at its
    last point before a hole wider than `gap` or the edge of the map, or where it comes within half
    a step of itself; one that comes back to the place is closed.

    The line is one of a single map: where the ice changes its direction, no ice has gone along it.

    References
    ----------
    Press, W. H. et al. (2007), Numerical Recipes, 3rd edition, section 17.1.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> grid = {"y": 90.0 - 10 * np.arange(10), "x": 10.0 * np.arange(10)}
    >>> east = xr.DataArray(np.full((10, 10), 30.0), coords=grid, dims=("y", "x"))
    >>> line = flow_line(xr.Dataset({"vx": east, "vy": 0 * east}), 45.0, 40.0)
    >>> line.coords[0], line.coords[-1]
    ((5.0, 40.0), (85.0, 40.0))
    """
    import shapely

    for name, value in (("step", step), ("max_length", max_length)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ParameterError(f"{name} must be positive metres; got {value!r}.")
    if not 0 <= gap < math.inf:
        raise ParameterError(f"gap must be metres, 0 or more; got {gap!r}.")
    if slowest is not None and not 0 <= slowest < math.inf:
        raise ParameterError(f"slowest must be a speed, 0 or more; got {slowest!r}.")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ParameterError(f"x and y of the place must be metres; got {x!r} and {y!r}.")
    field = _Field(ds, slowest)
    start = (float(x), float(y))
    _check(field, start, ds)
    step = step or float(min(grid_spacing(ds)))
    most = MOST_POINTS if max_length is None else min(int(max_length / step + 1e-9), MOST_POINTS)
    down = _follow(field, start, step, most, gap)
    up: list[Place] = []
    if both and (not down or down[-1] != start):
        up = _follow(field, start, -step, most, gap)
    points = [*reversed(up), start, *down]
    if len(points) < 2:
        raise InputError(
            f"the ice at x {x:.8g}, y {y:.8g} leads nowhere: one step of {step:g} m on there is a "
            "hole, the edge of the map or slow ice; choose another place or a shorter step."
        )
    return shapely.LineString(points)


def _check(field: _Field, start: Place, ds: xr.Dataset) -> None:
    """Say why no line can begin here, if so."""
    where = f"x {start[0]:.8g}, y {start[1]:.8g}"
    if not field.inside(start):
        raise GridError(
            f"the place {where} lies off the map, which covers {extent(post_bounds(ds))}; "
            "choose one on it."
        )
    here = field.at(start)
    if here is None:
        raise InputError(
            f"there is no value at {where}: the nearest post is missing; choose another place."
        )
    if not field.moves(here):
        u, w, _ = here
        raise InputError(
            f"the ice at {where} is too slow to have a direction: {math.hypot(u, w):.3g} "
            f"{field.units}, where more than {field.least(here):.3g} is needed; choose a faster "
            "place, or set slowest."
        )


def _follow(field: _Field, start: Place, step: float, most: int, gap: float) -> list[Place]:
    """Points after `start`, with the motion for a positive step, against it for a negative one."""
    found: list[Place] = []
    seen = _Seen(start, abs(step) / 2)
    here = start
    while len(found) < most:
        following = _step(field, here, step)
        motion = field.at(following) if following is not None else None
        if motion is None or following is None:
            following = _beyond(field, here, step, gap)
            if following is None:
                break
        elif not field.moves(motion):
            break
        met = seen.meets(following)
        if met is not None:
            if met == 0:
                found.append(start)  # closed
            break
        seen.add(following)
        found.append(following)
        here = following
    return found


def _beyond(field: _Field, here: Place, step: float, gap: float) -> Place | None:
    """The first place straight on with moving ice, no farther than a gap; None without one."""
    motion = field.at(here)
    if not gap or motion is None:
        return None
    length = math.hypot(motion[0], motion[1])
    for number in range(1, int(gap / abs(step) + 1e-9) + 2):
        way = number * step / length
        place = here[0] + way * motion[0], here[1] + way * motion[1]
        there = field.at(place)
        if there is not None:
            return place if field.moves(there) else None
    return None


def _step(field: _Field, place: Place, step: float) -> Place | None:
    """One step of Runge and Kutta's fourth-order method; None where there is no way on."""
    x, y = place
    slopes: list[Place] = []
    for share in (0.0, 0.5, 0.5, 1.0):
        back = slopes[-1] if slopes else (0.0, 0.0)
        motion = field.at((x + share * step * back[0], y + share * step * back[1]))
        if motion is None:
            return None
        length = math.hypot(motion[0], motion[1])
        if length == 0:
            return None
        slopes.append((motion[0] / length, motion[1] / length))
    (a, b), (c, d), (e, f), (g, h) = slopes
    return x + step * (a + 2 * c + 2 * e + g) / 6, y + step * (b + 2 * d + 2 * f + h) / 6


class _Seen:
    """Where a line has been, to find out when it comes back to itself."""

    RECENT = 3

    def __init__(self, start: Place, reach: float) -> None:
        self.reach = reach
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._points: list[Place] = []
        self.add(start)

    def _cell(self, place: Place) -> tuple[int, int]:
        return math.floor(place[0] / self.reach), math.floor(place[1] / self.reach)

    def add(self, place: Place) -> None:
        self._cells.setdefault(self._cell(place), []).append(len(self._points))
        self._points.append(place)

    def meets(self, place: Place) -> int | None:
        """The number of an earlier point within reach, the last few left out."""
        column, row = self._cell(place)
        newest = len(self._points) - self.RECENT
        near = [
            k for i in (-1, 0, 1) for j in (-1, 0, 1)
            for k in self._cells.get((column + i, row + j), ())
            if k <= newest and math.dist(self._points[k], place) <= self.reach * (1 + 1e-9)
        ]  # fmt: skip
        return min(near) if near else None


class _Field:
    """The motion at any place of a map, read block by block."""

    def __init__(self, ds: xr.Dataset, slowest: float | None) -> None:
        names = ("dx", "dy") if "vx" not in ds and {"dx", "dy"} <= set(ds) else ("vx", "vy")
        validate(ds, needs=names)
        wanted = ("v_error",) if names[0] == "vx" else ("dx_error", "dy_error")
        self._errors = wanted if set(wanted) <= set(ds) and slowest is None else ()
        self._ds = ds[[*names, *self._errors]]
        self._names = names
        self._slowest = slowest
        self.units = "m/yr" if names[0] == "vx" else "m"
        transform = post_transform(ds)
        self._step = float(transform.a), float(transform.e)
        self._first = float(ds["x"].values[0]), float(ds["y"].values[0])
        self._last = ds.sizes["x"] - 1, ds.sizes["y"] - 1
        self._blocks: dict[tuple[int, int], list[npt.NDArray[np.float64]]] = {}

    def _position(self, place: Place) -> Place:
        """Fractional column and row."""
        return (
            (place[0] - self._first[0]) / self._step[0],
            (place[1] - self._first[1]) / self._step[1],
        )

    def inside(self, place: Place) -> bool:
        """Between the outermost posts; rounding aside."""
        slack = 1e-6
        ends = zip(self._position(place), self._last, strict=True)
        return all(-slack <= at <= last + slack for at, last in ends)

    def least(self, motion: Motion) -> float:
        """The speed that has to be exceeded."""
        return SIGNIFICANT * motion[2] if self._slowest is None else self._slowest

    def moves(self, motion: Motion) -> bool:
        """Whether the ice is fast enough to have a direction."""
        return math.hypot(motion[0], motion[1]) > self.least(motion)

    def _block(self, row: int, column: int) -> list[npt.NDArray[np.float64]]:
        """Components and error of the posts of a block, and of one row and column beyond it."""
        key = row // BLOCK, column // BLOCK
        if key not in self._blocks:
            window = {
                dim: slice(k * BLOCK, (k + 1) * BLOCK + 1)
                for dim, k in zip(("y", "x"), key, strict=True)
            }
            part = self._ds.isel(window).transpose("y", "x").compute()
            found = [part[name].values.astype(np.float64) for name in self._names]
            errors = [part[name].values.astype(np.float64) for name in self._errors]
            total: Any = np.sqrt(sum(e**2 for e in errors)) if errors else np.zeros_like(found[0])
            self._blocks[key] = [*found, np.nan_to_num(total)]
        return self._blocks[key]

    def at(self, place: Place) -> Motion | None:
        """The motion between the posts; None off the map and where the nearest post is missing."""
        if not self.inside(place):
            return None
        (c, r), (last_x, last_y) = self._position(place), self._last
        column, row = min(max(int(c), 0), last_x - 1), min(max(int(r), 0), last_y - 1)
        right = min(max(c - column, 0.0), 1.0)
        down = min(max(r - row, 0.0), 1.0)
        u, w, error = self._block(row, column)
        i, j = row % BLOCK, column % BLOCK
        weight, sums, heaviest, known = 0.0, [0.0, 0.0, 0.0], -1.0, False
        for m, n in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (down if m else 1 - down) * (right if n else 1 - right)
            a, b = float(u[i + m, j + n]), float(w[i + m, j + n])
            finite = math.isfinite(a) and math.isfinite(b)
            if share > heaviest:
                heaviest, known = share, finite
            if finite:
                weight += share
                sums[0] += share * a
                sums[1] += share * b
                sums[2] += share * float(error[i + m, j + n])
        if not known or weight <= 0:
            return None
        return sums[0] / weight, sums[1] / weight, sums[2] / weight
