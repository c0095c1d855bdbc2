"""An app in a browser: from this machine, without any other network."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from glaciertoolkit.errors import ParameterError


class Served(NamedTuple):
    """Where an app is served, and the server (a thread where it was started as one)."""

    url: str
    server: Any


def serve_page(
    page: Callable[[], Any],
    *,
    title: str,
    what: str,
    port: int = 0,
    address: str = "127.0.0.1",
    show: bool = False,
    threaded: bool = False,
) -> Served:
    """Serve what `page` makes for each visitor.

    Parameters
    ----------
    page : callable
        Makes the app anew for each visitor.
    title : str
        Title of the page.
    what : str
        The app as it is called in a sentence, such as "the explorer".
    port : int
        Port to listen on; 0 takes a free one.
    address : str
        Address to listen on; the default is not reachable from other machines.
    show : bool
        Open the page in the default browser.
    threaded : bool
        Return at once and serve from a thread, instead of serving until Ctrl-C.

    Returns
    -------
    Served
        The address of the page and the server.

    Raises
    ------
    ParameterError
        Where the address or the port cannot be used.
    """
    import panel as pn

    port = usable_port(address, port, what)
    url = f"http://{address}:{port}/"
    server = pn.serve(
        {"/": page},
        port=port,
        address=address,
        websocket_origin=[f"{address}:{port}", f"localhost:{port}"],
        show=show,
        threaded=threaded,
        start=threaded,
        title=title,
        verbose=False,
    )
    if threaded:
        wait_for(address, port)
        return Served(url, server)
    server.start()
    print(f"{what[0].upper()}{what[1:]} is at {url} (Ctrl-C ends it).", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.io_loop.start()
    server.stop()
    return Served(url, server)


def usable_port(address: str, port: int = 0, what: str = "the app") -> int:
    """`port` if it can be listened on, or for 0 a free one.

    It has to be known before: web sockets are allowed only from an address named beforehand.
    """
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        where = f"port {port} of {address}" if port else address
        raise ParameterError(
            f"{what} cannot listen on {where} ({error}); give another port, or 0 for any "
            "free one, and the address 127.0.0.1."
        ) from error


def wait_for(address: str, port: int, seconds: float = 20.0) -> None:
    """Return as soon as somebody listens; a thread takes a moment to start."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.05)
