"""A raster of any CRS and resolution onto the posts of a velocity grid."""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import VARIABLES, variable_attrs
from glaciertoolkit.errors import GlacierToolkitWarning, GridError, ParameterError
from glaciertoolkit.grids.located import Located, is_located
from glaciertoolkit.grids.posts import (
    TOLERANCE,
    Grid,
    apply_transform,
    crs_of,
    extent,
    on_posts,
    post_bounds,
    post_transform,
    shift_transform,
)
from glaciertoolkit.grids.sources import Raster, opened

if TYPE_CHECKING:
    from affine import Affine

METHODS = ("nearest", "bilinear", "cubic", "average")

WINDOW = 4096
"""Edge, in pixels, of the largest window of a source that is read at once."""

_MARGIN = {"nearest": 1, "bilinear": 2, "cubic": 3}


def match_raster(
    source: str | os.PathLike[str] | Grid,
    like: Grid,
    *,
    method: str | None = None,
    name: str | None = None,
    band: int = 1,
    min_coverage: float = 0.5,
) -> xr.DataArray:
    """Bring a raster onto the posts of another grid, whatever its CRS and resolution.

    Parameters
    ----------
    source : path or xarray.DataArray
        A DEM, a mask or a climate field. A file is read only over the posts, with its nodata
        value, mask, scale and offset respected. A lazy DataArray is computed only there.
        Dimensions named latitude and longitude without a CRS count as EPSG:4326.
    like : xarray.Dataset or xarray.DataArray
        The grid with the posts: coordinates ``y``, ``x`` and a CRS. Without a CRS, `source`
        must have none either; both then share their coordinates.
    method : {"nearest", "bilinear", "cubic", "average"}, optional
        "average" is the mean over the cell of a post, and the default where a cell is two pixels
        of the source or more each way; else the default is "bilinear".
    name : str, optional
        Name of the result; by default that of the source.
    band : int
        Which band of a file, from 1.
    min_coverage : float
        Share of posts with a value below which a `GlacierToolkitWarning` is given.

    Returns
    -------
    xarray.DataArray
        float32, (y, x), on the posts of `like`; NaN where the source has no value.

    Raises
    ------
    GridError
        No CRS, no overlap, an irregular grid, or no value at all over the posts.
    FileError
        The file is missing or not a raster.
    ParameterError
        Unknown method, or a band that the file does not have.

    Notes
    -----
    Missing pixels never enter a value: their weight is shared among the others. A post that lies
    on a missing pixel is NaN, and so is a cell average of which less than half is known.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dem = xr.DataArray(np.tile(np.arange(6.0), (6, 1)), dims=("y", "x"),
    ...                    coords={"y": 10.0 * np.arange(6), "x": 10.0 * np.arange(6)})
    >>> posts = xr.Dataset(coords={"y": [20.0, 30.0], "x": [15.0, 25.0, 35.0]})
    >>> match_raster(dem, posts).values[0].tolist()
    [1.5, 2.5, 3.5]
    """
    if method is not None and method not in METHODS:
        raise ParameterError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    if is_located(like):
        posts = Located.of(like)
        return posts.take(
            match_raster(
                source, posts.grid, method=method, name=name, band=band, min_coverage=min_coverage
            )
        )
    target = post_transform(like)
    with opened(source, band) as raster:
        crs, source_crs = _both_crs(raster, like)
        ratio = _pixels_per_post(raster, target, like, crs, source_crs)
        chosen = method or ("average" if min(ratio) > 2 - TOLERANCE else "bilinear")
        out = np.full((like.sizes["y"], like.sizes["x"]), np.nan, np.float32)
        reached = False
        for rows, cols in _tiles(out.shape, max(1, int(WINDOW / max(ratio)))):
            warp = _Warp(raster, source_crs, target, crs, chosen, ratio)
            reached |= warp.fill(out[rows, cols], rows.start, cols.start)
        _check_coverage(out, raster, like, crs, source_crs, reached, min_coverage)
        result = on_posts(out, like, name=name or raster.name)
        kept = {k: raster.attrs[k] for k in ("units", "long_name") if k in raster.attrs}
    known = variable_attrs(str(result.name)) if result.name in VARIABLES else {}
    result.attrs = {**kept, **known, **result.attrs, "resampling": chosen}
    return result


