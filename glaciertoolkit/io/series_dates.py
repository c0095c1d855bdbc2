"""When were the files of a series taken? One rule for all names of the series."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import DateError, ParameterError
from glaciertoolkit.io.dates import min_text

_DIGITS = {"Y": 4, "m": 2, "d": 2, "j": 3, "H": 2, "M": 2, "S": 2, "y": 2}
_NEXT = r"(?:[-_.]?)"
_YEAR, _MONTH, _DAY = r"((?:19|20)\d\d)", r"(0[1-9]|1[0-2])", r"(0[1-9]|[12]\d|3[01])"
_CLOCK = r"([01]\d|2[0-3])([0-5]\d)?([0-5]\d)?"

# From the most exact to the least: the first that dates every name of a series is used.
RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "yyyymmddhh",
        re.compile(rf"(?<!\d){_YEAR}{_NEXT}{_MONTH}{_NEXT}{_DAY}[T_-]?{_CLOCK}(?!\d)"),
        "%Y%m%d%H%M%S",
    ),
    ("yyyymmdd", re.compile(rf"(?<!\d){_YEAR}{_NEXT}{_MONTH}{_NEXT}{_DAY}(?!\d)"), "%Y%m%d"),
    ("yyyyddd", re.compile(rf"(?<!\d){_YEAR}{_NEXT}([0-3]\d\d)(?!\d)"), "%Y%j"),
    ("yyyymm", re.compile(rf"(?<!\d){_YEAR}{_NEXT}{_MONTH}(?!\d)"), "%Y%m"),
    ("yyyy", re.compile(rf"(?<!\d){_YEAR}(?!\d)"), "%Y"),
)


def series_dates(
    names: Sequence[str], *, pattern: str | None = None, what: str = "series"
) -> npt.NDArray[np.datetime64]:
    """The dates in the names of a series of files.

    Parameters
    ----------
    names : sequence of str
        File names.
    pattern : str, optional
        How a name is made, with the codes of `strptime` and ``*`` for anything:
        ``"SD_%Y%j.tif"``. Without it the rules ``yyyymmddhh``, ``yyyymmdd``, ``yyyyddd``,
        ``yyyymm`` and ``yyyy`` are tried in this order; the first that dates every name counts.
    what : str
        What the series is called in messages.

    Returns
    -------
    numpy.ndarray of datetime64[ns]
        In the order of the names.

    Raises
    ------
    DateError
        A name holds no date, or two names hold the same.
    ParameterError
        The pattern holds no year.

    Examples
    --------
    >>> series_dates(["SD_2001245.tif", "SD_2001246.tif"]).astype("datetime64[D]").tolist()
    [datetime.date(2001, 9, 2), datetime.date(2001, 9, 3)]
    """
    if pattern is not None:
        read = _reader_of(pattern)
        found = [read(name) for name in names]
        rule = f"the pattern {pattern!r}"
    else:
        found, rule = _by_rule(names)
    missing = [name for name, date in zip(names, found, strict=True) if date is None]
    if missing:
        raise DateError(
            f"the file {missing[0]} of the {what} has no date in its name by {rule}; give "
            "pattern= such as 'SD_%Y%j.tif', or dates=."
        )
    dates = np.array(found, dtype="datetime64[us]").astype("datetime64[ns]")
    repeated = [date for date, count in Counter(found).items() if count > 1]
    if repeated:
        twins = [name for name, date in zip(names, found, strict=True) if date == repeated[0]]
        raise DateError(
            f"the files {twins[0]} and {twins[1]} of the {what} have the same date "
            f"({min_text(np.datetime64(repeated[0], 'ns'))}); keep one of them, or give "
            "pattern= for a finer date."
        )
    return dates


def _by_rule(names: Sequence[str]) -> tuple[list[datetime.datetime | None], str]:
    best: list[datetime.datetime | None] = [None] * len(names)
    for _, regex, form in RULES:
        found = [_first(regex, form, name) for name in names]
        if all(found):
            return found, "any known form"
        if sum(f is not None for f in found) > sum(b is not None for b in best):
            best = found
    return best, "any known form"


def _first(regex: re.Pattern[str], form: str, name: str) -> datetime.datetime | None:
    for match in regex.finditer(Path(name).stem):
        digits = "".join(group for group in match.groups() if group)
        try:
            return datetime.datetime.strptime(digits, _shortened(form, digits))
        except ValueError:
            continue
    return None


def _shortened(form: str, digits: str) -> str:
    """`form` without the clock that `digits` does not have."""
    width, kept = 0, ""
    for code in re.findall(r"%\w", form):
        width += _DIGITS[code[1]]
        if width > len(digits):
            break
        kept += code
    return kept


def _reader_of(pattern: str) -> Callable[[str], datetime.datetime | None]:
    """The function that reads the date out of a name made by `pattern`."""
    codes: list[str] = []
    regex = ""
    for part in re.split(r"(%.|\*)", pattern):
        if part == "*":
            regex += ".*?"
        elif part.startswith("%") and part[1:] in _DIGITS:
            codes.append(part)
            regex += rf"(\d{{{_DIGITS[part[1]]}}})"
        elif part.startswith("%"):
            raise ParameterError(
                f"pattern={pattern!r} has the code {part!r}; known are "
                f"{', '.join('%' + code for code in _DIGITS)}."
            )
        else:
            regex += re.escape(part)
    if not {"%Y", "%y"} & set(codes):
        raise ParameterError(f"pattern={pattern!r} holds no year; write it like 'SD_%Y%j.tif'.")
    compiled = re.compile(regex, re.IGNORECASE)

    def read(name: str) -> datetime.datetime | None:
        match = compiled.fullmatch(name)
        if match is None:
            return None
        try:
            return datetime.datetime.strptime(" ".join(match.groups()), " ".join(codes))
        except ValueError:
            return None

    return read
