"""Every notebook runs from top to bottom, shows what it should, and is stored without outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
RENDERED = "application/vnd.holoviews_exec.v0+json"
WRONG, RIGHT = "999", "expected"


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_renders(client: NotebookClient) -> None:
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
    # every exercise asks, gives a hint to a wrong answer, and knows the right one
    exercises = [(i, c) for i, c in enumerate(cells) if "exercise" in c.metadata.get("tags", [])]
    assert exercises
    for index, cell in exercises:
        asked = printed(cell)
        assert "Replace the three dots" in asked
        for answer, reply in ((WRONG, "Hint"), (RIGHT, "Right")):
            cell.source = cell.source.replace("answer = ...", f"answer = {answer}", 1)
            client.execute_cell(cell, index)
            assert reply in printed(cell)
            cell.source = cell.source.replace(f"answer = {answer}", "answer = ...", 1)
