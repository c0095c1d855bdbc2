"""A GF-3 product as a Dataset: pixels, units, coordinates, laziness."""

import warnings

import gf3_products
import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.errors import NotGeoreferencedWarning

from glaciertoolkit.errors import GlacierToolkitWarning, GridError, InputError, ParameterError
from glaciertoolkit.io import gf3_pixels
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.gf3_files import parse_name
from glaciertoolkit.sar.geometry import geometry_of, is_radar

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def counts_of(product, channel="HH"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(next(product.glob(f"*_L1A_{channel}_*.tiff"))) as source:
            return source.read().astype(np.float64)


@pytest.mark.parametrize(
    "name",
    [
        "GF3_KAS_FSI_003770_E116.3_N39.8_20170428_L1A_HHHV_L10002332082",
        "GF3B_MYN_UFS_999992_W43.3_S22.7_20220219_L2_DH_L20006303810",
        "GF3C_MDJ_QPSII_000001_E0.1_N0.0_20240219_L1B_AHV_L10006303810",
    ],
)
def test_names(name):
    assert str(parse_name(name)) == name


@pytest.mark.parametrize("name", ["GF3D_KAS_FSI_003770_E1_N1_20170428_L1A_HH_L1", "S1A_IW", ""])
def test_other_names(name):
    assert parse_name(name) is None


def test_the_image_comes_back(product):
    scene = open_gf3(product)
    truth = gf3_products.speckle(0)
    error = abs(scene.HH.values - truth)
    step = np.nanmax(abs(truth)) / 32767
    assert np.nanmax(error) <= step * 0.72
    assert (np.isnan(scene.HH.values) == np.isnan(truth)).all()
    assert scene.HH.dtype == np.complex64
    assert set(scene.data_vars) == {"HH", "HV", "incidence"}
    assert scene.HH.attrs["units"] == "1"
    assert scene.HH.attrs["calibrated"] == 1


def test_sigma_nought_to_a_millionth(copy):
    """Against the formula in double precision, with numbers of a real product."""
    gf3_products.change(copy, "HH", "997.102600")
    text = gf3_products.meta_of(copy).read_text()
    gf3_products.meta_of(copy).write_text(text.replace("<HH>24.460000", "<HH>18.040000"))
    gf3_products.change(copy, "QualifyValue", "<HH>997.1026</HH><HV>2</HV>")
    real, imaginary = counts_of(copy)
    power = (real**2 + imaginary**2) * (997.1026 / 32767) ** 2 / 10**1.804
    found = abs(open_gf3(copy).HH.values.astype(np.complex128)) ** 2
    valid = power > 0
    assert np.abs(found[valid] / power[valid] - 1).max() < 1e-6
    decibel = 10 * np.log10(found[valid])
    expected = 10 * np.log10((real**2 + imaginary**2)[valid] * (997.1026 / 32767) ** 2) - 18.04
    assert np.abs(decibel - expected).max() < 1e-5


def test_counts_are_sigma_nought_where_the_scale_is_one(copy):
    gf3_products.change(copy, "QualifyValue", "<HH>32767</HH><HV>2</HV>")
    gf3_products.change(copy, "CalibrationConst", "<HH>0.0</HH><HV>0</HV>")
    real, imaginary = counts_of(copy)
    found = open_gf3(copy, polarisations="HH").HH.values
    valid = np.isfinite(found)
    assert (found.real[valid] == real[valid]).all()
    assert (found.imag[valid] == imaginary[valid]).all()


def test_coordinates_and_geometry(product):
    scene = open_gf3(product, polarisations="HV")
    header = gf3_products.header()
    assert is_radar(scene)
    geometry = geometry_of(scene)
    assert (geometry.lines, geometry.samples) == scene.HV.shape
    assert geometry.near_range == pytest.approx(header.geometry.near_range, abs=1e-6)
    assert geometry.range_spacing == pytest.approx(header.geometry.range_spacing, rel=1e-8)
    assert geometry.azimuth_spacing == pytest.approx(header.geometry.azimuth_spacing, rel=1e-8)
    assert geometry.doppler == ()
    assert (scene.y.values == geometry.y).all()
    assert (scene.x.values == geometry.x).all()
    assert scene.y.values[0] == 0
    assert scene.x.attrs["long_name"] == "slant range"
    assert scene.x.attrs["units"] == scene.y.attrs["units"] == "m"
    off = (scene.time.values - header.geometry.mid_time) / np.timedelta64(1, "us")
    assert abs(off) <= 1
    # The orbit, through its rounded state vectors.
    times = np.linspace(0, header.geometry.duration, 5)
    misfit = geometry.orbit.position(times) - header.geometry.orbit.position(times)
    assert np.linalg.norm(misfit, axis=1).max() < 0.25
    for name in ("satellite", "imaging_mode", "station", "mean_height", "incidence_far"):
        assert name in scene.attrs


def test_incidence_file(product, copy):
    scene = open_gf3(product)
    assert scene.incidence.dims == ("x",)
    assert float(scene.incidence[0]) == pytest.approx(scene.attrs["incidence_near"], abs=1e-5)
    assert float(scene.incidence[-1]) == pytest.approx(scene.attrs["incidence_far"], abs=1e-5)
    next(copy.glob("*.incidence.xml")).unlink()
    assert "incidence" not in open_gf3(copy)


def test_coarse_incidence_file(copy):
    file = next(copy.glob("*.incidence.xml"))
    values = "".join(f"<incidenceValue>{30 + i}</incidenceValue>\n" for i in range(6))
    head = "<numberofIncidenceValue>6</numberofIncidenceValue><stepSize>40</stepSize>"
    file.write_text(f"<a>{head}{values}</a>")
    assert open_gf3(copy).incidence.values[[0, 20, 199]] == pytest.approx([30, 30.5, 34.975])


def test_only_what_is_asked_for_is_read(product, monkeypatch):
    windows = []
    read = gf3_pixels.Pixels._read

    def spy(self, window):
        windows.append((window.height, window.width))
        return read(self, window)

    monkeypatch.setattr(gf3_pixels.Pixels, "_read", spy)
    scene = open_gf3(product, polarisations="HH", chunks=64)
    assert scene.HH.chunks == ((64,) * 4, (64, 64, 64, 8))
    assert windows == []
    whole = open_gf3(product, polarisations="HH", chunks=None).HH
    assert windows == [(256, 200)]
    part = scene.HH[70:75, 10:20]
    assert np.array_equal(part.values, whole.values[70:75, 10:20], equal_nan=True)
    assert all(h <= 64 and w <= 64 for h, w in windows[1:])
    assert len(windows) == 2


@pytest.mark.parametrize(
    "key",
    [
        (slice(10, 50, 3), slice(None)),
        (slice(None, None, -1), slice(5, 60, 7)),
        (slice(3, 3), slice(None)),
    ],
)
def test_any_slice(product, key):
    scene = open_gf3(product, polarisations="HH", chunks={"y": 100, "x": 90}).HH
    whole = scene.values
    assert np.array_equal(scene[key].values, whole[key], equal_nan=True)
    assert np.array_equal(scene.data[key].compute(), whole[key], equal_nan=True)


def test_two_products_of_one_name_are_told_apart(copy, tmp_path):
    """Dask knows equal names as equal data."""
    other = gf3_products.write(tmp_path / "other", images={"HH": gf3_products.speckle(7)})
    one, two = (open_gf3(p, polarisations="HH").HH for p in (copy, other))
    assert one.data.name != two.data.name
    assert open_gf3(copy, polarisations="HH").HH.data.name == one.data.name


@pytest.mark.parametrize("archive", ["tar.gz", "zip"])
def test_archives_hold_the_same(product, tmp_path, archive):
    packed = gf3_products.write(tmp_path, archive=archive)
    found = open_gf3(packed)
    assert found.drop_attrs().identical(open_gf3(product).drop_attrs())


def test_the_metadata_file_names_the_product(product):
    found = open_gf3(gf3_products.meta_of(product), polarisations=["HV"])
    assert list(found.data_vars) == ["HV", "incidence"]


def test_without_a_calibration_constant(copy):
    gf3_products.change(copy, "CalibrationConst", "<HH>NULL</HH><HV>24.46</HV>")
    with pytest.warns(GlacierToolkitWarning, match="CalibrationConst/HH") as caught:
        scene = open_gf3(copy)
    assert len(caught) == 1
    assert scene.HH.attrs["calibrated"] == 0
    assert scene.HV.attrs["calibrated"] == 1
    ratio = np.nanmean(abs(scene.HH.values)) / np.nanmean(abs(gf3_products.speckle(0)))
    assert ratio == pytest.approx(10 ** (24.46 / 20), rel=1e-4)


def test_names_of_single_channels(copy):
    """A channel of a mode with two apertures is named after the aperture."""
    (image,) = copy.glob("*_L1A_HH_*.tiff")
    image.rename(copy / image.name.replace("_HH_", "_DH_").replace(".tiff", ".TIF"))
    assert set(open_gf3(copy).data_vars) >= {"HH", "HV"}


@pytest.mark.parametrize("dtype", ["complex_int16", "complex64"])
def test_one_complex_band(copy, dtype):
    whole = open_gf3(copy).HH.values
    (image,) = copy.glob("*_L1A_HH_*.tiff")
    real, imaginary = counts_of(copy)
    image.unlink()
    with rasterio.open(
        image, "w", driver="GTiff", count=1, dtype=dtype, height=256, width=200
    ) as out:
        out.write((real + 1j * imaginary).astype(np.complex64), 1)
    assert np.allclose(open_gf3(copy).HH.values, whole, equal_nan=True)


def test_velocity_of_the_satellite_in_place_of_that_on_the_ground(copy):
    gf3_products.change(copy, "groundVelocity", "7565.207353")
    with pytest.warns(GlacierToolkitWarning, match="groundVelocity"):
        scene = open_gf3(copy)
    expected = gf3_products.header().geometry.azimuth_spacing
    assert geometry_of(scene).azimuth_spacing == pytest.approx(expected, rel=3e-3)


def test_missing_ground_velocity(copy):
    gf3_products.change(copy, "groundVelocity", "NULL")
    expected = gf3_products.header().geometry.azimuth_spacing
    assert geometry_of(open_gf3(copy)).azimuth_spacing == pytest.approx(expected, rel=3e-3)


def test_wavelength_from_the_frequency(copy):
    gf3_products.change(copy, "lamda", None)
    assert geometry_of(open_gf3(copy)).wavelength == pytest.approx(0.0555, abs=1e-6)


def test_level_2(copy):
    folder = gf3_products.to_level_2(copy)
    scene = open_gf3(folder, chunks=64)
    assert scene.rio.crs.to_epsg() == 32645
    assert not is_radar(scene)
    assert scene.HH.dtype == np.float32
    assert scene.y.values[0] > scene.y.values[-1]
    quality = scene.HH.attrs["qualify_value"]
    counts = np.hypot(*counts_of(copy)).round()
    power = counts**2 * (quality / 65535) ** 2 / 10**2.446
    valid = counts > 0
    found = scene.HH.values.astype(float) ** 2
    assert np.abs(found[valid] / power[valid] - 1).max() < 1e-6
    assert np.isnan(found[~valid]).all()
    assert scene.HH.chunks[0][0] == 64


def test_level_2_goes_to_netcdf_and_back(copy, tmp_path):
    scene = open_gf3(gf3_products.to_level_2(copy))
    scene.to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "scene.nc") as back:
        assert np.array_equal(back.HH.values, scene.HH.values, equal_nan=True)
        assert back.HH.attrs["calibrated"] == 1


def test_level_1b_without_a_map_grid(copy):
    with pytest.raises(GridError, match="L1A"):
        open_gf3(gf3_products.to_level_2(copy, level="L1B", crs=None))


def test_wrong_arguments(product):
    with pytest.raises(ParameterError, match="polarisations"):
        open_gf3(product, polarisations="hh")
    with pytest.raises(ParameterError, match="polarisations"):
        open_gf3(product, polarisations=[])
    with pytest.raises(InputError, match="has no VV channel, only HH, HV"):
        open_gf3(product, polarisations="VV")
    for chunks in (-3.5, "much", {"y": 10, "z": 3}, 0):
        with pytest.raises(ParameterError, match="chunks"):
            open_gf3(product, chunks=chunks)


@pytest.mark.parametrize(("direction", "look"), [("ascending", "right"), ("descending", "left")])
def test_other_orbits(tmp_path, direction, look):
    scene = open_gf3(gf3_products.write(tmp_path, direction=direction, look=look, channels=["VV"]))
    assert scene.attrs["orbit_direction"] == direction
    assert scene.attrs["look_direction"] == geometry_of(scene).look == look
