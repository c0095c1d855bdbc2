"""Pixel tracking: the public step from an image pair to offsets."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from glaciertoolkit.blocks import Lattice, map_tiles
from glaciertoolkit.conventions import (
    GRID_MAPPING,
    TIME_COORDS,
    describe,
    in_radar_geometry,
    validate,
)
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.provenance import recorded
from glaciertoolkit.tracking.parameters import Size, TrackParameters, both_axes
from glaciertoolkit.tracking.prior import Prior
from glaciertoolkit.tracking.tile import planes_of, track_tile
from glaciertoolkit.tracking.windows import image_window


@recorded
def track(
    pair: xr.Dataset,
    *,
    template: Size = 64,
    search: Size = 16,
    step: Size = 8,
    method: str = "ncc",
    mode: str = "fast",
    nested: Sequence[Size] = (),
    prior: Prior | None = None,
    max_displacement: Size | None = None,
    prefilter: str = "highpass",
    prefilter_sigma: float = 3.0,
    prefilter_width: int = 21,
    oversample: int | None = None,
    min_valid: float = 0.3,
    false_alarm: float = 0.01,
    min_correlation: float = 0.0,
    min_peak_ratio: float = 1.1,
) -> xr.Dataset:
    """Measure how far the surface moved between two images, on a regular grid of posts.

    For each post a template of the reference image is compared with the secondary image at every
    whole-pixel offset within the search radius; the peak of the correlation surface is then found
    between the pixels.

    Parameters
    ----------
    pair : xarray.Dataset
        `reference` and `secondary`, dimensions (y, x), on one grid, from `open_pair`; real, or
        complex (single-look radar). Lazy input gives a lazy result, one task a tile; NumPy input
        is computed at once, in threads.
    template : int or {"y": int, "x": int}
        Edge of the template, pixels. In radar geometry one number counts lines, and the samples
        are as many as make it about square on the ground; so do `step` and `nested`.
    search : int or {"y": int, "x": int}
        Search radius, pixels: offsets from -search to +search are tried, about the prior if there
        is one.
    step : int or {"y": int, "x": int}
        Pixels between posts.
    method : {"ncc", "orientation", "phase", "coherent"}
        "ncc": zero-mean normalised cross-correlation. "orientation": correlation of the directions
        of the image gradients, which changes of illumination leave alone. "phase": correlation of
        the phases of the two spectra. "coherent": magnitude of the complex correlation, for
        single-look complex pairs that keep their phase.
    mode : {"fast", "quality"}
        "quality" refines each match by an affine deformation of the template, which follows
        shear and strain inside it, and returns the gradients of the displacement.
    nested : sequence of template sizes
        Further sizes, tried about the same centres; each post keeps the one with the smallest
        stated error.
    prior : Dataset, or (dx, dy) in metres
        Where to search: an earlier result (`dx`, `dy`), a velocity map (`vx`, `vy`), or an orbit
        prediction (two numbers).
    max_displacement : int or {"y": int, "x": int}
        Displacements up to so many pixels are found coarse to fine: a first pass on reduced images
        is the prior, and `search` the radius about it.
    prefilter : {"highpass", "box", "wallis", "log", "sobel", "none"}
        "highpass" and "box" subtract the local mean (Gaussian, square); "wallis" also divides by
        the local standard deviation; "log" takes the logarithm and then the high-pass (for SAR
        intensity; pixels that are not positive count as missing); "sobel" is the magnitude of the
        gradient.
    prefilter_sigma : float
        Standard deviation of the Gaussian, pixels.
    prefilter_width : int
        Edge of the square of "box" and "wallis", pixels; odd.
    oversample : {1, 2}
        Pixels are doubled along both axes before they are matched. Complex images are by default:
        taking the amplitude doubles the bandwidth, and what is aliased spoils the peak.
    min_valid : float
        Least share of a template's pixels that must be valid in both images. Areas of one and the
        same value (16 x 16 pixels or more: frames, stripes) count as missing.
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
        (m2), `correlation`, `snr`, `peak_ratio`, `template_size`, `effective_resolution` (m),
        `dx_smear`, `dy_smear` (m: the mean over the template minus the value at its centre, as
        the neighbours suggest; part of the stated errors; 0 where a refinement has seen to it),
        `flag` (why a post is NaN). With ``mode="quality"`` also the gradients `dx_dx`, `dx_dy`,
        `dy_dx`, `dy_dy` and their errors.

    Raises
    ------
    MissingVariableError
        If `pair` holds no images.
    ParameterError
        If a parameter is out of range, or the image smaller than the template.
    InputError
        If the images do not suit the method.
    GridError
        If the grid is not regular.

    Notes
    -----
    ``C(d) = sum (a - mean a)(b_d - mean b_d) / sqrt(sum (a - mean a)^2 sum (b_d - mean b_d)^2)``,
    each sum over the pixels of the template that are valid in both images. `snr` is the squared
    peak over the mean square of the surface within 10 pixels of it, the peak excluded.

    The error is that of the peak's position under what the two images do not share (from their
    spectra, tile by tile, and the correlation of each post), and, from the gradients of the
    displacement among the neighbours, that of motion which varies inside the template.

    References
    ----------
    The definition of `snr` is that of ISCE's ampcor. Precision of incoherent matching: De Zan,
    F. (2014), Accuracy of incoherent speckle tracking for circular Gaussian signals, IEEE GRSL.
    Orientation correlation: Fitch, A. J. et al. (2002), BMVC; Heid, T., and Kaab, A. (2012),
    Evaluation of existing image matching methods for deriving glacier surface displacements
    globally from optical satellite imagery, Remote Sens. Environ.

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
    parameters = parameters_of(
        pair, template=template, search=search, step=step, method=method, mode=mode,
        nested=nested, prefilter=prefilter, prefilter_sigma=prefilter_sigma,
        prefilter_width=prefilter_width, oversample=oversample, min_valid=min_valid,
        false_alarm=false_alarm, min_correlation=min_correlation, min_peak_ratio=min_peak_ratio,
    )  # fmt: skip
    centres = post_centres(pair, parameters)
    start, reach = search_start(pair, parameters, centres, prior, max_displacement)
    parameters = replace(parameters, reach=reach)
    planes = map_tiles(
        functools.partial(track_tile, parameters=parameters),
        (pair["reference"].data, pair["secondary"].data),
        lattice=Lattice(parameters.posts, parameters.tile),
        window=functools.partial(image_window, parameters),
        planes=len(planes_of(parameters)),
        name="track",
        arguments=() if start is None else (start,),
    )
    return dataset(pair, planes, parameters)


