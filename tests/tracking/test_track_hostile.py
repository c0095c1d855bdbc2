"""Tracking of whatever an image may hold: no exception, no nonsense, the same bits lazily."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import image_pair, texture

from glaciertoolkit import track
from glaciertoolkit.conventions import DOUBTFUL

SPOILS = (
    "nothing",
    "holes",
    "black patch",
    "empty patch",
    "infinite patch",
    "absurd patch",
    "flat",
)
KINDS = ("float32", "float64", "uint16", "int16")


def spoilt(image: np.ndarray, how: str, rng: np.random.Generator) -> np.ndarray:
    out = image.astype(np.float64)
    patch = (slice(5, 25), slice(10, 40))
    if how == "holes":
        out[rng.random(out.shape) < 0.4] = np.nan
    elif how == "flat":
        out[:] = 3.0
    elif how != "nothing":
        values = {"black": 0.0, "empty": np.nan, "infinite": np.inf, "absurd": -3.4e38}
        out[patch] = values[how.split()[0]]
    return out


@given(
    size=st.tuples(st.integers(20, 120), st.integers(20, 120)),
    template=st.tuples(st.integers(4, 20), st.integers(4, 20)),
    search=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    step=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    spoils=st.tuples(st.sampled_from(SPOILS), st.sampled_from(SPOILS)),
    kind=st.sampled_from(KINDS),
    prefilter=st.sampled_from(("none", "highpass", "log")),
    chunk=st.integers(5, 120),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_anything_gives_values_or_flags(
    size: tuple[int, int], template: tuple[int, int], search: tuple[int, int],
    step: tuple[int, int], spoils: tuple[str, str], kind: str, prefilter: str, chunk: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(1)
    images = [spoilt(texture(size, (0, shift)), s, rng) for shift, s in zip((0, 1), spoils)]  # noqa: B905
    if kind in ("uint16", "int16"):
        images = [
            np.nan_to_num(i, nan=0, posinf=0, neginf=0).clip(-9, 9) * 100 + 1000 for i in images
        ]
    pair = xr.Dataset(
        {
            "reference": (("y", "x"), images[0].astype(kind)),
            "secondary": (("y", "x"), images[1].astype(kind)),
        },
        coords={"y": 700.0 - 7 * np.arange(size[0]), "x": 5.0 * np.arange(size[1])},
    )
    sizes = {
        name: {"y": value[0], "x": value[1]}
        for name, value in (("template", template), ("search", search), ("step", step))
    }
    offsets = track(pair, prefilter=prefilter, **sizes)
    lost = (offsets.flag & np.uint32(~np.uint32(DOUBTFUL))) > 0
    assert bool((np.isnan(offsets.dx) == lost).all())
    kept = offsets.where(~lost)
    assert float(abs(kept.dx).max().fillna(0)) <= 5 * search[1] + 1e-3
    assert float(abs(kept.dy).max().fillna(0)) <= 7 * search[0] + 1e-3
    assert bool(np.isfinite(kept.dx_error).where(~lost, True).all())
    assert float(offsets.correlation.max().fillna(0)) <= 1
    lazy = track(pair.chunk(chunk), prefilter=prefilter, **sizes)
    xr.testing.assert_identical(lazy.compute(), offsets)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.4e38, -9999.0])
def test_an_undeclared_nodata_value_spoils_only_its_windows(value: float) -> None:
    pair = image_pair((256, 256), shift=(0.3, 1.2)).load()
    clean = track(pair, template=32, search=6, step=16)
    pair.secondary[:60, :60] = value
    offsets = track(pair, template=32, search=6, step=16)
    # beyond the templates, the search and the prefilter of the patch
    far = {"y": slice(8, None), "x": slice(8, None)}
    xr.testing.assert_allclose(offsets.dx.isel(far), clean.dx.isel(far), atol=0.05)
    assert np.isnan(offsets.dx.isel(y=0, x=0))
