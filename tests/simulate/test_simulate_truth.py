"""The truth averaged over templates."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.simulate import simulate_pair, true_motion


def _posts(scene: xr.Dataset, template: Any, first: Any, step: int = 16) -> xr.Dataset:
    """Posts whose templates begin at pixels `first`, first + step, ..."""
    ty, tx = template
    rows = np.arange(first[0], scene.sizes["y"] - ty + 1, step)
    columns = np.arange(first[1], scene.sizes["x"] - tx + 1, step)
    pixel = scene.attrs["pixel"]
    return xr.Dataset(
        coords={
            "y": scene.y.values[0] - pixel * (rows + (ty - 1) / 2),
            "x": scene.x.values[0] + pixel * (columns + (tx - 1) / 2),
            "spatial_ref": scene.spatial_ref,
        }
    )


def _boxes(values: Any, template: Any, first: Any, step: int = 16) -> Any:
    ty, tx = template
    windows = np.lib.stride_tricks.sliding_window_view(values.astype(float), (ty, tx))
    return windows[first[0] :: step, first[1] :: step].mean(axis=(2, 3))


@settings(max_examples=8, deadline=None)
@given(ty=st.integers(1, 70), tx=st.integers(1, 70), y=st.integers(0, 9), x=st.integers(0, 9))
def test_averages_are_those_of_the_pixels(ty: int, tx: int, y: int, x: int) -> None:
    scene = simulate_pair(size=300, seed=4)
    truth = scene.drop_vars(["reference", "secondary"]).compute()
    found = true_motion(scene, _posts(scene, (ty, tx), (y, x)), template=(ty, tx)).compute()
    for axis in ("dx", "dy"):
        total = sum(truth[f"true_{k}{axis}"] for k in ("", "deformation_", "topography_"))
        for name, values in (
            (f"true_{axis}", truth[f"true_{axis}"]),
            (f"true_offset_{axis}", total),
        ):
            wanted = _boxes(values.values, (ty, tx), (y, x))
            np.testing.assert_allclose(found[name].values, wanted, atol=2e-5)
    np.testing.assert_allclose(
        found.ice_fraction, _boxes(truth.ice.values, (ty, tx), (y, x)), atol=1e-6
    )
    wrong = (truth.outlier | truth.decorrelated).values
    np.testing.assert_allclose(found.contaminated, _boxes(wrong, (ty, tx), (y, x)), atol=1e-6)


def test_several_tiles_of_posts_join(scene: xr.Dataset, computed: xr.Dataset) -> None:
    posts = _posts(scene, (31, 31), (0, 0), step=4)
    found = true_motion(scene, posts, template=31)
    assert found.true_dx.chunks[0][0] == 128
    assert len(found.true_dx.chunks[0]) > 1
    wanted = _boxes(computed.true_dx.values, (31, 31), (0, 0), 4)
    np.testing.assert_allclose(found.true_dx.values, wanted, atol=2e-5)


@pytest.mark.parametrize("template", [32, [32, 32], {"y": 32, "x": 32}, '{"y": 32, "x": 32}', "32"])
def test_the_template_is_read_from_the_posts(scene: xr.Dataset, template: Any) -> None:
    posts = _posts(scene, (32, 32), (5, 6)).assign_attrs(template=template)
    found = true_motion(scene, posts)
    wanted = true_motion(scene, posts, template=32)
    xr.testing.assert_identical(found.compute(), wanted.compute())


def test_it_is_lazy_and_described(scene: xr.Dataset) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    with dask.config.set(scheduler=never):
        found = true_motion(scene, _posts(scene, (64, 64), (0, 0)), template=64)
    assert found.true_offset_dx.attrs["units"] == "m"
    assert found.ice_fraction.attrs["units"] == "1"
    assert all(v.attrs["long_name"] and v.dtype == np.float32 for v in found.data_vars.values())
    assert "spatial_ref" in found.coords


def test_posts_that_do_not_fit_are_refused(scene: xr.Dataset) -> None:
    posts = _posts(scene, (64, 64), (0, 0))
    with pytest.raises(ParameterError, match="template="):
        true_motion(scene, posts)
    with pytest.raises(ParameterError, match="whole number"):
        true_motion(scene, posts, template=0)
    with pytest.raises(GridError, match="centres of templates of 63"):
        true_motion(scene, posts, template=63)
    with pytest.raises(GridError, match="leave the scene along y"):
        true_motion(scene, posts, template=66)
    with pytest.raises(GridError, match="no coordinate y"):
        true_motion(scene, posts.drop_vars("y"), template=64)
    with pytest.raises(InputError, match="simulate_pair"):
        true_motion(posts, posts, template=64)
