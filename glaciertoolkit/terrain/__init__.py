"""The shape of the ground, and which of it is stable."""

from glaciertoolkit.terrain.at_posts import same_posts, terrain_at_posts
from glaciertoolkit.terrain.curvature import curvature, relief
from glaciertoolkit.terrain.stable import as_stable, stable_terrain
from glaciertoolkit.terrain.surface import aspect, hillshade, slope

__all__ = [
    "as_stable",
    "aspect",
    "curvature",
    "hillshade",
    "relief",
    "same_posts",
    "slope",
    "stable_terrain",
    "terrain_at_posts",
]
