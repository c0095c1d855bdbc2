"""Where the values of a sample lie, and what their neighbourhood costs in independent values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.errors import InputError
from glaciertoolkit.grids import grid_spacing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EARTH_RADIUS = 6_371_008.8
"""m, of the sphere that has the volume of the Earth."""
MOST_PAIRED = 3000
"""Scattered values beyond this number are thinned: their pairs are all looked at."""
FEWEST_INDEPENDENT = 3.0
"""What two maps hold at least: with fewer, no test has a degree of freedom left."""
_CLASSES = 100
_SEED = 20190903


@dataclass(frozen=True)
class Sites:
    """Places of n values.

    Attributes
    ----------
    points : numpy.ndarray, shape (n, 2)
        x and y, m.
    cells : numpy.ndarray of int, shape (n, 2), optional
        Row and column, where the values lie on a regular grid.
    spacing : tuple of float
        Of the rows and the columns, m.
    """

    points: Floats
    cells: Ints | None = None
    spacing: tuple[float, float] = (1.0, 1.0)

    def __len__(self) -> int:
        return len(self.points)

    def take(self, which: npt.NDArray[Any]) -> Sites:
        """The sites that a mask or an index selects."""
        cells = None if self.cells is None else self.cells[which]
        return Sites(self.points[which], cells, self.spacing)

    def effective_size(self, x: Floats, y: Floats) -> float:
        """Number of independent pairs in two finite fields on these sites (`effective_pairs`)."""
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return float("nan")
        if self.cells is not None:
            found = _on_grid(x, y, self.cells, self.spacing)
        else:
            found = _scattered(x, y, self.points)
        return float(np.clip(found, min(FEWEST_INDEPENDENT, x.size), x.size))


def sites_of(ds: xr.Dataset | xr.DataArray) -> Sites:
    """All posts of a grid, row by row."""
    if in_radar_geometry(ds) or not {"y", "x"} <= set(ds.coords):
        raise InputError(
            "distances between posts need a map with coordinates y and x; "
            "bring the motion onto one with to_map()."
        )
    dy, dx = grid_spacing(ds)
    rows, cols = np.indices((ds.sizes["y"], ds.sizes["x"]))
    cells = np.column_stack([rows.ravel(), cols.ravel()]).astype(np.int64)
    points = np.column_stack([cells[:, 1] * dx, cells[:, 0] * dy]).astype(np.float64)
    return Sites(points, cells, (float(dy), float(dx)))


def sites_from_points(points: npt.ArrayLike, size: int) -> Sites:
    """Scattered sites, x and y in metres."""
    found = np.asarray(points, np.float64)
    if found.shape != (size, 2):
        raise InputError(
            f"coordinates must be an array of {size} rows and two columns, x and y in metres; "
            f"got the shape {found.shape}."
        )
    return Sites(found)


def metres_of_degrees(longitude: npt.ArrayLike, latitude: npt.ArrayLike) -> Floats:
    """Longitude and latitude as metres east and north of their centre, shape (n, 2).

    Good to about a percent over a mountain range: enough for classes of distance.
    """
    lon, lat = np.radians(np.asarray(longitude, float)), np.radians(np.asarray(latitude, float))
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return np.full((lon.size, 2), np.nan)
    middle = math.atan2(float(np.sin(lon[known]).mean()), float(np.cos(lon[known]).mean()))
    east = (lon - middle + np.pi) % (2 * np.pi) - np.pi
    return EARTH_RADIUS * np.column_stack([east * np.cos(lat[known].mean()), lat])


def _independent(
    pairs: Floats, products: tuple[Floats, Floats, Floats], rows: tuple[Floats, Floats]
) -> float:
    """Dutilleul's effective size from sums over both correlation matrices, centred."""
    n = float(rows[0].size)
    across = float((pairs * products[2]).sum())
    of_x, of_y = (n - float(r.sum()) / n for r in rows)
    both = across - 2 / n * float(rows[0] @ rows[1]) + float(rows[0].sum() * rows[1].sum()) / n**2
    return 1 + of_x * of_y / both if both > 0 else n


def _on_grid(x: Floats, y: Floats, cells: Ints, spacing: tuple[float, float]) -> float:
    """`effective_pairs` on a grid with holes, all lags at once by Fourier transforms."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    where = tuple((cells - cells.min(axis=0)).T)
    shape = [int(c.max()) + 1 for c in where]
    padded = [next_fast_len(2 * s, real=True) for s in shape]

    def spectrum(values: Any) -> Any:
        field = np.zeros(shape)
        field[where] = values
        return rfft2(field, padded)

    known = spectrum(1.0)
    pairs = np.asarray(np.rint(irfft2(np.abs(known) ** 2, padded)), np.float64)
    lag_y, lag_x = (np.fft.fftfreq(s, 1 / s) * d for s, d in zip(padded, spacing, strict=True))
    classes = np.rint(np.hypot(lag_y[:, None], lag_x[None, :]) / min(spacing)).astype(np.int64)
    number = np.asarray(np.bincount(classes.ravel(), pairs.ravel()), np.float64)

    def correlogram(values: Floats) -> Floats:
        products = irfft2(np.abs(spectrum(values - values.mean())) ** 2, padded)
        sums = np.bincount(classes.ravel(), products.ravel())
        means = np.divide(sums, number, out=np.zeros_like(sums), where=number > 0)
        return np.asarray(means / means[0])

    def row_sums(correlation: Floats) -> Floats:
        spread = irfft2(rfft2(correlation[classes]) * known, padded)
        return np.asarray(spread[: shape[0], : shape[1]][where])

    of_x, of_y = correlogram(x), correlogram(y)
    return _independent(number, (of_x, of_y, of_x * of_y), (row_sums(of_x), row_sums(of_y)))


def distance_classes(points: Floats) -> tuple[npt.NDArray[np.int32], int]:
    """Class of distance of each pair (n, n), 0 for a value with itself, and their number.

    All classes hold about as many pairs, so that short distances are told apart finely.
    """
    from scipy.spatial.distance import pdist, squareform

    distance = pdist(points)
    wanted = int(np.clip(len(points) // 2, 4, _CLASSES))
    edges = np.unique(np.quantile(distance, np.linspace(0, 1, wanted + 1)[1:-1]))
    classes = np.searchsorted(edges, distance, side="left").astype(np.int32) + 1
    return squareform(classes), edges.size + 2


def _scattered(x: Floats, y: Floats, points: Floats) -> float:
    """`effective_pairs` of scattered values, from all pairs of them."""
    if len(points) > MOST_PAIRED:
        some = np.random.default_rng(_SEED).choice(len(points), MOST_PAIRED, replace=False)
        # What a sample holds, the whole holds at least.
        return _scattered(x[some], y[some], points[some])
    classes, size = distance_classes(points)
    flat = classes.ravel()
    number = np.bincount(flat, minlength=size).astype(float)

    def correlogram(values: Floats) -> Floats:
        z = values - values.mean()
        sums = np.bincount(flat, np.outer(z, z).ravel(), minlength=size)
        means = np.divide(sums, number, out=np.zeros_like(sums), where=number > 0)
        return np.asarray(means / means[0])

    of_x, of_y = correlogram(x), correlogram(y)
    rows = tuple(c[classes].sum(axis=1) for c in (of_x, of_y))
    return _independent(number, (of_x, of_y, of_x * of_y), (rows[0], rows[1]))
