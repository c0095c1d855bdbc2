"""Work that takes its time, beside the event loop on which a server answers all its pages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import panel as pn


def session() -> Any:
    """The document of the session of a server that this runs for; None where there is none."""
    document = pn.state.curdoc
    served = document is not None and document.session_context is not None
    return document if served else None


def in_turn(document: Any, draw: Callable[[], Any]) -> None:
    """``draw()``, in the turn of the document that it changes where a server shows that."""
    served = document is not None and document.session_context is not None
    if served and pn.state.curdoc is not document:
        document.add_next_tick_callback(draw)
    else:
        draw()


class OffTheLoop:
    """One thread for the work of one app: what it is given comes one after the other."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)

    def run(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """``then(work())``: in the thread where a server waits for its other sessions, else now."""
        document = session()
        if document is None:
            then(work())
            return

        def done(future: Future[Any]) -> None:
            document.add_next_tick_callback(functools.partial(then, future.result()))

        self._pool.submit(work).add_done_callback(done)
