"""Glacier surface motion from pairs of satellite images.

The flow is open -> track -> correct -> velocity -> assess -> relate -> show. Each step is a
function here, and a method of `.glacier` on xarray's Datasets; importing this package registers
it. What is heavy (numba, dask, rasterio, geopandas, panel) is imported where it is used.
"""

from glaciertoolkit import accessors as _accessors  # noqa: F401  registers `.glacier`
from glaciertoolkit.apps import correction_lab, explore, inspect_profile, tracking_lab
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
from glaciertoolkit.correction.streaks import remove_streaks, remove_stripes
from glaciertoolkit.correction.topography import remove_topography
from glaciertoolkit.errors import GlacierToolkitError, GlacierToolkitWarning
from glaciertoolkit.flow_lines import flow_line
from glaciertoolkit.grids import match_raster, read_inventory
from glaciertoolkit.io.ascii_grid import open_ascii_grid
from glaciertoolkit.io.cf import open_cf
from glaciertoolkit.io.excel import open_excel
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.io.inventory import open_inventory
from glaciertoolkit.io.itslive import open_itslive
from glaciertoolkit.io.itslive_write import to_itslive
from glaciertoolkit.io.products import open_products, to_products
from glaciertoolkit.io.published import open_glacier_motion
from glaciertoolkit.io.series import open_series
from glaciertoolkit.io.station import open_station
from glaciertoolkit.io.tables import write_table
from glaciertoolkit.io.wgms import open_wgms
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
    simulate_region,
    true_gf3_motion,
    true_map_motion,
    true_motion,
    write_gf3_pair,
    write_pair,
    write_samples,
)
from glaciertoolkit.stats.attribution import attribution
from glaciertoolkit.stats.climate import climate
from glaciertoolkit.stats.climate_sampling import sample_climate
from glaciertoolkit.stats.climate_source import read_climate
from glaciertoolkit.stats.contrast import accumulation_contrast
from glaciertoolkit.stats.correlation import correlate
from glaciertoolkit.stats.decomposition import decompose
from glaciertoolkit.stats.downscaling import (
    downscale_precipitation,
    downscale_temperature,
    lapse_rate,
)
from glaciertoolkit.stats.equilibrium import equilibrium_line
from glaciertoolkit.stats.geodetector import geodetector, q_statistic
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.hypsometry import hypsometry
from glaciertoolkit.stats.insitu import compare_insitu, merge_estimates
from glaciertoolkit.stats.join import join_inventory
from glaciertoolkit.stats.lags import lagged_correlation
from glaciertoolkit.stats.melt import degree_days, snow_fraction
from glaciertoolkit.stats.multiplicity import adjust_p
from glaciertoolkit.stats.partial import partial_correlation
from glaciertoolkit.stats.periods import aggregate_climate, standardised_anomaly
from glaciertoolkit.stats.regression import regression
from glaciertoolkit.stats.scaling import shallow_ice, speed_scaling
from glaciertoolkit.stats.seasonal_fit import fit_seasonal
from glaciertoolkit.stats.slow_ice import stagnation
from glaciertoolkit.stats.stress import driving_stress
from glaciertoolkit.stats.surges import surge_candidates
from glaciertoolkit.stats.topography import topography
from glaciertoolkit.stats.trends import seasonal_trend, trend
from glaciertoolkit.strain import strain_rate
from glaciertoolkit.terrain import (
    aspect,
    curvature,
    hillshade,
    relief,
    slope,
    stable_terrain,
    terrain_at_posts,
)
from glaciertoolkit.tracking.ensemble import track_ensemble
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

__version__ = "0.1.0"

__all__ = [
    "Flag",
    "GlacierToolkitError",
    "GlacierToolkitWarning",
    "accumulation_contrast",
    "accuracy",
    "accuracy_report",
    "adjust_p",
    "aggregate_climate",
    "aspect",
    "attribution",
    "checkpoint",
    "classify_velocity",
    "climate",
    "closure",
    "combine_passes",
    "compare",
    "compare_insitu",
    "compare_points",
    "correct",
    "correction_lab",
    "correlate",
    "correlation_surface",
    "curvature",
    "decompose",
    "degree_days",
    "downscale_precipitation",
    "downscale_temperature",
    "driving_stress",
    "elevation_change",
    "elevation_trend",
    "equilibrium_line",
    "explain",
    "explore",
    "fill_voids",
    "filter_noise",
    "filter_speckle",
    "fit_seasonal",
    "fit_stefan",
    "flow_line",
    "geodetector",
    "geodetic_balance",
    "glaciers",
    "hillshade",
    "history",
    "hypsometry",
    "inspect_profile",
    "join_inventory",
    "lagged_correlation",
    "lake_contribution",
    "lake_volume_change",
    "lapse_rate",
    "locate",
    "match_raster",
    "mean_error",
    "merge_estimates",
    "nmad",
    "open_ascii_grid",
    "open_catalog",
    "open_cf",
    "open_checkpoint",
    "open_excel",
    "open_gf3",
    "open_glacier_motion",
    "open_inventory",
    "open_itslive",
    "open_pair",
    "open_products",
    "open_series",
    "open_station",
    "open_wgms",
    "partial_correlation",
    "permafrost_probability",
    "predict_offsets",
    "profile",
    "q_statistic",
    "read_climate",
    "read_inventory",
    "regression",
    "relief",
    "remove_deformation",
    "remove_fringes",
    "remove_streaks",
    "remove_stripes",
    "remove_topography",
    "sample_climate",
    "seasonal_trend",
    "shallow_ice",
    "sigma0",
    "simulate_dem",
    "simulate_gf3",
    "simulate_outlines",
    "simulate_pair",
    "simulate_region",
    "slope",
    "snow_fraction",
    "speed_scaling",
    "stable_terrain",
    "stagnation",
    "standardised_anomaly",
    "strain_rate",
    "summary",
    "surge_candidates",
    "terrain_at_posts",
    "thaw_depth",
    "to_decibel",
    "to_itslive",
    "to_map",
    "to_products",
    "topography",
    "total_balance",
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
    "write_samples",
    "write_table",
]
