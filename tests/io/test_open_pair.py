"""open_pair: what it returns, and the sentence for everything that can be wrong."""

import warnings

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine, from_origin

from glaciertoolkit.errors import (
    DateError,
    FileError,
    GridError,
    InputError,
    ParameterError,
)
from glaciertoolkit.io.georeference import suggested_crs
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.provenance import history

UTM = "EPSG:32645"
DATES = {"reference_date": "2019-09-03", "secondary_date": "2019-10-02"}
RNG = np.random.default_rng(7)
PIXELS = RNG.integers(1, 4000, (60, 80)).astype("uint16")


def write(path, pixels=PIXELS, *, left=5e5, top=3.1e6, size=12.0, **profile):
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    tags = profile.pop("tags", {})
    settings = {
        "driver": "GTiff",
        "count": pixels.shape[0],
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
        "crs": UTM,
        "transform": from_origin(left, top, size, size),
        **profile,
    }
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    with rasterio.open(path, "w", **settings) as target:
        target.write(pixels)
        if tags:
            target.update_tags(**tags)
    return path


def array(pixels=PIXELS, *, left=5e5, top=3.1e6, size=12.0, crs=UTM):
    height, width = pixels.shape
    y = top - size * (np.arange(height) + 0.5)
    x = left + size * (np.arange(width) + 0.5)
    out = xr.DataArray(pixels, {"y": y, "x": x}, ("y", "x"))
    return out.rio.write_crs(crs) if crs else out


def never_compute(*_args, **_kwargs):
    raise AssertionError("computed early")


@pytest.fixture
def pair_files(tmp_path):
    return write(tmp_path / "20190903.tif"), write(tmp_path / "20191002.tif", PIXELS[::-1].copy())


def test_two_files_become_one_lazy_dataset(pair_files):
    with dask.config.set(scheduler=never_compute):
        pair = open_pair(*pair_files, chunks=32)
    assert list(pair.data_vars) == ["reference", "secondary"]
    assert pair.reference.chunks == ((32, 28), (32, 32, 16))
    assert pair.reference.dtype == pair.secondary.dtype == np.float32
    np.testing.assert_array_equal(pair.reference, PIXELS.astype("float32"))
    np.testing.assert_array_equal(pair.secondary, PIXELS[::-1].astype("float32"))
    np.testing.assert_allclose(pair.x[:2], [5e5 + 6, 5e5 + 18], rtol=0, atol=1e-9)
    np.testing.assert_allclose(pair.y[:2], [3.1e6 - 6, 3.1e6 - 18], rtol=0, atol=1e-9)
    assert pair.rio.crs.to_epsg() == 32645
    assert pair.rio.transform() == from_origin(5e5, 3.1e6, 12, 12)
    assert pair.reference.attrs["grid_mapping"] == "spatial_ref"
    for name in ("reference_time", "secondary_time", "mid_date"):
        assert pair[name].dtype == np.dtype("datetime64[ns]")
        assert pair[name].ndim == 0
    assert pair.mid_date.values == np.datetime64("2019-09-17T12:00")
    assert (pair.pixel_size_x, pair.pixel_size_y) == (12.0, 12.0)


def test_the_history_names_files_without_their_folder(pair_files, tmp_path):
    pair = open_pair(*pair_files)
    step = history(pair)[0]
    assert step["step"] == "open_pair"
    given = step["parameters"]
    assert (given["reference"], given["secondary"]) == ("20190903.tif", "20191002.tif")
    assert given["dates_from"] == ["file name", "file name"]
    assert str(tmp_path) not in str(pair.attrs) + str(pair.reference.attrs)


def test_chunks_none_reads_now(pair_files):
    pair = open_pair(*pair_files, chunks=None)
    assert pair.reference.chunks is None
    np.testing.assert_array_equal(pair.reference, PIXELS)


def test_missing_pixels_are_nan_whatever_marks_them(tmp_path):
    pixels = PIXELS.astype("float32")
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = -9999, -np.inf, np.nan
    first = write(tmp_path / "a.tif", pixels, nodata=-9999)
    second = write(tmp_path / "b.tif", np.where(pixels > 2000, 0, PIXELS).astype("uint16"))
    pair = open_pair(first, second, nodata=0, **DATES).load()
    assert np.isnan(pair.reference.values[0, :3]).all()
    assert int(np.isnan(pair.reference).sum()) == 3
    np.testing.assert_array_equal(np.isnan(pair.secondary), pixels > 2000)


