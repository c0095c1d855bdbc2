"""The report of a run: one HTML page that needs nothing else, for a screen, a phone and a printer.

Equal input gives equal bytes: nothing in the page depends on the time, the machine or chance.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit import report_figures as draw
from glaciertoolkit import report_words as words
from glaciertoolkit.conventions import validate
from glaciertoolkit.report_accuracy import accuracy_figures, findings
from glaciertoolkit.styles import flag_classes

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = "report.html.j2"
MOST_DRAWN = 1600
"""Posts along an edge of a figure."""


def write_report(
    path: str | os.PathLike[str],
    *,
    velocity: xr.Dataset,
    raw: xr.Dataset | None = None,
    accuracy: xr.Dataset | None = None,
    steps: draw.Residuals | None = None,
    topography: xr.Dataset | None = None,
    glaciers: pd.DataFrame | None = None,
    history: Iterable[Mapping[str, Any]] = (),
    title: str = "Glacier surface motion",
    parameters: Mapping[str, Any] | None = None,
    dem: Any = None,
    outlines: Any = None,
    overwrite: bool = False,
) -> Path:
    """Write the report of a run as one self-contained HTML file.

    Parameters
    ----------
    path : path
        The file to write.
    velocity : xarray.Dataset
        Result of `velocity`, dims ``(y, x)``; what it lacks is left out of the page.
    raw : xarray.Dataset, optional
        The offsets as tracked, for the share of posts that tracking measured.
    accuracy : xarray.Dataset, optional
        0-d variables ``{ground}_{variable}_{statistic}``, as `accuracy` returns them; with an
        `accuracy_report` also variograms, errors by covariate and calibration.
    steps : mapping, optional
        From the name of a step to the residuals ``(dx, dy)`` in metres that it left on stable
        ground, in the order of the processing.
    topography : xarray.Dataset, optional
        Statistics by elevation, as `stats.topography` returns them.
    glaciers : pandas.DataFrame, optional
        One row a glacier, as `stats.glaciers` returns it.
    history : iterable of mapping
        The processing steps, as `history` returns them.
    title : str
        Title of the page.
    parameters : mapping, optional
        Parameters of the run, shown as a table.
    dem : path or xarray.DataArray, optional
        Elevation for the shaded relief; by default the variable `elevation` of `velocity`.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines, to draw them and to tell ice from the rest.
    overwrite : bool
        Replace a file that is already there.

    Returns
    -------
    pathlib.Path
        The file, written whole or not at all.

    Raises
    ------
    MissingVariableError
        Where `velocity` holds no `v`.
    FileError
        Where the file exists and `overwrite` is false, or cannot be written.
    """
    from glaciertoolkit.io.atomic import atomic_path

    validate(velocity, needs=("v",))
    page = render(
        velocity=velocity,
        raw=raw, accuracy=accuracy, steps=steps, topography=topography, glaciers=glaciers,
        history=history, title=title, parameters=parameters, dem=dem, outlines=outlines,
    )  # fmt: skip
    with atomic_path(path, overwrite=overwrite) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)


def render(
    *,
    velocity: xr.Dataset,
    raw: xr.Dataset | None,
    accuracy: xr.Dataset | None,
    steps: draw.Residuals | None,
    topography: xr.Dataset | None,
    glaciers: pd.DataFrame | None,
    history: Iterable[Mapping[str, Any]],
    title: str,
    parameters: Mapping[str, Any] | None,
    dem: Any,
    outlines: Any,
) -> str:
    """The page as text; parameters as in `write_report`."""
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    from glaciertoolkit import __version__

    done = list(history)
    by_elevation = words.elevation_table(topography)
    drawn, table = _thinned(velocity), _outlines(velocity, outlines)
    shade = _relief(drawn, dem)
    context = {
        "title": title,
        "version": __version__,
        "headline": words.headline(velocity, raw=raw, accuracy=accuracy, history=done),
        "cards": words.cards(velocity, accuracy, ice=_ice(velocity, table)),
        "figures": _figures(drawn, steps, by_elevation, accuracy, shade=shade, outlines=table),
        "radar": "baseline_orbit" in velocity,
        "shaded": shade is not None,
        "outlined": table is not None,
        "flags": _flag_rows(velocity),
        "steps": words.step_table(steps or {}),
        "accuracy": words.accuracy_tables(accuracy),
        "findings": findings(accuracy),
        "elevation": words.elevation_rows(by_elevation),
        "glaciers": words.glacier_table(glaciers),
        "glaciers_note": words.glacier_note(glaciers),
        "history": [_step(entry) for entry in done],
        "parameters": [(k, _short(v)) for k, v in (parameters or {}).items()],
        "crs": words.crs_name(velocity),
    }
    source = files("glaciertoolkit").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(source).render(context)


def _thinned(velocity: xr.Dataset) -> xr.Dataset:
    """Every post that a figure can show: more would cost memory and not be seen."""
    every = {k: slice(None, None, -(-velocity.sizes[k] // MOST_DRAWN)) for k in ("y", "x")}
    return velocity.isel(every).compute()


def _relief(velocity: xr.Dataset, dem: Any) -> xr.DataArray | None:
    """Shaded relief on the posts, where an elevation is known."""
    from glaciertoolkit.grids import match_raster
    from glaciertoolkit.terrain import hillshade

    if dem is not None:
        return hillshade(match_raster(dem, velocity, min_coverage=0.0))
    return hillshade(velocity["elevation"]) if "elevation" in velocity else None


def _outlines(velocity: xr.Dataset, outlines: Any) -> Any:
    from glaciertoolkit.grids import read_outlines

    return None if outlines is None else read_outlines(outlines, velocity, allow_empty=True)


def _ice(velocity: xr.Dataset, outlines: Any) -> xr.DataArray | None:
    """The posts on glaciers, where the outlines of any are known."""
    from glaciertoolkit.grids import rasterize

    return None if outlines is None or outlines.empty else rasterize(outlines, velocity)


def _figures(
    velocity: xr.Dataset,
    steps: draw.Residuals | None,
    by_elevation: Mapping[str, draw.Array] | None,
    accuracy: xr.Dataset | None,
    *,
    shade: xr.DataArray | None,
    outlines: Any,
) -> dict[str, str]:
    """Every figure that the input allows, as base64 text; an empty text where it does not."""
    made: dict[str, bytes | None] = {
        "velocity": None,
        "flags": None,
        "deformation": draw.removed_figure(velocity, "deformation"),
        "topography": draw.removed_figure(velocity, "topography"),
        "residuals": draw.residual_figure(steps) if steps else None,
        "elevation": draw.elevation_figure(by_elevation) if by_elevation else None,
        **accuracy_figures(accuracy),
    }
    if np.isfinite(velocity["v"].values).any():
        made["velocity"] = draw.velocity_figure(velocity, shade=shade, outlines=outlines)
    if "flag" in velocity:
        made["flags"] = draw.flag_figure(velocity, flag_classes(velocity))
    return {k: base64.b64encode(png).decode("ascii") if png else "" for k, png in made.items()}


def _flag_rows(velocity: xr.Dataset) -> list[dict[str, str]]:
    if "flag" not in velocity:
        return []
    classes = flag_classes(velocity)
    rows = zip(classes.labels, classes.meanings, classes.colours, classes.shares, strict=True)
    ordered = sorted(rows, key=lambda row: -row[3])
    return [
        {"label": label, "meaning": meaning, "colour": colour, "share": f"{100 * share:.1f} %"}
        for label, meaning, colour, share in ordered
    ]


def _short(value: Any) -> str:
    """A parameter as JSON would write it, without escapes of letters."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _step(entry: Mapping[str, Any]) -> dict[str, str]:
    given = entry.get("parameters")
    if not isinstance(given, Mapping):
        given = {k: v for k, v in entry.items() if k != "step"}
    text = ", ".join(f"{k}={_short(v)}" for k, v in given.items())
    return {"name": str(entry.get("step", "step")), "parameters": text}
