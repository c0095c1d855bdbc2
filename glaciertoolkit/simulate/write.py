"""Write a scene to files as a user would have them: images, DEM, outlines; and the truth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from glaciertoolkit.io.atomic import atomic_folder
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.products import simulate_dem, simulate_outlines

COMPRESSION = {"zlib": True, "complevel": 4}


def write_pair(
    scene: xr.Dataset, folder: str | os.PathLike[str], *, truth: bool = True
) -> dict[str, Path]:
    """Write the images of a scene, its DEM, its outlines and its truth into a folder.

    Large scenes are computed and written strip by strip. All files appear together once all are
    written; files of the same names are replaced.

    Parameters
    ----------
    scene : xarray.Dataset
        What `simulate_pair` returned, or a part of it.
    folder : path
        Made if it does not exist.
    truth : bool
        Whether to write `truth.nc` as well.

    Returns
    -------
    dict of str to Path
        `reference` and `secondary` (``YYYYMMDD.tif``: tiled float32 GeoTIFFs, nodata NaN, with
        the tags ``ACQUISITION_TIME`` (ISO) and ``TIFFTAG_DATETIME``), `dem` (``dem.tif``),
        `outlines` (``outlines.gpkg``, not written without ice) and `truth` (``truth.nc``).

    Raises
    ------
    FileError
        The folder cannot be made or written.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import open_pair, simulate_pair
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_pair(simulate_pair(size=128, seed=1), folder)
    ...     pair = open_pair(files["reference"], files["secondary"]).load()
    >>> dict(pair.sizes)
    {'y': 128, 'x': 128}
    """
    par.of_scene(scene)
    outlines = simulate_outlines(scene)
    names = _image_names(scene) | {"dem": "dem.tif"}
    if len(outlines):
        names["outlines"] = "outlines.gpkg"
    if truth:
        names["truth"] = "truth.nc"
    with atomic_folder(folder, names.values(), overwrite=True) as aside:
        paths = {what: aside / name for what, name in names.items()}
        _write_images(scene, {image: paths[image] for image in ("reference", "secondary")})
        simulate_dem(scene).rio.to_raster(paths["dem"], tiled=True, compress="deflate", predictor=3)
        if len(outlines):
            outlines.to_file(paths["outlines"], driver="GPKG")
        if truth:
            _write_truth(scene, paths["truth"])
    return {what: Path(folder) / name for what, name in names.items()}


def _image_names(scene: xr.Dataset) -> dict[str, str]:
    """File names from the dates; with the time of day where both are of one day."""
    times = {k: scene[f"{k}_time"].values for k in ("reference", "secondary")}
    for unit in ("D", "s"):
        stamps = {
            k: str(np.datetime_as_string(t, unit=unit)).replace("-", "").replace(":", "")
            for k, t in times.items()
        }
        if len(set(stamps.values())) == 2:
            break
    return {k: f"{stamp}.tif" for k, stamp in stamps.items()}


def _write_images(scene: xr.Dataset, paths: dict[str, Path]) -> None:
    import rasterio
    from rasterio.windows import Window

    rows, columns = scene.sizes["y"], scene.sizes["x"]
    for image, path in paths.items():
        data = scene[image]
        real = data.dtype.kind == "f"
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=rows,
            width=columns,
            count=1,
            dtype=data.dtype.name,
            crs=scene.rio.crs,
            transform=scene.rio.transform(recalc=True),
            nodata=np.nan if real else None,
            tiled=True,
            blockxsize=512,
            blockysize=512,
            compress="deflate",
            predictor=3 if real else 1,
            bigtiff="if_safer",
        ) as out:
            time = scene[f"{image}_time"].values
            stamp = str(np.datetime_as_string(time, unit="s"))
            out.update_tags(
                ACQUISITION_TIME=stamp,
                TIFFTAG_DATETIME=stamp.replace("-", ":").replace("T", " "),
                AREA_OR_POINT="Area",
            )
            out.set_band_description(1, str(data.attrs.get("long_name", image)))
            for first in range(0, rows, par.TILE):
                strip = data[first : first + par.TILE].values
                out.write(strip, 1, window=Window(0, first, columns, strip.shape[0]))


def _write_truth(scene: xr.Dataset, path: Path) -> None:
    kept = [name for name in scene.data_vars if name not in ("reference", "secondary")]
    truth = scene[kept].drop_encoding()
    truth.to_netcdf(path, engine="h5netcdf", encoding={name: dict(COMPRESSION) for name in kept})
