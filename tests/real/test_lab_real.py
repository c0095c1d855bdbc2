"""One place of a real pair looked into: what `track` returns, and why there is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.conventions import Flag
from glaciertoolkit.errors import GlacierToolkitError

YAHTSE = Path(__file__).parents[2].parent / "shared" / "data" / "pair_yahtse_landsat8"
pytestmark = pytest.mark.skipif(
    not YAHTSE.exists(), reason="no real data at shared/pair_yahtse_landsat8"
)


@pytest.fixture(scope="module")
def pair() -> xr.Dataset:
    return gt.open_pair(
        YAHTSE / "LC08_063018_20160718_B8.tif", YAHTSE / "LC08_063018_20160803_B8.tif"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"step": 16}, {"method": "orientation", "step": 16, "template": 32}]
)
def test_equals_track_on_ice_rock_and_sea(pair: xr.Dataset, options: dict[str, Any]) -> None:
    posts = pair.glacier.track(**options).compute()
    rng = np.random.default_rng(5)
    flags = set()
    for _ in range(12):
        row, column = rng.integers(posts.sizes["y"]), rng.integers(posts.sizes["x"])
        post = posts.isel(y=int(row), x=int(column))
        found = pair.glacier.correlation_surface(float(post.x), float(post.y), **options)
        for name in posts.data_vars:
            np.testing.assert_array_equal(found[name].values, post[name].values)
        text = str(found.glacier.explain())
        assert text.startswith("No offset here") == bool(np.isnan(post.dx))
        flags.add(int(post.flag))
    assert 0 in flags
    assert len(flags) > 1  # of some there is nothing, and that is said


@pytest.mark.slow
def test_a_reason_can_be_acted_upon(pair: xr.Dataset) -> None:
    """Where the peak lies beyond the search, the wider search that is advised finds it."""
    posts = pair.glacier.track(step=32, search=3).compute()
    wide = pair.glacier.track(step=32, search=16).compute()
    edge = (posts["flag"] & int(Flag.SEARCH_EDGE)) > 0
    rows, columns = np.nonzero((edge & wide["dx"].notnull()).values)
    assert rows.size
    post = posts.isel(y=int(rows[0]), x=int(columns[0]))
    here = (float(post.x), float(post.y))
    assert "Search further (search=6)" in gt.explain(gt.correlation_surface(pair, *here, search=3))
    assert np.isfinite(float(gt.correlation_surface(pair, *here, search=16).dx))


def test_the_lab_reads_only_what_it_shows(pair: xr.Dataset) -> None:
    lab = pair.glacier.tracking_lab(template=32)
    assert lab.overview.block == (2, 3)
    assert lab.found is not None
    assert "2016-07-18" in lab.__panel__()[0].object
    with pytest.raises(GlacierToolkitError):
        gt.tracking_lab(pair, method="coherent")
