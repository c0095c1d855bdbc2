"""Small files in the formats of the catalog, for tests and for trying a reader without the data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from glaciertoolkit.catalog import Catalog, Entry, open_catalog
from glaciertoolkit.errors import FileError, ParameterError
from glaciertoolkit.io.raster import base_name
from glaciertoolkit.simulate import samples_grids, samples_itslive, samples_tables

Writer = Callable[[Entry, Path], None]


def write_samples(
    folder: str | os.PathLike[str],
    *,
    names: Iterable[str] | None = None,
    catalog: Catalog | None = None,
) -> dict[str, Path]:
    """Write a small file in the format of each entry of a catalog.

    The numbers are invented, the format is that of the entry: kind of file, names, header,
    variables, units, codes, missing values, CRS and dates, as far as the catalog knows them.

    Parameters
    ----------
    folder : path
        Where to write; ``catalog.at(folder)`` then finds every sample. It is made where it is
        missing.
    names : iterable of str, optional
        Only these entries. By default all except those that a command of ours makes.
    catalog : Catalog, optional
        By default the built-in one.

    Returns
    -------
    dict of str to pathlib.Path
        By entry the folder that holds its files; of a Zarr store, or of an entry behind an
        address, what to give to ``entry.open(path)``.

    Raises
    ------
    CatalogError
        There is no such entry.
    ParameterError
        An entry whose reader has no sample.
    FileError
        The folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_samples(folder, names=["snow_depth_tp"])
    ...     snow = open_catalog().at(folder).snow_depth_tp.open().load()
    >>> snow.snow_depth.dims, snow.snow_depth.attrs["units"]
    (('time', 'y', 'x'), 'cm')
    """
    known = open_catalog() if catalog is None else catalog
    wanted = list(known) if names is None else list(names)
    entries = [known[name] for name in wanted]
    if names is None:
        entries = [entry for entry in entries if entry.metadata.get("access") != "made"]
    return {entry.name: _write(entry, Path(folder)) for entry in entries}


def _write(entry: Entry, folder: Path) -> Path:
    writer = _writer(entry)
    if entry.is_online:
        target = folder / "online" / entry.name / base_name(entry.uri)
    else:
        target = folder / entry.uri
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"cannot write to the folder {folder} ({error.strerror}); choose another folder."
        ) from error
    writer(entry, target)
    return target if entry.is_online or target.suffix == ".zarr" else target.parent


def _writer(entry: Entry) -> Writer:
    suffix = Path(base_name(entry.uri)).suffix.lower()
    reader = entry.reader
    if reader == "itslive":
        return samples_itslive.write
    writer = _BY_SUFFIX.get(suffix)
    if reader == "wgms":
        writer = samples_tables.write_wgms
    if writer is None:
        raise ParameterError(
            f"there is no sample for the entry {entry.name!r} (reader {reader}, {suffix} files); "
            "name others with names=."
        )
    return writer


_BY_SUFFIX: dict[str, Writer] = {
    ".tif": samples_grids.write_geotiffs,
    ".txt": samples_grids.write_ascii,
    ".nc": samples_grids.write_netcdf,
    ".shp": samples_tables.write_inventory,
    ".gpkg": samples_tables.write_inventory,
    ".xlsx": samples_tables.write_xlsx,
    ".xls": samples_tables.write_xls,
    ".csv": samples_tables.write_station,
}
