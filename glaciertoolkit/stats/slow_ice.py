"""Ice that hardly moves: candidates for stagnation, from one map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.grids import burn_index, read_outlines
from glaciertoolkit.grids.vectors import Polygons
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.grouped import summarise

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

SLOW = 5.0
"""m yr-1: ice whose fast parts are slower may be stagnant."""


def stagnation(
    ds: xr.Dataset,
    outlines: Polygons,
    *,
    limit: float = SLOW,
    error: float | None = None,
    min_coverage: float = 0.3,
) -> pd.DataFrame:
    """Which glaciers may be stagnant, from one map.

    Parameters
    ----------
    ds : xarray.Dataset
        A velocity Dataset: `vx`, `vy`, `v`, where there is one also `v_error`.
    outlines : path, GeoDataFrame, GeoSeries or shapely geometry
        As of `glaciers`.
    limit : float
        m yr-1: ice whose 90th percentile of speed is lower hardly moves.
    error : float, optional
        1-sigma error of one speed, m yr-1; by default the median of `v_error` on the glacier.
    min_coverage : float
        Share of a glacier's area with a speed below which nothing is said.

    Returns
    -------
    pandas.DataFrame
        One row a glacier: `rgi_id`, `name`, `area_km2`, `coverage`, `v_p90`, `error` (m yr-1),
        `threshold` (the larger of the limit and twice the error), `candidate` and `verdict`, a
        plain sentence. Units in ``attrs["units"]``.

    Raises
    ------
    MissingVariableError, GridError, InputError, FileError
        As `glaciers`.
    ParameterError
        A limit or an error that is not positive.

    Notes
    -----
    A candidate has ``v_p90 < max(limit, 2 error)``. Where twice the error exceeds the limit, the
    map cannot tell slow ice from ice at rest, and the sentence says so. Noise does not average
    out of a speed: a glacier at rest shows about 1.2 times the error of a component.

    Examples
    --------
    >>> import shapely, xarray as xr
    >>> grid = {"y": 3e6 - 100.0 * np.arange(10), "x": 5e5 + 100.0 * np.arange(10)}
    >>> ds = xr.Dataset({n: (("y", "x"), np.full((10, 10), 1.0)) for n in ("vx", "vy", "v")}, grid)
    >>> found = stagnation(ds, shapely.box(5e5 - 50, 3e6 - 950, 5e5 + 950, 3e6 + 50), error=0.5)
    >>> found["candidate"].tolist(), found["threshold"].tolist()
    ([True], [5.0])
    """
    for name, value in (("limit", limit), ("error", error)):
        if value is not None and not value > 0:
            raise ParameterError(f"{name} must be a speed above 0 m yr-1; got {value!r}.")
    table = glaciers(ds, outlines, min_coverage=min_coverage)
    if error is not None:
        sigma = np.full(len(table), float(error))
    elif "v_error" in ds:
        sigma = _error_of_each(ds, outlines, len(table))
    else:
        sigma = np.full(len(table), np.nan)
    fast = table["v_p90"].to_numpy(float)
    threshold = np.fmax(limit, 2 * sigma)
    known = np.isfinite(fast) & ~table["low_coverage"].to_numpy(bool)
    out = table[["rgi_id", "name", "area_km2", "coverage", "v_p90"]].copy()
    out["error"], out["threshold"] = sigma, threshold
    out["candidate"] = known & (fast < threshold)
    out["verdict"] = [
        _stagnant(*row)
        for row in zip(known, fast, sigma, threshold, [limit] * len(out), strict=True)
    ]
    speeds = ("v_p90", "error", "threshold")
    out.attrs = {"units": {"area_km2": "km2"} | dict.fromkeys(speeds, "m yr-1")}
    return out


def _error_of_each(ds: xr.Dataset, outlines: Polygons, size: int) -> Floats:
    index = burn_index(read_outlines(outlines, ds, what="glacier outlines"), ds)
    values = np.asarray(ds["v_error"].values, np.float64).ravel()
    return summarise(values, index.values.ravel(), size)["median"]


def _stagnant(known: bool, fast: float, sigma: float, threshold: float, limit: float) -> str:
    if not known:
        return "unknown: too little of the glacier has a speed"
    if fast >= threshold:
        return f"moving: a tenth of it is faster than {fast:.1f} m/yr"
    if threshold > limit:
        return (
            f"candidate, undecided: nothing is faster than twice the error ({threshold:.1f} m/yr), "
            "so slow motion cannot be told from none"
        )
    told = "" if np.isfinite(sigma) else "; the error of the speeds is not known"
    return f"candidate for stagnation: nine tenths of it are slower than {fast:.1f} m/yr{told}"
