"""Data behind an address: what is needed to read them, said before anything fails."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from glaciertoolkit.errors import FileError, reason

PACKAGES = {"s3": "s3fs", "http": "aiohttp", "https": "aiohttp"}
"""What fsspec needs for each kind of address; the extra `cloud` brings them."""


def check_reachable(path: str, *, label: str) -> None:
    """Raise `FileError` where the package that reads an address is missing."""
    scheme = path.split("://")[0]
    package = PACKAGES.get(scheme)
    if package is not None and importlib.util.find_spec(package) is None:
        raise FileError(
            f"the {label} lies at {path}, and reading {scheme}:// needs the package {package}; "
            "install it with pip install 'glaciertoolkit[cloud]', or download the data and give "
            "their path."
        )


@contextmanager
def opening_far(path: str, *, label: str) -> Iterator[None]:
    """Whatever goes wrong on the way to an address becomes one `FileError`."""
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        # Every layer between here and the other end has errors of its own.
        raise FileError(
            f"the {label} at {path} cannot be reached ({reason(error)}); check the network and the "
            "address, or download the data and give their path."
        ) from error
