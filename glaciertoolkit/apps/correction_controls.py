"""The column of widgets of the correction lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn

from glaciertoolkit.apps.correction_content import thresholds_of
from glaciertoolkit.apps.following import WIDE

if TYPE_CHECKING:
    from glaciertoolkit.apps.correction_lab import CorrectionLab

SMALL: dict[str, Any] = {"margin": (2, 5), **WIDE}
TICK: dict[str, Any] = {"margin": (2, 10)}


def controls(lab: CorrectionLab) -> pn.Column:
    """All widgets, those of the two fits above, the rest in cards."""
    p, w = lab.param, pn.widgets
    together = w.RadioButtonGroup.from_param(p.sequential, **SMALL)
    aspect = w.Checkbox.from_param(p.aspect, **TICK)
    relief = lab.material.knows_relief
    has_errors = {"dx_error", "dy_error"} <= set(lab.material.sample.data_vars)
    together.disabled = not relief
    aspect.visible = relief and not lab.material.radar
    order = w.Select.from_param(p.order, **SMALL)
    order.disabled = p.deformation.rx().rx.not_()
    parts: list[Any] = [
        w.RadioButtonGroup.from_param(p.component, **SMALL),
        w.Checkbox.from_param(p.deformation, **TICK),
        order,
        w.Select.from_param(p.topography, disabled=not relief, **SMALL),
        aspect,
        pn.pane.HTML("Both are fitted", margin=(4, 10, 0, 10)),
        together,
        w.Select.from_param(p.loss, **SMALL),
        w.Checkbox.from_param(p.weighted, disabled=not has_errors, **TICK),
        w.Checkbox.from_param(p.streaks, **TICK),
        w.Checkbox.from_param(p.noise, **TICK),
        _ground(lab),
        _noise(lab),
        pn.Card(
            *(w.Checkbox.from_param(p[name], **TICK) for name in ("one_scale", "veil", "close_up")),
            title="Look", collapsed=True, margin=(4, 5), **WIDE,
        ),
    ]  # fmt: skip
    if lab.material.every > 1:
        parts.insert(0, _sample(lab))
    return pn.Column(*parts, width=255)


def _ground(lab: CorrectionLab) -> pn.Card:
    p, w, m = lab.param, pn.widgets, lab.material
    given = m.stable is not None
    no_shapes = m.outlines is None and m.fixed.get("polygons") is None
    clear = w.Button(label="Use all stable ground again", on_click=lab.clear_box, **SMALL)
    clear.disabled = p.box.rx().rx.is_(None)
    throttled: dict[str, Any] = {**SMALL, "format": "0[.]0"}
    return pn.Card(
        w.FloatSlider.from_param(p.buffer, disabled=given or no_shapes, **throttled),
        w.FloatSlider.from_param(p.max_slope, disabled=given or m.terrain is None, **throttled),
        clear,
        title="Stable ground", collapsed=False, margin=(4, 5), **WIDE,
    )  # fmt: skip


def _noise(lab: CorrectionLab) -> pn.Card:
    p, w, m = lab.param, pn.widgets, lab.material
    neighbours = ("median_threshold", "median_floor", "disparity_share", "disparity_reach",
                  "min_island")  # fmt: skip
    known = thresholds_of(m.sample)
    sliders = [w.FloatSlider.from_param(p[name], **SMALL) for name in neighbours] + [
        w.FloatSlider.from_param(p[name], disabled=name not in known, **SMALL)
        for name in ("min_correlation", "min_snr", "min_peak_ratio")
    ]
    for slider in sliders:
        if not slider.disabled:
            slider.disabled = p.noise.rx().rx.not_()
    return pn.Card(*sliders, title="Noise filter", collapsed=True, margin=(4, 5), **WIDE)


def _sample(lab: CorrectionLab) -> pn.Column:
    m = lab.material
    shown = m.sample.sizes["y"] * m.sample.sizes["x"]
    every = m.offsets.sizes["y"] * m.offsets.sizes["x"]
    words = (
        f"Corrected live: a sample of {shown:,} of {every:,} posts, one of {m.every} by {m.every}. "
        "Noise filters need the neighbours of a post: they act when you correct all posts."
    )
    style = "font-size:12px;background:#eef4fa;padding:5px 8px;border-radius:4px"
    text = pn.pane.HTML(f"<div class='sample' style='{style}'>{words}</div>", **SMALL)
    button = pn.widgets.Button(label="Correct all posts", on_click=lab.correct_all, **SMALL)
    return pn.Column(text, button, margin=0, **WIDE)
