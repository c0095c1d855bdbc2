"""Write a simulated GF-3 pair as a user would have it: two products, DEM, outlines; and truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.io.atomic import atomic_folder
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3 import ROLES, Gf3Scene
from glaciertoolkit.simulate.gf3_files import ARCHIVES, ProductHeader, write_product
from glaciertoolkit.simulate.gf3_orbits import MOTION
from glaciertoolkit.simulate.gf3_parameters import POLARISATIONS
from glaciertoolkit.simulate.gf3_truth import true_gf3_motion
from glaciertoolkit.simulate.products import simulate_dem, simulate_outlines

FIRST_ORBIT = 16_023
FIRST_PRODUCT = 4_301_187
HEIGHTS = "height above the WGS84 ellipsoid"
TRUTH_STEP = 16
"""Pixels between the posts of the truth that is written."""


def write_gf3_pair(
    scene: Gf3Scene,
    folder: str | os.PathLike[str],
    *,
    archive: str | None = None,
    resolution: float = 30.0,
    truth: bool = True,
) -> dict[str, Path]:
    """Write both images as GF-3 products, with a DEM, glacier outlines and the truth.

    Large images are computed and written strip by strip. All files appear together once all are
    written; files of the same names are replaced.

    Parameters
    ----------
    scene : Gf3Scene
        What `simulate_gf3` returned.
    folder : path
        Made if it does not exist.
    archive : {"tar.gz", "zip"}, optional
        Pack each product.
    resolution : float
        Spacing of the DEM, metres.
    truth : bool
        Whether to write `truth.nc` as well.

    Returns
    -------
    dict of str to Path
        `reference` and `secondary` (folders or archives), `dem` (``dem.tif``: metres above the
        ellipsoid, as its band and its tag ``VERTICAL_DATUM`` say, some kilometres beyond the
        images), `outlines` (``outlines.gpkg``, not written without ice) and `truth` (``truth.nc``:
        `true_gf3_motion` every 16 pixels, and in the attribute `simulation` all parameters).

    Raises
    ------
    ParameterError
        `archive` or `resolution` is none of those there are.
    FileError
        The folder cannot be made or written.

    Examples
    --------
    >>> from glaciertoolkit.simulate.gf3 import simulate_gf3
    >>> paths = write_gf3_pair(simulate_gf3(), "gf3/")  # doctest: +SKIP
    """
    if archive is not None and archive not in ARCHIVES:
        raise ParameterError(f"archive={archive!r} must be one of {', '.join(ARCHIVES)}.")
    headers = {role: product_header(scene, role) for role in ROLES}
    channels = tuple(c for c in POLARISATIONS if c in scene.parameters.polarisations)
    ending = ARCHIVES[archive] if archive else ""
    names = {role: header.name(channels) + ending for role, header in headers.items()}
    names["dem"] = "dem.tif"
    outlines = simulate_outlines(scene.map_scene)
    if len(outlines):
        names["outlines"] = "outlines.gpkg"
    if truth:
        names["truth"] = "truth.nc"
    with atomic_folder(folder, names.values(), overwrite=True) as aside:
        dem = simulate_dem(scene.map_scene, resolution=resolution)
        dem = dem.assign_attrs(long_name=HEIGHTS)
        dem.attrs.pop("standard_name", None)
        dem.rio.to_raster(
            aside / names["dem"], tiled=True, compress="deflate", predictor=3,
            tags={"VERTICAL_DATUM": "WGS84 ellipsoid"},
        )  # fmt: skip
        if len(outlines):
            outlines.to_file(aside / names["outlines"], driver="GPKG")
        for role, header in headers.items():
            write_product(aside, header, scene.images(role), archive=archive)
        if truth:
            _write_truth(scene, aside / names["truth"])
    return {what: Path(folder) / name for what, name in names.items()}


def product_header(scene: Gf3Scene, role: str) -> ProductHeader:
    """What the product of one image says of itself."""
    p, setting = scene.parameters, scene.setting
    one = setting.reference if role == "reference" else setting.secondary
    orbits = round(MOTION * p.days * 86_400 / (2 * np.pi)) if role == "secondary" else 0
    return ProductHeader(
        geometry=one.header,
        state_vectors=one.vectors,
        mean_height=setting.centre[2],
        relief=max(setting.landscape.relief, 500.0),
        mode=p.mode,
        orbit_number=FIRST_ORBIT + orbits,
        product_number=FIRST_PRODUCT + (role == "secondary") * (1 + round(1500 * p.days)),
        range_bandwidth=p.sampling.range_bandwidth * 1e6,
        azimuth_bandwidth=p.sampling.azimuth_bandwidth,
    )


def _write_truth(scene: Gf3Scene, path: Path) -> None:
    geometry = scene.reference_geometry
    part = slice(TRUTH_STEP // 2, None, TRUTH_STEP)
    posts = xr.Dataset(coords={"y": geometry.y[part], "x": geometry.x[part]})
    truth = true_gf3_motion(scene, posts, template=1)
    truth.attrs[par.ATTRIBUTE] = scene.parameters.to_json()
    encoding: dict[str, Any] = {str(k): {"zlib": True, "complevel": 4} for k in truth.data_vars}
    truth.to_netcdf(path, engine="h5netcdf", encoding=encoding)
