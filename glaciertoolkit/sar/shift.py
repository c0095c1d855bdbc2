"""The constant shift between two images of the same brightness: contrast, correlation, peak."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

FLOOR = 0.03
"""Brightness below this share of the median is noise, in an image and in its simulation."""

MOST_CONTRAST = 2.0
"""Standard deviations at which the contrast is cut off."""

SMOOTHING = 0.8
"""Multilooked pixels by which both are smoothed: detail as fine as a pixel draws the peak towards
whole pixels."""

BACKGROUND = 12.0
"""Multilooked pixels over which the brightness is averaged for what is taken off."""

NEIGHBOURHOOD = 24
"""Multilooked pixels around a peak that belong to it."""

SPLINED = 8
"""Multilooked pixels around a peak through which splines are laid."""


def contrast(intensity: npt.NDArray[Any]) -> Image:
    """Logarithm of the brightness less that of its surroundings; 0 where there is none."""
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(intensity)
    lit = intensity[known & (intensity > 0)]
    if not lit.size:
        return np.zeros(intensity.shape, np.float32)
    typical = float(np.median(lit))
    values = np.log(np.maximum(np.where(known, intensity, typical) / typical, FLOOR))
    values = np.where(known, values, 0).astype(np.float32)
    weight = gaussian_filter(known.astype(np.float32), BACKGROUND, mode="constant")
    mean = gaussian_filter(values, BACKGROUND, mode="constant")
    values -= mean / np.maximum(weight, 1e-3)
    values[~known] = 0
    # Neither a bright foreslope nor a reflector may outvote the rest.
    limit = MOST_CONTRAST * float(values[known].std())
    np.clip(values, -limit, limit, out=values)
    return np.asarray(gaussian_filter(values, SMOOTHING), np.float32)


def correlation(seen: Image, relief: Image, wide: tuple[int, int]) -> Image:
    """Normalised correlation for shifts up to `wide`, each over what both have at that shift.

    With one norm for all shifts, the peak would be drawn towards the shift of the largest overlap.
    """
    from scipy import fft

    shape = [fft.next_fast_len(n + k, real=True) for n, k in zip(relief.shape, wide, strict=True)]
    lags = np.ix_(*(np.arange(-k, k + 1) for k in wide))

    def correlate(moved: Image, fixed: Image) -> Image:
        product = fft.rfft2(moved, shape)
        product *= np.conj(fft.rfft2(fixed, shape))
        return np.asarray(fft.irfft2(product, shape)[lags])

    energy = correlate(seen * seen, (relief != 0).astype(np.float32))
    energy *= correlate((seen != 0).astype(np.float32), relief * relief)
    least = 1e-3 * float(energy.max())
    return np.asarray(correlate(seen, relief) / np.sqrt(np.maximum(energy, least)))


class Peak(NamedTuple):
    """The highest correlation: its shift in pixels, and how it stands out.

    `quality` is its height over the rms of the correlation elsewhere, `second` the height of the
    highest other peak over its own, `inside` whether it lies off the ends of the search.
    """

    row: float
    column: float
    height: float
    quality: float
    second: float
    inside: bool


def highest(surface: Image, reach: tuple[int, int]) -> Peak:
    """The highest correlation for shifts up to `reach`; beyond, the surface shows chance peaks.

    Parameters
    ----------
    surface : (2 m + 1, 2 n + 1)
        As `correlation` returns it, shift 0 in the middle.
    reach : tuple of int
        Less than m and n by `SPLINED` at least.
    """
    wide = surface.shape[0] // 2, surface.shape[1] // 2
    inner = tuple(slice(w - k, w + k + 1) for w, k in zip(wide, reach, strict=True))
    window = surface[inner]
    i, j = np.unravel_index(int(np.argmax(window)), window.shape)
    height = float(window[i, j])
    row, column = int(i) - reach[0], int(j) - reach[1]
    y, x = np.ogrid[-wide[0] : wide[0] + 1, -wide[1] : wide[1] + 1]
    far = np.hypot(y - row, x - column) > NEIGHBOURHOOD
    rms = float(np.sqrt(np.mean(np.square(surface[far]))))
    rest = window[far[inner]]
    quality = height / rms if rms > 0 else 0.0
    second = float(max(rest.max(), 0.0)) / height if rest.size and height > 0 else 0.0
    a, b = row + wide[0], column + wide[1]
    around = surface[a - SPLINED : a + SPLINED + 1, b - SPLINED : b + SPLINED + 1]
    dy, dx = _refined(around)
    inside = abs(row) < reach[0] and abs(column) < reach[1]
    return Peak(row + dy, column + dx, height, quality, second, inside)


def on_common_ground(
    intensity: npt.NDArray[Any], simulated: npt.NDArray[Any], peak: Peak
) -> tuple[float, float]:
    """The shift again, over the ground that both images show.

    Next to its edges the surroundings of a pixel, and so its contrast, depend on where the image
    ends; images of the same size draw the peak towards no shift by that.
    """
    row, column = round(peak.row), round(peak.column)
    lines, samples = intensity.shape

    def overlap(a: int, b: int) -> tuple[slice, slice]:
        return slice(max(a, 0), lines + min(a, 0)), slice(max(b, 0), samples + min(b, 0))

    seen, relief = intensity[overlap(row, column)], simulated[overlap(-row, -column)]
    # Holes, too, must be in the same place.
    known = np.isfinite(seen) & np.isfinite(relief)
    seen, relief = (contrast(np.where(known, v, np.nan)) for v in (seen, relief))
    dy, dx = _refined(correlation(seen, relief, (SPLINED, SPLINED)))
    return row + dy, column + dx


def _refined(surface: npt.NDArray[Any]) -> tuple[float, float]:
    """Place of the maximum of a surface beside its middle entry.

    By splines: a quadratic surface is drawn towards whole pixels, as the peak is none.
    """
    from scipy.ndimage import map_coordinates, spline_filter

    middle = [n // 2 for n in surface.shape]
    coefficients = spline_filter(surface.astype(np.float64), order=5)
    fine, place = 1.0, np.zeros(2)
    for _ in range(3):
        steps = np.linspace(-fine, fine, 21)
        y, x = np.meshgrid(place[0] + steps, place[1] + steps, indexing="ij")
        values = map_coordinates(
            coefficients, [y + middle[0], x + middle[1]], order=5, prefilter=False
        )
        k = int(np.argmax(values))
        place = np.array([y.flat[k], x.flat[k]])
        fine /= 10
    return float(place[0]), float(place[1])
