"""What was done to a Dataset: one JSON line per step in ``attrs["processing"]``.

A plain string survives netCDF, Zarr and GeoTIFF tags alike.
"""

from __future__ import annotations

import datetime
import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

import numpy as np
import xarray as xr

ATTRIBUTE = "processing"

P = ParamSpec("P")


def plain(value: Any) -> Any:
    """`value` as something JSON can hold; large things become a short description of themselves."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return Path(value).name
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    if isinstance(value, xr.DataArray | xr.Dataset):
        sizes = ", ".join(f"{k}: {v}" for k, v in value.sizes.items())
        return f"{type(value).__name__}({sizes})"
    if hasattr(value, "geometry"):
        return f"{type(value).__name__}({len(value)} rows)"
    return type(value).__name__


def record(ds: xr.Dataset, step: str, parameters: Mapping[str, Any]) -> xr.Dataset:
    """`ds` with one more step in its processing history."""
    given = {k: plain(v) for k, v in parameters.items()}
    line = json.dumps({"step": step, "parameters": given})
    before = ds.attrs.get(ATTRIBUTE)
    return ds.assign_attrs({ATTRIBUTE: f"{before}\n{line}" if before else line})


def recorded(
    func: Callable[Concatenate[xr.Dataset, P], xr.Dataset],
) -> Callable[Concatenate[xr.Dataset, P], xr.Dataset]:
    """Decorate a ``Dataset -> Dataset`` step so that its call is recorded in the result."""
    signature = inspect.signature(func)

    @functools.wraps(func)
    def wrapper(ds: xr.Dataset, *args: P.args, **kwargs: P.kwargs) -> xr.Dataset:
        out = func(ds, *args, **kwargs)
        bound = signature.bind(ds, *args, **kwargs)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        # The input's history, not that of the result: a step may start from a fresh Dataset.
        attrs = {k: v for k, v in out.attrs.items() if k != ATTRIBUTE}
        if ATTRIBUTE in ds.attrs:
            attrs[ATTRIBUTE] = ds.attrs[ATTRIBUTE]
        out = out.copy()
        out.attrs = attrs
        return record(out, func.__name__, given)

    return cast("Callable[Concatenate[xr.Dataset, P], xr.Dataset]", wrapper)


class History(list[dict[str, Any]]):
    """The steps of a Dataset, oldest first; prints one line a step."""

    def __repr__(self) -> str:
        lines = []
        for number, step in enumerate(self, 1):
            given = ", ".join(f"{k}={v!r}" for k, v in step["parameters"].items())
            lines.append(f"{number}. {step['step']}({given})")
        return "\n".join(lines) or "no step recorded"


def history(ds: xr.Dataset) -> History:
    """Every processing step of `ds` with its parameters, oldest first.

    Parameters
    ----------
    ds : xarray.Dataset
        Any Dataset that came out of a function of this package.

    Returns
    -------
    History
        A list of dictionaries with the keys `step` and `parameters`; prints one line a step.

    Examples
    --------
    >>> from glaciertoolkit import simulate_pair, track
    >>> offsets = track(simulate_pair(size=256, seed=1), template=64, search=8, step=32)
    >>> history(offsets)[-1]["step"], history(offsets)[-1]["parameters"]["step"]
    ('track', 32)
    """
    text = str(ds.attrs.get(ATTRIBUTE, ""))
    return History(json.loads(line) for line in text.splitlines() if line)
