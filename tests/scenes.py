"""Small synthetic pairs and fields that the tests share."""

from __future__ import annotations

import numpy as np
import rioxarray  # noqa: F401  registers `.rio`
import xarray as xr

DATES = {
    "reference_time": np.datetime64("2019-09-03", "ns"),
    "secondary_time": np.datetime64("2019-10-02", "ns"),
}


def texture(
    shape: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0), *, seed: int = 0,
    width: float = 0.2,
) -> np.ndarray:  # fmt: skip
    """Band-limited random texture, moved by `shift` pixels (rows, columns): exact, periodic."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.normal(size=shape))
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :]
    spectrum = spectrum * np.exp(-(fy**2 + fx**2) / width**2)
    phase = np.exp(-2j * np.pi * (fy * shift[0] + fx * shift[1]))
    image = np.fft.ifft2(spectrum * phase).real
    scale = np.fft.ifft2(spectrum).real.std()
    return (image / scale).astype(np.float32)


def image_pair(
    shape: tuple[int, int] = (256, 256), shift: tuple[float, float] = (0.0, 0.0), *,
    pixel: float = 10.0, noise: float = 0.03, seed: int = 0,
) -> xr.Dataset:  # fmt: skip
    """A pair whose content moves by `shift` pixels (rows down, columns right)."""
    rng = np.random.default_rng(seed + 1)
    images = {
        "reference": texture(shape, seed=seed),
        "secondary": texture(shape, shift, seed=seed),
    }
    noisy = {
        k: (("y", "x"), (v + noise * rng.normal(size=shape)).astype(np.float32))
        for k, v in images.items()
    }
    coords = {
        "y": 3_200_000.0 - pixel * np.arange(shape[0]),
        "x": 500_000.0 + pixel * np.arange(shape[1]),
        **DATES,
    }
    return xr.Dataset(noisy, coords=coords)


def offset_field(
    posts: tuple[int, int] = (200, 200), *, spacing: float = 12.0, noise: float = 0.1,
    seed: int = 0, template: int = 16, step: int = 4, pixel: float = 3.0,
) -> xr.Dataset:  # fmt: skip
    """Offsets of pure noise, as `track` would return them (template and step in pixels)."""
    rng = np.random.default_rng(seed)
    dims = ("y", "x")
    coords = {
        "y": 3_200_000.0 - spacing * np.arange(posts[0]),
        "x": 500_000.0 + spacing * np.arange(posts[1]),
        "spatial_ref": 0,
        **DATES,
    }
    ds = xr.Dataset(
        {k: (dims, rng.normal(0, noise, posts).astype(np.float32)) for k in ("dx", "dy")},
        coords=coords,
        attrs={
            "template": [template, template],
            "search": [16, 16],
            "step": [step, step],
            "pixel": [pixel, pixel],
        },
    )
    for k in ("dx_error", "dy_error"):
        ds[k] = xr.full_like(ds.dx, noise)
    ds["dxdy_covariance"] = xr.zeros_like(ds.dx)
    ds["flag"] = xr.zeros_like(ds.dx, dtype=np.uint32)
    return ds.rio.write_crs(32645)


def normalised(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """x and y of the posts scaled to [-1, 1]."""
    x, y = ((ds[k] - ds[k].mean()) / (np.ptp(ds[k].values) / 2) for k in ("x", "y"))
    return x, y


def slc_pair(
    shape: tuple[int, int] = (160, 160), shift: tuple[float, float] = (0.0, 0.0), *,
    coherence: float = 0.8, pixel: float = 10.0, seed: int = 0,
) -> xr.Dataset:  # fmt: skip
    """Single-look complex speckle, oversampled 1.25 times, moved by `shift` (rows, columns)."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :]
    band = (np.abs(fy) < 0.4) & (np.abs(fx) < 0.4)

    def noise() -> np.ndarray:
        return np.where(band, rng.normal(size=shape) + 1j * rng.normal(size=shape), 0)

    common, other = noise(), noise()
    phase = np.exp(-2j * np.pi * (fy * shift[0] + fx * shift[1]))
    later = coherence * common * phase + np.sqrt(1 - coherence**2) * other
    first, second = (np.fft.ifft2(s).astype(np.complex64) for s in (common, later))
    coords = {
        "y": 3_200_000.0 - pixel * np.arange(shape[0]),
        "x": 500_000.0 + pixel * np.arange(shape[1]),
        **DATES,
    }
    dims = ("y", "x")
    return xr.Dataset({"reference": (dims, first), "secondary": (dims, second)}, coords=coords)


def flowing_pair(
    shape: tuple[int, int] = (320, 320), *, gradient: float = 0.02, seed: int = 0,
    noise: float = 0.03,
) -> tuple[xr.Dataset, xr.Dataset]:  # fmt: skip
    """A pair whose columns shear, and its true displacement in pixels at any pixel.

    The displacement is ``dx = gradient * (row - middle)``, ``dy = 0.5 * gradient * (column -
    middle)``; the texture is a sum of waves, evaluated exactly where each pixel comes from.
    """
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(float)
    mid_y, mid_x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    waves = rng.uniform(-0.35, 0.35, (160, 2)) * 2 * np.pi
    phases = rng.uniform(0, 2 * np.pi, 160)

    def texture_at(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        out = np.zeros(shape)
        for (wy, wx), phase in zip(waves, phases, strict=True):
            out += np.cos(wy * y + wx * x + phase)
        return out / np.sqrt(80)

    # What is at (row, column) of the reference lies displaced by d in the secondary.
    right, down = gradient * (rows - mid_y), 0.5 * gradient * (cols - mid_x)
    images = {
        "reference": texture_at(rows + down, cols + right),
        "secondary": texture_at(rows, cols),
    }
    coords = {"y": 3_200_000.0 - 10 * np.arange(shape[0]), "x": 5e5 + 10 * np.arange(shape[1])}
    pair = xr.Dataset(
        {
            k: (("y", "x"), (v + noise * rng.normal(size=shape)).astype(np.float32))
            for k, v in images.items()
        },
        coords=coords,
    )
    truth = xr.Dataset(
        {"dx": (("y", "x"), 10 * right), "dy": (("y", "x"), -10 * down)}, coords=coords
    )
    return pair, truth
