"""The neighbourhood tests against their definitions, written out post by post."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciertoolkit.correction import kernels

RADIUS = 2
NETWORK = kernels.sorting_network(24)


def field(seed: int, shape: tuple[int, int], missing: float) -> np.ndarray:
    """Noise on a slope with outliers and gaps; rounded, so that values tie."""
    rng = np.random.default_rng(seed)
    out = rng.normal(0, rng.choice([0.1, 1.0]), shape) + 0.1 * np.arange(shape[1])
    out[rng.random(shape) < 0.2] += 20
    out[rng.random(shape) < missing] = np.nan
    return np.round(out, 1).astype(np.float32)


def around(shape: tuple[int, int], y: int, x: int, stride: tuple[int, int]) -> list[tuple]:
    steps = itertools.product(range(-RADIUS, RADIUS + 1), repeat=2)
    posts = [(y + j * stride[0], x + i * stride[1]) for j, i in steps if i or j]
    return [(r, c) for r, c in posts if 0 <= r < shape[0] and 0 <= c < shape[1]]


scenes = given(
    seed=st.integers(0, 999), missing=st.floats(0, 0.9),
    shape=st.tuples(st.integers(1, 14), st.integers(1, 45)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@scenes
def test_disparity_counts_the_neighbours_that_agree(
    seed: int, missing: float, shape: tuple[int, int], stride: tuple[int, int]
) -> None:
    u, v = field(seed, shape, missing), field(seed + 1, shape, missing / 2)
    v[np.isnan(u)] = np.nan
    u[np.isnan(v)] = np.nan
    found = kernels.disparity_test(u, v, RADIUS, *stride, np.float32(1), 8 / 25)
    for y, x in np.ndindex(shape):
        posts = around(shape, y, x, stride)
        agree = sum(abs(u[p] - u[y, x]) <= 1 and abs(v[p] - v[y, x]) <= 1 for p in posts)
        assert found[y, x] == (not np.isnan(u[y, x]) and agree < 8 / 25 * len(posts))


@settings(max_examples=30, deadline=None)
@scenes
def test_median_measures_the_distance_in_spreads_of_the_neighbours(
    seed: int, missing: float, shape: tuple[int, int], stride: tuple[int, int]
) -> None:
    u, v = field(seed, shape, missing), field(seed + 1, shape, 0)
    v[np.isnan(u)] = np.nan
    threshold, floor = np.float32(3), np.float32(0.13)
    found = kernels.median_test(u, v, RADIUS, *stride, threshold, floor, NETWORK)
    for y, x in np.ndindex(shape):
        known = [p for p in around(shape, y, x, stride) if not np.isnan(u[p])]
        ratio = np.float32(0)
        for d in (u, v):
            near = np.array([d[p] for p in known], np.float32)
            if len(known) >= 3:
                middle = np.median(near)
                spread = np.median(np.abs(near - middle)) + floor
                ratio += (np.abs(d[y, x] - middle) / spread) ** 2
        # Rounding decides only where the two are equal.
        if not np.isnan(ratio) and abs(ratio - 9) > 1e-4:
            assert found[y, x] == (ratio > 9)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 24, 48])
def test_the_network_sorts(size: int) -> None:
    rng = np.random.default_rng(size)
    values = rng.integers(0, 2 * size, (size, 500))
    want = np.sort(values, axis=0)
    for low, high in kernels.sorting_network(size):
        pair = values[[low, high]]
        values[low], values[high] = pair.min(axis=0), pair.max(axis=0)
    np.testing.assert_array_equal(values, want)
