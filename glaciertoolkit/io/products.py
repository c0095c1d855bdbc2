"""The products of a pair: two GeoTIFFs for the map, one netCDF file for everything."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, describe, interval_days, validate
from glaciertoolkit.errors import FileError
from glaciertoolkit.io.atomic import atomic_folder
from glaciertoolkit.io.dates import min_text, parse_time
from glaciertoolkit.io.geotiff import Band, Layer, write_cog, write_style
from glaciertoolkit.io.netcdf import staged, write_netcdf
from glaciertoolkit.io.raster import CHUNK, Chunks, plane_chunks
from glaciertoolkit.provenance import ATTRIBUTE, history

MOTION, VELOCITY, DATASET = "Glacier_Motion.tif", "Glacier_Velocity.tif", "motion.nc"
CORRECTIONS = ("correct", "remove_deformation", "remove_topography", "filter_noise")

LAYERS = {
    MOTION: Layer(
        "Glacier Motion",
        (
            Band("displacement magnitude", "m"),
            Band("displacement along x (easting)", "m"),
            Band("displacement along y (northing)", "m"),
            Band("1-sigma error of the displacement magnitude", "m"),
        ),
        ("d", "dx", "dy"),
        "dxdy_covariance",
    ),
    VELOCITY: Layer(
        "Glacier Velocity",
        (
            Band("velocity magnitude", "m yr-1"),
            Band("velocity along x (easting)", "m yr-1"),
            Band("velocity along y (northing)", "m yr-1"),
            Band("1-sigma error of the velocity magnitude", "m yr-1"),
        ),
        ("v", "vx", "vy"),
        None,
    ),
}


def to_products(
    ds: xr.Dataset, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> dict[str, Path]:
    """Write the products of a pair into a folder, whole or not at all.

    Parameters
    ----------
    ds : xarray.Dataset
        What `velocity` returns: ``dx dy vx vy v`` (y, x), their errors where there are any, and
        whatever else should be kept. It may be lazy; it is computed once, in little memory.
    folder : path
        Where to write; it is made where it is missing.
    overwrite : bool
        Replace products that are already there.

    Returns
    -------
    dict of str to pathlib.Path
        The files by name:

        ``Glacier_Motion.tif``, ``Glacier_Velocity.tif``
            Cloud-optimised GeoTIFF, float32, no data NaN. Band 1 is the magnitude, 2 and 3 the
            components along x and y, 4 the error of the magnitude. Tags hold the dates, the
            corrections and the processing history.
        ``Glacier_Motion.qml``, ``Glacier_Velocity.qml``
            QGIS styles of the two.
        ``motion.nc``
            Every variable, CF, compressed; `open_products` reads it back.

    Raises
    ------
    FileError
        A product exists and `overwrite` is false, or the folder cannot be written; both are
        found before anything is computed.
    MissingVariableError
        `ds` lacks a variable or its dates.

    Notes
    -----
    The same Dataset gives the same bytes. The GeoTIFFs are north up, whatever the direction of
    the axes of `ds`.

    Examples
    --------
    >>> files = to_products(velocity, "out")  # doctest: +SKIP
    >>> sorted(files)  # doctest: +SKIP
    ['Glacier_Motion.qml', 'Glacier_Motion.tif', 'Glacier_Velocity.qml', ...]
    """
    validate(ds, needs=("dx", "dy", "vx", "vy", "v", *TIME_COORDS[:2]))
    styles = {name: name.replace(".tif", ".qml") for name in LAYERS}
    names = [*LAYERS, *styles.values(), DATASET]
    crs = _crs(ds)
    with atomic_folder(folder, names, overwrite=overwrite) as aside:
        whole = staged(_described(ds), aside / "stage.zarr")
        write_netcdf(whole, aside / DATASET)
        for name, layer in LAYERS.items():
            tags = {"TIFFTAG_IMAGEDESCRIPTION": layer.name, **_tags(ds)}
            highest = write_cog(whole, layer, aside / name, crs=crs, tags=tags)
            units = layer.bands[0].units
            write_style(aside / styles[name], highest=highest, units=units)
    return {name: Path(folder) / name for name in names}


def open_products(folder: str | os.PathLike[str], *, chunks: Chunks = CHUNK) -> xr.Dataset:
    """Open the Dataset that `to_products` wrote.

    Parameters
    ----------
    folder : path
        The folder of the products, or the file ``motion.nc`` itself.
    chunks : int, str, dict or None
        Chunks for Dask along y and x; ``None`` reads pieces on demand without Dask.

    Returns
    -------
    xarray.Dataset
        Equal to what was written, lazy.

    Raises
    ------
    FileError
        There is no such file, or it is damaged.

    Examples
    --------
    >>> ds = open_products("out/demo")  # doctest: +SKIP
    >>> ds.v.attrs["units"]  # doctest: +SKIP
    'm yr-1'
    """
    path = Path(folder)
    path = path / DATASET if path.is_dir() else path
    if not path.is_file():
        where = path.parent if path.name == DATASET else path
        raise FileError(
            f"there is no {DATASET} in {where}; write one with to_products() or "
            "`glaciertoolkit run`."
        )
    try:
        ds = xr.open_dataset(
            path, engine="h5netcdf", chunks=None, decode_coords="all", decode_timedelta=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} cannot be read as netCDF, it is damaged or something else; write it again."
        ) from error
    # Numbers come back as arrays; in memory they are plain lists.
    ds.attrs = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in ds.attrs.items()}
    if chunks is not None:
        ds = ds.chunk(plane_chunks(chunks))
    return describe(ds)


def software() -> str:
    """Name and version of this package."""
    # From the metadata: the package itself may not be imported from below.
    return f"glaciertoolkit {importlib.metadata.version('glaciertoolkit')}"


def _described(ds: xr.Dataset) -> xr.Dataset:
    out = describe(ds).assign_attrs(software=software())
    for name in TIME_COORDS:
        if name in out.coords:
            # The unit of the file; the difference is below what any clock on board tells.
            rounded = out[name].values.astype("datetime64[us]").astype("datetime64[ns]")
            out[name] = out[name].copy(data=rounded)
    return out


def _crs(ds: xr.Dataset) -> Any:
    if GRID_MAPPING not in ds.coords:
        return None
    import rioxarray  # noqa: F401  (registers .rio)

    return ds.rio.crs


def _tags(ds: xr.Dataset) -> dict[str, str]:
    first, second = (parse_time(ds[name].values) for name in TIME_COORDS[:2])
    steps = [str(step["step"]) for step in history(ds)]
    return {
        "TIFFTAG_SOFTWARE": software(),
        "REFERENCE_TIME": min_text(first),
        "SECONDARY_TIME": min_text(second),
        "DT_DAYS": f"{interval_days(ds):.9g}",
        "CORRECTIONS": ", ".join(s for s in steps if s in CORRECTIONS) or "none",
        "PROCESSING": str(ds.attrs.get(ATTRIBUTE, "")),
    }
