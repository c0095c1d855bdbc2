"""Cloud-optimised GeoTIFFs with a QGIS style, written window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.io import lattice, raster
from glaciertoolkit.io.lattice import Lattice
from glaciertoolkit.vectors import magnitude_error

BLOCK = 512  # pixels along the edge of a block, and of a window in memory
SAMPLE = 1_000_000  # values from which the range of the colours is taken
COLOURS = 9

STYLE_ITEM = (
    '          <item value="{value}" label="{value} {units}" color="{colour}" alpha="255"/>'
)
STYLE = """\
<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.28" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1"
        classificationMin="0" classificationMax="{highest}" nodataColor="">
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0"
            minimumValue="0" maximumValue="{highest}" labelPrecision="4">
{items}
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
  </pipe>
</qgis>
"""

Float32 = npt.NDArray[np.float32]


class Band(NamedTuple):
    """Description and unit of a band."""

    description: str
    units: str


class Layer(NamedTuple):
    """The four bands of a vector field: magnitude, x, y and error of the magnitude."""

    name: str
    bands: tuple[Band, Band, Band, Band]
    variables: tuple[str, str, str]  # magnitude (may be missing in the Dataset), x, y
    covariance: str | None


def bands(ds: xr.Dataset, layer: Layer) -> Float32:
    """The four bands of `layer` over `ds`, which is one window and fits into memory."""
    length_name, x_name, y_name = layer.variables
    x, y = (ds[n].values.astype(np.float64) for n in (x_name, y_name))
    length = ds[length_name].values if length_name in ds else np.hypot(x, y)
    if f"{length_name}_error" in ds:
        error = ds[f"{length_name}_error"].values
    elif f"{x_name}_error" in ds and f"{y_name}_error" in ds:
        shared = ds[layer.covariance].values if layer.covariance in ds else 0.0
        error = magnitude_error(
            x, y, ds[f"{x_name}_error"].values, ds[f"{y_name}_error"].values, shared
        )
    else:
        error = np.full(x.shape, np.nan)
    return np.stack([length, x, y, error]).astype(np.float32)


def north_up(ds: xr.Dataset) -> xr.Dataset:
    """`ds` with y falling and x rising, as GeoTIFF readers expect it."""
    flip = {
        "y": ds["y"].values[0] < ds["y"].values[-1],
        "x": ds["x"].values[0] > ds["x"].values[-1],
    }
    return ds.isel({dim: slice(None, None, -1) for dim, yes in flip.items() if yes})


def windows(grid: Lattice) -> Iterator[tuple[slice, slice]]:
    """Row and column slices of the blocks of a grid, in order."""
    for row in range(0, grid.ny, BLOCK):
        for col in range(0, grid.nx, BLOCK):
            yield slice(row, min(row + BLOCK, grid.ny)), slice(col, min(col + BLOCK, grid.nx))


def write_cog(
    ds: xr.Dataset, layer: Layer, path: Path, *, crs: Any, tags: Mapping[str, str]
) -> float:
    """Write `layer` of `ds` as a cloud-optimised GeoTIFF.

    Parameters
    ----------
    ds : xarray.Dataset
        In memory, or read from a store in pieces.
    layer : Layer
        What to write.
    path : pathlib.Path
        The file to make; an intermediate file is made and removed beside it.
    crs : rasterio.crs.CRS or None
    tags : mapping
        Tags of the file.

    Returns
    -------
    float
        The 98th percentile of the magnitude, from at most a million evenly spread posts.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.shutil import copy
    from rasterio.windows import Window

    raster.limit_gdal()
    ds = north_up(ds)
    grid = lattice.from_coords(ds[layer.variables[1]], label="Dataset")
    every = max(1, math.ceil(math.sqrt(grid.ny * grid.nx / SAMPLE)))
    sample: list[Float32] = []
    draft = path.with_name(f"draft-{path.name}")
    profile = {
        "driver": "GTiff",
        "width": grid.nx,
        "height": grid.ny,
        "count": len(layer.bands),
        "dtype": "float32",
        "nodata": np.nan,
        "crs": crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "BIGTIFF": "IF_SAFER",
    }
    with rasterio.open(draft, "w", **profile) as target:
        for number, band in enumerate(layer.bands, 1):
            target.set_band_description(number, band.description)
            target.set_band_unit(number, band.units)
        target.update_tags(**tags)
        for rows, cols in windows(grid):
            block = bands(ds.isel(y=rows, x=cols), layer)
            place = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
            target.write(block, window=place)
            sample.append(
                block[0, -rows.start % every :: every, -cols.start % every :: every].ravel()
            )
    copy(
        draft,
        path,
        driver="COG",
        COMPRESS="DEFLATE",
        PREDICTOR="FLOATING_POINT",
        BLOCKSIZE=BLOCK,
        OVERVIEW_RESAMPLING=Resampling.average.name.upper(),
        BIGTIFF="IF_SAFER",
    )
    draft.unlink()
    values = np.concatenate(sample)
    values = values[np.isfinite(values)]
    return float(np.percentile(values, 98)) if values.size else 1.0


def write_style(path: Path, *, highest: float, units: str) -> None:
    """A QGIS style: band 1 in the colours of viridis, from zero to `highest`."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    highest = float(f"{highest:.2g}") or 1.0
    items = []
    for part in np.linspace(0.0, 1.0, COLOURS):
        value, colour = f"{part * highest:.6g}", to_hex(colormaps["viridis"](part))
        items.append(STYLE_ITEM.format(value=value, units=units, colour=colour))
    text = STYLE.format(highest=f"{highest:.6g}", items="\n".join(items))
    path.write_text(text, encoding="utf-8")
