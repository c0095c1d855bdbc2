"""A catalog file: read strictly, so that a misspelt key is an error."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glaciertoolkit.catalog.entry import DRIVERS, Entry
from glaciertoolkit.catalog.table import Catalog
from glaciertoolkit.errors import CatalogError, FileError

BUILT_IN = "data_catalog.yaml"
META_KEYS = {"name", "version", "hydromt_version", "roots"}
ENTRY_KEYS = {"data_type", "uri", "driver", "metadata"}


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
        Entries by name: ``catalog["demo_dem"].open()`` or ``catalog.demo_dem.open()``. Point one
        at your own copy with ``catalog.snow_depth_tp.open("my/folder")``, look for others with
        ``catalog.search(role="mask", text="lakes")``.

    Raises
    ------
    FileError
        The file is missing or cannot be read.
    CatalogError
        It is not YAML, or has a key or a value that this format does not know.

    Examples
    --------
    >>> catalog = open_catalog()
    >>> catalog["rgi7_outlines"].metadata["role"], "rgi7_outlines" in catalog.search(role="outline")
    ('outline', True)
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
