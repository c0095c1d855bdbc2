"""The tracking lab without a browser: what it answers, what it says, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import xarray as xr
from scenes import image_pair, slc_pair

import glaciertoolkit as gt
from glaciertoolkit.apps.figures import raster
from glaciertoolkit.apps.lab import TrackingLab
from glaciertoolkit.apps.lab_figures import LabFigures
from glaciertoolkit.apps.lab_images import first_place, grey_limits, overview
from glaciertoolkit.apps.lab_serve import serve_tracking_lab
from glaciertoolkit.errors import FileError, GridError, MissingVariableError, ParameterError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def pair() -> xr.Dataset:
    return image_pair((300, 340), (1.3, -2.7), noise=0.2).rio.write_crs(32645)


def words(lab: TrackingLab) -> str:
    return str(lab.answer.words)


def assert_found(lab: TrackingLab, pair: xr.Dataset) -> None:
    """The lab shows what the library computes with the options that it names."""
    assert lab.found is not None
    expected = gt.correlation_surface(pair, float(lab.found.x), float(lab.found.y), **lab.options)
    for name in expected.variables:
        np.testing.assert_array_equal(lab.found[name].values, expected[name].values)


def test_shows_what_correlation_surface_returns(pair: xr.Dataset) -> None:
    lab = pair.glacier.tracking_lab(template=32)
    assert isinstance(lab, TrackingLab)
    assert_found(lab, pair)
    changes: dict[str, Any] = {
        "template": 48, "search": 9, "method": "orientation", "prefilter": "wallis",
        "prefilter_width": 31, "oversample": 2, "min_peak_ratio": 1.5, "false_alarm": 0.1,
        "centre_x": -30.0, "x": 501_000.0,
    }  # fmt: skip
    for name, value in changes.items():
        setattr(lab, name, value)
        assert_found(lab, pair)
    assert lab.found.attrs["search_centre"] == [0, -3]
    call = lab.code.removeprefix("offsets = ")
    posts = eval(call, {"pair": pair})
    post = posts.sel(x=lab.found.x, y=lab.found.y)
    assert float(post.dx) == float(lab.found.dx)


def test_the_code_names_only_what_differs(pair: xr.Dataset) -> None:
    lab = TrackingLab(pair)
    assert lab.code == "offsets = pair.glacier.track()"
    lab.search = 10
    assert lab.code == "offsets = pair.glacier.track(search=10)"


def test_a_place_is_taken_to_the_nearest_post(pair: xr.Dataset) -> None:
    posts = gt.track(pair, template=32)
    lab = TrackingLab(pair, template=32, x=501_003.0, y=3_198_777.0)
    post = posts.sel(x=501_003.0, y=3_198_777.0, method="nearest")
    assert (float(lab.found.x), float(lab.found.y)) == (float(post.x), float(post.y))
    lab.x = 500_001.0  # on the image, where no template fits about it
    assert float(lab.found.x) == float(posts.x[0])


def test_options_without_a_widget_stay(pair: xr.Dataset) -> None:
    lab = TrackingLab(pair, template={"y": 24, "x": 40}, step=5, min_valid=0.6)
    assert lab.found.surface.shape == (33, 33)
    assert lab.found.attrs["template"] == [24, 40]
    assert lab.found.attrs["step"] == [5, 5]
    lab.search = 7
    assert lab.found.attrs["template"] == [24, 40]
    assert lab.found.surface.shape == (15, 15)


def test_the_offsets_around_are_those_of_track(pair: xr.Dataset) -> None:
    lab = TrackingLab(pair, template=32)
    lab.__panel__()
    around = lab.around
    assert (around.sizes["y"], around.sizes["x"]) == (9, 9)
    assert float(lab.found.x) in around.x.values
    here = around.sel(x=lab.found.x, y=lab.found.y)
    assert float(here.dx) == pytest.approx(float(lab.found.dx), abs=0.01)
    np.testing.assert_allclose(around.dx.median(), -27, atol=0.5)
    lab.vectors = False
    assert lab.around is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 0.0}, "the place lies off the images"),
        ({"x": None}, "Give both x and y"),
        ({"method": "coherent"}, "coherent tracking needs complex images"),
        ({"method": "phase", "search": 40}, "phase correlation finds no more than half"),
        ({"template": 128, "search": 64}, ""),
    ],
)
def test_bad_input_becomes_a_sentence(
    pair: xr.Dataset, change: dict[str, Any], message: str
) -> None:
    lab = TrackingLab(pair)
    lab.__panel__()
    lab.param.update(**change)
    assert message in words(lab)
    assert "\n" not in message
    lab.param.update(x=501_500.0, method="ncc", template=64, search=16)
    assert words(lab).startswith("The template was found again")


def test_a_template_larger_than_the_image_is_said(pair: xr.Dataset) -> None:
    lab = TrackingLab(pair.isel(y=slice(0, 50)))
    assert "fewer than the template (64)" in words(lab)
    lab.__panel__()  # without an answer there is still a page
    lab.template = 32
    assert_found(lab, pair.isel(y=slice(0, 50)))


def test_constant_ground_and_failing_disks_are_said(pair: xr.Dataset) -> None:
    flat = pair.copy(deep=True)
    flat["reference"][60:240, 60:280] = 4.0
    assert "areas of one and the same value" in words(TrackingLab(flat, template=32))

    def fails(_: np.ndarray) -> np.ndarray:
        raise OSError("the disk is gone")

    lab = TrackingLab(pair)
    broken = pair.chunk(y=100, x=100)
    broken["reference"] = broken["reference"].copy(
        data=broken["reference"].data.map_blocks(fails, dtype=np.float32)
    )
    lab.bench.pair = broken
    lab.template = 48  # another tile than the last
    assert "the disk is gone" in words(lab)


def test_refuses_what_is_no_pair(pair: xr.Dataset) -> None:
    with pytest.raises(MissingVariableError, match=r"lacks secondary.*open_pair"):
        gt.tracking_lab(pair[["reference"]])
    with pytest.raises(ParameterError, match="no option templat"):
        gt.tracking_lab(pair, templat=3)
    with pytest.raises(ParameterError, match="at least 8"):
        gt.tracking_lab(pair.isel(y=slice(0, 5)))
    uneven = pair.assign_coords(x=5e5 + 10 * np.arange(340.0) ** 1.1)
    with pytest.raises(GridError, match="not evenly spaced"):
        gt.tracking_lab(uneven)


def test_complex_pairs_are_shown_as_amplitudes() -> None:
    pair = slc_pair((200, 180), (1.0, -2.0))
    lab = TrackingLab(pair, template=32, search=6, method="coherent")
    lab.__panel__()
    assert_found(lab, pair)
    assert lab.overview.reference.dtype == np.float32
    assert float(lab.found.dx) == pytest.approx(-20, abs=1)


def test_another_pair_is_opened_from_files(pair: xr.Dataset, tmp_path: Path) -> None:
    paths = []
    for name, date in (("reference", "20200101"), ("secondary", "20200301")):
        path = tmp_path / f"{name}_{date}.tif"
        pair[name].drop_vars(["reference_time", "secondary_time"], errors="ignore").rio.to_raster(
            path
        )
        paths.append(str(path))
    lab = TrackingLab(image_pair((200, 200)), template=32)
    lab.__panel__()
    for given, message in (
        (("", ""), "path of the reference image is missing"),
        ((paths[0], ""), "path of the secondary image is missing"),
        ((paths[0], paths[0]), "no time for motion"),
        ((paths[0], str(tmp_path / "none.tif")), "none.tif"),
        ((*paths, "2021-01-01", "2020-01-01"), "cannot be used"),
    ):
        lab.open_files(*given)
        assert message in lab._status.object, given
        assert lab.bench.pair.sizes["y"] == 200
    lab.open_files(*paths)
    assert lab._status.object == ""
    assert dict(lab.bench.pair.sizes) == {"y": 300, "x": 340}
    assert_found(lab, lab.bench.pair)
    served = serve_tracking_lab(paths, threaded=True)
    with urlopen(served.url, timeout=60) as answer:
        assert "Tracking lab" in answer.read().decode()


def test_serving_fails_early_in_a_sentence(tmp_path: Path, pair: xr.Dataset) -> None:
    with pytest.raises(FileError, match=r"gone\.tif"):
        serve_tracking_lab((tmp_path / "gone.tif", tmp_path / "other.tif"), threaded=True)
    with pytest.raises(ParameterError, match="needs two images"):
        serve_tracking_lab([tmp_path / "gone.tif"], threaded=True)
    with pytest.raises(ParameterError, match="cannot listen on port 99999"):
        serve_tracking_lab(pair, port=99_999, threaded=True)


def test_large_images_are_shown_as_means(pair: xr.Dataset) -> None:
    lazy = pair.chunk(y=64, x=100)
    view = overview(lazy, cells=100)
    assert view.block == (3, 4)
    assert view.reference.shape == (100, 85)
    expected = pair.reference.values[:3, :4].mean()
    assert float(view.reference[0, 0]) == pytest.approx(expected, abs=1e-6)
    assert float(view.reference.x[0]) == pytest.approx(float(pair.x[:4].mean()))
    whole = overview(pair)
    assert whole.block == (1, 1)
    np.testing.assert_array_equal(whole.secondary.values, pair.secondary.values)


def test_begins_where_both_images_have_a_value(pair: xr.Dataset) -> None:
    half = pair.where(pair.x > 502_500)
    x, _ = first_place(overview(half))
    assert x > 502_500
    x, _ = first_place(overview(pair * np.nan))
    assert float(pair.x[0]) < x < float(pair.x[-1])
    assert grey_limits(np.full(9, np.nan)) == (0.0, 1.0)
    assert grey_limits(np.full(9, 3.0)) == (2.5, 3.5)


def test_an_image_lies_where_its_coordinates_say() -> None:
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    drawn = raster(image, np.array([10.0, 20.0, 30.0]), np.array([5.0, 1.0]))
    assert (drawn["x"], drawn["dw"], drawn["y"], drawn["dh"]) == ([5], [30], [-1], [8])
    np.testing.assert_array_equal(drawn["image"][0], image[::-1])  # the first row is the lowest
    mirrored = raster(image, np.array([30.0, 20.0, 10.0]), np.array([1.0, 5.0]))
    np.testing.assert_array_equal(mirrored["image"][0], image[:, ::-1])


def test_figures_know_their_units_and_colours(pair: xr.Dataset) -> None:
    figures = LabFigures(overview(pair), ("a", "b"), "timer")
    for name in ("map", "chips", "surface", "cuts", "patch", "matched", "fit"):
        figure = getattr(figures, name)
        assert figure.xaxis.axis_label.endswith("m)")
        assert figure.yaxis.axis_label.endswith("m)") or name == "cuts"
    figures.show(gt.correlation_surface(pair, 501_500, 3_198_500, template=32))
    assert figures.mappers["surface"].palette[0] == "#440154"  # viridis
    figures.show(
        gt.correlation_surface(pair, 501_500, 3_198_500, template=32, method="orientation")
    )
    circle = figures.mappers["patch"]
    assert (circle.low, circle.high) == (-180, 180)
    first, last = (np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in
                   (circle.palette[0], circle.palette[-1]))  # fmt: skip
    assert np.abs(first - last).max() < 6  # -180 and 180 degrees are one direction


def test_sentences_are_escaped(pair: xr.Dataset) -> None:
    lab = TrackingLab(pair)
    lab._say("<script>alert(1)</script>")
    assert "<script>" not in lab._status.object
