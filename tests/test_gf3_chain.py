"""The chain on simulated GF-3 products, as a user runs it, against the truth of the simulation.

The large scene of the same bars is `benchmarks/gf3.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from gf3_scene import (
    STEP,
    TEMPLATE,
    Written,
    along_flow,
    flow_error,
    left_on_ground,
    nothing_computed,
    write_scene,
)
from numpy.typing import NDArray

import glaciertoolkit as gt
from glaciertoolkit import radar_chain
from glaciertoolkit.errors import DateError, InputError, ParameterError
from glaciertoolkit.pipeline import Result, run
from glaciertoolkit.sar.geocoding import image_to_terrain
from glaciertoolkit.sar.geometry import geometry_of
from glaciertoolkit.sar.heights import dem_grid
from glaciertoolkit.settings import Settings

NMAD, MEDIAN = 0.3, 0.1
"""Metres on held-out stable ground, the worse component."""

SCENE: dict[str, Any] = {
    "size": 1024, "seed": 2, "relief": 2400.0, "baseline": 2000.0, "max_speed": 0.8
}  # fmt: skip
"""Three by four kilometres, so that baseline and relief have to be larger to be seen as well."""

PRODUCTS = {
    "Glacier_Motion.tif", "Glacier_Motion.qml", "Glacier_Velocity.tif", "Glacier_Velocity.qml",
    "motion.nc", "accuracy.json", "glaciers.csv", "report.html", "run.yaml",
}  # fmt: skip


@dataclass
class Stages:
    """The names of the stages of a run, in their order."""

    names: list[str] = field(default_factory=list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.names.append(name)
        yield


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A pair whose baseline, relief and misregistration have to be dealt with."""
    return write_scene(tmp_path_factory.mktemp("gf3") / "input", **SCENE)


@pytest.fixture(scope="session")
def done(scene: Written) -> tuple[Result, Path, list[str]]:
    """The whole chain on it: result, folder, stages."""
    stages, out = Stages(), scene.folder.parent / "products"
    return run(scene.settings(), out, stage=stages), out, stages.names


@pytest.fixture(scope="session")
def offsets(done: tuple[Result, Path, list[str]]) -> xr.Dataset:
    """What the run tracked, located."""
    return gt.open_checkpoint(done[1] / "offsets.zarr").load()


@pytest.fixture(scope="session")
def motion(scene: Written, offsets: xr.Dataset) -> xr.Dataset:
    """Corrected motion in radar geometry."""
    return scene.corrected(offsets)


@pytest.fixture(scope="session")
def mapped(scene: Written, motion: xr.Dataset) -> xr.Dataset:
    """The same on the map, with the truth."""
    return scene.mapped(motion)


@pytest.mark.slow
def test_a_run_leaves_all_products_and_says_what_it_does(done: Any) -> None:
    _, out, stages = done
    assert {p.name for p in out.iterdir()} >= PRODUCTS
    assert stages == [
        "Opening the images", "Finding the geometry", "Tracking", "Correcting",
        "Going to the map", "Assessing", "Writing the products",
    ]  # fmt: skip
    assert "https://" not in (out / "report.html").read_text()


