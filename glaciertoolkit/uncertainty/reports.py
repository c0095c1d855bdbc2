"""The whole assessment of a map in one Dataset: what a referee asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import InputError
from glaciertoolkit.grids import Grid, grid_spacing, rasterize
from glaciertoolkit.robust import nmad
from glaciertoolkit.uncertainty.areas import circular_number, e_off, effective_number
from glaciertoolkit.uncertainty.covariates import ErrorCurve, error_curve
from glaciertoolkit.uncertainty.densities import density_dataset, flow_strain, static_terrain
from glaciertoolkit.uncertainty.statistics import Accuracy, accuracy
from glaciertoolkit.uncertainty.variograms import Lags, Variogram, residual_variogram

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COMPONENTS = ("dx", "dy")
COVARIATES = ("slope", "elevation", "correlation", "snr")
LEVELS = np.array([0.5, 0.6827, 0.8, 0.9, 0.9545, 0.99])
"""Shares for which stated errors are checked."""
QUANTILES = np.linspace(0.005, 0.995, 100)


class AccuracyReport(Accuracy):
    """The statistics of `accuracy`, and beside them what `accuracy_report` found."""

    __slots__ = ()

    def __repr__(self) -> str:
        more = (f"{label}: {text}" for label, text in self.lines())
        return "\n".join([super().__repr__(), *more])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{a}</th><td>{b}</td></tr>" for a, b in self.lines())
        return super()._repr_html_() + f"<table>{rows}</table>"

    def lines(self) -> Iterator[tuple[str, str]]:
        """(what, in words) of everything that is no statistic of the table."""
        for c in COMPONENTS:
            if f"variogram_{c}" in self:
                yield f"variogram of {c}", f"{self[f'variogram_{c}'].item()} (m\u00b2)"
        for c in COMPONENTS:
            if f"e_off_{c}" in self:
                yield f"error of a mean over the ground, {c}", f"{float(self[f'e_off_{c}']):.3g} m"
        for c in COMPONENTS:
            if f"within_{c}" in self:
                one, two = (float(self[f"within_{c}"].sel(level=k)) for k in (0.6827, 0.9545))
                spread = float(self[f"z_nmad_{c}"])
                yield (
                    f"stated errors of {c}",
                    f"{100 * one:.1f} % of residuals within one, {100 * two:.1f} % within two "
                    f"(Gaussian: 68.3, 95.4); NMAD of residual over error {spread:.2f}",
                )
        for prefix, title, axes in (
            ("static", "static terrain (GLAFT)", ("vx", "vy")),
            ("strain", "strain along the flow (GLAFT)", ("normal", "shear")),
        ):
            if f"{prefix}_half_width_{axes[0]}" in self:
                widths = [float(self[f"{prefix}_half_width_{a}"]) for a in axes]
                peaks = [float(self[f"{prefix}_peak_{a}"]) for a in axes]
                unit = self[f"{prefix}_half_width_{axes[0]}"].attrs["units"]
                outside = 100 * float(self[f"{prefix}_outlier_share"])
                yield (
                    title,
                    f"half widths {widths[0]:.3g} ({axes[0]}), {widths[1]:.3g} ({axes[1]}) {unit} "
                    f"about {peaks[0]:+.3g}, {peaks[1]:+.3g}; {outside:.1f} % outside",
                )
        for name in COVARIATES:
            for c in COMPONENTS:
                if f"error_by_{name}_{c}" in self:
                    fitted = self[f"error_by_{name}_{c}"].values
                    at = self[f"{name}_bin_{c}"]
                    unit = "" if at.attrs["units"] == "1" else f" {at.attrs['units']}"
                    yield (
                        f"error of {c} by {name}",
                        f"{fitted[0]:.3g} m at {float(at[0]):.4g}{unit} to {fitted[-1]:.3g} m at "
                        f"{float(at[-1]):.4g}{unit}",
                    )

    def to_json(self) -> dict[str, Any]:
        """As that of `Accuracy`, with the key `report` for all the rest."""
        out: dict[str, Any] = dict(super().to_json())
        report: dict[str, Any] = {}
        for name in map(str, self.data_vars):
            if name.split("_")[0] in ("fit", "holdout") or name.endswith("_density"):
                continue
            variable = self[name]
            values = [_plain(v) for v in np.ravel(variable.values)]
            report[name] = values[0] if variable.ndim == 0 else values
        for name in map(str, self.coords):
            if any(name in self[k].dims for k in report):
                report[name] = [_plain(v) for v in self[name].values]
        out["report"] = report
        return out


def _plain(value: Any) -> Any:
    if isinstance(value, str | np.str_):
        return str(value)
    number = float(value)
    return number if np.isfinite(number) else None


def accuracy_report(
    ds: xr.Dataset,
    *,
    stable: Any = None,
    ice: Any = None,
    dem: str | os.PathLike[str] | Grid | None = None,
) -> AccuracyReport:
    """Everything about the accuracy of a map that its own stable ground can tell.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset; `dx_holdout`, `dy_holdout` of `correct` are used where there are any,
        so that ground judges a fit that has not seen it.
    stable : xarray.DataArray of bool or True, optional
        Non-glacial ground; by default the `stable` that `correct` left in `ds`.
    ice : path, GeoDataFrame, shapely geometry or xarray.DataArray, optional
        Outlines of the ice, or a mask on the posts, for the strain along the flow; without it
        that measure is left out.
    dem : path or xarray.DataArray, optional
        Elevation, for the errors by slope and by elevation; by default `elevation` of `ds`.

    Returns
    -------
    AccuracyReport
        A Dataset that prints as a table. Beside the variables of `accuracy`, for `dx` and `dy`:
        the empirical variogram (`semivariance_dx` over `lag_dx`) and its model (`variogram_dx`
        in words, `semivariance_fitted_dx`, `range_dx`); `n_effective_dx`, by all pairs, and
        `n_effective_circular_dx`, a check; `e_off_dx`; `within_dx`, the share of residuals within
        what the stated errors promise for each `level`, `z_nmad_dx` and `z_quantile_dx` (over
        `gaussian_quantile`); `error_by_slope_dx` and so on over `slope_bin_dx`, with the scatter
        found as `error_found_by_slope_dx`. Of the velocity: GLAFT's `static_...` and `strain_...`
        (half widths, peak, share of outliers, density).

    Raises
    ------
    StableTerrainError
        Without stable ground that has valid posts.

    Notes
    -----
    See `accuracy`, `uncertainty.variograms`, `uncertainty.areas`, `uncertainty.covariates` and
    `uncertainty.densities` for the methods. The errors by covariate are of the residuals
    themselves; what is left of a trend in the residuals over their stated errors is a flaw of
    these.

    Examples
    --------
    >>> import glaciertoolkit as gt
    >>> pair = gt.simulate_pair(size=512, seed=1, relief=1500)
    >>> dem, outlines = gt.simulate_dem(pair), gt.simulate_outlines(pair)
    >>> offsets = gt.track(pair, template=32, search=12, step=8).compute()
    >>> stable = gt.stable_terrain(offsets, outlines=outlines, dem=dem)
    >>> velocity = gt.correct(offsets, stable=stable, dem=dem, order=1).glacier.velocity()
    >>> report = gt.accuracy_report(velocity, dem=dem)
    >>> 0 < float(report.holdout_dx_nmad) < 2
    True
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy"))
    statistics = accuracy(ds, stable=stable)
    ground = as_stable(ds["stable"] if stable is None and "stable" in ds else stable, ds)
    mask = np.asarray(ground.values, bool)
    out = xr.Dataset(dict(statistics.variables))
    covariates = _covariates(ds, dem)
    for name in COMPONENTS:
        held = f"{name}_holdout" if f"{name}_holdout" in ds else name
        residual = np.where(mask, np.asarray(ds[held].values, float), np.nan)
        out = out.assign(_spatial(ds, name, residual))
        if f"{name}_error" in ds:
            error = np.asarray(ds[f"{name}_error"].values, float)
            out = out.assign(_calibration(name, residual / error))
        for covariate, values in covariates.items():
            curve = error_curve(residual, values.values, name=covariate)
            if curve is not None:
                out = out.assign(_curve(name, curve, str(values.attrs.get("units", "1"))))
    out = xr.merge([out, *_densities(ds, mask, ice)], join="exact")
    return AccuracyReport(out.data_vars, coords=out.coords, attrs=dict(statistics.attrs))


