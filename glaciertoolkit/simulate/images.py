"""Tiles of the images: scatterers through a point-spread function, detected without aliasing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate import ground, optics
from glaciertoolkit.simulate.model import Model, model_of
from glaciertoolkit.simulate.noise import REFERENCE, SECONDARY, Region, normals
from glaciertoolkit.simulate.parameters import Parameters

Float64 = NDArray[np.float64]


def evaluate(p: Parameters, image: int, part: Region) -> NDArray[Any]:
    """One tile of the reference (0) or the secondary (1): float32, or complex64 if asked for."""
    model = model_of(p)
    row, column, rows, columns = part
    if p.kind == "optical" or p.complex_images:
        ys, xs = row + np.arange(float(rows)), column + np.arange(float(columns))
        tile = (
            _optical(model, image, ys, xs) if p.kind == "optical" else field(model, image, ys, xs)
        )
    else:
        # Half a pixel apart, with the filter's length around: even samples are pixel centres.
        ys = row + (np.arange(2 * rows - 1 + 2 * optics.LOWPASS) - optics.LOWPASS) / 2
        xs = column + (np.arange(2 * columns - 1 + 2 * optics.LOWPASS) - optics.LOWPASS) / 2
        tile = optics.reduce_to_pixels(_detected(model, image, ys, xs))
        # The low-pass undershoots a little beside bright points; an amplitude is not negative.
        np.maximum(tile, 0.0, out=tile)
    return _without_border(p, part, tile)


def _without_border(p: Parameters, part: Region, tile: NDArray[Any]) -> NDArray[Any]:
    if p.nodata_border:
        for axis, (first, count, size) in enumerate(zip(part[:2], part[2:], p.size, strict=True)):
            place = np.arange(first, first + count)
            outside = (place < p.nodata_border) | (place >= size - p.nodata_border)
            tile[outside if axis == 0 else (slice(None), outside)] = np.nan
    return tile


def material(model: Model, ys: Float64, xs: Float64) -> tuple[Float64, Float64]:
    """Material positions seen at `ys` x `xs` of the secondary, outlier patches included."""
    from glaciertoolkit.simulate import kernels

    rows, columns = np.empty((2, ys.size, xs.size))
    kernels.material_grid(
        model.grid.index, model.motion, model.terrain, model.ramp, ys, xs, rows, columns
    )
    reach = model.max_offset + 2.0
    wrong_rows, wrong_columns = rows, columns
    for patch in model.outliers:
        i0, i1 = np.searchsorted(
            ys, [patch.row - patch.reach - reach, patch.row + patch.reach + reach]
        )
        j0, j1 = np.searchsorted(
            xs, [patch.column - patch.reach - reach, patch.column + patch.reach + reach]
        )
        if i0 < i1 and j0 < j1:
            if wrong_rows is rows:
                wrong_rows, wrong_columns = rows.copy(), columns.copy()
            part = (slice(i0, i1), slice(j0, j1))
            inside = patch.covers(rows[part], columns[part])
            wrong_rows[part][inside] = rows[part][inside] - patch.extra_row
            wrong_columns[part][inside] = columns[part][inside] - patch.extra_column
    return wrong_rows, wrong_columns


class _View:
    """Where one image samples the ground: a regular grid, or displaced positions."""

    def __init__(self, model: Model, image: int, ys: Float64, xs: Float64) -> None:
        self.kind = model.parameters.kind
        self.ys, self.xs = ys, xs
        self.places = material(model, ys, xs) if image == 1 else None
        self.region = optics.support(*(self.places or (ys, xs)))

    def of_complex(self, field: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Image of interleaved complex reflectivity."""
        if self.places is None:
            seen = optics.regular(
                field.view(np.complex64), self.region, self.ys, self.xs, self.kind
            )
            return np.asarray(seen)
        from glaciertoolkit.simulate import kernels

        out = np.empty(self.places[0].shape, np.complex64)
        rows, columns = self._local()
        kernels.gather_complex(field, rows, columns, optics.table(self.kind), out)
        return out

    def of_real(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """Image of real reflectivity."""
        if self.places is None:
            return np.asarray(optics.regular(field, self.region, self.ys, self.xs, self.kind))
        from glaciertoolkit.simulate import kernels

        out = np.empty(self.places[0].shape, np.float32)
        rows, columns = self._local()
        kernels.gather_real(field, rows, columns, optics.table(self.kind), out)
        return out

    def _local(self) -> tuple[Float64, Float64]:
        assert self.places is not None
        return self.places[0] - self.region[0], self.places[1] - self.region[1]


def field(model: Model, image: int, ys: Float64, xs: Float64) -> NDArray[np.complex64]:
    """The complex image at positions `ys` x `xs` (pixels, any spacing), before detection."""
    return next(_fields(model, image, ys, xs))


def _fields(model: Model, image: int, ys: Float64, xs: Float64) -> Iterator[NDArray[np.complex64]]:
    """One complex image for each look: the speckle differs, ground and motion do not."""
    view = _View(model, image, ys, xs)
    amplitude = np.float32(ground.BRIGHTNESS) * ground.backscatter(model, view.region, image)
    gamma = ground.coherence(model, view.region)
    for look in range(model.parameters.looks):
        seen = ground.scatterers(model, view.region, image, look, amplitude, gamma)
        yield view.of_complex(seen)


def _detected(model: Model, image: int, ys: Float64, xs: Float64) -> NDArray[np.float32]:
    power = np.zeros((ys.size, xs.size), np.float32)
    for seen in _fields(model, image, ys, xs):
        power += seen.real**2 + seen.imag**2
    power /= np.float32(model.parameters.looks)
    return np.sqrt(power, out=power)


def _optical(model: Model, image: int, ys: Float64, xs: Float64) -> NDArray[np.float32]:
    p = model.parameters
    view = _View(model, image, ys, xs)
    seen = view.of_real(ground.reflectance(model, view.region, image))
    part = (int(ys[0]), int(xs[0]), ys.size, xs.size)
    noise = normals((p.seed, (REFERENCE, SECONDARY)[image], 0), part)
    level = np.float32(ground.OPTICAL_LEVEL * 10 ** (p.noise_db / 20))
    return np.asarray(seen + level * noise)
