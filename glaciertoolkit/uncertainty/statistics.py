"""How good a velocity map is: what is left on ground that does not move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import YEAR_DAYS, interval_days, validate
from glaciertoolkit.correction.points import template_posts
from glaciertoolkit.errors import GridError, StableTerrainError
from glaciertoolkit.grids import grid_spacing
from glaciertoolkit.robust import nmad
from glaciertoolkit.uncertainty.areas import effective_number
from glaciertoolkit.uncertainty.variograms import residual_variogram

GROUNDS = ("fit", "holdout")
STATISTICS = (
    "bias", "median", "std", "rmse", "mae", "nmad", "p05", "p16", "p50", "p68", "p84", "p95",
    "within_half_metre", "n", "n_effective",
)  # fmt: skip
DISPLACEMENTS = ("dx", "dy", "d")
VELOCITIES = ("vx", "vy", "v")
TABLE = ("bias", "median", "std", "rmse", "nmad", "p95", "within_half_metre", "n", "n_effective")
HEADS = {"within_half_metre": "in 0.5 m", "n_effective": "n eff."}
UNITLESS = ("n", "n_effective", "within_half_metre")


class Accuracy(xr.Dataset):
    """A Dataset of 0-d statistics that prints as a table.

    Names are ``{ground}_{variable}_{statistic}``, such as `holdout_dx_nmad`.
    """

    __slots__ = ()

    def rows(self) -> Iterator[tuple[str, str, str, dict[str, float]]]:
        """(ground, variable, unit, statistics) of each line of the table."""
        for ground in GROUNDS:
            for variable in (*DISPLACEMENTS, *VELOCITIES):
                name = f"{ground}_{variable}_nmad"
                if name in self:
                    found = {s: float(self[f"{ground}_{variable}_{s}"]) for s in STATISTICS}
                    yield ground, variable, str(self[name].attrs["units"]), found

    def __repr__(self) -> str:
        head = f"{'ground':8} {'':3} " + " ".join(f"{HEADS.get(s, s):>9}" for s in TABLE) + "  unit"
        lines = ["Residual motion of stable terrain", head]
        for ground, variable, unit, found in self.rows():
            numbers = " ".join(f"{_short(found[s]):>9}" for s in TABLE)
            lines.append(f"{ground:8} {variable:3} {numbers}  {unit}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        titles = ("ground", "", *(HEADS.get(s, s) for s in TABLE), "unit")
        head = "".join(f"<th>{s}</th>" for s in titles)
        body = "".join(
            f"<tr><td>{g}</td><td>{v}</td>"
            + "".join(f"<td>{_short(f[s])}</td>" for s in TABLE)
            + f"<td>{u}</td></tr>"
            for g, v, u, f in self.rows()
        )
        return f"<table><tr>{head}</tr>{body}</table>"

    def to_json(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Nested dictionary: ground, variable, then the statistics and the `unit`.

        Not-a-number becomes None, as JSON has none.
        """
        out: dict[str, dict[str, dict[str, Any]]] = {}
        for ground, variable, unit, found in self.rows():
            numbers: dict[str, Any] = {
                k: (float(v) if np.isfinite(v) else None) for k, v in found.items()
            }
            for k in ("n", "n_effective"):
                numbers[k] = None if numbers[k] is None else round(numbers[k])
            out.setdefault(ground, {})[variable] = {**numbers, "unit": unit}
        return out


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def accuracy(ds: xr.Dataset, *, stable: Any = None) -> Accuracy:
    """Statistics of the motion that is left on stable terrain.

    Parameters
    ----------
    ds : xarray.Dataset
        Motion or velocity: `dx`, `dy` and, for velocities, the two dates. `dx_holdout`,
        `dy_holdout` of `correct` give the statistics of the ground that the fit did not see.
    stable : xarray.DataArray of bool or True, optional
        Non-glacial ground; by default the `stable` that `correct` left in `ds`.

    Returns
    -------
    Accuracy
        A Dataset of 0-d variables ``{ground}_{variable}_{statistic}``: ground `fit` or `holdout`;
        variable `dx`, `dy`, `d` (magnitude) in m and `vx`, `vy`, `v` in m yr-1; statistic `bias`
        (mean), `median`, `std`, `rmse` (about zero), `mae`, `nmad`, percentiles `p05` to `p95` of
        the absolute residual, `within_half_metre` (share within 0.5 m), `n` posts and
        `n_effective` independent ones.

    Raises
    ------
    StableTerrainError
        Without stable ground that has valid posts.

    Notes
    -----
    The magnitude of a vector whose components have Gaussian noise of standard deviation s is
    Rayleigh distributed: mean 1.25 s, median 1.18 s. Quote the components. `n_effective` is the
    number of independent values whose mean would be as certain, from the fitted variogram of the
    residuals and all pairs of posts (`effective_number`); of the magnitudes, the smaller of those
    of the components. Where no variogram can be fitted the templates are counted.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> dx = np.random.default_rng(0).normal(0, 0.3, x.shape)
    >>> ds = xr.Dataset({"dx": (dims, dx), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> found = accuracy(ds, stable=True)
    >>> round(float(found.fit_dx_nmad), 1)
    0.3
    """
    from glaciertoolkit.terrain import as_stable

    validate(ds, needs=("dx", "dy"))
    ground = as_stable(ds["stable"] if stable is None and "stable" in ds else stable, ds)
    mask = np.asarray(ground.values, bool)
    dated = {"reference_time", "secondary_time"} <= set(ds.coords)
    per_year = YEAR_DAYS / interval_days(ds) if dated else None
    sources = {"fit": ("dx", "dy")}
    if "dx_holdout" in ds:
        sources["holdout"] = ("dx_holdout", "dy_holdout")
    variables: dict[str, Any] = {}
    for name, (x, y) in sources.items():
        dx, dy = (np.asarray(ds[v].values) for v in (x, y))
        valid = mask & np.isfinite(dx) & np.isfinite(dy)
        if not valid.any():
            if name == "fit":
                raise StableTerrainError(
                    f"none of the {int(mask.sum())} stable posts has a valid displacement; look "
                    f"at summary() for the reasons, or give other stable ground."
                )
            continue
        effective = {
            label: _effective(ds, np.where(valid, residual, np.nan))
            for label, residual in (("dx", dx), ("dy", dy))
        }
        effective["d"] = min(effective.values())
        along, across = dx[valid].astype(float), dy[valid].astype(float)
        for label, residual in (("dx", along), ("dy", across), ("d", np.hypot(along, across))):
            n = effective[label]
            variables |= _variables(name, label, residual, 1.0, "m", n)
            if per_year is not None:
                fast = "v" + label[1:]
                variables |= _variables(name, fast, residual, per_year, "m yr-1", n)
    return Accuracy(variables, attrs={"long_name": "residual motion of stable terrain"})


