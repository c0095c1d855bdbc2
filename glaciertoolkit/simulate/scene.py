"""Simulated image pairs with known truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from glaciertoolkit import conventions
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.noise import Region
from glaciertoolkit.simulate.parameters import Parameters

if TYPE_CHECKING:
    from dask.array import Array


def simulate_pair(
    *,
    size: int | tuple[int, int] | Mapping[str, int] = (1024, 1024),
    pixel: float = 3.0,
    kind: Literal["sar", "optical"] = "sar",
    seed: int = 0,
    relief: float | None = None,
    days: float = 29.0,
    epsg: int = 32645,
    looks: int = 1,
    coherence_rock: float = 0.5,
    coherence_ice: float = 0.35,
    noise_db: float | None = None,
    deformation: float | Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = 4.0,
    displacement: tuple[float, float] | None = None,
    baseline: float = 900.0,
    incidence: float = 37.0,
    outliers: float = 0.03,
    decorrelated: float = 0.02,
    patch_width: tuple[float, float] = (40.0, 100.0),
    nodata_border: int = 0,
    glaciers: bool = True,
    max_speed: float | None = None,
    texture: float = 0.35,
    reference_time: str | np.datetime64 = "2019-09-03T00:00",
    complex_images: bool = False,
) -> xr.Dataset:
    """Simulate an image pair of a glacierised mountain range, with everything that moved.

    Parameters
    ----------
    size : int or (rows, columns)
        Pixels.
    pixel : float
        Pixel spacing, metres.
    kind : {"sar", "optical"}
        Detected SAR amplitude with speckle, or the brightness an optical sensor sees.
    seed : int
        The same seed and parameters give the same bits, whatever part is computed.
    relief : float, optional
        Range of the elevations over the scene, metres; 0 is flat ground without glaciers. Left
        out: a fifth of the longer edge, but 1200 m from 6 km on and a tenth from 12 km on.
    days : float
        Time between the images.
    epsg : int
        A projected coordinate system in metres.
    looks : int
        Independent speckle patterns averaged in intensity, with common texture and motion.
    coherence_rock, coherence_ice : float
        Coherence of the two images (SAR), before thermal noise.
    noise_db : float, optional
        Thermal noise against the mean intensity of flat rock (SAR, -19 dB if left out), or
        sensor noise against its brightness (optical, -40 dB). ``-inf``: none.
    deformation : float or coefficients
        Largest global deformation along each axis, pixels, drawn from the seed; or the
        coefficients of 1, u, v, u2, uv, v2 (pixels) as ``{"x": [...], "y": [...]}``, where u runs
        from -1 to 1 with x and v with y (north).
    displacement : (dx, dy), optional
        Instead of all other motion: one displacement of the whole scene, pixels towards larger x
        and larger y. For tests of estimators; patches of outliers stay unless `outliers` is 0.
    baseline : float
        Perpendicular baseline, metres; the topography-related offset is proportional to it.
    incidence : float
        Incidence angle, degrees. The radar looks along +x.
    outliers : float
        Share of the scene whose content in the secondary comes from 4 to 10 pixels beside.
    decorrelated : float
        Share of the scene without coherence and with another texture in the secondary.
    patch_width : (least, most)
        Widths of these patches, pixels.
    nodata_border : int
        Pixels of NaN along the edges of both images.
    glaciers : bool
        Whether there is ice.
    max_speed : float, optional
        Speed of the fastest ice, m/day. Left out: 0.4, but no more than what moves it in `days`
        by 3 % of the largest half-width of a glacier, so that templates are not torn.
    texture : float
        Standard deviation of the logarithm of the backscatter amplitude (correlation about 30 m).
    reference_time : str or datetime64
        Acquisition of the reference (UTC).
    complex_images : bool
        SAR images as single-look complex, sampled at the pixel rate, instead of amplitude.
        Needs ``looks=1``.

    Returns
    -------
    xarray.Dataset
        Lazy, dims (y, x), y descending, in tiles of 512 pixels. `reference`, `secondary`;
        `true_dx`, `true_dy` (ice), `true_deformation_dx`, `true_deformation_dy`,
        `true_topography_dx`, `true_topography_dy` (all m, positive to larger x and y),
        `elevation` (m), and the masks `ice`, `decorrelated`, `outlier`. The attribute
        `max_offset_px` is the largest total offset along either axis, outliers aside;
        `simulation` holds every parameter as JSON.

    Raises
    ------
    ParameterError
        A parameter is out of its range.

    Notes
    -----
    What lies at p in the reference lies at p + d(p) in the secondary; d, the sum of the three
    true offsets, is what tracking would measure. Both images are sums over point scatterers on a
    lattice of one scatterer a pixel that is fixed to the ground,

        image(q) = sum_k s_k h(m(q) - u_k),

    with a band-limited point-spread function h, m(q) = q in the reference and m(q) + d(m(q)) = q
    in the secondary. h is evaluated at m(q), no image is ever interpolated, so that sub-pixel
    motion has no artefact. The complex Gaussian s_k of the two images have the coherence g
    (METHODS B.7): s = a (sqrt(g) common + sqrt(1 - g) own), a the log-normal backscatter, which
    moves with the ground. Amplitude is detected at twice the pixel rate, then low-passed: at the
    pixel rate it would alias (B.5). Deformation and topographic offset are those of METHODS C.1
    and C.2, ``true_topography_dx = -baseline (z - mean z) / (R sin(incidence)) / sin(incidence)``
    with R sin(incidence) = 515 km for GF-3.

    Examples
    --------
    >>> scene = simulate_pair(size=256, seed=1)
    >>> dict(scene.sizes)
    {'y': 256, 'x': 256}
    >>> offset = scene.true_dx + scene.true_deformation_dx + scene.true_topography_dx
    >>> bool(abs(offset).max() <= scene.attrs["max_offset_px"] * scene.attrs["pixel"])
    True
    """
    p = _checked(
        size=size, pixel=pixel, kind=kind, seed=seed, relief=relief, days=days, epsg=epsg,
        looks=looks, coherence_rock=coherence_rock, coherence_ice=coherence_ice,
        noise_db=noise_db, deformation=deformation, displacement=displacement,
        baseline=baseline, incidence=incidence, outliers=outliers, decorrelated=decorrelated,
        patch_width=patch_width, nodata_border=nodata_border, glaciers=glaciers,
        max_speed=max_speed, texture=texture, reference_time=reference_time,
        complex_images=complex_images,
    )  # fmt: skip
    return _dataset(p)


def _checked(**given: Any) -> Parameters:
    """The parameters of `simulate_pair`, each in its range."""
    par.require(given["kind"] in par.KINDS, "kind", given["kind"], "'sar' or 'optical'")
    optical = given["kind"] == "optical"
    looks = par.whole("looks", given["looks"], 1, 64)
    detected = optical or looks > 1
    par.require(
        not (detected and given["complex_images"]),
        "complex_images",
        True,
        "False for optical and for multi-looked images",
    )
    size = par.two("size", given["size"], "one edge, or rows and columns")
    rows, columns = (par.whole("size", n, 64, 100_000) for n in size)
    pixel = par.number("pixel", given["pixel"], 0.1, 1000)
    seed = par.whole("seed", given["seed"], 0, 2**31)
    relief = par.relief_of((rows, columns), pixel) if given["relief"] is None else given["relief"]
    noise = (-40.0 if optical else -19.0) if given["noise_db"] is None else given["noise_db"]
    ramp, baseline, speed = _motion(given, seed)
    least, most = par.two("patch_width", given["patch_width"], "pixels, (least, most)")
    least = par.number("patch_width", least, 4, 2000)
    return Parameters(
        size=(rows, columns),
        pixel=pixel,
        kind=given["kind"],
        seed=seed,
        relief=par.number("relief", relief, 0, 8000),
        days=par.number("days", given["days"], 0.01, 10_000),
        epsg=par.metric_crs(given["epsg"]),
        looks=looks,
        coherence_rock=par.number("coherence_rock", given["coherence_rock"], 0, 1),
        coherence_ice=par.number("coherence_ice", given["coherence_ice"], 0, 1),
        noise_db=-math.inf if noise == -math.inf else par.number("noise_db", noise, -200, 20),
        deformation=ramp,
        baseline=baseline,
        incidence=par.number("incidence", given["incidence"], 10, 80),
        outliers=par.number("outliers", given["outliers"], 0, 0.5),
        decorrelated=par.number("decorrelated", given["decorrelated"], 0, 0.5),
        patch_width=(least, par.number("patch_width", most, least, 2000)),
        nodata_border=par.whole(
            "nodata_border", given["nodata_border"], 0, min(rows, columns) // 2 - 1
        ),
        glaciers=bool(given["glaciers"]),
        max_speed=speed,
        texture=par.number("texture", given["texture"], 0, 2),
        reference_time=par.moment(given["reference_time"]),
        complex_images=bool(given["complex_images"]),
    )


def _motion(given: Mapping[str, Any], seed: int) -> tuple[par.Ramp, float, float | None]:
    """Deformation, baseline and speed; a `displacement` stands for all three."""
    ramp = par.ramp(given["deformation"], seed)
    baseline = par.number("baseline", given["baseline"], -20_000, 20_000)
    speed = given["max_speed"]
    if speed is not None:
        speed = par.number("max_speed", speed, 0, 1000)
    if given["displacement"] is None:
        return ramp, baseline, speed
    dx, dy = (
        par.number("displacement", d, -200, 200)
        for d in par.two("displacement", given["displacement"], "two numbers of pixels, (dx, dy)")
    )
    rest = (0.0,) * 5
    return ((dx, *rest), (dy, *rest)), 0.0, 0.0


def _chunks(size: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    def one(n: int) -> tuple[int, ...]:
        return tuple(min(par.TILE, n - k) for k in range(0, n, par.TILE))

    return one(size[0]), one(size[1])


def _part(p: Parameters, block_id: tuple[int, ...]) -> Region:
    row, column = (par.TILE * k for k in block_id)
    return row, column, min(par.TILE, p.size[0] - row), min(par.TILE, p.size[1] - column)


def _image_tile(p: Parameters, image: int, block_id: tuple[int, ...] = ()) -> Any:
    from glaciertoolkit.simulate import images

    return images.evaluate(p, image, _part(p, block_id))


def _truth_tile(p: Parameters, name: str, block_id: tuple[int, ...] = ()) -> Any:
    from glaciertoolkit.simulate import truth

    row, column, rows, columns = _part(p, block_id)
    return truth.evaluate(p, name, row + np.arange(float(rows)), column + np.arange(float(columns)))


def _tiles(function: Any, p: Parameters, what: Any, dtype: Any) -> Array:
    import dask.array as da

    tiles: Array = da.map_blocks(
        function, p, what, chunks=_chunks(p.size), dtype=dtype, meta=np.empty((0, 0), dtype)
    )
    return tiles


def _dataset(p: Parameters) -> xr.Dataset:
    import rioxarray  # noqa: F401

    from glaciertoolkit.simulate import truth
    from glaciertoolkit.simulate.model import model_of

    dims = ("y", "x")
    image_dtype = np.complex64 if p.complex_images and p.kind == "sar" else np.float32
    unit = {"units": "1"}
    variables: dict[str, Any] = {}
    for k, name in enumerate(("reference", "secondary")):
        tiles = _tiles(_image_tile, p, k, image_dtype)
        what = "complex image" if image_dtype is np.complex64 else "amplitude"
        variables[name] = (dims, tiles, {**unit, "long_name": f"{name} {what}"})
    for name in truth.NAMES:
        dtype = bool if name in truth.MASKS else np.float32
        variables[name] = (dims, _tiles(_truth_tile, p, name, dtype), dict(truth.ATTRS[name]))
    start = np.datetime64(p.reference_time, "ns")
    interval = np.timedelta64(round(p.days * 86_400), "s").astype("timedelta64[ns]")
    coords = {
        "y": par.NORTH - (np.arange(p.size[0]) + 0.5) * p.pixel,
        "x": par.WEST + (np.arange(p.size[1]) + 0.5) * p.pixel,
        "reference_time": start,
        "secondary_time": start + interval,
        "mid_date": start + interval // 2,
    }
    scene = xr.Dataset(variables, coords)
    scene = scene.rio.write_crs(p.epsg).rio.write_transform()
    scene.attrs = {
        "title": f"simulated {p.kind} pair with known truth",
        "seed": p.seed,
        "pixel": p.pixel,
        "max_offset_px": round(model_of(p).max_offset + 0.005, 2),
        par.ATTRIBUTE: p.to_json(),
    }
    return conventions.describe(scene)
