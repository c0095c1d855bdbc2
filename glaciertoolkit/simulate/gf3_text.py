"""XML as the GF-3 ground segment writes it: four spaces a level, six decimals, ``NULL``."""

from __future__ import annotations

from typing import Any

import numpy as np

Tree = list[tuple[str, Any]]
"""Elements in order, each a name (with its attributes) and its text or its own elements."""

NULL = "NULL"


def fixed(value: Any) -> str:
    """A number with six decimals.

    Examples
    --------
    >>> fixed(66.6666667)
    '66.666667'
    """
    return f"{float(value):.6f}"


def stamp(time: Any) -> str:
    """A UTC time in microseconds.

    Examples
    --------
    >>> stamp(np.datetime64("2021-01-07T09:52:45.999999"))
    '2021-01-07 09:52:45.999999'
    """
    # Rounded, where a cast would cut.
    nanoseconds = np.datetime64(time, "ns").astype(np.int64)
    microseconds = np.datetime64(int(nanoseconds + 500) // 1000, "us")
    return str(microseconds).replace("T", " ")


def to_xml(name: str, content: Any, level: int = 0) -> str:
    """The text of an element."""
    indent = "    " * level
    tag = name.split(" ")[0]
    if isinstance(content, list):
        inner = "".join(to_xml(n, c, level + 1) for n, c in content)
        return f"{indent}<{name}>\n{inner}{indent}</{tag}>\n"
    return f"{indent}<{name}>{content}</{tag}>\n"
