"""Climate and history of a simulated region: a monthly grid, three stations, annual speeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

YEARS = (2001, 2020)
LAPSE_RATE = -6.5
"""K km-1."""
LEVEL = 5600.0
"""m: elevation to which the temperatures below belong."""
MEAN = -8.0
WARMING = 0.03
"""K a year."""
SEASON = 9.0
"""Half the range of monthly temperatures, K."""
CELL = 0.1
"""Spacing of the climate grid, degrees."""
STATIONS = (4600.0, 5200.0, 5800.0)
"""Elevations of the stations, m."""
GAPS = 0.1


@dataclasses.dataclass(frozen=True)
class Weather:
    """Temperature at `LEVEL` and annual precipitation, from place to place and over time."""

    temperature: Floats
    precipitation: Floats
    months: Floats

    @classmethod
    def of(
        cls, rng: np.random.Generator, field: Callable[[np.random.Generator, float], Floats]
    ) -> Weather:
        count = 12 * (YEARS[1] - YEARS[0] + 1)
        month = np.arange(count)
        season = -SEASON * np.cos(2 * np.pi * (month % 12 - 0.5) / 12)
        years = month / 12 - count / 24
        # Year to year and month to month it is warmer or colder than usual.
        own = np.repeat(0.4 * rng.standard_normal(count // 12), 12)
        own += 0.8 * rng.standard_normal(count)
        own -= np.polyval(np.polyfit(years, own, 1), years)
        return cls(
            temperature=MEAN + 1.8 * field(rng, 12_000.0),
            precipitation=600 * np.exp(0.25 * field(rng, 12_000.0)),
            months=season + WARMING * years + own,
        )

    def mean_at(self, height: float, row: int, column: int) -> float:
        """Mean temperature of all years, degC."""
        here = self.temperature[row, column] + self.months.mean()
        return float(here + LAPSE_RATE * (height - LEVEL) / 1000)


def _months() -> pd.DatetimeIndex:
    import pandas as pd

    return pd.date_range(f"{YEARS[0]}-01-01", f"{YEARS[1]}-12-01", freq="MS")


def climate_grid(rng: np.random.Generator, weather: Weather, dem: xr.DataArray) -> xr.Dataset:
    """Means over cells in latitude and longitude, at the mean elevation of each cell."""
    from pyproj import Transformer

    away = Transformer.from_crs(dem.rio.crs, 4326, always_xy=True)
    x, y = np.meshgrid(dem["x"], dem["y"])
    lon, lat = (np.asarray(c) for c in away.transform(x, y))
    # One cell more on each side: neighbours between which a place at the edge is read.
    axes = [
        CELL * np.arange(np.floor(c.min() / CELL) - 1, np.ceil(c.max() / CELL) + 2)
        for c in (lat, lon)
    ]
    cell = [np.rint((c - a[0]) / CELL).astype(int) for c, a in zip((lat, lon), axes, strict=True)]
    shape = (axes[0].size, axes[1].size)
    flat = np.ravel_multi_index((cell[0].ravel(), cell[1].ravel()), shape)

    def means(values: Floats) -> Floats:
        total = np.bincount(flat, values.ravel(), shape[0] * shape[1])
        count = np.bincount(flat, minlength=shape[0] * shape[1])
        with np.errstate(invalid="ignore"):
            mean = (total / count).reshape(shape)
        return _extended(mean)

    height = means(np.asarray(dem.values, float))
    local = means(weather.temperature) + LAPSE_RATE * (height - LEVEL) / 1000
    kelvin = 273.15 + local + weather.months[:, None, None]
    month = np.arange(weather.months.size) % 12
    monsoon = 1 / 12 + 0.07 * np.exp(-(((month - 6.5) / 2) ** 2))
    monsoon *= weather.months.size / 12 / monsoon.sum()  # of each year
    amount = means(weather.precipitation) * monsoon[:, None, None]
    amount = amount * rng.gamma(8, 1 / 8, weather.months.size)[:, None, None]
    dims = ("time", "latitude", "longitude")
    grid = xr.Dataset(
        {
            "t2m": (dims, kelvin.astype("float32"),
                    {"units": "K", "standard_name": "air_temperature"}),
            "precipitation": (dims, amount.astype("float32"), {"units": "mm"}),
        },
        {
            "time": _months(), "latitude": axes[0], "longitude": axes[1],
            "elevation": (("latitude", "longitude"), height, {"units": "m"}),
        },
        {"source": "simulated"},
    )  # fmt: skip
    for name, units in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
        grid[name].attrs = {"units": units, "standard_name": name}
    return grid


def _extended(mean: Floats) -> Floats:
    """Cells without posts take the value of the nearest one that has some."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(np.isnan(mean), return_distances=False, return_indices=True)
    return np.asarray(mean[tuple(nearest)])


