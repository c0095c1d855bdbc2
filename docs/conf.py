"""Sphinx: the site from the docstrings, the notebooks and the pages beside this file. Offline."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import glaciertoolkit

HERE = Path(__file__).parent

project = "glaciertoolkit"
author = "glaciertoolkit contributors"
copyright = author
release = glaciertoolkit.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
nitpicky = False

# ---- docstrings
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"

# ---- notebooks: kept without outputs; `make docs` runs them, the tests only lay them out
nb_execution_mode = "off"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}

# ---- pages
html_theme = "furo"
html_title = f"glaciertoolkit {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False

# xarray's accessors and HoloViews warn while they are imported by autodoc.
warnings.filterwarnings("ignore", category=DeprecationWarning)


def _with_notebooks() -> None:
    """Copy the notebooks beside the pages, where Sphinx looks for its sources."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    wanted = {path.name: path for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for old in target.glob("*.ipynb"):
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        shutil.copy2(path, target / name)


_with_notebooks()


def _with_commands() -> None:
    """Write the page of the command line from its own help texts."""
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from glaciertoolkit.cli import app

    command = get_command(app)
    import click

    text = get_docs_for_click(obj=command, ctx=click.Context(command), name="glaciertoolkit")
    (HERE / "commands.md").write_text(text.replace("# `glaciertoolkit`", "# Without a notebook", 1))


_with_commands()


def _with_vocabulary() -> None:
    """Write the page of variables, units and flags from the one table that the package has."""
    from glaciertoolkit.conventions import DOUBTFUL, FLAG_MEANINGS, VARIABLES

    lines = [
        "# Variables and flags",
        "",
        "What a variable is called, which unit it has and what a flag means is written down once, "
        "in `conventions.py`, and this page is made of it. A year has 365.25 days.",
        "",
        "## Variables",
        "",
        "| name | unit | what it is |",
        "|---|---|---|",
        *(f"| `{name}` | {v.units} | {v.long_name} |" for name, v in VARIABLES.items()),
        "",
        "## Flags",
        "",
        "Bits of `flag` (uint32). A post with any of them is missing (NaN), but for those marked "
        "*kept*: there the value stands, and is to be doubted.",
        "",
        "| bit | name | why | |",
        "|---|---|---|---|",
        *(
            f"| {int(f).bit_length() - 1} | `{str(f.name).lower()}` | {why} | "
            f"{'*kept*' if f & DOUBTFUL else ''} |"
            for f, why in FLAG_MEANINGS.items()
        ),
    ]
    (HERE / "vocabulary.md").write_text("\n".join(lines) + "\n")


_with_vocabulary()