@pytest.mark.slow
def test_the_products_are_maps_with_their_dates(scene: Written, done: Any) -> None:
    result, out, _ = done
    ds = result.velocity
    for name, units in (("Glacier_Motion", "m"), ("Glacier_Velocity", "m yr-1")):
        with rasterio.open(out / f"{name}.tif") as product:
            assert product.crs.to_epsg() == scene.scene.parameters.epsg
            assert product.res == (12.0, 12.0)
            assert product.count == 4
            assert set(product.units) == {units}
            tags = " ".join(product.tags().values())
            assert "2019-09-03" in tags
            assert "2019-10-02" in tags
            np.testing.assert_array_equal(
                product.read(2), ds["dx" if units == "m" else "vx"].values
            )
    again = gt.open_products(out).load()
    assert {"dz", "range_offset", "azimuth_offset", "incidence", "slope"} <= set(again)
    assert again.attrs["motion"] == "surface_parallel"
    assert again.attrs["pixel"] == [12.0, 12.0]
    stored, found = json.loads((out / "accuracy.json").read_text()), gt.accuracy(again).to_json()
    for ground in ("fit", "holdout"):
        for name in ("nmad", "median", "n"):
            assert found[ground]["dx"][name] == pytest.approx(stored[ground]["dx"][name], rel=1e-6)
    assert [step["step"] for step in gt.history(again)] == [
        "open_pair", "track", "locate", "correct", "to_map", "velocity",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_second_run_starts_from_the_checkpoint(scene: Written, done: Any, tmp_path: Path) -> None:
    result, out, _ = done
    shutil.copytree(out / "offsets.zarr", tmp_path / "offsets.zarr")
    before = (tmp_path / "offsets.zarr").stat().st_ino
    again = run(scene.settings(folds=3), tmp_path)
    assert (tmp_path / "offsets.zarr").stat().st_ino == before
    np.testing.assert_array_equal(again.velocity["dx"].values, result.velocity["dx"].values)


@pytest.mark.slow
def test_held_out_ground_stands_still(done: Any) -> None:
    nmad, median = left_on_ground(done[0].velocity)
    assert nmad <= NMAD
    assert median <= MEDIAN


@pytest.mark.slow
def test_without_the_topographic_step_it_does_not(scene: Written, offsets: xr.Dataset) -> None:
    left = scene.mapped(scene.corrected(offsets, topography=False))
    assert left_on_ground(left)[0] > 1.5 * NMAD


@pytest.mark.slow
def test_without_the_deformation_it_does_not(scene: Written, offsets: xr.Dataset) -> None:
    left = gt.accuracy(scene.mapped(scene.corrected(offsets, deformation=False)))
    assert max(abs(float(left[f"fit_{k}_median"])) for k in ("dx", "dy")) > 10 * MEDIAN


@pytest.mark.slow
def test_the_baseline_is_recovered_from_stable_ground(scene: Written, offsets: xr.Dataset) -> None:
    fitted = scene.corrected(offsets, topography="baseline")
    found = float(fitted["baseline_perpendicular"])
    assert found == pytest.approx(SCENE["baseline"], rel=0.1)
    assert abs(found - SCENE["baseline"]) < 2 * float(fitted["baseline_perpendicular_error"])
    assert float(fitted["baseline_orbit"]) == pytest.approx(SCENE["baseline"], rel=1e-3)


@pytest.mark.slow
def test_the_correction_lab_works_in_radar_geometry(
    done: Any, motion: xr.Dataset, tmp_path: Path
) -> None:
    from glaciertoolkit.apps.correction_serve import offsets_of

    _, out, _ = done
    offsets, given = offsets_of(out)
    lab = gt.correction_lab(offsets, **given)
    lab.__panel__()
    assert lab.topography == "geometric"
    for name in ("dx", "dy", "dx_geometry", "dx_topography", "dy_deformation", "dx_holdout"):
        np.testing.assert_array_equal(lab.motion[name].values, motion[name].values)
    assert list(lab.answer.steps)[:2] == ["as tracked", "after orbits"]
    assert set(lab.answer.left_out) == {"deformation", "topography", "noise"}
    left = left_on_ground(lab.motion)
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gt.GlacierToolkitWarning)
        exec(lab.code, names)
    np.testing.assert_array_equal(names["motion"].dx.values, motion.dx.values)
    lab.topography = "baseline"
    assert "baseline_perpendicular" in lab.motion
    lab.topography = False
    assert left_on_ground(lab.motion) > left
    # Without its offsets the lab is that of the map, where the orbits are not known.
    shutil.copy(out / "motion.nc", tmp_path)
    shutil.copy(out / "run.yaml", tmp_path)
    mapped, given = offsets_of(tmp_path)
    assert gt.correction_lab(mapped, **given).topography == "elevation"


@pytest.mark.slow
def test_ice_moves_as_in_truth(mapped: xr.Dataset) -> None:
    gentle = mapped["slope"].values <= 20
    assert along_flow(mapped, gentle) == pytest.approx(1, abs=0.03)
    for k in ("x", "y"):
        z = ((mapped[f"d{k}"] - mapped[f"true_{k}"]) / mapped[f"d{k}_error"]).values
        ice = (mapped["ice_fraction"].values > 0.99) & np.isfinite(z) & gentle
        assert 0.6 < gt.nmad(z[ice]) < 1.5


