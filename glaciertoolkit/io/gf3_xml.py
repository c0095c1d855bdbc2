"""The XML of a product: parsed without trusting it, its elements read with clear errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glaciertoolkit.errors import DateError, FileError, InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NULL = "NULL"
LARGEST = 64 * 2**20
"""Bytes; real files have some hundred thousand."""


class Document:
    """The elements of an XML file.

    Parameters
    ----------
    path : Path
    root : str, optional
        Name that the root must have.

    Raises
    ------
    FileError
        The file is missing, not XML, or declares a document type or entities.
    """

    def __init__(self, path: Path, *, root: str | None = None) -> None:
        self.path = path
        self.root = _parse(path)
        if root is not None and self.root.tag != root:
            raise FileError(
                f"the file {path} begins with the element <{self.root.tag}>, not <{root}>, so it "
                "is not the metadata of a GF-3 product; unpack the product again."
            )

    def wrong(self, element: str, what: str, way_out: str = "") -> InputError:
        """The error about an element: it `what`; `way_out` in place of the usual one."""
        return InputError(
            f"the element {element} in {self.path} {what}; "
            f"{way_out or 'the product is damaged, take it from its provider again'}."
        )

    def text(self, element: str) -> str | None:
        """The text of an element; None where it is missing, empty or ``NULL``."""
        found = (self.root.findtext(element) or "").strip()
        return found if found and found.upper() != NULL else None

    def needed(self, element: str) -> str:
        """The text of an element that must be there."""
        found = self.text(element)
        if found is None:
            missing = self.root.find(element) is None
            raise self.wrong(element, "is missing" if missing else "is empty or NULL")
        return found

    def number(self, element: str) -> float | None:
        """The number in an element; None where it is missing, empty or ``NULL``."""
        text = self.text(element)
        return None if text is None else self.as_number(text, element)

    def needed_number(self, element: str, low: float, high: float, unit: str) -> float:
        """The number in an element that must be there, within what is plausible."""
        value = self.as_number(self.needed(element), element)
        if not low <= value <= high:
            raise self.wrong(
                element, f"is {value:g} {unit}, which is not between {low:g} and {high:g} {unit}"
            )
        return value

    def as_number(self, text: str, element: str) -> float:
        """`text` as a finite number."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(element, f"is {text[:40]!r}, not a number")
        return value

    def time(self, element: str) -> np.datetime64:
        """The UTC time in an element that must be there."""
        return self.as_time(self.needed(element), element)

    def as_time(self, text: str, element: str) -> np.datetime64:
        """`text` as a UTC time."""
        from glaciertoolkit.io.dates import parse_time

        try:
            return parse_time(text)
        except (DateError, OverflowError) as error:
            raise self.wrong(element, f"is {text[:40]!r}, not a date and time") from error


def _parse(path: Path) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import parse

    if not path.is_file():
        raise FileError(f"the file {path} does not exist; unpack the whole product.")
    if path.stat().st_size > LARGEST:
        raise FileError(
            f"the file {path} has {path.stat().st_size / 2**20:.0f} MB, far more than the "
            "metadata of a GF-3 product; unpack the product again."
        )
    try:
        root: Element | None = parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise FileError(
            f"the file {path} declares a document type or entities, which no GF-3 product does, "
            "so it is not read; take the product from its provider again."
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise FileError(
            f"the file {path} is not well-formed XML ({error}); unpack the product again."
        ) from error
    except OSError as error:
        raise FileError(
            f"the file {path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    if root is None:
        raise FileError(f"the file {path} is empty; unpack the product again.")
    return root
