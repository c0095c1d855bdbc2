"""Glacier surface motion from pairs of satellite images."""

__version__ = "0.1.0"
