"""One place under the magnifying glass: what tracking sees there, and what it makes of it.

Nothing is computed in another way than in `track`: the tile that holds the place is opened and
measured by the same functions, and the surface is that of one of its posts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.blocks import Tile
from glaciertoolkit.conventions import GRID_MAPPING, TIME_COORDS, Variable, describe, validate
from glaciertoolkit.provenance import record
from glaciertoolkit.tracking.correlation import Peaks, correlate
from glaciertoolkit.tracking.parameters import TrackParameters
from glaciertoolkit.tracking.place import Measured, Place, measure_at, place_of, start_at
from glaciertoolkit.tracking.surface import Surface
from glaciertoolkit.tracking.tile import Opened, planes_of, rejection_threshold
from glaciertoolkit.tracking.track import parameters_of
from glaciertoolkit.tracking.windows import Layer

Array = npt.NDArray[np.float32]

MEANINGS = {
    "surface": Variable("1", "correlation at each offset"),
    "fit": Variable("1", "correlation between the offsets, interpolated about the highest"),
    "fit_along_x": Variable("1", "interpolated correlation along x, through the peak"),
    "fit_along_y": Variable("1", "interpolated correlation along y, through the peak"),
    "reference": Variable("1", "reference image around the place"),
    "secondary": Variable("1", "secondary image around the place"),
    "template": Variable("1", "filtered template, as it is matched"),
    "matched": Variable("1", "filtered secondary image where the template fits best"),
    "peak_dx": Variable("m", "offset of the highest peak along x, accepted or not"),
    "peak_dy": Variable("m", "offset of the highest peak along y, accepted or not"),
    "peak_correlation": Variable("1", "correlation at the highest peak"),
    "second_dx": Variable("m", "offset of the second peak along x"),
    "second_dy": Variable("m", "offset of the second peak along y"),
    "second_correlation": Variable("1", "correlation at the second peak"),
    "threshold": Variable("1", "correlation that unrelated images would reach"),
    "valid_share": Variable("1", "share of the template's pixels that are valid"),
    "data_share": Variable("1", "share of the template's pixels that hold a value"),
    "contrast": Variable("1", "whether the template holds anything to match (0: it is constant)"),
}
AXES = ("offset_", "fit_x", "fit_y", "chip_", "template_x", "template_y")
"""How the names of coordinates begin."""


def correlation_surface(pair: xr.Dataset, x: float, y: float, **options: Any) -> xr.Dataset:
    """Look into the match at one place: chips, template, correlation surface, peak and verdict.

    All that is computed on the way is that of `track`, with the same options: its dx, dy, errors,
    snr and flag at a post whose template has its centre here are what is returned.

    Parameters
    ----------
    pair : xarray.Dataset
        `reference` and `secondary`, from `open_pair`; real or complex, on a map or in radar
        geometry. Of lazy images only the surroundings of the place are read.
    x, y : float
        The place, in the coordinates of the pair, metres; the template whose centre is nearest
        is taken (with an even template that lies between four pixels).
    **options
        Those of `track`: `template`, `search`, `method`, `prefilter`, `prior` ... With
        `max_displacement` the whole reduced pair is tracked first; a `prior` is quicker.

    Returns
    -------
    xarray.Dataset
        - What `track` returns for this post, without dimensions: `dx`, `dy` (m; NaN if rejected),
          `dx_error`, `dy_error`, `correlation`, `snr`, `peak_ratio`, `flag` ...
        - `surface` (offset_y, offset_x): the correlation at each offset, NaN where it could not be
          computed; the offsets are metres along the grid's coordinates, also in pixels as
          `offset_row`, `offset_column`.
        - `peak_dx`, `peak_dy`, `peak_correlation`: the highest peak, accepted or not; `second_dx`,
          `second_dy`, `second_correlation`: the next; `fit` (fit_y, fit_x), `fit_along_x`,
          `fit_along_y`: the interpolated surface within a pixel of the peak.
        - `threshold`: the correlation that unrelated images reach, with which `correlation` is
          compared (besides `min_correlation`).
        - `reference`, `secondary` (chip_y, chip_x): the images, amplitudes if complex, over all
          that is searched; `template`, `matched` (template_y, template_x): what is compared, the
          filtered template and the filtered secondary image where it fits best.

    Raises
    ------
    ParameterError
        If an option is out of range, or the place off the images or too near to their edge.
    MissingVariableError, InputError, GridError
        As `track`.

    Notes
    -----
    With "orientation" the chips that are compared are the directions of the gradients, in degrees;
    with "coherent" they are amplitudes, and the surface is the magnitude of the correlation.
    ``mode="quality"``, and "ncc" where pixels are missing, refine the match after the surface: `dx`
    then differs from `peak_dx`.

    Where the place is no multiple of `step` pixels from the first, the posts are laid through it.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from glaciertoolkit import correlation_surface
    >>> image = np.random.default_rng(0).normal(size=(96, 96)).astype("float32")
    >>> grid = {"y": 300.0 - 10 * np.arange(96), "x": 10.0 * np.arange(96)}
    >>> pair = xr.Dataset(
    ...     {"reference": (("y", "x"), image), "secondary": (("y", "x"), np.roll(image, 2, 1))},
    ...     coords=grid,
    ... )
    >>> found = correlation_surface(pair, 480, -180, template=32, search=4)
    >>> found.surface.shape, round(float(found.peak_dx), 1), round(float(found.dx), 1)
    ((9, 9), 20.0, 20.0)
    """
    validate(pair, needs=("reference", "secondary"))
    parameters = parameters_of(pair, **options)
    place = place_of(pair, x, y, parameters)
    start, reach = start_at(pair, place, options.get("prior"), options.get("max_displacement"))
    found = surface_at(pair, place, measure_at(pair, place, start, reach))
    return record(found, "correlation_surface", {"x": float(x), "y": float(y), **options})


def surface_at(pair: xr.Dataset, place: Place, measured: Measured) -> xr.Dataset:
    """The post of `place` in a tile that has been measured, as `correlation_surface` returns it."""
    from glaciertoolkit.tracking.kernels import subpixel

    opened, p = measured.opened, place.parameters
    windows = opened.pairs[0]
    fine = windows.parameters
    row, column = place.post[0] - place.tile.y0, place.post[1] - place.tile.x0
    verdict = dict(zip(planes_of(p), measured.planes[:, row, column], strict=True))
    used = int(verdict["template_size"] * p.oversample)
    template = next(t for t in fine.templates if max(t) == used)
    post = Tile(place.post[0], place.post[0] + 1, place.post[1], place.post[1] + 1)
    centre = next(o for part, o in opened.parts if _holds(part, place.post))
    found = correlate(windows, post, template, centre, whole_volume=True)
    squared = p.method == "coherent"
    peaks = subpixel.find_peaks(found.volume, 1, subpixel.interpolation_tables(), squared)[:, 0, 0]
    surface = Surface(found.volume[0, :, :, 0], peaks, centre, fine, squared, p.oversample)
    variables = {
        **{name: ((), value) for name, value in verdict.items()},
        **surface.variables(),
        **_shares(opened, found, template, p),
        **_chips(pair, place, measured, centre),
        **_matched(windows.first_pixel(post, template), template, surface, opened, p),
    }
    ds = xr.Dataset(variables, coords=_coordinates(pair, place))
    ds["flag"] = ds["flag"].astype(np.uint32)
    ds["template_size"] = ds["template_size"].astype(np.uint16)
    ds.attrs = _attributes(pair, place, template, centre)
    return _named(describe(ds))


def _holds(part: Tile, post: tuple[int, int]) -> bool:
    return part.y0 <= post[0] < part.y1 and part.x0 <= post[1] < part.x1


def _coordinates(pair: xr.Dataset, place: Place) -> dict[str, Any]:
    """The centre of the template, its CRS, and the dates."""
    coords: dict[str, Any] = {}
    for k, name in enumerate(("y", "x")):
        values = np.asarray(pair[name].values, float)
        first, edge = place.corner[k], place.parameters.template[k]
        coords[name] = (values[first] + values[first + edge - 1]) / 2
    kept = (GRID_MAPPING, *TIME_COORDS)
    return coords | {k: pair.coords[k] for k in kept if k in pair.coords}


def _shares(
    opened: Opened, found: Peaks, template: tuple[int, int], p: TrackParameters
) -> dict[str, Any]:
    """With which numbers the match is judged."""
    threshold = rejection_threshold(opened.noise, found.share, template, p.fine)
    return {
        "threshold": ((), float(threshold[0, 0])),
        "valid_share": ((), float(found.share[0, 0])),
        "data_share": ((), float(found.present[0, 0])),
        "contrast": ((), float(found.contrast[0, 0] > 0)),
    }


def _chips(
    pair: xr.Dataset, place: Place, measured: Measured, centre: tuple[int, int]
) -> dict[str, Any]:
    """Both images over the template and all that is searched, as far as they reach."""
    p, window = place.parameters, measured.window
    spans: list[slice] = []
    out: dict[str, Any] = {}
    for k, name in enumerate(("y", "x")):
        moved = round(centre[k] / p.oversample)
        first = place.corner[k] + place.pad[k] - (p.largest[k] - p.template[k]) // 2
        low = first + min(moved, 0) - p.search[k]
        high = first + p.largest[k] + max(moved, 0) + p.search[k]
        low, high = max(low, window[2 * k]), min(high, window[2 * k + 1])
        spans.append(slice(low - window[2 * k], high - window[2 * k]))
        values = np.asarray(pair[name].values[low - place.pad[k] : high - place.pad[k]], float)
        out[f"chip_{name}"] = (f"chip_{name}", values)
    for name, image in zip(("reference", "secondary"), measured.images, strict=True):
        chip = image[spans[0], spans[1]]
        chip = np.abs(chip) if np.iscomplexobj(chip) else chip
        out[name] = (("chip_y", "chip_x"), chip.astype(np.float32))
    return out


def _shown(layer: Layer, y: int, x: int, size: tuple[int, int], method: str) -> Array:
    """What is matched of one image as a single plane, NaN where it is missing."""
    planes, valid = layer.cut(y, x, *size), layer.cut_mask(y, x, *size)
    if method == "orientation":
        plane = np.degrees(np.arctan2(planes[1], planes[0]))
        valid = valid & ((planes[0] != 0) | (planes[1] != 0))
    else:
        plane = planes[0] if len(planes) == 1 else np.hypot(planes[0], planes[1])
    return np.where(valid, plane, np.float32(np.nan)).astype(np.float32)


def _matched(
    corner: tuple[int, int], size: tuple[int, int], surface: Surface, opened: Opened,
    p: TrackParameters,
) -> dict[str, Any]:  # fmt: skip
    """The template and what of the secondary it is most like, as they are compared."""
    windows = opened.pairs[0]
    moved = [corner[k] + surface.first[k] + surface.highest[k] for k in range(2)]
    out = {
        "template": _shown(windows.reference, *corner, size, p.method),
        "matched": _shown(windows.secondary, moved[0], moved[1], size, p.method),
    }
    dims = ("template_y", "template_x")
    axes = {
        f"template_{n}": (f"template_{n}", (np.arange(size[k]) - (size[k] - 1) / 2) * pixel)
        for k, (n, pixel) in enumerate(zip("yx", p.fine.pixel, strict=True))
    }
    return {name: (dims, plane) for name, plane in out.items()} | axes


def _attributes(
    pair: xr.Dataset, place: Place, template: tuple[int, int], centre: tuple[int, int]
) -> dict[str, Any]:
    """With what the place was matched; sizes in pixels of the images, (y, x)."""
    p = place.parameters
    n = p.oversample
    kept = (
        "method", "mode", "prefilter", "prefilter_sigma", "prefilter_width", "oversample",
        "min_valid", "false_alarm", "min_correlation", "min_peak_ratio",
    )  # fmt: skip
    attrs = {k: v for k, v in pair.attrs.items() if isinstance(v, str | int | float | list)}
    return {
        **attrs,
        **{name: getattr(p, name) for name in kept},
        "template": [t // n for t in template],
        "search": list(p.search),
        "step": list(p.step),
        "pixel": [abs(v) for v in p.pixel],
        "template_first_pixel": list(place.corner),
        "search_centre": [c / n for c in centre],
    }


def _named(ds: xr.Dataset) -> xr.Dataset:
    """Units and names of what only a close look shows."""
    ds = ds.set_coords([name for name in ds.variables if str(name).startswith(AXES)])
    for name, variable in MEANINGS.items():
        ds[name].attrs = variable.attrs()
    if ds.attrs["method"] == "orientation":
        for name in ("template", "matched"):
            ds[name].attrs = Variable("degree", f"direction of the gradient, {name}").attrs()
    for axis in ("x", "y"):
        for kind in ("offset", "fit"):
            ds[f"{kind}_{axis}"].attrs = Variable("m", f"offset along {axis}").attrs()
        ds[f"chip_{axis}"].attrs = dict(ds[axis].attrs)
        centred = Variable("m", f"distance from the template's centre along {axis}")
        ds[f"template_{axis}"].attrs = centred.attrs()
    ds["offset_row"].attrs = Variable("pixel", "offset in pixels, downwards").attrs()
    ds["offset_column"].attrs = Variable("pixel", "offset in pixels, to the right").attrs()
    return ds