def test_the_band_can_be_chosen(tmp_path):
    stack = np.stack([np.ones_like(PIXELS), PIXELS])
    first, second = write(tmp_path / "a.tif", stack), write(tmp_path / "b.tif", stack)
    pair = open_pair(first, second, band=2, **DATES)
    np.testing.assert_array_equal(pair.reference, PIXELS)
    with pytest.raises(ParameterError, match=r"band=3 is out of range: .*a\.tif has 2 bands"):
        open_pair(first, second, band=3, **DATES)
    with pytest.raises(InputError, match=r"a\.tif is constant \(every valid pixel is 1\)"):
        open_pair(first, second, **DATES)


def test_arrays_stay_as_lazy_as_they_are():
    eager, lazy = array(), array().chunk(y=20, x=20)
    with dask.config.set(scheduler=never_compute):
        pair = open_pair(eager, lazy, **DATES)
    assert pair.reference.chunks is None
    assert pair.secondary.chunks == ((20, 20, 20), (20, 20, 20, 20))
    assert pair.reference.dtype == np.float32


def test_dates_of_arrays_come_from_coordinates_or_attributes():
    first = array().assign_coords(time=np.datetime64("2019-09-03T01:00", "ns"))
    second = array().assign_attrs(acquisition="2019-10-02")
    pair = open_pair(first, second)
    assert pair.reference_time.values == np.datetime64("2019-09-03T01:00")
    assert pair.secondary_time.values == np.datetime64("2019-10-02")


def test_dates_in_tags_win_over_the_file_name(tmp_path):
    first = write(tmp_path / "20190903.tif", tags={"ACQUISITION_TIME": "2019-09-01T05:00:00Z"})
    second = write(tmp_path / "20191002.tif")
    pair = open_pair(first, second)
    assert pair.reference_time.values == np.datetime64("2019-09-01T05:00")


@settings(max_examples=30, deadline=None)
@given(st.integers(-50, 50), st.integers(-70, 70), st.booleans(), st.booleans())
def test_the_common_part_of_two_frames_is_where_both_are(down, right, up, left):
    """The value of a pixel is its place, so what is aligned wrongly shows."""
    rows, cols = np.mgrid[0:60, 0:80].astype("float32")
    first = array(rows * 1000 + cols)
    second = array(
        (rows + down) * 1000 + cols + right, left=5e5 + 12 * right, top=3.1e6 - 12 * down
    )
    second = second.isel(
        y=slice(None, None, -1 if up else 1), x=slice(None, None, -1 if left else 1)
    )
    pair = open_pair(first, second, **DATES)
    assert pair.sizes == {"y": 60 - abs(down), "x": 80 - abs(right)}
    np.testing.assert_array_equal(pair.reference, pair.secondary)
    assert pair.reference.values[0, 0] == max(down, 0) * 1000 + max(right, 0)
    transform = pair.rio.transform()
    assert (transform.c, transform.f) == (5e5 + 12 * max(right, 0), 3.1e6 - 12 * max(down, 0))


def test_axes_keep_the_direction_of_the_reference(tmp_path):
    south_up = Affine(12, 0, 5e5, 0, 12, 3.1e6 - 60 * 12)
    first = write(tmp_path / "20190903.tif", PIXELS[::-1].copy(), transform=south_up)
    second = write(tmp_path / "20191002.tif")
    pair = open_pair(first, second, chunks=16)
    assert pair.y[0] < pair.y[-1]
    np.testing.assert_array_equal(pair.reference, pair.secondary)
    np.testing.assert_array_equal(pair.reference.sel(y=3.1e6 - 6), PIXELS[0])


def test_rounding_in_a_transform_is_no_shift(tmp_path):
    first = write(tmp_path / "20190903.tif")
    second = write(tmp_path / "20191002.tif", left=5e5 + 1e-5, size=12.0 + 1e-10)
    pair = open_pair(first, second)
    assert pair.sizes == {"y": 60, "x": 80}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"size": 15.0},
            r"pixel sizes differ: reference 12 x 12 m, secondary 15 x 15 m.*reproject_match",
        ),
        ({"left": 5e5 + 6}, r"not aligned: the secondary lies 0\.50 pixels in x and 0\.00 in y"),
        ({"left": 5.12e5}, r"do not overlap: reference x 500000 to 500960 m.*same place"),
        ({"crs": "EPSG:32644"}, r"different CRSs: reference EPSG:32645, secondary EPSG:32644"),
    ],
)
def test_grids_that_differ(tmp_path, change, message):
    first, second = write(tmp_path / "a.tif"), write(tmp_path / "b.tif", **change)
    with pytest.raises(GridError, match=message):
        open_pair(first, second, **DATES)


