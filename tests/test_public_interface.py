"""What a user can reach: documented, with examples that run, light to import."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
import xarray as xr

import glaciertoolkit as gt

MODULES = [m.name for m in pkgutil.walk_packages(gt.__path__, "glaciertoolkit.")]
FUNCTIONS = [name for name in gt.__all__ if inspect.isfunction(getattr(gt, name))]
HEAVY = (
    "numba", "dask", "distributed", "scipy", "rasterio", "rioxarray", "geopandas", "shapely",
    "pyproj", "matplotlib", "holoviews", "geoviews", "panel", "bokeh", "zarr", "h5py", "rich",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_documented(name: str) -> None:
    function: Any = getattr(gt, name)
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    assert "Returns\n---" in text
    assert ">>>" in text, "an example"
    if signature.parameters:
        assert "Parameters\n---" in text
    for parameter in list(signature.parameters.values())[1:]:
        assert parameter.name in text, parameter.name
        positional = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert not positional or parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_module_is_named_like_a_public_function(name: str) -> None:
    assert f"glaciertoolkit.{name}" not in MODULES


def test_methods_carry_the_names_and_docstrings_of_the_functions() -> None:
    accessor = type(xr.Dataset().glacier)
    for name in ("track", "correct", "velocity", "accuracy", "to_products", "profile", "summary"):
        method, function = getattr(accessor, name), getattr(gt, name)
        assert method.__doc__ == function.__doc__
        mine = list(inspect.signature(method).parameters)[1:]
        assert mine == list(inspect.signature(function).parameters)[1:]


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, glaciertoolkit, xarray; xarray.Dataset().glacier.track;"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