@pytest.mark.slow
def test_motion_along_the_surface_beats_level_motion_on_slopes(
    scene: Written, motion: xr.Dataset, mapped: xr.Dataset
) -> None:
    flat = scene.mapped(motion, mode="flat")
    steep = (mapped["slope"].values > 5) & (mapped["slope"].values <= 20)
    assert flow_error(mapped, steep) < 0.7 * flow_error(flat, steep)
    assert abs(along_flow(mapped, steep) - 1) < 0.5 * abs(along_flow(flat, steep) - 1)
    assert np.isfinite(mapped["dz"].values[steep & np.isfinite(mapped["dx"].values)]).all()


def through_the_command_line(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glaciertoolkit.cli", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_packed_products_with_a_wrong_place_land_where_they_belong(tmp_path: Path) -> None:
    wrong = (20.0, -15.0)
    packed = write_scene(
        tmp_path / "input", archive="tar.gz", **SCENE, geolocation_bias=wrong
    )  # fmt: skip
    assert packed.files["reference"].name.endswith(".tar.gz")
    out = tmp_path / "out"
    ended = through_the_command_line(*packed.arguments(), "--out", out)
    assert ended.returncode == 0, ended.stderr
    assert "Residual motion of stable terrain" in ended.stdout
    assert {p.name for p in out.iterdir()} >= PRODUCTS
    opened = gt.open_products(out)
    assert np.abs(np.subtract(opened.attrs["geolocation_bias"], wrong)).max() < 2
    assert left_on_ground(opened)[0] <= NMAD
    assert np.median(off_its_place(packed, gt.open_checkpoint(out / "offsets.zarr"))) < 12


def off_its_place(written: Written, posts: xr.Dataset) -> NDArray[np.float64]:
    """Metres between where posts were put and where the radar saw them."""
    true = written.scene.setting.reference.true
    terrain = dem_grid(written.files["dem"], true, geoid="ellipsoidal")
    # The first pixels of the pair in the product; the bias does not matter to them.
    opened, header = geometry_of(posts), written.scene.reference_geometry
    later = float((opened.start - header.start) / np.timedelta64(1, "ns")) * 1e-9
    first = (
        round(later / header.line_interval),
        round((opened.near_range - header.near_range) / header.range_spacing),
    )
    line, sample = (v + k for v, k in zip(
        opened.pixel_of(posts["y"].values, posts["x"].values), first, strict=True
    ))  # fmt: skip
    lon, lat, _ = image_to_terrain(true, line[:, None], sample[None, :], terrain)
    east = (posts["longitude"].values - lon) * 111_320 * np.cos(np.radians(lat))
    away = np.hypot(east, (posts["latitude"].values - lat) * 111_320)
    return away[np.isfinite(away)]


SMALL = {"size": 768, "seed": 2, "relief": 2400.0, "max_speed": 0.8}


@pytest.mark.slow
def test_left_looking_from_an_ascending_orbit(tmp_path: Path) -> None:
    other = write_scene(tmp_path, **SCENE | {"direction": "ascending", "look": "left", "seed": 7})
    mapped = other.mapped(other.corrected(other.offsets()))
    nmad, median = left_on_ground(mapped)
    assert nmad <= NMAD
    assert median <= MEDIAN
    assert along_flow(mapped, mapped["slope"].values <= 20) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_orbits_thirty_metres_off_do_no_harm(tmp_path: Path) -> None:
    other = write_scene(tmp_path, **SMALL, orbit_error=30.0)
    nmad, median = left_on_ground(other.mapped(other.corrected(other.offsets())))
    assert nmad <= NMAD
    assert median <= MEDIAN


@pytest.mark.slow
def test_streaks_along_the_track_are_removed(tmp_path: Path) -> None:
    # Of this seed the streaks lie across the track, as `correct` takes them to.
    other = write_scene(tmp_path, **SMALL | {"seed": 3, "size": 1024}, azimuth_streaks=0.5)
    found = other.offsets()
    left = {
        streaks: float(
            gt.accuracy(other.corrected(found, streaks=streaks))["holdout_dy_nmad"]
        )
        for streaks in (False, True)
    }  # fmt: skip
    assert left[False] > 0.5
    assert left[True] < 0.5 * left[False]
    assert left[True] < NMAD


def test_opening_predicting_and_tracking_compute_no_pixel(scene: Written) -> None:
    with nothing_computed():
        pair = scene.pair()
        prior = gt.predict_offsets(pair, dem=scene.files["dem"], geoid="ellipsoidal")
        tracked = gt.track(pair, prior=prior[["dx", "dy"]], template=TEMPLATE, step=STEP)
        with pytest.raises(AssertionError, match="computed early"):
            tracked["dx"].compute()
    assert tracked["dx"].chunks is not None


def test_offsets_have_the_same_bits_whatever_the_chunks(scene: Written) -> None:
    files = scene.files["reference"], scene.files["secondary"]
    prior = gt.predict_offsets(scene.pair(), dem=scene.files["dem"], geoid="ellipsoidal")
    found = []
    for chunks in (None, 100, {"y": 64, "x": 512}):
        part = gt.open_pair(*files, chunks=chunks).isel(y=slice(300, 560), x=slice(200, 460))
        tracked = gt.track(part, prior=prior[["dx", "dy"]], template=TEMPLATE, step=STEP)
        found.append(tracked.compute())
    assert np.isfinite(found[0]["dx"].values).mean() > 0.5
    for other in found[1:]:
        xr.testing.assert_equal(found[0], other)


def copied_dem(scene: Written, path: Path, *, north: float = 0.0) -> Path:
    """The DEM without its tags, some metres to the north."""
    with rasterio.open(scene.files["dem"]) as source:
        moved = rasterio.Affine.translation(0, north) @ source.transform
        with rasterio.open(path, "w", **source.profile | {"transform": moved}) as target:
            target.write(source.read())
    return path


def elsewhere_dem(scene: Written, tmp_path: Path) -> Path:
    return copied_dem(scene, tmp_path / "elsewhere.tif", north=330_000)


def elsewhere_outlines(scene: Written, tmp_path: Path) -> Path:
    import geopandas

    path = tmp_path / "elsewhere.gpkg"
    outlines = geopandas.read_file(scene.files["outlines"])
    outlines.assign(geometry=outlines.translate(0, 330_000)).to_file(path)
    return path


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"dem": None}, ParameterError, "need a DEM"),
        ({"dem": elsewhere_dem}, InputError, "elsewhere.tif does not overlap"),
        ({"outlines": elsewhere_outlines}, InputError, "outlines"),
        ({"secondary": "reference"}, InputError, "same product"),
        ({"reference": "secondary", "secondary": "reference"}, DateError, "swap"),
    ],
    ids=["no DEM", "DEM elsewhere", "outlines elsewhere", "one product twice", "swapped"],
)
def test_a_mistake_gets_one_sentence(
    scene: Written, tmp_path: Path, wrong: dict[str, Any], error: type[Exception], words: str
) -> None:
    given: dict[str, Any] = dict(scene.files)
    for name, value in wrong.items():
        given[name] = value(scene, tmp_path) if callable(value) else scene.files.get(value)
    given.pop("truth", None)
    settings = scene.settings(geolocation=False)
    fields = settings.to_dict() | {k: None if v is None else str(v) for k, v in given.items()}
    with pytest.raises(gt.GlacierToolkitError, match=words) as caught:
        run(type(settings)(**fields), tmp_path / "out")
    assert isinstance(caught.value, error)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert not (tmp_path / "out" / "offsets.zarr").exists()


def test_heights_of_an_unknown_kind_are_warned_of(scene: Written, tmp_path: Path) -> None:
    pair, untold = scene.pair(), copied_dem(scene, tmp_path / "dem.tif")
    with pytest.warns(gt.GlacierToolkitWarning, match="above the ellipsoid"):
        gt.predict_offsets(pair, dem=untold)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gt.predict_offsets(pair, dem=untold, geoid=-30.0)
        gt.predict_offsets(pair, dem=untold, geoid="ellipsoidal")


@pytest.mark.parametrize("geolocation", [True, False])
def test_a_run_warns_of_them_whatever_it_leaves_out(
    scene: Written, tmp_path: Path, geolocation: bool
) -> None:
    files = scene.files["reference"], scene.files["secondary"]
    settings = Settings.of(
        reference=files[0], secondary=files[1], outlines=scene.files["outlines"],
        dem=copied_dem(scene, tmp_path / "dem.tif"), geolocation=geolocation,
    )  # fmt: skip

    def begin() -> None:
        pair = radar_chain.refined_geometry(scene.pair(), settings)
        radar_chain.tracking_options(pair, settings)

    with pytest.warns(gt.GlacierToolkitWarning, match="above the ellipsoid"):
        begin()
