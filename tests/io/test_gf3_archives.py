"""Archives of products: unpacked once, beside themselves, and never anywhere else."""

import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import gf3_products
import pytest

from glaciertoolkit.errors import FileError, InputError
from glaciertoolkit.io import archives
from glaciertoolkit.io.gf3_files import find_product, is_product

NAME = "GF3_KAS_FSI_003770_E116.3_N39.8_20170428_L1A_HHHV_L10002332082"
FILES = {
    f"{NAME}.meta.xml": b"<product/>",
    f"{NAME.replace('HHHV', 'HH')}.tiff": b"II*",
    f"{NAME.replace('HHHV', 'HH')}.rpb": b"lineOffset = 1;",
    f"{NAME}.incidence.xml": b"<a/>",
}


def pack(path, members):
    """An archive of (name or TarInfo or ZipInfo, content) in this order, whatever it is."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, content in members:
                out.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as out:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def everything(folder):
    """Every path below a folder, with its size."""
    return {str(p.relative_to(folder)): p.lstat().st_size for p in sorted(Path(folder).rglob("*"))}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar", ".zip", ".ZIP"])
@pytest.mark.parametrize("top", ["", f"{NAME}/", "./", "another name/"])
def test_unpacked_once_whatever_the_top_folder(tmp_path, suffix, top):
    archive = pack(
        (tmp_path / NAME).with_name(NAME + suffix.lower()),
        [(top + name, content) for name, content in FILES.items()],
    )
    archive = archive.rename(tmp_path / (NAME + suffix))
    found = find_product(archive)
    assert found.folder == tmp_path / NAME
    assert list(found.images) == ["HH"]
    assert found.rationals["HH"].suffix == ".rpb"
    assert found.incidence is not None
    assert {k: v for k, v in everything(tmp_path / NAME).items() if k in FILES} == {
        name: len(content) for name, content in FILES.items()
    }
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    before = found.metadata.stat().st_ino
    assert find_product(archive).metadata.stat().st_ino == before


def test_what_the_user_unpacked_is_used(tmp_path):
    archive = pack(tmp_path / f"{NAME}.tar.gz", FILES.items())
    (tmp_path / NAME).mkdir()
    for name, content in FILES.items():
        (tmp_path / NAME / name).write_bytes(content)
    (tmp_path / NAME / "notes.txt").write_text("mine")
    before = everything(tmp_path)
    assert find_product(archive).folder == tmp_path / NAME
    assert everything(tmp_path) == before


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_what_the_user_unpacked_in_part_is_not(tmp_path, damage):
    archive = pack(tmp_path / f"{NAME}.zip", FILES.items())
    folder = find_product(archive).folder
    file = folder / f"{NAME}.incidence.xml"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"<a")
    with pytest.raises(FileError, match=r"incidence\.xml is missing or of another size"):
        find_product(archive)


def test_an_archive_that_changed(tmp_path):
    archive = pack(tmp_path / f"{NAME}.tar", FILES.items())
    find_product(archive)
    pack(archive, [*FILES.items(), ("more.txt", b"more")])
    with pytest.raises(FileError, match=r"more\.txt is missing"):
        find_product(archive)


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    archive = pack(tmp_path / f"{NAME}.tar.gz", FILES.items())
    make = archives.tempfile.mkdtemp

    def refused(*args, **given):
        if Path(given.get("dir") or "/").is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied")
        return make(*args, **given)

    monkeypatch.setattr(archives.tempfile, "mkdtemp", refused)
    folder = find_product(archive).folder
    try:
        assert not folder.is_relative_to(tmp_path)
        assert find_product(archive).folder == folder
        assert list(tmp_path.iterdir()) == [archive]
    finally:
        shutil.rmtree(folder.parent)


def test_clutter_of_other_systems_is_left_out(tmp_path):
    junk = [("__MACOSX/._x.meta.xml", b"x"), (f"{NAME}/._{NAME}.meta.xml", b"x")]
    archive = pack(
        tmp_path / f"{NAME}.zip", [*((f"{NAME}/{k}", v) for k, v in FILES.items()), *junk]
    )
    assert find_product(archive).folder == tmp_path / NAME


def tar_info(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_info(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


OUT = "../../hostile"
HOSTILE_NAMES = [
    "/hostile",
    "../hostile",
    f"{NAME}/{OUT}",
    f"{NAME}/a/b/../../../hostile",
    "..\\hostile",
    "c:\\hostile",
    "C:hostile",
    "\\\\host\\hostile",
    "//host/hostile",
    "a\nb",
    f"{NAME}/../../{NAME}.meta.xml",
]
HOSTILE_TAR = [
    [(tar_info("link", tarfile.SYMTYPE, OUT), b""), ("link/hostile", b"x")],
    [(tar_info("link", tarfile.SYMTYPE, "."), b"")],
    [("a", b"x"), (tar_info("b", tarfile.LNKTYPE, "/etc/passwd"), b"")],
    [("a", b"x"), (tar_info("b", tarfile.LNKTYPE, "a"), b"")],
    [(tar_info("pipe", tarfile.FIFOTYPE), b"")],
    [(tar_info("disk", tarfile.BLKTYPE), b"")],
    [(tar_info("zero", tarfile.CHRTYPE), b"")],
    [("a", b"x"), ("a", b"yy")],
    [("a", b"x"), ("A", b"yy")],
    [("a", b"x"), ("a/b", b"y")],
    [(archives.STAMP, b"{}")],
]
HOSTILE_ZIP = [
    [(zip_info("link", stat.S_IFLNK | 0o777), b"../..")],
    [(zip_info("pipe", stat.S_IFIFO | 0o777), b"")],
    [(zip_info("disk", stat.S_IFBLK | 0o777), b"")],
    [("a", b"x"), ("A", b"yy")],
]


def check_refused(archive, folder):
    """One clear error that names the archive; nothing new in or beside its folder."""
    before = everything(folder)
    with pytest.raises(FileError) as caught:
        find_product(archive)
    assert archive.name in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert everything(folder) == before


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar", ".zip"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_paths(tmp_path, suffix, name):
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    archive = pack(place / f"{NAME}{suffix}", [*FILES.items(), (name, b"hostile")])
    check_refused(archive, tmp_path)
    assert not os.path.lexists("/hostile")


@pytest.mark.parametrize("members", HOSTILE_TAR)
def test_hostile_members_of_tar(tmp_path, members):
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    check_refused(pack(place / f"{NAME}.tar.gz", [*FILES.items(), *members]), tmp_path)


@pytest.mark.parametrize("members", HOSTILE_ZIP)
def test_hostile_members_of_zip(tmp_path, members):
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    check_refused(pack(place / f"{NAME}.zip", [*FILES.items(), *members]), tmp_path)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_bombs(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 100_000)
    bomb = b"\0" * 3_000_000
    archive = tmp_path / f"{NAME}{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("bomb", bomb)
    else:
        pack(archive, [("bomb", bomb)])
    check_refused(archive, tmp_path)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    many = pack(tmp_path / f"many{suffix}", [(f"{i}", b"") for i in range(5)])
    check_refused(many, tmp_path)


def test_a_zip_that_holds_more_than_it_says(tmp_path):
    archive = pack(tmp_path / f"{NAME}.zip", [("a", b"x" * 5000)])
    content = archive.read_bytes()
    # The size in the central directory, of four bytes little-endian.
    at = content.rindex(b"PK\1\2") + 24
    archive.write_bytes(content[:at] + (10).to_bytes(4, "little") + content[at + 4 :])
    check_refused(archive, tmp_path)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar", ".zip"])
@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "text"])
def test_damaged_archives(tmp_path, suffix, damage):
    archive = tmp_path / f"{NAME}{suffix}"
    pack(archive, [*FILES.items(), ("big", bytes(range(256)) * 400)])
    whole = archive.read_bytes()
    middle = len(whole) // 2
    archive.write_bytes(
        {
            "cut": whole[:middle],
            "noise": whole[:700] + bytes(reversed(whole[700:900])) + b"?" * 300 + whole[1200:],
            "empty": b"",
            "text": b"not an archive at all\n" * 50,
        }[damage]
    )
    if damage == "noise" and suffix == ".tar":
        archive.write_bytes(b"?" * 300 + whole[300:])
    check_refused(archive, tmp_path)


def test_an_encrypted_zip(tmp_path):
    archive = pack(tmp_path / f"{NAME}.zip", FILES.items())
    content = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        where = -1
        while (where := content.find(mark, where + 1)) >= 0:
            content[where + at] |= 1
    archive.write_bytes(bytes(content))
    with pytest.raises(FileError, match="encrypted"):
        find_product(archive)


def test_which_paths_are_products(tmp_path):
    product = gf3_products.write(tmp_path)
    assert is_product(product)
    assert is_product(str(gf3_products.meta_of(product)))
    assert is_product(tmp_path)
    assert is_product(f"{NAME}.tar.gz")
    assert is_product(NAME)
    assert not is_product(next(product.glob("*.tiff")))
    assert not is_product(tmp_path / "nothing")
    assert not is_product("/vsizip/a.zip/b.tif")
    assert not is_product("https://example.org/a.zip")
    assert not is_product(3)
    (tmp_path / "empty").mkdir()
    assert not is_product(tmp_path / "empty")


def test_two_products_in_one_folder(tmp_path):
    one = gf3_products.write(tmp_path)
    two = gf3_products.write(tmp_path / "x", delay=29, number=1)
    for file in two.iterdir():
        file.rename(one / file.name)
    with pytest.raises(InputError, match="holds 2 products"):
        find_product(one)
    (second,) = one.glob("*20191002*.meta.xml")
    assert find_product(second).images["HH"].name.count("20191002") == 1