def parameters_of(pair: xr.Dataset, **given: Any) -> TrackParameters:
    """The options of `track`, its defaults where they are not given, checked against the images."""
    options = {
        name: parameter.default
        for name, parameter in inspect.signature(track).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    unknown = set(given) - set(options)
    if unknown:
        raise ParameterError(
            f"track has no option {', '.join(sorted(unknown))}; it has {', '.join(options)}."
        )
    options |= given
    if in_radar_geometry(pair):
        options |= _square_on_ground(pair, options)
    complex_images = _check_images(pair, options["method"])
    oversample = options["oversample"]
    kept = (
        "method", "mode", "prefilter", "prefilter_sigma", "prefilter_width", "min_valid",
        "false_alarm", "min_correlation", "min_peak_ratio",
    )  # fmt: skip
    return TrackParameters(
        shape=(pair.sizes["y"], pair.sizes["x"]),
        pixel=(_spacing(pair["y"]), _spacing(pair["x"])),
        templates=_templates(options["template"], options["nested"]),
        search=both_axes(options["search"], "search"),
        step=both_axes(options["step"], "step"),
        reach=(0, 0),
        oversample=(2 if complex_images else 1) if oversample is None else oversample,
        **{name: options[name] for name in kept},
    )


def _square_on_ground(pair: xr.Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes given as one number of lines, with the samples that make them square on the ground."""
    from glaciertoolkit.sar.footprint import lines_per_sample, square_step, square_template

    ratio = lines_per_sample(pair)
    step = options["step"]
    if isinstance(step, int) and step > 0:
        step = square_step(step, ratio)
    across = both_axes(step, "step")[1]

    def square(size: Any) -> Any:
        one = isinstance(size, int) and not isinstance(size, bool) and size > 0
        return square_template(size, ratio, step=across) if one else size

    nested = options["nested"]
    if isinstance(nested, list | tuple):
        nested = tuple(square(size) for size in nested)
    return {"step": step, "template": square(options["template"]), "nested": nested}


def _templates(template: Size, nested: Sequence[Size]) -> tuple[tuple[int, int], ...]:
    """All template sizes, the smallest first: it places the posts."""
    if isinstance(nested, str | Mapping) or not isinstance(nested, Sequence):
        raise ParameterError(f"nested must be a sequence of template sizes, (64,); got {nested!r}.")
    sizes = {both_axes(t, "template") for t in (template, *nested)}
    return tuple(sorted(sizes, key=lambda size: (size[0] * size[1], size)))


def _check_images(pair: xr.Dataset, method: str) -> bool:
    """Whether the images are complex; raises if they do not suit."""
    found = []
    for name in ("reference", "secondary"):
        image = pair[name]
        if image.dims != ("y", "x"):
            raise InputError(f"{name} must have the dimensions (y, x); it has {image.dims}.")
        found.append(np.issubdtype(image.dtype, np.complexfloating))
    if found[0] != found[1]:
        raise InputError("one image is complex and the other is not; take the amplitude of both.")
    if method == "coherent" and not found[0]:
        raise InputError(
            "coherent tracking needs complex images (single-look complex radar); these are real. "
            'Use method="ncc".'
        )
    return found[0]


def search_start(
    pair: xr.Dataset,
    parameters: TrackParameters,
    posts: tuple[Any, Any],
    prior: Prior | None,
    max_displacement: Size | None,
) -> tuple[Any, tuple[int, int]]:
    """The prior on posts with these y and x (pixels; None if there is none), and how far it goes.

    In pixels (y, x).
    """
    if prior is None and max_displacement is None:
        return None, (0, 0)
    if prior is not None and max_displacement is not None:
        raise ParameterError("give a prior or max_displacement, not both: each is where to search.")

    from glaciertoolkit.tracking.prior import prior_in_pixels
    from glaciertoolkit.tracking.pyramid import coarse_offsets, prior_field

    y, x = posts
    if max_displacement is not None:
        farthest = both_axes(max_displacement, "max_displacement")
        coarse = coarse_offsets(
            pair, reach={"y": farthest[0], "x": farthest[1]}, track=track,
            template={"y": parameters.template[0], "x": parameters.template[1]},
        )  # fmt: skip
        return prior_field(coarse, y=y, x=x, pixel=parameters.pixel), farthest
    assert prior is not None
    field = prior_in_pixels(prior, pair=pair, y=y, x=x, pixel=parameters.pixel)
    along_x, along_y = (math.ceil(float(np.abs(part).max())) for part in field)
    return field, (along_y, along_x)


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


def _centres(coordinate: xr.DataArray, template: int, step: int, posts: int) -> Any:
    """Coordinates of the template centres: the mean of its first and its last pixel."""
    values = np.asarray(coordinate.values, float)
    first = np.arange(posts) * step
    return (values[first] + values[first + template - 1]) / 2


def post_centres(pair: xr.Dataset, parameters: TrackParameters) -> tuple[Any, Any]:
    """y and x of the posts: the centres of their templates."""
    y, x = (
        _centres(pair[name], parameters.template[k], parameters.step[k], parameters.posts[k])
        for k, name in enumerate(("y", "x"))
    )
    return y, x


def dataset(pair: xr.Dataset, planes: Any, parameters: TrackParameters) -> xr.Dataset:
    """The planes of all tiles as a Dataset on the posts of `pair`."""
    y, x = post_centres(pair, parameters)
    coords: dict[str, Any] = {"y": ("y", y), "x": ("x", x)}
    coords |= {k: pair.coords[k] for k in (GRID_MAPPING, *TIME_COORDS) if k in pair.coords}
    variables: dict[str, Any] = {
        name: (("y", "x"), planes[i]) for i, name in enumerate(planes_of(parameters))
    }
    ds = xr.Dataset(variables, coords=coords)
    ds["flag"] = ds["flag"].astype(np.uint32)
    ds["template_size"] = ds["template_size"].astype(np.uint16)
    attrs = {k: v for k, v in pair.attrs.items() if isinstance(v, str | int | float | list)}
    ds.attrs = {
        **attrs,
        "template": list(parameters.template),
        "search": list(parameters.search),
        "step": list(parameters.step),
        "pixel": [abs(v) for v in parameters.pixel],
    }
    return describe(ds)
