"""Two images of one place as one Dataset: on one grid, with dates, lazy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from glaciertoolkit.conventions import GRID_MAPPING, describe
from glaciertoolkit.errors import GridError, InputError, ParameterError
from glaciertoolkit.io import dates, georeference, gf3_files, lattice, raster
from glaciertoolkit.io.lattice import Lattice
from glaciertoolkit.io.raster import CHUNK, Chunks
from glaciertoolkit.provenance import record

ImageLike = str | os.PathLike[str] | xr.DataArray
Pixel = float | Mapping[str, float]


class Options(NamedTuple):
    """How the pixels of an image are read."""

    band: int
    chunks: Chunks
    nodata: float | None
    amplitude: bool


class Image(NamedTuple):
    """One image and what is known of it."""

    data: xr.DataArray
    lattice: Lattice
    crs: Any
    tags: dict[str, Any]
    name: str | None
    ungeocoded: str | None = None  # what the file has in place of a map grid


def open_pair(
    reference: ImageLike,
    secondary: ImageLike,
    *,
    reference_date: Any = None,
    secondary_date: Any = None,
    band: int = 1,
    chunks: Chunks = CHUNK,
    nodata: float | None = None,
    amplitude: bool = False,
    crs: Any = None,
    pixel: Pixel | None = None,
    polarisation: str | None = None,
) -> xr.Dataset:
    """Open an image pair for tracking.

    Both images must have the same projected CRS in metres and share one pixel lattice; what they
    do not both cover is cut off. Nothing is resampled. Files are opened lazily and examined at
    once: whether they are complete, georeferenced and not constant. Two GF-3 products are opened
    by `glaciertoolkit.io.gf3_pair.open_gf3_pair`, those of level L1A in the geometry of the radar.

    Parameters
    ----------
    reference, secondary : str, path or xarray.DataArray
        The earlier and the later image. A DataArray has the dimensions ``y`` and ``x`` (a
        ``band`` dimension is allowed), pixel centres as coordinates and a CRS that
        ``DataArray.rio`` finds; it stays as lazy as it is. Or two GF-3 products: folders,
        archives (``.tar.gz``, ``.zip``) or ``.meta.xml`` files.
    reference_date, secondary_date : str, date, datetime or datetime64, optional
        Acquisition times; without a time zone they are UTC. Where they are not given they are
        looked for in tags and attributes, then in the file name, then in the TIFF tag DateTime.
    band : int
        Band to use, counted from 1.
    chunks : int, str, dict or None
        Chunks of the files in pixels; ``None`` reads them into memory now.
    nodata : float, optional
        Pixel value that means "missing" where the files do not say so themselves.
    amplitude : bool
        Take the modulus of complex images.
    crs : optional
        CRS of images that have a grid but do not name its CRS.
    pixel : float or mapping, optional
        Pixel size in metres, one number or ``{"y": .., "x": ..}``, of images without any
        georeference (PNG, JPEG); they get a local grid with its origin at the lower left.
    polarisation : str, optional
        Channel of GF-3 products, such as ``"HV"``; without it HH, else VV. `band`, `nodata`,
        `amplitude`, `crs` and `pixel` are not for them.

    Returns
    -------
    xarray.Dataset
        ``reference`` and ``secondary`` (y, x), float32, NaN where there is nothing, with the
        coordinates ``y``, ``x`` (pixel centres, metres), ``spatial_ref``, ``reference_time``,
        ``secondary_time`` and ``mid_date``. The axes keep the direction they have in the
        reference image, whether north or south is up; dx and dy follow the coordinates. Of
        GF-3 products of level L1A: complex64, over azimuth and slant range.

    Raises
    ------
    FileError
        A file is missing, damaged, truncated or unreadable.
    GridError
        No CRS, one that is not in metres, grids that differ, no overlap.
    DateError
        Dates missing, equal or reversed.
    InputError
        A constant image, or one without a valid pixel.
    ParameterError
        An argument out of range, complex pixels without `amplitude`.

    Notes
    -----
    GDAL's block cache is limited to 64 MB per process, unless the environment variable
    ``GDAL_CACHEMAX`` is set.

    Examples
    --------
    >>> import numpy as np, xarray as xr, rioxarray
    >>> y, x = 3.1e6 - 12.0 * np.arange(40), 5e5 + 12.0 * np.arange(50)
    >>> speckle = np.random.default_rng(1).random((40, 50), dtype="float32")
    >>> image = xr.DataArray(speckle, {"y": y, "x": x}, ("y", "x")).rio.write_crs(32645)
    >>> pair = open_pair(
    ...     image, image.roll(x=1), reference_date="2019-09-03", secondary_date="2019-10-02"
    ... )
    >>> list(pair.data_vars), dict(pair.sizes)
    (['reference', 'secondary'], {'y': 40, 'x': 50})
    """
    options = Options(band, chunks, nodata, amplitude)
    if _are_products(reference, secondary):
        from glaciertoolkit.io.gf3_pair import open_gf3_pair

        _refuse_for_products(options, crs=crs, pixel=pixel)
        return open_gf3_pair(
            os.fspath(reference),
            os.fspath(secondary),
            polarisation=polarisation,
            reference_date=reference_date,
            secondary_date=secondary_date,
            chunks=chunks,
        )
    if polarisation is not None:
        raise ParameterError(
            f"polarisation={polarisation!r} is for GF-3 products; choose the channel of an image "
            "with band=."
        )
    first = _open_image(reference, options, role="reference", crs=crs, pixel=pixel)
    second = _open_image(secondary, options, role="secondary", crs=crs, pixel=pixel)
    first, second = _common_grid(first, second)
    taken = [
        dates.find_date(given, tags=image.tags, name=image.name, role=role)
        for given, image, role in (
            (reference_date, first, "reference"),
            (secondary_date, second, "secondary"),
        )
    ]
    dates.check_order(taken[0].time, taken[1].time)
    _check_two(reference, secondary)
    pair = _assemble(first, second, taken[0].time, taken[1].time)
    return record(
        pair,
        "open_pair",
        {
            "reference": first.name,
            "secondary": second.name,
            "reference_time": dates.min_text(taken[0].time),
            "secondary_time": dates.min_text(taken[1].time),
            "dates_from": [taken[0].source, taken[1].source],
            "band": band,
            "nodata": nodata,
            "amplitude": amplitude,
            "crs": None if first.crs is None else georeference.crs_name(first.crs),
            "pixel": pixel,
        },
    )


def _are_products(reference: ImageLike, secondary: ImageLike) -> bool:
    """Whether both images are GF-3 products; `InputError` where only one is."""
    found = [gf3_files.is_product(image) for image in (reference, secondary)]
    if any(found) and not all(found):
        product, image = ("reference", "secondary")[:: 1 if found[0] else -1]
        raise InputError(
            f"the {product} image is a GF-3 product, but the {image} image is not; give two "
            "products, or two images on one map grid."
        )
    return all(found)


def _refuse_for_products(options: Options, *, crs: Any, pixel: Pixel | None) -> None:
    given = {
        "band": options.band != 1,
        "nodata": options.nodata is not None,
        "amplitude": options.amplitude,
        "crs": crs is not None,
        "pixel": pixel is not None,
    }
    wrong = [name for name, yes in given.items() if yes]
    if wrong:
        raise ParameterError(
            f"{wrong[0]}= does not apply to GF-3 products, whose metadata say how they are read; "
            "leave it out, and choose the channel with polarisation=."
        )


def _open_image(
    image: ImageLike, options: Options, *, role: str, crs: Any, pixel: Pixel | None
) -> Image:
    if isinstance(image, xr.DataArray):
        out = _from_array(image, options, role=role)
    elif isinstance(image, str | os.PathLike):
        out = _from_file(image, options, role=role)
    else:
        raise InputError(
            f"the {role} image is a {type(image).__name__}; give a path or an xarray.DataArray."
        )
    label = _label(role, out.name)
    if pixel is not None:
        return _with_local_grid(out, pixel, label=label)
    if out.ungeocoded:
        raise GridError(
            f"the {label} has only {out.ungeocoded} and no map grid; geocode it first, for "
            "example with gdalwarp -t_srs to the UTM zone of the place."
        )
    if crs is not None:
        given = georeference.as_crs(crs)
        if out.crs is not None and not georeference.same_crs(out.crs, given):
            raise ParameterError(
                f"crs={crs!r} was given, but the {label} is in "
                f"{georeference.crs_name(out.crs)}; leave crs out, or reproject the image."
            )
        out = out._replace(crs=given)
    if out.crs is None:
        raise GridError(
            f"the {label} has no CRS; give crs= if its grid is in a known projection, or pixel= "
            "(metres) if it has no georeference at all."
        )
    georeference.check_metric(out.crs, centre=out.lattice.centre, label=label)
    return out


def _check_two(reference: ImageLike, secondary: ImageLike) -> None:
    """One file twice gives perfect matches and no motion: surely a slip."""
    if isinstance(reference, xr.DataArray) or isinstance(secondary, xr.DataArray):
        return
    if os.path.realpath(reference) == os.path.realpath(secondary):
        raise InputError(
            f"reference and secondary are the same file {raster.base_name(reference)}; give two "
            f"images."
        )


def _label(role: str, name: str | None) -> str:
    return f"{role} image {name}" if name else f"{role} image"


def _from_file(path: str | os.PathLike[str], options: Options, *, role: str) -> Image:
    name = raster.base_name(path)
    label = _label(role, name)
    with raster.opened(path) as source:
        raster.check_band(source, options.band, label=label)
        raster.check_complete(source, options.band)
        raster.check_content(source, options.band, label=label, nodata=options.nodata)
        ungeocoded = None
        if source.transform.is_identity and (source.gcps[0] or source.rpcs):
            ungeocoded = "ground control points" if source.gcps[0] else "rational polynomials"
        grid = lattice.from_transform(source.transform, source.width, source.height, label=label)
        tags = raster.read_tags(source, options.band)
        found = source.crs or None
    data = raster.open_band(path, label=label, **options._asdict())
    bare = xr.DataArray(data.variable.data, dims=("y", "x"), coords=grid.coords())
    return Image(bare, grid, found, tags, name, ungeocoded)


def _from_array(array: xr.DataArray, options: Options, *, role: str) -> Image:
    import rioxarray  # noqa: F401  (registers .rio)

    label = _label(role, None)
    if "band" in array.dims:
        if not 1 <= options.band <= array.sizes["band"]:
            raise ParameterError(
                f"band={options.band!r} is out of range: the {label} has "
                f"{array.sizes['band']} bands, counted from 1."
            )
        array = array.isel(band=options.band - 1)
    if set(array.dims) != {"y", "x"}:
        raise InputError(
            f"the {label} has the dimensions {tuple(map(str, array.dims))}; select and rename "
            "until only ('y', 'x') are left."
        )
    array = array.transpose("y", "x")
    if array.dtype.kind == "c":
        if not options.amplitude:
            raise ParameterError(
                f"the {label} is complex; give amplitude=True to track its amplitude."
            )
        array = abs(array)
    tags = dict(array.attrs)
    for name in ("time", *array.coords):
        coord = array.coords.get(name)
        if coord is not None and coord.size == 1 and coord.dtype.kind == "M":
            tags.setdefault("acquisition", coord.values)
    grid = lattice.from_coords(array, label=label)
    data = raster.finite(array, nodata=options.nodata)
    if data.chunks is None:
        _check_values(data, label=label)
    bare = xr.DataArray(
        data.variable.data,
        dims=("y", "x"),
        coords={dim: np.asarray(array[dim].values, dtype=np.float64) for dim in ("y", "x")},
    )
    source = array.encoding.get("source")
    return Image(bare, grid, array.rio.crs, tags, raster.base_name(source) if source else None)


def _check_values(data: xr.DataArray, *, label: str) -> None:
    lowest, highest = float(data.min()), float(data.max())
    if np.isnan(lowest):
        raise InputError(raster.empty_image(label, None))
    if lowest == highest:
        raise InputError(raster.empty_image(label, lowest))


def _with_local_grid(image: Image, pixel: Pixel, *, label: str) -> Image:
    if image.crs is not None:
        raise ParameterError(
            f"pixel= is for images without georeference, but the {label} is in "
            f"{georeference.crs_name(image.crs)}; leave it out."
        )
    size = dict(pixel) if isinstance(pixel, Mapping) else {"y": pixel, "x": pixel}
    if set(size) != {"y", "x"} or not all(np.isfinite(v) and v > 0 for v in size.values()):
        raise ParameterError(
            f"pixel={pixel!r} is not a pixel size; give metres, one positive number or "
            "{'y': .., 'x': ..}."
        )
    grid = lattice.local(
        image.lattice.nx, image.lattice.ny, pixel_x=float(size["x"]), pixel_y=float(size["y"])
    )
    return image._replace(data=image.data.assign_coords(grid.coords()), lattice=grid)


def _common_grid(first: Image, second: Image) -> tuple[Image, Image]:
    """Both images cut to what they share, the second with the axes and coordinates of the first."""
    if first.crs is not None and not georeference.same_crs(first.crs, second.crs):
        raise GridError(
            f"the images are in different CRSs: reference {georeference.crs_name(first.crs)}, "
            f"secondary {georeference.crs_name(second.crs)}; bring the secondary image onto the "
            "reference grid first: rio.reproject_match(reference)."
        )
    a, b = first.lattice, second.lattice
    if first.crs is None and (a.nx, a.ny) != (b.nx, b.ny):
        raise GridError(
            f"images without georeference must have the same size, but the reference has {a.ny} x "
            f"{a.nx} pixels and the secondary {b.ny} x {b.nx}; crop them to the same frame."
        )
    flip = {"y": a.dy * b.dy < 0, "x": a.dx * b.dx < 0}
    turned = second.data.isel({d: slice(None, None, -1) for d, yes in flip.items() if yes})
    b = b.flipped(**flip)
    cut_a, cut_b = lattice.overlap(a, b)
    one = first.data.isel(cut_a)
    # The same coordinates to the last bit, or xarray would align the two by leaving pixels out.
    two = turned.isel(cut_b).assign_coords({"y": one["y"], "x": one["x"]})
    grid = a._replace(
        x0=a.x0 + a.dx * cut_a["x"].start,
        y0=a.y0 + a.dy * cut_a["y"].start,
        nx=one.sizes["x"],
        ny=one.sizes["y"],
    )
    return first._replace(data=one, lattice=grid), second._replace(data=two, lattice=grid)


def _assemble(
    first: Image, second: Image, earlier: np.datetime64, later: np.datetime64
) -> xr.Dataset:
    import rioxarray  # noqa: F401  (registers .rio)

    pair = xr.Dataset({"reference": first.data, "secondary": second.data})
    pair = pair.assign_coords(
        reference_time=earlier, secondary_time=later, mid_date=earlier + (later - earlier) // 2
    )
    for role, image in (("reference", first), ("secondary", second)):
        pair[role].attrs = {"long_name": f"{role} image", "units": "1"}
        if image.name:
            pair[role].attrs["source"] = image.name
    pair.attrs = {
        "pixel_size_x": abs(first.lattice.dx),
        "pixel_size_y": abs(first.lattice.dy),
    }
    if first.crs is not None:
        pair = pair.rio.write_crs(first.crs, grid_mapping_name=GRID_MAPPING)
        pair = pair.rio.write_transform(first.lattice.transform)
    out = describe(pair)
    for role in ("reference", "secondary"):
        if GRID_MAPPING in out.coords:
            out[role].attrs["grid_mapping"] = GRID_MAPPING
    return out
