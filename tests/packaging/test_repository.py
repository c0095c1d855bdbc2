"""What must not be in the repository, and what must."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import glaciertoolkit

ROOT = Path(__file__).parents[2]
# Folders that exist on somebody's machine only. Written in parts, or this file would find itself.
MACHINE_PATHS = re.compile(
    "|".join(("/" + "home/", "/" + "Users/", "/" + "work/", "[A-Z]:" + r"\\\\"))
)


def tracked():
    """Files under version control; in a copy without history every file that is not ignored."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            text=True,
        )
        if listing.returncode == 0:
            paths = [ROOT / line for line in listing.stdout.splitlines()]
            return [path for path in paths if path.is_file()]
    pytest.skip("not a git checkout")


def texts():
    for path in tracked():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_path_of_a_machine():
    found = [str(path.relative_to(ROOT)) for path, text in texts() if MACHINE_PATHS.search(text)]
    assert found == []


def test_notebooks_are_committed_without_outputs():
    for path in tracked():
        if path.suffix == ".ipynb":
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    assert cell["outputs"] == [], path
                    assert cell["execution_count"] is None, path


def test_no_large_file():
    large = [str(path) for path in tracked() if path.stat().st_size > 2_000_000]
    assert large == []


def test_the_version_is_one():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"version: {glaciertoolkit.__version__}" in text
    assert f"[{glaciertoolkit.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_what_a_repository_needs_is_there():
    for name in ("LICENSE", "CHANGELOG.md", "CITATION.cff", "environment.yml", "data_catalog.yaml"):
        assert (ROOT / name).stat().st_size > 0
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["demo", "test", "lab", "check", "bench", "docs", "clean"])
def test_every_make_target_can_be_planned(target):
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True
    )
    assert plan.returncode == 0, plan.stderr
    if target != "clean":
        assert "-c constraints.txt -e '.[lab,test" in plan.stdout
