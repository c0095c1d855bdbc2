"""The report of the accuracy: as a Dataset, a table, JSON, plots and part of the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scenes import offset_field

import glaciertoolkit as gt
from glaciertoolkit import plots
from glaciertoolkit.errors import InputError, ParameterError, StableTerrainError
from glaciertoolkit.report import write_report
from glaciertoolkit.uncertainty.covariates import error_curve, error_model

pytestmark = pytest.mark.filterwarnings("ignore::glaciertoolkit.errors.GlacierToolkitWarning")


@pytest.fixture(scope="module")
def velocity() -> xr.Dataset:
    """Residuals that grow with slope, half as large as where the correlation is high."""
    rng = np.random.default_rng(0)
    ds = offset_field((160, 160))
    x, y = np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 160))
    ds["elevation"] = (("y", "x"), (4000 + 500 * np.sin(4 * x) * y).astype(np.float32))
    ds["correlation"] = (("y", "x"), rng.uniform(0.2, 0.9, x.shape).astype(np.float32))
    scale = np.where(ds.correlation > 0.55, 0.1, 0.3).astype(np.float32)
    for name in ("dx", "dy"):
        ds[f"{name}_error"] = (("y", "x"), scale)
        ds[name] = (("y", "x"), (scale * rng.normal(size=x.shape)).astype(np.float32))
    ds["ice"] = (("y", "x"), np.abs(x) < 0.2)
    ds["stable"] = ~ds.ice
    return ds.glacier.velocity()


@pytest.fixture(scope="module")
def report(velocity: xr.Dataset) -> xr.Dataset:
    return velocity.glacier.accuracy_report(ice=velocity.ice)


def test_it_holds_what_accuracy_holds_and_more(velocity: xr.Dataset, report: xr.Dataset) -> None:
    plain = gt.accuracy(velocity)
    for name in plain.data_vars:
        xr.testing.assert_identical(report[name], plain[name])
    assert float(report.within_dx.sel(level=0.6827)) == pytest.approx(0.683, abs=0.02)
    assert float(report.within_dx.sel(level=0.9545)) == pytest.approx(0.954, abs=0.01)
    assert float(report.z_nmad_dx) == pytest.approx(1, rel=0.03)
    assert float(report.n_effective_dx) == float(report.fit_dx_n_effective)
    high = report.error_by_correlation_dx
    assert high.values[0] == pytest.approx(0.3, rel=0.1)
    assert high.values[-1] == pytest.approx(0.1, rel=0.1)
    assert (np.diff(high) <= 0).all()
    factor = 365.25 / 29
    assert 2 * 0.1 * factor < float(report.static_half_width_vx) < 2 * 0.35 * factor
    assert report.strain_half_width_normal.attrs["units"] == "yr-1"


def test_as_table_html_and_json(report: xr.Dataset) -> None:
    text = repr(report)
    for words in ("variogram of dx", "GLAFT", "within one", "error of dy by slope"):
        assert words in text
        assert words in report._repr_html_()
    nested = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert {"fit", "report"} <= set(nested)
    assert set(nested["fit"]["dx"]) >= {"bias", "nmad", "n_effective", "unit"}
    assert nested["report"]["e_off_dx"] > 0
    assert len(nested["report"]["lag_dx"]) == len(nested["report"]["semivariance_dx"])


def test_it_can_be_stored(report: xr.Dataset, tmp_path: Path) -> None:
    report.to_netcdf(tmp_path / "report.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "report.nc", engine="h5netcdf") as again:
        assert str(again.variogram_dx.item()) == str(report.variogram_dx.item())


def test_plots_render(report: xr.Dataset) -> None:
    hv = plots.holoviews()
    made = [
        plots.variogram_plot(report),
        plots.error_curves(report, "correlation"),
        plots.density_image(report),
        plots.density_image(report, "strain"),
        plots.calibration_curve(report),
    ]
    for element in made:
        assert hv.render(element, backend="bokeh") is not None
    with pytest.raises(InputError, match="accuracy_report"):
        plots.error_curves(report, "mood")
    with pytest.raises(InputError, match="density"):
        plots.density_image(report, "other")


def test_the_page_shows_it(velocity: xr.Dataset, report: xr.Dataset, tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.html", velocity=velocity, accuracy=report)
    page = path.read_text(encoding="utf-8")
    for words in ("Variograms of the residuals", "Errors by covariate", "static terrain (GLAFT)"):
        assert words in page
    again = write_report(tmp_path / "b.html", velocity=velocity, accuracy=report)
    assert again.read_bytes() == path.read_bytes()
    plain = write_report(tmp_path / "c.html", velocity=velocity, accuracy=gt.accuracy(velocity))
    assert "Variograms" not in plain.read_text(encoding="utf-8")


def test_a_map_that_knows_little_is_reported_with_little(velocity: xr.Dataset) -> None:
    bare = velocity[["dx", "dy"]]
    found = bare.glacier.accuracy_report(stable=velocity.stable)
    assert "within_dx" not in found
    assert "static_density" not in found
    assert "variogram of dx" in repr(found)
    tiny = velocity.isel(x=slice(0, 4), y=slice(0, 4))
    assert "fit_dx_nmad" in tiny.glacier.accuracy_report()
    with pytest.raises(StableTerrainError):
        bare.glacier.accuracy_report()


def test_related_covariates_are_not_counted_twice() -> None:
    rng = np.random.default_rng(0)
    slope = rng.uniform(0, 40, 40_000)
    correlation = 0.9 - 0.015 * slope + 0.05 * rng.normal(size=slope.size)
    residual = rng.normal(size=slope.size) * (0.1 + 0.01 * slope)
    model = error_model(residual, {"slope": slope, "correlation": correlation})
    z = residual / model({"slope": slope, "correlation": correlation})
    for low in range(0, 40, 10):
        assert gt.nmad(z[(slope >= low) & (slope < low + 10)]) == pytest.approx(1, rel=0.06)
    # the negative control: one error for all
    steep, flat = (gt.nmad(residual[s]) for s in (slope > 30, slope < 10))
    assert steep > 2.5 * flat


def test_curves_are_monotone_where_physics_says_so() -> None:
    rng = np.random.default_rng(1)
    snr = rng.uniform(1, 50, 3000)
    curve = error_curve(rng.normal(size=3000), snr, name="snr")
    assert curve is not None
    assert (np.diff(curve.fitted) <= 1e-12).all()
    assert curve(1e6) == curve.fitted[-1]
    assert np.isnan(curve([np.nan])[0])
    assert error_curve(np.zeros(10), np.arange(10.0)) is None
    assert error_curve(np.ones(500), np.ones(500)) is None
    with pytest.raises(ParameterError, match="trend"):
        error_curve(np.ones(500), np.arange(500.0), trend="sideways")  # type: ignore[arg-type]
