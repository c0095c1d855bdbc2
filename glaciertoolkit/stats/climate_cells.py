"""Where the cells of a climate grid lie, and which of them make up the value of a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NEWTON_STEPS = 12
"""Steps within which a point is found in a grid of two-dimensional coordinates."""

BESIDE = 0.5
"""Cells beyond the outermost centres at which a place still belongs to the grid."""

VALID_SHARE = 0.5
"""Weight that must lie on cells with values, else the place has none."""


@dataclass(frozen=True)
class Weights:
    """Which cells a place takes: (place, k) flat indices of cells, and weights that sum to 1.

    `dominant` is the flat index of the cell with most of each place, -1 off the grid.
    """

    cells: Integers
    weights: Floats
    dominant: Integers


@dataclass(frozen=True)
class CellGrid:
    """The centres of the cells of a climate grid.

    Two axes (`rows`, `columns`: latitudes and longitudes, or y and x in `crs`), or for a grid
    with two-dimensional coordinates `latitude` and `longitude` of every cell.
    """

    dims: tuple[str, str]
    shape: tuple[int, int]
    rows: Floats | None = None
    columns: Floats | None = None
    crs: Any = None
    latitude: Floats | None = None
    longitude: Floats | None = None

    @classmethod
    def of(cls, field: xr.DataArray) -> CellGrid:
        """The grid of what `read_climate` returned.

        Raises
        ------
        GridError
            Fewer than two rows or columns, or axes that do not rise or fall throughout.
        """
        if {"latitude", "longitude"} <= set(field.dims):
            rows, columns = (np.asarray(field[d].values, float) for d in ("latitude", "longitude"))
            columns = np.unwrap(columns, period=360)
            grid = cls(("latitude", "longitude"), (rows.size, columns.size), rows, columns)
        elif "latitude" in field.coords:
            lat, lon = field["latitude"].values, field["longitude"].values
            grid = cls(("y", "x"), lat.shape, latitude=lat, longitude=lon)
        else:
            rows, columns = (np.asarray(field[d].values, float) for d in ("y", "x"))
            crs = field.rio.crs.to_wkt()
            grid = cls(("y", "x"), (rows.size, columns.size), rows, columns, crs)
        for axis in (grid.rows, grid.columns):
            steps = np.array([]) if axis is None else np.diff(axis)
            if steps.size and not ((steps > 0).all() or (steps < 0).all()):
                raise GridError("the coordinates of the climate grid do not rise or fall evenly.")
        if min(grid.shape) < 2:
            raise GridError(
                "the climate grid has a single row or column; select one cell and use it as a "
                "station."
            )
        return grid

    @property
    def is_global(self) -> bool:
        """Whether the columns go round the Earth."""
        if self.crs is not None or self.columns is None:
            return False
        step = abs(float(np.median(np.diff(self.columns))))
        return bool(abs(abs(self.columns[-1] - self.columns[0]) + step - 360) < step / 2)

    def find(self, longitude: Floats, latitude: Floats) -> tuple[Floats, Floats]:
        """Row and column of places, in fractions of cells; NaN off the grid."""
        if self.rows is None or self.columns is None:
            row, column = self._find_in_2d(longitude, latitude)
        elif self.crs is not None:
            from pyproj import Transformer

            mover = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)
            x, y = mover.transform(longitude, latitude)
            row, column = _along(self.rows, np.asarray(y)), _along(self.columns, np.asarray(x))
        else:
            row = _along(self.rows, latitude)
            low = min(self.columns[0], self.columns[-1])
            step = float(np.median(np.abs(np.diff(self.columns))))
            # A longitude a little west of the first cell must not become one of 359 degrees.
            east = low + (longitude - low + BESIDE * step) % 360 - BESIDE * step
            row, column = row, _along(self.columns, east)
            if self.is_global:
                column = column % self.shape[1]
        inside = np.isfinite(row) & np.isfinite(column)
        for at, size in ((row, self.shape[0]), (column, self.shape[1])):
            round_trip = self.is_global and at is column
            inside &= round_trip | ((at >= -BESIDE) & (at <= size - 1 + BESIDE))
        return np.where(inside, row, np.nan), np.where(inside, column, np.nan)

    def _find_in_2d(self, longitude: Floats, latitude: Floats) -> tuple[Floats, Floats]:
        """By Newton's method in the mesh of centres, from the nearest of them on."""
        from scipy.spatial import cKDTree

        assert self.latitude is not None
        assert self.longitude is not None
        places, mesh = _on_sphere(longitude, latitude), _on_sphere(self.longitude, self.latitude)
        flat = mesh.reshape(-1, 3)
        known = np.flatnonzero(np.isfinite(flat).all(axis=1))
        nearest = known[cKDTree(flat[known]).query(places)[1]]
        row, column = (v.astype(float) for v in np.unravel_index(nearest, self.shape))
        rows, columns = self.shape
        for _ in range(NEWTON_STEPS):
            i = np.clip(np.floor(row).astype(np.int64), 0, rows - 2)
            j = np.clip(np.floor(column).astype(np.int64), 0, columns - 2)
            u, v = row - i, column - j
            a, b, c, d = mesh[i, j], mesh[i, j + 1], mesh[i + 1, j], mesh[i + 1, j + 1]
            at = _mix(a, b, c, d, u, v)
            down = _mix(c - a, d - b, c - a, d - b, u, v)
            right = _mix(b - a, b - a, d - c, d - c, u, v)
            step_row, step_column = _least_squares(down, right, places - at)
            row = np.clip(row + step_row, -2.0, rows + 1.0)
            column = np.clip(column + step_column, -2.0, columns + 1.0)
        return row, column

    def corners(self) -> tuple[Floats, Floats]:
        """Longitude and latitude of the corners of all cells, (rows + 1, columns + 1)."""
        if self.rows is None or self.columns is None:
            assert self.latitude is not None
            assert self.longitude is not None
            corners = _corners_2d(_on_sphere(self.longitude, self.latitude))
            x, y, z = np.moveaxis(corners, -1, 0)
            return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
        across, down = np.meshgrid(_edges(self.columns), _edges(self.rows))
        if self.crs is None:
            return across, np.clip(down, -90, 90)
        from pyproj import Transformer

        mover = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        lon, lat = mover.transform(across, down)
        return np.asarray(lon), np.asarray(lat)

    def covers(self) -> str:
        """What the grid covers, in words."""
        lon, lat = self.corners()
        lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
        return f"{lat.min():.1f} to {lat.max():.1f} N, {lon.min():.1f} to {lon.max():.1f} E"


