"""`run` and `demo` as a user calls them: products, resumption, reproduction, interruption."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import yaml

import glaciertoolkit as gt
from glaciertoolkit.settings import Settings, read_yaml, to_yaml

COMMAND = [sys.executable, "-m", "glaciertoolkit.cli"]
PRODUCTS = {
    "Glacier_Motion.tif", "Glacier_Motion.qml", "Glacier_Velocity.tif", "Glacier_Velocity.qml",
    "motion.nc", "accuracy.json", "glaciers.csv", "report.html", "run.yaml",
}  # fmt: skip
STORES = {"offsets.zarr", "radar_motion.zarr"}


def call(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(PRODUCTS)
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = call("demo", "--out", folder, "--size", "small")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def arguments(demo: tuple[Path, str]) -> list[Any]:
    stored = yaml.safe_load((demo[0] / "run.yaml").read_text())
    names = ("reference", "secondary", "dem", "outlines", "step", "geoid")
    return [part for name in names for part in (f"--{name}", stored[name])]


@pytest.mark.slow
def test_demo_leaves_all_products_and_ends_with_its_table(demo: tuple[Path, str]) -> None:
    folder, text = demo
    assert {p.name for p in folder.iterdir()} == PRODUCTS | STORES | {"input"}
    last = text.splitlines()[-16:]
    for words in ("posts", "coverage", "NMAD, as tracked", "after topography", "on ice"):
        assert any(words in line for line in last), words


@pytest.mark.slow
def test_products_hold_what_they_promise(demo: tuple[Path, str]) -> None:
    folder = demo[0]
    ds = xr.open_dataset(folder / "motion.nc", engine="h5netcdf")
    for name, units in (("Glacier_Motion", "m"), ("Glacier_Velocity", "m yr-1")):
        with rasterio.open(folder / f"{name}.tif") as product:
            assert product.count == 4
            assert set(product.dtypes) == {"float32"}
            assert np.isnan(product.nodata)
            assert product.crs.to_epsg() == 32645
            assert product.res == (12.0, 12.0)
            assert product.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert set(product.units) == {units}
            x, y = ds.x.values[0], ds.y.values[0]
            assert product.index(x, y) == (0, 0)
            band = product.read(2)
        source = ds["dx" if units == "m" else "vx"].values
        np.testing.assert_array_equal(band, source)
    assert {"dx", "vx", "v", "flag", "correlation", "dx_deformation", "stable"} <= set(ds)
    accuracy = json.loads((folder / "accuracy.json").read_text())
    for ground in ("fit", "holdout"):
        for variable in ("dx", "dy", "v", "vx", "vy"):
            found = accuracy[ground][variable]
            wanted = {"bias", "median", "std", "rmse", "nmad", "p95", "n", "n_effective", "unit"}
            assert wanted <= set(found)
    opened = gt.open_products(folder).load()
    # what tracking was told survives the file, so that the statistics can be made again
    assert opened.attrs["radar_template"] == [64, 48]
    report = accuracy.pop("report")
    assert opened.glacier.accuracy().to_json() == accuracy
    assert {"n_effective_dx", "within_dx", "semivariance_dx", "static_half_width_vx"} <= set(report)
    assert "Stable ground that the fit did not see" in opened.glacier.summary()
    page = (folder / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert len((folder / "glaciers.csv").read_text().splitlines()) > 1
    ds.close()


@pytest.mark.slow
def test_run_from_its_record_gives_the_same_bytes(demo: tuple[Path, str], tmp_path: Path) -> None:
    done = call("run", "--config", demo[0] / "run.yaml", "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "again") == digests(demo[0])


@pytest.mark.slow
def test_run_refuses_to_overwrite_and_does_so_on_request(demo: tuple[Path, str]) -> None:
    before = digests(demo[0])
    refused = call("run", "--config", demo[0] / "run.yaml")
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert "Traceback" not in refused.stderr
    asked = call("run", "--config", demo[0] / "run.yaml", "--overwrite")
    assert asked.returncode == 0, asked.stderr
    assert digests(demo[0]) == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_no_half_product_and_a_second_run_completes(
    demo: tuple[Path, str], tmp_path: Path, number: int
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "run", *map(str, arguments(demo)), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Jobs that a shell starts in the background, the tests among them, may ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (out.exists() and any(out.iterdir())):
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate()
    # Where the interruption strikes inside exec(), as in a library's import, CPython ends itself
    # by the signal after all is said; a shell shows 130 for both.
    assert process.returncode in (130, -signal.SIGINT), errors
    assert "Interrupted" in errors
    left = {p.name for p in out.iterdir()}
    assert left <= STORES
    done = call("run", *arguments(demo), "--out", out)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in out.iterdir()} == PRODUCTS | STORES


@pytest.mark.slow
def test_run_resumes_from_its_checkpoint(demo: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("run", *arguments(demo), "--out", out, "--order", 1).returncode == 0
    mark = out / "offsets.zarr" / "mark"
    mark.write_text("kept when the offsets are reused")
    assert call("run", *arguments(demo), "--out", out, "--overwrite").returncode == 0
    assert mark.exists()
    done = call("run", *arguments(demo), "--out", out, "--overwrite", "--search", 14)
    assert done.returncode == 0
    assert not mark.exists()


def test_help_explains_every_parameter_with_its_default() -> None:
    text = call("run", "--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for name, default in (("template", "64"), ("order", "2"), ("disparity-share", "0.32")):
        line = next(line for line in text.splitlines() if f"--{name} " in line)
        assert f"Default: {default}." in line


def test_settings_survive_yaml(tmp_path: Path) -> None:
    settings = Settings.of(reference="a.tif", secondary="b.tif", stable="everywhere", order=1)
    text = to_yaml(settings, version=gt.__version__)
    (tmp_path / "run.yaml").write_text(text)
    assert Settings.of(**read_yaml(tmp_path / "run.yaml")) == settings
    assert "# its surface: 0, 1, bilinear" in text
    assert os.path.isabs(settings.reference)  # noqa: PTH117


@pytest.mark.parametrize(("given", "order"), [("3", 3), ("tps", "tps"), ("auto", "auto"), (2, 2)])
def test_an_order_is_a_number_or_a_word(tmp_path: Path, given: object, order: object) -> None:
    settings = Settings.of(reference="a.tif", secondary="b.tif", stable="everywhere", order=given)
    assert settings.order == order
    (tmp_path / "run.yaml").write_text(to_yaml(settings, version=gt.__version__))
    assert Settings.of(**read_yaml(tmp_path / "run.yaml")) == settings
    with pytest.raises(gt.GlacierToolkitError, match="order must be a whole number or a text"):
        Settings.of(reference="a.tif", secondary="b.tif", stable="everywhere", order=1.5)
