"""One place looked into: it is what `track` returns there, to the last bit, and in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import image_pair, slc_pair

import glaciertoolkit as gt
from glaciertoolkit.conventions import Flag
from glaciertoolkit.errors import InputError, MissingVariableError, ParameterError

CASES: list[dict[str, Any]] = [
    {},
    {"method": "orientation"},
    {"method": "phase", "search": 8, "step": 16},
    {"prefilter": "wallis", "template": {"y": 32, "x": 48}, "search": {"y": 5, "x": 9}},
    {"template": 33, "nested": (65,), "step": 5, "search": 8},
    {"prior": (-30.0, -10.0), "search": 4},
    {"max_displacement": 20, "search": 5, "template": 48},
    {"mode": "quality", "template": 48, "search": 6, "step": 12},
    {"oversample": 2, "search": 6, "template": 32},
]


@pytest.fixture(scope="module")
def pair() -> xr.Dataset:
    return image_pair((330, 350), (1.3, -2.7), noise=0.2)


@pytest.fixture(scope="module")
def holed(pair: xr.Dataset) -> xr.Dataset:
    """Missing pixels, and a constant stripe."""
    out = pair.copy(deep=True)
    out["reference"][60:120, 60:150] = np.nan
    out["secondary"][250:280] = 5
    return out


def places(posts: xr.Dataset, count: int = 5) -> list[xr.Dataset]:
    """The first and the last post, and some between."""
    rng = np.random.default_rng(3)
    ny, nx = posts.sizes["y"], posts.sizes["x"]
    inner = [(int(rng.integers(ny)), int(rng.integers(nx))) for _ in range(count - 2)]
    return [posts.isel(y=i, x=j) for i, j in [(0, 0), (ny - 1, nx - 1), *inner]]


def assert_same(posts: xr.Dataset, pair: xr.Dataset, **options: Any) -> None:
    """Every variable of `track` at some posts is what the look into the place returns."""
    for post in places(posts):
        found = gt.correlation_surface(pair, float(post.x), float(post.y), **options)
        assert (float(found.x), float(found.y)) == (float(post.x), float(post.y))
        for name in posts.data_vars:
            np.testing.assert_array_equal(found[name].values, post[name].values, err_msg=str(name))
            assert found[name].dtype == post[name].dtype
            assert found[name].attrs["units"] == posts[name].attrs["units"]


@pytest.mark.parametrize("options", CASES, ids=lambda o: "-".join(map(str, o)) or "default")
def test_equals_track_to_the_last_bit(pair: xr.Dataset, options: dict[str, Any]) -> None:
    assert_same(gt.track(pair, **options), pair, **options)


@pytest.mark.parametrize("options", [{}, {"method": "orientation"}, {"step": 10}])
def test_equals_track_beside_gaps(holed: xr.Dataset, options: dict[str, Any]) -> None:
    posts = gt.track(holed, template=32, **options)
    assert_same(posts, holed, template=32, **options)
    assert_same(posts, holed.chunk(y=77, x=101), template=32, **options)


@pytest.mark.parametrize("options", [{}, {"method": "coherent"}])
def test_equals_track_of_complex_images(options: dict[str, Any]) -> None:
    pair = slc_pair((220, 200), (1.3, -2.7))
    given = {"template": 32, "search": 6, **options}
    assert_same(gt.track(pair, **given), pair, **given)
    found = gt.correlation_surface(pair, 501_000, 3_199_000, **given)
    assert found.reference.dtype == np.float32  # amplitudes
    assert float(found.surface.min()) >= (0 if options else -1)


@pytest.mark.parametrize("options", [{}, {"method": "orientation"}, {"method": "phase"}])
def test_the_surface_has_the_peak_that_is_reported(
    pair: xr.Dataset, options: dict[str, Any]
) -> None:
    options = {"search": 10, **options}
    post = gt.track(pair, **options).isel(y=12, x=9)
    found = gt.correlation_surface(pair, float(post.x), float(post.y), **options)
    assert float(found.peak_dx) == pytest.approx(float(post.dx), abs=1e-3)
    assert float(found.peak_dy) == pytest.approx(float(post.dy), abs=1e-3)
    highest = found.surface.where(found.surface == found.surface.max(), drop=True).squeeze()
    assert abs(float(highest.offset_x) - float(post.dx)) <= 10
    assert abs(float(highest.offset_y) - float(post.dy)) <= 10
    # the fit passes through the samples, and has its maximum at the peak
    at_nodes = found.fit.sel(fit_y=highest.offset_y.values, fit_x=highest.offset_x.values)
    np.testing.assert_allclose(at_nodes, highest, atol=2e-4)
    assert float(found.fit.max()) == pytest.approx(float(post.correlation), abs=2e-3)
    top = found.fit_along_x.idxmax()
    assert abs(float(top) - float(post.dx)) <= 10 / 32
    # the ratio of `track` is that of the highest samples
    ratio = float(found.surface.max() / found.second_correlation)
    assert ratio == pytest.approx(float(post.peak_ratio), rel=1e-4)
    second = found.surface.sel(offset_x=found.second_dx, offset_y=found.second_dy)
    assert float(second) == pytest.approx(float(found.second_correlation), abs=1e-7)


def test_the_surface_is_the_correlation_of_the_chips(pair: xr.Dataset) -> None:
    """An independent sum over the pixels, without a filter."""
    found = gt.correlation_surface(pair, 501_500, 3_198_500, template=24, search=5,
                                   prefilter="none")  # fmt: skip
    row, column = found.attrs["template_first_pixel"]
    a = pair.reference.values[row : row + 24, column : column + 24].astype(float)
    assert np.corrcoef(found.template.values.ravel(), a.ravel())[0, 1] == pytest.approx(1)
    for dy in (-5, 0, 3):
        for dx in (-4, 1, 5):
            b = pair.secondary.values[row + dy :, column + dx :][:24, :24].astype(float)
            expected = np.corrcoef(a.ravel(), b.ravel())[0, 1]
            shown = found.surface.where(
                (found.offset_row == dy) & (found.offset_column == dx), drop=True
            ).squeeze()
            assert float(shown) == pytest.approx(expected, abs=1e-5)
            assert float(shown.offset_x) == 10 * dx
            assert float(shown.offset_y) == -10 * dy  # rows run south


def test_chips_are_the_images_around_the_place(pair: xr.Dataset) -> None:
    found = gt.correlation_surface(pair, 501_500, 3_198_500, template=32, search=7)
    assert found.reference.shape == (46, 46)
    for name in ("reference", "secondary"):
        there = pair[name].sel(y=found.chip_y.values, x=found.chip_x.values)
        np.testing.assert_array_equal(found[name].values, there.values)
    assert float(found.chip_x.mean()) == pytest.approx(float(found.x))
    corner = gt.correlation_surface(pair, 500_155, 3_199_845, template=32, search=7)
    assert corner.reference.shape == (39, 39)  # as far as the images reach
    assert "IMAGE_EDGE" in Flag(int(corner.flag)).name
    assert bool(corner.surface.isnull().any())


@settings(max_examples=15, deadline=None)
@given(st.floats(500_350.0, 503_000.0), st.floats(3_197_200.0, 3_199_600.0))
def test_any_place_is_a_template_of_its_own(x: float, y: float) -> None:
    pair = image_pair((330, 350), (2.0, -1.0), noise=0.0)
    found = gt.correlation_surface(pair, x, y, template=32, search=4)
    assert abs(float(found.x) - x) <= 5 + 1e-6
    assert abs(float(found.y) - y) <= 5 + 1e-6
    assert float(found.dx) == pytest.approx(-10, abs=0.3)
    assert float(found.dy) == pytest.approx(-20, abs=0.3)


def test_between_the_posts_the_lattice_is_laid_through_the_place(pair: xr.Dataset) -> None:
    moved = pair.isel(y=slice(3, None), x=slice(5, None))
    post = gt.track(moved, template=32).isel(y=9, x=11)
    found = gt.correlation_surface(pair, float(post.x), float(post.y), template=32)
    assert float(found.dx) == pytest.approx(float(post.dx), abs=2e-3)
    assert float(found.dx_error) == pytest.approx(float(post.dx_error), rel=0.1)


def test_units_signs_and_history(pair: xr.Dataset) -> None:
    found = pair.glacier.correlation_surface(501_500, 3_198_500, template=32)
    for name, variable in found.variables.items():
        known = variable.attrs.get("units") or str(name).endswith("_time")
        assert known, name
    assert np.all(np.diff(found.offset_y) < 0)
    assert np.all(np.diff(found.offset_row) == 1)
    assert [step["step"] for step in found.glacier.history()] == ["correlation_surface"]
    assert found.attrs["template"] == [32, 32]


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        ((0, 0), {}, r"off the images: its y is 0 m"),
        ((500_000, 3_198_500), {}, r"does not fit into the images at x.*smaller template"),
        ((np.nan, 3_198_500), {}, "x of the place must be a number"),
        (("here", 3_198_500), {}, "x of the place must be a number"),
        ((501_500, 3_198_500), {"template": 400}, "fewer than the template"),
        ((501_500, 3_198_500), {"templat": 4}, "no option templat"),
        ((501_500, 3_198_500), {"prior": (0, 0), "max_displacement": 9}, "not both"),
    ],
)
def test_bad_places_and_options_are_one_sentence(
    pair: xr.Dataset, place: tuple[Any, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        gt.correlation_surface(pair, *place, **options)


def test_refuses_what_is_no_pair(pair: xr.Dataset) -> None:
    with pytest.raises(MissingVariableError, match="lacks secondary"):
        gt.correlation_surface(pair[["reference"]], 501_500, 3_198_500)
    with pytest.raises(InputError, match="coherent tracking needs complex"):
        gt.correlation_surface(pair, 501_500, 3_198_500, method="coherent")
    with pytest.raises(MissingVariableError, match="correlation_surface"):
        gt.explain(gt.track(pair, template=32))


# ---- in words
def said(pair: xr.Dataset, x: float = 501_500, y: float = 3_198_500, **options: Any) -> str:
    found = gt.correlation_surface(pair, x, y, **{"template": 32, **options})
    text = str(gt.explain(found))
    lost = np.isnan(float(found.dx))
    assert text.startswith("No offset here") == lost
    return text


def test_a_match_is_explained_with_its_numbers(pair: xr.Dataset) -> None:
    text = said(pair)
    found = gt.correlation_surface(pair, 501_500, 3_198_500, template=32)
    assert f"dx = {float(found.dx):.2f} ± {float(found.dx_error):.2f} m" in text
    assert 0.1 <= float(found.dx_error) < 1  # so two decimals show two digits of it
    assert f"correlation of {float(found.correlation):.2f}" in text
    assert f"the {float(found.threshold):.2f} that are needed" in text


def test_each_reason_is_named_with_its_threshold_and_the_way_out(pair: xr.Dataset) -> None:
    assert "-2 pixels along x; from -2 to +2 were tried" in said(pair, search=2)
    assert "search=4" in said(pair, search=2)
    low = said(pair, min_correlation=0.999)
    assert "below the 0.999 that were asked for (min_correlation)" in low
    alone = said(pair, min_peak_ratio=90)
    assert "90 are needed (min_peak_ratio)" in alone
    assert "second peak" in alone
    other = pair.assign(secondary=image_pair((330, 350), seed=77)["reference"])
    chance = said(other, template=16, search=20)
    assert "(false_alarm)" in chance or "on the edge" in chance


def test_missing_and_constant_ground_are_told_apart(pair: xr.Dataset) -> None:
    def with_block(name: str, value: float) -> xr.Dataset:
        out = pair.copy(deep=True)
        out[name][80:220, 80:220] = value
        return out

    assert "hold a value in the reference image; 30% are" in said(with_block("reference", np.nan))
    assert "secondary image hold enough" in said(with_block("secondary", np.nan))
    assert "areas of one and the same value" in said(with_block("reference", 3.0))
    ridge = pair.copy(deep=True)
    wave = np.sin(np.arange(350) * 2 * np.pi / 7)[None, :] * np.ones((330, 1))
    ridge["reference"][:], ridge["secondary"][:] = wave, wave
    text = said(ridge)
    assert "No offset here" in text
    edge = said(pair, x=500_160)
    assert "leaves the secondary image" in edge
