"""Filters against speckle: Lee's, and the probabilistic patch-based one."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from glaciertoolkit.errors import GlacierToolkitWarning, GridError, ParameterError

METHODS = ("lee", "ppb")
TILE = 512
"""Pixels on a side of the blocks in which an image in memory is filtered."""

DIVERGENCE = 0.2
"""Mean relative squared difference of two patches of the last estimate, times the looks, at which
their weight falls by a factor e."""

_Image = npt.NDArray[np.float32]


def filter_speckle(
    image: xr.DataArray, *, method: str = "lee", window: int = 7, looks: float = 1.0,
    search: int = 21, patch: int = 7, quantile: float = 0.92, iterations: int = 0,
) -> xr.DataArray:  # fmt: skip
    """Amplitude of a radar image with less speckle.

    Parameters
    ----------
    image : xarray.DataArray
        Amplitude over (y, x), or complex values, of which the modulus is taken. NaN, and complex
        zero, is missing and stays so.
    method : {"lee", "ppb"}
        Lee's filter, or the probabilistic patch-based one. The latter destroys the correlation of
        the speckle of both images: do not use it before speckle tracking, only for texture.
    window : int
        Lee: pixels on a side of the window, odd.
    looks : float
        Number of looks of the image; the variance of its intensity in homogeneous ground is the
        squared mean over `looks`.
    search, patch : int
        PPB: pixels on a side of the window over which is averaged and of the patches that are
        compared, odd.
    quantile : float
        PPB: of the unlikeness of patches that differ by speckle alone; a higher one smooths more.
    iterations : int
        PPB: how often the result is refined by comparing patches of the last estimate as well.

    Returns
    -------
    xarray.DataArray
        Amplitude, float32: the square root of the filtered intensity. Lazy where `image` is, with
        the same bits for any chunks.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    GridError
        If the image does not have the dimensions y and x.

    Warns
    -----
    GlacierToolkitWarning
        With PPB.

    Notes
    -----
    Lee: ``I = m + k (I0 - m)`` with ``k = max(0, v - m^2 / L) / ((1 + 1 / L) v)``, m and v the mean
    and the variance of the intensity in the window.

    PPB: the mean of the intensity over the search window with weights ``exp(-S / h)``, where
    ``S = sum log((A_s / A_t + A_t / A_s) / 2)`` over the n pixels of two patches. Speckle alone
    gives S a standard deviation of ``sqrt(n (2 psi1(L) - 4 psi1(2 L))) / 2``, with psi1 the
    trigamma function; h is the excess of the chosen quantile over the mean. (The factor 2 L - 1
    before S belongs to h as well and cancels.) An iteration adds ``L / (0.2 n) sum (R_s - R_t)^2 /
    (R_s R_t)`` to ``S / h``, R being the last estimate.

    References
    ----------
    Lee, J.-S. (1980), Digital image enhancement and noise filtering by use of local statistics,
    IEEE Trans. Pattern Anal. Mach. Intell. 2(2), 165-168.
    Deledalle, C.-A., Denis, L. and Tupin, F. (2009), Iterative weighted maximum likelihood
    denoising with probabilistic patch-based weights, IEEE Trans. Image Process. 18(12), 2661-2672.

    Examples
    --------
    >>> speckle = np.random.default_rng(0).rayleigh(size=(64, 64))
    >>> image = xr.DataArray(speckle, dims=("y", "x"))
    >>> bool(filter_speckle(image).std() < 0.5 * image.std())
    True
    """
    _check(method, window, looks, search, patch, quantile, iterations)
    if set(image.dims) != {"y", "x"}:
        raise GridError(
            f"the image must have the dimensions (y, x); it has {tuple(map(str, image.dims))}."
        )
    image = image.transpose("y", "x")
    if method == "lee":
        data = _blockwise(image, functools.partial(_lee, half=window // 2, looks=looks), window)
    else:
        warnings.warn(
            "the PPB filter destroys the correlation of speckle between two images; do not use it "
            "before speckle tracking, only where texture is tracked.",
            GlacierToolkitWarning,
            stacklevel=2,
        )
        data = _patches(image, looks, search, patch, quantile, iterations)
    out = image.copy(data=data)
    kept = {k: v for k, v in image.attrs.items() if k in ("units", "grid_mapping")}
    out.attrs = {**kept, "long_name": f"amplitude, {method.upper()} speckle filter"}
    out.encoding = {}
    return out


def _check(
    method: str, window: int, looks: float, search: int, patch: int, quantile: float,
    iterations: int,
) -> None:  # fmt: skip
    if method not in METHODS:
        raise ParameterError(f"method must be 'lee' or 'ppb'; got {method!r}.")
    for name, size, least in (("window", window, 3), ("search", search, 3), ("patch", patch, 1)):
        if size != int(size) or size < least or size % 2 == 0:
            raise ParameterError(
                f"{name} must be an odd number of pixels, at least {least}; got {size!r}."
            )
    if not (np.isfinite(looks) and looks > 0):
        raise ParameterError(f"looks must be a positive number; got {looks!r}.")
    if not 0.5 < quantile < 1:
        raise ParameterError(f"quantile must lie between 0.5 and 1; got {quantile!r}.")
    if iterations != int(iterations) or iterations < 0:
        raise ParameterError(f"iterations must be a number from 0; got {iterations!r}.")


def smoothing(looks: float, patch: int, quantile: float) -> float:
    """The decay h of the weights of patches, from what speckle alone does to their unlikeness."""
    from scipy.special import ndtri, polygamma

    variance = (2 * polygamma(1, looks) - 4 * polygamma(1, 2 * looks)) / 4
    # A sum over dozens of pixels is close to normal.
    return float(ndtri(quantile) * patch * np.sqrt(variance))


def _patches(
    image: xr.DataArray, looks: float, search: int, patch: int, quantile: float, iterations: int
) -> Any:
    """The PPB filter and its refinements."""
    h = smoothing(looks, patch, quantile)
    run = functools.partial(_ppb, reach=search // 2, half=patch // 2, scale=1 / h)
    depth = search // 2 + patch // 2
    # Within exp(-scale * sum), the divergence of the last estimate keeps its own weight.
    prior = looks / (DIVERGENCE * patch**2) * h
    blocks, lazy = _in_blocks(image)
    found = _overlapping(run, [blocks], depth)
    for _ in range(iterations):
        found = _overlapping(functools.partial(run, prior=prior), [blocks, found], depth)
    found = np.sqrt(found)
    return found if lazy else found.compute(scheduler="threads")


def _blockwise(image: xr.DataArray, run: Any, window: int) -> Any:
    blocks, lazy = _in_blocks(image)
    found = _overlapping(run, [blocks], window // 2)
    return found if lazy else found.compute(scheduler="threads")


def _in_blocks(image: xr.DataArray) -> tuple[Any, bool]:
    """The amplitudes as a Dask array, and whether they were one."""
    import dask.array as da

    lazy = image.chunks is not None
    blocks = image.data if lazy else da.from_array(image.values, chunks=TILE)
    return blocks.map_blocks(_amplitude, dtype=np.float32), lazy


def _overlapping(run: Any, arrays: list[Any], depth: int) -> Any:
    import dask.array as da

    empty = np.empty((0, 0), np.float32)
    # Dask refuses to overlap by more than there is.
    reach = {axis: min(depth, size) for axis, size in enumerate(arrays[0].shape)}
    return da.map_overlap(run, *arrays, depth=reach, boundary="none", dtype=np.float32, meta=empty)


def _amplitude(values: npt.NDArray[Any]) -> _Image:
    if not np.iscomplexobj(values):
        return np.abs(values.astype(np.float32))
    amplitude = np.abs(values).astype(np.float32)
    # A complex product marks its gaps by zeros.
    return np.where(values == 0, np.float32(np.nan), amplitude)


def _lee(amplitude: _Image, *, half: int, looks: float) -> _Image:
    from glaciertoolkit.sar import speckle_kernels

    out = np.empty(amplitude.shape, np.float32)
    speckle_kernels.lee(np.ascontiguousarray(amplitude), half, 1 / looks, out)
    return out


def _ppb(
    amplitude: _Image, before: _Image | None = None, *, reach: int, half: int, scale: float,
    prior: float = 0.0,
) -> _Image:  # fmt: skip
    """Intensity, so that a refinement can compare it."""
    from glaciertoolkit.sar import speckle_kernels

    image = np.ascontiguousarray(amplitude)
    last = image if before is None else np.ascontiguousarray(before)
    out = np.empty(image.shape, np.float32)
    speckle_kernels.ppb(image, last, reach, half, scale, prior, out)
    return out
