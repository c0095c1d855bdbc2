"""Asking and answering in an app: off the event loop, and only the last question counts."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import panel as pn

from glaciertoolkit.apps.off_the_loop import OffTheLoop, Views, session
from glaciertoolkit.errors import GlacierToolkitWarning

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
        self._loop = OffTheLoop(name, threads)
        self._views: Views[Any] = Views()

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
        if not hasattr(self, "_loop"):
            return  # still being made
        if self._busy:
            self._again = True
            return
        self._again, self._busy = False, True
        self._loop.run(self._question(), self._receive)

    def _receive(self, answer: Any) -> None:
        self._busy = False
        self._answered(answer)
        if self._again:
            self._ask_anew()
        elif document := session():
            # Not now: drawing the answer needs the processors too.
            document.add_timeout_callback(self._afterwards, QUIET)
        else:
            self._afterwards()

    def _on_views(self, draw: Callable[[Any], None]) -> None:
        """Draw on all views, each in the turn of its own document."""
        if hasattr(self, "_views"):
            self._views.draw(functools.partial(_at_once, draw))


def _at_once(draw: Callable[[Any], None], view: Any) -> None:
    """Draw, and send all that changes together: the browser then paints once."""
    document = view.document
    if document is None or document.session_context is None:
        draw(view)
        return
    with pn.io.hold(document):
        draw(view)
