"""Curvature, relief and directions of ground whose shape is known."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import glaciertoolkit as gt
from glaciertoolkit.errors import GridError, MissingVariableError, ParameterError
from glaciertoolkit.stats.grouped import circular_means
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.terrain import terrain_at_posts


def surface(formula, *, n=81, step=10.0):
    x = step * (np.arange(n) - n // 2)
    y = x[::-1]
    z = formula(*np.meshgrid(x, y))
    return xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x"))


def sphere(x, y, radius=2000.0):
    return np.sqrt(radius**2 - x**2 - y**2)


def test_curvatures_of_a_sphere_and_a_bowl():
    """A sphere bends by 1 / R along its slope; its contours are circles."""
    for sign in (1, -1):
        dem = surface(lambda x, y, sign=sign: sign * sphere(x, y))
        profile = gt.curvature(dem)
        plan = gt.curvature(dem, kind="plan")
        assert float(profile.sel(x=200, y=100)) == pytest.approx(sign / 2000, rel=2e-3)
        radius = np.hypot(200, 100)
        assert float(plan.sel(x=200, y=100)) == pytest.approx(sign / radius, rel=5e-3)
    assert profile.attrs["units"] == "m-1"
    assert np.isnan(plan.sel(x=0, y=0))
    assert np.isnan(profile[0]).all()


def test_curvatures_of_a_cylinder_and_a_plane():
    across = gt.curvature(surface(lambda x, y: sphere(x, 0 * y)))
    assert float(across.sel(x=300, y=50)) == pytest.approx(1 / 2000, rel=2e-3)
    plane = surface(lambda x, y: 0.3 * x + 0.1 * y)
    for kind in ("profile", "plan"):
        assert float(np.abs(gt.curvature(plane, kind=kind)).max()) < 1e-6
    straight = gt.curvature(surface(lambda x, y: sphere(x, 0 * y)), kind="plan")
    assert abs(float(straight.sel(x=300, y=50))) < 1e-7


def test_relief_and_lazy_terrain():
    rng = np.random.default_rng(0)
    dem = surface(lambda x, y: 0.5 * x + 0 * y) + rng.normal(0, 1, (81, 81))
    dem[10, 20] = np.nan
    lazy = dem.copy(data=da.from_array(dem.values, chunks=(17, 30)))
    for run in (
        lambda d: gt.curvature(d), lambda d: gt.curvature(d, kind="plan"),
        lambda d: gt.relief(d, window=120),
    ):  # fmt: skip
        got = run(lazy)
        assert got.chunks is not None
        xr.testing.assert_identical(got.compute(), run(dem))
    even = gt.relief(surface(lambda x, y: 0.5 * x + 0 * y), window=120)
    assert float(even[40, 40]) == 60
    assert np.isnan(gt.relief(dem, window=120)[10, 20])
    with pytest.raises(ParameterError, match="window"):
        gt.relief(dem, window=0)
    with pytest.raises(ParameterError, match="kind"):
        gt.curvature(dem, kind="mean")
    with pytest.raises(GridError):
        gt.curvature(dem.rename(x="lon"))


def test_the_ground_under_the_templates():
    dem = surface(sphere)
    posts = xr.Dataset(coords={"y": [200.0, 100.0, 0.0], "x": [100.0, 200.0, 300.0]})
    names = (
        "elevation", "aspect", "northness", "eastness", "profile_curvature", "plan_curvature",
        "relief",
    )  # fmt: skip
    got = terrain_at_posts(posts, dem, smooth=80, attributes=names)
    assert list(got) == list(names)
    angle = np.radians(got["aspect"])
    np.testing.assert_allclose(got["northness"], np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(got["eastness"], np.sin(angle), atol=1e-6)
    # It falls away from the summit.
    assert float(got["aspect"].sel(x=200.0, y=200.0)) == pytest.approx(45, abs=0.1)
    assert float(got["profile_curvature"].mean()) == pytest.approx(1 / 2000, rel=0.02)
    assert (got["relief"].values > 0).all()
    assert all(field.dtype == np.float32 for field in got.values())
    with pytest.raises(ParameterError, match="attributes"):
        terrain_at_posts(posts, dem, attributes=("roughness",))


def test_directions_average_on_the_circle():
    degrees = np.array([350.0, 10.0, 90.0, 270.0, np.nan, 45.0])
    labels = np.array([0, 0, 1, 1, 2, 3])
    mean, length = circular_means(degrees, labels, 5)
    assert mean[0] % 360 == pytest.approx(0, abs=1e-9) or mean[0] == pytest.approx(360)
    assert length[0] == pytest.approx(np.cos(np.radians(10)))
    assert np.isnan(mean[1])
    assert length[1] == pytest.approx(0, abs=1e-12)
    assert np.isnan(mean[[2, 4]]).all()
    assert (mean[3], length[3]) == (pytest.approx(45), pytest.approx(1))


def test_speed_by_every_attribute():
    dem = surface(lambda x, y: sphere(x, y) + 20 * np.sin(x / 50))
    x = np.arange(-300.0, 301, 20)
    v = np.hypot(*np.meshgrid(x, x)).astype("float32")
    ds = xr.Dataset(
        {"v": (("y", "x"), v), "vx": (("y", "x"), v), "vy": (("y", "x"), 0 * v)},
        coords={"y": x[::-1], "x": x},
    )
    import shapely

    by = ("normalised_elevation", "plan_curvature", "relief", "northness")
    got = topography(ds, dem, by=by, outlines=shapely.box(-310, -310, 310, 310), classes=5)
    assert got.sizes["relief_bin"] == 5
    counts = got["posts_by_relief"].values
    assert counts.max() - counts.min() <= 0.02 * counts.sum()
    assert got["normalised_elevation_bin"].values[[0, -1]].tolist() == pytest.approx([0.025, 0.975])
    # Speed falls towards the summit.
    low, high = got["v_median_by_normalised_elevation"].dropna("normalised_elevation_bin")[[0, -1]]
    assert low > 2 * high
    assert (
        0 <= float(got["aspect_r_by_relief"].min()) <= float(got["aspect_r_by_relief"].max()) <= 1
    )
    with pytest.raises(ParameterError, match="needs outlines"):
        topography(ds, dem, by=["normalised_elevation"])
    with pytest.raises(ParameterError, match="by must be"):
        topography(ds, dem, by=["height"])
    with pytest.raises(MissingVariableError, match="relief"):
        topography(ds, terrain_at_posts(ds, dem), by=["relief"])
