"""Simulated GF-3 products: files as real ones have them, and the numbers in them."""

from dataclasses import replace

import dask.array as da
import gf3_products
import numpy as np
import pytest
import rasterio
import xarray as xr
from gf3_products import header, meta_of, speckle
from sar.geometries import CASES, ecef

from glaciertoolkit.errors import FileError, InputError, ParameterError
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.gf3_metadata import read_metadata
from glaciertoolkit.sar.geocoding import ground_to_image
from glaciertoolkit.sar.geometry import SPEED_OF_LIGHT, geometry_of
from glaciertoolkit.sar.rpc import read_rpc, rpc_to_image
from glaciertoolkit.simulate.gf3_files import ProductHeader, write_product

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

BASE = "GF3_KAS_FSI_016023_E86.9_N28.0_20190903_L1A_{}_L10002332082"


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    return gf3_products.write(tmp_path_factory.mktemp("gf3"), rpc=True)


def test_files_and_their_names(product):
    assert product.name == BASE.format("HHHV")
    assert sorted(p.name for p in product.iterdir()) == sorted(
        [
            BASE.format("HHHV") + ".meta.xml",
            BASE.format("HHHV") + ".incidence.xml",
            *(BASE.format(c) + s for c in ("HH", "HV") for s in (".tiff", ".rpc")),
        ]
    )
    with rasterio.open(product / f"{BASE.format('HH')}.tiff") as source:
        assert source.dtypes == ("int16", "int16")
        assert source.compression is None
        counts = source.read().astype(int)
    assert np.hypot(*counts).max() == pytest.approx(32767, abs=1)
    assert (counts[:, -20:, :30] == 0).all()


def test_text_as_in_real_products(product):
    text = meta_of(product).read_bytes()
    assert text.startswith(b'<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n<product>\n')
    assert text.endswith(b"    </processinfo>\n</product>\n")
    assert b"\r" not in text
    assert b"\n                <VH>NULL</VH>" not in text
    assert text.count(b"            <VH>NULL</VH>\n            <VV>NULL</VV>\n") == 3


@pytest.mark.parametrize(("direction", "look"), CASES)
def test_what_the_header_says(tmp_path, direction, look):
    made = header(direction=direction, look=look, lines=2000, samples=1500)
    image = np.ones((2000, 1500), np.complex64)
    image[::2] *= 2
    found = read_metadata(meta_of(write_product(tmp_path, made, {"HH": image}, rpc=False)))
    g = made.geometry
    assert (found.direction, found.look) == (direction, look)
    assert found.lines == g.lines
    assert found.near_range == pytest.approx(g.near_range, abs=1e-6)
    assert found.ground_velocity == pytest.approx(g.azimuth_spacing / g.line_interval, abs=1e-6)
    assert found.doppler_reference == pytest.approx(found.ref_range / SPEED_OF_LIGHT * 1e6)
    # Corners by their place on the map, and every one a corner of the image.
    c = found.corners
    assert c["topLeft"].latitude > c["bottomLeft"].latitude
    assert c["topRight"].latitude > c["bottomRight"].latitude
    assert c["topLeft"].longitude < c["topRight"].longitude
    assert c["bottomLeft"].longitude < c["bottomRight"].longitude
    pixels = [np.array(ground_to_image(g, *p, made.mean_height)) for p in c.values()]
    corners = {(round(float(p[0])), round(float(p[1]))) for p in pixels}
    assert corners == {(i, j) for i in (0, 1999) for j in (0, 1499)}
    # Incidence from the geocentric vertical, by vectors.
    ground = ecef(*found.centre, made.mean_height)
    sight = ground - g.orbit.position(g.time_of(g.centre[0]))
    cosine = -(sight @ ground) / (np.linalg.norm(sight) * np.linalg.norm(ground))
    middle = (found.incidence_near + found.incidence_far) / 2
    assert np.degrees(np.arccos(cosine)) == pytest.approx(middle, abs=1e-3)


def test_state_vectors_are_rounded(tmp_path):
    times, positions, velocities = header().state_vectors
    positions = positions + 0.123
    made = replace(header(), state_vectors=(times, positions, velocities))
    product = write_product(tmp_path, made, {"HH": speckle()}, rpc=False)
    vectors = read_metadata(meta_of(product)).state_vectors
    assert (vectors.positions == positions.astype(np.float32)).all()
    assert np.abs(vectors.positions - positions).max() > 0.05
    assert np.abs(vectors.velocities - velocities).max() < 0.0055
    assert np.abs(vectors.times - times).max() <= np.timedelta64(500, "ns")


def test_rational_polynomials(product):
    """The text of the file agrees with the orbit over the relief."""
    rpc = read_rpc(next(product.glob("*_HH_*.rpc")))
    geometry = header().geometry
    for height in (3100.0, 4500.0, 5900.0):
        line, sample = ground_to_image(geometry, 86.9, 28.0, height)
        found = rpc_to_image(rpc, 86.9, 28.0, height)
        assert np.hypot(found[0] - line, found[1] - sample) < 0.05


