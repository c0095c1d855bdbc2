"""Memory of a long run: what is freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys

M_MMAP_THRESHOLD = -3
LARGE = 4 << 20
"""Bytes from which an array gets pages of its own."""


def return_freed_arrays() -> bool:
    """Have the C library give large arrays back to the system as soon as they are freed.

    glibc raises the size from which it does so by itself, up to 32 MB, and the fields of a scene
    are just below: what they leave behind then adds up to several hundred megabytes of holes.

    Returns
    -------
    bool
        Whether the C library took it; elsewhere than on Linux with glibc nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE))
    except (OSError, AttributeError):
        return False


def trim() -> bool:
    """Give back what the C library still holds of freed memory; after a large step.

    Returns
    -------
    bool
        Whether anything was given back.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False
