"""The words and tables of the report: from Datasets to sentences and rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import interval_days
from glaciertoolkit.report_figures import signed
from glaciertoolkit.robust import nmad
from glaciertoolkit.styles import pretty_units
from glaciertoolkit.words import radar_sentence

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]

GROUNDS = {"holdout": "Held-out stable ground", "fit": "Stable ground used by the fit"}
VARIABLES = ("dx", "dy", "d", "v", "vx", "vy")
STATISTICS = {
    "bias": "bias",
    "median": "median",
    "std": "std",
    "rmse": "rmse",
    "nmad": "nmad",
    "p95": "p95",
    "within_half_metre": "within 0.5 m",
    "n": "n",
    "n_effective": "n effective",
}
GLACIER_COLUMNS = {
    "name": "name",
    "rgi_id": "identifier",
    "area_km2": "area (km²)",
    "coverage": "measured",
    "v_median": "median (m yr⁻¹)",
    "v_p90": "90th percentile (m yr⁻¹)",
    "v_p99": "99th percentile (m yr⁻¹)",
    "v_error": "error of the mean (m yr⁻¹)",
}
TOP_GLACIERS = 15
NONE = "\u2013"


class Table(NamedTuple):
    """Rows of text under a head; the first column holds words, the others numbers."""

    head: list[str]
    rows: list[list[str]]
    caption: str = ""


class Card(NamedTuple):
    """One number of the overview."""

    value: str
    label: str


def number(value: float, digits: int = 2) -> str:
    """A number for a table, or a dash where there is none."""
    return f"{value:,.{digits}f}" if np.isfinite(value) else NONE


def _statistic(accuracy: xr.Dataset | None, ground: str, variable: str, name: str) -> float:
    key = f"{ground}_{variable}_{name}"
    if accuracy is None or key not in accuracy:
        return float("nan")
    return float(accuracy[key])


def _quoted_ground(accuracy: xr.Dataset | None) -> str | None:
    """The ground whose figures are quoted: held out where there is such, else that of the fit."""
    for ground in ("holdout", "fit"):
        if np.isfinite(_statistic(accuracy, ground, "dx", "nmad")):
            return ground
    return None


def spacing(ds: xr.Dataset) -> float:
    """Metres between two posts."""
    return abs(float(ds["x"][1] - ds["x"][0])) if ds.sizes["x"] > 1 else float("nan")


def crs_name(ds: xr.Dataset) -> str:
    """Name of the coordinate reference system, such as EPSG:32645; empty in radar geometry."""
    from glaciertoolkit.grids import crs_of

    crs = crs_of(ds)
    return str(crs.to_string()) if crs is not None else ""


def _date(ds: xr.Dataset, name: str) -> str:
    when = ds[name].values.astype("datetime64[D]").item()
    return f"{when.day} {when:%B %Y}"


def _corrections(ds: xr.Dataset, history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The corrections that were applied, in words."""
    found = []
    if "dx_deformation" in ds:
        found.append("the global deformation")
    if "dx_topography" in ds:
        found.append("the topography-related offset")
    for step in history:
        given = step.get("parameters", step)
        if step.get("step") == "filter_noise" or (
            step.get("step") == "correct" and given.get("noise")
        ):
            found.append("the high-frequency noise")
            break
    return found


def _listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else list(items))


