"""A table or a map as one sample: the columns, where they lie, and to which glacier they belong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.errors import GridError, InputError, MissingVariableError
from glaciertoolkit.stats.sites import Sites, metres_of_degrees, sites_from_points, sites_of

if TYPE_CHECKING:
    import pandas as pd

    Table = pd.DataFrame | xr.Dataset
    Factors = Sequence[str] | Mapping[str, Any] | None

MOST_POSTS = 250_000
"""A map with more posts is thinned: its statistics stay the same, their cost does not."""
FEWEST_ROWS = 5

_METRES = (("x", "y"), ("easting", "northing"))
_DEGREES = (("cenlon", "cenlat"), ("longitude", "latitude"), ("lon", "lat"))


@dataclass(frozen=True)
class Sample:
    """Rows of values, with their places and groups where these are known.

    Attributes
    ----------
    table : pandas.DataFrame
        Response and factors.
    sites : Sites, optional
    groups : numpy.ndarray, optional
        Glacier of each row.
    stride : int
        Posts per post that was kept, along each side of the map.
    """

    table: pd.DataFrame
    sites: Sites | None
    groups: npt.NDArray[Any] | None
    stride: int = 1

    def complete(self, *names: str) -> Sample:
        """The rows that have all of these columns."""
        part = self.table[list(names)]
        keep = part.notna().all(axis=1).to_numpy(bool)
        for name in names:
            if part[name].dtype.kind == "f":
                keep &= np.isfinite(part[name].to_numpy())
        return self.take(keep, names)

    def take(self, keep: npt.NDArray[Any], names: Sequence[str] | None = None) -> Sample:
        """The rows that a mask or an index selects, all columns unless named."""
        columns = list(self.table.columns if names is None else names)
        return replace(
            self,
            table=self.table.iloc[np.flatnonzero(keep) if keep.dtype == bool else keep][columns],
            sites=None if self.sites is None else self.sites.take(keep),
            groups=None if self.groups is None else self.groups[keep],
        )

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column as float64."""
        try:
            return self.table[name].to_numpy(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{name} is not a number in every row; give it to geodetector() as classes, "
                f"or leave it out."
            ) from error


def read_sample(
    data: Table,
    *,
    response: str,
    factors: Factors,
    coordinates: Any = None,
    groups: Any = None,
    fewest: int = FEWEST_ROWS,
) -> Sample:
    """Response, factors, places and groups of a table or of a map.

    Parameters
    ----------
    data : pandas.DataFrame or xarray.Dataset
        One row a glacier, or a map on dimensions y and x.
    response : str
        Column or variable.
    factors : sequence of str, or mapping of names to columns or DataArrays
    coordinates : array_like (n, 2) in metres, or two column names, optional
        By default `x` and `y` in metres or `cenlon`, `cenlat` and their like in degrees, or the
        geometry, where the table has one. False: none. A map has its own.
    groups : str, array_like, DataArray or polygons, optional
        Glacier of each row. On a map, posts in no glacier (outside the polygons; negative or
        missing) are left out.
    fewest : int
        Rows with a response that there must be.
    """
    import pandas as pd

    if isinstance(data, xr.Dataset):
        sample = _from_map(data, response, factors, groups)
    elif isinstance(data, pd.DataFrame):
        sample = _from_table(data, response, factors, coordinates, groups)
    else:
        raise InputError(
            f"statistics need a pandas table or an xarray Dataset; got {type(data).__name__}."
        )
    rows = int(np.isfinite(sample.numbers(response)).sum())
    if rows < fewest:
        raise InputError(
            f"{response} has {rows} values; at least {fewest} are needed to relate it to anything."
        )
    return sample


def _named(factors: Factors) -> dict[str, Any]:
    if factors is None or isinstance(factors, str):
        factors = [] if factors is None else [factors]
    return dict(factors) if isinstance(factors, Mapping) else {name: name for name in factors}


def _need(name: str, have: Any) -> None:
    if name not in have:
        known = ", ".join(map(str, have)) or "none"
        raise MissingVariableError(f"there is no {name} here; there are: {known}.")


def _from_table(
    data: pd.DataFrame, response: str, factors: Factors, coordinates: Any, groups: Any
) -> Sample:
    import pandas as pd

    wanted = {response: response, **_named(factors)}
    columns: dict[str, Any] = {}
    for name, source in wanted.items():
        if isinstance(source, str):
            _need(source, data.columns)
            columns[name] = data[source].array
        else:
            columns[name] = np.asarray(source)
            if len(columns[name]) != len(data):
                raise InputError(
                    f"{name} has {len(columns[name])} values for a table of {len(data)} rows."
                )
    table = pd.DataFrame({k: _plain(v) for k, v in columns.items()})
    if isinstance(groups, str):
        _need(groups, data.columns)
        groups = data[groups]
    labels = None if groups is None else np.asarray(groups)
    if labels is not None and labels.shape != (len(data),):
        raise InputError(f"groups must name the glacier of each of the {len(data)} rows.")
    points = _points(
        data, coordinates, used={str(v) for v in wanted.values() if isinstance(v, str)}
    )
    keep = np.ones(len(data), bool)
    sites = None if points is None else sites_from_points(points, len(data))
    if sites is not None:
        keep &= np.isfinite(sites.points).all(axis=1)
    if labels is not None:
        keep &= ~pd.isna(labels)
    return Sample(table, sites, labels).take(keep)


