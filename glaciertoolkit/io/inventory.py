"""Inventories of glaciers, lakes and landforms: shapefiles (zipped too), GeoPackage, GeoJSON."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glaciertoolkit.errors import FileError, GridError, InputError, ParameterError, reason
from glaciertoolkit.io import archives
from glaciertoolkit.io.stacks import files_in
from glaciertoolkit.io.units import canonical_units

if TYPE_CHECKING:
    import geopandas as gpd

SUFFIXES = (".shp", ".gpkg", ".geojson", ".fgb", ".zip")
_NEEDED = (".shx", ".dbf")

RGI_UNITS = {
    "Area": "km2", "Zmin": "m", "Zmax": "m", "Zmed": "m", "Slope": "degree", "Aspect": "degree",
    "Lmax": "m", "CenLon": "degrees_east", "CenLat": "degrees_north",
    "area_km2": "km2", "zmin_m": "m", "zmax_m": "m", "zmed_m": "m", "zmean_m": "m",
    "slope_deg": "degree", "aspect_deg": "degree", "lmax_m": "m",
    "cenlon": "degrees_east", "cenlat": "degrees_north",
}  # fmt: skip
"""Units of the columns of the Randolph Glacier Inventory, versions 5 to 7."""

RGI_MISSING = (-99.0, -999.0, -9999.0)
"""What its numbers are where they are unknown; slope, aspect and length also -9."""

_NEVER_NEGATIVE = ("Slope", "Aspect", "Lmax", "slope_deg", "aspect_deg", "lmax_m")
_PLACES = ("CenLon", "CenLat", "cenlon", "cenlat")

_RGI_ID = ("RGIId", "rgi_id")


def open_inventory(
    source: str | os.PathLike[str] | Sequence[str],
    *,
    layer: str | None = None,
    crs: Any = None,
    units: Mapping[str, str] | None = None,
    nodata: Any = None,
    encoding: str | None = None,
    bbox: Sequence[float] | None = None,
    label: str = "inventory",
) -> gpd.GeoDataFrame:
    """Open an inventory of polygons, lines or points.

    Parameters
    ----------
    source : path or list of paths
        A shapefile, also in a zip file, a GeoPackage or GeoJSON; a folder or a pattern of
        several, such as one file an epoch, which are put below one another.
    layer : str, optional
        Of a file with several layers. By default the only one that holds geometries.
    crs : anything that names a CRS
        Where the file names none.
    units : mapping of str to str, optional
        By column. Those of the Randolph Glacier Inventory are known.
    nodata : number or sequence, optional
        Numbers that mean "unknown", besides those of the Randolph Glacier Inventory.
    encoding : str, optional
        Of the words in a shapefile without a cpg file, such as ``"GBK"``.
    bbox : four numbers, optional
        Read only what touches west, south, east, north, in the CRS of the file.
    label : str
        What the inventory is called in messages.

    Returns
    -------
    geopandas.GeoDataFrame
        As in the file, unknown numbers NaN; ``attrs["units"]`` holds the unit of each column
        whose unit is known. With several files the column ``file`` says from which a row is.

    Raises
    ------
    FileError
        Missing, truncated, or parts of a shapefile that are not there; a zip file that is
        damaged or whose members lead outside it.
    GridError
        No CRS, or several files with different ones.
    InputError, ParameterError, reason
        No geometries; no such layer.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import open_inventory, write_samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_samples(folder, names=["rgi7_outlines"])
    ...     found = open_inventory(files["rgi7_outlines"])
    >>> found.crs.to_epsg()
    4326
    """
    import pandas as pd

    files = files_in(source, SUFFIXES, what=label)
    frames = [_read(f, layer, encoding, bbox, label) for f in files]
    if len(frames) > 1:
        first = frames[0].crs
        other = next((f for f, g in zip(files, frames, strict=True) if g.crs != first), None)
        if other is not None:
            raise GridError(
                f"the files of the {label} have different CRSs ({Path(files[0]).name} and "
                f"{Path(other).name}); open them one by one and use to_crs()."
            )
        tagged = [g.assign(file=Path(f).name) for f, g in zip(files, frames, strict=True)]
        out = pd.concat(tagged, ignore_index=True)
    else:
        out = frames[0]
    if out.crs is None:
        if crs is None:
            raise GridError(
                f"the {label} {files[0]} names no CRS (a shapefile without its prj?); give crs=."
            )
        out = out.set_crs(crs)
    return _described(out, units or {}, nodata)


def _read(
    path: str, layer: str | None, encoding: str | None, bbox: Any, label: str
) -> gpd.GeoDataFrame:
    import geopandas
    import pyogrio

    place = _place(Path(path), label)
    try:
        chosen = _layer(place, layer, pyogrio.list_layers(place), label)
        options = {"encoding": encoding} if encoding else {}
        box = None if bbox is None else tuple(float(edge) for edge in bbox)
        frame = geopandas.read_file(place, engine="pyogrio", layer=chosen, bbox=box, **options)
    except (RuntimeError, OSError, ValueError, UnicodeDecodeError, LookupError) as error:
        if isinstance(error, ParameterError | InputError | FileError):
            raise
        raise FileError(
            f"the {label} {path} cannot be read, it is truncated, damaged or no vector file "
            f"({reason(error)}); get it again."
        ) from error
    if "geometry" not in frame or not len(frame):
        raise InputError(f"the {label} {path} holds no geometries; check the file and the layer.")
    return frame


def _place(path: Path, label: str) -> str:
    """What GDAL is given: the file, or the one vector file inside a zip."""
    if not path.exists():
        raise FileError(f"the file {path} of the {label} does not exist; check the path.")
    if path.suffix.lower() == ".shp":
        lacking = [s for s in _NEEDED if not _beside(path, s)]
        if lacking:
            raise FileError(
                f"the shapefile {path} lacks its {' and '.join(lacking)} file; a shapefile is "
                "several files of one name, copy them all."
            )
    if path.suffix.lower() != ".zip":
        return str(path)
    inside = [m for m in archives.listed(path) if m.lower().endswith(SUFFIXES[:-1])]
    if len(inside) != 1:
        names = ", ".join(sorted(inside)[:5]) or "none"
        raise FileError(
            f"the archive {path} holds {len(inside)} vector files ({names}), one is expected; "
            "unpack it and give the file you mean."
        )
    return f"/vsizip/{path.resolve()}/{inside[0]}"


def _beside(path: Path, suffix: str) -> bool:
    return any(path.with_suffix(s).exists() for s in (suffix, suffix.upper()))


def _layer(place: str, wanted: str | None, layers: Any, label: str) -> str:
    names = [str(name) for name, kind in layers if kind is not None]
    if wanted is not None:
        if wanted not in names:
            raise ParameterError(
                f"the {label} has no layer {wanted!r}; it has {', '.join(names) or 'none'}."
            )
        return wanted
    if not names:
        raise InputError(f"the {label} {place} holds no geometries; check the file.")
    if len(names) > 1:
        raise ParameterError(
            f"the {label} has several layers ({', '.join(names)}); name one with layer=."
        )
    return names[0]


def _described(frame: gpd.GeoDataFrame, units: Mapping[str, str], nodata: Any) -> gpd.GeoDataFrame:
    rgi = any(name in frame.columns for name in _RGI_ID)
    gone = [] if nodata is None else [float(v) for v in np.atleast_1d(nodata)]
    known = {**(RGI_UNITS if rgi else {}), **units}
    for name in frame.columns:
        if name == "geometry" or frame[name].dtype.kind not in "iuf":
            continue
        unknown = list(gone)
        if rgi and name in RGI_UNITS and name not in _PLACES:
            unknown += [*RGI_MISSING, *((-9.0,) if name in _NEVER_NEGATIVE else ())]
        if unknown and frame[name].isin(unknown).any():
            frame[name] = frame[name].astype("float64").mask(frame[name].isin(unknown))
    frame.attrs["units"] = {
        name: canonical_units(unit) for name, unit in known.items() if name in frame.columns
    }
    return frame
