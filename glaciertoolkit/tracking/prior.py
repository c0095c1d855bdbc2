"""Where tracking starts to search: a prior displacement on the posts, and by tile."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Tile
from glaciertoolkit.conventions import YEAR_DAYS, interval_days
from glaciertoolkit.errors import GridError, InputError, ParameterError

Field = npt.NDArray[np.float32]
"""(2, posts_y, posts_x): pixels to the right, pixels down."""

Prior = xr.Dataset | tuple[float, float]
"""A displacement (dx, dy) in metres, or a Dataset with dx, dy (m) or vx, vy (m yr-1)."""

LEAST_POSTS = (8, 16)
"""Posts (y, x) that a part keeps: the work for one hardly falls with its width, so that narrow
parts are dear."""

PER_DAY = ("d-1", "/d", "/day", "day-1")
IN_PIXELS = ("px", "pixel", "pixels")


def prior_in_pixels(
    prior: Prior,
    *,
    pair: xr.Dataset,
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    pixel: tuple[float, float],
) -> Field:
    """The displacement that is expected at each post, in pixels.

    Parameters
    ----------
    prior : (float, float) or xarray.Dataset
        One displacement (dx, dy) for all posts, metres along the grid's axes; or a Dataset on
        (y, x), with any spacing, of velocities `vx`, `vy` (m yr-1, times the interval of `pair`)
        or of displacements `dx`, `dy` (m). Where it holds both and `pair` has dates, the velocity
        counts: it fits every interval. Missing posts are filled with the nearest that are valid.
        A lazy Dataset is computed.
    pair : xarray.Dataset
        The image pair, for its dates and its CRS.
    y, x : array_like
        Coordinates of the posts (centres of the templates), metres.
    pixel : (float, float)
        Signed spacing (y, x) of the pixels, metres.

    Returns
    -------
    numpy.ndarray
        float32, (2, posts_y, posts_x): pixels to the right (along columns), pixels down (along
        rows); finite everywhere. Beyond the extent of `prior` its nearest value.

    Raises
    ------
    ParameterError
        If `prior` is of another kind.
    InputError
        If it holds neither displacements nor velocities in the expected units, or no valid value.
    GridError
        If its CRS is not that of the pair, its grid is irregular, or it lies elsewhere.
    MissingVariableError
        If it is a velocity and `pair` has no dates.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> field = prior_in_pixels((20.0, 30.0), pair=xr.Dataset(), y=np.arange(3), x=np.arange(4),
    ...                         pixel=(-10.0, 10.0))
    >>> field.shape, field[:, 0, 0].tolist()
    ((2, 3, 4), [2.0, -3.0])
    """
    along_y, along_x = np.asarray(y, float), np.asarray(x, float)
    if isinstance(prior, xr.Dataset):
        metres = _from_dataset(prior, pair, along_y, along_x)
    else:
        metres = np.empty((2, along_y.size, along_x.size))
        metres[...] = np.reshape(_two_numbers(prior), (2, 1, 1))
    metres /= np.reshape([pixel[1], pixel[0]], (2, 1, 1))
    return metres.astype(np.float32)


def split(field: Field, tile: Tile, slack: float) -> list[tuple[Tile, tuple[int, int]]]:
    """Divide a tile until one whole-pixel offset is near the prior of every post of a part.

    Parameters
    ----------
    field : numpy.ndarray
        (2, posts_y, posts_x), pixels, on all posts, as from `prior_in_pixels`.
    tile : Tile
        Posts to divide.
    slack : float
        Largest distance, pixels along each axis, between a post's prior and the offset of its
        part (before that is rounded); parts as small as `LEAST_POSTS` are not divided further.

    Returns
    -------
    list of (Tile, (int, int))
        The parts, which cover the tile once, and the offset (rows, columns) of each: the middle
        of the range of its priors, rounded.

    Notes
    -----
    A part is halved across the direction in which the prior varies most within it.

    Examples
    --------
    >>> import numpy as np
    >>> field = np.stack([np.tile(np.arange(32.0), (8, 1)), np.zeros((8, 32))])
    >>> [(part[2:], offset) for part, offset in split(field, Tile(0, 8, 0, 32), 8)]
    [((0, 16), (0, 8)), ((16, 32), (0, 24))]
    """
    parts: list[tuple[Tile, tuple[int, int]]] = []
    waiting = [tile]
    while waiting:
        part = waiting.pop()
        values = field[:, part.y0 : part.y1, part.x0 : part.x1]
        low, high = values.min(axis=(1, 2)), values.max(axis=(1, 2))
        halves = _halves(part, values) if (high - low).max() > 2 * slack else ()
        if halves:
            waiting += reversed(halves)
        else:
            columns, rows = (math.floor((a + b) / 2 + 0.5) for a, b in zip(low, high, strict=True))
            parts.append((part, (rows, columns)))
    return parts


def _halves(part: Tile, values: Field) -> tuple[Tile, ...]:
    """The two halves of a part, or none where they would be too small."""
    rows, cols = part.shape
    across_rows = float(np.ptp(values, axis=1).max()) if rows >= 2 * LEAST_POSTS[0] else -1.0
    across_cols = float(np.ptp(values, axis=2).max()) if cols >= 2 * LEAST_POSTS[1] else -1.0
    if max(across_rows, across_cols) < 0:
        return ()
    if across_rows > across_cols or (across_rows == across_cols and rows >= cols):
        middle = part.y0 + rows // 2
        return part._replace(y1=middle), part._replace(y0=middle)
    middle = part.x0 + cols // 2
    return part._replace(x1=middle), part._replace(x0=middle)


def _two_numbers(prior: Any) -> tuple[float, float]:
    if isinstance(prior, tuple | list) and len(prior) == 2:
        numbers = [v for v in prior if isinstance(v, Real) and not isinstance(v, bool)]
        if len(numbers) == 2 and all(math.isfinite(v) for v in numbers):
            return float(numbers[0]), float(numbers[1])
    raise ParameterError(
        "prior must be a displacement (dx, dy) in metres, or a Dataset with dx, dy (m) or vx, vy "
        f"(m yr-1); got {prior!r:.80}."
    )


def _from_dataset(
    prior: xr.Dataset, pair: xr.Dataset, y: npt.NDArray[Any], x: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Displacement of a Dataset in metres, (2, y, x), at the coordinates `y` and `x`."""
    names = _chosen(prior, pair)
    _check_crs(prior, pair)
    known = _ascending(prior[list(names)])
    _check_overlap(known, y, x)
    values = np.stack([np.asarray(known[name].values, float) for name in names])
    if names[0] == "vx":
        values *= interval_days(pair) / YEAR_DAYS
    at_y, at_x = known["y"].values.astype(float), known["x"].values.astype(float)
    return bilinear(fill_nearest(values, at_y, at_x), at_y, at_x, y, x)


