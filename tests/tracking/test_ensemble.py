"""Several weak pairs of a steady flow, tracked as one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scenes import image_pair

from glaciertoolkit import track, track_ensemble
from glaciertoolkit.errors import GridError, InputError, ParameterError

SMALL = {"template": 24, "search": 8, "step": 12}
START = np.datetime64("2020-01-01", "ns")


def weak_pair(seed: int, days: int = 10, noise: float = 2.5) -> xr.Dataset:
    """Ice that moves .06 px right and .1 px down a day, under strong noise."""
    pair = image_pair((160, 160), (0.1 * days, 0.06 * days), noise=noise, seed=seed)
    return pair.assign_coords(
        reference_time=START, secondary_time=START + np.timedelta64(days, "D")
    )


def hits(ds: xr.Dataset, days: float) -> float:
    wrong = np.hypot(ds.dx - 0.6 * days, ds.dy + 1.0 * days)
    return float((wrong < 5).mean())


def test_together_they_see_what_none_sees_alone() -> None:
    pairs = [weak_pair(seed) for seed in range(0, 50, 10)]
    alone = [hits(track(pair, **SMALL), 10) for pair in pairs]
    together = track_ensemble(pairs, **SMALL)
    assert hits(together, 10) > max(alone) + 0.2
    assert together.attrs["ensemble"] == 5


def test_intervals_may_differ() -> None:
    pairs = [weak_pair(0, 8, 0.3), weak_pair(10, 16, 0.3), weak_pair(20, 12, 0.3)]
    found = track_ensemble(pairs, **SMALL)
    days = float((found.secondary_time - found.reference_time) / np.timedelta64(1, "D"))
    assert days == pytest.approx(12)
    good = found.where(found.flag == 0)
    assert float(good.dx.median()) == pytest.approx(7.2, abs=0.3)
    assert float(good.dy.median()) == pytest.approx(-12.0, abs=0.3)


def test_an_ensemble_of_one_is_the_pair() -> None:
    pair = weak_pair(0, noise=0.3)
    one, alone = track_ensemble([pair], **SMALL), track(pair, **SMALL)
    xr.testing.assert_allclose(one.dx, alone.dx)
    xr.testing.assert_allclose(one.dx_error, alone.dx_error)


def test_the_same_bits_lazily_and_a_pair_with_a_hole_counts_elsewhere() -> None:
    pairs = [weak_pair(seed, noise=0.5).load() for seed in (0, 10)]
    pairs[1].reference[:80] = np.nan
    eager = track_ensemble(pairs, **SMALL)
    lazy = track_ensemble([pair.chunk(70) for pair in pairs], **SMALL)
    xr.testing.assert_identical(lazy.compute(), eager)
    top = eager.where(eager.flag == 0).isel(y=slice(1, 4))
    assert float(np.isfinite(top.dx).mean()) > 0.7
    assert float(top.dx.median()) == pytest.approx(6, abs=0.3)


def test_what_does_not_fit_is_refused() -> None:
    pair = weak_pair(0)
    with pytest.raises(InputError, match="at least one"):
        track_ensemble([])
    with pytest.raises(GridError, match="different grids"):
        track_ensemble([pair, pair.isel(x=slice(1, None))])
    with pytest.raises(ParameterError, match="single pairs"):
        track_ensemble([pair], prior=(0.0, 0.0))
    with pytest.raises(ParameterError, match="no option"):
        track_ensemble([pair], tempalte=3)
