"""The explorer without a browser: what it gathers, what it says, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from velocity_scene import elevation_model, outlines_table, velocity_scene

from glaciertoolkit import explore
from glaciertoolkit.apps.content import first_line, gather, subtitle
from glaciertoolkit.apps.explorer import Explorer
from glaciertoolkit.apps.serve import outlines_of, serve_explorer
from glaciertoolkit.errors import FileError, InputError, ParameterError
from glaciertoolkit.io.products import to_products

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


def test_the_layers_are_those_of_the_dataset(scene: xr.Dataset) -> None:
    view = explore(scene, dem=elevation_model(), outlines=outlines_table())
    assert isinstance(view, Explorer)
    layers = view.content.layers
    assert layers["speed"] == "v"
    assert layers["why missing or doubtful"] == "flag"
    assert layers["elevation"] == "elevation"
    assert "stable_fold" not in layers.values()
    assert view.content.notes == ()
    for name in layers.values():
        view.layer = name  # every layer can be shown
        assert view._image() is not None
        assert view._histogram() is not None
    with pytest.raises(ValueError, match="nonsense"):
        view.layer = "nonsense"


def test_a_layer_brings_its_own_colours_and_limits(scene: xr.Dataset) -> None:
    view = Explorer(scene)
    assert view.cmap == "viridis"
    assert view.limits[0] == 0
    assert 100 < view.limits[1] < 140
    view.layer = "vy"
    assert view.cmap == "coolwarm"
    assert view.limits[0] == -view.limits[1]
    view.layer = "correlation"
    assert view.limits == (0, 1)


def test_the_first_line_follows_the_fastest_ice(scene: xr.Dataset) -> None:
    xs, ys = first_line(scene, "v")
    direction = (ys[2] - ys[0]) / (xs[2] - xs[0])
    assert direction == pytest.approx(-0.15, abs=0.02)  # the flow of the scene
    middle = scene["v"].sel(x=xs[1], y=ys[1], method="nearest")
    assert float(middle) > 100
    still = scene[["correlation"]].where(False)
    xs, ys = first_line(still, "correlation")
    assert ys[0] == ys[1] == ys[2] == pytest.approx(float(scene.y.mean()))
    assert float(scene.x.min()) < xs[0] < xs[2] < float(scene.x.max())


def test_the_subtitle_names_the_pair(scene: xr.Dataset) -> None:
    text = subtitle(scene, "v")
    assert "2019-09-03 to 2019-10-02 (29 days)" in text
    assert "18,000 posts, one every 48 m" in text
    assert "days" not in subtitle(scene.drop_vars("reference_time"), "v")


def test_what_cannot_be_used_becomes_a_note(scene: xr.Dataset) -> None:
    far_dem = elevation_model().assign_coords(x=lambda d: d.x + 1e6)
    far_outlines = outlines_table().translate(1e6)
    content = gather(scene, dem=far_dem, outlines=far_outlines)
    assert content.shade is None
    assert content.outlines is None
    assert any("elevation model is left out" in note for note in content.notes)
    assert any("outlines are left out" in note for note in content.notes)
    half = elevation_model().isel(x=slice(0, 75))
    assert any("covers 50 %" in note for note in gather(scene, dem=half).notes)
    nothing = scene.assign(v=scene.v * np.nan)[["v", "flag"]]
    assert any("No post has a value" in note for note in gather(nothing).notes)


def test_an_all_nan_map_opens_and_says_so(scene: xr.Dataset) -> None:
    view = Explorer((scene[["v", "dx", "dy", "v_error"]] * np.nan).assign(flag=scene["flag"]))
    assert view.along is None
    assert "No post along this line" in view._status.object
    assert "no value at any of these posts" in view._histogram().object


def test_sentences_from_data_are_escaped(scene: xr.Dataset) -> None:
    view = Explorer(scene)
    view._say("<script>alert(1)</script>")
    assert "<script>" not in view._status.object


def test_refuses_what_is_no_map(scene: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"dimensions y and x.*velocity\(\)"):
        gather(scene.isel(y=0))
    with pytest.raises(InputError, match="nothing that the explorer can show"):
        gather(scene[["stable", "flag"]])


def test_lazy_input_is_computed_once(scene: xr.Dataset) -> None:
    content = gather(scene.chunk(y=40, x=50))
    assert content.ds.chunks == {}
    xr.testing.assert_equal(content.ds["v"], scene["v"])


def test_serving_needs_the_folder_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no motion\.nc.*glaciertoolkit run"):
        serve_explorer(tmp_path, threaded=True)
    (tmp_path / "motion.nc").write_bytes(b"not netCDF")
    with pytest.raises(FileError, match="cannot be read as netCDF"):
        serve_explorer(tmp_path, threaded=True)
    with pytest.raises(ParameterError, match=r"cannot listen on 192\.0\.2\.1.*127\.0\.0\.1"):
        serve_explorer(velocity_scene(), address="192.0.2.1", threaded=True)


def test_a_port_in_use_is_said_in_a_sentence(scene: xr.Dataset) -> None:
    first = serve_explorer(scene, threaded=True)
    port = int(first.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(
        ParameterError, match=f"cannot listen on port {port} of .*give another port"
    ):
        serve_explorer(scene, port=port, threaded=True)
    with pytest.raises(ParameterError, match="port 99999"):
        serve_explorer(scene, port=99_999, threaded=True)


def test_the_folder_of_a_run_knows_its_outlines(scene: xr.Dataset, tmp_path: Path) -> None:
    from urllib.request import urlopen

    to_products(scene, tmp_path)
    assert outlines_of(tmp_path) is None
    table = tmp_path / "outlines.gpkg"
    outlines_table().to_file(table)
    (tmp_path / "run.yaml").write_text(f"outlines: {table}\n")
    assert outlines_of(tmp_path) == str(table)
    assert outlines_of(tmp_path / "motion.nc") == str(table)
    served = serve_explorer(tmp_path, threaded=True)
    with urlopen(served.url, timeout=30) as answer:
        assert "Glacier surface motion" in answer.read().decode()
