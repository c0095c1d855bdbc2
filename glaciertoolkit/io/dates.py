"""When was an image taken? From what the user says, from its tags, or from its file name."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from glaciertoolkit.errors import DateError, GlacierToolkitWarning

DATE_FORM = "an ISO date such as 2016-07-18 or 2016-07-18T20:37:06Z"

# Tags that name the acquisition, in order of trust, in lower case without separators.
ACQUISITION_TAGS = (
    "acquisitiondatetime",
    "acquisitiontime",
    "acquisition",
    "timecoveragestart",
    "datatakesensingstart",
    "productstarttime",
    "sensingtime",
    "sensingstart",
    "starttime",
    "acquisitiondate",
    "dateacquired",
    "imagingdate",
)
SCENE_TIME_TAG = "scenecentertime"
FILE_WRITTEN_TAG = "tifftagdatetime"

_DAY = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:[T_-]?([01]\d|2[0-3])([:-]?)([0-5]\d)\6([0-5]\d))?(?!\d)"
)
_LANDSAT_SCENE = re.compile(r"L[COTEM]\d{7}((?:19|20)\d\d)(\d{3})[A-Z]{3}\d\d")
# Products whose names hold several dates, the acquisition first: Landsat, Sentinel-1, Sentinel-2.
_PRODUCT = re.compile(r"^(L[COTEM]\d\d_|S1[A-D]_|S2[A-D]_MSI|T\d\d[A-Z]{3}_)")


class Acquisition(NamedTuple):
    """A UTC time, and where it was found."""

    time: np.datetime64
    source: str


def parse_time(value: Any) -> np.datetime64:
    """`value` as UTC `datetime64[ns]`.

    Parameters
    ----------
    value : str, datetime.date, datetime.datetime, numpy.datetime64 or pandas.Timestamp
        Text may be ISO 8601 (basic or extended), or the ``2016:07:18 20:37:06`` of TIFF tags. A
        time zone, if there is one, is converted to UTC; a time without one is taken as UTC.

    Returns
    -------
    numpy.datetime64
        In UTC, nanosecond resolution.

    Raises
    ------
    DateError
        The value is not a date.

    Examples
    --------
    >>> parse_time("2016-07-18T22:37:06+02:00")
    np.datetime64('2016-07-18T20:37:06.000000000')
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    moment: datetime.datetime | None = None
    if isinstance(value, np.datetime64):
        if not np.isnat(value):
            nanoseconds: np.datetime64 = value.astype("datetime64[ns]")
            return nanoseconds
    elif isinstance(value, datetime.datetime):
        moment = value
    elif isinstance(value, datetime.date):
        moment = datetime.datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        moment = _from_text(value.strip())
    # A pandas NaT is a datetime that is not equal to itself.
    if moment is None or moment != moment:
        raise DateError(f"{value!r} is not a date; give {DATE_FORM}.")
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(moment, "ns")


def _from_text(text: str) -> datetime.datetime | None:
    tiff = re.fullmatch(r"(\d{4}):(\d\d):(\d\d)(.*)", text)
    if tiff:
        text = "-".join(tiff.groups()[:3]) + tiff.group(4)
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _normalised(tags: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"[^a-z]", "", str(k).lower()): v for k, v in tags.items()}


def date_from_tags(tags: Mapping[str, Any]) -> np.datetime64 | None:
    """The acquisition time that the tags of an image name, or None.

    The TIFF tag ``DateTime`` is not used here: it says when the file was written.
    """
    found = _normalised(tags)
    for key in ACQUISITION_TAGS:
        value = found.get(key)
        if key == "dateacquired" and isinstance(value, str) and SCENE_TIME_TAG in found:
            # Landsat's own metadata keep the day and the time of day apart.
            clock = str(found[SCENE_TIME_TAG]).strip('"Z ')
            value = f"{value.strip()}T{clock[:15]}" if ":" in clock else value
        if value in (None, ""):
            continue
        try:
            return parse_time(value)
        except DateError:
            continue
    return None


