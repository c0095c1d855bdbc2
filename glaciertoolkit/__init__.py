"""Glacier surface motion from pairs of satellite images.

The flow is open -> track -> correct -> velocity -> assess -> relate -> show. Each step is a
function here, and a method of `.glacier` on xarray's Datasets; importing this package registers
it. What is heavy (numba, dask, rasterio, geopandas, panel) is imported where it is used.
"""

from glaciertoolkit import accessors as _accessors  # noqa: F401  registers `.glacier`
from glaciertoolkit.apps import explore, tracking_lab
from glaciertoolkit.blocks import checkpoint, open_checkpoint
from glaciertoolkit.catalog import open_catalog
from glaciertoolkit.conventions import Flag
from glaciertoolkit.correction.correct import correct
from glaciertoolkit.correction.deformation import remove_deformation
from glaciertoolkit.correction.noise import filter_noise
from glaciertoolkit.correction.streaks import remove_streaks, remove_stripes
from glaciertoolkit.correction.topography import remove_topography
from glaciertoolkit.errors import GlacierToolkitError, GlacierToolkitWarning
from glaciertoolkit.grids import match_raster
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.io.products import open_products, to_products
from glaciertoolkit.motion import velocity
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
from glaciertoolkit.stats.climate import climate
from glaciertoolkit.stats.climate_sampling import sample_climate
from glaciertoolkit.stats.climate_source import read_climate
from glaciertoolkit.stats.decomposition import decompose
from glaciertoolkit.stats.downscaling import (
    downscale_precipitation,
    downscale_temperature,
    lapse_rate,
)
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.lags import lagged_correlation
from glaciertoolkit.stats.melt import degree_days, snow_fraction
from glaciertoolkit.stats.periods import aggregate_climate, standardised_anomaly
from glaciertoolkit.stats.seasonal_fit import fit_seasonal
from glaciertoolkit.stats.slow_ice import stagnation
from glaciertoolkit.stats.surges import surge_candidates
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.stats.trends import seasonal_trend, trend
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
    "aggregate_climate",
    "aspect",
    "checkpoint",
    "climate",
    "combine_passes",
    "correct",
    "correlation_surface",
    "decompose",
    "degree_days",
    "downscale_precipitation",
    "downscale_temperature",
    "explain",
    "explore",
    "filter_noise",
    "filter_speckle",
    "fit_seasonal",
    "glaciers",
    "hillshade",
    "history",
    "lagged_correlation",
    "lapse_rate",
    "locate",
    "match_raster",
    "nmad",
    "open_catalog",
    "open_checkpoint",
    "open_gf3",
    "open_pair",
    "open_products",
    "predict_offsets",
    "profile",
    "read_climate",
    "remove_deformation",
    "remove_fringes",
    "remove_streaks",
    "remove_stripes",
    "remove_topography",
    "sample_climate",
    "seasonal_trend",
    "sigma0",
    "simulate_dem",
    "simulate_gf3",
    "simulate_outlines",
    "simulate_pair",
    "slope",
    "snow_fraction",
    "stable_terrain",
    "stagnation",
    "standardised_anomaly",
    "summary",
    "surge_candidates",
    "to_decibel",
    "to_map",
    "to_products",
    "topography",
    "track",
    "track_ensemble",
    "tracking_lab",
    "trend",
    "true_gf3_motion",
    "true_map_motion",
    "true_motion",
    "velocity",
    "write_gf3_pair",
    "write_pair",
]