def stations(rng: np.random.Generator, weather: Weather, dem: xr.DataArray) -> xr.Dataset:
    """Daily temperatures of three stations of one valley, with gaps."""
    import pandas as pd
    from pyproj import Transformer

    day = pd.date_range(f"{YEARS[1] - 4}-01-01", f"{YEARS[1]}-12-31")
    month = 12 * (day.year - YEARS[0]) + day.month - 1
    spell = rng.standard_normal(day.size + 9)
    spell = 2.0 * np.convolve(spell, np.ones(10), "valid") / np.sqrt(10)
    height = np.array(STATIONS)
    row, column = (n // 2 for n in dem.shape)
    level = weather.temperature[row, column] + weather.months[np.asarray(month)] + spell
    values = level + LAPSE_RATE * (height[:, None] - LEVEL) / 1000
    values = values + 0.5 * rng.standard_normal(values.shape)
    values[rng.random(values.shape) < GAPS] = np.nan
    place = Transformer.from_crs(dem.rio.crs, 4326, always_xy=True).transform(
        float(dem["x"][column]), float(dem["y"][row])
    )
    return xr.Dataset(
        {"temperature": (("station", "time"), values.round(2), {"units": "degC"})},
        {
            "station": ["valley", "moraine", "glacier"], "time": day,
            "elevation": ("station", height, {"units": "m"}),
            "latitude": place[1], "longitude": place[0],
        },
        {"source": "simulated"},
    )  # fmt: skip


def history_of(
    rng: np.random.Generator, truth: pd.DataFrame, *, surges: int, noise: float
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Annual speeds of each glacier, which end at that of the map, and `truth` with their trends.

    Most slow down, by 1 % of their speed a year; what remains wavers from year to year. A surge
    lasts for two years.
    """
    import pandas as pd

    year = np.arange(YEARS[0], YEARS[1] + 1)
    speed = truth["speed"].to_numpy()
    trend = speed * rng.normal(-0.01, 0.005, len(truth))
    waver = np.zeros((len(truth), year.size))
    for k in range(1, year.size):
        waver[:, k] = 0.4 * waver[:, k - 1] + rng.standard_normal(len(truth))
    v = speed[:, None] + trend[:, None] * (year - year[-1]) + 0.04 * speed[:, None] * waver
    moving = np.flatnonzero(~truth["stagnant"].to_numpy())
    who = rng.choice(moving, surges, replace=False)
    when = rng.integers(YEARS[0] + 4, YEARS[1] - 6, surges)
    surge_year = np.zeros(len(truth), int)
    surge_year[who] = when
    for glacier, start in zip(who, when, strict=True):
        v[glacier, (year == start) | (year == start + 1)] *= 9
    error = max(noise / 3, 0.1)
    measured = np.abs(v + error * rng.standard_normal(v.shape))
    dims = ("rgi_id", "time")
    attrs = {"units": "m yr-1"}
    history = xr.Dataset(
        {"v": (dims, measured, attrs), "v_error": (dims, np.full(v.shape, error), attrs)},
        {
            "rgi_id": truth["rgi_id"].to_numpy(str),
            "time": pd.to_datetime([f"{y}-07-01" for y in year]),
        },
        {"source": "simulated"},
    )
    return history, truth.assign(trend=trend, surge_year=surge_year)