def _chosen(prior: xr.Dataset, pair: xr.Dataset) -> tuple[str, str]:
    velocity, displacement = {"vx", "vy"} <= set(prior), {"dx", "dy"} <= set(prior)
    if not (velocity or displacement):
        have = ", ".join(map(str, prior.data_vars)) or "none"
        raise InputError(
            f"the prior holds neither dx, dy (m) nor vx, vy (m yr-1) (it has: {have}); "
            "rename its variables."
        )
    dated = {"reference_time", "secondary_time"} <= set(pair.coords)
    names = ("vx", "vy") if velocity and (dated or not displacement) else ("dx", "dy")
    unit, wrong = ("m yr-1", PER_DAY) if names[0] == "vx" else ("m", IN_PIXELS)
    for name in names:
        found = str(prior[name].attrs.get("units", unit)).strip()
        if found.lower().endswith(wrong):
            raise InputError(
                f"{name} of the prior is in {found}, it must be in {unit}; convert it and set its "
                "attribute `units`."
            )
    return names


def _check_crs(prior: xr.Dataset, pair: xr.Dataset) -> None:
    from glaciertoolkit.grids.posts import crs_of

    theirs, ours = crs_of(prior), crs_of(pair)
    if theirs is not None and ours is not None and theirs != ours:
        raise GridError(
            f"the prior is in {theirs.to_string():.40}, the pair in {ours.to_string():.40}; bring "
            "the prior to the CRS of the pair, velocity_map.rio.reproject(pair.rio.crs), and turn "
            "its components where the axes of the two differ."
        )


def _ascending(prior: xr.Dataset) -> xr.Dataset:
    """`prior` on (y, x) with rising coordinates."""
    flat = prior.squeeze(drop=True) if set(prior.dims) - {"y", "x"} else prior
    if set(flat.dims) != {"y", "x"} or not {"y", "x"} <= set(flat.coords):
        raise InputError(
            f"the prior must have the dimensions and coordinates (y, x); it has the dimensions "
            f"{tuple(map(str, prior.sizes))}; select one field and name them so."
        )
    for name in ("y", "x"):
        steps = np.diff(np.asarray(flat[name].values, float))
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise GridError(
                f"the coordinate {name} of the prior neither rises nor falls throughout; sort it "
                f'with prior.sortby("{name}").'
            )
    return flat.sortby(["y", "x"]).transpose("y", "x")


def _check_overlap(prior: xr.Dataset, y: npt.NDArray[Any], x: npt.NDArray[Any]) -> None:
    for name, at in (("y", y), ("x", x)):
        along = np.asarray(prior[name].values, float)
        cell = (along[-1] - along[0]) / max(along.size - 1, 1)
        if at.size and (at.min() > along[-1] + cell or at.max() < along[0] - cell):
            raise GridError(
                f"the prior (from {name} = {along[0]:.7g} to {along[-1]:.7g}) does not reach the "
                f"images ({at.min():.7g} to {at.max():.7g}); check its CRS and its coordinates."
            )


def fill_nearest(
    values: npt.NDArray[Any], y: npt.NDArray[Any], x: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """`values` (2, y, x) with missing posts replaced by the nearest that has both components."""
    from scipy.ndimage import distance_transform_edt

    missing = ~np.isfinite(values).all(axis=0)
    if not missing.any():
        return values
    if missing.all():
        raise InputError("the prior holds no valid value; leave it out, or check what it covers.")
    spacing = [float(np.abs(np.diff(v)).mean()) if v.size > 1 else 1.0 for v in (y, x)]
    nearest = distance_transform_edt(
        missing, sampling=spacing, return_distances=False, return_indices=True
    )
    rows, cols = np.asarray(nearest)
    return np.asarray(values[:, rows, cols])


def bilinear(
    values: npt.NDArray[Any],
    y: npt.NDArray[Any],
    x: npt.NDArray[Any],
    at_y: npt.NDArray[Any],
    at_x: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    """`values` (2, y, x) on rising y, x at all pairs of `at_y` and `at_x`; nearest beyond them."""
    first, second, weight = _between(y, at_y)
    part = values[:, first] * (1 - weight[:, None]) + values[:, second] * weight[:, None]
    first, second, weight = _between(x, at_x)
    return np.asarray(part[:, :, first] * (1 - weight) + part[:, :, second] * weight)


def _between(
    along: npt.NDArray[Any], at: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """The nodes on both sides of each position, and the weight of the second."""
    position = np.interp(at, along, np.arange(along.size))
    first = position.astype(np.intp)
    return first, np.minimum(first + 1, along.size - 1), position - first
