"""Tables of glaciers as CSV, GeoPackage or Parquet files, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.io.atomic import atomic_folder

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".gpkg", ".parquet")


def write_table(
    table: pd.DataFrame, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a table of glaciers; the suffix of `path` chooses the format.

    Parameters
    ----------
    table : pandas.DataFrame or geopandas.GeoDataFrame
        Such as `glaciers` returns.
    path : path
        ``.csv`` (outlines are left out), ``.gpkg`` (needs outlines) or ``.parquet`` (GeoParquet
        where there are outlines). Parquet keeps the units in the metadata of the table.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    pathlib.Path
        Where it was written.

    Raises
    ------
    InputError
        Another suffix, or a GeoPackage of a table without outlines.
    FileError
        The file exists and `overwrite` is false, or it cannot be written.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_table(pd.DataFrame({"v_median": [3.5]}), folder + "/glaciers.csv")
    ...     pd.read_csv(path)["v_median"].tolist()
    [3.5]
    """
    import pandas as pd

    path = Path(path)
    if path.suffix not in FORMATS:
        raise InputError(f"a table is written as {', '.join(FORMATS)}; got {path.name!r}.")
    spatial = hasattr(table, "geometry")
    if path.suffix == ".gpkg" and not spatial:
        raise InputError(
            "a GeoPackage needs outlines; make the table with glaciers(..., geometry=True)."
        )
    if path.is_dir():
        raise FileError(f"{path} is a folder; give the name of a file.")
    with atomic_folder(path.parent, [path.name], overwrite=overwrite) as aside:
        made = aside / path.name
        if path.suffix == ".csv":
            plain = pd.DataFrame(table.drop(columns="geometry")) if spatial else table
            plain.to_csv(made, index=False)
        elif path.suffix == ".gpkg":
            _geopackage(table, made)
        else:
            import pyarrow  # noqa: F401  (what pandas writes Parquet with)

            table.to_parquet(made, index=False)
    return path


def _geopackage(table: Any, path: Path) -> None:
    """Geometries of one kind: some readers take no mixture."""
    import shapely

    shapes = table.geometry.to_numpy()
    if (shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON).any():
        single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
        shapes = shapes.copy()
        shapes[single] = [shapely.MultiPolygon([shape]) for shape in shapes[single]]
    out = table.set_geometry(type(table.geometry)(shapes, index=table.index, crs=table.crs))
    out.attrs = {}
    out.to_file(path, driver="GPKG", layer="glaciers", engine="pyogrio")
