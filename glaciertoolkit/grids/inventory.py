"""Glacier inventories, each with its own names for the same things, in one schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import FileError, InputError

if TYPE_CHECKING:
    import geopandas as gpd

SURGE_TYPES = {0: "no evidence", 1: "possible", 2: "probable", 3: "observed"}
TERMINUS_TYPES = {
    0: "land", 1: "marine", 2: "lake", 3: "dry calving", 4: "regenerated", 5: "shelf",
}  # fmt: skip
RGI7_TERMINUS_TYPES = {0: "land", 1: "marine", 2: "lake", 3: "shelf"}


class Field(NamedTuple):
    """One column of the schema: what inventories call it (lower case), its unit and meaning."""

    names: tuple[str, ...]
    units: str
    text: str


SCHEMA: dict[str, Field] = {
    "rgi_id": Field(
        ("rgi_id", "rgiid", "fcgi_id", "cgi_id", "glims_id", "glimsid", "glc_code", "gl_code",
         "glac_code", "glac_id", "glacier_id", "drng_code", "code", "id"),
        "", "identifier of the glacier in its inventory",
    ),
    "name": Field(
        ("glac_name", "glc_name", "gl_name", "glacier_name", "glaciernam", "name_en", "name"),
        "", "name of the glacier",
    ),
    "area_km2": Field(
        ("area_km2", "area_km2_attr", "glc_area", "gl_area", "glac_area", "area_sqkm",
         "glacier_area", "area"),
        "km2", "area",
    ),
    "zmin_m": Field(("zmin_m", "zmin", "min_elev", "elev_min", "minelev"), "m", "lowest elevation"),
    "zmed_m": Field(
        ("zmed_m", "zmed", "ma_elev", "med_elev", "elev_med", "medelev"), "m", "median elevation"
    ),
    "zmean_m": Field(
        ("zmean_m", "zmean", "mean_elev", "elev_mean", "meanelev"), "m", "mean elevation"
    ),
    "zmax_m": Field(
        ("zmax_m", "zmax", "max_elev", "elev_max", "maxelev"), "m", "highest elevation"
    ),
    "slope_deg": Field(("slope_deg", "slope", "mean_slp", "mean_slope"), "degree", "mean slope"),
    "aspect_deg": Field(
        ("aspect_deg", "aspect", "mean_asp", "mean_aspect"),
        "degree", "mean aspect, clockwise from north",
    ),
    "lmax_m": Field(("lmax_m", "lmax", "maxl", "length", "glc_length"), "m", "greatest length"),
    "surge_type": Field(("surge_type", "surging"), "", "evidence of surging"),
    "term_type": Field(("term_type", "termtype"), "", "where the tongue ends"),
    "src_date": Field(
        ("src_date", "bgndate", "rep_date", "imagedate", "image_date", "img_date", "date"),
        "", "date of the outline's image",
    ),
}  # fmt: skip

SQUARE_METRES = 2e4
"""km2: no glacier is larger; the number is one of square metres."""

_POSITIVE = ("area_km2", "lmax_m")
_ELEVATIONS = ("zmin_m", "zmed_m", "zmean_m", "zmax_m")
_LOWEST = -500.0
"""Metres: what is lower is a code for a missing elevation (-999, -9999)."""


def read_inventory(
    source: str | os.PathLike[str] | gpd.GeoDataFrame,
    *,
    layer: str | None = None,
    encoding: str | None = None,
) -> gpd.GeoDataFrame:
    """A glacier inventory with the same columns, units and codes whoever made it.

    Parameters
    ----------
    source : path or GeoDataFrame
        The Randolph Glacier Inventory 5, 6 or 7, the first or second Chinese inventory, GLIMS,
        or polygons with some columns of such names, upper or lower case.
    layer : str, optional
        Of a file with several layers, which one.
    encoding : str, optional
        Of the text in a shapefile that does not tell it, such as "gbk".

    Returns
    -------
    geopandas.GeoDataFrame
        One row an outline, with the index, CRS and geometry of `source` and the columns
        `rgi_id` (the identifier, of whichever inventory), `name`, `area_km2`, `zmin_m`, `zmed_m`,
        `zmean_m`, `zmax_m`, `slope_deg`, `aspect_deg`, `lmax_m`, `surge_type`, `term_type`
        (words), `src_date` and `geometry`. What the inventory does not tell is NaN, an empty
        text or NaT. Where it tells no area, `area_km2` is that of the outline on the ellipsoid.
        ``attrs["inventory"]`` names the source, ``attrs["units"]`` the units.

    Raises
    ------
    FileError
        The file is missing or not a vector file.
    InputError
        It has no geometry, or several layers and none is chosen.

    Notes
    -----
    RGI 6 marks what is missing by -9 or -999 and a date by -9999999; RGI 7 and the Chinese
    inventories leave it empty. Areas in square metres, which some Chinese files hold, are told
    by their ratio to the outlines. Other columns stay in `source`; join them by the index.

    Examples
    --------
    >>> import geopandas, shapely
    >>> chinese = geopandas.GeoDataFrame(
    ...     {"FCGI_ID": ["5O198B0001"], "Glc_Area": [1.2], "MA_Elev": [5600]},
    ...     geometry=[shapely.box(0, 0, 1000, 1200)], crs="EPSG:32646")
    >>> found = read_inventory(chinese)
    >>> found["rgi_id"][0], float(found["area_km2"][0]), float(found["zmed_m"][0])
    ('5O198B0001', 1.2, 5600.0)
    """
    table = _read(Path(source), layer, encoding) if isinstance(source, str | os.PathLike) else None
    table = source if table is None else table
    import geopandas as gpd

    if not isinstance(table, gpd.GeoDataFrame):
        raise InputError(
            "an inventory must be a path to a vector file or a GeoDataFrame; got "
            f"{type(table).__name__}."
        )
    return to_schema(table)


def to_schema(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The columns of the schema of any inventory that is already read."""
    import geopandas as gpd

    found = find_columns(table)
    version = inventory_of(table)
    out = gpd.GeoDataFrame(index=table.index, geometry=table.geometry)
    out["rgi_id"] = _identifiers(table, found)
    out["name"] = _texts(table, found.get("name"))
    for column in SCHEMA:
        if SCHEMA[column].units:
            out[column] = _numbers(table, found.get(column), column)
    out["area_km2"] = _areas(out["area_km2"], table)
    surge, terminus = SURGE_TYPES, TERMINUS_TYPES
    if version == "RGI 7":
        terminus = RGI7_TERMINUS_TYPES
    out["surge_type"] = _codes(table, found.get("surge_type"), surge)
    out["term_type"] = _codes(table, found.get("term_type"), terminus)
    out["src_date"] = _dates(table, found.get("src_date"))
    out = out[[*SCHEMA, "geometry"]]
    out.attrs = {
        "inventory": version,
        "units": {name: field.units for name, field in SCHEMA.items() if field.units},
    }
    return out


