"""A simulated region of many glaciers whose speed depends on slope and temperature as told."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from glaciertoolkit.conventions import YEAR_DAYS, Flag, describe
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.simulate import region_climate as weather
from glaciertoolkit.simulate.parameters import NORTH, WEST
from glaciertoolkit.simulate.region_shapes import CONCAVITY, Floats, Trough, ground, place_troughs

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

EPSG = 32645
DATES = ("2019-09-03", "2020-01-05")
TEMPLATE_PIXELS, PIXEL = 64, 3.0
"""The map is one as `track` makes it with these: errors are alike over a template."""

MEAN_SPEED, MEAN_SLOPE, MEAN_TEMPERATURE = 30.0, 13.0, -8.0
"""m yr-1 of a glacier of so many degrees and degC."""
SLOWEST = 3.0
AT_REST = 0.5
"""m yr-1: glaciers are not slower than the first, stagnant ones have the second."""
FAST_BELT = 0.35
"""Width of the belt of fast ice, as a share of the range of elevations."""
BELT_SCATTER = 0.12
"""By how much the belt lies elsewhere from glacier to glacier."""
SLIP_AT_MARGIN = 0.15
"""Speed at the side of a glacier, as a share of that in its middle."""

FEWEST_INNER = 5
"""Posts away from the margin without which all of a glacier count."""

RATE_FACTOR, EXPONENT, DENSITY, GRAVITY = 2.4e-24, 3.0, 900.0, 9.81


@dataclasses.dataclass(frozen=True)
class Region:
    """A simulated region: what a person would have of it, and the truth.

    Attributes
    ----------
    velocity : xarray.Dataset
        `vx`, `vy`, `v`, their errors, `stable` and `flag` on the posts, m yr-1.
    dem, thickness : xarray.DataArray
        Elevation and ice thickness, m, on the posts.
    outlines : geopandas.GeoDataFrame
        Glaciers, with the columns of the Randolph Glacier Inventory 7.
    climate : xarray.Dataset
        Monthly grid in latitude and longitude: `t2m` (K), `precipitation` (mm), and the
        elevation of its cells, m.
    stations : xarray.Dataset
        Daily `temperature` (degC) of three stations over `station` and `time`, with gaps.
    history : xarray.Dataset
        `v` and `v_error` (m yr-1) of each glacier and year, over `rgi_id` and `time`.
    truth : pandas.DataFrame
        One row a glacier: `rgi_id`, `speed` (m yr-1, true median of the ice farther than half a
        template from its margin), `slope` (degrees), `temperature` (degC, mean at its median
        elevation), `fastest_at` (normalised elevation), `stagnant`, `trend` (m yr-1 a year) and
        `surge_year` (0: none).
    """

    velocity: xr.Dataset
    dem: xr.DataArray
    thickness: xr.DataArray
    outlines: gpd.GeoDataFrame
    climate: xr.Dataset
    stations: xr.Dataset
    history: xr.Dataset
    truth: pd.DataFrame


def simulate_region(
    *,
    glaciers: int = 70,
    extent: tuple[float, float] = (60_000.0, 40_000.0),
    post: float = 100.0,
    slope_effect: float = 1.5,
    temperature_effect: float = 3.0,
    unexplained: float = 4.0,
    fastest_at: float = 0.65,
    noise: float = 3.0,
    missing: float = 0.05,
    thickness_error: float = 0.1,
    stagnant: int = 0,
    surges: int = 1,
    seed: int = 0,
) -> Region:
    """Simulate a region of glaciers whose speed depends on slope and temperature as told.

    Parameters
    ----------
    glaciers : int
        How many are placed; fewer where there is no room for them.
    extent : (width, height)
        Metres.
    post : float
        Spacing of the map, m.
    slope_effect, temperature_effect : float
        By how much a glacier is faster for each degree of its mean slope, m yr-1, and for each
        kelvin of its mean temperature, m yr-1.
    unexplained : float
        Standard deviation, m yr-1, of what neither explains: alike among neighbours (8 km).
    fastest_at : float
        Normalised elevation (0 lowest, 1 highest) at which glaciers are fastest, give or take
        0.12: above 0.5 most of their accumulation areas are faster than their ablation areas,
        below it the other way round.
    noise : float
        Error of a component, m yr-1, alike over a template (192 m).
    missing : float
        Share of the map without a speed, in patches.
    thickness_error : float
        Relative error of the thickness, alike over a kilometre.
    stagnant : int
        So many glaciers are at rest, whatever their slope and temperature.
    surges : int
        So many glaciers surge once within the history.
    seed : int
        The same seed and parameters give the same region.

    Returns
    -------
    Region
        Velocity map, DEM, thickness, outlines, monthly climate grid, daily stations, twenty
        years of annual speeds, and the truth.

    Raises
    ------
    ParameterError
        A parameter is out of its range, or there is room for fewer than three glaciers.

    Notes
    -----
    The median speed of glacier i is ``30 + slope_effect (slope_i - 13) + temperature_effect
    (T_i + 8) + e_i`` m yr-1, but at least 3. Within a glacier speed falls from the middle to the
    sides and away from `fastest_at`. The thickness is the one with which temperate ice that only
    deforms would flow so fast, ``H = (v (n + 1) / (2 A (rho g sin(slope))^n))^(1/(n + 1))``, times
    its error. The valleys are troughs between ridges, not eroded landscapes.

    Temperature falls by 6.5 K km-1 everywhere and rises by 0.03 K a year.

    Examples
    --------
    >>> region = simulate_region(glaciers=8, extent=(20_000, 15_000), seed=1)
    >>> len(region.outlines), region.velocity.v.attrs["units"], region.climate.t2m.dims
    (8, 'm yr-1', ('time', 'latitude', 'longitude'))
    """
    given: dict[str, Any] = {
        "glaciers": glaciers, "extent": [float(e) for e in extent], "post": post,
        "slope_effect": slope_effect, "temperature_effect": temperature_effect,
        "unexplained": unexplained, "fastest_at": fastest_at, "noise": noise,
        "missing": missing, "thickness_error": thickness_error, "stagnant": stagnant,
        "surges": surges, "seed": seed,
    }  # fmt: skip
    _check(given)
    rng = np.random.default_rng(seed)
    grid = _Grid.of(given["extent"], post)
    troughs = _mountains(rng, grid, glaciers)
    if len(troughs) < 3 or stagnant + surges > len(troughs):
        raise ParameterError(
            f"simulate_region: only {len(troughs)} glaciers have room in "
            f"{extent[0]:g} m x {extent[1]:g} m, which are too few; widen extent."
        )
    elevation, owner = ground(troughs, grid.x, grid.y, grid.field(rng, 300.0))
    climate = weather.Weather.of(rng, grid.field)
    truth = _glacier_speeds(rng, troughs, grid, elevation, owner, climate, given)
    east, north, thickness = _flow(
        troughs, grid, owner, truth["speed"].to_numpy(), truth["fastest_at"].to_numpy()
    )
    thickness = thickness * np.exp(thickness_error * grid.field(rng, 1000.0))
    dem = grid.map(elevation, "elevation", "m")
    history, truth = weather.history_of(rng, truth, surges=surges, noise=noise)
    return Region(
        velocity=_measured(rng, grid, east, north, owner, given),
        dem=dem,
        thickness=grid.map(np.where(owner >= 0, thickness, 0.0), "thickness", "m"),
        outlines=_outlines(troughs, grid, elevation, owner, truth),
        climate=weather.climate_grid(rng, climate, dem),
        stations=weather.stations(rng, climate, dem),
        history=history,
        truth=truth,
    )


def _check(given: dict[str, Any]) -> None:
    """Raise for a parameter that is out of its range."""
    ranges = {
        "glaciers": (3, 500), "post": (30, 500), "slope_effect": (-10, 10),
        "temperature_effect": (-20, 20), "unexplained": (0, 20), "fastest_at": (0, 1),
        "noise": (0, 50), "missing": (0, 0.5), "thickness_error": (0, 1), "stagnant": (0, 500),
        "surges": (0, 500),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        if not low <= given[name] <= high:
            raise ParameterError(
                f"simulate_region: {name} is {given[name]!r}, it must be from {low} to {high}."
            )
    if len(given["extent"]) != 2 or not all(8_000 <= e <= 200_000 for e in given["extent"]):
        raise ParameterError(
            f"simulate_region: extent is {given['extent']!r}, it must be a width and a height "
            "of 8,000 to 200,000 metres."
        )


@dataclasses.dataclass(frozen=True)
class _Grid:
    """The posts; `x` and `y` are metres from the south-west corner."""

    x: Floats
    y: Floats
    post: float

    @classmethod
    def of(cls, extent: list[float], post: float) -> _Grid:
        across, up = (np.arange(int(e // post)) * post + post / 2 for e in extent)
        x, y = np.meshgrid(across, up[::-1])
        return cls(x, y, post)

    @property
    def south(self) -> float:
        return NORTH - float(self.y.max()) - self.post / 2

    def map(self, values: NDArray[Any], name: str, units: str) -> xr.DataArray:
        import rioxarray  # noqa: F401  (registers .rio)

        coords = {"y": self.south + self.y[:, 0], "x": WEST + self.x[0]}
        data = xr.Dataset({name: (("y", "x"), values.astype(np.float32), {"units": units})}, coords)
        return describe(data.rio.write_crs(EPSG).rio.write_transform())[name]

    def field(self, rng: np.random.Generator, length: float) -> Floats:
        """A random map of mean 0 and standard deviation 1, alike over `length` m."""
        from scipy.ndimage import gaussian_filter, zoom

        # Coarser where it is smooth: a wide filter on all posts takes long and shows no more.
        step = max(1, int(length / self.post / 4))
        ny, nx = (-(-n // step) + 3 for n in self.x.shape)
        coarse = gaussian_filter(
            rng.standard_normal((ny, nx)), length / self.post / step / 2, mode="wrap"
        )
        coarse = (coarse - coarse.mean()) / coarse.std()
        fine = zoom(coarse, step, order=1) if step > 1 else coarse
        return np.asarray(fine[: self.x.shape[0], : self.x.shape[1]])


def _mountains(rng: np.random.Generator, grid: _Grid, count: int) -> list[Trough]:
    """Glaciers with elevations: their middle at one height everywhere, but for a little."""
    slopes = np.clip(rng.normal(MEAN_SLOPE, 4, count), 5, 28)
    span = (float(grid.x.max()) + grid.post / 2, float(grid.y.max()) + grid.post / 2)
    placed = place_troughs(rng, count=count, slopes=slopes, extent=span)
    middle = 5600 + 150 * rng.standard_normal(len(placed))
    return [
        dataclasses.replace(t, top=float(m + t.drop / 2))
        for t, m in zip(placed, middle, strict=True)
    ]


def _glacier_speeds(
    rng: np.random.Generator,
    troughs: list[Trough],
    grid: _Grid,
    elevation: Floats,
    owner: NDArray[np.int32],
    climate: weather.Weather,
    given: dict[str, Any],
) -> pd.DataFrame:
    """What makes each glacier as fast as it is."""
    import pandas as pd

    rough = grid.field(rng, 8000.0)
    rows = []
    for number, trough in enumerate(troughs):
        at = owner == number
        s, _ = trough.place(grid.x[at], grid.y[at])
        height = float(np.median(elevation[at]))
        row, column = np.argwhere(at)[np.argmin(np.abs(elevation[at] - height))]
        rows.append(
            {
                "rgi_id": f"SIM-{number + 1:05d}",
                "slope": float(np.degrees(_steepness(trough, s)).mean()),
                "temperature": float(climate.mean_at(height, row, column)),
                "own": float(rough[at].mean()),
            }
        )
    table = pd.DataFrame(rows)
    table["speed"] = np.maximum(
        MEAN_SPEED
        + given["slope_effect"] * (table["slope"] - MEAN_SLOPE)
        + given["temperature_effect"] * (table["temperature"] - MEAN_TEMPERATURE)
        + given["unexplained"] * table.pop("own"),
        SLOWEST,
    )
    at_rest = rng.choice(len(table), given["stagnant"], replace=False)
    table["stagnant"] = np.isin(np.arange(len(table)), at_rest)
    table.loc[table["stagnant"], "speed"] = AT_REST
    belt = given["fastest_at"] + BELT_SCATTER * rng.standard_normal(len(table))
    table["fastest_at"] = np.clip(belt, 0, 1)
    table.attrs.update(given)
    return table[["rgi_id", "speed", "slope", "temperature", "fastest_at", "stagnant"]]


def _steepness(trough: Trough, s: Floats) -> Floats:
    """Slope of the surface along the centre line, radians."""
    rise = trough.drop / trough.length * (1 + CONCAVITY * (1 - 2 * np.clip(s, 0, 1)))
    return np.asarray(np.arctan(rise))


def _flow(
    troughs: list[Trough],
    grid: _Grid,
    owner: NDArray[np.int32],
    speeds: Floats,
    fastest_at: Floats,
) -> tuple[Floats, Floats, Floats]:
    """True velocity (east, north), m yr-1, and the thickness that makes it."""
    from scipy.ndimage import distance_transform_edt

    east, north, thickness = (np.zeros(grid.x.shape) for _ in range(3))
    # The margin lies halfway between the last post on ice and the first one beside it.
    far = (
        grid.post * distance_transform_edt(owner >= 0) >= (TEMPLATE_PIXELS * PIXEL + grid.post) / 2
    )
    for number, trough in enumerate(troughs):
        at = owner == number
        s, across = trough.place(grid.x[at], grid.y[at])
        height = (trough.surface(s) - trough.surface(np.array(1.0))) / trough.drop
        along = 0.3 + 0.7 * np.exp(-(((height - fastest_at[number]) / FAST_BELT) ** 2))
        share = along * (1 - (1 - SLIP_AT_MARGIN) * (across / trough.margin(s)) ** 2)
        inner = share[far[at]]
        v = speeds[number] * share / np.median(inner if inner.size >= FEWEST_INNER else share)
        down = trough.downhill(s)
        east[at], north[at] = v * down[0], v * down[1]
        thickness[at] = _thickness(v, _steepness(trough, s))
    return east, north, thickness


def _thickness(v: Floats, slope: Floats) -> Floats:
    """Thickness, m, of ice that flows at `v` by deformation alone."""
    pull = (DENSITY * GRAVITY * np.sin(slope)) ** EXPONENT
    a_year = RATE_FACTOR * YEAR_DAYS * 86400
    return np.asarray((v * (EXPONENT + 1) / (2 * a_year * pull)) ** (1 / (EXPONENT + 1)))


def _measured(
    rng: np.random.Generator,
    grid: _Grid,
    east: Floats,
    north: Floats,
    owner: NDArray[np.int32],
    given: dict[str, Any],
) -> xr.Dataset:
    """The velocity as a map would have it: with errors, and with holes."""
    holes = np.zeros(grid.x.shape, bool)
    if given["missing"]:
        patchy = grid.field(rng, 600.0)
        holes = patchy > np.quantile(patchy, 1 - given["missing"])
    correlated = max(TEMPLATE_PIXELS * PIXEL, grid.post)
    data = {}
    for name, truth in (("vx", east), ("vy", north)):
        values = truth + given["noise"] * grid.field(rng, correlated)
        data[name] = np.where(holes, np.nan, values)
    data["v"] = np.hypot(data["vx"], data["vy"])
    for name in ("vx", "vy", "v"):
        data[f"{name}_error"] = np.where(holes, np.nan, given["noise"])
    maps = {name: grid.map(values, name, "m yr-1") for name, values in data.items()}
    maps["stable"] = maps["v"].copy(data=(owner < 0) & ~holes)
    maps["flag"] = maps["v"].copy(
        data=np.where(holes, np.uint32(Flag.LOW_CORRELATION), np.uint32(0))
    )
    first, second = (np.datetime64(d, "ns") for d in DATES)
    times = {
        "reference_time": first, "secondary_time": second,
        "mid_date": first + (second - first) / 2,
    }  # fmt: skip
    ds = describe(xr.Dataset(maps).assign_coords(times))
    # The smoothing of terrain and the reach of errors are those of a template.
    return ds.assign_attrs(template=TEMPLATE_PIXELS, pixel=PIXEL, simulation=str(given))


def _outlines(
    troughs: list[Trough],
    grid: _Grid,
    elevation: Floats,
    owner: NDArray[np.int32],
    truth: pd.DataFrame,
) -> gpd.GeoDataFrame:
    import geopandas as gpd
    import shapely

    shapes = [shapely.affinity.translate(t.outline(), WEST, grid.south) for t in troughs]
    heights = [elevation[owner == k] for k in range(len(troughs))]
    table = {
        "rgi_id": truth["rgi_id"],
        "glac_name": [f"Glacier {k}" for k in range(1, len(troughs) + 1)],
        "area_km2": [shape.area / 1e6 for shape in shapes],
        "zmin_m": [h.min() for h in heights],
        "zmax_m": [h.max() for h in heights],
        "zmed_m": [np.median(h) for h in heights],
        "slope_deg": truth["slope"],
        "aspect_deg": [np.degrees(t.azimuth) % 360 for t in troughs],
        "lmax_m": [t.length for t in troughs],
    }
    return gpd.GeoDataFrame(table, geometry=shapes, crs=EPSG)
