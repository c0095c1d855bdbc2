"""Is the CRS of an image one in which displacements are metres?"""

from __future__ import annotations

from typing import Any

from glaciertoolkit.errors import GridError, ParameterError


def as_crs(value: Any) -> Any:
    """`value` (EPSG code, WKT, pyproj or rasterio CRS) as a `rasterio.crs.CRS`.

    Raises
    ------
    ParameterError
        The value names no CRS.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        crs = CRS.from_user_input(value)
    except (CRSError, TypeError, ValueError):
        crs = CRS()
    if not crs:
        raise ParameterError(f"crs={value!r} is not a CRS; give for example 'EPSG:32645'.")
    return crs


def same_crs(a: Any, b: Any) -> bool:
    """Whether two rasterio CRSs mean the same, whatever their wording."""
    from pyproj import CRS

    return bool(
        a == b or CRS.from_wkt(a.to_wkt()).equals(CRS.from_wkt(b.to_wkt()), ignore_axis_order=True)
    )


def crs_name(crs: Any) -> str:
    """A short name of a rasterio CRS: its authority code, or the name in its WKT."""
    authority = crs.to_authority()
    if authority:
        return ":".join(authority)
    from pyproj import CRS

    return repr(CRS.from_wkt(crs.to_wkt()).name)


def suggested_crs(longitude: float, latitude: float) -> str:
    """A metric CRS for a place: its UTM zone, or polar stereographic near the poles.

    Examples
    --------
    >>> suggested_crs(86.9, 28.0)
    'EPSG:32645'
    >>> suggested_crs(0.0, -85.0)
    'EPSG:3031'
    """
    if latitude > 84:
        return "EPSG:3413"
    if latitude < -80:
        return "EPSG:3031"
    # Longitudes may run from 0 to 360.
    zone = int((longitude + 180) % 360 // 6) + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def check_metric(crs: Any, *, centre: tuple[float, float], label: str) -> None:
    """Raise `GridError` unless `crs` is projected and in metres.

    Parameters
    ----------
    crs : rasterio.crs.CRS
    centre : tuple of float
        x and y in the middle of the image, in that CRS.
    label : str
        What the image is called in the message.
    """
    from rasterio.warp import transform

    if crs.is_geographic:
        longitude, latitude = centre
        kind = "is in geographic coordinates (degrees)"
    else:
        unit, factor = crs.linear_units_factor
        if abs(factor - 1.0) < 1e-9:
            return
        (longitude,), (latitude,) = transform(crs, "EPSG:4326", [centre[0]], [centre[1]])
        kind = f"is in units of {unit}"
    target = suggested_crs(longitude, latitude)
    raise GridError(
        f"the {label} {kind}, but motion is measured in metres; reproject both images first, "
        f'with rio.reproject("{target}") or gdalwarp -t_srs {target}.'
    )
