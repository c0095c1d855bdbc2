"""Glacier surface motion from pairs of satellite images.

The flow is open -> track -> correct -> velocity -> assess -> relate -> show. Each step is a
function here, and a method of `.glacier` on xarray's Datasets; importing this package registers
it. What is heavy (numba, dask, rasterio, geopandas, panel) is imported where it is used.
"""

from glaciertoolkit import accessors as _accessors  # noqa: F401  registers `.glacier`
from glaciertoolkit.apps import explore, tracking_lab
from glaciertoolkit.balance import (
    elevation_change,
    elevation_trend,
    fill_voids,
    geodetic_balance,
    lake_contribution,
    lake_volume_change,
    total_balance,
)
from glaciertoolkit.blocks import checkpoint, open_checkpoint
from glaciertoolkit.catalog import open_catalog
from glaciertoolkit.conventions import Flag
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.deformation import remove_deformation
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.streaks import remove_streaks
from glaciertoolkit.correction.topography import remove_topography
from glaciertoolkit.errors import GlacierToolkitError, GlacierToolkitWarning
from glaciertoolkit.grids import match_raster
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.io.products import open_products, to_products
from glaciertoolkit.motion import velocity
from glaciertoolkit.permafrost import (
    classify_velocity,
    fit_stefan,
    permafrost_probability,
    thaw_depth,
)
from glaciertoolkit.profiles import profile
from glaciertoolkit.provenance import history
from glaciertoolkit.reasons import explain
from glaciertoolkit.robust import nmad
from glaciertoolkit.sar.calibration import sigma0, to_decibel
from glaciertoolkit.sar.combine import combine_passes
from glaciertoolkit.sar.fringes import remove_fringes
from glaciertoolkit.sar.mapping import to_map
from glaciertoolkit.sar.posts import locate, predict_offsets
from glaciertoolkit.sar.speckle import filter_speckle
from glaciertoolkit.simulate import (
    simulate_dem,
    simulate_gf3,
    simulate_outlines,
    simulate_pair,
    true_gf3_motion,
    true_map_motion,
    true_motion,
    write_gf3_pair,
    write_pair,
)
from glaciertoolkit.stats.attribution import attribution
from glaciertoolkit.stats.correlation import adjust_p, correlate, partial_correlation
from glaciertoolkit.stats.geodetector import geodetector, q_statistic
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.insitu import compare_insitu, merge_estimates
from glaciertoolkit.stats.regression import regression
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.terrain import aspect, hillshade, slope, stable_terrain
from glaciertoolkit.tracking.ensemble import track_ensemble
from glaciertoolkit.tracking.inspect import correlation_surface
from glaciertoolkit.tracking.track import track
from glaciertoolkit.uncertainty import accuracy
from glaciertoolkit.words import summary

__version__ = "0.1.0"

__all__ = [
    "Flag",
    "GlacierToolkitError",
    "GlacierToolkitWarning",
    "accuracy",
    "adjust_p",
    "aspect",
    "attribution",
    "checkpoint",
    "classify_velocity",
    "combine_passes",
    "compare_insitu",
    "correct",
    "correlate",
    "correlation_surface",
    "elevation_change",
    "elevation_trend",
    "explain",
    "explore",
    "fill_voids",
    "filter_noise",
    "filter_speckle",
    "fit_stefan",
    "geodetector",
    "geodetic_balance",
    "glaciers",
    "hillshade",
    "history",
    "lake_contribution",
    "lake_volume_change",
    "locate",
    "match_raster",
    "merge_estimates",
    "nmad",
    "open_catalog",
    "open_checkpoint",
    "open_gf3",
    "open_pair",
    "open_products",
    "partial_correlation",
    "permafrost_probability",
    "predict_offsets",
    "profile",
    "q_statistic",
    "regression",
    "remove_deformation",
    "remove_fringes",
    "remove_streaks",
    "remove_topography",
    "sigma0",
    "simulate_dem",
    "simulate_gf3",
    "simulate_outlines",
    "simulate_pair",
    "slope",
    "stable_terrain",
    "summary",
    "thaw_depth",
    "to_decibel",
    "to_map",
    "to_products",
    "topography",
    "total_balance",
    "track",
    "track_ensemble",
    "tracking_lab",
    "true_gf3_motion",
    "true_map_motion",
    "true_motion",
    "velocity",
    "write_gf3_pair",
    "write_pair",
]