def find_columns(table: gpd.GeoDataFrame) -> dict[str, Any]:
    """Which column of `table` holds each one of the schema, where one does."""
    lower = {str(c).strip().lower(): c for c in table.columns[::-1]}
    found = {}
    for column, field in SCHEMA.items():
        name = next((n for n in field.names if n in lower), None)
        if name is not None and lower[name] != table.geometry.name:
            found[column] = lower[name]
    return found


def inventory_of(table: gpd.GeoDataFrame) -> str:
    """Which inventory a table comes from, by its columns."""
    names = {str(c).lower() for c in table.columns}
    if "rgiid" in names:
        return "RGI 6"
    if "rgi_id" in names:
        return "RGI 7"
    if "fcgi_id" in names or {"glc_area", "ma_elev"} & names:
        return "CGI"
    if {"glims_id", "anlys_id"} & names:
        return "GLIMS"
    return "other"


def true_area(geometry: gpd.GeoSeries) -> npt.NDArray[np.float64]:
    """Area on the ellipsoid, km2: that of a map may be off by a tenth and more."""
    if geometry.crs is None:
        return np.asarray(geometry.area, float) / 1e6
    geod = geometry.crs.get_geod()
    shapes = geometry.to_crs(geometry.crs.geodetic_crs)
    return np.array(
        [0.0 if g is None else abs(geod.geometry_area_perimeter(g)[0]) / 1e6 for g in shapes]
    )


