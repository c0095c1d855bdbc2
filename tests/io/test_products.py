"""to_products and open_products: the files, their content, and that they are whole or absent."""

import hashlib
import xml.etree.ElementTree as ET

import dask
import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from glaciertoolkit.conventions import VARIABLES, describe
from glaciertoolkit.errors import FileError, MissingVariableError
from glaciertoolkit.io.geotiff import magnitude_error
from glaciertoolkit.io.products import open_products, to_products
from glaciertoolkit.provenance import record

NAMES = [
    "Glacier_Motion.qml",
    "Glacier_Motion.tif",
    "Glacier_Velocity.qml",
    "Glacier_Velocity.tif",
    "motion.nc",
]


def make(height=70, width=90, *, chunks=None, crs=32645):
    """A field with everything a real one has: gaps, flags, diagnostics, a boolean mask."""
    rng = np.random.default_rng(3)
    y, x = 3.1e6 - 12.0 * np.arange(height), 5e5 + 12.0 * np.arange(width)
    ds = xr.Dataset(coords={"y": y, "x": x})
    year = 365.25 / 29
    dx, dy = rng.normal(0, 5, (2, height, width)).astype("float32")
    dx[3:9, 4:20] = np.nan
    for name, values in (("x", dx), ("y", dy)):
        ds[f"d{name}"] = (("y", "x"), values)
        ds[f"d{name}_error"] = (("y", "x"), np.full_like(values, 0.3))
        ds[f"v{name}"] = (("y", "x"), (values * year).astype("float32"))
    ds["v"] = np.hypot(ds.vx, ds.vy).astype("float32")
    ds["v_error"] = (("y", "x"), np.full(dx.shape, 2.5, "float32"))
    ds["flag"] = (("y", "x"), np.where(np.isnan(dx), 1 << 31, 0).astype("uint32"))
    ds["stable"] = (("y", "x"), dx > 0)
    ds["deformation_coefficients"] = (("component", "term"), rng.normal(size=(2, 6)))
    ds = ds.assign_coords(
        reference_time=np.datetime64("2019-09-03T11:00:01", "ns"),
        secondary_time=np.datetime64("2019-10-02T11:00:01", "ns"),
        mid_date=np.datetime64("2019-09-17T23:00:01", "ns"),
        component=["x", "y"],
    )
    if crs:
        ds = ds.rio.write_crs(crs)
    ds = record(record(ds, "track", {"template": 64}), "correct", {"order": 2})
    ds = describe(ds)
    return ds if chunks is None else ds.chunk(chunks)


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def field():
    return make()


@pytest.fixture(scope="module")
def folder(field, tmp_path_factory):
    out = tmp_path_factory.mktemp("products")
    to_products(field, out)
    return out


def test_the_files_and_nothing_else(field, tmp_path):
    files = to_products(field, tmp_path / "new" / "out")
    assert sorted(files) == NAMES == sorted(p.name for p in (tmp_path / "new" / "out").iterdir())
    assert all(path.is_file() for path in files.values())


@pytest.mark.parametrize(
    ("name", "units", "components"),
    [("Glacier_Motion.tif", "m", ("dx", "dy")), ("Glacier_Velocity.tif", "m yr-1", ("vx", "vy"))],
)
def test_the_geotiffs(field, folder, name, units, components):
    x, y = (field[c].values for c in components)
    with rasterio.open(folder / name) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.dtypes == ("float32",) * 4
        assert np.isnan(source.nodata)
        assert source.crs.to_epsg() == 32645
        assert source.xy(0, 0) == (5e5, 3.1e6)
        assert source.units == (units,) * 4
        assert [d.split(" along ")[-1][0] for d in source.descriptions[1:3]] == ["x", "y"]
        length, east, north, error = source.read()
        tags = source.tags()
    np.testing.assert_array_equal(east, x)
    np.testing.assert_array_equal(north, y)
    np.testing.assert_allclose(length, np.hypot(x, y), rtol=1e-6)
    expected = 0.3 if units == "m" else 2.5
    np.testing.assert_allclose(error[np.isfinite(x)], expected, rtol=1e-5)
    assert tags["REFERENCE_TIME"] == "2019-09-03T11:00:01"
    assert tags["SECONDARY_TIME"] == "2019-10-02T11:00:01"
    assert float(tags["DT_DAYS"]) == 29
    assert tags["CORRECTIONS"] == "correct"
    assert tags["PROCESSING"] == field.attrs["processing"]
    assert tags["TIFFTAG_SOFTWARE"].startswith("glaciertoolkit 0.")


