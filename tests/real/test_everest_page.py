"""The page on the north side of Everest runs, and shows what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).parent / "everest_rongbuk.ipynb"
BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("GLACIERTOOLKIT_DATA", BESIDE)) / "site_everest_rongbuk"

CLAIMS = {
    "median and 95th percentile on ice": "abs(median / 2.1 - 1) < 0.1 "
    "and abs(p95 / 24.5 - 1) < 0.1",
    "the margin": "abs(median - 1.9) < 0.05 and abs(float(np.nanmedian(velocity.v.values["
    "rasterize(gpd.read_file(RGI).to_crs(velocity.rio.crs).buffer(-30), velocity).values]))"
    " - 2.2) < 0.05",
    "off ice": "abs(rock_median - 0.4) < 0.05",
    "glaciers": "len(table) == 55 and table.v_error.notna().sum() > 40",
    "half of the ice above 6,000 m": "abs(float(relief.region_area.where(relief.elevation_bin > "
    "6000).sum() / relief.region_area.sum()) - 0.5) < 0.05",
    "tongues are fast": "float(relief.region_v_median.sel(elevation_bin=5650)) > 5 * "
    "float(relief.region_v_median.sel(elevation_bin=6550))",
    "does not hold here": "all(float(c.p_value) > 0.5 and float(c.fraction_faster_above_high) < 0.5"
    " for c in contrasts.values())",
    "one to two bars": "100 < stress < 200",
    "thick ice is fast": "float(law.low[2]) > 0",
    "far from 3": "float(law.high[1]) < 1",
    "sentences": "[c.verdict for c in found.claims] == "
    "['open', 'open', 'open', 'contradicted', 'open']",
}


def test_is_committed_clean() -> None:
    notebook = nbformat.read(PAGE, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_runs_and_holds() -> None:
    notebook = nbformat.read(PAGE, as_version=4)
    tests = ", ".join(f"({name!r}, bool({holds}))" for name, holds in CLAIMS.items())
    check = f"import geopandas as gpd\nprint([name for name, ok in [{tests}] if not ok])"
    notebook.cells.append(nbformat.v4.new_code_cell(check))
    resources: dict[str, Any] = {"metadata": {"path": str(PAGE.parent)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    said = [out for out in outputs if out.output_type == "stream"]
    assert [out.text for out in said if out.name == "stderr"] == []
    assert said[-1].text.strip() == "[]"
    holoviews = "application/vnd.holoviews_exec.v0+json"
    drawn = [out for out in outputs if holoviews in out.get("data", {})]
    assert len(drawn) >= 4
