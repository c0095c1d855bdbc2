"""The truth of a simulated GF-3 pair: in the image as templates see it, and on the map."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from glaciertoolkit import conventions
from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.sar.geometry import GEOMETRIES, RadarGeometry
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3_model import gf3_model_of
from glaciertoolkit.simulate.gf3_setting import PIXEL, to_geographic, to_map
from glaciertoolkit.simulate.model import Model, model_of

if TYPE_CHECKING:
    from glaciertoolkit.simulate.gf3 import Gf3Scene

Float64 = NDArray[np.float64]

IN_IMAGE = {
    "true_dx": ("m", "true motion of the ice in slant range, mean over the template"),
    "true_dy": ("m", "true motion of the ice in azimuth, mean over the template"),
    "true_offset_dx": ("m", "true offset in slant range of all causes, mean over the template"),
    "true_offset_dy": ("m", "true offset in azimuth of all causes, mean over the template"),
    "true_east": ("m", "true motion of the ice to the east, mean over the template"),
    "true_north": ("m", "true motion of the ice to the north, mean over the template"),
    "true_up": ("m", "true motion of the ice upwards, mean over the template"),
    "ice_fraction": ("1", "share of the template that is ice"),
    "elevation": ("m", "height above the ellipsoid, mean over the template"),
}

ON_MAP = {
    "true_dx": ("m", "true motion of the ice along x, mean over the footprint"),
    "true_dy": ("m", "true motion of the ice along y, mean over the footprint"),
    "true_up": ("m", "true motion of the ice upwards, mean over the footprint"),
    "ice_fraction": ("1", "share of the footprint that is ice"),
    "slope": ("degree", "slope of the mean surface of the footprint"),
}


def true_position(scene: Gf3Scene, line: Any, sample: Any) -> tuple[Float64, Float64]:
    """Where in the secondary lies what the reference shows.

    Parameters
    ----------
    scene : Gf3Scene
    line, sample : array_like
        Pixel centres of the reference, counted from 0; fractions are allowed.

    Returns
    -------
    line, sample : ndarray
        In the pixels of the secondary as written, whatever part of it is opened later.

    Examples
    --------
    >>> from glaciertoolkit.simulate.gf3 import simulate_gf3
    >>> scene = simulate_gf3(size=256, seed=3)
    >>> line, sample = true_position(scene, 100.0, [50.0, 60.0])
    >>> bool(9.5 < sample[1] - sample[0] < 10.5)
    True
    """
    model = gf3_model_of(scene.parameters)
    lines, samples = np.broadcast_arrays(np.asarray(line, float), np.asarray(sample, float))
    return (
        lines + model.at_points(model.line_offset, lines, samples),
        samples + model.at_points(model.sample_offset, lines, samples),
    )


def true_gf3_motion(scene: Gf3Scene, posts: xr.Dataset, *, template: Any = None) -> xr.Dataset:
    """The truth as templates in the reference image see it.

    Parameters
    ----------
    scene : Gf3Scene
    posts : xarray.Dataset
        On y (azimuth, m) and x (slant range, m), the centres of templates, as `track` returns
        them. Its geometries say which pixels of the products were opened; without them posts and
        offsets count from the first pixels of both products.
    template : int, (lines, samples) or {"y": lines, "x": samples}, optional
        Pixels. Left out: ``posts.attrs["template"]``.

    Returns
    -------
    xarray.Dataset
        On the posts, means over the template: `true_dx`, `true_dy` (metres of slant range and
        azimuth, of the ice alone), `true_offset_dx`, `true_offset_dy` (all causes, as tracking
        measures them), `true_east`, `true_north`, `true_up` (m), `ice_fraction`, `elevation` (m
        above the ellipsoid).

    Raises
    ------
    GridError
        The posts lie outside the image.
    ParameterError
        The size of the template is missing or wrong.

    Examples
    --------
    >>> from glaciertoolkit.simulate.gf3 import simulate_gf3
    >>> scene = simulate_gf3(size=256, seed=3)
    >>> image = scene.image("reference")
    >>> posts = xr.Dataset(coords={"y": image.y[64:192:32], "x": image.x[64:192:32]})
    >>> true_gf3_motion(scene, posts, template=32).true_dx.shape
    (4, 4)
    """
    model = gf3_model_of(scene.parameters)
    edges = _template(posts, template)
    lines, samples, shift = _opened(scene, posts)
    header = scene.reference_geometry
    for axis, places, size in (("y", lines, header.lines), ("x", samples, header.samples)):
        if places.size and (places.min() < 0 or places.max() > size - 1):
            raise GridError(
                f"true_gf3_motion: the posts leave the simulated image along {axis}; give posts "
                "in its radar geometry."
            )
    weights = [
        _weights(places, edge, model.lattice[k], model.lattice[2 + k], n)
        for k, (places, edge, n) in enumerate(
            zip((lines, samples), edges, model.line_offset.shape, strict=True)
        )
    ]

    def mean(field: NDArray[Any]) -> Float64:
        return np.asarray((weights[1] @ (weights[0] @ field).T).T)

    metres = (header.azimuth_spacing, header.range_spacing)
    found = {
        "true_dx": mean(model.ice_sample) * metres[1],
        "true_dy": mean(model.ice_line) * metres[0],
        "true_offset_dx": (mean(model.sample_offset) - shift[1]) * metres[1],
        "true_offset_dy": (mean(model.line_offset) - shift[0]) * metres[0],
        "true_east": mean(model.east),
        "true_north": mean(model.north),
        "true_up": mean(model.up),
        "ice_fraction": np.clip(mean(model.ice), 0, 1),
        "elevation": mean(model.height),
    }
    out = _dataset(posts, found, IN_IMAGE)
    out.attrs["template"] = list(edges)
    return out


def _dataset(
    posts: xr.Dataset, found: dict[str, Float64], attrs: dict[str, tuple[str, str]]
) -> xr.Dataset:
    dims = ("y", "x")
    out = xr.Dataset(coords={k: v for k, v in posts.coords.items() if set(v.dims) <= set(dims)})
    for name, values in found.items():
        units, long_name = attrs[name]
        out[name] = (dims, values.astype(np.float32), {"units": units, "long_name": long_name})
    return conventions.describe(out)


def _template(posts: xr.Dataset, given: Any) -> tuple[int, int]:
    given = posts.attrs.get("template") if given is None else given
    if given is None:
        raise ParameterError(
            "true_gf3_motion: the posts do not say how large their template was; give template= "
            "(pixels)."
        )
    given = json.loads(given) if isinstance(given, str) else given
    given = given.tolist() if isinstance(given, np.ndarray) else given
    pair = par.two("template", given, "one edge, or lines and samples, in pixels")
    return par.whole("template", pair[0], 1, 4096), par.whole("template", pair[1], 1, 4096)


def _opened(scene: Gf3Scene, posts: xr.Dataset) -> tuple[Float64, Float64, tuple[float, float]]:
    """Lines and samples of the posts in the reference as written, and the whole-pixel shift."""
    first, second = scene.reference_geometry, scene.secondary_geometry
    found = [posts.attrs.get(GEOMETRIES[role]) for role in ("reference", "secondary")]
    if None in found:
        return *first.pixel_of(posts["y"].values, posts["x"].values), (0.0, 0.0)
    seen, other = (RadarGeometry.from_json(str(text)) for text in found)
    at, there = _first_pixel(seen, first), _first_pixel(other, second)
    lines, samples = seen.pixel_of(posts["y"].values, posts["x"].values)
    return lines + at[0], samples + at[1], (there[0] - at[0], there[1] - at[1])


def _first_pixel(part: RadarGeometry, whole: RadarGeometry) -> tuple[float, float]:
    """Line and sample of `whole` at which `part` begins."""
    later = float((part.start - whole.start) / np.timedelta64(1, "ns")) * 1e-9
    sample = (part.near_range - whole.near_range) / whole.range_spacing
    return float(np.rint(later / whole.line_interval)), float(np.rint(sample))


def _weights(places: Float64, edge: int, origin: float, step: float, nodes: int) -> Any:
    """Sparse matrix that takes the nodes of a lattice to means over the pixels of templates."""
    from scipy.sparse import csr_matrix

    offsets = np.arange(edge) - (edge - 1) / 2
    at = (places[:, None] + offsets[None, :] - origin) / step
    at = np.clip(at, 1.0, nodes - 2.000001)
    first = at.astype(int)
    t = at - first
    # The cubic through its nodes, as the images use it.
    taps = np.stack([
        t * (-0.5 + t * (1.0 - 0.5 * t)),
        1.0 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    ])  # fmt: skip
    columns = np.stack([first - 1, first, first + 1, first + 2])
    rows = np.broadcast_to(np.arange(places.size)[None, :, None], taps.shape)
    return csr_matrix(
        ((taps / edge).ravel(), (rows.ravel(), columns.ravel())), shape=(places.size, nodes)
    )


def true_map_motion(scene: Gf3Scene, mapped: xr.Dataset, *, footprint: float = 175.0) -> xr.Dataset:
    """The truth on a map, averaged over a footprint on the ground.

    Parameters
    ----------
    scene : Gf3Scene
    mapped : xarray.Dataset
        On y and x in a projected coordinate system, metres.
    footprint : float
        Edge of the square (along the axes of the scene's own map) over which the motion is
        averaged, metres: that of the template on the ground. 0 for points.

    Returns
    -------
    xarray.Dataset
        On the posts: `true_dx`, `true_dy` (m along the map's x and y), `true_up` (m),
        `ice_fraction`, `slope` (degrees, of the mean surface). NaN beyond the landscape.

    Raises
    ------
    GridError
        `mapped` has no CRS, or lies nowhere on the landscape.

    Examples
    --------
    >>> from glaciertoolkit.simulate.gf3 import simulate_gf3
    >>> scene = simulate_gf3(size=256, seed=3)
    >>> part = scene.map_scene.isel(y=slice(500, 900, 50), x=slice(500, 900, 50))
    >>> true_map_motion(scene, part).true_dx.shape
    (8, 8)
    """
    import rioxarray  # noqa: F401  (registers .rio)

    size = par.number("footprint", footprint, 0, 5000)
    crs = mapped.rio.crs
    if crs is None:
        raise GridError("true_map_motion: the map has no CRS; write it with rio.write_crs().")
    p = scene.parameters
    ground = model_of(scene.setting.landscape)
    x, y = np.meshgrid(mapped["x"].values.astype(float), mapped["y"].values.astype(float))
    same = crs.to_epsg() == p.epsg
    east, north = (x, y) if same else to_map(p.epsg, *to_geographic(str(crs), x, y))
    means = _footprints(ground, east, north, size)
    if means is None:
        raise GridError("true_map_motion: the map does not meet the simulated landscape.")
    move_x, move_y, up, ice, slope_x, slope_y = means
    if not same:
        there = to_map(str(crs), *to_geographic(p.epsg, east + move_x, north + move_y))
        move_x, move_y = there[0] - x, there[1] - y
    found = {
        "true_dx": move_x,
        "true_dy": move_y,
        "true_up": up,
        "ice_fraction": np.clip(ice, 0, 1),
        "slope": np.degrees(np.arctan(np.hypot(slope_x, slope_y))),
    }
    out = _dataset(mapped, found, ON_MAP)
    out.attrs["footprint"] = size
    return out


def _footprints(ground: Model, east: Float64, north: Float64, size: float) -> Any:
    """Means of motion (x, y, up), ice and slopes (x, y) around points, or None without any."""
    from scipy.ndimage import map_coordinates

    rows, columns = (par.NORTH - north) / PIXEL - 0.5, (east - par.WEST) / PIXEL - 0.5
    inside = (rows >= 0) & (rows <= ground.parameters.size[0] - 1)
    inside &= (columns >= 0) & (columns <= ground.parameters.size[1] - 1)
    if not inside.any():
        return None
    half = size / 2 / PIXEL
    low = np.floor([rows[inside].min() - half, columns[inside].min() - half]).astype(int) - 2
    high = np.ceil([rows[inside].max() + half, columns[inside].max() + half]).astype(int) + 3
    ys, xs = (np.arange(a, b, dtype=float) for a, b in zip(low, high, strict=True))
    out = np.full((6, *rows.shape), np.nan)
    for k, field in enumerate(_map_fields(ground, ys, xs)):
        # Sums from the corner: the mean over a box is four of them, at any fraction of a pixel.
        sums = np.zeros((ys.size + 1, xs.size + 1))
        sums[1:, 1:] = field.cumsum(axis=0).cumsum(axis=1)
        total = np.zeros(int(inside.sum()))
        width = max(half, 0.5)
        for a, sign_a in ((-width, -1), (width, 1)):
            for b, sign_b in ((-width, -1), (width, 1)):
                at = [rows[inside] - low[0] + 0.5 + a, columns[inside] - low[1] + 0.5 + b]
                total += sign_a * sign_b * map_coordinates(sums, at, order=1, mode="nearest")
        out[k][inside] = total / (2 * width) ** 2
    return out


def _map_fields(ground: Model, ys: Float64, xs: Float64) -> list[Float64]:
    """Motion (x, y, up; m), ice and slopes (x, y) at all pixels of a part of the landscape."""
    from glaciertoolkit.simulate import kernels

    down, right = np.empty((2, ys.size, xs.size))
    kernels.ice_grid(ground.grid.index, ground.motion, ys, xs, down, right)
    slope_x = ground.field(ground.elevation, ys, xs, derivative="x") / PIXEL
    slope_y = -ground.field(ground.elevation, ys, xs, derivative="y") / PIXEL
    move_x, move_y = right * PIXEL, -down * PIXEL
    ice = (ground.field(ground.level_set, ys, xs) > 0).astype(float)
    return [move_x, move_y, move_x * slope_x + move_y * slope_y, ice, slope_x, slope_y]
