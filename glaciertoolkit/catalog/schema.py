"""What the metadata of an entry may hold, and a lint that says where they do not.

Every entry of the built-in catalog must have `title`, `provider`, `variables`, `license`,
`access`, `role`, `frequency`, `format`, `get`, and `crs` or `projection`. Of a catalog of your own
nothing is demanded; `Catalog.check` tells what would be.

======================  =========================================================================
`title`, `provider`     text
`id`                    number in the listing an entry was made from
`family`                what it belongs to: snow, lakes, climate, ...
`variables`             mapping of names to units (UDUNITS spelling; ``"1"`` without dimension)
`crs`                   code that PROJ knows
`projection`            in words, where there is no one code, or it is not known
`grid`, `shape`, `cellsize`  resolution in words; rows and columns; size of a cell in units of `crs`
`bbox`                  west, south, east, north, degrees
`bbox_trusted`          false where the box is known to be wrong; then `contradictions` say why
`area`, `size`, `count`  in words; number of features
`start`, `end`          year, year-month or date
`title_year`, `image_year`  where the title and the images differ
`frequency`             one of `FREQUENCIES`
`format`                in words
`file_names`            how a file name is made, with the codes of strptime
`nodata`, `scale`       number that means "missing"; factor from stored numbers to units
`classes`               mapping of codes to what they mean
`accuracy`              in words, as the source states it
`license`               one of `LICENSES`
`access`                one of `ACCESS`: open, login (free, after registration), made (by a command)
`role`                  one or several of `ROLES`
`doi`, `url`, `citation`
`reader`, `reader_options`  see `glaciertoolkit.catalog.readers`
`coordinates`           longitude, latitude and elevation of a station
`contradictions`        where sources contradict one another or themselves
`notes`                 what else one should know, assumptions of this catalog included
`get`                   how to get the data
======================  =========================================================================
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.io.units import parse_units

if TYPE_CHECKING:
    from glaciertoolkit.catalog.entry import Entry

UNKNOWN = "unknown"

ROLES = ("image", "dem", "velocity", "outline", "mask", "covariate", "validation", "context")
ACCESS = ("open", "login", "made", UNKNOWN)
LICENSES = (
    "CC0-1.0", "CC-BY-4.0", "MIT", "public-domain", "copernicus", "copernicus-dem", "nasa",
    "jaxa-aw3d30", "provider", UNKNOWN,
)  # fmt: skip
"""SPDX names where there is one; else whose terms hold (`provider`: as the provider states)."""
FREQUENCIES = (
    "static", "30-minute", "hourly", "daily", "8-day", "10-day", "monthly", "yearly", "5-yearly",
    "irregular", UNKNOWN,
)  # fmt: skip

NEEDED = (
    "title",
    "provider",
    "variables",
    "license",
    "access",
    "role",
    "frequency",
    "format",
    "get",
)
KEYS = {
    *NEEDED, "id", "family", "crs", "projection", "grid", "shape", "cellsize", "bbox",
    "bbox_trusted", "area", "size", "count", "start", "end", "title_year", "image_year",
    "file_names", "nodata", "scale", "classes", "accuracy", "doi", "url", "citation", "reader",
    "reader_options", "coordinates", "contradictions", "notes",
}  # fmt: skip
YEARS = (1800, 2100)
_WORDS = ("title", "provider", "format", "get", "family", "grid", "area", "accuracy", "projection")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_PERIOD = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")

Fault = Callable[[Mapping[str, Any]], "str | None"]


def roles(metadata: Mapping[str, Any]) -> list[str]:
    """The roles of an entry, one or several."""
    role = metadata.get("role", [])
    return list(role) if isinstance(role, list) else [str(role)]


def lint(entry: Entry) -> list[str]:
    """What in an entry breaks the schema, one sentence each.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    list of str
        Empty where all is well.

    Examples
    --------
    >>> from glaciertoolkit.catalog import open_catalog
    >>> lint(open_catalog().rgi7_outlines)
    []
    """
    facts = entry.metadata
    faults = [f"lacks {key!r}" for key in NEEDED if key not in facts]
    faults += [f"has the unknown key {key!r}" for key in sorted(set(facts) - KEYS)]
    for check in _CHECKS:
        fault = check(facts)
        if fault is not None:
            faults.append(fault)
    faults += _reader_faults(entry)
    return [f"{entry.name} {fault}." for fault in faults]


def _words(facts: Mapping[str, Any]) -> str | None:
    for key in _WORDS:
        if key in facts and not (isinstance(facts[key], str) and facts[key].strip()):
            return f"has {key} {facts[key]!r}, which should be text"
    for key in ("notes", "contradictions"):
        value = facts.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return f"has {key} that are no list of sentences"
    return None


def _vocabularies(facts: Mapping[str, Any]) -> str | None:
    for key, known in (
        ("license", LICENSES),
        ("access", ACCESS),
        ("frequency", FREQUENCIES),
    ):
        if key in facts and facts[key] not in known:
            return f"has the {key} {facts[key]!r}, known are {', '.join(known)}"
    strange = [role for role in roles(facts) if role not in ROLES]
    return f"has the role {strange[0]!r}, known are {', '.join(ROLES)}" if strange else None


def _units(facts: Mapping[str, Any]) -> str | None:
    variables = facts.get("variables", {})
    if not isinstance(variables, Mapping):
        return "has variables that are no mapping of names to units"
    for name, unit in variables.items():
        try:
            parse_units(unit)
        except ParameterError as error:
            return f"has the variable {name!r}: {str(error).rstrip('.')}"
    return None


def _place(facts: Mapping[str, Any]) -> str | None:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if "crs" not in facts and "projection" not in facts:
        return "says neither its crs nor its projection"
    if "crs" in facts:
        try:
            CRS.from_user_input(facts["crs"])
        except CRSError:
            return f"has the crs {facts['crs']!r}, which PROJ does not know"
    return _box(facts)


def _box(facts: Mapping[str, Any]) -> str | None:
    box = facts.get("bbox")
    if box is None:
        return None
    if not (isinstance(box, list) and len(box) == 4):
        return f"has the bbox {box!r}, which should be west, south, east, north"
    west, south, east, north = (float(v) for v in box)
    if not (-180 <= west < east <= 360 and -90 <= south < north <= 90):
        return f"has the bbox {box!r}, which is no box: west, south, east, north in degrees"
    if facts.get("bbox_trusted", True) is False and not facts.get("contradictions"):
        return "has a bbox that is not trusted, and no contradiction that says why"
    return None


def _dates(facts: Mapping[str, Any]) -> str | None:
    ends: list[tuple[int, ...]] = []
    for key in ("start", "end"):
        value = facts.get(key, UNKNOWN)
        if value == UNKNOWN:
            continue
        parts = _parts(value)
        if parts is None:
            return f"has the {key} {value!r}, which is no year, year-month or date"
        ends.append(parts)
    shortest = min((len(parts) for parts in ends), default=0)
    if len(ends) == 2 and ends[0][:shortest] > ends[1][:shortest]:
        return f"starts ({facts['start']}) after it ends ({facts['end']})"
    title, image = facts.get("title_year"), facts.get("image_year")
    if title != image and not facts.get("contradictions"):
        return f"has the title of {title} and images of {image}, and no contradiction that says so"
    return None


def _parts(value: Any) -> tuple[int, ...] | None:
    """Year, month, day of a date as YAML gives it, as far as it is one."""
    if isinstance(value, datetime.date):
        value = value.isoformat()
    match = _PERIOD.fullmatch(str(value))
    if match is None:
        return None
    parts = tuple(int(group) for group in match.groups() if group)
    try:
        datetime.date(*parts, *(1,) * (3 - len(parts)))
    except ValueError:
        return None
    return parts if YEARS[0] <= parts[0] <= YEARS[1] else None


def _numbers(facts: Mapping[str, Any]) -> str | None:
    for key in ("nodata", "scale", "cellsize"):
        if key in facts and (
            isinstance(facts[key], bool) or not isinstance(facts[key], int | float)
        ):
            return f"has the {key} {facts[key]!r}, which should be a number"
    classes = facts.get("classes", {})
    if not isinstance(classes, Mapping) or not all(isinstance(code, int) for code in classes):
        return "has classes that are no mapping of whole numbers to words"
    if "nodata" in facts and facts["nodata"] in classes:
        return f"has {facts['nodata']} both as nodata and as a class"
    shape = facts.get("shape", [1, 1])
    if not (isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) for n in shape)):
        return f"has the shape {shape!r}, which should be rows and columns"
    return None


def _links(facts: Mapping[str, Any]) -> str | None:
    if "doi" in facts and not _DOI.fullmatch(str(facts["doi"])):
        return f"has the doi {facts['doi']!r}, which should begin with 10."
    if "url" in facts and not str(facts["url"]).startswith("https://"):
        return f"has the url {facts['url']!r}, which should begin with https://"
    return None


def _names(facts: Mapping[str, Any]) -> str | None:
    from glaciertoolkit.io.series_dates import series_dates

    pattern = facts.get("file_names")
    if pattern is None:
        return None
    example = datetime.date(2001, 9, 2).strftime(str(pattern)).replace("*", "x")
    try:
        series_dates([example], pattern=str(pattern))
    except (ParameterError, ValueError) as error:
        return f"has file_names {pattern!r}: {str(error).rstrip('.')}"
    return None


def _reader_faults(entry: Entry) -> list[str]:
    from glaciertoolkit.catalog.readers import READERS

    name = entry.metadata.get("reader")
    if name is None:
        # Only what a command of ours makes needs no reader: we know what is in it.
        return [] if entry.metadata.get("access") == "made" else ["names no reader"]
    if name not in READERS:
        return [f"has the reader {name!r}, known are {', '.join(READERS)}"]
    if entry.data_type not in READERS[name].data_types:
        return [f"has the reader {name!r}, which does not open a {entry.data_type}"]
    return []


_CHECKS: tuple[Fault, ...] = (
    _words, _vocabularies, _units, _place, _dates, _numbers, _links, _names,
)  # fmt: skip
