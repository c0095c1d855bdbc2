"""The errors and warnings of glaciertoolkit.

Every error is also a standard Python error (`ValueError`, `KeyError`, `OSError`), so that code
which knows nothing of this package can still catch it. Every message is one clear sentence: what
is wrong, where, and the way out.
"""

from __future__ import annotations


class GlacierToolkitError(Exception):
    """Base of all errors that glaciertoolkit raises on purpose."""

    def __str__(self) -> str:
        # KeyError would show the repr of its message, quotes and escapes included.
        return str(self.args[0]) if self.args else ""


class InputError(GlacierToolkitError, ValueError):
    """Input that cannot be used as it is: wrong kind, wrong shape, without content."""


class ParameterError(InputError):
    """A parameter out of its range, or of the wrong kind."""


class GridError(InputError):
    """Grids that do not fit together: CRS, transform, size or coverage."""


class DateError(InputError):
    """Acquisition dates that are missing, equal or reversed."""


class StableTerrainError(InputError):
    """No stable terrain, or too little of it for what was asked."""


class NotComputedError(InputError):
    """A step that needs numbers met a tracking graph that is not computed yet."""


class MissingVariableError(GlacierToolkitError, KeyError):
    """A Dataset lacks a variable or coordinate that the step needs."""


class CatalogError(GlacierToolkitError, KeyError):
    """A catalog, or an entry of it, that is unknown or malformed."""


class FileError(GlacierToolkitError, OSError):
    """A file that is missing, damaged, unreadable or cannot be written."""


class GlacierToolkitWarning(UserWarning):
    """The result is sound, but the user should know something about it."""


def reason(error: BaseException, *, longest: int = 160) -> str:
    """What an error of a library says, on one line, to be told within one of ours.

    Examples
    --------
    >>> reason(ValueError("Expected 2 fields,\\n  saw 4"))
    'Expected 2 fields, saw 4'
    """
    return " ".join(str(error).split())[:longest].rstrip(" .") or type(error).__name__