def _plain(column: Any) -> Any:
    """A column without masks: missing integers become NaN."""
    import pandas as pd

    if isinstance(column, pd.api.extensions.ExtensionArray):
        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        if numeric and not isinstance(column.dtype, np.dtype):
            return column.to_numpy(np.float64, na_value=np.nan)
    return column


def _points(
    data: pd.DataFrame, coordinates: Any, *, used: set[str]
) -> npt.NDArray[np.float64] | None:
    if coordinates is False:
        return None
    if coordinates is not None:
        named = isinstance(coordinates, Sequence) and all(isinstance(c, str) for c in coordinates)
        if not named:
            return np.asarray(coordinates, np.float64)
        for name in coordinates:
            _need(name, data.columns)
        pair = [str(c) for c in coordinates]
        if tuple(c.lower() for c in pair) in _DEGREES:
            return metres_of_degrees(data[pair[0]], data[pair[1]])
        return data[pair].to_numpy(np.float64)
    # A response called y is no northing.
    lower = {str(c).lower(): c for c in data.columns if c not in used}
    for east, north in _METRES:
        if {east, north} <= set(lower):
            return data[[lower[east], lower[north]]].to_numpy(np.float64)
    for east, north in _DEGREES:
        if {east, north} <= set(lower):
            return metres_of_degrees(data[lower[east]], data[lower[north]])
    return _of_geometry(data)


def _of_geometry(data: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """Points inside the shapes of a GeoDataFrame."""
    if not hasattr(data, "geometry") or getattr(data, "crs", None) is None:
        return None
    inside = data.geometry.representative_point()
    if data.crs.is_geographic:
        return metres_of_degrees(inside.x, inside.y)
    return np.column_stack([inside.x, inside.y]).astype(np.float64)


def _from_map(ds: xr.Dataset, response: str, factors: Factors, groups: Any) -> Sample:
    import pandas as pd

    _need(response, ds.data_vars)
    fields: dict[str, Any] = {response: ds[response]}
    for name, source in _named(factors).items():
        if isinstance(source, str):
            _need(source, ds.variables)
            source = ds[source]
        fields[name] = _on_grid(source, ds, name)
    if in_radar_geometry(ds) or set(ds[response].dims) != {"y", "x"}:
        raise GridError(
            f"{response} must be a map on y and x in metres; select one time, and bring "
            f"radar images onto a map with to_map()."
        )
    stride = max(1, math.ceil(math.sqrt(ds.sizes["y"] * ds.sizes["x"] / MOST_POSTS)))
    labels = None
    if groups is not None:
        labels = _labels(groups, ds)
        fields["_group"] = labels
    thin = {dim: slice(stride // 2, None, stride) for dim in ("y", "x")}
    posts = xr.Dataset(
        {k: (("y", "x"), v.transpose("y", "x").isel(thin).data) for k, v in fields.items()},
        coords={d: ds[d].isel({d: thin[d]}) for d in ("y", "x")},
    ).compute()
    sites = sites_of(posts)
    keep = posts[response].notnull().values.ravel()
    flat = {k: v.values.ravel() for k, v in posts.data_vars.items()}
    label = flat.pop("_group", None)
    if label is not None:
        inside = label >= 0 if label.dtype.kind in "iuf" else ~pd.isna(label)
        keep &= inside
    return Sample(pd.DataFrame(flat), sites, label, stride).take(keep)


def _on_grid(field: Any, ds: xr.Dataset, name: str) -> xr.DataArray:
    if not isinstance(field, xr.DataArray) or set(field.dims) != {"y", "x"}:
        raise GridError(f"{name} must be a DataArray on y and x, like the map it explains.")
    for dim in ("y", "x"):
        if dim not in field.coords or not np.array_equal(field[dim].values, ds[dim].values):
            raise GridError(
                f"{name} lies on other posts than the map; bring it there with "
                f"match_raster({name}, ds) or terrain_at_posts(ds, dem)."
            )
    return field


def _labels(groups: Any, ds: xr.Dataset) -> xr.DataArray:
    """Glacier of each post, from a variable, a DataArray or polygons."""
    if isinstance(groups, str) and groups in ds.variables:
        return _on_grid(ds[groups], ds, groups)
    if isinstance(groups, xr.DataArray):
        return _on_grid(groups, ds, "groups")
    from glaciertoolkit.grids import burn_index, read_outlines

    return burn_index(read_outlines(groups, ds, what="glacier outlines"), ds)
