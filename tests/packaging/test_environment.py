"""environment.yml, pyproject.toml and constraints.txt name the same things."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"jupyter-bokeh": "jupyter_bokeh", "playwright": "playwright-python"}
IMPORT_NAMES = {"pyyaml": "yaml"}
# Engines of xarray, GeoPandas, pandas and Dask, which find them by name.
BEHIND_THE_SCENES = {"flox", "geoviews", "h5py", "pyogrio", "xlrd", "zarr"}
CONDA_ONLY = {"python", "pip"}
OPTIONAL = ("dem",)  # imported where they are used, with a clear sentence where they are missing
IN_CONDA = ("lab", "test")  # the peers of the benchmarks are installed with pip


def requirements(*extras):
    extra = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for name in extras for text in extra[name])]
    return [Requirement(text) for text in texts]


def conda():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", e) for e in entries if isinstance(e, str)]
    return {match[1]: match[2] for match in plain}


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_conda_and_pip_name_the_same_packages_with_the_same_bounds():
    wanted = {
        CONDA_NAMES.get(r.name, r.name).lower(): str(r.specifier) for r in requirements(*IN_CONDA)
    }
    named = {name: bound for name, bound in conda().items() if name not in CONDA_ONLY}
    assert named == wanted


def imported():
    """Top-level names that the package imports, at module level or inside functions."""
    names = set()
    for path in (ROOT / "glaciertoolkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"glaciertoolkit"}


def test_what_the_package_imports_is_what_it_asks_for():
    """Not what happens to come along with something else."""
    asked = {IMPORT_NAMES.get(r.name, r.name) for r in requirements()}
    extra = {IMPORT_NAMES.get(r.name, r.name) for r in requirements(*OPTIONAL)}
    assert imported() - asked - extra == set()
    assert asked - imported() - BEHIND_THE_SCENES == set()


def test_conda_asks_for_the_same_python():
    assert conda()["python"] == PROJECT["requires-python"]


def test_conda_does_not_let_pip_install_dependencies():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert entries[-1] == {"pip": ["--no-deps", "-e ."]}


@pytest.mark.parametrize(
    "requirement", requirements("lab", "test", "docs", "bench", *OPTIONAL), ids=lambda r: r.name
)
def test_every_requirement_has_one_lower_bound_and_a_pin_above_it(requirement):
    assert [s.operator for s in requirement.specifier] == [">="]
    pinned = {canonicalize_name(name): version for name, version in constraints().items()}
    version = pinned[canonicalize_name(requirement.name)]
    assert Version(version) in requirement.specifier


def test_constraints_are_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 100
    wrong = [
        line for line in pins if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][a-z0-9.]*", line)
    ]
    assert wrong == []
    assert "glaciertoolkit" not in constraints()
