"""What the report says and shows of the accuracy beyond its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.report_figures import figure
from glaciertoolkit.styles import OTHER_COLOUR, STABLE_COLOUR
from glaciertoolkit.uncertainty import AccuracyReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"dx": STABLE_COLOUR, "dy": OTHER_COLOUR}
COVARIATES = {
    "slope": "slope (\u00b0)",
    "elevation": "elevation (m)",
    "correlation": "correlation",
    "snr": "signal to noise",
}


def findings(report: xr.Dataset | None) -> list[tuple[str, str]]:
    """(what, in words) for the page; nothing for the plain statistics."""
    return list(report.lines()) if isinstance(report, AccuracyReport) else []


def accuracy_figures(report: xr.Dataset | None) -> dict[str, bytes | None]:
    """PNG of the variograms, of the errors by covariate, and of stated against made errors."""
    makers = {
        "variogram": variogram_figure,
        "covariates": covariate_figure,
        "calibration": calibration_figure,
    }
    return {k: None if report is None else make(report) for k, make in makers.items()}


def variogram_figure(report: xr.Dataset) -> bytes | None:
    """Semivariance over distance of both components, found and fitted."""
    shown = [c for c in COLOURS if f"semivariance_{c}" in report]
    if not shown:
        return None
    with figure(5.6, 3.2) as (fig, png):
        ax = fig.add_subplot()
        for c in shown:
            lag = report[f"lag_{c}"].values / 1000
            found, fitted = (report[f"{k}_{c}"] for k in ("semivariance", "semivariance_fitted"))
            ax.plot(lag, found, "o", ms=4, color=COLOURS[c], label=c)
            ax.plot(lag, fitted, color=COLOURS[c], lw=1.5)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_ylim(bottom=0)
        ax.set_xlabel("distance between posts (km)")
        ax.set_ylabel("semivariance (m\u00b2)")
        ax.legend()
        return png()


def covariate_figure(report: xr.Dataset) -> bytes | None:
    """Scatter of the residuals over each covariate that is known, found and fitted."""
    shown = [k for k in COVARIATES if any(f"error_by_{k}_{c}" in report for c in COLOURS)]
    if not shown:
        return None
    rows = -(-len(shown) // 2)
    with figure(7.6, 2.5 * rows) as (fig, png):
        for n, name in enumerate(shown):
            ax = fig.add_subplot(rows, 2, n + 1)
            _error_curves(ax, report, name)
        return png()


def _error_curves(ax: Axes, report: xr.Dataset, name: str) -> None:
    for c, colour in COLOURS.items():
        if f"error_by_{name}_{c}" not in report:
            continue
        at = report[f"{name}_bin_{c}"].values
        ax.plot(at, report[f"error_found_by_{name}_{c}"], "o", ms=4, color=colour, label=c)
        ax.plot(at, report[f"error_by_{name}_{c}"], color=colour, lw=1.5)
    ax.margins(y=0.08)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(COVARIATES[name])
    ax.set_ylabel("NMAD (m)")
    ax.legend()


def calibration_figure(report: xr.Dataset) -> bytes | None:
    """Quantiles of residual over stated error against those of a Gaussian."""
    shown = [c for c in COLOURS if f"z_quantile_{c}" in report]
    if not shown:
        return None
    with figure(3.6, 3.4) as (fig, png):
        ax = fig.add_subplot()
        gauss: Any = report["gaussian_quantile"].values
        for c in shown:
            ax.plot(gauss, report[f"z_quantile_{c}"], color=COLOURS[c], lw=1.8, label=c)
        ends = np.array([gauss[0], gauss[-1]])
        ax.plot(ends, ends, color="#666666", lw=0.9, ls=":")
        ax.set_xlabel("Gaussian")
        ax.set_ylabel("residual / stated error")
        ax.legend()
        return png()
