"""Plots of velocity against topography: what is drawn, with which units and axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from velocity_scene import elevation_model, outlines_table, velocity_scene

import glaciertoolkit as gt
from glaciertoolkit import plots
from glaciertoolkit.errors import InputError, MissingVariableError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    return velocity_scene()


def figures(element: Any) -> list[Any]:
    """The figures of an element, from left to right."""
    import holoviews as hv
    from bokeh.models import GridPlot

    shown = hv.render(element, backend="bokeh")
    grid = list(shown.select({"type": GridPlot}))
    if not grid:
        return [shown]
    return [figure for figure, _, _ in sorted(grid[0].children, key=lambda child: child[1:3])]


def test_speed_by_elevation_and_hypsometry(scene: xr.Dataset) -> None:
    dem, outlines = elevation_model(), outlines_table()
    found = gt.topography(scene, dem, outlines=outlines, elevation_step=20, min_count=3)
    (figure,) = figures(plots.speed_by(found))
    assert figure.xaxis[0].axis_label == "elevation (m)"
    assert figure.yaxis[0].axis_label == "speed (m yr⁻¹)"
    assert figure.y_range.start == 0
    top = float(np.nanmax(found["v_p90_by_elevation"]))
    assert top <= figure.y_range.end <= 1.6 * top
    (slope,) = figures(plots.speed_by(found, "slope"))
    assert slope.xaxis[0].axis_label == "surface slope (°)"
    with pytest.raises(MissingVariableError):
        plots.speed_by(found, "relief")
    hypsometry = gt.hypsometry(scene, dem, outlines=outlines, step=20, min_count=3)
    area, speed = figures(plots.hypsometry_plot(hypsometry))
    assert (area.xaxis[0].axis_label, speed.xaxis[0].axis_label) == ("area (km²)", "speed (m yr⁻¹)")
    assert speed.yaxis[0].axis_label == "elevation (m)"
    name = str(hypsometry["rgi_id"].values[0])
    assert name in figures(plots.hypsometry_plot(hypsometry, name))[0].title.text
    with pytest.raises(InputError, match="no glacier"):
        plots.hypsometry_plot(hypsometry, "nowhere")


def test_contrast_stress_and_scaling() -> None:
    contrast = xr.Dataset(
        {
            "v_ablation": ("glacier", [2.0, 8.0, np.nan]),
            "v_accumulation": ("glacier", [4.0, 1.0, 2]),
        },
        coords={"rgi_id": ("glacier", ["a", "b", "c"])},
    )
    (figure,) = figures(plots.contrast_plot(contrast))
    assert "ablation area" in figure.xaxis[0].axis_label
    scatter = figure.renderers[-1].data_source.data
    assert sorted(map(float, scatter["ablation"])) == [2, 8]
    with pytest.raises(InputError, match="both sides"):
        plots.contrast_plot(contrast.isel(glacier=[2]))
    rng = np.random.default_rng(0)
    tau, depth = rng.uniform(50, 250, (2, 20, 30))
    speed = 1e-5 * tau**3 * np.exp(rng.normal(0, 0.1, tau.shape))
    data = {"v": speed, "driving_stress": tau, "thickness": depth, "deformation_speed": speed / 2}
    grid = {"y": 100.0 * np.arange(20)[::-1], "x": 100.0 * np.arange(30)}
    ds = xr.Dataset({k: (("y", "x"), f) for k, f in data.items()}, coords=grid)
    (figure,) = figures(plots.stress_plot(ds, gt.shallow_ice(ds)))
    assert figure.xaxis[0].axis_label == "driving stress (kPa)"
    labels = [item.label.value for item in figure.legend[0].items]
    assert labels[:2] == ["deformation alone", "measured"]
    assert labels[2].startswith("fit: exponent")
    with pytest.raises(InputError, match="no post"):
        plots.stress_plot(ds * np.nan)
    table = pd.DataFrame({"rgi_id": ["a", "b"], "area_km2": [1.0, 20.0], "v_median": [3.0, 0.0]})
    (figure,) = figures(plots.scaling_plot(table))
    assert figure.xaxis[0].axis_label == "area (km²)"
    with pytest.raises(InputError, match="lacks"):
        plots.scaling_plot(table, "slope_deg")
