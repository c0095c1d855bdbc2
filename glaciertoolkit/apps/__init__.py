"""Panel apps: widgets and streams only, no science. Panel itself is imported when one is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr


def explore(
    ds: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    covariates: Mapping[str, Any] | xr.Dataset | None = None,
    other: Any = None,
    maps: Iterable[Any] = (),
    stations: Any = None,
    catalog: Any = None,
) -> Any:
    """Open the explorer of a velocity map in a notebook cell: map, linked views, glaciers, profile.

    Brush the map, the histogram or the scatter, and the others show what is selected.

    Parameters
    ----------
    ds : xarray.Dataset
        Result of `velocity`, of a correction or of `track`, dims ``(y, x)``. Lazy fields are
        computed once; large ones are kept in a temporary folder (``TMPDIR``).
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid, for relief, slope, aspect and what depends on them.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS; click one to see its row of `stats.glaciers`.
    covariates : mapping of str to path or xarray.DataArray, or xarray.Dataset, optional
        Other fields on any grid, such as temperature and precipitation, under their names.
    other : path or xarray.Dataset, optional
        Another product of the same place (the folder of a run, or a netCDF file with `v`, `vx`
        and `vy`), to be shown beside this one and subtracted. Its vectors are turned into the
        axes of this grid.
    maps : iterable of paths or xarray.Dataset, optional
        Velocity maps of other dates, for the history of a glacier.
    stations : path or geopandas.GeoDataFrame, optional
        Points for the overview map.
    catalog : path or Catalog, optional
        A data catalogue whose entries the overview map shows.

    Returns
    -------
    glaciertoolkit.apps.explorer.Explorer
        Shows itself; its state can be read and set from other cells.

    Raises
    ------
    InputError
        Where the Dataset is no map, or holds nothing that can be shown.
    GridError
        Where the grid is in degrees, or not evenly spaced.
    FileError
        Where the temporary folder has no room for the map.

    Examples
    --------
    >>> view = velocity.glacier.explore(dem="dem.tif", outlines="rgi.gpkg")  # doctest: +SKIP
    >>> view.along.v  # the profile that is shown  # doctest: +SKIP
    """
    from glaciertoolkit.apps.explorer import Explorer

    return Explorer(
        ds, dem=dem, outlines=outlines, covariates=covariates, other=other, maps=maps,
        stations=stations, catalog=catalog,
    )  # fmt: skip


def inspect_profile(
    ds: xr.Dataset,
    *,
    dem: Any = None,
    outlines: Any = None,
    thickness: Any = None,
    covariates: Mapping[str, Any] | xr.Dataset | None = None,
    maps: Iterable[Any] = (),
    lines: Any = None,
) -> Any:
    """Open the profile inspector in a notebook cell: draw lines, read what lies along them.

    Click and drag the vertices of several lines on the map, or pick flow lines; velocity with
    its error, strain rate, elevation, slope, driving stress and climate follow on one distance
    axis, with a cursor that runs on the map and on the curves. What is shown is what `profile`
    and `strain_rate` return.

    Parameters
    ----------
    ds : xarray.Dataset
        Result of `velocity`, of a correction or of `track`, dims ``(y, x)``. Lazy fields are
        computed once; large ones are kept in a temporary folder (``TMPDIR``).
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid; by default the `elevation` of `ds`, where it has one.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS; they are drawn, and bound the ice of the driving stress.
    thickness : path or xarray.DataArray, optional
        Ice thickness in metres on any grid, for `driving_stress`.
    covariates : mapping of str to path or xarray.DataArray, or xarray.Dataset, optional
        Other fields on any grid, such as temperature and precipitation; each becomes a curve.
    maps : iterable of paths or xarray.Dataset, optional
        Velocity maps of other dates, on any grid, to be read along the same lines.
    lines : line, sequence of lines, mapping of str to line, GeoDataFrame or path, optional
        Lines to begin with, each as for `profile`; a file or table may hold several. By default
        one along the fastest ice.

    Returns
    -------
    glaciertoolkit.apps.profile_inspector.ProfileInspector
        Shows itself; ``.lines`` are the lines, ``.along`` is the profile of the active one,
        ``.answer.curves`` are all.

    Raises
    ------
    InputError
        Where the Dataset is no map, or holds nothing that can be shown; where `lines` is none.
    GridError
        Where no line reaches the map.
    FileError
        Where a file of lines cannot be read, or the temporary folder has no room for the map.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit import inspect_profile
    >>> grid = {"y": 900.0 - 100 * np.arange(10), "x": 100.0 * np.arange(20)}
    >>> east = xr.DataArray(np.tile(np.arange(20.0), (10, 1)), coords=grid, dims=("y", "x"))
    >>> velocity = xr.Dataset({"v": east, "vx": east, "vy": 0 * east})
    >>> view = inspect_profile(velocity, lines=[(200, 400), (1500, 400)])
    >>> view.width = 300  # what the slider does
    >>> view.along.v.values[:3].tolist()
    [2.0, 3.0, 4.0]
    """
    from glaciertoolkit.apps.profile_inspector import ProfileInspector

    return ProfileInspector(
        ds, dem=dem, outlines=outlines, thickness=thickness, covariates=covariates, maps=maps,
        lines=lines,
    )  # fmt: skip


def tracking_lab(
    pair: xr.Dataset, *, x: float | None = None, y: float | None = None, **options: Any
) -> Any:
    """Open the tracking lab in a notebook cell: click a place and see how it is matched.

    The two images flicker; template, search window, correlation surface, peak and verdict follow
    the place and the sliders. What is shown is what `correlation_surface` returns.

    Parameters
    ----------
    pair : xarray.Dataset
        `reference` and `secondary`, from `open_pair`; of lazy images only the surroundings of the
        place are read, besides one pass for the overview.
    x, y : float, optional
        The place to begin with, in the coordinates of the pair, metres; by default the middle of
        what both images cover.
    **options
        Those of `track` to begin with; those without a widget (`step`, `nested`, `mode`, `prior`,
        `min_valid`) stay as they are given.

    Returns
    -------
    glaciertoolkit.apps.lab.TrackingLab
        Shows itself; ``.found`` is the place as `correlation_surface` returns it, ``.options``
        what the sliders say, ``.code`` the call of `track` that does the same everywhere.

    Raises
    ------
    MissingVariableError, InputError, GridError, ParameterError
        Where the Dataset is no pair that can be tracked, or an option is not one of `track`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit import tracking_lab
    >>> image = np.random.default_rng(0).normal(size=(96, 96)).astype("float32")
    >>> grid = {"y": 300.0 - 10 * np.arange(96), "x": 10.0 * np.arange(96)}
    >>> pair = xr.Dataset(
    ...     {"reference": (("y", "x"), image), "secondary": (("y", "x"), np.roll(image, 2, 1))},
    ...     coords=grid,
    ... )
    >>> lab = tracking_lab(pair, template=32, search=8)
    >>> lab.code
    'offsets = pair.glacier.track(template=32, search=8)'
    >>> lab.search = 4  # what the slider does
    >>> round(float(lab.found.dx), 1)
    20.0
    """
    from glaciertoolkit.apps.lab import TrackingLab

    return TrackingLab(pair, x=x, y=y, **options)


def correction_lab(
    offsets: xr.Dataset, *, dem: Any = None, outlines: Any = None, **options: Any
) -> Any:
    """Open the correction lab in a notebook cell: see what each correction removes.

    Maps of the offsets, of each field that is removed and of what is left; histograms and NMAD of
    the ground that does not move after each step; and what is lost if a correction is left out.
    All follow the widgets, and a box dragged over the first map.

    Parameters
    ----------
    offsets : xarray.Dataset
        From `track`, computed or checkpointed. Of motion that has been corrected already the
        removed fields are added again first. Of more than 200,000 posts a sample is corrected
        live, and all of them by a button.
    dem : path or xarray.DataArray, optional
        Elevation in metres on any grid, for the topography-related offset and the slope of stable
        ground.
    outlines : path or geopandas.GeoDataFrame, optional
        Glacier outlines in any CRS; the ground around them is stable.
    **options
        Those of `correct` and of `stable_terrain` to begin with; those without a widget stay as
        they are given. ``stable=`` takes a mask, or True for every post.

    Returns
    -------
    glaciertoolkit.apps.correction_lab.CorrectionLab
        Shows itself; ``.motion`` is what `correct` made of the offsets, ``.options`` what the
        widgets say, ``.code`` the calls that do the same.

    Raises
    ------
    MissingVariableError, InputError, GridError, ParameterError, NotComputedError
        Where the Dataset holds no offsets that can be corrected, or an option is unknown.

    Examples
    --------
    >>> import glaciertoolkit as gt
    >>> pair = gt.simulate_pair(size=512, seed=1)
    >>> offsets = gt.track(pair, template=32, search=12, step=16).compute()
    >>> lab = gt.correction_lab(offsets, outlines=gt.simulate_outlines(pair), order=1)
    >>> print(lab.code.splitlines()[-1])
    motion = gt.correct(offsets, stable=stable, order=1, topography=False)
    >>> lab.order = 0  # what the widget does
    >>> int(lab.motion.deformation_order)
    0
    """
    from glaciertoolkit.apps.correction_lab import lab

    return lab(offsets, dem=dem, outlines=outlines, **options)
