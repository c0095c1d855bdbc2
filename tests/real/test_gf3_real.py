"""The metadata of two real GF-3 products: read as they are, and the Earth where they say it is."""

from pathlib import Path
from xml.etree import ElementTree

import gf3_products
import numpy as np
import pytest
from sar.geometries import ecef

from glaciertoolkit.errors import FileError
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.gf3_metadata import radar_geometry, read_metadata
from glaciertoolkit.sar.baselines import heading
from glaciertoolkit.sar.geocoding import ground_to_image, image_to_ground
from glaciertoolkit.sar.geometry import SPEED_OF_LIGHT

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "gf3_real_metadata"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"real data are not in {DATA.name}/")

FILES = {
    "FSI": DATA / "GF3_SAY_FSI_023228_W65.3_S18.7_20210107_L2_HHHV_L20005379609.meta.xml",
    "UFS": DATA / "GF3_MYN_UFS_029108_W43.3_S22.7_20220219_L2_DH_L20006303810.meta.xml",
}
SAMPLES = {"FSI": 14384, "UFS": 10742}  # (far - near) / spacing


@pytest.fixture(params=FILES)
def mode(request):
    return request.param


@pytest.fixture
def metadata(mode):
    return read_metadata(FILES[mode])


@pytest.fixture
def geometry(metadata, mode):
    return radar_geometry(metadata, lines=metadata.lines, samples=SAMPLES[mode])


def test_elements():
    fsi, ufs = (read_metadata(FILES[m]) for m in ("FSI", "UFS"))
    assert (fsi.satellite, fsi.mode, fsi.station, fsi.level) == ("GF3", "FSI", "SAY", "L2")
    assert (fsi.polarisations, ufs.polarisations) == ("HHHV", "DH")
    assert fsi.direction == ufs.direction == "descending"
    assert fsi.look == ufs.look == "right"
    assert fsi.wavelength == 0.055517
    assert fsi.start == np.datetime64("2021-01-07T09:54:49.286464")
    assert ufs.end == np.datetime64("2022-02-19T08:33:29.050428")
    assert (fsi.lines, ufs.lines) == (22456, 20640)
    assert fsi.near_range == 902705.042555
    assert fsi.line_rate == 2508.503906
    assert fsi.qualify == {"HH": 997.1026, "HV": 466.574951, "VH": None, "VV": None}
    assert fsi.calibration == {"HH": 24.46, "HV": 24.53, "VH": None, "VV": None}
    assert ufs.calibration == {"HH": 18.04, "HV": None, "VH": None, "VV": None}
    assert (fsi.width, fsi.height, fsi.width_spacing) == (26719, 28763, 2.5)
    assert fsi.mean_height == 2929.585688
    assert fsi.zero_doppler_steering is True
    assert (fsi.state_vectors.times.size, ufs.state_vectors.times.size) == (190, 361)
    assert fsi.state_vectors.positions[1, 0] == 3591121.0
    assert fsi.doppler_reference == pytest.approx(fsi.ref_range / SPEED_OF_LIGHT * 1e6, abs=1e-4)


def test_spacings(geometry, metadata, mode):
    across, along = {"FSI": (2.2484, 2.6965), "UFS": (1.1242, 1.7339)}[mode]
    assert geometry.range_spacing == pytest.approx(across, abs=1e-4)
    assert geometry.azimuth_spacing == pytest.approx(along, abs=1e-4)
    assert geometry.orbit.residual < 0.25
    span = {"FSI": 32339.4, "UFS": 12075.3}[mode]
    assert geometry.far_range - geometry.near_range == pytest.approx(span, abs=0.1)
    # The footprint's speed, and what takes its place where the file does not say it.
    assert geometry.azimuth_spacing * metadata.line_rate == metadata.ground_velocity