def pixel_size(source: str | os.PathLike[str] | Grid, like: Grid) -> tuple[float, float]:
    """Edges of a pixel of a raster along y and along x of another grid, in its units.

    Parameters
    ----------
    source, like
        As for `match_raster`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> fine = xr.DataArray(np.zeros((4, 4)), dims=("y", "x"),
    ...                     coords={"y": 2.0 * np.arange(4), "x": 5.0 * np.arange(4)})
    >>> pixel_size(fine, xr.Dataset(coords={"y": [0.0, 100.0], "x": [0.0, 100.0]}))
    (2.0, 5.0)
    """
    target = post_transform(like)
    with opened(source, 1) as raster:
        crs, source_crs = _both_crs(raster, like)
        per_y, per_x = _pixels_per_post(raster, target, like, crs, source_crs)
    return abs(target.e) / per_y, abs(target.a) / per_x


class _Warp(NamedTuple):
    """How a tile of posts is filled from a source."""

    raster: Raster
    source_crs: Any
    target: Affine
    crs: Any
    method: str
    ratio: tuple[float, float]

    def fill(self, tile: npt.NDArray[np.float32], row: int, col: int) -> bool:
        """Write into `tile`, whose first post is (row, col); whether the source reaches it."""
        transform = shift_transform(self.target, column=col, row=row)
        reached = False
        for turn, rows, cols in self._windows(tile.shape, transform):
            reached = True
            pixels = self._padded(rows, cols)
            if not np.isfinite(pixels).any():
                continue
            # The projection library gives longitudes between -180 and 180.
            column = cols.start - 360.0 * turn / self.raster.transform.a
            origin = shift_transform(self.raster.transform, column=column, row=rows.start)
            values = self._reproject(pixels, origin, tile.shape, transform)
            np.copyto(tile, values, where=np.isnan(tile))
        return reached

    def _windows(
        self, shape: tuple[int, ...], transform: Affine
    ) -> Iterator[tuple[int, slice, slice]]:
        """The windows of the source under a tile: one, or two where longitudes wrap within it."""
        height, width = self.raster.shape
        columns, lines, turns = self._source_pixels(shape, transform)
        margin = _MARGIN.get(self.method) or math.ceil(max(self.ratio)) + 2
        for turn in np.unique(turns):
            c, r = columns[turns == turn], lines[turns == turn]
            slack = margin + 0.01 * max(float(np.ptp(c)), float(np.ptp(r)))
            left, right = math.floor(c.min() - slack), math.ceil(c.max() + slack)
            top, bottom = math.floor(r.min() - slack), math.ceil(r.max() + slack)
            # One missing pixel around the source, so that its edge is seen.
            left, right = max(left, -1), min(right, width + 1)
            top, bottom = max(top, -1), min(bottom, height + 1)
            if min(right, width) > max(left, 0) and min(bottom, height) > max(top, 0):
                yield int(turn), slice(top, bottom), slice(left, right)

    def _source_pixels(
        self, shape: tuple[int, ...], transform: Affine
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Column, row and turn of the globe, in the source, of points spread over a tile."""
        c, r = np.meshgrid(np.linspace(0, shape[1], 21), np.linspace(0, shape[0], 21))
        x, y = apply_transform(transform, c.ravel(), r.ravel())
        x, y = _transformed(x, y, self.crs, self.source_crs)
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        turns = np.zeros(x.size, np.int64)
        if self.source_crs.is_geographic:
            ends, _ = apply_transform(self.raster.transform, [0, self.raster.shape[1]], [0, 0])
            west = ends.min()
            turns = -np.floor((x - west) / 360.0).astype(np.int64)
        columns, lines = apply_transform(~self.raster.transform, x + 360.0 * turns, y)
        return columns, lines, turns

    def _padded(self, rows: slice, cols: slice) -> npt.NDArray[np.float32]:
        """The pixels of a window that may reach one pixel beyond the source."""
        out = np.full((rows.stop - rows.start, cols.stop - cols.start), np.nan, np.float32)
        height, width = self.raster.shape
        r = slice(max(rows.start, 0), min(rows.stop, height))
        c = slice(max(cols.start, 0), min(cols.stop, width))
        inside = out[
            r.start - rows.start : r.stop - rows.start, c.start - cols.start : c.stop - cols.start
        ]
        inside[...] = self.raster.read(r, c)
        return out

    def _reproject(
        self,
        pixels: npt.NDArray[np.float32],
        origin: Affine,
        shape: tuple[int, ...],
        transform: Affine,
    ) -> npt.NDArray[np.float32]:
        def warp(array: npt.NDArray[np.float32], **options: Any) -> npt.NDArray[np.float32]:
            return _warped(array, self, origin, shape, transform, options)

        if self.method != "average":
            # GDAL guesses the scale from the shape of the window, wrongly for a turned grid,
            # and widens its kernel by it.
            return warp(pixels, XSCALE="1", YSCALE="1")
        values = warp(pixels)
        missing = np.isnan(pixels)
        if missing.any():
            values[warp((~missing).astype(np.float32)) < 0.5] = np.nan
        return values


def _warped(
    array: npt.NDArray[np.float32],
    warp: _Warp,
    origin: Affine,
    shape: tuple[int, ...],
    transform: Affine,
    options: dict[str, Any],
) -> npt.NDArray[np.float32]:
    """GDAL's warp of `array`, whose origin is `origin`, onto a tile of posts."""
    from rasterio.io import MemoryFile
    from rasterio.vrt import WarpedVRT
    from rasterio.warp import Resampling

    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": "float32",
        "height": array.shape[0],
        "width": array.shape[1],
        "crs": warp.source_crs,
        "transform": origin,
        "nodata": np.nan,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(array, 1)
        with (
            memory.open() as file,
            WarpedVRT(
                file,
                crs=warp.crs,
                transform=transform,
                height=shape[0],
                width=shape[1],
                resampling=Resampling[warp.method],
                nodata=np.nan,
                dtype="float32",
                # rasterio.warp.reproject is bound to 1/8 of a pixel; 0 fails.
                tolerance=1e-6,
                **options,
            ) as view,
        ):
            return np.asarray(view.read(1))


def _tiles(shape: tuple[int, ...], edge: int) -> Iterator[tuple[slice, slice]]:
    for row, col in itertools.product(range(0, shape[0], edge), range(0, shape[1], edge)):
        yield slice(row, min(row + edge, shape[0])), slice(col, min(col + edge, shape[1]))


def _transformed(x: Any, y: Any, crs: Any, to: Any) -> tuple[Any, Any]:
    from rasterio.warp import transform

    if crs == to:
        return np.asarray(x, float), np.asarray(y, float)
    xs, ys = transform(crs, to, x, y)
    return np.asarray(xs, float), np.asarray(ys, float)


def _both_crs(raster: Raster, like: Grid) -> tuple[Any, Any]:
    """The CRS of the posts and of the source; a common stand-in where neither has one."""
    crs = crs_of(like)
    if (crs is None) != (raster.crs is None):
        lacking, other = ("grid", raster.label) if crs is None else (raster.label, "grid")
        raise GridError(
            f"the {lacking} has no CRS but the {other} has one; "
            'set it with rio.write_crs("EPSG:...").'
        )
    if crs is not None:
        return crs, raster.crs
    from rasterio.crs import CRS

    local = CRS.from_wkt('LOCAL_CS["posts",UNIT["metre",1]]')
    return local, local


def _pixels_per_post(
    raster: Raster, target: Affine, like: Grid, crs: Any, source_crs: Any
) -> tuple[float, float]:
    """Pixels of the source between two posts along y and along x, in the middle of the grid."""
    col, row = like.sizes["x"] / 2, like.sizes["y"] / 2
    x, y = apply_transform(target, np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    x, y = _transformed(x, y, crs, source_crs)
    c, r = apply_transform(~raster.transform, x, y)
    steps = np.hypot(np.diff(c)[0], np.diff(r)[0]), np.hypot(c[2] - c[0], r[2] - r[0])
    if not np.all(np.isfinite(steps)):
        raise GridError(f"the {raster.label} is in a CRS that is not defined where the posts are.")
    return float(steps[1]), float(steps[0])


def _check_coverage(
    out: npt.NDArray[np.float32],
    raster: Raster,
    like: Grid,
    crs: Any,
    source_crs: Any,
    reached: bool,
    least: float,
) -> None:
    share = float(np.isfinite(out).mean())
    if not share:
        height, width = raster.shape
        corners = np.array([0, width, 0, width]), np.array([0, 0, height, height])
        x, y = _transformed(*apply_transform(raster.transform, *corners), source_crs, crs)
        here = extent((x.min(), y.min(), x.max(), y.max()))
        if reached:
            raise GridError(
                f"the {raster.label} has no valid value at any post, "
                f"though it reaches them ({here} in the grid's CRS); check its nodata value."
            )
        raise GridError(
            f"the {raster.label} does not overlap the grid: it covers {here} in the grid's CRS, "
            f"the grid {extent(post_bounds(like))}; choose one of the same place."
        )
    if share < least:
        warnings.warn(
            f"the {raster.label} has a value at only {share:.0%} of the posts.",
            GlacierToolkitWarning,
            stacklevel=3,
        )
