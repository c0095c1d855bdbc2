"""The profile inspector in a browser, from a Dataset or from a folder of products."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr

from glaciertoolkit.apps.serving import Served, serve_page


def serve_profile_inspector(
    folder_or_ds: str | Path | xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    thickness: Any = None,
    covariates: Any = None,
    maps: Iterable[Any] = (),
    lines: Any = None,
    port: int = 0,
    address: str = "127.0.0.1",
    show: bool = False,
    threaded: bool = False,
) -> Served:
    """Serve the profile inspector in a browser, without any network but this machine's own.

    Parameters
    ----------
    folder_or_ds : path or xarray.Dataset
        The folder that ``glaciertoolkit run`` wrote, or a Dataset as for `inspect_profile`.
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid; by default what the Dataset holds of it.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS; by default those of the run.
    thickness, covariates, maps, lines
        As for `glaciertoolkit.inspect_profile`.
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
    FileError
        Where the folder holds no readable ``motion.nc``, or the lines cannot be read.
    InputError
        Where the Dataset holds nothing that can be shown, or the lines are none.
    ParameterError
        Where the address or the port cannot be used.
    """
    from glaciertoolkit.apps.profile_content import gather_profile
    from glaciertoolkit.apps.profile_inspector import TITLE, ProfileInspector
    from glaciertoolkit.apps.profile_lines import placed
    from glaciertoolkit.apps.serve import gathered_from

    sources: dict[str, Any] = {
        "dem": dem, "thickness": thickness, "covariates": covariates, "maps": maps,
    }  # fmt: skip
    gathered = gathered_from(folder_or_ds, gather_profile, outlines=outlines, **sources)
    # Gathered before serving: bad input has failed by now, and all sessions share one copy.
    given = placed(lines, gathered.content.ds) if lines is not None else None

    def page() -> Any:
        return ProfileInspector(gathered, lines=given)

    return serve_page(
        page, title=TITLE, what=f"the {TITLE.lower()}", port=port, address=address, show=show,
        threaded=threaded,
    )  # fmt: skip