def test_corners_and_centre(geometry, metadata):
    """Lines within 3; near and middle range within 0.1 m, as the products state them."""
    height = metadata.mean_height
    places = {**metadata.corners, "center": metadata.centre}
    lon, lat = np.transpose(list(places.values()))
    line, sample = ground_to_image(geometry, lon, lat, height)
    pixel = dict(zip(places, zip(line, sample, strict=True), strict=True))
    last = geometry.lines - 1
    for side in ("Left", "Right"):
        assert abs(pixel[f"top{side}"][0]) < 3
        assert abs(pixel[f"bottom{side}"][0] - last) < 3
    for end in ("top", "bottom"):
        assert abs(geometry.range_of(pixel[f"{end}Right"][1]) - metadata.near_range) < 0.1
        assert abs(pixel[f"{end}Left"][1] - geometry.samples) < 1.5
    assert abs(pixel["center"][0] - last / 2) < 3
    assert abs(geometry.range_of(pixel["center"][1]) - metadata.ref_range) < 0.1


def test_corners_the_other_way(geometry, metadata):
    lon, lat = image_to_ground(geometry, 0.0, 0.0, metadata.mean_height)
    corner = metadata.corners["topRight"]
    assert lon == pytest.approx(corner.longitude, abs=1e-4)
    assert lat == pytest.approx(corner.latitude, abs=1e-4)
    assert heading(geometry, lon, lat, 0.0) == pytest.approx(192, abs=2)


def test_without_the_height_it_fails(geometry, metadata):
    """A negative control: the trap of geocoding at height 0."""
    place = metadata.corners["topRight"]
    _, sample = ground_to_image(geometry, *place, 0.0)
    off = abs(geometry.range_of(sample) - metadata.near_range)
    assert off > 0.5 * metadata.mean_height


def test_incidence(geometry, metadata):
    """From the geocentric vertical, as the products give it."""
    h = metadata.mean_height
    line = geometry.centre[0]
    for slant, stated in (
        (metadata.near_range, metadata.incidence_near),
        (geometry.near_range + geometry.samples * geometry.range_spacing, metadata.incidence_far),
    ):
        lon, lat = image_to_ground(geometry, line, geometry.sample_of(slant), h)
        ground = ecef(lon, lat, h)
        sight = ground - geometry.orbit.position(geometry.time_of(line))
        cosine = -(sight @ ground) / (np.linalg.norm(sight) * np.linalg.norm(ground))
        assert np.degrees(np.arccos(cosine)) == pytest.approx(stated, abs=0.02)


def test_the_product_without_its_images(mode):
    """Only the metadata are here; the message says what lacks."""
    with pytest.raises(FileError, match=r"holds no image \(GF3_.*_L2_HH_"):
        open_gf3(FILES[mode])


def paths(node, above=""):
    """The path of every element in order, repeated neighbours once."""
    found = []
    for child in node:
        path = f"{above}/{child.tag}"
        inside = [path, *paths(child, path)]
        if found[-len(inside) :] != inside:
            found += inside
    return found


def test_a_simulated_product_has_the_same_elements(tmp_path):
    """Names, order, and the habits of numbers: decimals, NULL, time stamps."""
    product = gf3_products.write(tmp_path)
    ours = ElementTree.parse(gf3_products.meta_of(product)).getroot()
    real = ElementTree.parse(FILES["FSI"]).getroot()
    assert paths(ours) == paths(real)
    assert not [e.tag for e in ours.iter() if len(e) == 0 and not (e.text or "").strip()]

    def habit(text):
        digits = "".join("9" if c.isdigit() else c for c in text.strip())
        head, dot, tail = digits.lstrip("-").partition(".")
        return ("N" if head.strip("9") == "" else head) + dot + tail

    different = {
        a.tag: (a.text, b.text)
        for a, b in zip(iter_once(ours), iter_once(real), strict=True)
        if len(a) == 0 and habit(a.text) != habit(b.text)
    }
    # What another level and another station make different, and nothing else.
    assert set(different) == {"productType", "Station"}
    for one, other in zip(iter_once(ours), iter_once(real), strict=True):
        assert one.attrib == other.attrib


def iter_once(root):
    """All elements but the second and later of repeated ones."""
    yield root
    seen = set()
    for child in root:
        if child.tag not in seen:
            seen.add(child.tag)
            yield from iter_once(child)