def _spatial(ds: xr.Dataset, name: str, residual: Array) -> Mapping[str, Any]:
    """Variogram, effective number and zonal error of the residuals of one component."""
    lags, model = residual_variogram(residual, ds)
    spacing = grid_spacing(ds)
    known = np.isfinite(residual)
    independent = effective_number(known, spacing, model)
    disc = circular_number(int(known.sum()), spacing, model)
    found: dict[str, Any] = {
        f"variogram_{name}": ((), str(model), {"long_name": "model of the variogram, m2 and m"}),
        f"range_{name}": ((), model.reach, {"units": "m", "long_name": "longest range"}),
        f"n_effective_{name}": ((), independent, {"units": "1"}),
        f"n_effective_circular_{name}": ((), disc, {"units": "1"}),
        f"e_off_{name}": ((), e_off(residual, independent), {"units": "m"}),
    }
    return found | _lag_variables(name, lags, model)


def _lag_variables(name: str, lags: Lags, model: Variogram) -> dict[str, Any]:
    if lags.distance.size == 0:
        return {}
    dim = f"lag_{name}"
    return {
        dim: (dim, lags.distance, {"units": "m", "long_name": "distance between posts"}),
        f"semivariance_{name}": (dim, lags.semivariance, {"units": "m2"}),
        f"semivariance_fitted_{name}": (dim, model(lags.distance), {"units": "m2"}),
        f"pairs_{name}": (dim, lags.pairs, {"units": "1"}),
    }


