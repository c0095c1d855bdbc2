"""Rational polynomial coefficients, and the text in which products carry them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import FileError, InputError

Array = npt.NDArray[np.float64]

TERMS = 20
LARGEST_FILE = 1 << 20
"""Characters; a real file has about 3000."""

_SCALARS = {
    "line_offset": "lineOffset",
    "sample_offset": "sampOffset",
    "latitude_offset": "latOffset",
    "longitude_offset": "longOffset",
    "height_offset": "heightOffset",
    "line_scale": "lineScale",
    "sample_scale": "sampScale",
    "latitude_scale": "latScale",
    "longitude_scale": "longScale",
    "height_scale": "heightScale",
}
_VECTORS = {
    "line_num": "lineNumCoef",
    "line_den": "lineDenCoef",
    "sample_num": "sampNumCoef",
    "sample_den": "sampDenCoef",
}
_ERRORS = {"err_bias": "errBias", "err_rand": "errRand"}
_ENTRY = re.compile(r"([A-Za-z_]\w*)\s*[=:]\s*(\([^()=]*\)?|\"[^\"\n]*\"|[^;\n]*)")
_NUMBER = re.compile(r"[^\s,()]+")


@dataclass(frozen=True)
class Rpc:
    """Rational functions from longitude, latitude and height to line and sample.

    Parameters
    ----------
    line_offset, sample_offset, latitude_offset, longitude_offset, height_offset : float
        Pixels counted from 0 at the centre of the first, degrees, and metres above the ellipsoid.
    line_scale, sample_scale, latitude_scale, longitude_scale, height_scale : float
        Divisors of what is left, so that it lies between -1 and 1.
    line_num, line_den, sample_num, sample_den : tuple of 20 floats
        Coefficients in the order of RPC00B.
    err_bias, err_rand : float or None
        Errors (m) as the file states them: constant, and from point to point.

    Notes
    -----
    With P, L, H the normalised latitude, longitude and height the terms are ``1 L P H LP LH PH
    L^2 P^2 H^2 PLH L^3 LP^2 LH^2 L^2P P^3 PH^2 L^2H P^2H H^3``.

    References
    ----------
    NIMA (2000), The compendium of controlled extensions for the National Imagery Transmission
    Format, STDI-0002, version 2.1, RPC00B.
    """

    line_offset: float
    sample_offset: float
    latitude_offset: float
    longitude_offset: float
    height_offset: float
    line_scale: float
    sample_scale: float
    latitude_scale: float
    longitude_scale: float
    height_scale: float
    line_num: tuple[float, ...]
    line_den: tuple[float, ...]
    sample_num: tuple[float, ...]
    sample_den: tuple[float, ...]
    err_bias: float | None = None
    err_rand: float | None = None

    def __post_init__(self) -> None:
        for name in _VECTORS:
            if len(getattr(self, name)) != TERMS:
                raise InputError(
                    f"{name} has {len(getattr(self, name))} coefficients; {TERMS} are needed."
                )
        for name in _SCALARS:
            value = getattr(self, name)
            if not np.isfinite(value) or (name.endswith("_scale") and value == 0):
                raise InputError(f"{name} must be finite, and a scale not zero; got {value!r}.")

    @property
    def table(self) -> Array:
        """Polynomials (4, 20): line and sample, numerator and denominator of each."""
        return np.array([getattr(self, name) for name in _VECTORS], np.float64)

    @property
    def frame(self) -> Array:
        """Offset and scale (5, 2) of line, sample, latitude, longitude and height."""
        values = [getattr(self, name) for name in _SCALARS]
        return np.array([values[:5], values[5:]], np.float64).T.copy()

    def to_text(self) -> str:
        """The text of a GF-3 `.rpc` file; `read_rpc` reads the same numbers back."""
        found = []
        for name, key in {**_ERRORS, **_SCALARS}.items():
            value = getattr(self, name)
            if value is not None:
                found.append(f"{key} = {value:.16E};")
        for name, key in _VECTORS.items():
            rows = ",\n".join(f"\t\t\t{c:+.16E}" for c in getattr(self, name))
            found.append(f"{key} = (\n{rows});")
        return "\n".join(found) + "\n"


def read_rpc(source: str | os.PathLike[str], *, name: str | None = None) -> Rpc:
    """Read rational functions from a `.rpc` or `.rpb` file, or from its text.

    Parameters
    ----------
    source : path or str
        A path; or the text itself, which has more than one line.
    name : str, optional
        What to call the text in messages.

    Returns
    -------
    Rpc

    Raises
    ------
    FileError
        The file cannot be read, or a value is missing, repeated a wrong number of times, or not a
        number.

    Notes
    -----
    Scalars are ``key = number;``, vectors ``key = (number, ...);`` over several lines. Case,
    white space, missing semicolons, quotes, colons for equal signs, units after a number and
    anything between (``BEGIN_GROUP`` and the like) do not matter.

    Examples
    --------
    >>> one = ", ".join(["1.0"] + ["0.0"] * 19)
    >>> keys = ("line", "samp", "lat", "long", "height")
    >>> text = "".join(f"{k}Offset = 1.0;\\n{k}Scale = 2.0;\\n" for k in keys)
    >>> text += "".join(f"{k}Coef = ({one});\\n" for k in ("lineNum", "lineDen"))
    >>> text += "".join(f"{k}Coef = ({one});\\n" for k in ("sampNum", "sampDen"))
    >>> read_rpc(text).line_scale
    2.0
    """
    if isinstance(source, str) and "\n" in source:
        return _parse(source, name or "the RPC text")
    path = Path(source)
    try:
        text = path.read_bytes()[: LARGEST_FILE + 1].decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise FileError(
            f"{path} cannot be read ({error.strerror}); give the .rpc or .rpb file of the product."
        ) from error
    return _parse(text, name or str(path))


def _parse(text: str, name: str) -> Rpc:
    """The Rpc that a text holds; `name` is for messages."""
    if len(text) > LARGEST_FILE:
        raise FileError(f"{name} is too long for an RPC file; give the .rpc or .rpb file.")
    entries = {m[1].lower(): m[2] for m in _ENTRY.finditer(text)}
    values: dict[str, Any] = {}
    for field, key in {**_SCALARS, **_VECTORS, **_ERRORS}.items():
        if key.lower() in entries:
            count = TERMS if field in _VECTORS else 1
            found = _numbers(entries[key.lower()], count, name, key)
            values[field] = found if count > 1 else found[0]
        elif field not in _ERRORS:
            raise FileError(
                f"{name} lacks {key}; it is not a complete RPC file, take the product again."
            )
    for field, key in _SCALARS.items():
        if field.endswith("_scale") and values[field] == 0:
            raise FileError(f"{name}: {key} is 0, so that nothing can be located; it is damaged.")
    for field in ("line_den", "sample_den"):
        if not any(values[field]):
            raise FileError(f"{name}: {_VECTORS[field]} holds only zeros; it is damaged.")
    return Rpc(**values)


def _numbers(text: str, count: int, name: str, key: str) -> tuple[float, ...]:
    """The `count` numbers of one entry."""
    words = _NUMBER.findall(text.replace('"', " "))
    # What follows a single number is its unit.
    words = words[:1] if count == 1 else words
    if len(words) != count:
        raise FileError(
            f"{name}: {key} holds {len(words)} numbers instead of {count}; the file is damaged."
        )
    try:
        found = tuple(float(word.replace("D", "E").replace("d", "e")) for word in words)
    except ValueError:
        found = (np.nan,)
    if not np.isfinite(found).all():
        raise FileError(
            f"{name}: {key} holds something that is not a number ({' '.join(words)[:40]}); "
            "the file is damaged."
        )
    return found
