"""`.glacier` on Datasets and DataArrays: the functions of the package as methods.

Each method is the function of the same name with the object as its first argument: the same
keywords, the same docstring, no state and no logic of its own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import xarray as xr

from glaciertoolkit import terrain
from glaciertoolkit.apps import correction_lab, explore, inspect_profile, tracking_lab
from glaciertoolkit.balance import elevation_change, fill_voids
from glaciertoolkit.blocks import checkpoint
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.deformation import remove_deformation
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.streaks import remove_streaks, remove_stripes
from glaciertoolkit.correction.topography import remove_topography
from glaciertoolkit.flow_lines import flow_line
from glaciertoolkit.io.itslive_write import to_itslive
from glaciertoolkit.io.products import to_products
from glaciertoolkit.motion import velocity
from glaciertoolkit.permafrost import classify_velocity
from glaciertoolkit.profiles import profile
from glaciertoolkit.provenance import history
from glaciertoolkit.reasons import explain
from glaciertoolkit.sar.calibration import sigma0, to_decibel
from glaciertoolkit.sar.fringes import remove_fringes
from glaciertoolkit.sar.mapping import to_map
from glaciertoolkit.sar.posts import locate, predict_offsets
from glaciertoolkit.sar.speckle import filter_speckle
from glaciertoolkit.stats.attribution import attribution
from glaciertoolkit.stats.climate import climate
from glaciertoolkit.stats.contrast import accumulation_contrast
from glaciertoolkit.stats.equilibrium import equilibrium_line
from glaciertoolkit.stats.geodetector import geodetector
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.hypsometry import hypsometry
from glaciertoolkit.stats.partial import partial_correlation
from glaciertoolkit.stats.regression import regression
from glaciertoolkit.stats.scaling import shallow_ice
from glaciertoolkit.stats.seasonal_fit import fit_seasonal
from glaciertoolkit.stats.slow_ice import stagnation
from glaciertoolkit.stats.stress import driving_stress
from glaciertoolkit.stats.surges import surge_candidates
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.strain import strain_rate
from glaciertoolkit.tracking.inspect import correlation_surface
from glaciertoolkit.tracking.track import track
from glaciertoolkit.uncertainty import (
    accuracy,
    accuracy_report,
    closure,
    compare,
    compare_points,
    mean_error,
)
from glaciertoolkit.words import summary


def method(function: Callable[..., Any]) -> Any:
    """A method that hands its object to `function`, with its signature and docstring."""

    @functools.wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self._object, *args, **kwargs)

    parameters = list(inspect.signature(function).parameters.values())
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.signature(function).replace(parameters=[own, *parameters[1:]])
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


class _Accessor:
    def __init__(self, obj: Any) -> None:
        self._object = obj


class Statistics(_Accessor):
    """`.glacier.stats`: what explains the velocity."""

    topography = method(topography)
    hypsometry = method(hypsometry)
    equilibrium_line = method(equilibrium_line)
    accumulation_contrast = method(accumulation_contrast)
    driving_stress = method(driving_stress)
    shallow_ice = method(shallow_ice)
    glaciers = method(glaciers)
    attribution = method(attribution)
    partial_correlation = method(partial_correlation)
    regression = method(regression)
    geodetector = method(geodetector)
    climate = method(climate)
    stagnation = method(stagnation)
    surge_candidates = method(surge_candidates)
    fit_seasonal = method(fit_seasonal)


@xr.register_dataset_accessor("glacier")
class GlacierDataset(_Accessor):
    """Pixel tracking, correction, velocity, accuracy and products of an image pair."""

    sigma0 = method(sigma0)
    remove_fringes = method(remove_fringes)
    predict_offsets = method(predict_offsets)
    track = method(track)
    correlation_surface = method(correlation_surface)
    explain = method(explain)
    checkpoint = method(checkpoint)
    locate = method(locate)
    terrain_at_posts = method(terrain.terrain_at_posts)
    stable_terrain = method(terrain.stable_terrain)
    correct = method(correct)
    remove_deformation = method(remove_deformation)
    remove_topography = method(remove_topography)
    remove_streaks = method(remove_streaks)
    remove_stripes = method(remove_stripes)
    filter_noise = method(filter_noise)
    to_map = method(to_map)
    velocity = method(velocity)
    accuracy = method(accuracy)
    accuracy_report = method(accuracy_report)
    mean_error = method(mean_error)
    compare = method(compare)
    compare_points = method(compare_points)
    closure = method(closure)
    profile = method(profile)
    flow_line = method(flow_line)
    strain_rate = method(strain_rate)
    fill_voids = method(fill_voids)
    explore = method(explore)
    inspect_profile = method(inspect_profile)
    tracking_lab = method(tracking_lab)
    correction_lab = method(correction_lab)
    to_itslive = method(to_itslive)
    to_products = method(to_products)
    summary = method(summary)
    history = method(history)

    @property
    def stats(self) -> Statistics:
        """Statistics of velocity against topography and climate, and glacier by glacier."""
        return Statistics(self._object)


@xr.register_dataarray_accessor("glacier")
class GlacierDataArray(_Accessor):
    """Terrain attributes of an elevation model, speckle filters of a radar image."""

    to_decibel = method(to_decibel)
    filter_speckle = method(filter_speckle)
    slope = method(terrain.slope)
    aspect = method(terrain.aspect)
    curvature = method(terrain.curvature)
    relief = method(terrain.relief)
    hillshade = method(terrain.hillshade)
    elevation_change = method(elevation_change)
    classify_velocity = method(classify_velocity)
