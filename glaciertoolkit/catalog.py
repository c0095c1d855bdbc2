"""Data sets by name: a strict reader of a subset of hydromt's data catalogs.

A catalog is a YAML file. Each entry names a ``data_type``, a ``uri``, a ``driver`` and free
``metadata``; ``meta`` names the folders that paths are relative to. Nothing else is accepted, so
that a misspelt key is an error rather than a surprise. The same file opens in hydromt 1.x.
"""

from __future__ import annotations

import difflib
import html
import importlib.resources
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glaciertoolkit.errors import CatalogError, FileError, GlacierToolkitError
from glaciertoolkit.io import gf3_files, raster

BUILT_IN = "data_catalog.yaml"
META_KEYS = {"name", "version", "hydromt_version", "roots"}
ENTRY_KEYS = {"data_type", "uri", "driver", "metadata"}
DRIVERS = {
    "RasterDataset": ("rasterio", "raster_xarray"),
    "GeoDataFrame": ("pyogrio",),
    "DataFrame": ("pandas",),
}
COLUMNS = ("title", "provider", "license", "access")


@dataclass(frozen=True)
class Entry:
    """One data set of a catalog.

    Attributes
    ----------
    name : str
    data_type : str
        ``RasterDataset``, ``GeoDataFrame`` or ``DataFrame``.
    uri : str
        Path (relative to `root`) or address.
    driver : str
        ``rasterio``, ``raster_xarray`` (netCDF, Zarr), ``pyogrio`` or ``pandas``.
    options : dict
        Passed to the driver.
    metadata : dict
        Title, provider, variables, units, crs, license, access, role, how to get it, ...
    root : pathlib.Path
    """

    name: str
    data_type: str
    uri: str
    driver: str
    root: Path
    options: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """The full path, or the address."""
        return str(self.root / self.uri) if raster.is_plain_path(self.uri) else self.uri

    @property
    def on_disk(self) -> bool:
        """Whether the data set is there to be opened without the network."""
        return raster.is_plain_path(self.uri) and Path(self.location).exists()

    def open(self, **options: Any) -> Any:
        """Open the data set, rasters lazily.

        Parameters
        ----------
        **options
            Instead of, or besides, those of the catalog; ``chunks`` for rasters, what
            `geopandas.read_file` or `pandas.read_csv` take for tables.

        Returns
        -------
        xarray.DataArray, xarray.Dataset, geopandas.GeoDataFrame or pandas.DataFrame
            A GeoTIFF of one band is a DataArray (y, x), of several (band, y, x), missing pixels
            NaN; netCDF and Zarr are Datasets.

        Raises
        ------
        FileError
            The data set is not on disk (the message says how to get it), or is damaged.
        """
        if raster.is_plain_path(self.uri) and not self.on_disk:
            get = str(self.metadata.get("get", "check the uri in the catalog"))
            raise FileError(
                f"catalog entry {self.name!r}: {self.location} is not there; {get.rstrip('.')}."
            )
        try:
            return _OPENERS[self.driver](self, {**self.options, **options})
        except GlacierToolkitError:
            raise
        # pyogrio raises RuntimeError for a file that it does not know.
        except (OSError, RuntimeError, ValueError) as error:
            raise FileError(
                f"catalog entry {self.name!r}: {self.location} cannot be opened with "
                f"{self.driver} ({error}); check the file and the options."
            ) from error

    def __repr__(self) -> str:
        lines = [
            f"<Entry {self.name}: {self.data_type}, {'on' if self.on_disk else 'not on'} disk>"
        ]
        facts = {"uri": self.location, **self.metadata}
        lines += [f"  {key}: {' '.join(str(value).split())}" for key, value in facts.items()]
        return "\n".join(lines)


