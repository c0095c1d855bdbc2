"""The correlation surface of one post: its samples, its peaks, and what lies between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glaciertoolkit.tracking.parameters import TrackParameters

Array = npt.NDArray[np.float32]

FIT_STEPS = 32
"""Positions a pixel at which the interpolated peak is given, one pixel to each side."""


class Surface:
    """The correlation surface of a post with its peaks, over offsets in metres."""

    def __init__(
        self, volume: Array, peaks: Array, centre: tuple[int, int], fine: TrackParameters,
        squared: bool, oversample: int,
    ) -> None:  # fmt: skip
        from glaciertoolkit.tracking.kernels import subpixel

        self.samples = np.where(volume < subpixel.MISSING, np.float32(np.nan), volume)
        self.peaks, self.fine, self.squared, self.oversample = peaks, fine, squared, oversample
        self.first = (centre[0] - fine.search[0], centre[1] - fine.search[1])
        self.highest = _highest(self.samples)
        self.found = bool(np.isfinite(peaks[subpixel.DX]))

    def metres(self, position: Any, axis: int) -> Any:
        """Sample positions along an axis (0: y, 1: x) as an offset."""
        return (np.asarray(position, float) + self.first[axis]) * self.fine.pixel[axis]

    def height(self, values: Any) -> Any:
        """Correlation of what the surface holds."""
        return np.sqrt(np.maximum(values, 0)) if self.squared else values

    @property
    def position(self) -> tuple[float, float]:
        """Where the highest peak lies (y, x), in samples: between them, if it was found there."""
        from glaciertoolkit.tracking.kernels import subpixel

        if not self.found:
            return float(self.highest[0]), float(self.highest[1])
        return float(self.peaks[subpixel.DY]), float(self.peaks[subpixel.DX])

    def second(self) -> tuple[int, int] | None:
        """The highest local maximum besides the highest sample."""
        from scipy.ndimage import maximum_filter

        values = np.nan_to_num(self.samples, nan=-2.0)
        summit = values >= maximum_filter(values, 3, mode="constant", cval=-2.0)
        summit[[0, -1]] = False
        summit[:, [0, -1]] = False
        summit[self.highest] = False
        if not (summit & (values > -1.5)).any():
            return None
        at = np.unravel_index(int(np.where(summit, values, -3).argmax()), values.shape)
        return int(at[0]), int(at[1])

    def interpolated(self) -> tuple[Array, Array, Array]:
        """The surface within a pixel of the highest sample, and its cuts through the peak."""
        from glaciertoolkit.tracking.kernels import subpixel

        n = 2 * FIT_STEPS + 1
        nothing = np.full((n, n), np.nan, np.float32)
        if not self.found:
            return nothing, nothing[0], nothing[0]
        support = int(self.peaks[subpixel.SUPPORT])
        (iy, ix), (y, x) = self.highest, self.position
        w = self.samples[iy - support : iy + support + 1, ix - support : ix + support + 1]

        def weights(u: Any) -> Any:
            if support < subpixel.SUPPORTS[0]:
                u = np.asarray(u, float)[..., None]
                return np.concatenate([(u * u - u) / 2, 1 - u * u, (u * u + u) / 2], axis=-1)
            table = subpixel.interpolation_tables()[support - subpixel.SUPPORTS[0], :, 0]
            at = (np.asarray(u, float) + 1) * subpixel.TABLE_STEPS
            low = np.clip(at.astype(int), 0, 2 * subpixel.TABLE_STEPS)
            part = (at - low)[..., None]
            both = table[low] * (1 - part) + table[low + 1] * part
            return both[..., : 2 * support + 1]

        u = np.linspace(-1, 1, n)
        grid, v_peak, u_peak = weights(u), weights(y - iy), weights(x - ix)
        fit, along_x, along_y = grid @ w @ grid.T, v_peak @ w @ grid.T, grid @ w @ u_peak
        fit, along_x, along_y = (self.height(v).astype(np.float32) for v in (fit, along_x, along_y))
        return fit, along_x, along_y

    def variables(self) -> dict[str, Any]:
        """Surface, fit and peaks as variables with their coordinates."""
        from glaciertoolkit.tracking.kernels import subpixel

        n = self.fine.offsets
        y, x = self.position
        fit, along_x, along_y = self.interpolated()
        second = self.second()
        steps = np.linspace(-1, 1, 2 * FIT_STEPS + 1)
        nowhere = np.isnan(self.samples).all()
        top = float(self.peaks[subpixel.PEAK])
        two = (np.nan, np.nan, np.nan)
        if second is not None:
            two = (
                float(self.metres(second[0], 0)),
                float(self.metres(second[1], 1)),
                float(self.height(self.samples[second])),
            )
        if not self.found and not nowhere:
            top = float(self.height(self.samples[self.highest]))
        return {
            "surface": (("offset_y", "offset_x"), self.height(self.samples)),
            "fit": (("fit_y", "fit_x"), fit),
            "fit_along_x": ("fit_x", along_x),
            "fit_along_y": ("fit_y", along_y),
            "peak_dx": ((), np.nan if nowhere else float(self.metres(x, 1))),
            "peak_dy": ((), np.nan if nowhere else float(self.metres(y, 0))),
            "peak_correlation": ((), top),
            "second_dx": ((), two[1]),
            "second_dy": ((), two[0]),
            "second_correlation": ((), two[2]),
            "offset_y": ("offset_y", self.metres(np.arange(n[0]), 0)),
            "offset_x": ("offset_x", self.metres(np.arange(n[1]), 1)),
            "offset_row": ("offset_y", (np.arange(n[0]) + self.first[0]) / self.oversample),
            "offset_column": ("offset_x", (np.arange(n[1]) + self.first[1]) / self.oversample),
            "fit_y": ("fit_y", self.metres(self.highest[0] + steps, 0)),
            "fit_x": ("fit_x", self.metres(self.highest[1] + steps, 1)),
        }


def _highest(samples: Array) -> tuple[int, int]:
    """The sample that the kernels take as the highest: of equal ones the first off the border."""
    values = np.nan_to_num(samples, nan=-2.0)
    inner = values[1:-1, 1:-1]
    at = np.unravel_index(int(inner.argmax()), inner.shape)
    y, x = int(at[0]) + 1, int(at[1]) + 1
    if values.max() > values[y, x]:
        at = np.unravel_index(int(values.argmax()), values.shape)
        y, x = int(at[0]), int(at[1])
    if values[y, x] < -1.5:  # nothing could be compared: the middle
        y, x = samples.shape[0] // 2, samples.shape[1] // 2
    return y, x
