"""Panel apps: widgets and streams only, no science. Panel itself is imported when one is opened."""

from __future__ import annotations

from typing import Any

import xarray as xr


def explore(ds: xr.Dataset, *, dem: Any = None, outlines: Any = None) -> Any:
    """Open the explorer of a velocity map in a notebook cell: map, profile, histogram.

    Parameters
    ----------
    ds : xarray.Dataset
        Result of `velocity`, of a correction or of `track`.
    dem : path-like or xarray.DataArray, optional
        Elevation on any grid, for shaded relief and the elevation profile.
    outlines : path-like or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS.

    Returns
    -------
    glaciertoolkit.apps.explorer.Explorer
        Shows itself; its state can be read and set from other cells.

    Raises
    ------
    InputError
        Where the Dataset is no map, or holds nothing that can be shown.
    """
    from glaciertoolkit.apps.explorer import explorer

    return explorer(ds, dem=dem, outlines=outlines)
