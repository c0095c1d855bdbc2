"""Is ice faster in the accumulation area than in the ablation area? A test over glaciers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, VARIABLES, validate
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.equilibrium import line_elevations
from glaciertoolkit.stats.grouped import error_of_mean, independent_posts, summarise
from glaciertoolkit.stats.on_ice import Elevation, OnIce
from glaciertoolkit.stats.zones import ela_zones

Floats = npt.NDArray[np.float64]

FEWEST_GLACIERS = 5
"""With fewer pairs no outcome of the signed-rank test reaches p < 0.05."""

FEWEST_BLOCKS = 5
"""With fewer blocks resampling tells nothing of the spread."""

MEDIAN_ERROR = 1.2533
"""The error of a median over that of a mean, of Gaussian noise."""

FASTEST = 0.99
LEVEL = 0.95
_SEED = 20190903


class Share(NamedTuple):
    """A share of glaciers with its interval."""

    value: float
    low: float
    high: float


class Contrast(xr.Dataset):
    """A Dataset over `glacier` with the test over all of them; prints what it says in words."""

    __slots__ = ()

    def sentences(self) -> Iterator[str]:
        """What the numbers say, and no more."""
        total, used = self.sizes["glacier"], int(self["glaciers_used"])
        yield (
            f"{used} of {total} glaciers have enough speeds on both sides of the equilibrium line "
            f"({self.attrs['ela']})."
        )
        if self.attrs["reason"]:
            yield f"No statement over glaciers: {self.attrs['reason']}."
        if np.isfinite(self["fraction_faster_above"]):
            yield (
                f"Above the line the median speed is higher on {self._share('faster_above')} of "
                f"them; the difference is {float(self['contrast_median']):+.3g} m yr-1 in the "
                "median over glaciers."
            )
        if np.isfinite(self["p_value"]):
            p = float(self["p_value"])
            verdict = "supports" if p < 0.05 else "does not support"
            yield (
                f"Signed-rank test, one-sided: p = {p:.2g}; at the 5 % level this map {verdict} "
                '"faster in the accumulation area".'
            )
        if np.isfinite(self["fraction_fastest_in_upper_half"]):
            yield (
                "The fastest ice lies in the upper half of the range of elevations on "
                f"{self._share('fastest_in_upper_half')} of them."
            )

    def _share(self, name: str) -> str:
        value, low, high = (
            100 * float(self[f"fraction_{name}{part}"]) for part in ("", "_low", "_high")
        )
        if not np.isfinite(low):
            return f"{value:.0f} %"
        return f"{value:.0f} % ({low:.0f} to {high:.0f} %)"

    def __repr__(self) -> str:
        head = "Speed of the accumulation area less that of the ablation area"
        return "\n".join([head, *(f"- {s}" for s in self.sentences())])

    def _repr_html_(self) -> str:
        from html import escape

        items = "".join(f"<li>{escape(s)}</li>" for s in self.sentences())
        table = self.to_dataframe().drop(columns=list(self.coords), errors="ignore")
        shown = [c for c in TABLE if c in table]
        return f"<ul>{items}</ul>{self[shown].to_dataframe()[['rgi_id', *shown]].to_html()}"


TABLE = ("ela", "v_ablation", "v_accumulation", "contrast", "contrast_error", "fastest_at")


def accumulation_contrast(
    ds: xr.Dataset,
    dem: Elevation,
    *,
    outlines: Polygons,
    ela: Any = "median",
    aar: float = 0.6,
    min_count: int = 10,
    block: float = 10_000.0,
    resamples: int = 1999,
) -> Contrast:
    """Test whether ice is faster in the accumulation area than in the ablation area.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    dem : path, xarray.DataArray or xarray.Dataset
        Elevation, m; or the Dataset of `terrain_at_posts`.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry
        Glacier outlines.
    ela, aar : optional
        The equilibrium line, as in `equilibrium_line`.
    min_count : int
        Speeds that a glacier needs on either side of the line.
    block : float
        Edge, m, of the squares that are resampled: glaciers within one share weather, rock and
        the errors of the map.
    resamples : int
        Number of bootstrap samples.

    Returns
    -------
    Contrast
        A Dataset that prints in words. Over `glacier` (coordinates `rgi_id`, `name`): `ela` (m);
        `v_accumulation`, `v_ablation` (median speeds) and their difference `contrast` with
        `contrast_error` (1-sigma, of the measurement), m yr-1; `count_accumulation`,
        `count_ablation`; `fastest_at` (normalised elevation, 0 lowest, of the fastest hundredth
        of the posts). Over all glaciers: `glaciers_used`; `contrast_median`; `p_value` and
        `statistic` of the one-sided Wilcoxon signed-rank test of `contrast` > 0;
        `fraction_faster_above` (share with `contrast` > 0) and `fraction_fastest_in_upper_half`,
        each with `_low` and `_high`, a 95 % interval. NaN where glaciers or blocks are too few;
        ``attrs["reason"]`` says so.

    Raises
    ------
    MissingVariableError
        `ds` holds no velocity.
    GridError
        DEM or outlines do not overlap the grid, or no post on ice has an elevation.
    ParameterError
        `block`, `min_count` or `resamples` that are not positive; as `equilibrium_line`.

    Notes
    -----
    The literature is mixed, and theory puts the greatest flux of a glacier in balance near its
    equilibrium line: the sign is the map's to tell. Accumulation areas are also where matching is
    hardest, and noise raises a slow median: look at `contrast_error` and the coverage.

    The interval is the percentile interval over blocks of glaciers drawn with replacement. Where
    all glaciers agree, resampling shows no spread; the open end is then that of the binomial
    interval for as many trials as there are blocks (Clopper and Pearson).

    References
    ----------
    Wilcoxon, F. (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1(6).
    Efron, B. and Tibshirani, R. J. (1993), An Introduction to the Bootstrap, Chapman and Hall.

    Examples
    --------
    >>> from glaciertoolkit import simulate_region
    >>> region = simulate_region(glaciers=12, extent=(25_000, 20_000), seed=1)
    >>> found = accumulation_contrast(region.velocity, region.dem, outlines=region.outlines)
    >>> found.sizes["glacier"]
    12
    """
    validate(ds, needs=("vx", "vy", "v"))
    if not (block > 0 and min_count >= 1 and resamples >= 1):
        raise ParameterError("block, min_count and resamples must be positive.")
    found = OnIce.of(ds, outlines)
    z = found.elevation(dem)
    line = line_elevations(found, z, ela=ela, aar=aar)
    each = _by_glacier(found, z, line, min_count)
    used = np.isfinite(each["contrast"][0])
    blocks = _blocks(found, block)
    variables: dict[str, Any] = {
        name: ("glacier", values, {"units": units, "long_name": text})
        for name, (values, units, text) in each.items()
    }
    numbers, reason = _over_glaciers(each, used, blocks, resamples)
    units = {"contrast_median": VARIABLES["v"].units}
    variables |= {k: ((), v, {"units": units.get(k, "1")}) for k, v in numbers.items()}
    kept = {k: ds.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in ds.coords}
    coords = {
        "rgi_id": ("glacier", found.inventory["rgi_id"].to_numpy(dtype=str)),
        "name": ("glacier", found.inventory["name"].to_numpy(dtype=str)),
    }
    attrs = {"reason": reason, "ela": _named(ela, aar), "block": float(block)}
    return Contrast(variables, coords={**coords, **kept}, attrs=attrs)


def _by_glacier(
    found: OnIce, z: npt.NDArray[Any], line: Floats, min_count: int
) -> dict[str, tuple[npt.NDArray[Any], str, str]]:
    number, speed = found.number, found.fields["v"]
    strata = ela_zones(found, z, line)
    label = strata.split(found.ice.glacier)
    of = summarise(speed, label, 2 * number)
    below, above = of["median"].reshape(number, 2).T
    counts = of["count"].reshape(number, 2).astype(np.int64)
    enough = (counts >= min_count).all(axis=1)
    error = np.full(2 * number, np.nan)
    if found.error is not None:
        error = error_of_mean(found.error, speed, label, independent_posts(of["count"], found.ds))
    both = MEDIAN_ERROR * np.hypot(*error.reshape(number, 2).T)
    unit = VARIABLES["v"].units
    return {
        "ela": (line, "m", "elevation of the equilibrium line"),
        "v_accumulation": (np.where(enough, above, np.nan), unit, "median speed above the line"),
        "v_ablation": (np.where(enough, below, np.nan), unit, "median speed below the line"),
        "contrast": (
            np.where(enough, above - below, np.nan), unit, "median speed above less that below"
        ),
        "contrast_error": (
            np.where(enough, both, np.nan), unit, "1-sigma error of the difference of the medians"
        ),
        "count_accumulation": (counts[:, 1], "1", "speeds above the line"),
        "count_ablation": (counts[:, 0], "1", "speeds below the line"),
        "fastest_at": (
            np.where(enough, _fastest_at(found, z), np.nan),
            "1", "normalised elevation of the fastest hundredth",
        ),
    }  # fmt: skip


def _fastest_at(found: OnIce, z: npt.NDArray[Any]) -> Floats:
    """Median normalised elevation of the fastest posts of each glacier."""
    glacier, speed = found.ice.glacier, found.fields["v"]
    limit = summarise(speed, glacier, found.number, quantiles=(FASTEST,))[f"q{FASTEST:g}"]
    with np.errstate(invalid="ignore"):
        fastest = np.where(speed >= limit[glacier], glacier, -1)
    return summarise(found.normalised(z), fastest, found.number)["median"]


def _blocks(found: OnIce, edge: float) -> npt.NDArray[np.int64]:
    """The square that each glacier lies in, by a point of it."""
    points = found.outlines.geometry.representative_point()
    left, bottom, *_ = found.outlines.total_bounds
    column = np.floor((points.x.to_numpy() - left) / edge).astype(np.int64)
    row = np.floor((points.y.to_numpy() - bottom) / edge).astype(np.int64)
    return np.unique(row * (column.max() + 1) + column, return_inverse=True)[1]


def _over_glaciers(
    each: dict[str, Any], used: npt.NDArray[np.bool_], blocks: npt.NDArray[np.int64], resamples: int
) -> tuple[dict[str, float], str]:
    contrast, high = each["contrast"][0][used], each["fastest_at"][0][used]
    groups = np.unique(blocks[used], return_inverse=True)[1]
    count, squares = int(used.sum()), int(groups.max(initial=-1)) + 1
    reasons = []
    nothing = float("nan")
    statistic = p_value = nothing
    if count < FEWEST_GLACIERS:
        reasons.append(f"{count} glaciers with both areas, {FEWEST_GLACIERS} are needed")
    elif not np.any(contrast):
        reasons.append("the two areas of every glacier are equally fast")
    else:
        statistic, p_value = _signed_rank(contrast)
    if count >= FEWEST_GLACIERS and squares < FEWEST_BLOCKS:
        reasons.append(f"the glaciers lie in {squares} blocks, {FEWEST_BLOCKS} are needed")
    faster = _share(contrast > 0, groups, resamples)
    upper = _share(high > 0.5, groups, resamples)
    numbers = {
        "glaciers_used": count,
        "blocks": squares,
        "contrast_median": float(np.median(contrast)) if count else nothing,
        "statistic": statistic,
        "p_value": p_value,
    }
    for name, share in (("faster_above", faster), ("fastest_in_upper_half", upper)):
        numbers |= {
            f"fraction_{name}": share.value,
            f"fraction_{name}_low": share.low,
            f"fraction_{name}_high": share.high,
        }
    return numbers, "; ".join(reasons)


def _signed_rank(contrast: Floats) -> tuple[float, float]:
    from scipy.stats import wilcoxon

    found: Any = wilcoxon(contrast, alternative="greater")
    return float(found.statistic), float(found.pvalue)


def _share(hits: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64], resamples: int) -> Share:
    """Share of hits, and its interval from drawing whole groups with replacement."""
    if hits.size < FEWEST_GLACIERS:
        return Share(float("nan"), float("nan"), float("nan"))
    value, number = float(hits.mean()), int(groups.max()) + 1
    if number < FEWEST_BLOCKS:
        return Share(value, float("nan"), float("nan"))
    tail = (1 - LEVEL) / 2
    if value in (0.0, 1.0):
        open_end = tail ** (1 / number)
        return Share(value, open_end, 1.0) if value else Share(value, 0.0, 1 - open_end)
    total = np.bincount(groups, minlength=number)
    inside = np.bincount(groups, weights=hits, minlength=number)
    draws = np.random.default_rng(_SEED).integers(0, number, (resamples, number))
    shares = inside[draws].sum(axis=1) / total[draws].sum(axis=1)
    low, high = np.quantile(shares, [tail, 1 - tail])
    return Share(value, float(low), float(high))


def _named(ela: Any, aar: float) -> str:
    if isinstance(ela, str):
        return "median elevation" if ela == "median" else f"accumulation area ratio {aar:g}"
    if isinstance(ela, int | float | np.number):
        return f"{ela:g} m"
    return "as given"
