"""The readers that a catalog can name, and what each takes from the metadata of an entry.

========================  =======================================================================
``raster``                one GeoTIFF (`open_raster`)
``series``                GeoTIFFs with dates in their names (`open_series`)
``ascii_grid``            grids of text with a header (`open_ascii_grid`)
``cf``                    netCDF or Zarr (`open_cf`): ERA5, HAR, WRF, classes coded as numbers
``inventory``             shapefiles (zipped too), GeoPackage, GeoJSON (`open_inventory`)
``excel``                 series in xlsx or xls (`open_excel`)
``station``               CSV of a station (`open_station`)
``wgms``                  tables of mass balances (`open_wgms`)
``itslive``               granules, cubes and mosaics of ITS_LIVE (`open_itslive`)
``glacier_motion``        the published GF-3 maps, and ours (`open_glacier_motion`)
``auto``                  whichever of these the files ask for, by their suffix
========================  =======================================================================

Without a reader an entry is opened with what its driver stands for, as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from glaciertoolkit.errors import FileError, GlacierToolkitWarning
from glaciertoolkit.io import ascii_grid, excel, gf3_files, inventory, raster, series

UNKNOWN = "unknown"

Facts = Mapping[str, Any]
Open = Callable[[list[str], Facts, dict[str, Any], str], Any]


class Reader(NamedTuple):
    """How files are opened, and the suffixes by which they are found in a folder."""

    open: Open
    suffixes: tuple[str, ...]
    data_types: tuple[str, ...]


def suffixes(name: str) -> tuple[str, ...]:
    """The suffixes of the files that a reader reads."""
    return READERS[name].suffixes if name in READERS else ()


def labelled(data: Any, name: str, facts: Facts) -> Any:
    """`data` with the entry it comes from, and the period it covers, in its attributes."""
    known = {
        "catalog_entry": name,
        "title": facts.get("title"),
        "time_coverage_start": facts.get("start"),
        "time_coverage_end": facts.get("end"),
    }
    for key, value in known.items():
        if value not in (None, UNKNOWN) and key not in data.attrs:
            data.attrs[key] = str(value)
    return data


def _one(files: list[str], label: str) -> str:
    if len(files) > 1:
        names = ", ".join(Path(f).name for f in files[:3])
        raise FileError(
            f"{label}: {len(files)} files are there ({names}, ...), and one is opened at a time; "
            "give it with open(path=...)."
        )
    return files[0]


def _variable(facts: Facts) -> tuple[str, str | None]:
    """Name and unit of the first variable."""
    variables = facts.get("variables") or {}
    return next(iter(variables.items()), ("value", None))


def _crs(facts: Facts) -> Any:
    return facts.get("crs")


def _grid_options(facts: Facts, options: dict[str, Any], label: str) -> dict[str, Any]:
    """What the readers of a series of grids take."""
    name, unit = _variable(facts)
    return {
        "variable": name,
        "units": unit,
        "classes": facts.get("classes"),
        "nodata": facts.get("nodata"),
        "scale": facts.get("scale"),
        "crs": _crs(facts),
        "pattern": facts.get("file_names"),
        "label": label,
        **options,
    }


def _raster(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    name, unit = _variable(facts)
    wanted = {"nodata": facts.get("nodata"), **options}
    given = wanted.pop("units", None)
    data = raster.open_raster(_one(files, label), label=label, **wanted)
    # rioxarray takes the description of the band for both
    data.attrs.pop("long_name", None)
    data = data.rename(name).assign_attrs(long_name=name.replace("_", " "))
    if unit is not None or given is not None:
        data.attrs["units"] = given or unit
    if (scale := facts.get("scale")) is not None:
        data = (data * scale).assign_attrs(data.attrs)
    if data.rio.crs is None and _crs(facts) is not None:
        data = data.rio.write_crs(_crs(facts))
    return data


def _series(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    return series.open_series(files, **_grid_options(facts, options, label))


def _ascii_grid(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    out = ascii_grid.open_ascii_grid(files, **_grid_options(facts, options, label))
    documented = facts.get("shape")
    shape = [out.sizes["y"], out.sizes["x"]]
    if documented is not None and shape != list(documented):
        warnings.warn(
            f"{label}: the grid has {shape[0]} rows and {shape[1]} columns, documented are "
            f"{documented[0]} and {documented[1]}; check that these are the right files.",
            GlacierToolkitWarning,
            stacklevel=4,
        )
    return out


def _cf(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    from glaciertoolkit.io import conform
    from glaciertoolkit.io.cf import open_cf

    wanted = {"crs": _crs(facts), "pattern": facts.get("file_names"), "label": label, **options}
    units = wanted.pop("units", facts.get("variables") or {})
    classes = wanted.pop("classes", facts.get("classes"))
    nodata = wanted.pop("nodata", facts.get("nodata"))
    out = open_cf(files[0] if len(files) == 1 else files, **wanted)
    if classes:
        out = _renamed(out, list(units))
    for name in units:
        if name not in out:
            continue
        out[name] = conform.missing_to_nan(out[name], nodata)
        if classes:
            out[name] = conform.coded(out[name], classes, label=f"variable {name} of the {label}")
    return out if classes else conform.with_units(out, units)


def _renamed(ds: Any, names: list[str]) -> Any:
    """`ds` with its only field under the name of the catalog, where it has none of its names.

    Only for maps of classes: what they are called inside a file is rarely documented, and their
    codes are checked. A field of numbers under a wrong name would go unnoticed.
    """
    fields = [name for name in ds.data_vars if ds[name].ndim >= 2]
    if len(fields) == 1 and names and not any(name in ds.variables for name in names):
        return ds.rename({fields[0]: names[0]})
    return ds


def _inventory(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    wanted = {
        "units": facts.get("variables"),
        "nodata": facts.get("nodata"),
        "crs": _crs(facts),
        "label": label,
    }
    return inventory.open_inventory(files, **{**wanted, **options})


def _excel(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    variables = dict(facts.get("variables") or {})
    wanted: dict[str, Any] = {"units": variables, "label": label}
    if "across" in options:
        wanted["variable"] = _variable(facts)[0]
    return excel.open_excel(_one(files, label), **{**wanted, **options})


def _station(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    from glaciertoolkit.io.frames import with_given_units
    from glaciertoolkit.io.station import open_station

    wanted: dict[str, Any] = {"label": label, **(facts.get("coordinates") or {})}
    if (nodata := facts.get("nodata")) is not None:
        wanted["nodata"] = nodata
    out = open_station(_one(files, label), **{**wanted, **options})
    return with_given_units(out, facts.get("variables") or {})


def _wgms(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    from glaciertoolkit.io.wgms import open_wgms

    del facts
    return open_wgms(_one(files, label), **{"label": label, **options})


def _itslive(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    from glaciertoolkit.io.itslive import open_itslive

    source = files[0] if len(files) == 1 else files
    return open_itslive(source, **{"crs": _crs(facts), "label": label, **options})


def _glacier_motion(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    from glaciertoolkit.io.published import open_glacier_motion

    wanted = {"nodata": facts.get("nodata"), "label": label}
    return open_glacier_motion(_one(files, label), **{**wanted, **options})


def _auto(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    """By the suffix of the first file; rasters that are several are a series."""
    name = next((n for n in _BY_SUFFIX if _is(files[0], READERS[n].suffixes)), "raster")
    if name == "series" and len(files) == 1 and not _has_date(files[0], facts):
        name = "raster"
    return READERS[name].open(files, facts, options, label)


def _is(file: str, wanted: tuple[str, ...]) -> bool:
    return file.lower().rstrip("/").endswith(wanted)


def _has_date(file: str, facts: Facts) -> bool:
    from glaciertoolkit.errors import DateError
    from glaciertoolkit.io.series_dates import series_dates

    try:
        series_dates([Path(file).name], pattern=facts.get("file_names"))
    except DateError:
        return False
    return True


# What a driver stands for where an entry names no reader.


def _rasterio(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    del facts
    path = _one(files, label)
    if gf3_files.is_product(path):
        from glaciertoolkit.io.gf3 import open_gf3

        return open_gf3(path, **options)
    return raster.open_raster(path, label=label, **options)


def _raster_xarray(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    import xarray as xr

    del facts
    path = _one(files, label)
    settings = {"chunks": {}, "decode_coords": "all", **options}
    engine = "zarr" if path.rstrip("/").endswith(".zarr") else "h5netcdf"
    return xr.open_dataset(path, **{"engine": engine, **settings})


def _pyogrio(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    import geopandas

    del facts
    return geopandas.read_file(_one(files, label), engine="pyogrio", **options)


def _pandas(files: list[str], facts: Facts, options: dict[str, Any], label: str) -> Any:
    import pandas as pd

    del facts
    return pd.read_csv(_one(files, label), **options)


_GRIDS, _FRAMES, _TABLES = ("RasterDataset",), ("GeoDataFrame",), ("DataFrame",)

READERS: dict[str, Reader] = {
    "raster": Reader(_raster, series.SUFFIXES, _GRIDS),
    "series": Reader(_series, series.SUFFIXES, _GRIDS),
    "ascii_grid": Reader(_ascii_grid, ascii_grid.SUFFIXES, _GRIDS),
    "cf": Reader(_cf, (".nc", ".nc4", ".zarr"), _GRIDS),
    "inventory": Reader(_inventory, inventory.SUFFIXES, _FRAMES),
    "excel": Reader(_excel, excel.SUFFIXES, _TABLES),
    "station": Reader(_station, (".csv", ".dat"), _TABLES),
    "wgms": Reader(_wgms, (".csv",), _TABLES),
    "itslive": Reader(_itslive, (".nc", ".tif", ".zarr"), _GRIDS),
    "glacier_motion": Reader(_glacier_motion, (".tif", ".tiff"), _GRIDS),
    "auto": Reader(
        _auto,
        (".tif", ".tiff", ".nc", ".zarr", ".txt", ".asc", ".shp", ".gpkg", ".zip", ".geojson",
         ".xlsx", ".xls", ".csv"),
        (*_GRIDS, *_FRAMES, *_TABLES),
    ),
    "rasterio": Reader(_rasterio, series.SUFFIXES, _GRIDS),
    "raster_xarray": Reader(_raster_xarray, (".nc", ".zarr"), _GRIDS),
    "pyogrio": Reader(_pyogrio, inventory.SUFFIXES, _FRAMES),
    "pandas": Reader(_pandas, (".csv",), _TABLES),
}  # fmt: skip

_BY_SUFFIX = ("series", "cf", "ascii_grid", "inventory", "excel", "station")
