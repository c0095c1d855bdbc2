"""Whole or not at all."""

import errno

import pytest

from glaciertoolkit.errors import FileError
from glaciertoolkit.io.atomic import atomic_folder, atomic_path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_at_the_end(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert temporary.name == "a.txt"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(target.parent) == ["a.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_a_failure(tmp_path, failure):
    (tmp_path / "a.txt").write_text("old")

    def interrupted():
        with atomic_path(tmp_path / "a.txt", overwrite=True) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_replaces_a_folder(tmp_path):
    store = tmp_path / "store.zarr"
    for content in ("old", "new"):
        with atomic_path(store, overwrite=True) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert names(store) == ["new"]
    assert names(tmp_path) == ["store.zarr"]


def test_a_folder_replaces_a_file_and_a_file_a_folder(tmp_path):
    target = tmp_path / "thing"
    target.write_text("file")
    with atomic_path(target, overwrite=True) as temporary:
        temporary.mkdir()
    assert target.is_dir()
    with atomic_path(target, overwrite=True) as temporary:
        temporary.write_text("file")
    assert target.is_file()
    assert names(tmp_path) == ["thing"]


def test_what_exists_is_refused_before_the_work_begins(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with (
        pytest.raises(
            FileError, match=r"a\.txt already exists; give overwrite=True \(--overwrite\)"
        ),
        atomic_folder(tmp_path, ["a.txt", "b.txt"]),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["a.txt"]


def test_what_appears_in_the_meantime_is_not_replaced(tmp_path):
    target = tmp_path / "a.txt"

    def too_late():
        with atomic_path(target) as temporary:
            temporary.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(FileError, match="already exists"):
        too_late()
    assert target.read_text() == "theirs"


def test_several_files_appear_together(tmp_path):
    with atomic_folder(tmp_path, ["a", "b"]) as aside:
        (aside / "a").write_text("1")
        (aside / "b").write_text("2")
        (aside / "scratch").write_text("not asked for")
    assert names(tmp_path) == ["a", "b"]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("a file")
    with (
        pytest.raises(FileError, match=r"cannot write to the folder .*out .*choose another folder"),
        atomic_path(tmp_path / "out" / "a.txt"),
    ):
        pytest.fail("the block must not run")


def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    with (
        pytest.raises(FileError, match=r"No space left on device\); free some space"),
        atomic_path(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_other_errors_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        raise FileNotFoundError(errno.ENOENT, "an input of the block")


def test_a_block_that_makes_nothing_leaves_the_old_folder(tmp_path):
    store = tmp_path / "store.zarr"
    store.mkdir()

    def forgetful():
        with atomic_path(store, overwrite=True):
            pass

    with pytest.raises(FileNotFoundError, match="was not made"):
        forgetful()
    assert names(tmp_path) == ["store.zarr"]
