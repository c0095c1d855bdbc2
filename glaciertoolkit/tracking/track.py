"""Pixel tracking: the public step from an image pair to offsets."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.blocks import Lattice, map_tiles
from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, describe, validate
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.provenance import recorded
from glaciertoolkit.tracking.parameters import Size, TrackParameters, both_axes
from glaciertoolkit.tracking.tile import PLANES, image_window, track_tile

SURFACE_BYTES = 40e6
"""Memory that the correlation surfaces of one tile may take."""


@recorded
def track(
    pair: xr.Dataset,
    *,
    template: Size = 64,
    search: Size = 16,
    step: Size = 8,
    method: str = "ncc",
    prefilter: str = "highpass",
    prefilter_sigma: float = 3.0,
    min_valid: float = 0.5,
    false_alarm: float = 0.01,
    min_correlation: float = 0.0,
    min_peak_ratio: float = 1.1,
) -> xr.Dataset:
    """Measure how far the surface moved between two images, on a regular grid of posts.

    For each post a template of the reference image is compared with the secondary image at every
    whole-pixel offset within the search radius (zero-mean normalised cross-correlation); the peak
    of the correlation surface is then found between the pixels.

    Parameters
    ----------
    pair : xarray.Dataset
        `reference` and `secondary`, dimensions (y, x), on one grid, from `open_pair`. Lazy
        input gives a lazy result, one task a tile; NumPy input is computed at once, in threads.
    template : int or {"y": int, "x": int}
        Edge of the template, pixels.
    search : int or {"y": int, "x": int}
        Search radius, pixels: offsets from -search to +search are tried.
    step : int or {"y": int, "x": int}
        Pixels between posts.
    method : {"ncc"}
        The measure of similarity.
    prefilter : {"highpass", "log", "none"}
        "highpass" subtracts the local mean (Gaussian); "log" takes the logarithm first (for SAR
        intensity; pixels that are not positive count as missing).
    prefilter_sigma : float
        Standard deviation of the Gaussian, pixels.
    min_valid : float
        Least share of a template's pixels that must be valid in both images.
    false_alarm : float
        Probability that two unrelated images pass: a match is rejected where its correlation
        could, with this probability, be the highest of noise with the images' own spectra.
    min_correlation, min_peak_ratio : float
        Below these a match is rejected too: peak correlation, highest over second-highest peak.

    Returns
    -------
    xarray.Dataset
        On the posts, each at the geometric centre of its template: `dx`, `dy` (m, positive
        towards larger x and larger y), `dx_error`, `dy_error` (1-sigma, m), `dxdy_covariance`
        (m2), `correlation`, `snr`, `peak_ratio`, `template_size`, `flag` (why a post is NaN).

    Raises
    ------
    MissingVariableError
        If `pair` holds no images.
    ParameterError
        If a parameter is out of range, or the image smaller than the template.
    GridError
        If the grid is not regular.

    Notes
    -----
    ``C(d) = sum (a - mean a)(b_d - mean b_d) / sqrt(sum (a - mean a)^2 sum (b_d - mean b_d)^2)``,
    each sum over the pixels of the template that are valid in both images. `snr` is the squared
    peak over the mean square of the surface within 10 pixels of it, the peak excluded. The error
    is that of the peak's position under noise that is independent of the signal; it does not know
    of motion that varies inside the template.

    References
    ----------
    The definition of `snr` is that of ISCE's ampcor. Precision of incoherent matching: De Zan,
    F. (2014), Accuracy of incoherent speckle tracking for circular Gaussian signals, IEEE GRSL.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit import track
    >>> image = np.random.default_rng(0).normal(size=(96, 96)).astype("float32")
    >>> grid = {"y": 300.0 - 10 * np.arange(96), "x": 10.0 * np.arange(96)}
    >>> pair = xr.Dataset(
    ...     {"reference": (("y", "x"), image), "secondary": (("y", "x"), np.roll(image, 2, 1))},
    ...     coords=grid,
    ... )
    >>> offsets = track(pair, template=32, search=4, step=16)
    >>> round(float(offsets.dx.median()), 1)
    20.0
    """
    validate(pair, needs=("reference", "secondary"))
    _check_images(pair)
    reference, secondary = pair["reference"], pair["secondary"]
    parameters = TrackParameters(
        shape=(pair.sizes["y"], pair.sizes["x"]),
        pixel=(_spacing(pair["y"]), _spacing(pair["x"])),
        template=both_axes(template, "template"),
        search=both_axes(search, "search"),
        step=both_axes(step, "step"),
        method=method,
        prefilter=prefilter,
        prefilter_sigma=prefilter_sigma,
        min_valid=min_valid,
        false_alarm=false_alarm,
        min_correlation=min_correlation,
        min_peak_ratio=min_peak_ratio,
    )
    planes = map_tiles(
        functools.partial(track_tile, parameters=parameters),
        (reference.data, secondary.data),
        lattice=Lattice(parameters.posts, _tile_edge(parameters)),
        window=functools.partial(image_window, parameters),
        planes=len(PLANES),
        name="track",
    )
    return _dataset(pair, planes, parameters)


def _check_images(pair: xr.Dataset) -> None:
    for name in ("reference", "secondary"):
        image = pair[name]
        if image.dims != ("y", "x"):
            raise InputError(f"{name} must have the dimensions (y, x); it has {image.dims}.")
        if np.iscomplexobj(image.dtype.type(0)):
            raise InputError(f"{name} is complex; take its amplitude first: abs(pair.{name}).")


def _spacing(coordinate: xr.DataArray) -> float:
    """Signed spacing of a regular coordinate, metres."""
    values = np.asarray(coordinate.values, float)
    if values.size < 2:
        raise GridError(f"the image has a single pixel along {coordinate.name}; nothing to track.")
    spacing = (values[-1] - values[0]) / (values.size - 1)
    if spacing == 0 or np.abs(np.diff(values) - spacing).max() > 1e-3 * abs(spacing):
        raise GridError(
            f"the coordinate {coordinate.name} is not evenly spaced; put the images on a regular "
            f"grid first (rio.reproject)."
        )
    return float(spacing)


def _tile_edge(parameters: TrackParameters) -> int:
    """Posts along a tile's edge: as many as the surfaces' memory allows, by powers of two."""
    offsets = parameters.offsets[0] * parameters.offsets[1]
    edge = 64
    while edge > 8 and 4 * offsets * edge * edge > SURFACE_BYTES:
        edge //= 2
    return edge


def _centres(coordinate: xr.DataArray, template: int, step: int, posts: int) -> Any:
    """Coordinates of the template centres: the mean of its first and its last pixel."""
    values = np.asarray(coordinate.values, float)
    first = np.arange(posts) * step
    return (values[first] + values[first + template - 1]) / 2


def _dataset(pair: xr.Dataset, planes: Any, parameters: TrackParameters) -> xr.Dataset:
    posts, (ty, tx) = parameters.posts, parameters.template
    coords: dict[str, Any] = {
        "y": ("y", _centres(pair["y"], ty, parameters.step[0], posts[0])),
        "x": ("x", _centres(pair["x"], tx, parameters.step[1], posts[1])),
    }
    coords |= {k: pair.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in pair.coords}
    variables: dict[str, Any] = {name: (("y", "x"), planes[i]) for i, name in enumerate(PLANES)}
    ds = xr.Dataset(variables, coords=coords)
    ds["flag"] = ds["flag"].astype(np.uint32)
    ds["template_size"] = xr.full_like(ds["dx"], max(ty, tx), dtype=np.uint16)
    attrs = {k: v for k, v in pair.attrs.items() if isinstance(v, str | int | float | list)}
    ds.attrs = {
        **attrs,
        "template": [ty, tx],
        "search": list(parameters.search),
        "step": list(parameters.step),
        "pixel": [abs(v) for v in parameters.pixel],
    }
    return describe(ds)
