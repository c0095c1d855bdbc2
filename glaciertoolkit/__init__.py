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
from glaciertoolkit.correction.streaks import remove_streaks
from glaciertoolkit.correction.topography import remove_topography
from glaciertoolkit.errors import GlacierToolkitError, GlacierToolkitWarning
from glaciertoolkit.grids import match_raster, read_inventory
from glaciertoolkit.io.gf3 import open_gf3
from glaciertoolkit.io.images import open_pair
from glaciertoolkit.io.products import open_products, to_products
from glaciertoolkit.io.tables import write_table
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
from glaciertoolkit.stats.contrast import accumulation_contrast
from glaciertoolkit.stats.equilibrium import equilibrium_line
from glaciertoolkit.stats.glaciers import glaciers
from glaciertoolkit.stats.hypsometry import hypsometry
from glaciertoolkit.stats.join import join_inventory
from glaciertoolkit.stats.scaling import shallow_ice, speed_scaling
from glaciertoolkit.stats.stress import driving_stress
from glaciertoolkit.stats.topography import topography
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
from glaciertoolkit.uncertainty import accuracy
from glaciertoolkit.words import summary

__version__ = "0.1.0"

__all__ = [
    "Flag",
    "GlacierToolkitError",
    "GlacierToolkitWarning",
    "accumulation_contrast",
    "accuracy",
    "aspect",
    "checkpoint",
    "combine_passes",
    "correct",
    "correlation_surface",
    "curvature",
    "driving_stress",
    "equilibrium_line",
    "explain",
    "explore",
    "filter_noise",
    "filter_speckle",
    "glaciers",
    "hillshade",
    "history",
    "hypsometry",
    "join_inventory",
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
    "read_inventory",
    "relief",
    "remove_deformation",
    "remove_fringes",
    "remove_streaks",
    "remove_topography",
    "shallow_ice",
    "sigma0",
    "simulate_dem",
    "simulate_gf3",
    "simulate_outlines",
    "simulate_pair",
    "slope",
    "speed_scaling",
    "stable_terrain",
    "summary",
    "terrain_at_posts",
    "to_decibel",
    "to_map",
    "to_products",
    "topography",
    "track",
    "track_ensemble",
    "tracking_lab",
    "true_gf3_motion",
    "true_map_motion",
    "true_motion",
    "velocity",
    "write_gf3_pair",
    "write_pair",
    "write_table",
]
