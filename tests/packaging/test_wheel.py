"""The built wheel works on its own, in an environment that has nothing else."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("dask", "geopandas", "holoviews", "matplotlib", "numba", "panel", "rasterio", "rioxarray")

CORE = f"""
import sys
import glaciertoolkit
heavy = [name for name in {HEAVY!r} if name in sys.modules]
assert not heavy, f"importing the package imports {{heavy}}"
assert "site-packages" in glaciertoolkit.__file__, glaciertoolkit.__file__

catalog = glaciertoolkit.open_catalog()
assert catalog.rgi7_outlines.metadata["crs"] == "EPSG:4326"
assert not catalog.demo_motion.on_disk
"""

# What the demo leaves behind, opened by the names that the catalog gives it.
AFTER_THE_DEMO = """
import glaciertoolkit
catalog = glaciertoolkit.open_catalog()
for name, entry in catalog.items():
    assert entry.on_disk == name.startswith("demo_"), name
    if entry.on_disk:
        assert entry.open() is not None
pair = glaciertoolkit.open_pair(catalog.demo_reference.location, catalog.demo_secondary.location)
assert pair["reference"].dtype == "complex64"
assert min(pair.sizes["y"], pair.sizes["x"]) > 500
assert float(catalog.demo_motion.open().v.max()) > 0
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An interpreter whose environment holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pins = str(ROOT / "constraints.txt")
    uv = shutil.which("uv")
    if uv:
        run(uv, "venv", "--python", sys.executable, str(folder))
        install = [uv, "pip", "install", "--python", str(python)]
    else:
        run(sys.executable, "-m", "venv", str(folder))
        install = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    done = subprocess.run([*install, "-c", pins, str(wheel)], capture_output=True, text=True)
    if done.returncode:
        offline = ("error sending request", "Failed to fetch", "NewConnectionError", "dns error")
        if any(sign in done.stderr for sign in offline):
            pytest.skip("the dependencies cannot be downloaded here")
        pytest.fail(done.stderr)
    return python


def test_the_wheel_holds_the_package_and_the_catalog(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "glaciertoolkit/data_catalog.yaml" in names
    assert "glaciertoolkit/__init__.py" in names
    assert not [n for n in names if n.startswith(("tests", "benchmarks", "notebooks"))]
    assert [n for n in names if n.endswith("licenses/LICENSE")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_core_runs_from_the_wheel_alone(python, tmp_path):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    where = {"cwd": tmp_path, "env": clean}
    run(str(python), "-c", CORE, **where)
    run(str(python.parent / "glaciertoolkit"), "demo", "--size", "small", **where)
    run(str(python), "-W", "error::ResourceWarning", "-c", AFTER_THE_DEMO, **where)