FEWEST = 200
"""Posts below which the variogram of their residuals says nothing."""


def _effective(ds: xr.Dataset, residual: npt.NDArray[np.floating]) -> float:
    """Number of independent values among residuals that are NaN off the ground."""
    valid = np.isfinite(residual)
    if valid.sum() >= FEWEST:
        try:
            spacing = grid_spacing(ds)
        except GridError:
            pass  # posts in no regular grid of metres: their templates are counted
        else:
            _, model = residual_variogram(residual, ds)
            return effective_number(valid, spacing, model)
    cy, cx = template_posts(ds)
    rows, cols = np.nonzero(valid)
    return float(np.unique((rows // cy) * (valid.shape[1] + 1) + cols // cx).size)


def _variables(
    ground: str, label: str, metres: npt.NDArray[np.float64], factor: float, unit: str, n_eff: float
) -> dict[str, Any]:
    x = metres * factor
    size = np.abs(x)
    found = {
        "bias": x.mean(),
        "median": np.median(x),
        "std": x.std(ddof=1) if x.size > 1 else np.nan,
        "rmse": np.sqrt((x**2).mean()),
        "mae": size.mean(),
        "nmad": nmad(x),
        **{f"p{p:02d}": np.percentile(size, p) for p in (5, 16, 50, 68, 84, 95)},
        "within_half_metre": (np.abs(metres) <= 0.5).mean(),
        "n": x.size,
        "n_effective": n_eff,
    }
    return {
        f"{ground}_{label}_{k}": ((), float(v), {"units": "1" if k in UNITLESS else unit})
        for k, v in found.items()
    }