def _calibration(name: str, z: Array) -> dict[str, Any]:
    """How the residuals over their stated errors compare with a Gaussian."""
    from scipy.special import ndtri

    known = z[np.isfinite(z)]
    if known.size == 0:
        return {}
    bounds = ndtri((1 + LEVELS) / 2)
    within = (np.abs(known)[:, None] <= bounds).mean(axis=0)
    return {
        "level": ("level", LEVELS, {"units": "1", "long_name": "share that should lie within"}),
        f"within_{name}": ("level", within, {"units": "1", "long_name": "share that does"}),
        f"z_nmad_{name}": ((), nmad(known), {"units": "1"}),
        "gaussian_quantile": ("gaussian_quantile", ndtri(QUANTILES), {"units": "1"}),
        f"z_quantile_{name}": ("gaussian_quantile", np.quantile(known, QUANTILES), {"units": "1"}),
    }


def _curve(name: str, curve: ErrorCurve, units: str) -> dict[str, Any]:
    dim = f"{curve.name}_bin_{name}"
    return {
        dim: (dim, curve.centre, {"units": units, "long_name": curve.name}),
        f"error_by_{curve.name}_{name}": (dim, curve.fitted, {"units": "m"}),
        f"error_found_by_{curve.name}_{name}": (dim, curve.error, {"units": "m"}),
        f"count_by_{curve.name}_{name}": (dim, curve.count, {"units": "1"}),
    }


def _covariates(ds: xr.Dataset, dem: Any) -> dict[str, xr.DataArray]:
    """What is known of the posts that errors may depend on."""
    from glaciertoolkit.terrain import slope
    from glaciertoolkit.terrain.at_posts import terrain_at_posts

    found = {k: ds[k] for k in ("correlation", "snr", "slope", "elevation") if k in ds}
    if dem is not None:
        terrain = terrain_at_posts(ds, dem)
        found |= {k: terrain[k] for k in ("slope", "elevation")}
    elif "elevation" in found and "slope" not in found:
        found["slope"] = slope(ds["elevation"])
    return {k: found[k] for k in COVARIATES if k in found}


def _densities(ds: xr.Dataset, ground: Mask, ice: Any) -> Iterator[xr.Dataset]:
    """GLAFT's measures, where there are points enough."""
    if not {"vx", "vy"} <= set(ds.data_vars):
        return
    try:
        density = static_terrain(ds, ground)
        yield density_dataset(density, "static", "m yr-1", ("vx", "vy"))
    except InputError:
        pass  # too few points, or all at rest: there is no spread to speak of
    if ice is None:
        return
    on_ice = ice.values if isinstance(ice, xr.DataArray) else rasterize(ice, ds).values
    try:
        density = flow_strain(ds, np.asarray(on_ice, bool))
        yield density_dataset(density, "strain", "yr-1", ("normal", "shear"))
    except InputError:
        pass
