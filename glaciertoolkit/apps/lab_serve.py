"""The tracking lab in a browser, from a pair or from two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from glaciertoolkit.apps.serving import Served, serve_page
from glaciertoolkit.errors import ParameterError


def serve_tracking_lab(
    pair_or_paths: xr.Dataset | Sequence[str | Path],
    *,
    port: int = 0,
    address: str = "127.0.0.1",
    show: bool = False,
    threaded: bool = False,
    **options: Any,
) -> Served:
    """Serve the tracking lab in a browser, without any network but this machine's own.

    Parameters
    ----------
    pair_or_paths : xarray.Dataset, or two paths
        A pair as from `open_pair`, or the reference and the secondary image.
    port : int
        Port to listen on; 0 takes a free one.
    address : str
        Address to listen on; the default is not reachable from other machines, whose users could
        open any image of this one.
    show : bool
        Open the page in the default browser.
    threaded : bool
        Return at once and serve from a thread, instead of serving until Ctrl-C.
    **options
        Those of `open_pair` for two paths, those of `tracking_lab` for a pair.

    Returns
    -------
    Served
        The address of the page and the server.

    Raises
    ------
    FileError, GridError, DateError, InputError
        Where the images cannot be opened as a pair, or not tracked.
    ParameterError
        Where the address or the port cannot be used, or no two images are given.
    """
    from glaciertoolkit.apps.lab import TrackingLab, opened

    if isinstance(pair_or_paths, xr.Dataset):
        pair, given = pair_or_paths, options
    else:
        pair, given = _opened(pair_or_paths, options), {}
    # Opened and surveyed before serving: bad input has failed by now, and all sessions share it.
    _, view = opened(pair, None, given)

    def page() -> Any:
        return TrackingLab(pair, view=view, **given)

    return serve_page(
        page, title="Tracking lab", what="the tracking lab", port=port, address=address,
        show=show, threaded=threaded,
    )  # fmt: skip


def _opened(paths: Sequence[str | Path], options: dict[str, Any]) -> xr.Dataset:
    """The pair in two files."""
    from glaciertoolkit.io.images import open_pair

    if isinstance(paths, str | Path) or len(paths) != 2:
        raise ParameterError(
            "the tracking lab needs two images, the reference and the secondary; got "
            f"{paths!r:.80}."
        )
    return open_pair(paths[0], paths[1], **options)
