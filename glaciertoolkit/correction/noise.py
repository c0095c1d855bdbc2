"""High-frequency noise: matches that their neighbours contradict, and what smoothing remains."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, Tile, Window, map_tiles
from glaciertoolkit.conventions import YEAR_DAYS, Flag, describe, interval_days, validate
from glaciertoolkit.correction.points import template_posts
from glaciertoolkit.errors import ParameterError
from glaciertoolkit.provenance import recorded

Array = npt.NDArray[np.float32]

TILE_POSTS = 512
RADIUS = 2
PASSES = 3
SMOOTHINGS = ("median", "gaussian", "nonlocal")
STILL = 3.0
"""Standard errors below which a displacement has no direction."""

QUALITY = {
    "min_correlation": ("correlation", Flag.LOW_CORRELATION),
    "min_snr": ("snr", Flag.LOW_SNR),
    "min_peak_ratio": ("peak_ratio", Flag.AMBIGUOUS_PEAK),
}
"""Variable that each threshold is applied to, and its flag."""

ERRORS = ("dx_error", "dy_error")


@dataclass(frozen=True)
class NoiseParameters:
    """Thresholds of the tests; lengths of displacement in metres along x."""

    strides: tuple[tuple[int, int], ...]
    reach: float
    least_share: float
    threshold: float
    floor: float
    island: tuple[int, int]
    largest: float
    smooth: int
    smoothing: str = "median"
    turn: float | None = None
    strain: float = np.inf
    spacing: tuple[float, float] = (1.0, 1.0)
    fill: int = 0
    posts: tuple[int, int] = (0, 0)

    @property
    def halo(self) -> int:
        """Posts around a tile that can change what happens inside it."""
        # Two tests a stride, each looking RADIUS strides far, one after the other; then the
        # direction, the strain, and what each further step looks at.
        further = (self.turn is not None) + bool(np.isfinite(self.strain))
        reach = 2 * RADIUS * PASSES * sum(max(s) for s in self.strides)
        reach += further * RADIUS * max(self.strides[-1])
        return reach + max(self.island) + self.fill + self.smooth + 1


def _window(tile: Tile, *, posts: tuple[int, int], halo: int) -> Window:
    return Window(
        max(tile.y0 - halo, 0),
        min(tile.y1 + halo, posts[0]),
        max(tile.x0 - halo, 0),
        min(tile.x1 + halo, posts[1]),
    )


class _Field:
    """Displacement of a tile while the tests work on it, and the bits that they set."""

    def __init__(self, dx: Array, dy: Array) -> None:
        self.u, self.v = np.array(dx, np.float32), np.array(dy, np.float32)
        self.flag = np.zeros(self.u.shape, np.uint32)

    def reject(self, where: npt.NDArray[np.bool_], why: Flag) -> bool:
        if not where.any():
            return False
        self.u[where], self.v[where] = np.nan, np.nan
        self.flag[where] |= np.uint32(why)
        return True


def noise_tile(*given: Any, parameters: NoiseParameters) -> Array:
    """Planes (dx, dy, new flag bits) of one tile of posts; of filled posts also the errors.

    Called as ``noise_tile(dx, dy, dx_error, dy_error, tile, window)``, where the errors are left
    out unless the direction is judged or holes are filled.
    """
    dx, dy, *errors, tile, window = given
    field = _Field(dx, dy)
    _compare(field, parameters)
    if parameters.turn is not None or np.isfinite(parameters.strain):
        _judge_motion(field, errors, parameters)
    if min(parameters.island) > 1:
        from glaciertoolkit.correction import kernels

        field.reject(
            kernels.small_islands(np.isfinite(field.u), *parameters.island), Flag.SMALL_OBJECT
        )
    if parameters.fill:
        errors = _fill(field, errors, window, parameters)
    if parameters.smooth:
        _smooth(field, parameters)
    core = (
        slice(tile.y0 - window.y0, tile.y1 - window.y0),
        slice(tile.x0 - window.x0, tile.x1 - window.x0),
    )
    planes = [field.u, field.v, field.flag.astype(np.float32)]
    if parameters.fill:
        planes += errors
    return np.stack([plane[core] for plane in planes])


def _compare(field: _Field, p: NoiseParameters) -> None:
    """What is too fast, and what the neighbours contradict."""
    from glaciertoolkit.correction import kernels

    if np.isfinite(p.largest):
        field.reject(np.hypot(field.u, field.v) > p.largest, Flag.TOO_FAST)
    network = kernels.sorting_network((2 * RADIUS + 1) ** 2 - 1)
    for _ in range(PASSES):
        changed = False
        for stride in p.strides:
            if p.least_share > 0:
                bad = kernels.disparity_test(
                    field.u, field.v, RADIUS, *stride, np.float32(p.reach), p.least_share
                )
                changed |= field.reject(bad, Flag.OUTLIER_DISPARITY)
            if np.isfinite(p.threshold):
                bad = kernels.median_test(
                    field.u, field.v, RADIUS, *stride, np.float32(p.threshold),
                    np.float32(p.floor), network,
                )  # fmt: skip
                changed |= field.reject(bad, Flag.OUTLIER_MEDIAN)
        if not changed:
            break


def _judge_motion(field: _Field, errors: list[Array], p: NoiseParameters) -> None:
    """Direction and strain, of neighbours half a template apart: closer ones share pixels."""
    from glaciertoolkit.correction import kernels

    stride = p.strides[-1]
    if p.turn is not None:
        slow = np.full(field.u.shape, np.float32(STILL * p.floor))
        for error in errors:
            slow = np.fmax(slow, np.float32(STILL) * error)
        cosine = np.float32(math.cos(math.radians(p.turn)))
        bad = kernels.direction_test(field.u, field.v, slow, RADIUS, *stride, cosine)
        field.reject(bad, Flag.OUTLIER_DIRECTION)
    if np.isfinite(p.strain):
        down, along = (np.float32(s * m) for s, m in zip(stride, p.spacing, strict=True))
        limit = np.float32(p.strain)
        bad = kernels.strain_test(field.u, field.v, RADIUS, *stride, down, along, limit)
        field.reject(bad, Flag.IMPLAUSIBLE_STRAIN)


def _fill(field: _Field, errors: list[Array], window: Window, p: NoiseParameters) -> list[Array]:
    """Fill small holes; the errors of what was filled."""
    from glaciertoolkit.correction import smoothing_kernels as kernels

    missing = np.isnan(field.u)
    first = (window.y0 == 0, window.x0 == 0)
    last = (window.y1 == p.posts[0], window.x1 == p.posts[1])
    label = kernels.small_holes(missing, p.fill, first, last)
    found = []
    for k, values in enumerate((field.u, field.v)):
        variance = np.square(errors[k]) if errors else np.zeros(values.shape, np.float32)
        filled, variance = kernels.fill_from_rim(values, variance, label, p.fill)
        values[...] = filled
        found.append(np.sqrt(variance))
    field.flag[label > 0] |= np.uint32(Flag.FILLED)
    return found


def _smooth(field: _Field, p: NoiseParameters) -> None:
    from glaciertoolkit.correction import smoothing_kernels as kernels

    if p.smoothing == "nonlocal":
        field.u, field.v = kernels.nonlocal_smooth(field.u, field.v, p.smooth, p.floor)
    else:
        one = kernels.median_smooth if p.smoothing == "median" else kernels.gaussian_smooth
        field.u, field.v = one(field.u, p.smooth), one(field.v, p.smooth)
    field.flag[np.isfinite(field.u)] |= np.uint32(Flag.SMOOTHED)


@recorded
def filter_noise(
    ds: xr.Dataset,
    *,
    disparity_share: float = 8 / 25,
    disparity_reach: float = 0.2,
    median_threshold: float = 3.0,
    median_floor: float = 0.1,
    min_island: float = 1.0,
    max_speed: float | None = None,
    min_correlation: float = 0.0,
    min_snr: float = 0.0,
    min_peak_ratio: float = 0.0,
    max_turn: float | None = None,
    max_strain: float | None = None,
    fill: int = 0,
    smooth: int = 0,
    smoothing: str = "median",
) -> xr.Dataset:
    """Reject displacements that their neighbours contradict; fill and smooth only if asked to.

    Two tests, each with the 5 x 5 neighbours next to the post and again with neighbours half a
    template apart (posts closer than a template share pixels, and so share their mistakes),
    repeated three times; then what is left of isolated groups goes. Thresholds of quality come
    before them; direction and strain, where asked for, after.

    Parameters
    ----------
    ds : xarray.Dataset
        Offsets or corrected motion with `dx`, `dy`, `flag` (and the attributes of `track`).
    disparity_share : float
        Disparity test: at least this share of the neighbours must agree; 0 switches it off.
    disparity_reach : float
        They agree within this share of the search radius.
    median_threshold : float
        Normalised median test: largest distance from the neighbours' median, in units of their
        median absolute deviation plus `median_floor`; infinity switches it off.
    median_floor : float
        Pixels.
    min_island : float
        Connected groups of posts that measure less than this many template edges are removed:
        in one template there is no second measurement that could confirm the first. 0 keeps all.
    max_speed : float, optional
        Largest plausible speed, m per day; faster posts are removed.
    min_correlation, min_snr, min_peak_ratio : float
        Least `correlation`, `snr` and `peak_ratio`; 0 for no threshold.
    max_turn : float, optional
        Degrees by which the direction may differ from that of most of the 5 x 5 neighbours half a
        template apart. Only posts that move by more than three standard errors (and three times
        `median_floor`) are judged, by neighbours that do: slow ice has no direction.
    max_strain : float, optional
        Largest plausible gradient of the velocity, yr-1: the root of the summed squares of its
        four parts, each a median over the same neighbours. Ice outside of surges stays below 1
        to 2; a shear margin does not always.
    fill : int
        Holes of at most this many posts are filled from the plane through the posts around them;
        0 (default) leaves them. Filled posts keep the bits that say why they were missing.
    smooth : int
        Radius of a filter on the components, posts; 0 (default) leaves values as measured.
    smoothing : {"median", "gaussian", "nonlocal"}
        "gaussian" has a standard deviation of half the radius; "nonlocal" means average vectors
        whose 3 x 3 surroundings are alike to within noise of `median_floor`, and keep edges.

    Returns
    -------
    xarray.Dataset
        Rejected posts are NaN, each test sets its bit in `flag`; bits that are there already
        stay, and posts that are missing already get no new ones. Errors of filled posts come from
        the posts around. Lazy where `ds` is lazy.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    MissingVariableError
        If `ds` holds no displacement, or not what a threshold is for.

    Notes
    -----
    Smoothing acts on components, never on the speed, whose mean noise biases. The errors of
    smoothed posts stay those of the single measurement.

    References
    ----------
    Disparity test: Gardner et al., autoRIFT (Lei, Gardner and Agram 2021, Remote Sensing 13,
    749). Normalised median: Westerweel, J. and Scarano, F. (2005), Universal outlier detection
    for PIV data, Experiments in Fluids 39. Non-local means: Buades, Coll and Morel (2005), A
    review of image denoising algorithms, with a new one, Multiscale Model. Simul. 4.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = np.meshgrid(30.0 * np.arange(60), -30.0 * np.arange(60))
    >>> dims, grid = ("y", "x"), {"y": y[:, 0], "x": x[0]}
    >>> dx = 0.001 * x
    >>> ds = xr.Dataset({"dx": (dims, dx), "dy": (dims, 0 * x)}, grid).astype("float32")
    >>> ds["flag"] = dims, np.zeros(x.shape, "uint32")
    >>> ds.dx[20, 30] = 40.0
    >>> out = filter_noise(ds)
    >>> int(np.isnan(out.dx).sum()), bool(np.isnan(out.dx[20, 30])), int(out.flag[20, 30]) > 0
    (1, True, True)
    """
    validate(ds, needs=("dx", "dy", "flag"))
    quality = {
        "min_correlation": min_correlation, "min_snr": min_snr, "min_peak_ratio": min_peak_ratio
    }  # fmt: skip
    parameters = _parameters(
        ds, disparity_share, disparity_reach, median_threshold, median_floor, min_island,
        max_speed, max_turn, max_strain, fill, smooth, smoothing,
    )  # fmt: skip
    good = _above(ds, quality)
    posts = (ds.sizes["y"], ds.sizes["x"])
    extra = ERRORS if (fill or max_turn is not None) and set(ERRORS) <= set(ds) else ()
    planes = map_tiles(
        functools.partial(noise_tile, parameters=parameters),
        tuple(good[name].data for name in ("dx", "dy", *extra)),
        lattice=Lattice(posts, TILE_POSTS),
        window=functools.partial(_window, posts=posts, halo=parameters.halo),
        planes=5 if fill else 3,
        name="noise",
    )
    out = good.copy()
    for k, name in enumerate(("dx", "dy")):
        out[name] = ds[name].copy(data=planes[k])
    out["flag"] = ds["flag"].copy(data=good["flag"].data | planes[2].astype(np.uint32))
    if fill and extra:
        for k, name in enumerate(ERRORS, start=3):
            out[name] = ds[name].copy(data=planes[k])
    return describe(blank_errors(out))


def _above(ds: xr.Dataset, least: dict[str, float]) -> xr.Dataset:
    """`ds` without the posts whose quality is below a threshold."""
    out = ds
    for option, value in least.items():
        if not 0 <= value < np.inf:
            raise ParameterError(f"{option} must be 0 or more; got {value!r}.")
        if not value:
            continue
        name, why = QUALITY[option]
        validate(ds, needs=(name,))
        low = ds[name] < np.float32(value)
        if ds["dx"].chunks is None:
            low = low.compute()
        low &= np.isfinite(out["dx"])
        flag = out["flag"] | low.astype(np.uint32) * np.uint32(why)
        out = out.assign({k: out[k].where(~low) for k in ("dx", "dy")} | {"flag": flag})
    return out


def blank_errors(ds: xr.Dataset) -> xr.Dataset:
    """Errors and hold-out residuals are NaN wherever the displacement is."""
    out = ds.copy()
    missing = np.isnan(ds["dx"])
    for name in (*ERRORS, "dxdy_covariance", "dx_holdout", "dy_holdout"):
        if name in ds:
            out[name] = ds[name].where(~missing)
    return out


def _parameters(
    ds: xr.Dataset, share: float, reach: float, threshold: float, floor: float, min_island: float,
    max_speed: float | None, max_turn: float | None, max_strain: float | None, fill: int,
    smooth: int, smoothing: str,
) -> NoiseParameters:  # fmt: skip
    for name, value, low, high in (
        ("disparity_share", share, 0, 1),
        ("disparity_reach", reach, 0, 1),
        ("median_threshold", threshold, 1, np.inf),
        ("median_floor", floor, 0, 10),
        ("min_island", min_island, 0, 4),
        ("max_turn", 90 if max_turn is None else max_turn, 1, 180),
        ("fill", fill, 0, 25),
        ("smooth", smooth, 0, 10),
    ):
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not (number and low <= value <= high):
            raise ParameterError(f"{name} must lie between {low} and {high}; got {value!r}.")
    for name, value in (("fill", fill), ("smooth", smooth)):
        if value != int(value):
            raise ParameterError(f"{name} must be a whole number of posts; got {value!r}.")
    if smoothing not in SMOOTHINGS:
        raise ParameterError(f"smoothing must be one of {', '.join(SMOOTHINGS)}; got {smoothing}.")
    if max_speed is not None and not max_speed > 0:
        raise ParameterError(f"max_speed must be a positive speed in m per day; got {max_speed!r}.")
    if max_strain is not None and not max_strain > 0:
        raise ParameterError(f"max_strain must be a positive rate in yr-1; got {max_strain!r}.")
    if smooth and smoothing == "nonlocal" and not floor > 0:
        raise ParameterError("nonlocal smoothing needs a noise level; give median_floor above 0.")
    pixel: Any = np.atleast_1d(ds.attrs.get("pixel", 1.0))
    search: Any = np.atleast_1d(ds.attrs.get("search", 16))
    metres = float(np.max(pixel))
    cy, cx = template_posts(ds)
    apart = (max(1, cy // 2), max(1, cx // 2))
    strides = ((1, 1), apart) if apart != (1, 1) else ((1, 1),)
    return NoiseParameters(
        strides=strides,
        reach=reach * float(np.max(search)) * metres,
        least_share=share,
        threshold=threshold,
        floor=floor * metres,
        island=(math.ceil(min_island * cy), math.ceil(min_island * cx)),
        largest=np.inf if max_speed is None else max_speed * interval_days(ds),
        smooth=int(smooth),
        smoothing=smoothing,
        turn=max_turn,
        strain=np.inf if max_strain is None else max_strain * interval_days(ds) / YEAR_DAYS,
        spacing=_spacing(ds) if max_strain is not None else (1.0, 1.0),
        fill=int(fill),
        posts=(ds.sizes["y"], ds.sizes["x"]),
    )


def _spacing(ds: xr.Dataset) -> tuple[float, float]:
    """Metres between posts along y and x."""
    y, x = (np.asarray(ds[k].values, float) for k in ("y", "x"))
    return abs(y[-1] - y[0]) / max(y.size - 1, 1), abs(x[-1] - x[0]) / max(x.size - 1, 1)
