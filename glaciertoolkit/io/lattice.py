"""The pixel lattice of an image, and how two of them fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GridError

if TYPE_CHECKING:
    from affine import Affine

TOLERANCE = 0.01
"""Pixels by which two lattices may differ and still count as one."""


class Lattice(NamedTuple):
    """Evenly spaced pixel centres: the first one, the signed spacing and the number, per axis."""

    x0: float
    y0: float
    dx: float
    dy: float
    nx: int
    ny: int

    def coords(self) -> dict[str, npt.NDArray[np.float64]]:
        """The coordinates of the pixel centres."""
        return {
            "y": self.y0 + self.dy * np.arange(self.ny, dtype=np.float64),
            "x": self.x0 + self.dx * np.arange(self.nx, dtype=np.float64),
        }

    @property
    def centre(self) -> tuple[float, float]:
        """x and y in the middle of the image."""
        return (
            self.x0 + self.dx * (self.nx - 1) / 2,
            self.y0 + self.dy * (self.ny - 1) / 2,
        )

    @property
    def transform(self) -> Affine:
        """The affine transform of GDAL: from column and row to the corner of a pixel."""
        from affine import Affine

        return Affine(self.dx, 0.0, self.x0 - self.dx / 2, 0.0, self.dy, self.y0 - self.dy / 2)

    def flipped(self, *, x: bool, y: bool) -> Lattice:
        """The same pixels counted from the other end."""
        return self._replace(
            x0=self.x0 + self.dx * (self.nx - 1) if x else self.x0,
            dx=-self.dx if x else self.dx,
            y0=self.y0 + self.dy * (self.ny - 1) if y else self.y0,
            dy=-self.dy if y else self.dy,
        )


def from_transform(transform: Affine, width: int, height: int, *, label: str) -> Lattice:
    """The lattice of a file. A rotated or sheared one is a `GridError`."""
    a, b, c, d, e, f = tuple(transform)[:6]
    # A rotation that moves no pixel by more than the tolerance is rounding.
    if abs(b) * height > TOLERANCE * abs(a) or abs(d) * width > TOLERANCE * abs(e):
        raise GridError(
            f"the {label} has a rotated or sheared grid; resample it to a north-up grid first, "
            "for example with gdalwarp or rio.reproject()."
        )
    return Lattice(c + a / 2, f + e / 2, a, e, width, height)


def local(width: int, height: int, *, pixel_x: float, pixel_y: float) -> Lattice:
    """A grid in metres from the lower left corner, for an image without georeference."""
    return Lattice(pixel_x / 2, (height - 0.5) * pixel_y, pixel_x, -pixel_y, width, height)


def from_coords(data: xr.DataArray, *, label: str) -> Lattice:
    """The lattice of a DataArray over ``y`` and ``x``."""
    first, step, size = {}, {}, {}
    for dim in ("y", "x"):
        if dim not in data.coords:
            raise GridError(
                f"the {label} has no coordinate {dim!r}; give it pixel centres in metres."
            )
        values = np.asarray(data[dim].values, dtype=np.float64)
        if values.size < 2:
            raise GridError(f"the {label} has fewer than two pixels along {dim}.")
        spacing = (values[-1] - values[0]) / (values.size - 1)
        even = values[0] + spacing * np.arange(values.size)
        if not spacing or not np.all(np.abs(values - even) <= TOLERANCE * abs(spacing)):
            raise GridError(
                f"the {label} is not evenly spaced along {dim}; resample it to a regular grid "
                "first."
            )
        first[dim], step[dim], size[dim] = float(values[0]), float(spacing), values.size
    return Lattice(first["x"], first["y"], step["x"], step["y"], size["x"], size["y"])


def overlap(a: Lattice, b: Lattice) -> tuple[dict[str, slice], dict[str, slice]]:
    """The pixels that two lattices of the same orientation share.

    Parameters
    ----------
    a, b : Lattice
        Of the reference and of the secondary image.

    Returns
    -------
    tuple of dict
        Slices along ``y`` and ``x`` into each of the two.

    Raises
    ------
    GridError
        The pixel sizes differ, the lattices are shifted by a part of a pixel, or nothing is shared.
    """
    way_out = (
        "bring the secondary image onto the reference grid first: rio.reproject_match(reference)"
    )
    drift_x = abs(a.dx - b.dx) * max(a.nx, b.nx) / abs(a.dx)
    drift_y = abs(a.dy - b.dy) * max(a.ny, b.ny) / abs(a.dy)
    if max(drift_x, drift_y) > TOLERANCE:
        raise GridError(
            f"the pixel sizes differ: reference {abs(a.dx):g} x {abs(a.dy):g} m, secondary "
            f"{abs(b.dx):g} x {abs(b.dy):g} m; {way_out}."
        )
    shift_x, shift_y = (b.x0 - a.x0) / a.dx, (b.y0 - a.y0) / a.dy
    part_x, part_y = shift_x - round(shift_x), shift_y - round(shift_y)
    if max(abs(part_x), abs(part_y)) > TOLERANCE:
        raise GridError(
            f"the pixels of the two images are not aligned: the secondary lies {abs(part_x):.2f} "
            f"pixels in x and {abs(part_y):.2f} in y off the reference; {way_out}."
        )
    slices_a, slices_b = {}, {}
    for dim, shift, na, nb in (
        ("y", round(shift_y), a.ny, b.ny),
        ("x", round(shift_x), a.nx, b.nx),
    ):
        start, stop = max(0, shift), min(na, shift + nb)
        if stop <= start:
            raise GridError(
                "the two images do not overlap: "
                f"reference {extent(a)}, secondary {extent(b)}; choose images of the same place."
            )
        slices_a[dim], slices_b[dim] = slice(start, stop), slice(start - shift, stop - shift)
    return slices_a, slices_b


def extent(lattice: Lattice) -> str:
    """The outer bounds in words."""
    left, bottom, right, top = bounds(lattice)
    return f"x {left:.0f} to {right:.0f} m, y {bottom:.0f} to {top:.0f} m"


def bounds(lattice: Lattice) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the outer pixel edges."""
    xs = (lattice.x0 - lattice.dx / 2, lattice.x0 + lattice.dx * (lattice.nx - 0.5))
    ys = (lattice.y0 - lattice.dy / 2, lattice.y0 + lattice.dy * (lattice.ny - 0.5))
    return min(xs), min(ys), max(xs), max(ys)