def test_velocity_is_motion_over_time_to_float32(folder):
    with (
        rasterio.open(folder / "Glacier_Motion.tif") as motion,
        rasterio.open(folder / "Glacier_Velocity.tif") as velocity,
    ):
        ratio = velocity.read([1, 2, 3]) / motion.read([1, 2, 3])
    np.testing.assert_allclose(ratio[np.isfinite(ratio)], 365.25 / 29, rtol=1e-6)


def test_the_style_runs_from_zero_to_the_98th_percentile(field, folder):
    shader = ET.parse(folder / "Glacier_Velocity.qml").getroot().find(".//colorrampshader")
    highest = np.nanpercentile(field.v, 98)
    assert float(shader.get("minimumValue")) == 0
    assert float(shader.get("maximumValue")) == pytest.approx(highest, rel=0.05)
    colours = [item.get("color") for item in shader.findall("item")]
    assert (colours[0], colours[-1]) == ("#440154", "#fde725")


def test_what_is_read_back_equals_what_was_written(field, folder):
    back = open_products(folder)
    assert back.attrs.pop("software").startswith("glaciertoolkit ")
    xr.testing.assert_identical(back.compute(), field)
    assert {n: v.dtype for n, v in back.variables.items()} == {
        n: v.dtype for n, v in field.variables.items()
    }
    assert back.rio.crs.to_epsg() == 32645


def test_reading_back_is_lazy(folder):
    assert open_products(folder).vx.chunks is not None
    assert open_products(folder, chunks={"y": 20}).vx.chunks[0] == (20, 20, 20, 10)
    assert open_products(folder / "motion.nc", chunks=None).vx.chunks is None


def test_motion_nc_is_cf_for_other_readers(folder):
    with xr.open_dataset(folder / "motion.nc", engine="h5netcdf", decode_cf=False) as raw:
        assert raw.vx.attrs["standard_name"] == VARIABLES["vx"].standard_name
        assert raw.vx.attrs["grid_mapping"] == "spatial_ref"
        assert raw.attrs["Conventions"].startswith("CF-")
        assert "_FillValue" not in raw.x.attrs
        assert np.isnan(raw.vx.attrs["_FillValue"])
        assert raw.flag.dtype == np.uint32
        assert "_FillValue" not in raw.flag.attrs
    with rasterio.open(f"netcdf:{folder / 'motion.nc'}:vx") as source:
        assert source.crs.to_epsg() == 32645
        assert source.xy(0, 0) == (5e5, 3.1e6)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("chunks", [{"y": 17, "x": 40}, {"y": -1, "x": 9}])
def test_lazy_input_gives_the_same_bytes(folder, tmp_path, scheduler, chunks):
    with dask.config.set(scheduler=scheduler):
        to_products(make(chunks=chunks), tmp_path)
    assert digests(tmp_path) == digests(folder)


def test_a_second_run_gives_the_same_bytes_and_needs_overwrite(field, folder, tmp_path):
    to_products(field, tmp_path)
    assert digests(tmp_path) == digests(folder)
    with pytest.raises(FileError, match=r"Glacier_Motion\.tif.* already exist; .*--overwrite"):
        to_products(field, tmp_path)
    to_products(field.assign(v=field.v * 2), tmp_path, overwrite=True)
    changed = {n for n, d in digests(tmp_path).items() if d != digests(folder)[n]}
    assert changed == {"Glacier_Velocity.tif", "Glacier_Velocity.qml", "motion.nc"}


def counted(ds, calls):
    def count(block):
        calls.append(block.shape)
        return block

    base = ds.dx.chunk({"y": 35, "x": 45}).data.map_blocks(count, dtype="float32", meta=ds.dx.data)
    out = ds.copy()
    out["dx"] = ds.dx.copy(data=base)
    year = np.float32(365.25 / 29)
    out["vx"] = ds.vx.copy(data=base * year)
    return out


