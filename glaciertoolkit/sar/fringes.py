"""The phase that two orbits make of the terrain, taken off the second image."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import InputError
from glaciertoolkit.grids import Grid
from glaciertoolkit.provenance import recorded
from glaciertoolkit.sar.geocoding import DemGrid, ground_to_image, image_to_terrain
from glaciertoolkit.sar.geometry import RadarPair, geometries_of
from glaciertoolkit.sar.heights import Geoid, dem_grid

NODE = 8
"""Pixels between the nodes at which the difference of the ranges is computed."""

ROWS = 256
"""Lines that are turned at once."""


@recorded
def remove_fringes(
    pair: xr.Dataset, *, dem: str | os.PathLike[str] | Grid, geoid: Geoid | None = None
) -> xr.Dataset:
    """Take the phase of orbits and terrain off the secondary image.

    Between orbits hundreds of metres apart the phase turns several times within a template, and
    coherent correlation (``track(method="coherent")``) finds nothing. The amplitude stays as it
    is, so that the other methods need none of this.

    Parameters
    ----------
    pair : xarray.Dataset
        A complex pair in radar geometry, from `open_pair`.
    dem : path or xarray.DataArray
        Elevation, metres.
    geoid : optional
        What the elevations are measured from; see `sar.heights.dem_grid`.

    Returns
    -------
    xarray.Dataset
        `pair` with `secondary` multiplied by ``exp(4 pi i (R2 - R1) / wavelength)``, the slant
        ranges from both orbits to the ground that each pixel shows; lazy where it was. Pixels
        without a height keep their phase.

    Raises
    ------
    InputError
        The images are not complex, or not in radar geometry.
    GridError
        The DEM does not cover the scene.

    Notes
    -----
    What motion, the atmosphere and errors of the DEM do to the phase stays. Orbits as rounded as
    those of the products leave the phase uncertain as a whole, but not its change within a
    template.

    Examples
    --------
    >>> import tempfile, glaciertoolkit as gt
    >>> folder = tempfile.TemporaryDirectory()
    >>> files = gt.write_gf3_pair(gt.simulate_gf3(size=512, seed=3), folder.name)
    >>> dem = files["dem"]
    >>> pair = gt.open_pair(files["reference"], files["secondary"])
    >>> calm = gt.remove_fringes(pair, dem=dem)
    >>> calm.secondary.dtype.kind, calm.sizes == pair.sizes
    ('c', True)
    >>> folder.cleanup()
    """
    validate(pair, needs=("reference", "secondary"))
    geometries = geometries_of(pair)
    if pair["secondary"].dtype.kind != "c":
        raise InputError(
            "the images carry no phase (they are real), so there are no fringes to remove; open "
            "single-look complex products."
        )
    terrain = dem_grid(dem, geometries.secondary, geoid=geoid)
    flatten = functools.partial(_flattened, geometries=geometries, terrain=terrain)
    image = pair["secondary"].data
    if pair["secondary"].chunks is None:
        return pair.assign(secondary=(pair["secondary"].dims, flatten(image, origin=(0, 0))))
    import dask.array as da

    def block(part: Any, block_info: Any = None) -> Any:
        (first, _), (left, _) = block_info[0]["array-location"]
        return flatten(part, origin=(first, left))

    flat = da.map_blocks(block, image, dtype=image.dtype, meta=np.empty((0, 0), image.dtype))
    return pair.assign(secondary=(pair["secondary"].dims, flat, pair["secondary"].attrs))


def _flattened(
    image: npt.NDArray[Any], *, origin: tuple[int, int], geometries: RadarPair, terrain: DemGrid
) -> npt.NDArray[Any]:
    """A part of the secondary image, whose first pixel is `origin`, without its fringes.

    Nodes lie on one lattice over the whole image, so that parts do not differ from the whole.
    """
    from scipy.ndimage import map_coordinates

    starts = [k // NODE * NODE - NODE for k in origin]
    counts = [
        (k + n - start) // NODE + 3 for k, n, start in zip(origin, image.shape, starts, strict=True)
    ]
    line, sample = (start + NODE * np.arange(n) for start, n in zip(starts, counts, strict=True))
    longer = range_difference(geometries, line[:, None], sample[None, :], terrain)
    out = np.empty_like(image)
    columns = (origin[1] + np.arange(image.shape[1]) - starts[1]) / NODE
    factor = 4 * np.pi / geometries.secondary.wavelength
    for first in range(0, image.shape[0], ROWS):
        rows = np.arange(first, min(first + ROWS, image.shape[0]))
        places = np.meshgrid((origin[0] + rows - starts[0]) / NODE, columns, indexing="ij")
        # Linear between the nodes, so that no pixel depends on how the image is cut.
        phase = factor * map_coordinates(longer, places, order=1)
        turn = np.exp(1j * np.remainder(phase, 2 * np.pi)).astype(image.dtype)
        out[rows] = image[rows] * turn
    return out


def range_difference(
    geometries: RadarPair, line: Any, sample: Any, terrain: DemGrid
) -> npt.NDArray[np.float64]:
    """Slant range of the second pass less that of the first, metres, at pixels of the secondary.

    0 where the terrain is not known.
    """
    lon, lat, height = image_to_terrain(geometries.secondary, line, sample, terrain)
    there = ground_to_image(geometries.reference, lon, lat, height)[1]
    longer = geometries.secondary.range_of(sample) - geometries.reference.range_of(there)
    return np.asarray(np.nan_to_num(longer))
