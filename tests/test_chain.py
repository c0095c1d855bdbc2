"""The bars of the chain on a small simulated radar pair, with their negative controls.

The large scene of the same bars is `benchmarks/chain.py`; the judging is the same code.
"""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from chain import LIMITS, evaluate

import glaciertoolkit as gt

CHUNKS = [(512, 512), (100, 131), (640, 37), (64, 640), (211, 300)]
NAMES = ("dx", "dy", "dx_error", "flag", "vx", "v_error", "dx_holdout", "dx_topography")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Figures of a 4.6 km scene: baseline 900 m, order-2 deformation to 4 px, outliers."""
    folder = tmp_path_factory.mktemp("chain")
    return evaluate(folder, size=(1536, 1536), relief=1000.0, seed=5, baseline=900.0)


@pytest.mark.slow
@pytest.mark.parametrize("figure", list(LIMITS))
def test_the_chain_meets_its_limits(small: dict[str, Any], figure: str) -> None:
    assert small["figures"]["whole chain"][figure] <= LIMITS[figure]


@pytest.mark.slow
@pytest.mark.parametrize("left_out", ["deformation", "topography"])
def test_without_a_fit_nmad_or_median_fails(small: dict[str, Any], left_out: str) -> None:
    figures = small["figures"][f"without {left_out}"]
    assert figures["nmad"] > LIMITS["nmad"] or figures["median"] > LIMITS["median"]


@pytest.mark.slow
def test_without_the_noise_filter_outliers_remain(small: dict[str, Any]) -> None:
    figures = small["figures"]["without noise filter"]
    assert figures["p95"] > LIMITS["p95"] or figures["false"] > LIMITS["false"]


@pytest.mark.slow
def test_stated_errors_on_ice_are_calibrated(small: dict[str, Any]) -> None:
    assert 0.8 < small["figures"]["whole chain"]["ice_z"] < 1.25


@pytest.fixture(scope="module")
def pair() -> xr.Dataset:
    return gt.simulate_pair(size=(640, 640), seed=2, relief=800.0).compute()


def chain(pair: xr.Dataset) -> xr.Dataset:
    images = pair[["reference", "secondary"]]
    offsets = images.glacier.track(template=32, search=12, step=8).compute()
    stable = ~gt.true_motion(pair, offsets).ice_fraction.compute().astype(bool)
    motion = offsets.glacier.correct(stable=stable, dem=pair.elevation.compute(), order=1)
    return motion.glacier.velocity()[list(NAMES)]


@pytest.fixture(scope="module")
def eager(pair: xr.Dataset) -> xr.Dataset:
    return chain(pair)


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_same_bits_whatever_the_chunks_and_scheduler(
    pair: xr.Dataset, eager: xr.Dataset, chunks: tuple[int, int], scheduler: str
) -> None:
    with dask.config.set(scheduler=scheduler):
        out = chain(pair.chunk({"y": chunks[0], "x": chunks[1]}))
    xr.testing.assert_identical(out, eager)


@pytest.mark.slow
def test_same_bits_on_a_distributed_cluster(pair: xr.Dataset, eager: xr.Dataset) -> None:
    from distributed import Client, LocalCluster

    # A loaded machine may take long to start two more interpreters.
    patience = {
        "distributed.comm.timeouts.connect": "180s",
        "distributed.comm.timeouts.tcp": "180s",
    }
    with (
        dask.config.set(patience),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster, timeout=180),
    ):
        for chunks in CHUNKS:
            out = chain(pair.chunk({"y": chunks[0], "x": chunks[1]}))
            xr.testing.assert_identical(out, eager)


def test_accessors_are_the_functions(pair: xr.Dataset) -> None:
    images = pair[["reference", "secondary"]]
    by_method = images.glacier.track(template=32, search=4, step=32)
    by_function = gt.track(images, template=32, search=4, step=32)
    xr.testing.assert_identical(by_method, by_function)
    assert type(images.glacier).track.__doc__ == gt.track.__doc__
    slope = pair.elevation.compute().glacier.slope()
    assert float(slope.max()) < 90
    assert np.isfinite(slope).any()
