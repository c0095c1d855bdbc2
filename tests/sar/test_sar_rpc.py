"""Rational functions against the range-Doppler geometry that they stand for."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer
from sar.geometries import CASES, ecef, enu, radar_geometry

from glaciertoolkit.errors import FileError, GlacierToolkitWarning, InputError, ParameterError
from glaciertoolkit.sar.geocoding import DemGrid, ground_to_image, image_to_ground, image_to_terrain
from glaciertoolkit.sar.rpc import (
    Rpc,
    fit_rpc,
    read_rpc,
    rpc_misfit,
    rpc_to_ground,
    rpc_to_image,
    rpc_to_terrain,
)

LOW, HIGH = 2000.0, 7500.0
SIZE = {"lines": 22_456, "samples": 14_384}
GEOMETRIES = {case: radar_geometry(*case, **SIZE) for case in CASES}
MODELS = {case: fit_rpc(g, low=LOW, high=HIGH) for case, g in GEOMETRIES.items()}
ONE = MODELS["descending", "right"]


def no_computation(*_: object, **__: object) -> None:
    raise AssertionError("something was computed early")


def in_gdal(rpc: Rpc) -> RPC:
    """The same model for an independent implementation."""
    return RPC(
        height_off=rpc.height_offset, height_scale=rpc.height_scale,
        lat_off=rpc.latitude_offset, lat_scale=rpc.latitude_scale,
        long_off=rpc.longitude_offset, long_scale=rpc.longitude_scale,
        line_off=rpc.line_offset, line_scale=rpc.line_scale,
        samp_off=rpc.sample_offset, samp_scale=rpc.sample_scale,
        line_num_coeff=list(rpc.line_num), line_den_coeff=list(rpc.line_den),
        samp_num_coeff=list(rpc.sample_num), samp_den_coeff=list(rpc.sample_den),
    )  # fmt: skip


def alps(relief: float = 4000.0) -> DemGrid:
    """Mountains of `relief` metres around the scene, with slopes to 20 degrees."""
    step = 0.002
    lon, lat = 86.3 + step * np.arange(601), 28.6 - step * np.arange(601)
    waves = np.sin(lon[None, :] * 13) * np.cos(lat[:, None] * 17)
    z = 4700.0 + relief / 2 * waves + 150 * np.sin(lon[None, :] * 180 + lat[:, None] * 120)
    return DemGrid(z.astype(np.float32), 86.3, step, 28.6, -step)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_range_doppler_over_the_relief(case: tuple[str, str]) -> None:
    g, rpc = GEOMETRIES[case], MODELS[case]
    assert rpc_misfit(rpc, g, low=LOW, high=HIGH).largest < 0.05
    # Beyond the heights of the fit, by a fifth of them.
    assert rpc_misfit(rpc, g, low=LOW - 500, high=HIGH + 500).largest < 0.1
    rng = np.random.default_rng(1)
    line, sample = rng.uniform(0, g.lines - 1, 2000), rng.uniform(0, g.samples - 1, 2000)
    h = rng.uniform(LOW, HIGH, 2000)
    lon, lat = image_to_ground(g, line, sample, h)
    np.testing.assert_allclose(rpc_to_image(rpc, lon, lat, h), (line, sample), atol=0.05)
    # A thousandth of a pixel is about 3e-8 degrees.
    np.testing.assert_allclose(rpc_to_ground(rpc, line, sample, h), (lon, lat), atol=3e-8)


@pytest.mark.parametrize("angle", [20.0, 50.0])
def test_agrees_at_other_incidence(angle: float) -> None:
    g = radar_geometry(incidence=angle, **SIZE)
    assert rpc_misfit(fit_rpc(g, low=0, high=8800), g, low=0, high=8800).largest < 0.05


def test_stands_for_a_doppler_centroid_too() -> None:
    g = radar_geometry(doppler=(9.15e5, 300.0, 0.002), **SIZE)
    assert rpc_misfit(fit_rpc(g, low=LOW, high=HIGH), g, low=LOW, high=HIGH).largest < 0.05


def test_misfit_sees_another_geometry() -> None:
    g = replace(GEOMETRIES["descending", "right"], bias=(3.0, -4.0))
    left = rpc_misfit(ONE, g, low=LOW, high=HIGH)
    assert left == pytest.approx((3.0, 4.0, 5.0), abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES),
    line=st.floats(-200, 22_600),
    sample=st.floats(-200, 14_600),
    height=st.floats(1000, 8500),
)
def test_round_trip(case: tuple[str, str], line: float, sample: float, height: float) -> None:
    rpc = MODELS[case]
    lon, lat = rpc_to_ground(rpc, line, sample, height)
    assert rpc_to_image(rpc, lon, lat, height) == pytest.approx((line, sample), abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_round_trip_of_the_ground(case: tuple[str, str]) -> None:
    rng = np.random.default_rng(2)
    lon, lat = 86.9 + rng.uniform(-0.15, 0.15, 300), 28.0 + rng.uniform(-0.15, 0.15, 300)
    h = rng.uniform(LOW, HIGH, 300)
    found = rpc_to_ground(MODELS[case], *rpc_to_image(MODELS[case], lon, lat, h), h)
    np.testing.assert_allclose(found, (lon, lat), atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_same_as_gdal(case: tuple[str, str]) -> None:
    rpc = MODELS[case]
    rng = np.random.default_rng(4)
    lon, lat = 86.9 + rng.uniform(-0.1, 0.1, 40), 28.0 + rng.uniform(-0.1, 0.1, 40)
    h = rng.uniform(LOW, HIGH, 40)
    line, sample = rpc_to_image(rpc, lon, lat, h)
    with RPCTransformer(in_gdal(rpc)) as other:
        rows, columns = other.rowcol(lon, lat, h, op=lambda v: v)
    # GDAL counts from the corner of the first pixel.
    np.testing.assert_allclose(np.asarray(rows) - 0.5, line, atol=1e-6)
    np.testing.assert_allclose(np.asarray(columns) - 0.5, sample, atol=1e-6)


def test_ground_same_as_gdal() -> None:
    line, sample = np.array([100.0, 11_000.0, 22_000.0]), np.array([50.0, 7000.0, 14_000.0])
    with RPCTransformer(in_gdal(ONE), rpc_height=5000.0, rpc_pixel_error_threshold=1e-4) as other:
        x, y = other.xy(line + 0.5, sample + 0.5, offset="ul")
    lon, lat = rpc_to_ground(ONE, line, sample, 5000.0)
    np.testing.assert_allclose((x, y), (lon, lat), atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_height_ignored_misplaces_a_target(case: tuple[str, str]) -> None:
    g = radar_geometry(*case, incidence=35.0, height=5000.0, **SIZE)
    rpc = fit_rpc(g, low=0.0, high=8000.0)
    at = (86.9, 28.0, 5000.0)
    pixel = ground_to_image(g, *at)
    assert rpc_to_image(rpc, *at) == pytest.approx(pixel, abs=1.0)
    right = ecef(*rpc_to_ground(rpc, *pixel, 5000.0), 5000.0) - ecef(*at)
    assert np.linalg.norm(right) < 2.5
    wrong = ecef(*rpc_to_ground(rpc, *pixel, 0.0), 0.0) - ecef(*at)
    assert np.hypot(*(enu(86.9, 28.0)[:2] @ wrong)) == pytest.approx(7100.0, abs=200.0)
    _, sample = rpc_to_image(rpc, 86.9, 28.0, 0.0)
    assert (sample - pixel[1]) * g.range_spacing > 3900.0


@pytest.mark.parametrize("case", CASES)
def test_on_the_terrain(case: tuple[str, str]) -> None:
    g, rpc, dem = GEOMETRIES[case], MODELS[case], alps()
    line, sample = np.meshgrid(np.linspace(0, g.lines - 1, 18), np.linspace(0, g.samples - 1, 15))
    lon, lat, h = rpc_to_terrain(rpc, line, sample, dem)
    assert np.isfinite(h).all()
    assert np.ptp(h) > 3000
    np.testing.assert_allclose(dem.sample(lon, lat), h, atol=0.01)
    np.testing.assert_allclose(rpc_to_image(rpc, lon, lat, h), (line, sample), atol=1e-3)
    expected = image_to_terrain(g, line, sample, dem)
    np.testing.assert_allclose((lon, lat), expected[:2], atol=1e-6)


def test_on_terrain_in_layover() -> None:
    # Slopes to 70 degrees, where taking the DEM's height at the last place runs away.
    step = 0.0002
    axis = step * np.arange(1201)
    z = 4700 + 900 * np.sin((86.78 + axis)[None, :] * 330) * np.ones((1201, 1))
    dem = DemGrid(z.astype(np.float32), 86.78, step, 28.12, -step)
    line, sample = np.meshgrid(np.linspace(10_000, 12_000, 9), np.linspace(6500, 7800, 40))
    lon, lat, h = rpc_to_terrain(ONE, line, sample, dem)
    assert np.isfinite(h).all()
    np.testing.assert_allclose(rpc_to_image(ONE, lon, lat, h), (line, sample), atol=1e-3)
    np.testing.assert_allclose(dem.sample(lon, lat), h, atol=0.01)


def test_beyond_the_terrain_is_missing() -> None:
    far = replace(alps(), west=80.0)
    assert np.isnan(rpc_to_terrain(ONE, 11_000.0, 7000.0, far)).all()


@pytest.mark.parametrize("place", range(3))
def test_missing_in_missing_out(place: int) -> None:
    for function, point in (
        (rpc_to_image, (86.9, 28.0, 5000.0)),
        (rpc_to_ground, (100.0, 200.0, 5000.0)),
    ):
        given = [np.full(3, v) for v in point]
        given[place][1] = np.nan
        found = np.array(function(ONE, *given))
        assert np.isnan(found[:, 1]).all()
        assert np.isfinite(found[:, [0, 2]]).all()


def test_pixel_out_of_reach_is_missing() -> None:
    assert np.isnan(rpc_to_ground(ONE, 1e9, 100.0, 5000.0)).all()


def test_lazy_and_the_same_bits_for_all_chunks() -> None:
    line = xr.DataArray(np.linspace(0, 22_000, 40), dims="y")
    sample = xr.DataArray(np.linspace(0, 14_000, 50), dims="x")
    h = xr.DataArray(np.full((40, 50), 4200.0), dims=("y", "x"))
    dem = alps()
    eager = (
        *rpc_to_ground(ONE, line, sample, h),
        *rpc_to_terrain(ONE, line, sample, dem),
    )
    eager = (*eager, *rpc_to_image(ONE, eager[0], eager[1], h))
    for chunks in ({"y": 40, "x": 50}, {"y": 7, "x": 13}):
        rows, columns, heights = line.chunk(y=chunks["y"]), sample.chunk(x=chunks["x"]), h
        heights = h.chunk(chunks)
        with dask.config.set(scheduler=no_computation):
            lazy = (
                *rpc_to_ground(ONE, rows, columns, heights),
                *rpc_to_terrain(ONE, rows, columns, dem),
            )
            lazy = (*lazy, *rpc_to_image(ONE, lazy[0], lazy[1], heights))
        assert all(v.chunks for v in lazy)
        for one, other in zip(lazy, eager, strict=True):
            xr.testing.assert_identical(one.compute(), other)


def test_across_the_date_line() -> None:
    g = radar_geometry(longitude=179.98, latitude=52.0, height=100.0)
    rpc = fit_rpc(g, low=0.0, high=2000.0)
    lon, lat = image_to_ground(g, np.full(30, 2000.0), np.linspace(0, 2999, 30), 500.0)
    assert lon.min() < -179.9
    assert lon.max() > 179.9
    np.testing.assert_allclose(
        rpc_to_image(rpc, lon, lat, 500.0), ground_to_image(g, lon, lat, 500.0), atol=0.01
    )
    found = rpc_to_ground(rpc, 2000.0, np.linspace(0, 2999, 30), 500.0)
    np.testing.assert_allclose(found, (lon, lat), atol=1e-6)


def test_text_holds_every_bit(tmp_path: Path) -> None:
    assert read_rpc(ONE.to_text()) == ONE
    path = tmp_path / "GF3_HH.rpc"
    path.write_text(ONE.to_text())
    assert read_rpc(path) == ONE
    assert read_rpc(str(path)) == ONE
    text = ONE.to_text()
    assert "lineNumCoef = (\n" in text
    assert text.count(");\n") == 4
    assert text.count("\n") == 12 + 4 * 21


def test_errors_are_optional() -> None:
    bare = replace(ONE, err_bias=None, err_rand=None)
    assert "err" not in bare.to_text()
    assert read_rpc(bare.to_text()) == bare


def rpb(text: str) -> str:
    body = text.replace("\n", "\r\n\t").replace("err", "\terr")
    head = '\ufeffsatId = "GF3";\r\nbandId = "HH";\r\nSpecId = "RPC00B";\r\nBEGIN_GROUP = IMAGE\r\n'
    return head + body + "END_GROUP = IMAGE\r\nEND;\r\n"


@pytest.mark.parametrize(
    "written",
    [
        rpb,
        str.upper,
        lambda t: t.replace("E+", "D+").replace("E-", "D-"),
        lambda t: t.replace(";", ""),
        lambda t: t.replace(",\n\t\t\t", ", "),
        lambda t: t.replace(" = ", ":   "),
        lambda t: t.replace("E+04;", "E+04 pixels;"),
        lambda t: t.replace(" = (", "=\n("),
    ],
)
def test_other_ways_of_writing(written, tmp_path: Path) -> None:
    path = tmp_path / "some.rpb"
    path.write_bytes(written(ONE.to_text()).encode())
    assert read_rpc(path) == ONE


@pytest.mark.parametrize("field", [f.name for f in fields(Rpc) if not f.name.startswith("err")])
def test_what_is_missing_is_named(field: str) -> None:
    lines = ONE.to_text()
    keys = {"latitude": "lat", "longitude": "long", "sample": "samp", "height": "height"}
    first, second = field.split("_")
    key = keys.get(first, first) + (f"{second.title()}Coef" if len(second) == 3 else second.title())
    with pytest.raises(FileError, match=rf"HH\.rpc lacks {key};"):
        read_rpc(lines.replace(key, "other"), name="HH.rpc")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t: t[: t.index("sampDenCoef") + 200], "sampDenCoef holds .* instead of 20"),
        (lambda t: t.replace("lineScale = 1.", "lineScale = x"), "lineScale holds something"),
        (lambda t: t.replace("lineScale = 1.", "lineScale = ; 1."), "lineScale holds 0 numbers"),
        (lambda t: t.replace("latOffset = 2", "latOffset = nan; 2"), "latOffset holds something"),
        (lambda t: t.replace("sampScale = ", "sampScale = 0; "), "sampScale is 0"),
        (lambda t: t.replace("lineNumCoef = (", "lineNumCoef = (1,"), "holds 21 numbers"),
        (lambda _: "", "lacks lineOffset"),
        (lambda _: "\x00\xff\n" * 50, "lacks lineOffset"),
        (lambda t: t + "#" * (1 << 21), "too long"),
    ],
)
def test_damaged_file(damage, words: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.rpc"
    path.write_text(damage(ONE.to_text()))
    with pytest.raises(FileError, match=rf"(?s)damaged\.rpc.*{words}") as caught:
        read_rpc(path)
    assert "\n" not in str(caught.value)


def test_denominators_of_zeros() -> None:
    text = replace(ONE, line_den=(0.0,) * 20).to_text()
    with pytest.raises(FileError, match="lineDenCoef holds only zeros"):
        read_rpc(text)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.rpc cannot be read \(No such file"):
        read_rpc(tmp_path / "none.rpc")


def test_values_that_cannot_be() -> None:
    with pytest.raises(InputError, match="line_num has 3 coefficients"):
        replace(ONE, line_num=(1.0, 2.0, 3.0))
    with pytest.raises(InputError, match="height_scale"):
        replace(ONE, height_scale=0.0)
    g = GEOMETRIES["descending", "right"]
    with pytest.raises(ParameterError, match="high must be above low"):
        fit_rpc(g, low=3000, high=3000)
    with pytest.raises(ParameterError, match="at least 4"):
        fit_rpc(g, low=0, high=3000, nodes=(3, 9, 9))
    with pytest.raises(InputError, match="see no ground"):
        fit_rpc(replace(g, near_range=600e3), low=LOW, high=HIGH)


def test_poor_fit_is_told() -> None:
    # A Doppler centroid that winds through the scene as no cubic does.
    steep = tuple(np.array([9.15e5, 0.0, 1.0, 0.0, -1e-8, 0.0, 2.5e-17]))
    g = radar_geometry(doppler=steep, **SIZE)
    with pytest.warns(GlacierToolkitWarning, match="miss the geometry by up to"):
        fit_rpc(g, low=LOW, high=HIGH)


def test_fit_states_what_is_left() -> None:
    g = GEOMETRIES["descending", "right"]
    left = rpc_misfit(ONE, g, low=LOW, high=HIGH)
    metres = np.hypot(left.line * g.azimuth_spacing, left.sample * g.range_spacing)
    assert ONE.err_bias == 0.0
    assert ONE.err_rand == pytest.approx(metres, rel=1e-6)
    assert 0 < metres < 0.01