def test_a_rotated_grid(tmp_path):
    turned = from_origin(5e5, 3.1e6, 12, 12) @ Affine.rotation(10)
    first = write(tmp_path / "a.tif", transform=turned)
    with pytest.raises(GridError, match=r"a\.tif has a rotated or sheared grid; resample"):
        open_pair(first, first, **DATES)


def test_geographic_coordinates_name_the_utm_zone(tmp_path):
    degrees = {"crs": "EPSG:4326", "transform": from_origin(86.9, 28.0, 1e-4, 1e-4)}
    first = write(tmp_path / "a.tif", **degrees)
    with pytest.raises(
        GridError, match=r"degrees.*rio\.reproject\(\"EPSG:32645\"\).*-t_srs EPSG:32645"
    ):
        open_pair(first, first, **DATES)


def test_a_projection_in_feet(tmp_path):
    first = write(tmp_path / "a.tif", crs="EPSG:2263", left=9e5, top=2e5)
    with pytest.raises(GridError, match=r"units of US survey foot.*EPSG:32618"):
        open_pair(first, first, **DATES)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((86.9, 28.0), "EPSG:32645"),
        ((-70.0, -50.0), "EPSG:32719"),
        ((290.0, -50.0), "EPSG:32719"),
        ((180.0, 60.0), "EPSG:32601"),
        ((0.0, 88.0), "EPSG:3413"),
        ((0.0, -85.0), "EPSG:3031"),
    ],
)
def test_the_suggested_crs(place, expected):
    assert suggested_crs(*place) == expected


def test_no_crs_and_the_two_ways_out(tmp_path):
    first, second = write(tmp_path / "a.tif", crs=None), write(tmp_path / "b.tif", crs=None)
    with pytest.raises(GridError, match=r"a\.tif has no CRS; give crs= .* or pixel="):
        open_pair(first, second, **DATES)
    assert open_pair(first, second, crs=32645, **DATES).rio.crs.to_epsg() == 32645
    with pytest.raises(GridError, match="reference image has no CRS"):
        open_pair(array(crs=None), array(crs=None), **DATES)
    with pytest.raises(ParameterError, match="crs='mars' is not a CRS"):
        open_pair(first, second, crs="mars", **DATES)


def test_a_crs_that_contradicts_the_file(pair_files):
    with pytest.raises(ParameterError, match=r"crs=32644 was given, but .* is in EPSG:32645"):
        open_pair(*pair_files, crs=32644)


def test_images_without_georeference_get_a_local_grid(tmp_path):
    first = write(tmp_path / "a.png", driver="PNG", crs=None, transform=None)
    second = write(tmp_path / "b.png", driver="PNG", crs=None, transform=None)
    pair = open_pair(first, second, pixel={"y": 5, "x": 10}, **DATES)
    assert "spatial_ref" not in pair.coords
    assert (float(pair.x[0]), float(pair.y[-1])) == (5.0, 2.5)
    assert (float(pair.x[-1]), float(pair.y[0])) == (795.0, 297.5)
    np.testing.assert_array_equal(pair.secondary, PIXELS)
    small = write(tmp_path / "c.png", PIXELS[:50], driver="PNG", crs=None, transform=None)
    with pytest.raises(GridError, match=r"same size, but the reference has 60 x 80 .* 50 x 80"):
        open_pair(first, small, pixel=10, **DATES)
    for wrong in (0, -3, {"x": 3}, np.inf):
        with pytest.raises(ParameterError, match="is not a pixel size"):
            open_pair(first, second, pixel=wrong, **DATES)


def test_a_pixel_size_for_a_georeferenced_image(pair_files):
    with pytest.raises(ParameterError, match=r"images without georeference, but .* EPSG:32645"):
        open_pair(*pair_files, pixel=10)


def test_ground_control_points_are_not_a_grid(tmp_path):
    path = write(tmp_path / "a.tif", crs=None, transform=None)
    corners = ((0, 0, 86.0, 28.0), (0, 80, 86.1, 28.0), (60, 0, 86.0, 27.9))
    with rasterio.open(path, "r+") as target:
        target.gcps = ([GroundControlPoint(*c) for c in corners], rasterio.CRS.from_epsg(4326))
    with pytest.raises(GridError, match="only ground control points and no map grid; geocode it"):
        open_pair(path, path, **DATES)


