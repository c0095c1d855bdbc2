"""Simulated GF-3 pairs in radar geometry: two single-look complex images with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glaciertoolkit.errors import ParameterError
from glaciertoolkit.sar.geometry import GEOMETRIES, SINGLE, RadarGeometry
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3_parameters import Gf3Parameters, checked
from glaciertoolkit.simulate.gf3_setting import PIXEL, Setting, setting_of

if TYPE_CHECKING:
    from dask.array import Array

ROLES = ("reference", "secondary")


@dataclass(frozen=True)
class Gf3Scene:
    """A simulated pair: lazy images, what their headers say, and all that the truth needs.

    It holds its parameters only; two scenes of equal parameters are equal.
    """

    parameters: Gf3Parameters

    @property
    def setting(self) -> Setting:
        """The landscape and both passes, as written and as they were."""
        return setting_of(self.parameters)

    @property
    def reference_geometry(self) -> RadarGeometry:
        """How the reference was taken, as its header says."""
        return self.setting.reference.header

    @property
    def secondary_geometry(self) -> RadarGeometry:
        """How the secondary was taken, as its header says."""
        return self.setting.secondary.header

    @property
    def map_scene(self) -> xr.Dataset:
        """The landscape as a scene of `simulate_dem` and `simulate_outlines`: coordinates only."""
        import rioxarray  # noqa: F401  (registers .rio)

        p = self.setting.landscape
        coords = {
            "y": par.NORTH - (np.arange(p.size[0]) + 0.5) * PIXEL,
            "x": par.WEST + (np.arange(p.size[1]) + 0.5) * PIXEL,
        }
        scene: xr.Dataset = xr.Dataset(coords=coords).rio.write_crs(p.epsg)
        scene.attrs[par.ATTRIBUTE] = p.to_json()
        return scene

    def image(self, role: str, polarisation: str | None = None) -> xr.DataArray:
        """One complex image, lazy: ``|image|**2`` is sigma0, 0 is no data.

        Parameters
        ----------
        role : {"reference", "secondary"}
        polarisation : str, optional
            Left out: the first one.

        Returns
        -------
        xarray.DataArray
            complex64 with dims y (azimuth, m) and x (slant range, m).

        Raises
        ------
        ParameterError
            There is no such image.
        """
        channels = self.parameters.polarisations
        polarisation = channels[0] if polarisation is None else polarisation
        if role not in ROLES or polarisation not in channels:
            raise ParameterError(
                f"the scene has no image {role!r} in {polarisation!r}; choose one of "
                f"{', '.join(ROLES)} and of {', '.join(channels)}."
            )
        which = ROLES.index(role)
        geometry = (self.reference_geometry, self.secondary_geometry)[which]
        return xr.DataArray(
            _tiles(self.parameters, which, channels.index(polarisation), geometry),
            {"y": geometry.y, "x": geometry.x},
            ("y", "x"),
            role,
            {
                "units": "1",
                "long_name": f"{role} complex image, its squared magnitude sigma0",
                "polarisation": polarisation,
                SINGLE: geometry.to_json(),
            },
        )

    def images(self, role: str) -> dict[str, xr.DataArray]:
        """All channels of one image."""
        return {c: self.image(role, c) for c in self.parameters.polarisations}

    def pair(self, polarisation: str | None = None) -> xr.Dataset:
        """Both images on one pixel grid, brought there by a shift of whole pixels; lazy.

        The middle of the reference falls on the same pixel of both, so that what is left of the
        offsets is as small as a shift can make it.
        """
        from glaciertoolkit.simulate.gf3_truth import true_position

        first, second = self.reference_geometry, self.secondary_geometry
        middle = np.rint(first.centre)
        there = true_position(self, *middle)
        shift = [round(float(q - p)) for p, q in zip(middle, there, strict=True)]
        low = [max(0, -s) for s in shift]
        sizes = [(first.lines, second.lines), (first.samples, second.samples)]
        count = [min(n - a, m - a - s) for (n, m), a, s in zip(sizes, low, shift, strict=True)]
        parts = [
            tuple(slice(a + s, a + s + n) for a, s, n in zip(low, apart, count, strict=True))
            for apart in ([0, 0], shift)
        ]
        images = [self.image(r, polarisation) for r in ROLES]
        header = first.shifted(lines=low[0], samples=low[1])
        other = second.shifted(lines=low[0] + shift[0], samples=low[1] + shift[1])
        taken = {
            GEOMETRIES[role]: _cut(g, count).to_json()
            for role, g in zip(ROLES, (header, other), strict=True)
        }
        return xr.Dataset(
            {
                role: (("y", "x"), image.data[part], {"units": "1"})
                for role, image, part in zip(ROLES, images, parts, strict=True)
            },
            {
                "y": header.y[: count[0]],
                "x": header.x[: count[1]],
                "reference_time": first.mid_time,
                "secondary_time": second.mid_time,
            },
            taken,
        )


def simulate_gf3(
    *,
    size: int | tuple[int, int] | Mapping[str, int] = (2048, 2048),
    mode: str = "FSI",
    direction: str = "descending",
    look: str = "right",
    incidence: float = 37.0,
    baseline: float = 1000.0,
    days: float = 29.0,
    reference_time: str | np.datetime64 = "2019-09-03T00:12:31",
    relief: float | None = None,
    coherence_rock: float = 0.5,
    coherence_ice: float = 0.35,
    noise_db: float = -19.0,
    misregistration: float | Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = 3.0,
    max_speed: float | None = None,
    glaciers: bool = True,
    polarisations: str | Sequence[str] = ("HH",),
    texture: float = 0.35,
    nodata_border: int = 0,
    seed: int = 7,
    epsg: int = 32645,
    orbit_error: float = 0.0,
    geolocation_bias: tuple[float, float] = (0.0, 0.0),
    azimuth_streaks: float = 0.0,
    fringes: bool = True,
) -> Gf3Scene:
    """Simulate two GF-3 single-look complex images of a glacierised mountain range.

    Parameters
    ----------
    size : int or (lines, samples)
        Pixels of the reference; the secondary has 16 lines more and a timing of its own.
    mode : {"FSI", "UFS", "FSII", "QPSI"}
        Sampling and bandwidth.
    direction : {"descending", "ascending"}
    look : {"right", "left"}
    incidence : float
        Degrees, in the middle of the scene, against the vertical of the ellipsoid.
    baseline : float
        Perpendicular baseline in the middle of the scene, metres: positive where the second pass
        is displaced along the upward normal to the line of sight.
    days : float
        Time between the images.
    reference_time : datetime-like
        Of the first line of the reference, UTC.
    relief : float, optional
        Range of the elevations over the landscape, metres; 0 is flat ground without glaciers.
        Left out: 2500 m over 25 km and more, less over small scenes.
    coherence_rock, coherence_ice : float
        Coherence of the two images before thermal noise, once their fringes are removed; where
        the slope and the baseline do not allow as much, as much as they allow.
    noise_db : float
        Thermal noise (NESZ), sigma0; flat rock has -6 dB and ice -9 dB.
    misregistration : float or coefficients
        Pixels, on top of the geometry: the largest value of an order-2 polynomial drawn from the
        seed, or the coefficients (1, u, v, u2, uv, v2) for ``{"range": ..., "azimuth": ...}`` with
        u, v from -1 to 1 over the samples and the lines of the reference.
    max_speed : float, optional
        Largest speed of the ice, m/day. Left out: up to 0.4, less where the glaciers are small.
    glaciers : bool
        Whether there is ice.
    polarisations : str or sequence of str
        Channels; cross-polarised ones are 7 dB darker. Each has its own speckle.
    texture : float
        Standard deviation of the logarithm of the amplitude's texture (about 30 m wide).
    nodata_border : int
        Pixels of 0 along all edges of both images.
    seed : int
        The same seed and parameters give the same bits, whatever part is computed.
    epsg : int
        Projected coordinate system of landscape, DEM and outlines, in metres.
    orbit_error : float
        Metres by which the state vectors of the secondary, as its header gives them, are off.
    geolocation_bias : (lines, samples)
        By which both images lie later and farther than their headers say.
    azimuth_streaks : float
        Standard deviation of the azimuth offset that the ionosphere makes in bands across the
        track, pixels.
    fringes : bool
        Whether the images differ in phase by their difference in range; if not, their phases are
        equal.

    Returns
    -------
    Gf3Scene
        Lazy images, geometries and truth.

    Raises
    ------
    ParameterError
        A parameter is out of its range, or of the wrong kind.

    Notes
    -----
    Each pixel of the reference is followed to the ground, with the motion of the ice along the
    surface, and into the secondary by the range-Doppler equations; the misregistration is added.
    Both images are the sum of the point-spread functions of the same scatterers, two a sample,
    each with its share of what only one image shows. The phase of the secondary is that of the
    standing ground: over four weeks moving ice strains by more than a cycle a pixel, which real
    pairs show as lost coherence, and that is what `coherence_ice` sets.

    Examples
    --------
    >>> scene = simulate_gf3(size=256, seed=3)
    >>> scene.image("reference").shape
    (256, 256)
    """
    return Gf3Scene(
        checked(
            size=size, mode=mode, direction=direction, look=look, incidence=incidence,
            baseline=baseline, days=days, reference_time=reference_time, relief=relief,
            coherence_rock=coherence_rock, coherence_ice=coherence_ice, noise_db=noise_db,
            misregistration=misregistration, max_speed=max_speed, glaciers=glaciers,
            polarisations=polarisations, texture=texture, nodata_border=nodata_border, seed=seed,
            epsg=epsg, orbit_error=orbit_error, geolocation_bias=geolocation_bias,
            azimuth_streaks=azimuth_streaks, fringes=fringes,
        )
    )  # fmt: skip


def _cut(geometry: RadarGeometry, size: Sequence[int]) -> RadarGeometry:
    from dataclasses import replace

    return replace(geometry, lines=int(size[0]), samples=int(size[1]))


def _tiles(p: Gf3Parameters, image: int, channel: int, geometry: RadarGeometry) -> Array:
    import dask.array as da

    chunks = tuple(
        tuple(min(par.TILE, n - k) for k in range(0, n, par.TILE))
        for n in (geometry.lines, geometry.samples)
    )
    tiles: Array = da.map_blocks(
        _tile, p, image, channel, chunks, chunks=chunks, dtype=np.complex64,
        meta=np.empty((0, 0), np.complex64),
    )  # fmt: skip
    return tiles


def _tile(
    p: Gf3Parameters, image: int, channel: int, chunks: Any, block_id: tuple[int, ...] = ()
) -> Any:
    from glaciertoolkit.simulate import gf3_images

    line, sample = (par.TILE * k for k in block_id)
    shape = (chunks[0][block_id[0]], chunks[1][block_id[1]])
    return gf3_images.tile(p, image, channel, (line, sample, *shape))
