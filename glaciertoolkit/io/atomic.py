"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from glaciertoolkit.errors import FileError

PREFIX = ".glaciertoolkit-"
"""Beginning of the names of the hidden folders in which things are made."""

_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


@contextmanager
def atomic_folder(
    folder: str | os.PathLike[str], names: Iterable[str], *, overwrite: bool = False
) -> Iterator[Path]:
    """Make several files or folders aside; they appear in `folder` when the block ends well.

    Parameters
    ----------
    folder : path
        Where they belong; it is made where it is missing.
    names : iterable of str
        What the block will make. A name that it does not make is an error.
    overwrite : bool
        Replace what is already there.

    Yields
    ------
    pathlib.Path
        An empty hidden folder inside `folder`, on the same file system. It is gone when the block
        ends, however it ends.

    Raises
    ------
    FileError
        One of the names exists and `overwrite` is false (before the block runs), or `folder`
        cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as out:
    ...     with atomic_folder(out, ["a.txt"]) as aside:
    ...         _ = (aside / "a.txt").write_text("whole")
    ...     [p.name for p in Path(out).iterdir()]
    ['a.txt']
    """
    target, wanted = Path(folder), list(names)
    _refuse_existing(target, wanted, overwrite=overwrite)
    try:
        target.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target))
    except OSError as error:
        raise FileError(
            f"cannot write to the folder {target} ({error.strerror}); choose another folder, or "
            "change its permissions."
        ) from error
    try:
        yield aside
        _refuse_existing(target, wanted, overwrite=overwrite)
        for name in wanted:
            _move(aside / name, target / name, aside=aside)
    except OSError as error:
        if isinstance(error, FileError) or error.errno not in _UNWRITABLE:
            raise
        raise FileError(
            f"cannot write to the folder {target} ({error.strerror}); free some space, or choose "
            "another folder."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Make one file or folder aside; it appears as `target` when the block ends well.

    Parameters
    ----------
    target : path
        A file, or a folder such as a Zarr store.
    overwrite : bool
        Replace what is already there.

    Yields
    ------
    pathlib.Path
        Where to make it: of the same name, in a hidden folder beside the target.

    Raises
    ------
    FileError
        `target` exists and `overwrite` is false, or its folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Path(folder) / "numbers.txt"
    ...     with atomic_path(store) as temporary:
    ...         _ = temporary.write_text("1 2 3")
    ...     store.read_text()
    '1 2 3'
    """
    path = Path(target)
    with atomic_folder(path.parent, [path.name], overwrite=overwrite) as aside:
        yield aside / path.name


def _refuse_existing(folder: Path, names: Iterable[str], *, overwrite: bool) -> None:
    if overwrite:
        return
    there = [name for name in names if os.path.lexists(folder / name)]
    if there:
        raise FileError(
            f"{', '.join(str(folder / name) for name in there)} already exist"
            f"{'s' if len(there) == 1 else ''}; give overwrite=True (--overwrite) to replace, or "
            "choose another folder."
        )


def _move(source: Path, target: Path, *, aside: Path) -> None:
    if not os.path.lexists(source):
        raise FileNotFoundError(errno.ENOENT, "was not made", str(source))
    # A folder cannot be replaced in one step unless it is empty; a file can.
    if target.is_dir() and not target.is_symlink():
        target.replace(Path(tempfile.mkdtemp(dir=aside)) / target.name)
    elif source.is_dir() and os.path.lexists(target):
        target.unlink()
    source.replace(target)
