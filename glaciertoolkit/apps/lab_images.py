"""What the tracking lab shows of large images: their means over blocks, in shades of grey."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

Array = npt.NDArray[np.float32]

CELLS = 640
"""Most cells along an edge of the overview: about as many as the map has pixels on a screen."""


class Overview(NamedTuple):
    """Both images, small enough for a screen, on (y, x); `block`: pixels (y, x) of a cell."""

    reference: xr.DataArray
    secondary: xr.DataArray
    block: tuple[int, int]


def overview(pair: xr.Dataset, cells: int = CELLS) -> Overview:
    """Means of both images over blocks of pixels, at most `cells` along each edge.

    Parameters
    ----------
    pair : xarray.Dataset
        `reference` and `secondary` on (y, x); lazy ones are read once, chunk by chunk. Of complex
        images the amplitudes are averaged.
    cells : int
        Most cells along an edge.
    """
    import dask

    block = {name: max(math.ceil(pair.sizes[name] / cells), 1) for name in ("y", "x")}
    images = pair[["reference", "secondary"]]
    images = images.map(lambda v: np.abs(v) if np.iscomplexobj(v) else v, keep_attrs=True)
    small = images.astype("float32").coarsen(block, boundary="trim").mean()
    with warnings.catch_warnings():
        # A block without a value has no mean.
        warnings.simplefilter("ignore", RuntimeWarning)
        (computed,) = dask.compute(small)
    return Overview(computed["reference"], computed["secondary"], (block["y"], block["x"]))


def grey_limits(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Between which values an image is drawn: all but the darkest and brightest hundredth."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (1, 99)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def first_place(view: Overview) -> tuple[float, float]:
    """x and y to begin with: nearest the middle of the cells with a value in both images."""
    valid = np.isfinite(view.reference.values) & np.isfinite(view.secondary.values)
    ny, nx = valid.shape
    rows, columns = np.nonzero(valid)
    if rows.size == 0:
        rows, columns = np.array([ny // 2]), np.array([nx // 2])
    nearest = int(np.argmin((rows / ny - 0.5) ** 2 + (columns / nx - 0.5) ** 2))
    return float(view.reference["x"][columns[nearest]]), float(view.reference["y"][rows[nearest]])
