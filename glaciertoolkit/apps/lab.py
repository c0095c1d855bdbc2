"""The tracking lab: choose a place, turn the options of tracking, watch the match answer."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn
import param
import xarray as xr

from glaciertoolkit import maps
from glaciertoolkit.apps.asking import Asking
from glaciertoolkit.apps.following import WIDE
from glaciertoolkit.apps.lab_answer import Answer, Bench
from glaciertoolkit.apps.lab_images import Overview, first_place, overview
from glaciertoolkit.apps.lab_view import LabView
from glaciertoolkit.apps.off_the_loop import Views
from glaciertoolkit.conventions import validate
from glaciertoolkit.errors import GlacierToolkitError, ParameterError
from glaciertoolkit.tracking.parameters import METHODS, PREFILTERS
from glaciertoolkit.tracking.track import parameters_of

FALSE_ALARMS = [0.0001, 0.001, 0.01, 0.1, 1.0]
WORDS = {
    "ncc": "normalised cross-correlation", "orientation": "orientation correlation",
    "phase": "phase correlation", "coherent": "coherent (complex)",
    "highpass": "high-pass, Gaussian", "box": "high-pass, square", "wallis": "Wallis",
    "log": "logarithm, then high-pass", "sobel": "gradient (Sobel)", "none": "none",
}  # fmt: skip
ADJUSTED = (
    "template", "search", "method", "prefilter", "prefilter_sigma", "prefilter_width",
    "oversample", "false_alarm", "min_peak_ratio", "min_correlation",
)  # fmt: skip


class TrackingLab(Asking, pn.viewable.Viewer):
    """Touch the tracking itself: what is matched at one place, how, and how well.

    Parameters
    ----------
    pair : xarray.Dataset
        From `open_pair`; lazy ones are read where they are looked at.
    view : Overview, optional
        Of the pair, where it has been computed already.
    x, y : float, optional
        The place to begin with, metres; by default the middle of what both images cover.
    **options
        Those of `track` to begin with; those without a widget stay as they are.
    """

    x = param.Number(allow_None=True, label="x (m)")
    y = param.Number(allow_None=True, label="y (m)")
    method: Any = param.Selector(objects={WORDS[m]: m for m in METHODS}, label="Method")
    template = param.Integer(default=64, bounds=(8, 128), step=4, label="Template (pixels)")
    search = param.Integer(default=16, bounds=(2, 64), step=1, label="Search radius (pixels)")
    prefilter: Any = param.Selector(objects={WORDS[p]: p for p in PREFILTERS}, label="Filter")
    prefilter_sigma = param.Number(
        default=3.0, bounds=(0.5, 20.0), step=0.5, label="Width of the Gaussian (pixels)"
    )
    prefilter_width = param.Integer(
        default=21, bounds=(3, 101), step=2, label="Edge of the square (pixels)"
    )
    oversample: Any = param.Selector(
        default=0,
        objects={"as the images need": 0, "1 (as they are)": 1, "2 (twice)": 2},
        label="Oversampling",
    )
    centre_x = param.Number(default=0.0, label="Search about dx (m)")
    centre_y = param.Number(default=0.0, label="Search about dy (m)")
    false_alarm: Any = param.Selector(
        default=0.01, objects=FALSE_ALARMS, label="Chance match tolerated (false alarm)"
    )
    min_peak_ratio = param.Number(
        default=1.1, bounds=(1.0, 3.0), step=0.05, label="Least peak ratio"
    )
    min_correlation = param.Number(
        default=0.0, bounds=(0.0, 1.0), step=0.05, label="Least correlation"
    )
    vectors = param.Boolean(default=True, label="Offsets of the posts around")
    answer: Any = param.ClassSelector(class_=Answer, precedence=-1, doc="what is shown")
    around: Any = param.ClassSelector(class_=xr.Dataset, precedence=-1, doc="posts around it")

    def __init__(
        self,
        pair: xr.Dataset,
        *,
        view: Overview | None = None,
        x: float | None = None,
        y: float | None = None,
        **options: Any,
    ) -> None:
        maps.holoviews()  # in a notebook: Bokeh's scripts come with the page, without a network
        self.bench, self.overview = opened(pair, view, options)
        place = first_place(self.overview)
        start = {name: options.pop(name) for name in ADJUSTED if _has_widget(name, options)}
        self.fixed = options
        pn.viewable.Viewer.__init__(
            self, x=place[0] if x is None else x, y=place[1] if y is None else y, **start
        )
        self._roots: list[pn.Column] = []
        self._prepare_asking("tracking-lab")
        self._around_of: Answer | None = None
        self._status = pn.pane.HTML("", **WIDE)
        self.answer = self.bench.answer(self.x, self.y, self.options)

    # ---- what is asked
    @property
    def options(self) -> dict[str, Any]:
        """The options of `track`, as they are set."""
        found = {**self.fixed, **{name: getattr(self, name) for name in ADJUSTED}}
        found |= {name: self.fixed[name] for name in ADJUSTED if name in self.fixed}
        found["oversample"] = found["oversample"] or None
        if (self.centre_x or self.centre_y) and not {"prior", "max_displacement"} & set(found):
            found["prior"] = (float(self.centre_x), float(self.centre_y))
        return found

    @property
    def code(self) -> str:
        """A call of `track` with these options, without those that are its defaults."""
        import inspect

        from glaciertoolkit.tracking.track import track

        defaults = {n: p.default for n, p in inspect.signature(track).parameters.items()}
        given = {n: v for n, v in self.options.items() if v != defaults[n]}
        width = {"highpass": "prefilter_width", "log": "prefilter_width"}.get(self.prefilter)
        given.pop(width or "", None)
        words = ", ".join(
            f"{n}={v!r}" if not isinstance(v, xr.Dataset) else f"{n}={n}" for n, v in given.items()
        )
        return f"offsets = pair.glacier.track({words})"

    @property
    def found(self) -> xr.Dataset | None:
        """The place as `correlation_surface` returns it; None where it cannot be matched."""
        return self.answer.found if self.answer is not None else None

    # ---- answers
    @param.depends(
        "x", "y", "centre_x", "centre_y", "method", "template", "search", "prefilter",
        "prefilter_sigma", "prefilter_width", "oversample", "false_alarm", "min_peak_ratio",
        "min_correlation", watch=True,
    )  # fmt: skip
    def _ask(self) -> None:
        self._ask_anew()

    def _question(self) -> Callable[[], Answer]:
        return functools.partial(self.bench.answer, self.x, self.y, self.options)

    def _answered(self, answer: Answer) -> None:
        self.answer = answer

    def _afterwards(self) -> None:
        self._look_around()

    @param.depends("vectors", watch=True)
    def _look_around(self) -> None:
        """The offsets around the place, after the answer: they may take longer."""
        if not self.vectors or self.found is None or not self._views:
            self.around = self._around_of = None
        elif not self._busy and self._around_of is not self.answer:
            self._around_of = self.answer
            self._loop.run(
                functools.partial(self.bench.around, self.found, self.options),
                functools.partial(self._receive_around, self.answer),
            )

    def _receive_around(self, answer: Answer, around: xr.Dataset | None) -> None:
        if answer is self.answer and self.vectors:
            self.around = around

    @param.depends("answer", watch=True)
    def _follow(self) -> None:
        self._on_views(lambda view: view.show(self.answer, self.code))

    @param.depends("around", watch=True)
    def _follow_around(self) -> None:
        self._on_views(lambda view: view.show_around(self.around))

    def _clicked(self, event: Any) -> None:
        try:
            x, y = (float(word) for word in str(event.new).split()[:2])
        except ValueError:
            return
        self.param.update(x=x, y=y)

    # ---- another pair
    def open_files(
        self, reference: str, secondary: str, reference_date: str = "", secondary_date: str = ""
    ) -> None:
        """Turn to two other images; what is wrong with them is said beside the fields."""
        self._say("Opening the two images ...")
        self._loop.run(
            functools.partial(
                _open, reference, secondary, reference_date, secondary_date, self.options
            ),
            self._turn_to,
        )

    def _turn_to(self, result: tuple[Bench, Overview] | str) -> None:
        if isinstance(result, str):
            self._say(result)
            return
        self._say("")
        self.bench, self.overview = result
        x, y = first_place(self.overview)
        self._views.clear()
        for root in self._roots:
            root[:] = self._page()
        with param.parameterized.discard_events(self):
            self.param.update(x=x, y=y)
        self.param.trigger("x", "y")

    def _say(self, sentence: str) -> None:
        style = "background:#fff4e0;padding:6px 10px;border-radius:4px;overflow-wrap:anywhere"
        text = f'<div class="status" style="{style}">{html.escape(sentence)}</div>'
        self._status.object = text if sentence else ""

    # ---- the page
    def __panel__(self) -> pn.viewable.Viewable:
        root = pn.Column(*self._page(), **WIDE)
        self._roots = [*self._roots, root][-Views.KEPT :]
        return root

    def _page(self) -> list[Any]:
        view = LabView(self.overview, _names(self.bench.pair))
        view.clicked.param.watch(self._clicked, "value")
        self._views.add(view)
        view.show(self.answer, self.code)
        view.show_around(self.around)
        if self.around is None:
            self._look_around()
        body = pn.FlexBox(
            self._controls(view),
            pn.Column(
                view.verdict, view.figures_in_a_flow(),
                styles={"flex": "1 1 640px", "min-width": "340px", "height": "auto"},
            ),
            flex_wrap="wrap", align_items="flex-start", **WIDE,
        )  # fmt: skip
        facts = html.escape(_facts(self.bench.pair))
        header = pn.pane.HTML(
            f'<span style="font-size:20px;font-weight:600">Tracking lab</span> '
            f'<span style="color:#555;margin-left:10px">{facts}</span>',
            margin=(5, 10), **WIDE,
        )  # fmt: skip
        return [header, body]

    def _controls(self, view: LabView) -> pn.Column:
        small: dict[str, Any] = {"margin": (2, 5), **WIDE}
        p, w = self.param, pn.widgets
        sigma = w.FloatSlider.from_param(p.prefilter_sigma, **small)
        width = w.IntSlider.from_param(p.prefilter_width, **small)
        sigma.visible = p.prefilter.rx().rx.in_(["highpass", "log"])
        width.visible = p.prefilter.rx().rx.in_(["box", "wallis"])
        acceptance = pn.Card(
            w.Select.from_param(p.false_alarm, **small),
            w.FloatSlider.from_param(p.min_peak_ratio, **small),
            w.FloatSlider.from_param(p.min_correlation, **small),
            title="What is accepted", collapsed=True, margin=(4, 5), **WIDE,
        )  # fmt: skip
        where = pn.Card(
            w.FloatInput.from_param(p.x, format="0.0", **small),
            w.FloatInput.from_param(p.y, format="0.0", **small),
            w.FloatInput.from_param(p.centre_x, **small),
            w.FloatInput.from_param(p.centre_y, **small),
            title="Place and search centre", collapsed=True, margin=(4, 5), **WIDE,
        )  # fmt: skip
        return pn.Column(
            w.IntSlider.from_param(p.template, **small),
            w.IntSlider.from_param(p.search, **small),
            w.Select.from_param(p.method, **small),
            w.Select.from_param(p.prefilter, **small),
            sigma,
            width,
            w.Select.from_param(p.oversample, **small),
            view.others["flicker"],
            w.Checkbox.from_param(p.vectors, margin=(4, 10)),
            view.numbers,
            acceptance,
            where,
            self._files(),
            view.code,
            width=255,
        )

    def _files(self) -> pn.Card:
        wide: dict[str, Any] = {"margin": (2, 5), **WIDE}
        names = ("Reference image (path)", "Secondary image (path)")
        fields = [pn.widgets.TextInput(label=name, **wide) for name in names]
        hint = "YYYY-MM-DD, if the file does not tell"
        fields += [
            pn.widgets.TextInput(label=f"Date of the {name}", placeholder=hint, **wide)
            for name in ("reference", "secondary")
        ]

        def pressed(_: Any) -> None:
            self.open_files(*(str(field.value_input or field.value).strip() for field in fields))

        button = pn.widgets.Button(label="Open", on_click=pressed, **wide)
        return pn.Card(
            *fields, button, self._status, title="Open another pair", collapsed=True,
            margin=(4, 5), **WIDE,
        )  # fmt: skip


def _has_widget(name: str, options: dict[str, Any]) -> bool:
    """Whether an option is given, and is a number or word that its widget can show."""
    if name not in options or isinstance(options[name], tuple | list | dict):
        return False
    known = TrackingLab.param[name]
    value = options[name]
    if isinstance(known, param.Selector):
        return value in list(known.objects)
    low, high = known.bounds
    return isinstance(value, int | float) and low <= value <= high


def opened(
    pair: xr.Dataset, view: Overview | None, options: dict[str, Any]
) -> tuple[Bench, Overview]:
    """A pair ready to be looked at; raises where it is none, or cannot be tracked at all."""
    validate(pair, needs=("reference", "secondary"))
    if min(pair["reference"].shape, default=0) < 8:
        raise ParameterError(
            f"the images are {' x '.join(map(str, pair['reference'].shape))} pixels; a template "
            "needs at least 8 along each axis."
        )
    # Images, grid and options are checked now; what sliders can mend is answered as it comes.
    rest = {n: v for n, v in options.items() if n not in ("template", "nested", "search")}
    smallest = min(8, *pair["reference"].shape)
    parameters_of(pair, **{**rest, "template": smallest, "search": 2})
    return Bench(pair), overview(pair) if view is None else view


def _open(
    reference: str, secondary: str, first: str, second: str, options: dict[str, Any]
) -> tuple[Bench, Overview] | str:
    """The pair in two files, or the sentence that says what is wrong with them."""
    from glaciertoolkit.io.images import open_pair

    if not (reference and secondary):
        missing = "reference" if not reference else "secondary"
        return f"The path of the {missing} image is missing; give two images."
    try:
        pair = open_pair(
            reference, secondary, reference_date=first or None, secondary_date=second or None
        )
        return opened(pair, None, options)
    except GlacierToolkitError as error:
        return f"These images cannot be used: {error}"
    except Exception as error:  # whatever a library makes of a strange file
        return f"These images cannot be read: {error}."


def _names(pair: xr.Dataset) -> tuple[str, str]:
    """What the two images are called: their role and their date."""

    def name(role: str) -> str:
        time = pair.coords.get(f"{role}_time")
        if time is None or np.isnat(time.values):
            return role
        return f"{role}, {np.datetime_as_string(time.values, unit='D')}"

    return name("reference"), name("secondary")


def _facts(pair: xr.Dataset) -> str:
    ny, nx = pair["reference"].shape
    spacing = [abs(float(pair[n][1] - pair[n][0])) for n in ("x", "y")]
    first, second = _names(pair)
    return f"{first} · {second} · {nx:,} x {ny:,} pixels of {spacing[0]:.4g} x {spacing[1]:.4g} m"
