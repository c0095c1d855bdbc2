"""Archives unpacked beside themselves, with nothing ever written outside their own folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from glaciertoolkit.errors import FileError
from glaciertoolkit.io.atomic import PREFIX

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")

STAMP = ".glaciertoolkit-archive.json"
"""File in an unpacked folder that says which archive it came from."""

MOST_MEMBERS = 10_000
MOST_BYTES = 200 * 2**30
LARGEST_RATIO = 100
HARMLESS_BYTES = 2**30
"""Limits against bombs: files, bytes, and bytes over the size of the archive; what stays below
the last one is never too much."""

MOST_PADDING = 64 * 2**20
"""Bytes after the last member of a tar file."""

_PART = 1 << 20
_CLUTTER = ("__MACOSX", ".DS_Store")
_TEMPORARY: dict[tuple[str, int, int], Path] = {}


class _Member(NamedTuple):
    """One file of an archive, checked, and where to read it."""

    parts: tuple[str, ...]
    size: int
    stream: IO[bytes] | None  # None while only listing


def is_archive(name: str) -> bool:
    """Whether a file name ends like that of an archive."""
    return name.lower().endswith(SUFFIXES)


def stem(name: str) -> str:
    """The name of an archive without its suffix.

    Examples
    --------
    >>> stem("GF3_KAS.tar.gz")
    'GF3_KAS'
    """
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


def unpacked(archive: Path) -> Path:
    """The folder with the files of an archive, unpacked if it is not there yet.

    Parameters
    ----------
    archive : Path
        A tar file, compressed or not, or a zip file.

    Returns
    -------
    Path
        The folder of the archive's name beside it; if that place cannot be written, a temporary
        one that is removed when the program ends. A folder that holds every file of the archive
        in its size is used as it is. One folder that holds everything in the archive is left out.

    Raises
    ------
    FileError
        The archive is missing, damaged or hostile (paths that lead elsewhere, links, devices,
        absurd sizes), or a folder of its name holds something else.
    """
    if not archive.is_file():
        raise FileError(f"the archive {archive} does not exist; check the path.")
    target = archive.with_name(stem(archive.name))
    state = archive.stat()
    key = (str(archive.resolve()), state.st_size, state.st_mtime_ns)
    if key in _TEMPORARY and _TEMPORARY[key].is_dir():
        return _TEMPORARY[key]
    if os.path.lexists(target):
        _check_same(target, archive)
        return target
    try:
        aside = Path(tempfile.mkdtemp(prefix=PREFIX, dir=archive.parent))
    except OSError:
        aside = _until_exit()
        target = aside / target.name
        _TEMPORARY[key] = target
    try:
        with _clear_errors(archive):
            folder = _unpack(archive, aside)
        try:
            folder.rename(target)
        except OSError:
            # Another process may have been faster.
            _check_same(target, archive)
    finally:
        if aside != target.parent:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def listed(archive: Path) -> list[str]:
    """The names of the files in an archive, with nothing unpacked.

    Raises
    ------
    FileError
        As `unpacked`.
    """
    with _clear_errors(archive):
        return ["/".join(m.parts) for m in _members(archive, read=False)]


def _until_exit() -> Path:
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="glaciertoolkit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _check_same(folder: Path, archive: Path) -> None:
    """Raise `FileError` unless `folder` holds what the archive holds."""
    sizes = _stamped(folder, archive)
    if sizes is None:
        with _clear_errors(archive):
            found = [(m.parts, m.size) for m in _members(archive, read=False)]
        skip = _top([parts for parts, _ in found])
        sizes = {"/".join(parts[skip:]): size for parts, size in found}
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise FileError(
                f"the folder {folder} beside the archive {archive.name} is not what the archive "
                f"holds ({name} is missing or of another size); remove that folder, or give it "
                "in place of the archive if it is the one you mean."
            )


def _stamped(folder: Path, archive: Path) -> dict[str, int] | None:
    """Names and sizes from the stamp in a folder; None if it is not that of this archive."""
    state = archive.stat()
    try:
        stamp = json.loads((folder / STAMP).read_text())
        if (stamp["size"], stamp["mtime"]) != (state.st_size, state.st_mtime_ns):
            return None
        return {str(name): int(size) for name, size in stamp["members"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _top(paths: list[tuple[str, ...]]) -> int:
    """1 if one folder holds everything, else 0."""
    return int(all(len(p) > 1 for p in paths) and len({p[0] for p in paths}) == 1)


def _unpack(archive: Path, aside: Path) -> Path:
    """Write the members below `aside`; the folder that holds them, with its stamp."""
    state = archive.stat()
    found: list[tuple[tuple[str, ...], int]] = []
    raw = aside / ".raw"
    raw.mkdir()
    for member in _members(archive, read=True):
        path = raw.joinpath(*member.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            if member.stream is None or _copy(member.stream, file, member.size) != member.size:
                raise _damaged(archive)
        found.append((member.parts, member.size))
    skip = _top([parts for parts, _ in found])
    folder = raw / found[0][0][0] if skip else raw
    members = {"/".join(parts[skip:]): size for parts, size in found}
    stamp = {"size": state.st_size, "mtime": state.st_mtime_ns, "members": members}
    (folder / STAMP).write_text(json.dumps(stamp))
    return folder.rename(aside / ".whole")


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> int:
    """Copy at most `size` bytes, whatever the source would give."""
    left = size
    while left and (part := source.read(min(_PART, left))):
        target.write(part)
        left -= len(part)
    return size - left


@contextmanager
def _clear_errors(archive: Path) -> Iterator[None]:
    """Whatever goes wrong with an archive becomes one `FileError`."""
    import lzma
    import struct
    import tarfile
    import zipfile
    import zlib

    try:
        yield
    except FileError:
        raise
    except OSError as error:
        if error.errno is None:
            raise _damaged(archive) from error
        raise FileError(
            f"the archive {archive} cannot be unpacked ({error.strerror}); free some space or "
            "check its permissions, or unpack it by hand and give the folder."
        ) from error
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
        NotImplementedError, ValueError,
    ) as error:  # fmt: skip
        raise _damaged(archive) from error


def _members(archive: Path, *, read: bool) -> Iterator[_Member]:
    """The files of an archive, each checked before it is given out."""
    listed = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    seen: set[str] = set()
    total = 0
    for name, size, stream in listed(archive, read=read):
        parts = _parts(name, archive)
        if parts[0] in _CLUTTER or parts[-1] in _CLUTTER or parts[-1].startswith("._"):
            continue
        total += size
        _check_amount(archive, len(seen) + 1, total)
        folded = "/".join(parts).casefold()
        if folded in seen or parts[-1] == STAMP:
            raise _hostile(archive, name, "is not allowed or not the only one of its name")
        seen.add(folded)
        yield _Member(parts, size, stream)
    if not seen:
        raise FileError(f"the archive {archive} holds no file; get it again.")


def _tar_members(archive: Path, *, read: bool) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    import tarfile

    # As a stream: an archive of gigabytes is decompressed once. Not by tarfile, which would leave
    # the checksum out.
    with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for info in tar:
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                kind = "a link" if info.issym() or info.islnk() else "not a plain file"
                raise _hostile(archive, info.name, f"is {kind}")
            yield info.name, info.size, tar.extractfile(info) if read else None
        # The checksum stands at the end, after some padding.
        padding = 0
        while part := stream.read(_PART):
            padding += len(part)
            if padding > MOST_PADDING:
                raise _damaged(archive)


def _decompressed(archive: Path) -> IO[bytes]:
    """The tar file in an archive."""
    import bz2
    import gzip
    import lzma

    with archive.open("rb") as file:
        start = file.read(6)
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if start.startswith(magic):
            return cast("IO[bytes]", opener(archive, "rb"))
    return archive.open("rb")


def _zip_members(archive: Path, *, read: bool) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    import stat
    import zipfile

    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            # Some writers leave the kind of file away.
            if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "a link" if stat.S_ISLNK(mode) else "not a plain file"
                raise _hostile(archive, info.orig_filename, f"is {kind}")
            if info.is_dir():
                continue
            if info.flag_bits & 0x1:
                raise FileError(
                    f"the archive {archive} is encrypted; unpack it by hand and give the folder."
                )
            if not read:
                yield info.orig_filename, info.file_size, None
                continue
            with file.open(info) as stream:
                yield info.orig_filename, info.file_size, stream


def _parts(name: str, archive: Path) -> tuple[str, ...]:
    """The parts of a member's path; `FileError` if it leads anywhere but below its folder."""
    path = name.replace("\\", "/")
    parts = tuple(p for p in path.split("/") if p not in ("", "."))
    strange = ":" in path or not path.isprintable()
    if not parts or path.startswith("/") or ".." in parts or strange:
        raise _hostile(archive, name, "leads outside its folder")
    return parts


def _check_amount(archive: Path, members: int, total: int) -> None:
    ratio = total / max(1, archive.stat().st_size)
    if total > MOST_BYTES or (total > HARMLESS_BYTES and ratio > LARGEST_RATIO):
        raise FileError(
            f"the archive {archive} would unpack to {total / 2**30:.0f} GB or more, far beyond a "
            "product of a satellite, so it is not unpacked; check where it comes from."
        )
    if members > MOST_MEMBERS:
        raise FileError(
            f"the archive {archive} holds more than {MOST_MEMBERS} files, so it is not unpacked; "
            "give the archive of one product."
        )


def _hostile(archive: Path, name: str, what: str) -> FileError:
    return FileError(
        f"the archive {archive} is not unpacked, because its member {name[:100]!r} {what}; take "
        "the product from its provider again."
    )


def _damaged(archive: Path) -> FileError:
    return FileError(
        f"the archive {archive} is damaged, truncated or not an archive at all; copy or download "
        "it again."
    )
