"""The explorer in a browser, from a Dataset or from a folder of products."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import xarray as xr

from glaciertoolkit.apps.serving import Served, serve_page

T = TypeVar("T")


def outlines_of(folder: str | Path) -> str | None:
    """The glacier outlines that a run was given, where its record says so and they are there."""
    from glaciertoolkit.settings import read_yaml

    path = Path(folder)
    record = (path if path.is_dir() else path.parent) / "run.yaml"
    if not record.is_file():
        return None
    named = read_yaml(record).get("outlines")
    return str(named) if named and Path(str(named)).exists() else None


def gathered_from(
    folder_or_ds: str | Path | xr.Dataset,
    gather: Callable[..., T],
    *,
    outlines: Any,
    **sources: Any,
) -> T:
    """What `gather` makes of a Dataset, or of a run with the outlines that it was given."""
    from glaciertoolkit.io.products import open_products

    if isinstance(folder_or_ds, xr.Dataset):
        return gather(folder_or_ds, outlines=outlines, **sources)
    outlines = outlines_of(folder_or_ds) if outlines is None else outlines
    with open_products(folder_or_ds, chunks=None) as stored:
        return gather(stored, outlines=outlines, **sources)


def serve_explorer(
    folder_or_ds: str | Path | xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    covariates: Any = None,
    other: Any = None,
    maps: Iterable[Any] = (),
    stations: Any = None,
    catalog: Any = None,
    port: int = 0,
    address: str = "127.0.0.1",
    show: bool = False,
    threaded: bool = False,
) -> Served:
    """Serve the explorer in a browser, without any network but this machine's own.

    Parameters
    ----------
    folder_or_ds : path or xarray.Dataset
        The folder that ``glaciertoolkit run`` wrote, or a Dataset as for `glaciertoolkit.explore`.
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid; by default what the Dataset holds of it.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS; by default those of the run.
    covariates, other, maps, stations, catalog
        As for `glaciertoolkit.explore`.
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
        Where the folder holds no readable ``motion.nc``.
    InputError
        Where the Dataset holds nothing that can be shown.
    ParameterError
        Where the address or the port cannot be used.
    """
    from glaciertoolkit.apps.content import gather
    from glaciertoolkit.apps.explorer import TITLE, Explorer

    sources: dict[str, Any] = {
        "dem": dem, "covariates": covariates, "other": other, "maps": maps,
        "stations": stations, "catalog": catalog,
    }  # fmt: skip
    content = gathered_from(folder_or_ds, gather, outlines=outlines, **sources)

    # Gathered before serving: bad input has failed by now, and all sessions share one copy.
    def page() -> Any:
        return Explorer(content)

    return serve_page(
        page, title=TITLE, what="the explorer", port=port, address=address, show=show,
        threaded=threaded,
    )  # fmt: skip
