"""Simulated scenes with known truth: terrain, glaciers, image pairs."""

from glaciertoolkit.simulate.average import true_motion
from glaciertoolkit.simulate.products import simulate_dem, simulate_outlines
from glaciertoolkit.simulate.scene import simulate_pair
from glaciertoolkit.simulate.write import write_pair

__all__ = ["simulate_dem", "simulate_outlines", "simulate_pair", "true_motion", "write_pair"]
