"""Points on any grid, some at a time: views and flat copies for kernels that take one by one.

Scalars have the shape of the grid, vectors one axis of three in front of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.errors import InputError

Array = npt.NDArray[Any]

PART = 1 << 16
"""Points taken at a time, so that the working copies in double precision stay small."""


def common_shape(points: Sequence[npt.ArrayLike], vectors: Sequence[Array]) -> tuple[int, ...]:
    """Shape of all points together; vectors count without their first axis."""
    try:
        return np.broadcast_shapes(
            *(np.shape(v) for v in points), *(np.shape(v)[1:] for v in vectors)
        )
    except ValueError:
        shapes = ", ".join(str(np.shape(v)) for v in (*points, *vectors))
        raise InputError(
            f"offsets, lines of sight and normals lie on different points (shapes {shapes}); "
            "bring them to one grid, vectors with east, north and up on a first axis."
        ) from None


def spread(values: Any, shape: tuple[int, ...], *, vector: bool = False) -> Array:
    """A view of `values` on all points, of one axis at least (a vector has one more in front)."""
    found = np.asarray(values)
    if vector:
        missing = (1,) * (len(shape) - found.ndim + 1)
        found = np.broadcast_to(found.reshape(3, *missing, *found.shape[1:]), (3, *shape))
        return found if shape else found[:, None]
    return np.atleast_1d(np.broadcast_to(found, shape))


def parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Slices of the axes that take in some `PART` points at a time."""
    row = int(np.prod(shape[1:]))
    if row > PART:
        for i in range(shape[0]):
            yield from ((slice(i, i + 1), *rest) for rest in parts(shape[1:]))
        return
    step = max(PART // max(row, 1), 1)
    for first in range(0, shape[0], step):
        yield (slice(first, first + step),)


def points(values: Array, part: tuple[slice, ...]) -> Array:
    """Part of an array in double precision, flat."""
    return np.ascontiguousarray(values[part], np.float64).ravel()


def vectors(values: Array, part: tuple[slice, ...]) -> Array:
    """Part of an array of vectors in double precision, (3, points)."""
    return np.ascontiguousarray(values[(slice(None), *part)], np.float64).reshape(3, -1)


def precision(*given: Array) -> Any:
    """Single precision where all that was measured is."""
    return np.float32 if all(v.dtype == np.float32 for v in given) else np.float64
