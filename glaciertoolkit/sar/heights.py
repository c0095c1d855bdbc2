"""The terrain for the radar: heights above the ellipsoid on longitudes and latitudes."""

from __future__ import annotations

import os
import warnings
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, GridError, InputError, ParameterError
from glaciertoolkit.grids import Grid, match_raster, pixel_size
from glaciertoolkit.sar.geocoding import DemGrid, image_to_ground
from glaciertoolkit.sar.geometry import RadarGeometry

Geoid = str | os.PathLike[str] | float | xr.DataArray
"""What `geoid` may be: see `dem_grid`."""

ELLIPSOIDAL = "ellipsoidal"
GEOID = "geoid"
"""Attribute of a Dataset: what the elevations of its DEM were said to be measured from."""

DATUM_TAG = "VERTICAL_DATUM"
"""Tag of a DEM's file that may say so too."""

MODELS = {"egm96": 5773, "egm2008": 3855}
EARTH = (-500.0, 9000.0)
"""Metres: no ground is lower or higher."""

METRES_PER_DEGREE = 111_320.0
FINEST = 8.0
"""Metres: finer DEMs are averaged, as the radar sees nothing of it."""


def dem_grid(
    dem: str | os.PathLike[str] | Grid, geometry: RadarGeometry, *, geoid: Geoid | None = None
) -> DemGrid:
    """The terrain under a radar image, as heights above the ellipsoid.

    Parameters
    ----------
    dem : path or xarray.DataArray
        Elevation, metres, in any CRS and resolution.
    geometry : RadarGeometry
        Of the image.
    geoid : optional
        What the elevations are measured from: "ellipsoidal"; a height of the geoid above the
        ellipsoid in metres (about -30 to -60 in High Mountain Asia); a raster of it; or "egm96" or
        "egm2008" where the projection library has the grid. Without it they are taken as
        ellipsoidal, with a warning, unless a tag VERTICAL_DATUM of the DEM's file says that they
        are.

    Returns
    -------
    DemGrid

    Raises
    ------
    GridError
        The DEM does not cover the scene, or has no CRS.
    InputError
        The geoid is not available.

    Notes
    -----
    Taking heights above sea level for heights above the ellipsoid moves the scene on the map by
    ``N / tan(incidence)``: 64 m for N = 45 m at 35 degrees.
    """
    box = _reach(geometry)
    at_middle = _geographic(box, 1 / 3600)
    edge = max(*pixel_size(dem, at_middle), FINEST / METRES_PER_DEGREE)
    like = _geographic(box, edge)
    with warnings.catch_warnings():
        # The box holds the ground of any height; that the DEM does not fill it says nothing.
        warnings.filterwarnings("ignore", category=GlacierToolkitWarning)
        found = match_raster(dem, like)
    heights = found.values
    known = np.isfinite(heights)
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    lat, lon = like["y"].values[part[0]], like["x"].values[part[1]]
    if lat.size < 2 or lon.size < 2:
        raise GridError(
            "the DEM holds no heights under the radar scene; choose one that covers it."
        )
    height = np.ascontiguousarray(heights[part])
    if geoid is None and _says_ellipsoidal(dem):
        geoid = ELLIPSOIDAL
    height += undulation(geoid, like.isel(y=part[0], x=part[1]))
    out = DemGrid(height, float(lon[0]), edge, float(lat[0]), -edge)
    _check_cover(out, geometry)
    return out


def remembered(geoid: Geoid | None) -> dict[str, str | float]:
    """The attribute that tells later steps what `geoid` was; none for a raster in memory."""
    if isinstance(geoid, str | os.PathLike):
        return {GEOID: os.fspath(geoid)}
    return {GEOID: float(geoid)} if isinstance(geoid, Real) else {}


def _says_ellipsoidal(dem: Any) -> bool:
    """Whether the file of a DEM says that its heights are those above the ellipsoid."""
    if not isinstance(dem, str | os.PathLike):
        return False
    import rasterio

    with rasterio.open(dem) as source:
        return ELLIPSOIDAL[:6] in str(source.tags().get(DATUM_TAG, "")).lower()


