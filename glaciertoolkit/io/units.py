"""Units of measurement: the part of UDUNITS that glaciology and its covariates need.

Files write one unit in many ways (``meter/year``, ``m a-1``, ``m s**-1``, ``W m⁻²``). Here they
become one spelling, and numbers move between units of the same dimension. A library would do more;
it would also be the heaviest dependency of the package for the sake of thirty names.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from glaciertoolkit.errors import ParameterError

Dimension = tuple[tuple[str, int], ...]


class Unit(NamedTuple):
    """A unit as SI base units: ``SI = factor * number + offset``."""

    factor: float
    offset: float
    dimension: Dimension


class _Symbol(NamedTuple):
    spelling: str
    factor: float
    offset: float
    dimension: dict[str, int]


YEAR, DAY = 365.25 * 86_400.0, 86_400.0
_M, _KG, _S, _K, _NONE = {"m": 1}, {"kg": 1}, {"s": 1}, {"K": 1}, dict[str, int]()
_PRESSURE = {"kg": 1, "m": -1, "s": -2}
_ENERGY, _POWER = {"kg": 1, "m": 2, "s": -2}, {"kg": 1, "m": 2, "s": -3}
_DEGREE = 0.017453292519943295

# One line a unit: its spelling here, size, zero, dimension, and what else it is called.
_TABLE: tuple[tuple[str, float, float, dict[str, int], str], ...] = (
    ("1", 1.0, 0.0, _NONE, "none unitless dimensionless boolean bool fraction ratio index"),
    ("%", 0.01, 0.0, _NONE, "percent"),
    ("m", 1.0, 0.0, _M, "meter metre"),
    ("km", 1e3, 0.0, _M, "kilometer kilometre"),
    ("cm", 1e-2, 0.0, _M, "centimeter centimetre"),
    ("mm", 1e-3, 0.0, _M, "millimeter millimetre"),
    ("um", 1e-6, 0.0, _M, "micrometer micrometre micron"),
    ("ha", 1e4, 0.0, {"m": 2}, "hectare"),
    ("kg", 1.0, 0.0, _KG, "kilogram"),
    ("g", 1e-3, 0.0, _KG, "gram"),
    ("mol", 1.0, 0.0, {"mol": 1}, "mole"),
    ("umol", 1e-6, 0.0, {"mol": 1}, "micromole"),
    ("s", 1.0, 0.0, _S, "sec second"),
    ("min", 60.0, 0.0, _S, "minute"),
    ("h", 3600.0, 0.0, _S, "hr hour"),
    ("d", DAY, 0.0, _S, "day"),
    ("month", YEAR / 12, 0.0, _S, "mon"),
    ("yr", YEAR, 0.0, _S, "a y year annum"),
    ("K", 1.0, 0.0, _K, "k kelvin degK"),
    ("degC", 1.0, 273.15, _K, "celsius C degree_celsius degrees_celsius degree_C °C deg_C"),
    ("N", 1.0, 0.0, {"kg": 1, "m": 1, "s": -2}, "newton"),
    ("Pa", 1.0, 0.0, _PRESSURE, "pascal"),
    ("hPa", 1e2, 0.0, _PRESSURE, "hectopascal mbar mb"),
    ("kPa", 1e3, 0.0, _PRESSURE, "kilopascal"),
    ("J", 1.0, 0.0, _ENERGY, "joule"),
    ("MJ", 1e6, 0.0, _ENERGY, "megajoule"),
    ("W", 1.0, 0.0, _POWER, "watt"),
    ("degree", _DEGREE, 0.0, _NONE, "deg °"),
    ("degrees_north", _DEGREE, 0.0, _NONE, "degree_north degreeN degrees_N degreesN"),
    ("degrees_east", _DEGREE, 0.0, _NONE, "degree_east degreeE degrees_E degreesE"),
    ("rad", 1.0, 0.0, _NONE, "radian"),
    ("dB", 1.0, 0.0, {"dB": 1}, "decibel"),
    ("pixel", 1.0, 0.0, {"pixel": 1}, "px"),
)

_SYMBOLS: dict[str, _Symbol] = {}
for _spelling, _factor, _offset, _dimension, _others in _TABLE:
    for _name in (_spelling, *_others.split()):
        _SYMBOLS[_name] = _Symbol(_spelling, _factor, _offset, _dimension)

# Whole texts that are no units by any grammar, as real files have them.
_WORDS = {"": "1", "-": "1", "n/a": "1", "m a.s.l.": "m", "m asl": "m", "m above EGM2008": "m"}
_WATER = re.compile(r"\b([mc]?m)\s+w\.?\s?e\.?(?=\s|$)")
_SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹µ", "-0123456789u")
_TOKEN = re.compile(r"\s*([/·*.]?)\s*(?:(\d+(?:\.\d+)?(?:[eE]-?\d+)?)|([A-Za-z%°_]+)([+-]?\d+)?)")


def parse_units(text: str) -> Unit:
    """What a unit is, in SI base units.

    Parameters
    ----------
    text : str
        Such as ``m yr-1``, ``meter/year``, ``kg m**-2``, ``W m⁻²``, ``degC``, ``1``, ``m w.e. a-1``
        (water equivalent counts as a length).

    Returns
    -------
    Unit

    Raises
    ------
    ParameterError
        Not a unit that is known here.

    Examples
    --------
    >>> parse_units("km d-1").dimension
    (('m', 1), ('s', -1))
    >>> parse_units("degC").offset
    273.15
    """
    factor, offset, dimension = 1.0, 0.0, dict[str, int]()
    factors = _factors(text)
    for symbol, power in factors:
        factor *= symbol.factor**power
        if len(factors) == 1 and power == 1:
            offset = symbol.offset
        for base, exponent in symbol.dimension.items():
            dimension[base] = dimension.get(base, 0) + exponent * power
    return Unit(factor, offset, tuple(sorted((k, v) for k, v in dimension.items() if v)))


def canonical_units(text: str) -> str:
    """One spelling for all spellings of a unit.

    Examples
    --------
    >>> canonical_units("meter/year"), canonical_units("W m⁻²"), canonical_units("k")
    ('m yr-1', 'W m-2', 'K')
    """
    parts = [
        s.spelling + ("" if power == 1 else str(power))
        for s, power in _factors(text)
        if s.spelling != "1"
    ]
    return " ".join(parts) or "1"


def convert_units(values: Any, source: str, target: str) -> Any:
    """Numbers in another unit of the same dimension.

    Parameters
    ----------
    values : number, array or DataArray
    source, target : str
        Units. A mass of water over an area (kg m-2) and its depth (m) are different dimensions.

    Returns
    -------
    As `values`.

    Raises
    ------
    ParameterError
        Unknown units, or units of different dimensions.

    Examples
    --------
    >>> convert_units(0.0, "degC", "K")
    273.15
    >>> round(convert_units(1.0, "m d-1", "m yr-1"), 2)
    365.25
    """
    old, new = parse_units(source), parse_units(target)
    if old.dimension != new.dimension:
        raise ParameterError(
            f"{source!r} cannot be turned into {target!r}, they measure different things; "
            "check the units."
        )
    if old == new:
        return values
    return values * (old.factor / new.factor) + (old.offset - new.offset) / new.factor


def _factors(text: str) -> list[tuple[_Symbol, int]]:
    """The factors of a unit, each with its power."""
    if not isinstance(text, str):
        raise ParameterError(f"a unit must be text such as 'm yr-1', not {text!r}.")
    clean = _WORDS.get(text.strip(), text.strip())
    clean = _WATER.sub(r"\1", clean.translate(_SUPERSCRIPT))
    clean = clean.replace("**", "").replace("^", "").replace("(", " ").replace(")", " ").rstrip()
    found: list[tuple[_Symbol, int]] = []
    position = 0
    while position < len(clean):
        match = _TOKEN.match(clean, position)
        if match is None:
            raise _unknown(text)
        sign = -1 if match[1] == "/" else 1
        if match[2]:
            number = _Symbol("1" if float(match[2]) == 1 else match[2], float(match[2]), 0.0, {})
            found.append((number, sign))
        else:
            found.append((_symbol(match[3], text), sign * int(match[4] or 1)))
        position = match.end()
    return found


def _symbol(name: str, text: str) -> _Symbol:
    for candidate in (name, name.lower(), name.removesuffix("s"), name.lower().removesuffix("s")):
        if candidate in _SYMBOLS:
            return _SYMBOLS[candidate]
    raise _unknown(text)


def _unknown(text: str) -> ParameterError:
    return ParameterError(f"{text!r} is not a unit that is known here; write it like 'm yr-1'.")
