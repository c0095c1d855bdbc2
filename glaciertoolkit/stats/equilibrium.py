"""Where accumulation and ablation balance: the equilibrium line of each glacier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.grouped import summarise
from glaciertoolkit.stats.on_ice import Elevation, OnIce

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


def equilibrium_line(
    ds: xr.Dataset,
    dem: Elevation,
    *,
    outlines: Polygons,
    ela: Any = "median",
    aar: float = 0.6,
) -> pd.Series:
    """Elevation of the equilibrium line of each glacier.

    Parameters
    ----------
    ds : xarray.Dataset
        Any Dataset on the posts of the map.
    dem : path, xarray.DataArray or xarray.Dataset
        Elevation, m; or the Dataset of `terrain_at_posts`.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry
        Glacier outlines.
    ela : {"median", "aar"}, float, Series, mapping, GeoDataFrame or GeoSeries
        "median": the median elevation of the glacier. "aar": the elevation above which the share
        `aar` of its area lies. Or given: one elevation, m, for all; one for each glacier, by
        identifier; or lines, such as snow lines at the end of the melt season: then the median
        elevation of the ground along the part of them that lies on the glacier.
    aar : float
        Accumulation area ratio for ``ela="aar"``.

    Returns
    -------
    pandas.Series
        m, by identifier, in the order of the outlines; NaN where it is not known (no elevation,
        no line on the glacier).

    Raises
    ------
    GridError
        DEM or outlines do not overlap the grid; no post on ice has an elevation; no line
        crosses a glacier.
    ParameterError
        Another `ela`, or an `aar` that does not lie between 0 and 1.

    Notes
    -----
    The area is that of the posts, so that a fifth of the area above the line means a fifth of the
    posts. Median elevation and area ratio are proxies for a glacier in balance: of one that
    shrinks, the line of today lies higher. On glaciers fed by avalanches and covered by debris
    both proxies err by a hundred metres and more.

    References
    ----------
    Braithwaite, R. J. and Raper, S. C. B. (2009), Estimating equilibrium-line altitude (ELA) from
    glacier inventory data, Annals of Glaciology 50(53).

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> line = equilibrium_line(region.velocity, region.dem, outlines=region.outlines)
    >>> len(line), bool(line.between(region.dem.min().item(), region.dem.max().item()).all())
    (12, True)
    """
    import pandas as pd

    found = OnIce.of(ds, outlines)
    line = line_elevations(found, found.elevation(dem), ela=ela, aar=aar)
    out = pd.Series(line, index=found.inventory["rgi_id"].to_numpy(), name="ela_m")
    out.index.name = "rgi_id"
    return out


def line_elevations(found: OnIce, z: npt.NDArray[Any], *, ela: Any, aar: float) -> Floats:
    """Elevation of the equilibrium line of each glacier, from elevations at the posts on ice."""
    import geopandas as gpd
    import pandas as pd

    if not 0 < aar < 1:
        raise ParameterError(f"aar must lie between 0 and 1; got {aar!r}.")
    glacier, number = found.ice.glacier, found.number
    if isinstance(ela, gpd.GeoDataFrame | gpd.GeoSeries):
        return _along_lines(found, ela, z)
    if isinstance(ela, pd.Series | Mapping):
        given = {str(k): float(v) for k, v in ela.items()}
        return np.array([given.get(name, np.nan) for name in found.inventory["rgi_id"]])
    if isinstance(ela, str):
        if ela not in ("median", "aar"):
            raise ParameterError(
                f'ela must be "median", "aar", an elevation, one for each glacier, or lines; '
                f"got {ela!r}."
            )
        level = 0.5 if ela == "median" else 1 - aar
        return summarise(z, glacier, number, quantiles=(level,))[f"q{level:g}"]
    if isinstance(ela, int | float | np.number) and np.isfinite(ela):
        return np.full(number, float(ela))
    raise ParameterError(f"ela must be an elevation in metres; got {ela!r}.")


def _along_lines(found: OnIce, lines: Any, z: npt.NDArray[Any]) -> Floats:
    """Median elevation of the posts that lie along lines, glacier by glacier."""
    import shapely
    from rasterio.features import rasterize

    from glaciertoolkit.grids import post_transform

    outlines = found.outlines
    if (lines.crs is None) != (outlines.crs is None):
        raise GridError("only one of the lines and the outlines has a CRS; set the other one.")
    shapes = lines.geometry if lines.crs is None else lines.geometry.to_crs(outlines.crs)
    shapes = shapes[~(shapes.isna() | shapes.is_empty)]
    if not len(shapes) or (shapely.get_dimensions(shapes.to_numpy()) != 1).any():
        raise InputError("an equilibrium line must be given as lines; read the line layer.")
    touched = rasterize(
        [(shape, 1) for shape in shapes],
        out_shape=found.ice.shape, transform=post_transform(found.ds), fill=0, dtype="uint8",
        all_touched=True,
    )  # fmt: skip
    on_line = found.ice.take({"line": xr.DataArray(touched, dims=("y", "x"))})["line"].astype(bool)
    if not on_line.any():
        raise GridError("no equilibrium line crosses a glacier of this map.")
    label = np.where(on_line, found.ice.glacier, -1)
    return summarise(z, label, found.number)["median"]
