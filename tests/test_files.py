import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from reco_assist.errors import InputError, StorageError
from reco_assist.files import OUTPUT_MARKER, atomic_write, make_folder, make_output_folder, write_bytes


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "a.json"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.json"]


def test_nothing_is_seen_before_the_block_ends(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    "failure", [ValueError("x"), KeyboardInterrupt(), InputError("x"), StorageError("x")]
)
def test_a_failing_block_leaves_the_old_file_and_its_error(tmp_path, failure):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(type(failure)) as caught, atomic_write(path) as file:  # noqa: PT012
        file.write(b"new")
        raise failure
    assert caught.value is failure
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_an_error_about_another_file_is_not_called_a_failure_to_write(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "a.json"):
        (tmp_path / "source.jpg").read_bytes()
    assert not isinstance(caught.value, StorageError)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EIO, os.strerror(errno.EIO))],
)
def test_a_disk_that_fails_on_sync(tmp_path, monkeypatch, number, words):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=words) as caught:
        write_bytes(path, b"new")
    assert caught.value.errno == number
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device():
    with pytest.raises(StorageError, match="Cannot write"):
        write_bytes(Path("/dev/full/a.json"), b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_the_result_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_symbolic_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.json"
    target.write_bytes(b"old")
    (tmp_path / "link.json").symlink_to(target)
    write_bytes(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert target.read_bytes() == b"new"


def test_a_name_as_long_as_the_disk_allows(tmp_path):
    write_bytes(tmp_path / ("a" * 255), b"x")
    assert len(names(tmp_path)[0]) == 255


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing/a.json", "folder does not exist"), ("file/a.json", "is a file"), ("folder", "is a folder")],
)
def test_places_that_cannot_be_written(tmp_path, place, words):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    with pytest.raises(StorageError, match=words):
        write_bytes(tmp_path / place, b"x")
    assert names(tmp_path) == ["file", "folder"]


def test_folders(tmp_path):
    made = make_output_folder(tmp_path / "a" / "b")
    assert names(made) == [OUTPUT_MARKER]
    make_output_folder(made)
    (tmp_path / "file").touch()
    for broken in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(StorageError, match="Cannot write"):
            make_folder(broken)