# --- weights of places ---------------------------------------------------------------------------


def nearest(grid: CellGrid, longitude: Floats, latitude: Floats) -> Weights:
    """The cell whose centre is nearest in the grid."""
    row, column = grid.find(longitude, latitude)
    inside = np.isfinite(row)
    i = np.clip(np.rint(np.nan_to_num(row)), 0, grid.shape[0] - 1).astype(np.int64)
    j = np.rint(np.nan_to_num(column)).astype(np.int64)
    j = j % grid.shape[1] if grid.is_global else np.clip(j, 0, grid.shape[1] - 1)
    cell = np.where(inside, i * grid.shape[1] + j, 0)
    weight = np.where(inside, 1.0, np.nan)
    return Weights(cell[:, None], weight[:, None], np.where(inside, cell, -1))


def bilinear(grid: CellGrid, longitude: Floats, latitude: Floats) -> Weights:
    """The four centres around a place; at the rim of the grid those nearest to it."""
    row, column = grid.find(longitude, latitude)
    inside = np.isfinite(row)
    rows, columns = grid.shape
    row = np.clip(np.nan_to_num(row), 0, rows - 1)
    i = np.minimum(np.floor(row).astype(np.int64), rows - 2)
    column = np.nan_to_num(column)
    if grid.is_global:
        j = np.floor(column).astype(np.int64)
        left, right, v = j % columns, (j + 1) % columns, column - j
    else:
        column = np.clip(column, 0, columns - 1)
        left = np.minimum(np.floor(column).astype(np.int64), columns - 2)
        right, v = left + 1, column - left
    u = row - i
    cells = np.stack([i * columns + left, i * columns + right,
                      (i + 1) * columns + left, (i + 1) * columns + right], axis=1)  # fmt: skip
    weights = np.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], axis=1)
    weights = np.where(inside[:, None], weights, np.nan)
    close = nearest(grid, longitude, latitude).dominant
    return Weights(np.where(inside[:, None], cells, 0), weights, close)


def by_area(grid: CellGrid, shapes: Any, longitude: Floats, latitude: Floats) -> Weights:
    """Every cell by the share of an outline that lies in it.

    Parameters
    ----------
    grid : CellGrid
    shapes : geopandas.GeoSeries
        In EPSG:4326.
    longitude, latitude : numpy.ndarray
        A point of each outline, by which the grid is searched.
    """
    import shapely
    from pyproj import Transformer

    centre = float(np.median(longitude)), float(np.median(latitude))
    # In an equal-area projection the areas are true however far the outlines lie apart.
    plane = f"+proj=laea +lon_0={centre[0]:.6f} +lat_0={centre[1]:.6f} +datum=WGS84"
    polygons = shapes.to_crs(plane).to_numpy()
    cells, indices = _polygons_near(grid, Transformer.from_crs(4326, plane, always_xy=True), shapes)
    place, cell = shapely.STRtree(cells).query(polygons, predicate="intersects")
    area = shapely.area(shapely.intersection(polygons[place], cells[cell]))
    whole = shapely.area(polygons)
    order = np.lexsort((-area, place))
    place, cell, area = place[order], indices[cell[order]], area[order]
    count = np.bincount(place, minlength=len(polygons))
    rank = np.arange(place.size) - np.concatenate([[0], np.cumsum(count)])[place]
    shape = (len(polygons), max(int(count.max(initial=0)), 1))
    found, weights = np.zeros(shape, np.int64), np.zeros(shape)
    found[place, rank], weights[place, rank] = cell, area / whole[place]
    covered = weights.sum(axis=1)
    inside = covered > VALID_SHARE
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(inside[:, None], weights / covered[:, None], np.nan)
    return Weights(found, weights, np.where(inside, found[:, 0], -1))


