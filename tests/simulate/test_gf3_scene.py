"""Simulated GF-3 pairs: what the images show lies where the truth says, and the truth is sound."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import rioxarray
import xarray as xr

from glaciertoolkit.errors import GridError, ParameterError
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.sar.baselines import baseline, heading, incidence
from glaciertoolkit.sar.geocoding import ground_to_image, image_to_ground, sensitivities
from glaciertoolkit.sar.geometry import geometry_of
from glaciertoolkit.simulate import parameters as par
from glaciertoolkit.simulate.gf3 import Gf3Scene, simulate_gf3
from glaciertoolkit.simulate.gf3_model import gf3_model_of
from glaciertoolkit.simulate.gf3_orbits import ecef
from glaciertoolkit.simulate.gf3_parameters import WAVELENGTH, Gf3Parameters
from glaciertoolkit.simulate.gf3_setting import PIXEL, to_geographic, to_map
from glaciertoolkit.simulate.gf3_truth import true_gf3_motion, true_map_motion, true_position
from glaciertoolkit.simulate.gf3_write import write_gf3_pair
from glaciertoolkit.simulate.model import model_of
from glaciertoolkit.tracking.track import track

STILL = {"glaciers": False, "noise_db": -np.inf, "coherence_rock": 1.0, "size": 512, "seed": 3}


@pytest.fixture(scope="module")
def still() -> Gf3Scene:
    """Rock only, full coherence, no noise, phases alike."""
    return simulate_gf3(**STILL, fringes=False)


@pytest.fixture(scope="module")
def moving() -> Gf3Scene:
    """Ice and rock, as the defaults have them."""
    return simulate_gf3(size=640, seed=7)


def sampled(image: np.ndarray, line: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """A band-limited image at any place: a long windowed sinc, independent of the package."""
    half = 11
    value = np.zeros(line.shape, complex)
    i, j = np.floor(line).astype(int), np.floor(sample).astype(int)
    for a in range(-half + 1, half + 1):
        u = line - i - a
        weight = np.sinc(u) * np.cos(np.pi * u / (2 * half)) ** 2
        row = np.zeros(line.shape, complex)
        for b in range(-half + 1, half + 1):
            v = sample - j - b
            row += np.sinc(v) * np.cos(np.pi * v / (2 * half)) ** 2 * image[i + a, j + b]
        value += weight * row
    return value


def coherence(first: np.ndarray, second: np.ndarray) -> float:
    power = (abs(first) ** 2).mean() * (abs(second) ** 2).mean()
    return float(abs((first * second.conj()).mean()) / np.sqrt(power))


def fringe(scene: Gf3Scene, line: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """The phase by which the secondary is behind, from the ranges that the truth implies."""
    _, there = true_position(scene, line, sample)
    setting = scene.setting
    delay = setting.secondary.true.range_of(there) - setting.reference.true.range_of(sample)
    return 4 * np.pi / WAVELENGTH * delay


def displaced(scene: Gf3Scene, images: list[np.ndarray], line: int, sample: int) -> tuple:
    """By how much the match of a patch is off the truth, and the coherence there."""
    rows, columns = np.meshgrid(line + np.arange(32), sample + np.arange(32), indexing="ij")
    first = images[0][rows, columns]
    if scene.parameters.fringes:
        first = first * np.exp(-1j * fringe(scene, rows, columns))
    there = true_position(scene, rows, columns)
    step = 0.3
    found = []
    for axis in (0, 1):
        at = [
            coherence(first, sampled(images[1], there[0] + s * (1 - axis), there[1] + s * axis))
            for s in (-step, 0, step)
        ]
        found.append(0.5 * step * (at[0] - at[2]) / (at[0] - 2 * at[1] + at[2]))
    return (*found, at[1])


PLACES = [(y, x) for y in (40, 180, 320, 430) for x in (60, 230, 400)]


@pytest.mark.parametrize("fringes", [False, True])
def test_the_secondary_shows_the_ground_where_the_truth_says(still: Gf3Scene, fringes) -> None:
    scene = simulate_gf3(**STILL, baseline=300.0, misregistration=0.0) if fringes else still
    images = [scene.image(role).values for role in ("reference", "secondary")]
    found = np.array([displaced(scene, images, *place) for place in PLACES])
    assert np.abs(found[:, :2]).max() < 0.02
    # 300 m of baseline leave 96 % of the spectrum in common on flat ground.
    assert np.median(found[:, 2]) > (0.93 if fringes else 0.985)


def test_the_truth_is_the_geometry_of_the_ground() -> None:
    scene = simulate_gf3(**STILL, misregistration=0.0)
    setting = scene.setting
    ground = model_of(setting.landscape)
    rng = np.random.default_rng(1)
    # Places on the map, straight from the landscape, without the detour through the image.
    lon, lat = image_to_ground(
        setting.reference.true, *rng.uniform(60, 450, (2, 400)), setting.centre[2]
    )
    x, y = to_map(scene.parameters.epsg, lon, lat)
    height = np.array([
        ground.field(ground.elevation, np.array([r]), np.array([c]))[0, 0]
        for r, c in zip((par.NORTH - y) / PIXEL - 0.5, (x - par.WEST) / PIXEL - 0.5, strict=True)
    ])  # fmt: skip
    line, sample = ground_to_image(setting.reference.true, lon, lat, height)
    there = ground_to_image(setting.secondary.true, lon, lat, height)
    said = true_position(scene, line, sample)
    seen = gf3_model_of(scene.parameters)
    one_ground = np.abs(seen.at_points(seen.height, line, sample) - height) < 30
    inside = one_ground & (sample > 0) & (sample < 511)
    assert inside.sum() > 200
    for a, b in zip(said, there, strict=True):
        assert np.abs(a - b)[inside].max() < 0.02


@pytest.mark.parametrize("direction", ["descending", "ascending"])
@pytest.mark.parametrize("look", ["right", "left"])
def test_the_passes_are_what_was_asked_for(direction, look) -> None:
    asked = {"baseline": -640.0, "incidence": 31.0, "relief": 0}
    scene = simulate_gf3(size=256, direction=direction, look=look, **asked)
    first, second = scene.reference_geometry, scene.secondary_geometry
    lon, lat, h = scene.setting.centre
    seen = baseline(first, second, longitude=lon, latitude=lat, height=h)
    assert float(seen.perpendicular) == pytest.approx(-640.0, rel=1e-4)
    assert abs(float(seen.parallel)) < 0.2 * 640
    assert float(incidence(first, lon, lat, h)) == pytest.approx(31.0, abs=0.01)
    # The meridians converge towards the side on which the satellite passes.
    north = {"descending": 192.5, "ascending": 347.5}[direction]
    assert abs((float(heading(first, lon, lat, h)) - north + 180) % 360 - 180) < 3
    line, sample = ground_to_image(first, lon, lat, h)
    assert (line, sample) == pytest.approx(first.centre, abs=0.05)
    # The satellite is on the side from which the radar looks; 755 km up.
    satellite = first.orbit.position(first.time_of(line))
    right = np.cross(first.orbit.velocity(first.time_of(line)), satellite)
    assert np.sign((ecef(lon, lat, h) - satellite) @ right) == (1 if look == "right" else -1)
    assert np.linalg.norm(satellite) == pytest.approx(7_133_137, abs=1)
    along = second.orbit.velocity(0.0) @ first.orbit.velocity(0.0)
    assert along / np.linalg.norm(first.orbit.velocity(0.0)) == pytest.approx(7570, abs=30)


def test_state_vectors_are_those_of_a_product(moving: Gf3Scene) -> None:
    vectors, geometry = moving.setting.secondary.vectors, moving.secondary_geometry
    assert np.all(np.diff(vectors.times) == np.timedelta64(1, "s"))
    seconds = (vectors.times - geometry.orbit.epoch) / np.timedelta64(1, "s")
    assert seconds[0] < -85
    assert seconds[-1] > geometry.duration + 85
    near = np.abs(seconds) < 60
    place = geometry.orbit.position(seconds[near])
    assert np.abs(place - vectors.positions[near]).max() < 1e-3
    slope = np.gradient(vectors.positions, axis=0)[1:-1]
    assert np.abs(slope - vectors.velocities[1:-1]).max() < 1e-2


def test_coherence_is_what_was_asked_for(moving: Gf3Scene) -> None:
    quiet = simulate_gf3(size=640, seed=7, noise_db=-np.inf, max_speed=0.0, misregistration=0.0)
    images = [quiet.image(role).values for role in ("reference", "secondary")]
    rows, columns = np.meshgrid(np.arange(40, 600, 2), np.arange(40, 600, 2), indexing="ij")
    there = true_position(quiet, rows, columns)
    first = images[0][rows, columns] * np.exp(-1j * fringe(quiet, rows, columns))
    second = sampled(images[1], *there)
    model = gf3_model_of(quiet.parameters)
    ice = model.at_points(model.ice, rows, columns) > 0.99
    assert coherence(first[ice], second[ice]) == pytest.approx(0.35, abs=0.04)
    assert coherence(first[~ice], second[~ice]) == pytest.approx(0.5, abs=0.05)
    # Without the removal of the fringes there is none, and noise takes its share.
    assert coherence(images[0][rows, columns][ice], second[ice]) < 0.1
    noisy = abs(moving.image("reference").values) ** 2
    bare = abs(images[0]) ** 2
    assert noisy.mean() - bare.mean() == pytest.approx(10**-1.9, rel=0.15)


def test_spectra_are_band_limited(still: Gf3Scene) -> None:
    image = still.image("secondary").values
    power = abs(np.fft.fft2(image)) ** 2
    lines, samples = (abs(np.fft.fftfreq(n)) for n in image.shape)
    mode = still.parameters.sampling
    across = power.mean(axis=0)
    along = power.mean(axis=1)
    inside = along[lines < 0.4 * mode.azimuth_bandwidth / mode.prf].mean()
    assert along[lines > 0.65 * mode.azimuth_bandwidth / mode.prf].mean() < 0.01 * inside
    assert across[samples > 0.495].mean() < 0.4 * across[samples < 0.4].mean()


def test_bits_depend_on_seed_and_parameters_only(moving: Gf3Scene) -> None:
    image = moving.image("secondary")
    whole = image.compute(scheduler="synchronous").values
    with dask.config.set(scheduler="threads"):
        part = image[500:530, 490:540].values
    np.testing.assert_array_equal(part, whole[500:530, 490:540])
    again = Gf3Scene(Gf3Parameters.from_json(moving.parameters.to_json()))
    assert again == moving
    np.testing.assert_array_equal(again.image("secondary")[:40, :40].values, whole[:40, :40])
    other = simulate_gf3(size=640, seed=7, misregistration=1.0).image("reference")[:40, :40].values
    np.testing.assert_array_equal(other, moving.image("reference")[:40, :40].values)
    different = simulate_gf3(size=640, seed=8, relief=0).image("reference")[:40, :40].values
    assert coherence(different, other) < 0.2


def test_ice_moves_along_the_surface(moving: Gf3Scene) -> None:
    scene = moving.map_scene.isel(y=slice(400, -400, 3), x=slice(400, -400, 3))
    points = true_map_motion(moving, scene, footprint=0.0)
    ground = model_of(moving.setting.landscape)
    rows = (par.NORTH - points["y"].values) / 10 - 0.5
    columns = (points["x"].values - par.WEST) / 10 - 0.5
    slope_x = ground.field(ground.elevation, rows, columns, derivative="x") / 10
    slope_y = -ground.field(ground.elevation, rows, columns, derivative="y") / 10
    off = points["true_up"] - points["true_dx"] * slope_x - points["true_dy"] * slope_y
    assert float(np.hypot(points["true_dx"], points["true_dy"]).max()) > 5
    assert float(np.abs(points["true_up"]).max()) > 1
    assert float(np.abs(off).max()) < 0.05
    assert float(np.abs(points["true_dx"]).where(points["ice_fraction"] == 0, 0).max()) < 1e-5


def test_radar_and_map_truth_agree(moving: Gf3Scene) -> None:
    pair = moving.pair()
    centres = {"y": pair["y"][40:600:40], "x": pair["x"][40:600:40]}
    posts = xr.Dataset(coords=centres, attrs={**pair.attrs, "template": [1, 1]})
    truth = true_gf3_motion(moving, posts)
    header = moving.reference_geometry
    lon, lat = image_to_ground(
        header, *np.meshgrid(*header.pixel_of(posts["y"], posts["x"]), indexing="ij"),
        truth["elevation"].values,
    )  # fmt: skip
    sight, track = sensitivities(header, lon, lat, truth["elevation"].values)
    moved = np.stack([truth[f"true_{n}"].values for n in ("east", "north", "up")])
    assert np.abs(truth["true_dx"] - (sight * moved).sum(axis=0)).max() < 0.05
    assert np.abs(truth["true_dy"] - (track * moved).sum(axis=0)).max() < 0.05
    assert float(np.abs(truth["true_dx"]).max()) > 2
    # Offsets of all causes are the true positions, in the pixels of the pair.
    _, sample = true_position(
        moving, *np.meshgrid(*header.pixel_of(posts["y"], posts["x"]), indexing="ij")
    )
    found = truth["true_offset_dx"].values / header.range_spacing
    shift = (sample - header.pixel_of(posts["y"], posts["x"])[1]) - found
    assert np.ptp(shift) < 1e-3
    assert shift.mean() == pytest.approx(round(shift.mean()), abs=1e-3)
    assert np.abs(found).max() < 6


def test_means_over_templates_and_footprints(moving: Gf3Scene) -> None:
    image = moving.image("reference")
    model = gf3_model_of(moving.parameters)
    posts = xr.Dataset(coords={"y": [image.y.values[200:232].mean()], "x": image.x[[300]]})
    found = true_gf3_motion(moving, posts, template=(32, 1))
    inside = model.at_points(model.ice_sample, np.arange(200, 232), 300.0)
    expected = inside.mean() * moving.reference_geometry.range_spacing
    assert float(found["true_dx"][0, 0]) == pytest.approx(expected, abs=1e-5)
    scene = moving.map_scene.isel(y=slice(800, 1000), x=slice(800, 1000))
    points = true_map_motion(moving, scene, footprint=0.0)
    mean = true_map_motion(moving, scene.isel(y=[100], x=[100]), footprint=110.0)
    box = points.isel(y=slice(95, 106), x=slice(95, 106))
    for name in ("true_dx", "true_dy", "true_up", "ice_fraction"):
        assert float(mean[name][0, 0]) == pytest.approx(float(box[name].mean()), abs=1e-4)


def test_truth_in_another_projection(moving: Gf3Scene) -> None:
    x, y = par.WEST + 10_500.0, par.NORTH - 9_000.0
    here = xr.Dataset(coords={"y": [y, y - 500], "x": [x, x + 500]}).rio.write_crs(32645)
    near = true_map_motion(moving, here)
    lon, lat = to_geographic(32645, x, y)
    e, n = to_map(32644, lon, lat)
    there = true_map_motion(moving, xr.Dataset(coords={"y": [n], "x": [e]}).rio.write_crs(32644))
    speed = [float(np.hypot(d["true_dx"], d["true_dy"])[0, 0]) for d in (near, there)]
    assert speed[1] == pytest.approx(speed[0], rel=0.01)


def test_options_change_what_they_should() -> None:
    asked = {"size": 256, "seed": 2, "relief": 0, "misregistration": 0.0}
    plain = simulate_gf3(**asked)
    place = (100.0, np.array([80.0, 160.0]))
    line, sample = true_position(plain, *place)
    given = {"range": [0.5, 0.2, 0, 0, 0, 0], "azimuth": [-1.5, 0, 0, 0, 0, 0]}
    moved = true_position(simulate_gf3(**{**asked, "misregistration": given}), *place)
    np.testing.assert_allclose(moved[0] - line, -1.5, atol=1e-6)
    np.testing.assert_allclose(moved[1] - sample, 0.5 + 0.2 * (2 * place[1] - 255) / 256, atol=1e-6)
    streaked = true_position(simulate_gf3(**asked, azimuth_streaks=0.5), np.arange(256.0), 100.0)
    alone = true_position(plain, np.arange(256.0), 100.0)
    assert np.ptp(streaked[0] - alone[0]) > 0.2
    np.testing.assert_allclose(streaked[1], alone[1], atol=1e-9)
    wrong = simulate_gf3(**asked, orbit_error=12.0).setting.secondary
    away = wrong.header.orbit.position(0.01) - wrong.true.orbit.position(0.01)
    assert np.linalg.norm(away) == pytest.approx(12.0, abs=0.01)
    later = simulate_gf3(**asked, geolocation_bias=(7.0, -3.0)).setting
    lon, lat, h = later.centre
    seen = np.array(ground_to_image(later.reference.true, lon, lat, h))
    said = np.array(ground_to_image(later.reference.header, lon, lat, h))
    np.testing.assert_allclose(seen - said, (7.0, -3.0), atol=1e-6)


def test_channels_and_border() -> None:
    scene = simulate_gf3(
        size=256, seed=2, relief=0, polarisations=("HH", "HV"), nodata_border=9, noise_db=-np.inf
    )
    images = scene.images("reference")
    assert list(images) == ["HH", "HV"]
    values = {k: v.values for k, v in images.items()}
    for image in values.values():
        assert not image[:9].any()
        assert not image[:, -9:].any()
        assert (image[9:-9, 9:-9] != 0).all()
    ratio = (abs(values["HV"]) ** 2).sum() / (abs(values["HH"]) ** 2).sum()
    assert 10 * np.log10(ratio) == pytest.approx(-7, abs=0.3)
    level = (abs(values["HH"][9:-9, 9:-9]) ** 2).mean()
    assert 10 * np.log10(level) == pytest.approx(-6, abs=0.5)


def test_oversampled_tracking_finds_the_true_offsets() -> None:
    scene = simulate_gf3(size=512, seed=7, coherence_rock=0.9, noise_db=-np.inf, glaciers=False)
    pair = scene.pair().compute()
    pair = pair.isel({k: slice(n // 2 * 2) for k, n in pair.sizes.items()})
    fine = {
        k: np.arange(2 * pair.sizes[k]) * float(pair[k][1] - pair[k][0]) / 2 + float(pair[k][0])
        for k in ("y", "x")
    }
    images = {
        role: (("y", "x"), detected(pair[role].values)) for role in ("reference", "secondary")
    }
    times = {k: pair[k] for k in ("reference_time", "secondary_time")}
    offsets = track(
        xr.Dataset(images, {**fine, **times}), template={"y": 128, "x": 96}, search=20, step=48
    ).compute()
    posts = offsets.assign_attrs({**pair.attrs, "template": [64, 48]})
    truth = true_gf3_motion(scene, posts)
    for name, pixel in (("dx", 2.248), ("dy", 2.697)):
        off = (offsets[name] - truth[f"true_offset_{name}"]).values / pixel
        assert abs(float(np.nanmedian(off))) < 0.015
        assert float(np.nanpercentile(abs(off), 95)) < 0.08
        # The truth varies by much more than that: relief, misregistration.
        assert float(np.ptp(truth[f"true_offset_{name}"].values)) / pixel > 1


def detected(image: np.ndarray) -> np.ndarray:
    """Amplitude at twice the sampling, so that detection aliases nothing."""
    ny, nx = image.shape
    spectrum = np.zeros((2 * ny, 2 * nx), complex)
    spectrum[ny // 2 : ny // 2 + ny, nx // 2 : nx // 2 + nx] = np.fft.fftshift(np.fft.fft2(image))
    return abs(np.fft.ifft2(np.fft.ifftshift(spectrum))).astype(np.float32)


@pytest.mark.parametrize("archive", [None, "zip"])
def test_what_is_written_is_what_was_simulated(tmp_path, archive) -> None:
    scene = simulate_gf3(size=320, seed=7, polarisations=("HH", "HV"))
    paths = write_gf3_pair(scene, tmp_path, archive=archive, truth=archive is None)
    assert set(paths) == {"reference", "secondary", "dem", "outlines"} | (
        {"truth"} if archive is None else set()
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths.values())
    opened = {role: open_gf3(paths[role]) for role in ("reference", "secondary")}
    first, second = (geometry_of(ds) for ds in opened.values())
    lon, lat, h = scene.setting.centre
    seen = baseline(first, second, longitude=lon, latitude=lat, height=h)
    assert float(seen.perpendicular) == pytest.approx(1000, rel=0.005)
    for role, ds in opened.items():
        values = scene.image(role, "HV").values
        np.testing.assert_allclose(ds["HV"].values, values, atol=2e-4)
    there = np.array(ground_to_image(second, lon, lat, h))
    said = np.array(ground_to_image(scene.secondary_geometry, lon, lat, h))
    np.testing.assert_allclose(there, said, atol=0.1)
    dem = rioxarray.open_rasterio(paths["dem"])
    assert dem.attrs["long_name"] == "height above the WGS84 ellipsoid"
    # Ground beyond the edges of both images, at every height, by five kilometres.
    corners = np.meshgrid([0, 319], [0, 319], [float(dem.min()), float(dem.max())])
    for geometry in (first, second):
        x, y = to_map(32645, *image_to_ground(geometry, *corners))
        west, south, east, north = dem.rio.bounds()
        assert west + 5000 < x.min()
        assert x.max() < east - 5000
        assert south + 5000 < y.min()
        assert y.max() < north - 5000
    if archive is None:
        truth = xr.open_dataset(paths["truth"])
        again = Gf3Scene(Gf3Parameters.from_json(truth.attrs["simulation"]))
        assert again == scene


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"mode": "IW"}, "mode"),
        ({"look": "up"}, "look"),
        ({"incidence": 5}, "incidence"),
        ({"polarisations": ("HH", "XX")}, "polarisations"),
        ({"misregistration": "much"}, "misregistration"),
        ({"size": 10}, "size"),
        ({"geolocation_bias": 1e9}, "geolocation_bias"),
    ],
)
def test_wrong_parameters_are_named(wrong, word) -> None:
    with pytest.raises(ParameterError, match=f"simulate_gf3: {word}"):
        simulate_gf3(**wrong)


def test_posts_outside_are_refused(moving: Gf3Scene) -> None:
    posts = xr.Dataset(coords={"y": [1e5], "x": [moving.reference_geometry.near_range + 500]})
    with pytest.raises(GridError, match="leave the simulated image along y"):
        true_gf3_motion(moving, posts, template=3)
    with pytest.raises(ParameterError, match="template"):
        true_gf3_motion(moving, posts)
    with pytest.raises(GridError, match="CRS"):
        true_map_motion(moving, xr.Dataset(coords={"y": [0.0], "x": [0.0]}))
