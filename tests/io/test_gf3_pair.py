"""Two GF-3 products as one pair: one grid of whole pixels, and every wrong pair refused."""

import shutil

import gf3_products
import numpy as np
import pytest
from gf3_products import change

from glaciertoolkit.errors import DateError, GridError, InputError, ParameterError
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.gf3_pair import open_gf3_pair
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.provenance import history
from glaciertoolkit.sar.geocoding import ground_to_image, image_to_ground
from glaciertoolkit.sar.geometry import geometries_of, geometry_of, is_radar

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

LATER = {"delay": 29.0, "number": 1, "timing": 0.0131, "near": -31.0, "lines": 240}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return gf3_products.write(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def secondary(tmp_path_factory):
    return gf3_products.write(tmp_path_factory.mktemp("secondary"), baseline=900.0, **LATER)


@pytest.fixture
def copy(secondary, tmp_path):
    return shutil.copytree(secondary, tmp_path / secondary.name)


def test_one_grid_of_whole_pixels(reference, secondary):
    pair = open_pair(reference, secondary)
    assert is_radar(pair)
    geometries = geometries_of(pair)
    whole = {"reference": open_gf3(reference), "secondary": open_gf3(secondary)}
    assert pair.reference.dtype == pair.secondary.dtype == np.complex64
    for role, geometry in zip(whole, geometries, strict=True):
        assert pair[role].shape == (geometry.lines, geometry.samples)
        own = geometry_of(whole[role])
        down = (geometry.first_line - own.first_line) / own.line_interval
        right = (geometry.near_range - own.near_range) / own.range_spacing
        assert down == pytest.approx(round(down), abs=1e-6)
        assert right == pytest.approx(round(right), abs=1e-6)
        rows = slice(round(down), round(down) + geometry.lines)
        columns = slice(round(right), round(right) + geometry.samples)
        part = whole[role].HH[rows, columns]
        assert np.array_equal(part.values, pair[role].values, equal_nan=True)
    # As much as both have: the one is later by 0.0131 s plus half of 16 lines.
    assert pair.sizes["y"] < 240
    assert pair.sizes["x"] < 200
    assert (pair.y.values == geometries.reference.y).all()
    assert (pair.x.values == geometries.reference.x).all()


def test_the_middle_agrees_within_half_a_pixel(reference, secondary):
    first, second = geometries_of(open_pair(reference, secondary))
    line, sample = first.centre
    place = image_to_ground(first, line, sample, gf3_products.HEIGHT)
    there = ground_to_image(second, *place, gf3_products.HEIGHT)
    assert abs(there[0] - line) <= 1
    assert abs(there[1] - sample) <= 1


def test_baseline_dates_and_attributes(reference, secondary):
    pair = open_pair(reference, secondary, polarisation="HV")
    assert pair.attrs["baseline_perpendicular"] == pytest.approx(900.0, abs=1.0)
    assert pair.attrs["polarisation"] == "HV"
    assert pair.reference.attrs["polarisation"] == "HV"
    days = (pair.secondary_time - pair.reference_time).values / np.timedelta64(1, "D")
    assert days == pytest.approx(29, abs=1e-3)
    assert pair.mid_date.values > pair.reference_time.values
    assert pair.attrs["pixel_size_x"] == pytest.approx(2.2484, abs=1e-3)
    assert pair.attrs["pixel_size_y"] == pytest.approx(2.6965, abs=1e-3)
    assert pair.x.attrs["long_name"] == "slant range"
    (step,) = history(pair)
    assert step["step"] == "open_pair"
    assert step["parameters"]["polarisation"] == "HV"
    given = open_pair(reference, secondary, secondary_date="2019-10-05")
    assert given.secondary_time.values == np.datetime64("2019-10-05")


def test_both_images_have_the_same_chunks(reference, secondary):
    pair = open_gf3_pair(reference, secondary, chunks={"y": 100, "x": 64})
    assert pair.reference.chunks == pair.secondary.chunks
    assert pair.reference.chunks[0][0] == 100
    assert open_gf3_pair(reference, secondary, chunks=None).reference.chunks is None


def test_archives(tmp_path, reference, secondary):
    one = gf3_products.write(tmp_path, archive="tar.gz")
    two = gf3_products.write(tmp_path, archive="zip", baseline=900.0, **LATER)
    found = open_pair(one, two)
    assert found.drop_attrs().identical(open_pair(reference, secondary).drop_attrs())


def test_default_polarisation(tmp_path):
    folders = [
        gf3_products.write(tmp_path / f"{i}", channels=channels, delay=29.0 * i, number=i)
        for i, channels in enumerate([("VH", "VV"), ("HH", "VH", "VV"), ("HH", "HV")])
    ]
    assert open_pair(folders[0], folders[1]).attrs["polarisation"] == "VV"
    assert open_pair(folders[1], folders[2]).attrs["polarisation"] == "HH"
    with pytest.raises(InputError, match="no polarisation in common"):
        open_pair(folders[0], folders[2])
    with pytest.raises(InputError, match="has no HH channel, only VH, VV"):
        open_pair(folders[0], folders[1], polarisation="HH")
    with pytest.raises(ParameterError, match="must be among"):
        open_pair(folders[0], folders[1], polarisation="XX")


def test_unused_channels_may_be_missing(reference, copy):
    next(copy.glob("*_HV_*.tiff")).unlink()
    assert open_pair(reference, copy).attrs["polarisation"] == "HH"


def test_line_rates_a_few_per_mille_apart(reference, tmp_path):
    """Offsets grow from the middle then, which is where they are taken out."""
    other = gf3_products.write(tmp_path, delay=29.0, number=1)
    for element, factor in (("eqvPRF", 1.003), ("prf", 1.003)):
        change(other, element, f"{2508.504 * factor:.6f}")
    pair = open_pair(reference, other)
    first, second = geometries_of(pair)
    place = image_to_ground(first, *first.centre, gf3_products.HEIGHT)
    line, _ = ground_to_image(second, *place, gf3_products.HEIGHT)
    assert abs(line - first.centre[0]) < 1


@pytest.mark.parametrize(
    ("element", "value", "message"),
    [
        ("imagingMode", "QPSI", "sensor/imagingMode.*FSI and QPSI"),
        ("lamda", "0.0561", "sensor/lamda"),
        ("eqvFs", "68.5", "imageinfo/eqvFs"),
        ("groundVelocity", "6900", "imageinfo/eqvPRF"),
    ],
)
def test_products_that_make_no_pair(reference, copy, element, value, message):
    change(copy, element, value)
    with pytest.raises(InputError, match=message):
        open_pair(reference, copy)


@pytest.mark.parametrize(
    ("orbit", "message"),
    [
        ({"look": "left"}, r"sensor/lookDirection.*right and left"),
        ({"direction": "ascending"}, r"Direction.*descending and ascending"),
    ],
)
def test_another_orbit(reference, tmp_path, orbit, message):
    other = gf3_products.write(tmp_path, delay=29.0, **orbit)
    with pytest.raises(InputError, match=message):
        open_pair(reference, other)


@pytest.mark.parametrize(
    "where",
    [{"longitude": 95.0}, {"latitude": 28.3}, {"near": 5e3}, {"timing": 0.2}, {"latitude": -28.0}],
)
def test_another_scene(reference, tmp_path, where):
    other = gf3_products.write(tmp_path, delay=29.0, **where)
    if "near" in where or "timing" in where:
        change(other, "center", None, after="<imageinfo>")
    with pytest.raises(GridError, match="show different places"):
        open_pair(reference, other)


def test_order_and_repetition(reference, secondary, tmp_path):
    with pytest.raises(DateError, match="swap"):
        open_pair(secondary, reference)
    with pytest.raises(InputError, match="same product"):
        open_pair(reference, reference)
    again = shutil.copytree(reference, tmp_path / "again")
    with pytest.raises(InputError, match="same product"):
        open_pair(reference, again)
    with pytest.raises(DateError, match="same date"):
        open_pair(reference, secondary, reference_date="2019-10-02", secondary_date="2019-10-02")


@pytest.mark.parametrize(
    "option",
    [{"band": 2}, {"nodata": 0}, {"amplitude": True}, {"crs": 32645}, {"pixel": 2.0}],
)
def test_options_that_do_not_apply(reference, secondary, option):
    with pytest.raises(ParameterError, match=f"^{next(iter(option))}= does not apply"):
        open_pair(reference, secondary, **option)


def test_a_product_and_an_image(reference, secondary):
    image = next(secondary.glob("*.tiff"))
    with pytest.raises(InputError, match="the reference image is a GF-3 product, but the second"):
        open_pair(reference, image)
    with pytest.raises(InputError, match="the secondary image is a GF-3 product, but the refer"):
        open_pair(image, secondary)
    with pytest.raises(ParameterError, match="polarisation='HH' is for GF-3"):
        open_pair(image, image, polarisation="HH")


def test_level_2_pair(tmp_path):
    folders = [
        gf3_products.to_level_2(gf3_products.write(tmp_path / f"{i}", delay=29.0 * i, number=i))
        for i in range(2)
    ]
    pair = open_pair(*folders, chunks=100)
    assert not is_radar(pair)
    assert pair.rio.crs.to_epsg() == 32645
    assert pair.reference.dtype == np.float32
    assert pair.attrs["polarisation"] == "HH"
    days = (pair.secondary_time - pair.reference_time).values / np.timedelta64(1, "D")
    assert days == pytest.approx(29, abs=1e-6)
    assert "HH" in pair.reference.attrs["source"]
    assert pair.reference.chunks is not None


def test_levels_that_do_not_fit(reference, copy, tmp_path):
    with pytest.raises(InputError, match=r"level L1A.*level L2"):
        open_pair(reference, gf3_products.to_level_2(copy))
    folders = [
        gf3_products.to_level_2(
            gf3_products.write(tmp_path / f"{i}", delay=29.0 * i, number=i), level="L1B"
        )
        for i in range(2)
    ]
    with pytest.raises(InputError, match="level L1B"):
        open_pair(*folders)
