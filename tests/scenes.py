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
