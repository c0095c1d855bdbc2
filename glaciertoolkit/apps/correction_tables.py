"""The figures of an answer in words and tables, as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.apps.correction_answer import Answer
from glaciertoolkit.apps.following import WARNING
from glaciertoolkit.correction.terms import COMPONENTS

CELL = "padding:2px 8px;text-align:right;white-space:nowrap"
FIRST = "padding:2px 8px 2px 0;text-align:left"
HEAD = "padding:2px 8px;text-align:right;color:#555;font-weight:normal;vertical-align:bottom"
NOTHING = "\u2013"
SURFACES = {
    "0": "a constant", "1": "a plane (order 1)", "bilinear": "a bilinear surface",
    "2": "a quadratic surface (order 2)", "3": "a cubic surface (order 3)",
    "tps": "a thin-plate spline",
}  # fmt: skip
LEFT_OUT = {
    "deformation": "without deformation", "topography": "without topography",
    "streaks": "without streaks", "noise": "without noise filter",
}  # fmt: skip


def metres(value: float, form: str = ".3f") -> str:
    """A number of metres, or a dash where there is none."""
    if not np.isfinite(value):
        return NOTHING
    text = format(value, form)
    return text if float(text) else format(0.0, form)  # not -0.00


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str, caption: str) -> str:
    """A table; the first cell of each row is its name."""
    titles = "".join(
        f"<th style='{FIRST if k == 0 else ''};{HEAD if k else 'font-weight:normal'}'>{name}</th>"
        for k, name in enumerate(head)
    )
    body = "".join(
        "<tr style='border-top:1px solid #e4e4e4'>"
        + "".join(f"<td style='{CELL if k else FIRST}'>{cell}</td>" for k, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f"<div style='overflow-x:auto'><b>{caption}</b><table class='{kind}' "
        f"style='font-size:12.5px;border-collapse:collapse;margin-top:3px'>"
        f"<tr>{titles}</tr>{body}</table></div>"
    )


def steps_table(answer: Answer, words: dict[str, str]) -> str:
    """NMAD and median of stable ground after each step."""
    table = answer.table
    if table is None:
        return ""
    head = ["", *(f"NMAD {words[a]}<br>(m)" for a in COMPONENTS),
            *(f"median {words[a]}<br>(m)" for a in COMPONENTS), "posts"]  # fmt: skip
    rows = []
    for step in table["step"].values:
        one = table.sel(step=step)
        cells = [metres(float(v)) for name in ("nmad", "median") for v in one[name].values]
        rows.append([html.escape(str(step)), *cells, f"{int(one['posts']):,}"])
    held = ["…", "…"]
    if answer.held is not None:
        held = [metres(float(v)) for v in answer.held["nmad_holdout"].values]
    rows.append(["<i>ground that the fit did not see</i>", *held, "", "", ""])
    return grid(head, rows, "steps", "Stable ground, step by step")


def left_out_table(answer: Answer, words: dict[str, str]) -> str:
    """What is lost if one correction is left out."""
    if answer.motion is None or answer.table is None:
        return ""
    caption = "Leave one out"
    if answer.whole:
        return (
            f"<b>{caption}</b><div>Of all posts this takes minutes: turn any option to see it for "
            "the sample.</div>"
        )
    head = [""]
    for name in ("NMAD", "NMAD unseen", "change on ice"):
        head += [f"{name}<br>{words[a]} (m)" for a in COMPONENTS]
    last = answer.table.isel(step=-1)["nmad"].values
    waiting = answer.left_out is None
    seen = [metres(float(v)) for v in last]
    held = answer.held
    unseen = ["…"] * 2 if held is None else [metres(float(v)) for v in held["nmad_holdout"].values]
    rows = [["as it is set", *seen, *unseen, "0", "0"]]
    for part, label in LEFT_OUT.items():
        found = (answer.left_out or {}).get(part)
        if found is not None:
            cells = [metres(float(v)) for n in ("nmad", "nmad_holdout") for v in found[n].values]
            cells += [metres(float(v), "+.3f") for v in found["change"].values]
            rows.append([label, *cells])
    text = grid(head, rows, "leftout", caption)
    if waiting:
        return text + "<div style='color:#555;font-size:12px'>computing the others …</div>"
    return text + (
        "<div style='color:#555;font-size:12px'>NMAD: on stable ground; unseen: on ground that "
        "the fit did not see (\u2013: nothing was held out). Change on ice: median of the result "
        "without the correction minus that with it.</div>"
    )


def facts(answer: Answer, words: dict[str, str]) -> str:
    """What the fit says about itself."""
    motion = answer.motion
    if motion is None:
        return ""
    rows: list[tuple[str, str]] = []
    if "fit_points" in motion:
        rows.append(("points of the fit", f"{int(motion['fit_points']):,}, one a template"))
        share = [f"{100 * float(v):.0f} %" for v in motion["fit_inlier_fraction"].values]
        rows.append(("of these believed", " / ".join(share)))
    if "deformation_basis" in motion:
        rows.append(("deformation", SURFACES[str(motion["deformation_basis"].item())]))
    rows += _of_topography(motion, words)
    stable = np.asarray(motion["stable"].values, bool)
    rows.append(("stable ground", f"{100 * stable.mean():.0f} % of the posts"))
    cells = "".join(
        f"<tr><td style='color:#555;padding-right:10px;vertical-align:top'>{name}</td>"
        f"<td>{value}</td></tr>"
        for name, value in rows
    )
    table = f"<table class='facts' style='font-size:12.5px'>{cells}</table>"
    return f"<b>What the fit says about itself</b>{table}"


def _of_topography(motion: xr.Dataset, words: dict[str, str]) -> list[tuple[str, str]]:
    rows = []
    if "topography_coefficient" in motion:
        found = zip(
            COMPONENTS,
            motion["topography_coefficient"].values.ravel(),
            motion["topography_coefficient_error"].values.ravel(),
            strict=False,
        )
        text = "<br>".join(
            f"{words[axis]}: {1000 * float(k):.2f} ± {1000 * float(e):.2f}" for axis, k, e in found
        )
        rows.append(("topography, m per 1000 m", text))
    if "topography_height_spread" in motion:
        spread, r2 = (float(motion[f"topography_{k}"]) for k in ("height_spread", "r2"))
        rows.append(("spread of its heights", f"{spread:.0f} m"))
        rows.append(("R² of height and position", f"{r2:.2f} (near 1: not to be told apart)"))
    if "baseline_orbit" in motion:
        rows.append(("baseline of the orbits", f"{float(motion['baseline_orbit']):.0f} m"))
    if "baseline_perpendicular" in motion:
        value, error = (
            float(motion[f"baseline_perpendicular{end}"]) for end in ("", "_error")
        )  # fmt: skip
        rows.append(("baseline of the ground", f"{value:.0f} ± {error:.0f} m"))
    return rows


def sentences(answer: Answer, shown: bool) -> str:
    """What is wrong, or what the fit warns of; `shown`: an earlier answer is still on the page."""
    found = answer.warnings
    kind = "warnings"
    if answer.problem:
        kind, found = "problem", [answer.problem]
        if shown:
            found.append("The figures show the last result.")
    lines = "".join(f"<div>⚠ {html.escape(line[:1].upper() + line[1:])}</div>" for line in found)
    return f"<div class='{kind}' style='{WARNING}'>{lines}</div>" if found else ""


def notes(found: Sequence[str]) -> str:
    """What the lab has to do without."""
    if not found:
        return ""
    lines = "".join(f"<li>{html.escape(note)}</li>" for note in found)
    return f"<ul class='notes' style='margin:2px 0;padding-left:18px;color:#444'>{lines}</ul>"


def axis_words(names: dict[str, str], *, radar: bool) -> dict[str, Any]:
    """What the components are called in tables: short."""
    return {"x": "ground range", "y": names["y"]} if radar else {"x": "x", "y": "y"}
