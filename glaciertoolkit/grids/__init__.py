"""The grid of posts, and how rasters and polygons are brought onto it."""

from glaciertoolkit.grids.ice import IcePosts
from glaciertoolkit.grids.inventory import read_inventory, to_schema, true_area
from glaciertoolkit.grids.lines import read_line, read_lines
from glaciertoolkit.grids.located import Located, is_located, utm_zone
from glaciertoolkit.grids.match import match_raster, pixel_size
from glaciertoolkit.grids.posts import (
    Grid,
    cell_area,
    crs_of,
    distance_to,
    extent,
    grid_spacing,
    ground_scale,
    on_posts,
    post_bounds,
    post_transform,
    template_metres,
)
from glaciertoolkit.grids.vectors import burn_index, rasterize, read_outlines

__all__ = [
    "Grid",
    "IcePosts",
    "Located",
    "burn_index",
    "cell_area",
    "crs_of",
    "distance_to",
    "extent",
    "grid_spacing",
    "ground_scale",
    "is_located",
    "match_raster",
    "on_posts",
    "pixel_size",
    "post_bounds",
    "post_transform",
    "rasterize",
    "read_inventory",
    "read_line",
    "read_lines",
    "read_outlines",
    "template_metres",
    "to_schema",
    "true_area",
    "utm_zone",
]
