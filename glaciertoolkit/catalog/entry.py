"""One data set of a catalog: where it is, what it is, and how it is opened."""

from __future__ import annotations

import dataclasses
import html
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaciertoolkit.catalog import readers
from glaciertoolkit.errors import (
    CatalogError,
    FileError,
    GlacierToolkitError,
    ParameterError,
    reason,
)
from glaciertoolkit.io import cf, raster

DRIVERS = {
    "RasterDataset": ("rasterio", "raster_xarray"),
    "GeoDataFrame": ("pyogrio",),
    "DataFrame": ("pandas",),
}


@dataclass(frozen=True)
class Entry:
    """One data set of a catalog.

    Attributes
    ----------
    name : str
    data_type : str
        ``RasterDataset``, ``GeoDataFrame`` or ``DataFrame``.
    uri : str
        Path (relative to `root`), pattern with ``*``, or address.
    driver : str
        ``rasterio``, ``raster_xarray`` (netCDF, Zarr), ``pyogrio`` or ``pandas``: what hydromt
        opens the entry with, and we where ``metadata`` names no reader.
    options : dict
        Passed to the driver.
    metadata : dict
        Title, provider, variables with units, CRS, dates, licence, access, role, reader, how to
        get it, ...: see `glaciertoolkit.catalog.schema`.
    root : pathlib.Path
    place : pathlib.Path or None
        Where `at` pointed the entry, instead of `uri`.
    """

    name: str
    data_type: str
    uri: str
    driver: str
    root: Path
    options: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    place: Path | None = None

    @property
    def is_online(self) -> bool:
        """Whether the data lie behind an address."""
        return self.place is None and not raster.is_plain_path(self.uri)

    @property
    def location(self) -> str:
        """The full path or pattern, or the address."""
        if self.place is not None:
            return str(self.place)
        return self.uri if self.is_online else str(self.root / self.uri)

    @property
    def reader(self) -> str:
        """The name of the reader; that of the driver where the metadata name none."""
        return str(self.metadata.get("reader", self.driver))

    @property
    def on_disk(self) -> bool:
        """Whether the data set is there to be opened without the network."""
        return not self.is_online and bool(self._found())

    @property
    def files(self) -> list[str]:
        """The files of the data set, in order of their names.

        Raises
        ------
        FileError
            There are none; the message says how to get them.
        """
        if self.is_online:
            return [self.uri]
        found = self._found()
        if found:
            return found
        get = str(self.metadata.get("get", "check the uri in the catalog")).rstrip(".")
        place = Path(self.location)
        if place.is_dir():
            raise FileError(
                f"catalog entry {self.name!r}: the folder {place} holds no file like "
                f"{self._pattern()}; {get}."
            )
        raise FileError(f"catalog entry {self.name!r}: {self.location} is not there; {get}.")

    def at(self, path: str | os.PathLike[str]) -> Entry:
        """The same entry, pointed at a file, a folder or a pattern on this disk.

        Parameters
        ----------
        path : path
            In a folder, the files are found by the name that the catalog gives them, else by
            their kind.

        Returns
        -------
        Entry
        """
        return dataclasses.replace(self, place=Path(path))

    def open(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Open the data set, rasters lazily.

        Parameters
        ----------
        path : path, optional
            A file, a folder or a pattern on this disk, instead of the one in the catalog.
        **options
            Instead of, or besides, those of the catalog: what the reader takes (`chunks`, `crs`,
            `units`, ...), see `glaciertoolkit.catalog.readers`; without a reader `chunks` for
            rasters, what `geopandas.read_file` or `pandas.read_csv` take for tables.

        Returns
        -------
        xarray.DataArray, xarray.Dataset, geopandas.GeoDataFrame or pandas.DataFrame
            With units, CRS and time as far as they are known, and NaN where data are missing;
            ``attrs`` say which entry it is, and the period it covers. A GeoTIFF of one band is a
            DataArray (y, x), of several (band, y, x); all other grids are Datasets.

        Raises
        ------
        FileError
            The data set is not on disk (the message says how to get it), or is damaged.
        """
        entry = self if path is None else self.at(path)
        files = entry.files
        reader = readers.READERS.get(entry.reader)
        if reader is None:
            raise CatalogError(
                f"catalog entry {self.name!r}: reader {entry.reader!r} is not one of "
                f"{', '.join(readers.READERS)}."
            )
        given = {**entry.options, **(entry.metadata.get("reader_options") or {}), **options}
        try:
            data = reader.open(files, entry.metadata, given, f"catalog entry {entry.name!r}")
        except GlacierToolkitError:
            raise
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            raise ParameterError(
                f"catalog entry {self.name!r}: the reader {entry.reader} does not take that "
                f"option ({reason(error)}); see its documentation."
            ) from error
        # pyogrio raises RuntimeError for a file that it does not know.
        except (OSError, RuntimeError, ValueError) as error:
            raise FileError(
                f"catalog entry {self.name!r}: {entry.location} cannot be opened with "
                f"{entry.reader} ({reason(error)}); check the file and the options."
            ) from error
        return readers.labelled(data, entry.name, entry.metadata)

    def _pattern(self) -> str:
        return raster.base_name(self.uri)

    def _found(self) -> list[str]:
        """The files that are there: of a folder those that look like the entry."""
        path = Path(self.location)
        if "*" in path.name:
            return sorted(str(p) for p in path.parent.glob(path.name))
        if not path.is_dir() or path.suffix == ".zarr" or cf.is_store(path):
            return [str(path)] if path.exists() else []
        if self.place is None:
            return [str(path)]  # a product that is a folder
        named = sorted(str(p) for p in path.glob(self._pattern()))
        if named:
            return named
        suffixes = readers.suffixes(self.reader)
        return sorted(
            str(p) for p in path.iterdir() if p.name.lower().endswith(suffixes) or cf.is_store(p)
        )

    def __repr__(self) -> str:
        state = "online" if self.is_online else "on disk" if self.on_disk else "not on disk"
        lines = [f"<Entry {self.name}: {self.data_type}, {state}>"]
        lines += [f"  {key}: {value}" for key, value in self._facts()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for key, value in self._facts()
        )
        return f"<table><caption><b>{html.escape(self.name)}</b></caption>{rows}</table>"

    def _facts(self) -> list[tuple[str, str]]:
        """What there is to say, as text, in the order of the catalog."""
        facts = {"uri": self.location, **self.metadata}
        return [(key, text(value)) for key, value in facts.items() if value not in ({}, [], None)]


def text(value: Any) -> str:
    """A value of the metadata in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} ({item})" for key, item in value.items())
    if isinstance(value, list):
        separator = ", " if all(not isinstance(v, str) or " " not in v for v in value) else " | "
        return separator.join(" ".join(str(item).split()) for item in value)
    return " ".join(str(value).split())
