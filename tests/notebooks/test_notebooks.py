"""Every notebook runs from top to bottom, shows what it should, and is stored without outputs.

``expected/<notebook>.toml`` holds what its text says, as expressions over its variables, and
wrong answers to its exercise with words that the hint must hold.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
EXPECTED = Path(__file__).parent / "expected"
RENDERED = "application/vnd.holoviews_exec.v0+json"
WRONG, RIGHT = "999", "expected"
MOST_CODE_CELLS = 14


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
    # nothing is expected of a notebook that has gone
    assert {path.stem for path in EXPECTED.glob("*.toml")} <= {path.stem for path in NOTEBOOKS}


def expected_of(path: Path) -> dict[str, Any]:
    return tomllib.loads((EXPECTED / f"{path.stem}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_text_holds_what_is_checked(path: Path) -> None:
    """Each claim is a sentence of the text, each hint one of the exercise."""
    notebook, expected = nbformat.read(path, as_version=4), expected_of(path)
    text = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    words = " ".join(" ".join(text).split())
    assert [claim["text"] for claim in expected["claims"] if claim["text"] not in words] == []
    hints = list(expected["wrong"].values())
    assert len(set(hints)) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    # no cell without a word on why it is there
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown"
    opening = notebook.cells[0].source
    assert opening.startswith("# ")
    assert "you can" in opening
    assert "Outline" in opening
    assert len(code) <= MOST_CODE_CELLS
    # the outline and the numbered headings are the same
    headings = [
        int(number)
        for cell in notebook.cells
        for number in re.findall(r"^## (\d+)\. ", cell.source, flags=re.M)
    ]
    outline = " ".join(opening.split("**Outline**")[1].split("\n\n")[0].split())
    assert headings == list(range(1, len(headings) + 1))
    assert [int(n) for n in re.findall(r"(?:: |· )(\d+) ", outline)] == headings


@pytest.fixture
def client(path: Path) -> Iterator[NotebookClient]:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    runner = NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources)
    with runner.setup_kernel():
        yield runner


def outputs(cells: list[Any]) -> list[Any]:
    return [out for cell in cells if cell.cell_type == "code" for out in cell.outputs]


def printed(cell: Any) -> str:
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def answered(client: NotebookClient, index: int, answer: str) -> str:
    """What an exercise prints for an answer."""
    cell = client.nb.cells[index]
    asked = cell.source
    cell.source = asked.replace("answer = ...", f"answer = {answer}", 1)
    client.execute_cell(cell, index)
    cell.source = asked
    return printed(cell)


def broken(client: NotebookClient, claims: list[dict[str, str]]) -> list[str]:
    """The claims that do not hold in the notebook's own kernel."""
    tests = ", ".join(f"({claim['text']!r}, bool({claim['holds']}))" for claim in claims)
    source = (
        f"import json; import numpy as np; print(json.dumps([t for t, ok in [{tests}] if not ok]))"
    )
    client.nb.cells.append(nbformat.v4.new_code_cell(source))
    client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
    return list(json.loads(printed(client.nb.cells.pop())))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_renders(client: NotebookClient, path: Path) -> None:
    cells = client.nb.cells
    for index, cell in enumerate(cells):
        client.execute_cell(cell, index)
    said = [
        out.text for out in outputs(cells) if out.output_type == "stream" and out.name == "stderr"
    ]
    assert said == []
    shown = [out for out in outputs(cells) if out.output_type in ("display_data", "execute_result")]
    assert sum(RENDERED in out.data for out in shown) >= 2  # HoloViews and Panel really rendered
    # nothing that is shown fetches a style sheet or a script from a network
    pages = [out.data.get("text/html", "") for out in shown]
    assert not any(re.search(r'"url":\s*"https?://', page) for page in pages)
    expected = expected_of(path)
    assert broken(client, expected["claims"]) == []
    # every exercise asks, knows the right answer, and has a hint for a wrong one that fits it
    exercises = [i for i, c in enumerate(cells) if "exercise" in c.metadata.get("tags", [])]
    assert len(exercises) == 1
    for index in exercises:
        assert "Replace the three dots" in printed(cells[index])
        assert "Right" in answered(client, index, RIGHT)
        assert "Hint" in answered(client, index, WRONG)
        for answer, hint in expected["wrong"].items():
            reply = answered(client, index, answer)
            assert "Not yet" in reply
            assert hint in reply
