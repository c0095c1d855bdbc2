"""Data sets by name: a strict reader of a subset of hydromt's data catalogs.

A catalog is a YAML file. Each entry names a ``data_type``, a ``uri``, a ``driver`` and
``metadata``; ``meta`` names the folders that paths are relative to. Nothing else is accepted, so
that a misspelt key is an error rather than a surprise. The same file opens in hydromt 1.x: the
driver is what hydromt reads an entry with, while ``metadata: reader`` names one of ours, which
returns units, CRS, time and NaN. `schema` says what the metadata may hold.
"""

from glaciertoolkit.catalog.entry import DRIVERS, Entry
from glaciertoolkit.catalog.parse import open_catalog
from glaciertoolkit.catalog.readers import READERS
from glaciertoolkit.catalog.schema import lint
from glaciertoolkit.catalog.table import Catalog

__all__ = ["DRIVERS", "READERS", "Catalog", "Entry", "lint", "open_catalog"]
