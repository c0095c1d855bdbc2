"""The site builds without a warning, offline, and leaves no public function out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import glaciertoolkit as gt

ROOT = Path(__file__).parents[2]
FETCHING = {"script": "src", "link": "href", "img": "src", "iframe": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    folder = tmp_path_factory.mktemp("site")
    # A copy: the pages that are made while building do not belong into the checkout.
    for name in ("docs", "notebooks"):
        skip = shutil.ignore_patterns("_build", "generated")
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
               str(folder / "docs"), str(folder / "html")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = FETCHING.get(tag)
        given = dict(attrs)
        if wanted and given.get("rel") not in ("index", "search", "next", "prev", "canonical"):
            self.addresses.append(given.get(wanted) or "")


@pytest.mark.slow
def test_every_page_is_there_and_nothing_is_fetched(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    names = {page.name for page in pages}
    assert {"index.html", "concepts.html", "commands.html", "vocabulary.html"} <= names
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= {page.stem for page in pages}
    for page in pages:
        found = _Fetched()
        found.feed(page.read_text(encoding="utf-8"))
        outside = [a for a in found.addresses if a.startswith(("http:", "https:", "//"))]
        assert outside == [], page


@pytest.mark.slow
def test_every_public_name_has_a_page_with_its_docstring(site: Path) -> None:
    for name in gt.__all__:
        text = (site / "generated" / f"glaciertoolkit.{name}.html").read_text(encoding="utf-8")
        summary = (getattr(gt, name).__doc__ or "").strip().splitlines()[0]
        first = re.split(r"[`'\"<>&]", summary)[0][:30]
        assert first in text, name


def test_the_reference_names_what_is_public_and_nothing_else() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    named = re.findall(r"^   (\w+)$", text, flags=re.MULTILINE)
    assert sorted(named) == sorted(gt.__all__)
