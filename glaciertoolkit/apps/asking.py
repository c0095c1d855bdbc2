"""Asking and answering in an app: off the event loop, and only the last question counts."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import panel as pn

from glaciertoolkit.errors import GlacierToolkitWarning

KEPT_VIEWS = 4
"""Views that follow; a notebook makes one each time an app is shown."""
QUIET = 350
"""Milliseconds after an answer before what is less urgent is computed."""


class Quietly:
    """A context without the warnings of this package, which an app shows from the results.

    Python keeps the filters of warnings for all threads together; so the first thread that comes
    sets this one, and the last that goes takes it away.
    """

    _lock = threading.Lock()
    _inside = 0
    _before: Any = None

    def __enter__(self) -> None:
        with Quietly._lock:
            if not Quietly._inside:
                Quietly._before = warnings.catch_warnings()
                Quietly._before.__enter__()
                warnings.simplefilter("ignore", GlacierToolkitWarning)
            Quietly._inside += 1

    def __exit__(self, *_: object) -> None:
        with Quietly._lock:
            Quietly._inside -= 1
            if not Quietly._inside:
                Quietly._before.__exit__(None, None, None)


class Asking:
    """What an app needs whose answers take a moment.

    While an answer is on its way the next question waits, and only the last one is asked. Views,
    each with a `document`, are drawn in the turn of their own document.
    """

    _busy = _again = False

    def _prepare_asking(self, name: str, threads: int = 1) -> None:
        """Make the threads that answer; with two, what can wait does not hold up an answer."""
        self._pool = ThreadPoolExecutor(threads, name)
        self._views: list[Any] = []

    # ---- to be filled in
    def _question(self) -> Callable[[], Any]:
        """What finds the answer to what is asked now; it runs in a thread."""
        raise NotImplementedError

    def _answered(self, answer: Any) -> None:
        """Take an answer."""
        raise NotImplementedError

    def _afterwards(self) -> None:
        """What can wait until nobody asks any more."""

    # ---- asking
    def _ask_anew(self) -> None:
        if not hasattr(self, "_pool"):
            return  # still being made
        if self._busy:
            self._again = True
            return
        self._again, self._busy = False, True
        self._off_the_loop(self._question(), self._receive)

    def _receive(self, answer: Any) -> None:
        self._busy = False
        self._answered(answer)
        if self._again:
            self._ask_anew()
        elif document := self._session():
            # Not now: drawing the answer needs the processors too.
            document.add_timeout_callback(self._afterwards, QUIET)
        else:
            self._afterwards()

    def _off_the_loop(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """``then(work())``: in a thread where a server waits for its other sessions, else now."""
        document = self._session()
        if document is None:
            then(work())
            return

        def done(future: Future[Any]) -> None:
            document.add_next_tick_callback(functools.partial(then, future.result()))

        self._pool.submit(work).add_done_callback(done)

    @staticmethod
    def _session() -> Any:
        """The document of the session of a server that this runs for; None where there is none."""
        document = pn.state.curdoc
        served = document is not None and document.session_context is not None
        return document if served else None

    # ---- views
    def _keep_view(self, view: Any) -> None:
        self._views = [*self._views, view][-KEPT_VIEWS:]

    def _on_views(self, draw: Callable[[Any], None]) -> None:
        """Draw on all views, each in the turn of its own document."""
        for view in getattr(self, "_views", ()):
            document = view.document
            served = document is not None and document.session_context is not None
            if served and pn.state.curdoc is not document:
                document.add_next_tick_callback(functools.partial(_held, draw, view, document))
            else:
                _held(draw, view, document if served else None)


def _held(draw: Callable[[Any], None], view: Any, document: Any) -> None:
    """Draw, and send all that changes at once: the browser then paints once."""
    if document is None:
        draw(view)
        return
    with pn.io.hold(document):
        draw(view)
