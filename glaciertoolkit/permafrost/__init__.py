"""Frozen ground: where it is, how it creeps, how it heaves and settles."""

from glaciertoolkit.permafrost.creep import classify_velocity
from glaciertoolkit.permafrost.stefan import StefanFit, fit_stefan, thaw_depth
from glaciertoolkit.permafrost.zonation import permafrost_probability

__all__ = [
    "StefanFit",
    "classify_velocity",
    "fit_stefan",
    "permafrost_probability",
    "thaw_depth",
]
