"""The same file, in hydromt. Where hydromt is not installed, these are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from glaciertoolkit.catalog import open_catalog
from glaciertoolkit.catalog.parse import BUILT_IN

hydromt = pytest.importorskip("hydromt", reason="hydromt is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")

FILE = Path(__file__).parents[2] / BUILT_IN
NAMES = (
    "snow_depth_tp", "snow_depth_global", "greenland_melt", "era5_monthly", "rgi6_outlines",
    "rgi7_outlines", "qilian_outlines_2015", "permafrost_seasonal_amplitude", "station_record",
    "itslive_velocity", "gf3_motion_qtp", "wgms_mass_balance",
)  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from glaciertoolkit.simulate import write_samples

    folder = tmp_path_factory.mktemp("hydromt")
    write_samples(folder, names=NAMES)
    found = hydromt.DataCatalog()
    found.from_yml(str(FILE), root=str(folder))
    return found


def test_hydromt_knows_every_entry(catalog: Any) -> None:
    assert sorted(catalog.get_source_names()) == sorted(open_catalog())


@pytest.mark.parametrize("name", NAMES)
def test_hydromt_opens_the_samples(catalog: Any, name: str) -> None:
    kind = open_catalog()[name].data_type
    getter = {
        "RasterDataset": catalog.get_rasterdataset,
        "GeoDataFrame": catalog.get_geodataframe,
        "DataFrame": catalog.get_dataframe,
    }[kind]
    data = getter(name)
    assert data is not None
    assert len(data)
