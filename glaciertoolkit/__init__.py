"""Glacier surface motion from pairs of satellite images."""

from glaciertoolkit.tracking.track import track

__all__ = ["track"]
__version__ = "0.1.0"
