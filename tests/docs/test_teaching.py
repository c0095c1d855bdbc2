"""The instructor's page knows every notebook, and names only commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\d\d) .*?\n(.*?)(?=^##)", PAGE, flags=re.M | re.S))
NOTEBOOKS = {path.stem[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def test_every_notebook_has_its_section() -> None:
    assert set(NOTEBOOKS) <= set(SECTIONS)
    for section in SECTIONS.values():
        for part in ("**For**", "**Time**", "**Before**", "**Where they stumble**", "**Exercise**"):
            assert part in section
        assert "*Idea" in section


def test_a_section_has_the_title_of_its_notebook() -> None:
    titles = dict(re.findall(r"^### (\d\d) (.*)$", PAGE, flags=re.M))
    for number in ("01", "07", "08", "10"):
        first = nbformat.read(NOTEBOOKS[number], as_version=4).cells[0].source
        assert first.splitlines()[0] == f"# {titles[number]}"


def test_every_command_exists() -> None:
    from glaciertoolkit.cli import app

    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    named = set(re.findall(r"(?:`|^)glaciertoolkit ([a-z]+)\b", PAGE, flags=re.M))
    assert {"run", "demo", "explore", "lab", "profile"} <= named <= known


def test_every_app_has_a_command() -> None:
    table = PAGE.split("## Without a notebook")[1]
    apps = ("demo", "run", "explore", "profile", "lab", "corrections", "catalog")
    for command in apps:
        assert re.search(rf"`glaciertoolkit {command}\b", table)
