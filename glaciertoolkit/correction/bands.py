"""What bands of posts across the whole scene have in common: the shape of streaks and stripes."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.correction.points import template_posts
from glaciertoolkit.errors import StableTerrainError
from glaciertoolkit.robust import nmad

Array = npt.NDArray[np.floating[Any]]

MOST_TURNED, COARSE, FINE = 45.0, 3.0, 0.1
"""Degrees: the largest angle of bands that is looked for, the first and the last step."""

GAIN = 0.01
"""Share of the scatter that another angle has to take off to be preferred."""

FEWEST = 4
"""Templates of stable ground that a band needs for a median of its own."""

MOST_POSTS = 1 << 24
"""Posts that the medians are taken of, at most: of a larger scene every second, third, ..."""

ROWS = 256
"""Rows of posts that are evaluated at once."""

SIGNIFICANT = 3.0
"""Standard errors by which a wave must differ from nothing."""


@dataclass(frozen=True)
class Bands:
    """Places across bands that run along `along`, turned by `angle` degrees; in posts.

    `spacing` (m) is that of the posts across; `first` is the least place, the zero of all others.
    """

    along: str
    slope: float
    spacing: float
    first: float
    last: float

    @classmethod
    def of(cls, ds: xr.Dataset, *, along: str, angle: float) -> Bands:
        """The bands of the posts of `ds`."""
        across = np.asarray(ds["y" if along == "x" else "x"].values, float)
        spacing = abs(across[-1] - across[0]) / max(across.size - 1, 1)
        bands = cls(along, math.tan(math.radians(angle)), spacing or 1.0, 0.0, 0.0)
        corners = bands.place(*(np.asarray(ds[k].values, float)[[0, -1]] for k in ("y", "x")))
        return cls(along, bands.slope, bands.spacing, float(corners.min()), float(corners.max()))

    def place(self, y: Any, x: Any) -> npt.NDArray[np.float64]:
        """Places (y, x) of all combinations of y and x, metres."""
        y, x = np.asarray(y, float)[:, None], np.asarray(x, float)[None, :]
        across, along = (y, x) if self.along == "x" else (x, y)
        return np.asarray((across - self.slope * along) / self.spacing - self.first)


@dataclass(frozen=True)
class Profile:
    """An offset, `value` (m) at the places `at`, that whole bands have; linear in between."""

    bands: Bands
    at: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]

    def on(self, ds: xr.Dataset) -> xr.DataArray:
        """The offset at the posts of `ds`, float32, lazy where `ds` is lazy."""
        y, x = (np.asarray(ds[k].values, float) for k in ("y", "x"))
        chunks = ds["dx"].chunksizes
        if chunks:
            import dask.array as da

            lines = [da.from_array(v, chunks=(chunks[k],)) for k, v in (("y", y), ("x", x))]
            data = da.blockwise(self._block, "yx", lines[0], "y", lines[1], "x", dtype=np.float32)
            return xr.DataArray(data, dims=("y", "x"))
        out = np.empty((y.size, x.size), np.float32)
        for first in range(0, y.size, ROWS):
            out[first : first + ROWS] = self._block(y[first : first + ROWS], x)
        return xr.DataArray(out, dims=("y", "x"))

    def _block(self, y: Any, x: Any) -> npt.NDArray[np.float32]:
        return np.asarray(np.interp(self.bands.place(y, x), self.at, self.value), np.float32)

    def as_wave(self) -> tuple[Profile, float]:
        """The sinusoid that explains most of it, and its period in posts.

        NaN and no offset at all where nothing stands out.
        """
        width = float(self.at[1] - self.at[0]) if self.at.size > 1 else 1.0
        length = float(self.at[-1] - self.at[0]) + width
        highest = 0.25 / width
        tried = np.arange(0.5 / length, highest, 0.1 / length)
        if self.at.size < 8 or tried.size == 0:
            return self._flat()

        def fitted(frequency: float) -> tuple[float, Array, Array]:
            phase = 2 * np.pi * frequency * self.at
            design = np.column_stack([np.ones(phase.size), np.cos(phase), np.sin(phase)])
            beta = np.linalg.lstsq(design, self.value, rcond=None)[0]
            residual = self.value - design @ beta
            return float((residual**2).sum()), beta, design

        k = int(np.argmin([fitted(float(f))[0] for f in tried]))
        near = tried[k] + np.linspace(-1, 1, 41) * 0.1 / length
        frequency = float(min(near[near > 0], key=lambda f: fitted(float(f))[0]))
        squares, beta, design = fitted(frequency)
        variance = squares / max(self.at.size - 4, 1) * np.linalg.pinv(design.T @ design)
        error = math.sqrt((variance[1, 1] + variance[2, 2]) / 2)
        if math.hypot(beta[1], beta[2]) < SIGNIFICANT * error:
            return self._flat()
        at = np.arange(0.0, self.bands.last - self.bands.first + width / 8, width / 8)
        phase = 2 * np.pi * frequency * at
        return Profile(self.bands, at, beta[1] * np.cos(phase) + beta[2] * np.sin(phase)), (
            1 / frequency
        )

    def _flat(self) -> tuple[Profile, float]:
        return Profile(self.bands, self.at, np.zeros(self.at.size)), float("nan")


def profile_of(
    ds: xr.Dataset, values: Array, ground: npt.NDArray[np.bool_], *, angle: float = 0.0,
    along: str = "x",
) -> Profile:  # fmt: skip
    """The median of stable ground in bands of half a template; their mean is left alone.

    Parameters
    ----------
    ds : xarray.Dataset
        The posts, with the attributes of `track`.
    values : numpy.ndarray, (y, x)
        One component of the displacement, metres.
    ground : numpy.ndarray of bool, (y, x)
        Stable ground.
    angle : float
        Degrees by which the bands are turned from the direction of `along` towards the other.
    along : {"x", "y"}

    Raises
    ------
    StableTerrainError
        No band holds enough stable ground.
    """
    bands = Bands.of(ds, along=along, angle=angle)
    cells = template_posts(ds)
    cell = cells[0] if along == "x" else cells[1]
    width = max(cell / 2, 1.0)
    every = max(1, math.ceil(math.sqrt(values.size / MOST_POSTS)))
    band, value = _on_ground(ds, values, ground, bands, width, every)
    count = int((bands.last - bands.first) / width) + 1
    order = np.argsort(band, kind="stable")
    edges = np.searchsorted(band[order], np.arange(count + 1))
    sorted_value = value[order]
    least = FEWEST * cells[0] * cells[1] * (width / cell) / every**2
    middle = np.array(
        [
            np.median(sorted_value[a:b]) if b - a >= least else np.nan
            for a, b in itertools.pairwise(edges)
        ]
    )
    known = np.isfinite(middle)
    if not known.any():
        raise StableTerrainError(
            "no line of posts holds enough stable ground to tell a streak from noise (four "
            "templates are needed); leave the streaks in, or give more stable ground."
        )
    middle -= middle[known].mean()
    at = (np.arange(count) + 0.5) * width
    return Profile(bands, at[known], middle[known])


def _on_ground(
    ds: xr.Dataset, values: Array, ground: npt.NDArray[np.bool_], bands: Bands, width: float,
    every: int,
) -> tuple[npt.NDArray[np.int32], Array]:  # fmt: skip
    """Band and value of the stable posts that are known, some rows at a time."""
    y, x = (np.asarray(ds[k].values, float) for k in ("y", "x"))
    found = []
    for first in range(0, y.size, ROWS * every):
        rows = slice(first, first + ROWS * every, every)
        part = values[rows, ::every]
        good = ground[rows, ::every] & np.isfinite(part)
        band = (bands.place(y[rows], x[::every]) / width).astype(np.int32)
        found.append((band[good], part[good]))
    band, value = (np.concatenate(part) for part in zip(*found, strict=True))
    return band, value


def best_angle(
    ds: xr.Dataset, values: Array, ground: npt.NDArray[np.bool_], *, along: str = "x"
) -> float:
    """The angle (degrees) at which bands of posts have most in common on stable ground.

    Parameters
    ----------
    ds, values, ground, along
        As in `profile_of`.
    """
    # A twentieth of the posts says as much about the direction of bands.
    every = {k: max(1, c // 4) for k, c in zip(("y", "x"), template_posts(ds), strict=True)}
    thin = {k: slice(None, None, n) for k, n in every.items()}
    few = ds[["dx"]].isel(thin)
    few.attrs = {
        **ds.attrs,
        "step": [s * n for s, n in zip(_steps(ds), every.values(), strict=True)],
    }
    seen, still = values[thin["y"], thin["x"]], ground[thin["y"], thin["x"]]

    def left(angle: float) -> float:
        try:
            profile = profile_of(few, seen, still, angle=angle, along=along)
        except StableTerrainError:
            return np.inf
        rest = (seen - profile.on(few).values)[still]
        return nmad(rest[np.isfinite(rest)])

    best, width = 0.0, COARSE
    level = left(best)
    angles = np.arange(-MOST_TURNED, MOST_TURNED + COARSE / 2, COARSE)
    while width >= FINE:
        found = [left(float(a)) for a in angles]
        k = int(np.argmin(found))
        # Noise alone prefers one angle or the other; a streak shows.
        if found[k] < level * (1 - GAIN):
            best, level = float(angles[k]), found[k]
        width /= 4
        angles = best + width * np.arange(-4, 5)
    return best


def _steps(ds: xr.Dataset) -> tuple[int, int]:
    step = np.atleast_1d(ds.attrs.get("step", 1))
    return int(step[0]), int(step[-1])
