"""The vocabulary: attributes, flags, history."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from glaciertoolkit import errors
from glaciertoolkit.conventions import (
    DOUBTFUL,
    FLAG_MEANINGS,
    VARIABLES,
    Flag,
    describe,
    flag_attrs,
    interval_days,
    validate,
)
from glaciertoolkit.provenance import history, plain, recorded


def test_every_flag_is_one_bit_with_a_meaning() -> None:
    values = [int(f) for f in Flag]
    assert all(v & (v - 1) == 0 for v in values)
    assert set(FLAG_MEANINGS) == set(Flag)
    attrs = flag_attrs()
    assert attrs["flag_masks"].dtype == np.uint32
    assert len(attrs["flag_masks"]) == len(attrs["flag_meanings"].split())
    assert DOUBTFUL & Flag.FILLED


def test_describe_replaces_stale_attributes_and_leaves_its_input_alone() -> None:
    ds = xr.Dataset({"vx": ("x", [1.0], {"units": "m", "resampling": "bilinear"})})
    out = describe(ds)
    assert out.vx.attrs == VARIABLES["vx"].attrs()
    assert ds.vx.attrs["units"] == "m"


def test_validate_says_what_is_missing_and_how_to_get_it() -> None:
    with pytest.raises(errors.MissingVariableError, match=r"lacks vx.*it has: dx.*velocity\(\)"):
        validate(xr.Dataset({"dx": ("x", [1.0])}), needs=("vx",))


def test_errors_are_also_standard_errors_and_print_plainly() -> None:
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.MissingVariableError, KeyError)
    assert issubclass(errors.FileError, OSError)
    assert str(errors.CatalogError("no entry 'x'")) == "no entry 'x'"


def test_interval_in_days() -> None:
    ds = xr.Dataset(
        coords={
            "reference_time": np.datetime64("2020-02-28T12:00", "ns"),
            "secondary_time": np.datetime64("2020-03-01T00:00", "ns"),
        }
    )
    assert interval_days(ds) == 1.5


@recorded
def double(ds: xr.Dataset, *, by: float = 2.0, mask: object = None) -> xr.Dataset:
    """A step that forgets the attributes of its input."""
    return (ds * by).assign_attrs(mask=str(mask is None))


def test_history_survives_steps_that_drop_attributes() -> None:
    ds = xr.Dataset({"dx": ("x", [1.0])})
    out = double(double(ds), by=3.0, mask=xr.DataArray([True], dims="x"))
    steps = history(out)
    assert [s["step"] for s in steps] == ["double", "double"]
    assert steps[1]["parameters"] == {"by": 3.0, "mask": "DataArray(x: 1)"}
    assert "2. double(by=3.0" in repr(steps)
    assert "processing" not in ds.attrs
    assert repr(history(ds)) == "no step recorded"


def test_everything_recorded_is_json() -> None:
    values = [np.float32(1.5), {"a": (1, 2)}, object(), np.datetime64("2020-01-01"), True]
    text = json.dumps(plain(values))
    assert json.loads(text)[0] == 1.5
