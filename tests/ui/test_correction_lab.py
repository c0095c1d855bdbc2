"""The correction lab without a browser: its answers, its sentences, its code, what it refuses."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import xarray as xr
from correction_scene import answered, correction_scene

import glaciertoolkit as gt
from glaciertoolkit.apps.correction_answer import Question
from glaciertoolkit.apps.correction_content import gather_material
from glaciertoolkit.apps.correction_figures import part_of, reach_of, rounded_up
from glaciertoolkit.apps.correction_lab import CorrectionLab
from glaciertoolkit.apps.correction_serve import offsets_of, serve_correction_lab
from glaciertoolkit.apps.correction_tables import left_out_table, sentences, steps_table
from glaciertoolkit.correction.steps import residuals_by_step
from glaciertoolkit.correction.undo import as_tracked
from glaciertoolkit.errors import (
    FileError,
    GlacierToolkitWarning,
    InputError,
    MissingVariableError,
    NotComputedError,
    ParameterError,
)
from glaciertoolkit.robust import nmad

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scene() -> dict[str, Any]:
    return correction_scene(72)


@pytest.fixture
def lab(scene: dict[str, Any]) -> CorrectionLab:
    found = gt.correction_lab(scene["offsets"], dem=scene["dem"], outlines=scene["outlines"])
    assert isinstance(found, CorrectionLab)
    return found


def assert_same(found: xr.Dataset | None, expected: xr.Dataset, *, least: int = 10) -> None:
    """Bit for bit, in everything that is shown."""
    assert found is not None
    names = [k for k in found.variables if k in expected.variables]
    assert len(names) >= least
    assert {"dx", "dy", "flag", "stable"} <= set(names)
    for name in names:
        np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=str(name))


def run_code(lab: CorrectionLab, scene: dict[str, Any], **given: Any) -> xr.Dataset:
    """What the code makes that the lab shows."""
    names: dict[str, Any] = {**scene, **given}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlacierToolkitWarning)
        exec(lab.code, names)
    return names["motion"]


CHANGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {}),
    ({"order": 1, "loss": "huber"}, {"order": 1, "loss": "huber"}, {}),
    ({"topography": False}, {"topography": False}, {}),
    ({"topography": "quadratic", "aspect": True}, {"topography": "quadratic", "aspect": True}, {}),
    ({"sequential": True, "weighted": True}, {"sequential": True, "weighted": True}, {}),
    ({"deformation": False}, {"deformation": False}, {}),
    ({"noise": False, "streaks": True}, {"noise": False, "streaks": True}, {}),
    (
        {"median_threshold": 5.0, "min_correlation": 0.5, "min_island": 0.0},
        {"median_threshold": 5.0, "min_correlation": 0.5, "min_island": 0.0},
        {},
    ),
    ({"buffer": 60.0, "max_slope": 30.0}, {}, {"buffer": 60.0, "max_slope": 30.0}),
]


@pytest.mark.parametrize(("turned", "options", "ground"), CHANGES)
def test_shows_what_correct_returns(
    lab: CorrectionLab,
    scene: dict[str, Any],
    turned: dict[str, Any],
    options: dict[str, Any],
    ground: dict[str, Any],
) -> None:
    lab.param.update(**(turned or {"order": 2}))
    lab._afterwards()  # what a page asks for once it has been drawn
    _, expected = answered(scene, ground=ground, **options)
    assert_same(lab.motion, expected)
    assert_same(run_code(lab, scene), expected)
    steps = lab.answer.table
    for axis in ("x", "y"):
        ground_left = expected[f"d{axis}"].values[expected.stable.values]
        shown = float(steps["nmad"].sel(component=axis)[-1])
        assert shown == pytest.approx(nmad(ground_left), rel=1e-3)
        if f"d{axis}_holdout" in expected:
            held = float(steps["nmad_holdout"].sel(component=axis))
            assert held == nmad(expected[f"d{axis}_holdout"].values)


def test_auto_is_asked_with_the_folds_that_it_chooses_by(
    lab: CorrectionLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def seen(*args: Any, **options: Any) -> xr.Dataset:
        asked.append((options["order"], options["folds"]))
        return gt.correct(*args, **{**options, "order": 1})

    monkeypatch.setattr("glaciertoolkit.apps.correction_answer.correct", seen)
    given = lab.question
    for order in ("auto", 2):
        lab.bench.answer(Question({**given.correcting, "order": order}, given.ground))
    # Cross-validation needs them; without it they wait for what comes after the answer.
    assert asked == [("auto", 4), (2, 0)]


def test_leaving_out_is_what_direct_calls_find(lab: CorrectionLab, scene: dict[str, Any]) -> None:
    lab.__panel__()
    stable, motion = answered(scene)
    assert set(lab.answer.left_out) == {"deformation", "topography", "noise"}
    from glaciertoolkit.grids import rasterize

    ice = rasterize(scene["outlines"], scene["offsets"])
    for part, found in lab.answer.left_out.items():
        _, without = answered(scene, **{part: False})
        for k, name in enumerate(("dx", "dy")):
            assert float(found["nmad"][k]) == nmad(without[name].values[stable.values])
            change = (without[name] - motion[name]).where(ice)
            assert float(found["change"][k]) == pytest.approx(float(change.median()), abs=1e-6)
            if part == "deformation":
                assert np.isnan(float(found["nmad_holdout"][k]))
            else:
                held = nmad(without[f"{name}_holdout"].values)
                assert float(found["nmad_holdout"][k]) == held
    # The ice moves by 6 m; what is left in stays on it.
    assert abs(float(lab.answer.left_out["deformation"]["change"][0])) > 1
    assert "without topography" in left_out_table(lab.answer, {"x": "x", "y": "y"})
    lab.topography = False
    assert "topography" not in lab.answer.left_out


def test_steps_add_up(lab: CorrectionLab, scene: dict[str, Any]) -> None:
    raw, motion = scene["offsets"], lab.motion
    left = [part_of(motion, raw, name, "x") for name in ("raw", "deformation", "topography")]
    kept = np.isfinite(motion.dx.values)
    np.testing.assert_allclose((left[0] - left[1] - left[2])[kept], motion.dx.values[kept],
                               atol=1e-4)  # fmt: skip
    assert part_of(motion, raw, "streaks", "x") is None
    size = part_of(motion, raw, "result", "magnitude")
    np.testing.assert_array_equal(size, np.hypot(motion.dx.values, motion.dy.values))
    assert list(lab.answer.steps) == [
        "as tracked", "after deformation", "after topography", "after noise filter"
    ]  # fmt: skip
    medians = lab.answer.table["median"].sel(component="x").values
    assert abs(medians[0]) > 1 > 0.1 > abs(medians[-1])
    table = steps_table(lab.answer, {"x": "x", "y": "y"})
    assert table.count("<tr") == 6
    assert re.search(r"after topography</td>.*?\d\.\d{3}", table)


def test_streaks_have_a_step_of_their_own(scene: dict[str, Any]) -> None:
    offsets = scene["offsets"]
    bands = 0.5 * np.sin(2 * np.pi * offsets.y / 300)
    striped = offsets.assign(dy=(offsets.dy + bands).astype("float32"))
    _, motion = answered({**scene, "offsets": striped}, streaks=True)
    steps = residuals_by_step(striped, motion)
    assert list(steps)[-2:] == ["after streaks", "after noise filter"]
    before, after = (nmad(steps[k][1]) for k in ("after topography", "after streaks"))
    assert before > 1.5 * after


def test_a_box_limits_the_stable_ground(lab: CorrectionLab, scene: dict[str, Any]) -> None:
    offsets = scene["offsets"]
    stable, _ = answered(scene)
    x0, y0 = float(offsets.x.min()), float(offsets.y.min())
    chosen = (x0, y0, x0 + 900.0, y0 + 3000.0)
    lab.box = chosen
    inside = (offsets.x <= chosen[2]) & (offsets.y <= chosen[3])
    expected = (stable & inside).transpose("y", "x")
    np.testing.assert_array_equal(lab.motion.stable.values, expected.values)
    assert_same(lab.motion, run_code(lab, scene))
    lab.clear_box()
    np.testing.assert_array_equal(lab.motion.stable.values, stable.values)


def test_thin_support_is_warned_of(lab: CorrectionLab, scene: dict[str, Any]) -> None:
    lab.__panel__()
    offsets = scene["offsets"]
    lab.box = (float(offsets.x[0]), float(offsets.y[-1]), float(offsets.x[12]), float(offsets.y[0]))
    assert any("reduced from" in line for line in lab.answer.warnings)
    assert "⚠" in sentences(lab.answer, shown=True)
    lab.clear_box()
    assert lab.answer.warnings == []
    assert sentences(lab.answer, shown=True) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": (0.0, 0.0, 1.0, 1.0)}, "holds not a single post"),
        ({"max_slope": 1.0}, "use a smaller buffer"),
        ({"min_correlation": 0.98}, "none of the"),
        ({"min_snr": 5.0}, "lacks snr"),
    ],
)
def test_bad_input_becomes_a_sentence(
    lab: CorrectionLab, change: dict[str, Any], message: str
) -> None:
    lab.__panel__()
    lab.param.update(**change)
    assert lab.motion is None
    assert message in lab.answer.problem
    assert "\n" not in lab.answer.problem
    text = sentences(lab.answer, shown=True)
    assert "The figures show the last result." in text
    lab.param.update(box=None, buffer=150.0, min_correlation=0.0, min_snr=0.0, max_slope=45.0)
    assert lab.motion is not None


def test_without_a_dem_topography_stays_and_is_said(scene: dict[str, Any]) -> None:
    lab = gt.correction_lab(scene["offsets"], outlines=scene["outlines"])
    lab.__panel__()
    assert any("No elevation model" in note for note in lab.material.notes)
    assert "dx_topography" not in lab.motion
    assert lab.options["topography"] is False
    stable = gt.stable_terrain(scene["offsets"], outlines=scene["outlines"])
    expected = gt.correct(scene["offsets"], stable=stable, topography=False)
    assert_same(lab.motion, expected)
    assert_same(run_code(lab, scene), expected)


def test_without_stable_ground_a_box_may_serve(scene: dict[str, Any]) -> None:
    lab = gt.correction_lab(scene["offsets"], dem=scene["dem"])
    lab.__panel__()
    assert lab.motion is None
    assert "drag a box" in lab.answer.problem
    offsets = scene["offsets"]
    lab.box = (float(offsets.x[0]), float(offsets.y[-1]), float(offsets.x[20]), float(offsets.y[0]))
    assert bool(lab.motion.stable.values[:, :20].any())
    assert not lab.motion.stable.values[:, 21:].any()
    assert_same(lab.motion, run_code(lab, scene))
    lab.max_slope = 20.0
    assert_same(lab.motion, run_code(lab, scene))


def test_given_stable_ground_is_used(scene: dict[str, Any]) -> None:
    offsets, dem = scene["offsets"], scene["dem"]
    stable, expected = answered(scene)
    lab = gt.correction_lab(offsets, dem=dem, stable=stable)
    assert_same(lab.motion, expected)
    assert_same(run_code(lab, scene, stable=stable), expected)
    everywhere = gt.correction_lab(offsets, dem=dem, stable=True)
    assert bool(everywhere.motion.stable.all())
    assert_same(run_code(everywhere, scene), everywhere.motion)


def test_nothing_tracked_is_said(scene: dict[str, Any]) -> None:
    nothing = scene["offsets"].assign(dx=scene["offsets"].dx * np.nan)
    lab = gt.correction_lab(nothing, dem=scene["dem"], outlines=scene["outlines"])
    lab.__panel__()
    assert any("No post has a displacement" in note for note in lab.material.notes)
    assert "none of the" in lab.answer.problem


def test_corrected_motion_is_taken_back(scene: dict[str, Any]) -> None:
    _, motion = answered(scene)
    offsets, note = as_tracked(motion)
    kept = np.isfinite(motion.dx.values)
    for name in ("dx", "dy"):
        np.testing.assert_allclose(
            offsets[name].values[kept], scene["offsets"][name].values[kept], atol=1e-5
        )
    assert set(offsets.data_vars) <= set(scene["offsets"].data_vars)
    assert not int((offsets.flag & np.uint32(int(gt.Flag.EXTRAPOLATED))).sum())
    assert "could not be brought back" in note
    lab = gt.correction_lab(motion, dem=scene["dem"], outlines=scene["outlines"])
    assert note in lab.material.notes
    again = kept & np.isfinite(lab.motion.dx.values)
    assert again.sum() > 0.98 * kept.sum()
    np.testing.assert_allclose(lab.motion.dx.values[again], motion.dx.values[again], atol=0.05)
    assert_same(lab.motion, run_code(lab, {**scene, "offsets": motion}))
    with pytest.raises(InputError, match="none of the fields"):
        as_tracked(scene["offsets"])


def test_a_large_map_is_corrected_as_a_sample(scene: dict[str, Any], tmp_path: Path) -> None:
    lazy = gt.checkpoint(scene["offsets"].chunk(y=40, x=40), tmp_path / "offsets.zarr")
    material = gather_material(lazy, dem=scene["dem"], outlines=scene["outlines"], live_posts=2000)
    lab = CorrectionLab(material)
    lab.__panel__()
    assert material.every == 2
    assert lab.motion.sizes == {**lab.motion.sizes, "y": 36, "x": 36}
    assert material.sample.attrs["step"] == [8, 8]
    _, whole = answered(scene)
    # In a sample the noise filters, which look at neighbours, are left out.
    assert list(lab.answer.steps)[-1] == "after topography"
    for name in ("dx_deformation", "dx_topography"):
        far = abs(lab.motion[name] - whole[name]).max()
        assert float(far) < 0.15
    assert_same(lab.motion, run_code(lab, scene))
    lab.min_correlation = 0.5  # judges each post by itself
    assert list(lab.answer.steps)[-1] == "after noise filter"
    assert_same(lab.motion, run_code(lab, scene))
    lab.min_correlation = 0.0
    lab.correct_all()
    assert lab.answer.whole
    each = {"y": slice(1, None, 2), "x": slice(1, None, 2)}
    assert_same(lab.motion, whole.isel(each))
    assert_same(run_code(lab, scene).isel(each), lab.motion)
    assert "all posts this takes minutes" in left_out_table(lab.answer, {"x": "x", "y": "y"})
    lab.order = 1
    assert not lab.answer.whole


def test_options_without_a_widget_stay(scene: dict[str, Any]) -> None:
    lab = gt.correction_lab(
        scene["offsets"], dem=scene["dem"], outlines=scene["outlines"], order=1, folds=3,
        max_speed=1.5, topography=True,
    )  # fmt: skip
    lab.__panel__()
    assert (lab.order, lab.options["folds"]) == (1, 3)
    _, expected = answered(scene, order=1, folds=3, max_speed=1.5)
    assert_same(lab.motion, expected)
    assert "order=1,\n    folds=3,\n    max_speed=1.5,\n)" in lab.code


def test_refuses_what_cannot_be_corrected(scene: dict[str, Any]) -> None:
    offsets = scene["offsets"]
    with pytest.raises(MissingVariableError, match=r"lacks dx"):
        gt.correction_lab(offsets.drop_vars("dx"))
    with pytest.raises(ParameterError, match=r"no option ordre; it has stable"):
        gt.correction_lab(offsets, ordre=2)
    with pytest.raises(InputError, match="two by two"):
        gt.correction_lab(offsets.isel(y=slice(0, 1)))
    pair = gt.simulate_pair(size=256, seed=1).chunk(y=128, x=128)
    with pytest.raises(NotComputedError, match="checkpoint"):
        gt.correction_lab(gt.track(pair, template=32, step=16))
    wrong = gt.correction_lab(offsets, dem="gone.tif", outlines="gone.gpkg", stable=True)
    assert any("elevation model is left out" in note for note in wrong.material.notes)
    assert any("outlines are left out" in note for note in wrong.material.notes)


@pytest.fixture
def run_folder(scene: dict[str, Any], tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    gt.checkpoint(scene["offsets"], folder / "offsets.zarr")
    scene["dem"].rio.to_raster(folder / "dem.tif")
    scene["outlines"].to_file(folder / "outlines.gpkg")
    lines = ["order: 1", "topography: true", "topography_method: quadratic", "buffer: 100.0",
             f"dem: {folder / 'dem.tif'}", f"outlines: {folder / 'outlines.gpkg'}"]  # fmt: skip
    (folder / "run.yaml").write_text("\n".join(lines))
    return folder


def test_a_finished_run_is_opened_with_its_own_options(
    run_folder: Path, scene: dict[str, Any]
) -> None:
    offsets, given = offsets_of(run_folder)
    lab = gt.correction_lab(offsets, **given)
    assert (lab.order, lab.topography, lab.buffer) == (1, "quadratic", 100.0)
    stable = gt.stable_terrain(
        scene["offsets"], outlines=scene["outlines"], dem=scene["dem"], buffer=100.0
    )
    expected = gt.correct(
        scene["offsets"], stable=stable, dem=scene["dem"], order=1, topography="quadratic"
    )
    assert_same(lab.motion, expected)
    served = serve_correction_lab(run_folder, threaded=True)
    with urlopen(served.url, timeout=60) as answer:
        assert "Correction lab" in answer.read().decode()


def test_a_run_without_its_offsets_is_rebuilt_from_its_products(
    run_folder: Path, scene: dict[str, Any]
) -> None:
    _, motion = answered(scene, order=1)
    gt.to_products(gt.velocity(motion), run_folder)
    (run_folder / "offsets.zarr").rename(run_folder / "elsewhere.zarr")
    (run_folder / "dem.tif").unlink()
    offsets, given = offsets_of(run_folder)
    lab = gt.correction_lab(offsets, **given)
    said = " ".join(lab.material.notes)
    assert "no offsets.zarr any more" in said
    assert "could not be brought back" in said
    assert "elevation model of the run is no longer at" in said
    kept = np.isfinite(motion.dx.values)
    raw = lab.material.sample.dx.values
    np.testing.assert_allclose(raw[kept], scene["offsets"].dx.values[kept], atol=1e-4)


def test_serving_fails_early_in_a_sentence(scene: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no folder"):
        serve_correction_lab(tmp_path / "gone", threaded=True)
    with pytest.raises(FileError, match=r"no motion\.nc"):
        serve_correction_lab(tmp_path, threaded=True)
    with pytest.raises(ParameterError, match="cannot listen on port 99999"):
        serve_correction_lab(scene["offsets"], stable=True, port=99_999, threaded=True)


def test_colour_scales_are_round_numbers() -> None:
    assert [rounded_up(v) for v in (0.011, 0.4, 1.2, 6.9)] == [0.015, 0.5, 1.5, 7.0]
    assert rounded_up(float("nan")) == 1.0
    wild = np.concatenate([np.linspace(-1, 1, 1000), np.full(20, 500)]).astype(np.float32)
    assert reach_of(wild, None) == 1.0
    assert reach_of(np.full(4, np.nan, np.float32)) == 1.0


def test_sentences_are_escaped(lab: CorrectionLab) -> None:
    answer = lab.answer._replace(motion=None, problem="<script>alert(1)</script>")
    assert "<script>" not in sentences(answer, shown=False)
