"""Join series or tables of glaciers with what an inventory knows of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import InputError
from glaciertoolkit.grids import read_inventory

if TYPE_CHECKING:
    import geopandas as gpd

ID = "rgi_id"


def join_inventory(
    data: Any,
    inventory: str | os.PathLike[str] | gpd.GeoDataFrame,
) -> Any:
    """Add what an inventory knows of each glacier to a table or a series, by identifier.

    Parameters
    ----------
    data : pandas.DataFrame or xarray.Dataset
        A table with the column `rgi_id`, or a Dataset with the dimension or coordinate `rgi_id`,
        such as the speed of glaciers over time.
    inventory : path or GeoDataFrame
        Anything that `read_inventory` reads.

    Returns
    -------
    pandas.DataFrame or xarray.Dataset
        `data` with the columns of the inventory that it lacks: of a Dataset as coordinates along
        the dimension of `rgi_id`. Glaciers that the inventory does not hold have NaN.

    Raises
    ------
    InputError
        `data` has no `rgi_id`, the inventory holds an identifier twice, or none of them match.

    Examples
    --------
    >>> import geopandas, pandas as pd, shapely
    >>> inventory = geopandas.GeoDataFrame({"RGIId": ["RGI60-15.00001"], "Area": [2.5]},
    ...                                    geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> join_inventory(pd.DataFrame({"rgi_id": ["RGI60-15.00001"], "v": [8.0]}),
    ...                inventory)["area_km2"].tolist()
    [2.5]
    """
    known = read_inventory(inventory).drop(columns="geometry").set_index(ID)
    if known.index.has_duplicates:
        twice = known.index[known.index.duplicated()][0]
        raise InputError(f"the inventory holds {twice} more than once; drop the copies first.")
    if isinstance(data, xr.Dataset):
        return _onto_dataset(data, known)
    if ID not in getattr(data, "columns", ()):
        raise InputError("the table has no column rgi_id to join an inventory on.")
    _check_match(data[ID].astype(str), known.index)
    new = known[[c for c in known if c not in data]]
    return data.join(new, on=ID)


def _onto_dataset(ds: xr.Dataset, known: Any) -> xr.Dataset:
    if ID not in ds.variables or ds[ID].ndim != 1:
        raise InputError("the Dataset has no coordinate rgi_id along a dimension to join on.")
    names = ds[ID].values.astype(str)
    _check_match(names, known.index)
    rows = known.reindex(names)
    dim = ds[ID].dims[0]
    coords = {}
    for column in rows:
        if column in ds.variables:
            continue
        values = rows[column].to_numpy()
        if values.dtype == object:
            values = np.array(["" if v is None or v != v else str(v) for v in values])
        coords[column] = (dim, values)
    return ds.assign_coords(coords)


def _check_match(names: Any, known: Any) -> None:
    if not np.isin(np.asarray(names, str), np.asarray(known, str)).any():
        raise InputError(
            f"none of the glaciers ({names[0] if len(names) else 'none'}, ...) is in the inventory "
            f"({known[0] if len(known) else 'empty'}, ...); choose one of the same version."
        )
