"""The brightness that a DEM should have in a radar image, and where the image lies beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import InputError, ParameterError
from glaciertoolkit.grids import rasterize
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.sar import shift
from glaciertoolkit.sar.baselines import incidence
from glaciertoolkit.sar.geocoding import (
    DemGrid,
    ground_to_image,
    image_to_ground,
    image_to_terrain,
    sensitivities,
)
from glaciertoolkit.sar.geometry import RadarGeometry
from glaciertoolkit.sar.masks import dem_spacing, layover_shadow, metres_per_degree

Image = npt.NDArray[np.float32]
Looks = tuple[int, int]

ROWS = 128
"""Rows of the DEM projected at a time."""

LATTICE = 9
"""Nodes along each axis at which the line of sight is computed; between them it is linear."""

FINEST, COARSEST = 10.0, 50.0
"""Metres on the ground of a multilooked pixel, whatever the DEM."""

LEAST_RELIEF = 0.05
"""Spread of the logarithm of the simulated brightness below which the ground is too level."""

LEAST_QUALITY = 8.0
"""Height of the peak over the rms of the correlation elsewhere. The highest of some thousand
values of noise reaches 4 to 5."""

MOST_SECOND = 0.75
"""Height of the next peak over the highest above which the two are not told apart."""

SEARCH = 500.0


class Bias(NamedTuple):
    """Constant shift of a radar image against its geometry.

    `line` and `sample` are the pixels by which the image lies later and farther than the geometry
    says, beyond the geometry's own `bias`. `quality` is the height of the peak over the rms of the
    correlation elsewhere, `second` the highest of the other peaks over it (0 to 1), `correlation`
    the peak itself. Where `accepted` is False the shift means nothing.
    """

    line: float
    sample: float
    quality: float
    second: float
    correlation: float
    accepted: bool

    def applied_to(self, geometry: RadarGeometry) -> RadarGeometry:
        """`geometry` with this bias added to its own; as it is where the bias is not accepted."""
        if not self.accepted:
            return geometry
        line, sample = geometry.bias
        return replace(geometry, bias=(line + self.line, sample + self.sample))


def default_looks(geometry: RadarGeometry, dem: DemGrid) -> Looks:
    """Lines and samples per multilooked pixel: square, half as large as the cells of the DEM."""
    height = float(np.nanmedian(dem.height[::8, ::8]))
    lon, lat = image_to_ground(geometry, *geometry.centre, height)
    sine = np.sin(np.radians(float(incidence(geometry, lon, lat, height))))
    size = min(max(0.5 * dem_spacing(dem), FINEST), COARSEST)
    across = size * sine / geometry.range_spacing if np.isfinite(sine) else 1.0
    return max(round(size / geometry.azimuth_spacing), 1), max(round(across), 1)


def multilook(image: Any, *, looks: Looks) -> Any:
    """Mean intensity over blocks of pixels.

    Parameters
    ----------
    image : xarray.DataArray or numpy.ndarray, (y, x)
        Complex, or amplitude. NaN pixels take no part.
    looks : tuple of int
        Lines and samples of a block; what is left over at the far edges is dropped.

    Returns
    -------
    xarray.DataArray or numpy.ndarray, (y, x)
        Squared modulus, single precision; NaN where a block has no pixel. Lazy where the image is.

    Raises
    ------
    ParameterError
        If the looks are less than one, or more than the image has.

    Examples
    --------
    >>> import numpy as np
    >>> multilook(np.array([[1.0, 2.0, 9.0], [np.nan, 1.0, 9.0]]), looks=(2, 2))
    array([[2.]], dtype=float32)
    """
    if min(looks) < 1 or looks[0] > image.shape[0] or looks[1] > image.shape[1]:
        raise ParameterError(
            f"looks must be from 1 to the size of the image {tuple(image.shape)}; got {looks}."
        )
    if not isinstance(image, xr.DataArray):
        return _mean_power(np.asarray(image), looks)
    lines, samples = (n // k * k for n, k in zip(image.shape, looks, strict=True))
    cut = image[:lines, :samples]
    data = cut.data
    if cut.chunks is None:
        found = _mean_power(np.asarray(data), looks)
    else:
        # Blocks must not straddle chunks.
        whole = tuple(_whole(sizes, k) for sizes, k in zip(cut.chunks, looks, strict=True))
        left = tuple(tuple(n // k for n in sizes) for sizes, k in zip(whole, looks, strict=True))
        found = data.rechunk(whole).map_blocks(_mean_power, looks, dtype=np.float32, chunks=left)
    coords = {
        name: (name, cut[name].values.reshape(-1, k).mean(axis=1), cut[name].attrs)
        for name, k in zip(cut.dims, looks, strict=True)
        if name in cut.coords
    }
    return xr.DataArray(
        found, dims=cut.dims, coords=coords, attrs={"long_name": "multilooked intensity"}
    )


def simulate_intensity(
    geometry: RadarGeometry, dem: DemGrid, *, looks: Looks | None = None
) -> Image:
    """Brightness of the terrain in a radar image, without speckle.

    Parameters
    ----------
    geometry : RadarGeometry
    dem : DemGrid
        Ellipsoidal heights.
    looks : tuple of int, optional
        Lines and samples per pixel of the result; `default_looks` by default.

    Returns
    -------
    numpy.ndarray, (lines // looks[0], samples // looks[1])
        Brightness per area of slant range and azimuth, where level ground at 45 degrees of
        incidence has 1 per area of ground. 0 in shadow, NaN beyond the DEM.

    Notes
    -----
    Every facet of the DEM is cut into pieces finer than the pixels; each adds its area times
    ``cos(i) / (sin(i) + 0.1 cos(i))^3`` (Muhleman's law, i the local incidence) to the pixels in
    which it is seen. Facets in shadow add nothing; in layover all that fold over each other add up.

    References
    ----------
    Muhleman (1964), Radar scattering from Venus and the Moon, Astronomical Journal 69:34-41.
    Small (2011), Flattening gamma, IEEE Transactions on Geoscience and Remote Sensing 49:3081-3093.
    """
    from glaciertoolkit.sar import intensity_kernels as kernels

    along, across = default_looks(geometry, dem) if looks is None else looks
    if not (1 <= along <= geometry.lines and 1 <= across <= geometry.samples):
        raise ParameterError(
            f"looks must be from 1 to the size of the image ({geometry.lines}, "
            f"{geometry.samples}); got {(along, across)}."
        )
    shape = geometry.lines // along, geometry.samples // across
    dark = layover_shadow(geometry, dem).on_dem(dem).shadow
    power, covered = np.zeros(shape, np.float64), np.zeros(shape, np.bool_)
    rows, columns = dem.height.shape
    longitude = dem.west + dem.dlon * np.arange(columns)
    sight = _sight(geometry, dem)
    steps = (LATTICE - 1) / (rows - 1), (LATTICE - 1) / (columns - 1)
    for first in range(0, rows - 1, ROWS):
        here = slice(first, min(first + ROWS + 1, rows))
        latitude = dem.north + dem.dlat * np.arange(here.start, here.stop)
        height = np.asarray(dem.height[here], np.float64)
        line, sample = ground_to_image(geometry, longitude[None, :], latitude[:, None], height)
        north, east = metres_per_degree(latitude)
        kernels.scatter(
            (line - (along - 1) / 2) / along, (sample - (across - 1) / 2) / across, height,
            dark[here], east * dem.dlon, float(north.mean() * dem.dlat), sight,
            np.array([first * steps[0], 0.0, *steps]), power, covered,
        )  # fmt: skip
    power /= along * geometry.azimuth_spacing * across * geometry.range_spacing
    power[~covered] = np.nan
    return power.astype(np.float32)


def estimate_bias(
    intensity: npt.NDArray[Any], simulated: npt.NDArray[Any], *, looks: Looks,
    search: tuple[int, int],
) -> Bias:  # fmt: skip
    """Constant shift between a multilooked image and its simulation.

    Parameters
    ----------
    intensity, simulated : numpy.ndarray, (y, x)
        As from `multilook` and `simulate_intensity`, with the same looks.
    looks : tuple of int
        Lines and samples per pixel of both.
    search : tuple of int
        Largest shift, in lines and samples of the full image.

    Returns
    -------
    Bias
        Lines and samples of the full image by which `intensity` lies later and farther; refused
        where the ground is too level, the peak does not stand out, or it lies at the end of the
        search.

    Raises
    ------
    InputError
        If the two differ in size, or are too small for the search.

    Notes
    -----
    Logarithms of both, less their means over the surroundings; correlated by FFT; the peak
    by splines of the fifth degree, again over the ground that both show.
    """
    if intensity.shape != simulated.shape:
        raise InputError(
            f"the image has {intensity.shape} multilooked pixels, its simulation "
            f"{simulated.shape}; take the same looks and the geometry of this image."
        )
    reach = max(-(-search[0] // looks[0]), 2), max(-(-search[1] // looks[1]), 2)
    # Beyond the search the correlation shows how high chance peaks are.
    wide = reach[0] + shift.NEIGHBOURHOOD, reach[1] + shift.NEIGHBOURHOOD
    if any(n < 2 * k for n, k in zip(intensity.shape, wide, strict=True)):
        raise InputError(
            f"the image ({intensity.shape} multilooked pixels) is too small for a search of "
            f"{reach} of them; search less far, or take fewer looks."
        )
    relief, seen = shift.contrast(simulated), shift.contrast(intensity)
    if relief.std() < LEAST_RELIEF or not seen.any():
        return Bias(np.nan, np.nan, 0.0, 1.0, 0.0, False)
    peak = shift.highest(shift.correlation(seen, relief, wide), reach)
    accepted = peak.inside and peak.quality >= LEAST_QUALITY and peak.second <= MOST_SECOND
    row, column = peak.row, peak.column
    if accepted:
        row, column = shift.on_common_ground(intensity, simulated, peak)
    return Bias(row * looks[0], column * looks[1], peak.quality, peak.second, peak.height, accepted)


def estimate_geolocation_bias(
    image: xr.DataArray | npt.NDArray[Any], geometry: RadarGeometry, dem: DemGrid, *,
    looks: Looks | None = None, search_metres: float = SEARCH, exclude: Polygons | None = None,
) -> Bias:  # fmt: skip
    """Constant error of the timing and of the range of an image, by matching it to the terrain.

    Parameters
    ----------
    image : xarray.DataArray or numpy.ndarray, (y, x)
        Complex or amplitude, the whole image of `geometry`; a lazy one is read block by block.
    geometry : RadarGeometry
    dem : DemGrid
        Ellipsoidal heights.
    looks : tuple of int, optional
        Lines and samples averaged; `default_looks` by default.
    search_metres : float
        Largest shift looked for, metres of azimuth and of slant range.
    exclude : path, GeoDataFrame, GeoSeries or shapely geometry, optional
        Ground that is left out: glaciers, water. They are darker or brighter than rock and lie in
        the valleys, which draws the match by several metres.

    Returns
    -------
    Bias
        ``bias.applied_to(geometry)`` is the geometry that fits the image. Errors of tens of metres
        are normal for GF-3.

    Raises
    ------
    InputError
        If the image is not that of the geometry.
    ParameterError
        If the search is not positive.
    """
    if tuple(image.shape) != (geometry.lines, geometry.samples):
        raise InputError(
            f"the image has {tuple(image.shape)} lines and samples, its geometry "
            f"({geometry.lines}, {geometry.samples}); give the whole image, or `shifted` geometry."
        )
    if not search_metres > 0:
        raise ParameterError(f"search_metres must be positive; got {search_metres!r} m.")
    looks = default_looks(geometry, dem) if looks is None else looks
    intensity = np.asarray(multilook(image, looks=looks))
    search = (
        int(np.ceil(search_metres / geometry.azimuth_spacing)),
        int(np.ceil(search_metres / geometry.range_spacing)),
    )
    simulated = simulate_intensity(geometry, dem, looks=looks)
    if exclude is not None:
        simulated[_inside(exclude, geometry, dem, looks, simulated.shape)] = np.nan
    return estimate_bias(intensity, simulated, looks=looks, search=search)


def _inside(
    polygons: Polygons, geometry: RadarGeometry, dem: DemGrid, looks: Looks, shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Which multilooked pixels show the ground inside polygons."""
    line, sample = ((np.arange(n) + 0.5) * k - 0.5 for n, k in zip(shape, looks, strict=True))
    lon, lat, _ = image_to_terrain(geometry, line[:, None], sample[None, :], dem)
    grid = xr.Dataset(
        coords={
            "y": line * geometry.azimuth_spacing,
            "x": geometry.near_range + sample * geometry.range_spacing,
            "longitude": (("y", "x"), lon),
            "latitude": (("y", "x"), lat),
        }
    )
    return np.asarray(rasterize(polygons, grid, allow_empty=True).values, bool)


def _mean_power(image: npt.NDArray[Any], looks: Looks) -> Image:
    from glaciertoolkit.sar import intensity_kernels as kernels

    if image.dtype not in (np.complex64, np.complex128, np.float32, np.float64):
        image = image.astype(np.float32)
    out = np.empty((image.shape[0] // looks[0], image.shape[1] // looks[1]), np.float32)
    kernels.mean_power(image, *looks, out)
    return out


def _whole(sizes: tuple[int, ...], step: int) -> tuple[int, ...]:
    """Chunks near `sizes` whose borders are multiples of `step`, as the last border is."""
    borders = np.unique(np.rint(np.cumsum(sizes) / step).astype(int)) * step
    return tuple(int(n) for n in np.diff(borders, prepend=0) if n > 0)


def _sight(geometry: RadarGeometry, dem: DemGrid) -> npt.NDArray[np.float64]:
    """Lines of sight on a coarse lattice over the DEM, (3, LATTICE, LATTICE)."""
    rows, columns = dem.height.shape
    lat = dem.north + dem.dlat * np.linspace(0, rows - 1, LATTICE)
    lon = dem.west + dem.dlon * np.linspace(0, columns - 1, LATTICE)
    height = 0.5 * (dem.limits[0] + dem.limits[1])
    return sensitivities(geometry, lon[None, :], lat[:, None], height)[0]
