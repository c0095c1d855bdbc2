"""Plots of how good a map is, as HoloViews elements made from the Dataset of its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from glaciertoolkit.errors import InputError
from glaciertoolkit.maps import holoviews
from glaciertoolkit.styles import OTHER_COLOUR, STABLE_COLOUR, plot_size, with_units

if TYPE_CHECKING:
    import holoviews as hv

WIDTH = 560

COMPONENT_COLOURS = {"dx": STABLE_COLOUR, "dy": OTHER_COLOUR}


def _of_report(report: xr.Dataset, pattern: str) -> list[str]:
    """The components for which a report holds a variable, or an error that says how to get it."""
    found = [c for c in COMPONENT_COLOURS if pattern.format(c) in report]
    if not found:
        raise InputError(
            f"there is no {pattern.format('dx')} here; make the report with "
            f"velocity.glacier.accuracy_report()."
        )
    return found


def variogram_plot(
    report: xr.Dataset, *, width: int | None = WIDTH, height: int = 300
) -> hv.Overlay:
    """Semivariance of the residuals over distance, as found (points) and as fitted (lines).

    Parameters
    ----------
    report : xarray.Dataset
        What `accuracy_report` returned.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Raises
    ------
    InputError
        Where the report holds no variogram.
    """
    hv = holoviews()
    layers = []
    x, y = hv.Dimension("lag", label="distance (km)"), ("semivariance", "semivariance (m²)")
    for c in _of_report(report, "semivariance_{}"):
        lag = report[f"lag_{c}"].values / 1000
        style = {"color": COMPONENT_COLOURS[c], "backend": "bokeh"}
        found = hv.Scatter((lag, report[f"semivariance_{c}"].values), x, y, label=c)
        fitted = hv.Curve((lag, report[f"semivariance_fitted_{c}"].values), x, y, label=c)
        layers += [found.opts(size=6, tools=["hover"], **style), fitted.opts(line_width=2, **style)]
    return hv.Overlay(layers).opts(
        logx=True, title="variogram on stable ground", legend_position="bottom_right",
        **plot_size(width, height),
    )  # fmt: skip


def error_curves(
    report: xr.Dataset, covariate: str, *, width: int | None = WIDTH, height: int = 280
) -> hv.Overlay:
    """Scatter of the residuals over a covariate, as found (points) and as fitted (lines).

    Parameters
    ----------
    report : xarray.Dataset
        What `accuracy_report` returned.
    covariate : {"slope", "elevation", "correlation", "snr"}
        What the errors may depend on.
    width, height : int
        Size in screen pixels; a width of None fills the page.

    Raises
    ------
    InputError
        Where the report does not know this covariate.
    """
    hv = holoviews()
    layers = []
    for c in _of_report(report, f"error_by_{covariate}_{{}}"):
        at = report[f"{covariate}_bin_{c}"]
        units = str(at.attrs.get("units", "1"))
        label = covariate if units == "1" else with_units(covariate, units)
        x, y = hv.Dimension(covariate, label=label), ("error", "NMAD of the residuals (m)")
        style = {"color": COMPONENT_COLOURS[c], "backend": "bokeh"}
        name = f"{covariate}_{c}"
        found = hv.Scatter((at.values, report[f"error_found_by_{name}"].values), x, y, label=c)
        fitted = hv.Curve((at.values, report[f"error_by_{name}"].values), x, y, label=c)
        layers += [found.opts(size=6, tools=["hover"], **style), fitted.opts(line_width=2, **style)]
    return hv.Overlay(layers).opts(title=f"error by {covariate}", **plot_size(width, height))


def density_image(report: xr.Dataset, measure: str = "static", *, size: int = 380) -> hv.Overlay:
    """The density behind one of GLAFT's two measures, with the rectangle around its core.

    Parameters
    ----------
    report : xarray.Dataset
        What `accuracy_report` returned.
    measure : {"static", "strain"}
        Velocity of stable ground, or strain rate along the flow.
    size : int
        Width and height in screen pixels.

    Raises
    ------
    InputError
        Where the report holds no such density.
    """
    hv = holoviews()
    if f"{measure}_density" not in report:
        raise InputError(
            f"there is no density of {measure!r} in this report; give stable ground (static) and "
            f"the outlines of the ice (strain) to accuracy_report()."
        )
    x, y = report[f"{measure}_x"], report[f"{measure}_y"]
    names = [str(k.attrs["long_name"]) for k in (x, y)]
    what = " strain rate" if measure == "strain" else ""
    labels = [with_units(n + what, str(x.attrs["units"])) for n in names]
    dims = [hv.Dimension(f"{measure}_{n}", label=t) for n, t in zip(names, labels, strict=True)]
    values = report[f"{measure}_density"].values
    # a name of its own: plots side by side share the colour limits of what is called the same
    image = hv.Image((x.values, y.values, values), dims, f"{measure}_density", rtol=0.01)
    middle = [float(k.mean()) for k in (x, y)]
    widths = [float(report[f"{measure}_half_width_{n}"]) for n in names]
    core = hv.Box(middle[0], middle[1], (2 * widths[0], 2 * widths[1]))
    return hv.Overlay(
        [
            image.opts(cmap="Blues", backend="bokeh"),
            core.opts(color=STABLE_COLOUR, line_width=2, backend="bokeh"),
        ]
    ).opts(
        title=f"{measure}: core of the density",
        # a few wild values would make a dot of the core
        xlim=(middle[0] - 3 * widths[0], middle[0] + 3 * widths[0]),
        ylim=(middle[1] - 3 * widths[1], middle[1] + 3 * widths[1]),
        **plot_size(size, size),
    )


def calibration_curve(report: xr.Dataset, *, size: int = 340) -> hv.Overlay:
    """Quantiles of residual over stated error against those of a Gaussian.

    Parameters
    ----------
    report : xarray.Dataset
        What `accuracy_report` returned.
    size : int
        Width and height in screen pixels.

    Raises
    ------
    InputError
        Where the map has no stated errors.
    """
    hv = holoviews()
    components = _of_report(report, "z_quantile_{}")
    gauss = report["gaussian_quantile"].values
    x, y = hv.Dimension("gaussian", label="Gaussian"), ("made", "residual / stated error")
    ends = gauss[[0, -1]]
    layers = [hv.Curve((ends, ends), x, y).opts(color="grey", line_dash="dotted", backend="bokeh")]
    for c in components:
        curve = hv.Curve((gauss, report[f"z_quantile_{c}"].values), x, y, label=c)
        layers.append(curve.opts(color=COMPONENT_COLOURS[c], line_width=2, backend="bokeh"))
    return hv.Overlay(layers).opts(
        title="stated and made errors", legend_position="top_left", **plot_size(size, size)
    )
