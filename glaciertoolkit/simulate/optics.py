"""Point-spread functions, resampling and low-pass filters of the simulated sensors."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glaciertoolkit.simulate.noise import Region

TAPS = 16
"""Length of the point-spread functions along one axis, pixels."""

BEFORE = TAPS // 2 - 1
"""Scatterers before the one at or below a position that contribute to it."""

ENTRIES = 1024
OVERSAMPLING = 1.25
"""Pixel rate over the two-sided band of the images."""

LOWPASS = 28
"""Half length of the filter behind the detector, in samples of half a pixel."""


def _impulse(t: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
    """Impulse response of a low-pass with Gaussian roll-off, 16 pixels long.

    The half-amplitude frequency 0.5 / `OVERSAMPLING` and the Kaiser window put the start of the
    stop band (-48 dB) at 0.5 cycles a pixel: white scatterers then give a stationary image. The
    window's step at its ends is taken off, so that far frequencies vanish too (-87 dB).
    """
    frequency, weight = np.polynomial.legendre.leggauss(48)
    frequency = (frequency + 1) * 0.25 / OVERSAMPLING
    response = weight * np.exp(-2 * (np.pi * blur * frequency) ** 2)
    h = np.cos(2 * np.pi * t[..., None] * frequency) @ response
    window = np.i0(5.0 * np.sqrt(np.maximum(1 - (2 * t / TAPS) ** 2, 0))) - 1
    return np.asarray(h * window)


@lru_cache
def table(kind: str) -> NDArray[np.float32]:
    """Weights of the 16 scatterers around a position, for 1025 fractions of a pixel.

    ``image(q) = sum_k s[first + k] table[fraction, k]`` with ``first = floor(q) - 7``. SAR: unit
    energy; optical: unit sum, and an MTF of about 0.2 at 0.4 cycles a pixel.
    """
    fraction = np.linspace(0, 1, ENTRIES + 1)[:, None]
    t = fraction + BEFORE - np.arange(TAPS)[None, :]
    weights = _impulse(t, 0.0 if kind == "sar" else 0.71)
    if kind == "sar":
        weights /= np.sqrt((weights[:-1] ** 2).sum(axis=1).mean())
    else:
        weights /= weights[:-1].sum(axis=1).mean()
    return np.asarray(weights, dtype=np.float32)


@lru_cache
def lowpass() -> NDArray[np.float32]:
    """Filter behind the detector: passes 0.4, stops (-50 dB) 0.5 cycles a pixel."""
    n = np.arange(-LOWPASS, LOWPASS + 1)
    h = 0.45 * np.sinc(0.45 * n) * np.kaiser(n.size, 4.6)
    return np.asarray(h / h.sum(), dtype=np.float32)


def regular(field: Any, region: Region, rows: Any, columns: Any, kind: str) -> Any:
    """Image of scatterers on the regular grid `rows` x `columns`: the separable case."""
    half = _apply(field, *_taps(rows, region[0], kind))
    turned = np.ascontiguousarray(half.T)
    return np.ascontiguousarray(_apply(turned, *_taps(columns, region[1], kind)).T)


def _taps(places: Any, origin: int, kind: str) -> tuple[Any, Any]:
    weights = table(kind)
    whole = np.floor(places).astype(np.int64)
    place = (places - whole) * ENTRIES
    entry = place.astype(np.int64)
    part = (place - entry).astype(np.float32)[:, None]
    taps = weights[entry] + part * (weights[np.minimum(entry + 1, ENTRIES)] - weights[entry])
    return taps, whole - BEFORE - origin


def _apply(field: Any, taps: Any, starts: Any) -> Any:
    from glaciertoolkit.simulate import kernels

    out = np.empty((starts.size, field.shape[1]), field.dtype)
    kernels.filter_rows(field, taps, starts, out)
    return out


def reduce_to_pixels(field: Any) -> Any:
    """Low-pass a twice oversampled field and keep every second sample.

    The first sample kept is `LOWPASS` samples from the edge; as many are lost at the other.
    """
    for _ in range(2):
        kept = (field.shape[0] - 2 * LOWPASS + 1) // 2
        taps = np.broadcast_to(lowpass(), (kept, 2 * LOWPASS + 1))
        field = np.ascontiguousarray(_apply(field, taps, 2 * np.arange(kept)).T)
    return field


def support(rows: Any, columns: Any) -> Region:
    """The part of the lattice of scatterers that positions `rows`, `columns` need."""
    top, left = int(np.floor(rows.min())) - BEFORE, int(np.floor(columns.min())) - BEFORE
    bottom, right = int(np.floor(rows.max())) + TAPS, int(np.floor(columns.max())) + TAPS
    return top, left, bottom - BEFORE - top + 1, right - BEFORE - left + 1