def test_what_the_variables_share_is_computed_once(field, tmp_path):
    calls = []
    to_products(counted(field, calls), tmp_path)
    assert len(calls) == 4


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_an_interrupted_run(field, tmp_path, failure):
    def fail(_block):
        raise failure

    broken = field.copy()
    data = field.vx.chunk({"y": 35}).data.map_blocks(fail, dtype="float32", meta=field.vx.data)
    broken["vx"] = field.vx.copy(data=data)
    with dask.config.set(scheduler="synchronous"), pytest.raises(failure):
        to_products(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_before_computing(field, tmp_path):
    def never(_block):
        raise AssertionError("computed early")

    (tmp_path / "file").write_text("not a folder")
    lazy = field.copy()
    data = da.map_blocks(never, field.vx.chunk().data, dtype="float32", meta=field.vx.data)
    lazy["vx"] = field.vx.copy(data=data)
    for target in ("file", "file/out"):
        with pytest.raises(FileError, match=r"cannot write to the folder .* choose another"):
            to_products(lazy, tmp_path / target)


def test_a_dataset_without_velocity(field, tmp_path):
    with pytest.raises(MissingVariableError, match=r"lacks vx, vy, v .*glacier\.velocity\(\)"):
        to_products(field.drop_vars(["vx", "vy", "v"]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_errors_the_fourth_band_is_empty(field, tmp_path):
    to_products(field.drop_vars(["dx_error", "dy_error", "v_error"]), tmp_path)
    with rasterio.open(tmp_path / "Glacier_Motion.tif") as source:
        assert np.isnan(source.read(4)).all()


def test_the_geotiff_is_north_up_whatever_the_axes(field, folder, tmp_path):
    to_products(field.isel(y=slice(None, None, -1), x=slice(None, None, -1)), tmp_path)
    assert digests(tmp_path)["Glacier_Motion.tif"] == digests(folder)["Glacier_Motion.tif"]
    back = open_products(tmp_path)
    assert back.y[0] < back.y[-1]


def test_a_local_grid_without_crs(tmp_path):
    to_products(make(crs=None), tmp_path)
    with rasterio.open(tmp_path / "Glacier_Velocity.tif") as source:
        assert source.crs is None
        assert source.transform.a == 12
    assert "spatial_ref" not in open_products(tmp_path).coords


def test_a_field_larger_than_a_block(tmp_path):
    """Windows, stripes and overviews must meet without seams."""
    large = make(1100, 700, chunks={"y": 300, "x": 300})
    to_products(large, tmp_path)
    with rasterio.open(tmp_path / "Glacier_Motion.tif") as source:
        np.testing.assert_array_equal(source.read(2), large.dx)
        assert source.overviews(1) == [2, 4]
    np.testing.assert_array_equal(open_products(tmp_path).flag, large.flag)


def test_products_that_are_not_there_or_damaged(tmp_path):
    with pytest.raises(FileError, match=r"no motion\.nc in .*glaciertoolkit run"):
        open_products(tmp_path)
    (tmp_path / "motion.nc").write_bytes(b"\x89HDF\r\n\x1a\n rubbish")
    with pytest.raises(FileError, match="cannot be read as netCDF"):
        open_products(tmp_path)


SIZES = st.floats(0.01, 10)


@given(st.floats(-50, 50), st.floats(-50, 50), SIZES, SIZES, st.floats(-0.99, 0.99))
def test_the_error_of_a_length_is_its_projection_on_the_direction(x, y, sx, sy, rho):
    """The variance along a unit vector u is u' C u."""
    covariance = np.array([[sx**2, rho * sx * sy], [rho * sx * sy, sy**2]])
    length = np.hypot(x, y)
    found = magnitude_error(
        np.float64(x), np.float64(y), np.float64(sx), np.float64(sy), covariance[0, 1]
    )
    if length < 1e-6:
        return
    u = np.array([x, y]) / length
    assert found == pytest.approx(np.sqrt(u @ covariance @ u), rel=1e-6)


def test_the_error_of_a_length_of_zero():
    assert magnitude_error(np.zeros(1), np.zeros(1), np.full(1, 3.0), np.full(1, 4.0)) == (
        pytest.approx(np.sqrt(12.5))
    )
