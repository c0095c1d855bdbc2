"""Scenes that several tests look at; each is computed once."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from glaciertoolkit.simulate import simulate_pair


@pytest.fixture(scope="session")
def scene() -> xr.Dataset:
    """A lazy scene of 2 x 2 tiles with everything in it."""
    return simulate_pair(size=(600, 640), seed=4)


@pytest.fixture(scope="session")
def computed(scene: xr.Dataset) -> xr.Dataset:
    """The same, computed."""
    return scene.compute()


@pytest.fixture(scope="session")
def coherent() -> xr.Dataset:
    """Full coherence, no noise: what moved can be measured closely. Computed."""
    scene = simulate_pair(
        size=900,
        seed=4,
        coherence_rock=1,
        coherence_ice=1,
        noise_db=-np.inf,
        patch_width=(120, 200),
    )
    return scene.compute()