@pytest.mark.parametrize("compress", [None, "deflate"])
@pytest.mark.parametrize("tiled", [True, False])
def test_a_file_cut_off_in_its_pixels(tmp_path, compress, tiled):
    noise = RNG.integers(0, 60000, (300, 300)).astype("uint16")
    blocks = {"tiled": True, "blockxsize": 128, "blockysize": 128} if tiled else {}
    path = write(tmp_path / "20190903.tif", noise, compress=compress, **blocks)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(
        FileError, match=r"20190903\.tif is damaged or truncated.*download it again"
    ):
        open_pair(path, path)


def test_files_that_cannot_be_opened(tmp_path, pair_files):
    good = pair_files[0]
    with pytest.raises(FileError, match=r"nowhere\.tif does not exist; check the path"):
        open_pair(tmp_path / "nowhere.tif", good)
    with pytest.raises(FileError, match="is a folder; give the image file inside it"):
        open_pair(good, str(tmp_path))
    text = tmp_path / "20190903.txt"
    text.write_text("no image")
    with pytest.raises(FileError, match="cannot be opened as an image"):
        open_pair(text, good)
    header = tmp_path / "20190904.tif"
    header.write_bytes(good.read_bytes()[:6])
    with pytest.raises(FileError, match="cannot be opened as an image"):
        open_pair(header, good)


def test_images_without_content(tmp_path):
    empty = write(tmp_path / "a.tif", np.zeros((2, 3), "uint16"), nodata=0)
    with pytest.raises(InputError, match=r"a\.tif has no valid pixel at all; check its nodata"):
        open_pair(empty, empty, **DATES)
    constant = array(np.full((5, 5), 3.0))
    with pytest.raises(InputError, match=r"constant \(every valid pixel is 3\)"):
        open_pair(constant, constant, **DATES)
    with pytest.raises(InputError, match="no valid pixel"):
        open_pair(constant, constant, nodata=3, **DATES)


def test_a_small_lit_corner_of_a_large_image_is_content(tmp_path):
    dark = np.zeros((3000, 3000), "uint8")
    dark[701, 1303] = 9
    path = write(tmp_path / "20190903.tif", dark, compress="deflate", tiled=True)
    other = write(tmp_path / "20191002.tif", dark, compress="deflate", tiled=True)
    assert open_pair(path, other).sizes == {"y": 3000, "x": 3000}


def test_complex_images(tmp_path):
    signal = (RNG.normal(size=(60, 80)) + 1j * RNG.normal(size=(60, 80))).astype("complex64")
    first = write(tmp_path / "20190903.tif", signal)
    second = array(signal)
    for image in (first, second):
        with pytest.raises(ParameterError, match="is complex; give amplitude=True"):
            open_pair(image, second, **DATES)
    pair = open_pair(first, second, amplitude=True, **DATES)
    np.testing.assert_array_equal(pair.reference, pair.secondary)
    np.testing.assert_allclose(pair.reference, np.abs(signal), rtol=1e-6)


def test_arrays_that_are_not_images():
    with pytest.raises(InputError, match=r"reference image is a ndarray; give a path"):
        open_pair(PIXELS, array(), **DATES)
    with pytest.raises(InputError, match=r"dimensions \('time', 'y', 'x'\); select and rename"):
        open_pair(array().expand_dims("time"), array(), **DATES)
    with pytest.raises(GridError, match="no coordinate 'y'"):
        open_pair(array().drop_vars("y"), array(), **DATES)
    with pytest.raises(GridError, match="not evenly spaced along x"):
        open_pair(array().isel(x=[0, 1, 3, 7]), array(), **DATES)


def test_dates_missing_reversed_or_equal(tmp_path, pair_files):
    first, second = pair_files
    with pytest.raises(DateError, match="swap the two images"):
        open_pair(second, first)
    with pytest.raises(DateError, match=r"same date \(2019-09-03\)"):
        open_pair(first, first)
    unnamed = write(tmp_path / "image.tif")
    with pytest.raises(DateError, match=r"secondary image image\.tif.*give secondary_date="):
        open_pair(first, unnamed)


def test_the_pair_survives_netcdf(pair_files, tmp_path):
    pair = open_pair(*pair_files)
    pair.to_netcdf(tmp_path / "pair.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "pair.nc", engine="h5netcdf", decode_coords="all") as back:
        np.testing.assert_array_equal(back.reference, PIXELS)
        assert back.rio.crs.to_epsg() == 32645
        assert back.reference_time.values == pair.reference_time.values
