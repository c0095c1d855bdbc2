"""Simulated scenes with known truth: terrain, glaciers, image pairs, pairs of GF-3 products."""

from glaciertoolkit.simulate.average import true_motion
from glaciertoolkit.simulate.gf3 import Gf3Scene, simulate_gf3
from glaciertoolkit.simulate.gf3_truth import true_gf3_motion, true_map_motion
from glaciertoolkit.simulate.gf3_write import write_gf3_pair
from glaciertoolkit.simulate.products import simulate_dem, simulate_outlines
from glaciertoolkit.simulate.region import Region, simulate_region
from glaciertoolkit.simulate.samples import write_samples
from glaciertoolkit.simulate.scene import simulate_pair
from glaciertoolkit.simulate.write import write_pair

__all__ = [
    "Gf3Scene",
    "Region",
    "simulate_dem",
    "simulate_gf3",
    "simulate_outlines",
    "simulate_pair",
    "simulate_region",
    "true_gf3_motion",
    "true_map_motion",
    "true_motion",
    "write_gf3_pair",
    "write_pair",
    "write_samples",
]