def _read(path: Path, layer: str | None, encoding: str | None) -> gpd.GeoDataFrame:
    import geopandas as gpd
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        spatial = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is None and len(spatial) != 1:
            raise InputError(
                f"{path.name} has {len(spatial)} layers with geometries "
                f"({', '.join(spatial) or 'none'}); choose one with layer=."
            )
        return gpd.read_file(path, layer=layer, encoding=encoding, engine="pyogrio")
    except (DataSourceError, DataLayerError) as error:
        raise FileError(f"the inventory cannot be read: {error}") from error


def _identifiers(table: gpd.GeoDataFrame, found: dict[str, Any]) -> Any:
    rows = table.index.to_series().astype(str)
    if "rgi_id" not in found:
        return rows
    ids = _texts(table, found["rgi_id"])
    return ids.where(ids != "", rows)


def _texts(table: gpd.GeoDataFrame, column: Any) -> Any:
    import pandas as pd

    if column is None:
        return pd.Series("", index=table.index, dtype=object)
    values = table[column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype(object).where(values.notna(), "").map(lambda v: str(v).strip())


def _numbers(table: gpd.GeoDataFrame, column: Any, name: str) -> Any:
    import pandas as pd

    if column is None:
        return pd.Series(np.nan, index=table.index)
    values = pd.to_numeric(table[column], errors="coerce").astype(float)
    values = values.where(np.isfinite(values))
    if name in _ELEVATIONS:
        return values.where(values > _LOWEST)
    return values.where(values > 0 if name in _POSITIVE else values >= 0)


def _areas(told: Any, table: gpd.GeoDataFrame) -> Any:
    """Area in km2: told, or where it is not told that of the outline."""
    import pandas as pd

    missing = told.isna()
    large = told > SQUARE_METRES
    if not (missing.any() or large.any()):
        return told
    doubtful = missing | large
    own = pd.Series(true_area(table.geometry[doubtful]), index=told.index[doubtful])
    if large.any():
        # Divides and dates differ by a few times at most, units by a million.
        ratio = float((told[large] / own[large].where(own[large] > 0)).median())
        if ratio > 1e4:
            told = told / 1e6
    return told.where(~missing, own)


def _codes(table: gpd.GeoDataFrame, column: Any, meaning: dict[int, str]) -> Any:
    import pandas as pd

    if column is None:
        return pd.Series("", index=table.index, dtype=object)
    codes = pd.to_numeric(table[column], errors="coerce")
    if codes.isna().all():  # words already
        return _texts(table, column)
    words = {float(code): word for code, word in meaning.items()}
    return codes.astype(float).map(words).fillna("").astype(object)


def _dates(table: gpd.GeoDataFrame, column: Any) -> Any:
    """Dates of any spelling; a year or a month alone is taken at its first day."""
    import pandas as pd

    if column is None:
        return pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns]")
    values = table[column]
    if pd.api.types.is_datetime64_any_dtype(values):
        dates = values.dt.tz_localize(None) if values.dt.tz is not None else values
        return dates.astype("datetime64[ns]")
    parts = _texts(table, column).str.extract(r"^(\d{4})[-/.]?(\d{1,2})?[-/.]?(\d{1,2})?")
    year, month, day = (pd.to_numeric(parts[i], errors="coerce") for i in range(3))
    # RGI writes 99 for a month or a day that is not known.
    known = {"year": year, "month": month.where(month.between(1, 12), 1)}
    known["day"] = day.where(day.between(1, 31) & month.between(1, 12), 1)
    return pd.to_datetime(pd.DataFrame(known), errors="coerce").astype("datetime64[ns]")
