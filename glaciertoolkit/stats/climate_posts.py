"""Climate on the posts of a velocity map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.grids import crs_of, match_raster
from glaciertoolkit.stats import climate_cells as cells
from glaciertoolkit.stats.climate_sampling import doubt_station
from glaciertoolkit.stats.melt import degree_days
from glaciertoolkit.stats.periods import mean_of_years

Floats = npt.NDArray[np.float64]

ROWS_AT_ONCE = 2_000_000
"""Posts whose weights are held in memory together."""

RUNG = 1.0
"""K between the temperatures at which degree days are computed before they are interpolated."""


def of_posts(
    ds: xr.Dataset,
    fields: dict[Any, xr.DataArray],
    dem: Any,
    *,
    lapse_rate: float | xr.DataArray,
    gradient: float,
    method: str,
    summer: str,
    min_coverage: float,
) -> xr.Dataset:
    """Means over complete years at every post, float32, with the cell each post lies in."""
    if not isinstance(lapse_rate, int | float):
        raise InputError("on posts the lapse rate must be one number; give outlines=... for more.")
    height = None if dem is None else match_raster(dem, ds).values.astype(np.float64)
    lon, lat = _positions(ds)
    out = xr.Dataset(coords={k: ds.coords[k] for k in ("y", "x", GRID_MAPPING) if k in ds.coords})
    out["v"] = ds["v"]
    notes = []
    for kind, field in fields.items():
        place = _Places(field, lon, lat, method)
        rise = _rise(place, height)
        if height is not None and rise is None:
            notes.append(f"The elevation of the {kind} is not known: it was left as it is.")
        maps = (
            _temperatures(place, rise, float(lapse_rate), summer, min_coverage)
            if kind == "temperature"
            else _precipitation(place, rise, gradient, min_coverage)
        )
        for name, values in maps.items():
            out[name] = (("y", "x"), values.astype(np.float32))
        out[f"cell_{kind}"] = (("y", "x"), place.dominant)
        number = np.unique(place.dominant[place.dominant >= 0]).size
        notes.append(f"{kind.capitalize()}: the map lies in {number} cells.")
    return out.assign_attrs(note=" ".join(notes))


class _Places:
    """The posts in the cells of one climate field; a station is one cell that holds them all."""

    def __init__(self, field: xr.DataArray, lon: Floats, lat: Floats, method: str) -> None:
        self.station = field.ndim == 1
        self.lon, self.lat, self.method = lon, lat, method
        self.dominant = np.zeros(lon.shape, np.int64)
        if self.station:
            self.field = field
            doubt_station(field, lon[[0, -1]].ravel(), lat[[0, -1]].ravel())
            return
        self.grid, self.field = _cropped(field, lon, lat)
        # Numbers of the whole grid: those of the crop would change with the map.
        whole = cells.CellGrid.of(field)
        for rows in self._blocks():
            found = cells.nearest(whole, lon[rows].ravel(), lat[rows].ravel())
            self.dominant[rows] = found.dominant.reshape(lon[rows].shape)
        if (self.dominant < 0).all():
            raise GridError(
                f"the map lies off the climate grid, which covers {whole.covers()}; the map lies "
                f"at {lat.min():.1f} to {lat.max():.1f} N, {lon.min():.1f} to {lon.max():.1f} E."
            )

    def _blocks(self) -> list[slice]:
        step = max(1, ROWS_AT_ONCE // max(1, self.lon.shape[1]))
        return [slice(i, i + step) for i in range(0, self.lon.shape[0], step)]

    def spread(self, values: xr.DataArray) -> Floats:
        """One value a cell, or several along `rung`, at every post: (rung, y, x)."""
        ladder = values if "rung" in values.dims else values.expand_dims("rung")
        if self.station:
            flat = np.asarray(ladder.values, np.float64).reshape(-1, 1, 1)
            return np.broadcast_to(flat, (flat.shape[0], *self.lon.shape))
        out = np.empty((ladder.sizes["rung"], *self.lon.shape))
        find = cells.nearest if self.method == "nearest" else cells.bilinear
        ladder = ladder.rename({"rung": "time"})
        for rows in self._blocks():
            weights = find(self.grid, self.lon[rows].ravel(), self.lat[rows].ravel())
            found = cells.values_at(ladder, weights, self.grid)
            out[:, rows] = found.reshape(-1, *self.lon[rows].shape)
        return out


def _positions(ds: xr.Dataset) -> tuple[Floats, Floats]:
    from pyproj import Transformer

    crs = crs_of(ds)
    if crs is None:
        raise GridError(
            'the map has no CRS, so its place on Earth is not known; set it with rio.write_crs("'
            'EPSG:...").'
        )
    mover = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
    lon, lat = mover.transform(*np.meshgrid(ds["x"].values, ds["y"].values))
    return np.asarray(lon), np.asarray(lat)


def _cropped(field: xr.DataArray, lon: Floats, lat: Floats) -> tuple[cells.CellGrid, xr.DataArray]:
    """The part of a field around the map: a reanalysis of the world need not be read."""
    grid = cells.CellGrid.of(field)
    row, column = grid.find(lon[:: max(1, lon.shape[0] // 50)].ravel(),
                            lat[:: max(1, lat.shape[0] // 50)].ravel())  # fmt: skip
    inside = np.isfinite(row)
    if grid.is_global or not inside.any():
        columns = slice(None)
        rows = slice(None) if not inside.any() else _around(row[inside], grid.shape[0])
    else:
        rows = _around(row[inside], grid.shape[0])
        columns = _around(column[inside], grid.shape[1])
    part = field.isel({grid.dims[0]: rows, grid.dims[1]: columns}).compute()
    return cells.CellGrid.of(part), part


def _around(at: Floats, size: int) -> slice:
    low, high = int(np.floor(at.min())) - 2, int(np.ceil(at.max())) + 3
    return slice(max(0, low), min(size, high))


def _rise(place: _Places, height: Floats | None) -> Floats | None:
    """Metres by which each post lies above its climate; None where that is not known."""
    if height is None or "elevation" not in place.field.coords:
        return None
    ground = place.spread(place.field["elevation"].reset_coords(drop=True))[0]
    return np.asarray(height - ground, np.float64)


def _temperatures(
    place: _Places, rise: Floats | None, lapse_rate: float, summer: str, min_coverage: float
) -> dict[str, Floats]:
    field = place.field.drop_vars("elevation", errors="ignore")
    change = 0.0 if rise is None else lapse_rate * rise / 1000
    found = {
        "temperature_mean": mean_of_years(field, min_coverage=min_coverage),
        "temperature_summer": mean_of_years(field, period=summer, min_coverage=min_coverage),
    }
    out = {name: place.spread(values)[0] + change for name, values in found.items()}
    if field.sizes["time"] == 1:
        return out
    rungs = np.array([0.0])
    if rise is not None and np.isfinite(change).any():
        low, high = np.floor(np.nanmin(change)), np.ceil(np.nanmax(change))
        rungs = np.arange(low, high + RUNG, RUNG)
    days = xr.concat(
        [degree_days(field + r, min_coverage=min_coverage).mean("year") for r in rungs], dim="rung"
    )
    return out | {"degree_days": _between(place.spread(days), rungs, change)}


def _between(ladder: Floats, rungs: npt.NDArray[np.float64], change: Any) -> Floats:
    """Values between the rungs of a ladder (rung, y, x), in proportion."""
    if rungs.size == 1:
        return np.asarray(ladder[0])
    at = (change - rungs[0]) / RUNG
    known = np.isfinite(at)
    below = np.clip(np.floor(np.where(known, at, 0)).astype(np.int64), 0, rungs.size - 2)
    low = np.take_along_axis(ladder, below[None], axis=0)[0]
    high = np.take_along_axis(ladder, below[None] + 1, axis=0)[0]
    return np.asarray(np.where(known, low + (at - below) * (high - low), np.nan))


def _precipitation(
    place: _Places, rise: Floats | None, gradient: float, min_coverage: float
) -> dict[str, Floats]:
    field = place.field.drop_vars("elevation", errors="ignore")
    annual = mean_of_years(field, min_coverage=min_coverage)
    factor = 1.0 if rise is None else np.maximum(1 + gradient / 100 * rise / 100, 0)
    return {"precipitation_annual": place.spread(annual)[0] * factor}
