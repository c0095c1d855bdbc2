"""Units: many spellings, one meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.io.units import _TABLE, canonical_units, convert_units, parse_units


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("m/s", "m s-1"), ("meter/year", "m yr-1"), ("m a-1", "m yr-1"), ("m s⁻¹", "m s-1"),
        ("kg m**-2", "kg m-2"), ("W/m^2", "W m-2"), ("mm w.e. a-1", "mm yr-1"), ("°C", "degC"),
        ("degree_north", "degrees_north"), ("boolean", "1"), ("-", "1"), ("k", "K"),
        ("m a.s.l.", "m"), ("hours", "h"), ("Meters", "m"), ("m.s-1", "m s-1"),
        ("µmol m-2 s-1", "umol m-2 s-1"), ("m3/m3", "m3 m-3"), ("%", "%"), ("degC d", "degC d"),
    ],
)  # fmt: skip
def test_spellings(text: str, canonical: str) -> None:
    assert canonical_units(text) == canonical
    assert canonical_units(canonical) == canonical
    assert parse_units(text) == parse_units(canonical)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (1.0, "m d-1", "m yr-1", 365.25),
        (0.0, "degC", "K", 273.15),
        (273.15, "K", "degC", 0.0),
        (1.0, "km2", "m2", 1e6),
        (500.0, "mm", "m", 0.5),
        (1.0, "W m-2", "J m-2 s-1", 1.0),
        (45.0, "degree", "rad", np.pi / 4),
        (1.0, "hPa", "Pa", 100.0),
        (50.0, "%", "1", 0.5),
    ],
)
def test_conversion(value: float, source: str, target: str, expected: float) -> None:
    assert convert_units(value, source, target) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.sampled_from([row[0] for row in _TABLE]))
def test_there_and_back(value: float, unit: str) -> None:
    parsed = parse_units(unit)
    same = [row[0] for row in _TABLE if parse_units(row[0]).dimension == parsed.dimension]
    for other in same:
        back = convert_units(convert_units(value, unit, other), other, unit)
        assert back == pytest.approx(value, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["furlong", "m & s", "m yr-", "see text", "m//s s//", "12 monkeys"]
)
def test_what_is_no_unit(text: str) -> None:
    with pytest.raises(ParameterError, match="is not a unit that is known here"):
        parse_units(text)


def test_different_dimensions() -> None:
    with pytest.raises(ParameterError, match="measure different things"):
        convert_units(1.0, "kg m-2", "m")
    with pytest.raises(ParameterError, match="a unit must be text"):
        parse_units(3)  # type: ignore[arg-type]
