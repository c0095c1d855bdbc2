"""The published maps of GF-3 glacier motion (Qinghai-Tibet Plateau, 2019-2020), and their like."""

from __future__ import annotations

import os
import re
import warnings
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import VARIABLES
from glaciertoolkit.errors import DateError, GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.io import conform, raster
from glaciertoolkit.io.dates import date_from_name, parse_time
from glaciertoolkit.io.raster import CHUNK, Chunks
from glaciertoolkit.io.units import canonical_units, convert_units

KINDS = {"motion": "m", "velocity": "m yr-1"}
IMPLAUSIBLE = 1e5
"""No glacier moves as many metres, or metres a year: such numbers are an undeclared "no data"."""

# By what a description says; the first that fits.
_ROLES = (
    ("error", re.compile(r"error|sigma|uncert|accuracy|std", re.I)),
    ("x", re.compile(r"along x|east|\bx\b|(?<![a-z])(?:v|d)x(?![a-z])", re.I)),
    ("y", re.compile(r"along y|north|\by\b|(?<![a-z])(?:v|d)y(?![a-z])", re.I)),
    ("magnitude", re.compile(r"magnitude|speed|velocity|motion|displacement", re.I)),
)
_NAMES = {
    "motion": {"magnitude": "d", "x": "dx", "y": "dy", "error": "d_error"},
    "velocity": {"magnitude": "v", "x": "vx", "y": "vy", "error": "v_error"},
}
_LONG = {
    "d": "displacement magnitude between the two dates",
    "d_error": "1-sigma error of the displacement magnitude",
}


def open_glacier_motion(
    source: str | os.PathLike[str],
    *,
    kind: str | None = None,
    units: str | None = None,
    nodata: Any = None,
    chunks: Chunks = CHUNK,
    label: str = "map of glacier motion",
) -> xr.Dataset:
    """Open a published "Glacier Motion" or "Glacier Velocity" GeoTIFF, lazily.

    Parameters
    ----------
    source : path
        A GeoTIFF of the published data set (float32, about 12 m), or one of ours
        (``Glacier_Motion.tif``, ``Glacier_Velocity.tif``).
    kind : str, optional
        ``"motion"`` (displacement, m) or ``"velocity"``; by default from the name of the file.
    units : str, optional
        Unit of the numbers where the file does not say it. Without either a motion is taken as
        metres, and a velocity as metres a year with a warning: the publication says a
        displacement in metres, and a velocity without its unit.
    nodata : number or sequence, optional
        Values that mean "missing", besides what the file says.
    chunks : int, str, dict or None
        Chunks along y and x; None reads now.
    label : str
        What the map is called in messages.

    Returns
    -------
    xarray.Dataset
        Of a motion `d`, and where there are such bands `dx`, `dy`, `d_error` (m); of a velocity
        `v`, and `vx`, `vy`, `v_error` (m yr-1). One band is the magnitude; several are told
        apart by their descriptions. Float32, NaN where missing, with the CRS of the file, and
        its dates where it states them.

    Raises
    ------
    FileError
        Missing, truncated, or not a raster.
    InputError
        Several bands whose descriptions do not say what they are, or a negative magnitude.
    ParameterError
        `kind` is neither, or is not given and not in the name.

    Warns
    -----
    GlacierToolkitWarning
        The unit of a velocity is not stated anywhere.

    Examples
    --------
    >>> import tempfile
    >>> from glaciertoolkit import open_glacier_motion, write_samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_samples(folder, names=["gf3_motion_qtp"])
    ...     found = open_glacier_motion(files["gf3_motion_qtp"] / "Glacier_Motion.tif").load()
    >>> found.d.attrs["units"]
    'm'
    """
    name = raster.base_name(source)
    kind = _kind(kind, name)
    with raster.opened(source) as file:
        descriptions, bands = list(file.descriptions), file.count
        stated = [unit or file.tags(i + 1).get("units") for i, unit in enumerate(file.units)]
        tags = file.tags()
        stated = [unit or tags.get("units") or tags.get("UNITS") for unit in stated]
    names = _band_names(descriptions, bands, kind, name)
    data: dict[str, xr.DataArray] = {}
    for number, variable in enumerate(names, 1):
        unit = _unit(units or stated[number - 1], kind, name)
        values = raster.open_raster(source, band=number, chunks=chunks, label=label)
        values = conform.missing_to_nan(values, nodata)
        values = convert_units(values.where(abs(values) < IMPLAUSIBLE), unit, KINDS[kind])
        values.attrs = {"units": KINDS[kind], "long_name": _long_name(variable)}
        data[variable] = values.astype(np.float32)
    first = next(iter(data.values()))
    ds = xr.Dataset(data)
    if first.rio.crs is not None:
        ds = conform.with_crs(ds.drop_vars("spatial_ref", errors="ignore"), first.rio.crs)
    return conform.with_units(_with_dates(ds, tags, name))


def _kind(kind: str | None, name: str) -> str:
    if kind is None:
        low = name.lower()
        kind = "velocity" if "veloc" in low else "motion" if "motion" in low else None
        if kind is None:
            raise ParameterError(
                f"the name {name!r} does not say whether it is a motion or a velocity; give "
                "kind='motion' or kind='velocity'."
            )
    if kind not in KINDS:
        raise ParameterError(f"kind={kind!r} is neither 'motion' nor 'velocity'.")
    return kind


def _band_names(descriptions: list[Any], bands: int, kind: str, name: str) -> list[str]:
    ours = _NAMES[kind]
    if bands == 1:
        return [ours["magnitude"]]
    found: list[str] = []
    for text in descriptions:
        role = next((r for r, pattern in _ROLES if text and pattern.search(text)), None)
        found.append(ours.get(role or "", ""))
    if not all(found) or len(set(found)) < len(found):
        raise InputError(
            f"{name} has {bands} bands whose descriptions ({', '.join(map(str, descriptions))}) do "
            "not say which is the magnitude, x, y and error; extract the band you need, for "
            "example with gdal_translate -b 1."
        )
    return found


def _unit(text: str | None, kind: str, name: str) -> str:
    if text:
        return canonical_units(text)
    if kind == "velocity":
        warnings.warn(
            f"{name} does not state the unit of its velocity, metres a year are assumed; give "
            "units= (such as 'm d-1') if they are others.",
            GlacierToolkitWarning,
            stacklevel=3,
        )
    return KINDS[kind]


def _long_name(variable: str) -> str:
    return VARIABLES[variable].long_name if variable in VARIABLES else _LONG[variable]


def _with_dates(ds: xr.Dataset, tags: dict[str, Any], name: str) -> xr.Dataset:
    """`ds` with its two dates: from our tags, else two dates in the file name."""
    found: dict[str, np.datetime64] = {}
    for coordinate in ("reference_time", "secondary_time"):
        text = tags.get(coordinate.upper())
        if text:
            try:
                found[coordinate] = parse_time(text)
            except DateError:
                continue
    if len(found) < 2:
        parts = re.findall(r"(?<!\d)(?:19|20)\d{6}(?!\d)", name)
        days = [date_from_name(part) for part in parts]
        if len(days) == 2 and all(d is not None for d in days) and days[0] < days[1]:  # type: ignore[operator]
            found = dict(zip(("reference_time", "secondary_time"), days, strict=True))  # type: ignore[arg-type]
    if len(found) == 2:
        first, second = found["reference_time"], found["secondary_time"]
        ds = ds.assign_coords(found | {"mid_date": first + (second - first) / 2})
    return ds