def undulation(geoid: Geoid | None, like: xr.Dataset) -> Any:
    """Height of the geoid above the ellipsoid, metres, on a grid of longitudes and latitudes."""
    if geoid is None:
        warnings.warn(
            "the heights of the DEM are taken as heights above the ellipsoid; most DEMs give them "
            "above the geoid, which moves the map by some tens of metres: give geoid=, a raster or "
            "a number of metres, or geoid='ellipsoidal' if they are ellipsoidal.",
            GlacierToolkitWarning,
            stacklevel=4,
        )
        return np.float32(0)
    if isinstance(geoid, Real) and not isinstance(geoid, bool):
        if not abs(float(geoid)) < 120:
            raise ParameterError(
                f"the geoid lies within 110 m of the ellipsoid; got geoid={geoid!r}."
            )
        return np.float32(geoid)
    if isinstance(geoid, str) and geoid == ELLIPSOIDAL:
        return np.float32(0)
    if isinstance(geoid, str) and geoid in MODELS:
        return _from_model(geoid, like)
    if isinstance(geoid, str | os.PathLike | xr.DataArray):
        return match_raster(geoid, like, method="bilinear").values
    raise ParameterError(
        "geoid must be 'ellipsoidal', a number of metres, a raster, 'egm96' or 'egm2008'; "
        f"got {geoid!r:.80}."
    )


def _from_model(geoid: str, like: xr.Dataset) -> np.ndarray:
    """The undulation of a model whose grid the projection library has."""
    from pyproj import CRS, Transformer

    up = CRS.from_epsg(4979)
    lon, lat = np.meshgrid(like["x"].values[::16], like["y"].values[::16])
    source = CRS.from_user_input(f"EPSG:4326+{MODELS[geoid]}")
    with warnings.catch_warnings():
        # Without the grid it warns and leaves heights as they are, which is an error here.
        warnings.simplefilter("ignore", UserWarning)
        to_ellipsoid = Transformer.from_crs(source, up, always_xy=True)
        *_, height = to_ellipsoid.transform(lon, lat, np.zeros(lon.shape))
    if not np.isfinite(height).all() or not np.any(height):
        raise InputError(
            f"the grid of the geoid {geoid} is not installed with the projection library; give a "
            "raster of the geoid's height (geoid=FILE) or a number of metres."
        )
    coarse = xr.DataArray(
        height, {"y": like["y"].values[::16], "x": like["x"].values[::16]}, ("y", "x")
    )
    dense = coarse.interp(
        y=like["y"].values, x=like["x"].values, kwargs={"fill_value": "extrapolate"}
    )
    return np.asarray(dense.values, np.float32)


def _reach(geometry: RadarGeometry) -> tuple[float, float, float, float]:
    """West, south, east and north of all ground that the image can show, whatever its height."""
    lines = np.linspace(0, geometry.lines - 1, 5)[:, None, None]
    samples = np.array([0.0, geometry.samples - 1])[None, :, None]
    lon, lat = image_to_ground(geometry, lines, samples, np.array(EARTH))
    if not np.isfinite(lon).all():
        raise InputError(
            "the image does not meet the ground where its orbit and timing put it; nearRange, the "
            "times or the state vectors of the product are wrong."
        )
    margin = 0.01
    return (
        float(lon.min()) - margin, float(lat.min()) - margin,
        float(lon.max()) + margin, float(lat.max()) + margin,
    )  # fmt: skip


def _geographic(box: tuple[float, float, float, float], edge: float) -> xr.Dataset:
    """A grid of longitudes and latitudes over a box."""
    import rioxarray  # noqa: F401  (registers .rio)

    west, south, east, north = box
    nx, ny = (int(np.ceil(span / edge)) + 1 for span in (east - west, north - south))
    coords = {"y": north - edge * np.arange(ny), "x": west + edge * np.arange(nx)}
    grid: xr.Dataset = xr.Dataset(coords=coords).rio.write_crs(4326)
    return grid


def _check_cover(dem: DemGrid, geometry: RadarGeometry) -> None:
    """Warn where the DEM leaves part of the scene without ground, raise where it leaves all."""
    from glaciertoolkit.sar.geocoding import image_to_terrain

    line, sample = np.meshgrid(
        np.linspace(0, geometry.lines - 1, 24), np.linspace(0, geometry.samples - 1, 24)
    )
    height = image_to_terrain(geometry, line, sample, dem)[2]
    share = float(np.isfinite(height).mean())
    if share == 0:
        raise GridError(
            "the DEM does not cover the radar scene, whose middle lies at "
            "longitude {:.3f}, latitude {:.3f}; choose a DEM of this place.".format(
                *_middle(geometry)
            )
        )
    if share < 0.9:
        warnings.warn(
            f"the DEM covers only {share:.0%} of the radar scene; what lies beyond stays without a "
            "place on the map.",
            GlacierToolkitWarning,
            stacklevel=4,
        )


def _middle(geometry: RadarGeometry) -> tuple[float, float]:
    lon, lat = image_to_ground(geometry, *geometry.centre, 0.0)
    return float(lon), float(lat)