def _polygons_near(grid: CellGrid, mover: Any, shapes: Any) -> tuple[Any, Integers]:
    """The cells around outlines as polygons, and their flat indices."""
    import shapely

    west, south, east, north = shapes.total_bounds
    lon, lat = grid.corners()
    middle = (west + east) / 2
    lon = middle + (lon - middle + 180) % 360 - 180
    boxes = [np.stack([a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]], axis=-1)
             for a in (lon, lat)]  # fmt: skip
    low, high = (np.stack([f(b, axis=-1) for b in boxes]) for f in (np.min, np.max))
    near = (high[0] >= west) & (low[0] <= east) & (high[1] >= south) & (low[1] <= north)
    # A cell that is cut by the far meridian would reach around the Earth.
    near &= high[0] - low[0] < 180
    indices = np.flatnonzero(near.ravel())
    rings = np.stack([b.reshape(-1, 4)[indices] for b in boxes], axis=-1)
    x, y = mover.transform(rings[..., 0], rings[..., 1])
    return shapely.polygons(np.stack([x, y], axis=-1)), indices


def values_at(field: xr.DataArray, weights: Weights, grid: CellGrid) -> Floats:
    """(time, place): weighted means of the cells of `field`; only those that count are read.

    Cells that never have a value, as those of the sea, are left out of the means.
    """
    cells, position = np.unique(weights.cells, return_inverse=True)
    i, j = np.unravel_index(cells, grid.shape)
    pick = {grid.dims[0]: xr.DataArray(i, dims="cell"), grid.dims[1]: xr.DataArray(j, dims="cell")}
    picked = field.isel(pick).transpose("time", "cell")
    values = np.asarray(picked.values, np.float64)
    ever = np.asarray(np.isfinite(values).any(axis=0))
    position = position.reshape(weights.cells.shape)
    kept = np.where(ever[position], weights.weights, 0.0)
    share = kept.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.where(share[:, None] >= VALID_SHARE, kept / share[:, None], np.nan)
    out = np.zeros((values.shape[0], len(kept)))
    for k in range(kept.shape[1]):
        # A cell without weight must not pass on its NaN.
        term = values[:, position[:, k]] * kept[:, k]
        out += np.where(kept[:, k] == 0, 0.0, term)
    return out


# --- geometry ------------------------------------------------------------------------------------


def _along(axis: Floats, at: Floats) -> Floats:
    """Index of places along an axis that rises or falls, in fractions; extended beyond its ends."""
    sign = 1.0 if axis[-1] > axis[0] else -1.0
    axis, at = sign * axis, sign * np.asarray(at, float)
    cell = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, axis.size - 2)
    return cell + (at - axis[cell]) / (axis[cell + 1] - axis[cell])


def _edges(axis: Floats) -> Floats:
    middle = (axis[:-1] + axis[1:]) / 2
    first, last = axis[0] - (middle[0] - axis[0]), axis[-1] + (axis[-1] - middle[-1])
    return np.concatenate([[first], middle, [last]])


def _corners_2d(mesh: Floats) -> Floats:
    """Corners between the centres of a mesh (rows, columns, 3), continued at its rim."""
    wide = np.concatenate([2 * mesh[:1] - mesh[1:2], mesh, 2 * mesh[-1:] - mesh[-2:-1]], axis=0)
    wide = np.concatenate(
        [2 * wide[:, :1] - wide[:, 1:2], wide, 2 * wide[:, -1:] - wide[:, -2:-1]], axis=1
    )
    return np.asarray((wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:]) / 4)


def _on_sphere(longitude: Floats, latitude: Floats) -> Floats:
    """Unit vectors: no seam at the date line, no pole."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _mix(a: Floats, b: Floats, c: Floats, d: Floats, u: Floats, v: Floats) -> Floats:
    u, v = u[:, None], v[:, None]
    return (1 - u) * ((1 - v) * a + v * b) + u * ((1 - v) * c + v * d)


def _least_squares(down: Floats, right: Floats, gap: Floats) -> tuple[Floats, Floats]:
    """The steps along two directions that come closest to `gap`, for many points at once."""
    dd, rr, dr = (down * down).sum(-1), (right * right).sum(-1), (down * right).sum(-1)
    gd, gr = (gap * down).sum(-1), (gap * right).sum(-1)
    determinant = dd * rr - dr * dr
    with np.errstate(invalid="ignore", divide="ignore"):
        return (gd * rr - gr * dr) / determinant, (gr * dd - gd * dr) / determinant
