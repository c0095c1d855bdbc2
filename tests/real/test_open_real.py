"""open_pair on real images."""

from pathlib import Path

import numpy as np
import pytest

from glaciertoolkit.errors import GridError
from glaciertoolkit.io.images import open_pair

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"real data are not in {DATA.name}/")


def test_landsat_pair():
    folder = DATA / "pair_yahtse_landsat8"
    pair = open_pair(folder / "LC08_063018_20160718_B8.tif", folder / "LC08_063018_20160803_B8.tif")
    assert pair.sizes == {"y": 1087, "x": 1698}
    assert pair.rio.crs.to_epsg() == 32607
    assert pair.reference_time.values == np.datetime64("2016-07-18T20:37:06")
    assert pair.secondary_time.values == np.datetime64("2016-08-03T20:37:09")
    assert 0.5 < float(pair.reference.mean() / pair.secondary.mean()) < 2


def test_sentinel_pair_with_missing_pixels():
    folder = DATA / "pair_arctic_s1_20161005"
    pair = open_pair(
        folder / "S1B_20161005T101835_sigma0_HV_dB_EPSG3413_40m.tif",
        folder / "S1A_20161005T142446_sigma0_HV_dB_EPSG3413_40m.tif",
    )
    days = (pair.secondary_time - pair.reference_time).values / np.timedelta64(1, "s") / 86400
    assert days == pytest.approx(0.170961, abs=1e-6)
    assert 0 < float(np.isnan(pair.reference).mean()) < 0.5


def test_sentinel_in_image_geometry_is_refused():
    folder = DATA / "pair_arctic_s1_20161005"
    names = ("S1B_20161005T101835_sigma0_HV_GCP.tif", "S1A_20161005T142446_sigma0_HV_GCP.tif")
    with pytest.raises(GridError, match="ground control points and no map grid"):
        open_pair(*(folder / name for name in names))


def test_photographs_without_georeference():
    folder = DATA / "stack_perito_moreno_s2"
    pair = open_pair(folder / "20200207.jpg", folder / "20200313.jpg", pixel=10.0)
    assert pair.sizes == {"y": 1231, "x": 1731}
    assert float(pair.reference.std()) > 0


def test_a_dem_in_degrees_is_refused_with_the_right_zone():
    dem = DATA / "site_baltoro" / "dem_srtm_3as.tif"
    with pytest.raises(GridError, match="EPSG:32643"):
        open_pair(dem, dem, reference_date="2000-02-11", secondary_date="2000-02-22")
