"""Without the phase of orbits and terrain, coherent correlation works again."""

from __future__ import annotations

import numpy as np
import pytest

import glaciertoolkit as gt


@pytest.fixture(scope="module")
def scene():
    return gt.simulate_gf3(
        size=(640, 640), seed=5, coherence_rock=0.7, coherence_ice=0.5, baseline=600.0
    )


@pytest.fixture(scope="module")
def dem(scene):
    return gt.simulate_dem(scene.map_scene)


def coherent(pair, prior):
    offsets = pair.glacier.track(
        method="coherent", prior=prior, template={"y": 64, "x": 48}, step={"y": 32, "x": 24},
        search=6,
    )  # fmt: skip
    return offsets.compute()


def test_coherent_tracking_needs_the_fringes_gone(scene, dem):
    pair = scene.pair()
    prior = gt.predict_offsets(pair, dem=dem, geoid="ellipsoidal")[["dx", "dy"]]
    flat = gt.remove_fringes(pair, dem=dem, geoid="ellipsoidal")
    before, after = coherent(pair, prior), coherent(flat, prior)
    assert float(np.isfinite(before["dx"]).mean()) < 0.5
    assert float(np.isfinite(after["dx"]).mean()) > 0.9
    rock = gt.true_gf3_motion(scene, after)
    still = rock["ice_fraction"].values < 0.01
    error = (after["dx"] - rock["true_offset_dx"]).values[still] / after.attrs["pixel"][1]
    assert gt.nmad(error[np.isfinite(error)]) < 0.05


def test_only_the_phase_changes_and_chunks_do_not_matter(scene, dem):
    pair = scene.pair()
    flat = gt.remove_fringes(pair, dem=dem, geoid="ellipsoidal")
    assert flat["secondary"].chunks is not None
    whole = gt.remove_fringes(pair.compute(), dem=dem, geoid="ellipsoidal")["secondary"].values
    other = gt.remove_fringes(pair.chunk({"y": 200, "x": 333}), dem=dem, geoid="ellipsoidal")
    np.testing.assert_array_equal(flat["secondary"].values, whole)
    np.testing.assert_array_equal(other["secondary"].values, whole)
    np.testing.assert_allclose(np.abs(whole), np.abs(pair["secondary"].values), rtol=1e-5)


def test_real_images_have_no_phase(scene, dem):
    with pytest.raises(gt.GlacierToolkitError, match="no phase"):
        gt.remove_fringes(abs(scene.pair()).assign_attrs(scene.pair().attrs), dem=dem)
