"""Two GF-3 products as one pair: on one grid of pixels, without resampling either."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import describe
from glaciertoolkit.errors import GridError, InputError
from glaciertoolkit.io import dates, gf3_pixels
from glaciertoolkit.io.gf3 import Scene, channel_attrs, distance, open_gf3, open_scene, scene_attrs
from glaciertoolkit.io.gf3_files import Product, find_product
from glaciertoolkit.io.raster import CHUNK, Chunks
from glaciertoolkit.provenance import record
from glaciertoolkit.sar.geometry import GEOMETRIES, RadarGeometry

PREFERRED = ("HH", "VV", "HV", "VH")
"""Co-polarised channels first: dry snow hardly depolarises, so that the others are near the
noise."""

SPACING_TOLERANCE = 0.01
WAVELENGTH_TOLERANCE = 1e-3
FEWEST = 16
"""Lines and samples below which an overlap is none."""

DETECTED = "L2"


class Cut(NamedTuple):
    """The lines and samples of one image that both images have."""

    rows: slice
    columns: slice

    def of(self, geometry: RadarGeometry) -> RadarGeometry:
        """The geometry of the cut image."""
        moved = geometry.shifted(lines=self.rows.start, samples=self.columns.start)
        lines, samples = (s.stop - s.start for s in self)
        return replace(moved, lines=lines, samples=samples)


def open_gf3_pair(
    reference: str | os.PathLike[str],
    secondary: str | os.PathLike[str],
    *,
    polarisation: str | None = None,
    reference_date: Any = None,
    secondary_date: Any = None,
    chunks: Chunks = CHUNK,
) -> xr.Dataset:
    """Open two GF-3 products for tracking.

    Two L1A products share one grid of slant range and azimuth: the secondary image is moved by
    whole lines and samples, so that the middle of what both see agrees, and both are cut to what
    they share. Nothing is resampled; what orbits and terrain still make of an offset follows from
    the two geometries. Two L2 products are paired on their map grid.

    Parameters
    ----------
    reference, secondary : str or path
        The earlier and the later product: folders, archives or ``.meta.xml`` files.
    polarisation : str, optional
        Channel of both; without it HH, else VV, else another that both have.
    reference_date, secondary_date : str, date, datetime or datetime64, optional
        In place of the times of the products.
    chunks : int, str, dict or None
        Chunks in pixels, the same in both images; ``None`` reads them now.

    Returns
    -------
    xarray.Dataset
        ``reference`` and ``secondary`` (y, x), complex64, over azimuth ``y`` and slant range ``x``
        of the reference, metres, with `reference_time`, `secondary_time` and `mid_date`, and the
        attributes ``reference_geometry`` and ``secondary_geometry``, in which pixel (i, j) of
        both arrays is line i and sample j, ``pixel_size_x``, ``pixel_size_y``, ``polarisation``,
        ``mean_height`` and ``baseline_perpendicular`` (metres, at the middle). For L2 products
        what `open_pair` returns, of the amplitudes.

    Raises
    ------
    FileError, InputError
        As `glaciertoolkit.io.gf3.open_gf3`; or the products do not make a pair: of different
        mode, look direction, direction of flight, level or spacing, or twice the same.
    GridError
        The scenes do not overlap, or the grids of L2 products do not fit.
    DateError
        The dates are equal or reversed.

    Examples
    --------
    >>> pair = open_gf3_pair("GF3_..._20190903_...", "GF3_..._20191002_...")  # doctest: +SKIP
    """
    products = find_product(reference), find_product(secondary)
    _check_two(*products)
    chosen = _channel(products, polarisation)
    if products[0].name.level == products[1].name.level == DETECTED:
        return _map_pair(products, chosen, (reference_date, secondary_date), chunks)
    first, second = (open_scene(p.metadata, polarisations=chosen) for p in products)
    geometries = _check_alike(first, second)
    given = (("reference", reference_date, first), ("secondary", secondary_date, second))
    taken = [
        dates.find_date(date, tags={"acquisition": _middle(scene)}, name=scene.name, role=role)
        for role, date, scene in given
    ]
    dates.check_order(taken[0].time, taken[1].time)
    cuts = _cuts(*geometries, height=first.mean_height, names=(first.name, second.name))
    pair = _assemble((first, second), geometries, cuts, chosen, chunks)
    pair = pair.assign_coords(
        reference_time=taken[0].time,
        secondary_time=taken[1].time,
        mid_date=taken[0].time + (taken[1].time - taken[0].time) // 2,
    )
    return record(
        describe(pair),
        "open_pair",
        {
            "reference": first.name,
            "secondary": second.name,
            "reference_time": dates.min_text(taken[0].time),
            "secondary_time": dates.min_text(taken[1].time),
            "dates_from": [t.source for t in taken],
            "polarisation": chosen,
            "lines_and_samples": [
                [c.rows.start, c.rows.stop, c.columns.start, c.columns.stop] for c in cuts
            ],
        },
    )


def _middle(scene: Scene) -> np.datetime64:
    assert scene.geometry is not None
    return scene.geometry.mid_time


def _check_two(first: Product, second: Product) -> None:
    if first.name == second.name or first.metadata.resolve() == second.metadata.resolve():
        raise InputError(
            f"reference and secondary are the same product {first.name}; give two products."
        )
    levels = first.name.level, second.name.level
    if levels[0] != levels[1]:
        raise InputError(
            f"the reference product {first.name} is of level {levels[0]}, the secondary "
            f"{second.name} of level {levels[1]}; give two products of one level, best L1A."
        )
    if levels[0] not in ("L1A", DETECTED):
        raise InputError(
            f"the products are of level {levels[0]}, which has neither the geometry of the radar "
            "nor a map grid; give two products of level L1A (or L2)."
        )


def _channel(products: tuple[Product, Product], wanted: str | None) -> str:
    """The polarisation to use, which both products must have."""
    if wanted is not None:
        return wanted
    common = [p for p in PREFERRED if all(p in product.images for product in products)]
    if not common:
        have = " and ".join("/".join(sorted(p.images)) for p in products)
        raise InputError(
            f"the products {products[0].name} and {products[1].name} have no polarisation in "
            f"common ({have}); choose products of one mode of polarisation."
        )
    return common[0]


def _check_alike(first: Scene, second: Scene) -> tuple[RadarGeometry, RadarGeometry]:
    """Raise `InputError` unless the scenes were taken in the same way."""
    assert first.geometry is not None
    assert second.geometry is not None
    names = f"{first.name} and {second.name}"
    one, two = first.metadata, second.metadata
    for what, a, b in (
        ("imaging mode (sensor/imagingMode)", one.mode, two.mode),
        ("look direction (sensor/lookDirection)", one.look, two.look),
        ("direction of flight (Direction)", one.direction, two.direction),
    ):
        if a != b:
            raise InputError(
                f"the products {names} differ in their {what}: {a} and {b}; choose two products "
                "taken from the same orbit in the same mode."
            )
    g, h = first.geometry, second.geometry
    for what, x, y, limit in (
        ("wavelength (sensor/lamda)", g.wavelength, h.wavelength, WAVELENGTH_TOLERANCE),
        ("range spacing (imageinfo/eqvFs)", g.range_spacing, h.range_spacing, SPACING_TOLERANCE),
        (
            "azimuth spacing (imageinfo/eqvPRF)",
            g.azimuth_spacing,
            h.azimuth_spacing,
            SPACING_TOLERANCE,
        ),
    ):
        if abs(x / y - 1) > limit:
            raise InputError(
                f"the products {names} differ in their {what}: {x:.6g} and {y:.6g} m; choose two "
                "products taken from the same orbit in the same mode."
            )
    return g, h


def _cuts(
    first: RadarGeometry, second: RadarGeometry, *, height: float, names: tuple[str, str]
) -> tuple[Cut, Cut]:
    """What both images see, as lines and samples of each."""
    from glaciertoolkit.sar.geocoding import ground_to_image, image_to_ground

    nothing = GridError(
        f"the products {names[0]} and {names[1]} show different places: their scenes do not "
        "overlap; choose two products of one place."
    )
    places = [image_to_ground(g, *g.centre, height) for g in (first, second)]
    ends = [image_to_ground(g, 0.0, 0.0, height) for g in (first, second)]
    reach = sum(distance(*p, *q) for p, q in zip(places, ends, strict=True))
    # Far from a scene its orbit means nothing.
    if not distance(*places[0], *places[1]) <= reach:
        raise nothing
    line, sample = first.centre
    for _ in range(2):
        ground = image_to_ground(first, line, sample, height)
        found = ground_to_image(second, *ground, height)
        if not np.isfinite(found).all():
            raise nothing
        down, right = round(float(found[0]) - line), round(float(found[1]) - sample)
        top, bottom = max(0, -down), min(first.lines, second.lines - down)
        left, far = max(0, -right), min(first.samples, second.samples - right)
        if bottom - top < FEWEST or far - left < FEWEST:
            raise nothing
        # The spacings may differ a little, so that only the middle of the overlap will do.
        line, sample = float((top + bottom - 1) // 2), float((left + far - 1) // 2)
    return (
        Cut(slice(top, bottom), slice(left, far)),
        Cut(slice(top + down, bottom + down), slice(left + right, far + right)),
    )


def _assemble(
    scenes: tuple[Scene, Scene],
    geometries: tuple[RadarGeometry, RadarGeometry],
    cuts: tuple[Cut, Cut],
    polarisation: str,
    chunks: Chunks,
) -> xr.Dataset:
    from glaciertoolkit.sar.baselines import baseline
    from glaciertoolkit.sar.geocoding import image_to_ground

    first, second = (c.of(g) for c, g in zip(cuts, geometries, strict=True))
    height = scenes[0].mean_height
    lon, lat = image_to_ground(first, *first.centre, height)
    across = baseline(first, second, longitude=lon, latitude=lat, height=height).perpendicular
    pair = xr.Dataset(coords={"y": first.y, "x": first.x})
    for role, scene, cut in zip(("reference", "secondary"), scenes, cuts, strict=True):
        pixels = scene.images[polarisation].part(cut.rows, cut.columns)
        attrs = channel_attrs(scene, polarisation)
        attrs |= {"long_name": f"{role} image, {attrs['long_name']}", "source": scene.name}
        pair[role] = (("y", "x"), gf3_pixels.lazy(pixels, chunks), attrs)
    known = scene_attrs(scenes[0])
    kept = ("satellite", "imaging_mode", "orbit_direction", "look_direction")
    pair.attrs = {
        GEOMETRIES["reference"]: first.to_json(),
        GEOMETRIES["secondary"]: second.to_json(),
        "pixel_size_x": first.range_spacing,
        "pixel_size_y": first.azimuth_spacing,
        "polarisation": polarisation,
        "mean_height": height,
        "baseline_perpendicular": float(np.ravel(across)[0]),
        **{name: known[name] for name in kept},
    }
    return pair


def _map_pair(
    products: tuple[Product, Product], polarisation: str, given: tuple[Any, Any], chunks: Chunks
) -> xr.Dataset:
    """Two geocoded products, as any two images on a map."""
    from glaciertoolkit.io.images import open_pair

    images = [
        open_gf3(p.metadata, polarisations=polarisation, chunks=chunks)[polarisation]
        for p in products
    ]
    pair = open_pair(*images, reference_date=given[0], secondary_date=given[1])
    return pair.assign_attrs(polarisation=polarisation)
