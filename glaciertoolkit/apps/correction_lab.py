"""The correction lab: see what each correction removes, and let the ground at rest answer."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from typing import Any

import panel as pn
import param
import xarray as xr

from glaciertoolkit import maps
from glaciertoolkit.apps.asking import Asking
from glaciertoolkit.apps.content import pair_words
from glaciertoolkit.apps.correction_answer import DEFAULTS, Answer, Question, Workbench, code_of
from glaciertoolkit.apps.correction_content import (
    CORRECTING,
    STABLE,
    Material,
    gather_material,
)
from glaciertoolkit.apps.correction_controls import controls
from glaciertoolkit.apps.correction_figures import MAGNITUDE
from glaciertoolkit.apps.correction_view import CorrectionView
from glaciertoolkit.apps.following import WIDE
from glaciertoolkit.apps.off_the_loop import session
from glaciertoolkit.correction.terms import BASES
from glaciertoolkit.terrain.stable import OUTLINE_BUFFER

TITLE = "Correction lab"
PATIENCE = 300
"""Milliseconds after which an answer that is on its way is announced."""
SURFACES: dict[str, Any] = {
    "constant (0)": 0, "plane (1)": 1, "bilinear": "bilinear", "quadratic (2)": 2, "cubic (3)": 3,
    "thin-plate spline": "tps", "what cross-validation finds (auto)": "auto",
}  # fmt: skip
ON_A_MAP: dict[str, Any] = {
    "in proportion to elevation": "elevation", "elevation and its square": "quadratic",
    "left in place": False,
}  # fmt: skip
BY_ORBITS: dict[str, Any] = {
    "as the orbits predict": "geometric", "baseline fitted": "baseline", **ON_A_MAP,
}  # fmt: skip
ADJUSTED = (
    "deformation", "order", "topography", "aspect", "sequential", "loss", "weighted", "streaks",
    "noise", "disparity_share", "disparity_reach", "median_threshold", "median_floor",
    "min_island", "min_correlation", "min_snr", "min_peak_ratio",
)  # fmt: skip
assert set(SURFACES.values()) == {*BASES, "auto"}


class CorrectionLab(Asking, pn.viewable.Viewer):
    """Turn the options of the corrections, and see what they remove and what they leave.

    Parameters
    ----------
    material : Material
        From `gather_material`.
    **options
        Those of `correct` and `stable_terrain` to begin with; those without a widget stay as they
        are.
    """

    component: Any = param.Selector(
        default="x", objects={"x": "x", "y": "y", "both (magnitude)": MAGNITUDE}, label="Component"
    )
    deformation = param.Boolean(default=True, label="Remove the deformation")
    order: Any = param.Selector(default=2, objects=SURFACES, label="Its surface")
    topography: Any = param.Selector(
        default="elevation", objects=ON_A_MAP, label="Topography-related offset"
    )
    aspect = param.Boolean(default=False, label="also by slope and aspect")
    sequential: Any = param.Selector(
        default=False, objects={"together": False, "one after the other": True},
        label="Deformation and topography are fitted",
    )  # fmt: skip
    loss: Any = param.Selector(
        default="tukey", objects={"Tukey (outliers count nothing)": "tukey",
                                  "Huber (outliers count little)": "huber"},
        label="Robust loss",
    )  # fmt: skip
    weighted = param.Boolean(default=False, label="weigh points by their errors")
    streaks = param.Boolean(default=False, label="Remove streaks (y)")
    noise = param.Boolean(default=True, label="Remove high-frequency noise")
    median_threshold = param.Number(3.0, bounds=(1.0, 10.0), step=0.5, label="Median test, NMADs")
    median_floor = param.Number(0.1, bounds=(0.0, 2.0), step=0.05, label="Always allowed, pixels")
    disparity_share = param.Number(
        8 / 25, bounds=(0.0, 1.0), step=0.02, label="Share of neighbours that must agree"
    )
    disparity_reach = param.Number(
        0.2, bounds=(0.0, 1.0), step=0.02, label="They agree within, search radii"
    )
    min_island = param.Number(1.0, bounds=(0.0, 4.0), step=0.5, label="Least group, templates")
    min_correlation = param.Number(0.0, bounds=(0.0, 1.0), step=0.02, label="Least correlation")
    min_snr = param.Number(0.0, bounds=(0.0, 30.0), step=0.5, label="Least snr")
    min_peak_ratio = param.Number(0.0, bounds=(0.0, 3.0), step=0.05, label="Least peak ratio")
    buffer = param.Number(
        OUTLINE_BUFFER, bounds=(0.0, 1000.0), step=10.0, label="Buffer about glaciers (m)"
    )
    max_slope = param.Number(45.0, bounds=(1.0, 90.0), step=1.0, label="Steepest stable slope (°)")
    box: Any = param.Tuple(default=None, length=4, allow_None=True, precedence=-1)
    one_scale = param.Boolean(default=False, label="one colour scale for all maps")
    veil = param.Boolean(default=True, label="veil what is not stable")
    close_up = param.Boolean(default=False, label="histograms: only the last step's width")
    answer: Any = param.ClassSelector(class_=Answer, precedence=-1, doc="what is shown")

    def __init__(self, material: Material, **options: Any) -> None:
        maps.holoviews()  # in a notebook: Bokeh's scripts come with the page, without a network
        self.material, self.bench = material, Workbench(material)
        self._reliefs = BY_ORBITS if material.radar else ON_A_MAP
        if not material.knows_relief:
            self._reliefs = {"left in place (no elevation model)": False}
        self._usual: dict[str, Any] = {"topography": "geometric" if material.radar else "elevation"}
        if not material.knows_relief:
            self._usual["topography"] = False
        if options.get("topography") is True or not material.knows_relief:
            options.pop("topography", None)
        self._default_buffer = 0.0 if material.outlines is None else OUTLINE_BUFFER
        start = {"buffer": self._default_buffer}
        given = (*ADJUSTED, "buffer", "max_slope")
        start |= {name: options.pop(name) for name in given if self._has_widget(name, options)}
        self.fixed = options
        relief = start.pop("topography", self._usual["topography"])
        pn.viewable.Viewer.__init__(self, **start)
        # Of this lab alone: the parameter of the class knows what there is on a map.
        self.param.topography.objects = self._reliefs
        self.topography = relief
        self._prepare_asking("correction-lab", threads=2)
        self.answer = self.bench.answer(self.question)
        self._asked: Question = self.question

    def _has_widget(self, name: str, options: dict[str, Any]) -> bool:
        """Whether an option is given, and is a number or word that its widget can show."""
        if name not in options:
            return False
        known, value = self.param[name], options[name]
        if name == "topography":
            return value in self._reliefs.values()
        if isinstance(known, param.Selector):
            return value in list(known.objects)
        if isinstance(known, param.Boolean):
            return isinstance(value, bool)
        low, high = known.bounds
        return isinstance(value, int | float) and low <= value <= high

    # ---- what is asked
    @property
    def options(self) -> dict[str, Any]:
        """The options of `correct`, as they are set."""
        found = {name: DEFAULTS[name] for name in CORRECTING}
        found |= {name: getattr(self, name) for name in ADJUSTED}
        found |= {k: v for k, v in self.fixed.items() if k in CORRECTING}
        if found["topography"] == self._usual["topography"] and self.material.knows_relief:
            found["topography"] = True
        if self.material.radar or not found["topography"]:
            found["aspect"] = False
        return found

    @property
    def question(self) -> Question:
        """What is asked: the options of `correct`, and what counts as stable."""
        buffer = self.fixed.get("buffer", self.buffer)
        ground = {
            "buffer": None if buffer == self._default_buffer else buffer,
            "max_slope": self.fixed.get("max_slope", self.max_slope),
            "box": self.box,
        }
        return Question(self.options, ground)

    @property
    def code(self) -> str:
        """The calls of `stable_terrain` and `correct` that give exactly what is shown."""
        return code_of(self.material, self._asked, self.bench, whole=self.answer.whole)

    @property
    def motion(self) -> xr.Dataset | None:
        """What `correct` made of the posts that are shown, without the errors."""
        return self.answer.motion if self.answer is not None else None

    # ---- answers
    @param.depends(*ADJUSTED, "buffer", "max_slope", "box", watch=True)
    def _ask(self) -> None:
        self._ask_anew()

    def _question(self) -> Callable[[], tuple[Question, Answer]]:
        question = self.question
        self._wait()
        return lambda: (question, self.bench.answer(question))

    def _wait(self) -> None:
        """Announce an answer that takes long."""
        if document := session():
            document.add_timeout_callback(self._announce, PATIENCE)

    def _announce(self) -> None:
        if self._busy:
            self._on_views(lambda view: view.show_busy(True))

    def _answered(self, answer: tuple[Question, Answer]) -> None:
        self._asked, found = answer
        self._on_views(lambda view: view.show_busy(False))
        self.answer = found

    def _afterwards(self) -> None:
        """The hold-out and what is lost without each correction: they take longer."""
        if self._busy or self.answer.motion is None or self.answer.left_out is not None:
            return
        question, answer = self._asked, self.answer
        self._loop.run(
            lambda: self.bench.judge(question, answer, lambda: self._busy),
            functools.partial(self._judged, answer),
        )

    def _judged(self, of: Answer, judged: Answer) -> None:
        if of is self.answer:
            with param.parameterized.discard_events(self):
                self.answer = judged
            self._on_views(lambda view: view.show_tables(self.answer))

    def correct_all(self, _: Any = None) -> None:
        """Correct all posts, and not the sample alone."""
        if self._busy:
            return
        question = self.question
        self._busy = True
        self._on_views(lambda view: view.show_busy(True))
        self._loop.run(lambda: (question, self.bench.all_posts(question)), self._receive)

    @param.depends("answer", watch=True)
    def _follow(self) -> None:
        self._on_views(self._draw)

    @param.depends("component", "one_scale", "veil", "close_up", watch=True)
    def _look(self) -> None:
        self._on_views(self._draw)

    def _draw(self, view: CorrectionView) -> None:
        view.show(
            self.answer, component=self.component, one_scale=self.one_scale, veil=self.veil,
            close_up=self.close_up,
        )  # fmt: skip
        view.show_code(self.code)

    @param.depends("box", watch=True)
    def _show_box(self) -> None:
        self._on_views(lambda view: view.show_box(self.box))

    def _dragged(self, event: Any) -> None:
        try:
            x0, y0, x1, y1 = (round(float(word), 2) for word in str(event.new).split()[:4])
        except ValueError:
            return
        self.box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))

    def clear_box(self, _: Any = None) -> None:
        """Use all of the stable ground again."""
        self.box = None

    # ---- the page
    def __panel__(self) -> pn.viewable.Viewable:
        view = CorrectionView(self.material)
        view.chosen.param.watch(self._dragged, "value")
        body = view.body()
        self._views.add(view)
        self._draw(view)
        view.show_box(self.box)
        if self.answer.left_out is None:
            self._afterwards()
        facts = html.escape(pair_words(self.material.offsets))
        header = pn.Row(
            pn.pane.HTML(
                f'<span style="font-size:20px;font-weight:600">{TITLE}</span> '
                f'<span style="color:#555;margin-left:10px">{facts}</span>', margin=(5, 10), **WIDE,
            ),
            view.busy, margin=0, **WIDE,
        )  # fmt: skip
        beside = pn.FlexBox(
            controls(self), body, flex_wrap="wrap", align_items="flex-start", **WIDE
        )
        return pn.Column(header, beside, **WIDE)


def lab(offsets: xr.Dataset, **given: Any) -> CorrectionLab:
    """The lab of some offsets; options of `correct` apart from what the material is made of."""
    material, options = prepared(offsets, **given)
    return CorrectionLab(material, **options)


def prepared(offsets: xr.Dataset, **given: Any) -> tuple[Material, dict[str, Any]]:
    """The material, and the options to begin with; raises where a value cannot be used."""
    options = {k: given.pop(k) for k in (*CORRECTING, *STABLE) if k in given}
    return gather_material(offsets, **given), options