def date_from_name(name: str) -> np.datetime64 | None:
    """The acquisition time in a file name, or None.

    Understands ``yyyymmdd``, ``yyyymmddThhmmss``, ``yyyy-mm-dd`` and Landsat scene names with the
    day of the year. Products of Landsat, Sentinel-1 and Sentinel-2 name the acquisition before
    the processing, so the first date counts; any other name with two different days gives a
    `GlacierToolkitWarning` that says which was taken.
    """
    scene = _LANDSAT_SCENE.search(name)
    if scene:
        year, day = int(scene.group(1)), int(scene.group(2))
        return np.datetime64(f"{year}-01-01", "ns") + np.timedelta64(day - 1, "D")
    found: list[np.datetime64] = []
    for match in _DAY.finditer(name):
        year_, _, month, day_, hour, _, minute, second = match.groups()
        text = f"{year_}-{month}-{day_}" + (f"T{hour}:{minute}:{second}" if hour else "")
        try:
            found.append(parse_time(text))
        except DateError:
            continue
    if not found:
        return None
    days = {t.astype("datetime64[D]") for t in found}
    if len(days) > 1 and not _PRODUCT.match(name):
        warnings.warn(
            f"the file name {name!r} holds several dates, the first ({min_text(found[0])}) is "
            "taken as the acquisition; give the date as an argument if it is another.",
            GlacierToolkitWarning,
            stacklevel=2,
        )
    return found[0]


def min_text(time: np.datetime64) -> str:
    """`time` as short as it is exact: without the time of day where that is midnight.

    Examples
    --------
    >>> min_text(np.datetime64("2016-07-18T00:00:00.000000000"))
    '2016-07-18'
    """
    text = str(time.astype("datetime64[ms]"))
    return text.removesuffix(".000").removesuffix("T00:00:00")


def find_date(given: Any, *, tags: Mapping[str, Any], name: str | None, role: str) -> Acquisition:
    """The acquisition time of one image: as given, else from its tags, else from its file name.

    Parameters
    ----------
    given : str, datetime, datetime64 or None
        What the user said; it wins.
    tags : mapping
        Tags of the file, or attributes and scalar time coordinates of an array.
    name : str or None
        Name of the file.
    role : str
        ``"reference"`` or ``"secondary"``, for the message.

    Returns
    -------
    Acquisition
        The time and its source: ``"argument"``, ``"tags"``, ``"file name"`` or
        ``"TIFF DateTime"``.

    Raises
    ------
    DateError
        Nothing names a date, or the given one is not a date.

    Warns
    -----
    GlacierToolkitWarning
        Only the TIFF tag DateTime names a date: it is the time the file was written, which for
        many products is that of the processing.
    """
    if given is not None:
        return Acquisition(parse_time(given), "argument")
    tagged = date_from_tags(tags)
    if tagged is not None:
        return Acquisition(tagged, "tags")
    named = date_from_name(name) if name else None
    if named is not None:
        return Acquisition(named, "file name")
    written = _normalised(tags).get(FILE_WRITTEN_TAG)
    moment = _from_text(str(written).strip()) if written else None
    if moment is not None:
        time = parse_time(moment)
        warnings.warn(
            f"the date of the {role} image ({min_text(time)}) comes from the TIFF tag DateTime, "
            f"which may be the time of processing; give {role}_date= if it is.",
            GlacierToolkitWarning,
            stacklevel=3,
        )
        return Acquisition(time, "TIFF DateTime")
    what = f" {name}" if name else ""
    raise DateError(
        f"no acquisition date was found for the {role} image{what}, neither in its tags nor in "
        f"its file name; give {role}_date= as {DATE_FORM}."
    )


def check_order(reference: np.datetime64, secondary: np.datetime64) -> None:
    """Raise `DateError` unless the reference was taken before the secondary image."""
    first, second = min_text(reference), min_text(secondary)
    if reference == secondary:
        raise DateError(
            f"both images have the same date ({first}), so there is no time for motion; give "
            "reference_date= and secondary_date= if the dates that were found are wrong."
        )
    if reference > secondary:
        raise DateError(
            f"the reference image ({first}) is later than the secondary image ({second}); swap "
            "the two images."
        )
