"""Work that takes its time, beside the event loop on which a server answers all its pages."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

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
    """The threads for the work of one app; with one, all comes in the order of the asking.

    With two, what can wait does not hold up an answer.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, name)

    def run(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """``then(work())``: in a thread where a server waits for its other sessions, else now."""
        document = session()
        if document is None:
            then(work())
            return
        loop = asyncio.get_running_loop()

        def done(future: Future[Any]) -> None:
            # Not the document itself from this thread: while Panel holds its events back, one that
            # another thread adds can get lost, and nobody would ever hear of the answer.
            then_ = functools.partial(then, future.result())
            loop.call_soon_threadsafe(document.add_next_tick_callback, then_)

        self._pool.submit(work).add_done_callback(done)


class View(Protocol):
    """What one page or cell shows of an app."""

    @property
    def document(self) -> Any:
        """The Bokeh document that shows it, if any does."""


V = TypeVar("V", bound=View)


class Views(Generic[V]):
    """The views of one app that follow it; a notebook makes one each time the app is shown."""

    KEPT = 4

    def __init__(self) -> None:
        self._views: list[V] = []

    def __bool__(self) -> bool:
        return bool(self._views)

    def add(self, view: V) -> V:
        """Let a view follow, too; the oldest of many no longer does."""
        self._views = [*self._views, view][-self.KEPT :]
        return view

    def clear(self) -> None:
        """Let no view follow."""
        self._views = []

    def draw(self, draw: Callable[[V], Any]) -> None:
        """Draw on all views, each in the turn of its own document."""
        for view in self._views:
            in_turn(view.document, functools.partial(draw, view))
