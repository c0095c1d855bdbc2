"""Entries by name: looked up, searched, pointed at a folder, shown."""

from __future__ import annotations

import dataclasses
import difflib
import html
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from glaciertoolkit.catalog import schema
from glaciertoolkit.catalog.entry import Entry, text
from glaciertoolkit.errors import CatalogError, ParameterError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("title", "role", "provider", "license", "access")


class Catalog(Mapping[str, Entry]):
    """Entries by name, as items and as attributes.

    Examples
    --------
    >>> from glaciertoolkit.catalog import open_catalog
    >>> catalog = open_catalog()
    >>> catalog.demo_dem.metadata["variables"]
    {'elevation': 'm'}
    >>> "rgi7_outlines" in catalog
    True
    >>> list(catalog.search(role="outline", text="randolph"))
    ['rgi7_outlines', 'rgi6_outlines']
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
        few = ", ".join(list(self)[:12]) + (", ..." if len(self) > 12 else "")
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {few}."
        return f"the catalog {self._source} has no entry {name!r}; {hint}"

    def search(
        self,
        *,
        role: str | None = None,
        text: str | None = None,
        family: str | None = None,
        access: str | None = None,
        on_disk: bool | None = None,
    ) -> Catalog:
        """The entries that fit all conditions.

        Parameters
        ----------
        role : str, optional
            One of image, dem, velocity, outline, mask, covariate, validation, context.
        text : str, optional
            Words that all occur somewhere in the name or the metadata, in any case.
        family : str, optional
            Such as ``"snow"``, as the entries name it.
        access : str, optional
            open, login, made or unknown.
        on_disk : bool, optional
            Whether the data are there.

        Returns
        -------
        Catalog
            In the same order; empty where nothing fits.

        Raises
        ------
        ParameterError
            A role or access that no catalog knows.
        """
        for what, value, known in (
            ("role", role, schema.ROLES),
            ("access", access, schema.ACCESS),
        ):
            if value is not None and value not in known:
                raise ParameterError(f"{what}={value!r} is not one of {', '.join(known)}.")
        words = (text or "").lower().split()
        found = {
            name: entry
            for name, entry in self.items()
            if (role is None or role in schema.roles(entry.metadata))
            and (family is None or entry.metadata.get("family") == family)
            and (access is None or entry.metadata.get("access") == access)
            and (on_disk is None or entry.on_disk == on_disk)
            and all(word in _haystack(entry) for word in words)
        }
        return Catalog(found, source=self._source)

    def at(self, folder: str | os.PathLike[str]) -> Catalog:
        """The same catalog, with its paths relative to `folder`."""
        root = Path(folder)
        moved = {n: dataclasses.replace(e, root=root) for n, e in self.items()}
        return Catalog(moved, source=self._source)

    def point(self, name: str, path: str | os.PathLike[str]) -> Catalog:
        """The same catalog, with one entry pointed at a file, a folder or a pattern.

        Parameters
        ----------
        name : str
            The entry.
        path : path
            See `Entry.at`.

        Returns
        -------
        Catalog

        Raises
        ------
        CatalogError
            There is no such entry.
        """
        return Catalog({**self._entries, name: self[name].at(path)}, source=self._source)

    def check(self) -> list[str]:
        """What in the metadata breaks the schema, one sentence each; empty where all is well."""
        return [fault for entry in self.values() for fault in schema.lint(entry)]

    def to_frame(self) -> pd.DataFrame:
        """The catalog as a table: one row an entry, with what most people look for."""
        import pandas as pd

        keys = ("family", *COLUMNS, "start", "end", "grid", "doi", "reader")
        rows = [[*(text(e.metadata.get(k, "")) for k in keys), e.on_disk] for e in self.values()]
        return pd.DataFrame(rows, index=pd.Index(self, name="entry"), columns=[*keys, "on_disk"])

    def __repr__(self) -> str:
        width = max(map(len, self._entries), default=0)
        lines = [
            f"  {name:<{width}}  {_state(entry):<7}  {entry.metadata.get('title', entry.uri)}"
            for name, entry in self._entries.items()
        ]
        return "\n".join([f"<Catalog {self._source}: {len(self)} entries>", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{c}</th>" for c in ("entry", *COLUMNS, "type", "on disk"))
        rows = []
        for name, entry in self._entries.items():
            cells = [text(entry.metadata.get(column, "")) for column in COLUMNS]
            cells += [entry.data_type, "yes" if entry.on_disk else "no"]
            row = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
            rows.append(f"<tr><td><b>{html.escape(name)}</b></td>{row}</tr>")
        return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _state(entry: Entry) -> str:
    return "online" if entry.is_online else "on disk" if entry.on_disk else "-"


def _haystack(entry: Entry) -> str:
    return " ".join([entry.name, *(text(v) for v in entry.metadata.values())]).lower()
