"""Ensemble matching: the correlation of several pairs, added before a peak is sought."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Lattice, map_tiles
from glaciertoolkit.conventions import interval_days, validate
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.provenance import record
from glaciertoolkit.tracking.tile import planes_of, track_tile
from glaciertoolkit.tracking.track import dataset, parameters_of
from glaciertoolkit.tracking.windows import image_window


def track_ensemble(pairs: Sequence[xr.Dataset], **options: Any) -> xr.Dataset:
    """Track several pairs of the same, steady flow as one.

    The correlation surfaces of the pairs are averaged before the peak is sought: noise averages
    out, the common peak stays. Weak pairs, none of which could be matched alone, give one map.

    Parameters
    ----------
    pairs : sequence of xarray.Dataset
        Pairs from `open_pair` on one grid, with dates (without dates their intervals count as
        equal). The velocity is taken to be the same in all; the interval may differ.
    **options
        Those of `track`; `search` belongs to the mean interval. Modes, priors and coarse-to-fine
        tracking are for single pairs.

    Returns
    -------
    xarray.Dataset
        What `track` returns: displacements over the mean interval of the pairs, with
        `reference_time` and `secondary_time` that far apart about the mean date.

    Raises
    ------
    InputError
        If there is no pair, or one without images.
    GridError
        If the pairs lie on different grids.
    ParameterError
        If an option does not suit an ensemble.

    Notes
    -----
    A pair with the interval ``r`` times the mean is searched ``r`` times as far, and its surface is
    interpolated at ``r d`` for each offset ``d`` (cubic convolution). A pair counts at a post only
    where enough of its template is valid.

    References
    ----------
    Altena, B., and Kaab, A. (2020), Ensemble matching of repeat satellite images applied to
    measure fast-changing ice flow, J. Glaciol.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit import track_ensemble
    >>> image = np.random.default_rng(0).normal(size=(96, 96)).astype("float32")
    >>> grid = {"y": 300.0 - 10 * np.arange(96), "x": 10.0 * np.arange(96)}
    >>> pair = xr.Dataset(
    ...     {"reference": (("y", "x"), image), "secondary": (("y", "x"), np.roll(image, 2, 1))},
    ...     coords=grid,
    ... )
    >>> offsets = track_ensemble([pair, pair], template=32, search=4, step=16)
    >>> round(float(offsets.dx.median()), 1)
    20.0
    """
    if len(pairs) == 0:
        raise InputError("an ensemble needs at least one pair; the list is empty.")
    for name in ("prior", "max_displacement", "nested"):
        if options.get(name):
            raise ParameterError(f"{name} is for single pairs; leave it out of an ensemble.")
    if options.get("mode", "fast") != "fast":
        raise ParameterError('an ensemble has no quality mode; leave mode="quality" out.')
    first = pairs[0]
    for pair in pairs:
        validate(pair, needs=("reference", "secondary"))
        for axis in ("y", "x"):
            if not np.array_equal(pair[axis].values, first[axis].values):
                raise GridError(
                    f"the pairs of an ensemble lie on different grids (along {axis}); open all of "
                    f"them on the grid of one (open_pair(..., grid=...))."
                )
    ratios, times = _intervals(pairs)
    parameters = parameters_of(first, **options)
    if len({parameters_of(pair, **options).oversample for pair in pairs}) > 1:
        raise InputError("some pairs of the ensemble are complex and others not; take amplitudes.")
    farthest = [int(np.ceil(s * (max(ratios) - 1))) for s in parameters.search]
    parameters = replace(parameters, reach=(max(farthest[0], 0), max(farthest[1], 0)))
    planes = map_tiles(
        functools.partial(track_tile, parameters=parameters, ratios=ratios),
        [pair[name].data for pair in pairs for name in ("reference", "secondary")],
        lattice=Lattice(parameters.posts, parameters.tile),
        window=functools.partial(image_window, parameters),
        planes=len(planes_of(parameters)),
        name="ensemble",
    )
    ds = dataset(
        first.drop_vars(list(times), errors="ignore").assign_coords(times), planes, parameters
    )
    given = {"pairs": len(pairs), "intervals": [round(r, 6) for r in ratios], **options}
    return record(ds.assign_attrs(ensemble=len(pairs)), "track_ensemble", given)


def _intervals(
    pairs: Sequence[xr.Dataset],
) -> tuple[tuple[float, ...], dict[str, npt.NDArray[np.datetime64]]]:
    """Interval of each pair over their mean, and the time coordinates of the ensemble."""
    if not all("reference_time" in pair.coords for pair in pairs):
        return (1.0,) * len(pairs), {}
    days = [interval_days(pair) for pair in pairs]
    mean = float(np.mean(days))
    if min(days) <= 0:
        raise InputError("a pair of the ensemble has no positive interval; check its dates.")
    middle = np.mean(
        [
            (pair["reference_time"].values.astype("datetime64[ns]").astype(np.int64))
            + (pair["secondary_time"].values - pair["reference_time"].values).astype(np.int64) / 2
            for pair in pairs
        ]
    )
    half = mean * 86_400e9 / 2
    start, stop, mid = (
        np.array(round(t), "int64").astype("datetime64[ns]")
        for t in (middle - half, middle + half, middle)
    )
    times = {"reference_time": start, "secondary_time": stop}
    if "mid_date" in pairs[0].coords:
        times["mid_date"] = mid
    return tuple(d / mean for d in days), times