class Catalog(Mapping[str, Entry]):
    """Entries by name, as items and as attributes.

    Examples
    --------
    >>> catalog = open_catalog()
    >>> catalog.demo_dem.metadata["units"]
    'm'
    >>> "rgi7_outlines" in catalog
    True
    """

    def __init__(self, entries: Mapping[str, Entry], *, source: str) -> None:
        self._entries = dict(entries)
        self._source = source

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise CatalogError(self._unknown(name)) from None

    def __getattr__(self, name: str) -> Entry:
        # Python asks for special names while it copies, before there are entries.
        if name.startswith("_") or name not in self._entries:
            raise AttributeError(name if name.startswith("_") else self._unknown(name))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._entries if name.isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._entries)

    def _unknown(self, name: object) -> str:
        near = difflib.get_close_matches(str(name), self._entries, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(self)}."
        return f"the catalog {self._source} has no entry {name!r}; {hint}"

    def __repr__(self) -> str:
        width = max(map(len, self._entries), default=0)
        lines = [
            f"  {name:<{width}}  {'on disk' if entry.on_disk else '-':<7}  "
            f"{entry.metadata.get('title', entry.uri)}"
            for name, entry in self._entries.items()
        ]
        return "\n".join([f"<Catalog {self._source}: {len(self)} entries>", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{c}</th>" for c in ("entry", *COLUMNS, "type", "on disk"))
        rows = []
        for name, entry in self._entries.items():
            cells = [entry.metadata.get(column, "") for column in COLUMNS]
            cells += [entry.data_type, "yes" if entry.on_disk else "no"]
            row = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
            rows.append(f"<tr><td><b>{html.escape(name)}</b></td>{row}</tr>")
        return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def open_catalog(path: str | os.PathLike[str] | None = None) -> Catalog:
    """Open a catalog of data sets.

    Parameters
    ----------
    path : path, optional
        A YAML file; without it the built-in catalog, whose paths are relative to the folder you
        work in.

    Returns
    -------
    Catalog
        Entries by name: ``catalog["demo_dem"].open()`` or ``catalog.demo_dem.open()``.

    Raises
    ------
    FileError
        The file is missing or cannot be read.
    CatalogError
        It is not YAML, or has a key or a value that this format does not know.
    """
    if path is None:
        package = importlib.resources.files("glaciertoolkit")
        inside = package / BUILT_IN
        # In a checkout the catalog lies beside the package, in a wheel inside it.
        source = inside if inside.is_file() else Path(str(package)).parent / BUILT_IN
        return _parse(source.read_text(encoding="utf-8"), name=BUILT_IN, folder=Path.cwd())
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"the catalog {file} cannot be read ({getattr(error, 'strerror', None) or error}); "
            "check the path."
        ) from error
    return _parse(text, name=file.name, folder=file.resolve().parent)


def _parse(text: str, *, name: str, folder: Path) -> Catalog:
    import yaml

    class Strict(yaml.SafeLoader):
        """Refuses a key that occurs twice; YAML itself would keep only the last."""

        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            keys = [key.value for key, _ in node.value]
            twice = [key for key in keys if keys.count(key) > 1]
            if twice:
                raise CatalogError(f"the catalog {name} has {twice[0]!r} twice; rename one.")
            return node

    try:
        content = yaml.load(text, Loader=Strict)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise CatalogError(
            f"the catalog {name} is not YAML{line}: {problem}; correct it."
        ) from error
    content = _mapping({} if content is None else content, what=f"the catalog {name}")
    meta = _mapping(content.pop("meta", {}), what=f"'meta' of the catalog {name}")
    _only(meta, META_KEYS, what=f"'meta' of the catalog {name}")
    root = _root(meta.get("roots", []), folder, name=name)
    return Catalog({n: _entry(n, spec, root) for n, spec in content.items()}, source=name)


def _root(roots: Any, folder: Path, *, name: str) -> Path:
    if not isinstance(roots, list) or not all(isinstance(root, str) for root in roots):
        raise CatalogError(f"'roots' of the catalog {name} must be a list of folders.")
    candidates: list[Path] = [folder / root for root in roots] or [folder]
    return next((path for path in candidates if path.is_dir()), candidates[0])


def _entry(name: str, spec: Any, root: Path) -> Entry:
    what = f"catalog entry {name!r}"
    spec = _mapping(spec, what=what)
    _only(spec, ENTRY_KEYS, what=what)
    for key in ("data_type", "uri", "driver"):
        if key not in spec:
            raise CatalogError(f"{what} lacks {key!r}; add it.")
    data_type, uri = spec["data_type"], spec["uri"]
    if data_type not in DRIVERS:
        raise CatalogError(f"{what}: data_type {data_type!r} is not one of {', '.join(DRIVERS)}.")
    if not isinstance(uri, str) or not uri:
        raise CatalogError(f"{what}: uri must be a path or an address, not {uri!r}.")
    driver = spec["driver"]
    driver = (
        {"name": driver} if isinstance(driver, str) else _mapping(driver, what=f"{what}: driver")
    )
    _only(driver, {"name", "options"}, what=f"{what}: driver")
    if driver.get("name") not in DRIVERS[data_type]:
        raise CatalogError(
            f"{what}: driver {driver.get('name')!r} does not open a {data_type}; use "
            f"{' or '.join(DRIVERS[data_type])}."
        )
    return Entry(
        name=name,
        data_type=data_type,
        uri=uri,
        driver=driver["name"],
        root=root,
        options=_mapping(driver.get("options", {}), what=f"{what}: options"),
        metadata=_mapping(spec.get("metadata", {}), what=f"{what}: metadata"),
    )


def _mapping(value: Any, *, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise CatalogError(f"{what} must be a mapping of names, not {value!r}.")
    return dict(value)


def _only(mapping: Mapping[str, Any], known: set[str], *, what: str) -> None:
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise CatalogError(
            f"{what} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}."
        )


def _rasterio(entry: Entry, options: dict[str, Any]) -> Any:
    if gf3_files.is_product(entry.location):
        from glaciertoolkit.io.gf3 import open_gf3

        return open_gf3(entry.location, **options)
    return raster.open_raster(entry.location, label=f"catalog entry {entry.name!r}", **options)


def _raster_xarray(entry: Entry, options: dict[str, Any]) -> Any:
    import xarray as xr

    settings = {"chunks": {}, "decode_coords": "all", **options}
    engine = "zarr" if entry.location.rstrip("/").endswith(".zarr") else "h5netcdf"
    return xr.open_dataset(entry.location, **{"engine": engine, **settings})


def _pyogrio(entry: Entry, options: dict[str, Any]) -> Any:
    import geopandas

    return geopandas.read_file(entry.location, engine="pyogrio", **options)


def _pandas(entry: Entry, options: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.read_csv(entry.location, **options)


_OPENERS = {
    "rasterio": _rasterio,
    "raster_xarray": _raster_xarray,
    "pyogrio": _pyogrio,
    "pandas": _pandas,
}
