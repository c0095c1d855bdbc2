"""The correction lab in a browser, from offsets or from the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from glaciertoolkit.apps.serving import Served, serve_page
from glaciertoolkit.errors import FileError
from glaciertoolkit.memory import return_freed_arrays

CHECKPOINT = "offsets.zarr"


def serve_correction_lab(
    folder_or_offsets: str | Path | xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    port: int = 0,
    address: str = "127.0.0.1",
    show: bool = False,
    threaded: bool = False,
    **options: Any,
) -> Served:
    """Serve the correction lab in a browser, without any network but this machine's own.

    Parameters
    ----------
    folder_or_offsets : path or xarray.Dataset
        The folder that ``glaciertoolkit run`` wrote, or offsets as for `correction_lab`.
    dem, outlines
        As for `correction_lab`; of a run by default those that it was given, where they are still
        there.
    port : int
        Port to listen on; 0 takes a free one.
    address : str
        Address to listen on; the default is not reachable from other machines.
    show : bool
        Open the page in the default browser.
    threaded : bool
        Return at once and serve from a thread, instead of serving until Ctrl-C.
    **options
        As for `correction_lab`; of a run by default those of the run.

    Returns
    -------
    Served
        The address of the page and the server.

    Raises
    ------
    FileError
        Where the folder holds neither offsets nor products.
    MissingVariableError, InputError, ParameterError
        As `correction_lab`; also where the address or the port cannot be used.
    """
    from glaciertoolkit.apps.correction_lab import TITLE, CorrectionLab, prepared

    if isinstance(folder_or_offsets, xr.Dataset):
        offsets, given = folder_or_offsets, {"dem": dem, "outlines": outlines, **options}
    else:
        offsets, given = offsets_of(folder_or_offsets, dem=dem, outlines=outlines, **options)
    return_freed_arrays()
    # Gathered before serving: bad input has failed by now, and all sessions share one copy.
    material, start = prepared(offsets, **given)

    def page() -> Any:
        return CorrectionLab(material, **start)

    return serve_page(
        page, title=TITLE, what="the correction lab", port=port, address=address, show=show,
        threaded=threaded,
    )  # fmt: skip


def _paths(given: dict[str, Any]) -> list[str]:
    names = ("dem", "outlines", "polygons")
    return [f"{n} = {str(given[n])!r}" for n in names if isinstance(given.get(n), str | Path)]


def offsets_of(folder: str | Path, **chosen: Any) -> tuple[xr.Dataset, dict[str, Any]]:
    """The offsets of a finished run, and with which options it corrected them.

    Parameters
    ----------
    folder : path
        The folder that the run wrote.
    **chosen
        Options in place of those of the run; None counts for nothing.

    Returns
    -------
    offsets : xarray.Dataset
        The checkpoint of the tracking, or, where it is gone, the products: what was removed can
        be added to them again.
    options : dict
        For `correction_lab`, from ``run.yaml``, as far as it is there; `notes` say what is not.

    Raises
    ------
    FileError
        Where the folder holds neither.
    """
    from glaciertoolkit.blocks import open_checkpoint
    from glaciertoolkit.io.products import open_products

    path = Path(folder)
    if not path.is_dir():
        raise FileError(f"there is no folder {path}; give the folder that a run wrote.")
    options, notes = _recorded(path)
    store = path / CHECKPOINT
    if store.exists():
        offsets = open_checkpoint(store)
        opening: tuple[str, ...] = (f"offsets = gt.open_checkpoint({str(store)!r})",)
    else:
        offsets = open_products(path)
        opening = (f"offsets = gt.open_products({str(path)!r})",)
        notes.append(
            f"The run has no {CHECKPOINT} any more: the offsets are made from its products."
        )
    options |= {k: v for k, v in chosen.items() if v is not None}
    opening = (*opening, *_paths(options))
    return offsets, {**options, "notes": tuple(notes), "opening": opening}


def _recorded(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Options of the lab from the record of a run, and what of it cannot be used any more."""
    from glaciertoolkit.apps.correction_content import CORRECTING, STABLE
    from glaciertoolkit.settings import EVERYWHERE, read_yaml

    record = folder / "run.yaml"
    if not record.is_file():
        return {}, ["The folder has no run.yaml: the options are the usual ones."]
    known = read_yaml(record)
    options = {k: known[k] for k in (*CORRECTING, *STABLE) if known.get(k) is not None}
    if options.get("topography"):
        options["topography"] = known.get("topography_method") or True
    notes = []
    words = {"dem": "elevation model", "outlines": "glacier outlines", "stable": "stable ground"}
    for name, word in words.items():
        value = known.get(name)
        if not value:
            continue
        if name == "stable" and value == EVERYWHERE:
            options["stable"] = True
        elif Path(str(value)).exists():
            options["polygons" if name == "stable" else name] = str(value)
        else:
            notes.append(f"The {word} of the run is no longer at {value}; give another path.")
    return options, notes