def test_lazy_images_are_computed_once_strip_by_strip(tmp_path):
    seen = []

    def strip(block, block_info=None):
        if block_info:
            seen.append(block_info[0]["array-location"])
        return block

    image = speckle()
    lazy = da.from_array(image, chunks=(100, 70)).map_blocks(
        strip, dtype=np.complex64, meta=np.empty((0, 0), np.complex64)
    )
    one = write_product(tmp_path / "1", header(), {"HH": xr.DataArray(lazy)}, rpc=False)
    assert len(seen) == len(set(map(str, seen))) == 9
    two = write_product(tmp_path / "2", header(), {"HH": image}, rpc=False)
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()
    assert [p.name for p in (tmp_path / "1").iterdir()] == [one.name]


def test_a_given_peak(tmp_path):
    image = speckle()
    product = write_product(tmp_path, header(), {"HH": image}, rpc=False, peak={"HH": 0.5})
    found = open_gf3(product).HH.values
    inside = abs(image) < 0.5
    assert np.abs(found - image)[inside].max() < 0.5 / 32767
    assert np.nanmax(abs(found.real)) == pytest.approx(0.5, rel=1e-6)


def test_valid_pixels_stay_valid(tmp_path):
    """0/0 means no data; what rounds to it must not become it."""
    image = np.full((256, 200), 1e-7 + 0j, np.complex64)
    image[0, 0] = 1
    image[1, :] = 0
    image[2, :] = np.nan
    found = open_gf3(write_product(tmp_path, header(), {"HH": image}, rpc=False)).HH.values
    assert np.isnan(found).sum() == 400
    assert np.isnan(found[1:3]).all()


def test_calibration(tmp_path):
    given = {"HH": 10.0, "HV": 30.0}
    one = gf3_products.write(tmp_path / "1", calibration=given)
    meta = read_metadata(meta_of(one))
    assert meta.calibration == given | {"VH": None, "VV": None}
    scene = open_gf3(one)
    for number, channel in enumerate(given):
        truth = speckle(number)
        assert np.nanmax(abs(scene[channel].values - truth)) < np.nanmax(abs(truth)) / 32767


@pytest.mark.parametrize("archive", ["tar.gz", "zip"])
def test_equal_products_make_equal_archives(tmp_path, archive):
    one, two = (gf3_products.write(tmp_path / f"{i}", archive=archive) for i in range(2))
    assert one.name.endswith(archive)
    assert one.read_bytes() == two.read_bytes()
    assert list((tmp_path / "0").iterdir()) == [one]


def test_tags_of_polarisations(tmp_path):
    made = header()
    assert made.polarisation_tag(("HH",)) == "HH"
    assert made.polarisation_tag(("VH", "VV")) == "VVVH"
    assert made.polarisation_tag(("HH", "HV", "VH", "VV")) == "AHV"
    product = gf3_products.write(tmp_path, channels=("HH",), tag="DH")
    assert product.name == BASE.format("DH")
    assert list(open_gf3(product).data_vars) == ["HH", "incidence"]


@pytest.mark.parametrize("satellite", ["GF3B", "GF3C"])
def test_other_satellites(tmp_path, satellite):
    product = gf3_products.write(tmp_path, satellite=satellite, channels=("VV",))
    assert open_gf3(product).attrs["satellite"] == satellite


def test_refused(tmp_path, product):
    made = header()
    with pytest.raises(ParameterError, match="some of HH, HV, VH, VV; got none"):
        write_product(tmp_path, made, {})
    with pytest.raises(ParameterError, match="got hh"):
        write_product(tmp_path, made, {"hh": speckle()})
    with pytest.raises(InputError, match=r"has the shape \(255, 200\)"):
        write_product(tmp_path, made, {"HH": speckle()[1:]})
    with pytest.raises(InputError, match="no valid pixel"):
        write_product(tmp_path, made, {"HH": speckle() * 0}, rpc=False)
    with pytest.raises(ParameterError, match="archive='rar'"):
        write_product(tmp_path, made, {"HH": speckle()}, archive="rar")
    with pytest.raises(ParameterError, match="is no name of a GF-3 product"):
        header(satellite="GF4")
    with pytest.raises(FileError, match="already exists"):
        write_product(product.parent, made, {"HH": speckle(), "HV": speckle()}, rpc=False)
    assert list(tmp_path.iterdir()) == []
    doppler = gf3_products.radar_geometry(doppler=(9e5, 100.0))
    with pytest.raises(ParameterError, match="zero-Doppler"):
        ProductHeader(doppler, made.state_vectors)


def test_replaced_on_request(tmp_path):
    gf3_products.write(tmp_path, channels=("HH",))
    new = gf3_products.write(tmp_path, images={"HH": speckle(9)}, overwrite=True)
    assert np.nanmax(abs(open_gf3(new).HH.values - speckle(9))) < 1e-4


def test_the_geometry_survives(product):
    """The orbit within the rounding of its state vectors: some centimetres in the image."""
    one, two = header().geometry, geometry_of(open_gf3(product))
    for height in (3000.0, 4500.0, 6000.0):
        there, back = (ground_to_image(g, 86.9, 28.0, height) for g in (one, two))
        assert np.hypot(there[0] - back[0], there[1] - back[1]) < 0.1