def headline(
    ds: xr.Dataset,
    *,
    raw: xr.Dataset | None,
    accuracy: xr.Dataset | None,
    history: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The result in a few sentences: what, when, how much of it, how good, what was done."""
    share = 100 * float(np.isfinite(ds["v"].values).mean())
    said = []
    if {"reference_time", "secondary_time"} <= set(ds.coords):
        said.append(
            f"Motion of the surface between {_date(ds, 'reference_time')} and "
            f"{_date(ds, 'secondary_time')}, {interval_days(ds):g} days later."
        )
    if sentence := radar_sentence(ds):
        said.append(sentence)
    covered = f"{share:.1f} % of {ds['v'].size:,} posts have a velocity, one post every "
    covered += f"{spacing(ds):g} m"
    if raw is not None and "dx" in raw:
        tracked = 100 * float(np.isfinite(raw["dx"].values).mean())
        covered += f"; tracking alone measured {tracked:.1f} %"
    said.append(covered + ".")
    ground = _quoted_ground(accuracy)
    if ground is not None:
        dx, dy = (_statistic(accuracy, ground, k, "nmad") for k in ("dx", "dy"))
        mx, my = (_statistic(accuracy, ground, k, "median") for k in ("dx", "dy"))
        where = (
            "On stable ground that the fit did not see"
            if ground == "holdout"
            else "On the stable ground of the fit itself"
        )
        said.append(
            f"{where}, the displacement scatters by {dx:.2f} m along x and {dy:.2f} m along y "
            f"(NMAD), about a median of {signed(mx, 2)} m and {signed(my, 2)} m."
        )
    else:
        said.append("There is no stable ground to judge the accuracy by.")
    done = _corrections(ds, history)
    said.append(f"Removed: {_listed(done)}." if done else "No correction was applied.")
    return said


def cards(
    ds: xr.Dataset, accuracy: xr.Dataset | None, *, ice: xr.DataArray | None = None
) -> list[Card]:
    """The overview: a handful of numbers with their units; `ice` marks the posts on glaciers."""
    speed = np.asarray(ds["v"].values, dtype=np.float64)
    chosen, where = np.isfinite(speed), "all posts"
    if ice is not None:
        chosen, where = chosen & ice.values.astype(bool), "glacier ice"
    elif "stable" in ds:
        chosen, where = chosen & ~ds["stable"].values.astype(bool), "all that is not stable ground"
    found = [Card(f"{100 * np.isfinite(speed).mean():.1f} %", "of the posts have a velocity")]
    if chosen.any():
        median, fast = np.percentile(speed[chosen], (50, 99))
        found.append(Card(f"{median:.1f} m yr⁻¹", f"median speed of {where}"))
        found.append(Card(f"{fast:.1f} m yr⁻¹", "99th percentile there"))
    ground = _quoted_ground(accuracy)
    for axis in ("x", "y") if ground else ():
        label = "held-out ground" if ground == "holdout" else "ground of the fit"
        value = _statistic(accuracy, str(ground), f"d{axis}", "nmad")
        found.append(Card(f"{value:.2f} m", f"NMAD along {axis}, {label}"))
    return found


def accuracy_tables(accuracy: xr.Dataset | None) -> list[Table]:
    """One table a ground, one row a variable, of whatever statistics there are."""
    tables = []
    for ground, caption in GROUNDS.items():
        rows = []
        present = [
            s
            for s in STATISTICS
            if any(np.isfinite(_statistic(accuracy, ground, v, s)) for v in VARIABLES)
        ]
        for variable in VARIABLES:
            found = {s: _statistic(accuracy, ground, variable, s) for s in present}
            if not any(np.isfinite(v) for v in found.values()):
                continue
            cells = []
            for name, value in found.items():
                if name == "within_half_metre":
                    known = np.isfinite(value) and variable.startswith("d")
                    cells.append(f"{100 * value:.1f} %" if known else NONE)
                else:
                    cells.append(number(value, 0 if name in ("n", "n_effective") else 3))
            unit = "m" if variable.startswith("d") else pretty_units("m yr-1")
            rows.append([variable, *cells, unit])
        if rows:
            head = ["", *(STATISTICS[s] for s in present), "unit"]
            tables.append(Table(head, rows, caption))
    return tables


def step_table(steps: Mapping[str, tuple[Array, Array]]) -> Table:
    """Posts, median, NMAD and 95th percentile of the residuals after each step."""
    rows = []
    for label, pair in steps.items():
        cells = [label]
        for values in pair:
            found = np.asarray(values, dtype=np.float64)
            found = found[np.isfinite(found)]
            if found.size == 0:
                cells += ["0", NONE, NONE, NONE]
                continue
            tail = float(np.percentile(np.abs(found), 95))
            middle = float(np.median(found))
            cells += [f"{found.size:,}", signed(middle, 3), number(nmad(found), 3), number(tail, 3)]
        rows.append(cells)
    names = ["n", "median (m)", "NMAD (m)", "p95 (m)"]
    head = ["step", *(f"{axis} {name}" for axis in ("dx", "dy") for name in names)]
    return Table(head, rows)


def elevation_table(topography: xr.Dataset | None) -> dict[str, Array] | None:
    """The columns `elevation`, `median` and, where there are any, `p10`, `p90`, `count`, `area`."""
    if topography is None or "v_median_by_elevation" not in topography:
        return None
    names = {
        "median": "v_median_by_elevation",
        "p10": "v_p10_by_elevation",
        "p90": "v_p90_by_elevation",
        "count": "count_by_elevation",
        "area": "area_by_elevation",
    }
    median = topography[names["median"]]
    table = {"elevation": np.asarray(median[median.dims[0]].values, dtype=np.float64)}
    for key, name in names.items():
        if name in topography:
            table[key] = np.asarray(topography[name].values, dtype=np.float64)
    keep = np.isfinite(table["median"])
    return {key: values[keep] for key, values in table.items()} if keep.any() else None


def elevation_rows(table: Mapping[str, Array] | None) -> Table:
    """The elevation bands from top to bottom."""
    heads = {
        "elevation": ("elevation (m)", 0),
        "area": ("area (km²)", 2),
        "count": ("posts", 0),
        "p10": ("10th percentile (m yr⁻¹)", 1),
        "median": ("median (m yr⁻¹)", 1),
        "p90": ("90th percentile (m yr⁻¹)", 1),
    }
    if table is None:
        return Table([], [])
    columns = [key for key in heads if key in table]
    order = np.argsort(table["elevation"])[::-1]
    rows = [[number(float(table[k][i]), heads[k][1]) for k in columns] for i in order]
    return Table([heads[key][0] for key in columns], rows)


def _cell(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return NONE
    if column == "coverage":
        return f"{100 * float(value):.0f} %"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return number(float(value), 2 if column == "area_km2" else 1)
    return str(value)


def glacier_table(glaciers: pd.DataFrame | None) -> Table | None:
    """The fastest glaciers, in the columns that people look for first."""
    if glaciers is None or len(glaciers) == 0:
        return None
    columns = [c for c in GLACIER_COLUMNS if c in glaciers.columns]
    columns = columns or [c for c in glaciers.columns if c != "geometry"][:8]
    ranked = glaciers
    if "v_median" in glaciers.columns:
        ranked = glaciers.sort_values("v_median", ascending=False, kind="stable")
    shown = ranked.head(TOP_GLACIERS)
    rows = [[_cell(c, row[c]) for c in columns] for _, row in shown[columns].iterrows()]
    return Table([GLACIER_COLUMNS.get(c, str(c)) for c in columns], rows)


def glacier_note(glaciers: pd.DataFrame | None) -> str:
    """How many glaciers the table leaves out."""
    total = 0 if glaciers is None else len(glaciers)
    if total > TOP_GLACIERS:
        return f"The {TOP_GLACIERS} fastest of {total} glaciers; all of them are in glaciers.csv."
    return "Sorted by median speed."
