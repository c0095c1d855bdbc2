"""One glacier of a map: its row in the table of glaciers, its heights, its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitError
from glaciertoolkit.grids import grid_spacing, read_outlines, template_metres
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.topography import topography

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

BANDS = 20
STEPS = (10.0, 20.0, 25.0, 50.0, 100.0, 200.0, 250.0, 500.0)


class GlacierFacts(NamedTuple):
    """What is known of one glacier; what is not is None, and why is in the sentences."""

    row: pd.Series
    units: dict[str, str]
    by_elevation: xr.Dataset | None
    history: pd.DataFrame | None
    sentences: tuple[str, ...]


def glacier_facts(
    ds: xr.Dataset, outlines: gpd.GeoDataFrame, number: int, maps: tuple[xr.Dataset, ...] = ()
) -> GlacierFacts:
    """The facts of the glacier in row `number` of `outlines`, from the posts around it alone."""
    crop, near, place = _around(ds, outlines, number)
    dem = crop.get("elevation")
    table = glaciers(crop, near, dem=dem)
    sentences = []
    try:
        by_elevation = _by_elevation(crop, near.geometry.iloc[place])
    except GlacierToolkitError as error:
        by_elevation = None
        sentences.append(f"No curve by elevation: {error}")
    history = _history(outlines, number, [*maps, ds], sentences) if maps else None
    if history is None:
        sentences.append("No history: give the maps of other dates as maps=[...].")
    return GlacierFacts(
        table.iloc[place], table.attrs["units"], by_elevation, history, tuple(sentences)
    )


def _around(
    ds: xr.Dataset, outlines: gpd.GeoDataFrame, number: int
) -> tuple[xr.Dataset, gpd.GeoDataFrame, int]:
    """The posts around a glacier, the outlines that reach them, and where it is among these."""
    numbered = outlines.assign(_number=np.arange(len(outlines)))
    shape = read_outlines(numbered.iloc[[number]], ds, what="glacier outlines").geometry.iloc[0]
    # The margin of the ice is looked for this far from a post.
    margin = (template_metres(ds) or 0.0) + 3 * max(grid_spacing(ds))
    left, bottom, right, top = shape.buffer(margin).bounds
    x, y = ds["x"].values, ds["y"].values
    columns, rows = (x >= left) & (x <= right), (y >= bottom) & (y <= top)
    crop = ds.isel(y=_slice(rows), x=_slice(columns))
    near = read_outlines(numbered, crop, what="glacier outlines")
    place = int(np.flatnonzero(near["_number"].values == number)[0])
    return crop, near.drop(columns="_number"), place


def _slice(inside: np.ndarray[Any, Any]) -> slice:
    found = np.flatnonzero(inside)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 2)


def _by_elevation(crop: xr.Dataset, shape: Any) -> xr.Dataset | None:
    """Area and speed of a glacier in bands of elevation."""
    if not {"elevation", "slope", "aspect"} <= set(crop):
        return None
    terrain = crop[["elevation", "slope", "aspect"]]
    heights = crop["elevation"].values
    aim = float(np.nanmax(heights) - np.nanmin(heights)) / BANDS
    step = next((s for s in STEPS if s >= aim), STEPS[-1])
    return topography(crop, terrain, outlines=shape, elevation_step=step)


def _history(
    outlines: gpd.GeoDataFrame, number: int, maps: list[xr.Dataset], sentences: list[str]
) -> pd.DataFrame | None:
    """Median speed of the glacier at each date, with its error and the coverage."""
    import pandas as pd

    rows = []
    for ds in maps:
        if "mid_date" not in ds.coords:
            continue
        date = pd.Timestamp(ds["mid_date"].values.item())
        try:
            crop, near, place = _around(ds, outlines, number)
            row = glaciers(crop, near).iloc[place]
        except GlacierToolkitError as error:
            sentences.append(f"{date:%Y-%m-%d} is left out: {error}")
            continue
        kept = {k: row[k] for k in ("v_median", "v_error", "coverage", "count")}
        rows.append({"mid_date": date, **kept})
    table = pd.DataFrame(rows)
    return table.sort_values("mid_date", ignore_index=True) if len(table) else None
