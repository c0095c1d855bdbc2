"""The curves and lines of the profile inspector as files, and as code that gives the same."""

from __future__ import annotations

import json
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.apps.profile_answer import Answer, Curve
from glaciertoolkit.apps.profile_content import ProfileContent
from glaciertoolkit.apps.profile_lines import DrawnLine
from glaciertoolkit.conventions import in_radar_geometry
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.grids import crs_of

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
FIRST = ("line", "date", "distance", "x", "y", "longitude", "latitude")
EMPTY = "there is no curve to save: draw a line over the coloured map first."


def profile_csv(gathered: ProfileContent, answer: Answer) -> BytesIO:
    """All curves as one table; lines that begin with # before it say what it is, and the units."""
    table = profile_table(gathered, answer)
    width = answer.question.width
    band = f"means over a band {width:g} m wide" if width else "the line itself"
    units = "; ".join(f"{name} {unit}" for name, unit in table.attrs["units"].items())
    text = StringIO()
    text.write(f"# Profiles: {band}; strain rate over {answer.question.length:g} m.\n")
    text.write(f"# Units: {units}\n")
    table.to_csv(text, index=False)
    return BytesIO(text.getvalue().encode())


def profile_table(gathered: ProfileContent, answer: Answer) -> pd.DataFrame:
    """One row a point of a curve: line, date, place, and every variable.

    x and y are those of the map itself, also on other dates. ``attrs["units"]`` holds the units.

    Raises
    ------
    InputError
        Where there is no curve.
    """
    import pandas as pd

    if not answer.curves:
        raise InputError(EMPTY)
    pieces, units = [], {"distance": "m", "x": "m", "y": "m"}
    for curve in answer.curves:
        along = curve.along
        x, y = _on_the_map(gathered, along)
        columns: dict[str, Any] = {
            "line": curve.line.name, "date": curve.date,
            "distance": along["distance"].values, "x": x, "y": y,
        }  # fmt: skip
        degrees = _degrees(gathered.content.ds, x, y)
        if degrees is not None:
            columns["longitude"], columns["latitude"] = degrees
            units |= {"longitude": "degrees_east", "latitude": "degrees_north"}
        for name, field in along.data_vars.items():
            columns[str(name)] = field.values
            units.setdefault(str(name), str(field.attrs.get("units", "1")))
        pieces.append(pd.DataFrame(columns))
    table = pd.concat(pieces, ignore_index=True)
    for name in [c for c in table.columns if c not in FIRST]:
        if any(piece[name].dtype.kind in "iu" for piece in pieces if name in piece):
            table[name] = table[name].astype("Int64")  # whole numbers, also where some are missing
    table.attrs["units"] = {name: units[name] for name in table.columns if name in units}
    return table


def _on_the_map(gathered: ProfileContent, along: xr.Dataset) -> tuple[Floats, Floats]:
    """x and y of a curve in the coordinates of the map itself."""
    x, y = along["x"].values.astype(float), along["y"].values.astype(float)
    own, there = crs_of(gathered.content.ds), crs_of(along)
    if own is None or there is None or own == there:
        return x, y
    return _moved(there, own, x, y)


def _degrees(ds: xr.Dataset, x: Any, y: Any) -> tuple[Floats, Floats] | None:
    """Longitude and latitude (WGS84) of places on the map; None where it has no CRS."""
    crs = crs_of(ds)
    if crs is None or in_radar_geometry(ds):
        return None
    return _moved(crs, "EPSG:4326", x, y)


def _moved(crs: Any, to: Any, x: Any, y: Any) -> tuple[Floats, Floats]:
    from pyproj import CRS, Transformer

    own, there = (CRS.from_user_input(c if isinstance(c, str) else c.to_wkt()) for c in (crs, to))
    found = Transformer.from_crs(own, there, always_xy=True).transform(x, y)
    return np.asarray(found[0], float), np.asarray(found[1], float)


def lines_geojson(gathered: ProfileContent, answer: Answer) -> BytesIO:
    """The lines with their vertices in WGS84, as the standard (RFC 7946) demands.

    Each has as properties its name, its colour, its length on the map (m), the width of the band
    (m), and of every date the mean of each velocity along it.
    """
    lines = [line for line in answer.question.lines if line.distinct > 1]
    if not lines:
        raise InputError("there is no line to save: draw one of two points or more first.")
    features = []
    for line in lines:
        degrees = _degrees(gathered.content.ds, line.x, line.y)
        if degrees is None:
            raise GridError(
                "GeoJSON needs longitude and latitude, and this map has no CRS; take the CSV."
            )
        found = [curve for curve in answer.curves if curve.line.name == line.name]
        features.append(
            {
                "type": "Feature",
                "properties": _properties(line, found, answer),
                "geometry": {
                    "type": "LineString",
                    "coordinates": np.column_stack(degrees).tolist(),
                },
            }
        )
    text = json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False)
    return BytesIO(text.encode())


def _properties(line: DrawnLine, curves: list[Curve], answer: Answer) -> dict[str, Any]:
    steps = np.diff(np.asarray(line.points), axis=0)
    out: dict[str, Any] = {
        "name": line.name,
        "colour": line.colour,
        "length_m": float(np.hypot(*steps.T).sum()),
        "band_width_m": answer.question.width,
    }
    for curve in curves:
        for name in ("v", "v_along", "v_across"):
            if name in curve.along and np.isfinite(curve.along[name].values).any():
                mean = float(curve.along[name].mean(dtype=float))
                out[f"{name}_mean_m_yr-1 {curve.date}"] = mean
    return out


def code_of(gathered: ProfileContent, answer: Answer) -> str:
    """Calls of the library that give the curves, for the Dataset `velocity` that was opened."""
    question = answer.question
    out = ["import glaciertoolkit as gt", *gathered.setup]
    width = [f"width={question.width:g}"] if question.width else []
    dem = [f"dem={gathered.dem_code}"] if gathered.dem_code else []
    reprojected = _reprojected(gathered, question.dates)
    if reprojected:
        out.insert(0, "import geopandas, shapely")
    for number, line in enumerate((li for li in question.lines if li.distinct > 1), 1):
        name = f"line_{number}"
        out.append(f"\n# {line.name}")
        if line.origin is not None:
            x, y = line.origin
            out.append(
                f"{name} = velocity.glacier.flow_line({x!r}, {y!r}, gap={gathered.flow_gap:g})"
            )
        else:
            out.append(f"{name} = [{', '.join(f'({x!r}, {y!r})' for x, y in line.points)}]")
        for k, dated in enumerate(gathered.dates):
            if dated.label not in question.dates:
                continue
            own = k == 0
            ds = "velocity" if own else f"maps[{k - 1}]"
            shape = name
            if dated.label in reprojected:
                shape = f"geopandas.GeoSeries([shapely.LineString({name})], crs=velocity.rio.crs)"
            given = ", ".join([shape, *width, *(dem if own else [])])
            along = f"along_{number}" + ("" if own else f"_{k + 1}")
            note = "" if own else f"  # {dated.label}"
            out.append(f"{along} = {ds}.glacier.profile({given}){note}")
            if any("strain_rate" in c.along for c in answer.curves):
                out.append(f"{along} = gt.strain_rate({along}, length={question.length:g})")
    return "\n".join(out)


def _reprojected(gathered: ProfileContent, dates: tuple[str, ...]) -> set[str]:
    """The dates whose map is in another CRS."""
    own = crs_of(gathered.content.ds)
    return {d.label for d in gathered.dates[1:] if d.label in dates and crs_of(d.ds) != own}
